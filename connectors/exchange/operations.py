"""The EWS operations that the connector uses, each as one function: what is asked, and the plain answer.

A reply about one item never decides about another: items that are gone or cannot be read are told apart from those
that are there. What concerns the mailbox as a whole (throttled, no right) is raised.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sidefeed.connector import ConnectorError, Gone, Unavailable, chunked

from . import xml
from .errors import Lost
from .folder import FolderId
from .times import utc_text
from .values import LINK_NAME, Row, link_uri, row
from .xml import Element, M, T

if TYPE_CHECKING:
    from .ews import Mailbox, Reply

SYNC_PAGE = 512
"""The most that one SyncFolderItems returns (EWS, SyncFolderItems: MaxChangesReturned)."""
GET_BATCH = 10
"""Whole items per GetItem (EWS throttling: Microsoft recommends ten)."""
GET_NARROW = 100
"""Items per GetItem where only a few short properties are asked for."""
FIND_PAGE = 1000
"""The most that one FindItem returns under the default throttling policy (EWSFindCountLimit)."""
KEYS_PER_FIND = 50
"""Terms of one restriction; there is no documented limit, and a create batch is never larger."""

VIEW_URIS = (
    "item:Sensitivity", "calendar:CalendarItemType", "calendar:UID", "calendar:Start", "calendar:End",
    "calendar:IsAllDayEvent", "calendar:OriginalStart",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class SyncPage:
    """One page of SyncFolderItems."""

    changed: list[tuple[str, Element]]
    """("Create" or "Update", the item with its id)."""
    deleted: list[str]
    state: str
    last: bool


@dataclass(slots=True)
class Items:
    """What GetItem said, by the id asked for."""

    found: dict[str, Element] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    broken: dict[str, str] = field(default_factory=dict)
    """Items that the server cannot deliver, with its response code."""


def uri_elements(uris: Iterable[str]) -> list[Element]:
    """Plain field URIs."""
    return [xml.element("t:FieldURI", FieldURI=uri) for uri in dict.fromkeys(uris)]


def sync(door: Mailbox, folder: str | FolderId, state: str | None, properties: Sequence[Element]) -> SyncPage:
    """One page of the changes of a folder. Raises CursorExpired where the state is not honoured."""
    children = [_shape(properties), xml.element("m:SyncFolderId", None, [door.folder(folder)])]
    if state:
        children.append(xml.element("m:SyncState", state))
    children.append(xml.element("m:MaxChangesReturned", str(SYNC_PAGE)))
    message = _only(door, xml.element("m:SyncFolderItems", None, children))
    changed, deleted = [], []
    for change in xml.children(message.find(f"{M}Changes")):
        name = xml.local(change)
        if name in ("Create", "Update") and len(change):
            changed.append((name, change[0]))
        elif name == "Delete":
            deleted.append(change.find(f"{T}ItemId").get("Id"))
    return SyncPage(
        changed,
        deleted,
        message.findtext(f"{M}SyncState") or "",
        (message.findtext(f"{M}IncludesLastItemInRange") or "true").strip().lower() in ("true", "1"),
    )


def get_items(
    door: Mailbox, ids: Sequence[str], properties: Sequence[Element], *, batch: int = GET_BATCH, master: bool = False
) -> Items:
    """Items by store id. With ``master`` each id is an occurrence's and the item is its series master."""
    items = Items()
    for chunk in chunked(dict.fromkeys(ids), batch):
        wanted = [
            xml.element("t:RecurringMasterItemId", OccurrenceId=each) if master else xml.element("t:ItemId", Id=each)
            for each in chunk
        ]
        request = xml.element("m:GetItem", None, [_shape(properties), xml.element("m:ItemIds", None, wanted)])
        replies = door.read(request)
        if len(replies) != len(chunk):
            for reply in replies:
                if reply.element is None:
                    raise door.failed(reply)  # one refusal for the whole request
            raise Unavailable(f"Exchange gave {len(replies)} answers for {len(chunk)} items of {door.address}.")
        for item_id, reply in zip(chunk, replies, strict=True):
            _sort_in(items, door, item_id, reply)
    return items


def _sort_in(items: Items, door: Mailbox, item_id: str, reply: Reply) -> None:
    content = None if reply.element is None else reply.element.find(f"{M}Items")
    if content is not None and len(content):
        items.found[item_id] = content[0]
        return
    if reply.element is not None:
        items.broken[item_id] = "empty reply"
        return
    error = door.failed(reply)
    if isinstance(error, Gone):
        items.gone.add(item_id)
    elif type(error) is ConnectorError:
        items.broken[item_id] = error.code
    else:
        raise error


def calendar_view(door: Mailbox, folder: str, start: datetime, end: datetime) -> list[Row]:
    """Meetings and occurrences that touch a span, each once; masters are not among them.

    A view is not paged, so a span that fills an answer is asked for again in halves.
    """
    view = xml.element(
        "m:CalendarView", MaxEntriesReturned=str(FIND_PAGE), StartDate=utc_text(start), EndDate=utc_text(end)
    )
    parts = [_shape(uri_elements(VIEW_URIS)), view, xml.element("m:ParentFolderIds", None, [door.folder(folder)])]
    (reply,) = door.read(xml.element("m:FindItem", None, parts, Traversal="Shallow"))
    full = reply.code == "ErrorExceededFindCountLimit"
    listed: list[Element] = []
    if reply.element is not None:
        root = reply.element.find(f"{M}RootFolder")
        listed = list(xml.each(root, "Items"))
        full = root.get("IncludesLastItemInRange", "true").lower() not in ("true", "1") or len(listed) >= FIND_PAGE
    elif not full:
        raise door.failed(reply)
    if full:
        if end - start < timedelta(minutes=2):
            raise Unavailable(f"More than {FIND_PAGE} meetings of {door.address} begin within two minutes.")
        middle = start + (end - start) / 2
        halves = calendar_view(door, folder, start, middle) + calendar_view(door, folder, middle, end)
        return list({each.id: each for each in halves}.values())
    rows = [found for each in listed if (found := row(each)) is not None]
    return list({each.id: each for each in rows}.values())


def find_keys(door: Mailbox, folder: str | FolderId, keys: Sequence[str]) -> dict[str, list[str]]:
    """Store ids of the items of a folder whose link property holds one of these keys."""
    found: dict[str, list[str]] = {key: [] for key in keys}
    for chunk in chunked(found, KEYS_PER_FIND):
        terms = [_is_link(key) for key in chunk]
        condition = terms[0] if len(terms) == 1 else xml.element("t:Or", None, terms)
        for item in _find(door, folder, [link_uri()], xml.element("m:Restriction", None, [condition])):
            for extended in item.findall(f"{T}ExtendedProperty"):
                uri, value = xml.at(extended, "ExtendedFieldURI"), xml.text(extended, "Value")
                if uri is not None and uri.get("PropertyName") == LINK_NAME and value in found:
                    found[value].append(xml.item_id(item)[0])
    return found


def list_items(door: Mailbox, folder: str | FolderId, uris: Iterable[str]) -> Iterator[Element]:
    """Every item of a folder, with a few properties."""
    return _find(door, folder, uri_elements(uris), None)


def _find(
    door: Mailbox, folder: str | FolderId, properties: Sequence[Element], restriction: Element | None
) -> Iterator[Element]:
    offset = 0
    while True:
        page = xml.element(
            "m:IndexedPageItemView", MaxEntriesReturned=str(FIND_PAGE), Offset=str(offset), BasePoint="Beginning"
        )
        parts = [_shape(properties), page, restriction, xml.element("m:ParentFolderIds", None, [door.folder(folder)])]
        request = xml.element("m:FindItem", None, [part for part in parts if part is not None], Traversal="Shallow")
        root = _only(door, request).find(f"{M}RootFolder")
        items = list(xml.each(root, "Items"))
        yield from items
        offset += len(items)
        if not items or root.get("IncludesLastItemInRange", "true").lower() in ("true", "1"):
            return


def _is_link(key: str) -> Element:
    constant = xml.element("t:FieldURIOrConstant", None, [xml.element("t:Constant", Value=key)])
    return xml.element("t:IsEqualTo", None, [link_uri(), constant])


def resolve_name(door: Mailbox, address: str) -> str | None:
    """The display name of an address in the address book; None where it has none."""
    entry = xml.element("m:UnresolvedEntry", address)
    (reply,) = door.read(xml.element("m:ResolveNames", None, [entry], ReturnFullContactData="false"))
    if reply.code == "ErrorNameResolutionNoResults":
        return None
    if reply.element is None:
        raise door.failed(reply)
    for resolution in xml.children(reply.element.find(f"{M}ResolutionSet")):
        told = (xml.text(resolution, "Mailbox", "EmailAddress") or "").lower().removeprefix("smtp:")
        if told == address:
            return xml.text(resolution, "Mailbox", "Name")
    return None


# Operations with an effect: one item per request, nobody is mailed, nothing is overwritten unseen.


_TELL = {False: "SendToNone", True: "SendToAllAndSaveCopy"}


def create(door: Mailbox, folder: str | FolderId, item: Element, *, mail: bool = False) -> tuple[str, str]:
    """Create one item; returns its store id and change key. Raises ConnectorError (Lost: it may be there). With
    ``mail`` its attendees are invited."""
    children = [xml.element("m:SavedItemFolderId", None, [door.folder(folder)]), xml.element("m:Items", None, [item])]
    attributes = {"MessageDisposition": "SaveOnly", "SendMeetingInvitations": _TELL[mail]}
    return _item_id(door, xml.element("m:CreateItem", None, children, **attributes))


def update(
    door: Mailbox, item_id: str, change_key: str, updates: Sequence[Element], *, mail: bool = False
) -> tuple[str, str]:
    """Change the properties named, if the item is still as ``change_key`` says. Raises Conflict if it is not."""
    change = xml.element(
        "t:ItemChange",
        None,
        [xml.element("t:ItemId", Id=item_id, ChangeKey=change_key), xml.element("t:Updates", None, updates)],
    )
    return _item_id(
        door,
        xml.element(
            "m:UpdateItem",
            None,
            [xml.element("m:ItemChanges", None, [change])],
            ConflictResolution="NeverOverwrite",
            MessageDisposition="SaveOnly",
            SendMeetingInvitationsOrCancellations=_TELL[mail],
            SuppressReadReceipts="true",
        ),
    )


def delete(door: Mailbox, item_id: str, change_key: str, *, mail: bool = False) -> None:
    """Move an item to Deleted Items, where its owner can find it again."""
    wanted = xml.element("m:ItemIds", None, [xml.element("t:ItemId", Id=item_id, ChangeKey=change_key)])
    reply = door.effect(
        xml.element(
            "m:DeleteItem",
            None,
            [wanted],
            DeleteType="MoveToDeletedItems",
            SendMeetingCancellations=_TELL[mail],
            AffectedTaskOccurrences="SpecifiedOccurrenceOnly",
            SuppressReadReceipts="true",
        )
    )
    if reply.element is None:
        raise door.failed(reply, effect=True)


def _item_id(door: Mailbox, request: Element) -> tuple[str, str]:
    reply = door.effect(request)
    if reply.element is None:
        raise door.failed(reply, effect=True)
    item: Any = next(xml.children(reply.element.find(f"{M}Items")), None)
    node = xml.at(item, "ItemId")
    if node is None:
        raise Lost(f"Exchange confirmed a write for {door.address} without naming the item.")
    return node.get("Id"), node.get("ChangeKey", "")


def _only(door: Mailbox, request: Element) -> Element:
    replies = door.read(request)
    if len(replies) != 1:
        raise Unavailable(f"Exchange gave {len(replies)} answers to one request for {door.address}.")
    if replies[0].element is None:
        raise door.failed(replies[0])
    return replies[0].element


def _shape(properties: Sequence[Element]) -> Element:
    children = [xml.element("t:BaseShape", "IdOnly")]
    if any(each.get("FieldURI") == "item:Body" for each in properties):
        children.append(xml.element("t:BodyType", "Text"))
    if properties:
        copies = [each.__copy__() for each in properties]  # lxml moves an element that gets a second parent
        children.append(xml.element("t:AdditionalProperties", None, copies))
    return xml.element("m:ItemShape", None, children)
