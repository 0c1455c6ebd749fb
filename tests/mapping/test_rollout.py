"""A changed mapping reaches the records little by little, and stops by itself when it goes wrong."""

from __future__ import annotations

from typing import Any

import pytest

from sidefeed.mapping import Mapping
from sidefeed.mapping.overview import overview
from tests.test_command_line import Desk, desk  # noqa: F401  a fixture


def company(desk: Desk, number: int = 6) -> dict[str, str]:  # noqa: F811
    """Deals of Ann and Bob in both CRMs, each with a tier that only Salesforce shows yet."""
    desk.salesforce.call(desk.salesforce.load_schema, {"objects": {"Opportunity": {"fields": {
        "Tier__c": {"type": "string", "length": 40, "label": "Tier"}}}}})
    desk.property("deals", name="tier", label="Tier")
    people = {}
    for name in ("ann", "bob"):
        mail = f"{name}@us.example"
        people[name] = str(desk.salesforce.call(
            lambda name=name, mail=mail: desk.salesforce.add_user(mail, first=name, last="Lee", email=mail)))
        desk.hubspot.call(lambda name=name, mail=mail: desk.hubspot.add_owner(mail, name, "Lee"))
    for each in range(number):
        desk.sf("Opportunity", Name=f"Deal {each}", StageName="Prospecting", CloseDate="2027-01-15",
                Tier__c=f"T{each}", OwnerId=people["ann" if each % 2 else "bob"])
    for _again in range(2):
        desk("sync")
    desk.edit("entities.yaml", "      next_step: text\n", "      next_step: text\n      tier: text\n")
    desk.edit("salesforce.yaml", "      next_step: {field: NextStep",
              "      tier: {field: Tier__c, max_length: 40}\n      next_step: {field: NextStep")
    desk.edit("hubspot.yaml", "      next_step: hs_next_step\n", "      next_step: hs_next_step\n      tier: tier\n")
    return people


def tiers(desk: Desk) -> dict[str, Any]:  # noqa: F811
    return {row["properties"]["dealname"]: row["properties"].get("tier") or None
            for row in desk.hubspot.call(desk.hubspot.records, "deals")}


@pytest.mark.slow
def test_a_newly_mapped_field_is_filled_in_parts(desk: Desk) -> None:  # noqa: F811
    company(desk)
    code, told = desk("backfill", "opportunity.tier")
    assert (code, told["done"], told["min_calls"]) == (0, None, {"hubspot": 2})
    assert told["would_write"] == [
        {"system": "hubspot", "object": "deals", "filled": 6, "changed": 0, "cleared": 0}]
    assert set(tiers(desk).values()) == {None}, "nothing is written without --apply"
    code, told = desk("backfill", "opportunity.tier", "--apply", "--records", "2")
    assert (code, told["done"]["records"], told["done"]["left"], told["done"]["differ"]) == (0, 2, 4, 0)
    assert sorted(value or "" for value in tiers(desk).values()) == ["", "", "", "", "T0", "T1"]
    code, report = desk("sync")
    assert code == 3, "an ordinary sync stops at the mapping until everything is through"
    assert "--confirm-mapping" in report["error"]
    code, told = desk("backfill", "opportunity.tier", "--apply")
    assert (code, told["done"]["records"], told["done"]["left"]) == (0, 4, 0)
    assert tiers(desk) == {f"Deal {each}": f"T{each}" for each in range(6)}
    code, told = desk("backfill", "opportunity.tier")
    assert (code, told["would_write"]) == (0, [])
    assert desk("sync")[1]["written"] == {}
    code, told = desk("backfill", "opportunity.tear")
    assert code == 2
    assert "there is no field 'opportunity.tear'" in told["error"]


@pytest.mark.slow
def test_a_backfill_keeps_to_the_calls_it_is_given(desk: Desk) -> None:  # noqa: F811
    company(desk, 150)
    assert desk("backfill", "opportunity.tier")[1]["min_calls"] == {"hubspot": 4}, "two batches, each read before"
    code, told = desk("backfill", "opportunity.tier", "--apply", "--calls", "1")
    assert (code, told["done"]["records"], told["done"]["left"]) == (0, 0, 150), "one call is no read and write"
    updates = ("POST /objects/deals/batch/update", "POST /objects/deals/batch/read")
    before = {each: desk.hubspot.counters.calls_to(each) for each in updates}
    code, told = desk("backfill", "opportunity.tier", "--apply", "--calls", "3")
    assert (code, told["done"]["records"], told["done"]["left"], told["done"]["differ"]) == (0, 100, 50, 0)
    assert desk.hubspot.counters.calls_to(updates[0]) - before[updates[0]] == 1
    assert sum(value is not None for value in tiers(desk).values()) == 100
    assert desk("sync")[0] == 3, "the rest waits, and so does the confirmation"
    code, told = desk("backfill", "opportunity.tier", "--apply", "--calls", "2")
    assert (code, told["done"]["records"], told["done"]["left"]) == (0, 50, 0)
    assert tiers(desk) == {f"Deal {each}": f"T{each}" for each in range(150)}
    assert told["budget"][0]["system"] == "hubspot"


@pytest.mark.slow
def test_a_canary_goes_from_a_few_to_a_team_to_all(desk: Desk) -> None:  # noqa: F811
    company(desk)
    code, told = desk("canary", "--records", "1", "--team", "ann@us.example")
    assert code == 0, told
    assert [(one["stage"], one["records"], one["refused"], one["differ"]) for one in told["stages"]] == [
        ("1 record", 1, 0, 0), ("ann@us.example", 3, 0, 0)]
    filled = {name for name, value in tiers(desk).items() if value}
    assert len(filled) == 4
    assert {"Deal 1", "Deal 3", "Deal 5"} <= filled
    assert desk("sync")[0] == 3
    code, told = desk("canary", "--records", "1", "--all")
    assert (code, told["stages"][-1]["left"]) == (0, 0)
    assert all(tiers(desk).values())
    assert desk("sync")[1]["written"] == {}
    code, told = desk("canary", "--team", "nobody@us.example")
    assert code == 2
    assert "nobody@us.example" in told["error"]


def test_a_canary_stops_by_itself_when_records_are_refused(desk: Desk) -> None:  # noqa: F811
    company(desk)
    desk.property("deals", name="level", label="Level", type="enumeration", options=["Gold"])
    desk.edit("hubspot.yaml", "      tier: tier\n", "      tier: level\n")
    code, told = desk("canary", "--records", "2", "--all")
    assert code == 3
    assert len(told["stages"]) == 1, "the stage after it never began"
    assert "Stopped after 2 records: 2 of 2 records were refused" in told["stopped"]
    assert "sidefeed undo" in told["stopped"]
    assert {row["properties"].get("level") or None for row in desk.hubspot.call(desk.hubspot.records, "deals")} == {None}
    assert desk("sync")[0] == 3


@pytest.mark.slow
def test_a_canary_stops_by_itself_when_what_it_wrote_differs_again(desk: Desk) -> None:  # noqa: F811
    company(desk)
    desk.hubspot.call(lambda: desk.hubspot.condition("automation", type="deals", set={"tier": "by a workflow"}))
    code, told = desk("canary", "--records", "2", "--all")
    assert code == 3, told
    (stage,) = told["stages"]
    assert (stage["records"], stage["refused"], stage["differ"], stage["left"]) == (2, 0, 2, 4)
    assert "Stopped after 2 records: 2 of 2 records differ again afterwards, more than 5%" in told["stopped"]
    assert f"sidefeed undo {stage['run']}" in told["stopped"]
    assert sorted(value or "" for value in tiers(desk).values()) == ["", "", "", "", "by a workflow", "by a workflow"]
    assert desk("sync")[0] == 3, "what the workflow made of it reaches no other system without a person"
    held = {row["Name"]: row["Tier__c"] for row in desk.salesforce.call(desk.salesforce.rows, "Opportunity")}
    assert held == {f"Deal {each}": f"T{each}" for each in range(6)}
    code, told = desk("canary", "--records", "1", "--most", "1")
    assert (code, told["stages"][0]["differ"]) == (0, 1), "as many as are allowed do not stop it"


def test_the_overview_says_what_flows_where(mapping: Mapping) -> None:
    told = overview(mapping)
    assert {one["entity"] for one in told["entities"]} == set(mapping.entities)
    assert {one["system"] for one in told["systems"]} == set(mapping.systems)
    rows = {(one["system"], one["object"], one["field"]): one for one in told["flows"]}
    assert (rows["salesforce", "Opportunity", "probability"]["reads"],
            rows["salesforce", "Opportunity", "probability"]["writes"]) == (True, False)
    assert rows["hubspot", "deals", "money"]["raw"] == ["amount", "deal_currency_code"]
    edge = next(one for one in told["edges"] if (one["system"], one["entity"]) == ("exchange", "meeting"))
    assert (edge["objects"], edge["writes"]) == (["calendar"], 0)
    assert edge["reads"] == sum(one["reads"] for one in told["flows"] if one["object"] == "calendar" and
                                one["system"] == "exchange")
