"""SyncFolderItems and SyncFolderHierarchy.

A sync state is the set of change numbers a client has seen, as spans: everything up to some number, and, while a long
answer is being paged, the spans already sent. So an item that changes between two pages is neither lost nor sent as an
update of something unknown, and pages may go newest first, as Exchange sends them. Source: EWS reference,
SyncFolderItems; "Mailbox synchronization and EWS"; "Synchronization-related errors".
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

from . import folders, ids
from .calls import Call, error_message, first_child, required, success_message
from .errors import EwsError, RequestFault, schema_violation
from .properties import read_shape, render
from .soap import Element, M, T, add, boolean, child, element, message_root, text_of
from .store import Folder, Item

Spans = list[tuple[int, int]]
MAX_CHANGES = 512


def seen(spans: Spans, sequence: int) -> bool:
    """Whether a change number is among those seen."""
    at = bisect_right(spans, (sequence, 1 << 62)) - 1
    return at >= 0 and spans[at][0] <= sequence <= spans[at][1]


def joined(spans: Spans, low: int, high: int) -> Spans:
    """The spans with one more, merged where they touch."""
    merged: Spans = []
    for start, stop in sorted([*spans, (low, high)]):
        if merged and start <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(stop, merged[-1][1]))
        else:
            merged.append((start, stop))
    return merged


def unseen(folder: Folder, spans: Spans) -> Iterator[tuple[int, int]]:
    """Journal entries not seen yet, newest first."""
    journal = folder.journal
    at = len(journal) - 1
    while at >= 0:
        sequence, serial = journal[at]
        position = bisect_right(spans, (sequence, 1 << 62)) - 1
        if position >= 0 and spans[position][1] >= sequence:
            at = bisect_left(journal, (spans[position][0], -1)) - 1
            continue
        yield sequence, serial
        at -= 1


def sync_folder_items(call: Call, request: Element) -> Element:
    """SyncFolderItems."""
    tag = f"{M}SyncFolderItemsResponseMessage"
    root = message_root(f"{M}SyncFolderItemsResponse")
    holder = add(root, f"{M}ResponseMessages")
    try:
        if call.state.get("item_busy") is not None:
            raise EwsError("ErrorServerBusy")
        holder.append(success_message(tag, _items(call, request)))
    except RequestFault:
        raise
    except EwsError as error:
        if error.code == "ErrorItemNotFound":
            error = EwsError("ErrorSyncFolderNotFound")
        trailer = [element(f"{M}SyncState"), element(f"{M}IncludesLastItemInRange", None, "true")]
        holder.append(error_message(tag, error, children=trailer))
    return root


def _items(call: Call, request: Element) -> Iterable[Element]:
    view = call.view(finding=True)
    shape = read_shape(child(request, "ItemShape"), view)
    folder = call.folder(first_child(required(request, "SyncFolderId")))
    most = _most(request)
    associated = (text_of(request, "SyncScope") or "NormalItems").strip() == "NormalAndAssociatedItems"
    holder = child(request, "Ignore")
    ignored: set[str | None] = {node.get("Id") for node in holder} if holder is not None else set()
    spans = _read(call, text_of(request, "SyncState"), "I", folder)
    changes = element(f"{M}Changes")
    count, lowest, complete = 0, call.world.sequence + 1, True
    for sequence, serial in unseen(folder, spans):
        rendered = _change(call, folder, sequence, serial, spans, associated, ignored, shape, view)
        if rendered is None:
            continue
        if count == most:
            complete = False
            break
        changes.append(rendered)
        count += 1
        lowest = sequence
    call.records += count
    after = [(0, call.world.sequence)] if complete else joined(spans, lowest, call.world.sequence)
    state = ids.state(call.world.epoch, "I", folder.serial, folder.state_generation, after)
    yield element(f"{M}SyncState", None, state)
    yield element(f"{M}IncludesLastItemInRange", None, boolean(complete))
    yield changes


def _most(request: Element) -> int:
    text = (text_of(request, "MaxChangesReturned") or "").strip()
    if not text.lstrip("-").isdigit() or not 1 <= int(text) <= MAX_CHANGES:
        raise schema_violation(
            f"The 'MaxChangesReturned' element is invalid - The value '{text}' is invalid according to its datatype "
            f"'MaxSyncChangesReturnedType'.",
            request.sourceline,
        )
    return int(text)


def _read(call: Call, text: str | None, kind: str, folder: Folder) -> Spans:
    if not text:
        return []
    epoch, its_kind, serial, generation, spans = ids.read_state(text.strip())
    if (epoch, its_kind, serial, generation) != (call.world.epoch, kind, folder.serial, folder.state_generation):
        raise EwsError("ErrorInvalidSyncStateData")
    return spans


def _change(call: Call, folder: Folder, sequence: int, serial: int, spans: Spans, associated: bool,
            ignored: set[str | None], shape: object, view: object) -> Element | None:  # fmt: skip
    """One row, or None if the journal entry is out of date or says nothing to this client."""
    gone = folder.gone.get(serial)
    if gone is not None:
        removed, history, identifier = gone
        if sequence != removed or not any(seen(spans, at) for at in history) or identifier in ignored:
            return None
        row = element(f"{T}Delete")
        add(row, f"{T}ItemId", None, {"Id": identifier, "ChangeKey": ids.change_key("Item", serial, 1)})
        return row
    item = folder.items.get(serial) or (folder.associated.get(serial) if associated else None)
    if item is None or item.sequence != sequence or call.world.item_id(item) in ignored:
        return None
    return _row(call, item, spans, shape, view)


def _row(call: Call, item: Item, spans: Spans, shape: object, view: object) -> Element:
    known = any(seen(spans, at) for at in item.history)
    if known and item.content_sequence != item.sequence and seen(spans, item.content_sequence):
        row = element(f"{T}ReadFlagChange")
        add(row, f"{T}ItemId", None, {"Id": call.world.item_id(item), "ChangeKey": call.world.item_key(item)})
        add(row, f"{T}IsRead", boolean(item.get("message:IsRead")))
        return row
    row = element(f"{T}Update" if known else f"{T}Create")
    row.append(render(item, shape, view))  # type: ignore[arg-type]
    return row


def sync_folder_hierarchy(call: Call, request: Element) -> Element:
    """SyncFolderHierarchy: the folders below one, the message root by default."""
    tag = f"{M}SyncFolderHierarchyResponseMessage"
    root = message_root(f"{M}SyncFolderHierarchyResponse")
    holder = add(root, f"{M}ResponseMessages")
    try:
        holder.append(success_message(tag, _hierarchy(call, request)))
    except RequestFault:
        raise
    except EwsError as error:
        if error.code == "ErrorItemNotFound":
            error = EwsError("ErrorSyncFolderNotFound")
        trailer = [element(f"{M}SyncState"), element(f"{M}IncludesLastFolderInRange", None, "true")]
        holder.append(error_message(tag, error, children=trailer))
    return root


def _hierarchy(call: Call, request: Element) -> Iterable[Element]:
    shape = folders.read_shape(child(request, "FolderShape"))
    given = child(request, "SyncFolderId")
    base = call.folder(first_child(given)) if given is not None else call.world.folder(call.own(), "msgfolderroot")
    spans = _read(call, text_of(request, "SyncState"), "H", base)
    rows: list[tuple[int, Element]] = []
    for folder in call.world.below(base):
        latest = folder.history[-1]
        if seen(spans, latest):
            continue
        row = element(f"{T}Update" if any(seen(spans, at) for at in folder.history) else f"{T}Create")
        row.append(folders.render(call, folder, shape))
        rows.append((latest, row))
    for removed, history, identifier in call.world.mailbox_of(base).gone_folders.values():
        if not seen(spans, removed) and any(seen(spans, at) for at in history):
            row = element(f"{T}Delete")
            add(row, f"{T}FolderId", None, {"Id": identifier})
            rows.append((removed, row))
    changes = element(f"{M}Changes")
    for _, row in sorted(rows, key=lambda pair: pair[0]):
        changes.append(row)
    state = ids.state(call.world.epoch, "H", base.serial, base.state_generation, [(0, call.world.sequence)])
    yield element(f"{M}SyncState", None, state)
    yield element(f"{M}IncludesLastFolderInRange", None, "true")
    yield changes
