"""Workspaces for the engine's tests: SQLite always, PostgreSQL where it is installed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import postgres as server


@pytest.fixture(scope="session")
def postgres() -> Iterator[server.Postgres]:
    programs = server.programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed")
    with server.running(programs) as running:
        yield running


@pytest.fixture(params=["sqlite", "postgresql"])
def workspace(request: pytest.FixtureRequest, tmp_path: Path) -> str | Path:
    """A place for `Store.open`; a test that takes it runs once with each kind of database."""
    if request.param == "sqlite":
        return tmp_path / "workspace.db"
    url: str = request.getfixturevalue("postgres").workspace()
    return url
