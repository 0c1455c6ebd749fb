"""The tables of the workspace (SQLAlchemy Core). What each one means stands in ``docs/architecture.md``.

Values are JSON with decimal strings, ISO dates and UTC datetimes. Times are sortable UTC text.
"""

from __future__ import annotations

from typing import Any

import orjson
import zstandard
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    text,
)

_compressor = zstandard.ZstdCompressor(level=1, write_checksum=False)
_decompressor = zstandard.ZstdDecompressor()


class Json(TypeDecorator[Any]):
    """JSON text through orjson; keys sorted so that equal values are equal text."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else orjson.loads(value)


class PackedJson(TypeDecorator[Any]):
    """JSON compressed with zstd: base images are many, wide, and read only when their record moves."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> bytes | None:
        return None if value is None else _compressor.compress(orjson.dumps(value, option=orjson.OPT_SORT_KEYS))

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> Any:
        return None if value is None else orjson.loads(_decompressor.decompress(value))


metadata = MetaData()
"""Migrations make the tables. A partial index names its condition here for SQLite alone: PostgreSQL's option would load
that dialect into every process, a tenth of a start."""

Revision = BigInteger().with_variant(Integer, "sqlite")

change = Table(
    "change", metadata,
    Column("rev", Revision, primary_key=True, autoincrement=False),
    Column("site", Text, nullable=False),
    Column("seq", Revision, nullable=False),
    Column("hlc", Text, nullable=False),
    Column("at", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("run", Text),
    Column("entity", Text, nullable=False),
    Column("record", Text, nullable=False),
    Column("fields", Json, nullable=False),
    Column("base", Json, nullable=False),
    Column("reason", Text),
    Index("change_record", "record", "rev"),
    Index("change_site", "site", "seq", unique=True),
    Index("change_run", "run"),
)

record = Table(
    "record", metadata,
    Column("id", Text, primary_key=True),
    Column("entity", Text, nullable=False),
    Column("rev", Revision, nullable=False),
    Column("values", Json, nullable=False),
    Column("heads", Json, nullable=False),
    Column("conflicts", Json),
    Column("deleted", Boolean, nullable=False, default=False),
    Column("merged_into", Text),
    Index("record_entity", "entity", "rev"),
    Index("record_conflicts", "entity", sqlite_where=text("conflicts IS NOT NULL")),
)

natural_key = Table(
    "natural_key", metadata,
    Column("entity", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("record", Text, primary_key=True),
    Index("natural_key_record", "record"),
)

remote = Table(
    "remote", metadata,
    Column("system", Text, primary_key=True),
    Column("object", Text, primary_key=True),
    Column("external_id", Text, primary_key=True),
    Column("entity", Text, nullable=False),
    Column("record", Text, nullable=False),
    Column("role", Text, nullable=False),
    Index("remote_record", "record"),
)

link = Table(
    "link", metadata,
    Column("system", Text, primary_key=True),
    Column("object", Text, primary_key=True),
    Column("record", Text, primary_key=True),
    Column("entity", Text, nullable=False),
    Column("external_id", Text),
    Column("state", Text, nullable=False),
    Column("version", Text, nullable=False, default=""),
    Column("synced_rev", Revision, nullable=False, default=0),
    Column("exceptions", Json),
    Column("sent", Json),
    Column("digest", LargeBinary),
    Column("generation", Integer, nullable=False, default=0),
    Column("due", Boolean, nullable=False, default=False),
    Index("link_external", "system", "object", "external_id"),
    Index("link_record", "record"),
    Index("link_due", "system", "object", "record", sqlite_where=text("due")),
)

base = Table(
    "base", metadata,
    Column("system", Text, primary_key=True),
    Column("object", Text, primary_key=True),
    Column("record", Text, primary_key=True),
    Column("image", PackedJson, nullable=False),
)

inbox = Table(
    "inbox", metadata,
    Column("system", Text, primary_key=True),
    Column("object", Text, primary_key=True),
    Column("external_id", Text, primary_key=True),
    Column("payload", PackedJson),
    Column("state", Text),  # of the payload: live, deleted or merged
    Column("stamp", Text),  # our key, where a live payload carries one
    Column("first_seen", Text, nullable=False),
    Column("attempts", Integer, nullable=False, default=0),
    Column("not_before", Text),
    Column("waiting_for", Text),
    Column("needs", Text),
)

cursor = Table(
    "cursor", metadata,
    Column("system", Text, primary_key=True),
    Column("object", Text, primary_key=True),
    Column("position", Text),
    Column("planned_rev", Revision, nullable=False, default=0),
    Column("complete_to", Text),
    Column("fingerprint", Text),
)

system = Table(
    "system", metadata,
    Column("name", Text, primary_key=True),
    Column("marker", Text, nullable=False),
    Column("endpoint", Text),
    Column("seen_at", Text, nullable=False),
)

intent = Table(
    "intent", metadata,
    Column("id", Revision, primary_key=True, autoincrement=True),
    Column("run", Text, nullable=False),
    Column("system", Text, nullable=False),
    Column("object", Text, nullable=False),
    Column("record", Text, nullable=False),
    Column("op", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("external_id", Text),
    Column("rev", Revision, nullable=False),
    Column("payload", Json),
    Column("before", Json),
    Column("state", Text, nullable=False),
    Column("outcome", Json),
    Column("at", Text, nullable=False),
    Index("intent_open", "system", "object", sqlite_where=text("state = 'open'")),
    Index("intent_run", "run"),
    Index("intent_record", "record"),
)

refusal = Table(
    "refusal", metadata,
    Column("system", Text, primary_key=True),
    Column("object", Text, primary_key=True),
    Column("record", Text, primary_key=True),
    Column("field", Text, primary_key=True),
    Column("digest", Text, nullable=False),
    Column("code", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("count", Integer, nullable=False, default=1),
    Column("first_seen", Text, nullable=False),
    Column("last_seen", Text, nullable=False),
    Column("direction", Text, nullable=False, default="write"),
    Column("kind", Text, nullable=False, default="", server_default=""),
    Column("not_before", Text),
    Column("needs", Text),
)

question = Table(
    "question", metadata,
    Column("system", Text, primary_key=True),
    Column("object", Text, primary_key=True),
    Column("external_id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("evidence", Json, nullable=False),
    Column("asked_at", Text, nullable=False),
    Column("answer", Text),
)

run = Table(
    "run", metadata,
    Column("id", Text, primary_key=True),
    Column("what", Text, nullable=False),
    Column("started", Text, nullable=False),
    Column("ended", Text),
    Column("state", Text, nullable=False),
    Column("counts", Json),
    Column("detail", Json),
)

busy = Table(
    "busy", metadata,
    Column("system", Text, primary_key=True),
    Column("object", Text, primary_key=True),
    Column("external_id", Text, primary_key=True),
    Column("mailbox", Text, nullable=False),
    Column("key", Text),
    Column("start", Text, nullable=False),
    Column("end", Text, nullable=False),
    Column("all_day", Boolean, nullable=False, default=False),
    Column("show_as", Text, nullable=False),
    Column("level", Text, nullable=False),
    Column("verdict", Text, nullable=False),
    Index("busy_key", "key"),
    Index("busy_mailbox", "mailbox", "start"),
)

lease = Table(
    "lease", metadata,
    Column("name", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("expires", Text, nullable=False),
)

usage = Table(
    "usage", metadata,
    Column("system", Text, primary_key=True),
    Column("day", Text, primary_key=True),
    Column("calls", Integer, nullable=False),
)

journal = Table(
    "journal", metadata,
    Column("id", Revision, primary_key=True, autoincrement=True),
    Column("at", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("via", Text, nullable=False),
    Column("what", Text, nullable=False),
    Column("system", Text),
    Column("object", Text),
    Column("record", Text),
    Column("run", Text),
    Column("detail", Json, nullable=False),
    Index("journal_record", "record"),
)

seal = Table(
    "seal", metadata,
    Column("number", Revision, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("first", Revision, nullable=False),  # the number of its first entry in the chain
    Column("count", Integer, nullable=False),
    Column("low", Revision, nullable=False),
    Column("high", Revision, nullable=False),  # rows of this kind up to here are sealed, or among those left
    Column("ids", PackedJson),  # where they are not the numbers from low to high
    Column("left", PackedJson),  # rows up to high that were not settled yet
    Column("salts", LargeBinary, nullable=False),
    Column("hashes", LargeBinary, nullable=False),
    Index("seal_kind", "kind", "number"),
)

setting = Table(
    "setting", metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

membership = Table(
    "membership", metadata,
    Column("id", Revision, primary_key=True, autoincrement=True),
    Column("node", Text, nullable=False),
    Column("member", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("valid_from", Text),
    Column("valid_to", Text),
    Column("known_from", Text, nullable=False),
    Column("known_to", Text),
    Column("actor", Text, nullable=False),
)

quota = Table(
    "quota", metadata,
    Column("id", Revision, primary_key=True, autoincrement=True),
    Column("node", Text, nullable=False),
    Column("valid_from", Text, nullable=False),
    Column("valid_to", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("amount", Text, nullable=False),
    Column("known_from", Text, nullable=False),
    Column("known_to", Text),
    Column("actor", Text, nullable=False),
)

fx_rate = Table(
    "fx_rate", metadata,
    Column("id", Revision, primary_key=True, autoincrement=True),
    Column("kind", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("into", Text, nullable=False),
    Column("rate", Text, nullable=False),
    Column("valid_from", Text),
    Column("valid_to", Text),
    Column("known_from", Text, nullable=False),
    Column("known_to", Text),
    Column("actor", Text, nullable=False),
)

submission = Table(
    "submission", metadata,
    Column("id", Revision, primary_key=True, autoincrement=True),
    Column("at", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("node", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("measure", Text, nullable=False),
    Column("valid_from", Text, nullable=False),
    Column("valid_to", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("amount", Text, nullable=False),
    Column("computed", Text),
    Column("reason", Text),
    Index("submission_node", "node", "valid_from", "valid_to"),
)

snapshot = Table(
    "snapshot", metadata,
    Column("rev", Revision, primary_key=True, autoincrement=False),
    Column("day", Text, nullable=False),
    Column("at", Text, nullable=False),
    Column("deals", Integer, nullable=False),
    Column("digest", Text, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Index("snapshot_day", "day"),
)
