"""Plan, apply, undo, census and their kin, from the command line, on practice servers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sandbox.hubspot import HubSpotServer
from sandbox.kit.http import DropConnection
from sandbox.salesforce import SalesforceServer
from sidefeed.cli import app
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


def test_a_sync_that_could_not_read_everything_does_not_say_that_everything_agrees(desk: Desk) -> None:
    desk.write(hubspot={"access_token": "pat-wrong"})
    told = CliRunner().invoke(app, ["sync", "-C", str(desk.folder)]).stdout
    assert "agrees" not in told and "not everything could be read" in told
    assert told.count("pat-na1") == 0 and told.count("x hubspot") == 1, "each failure once"


def test_people_read_names_where_a_value_is_another_record(desk: Desk) -> None:
    hubspot = desk.hubspot
    for first, mail in (("Ann", "ann@ours.example"), ("Bob", "bob@ours.example")):
        desk.salesforce.call(lambda f=first, m=mail: desk.salesforce.add_user(m, first=f, last="Lee", email=m))
        hubspot.call(lambda f=first, m=mail: hubspot.add_owner(m, f, "Lee"))
    owners = {row["properties"]["hubspot_owner_id"] for row in hubspot.call(hubspot.records, "deals")}
    assert owners == set()
    ann = next(row["Id"] for row in desk.salesforce.call(desk.salesforce.rows, "User") if row["FirstName"] == "Ann")
    desk.sf("Task", Subject="Call", OwnerId=ann, Status="Not Started", Priority="Normal")
    desk("sync")
    code, told = desk("blame", "Call", "owner")
    assert (code, [line["shown"] for line in told["history"]]) == (0, ["Ann Lee"])
    code, told = desk("trace", "Call")
    assert told["label"] == "Call" and "Ann Lee" in told["names"].values()
    assert desk("trace", told["record"][-6:])[1]["record"] == told["record"], "found by the end of its id"
