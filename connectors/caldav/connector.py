"""The connector for CalDAV and CardDAV servers."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from connectors.calendars import writing
from connectors.calendars.records import MEETING, Problem
from sidefeed.connector import (
    Calls,
    Capabilities,
    CursorExpired,
    FieldSchema,
    Invalid,
    ObjectSchema,
    Outcome,
    Page,
    PermissionDenied,
    Raw,
    Remote,
    Stream,
    Write,
)

from . import people, settings
from .calendar import Calendar
from .codes import CODES
from .collection import MULTIGET, Collection, discover
from .contacts import Contacts
from .dav import Dav
from .writer import Writer

log = logging.getLogger(__name__)

_KINDS = {"calendar": "VEVENT", "contacts": "VCARD"}

@dataclass(repr=False)
class CalDavConnector:
    """Calendars and address books on a CalDAV and CardDAV server.

    ========== =========== ==============================================================
    object     partition   one record is
    ========== =========== ==============================================================
    mailboxes  none        a configured mailbox: ``address``, ``name`` (read only)
    calendar   a mailbox   a meeting, or one occurrence of a series inside the window
    contacts   a mailbox   a vCard of its address book
    ========== =========== ==============================================================

    Settings (``from_settings``):

    ``url``
        ``https://dav.example.com/``: where discovery begins, or what paths are relative to.
    ``mailboxes``
        Addresses, as texts or as tables with ``address``, ``name``, ``username``, ``password``, ``token``, ``calendar``
        and ``contacts``.
    ``username``, ``password``, ``token``
        Of a service account, or under ``credentials`` (address -> table). A token is sent as a bearer token.
    ``calendar``, ``contacts``
        Paths of the collections; ``{address}`` and ``{user}`` stand for the mailbox. Found by asking, if blank.
    ``window_past_days``, ``window_future_days``
        30 and 90: the days of a calendar that are read, in whole days UTC.
    ``timezone``
        Of floating times, and of new meetings if nothing says so; ``UTC`` by default.
    ``ca_file``, ``timeout``
        A certificate authority of one's own; seconds (60) to wait for a reply.
    """

    codes = CODES
    settings: settings.Settings
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    system: str = "caldav"
    calls: Calls = field(default_factory=Calls)
    problems: list[Problem] = field(default_factory=list)
    _doors: dict[str, Dav] = field(default_factory=dict)
    _paths: dict[str, str] = field(default_factory=dict)

    @classmethod
    def from_settings(
        cls, table: Mapping[str, Any], *, clock: Callable[[], datetime] | None = None
    ) -> CalDavConnector:
        """A connector that has called nobody yet. Raises Invalid, naming the setting that is wrong."""
        parsed = settings.parse(table)
        return cls(parsed) if clock is None else cls(parsed, clock)

    def __repr__(self) -> str:
        return f"CalDavConnector({self.settings.host}, {len(self.settings.mailboxes)} mailboxes)"

    def marker(self) -> str:
        """The host (and port) of the server; each cursor is bound to its collection besides."""
        return self.settings.host

    def streams(self, object: str) -> Sequence[Stream]:
        """One stream of mailboxes; of calendars and address books one per mailbox."""
        self._known(object)
        return [Stream(object)] if object == "mailboxes" else [
            Stream(object, address) for address in self.settings.mailboxes]

    def capabilities(self, object: str) -> Capabilities:
        """Writes are conditional by ETag; the feed has deletions; mailboxes are only read."""
        self._known(object)
        if object == "mailboxes":
            return Capabilities(deletes=False, writable=False)
        return Capabilities(conditional=True, deletes=True, write_batch=1, read_batch=MULTIGET)

    def describe(self, object: str) -> ObjectSchema:
        """The raw fields, which are the same on every server."""
        self._known(object)
        if object == "mailboxes":
            fields = {name: FieldSchema(name, "string", createable=False, updateable=False)
                      for name in ("address", "name")}
        elif object == "calendar":
            fields = {name: FieldSchema(name, kind, createable=name in (*writing.WRITTEN, *writing.ON_CREATE),
                                        updateable=name in writing.WRITTEN) for name, kind in MEETING.items()}
        else:
            fields = {name: FieldSchema(name, "set" if name == "Categories" else "string") for name in people.FIELDS}
        return ObjectSchema(object, object.capitalize(), fields)

    def prepare(self, objects: Sequence[str], *, apply: bool) -> Sequence[str]:
        """Nothing needs to be created."""
        return ["CalDAV needs no preparation: keys are kept in X-SIDEFEED-LINK, and in the names of new resources."]

    def detach(self, objects: Sequence[str], *, apply: bool) -> Sequence[str]:
        """Marks go with the resources that carry them; what is only read carries none."""
        return ["CalDAV: nothing to delete. Resources that Sidefeed created carry X-SIDEFEED-LINK, and names that "
                "begin with sidefeed-; no client shows either, and a calendar that is only read carries no mark. To "
                "end its access, withdraw the login or the app password that Sidefeed uses."]

    @property
    def own_credentials(self) -> bool:
        """Whether each mailbox is opened with its own login, so that a wrong one concerns that mailbox alone."""
        return len({each.login for each in self.settings.mailboxes.values()}) > 1

    def close(self) -> None:
        for door in self._doors.values():
            door.close()
        self._doors.clear()

    # Reading

    def changes(
        self, stream: Stream, fields: Sequence[str], cursor: str | None, *, scope: Any = None
    ) -> Iterator[Page]:
        """Changes since a cursor. ``scope`` is left to the core."""
        if stream.object == "mailboxes":
            return self._mailbox_changes(fields, cursor)
        return self._reader(stream).changes(fields, cursor)

    def fetch(self, stream: Stream, fields: Sequence[str], ids: Sequence[str]) -> Iterable[Remote]:
        """State by id; one answer per id."""
        if stream.object == "mailboxes":
            return [self._mailbox(each, fields) if each in self.settings.mailboxes else Remote(each, state="deleted")
                    for each in dict.fromkeys(ids)]
        return self._reader(stream).fetch(fields, ids) if ids else ()

    def find(self, stream: Stream, keys: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """Resources made for these keys. A copy that a person made carries the key too, and another UID: it is a
        meeting of its own."""
        if not keys or stream.object == "mailboxes":
            return {key: [] for key in keys}
        writer = self._writer(stream)
        hrefs = {writer.href(key): key for key in keys}
        found: dict[str, list[str]] = {key: [] for key in keys}
        for one in self._collection(stream).get(list(hrefs)):
            if not one.gone:
                found[hrefs[one.href]].append(one.href)
        return found

    def ids(self, stream: Stream) -> Iterator[tuple[str, str]]:
        """Every live id with its version; of a calendar those in the window."""
        if stream.object == "mailboxes":
            return iter([(address, "") for address in self.settings.mailboxes])
        return self._reader(stream).ids()

    # Writing

    def write(self, stream: Stream, writes: Sequence[Write]) -> Iterator[Outcome]:
        """One request per write, each with a condition."""
        if stream.object == "mailboxes":
            error = PermissionDenied("Mailboxes are only read; an administrator makes them on the server.")
            return iter([Outcome(each.key, "refused", each.external_id, error=error) for each in writes])
        return self._writer(stream).write(writes) if writes else iter(())

    def overwritten(self, stream: Stream, outcomes: Mapping[str, Write]) -> Mapping[str, Raw]:
        """Nothing: the server refuses a write on what moved, and keeps no history."""
        return {}

    # Inside

    def _known(self, object: str) -> None:
        if object != "mailboxes" and object not in _KINDS:
            raise Invalid(f"CalDAV has no object {object!r}; it has mailboxes, {', '.join(_KINDS)}.", rule="object",
                          owner="ops")

    def _collection(self, stream: Stream) -> Collection:
        self._known(stream.object)
        mailbox = self.settings.mailboxes.get(stream.partition)
        if mailbox is None:
            raise Invalid(f"Mailbox {stream.partition!r} is not among the mailboxes in the settings.",
                          field="mailboxes", rule="partition", owner="ops")
        if mailbox.address not in self._doors:
            self._doors[mailbox.address] = Dav(self.settings, mailbox.login, self.calls)
        door, kind = self._doors[mailbox.address], _KINDS[stream.object]
        if stream.name not in self._paths:
            told = mailbox.calendar if stream.object == "calendar" else mailbox.contacts
            self._paths[stream.name] = told or discover(door, kind, self._least)
        return Collection(door, self._paths[stream.name], kind, self._least)

    def _least(self, calls: int) -> None:
        self.calls.minimum += calls

    def _reader(self, stream: Stream) -> Calendar | Contacts:
        collection = self._collection(stream)
        place = hashlib.sha256(f"{self.settings.host}\n{stream.name}\n{collection.path}".encode()).hexdigest()[:16]

        def tell(href: str, why: str) -> None:
            log.warning("%s of %s: %s cannot be read: %s", stream.object, stream.partition, href, why)
            self.problems.append(Problem(stream.name, href, why))

        def now() -> datetime:
            return self.clock()

        if stream.object == "contacts":
            return Contacts(collection, place, now, tell)
        return Calendar(collection, stream.partition, place, self.settings.timezone, now, self.settings.past,
                        self.settings.future, tell)

    def _writer(self, stream: Stream) -> Writer:
        return Writer(self._collection(stream), self.settings.timezone, self._reader(stream).fetch, self.clock)

    def _mailbox_changes(self, fields: Sequence[str], cursor: str | None) -> Iterator[Page]:
        """All mailboxes when the list is another one, else none."""
        listed = json.dumps({"mailboxes": hashlib.sha256(repr(
            sorted((each.address, each.name) for each in self.settings.mailboxes.values())).encode()).hexdigest()[:16]})
        if cursor is not None and not cursor.startswith("{"):
            raise CursorExpired("The cursor of the mailboxes cannot be read.")
        records = () if cursor == listed else tuple(
            self._mailbox(address, fields) for address in self.settings.mailboxes)
        yield Page(records, listed, last=True)

    def _mailbox(self, address: str, fields: Sequence[str]) -> Remote:
        values = {"address": address, "name": self.settings.mailboxes[address].name}
        return Remote(address, {name: values[name] for name in fields if name in values and (
            name == "address" or values[name] is not None)})
