"""How fast Sidefeed reads, loads, and finds that nothing changed: ratios against a floor and against peers.

    python -m benchmarks [NAME ...] [--small 10000] [--large 100000] [--rounds 3] [--json FILE]

``pull-sf`` ``pull-hs`` ``initial-load`` ``noop-growth`` ``incremental-500`` through the practice servers; ``undo`` (of
the small size) and ``census`` (of both) against systems in the process, so that calls and time are ours alone. CPU is
user and system time of the whole process tree, the least of the rounds, the order of the contestants interleaved;
*marginal* is the difference between the large and the small size, which leaves imports and start-up out. Ends with 1
where a target is missed.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks import census, jobs, undo
from benchmarks.measured import Measure, job, measured
from benchmarks.peers import python_with
from benchmarks.servers import Server, serving

DLT = "dlt[sqlalchemy]==1.31.0"
TOUCHED = 500


@dataclass(frozen=True, slots=True)
class Ratio:
    """One line of the table. ``target`` is a bound on ``value``: an upper one, or a lower one where ``least``; None
    where the line only helps to understand another."""

    name: str
    what: str
    value: float
    target: float | None
    least: bool = False

    @property
    def held(self) -> bool:
        if self.target is None:
            return True
        return self.value >= self.target if self.least else self.value <= self.target

    def row(self) -> str:
        bound = f"{'>=' if self.least else '<='} {self.target:g}" if self.target is not None else ""
        held = ("held" if self.held else "MISSED") if bound else ""
        return f"{self.name:<16} {self.what:<66} {self.value:>9.2f} {bound:>9}  {held}"


Sizes = tuple[int, int]


def main() -> int:
    """Run what is asked for; 1 if a target is missed."""
    benchmarks = ((("pull-sf",), pull_salesforce), (("pull-hs",), pull_hubspot),
                  (("initial-load", "noop-growth", "incremental-500"), workspace),
                  (("undo",), undone), (("census",), counted))
    options = _options({name for names, _run in benchmarks for name in names})
    sizes = (options.small, options.large)
    ratios: list[Ratio] = []
    for names, run in benchmarks:
        if not options.names or set(names) & set(options.names):
            for ratio in run(sizes, options.rounds):
                ratios.append(ratio)
                print(ratio.row(), flush=True)
    bound = [ratio for ratio in ratios if ratio.target is not None]
    missed = [ratio for ratio in bound if not ratio.held]
    print(f"{len(bound) - len(missed)} of {len(bound)} targets held")
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps({"sizes": sizes, "rounds": options.rounds, "ratios": [
            {**asdict(ratio), "held": ratio.held} for ratio in ratios]}, indent=1))
    return 1 if missed else 0


def _options(known: set[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="what to run; all if none is named")
    parser.add_argument("--small", type=int, default=10_000)
    parser.add_argument("--large", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="also write the ratios here")
    options = parser.parse_args()
    if unknown := sorted(set(options.names) - known):
        parser.error(f"no benchmark is called {', '.join(unknown)}; there are {', '.join(sorted(known))}")
    return options


def pull_salesforce(sizes: Sizes, rounds: int) -> Iterable[Ratio]:
    """Every deal of a Salesforce organisation, to records."""
    cpu = _pulled("salesforce", sizes, rounds)
    yield Ratio("pull-sf", "our connector / bytes and orjson, marginal", cpu["ours"] / cpu["floor"], 2)
    yield Ratio("pull-sf", "simple-salesforce's iterator / our connector, marginal", cpu["sdk"] / cpu["ours"], 2, True)


def pull_hubspot(sizes: Sizes, rounds: int) -> Iterable[Ratio]:
    """Every deal of a HubSpot portal, to records."""
    cpu = _pulled("hubspot", sizes, rounds)
    yield Ratio("pull-hs", "our connector / bytes and orjson, marginal", cpu["ours"] / cpu["floor"], 2)
    yield Ratio("pull-hs", "hubspot-api-client's models / our connector, marginal", cpu["sdk"] / cpu["ours"], 10, True)


def _pulled(system: str, sizes: Sizes, rounds: int) -> dict[str, float]:
    """Marginal CPU of each contestant."""
    least: list[dict[str, float]] = []
    for size in sizes:
        with serving(system, size) as server:
            found: dict[str, list[Measure]] = {}
            for _round in range(rounds):
                for who in ("floor", "ours", "sdk"):
                    one = job(f"{system}_{who}", **server.info)
                    if one.answer["records"] != size:
                        raise SystemExit(f"{system}_{who} found {one.answer['records']} of {size} records")
                    found.setdefault(who, []).append(one)
            least.append({who: min(one.cpu for one in each) for who, each in found.items()})
    return {who: least[1][who] - least[0][who] for who in least[0]}


def workspace(sizes: Sizes, rounds: int) -> Iterable[Ratio]:
    """First load, a run with nothing to do, and a run after 500 changes, against dlt into SQLite."""
    small, large = (_life(size, rounds) for size in sizes)
    records = sizes[1] - sizes[0]
    yield Ratio("initial-load", "dlt / ours, CPU, whole process", large.peer_load.cpu / large.load.cpu, 5, True)
    yield Ratio("initial-load", "dlt / ours, CPU, marginal", (large.peer_load.cpu - small.peer_load.cpu) / (
        large.load.cpu - small.load.cpu), 5, True)
    floor = float(large.floor.answer["cpu"]) - float(small.floor.answer["cpu"])
    yield Ratio("initial-load", "ours / the same rows by bare sqlite3, CPU, marginal", (
        large.load.cpu - small.load.cpu) / floor, None)
    yield Ratio("initial-load", "dlt / the same rows by bare sqlite3, CPU, marginal", (
        large.peer_load.cpu - small.peer_load.cpu) / floor, None)
    yield Ratio("initial-load", f"peak memory at {sizes[1]:,} records, MB", large.load.rss, 120)
    yield Ratio("initial-load", "memory per added record, kB", (large.load.rss - small.load.rss) * 1024 / records, 0.5)
    yield Ratio("noop-growth", f"CPU at {sizes[1]:,} links / at {sizes[0]:,}", large.quiet.cpu / small.quiet.cpu, 1.2)
    yield Ratio("noop-growth", "CPU of the whole process, seconds", large.quiet.cpu, 0.9)
    yield Ratio("noop-growth", "calls used / minimum", _waste(large.quiet), 1)
    yield Ratio("incremental-500", "calls used / minimum", _waste(large.changed), 1.05)
    dlt = large.peer_changed.cpu / large.changed.cpu
    yield Ratio("incremental-500", "dlt / ours, CPU, whole process", dlt, 5, True)


def undone(sizes: Sizes, rounds: int) -> Iterable[Ratio]:
    """A run that changed every record of the small size is taken back. Calls do not vary: one round."""
    one = undo.measure(sizes[0])
    yield Ratio("undo", f"calls used / minimum, {sizes[0]:,} records", one.used / one.least, 1)


def counted(sizes: Sizes, rounds: int) -> Iterable[Ratio]:
    """Every link is held against both systems; then a plan of nothing, whose cost must not grow with the links."""
    small, large = (census.measure(size) for size in sizes)
    yield Ratio("census", f"calls used / minimum, {sizes[1]:,} links", large.used / large.least, 1)
    a_link = [1e6 * one.census / (2 * size) for one, size in zip((small, large), sizes, strict=True)]
    yield Ratio("census", f"microseconds of CPU a link and system, at {sizes[1]:,} links", a_link[1], None)
    yield Ratio("census", f"CPU a link, at {sizes[1]:,} links / at {sizes[0]:,}", a_link[1] / a_link[0], 1.5)
    yield Ratio("census", f"quiet plan, CPU at {sizes[1]:,} links / at {sizes[0]:,}", large.plan / small.plan, 1.5)


def _waste(one: Measure) -> float:
    return float(one.answer["used"]) / float(one.answer["minimum"])


@dataclass(frozen=True, slots=True)
class Life:
    """One workspace's first load, quiet run and run after changes, with the peer's; ``floor`` is the writing of what
    the first load stored."""

    load: Measure
    floor: Measure
    quiet: Measure
    changed: Measure
    peer_load: Measure
    peer_changed: Measure


def _life(size: int, rounds: int) -> Life:
    peer = python_with("dlt", DLT)
    with serving("salesforce", size) as server:
        lives = [_one_life(server, size, peer) for _round in range(rounds)]

    def least(get: Callable[[Life], Measure]) -> Measure:
        return min((get(life) for life in lives), key=lambda one: one.cpu)

    floor = min((life.floor for life in lives), key=lambda one: float(one.answer["cpu"]))
    return Life(least(lambda life: life.load), floor, least(lambda life: life.quiet), least(lambda life: life.changed),
                least(lambda life: life.peer_load), least(lambda life: life.peer_changed))


def _one_life(server: Server, size: int, peer: str) -> Life:
    asked = json.dumps({**server.info, "soql": jobs.SOQL, "version": jobs.VERSION, "incremental": True})
    with tempfile.TemporaryDirectory() as folder:
        project, other = Path(folder, "project"), Path(folder, "peer")
        other.mkdir()
        _write_project(project, server)
        load_peer = [peer, str(Path(__file__).parent / "peers" / "dlt_load.py"), str(other), asked]
        load, peer_load = job("sync", folder=str(project)), measured(load_peer)
        _expect(load.answer["links"] == peer_load.answer["rows"] == size, load, peer_load)
        floor = job("store_floor", workspace=str(project / "workspace.db"), into=str(other / "floor.db"))
        _expect(floor.answer["records"] >= size, floor)
        quiet = job("sync", folder=str(project))
        _expect(quiet.answer["counts"].get("absorbed", 0) == 0, quiet)
        server.touch(TOUCHED)
        server.calls()
        changed = job("sync", folder=str(project))
        _expect(server.calls() == changed.answer["used"], changed)
        _expect(changed.answer["counts"].get("captured") == TOUCHED, changed)
        return Life(load, floor, quiet, changed, peer_load, measured(load_peer))


def _expect(true: bool, *measures: Measure) -> None:
    if not true:
        raise SystemExit(f"a contestant did not do its work: {[one.answer for one in measures]}")


def _write_project(folder: Path, server: Server) -> None:
    from sidefeed.cli.project_files import settings_text, write_project

    write_project(folder, settings=settings_text({"salesforce": {
        "auth": "session", "instance_url": server.info["url"], "session_id": server.info["session_id"],
        "ca_file": server.info["ca_file"], "quota_share": 1}}))


if __name__ == "__main__":
    sys.exit(main())
