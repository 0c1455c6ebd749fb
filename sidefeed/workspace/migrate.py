"""Bring a workspace's tables to this version (Alembic)."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Engine

HEAD = "0001"
"""The newest revision in ``migrations/versions``; a test holds it to the files."""


def migrate(engine: Engine) -> None:
    """Do nothing, cheaply, when the tables are current; else run the migrations that are missing."""
    inspector = sa.inspect(engine)
    if inspector.has_table("alembic_version"):
        with engine.connect() as connection:
            current = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
        if current == HEAD:
            return
        if current is not None and current > HEAD:
            from sidefeed.workspace.store import StoreError

            raise StoreError(
                f"this workspace was written by a newer Sidefeed (tables {current}, this version knows {HEAD}). "
                f"Install the newer version, or restore the workspace from before it was opened there.")
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":  # one process migrates; the others find it done
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(7310)"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
