"""How Exchange and Graph say that a meeting recurs, as the one spelling of ``sidefeed.calendars.recurrence``.

Both know the same six patterns. A day of the month that a month does not have is its last day, and the n-th of several
days is the n-th day that is any of them. Source: EWS, Recurrence patterns; Graph, recurrencePattern.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sidefeed.calendars.recurrence import DAYS, on_day, recurrence, rule_text

from . import xml
from .times import zone_name
from .values import original_text, when
from .xml import Element

_DAY_NAMES = {"monday": "MO", "tuesday": "TU", "wednesday": "WE", "thursday": "TH", "friday": "FR", "saturday": "SA",
              "sunday": "SU"}  # fmt: skip
_GROUPS = {"day": DAYS, "weekday": DAYS[:5], "weekendday": DAYS[5:]}
_PLACES = {"first": 1, "second": 2, "third": 3, "fourth": 4, "last": -1}
_MONTHS = ("january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
           "december")  # fmt: skip
_SHORTEST_MONTH = 28


@dataclass(frozen=True, slots=True)
class Pattern:
    """A pattern and its range, in the words that Graph uses; the range ends by a date, a count, or never."""

    kind: str
    interval: int = 1
    days: Sequence[str] = ()
    day_of_month: int = 0
    place: str = "first"
    month: int = 0
    first_day: str = "sunday"
    until: str = ""
    count: int = 0

    def rule(self, start: str, zone: str | None) -> str:
        """The RRULE. Raises ValueError for a pattern that nobody documents."""
        parts: dict[str, Sequence[Any]] = {"FREQ": [self._frequency()], "INTERVAL": [self.interval]}
        if self.count:
            parts["COUNT"] = [self.count]
        elif self.until:
            until = on_day(self.until, start, zone)
            parts["UNTIL"] = [until.replace("-", "").replace(":", "")]
        if self.kind == "weekly":
            parts |= {"BYDAY": self._weekdays(), "WKST": [_DAY_NAMES[self.first_day.lower()]]}
        elif self.kind.startswith("absolute"):
            parts |= _day_of_month(self.day_of_month)
        elif self.kind.startswith("relative"):
            parts |= {"BYDAY": self._weekdays(), "BYSETPOS": [_PLACES[self.place.lower()]]}
        if self.kind.endswith("Yearly"):
            parts["BYMONTH"] = [self.month]
        return rule_text(parts, start, zone)

    def _frequency(self) -> str:
        for ending, frequency in (("daily", "DAILY"), ("weekly", "WEEKLY"), ("Monthly", "MONTHLY"),
                                  ("Yearly", "YEARLY")):
            if self.kind.endswith(ending):
                return frequency
        raise ValueError(f"unknown pattern {self.kind!r}")

    def _weekdays(self) -> list[str]:
        found: list[str] = []
        for day in self.days:
            found += _GROUPS.get(day.lower()) or [_DAY_NAMES[day.lower()]]
        return found


def _day_of_month(day: int) -> dict[str, Sequence[Any]]:
    if day <= _SHORTEST_MONTH:
        return {"BYMONTHDAY": [day]}
    return {"BYMONTHDAY": list(range(_SHORTEST_MONTH, day + 1)), "BYSETPOS": [-1]}


def read(master: Element) -> dict[str, Any] | None:
    """The recurrence of a series master of EWS; None where it tells none that can be read."""
    told = xml.at(master, "Recurrence")
    nodes = list(xml.children(told))
    if len(nodes) < 2:
        return None
    try:
        time = when(master)
        zone = None if time.all_day or time.zone is None else zone_name(time.zone.id)
        rule = _pattern(nodes[0], nodes[1]).rule(time.start, zone)
        exceptions = {}
        for each in xml.each(master, "ModifiedOccurrences"):
            original = original_text(xml.text(each, "OriginalStart") or "", time)
            exceptions[original] = [original_text(xml.text(each, name) or "", time) for name in ("Start", "End")]
        deletions = [original_text(xml.text(each, "Start") or "", time)
                     for each in xml.each(master, "DeletedOccurrences")]
    except (ValueError, KeyError):
        return None
    return recurrence(time.start, time.end, zone, time.all_day, rule, exceptions=exceptions, deletions=deletions)


def _pattern(pattern: Element, span: Element) -> Pattern:
    name = xml.local(pattern).removesuffix("Recurrence")
    month = (xml.text(pattern, "Month") or "").lower()
    return Pattern(
        kind=name[:1].lower() + name[1:], interval=int(xml.text(pattern, "Interval") or 1),
        days=(xml.text(pattern, "DaysOfWeek") or "").split(), day_of_month=int(xml.text(pattern, "DayOfMonth") or 0),
        place=xml.text(pattern, "DayOfWeekIndex") or "first", month=_MONTHS.index(month) + 1 if month else 0,
        first_day=xml.text(pattern, "FirstDayOfWeek") or "sunday",
        until=(xml.text(span, "EndDate") or "")[:10],
        count=int(xml.text(span, "NumberOfOccurrences") or 0))  # fmt: skip
