"""What people enter for the forecast (teams, quotas, rates, submissions), and the cache of its daily snapshots."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_REVISION = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_TABLES = ("membership", "quota", "fx_rate", "submission", "snapshot")


def upgrade() -> None:
    op.create_table(
        "membership",
        sa.Column("id", _REVISION, primary_key=True, autoincrement=True),
        sa.Column("node", sa.Text, nullable=False),
        sa.Column("member", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("valid_from", sa.Text),
        sa.Column("valid_to", sa.Text),
        sa.Column("known_from", sa.Text, nullable=False),
        sa.Column("known_to", sa.Text),
        sa.Column("actor", sa.Text, nullable=False))
    op.create_table(
        "quota",
        sa.Column("id", _REVISION, primary_key=True, autoincrement=True),
        sa.Column("node", sa.Text, nullable=False),
        sa.Column("valid_from", sa.Text, nullable=False),
        sa.Column("valid_to", sa.Text, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("amount", sa.Text, nullable=False),
        sa.Column("known_from", sa.Text, nullable=False),
        sa.Column("known_to", sa.Text),
        sa.Column("actor", sa.Text, nullable=False))
    op.create_table(
        "fx_rate",
        sa.Column("id", _REVISION, primary_key=True, autoincrement=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("into", sa.Text, nullable=False),
        sa.Column("rate", sa.Text, nullable=False),
        sa.Column("valid_from", sa.Text),
        sa.Column("valid_to", sa.Text),
        sa.Column("known_from", sa.Text, nullable=False),
        sa.Column("known_to", sa.Text),
        sa.Column("actor", sa.Text, nullable=False))
    op.create_table(
        "submission",
        sa.Column("id", _REVISION, primary_key=True, autoincrement=True),
        sa.Column("at", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("node", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("measure", sa.Text, nullable=False),
        sa.Column("valid_from", sa.Text, nullable=False),
        sa.Column("valid_to", sa.Text, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("amount", sa.Text, nullable=False),
        sa.Column("computed", sa.Text),
        sa.Column("reason", sa.Text))
    op.create_index("submission_node", "submission", ["node", "valid_from", "valid_to"])
    op.create_table(
        "snapshot",
        sa.Column("rev", _REVISION, primary_key=True, autoincrement=False),
        sa.Column("day", sa.Text, nullable=False),
        sa.Column("at", sa.Text, nullable=False),
        sa.Column("deals", sa.Integer, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False))
    op.create_index("snapshot_day", "snapshot", ["day"])


def downgrade() -> None:
    for table in _TABLES:
        op.drop_table(table)
