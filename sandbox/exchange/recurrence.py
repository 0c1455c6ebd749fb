"""Recurring series: patterns and ranges as EWS writes them, expanded in the wall clock of the series' own zone.

Source: EWS reference, Recurrence (RecurrenceType) and the pattern and range elements; "Recurrence patterns and EWS".
In months shorter than DayOfMonth the last day is meant (DayOfMonth). Yearly patterns have no interval.
"""

from __future__ import annotations

import calendar
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache

from .errors import EwsError, schema_violation
from .soap import Element, T, add, element, local, text_of

WEEK = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = tuple(calendar.month_name)[1:]
INDEXES = ("First", "Second", "Third", "Fourth", "Last")
GROUPS = {"Day": range(7), "Weekday": range(5), "WeekendDay": range(5, 7)}
HORIZON = date(2200, 1, 1)
"""An endless series is expanded up to here; a view of two years beyond it finds nothing."""

PATTERNS = {
    "RelativeYearlyRecurrence": ("DaysOfWeek", "DayOfWeekIndex", "Month"),
    "AbsoluteYearlyRecurrence": ("DayOfMonth", "Month"),
    "RelativeMonthlyRecurrence": ("Interval", "DaysOfWeek", "DayOfWeekIndex"),
    "AbsoluteMonthlyRecurrence": ("Interval", "DayOfMonth"),
    "WeeklyRecurrence": ("Interval", "DaysOfWeek", "FirstDayOfWeek"),
    "DailyRecurrence": ("Interval",),
}
REGENERATIONS = {f"{unit}Regeneration": ("Interval",) for unit in ("Daily", "Weekly", "Monthly", "Yearly")}
"""Patterns of tasks alone: the next one falls due so long after this one is completed."""
RANGES = ("NoEndRecurrence", "EndDateRecurrence", "NumberedRecurrence")


@dataclass(frozen=True)
class Recurrence:
    """A pattern and a range. Dates are those of the series' zone. `number` and `until` exclude each other."""

    pattern: str
    start: date
    interval: int = 1
    days: tuple[str, ...] = ()
    first_day: str = "Sunday"
    index: str = ""
    day_of_month: int = 0
    month: str = ""
    until: date | None = None
    number: int | None = None

    def dates(self) -> Iterator[date]:
        """Every date of the series in order; endless series stop at `HORIZON`."""
        last = self.until or HORIZON
        for count, day in enumerate(self._matches()):
            if day > last or (self.number is not None and count >= self.number):
                return
            yield day

    def _matches(self) -> Iterator[date]:
        kind = self.pattern
        if kind == "DailyRecurrence":
            yield from self._daily()
        elif kind == "WeeklyRecurrence":
            yield from self._weekly()
        else:
            yearly = "Yearly" in kind
            step = 12 if yearly else self.interval
            month = MONTHS.index(self.month) if yearly else self.start.month - 1
            at = self.start.year * 12 + month
            while at // 12 < HORIZON.year:
                day = self._day_in(at // 12, at % 12 + 1)
                if day >= self.start:
                    yield day
                at += step

    def _daily(self) -> Iterator[date]:
        for ordinal in range(self.start.toordinal(), HORIZON.toordinal(), self.interval):
            yield date.fromordinal(ordinal)

    def _weekly(self) -> Iterator[date]:
        first = WEEK.index(self.first_day)
        week = self.start - timedelta(days=(self.start.weekday() - first) % 7)
        offsets = sorted({(day - first) % 7 for name in self.days for day in _weekdays(name)})
        for ordinal in range(week.toordinal(), HORIZON.toordinal(), 7 * self.interval):
            for offset in offsets:
                day = date.fromordinal(ordinal + offset)
                if day >= self.start:
                    yield day

    def _day_in(self, year: int, month: int) -> date:
        length = calendar.monthrange(year, month)[1]
        if self.pattern.startswith("Absolute"):
            return date(year, month, min(self.day_of_month, length))
        wanted = {day for name in self.days for day in _weekdays(name)}
        matching = [
            date(year, month, day) for day in range(1, length + 1) if date(year, month, day).weekday() in wanted
        ]
        return matching[-1] if self.index == "Last" else matching[INDEXES.index(self.index)]


def _weekdays(name: str) -> range:
    if name in GROUPS:
        return GROUPS[name]
    day = WEEK.index(name)
    return range(day, day + 1)


class _Dates:
    """The dates of one series, found as far as anybody asked."""

    def __init__(self, recurrence: Recurrence) -> None:
        self._source = recurrence.dates()
        self.known: list[date] = []
        self.complete = False

    def reach(self, *, day: date | None = None, count: int | None = None) -> list[date]:
        while not self.complete and (
            (day is not None and (not self.known or self.known[-1] <= day))
            or (count is not None and len(self.known) < count)
            or (day is None and count is None)
        ):
            step = next(self._source, None)
            if step is None:
                self.complete = True
            else:
                self.known.append(step)
        return self.known


@lru_cache(maxsize=4096)
def _expansion(recurrence: Recurrence) -> _Dates:
    return _Dates(recurrence)


def between(recurrence: Recurrence, first: date, last: date) -> list[tuple[int, date]]:
    """(1-based index, date) of the occurrences from `first` to `last` inclusive."""
    known = _expansion(recurrence).reach(day=last)
    low, high = bisect_left(known, first), bisect_right(known, last)
    return [(position + 1, known[position]) for position in range(low, high)]


def at_index(recurrence: Recurrence, index: int) -> date | None:
    """The date of the n-th occurrence, deleted ones counted; None beyond the range."""
    known = _expansion(recurrence).reach(count=index)
    return known[index - 1] if 0 < index <= len(known) else None


def index_of(recurrence: Recurrence, day: date) -> int | None:
    """The 1-based index of an occurrence date; None if the series has none on that day."""
    known = _expansion(recurrence).reach(day=day)
    at = bisect_left(known, day)
    return at + 1 if at < len(known) and known[at] == day else None


def last_date(recurrence: Recurrence) -> date | None:
    """The last date; None for an endless series."""
    if recurrence.until is None and recurrence.number is None:
        return None
    known = _expansion(recurrence).reach()
    return known[-1] if known else None


def wall_to_utc(day: date, offset: timedelta, zone: tzinfo) -> datetime:
    """The instant of a wall time given as an offset from midnight of a day.

    A wall time that a clock change skips is moved on by the change; one that occurs twice means the first.
    """
    wall = datetime.combine(day, time()) + offset
    return wall.replace(tzinfo=zone).astimezone(UTC)


def read(node: Element, zone: tzinfo, *, task: bool = False) -> Recurrence:
    """A t:Recurrence of a request. Raises `EwsError` for patterns that mean nothing, else a schema fault."""
    parts = {local(part): part for part in node}
    known = (*PATTERNS, *REGENERATIONS) if task else tuple(PATTERNS)
    pattern = next((name for name in known if name in parts), None)
    span = next((name for name in RANGES if name in parts), None)
    if pattern is None or span is None:
        raise schema_violation("The element 'Recurrence' has incomplete content.", node.sourceline)
    made = _read_pattern(pattern, parts[pattern])
    made = _read_range(made, parts[span], zone)
    if pattern not in REGENERATIONS and at_index(made, 1) is None:
        raise EwsError("ErrorRecurrenceHasNoOccurrence")
    return made


def _read_pattern(pattern: str, node: Element) -> Recurrence:
    made = Recurrence(pattern, date.min)
    for name in _parts(pattern):
        text = text_of(node, name)
        if text is None:
            if name == "FirstDayOfWeek":
                continue
            raise schema_violation(
                f"The element '{pattern}' has incomplete content: '{name}' expected.", node.sourceline
            )
        text = text.strip()
        if name == "Interval":
            made = replace(made, interval=_number(text, 1, 999 if pattern.startswith("Daily") else 99, node))
        elif name == "DayOfMonth":
            made = replace(made, day_of_month=_number(text, 1, 31, node))
        elif name == "DaysOfWeek":
            made = replace(made, days=tuple(_choice(day, (*WEEK, *GROUPS), node) for day in text.split()))
            if not made.days:
                raise EwsError("ErrorCalendarInvalidDayForWeeklyRecurrence")
        elif name == "FirstDayOfWeek":
            made = replace(made, first_day=_choice(text, WEEK, node))
        elif name == "DayOfWeekIndex":
            made = replace(made, index=_choice(text, INDEXES, node))
        else:
            made = replace(made, month=_choice(text, MONTHS, node))
    return made


def _parts(pattern: str) -> tuple[str, ...]:
    return REGENERATIONS.get(pattern) or PATTERNS[pattern]


def _number(text: str, low: int, high: int, node: Element) -> int:
    try:
        value = int(text)
    except ValueError:
        raise schema_violation(f"The value '{text}' is not a valid integer.", node.sourceline) from None
    if not low <= value <= high:
        raise EwsError("ErrorCalendarInvalidRecurrence", f"{value} is outside {low} to {high}.")
    return value


def _choice(text: str, allowed: tuple[str, ...], node: Element) -> str:
    if text not in allowed:
        raise schema_violation(f"The value '{text}' is invalid: the enumeration constraint failed.", node.sourceline)
    return text


def _read_range(made: Recurrence, node: Element, zone: tzinfo) -> Recurrence:
    made = replace(made, start=read_date(text_of(node, "StartDate"), zone, node))
    if local(node) == "EndDateRecurrence":
        until = read_date(text_of(node, "EndDate"), zone, node)
        if until < made.start:
            raise EwsError("ErrorCalendarEndDateIsEarlierThanStartDate")
        return replace(made, until=until)
    if local(node) == "NumberedRecurrence":
        return replace(made, number=_number((text_of(node, "NumberOfOccurrences") or "").strip(), 1, 999, node))
    return made


def read_date(text: str | None, zone: tzinfo, node: Element) -> date:
    """An xs:date with or without a zone suffix; a date-time is accepted too (some clients send one)."""
    value = (text or "").strip()
    try:
        if len(value) > 10 and value[10] == "T":
            moment = datetime.fromisoformat(value.replace("Z", "+00:00"))
            return (moment.astimezone(zone) if moment.tzinfo else moment).date()
        return date.fromisoformat(value[:10])
    except ValueError:
        raise schema_violation(f"The value '{value}' is not a valid date.", node.sourceline) from None


def write(recurrence: Recurrence, zone: tzinfo, tag: str = f"{T}Recurrence") -> Element:
    """A t:Recurrence of a reply. Range dates carry the offset of the series' zone, as Exchange writes them."""
    node = element(tag)
    pattern = add(node, f"{T}{recurrence.pattern}")
    values = {
        "Interval": str(recurrence.interval),
        "DaysOfWeek": " ".join(recurrence.days),
        "FirstDayOfWeek": recurrence.first_day,
        "DayOfWeekIndex": recurrence.index,
        "DayOfMonth": str(recurrence.day_of_month),
        "Month": recurrence.month,
    }
    for name in _parts(recurrence.pattern):
        add(pattern, f"{T}{name}", values[name])
    name = "NoEndRecurrence"
    if recurrence.until is not None:
        name = "EndDateRecurrence"
    elif recurrence.number is not None:
        name = "NumberedRecurrence"
    span = add(node, f"{T}{name}")
    add(span, f"{T}StartDate", _with_offset(recurrence.start, zone))
    if recurrence.until is not None:
        add(span, f"{T}EndDate", _with_offset(recurrence.until, zone))
    elif recurrence.number is not None:
        add(span, f"{T}NumberOfOccurrences", str(recurrence.number))
    return node


def _with_offset(day: date, zone: tzinfo) -> str:
    offset = datetime(day.year, day.month, day.day, tzinfo=zone).strftime("%z")
    return day.isoformat() + ("Z" if offset in ("+0000", "") else f"{offset[:3]}:{offset[3:5]}")
