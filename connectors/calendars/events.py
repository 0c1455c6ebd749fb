"""Meetings in iCalendar (RFC 5545): one object per UID in, single meetings and occurrences of a window out.

A series is one object: its rule, its exceptions and its deletions. Whatever is broken in it is broken alone. Times come
out as UTC instants with the zone's id, all-day meetings as dates with the end exclusive; floating times are in the zone
of the calendar's owner. What is not public comes out as a time and nothing else.
"""

from __future__ import annotations

import re
import threading
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from connectors.calendars.bounds import MOST, Broken, listed, refuse_endless
from connectors.calendars.encoding import text_of
from connectors.calendars.fields import PRIVATE_FIELDS, conference_link, in_order, tidy
from connectors.calendars.window import Window
from connectors.calendars.zones import is_known, present
from sidefeed.calendars.identity import SINGLE, meeting_key
from sidefeed.calendars.recurrence import RECURRENCE, SERIES, recurrence, rule_text

__all__ = ["LINK", "MANY_PEOPLE", "PRIVATE_FIELDS", "Broken", "Meeting", "listed"]

LINK = "X-SIDEFEED-LINK"
MANY_PEOPLE = 5000
"""Attendees of a meeting that is read. Of one with more nothing is told: whoever is not read may be of a domain that is
blocked."""

_READING = threading.Lock()
"""icalendar knows one set of zones for a whole process."""

_SENSITIVITY = {"PRIVATE": "private", "CONFIDENTIAL": "confidential", "PUBLIC": "normal"}
_RESPONSE = {"ACCEPTED": "accept", "DECLINED": "decline", "TENTATIVE": "tentative"}
_ROLE = {"OPT-PARTICIPANT": "optional", "NON-PARTICIPANT": "optional"}


@dataclass(frozen=True, slots=True)
class Meeting:
    """One meeting, or one occurrence: ``original`` is ``single``, an instant or a date; ``event`` holds its values."""

    original: str
    event: Any
    private: bool


def parse(content: bytes) -> list[Any]:
    """The VCALENDARs of a file. Raises Broken where there is none that is whole."""
    text = text_of(content)
    try:
        found = _from_ical(text)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise Broken(f"it is no iCalendar that can be read ({type(error).__name__})") from None
    calendars = [each for each in found if each.name == "VCALENDAR"]
    if not calendars:
        raise Broken("it holds no calendar, or ends before its calendar does (END:VCALENDAR)")
    return calendars


def _from_ical(text: Any) -> list[Any]:
    """icalendar keeps every zone that a file describes for all files that follow, by its name alone. A name such as
    ``tzone://Microsoft/Custom`` is somebody else's zone in each of them, so each file begins without any."""
    import icalendar  # with what it needs a third of a second to import, and a quiet calendar needs none of it
    from icalendar.timezone import tzp

    with _READING, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tzp.use_default()
        found = list(icalendar.Calendar.from_ical(text, multiple=True))
        late = [zone for calendar in found for zone in _described_late(calendar)]
        if late:  # what stood before its zone was read by a guess
            tzp.use_default()
            for zone in late:
                with suppress(ValueError, KeyError, IndexError, TypeError, AttributeError):
                    tzp.cache_timezone_component(zone)
            found = list(icalendar.Calendar.from_ical(text, multiple=True))
        return found


def _described_late(calendar: Any) -> list[Any]:
    """The zones of a calendar that come after its first event."""
    names = [each.name for each in calendar.subcomponents]
    first = names.index("VEVENT") if "VEVENT" in names else len(names)
    return [each for each in calendar.subcomponents[first:] if each.name == "VTIMEZONE"]


def by_uid(calendars: Iterable[Any]) -> dict[str, Any]:
    """UID -> a VCALENDAR with that meeting alone: its master, its exceptions and the zones. Events without a UID go
    under their place in the file."""
    import icalendar

    found: dict[str, Any] = {}
    number = 0
    for calendar in calendars:
        zones = [each for each in calendar.subcomponents if each.name == "VTIMEZONE"]
        for event in (each for each in calendar.subcomponents if each.name == "VEVENT"):
            number += 1
            uid = str(event.get("UID") or f"#{number}")
            if uid not in found:
                found[uid] = icalendar.Calendar()
                for name, value in calendar.items():
                    found[uid].add(name, value, encode=False)
                found[uid].subcomponents += zones
            found[uid].add_component(event)
    for own in found.values():
        _align(own)
    return found


def _align(calendar: Any) -> None:
    """An exception may name its occurrence by the day alone; what it means is the occurrence of that day."""
    import icalendar

    events = [each for each in calendar.subcomponents if each.name == "VEVENT"]
    start = next((each.get("DTSTART") for each in events if "RECURRENCE-ID" not in each), None)
    for event in events:
        told = event.get("RECURRENCE-ID")
        day, first = _moment_of(told), _moment_of(start)
        if isinstance(first, datetime) and isinstance(day, date) and not isinstance(day, datetime):
            moved = icalendar.vDDDTypes(datetime.combine(day, first.time(), first.tzinfo))
            moved.params.update({name: value for name, value in told.params.items() if name.upper() != "VALUE"})
            event["RECURRENCE-ID"] = moved


def _moment_of(prop: Any) -> Any:
    """None for no property, and for a broken one, which is told where it is read."""
    try:
        return prop.dt
    except Exception:  # icalendar raises its own where a value could not be parsed
        return None


def meetings(calendar: Any, window: Window, zone: str) -> list[Meeting]:
    """The single meeting, or the occurrences in a window, of one object. Raises Broken where it cannot be expanded."""
    events = [each for each in calendar.subcomponents if each.name == "VEVENT"]
    if not events:
        raise Broken("it holds no event")
    masters = [each for each in events if "RECURRENCE-ID" not in each]
    try:
        if len(masters) == 1 and len(events) == 1 and not is_series(masters[0]):
            when(masters[0], zone)
            return [Meeting(SINGLE, masters[0], is_private(masters[0]))]
        if len(masters) > 1:
            days = ", ".join(sorted(when(each, zone)[0][:10] for each in masters))
            raise Broken(f"{len(masters)} meetings have one UID ({days}), so which is which cannot be told; make all "
                         "but one of them anew")
        return list(_occurrences(calendar, masters, events, window, zone))
    except Broken:
        raise
    except Exception as error:  # the expansion raises whatever a bad rule leads to: it is broken, and alone
        raise Broken(f"it cannot be expanded ({type(error).__name__})") from None


def series(calendar: Any, mailbox: str, fields: Iterable[str], zone: str) -> dict[str, Any] | None:
    """Raw values of a series as one object, and how it recurs; None for what is none, or came without its master.

    Of a private one nothing but that it is private. Raises Broken.
    """
    events = [each for each in calendar.subcomponents if each.name == "VEVENT"]
    masters = [each for each in events if "RECURRENCE-ID" not in each]
    if len(masters) != 1 or not is_series(masters[0]):
        return None
    master = masters[0]
    private = is_private(master)
    values = read(Meeting(SERIES, master, private), mailbox, (*fields, "Key", "Sensitivity"), zone)
    if private:
        return {"Key": values["Key"], "Sensitivity": values["Sensitivity"], RECURRENCE: None}
    try:
        told = _recurrence(master, events, zone)
        return {**values, RECURRENCE: told} if told["rule"] or told["dates"] else None
    except Broken:
        raise
    except Exception as error:  # whatever a bad rule leads to: it is broken, and alone
        raise Broken(f"its rule cannot be read ({type(error).__name__})") from None


def _recurrence(master: Any, events: Sequence[Any], zone: str) -> dict[str, Any]:
    start, end, zone_id, all_day = when(master, zone)
    rules = [each for each in listed(master.get("RRULE")) if each.get("FREQ")]
    if len(rules) > 1 or "EXRULE" in master:
        raise Broken("it recurs by several rules, or all but one (EXRULE), which one rule does not say")
    wall = start
    if zone_id and not is_known(zone_id):  # its own calendar alone knows it, and what the clock shows there
        wall = f"{_first(master['DTSTART']).dt.replace(tzinfo=None).isoformat()}Z"
    rule = next((_rule(each, wall, zone_id, zone) for each in rules), None)
    exceptions = {}
    for event in events:
        if _ranges(event):
            raise Broken("one of its exceptions changes all later occurrences too, which one rule does not say")
        if event is not master:
            moved = when(event, zone)
            exceptions[original_of(event, zone)] = moved[:2]
    return recurrence(start, end, zone_id, all_day, rule, dates=_starts(master, "RDATE", all_day, zone),
                      exceptions=exceptions, deletions=_starts(master, "EXDATE", all_day, zone))


def _rule(rule: Any, start: str, zone_id: str | None, zone: str) -> str:
    parts = {str(name): list(values) if isinstance(values, list) else [values] for name, values in rule.items()}
    for until in parts.pop("UNTIL", ()):
        moment = until if not isinstance(until, datetime) else _utc(_aware(until, zone))
        parts["UNTIL"] = [(moment if isinstance(moment, str) else moment.isoformat()).replace("-", "").replace(":", "")]
    return rule_text(parts, start, zone_id)


def _starts(master: Any, name: str, all_day: bool, zone: str) -> list[str]:
    """The starts that an RDATE or EXDATE lists, as parts of keys."""
    told = master.get(name) or []
    starts = []
    for line in told if isinstance(told, list) else [told]:
        for each in line.dts:
            moment = each.dt[0] if isinstance(each.dt, tuple) else each.dt
            if all_day:
                starts.append((moment.date() if isinstance(moment, datetime) else moment).isoformat())
            elif isinstance(moment, datetime):
                starts.append(_utc(_aware(moment, zone)))
            else:
                first = _first(master["DTSTART"]).dt
                starts.append(_utc(_aware(datetime.combine(moment, first.time(), first.tzinfo), zone)))
    return starts


def is_private(event: Any) -> bool:
    """Whether nothing of it may be told; an occurrence is no less private than its series."""
    return _sensitivity(event) != "normal"


def is_series(event: Any) -> bool:
    return any(name in event for name in ("RRULE", "RDATE", "EXRULE"))


def _occurrences(
    calendar: Any, masters: Sequence[Any], events: Sequence[Any], window: Window, zone: str
) -> Iterator[Meeting]:
    import recurring_ical_events

    if not masters:  # invited to single occurrences: each is a meeting of its own, under its place in the series
        for event in events:
            yield Meeting(original_of(event, zone), event, is_private(event))
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        grounded = _grounded(calendar, zone)
        refuse_endless(grounded, window, zone)
        found = recurring_ical_events.of(grounded).between(window.start, window.end)
        excluded = _excluded(masters[0], window, zone)
    if len(found) > MOST:
        raise Broken(f"it takes place more than {MOST} times in the window")
    private = is_private(masters[0])
    shifts = {original_of(event, zone): _shift(event, zone) for event in events if _ranges(event)}
    for event in found:
        if (original := _original(event, shifts, zone)) not in excluded:
            yield Meeting(original, event, private or is_private(event))


def _excluded(master: Any, window: Window, zone: str) -> set[str]:
    """Original starts that a rule takes out of a series (EXRULE of RFC 2445; RFC 5545 has it no more, old calendars
    do), which the expansion knows nothing of."""
    from dateutil.rrule import rrulestr

    first, day = master["DTSTART"].dt, timedelta(days=1)
    timed = isinstance(first, datetime)
    start = _aware(first, zone) if timed else datetime.combine(first, time())
    near = [each if timed else each.replace(tzinfo=None) for each in (window.start - day, window.end + day)]
    return {_utc(each) if timed else each.date().isoformat() for rule in listed(master.get("EXRULE"))
            for each in rrulestr(rule.to_ical().decode(), dtstart=start).between(*near, inc=True)}


def _ranges(event: Any) -> bool:
    """Whether an exception stands for all later occurrences too (RFC 5545 3.2.13)."""
    told = event.get("RECURRENCE-ID")
    return told is not None and str(told.params.get("RANGE") or "").upper() == "THISANDFUTURE"


def _shift(event: Any, zone: str) -> timedelta:
    """By how much an exception moves, in the wall time that it has."""
    start, original = event["DTSTART"].dt, event["RECURRENCE-ID"].dt
    if isinstance(start, datetime) and isinstance(original, datetime):
        begins = _aware(start, zone)
        return begins.replace(tzinfo=None) - _aware(original, zone).astimezone(begins.tzinfo).replace(tzinfo=None)
    first, last = (each.date() if isinstance(each, datetime) else each for each in (original, start))
    return timedelta(days=(last - first).days)


def _original(event: Any, shifts: Mapping[str, timedelta], zone: str) -> str:
    """The original start of an expanded occurrence. One that a change of all later ones moved has the original start of
    the first of them, and is where its own lies moved by as much."""
    told = original_of(event, zone)
    if not _ranges(event):
        return told
    start = event["DTSTART"].dt
    moved = start - shifts[told]
    return _utc(_aware(moved, zone)) if isinstance(moved, datetime) else str(moved.isoformat())


def exceptions(calendar: Any, originals: Collection[str], zone: str) -> list[Meeting]:
    """What a series says of some of its occurrences by name, wherever they were moved."""
    events = [each for each in calendar.subcomponents if each.name == "VEVENT"]
    private = any(is_private(each) for each in events if "RECURRENCE-ID" not in each)
    return [Meeting(original, event, private or is_private(event)) for event in events if "RECURRENCE-ID" in event
            and (original := original_of(event, zone)) in originals]


def _grounded(calendar: Any, zone: str) -> Any:
    """Floating times expand in the zone of the calendar's owner, not in that of this machine."""
    if not any(_floats(event) for event in calendar.walk("VEVENT")):
        return calendar
    (copy,) = _from_ical(calendar.to_ical())
    rules = ZoneInfo(zone)
    for event in copy.walk("VEVENT"):
        if not _floats(event):
            continue
        for name in ("DTSTART", "DTEND", "RECURRENCE-ID"):
            if name in event and isinstance(event[name].dt, datetime) and event[name].dt.tzinfo is None:
                moved = event[name].dt.replace(tzinfo=rules)
                del event[name]
                event.add(name, moved)
    return copy


def _floats(event: Any) -> bool:
    start = event.get("DTSTART")
    return start is not None and isinstance(start.dt, datetime) and start.dt.tzinfo is None


def when(event: Any, zone: str) -> tuple[str, str, str | None, bool]:
    """Start, end (exclusive), zone id and whether it lasts whole days. Raises Broken."""
    start = event.get("DTSTART")
    if start is None or not hasattr(start, "dt"):
        raise Broken("it has no start")
    begins = start.dt
    if not isinstance(begins, datetime):
        ends = _end(event, begins, timedelta(days=1))
        ends = ends.date() if isinstance(ends, datetime) else ends
        return begins.isoformat(), max(ends, begins + timedelta(days=1)).isoformat(), None, True
    name = zone if begins.tzinfo is None else _zone_name(start, begins)
    aware = _aware(begins, zone)
    ends = _end(event, begins, timedelta(0))
    until = _aware(ends if isinstance(ends, datetime) else datetime.combine(ends, time()), zone)
    return _utc(aware), _utc(max(until, aware)), name, False


def _end(event: Any, begins: Any, default: timedelta) -> Any:
    if "DTEND" in event:
        return event["DTEND"].dt
    if "DURATION" in event and isinstance(event["DURATION"].dt, timedelta):
        return begins + event["DURATION"].dt
    return begins + default


def _zone_name(prop: Any, begins: datetime) -> str:
    key = getattr(begins.tzinfo, "key", None)
    return present(str(key or prop.params.get("TZID") or "UTC"))


def _aware(moment: datetime, zone: str) -> datetime:
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=ZoneInfo(zone))


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def original_of(event: Any, zone: str) -> str:
    """The original start of an occurrence as part of a key."""
    told = event.get("RECURRENCE-ID", event.get("DTSTART"))
    if told is None or not hasattr(told, "dt"):
        raise Broken("an occurrence has no start")
    if isinstance(told.dt, datetime):
        start = event.get("DTSTART")
        if start is not None and not isinstance(start.dt, datetime):
            return str(told.dt.date().isoformat())  # another value type than DTSTART: the local date counts
        return _utc(_aware(told.dt, zone))
    return str(told.dt.isoformat())


def read(meeting: Meeting, mailbox: str, fields: Iterable[str], zone: str) -> dict[str, Any]:
    """Raw values of one meeting; of one that is not public only ``PRIVATE_FIELDS``. Raises Broken."""
    try:
        return _read(meeting, mailbox, fields, zone)
    except Broken:
        raise
    except Exception as error:  # a property that cannot be parsed raises where it is looked at
        raise Broken(f"a property of it cannot be read ({type(error).__name__})") from None


def _read(meeting: Meeting, mailbox: str, fields: Iterable[str], zone: str) -> dict[str, Any]:
    event = meeting.event
    start, end, zone_id, all_day = when(event, zone)
    uid = str(event.get("UID") or "").strip()
    plain: dict[str, Any] = {
        "Key": meeting_key(uid, meeting.original) if uid else None, "UID": uid or None,
        "OriginalStart": meeting.original, "Start": start, "End": end, "Zone": zone_id, "IsAllDay": all_day,
        "Sensitivity": (_sensitivity(event) if _sensitivity(event) != "normal" else "private") if meeting.private
        else "normal",
        "Series": meeting.original != SINGLE, "ShowAs": _show_as(event)}
    if not meeting.private:
        plain |= _words(event, mailbox)
    return {name: plain[name] for name in fields if name in plain and (
        not meeting.private or name in PRIVATE_FIELDS)}


def _words(event: Any, mailbox: str) -> dict[str, Any]:
    attendees = _attendees(event)
    organiser = address_of(event.get("ORGANIZER"))
    mine = next((each["response"] for each in attendees if each["address"] == mailbox), "none")
    own = organiser in (None, mailbox)
    return {
        "Subject": _text(event, "SUMMARY"), "Location": _text(event, "LOCATION"), "Body": _text(event, "DESCRIPTION"),
        "Organizer": organiser, "IsOrganizer": own, "Attendees": attendees,
        "MyResponse": "organizer" if own else mine, "IsCancelled": _word(event, "STATUS") == "CANCELLED",
        "JoinUrl": _join_url(event), "Categories": _categories(event), "Marks": _marks(event)}


def _sensitivity(event: Any) -> str:
    """What is neither public nor known by name is private: silence is permission here (RFC 5545 3.8.1.3), a word that
    nobody knows is not, and of several words the most private counts. ``X-CALENDARSERVER-ACCESS`` is how Apple's
    calendar server says it (caldav-privateevents)."""
    words = [str(each).strip().upper() for name in ("CLASS", "X-CALENDARSERVER-ACCESS") for each in listed(
        event.get(name))]
    found = [_SENSITIVITY.get(word, "private") for word in words if word]
    return next((each for each in found if each != "normal"), "normal")


def _show_as(event: Any) -> str:
    told = _word(event, "X-MICROSOFT-CDO-BUSYSTATUS")
    if told in ("OOF", "TENTATIVE", "FREE", "WORKINGELSEWHERE"):
        return told.lower()
    if _word(event, "TRANSP") == "TRANSPARENT" or _word(event, "STATUS") == "CANCELLED":
        return "free"
    return "tentative" if _word(event, "STATUS") == "TENTATIVE" else "busy"


def _word(event: Any, name: str) -> str:
    return str(_first(event.get(name)) or "").strip().upper()


def _text(event: Any, name: str) -> str | None:
    told = _first(event.get(name))
    return None if told is None else tidy(str(told))


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, list) and value else value


def address_of(value: Any) -> str | None:
    """The mail address of a calendar user; None for other addresses, such as a directory path."""
    told = _first(value)
    if told is None:
        return None
    plain = str(told).strip()
    if not plain.lower().startswith("mailto:") and "@" not in plain:
        plain = str(getattr(told, "params", {}).get("EMAIL") or "")
    plain = re.sub(r"^(mailto|smtp):", "", plain.strip(), flags=re.IGNORECASE).strip().lower()
    return plain if "@" in plain and " " not in plain else None


def _attendees(event: Any) -> list[dict[str, Any]]:
    told = listed(event.get("ATTENDEE"))
    if len(told) > MANY_PEOPLE:
        raise Broken(f"it has more than {MANY_PEOPLE} attendees")
    found = []
    for each in told:
        params = getattr(each, "params", {})
        kind = str(params.get("CUTYPE") or "").upper()
        role = "resource" if kind in ("RESOURCE", "ROOM") else _ROLE.get(str(params.get("ROLE") or "").upper(),
                                                                         "required")
        found.append({
            "address": address_of(each), "name": str(params.get("CN") or "") or None, "role": role,
            "response": _RESPONSE.get(str(params.get("PARTSTAT") or "").upper(), "none")})
    return in_order(found)


def _categories(event: Any) -> list[str]:
    told = event.get("CATEGORIES")
    lines = told if isinstance(told, list) else [told] if told is not None else []
    return sorted({str(name).strip() for line in lines for name in getattr(line, "cats", [line]) if str(name).strip()})


def _marks(event: Any) -> list[str]:
    """Categories, and the names of properties that no standard has and that say something."""
    names = {str(name).upper() for name in event if str(name).upper().startswith("X-") and _text(event, name)}
    return sorted({*_categories(event), *(names - {LINK})})


def _join_url(event: Any) -> str | None:
    for name in ("CONFERENCE", "X-GOOGLE-CONFERENCE", "X-MICROSOFT-SKYPETEAMSMEETINGURL"):
        told = _text(event, name)
        if told and told.startswith("https://"):
            return told
    return conference_link(*(_text(event, name) for name in ("LOCATION", "URL", "DESCRIPTION")))


def to_date_or_instant(text: str, zone: str | None) -> date | datetime:
    """A raw time as iCalendar takes it: a date, or an instant in its zone. Raises ValueError."""
    if len(text) == 10:
        return date.fromisoformat(text)
    moment = datetime.fromisoformat(text).astimezone(UTC)
    return moment.astimezone(ZoneInfo(zone)) if zone and zone != "UTC" else moment
