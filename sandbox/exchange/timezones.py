"""Windows time zones: ids of the EWS wire, IANA zones behind them, and zone definitions as Exchange writes them.

`windows_zones.json` maps each Windows id to IANA names, the default territory first (Unicode CLDR windowsZones), and
to the display name that Windows gives it; a name missing there is composed. The rules come from the tz database.
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from functools import cache
from importlib import resources
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from .soap import Element, T, add, child, element, text_of

CUSTOM_ID = "tzone://Microsoft/Custom"
"""The id that Exchange puts on items whose creator sent a zone without a known name."""


@dataclass(frozen=True)
class Zone:
    """A zone as an item carries it: the id on the wire, its display name, and the rules if they are known."""

    id: str
    name: str = ""
    rules: tzinfo | None = None

    @property
    def tz(self) -> tzinfo:
        """The rules; UTC where none are known, as Exchange reads times of an item without a usable zone."""
        return self.rules or UTC


@cache
def _data() -> dict[str, dict[str, str]]:
    made: dict[str, dict[str, str]] = json.loads(
        resources.files(__package__).joinpath("windows_zones.json").read_text("utf-8")
    )
    return made


@cache
def _table() -> dict[str, list[str]]:
    return {windows: names.split() for windows, names in _data()["zones"].items()}


@cache
def _by_iana() -> dict[str, str]:
    return {name: windows for windows, names in _table().items() for name in names}


def windows_ids() -> list[str]:
    """Every Windows zone id that the server knows, ordered by standard offset and id."""
    return sorted(_table(), key=lambda name: (_standard_offset(named(name).tz), name))


@cache
def _zoneinfo(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


@cache
def find(name: str) -> Zone | None:
    """The zone of a Windows id or an IANA name; None if the server knows neither."""
    windows = name if name in _table() else _by_iana().get(name)
    if windows is not None:
        rules = _zoneinfo(_table()[windows][0])
        return Zone(windows, _display_name(windows, rules), rules)
    rules = _zoneinfo(name)
    return Zone(name, name, rules) if rules is not None else None


def named(name: str) -> Zone:
    """The zone of a Windows id or IANA name. Raises KeyError."""
    zone = find(name)
    if zone is None:
        raise KeyError(f"no time zone {name!r}; give a Windows id such as 'W. Europe Standard Time' or an IANA name")
    return zone


UTC_ZONE = Zone("UTC", "(UTC) Coordinated Universal Time", UTC)


def of_element(node: Element) -> Zone | None:
    """The zone of a t:TimeZoneDefinition or t:StartTimeZone in a request.

    A known id wins; otherwise the periods sent with it are used. None if neither says anything.
    """
    identifier = (node.get("Id") or "").strip()
    if identifier in ("UTC", "tzone://Microsoft/Utc"):
        return UTC_ZONE
    known = find(identifier) if identifier else None
    if known is not None and not known.id.count("/"):
        return known
    rules = _rules_of_definition(node)
    if rules is not None:
        return Zone(identifier or CUSTOM_ID, node.get("Name") or "", rules)
    return None


def _rules_of_definition(node: Element) -> tzinfo | None:
    """The rules of a full definition, by comparing its periods and change dates with those of known zones."""
    biases = sorted({_minutes(period.get("Bias") or "") for period in node.iter(f"{T}Period")})
    if not biases:
        return None
    if len(biases) == 1:
        return timezone(timedelta(minutes=-biases[0]))
    months = tuple(sorted({int(m.text or 0) for m in node.iter(f"{T}Month")}))
    for windows in windows_ids():
        zone = named(windows)
        year = _changes(zone.tz, 2024)
        if sorted({-offset for _, offset in year}) == biases and tuple(sorted({at.month for at, _ in year})) == months:
            return zone.tz
    return timezone(timedelta(minutes=-biases[-1]))


def _minutes(duration: str) -> int:
    """An xs:duration such as PT8H or -PT1H30M in minutes."""
    sign = -1 if duration.startswith("-") else 1
    total, number, in_time = 0, "", False
    for mark in duration.lstrip("-+P"):
        if mark.isdigit():
            number += mark
        elif mark == "T":
            in_time = True
        else:
            factor = {"H": 60, "M": 1 if in_time else 0, "D": 1440, "S": 0}.get(mark, 0)
            total += int(number or 0) * factor
            number = ""
    return sign * total


def _duration(minutes: int) -> str:
    """Minutes as the xs:duration of a Bias: PT8H, -PT1H, PT5H30M."""
    hours, rest = divmod(abs(minutes), 60)
    text = "PT" + (f"{hours}H" if hours else "") + (f"{rest}M" if rest else "")
    return ("-" if minutes < 0 else "") + (text if text != "PT" else "PT0S")


@cache
def _standard_offset(rules: tzinfo) -> int:
    offsets = [_offset(rules, datetime(2026, month, 1, tzinfo=UTC)) for month in (1, 7)]
    return min(offsets)


def _offset(rules: tzinfo, at: datetime) -> int:
    return int((at.astimezone(rules).utcoffset() or timedelta()).total_seconds() // 60)


@cache
def _changes(rules: tzinfo, year: int) -> list[tuple[datetime, int]]:
    """The offset changes in a year: (local wall time before the change, new offset in minutes)."""
    found = []
    at = datetime(year, 1, 1, tzinfo=UTC)
    end = datetime(year + 1, 1, 1, tzinfo=UTC)
    before = _offset(rules, at)
    while at < end:
        at += timedelta(days=1)
        after = _offset(rules, at)
        if after != before:
            low, high = at - timedelta(days=1), at
            while high - low > timedelta(minutes=1):
                middle = low + (high - low) / 2
                low, high = (low, middle) if _offset(rules, middle) == after else (middle, high)
            moment = high.replace(second=0, microsecond=0)
            found.append(((moment + timedelta(minutes=before)).replace(tzinfo=None), after))
            before = after
    return found


@cache
def _display_name(windows: str, rules: tzinfo | None) -> str:
    known = _data()["names"].get(windows)
    if known is not None:
        return known
    minutes = _standard_offset(rules) if rules is not None else 0
    sign = "-" if minutes < 0 else "+"
    cities = [name.rpartition("/")[2].replace("_", " ") for name in _table()[windows][:3]]
    return f"(UTC{sign}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}) {', '.join(cities)}"


def definition(zone: Zone, *, full: bool, tag: str = f"{T}TimeZoneDefinition", year: int = 2026) -> Element:
    """A zone as Exchange describes it; `full` adds periods and transitions (TimeZoneDefinitionType)."""
    return copy.deepcopy(_definition(zone, full, tag, year))


@cache
def _definition(zone: Zone, full: bool, tag: str, year: int) -> Element:
    node = element(tag, {"Id": zone.id, "Name": zone.name} if zone.name else {"Id": zone.id})
    if not full or zone.rules is None:
        return node
    standard = _standard_offset(zone.tz)
    changes = _changes(zone.tz, year)
    recurring = len(changes) == 2
    periods = add(node, f"{T}Periods")
    prefix = f"trule:Microsoft/Registry/{zone.id}/{year}"
    add(periods, f"{T}Period", None, {"Bias": _duration(-standard), "Name": "Standard", "Id": f"{prefix}-Standard"})
    if recurring:
        daylight = max(offset for _, offset in changes)
        add(periods, f"{T}Period", None, {"Bias": _duration(-daylight), "Name": "Daylight", "Id": f"{prefix}-Daylight"})
    groups = add(node, f"{T}TransitionsGroups")
    group = add(groups, f"{T}TransitionsGroup", None, {"Id": "0"})
    if recurring:
        for wall, offset in changes:
            kind = "Standard" if offset == standard else "Daylight"
            change = add(group, f"{T}RecurringDayTransition")
            add(change, f"{T}To", f"{prefix}-{kind}", {"Kind": "Period"})
            add(change, f"{T}TimeOffset", f"PT{wall.hour}H" + (f"{wall.minute}M" if wall.minute else ""))
            add(change, f"{T}Month", str(wall.month))
            add(change, f"{T}DayOfWeek", wall.strftime("%A"))
            last = (wall + timedelta(days=7)).month != wall.month
            add(change, f"{T}Occurrence", "-1" if last else str((wall.day - 1) // 7 + 1))
    else:
        change = add(group, f"{T}Transition")
        add(change, f"{T}To", f"{prefix}-Standard", {"Kind": "Period"})
    transition = add(add(node, f"{T}Transitions"), f"{T}Transition")
    add(transition, f"{T}To", "0", {"Kind": "Group"})
    return node


class AvailabilityZone(tzinfo):
    """The t:TimeZone of GetUserAvailability: a bias and two yearly change rules (SerializableTimeZone).

    Raises ValueError for values that its schema does not allow.
    """

    def __init__(self, node: Element) -> None:
        self._bias = _int(node, "Bias", -840, 840)
        changes = (child(node, "StandardTime"), child(node, "DaylightTime"))
        self._rules = [_change_rule(part) for part in changes if part is not None]

    def utcoffset(self, at: datetime | None) -> timedelta:
        """Minutes east of UTC at a wall time."""
        bias = self._bias
        if at is not None:
            starts = sorted((start, extra) for start, extra in self._starts(at.year))
            if starts:
                extra = starts[-1][1]
                for start, change in starts:
                    if at.replace(tzinfo=None) >= start:
                        extra = change
                bias += extra
        return timedelta(minutes=-bias)

    def _starts(self, year: int) -> list[tuple[datetime, int]]:
        found = []
        for bias, month, order, day, at in self._rules:
            if month:
                found.append((datetime.combine(nth_weekday(year, month, day, order), at), bias))
        return found

    def dst(self, at: datetime | None) -> timedelta:
        """Unknown apart from the offset; nought, as tzinfo asks for something."""
        return timedelta(0)

    def tzname(self, at: datetime | None) -> str:
        """A name for reprs."""
        return "availability zone"


def _change_rule(node: Element) -> tuple[int, int, int, str, time]:
    """Bias, month (0: no change), order of the weekday, weekday, time of one yearly change."""
    day = (text_of(node, "DayOfWeek") or "Sunday").strip()
    if day not in _DAYS:
        raise ValueError(f"The value '{day}' of DayOfWeek is invalid.")
    at = time.fromisoformat((text_of(node, "Time") or "00:00:00").strip())
    bias = _int(node, "Bias", -599, 599)  # with the zone's own still within a day, as datetime demands
    return bias, _int(node, "Month", 0, 12), _int(node, "DayOrder", -1, 5), day, at.replace(tzinfo=None)


def _int(node: Element, name: str, least: int, most: int) -> int:
    value = int(text_of(node, name) or 0)
    if not least <= value <= most:
        raise ValueError(f"The value '{value}' of {name} is invalid.")
    return value


_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def nth_weekday(year: int, month: int, day: str, order: int) -> datetime:
    """Midnight of the first to fourth (1-4) or last (5 or -1) weekday of a month."""
    first = datetime.combine(date(year, month, 1), time())
    at = first + timedelta(days=(_DAYS.index(day) - first.weekday()) % 7)
    wanted = 5 if order < 0 else order
    for _ in range(wanted - 1):
        if (at + timedelta(days=7)).month != month:
            break
        at += timedelta(days=7)
    return at


def of_base_offset(node: Element) -> Zone:
    """The zone of an Exchange 2007 MeetingTimeZone given by offsets instead of a name."""
    base = _minutes(text_of(node, "BaseOffset") or "")
    months: list[int] = []
    extra = 0
    for part in (child(node, "Standard"), child(node, "Daylight")):
        if part is None:
            continue
        extra = min(extra, _minutes(text_of(part, "Offset") or ""))
        pattern = child(part, "RelativeYearlyRecurrence")
        if pattern is not None:
            months.append(_MONTHS.index((text_of(pattern, "Month") or "January").strip()) + 1)
    offsets = {-base, -base - extra}
    if len(offsets) == 2 and months:
        for windows in windows_ids():
            zone = named(windows)
            changes = _changes(zone.tz, 2024)
            if {offset for _, offset in changes} == offsets and {at.month for at, _ in changes} == set(months):
                return zone
    return Zone(CUSTOM_ID, "", timezone(timedelta(minutes=-base)))


_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip


def yearly(zone: Zone, year: int = 2026) -> list[tuple[str, str, int, int, str]]:
    """Observances of a VTIMEZONE: (STANDARD or DAYLIGHT, DTSTART, offset before, offset after, yearly RRULE or "")."""
    standard = _standard_offset(zone.tz)
    changes = _changes(zone.tz, year)
    if len(changes) != 2:
        return [("STANDARD", "16010101T000000", standard, standard, "")]
    made = []
    for number, (wall, after) in enumerate(changes):
        before = changes[1 - number][1]
        last = (wall + timedelta(days=7)).month != wall.month
        nth = -1 if last else (wall.day - 1) // 7 + 1
        rule = f"FREQ=YEARLY;INTERVAL=1;BYDAY={nth}{wall.strftime('%a')[:2].upper()};BYMONTH={wall.month}"
        kind = "STANDARD" if after == standard else "DAYLIGHT"
        made.append((kind, f"16010101T{wall:%H%M%S}", before, after, rule))
    return made


def serializable(zone: Zone, year: int) -> Element:
    """A zone as the t:TimeZone of the availability service: a bias and two yearly changes."""
    node = element(f"{T}TimeZone")
    standard = _standard_offset(zone.tz)
    changes = _changes(zone.tz, year)
    add(node, f"{T}Bias", str(-standard))
    rules = {"StandardTime": (0, None), "DaylightTime": (0, None)} if len(changes) != 2 else {
        "StandardTime" if after == standard else "DaylightTime": (standard - after, wall) for wall, after in changes
    }  # fmt: skip
    for name in ("StandardTime", "DaylightTime"):
        bias, wall = rules[name]
        part = add(node, f"{T}{name}")
        add(part, f"{T}Bias", str(bias))
        add(part, f"{T}Time", f"{wall:%H:%M:%S}" if wall is not None else "00:00:00")
        last = wall is not None and (wall + timedelta(days=7)).month != wall.month
        add(part, f"{T}DayOrder", "0" if wall is None else "5" if last else str((wall.day - 1) // 7 + 1))
        add(part, f"{T}Month", str(wall.month) if wall is not None else "0")
        add(part, f"{T}DayOfWeek", wall.strftime("%A") if wall is not None else "Sunday")
    return node
