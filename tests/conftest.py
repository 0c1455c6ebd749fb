"""Fixtures that every test may use."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import postgres as server


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--crash-every", type=int, default=29,
                     help="Try each n-th point of the crash matrix; 1 tries them all (some minutes).")


@pytest.fixture(scope="session")
def reference_data() -> Path:
    """Real reference data laid beside a checkout; tests that need it are skipped where it is absent."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no reference data beside this checkout")
    return folder


@pytest.fixture(scope="session")
def postgres() -> Iterator[server.Postgres]:
    """A running PostgreSQL; tests that need it are skipped where it is not installed."""
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


@pytest.fixture(params=["sqlite", "postgresql"])
def new_place(request: pytest.FixtureRequest, tmp_path: Path) -> str | Path:
    """As `workspace`, but nothing has opened it yet and it holds no tables."""
    if request.param == "sqlite":
        return tmp_path / "workspace.db"
    url: str = request.getfixturevalue("postgres").empty()
    return url
