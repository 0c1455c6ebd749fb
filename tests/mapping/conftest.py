"""A mapping folder that a test may edit: the default one, copied."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from connectors.caldav import CalDavConnector
from connectors.domino import DominoConnector
from connectors.exchange import ExchangeConnector
from connectors.microsoft365 import Microsoft365Connector
from sandbox.hubspot import HubSpotServer
from sidefeed.connector import Connector
from sidefeed.mapping import Mapping, load
from sidefeed.mapping.prepare import prepare
from tests.connectors import hubspot_office, salesforce_office

DEFAULTS = Path(__file__).resolve().parents[2] / "mappings"


class Folder:
    """A copy of the default mappings; ``edit`` replaces one piece of text, which must be there."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def edit(self, file: str, before: str, after: str) -> Folder:
        target = self.path / file
        written = target.read_text(encoding="utf-8")
        assert before in written, f"{before!r} is not in {file}"
        target.write_text(written.replace(before, after, 1), encoding="utf-8")
        return self

    def load(self) -> Mapping:
        return load(self.path)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    target = tmp_path / "mappings"
    target.mkdir()
    for each in DEFAULTS.glob("*.yaml"):
        shutil.copy(each, target)
    return Folder(target)


@pytest.fixture(scope="session")
def mapping() -> Mapping:
    return load(DEFAULTS)


@pytest.fixture
def small(tmp_path: Path) -> Callable[..., Mapping]:
    """Write a mapping folder from texts, one per file, and load it."""

    def write(**files: str) -> Mapping:
        target = tmp_path / "mappings"
        target.mkdir(exist_ok=True)
        for name, text in files.items():
            (target / f"{name}.yaml").write_text(text, encoding="utf-8")
        return load(target)

    return write


@pytest.fixture(scope="session")
def live() -> Iterator[dict[str, Connector]]:
    """A connector to a practice server of each CRM, with key fields; and one of Exchange, which describes offline."""
    with ExitStack() as open:
        hubspot = hubspot_office.Office(open.enter_context(HubSpotServer(control=False)))
        open.callback(hubspot.close)
        salesforce = salesforce_office.Office(open.enter_context(salesforce_office.practice_server()))
        open.callback(salesforce.close)
        hubspot.connector.prepare(hubspot_office.KEYED, apply=True)
        prepare(load(DEFAULTS), "hubspot", hubspot.connector, apply=True)
        exchange = ExchangeConnector.from_settings(
            {
                "endpoint": "https://127.0.0.1:1/EWS/Exchange.asmx",
                "username": "u",
                "password": "p",
                "mailboxes": ["a@b.eu"],
            }
        )
        caldav = CalDavConnector.from_settings({"url": "https://127.0.0.1:1/", "mailboxes": ["a@b.eu"]})
        microsoft365 = Microsoft365Connector.from_settings(
            {"tenant_id": "t", "client_id": "c", "client_secret": "s", "mailboxes": ["a@b.eu"]})
        domino = DominoConnector.from_settings(
            {"url": "https://127.0.0.1:1", "username": "u", "password": "p", "mailboxes": ["a@b.eu"]})
        yield {"hubspot": hubspot.connector, "salesforce": salesforce.connector, "exchange": exchange,
               "caldav": caldav, "microsoft365": microsoft365, "domino": domino}
