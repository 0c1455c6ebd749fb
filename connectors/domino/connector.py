"""The connector for HCL Domino."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from connectors.calendars import writing
from connectors.calendars.frame import OneDoorEach, digest, refused
from connectors.calendars.records import Problem, teller
from sidefeed.connector import (
    Calls,
    Capabilities,
    Outcome,
    Rights,
    Stream,
    Write,
)

from . import settings
from .calendar import Calendar
from .door import Door
from .recorded import RECORDABLE
from .writer import Writer

log = logging.getLogger(__name__)

EXPERIMENTAL = ("The Domino connector is experimental: it was tested against a practice server, never against a real "
                "Domino. Compare a few calendars with what `sidefeed my-calendar` shows before you rely on it.")


@dataclass(repr=False)
class DominoConnector(OneDoorEach):
    """Calendars in the mail files of a Domino server, through Domino Access Services. Experimental.

    ========== =========== ==============================================================
    object     partition   one record is
    ========== =========== ==============================================================
    mailboxes  none        a configured mailbox: ``address``, ``name`` (read only)
    calendar   a mailbox   a meeting, or one occurrence of a series inside the window
    ========== =========== ==============================================================

    Contacts are not in the calendar service; ``sidefeed import vcf`` reads them from files.

    Settings (``from_settings``):

    ``url``
        ``https://mail.example.com``: the server, without a path.
    ``mailboxes``
        Addresses, as texts or as tables with ``address``, ``name``, ``database``, ``username`` and ``password``.
    ``username``, ``password``
        Of a service account, or under ``credentials`` (address -> table).
    ``database``
        The mail file's folder and name, ``mail/{user}.nsf`` by default; ``{address}`` and ``{user}`` stand for whose.
    ``write``
        Whether meetings planned here may be put into calendars; false by default.
    ``window_past_days``, ``window_future_days``
        30 and 90: the days of a calendar that are read, in whole days UTC.
    ``timezone``
        Of floating times, and of new meetings if nothing says so; ``UTC`` by default.
    ``allow_http``
        Plain http to another machine is refused without it, because credentials travel there.
    ``ca_file``, ``timeout``
        A certificate authority of one's own; seconds (60) to wait for a reply.
    """

    PRODUCT = "Domino"
    SCHEMAS = {"calendar": ("Meeting (experimental)", writing.FIELDS)}

    recordable = RECORDABLE

    settings: settings.Settings
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    system: str = "domino"
    calls: Calls = field(default_factory=Calls)
    problems: list[Problem] = field(default_factory=list)
    _doors: dict[str, Door] = field(default_factory=dict)

    @classmethod
    def from_settings(cls, table: Mapping[str, Any], *, clock: Callable[[], datetime] | None = None) -> DominoConnector:
        """A connector that has called nobody yet. Raises Invalid, naming the setting that is wrong."""
        parsed = settings.parse(table)
        return cls(parsed) if clock is None else cls(parsed, clock)

    def marker(self) -> str:
        """The host (and port) of the server; each cursor is bound to its mail file besides."""
        return self.settings.host

    def prepare(self, objects: Sequence[str], *, apply: bool) -> Sequence[str]:
        """Nothing needs to be created."""
        return ["Domino needs no preparation: a meeting made here has a UID that is made from its key.", EXPERIMENTAL]

    def rights(
        self, object: str, *, reads: Sequence[str], writes: Sequence[str], creates: bool, deletes: bool
    ) -> Rights:
        """What the access control list of each mail file must give. Whether it does only reading tells."""
        if object == "mailboxes":
            return Rights(())
        needed = "Editor" if self.settings.write else "Reader"
        return Rights((f"{needed} in the access control list of each mail file",
                       "the service 'Calendar' of Domino Access Services, switched on for the server"))

    # Inside

    def _abilities(self, object: str) -> Capabilities:
        """No condition on writes; deletions are found by comparing; a key leads to one UID."""
        return Capabilities(deletes=True, unique_keys=True, write_batch=1, read_batch=1, writable=self.settings.write)

    def _find(self, stream: Stream, keys: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """Meetings made for these keys, by the UID that a key leads to."""
        return self._writer(stream).find(keys)

    def _write(self, stream: Stream, writes: Sequence[Write]) -> Iterator[Outcome]:
        """One request per write, after reading what it is about."""
        if not self.settings.write:
            return refused(
                writes, "Domino calendars are only read; `write = true` in the settings lets planned meetings in.")
        return self._writer(stream).write(writes)

    def _door(self, stream: Stream) -> Door:
        mailbox = self.settings.mailboxes[self._address(stream)]
        if not self._doors:
            log.warning(EXPERIMENTAL)
        if mailbox.address not in self._doors:
            self._doors[mailbox.address] = Door(self.settings, mailbox, self.calls)
        return self._doors[mailbox.address]

    def _reader(self, stream: Stream) -> Calendar:
        door = self._door(stream)
        path = self.settings.mailboxes[stream.partition].path
        place = digest(f"{self.settings.host}\n{stream.name}\n{path}")
        tell = teller(stream, self.problems)
        return Calendar(door, stream.partition, place, self.settings.timezone, lambda: self.clock(),
                        self.settings.past, self.settings.future, tell)

    def _writer(self, stream: Stream) -> Writer:
        return Writer(self._door(stream), self.settings.timezone, self._reader(stream).fetch, self.clock)
