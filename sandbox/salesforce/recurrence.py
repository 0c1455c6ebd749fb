"""Classic recurring events: the Recurrence* fields of a series to the occurrences they mean.

Source: Object Reference "Event", recurrence fields. The day-of-week mask counts Sunday as 1, Monday as 2, up to
Saturday as 64. Lightning patterns (`Recurrence2PatternText`) are stored, not expanded.
"""

from __future__ import annotations

from datetime import date, datetime, time
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from dateutil import rrule

from .errors import Failure
from .store import Row
from .values import add_minutes, moment, stamp

if TYPE_CHECKING:
    from .records import Records

MOST = 100
_DAYS = (rrule.SU, rrule.MO, rrule.TU, rrule.WE, rrule.TH, rrule.FR, rrule.SA)
_INSTANCES = {"First": 1, "Second": 2, "Third": 3, "Fourth": 4, "Last": -1}
_MONTHS = "January February March April May June July August September October November December".split()
_NEEDED = {
    "RecursDaily": ("RecurrenceInterval",),
    "RecursEveryWeekday": ("RecurrenceDayOfWeekMask",),
    "RecursWeekly": ("RecurrenceInterval", "RecurrenceDayOfWeekMask"),
    "RecursMonthly": ("RecurrenceInterval", "RecurrenceDayOfMonth"),
    "RecursMonthlyNth": ("RecurrenceInterval", "RecurrenceInstance", "RecurrenceDayOfWeekMask"),
    "RecursYearly": ("RecurrenceDayOfMonth", "RecurrenceMonthOfYear"),
    "RecursYearlyNth": ("RecurrenceInstance", "RecurrenceDayOfWeekMask", "RecurrenceMonthOfYear"),
}
_COMMON = ("RecurrenceType", "RecurrenceStartDateTime", "RecurrenceEndDateOnly")


def starts(series: Row) -> list[str]:
    """Stored date-times at which the occurrences of a series start.

    Raises Failure for fields that do not fit together.
    """
    kind = series.get("RecurrenceType")
    missing = [n for n in (*_COMMON, *_NEEDED.get(str(kind), ())) if series.get(n) is None]
    if missing:
        raise Failure(
            400,
            "FIELD_INTEGRITY_EXCEPTION",
            f"A recurring event of type {kind} needs the fields: {', '.join(missing)}",
            missing,
        )
    zone = ZoneInfo(series.get("RecurrenceTimeZoneSidKey") or "UTC")
    first = moment(series["RecurrenceStartDateTime"]).astimezone(zone).replace(tzinfo=None)
    last = datetime.combine(date.fromisoformat(series["RecurrenceEndDateOnly"]), time.max)
    frequency, rule = _rule(series)
    found = []
    for local in rrule.rrule(frequency, dtstart=first, until=last, **rule):
        found.append(stamp(local.replace(tzinfo=zone)))
        if len(found) > MOST:
            raise Failure(
                400,
                "FIELD_INTEGRITY_EXCEPTION",
                f"A recurring event has at most {MOST} occurrences",
                ["RecurrenceEndDateOnly"],
            )
    return found


def _rule(series: Row) -> tuple[Any, dict[str, Any]]:
    kind = series["RecurrenceType"]
    mask = series.get("RecurrenceDayOfWeekMask") or 0
    days = [day for bit, day in enumerate(_DAYS) if mask >> bit & 1]
    interval = series.get("RecurrenceInterval") or 1
    place = _INSTANCES.get(str(series.get("RecurrenceInstance")), 1)
    month = _MONTHS.index(series["RecurrenceMonthOfYear"]) + 1 if series.get("RecurrenceMonthOfYear") else None
    day = series.get("RecurrenceDayOfMonth")
    rules: dict[str, tuple[Any, dict[str, Any]]] = {
        "RecursDaily": (rrule.DAILY, {"interval": interval}),
        "RecursEveryWeekday": (rrule.WEEKLY, {"byweekday": days}),
        "RecursWeekly": (rrule.WEEKLY, {"interval": interval, "byweekday": days, "wkst": rrule.SU}),
        "RecursMonthly": (rrule.MONTHLY, {"interval": interval, "bymonthday": day}),
        "RecursMonthlyNth": (rrule.MONTHLY, {"interval": interval, "byweekday": days, "bysetpos": place}),
        "RecursYearly": (rrule.YEARLY, {"bymonth": month, "bymonthday": day}),
        "RecursYearlyNth": (rrule.YEARLY, {"bymonth": month, "byweekday": days, "bysetpos": place}),
    }
    return rules[kind]


def expand(records: Records, series: Row) -> None:
    """Store the occurrences of a new series; the series points at itself, they at the series."""
    records.store.put("Event", {**series, "RecurrenceActivityId": series["Id"]})
    blank = {name: None for name in series if name.startswith("Recurrence")}
    event = records.sobject("Event")
    for start in starts(series):
        end = add_minutes(start, series["DurationInMinutes"] - (1440 if series["IsAllDayEvent"] else 0))
        records.store.put(
            "Event",
            {
                **series,
                **blank,
                "Id": records.store.next_id(event),
                "IsRecurrence": False,
                "RecurrenceActivityId": series["Id"],
                "StartDateTime": start,
                "ActivityDateTime": start,
                "ActivityDate": start[:10],
                "EndDateTime": end,
                "EndDate": end[:10],
            },
        )
