"""Undo from the command line, on practice servers: the worked example of ``docs/trust.md``, and deletions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sandbox.hubspot import HubSpotServer
from sandbox.salesforce import SalesforceServer
from sidefeed.cli import app
from sidefeed.cli.project_files import write_project
from sidefeed.workspace import Store
from tests.test_command_line import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with SalesforceServer(tls=True) as salesforce, HubSpotServer() as hubspot:
        yield Desk(tmp_path, salesforce, hubspot)
        assert salesforce.crashes == hubspot.crashes == []


def phones(desk: Desk) -> dict[str, str]:
    rows = desk.salesforce.call(desk.salesforce.rows, "Contact")
    return {str(row["Id"]): str(row["Phone"]) for row in rows}


def office_of(desk: Desk, people: int) -> dict[str, str]:
    """That many contacts in both systems, with a desk phone in both and a mobile in HubSpot alone."""
    for number in range(people):
        desk.sf("Contact", LastName=f"Person {number}", Email=f"p{number}@acme.test", Phone=f"+1 212 555 {number:04}")
    desk("sync")
    desk("sync")

    def add_mobiles() -> None:
        for row in desk.hubspot.records("contacts"):
            number = str(row["properties"]["email"]).removeprefix("p").partition("@")[0]
            desk.hubspot.update("contacts", row["id"], mobilephone=f"+1 917 555 {int(number):04}")

    desk.hubspot.call(add_mobiles)
    desk("sync")
    return phones(desk)


@pytest.mark.parametrize("people", [120, pytest.param(500, marks=pytest.mark.slow)])
def test_a_bad_mapping_corrupts_every_record_and_undo_restores_all_but_the_three_touched_since(
    desk: Desk, people: int
) -> None:
    before = office_of(desk, people)
    desk.edit("hubspot.yaml", "phone: phone\n      title", "phone: mobilephone\n      title")
    code, told = desk("sync", "--confirm-mapping")
    assert code == 3 and f"would change Phone on {people} of {people} records" in told["error"]
    code, bad = desk("sync", "--confirm-mapping", "--approve")
    corrupted = phones(desk)
    assert bad["written"] == {"salesforce Contact": {"update": people}}
    assert all("917" in phone for phone in corrupted.values())
    touched = sorted(before)[:3]
    for id in touched:
        desk.salesforce.call(lambda id=id: desk.salesforce.update("Contact", id, Phone="+1 646 555 0000"))

    desk.edit("hubspot.yaml", "phone: mobilephone\n      title", "phone: phone\n      title")
    code, plan = desk("undo", bad["run"][:30], "--plan")
    assert (code, len(plan["writes"])) == (1, people - 3)
    assert phones(desk) == corrupted | dict.fromkeys(touched, "+1 646 555 0000"), "a plan writes nothing"
    code, undone = desk("undo", bad["run"])
    assert undone["written"] == {"salesforce Contact": {"update": people - 3}}
    assert phones(desk) == before | dict.fromkeys(touched, "+1 646 555 0000")
    assert ["salesforce made it" in one["why"] for one in undone["left"]] == [True] * 3
    assert len(undone["kept"]) == people - 3, "HubSpot said the mobile number by itself"
    assert list(undone["skipped"]) == ["hubspot contacts"], "its mapping is another one than at the run"

    _code, after = desk("sync", "--confirm-mapping")
    assert after["written"] == {"hubspot contacts": {"update": 3}}, "what people typed in Salesforce since"
    assert desk("sync")[1]["written"] == {}
    assert phones(desk) == before | dict.fromkeys(touched, "+1 646 555 0000")
    there = desk.hubspot.call(desk.hubspot.records, "contacts")
    assert all("917" in row["properties"]["mobilephone"] for row in there), "what people typed in HubSpot is untouched"
    assert sum("646" in row["properties"]["phone"] for row in there) == 3


def deal(desk: Desk, name: str) -> str:
    return desk.sf("Opportunity", Name=name, StageName="Prospecting", CloseDate="2027-01-15", Amount=10)


def records(desk: Desk, object: str) -> dict[str, dict[str, Any]]:
    return {str(row["Id"]): dict(row) for row in desk.salesforce.call(desk.salesforce.rows, object)}


@pytest.mark.slow
def test_a_deletion_is_taken_back_under_the_same_id_where_the_system_can(desk: Desk) -> None:
    ids = {deal(desk, f"Deal {number}") for number in range(3)}
    desk("sync")
    desk("sync")
    for row in desk.hubspot.call(desk.hubspot.records, "deals"):
        desk.hubspot.call(lambda row=row: desk.hubspot.archive("deals", row["id"]))
    _code, run = desk("sync")
    assert run["written"] == {"salesforce Opportunity": {"delete": 3}}
    code, undone = desk("undo", run["run"])
    assert undone["written"] == {"salesforce Opportunity": {"restore": 3}}
    assert records(desk, "Opportunity").keys() == ids
    assert (code, undone["left"]) == (0, [])
    assert {one["why"] for one in undone["kept"]} == {"hubspot said deleted by itself, so it stays there"}
    assert desk("sync")[1]["written"] == {}
    assert desk.hubspot.call(desk.hubspot.records, "deals") == []
    pumps = next(iter(ids))
    desk.salesforce.call(lambda: desk.salesforce.update("Opportunity", pumps, NextStep="call"))
    desk("sync")
    code, blame = desk("blame", "Deal 0")
    assert any(line["reason"] == f"undo of run {run['run']}" for line in blame["history"])


@pytest.mark.slow
def test_a_deletion_that_the_recycle_bin_lost_is_made_again_and_linked(desk: Desk) -> None:
    old = deal(desk, "Pumps")
    desk("sync")
    desk("sync")
    (row,) = desk.hubspot.call(desk.hubspot.records, "deals")
    desk.hubspot.call(lambda: desk.hubspot.archive("deals", row["id"]))
    _code, run = desk("sync")
    desk.salesforce.call(lambda: desk.salesforce.records.purge("Opportunity", old))
    _code, undone = desk("undo", run["run"])
    assert undone["written"] == {"salesforce Opportunity": {"create": 1}}
    (new,) = records(desk, "Opportunity").values()
    assert new["Id"] != old and new["Name"] == "Pumps"
    desk("sync")
    assert desk("sync")[1]["written"] == {}


def test_what_a_run_made_is_taken_out_again(desk: Desk) -> None:
    deal(desk, "Pumps")
    _code, run = desk("sync")
    assert desk.hs_names("deals", "dealname") == ["Pumps"]
    code, undone = desk("undo", run["run"], "--record", "Pumps")
    assert undone["written"] == {"hubspot deals": {"delete": 1}}
    assert (desk.hs_names("deals", "dealname"), len(records(desk, "Opportunity"))) == ([], 1)
    assert desk("sync")[1]["written"] == {}
    assert desk.hs_names("deals", "dealname") == []
    code, told = desk("undo", "nonsense")
    assert code == 2 and run["run"] in told["error"]
    code, told = desk("undo", run["run"], "--record", "Nobody")
    assert code == 2 and "no record is called 'Nobody'" in told["error"]


def test_a_run_that_is_not_there_is_told_before_any_credentials_are_asked_for(tmp_path: Path) -> None:
    write_project(tmp_path)
    for command in (["undo", "WRONG"], ["undo", "WRONG", "--plan"], ["approve", "WRONG"], ["skip", "WRONG"]):
        result = CliRunner().invoke(app, [*command, "-C", str(tmp_path), "--json"])
        assert result.exit_code == 2
        assert "no run begins with 'WRONG'" in json.loads(result.stdout)["error"], command


def test_a_field_that_no_record_has_is_named_instead_of_undoing_nothing(tmp_path: Path) -> None:
    write_project(tmp_path)
    store = Store.open(tmp_path / "workspace.db")
    with store.write() as tx:
        run = tx.begin_run("sync salesforce")
    store.close()
    result = CliRunner().invoke(app, ["undo", run, "--field", "Phone", "-C", str(tmp_path), "--json"])
    assert (result.exit_code, json.loads(result.stdout)["error"]) == (
        2, "the workspace has no field 'Phone'. Did you mean 'phone'?")
