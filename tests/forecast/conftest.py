from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sidefeed.cli import output
from tests.forecast.shop import Shop


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    made = Shop(tmp_path / "workspace.db")
    yield made
    made.close()


@pytest.fixture
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal on which no cell of a table is folded."""
    monkeypatch.setattr(output.out, "width", 200)
