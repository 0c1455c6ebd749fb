"""ExportItems, UploadItems and MarkAsJunk.

Source: EWS reference, "ExportItems operation", "UploadItems operation", "MarkAsJunk operation". The stream of an
exported item is opaque to clients; here it names a copy that the server keeps, so no other server can take it.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterable
from dataclasses import replace

from .calls import Call, attribute, required
from .errors import EwsError
from .items import duplicate
from .soap import Element, M, T, child, element, flag, text_of
from .store import Item

ACTIONS = ("CreateNew", "Update", "UpdateOrCreate")


def export_items(call: Call, request: Element) -> Element:
    """ExportItems: the id and the stream of each item."""

    def one(node: Element) -> Iterable[Element]:
        item = call.item(node)
        if item.master is not None:
            raise EwsError("ErrorCalendarCannotMoveOrCopyOccurrence")
        stream = base64.b64encode(secrets.token_bytes(48)).decode()
        call.server.exported[stream] = item
        return [_id(call, item, "ItemId"), element(f"{M}Data", text=stream)]

    return call.reply("ExportItems", list(required(request, "ItemIds")), one)


def upload_items(call: Call, request: Element) -> Element:
    """UploadItems: items made anew, or brought back to the state of the stream, per CreateAction."""

    def one(node: Element) -> Iterable[Element]:
        action = attribute(node, "CreateAction", ACTIONS)
        folder = call.folder(element(f"{T}FolderId", dict(required(node, "ParentFolderId").attrib)), write=True)
        kept = call.server.exported.get("".join((text_of(node, "Data") or "").split()))
        if kept is None:
            raise EwsError("ErrorCorruptData", "The data is corrupt.")
        if flag(node.get("IsAssociated")) != kept.associated:
            kept = replace(kept, associated=not kept.associated)
        present = _present(call, node, action)
        if present is None:
            return [_id(call, duplicate(call, kept, folder), "ItemId")]
        content = replace(
            present, values=kept.values, extended=kept.extended, attachments=kept.attachments,
            exceptions=kept.exceptions, deleted=kept.deleted, modified=call.now,
        )  # fmt: skip
        return [_id(call, call.world.put(content), "ItemId")]

    return call.reply("UploadItems", list(required(request, "Items")), one)


def _present(call: Call, node: Element, action: str) -> Item | None:
    """The item to update; None to create one. Raises EwsError where Update names none."""
    if action == "CreateNew":
        return None
    named = child(node, "ItemId")
    if named is None and action == "Update":
        raise EwsError("ErrorItemNotFound")
    try:
        return call.item(named, write=True) if named is not None else None
    except EwsError as error:
        if action == "Update" or error.code != "ErrorItemNotFound":
            raise
        return None


def mark_as_junk(call: Call, request: Element) -> Element:
    """MarkAsJunk: with MoveItem, into the junk folder, or out of it into the inbox. Blocked senders are not kept."""
    junk, move = flag(request.get("IsJunk")), flag(request.get("MoveItem"))

    def one(node: Element) -> Iterable[Element]:
        item = call.item(node, write=True)
        if item.kind != "Message":
            raise EwsError("ErrorInvalidOperation", "MarkAsJunk takes messages only.")
        if not move:
            return ()
        box = call.world.mailbox_of(call.world.folders[item.folder])
        target = call.world.folders[box.folders["junkemail" if junk else "inbox"]]
        return [_id(call, call.world.move(item, target), "MovedItemId")]

    return call.reply("MarkAsJunk", list(required(request, "ItemIds")), one)


def _id(call: Call, item: Item, name: str) -> Element:
    return element(f"{M}{name}", {"Id": call.world.item_id(item), "ChangeKey": call.world.item_key(item)})
