"""How a series recurs, as plain data that every calendar tells alike.

start, end   of the first occurrence: UTC instants, or dates with the end exclusive
zone         the IANA name in whose wall clock the rule counts; None for whole days
all_day      whether start, end and every original start are dates
rule         an RRULE of RFC 5545 in one spelling, so that equal rules are equal texts; None where only dates are listed
dates        further occurrences (RDATE), by start
exceptions   original start -> [start, end] of occurrences that were changed or moved
deletions    original starts of occurrences that do not take place

No word of a meeting is in it: what an exception says differs from its series stands with the occurrence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

RECURRENCE = "Recurrence"
"""The raw field in which a calendar's connector tells of a series how it recurs."""

SERIES = "series"
"""The entity of series; and in the place of an original start what makes the key of a series itself."""

DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_ORDER = ("FREQ", "INTERVAL", "COUNT", "UNTIL", "BYMONTH", "BYWEEKNO", "BYYEARDAY", "BYMONTHDAY", "BYDAY", "BYHOUR",
          "BYMINUTE", "BYSECOND", "BYSETPOS", "WKST")


def recurrence(
    start: str, end: str, zone: str | None, all_day: bool, rule: str | None, *, dates: Iterable[str] = (),
    exceptions: Mapping[str, Sequence[str]] | None = None, deletions: Iterable[str] = (),
) -> dict[str, Any]:
    """A recurrence in its one spelling."""
    return {
        "start": start, "end": end, "zone": zone, "all_day": all_day, "rule": rule, "dates": sorted(set(dates)),
        "exceptions": {original: list((exceptions or {})[original]) for original in sorted(exceptions or {})},
        "deletions": sorted(set(deletions))}


def rule_text(parts: Mapping[str, Iterable[Any]], start: str, zone: str | None) -> str:
    """An RRULE in one spelling: what RFC 5545 lets a rule leave unsaid is said, what changes nothing is left out.

    ``parts`` are its parts by name, each a list of texts or numbers; ``start`` is that of the first occurrence, by
    whose wall clock in ``zone`` a rule without days recurs.
    """
    made = {name.upper(): [str(value).upper() for value in values] for name, values in parts.items()}
    first = wall_clock(start, zone)
    _in_years(made, first)
    frequency = made["FREQ"][0]
    if made.get("INTERVAL") == ["1"]:
        del made["INTERVAL"]
    _say_days(made, frequency, first)
    if len(made.get("BYSETPOS", ())) == len(made.get("BYDAY", ())) == 1 and made["BYDAY"][0] in DAYS and (
            frequency == "MONTHLY" or (frequency == "YEARLY" and "BYMONTH" in made)) and "BYMONTHDAY" not in made:
        made["BYDAY"] = [made.pop("BYSETPOS")[0] + made["BYDAY"][0]]
    weeks_matter = (frequency == "WEEKLY" and "INTERVAL" in made) or "BYWEEKNO" in made
    if made.get("WKST") == ["MO"] or not weeks_matter:
        made.pop("WKST", None)
    return ";".join(f"{name}={','.join(sorted(made[name], key=_rank))}" for name in _ORDER if name in made)


def _in_years(made: dict[str, list[str]], first: date) -> None:
    """Every twelfth month is every year: Exchange has no other way to say every second year."""
    months = int(made.get("INTERVAL", ["1"])[0])
    if made["FREQ"] == ["MONTHLY"] and months % 12 == 0 and "BYMONTH" not in made:
        made |= {"FREQ": ["YEARLY"], "INTERVAL": [str(months // 12)], "BYMONTH": [str(first.month)]}


def _say_days(made: dict[str, list[str]], frequency: str, first: date) -> None:
    if any(name in made for name in ("BYDAY", "BYMONTHDAY", "BYYEARDAY", "BYWEEKNO")):
        return
    if frequency == "WEEKLY":
        made["BYDAY"] = [DAYS[first.weekday()]]
    elif frequency in ("MONTHLY", "YEARLY"):
        made["BYMONTHDAY"] = [str(first.day)]
        if frequency == "YEARLY" and "BYMONTH" not in made:
            made["BYMONTH"] = [str(first.month)]


def _rank(value: str) -> tuple[int, int, str]:
    """Numbers by size, days by their place in the week."""
    day = value[-2:]
    number = value[:-2] if day in DAYS else value
    plain = number.removeprefix("-").removeprefix("+")
    return DAYS.index(day) if day in DAYS else -1, int(number) if plain.isdigit() else 0, value


def wall_clock(start: str, zone: str | None) -> date:
    """A raw start as the clock on the wall shows it: a date, or a datetime without a zone."""
    if len(start) == 10:
        return date.fromisoformat(start)
    return datetime.fromisoformat(start).astimezone(rules_of(zone)).replace(tzinfo=None)


def on_day(day: str, start: str, zone: str | None) -> str:
    """The start that an occurrence has on a day, by the wall clock of its series: an instant, or the day itself."""
    first = wall_clock(start, zone)
    if not isinstance(first, datetime):
        return day
    moment = datetime.combine(date.fromisoformat(day), first.time(), rules_of(zone))
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def rules_of(zone: str | None) -> ZoneInfo:
    """The rules of a zone; UTC for none, and for one that only its calendar knows."""
    try:
        return ZoneInfo(zone or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")
