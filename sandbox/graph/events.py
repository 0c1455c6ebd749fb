"""Events: from an item of the store to JSON and back.

Source: resource type event and its subset of the published metadata. A bare occurrence, as delta tells it, carries its
ids, its type and its times.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from sandbox.exchange import calendar, extended
from sandbox.exchange.properties import attendees_of, is_organizer
from sandbox.exchange.recurrence import Recurrence
from sandbox.exchange.store import Attendee, Body, Item, PropertyKey, World
from sandbox.exchange.timezones import CUSTOM_ID, Zone

from . import ids, recurrence
from .errors import GraphError, bad_body, bad_value
from .prefer import Prefer
from .values import (
    NEVER,
    RESPONSES,
    address,
    attendee,
    body,
    choice,
    day,
    flag,
    instant,
    plain,
    read_body,
    read_person,
    read_properties,
    read_wall,
    text,
    texts,
    wall,
)

TRANSACTION = "graph:TransactionId"
"""Where an item keeps its transactionId, which EWS does not know."""
MAX_ATTENDEES = 500
TYPES = {
    "Single": "singleInstance", "Occurrence": "occurrence", "Exception": "exception", "RecurringMaster": "seriesMaster",
}  # fmt: skip
SHOW_AS = {
    "free": "Free", "tentative": "Tentative", "busy": "Busy", "oof": "OOF", "workingelsewhere": "WorkingElsewhere",
    "unknown": "NoData",
}  # fmt: skip
_SHOWN = {"Free": "free", "Tentative": "tentative", "Busy": "busy", "OOF": "oof",
          "WorkingElsewhere": "workingElsewhere", "NoData": "unknown"}  # fmt: skip
SENSITIVITY = {each.lower(): each for each in ("Normal", "Personal", "Private", "Confidential")}
IMPORTANCE = {each.lower(): each for each in ("Low", "Normal", "High")}
_ROLES = (("calendar:RequiredAttendees", "required"), ("calendar:OptionalAttendees", "optional"),
          ("calendar:Resources", "resource"))  # fmt: skip
READ_ONLY = frozenset(
    "id changeKey createdDateTime lastModifiedDateTime iCalUId originalStart originalStartTimeZone originalEndTimeZone "
    "type seriesMasterId isOrganizer isCancelled isDraft responseStatus webLink bodyPreview hasAttachments organizer "
    "onlineMeeting onlineMeetingUrl cancelledOccurrences exceptionOccurrences instances @odata.etag".split()
)
"""Members that a request may repeat and that are not taken over; Graph ignores most of them without a word."""


def zone_text(zone: Zone) -> str:
    """A zone as originalStartTimeZone tells it."""
    return zone.id or CUSTOM_ID


def bare(world: World, item: Item, prefer: Prefer) -> dict[str, Any]:
    """An occurrence as a delta row: ids, type and times."""
    start, end = times(item, prefer)
    return {
        "@odata.type": "#microsoft.graph.event",
        "@odata.etag": etag(world, item),
        "id": ids.of_item(world, item, immutable=prefer.immutable),
        "seriesMasterId": ids.of_master(world, item, immutable=prefer.immutable),
        "type": "occurrence",
        "start": start,
        "end": end,
    }


def times(item: Item, prefer: Prefer) -> tuple[dict[str, str], dict[str, str]]:
    """Start and end of an answer."""
    start, end = item.get("calendar:Start"), item.get("calendar:End")
    if item.get("calendar:IsAllDayEvent"):
        zone = calendar.zone_of(item)
        return day(start, zone, prefer), day(end, zone, prefer)
    return wall(start, prefer), wall(end, prefer)


def etag(world: World, item: Item) -> str:
    """The ETag of an item; an occurrence has its master's, since the two are written together."""
    return f'W/"{world.item_key(item)}"'


def ical_uid(item: Item) -> str:
    """The UID; that of an occurrence has the instance date inside, so that each is another."""
    uid = str(item.get("calendar:UID") or "")
    if item.original is None or not uid:
        return uid
    found = extended.well_known(item, _GLOBAL_OBJECT_ID)
    return base64.b64decode(found).hex().upper() if found else uid


_GLOBAL_OBJECT_ID = PropertyKey(set=extended.PROPERTY_SETS["Meeting"], id=3)


def render(world: World, item: Item, prefer: Prefer, view: Any) -> dict[str, Any]:
    """The whole of an event, as a read by id and a full delta row tell it."""
    start, end = times(item, prefer)
    kind = TYPES[calendar.item_type(item)]
    zone = calendar.zone_of(item)
    rule: Recurrence | None = item.get("calendar:Recurrence") if item.is_master else None
    organises = is_organizer(item, view)
    box = view.mailbox(item)
    answer = item.get("calendar:MyResponseType") or ("Organizer" if organises else "NoResponseReceived")
    replied = item.get("calendar:AppointmentReplyTime")
    url = item.get("calendar:JoinOnlineMeetingUrl")
    online = bool(item.get("calendar:IsOnlineMeeting"))
    identifier = ids.of_item(world, item, immutable=prefer.immutable)
    place = item.get("calendar:Location") or ""
    made: dict[str, Any] = {
        "@odata.etag": etag(world, item),
        "id": identifier,
        "createdDateTime": instant(item.created),
        "lastModifiedDateTime": instant(item.modified),
        "changeKey": world.item_key(item),
        "categories": list(item.get("item:Categories") or ()),
        "transactionId": item.get(TRANSACTION),
        "originalStartTimeZone": zone_text(zone),
        "originalEndTimeZone": zone_text(item.get("calendar:EndTimeZone") or zone),
        "iCalUId": ical_uid(item),
        "reminderMinutesBeforeStart": item.get("item:ReminderMinutesBeforeStart") or 0,
        "isReminderOn": bool(item.get("item:ReminderIsSet")),
        "hasAttachments": bool(item.attachments),
        "subject": item.get("item:Subject") or "",
        "bodyPreview": plain(item.get("item:Body"))[:255],
        "importance": (item.get("item:Importance") or "Normal").lower(),
        "sensitivity": (item.get("item:Sensitivity") or "Normal").lower(),
        "isAllDay": bool(item.get("calendar:IsAllDayEvent")),
        "isCancelled": bool(item.get("calendar:IsCancelled")),
        "isOrganizer": organises,
        "responseRequested": item.get("calendar:IsResponseRequested") is not False,
        "seriesMasterId": None,
        "showAs": _SHOWN.get(item.get("calendar:LegacyFreeBusyStatus") or "Busy", "unknown"),
        "type": kind,
        "webLink": f"https://outlook.office365.com/owa/?itemid={identifier}&exvsurl=1&path=/calendar/item",
        "onlineMeetingUrl": None,
        "isOnlineMeeting": online,
        "onlineMeetingProvider": "teamsForBusiness" if online else "unknown",
        "allowNewTimeProposals": item.get("calendar:AllowNewTimeProposal") is not False,
        "isDraft": False,
        "hideAttendees": False,
        "recurrence": recurrence.write(rule, zone_text(zone)) if rule is not None else None,
        "onlineMeeting": {"joinUrl": url} if url else None,
        "responseStatus": {"response": RESPONSES.get(answer, "none"), "time": instant(replied) if replied else NEVER},
        "body": body(item.get("item:Body"), prefer),
        "start": start,
        "end": end,
        "location": {"displayName": place, "locationType": "default", "uniqueId": place, "uniqueIdType": "private"},
        "locations": [{"displayName": place, "locationType": "default"}] if place else [],
        "attendees": [attendee(one, role) for uri, role in _ROLES for one in item.get(uri) or ()],
        "organizer": {"emailAddress": address(item.get("calendar:Organizer") or box.person)},
    }
    if item.master is not None and item.original is not None:
        made["seriesMasterId"] = ids.of_master(world, item, immutable=prefer.immutable)
        made["originalStart"] = instant(item.original)
    if item.is_master:
        made["cancelledOccurrences"] = [
            f"OID.{identifier}.{original.astimezone(zone.tz):%Y-%m-%d}" for original in sorted(item.deleted)
        ]
    return made


# -- requests ---------------------------------------------------------------------------------------------------------

Values = dict[str, Any]


def read(world: World, given: Any, *, creating: bool, known: Item | None = None) -> tuple[Values, dict[Any, Any]]:
    """The members of a request as values of the store, and extended properties. Raises `GraphError`.

    A member that an event does not have is refused; one that only the service writes is left out.
    """
    if not isinstance(given, dict):
        raise bad_body("The body of the request is not an event.")
    values: Values = {}
    properties: dict[Any, Any] = {}
    for name, value in given.items():
        if name in READ_ONLY or name.startswith("@odata."):
            continue
        if name == "singleValueExtendedProperties":
            properties = read_properties(value)
        elif name == "transactionId":
            if not creating and value != (known.get(TRANSACTION) if known else None):
                raise bad_value("transactionId can only be set when an event is created.")
            values[TRANSACTION] = text(value, name)
        elif name == "attendees":
            values |= _attendees(world, value)
        elif name in _READERS:
            values |= _READERS[name](value, name)
        else:
            raise bad_body(f"The property '{name}' does not exist on type 'microsoft.graph.event'.")
    _all_day(given, values, known)
    _online(values, known, properties)
    return values, properties


def _all_day(given: Mapping[str, Any], values: Values, known: Item | None) -> None:
    """All-day events begin and end at midnight of their own zone."""
    whole = given.get("isAllDay", bool(known.get("calendar:IsAllDayEvent")) if known is not None else False)
    if not whole:
        return
    for uri in ("calendar:Start", "calendar:End"):
        moment = values.get(uri)
        if moment is not None and (moment.hour, moment.minute, moment.second) != (0, 0, 0):
            raise bad_value("The start and end of an all-day event must be midnight.")
    start, end = values.get("calendar:Start"), values.get("calendar:End")
    if start is not None and end is not None and end <= start:
        raise bad_value("An all-day event must last a day at least.", "ErrorInvalidDuration")


def _online(values: Values, known: Item | None, properties: Mapping[Any, Any]) -> None:
    """A Teams meeting has a join link, told also inside the body; a body without it disables the meeting."""
    present = known.get("calendar:JoinOnlineMeetingUrl") if known is not None else None
    if values.get("calendar:IsOnlineMeeting") and not present:
        seed = hashlib.sha256(repr(sorted(map(str, values.items()))).encode()).hexdigest()
        url = f"https://teams.microsoft.com/l/meetup-join/19%3ameeting_{seed[:32]}%40thread.v2/0"
        values["calendar:JoinOnlineMeetingUrl"] = url
        old = values.get("item:Body") or (known.get("item:Body") if known is not None else None)
        values["item:Body"] = extend_body(old, url)
    elif present and "item:Body" in values and present not in (values["item:Body"].text if values["item:Body"] else ""):
        values["calendar:JoinOnlineMeetingUrl"] = None
        values["calendar:IsOnlineMeeting"] = False


def extend_body(old: Any, url: str) -> Any:
    """A body with the meeting's details at its end."""
    if old is not None and old.kind == "HTML":
        return Body(f'{old.text}<div><a href="{url}">Join the meeting now</a></div>', "HTML")
    return Body(f"{old.text if old else ''}\nJoin the meeting now: {url}", "Text")


def _attendees(world: World, given: Any) -> Values:
    if not isinstance(given, list):
        raise bad_body("Cannot read the value of property 'attendees'.")
    if len(given) > MAX_ATTENDEES:
        raise GraphError(400, "ErrorTooManyRecipients", f"An event has at most {MAX_ATTENDEES} attendees.")
    made: dict[str, list[Attendee]] = {uri: [] for uri, _ in _ROLES}
    uris = {role: uri for uri, role in _ROLES}
    for one in given:
        person = read_person(world, one, "attendees")
        role = choice(one.get("type", "required"), {name: name for name in uris}, "type")
        made[uris[role]].append(Attendee(person))
    return {uri: tuple(people) or None for uri, people in made.items()}


def keep_responses(values: Values, known: Item) -> None:
    """Attendees that stay keep what they answered: a request cannot answer for them."""
    answered = {one.person.key: one for one in attendees_of(known)}
    for uri, _ in _ROLES:
        if values.get(uri):
            values[uri] = tuple(
                Attendee(one.person, answered[one.person.key].response, answered[one.person.key].responded)
                if one.person.key in answered
                else one
                for one in values[uri]
            )


def _start(value: Any, name: str) -> Values:
    moment, zone = read_wall(value, name)
    return {"calendar:Start": moment, "calendar:StartTimeZone": zone}


def _end(value: Any, name: str) -> Values:
    moment, zone = read_wall(value, name)
    return {"calendar:End": moment, "calendar:EndTimeZone": zone}


def _location(value: Any, name: str) -> Values:
    if value is None:
        return {"calendar:Location": None}
    if not isinstance(value, dict):
        raise bad_body(f"Cannot read the value of property '{name}'.")
    return {"calendar:Location": text(value.get("displayName"), name)}


def _locations(value: Any, name: str) -> Values:
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise bad_body(f"Cannot read the value of property '{name}'.")
    names = [shown for one in value if (shown := text(one.get("displayName"), name))]
    return {"calendar:Location": "; ".join(names) or None}


def _rule(value: Any, name: str) -> Values:
    return {"calendar:Recurrence": None if value is None else recurrence.read(value)}


def _minutes(value: Any, name: str) -> Values:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 10**6:
        raise bad_body(f"Cannot convert the value of property '{name}' to the expected type 'Edm.Int32'.")
    return {"item:ReminderMinutesBeforeStart": value}


def _one(uri: str, convert: Callable[[Any, str], Any]) -> Callable[[Any, str], Values]:
    return lambda value, name: {uri: convert(value, name)}


def _provider(value: Any, name: str) -> Values:
    choice(value, {"unknown": "", "teamsforbusiness": "", "skypeforbusiness": "", "skypeforconsumer": ""}, name)
    return {}


def _unkept(value: Any, name: str) -> Values:
    """A flag that the store has no place for."""
    flag(value, name)
    return {}


_READERS: dict[str, Callable[[Any, str], Values]] = {
    "subject": _one("item:Subject", text),
    "body": _one("item:Body", lambda value, name: None if value is None else read_body(value)),
    "start": _start,
    "end": _end,
    "isAllDay": _one("calendar:IsAllDayEvent", flag),
    "location": _location,
    "locations": _locations,
    "recurrence": _rule,
    "sensitivity": _one("item:Sensitivity", lambda value, name: choice(value, SENSITIVITY, name)),
    "importance": _one("item:Importance", lambda value, name: choice(value, IMPORTANCE, name)),
    "showAs": _one("calendar:LegacyFreeBusyStatus", lambda value, name: choice(value, SHOW_AS, name)),
    "categories": _one("item:Categories", texts),
    "isReminderOn": _one("item:ReminderIsSet", flag),
    "reminderMinutesBeforeStart": _minutes,
    "isOnlineMeeting": _one("calendar:IsOnlineMeeting", flag),
    "onlineMeetingProvider": _provider,
    "responseRequested": _one("calendar:IsResponseRequested", flag),
    "allowNewTimeProposals": _one("calendar:AllowNewTimeProposal", flag),
    "hideAttendees": _unkept,
}
