"""``sidefeed demo``: a company's day on practice servers, every step proved with the plain libraries of the systems.

The demonstration writes a project folder as ``sidefeed init`` would, runs syncs as ``sidefeed sync`` would, and then
reads the systems back with simple-salesforce and hubspot-api-client, never through our connectors.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from sandbox import company
from sandbox.exchange import ExchangeServer
from sandbox.hubspot import HubSpotServer
from sandbox.salesforce import SalesforceServer
from sidefeed.cli.demo_calendars import DOORS, Door, opened
from sidefeed.cli.project_files import settings_text, write_project
from sidefeed.mapping.prepare import prepare
from sidefeed.plural import many
from sidefeed.project import Project
from sidefeed.sync import Report
from sidefeed.workspace import Draft
from sidefeed.workspace.report import conflict_lines, decide_conflict, find_records

HOSTILE = ("Pumps \"R\" 'Us'; DROP TABLE deals; --\n\U0001f4a3 <script>alert(1)</script> " + "long " * 80)[:400]

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the day: what should hold afterwards, and what the systems were seen to hold."""

    name: str
    ok: bool
    expected: dict[str, Any]
    observed: dict[str, Any]


@dataclass(slots=True)
class Outcome:
    """What ``--json`` prints at the end."""

    steps: list[Step] = field(default_factory=list)
    systems: dict[str, dict[str, int]] = field(default_factory=dict)
    calls: dict[str, dict[str, int]] = field(default_factory=dict)
    duplicates: int = 0
    lost: int = 0
    mailed: int = 0
    seconds: float = 0.0
    project: str | None = None

    @property
    def ok(self) -> bool:
        return bool(self.steps) and all(step.ok for step in self.steps) and not (
            self.duplicates or self.lost or self.mailed)

    def as_json(self) -> dict[str, Any]:
        return {"ok": self.ok, "steps": [asdict(step) for step in self.steps], "systems": self.systems,
                "calls": self.calls, "duplicates": self.duplicates, "lost": self.lost, "mailed": self.mailed,
                "seconds": round(self.seconds, 1), **({"project": self.project} if self.project else {})}


def run(
    say: Say, *, keep: Path | None = None, prefect: bool = False, seed: int = 7, calendar: str = "exchange"
) -> Outcome:
    """Live the day. ``keep`` names a folder that the project stays in; ``prefect`` lives it through flow runs;
    ``calendar`` is the door to the mailboxes, one of ``demo_calendars.DOORS``. Raises RuntimeError where its server is
    not installed."""
    started = time.monotonic()
    with ExitStack() as stack:
        folder = keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sidefeed-demo-")))
        say(f"Starting practice servers for Salesforce, HubSpot and {DOORS[calendar]}, and founding a company in "
            "them ...")
        office = stack.enter_context(_office(folder, seed, calendar))
        if prefect:
            from sidefeed.cli.server import LocalServer

            say("Starting a local Prefect server and worker ...")
            office.server = stack.enter_context(LocalServer(folder))
        day = Day(office, say)
        outcome = day.live()
        if keep:
            say("\nThe evening")
            Evening(office, say).pass_by()
    outcome.seconds = time.monotonic() - started
    outcome.project = str(keep) if keep else None
    return outcome


@contextmanager
def _office(folder: Path, seed: int, calendar: str) -> Iterator[Office]:
    with ExitStack() as stack:
        salesforce = stack.enter_context(SalesforceServer(tls=True))
        hubspot, exchange = stack.enter_context(HubSpotServer()), stack.enter_context(ExchangeServer())
        founded = company.found(salesforce, hubspot, exchange, seed=seed)
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sidefeed-calendars-")))
        yield Office(folder, salesforce, hubspot, stack.enter_context(opened(calendar, exchange, place)), founded)


class Office:
    """The practice servers, the project that links them, and plain clients to look for oneself."""

    def __init__(
        self, folder: Path, salesforce: SalesforceServer, hubspot: HubSpotServer, door: Door, founded: company.Company,
    ) -> None:
        self.folder = folder
        self.salesforce, self.hubspot, self.door = salesforce, hubspot, door
        self.founded = founded
        self.server: Any = None
        self.counters: dict[str, Callable[[], int]] = {
            "salesforce": lambda: salesforce.counters.calls, "hubspot": lambda: hubspot.counters.calls,
            door.system: door.calls}
        self.calls: dict[str, dict[str, int]] = {name: {"used": 0, "minimum": 0} for name in self.counters}
        sf, hs = salesforce.connection_info(), hubspot.connection_info()
        self.token = hs["access_token"]
        self.session = sf["session_id"]
        write_project(folder, force=True, settings=settings_text({
            "salesforce": {"auth": "session", "instance_url": salesforce.url, "session_id": self.session,
                           "ca_file": str(salesforce.ca_file)},
            "hubspot": {"access_token": self.token, "host": hubspot.url},
            door.system: door.settings(),
        }, people=_people(), person=company.address(company.MANAGER), workspace="workspace.db", mappings="mappings"))
        with self.project() as project:
            for name in company.KEY_OBJECTS:
                prepare(project.mappings(), name, project.connector(name), apply=True)

    @contextmanager
    def project(self) -> Iterator[Project]:
        project = Project.load(self.folder)
        try:
            yield project
        finally:
            project.close()

    def sync(self) -> Report:
        """One sync of everything; adds to the count of calls, by the servers' own counters."""
        before = self._counted()
        if self.server is not None:
            report: Report = self.server.sync()
            minimum = dict.fromkeys(self.calls, 0)
        else:
            with self.project() as project, project.engine() as engine:
                report = engine.sync()
                minimum = {name: one.calls.minimum for name, one in engine.connectors.items()}
        after = self._counted()
        self.last_calls = {name: {"used": after[name] - before[name], "minimum": minimum.get(name, 0)}
                           for name in self.calls}
        for name, calls in self.last_calls.items():
            self.calls[name]["used"] += calls["used"]
            self.calls[name]["minimum"] += calls["minimum"] or calls["used"]
        return report

    def _counted(self) -> dict[str, int]:
        return {name: counted() for name, counted in self.counters.items()}

    # -- looking for oneself, with the plain libraries ----------------------------------------------------------

    def sf(self) -> Any:
        import requests
        from simple_salesforce import Salesforce

        session = requests.Session()
        session.verify = str(self.salesforce.ca_file)
        session.trust_env = False
        return Salesforce(instance_url=self.salesforce.url, session_id=self.session, session=session)

    def hs(self) -> Any:
        from hubspot import HubSpot

        return HubSpot(access_token=self.token, host=self.hubspot.url)

    def opportunities(self) -> dict[str, dict[str, Any]]:
        found = self.sf().query_all("SELECT Id, Name, Amount, CloseDate, StageName, NextStep FROM Opportunity")
        return {row["Id"]: row for row in found["records"]}

    def deals(self) -> dict[str, dict[str, Any]]:
        names = ["dealname", "amount", "closedate", "dealstage", "hs_next_step", "sidefeed_key"]
        return {row.id: row.properties for row in self.hs().crm.deals.get_all(properties=names)}

    def counts(self) -> dict[str, dict[str, int]]:
        sf, hs = self.sf(), self.hs()
        return {
            "salesforce": {name: sf.query(f"SELECT COUNT() FROM {name}")["totalSize"]  # noqa: S608  a constant name
                           for name in ("Account", "Contact", "Opportunity", "Event")},
            "hubspot": {"companies": len(hs.crm.companies.get_all()), "contacts": len(hs.crm.contacts.get_all()),
                        "deals": len(hs.crm.deals.get_all()),
                        "meetings": len(hs.crm.objects.meetings.basic_api.get_page(limit=100).results)},
            self.door.system: {"mailboxes": self.door.mailboxes(), "events": self.door.items()},
        }


def comparable(row: dict[str, Any]) -> tuple[str, str, str]:
    """What both CRMs should say of one deal: amount, closing date, stage, in one spelling."""
    if "StageName" in row:
        stage = _STAGES.get(row["StageName"], row["StageName"])
        return _amount(row["Amount"]), str(row["CloseDate"]), stage
    return _amount(row["amount"]), str(row["closedate"] or "")[:10], str(row["dealstage"])


_STAGES = {"Prospecting": "appointmentscheduled", "Qualification": "qualifiedtobuy",
           "Needs Analysis": "presentationscheduled", "Proposal/Price Quote": "decisionmakerboughtin",
           "Negotiation/Review": "contractsent", "Closed Won": "closedwon", "Closed Lost": "closedlost"}


def _amount(value: Any) -> str:
    return "" if value in (None, "") else f"{Decimal(str(value)):.2f}"


class Day:
    """The steps, in order. Each returns what it expected and what it saw; they agree or the step failed."""

    def __init__(self, office: Office, say: Say) -> None:
        self.office = office
        self.say = say
        self.outcome = Outcome()
        self.story = office.founded.story
        self.own_mail = 0

    def live(self) -> Outcome:
        for number, (name, step) in enumerate((
            ("first contact", self.first_contact),
            ("a deal moves in the workspace", self.workspace_edit),
            ("a customer meeting in the calendar", self.meeting),
            ("two fields of one deal change in two systems", self.split_edit),
            ("one amount changes in both", self.dispute),
            ("a deletion and a hostile name", self.deletion_and_hostility),
            ("the same sync again", self.again),
            ("killed while writing, and run again", self.killed),
            ("the forecast", self.forecast),
        ), start=1):
            self.say(f"\n{number}. {name[0].upper()}{name[1:]}")
            expected, observed = step()
            ok = all(observed.get(key) == value for key, value in expected.items())
            self.outcome.steps.append(Step(name, ok, expected, observed))
            self.say(f"   {'held' if ok else 'FAILED'}: " + "; ".join(
                f"{key} {_short(observed.get(key))}" + ("" if observed.get(key) == value else
                                                         f" (expected {_short(value)})")
                for key, value in expected.items()))
        self.outcome.systems = self.office.counts()
        self.outcome.calls = self.office.calls
        self.outcome.mailed = self._mailed()
        self.outcome.duplicates = self._duplicates()
        self.outcome.lost = self._lost()
        return self.outcome

    def _lost(self) -> int:
        """Deals that one CRM holds and the other does not, the one with the hostile name excepted: it has two names."""
        in_sf = {row["Name"] for row in self.office.opportunities().values()}
        in_hs = {row["dealname"] for row in self.office.deals().values()}
        two_names = {self.story["hostile"]["name"], *(name for name in in_hs if _squeezed(name) == _squeezed(HOSTILE))}
        return len((in_sf ^ in_hs) - two_names)

    def _mailed(self) -> int:
        """Messages sent beyond those that a rep's own calendar program sent."""
        return self.office.door.mailed() - self.own_mail

    def _duplicates(self) -> int:
        """More than one live object for one of our keys, or for one deal name, in either CRM."""
        sf_names = Counter(row["Name"] for row in self.office.opportunities().values())
        hs = self.office.deals()
        hs_names = Counter(row["dealname"] for row in hs.values())
        keys = Counter(row["sidefeed_key"] for row in hs.values() if row["sidefeed_key"])
        return sum(number - 1 for count in (sf_names, hs_names, keys) for number in count.values() if number > 1)

    def _by_name(self, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
        in_sf = [row for row in self.office.opportunities().values() if row["Name"] == name]
        in_hs = [row for row in self.office.deals().values() if row["dealname"] == name]
        return (in_sf[0] if in_sf else {}), (in_hs[0] if in_hs else {})

    def _edit(self, name: str, fields: dict[str, Any], actor: str = "ann.lee@brightwater.example") -> None:
        """A rep edits a deal in the workspace."""
        with self.office.project() as project:
            store = project.store()
            with store.write() as tx:
                (state,) = find_records(tx, name)
                tx.append([Draft(state.entity, state.id, fields, actor, "workspace")])
            store.close()

    # -- 1 ------------------------------------------------------------------------------------------------------

    def first_contact(self) -> tuple[dict[str, Any], dict[str, Any]]:
        office, founded = self.office, self.office.founded
        before = office.counts()
        with office.project() as project, project.engine() as engine:
            plans, planned = engine.plan()
        creates = sum(write.op == "create" for plan in plans for write in plan.writes)
        waiting = sum(len(plan.waiting) for plan in plans)
        self.say(f"   planned: {planned.counts['matched']} matched, {planned.counts['new_here']} new here, "
                 f"{creates} new there ({waiting} more wait for a parent), {planned.counts['ambiguous']} ambiguous")
        untouched = office.counts() == before
        office.sync()
        disputed = self._settle_stale_copies()
        office.sync()
        agreed = office.sync()
        sf, hs = office.opportunities(), office.deals()
        there = {row["Name"]: comparable(row) for row in sf.values()}
        here = {row["dealname"]: comparable(row) for row in hs.values()}
        observed = {
            "untouched by planning": untouched, "deals in Salesforce": len(sf), "deals in HubSpot": len(hs),
            "deals that differ": sum(there.get(name) != row for name, row in here.items()) + len(
                there.keys() ^ here.keys()),
            "matched": planned.counts["matched"], "ambiguous": planned.counts["ambiguous"],
            "stale copies put to a person": disputed, "written once all agree": agreed.counts.get("written", 0),
        }
        users = 7  # three reps and the manager in HubSpot, the reps' mailboxes: one person each
        people = 0 if "domino" in office.calls else len(company.REPS)  # in each address book one; Domino shows none
        expected = {
            "untouched by planning": True, "deals in Salesforce": founded.deals, "deals in HubSpot": founded.deals,
            "deals that differ": 0, "ambiguous": 2, "stale copies put to a person": len(founded.stale_deals),
            "matched": founded.shared_accounts + founded.shared_contacts + founded.shared_deals + users + people,
            "written once all agree": 0,
        }
        return expected, observed

    def _settle_stale_copies(self) -> int:
        with self.office.project() as project:
            store = project.store()
            with store.read() as tx:
                lines = conflict_lines(tx)
            for line in lines:
                decide_conflict(store, line["record"], line["field"], system="salesforce", actor="dana.cole")
            store.close()
        return len(lines)

    # -- 2 ------------------------------------------------------------------------------------------------------

    def workspace_edit(self) -> tuple[dict[str, Any], dict[str, Any]]:
        name = self.story["moved"]["name"]
        self.say(f"   Ann moves {name!r} in the workspace: negotiation, 77,500, next step.")
        self._edit(name, {"stage": "negotiation", "money": {"amount": "77500", "currency": "USD"},
                          "next_step": "Send the contract by Friday"})
        self.office.sync()
        sf, hs = self._by_name(name)
        return ({"Salesforce": ["77500.00", "contractsent", "Send the contract by Friday"],
                 "HubSpot": ["77500.00", "contractsent", "Send the contract by Friday"]},
                {"Salesforce": [comparable(sf)[0], comparable(sf)[2], sf["NextStep"]],
                 "HubSpot": [comparable(hs)[0], comparable(hs)[2], hs["hs_next_step"]]})

    # -- 3 ------------------------------------------------------------------------------------------------------

    def meeting(self) -> tuple[dict[str, Any], dict[str, Any]]:
        office = self.office
        subject = "Contract walk-through"
        start = (datetime.now(UTC) + timedelta(days=1)).replace(hour=13, minute=0, second=0, microsecond=0)
        self.say("   Ann invites a customer in her calendar, and blocks half an hour for the dentist.")
        office.door.holds_meeting("ann.lee@brightwater.example", subject, start, self.story["customer"]["email"])
        self.own_mail = office.door.mailed()
        office.sync()
        events = office.sf().query_all("SELECT Id, Subject, WhatId, WhoId, StartDateTime FROM Event")["records"]
        meetings = office.hs().crm.objects.meetings.basic_api.get_page(
            limit=100, properties=["hs_meeting_title", "hs_meeting_start_time"]).results
        filed = [event for event in events if event["Subject"] == subject]
        found = [one for one in meetings if one.properties["hs_meeting_title"] == subject]
        subjects = [str(event["Subject"]) for event in events] + [
            str(one.properties["hs_meeting_title"]) for one in meetings]
        words = (*office.founded.private_words, *office.founded.internal_words)
        deal = [str(one.to_object_id) for meeting in found
                for one in office.hs().crm.associations.v4.basic_api.get_page("meetings", meeting.id, "deals").results]
        return ({"Events": 1, "on the deal": self.story["meeting_deal"]["salesforce"],
                 "at": start.strftime("%Y-%m-%dT%H:%M"), "with": self.story["customer"]["salesforce"],
                 "HubSpot meetings": 1, "on the HubSpot deal": [self.story["meeting_deal"]["hubspot"]],
                 "private or internal": 0, "mailed": 0},
                {"Events": len(filed), "on the deal": filed[0]["WhatId"] if filed else None,
                 "at": filed[0]["StartDateTime"][:16] if filed else None,
                 "with": filed[0]["WhoId"] if filed else None,
                 "HubSpot meetings": len(found), "on the HubSpot deal": deal,
                 "private or internal": sum(word in subject for subject in subjects for word in words),
                 "mailed": self._mailed()})

    # -- 4 ------------------------------------------------------------------------------------------------------

    def split_edit(self) -> tuple[dict[str, Any], dict[str, Any]]:
        deal = self.story["split"]
        closes = (date.fromisoformat(deal["close_date"]) + timedelta(days=30)).isoformat()
        self.say(f"   {deal['name']!r}: one moves the closing date in Salesforce, another the amount in HubSpot.")
        self.office.sf().Opportunity.update(deal["salesforce"], {"CloseDate": closes})
        self.office.hs().crm.deals.basic_api.update(deal["hubspot"], {"properties": {"amount": "31250"}})
        self.office.sync()
        sf, hs = self._by_name(deal["name"])
        return ({"Salesforce": ["31250.00", closes], "HubSpot": ["31250.00", closes]},
                {"Salesforce": list(comparable(sf)[:2]), "HubSpot": list(comparable(hs)[:2])})

    # -- 5 ------------------------------------------------------------------------------------------------------

    def dispute(self) -> tuple[dict[str, Any], dict[str, Any]]:
        deal = self.story["disputed"]
        self.say(f"   {deal['name']!r}: 50,000 in Salesforce, 60,000 in HubSpot; later Dana decides for 55,000.")
        self.office.sf().Opportunity.update(deal["salesforce"], {"Amount": 50000})
        self.office.hs().crm.deals.basic_api.update(deal["hubspot"], {"properties": {"amount": "60000"}})
        self.office.sync()
        sf, hs = self._by_name(deal["name"])
        kept = [comparable(sf)[0], comparable(hs)[0]]
        with self.office.project() as project:
            store = project.store()
            with store.read() as tx:
                lines = [line for line in conflict_lines(tx) if line["label"] == deal["name"]]
            sides = sorted((side["source"], side["value"]["amount"], bool(side["actor"]), bool(side["at"]))
                           for line in lines for side in line["sides"])
            for line in lines:
                decide_conflict(store, line["record"], "money", value="55000", actor="dana.cole@brightwater.example")
            store.close()
        self.office.sync()
        sf, hs = self._by_name(deal["name"])
        return ({"each system kept its own": ["50000.00", "60000.00"],
                 "conflict shows": [("hubspot", "60000", True, True), ("salesforce", "50000", True, True)],
                 "after the decision": ["55000.00", "55000.00"]},
                {"each system kept its own": kept, "conflict shows": sides,
                 "after the decision": [comparable(sf)[0], comparable(hs)[0]]})

    # -- 6 ------------------------------------------------------------------------------------------------------

    def deletion_and_hostility(self) -> tuple[dict[str, Any], dict[str, Any]]:
        gone, hostile = self.story["deleted"], self.story["hostile"]
        self.say(f"   {gone['name']!r} is deleted in Salesforce; {hostile['name']!r} is given 400 odd characters.")
        self.office.sf().Opportunity.delete(gone["salesforce"])
        self.office.hs().crm.deals.basic_api.update(hostile["hubspot"], {
            "properties": {"dealname": HOSTILE, "hs_next_step": "Talk to legal"}})
        report = self.office.sync()
        sf, hs = self.office.opportunities(), self.office.deals()
        archived = {row.id for row in self.office.hs().crm.deals.get_all(archived=True)}
        told = [problem for problem in report.problems if problem.field == "name"]
        return ({"deleted in HubSpot too": True, "gone from Salesforce": True,
                 "the long name is told of": ["salesforce", "rep"], "HubSpot keeps it": True,
                 "Salesforce keeps the old name": hostile["name"], "the rest of the deal went on": "Talk to legal"},
                {"deleted in HubSpot too": gone["hubspot"] in archived and gone["hubspot"] not in hs,
                 "gone from Salesforce": gone["salesforce"] not in sf,
                 "the long name is told of": [told[0].system, told[0].owner] if told else None,
                 "HubSpot keeps it": _squeezed(hs[hostile["hubspot"]]["dealname"]) == _squeezed(HOSTILE),
                 "Salesforce keeps the old name": sf[hostile["salesforce"]]["Name"],
                 "the rest of the deal went on": sf[hostile["salesforce"]]["NextStep"]})

    # -- 7 ------------------------------------------------------------------------------------------------------

    def again(self) -> tuple[dict[str, Any], dict[str, Any]]:
        self.office.sync()
        report = self.office.sync()
        calls = self.office.last_calls
        waste = {name: count["used"] - count["minimum"] for name, count in calls.items()}
        self.say("   calls: " + ", ".join(f"{name} {count['used']}" for name, count in calls.items()))
        if self.office.server is not None:
            waste = dict.fromkeys(waste, 0)
        return ({"written": 0, "absorbed": {}, "calls above the minimum": dict.fromkeys(calls, 0)},
                {"written": report.counts.get("written", 0), "absorbed": report.changes,
                 "calls above the minimum": waste})

    # -- 8 ------------------------------------------------------------------------------------------------------

    def killed(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Forty new deals; the process is killed, with no chance to say goodbye, right after HubSpot took them."""
        sf = self.office.sf()
        account = self.story["account"]["salesforce"]
        closes = (datetime.now(UTC) + timedelta(days=60)).date().isoformat()
        names = [f"Autumn campaign {number:02d}" for number in range(40)]
        for start in range(0, 40, 20):
            sf.restful("composite/sobjects", method="POST", json={"allOrNone": True, "records": [
                {"attributes": {"type": "Opportunity"}, "Name": name, "AccountId": account, "StageName": "Prospecting",
                 "CloseDate": closes, "Amount": 1000 + number}
                for number, name in enumerate(names[start:start + 20])]})
        self.say("   Forty new deals in Salesforce; the sync is killed after HubSpot took them, before it hears so.")
        process = self._killed_at("/objects/deals/batch/create")
        arrived = sum(row["dealname"] in names for row in self.office.deals().values())
        self.office.sync()
        self.office.sync()
        copies = Counter(row["dealname"] for row in self.office.deals().values() if row["dealname"] in names)
        return ({"killed by": -int(signal.SIGKILL), "had arrived before the kill": 40, "duplicates": 0, "missing": 0},
                {"killed by": process, "had arrived before the kill": arrived,
                 "duplicates": sum(copies.values()) - len(copies), "missing": len(names) - len(copies)})

    def _killed_at(self, path: str) -> int:
        """Run ``sidefeed sync`` in a process of its own and kill it once HubSpot has done a request, before it can
        answer; returns the exit status."""
        command = [sys.executable, "-m", "sidefeed", "sync", "--project", str(self.office.folder), "--json"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603

        def kill(_ordinal: int, request: Any, phase: str) -> None:
            if phase == "after" and path in request.path and process.poll() is None:
                os.kill(process.pid, signal.SIGKILL)
                process.wait()

        self.office.hubspot.on_request = kill
        try:
            return process.wait(timeout=60)
        finally:
            self.office.hubspot.on_request = None

    # -- 9 ------------------------------------------------------------------------------------------------------

    def forecast(self) -> tuple[dict[str, Any], dict[str, Any]]:
        from sidefeed.forecast import forecast

        with self.office.project() as project:
            store = project.store()
            found = forecast(store, project.mappings())
            store.close()
        open_rows = [row for row in self.office.opportunities().values() if not row["StageName"].startswith("Closed")]
        by_hand = sum((Decimal(str(row["Amount"] or 0)) for row in open_rows), Decimal(0))
        totals = {row["source"]: row["open"] for row in found.sources.to_dict("records")}
        for row in found.sources.to_dict("records"):
            self.say(f"   {row['source']:<11} {row['deals']:>4} deals   open {row['open']:>12,.0f}   "
                     f"won {row['won']:>12,.0f}   difference {row['open_difference']:>+10,.0f}")
        return ({"workspace": by_hand, "salesforce": by_hand, "hubspot": by_hand},
                {name: totals.get(name) for name in ("workspace", "salesforce", "hubspot")})


def page(outcome: Outcome) -> str:
    """The day as one self-contained page."""
    from html import escape

    rows = "".join(
        f"<tr class={'held' if step.ok else 'failed'}><td>{number}</td><td><b>{escape(step.name)}</b></td>"
        f"<td>{'held' if step.ok else 'failed'}</td><td><dl>" + "".join(
            f"<dt>{escape(key)}</dt><dd>{escape(str(step.observed.get(key)))}" + (
                "" if step.observed.get(key) == value else f" <em>expected {escape(str(value))}</em>") + "</dd>"
            for key, value in step.expected.items()) + "</dl></td></tr>"
        for number, step in enumerate(outcome.steps, start=1))
    calls = ", ".join(f"{name} {count['used']} (least possible {count['minimum']})"
                      for name, count in outcome.calls.items())
    return (f"<!doctype html><html lang=en><meta charset=utf-8><title>Sidefeed: a company's day</title><style>{_STYLE}"
            f"</style><h1>A company's day</h1><p>{'Every step held.' if outcome.ok else 'Some steps failed.'} "
            f"{many(outcome.duplicates, 'duplicate')}, {outcome.lost} lost, {many(outcome.mailed, 'message')} mailed "
            f"by us.</p>"
            f"<table>{rows}</table><p>Calls: {escape(calls)}.</p></html>")


_STYLE = ("body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1c2430;"
          "background:#fff}table{border-collapse:collapse;width:100%}td{border-top:1px solid #d5dbe3;padding:.6rem;"
          "vertical-align:top}.failed{background:#fdecea}dl{margin:0}dt{color:#5a6675;font-size:.85rem}"
          "dd{margin:0 0 .3rem;overflow-wrap:anywhere}@media(prefers-color-scheme:dark){body{color:#e6eaf0;"
          "background:#12161c}td{border-color:#2c3440}dt{color:#9aa7b8}.failed{background:#46211f}}")


class Evening:
    """What the project that stays is left with, so that its pages show a company at work: a deal promised, one amount
    on which two people disagree, and an edit that the next sync will write."""

    def __init__(self, office: Office, say: Say) -> None:
        from pandas import Timestamp
        from pandas.tseries.offsets import QuarterEnd

        self.office = office
        self.say = say
        today = datetime.now(UTC).date()
        self.closes = str((Timestamp(today) + QuarterEnd(0)).date())

    def pass_by(self) -> None:
        promised, disputed, edited = self._open_deals()[:3]
        for deal, amount in ((promised, 64000), (disputed, 50000)):
            self.office.sf().Opportunity.update(deal["salesforce"], {
                "StageName": "Negotiation/Review", "ForecastCategoryName": "Commit", "CloseDate": self.closes,
                "Amount": amount})
        self.office.sync()
        self.say(f"   {promised['name']!r} and {disputed['name']!r} are promised for this quarter.")
        self.office.sf().Opportunity.update(disputed["salesforce"], {"Amount": 48000})
        self.office.hs().crm.deals.basic_api.update(disputed["hubspot"], {"properties": {"amount": "57500"}})
        self.office.sync()
        self.say(f"   {disputed['name']!r}: 48,000 in Salesforce, 57,500 in HubSpot; nobody has decided.")
        with self.office.project() as project:
            store = project.store()
            with store.write() as tx:
                tx.append([Draft("opportunity", edited["record"], {
                    "money": {"amount": "36500", "currency": "USD"}, "forecast_category": "commit",
                    "close_date": self.closes, "next_step": "Contract is with their legal team"},
                    company.address(company.MANAGER), "workspace", reason="they called: it is this quarter")])
            store.close()
        self.say(f"   {edited['name']!r} is promised in the workspace; the next sync writes it to both CRMs.")

    def _open_deals(self) -> list[dict[str, Any]]:
        """Open deals that both CRMs hold, and that the day did not touch, by name."""
        told = {deal["name"] for deal in self.office.founded.story.values()
                if isinstance(deal, dict) and "name" in deal}
        with self.office.project() as project:
            store = project.store()
            with store.read() as tx:
                states = [state for state in tx.each_record("opportunity") if not state.deleted
                          and state.values.get("stage") not in ("won", "lost")
                          and state.values["name"] not in told and "campaign" not in state.values["name"]]
                ids = {name: tx.external_ids(name, [state.id for state in states])
                       for name in ("salesforce", "hubspot")}
            store.close()
        return sorted(({"record": state.id, "name": state.values["name"],
                        **{name: found[state.id] for name, found in ids.items()}} for state in states
                       if all(state.id in found for found in ids.values())), key=lambda deal: str(deal["name"]))


def _people() -> dict[str, dict[str, str]]:
    """Who may look at the pages: the manager and her reps."""
    manager = company.address(company.MANAGER)
    return {manager: {"role": "manager", "name": " ".join(company.MANAGER)}, **{
        company.address(rep): {"role": "rep", "name": " ".join(rep), "manager": manager} for rep in company.REPS}}


def _squeezed(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


def _short(value: Any) -> str:
    text = f"{value}"
    return text if len(text) <= 70 else text[:67] + "..."
