"""An undo of a run that changed many records, against in-process systems (`tests/sync/world.py`): calls alone."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.census import PAGE, Counted, office


def measure(records: int) -> Counted:
    """Take a run back that changed so many records of one system.

    The least is one page of the changed feed, one of the quiet one, and one call for each batch that is written back:
    the systems have a condition on writes, so nothing is read before it. Raises SystemExit where a record was not
    restored.
    """
    with tempfile.TemporaryDirectory() as folder:
        world, engine = office(Path(folder), records)
        a, b = world.systems["a"], world.systems["b"]
        for id in a.live("Deal"):
            a.person_edits("Deal", id, {"NextStep": "wrong"})
        world.tick += 60
        run = engine.sync(approve=True)
        world.tick += 10_000
        engine.sync(approve=True)  # what b made of it is read, so that the undo meets a quiet world
        world.tick += 10_000
        before = b.calls.used
        done, report = engine.undo(run.run)
        used = b.calls.used - before
        engine.store.close()
        right = {row["NextStep"] for row in b.live("Deal").values()} == {None} and not done.left
        if report.written != {"b Deal": {"update": records}} or not right:
            raise SystemExit(f"the undo did not restore every record: {report.written}, {len(done.left)} left")
    return Counted(used, 2 + -(-records // PAGE))
