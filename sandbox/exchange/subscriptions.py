"""Notifications: Subscribe (pull and streaming), GetEvents, GetStreamingEvents, Unsubscribe.

Source: EWS reference of each; "Notification subscriptions, mailbox events, and EWS". A pull answers at most 50 events;
an expired or unknown subscription is an error, and only its owner may use it. Push subscriptions are not implemented:
the server calls nobody.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import struct
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sandbox.kit.http import Response

from .calls import Call, error_message, required, success_message
from .errors import EwsError, not_implemented, schema_violation
from .soap import Element, M, T, add, boolean, child, element, envelope, flag, local, message_root, text_of
from .store import Folder, Item, World
from .values import wire_time

if TYPE_CHECKING:
    from .server import ExchangeServer

EVENTS = (
    "CopiedEvent",
    "CreatedEvent",
    "DeletedEvent",
    "ModifiedEvent",
    "MovedEvent",
    "NewMailEvent",
    "FreeBusyChangedEvent",
)
PAGE = 50
MAX_SUBSCRIPTIONS = 5000
HEARTBEAT = 45.0
"""Seconds without events after which a stream says that it is alive."""


@dataclass(frozen=True)
class Event:
    """One event as it will be written: type, number, time, and pairs of (element, id, change key)."""

    kind: str
    number: int
    at: datetime
    parts: tuple[tuple[str, str, str], ...]
    unread: int | None = None

    def write(self, watermark: str = "") -> Element:
        """The element of the event; pull events carry a watermark."""
        node = element(f"{T}{self.kind}")
        if watermark:
            add(node, f"{T}Watermark", watermark)
        add(node, f"{T}TimeStamp", wire_time(self.at))
        for tag, identifier, key in self.parts:
            add(node, f"{T}{tag}", None, {"Id": identifier, "ChangeKey": key} if key else {"Id": identifier})
        if self.unread is not None:
            add(node, f"{T}UnreadCount", str(self.unread))
        return node


@dataclass
class Subscription:
    """Who watches which folders of a mailbox for what, and what has happened."""

    id: str
    owner: str
    mailbox: int
    folders: frozenset[int] | None
    events: frozenset[str]
    streaming: bool
    minutes: int
    used: datetime
    clock: ExchangeServer
    count: int = 0
    queue: list[Event] = field(default_factory=list)

    def clone(self) -> Subscription:
        """A copy for a snapshot."""
        made = copy.copy(self)
        made.queue = list(self.queue)
        return made

    def watches(self, folder: Folder) -> bool:
        """Whether the folder is one of those watched."""
        return folder.mailbox_number == self.mailbox and (self.folders is None or folder.serial in self.folders)

    def happened(self, world: World, kind: str, item: Item, folder: Folder) -> None:
        """Note that an item was created, modified or deleted in a folder."""
        if not self.watches(folder):
            return
        parts = (
            ("ItemId", world.item_id(item), world.item_key(item)),
            ("ParentFolderId", world.folder_id(folder), world.folder_key(folder)),
        )
        self._note(f"{kind}Event", parts)
        if kind == "Created" and folder.distinguished == "inbox" and item.get("message:IsRead") is False:
            self._note("NewMailEvent", parts)
        if folder.element == "Folder":
            self._folder_changed(world, folder)
        elif folder.element == "CalendarFolder":
            self._note("FreeBusyChangedEvent", parts)

    def moved(self, world: World, item: Item, source: Folder, target: Folder, old_id: str) -> None:
        """Note that an item went from one folder to another."""
        if not (self.watches(source) or self.watches(target)):
            return
        parts = (
            ("ItemId", world.item_id(item), world.item_key(item)),
            ("ParentFolderId", world.folder_id(target), world.folder_key(target)),
            ("OldItemId", old_id, world.item_key(item)),
            ("OldParentFolderId", world.folder_id(source), world.folder_key(source)),
        )
        self._note("MovedEvent", parts)

    def _folder_changed(self, world: World, folder: Folder) -> None:
        parent = world.folders.get(folder.parent or 0, folder)
        parts = (
            ("FolderId", world.folder_id(folder), world.folder_key(folder)),
            ("ParentFolderId", world.folder_id(parent), world.folder_key(parent)),
        )
        self._note("ModifiedEvent", parts, folder.unread)

    def _note(self, kind: str, parts: tuple[tuple[str, str, str], ...], unread: int | None = None) -> None:
        if kind in self.events:
            self.count += 1
            self.queue.append(Event(kind, self.count, self.clock.clock.now(), parts, unread))

    def watermark(self, number: int) -> str:
        """The watermark after an event."""
        seal = hashlib.md5(f"{self.id}:{number}".encode()).digest()[:4]
        return base64.b64encode(struct.pack(">Q", number) + seal + b"\x01").decode("ascii")

    def position(self, watermark: str) -> int:
        """The event number of a watermark. Raises `EwsError` ErrorInvalidWatermark."""
        try:
            raw = base64.b64decode(watermark, validate=True)
        except ValueError:
            raise EwsError("ErrorInvalidWatermark") from None
        if len(raw) != 13 or self.watermark(number := struct.unpack(">Q", raw[:8])[0]) != watermark:
            raise EwsError("ErrorInvalidWatermark")
        return int(number)


def subscribe(call: Call, request: Element) -> Element:
    """Subscribe."""
    node = next(iter(request), None)
    kind = local(node) if node is not None else ""
    if kind == "PushSubscriptionRequest":
        raise not_implemented("PushSubscriptionRequest")
    if kind not in ("PullSubscriptionRequest", "StreamingSubscriptionRequest"):
        raise schema_violation("The element 'Subscribe' has incomplete content.", request.sourceline)

    def one(wanted: Element) -> Iterable[Element]:
        streaming = kind.startswith("Streaming")
        made = _make(call, wanted, streaming=streaming)
        call.world.subscriptions[made.id] = made
        yield element(f"{M}SubscriptionId", None, made.id)
        if not streaming:
            yield element(f"{M}Watermark", None, made.watermark(0))

    return call.reply("Subscribe", [node], one)


def _make(call: Call, node: Element, *, streaming: bool) -> Subscription:
    events = [(one.text or "").strip() for one in required(node, "EventTypes")]
    unknown = [name for name in events if name not in EVENTS]
    if unknown or not events:
        raise schema_violation(
            f"The 'EventType' element is invalid - The value '{(unknown or [''])[0]}' is invalid.", node.sourceline
        )
    owner = call.mailbox.address.lower() if call.mailbox is not None else call.principal.login
    if sum(1 for known in call.world.subscriptions.values() if known.owner == owner) >= MAX_SUBSCRIPTIONS:
        raise EwsError("ErrorExceededSubscriptionCount")
    if flag(node.get("SubscribeToAllFolders")):
        if child(node, "FolderIds") is not None:
            raise EwsError("ErrorInvalidSubscriptionRequest", "Specify either SubscribeToAllFolders or folder ids.")
        mailbox, folders = call.own().number, None
    else:
        found = [call.folder(one) for one in required(node, "FolderIds")]
        if len({folder.mailbox_number for folder in found}) != 1:
            raise EwsError("ErrorInvalidSubscriptionRequest", "A subscription is for the folders of one mailbox.")
        if call.mailbox is None or call.mailbox.number != found[0].mailbox_number:
            raise EwsError("ErrorSubscriptionDelegateAccessNotSupported")
        mailbox, folders = found[0].mailbox_number, frozenset(folder.serial for folder in found)
    minutes = 30
    if not streaming:
        text = (text_of(node, "Timeout") or "").strip()
        if not text.isdigit() or not 1 <= int(text) <= 1440:
            raise schema_violation(
                f"The 'Timeout' element is invalid - The value '{text}' is invalid.", node.sourceline
            )
        minutes = int(text)
    number = call.world.next_serial()
    identifier = base64.b64encode(
        b"exch01.practice.example\x00" + hashlib.md5(f"{owner}:{number}".encode()).digest()
    ).decode("ascii")
    return Subscription(
        identifier, owner, mailbox, folders, frozenset(events), streaming, minutes, call.now, call.server
    )


def _find(call: Call, identifier: str) -> Subscription:
    known: Subscription | None = call.world.subscriptions.get(identifier.strip())
    if known is None:
        raise EwsError("ErrorSubscriptionNotFound")
    owner = call.mailbox.address.lower() if call.mailbox is not None else call.principal.login
    if known.owner != owner:
        raise EwsError(
            "ErrorSubscriptionAccessDenied",
            "Access is denied. Only the subscription owner may access the subscription.",
        )
    if call.now - known.used > timedelta(minutes=known.minutes):
        del call.world.subscriptions[known.id]
        raise EwsError("ErrorExpiredSubscription")
    known.used = call.now
    return known


def unsubscribe(call: Call, request: Element) -> Element:
    """Unsubscribe."""

    def one(node: Element) -> Iterable[Element]:
        known = _find(call, node.text or "")
        del call.world.subscriptions[known.id]
        return ()

    return call.reply("Unsubscribe", [required(request, "SubscriptionId")], one)


def get_events(call: Call, request: Element) -> Element:
    """GetEvents of a pull subscription, after a watermark."""

    def one(node: Element) -> Iterable[Element]:
        known = _find(call, node.text or "")
        if known.streaming:
            raise EwsError("ErrorInvalidSubscription", "A streaming subscription cannot be pulled.")
        watermark = (text_of(request, "Watermark") or "").strip()
        position = known.position(watermark)
        known.queue = [event for event in known.queue if event.number > position]
        made = element(f"{M}Notification")
        add(made, f"{T}SubscriptionId", known.id)
        add(made, f"{T}PreviousWatermark", watermark)
        add(made, f"{T}MoreEvents", boolean(len(known.queue) > PAGE))
        for event in known.queue[:PAGE]:
            made.append(event.write(known.watermark(event.number)))
        if not known.queue:
            add(add(made, f"{T}StatusEvent"), f"{T}Watermark", watermark)
        call.records += len(known.queue[:PAGE])
        return [made]

    return call.reply("GetEvents", [required(request, "SubscriptionId")], one)


def get_streaming_events(call: Call, request: Element) -> Element | Response:
    """GetStreamingEvents: a chunked answer of one envelope after another, until the connection time-out."""
    holder = child(request, "SubscriptionIds")
    wanted = [(node.text or "").strip() for node in holder] if holder is not None else []
    single = child(request, "SubscriptionId")
    if single is not None:
        wanted.append((single.text or "").strip())
    text = (text_of(request, "ConnectionTimeout") or "").strip()
    if not text.isdigit() or not 1 <= int(text) <= 30:
        raise schema_violation(
            f"The 'ConnectionTimeout' element is invalid - The value '{text}' is invalid.", request.sourceline
        )
    if not wanted:
        raise schema_violation(
            "The element 'GetStreamingEvents' has incomplete content: 'SubscriptionIds' expected.", request.sourceline
        )
    bad: list[str] = []
    failure: EwsError | None = None
    for identifier in wanted:
        try:
            if not _find(call, identifier).streaming:
                raise EwsError("ErrorInvalidSubscription")
        except EwsError as error:
            failure = failure or error
            bad.append(identifier)
    if failure is not None:
        return _stream_error(failure, bad)
    version = call.server.version_info()
    body = _stream(call.server, wanted, int(text) * 60, version)
    return Response(200, body, [("Content-Type", "text/xml; charset=utf-8")])


def _stream_error(error: EwsError, bad: list[str]) -> Element:
    tail = []
    if bad:
        holder = element(f"{M}ErrorSubscriptionIds")
        for identifier in bad:
            add(holder, f"{M}SubscriptionId", identifier)
        tail.append(holder)
    tail.append(element(f"{M}ConnectionStatus", None, "Closed"))
    root = message_root(f"{M}GetStreamingEventsResponse")
    message = error_message(f"{M}GetStreamingEventsResponseMessage", error, children=tail)
    add(root, f"{M}ResponseMessages").append(message)
    return root


def _stream(server: ExchangeServer, wanted: list[str], seconds: int, version: dict[str, str]) -> Iterator[bytes]:
    """Envelopes as things happen; nothing in between, so that other clients are served.

    Ends by the real clock, or earlier when the server's own clock has been moved past the time-out.
    """
    started, began = time.monotonic(), server.clock.now()
    yield _document([element(f"{M}ConnectionStatus", None, "OK")], version)
    spoken = time.monotonic()
    while time.monotonic() - started < seconds and (server.clock.now() - began).total_seconds() < seconds:
        holder = element(f"{M}Notifications")
        for identifier in wanted:
            known: Subscription | None = server.world.subscriptions.get(identifier)
            if known is None:
                yield _document_of(_stream_error(EwsError("ErrorSubscriptionNotFound"), [identifier]), version)
                return
            known.used = server.clock.now()
            if known.queue:
                batch, known.queue = known.queue[:PAGE], known.queue[PAGE:]
                made = add(holder, f"{M}Notification")
                add(made, f"{T}SubscriptionId", known.id)
                for event in batch:
                    made.append(event.write())
        if len(holder):
            spoken = time.monotonic()
            yield _document([holder], version)
        elif time.monotonic() - spoken > HEARTBEAT:
            spoken = time.monotonic()
            yield _document([element(f"{M}ConnectionStatus", None, "OK")], version)
        else:
            yield b""
    yield _document([element(f"{M}ConnectionStatus", None, "Closed")], version)


def _document(children: Iterable[Element], version: dict[str, str]) -> bytes:
    root = message_root(f"{M}GetStreamingEventsResponse")
    message = success_message(f"{M}GetStreamingEventsResponseMessage", children)
    add(root, f"{M}ResponseMessages").append(message)
    return _document_of(root, version)


def _document_of(root: Element, version: dict[str, str]) -> bytes:
    return envelope(root, version).partition(b"?>")[2]
