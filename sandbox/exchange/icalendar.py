"""Calendar items as iCalendar, for MimeContent: one VCALENDAR with a VTIMEZONE (RFC 5545, as [MS-OXCICAL] maps it)."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING, Any

from . import calendar, timezones
from .errors import EwsError
from .recurrence import INDEXES, MONTHS, WEEK, Recurrence
from .store import Attendee, Body, Item, Person
from .timezones import UTC_ZONE

if TYPE_CHECKING:
    from .properties import View

_DAYS = dict(zip(WEEK, ("MO", "TU", "WE", "TH", "FR", "SA", "SU"), strict=True))
_CLASS = {"Normal": "PUBLIC", "Personal": "PRIVATE", "Private": "PRIVATE", "Confidential": "CONFIDENTIAL"}
_PARTSTAT = {"Accept": "ACCEPTED", "Decline": "DECLINED", "Tentative": "TENTATIVE"}


def write(item: Item, view: View) -> bytes:
    """A calendar item as the bytes of a .ics file."""
    zone = calendar.zone_of(item)
    lines = ["BEGIN:VCALENDAR", "METHOD:PUBLISH", "PRODID:Microsoft Exchange Server 2010", "VERSION:2.0"]
    lines += _timezone(zone) if zone.rules is not None else []
    lines += _event(item, view, zone)
    lines.append("END:VCALENDAR")
    return "".join(f"{_folded(line)}\r\n" for line in lines).encode("utf-8")


def _event(item: Item, view: View, zone: timezones.Zone) -> list[str]:
    start, end = item.get("calendar:Start").astimezone(zone.tz), item.get("calendar:End").astimezone(zone.tz)
    lines = ["BEGIN:VEVENT"]
    organizer: Person | None = item.get("calendar:Organizer")
    if organizer is not None and item.get("calendar:RequiredAttendees"):
        lines.append(f"ORGANIZER;CN={_quoted(organizer.name)}:mailto:{organizer.address}")
    for uri, role in (("calendar:RequiredAttendees", "REQ"), ("calendar:OptionalAttendees", "OPT")):
        for attendee in item.get(uri) or ():
            status = _PARTSTAT.get(attendee.response, "NEEDS-ACTION")
            lines.append(
                f"ATTENDEE;ROLE={role}-PARTICIPANT;PARTSTAT={status};RSVP=TRUE;CN={_quoted(attendee.person.name)}:"
                f"mailto:{attendee.person.address}"
            )
    body = item.get("item:Body")
    lines.append(f"DESCRIPTION;LANGUAGE=en-US:{_escaped(body.text if body else '')}")
    lines.append(f"UID:{item.get('calendar:UID')}")
    lines.append(f"SUMMARY;LANGUAGE=en-US:{_escaped(item.get('item:Subject') or '')}")
    if item.get("calendar:IsAllDayEvent"):
        lines += [f"DTSTART;VALUE=DATE:{start:%Y%m%d}", f"DTEND;VALUE=DATE:{end:%Y%m%d}"]
    else:
        lines += [f"DTSTART;TZID={zone.id}:{start:%Y%m%dT%H%M%S}", f"DTEND;TZID={zone.id}:{end:%Y%m%dT%H%M%S}"]
    rule = item.get("calendar:Recurrence") if item.master is None else None
    if rule is not None:
        lines.append(f"RRULE:{rrule(rule, item)}")
        lines += [
            f"EXDATE;TZID={zone.id}:{original.astimezone(zone.tz):%Y%m%dT%H%M%S}" for original in sorted(item.deleted)
        ]
    lines.append(f"CLASS:{_CLASS[item.get('item:Sensitivity') or 'Normal']}")
    lines.append(f"PRIORITY:{ {'Low': 9, 'High': 1}.get(item.get('item:Importance') or '', 5) }")
    lines.append(f"DTSTAMP:{item.modified.astimezone(UTC):%Y%m%dT%H%M%SZ}")
    free = item.get("calendar:LegacyFreeBusyStatus") == "Free"
    lines.append(f"TRANSP:{'TRANSPARENT' if free else 'OPAQUE'}")
    lines.append(f"STATUS:{'CANCELLED' if item.get('calendar:IsCancelled') else 'CONFIRMED'}")
    lines.append(f"SEQUENCE:{item.get('calendar:AppointmentSequenceNumber') or 0}")
    if item.get("calendar:Location"):
        lines.append(f"LOCATION;LANGUAGE=en-US:{_escaped(item.get('calendar:Location'))}")
    if item.get("item:Categories"):
        lines.append("CATEGORIES:" + ",".join(_escaped(name) for name in item.get("item:Categories")))
    lines.append(f"X-MICROSOFT-CDO-BUSYSTATUS:{(item.get('calendar:LegacyFreeBusyStatus') or 'Busy').upper()}")
    lines.append(f"X-MICROSOFT-CDO-ALLDAYEVENT:{'TRUE' if item.get('calendar:IsAllDayEvent') else 'FALSE'}")
    lines.append("END:VEVENT")
    return lines


def rrule(rule: Recurrence, item: Item) -> str:
    """An EWS recurrence as RRULE. Days 29 to 31 mean the last day of shorter months."""
    parts = [f"FREQ={next(word for word in ('YEARLY', 'MONTHLY', 'WEEKLY', 'DAILY') if word in rule.pattern.upper())}"]
    if rule.number is not None:
        parts.append(f"COUNT={rule.number}")
    if rule.until is not None:
        series = calendar.Series(item)
        parts.append(f"UNTIL={series.start_on(rule.until):%Y%m%dT%H%M%SZ}")
    if rule.interval != 1:
        parts.append(f"INTERVAL={rule.interval}")
    names = {"Day": list(_DAYS.values()), "Weekday": list(_DAYS.values())[:5], "WeekendDay": ["SA", "SU"]}
    days = [day for name in rule.days for day in (names.get(name) or [_DAYS[name]])]
    if days:
        parts.append(f"BYDAY={','.join(days)}")
    if rule.day_of_month:
        parts.append(
            f"BYMONTHDAY={rule.day_of_month}" if rule.day_of_month <= 28
            else f"BYMONTHDAY={','.join(str(day) for day in range(28, rule.day_of_month + 1))};BYSETPOS=-1"
        )  # fmt: skip
    if rule.index:
        parts.append(f"BYSETPOS={-1 if rule.index == 'Last' else INDEXES.index(rule.index) + 1}")
    if rule.month:
        parts.append(f"BYMONTH={MONTHS.index(rule.month) + 1}")
    if rule.pattern == "WeeklyRecurrence":
        parts.append(f"WKST={_DAYS[rule.first_day]}")
    return ";".join(parts)


def _timezone(zone: timezones.Zone) -> list[str]:
    lines = ["BEGIN:VTIMEZONE", f"TZID:{zone.id}"]
    for kind, wall, before, after, rule in timezones.yearly(zone):
        lines += [
            f"BEGIN:{kind}", f"DTSTART:{wall}", f"TZOFFSETFROM:{_offset(before)}", f"TZOFFSETTO:{_offset(after)}",
            *([f"RRULE:{rule}"] if rule else []), f"END:{kind}",
        ]  # fmt: skip
    return [*lines, "END:VTIMEZONE"]


def _offset(minutes: int) -> str:
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}{abs(minutes) % 60:02}"


def _escaped(text: str) -> str:
    return (
        text.replace("\\", "\\\\").replace(";", "\\;").replace(",", "\\,").replace("\r\n", "\\n").replace("\n", "\\n")
    )


def _quoted(text: str) -> str:
    return '"' + text.replace('"', "'") + '"' if re.search(r'[",;:]', text) else text


def _folded(line: str) -> str:
    raw, parts = line.encode("utf-8"), []
    while len(raw) > 74:
        cut = 74
        while raw[cut] & 0xC0 == 0x80:
            cut -= 1
        parts.append(raw[:cut])
        raw = b" " + raw[cut:]
    return b"\r\n".join([*parts, raw]).decode("utf-8")


# -- reading ----------------------------------------------------------------------------------------------------------


def read(content: bytes, view: View) -> dict[str, Any]:
    """The fields of the first event of a calendar file. Raises `EwsError` ErrorMimeContentInvalid."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise EwsError("ErrorMimeContentConversionFailed") from None
    lines = re.sub(r"\r?\n[ \t]", "", text).splitlines()
    try:
        inside = lines[lines.index("BEGIN:VEVENT") + 1 : lines.index("END:VEVENT")]
        return _fields([_line(line) for line in inside if ":" in line], view)
    except (ValueError, KeyError, IndexError):
        raise EwsError("ErrorMimeContentInvalid") from None


def _line(line: str) -> tuple[str, dict[str, str], str]:
    head, _, value = line.partition(":")
    if head.count('"') % 2:
        match = re.match(r'((?:[^":]|"[^"]*")*):(.*)', line, re.DOTALL)
        head, value = (match.group(1), match.group(2)) if match else (head, value)
    name, *options = head.split(";")
    return (
        name.upper(),
        {key.upper(): text.strip('"') for key, _, text in (option.partition("=") for option in options)},
        value,
    )


def _fields(lines: list[tuple[str, dict[str, str], str]], view: View) -> dict[str, Any]:
    values: dict[str, Any] = {}
    required: list[Attendee] = []
    rule = ""
    for name, options, value in lines:
        if name in ("DTSTART", "DTEND"):
            uri = "Start" if name == "DTSTART" else "End"
            zone = timezones.find(options.get("TZID", "")) or (UTC_ZONE if value.endswith("Z") else view.zone)
            values[f"calendar:{uri}"] = _moment(value, zone)
            values[f"calendar:{uri}TimeZone"] = zone
            if name == "DTSTART" and len(value) == 8:
                values["calendar:IsAllDayEvent"] = True
        elif name in _TEXT:
            values[_TEXT[name]] = _plain(value)
        elif name == "DESCRIPTION":
            values["item:Body"] = Body(_plain(value), "Text")
        elif name == "CLASS":
            values["item:Sensitivity"] = {"PRIVATE": "Private", "CONFIDENTIAL": "Confidential"}.get(
                value.upper(), "Normal"
            )
        elif name == "CATEGORIES":
            values["item:Categories"] = tuple(_plain(one) for one in value.split(","))
        elif name == "ATTENDEE":
            address = value.lower().removeprefix("mailto:")
            required.append(Attendee(Person(options.get("CN", address), address, kind="OneOff")))
        elif name == "TRANSP" and value.upper() == "TRANSPARENT":
            values["calendar:LegacyFreeBusyStatus"] = "Free"
        elif name == "RRULE":
            rule = value
    if required:
        values["calendar:RequiredAttendees"] = tuple(required)
    if rule:
        start = values["calendar:Start"].astimezone(values["calendar:StartTimeZone"].tz)
        values["calendar:Recurrence"] = _rule(rule, start)
    if "calendar:Start" not in values:
        raise KeyError("DTSTART")
    return values


_TEXT = {"SUMMARY": "item:Subject", "LOCATION": "calendar:Location", "UID": "calendar:UID"}


def _moment(value: str, zone: timezones.Zone) -> datetime:
    if len(value) == 8:
        return datetime.combine(date.fromisoformat(value), time(), zone.tz)
    moment = datetime.fromisoformat(value.removesuffix("Z"))
    return moment.replace(tzinfo=UTC if value.endswith("Z") else zone.tz)


def _plain(value: str) -> str:
    return re.sub(r"\\(.)", lambda match: "\n" if match.group(1) in "nN" else match.group(1), value)


def _rule(text: str, start: datetime) -> Recurrence:
    """An RRULE as an EWS recurrence; those that EWS cannot express raise `EwsError`."""
    parts = dict(part.split("=", 1) for part in text.upper().split(";") if "=" in part)
    names = {short: name for name, short in _DAYS.items()}
    frequency, by_day = parts["FREQ"], [day for day in parts.get("BYDAY", "").split(",") if day]
    index = int(parts.get("BYSETPOS", "0") or 0)
    if by_day and (match := re.fullmatch(r"([+-]?\d)(\w\w)", by_day[0])):
        index, by_day = int(match.group(1)), [match.group(2)]
    days = tuple(names[day] for day in by_day)
    common: dict[str, Any] = {"start": start.date(), "interval": int(parts.get("INTERVAL", "1"))}
    if "COUNT" in parts:
        common["number"] = int(parts["COUNT"])
    elif "UNTIL" in parts:
        until = parts["UNTIL"]
        moment = datetime.fromisoformat(until.removesuffix("Z"))
        if until.endswith("Z"):
            moment = moment.replace(tzinfo=UTC).astimezone(start.tzinfo)
        common["until"] = moment.date()
    month_day = int(parts.get("BYMONTHDAY", str(start.day)).split(",")[-1])
    relative: dict[str, Any] = {
        "days": days[:1] or (WEEK[start.weekday()],),
        "index": "Last" if index < 0 else INDEXES[max(index, 1) - 1],
    }
    if frequency == "DAILY":
        return Recurrence("DailyRecurrence", **common)
    if frequency == "WEEKLY":
        return Recurrence(
            "WeeklyRecurrence",
            days=days or (WEEK[start.weekday()],),
            first_day=names[parts.get("WKST", "MO")],
            **common,
        )
    if frequency == "MONTHLY":
        if index:
            return Recurrence("RelativeMonthlyRecurrence", **relative, **common)
        return Recurrence("AbsoluteMonthlyRecurrence", day_of_month=31 if month_day < 0 else month_day, **common)
    if frequency == "YEARLY":
        month = MONTHS[int(parts.get("BYMONTH", str(start.month))) - 1]
        common.pop("interval")
        if index:
            return Recurrence("RelativeYearlyRecurrence", month=month, **relative, **common)
        return Recurrence("AbsoluteYearlyRecurrence", month=month, day_of_month=month_day, **common)
    raise EwsError("ErrorMimeContentConversionFailed")
