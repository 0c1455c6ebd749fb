"""`sidefeed census` against the practice servers: what no feed tells is found, named, and repaired by the next sync."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from tests.test_command_line import Desk, desk

__all__ = ["desk"]


@pytest.fixture
def company(desk: Desk) -> Desk:
    """Two companies with a deal each, the same in both CRMs."""
    for name in ("Acme", "Bolt"):
        account = desk.sf("Account", Name=name, Website=f"https://{name.lower()}.example")
        desk.sf("Opportunity", Name=f"{name} pumps", AccountId=account, Amount=1200, StageName="Prospecting",
                CloseDate="2027-01-15")
    desk("sync")
    desk("sync")
    return desk


def differences(report: dict[str, Any]) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(f"{one['system']} {one['object']}", one["kind"], tuple(one["fields"]))
            for feed in report["feeds"] for one in feed["differences"]]


def test_a_quiet_company_is_equal_to_the_last_record(company: Desk) -> None:
    code, report = company("census")
    assert (code, report["differ"], differences(report)) == (0, 0, [])
    equal = {feed["object"]: feed["equal"] for feed in report["feeds"] if feed["linked"]}
    assert {name: equal[name] for name in ("Opportunity", "deals", "companies", "Account")} == {
        "Opportunity": 2, "deals": 2, "companies": 2, "Account": 2}
    assert all(count["used"] <= count["minimum"] + 4 for count in report["calls"].values()), report["calls"]
    shown = subprocess.run([sys.executable, "-m", "sidefeed", "census", "hubspot", "-C", str(company.folder)],
                           text=True, capture_output=True, check=True).stdout
    assert "hubspot deals: 2 equal, 0 differ" in shown


def test_an_association_that_changed_without_a_time_stamp_is_found_and_travels(company: Desk) -> None:
    hubspot = company.hubspot
    deals = {row["properties"]["dealname"]: row["id"] for row in hubspot.call(hubspot.records, "deals")}
    companies = {row["properties"]["name"]: row["id"] for row in hubspot.call(hubspot.records, "companies")}
    hubspot.call(lambda: hubspot.associate("deals", deals["Acme pumps"], "companies", companies["Bolt"],
                                           label="Primary"))
    code, report = company("census", "hubspot")
    assert (code, [one[:2] for one in differences(report)]) == (1, [("hubspot deals", "silent")])
    (why,) = [one["why"] for feed in report["feeds"] for one in feed["differences"]]
    assert "without a new version" in why
    company("census", "hubspot", "--repair")
    company("sync")
    accounts = {row["Id"]: row["Name"] for row in company.salesforce.call(company.salesforce.rows, "Account")}
    moved = {row["Name"]: accounts[row["AccountId"]]
             for row in company.salesforce.call(company.salesforce.rows, "Opportunity")}
    assert moved == {"Acme pumps": "Bolt", "Bolt pumps": "Bolt"}
    assert company("census")[1]["differ"] == 0


def test_a_system_that_cannot_be_reached_is_said_and_the_others_are_counted(company: Desk) -> None:
    company.write(hubspot={"host": "http://127.0.0.1:1", "attempts": 2})
    code, report = company("census", "--repair")
    assert code == 4
    failed = {feed["system"] for feed in report["feeds"] if feed["failed"]}
    assert failed == {"hubspot"}
    told = [feed for feed in report["feeds"] if feed["system"] == "hubspot"]
    assert len(told) > 1 and len({feed["failed"] for feed in told}) == 1 and "no connection" in told[0]["failed"]
    assert report["calls"]["hubspot"]["used"] == 2, "the feeds that follow are not tried"
    assert sum(feed["equal"] for feed in report["feeds"] if feed["system"] == "salesforce") >= 4
    assert differences(report) == []


def test_the_census_is_a_run_like_any_other(company: Desk) -> None:
    company("census")
    _code, status = company("status")
    assert (status["runs"][0]["what"], status["runs"][0]["state"]) == ("census", "done")
