"""A changed value map, lens or column reaches the records that are linked already; what people chose is never lost."""

from __future__ import annotations

from typing import Any

import pytest

from sidefeed.cli.project_files import write_project
from tests.test_command_line import Desk, desk  # noqa: F401  a fixture

STAGES = ("          proposal: decisionmakerboughtin\n          negotiation: contractsent\n",
          "          proposal: contractsent\n          negotiation: decisionmakerboughtin\n")


def company(desk: Desk, number: int = 2) -> None:  # noqa: F811
    """Proposals that were told in Salesforce and written to HubSpot by us, and one that a person made in HubSpot."""
    owner = str(desk.salesforce.call(lambda: desk.salesforce.add_user(
        "ann@us.example", first="Ann", last="Lee", email="ann@us.example")))
    there = desk.hubspot.call(lambda: desk.hubspot.add_owner("ann@us.example", "Ann", "Lee"))
    for each in range(number):
        desk.sf("Opportunity", Name=f"Deal {each}", StageName="Proposal/Price Quote", CloseDate="2027-01-15",
                OwnerId=owner)
    desk.hubspot.call(lambda: desk.hubspot.create("deals", dealname="Theirs", dealstage="decisionmakerboughtin",
                                                  pipeline="default", closedate="2027-01-15T12:00:00Z",
                                                  hubspot_owner_id=str(there)))
    for _again in range(3):
        desk("sync")


def there(desk: Desk, name: str = "dealstage") -> dict[str, Any]:  # noqa: F811
    return {row["properties"]["dealname"]: row["properties"].get(name) or None
            for row in desk.hubspot.call(desk.hubspot.records, "deals")}


def stages(desk: Desk) -> dict[str, Any]:  # noqa: F811
    return {row["Name"]: row["StageName"] for row in desk.salesforce.call(desk.salesforce.rows, "Opportunity")}


@pytest.mark.slow
def test_a_changed_value_map_is_written_anew_where_we_wrote_and_read_anew_where_people_chose(
    desk: Desk,  # noqa: F811
) -> None:
    company(desk)
    assert set(there(desk).values()) == {"decisionmakerboughtin"}
    desk.edit("hubspot.yaml", *STAGES)
    write_project(old := desk.folder / "old")
    _code, diff = desk("map", "diff", str(old / "mappings"))
    assert diff["linked"] == [{"system": "hubspot", "object": "deals", "field": "stage", "written": 2, "read": 1,
                               "disputed": 0, "left": 0}]
    assert desk("sync")[0] == 3, "a changed mapping is looked at before it writes"
    _code, plan = desk("plan")
    planned = {write["label"]: write for write in plan["writes"]}
    assert planned.keys() == {"Deal 0", "Deal 1", "Theirs"}
    assert planned["Deal 0"]["fields"] == {
        "dealstage": {"before": "decisionmakerboughtin", "after": "contractsent"}}
    assert planned["Deal 0"]["reason"] == "mapping changed"
    assert planned["Theirs"]["system"] == "salesforce"
    assert "mapping changed: read anew from hubspot" in planned["Theirs"]["reason"]
    code, report = desk("sync", "--confirm-mapping")
    assert (code, report["written"]) == (0, {"hubspot deals": {"update": 2}, "salesforce Opportunity": {"update": 1}})
    assert there(desk) == {"Deal 0": "contractsent", "Deal 1": "contractsent", "Theirs": "decisionmakerboughtin"}
    assert stages(desk) == {"Deal 0": "Proposal/Price Quote", "Deal 1": "Proposal/Price Quote",
                            "Theirs": "Negotiation/Review"}
    code, again = desk("sync")
    assert (code, again["written"]) == (0, {}), "a second run writes nothing"
    _code, blame = desk("blame", "Theirs", "stage")
    assert (blame["history"][0]["actor"], blame["history"][0]["value"]) == ("mapping", "negotiation")

    desk.edit("hubspot.yaml", *reversed(STAGES))
    code, report = desk("sync", "--confirm-mapping")
    assert code == 0, report
    assert set(there(desk).values()) == {"decisionmakerboughtin"}
    assert set(stages(desk).values()) == {"Proposal/Price Quote"}, "the change taken back is as if it had never been"
    assert desk("sync")[1]["written"] == {}


@pytest.mark.slow
def test_what_people_chose_and_the_mapping_knows_no_more_is_told_and_left_alone(desk: Desk) -> None:  # noqa: F811
    company(desk, 1)
    desk.edit("hubspot.yaml", "proposal: decisionmakerboughtin\n", "proposal: contractsent\n")
    desk.edit("hubspot.yaml", "negotiation: contractsent\n", "negotiation: [closedagain]\n")
    code, report = desk("sync", "--confirm-mapping")
    assert code == 1
    (told,) = [one for one in report["problems"] if one["code"] == "unknown-value"]
    theirs = next(row["id"] for row in desk.hubspot.call(desk.hubspot.records, "deals")
                  if row["properties"]["dealname"] == "Theirs")
    assert (told["record"], told["field"]) == (theirs, "stage")
    assert "it was chosen there, so it stays" in told["message"]
    assert there(desk) == {"Deal 0": "contractsent", "Theirs": "decisionmakerboughtin"}
    assert set(stages(desk).values()) == {"Proposal/Price Quote"}
    assert desk("sync")[1]["written"] == {}

    desk.edit("hubspot.yaml", "proposal: contractsent\n", "proposal: [contractsent, decisionmakerboughtin]\n")
    code, report = desk("sync", "--confirm-mapping")
    assert (code, report["written"], report["absorbed"]) == (0, {}, {}), "known again, it means what it meant"


@pytest.mark.slow
def test_a_value_that_nobody_could_read_is_read_once_it_is_mapped(desk: Desk) -> None:  # noqa: F811
    company(desk, 1)
    ann = next(row["Id"] for row in desk.salesforce.call(desk.salesforce.rows, "User") if row["LastName"] == "Lee")
    desk.sf("Opportunity", Name="Moon", StageName="Waiting for the moon", CloseDate="2027-01-15", OwnerId=ann)
    desk("sync")
    _code, blame = desk("blame", "Moon", "stage")
    assert blame["history"] == []
    desk.edit("salesforce.yaml", "needs_analysis: [", "needs_analysis: [Waiting for the moon, ")
    _code, report = desk("sync", "--confirm-mapping")
    assert report["absorbed"] == {"salesforce opportunity": 1}, report
    assert there(desk)["Moon"] == "presentationscheduled", "it is known now, so the deal is made in HubSpot"


@pytest.mark.slow
def test_a_changed_map_is_brought_to_some_records_first_and_the_rest_stays_due(desk: Desk) -> None:  # noqa: F811
    company(desk, 4)
    desk.edit("hubspot.yaml", *STAGES)
    code, told = desk("backfill", "opportunity.stage")
    assert {(row["system"], row["changed"]) for row in told["would_write"]} == {("hubspot", 4), ("salesforce", 1)}
    code, told = desk("backfill", "opportunity.stage", "--apply", "--records", "2")
    assert (code, told["done"]["records"], told["done"]["left"]) == (0, 2, 3)
    assert desk("sync")[0] == 3, "the rest waits, and so does the confirmation"
    code, told = desk("backfill", "opportunity.stage", "--apply")
    assert (code, told["done"]["records"], told["done"]["left"]) == (0, 3, 0)
    assert set(there(desk).values()) == {"contractsent", "decisionmakerboughtin"}
    assert desk("sync")[1]["written"] == {}


@pytest.mark.slow
def test_an_edit_there_before_it_is_written_anew_is_an_edit_and_no_dispute(desk: Desk) -> None:  # noqa: F811
    company(desk, 2)
    desk.edit("hubspot.yaml", *STAGES)
    desk("backfill", "opportunity.stage", "--apply", "--records", "1")
    left = next(row for row in desk.hubspot.call(desk.hubspot.records, "deals")
                if row["properties"]["dealname"].startswith("Deal")
                and row["properties"]["dealstage"] == "decisionmakerboughtin")
    desk.hubspot.call(lambda: desk.hubspot.update("deals", left["id"], dealstage="closedwon"))
    code, report = desk("sync", "--confirm-mapping")
    assert (code, report["counts"].get("conflicts", 0)) == (0, 0), report
    assert there(desk)[left["properties"]["dealname"]] == "closedwon"
    assert stages(desk)[left["properties"]["dealname"]] == "Closed Won"


@pytest.mark.slow
def test_a_silly_edit_stops_before_the_workspace_or_a_system_changes(desk: Desk) -> None:  # noqa: F811
    company(desk, 120)
    desk.edit("hubspot.yaml", *STAGES)
    before = there(desk)
    code, report = desk("sync", "--confirm-mapping")
    assert code == 3
    assert "would change dealstage on 120 of 121 records" in str(report)
    assert there(desk) == before
    desk.edit("hubspot.yaml", *reversed(STAGES))
    desk("sync", "--confirm-mapping")
    stage = ("          proposal: Proposal/Price Quote\n          negotiation: Negotiation/Review\n",
             "          proposal: Negotiation/Review\n          negotiation: Proposal/Price Quote\n")
    desk.edit("salesforce.yaml", *stage)
    code, report = desk("sync", "--confirm-mapping")
    assert code == 3
    assert "would read stage anew on 120 of 121 records. Nothing was changed." in str(report)
    assert there(desk) == before
    _code, blame = desk("blame", "Deal 7", "stage")
    assert [line["value"] for line in blame["history"]] == ["proposal"]
    desk.edit("salesforce.yaml", *reversed(stage))
    code, report = desk("sync", "--confirm-mapping")
    assert (code, report["written"], report["absorbed"]) == (0, {}, {})


@pytest.mark.slow
def test_a_person_lets_a_stopped_reading_pass_and_what_it_brings_is_guarded_anew(desk: Desk) -> None:  # noqa: F811
    company(desk, 12)
    settings = desk.folder / "sidefeed.toml"
    settings.write_text(settings.read_text() + "\n[limits]\none_field_count = 1\n")
    desk.edit("salesforce.yaml", "          proposal: Proposal/Price Quote\n          negotiation: Negotiation/Review\n",
              "          proposal: Negotiation/Review\n          negotiation: Proposal/Price Quote\n")
    assert desk("sync", "--confirm-mapping")[0] == 3
    _code, status = desk("status")
    (run,) = [run["id"] for run in status["runs"] if run["state"] == "parked"]
    code, report = desk("skip", run)
    assert (code, "It cannot be skipped" in report["error"]) == (2, True)
    code, report = desk("approve", run)
    assert (code, "would change dealstage on 12 of 13 records" in str(report)) == (3, True)
    _code, blame = desk("blame", "Deal 7", "stage")
    assert [line["value"] for line in blame["history"]] == ["negotiation", "proposal"]
    assert set(there(desk).values()) == {"decisionmakerboughtin"}
    _code, status = desk("status")
    run = max(run["id"] for run in status["runs"] if run["state"] == "parked")
    code, report = desk("approve", run)
    assert (code, report["written"]["hubspot deals"]) == (0, {"update": 12})
    assert desk("sync")[1]["written"] == {}
