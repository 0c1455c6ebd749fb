"""An undo of a run that changed 10,000 records: calls against the minimum, and seconds of this process.

    python benchmarks/undo.py [--records 10000] [--json]

Runs against in-process systems (`tests/sync/world.py`), so that the time is ours alone. The least is one page of the
changed feed, the quiet feeds, and one call for each batch that is written back.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.census import PAGE, office, timed


def measure(records: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        world, engine = office(Path(folder), records)
        a, b = world.systems["a"], world.systems["b"]
        for id in a.live("Deal"):
            a.person_edits("Deal", id, {"NextStep": "wrong"})
        world.tick += 60
        run = engine.sync(approve=True)
        assert run.written == {"b Deal": {"update": records}}, run.written
        world.tick += 10_000
        engine.sync(approve=True)  # what b made of it is read, so that the undo meets a quiet world
        world.tick += 10_000
        calls = {name: one.calls.used for name, one in world.systems.items()}
        cpu, wall, (done, report) = timed(lambda: engine.undo(run.run))
        used = {name: one.calls.used - calls[name] for name, one in world.systems.items()}
        engine.store.close()
        assert {row["NextStep"] for row in b.live("Deal").values()} == {None}
    return {"records": records, "taken back": len(done.restored), "left": len(done.left), "written": report.written,
            "calls": used, "least calls of b": 2 + -(-records // PAGE), "undo cpu s": round(cpu, 2),
            "undo wall s": round(wall, 2)}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--records", type=int, default=10_000, help="deals that the run changed")
    options.add_argument("--json", action="store_true", help="print one JSON object")
    chosen = options.parse_args()
    found = measure(chosen.records)
    lines = [f"{name}: {value}" for name, value in found.items()]
    print(json.dumps(found, indent=2) if chosen.json else "\n".join(lines))


if __name__ == "__main__":
    main()
