"""How each type of value is written into a reply and read from a request (the simple types of types.xsd).

A codec has `write(parent, tag, value, view)` and `read(node, view)`. `view` tells the mailbox, the zone of the request
and what the client asked for; see `properties.View`.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from . import recurrence, timezones
from .errors import EwsError, schema_violation
from .soap import Element, T, add, boolean, child, clean, element, local, text_of
from .store import Attendee, Body, Person

if TYPE_CHECKING:
    from .properties import View

RESPONSES = ("Unknown", "Organizer", "Tentative", "Accept", "Decline", "NoResponseReceived")


def wire_time(value: datetime) -> str:
    """A date-time of a reply: UTC with Z, whole seconds, as Exchange writes it."""
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


_DATE_TIME = re.compile(
    r"-?\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?$|\d{4}-\d\d-\d\d(Z|[+-]\d\d:\d\d)?$"
)


def parse_time(text: str | None, node: Element) -> datetime:
    """An xs:dateTime of a request; naive if it carries no offset. A bare date means its midnight."""
    value = (text or "").strip()
    if not _DATE_TIME.match(value):
        raise schema_violation(
            f"The '{local(node)}' element is invalid - The value '{value}' is invalid according to its datatype "
            f"'http://www.w3.org/2001/XMLSchema:dateTime'.",
            node.sourceline,
        )
    head, _, fraction = value.partition(".")
    if fraction:
        digits = re.match(r"\d+", fraction)
        value = head + fraction[digits.end() if digits else 0 :]
    try:
        if len(value) == 11 and value.endswith("Z"):
            value = value[:10]
        elif len(value) == 16 and value[10] in "+-":
            value = value[:10] + "T00:00:00" + value[10:]
        made = datetime.fromisoformat(value.replace("Z", "+00:00"))
        return made if made.tzinfo is None else made.astimezone(UTC)
    except (ValueError, OverflowError):
        raise schema_violation(f"The value '{value}' is not a valid date and time.", node.sourceline) from None


class Codec:
    """Text; the base of the others."""

    sortable = True

    def write(self, parent: Element, tag: str, value: Any, view: View) -> None:
        """Append the element of a value."""
        add(parent, f"{T}{tag}", self.text(value))

    def text(self, value: Any) -> str:
        """The text of a value."""
        return clean(str(value))

    def read(self, node: Element, view: View) -> Any:
        """The value of a request's element."""
        return node.text or ""

    def constant(self, text: str, view: View) -> Any:
        """The value of a t:Constant in a restriction."""
        return self.read(element(f"{T}Constant", None, text), view)


class Text(Codec):
    """xs:string, cut in FindItem replies.

    `cut` is the length beyond which Exchange drops the rest without a word, `limit` the one beyond which it refuses.
    """

    def __init__(self, *, cut: int | None = None, limit: int | None = None) -> None:
        self.cut, self.limit = cut, limit

    def write(self, parent: Element, tag: str, value: Any, view: View) -> None:
        text = self.text(value)
        add(parent, f"{T}{tag}", text[:255] if view.finding else text)

    def read(self, node: Element, view: View) -> str:
        text = node.text or ""
        if self.limit is not None and len(text) > self.limit:
            raise EwsError("ErrorPropertyUpdate", f"{local(node)} is longer than {self.limit} characters.")
        return text[: self.cut]


class Boolean(Codec):
    """xs:boolean: read leniently, written true or false."""

    def text(self, value: Any) -> str:
        return boolean(value)

    def read(self, node: Element, view: View) -> bool:
        value = (node.text or "").strip().lower()
        if value not in ("true", "false", "1", "0"):
            raise schema_violation(
                f"The '{local(node)}' element is invalid - The value '{node.text or ''}' is invalid according to its "
                f"datatype 'http://www.w3.org/2001/XMLSchema:boolean'.",
                node.sourceline,
            )
        return value in ("true", "1")


class Integer(Codec):
    """xs:int."""

    def __init__(self, low: int = -(2**31), high: int = 2**31 - 1) -> None:
        self.low, self.high = low, high

    def read(self, node: Element, view: View) -> int:
        text = (node.text or "").strip()
        if not re.fullmatch(r"[+-]?\d{1,18}", text):
            raise schema_violation(
                f"The '{local(node)}' element is invalid - The value '{text}' is invalid according to its datatype "
                f"'http://www.w3.org/2001/XMLSchema:int'.",
                node.sourceline,
            )
        if not self.low <= int(text) <= self.high:
            raise EwsError("ErrorPropertyValidationFailure", f"{local(node)} must be from {self.low} to {self.high}.")
        return int(text)


class Double(Codec):
    """xs:double; whole numbers are written without a point."""

    def text(self, value: Any) -> str:
        return str(int(value)) if float(value).is_integer() else str(value)

    def read(self, node: Element, view: View) -> float:
        try:
            return float((node.text or "").strip())
        except ValueError:
            raise schema_violation(f"The value '{node.text or ''}' is not a valid number.", node.sourceline) from None


class DateTime(Codec):
    """xs:dateTime. Without an offset it is read in the zone of the request."""

    def __init__(self, naive: bool = False) -> None:
        self.naive = naive

    def text(self, value: Any) -> str:
        return wire_time(value)

    def read(self, node: Element, view: View) -> datetime:
        value = parse_time(node.text, node)
        if value.tzinfo is None and not self.naive:
            return value.replace(tzinfo=view.zone.tz).astimezone(UTC)
        return value


class Choice(Codec):
    """An enumeration."""

    def __init__(self, *allowed: str) -> None:
        self.allowed = allowed

    def read(self, node: Element, view: View) -> str:
        value = (node.text or "").strip()
        if value not in self.allowed:
            raise schema_violation(
                f"The '{local(node)}' element is invalid - The value '{value}' is invalid according to its datatype: "
                f"the Enumeration constraint failed.",
                node.sourceline,
            )
        return value


class BodyCodec(Codec):
    """t:Body with its type; converted when the shape asks for the other type."""

    sortable = False

    def __init__(self, force: str = "") -> None:
        self.force = force

    def write(self, parent: Element, tag: str, value: Any, view: View) -> None:
        wanted = self.force or view.body_type
        text, kind = value.text, value.kind
        if wanted in ("Text", "HTML") and wanted != kind:
            text, kind = (to_text(text) if wanted == "Text" else to_html(text)), wanted
        attributes = {"BodyType": kind, "IsTruncated": "false"} if view.version >= 7 else {"BodyType": kind}
        add(parent, f"{T}{tag}", clean(text), attributes)

    def read(self, node: Element, view: View) -> Body:
        kind = node.get("BodyType")
        if kind not in ("HTML", "Text"):
            raise schema_violation("The required attribute 'BodyType' is missing or invalid.", node.sourceline)
        return Body(node.text or "", kind)

    def constant(self, text: str, view: View) -> Any:
        return text


def to_text(html: str) -> str:
    """HTML as plain text, well enough for a practice server."""
    text = re.sub(r"(?is)<(script|style).*?</\1>|<head.*?</head>", "", html)
    text = re.sub(r"(?i)<br\s*/?>|</p>|</div>", "\r\n", text)
    text = re.sub(r"<[^>]*>", "", text)
    for entity, mark in (("&nbsp;", " "), ("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&amp;", "&")):
        text = text.replace(entity, mark)
    return text.strip("\r\n") if text.strip() else ""


def to_html(text: str) -> str:
    """Plain text as an HTML document."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\n", "<br>\n")
    return f"<html>\r\n<body>\r\n<div>{escaped}</div>\r\n</body>\r\n</html>\r\n"


class Strings(Codec):
    """t:ArrayOfStringsType, as categories."""

    sortable = False

    def write(self, parent: Element, tag: str, value: Any, view: View) -> None:
        node = add(parent, f"{T}{tag}")
        for text in value:
            add(node, f"{T}String", clean(text))

    def read(self, node: Element, view: View) -> tuple[str, ...]:
        return tuple(part.text or "" for part in node if local(part) == "String")

    def constant(self, text: str, view: View) -> Any:
        return text


class Base64(Codec):
    """xs:base64Binary."""

    sortable = False

    def text(self, value: Any) -> str:
        return base64.b64encode(value).decode("ascii")

    def read(self, node: Element, view: View) -> bytes:
        try:
            return base64.b64decode(node.text or "", validate=False)
        except (binascii.Error, ValueError):
            raise EwsError("ErrorMimeContentInvalidBase64String") from None


class Mime(Base64):
    """t:MimeContent with its character set."""

    def write(self, parent: Element, tag: str, value: Any, view: View) -> None:
        add(parent, f"{T}{tag}", self.text(value), {"CharacterSet": "UTF-8"})


def write_person(parent: Element, person: Person, view: View | None = None) -> Element:
    """A t:Mailbox. FindItem knows only the name."""
    node = add(parent, f"{T}Mailbox")
    add(node, f"{T}Name", clean(person.name or person.address))
    if view is not None and view.finding:
        return node
    if person.address:
        add(node, f"{T}EmailAddress", clean(person.address))
        add(node, f"{T}RoutingType", person.routing)
    add(node, f"{T}MailboxType", person.kind)
    return node


def read_person(node: Element, view: View) -> Person:
    """The address of a t:Mailbox; the name is looked up in the directory when it is not given."""
    holder = node if local(node) == "Mailbox" else child(node, "Mailbox")
    if holder is None:
        raise schema_violation(
            f"The element '{local(node)}' has incomplete content: 'Mailbox' expected.", node.sourceline
        )
    address = (text_of(holder, "EmailAddress") or "").strip()
    name = (text_of(holder, "Name") or "").strip()
    if not address and not name:
        raise EwsError("ErrorInvalidRecipients")
    known = view.world.mailbox(address) if address else None
    if known is not None:
        return Person(name or known.name, known.address)
    routing = (text_of(holder, "RoutingType") or "SMTP").strip()
    return Person(name or address, address, routing, (text_of(holder, "MailboxType") or "OneOff").strip())


class PersonCodec(Codec):
    """A single recipient: organiser, sender, from."""

    def write(self, parent: Element, tag: str, value: Any, view: View) -> None:
        write_person(add(parent, f"{T}{tag}"), value, view)

    def text(self, value: Any) -> str:
        return str(value.name)

    def read(self, node: Element, view: View) -> Person:
        return read_person(node, view)

    def constant(self, text: str, view: View) -> Any:
        return text


class People(Codec):
    """A list of recipients."""

    sortable = False

    def write(self, parent: Element, tag: str, value: Any, view: View) -> None:
        node = add(parent, f"{T}{tag}")
        for person in value:
            write_person(node, person, view)

    def read(self, node: Element, view: View) -> tuple[Person, ...]:
        return tuple(read_person(part, view) for part in node if local(part) == "Mailbox")


class Attendees(Codec):
    """t:NonEmptyArrayOfAttendeesType. An attendee without a response gets Unknown."""

    sortable = False

    def write(self, parent: Element, tag: str, value: Any, view: View) -> None:
        node = add(parent, f"{T}{tag}")
        for attendee in value:
            part = add(node, f"{T}Attendee")
            write_person(part, attendee.person)
            add(part, f"{T}ResponseType", attendee.response)
            if attendee.responded is not None:
                add(part, f"{T}LastResponseTime", wire_time(attendee.responded))

    def read(self, node: Element, view: View) -> tuple[Attendee, ...]:
        found = []
        for part in node:
            if local(part) != "Attendee":
                continue
            response = (text_of(part, "ResponseType") or "Unknown").strip()
            if response not in RESPONSES:
                raise schema_violation(f"The value '{response}' is invalid for 'ResponseType'.", part.sourceline)
            at = child(part, "LastResponseTime")
            responded = parse_time(at.text, at) if at is not None else None
            if responded is not None and responded.tzinfo is None:
                responded = responded.replace(tzinfo=UTC)
            found.append(Attendee(read_person(part, view), response, responded))
        return tuple(found)


class ZoneCodec(Codec):
    """StartTimeZone and EndTimeZone (t:TimeZoneDefinitionType)."""

    sortable = False

    def write(self, parent: Element, tag: str, value: Any, view: View) -> None:
        parent.append(timezones.definition(value, full=view.full_zones, tag=f"{T}{tag}"))

    def read(self, node: Element, view: View) -> timezones.Zone:
        zone = timezones.of_element(node)
        if zone is None:
            raise EwsError("ErrorCalendarInvalidTimeZone")
        return zone


class MeetingZone(Codec):
    """MeetingTimeZone of Exchange 2007 (t:TimeZoneType): a name, or a base offset with two changes."""

    sortable = False

    def write(self, parent: Element, tag: str, value: Any, view: View) -> None:
        add(parent, f"{T}{tag}", None, {"TimeZoneName": value.id})

    def read(self, node: Element, view: View) -> timezones.Zone:
        zone = timezones.find((node.get("TimeZoneName") or "").strip())
        if zone is not None:
            return zone
        if text_of(node, "BaseOffset") is None:
            raise EwsError("ErrorCalendarInvalidTimeZone")
        return timezones.of_base_offset(node)


class RecurrenceCodec(Codec):
    """t:Recurrence."""

    sortable = False

    def write(self, parent: Element, tag: str, value: Any, view: View) -> None:
        parent.append(recurrence.write(value[0], value[1], tag=f"{T}{tag}"))

    def read(self, node: Element, view: View) -> recurrence.Recurrence:
        return recurrence.read(node, view.zone.tz)


class TaskRecurrenceCodec(RecurrenceCodec):
    """t:Recurrence of a task, whose patterns include regenerations. Range dates are written in UTC."""

    def write(self, parent: Element, tag: str, value: Any, view: View) -> None:
        parent.append(recurrence.write(value, UTC, tag=f"{T}{tag}"))

    def read(self, node: Element, view: View) -> recurrence.Recurrence:
        return recurrence.read(node, view.zone.tz, task=True)


class Entries(Codec):
    """A dictionary of t:Entry elements with a Key: e-mail addresses, phone numbers, instant message addresses."""

    sortable = False

    def __init__(self, keys: tuple[str, ...]) -> None:
        self.keys = keys

    def write(self, parent: Element, tag: str, value: Any, view: View) -> None:
        chosen = [(key, value[key]) for key in self.keys if value.get(key)]
        if view.labels is not None:
            chosen = [(key, entry) for key, entry in chosen if (tag, key) in view.labels]
        if not chosen:
            return
        node = add(parent, f"{T}{tag}")
        for key, entry in chosen:
            self.entry(node, key, entry)

    def entry(self, node: Element, key: str, value: Any) -> None:
        """Append one t:Entry."""
        add(node, f"{T}Entry", clean(value), {"Key": key})

    def read(self, node: Element, view: View) -> dict[str, Any]:
        found = {}
        for part in node:
            if local(part) != "Entry":
                continue
            key = part.get("Key") or ""
            if key not in self.keys:
                raise schema_violation(
                    f"The 'Key' attribute is invalid - The value '{key}' is invalid.", part.sourceline
                )
            found[key] = self.read_entry(part)
        return found

    def read_entry(self, node: Element) -> Any:
        """The value of one t:Entry."""
        return node.text or ""


class EmailEntries(Entries):
    """E-mail addresses of a contact, with the attributes that Exchange adds from 2010 on."""

    def entry(self, node: Element, key: str, value: Any) -> None:
        attributes = {"Key": key, "Name": clean(value), "RoutingType": "SMTP", "MailboxType": "Contact"}
        add(node, f"{T}Entry", clean(value), attributes)


ADDRESS_PARTS = ("Street", "City", "State", "CountryOrRegion", "PostalCode")


class AddressEntries(Entries):
    """Physical addresses: each entry is a small structure."""

    def write(self, parent: Element, tag: str, value: Any, view: View) -> None:
        node = None
        for key in self.keys:
            parts = [
                (part, value[key][part])
                for part in ADDRESS_PARTS
                if value.get(key, {}).get(part) and (view.labels is None or (f"{tag}:{part}", key) in view.labels)
            ]
            if not parts:
                continue
            if node is None:
                node = add(parent, f"{T}{tag}")
            entry = add(node, f"{T}Entry", None, {"Key": key})
            for part, text in parts:
                add(entry, f"{T}{part}", clean(text))

    def read_entry(self, node: Element) -> dict[str, str]:
        return {local(part): part.text or "" for part in node if local(part) in ADDRESS_PARTS}


class Parts(Codec):
    """A computed structure: a dict of child texts, in order."""

    sortable = False

    def write(self, parent: Element, tag: str, value: Any, view: View) -> None:
        node = add(parent, f"{T}{tag}")
        for name, text in value.items():
            add(node, f"{T}{name}", text if isinstance(text, str) else boolean(text))


class Custom(Codec):
    """A computed element whose writer is a function."""

    sortable = False

    def __init__(self, writer: Callable[[Element, str, Any, View], None]) -> None:
        self._writer = writer

    def write(self, parent: Element, tag: str, value: Any, view: View) -> None:
        self._writer(parent, tag, value, view)


def iso_duration(span: timedelta) -> str:
    """A span as Exchange writes calendar:Duration: PT30M, PT1H, P1D, P1DT2H."""
    minutes = int(span.total_seconds() // 60)
    days, rest = divmod(minutes, 1440)
    hours, minutes = divmod(rest, 60)
    time = (f"{hours}H" if hours else "") + (f"{minutes}M" if minutes else "")
    text = "P" + (f"{days}D" if days else "") + (f"T{time}" if time else "")
    return text if text != "P" else "PT0S"
