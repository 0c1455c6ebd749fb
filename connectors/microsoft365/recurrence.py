"""How Graph says that a meeting recurs, as the one spelling of ``sidefeed.calendars.recurrence``.

Source: patternedRecurrence; event resource (cancelledOccurrences, exceptionOccurrences).
"""

from __future__ import annotations

from typing import Any

from connectors.exchange.recurrence import Pattern
from connectors.exchange.times import zone_name
from sidefeed.calendars.recurrence import on_day, recurrence

from . import values
from .values import Json, when


def read(master: Json, structure: Json) -> dict[str, Any] | None:
    """The recurrence of a series master; ``structure`` tells what was changed and cancelled. None where it cannot be
    read."""
    told = master.get("recurrence")
    if not isinstance(told, dict):
        return None
    try:
        time = when(master)
        zone = None if time.all_day or time.zone is None else zone_name(time.zone.id)
        rule = _pattern(told["pattern"], told["range"]).rule(time.start, zone)
        exceptions = {}
        for each in structure.get("exceptionOccurrences") or ():
            moved = when(each, time.zone)
            exceptions[values.original_start({**each, "type": "exception"}, moved)] = [moved.start, moved.end]
        # OID.<id of the master>.<local date of the original start>
        deletions = [on_day(str(each).rpartition(".")[2], time.start, zone)
                     for each in structure.get("cancelledOccurrences") or ()]
    except (ValueError, KeyError):
        return None
    return recurrence(time.start, time.end, zone, time.all_day, rule, exceptions=exceptions, deletions=deletions)


def _pattern(pattern: Json, span: Json) -> Pattern:
    kind = span.get("type")
    return Pattern(
        kind=str(pattern["type"]), interval=int(pattern.get("interval") or 1), days=pattern.get("daysOfWeek") or (),
        day_of_month=int(pattern.get("dayOfMonth") or 0), place=str(pattern.get("index") or "first"),
        month=int(pattern.get("month") or 0), first_day=str(pattern.get("firstDayOfWeek") or "sunday"),
        until=str(span.get("endDate") or "")[:10] if kind == "endDate" else "",
        count=int(span.get("numberOfOccurrences") or 0) if kind == "numbered" else 0)  # fmt: skip
