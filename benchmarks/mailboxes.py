"""Two hundred mailboxes on a bad day: what is lost, what is doubled, how many requests are in flight.

    python -m benchmarks.mailboxes [--door graph|ews] [--mailboxes 200] [--meetings 12] [--changes 500] [--workers 8]
                                   [--json FILE]

``mailboxes-200`` through Graph, ``mailboxes-200-ews`` through EWS, which counts no requests in flight. Mailboxes are
read by several workers at once, as runs split by mailbox do, while one request in ten is throttled, refused, cut off
after its effect, or answered by a gateway. Then people change their calendars, tokens die, and every mailbox is read
again; then meetings are created, and those whose answer was lost are looked for by their key before they are sent
again; then every sync state is forgotten. Ends with 1 if a meeting was lost or doubled, a mailbox had more than four
requests in flight, or anybody was mailed.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from connectors.calendars.identity import occurrence_id
from connectors.exchange import ExchangeConnector
from connectors.microsoft365 import Microsoft365Connector
from sandbox.exchange import ExchangeServer
from sandbox.graph import GraphServer, ids
from sandbox.kit import PracticeServer
from sidefeed.connector import (
    Connector,
    ConnectorError,
    CursorExpired,
    Outcome,
    RateLimited,
    Stream,
    Unavailable,
    Write,
)

FIELDS = ("Key", "Subject", "Start", "End", "Zone", "IsAllDay", "Attendees", "Sensitivity", "IsCancelled")
NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
FAULT_SHARE = 1 / 10
TRIES = 20


@dataclass
class Result:
    """What was measured. ``lost`` and ``doubled`` count meetings, ``peak`` requests in flight of one mailbox."""

    name: str
    meetings: int
    seconds: dict[str, float] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)
    faults: int = 0
    lost: int = 0
    doubled: int = 0
    peak: int = 0
    refused: int = 0
    mailed: int = 0

    @property
    def held(self) -> bool:
        return not (self.lost or self.doubled or self.mailed or self.refused) and self.peak <= 4 and self.faults > 0


class Graph:
    """The door of Microsoft 365: at most four requests of a mailbox in flight, tokens that expire."""

    path = "/v1.0/*"
    faults: tuple[tuple[str, dict[str, Any]], ...] = (
        ("throttled", {"retry_after": 0}), ("unavailable", {"retry_after": None}), ("gateway", {"after": True}),
        ("drop_after", {}), ("drop_before", {}), ("truncate", {}),
    )  # fmt: skip
    conditions = ("expire_tokens", "forget_sync_states")

    def __init__(self, seed: int) -> None:
        self.server: PracticeServer = (graph := GraphServer(seed=seed))
        self.office: ExchangeServer = graph.office
        self._limits = graph.limits

    def connect(self, addresses: list[str]) -> Connector:
        info = self.server.connection_info()
        return Microsoft365Connector.from_settings({
            **{name: info[name] for name in ("tenant_id", "client_id", "client_secret")}, "login_base": info["login"],
            "graph_base": info["graph"], "mailboxes": addresses}, sleep=_briefly)  # fmt: skip

    def name(self, item: Any) -> str:
        """The id under which the connector knows an item of a view."""
        world = self.office.world
        if item.original is None:
            return ids.of_item(world, item, immutable=True)
        return occurrence_id(ids.of_master(world, item, immutable=True), f"{item.original:%Y-%m-%dT%H:%M:%SZ}")

    def flight(self) -> tuple[int, int]:
        """The most requests of a mailbox in flight, and how many were refused for it."""
        return max(self._limits.peak.values()), self._limits.refused


class Ews:
    """The door of Exchange: a service account that impersonates, sync states that are forgotten."""

    path = "/EWS/*"
    faults: tuple[tuple[str, dict[str, Any]], ...] = (
        ("busy", {"backoff_ms": 1}), ("status", {"status": 503}), ("html", {}), ("drop_after", {}), ("drop_before", {}),
        ("truncate", {}),
    )  # fmt: skip
    conditions = ("forget_sync_states", "forget_sync_states")

    def __init__(self, seed: int) -> None:
        self.server: PracticeServer = (exchange := ExchangeServer(seed=seed))
        self.office: ExchangeServer = exchange

    def connect(self, addresses: list[str]) -> Connector:
        self.office.call(lambda: self.office.add_account("svc-sidefeed", "practice", impersonates=["*"]))
        return ExchangeConnector.from_settings({
            "endpoint": f"{self.server.url}/EWS/Exchange.asmx", "username": "svc-sidefeed", "password": "practice",
            "mailboxes": addresses})  # fmt: skip

    def name(self, item: Any) -> str:
        """The id under which the connector knows an item of a view."""
        world = self.office.world
        if item.original is None:
            return world.item_id(item)
        return occurrence_id(world.item_id(item.master), f"{item.original:%Y-%m-%dT%H:%M:%SZ}")

    def flight(self) -> tuple[int, int]:
        return 0, 0


DOORS = {"graph": Graph, "ews": Ews}


class Reader:
    """One run's share of the work: a mailbox from its last cursor to the present, however often it fails."""

    def __init__(self, door: Graph | Ews, addresses: list[str], workers: int) -> None:
        self._connectors = [door.connect(addresses) for _ in range(workers)]
        self.cursors: dict[str, str | None] = {}
        self.told: dict[str, dict[str, Any]] = {}
        self._pool = ThreadPoolExecutor(workers)

    def read(self, addresses: list[str]) -> None:
        """Every mailbox to the present, side by side."""
        self._side_by_side(self._one, addresses)

    def _side_by_side(self, work: Callable[[Connector, str], None], addresses: list[str]) -> None:
        """Each worker has a connector, and its share of the mailboxes one after the other."""
        def share(number: int) -> None:
            for address in addresses[number::len(self._connectors)]:
                work(self._connectors[number], address)

        list(self._pool.map(share, range(len(self._connectors))))

    def _one(self, connector: Connector, address: str) -> None:
        told = self.told.setdefault(address, {})
        for _ in range(TRIES):
            try:
                for page in connector.changes(Stream("calendar", address), FIELDS, self.cursors.get(address)):
                    for record in page.records:
                        if record.state == "live":
                            told[record.id] = record.values
                        else:
                            told.pop(record.id, None)
                    self.cursors[address] = page.cursor
                return
            except CursorExpired:
                self.cursors[address] = None
                told.clear()
            except (RateLimited, Unavailable):
                pass  # the next run goes on from the page that was stored last
        raise SystemExit(f"mailbox {address} could not be read in {TRIES} runs")

    def write(self, wanted: dict[str, list[Write]]) -> None:
        """Every create in its mailbox; one whose answer was lost is looked for before it is sent again."""
        self._side_by_side(lambda connector, address: self._create(connector, address, wanted[address]), list(wanted))

    def _create(self, connector: Connector, address: str, writes: list[Write]) -> None:
        stream, left = Stream("calendar", address), list(writes)
        for _ in range(TRIES):
            if not left:
                return
            outcomes = list(connector.write(stream, left))
            settled = {one.key for one in outcomes if one.status == "done"}
            left = [one for one in left if one.key not in settled]
            unknown = [one.key for one in outcomes if one.status == "unknown"]
            found = self._look(connector, stream, unknown, outcomes)
            left = [one for one in left if one.key not in found]
        raise SystemExit(f"mailbox {address} took {TRIES} runs and still lacks {len(left)} meetings")

    def _look(
        self, connector: Connector, stream: Stream, keys: list[str], outcomes: list[Outcome]
    ) -> set[str]:
        """Which of these creates took effect. Raises SystemExit for an outcome that nothing explains."""
        refused = [one for one in outcomes if one.status in ("refused", "stale")]
        if refused:
            raise SystemExit(f"a create was {refused[0].status}: {refused[0].error}")
        for _ in range(TRIES):
            try:
                return {key for key, found in connector.find(stream, keys).items() if found}
            except ConnectorError:
                continue
        raise SystemExit("the keys could not be looked for")

    def calls(self) -> int:
        return sum(one.calls.used for one in self._connectors)

    def close(self) -> None:
        self._pool.shutdown()
        for one in self._connectors:
            one.close()


def _briefly(seconds: float) -> None:
    """Waits are not what is measured."""
    time.sleep(min(seconds, 0.01))


def run(mailboxes: int, meetings: int, changes: int, workers: int, seed: int, door_name: str = "graph") -> Result:
    """The whole day, through one of ``DOORS``."""
    dice, addresses = random.Random(seed), [f"rep{number:03}@practice.example" for number in range(mailboxes)]
    result = Result(f"mailboxes-{mailboxes}" + ("" if door_name == "graph" else f"-{door_name}"), mailboxes * meetings)
    door = DOORS[door_name](seed)
    with door.server as server:
        server.clock.fix(NOW)
        server.call(_fill, door.office, addresses, meetings, dice)
        reader = Reader(door, addresses, workers)
        for kind, args in door.faults:
            server.faults.add(kind, path=door.path, count=None, probability=FAULT_SHARE / len(door.faults), args=args)
        with _timed(result, reader, "first"):
            reader.read(addresses)
        server.condition(door.conditions[0])
        server.call(_change, door.office, addresses, changes, dice)
        with _timed(result, reader, "changes"):
            reader.read(addresses)
        with _timed(result, reader, "creates"):
            reader.write({address: [_meeting(address, number) for number in range(4)] for address in addresses})
        server.condition(door.conditions[1])
        with _timed(result, reader, "again"):
            reader.read(addresses)
        server.faults.clear()
        with _timed(result, reader, "nothing"):
            reader.read(addresses)
        result.faults = len(server.faults.hits)
        result.peak, result.refused = door.flight()
        result.mailed = len(server.call(door.office.outbox))
        server.call(_compare, door, reader, result)
        reader.close()
        if server.crashes:
            raise SystemExit(server.crashes[0].traceback)
    return result


def _meeting(address: str, number: int) -> Write:
    start = NOW + timedelta(days=3, hours=number)
    times = {"Start": f"{start:%Y-%m-%dT%H:%M:%SZ}", "End": f"{start + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}"}
    key = f"{address}/{number}:1"
    return Write(key, "create", {"Subject": f"planned {number}", **times}, external_key=key)


def _fill(office: ExchangeServer, addresses: list[str], meetings: int, dice: random.Random) -> None:
    for address in addresses:
        office.add_mailbox(address, timezone=dice.choice(("UTC", "Europe/Berlin", "America/New_York")))
        for number in range(meetings):
            series = {"recurrence": {"weekly": [], "count": 4}} if number % 6 == 0 else {}
            office.create_event(address, subject=f"meeting {number}", **_times(dice), **series)


def _times(dice: random.Random) -> dict[str, Any]:
    start = NOW + timedelta(days=dice.randint(-20, 60), minutes=30 * dice.randint(0, 16))
    return {"start": start, "end": start + timedelta(minutes=45)}


def _change(office: ExchangeServer, addresses: list[str], changes: int, dice: random.Random) -> None:
    for number in range(changes):
        address = dice.choice(addresses)
        found = [one for one in office.items(address) if not one.is_master]
        if number % 3 == 0 or not found:
            office.create_event(address, subject=f"new {number}", **_times(dice))
        elif number % 3 == 1:
            office.update_event(address, dice.choice(found), subject=f"changed {number}", **_times(dice))
        else:
            office.delete(address, dice.choice(found))


def _compare(door: Graph | Ews, reader: Reader, result: Result) -> None:
    """What was told against what the calendars hold, and the planned meetings against their keys."""
    window = NOW.replace(hour=0) - timedelta(days=30), NOW.replace(hour=0) + timedelta(days=91)
    for address, told in reader.told.items():
        there = {door.name(one): one.get("item:Subject") for one in door.office.view(address, *window)}
        here = {each: (values or {}).get("Subject") for each, values in told.items() if _inside(values, window)}
        result.lost += sum(here.get(each) != subject for each, subject in there.items())
        result.doubled += len(here.keys() - there.keys())
        planned = [one for one in door.office.items(address) if str(one.get("item:Subject")).startswith("planned")]
        result.lost += max(0, 4 - len(planned))
        result.doubled += max(0, len(planned) - 4)


def _inside(values: dict[str, Any] | None, window: tuple[datetime, datetime]) -> bool:
    start, end = (datetime.fromisoformat((values or {})[name]) for name in ("Start", "End"))
    return start < window[1] and end >= window[0]


@contextmanager
def _timed(result: Result, reader: Reader, name: str) -> Iterator[None]:
    started, before = time.perf_counter(), reader.calls()
    yield
    result.seconds[name] = round(time.perf_counter() - started, 2)
    result.calls[name] = reader.calls() - before


def main() -> int:
    """Run; 1 if anything was lost, doubled, mailed, or asked too much at a time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--door", choices=sorted(DOORS), default="graph")
    parser.add_argument("--mailboxes", type=int, default=200)
    parser.add_argument("--meetings", type=int, default=12, help="in each mailbox; every sixth is a weekly series")
    parser.add_argument("--changes", type=int, default=500, help="what people do between the readings")
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="also write the result here")
    options = parser.parse_args()
    result = run(options.mailboxes, options.meetings, options.changes, options.workers, options.seed,
                 options.door)
    flight = f", at most {result.peak} requests in flight per mailbox" if result.peak else ""
    print(f"{result.name}: {result.meetings:,} meetings, {result.faults} faults; seconds {result.seconds}; "
          f"calls {result.calls}\n{result.lost} lost, {result.doubled} doubled, {result.mailed} mailed"
          f"{flight}, {result.refused} refused: "
          f"{'held' if result.held else 'MISSED'}")  # fmt: skip
    if options.json:
        options.json.write_text(json.dumps({**asdict(result), "held": result.held}, indent=1))
    return 0 if result.held else 1


if __name__ == "__main__":
    sys.exit(main())
