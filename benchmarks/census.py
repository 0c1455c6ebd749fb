"""A census and a plan of nothing, against in-process systems (`tests/sync/world.py`): calls, and our own time alone."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from sidefeed.sync import Engine, Limit, Limits, Report
from sidefeed.workspace import Store
from tests.sync.world import World, mappings

PAGE = 200


@dataclass(frozen=True, slots=True)
class Counted:
    """Calls to one system, and the least that its batch sizes allow; ``plan`` is the CPU time, in seconds, of planning
    every feed once more with nothing to do, ``census`` that of the census of both systems."""

    used: int
    least: int
    plan: float = 0.0
    census: float = 0.0


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


def measure(links: int) -> Counted:
    """Hold so many links against each of two systems, then plan nothing; of both systems the one with more calls.

    The least is a page of deals at a time, and one of no accounts. Raises SystemExit where not everything is equal.
    """
    with tempfile.TemporaryDirectory() as folder:
        world, engine = office(Path(folder), links)
        before = {name: one.calls.used for name, one in world.systems.items()}
        began = time.process_time()
        feeds = list(engine.census())
        spent = time.process_time() - began
        used = max(one.calls.used - before[name] for name, one in world.systems.items())
        if sum(one.equal for one in feeds) != 2 * links or any(one.differences for one in feeds):
            raise SystemExit("the census did not find every link equal")
        plan = min(_quiet_plan(engine) for _ in range(5))
        engine.store.close()
    return Counted(used, -(-links // PAGE) + 1, plan, spent)


def _quiet_plan(engine: Engine) -> float:
    """CPU seconds to plan every feed as a sync does, with nothing to do."""
    began = time.process_time()
    with engine.store.read() as tx:
        looked_at = sum(len(plan.looked_at) for plan in engine._plans(tx, list(engine.connectors), Report("benchmark")))
    if looked_at:
        raise SystemExit(f"a quiet plan looked at {looked_at} records")
    return time.process_time() - began
