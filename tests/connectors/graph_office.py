"""A practice Graph with three mailboxes, the connector on it, and people who work in their own calendars."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from connectors.microsoft365 import Microsoft365Connector
from sandbox.exchange.store import Item
from sandbox.graph import GraphServer, ids
from sidefeed.connector import Page, Remote, Stream
from tests.connectors.exchange_office import ANN, BOB, CAT, MEETING_FIELDS, MONDAY

SECRET = "practice-secret"
__all__ = ["ANN", "BOB", "CAT", "MEETING_FIELDS", "MONDAY"]


def practice_server(**options: Any) -> GraphServer:
    """A started server with three empty mailboxes at a fixed time."""
    server = GraphServer(**options)
    server.start()
    server.clock.fix(MONDAY)
    if not server.office.world.mailboxes:
        for address in (ANN, BOB, CAT):
            server.call(server.office.add_mailbox, address)
    return server


class Office:
    """One test's connectors and people on a practice server."""

    def __init__(self, server: GraphServer) -> None:
        self.server = server
        self.waited: list[float] = []
        self._start = server.counters.calls
        self._made: list[Microsoft365Connector] = []

    def settings(self, **more: Any) -> dict[str, Any]:
        info = self.server.connection_info()
        return {
            "tenant_id": info["tenant_id"], "client_id": info["client_id"], "client_secret": info["client_secret"],
            "login_base": info["login"], "graph_base": info["graph"], "mailboxes": [ANN, BOB, CAT],
            **({"ca_file": str(self.server.ca_file)} if self.server.ca_file else {}), **more,
        }  # fmt: skip

    def connect(self, **more: Any) -> Microsoft365Connector:
        """A connector that notes its waits and does not wait them out: the practice clock stands still."""
        connector = Microsoft365Connector.from_settings(self.settings(**more), sleep=self.waited.append)
        self._made.append(connector)
        return connector

    def close(self) -> None:
        for connector in self._made:
            connector.close()

    def calls(self) -> int:
        """Requests answered to connectors; people work without requests here."""
        return self.server.counters.calls - self._start

    def do(self, deed: Callable[..., Any], *arguments: Any, **more: Any) -> Any:
        """Something a person does, on the server's thread."""
        return self.server.call(lambda: deed(*arguments, **more))

    def meets(self, subject: str, address: str = ANN, **values: Any) -> str:
        """A person puts a meeting into the own calendar; its id."""
        values.setdefault("start", at(1, 9))
        values.setdefault("end", values["start"] + timedelta(hours=1))
        return self.id(self.do(self.server.office.create_event, address, subject=subject, **values))

    def edits(self, identifier: str, address: str = ANN, **values: Any) -> None:
        self.do(lambda: self.server.office.update_event(address, self.item(identifier), **values))

    def deletes(self, identifier: str, address: str = ANN, **more: Any) -> None:
        self.do(lambda: self.server.office.delete(address, self.item(identifier), **more))

    def item(self, identifier: str) -> Item:
        """The item behind an id; on the server's thread."""
        world = self.server.office.world
        found = world.item(ids.read(world, identifier).serial)
        assert found is not None
        return found

    def id(self, item: Item) -> str:
        """The immutable id of an item."""
        return ids.of_item(self.server.office.world, item, immutable=True)

    def mailed(self) -> list[Any]:
        """What would have been mailed."""
        return self.server.call(self.server.office.outbox)


def at(days: int, hour: int = 0, minute: int = 0) -> datetime:
    """A time in UTC, some days after the Monday on which the tests take place."""
    return datetime(MONDAY.year, MONDAY.month, MONDAY.day, hour, minute, tzinfo=UTC) + timedelta(days=days)


class Kit:
    """What the contract tests want to know; one subclass per object."""

    object: str
    folder: str
    fields: Sequence[str]
    text: str
    blankable: str
    secrets = (SECRET,)

    def __init__(self, office: Office) -> None:
        self.office = office
        self.connector = office.connect()
        self.stream = Stream(self.object, ANN)

    def reconnected(self) -> Microsoft365Connector:
        return self.office.connect()

    def calls(self) -> int:
        return self.office.calls()

    def unknown_id(self) -> str:
        """An id that is well formed and means nothing in this mailbox."""
        office = self.office.server.office
        made = self.office.do(office.create_contact, CAT, given_name="nobody")
        self.office.do(office.delete, CAT, made)
        return self.office.id(made)

    def lose_next_reply(self) -> None:
        self.office.server.faults.add("drop_after", path="/v1.0/$batch", contains='"method":"P')

    def next_read_fails_once(self) -> None:
        self.office.server.faults.add("unavailable", path="/v1.0/*", retry_after=None)

    def pass_time(self) -> None:
        self.office.server.clock.move(2)

    def person_deletes(self, external_id: str) -> None:
        self.office.deletes(external_id)

    def live_ids(self) -> set[str]:
        return {self.office.id(item) for item in self.office.do(self.office.server.office.items, ANN, self.folder)}

    def holds(self, external_id: str) -> Mapping[str, Any] | None:
        world = self.office.server.office.world
        found = world.item(ids.read(world, external_id).serial)
        if found is None or world.folders[found.folder].distinguished != self.folder:
            return None
        return self.raw(found)

    def raw(self, item: Item) -> Mapping[str, Any]:
        raise NotImplementedError


class CalendarKit(Kit):
    object = folder = "calendar"
    fields = ("Subject", "Location", "Start", "End", "Zone", "IsAllDay", "Key", "Sensitivity", "ShowAs", "Attendees")
    text = "Subject"
    blankable = "Location"

    def sample(self, tag: str) -> dict[str, Any]:
        return {
            "Subject": tag, "Location": "Room 1", "Start": "2026-11-24T09:00:00Z", "End": "2026-11-24T10:00:00Z",
            "Zone": "Europe/Berlin",
        }  # fmt: skip

    def person_creates(self, values: Mapping[str, Any]) -> str:
        return self.office.meets(values["Subject"], location=values["Location"], timezone="Europe/Berlin")

    def person_edits(self, external_id: str, values: Mapping[str, Any]) -> None:
        self.office.edits(external_id, **{name.lower(): value for name, value in values.items()})

    def raw(self, item: Item) -> Mapping[str, Any]:
        return {"Subject": item.get("item:Subject"), "Location": item.get("calendar:Location")}


class ContactsKit(Kit):
    object = folder = "contacts"
    fields = (
        "GivenName", "Surname", "DisplayName", "EmailAddress1", "EmailAddress2", "BusinessPhone", "JobTitle",
        "CompanyName", "Categories",
    )  # fmt: skip
    text = "CompanyName"
    blankable = "JobTitle"
    _NAMES = {"CompanyName": "company_name", "JobTitle": "job_title", "GivenName": "given_name", "Surname": "surname"}

    def sample(self, tag: str) -> dict[str, Any]:
        return {
            "GivenName": "Zoe", "Surname": "Ågren", "CompanyName": tag, "JobTitle": "Buyer",
            "EmailAddress1": "zoe@acme.example", "BusinessPhone": "+46 8 123 456",
        }  # fmt: skip

    def person_creates(self, values: Mapping[str, Any]) -> str:
        named = {own: values[name] for name, own in self._NAMES.items()}
        made = self.office.do(
            self.office.server.office.create_contact, ANN, emails=[values["EmailAddress1"]],
            phones={"BusinessPhone": values["BusinessPhone"]}, **named,
        )  # fmt: skip
        return self.office.id(made)

    def person_edits(self, external_id: str, values: Mapping[str, Any]) -> None:
        named = {self._NAMES[name]: value for name, value in values.items()}
        self.office.do(lambda: self.office.server.office.update_contact(ANN, self.office.item(external_id), **named))

    def raw(self, item: Item) -> Mapping[str, Any]:
        return {"CompanyName": item.get("contacts:CompanyName"), "JobTitle": item.get("contacts:JobTitle")}


def read(
    connector: Microsoft365Connector, stream: Stream, cursor: str | None = None,
    fields: Sequence[str] = MEETING_FIELDS, *, check: Callable[[Page], None] = lambda page: None,
) -> tuple[dict[str, Remote], str]:  # fmt: skip
    """Everything after a cursor by id (the newest observation of each), and the cursor at the present."""
    found: dict[str, Remote] = {}
    text = cursor or ""
    for page in connector.changes(stream, fields, cursor):
        check(page)
        found.update({record.id: record for record in page.records})
        text = page.cursor
    return found, text


def pages(connector: Microsoft365Connector, stream: Stream, cursor: str | None = None) -> Iterator[Page]:
    return connector.changes(stream, MEETING_FIELDS, cursor)
