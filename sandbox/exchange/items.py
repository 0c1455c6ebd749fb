"""Item operations: CreateItem, GetItem, UpdateItem, DeleteItem, MoveItem, CopyItem, SendItem.

Source: EWS reference of each operation; "Deleting items by using EWS"; UpdateItem (change keys, conflict resolution).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, NoReturn

from . import attachments, calendar, extended, ids, meetings
from .calls import MISSING, Call, attribute, required
from .errors import EwsError, not_implemented, schema_violation
from .properties import (
    BY_TAG,
    BY_URI,
    INDEXED,
    KINDS,
    KNOWN_UNFILLED,
    Field,
    Shape,
    View,
    field_uri,
    indexed_uri,
    is_meeting,
    read_shape,
    render,
)
from .soap import Element, M, T, add, child, element, flag, local, text_of
from .store import CALENDAR, CONTACTS, TASKS, Attachment, Extended, Folder, Item, Override, PropertyKey
from .values import ADDRESS_PARTS

SEND = ("SendToNone", "SendOnlyToAll", "SendToAllAndSaveCopy")
SEND_UPDATE = ("SendToNone", "SendOnlyToAll", "SendOnlyToChanged", "SendToAllAndSaveCopy", "SendToChangedAndSaveCopy")
DISPOSITIONS = ("SaveOnly", "SendOnly", "SendAndSaveCopy")
DELETE_TYPES = ("HardDelete", "SoftDelete", "MoveToDeletedItems")
CONFLICTS = ("NeverOverwrite", "AutoResolve", "AlwaysOverwrite")
_HOMES = {
    "CalendarItem": "calendar",
    "Contact": "contacts",
    "DistributionList": "contacts",
    "Task": "tasks",
    "PostItem": "inbox",
}
_CLASSES = {
    "CalendarItem": (CALENDAR, "ErrorCannotCreateCalendarItemInNonCalendarFolder"),
    "Contact": (CONTACTS, "ErrorCannotCreateContactInNonContactFolder"),
    "DistributionList": (CONTACTS, "ErrorCannotCreateContactInNonContactFolder"),
    "Task": (TASKS, "ErrorCannotCreateTaskInNonTaskFolder"),
}
_NOT_CREATED = ("MeetingMessage", "MeetingRequest", "MeetingResponse", "MeetingCancellation")
ID_ONLY = Shape()


@dataclass
class Draft:
    """What a request says about an item to be created."""

    kind: str
    values: dict[str, Any] = field(default_factory=dict)
    extended: dict[PropertyKey, Extended] = field(default_factory=dict)
    attachments: tuple[Attachment, ...] = ()


def items_holder(rendered: Iterable[Element]) -> Element:
    """An m:Items container."""
    holder = element(f"{M}Items")
    for node in rendered:
        holder.append(node)
    return holder


# -- reading ----------------------------------------------------------------------------------------------------------


def get_item(call: Call, request: Element) -> Element:
    """GetItem."""
    view = call.view()
    shape = read_shape(child(request, "ItemShape"), view)

    def one(node: Element) -> Iterable[Element]:
        return [items_holder([render(call.item(node), shape, view)])]

    return call.reply("GetItem", list(required(request, "ItemIds")), one, empty="Items")


# -- creating ---------------------------------------------------------------------------------------------------------


def create_item(call: Call, request: Element) -> Element:
    """CreateItem: items, and the reply items that answer, cancel or forward another one."""
    disposition = request.get("MessageDisposition")
    if disposition is not None:
        attribute(request, "MessageDisposition", DISPOSITIONS)
    if request.get("SendMeetingInvitations") is not None:
        attribute(request, "SendMeetingInvitations", SEND)
    saved = child(request, "SavedItemFolderId")

    def one(node: Element) -> Iterable[Element]:
        kind = local(node)
        if kind in meetings.REPLIES:
            return [items_holder(meetings.reply_item(call, node, disposition))]
        if kind in _NOT_CREATED:
            raise EwsError("ErrorInvalidItemForOperationCreateItem")
        if kind not in KINDS:
            raise schema_violation(f"The element 'Items' has invalid child element '{kind}'.", node.sourceline)
        if kind == "CalendarItem":
            send = attribute(request, "SendMeetingInvitations", SEND, "ErrorSendMeetingInvitationsRequired")
            return [
                items_holder([_created(call, create_calendar_item(call, node, _folder_for(call, saved, kind), send))])
            ]
        draft = read_draft(node, kind, call.view())
        if kind == "Message":
            return [items_holder(_create_message(call, draft, saved, disposition))]
        made = store(call, draft, _folder_for(call, saved, kind))
        return [items_holder([_created(call, made)])]

    return call.reply("CreateItem", list(required(request, "Items")), one, empty="Items")


def _created(call: Call, item: Item) -> Element:
    view = call.view()
    node = render(item, ID_ONLY, view)
    if item.attachments:
        holder = add(node, f"{T}Attachments")
        for attachment in item.attachments:
            holder.append(attachments.describe(item, attachment, view, brief=True))
    return node


def _folder_for(call: Call, saved: Element | None, kind: str, default: str = "") -> Folder:
    if saved is not None:
        try:
            folder = call.target_folder(saved)
        except EwsError as error:
            raise EwsError("ErrorSavedItemFolderNotFound") if error.code in MISSING else error from None
    else:
        folder = call.world.folder(call.own(), default or _HOMES.get(kind, "drafts"))
    wanted, code = _CLASSES.get(kind, ("", ""))
    if wanted and not folder.folder_class.startswith(wanted):
        raise EwsError(code)
    return folder


def read_draft(node: Element, kind: str, view: View) -> Draft:
    """The content of an item element of a request. Raises `EwsError` or a schema fault."""
    draft = Draft(kind)
    for part in node:
        name = local(part)
        if name == "ExtendedProperty":
            key, value = extended.read_property(part)
            draft.extended[key] = value
        elif name == "Attachments":
            draft.attachments = tuple(attachments.read(one, number, view) for number, one in enumerate(part, 1))
        else:
            one = BY_TAG[kind].get(name)
            if one is None:
                _refuse_unknown(kind, name, part)
            if not one.writable:
                raise EwsError("ErrorInvalidPropertySet", path=element("FieldURI", {"FieldURI": one.uri}))
            draft.values[one.uri] = _read_new(one, part, view)
    if draft.values.get("item:MimeContent") and kind == "CalendarItem":
        from . import icalendar

        draft.values = {**icalendar.read(draft.values.pop("item:MimeContent"), view), **draft.values}
    return draft


def _read_new(one: Field, part: Element, view: View) -> Any:
    try:
        return one.codec.read(part, view)
    except EwsError as error:
        if error.code == "ErrorPropertyUpdate":
            raise EwsError("ErrorItemSavePropertyError", error.message) from None
        raise


def _refuse_unknown(kind: str, name: str, part: Element) -> NoReturn:
    known = next((uri for uri in sorted(KNOWN_UNFILLED) if uri.endswith(f":{name}")), None)
    if known is not None:
        raise not_implemented(f"Setting {known}")
    raise schema_violation(
        f"The element '{kind}' in namespace 'http://schemas.microsoft.com/exchange/services/2006/types' has invalid "
        f"child element '{name}' in namespace 'http://schemas.microsoft.com/exchange/services/2006/types'.",
        part.sourceline,
    )


def store(call: Call, draft: Draft, folder: Folder, **more: Any) -> Item:
    """Store a new item and let the automation of the server, if there is any, rewrite it."""
    item = Item(
        serial=call.world.next_serial(),
        kind=draft.kind,
        folder=folder.serial,
        values={uri: value for uri, value in draft.values.items() if value is not None},
        created=call.now,
        modified=call.now,
        modified_by=call.actor_name,
        extended=draft.extended,
        attachments=draft.attachments,
        **more,
    )
    return call.server.automate(call.world.put(item))


def create_calendar_item(call: Call, node: Element, folder: Folder, send: str) -> Item:
    """Create an appointment or meeting, and send what is to be sent."""
    return add_calendar_item(call, read_draft(node, "CalendarItem", call.view()), folder, send)


def add_calendar_item(call: Call, draft: Draft, folder: Folder, send: str) -> Item:
    """Complete and store a calendar item; the part that needs no XML."""
    mailbox = call.world.mailbox_of(folder)
    values = draft.values
    if values.get("calendar:Start") is None:
        half_hour = timedelta(minutes=30)
        values["calendar:Start"] = call.now + (
            half_hour - (call.now - call.now.replace(minute=0, second=0)) % half_hour
        )
    calendar.settle(values, call.zone)
    if not values.get("calendar:UID"):
        values["calendar:UID"] = meetings.new_uid(call)
    values.setdefault("calendar:Organizer", mailbox.person)
    values.setdefault("item:ReminderIsSet", True)
    values.setdefault("item:ReminderMinutesBeforeStart", 15)
    values["calendar:DateTimeStamp"] = call.now
    item = store(call, draft, folder)
    return meetings.after_create(call, item, send)


def _create_message(call: Call, draft: Draft, saved: Element | None, disposition: str | None) -> list[Element]:
    if disposition is None:
        raise EwsError("ErrorMessageDispositionRequired")
    values = draft.values
    values.setdefault("message:From", call.own().person)
    values.setdefault("message:Sender", call.own().person)
    if disposition == "SaveOnly":
        values["item:IsDraft"] = True
        return [_created(call, store(call, draft, _folder_for(call, saved, "Message", "drafts")))]
    recipients = meetings.recipients_of(values)
    if not recipients:
        raise EwsError("ErrorMissingRecipients")
    values["item:DateTimeSent"] = call.now
    if disposition == "SendAndSaveCopy":
        store(call, draft, _folder_for(call, saved, "Message", "sentitems"))
    meetings.deliver_message(call, draft.values, draft.attachments, recipients, saved=disposition == "SendAndSaveCopy")
    return []


def send_item(call: Call, request: Element) -> Element:
    """SendItem: send a draft, keeping a copy if asked."""
    save = flag(request.get("SaveItemToFolder"))
    saved = child(request, "SavedItemFolderId")

    def one(node: Element) -> Iterable[Element]:
        item = call.item(node, write=True)
        _check_key(call, item, node, "NeverOverwrite")
        if item.kind != "Message":
            raise EwsError("ErrorInvalidItemForOperationSendItem")
        _send_stored(call, item, keep=save, saved=saved)
        return ()

    return call.reply("SendItem", list(required(request, "ItemIds")), one)


def _send_stored(call: Call, item: Item, *, keep: bool, saved: Element | None = None) -> None:
    """Mail a stored message: it leaves its folder, and with `keep` a copy of it goes to Sent Items or `saved`."""
    recipients = meetings.recipients_of(item.values)
    if not recipients:
        raise EwsError("ErrorMissingRecipients")
    values = {**item.values, "item:IsDraft": False, "item:DateTimeSent": call.now}
    call.world.remove(item)
    if keep:
        copy = Draft("Message", values, dict(item.extended), item.attachments)
        store(call, copy, _folder_for(call, saved, "Message", "sentitems"))
    meetings.deliver_message(call, values, item.attachments, recipients, saved=keep)


# -- updating ---------------------------------------------------------------------------------------------------------


def update_item(call: Call, request: Element) -> Element:
    """UpdateItem."""
    conflict = attribute(request, "ConflictResolution", CONFLICTS)
    if request.get("MessageDisposition") is not None:
        attribute(request, "MessageDisposition", DISPOSITIONS)
    if request.get("SendMeetingInvitationsOrCancellations") is not None:
        attribute(request, "SendMeetingInvitationsOrCancellations", SEND_UPDATE)

    def one(change: Element) -> Iterable[Element]:
        disposition = "SaveOnly"
        node = next(iter(change), None)
        if node is None:
            raise schema_violation("The element 'ItemChange' has incomplete content.", change.sourceline)
        item = call.item(node, write=True)
        if item.kind == "CalendarItem":
            send = attribute(
                request, "SendMeetingInvitationsOrCancellations", SEND_UPDATE,
                "ErrorSendMeetingInvitationsOrCancellationsRequired",
            )  # fmt: skip
        elif item.kind == "Message":
            disposition = attribute(request, "MessageDisposition", DISPOSITIONS, "ErrorMessageDispositionRequired")
            send = "SendToNone"
        else:
            send = "SendToNone"
        _check_key(call, item, node, conflict)
        if send != "SendToNone" and _in_bin(call, item):
            raise EwsError("ErrorCalendarCannotUpdateDeletedItem")
        updated = apply_updates(call, item, required(change, "Updates"))
        updated = meetings.after_update(call, item, updated, send)
        results = element(f"{M}ConflictResults")
        add(results, f"{T}Count", "0")
        if disposition != "SaveOnly":
            saved = child(request, "SavedItemFolderId")
            _send_stored(call, updated, keep=disposition == "SendAndSaveCopy", saved=saved)
            return [items_holder([]), results]
        return [items_holder([render(updated, ID_ONLY, call.view())]), results]

    return call.reply("UpdateItem", list(required(request, "ItemChanges")), one, empty="Items")


def _in_bin(call: Call, item: Item) -> bool:
    return call.world.folders[item.folder].distinguished == "deleteditems" and is_meeting(item)


def _check_key(call: Call, item: Item, node: Element, conflict: str) -> None:
    """Compare the change key of a request with the item's. Raises `EwsError`."""
    key = node.get("ChangeKey")
    if not key:
        raise EwsError("ErrorChangeKeyRequiredForWriteOperations")
    serial, version = ids.read_change_key(key)
    if serial != item.serial:
        raise EwsError("ErrorInvalidChangeKey")
    if version != item.version and conflict != "AlwaysOverwrite":
        if conflict == "AutoResolve" and call.server.auto_resolve == "merge":
            return
        raise EwsError("ErrorIrresolvableConflict")


@dataclass
class Edit:
    """The content of an item while it is being updated."""

    item: Item
    values: dict[str, Any]
    extended: dict[PropertyKey, Extended]
    changed: set[str] = field(default_factory=set)


def apply_updates(call: Call, item: Item, updates: Element) -> Item:
    """Carry out the changes of an m:ItemChange and store the result; all of them or none."""
    edit = Edit(item, dict(item.values), dict(item.extended))
    view = call.view()
    for update in updates:
        _apply(edit, update, view)
    return save(call, edit)


def save(call: Call, edit: Edit) -> Item:
    """Store an edited item, or the exception that an edited occurrence becomes."""
    item = edit.item
    if item.kind == "CalendarItem":
        _settle_edit(edit)
    if item.master is not None:
        return _save_occurrence(call, edit)
    if "contacts:FileAsMapping" in edit.changed and "contacts:FileAs" not in edit.changed:
        edit.values["contacts:FileAs"] = None
    read_only = edit.changed == {"message:IsRead"}
    made = replace(
        item,
        values={uri: value for uri, value in edit.values.items() if value is not None},
        extended=edit.extended,
        modified=call.now,
        modified_by=call.actor_name,
    )
    if made.kind == "CalendarItem" and edit.changed & _SERIES_SHAPE:
        made = _keep_exceptions(call, item, made)
    return call.server.automate(call.world.put(made, read_only_flag=read_only))


_SERIES_SHAPE = {
    "calendar:Recurrence",
    "calendar:Start",
    "calendar:End",
    "calendar:StartTimeZone",
    "calendar:IsAllDayEvent",
}


def _keep_exceptions(call: Call, before: Item, after: Item) -> Item:
    """What becomes of exceptions and deletions when a series changes its pattern or time."""
    same = all(before.get(uri) == after.get(uri) for uri in _SERIES_SHAPE)
    if same or not before.is_master:
        return after
    if call.server.pattern_change == "keep" and after.is_master:
        return calendar.prune(after)
    return replace(after, exceptions={}, deleted={})


def _settle_edit(edit: Edit) -> None:
    if not edit.changed & {*_SERIES_SHAPE, "calendar:EndTimeZone", "calendar:MeetingTimeZone"}:
        return
    if "calendar:MeetingTimeZone" in edit.changed and edit.values.get("calendar:MeetingTimeZone"):
        edit.values["calendar:StartTimeZone"] = edit.values["calendar:EndTimeZone"] = edit.values[
            "calendar:MeetingTimeZone"
        ]
    if edit.item.master is not None:
        rule = edit.values.pop("calendar:Recurrence", None)
        calendar.settle(edit.values, calendar.zone_of(edit.item))
        edit.values["calendar:Recurrence"] = rule
    else:
        calendar.settle(edit.values, calendar.zone_of(edit.item))


def _save_occurrence(call: Call, edit: Edit) -> Item:
    occurrence, master = edit.item, edit.item.master
    assert master is not None and occurrence.original is not None
    start, end = edit.values["calendar:Start"], edit.values["calendar:End"]
    series = calendar.Series(master)
    if edit.changed & {"calendar:Start", "calendar:End"}:
        series.check_boundaries(occurrence.original, start, end)
    known = master.exceptions.get(occurrence.original)
    values = dict(known.values) if known else {}
    values.update({uri: edit.values.get(uri) for uri in edit.changed - {"calendar:Start", "calendar:End"}})
    override = Override(
        start, end, values, {key: value for key, value in edit.extended.items() if master.extended.get(key) != value},
        known.attachments if known else None, call.now,
    )  # fmt: skip
    stored = call.world.put(
        replace(
            master,
            exceptions={**master.exceptions, occurrence.original: override},
            modified=call.now,
            modified_by=call.actor_name,
        )
    )
    return calendar.Series(stored).at(occurrence.original)


def _apply(edit: Edit, update: Element, view: View) -> None:
    kind = local(update)
    path = next(iter(update), None)
    if kind not in ("SetItemField", "DeleteItemField", "AppendToItemField") or path is None:
        raise schema_violation(f"The element 'Updates' has invalid child element '{kind}'.", update.sourceline)
    if kind == "DeleteItemField":
        _delete(edit, path)
        return
    holder = list(update)[1] if len(update) > 1 else None
    parts = list(holder) if holder is not None else []
    if holder is None or len(parts) != 1:
        raise EwsError("ErrorIncorrectUpdatePropertyCount")
    if local(holder) not in (edit.item.kind, "Item") and not (edit.item.kind == "Item" and local(holder) == "Message"):
        raise EwsError("ErrorObjectTypeChanged")
    if kind == "AppendToItemField":
        _append(edit, path, parts[0], view)
    else:
        _set(edit, path, parts[0], view)


def _field(edit: Edit, path: Element, code: str) -> Field:
    uri = field_uri(path)
    if uri in KNOWN_UNFILLED:
        raise not_implemented(f"Setting {uri}")
    one = BY_URI[edit.item.kind].get(uri)
    if one is None:
        raise EwsError("ErrorInvalidPropertySet" if code == "ErrorInvalidPropertySet" else code, path=path)
    return one


def _set(edit: Edit, path: Element, part: Element, view: View) -> None:
    name = local(path)
    if name == "ExtendedFieldURI":
        if local(part) != "ExtendedProperty":
            raise EwsError("ErrorUpdatePropertyMismatch", path=path)
        key, value = extended.read_property(part)
        if key != extended.read_key(path)[0]:
            raise EwsError("ErrorUpdatePropertyMismatch", path=path)
        edit.extended[key] = value
        edit.changed.add("extended")
        return
    if name == "IndexedFieldURI":
        _set_indexed(edit, path, part, view)
        return
    one = _field(edit, path, "ErrorInvalidPropertySet")
    if local(part) != one.tag:
        raise EwsError("ErrorUpdatePropertyMismatch", path=path)
    value = one.codec.read(part, view)
    if not one.writable:
        raise EwsError("ErrorInvalidPropertySet", path=path)
    if edit.item.master is not None and one.uri in ("calendar:Recurrence", "calendar:UID"):
        if edit.values.get(one.uri) == value:
            return
        raise EwsError("ErrorInvalidPropertySet", path=path)
    if one.uri == "item:MimeContent":
        from . import icalendar

        if edit.item.kind == "CalendarItem":
            read = icalendar.read(value, view)
            edit.values.update(read)
            edit.changed |= set(read)
            return
    edit.values[one.uri] = value
    edit.changed.add(one.uri)


def _set_indexed(edit: Edit, path: Element, part: Element, view: View) -> None:
    uri, index = indexed_uri(path)
    if uri not in INDEXED or INDEXED[uri][0] not in BY_URI[edit.item.kind]:
        raise EwsError("ErrorInvalidPropertySet", path=path)
    one = BY_URI[edit.item.kind][INDEXED[uri][0]]
    if local(part) != one.tag:
        raise EwsError("ErrorUpdatePropertyMismatch", path=path)
    given = one.codec.read(part, view)
    if set(given) != {index}:
        raise EwsError("ErrorUpdatePropertyMismatch" if given else "ErrorIncorrectUpdatePropertyCount", path=path)
    entries = dict(edit.values.get(one.uri) or {})
    piece = uri.rpartition(":")[2]
    if piece in ADDRESS_PARTS:
        if set(given[index]) != {piece}:
            raise EwsError("ErrorUpdatePropertyMismatch", path=path)
        entries[index] = {**entries.get(index, {}), piece: given[index][piece]}
    else:
        entries[index] = given[index]
    edit.values[one.uri] = entries
    edit.changed.add(one.uri)


def _delete(edit: Edit, path: Element) -> None:
    name = local(path)
    if name == "ExtendedFieldURI":
        edit.extended.pop(extended.read_key(path)[0], None)
        edit.changed.add("extended")
        return
    if name == "IndexedFieldURI":
        uri, index = indexed_uri(path)
        if uri not in INDEXED:
            raise EwsError("ErrorInvalidPropertyDelete", path=path)
        whole, piece = INDEXED[uri][0], uri.rpartition(":")[2]
        entries = dict(edit.values.get(whole) or {})
        if piece in ADDRESS_PARTS:
            entries[index] = {key: text for key, text in entries.get(index, {}).items() if key != piece}
        else:
            entries.pop(index, None)
        edit.values[whole] = entries
        edit.changed.add(whole)
        return
    if field_uri(path) in KNOWN_UNFILLED:
        return
    one = _field(edit, path, "ErrorInvalidPropertyDelete")
    if edit.item.master is not None and one.uri == "calendar:Recurrence":
        return
    if not one.writable or not one.deletable:
        raise EwsError("ErrorInvalidPropertyDelete", path=path)
    edit.values[one.uri] = None
    edit.changed.add(one.uri)


def _append(edit: Edit, path: Element, part: Element, view: View) -> None:
    if local(path) != "FieldURI":
        raise EwsError("ErrorInvalidPropertyAppend", path=path)
    one = _field(edit, path, "ErrorInvalidPropertyAppend")
    if one.uri not in APPENDABLE:
        raise EwsError("ErrorInvalidPropertyAppend", path=path)
    if local(part) != one.tag:
        raise EwsError("ErrorUpdatePropertyMismatch", path=path)
    value, old = one.codec.read(part, view), edit.values.get(one.uri)
    if one.uri == "item:Body":
        value = replace(value, text=(old.text if old else "") + value.text)
    else:
        value = tuple(old or ()) + tuple(value)
    edit.values[one.uri] = value
    edit.changed.add(one.uri)


APPENDABLE = {
    "item:Body", "calendar:RequiredAttendees", "calendar:OptionalAttendees", "calendar:Resources",
    "message:ToRecipients", "message:CcRecipients", "message:BccRecipients", "message:ReplyTo",
}  # fmt: skip


# -- deleting, moving, copying ----------------------------------------------------------------------------------------


def delete_item(call: Call, request: Element) -> Element:
    """DeleteItem."""
    how = attribute(request, "DeleteType", DELETE_TYPES)
    if request.get("SendMeetingCancellations") is not None:
        attribute(request, "SendMeetingCancellations", SEND)

    def one(node: Element) -> Iterable[Element]:
        item = call.item(node, write=True)
        if item.kind == "CalendarItem":
            send = attribute(request, "SendMeetingCancellations", SEND, "ErrorSendMeetingCancellationsRequired")
            meetings.before_delete(call, item, send)
        elif item.kind == "Task" and request.get("AffectedTaskOccurrences") is None:
            raise EwsError(
                "ErrorAffectedTaskOccurrencesRequired", "AffectedTaskOccurrences attribute is required for tasks."
            )
        discard(call, item, how)
        return ()

    return call.reply("DeleteItem", list(required(request, "ItemIds")), one)


def discard(call: Call, item: Item, how: str) -> Item | None:
    """Delete an item one way or another; an occurrence is deleted from its series. What it became, if it still is."""
    world = call.world
    if item.master is not None and item.original is not None:
        return world.put(delete_occurrence(item.master, item, call))
    current = world.item(item.serial)
    if current is None:
        raise EwsError("ErrorItemNotFound")
    if how == "HardDelete":
        world.remove(current)
        return None
    mailbox = world.mailbox_of(world.folders[current.folder])
    target = world.folder(mailbox, "deleteditems" if how == "MoveToDeletedItems" else "recoverableitemsdeletions")
    return world.move(current, target)


def delete_occurrence(master: Item, occurrence: Item, call: Call) -> Item:
    """The master without one of its occurrences.

    Whether DeletedOccurrence.Start of a moved occurrence is its original or its last start is not documented; it is
    the original start here, unless the server's `deleted_start` says "moved".
    """
    assert occurrence.original is not None
    start = occurrence.get("calendar:Start") if call.server.deleted_start == "moved" else occurrence.original
    exceptions = {at: override for at, override in master.exceptions.items() if at != occurrence.original}
    deleted = {**master.deleted, occurrence.original: start}
    return replace(master, exceptions=exceptions, deleted=deleted, modified=call.now, modified_by=call.actor_name)


def move_item(call: Call, request: Element) -> Element:
    """MoveItem: the item gets a new id."""

    def move(item: Item, folder: Folder) -> Item:
        source = call.world.folders[item.folder]
        if source.mailbox_number != folder.mailbox_number:
            made = duplicate(call, item, folder)
            call.world.remove(item)
            return made
        return call.world.move(item, folder)

    return _move_or_copy(call, request, "MoveItem", move, write=True)


def copy_item(call: Call, request: Element) -> Element:
    """CopyItem."""
    return _move_or_copy(call, request, "CopyItem", lambda item, folder: duplicate(call, item, folder), write=False)


def _move_or_copy(call: Call, request: Element, operation: str, act: Any, *, write: bool) -> Element:
    holder = required(request, "ToFolderId")
    wants_ids = child(request, "ReturnNewItemIds")

    def one(node: Element) -> Iterable[Element]:
        folder = call.target_folder(holder)
        item = call.item(node, write=write)
        if item.master is not None:
            raise EwsError("ErrorCalendarCannotMoveOrCopyOccurrence")
        same_mailbox = call.world.folders[item.folder].mailbox_number == folder.mailbox_number
        made = act(item, folder)
        shown = same_mailbox and (wants_ids is None or flag(wants_ids.text))
        return [items_holder([render(made, ID_ONLY, call.view())] if shown else [])]

    return call.reply(operation, list(required(request, "ItemIds")), one, empty="Items")


def duplicate(call: Call, item: Item, folder: Folder, values: Mapping[str, Any] | None = None) -> Item:
    """A copy of an item in a folder, with an id of its own."""
    made = replace(
        item, serial=call.world.next_serial(), folder=folder.serial, version=1, history=(), created=call.now,
        values=dict(values if values is not None else item.values),
    )  # fmt: skip
    return call.world.put(made)


def read_flag(call: Call, request: Element) -> Element:
    """MarkAllItemsAsRead."""
    wanted = flag(text_of(request, "ReadFlag"))

    def one(node: Element) -> Iterable[Element]:
        folder = call.folder(node, write=True)
        for item in list(folder.items.values()):
            if item.get("message:IsRead") is not None and item.get("message:IsRead") != wanted:
                call.world.put(replace(item, values={**item.values, "message:IsRead": wanted}), read_only_flag=True)
        return ()

    return call.reply("MarkAllItemsAsRead", list(required(request, "FolderIds")), one)
