"""Ids of items in Graph: the default form, which a move changes, and the immutable one. Both are case-sensitive.

Source: "Get immutable identifiers for Outlook resources". The default form is the EWS id in the URL-safe alphabet,
which is how the two convert into each other (translateExchangeIds).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
from dataclasses import dataclass
from datetime import UTC, datetime

from sandbox.exchange import ids as ews
from sandbox.exchange.errors import EwsError
from sandbox.exchange.store import Folder, Item, World

_MAGIC = b"\x00\x02@\x00"
_FORMAT = ">BQq"
_SAFE, _PLAIN = str.maketrans("+/", "-_"), str.maketrans("-_", "+/")


@dataclass(frozen=True)
class Ref:
    """What an id says. `serial` is the present one of the item that it names."""

    kind: int
    serial: int
    original: datetime | None = None


def of_item(world: World, item: Item, *, immutable: bool) -> str:
    """The id of an item or occurrence."""
    if not immutable:
        return world.item_id(item).translate(_SAFE)
    kind = ews.ITEM if item.original is None else ews.OCCURRENCE
    moment = 0 if item.original is None else int(item.original.timestamp())
    guid = world.folders[item.folder].guid.encode()
    payload = _MAGIC + guid + struct.pack(_FORMAT, kind, world.life(item.serial), moment)
    return base64.urlsafe_b64encode(payload + _seal(payload)).decode()


def of_master(world: World, occurrence: Item, *, immutable: bool) -> str:
    """The id of the series of an occurrence."""
    assert occurrence.master is not None
    return of_item(world, occurrence.master, immutable=immutable)


def of_removed(world: World, folder: Folder, serial: int, known: str, *, immutable: bool) -> str:
    """The id of an item that was taken out of a folder; `known` is the EWS id it had there."""
    if not immutable:
        return known.translate(_SAFE)
    payload = _MAGIC + folder.guid.encode() + struct.pack(_FORMAT, ews.ITEM, world.life(serial), 0)
    return base64.urlsafe_b64encode(payload + _seal(payload)).decode()


def of_folder(world: World, folder: Folder) -> str:
    """The id of a calendar or contact folder; containers have constant ids in both forms."""
    return world.folder_id(folder).translate(_SAFE)


def read(world: World, text: str) -> Ref:
    """Take an id of either form apart. Raises `EwsError` ErrorInvalidIdMalformed."""
    try:
        raw = base64.b64decode(text.translate(_PLAIN).encode("ascii"), validate=True)
    except (binascii.Error, ValueError):
        raise EwsError("ErrorInvalidIdMalformed") from None
    if not raw.startswith(_MAGIC):
        found = ews.read(text.translate(_PLAIN))
        return Ref(found.kind, found.serial, found.original)
    payload, size = raw[:-8], struct.calcsize(_FORMAT)
    if len(payload) < size + len(_MAGIC) or _seal(payload) != raw[-8:]:
        raise EwsError("ErrorInvalidIdMalformed")
    kind, life, moment = struct.unpack(_FORMAT, payload[-size:])
    original = datetime.fromtimestamp(moment, UTC) if kind == ews.OCCURRENCE else None
    return Ref(kind, world.lives.get(life, life), original)


def to_ews(text: str) -> str:
    """A default id in the alphabet of EWS."""
    return text.translate(_PLAIN)


def _seal(payload: bytes) -> bytes:
    return hashlib.blake2s(payload, digest_size=8).digest()
