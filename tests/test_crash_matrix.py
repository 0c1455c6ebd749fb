"""The crash matrix: a real process is killed before and after each request and each commit of a sync, over real sockets.

The same sync is then run again, and the world must be the one that no crash would have made: nothing lost, nothing
doubled, nothing risen from the dead. A morning of edits in both CRMs, one of merges, and one of meetings in calendars.
`--crash-every 1` tries every point.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sandbox.exchange import ExchangeServer
from sandbox.hubspot import HubSpotServer
from sandbox.salesforce import SalesforceServer
from sandbox.salesforce.records import Actor
from sidefeed.project import Project
from sidefeed.workspace.report import conflict_lines
from tests import crash_process
from tests.sync.test_meetings import ANN, BOB, GUEST, Calendar
from tests.test_command_line import Desk

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.crash_process", "connectors.salesforce.client", "connectors.hubspot", "hubspot",
                                  "connectors.exchange",
                                  "sidefeed.sync", "alembic.command"])


@dataclass(frozen=True)
class Point:
    """Where the process dies: at a request to a system, or at a commit, before or after it took effect."""

    what: str
    number: int
    phase: str


class Morning:
    """Two CRMs that agree, and a morning's work in both; `again` brings everything back to that moment."""

    def __init__(self, folder: Path, desk: Desk, **servers: Any) -> None:
        self.desk = desk
        self.servers: dict[str, Any] = {"salesforce": desk.salesforce, "hubspot": desk.hubspot, **servers}
        self.kept = folder / "kept"
        self._begin()
        self._work()
        shutil.copytree(self.desk.folder, self.kept)
        self.snapshots = {name: server.call(server.snapshot) for name, server in self.servers.items()}

    def _begin(self) -> None:
        for name in ("Acme", "Bolt"):
            account = self.desk.sf("Account", Name=name, Website=f"https://{name.lower()}.example")
            for number in range(3):
                self.desk.sf("Opportunity", Name=f"{name} {number}", AccountId=account, Amount=100 + number,
                             StageName="Prospecting", CloseDate="2027-01-15")
        for _ in range(3):
            self.sync()

    def _work(self) -> None:
        """Edits on both sides, a disagreement, a deletion, a new deal on each side, a new account with its contact."""
        salesforce, hubspot = self.desk.salesforce, self.desk.hubspot
        deals = {row["Name"]: row["Id"] for row in salesforce.call(salesforce.rows, "Opportunity")}
        there = {row["properties"]["dealname"]: row["id"] for row in hubspot.call(hubspot.records, "deals")}
        salesforce.call(lambda: salesforce.update("Opportunity", deals["Acme 0"], Amount=777))
        hubspot.call(lambda: hubspot.update("deals", there["Bolt 0"], dealname="Bolt zero"))
        salesforce.call(lambda: salesforce.update("Opportunity", deals["Acme 1"], Amount=111))
        hubspot.call(lambda: hubspot.update("deals", there["Acme 1"], amount="222"))
        salesforce.call(lambda: salesforce.delete("Opportunity", deals["Bolt 2"]))
        account = self.desk.sf("Account", Name="Cogs", Website="https://cogs.example")
        self.desk.sf("Contact", LastName="Ito", Email="ito@cogs.example", AccountId=account)
        self.desk.sf("Opportunity", Name="Cogs new", AccountId=account, Amount=5, StageName="Prospecting",
                     CloseDate="2027-01-15")
        hubspot.call(lambda: hubspot.create("deals", dealname="Made there", amount="9"))

    def sync(self) -> None:
        project = Project.load(self.desk.folder)
        with project.engine() as engine:
            report = engine.sync(approve=True)
        project.close()
        assert report.failed == {}

    def again(self) -> None:
        for name, server in self.servers.items():
            server.call(lambda server=server, name=name: server.restore(self.snapshots[name]))
        shutil.rmtree(self.desk.folder)
        shutil.copytree(self.kept, self.desk.folder)

    def outcome(self) -> dict[str, Any]:
        """What people see in both systems, without ids, which differ by history; and what waits for a decision."""
        salesforce, hubspot = self.desk.salesforce, self.desk.hubspot
        accounts = {row["Id"]: row["Name"] for row in salesforce.call(salesforce.rows, "Account")}
        project = Project.load(self.desk.folder)
        store = project.store()
        with store.read() as tx:
            conflicts = sorted((line["label"], line["field"], sorted(str(side["value"]) for side in line["sides"]))
                               for line in conflict_lines(tx))
        store.close()
        return {
            "opportunities": sorted((row["Name"], str(row["Amount"]), accounts.get(row["AccountId"] or ""))
                                    for row in salesforce.call(salesforce.rows, "Opportunity")),
            "accounts": sorted(accounts.values()),
            "people": sorted(row["LastName"] for row in salesforce.call(salesforce.rows, "Contact")),
            "deals": sorted((row["properties"]["dealname"], row["properties"].get("amount"))
                            for row in hubspot.call(hubspot.records, "deals")),
            "companies": self.desk.hs_names("companies", "name"),
            "contacts": self.desk.hs_names("contacts", "lastname"),
            "conflicts": conflicts,
        }

    def killed(self, point: Point) -> bool:
        """Run one sync in a process that dies at this point; whether it did."""
        commit = point.number if point.what == "commit" else 0
        process = PROCESSES.Process(target=crash_process.sync, args=(
            str(self.desk.folder), commit, point.phase == "after", None))

        def hook(name: str) -> Any:
            began: list[int] = []

            def kill(ordinal: int, _request: Any, phase: str) -> None:
                began.append(ordinal)
                number = ordinal - began[0] + 1
                if (name, number, phase) == (point.what, point.number, point.phase) and process.pid is not None:
                    os.kill(process.pid, signal.SIGKILL)  # only one thread may ask the process how it ended
            return kill

        for name, server in self.servers.items():
            server.on_request = hook(name)
        try:
            process.start()
            process.join(60)
            assert process.exitcode is not None, "the sync hangs"
            return process.exitcode == -9
        finally:
            for server in self.servers.values():
                server.on_request = None

    def points(self, folder: Path) -> list[Point]:
        """Every request and every commit of a sync that nobody kills."""
        counted = folder / "commits"
        before = {name: server.counters.calls for name, server in self.servers.items()}
        process = PROCESSES.Process(target=crash_process.sync, args=(str(self.desk.folder), 0, False, str(counted)))
        process.start()
        process.join(60)
        assert process.exitcode == 0
        calls = {name: server.counters.calls - before[name] for name, server in self.servers.items()}
        return [Point(what, number, phase)
                for what, most in (*calls.items(), ("commit", int(counted.read_text())))
                for number in range(1, most + 1) for phase in ("before", "after")]


class Merges(Morning):
    """A morning of merging: two accounts in Salesforce, two contacts in HubSpot, with people at work on the losers."""

    def _begin(self) -> None:
        for name in ("Acme", "Acme Ltd", "Bolt"):
            account = self.desk.sf("Account", Name=name, Website=f"https://{name.lower().replace(' ', '-')}.example")
            self.desk.sf("Contact", LastName=f"At {name}", Email=f"ito@{name.lower().replace(' ', '-')}.example",
                         AccountId=account)
            self.desk.sf("Opportunity", Name=f"{name} deal", AccountId=account, Amount=100, StageName="Prospecting",
                         CloseDate="2027-01-15")
        for _ in range(3):
            self.sync()

    def _work(self) -> None:
        salesforce, hubspot = self.desk.salesforce, self.desk.hubspot
        accounts = {row["Name"]: row["Id"] for row in salesforce.call(salesforce.rows, "Account")}
        deals = {row["Name"]: row["Id"] for row in salesforce.call(salesforce.rows, "Opportunity")}
        people = {row["properties"]["lastname"]: row["id"] for row in hubspot.call(hubspot.records, "contacts")}
        salesforce.call(lambda: salesforce.update("Opportunity", deals["Acme Ltd deal"], Amount=777))
        salesforce.call(lambda: salesforce.records.merge(
            "Account", accounts["Acme"], [accounts["Acme Ltd"]], {}, Actor(salesforce.admin_id)))
        hubspot.call(lambda: hubspot.update("contacts", people["At Acme Ltd"], jobtitle="Buyer"))
        hubspot.call(lambda: hubspot.merge("contacts", people["At Acme"], people["At Acme Ltd"]))
        self.desk.sf("Opportunity", Name="New for Acme", AccountId=accounts["Acme"], Amount=5,
                     StageName="Prospecting", CloseDate="2027-01-15")


class Meetings(Morning):
    """A morning in calendars: one meeting moved, one cancelled, one turned private, one new in two calendars, and one
    that is planned in the workspace."""

    desk: Calendar

    def _begin(self) -> None:
        for subject in ("Moved", "Cancelled", "Private by now", "Stays"):
            self.desk.meets(subject=subject)
        for _ in range(3):
            self.sync()

    def _work(self) -> None:
        exchange = self.desk.exchange
        mine = {str(item.values.get("item:Subject")): item for item in exchange.call(lambda: exchange.items(ANN))
                if item.kind == "CalendarItem"}
        later = (datetime.now(UTC) + timedelta(days=3)).replace(microsecond=0, second=0)
        exchange.call(lambda: exchange.update_event(
            ANN, mine["Moved"], start=later, end=later + timedelta(hours=1)))
        self.desk.cancel_in_calendar(mine["Cancelled"])
        exchange.call(lambda: exchange.update_event(ANN, mine["Private by now"], sensitivity="Private"))
        self.desk.meets(subject="In two calendars", attendees=[BOB, GUEST])
        day = (datetime.now(UTC) + timedelta(days=2)).strftime("%Y-%m-%d")
        code, told = self.desk("meet", "plan", "Pumps", "--as", ANN, "--start", f"{day}T10:00", "--zone", "UTC",
                               "--subject", "Planned here", "--with", GUEST)
        assert code == 0, told

    def outcome(self) -> dict[str, Any]:
        exchange = self.desk.exchange
        calendars = {address: sorted(str(item.values.get("item:Subject")) for item in exchange.call(
            lambda address=address: exchange.items(address)) if item.kind == "CalendarItem") for address in (ANN, BOB)}
        return {**super().outcome(), "calendars": calendars,
                "events": sorted((row["Subject"], str(row["StartDateTime"]), str(row["WhatId"]))
                                 for row in self.desk.events()),
                "meetings": sorted((str(row["properties"]["hs_meeting_title"]),
                                    str(row["properties"].get("hs_meeting_start_time")))
                                   for row in self.desk.hubspot.call(self.desk.hubspot.records, "meetings")),
                "mailed": len(exchange.call(exchange.outbox))}


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Callable[[type[Morning]], Morning]]:
    """Begins a morning of one kind on practice servers of its own."""
    with ExitStack() as servers:
        def begin(kind: type[Morning]) -> Morning:
            salesforce = servers.enter_context(SalesforceServer(tls=True))
            hubspot = servers.enter_context(HubSpotServer())
            if kind is not Meetings:
                return kind(tmp_path, Desk(tmp_path / "project", salesforce, hubspot))
            exchange = servers.enter_context(ExchangeServer())
            return kind(tmp_path, Calendar(tmp_path / "project", salesforce, hubspot, exchange), exchange=exchange)

        yield begin


@pytest.mark.slow
@pytest.mark.parametrize("kind", [Morning, Merges, Meetings], ids=lambda kind: kind.__name__)
def test_a_process_killed_at_any_request_or_commit_leaves_the_world_that_no_crash_makes(
    kind: type[Morning], office: Callable[[type[Morning]], Morning], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    morning = office(kind)
    points = morning.points(tmp_path)
    for _ in range(2):
        morning.sync()
    expected = morning.outcome()
    assert kind is not Morning or expected["conflicts"]
    assert len(points) > 60, "the morning must have something to kill"
    died, tried, wrong = 0, points[::request.config.getoption("--crash-every")], []
    for point in tried:
        morning.again()
        died += morning.killed(point)
        for _ in range(3):
            morning.sync()
        if (found := morning.outcome()) != expected:
            wrong.append((point, {name: (found[name], expected[name]) for name in found
                                  if found[name] != expected[name]}))
    assert wrong == [], f"{len(wrong)} of {len(tried)} points"
    assert died >= len(tried) * 0.9, "the kills must happen"
