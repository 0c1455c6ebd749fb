"""Relative date literals and the calendar functions of SOQL.

Source: SOQL and SOSL Reference, "Date Formats and Date Literals", "Date Functions". Weeks start on Sunday, as in en_US.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from .values import moment, stamp


def _month(day: date, months: int) -> date:
    index = day.year * 12 + day.month - 1 + months
    year, month = divmod(index, 12)
    return date(min(max(year, 1), 9999), month + 1, 1)


def _unit_start(unit: str, today: date, offset: int, fiscal_start: int) -> date:
    if unit == "DAY":
        return today + timedelta(days=offset)
    if unit == "WEEK":
        return today - timedelta(days=(today.weekday() + 1) % 7) + timedelta(weeks=offset)
    if unit == "MONTH":
        return _month(today, offset)
    shift = fiscal_start - 1 if unit.startswith("FISCAL") else 0
    moved = _month(today, -shift)
    if unit.endswith("QUARTER"):
        first = date(moved.year, (moved.month - 1) // 3 * 3 + 1, 1)
        return _month(first, offset * 3 + shift)
    return _month(date(moved.year, 1, 1), offset * 12 + shift)


def period(literal: str, today: date, fiscal_start: int) -> tuple[date, date]:
    """First day and day after the last of a relative literal such as LAST_N_DAYS:3 or THIS_FISCAL_QUARTER.

    LAST_N_unit:n ends with today for days (today included, as observed), and before the present unit otherwise;
    NEXT_N_DAYS starts tomorrow. Raises OverflowError when the calendar ends before the period does.
    """
    name, _, count = literal.upper().partition(":")
    n = int(count or 0)
    if name in ("YESTERDAY", "TODAY", "TOMORROW"):
        first = today + timedelta(days={"YESTERDAY": -1, "TODAY": 0, "TOMORROW": 1}[name])
        return first, first + timedelta(days=1)
    if name == "LAST_90_DAYS":
        return today - timedelta(days=90), today + timedelta(days=1)
    if name == "NEXT_90_DAYS":
        return today + timedelta(days=1), today + timedelta(days=91)
    if name.startswith("N_"):
        unit = name.removeprefix("N_").removesuffix("_AGO").removesuffix("S")
        return _unit_start(unit, today, -n, fiscal_start), _unit_start(unit, today, 1 - n, fiscal_start)
    direction, _, rest = name.partition("_")
    if rest.startswith("N_"):
        unit = rest.removeprefix("N_").removesuffix("S")
        if direction == "LAST":
            end = _unit_start(unit, today, 1 if unit == "DAY" else 0, fiscal_start)
            return _unit_start(unit, today, -n, fiscal_start), end
        return _unit_start(unit, today, 1, fiscal_start), _unit_start(unit, today, n + 1, fiscal_start)
    offset = {"LAST": -1, "THIS": 0, "NEXT": 1}[direction]
    return _unit_start(rest, today, offset, fiscal_start), _unit_start(rest, today, offset + 1, fiscal_start)


def midnight(day: date, zone: ZoneInfo) -> str:
    """The stored date-time of a day's start in a zone."""
    return stamp(datetime.combine(day, time(), zone).astimezone(UTC))


def calendar(function: str, value: str | None, zone: ZoneInfo | None, fiscal_start: int) -> int | str | None:
    """A calendar function of a stored date or date-time (UTC, or in a zone with convertTimezone)."""
    if value is None:
        return None
    if len(value) > 10:
        at = moment(value)
        at = at.astimezone(zone) if zone else at
        day, hour = at.date(), at.hour
    else:
        day, hour = date.fromisoformat(value), 0
    fiscal = _month(day, 1 - fiscal_start)
    sunday = (day.weekday() + 1) % 7
    answers: dict[str, int | str] = {
        "calendar_month": day.month,
        "calendar_quarter": (day.month - 1) // 3 + 1,
        "calendar_year": day.year,
        "day_in_month": day.day,
        "day_in_week": sunday + 1,
        "day_in_year": day.timetuple().tm_yday,
        "day_only": day.isoformat(),
        "fiscal_month": fiscal.month,
        "fiscal_quarter": (fiscal.month - 1) // 3 + 1,
        "fiscal_year": fiscal.year + (1 if fiscal_start > 1 else 0),
        "hour_in_day": hour,
        "week_in_month": (day.day - 1) // 7 + 1,
        "week_in_year": (day.timetuple().tm_yday - 1) // 7 + 1,
    }
    return answers[function]
