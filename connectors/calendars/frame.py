"""The frame of a connector for calendars: one feed of mailboxes, which are only read, and of each other object one feed
per mailbox. What a system adds is how one mailbox is read and written.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, Protocol

from connectors.calendars.fields import MAILBOX
from sidefeed.connector import (
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

MAILBOXES = "mailboxes"


class Reader(Protocol):
    """Reads one object of one mailbox, as `Connector` says of its streams."""

    def changes(self, fields: Sequence[str], cursor: str | None) -> Iterator[Page]: ...

    def fetch(self, fields: Sequence[str], ids: Sequence[str]) -> Iterator[Remote]: ...

    def ids(self) -> Iterator[tuple[str, str]]: ...


class CalendarConnector(ABC):
    """A connector of mailboxes and what lies in them. ``object`` is one of ``SCHEMAS``, or ``mailboxes``."""

    PRODUCT: ClassVar[str]
    SCHEMAS: ClassVar[Mapping[str, tuple[str, Mapping[str, FieldSchema]]]]
    """Object -> what one record of it is called, and its raw fields, which are the same on every server."""
    NAMES_LAST: ClassVar[int | None] = None
    """Days for which the names of mailboxes are believed, where a directory tells them: they change when people marry,
    and asking costs calls. None: the settings alone tell them."""

    settings: Any
    clock: Callable[[], datetime]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._where}, {len(self.names)} mailboxes)"

    @property
    def _where(self) -> str:
        """The server or organisation, as it may be shown."""
        return str(self.settings.host)

    # What a system adds

    @property
    @abstractmethod
    def names(self) -> Mapping[str, str | None]:
        """Address -> configured name of each mailbox."""

    @abstractmethod
    def _reader(self, stream: Stream) -> Reader: ...

    @abstractmethod
    def _abilities(self, object: str) -> Capabilities: ...

    @abstractmethod
    def _find(self, stream: Stream, keys: Sequence[str]) -> Mapping[str, Sequence[str]]: ...

    @abstractmethod
    def _write(self, stream: Stream, writes: Sequence[Write]) -> Iterator[Outcome]: ...

    def _named(self, addresses: Sequence[str]) -> Mapping[str, str | None]:
        """The names of mailboxes; those that are not known are left out."""
        return {each: name for each in addresses if (name := self.names[each]) is not None}

    # The contract

    def describe(self, object: str) -> ObjectSchema:
        """The raw fields of an object."""
        self._known(object)
        label, fields = ("Mailbox", MAILBOX) if object == MAILBOXES else self.SCHEMAS[object]
        return ObjectSchema(object, label, dict(fields))

    def streams(self, object: str) -> Sequence[Stream]:
        """One stream of mailboxes; of everything else one per mailbox."""
        self._known(object)
        return [Stream(object)] if object == MAILBOXES else [Stream(object, address) for address in self.names]

    def capabilities(self, object: str) -> Capabilities:
        """What the system can; mailboxes are only read."""
        self._known(object)
        return Capabilities(deletes=False, writable=False) if object == MAILBOXES else self._abilities(object)

    def changes(
        self, stream: Stream, fields: Sequence[str], cursor: str | None, *, scope: Any = None
    ) -> Iterator[Page]:
        """Changes since a cursor. No calendar filters its changes, so ``scope`` is left to the core."""
        if stream.object == MAILBOXES:
            return self._mailbox_changes(fields, cursor)
        return self._reader(stream).changes(fields, cursor)

    def fetch(self, stream: Stream, fields: Sequence[str], ids: Sequence[str]) -> Iterable[Remote]:
        """State by id, straight from the store; one answer per id."""
        if not ids:
            return ()
        if stream.object == MAILBOXES:
            wanted = list(dict.fromkeys(ids))
            told = {one.id: one for one in self._mailboxes([each for each in wanted if each in self.names], fields)}
            return [told.get(each, Remote(each, state="deleted")) for each in wanted]
        return self._reader(stream).fetch(fields, ids)

    def find(self, stream: Stream, keys: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """Ids by key; a mailbox has none."""
        if not keys or stream.object == MAILBOXES:
            return {key: [] for key in keys}
        return self._find(stream, list(dict.fromkeys(keys)))

    def ids(self, stream: Stream) -> Iterator[tuple[str, str]]:
        """Every live id with its version; of a calendar those in the window."""
        if stream.object == MAILBOXES:
            return iter([(address, "") for address in self.names])
        return self._reader(stream).ids()

    def write(self, stream: Stream, writes: Sequence[Write]) -> Iterator[Outcome]:
        """One outcome per write. Nobody is mailed unless the write says so."""
        if stream.object == MAILBOXES:
            return refused(writes, f"Mailboxes are only read; an administrator of {self.PRODUCT} makes them.")
        return self._write(stream, writes) if writes else iter(())

    def overwritten(self, stream: Stream, outcomes: Mapping[str, Write]) -> Mapping[str, Raw]:
        """Nothing: no calendar keeps a history of fields."""
        return {}

    # Inside

    def _known(self, object: str) -> None:
        if object != MAILBOXES and object not in self.SCHEMAS:
            raise Invalid(f"{self.PRODUCT} has no object {object!r} here; it has "
                          f"{', '.join((MAILBOXES, *self.SCHEMAS))}.", rule="object", owner="ops")

    def _address(self, stream: Stream) -> str:
        """The mailbox of a stream. Raises Invalid for one that is not in the settings."""
        self._known(stream.object)
        if stream.partition not in self.names:
            raise Invalid(f"Mailbox {stream.partition!r} is not among the mailboxes in the settings.",
                          field="mailboxes", rule="partition", owner="ops")
        return stream.partition

    def _mailbox_changes(self, fields: Sequence[str], cursor: str | None) -> Iterator[Page]:
        """All mailboxes when the list is another one or the names are old, else none."""
        listed = digest(repr(sorted(self.names.items())))
        today = self.clock().date()
        if cursor is not None:
            try:
                before: dict[str, Any] = dict(json.loads(cursor))
                age = 0 if self.NAMES_LAST is None else (today - datetime.fromisoformat(before["read"]).date()).days
            except (ValueError, KeyError, TypeError):
                raise CursorExpired("The cursor of the mailboxes cannot be read.") from None
            if before.get("list") == listed and (self.NAMES_LAST is None or 0 <= age < self.NAMES_LAST):
                yield Page((), cursor, last=True)
                return
        read = {} if self.NAMES_LAST is None else {"read": today.isoformat()}
        yield Page(tuple(self._mailboxes(list(self.names), fields)), json.dumps({"list": listed, **read}), last=True)

    def _mailboxes(self, addresses: Sequence[str], fields: Sequence[str]) -> list[Remote]:
        names = self._named(addresses) if "name" in fields and addresses else {}
        return [Remote(each, ({"address": each} if "address" in fields else {})
                       | ({"name": names[each]} if each in names else {})) for each in addresses]


class Closable(Protocol):
    def close(self) -> None: ...


class OneDoorEach(CalendarConnector):
    """A connector that goes to each mailbox by a door of its own. ``settings.mailboxes`` are tables with ``address``,
    ``name`` and ``login``."""

    _doors: Mapping[str, Closable]

    @property
    def names(self) -> Mapping[str, str | None]:
        return {each.address: each.name for each in self.settings.mailboxes.values()}

    @property
    def own_credentials(self) -> bool:
        """Whether each mailbox is opened with its own login, so that a wrong one concerns that mailbox alone."""
        return len({each.login for each in self.settings.mailboxes.values()}) > 1

    def close(self) -> None:
        """Close the connections."""
        for door in self._doors.values():
            door.close()
        self._doors = {}


def refused(writes: Iterable[Write], why: str) -> Iterator[Outcome]:
    """Every write refused for one reason, which is an administrator's to change."""
    error = PermissionDenied(why)
    return iter([Outcome(each.key, "refused", each.external_id, error=error) for each in writes])


def digest(text: str) -> str:
    """A short stand-in for what something is bound to."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]
