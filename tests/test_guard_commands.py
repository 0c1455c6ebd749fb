"""Guards from the command line, on practice servers: rights taken away, scopes left, runs approved and skipped."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
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


def deals(desk: Desk, number: int) -> list[str]:
    ids = [desk.sf("Opportunity", Name=f"Deal {each:02}", StageName="Prospecting", CloseDate="2027-01-15",
                   NextStep="call") for each in range(number)]
    desk("sync")
    desk("sync")
    return ids


def test_an_object_or_a_field_taken_from_our_sight_deletes_and_blanks_nothing(desk: Desk) -> None:
    deals(desk, 3)
    for right in ({"object": "Opportunity"}, {"object": "Opportunity", "field": "NextStep"}):
        desk.salesforce.call(lambda right=right: desk.salesforce.bad_days.permission_removed(**right))
        code, told = desk("sync")
        assert code == 4 and list(told["failed"]) == ["salesforce Opportunity"], told
        assert told["written"] == {}
        assert [row["properties"]["hs_next_step"] for row in desk.hubspot.call(desk.hubspot.records, "deals")] == [
            "call"] * 3
        desk.salesforce.call(lambda right=right: desk.salesforce.bad_days.permission_restored(**right))
    code, told = desk("sync")
    assert (told["failed"], told["written"]) == ({}, {})


def test_a_record_hidden_from_the_integration_user_is_told_from_a_deleted_one(desk: Desk) -> None:
    hidden, deleted, kept = deals(desk, 3)
    row = dict(desk.salesforce.store.table("Opportunity").rows[hidden])
    desk.salesforce.call(lambda: desk.salesforce.records.purge("Opportunity", hidden))  # as sharing rules hide it
    desk.salesforce.call(lambda: desk.salesforce.delete("Opportunity", deleted))
    for one in desk.hubspot.call(desk.hubspot.records, "deals"):
        desk.hubspot.call(lambda one=one: desk.hubspot.update("deals", one["id"], hs_next_step="visit"))
    problems = [one for _run in range(3) for one in desk("sync")[1]["problems"]]
    assert [(one["code"], one["record"]) for one in problems if one["owner"] == "admin"] == [("out-of-reach", hidden)]
    assert {"Deal 00", "Deal 02"} <= set(desk.hs_names("deals", "dealname")), "hidden and kept"
    desk.salesforce.call(lambda: desk.salesforce.store.put("Opportunity", row))
    desk.salesforce.call(lambda: desk.salesforce.update("Opportunity", hidden, Description="seen again"))
    desk("sync")
    desk("sync")
    seen = {one["properties"]["dealname"]: one["properties"].get("description")
            for one in desk.hubspot.call(desk.hubspot.records, "deals")}
    assert seen["Deal 00"] == "seen again" and kept


def test_a_deal_that_leaves_the_scope_of_salesforce_is_unlinked_and_comes_back(desk: Desk) -> None:
    desk.edit("salesforce.yaml", "  Opportunity:\n    entity: opportunity\n",
              "  Opportunity:\n    entity: opportunity\n    scope: \"NextStep = 'call'\"\n")
    gone, *_others = deals(desk, 3)
    desk.salesforce.call(lambda: desk.salesforce.update("Opportunity", gone, NextStep=None, Description="elsewhere"))
    _code, told = desk("sync")
    assert (told["counts"]["left_scope"], told["written"]) == (1, {})
    assert desk.hs_names("deals", "dealname") == ["Deal 00", "Deal 01", "Deal 02"]
    desk.salesforce.call(lambda: desk.salesforce.update("Opportunity", gone, NextStep="call"))
    _code, told = desk("sync")
    assert told["written"] == {"hubspot deals": {"update": 1}}
    assert desk("sync")[1]["written"] == {}


def test_a_parked_run_is_shown_approved_and_another_skipped(desk: Desk) -> None:
    ids = deals(desk, 24)
    for id in ids[:12]:
        desk.salesforce.call(lambda id=id: desk.salesforce.delete("Opportunity", id))
    desk("sync")
    code, told = desk("sync")
    assert (code, [trip["guard"] for trip in told["trips"]]) == (3, ["mass-delete"])
    assert f"`sidefeed approve {told['run']}`" in told["error"] and f"`sidefeed skip {told['run']}`" in told["error"]
    code, shown = desk("approve")
    (parked,) = shown["parked"]
    assert parked["run"] == told["run"]
    assert [(trip["guard"], len(trip["items"])) for trip in parked["trips"]] == [("mass-delete", 12)]
    code, told = desk("approve", parked["run"])
    assert told["written"] == {"hubspot deals": {"delete": 12}}
    assert desk("approve")[1] == {"parked": []}
    assert desk("approve", parked["run"])[0] == 2

    for id in ids[12:23]:
        desk.salesforce.call(lambda id=id: desk.salesforce.delete("Opportunity", id))
    desk("sync")
    (parked,) = desk("skip")[1]["parked"]
    assert desk("skip", parked["run"])[1]["skipped"] == {"mass-delete salesforce Opportunity": 11}
    assert desk("sync")[1]["written"] == {}
    assert len(desk.hs_names("deals", "dealname")) == 12


def test_thresholds_stand_in_the_settings_and_a_wrong_one_is_named(desk: Desk) -> None:
    settings = desk.folder / "sidefeed.toml"
    text = settings.read_text()
    settings.write_text(text + "\n[guards.opportunity]\ncount = 100\nshare = 1.0\n")
    for id in deals(desk, 14)[:12]:
        desk.salesforce.call(lambda id=id: desk.salesforce.delete("Opportunity", id))
    assert desk("sync")[1]["written"] == {"hubspot deals": {"delete": 12}}
    settings.write_text(text + "\n[limits]\nhours = -1\n")
    code, told = desk("sync")
    assert code == 2 and "limits.hours" in told["error"]


def copy(database: Path, to: Path) -> None:
    with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(to)) as target:
        source.backup(target)


def test_what_went_with_a_deleted_deal_follows_it_and_nobody_is_asked(desk: Desk) -> None:
    """Salesforce deletes the activities of a deal with it; HubSpot takes the deal off them, which passed for an edit
    that whoever deleted them had not seen: each was a conflict."""
    deal = desk.sf("Opportunity", Name="Pumps", Amount=5, StageName="Prospecting", CloseDate="2027-01-15")
    desk.sf("Task", Subject="Call", WhatId=deal, ActivityDate="2027-01-10", Status="Not Started", Priority="Normal")
    for _ in range(2):
        desk("sync")
    assert desk.hs_names("tasks", "hs_task_subject") == ["Call"]
    desk.salesforce.call(lambda: desk.salesforce.delete("Opportunity", deal))
    assert desk.salesforce.call(desk.salesforce.rows, "Task") == []
    for _ in range(2):
        code, told = desk("sync")
    assert (code, desk("conflicts")[1]["conflicts"]) == (0, []), told
    assert desk.hs_names("deals", "dealname") == desk.hs_names("tasks", "hs_task_subject") == []


@pytest.mark.slow
def test_an_old_backup_of_the_workspace_is_refused_and_once_approved_makes_nothing_twice(desk: Desk) -> None:
    deals(desk, 2)
    kept, workspace = desk.folder.parent / "kept.db", desk.folder / "workspace.db"
    copy(workspace, kept)
    account = desk.sf("Account", Name="Acme", Industry="Retail")
    for name in ("This week", "Renamed since"):
        desk.sf("Opportunity", Name=name, AccountId=account, Amount=5, StageName="Prospecting", CloseDate="2027-01-15")
    for _ in range(2):
        desk("sync")
    there = {one["properties"]["dealname"]: one["id"] for one in desk.hubspot.call(desk.hubspot.records, "deals")}
    desk.hubspot.call(lambda: desk.hubspot.update("deals", there["Renamed since"], dealname="Called otherwise"))
    copy(kept, workspace)

    code, told = desk("sync")
    assert code == 3 and "carry keys of records that this workspace does not know" in told["error"]
    (parked,) = desk("approve")[1]["parked"]
    desk("approve", parked["run"])
    desk("sync")
    assert desk.hs_names("deals", "dealname") == ["Called otherwise", "Deal 00", "Deal 01", "This week"]
    assert desk.hs_names("companies", "name") == ["Acme"]
    assert len(desk.salesforce.call(desk.salesforce.rows, "Opportunity")) == 4
    code, asked = desk("link")
    ((question, candidate),) = [(one, one["candidates"][0]) for one in asked["questions"]]
    assert (code, question["external_id"], candidate["label"]) == (1, there["Renamed since"], "Renamed since")
    desk("link", "hubspot", "deals", question["external_id"], candidate["record"])
    desk("sync")
    assert len(desk.hs_names("deals", "dealname")) == len(desk.salesforce.call(desk.salesforce.rows, "Opportunity")) == 4
    assert desk("link")[1]["questions"] == []
