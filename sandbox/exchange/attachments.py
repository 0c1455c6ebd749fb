"""Attachments: files and items attached to an item. CreateAttachment, GetAttachment, DeleteAttachment.

Source: EWS reference, AttachmentType, FileAttachmentType, ItemAttachmentType, CreateAttachment, GetAttachment.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from . import ids
from .calls import Call, required
from .errors import EwsError, schema_violation
from .properties import KINDS, V2010, Shape, View, read_shape, render
from .soap import Element, M, T, add, boolean, child, clean, element, flag, local, text_of
from .store import Attachment, Item
from .values import wire_time


def attachment_id(item: Item, attachment: Attachment, view: View) -> str:
    """The id of an attachment."""
    return ids.make(ids.ATTACHMENT, item.serial, view.world.folders[item.folder].guid, part=attachment.number)


def describe(item: Item, attachment: Attachment, view: View, *, brief: bool = False, content: bool = False,
             shape: Shape | None = None, root: bool = False) -> Element:  # fmt: skip
    """A t:FileAttachment or t:ItemAttachment: `brief` is the id only, `content` adds what is in it."""
    node = element(f"{T}{'FileAttachment' if attachment.item is None else 'ItemAttachment'}")
    attributes = {"Id": attachment_id(item, attachment, view)}
    if root:
        attributes |= {"RootItemId": view.world.item_id(item), "RootItemChangeKey": view.world.item_key(item)}
    add(node, f"{T}AttachmentId", None, attributes)
    if brief:
        return node
    add(node, f"{T}Name", clean(attachment.name))
    if attachment.content_type:
        add(node, f"{T}ContentType", attachment.content_type)
    if attachment.content_id:
        add(node, f"{T}ContentId", clean(attachment.content_id))
    if view.version >= V2010:
        add(node, f"{T}Size", str(attachment.item.size if attachment.item is not None else len(attachment.content)))
        add(node, f"{T}LastModifiedTime", wire_time(attachment.modified or item.modified))
        add(node, f"{T}IsInline", boolean(attachment.inline))
    if attachment.item is None:
        if view.version >= V2010:
            add(node, f"{T}IsContactPhoto", boolean(attachment.contact_photo))
        if content:
            add(node, f"{T}Content", base64.b64encode(attachment.content).decode("ascii"))
    elif content:
        node.append(
            render(
                replace(attachment.item, serial=item.serial, folder=item.folder), shape or Shape("AllProperties"), view
            )
        )
        inner = node[-1]
        for name in ("ItemId", "ParentFolderId"):
            found = child(inner, name)
            if found is not None:
                inner.remove(found)
    return node


def read(node: Element, number: int, view: View) -> Attachment:
    """An attachment of a request. Raises `EwsError` or a schema fault."""
    from .items import read_draft

    kind = local(node)
    name = text_of(node, "Name") or ""
    common: dict[str, Any] = {
        "content_type": text_of(node, "ContentType") or "",
        "content_id": text_of(node, "ContentId") or "",
        "inline": flag(text_of(node, "IsInline")),
        "modified": view.now,
    }
    if kind == "FileAttachment":
        if child(node, "Content") is None:
            raise schema_violation(
                "The element 'FileAttachment' has incomplete content: 'Content' expected.", node.sourceline
            )
        try:
            content = base64.b64decode(text_of(node, "Content") or "")
        except (binascii.Error, ValueError):
            raise schema_violation("The 'Content' element is not valid base64.", node.sourceline) from None
        return Attachment(number, name, content, contact_photo=flag(text_of(node, "IsContactPhoto")), **common)
    if kind != "ItemAttachment":
        raise schema_violation(f"The element 'Attachments' has invalid child element '{kind}'.", node.sourceline)
    inner = next((part for part in node if local(part) in KINDS), None)
    if inner is None:
        raise EwsError("ErrorInvalidItemForOperationCreateItemAttachment")
    draft = read_draft(inner, local(inner), view)
    held = Item(
        0, draft.kind, 0, draft.values, view.now, view.now, extended=draft.extended, attachments=draft.attachments
    )
    return Attachment(number, name or str(draft.values.get("item:Subject") or ""), item=held, **common)


def create_attachment(call: Call, request: Element) -> Element:
    """CreateAttachment: attach files and items; the change key of the parent changes."""
    parent = call.item(_as_item_id(required(request, "ParentItemId")), write=True)
    if parent.master is not None:
        raise EwsError(
            "ErrorInvalidOperation", "The practice server attaches to a series or a single item, not to one occurrence."
        )
    view = call.view()

    def one(node: Element) -> Iterable[Element]:
        current = call.world.item(parent.serial)
        assert current is not None
        number = max((known.number for known in current.attachments), default=0) + 1
        made = read(node, number, view)
        stored = call.world.put(replace(current, attachments=(*current.attachments, made), modified=call.now))
        holder = element(f"{M}Attachments")
        holder.append(describe(stored, made, view, brief=True, root=True))
        return [holder]

    return call.reply("CreateAttachment", list(required(request, "Attachments")), one, empty="Attachments")


def _as_item_id(node: Element) -> Element:
    return element(f"{T}ItemId", dict(node.attrib))


def _find(call: Call, node: Element, *, write: bool = False) -> tuple[Item, Attachment]:
    ref = ids.read(node.get("Id"))
    item = call.world.item(ref.serial) if ref.kind == ids.ATTACHMENT else None
    if ref.kind != ids.ATTACHMENT:
        raise EwsError("ErrorInvalidAttachmentId")
    attachment = next((one for one in item.attachments if one.number == ref.part), None) if item is not None else None
    if item is None or attachment is None:
        raise EwsError("ErrorItemNotFound")
    call.check_item(item, write=write)
    return item, attachment


def get_attachment(call: Call, request: Element) -> Element:
    """GetAttachment."""
    view = call.view()
    shape_node = child(request, "AttachmentShape")
    shape = Shape("AllProperties")
    if shape_node is not None:
        copy = element(f"{M}ItemShape")
        add(copy, f"{T}BaseShape", "AllProperties")
        for part in shape_node:
            if local(part) in ("AdditionalProperties", "BodyType", "IncludeMimeContent"):
                add(copy, part.tag, part.text).extend(list(part))
        shape = read_shape(copy, view)

    def one(node: Element) -> Iterable[Element]:
        item, attachment = _find(call, node)
        holder = element(f"{M}Attachments")
        holder.append(describe(item, attachment, view, content=True, shape=shape))
        return [holder]

    return call.reply("GetAttachment", list(required(request, "AttachmentIds")), one, empty="Attachments")


def delete_attachment(call: Call, request: Element) -> Element:
    """DeleteAttachment: the reply names the parent with its new change key."""

    def one(node: Element) -> Iterable[Element]:
        item, attachment = _find(call, node, write=True)
        rest = tuple(known for known in item.attachments if known.number != attachment.number)
        stored = call.world.put(replace(item, attachments=rest, modified=call.now))
        attributes = {"RootItemId": call.world.item_id(stored), "RootItemChangeKey": call.world.item_key(stored)}
        return [element(f"{M}RootItemId", attributes)]

    return call.reply("DeleteAttachment", list(required(request, "AttachmentIds")), one)
