# ruff: noqa: E501 - one property per line reads as the table it is
"""Every property of every item type: field URI, element, type, order, and how an item is turned into XML.

Element order follows types.xsd (EWS schema): the common part, extended properties after HasAttachments, then the part
of the item type. Default shapes: "Property sets and response shapes in EWS in Exchange", tables 2 to 4. Properties
that a server version did not have yet are left out of its replies.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from . import calendar, extended, mime
from . import values as v
from .errors import EwsError, schema_violation
from .soap import Element, T, add, child, element, flag, local, text_of
from .store import Body, Folder, Item, Mailbox, Person, PropertyKey, World
from .timezones import UTC_ZONE, Zone

if TYPE_CHECKING:
    from .values import Codec

VERSIONS = (
    "Exchange2007", "Exchange2007_SP1", "Exchange2009", "Exchange2010", "Exchange2010_SP1", "Exchange2010_SP2",
    "Exchange2012", "Exchange2013", "Exchange2013_SP1", "Exchange2015", "Exchange2015_SP1", "Exchange2016",
    "Exchange2019",
)  # fmt: skip
"""Schema versions in order; dated versions (V2017_07_11) are newer than all of them."""
V2007, V2010, V2010_SP1, V2010_SP2, V2013, V2013_SP1, V2015, V2016 = (
    VERSIONS.index(name)
    for name in (
        "Exchange2007", "Exchange2010", "Exchange2010_SP1", "Exchange2010_SP2",
        "Exchange2013", "Exchange2013_SP1", "Exchange2015", "Exchange2016",
    )
)  # fmt: skip
LATEST = len(VERSIONS)


@dataclass
class View:
    """Through whose eyes, and in which shape, items are read or written."""

    world: World
    now: datetime
    version: int = LATEST
    zone: Zone = UTC_ZONE
    reader: str = ""
    finding: bool = False
    body_type: str = "Best"
    full_zones: bool = True
    mime: bool = False
    labels: set[tuple[str, str]] | None = None
    writable: bool = True

    def mailbox(self, item: Item) -> Mailbox:
        """The mailbox an item is in."""
        return self.world.mailbox_of(self.world.folders[item.folder])


Getter = Callable[[Item, View], Any]


@dataclass(frozen=True)
class Field:
    """One property. `get` computes the value; without it, the stored value is used."""

    uri: str
    tag: str
    codec: Codec
    get: Getter | None = None
    writable: bool = False
    since: int = 0
    until: int = 99
    found: bool = True
    """Whether FindItem and SyncFolderItems return it."""
    listed: bool = True
    """Whether AllProperties returns it."""
    deletable: bool = True
    default: Any = None

    def value(self, item: Item, view: View) -> Any:
        """The value of an item; None if it has none."""
        if self.get is not None:
            return self.get(item, view)
        value = item.values.get(self.uri)
        return self.default if value is None else value


_text, _name_part, _bool, _int, _time = v.Text(), v.Text(limit=255), v.Boolean(), v.Integer(), v.DateTime()
SENSITIVITY = v.Choice("Normal", "Personal", "Private", "Confidential")
IMPORTANCE = v.Choice("Low", "Normal", "High")
FREE_BUSY = v.Choice("Free", "Tentative", "Busy", "OOF", "WorkingElsewhere", "NoData")
RESPONSE = v.Choice(*v.RESPONSES)
TYPE = v.Choice("Single", "Occurrence", "Exception", "RecurringMaster")
EMAIL_KEYS = ("EmailAddress1", "EmailAddress2", "EmailAddress3")
IM_KEYS = ("ImAddress1", "ImAddress2", "ImAddress3")
PHONE_KEYS = (
    "AssistantPhone", "BusinessFax", "BusinessPhone", "BusinessPhone2", "Callback", "CarPhone", "CompanyMainPhone",
    "HomeFax", "HomePhone", "HomePhone2", "Isdn", "MobilePhone", "OtherFax", "OtherTelephone", "Pager", "PrimaryPhone",
    "RadioPhone", "Telex", "TtyTddPhone", "BusinessMobile", "IPPhone", "Mms", "Msn",
)  # fmt: skip
ADDRESS_KEYS = ("Business", "Home", "Other")
FILE_AS_MAPPINGS = (
    "None", "LastCommaFirst", "FirstSpaceLast", "Company", "LastCommaFirstCompany", "CompanyLastFirst", "LastFirst",
    "LastFirstCompany", "CompanyLastCommaFirst", "LastFirstSuffix", "LastSpaceFirstCompany", "CompanyLastSpaceFirst",
    "LastSpaceFirst", "DisplayName", "FirstName", "LastFirstMiddleSuffix", "LastName", "Empty",
)  # fmt: skip


def _write_id(parent: Element, tag: str, item: Item, view: View) -> None:
    add(parent, f"{T}{tag}", None, {"Id": view.world.item_id(item), "ChangeKey": view.world.item_key(item)})


def _write_folder_id(parent: Element, tag: str, folder: Folder, view: View) -> None:
    add(parent, f"{T}{tag}", None, {"Id": view.world.folder_id(folder), "ChangeKey": view.world.folder_key(folder)})


def _write_linked(parent: Element, tag: str, serial: int, view: View) -> None:
    linked = view.world.item(serial)
    if linked is not None:
        _write_id(parent, tag, linked, view)


def _write_conversation(parent: Element, tag: str, value: bytes, view: View) -> None:
    add(parent, f"{T}{tag}", None, {"Id": base64.b64encode(value).decode("ascii")})


def _write_objects(parent: Element, tag: str, names: tuple[str, ...], view: View) -> None:
    node = add(parent, f"{T}{tag}")
    for name in names:
        add(node, f"{T}{name}")


def _write_attachments(parent: Element, tag: str, item: Item, view: View) -> None:
    from .attachments import describe

    node = add(parent, f"{T}{tag}")
    for attachment in item.attachments:
        node.append(describe(item, attachment, view))


def _write_occurrence(parent: Element, tag: str, item: Item, view: View) -> None:
    node = add(parent, f"{T}{tag}")
    _write_id(node, "ItemId", item, view)
    add(node, f"{T}Start", v.wire_time(item.get("calendar:Start")))
    add(node, f"{T}End", v.wire_time(item.get("calendar:End")))
    if item.original is not None:
        add(node, f"{T}OriginalStart", v.wire_time(item.original))


def _write_modified(parent: Element, tag: str, items: list[Item], view: View) -> None:
    node = add(parent, f"{T}{tag}")
    for item in items:
        _write_occurrence(node, "Occurrence", item, view)


def _write_deleted(parent: Element, tag: str, starts: list[datetime], view: View) -> None:
    node = add(parent, f"{T}{tag}")
    for start in starts:
        add(add(node, f"{T}DeletedOccurrence"), f"{T}Start", v.wire_time(start))


def _write_members(parent: Element, tag: str, people: tuple[Person, ...], view: View) -> None:
    node = add(parent, f"{T}{tag}")
    for person in people:
        key = base64.b64encode(f"{person.name}\0{person.routing}\0{person.address}".encode()).decode("ascii")
        member = add(node, f"{T}Member", None, {"Key": key})
        v.write_person(member, person)
        add(member, f"{T}Status", "Normal")


def _write_location(parent: Element, tag: str, text: str, view: View) -> None:
    node = add(parent, f"{T}{tag}")
    add(node, f"{T}DisplayName", text)
    add(node, f"{T}Annotation")
    address = add(node, f"{T}PostalAddress")
    add(address, f"{T}Type", "Business")
    add(address, f"{T}LocationSource", "None")


def _write_headers(parent: Element, tag: str, headers: tuple[tuple[str, str], ...], view: View) -> None:
    node = add(parent, f"{T}{tag}")
    for name, text in headers:
        add(node, f"{T}InternetMessageHeader", text, {"HeaderName": name})


class Members(v.Custom):
    """Members of a distribution list."""

    def read(self, node: Element, view: View) -> tuple[Person, ...]:
        return tuple(v.read_person(part, view) for part in node if local(part) == "Member")


class Headers(v.Custom):
    """Internet message headers; read only."""


_RIGHTS = ("CreateAssociated", "CreateContents", "CreateHierarchy", "Delete", "Modify", "Read")


def effective_rights(writable: bool, version: int, *, folder: bool = False) -> dict[str, bool]:
    """t:EffectiveRights of somebody with or without write access."""
    rights = dict.fromkeys(_RIGHTS, False)
    rights["Read"] = True
    rights["Delete"] = rights["Modify"] = writable
    if folder:
        rights["CreateAssociated"] = rights["CreateContents"] = rights["CreateHierarchy"] = writable
    if version >= V2010:
        rights["ViewPrivateItems"] = writable
    return rights


def response_objects(item: Item, view: View) -> tuple[str, ...]:
    """The reply items that an item allows (t:ResponseObjects)."""
    if item.kind in ("MeetingRequest",) or (
        item.kind == "CalendarItem" and is_meeting(item) and not is_organizer(item, view)
    ):
        if item.get("calendar:IsCancelled"):
            return ("RemoveItem", "ReplyToItem", "ReplyAllToItem", "ForwardItem")
        return ("AcceptItem", "TentativelyAcceptItem", "DeclineItem", "ReplyToItem", "ReplyAllToItem", "ForwardItem")
    if item.kind == "CalendarItem":
        return ("CancelCalendarItem", "ForwardItem") if is_meeting(item) else ("ForwardItem",)
    if item.kind == "MeetingCancellation":
        return ("RemoveItem", "ReplyToItem", "ReplyAllToItem", "ForwardItem")
    if item.kind in ("Message", "MeetingResponse"):
        return ("ReplyToItem", "ReplyAllToItem", "ForwardItem")
    return ()


def attendees_of(item: Item | Mapping[str, Any]) -> tuple[Any, ...]:
    """Required and optional attendees and resources, in that order."""
    return tuple(attendee for uri in ATTENDEE_FIELDS for attendee in item.get(uri) or ())


ATTENDEE_FIELDS = ("calendar:RequiredAttendees", "calendar:OptionalAttendees", "calendar:Resources")


def is_meeting(item: Item) -> bool:
    """Whether a calendar item has attendees, or came as a meeting."""
    return bool(attendees_of(item)) or bool(item.get("calendar:IsMeeting"))


def is_recurring(item: Item, view: View) -> bool:
    """IsRecurring as Exchange has it: true for occurrences and for a series, except the organiser's own master.

    Source: EWS reference, IsRecurring, whose remarks call the organiser's case a mistake of the server.
    """
    if item.master is not None or item.get("calendar:RecurrenceId") is not None:
        return True
    series = item.get("calendar:Recurrence") is not None
    return series and (item.kind != "CalendarItem" or not is_organizer(item, view))


def is_organizer(item: Item, view: View) -> bool:
    """Whether the mailbox of an item organises it."""
    organizer = item.get("calendar:Organizer")
    return organizer is None or organizer.key == view.mailbox(item).address.lower()


def _body_field(item: Item, view: View) -> Any:
    return item.values.get("item:Body")


def _text_body(item: Item, view: View) -> Any:
    return item.values.get("item:Body") or Body("", "Text")


def _attached(item: Item, view: View) -> Item | None:
    return item if item.attachments else None


def _my_response(item: Item, view: View) -> str:
    stored = item.get("calendar:MyResponseType")
    if stored:
        return str(stored)
    return "Organizer" if is_organizer(item, view) else "NoResponseReceived"


def _state(item: Item, view: View) -> int:
    """AppointmentState bits: 1 meeting, 2 received, 4 cancelled."""
    if not is_meeting(item):
        return 0
    return 1 | (0 if is_organizer(item, view) else 2) | (4 if item.get("calendar:IsCancelled") else 0)


def _edge(which: str) -> Getter:
    def get(item: Item, view: View) -> Item | None:
        if not item.is_master:
            return None
        series = calendar.Series(item)
        return series.first() if which == "first" else series.last()

    return get


def _modified(item: Item, view: View) -> list[Item] | None:
    if not item.is_master or not item.exceptions:
        return None
    series = calendar.Series(item)
    return [series.at(original) for original in sorted(item.exceptions) if original not in item.deleted] or None


def _deleted(item: Item, view: View) -> list[datetime] | None:
    return [item.deleted[original] for original in sorted(item.deleted)] if item.is_master and item.deleted else None


def _rule(item: Item, view: View) -> Any:
    if item.kind == "CalendarItem" and not item.is_master:
        return None
    rule = item.get("calendar:Recurrence")
    return None if rule is None else (rule, calendar.zone_of(item).tz)


def _duration(item: Item, view: View) -> str | None:
    start, end = item.get("calendar:Start"), item.get("calendar:End")
    return None if start is None or end is None else v.iso_duration(end - start)


def _reminder_due(item: Item, view: View) -> datetime | None:
    due: datetime | None = item.get("calendar:Start") or item.get("item:ReminderDueBy")
    return due


def _reminder_next(item: Item, view: View) -> datetime | None:
    due = _reminder_due(item, view)
    if not item.get("item:ReminderIsSet") or due is None:
        return None
    return due - timedelta(minutes=item.get("item:ReminderMinutesBeforeStart") or 0)


def _display_to(item: Item, view: View) -> str:
    uri = "calendar:RequiredAttendees" if item.kind == "CalendarItem" else "message:ToRecipients"
    return "; ".join(_name(entry) for entry in item.get(uri) or ())


def _display_cc(item: Item, view: View) -> str:
    uri = "calendar:OptionalAttendees" if item.kind == "CalendarItem" else "message:CcRecipients"
    return "; ".join(_name(entry) for entry in item.get(uri) or ())


def _name(entry: Any) -> str:
    person = getattr(entry, "person", entry)
    return str(person.name or person.address)


def _overlapping(item: Item, view: View, adjacent: bool) -> int:
    if item.master is None and item.is_master:
        return 0
    start, end = item.get("calendar:Start"), item.get("calendar:End")
    count = 0
    for other in calendar.view(view.world.folders[item.folder], start, end + timedelta(seconds=1)):
        if other.serial == item.serial or other.get("calendar:LegacyFreeBusyStatus") == "Free":
            continue
        touches = other.get("calendar:Start") == end or other.get("calendar:End") == start
        count += touches if adjacent else not touches
    return count


def _complete_name(item: Item, view: View) -> dict[str, str] | None:
    from .contacts import complete_name

    return complete_name(item) or None


def _file_as(item: Item, view: View) -> str:
    from .contacts import file_as

    return file_as(item)


def _recurrence_id(item: Item, view: View) -> datetime | None:
    return item.original if item.original is not None else item.get("calendar:RecurrenceId")


def _web_link(mode: str) -> Getter:
    def get(item: Item, view: View) -> str:
        from urllib.parse import quote

        state = "" if mode == "Read" else "&exvsurl=1"
        return f"OWA/?ItemID={quote(view.world.item_id(item), safe='')}&viewmodel=ReadMessageItem{state}"

    return get


def _wall(uri: str, zone_uri: str) -> Getter:
    def get(item: Item, view: View) -> datetime | None:
        moment = item.get(uri)
        zone = item.get(zone_uri) or UTC_ZONE
        return None if moment is None else moment.astimezone(zone.tz)

    return get


class WallClock(v.DateTime):
    """A date-time in the zone of the item, with its offset (StartWallClock, EndWallClock)."""

    def text(self, value: Any) -> str:
        return str(value.isoformat(timespec="seconds"))


ITEM: tuple[Field, ...] = (
    Field("item:MimeContent", "MimeContent", v.Mime(), lambda i, w: mime.content(i, w), writable=True, found=False, listed=False),
    Field("item:ItemId", "ItemId", v.Custom(_write_id), lambda i, w: i),
    Field("item:ParentFolderId", "ParentFolderId", v.Custom(_write_folder_id), lambda i, w: w.world.folders[i.folder]),
    Field("item:ItemClass", "ItemClass", _text, lambda i, w: item_class(i), writable=True),
    Field("item:Subject", "Subject", v.Text(cut=255), lambda i, w: subject_of(i), writable=True),
    Field("item:Sensitivity", "Sensitivity", SENSITIVITY, writable=True, default="Normal", deletable=False),
    Field("item:Body", "Body", v.BodyCodec(), _body_field, writable=True, found=False),
    Field("item:Attachments", "Attachments", v.Custom(_write_attachments), _attached, found=False),
    Field("item:DateTimeReceived", "DateTimeReceived", _time, lambda i, w: i.get("item:DateTimeReceived") or i.created),
    Field("item:Size", "Size", _int, lambda i, w: i.size),
    Field("item:Categories", "Categories", v.Strings(), writable=True),
    Field("item:Importance", "Importance", IMPORTANCE, writable=True, default="Normal", deletable=False),
    Field("item:InReplyTo", "InReplyTo", _text, writable=True),
    Field("item:IsSubmitted", "IsSubmitted", _bool, default=False),
    Field("item:IsDraft", "IsDraft", _bool, default=False),
    Field("item:IsFromMe", "IsFromMe", _bool, default=False),
    Field("item:IsResend", "IsResend", _bool, default=False),
    Field("item:IsUnmodified", "IsUnmodified", _bool, default=False),
    Field("item:InternetMessageHeaders", "InternetMessageHeaders", Headers(_write_headers), found=False),
    Field("item:DateTimeSent", "DateTimeSent", _time, lambda i, w: i.get("item:DateTimeSent") or i.created),
    Field("item:DateTimeCreated", "DateTimeCreated", _time, lambda i, w: i.created),
    Field("item:ResponseObjects", "ResponseObjects", v.Custom(_write_objects), lambda i, w: response_objects(i, w) or None, found=False),
    Field("item:ReminderDueBy", "ReminderDueBy", _time, _reminder_due, writable=True),
    Field("item:ReminderIsSet", "ReminderIsSet", _bool, writable=True, default=False),
    Field("item:ReminderNextTime", "ReminderNextTime", _time, _reminder_next, since=V2013),
    Field("item:ReminderMinutesBeforeStart", "ReminderMinutesBeforeStart", v.Integer(0, 2_629_800), writable=True, default=0),
    Field("item:DisplayCc", "DisplayCc", _text, _display_cc),
    Field("item:DisplayTo", "DisplayTo", _text, _display_to),
    Field("item:HasAttachments", "HasAttachments", _bool, lambda i, w: any(not a.inline for a in i.attachments)),
    Field("item:Culture", "Culture", _text, writable=True, default="en-US"),
    Field("item:EffectiveRights", "EffectiveRights", v.Parts(), lambda i, w: effective_rights(w.writable, w.version)),
    Field("item:LastModifiedName", "LastModifiedName", _text, lambda i, w: i.modified_by or w.mailbox(i).name),
    Field("item:LastModifiedTime", "LastModifiedTime", _time, lambda i, w: i.modified),
    Field("item:IsAssociated", "IsAssociated", _bool, lambda i, w: i.associated, since=V2010),
    Field("item:WebClientReadFormQueryString", "WebClientReadFormQueryString", _text, _web_link("Read"), since=V2010, found=False),
    Field("item:WebClientEditFormQueryString", "WebClientEditFormQueryString", _text, _web_link("Edit"), since=V2010, found=False),
    Field("item:ConversationId", "ConversationId", v.Custom(_write_conversation), lambda i, w: mime.conversation(i), since=V2010),
    Field("item:UniqueBody", "UniqueBody", v.BodyCodec(), _text_body, since=V2010, found=False, listed=False),
    Field("item:InstanceKey", "InstanceKey", v.Base64(), lambda i, w: i.serial.to_bytes(8, "little"), since=V2013, listed=False),
    Field("item:NormalizedBody", "NormalizedBody", v.BodyCodec(), _text_body, since=V2013, found=False, listed=False),
    Field("item:Preview", "Preview", _text, lambda i, w: mime.preview(i), since=V2013, listed=False),
    Field("item:TextBody", "TextBody", v.BodyCodec("Text"), _text_body, since=V2013, found=False, listed=False),
)  # fmt: skip

_START = Field("calendar:Start", "Start", v.DateTime(naive=True), writable=True, deletable=False)
_END = Field("calendar:End", "End", v.DateTime(naive=True), writable=True, deletable=False)
_RULE = Field("calendar:Recurrence", "Recurrence", v.RecurrenceCodec(), _rule, writable=True, found=False)
_LOCATION = Field("calendar:Location", "Location", _text, writable=True)
_LOCATED = Field(
    "calendar:EnhancedLocation", "EnhancedLocation", v.Custom(_write_location), lambda i, w: i.get("calendar:Location"),
    since=V2013, found=False, listed=False,
)  # fmt: skip
_TYPE = Field("calendar:CalendarItemType", "CalendarItemType", TYPE, lambda i, w: calendar.item_type(i))
_UID = Field("calendar:UID", "UID", _text, writable=True)
_RECURRENCE_ID = Field("calendar:RecurrenceId", "RecurrenceId", _time, _recurrence_id, since=V2007)
_STAMP = Field(
    "calendar:DateTimeStamp", "DateTimeStamp", _time, lambda i, w: i.get("calendar:DateTimeStamp") or i.created
)
_IS_ORGANIZER = Field("calendar:IsOrganizer", "IsOrganizer", _bool, is_organizer, since=V2013, listed=False)

_CALENDAR_MIDDLE: tuple[Field, ...] = (
    Field("calendar:OriginalStart", "OriginalStart", _time, lambda i, w: i.original),
    Field("calendar:IsAllDayEvent", "IsAllDayEvent", _bool, writable=True, default=False),
    Field("calendar:LegacyFreeBusyStatus", "LegacyFreeBusyStatus", FREE_BUSY, writable=True, default="Busy"),
    _LOCATION,
    Field("calendar:When", "When", _text, writable=True),
    Field("calendar:IsMeeting", "IsMeeting", _bool, lambda i, w: is_meeting(i)),
    Field("calendar:IsCancelled", "IsCancelled", _bool, default=False),
    Field("calendar:IsRecurring", "IsRecurring", _bool, is_recurring),
    Field("calendar:MeetingRequestWasSent", "MeetingRequestWasSent", _bool, default=False),
)  # fmt: skip
_CALENDAR_PEOPLE: tuple[Field, ...] = (
    _TYPE,
    Field("calendar:MyResponseType", "MyResponseType", RESPONSE, _my_response),
    Field("calendar:Organizer", "Organizer", v.PersonCodec(), lambda i, w: i.get("calendar:Organizer") or w.mailbox(i).person),
    Field("calendar:RequiredAttendees", "RequiredAttendees", v.Attendees(), lambda i, w: i.get("calendar:RequiredAttendees") or None, writable=True, found=False),
    Field("calendar:OptionalAttendees", "OptionalAttendees", v.Attendees(), lambda i, w: i.get("calendar:OptionalAttendees") or None, writable=True, found=False),
    Field("calendar:Resources", "Resources", v.Attendees(), lambda i, w: i.get("calendar:Resources") or None, writable=True, found=False),
    Field("calendar:ConflictingMeetingCount", "ConflictingMeetingCount", _int, lambda i, w: _overlapping(i, w, False), found=False),
    Field("calendar:AdjacentMeetingCount", "AdjacentMeetingCount", _int, lambda i, w: _overlapping(i, w, True), found=False),
    Field("calendar:Duration", "Duration", _text, _duration),
    Field("calendar:TimeZone", "TimeZone", _text, lambda i, w: calendar.zone_of(i).name or calendar.zone_of(i).id or None),
    Field("calendar:AppointmentReplyTime", "AppointmentReplyTime", _time),
    Field("calendar:AppointmentSequenceNumber", "AppointmentSequenceNumber", _int, default=0),
    Field("calendar:AppointmentState", "AppointmentState", _int, _state),
    _RULE,
    Field("calendar:FirstOccurrence", "FirstOccurrence", v.Custom(_write_occurrence), _edge("first"), found=False),
    Field("calendar:LastOccurrence", "LastOccurrence", v.Custom(_write_occurrence), _edge("last"), found=False),
    Field("calendar:ModifiedOccurrences", "ModifiedOccurrences", v.Custom(_write_modified), _modified, found=False),
    Field("calendar:DeletedOccurrences", "DeletedOccurrences", v.Custom(_write_deleted), _deleted, found=False),
    Field("calendar:MeetingTimeZone", "MeetingTimeZone", v.MeetingZone(), writable=True, until=V2010 - 1, found=False),
    Field("calendar:StartTimeZone", "StartTimeZone", v.ZoneCodec(), writable=True, since=V2010),
    Field("calendar:EndTimeZone", "EndTimeZone", v.ZoneCodec(), writable=True, since=V2010),
    Field("calendar:ConferenceType", "ConferenceType", v.Integer(0, 2), writable=True, default=0, found=False),
    Field("calendar:AllowNewTimeProposal", "AllowNewTimeProposal", _bool, writable=True, default=True, found=False),
    Field("calendar:IsOnlineMeeting", "IsOnlineMeeting", _bool, writable=True, default=False),
    Field("calendar:MeetingWorkspaceUrl", "MeetingWorkspaceUrl", _text, writable=True),
    Field("calendar:NetShowUrl", "NetShowUrl", _text, writable=True),
    _LOCATED,
)  # fmt: skip
_WALL: tuple[Field, ...] = (
    Field("calendar:StartWallClock", "StartWallClock", WallClock(), _wall("calendar:Start", "calendar:StartTimeZone"), since=V2013, listed=False),
    Field("calendar:EndWallClock", "EndWallClock", WallClock(), _wall("calendar:End", "calendar:EndTimeZone"), since=V2013, listed=False),
    Field("calendar:StartTimeZoneId", "StartTimeZoneId", _text, lambda i, w: calendar.zone_of(i).id, since=V2013, listed=False),
    Field("calendar:EndTimeZoneId", "EndTimeZoneId", _text, lambda i, w: (i.get("calendar:EndTimeZone") or UTC_ZONE).id, since=V2013, listed=False),
)  # fmt: skip
CALENDAR: tuple[Field, ...] = (
    _UID, _RECURRENCE_ID, _STAMP, _START, _END, *_CALENDAR_MIDDLE,
    Field("calendar:IsResponseRequested", "IsResponseRequested", _bool, writable=True, default=True),
    *_CALENDAR_PEOPLE, *_WALL,
    Field("calendar:JoinOnlineMeetingUrl", "JoinOnlineMeetingUrl", _text, since=V2013, listed=False, found=False),
    _IS_ORGANIZER,
)  # fmt: skip

MESSAGE: tuple[Field, ...] = (
    Field("message:Sender", "Sender", v.PersonCodec(), writable=True),
    Field("message:ToRecipients", "ToRecipients", v.People(), writable=True, found=False),
    Field("message:CcRecipients", "CcRecipients", v.People(), writable=True, found=False),
    Field("message:BccRecipients", "BccRecipients", v.People(), writable=True, found=False),
    Field("message:IsReadReceiptRequested", "IsReadReceiptRequested", _bool, writable=True, default=False),
    Field("message:IsDeliveryReceiptRequested", "IsDeliveryReceiptRequested", _bool, writable=True, default=False),
    Field("message:ConversationIndex", "ConversationIndex", v.Base64(), lambda i, w: mime.conversation(i)),
    Field("message:ConversationTopic", "ConversationTopic", _text, lambda i, w: mime.topic(i)),
    Field("message:From", "From", v.PersonCodec(), writable=True),
    Field("message:InternetMessageId", "InternetMessageId", _text, lambda i, w: mime.message_id(i), writable=True),
    Field("message:IsRead", "IsRead", _bool, writable=True, default=True),
    Field("message:IsResponseRequested", "IsResponseRequested", _bool, writable=True, default=False),
    Field("message:References", "References", _text, writable=True),
    Field("message:ReplyTo", "ReplyTo", v.People(), writable=True, found=False),
    Field("message:ReceivedBy", "ReceivedBy", v.PersonCodec()),
    Field("message:ReceivedRepresenting", "ReceivedRepresenting", v.PersonCodec()),
)  # fmt: skip
MEETING: tuple[Field, ...] = (
    Field("meeting:AssociatedCalendarItemId", "AssociatedCalendarItemId", v.Custom(_write_linked), found=False),
    Field("meeting:IsDelegated", "IsDelegated", _bool, default=False),
    Field("meeting:IsOutOfDate", "IsOutOfDate", _bool, default=False),
    Field("meeting:HasBeenProcessed", "HasBeenProcessed", _bool, default=False),
    Field("meeting:ResponseType", "ResponseType", RESPONSE, default="Unknown"),
    _UID, _RECURRENCE_ID, _STAMP, _IS_ORGANIZER,
)  # fmt: skip
REQUEST: tuple[Field, ...] = (
    Field("meetingRequest:MeetingRequestType", "MeetingRequestType", v.Choice(
        "None", "FullUpdate", "InformationalUpdate", "NewMeetingRequest", "Outdated", "SilentUpdate", "PrincipalWantsCopy",
    ), default="NewMeetingRequest"),
    Field("meetingRequest:IntendedFreeBusyStatus", "IntendedFreeBusyStatus", FREE_BUSY, default="Busy"),
    _START, _END, *_CALENDAR_MIDDLE, *_CALENDAR_PEOPLE, *_WALL,
)  # fmt: skip
ANSWER: tuple[Field, ...] = (
    _START, _END, _LOCATION, _RULE, _TYPE,
    Field("meeting:ProposedStart", "ProposedStart", _time, since=V2013),
    Field("meeting:ProposedEnd", "ProposedEnd", _time, since=V2013),
    _LOCATED,
)  # fmt: skip

CONTACT: tuple[Field, ...] = (
    Field("contacts:FileAs", "FileAs", _text, _file_as, writable=True),
    Field("contacts:FileAsMapping", "FileAsMapping", v.Choice(*FILE_AS_MAPPINGS), writable=True),
    Field("contacts:DisplayName", "DisplayName", _text, writable=True),
    Field("contacts:GivenName", "GivenName", _name_part, writable=True),
    Field("contacts:Initials", "Initials", _text, writable=True),
    Field("contacts:MiddleName", "MiddleName", _name_part, writable=True),
    Field("contacts:Nickname", "Nickname", _text, writable=True),
    Field("contacts:CompleteName", "CompleteName", v.Parts(), _complete_name),
    Field("contacts:CompanyName", "CompanyName", _text, writable=True),
    Field("contacts:EmailAddresses", "EmailAddresses", v.EmailEntries(EMAIL_KEYS), writable=True),
    Field("contacts:PhysicalAddresses", "PhysicalAddresses", v.AddressEntries(ADDRESS_KEYS), writable=True),
    Field("contacts:PhoneNumbers", "PhoneNumbers", v.Entries(PHONE_KEYS), writable=True),
    Field("contacts:AssistantName", "AssistantName", _text, writable=True),
    Field("contacts:Birthday", "Birthday", _time, writable=True),
    Field("contacts:BusinessHomePage", "BusinessHomePage", _text, writable=True),
    Field("contacts:Children", "Children", v.Strings(), writable=True),
    Field("contacts:Companies", "Companies", v.Strings(), writable=True),
    Field("contacts:ContactSource", "ContactSource", v.Choice("ActiveDirectory", "Store"), listed=False),
    Field("contacts:Department", "Department", _text, writable=True),
    Field("contacts:Generation", "Generation", _text, writable=True),
    Field("contacts:ImAddresses", "ImAddresses", v.Entries(IM_KEYS), writable=True),
    Field("contacts:JobTitle", "JobTitle", _text, writable=True),
    Field("contacts:Manager", "Manager", _text, writable=True),
    Field("contacts:Mileage", "Mileage", _text, writable=True),
    Field("contacts:OfficeLocation", "OfficeLocation", _text, writable=True),
    Field("contacts:PostalAddressIndex", "PostalAddressIndex", v.Choice("None", "Home", "Business", "Other"), writable=True, default="None"),
    Field("contacts:Profession", "Profession", _text, writable=True),
    Field("contacts:SpouseName", "SpouseName", _text, writable=True),
    Field("contacts:Surname", "Surname", _name_part, writable=True),
    Field("contacts:WeddingAnniversary", "WeddingAnniversary", _time, writable=True),
    Field("contacts:HasPicture", "HasPicture", _bool, lambda i, w: any(a.contact_photo for a in i.attachments), since=V2010),
    Field("contacts:PhoneticFullName", "PhoneticFullName", _text, since=V2010_SP2, listed=False),
    Field("contacts:PhoneticFirstName", "PhoneticFirstName", _text, since=V2010_SP2, listed=False),
    Field("contacts:PhoneticLastName", "PhoneticLastName", _text, since=V2010_SP2, listed=False),
    Field("contacts:Alias", "Alias", _text, since=V2010_SP2, listed=False),
    Field("contacts:Notes", "Notes", _text, since=V2010_SP2, listed=False),
)  # fmt: skip
LIST: tuple[Field, ...] = (
    Field("contacts:DisplayName", "DisplayName", _text, writable=True),
    Field("contacts:FileAs", "FileAs", _text, lambda i, w: i.get("contacts:DisplayName")),
    Field("contacts:ContactSource", "ContactSource", v.Choice("ActiveDirectory", "Store"), default="Store"),
    Field("distributionlist:Members", "Members", Members(_write_members), lambda i, w: i.get("distributionlist:Members") or None, writable=True, since=V2010, found=False),
)  # fmt: skip
_STATUS_TEXT: dict[str, str] = {
    "NotStarted": "Not Started", "InProgress": "In Progress", "Completed": "Completed",
    "WaitingOnOthers": "Waiting on someone else", "Deferred": "Deferred",
}  # fmt: skip
TASK: tuple[Field, ...] = (
    Field("task:ActualWork", "ActualWork", v.Integer(0), writable=True),
    Field("task:AssignedTime", "AssignedTime", _time),
    Field("task:BillingInformation", "BillingInformation", _text, writable=True),
    Field("task:ChangeCount", "ChangeCount", _int, lambda i, w: i.version),
    Field("task:Companies", "Companies", v.Strings(), writable=True),
    Field("task:CompleteDate", "CompleteDate", _time, writable=True),
    Field("task:Contacts", "Contacts", v.Strings(), writable=True),
    Field("task:DelegationState", "DelegationState", v.Choice("NoMatch", "OwnNew", "Owned", "Accepted", "Declined", "Max"), default="NoMatch"),
    Field("task:Delegator", "Delegator", _text),
    Field("task:DueDate", "DueDate", _time, writable=True),
    Field("task:IsComplete", "IsComplete", _bool, lambda i, w: i.get("task:Status") == "Completed"),
    Field("task:IsRecurring", "IsRecurring", _bool, lambda i, w: i.get("task:Recurrence") is not None),
    Field("task:IsTeamTask", "IsTeamTask", _bool, default=False),
    Field("task:Mileage", "Mileage", _text, writable=True),
    Field("task:Owner", "Owner", _text, lambda i, w: w.mailbox(i).name),
    Field("task:PercentComplete", "PercentComplete", v.Double(), writable=True, default=0),
    Field("task:Recurrence", "Recurrence", v.TaskRecurrenceCodec(), writable=True, found=False),
    Field("task:StartDate", "StartDate", _time, writable=True),
    Field("task:Status", "Status", v.Choice("NotStarted", "InProgress", "Completed", "WaitingOnOthers", "Deferred"), writable=True, default="NotStarted"),
    Field("task:StatusDescription", "StatusDescription", _text, lambda i, w: _STATUS_TEXT.get(i.get("task:Status") or "NotStarted")),
    Field("task:TotalWork", "TotalWork", v.Integer(0), writable=True),
)  # fmt: skip
POST: tuple[Field, ...] = tuple(
    candidate
    for name in (
        "ConversationIndex",
        "ConversationTopic",
        "From",
        "InternetMessageId",
        "IsRead",
        "References",
        "Sender",
    )
    for candidate in MESSAGE
    if candidate.tag == name
)

KINDS: dict[str, tuple[Field, ...]] = {
    "Item": ITEM,
    "Message": ITEM + MESSAGE,
    "CalendarItem": ITEM + CALENDAR,
    "Contact": ITEM + CONTACT,
    "DistributionList": ITEM + LIST,
    "MeetingMessage": ITEM + MESSAGE + MEETING,
    "MeetingRequest": ITEM + MESSAGE + MEETING + REQUEST,
    "MeetingResponse": ITEM + MESSAGE + MEETING + ANSWER,
    "MeetingCancellation": ITEM + MESSAGE + MEETING + ANSWER,
    "Task": ITEM + TASK,
    "PostItem": ITEM + POST,
}
ITEM_CLASSES = {
    "Item": "IPM.Note", "Message": "IPM.Note", "CalendarItem": "IPM.Appointment", "Contact": "IPM.Contact",
    "DistributionList": "IPM.DistList", "MeetingMessage": "IPM.Schedule.Meeting",
    "MeetingRequest": "IPM.Schedule.Meeting.Request", "MeetingResponse": "IPM.Schedule.Meeting.Resp.Pos",
    "MeetingCancellation": "IPM.Schedule.Meeting.Canceled", "Task": "IPM.Task", "PostItem": "IPM.Post",
}  # fmt: skip
BY_URI = {kind: {one.uri: one for one in fields} for kind, fields in KINDS.items()}
BY_TAG = {kind: {one.tag: one for one in fields} for kind, fields in KINDS.items()}
ALL_URIS = {one.uri for fields in KINDS.values() for one in fields} | {"item:ItemId"}
KNOWN_UNFILLED = {
    "item:DisplayBcc", "item:Flag", "item:StoreEntryId", "item:EntityExtractionResult", "item:PolicyTag",
    "item:ArchiveTag", "item:RetentionDate", "item:RightsManagementLicenseData", "item:PredictedActionReasons",
    "item:IsClutter", "item:BlockStatus", "item:HasBlockedImages", "item:IconIndex", "item:MimeContentUTF8",
    "item:NextPredictedAction", "item:GroupingAction", "calendar:ConflictingMeetings", "calendar:AdjacentMeetings",
    "calendar:IntendedFreeBusyStatus", "calendar:OnlineMeetingSettings", "calendar:InboxReminders",
    "message:ApprovalRequestData", "message:VotingInformation", "message:ReminderMessageData",
    "contacts:Photo", "contacts:UserSMIMECertificate", "contacts:MSExchangeCertificate", "contacts:DirectoryId",
    "contacts:ManagerMailbox", "contacts:DirectReports", "contacts:PhoneticFullName", "task:IsAssignmentEditable",
    "postitem:PostedTime", "conversation:ConversationId", "meeting:ProposedStart",
    "meetingRequest:ChangeHighlights",
}  # fmt: skip
"""Field URIs of the schema for which the practice server never has a value: asking for them is allowed."""

INDEXED = {
    "contacts:EmailAddress": ("contacts:EmailAddresses", "EmailAddresses", EMAIL_KEYS),
    "contacts:ImAddress": ("contacts:ImAddresses", "ImAddresses", IM_KEYS),
    "contacts:PhoneNumber": ("contacts:PhoneNumbers", "PhoneNumbers", PHONE_KEYS),
    **{
        f"contacts:PhysicalAddress:{part}": ("contacts:PhysicalAddresses", f"PhysicalAddresses:{part}", ADDRESS_KEYS)
        for part in v.ADDRESS_PARTS
    },
}
"""Indexed field URI -> the field it is a part of, the label used in a shape, the valid indexes."""

_COMMON_DEFAULT = {"item:ItemId", "item:HasAttachments"}
DEFAULTS = {
    "CalendarItem": _COMMON_DEFAULT | {
        "item:Subject", "item:ResponseObjects", "item:IsAssociated", "calendar:Start", "calendar:End",
        "calendar:LegacyFreeBusyStatus", "calendar:Location", "calendar:CalendarItemType", "calendar:Organizer",
    },
    "Contact": _COMMON_DEFAULT | {
        "contacts:FileAs", "contacts:CompleteName", "contacts:CompanyName", "contacts:EmailAddresses",
        "contacts:PhysicalAddresses", "contacts:PhoneNumbers", "contacts:ImAddresses", "contacts:JobTitle",
    },
    "Task": _COMMON_DEFAULT | {
        "item:Subject", "task:DueDate", "task:PercentComplete", "task:StartDate", "task:Status",
    },
    "DistributionList": _COMMON_DEFAULT | {"item:Subject", "contacts:DisplayName", "contacts:FileAs"},
}  # fmt: skip
_MESSAGE_DEFAULT = _COMMON_DEFAULT | {
    "item:Subject", "item:Sensitivity", "item:Body", "item:Size", "item:DateTimeSent", "item:DateTimeCreated",
    "item:ResponseObjects", "item:IsAssociated", "message:From", "message:IsDeliveryReceiptRequested", "message:IsRead",
    "message:ToRecipients", "message:CcRecipients", "message:IsReadReceiptRequested",
}  # fmt: skip


def subject_of(item: Item) -> str | None:
    """Subject of an item; a contact or list has its display name there."""
    stored = item.get("item:Subject")
    if stored is None and item.kind in ("Contact", "DistributionList"):
        return item.get("contacts:DisplayName") or None
    return None if stored is None else str(stored)


def item_class(item: Item) -> str:
    """ItemClass of an item."""
    stored = item.get("item:ItemClass")
    return str(stored) if stored else ITEM_CLASSES.get(item.kind, "IPM.Note")


@dataclass
class Shape:
    """An ItemShape: base shape, further properties, and how bodies are wanted."""

    base: str = "IdOnly"
    uris: set[str] = field(default_factory=set)
    labels: set[tuple[str, str]] = field(default_factory=set)
    extended: list[tuple[PropertyKey, Element]] = field(default_factory=list)
    body_type: str = "Best"
    mime: bool = False
    elements: dict[str, tuple[Field, ...]] = field(default_factory=dict)

    def fields(self, kind: str, view: View) -> tuple[Field, ...]:
        """The properties to write for an item type, in schema order."""
        chosen = self.elements.get(kind)
        if chosen is None:
            chosen = self.elements[kind] = tuple(self._choose(kind, view))
        return chosen

    def _choose(self, kind: str, view: View) -> list[Field]:
        uris = self.uris | {INDEXED[uri][0] for uri, _ in self.labels} | {"item:ItemId"}
        if self.base == "Default":
            uris |= DEFAULTS.get(kind, _MESSAGE_DEFAULT)
        if self.mime and self.base != "IdOnly":
            uris |= {"item:MimeContent"}
        chosen = []
        for one in KINDS.get(kind, ITEM):
            wanted = one.uri in uris or (self.base == "AllProperties" and one.listed)
            if wanted and one.since <= view.version <= one.until and (one.found or not view.finding):
                chosen.append(one)
        return chosen


def read_shape(node: Element | None, view: View) -> Shape:
    """The m:ItemShape of a request. Raises a schema fault or `EwsError` for what cannot be asked."""
    if node is None:
        raise schema_violation("The request has incomplete content: 'ItemShape' expected.")
    base = (text_of(node, "BaseShape") or "").strip()
    if base not in ("IdOnly", "Default", "AllProperties", "PcxPeopleSearch"):
        raise schema_violation(f"The 'BaseShape' element is invalid - The value '{base}' is invalid.", node.sourceline)
    shape = Shape(base, body_type=(text_of(node, "BodyType") or "Best").strip())
    shape.mime = flag(text_of(node, "IncludeMimeContent"))
    additional = child(node, "AdditionalProperties")
    for path in additional if additional is not None else ():
        _add_path(shape, path)
    view.body_type = shape.body_type
    if shape.mime:
        shape.uris.add("item:MimeContent")
    if base == "IdOnly" or base == "Default":
        view.labels = _wanted_labels(shape)
    return shape


def _wanted_labels(shape: Shape) -> set[tuple[str, str]] | None:
    """The dictionary entries to show; None for all. A whole dictionary asked for shows all its entries."""
    if not shape.labels:
        return None
    chosen = {(INDEXED[uri][1], key) for uri, key in shape.labels}
    whole = {name for name, (uri, _, _) in INDEXED.items() if uri in shape.uris or shape.base == "Default"}
    for name in whole:
        chosen |= {(INDEXED[name][1], key) for key in INDEXED[name][2]}
    return chosen


def _add_path(shape: Shape, path: Element) -> None:
    name = local(path)
    if name == "FieldURI":
        shape.uris.add(field_uri(path))
    elif name == "IndexedFieldURI":
        uri, index = indexed_uri(path)
        if uri in INDEXED:
            shape.labels.add((uri, index))
    elif name == "ExtendedFieldURI":
        shape.extended.append((extended.read_key(path)[0], path))
    else:
        raise schema_violation(
            f"The element 'AdditionalProperties' has invalid child element '{name}'.", path.sourceline
        )


def field_uri(path: Element) -> str:
    """The URI of a t:FieldURI. Raises a schema fault for one that no schema version has."""
    uri = path.get("FieldURI")
    if uri is None:
        raise schema_violation("The required attribute 'FieldURI' is missing.", path.sourceline)
    if (
        uri not in ALL_URIS
        and uri not in KNOWN_UNFILLED
        and not uri.startswith(("folder:", "persona:", "conversation:"))
    ):
        raise schema_violation(
            f"The 'FieldURI' attribute is invalid - The value '{uri}' is invalid according to its datatype "
            f"'http://schemas.microsoft.com/exchange/services/2006/types:UnindexedFieldURIType' - "
            f"The Enumeration constraint failed.",
            path.sourceline,
        )
    return str(uri)


def indexed_uri(path: Element) -> tuple[str, str]:
    """(URI, index) of a t:IndexedFieldURI."""
    uri, index = path.get("FieldURI") or "", path.get("FieldIndex")
    if index is None:
        raise schema_violation("The required attribute 'FieldIndex' is missing.", path.sourceline)
    if uri in INDEXED:
        if index not in INDEXED[uri][2]:
            raise EwsError(
                "ErrorInvalidIndexedPagingParameters" if not index else "ErrorInvalidPropertyRequest", path=path
            )
    elif uri not in ("item:InternetMessageHeader", "distributionlist:Members:Member"):
        raise schema_violation(f"The 'FieldURI' attribute is invalid - The value '{uri}' is invalid.", path.sourceline)
    return uri, index


def render(item: Item, shape: Shape, view: View) -> Element:
    """An item as an element of the reply."""
    node = element(f"{T}{item.element or item.kind}")
    placed = not shape.extended
    for one in shape.fields(item.kind, view):
        if not placed and one.tag in _AFTER_EXTENDED:
            extended.write(node, item, shape.extended)
            placed = True
        value = one.value(item, view)
        if value is not None:
            one.codec.write(node, one.tag, value, view)
    if not placed:
        extended.write(node, item, shape.extended)
    return node


_AFTER_EXTENDED = frozenset(
    {one.tag for one in ITEM[[one.tag for one in ITEM].index("HasAttachments") + 1 :]}
    | {one.tag for fields in (CALENDAR, MESSAGE, MEETING, REQUEST, ANSWER, CONTACT, LIST, TASK) for one in fields}
)
