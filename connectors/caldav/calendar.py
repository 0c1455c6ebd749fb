"""The feed of one calendar: single meetings by resource, series by their occurrences in a rolling window.

The first read asks for what touches the window; later ones for what changed, and, once a day, for what has newly
entered the window. A resource that cannot be read is told by name and holds back no other. What the window has left
behind is no deletion: nothing is told of it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from connectors.calendars import events
from connectors.calendars.events import Broken, Meeting
from connectors.calendars.records import MARK, Tell, identity, split
from connectors.calendars.window import Window, rolling, starts_at
from sidefeed.calendars.identity import SINGLE
from sidefeed.calendars.recurrence import RECURRENCE
from sidefeed.connector import Page, Remote, chunked

from .collection import Change, Collection, note
from .cursor import Cursor
from .dav import Found

log = logging.getLogger(__name__)

PAGE = 500
class Calendar:
    """Reads one calendar of one mailbox. ``tell`` is told of resources that cannot be read."""

    def __init__(
        self, collection: Collection, mailbox: str, place: str, zone: str, now: Callable[[], datetime], past: int,
        future: int, tell: Tell,
    ) -> None:
        self._collection = collection
        self._mailbox = mailbox
        self._place = place
        self._zone = zone
        self._now = now
        self._past = past
        self._future = future
        self._tell = tell

    def window(self) -> Window:
        """The window now."""
        return rolling(self._now(), self._past, self._future)

    def changes(self, fields: Sequence[str], cursor: str | None) -> Iterator[Page]:
        """Changes since a cursor. Raises CursorExpired, and what else the contract names."""
        window = self.window()
        day = window.end.date().isoformat()
        if cursor is None:
            state = self._collection.state()
            state.place = self._place
            records = self._first(state, window, fields)
        else:
            state = Cursor.read(cursor, self._place)
            changes = self._collection.news(state)
            if not changes and state.covered >= day:
                yield Page((), cursor if state.text() == cursor else state.text(), True, self._now())
                return
            records = self._told(state, changes, window, fields)
            if state.covered < day:
                entered = self._collection.in_window(datetime.fromisoformat(f"{state.covered}T00:00:00+00:00"),
                                                     window.end)
                records += self._of(state, entered, window, fields)
                _forget_left(state, window)
        state.covered = max(day, state.covered)
        *full, last = list(chunked(records, PAGE)) or [[]]
        for chunk in full:  # an earlier cursor: should the process die here, all of it is read again
            yield Page(tuple(chunk), cursor or Cursor(self._place, covered=_before(window)).text())
        yield Page(tuple(last), state.text(), True, self._now())

    def _first(self, state: Cursor, window: Window, fields: Sequence[str]) -> list[Remote]:
        found = self._collection.in_window(window.start, window.end)
        if not state.token:
            listed = self._collection.listing()
            note(state, [Found(href, etag=etag) for href, etag in listed.items()])
        return self._of(state, found, window, fields)

    def _told(
        self, state: Cursor, changes: Sequence[Change], window: Window, fields: Sequence[str]
    ) -> list[Remote]:
        records: list[Remote] = []
        for change in changes:
            if change.gone:
                state.items.pop(change.href, None)
                starts = state.series.pop(change.href, None)
                records += [Remote(change.href, state="deleted")] if starts is None else [
                    Remote(f"{change.href}{MARK}{start}", state="deleted") for start in starts]
                records += _series_gone(change.href, fields)
        found = self._collection.get([change.href for change in changes if not change.gone])
        return records + self._of(state, found, window, fields)

    def _of(
        self, state: Cursor, found: Iterable[Found], window: Window, fields: Sequence[str]
    ) -> list[Remote]:
        """The records of resources, and what is gone from those that are series."""
        records: list[Remote] = []
        for one in found:
            known = one.href in state.items
            note(state, [one])
            if one.gone:
                records += [Remote(one.href, state="deleted"), *_series_gone(one.href, fields)]
                continue
            calendar = self._object(one)
            told = state.series.get(one.href, ())
            meetings = None if calendar is None else self._meetings(one, calendar, window, told)
            if meetings is None:
                continue
            records += self._remotes(one, meetings, fields)
            records += self._series(one, calendar, fields)
            if one.href in state.series and any(each.original == SINGLE for each in meetings):
                records += _series_gone(one.href, fields)
            records += _settle(state, one.href, meetings, window, known)
        return records

    def _object(self, one: Found) -> Any:
        """The VCALENDAR of a resource; None, and told, where it cannot be read."""
        try:
            uids = events.by_uid(events.parse((one.data or "").encode()))
            if len(uids) != 1:
                raise Broken(f"it holds {len(uids)} meetings where a resource holds one")
            return next(iter(uids.values()))
        except Broken as error:
            self._tell(one.href, str(error))
            return None

    def _meetings(
        self, one: Found, calendar: Any, window: Window, named: Iterable[str] = ()
    ) -> list[Meeting] | None:
        """The meetings in a window, and those with the original starts ``named`` that were moved out of it."""
        try:
            found = events.meetings(calendar, window, self._zone)
            missing = set(named) - {each.original for each in found}
            return found + (events.exceptions(calendar, missing, self._zone) if missing else [])
        except Broken as error:
            self._tell(one.href, str(error))
            return None

    def _series(self, one: Found, calendar: Any, fields: Sequence[str]) -> list[Remote]:
        """The series of a resource as one object, where there is one and it is wanted."""
        if RECURRENCE not in fields:
            return []
        try:
            values = events.series(calendar, self._mailbox, fields, self._zone)
        except Broken as error:
            self._tell(one.href, str(error))
            return []
        return [] if values is None else [Remote(f"{one.href}{MARK}", values, one.etag)]

    def _remotes(self, one: Found, meetings: Iterable[Meeting], fields: Sequence[str]) -> Iterator[Remote]:
        for meeting in meetings:
            try:
                values = events.read(meeting, self._mailbox, fields, self._zone)
            except Broken as error:
                self._tell(one.href, str(error))
                continue
            modified = meeting.event.get("LAST-MODIFIED") or meeting.event.get("DTSTAMP")
            at = getattr(modified, "dt", None)
            yield Remote(identity(one.href, meeting.original), values, one.etag,
                         at if isinstance(at, datetime) and at.tzinfo and at <= self._now() else None)

    def fetch(self, fields: Sequence[str], ids: Sequence[str]) -> Iterator[Remote]:
        """The state of meetings and occurrences by id, one answer each."""
        wanted = list(dict.fromkeys(ids))
        by_href: dict[str, list[str]] = {}
        for each in wanted:
            by_href.setdefault(split(each)[0], []).append(each)
        for one in self._collection.get(list(by_href)):
            yield from self._answers(one, by_href[one.href], fields)

    def _answers(self, one: Found, ids: Sequence[str], fields: Sequence[str]) -> Iterator[Remote]:
        if one.gone:
            yield from (Remote(each, state="deleted") for each in ids)
            return
        window = self.window()
        starts = [starts_at(start) for each in ids if (start := split(each)[1])]
        span = Window(min([window.start, *starts]), max([window.end, *(each + timedelta(days=1) for each in starts)]))
        calendar = self._object(one)
        meetings = None if calendar is None else self._meetings(
            one, calendar, span, {start for each in ids if (start := split(each)[1])})
        if meetings is None:
            yield from (Remote(each, {}, one.etag) for each in ids)
            return
        found = {remote.id: remote for remote in self._remotes(one, meetings, fields)}
        whole = self._series(one, calendar, [*fields, RECURRENCE])
        first = min((each.original for each in meetings), default=None)
        for each in ids:
            if whole and each not in found and (each.endswith(MARK) or (
                    MARK in each and (whole[0].values or {}).get(RECURRENCE) is None)):
                # Of a private series not even told is whether an occurrence takes place.
                yield replace(whole[0], id=each)
                continue
            was_single = split(each)[1] is None
            merged = identity(one.href, first) if was_single and first else one.href if not was_single and (
                one.href in found) else None
            yield found.get(each) or Remote(each, state="deleted", merged_into=merged if merged != each else None)

    def ids(self) -> Iterator[tuple[str, str]]:
        """Ids and versions of every meeting and occurrence in the window."""
        window = self.window()
        for one in self._collection.in_window(window.start, window.end):
            calendar = self._object(one)
            for meeting in () if calendar is None else self._meetings(one, calendar, window) or ():
                yield identity(one.href, meeting.original), one.etag


def _series_gone(href: str, fields: Sequence[str]) -> list[Remote]:
    return [Remote(f"{href}{MARK}", state="deleted")] if RECURRENCE in fields else []


def _settle(state: Cursor, href: str, meetings: Sequence[Meeting], window: Window, known: bool) -> list[Remote]:
    """Remember which occurrences of a series were told, and tell what is not there any more."""
    now = sorted(each.original for each in meetings if each.original != SINGLE)
    before = state.series.get(href)
    single = any(each.original == SINGLE for each in meetings)
    if single:
        state.series.pop(href, None)
        if before is None:
            return []
        start = events.when(meetings[0].event, "UTC")[0]
        return [Remote(f"{href}{MARK}{each}", state="deleted", merged_into=href if each == start else None)
                for each in before]
    gone = [each for each in before or () if each not in now and starts_at(each) >= window.start]
    kept = [each for each in before or () if starts_at(each) < window.start]
    state.series[href] = sorted({*now, *kept})
    told = [Remote(f"{href}{MARK}{each}", state="deleted") for each in gone]
    if before is None and known and now:
        told.append(Remote(href, state="deleted", merged_into=f"{href}{MARK}{now[0]}"))
    return told


def _forget_left(state: Cursor, window: Window) -> None:
    for href, starts in list(state.series.items()):
        state.series[href] = [each for each in starts if starts_at(each) >= window.start]


def _before(window: Window) -> str:
    return window.start.date().isoformat()
