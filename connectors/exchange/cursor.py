"""How far a folder was read: Exchange's own sync state, and for calendars what is known of its series."""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from dataclasses import asdict, dataclass, field
from typing import Any

from sidefeed.connector import CursorExpired

_MAKE = "ews1."


@dataclass(slots=True)
class Series:
    """A series with occurrences in the window."""

    uid: str
    """Digest of the normalised UID, to recognise its occurrences in a view."""
    starts: list[str] = field(default_factory=list)
    """Original starts of the occurrences that were told, because a deleted master no longer tells them."""


@dataclass(slots=True)
class Pending:
    """A series master that changed and is not expanded yet."""

    sensitivity: str
    was_single: bool = False


@dataclass(slots=True)
class Cursor:
    """The state of one stream. ``place`` binds it to one endpoint, mailbox and folder."""

    place: str
    sync: str | None = None
    loading: bool = True
    """Until the first read has reached the present: items outside the window are left out."""
    covered: str = ""
    """The day up to which (exclusive) the window was read."""
    series: dict[str, Series] = field(default_factory=dict)
    pending: dict[str, Pending] = field(default_factory=dict)

    def text(self) -> str:
        """The cursor as the core stores it."""
        packed = zlib.compress(json.dumps(asdict(self), separators=(",", ":")).encode())
        return _MAKE + base64.urlsafe_b64encode(packed).decode()

    @classmethod
    def read(cls, text: str | None, place: str) -> Cursor:
        """The cursor in a text, a new one for None. Raises CursorExpired for one of another make or place."""
        if text is None:
            return cls(place)
        try:
            if not text.startswith(_MAKE):
                raise ValueError("another make")
            data: dict[str, Any] = json.loads(zlib.decompress(base64.urlsafe_b64decode(text[len(_MAKE) :])))
            data["series"] = {key: Series(**each) for key, each in data["series"].items()}
            data["pending"] = {key: Pending(**each) for key, each in data["pending"].items()}
            cursor = cls(**data)
        except (ValueError, KeyError, TypeError, AttributeError, zlib.error, binascii.Error) as error:
            raise CursorExpired(f"The cursor cannot be read ({type(error).__name__}).") from None
        if cursor.place != place:
            raise CursorExpired("The cursor belongs to another endpoint, mailbox or folder.")
        return cursor
