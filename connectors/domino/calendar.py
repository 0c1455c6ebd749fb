"""The feed of one mail file's calendar: the list is compared with what was seen, and only what differs is read whole.

The service has no change token. What the list does not show any more was deleted, was moved out of the window, or has
been left behind by it: only reading it tells, and what the window has left is no deletion and is not told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, unquote

from connectors.calendars import events
from connectors.calendars.events import Broken, Meeting
from connectors.calendars.packing import UNREADABLE, expired, pack, unpack
from connectors.calendars.records import MARK, Tell, identity, split
from connectors.calendars.window import Window, rolling, starts_at
from sidefeed.calendars.identity import SINGLE, meeting_key
from sidefeed.calendars.recurrence import RECURRENCE, SERIES
from sidefeed.connector import CursorExpired, Gone, Page, Remote

from . import zones
from .door import Door
from .rows import Row, recurrence_path, rows_of

CHUNK = 50
"""Records of one page: what a crash has to read again."""
TICK = timedelta(seconds=2)
"""A stamp has whole seconds: what changed this recently may change once more under the same one."""
_MAKE = "das1."


@dataclass(slots=True)
class Cursor:
    """What was told. ``place`` binds it to one server and mail file.

    rows     id -> (digest, start) of each row
    series   what stands before the mark in the ids of series that were told as one object
    """

    place: str
    rows: dict[str, tuple[str, str]] = field(default_factory=dict)
    series: set[str] = field(default_factory=set)

    def text(self) -> str:
        return pack(_MAKE, [self.place, dict(sorted(self.rows.items())), sorted(self.series)])

    @classmethod
    def read(cls, text: str, place: str) -> Cursor:
        """The cursor in a text. Raises CursorExpired for one of another make or place."""
        try:
            told, rows, series = unpack(_MAKE, text)
            found = cls(told, {id: (digest, start) for id, (digest, start) in rows.items()}, set(series))
        except UNREADABLE as error:
            raise expired(error) from None
        if told != place:
            raise CursorExpired("The cursor belongs to another server or mail file.")
        return found


class Calendar:
    """Reads one calendar. ``tell`` is told of meetings that cannot be read."""

    def __init__(
        self, door: Door, mailbox: str, place: str, zone: str, now: Callable[[], datetime], past: int, future: int,
        tell: Tell,
    ) -> None:
        self._door = door
        self._mailbox = mailbox
        self._place = place
        self._zone = zone
        self._now = now
        self._past = past
        self._future = future
        self._tell = tell

    def window(self) -> Window:
        """The window now: whole days UTC, so that it slides once a day."""
        return rolling(self._now(), self._past, self._future)

    def changes(self, fields: Sequence[str], cursor: str | None) -> Iterator[Page]:
        """Changes since a cursor. Raises CursorExpired, and what else the contract names."""
        state = Cursor(self._place) if cursor is None else Cursor.read(cursor, self._place)
        window = self.window()
        rows = {row.id: row for row in rows_of(self._door, window)}
        settled = (self._door.server_time or self._now()) - TICK
        changed = [row for row in rows.values() if state.rows.get(row.id, ("",))[0] != row.digest]
        records: list[Remote] = []
        for uid, of_uid in _by_uid(changed).items():
            records += self._told(uid, of_uid, window, fields, state)
            state.rows |= {row.id: (row.digest if _stamped(row) < settled else "", row.start) for row in of_uid}
            if len(records) >= CHUNK:
                yield Page(tuple(records), state.text())
                records = []
        records += self._missing([id for id in state.rows if id not in rows], state, window, fields)
        for id in [id for id in state.rows if id not in rows]:
            del state.rows[id]
        yield Page(tuple(records), state.text(), True, self._now())

    def _told(
        self, uid: str, rows: Sequence[Row], window: Window, fields: Sequence[str], state: Cursor
    ) -> list[Remote]:
        """The records of rows of one UID, and of their series. A private meeting is not read beyond its row."""
        name = quote(uid, safe="@")
        open_rows = [row for row in rows if row.sensitivity == "normal"]
        told = [Remote(row.id, _only(row.private_values(self._zone), fields), row.modified, self._past_only(row))
                for row in rows if row.sensitivity != "normal"]
        if not open_rows:
            return told + self._private_series(name, rows, fields, state)
        try:
            calendar = self._object(uid)
            found = {each.original: each for each in events.meetings(calendar, window, self._zone)}
        except Gone:
            return told  # not accepted yet: its row is all that can be read, and no meeting of the owner's
        except Broken as error:
            self._tell(name, str(error))
            return told
        for row in open_rows:
            remote = self._of_row(row, found.get(row.original), fields)
            told += [remote] if remote is not None else []
        whole = self._series(name, calendar, fields) if RECURRENCE in fields else None
        if whole is not None:
            state.series.add(name)
            told.append(whole)
        return told

    def _private_series(
        self, name: str, rows: Sequence[Row], fields: Sequence[str], state: Cursor
    ) -> list[Remote]:
        """Of a series that is private throughout, that it is private, and not when."""
        if RECURRENCE not in fields or all(row.original == SINGLE for row in rows):
            return []
        state.series.add(name)
        return [Remote(f"{name}{MARK}", {"Key": meeting_key(unquote(name), SERIES), RECURRENCE: None,
                                         "Sensitivity": rows[0].sensitivity})]

    def _series(self, name: str, calendar: Any, fields: Sequence[str]) -> Remote | None:
        """The series of an entry as one object; None for what is none, and, told, where its rule cannot be read."""
        try:
            values = events.series(calendar, self._mailbox, fields, self._zone)
        except Broken as error:
            self._tell(name, str(error))
            return None
        if values is None:
            return None
        master = next(each for each in calendar.subcomponents if each.name == "VEVENT" and "RECURRENCE-ID" not in each)
        for told in (values, values.get(RECURRENCE) or {}):
            for key in {"Zone", "zone"} & told.keys():
                told[key] = self._zone_of(told[key], master)
        return Remote(f"{name}{MARK}", values, _modified(master))

    def _of_row(self, row: Row, meeting: Meeting | None, fields: Sequence[str]) -> Remote | None:
        """A row's record; where the series does not show the occurrence as the list does, it is read by itself."""
        try:
            if meeting is None or events.when(meeting.event, self._zone)[0] != row.start:
                meeting = self._one(row.uid, row.original)
            return Remote(row.id, self._values(meeting, fields), row.modified, self._past_only(row))
        except Gone:
            return None
        except Broken as error:
            self._tell(row.id, str(error))
            return None

    def _object(self, uid: str) -> Any:
        """The VCALENDAR of one UID. Raises Gone, and Broken."""
        uids = events.by_uid(events.parse(self._door.event(quote(uid, safe=""))))
        if len(uids) != 1:
            raise Broken(f"it holds {len(uids)} meetings where an entry holds one")
        return next(iter(uids.values()))

    def _one(self, uid: str, original: str) -> Meeting:
        """One meeting or occurrence, read by itself. Raises Gone, and Broken."""
        below = "" if original == SINGLE else f"/{recurrence_path(original)}"
        found = [event for calendar in events.parse(self._door.event(f"{quote(uid, safe='')}{below}"))
                 for event in calendar.subcomponents if event.name == "VEVENT"]
        if not found:
            raise Broken("it holds no event")
        return Meeting(original, found[0], events.is_private(found[0]))

    def _values(self, meeting: Meeting, fields: Sequence[str]) -> dict[str, Any]:
        values = events.read(meeting, self._mailbox, fields, self._zone)
        return {**values, "Zone": self._zone_of(values["Zone"], meeting.event)} if "Zone" in values else values

    def _zone_of(self, name: str | None, event: Any) -> str | None:
        start = event["DTSTART"].dt
        return zones.named(name, start.tzinfo, start.year, self._zone) if name else None

    def _missing(
        self, ids: Sequence[str], state: Cursor, window: Window, fields: Sequence[str]
    ) -> Iterator[Remote]:
        """What became of meetings that the list does not show any more."""
        looked_for = [id for id in ids if starts_at(state.rows[id][1]) >= window.start]
        looked_for += sorted({f"{name}{MARK}" for id in looked_for if (name := split(id)[0]) in state.series})
        for remote in self.fetch(fields, looked_for):
            if remote.id.endswith(MARK) and remote.state == "deleted":
                state.series.discard(split(remote.id)[0])
            yield remote

    def fetch(self, fields: Sequence[str], ids: Sequence[str]) -> Iterator[Remote]:
        """The state of meetings and occurrences by id, one answer each."""
        by_name: dict[str, list[str]] = {}
        for each in dict.fromkeys(ids):
            by_name.setdefault(split(each)[0], []).append(each)
        for name, wanted in by_name.items():
            yield from self._answers(name, wanted, fields)

    def _answers(self, name: str, ids: Sequence[str], fields: Sequence[str]) -> Iterator[Remote]:
        window, uid = self.window(), unquote(name)
        starts = [starts_at(start) for each in ids if (start := split(each)[1])]
        span = Window(min([window.start, *starts]), max([window.end, *(each + timedelta(days=1) for each in starts)]))
        try:
            calendar = self._object(uid)
            found = {each.original: each for each in events.meetings(calendar, span, self._zone)}
        except Gone:
            yield from (Remote(each, state="deleted") for each in ids)
            return
        except Broken as error:
            self._tell(name, str(error))
            yield from (Remote(each, {}) for each in ids)
            return
        whole = self._series(name, calendar, [*fields, RECURRENCE])
        for each in ids:
            if each.endswith(MARK):
                yield whole or Remote(each, state="deleted")
            elif MARK in each and whole and (whole.values or {})[RECURRENCE] is None and split(each)[1] not in found:
                yield replace(whole, id=each)  # of a private series not even told is whether an occurrence takes place
            else:
                yield self._answer(each, found, fields)

    def _answer(self, id: str, found: Mapping[str, Meeting], fields: Sequence[str]) -> Remote:
        name, original = split(id)
        try:
            meeting = found.get(original or SINGLE)
            if meeting is None and original is not None:
                meeting = self._one(unquote(name), original)
            if meeting is not None:
                return Remote(id, self._values(meeting, fields), _modified(meeting.event))
        except Gone:
            pass
        except Broken as error:
            self._tell(id, str(error))
            return Remote(id, {})
        became = identity(name, min(found)) if found else None  # a series where a single meeting was, or the reverse
        return Remote(id, state="deleted", merged_into=became if became != id and original is None else None)

    def ids(self) -> Iterator[tuple[str, str]]:
        """Ids and stamps of every meeting and occurrence in the window."""
        yield from ((row.id, row.modified) for row in rows_of(self._door, self.window()))

    def _past_only(self, row: Row) -> datetime | None:
        at = _stamped(row)
        return at if row.modified and at <= self._now() else None


def _by_uid(rows: Iterable[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row.uid, []).append(row)
    return found


def _only(values: Mapping[str, Any], fields: Sequence[str]) -> dict[str, Any]:
    return {name: values[name] for name in fields if name in values}


def _stamped(row: Row) -> datetime:
    """When a row was changed last; where it does not say, long ago, and the digest alone decides."""
    try:
        return datetime.strptime(row.modified, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)


def _modified(event: Any) -> str:
    at = getattr(event.get("LAST-MODIFIED"), "dt", None)
    return f"{at:%Y%m%dT%H%M%SZ}" if isinstance(at, datetime) else ""
