"""The connector for CalDAV and CardDAV servers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from connectors.calendars import writing
from connectors.calendars.fields import CONTACT
from connectors.calendars.frame import OneDoorEach, digest
from connectors.calendars.records import Problem, teller
from sidefeed.connector import (
    Calls,
    Capabilities,
    Outcome,
    Stream,
    Write,
)

from . import people, settings
from .calendar import Calendar
from .codes import CODES
from .collection import MULTIGET, Collection, discover
from .contacts import Contacts
from .dav import Dav
from .recorded import RECORDABLE
from .writer import Writer

log = logging.getLogger(__name__)

_KINDS = {"calendar": "VEVENT", "contacts": "VCARD"}

@dataclass(repr=False)
class CalDavConnector(OneDoorEach):
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
    ``allow_http``
        Plain http to another machine is refused without it, because credentials travel there.
    ``ca_file``, ``timeout``
        A certificate authority of one's own; seconds (60) to wait for a reply.
    """

    PRODUCT = "CalDAV"
    SCHEMAS = {"calendar": ("Meeting", writing.FIELDS), "contacts": ("Contact", {
        name: CONTACT[name] for name in people.FIELDS})}
    codes = CODES
    recordable = RECORDABLE
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

    def marker(self) -> str:
        """The host (and port) of the server; each cursor is bound to its collection besides."""
        return self.settings.host

    def prepare(self, objects: Sequence[str], *, apply: bool) -> Sequence[str]:
        """Nothing needs to be created."""
        return ["CalDAV needs no preparation: keys are kept in X-SIDEFEED-LINK, and in the names of new resources."]

    def detach(self, objects: Sequence[str], *, apply: bool) -> Sequence[str]:
        """Marks go with the resources that carry them; what is only read carries none."""
        return ["CalDAV: nothing to delete. Resources that Sidefeed created carry X-SIDEFEED-LINK, and names that "
                "begin with sidefeed-; no client shows either, and a calendar that is only read carries no mark. To "
                "end its access, withdraw the login or the app password that Sidefeed uses."]

    # Inside

    def _abilities(self, object: str) -> Capabilities:
        """Writes are conditional by ETag; the feed has deletions."""
        return Capabilities(conditional=True, deletes=True, unique_keys=True, write_batch=1, read_batch=MULTIGET)

    def _find(self, stream: Stream, keys: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """Resources made for these keys. A copy that a person made carries the key too, and another UID: it is a
        meeting of its own."""
        writer = self._writer(stream)
        hrefs = {writer.href(key): key for key in keys}
        found: dict[str, list[str]] = {key: [] for key in keys}
        for one in self._collection(stream).get(list(hrefs)):
            if not one.gone:
                found[hrefs[one.href]].append(one.href)
        return found

    def _write(self, stream: Stream, writes: Sequence[Write]) -> Iterator[Outcome]:
        """One request per write, each with a condition."""
        return self._writer(stream).write(writes)

    def _collection(self, stream: Stream) -> Collection:
        mailbox = self.settings.mailboxes[self._address(stream)]
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
        place = digest(f"{self.settings.host}\n{stream.name}\n{collection.path}")
        tell, now = teller(stream, self.problems), self._now
        if stream.object == "contacts":
            return Contacts(collection, place, now, tell)
        return Calendar(collection, stream.partition, place, self.settings.timezone, now, self.settings.past,
                        self.settings.future, tell)

    def _writer(self, stream: Stream) -> Writer:
        return Writer(self._collection(stream), self.settings.timezone, self._reader(stream).fetch, self.clock)

    def _now(self) -> datetime:
        return self.clock()
