"""The feed of one calendar, by calendarView/delta over a window that slides.

A delta link fixes its window, so the window reaches ``SLIDE`` days beyond what is asked for, and when those are used up
everything is read again over the next one, after the last changes of the old. Deletions that fall into that reading are
told by the old link, which is read once more after it.

What is a deletion: an id that is ``@removed`` and, asked for by name, is not there; an occurrence that is not told
with its changed series and that the series, asked, no longer has. What is none: ``@removed`` of an event that is there,
which lies outside the window and is told with its new time; what the window has left behind; a cancelled meeting. A
single meeting that became a series is reported as merged into its first occurrence, and the other way round.

A deleted occurrence may give no signal of its own; its series is told again, and the census finds the rest.
Source: event: delta; "Get incremental changes to events in a calendar view".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from connectors.calendars.identity import occurrence_id, series_id, split_id
from connectors.calendars.window import Window, rolling, starts_at
from sidefeed.calendars.marks import Named
from sidefeed.connector import Page, Remote

from . import values
from .cursor import Cursor
from .meetings import Meetings, Occurrence, query_of
from .values import Json, when

if TYPE_CHECKING:
    from .door import Door

SLIDE = 7
"""Days that a window reaches further than it must. One: every day begins with a whole reading; thirty: meetings are
told a month before anybody wants them."""
PAGE = 50
"""Rows of a delta page (every example of the documentation has 50; more is not promised)."""


class Calendar:
    """One mailbox's calendar. ``now`` is the server's clock where it is known; ``past`` and ``future`` are days."""

    def __init__(
        self, door: Door, mailbox: str, place: str, now: Callable[[], datetime], past: int, future: int,
        *, bodies: bool = False, marks: Sequence[Named] = (),
    ) -> None:  # fmt: skip
        self._door = door
        self._mailbox = mailbox
        self._place = place
        self._now = now
        self._past = past
        self._future = future
        self._bodies = bodies
        self._marks = marks

    def window(self, at: datetime, slide: int = 0) -> Window:
        """The window on a day."""
        return rolling(at, self._past, self._future + slide)

    def changes(self, fields: Sequence[str], cursor: str | None) -> Iterator[Page]:
        """Changes since a cursor. Raises CursorExpired, and what else the contract names."""
        state, meetings = Cursor.read(cursor, self._place), self._meetings(fields)
        self._plan(state)
        while True:
            given = self._door.get(self._mailbox, state.todo[0][1], page=PAGE)
            at = self._now()
            records = _absorb(given.get("value") or (), state, meetings)
            if state.turn(given):
                window = self.window(at)
                records += _settle(state, window, meetings)
                _forget_left(state, window)
            if not state.todo:
                yield Page(tuple(records), state.text(), last=True, complete_to=at)
                return
            yield Page(tuple(records), state.text())

    def _plan(self, state: Cursor) -> None:
        """Decide what is to be read, unless a round was begun."""
        if state.todo:
            return
        at = self._now()
        due = self.window(at).end.date().isoformat()
        if state.link and due <= state.covered:
            state.todo = [("changes", state.link)]
            return
        wide = self.window(at, SLIDE)
        fresh = f"calendarView/delta?{query_of(wide)}"
        state.todo = [("first", fresh)]
        if state.link:
            state.todo = [("changes", state.link), ("again", fresh), ("drain", "")]
        state.covered = wide.end.date().isoformat()

    def fetch(self, fields: Sequence[str], ids: Sequence[str]) -> Iterator[Remote]:
        """The state of meetings and occurrences by id, one answer each."""
        return self._meetings(fields).fetch(ids)

    def ids(self) -> Iterator[tuple[str, str]]:
        """Ids and versions of every meeting and occurrence in the window."""
        return self._meetings(()).ids(self.window(self._now()))

    def locate(self, occurrences: Sequence[str]) -> dict[str, Occurrence]:
        """The events behind the ids of occurrences; those that do not exist are not in the answer."""
        return self._meetings(()).locate(occurrences)

    def _meetings(self, fields: Sequence[str]) -> Meetings:
        return Meetings(self._door, self._mailbox, fields, bodies=self._bodies, marks=self._marks)


def _absorb(rows: Sequence[Json], state: Cursor, meetings: Meetings) -> list[Remote]:
    """The records of one page. Masters only become pending: all their occurrences are known when the round ends."""
    events = [meetings.dressed(row) for row in rows if "@removed" not in row]
    meetings.marked.look_at(events)
    records: list[Remote] = []
    for event in events:
        if event.get("type") == "seriesMaster":
            records += _series_begins(event, state)
    for event in events:
        if event.get("type") not in ("seriesMaster", "occurrence"):
            records += _whole(event, state, meetings)
    bare = [event for event in events if event.get("type") == "occurrence"]
    masters = meetings.masters(str(row["seriesMasterId"]) for row in bare)
    for row in bare:
        master = masters.get(str(row["seriesMasterId"]))
        found = None if master is None else meetings.occurrence(values.occurrence(master, row))
        records += _occurrence(found, state)
    removed = [str(row["id"]) for row in rows if "@removed" in row]
    return records + _removed(removed, state, meetings)


def _series_begins(master: Json, state: Cursor) -> list[Remote]:
    """A master: pending until the round has told all its occurrences.

    One that is new among changes may have been a single meeting under the same id; nothing tells, so it is always said.
    """
    master_id = str(master["id"])
    state.pending.setdefault(master_id, [])
    whole = state.todo[0][0] in ("first", "again")
    if whole or master_id in state.series:
        return []
    return [Remote(master_id, state="deleted", merged_into=occurrence_id(master_id, when(master).start))]


def _whole(event: Json, state: Cursor, meetings: Meetings) -> list[Remote]:
    """A single meeting, or an exception, which is told whole."""
    if event.get("type") == "exception" and event.get("seriesMasterId"):
        return _occurrence(meetings.occurrence(event), state)
    event_id = str(event["id"])
    told = meetings.told(event)
    records = [] if told is None else [told]
    state.pending.pop(event_id, None)
    was_series = event_id in state.series
    if was_series and meetings.tells_series:
        records.append(Remote(series_id(event_id), state="deleted"))
    for original in state.series.pop(event_id, ()):
        same = told is not None and original == when(event).start
        gone = Remote(occurrence_id(event_id, original), state="deleted", merged_into=event_id if same else None)
        records.append(gone)
    return records


def _occurrence(found: Occurrence | None, state: Cursor) -> list[Remote]:
    if found is None:
        return []
    master_id, original = split_id(found.id)
    starts = state.pending.setdefault(master_id, [])
    if original and original not in starts:
        starts.append(original)
    return [found.remote]


def _removed(ids: Sequence[str], state: Cursor, meetings: Meetings) -> list[Remote]:
    """What ``@removed`` means for each id: gone, or there and outside the window."""
    records: list[Remote] = []
    singles: list[str] = []
    for each in ids:
        if each in state.series or each in state.pending:
            state.pending[each] = []
        else:
            singles.append(each)
    for each, event in (meetings.events(singles) if singles else {}).items():
        if event is None:
            records.append(Remote(each, state="deleted"))
            if meetings.tells_series:
                records.append(Remote(series_id(each), state="deleted"))
        elif event.get("type") in ("singleInstance", "exception"):
            records += _whole(event, state, meetings)
        elif event.get("type") == "occurrence":
            records += _occurrence(meetings.occurrence(event), state)
    return records


def _settle(state: Cursor, window: Window, meetings: Meetings) -> list[Remote]:
    """At the end of a round: the occurrences that were known, were not told with their series, and are not there."""
    records = _series(state, meetings) if meetings.tells_series else []
    missing: dict[str, set[str]] = {}
    for master_id, now in state.pending.items():
        before = state.series.get(master_id, [])
        # One that began before the window is past, and stays as it was told. The others are asked for by name.
        missing[master_id] = {each for each in before if each not in now and starts_at(each) >= window.start}
    asked = [occurrence_id(master_id, each) for master_id, starts in missing.items() for each in sorted(starts)]
    found = meetings.locate(asked) if asked else {}
    for each in asked:
        records.append(found[each].remote if each in found else Remote(each, state="deleted"))
    for master_id, now in state.pending.items():
        alive = [each for each in missing[master_id] if occurrence_id(master_id, each) in found]
        state.series[master_id] = sorted({*now, *alive})
    state.pending.clear()
    return records


def _series(state: Cursor, meetings: Meetings) -> list[Remote]:
    """The series that changed in this round. Of those that are not there any more that they are gone."""
    masters = meetings.masters(state.pending)
    records = list(meetings.series({each: master for each, master in masters.items()
                                    if master.get("type") == "seriesMaster"}))
    return records + [Remote(series_id(each), state="deleted") for each in state.pending if each not in masters]


def _forget_left(state: Cursor, window: Window) -> None:
    """Drop what the window has left behind; that is no deletion, so nothing is told."""
    for master_id, starts in list(state.series.items()):
        kept = [each for each in starts if starts_at(each) >= window.start]
        if kept:
            state.series[master_id] = kept
        else:
            del state.series[master_id]

