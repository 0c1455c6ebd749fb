"""Calendar items in time: normalising what was written, expanding series, views, occurrence addressing.

Source: EWS reference, CalendarItem, CalendarView, OccurrenceItemId, RecurringMasterItemId; "How to create all-day
events"; "Recurrence patterns and EWS". A view returns items with Start before its end and End at or after its start.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any

from . import recurrence
from .errors import EwsError
from .store import Folder, Item, Override
from .timezones import UTC_ZONE, Zone

MAX_DURATION = timedelta(days=5 * 366)
"""An item lasts at most five years."""
DAY = timedelta(days=1)


def zone_of(item: Item | Mapping[str, Any]) -> Zone:
    """The zone an item was created in; UTC if it has none."""
    zone: Zone = item.get("calendar:StartTimeZone") or UTC_ZONE
    return zone


def wall(moment: datetime, tz: tzinfo) -> datetime:
    """The wall time of an instant, naive."""
    return moment.astimezone(tz).replace(tzinfo=None)


def to_utc(value: datetime, tz: tzinfo) -> datetime:
    """An instant; a naive value is a wall time of the zone."""
    return (value.replace(tzinfo=tz) if value.tzinfo is None else value).astimezone(UTC)


def settle(values: dict[str, Any], default: Zone) -> dict[str, Any]:
    """Bring the time fields of a calendar item into the state in which Exchange keeps them. Changes `values`.

    Times become UTC; a missing end is start plus 30 minutes; all-day items are snapped to midnights of the item's
    zone; the start of a series becomes its first occurrence. Raises `EwsError`.
    """
    values.setdefault("calendar:StartTimeZone", values.get("calendar:MeetingTimeZone") or default)
    values.setdefault("calendar:EndTimeZone", values["calendar:StartTimeZone"])
    start_tz, end_tz = values["calendar:StartTimeZone"].tz, values["calendar:EndTimeZone"].tz
    start = to_utc(values["calendar:Start"], start_tz)
    end = values.get("calendar:End")
    end = start + timedelta(minutes=30) if end is None else to_utc(end, end_tz)
    if end < start:
        raise EwsError("ErrorCalendarEndDateIsEarlierThanStartDate")
    if values.get("calendar:IsAllDayEvent"):
        start, end = snap(start, start_tz, up=False), snap(end, start_tz, up=True)
        if end <= start:
            end = snap(start + timedelta(hours=36), start_tz, up=False)
    if end - start > MAX_DURATION:
        raise EwsError("ErrorCalendarDurationIsTooLong")
    values["calendar:Start"], values["calendar:End"] = start, end
    rule = values.get("calendar:Recurrence")
    if rule is not None:
        _settle_series(values, rule, start_tz)
    return values


def snap(moment: datetime, tz: tzinfo, *, up: bool) -> datetime:
    """The local midnight at or before (or at or after) an instant."""
    local = wall(moment, tz)
    midnight = datetime.combine(local.date(), time())
    if up and local != midnight:
        midnight += DAY
    return midnight.replace(tzinfo=tz).astimezone(UTC)


def _settle_series(values: dict[str, Any], rule: recurrence.Recurrence, tz: tzinfo) -> None:
    local_start, local_end = wall(values["calendar:Start"], tz), wall(values["calendar:End"], tz)
    first = recurrence.at_index(rule, 1)
    if first is None:
        raise EwsError("ErrorRecurrenceHasNoOccurrence")
    second = recurrence.at_index(rule, 2)
    if second is not None and local_end - local_start > (second - first):
        raise EwsError("ErrorOccurrenceTimeSpanTooBig")
    offset = local_start - datetime.combine(local_start.date(), time())
    values["calendar:Start"] = recurrence.wall_to_utc(first, offset, tz)
    values["calendar:End"] = recurrence.wall_to_utc(first, offset + (local_end - local_start), tz)


class Series:
    """A recurring master with what its occurrences need worked out once."""

    def __init__(self, master: Item) -> None:
        self.master = master
        self.rule: recurrence.Recurrence = master.get("calendar:Recurrence")
        self.tz = zone_of(master).tz
        start, end = wall(master.get("calendar:Start"), self.tz), wall(master.get("calendar:End"), self.tz)
        self.offset = start - datetime.combine(start.date(), time())
        self.length = end - start

    def start_on(self, day: date) -> datetime:
        """The start, in UTC, that the pattern gives for a day of the series."""
        return recurrence.wall_to_utc(day, self.offset, self.tz)

    def end_on(self, day: date) -> datetime:
        """The end, in UTC, that the pattern gives for a day of the series."""
        return recurrence.wall_to_utc(day, self.offset + self.length, self.tz)

    def day_of(self, original: datetime) -> date:
        """The day of the series that an original start belongs to."""
        return wall(original, self.tz).date()

    def build(self, index: int, day: date) -> Item | None:
        """The occurrence on a day; None if it was deleted."""
        original = self.start_on(day)
        if original in self.master.deleted:
            return None
        override = self.master.exceptions.get(original)
        if override is None:
            times = {"calendar:Start": original, "calendar:End": self.end_on(day)}
            return replace(
                self.master, values=ChainMap(times, self.master.values), master=self.master, index=index,  # type: ignore[arg-type]
                original=original, exceptions={}, deleted={}, extended={**self.master.extended},
            )  # fmt: skip
        return self._exception(index, original, override)

    def _exception(self, index: int, original: datetime, override: Override) -> Item:
        times = {"calendar:Start": override.start, "calendar:End": override.end}
        return replace(
            self.master,
            values=ChainMap(times, dict(override.values), self.master.values),  # type: ignore[arg-type]
            extended={**self.master.extended, **override.extended},
            attachments=self.master.attachments if override.attachments is None else override.attachments,
            modified=override.modified or self.master.modified,
            master=self.master,
            index=index,
            original=original,
            exceptions={},
            deleted={},
        )

    def at(self, original: datetime) -> Item:
        """The occurrence with an original start. Raises `EwsError` if it was deleted or never was."""
        day = self.day_of(original)
        index = recurrence.index_of(self.rule, day)
        if index is None or self.start_on(day) != original:
            raise EwsError("ErrorItemNotFound")
        made = self.build(index, day)
        if made is None:
            raise EwsError("ErrorCalendarOccurrenceIsDeletedFromRecurrence")
        return made

    def at_index(self, index: int) -> Item:
        """The n-th occurrence, deleted ones counted. Raises `EwsError`."""
        day = recurrence.at_index(self.rule, index) if index > 0 else None
        if day is None:
            raise EwsError("ErrorCalendarOccurrenceIndexIsOutOfRecurrenceRange")
        made = self.build(index, day)
        if made is None:
            raise EwsError("ErrorCalendarOccurrenceIsDeletedFromRecurrence")
        return made

    def between(self, start: datetime, end: datetime) -> Iterator[Item]:
        """Occurrences that touch a window: starting before its end, ending at or after its start."""
        margin = self.length + 2 * DAY
        first, last = _date(start, -margin, self.tz), _date(end, DAY, self.tz)
        moved = {self.day_of(original) for original in self.master.exceptions}
        days = recurrence.between(self.rule, first, last)
        seen = {day for _, day in days}
        extra = [(recurrence.index_of(self.rule, day) or 0, day) for day in moved - seen]
        for index, day in [*days, *extra]:
            made = self.build(index, day)
            if made is not None and made.get("calendar:Start") < end and made.get("calendar:End") >= start:
                yield made

    def first(self) -> Item | None:
        """The first occurrence that still exists, by the pattern."""
        index = 1
        while (day := recurrence.at_index(self.rule, index)) is not None:
            made = self.build(index, day)
            if made is not None:
                return made
            index += 1
        return None

    def last(self) -> Item | None:
        """The last occurrence that still exists; None for an endless series."""
        day = recurrence.last_date(self.rule)
        if day is None:
            return None
        index = recurrence.index_of(self.rule, day) or 0
        while index > 0:
            at = recurrence.at_index(self.rule, index)
            made = self.build(index, at) if at is not None else None
            if made is not None:
                return made
            index -= 1
        return None

    def check_boundaries(self, original: datetime, start: datetime, end: datetime) -> None:
        """Refuse an exception that passes or overlaps its neighbours. Raises `EwsError`."""
        day = self.day_of(original)
        index = recurrence.index_of(self.rule, day) or 0
        before = self._neighbour(index, -1)
        after = self._neighbour(index, 1)
        if before is not None and (
            start < before.get("calendar:End")
            or wall(start, self.tz).date() == wall(before.get("calendar:Start"), self.tz).date()
        ):
            raise EwsError("ErrorOccurrenceCrossingBoundary")
        if after is not None and (
            end > after.get("calendar:Start")
            or wall(start, self.tz).date() == wall(after.get("calendar:Start"), self.tz).date()
        ):
            raise EwsError("ErrorOccurrenceCrossingBoundary")

    def _neighbour(self, index: int, step: int) -> Item | None:
        index += step
        while index > 0 and (day := recurrence.at_index(self.rule, index)) is not None:
            made = self.build(index, day)
            if made is not None:
                return made
            index += step
        return None


def _date(moment: datetime, shift: timedelta, tz: tzinfo) -> date:
    """A local date, kept inside what dates can express."""
    try:
        return (moment + shift).astimezone(tz).date()
    except OverflowError:
        return date.max if shift > timedelta(0) else date.min


def view(folder: Folder, start: datetime, end: datetime) -> list[Item]:
    """What a CalendarView shows: single items, occurrences and exceptions in a window, by start; never a master."""
    found: list[Item] = []
    for item in folder.in_window(start, end):
        if item.is_master:
            found.extend(Series(item).between(start, end))
        elif item.kind == "CalendarItem" and item.get("calendar:Start") < end and item.get("calendar:End") >= start:
            found.append(item)
    found.sort(key=lambda item: (item.get("calendar:Start"), item.serial))
    return found


def item_type(item: Item) -> str:
    """CalendarItemType of an item."""
    if item.is_master:
        return "RecurringMaster"
    if item.master is None:
        return "Exception" if item.get("calendar:RecurrenceId") else "Single"
    return "Exception" if item.original in item.master.exceptions else "Occurrence"


def prune(master: Item) -> Item:
    """A master without the exceptions and deletions that its pattern or time no longer gives rise to."""
    series = Series(master)

    def still(original: datetime) -> bool:
        day = series.day_of(original)
        return recurrence.index_of(series.rule, day) is not None and series.start_on(day) == original

    return replace(
        master,
        exceptions={at: override for at, override in master.exceptions.items() if still(at)},
        deleted={at: start for at, start in master.deleted.items() if still(at)},
    )
