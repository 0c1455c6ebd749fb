"""Events and contacts of Graph to raw values and back.

The raw fields are those of the Exchange connector, by the same names and in the same spellings; so is the named
property that holds the idempotency key. Text that is blank is None, lists are sorted, times are UTC (``…Z``) or, for
all-day meetings, dates with the end exclusive, zones are IANA names where CLDR has one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from connectors.calendars.fields import PRIVATE_FIELDS, conference_link, in_order, tidy
from connectors.calendars.identity import SINGLE
from connectors.exchange import values as exchange
from connectors.exchange.times import Zone, instant, is_date, local_date, utc_text, zone_name
from connectors.exchange.values import When
from sidefeed.connector import FieldSchema, Invalid

Json = Mapping[str, Any]

LINK = f"String {{{exchange.LINK_SET}}} Name {exchange.LINK_NAME}"
"""The property of the key, as Graph writes what EWS calls PropertySetId and PropertyName."""
SENSITIVITY = "Integer 0x36"
"""PidTagSensitivity, by which Graph tells whether a contact is private."""
_STRUCTURE = (
    "@odata.etag", "@removed", "id", "type", "seriesMasterId", "iCalUId", "start", "end", "isAllDay", "showAs",
    "sensitivity", "originalStart", "originalStartTimeZone", "createdDateTime", "lastModifiedDateTime",
    "cancelledOccurrences", "exceptionOccurrences", "attendees",
)  # fmt: skip
_RESPONSES = {
    "none": "none", "notresponded": "none", "organizer": "organizer", "tentativelyaccepted": "tentative",
    "accepted": "accept", "declined": "decline",
}  # fmt: skip
_SHOW_AS = {"unknown": "nodata"}
_SHOWN = {"nodata": "unknown", "workingelsewhere": "workingElsewhere"}


# Reading meetings


def discreet(event: Json) -> dict[str, Any]:
    """What may be known of an event: of one that is not public nothing but that somebody is busy, and when.

    Change tracking takes no $select, so a private subject arrives; it goes no further than here.
    """
    if event.get("sensitivity", "normal") == "normal":
        return dict(event)
    return {name: event[name] for name in _STRUCTURE if name in event and name != "attendees"}


def when(event: Json, zone: Zone | None = None) -> When:
    """When an event takes place. ``zone`` stands in where a bare row leaves it out. Raises ValueError."""
    told = event.get("originalStartTimeZone")
    zone = Zone(str(told)) if told else zone
    start, end = event.get("start"), event.get("end")
    if not isinstance(start, Mapping) or not isinstance(end, Mapping):
        raise ValueError("the event has no start or end")
    if event.get("isAllDay"):
        first, last = str(start["dateTime"])[:10], str(end["dateTime"])[:10]
        return When(first, max(last, first), zone, True)
    return When(utc_text(_moment(start)), utc_text(_moment(end)), zone, False)


def _moment(told: Json) -> datetime:
    """A dateTimeTimeZone. The zone is UTC, because every request prefers it; another one is honoured all the same."""
    text, zone = str(told["dateTime"]).partition(".")[0], str(told.get("timeZone") or "UTC")
    return instant(text, None if zone == "UTC" else Zone(zone))


def original_start(event: Json, time: When) -> str:
    """The original start: ``single``, an instant, or for an all-day series a date. Raises ValueError.

    A plain occurrence was never moved, so its start is the original one; an exception says its own.
    """
    kind = event.get("type", "singleInstance")
    if kind == "occurrence":
        return time.start
    told = event.get("originalStart")
    if kind == "exception" or (told and event.get("seriesMasterId")):
        if not told:
            raise ValueError("the exception does not tell its original start")
        moment = instant(str(told).partition(".")[0].removesuffix("Z") + "Z")
        return local_date(moment, time.zone).isoformat() if time.all_day else utc_text(moment)
    return SINGLE


def occurrence(master: Json, bare: Json) -> dict[str, Any]:
    """A plain occurrence: everything its master says, with its own ids, type and times."""
    own = {name: bare[name] for name in ("@odata.etag", "id", "type", "seriesMasterId", "start", "end") if name in bare}
    return {**master, **own}


def read_meeting(
    event: Json, time: When, original: str, uid: str, mailbox: str, fields: Iterable[str]
) -> dict[str, Any]:
    """Raw values of one meeting; of one that is not public only ``PRIVATE_FIELDS``, whatever the event holds."""
    sensitivity = str(event.get("sensitivity") or "private")
    own = exchange.structure(uid, time, original, sensitivity) | {
        "UID": uid or None, "IsOrganizer": bool(event.get("isOrganizer")) or _organizer(event) == mailbox}
    values: dict[str, Any] = {}
    for name in fields:
        if name not in exchange.CALENDAR or (sensitivity != "normal" and name not in PRIVATE_FIELDS):
            continue
        reader = _READERS.get(name)
        values[name] = reader(event) if reader else own[name]
    return values


def _address(who: Any) -> str | None:
    """The SMTP address of a recipient; None for a directory name or none at all."""
    inner = who.get("emailAddress") if isinstance(who, Mapping) else None
    told = str((inner or {}).get("address") or "").strip().lower()
    for prefix in ("smtp:", "mailto:"):
        told = told.removeprefix(prefix)
    return told if "@" in told and not told.startswith("/o=") else None


def _name(who: Any) -> str | None:
    inner = who.get("emailAddress") if isinstance(who, Mapping) else None
    return tidy((inner or {}).get("name"))


def _attendees(event: Json) -> list[dict[str, Any]]:
    found = [
        {
            "address": _address(one),
            "name": _name(one),
            "role": str(one.get("type") or "required"),
            "response": _response(one.get("status")),
        }
        for one in event.get("attendees") or ()
    ]
    return in_order(found)


def _response(status: Any) -> str:
    told = str(status.get("response") or "") if isinstance(status, Mapping) else ""
    return _RESPONSES.get(told.lower(), "none")


def _organizer(event: Json) -> str | None:
    return _address(event.get("organizer"))


def _location(event: Json) -> str | None:
    return tidy((event.get("location") or {}).get("displayName"))


def _body(event: Json) -> str | None:
    return tidy((event.get("body") or {}).get("content"))


def _join_url(event: Json) -> str | None:
    """The join link: Graph's own, else one of a known service in the place or, if it was read, the body."""
    told = tidy((event.get("onlineMeeting") or {}).get("joinUrl")) or tidy(event.get("onlineMeetingUrl"))
    return told or conference_link(_location(event), _body(event))


def _show_as(event: Json) -> str:
    told = str(event.get("showAs") or "busy").lower()
    return _SHOW_AS.get(told, told)


_READERS: dict[str, Callable[[Json], Any]] = {
    "Subject": lambda event: tidy(event.get("subject")),
    "Location": _location,
    "Body": _body,
    "Organizer": _organizer,
    "Attendees": _attendees,
    "MyResponse": lambda event: _response(event.get("responseStatus")),
    "IsCancelled": lambda event: bool(event.get("isCancelled")),
    "ShowAs": _show_as,
    "JoinUrl": _join_url,
    "Categories": lambda event: sorted(str(each) for each in event.get("categories") or ()),
    "Marks": lambda event: sorted(str(each) for each in event.get("categories") or ()),
}

CALENDAR: dict[str, FieldSchema] = {
    name: replace(known, updateable=False) if name == "Body" else known
    for name, known in exchange.schemas(exchange.CALENDAR).items()
} | {"OnlineMeeting": FieldSchema("OnlineMeeting", "boolean", "Teams meeting", updateable=False)}
"""The body is never written back: the details of a Teams meeting stand in it, and rewriting it disables the meeting."""
CONTACT = exchange.schemas(exchange.CONTACT)

# Writing meetings


def new_event(values: Mapping[str, Any], key: str | None, zone: str, *, invites: bool = False) -> dict[str, Any]:
    """The body of a create. Raises Invalid. Has attendees, whom Graph mails, only where it ``invites``."""
    people: list[Mapping[str, Any]] = []
    if invites:  # the mailbox is the organiser, whatever the values say
        people = list(values.get("Attendees") or ())
        values = {name: value for name, value in values.items() if name not in ("Attendees", "Organizer")}
    for name in ("Start", "End"):
        if not values.get(name):
            raise Invalid(f"A meeting needs a {name.lower()}.", field=name, rule="required")
    made = changes({name: value for name, value in values.items() if value is not None}, zone, creating=True)
    if people:
        made["attendees"] = [_attendee(each) for each in people]
    if key is not None:
        made |= {"transactionId": key, **linked(key)}
    return made


def _attendee(person: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": person.get("role") or "required", "emailAddress": {
        "address": person["address"], "name": person.get("name") or person["address"]}}


def linked(key: str) -> dict[str, Any]:
    """The property that holds the key."""
    return {"singleValueExtendedProperties": [{"id": LINK, "value": key}]}


def changes(values: Mapping[str, Any], zone: str, *, creating: bool = False) -> dict[str, Any]:
    """The members that a write sets, and nothing else. ``zone`` is where times are meant. Raises Invalid."""
    made: dict[str, Any] = {}
    zone = str(values.get("Zone") or zone)
    for name, value in values.items():
        match name:
            case "Subject":
                made["subject"] = value or ""
            case "Location":
                made["location"] = {"displayName": value or ""}
            case "Body" if creating:
                made["body"] = {"contentType": "text", "content": value or ""}
            case "Sensitivity" | "ShowAs":
                made[name[0].lower() + name[1:]] = _option(name, value)
            case "Start" | "End":
                made[name.lower()] = _wall(name, value, zone)
            case "IsAllDay":
                made["isAllDay"] = bool(value)
            case "OnlineMeeting" if creating:
                made |= {"isOnlineMeeting": bool(value), "onlineMeetingProvider": "teamsForBusiness"}
            case "Zone":
                pass
            case _:
                raise Invalid(
                    f"{name} is not written to Microsoft 365; map it with direction: read.", field=name,
                    rule="read-only", owner="ops",
                )  # fmt: skip
    return made


def _option(name: str, value: Any) -> str:
    options = CALENDAR[name].options
    if value not in options:
        raise Invalid(f"{name} is {value!r}; Exchange knows {', '.join(options)}.", field=name, rule="choice")
    return _SHOWN.get(str(value), str(value))


def _wall(name: str, value: Any, zone: str) -> dict[str, str]:
    """A dateTimeTimeZone: the wall clock of the zone that the meeting is meant in; a date is its midnight."""
    if value is None:
        raise Invalid(f"A meeting needs a {name.lower()}.", field=name, rule="required")
    try:
        rules = ZoneInfo(zone_name(zone))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Invalid(f"Microsoft 365 has no time zone {zone!r}.", field="Zone", rule="zone") from None
    if is_date(str(value)):
        return {"dateTime": f"{value}T00:00:00", "timeZone": zone}
    try:
        moment = instant(str(value))
    except ValueError as error:
        raise Invalid(f"{name} is {value!r}: {error}.", field=name, rule="time") from None
    return {"dateTime": moment.astimezone(rules).strftime("%Y-%m-%dT%H:%M:%S"), "timeZone": zone}


def known_zone(name: str | None) -> str | None:
    """The zone of an event, if it can be written again: ``tzone://Microsoft/Custom`` cannot."""
    if not name or "//" in name:
        return None
    found = zone_name(name)
    try:
        ZoneInfo(found)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None
    return found


# Contacts

_CONTACT_TEXTS = {
    "DisplayName": "displayName", "GivenName": "givenName", "Surname": "surname", "CompanyName": "companyName",
    "JobTitle": "jobTitle", "MobilePhone": "mobilePhone",
}  # fmt: skip
_EMAILS = ("EmailAddress1", "EmailAddress2", "EmailAddress3")
CONTACT_SELECT = (
    "id,lastModifiedDateTime,categories,displayName,givenName,surname,companyName,jobTitle,mobilePhone,businessPhones,"
    "emailAddresses,parentFolderId"
)


def contact_is_public(contact: Json) -> bool:
    """Whether a contact is not private; one that says nothing of it is as Outlook makes them: not private."""
    told = {one["id"].lower(): one["value"] for one in contact.get("singleValueExtendedProperties") or ()}
    return str(told.get(SENSITIVITY.lower(), "0")) == "0"


def read_contact(contact: Json, fields: Iterable[str]) -> dict[str, Any]:
    """Raw values of one contact."""
    emails = [_mail(one) for one in contact.get("emailAddresses") or ()]
    phones = list(contact.get("businessPhones") or ())
    values: dict[str, Any] = {}
    for name in fields:
        if name in _CONTACT_TEXTS:
            values[name] = tidy(contact.get(_CONTACT_TEXTS[name]))
        elif name in _EMAILS:
            rank = _EMAILS.index(name)
            values[name] = emails[rank] if rank < len(emails) else None
        elif name == "BusinessPhone":
            values[name] = tidy(phones[0]) if phones else None
        elif name == "Categories":
            values[name] = sorted(contact.get("categories") or ())
    return values


def _mail(one: Any) -> str | None:
    told = tidy(one.get("address")) if isinstance(one, Mapping) else None
    return None if told is None or told.lower().startswith("/o=") else told


def contact_body(values: Mapping[str, Any], present: Json) -> dict[str, Any]:
    """The members that a write sets. Lists are sent whole, so what ``present`` holds beside them is kept."""
    made: dict[str, Any] = {}
    emails: list[Any] = list(present.get("emailAddresses") or ())
    for name, value in values.items():
        if name in _CONTACT_TEXTS:
            made[_CONTACT_TEXTS[name]] = value
        elif name == "Categories":
            made["categories"] = list(value or ())
        elif name == "BusinessPhone":
            others = list(present.get("businessPhones") or ())[1:]
            made["businessPhones"] = [*([value] if value else ()), *others]
        elif name not in _EMAILS:
            raise Invalid(
                f"{name} is not written to Microsoft 365; map it with direction: read.", field=name, rule="read-only",
                owner="ops",
            )  # fmt: skip
    written = [name for name in _EMAILS if name in values]
    if written:
        slots = [*emails, *[None] * (len(_EMAILS) - len(emails))]
        for name in written:
            slots[_EMAILS.index(name)] = {"address": values[name]} if values[name] else None
        made["emailAddresses"] = [_plain_mail(one) for one in slots if one is not None]
    return made


def _plain_mail(one: Any) -> dict[str, Any]:
    return {name: one[name] for name in ("name", "address") if one.get(name)}


def completed_contact(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values with a display name, by which Outlook lists a contact."""
    made = {name: value for name, value in values.items() if value not in (None, [])}
    if not made.get("DisplayName"):
        name = " ".join(part for part in (made.get("GivenName"), made.get("Surname")) if part)
        made["DisplayName"] = name or made.get("CompanyName") or made.get("EmailAddress1")
    return {name: value for name, value in made.items() if value is not None}


def normal_form(values: Mapping[str, Any]) -> dict[str, Any]:
    """What will be read after a write of these values."""
    made = dict(values)
    if made.get("Zone"):
        made["Zone"] = zone_name(str(made["Zone"]))
    return made


def modified(json: Json) -> datetime | None:
    """lastModifiedDateTime."""
    told = json.get("lastModifiedDateTime")
    return datetime.fromisoformat(str(told)).astimezone(UTC) if told else None
