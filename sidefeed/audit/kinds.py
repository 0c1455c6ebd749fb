"""What is sealed: every table that is only ever added to, and how a row of it becomes an entry of the chain.

An entry is two texts. The *entry* itself holds what stays for ever: its number, the hash of the entry before it, the
row's fixed columns, and a digest. The *content* holds what people wrote, and may have to go one day: the digest is of a
random salt and the content, so that once both are gone the entry still stands, and nobody can guess what was there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import sqlalchemy as sa

from sidefeed.workspace import tables as t

SALT, HASH = 16, 32
"""Bytes of a salt and of a SHA-256."""

GENESIS = "0" * 64
"""What stands for the hash before the first entry."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A table whose rows are sealed, once they are settled. ``key`` numbers them in the order in which they came."""

    table: sa.Table
    key: str
    fixed: tuple[str, ...]
    content: tuple[str, ...]
    settles: bool = False
    """Whether a row is open at first, and changed once more, when it is settled."""

    @property
    def name(self) -> str:
        return self.table.name

    @property
    def column(self) -> sa.Column[Any]:
        return self.table.c[self.key]

    @property
    def columns(self) -> list[sa.ColumnElement[Any]]:
        """As stored, without reading JSON: the very text is sealed."""
        return [_raw(self.table.c[name]) for name in (*self.fixed, *self.content)]

    def row(self, values: Sequence[Any]) -> bytes:
        """The fixed columns of a row, as they are sealed; what is JSON itself is a text in it."""
        return orjson.dumps(dict(zip(self.fixed, values, strict=False)))

    def told(self, values: Sequence[Any]) -> bytes:
        """The content of a row, as it is sealed. Raises TypeError where a column holds no text."""
        parts = [begins + (value if stored and value is not None else orjson.dumps(value).decode())
                 for (begins, stored), value in zip(_PIECES[self.name], values[len(self.fixed):], strict=True)]
        return ("".join(parts) + "}").encode()


KINDS = (
    Kind(t.change, "rev", ("rev", "site", "seq", "hlc", "at", "actor", "source", "run", "entity", "record", "base"),
         ("fields", "reason")),
    Kind(t.intent, "id", ("id", "run", "system", "object", "record", "op", "key", "external_id", "rev", "state", "at"),
         ("payload", "before", "outcome"), settles=True),
    Kind(t.submission, "id", ("id", "at", "actor", "node", "kind", "measure", "valid_from", "valid_to"),
         ("currency", "amount", "computed", "reason")),
    Kind(t.quota, "id", ("id", "known_from", "actor", "node", "valid_from", "valid_to"), ("currency", "amount")),
    Kind(t.membership, "id", ("id", "known_from", "actor", "node", "kind", "valid_from", "valid_to"),
         ("member", "role")),
    Kind(t.fx_rate, "id", ("id", "known_from", "actor", "kind", "currency", "into", "valid_from", "valid_to"),
         ("rate",)),
    Kind(t.journal, "id", ("id", "at", "actor", "via", "what", "system", "object", "record", "run"), ("detail",)),
)
"""In the order in which one sealing takes them. When a quota, a membership or a rate ended being known stands in the
entry that took its place."""

BY_NAME = {kind.name: kind for kind in KINDS}

_PIECES = {kind.name: [(f'{"," if place else "{"}"{name}":', isinstance(kind.table.c[name].type, t.Json))
                       for place, name in enumerate(kind.content)] for kind in KINDS}
"""Of each kind, what precedes each part of its content, and whether that is stored as JSON: it need not be read to be
sealed."""


def _raw(column: sa.Column[Any]) -> sa.ColumnElement[Any]:
    return sa.type_coerce(column, sa.Text()) if isinstance(column.type, t.Json) else column


def digest(salt: bytes, content: bytes) -> str:
    return hashlib.sha256(salt + content).hexdigest()


def entry_text(number: int, kind: Kind, prev: str, content: str, row: bytes) -> bytes:
    """The text of an entry: what its hash is of. ``content`` is the digest of what the row holds besides."""
    return b'{"n":%d,"kind":"%b","prev":"%b","content":"%b","row":%b}' % (
        number, kind.name.encode(), prev.encode(), content.encode(), row)


def hash_of(entry: bytes) -> str:
    return hashlib.sha256(entry).hexdigest()
