"""A changed mapping is rehearsed on practice servers: what it would do is known, and no live system is written."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sidefeed.cli import app
from sidefeed.cli.project_files import settings_text, write_project
from tests.test_command_line import Desk, desk  # noqa: F401  a fixture

from .conftest import DEFAULTS
from .test_tutorial import follow


def company(desk: Desk) -> None:  # noqa: F811
    """Three deals in both CRMs, as they stand after a sync, and the mapping files committed."""
    owner = str(desk.salesforce.call(lambda: desk.salesforce.add_user(
        "ann@us.example", first="Ann", last="Lee", email="ann@us.example")))
    desk.hubspot.call(lambda: desk.hubspot.add_owner("ann@us.example", "Ann", "Lee"))
    account = desk.sf("Account", Name="Acme Pumps", Website="https://acme.example", OwnerId=owner)
    person = desk.sf("Contact", FirstName="Rosa", LastName="Ito", Email="rosa@acme.example", AccountId=account,
                     OwnerId=owner)
    for number, (name, stage) in enumerate((("Pumps", "Prospecting"), ("Valves", "Proposal/Price Quote"),
                                            ("Filters", "Qualification"))):
        deal = desk.sf("Opportunity", Name=name, AccountId=account, StageName=stage, CloseDate="2027-01-15",
                       Amount=1200 * (number + 1), OwnerId=owner, NextStep="Call them" * number,
                       Description="They asked for an offer by the end of the month" * number)
        desk.sf("OpportunityContactRole", OpportunityId=deal, ContactId=person)
    for _again in range(2):
        desk("sync")
    git(desk, "init", "-q")
    git(desk, "add", "mappings")
    git(desk, "commit", "-qm", "As it is deployed")


def git(desk: Desk, *arguments: str) -> None:  # noqa: F811
    subprocess.run(["git", "-C", str(desk.folder), "-c", "user.name=Ann", "-c", "user.email=ann@us.example", *arguments],
                   check=True, capture_output=True)


def writes(desk: Desk) -> dict[str, int]:  # noqa: F811
    """What the live servers were asked that may write: everything but reads, queries and searches."""
    return {label: tally.calls for server in (desk.salesforce, desk.hubspot)
            for label, tally in server.counters.endpoints.items()
            if not label.startswith("GET ") and not label.endswith(("/search", "/read"))}


def held(desk: Desk) -> list[Any]:  # noqa: F811
    return [desk.hubspot.call(desk.hubspot.journal), *(desk.salesforce.call(desk.salesforce.rows, name)
                                                      for name in ("Account", "Contact", "Opportunity"))]


@pytest.mark.slow
def test_a_breaking_change_is_seen_before_it_breaks_and_the_live_systems_are_only_read(desk: Desk) -> None:  # noqa: F811
    company(desk)
    desk.edit("hubspot.yaml", "proposal: decisionmakerboughtin", "proposal: decisionmakerbought")
    desk.edit("hubspot.yaml", "      next_step: hs_next_step\n",
              "      next_step: {field: hs_next_step, max_length: 10, too_long: truncate}\n")
    written, there = writes(desk), held(desk)
    asked = desk.salesforce.counters.calls, desk.hubspot.counters.calls
    budget = {row["system"]: row["used"] for row in desk("budget")[1]["systems"]}
    page = desk.folder / "page.html"
    code, told = desk("rehearse", "--html", str(page))
    assert (writes(desk), held(desk)) == (written, there), "a rehearsal only reads"
    assert (desk.salesforce.counters.calls - asked[0], desk.hubspot.counters.calls - asked[1]) == (
        told["calls"]["salesforce"], told["calls"]["hubspot"])
    used = {row["system"]: row["used"] for row in desk("budget")[1]["systems"]}
    assert {name: used[name] - budget[name] for name in used} == told["calls"], "reading counts in the budget"
    assert (code, told["left_out"]) == (1, [])
    assert [(write["op"], write["reason"], list(write["fields"])) for write in told["writes"]] == [
        ("update", "mapping changed", ["dealstage"])], "what Sidefeed wrote there is written anew"
    assert told["lost"] == {"refused": 1, "unread": 1, "cut": 1}
    deals = {row["properties"]["dealname"]: row["id"] for row in desk.hubspot.call(desk.hubspot.records, "deals")}
    assert [(one["feed"], one["external_id"]) for one in told["odd"]] == [
        ("hubspot deals", deals["Valves"]), ("hubspot deals", deals["Filters"])], "the ids are the live ones"
    first = {(why["kind"], why["field"], why["new"]) for why in told["odd"][0]["reasons"]}
    assert {("refused", "dealstage", True), ("unread", "stage", True)} <= first
    assert ("cut", "next_step") in {(why["kind"], why["field"]) for why in told["odd"][1]["reasons"]}
    assert (told["chosen"], told["came_along"]) == (10, 2), "both copies of the account, the contact, the deals; owners"
    shown = page.read_text() + str(told["odd"]) + str(told["later"])
    assert "decisionmakerbought" in shown
    assert not any(word in shown for word in ("Valves", "Filters", "Acme", "Rosa", "Call them"))


@pytest.mark.slow
def test_the_worked_example_is_as_the_page_says(desk: Desk) -> None:  # noqa: F811
    company(desk)
    assert follow(desk, DEFAULTS.parent / "docs" / "rehearsal.md") == ["rehearse"] * 3


@pytest.mark.slow
def test_the_live_schema_is_cloned_and_a_new_field_is_filled_or_refused_by_its_rules(desk: Desk) -> None:  # noqa: F811
    desk.salesforce.call(desk.salesforce.load_schema, {"objects": {"Opportunity": {"fields": {
        "Tier__c": {"type": "picklist", "values": ["Gold", "Silver"], "restricted": True, "label": "Tier"}}}}})
    desk.property("deals", name="tier", label="Tier", type="enumeration", options=["Gold", "Bronze"])
    desk.hubspot.call(desk.hubspot.load_schema, {"pipelines": {"deals": [{
        "pipelineId": "renewals", "label": "Renewals", "displayOrder": 1, "stages": [
            {"stageId": "1079", "label": "Renewing", "displayOrder": 0, "metadata": {"probability": "0.5"}}]}]}})
    company(desk)
    deals = {row["properties"]["dealname"]: str(row["id"]) for row in desk.hubspot.call(desk.hubspot.records, "deals")}
    ids = {row["Name"]: row["Id"] for row in desk.salesforce.call(desk.salesforce.rows, "Opportunity")}
    desk.hubspot.call(lambda: desk.hubspot.update("deals", deals["Valves"], tier="Bronze"))
    for name, tier in (("Pumps", "Gold"), ("Filters", "Silver")):
        desk.salesforce.call(lambda name=name, tier=tier: desk.salesforce.update(
            "Opportunity", ids[name], Tier__c=tier))
    desk.edit("entities.yaml", "      next_step: text\n", "      next_step: text\n      tier: text\n")
    desk.edit("salesforce.yaml", "      next_step: {field: NextStep",
              "      tier: {field: Tier__c}\n      next_step: {field: NextStep")
    desk.edit("hubspot.yaml", "      next_step: hs_next_step\n", "      next_step: hs_next_step\n      tier: tier\n")
    code, told = desk("rehearse")
    assert code == 1
    assert told["left_out"] == []
    assert {(row["system"], row["external_id"], next(iter(row["fields"].values()))["after"]) for row in told["writes"]
            } == {("salesforce", ids["Valves"], "Bronze"), ("hubspot", deals["Pumps"], "Gold"),
                  ("hubspot", deals["Filters"], "Silver")}
    refused = {(one["feed"], one["external_id"]): [why["said"] for why in one["reasons"] if why["kind"] == "refused"]
               for one in told["odd"]}
    assert set(refused) == {("salesforce Opportunity", ids["Valves"]), ("hubspot deals", deals["Filters"])}
    assert "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST" in refused["salesforce Opportunity", ids["Valves"]][0]
    assert told["lost"] == {"refused": 2}


@pytest.mark.slow
def test_a_sample_is_what_the_change_concerns_and_what_it_points_to(desk: Desk) -> None:  # noqa: F811
    company(desk)
    for number in range(12):
        desk.sf("Account", Name=f"Other {number}", Website=f"https://other{number}.example")
    desk("sync")
    desk.edit("hubspot.yaml", "proposal: decisionmakerboughtin", "proposal: contractsigned")
    code, told = desk("rehearse", "--records", "1")
    assert (code, told["chosen"], told["lost"]) == (1, 6, {"refused": 1, "unread": 1}), "one of each entity, both copies"
    code, told = desk("rehearse", "--records", "1", "--against", "HEAD~5")
    assert (code, "neither a folder nor a git revision" in told["error"]) == (2, True)
    code, told = desk("rehearse", "--first", "--records", "20")
    assert (code, told["lost"]) == (1, {"refused": 1, "unread": 1})
    assert told["left_out"] == []


def test_a_project_without_a_system_to_practise_on_is_no_success(tmp_path: Path) -> None:
    write_project(tmp_path, settings=settings_text({"caldav": {
        "url": "https://127.0.0.1:1/", "mailboxes": ["ann@us.example"]}}))
    result = CliRunner().invoke(app, ["rehearse", "--first", "-C", str(tmp_path), "--json"])
    assert result.exit_code == 2
    assert "people's meetings are not copied out of their calendars" in json.loads(result.stdout)["error"]


@pytest.mark.slow
def test_a_guard_that_would_stop_the_change_is_told(desk: Desk) -> None:  # noqa: F811
    company(desk)
    settings = desk.folder / "sidefeed.toml"
    settings.write_text(settings.read_text() + "\n[limits]\none_field_count = 1\n")
    desk.edit("entities.yaml", "      next_step: text\n", "      next_step: text\n"
              "      kind: {type: text, policy: {prefer: salesforce}}\n")
    desk.edit("salesforce.yaml", "      next_step: {field: NextStep",
              "      kind: {field: LeadSource, direction: read}\n      next_step: {field: NextStep")
    desk.property("deals", name="kind", label="Kind")
    desk.edit("hubspot.yaml", "      next_step: hs_next_step\n", "      next_step: hs_next_step\n      kind: kind\n")
    for row in desk.salesforce.call(desk.salesforce.rows, "Opportunity"):
        desk.salesforce.call(desk.salesforce.update, "Opportunity", row["Id"], LeadSource="Web")
    for row in desk.hubspot.call(desk.hubspot.records, "deals"):
        desk.hubspot.call(desk.hubspot.update, "deals", row["id"], kind="By phone")
    code, told = desk("rehearse")
    assert (code, len(told["writes"]), told["lost"]) == (3, 3, {})
    assert "would change kind on 3 of 3 records" in told["parked"][0]


@pytest.mark.slow
def test_a_signal_ends_it_and_leaves_nothing(desk: Desk, tmp_path: Path) -> None:  # noqa: F811
    company(desk)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    told: list[tuple[int, str]] = []
    running = subprocess.Popen(
        [sys.executable, "-m", "sidefeed", "rehearse", "-C", str(desk.folder), "--json"], stdout=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(scratch)}, text=True)

    def stop(ordinal: int, _request: object, phase: str) -> None:
        if not told:  # one that comes while it ends would find the handler gone
            told.append((ordinal, phase))
            running.send_signal(signal.SIGTERM)

    desk.hubspot.on_request = stop
    said, _error = running.communicate(timeout=60)
    desk.hubspot.on_request = None
    assert running.returncode == 130
    assert "no live system was written" in said
    assert list(scratch.iterdir()) == []
