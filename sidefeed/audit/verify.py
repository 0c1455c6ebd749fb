"""The check of the chain: whatever was sealed still stands as it was, or is the first thing that is told."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from sidefeed.audit.chain import Head, Progress, standings, waiting
from sidefeed.audit.kinds import KINDS, Kind
from sidefeed.audit.walk import ADDED, SEAL, Entry, Finding, snapshot, walk
from sidefeed.workspace import Store, StoreError, Transaction

OLDER, OTHER = "older", "other"
"""What a kept head can say beside what was found in the rows: this workspace ends before it, or holds another entry in
its place."""

_HEAD = re.compile(r"(?:(\d+):)?([0-9a-f]{64})")


@dataclass(slots=True)
class Verdict:
    """What a check found. ``waiting`` rows were added since the last seal; the next run seals them."""

    entries: int = 0
    head: Head = field(default_factory=Head)
    waiting: int = 0
    redacted: dict[tuple[str, str, str], int] = field(default_factory=dict)
    """How many entries were redacted, by when, by whom and why."""
    findings: list[Finding] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.findings

    def as_json(self) -> dict[str, Any]:
        return {"ok": self.ok, "entries": self.entries, "head": str(self.head), "waiting": self.waiting,
                "redacted": [{"at": at, "actor": actor, "why": why, "entries": number}
                             for (at, actor, why), number in self.redacted.items()],
                "findings": [one.as_json() for one in self.findings]}


def parse_head(text: str) -> tuple[int | None, str]:
    """A head as it was exported: ``number:hash``, or the hash alone. Raises StoreError."""
    found = _HEAD.fullmatch(text.strip().lower())
    if found is None:
        raise StoreError(f"{text!r} is no head of an audit trail: it is the number of an entry, a colon and 64 "
                         f"hexadecimal digits, or the digits alone, as `sidefeed audit verify` prints it.")
    return (int(found[1]) if found[1] else None), found[2]


def verify(store: Store, kept: str | None = None, progress: Progress | None = None) -> Verdict:
    """Check every sealed entry, that nothing was put in between, and that a head that was kept elsewhere is among
    them. Reads only. Raises StoreError where ``kept`` is no head."""
    number, hash = parse_head(kept) if kept is not None else (None, "")
    verdict = Verdict()
    sealed = {kind.name: _Numbers() for kind in KINDS}
    seen = False
    with snapshot(store) as tx:
        for one in walk(tx, progress):
            if isinstance(one, Finding):
                verdict.findings.append(one)
                continue
            seen |= one.hash == hash and number in (None, one.number)
            _count(verdict, one)
            if not sealed[one.kind.name].add(one.id):
                verdict.findings.append(Finding(SEAL, one.kind.name, one.id, one.number, (
                    f"{one.kind.name} {one.id:,} is sealed a second time: the seals were changed by hand")))
        for kind in KINDS:
            verdict.findings += _put_in(tx, kind, sealed[kind.name], *standings(tx)[kind.name])
        verdict.waiting = _waiting(tx)
    if kept is not None and not seen:
        verdict.findings.append(_not_among(number, verdict.head.number))
    return verdict


def _count(verdict: Verdict, entry: Entry) -> None:
    verdict.entries += 1
    verdict.head = Head(entry.number, entry.hash)
    if entry.finding is not None:
        verdict.findings.append(entry.finding)
    if entry.redacted is not None:
        key = entry.redacted.at, entry.redacted.actor, entry.redacted.why
        verdict.redacted[key] = verdict.redacted.get(key, 0) + 1


def _waiting(tx: Transaction) -> int:
    return sum(tx.connection.execute(sa.select(sa.func.count()).select_from(one.kind.table).where(
        one.kind.column > one.after)).scalar_one() + len(one.left) for one in waiting(tx))


def _put_in(
    tx: Transaction, kind: Kind, sealed: _Numbers, high: int, left: tuple[int, ...]
) -> Iterator[Finding]:
    """Rows below the last sealed one of their kind that no seal holds."""
    rows = tx.connection.execution_options(yield_per=10_000).execute(
        sa.select(kind.column).where(kind.column <= high).order_by(kind.column)).scalars()
    for id in rows:
        if id not in sealed and id not in left:
            yield Finding(ADDED, kind.name, id, None, (
                f"{kind.name} {id:,} stands among sealed entries and is none of them: it was put in later"))


class _Numbers:
    """Many numbers, of which most follow one another."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._stops: list[int] = []
        self._others: set[int] = set()

    def add(self, id: int) -> bool:
        """False where it is among them already."""
        if id in self:
            return False
        if not self._stops or id > self._stops[-1]:
            self._starts.append(id)
            self._stops.append(id + 1)
        elif id == self._stops[-1]:
            self._stops[-1] += 1
        else:
            self._others.add(id)
        return True

    def __contains__(self, id: int) -> bool:
        place = bisect_right(self._starts, id) - 1
        return (place >= 0 and id < self._stops[place]) or id in self._others


def _not_among(number: int | None, last: int) -> Finding:
    if number is not None and number > last:
        return Finding(OLDER, "head", None, None, (
            f"this workspace ends with entry {last:,}, and the head is of entry {number:,}: it is older than what was "
            f"exported (an old backup, or a copy), or its end was cut off"))
    if number is not None:
        return Finding(OTHER, "head", None, None, (
            f"entry {number:,} is another one here: everything from there back was written anew, or this is another "
            f"workspace, or one that went on from an older backup"))
    return Finding(OTHER, "head", None, None, (
        f"no entry has this hash: this workspace is older than what was exported, was written anew, or is another one; "
        f"it ends with entry {last:,}"))


