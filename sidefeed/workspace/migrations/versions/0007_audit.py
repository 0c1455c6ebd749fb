"""Decisions and settings are entries of a journal, and everything that is only ever added to is sealed."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "journal",
        sa.Column("id", NUMBER, primary_key=True, autoincrement=True),
        sa.Column("at", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("via", sa.Text, nullable=False),
        sa.Column("what", sa.Text, nullable=False),
        sa.Column("system", sa.Text),
        sa.Column("object", sa.Text),
        sa.Column("record", sa.Text),
        sa.Column("run", sa.Text),
        sa.Column("detail", sa.Text, nullable=False))
    op.create_index("journal_record", "journal", ["record"])
    op.create_table(
        "seal",
        sa.Column("number", NUMBER, primary_key=True, autoincrement=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("first", NUMBER, nullable=False),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("low", NUMBER, nullable=False),
        sa.Column("high", NUMBER, nullable=False),
        sa.Column("ids", sa.LargeBinary),
        sa.Column("left", sa.LargeBinary),
        sa.Column("salts", sa.LargeBinary, nullable=False),
        sa.Column("hashes", sa.LargeBinary, nullable=False))
    op.create_index("seal_kind", "seal", ["kind", "number"])


def downgrade() -> None:
    op.drop_table("seal")
    op.drop_table("journal")
