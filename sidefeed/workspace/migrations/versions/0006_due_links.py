"""Links with work left are found by their own index, which SQLite passed over while it did not hold the record."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    _index(["system", "object", "record"])


def downgrade() -> None:
    _index(["system", "object"])


def _index(columns: list[str]) -> None:
    op.drop_index("link_due", "link")
    op.create_index("link_due", "link", columns, sqlite_where=sa.text("due"), postgresql_where=sa.text("due"))
