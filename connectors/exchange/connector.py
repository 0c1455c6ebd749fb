"""The connector for Exchange Server on premises."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from connectors.calendars import folders
from connectors.calendars.frame import CalendarConnector, digest
from sidefeed.connector import (
    Calls,
    Capabilities,
    ConnectorError,
    Outcome,
    PermissionDenied,
    Rights,
    Stream,
    Write,
)

from . import operations, settings
from .calendar import Calendar
from .codes import CODES
from .contacts import Contacts
from .folder import Folder
from .recorded import RECORDABLE
from .values import CALENDAR, CONTACT, LINK_NAME, LINK_SET, schemas
from .writer import Writer

if TYPE_CHECKING:
    from .ews import Mailbox, Transport

@dataclass(repr=False)
class ExchangeConnector(CalendarConnector):
    """Mailboxes, calendars and contacts of an Exchange server, through EWS.

    ========== =========== ==============================================================
    object     partition   one record is
    ========== =========== ==============================================================
    mailboxes  none        a configured mailbox: ``address``, ``name`` (read only)
    calendar   a mailbox   a meeting, or one occurrence of a series inside the window
    contacts   a mailbox   a contact of the Contacts folder, or of ``contacts_folder``
    ========== =========== ==============================================================

    Settings (``from_settings``):

    ``endpoint``
        ``https://mail.example.com/EWS/Exchange.asmx``. Never discovered.
    ``version``
        The server's build, ``15.2`` by default (2019 and SE; 2016 is ``15.1``, 2013 ``15.0``). Never guessed.
    ``auth``
        ``basic`` (default) or ``ntlm``, with ``username`` and ``password``; or ``oauth`` (client credentials), with
        ``client_id``, ``client_secret``, and ``token_url`` or ``tenant_id``, and ``scope`` if it is not Exchange's.
    ``mailboxes``
        Addresses, as texts or as tables with ``address`` and ``name``.
    ``access``
        ``impersonation`` (default), ``delegate`` (full access of the service account), or ``own`` with ``credentials``
        (address -> ``username``, ``password``).
    ``window_past_days``, ``window_future_days``
        30 and 90: the days of a calendar that are read, in whole days UTC.
    ``timezone``
        Where a new meeting takes place if nothing says so; ``UTC`` by default.
    ``read_bodies``
        Whether ``Body`` is read at all; false by default.
    ``contacts_folder``
        The name of a contact folder of its own; contacts elsewhere are never read or written. ``prepare`` creates it.
    ``allow_http``
        Plain http to another machine is refused without it, because credentials travel there.
    ``ca_file``, ``timeout``
        A certificate authority of one's own; seconds (60) to wait for a reply.
    ``allow_exchange_online``
        Exchange Online is refused without it: EWS there is allow-list only and ends.
    """

    PRODUCT = "Exchange"
    SCHEMAS = {"calendar": ("Meeting", schemas(CALENDAR)), "contacts": ("Contact", schemas(CONTACT))}
    NAMES_LAST = 7
    codes = CODES
    recordable = RECORDABLE

    settings: settings.Settings
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    system: str = "exchange"
    calls: Calls = field(default_factory=Calls)
    _transport: Transport | None = None
    _folders: dict[str, Folder] = field(default_factory=dict)

    @classmethod
    def from_settings(
        cls, table: Mapping[str, Any], *, clock: Callable[[], datetime] | None = None
    ) -> ExchangeConnector:
        """A connector that has called nobody yet. Raises Invalid, naming the setting that is wrong."""
        parsed = settings.parse(table)
        return cls(parsed) if clock is None else cls(parsed, clock)

    # Itself

    def marker(self) -> str:
        """The host (and port) of the endpoint.

        EWS names neither an organisation nor a server in a way that is documented to last; what is, the id of a
        mailbox's calendar folder, would change with the list of mailboxes. Each cursor is bound to its mailbox
        besides, and Exchange itself refuses a sync state of another folder.
        """
        return self.settings.host

    def prepare(self, objects: Sequence[str], *, apply: bool) -> Sequence[str]:
        """The contact folder of its own, where one is wanted; a named property exists once it is set."""
        return [f"Exchange keeps keys in the named property {{{LINK_SET}}} {LINK_NAME}, which needs no preparation.",
                *folders.prepare(self.settings.contacts_folder, self._own_folders(), apply=apply)]

    def rights(
        self, object: str, *, reads: Sequence[str], writes: Sequence[str], creates: bool, deletes: bool
    ) -> Rights:
        """What the account must be given, and where the contact folder of its own is missing or closed to it."""
        self._known(object)
        if object == "mailboxes":
            return Rights(())
        kind = "Editor" if writes or creates or deletes else "Reviewer"
        needed = {"impersonation": "the role ApplicationImpersonation, with a scope that holds the mailboxes",
                  "delegate": f"full access to each mailbox, or {kind} on its {object} folder",
                  "own": "the login of each mailbox"}[self.settings.access]  # fmt: skip
        found = folders.unready(self._own_folders(), creates=creates) if object == "contacts" else ()
        return Rights((needed,), unready=found)

    @property
    def own_credentials(self) -> bool:
        """Whether each mailbox is opened with its own login, so that a wrong one concerns that mailbox alone."""
        return self.settings.access == "own"

    def detach(self, objects: Sequence[str], *, apply: bool) -> Sequence[str]:
        """Named properties go with the items that carry them; calendars that are only read carry none."""
        return [f"Exchange: nothing to delete. Items that Sidefeed created carry the named property {{{LINK_SET}}} "
                f"{LINK_NAME}, which no client shows; calendars that are only read carry no mark."]

    def close(self) -> None:
        """Close the connections."""
        if self._transport is not None:
            self._transport.close()
            self._transport = None
            self._folders.clear()

    # Inside

    @property
    def names(self) -> Mapping[str, str | None]:
        return self.settings.mailboxes

    def _abilities(self, object: str) -> Capabilities:
        """Updates are conditional by change key; the feed has deletions. No property of an item is unique."""
        return Capabilities(conditional=True, deletes=True, write_batch=1, read_batch=operations.GET_NARROW)

    def _find(self, stream: Stream, keys: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """Store ids by the key in the link property."""
        door = self._door(stream)
        place = self._folder(stream.partition).place if stream.object == "contacts" else stream.object
        return operations.find_keys(door, place, keys)

    def _write(self, stream: Stream, writes: Sequence[Write]) -> Iterator[Outcome]:
        """One request per write, because a batch that is throttled half-way is worse than several requests."""
        reader = self._reader(stream)
        calendar, folder = (reader, None) if isinstance(reader, Calendar) else (None, reader.folder)
        return Writer(
            self._door(stream), stream.object, self.settings.timezone, reader.fetch, calendar, folder
        ).write(writes)  # fmt: skip

    def _door(self, stream: Stream) -> Mailbox:
        address = self._address(stream)
        if self._transport is None:
            from .ews import Transport  # exchangelib takes most of a second to import

            self._transport = Transport(self.settings, self.calls)
        return self._transport.mailbox(address)

    def _reader(self, stream: Stream) -> Calendar | Contacts:
        door, place = self._door(stream), self._place(stream)
        if stream.object == "contacts":
            return Contacts(door, place, self._now, self._folder(stream.partition))
        window = self.settings.past, self.settings.future
        return Calendar(door, place, self._now, *window, bodies=self.settings.read_bodies,
                        marks=self.settings.marks)

    def _folder(self, address: str) -> Folder:
        if address not in self._folders:
            self._folders[address] = Folder(self._door(Stream("contacts", address)), self.settings.contacts_folder)
        return self._folders[address]

    def _own_folders(self) -> dict[str, Folder]:
        return {each: self._folder(each) for each in self.settings.mailboxes} if self.settings.contacts_folder else {}

    def _place(self, stream: Stream) -> str:
        """What a cursor is bound to; another folder is another reading."""
        folder = self.settings.contacts_folder if stream.object == "contacts" else ""
        where = f"{self.settings.host}\n{stream.name}" + (f"\n{folder}" if folder else "")
        return digest(where)

    def _now(self) -> datetime:
        """The server's time as of its newest reply, else ours."""
        told = self._transport.server_time if self._transport is not None else None
        return told or self.clock()

    def _named(self, addresses: Sequence[str]) -> Mapping[str, str | None]:
        """Mailboxes by their configured names, else by those in the address book.

        Where the address book may not be asked, a name stays unknown: that is no reason to hold back a person. Nor is
        a wrong password of one mailbox a reason to hold back the others.
        """
        found: dict[str, str | None] = {}
        for each in addresses:
            try:
                found[each] = self.names[each] or operations.resolve_name(self._door(Stream("calendar", each)), each)
            except ConnectorError as error:
                if type(error) not in (ConnectorError, PermissionDenied) and not self.own_credentials:
                    raise
        return found
