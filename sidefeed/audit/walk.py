"""Reading the chain back: each entry made again from its row, and held against what was sealed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import orjson
import sqlalchemy as sa
import zstandard

from sidefeed.audit.chain import Progress, ids_of, seals
from sidefeed.audit.kinds import BY_NAME, GENESIS, HASH, SALT, Kind, digest, entry_text, hash_of
from sidefeed.audit.redact import Redacted, redactions
from sidefeed.workspace import Store, Transaction
from sidefeed.workspace.database import any_of

CHANGED, GONE, ADDED, SEAL = "changed", "gone", "added", "seal"


@dataclass(frozen=True, slots=True)
class Finding:
    """What does not agree with what was sealed. ``number`` is the entry's in the chain, None for a row in no seal."""

    what: str
    kind: str
    id: int | None
    number: int | None
    message: str

    def __str__(self) -> str:
        return f"entry {self.number:,}: {self.message}" if self.number is not None else self.message

    def as_json(self) -> dict[str, Any]:
        return {"what": self.what, "kind": self.kind, "id": self.id, "entry": self.number, "message": str(self)}


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry as it stands now. ``text`` is what was sealed, ``hash`` its hash; ``content`` with ``salt`` is what the
    row holds. ``finding`` says what is wrong; then there may be no text."""

    number: int
    kind: Kind
    id: int
    hash: str
    text: bytes = b""
    salt: bytes = b""
    content: bytes = b""
    values: tuple[Any, ...] = ()
    redacted: Redacted | None = None
    finding: Finding | None = None


@contextmanager
def snapshot(store: Store) -> Iterator[Transaction]:
    """The workspace as it is at one moment, however long it is looked at and whatever others write meanwhile."""
    with store.engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN")
        else:
            connection = connection.execution_options(isolation_level="REPEATABLE READ")
        try:
            yield Transaction(store, connection)
        finally:
            connection.rollback()


def walk(tx: Transaction, progress: Progress | None = None) -> Iterator[Entry | Finding]:
    """Every sealed entry, in order; a seal that was itself tampered with is a finding."""
    known = redactions(tx)
    prev, number = GENESIS, 0
    before: Mapping[str, Any] = {"number": 0}
    highs: dict[str, int] = {}
    try:
        for block in seals(tx):
            wrong = _wrong(block, before["number"] + 1, number + 1, highs.get(block["kind"], 0))
            if wrong:
                yield Finding(SEAL, str(block["kind"]), None, number + 1, wrong)
            before, number, highs[block["kind"]] = block, block["first"] - 1, block["high"]
            if block["kind"] not in BY_NAME:
                continue
            for entry in _entries(tx, block, prev, known):
                yield entry
                prev, number = entry.hash, entry.number
            if progress is not None:
                progress("checking", block["count"])
    except (zstandard.ZstdError, orjson.JSONDecodeError, sa.exc.OperationalError):  # no JSON, no bytes, no text
        yield Finding(SEAL, "seal", None, number + 1, (
            f"the seal after seal {before['number']:,} cannot be read: it was changed by hand, or damaged"))


def _wrong(block: Mapping[str, Any], expected: int, first: int, high: int) -> str:
    """What is wrong with a seal as such; empty where nothing is."""
    if block["number"] != expected or block["first"] != first:
        return f"the seals before seal {block['number']:,} are not those that were made: some are missing"
    count, ids, left = block["count"], ids_of(block), block["left"] or ()
    whole = (block["kind"] in BY_NAME and count > 0 and len(ids) == count and len(block["salts"]) == SALT * count
             and len(block["hashes"]) == HASH * count and block["low"] == min(ids)
             and block["high"] == max(high, *ids, *left) and not set(ids) & set(left))
    return "" if whole else f"seal {block['number']:,} was changed by hand: its parts do not fit together"


def _entries(
    tx: Transaction, block: Mapping[str, Any], prev: str, known: Mapping[tuple[str, int], Redacted]
) -> Iterator[Entry]:
    kind = BY_NAME[block["kind"]]
    ids = ids_of(block)[:min(len(block["salts"]) // SALT, len(block["hashes"]) // HASH)]
    rows = {row[0]: tuple(row) for row in tx.connection.execute(
        sa.select(*kind.columns).where(_among(kind, block, ids)))}
    for place, id in enumerate(ids):
        salt = bytes(block["salts"][place * SALT:(place + 1) * SALT])
        stored = bytes(block["hashes"][place * HASH:(place + 1) * HASH]).hex()
        yield _entry(block["first"] + place, kind, id, prev, stored, salt, rows.get(id), known.get((kind.name, id)))
        prev = stored


def _among(kind: Kind, block: Mapping[str, Any], ids: list[int]) -> sa.ColumnElement[bool]:
    if not ids:
        return sa.false()
    return any_of(kind.column, ids) if block["ids"] else kind.column.between(ids[0], ids[-1])


def _entry(
    number: int, kind: Kind, id: int, prev: str, stored: str, salt: bytes, values: tuple[Any, ...] | None,
    redacted: Redacted | None,
) -> Entry:
    if values is None:
        return Entry(number, kind, id, stored, finding=Finding(
            GONE, kind.name, id, number, f"{kind.name} {id:,} was removed after it was sealed"))
    try:
        content = kind.told(values)
        now = digest(salt, content)
        text = entry_text(number, kind, prev, now if redacted is None else redacted.digest, kind.row(values))
    except TypeError:  # SQLite lets a column hold anything
        content, now, text = b"", "", b""
    finding = None
    if hash_of(text) != stored:
        finding = Finding(CHANGED, kind.name, id, number, f"{_called(kind, values)} was changed after it was sealed")
    elif redacted is not None and now != redacted.left:
        finding = Finding(CHANGED, kind.name, id, number, (
            f"{_called(kind, values)} was changed after it was redacted on {redacted.at[:10]} by {redacted.actor}"))
    return Entry(number, kind, id, stored, text, salt, content, values, redacted, finding)


def _called(kind: Kind, values: tuple[Any, ...]) -> str:
    told = dict(zip(kind.fixed, values, strict=False))
    at = str(told.get("at") or told.get("known_from") or "")[:16].replace("T", " ")
    named = [f"{kind.name} {values[0]:,}", f"of {at}"]
    if told.get("record"):
        named.append(f"about record {told['record']}")
    if told.get("actor"):
        named.append(f"by {told['actor']}")
    return " ".join(named)
