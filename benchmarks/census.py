"""A census of 100,000 links and a plan of nothing: calls against the minimum, and seconds of this process.

    python benchmarks/census.py [--links 100000] [--json]

Runs against in-process systems (`tests/sync/world.py`), so that the time is ours alone. The plan is timed twice, with
few and with many links, to show that a quiet system costs the same however many records there are.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sidefeed.sync import Engine, Limit, Limits
from sidefeed.workspace import Store
from tests.sync.world import World, mappings

PAGE = 200


def office(folder: Path, links: int) -> tuple[World, Engine]:
    """Two systems that agree on so many deals."""
    world = World(page=PAGE, batch=PAGE, unique=False)
    for number in range(links):
        world.systems["a"].person_creates("Deal", {"Name": f"Deal {number}", "Amount": str(number)})
    store = Store.open(folder / "workspace.db", now=world.now)
    engine = Engine(store, mappings(folder / "mappings"), dict(world.systems), Limits({}, {}, Limit(links, 1.0)))
    for _ in range(3):
        world.tick += 60
        engine.sync(approve=True)
    world.tick += 10_000
    return world, engine


def timed(work: Any) -> tuple[float, float, Any]:
    cpu, wall = time.process_time(), time.perf_counter()
    result = work()
    return time.process_time() - cpu, time.perf_counter() - wall, result


def measure(links: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        world, engine = office(Path(folder), links)
        calls = {name: one.calls.used for name, one in world.systems.items()}
        cpu, wall, feeds = timed(lambda: list(engine.census()))
        used = {name: one.calls.used - calls[name] for name, one in world.systems.items()}
        plan_cpu, plan_wall, _ = timed(lambda: quiet_plan(engine))
        engine.store.close()
    least = -(-links // PAGE) + 1  # a page of deals at a time, and one of no accounts
    return {"links": links, "equal": sum(one.equal for one in feeds),
            "differ": sum(len(one.differences) for one in feeds), "calls": used,
            "least calls a system": least, "census cpu s": round(cpu, 2), "census wall s": round(wall, 2),
            "quiet plan cpu ms": round(plan_cpu * 1000, 2), "quiet plan wall ms": round(plan_wall * 1000, 2)}


def quiet_plan(engine: Engine) -> int:
    """Plan every feed as a sync does, with nothing to do; how many records were looked at."""
    from sidefeed.sync import Report

    with engine.store.read() as tx:
        return sum(len(plan.looked_at) for plan in engine._plans(tx, list(engine.connectors), Report("benchmark")))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--links", type=int, default=100_000, help="deals linked in both systems")
    options.add_argument("--json", action="store_true", help="print one JSON object")
    chosen = options.parse_args()
    found = [measure(max(1, chosen.links // 100)), measure(chosen.links)]
    if chosen.json:
        print(json.dumps(found, indent=2))
        return
    for one in found:
        print(", ".join(f"{name} {value}" for name, value in one.items()))


if __name__ == "__main__":
    main()
