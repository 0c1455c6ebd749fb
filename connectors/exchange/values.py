"""EWS items to raw values and back: which properties a raw field needs, how it is read, how it is written.

Raw fields are named in ``CALENDAR`` and ``CONTACT``. Text that is blank is None, lists are sorted, times are UTC
(``…Z``) or, for all-day meetings, dates with the end exclusive, zones are IANA names where CLDR has one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from connectors.calendars.fields import PRIVATE_FIELDS, SENSITIVITIES, SHOW_AS, conference_link, field, in_order, tidy
from connectors.calendars.identity import SINGLE, meeting_key
from sidefeed.calendars.marks import Named, said
from sidefeed.connector import FieldSchema, Invalid

from . import xml
from .times import Zone, bias, instant, is_date, local_date, midnight, utc_text, windows_zone, zone_name
from .xml import Element, T

LINK_SET, LINK_NAME = "542f9e28-0fa7-425e-93ea-82cf115d5612", "sidefeed-link"
"""Named property that holds the idempotency key. Graph sees it as ``String {542f9e28-…} Name sidefeed-link``."""

_RESPONSES = {
    "Unknown": "none", "NoResponseReceived": "none", "Organizer": "organizer", "Tentative": "tentative",
    "Accept": "accept", "Decline": "decline",
}  # fmt: skip
_SPELT = {"oof": "OOF", "workingelsewhere": "WorkingElsewhere", "nodata": "NoData"}
_ROLES = (("RequiredAttendees", "required"), ("OptionalAttendees", "optional"), ("Resources", "resource"))
_SENSITIVITIES = {each: each.capitalize() for each in SENSITIVITIES}
_SHOW_AS = {each: _SPELT.get(each, each.capitalize()) for each in SHOW_AS}


@dataclass(frozen=True, slots=True)
class Row:
    """What a listing tells of one calendar item."""

    id: str
    version: str
    kind: str
    """Single, Occurrence, Exception or RecurringMaster."""
    sensitivity: str
    uid: str
    element: Element

    @property
    def private(self) -> bool:
        """Also where the server did not say: silence is not permission."""
        return self.sensitivity != "Normal"


def row(element: Element) -> Row | None:
    """A calendar item of a listing; None for the other kinds of items that lie in calendars (requests, bookings)."""
    node = xml.at(element, "ItemId")
    if xml.local(element) != "CalendarItem" or node is None:
        return None
    return Row(
        id=node.get("Id", ""),
        version=node.get("ChangeKey", ""),
        kind=xml.text(element, "CalendarItemType") or "Single",
        sensitivity=xml.text(element, "Sensitivity") or "",
        uid=xml.text(element, "UID") or "",
        element=element,
    )


@dataclass(frozen=True, slots=True)
class When:
    """The time of one meeting: instants, and for an all-day meeting the dates."""

    start: str
    end: str
    zone: Zone | None
    all_day: bool


def zone_of(item: Element) -> Zone | None:
    """StartTimeZone, read as text: an id such as ``tzone://Microsoft/Custom`` is a fact, not an error."""
    node = xml.at(item, "StartTimeZone")
    if node is None or not node.get("Id"):
        return None
    periods = list(xml.each(node, "Periods"))
    standard = next((period for period in periods if "Standard" in period.get("Id", "")), None)
    chosen = standard if standard is not None else next(iter(periods), None)
    return Zone(node.get("Id"), None if chosen is None else bias(chosen.get("Bias", "")))


def when(item: Element, zone: Zone | None = None) -> When:
    """When an item takes place. ``zone`` stands in where a listing leaves the zone out. Raises ValueError."""
    zone = zone_of(item) or zone
    start, end = xml.text(item, "Start"), xml.text(item, "End")
    if start is None:
        raise ValueError("the item has no start")
    starts = instant(start, zone)
    ends = instant(end, zone) if end else starts
    all_day = xml.flag(item, "IsAllDayEvent")
    if not all_day:
        return When(utc_text(starts), utc_text(ends), zone, False)
    first, last = local_date(starts, zone), local_date(ends, zone)
    last = max(last, first + timedelta(days=1))
    return When(first.isoformat(), last.isoformat(), zone, True)


def original_start(item: Element, kind: str, time: When) -> str:
    """The original start of an item: ``single``, an instant, or for all-day series a date. Raises ValueError.

    An occurrence that is no exception was never moved, so its start is its original start; an exception without one
    is not identified by guessing.
    """
    if kind in ("Single", "RecurringMaster"):
        return SINGLE
    told = xml.text(item, "OriginalStart") or xml.text(item, "RecurrenceId")
    if told is None and kind == "Exception":
        raise ValueError("the exception does not tell its original start")
    return original_text(told, time) if told else time.start


def original_text(told: str, time: When) -> str:
    """An OriginalStart as part of a key."""
    moment = instant(told, time.zone)
    return local_date(moment, time.zone).isoformat() if time.all_day else utc_text(moment)


# Reading meetings


def read_meeting(
    content: Element, time: When, original: str, mailbox: str, fields: Iterable[str]
) -> dict[str, Any]:
    """Raw values of one meeting; of one that is not public only ``PRIVATE_FIELDS``, whatever the element holds.

    ``content`` is the item, or for a plain occurrence its master: occurrences inherit everything but their times.
    """
    sensitivity = xml.text(content, "Sensitivity") or "Private"
    private = sensitivity != "Normal"
    own = structure(xml.text(content, "UID"), time, original, sensitivity)
    values: dict[str, Any] = {}
    for name in fields:
        known = CALENDAR.get(name)
        if known is None or (private and name not in PRIVATE_FIELDS):
            continue
        values[name] = own[name] if known.read is None else known.read(content, mailbox)
    return values


def structure(uid: str | None, time: When, original: str, sensitivity: str) -> dict[str, Any]:
    """Fields that do not come from one property."""
    return {
        "Key": meeting_key(uid, original) if uid else None, "OriginalStart": original, "Start": time.start,
        "End": time.end, "Zone": zone_name(time.zone.id) if time.zone else None, "IsAllDay": time.all_day,
        "Sensitivity": sensitivity.lower(), "Series": original != SINGLE}  # fmt: skip


def address(mailbox: Element | None) -> str | None:
    """The SMTP address of a ``t:Mailbox``; None for a directory name (routing type EX) or none at all."""
    told = xml.text(mailbox, "EmailAddress") or ""
    plain = told.strip()
    for prefix in ("smtp:", "mailto:"):
        if plain.lower().startswith(prefix):
            plain = plain[len(prefix) :]
    return plain.lower() if "@" in plain and not plain.lower().startswith("/o=") else None


def _attendees(item: Element, _: str) -> list[dict[str, Any]]:
    found = []
    for tag, role in _ROLES:
        for attendee in xml.each(item, tag):
            who = xml.at(attendee, "Mailbox")
            response = _RESPONSES.get(xml.text(attendee, "ResponseType") or "", "none")
            found.append(
                {"address": address(who), "name": xml.text(who, "Name"), "role": role, "response": response}
            )
    return in_order(found)


def _is_organizer(item: Element, mailbox: str) -> bool:
    if xml.text(item, "MyResponseType") == "Organizer":
        return True
    return address(xml.at(item, "Organizer", "Mailbox")) == mailbox


def _join_url(item: Element, _: str) -> str | None:
    """The join link: Exchange's own, else one of a known service in the place or, if it was read, the body."""
    told = tidy(xml.text(item, "JoinOnlineMeetingUrl"))
    return told or conference_link(xml.text(item, "Location"), xml.text(item, "Body"))


def _choice(tag: str, default: str) -> Callable[[Element, str], str]:
    return lambda item, _: (xml.text(item, tag) or default).lower()


def _plain(*path: str) -> Callable[[Element, str], str | None]:
    return lambda item, _: tidy(xml.text(item, *path))


# Writing


@dataclass(frozen=True, slots=True)
class Property:
    """One raw field: the EWS properties it needs, how it is read, and how it is written (None: it is not)."""

    uris: tuple[str, ...]
    schema: FieldSchema
    read: Callable[[Element, str], Any] | None = None
    write: Callable[[Any], Element | None] | None = None
    index: str = ""
    """FieldIndex of an indexed property (an e-mail address, a phone number)."""


def _text_element(tag: str) -> Callable[[Any], Element | None]:
    return lambda value: xml.element(f"t:{tag}", str(value))


def _body(value: Any) -> Element:
    return xml.element("t:Body", str(value), BodyType="Text")


def _one_of(field: str, tag: str, choices: Mapping[str, str]) -> Callable[[Any], Element | None]:
    def write(value: Any) -> Element:
        if value not in choices:
            raise Invalid(f"{field} is {value!r}; Exchange knows {', '.join(choices)}.", field=field, rule="choice")
        return xml.element(f"t:{tag}", choices[value])

    return write


def _categories(item: Element, _mailbox: str) -> list[str]:
    return sorted(each.text for each in xml.each(item, "Categories") if each.text)


def _marks(item: Element, mailbox: str) -> list[str]:
    """Categories, and the named properties that were asked for and say something."""
    found = set(_categories(item, mailbox))
    for extended in item.findall(f"{T}ExtendedProperty"):
        uri, value = xml.at(extended, "ExtendedFieldURI"), xml.text(extended, "Value")
        if uri is not None and uri.get("PropertyName") != LINK_NAME and said(value):
            kind, place = uri.get("PropertyType"), str(uri.get("PropertySetId")).strip("{}").upper()
            found.add(f"{kind} {{{place}}} Name {uri.get('PropertyName')}")
    return sorted(found)


def mark_uris(marks: Iterable[Named]) -> list[Element]:
    """The paths of named properties."""
    return [xml.element("t:ExtendedFieldURI", PropertySetId=each.set.strip("{}").lower(), PropertyName=each.name,
                        PropertyType=each.type) for each in marks]  # fmt: skip


def _strings(tag: str) -> Callable[[Any], Element | None]:
    return lambda value: xml.element(f"t:{tag}", None, [xml.element("t:String", str(each)) for each in value])


def _entry(container: str, key: str) -> Callable[[Any], Element | None]:
    return lambda value: xml.element(f"t:{container}", None, [xml.element("t:Entry", str(value), Key=key)])


def _read_entry(container: str, key: str) -> Callable[[Element, str], str | None]:
    def read(item: Element, _: str) -> str | None:
        for entry in xml.each(item, container):
            if entry.get("Key") == key:
                told = tidy(entry.text)
                return None if told is None or told.lower().startswith("/o=") else told
        return None

    return read


_TIME = ("calendar:Start", "calendar:End", "calendar:IsAllDayEvent", "calendar:StartTimeZone")

CALENDAR: dict[str, Property] = {
    each.schema.name: each
    for each in (
        Property(("calendar:UID",), field("UID", writable=False), _plain("UID")),
        Property((), field("OriginalStart", writable=False)),
        Property(("calendar:UID",), field("Key", writable=False)),
        Property(
            ("item:Subject",), field("Subject", length=255), _plain("Subject"),
            _text_element("Subject"),
        ),
        Property(_TIME, field("Start")),
        Property(_TIME, field("End")),
        Property(_TIME, field("Zone")),
        Property(_TIME, field("IsAllDay")),
        Property(
            ("calendar:Location",), field("Location", length=255), _plain("Location"),
            _text_element("Location"),
        ),
        Property(("item:Body",), field("Body"), _plain("Body"), _body),
        Property(
            ("item:Sensitivity",),
            field("Sensitivity"),
            None, _one_of("Sensitivity", "Sensitivity", _SENSITIVITIES),
        ),
        Property(
            ("calendar:Organizer",), field("Organizer", writable=False),
            lambda item, _: address(xml.at(item, "Organizer", "Mailbox")),
        ),
        Property(
            ("calendar:Organizer", "calendar:MyResponseType"),
            field("IsOrganizer", writable=False), _is_organizer,
        ),
        Property(
            ("calendar:RequiredAttendees", "calendar:OptionalAttendees", "calendar:Resources"),
            field("Attendees", writable=False), _attendees,
        ),
        Property(
            ("calendar:MyResponseType",),
            field("MyResponse", writable=False),
            lambda item, _: _RESPONSES.get(xml.text(item, "MyResponseType") or "", "none"),
        ),
        Property(
            ("calendar:IsCancelled",), field("IsCancelled", writable=False),
            lambda item, _: xml.flag(item, "IsCancelled"),
        ),
        Property(
            ("calendar:LegacyFreeBusyStatus",),
            field("ShowAs"),
            _choice("LegacyFreeBusyStatus", "Busy"), _one_of("ShowAs", "LegacyFreeBusyStatus", _SHOW_AS),
        ),
        Property(
            ("calendar:JoinOnlineMeetingUrl", "calendar:Location"),
            field("JoinUrl", writable=False), _join_url,
        ),
        Property((), field("Series", writable=False)),
        Property(
            ("item:Categories",), field("Categories", writable=False), _categories,
        ),
        Property(
            ("item:Categories",), field("Marks", writable=False), _marks,
        ),
    )
}  # fmt: skip

STRUCTURE = (
    "item:Sensitivity", "item:LastModifiedTime", "calendar:CalendarItemType", "calendar:UID", *_TIME,
    "calendar:OriginalStart", "calendar:RecurrenceId",
)  # fmt: skip
"""Properties that every reading of a meeting needs, and that are not private."""


def _contact_field(name: str, **more: Any) -> Property:
    return Property((f"contacts:{name}",), field(name, **more), _plain(name), _text_element(name))


def _contact_entry(name: str, uri: str, container: str) -> Property:
    return Property((f"contacts:{uri}",), field(name), _read_entry(container, name), _entry(container, name), name)


CONTACT: dict[str, Property] = {
    each.schema.name: each
    for each in (
        Property(("item:Categories",), field("Categories"), _categories, _strings("Categories")),
        _contact_field("DisplayName", length=255),
        _contact_field("GivenName"),
        _contact_field("CompanyName"),
        *(_contact_entry(f"EmailAddress{rank}", "EmailAddress", "EmailAddresses") for rank in (1, 2, 3)),
        _contact_entry("BusinessPhone", "PhoneNumber", "PhoneNumbers"),
        _contact_entry("MobilePhone", "PhoneNumber", "PhoneNumbers"),
        _contact_field("JobTitle"),
        _contact_field("Surname"),
    )
}
"""In the order of the schema's ContactItemType, which a create must keep."""

def schemas(table: Mapping[str, Property]) -> dict[str, FieldSchema]:
    """The raw fields of a table."""
    return {name: known.schema for name, known in table.items()}


def uris(fields: Iterable[str], table: Mapping[str, Property]) -> list[Element]:
    """The field URIs that raw fields need, each once."""
    made: dict[tuple[str, str], Element] = {}
    for name in fields:
        for uri in table[name].uris if name in table else ():
            made[uri, table[name].index] = uri_element(uri, table[name].index)
    return list(made.values())


def uri_element(uri: str, index: str = "") -> Element:
    """``t:FieldURI`` or ``t:IndexedFieldURI``."""
    if index:
        return xml.element("t:IndexedFieldURI", FieldURI=uri, FieldIndex=index)
    return xml.element("t:FieldURI", FieldURI=uri)


def link_uri() -> Element:
    """The path of the link property."""
    return xml.element(
        "t:ExtendedFieldURI", PropertySetId=LINK_SET, PropertyName=LINK_NAME, PropertyType="String"
    )


def new_item(values: Mapping[str, Any], key: str | None, kind: str, zone: str) -> Element:
    """The item of a CreateItem, its properties in the order of the schema. Raises Invalid."""
    table = CALENDAR if kind == "CalendarItem" else CONTACT
    given = {**values, "Zone": values.get("Zone") or zone} if table is CALENDAR else dict(values)
    people = given.pop("Attendees", None) if table is CALENDAR else None
    parts = dict(_parts(given, table, zone))
    if people:
        parts["Attendees"] = xml.element("t:RequiredAttendees", None, [_attendee(each) for each in people])
    order = _CREATE_ORDER if kind == "CalendarItem" else tuple(table)
    children = [parts[name] for name in order if parts.get(name) is not None]
    link = [] if key is None else [
        xml.element("t:ExtendedProperty", None, [link_uri(), xml.element("t:Value", key)])]  # fmt: skip
    cut = 1 + max((n for n, each in enumerate(children) if xml.local(each) in _BEFORE_LINK), default=-1)
    return xml.element(f"t:{kind}", None, _joined([*children[:cut], *link, *children[cut:]]))


def _attendee(person: Mapping[str, Any]) -> Element:
    children = [xml.element("t:Name", str(person.get("name") or person["address"])),
                xml.element("t:EmailAddress", str(person["address"]))]
    return xml.element("t:Attendee", None, [xml.element("t:Mailbox", None, children)])


_BEFORE_LINK = ("Subject", "Sensitivity", "Body", "Categories", "ReminderIsSet")
_CREATE_ORDER = (
    "Subject", "Sensitivity", "Body", "Start", "End", "IsAllDay", "ShowAs", "Location", "Attendees", "StartTimeZone",
    "EndTimeZone",
)  # fmt: skip


def _joined(children: Iterable[Element]) -> list[Element]:
    """One container for all entries of e-mail addresses, and one for phone numbers."""
    made: dict[str, Element] = {}
    for child in children:
        name = xml.local(child)
        if name in made and name in ("EmailAddresses", "PhoneNumbers"):
            made[name].extend(list(child))
        else:
            made[name] = child
    return list(made.values())


def changes(values: Mapping[str, Any], kind: str, zone: str) -> list[Element]:
    """The updates of an UpdateItem: one set or delete for each property named, and nothing else. Raises Invalid."""
    table = CALENDAR if kind == "CalendarItem" else CONTACT
    made = []
    for name, part in _parts(values, table, zone):
        if name in ("StartTimeZone", "EndTimeZone"):
            path = uri_element(f"calendar:{name}")
        else:
            path = uri_element(_URI_OF.get(name) or table[name].uris[0], table[name].index)
        if part is None:
            made.append(xml.element("t:DeleteItemField", None, [path]))
        else:
            made.append(xml.element("t:SetItemField", None, [path, xml.element(f"t:{kind}", None, [part])]))
    return made


_URI_OF = {"Start": "calendar:Start", "End": "calendar:End", "IsAllDay": "calendar:IsAllDayEvent"}


def _parts(
    values: Mapping[str, Any], table: Mapping[str, Property], zone: str
) -> Iterable[tuple[str, Element | None]]:
    """Field name -> element, None to clear it. Raises Invalid for a field that is not written."""
    times = {name: value for name, value in values.items() if table is CALENDAR and name in TIME_FIELDS}
    for name, value in values.items():
        if name in times:
            continue
        known = table.get(name)
        if known is None or known.write is None:
            raise Invalid(
                f"{name} is not written to Exchange; map it with direction: read.", field=name, rule="read-only",
                owner="ops",
            )
        yield name, None if value is None or value == [] else known.write(value)
    if times:
        yield from _time_parts(times, zone)


TIME_FIELDS = ("Start", "End", "Zone", "IsAllDay")


def _time_parts(times: Mapping[str, Any], zone: str) -> Iterable[tuple[str, Element | None]]:
    """Start, end, zone and the all-day flag; what is not given stays as it is. ``zone`` is where dates begin."""
    zone = times.get("Zone") or zone
    if times.get("Zone"):
        windows = windows_zone(zone)
        if windows is None:
            raise Invalid(f"Exchange has no time zone {zone!r}.", field="Zone", rule="zone")
        for tag in ("StartTimeZone", "EndTimeZone"):
            yield tag, xml.element(f"t:{tag}", Id=windows)
    for name in ("Start", "End"):
        value = times.get(name)
        if name in times and value is None:
            raise Invalid(f"A meeting needs a {name.lower()}.", field=name, rule="required")
        if value is not None:
            yield name, xml.element(f"t:{name}", _moment(name, str(value), zone))
    if "IsAllDay" in times:
        yield "IsAllDay", xml.element("t:IsAllDayEvent", "true" if times["IsAllDay"] else "false")


def _moment(name: str, value: str, zone: str) -> str:
    """An instant, or the midnight that a date begins with, as EWS takes it: with its offset."""
    try:
        moment = midnight(value, zone) if is_date(value) else instant(value)
    except ValueError as error:
        raise Invalid(f"{name} is {value!r}: {error}.", field=name, rule="time") from None
    return utc_text(moment) if not is_date(value) else moment.isoformat()


def normal_form(values: Mapping[str, Any]) -> dict[str, Any]:
    """What Exchange will be read to hold after a write of these values."""
    made = dict(values)
    if made.get("Zone"):
        windows = windows_zone(made["Zone"])
        made["Zone"] = zone_name(windows) if windows else made["Zone"]
    return made
