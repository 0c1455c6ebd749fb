"""Daily snapshots: a cache of what the change log says of a day, never a second truth.

A snapshot belongs to a revision of the log, so it cannot grow stale: what was known then does not change.
`history.deals` takes it instead of replaying where there is one; without any, every report is the same and slower.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import pandas as pd
import sqlalchemy as sa

from sidefeed.forecast.frames import DEALS, Schema, frame, plain, to_bytes
from sidefeed.workspace import Transaction
from sidefeed.workspace import tables as t
from sidefeed.workspace.clock import utc_text


@dataclass(frozen=True, slots=True)
class Snapshot:
    """``digest``: of the canonical bytes of the deals (`frames.to_bytes`), so that two machines can compare."""

    rev: int
    day: date
    at: str
    deals: int
    digest: str


def take(tx: Transaction, day: date, deals: pd.DataFrame) -> Snapshot:
    """Store the deals as they stand now, as the snapshot of a day. Without a change in between, it stays."""
    made = Snapshot(tx.last_rev(), day, utc_text(tx.store.now()), len(deals),
                    hashlib.sha256(to_bytes(deals)).hexdigest())
    tx.upsert(t.snapshot, [{"rev": made.rev, "day": day.isoformat(), "at": made.at, "deals": made.deals,
                            "digest": made.digest, "content": pack(deals, DEALS)}], keep=("day", "at"))
    return made


def taken(tx: Transaction) -> list[Snapshot]:
    """The snapshots there are, oldest first."""
    c = t.snapshot.c
    return [Snapshot(row.rev, date.fromisoformat(row.day), row.at, row.deals, row.digest) for row in
            tx.connection.execute(sa.select(c.rev, c.day, c.at, c.deals, c.digest).order_by(c.rev))]


def at_revision(tx: Transaction, rev: int) -> pd.DataFrame | None:
    """The deals of a revision, where a snapshot of it was taken."""
    content = tx.connection.execute(sa.select(t.snapshot.c.content).where(t.snapshot.c.rev == rev)).scalar()
    return None if content is None else unpack(content, DEALS)


def pack(table: pd.DataFrame, schema: Schema) -> bytes:
    """A frame as compressed Parquet, with every value as text, so that no digit is lost."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {name: pa.array([None if value is None else _text(value) for value in plain(table[name])], pa.string())
               for name in schema}
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out, compression="zstd")
    return out.getvalue()


def unpack(content: bytes, schema: Schema) -> pd.DataFrame:
    """The inverse of `pack`."""
    import pyarrow.parquet as pq

    table = pq.read_table(io.BytesIO(content))
    columns = []
    for name, (kind, _meaning) in schema.items():
        values = table[name].to_pylist()
        if kind == "decimal":
            values = [None if value is None else Decimal(value) for value in values]
        elif kind == "flag":
            values = [value == "True" for value in values]
        columns.append(values)
    return frame(zip(*columns, strict=True), schema)


def _text(value: object) -> str:
    return format(value, "f") if isinstance(value, Decimal) else str(value)
