"""Domino's own zone names, with their rules: a client gets the rules, and need not know the name."""

from __future__ import annotations

from calendar import monthcalendar
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import icalendar


@dataclass(frozen=True, slots=True)
class Zone:
    """A zone by Domino's name. ``winter`` and ``summer`` are offsets as iCalendar writes them; without a summer time
    both are one. ``to_winter`` and ``to_summer`` say when the clocks change: month, weekday and local hour."""

    name: str
    iana: str
    winter: str
    summer: str
    to_winter: tuple[int, str, int] = (0, "", 0)
    to_summer: tuple[int, str, int] = (0, "", 0)

    @property
    def rules(self) -> ZoneInfo:
        return ZoneInfo(self.iana)


_AMERICA = {"to_winter": (11, "1SU", 2), "to_summer": (3, "2SU", 2)}
ZONES = {
    zone.name: zone
    for zone in (
        Zone("Eastern", "America/New_York", "-0500", "-0400", **_AMERICA),
        Zone("Central", "America/Chicago", "-0600", "-0500", **_AMERICA),
        Zone("Pacific", "America/Los_Angeles", "-0800", "-0700", **_AMERICA),
        Zone("W. Europe", "Europe/Berlin", "+0100", "+0200", (10, "-1SU", 3), (3, "-1SU", 2)),
        Zone("India", "Asia/Kolkata", "+0530", "+0530"),
    )
}
"""The documentation shows ``Eastern`` and its rules; the other names are Notes' own abbreviations."""


def of_iana(key: str | None) -> Zone | None:
    """The zone with an IANA id; None where Domino has no name for it here."""
    return next((zone for zone in ZONES.values() if zone.iana == key), None)


def component(zone: Zone) -> icalendar.Timezone:
    """The VTIMEZONE of a zone."""
    made = icalendar.Timezone()
    made.add("TZID", zone.name)
    for part, change, before, after in (
        (icalendar.TimezoneStandard(), zone.to_winter, zone.summer, zone.winter),
        (icalendar.TimezoneDaylight(), zone.to_summer, zone.winter, zone.summer),
    ):
        if zone.winter == zone.summer and isinstance(part, icalendar.TimezoneDaylight):
            continue
        part["DTSTART"] = icalendar.vDDDTypes(_first(change))
        part["TZOFFSETFROM"] = _offset(before)
        part["TZOFFSETTO"] = _offset(after)
        if change[0]:
            part["RRULE"] = icalendar.vRecur.from_ical(_rule(change))
        made.add_component(part)
    return made


def as_json(zone: Zone) -> dict[str, object]:
    """The zone as an element of ``timezones``."""
    shown: dict[str, object] = {"tzid": zone.name}
    for name, change, before, after in (
        ("standard", zone.to_winter, zone.summer, zone.winter),
        ("daylight", zone.to_summer, zone.winter, zone.summer),
    ):
        if zone.winter == zone.summer and name == "daylight":
            continue
        start = _first(change)
        shown[name] = {
            "start": {"date": f"{start:%Y-%m-%d}", "time": f"{start:%H:%M:%S}"},
            "offsetFrom": before,
            "offsetTo": after,
            **({"recurrenceRule": _rule(change)} if change[0] else {}),
        }
    return shown


def _offset(text: str) -> icalendar.vUTCOffset:
    span = timedelta(hours=int(text[1:3]), minutes=int(text[3:5]))
    return icalendar.vUTCOffset(-span if text.startswith("-") else span)


def _rule(change: tuple[int, str, int]) -> str:
    month, day, hour = change
    return f"FREQ=YEARLY;BYMONTH={month};BYDAY={day};BYHOUR={hour};BYMINUTE=0"


def _first(change: tuple[int, str, int]) -> datetime:
    """The first change of the year 1950: rules of Domino begin there."""
    month, day, hour = change
    if not month:
        return datetime(1950, 1, 1)  # noqa: DTZ001 - local time, as rules begin
    sundays = [week[6] for week in monthcalendar(1950, month) if week[6]]
    number = sundays[-1 if day.startswith("-") else int(day[0]) - 1]
    return datetime(1950, month, number, hour)  # noqa: DTZ001 - local time, as rules begin


def instant(moment: datetime, zone: Zone | None) -> datetime:
    """A local time as an instant; without a zone it is UTC."""
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone.rules if zone else UTC)).astimezone(UTC)
