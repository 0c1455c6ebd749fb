"""What a person paused: a system, one of its objects, a mailbox, or everything.

A pause stands in the workspace, so it holds for every runner at once, a run at work included.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import orjson

from sidefeed.workspace.clock import utc_text
from sidefeed.workspace.model import StoreError
from sidefeed.workspace.transaction import Transaction

EVERYTHING = "everything"
_PREFIX = "pause:"


@dataclass(frozen=True, slots=True)
class Pause:
    """``what`` is a system, a system and one of its objects, the address of a mailbox, or everything.

    Nothing is written there. ``reads`` says that it takes no part in a sync at all; a mailbox never does.
    """

    what: str
    since: str
    by: str
    why: str = ""
    reads: bool = False

    @property
    def stops_reading(self) -> bool:
        return self.reads or "@" in self.what

    def covers(self, system: str, object: str, partition: str = "") -> bool:
        return self.what in (EVERYTHING, system, f"{system} {object}", partition.casefold() or system)

    def __str__(self) -> str:
        why = f" ({self.why})" if self.why else ""
        return f"{self.what} is paused since {self.since[:16]} by {self.by}{why}"

    def as_json(self) -> dict[str, Any]:
        return {"what": self.what, "since": self.since, "by": self.by, "why": self.why,
                "read": not self.stops_reading}


def pauses(tx: Transaction) -> list[Pause]:
    """All that are in force, by name."""
    return [Pause(**orjson.loads(told)) for _name, told in sorted(tx.settings(_PREFIX).items())]


def pause_of(found: Iterable[Pause], system: str, object: str, partition: str = "") -> Pause | None:
    """The pause that holds for a feed; one that stops reading before others."""
    covering = [one for one in found if one.covers(system, object, partition)]
    return max(covering, key=lambda one: one.stops_reading, default=None)


def pause(tx: Transaction, what: str, *, by: str, why: str = "", reads: bool = False) -> Pause:
    """Let nothing be written there. To pause what is paused changes the reason, and whether it is read."""
    known = next((one for one in pauses(tx) if one.what == what), None)
    made = Pause(what, known.since if known else utc_text(tx.store.now()), by, why, reads)
    tx.save_setting(_PREFIX + what, orjson.dumps(asdict(made)).decode())
    tx.note("pause", actor=by, paused=what, why=why or None, read=not made.stops_reading)
    return made


def resume(tx: Transaction, what: str) -> Pause:
    """Let it go on. Raises StoreError where it is not paused, naming what is."""
    known = {one.what: one for one in pauses(tx)}
    if what not in known:
        raise StoreError(f"{what} is not paused; paused: {', '.join(known) or 'nothing'}.")
    tx.drop_setting(_PREFIX + what)
    tx.note("resume", resumed=what)
    return known[what]
