"""Plan, apply, undo, census and their kin, from the command line, on practice servers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.hubspot import HubSpotServer
from sandbox.salesforce import SalesforceServer
from tests.test_command_line import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with SalesforceServer(tls=True) as salesforce, HubSpotServer() as hubspot:
        yield Desk(tmp_path, salesforce, hubspot)
        assert salesforce.crashes == hubspot.crashes == []


def deal(desk: Desk, name: str = "Pumps", **fields: object) -> str:
    return desk.sf("Opportunity", Name=name, StageName="Prospecting", CloseDate="2027-01-15", **fields)


def test_a_plan_is_saved_shown_applied_and_refused_once_the_world_moved(desk: Desk) -> None:
    deal(desk)
    file, page = desk.folder / "plan.json", desk.folder / "plan.html"
    code, told = desk("plan", "--out", str(file), "--html", str(page))
    assert (code, [row["op"] for row in told["writes"]], told["mails"]) == (0, ["create"], 0)
    assert "Pumps" in page.read_text()
    deal(desk, "Valves")
    code, told = desk("apply", str(file))
    assert code == 3 and "hubspot deals Valves now needs a create as well" in told["error"]
    assert desk.hs_names("deals", "dealname") == []
    desk("plan", "--out", str(file))
    code, told = desk("apply", str(file))
    assert told["written"] == {"hubspot deals": {"create": 2}}
    assert desk("apply", str(desk.folder / "sidefeed.toml"))[0] == 2
