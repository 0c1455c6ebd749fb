"""Sealing: what was added since the last time becomes the next entries of the chain.

A seal is a row for up to a thousand entries of one kind, with each one's salt and hash. Sealing takes the workspace's
one write lock, as every append does, so two runs at once continue one chain; what a run that died left unsealed is
sealed by the next one.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import sqlalchemy as sa

from sidefeed.audit.kinds import GENESIS, HASH, KINDS, SALT, Kind, digest, entry_text, hash_of
from sidefeed.workspace import Store, StoreError, Transaction
from sidefeed.workspace import tables as t
from sidefeed.workspace.database import any_of

Progress = Callable[[str, int], None]

AT_ONCE = 1000
"""Entries of one seal: so many rows are held at a time, and so many read again for one of them."""

_OPEN = "open"

_NEWEST = sa.select(sa.func.max(t.seal.c.number))
_STANDINGS = sa.select(t.seal.c.kind, t.seal.c.high, t.seal.c.left).where(
    t.seal.c.number.in_(_NEWEST.group_by(t.seal.c.kind)))
_LAST_KEYS = ", ".join(f"(SELECT max({kind.key}) FROM {kind.name})" for kind in KINDS)  # noqa: S608
_LAST = sa.select(t.seal.c.first, t.seal.c.count, t.seal.c.number, t.seal.c.hashes).where(
    t.seal.c.number == _NEWEST.scalar_subquery())


@dataclass(frozen=True, slots=True)
class Head:
    """The last entry of a chain: its number and hash. Kept somewhere else, it proves everything before it."""

    number: int = 0
    hash: str = GENESIS

    def __str__(self) -> str:
        return f"{self.number}:{self.hash}"


@dataclass(frozen=True, slots=True)
class Waiting:
    """Rows of a kind that no seal holds: those above ``after``, and ``left``, which were open when it was reached."""

    kind: Kind
    after: int
    upto: int
    left: tuple[int, ...] = ()


def _last(tx: Transaction) -> Any:
    """The newest seal, None where there is none. Raises StoreError where it cannot be read."""
    try:
        return tx.connection.execute(_LAST).one_or_none()
    except sa.exc.OperationalError:  # what was bytes is text
        raise StoreError("the newest seal of the audit trail cannot be read, so the trail is not continued: it was "
                         "changed by hand, or damaged. `sidefeed audit verify` says what holds; restore a backup of "
                         "the workspace.") from None


def head(tx: Transaction) -> Head:
    """The last sealed entry. Raises StoreError where its seal cannot be read."""
    row = _last(tx)
    return Head() if row is None else Head(row.first + row.count - 1, bytes(row.hashes[-HASH:]).hex())


def standings(tx: Transaction) -> dict[str, tuple[int, tuple[int, ...]]]:
    """Kind -> up to which row it is sealed, and the rows before it that were open then."""
    found = {row.kind: (row.high, tuple(row.left or ())) for row in tx.connection.execute(_STANDINGS)}
    return {kind.name: found.get(kind.name, (0, ())) for kind in KINDS}


def waiting(tx: Transaction) -> list[Waiting]:
    """What is to be sealed, by kind; empty after a run that did nothing."""
    known, last = standings(tx), tx.connection.exec_driver_sql("SELECT " + _LAST_KEYS).one()
    found = []
    for kind, newest in zip(KINDS, last, strict=True):
        after, left = known[kind.name]
        upto = newest or 0
        if upto > after or (left and settled_now(tx, kind, left)):
            found.append(Waiting(kind, after, upto, left))
    return found


def settled_now(tx: Transaction, kind: Kind, left: Sequence[int]) -> bool:
    return tx.connection.execute(sa.select(kind.column).where(
        any_of(kind.column, left), kind.table.c.state != _OPEN).limit(1)).first() is not None


def seal(store: Store, progress: Progress | None = None) -> Head:
    """Seal everything that is settled and not sealed yet; returns the head. It costs as much as was added.
    Raises StoreError where the newest seal cannot be read."""
    while True:
        with store.read() as tx:
            if not waiting(tx):
                return head(tx)
        with store.write() as tx:
            count = sum(_seal(tx, one) for one in waiting(tx))
        if progress is not None:
            progress("sealing", count)
        if not count:
            with store.read() as tx:
                return head(tx)


def _seal(tx: Transaction, wanted: Waiting) -> int:
    """Seal the next rows of one kind; returns how many."""
    kind = wanted.kind
    select = sa.select(*kind.columns).order_by(kind.column)
    rows: list[Sequence[Any]] = list(tx.connection.execute(select.where(kind.column > wanted.after).limit(AT_ONCE)))
    high = rows[-1][0] if rows else wanted.after
    left: list[int] = []
    if kind.settles:
        before = tx.connection.execute(select.where(any_of(kind.column, wanted.left))).all() if wanted.left else []
        state = kind.fixed.index("state")
        left = [row[0] for row in (*before, *rows) if row[state] == _OPEN]
        rows = [row for row in (*before, *rows) if row[state] != _OPEN]
    if rows:
        _add(tx, kind, rows, high, left)
    return len(rows)


def _add(tx: Transaction, kind: Kind, rows: Sequence[Sequence[Any]], high: int, left: Sequence[int]) -> None:
    last = _last(tx)
    first = 1 if last is None else last.first + last.count
    prev = GENESIS if last is None else bytes(last.hashes[-HASH:]).hex()
    salts = secrets.token_bytes(SALT * len(rows))
    hashes = []
    for place, values in enumerate(rows):
        content = digest(salts[place * SALT:(place + 1) * SALT], kind.told(values))
        prev = hash_of(entry_text(first + place, kind, prev, content, kind.row(values)))
        hashes.append(prev)
    ids = [row[0] for row in rows]
    tx.connection.execute(t.seal.insert(), {
        "number": 1 if last is None else last.number + 1, "kind": kind.name, "first": first, "count": len(rows),
        "low": min(ids), "high": high, "ids": None if _counted(ids) else ids, "left": list(left) or None,
        "salts": salts, "hashes": bytes.fromhex("".join(hashes))})


def _counted(ids: Sequence[int]) -> bool:
    """Whether these are the numbers from the first to the last."""
    return all(later == one + 1 for one, later in pairwise(ids))


def ids_of(row: Mapping[str, Any]) -> list[int]:
    """The rows that a seal holds, in the order of its entries."""
    return list(row["ids"] or range(row["low"], row["low"] + row["count"]))


def seals(tx: Transaction) -> Iterator[Mapping[str, Any]]:
    """Every seal, in order, one at a time."""
    number: int | None = None
    while True:
        query = sa.select(t.seal).order_by(t.seal.c.number).limit(1)
        row = tx.connection.execute(
            query if number is None else query.where(t.seal.c.number > number)).mappings().one_or_none()
        if row is None:
            return
        number = row["number"]
        yield dict(row)
