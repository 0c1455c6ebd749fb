"""How far a collection was read: the server's sync token, and what was told of each of its resources."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import zlib
from dataclasses import dataclass, field

from sidefeed.connector import CursorExpired

_MAKE = "dav1"


@dataclass(slots=True)
class Cursor:
    """The state of one stream. ``place`` binds it to one server, mailbox and collection.

    items    href -> digest of the ETag, of everything that was seen
    series   href -> original starts that were told: once a series is gone, nobody else knows them
    covered  the day up to which (exclusive) the window was read
    """

    place: str
    token: str = ""
    ctag: str = ""
    covered: str = ""
    items: dict[str, str] = field(default_factory=dict)
    series: dict[str, list[str]] = field(default_factory=dict)

    def text(self) -> str:
        packed = zlib.compress(json.dumps([self.items, self.series], separators=(",", ":")).encode())
        head = json.dumps([self.place, self.token, self.ctag, self.covered]).encode()
        return ".".join([_MAKE, base64.urlsafe_b64encode(head).decode(), base64.urlsafe_b64encode(packed).decode()])

    @classmethod
    def read(cls, text: str, place: str) -> Cursor:
        """The cursor in a text. Raises CursorExpired for one of another make or place."""
        try:
            make, head, packed = text.split(".")
            if make != _MAKE:
                raise ValueError("another make")
            told, token, ctag, covered = json.loads(base64.urlsafe_b64decode(head))
            items, series = json.loads(zlib.decompress(base64.urlsafe_b64decode(packed)))
        except (ValueError, TypeError, zlib.error, binascii.Error) as error:
            raise CursorExpired(f"The cursor cannot be read ({type(error).__name__}).") from None
        if told != place:
            raise CursorExpired("The cursor belongs to another server, mailbox or collection.")
        return cls(told, token, ctag, covered, dict(items), dict(series))


def short(etag: str) -> str:
    """Enough of an ETag to see that it changed."""
    return base64.b64encode(hashlib.sha256(etag.encode()).digest()[:6]).decode()
