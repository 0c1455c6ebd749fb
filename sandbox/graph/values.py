"""Values that events and contacts share: times with a zone apart, people, bodies, extended properties."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from html import escape, unescape
from typing import Any

from sandbox.exchange import extended
from sandbox.exchange.soap import clean
from sandbox.exchange.store import Attendee, Body, Extended, Item, Person, PropertyKey, World
from sandbox.exchange.timezones import UTC_ZONE, Zone, find

from .errors import GraphError, bad_body, bad_value
from .prefer import Prefer

NEVER = "0001-01-01T00:00:00Z"
_PROPERTY = re.compile(
    r"(?P<type>String|Integer|Short|Long|Boolean|Double|Float|SystemTime|Binary|CLSID|Currency) "
    r"(?:\{(?P<set>[0-9A-Fa-f-]{36})\} (?:Name (?P<name>.+)|Id (?P<id>0x[0-9A-Fa-f]+|\d+))|(?P<tag>0x[0-9A-Fa-f]+))"
)
_TAG = re.compile(r"<(?:br|/p|/div)[^>]*>|(<[^>]+>)", re.IGNORECASE)
RESPONSES = {
    "Unknown": "none", "Organizer": "organizer", "Tentative": "tentativelyAccepted", "Accept": "accepted",
    "Decline": "declined", "NoResponseReceived": "notResponded",
}  # fmt: skip


# -- times ------------------------------------------------------------------------------------------------------------


def instant(moment: datetime) -> str:
    """A DateTimeOffset."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def wall(moment: datetime, prefer: Prefer) -> dict[str, str]:
    """A dateTimeTimeZone in the zone preferred: seven decimals, no offset, the zone beside it."""
    local = moment.astimezone(prefer.zone.tz)
    return {"dateTime": local.strftime("%Y-%m-%dT%H:%M:%S.0000000"), "timeZone": prefer.zone_name}


def day(moment: datetime, zone: Zone, prefer: Prefer) -> dict[str, str]:
    """A dateTimeTimeZone of an all-day event: the date in the event's own zone, whatever zone is preferred."""
    local = moment.astimezone(zone.tz)
    return {"dateTime": local.strftime("%Y-%m-%dT%H:%M:%S.0000000"), "timeZone": prefer.zone_name}


def read_wall(given: Any, member: str) -> tuple[datetime, Zone]:
    """A dateTimeTimeZone of a request, as an aware or (in its zone) naive time, and its zone. Raises `GraphError`."""
    if not isinstance(given, dict) or not isinstance(given.get("dateTime"), str):
        raise bad_body(f"Cannot read the value of property '{member}': a dateTime is expected.")
    name = given.get("timeZone") or "UTC"
    zone = UTC_ZONE if name in ("UTC", "tzone://Microsoft/Utc") else find(name) if isinstance(name, str) else None
    if zone is None:
        text = f"A valid TimeZone value must be specified. The value '{name}' is not supported."
        raise GraphError(400, "TimeZoneNotSupportedException", text)
    moment = parse(given["dateTime"], member)
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=zone.tz)), zone


def parse(text: str, member: str) -> datetime:
    """An ISO time with any number of decimals. Raises `GraphError`."""
    try:
        made = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text.strip()))
        made.astimezone(UTC) if made.tzinfo else made.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise bad_value(f"The value '{text}' of '{member}' is not a valid time.") from None
    if not 1900 < made.year < 2200:
        raise bad_value(f"The value '{text}' of '{member}' is out of range.", "ErrorCalendarOutOfRange")
    return made.replace(microsecond=0)


def parse_instant(text: str, member: str) -> datetime:
    """A time with its own offset; without one it is UTC. Raises `GraphError`."""
    made = parse(text, member)
    return made.replace(tzinfo=UTC) if made.tzinfo is None else made.astimezone(UTC)


# -- people and text --------------------------------------------------------------------------------------------------


def address(person: Person | None) -> dict[str, Any]:
    """An emailAddress."""
    if person is None:
        return {"name": "", "address": ""}
    return {"name": person.name, "address": person.address}


def read_person(world: World, given: Any, member: str) -> Person:
    """A recipient or attendee of a request. Raises `GraphError`."""
    inner = given.get("emailAddress") if isinstance(given, dict) else None
    found = inner.get("address") if isinstance(inner, dict) else None
    if not isinstance(found, str) or not found.strip():
        raise bad_value(f"'{member}' needs an emailAddress with an address.", "ErrorInvalidRecipients")
    known = world.mailbox(found)
    name = inner.get("name") if isinstance(inner, dict) else None
    shown = name if isinstance(name, str) and name else known.name if known else found
    return Person(clean(shown), clean(found.strip()), kind="Mailbox" if known else "OneOff")


def attendee(one: Attendee, kind: str) -> dict[str, Any]:
    """An attendee of an answer."""
    return {
        "type": kind,
        "status": {
            "response": RESPONSES.get(one.response, "none"),
            "time": instant(one.responded) if one.responded else NEVER,
        },
        "emailAddress": address(one.person),
    }


def body(kept: Body | None, prefer: Prefer) -> dict[str, str]:
    """An itemBody; HTML unless the request prefers text."""
    kept = kept or Body("", "Text")
    if prefer.text:
        return {"contentType": "text", "content": plain(kept)}
    if kept.kind == "HTML":
        return {"contentType": "html", "content": kept.text}
    content = f"<html><body>{escape(kept.text)}</body></html>" if kept.text else ""
    return {"contentType": "html", "content": content}


def plain(kept: Body | None) -> str:
    """The text of a body."""
    if kept is None or kept.kind != "HTML":
        return kept.text if kept else ""
    return unescape(_TAG.sub(lambda found: "" if found[1] else "\n", kept.text)).strip()


def read_body(given: Any) -> Body:
    """An itemBody of a request. Raises `GraphError`."""
    if not isinstance(given, dict) or not isinstance(given.get("content", ""), str):
        raise bad_body("Cannot read the value of property 'body'.")
    kind = str(given.get("contentType", "text")).lower()
    if kind not in ("text", "html"):
        raise bad_body(f"'{kind}' is not a value of contentType.")
    return Body(clean(given.get("content", "")), "HTML" if kind == "html" else "Text")


def text(given: Any, member: str) -> str | None:
    """An Edm.String. Raises `GraphError`."""
    if given is not None and not isinstance(given, str):
        raise bad_body(f"Cannot convert the value of property '{member}' to the expected type 'Edm.String'.")
    return clean(given) if given else None


def flag(given: Any, member: str) -> bool:
    """An Edm.Boolean. Raises `GraphError`."""
    if not isinstance(given, bool):
        raise bad_body(f"Cannot convert the value of property '{member}' to the expected type 'Edm.Boolean'.")
    return given


def texts(given: Any, member: str) -> tuple[str, ...]:
    """A Collection(Edm.String). Raises `GraphError`."""
    if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
        raise bad_body(f"Cannot read the value of property '{member}': a collection of Edm.String is expected.")
    return tuple(clean(one) for one in given)


def choice(given: Any, names: dict[str, str], member: str) -> str:
    """A value of an enumeration. Raises `GraphError`."""
    if not isinstance(given, str) or given.lower() not in names:
        raise bad_body(f"The value '{given}' is not a member of the enumeration of '{member}'.")
    return names[given.lower()]


# -- extended properties ----------------------------------------------------------------------------------------------


def property_key(identifier: Any) -> tuple[PropertyKey, str]:
    """The identity and type of an extended property's id; the name in it is case-sensitive. Raises `GraphError`."""
    found = _PROPERTY.fullmatch(identifier) if isinstance(identifier, str) else None
    if found is None:
        raise bad_value(f"The property id '{identifier}' is invalid.", "ErrorInvalidExtendedProperty")
    if found["tag"]:
        # A tag may be written with its type in the low word, 0x00360003, or without, 0x36.
        number = int(found["tag"], 16)
        return PropertyKey(tag=number >> 16 if number > 0xFFFF else number), found["type"]
    number_of = int(found["id"], 0) if found["id"] else None
    return PropertyKey(set=found["set"].lower(), name=found["name"] or "", id=number_of), found["type"]


def read_properties(given: Any) -> dict[PropertyKey, Extended]:
    """The singleValueExtendedProperties of a request. Raises `GraphError`."""
    if not isinstance(given, list):
        raise bad_body("Cannot read the value of property 'singleValueExtendedProperties'.")
    made: dict[PropertyKey, Extended] = {}
    for one in given:
        if not isinstance(one, dict) or not isinstance(one.get("value"), str):
            raise bad_value("An extended property needs an id and a value.", "ErrorInvalidExtendedPropertyValue")
        key, kind = property_key(one.get("id"))
        if key.tag is not None:
            raise bad_value("The property cannot be set by its tag here.", "ErrorInvalidExtendedProperty")
        made[key] = Extended(kind, clean(one["value"]))
    return made


def property_value(item: Item, identifier: str) -> str | None:
    """The value of an item's extended property; None where it has none. Raises `GraphError` for a malformed id."""
    key, _ = property_key(identifier)
    found = extended.value_of(item, key)
    return found if isinstance(found, str) else None
