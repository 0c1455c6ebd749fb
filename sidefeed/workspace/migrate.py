"""Bring a workspace's tables to this version (Alembic)."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from sidefeed.workspace.model import StoreError

HEAD = "0007"
"""The newest revision in ``migrations/versions``; a test holds it to the files."""


def migrate(engine: Engine) -> None:
    """Do nothing, cheaply, when the tables are current; else run the migrations that are missing."""
    with engine.connect() as connection:
        current = _current(connection)
    if current == HEAD:
        return
    if current is not None and current > HEAD:
        raise StoreError(
            f"this workspace was written by a newer Sidefeed (tables {current}, this version knows {HEAD}). "
            f"Install the newer version, or restore the workspace from before it was opened there.")
    move(engine, "head")


def move(engine: Engine, revision: str) -> None:
    """Bring the tables up or down to a revision, in one transaction, keeping what they hold."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with engine.begin() as connection:
        # One process migrates; the others wait here and find it done.
        if connection.dialect.name == "postgresql":
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(7310)"))
        else:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        config.attributes["connection"] = connection
        if revision == "head" or revision >= (_current(connection) or ""):
            command.upgrade(config, revision)
        else:
            command.downgrade(config, revision)


def _current(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
