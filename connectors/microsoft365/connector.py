"""The connector for Microsoft 365 (Exchange Online)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from connectors.calendars import folders
from connectors.calendars.frame import CalendarConnector, digest
from sidefeed.connector import (
    Calls,
    Capabilities,
    Gone,
    Outcome,
    PermissionDenied,
    Rights,
    Stream,
    Write,
)

from . import settings
from .calendar import Calendar
from .codes import CODES
from .contacts import Contacts, Folder
from .recorded import RECORDABLE
from .values import CALENDAR, CONTACT, LINK
from .writer import Writer, find_keys

if TYPE_CHECKING:
    from .door import Door

_PERMISSIONS = {"calendar": "Calendars", "contacts": "Contacts"}


@dataclass(repr=False)
class Microsoft365Connector(CalendarConnector):
    """Mailboxes, calendars and contacts of an organisation in Exchange Online, through Microsoft Graph.

    ========== =========== ==============================================================
    object     partition   one record is
    ========== =========== ==============================================================
    mailboxes  none        a configured mailbox: ``address``, ``name`` (read only)
    calendar   a mailbox   a meeting, or one occurrence of a series inside the window
    contacts   a mailbox   a contact of the Contacts folder, or of ``contacts_folder``
    ========== =========== ==============================================================

    Settings (``from_settings``):

    ``tenant_id``, ``client_id``
        The organisation (GUID or domain) and the app registration.
    ``client_secret``, or ``private_key`` and ``certificate``
        What proves that it is the application: a secret, or a key with its certificate, both PEM.
    ``mailboxes``
        Addresses, as texts or as tables with ``address`` and ``name``. All must lie in the application's scope.
    ``window_past_days``, ``window_future_days``
        30 and 90: the days of a calendar that are read, in whole days UTC; up to a week more is told.
    ``timezone``
        Where a new meeting takes place if nothing says so; ``UTC`` by default.
    ``read_bodies``
        Whether ``Body`` is kept at all; false by default.
    ``contacts_folder``
        The name of a contact folder of its own; contacts elsewhere are never read or written. ``prepare`` creates it.
    ``login_base``, ``graph_base``
        The hosts of a national cloud, or of a practice server on this machine.
    ``ca_file``, ``timeout``
        A certificate authority of one's own; seconds (60) to wait for a reply.

    The application permissions are ``Calendars.Read`` and ``Contacts.Read``, or their ``ReadWrite`` to write, and
    ``User.Read.All`` for people's names, which may be left out where the settings name them.
    """

    PRODUCT = "Microsoft 365"
    SCHEMAS = {"calendar": ("Meeting", CALENDAR), "contacts": ("Contact", CONTACT)}
    NAMES_LAST = 7
    codes = CODES
    recordable = RECORDABLE

    settings: settings.Settings
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    sleep: Callable[[float], None] = time.sleep
    system: str = "microsoft365"
    calls: Calls = field(default_factory=Calls)
    _door: Door | None = None
    _folders: dict[str, Folder] = field(default_factory=dict)

    @classmethod
    def from_settings(
        cls, table: Mapping[str, Any], *, clock: Callable[[], datetime] | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> Microsoft365Connector:  # fmt: skip
        """A connector that has called nobody yet. Raises Invalid, naming the setting that is wrong."""
        parsed = settings.parse(table)
        return cls(parsed, sleep=sleep) if clock is None else cls(parsed, clock, sleep)

    @property
    def _where(self) -> str:
        return self.settings.tenant

    # Itself

    def marker(self) -> str:
        """The organisation, and the cloud that it lives in."""
        return f"{self.settings.tenant.lower()}@{self.settings.host}"

    def prepare(self, objects: Sequence[str], *, apply: bool) -> Sequence[str]:
        """The contact folder of its own, where one is wanted; a named property exists once it is set."""
        return [f"Microsoft 365 keeps keys in the named property {LINK!r}, which needs no preparation.",
                *folders.prepare(self.settings.contacts_folder, self._own_folders(), apply=apply)]

    def rights(
        self, object: str, *, reads: Sequence[str], writes: Sequence[str], creates: bool, deletes: bool
    ) -> Rights:
        """The application permissions, and where the contact folder of its own is missing. Graph does not tell which of
        them it gave."""
        self._known(object)
        if object == "mailboxes":
            named = all(self.settings.mailboxes.values())
            return Rights(() if named else ("User.Read.All, consented to in Entra, or names under `mailboxes`",))
        kind = "ReadWrite" if writes or creates or deletes else "Read"
        found = folders.unready(self._own_folders(), creates=creates) if object == "contacts" else ()
        return Rights((f"Application {_PERMISSIONS[object]}.{kind}, scoped to the mailboxes",), unready=found)

    def detach(self, objects: Sequence[str], *, apply: bool) -> Sequence[str]:
        """Named properties go with the items that carry them; what is only read carries none."""
        return [f"Microsoft 365: nothing to delete. Items that Sidefeed created carry the named property {LINK!r}, "
                "which no client shows; calendars that are only read carry no mark. To end its access, an "
                "administrator removes the application's consent in Entra ID, Enterprise applications."]

    def close(self) -> None:
        """Close the connections."""
        if self._door is not None:
            self._door.close()
            self._door = None
            self._folders.clear()

    # Inside

    @property
    def names(self) -> Mapping[str, str | None]:
        return self.settings.mailboxes

    def _abilities(self, object: str) -> Capabilities:
        """Updates are conditional by ETag; the feed has deletions. Graph makes no second event with the same
        `transactionId`; of contacts it compares nothing."""
        return Capabilities(conditional=True, deletes=True, unique_keys=object == "calendar", write_batch=4,
                            read_batch=20)

    def _find(self, stream: Stream, keys: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """Ids by the key in the link property."""
        door = self._opened(stream)
        path = "events" if stream.object == "calendar" else self._folder(stream.partition).path
        return find_keys(door, stream.partition, path, keys)

    def _write(self, stream: Stream, writes: Sequence[Write]) -> Iterator[Outcome]:
        """Four writes to a batch, as many as a mailbox serves at a time."""
        reader = self._reader(stream)
        calendar, folder = (reader, None) if isinstance(reader, Calendar) else (None, reader.folder)
        door = self._opened(stream)
        return Writer(
            door, stream.partition, stream.object, self.settings.timezone, reader.fetch, calendar, folder
        ).write(writes)  # fmt: skip

    def _opened(self, stream: Stream | None = None) -> Door:
        if stream is not None:
            self._address(stream)
        if self._door is None:
            from .door import Door

            self._door = Door(self.settings, self.calls, self.sleep)
        return self._door

    def _reader(self, stream: Stream) -> Calendar | Contacts:
        door, place = self._opened(stream), self._place(stream)
        if stream.object == "contacts":
            return Contacts(door, stream.partition, place, self._now, self._folder(stream.partition))
        window = self.settings.past, self.settings.future
        return Calendar(door, stream.partition, place, self._now, *window, bodies=self.settings.read_bodies,
                        marks=self.settings.marks)

    def _folder(self, address: str) -> Folder:
        if address not in self._folders:
            self._folders[address] = Folder(self._opened(), address, self.settings.contacts_folder)
        return self._folders[address]

    def _own_folders(self) -> dict[str, Folder]:
        return {each: self._folder(each) for each in self.settings.mailboxes} if self.settings.contacts_folder else {}

    def _place(self, stream: Stream) -> str:
        """What a cursor is bound to. The window, or the folder, is part of it: another one is another reading."""
        window = f"{self.settings.past}/{self.settings.future}" if stream.object == "calendar" else (
            self.settings.contacts_folder)  # fmt: skip
        return digest(f"{self.marker()}\n{stream.name}\n{window}")

    def _now(self) -> datetime:
        """The service's time, which rules; ours where it tells none."""
        return self._opened().now() or self.clock()

    def _named(self, addresses: Sequence[str]) -> Mapping[str, str | None]:
        """Mailboxes by their configured names, else by those of the directory, asked in one batch.

        Where the directory may not be asked, a name stays unknown: that is no reason to hold back a person.
        """
        from .door import Part

        names = {each: self.names[each] for each in addresses if self.names[each]}
        unnamed = [each for each in addresses if each not in names]
        parts = [Part("GET", f"/users/{each}?$select=displayName,mail") for each in unnamed]
        for each, answer in zip(unnamed, self._opened().read_batch("", parts) if parts else [], strict=True):
            if not isinstance(answer.error, PermissionDenied | Gone):
                names[each] = answer.value().get("displayName")
        return names
