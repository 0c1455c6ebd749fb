"""What is too much to be expanded: rules that repeat within minutes, without end or never, and would hold up whatever
is read after them. Anybody who invites chooses the rule, so it is looked at before it is followed.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from connectors.calendars.window import Window

MOST = 1500
"""Occurrences that one series may show in a window; what repeats every few minutes is no meeting."""
STEPS = 200_000
"""Steps from the first occurrence to the end of the window; walking them takes a second or two."""

_PACE = {"SECONDLY": timedelta(seconds=1), "MINUTELY": timedelta(minutes=1), "HOURLY": timedelta(hours=1),
         "DAILY": timedelta(days=1)}
_OF_DAY = ("BYHOUR", "BYMINUTE", "BYSECOND")
_OF_YEAR = ("BYMONTH", "BYMONTHDAY", "BYYEARDAY", "BYWEEKNO", "BYDAY")


class Broken(ValueError):
    """An object that cannot be read; the message says why, and quotes nothing of it."""


def refuse_endless(calendar: Any, window: Window, zone: str) -> None:
    """Raises Broken for a rule that cannot be followed to the end of a window in reasonable time."""
    for event in calendar.walk("VEVENT"):
        for name in ("RRULE", "EXRULE"):
            for rule in listed(event.get(name)):
                _refuse({str(part).upper(): listed(value) for part, value in rule.items()}, event, window, zone)


def listed(value: Any) -> list[Any]:
    """A property or part that is told once, several times or not at all."""
    return list(value) if isinstance(value, list) else [] if value is None else [value]


def _refuse(rule: dict[str, list[Any]], event: Any, window: Window, zone: str) -> None:
    interval = int((rule.get("INTERVAL") or [1])[0])
    if interval < 1:
        raise Broken("its rule repeats after no time at all (INTERVAL=0), so it has no end")
    frequency = str((rule.get("FREQ") or [""])[0]).upper()
    pace = _PACE.get(frequency)
    if pace is not None:
        filters = any(name.startswith("BY") for name in rule)
        if not filters and not {"COUNT", "UNTIL"} & set(rule) and (
                window.end - window.start) / (pace * interval) > MOST:
            raise Broken(f"it takes place more than {MOST} times in the window")
        steps = (_last(rule, window, zone) - _aware(event["DTSTART"].dt, zone)) / (pace * interval)
        count = int((rule.get("COUNT") or [STEPS + 1])[0])
        if min(steps, steps if filters else count) > STEPS:
            raise Broken(f"it repeats {frequency.lower()} over so long a time that it cannot be followed to this day")
    if pace is not None and _never(rule, frequency):
        raise Broken("its rule names days that do not exist, so it never takes place")


def _last(rule: dict[str, list[Any]], window: Window, zone: str) -> datetime:
    return min([window.end, *(_aware(until, zone) for until in rule.get("UNTIL", ()))])


def _aware(moment: Any, zone: str) -> datetime:
    told: datetime = moment if isinstance(moment, datetime) else datetime.combine(moment, time())
    return (told if told.tzinfo is not None else told.replace(tzinfo=ZoneInfo(zone))).astimezone(UTC)


def _never(rule: dict[str, list[Any]], frequency: str) -> bool:
    """Whether a rule that goes by days or less names no day, or no time of a day, that exists. Which days there are is
    asked of the same rule by years, which comes to its end."""
    from dateutil.rrule import rrulestr

    times = 1
    for name in _OF_DAY[{"HOURLY": 1, "MINUTELY": 2, "SECONDLY": 3}.get(frequency, 0):]:
        times *= len(rule.get(name) or (0,))
    places = [abs(int(each)) for each in rule.get("BYSETPOS", ())]
    if places and min(places) > times:
        return True
    parts = list(_days(rule))
    by_years = ";".join(["FREQ=YEARLY", *parts])
    return bool(parts) and next(iter(rrulestr(by_years, dtstart=datetime(2000, 1, 1, tzinfo=UTC))), None) is None


def _days(rule: dict[str, list[Any]]) -> Iterator[str]:
    for name in _OF_YEAR:
        if values := [str(each) for each in rule.get(name, ())]:
            yield f"{name}={','.join(each[-2:] if name == 'BYDAY' else each for each in values)}"
