"""How far a folder was read: Exchange's own sync state, and for calendars what is known of its series."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from connectors.calendars.packing import UNREADABLE, expired, pack, unpack
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
        return pack(_MAKE, asdict(self))

    @classmethod
    def read(cls, text: str | None, place: str) -> Cursor:
        """The cursor in a text, a new one for None. Raises CursorExpired for one of another make or place."""
        if text is None:
            return cls(place)
        try:
            data: dict[str, Any] = unpack(_MAKE, text)
            data["series"] = {key: Series(**each) for key, each in data["series"].items()}
            data["pending"] = {key: Pending(**each) for key, each in data["pending"].items()}
            cursor = cls(**data)
        except UNREADABLE as error:
            raise expired(error) from None
        if cursor.place != place:
            raise CursorExpired("The cursor belongs to another endpoint, mailbox or folder.")
        return cursor
