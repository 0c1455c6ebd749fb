"""The contacts of one address book. Groups are no people, and are not read; of a private card nothing is told but that
it is private.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from connectors.calendars.events import Broken
from connectors.calendars.records import Tell
from sidefeed.connector import Page, Remote, chunked

from . import people
from .calendar import PAGE
from .collection import Change, Collection, note
from .cursor import Cursor
from .dav import Found


class Contacts:
    """Reads one address book of one mailbox."""

    def __init__(self, collection: Collection, place: str, now: Callable[[], datetime], tell: Tell) -> None:
        self._collection = collection
        self._place = place
        self._now = now
        self._tell = tell

    def changes(self, fields: Sequence[str], cursor: str | None) -> Iterator[Page]:
        """Changes since a cursor. Raises CursorExpired, and what else the contract names."""
        state = self._collection.state() if cursor is None else Cursor.read(cursor, self._place)
        state.place = self._place
        changes = [Change(href) for href in self._collection.listing()] if cursor is None else (
            self._collection.news(state))
        if cursor is not None and not changes:
            yield Page((), state.text(), True, self._now())
            return
        records: list[Remote] = []
        for change in changes:
            if change.gone:
                state.items.pop(change.href, None)
                records.append(Remote(change.href, state="deleted"))
        found = list(self._collection.get([change.href for change in changes if not change.gone]))
        note(state, found)
        records += self._remotes(found, fields)
        *full, last = list(chunked(records, PAGE)) or [[]]
        for chunk in full:
            yield Page(tuple(chunk), cursor or Cursor(self._place).text())
        yield Page(tuple(last), state.text(), True, self._now())

    def fetch(self, fields: Sequence[str], ids: Sequence[str]) -> Iterator[Remote]:
        """The state of contacts by id, one answer each."""
        for one in self._collection.get(ids):
            yield next(self._remotes([one], fields), Remote(one.href, {}, one.etag))

    def ids(self) -> Iterator[tuple[str, str]]:
        yield from self._collection.listing().items()

    def _remotes(self, found: Iterable[Found], fields: Sequence[str]) -> Iterator[Remote]:
        for one in found:
            if one.gone:
                yield Remote(one.href, state="deleted")
            elif (card := self._card(one)) is not None:
                yield Remote(one.href, state="private") if people.is_private(card) else (
                    Remote(one.href, people.read(card, fields), one.etag))

    def _card(self, one: Found) -> Any:
        try:
            return people.parse(one.data or "")
        except Broken as error:
            self._tell(one.href, str(error))
            return None
