"""Domino names zones in its own way, and sends their rules: these decide which zone it is, the name only suggests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

_SUGGESTED = {
    "eastern": "America/New_York", "central": "America/Chicago", "mountain": "America/Denver",
    "pacific": "America/Los_Angeles", "gmt": "Europe/London", "w. europe": "Europe/Berlin", "romance": "Europe/Paris",
    "central europe": "Europe/Budapest", "e. europe": "Europe/Bucharest", "india": "Asia/Kolkata",
    "tokyo": "Asia/Tokyo", "china": "Asia/Shanghai", "e. australia": "Australia/Brisbane"}
"""Abbreviations that Notes uses, by what they look like; none is believed unless its rules agree."""


def named(name: str, rules: tzinfo | None, year: int, own: str) -> str:
    """The IANA zone with these rules in a year: the owner's own, or the one that the name suggests; else the name."""
    for candidate in (own, _SUGGESTED.get(name.lower(), "")):
        if candidate and rules is not None and _offsets(rules, year) == _offsets_of(candidate, year):
            return candidate
    return name


@lru_cache(maxsize=256)
def _offsets_of(zone: str, year: int) -> tuple[timedelta | None, ...]:
    return _offsets(ZoneInfo(zone), year)


def _offsets(rules: tzinfo, year: int) -> tuple[timedelta | None, ...]:
    """The offsets of a year, every fifth day: two zones that agree on them change their clocks in the same week."""
    first = datetime(year, 1, 1, 12, tzinfo=UTC)
    return tuple((first + timedelta(days=day)).astimezone(rules).utcoffset() for day in range(0, 365, 5))
