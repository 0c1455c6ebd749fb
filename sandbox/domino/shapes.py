"""One entry in the two formats of the service: JSON by the definitions of calendar.yaml, and iCalendar."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import icalendar

from . import zones
from .store import Entry, Instance, address_of, as_instant, end_of, recurrence_id
from .zones import ZONES, Zone

CUSTOM = ("X-LOTUS-APPTTYPE", "X-LOTUS-NOTICETYPE", "X-LOTUS-BROADCAST", "X-LOTUS-CHARSET", "X-LOTUS-ORGANIZER")
_TEXTS = {"summary": "SUMMARY", "location": "LOCATION", "description": "DESCRIPTION"}
_WORDS = {"class": "CLASS", "transparency": "TRANSP", "status": "STATUS"}


class Unreadable(ValueError):
    """A body that is no event; the message is for the client."""


def row(instance: Instance, href: str, modified: datetime, fields: Iterable[str] | None) -> dict[str, Any]:
    """One row of the list: what the calendar view holds, which is neither attendees nor the description. Times of rows
    are UTC."""
    event = instance.event
    shown: dict[str, Any] = {"href": href, "id": instance.entry.uid}
    shown |= {name: str(event[prop]) for name, prop in _TEXTS.items() if prop in event and name != "description"}
    shown |= {"start": _utc(instance.start), "end": _utc(instance.end)}
    shown |= {name: str(event[prop]).lower() for name, prop in _WORDS.items() if prop in event}
    shown["sequence"] = int(event.get("SEQUENCE", 0))
    shown["last-modified"] = f"{modified:%Y%m%dT%H%M%SZ}"
    if instance.original is not None:
        shown["recurrenceId"] = recurrence_id(instance.original)
    shown["x-lotus-summarydataonly"] = {"data": "1"}
    shown |= _customs(event, ("X-LOTUS-APPTTYPE", "X-LOTUS-NOTICETYPE", "X-LOTUS-ORGANIZER"))
    wanted = None if fields is None else {"href", "id", *fields}
    return shown if wanted is None else {name: value for name, value in shown.items() if name in wanted}


def event_json(event: Any, href: str, modified: datetime) -> dict[str, Any]:
    """One event whole."""
    shown: dict[str, Any] = {"href": href, "id": str(event["UID"])}
    shown |= {name: str(event[prop]) for name, prop in _TEXTS.items() if prop in event}
    shown |= {"start": _local(event["DTSTART"]), "end": _of(end_of(event))}
    shown |= {name: str(event[prop]).lower() for name, prop in _WORDS.items() if prop in event}
    shown["sequence"] = int(event.get("SEQUENCE", 0))
    shown["last-modified"] = f"{modified:%Y%m%dT%H%M%SZ}"
    people = event.get("ATTENDEE") or []
    if people:
        shown["attendees"] = [_attendee(each) for each in (people if isinstance(people, list) else [people])]
    if "ORGANIZER" in event:
        organiser = event["ORGANIZER"]
        shown["organizer"] = {"displayName": str(organiser.params.get("CN", "")), "email": address_of(organiser)}
    if "RECURRENCE-ID" in event:
        shown["recurrenceId"] = recurrence_id(event["RECURRENCE-ID"].dt)
    if "RRULE" in event:
        shown["recurrenceRule"] = event["RRULE"].to_ical().decode()
    if "EXDATE" in event:
        listed = event["EXDATE"]
        shown["exceptDates"] = [
            _of(each.dt) for one in (listed if isinstance(listed, list) else [listed]) for each in one.dts
        ]
    return shown | _customs(event, CUSTOM)


def document(events: Iterable[Any], *, modified: datetime, method: str | None = None) -> bytes:
    """Events as one VCALENDAR, with the rules of the zones that they name."""
    calendar = icalendar.Calendar()
    calendar.add("PRODID", "-//Lotus Development Corporation//NONSGML Notes 9.0//EN_C")
    calendar.add("VERSION", "2.0")
    if method:
        calendar.add("METHOD", method)
    events = list(events)
    for name in sorted({zone.name for event in events if (zone := zone_of(event)) is not None}):
        calendar.add_component(zones.component(ZONES[name]))
    for event in events:
        shown = icalendar.Event()
        for name, value in event.items():
            shown[name] = value
        shown["DTSTAMP"] = icalendar.vDDDTypes(modified)
        shown["LAST-MODIFIED"] = icalendar.vDDDTypes(modified)
        calendar.add_component(shown)
    return bytes(calendar.to_ical(sorted=False))


def zone_of(event: Any) -> Zone | None:
    return ZONES.get(str(event["DTSTART"].params.get("TZID", "")))


def timezones(events: Iterable[Any]) -> list[dict[str, object]]:
    names = {zone.name for event in events if (zone := zone_of(event)) is not None}
    return [zones.as_json(ZONES[name]) for name in sorted(names)]


def from_ical(body: bytes) -> list[Any]:
    """The events of a text/calendar body, their zones under Domino's names. Raises Unreadable."""
    try:
        calendar: Any = icalendar.Calendar.from_ical(body.decode("utf-8"))
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise Unreadable(f"Error parsing iCalendar input ({type(error).__name__})") from None
    if "METHOD" in calendar:
        raise Unreadable("Provided iCalendar contains a method")
    events = [each for each in calendar.subcomponents if each.name == "VEVENT"]
    return _checked([_own_zone(each) for each in events])


def from_json(content: Any) -> list[Any]:
    """The events of a JSON body. Raises Unreadable."""
    if not isinstance(content, Mapping) or not isinstance(content.get("events"), list):
        raise Unreadable("Error parsing JSON input: no events")
    try:
        return _checked([_event(each) for each in content["events"]])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Unreadable(f"Error parsing JSON input ({error})") from None


def _checked(events: list[Any]) -> list[Any]:
    if not events:
        raise Unreadable("Missing required VEvent components")
    if any("DTSTART" not in each or not hasattr(each["DTSTART"], "dt") for each in events):
        raise Unreadable("Missing required VEvent properties")
    if len({str(each.get("UID", "")) for each in events}) > 1:
        raise Unreadable("Invalid VEvent property found: mismatched UIDs")
    if "X-LOTUS-SUMMARYDATAONLY" in events[0]:
        raise Unreadable("Summary data cannot be used to write an entry")
    return sorted(events, key=lambda each: "RECURRENCE-ID" in each)


def _own_zone(event: Any) -> Any:
    """Times in a zone that Domino has a name for are kept under it, all others in UTC."""
    for name in ("DTSTART", "DTEND", "RECURRENCE-ID"):
        if name in event and hasattr(event[name], "dt"):
            event[name] = place(event[name].dt, str(event[name].params.get("TZID", "")))
    for name in ("EXDATE", "RDATE"):
        listed = event.pop(name, None)
        for one in listed if isinstance(listed, list) else [listed] if listed is not None else []:
            event.add(name, [as_instant(each.dt) if isinstance(each.dt, datetime) else each.dt for each in one.dts])
    return event


def place(moment: Any, name: str) -> Any:
    """A time as Domino keeps it."""
    if not isinstance(moment, datetime):
        return icalendar.vDDDTypes(moment)
    zone = ZONES.get(name) or zones.of_iana(name) or zones.of_iana(getattr(moment.tzinfo, "key", None))
    if zone is None:
        return icalendar.vDDDTypes(as_instant(moment))
    made = icalendar.vDDDTypes(zones.instant(moment, zone).astimezone(zone.rules))
    made.params["TZID"] = zone.name
    return made


def _event(told: Mapping[str, Any]) -> Any:
    event = icalendar.Event()
    if told.get("id"):
        event.add("UID", str(told["id"]))
    for name, prop in _TEXTS.items():
        if told.get(name) is not None:
            event.add(prop, str(told[name]))
    for name, prop in _WORDS.items():
        if told.get(name) is not None:
            event.add(prop, str(told[name]).upper())
    event["DTSTART"] = _placed(told["start"])
    if told.get("end"):
        event["DTEND"] = _placed(told["end"])
    if told.get("sequence") is not None:
        event.add("SEQUENCE", int(told["sequence"]))
    if told.get("recurrenceRule"):
        event["RRULE"] = icalendar.vRecur.from_ical(str(told["recurrenceRule"]))
    if told.get("recurrenceId"):
        event["RECURRENCE-ID"] = icalendar.vDDDTypes(_original(str(told["recurrenceId"])))
    for person in told.get("attendees") or ():
        event.add("ATTENDEE", _address(person))
    if told.get("organizer"):
        event.add("ORGANIZER", _address(told["organizer"]))
    for name, value in told.items():
        if name.upper() in CUSTOM and isinstance(value, Mapping):
            event.add(name.upper(), str(value.get("data", "")))
    return event


def _address(person: Mapping[str, Any]) -> icalendar.vCalAddress:
    made = icalendar.vCalAddress(f"mailto:{person['email']}")
    for key, param in (("displayName", "CN"), ("role", "ROLE"), ("status", "PARTSTAT"), ("userType", "CUTYPE")):
        if person.get(key):
            text = str(person[key])
            made.params[param] = icalendar.vText(text if param == "CN" else text.upper())
    return made


def _attendee(value: Any) -> dict[str, Any]:
    """Everybody is told as not having answered, whatever they answered (calapi.h, CalReadEntry)."""
    return {
        "role": str(value.params.get("ROLE", "REQ-PARTICIPANT")).lower(),
        "status": "needs-action",
        "rsvp": str(value.params.get("RSVP", "TRUE")).upper() == "TRUE",
        "displayName": str(value.params.get("CN", "")),
        "email": address_of(value),
        **({"userType": str(value.params["CUTYPE"]).lower()} if "CUTYPE" in value.params else {}),
    }


def _customs(event: Any, names: Iterable[str]) -> dict[str, Any]:
    return {name.lower(): {"data": str(event[name])} for name in names if name in event}


def _placed(told: Mapping[str, Any]) -> Any:
    day = date.fromisoformat(str(told["date"]))
    if not told.get("time"):
        return icalendar.vDDDTypes(day)
    moment = datetime.fromisoformat(f"{day}T{told['time']}")
    if told.get("utc"):
        return icalendar.vDDDTypes(moment.replace(tzinfo=UTC))
    return place(moment, str(told.get("tzid") or ""))


def _local(prop: Any) -> dict[str, Any]:
    return _of(prop.dt)


def _of(moment: Any) -> dict[str, Any]:
    if not isinstance(moment, datetime):
        return {"date": moment.isoformat()}
    zone = zones.of_iana(getattr(moment.tzinfo, "key", None))
    if zone is None:
        return _utc(moment)
    return {"date": f"{moment:%Y-%m-%d}", "time": f"{moment:%H:%M:%S}", "tzid": zone.name}


def _original(text: str) -> date | datetime:
    if len(text) == 8:
        return datetime.strptime(text, "%Y%m%d").replace(tzinfo=UTC).date()
    return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def _utc(moment: Any) -> dict[str, Any]:
    if not isinstance(moment, datetime):
        return {"date": moment.isoformat()}
    at = as_instant(moment)
    return {"date": f"{at:%Y-%m-%d}", "time": f"{at:%H:%M:%S}", "utc": True}


def instance_event(instance: Instance) -> Any:
    """One instance as an event of its own: its exception, or the series as it is on that day."""
    if instance.original is None or "RECURRENCE-ID" in instance.event:
        return instance.event
    event = icalendar.Event()
    for name, value in instance.event.items():
        if name not in ("RRULE", "RDATE", "EXDATE"):
            event[name] = value
    zone = str(instance.event["DTSTART"].params.get("TZID", ""))
    event["RECURRENCE-ID"] = place(instance.original, zone)
    event["DTSTART"] = place(instance.start, zone)
    event["DTEND"] = place(instance.end, zone)
    return event


def everything(entry: Entry) -> list[Instance]:
    """All instances of an entry, as far as a client may ask: ten years and a thousand at most."""
    from itertools import islice

    from .store import instances

    first = as_instant(entry.master["DTSTART"].dt)
    return list(islice(instances(entry, first - timedelta(days=3660), first + timedelta(days=3660)), 1000))
