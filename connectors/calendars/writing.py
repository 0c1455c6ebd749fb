"""Raw values into an iCalendar object or a vCard: what is there is edited, never made anew.

Properties nobody here knows, alarms and zones belong to the user and stay. New objects carry our key in
``X-SIDEFEED-LINK`` and no attendees unless people are invited: a server with scheduling mails all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from sidefeed.connector import Invalid

from .events import LINK, is_series, original_of, to_date_or_instant
from .fields import MEETING

TIMES = ("Start", "End", "Zone", "IsAllDay")
_TEXTS = {"Subject": "SUMMARY", "Location": "LOCATION", "Body": "DESCRIPTION", "JoinUrl": "URL"}
_CLASSES = {"normal": None, "private": "PRIVATE", "personal": "PRIVATE", "confidential": "CONFIDENTIAL"}
_SHOW_AS = {"free": "TRANSPARENT", "busy": "OPAQUE", "tentative": "OPAQUE", "oof": "OPAQUE"}
WRITTEN = (*_TEXTS, *TIMES, "Sensitivity", "ShowAs")
ON_CREATE = ("Attendees", "Organizer")
FIELDS = {name: replace(each, createable=name in (*WRITTEN, *ON_CREATE), updateable=name in WRITTEN)
          for name, each in MEETING.items()}
"""The raw fields of meetings in iCalendar."""


def new_event(values: Mapping[str, Any], uid: str, key: str | None, now: datetime) -> bytes:
    """A calendar object with one event. Raises Invalid."""
    import icalendar

    event = icalendar.Event()
    event.add("UID", uid)
    event.add("DTSTAMP", now.astimezone(UTC))
    if not values.get("Start"):
        raise Invalid("A meeting needs a start.", field="Start", rule="required")
    edit(event, values)
    for person in values.get("Attendees") or ():
        address = icalendar.vCalAddress(f"mailto:{person['address']}")
        address.params["CN"] = icalendar.vText(person.get("name") or person["address"])
        address.params["PARTSTAT"], address.params["RSVP"] = icalendar.vText("NEEDS-ACTION"), icalendar.vText("TRUE")
        event.add("ATTENDEE", address)
    if values.get("Attendees") and values.get("Organizer"):
        event.add("ORGANIZER", f"mailto:{values['Organizer']}")
    if key:
        event.add(LINK, key)
    return wrapped([event])


def wrapped(events: Iterable[Any]) -> bytes:
    """Events as one calendar file."""
    import icalendar

    calendar = icalendar.Calendar()
    calendar.add("VERSION", "2.0")
    calendar.add("PRODID", "-//Sidefeed//EN")
    for event in events:
        calendar.add_component(event)
    calendar.add_missing_timezones()
    return bytes(calendar.to_ical())


def edit(event: Any, values: Mapping[str, Any]) -> None:
    """Set what is named, clear what is None, leave the rest. Raises Invalid for what is not written."""
    for name, value in values.items():
        if name in _TEXTS:
            _put(event, _TEXTS[name], value)
        elif name == "Sensitivity":
            _put(event, "CLASS", _CLASSES.get(str(value)))
        elif name == "ShowAs":
            _put(event, "TRANSP", _SHOW_AS.get(str(value)))
        elif name not in TIMES and name not in ON_CREATE:
            raise Invalid(f"{name} is not written to a calendar; map it with direction: read.", field=name,
                          rule="read-only", owner="ops")
    if values.keys() & set(TIMES):
        _edit_times(event, values)


def _edit_times(event: Any, values: Mapping[str, Any]) -> None:
    start = event.get("DTSTART")
    zone = values.get("Zone") or (start.params.get("TZID") if start is not None else None)
    for name, prop in (("Start", "DTSTART"), ("End", "DTEND")):
        if name not in values:
            continue
        if values[name] is None:
            raise Invalid(f"A meeting needs a {name.lower()}.", field=name, rule="required")
        try:
            _put(event, prop, to_date_or_instant(str(values[name]), zone))
        except (ValueError, KeyError):
            raise Invalid(f"{name} or its zone {zone!r} is none that a calendar can hold.", field=name,
                          rule="time") from None
        if prop == "DTEND":
            event.pop("DURATION", None)


def _put(event: Any, name: str, value: str | date | None) -> None:
    event.pop(name, None)
    if value is not None:
        event.add(name, value)


def target(calendar: Any, original: str | None, zone: str) -> Any:
    """The event that an id means inside an object; of an occurrence that is none yet an exception, a new one. None
    where the series has no such occurrence."""
    events = [each for each in calendar.subcomponents if each.name == "VEVENT"]
    master = next((each for each in events if "RECURRENCE-ID" not in each), None)
    if original is None:
        return master
    for event in events:
        if "RECURRENCE-ID" in event and original_of(event, zone) == original:
            return event
    if master is None or not is_series(master):
        return None
    return _exception(calendar, master, original, zone)


def _exception(calendar: Any, master: Any, original: str, zone: str) -> Any:
    import icalendar

    event = icalendar.Event()
    for name, value in master.items():
        if name not in ("RRULE", "RDATE", "EXDATE", "EXRULE", "DTSTART", "DTEND"):
            event.add(name, value, encode=False)
    moment = _as_master(master, original, zone)
    event.add("RECURRENCE-ID", moment)
    event.add("DTSTART", moment)
    if "DTEND" in master:
        event.add("DTEND", moment + (master["DTEND"].dt - master["DTSTART"].dt))
    calendar.add_component(event)
    return event


def exclude(calendar: Any, original: str, zone: str) -> None:
    """Delete one occurrence: it joins the deletions of the series, and its exception goes."""
    for event in [each for each in calendar.subcomponents if each.name == "VEVENT"]:
        if "RECURRENCE-ID" in event and original_of(event, zone) == original:
            calendar.subcomponents.remove(event)
        elif "RECURRENCE-ID" not in event:
            event.add("EXDATE", [_as_master(event, original, zone)])


def _as_master(master: Any, original: str, zone: str) -> Any:
    """An original start in the value type and zone of the series."""
    start = master["DTSTART"].dt
    if not isinstance(start, datetime):
        return date.fromisoformat(original[:10])
    moment = datetime.fromisoformat(original)
    if start.tzinfo is None:
        return moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    return moment.astimezone(start.tzinfo)
