"""Refusals know when they are asked again, what waits knows what for, and API calls are counted by day."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("refusal", sa.Column("kind", sa.Text, nullable=False, server_default=""))
    op.add_column("refusal", sa.Column("not_before", sa.Text))
    op.add_column("refusal", sa.Column("needs", sa.Text))
    op.add_column("inbox", sa.Column("needs", sa.Text))
    op.create_table(
        "usage",
        sa.Column("system", sa.Text, primary_key=True),
        sa.Column("day", sa.Text, primary_key=True),
        sa.Column("calls", sa.Integer, nullable=False))


def downgrade() -> None:
    op.drop_table("usage")
    op.drop_column("inbox", "needs")
    for column in ("needs", "not_before", "kind"):
        op.drop_column("refusal", column)
