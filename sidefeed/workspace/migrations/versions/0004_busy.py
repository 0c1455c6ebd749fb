"""When people are busy, for team calendars."""

from alembic import op

from sidefeed.workspace.tables import busy

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    busy.create(op.get_bind(), checkfirst=True)


def downgrade() -> None:
    busy.drop(op.get_bind())
