"""How far a collection was read: the server's sync token, and what was told of each of its resources."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import zlib
from dataclasses import dataclass

from sidefeed.connector import CursorExpired

_MAKE = "dav1"
_UNREADABLE = (ValueError, TypeError, zlib.error, binascii.Error)


@dataclass(slots=True)
class Cursor:
    """The state of one stream. ``place`` binds it to one server, mailbox and collection.

    ``covered`` is the day up to which (exclusive) the window was read. What was told of each resource is unpacked only
    when it is looked at: of a quiet calendar nobody does, however large it is.
    """

    place: str
    token: str = ""
    ctag: str = ""
    covered: str = ""
    _packed: str = ""
    _told: tuple[dict[str, str], dict[str, list[str]]] | None = None

    @property
    def items(self) -> dict[str, str]:
        """href -> digest of the ETag, of everything that was seen. Raises CursorExpired where it cannot be read."""
        return self._opened()[0]

    @property
    def series(self) -> dict[str, list[str]]:
        """href -> original starts that were told: once a series is gone, nobody else knows them."""
        return self._opened()[1]

    def _opened(self) -> tuple[dict[str, str], dict[str, list[str]]]:
        if self._told is None:
            try:
                told = zlib.decompress(base64.urlsafe_b64decode(self._packed)) if self._packed else b"[{}, {}]"
                items, series = json.loads(told)
                self._told = dict(items), dict(series)
            except _UNREADABLE as error:
                raise CursorExpired(f"The cursor cannot be read ({type(error).__name__}).") from None
        return self._told

    def text(self) -> str:
        packed = self._packed
        if self._told is not None or not packed:
            told = json.dumps(self._opened(), separators=(",", ":")).encode()
            packed = base64.urlsafe_b64encode(zlib.compress(told)).decode()
        head = json.dumps([self.place, self.token, self.ctag, self.covered]).encode()
        return ".".join([_MAKE, base64.urlsafe_b64encode(head).decode(), packed])

    @classmethod
    def read(cls, text: str, place: str) -> Cursor:
        """The cursor in a text. Raises CursorExpired for one of another make or place."""
        try:
            make, head, packed = text.split(".")
            if make != _MAKE:
                raise ValueError("another make")
            told, token, ctag, covered = json.loads(base64.urlsafe_b64decode(head))
        except _UNREADABLE as error:
            raise CursorExpired(f"The cursor cannot be read ({type(error).__name__}).") from None
        if told != place:
            raise CursorExpired("The cursor belongs to another server, mailbox or collection.")
        return cls(told, token, ctag, covered, packed)


def short(etag: str) -> str:
    """Enough of an ETag to see that it changed."""
    return base64.b64encode(hashlib.sha256(etag.encode()).digest()[:6]).decode()
