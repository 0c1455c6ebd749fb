"""The trail as a file that somebody else can check without Sidefeed: one entry a line, as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import orjson
import sqlalchemy as sa

from sidefeed.audit.chain import Head, Progress
from sidefeed.audit.walk import Entry, Finding, snapshot, walk
from sidefeed.calendars.recurrence import SERIES
from sidefeed.workspace import Store, Transaction
from sidefeed.workspace import tables as t
from sidefeed.workspace.database import any_of


class Broken(Exception):
    """The chain does not hold; the message names the first entry that does not."""


Contents = Literal["words", "all", "none"]
"""Which contents are left out: those of meetings, whose words are for the people in them; none of them; every one."""

_MEETINGS = ("meeting", SERIES)
_AT_ONCE = 1000


def export(store: Store, file: Path, *, withhold: Contents = "words", progress: Progress | None = None) -> Head:
    """Write every sealed entry, oldest first; returns the head. What is withheld leaves the file as provable as it
    was. Raises Broken where the chain does not hold; then there is no new file. Raises OSError where the file cannot be
    written."""
    part = file.with_name(file.name + ".part")
    head = Head()
    try:
        with part.open("wb") as out, snapshot(store) as tx:
            for entries in _batches(tx, progress):
                private = _of_meetings(tx, entries) if withhold == "words" else set()
                for entry in entries:
                    shown = withhold == "none" or (withhold == "words" and entry.number not in private)
                    out.write(orjson.dumps(_line(entry, shown=shown)) + b"\n")
                    head = Head(entry.number, entry.hash)
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
    return head


def _line(entry: Entry, *, shown: bool) -> dict[str, Any]:
    line: dict[str, Any] = {"entry": entry.text.decode(), "hash": entry.hash}
    if entry.redacted is not None:
        line["redacted"] = {"at": entry.redacted.at, "by": entry.redacted.actor, "why": entry.redacted.why}
    if not shown:
        return {**line, "withheld": True}
    return {**line, "salt": entry.salt.hex(), "content": entry.content.decode()}


def _batches(tx: Transaction, progress: Progress | None) -> Iterator[list[Entry]]:
    batch: list[Entry] = []
    for one in walk(tx, progress):
        finding = one if isinstance(one, Finding) else one.finding
        if finding is not None or isinstance(one, Finding):
            raise Broken(f"{finding}. What does not hold is not exported: `sidefeed audit verify` tells all that was "
                         f"found and what to do.")
        batch.append(one)
        if len(batch) == _AT_ONCE:
            yield batch
            batch = []
    yield batch


def _of_meetings(tx: Transaction, entries: list[Entry]) -> set[int]:
    """The entries about records that are meetings, by their number."""
    records = {}
    for entry in entries:
        told = dict(zip(entry.kind.fixed, entry.values, strict=False))
        if told.get("record") and entry.kind.name != "journal":  # which names what was decided, never a word
            records[entry.number] = told["record"]
    found = set(tx.connection.execute(sa.select(t.record.c.id).where(
        any_of(t.record.c.id, list(set(records.values()))), t.record.c.entity.in_(_MEETINGS))).scalars())
    return {number for number, record in records.items() if record in found}
