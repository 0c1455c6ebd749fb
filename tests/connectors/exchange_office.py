"""A practice Exchange with three mailboxes, the connector on it, and people who use Outlook (plain exchangelib)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from exchangelib import (
    BASIC,
    DELEGATE,
    Account,
    Build,
    CalendarItem,
    Configuration,
    Contact,
    Credentials,
    EWSDate,
    EWSDateTime,
    EWSTimeZone,
    Version,
)
from exchangelib import UTC as EWS_UTC
from exchangelib.errors import ErrorItemNotFound
from exchangelib.indexed_properties import EmailAddress
from exchangelib.items import SEND_TO_NONE
from exchangelib.protocol import close_connections

from connectors.exchange import ExchangeConnector
from sandbox.exchange import ExchangeServer, ids
from sandbox.exchange.timezones import Zone
from sidefeed.connector import Page, Remote, Stream

ANN, BOB, CAT = "ann@practice.example", "bob@practice.example", "cat@practice.example"
SERVICE, PASSWORD = "svc-sidefeed", "correct horse battery"
MONDAY = datetime(2026, 11, 23, 8, tzinfo=UTC)
MEETING_FIELDS = (
    "Key", "UID", "OriginalStart", "Subject", "Start", "End", "Zone", "IsAllDay", "Location", "Sensitivity",
    "Organizer", "IsOrganizer", "Attendees", "MyResponse", "IsCancelled", "ShowAs", "JoinUrl", "Series",
)  # fmt: skip


def practice_server(**options: Any) -> ExchangeServer:
    """A started server with three empty mailboxes and a service account that may impersonate them."""
    server = ExchangeServer(**options)
    server.start()
    server.call(_populate, server)
    return server


def _populate(server: ExchangeServer) -> None:
    server.clock.fix(MONDAY)
    for address in (ANN, BOB, CAT):
        if server.world.mailbox(address) is None:
            server.add_mailbox(address, password=PASSWORD)
    server.add_account(SERVICE, PASSWORD, impersonates=["*"])


class Office:
    """One test's connectors and people on a practice server."""

    def __init__(self, server: ExchangeServer) -> None:
        self.server = server
        self.peoples_calls = 0
        self._start = server.counters.calls
        self._made: list[ExchangeConnector] = []
        self._accounts: dict[str, Account] = {}

    def settings(self, **more: Any) -> dict[str, Any]:
        return {
            "endpoint": f"{self.server.url}/EWS/Exchange.asmx",
            "username": SERVICE,
            "password": PASSWORD,
            "mailboxes": [ANN, BOB, CAT],
            **({"ca_file": str(self.server.ca_file)} if self.server.ca_file else {}),
            **more,
        }

    def connect(self, **more: Any) -> ExchangeConnector:
        connector = ExchangeConnector.from_settings(self.settings(**more))
        self._made.append(connector)
        return connector

    def close(self) -> None:
        for connector in self._made:
            connector.close()
        close_connections()

    def calls(self) -> int:
        """Requests answered to connectors."""
        return self.server.counters.calls - self._start - self.peoples_calls

    @contextmanager
    def people(self) -> Iterator[None]:
        before = self.server.counters.calls
        try:
            yield
        finally:
            self.peoples_calls += self.server.counters.calls - before

    def outlook(self, address: str = ANN) -> Account:
        """A person's own mailbox, through plain exchangelib. Use inside ``people()``."""
        if address not in self._accounts:
            config = Configuration(
                service_endpoint=f"{self.server.url}/EWS/Exchange.asmx",
                credentials=Credentials(address, PASSWORD),
                auth_type=BASIC,
                version=Version(build=Build(15, 2)),
                max_connections=1,
            )
            self._accounts[address] = Account(
                address, config=config, access_type=DELEGATE, autodiscover=False, default_timezone=EWS_UTC
            )
        return self._accounts[address]

    def meets(self, subject: str, address: str = ANN, **values: Any) -> CalendarItem:
        """A person puts a meeting into the own calendar; ``send`` says who is mailed (nobody)."""
        send = values.pop("send", SEND_TO_NONE)
        values.setdefault("start", at(1, 9))
        values.setdefault("end", values["start"] + timedelta(hours=1))
        with self.people():
            account = self.outlook(address)
            item = CalendarItem(account=account, folder=account.calendar, subject=subject, **values)
            return item.save(send_meeting_invitations=send)

    def edits(self, item_id: str, address: str = ANN, *, send: str = SEND_TO_NONE, **values: Any) -> None:
        with self.people():
            item = self.outlook(address).calendar.get(id=item_id)
            for name, value in values.items():
                setattr(item, name, value)
            item.save(update_fields=list(values), send_meeting_invitations=send)

    def deletes(self, item_id: str, address: str = ANN) -> None:
        with self.people():
            item = next(self.outlook(address).fetch([(item_id, None)]))
            quiet = {"send_meeting_cancellations": SEND_TO_NONE} if isinstance(item, CalendarItem) else {}
            item.move_to_trash(**quiet)

    def rezone(self, item_id: str, zone_id: str) -> None:
        """Give a meeting a zone that no table knows, as old clients did."""
        self.server.call(self._rezone, item_id, zone_id)

    def _rezone(self, item_id: str, zone_id: str) -> None:
        world, zone = self.server.world, Zone(zone_id, "", None)
        item = world.item(ids.read(item_id).serial)
        assert item is not None
        values = {**item.values, "calendar:StartTimeZone": zone, "calendar:EndTimeZone": zone}
        world.put(replace(item, values=values))

    def mailed(self) -> list[Any]:
        """What would have been mailed."""
        return self.server.call(lambda: list(self.server.world.ledger))


def at(days: int, hour: int = 0, minute: int = 0, zone: str = "UTC") -> EWSDateTime:
    """A wall time in a zone, some days after the Monday on which the tests take place."""
    day = MONDAY.date() + timedelta(days=days)
    return EWSDateTime(day.year, day.month, day.day, hour, minute, tzinfo=EWSTimeZone(zone))


def day(days: int) -> EWSDate:
    found = MONDAY.date() + timedelta(days=days)
    return EWSDate(found.year, found.month, found.day)


class Kit:
    """What the contract tests want to know; one subclass per object."""

    object: str
    fields: Sequence[str]
    text: str
    blankable: str
    secrets = (PASSWORD,)

    def __init__(self, office: Office) -> None:
        self.office = office
        self.connector = office.connect()
        self.stream = Stream(self.object, ANN)

    def reconnected(self) -> ExchangeConnector:
        return self.office.connect()

    def calls(self) -> int:
        return self.office.calls()

    def unknown_id(self) -> str:
        """An id that means nothing in this mailbox: its item never lay there and is gone from where it was."""
        with self.office.people():
            account = self.office.outlook(CAT)
            item = Contact(account=account, folder=account.contacts, display_name="nobody").save()
            item_id: str = item.id
            item.delete()
        return item_id

    def lose_next_reply(self) -> None:
        self.office.server.faults.add("drop_after")

    def next_read_fails_once(self) -> None:
        self.office.server.faults.add("status", status=500, body="Server Error in '/EWS' Application")

    def pass_time(self) -> None:
        self.office.server.clock.move(2)

    def person_deletes(self, external_id: str) -> None:
        self.office.deletes(external_id)

    def _folder(self) -> Any:
        account = self.office.outlook()
        return account.calendar if self.object == "calendar" else account.contacts

    def live_ids(self) -> set[str]:
        with self.office.people():
            return {item.id for item in self._folder().all().only("id")}

    def holds(self, external_id: str) -> Mapping[str, Any] | None:
        with self.office.people():
            (item,) = self.office.outlook().fetch([(external_id, None)])
            if isinstance(item, ErrorItemNotFound) or item.parent_folder_id.id != self._folder().id:
                return None
            return self._raw(item)

    def _raw(self, item: Any) -> Mapping[str, Any]:
        raise NotImplementedError


class CalendarKit(Kit):
    object = "calendar"
    fields = ("Subject", "Location", "Start", "End", "Zone", "IsAllDay", "Key", "Sensitivity", "ShowAs", "Attendees")
    text = "Subject"
    blankable = "Location"

    def sample(self, tag: str) -> dict[str, Any]:
        return {
            "Subject": tag, "Location": "Room 1", "Start": "2026-11-24T09:00:00Z", "End": "2026-11-24T10:00:00Z",
            "Zone": "Europe/Berlin",
        }  # fmt: skip

    def person_creates(self, values: Mapping[str, Any]) -> str:
        berlin = "Europe/Berlin"
        made = self.office.meets(values["Subject"], location=values["Location"], start=at(1, 10, zone=berlin))
        item_id: str = made.id
        return item_id

    def person_edits(self, external_id: str, values: Mapping[str, Any]) -> None:
        self.office.edits(external_id, **{name.lower(): value for name, value in values.items()})

    def _raw(self, item: Any) -> Mapping[str, Any]:
        return {"Subject": item.subject, "Location": item.location}


class ContactsKit(Kit):
    object = "contacts"
    fields = (
        "GivenName", "Surname", "DisplayName", "EmailAddress1", "EmailAddress2", "BusinessPhone", "JobTitle",
        "CompanyName", "Categories",
    )  # fmt: skip
    text = "CompanyName"
    blankable = "JobTitle"

    def sample(self, tag: str) -> dict[str, Any]:
        return {
            "GivenName": "Zoe", "Surname": "Ågren", "CompanyName": tag, "JobTitle": "Buyer",
            "EmailAddress1": "zoe@acme.example", "BusinessPhone": "+46 8 123 456",
        }  # fmt: skip

    def person_creates(self, values: Mapping[str, Any]) -> str:
        with self.office.people():
            account = self.office.outlook()
            item = Contact(
                account=account, folder=account.contacts, display_name="Zoe Ågren", given_name=values["GivenName"],
                surname=values["Surname"], company_name=values["CompanyName"], job_title=values["JobTitle"],
                email_addresses=[EmailAddress(label="EmailAddress1", email=values["EmailAddress1"])],
            ).save()  # fmt: skip
            item_id: str = item.id
            return item_id

    def person_edits(self, external_id: str, values: Mapping[str, Any]) -> None:
        names = {"CompanyName": "company_name", "JobTitle": "job_title"}
        with self.office.people():
            item = self.office.outlook().contacts.get(id=external_id)
            for name, value in values.items():
                setattr(item, names[name], value)
            item.save(update_fields=[names[name] for name in values])

    def _raw(self, item: Any) -> Mapping[str, Any]:
        return {"CompanyName": item.company_name, "JobTitle": item.job_title}


def read(
    connector: ExchangeConnector, stream: Stream, cursor: str | None = None, fields: Sequence[str] = MEETING_FIELDS,
    *, check: Callable[[Page], None] = lambda page: None,
) -> tuple[dict[str, Remote], str]:  # fmt: skip
    """Everything after a cursor by id (the newest observation of each), and the cursor at the present."""
    found: dict[str, Remote] = {}
    text = cursor or ""
    for page in connector.changes(stream, fields, cursor):
        check(page)
        found.update({record.id: record for record in page.records})
        text = page.cursor
    return found, text
