"""How connectors that read iCalendar name meetings and occurrences, and tell of what cannot be read."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from sidefeed.calendars.identity import SINGLE
from sidefeed.connector import Stream

log = logging.getLogger(__name__)

MARK = "#"
"""Between the href of a series and the original start of its occurrence: no path holds one."""

Tell = Callable[[str, str], None]


def identity(href: str, original: str) -> str:
    """The id of a meeting: its href, and of an occurrence the original start, which no edit and no move changes."""
    return href if original == SINGLE else f"{href}{MARK}{original}"


def split(id: str) -> tuple[str, str | None]:
    href, _, original = id.partition(MARK)
    return href, original or None


@dataclass(frozen=True, slots=True)
class Problem:
    """A resource that was not read, and why; the rest of its collection was."""

    object: str
    record: str
    message: str
    code: str = "unreadable"


def teller(stream: Stream, problems: list[Problem]) -> Tell:
    """Notes what of a feed was not read, in a list and in the log."""

    def tell(record: str, why: str) -> None:
        log.warning("%s of %s: %s cannot be read: %s", stream.object, stream.partition, record, why)
        problems.append(Problem(stream.name, record, why))

    return tell
