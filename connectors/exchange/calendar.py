"""The calendar of one mailbox: single meetings by sync state, series by their occurrences in a rolling window.

SyncFolderItems tells what changed and knows nothing of occurrences: of a series it reports the master only. So a
changed master is expanded by a CalendarView over the window; the view is also asked when a new day has entered the
window. Nothing else polls with views (EWS, Mailbox synchronization).

Ids. A single meeting goes by its store id; an occurrence by ``<store id of its master>@<original start>``, which
neither an edit, nor a move, nor the step from occurrence to exception changes. The cursor remembers the original
starts it told for each series, because after a master is deleted nobody else knows them.

What is a deletion: a Delete row of the folder; an occurrence that the server, asked for it by name, no longer has while
its master is there. What is none: an occurrence that the window has left
behind, a meeting moved out of the window (it is told with its new time), a cancelled meeting (``IsCancelled``). A
single meeting that became a series is reported as merged into its first occurrence, and the other way round.

Privacy. Listings ask for the sensitivity and never for a subject. What is not public is then read with the properties
of ``PRIVATE_FIELDS`` only; subject, place, people and body of a private meeting are never asked for.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from sidefeed.connector import CursorExpired, Page, Remote, chunked

from . import operations, xml
from .cursor import Cursor, Pending, Series
from .identity import normalised_uid, occurrence_id, split_id
from .times import instant
from .values import (
    CALENDAR,
    PRIVATE_FIELDS,
    STRUCTURE,
    Row,
    When,
    original_start,
    original_text,
    read_meeting,
    row,
    starts_at,
    uris,
    when,
    zone_of,
)
from .xml import Element

if TYPE_CHECKING:
    from .ews import Mailbox

log = logging.getLogger(__name__)

FOLDER = "calendar"
PAGE = 500
"""Records per page that the connector gives; a bound on the core's transactions."""
_SYNC_URIS = (
    "item:Sensitivity", "calendar:CalendarItemType", "calendar:Start", "calendar:End", "calendar:IsAllDayEvent",
    "calendar:StartTimeZone",
)  # fmt: skip
_MASTER_URIS = (*STRUCTURE, "calendar:ModifiedOccurrences")
_LONGEST_VIEW = timedelta(days=400)  # a view spans two years at most (ErrorCalendarViewRangeTooBig)


@dataclass(frozen=True, slots=True)
class Window:
    """The days that are read, from midnight UTC to midnight UTC."""

    start: datetime
    end: datetime

    def holds(self, begins: datetime, ends: datetime) -> bool:
        return begins < self.end and ends >= self.start


@dataclass(frozen=True, slots=True)
class Occurrence:
    """Where an occurrence is to be found at this moment: its item, which is not its identity."""

    id: str
    item: str
    version: str
    remote: Remote


class Calendar:
    """Reads one mailbox's calendar. ``now`` is the server's clock where it is known."""

    def __init__(
        self, door: Mailbox, place: str, now: Callable[[], datetime], past: int, future: int, *, bodies: bool = False
    ) -> None:
        self._door = door
        self._place = place
        self._now = now
        self._past = past
        self._future = future
        self._bodies = bodies

    # The feed

    def changes(self, fields: Sequence[str], cursor: str | None) -> Iterator[Page]:
        """Changes since a cursor. Raises CursorExpired, and what else the contract names."""
        state = Cursor.read(cursor, self._place)
        while True:
            page = operations.sync(self._door, FOLDER, state.sync, operations.uri_elements(_SYNC_URIS))
            if not page.state:
                raise CursorExpired(f"Exchange gave no sync state for {self._door.address}.")
            at = self._now()
            window = self.window(at)
            records = self._absorb(page, state, window, fields)
            state.sync = page.state
            if page.last:
                break
            yield Page(tuple(records), state.text())
        day = window.end.date().isoformat()
        if state.pending or (not state.loading and state.covered < day):
            if records:
                yield Page(tuple(records), state.text())
            unexpanded = state.text()
            records = self._expand(state, window, fields)
            for chunk in list(chunked(records, PAGE))[:-1]:
                yield Page(tuple(chunk), unexpanded)
            records = records[(len(records) - 1) // PAGE * PAGE :] if records else []
        state.loading = False
        state.covered = max(state.covered, day)
        yield Page(tuple(records), state.text(), last=True, complete_to=at)

    def window(self, at: datetime) -> Window:
        """The window on a day: whole days, so that it slides once a day."""
        today = at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return Window(today - timedelta(days=self._past), today + timedelta(days=self._future + 1))

    def _absorb(
        self, page: operations.SyncPage, state: Cursor, window: Window, fields: Sequence[str]
    ) -> list[Remote]:
        """The records of one sync page; masters only become pending."""
        records: list[Remote] = []
        for gone in page.deleted:
            records += self._deleted(gone, state)
        singles: list[Row] = []
        for change, element in page.changed:
            found = row(element)
            if found is None or found.kind in ("Occurrence", "Exception"):
                continue
            if found.kind == "RecurringMaster":
                fresh = change == "Update" and not state.loading and found.id not in state.series
                state.pending[found.id] = Pending(found.sensitivity, was_single=fresh)
                continue
            state.pending.pop(found.id, None)
            records += self._no_longer_series(found, state)
            if not state.loading or _touches(window, element):
                singles.append(found)
        return records + self._meetings(singles, fields)

    def _deleted(self, gone: str, state: Cursor) -> list[Remote]:
        state.pending.pop(gone, None)
        series = state.series.pop(gone, None)
        if series is None:
            return [Remote(gone, state="deleted")]
        return [Remote(occurrence_id(gone, start), state="deleted") for start in series.starts]

    def _no_longer_series(self, single: Row, state: Cursor) -> list[Remote]:
        """The occurrences of a series that became a single meeting: one lives on in it, the others are gone."""
        series = state.series.pop(single.id, None)
        if series is None:
            return []
        start = when(single.element).start
        return [
            Remote(occurrence_id(single.id, each), state="deleted", merged_into=single.id if each == start else None)
            for each in series.starts
        ]

    # Series

    def _expand(self, state: Cursor, window: Window, fields: Sequence[str]) -> list[Remote]:
        """Expand pending masters over the whole window, and read what has newly entered it."""
        entered = _midnight(state.covered) if state.covered and not state.loading else window.end
        start = window.start if state.pending else entered
        rows = operations.calendar_view(self._door, FOLDER, start, window.end)
        masters = self._masters({each: pending.sensitivity for each, pending in state.pending.items()}, fields)
        known = {each: _digest(xml.text(master, "UID")) for each, master in masters.items()}
        known = {**{each: series.uid for each, series in state.series.items()}, **known}
        candidates = [
            each for each in rows
            if each.kind != "Single" and (_begins(each) >= entered or _digest(each.uid) in
                                          {known[master] for master in masters} or not each.uid)
        ]  # fmt: skip
        groups = self._by_master(candidates, known)
        masters |= self._masters(self._sensitivities([each for each in groups if each not in state.pending]), fields)
        records: list[Remote] = []
        for master_id, master in masters.items():
            told = self._occurrences(master_id, master, groups.get(master_id, []), fields)
            records += [each.remote for each in told]
            now = {split_id(each.id)[1] or "" for each in told}
            records += self._settle(master_id, master, now, state, window, fields)
        self._forget_left(state, window)
        state.pending.clear()
        return records + self._meetings(
            [each for each in rows if each.kind == "Single" and _begins(each) >= entered], fields
        )

    def _settle(
        self, master_id: str, master: Element, now: set[str], state: Cursor, window: Window, fields: Sequence[str]
    ) -> list[Remote]:
        """Remember what is there of one series, and tell what is not any more."""
        before = state.series.get(master_id)
        starts = set(before.starts) if before else set()
        records: list[Remote] = []
        pending = state.pending.get(master_id)
        if pending is not None:
            # One that began before the window is past, and stays as it was told; one that begins after it is asked for.
            missing = {each for each in starts - now if starts_at(each) >= window.start}
            found = self._locate({master_id: master}, {master_id: missing}, fields) if missing else {}
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
        state.series[master_id] = Series(_digest(xml.text(master, "UID")), sorted(starts | now))
        return records

    def _forget_left(self, state: Cursor, window: Window) -> None:
        """Drop what the window has left behind; that is no deletion, so nothing is told."""
        for master_id, series in list(state.series.items()):
            series.starts = [each for each in series.starts if starts_at(each) >= window.start]
            if not series.starts:
                del state.series[master_id]

    def _by_master(self, rows: Iterable[Row], known: dict[str, str]) -> dict[str, list[Row]]:
        """Occurrences by the store id of their master: by UID where that is unique, else by asking the server."""
        of_uid: dict[str, list[str]] = {}
        for master_id, digest in known.items():
            of_uid.setdefault(digest, []).append(master_id)
        groups: dict[str, list[Row]] = {}
        ask: dict[str, list[Row]] = {}
        for each in rows:
            owners = of_uid.get(_digest(each.uid), []) if each.uid else []
            if len(owners) == 1:
                groups.setdefault(owners[0], []).append(each)
            else:
                # One answer does for all occurrences of an unknown UID, but not where two masters share one.
                ask.setdefault(each.id if owners or not each.uid else _digest(each.uid), []).append(each)
        if ask:
            asked = {members[0].id: members for members in ask.values()}
            uri = operations.uri_elements(("item:Sensitivity",))
            answers = operations.get_items(self._door, list(asked), uri, batch=operations.GET_NARROW, master=True)
            for item_id, master in answers.found.items():
                groups.setdefault(xml.item_id(master)[0], []).extend(asked[item_id])
        return groups

    def _masters(self, sensitivities: dict[str, str], fields: Sequence[str]) -> dict[str, Element]:
        public = [each for each, sensitivity in sensitivities.items() if sensitivity == "Normal"]
        private = [each for each in sensitivities if each not in set(public)]
        return self._read(public, private, fields, _MASTER_URIS).found

    def _occurrences(
        self, master_id: str, master: Element, rows: Sequence[Row], fields: Sequence[str]
    ) -> list[Occurrence]:
        """Occurrences of one series. Plain ones are the master with other times; exceptions are read."""
        exceptions = [each for each in rows if each.kind == "Exception"]
        read = self._contents(exceptions, fields).found
        zone = zone_of(master)
        made: dict[str, Occurrence] = {}
        for each in rows:
            content = read.get(each.id) if each.kind == "Exception" else master
            if content is None:
                continue
            try:
                time = when(content if each.kind == "Exception" else each.element, zone)
                original = original_start(content if each.kind == "Exception" else each.element, each.kind, time)
            except ValueError as error:
                self._skip(each.id, error)
                continue
            remote_id = occurrence_id(master_id, original)
            remote = self._remote(remote_id, each.version, content, time, original, fields)
            made[remote_id] = Occurrence(remote_id, each.id, each.version, remote)
        return list(made.values())

    def _moved(
        self, master_id: str, master: Element, items: Sequence[str], fields: Sequence[str]
    ) -> list[Occurrence]:
        """Exceptions that their master lists, wherever they were moved to."""
        found = [row(each) for each in self._narrow(items).found.values()]
        return self._occurrences(master_id, master, [each for each in found if each is not None], fields)

    # State by id

    def fetch(self, fields: Sequence[str], ids: Sequence[str]) -> Iterator[Remote]:
        """The state of items and occurrences by id, one answer each."""
        plain = list(dict.fromkeys(each for each in ids if split_id(each)[1] is None))
        yield from self._fetch_items(fields, plain)
        wanted = list(dict.fromkeys(each for each in ids if split_id(each)[1] is not None))
        found = self.locate(fields, wanted)
        for each in wanted:
            yield found[each].remote if each in found else Remote(each, state="deleted")

    def _fetch_items(self, fields: Sequence[str], ids: Sequence[str]) -> Iterator[Remote]:
        narrow = self._narrow(ids)
        rows = {each: found for each, node in narrow.found.items() if (found := row(node)) is not None}
        masters = {each: found for each, found in rows.items() if found.kind == "RecurringMaster"}
        read = self._contents([found for each, found in rows.items() if each not in masters], fields)
        for each in ids:
            if each in masters:
                first = occurrence_id(each, when(masters[each].element).start)
                yield Remote(each, state="deleted", merged_into=first)
            elif each in read.found:
                yield self._meeting(each, read.found[each], fields)
            elif each in narrow.broken or each in read.broken:
                yield self._unreadable(each, narrow.broken.get(each) or read.broken[each])
            else:
                yield Remote(each, state="deleted")

    def locate(self, fields: Sequence[str], ids: Sequence[str]) -> dict[str, Occurrence]:
        """Occurrences by id, with the items behind them; those that do not exist are not in the answer."""
        wanted: dict[str, set[str]] = {}
        for each in ids:
            master_id, original = split_id(each)
            wanted.setdefault(master_id, set()).add(original or "")
        return self._locate(self._masters(self._sensitivities(list(wanted)), fields), wanted, fields)

    def _locate(
        self, masters: dict[str, Element], wanted: dict[str, set[str]], fields: Sequence[str]
    ) -> dict[str, Occurrence]:
        """Occurrences by the original starts wanted of each master: exceptions by their ids, the others by views."""
        made: dict[str, Occurrence] = {}
        plain: list[str] = []
        for master_id, master in masters.items():
            modified = _modified(master)
            moved = wanted[master_id] & modified.keys()
            for each in self._moved(master_id, master, [modified[start] for start in sorted(moved)], fields):
                made[each.id] = each
            plain += wanted[master_id] - moved
        known = {each: _digest(xml.text(master, "UID")) for each, master in masters.items()}
        for span in _spans(plain):
            rows = [
                each for each in operations.calendar_view(self._door, FOLDER, span.start, span.end)
                if each.kind == "Occurrence" and _digest(each.uid) in known.values()
            ]  # fmt: skip
            for master_id, members in self._by_master(rows, known).items():
                for found in self._occurrences(master_id, masters[master_id], members, fields):
                    if (split_id(found.id)[1] or "") in wanted[master_id]:
                        made.setdefault(found.id, found)
        return made

    def ids(self) -> Iterator[tuple[str, str]]:
        """Ids and versions of every meeting and occurrence in the window."""
        window = self.window(self._now())
        rows = operations.calendar_view(self._door, FOLDER, window.start, window.end)
        for each in rows:
            if each.kind == "Single":
                yield each.id, each.version
        groups = self._by_master([each for each in rows if each.kind != "Single"], {})
        masters = self._read([], list(groups), (), _MASTER_URIS).found
        for master_id, members in groups.items():
            if master_id in masters:
                hidden = [_without_content(each) for each in members]
                for found in self._occurrences(master_id, masters[master_id], hidden, ()):
                    yield found.id, found.version

    # Reading items

    def _narrow(self, ids: Sequence[str]) -> operations.Items:
        properties = operations.uri_elements(STRUCTURE)
        return operations.get_items(self._door, ids, properties, batch=operations.GET_NARROW)

    def _sensitivities(self, ids: Sequence[str]) -> dict[str, str]:
        found = self._narrow(ids).found
        return {each: known.sensitivity for each, node in found.items() if (known := row(node)) is not None}

    def _contents(self, rows: Sequence[Row], fields: Sequence[str]) -> operations.Items:
        public = [each.id for each in rows if not each.private]
        return self._read(public, [each.id for each in rows if each.private], fields, STRUCTURE)

    def _read(
        self, public: Sequence[str], private: Sequence[str], fields: Sequence[str], structure: Sequence[str]
    ) -> operations.Items:
        """Items with the properties that may be known of them."""
        allowed = [each for each in fields if each != "Body" or self._bodies]
        items = operations.Items()
        for ids, names in ((public, allowed), (private, [each for each in allowed if each in PRIVATE_FIELDS])):
            if ids:
                properties = _merged(operations.uri_elements(structure), uris(names, CALENDAR))
                part = operations.get_items(self._door, ids, properties)
                items.found |= part.found
                items.gone |= part.gone
                items.broken |= part.broken
        return items

    def _meetings(self, rows: Sequence[Row], fields: Sequence[str]) -> list[Remote]:
        """Single meetings. One that went away meanwhile is left to its Delete row."""
        items = self._contents(rows, fields)
        records = [self._meeting(each, node, fields) for each, node in items.found.items()]
        return records + [self._unreadable(each, code) for each, code in items.broken.items()]

    def _meeting(self, item_id: str, item: Element, fields: Sequence[str]) -> Remote:
        version = xml.item_id(item)[1]
        try:
            time = when(item)
            original = original_start(item, xml.text(item, "CalendarItemType") or "Single", time)
        except ValueError as error:
            return self._unreadable(item_id, str(error))
        return self._remote(item_id, version, item, time, original, fields)

    def _remote(
        self, remote_id: str, version: str, content: Element, time: When, original: str, fields: Sequence[str]
    ) -> Remote:
        values = read_meeting(content, time, original, self._door.address, fields, bodies=self._bodies)
        modified = xml.text(content, "LastModifiedTime")
        return Remote(remote_id, values, version, instant(modified) if modified else None)

    def _unreadable(self, item_id: str, why: str) -> Remote:
        """An item that is there and cannot be read: nothing is known of it, and it holds back no other."""
        log.warning("mailbox %s: item …%s cannot be read: %s", self._door.address, item_id[-12:], why)
        return Remote(item_id, values={})

    def _skip(self, item_id: str, why: ValueError) -> None:
        log.warning("mailbox %s: occurrence …%s is left out: %s", self._door.address, item_id[-12:], why)


def _touches(window: Window, listed: Element) -> bool:
    """Whether a listed item is in the window; one that does not tell its time may be."""
    start, end = xml.text(listed, "Start"), xml.text(listed, "End")
    return start is None or window.holds(instant(start), instant(end or start))


def _begins(listed: Row) -> datetime:
    return instant(xml.text(listed.element, "Start") or "0001-01-01T00:00:00Z")


def _midnight(day: str) -> datetime:
    return instant(day + "T00:00:00Z")


def _digest(uid: str | None) -> str:
    return hashlib.sha256(normalised_uid(uid or "").encode()).hexdigest()[:16]


def _modified(master: Element) -> dict[str, str]:
    """Original start -> store id of the exceptions that a master lists."""
    time = when(master)
    found = {}
    for each in xml.each(master, "ModifiedOccurrences"):
        told, node = xml.text(each, "OriginalStart"), xml.at(each, "ItemId")
        if told and node is not None:
            found[original_text(told, time)] = node.get("Id")
    return found


def _without_content(found: Row) -> Row:
    """A row as if it were private, for a reading that wants no content at all."""
    return Row(found.id, found.version, found.kind, "", found.uid, found.element)


def _merged(structure: list[Element], wanted: list[Element]) -> list[Element]:
    """Properties, each once: a property named twice in a shape is an error."""
    return list({each.get("FieldURI"): each for each in (*structure, *wanted)}.values())


def _spans(originals: Iterable[str]) -> Iterator[Window]:
    """The fewest spans, none too long for a view, that hold these original starts."""
    margin = timedelta(days=1)  # a date is a different instant in each zone
    first = last = None
    for moment in sorted(starts_at(each) for each in originals):
        if first is not None and last is not None and moment - first > _LONGEST_VIEW:
            yield Window(first - margin, last + margin)
            first = None
        first, last = first or moment, moment
    if first is not None and last is not None:
        yield Window(first - margin, last + margin)
