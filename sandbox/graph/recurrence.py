"""Recurrence as Graph writes it. Source: patternedRecurrence, recurrencePattern, recurrenceRange.

Unused members come back as 0, "first" or 0001-01-01. The store knows no interval for yearly patterns, as EWS does not,
so "every second year" is kept as a monthly pattern with interval 24 and told as the yearly one that it was.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

from sandbox.exchange.recurrence import GROUPS, INDEXES, MONTHS, WEEK, Recurrence, at_index

from .errors import bad_value

_PATTERNS = {
    "daily": "DailyRecurrence",
    "weekly": "WeeklyRecurrence",
    "absoluteMonthly": "AbsoluteMonthlyRecurrence",
    "relativeMonthly": "RelativeMonthlyRecurrence",
    "absoluteYearly": "AbsoluteYearlyRecurrence",
    "relativeYearly": "RelativeYearlyRecurrence",
}
_NAMES = {name: kind for kind, name in _PATTERNS.items()}
_DAYS = {name.lower(): name for name in WEEK}


def write(rule: Recurrence, zone: str) -> dict[str, Any]:
    """A patternedRecurrence of an answer."""
    kind, interval, month = _NAMES[rule.pattern], rule.interval, rule.month
    if kind.endswith("Monthly") and interval % 12 == 0:
        kind, interval, month = kind.replace("Monthly", "Yearly"), interval // 12, MONTHS[rule.start.month - 1]
    pattern: dict[str, Any] = {
        "type": kind,
        "interval": interval,
        "month": MONTHS.index(month) + 1 if month else 0,
        "dayOfMonth": rule.day_of_month,
        "firstDayOfWeek": rule.first_day.lower(),
        "index": (rule.index or "First").lower(),
    }
    if rule.days:
        pattern["daysOfWeek"] = [day.lower() for name in rule.days for day in _weekdays(name)]
    span = "endDate" if rule.until else "numbered" if rule.number else "noEnd"
    return {
        "pattern": pattern,
        "range": {
            "type": span,
            "startDate": rule.start.isoformat(),
            "endDate": rule.until.isoformat() if rule.until else "0001-01-01",
            "recurrenceTimeZone": zone,
            "numberOfOccurrences": rule.number or 0,
        },
    }


def _weekdays(name: str) -> list[str]:
    return [WEEK[day] for day in GROUPS[name]] if name in GROUPS else [name]


def read(given: Any) -> Recurrence:
    """A patternedRecurrence of a request. Raises `GraphError`."""
    if not isinstance(given, dict) or not isinstance(given.get("pattern"), dict) or not isinstance(
        given.get("range"), dict
    ):  # fmt: skip
        raise bad_value("The recurrence needs a pattern and a range.", "ErrorInvalidRecurrence")
    rule = _range(_pattern(given["pattern"], given["range"]), given["range"])
    if at_index(rule, 1) is None:
        raise bad_value("The recurrence has no occurrences.", "ErrorRecurrenceHasNoOccurrence")
    return rule


def _pattern(pattern: dict[str, Any], span: dict[str, Any]) -> Recurrence:
    kind, start = pattern.get("type"), _date(span.get("startDate"), "startDate")
    if kind not in _PATTERNS:
        raise bad_value(f"The recurrence type '{kind}' is not supported.", "ErrorInvalidRecurrence")
    interval = _number(pattern.get("interval", 1), 1, 999 if kind == "daily" else 99, "interval")
    made = Recurrence(_PATTERNS[kind], start, interval=interval)
    if kind in ("weekly", "relativeMonthly", "relativeYearly"):
        made = replace(made, days=_days(pattern.get("daysOfWeek")))
    if kind == "weekly":
        made = replace(made, first_day=_choice(pattern.get("firstDayOfWeek", "sunday"), _DAYS, "firstDayOfWeek"))
    if kind.startswith("relative"):
        names = {name.lower(): name for name in INDEXES}
        made = replace(made, index=_choice(pattern.get("index", "first"), names, "index"))
    if kind.startswith("absolute"):
        made = replace(made, day_of_month=_number(pattern.get("dayOfMonth"), 1, 31, "dayOfMonth"))
    if kind.endswith("Yearly"):
        month = MONTHS[_number(pattern.get("month"), 1, 12, "month") - 1]
        if interval == 1:
            return replace(made, month=month)
        if MONTHS[start.month - 1] != month:
            raise bad_value("startDate must lie in the month of a pattern of several years.", "ErrorInvalidRecurrence")
        return replace(made, pattern=made.pattern.replace("Yearly", "Monthly"), interval=12 * interval)
    return made


def _range(rule: Recurrence, span: dict[str, Any]) -> Recurrence:
    match span.get("type"):
        case "noEnd":
            return rule
        case "endDate":
            until = _date(span.get("endDate"), "endDate")
            if until < rule.start:
                raise bad_value("endDate is before startDate.", "ErrorCalendarEndDateIsEarlierThanStartDate")
            return replace(rule, until=until)
        case "numbered":
            return replace(rule, number=_number(span.get("numberOfOccurrences"), 1, 999, "numberOfOccurrences"))
    raise bad_value(f"The range type '{span.get('type')}' is not supported.", "ErrorInvalidRecurrence")


def _days(given: Any) -> tuple[str, ...]:
    if not isinstance(given, list) or not given:
        raise bad_value("daysOfWeek is missing.", "ErrorCalendarInvalidDayForWeeklyRecurrence")
    return tuple(dict.fromkeys(_choice(day, _DAYS, "daysOfWeek") for day in given))


def _choice(given: Any, names: dict[str, str], member: str) -> str:
    if not isinstance(given, str) or given.lower() not in names:
        raise bad_value(f"'{given}' is not a value of {member}.", "ErrorInvalidRecurrence")
    return names[given.lower()]


def _number(given: Any, low: int, high: int, member: str) -> int:
    if isinstance(given, bool) or not isinstance(given, int) or not low <= given <= high:
        raise bad_value(f"{member} must be a number from {low} to {high}.", "ErrorInvalidRecurrence")
    return given


def _date(given: Any, member: str) -> date:
    try:
        return date.fromisoformat(str(given)[:10])
    except ValueError:
        raise bad_value(f"{member} must be a date.", "ErrorInvalidRecurrence") from None
