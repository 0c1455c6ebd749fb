"""What guards ask of everything that waits stands beside the packed observation."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("inbox", sa.Column("state", sa.Text))
    op.add_column("inbox", sa.Column("stamp", sa.Text))
    # What was told before is told again: an item without payload is read by id.
    op.execute("UPDATE inbox SET payload = NULL")


def downgrade() -> None:
    op.drop_column("inbox", "stamp")
    op.drop_column("inbox", "state")
