"""Instants, dates and zones as EWS writes them.

Nothing here ever looks at the zone of the process. Instants are aware UTC; an all-day meeting is a pair of dates, and
a date is taken from the wall clock of the zone that the meeting was made in, never from UTC.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from connectors.calendars.zones import present

_DURATION = re.compile(
    r"(?P<sign>-?)P(?:(?P<days>\d+)D)?(?:T(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>[\d.]+)S)?)?"
)
# A zone table that is out of date by one change of daylight saving puts midnight at 23:00 of the day before.
_SLACK = timedelta(hours=2)


@dataclass(frozen=True, slots=True)
class Zone:
    """The zone element of a meeting: the id as it came, and the bias (UTC minus local time) if it was spelt out."""

    id: str
    bias: timedelta | None = None


def instant(text: str, zone: Zone | None = None) -> datetime:
    """The UTC instant of an xs:dateTime; one without offset is in ``zone``, else UTC. Raises ValueError."""
    moment = datetime.fromisoformat(text.strip())
    if moment.tzinfo is None:
        rules = _rules(zone.id) if zone else None
        moment = moment.replace(tzinfo=rules or UTC)
    return moment.astimezone(UTC)


def utc_text(moment: datetime) -> str:
    """``2026-11-21T08:17:00Z``, whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def is_date(text: str) -> bool:
    """Whether a raw time is a date (of an all-day meeting) and not an instant."""
    return len(text) == 10


def local_date(moment: datetime, zone: Zone | None) -> date:
    """The date on which an all-day meeting begins (or, exclusively, ends), given the instant of that midnight.

    The zone's rules decide; where its id means nothing here the bias that came with it does; where there is none, the
    half-day rule. Source: EWS, How to: Create all-day events (the server snaps to midnight of the creation zone).
    """
    rules = _rules(zone.id) if zone else None
    if rules is not None:
        return (moment.astimezone(rules).replace(tzinfo=None) + _SLACK).date()
    if zone is not None and zone.bias is not None:
        return (moment - zone.bias + _SLACK).date()
    # Local midnight is 00:00 to 12:00 UTC of the same date west of Greenwich, 10:00 to 24:00 UTC of the day before in
    # the east; so this is wrong only at UTC+14 and UTC-11. A plain "+12 hours" is wrong for New Zealand in summer.
    return moment.date() if moment.time() <= time(10) else moment.date() + timedelta(days=1)


def midnight(day: str, zone: str) -> datetime:
    """The instant at which a date begins in a zone. Raises ValueError for a date or zone that is none."""
    rules = _rules(zone)
    if rules is None:
        raise ValueError(f"unknown time zone {zone!r}")
    return datetime.combine(date.fromisoformat(day), time(), rules)


def zone_name(zone_id: str) -> str:
    """The IANA name of a Windows zone id where CLDR has one, else the id as it came."""
    return _windows_to_iana().get(zone_id, zone_id)


def windows_zone(name: str) -> str | None:
    """The Windows id that EWS wants for an IANA name or a Windows id; None where there is none."""
    if name in _windows_to_iana():
        return name
    return _iana_to_windows().get(name)


def bias(text: str) -> timedelta | None:
    """An xs:duration such as ``PT8H`` or ``-PT60M``; None if it is not one."""
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        return None
    parts = {name: float(found[name] or 0) for name in ("days", "hours", "minutes", "seconds")}
    span = timedelta(**parts)
    return -span if found["sign"] else span


def _rules(zone_id: str) -> ZoneInfo | None:
    """The rules of a zone. Ids such as ``tzone://Microsoft/Custom`` are nobody's zone, and not a path either."""
    return _zone_info(zone_name(zone_id)) if zone_id else None


@cache
def _zone_info(name: str) -> ZoneInfo | None:
    if "//" in name or name == "localtime":
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


@cache
def _windows_to_iana() -> dict[str, str]:
    from exchangelib.winzone import MS_TIMEZONE_TO_IANA_MAP

    return {windows: present(name) for windows, name in MS_TIMEZONE_TO_IANA_MAP.items()}


@cache
def _iana_to_windows() -> dict[str, str]:
    from exchangelib.winzone import IANA_TO_MS_TIMEZONE_MAP

    return {name: windows for name, (windows, _) in IANA_TO_MS_TIMEZONE_MAP.items()}
