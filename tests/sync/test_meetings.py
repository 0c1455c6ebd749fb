"""Which meetings leave a calendar, and on which deal they are filed: Exchange in, both CRMs out, over real sockets."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sandbox.exchange import ExchangeServer
from sandbox.hubspot import HubSpotServer
from sandbox.salesforce import SalesforceServer
from sidefeed.project import Project
from sidefeed.sync import Report
from tests.test_command_line import Desk

ANN, BOB = "ann.lee@ours.example", "bob.ruiz@ours.example"
GUEST = "ito@acme.example"


class Calendar(Desk):
    """Two CRMs that know one customer with one open deal, and two reps with calendars."""

    def __init__(self, folder: Path, salesforce: SalesforceServer, hubspot: HubSpotServer, exchange: ExchangeServer) -> None:
        self.exchange = exchange
        super().__init__(folder, salesforce, hubspot)
        for address in (ANN, BOB):
            name = address.partition("@")[0].replace(".", " ").title()
            exchange.call(lambda address=address, name=name: exchange.add_mailbox(address, name, "pw", "UTC"))
            first, last = name.split()
            salesforce.call(lambda a=address, f=first, n=last: salesforce.add_user(a, first=f, last=n, email=a))
            hubspot.call(lambda a=address, f=first, n=last: hubspot.add_owner(a, f, n))
        self.settings["exchange"] = {
            "endpoint": exchange.connection_info()["ews"], "auth": "basic", "access": "own", "mailboxes": [ANN, BOB],
            "credentials": {address: {"username": address, "password": "pw"} for address in (ANN, BOB)}}
        self.write()
        self.account = self.sf("Account", Name="Acme", Website="https://acme.example")
        self.contact = self.sf("Contact", LastName="Ito", Email=GUEST, AccountId=self.account)
        self.deal = self.open_deal("Pumps")

    def open_deal(self, name: str) -> str:
        return self.sf("Opportunity", Name=name, AccountId=self.account, StageName="Prospecting", CloseDate="2027-06-30")

    def meets(self, mailbox: str = ANN, subject: str = "Kick-off", days: float = 1, **fields: Any) -> Any:
        start = (datetime.now(UTC) + timedelta(days=days)).replace(microsecond=0, second=0)
        return self.exchange.call(lambda: self.exchange.create_event(
            mailbox, subject=subject, start=start, end=start + timedelta(hours=1),
            **{"attendees": [GUEST], "send": "SendToAllAndSaveCopy", **fields}))

    def sync(self, times: int = 1) -> Report:
        for _ in range(times):
            project = Project.load(self.folder)
            with project.engine() as engine:
                report = engine.sync()
            project.close()
            assert report.failed == {}
        return report

    def events(self) -> list[dict[str, Any]]:
        return [row for row in self.salesforce.call(self.salesforce.rows, "Event") if not row.get("IsDeleted")]


    def holds_words(self, *words: str) -> list[str]:
        """Which words stand anywhere in the workspace's files."""
        stored = b"".join(path.read_bytes() for path in self.folder.glob("workspace.db*"))
        return [word for word in words if word.encode() in stored]

    def cancel_in_calendar(self, meeting: Any, mailbox: str = ANN) -> None:
        self.exchange.call(lambda: self.exchange.delete(mailbox, meeting))


@pytest.fixture
def calendar(tmp_path: Path) -> Iterator[Calendar]:
    with SalesforceServer(tls=True) as salesforce, HubSpotServer() as hubspot, ExchangeServer() as exchange:
        calendar = Calendar(tmp_path, salesforce, hubspot, exchange)
        yield calendar
        assert salesforce.crashes == hubspot.crashes == exchange.crashes == []


def test_a_customer_meeting_is_filed_on_the_only_open_deal_of_the_account(calendar: Calendar) -> None:
    calendar.meets()
    calendar.sync(2)
    (event,) = calendar.events()
    assert (event["Subject"], event["WhatId"], event["WhoId"]) == ("Kick-off", calendar.deal, calendar.contact)
    assert calendar.hs_names("meetings", "hs_meeting_title") == ["Kick-off"]


def test_several_open_deals_are_asked_about_and_the_meeting_goes_to_the_account(calendar: Calendar) -> None:
    calendar.open_deal("Filters")
    calendar.meets()
    calendar.sync(2)
    (event,) = calendar.events()
    assert event["WhatId"] == calendar.account
    _code, status = calendar("status")
    assert [question["kind"] for question in status["questions"]] == ["deal"]


def test_a_role_on_one_deal_decides_among_several(calendar: Calendar) -> None:
    other = calendar.open_deal("Filters")
    calendar.sf("OpportunityContactRole", OpportunityId=other, ContactId=calendar.contact)
    calendar.meets()
    calendar.sync(2)
    (event,) = calendar.events()
    assert event["WhatId"] == other


@pytest.mark.parametrize(("why", "fields"), [
    ("private", {"sensitivity": "Private", "subject": "Dentist"}),
    ("confidential", {"sensitivity": "Confidential"}),
    ("internal", {"attendees": [BOB]}),
    ("with nobody", {"attendees": []}),
    ("with a stranger", {"attendees": ["stranger@elsewhere.example"]}),
    ("far ahead", {"days": 40}),
])
def test_what_stays_in_the_calendar(calendar: Calendar, why: str, fields: dict[str, Any]) -> None:
    calendar.meets(**fields)
    calendar.sync(2)
    assert calendar.events() == [], why
    assert calendar.hs_names("meetings", "hs_meeting_title") == []
    database = (calendar.folder / "workspace.db").read_bytes() + b"".join(
        path.read_bytes() for path in calendar.folder.glob("workspace.db-wal"))
    assert b"Dentist" not in database


def test_a_meeting_that_turns_private_is_taken_back(calendar: Calendar) -> None:
    meeting = calendar.meets()
    calendar.sync(2)
    calendar.exchange.call(lambda: calendar.exchange.update_event(ANN, meeting, sensitivity="Private"))
    calendar.sync(2)
    assert calendar.events() == []
    assert calendar.hs_names("meetings", "hs_meeting_title") == []


def test_a_meeting_that_moves_moves_in_both_crms(calendar: Calendar) -> None:
    meeting = calendar.meets()
    calendar.sync(2)
    later = (datetime.now(UTC) + timedelta(days=3)).replace(microsecond=0, second=0)
    calendar.exchange.call(lambda: calendar.exchange.update_event(
        ANN, meeting, start=later, end=later + timedelta(hours=1)))
    calendar.sync(2)
    (event,) = calendar.events()
    assert event["StartDateTime"][:16] == later.strftime("%Y-%m-%dT%H:%M")


def test_the_same_meeting_in_two_calendars_is_one_activity(calendar: Calendar) -> None:
    calendar.meets(attendees=[BOB, GUEST])
    calendar.sync(3)
    assert len(calendar.events()) == 1
    assert len(calendar.hs_names("meetings", "hs_meeting_title")) == 1


def test_nobody_is_mailed_but_by_the_reps_own_outlook(calendar: Calendar) -> None:
    calendar.meets()
    before = len(calendar.exchange.call(calendar.exchange.outbox))
    calendar.sync(3)
    assert len(calendar.exchange.call(calendar.exchange.outbox)) == before


@pytest.mark.slow
def test_a_partners_deal_is_not_that_of_the_customer_who_was_met_too(calendar: Calendar) -> None:
    beta = calendar.sf("Account", Name="Beta", Website="https://beta.example")
    calendar.sf("Contact", LastName="Bee", Email="bee@beta.example", AccountId=beta)
    calendar.meets(attendees=["bee@beta.example", GUEST])
    calendar.sync(2)
    assert calendar.events() == [], "Acme has the only open deal, but of two accounts nobody says which"
    _code, told = calendar("ask")
    assert [list(one["choices"][0].values())[1] for one in told["questions"]] == ["Pumps"]


@pytest.mark.slow
def test_a_meeting_whose_organisers_calendar_fails_is_filed_from_a_colleagues(calendar: Calendar) -> None:
    calendar.meets(attendees=[BOB, GUEST])
    calendar.write(exchange={"credentials": {
        ANN: {"username": ANN, "password": "wrong"}, BOB: {"username": BOB, "password": "pw"}}})
    for _ in range(2):
        code, report = calendar("sync")
        assert code == 4 and all(ANN in feed for feed in report["failed"])
    assert [(event["Subject"], event["WhatId"]) for event in calendar.events()] == [("Kick-off", calendar.deal)]
    calendar.write(exchange={"credentials": {
        ANN: {"username": ANN, "password": "pw"}, BOB: {"username": BOB, "password": "pw"}}})
    calendar.sync(2)
    _code, status = calendar("status")
    assert len(calendar.events()) == 1 and status["conflicts"] == 0
