from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sidefeed.mapping import load
from sidefeed.sync.match import natural_keys
from sidefeed.web.desk import Files
from sidefeed.workspace import Store
from tests.web.site import MAPPINGS, Site, Team, listed

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


def own_files(folder: Path) -> Files:
    """A copy of the mapping files, which a page may write."""
    place = folder / "mappings"
    shutil.copytree(MAPPINGS, place, ignore=shutil.ignore_patterns("__pycache__"))
    return Files(place, lambda: load(place))


class Company:
    """What a module's tests share: a company of two teams, and the pages over it."""

    def __init__(self, folder: Path) -> None:
        self.clock = NOW
        self.store = Store.open(folder / "workspace.db", now=lambda: self.clock)
        self.store.natural_keys = natural_keys(load(MAPPINGS))
        self.team = Team(self.store)
        self.pump = self.team.deal("Pump station", "ann@example.com", "50000")
        self.team.deal("Filter line", "bob@example.com", "12000.50", stage="won", category="commit")
        self.team.deal("Retrofit", "bob@example.com", None)
        self.quarry = self.team.deal("Quarry control", "eve@example.com", "90000")
        self.team.deal("Refund", "eve@example.com", "-4000")
        self.team.deal("Orphan", None, "700")
        self.team.deal("Someday", "ann@example.com", "1", close=None)
        self.team.deal("Next year", "ann@example.com", "333333", close="2027-02-01", category="pipeline")
        self.team.dispute(self.pump, "money", {"salesforce": {"amount": "48000", "currency": "EUR"},
                                               "hubspot": {"amount": "55000", "currency": "EUR"}})
        self.files = own_files(folder)
        self.site = Site(self.store, listed(), files=self.files)

    def close(self) -> None:
        self.site.close()
        self.store.close()


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    made = Company(tmp_path_factory.mktemp("company"))
    yield made
    made.close()
