"""Meetings: who is told what. Requests, updates, cancellations and responses, the ledger of mail, local delivery.

Nothing leaves the server. Every message goes into the ledger; recipients that have a mailbox here also receive it,
and their calendars follow, as an Exchange calendar attendant does it. Source: EWS reference (SendMeetingInvitations,
SendMeetingInvitationsOrCancellations, SendMeetingCancellations, AcceptItem and relatives, CancelCalendarItem).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from . import calendar
from .calls import Call
from .errors import EwsError, not_implemented, schema_violation
from .properties import ATTENDEE_FIELDS, Shape, attendees_of, is_meeting, is_organizer, render
from .soap import Element, T, child, element, local, text_of
from .store import Attachment, Attendee, Body, Extended, Item, Mail, Mailbox, Override, Person, PropertyKey
from .values import BodyCodec, People, parse_time

RESPONSES = {"AcceptItem": "Accept", "TentativelyAcceptItem": "Tentative", "DeclineItem": "Decline"}
REPLIES = (
    *RESPONSES,
    "CancelCalendarItem",
    "RemoveItem",
    "ForwardItem",
    "ReplyToItem",
    "ReplyAllToItem",
    "SuppressReadReceipt",
    "PostReplyItem",
    "AcceptSharingInvitation",
    "ProposeNewTime",
    "AddItemToMyCalendar",
)
_ANSWER_CLASSES = {"Accept": "Pos", "Tentative": "Tent", "Decline": "Neg"}
_ANSWER_WORDS = {"Accept": "Accepted", "Tentative": "Tentative", "Decline": "Declined"}
_ERROR_WORDS = {"Accept": "Accept", "Tentative": "Tentative", "Decline": "Decline"}
SHARED = (
    "item:Subject",
    "item:Body",
    "item:Importance",
    "item:Sensitivity",
    "calendar:Start",
    "calendar:End",
    "calendar:StartTimeZone",
    "calendar:EndTimeZone",
    "calendar:IsAllDayEvent",
    "calendar:Location",
    "calendar:Recurrence",
    "calendar:UID",
    "calendar:Organizer",
    "calendar:AppointmentSequenceNumber",
    "calendar:IsOnlineMeeting",
    "calendar:JoinOnlineMeetingUrl",
    "calendar:AllowNewTimeProposal",
    *ATTENDEE_FIELDS,
)
"""What a meeting request tells an attendee. Categories, reminders and extended properties stay with the organiser."""


def new_uid(call: Call) -> str:
    """A global object id as Outlook and Exchange make them: hexadecimal, upper case."""
    ticks = int((call.now.timestamp() + 11644473600) * 10_000_000)
    unique = hashlib.md5(f"{call.server.seed}:{call.world.serial}".encode()).hexdigest().upper()
    return (
        "040000008200E00074C5B7101A82E00800000000"
        + ticks.to_bytes(8, "little").hex().upper()
        + "0" * 16
        + "10000000"
        + unique
    )


def recipients_of(values: Mapping[str, Any]) -> tuple[Person, ...]:
    """To, cc and bcc recipients of a message."""
    return tuple(
        person
        for uri in ("message:ToRecipients", "message:CcRecipients", "message:BccRecipients")
        for person in values.get(uri) or ()
    )


def invited(item: Item | Mapping[str, Any], organizer: Person) -> dict[str, Person]:
    """The people to tell about a meeting, by address; the organiser is not among them."""
    return {
        attendee.person.key: attendee.person
        for attendee in attendees_of(item)
        if attendee.person.key and attendee.person.key != organizer.key
    }


# -- organiser's side -------------------------------------------------------------------------------------------------


def after_create(call: Call, item: Item, send: str) -> Item:
    """Send the requests of a new meeting, if any are to be sent."""
    if send == "SendToNone" or not is_organizer(item, call.view()):
        return item
    people = invited(item, item.get("calendar:Organizer"))
    if not people:
        return item
    item = call.world.put(replace(item, values={**item.values, "calendar:MeetingRequestWasSent": True}))
    send_requests(call, item, list(people.values()), "request", saved=send.endswith("SaveCopy"))
    return item


def after_update(call: Call, before: Item, after: Item, send: str) -> Item:
    """Tell attendees of a changed meeting what `send` says they are to be told."""
    if send == "SendToNone" or after.kind != "CalendarItem" or not is_organizer(after, call.view()):
        return after
    organizer = after.get("calendar:Organizer") or call.world.mailbox_of(call.world.folders[after.folder]).person
    earlier, now = invited(before, organizer), invited(after, organizer)
    added = [person for key, person in now.items() if key not in earlier]
    kept = [person for key, person in now.items() if key in earlier]
    removed = [person for key, person in earlier.items() if key not in now]
    saved = send.endswith("SaveCopy")
    to_all = "ToAll" in send
    if to_all and now and after.master is None:
        values = dict(after.values)
        values["calendar:MeetingRequestWasSent"] = True
        if any(before.get(uri) != after.get(uri) for uri in ("calendar:Start", "calendar:End", "calendar:Recurrence")):
            values["calendar:AppointmentSequenceNumber"] = (values.get("calendar:AppointmentSequenceNumber") or 0) + 1
        if values != after.values:
            after = call.world.put(replace(after, values=values))
    if removed:
        send_cancellations(call, after, removed, saved=saved)
    if added:
        send_requests(call, after, added, "request", saved=saved)
    if to_all and kept:
        send_requests(call, after, kept, "update", saved=saved)
    return after


def before_delete(call: Call, item: Item, send: str) -> None:
    """Send what deleting a calendar item sends: cancellations by the organiser, a declining answer by an attendee."""
    if send == "SendToNone" or not is_meeting(item):
        return
    if is_organizer(item, call.view()):
        people = invited(
            item, item.get("calendar:Organizer") or call.world.mailbox_of(call.world.folders[item.folder]).person
        )
        if people:
            send_cancellations(call, item, list(people.values()), saved=send.endswith("SaveCopy"))
    elif not item.get("calendar:IsCancelled") and item.get("calendar:MyResponseType") != "Decline":
        _send_response(call, item, "Decline", None, saved=send.endswith("SaveCopy"))


def send_requests(call: Call, item: Item, people: list[Person], kind: str, *, saved: bool) -> None:
    """Mail a request or an update of a meeting, and bring it into the calendars of local attendees."""
    sender = call.world.mailbox_of(call.world.folders[item.folder])
    _record(call, kind, sender, people, item, saved=saved)
    if saved:
        _message(
            call,
            sender,
            "sentitems",
            "MeetingRequest",
            item,
            _request_values(call, item, sender, people, kind),
            read=True,
        )
    for person in people:
        mailbox = call.world.mailbox(person.address)
        if mailbox is None or mailbox is sender:
            continue
        copy = _attendee_copy(call, mailbox, item)
        values = _request_values(call, item, sender, people, kind)
        values["meeting:AssociatedCalendarItemId"] = copy.serial
        values["message:ReceivedBy"] = values["message:ReceivedRepresenting"] = mailbox.person
        _message(call, mailbox, "inbox", "MeetingRequest", item, values, read=False)


def send_cancellations(call: Call, item: Item, people: list[Person], *, saved: bool, body: Body | None = None) -> None:
    """Mail a cancellation, and mark the meeting as cancelled in the calendars of local attendees."""
    sender = call.world.mailbox_of(call.world.folders[item.folder])
    _record(call, "cancellation", sender, people, item, saved=saved)
    values = _meeting_values(item, sender, people)
    values["item:Subject"] = f"Canceled: {item.get('item:Subject') or ''}"
    if body is not None:
        values["item:Body"] = body
    if saved:
        _message(call, sender, "sentitems", "MeetingCancellation", item, values, read=True)
    for person in people:
        mailbox = call.world.mailbox(person.address)
        if mailbox is None or mailbox is sender:
            continue
        told = dict(values)
        for copy in call.world.with_uid(mailbox, item.get("calendar:UID")):
            cancelled = _cancel_copy(call, copy, item)
            told["meeting:AssociatedCalendarItemId"] = cancelled.serial
        told["message:ReceivedBy"] = mailbox.person
        _message(call, mailbox, "inbox", "MeetingCancellation", item, told, read=False)


def _cancel_copy(call: Call, copy: Item, item: Item) -> Item:
    marks = {
        "calendar:IsCancelled": True,
        "calendar:LegacyFreeBusyStatus": "Free",
        "item:Subject": f"Canceled: {item.get('item:Subject') or ''}",
    }
    if item.original is not None and copy.is_master:
        override = Override(item.get("calendar:Start"), item.get("calendar:End"), marks, modified=call.now)
        exceptions = {**copy.exceptions, item.original: override}
        return call.world.put(replace(copy, exceptions=exceptions, modified=call.now))
    return call.world.put(replace(copy, values={**copy.values, **marks}, modified=call.now))


def _attendee_copy(call: Call, mailbox: Mailbox, item: Item) -> Item:
    """Bring a meeting into an attendee's calendar, tentatively; a known one is updated."""
    shared = {uri: item.get(uri) for uri in SHARED if item.get(uri) is not None}
    shared |= {"calendar:IsMeeting": True, "calendar:MeetingRequestWasSent": True, "calendar:DateTimeStamp": call.now}
    for uri in ATTENDEE_FIELDS:
        if uri in shared:
            shared[uri] = tuple(replace(attendee, response="Unknown", responded=None) for attendee in shared[uri])
    known = call.world.with_uid(mailbox, item.get("calendar:UID"))
    trash = mailbox.folders["deleteditems"]
    known = [copy for copy in known if copy.folder != trash]
    if item.original is not None:
        return _attendee_occurrence(call, mailbox, item, known, shared)
    if known:
        copy = known[0]
        moved = any(copy.get(uri) != item.get(uri) for uri in ("calendar:Start", "calendar:End", "calendar:Recurrence"))
        values = {**copy.values, **shared}
        for uri in ("calendar:IsCancelled", *(uri for uri in SHARED if uri not in shared)):
            values.pop(uri, None)
        if moved:
            values |= {"calendar:MyResponseType": "NoResponseReceived", "calendar:LegacyFreeBusyStatus": "Tentative"}
        exceptions, deleted = (_shared_exceptions(item), item.deleted) if item.is_master else ({}, {})
        return call.world.put(
            replace(
                copy, values=values, exceptions=exceptions, deleted=deleted, modified=call.now, modified_by=mailbox.name
            )
        )
    return _new_copy(call, mailbox, shared, item)


def _new_copy(call: Call, mailbox: Mailbox, shared: dict[str, Any], item: Item) -> Item:
    values = {
        **shared,
        "calendar:MyResponseType": "NoResponseReceived",
        "calendar:LegacyFreeBusyStatus": "Tentative",
        "item:ReminderIsSet": True,
        "item:ReminderMinutesBeforeStart": 15,
    }
    return call.world.put(
        Item(
            call.world.next_serial(),
            "CalendarItem",
            mailbox.folders["calendar"],
            values,
            call.now,
            call.now,
            modified_by=mailbox.name,
            attachments=item.attachments,
            exceptions=_shared_exceptions(item) if item.is_master else {},
            deleted=dict(item.deleted) if item.is_master else {},
        )
    )


def _shared_exceptions(item: Item) -> dict[datetime, Override]:
    return {
        at: replace(
            override, values={uri: value for uri, value in override.values.items() if uri in SHARED}, extended={}
        )
        for at, override in item.exceptions.items()
    }


def _attendee_occurrence(call: Call, mailbox: Mailbox, item: Item, known: list[Item], shared: dict[str, Any]) -> Item:
    assert item.original is not None and item.master is not None
    series = next((copy for copy in known if copy.is_master), None)
    if series is None:
        values = {uri: value for uri, value in shared.items() if uri != "calendar:Recurrence"}
        values["calendar:RecurrenceId"] = item.original
        single = next((copy for copy in known if copy.get("calendar:RecurrenceId") == item.original), None)
        if single is not None:
            return call.world.put(replace(single, values={**single.values, **values}, modified=call.now))
        return _new_copy(call, mailbox, values, replace(item, master=None, original=None))
    override = item.master.exceptions.get(item.original)
    if override is None:
        return series
    kept = {uri: value for uri, value in override.values.items() if uri in SHARED}
    exceptions = {**series.exceptions, item.original: replace(override, values=kept, extended={})}
    return call.world.put(replace(series, exceptions=exceptions, modified=call.now, modified_by=mailbox.name))


def _meeting_values(item: Item, sender: Mailbox, people: Iterable[Person]) -> dict[str, Any]:
    values = {uri: item.get(uri) for uri in SHARED if item.get(uri) is not None}
    if item.original is not None:
        values.pop("calendar:Recurrence", None)
        values["calendar:RecurrenceId"] = item.original
    return {
        **values,
        "message:From": sender.person,
        "message:Sender": sender.person,
        "message:ToRecipients": tuple(people),
    }


def _request_values(call: Call, item: Item, sender: Mailbox, people: Iterable[Person], kind: str) -> dict[str, Any]:
    return {
        **_meeting_values(item, sender, people),
        "meetingRequest:MeetingRequestType": "NewMeetingRequest" if kind == "request" else "FullUpdate",
        "meetingRequest:IntendedFreeBusyStatus": item.get("calendar:LegacyFreeBusyStatus") or "Busy",
        "meeting:ResponseType": "Unknown",
        "calendar:IsMeeting": True,
        "calendar:LegacyFreeBusyStatus": "Tentative",
        "calendar:MyResponseType": "NoResponseReceived",
        "message:IsResponseRequested": True,
    }


def _message(
    call: Call, mailbox: Mailbox, folder: str, kind: str, item: Item, values: dict[str, Any], *, read: bool
) -> Item:
    """Put a meeting message into a folder of a mailbox."""
    values = {
        **values,
        "message:IsRead": read,
        "item:DateTimeSent": call.now,
        "item:DateTimeReceived": call.now,
        "item:IsFromMe": read,
    }
    return call.world.put(
        Item(
            call.world.next_serial(),
            kind,
            mailbox.folders[folder],
            values,
            call.now,
            call.now,
            modified_by=mailbox.name,
        )
    )


def _record(
    call: Call,
    kind: str,
    sender: Mailbox,
    people: Iterable[Person],
    item: Item,
    *,
    saved: bool,
    response: str = "",
    subject: str | None = None,
) -> None:
    call.world.ledger.append(
        Mail(
            kind,
            sender.address,
            tuple(person.address for person in people),
            str(item.get("item:Subject") or "") if subject is None else subject,
            call.world.item_id(item),
            call.now,
            str(item.get("calendar:UID") or ""),
            response,
            saved,
        )
    )


def deliver_message(
    call: Call,
    values: Mapping[str, Any],
    attachments: tuple[Attachment, ...],
    recipients: tuple[Person, ...],
    *,
    saved: bool,
    extended: Mapping[PropertyKey, Extended] | None = None,
) -> None:
    """Mail an ordinary message and put it into local inboxes."""
    sender = call.own()
    call.world.ledger.append(
        Mail(
            "message",
            sender.address,
            tuple(person.address for person in recipients),
            str(values.get("item:Subject") or ""),
            "",
            call.now,
            saved_copy=saved,
        )
    )
    for person in recipients:
        mailbox = call.world.mailbox(person.address)
        if mailbox is None:
            continue
        told = {
            **values,
            "message:IsRead": False,
            "item:IsDraft": False,
            "item:DateTimeReceived": call.now,
            "message:ReceivedBy": mailbox.person,
        }
        told.pop("message:BccRecipients", None)
        call.world.put(
            Item(
                call.world.next_serial(),
                "Message",
                mailbox.folders["inbox"],
                told,
                call.now,
                call.now,
                modified_by=mailbox.name,
                attachments=attachments,
                extended=dict(extended or {}),
            )
        )


# -- attendee's side --------------------------------------------------------------------------------------------------


def reply_item(call: Call, node: Element, disposition: str | None) -> list[Element]:
    """Carry out a reply item of CreateItem; the elements of the items that come out of it."""
    kind = local(node)
    reference = child(node, "ReferenceItemId")
    if reference is None:
        raise schema_violation(
            f"The element '{kind}' has incomplete content: 'ReferenceItemId' expected.", node.sourceline
        )
    if kind in ("PostReplyItem", "AcceptSharingInvitation", "ProposeNewTime", "AddItemToMyCalendar"):
        raise not_implemented(kind)
    if disposition is None and kind not in ("RemoveItem", "SuppressReadReceipt"):
        raise EwsError("ErrorMessageDispositionRequired")
    item = call.item(element(f"{T}ItemId", dict(reference.attrib)), write=True)
    saved, sent = disposition == "SendAndSaveCopy", disposition in ("SendOnly", "SendAndSaveCopy")
    body_node = child(node, "NewBodyContent")
    if body_node is None:
        body_node = child(node, "Body")
    body = BodyCodec().read(body_node, call.view()) if body_node is not None else None
    if kind in RESPONSES:
        proposed = _proposed(node)
        return [
            _shown(call, made)
            for made in answer(call, item, RESPONSES[kind], body, sent=sent, saved=saved, proposed=proposed)
        ]
    handlers: dict[str, Callable[[], list[Item]]] = {
        "CancelCalendarItem": lambda: _cancel(call, item, body, sent=sent, saved=saved),
        "RemoveItem": lambda: _remove(call, item),
        "SuppressReadReceipt": list,
    }
    if kind in handlers:
        return [_shown(call, made) for made in handlers[kind]()]
    return _write_back(call, node, item, kind, body, sent=sent, saved=saved)


def _proposed(node: Element) -> tuple[datetime, datetime] | None:
    start, end = child(node, "ProposedStart"), child(node, "ProposedEnd")
    if start is None or end is None:
        return None
    return parse_time(start.text, start), parse_time(end.text, end)


def _shown(call: Call, item: Item) -> Element:
    return render(item, Shape(), call.view())


def answer(
    call: Call,
    item: Item,
    response: str,
    body: Body | None = None,
    *,
    sent: bool,
    saved: bool = False,
    proposed: tuple[datetime, datetime] | None = None,
) -> list[Item]:
    """Answer a meeting, by its request or its calendar item. Returns what the calendar item became."""
    word = _ERROR_WORDS[response]
    if item.kind not in ("MeetingRequest", "CalendarItem"):
        raise EwsError(f"ErrorInvalidItemForOperation{'Tentative' if response == 'Tentative' else word + 'Item'}")
    if item.kind == "CalendarItem" and (not is_meeting(item) or is_organizer(item, call.view())):
        raise EwsError(f"ErrorCalendarIsOrganizerFor{word}")
    if item.get("calendar:IsCancelled"):
        raise EwsError(f"ErrorCalendarIsCancelledFor{word}")
    request = item if item.kind == "MeetingRequest" else None
    meeting = _calendar_item_of(call, item)
    if item.kind == "MeetingRequest" and meeting is None:
        raise EwsError("ErrorCalendarMeetingRequestIsOutOfDate")
    assert meeting is not None
    made = _record_my_response(call, meeting, response)
    if sent:
        _send_response(call, made, response, body, saved=saved, proposed=proposed)
    if request is not None:
        trash = call.world.folder(call.world.mailbox_of(call.world.folders[request.folder]), "deleteditems")
        call.world.move(
            replace(request, values={**request.values, "meeting:HasBeenProcessed": True, "message:IsRead": True}), trash
        )
    if response == "Decline" and made.master is None:
        mailbox = call.world.mailbox_of(call.world.folders[made.folder])
        made = call.world.move(made, call.world.folder(mailbox, "deleteditems"))
    elif response == "Decline" and made.original is not None and made.master is not None:
        from .items import delete_occurrence

        call.world.put(delete_occurrence(made.master, made, call))
    return [made]


def _calendar_item_of(call: Call, item: Item) -> Item | None:
    if item.kind == "CalendarItem":
        return item
    linked = call.world.item(item.get("meeting:AssociatedCalendarItemId") or 0)
    if linked is None:
        mailbox = call.world.mailbox_of(call.world.folders[item.folder])
        known = call.world.with_uid(mailbox, item.get("calendar:UID") or "")
        linked = next((copy for copy in known if copy.folder != mailbox.folders["deleteditems"]), None)
    original = item.get("calendar:RecurrenceId")
    if linked is not None and linked.is_master and original is not None:
        return calendar.Series(linked).at(original)
    return linked


def _record_my_response(call: Call, meeting: Item, response: str) -> Item:
    status = {"Accept": "Busy", "Tentative": "Tentative", "Decline": "Free"}[response]
    marks = {
        "calendar:MyResponseType": response,
        "calendar:AppointmentReplyTime": call.now,
        "calendar:LegacyFreeBusyStatus": status,
    }
    if meeting.master is not None and meeting.original is not None:
        known = meeting.master.exceptions.get(meeting.original) or Override(
            meeting.get("calendar:Start"), meeting.get("calendar:End")
        )
        override = replace(known, values={**known.values, **marks}, modified=call.now)
        stored = call.world.put(
            replace(
                meeting.master, exceptions={**meeting.master.exceptions, meeting.original: override}, modified=call.now
            )
        )
        return calendar.Series(stored).at(meeting.original)
    return call.world.put(
        replace(meeting, values={**meeting.values, **marks}, modified=call.now, modified_by=call.actor_name)
    )


def _send_response(
    call: Call,
    meeting: Item,
    response: str,
    body: Body | None,
    *,
    saved: bool,
    proposed: tuple[datetime, datetime] | None = None,
) -> None:
    """Mail an answer to the organiser; the organiser's copy of the meeting then knows it."""
    organizer: Person | None = meeting.get("calendar:Organizer")
    if organizer is None:
        return
    sender = call.world.mailbox_of(call.world.folders[meeting.folder])
    subject = f"{_ANSWER_WORDS[response]}: {meeting.get('item:Subject') or ''}"
    _record(call, "response", sender, [organizer], meeting, saved=saved, response=response, subject=subject)
    values = {
        **_meeting_values(meeting, sender, [organizer]),
        "item:Subject": subject,
        "item:ItemClass": f"IPM.Schedule.Meeting.Resp.{_ANSWER_CLASSES[response]}",
        "meeting:ResponseType": response,
    }
    values.pop("item:Body", None)
    if body is not None:
        values["item:Body"] = body
    if proposed is not None:
        values["meeting:ProposedStart"], values["meeting:ProposedEnd"] = proposed
    if saved:
        _message(call, sender, "sentitems", "MeetingResponse", meeting, values, read=True)
    mailbox = call.world.mailbox(organizer.address)
    if mailbox is None:
        return
    for theirs in call.world.with_uid(mailbox, meeting.get("calendar:UID") or ""):
        if theirs.folder != mailbox.folders["deleteditems"]:
            stored = call.world.put(_with_response(call, theirs, sender.person, response, meeting.original))
            values["meeting:AssociatedCalendarItemId"] = stored.serial
    _message(call, mailbox, "inbox", "MeetingResponse", meeting, values, read=False)


def _with_response(call: Call, theirs: Item, who: Person, response: str, original: datetime | None) -> Item:
    """The organiser's item with an attendee's response noted."""

    def noted(values: Mapping[str, Any]) -> dict[str, Any]:
        changed: dict[str, Any] = {}
        for uri in ATTENDEE_FIELDS:
            attendees: tuple[Attendee, ...] = values.get(uri) or ()
            if any(attendee.person.key == who.key for attendee in attendees):
                changed[uri] = tuple(
                    replace(attendee, response=response, responded=call.now)
                    if attendee.person.key == who.key
                    else attendee
                    for attendee in attendees
                )
        return changed

    if original is not None and theirs.is_master:
        occurrence = calendar.Series(theirs).at(original)
        known = theirs.exceptions.get(original) or Override(
            occurrence.get("calendar:Start"), occurrence.get("calendar:End")
        )
        override = replace(known, values={**known.values, **noted(occurrence.values)}, modified=call.now)
        return replace(theirs, exceptions={**theirs.exceptions, original: override}, modified=call.now)
    return replace(theirs, values={**theirs.values, **noted(theirs.values)}, modified=call.now)


def _cancel(call: Call, item: Item, body: Body | None, *, sent: bool, saved: bool) -> list[Item]:
    if item.kind != "CalendarItem":
        raise EwsError("ErrorInvalidItemForOperationCancelItem")
    if not is_organizer(item, call.view()):
        raise EwsError("ErrorCalendarIsNotOrganizer")
    people = invited(item, item.get("calendar:Organizer"))
    if people and sent:
        send_cancellations(call, item, list(people.values()), saved=saved, body=body)
    from .items import discard

    made = discard(call, item, "MoveToDeletedItems")
    return [made] if made is not None and item.master is None else []


def _remove(call: Call, item: Item) -> list[Item]:
    if item.kind not in ("MeetingCancellation", "MeetingRequest", "CalendarItem"):
        raise EwsError("ErrorInvalidItemForOperationRemoveItem")
    if item.kind == "CalendarItem" and is_organizer(item, call.view()):
        raise EwsError("ErrorCalendarIsOrganizerForRemove")
    from .items import discard

    meeting = _calendar_item_of(call, item)
    if item.kind == "CalendarItem" and not item.get("calendar:IsCancelled"):
        raise EwsError("ErrorCalendarIsCancelledForRemove")
    if item.kind != "CalendarItem":
        discard(call, item, "MoveToDeletedItems")
    made = discard(call, meeting, "MoveToDeletedItems") if meeting is not None else None
    return [made] if made is not None else []


def _write_back(
    call: Call, node: Element, item: Item, kind: str, body: Body | None, *, sent: bool, saved: bool
) -> list[Element]:
    """ReplyToItem, ReplyAllToItem and ForwardItem."""
    view = call.view()
    given = child(node, "ToRecipients")
    to: tuple[Person, ...] = People().read(given, view) if given is not None else ()
    cc_node = child(node, "CcRecipients")
    cc: tuple[Person, ...] = People().read(cc_node, view) if cc_node is not None else ()
    author = item.get("message:From") or item.get("calendar:Organizer")
    me = call.own().person
    if kind != "ForwardItem" and not to and author is not None:
        to = (author,)
        if kind == "ReplyAllToItem":
            others = [*(item.get("message:ToRecipients") or ()), *(one.person for one in attendees_of(item))]
            cc = (*cc, *(person for person in others if person.key not in (me.key, author.key)))
    prefix = "FW" if kind == "ForwardItem" else "RE"
    old = item.get("item:Body")
    text = Body(
        (body.text if body else "") + (old.text if old else ""), body.kind if body else old.kind if old else "Text"
    )
    values = {
        "item:Subject": text_of(node, "Subject") or f"{prefix}: {item.get('item:Subject') or ''}",
        "item:Body": text,
        "message:ToRecipients": to,
        "message:CcRecipients": cc,
        "message:From": me,
        "message:Sender": me,
        "item:InReplyTo": "",
    }
    if not sent:
        from .items import Draft, store

        made = store(call, Draft("Message", {**values, "item:IsDraft": True}), call.world.folder(call.own(), "drafts"))
        return [_shown(call, made)]
    if not (to or cc):
        raise EwsError("ErrorMissingRecipients")
    if kind == "ForwardItem" and item.kind == "CalendarItem" and is_meeting(item):
        send_requests(call, item, [*to, *cc], "request", saved=saved)
        return []
    if saved:
        from .items import Draft, store

        store(call, Draft("Message", dict(values)), call.world.folder(call.own(), "sentitems"))
    deliver_message(call, values, item.attachments if kind == "ForwardItem" else (), (*to, *cc), saved=saved)
    return []
