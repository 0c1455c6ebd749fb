"""Opaque identifiers: item, folder, occurrence and attachment ids, change keys, and ConvertId's other spellings.

Ids are base64, hence case-sensitive, and sealed with a digest: an altered one is malformed, a well-formed one that
names nothing is "not found". Source: EWS identifiers in Exchange (up to 512 bytes, never to be taken apart).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
from dataclasses import dataclass
from datetime import UTC, datetime

from .errors import EwsError

ITEM, FOLDER, OCCURRENCE, ATTACHMENT = 1, 2, 3, 4
_MAGIC = b"\x00\x03$\x00"
_FORMAT = ">BQq"
_KEY_PREFIXES = {"CalendarItem": b"\x0f", "Contact": b"\x11", "Message": b"\x09", "Task": b"\x13", "Folder": b"\x01"}


@dataclass(frozen=True)
class Ref:
    """What an id says: its kind, the serial of the object, and for an occurrence its original start."""

    kind: int
    serial: int
    original: datetime | None = None
    part: int = 0


def _seal(payload: bytes) -> bytes:
    return hashlib.blake2s(payload, digest_size=8).digest()


def make(kind: int, serial: int, guid: str, original: datetime | None = None, part: int = 0) -> str:
    """An id. `guid` is that of the mailbox; `part` numbers the attachments of an item."""
    moment = int(original.timestamp()) if original is not None else part
    payload = _MAGIC + guid.encode("ascii") + b"\x00F\x00\x00\x00\x00\x00" + struct.pack(_FORMAT, kind, serial, moment)
    return base64.b64encode(payload + _seal(payload) + bytes(4)).decode("ascii")


def read(text: str | None) -> Ref:
    """Take an id apart. Raises `EwsError` ErrorInvalidIdEmpty or ErrorInvalidIdMalformed."""
    if not text:
        raise EwsError("ErrorInvalidIdEmpty")
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise EwsError("ErrorInvalidIdMalformed") from None
    size = struct.calcsize(_FORMAT)
    payload, seal = raw[:-12], raw[-12:-4]
    if len(raw) < size + 12 or not raw.startswith(_MAGIC) or _seal(payload) != seal:
        raise EwsError("ErrorInvalidIdMalformed")
    kind, serial, moment = struct.unpack(_FORMAT, payload[-size:])
    if kind == OCCURRENCE:
        return Ref(kind, serial, datetime.fromtimestamp(moment, UTC))
    return Ref(kind, serial, None, moment)


def change_key(element_name: str, serial: int, version: int) -> str:
    """The change key of one state of an object; it changes with every write."""
    prefix = _KEY_PREFIXES.get(element_name, b"\x10") + b"\x00\x00\x00\x16\x00\x00\x00"
    payload = prefix + struct.pack(">QQ", serial, version)
    return base64.b64encode(payload + _seal(payload)[:4]).decode("ascii")


def read_change_key(text: str) -> tuple[int, int]:
    """(serial, version) of a change key. Raises `EwsError` ErrorInvalidChangeKey."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise EwsError("ErrorInvalidChangeKey") from None
    if len(raw) != 28 or _seal(raw[:24])[:4] != raw[24:]:
        raise EwsError("ErrorInvalidChangeKey")
    serial, version = struct.unpack(">QQ", raw[8:24])
    return serial, version


def state(epoch: int, kind: str, folder: int, generation: int, spans: list[tuple[int, int]]) -> str:
    """An opaque sync state: what the client has seen of a folder's changes (see sync.py)."""
    body = struct.pack(">IBQI", epoch, ord(kind), folder, generation)
    body += b"".join(struct.pack(">QQ", low, high) for low, high in spans)
    return base64.b64encode(b"\x01SYNC" + body + _seal(body)).decode("ascii")


def read_state(text: str) -> tuple[int, str, int, int, list[tuple[int, int]]]:
    """Take a sync state apart. Raises `EwsError` ErrorInvalidSyncStateData."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise EwsError("ErrorInvalidSyncStateData") from None
    body = raw[5:-8]
    if not raw.startswith(b"\x01SYNC") or len(body) < 17 or (len(body) - 17) % 16 or _seal(body) != raw[-8:]:
        raise EwsError("ErrorInvalidSyncStateData")
    epoch, kind, folder, generation = struct.unpack(">IBQI", body[:17])
    spans = [struct.unpack(">QQ", body[at : at + 16]) for at in range(17, len(body), 16)]
    return epoch, chr(kind), folder, generation, [(low, high) for low, high in spans]
