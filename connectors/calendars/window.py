"""The rolling window of every calendar: how far back and ahead meetings are read, in whole days.

One meaning for all: the window of a day begins ``past`` days before it and ends with the day ``future`` days after it,
by UTC, so that it slides once a day. ``[calendars]`` of ``sidefeed.toml`` sets it for all calendars, the table of a
system for that one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

PAST, FUTURE = 30, 90
"""Days. Activities are written for thirty days back, so no less is read; ahead, what a rep plans by."""
_MOST = 365
"""A calendar view of Exchange spans two years at most (ErrorCalendarViewRangeTooBig)."""
_LONGEST = timedelta(days=400)
_MARGIN = timedelta(days=1)
"""A date is a different instant in each zone."""


@dataclass(frozen=True, slots=True)
class Window:
    """A span of time, from an instant to before another."""

    start: datetime
    end: datetime

    def holds(self, begins: datetime, ends: datetime) -> bool:
        """Whether a meeting is in a view of the window."""
        return begins < self.end and ends >= self.start


def days(table: Mapping[str, Any], wrong: Callable[[str, str], Exception]) -> tuple[int, int]:
    """Past and future days of a table of settings. ``wrong`` makes the error that names a setting and what is wrong."""
    return (_days(table, "window_past_days", PAST, wrong), _days(table, "window_future_days", FUTURE, wrong))


def _days(table: Mapping[str, Any], name: str, default: int, wrong: Callable[[str, str], Exception]) -> int:
    try:
        number = int(table.get(name, default))
    except (TypeError, ValueError):
        number = -1
    if not 0 <= number <= _MOST:
        raise wrong(name, f"must be a number of days from 0 to {_MOST}")
    return number


def rolling(at: datetime, past: int, future: int) -> Window:
    """The window of the day on which an instant lies."""
    today = at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return Window(today - timedelta(days=past), today + timedelta(days=future + 1))


def starts_at(original: str) -> datetime:
    """An instant near an original start, good to 14 hours for a date: for windows, never for values."""
    return datetime.fromisoformat(original + ("T00:00:00Z" if len(original) == 10 else ""))


def spans(originals: Iterable[str]) -> Iterator[Window]:
    """The fewest spans, none too long for a view, that hold these original starts."""
    first = last = None
    for moment in sorted(starts_at(each) for each in originals):
        if first is not None and last is not None and moment - first > _LONGEST:
            yield Window(first - _MARGIN, last + _MARGIN)
            first = None
        first, last = first or moment, moment
    if first is not None and last is not None:
        yield Window(first - _MARGIN, last + _MARGIN)
