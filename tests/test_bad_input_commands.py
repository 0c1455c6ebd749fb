"""Bad input from real servers, at the command line: a correct result or a clear problem, never a lost record."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.hubspot import HubSpotServer
from sandbox.salesforce import SalesforceServer
from sidefeed.project import Project
from tests.test_command_line import Desk

pytestmark = pytest.mark.slow

TEXTS = {
    "formula": '=HYPERLINK("http://evil.test","x")', "command": "+cmd|' /C calc'!A0", "sql": "'; DROP TABLE record; --",
    "controls": "bell \x07 escape \x1b[31m", "backwards": "\u202e right to left", "markup": "<script>alert(1)</script>",
    "blank": " \t ", "long": "x" * 1_000_000,
}


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with SalesforceServer(tls=True) as salesforce, HubSpotServer() as hubspot:
        yield Desk(tmp_path, salesforce, hubspot)
        assert salesforce.crashes == hubspot.crashes == []


def deal(desk: Desk, name: str, **values: Any) -> str:
    fields = {"StageName": "Prospecting", "CloseDate": "2027-01-15", "Amount": 5, **values}
    return desk.sf("Opportunity", Name=name, **fields)


def there(desk: Desk) -> dict[str, dict[str, Any]]:
    return {row["properties"]["dealname"]: row["properties"] for row in desk.hubspot.call(desk.hubspot.records, "deals")}


def quiet(desk: Desk) -> list[dict[str, Any]]:
    """Sync until nothing is left to do; every problem that was told."""
    problems = [one for _run in range(3) for one in desk("sync")[1]["problems"]]
    code, told = desk("sync")
    assert (told["written"], told["absorbed"], told["failed"]) == ({}, {}, {}), (code, told)
    return problems


def test_hostile_text_in_either_system_reaches_the_other_or_is_told_and_holds_back_nobody(desk: Desk) -> None:
    for name, text in TEXTS.items():
        made = desk.hubspot.call(lambda name=name, text=text: desk.hubspot.create(
            "deals", dealname=f"of {name}", description=text[:60_000], closedate="2027-01-15T12:00:00Z",
            dealstage="appointmentscheduled"))
        assert made
    deal(desk, "Plain")
    problems = quiet(desk)
    names = {row["Name"] for row in desk.salesforce.call(desk.salesforce.rows, "Opportunity")}
    refused = {one["record"] for one in problems}
    assert {"Plain"} <= there(desk).keys() and "Plain" in names
    for name in TEXTS:
        assert f"of {name}" in names or any(f"of {name}" in one for one in refused), problems
    assert "of formula" in there(desk) and there(desk)["of sql"]["description"] == TEXTS["sql"]


@pytest.mark.parametrize("day", ["0001-01-01", "1699-12-31", "9999-12-31"])
def test_a_year_at_either_end_travels_or_is_told_with_its_record(desk: Desk, day: str) -> None:
    first = deal(desk, "Odd")
    deal(desk, "Plain")
    desk("sync")
    desk.salesforce.store.put("Opportunity", {  # older than its rules allow today: as an import of years ago left it
        **desk.salesforce.store.table("Opportunity").rows[first], "CloseDate": day})
    desk.salesforce.call(lambda: desk.salesforce.update("Opportunity", first, NextStep="call"))
    problems = quiet(desk)
    assert there(desk)["Odd"]["hs_next_step"] == "call", "the rest of the record travels"
    assert there(desk)["Odd"]["closedate"][:10] == day or any(one["field"] == "close_date" for one in problems)


def test_a_number_that_is_none_is_told_and_the_rest_travels(desk: Desk) -> None:
    deal(desk, "Odd")
    quiet(desk)
    (held,) = desk.hubspot.call(desk.hubspot.records, "deals")
    id = held["id"]
    body = {"results": [{"id": id, "properties": {**held["properties"], "amount": "NaN", "hs_next_step": "call"},
                         "createdAt": "2026-11-27T00:00:00Z", "updatedAt": "2026-11-28T00:00:00Z", "archived": False}],
            "status": "COMPLETE"}
    desk.hubspot.call(lambda: desk.hubspot.update("deals", id, hs_next_step="call"))
    desk.hubspot.faults.add("status", path="/crm/v3/objects/deals/batch/read", count=1, status=200, body=body)
    _code, told = desk("sync")
    assert [(one["field"], one["code"]) for one in told["problems"]] == [("money", "not-a-number")]
    quiet(desk)
    (row,) = desk.salesforce.call(desk.salesforce.rows, "Opportunity")
    assert (row["Amount"], row["NextStep"]) == (5, "call")


def test_a_cursor_that_goes_back_and_a_clock_that_jumps_lose_and_double_nothing(desk: Desk) -> None:
    ids = [deal(desk, f"Deal {number}") for number in range(5)]
    quiet(desk)
    project = Project.load(desk.folder)
    store = project.store()
    with store.write() as tx:
        for feed in ("salesforce Opportunity", "hubspot deals"):
            tx.move_cursor(*feed.split(), position=None)
    store.close()
    assert desk("sync")[1]["written"] == {}
    for server in (desk.salesforce, desk.hubspot):
        server.clock.move(seconds=86_400 * 400)
    desk.salesforce.call(lambda: desk.salesforce.update("Opportunity", ids[0], NextStep="later"))
    desk("sync")
    for server in (desk.salesforce, desk.hubspot):
        server.clock.move(seconds=-86_400 * 400)
    desk.salesforce.call(lambda: desk.salesforce.update("Opportunity", ids[1], NextStep="back again"))
    desk("sync")
    desk("census", "--repair")
    quiet(desk)
    steps = {name: row.get("hs_next_step") for name, row in there(desk).items()}
    assert (steps["Deal 0"], steps["Deal 1"], len(steps)) == ("later", "back again", 5)
    assert len(desk.salesforce.call(desk.salesforce.rows, "Opportunity")) == 5


def test_an_answer_with_an_odd_id_stops_its_feed_alone_and_the_next_run_has_everything(desk: Desk) -> None:
    first = deal(desk, "First")
    quiet(desk)
    deal(desk, "Second")
    desk.sf("Account", Name="Acme", Website="https://acme.example")
    (held,) = desk.hubspot.call(desk.hubspot.records, "deals")
    desk.hubspot.call(lambda: desk.hubspot.update("deals", held["id"], hs_next_step="call"))
    for odd in ("../../etc/passwd", "9" * 300, "'"):
        body = {"results": [{**held, "createdAt": held["updatedAt"], "archived": False, "id": odd}]}
        fault = desk.hubspot.faults.add("status", path="/crm/v3/objects/deals/search", status=200, body=body, count=None)
        code, told = desk("sync")
        assert (code, list(told["failed"])) == (4, ["hubspot deals"])
        assert odd[:40] in told["failed"]["hubspot deals"] and "odd-answer" in told["failed"]["hubspot deals"]
        desk.hubspot.faults.remove(fault.id)
    assert desk.hs_names("companies", "name") == ["Acme"], "other feeds go on"
    quiet(desk)
    assert there(desk).keys() == {"First", "Second"}
    rows = {row["Id"]: row for row in desk.salesforce.call(desk.salesforce.rows, "Opportunity")}
    assert len(rows) == 2 and rows[first]["NextStep"] == "call"
