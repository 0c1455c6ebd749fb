"""The tables of the first release, written out: they stay as they were, whatever `tables` becomes."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_REVISION = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_TABLES = ("change", "record", "natural_key", "remote", "link", "base", "inbox", "cursor", "system", "intent",
           "refusal", "question", "run", "lease", "setting")


def upgrade() -> None:
    op.create_table(
        "change",
        sa.Column("rev", _REVISION, primary_key=True, autoincrement=False),
        sa.Column("site", sa.Text, nullable=False),
        sa.Column("seq", _REVISION, nullable=False),
        sa.Column("hlc", sa.Text, nullable=False),
        sa.Column("at", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("run", sa.Text),
        sa.Column("entity", sa.Text, nullable=False),
        sa.Column("record", sa.Text, nullable=False),
        sa.Column("fields", sa.Text, nullable=False),
        sa.Column("base", sa.Text, nullable=False),
        sa.Column("reason", sa.Text))
    op.create_index("change_record", "change", ["record", "rev"])
    op.create_index("change_run", "change", ["run"])
    op.create_index("change_site", "change", ["site", "seq"], unique=True)
    op.create_table(
        "record",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("entity", sa.Text, nullable=False),
        sa.Column("rev", _REVISION, nullable=False),
        sa.Column("values", sa.Text, nullable=False),
        sa.Column("heads", sa.Text, nullable=False),
        sa.Column("conflicts", sa.Text),
        sa.Column("deleted", sa.Boolean, nullable=False),
        sa.Column("merged_into", sa.Text))
    op.create_index("record_conflicts", "record", ["entity"], **_where("conflicts IS NOT NULL"))
    op.create_index("record_entity", "record", ["entity", "rev"])
    op.create_table(
        "natural_key",
        sa.Column("entity", sa.Text, primary_key=True),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("record", sa.Text, primary_key=True))
    op.create_index("natural_key_record", "natural_key", ["record"])
    op.create_table(
        "remote",
        sa.Column("system", sa.Text, primary_key=True),
        sa.Column("object", sa.Text, primary_key=True),
        sa.Column("external_id", sa.Text, primary_key=True),
        sa.Column("entity", sa.Text, nullable=False),
        sa.Column("record", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False))
    op.create_index("remote_record", "remote", ["record"])
    op.create_table(
        "link",
        sa.Column("system", sa.Text, primary_key=True),
        sa.Column("object", sa.Text, primary_key=True),
        sa.Column("record", sa.Text, primary_key=True),
        sa.Column("entity", sa.Text, nullable=False),
        sa.Column("external_id", sa.Text),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("synced_rev", _REVISION, nullable=False),
        sa.Column("exceptions", sa.Text),
        sa.Column("sent", sa.Text),
        sa.Column("digest", sa.LargeBinary),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("due", sa.Boolean, nullable=False))
    op.create_index("link_due", "link", ["system", "object"], **_where("due"))
    op.create_index("link_external", "link", ["system", "object", "external_id"])
    op.create_index("link_record", "link", ["record"])
    op.create_table(
        "base",
        sa.Column("system", sa.Text, primary_key=True),
        sa.Column("object", sa.Text, primary_key=True),
        sa.Column("record", sa.Text, primary_key=True),
        sa.Column("image", sa.LargeBinary, nullable=False))
    op.create_table(
        "inbox",
        sa.Column("system", sa.Text, primary_key=True),
        sa.Column("object", sa.Text, primary_key=True),
        sa.Column("external_id", sa.Text, primary_key=True),
        sa.Column("payload", sa.LargeBinary),
        sa.Column("first_seen", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("not_before", sa.Text),
        sa.Column("waiting_for", sa.Text))
    op.create_table(
        "cursor",
        sa.Column("system", sa.Text, primary_key=True),
        sa.Column("object", sa.Text, primary_key=True),
        sa.Column("position", sa.Text),
        sa.Column("planned_rev", _REVISION, nullable=False),
        sa.Column("complete_to", sa.Text),
        sa.Column("fingerprint", sa.Text))
    op.create_table(
        "system",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("marker", sa.Text, nullable=False),
        sa.Column("endpoint", sa.Text),
        sa.Column("seen_at", sa.Text, nullable=False))
    op.create_table(
        "intent",
        sa.Column("id", _REVISION, primary_key=True, autoincrement=True),
        sa.Column("run", sa.Text, nullable=False),
        sa.Column("system", sa.Text, nullable=False),
        sa.Column("object", sa.Text, nullable=False),
        sa.Column("record", sa.Text, nullable=False),
        sa.Column("op", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("external_id", sa.Text),
        sa.Column("rev", _REVISION, nullable=False),
        sa.Column("payload", sa.Text),
        sa.Column("before", sa.Text),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text),
        sa.Column("at", sa.Text, nullable=False))
    op.create_index("intent_open", "intent", ["system", "object"], **_where("state = 'open'"))
    op.create_index("intent_record", "intent", ["record"])
    op.create_index("intent_run", "intent", ["run"])
    op.create_table(
        "refusal",
        sa.Column("system", sa.Text, primary_key=True),
        sa.Column("object", sa.Text, primary_key=True),
        sa.Column("record", sa.Text, primary_key=True),
        sa.Column("field", sa.Text, primary_key=True),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("code", sa.Text, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("first_seen", sa.Text, nullable=False),
        sa.Column("last_seen", sa.Text, nullable=False),
        sa.Column("direction", sa.Text, nullable=False))
    op.create_table(
        "question",
        sa.Column("system", sa.Text, primary_key=True),
        sa.Column("object", sa.Text, primary_key=True),
        sa.Column("external_id", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("evidence", sa.Text, nullable=False),
        sa.Column("asked_at", sa.Text, nullable=False),
        sa.Column("answer", sa.Text))
    op.create_table(
        "run",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("what", sa.Text, nullable=False),
        sa.Column("started", sa.Text, nullable=False),
        sa.Column("ended", sa.Text),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("counts", sa.Text),
        sa.Column("detail", sa.Text))
    op.create_table(
        "lease",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("expires", sa.Text, nullable=False))
    op.create_table(
        "setting",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, nullable=False))


def downgrade() -> None:
    for table in _TABLES:
        op.drop_table(table)


def _where(condition: str) -> dict[str, Any]:
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}
