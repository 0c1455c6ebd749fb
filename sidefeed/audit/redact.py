"""Taking back what was sealed, honestly: the words go, and the entry says that they went.

A redaction puts other content in the place of what a row held, a new salt in the place of its salt, and adds an entry
to the journal: who took back what and why, the digest that the row was sealed with, and the digest of what is left.
With the salt gone, nobody can find out by guessing what was there; with the old digest, the entry and everything after
it still verify; with the new one, what is left is sealed too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from secrets import token_bytes
from typing import Any

import sqlalchemy as sa

from sidefeed.audit.chain import ids_of
from sidefeed.audit.kinds import BY_NAME, SALT, Kind, digest
from sidefeed.workspace import Transaction
from sidefeed.workspace import tables as t

REDACTION = "redaction"
"""What an entry of the journal says that took values back."""


@dataclass(frozen=True, slots=True)
class Redacted:
    """What is known of a redacted row: the digest that it was sealed with, and that of what is left of it."""

    digest: str
    left: str
    at: str
    actor: str
    why: str


def redactions(tx: Transaction, record: str | None = None) -> dict[tuple[str, int], Redacted]:
    """(kind, row) -> its last redaction; of one record, or all."""
    query = sa.select(t.journal).where(t.journal.c.what == REDACTION).order_by(t.journal.c.id)
    if record is not None:
        query = query.where(t.journal.c.record == record)
    found = {}
    for row in tx.connection.execute(query).mappings():
        for one in row["detail"].get("entries", ()):
            found[(one["kind"], one["id"])] = Redacted(
                one["digest"], one["left"], row["at"], row["actor"], row["detail"].get("why", ""))
    return found


def redact(
    tx: Transaction, record: str, rows: Mapping[tuple[str, int], Mapping[str, Any]], *, why: str,
    actor: str | None = None,
) -> int:
    """Give rows of one record other content, and say so in the journal; returns how many were changed.

    ``rows`` is (kind, row) -> column -> what stands there from now on. Nothing but the content of a row may change.
    Rows that are not sealed yet are sealed as they are left.
    """
    before = redactions(tx, record)
    entries = []
    for (name, id), columns in rows.items():
        kind = BY_NAME[name]
        if not set(columns) <= set(kind.content):
            raise ValueError(f"{set(columns) - set(kind.content)} of {name} can never be redacted")
        found = _sealed(tx, kind, id)
        old = None if found is None else digest(found.salt, _content(tx, kind, id))
        tx.connection.execute(kind.table.update().where(kind.column == id).values(dict(columns)))
        if found is not None and old is not None:
            known = before.get((name, id))
            entries.append({"kind": name, "id": id, "digest": old if known is None else known.digest,
                            "left": found.renew(tx, _content(tx, kind, id))})
    if rows:
        tx.note(REDACTION, actor=actor, record=record, why=why, rows=len(rows), entries=entries)
    return len(rows)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the salt of a sealed row stands."""

    number: int
    salts: bytes
    place: int

    @property
    def salt(self) -> bytes:
        return self.salts[self.place * SALT:(self.place + 1) * SALT]

    def renew(self, tx: Transaction, content: bytes) -> str:
        """Write a new salt over the old one; returns the digest of the content with it."""
        salt = token_bytes(SALT)
        begins = self.place * SALT
        tx.connection.execute(t.seal.update().where(t.seal.c.number == self.number).values(
            salts=self.salts[:begins] + salt + self.salts[begins + SALT:]))
        return digest(salt, content)


def _sealed(tx: Transaction, kind: Kind, id: int) -> _Place | None:
    rows = tx.connection.execute(sa.select(
        t.seal.c.number, t.seal.c.low, t.seal.c.count, t.seal.c.ids, t.seal.c.salts,
    ).where(t.seal.c.kind == kind.name, t.seal.c.low <= id, t.seal.c.high >= id)).mappings()
    for row in rows:
        ids = ids_of(dict(row))
        if id in ids:
            return _Place(row["number"], bytes(row["salts"]), ids.index(id))
    return None


def _content(tx: Transaction, kind: Kind, id: int) -> bytes:
    return kind.told(tuple(tx.connection.execute(sa.select(*kind.columns).where(kind.column == id)).one()))
