"""The feed of one calendar: single meetings by sync state, series by their occurrences in a rolling window.

SyncFolderItems tells what changed and knows nothing of occurrences: of a series it reports the master only. So a
changed master is expanded by a CalendarView over the window; the view is also asked when a new day has entered the
window. Nothing else polls with views (EWS, Mailbox synchronization). The cursor remembers the original starts that were
told of each series, because after a master is deleted nobody else knows them.

What is a deletion: a Delete row of the folder; an occurrence that the server, asked for it by name, no longer has while
its master is there. What is none: an occurrence that the window has left behind, a meeting moved out of the window (it
is told with its new time), a cancelled meeting (``IsCancelled``). A single meeting that became a series is reported as
merged into its first occurrence, and the other way round.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from connectors.calendars.identity import occurrence_id, series_id, split_id
from connectors.calendars.window import Window, rolling, starts_at
from sidefeed.calendars.marks import Named
from sidefeed.connector import CursorExpired, OddAnswer, Page, Remote, chunked

from . import operations, xml
from .cursor import Cursor, Pending, Series
from .meetings import FOLDER, Meetings, Occurrence, is_private, uid_digest
from .times import instant
from .values import Row, row, when
from .xml import Element

if TYPE_CHECKING:
    from .ews import Mailbox

PAGE = 500
"""Records per page that the connector gives; a bound on the core's transactions."""
_SYNC_URIS = (
    "item:Sensitivity", "calendar:CalendarItemType", "calendar:Start", "calendar:End", "calendar:IsAllDayEvent",
    "calendar:StartTimeZone",
)  # fmt: skip


class Calendar:
    """One mailbox's calendar. ``now`` is the server's clock where it is known; ``past`` and ``future`` are days."""

    def __init__(
        self, door: Mailbox, place: str, now: Callable[[], datetime], past: int, future: int, *, bodies: bool = False,
        marks: Sequence[Named] = (),
    ) -> None:
        self._door = door
        self._place = place
        self._now = now
        self._past = past
        self._future = future
        self._bodies = bodies
        self._marks = marks

    def window(self, at: datetime) -> Window:
        """The window on a day."""
        return rolling(at, self._past, self._future)

    def changes(self, fields: Sequence[str], cursor: str | None) -> Iterator[Page]:
        """Changes since a cursor. Raises CursorExpired, and what else the contract names."""
        state, meetings = Cursor.read(cursor, self._place), self._meetings(fields)
        while True:
            page = operations.sync(self._door, FOLDER, state.sync, operations.uri_elements(_SYNC_URIS))
            if not page.state:
                raise CursorExpired(f"Exchange gave no sync state for {self._door.address}.")
            if page.state == state.sync and not page.last:
                raise OddAnswer(f"Exchange's changes of {self._door.address} do not go on; the next run reads again")
            at = self._now()
            window = self.window(at)
            records = _absorb(page, state, window, meetings)
            state.sync = page.state
            if page.last:
                break
            yield Page(tuple(records), state.text())
        day = window.end.date().isoformat()
        if state.pending or (not state.loading and state.covered < day):
            if records:
                yield Page(tuple(records), state.text())
            unexpanded = state.text()
            *full, records = list(chunked(_expand(state, window, meetings), PAGE)) or [[]]
            for chunk in full:
                yield Page(tuple(chunk), unexpanded)
        state.loading = False
        state.covered = max(state.covered, day)
        yield Page(tuple(records), state.text(), last=True, complete_to=at)

    def fetch(self, fields: Sequence[str], ids: Sequence[str]) -> Iterator[Remote]:
        """The state of meetings and occurrences by id, one answer each."""
        return self._meetings(fields).fetch(ids)

    def ids(self) -> Iterator[tuple[str, str]]:
        """Ids and versions of every meeting and occurrence in the window."""
        return self._meetings(()).ids(self.window(self._now()))

    def locate(self, occurrence: str) -> Occurrence | None:
        """The item behind an occurrence's id; None where there is no such occurrence."""
        return self._meetings(()).locate([occurrence]).get(occurrence)

    def _meetings(self, fields: Sequence[str]) -> Meetings:
        return Meetings(self._door, fields, bodies=self._bodies, marks=self._marks)


def _absorb(page: operations.SyncPage, state: Cursor, window: Window, meetings: Meetings) -> list[Remote]:
    """The records of one sync page; masters only become pending."""
    records: list[Remote] = []
    for gone in page.deleted:
        records += _deleted(gone, state, meetings)
    singles: list[Row] = []
    for change, element in page.changed:
        found = row(element)
        if found is None or found.kind in ("Occurrence", "Exception"):
            continue
        if found.kind == "RecurringMaster":
            was_single = change == "Update" and not state.loading and found.id not in state.series
            state.pending[found.id] = Pending(found.sensitivity, was_single)
            continue
        state.pending.pop(found.id, None)
        records += _no_longer_series(found, state, meetings)
        if not state.loading or _touches(window, element):
            singles.append(found)
    return records + meetings.singles(singles)


def _deleted(gone: str, state: Cursor, meetings: Meetings) -> list[Remote]:
    state.pending.pop(gone, None)
    series = state.series.pop(gone, None)
    whole = [Remote(series_id(gone), state="deleted")] if meetings.tells_series else []
    if series is None:
        return [Remote(gone, state="deleted"), *whole]
    return [*(Remote(occurrence_id(gone, start), state="deleted") for start in series.starts), *whole]


def _no_longer_series(single: Row, state: Cursor, meetings: Meetings) -> list[Remote]:
    """The occurrences of a series that became a single meeting: one lives on in it, the others are gone."""
    series = state.series.pop(single.id, None)
    if series is None:
        return []
    start = when(single.element).start
    whole = [Remote(series_id(single.id), state="deleted")] if meetings.tells_series else []
    return whole + [
        Remote(occurrence_id(single.id, each), state="deleted", merged_into=single.id if each == start else None)
        for each in series.starts
    ]


def _expand(state: Cursor, window: Window, meetings: Meetings) -> list[Remote]:
    """Expand pending masters over the whole window, and read what has newly entered it."""
    entered = window.end if state.loading or not state.covered else instant(f"{state.covered}T00:00:00Z")
    rows = meetings.view(Window(window.start if state.pending else entered, window.end))
    masters = meetings.masters({each: pending.sensitivity for each, pending in state.pending.items()})
    fresh = {each: uid_digest(xml.text(master, "UID")) for each, master in masters.items()}
    known = {each: series.uid for each, series in state.series.items()} | fresh
    wanted = set(fresh.values())
    groups = meetings.by_master(
        [
            each for each in rows
            if each.kind != "Single" and (not each.uid or uid_digest(each.uid) in wanted or _begins(each) >= entered)
        ],
        known,
    )  # fmt: skip
    masters |= meetings.masters(meetings.sensitivities([each for each in groups if each not in state.pending]))
    records: list[Remote] = []
    for master_id, master in masters.items():
        told = meetings.occurrences(master_id, master, groups.get(master_id, []))
        records += [each.remote for each in told]
        now = {split_id(each.id)[1] or "" for each in told}
        # The first read leaves out what lies outside the window; what became private is taken back wherever it lies.
        if meetings.tells_series and (told or is_private(master) or not state.loading) and (
            master_id in state.pending or master_id not in state.series
        ):  # fmt: skip
            records.append(meetings.series(series_id(master_id), master))
        records += _settle(master_id, master, now, state, window, meetings)
    _forget_left(state, window)
    state.pending.clear()
    return records + meetings.singles([each for each in rows if each.kind == "Single" and _begins(each) >= entered])


def _settle(
    master_id: str, master: Element, now: set[str], state: Cursor, window: Window, meetings: Meetings
) -> list[Remote]:
    """Remember what is there of one series, and tell what is not any more."""
    before = state.series.get(master_id)
    starts = set(before.starts) if before else set()
    records: list[Remote] = []
    pending = state.pending.get(master_id)
    if pending is not None:
        # One that began before the window is past, and stays as it was told. The others are asked for by name.
        missing = {each for each in starts - now if starts_at(each) >= window.start}
        found = meetings.find({master_id: master}, {master_id: missing}) if missing else {}
        for original in sorted(missing):
            remote_id = occurrence_id(master_id, original)
            if remote_id in found:
                records.append(found[remote_id].remote)
                now = now | {original}
            else:
                records.append(Remote(remote_id, state="deleted"))
        starts = set()
        if pending.was_single:
            first = when(master).start
            records.append(Remote(master_id, state="deleted", merged_into=occurrence_id(master_id, first)))
            now = now | {first}
    state.series[master_id] = Series(uid_digest(xml.text(master, "UID")), sorted(starts | now))
    return records


def _forget_left(state: Cursor, window: Window) -> None:
    """Drop what the window has left behind; that is no deletion, so nothing is told."""
    for master_id, series in list(state.series.items()):
        series.starts = [each for each in series.starts if starts_at(each) >= window.start]
        if not series.starts:
            del state.series[master_id]


def _touches(window: Window, listed: Element) -> bool:
    """Whether a listed item is in the window; one that does not tell its time may be."""
    start, end = xml.text(listed, "Start"), xml.text(listed, "End")
    return start is None or window.holds(instant(start), instant(end or start))


def _begins(listed: Row) -> datetime:
    return instant(xml.text(listed.element, "Start") or "0001-01-01T00:00:00Z")
