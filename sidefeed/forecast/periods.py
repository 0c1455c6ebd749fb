"""Periods by name: calendar and fiscal years, quarters and months, and the 4-4-5 weeks of retail.

| name | period |
|---|---|
| `2026`, `FY2026` | a fiscal year, named after the year it ends in |
| `2026-Q1` | its first quarter |
| `2026-P03` | its third month; in a 4-4-5 calendar its third group of four or five weeks |
| `2026-03` | the calendar month March 2026 |
| `2026-01-15..2026-02-28` | these days, both included |
| `this-quarter`, `last-year`, `next-month` | as seen from a day |
| `all` | no limit |
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

import pandas as pd

from sidefeed.forecast.scope import ScopeError

Weeks = Literal["", "4-4-5", "4-5-4", "5-4-4"]
Kind = Literal["year", "quarter", "month"]

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
NAMES = "2026, 2026-Q1, 2026-P03, 2026-03, 2026-01-15..2026-02-28, this-quarter, last-year, next-month, all"


@dataclass(frozen=True, slots=True)
class Period:
    """First and last day, both included; None is no limit."""

    name: str
    start: date | None
    end: date | None

    @property
    def days(self) -> int:
        """How many days it has; 0 where it has no limit."""
        return (self.end - self.start).days + 1 if self.start and self.end else 0


@dataclass(frozen=True, slots=True)
class Calendar:
    """How a company divides its years.

    ``first_month``: the month its fiscal year begins with (1 to 12). ``weeks``: empty for calendar months; else the
    pattern of a 52/53-week year, which ends on the ``last_weekday`` nearest to (``ends`` ``nearest``), or last in
    (``last``), the month before ``first_month``. The 53rd week belongs to the last month of the year.
    """

    first_month: int = 1
    weeks: Weeks = ""
    last_weekday: str = "saturday"
    ends: Literal["nearest", "last"] = "nearest"

    def year(self, number: int) -> Period:
        if not self.weeks:
            start = _month(number, self.first_month - (12 if self.first_month > 1 else 0))
            return Period(str(number), start, _month(start.year + 1, start.month) - timedelta(days=1))
        return Period(str(number), self._year_end(number - 1) + timedelta(days=1), self._year_end(number))

    def quarter(self, year: int, number: int) -> Period:
        months = [self.month(year, number * 3 - back) for back in (2, 1, 0)]
        return Period(f"{year}-Q{number}", months[0].start, months[2].end)

    def month(self, year: int, number: int) -> Period:
        whole = self.year(year)
        assert whole.start is not None and whole.end is not None
        name = f"{year}-P{number:02d}"
        if not self.weeks:
            start = _month(whole.start.year, whole.start.month + number - 1)
            return Period(name, start, _month(start.year, start.month + 1) - timedelta(days=1))
        lengths = [int(part) for part in self.weeks.split("-")] * 4
        start = whole.start + timedelta(weeks=sum(lengths[:number - 1]))
        return Period(name, start, whole.end if number == 12 else
                      start + timedelta(weeks=lengths[number - 1], days=-1))

    def of(self, day: date, kind: Kind) -> Period:
        """The period of a kind that a day lies in."""
        year = next(year for number in (day.year - 1, day.year, day.year + 1)
                    for year in [self.year(number)] if year.end is not None and day <= year.end)
        number = int(year.name)
        if kind == "year":
            return year
        parts = [self.quarter(number, one) for one in range(1, 5)] if kind == "quarter" else [
            self.month(number, one) for one in range(1, 13)]
        return next(part for part in parts if part.end is not None and day <= part.end)

    def before(self, period: Period) -> Period:
        """The period of the same kind before this one. Raises ScopeError where it has no beginning."""
        return self._beside(period, -1)

    def after(self, period: Period) -> Period:
        """The period of the same kind after this one. Raises ScopeError where it has no end."""
        return self._beside(period, 1)

    def _beside(self, period: Period, step: int) -> Period:
        if period.start is None or period.end is None:
            raise ScopeError(f"the period {period.name!r} has no limits, so there is none beside it.")
        day = period.start - timedelta(days=1) if step < 0 else period.end + timedelta(days=1)
        kind = self._kind(period)
        if kind is not None:
            return self.of(day, kind)
        length = timedelta(days=period.days - 1)
        start = day - length if step < 0 else day
        return Period(f"{start}..{start + length}", start, start + length)

    def _kind(self, period: Period) -> Kind | None:
        assert period.start is not None
        kinds: tuple[Kind, ...] = ("month", "quarter", "year")
        return next((kind for kind in kinds for one in [self.of(period.start, kind)]
                     if (one.start, one.end) == (period.start, period.end)), None)

    def parse(self, text: str, today: date) -> Period:
        """The period of a name, as seen from a day. Raises ScopeError with the forms there are."""
        name = text.strip()
        if name in ("", "all"):
            return Period("all", None, None)
        relative = re.fullmatch(r"(this|last|next)-(year|quarter|month)", name)
        if relative:
            kind: Kind = relative[2]  # type: ignore[assignment]
            current = self.of(today, kind)
            return {"this": lambda: current, "last": lambda: self.before(current),
                    "next": lambda: self.after(current)}[relative[1]]()
        try:
            return self._named(name)
        except ValueError as error:
            raise ScopeError(f"no period is called {text!r} ({error}). Write one of: {NAMES}.") from None

    def _named(self, name: str) -> Period:
        if ".." in name:
            first, last = (date.fromisoformat(part) for part in name.split("..", 1))
            if first > last:
                raise ValueError("it ends before it starts")
            return Period(name, first, last)
        found = re.fullmatch(r"(?:FY)?(\d{4})(?:-(?:Q([1-4])|P(\d\d)|(\d\d)))?", name, re.IGNORECASE)
        if not found:
            raise ValueError("unknown form")
        year = int(found[1])
        if found[2]:
            return self.quarter(year, int(found[2]))
        if found[3]:
            if not 1 <= int(found[3]) <= 12:
                raise ValueError("a year has 12 periods")
            return self.month(year, int(found[3]))
        if found[4]:
            start = date(year, int(found[4]), 1)
            return Period(name, start, _month(start.year, start.month + 1) - timedelta(days=1))
        return self.year(year)

    def _year_end(self, number: int) -> date:
        """The last day of a 52/53-week year, by pandas' own rule for it."""
        month = (self.first_month - 2) % 12 + 1
        offset = pd.offsets.FY5253(weekday=WEEKDAYS.index(self.last_weekday), startingMonth=month, variation=self.ends)
        inside = pd.Timestamp(_month(number, month)) + pd.Timedelta(days=10)  # before the end that is looked for
        return (inside + offset).date()  # type: ignore[no-any-return]


def _month(year: int, month: int) -> date:
    """The first day of a month; months beyond the year's own are carried over."""
    return date(year + (month - 1) // 12, (month - 1) % 12 + 1, 1)
