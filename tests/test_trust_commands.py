"""Plan, apply, undo, census and their kin, from the command line, on practice servers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.hubspot import HubSpotServer
from sandbox.kit.http import DropConnection
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


@pytest.mark.parametrize("system", ["hubspot", "salesforce"])
def test_what_a_lost_create_made_and_a_person_deleted_at_once_stays_deleted(desk: Desk, system: str) -> None:
    """No run ever heard that the object was made; its key stands on what was deleted, and proves it."""
    hubspot, salesforce = desk.hubspot, desk.salesforce
    if system == "hubspot":
        deal(desk)
    else:
        hubspot.call(lambda: hubspot.create("deals", dealname="Pumps", amount="9", closedate="2027-01-15T00:00:00Z",
                                            dealstage="appointmentscheduled", pipeline="default"))
    server: Any = hubspot if system == "hubspot" else salesforce

    def delete_and_hang_up(_ordinal: int, request: Any, phase: str) -> None:
        made = [row["id"] for row in hubspot.records("deals")] if system == "hubspot" else [
            row["Id"] for row in salesforce.rows("Opportunity")]
        if phase == "after" and request.method == "POST" and made:
            server.on_request = None
            hubspot.archive("deals", made[0]) if system == "hubspot" else salesforce.delete("Opportunity", made[0])
            raise DropConnection

    server.on_request = delete_and_hang_up
    report = desk("sync")[1]
    assert server.on_request is None and report["counts"]["unknown"] == report["counts"]["recovered"] == 1
    desk("sync")
    assert hubspot.call(hubspot.records, "deals") == [] == salesforce.call(salesforce.rows, "Opportunity")
    assert desk("sync")[1]["written"] == {}
