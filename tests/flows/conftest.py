"""Prefect keeps its files away from the user's own, and never starts a server by itself."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

# Before the first import of Prefect, which reads its settings once.
os.environ.update({
    "PREFECT_HOME": tempfile.mkdtemp(prefix="sidefeed-prefect-"),
    "PREFECT_SERVER_EPHEMERAL_ENABLED": "false",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
})

from tests.flows.office import Office


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    """A company in practice servers, and a project that links them."""
    with Office(tmp_path / "project") as opened:
        yield opened
