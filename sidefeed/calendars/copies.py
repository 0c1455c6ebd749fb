"""The copies of one meeting in several calendars: which says what it is, and which have to be looked at again."""

from __future__ import annotations

from sidefeed.calendars import busy
from sidefeed.calendars.policy import LEVELS, Level, tightest
from sidefeed.workspace import Transaction

DEPARTED = "departed"
"""The verdict on what a rep who left kept to themselves: it holds back the meeting, and nobody is busy with it."""


def loosened(before: Level | None, now: Level) -> bool:
    """Whether a copy of a meeting may tell more than when it was last seen."""
    return before is not None and LEVELS.index(now) > LEVELS.index(before)


def look_again(tx: Transaction, key: str, *, but: tuple[str, str, str]) -> None:
    """Have every copy of a meeting read again, but for one (system, object, id): what one of them held back, the others
    were not asked for."""
    for copy in busy.copies(tx, key):
        name = (copy["system"], copy["object"], copy["external_id"])
        if name != but and copy["verdict"] != DEPARTED:
            tx.put_inbox(copy["system"], copy["object"], {copy["external_id"]: None})


def hold_to(tx: Transaction, mailbox: str, level: Level, key: str | None = None) -> None:
    """Hold the copies in one calendar (of one meeting, or all) to a level from now on, and have them read again: what
    did not change there is not told again by itself."""
    for copy in busy.of_mailbox(tx, mailbox):
        if key in (None, copy["key"]):
            busy.note(tx, [{**copy, "level": tightest(copy["level"], level)}])
            tx.put_inbox(copy["system"], copy["object"], {copy["external_id"]: None})


def somebody_goes(tx: Transaction, key: str, *, but: str) -> bool:
    """Whether a meeting stands in another calendar than this mailbox's, whose owner did not decline it."""
    others = [copy for copy in busy.copies(tx, key) if copy["mailbox"] != but]
    return any(copy["verdict"] not in ("declined", DEPARTED) for copy in others)
