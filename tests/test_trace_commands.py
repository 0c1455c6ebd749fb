"""`sidefeed trace` and `blame` on the practice servers: one record from end to end, and nothing written."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.test_command_line import Desk, desk

__all__ = ["desk"]


@pytest.fixture
def pumps(desk: Desk) -> Desk:
    account = desk.sf("Account", Name="Acme", Website="https://acme.example")
    desk.sf("Opportunity", Name="Pumps", AccountId=account, Amount=1200.5, StageName="Prospecting",
            CloseDate="2027-01-15")
    desk("sync")
    desk("sync")
    return desk


def edit(desk: Desk, **values: object) -> None:
    (id,) = [row["Id"] for row in desk.salesforce.call(desk.salesforce.rows, "Opportunity")]
    desk.salesforce.call(lambda: desk.salesforce.update("Opportunity", id, **values))


def test_trace_shows_identity_every_value_the_rule_and_the_write_to_come(pumps: Desk) -> None:
    edit(pumps, Amount=1300)
    writes = pumps.hubspot.call(lambda: pumps.hubspot.records("deals"))
    _code, found = pumps("trace", "Pumps")
    assert {(one["system"], one["object"], one["role"]) for one in found["identity"]} == {
        ("salesforce", "Opportunity", "primary"), ("hubspot", "deals", "primary")}
    (money,) = [one for one in found["fields"] if one["field"] == "money"]
    assert money["systems"]["salesforce Opportunity"]["amount"] == "1300"
    assert money["systems"]["hubspot deals"]["amount"] == "1200.5"
    assert (money["value"]["amount"], money["source"]) == ("1300", "salesforce")
    assert money["rule"]
    (write,) = found["writes"]
    assert (write["system"], write["op"]) == ("hubspot", "update")
    assert write["fields"]["amount"] == {"before": "1200.5", "after": "1300"}
    assert pumps.hubspot.call(lambda: pumps.hubspot.records("deals")) == writes
    assert pumps("blame", "Pumps", "money")[1]["history"][0]["value"]["amount"] == "1200.5", "nothing was kept either"


def test_trace_asks_each_system_for_one_object_only(pumps: Desk) -> None:
    before = pumps.hubspot.counters.calls
    pumps("trace", "Pumps")
    assert pumps.hubspot.counters.calls - before <= 4, "the deal, its associations, and the labels of roles"


def test_trace_says_what_is_refused_and_what_mends_it(pumps: Desk) -> None:
    edit(pumps, StageName="Waiting for the moon")
    code, found = pumps("trace", "Pumps")
    assert code == 1
    assert any(one["field"] == "stage" and one["fix"] for one in found["refused"]), found["refused"]
    shown = subprocess.run([sys.executable, "-m", "sidefeed", "trace", "Pumps", "-C", str(pumps.folder)], text=True,
                           capture_output=True).stdout
    assert "refused" in shown and "Nothing" in shown


def test_blame_names_the_run_and_what_was_replaced(pumps: Desk) -> None:
    edit(pumps, Amount=1300)
    _code, report = pumps("sync")
    _code, told = pumps("blame", "Pumps", "money")
    newest, oldest = told["history"]
    assert newest["run"] == report["run"] != oldest["run"]
    assert (newest["value"]["amount"], newest["replaced"]["amount"]) == ("1300", "1200.5")


def test_a_name_that_two_records_share_is_answered_with_both(pumps: Desk) -> None:
    pumps.sf("Opportunity", Name="Pumps two", StageName="Prospecting", CloseDate="2027-01-15")
    pumps("sync")
    code, told = pumps("trace", "Pump")
    assert code == 2 and told["error"].count("opportunity") == 2
