"""How far a folder was read: the links that Graph gave, and for calendars what is known of its series."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from connectors.calendars.packing import UNREADABLE, expired, pack, unpack
from sidefeed.connector import CursorExpired, OddAnswer

_MAKE = "graph1."
Kind = Literal["first", "again", "changes", "drain"]


@dataclass(slots=True)
class Cursor:
    """The state of one stream. ``place`` binds it to one service, organisation, mailbox and folder."""

    place: str
    link: str = ""
    """The delta link that tells what changed next."""
    todo: list[tuple[Kind, str]] = field(default_factory=list)
    """Rounds begun and not ended, the present one first: what it is, and its next page.

    first    everything in the window, for a stream that was never read
    again    the same over a window that has moved on
    changes  what changed since the last round
    drain    what changed in the window that is left behind while the new one was read
    """
    covered: str = ""
    """The day up to which (exclusive) the window of ``link`` reaches."""
    series: dict[str, list[str]] = field(default_factory=dict)
    """Series master -> original starts of the occurrences that were told, because nobody else remembers them."""
    pending: dict[str, list[str]] = field(default_factory=dict)
    """The same of masters that changed in the present round, as far as it was read."""

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
            data["todo"] = [(kind, link) for kind, link in data["todo"]]
            cursor = cls(**data)
        except UNREADABLE as error:
            raise expired(error) from None
        if cursor.place != place:
            raise CursorExpired("The cursor belongs to another organisation, mailbox or folder.")
        return cursor

    @property
    def loading(self) -> bool:
        """Whether the stream was never read to the present."""
        return not self.link

    def turn(self, given: Any) -> bool:
        """Note where the present round goes on after a page; whether the round has ended."""
        kind, here = self.todo[0]
        following = given.get("@odata.nextLink")
        if following == here:
            raise OddAnswer("Graph's list of changes leads back to the page that was just read; the next run reads it "
                            "again")
        if following:
            self.todo[0] = (kind, str(following))
            return False
        del self.todo[0]
        if kind != "drain":
            if kind == "changes" and self.todo:
                self.todo[-1] = ("drain", str(given.get("@odata.deltaLink") or ""))
            self.link = str(given.get("@odata.deltaLink") or "")
            if not self.link:
                raise CursorExpired("Graph ended a round without a link for the next.")
        return True
