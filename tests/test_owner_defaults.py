"""What a system fills in by itself where we could not say it: whose record it becomes is nobody's edit."""

from __future__ import annotations

from shutil import copy

import pytest

from sandbox.salesforce.records import Actor
from tests.test_command_line import Desk, desk

__all__ = ["desk"]


def test_a_record_that_we_create_does_not_change_hands_because_its_owner_is_unknown_there(desk: Desk) -> None:
    """Salesforce gives a row to whoever inserts it (Object Reference, "Frequently Occurring Fields", OwnerId)."""
    hubspot = desk.hubspot
    ann = hubspot.call(lambda: hubspot.add_owner("ann@us.example", "Ann", "Archer"))
    hubspot.call(lambda: hubspot.create("deals", dealname="Pumps", amount="1200", hubspot_owner_id=ann,
                                        dealstage="appointmentscheduled", closedate="2027-01-15T00:00:00Z"))
    hubspot.call(lambda: hubspot.create("deals", dealname="Valves", amount="70", dealstage="appointmentscheduled",
                                        closedate="2027-01-15T00:00:00Z"))
    admin = desk.salesforce.call(lambda: next(row for row in desk.salesforce.rows("User")))["Email"]
    hubspot.call(lambda: hubspot.add_owner(admin, "Integration", "User"))
    for _ in range(3):
        desk("sync")
    _code, owner = desk("blame", "Pumps", "owner")
    assert [line["source"] for line in owner["history"]] == ["hubspot"]
    deals = {row["properties"]["dealname"]: row["properties"].get("hubspot_owner_id")
             for row in hubspot.call(hubspot.records, "deals")}
    assert deals == {"Pumps": ann, "Valves": None}, "it is the integration's nowhere but in Salesforce"
    _code, report = desk("sync")
    assert (report["counts"].get("written", 0), report["absorbed"]) == (0, {})

    user = desk.salesforce.call(lambda: desk.salesforce.add_user("ann@us.example", first="Ann", last="Archer"))
    for _ in range(2):
        desk("sync")
    owners = {row["Name"]: row["OwnerId"] for row in desk.salesforce.call(desk.salesforce.rows, "Opportunity")}
    assert owners["Pumps"] == user != owners["Valves"], "hers as soon as Salesforce knows her"


def test_whom_a_person_gives_it_to_before_we_looked_is_an_edit_also_where_the_answer_to_the_create_was_lost(
    desk: Desk
) -> None:
    """CreatedById tells whom Salesforce gave the row: its maker (Object Reference, "System Fields")."""
    hubspot, salesforce = desk.hubspot, desk.salesforce
    admin = next(row for row in salesforce.call(salesforce.rows, "User"))
    bob = salesforce.call(lambda: salesforce.add_user("bob@us.example", first="Bob", last="Baker"))
    ann, there, _robot = (hubspot.call(lambda address=address: hubspot.add_owner(address, "A", "B"))
                          for address in ("ann@us.example", "bob@us.example", admin["Email"]))
    for name in ("Ours", "Given away"):
        hubspot.call(lambda name=name: hubspot.create("deals", dealname=name, amount="1", hubspot_owner_id=ann,
                                                      dealstage="appointmentscheduled", closedate="2027-01-15T00:00:00Z"))
    salesforce.faults.add("drop_after", method="POST", path="*/composite/sobjects*")
    _code, first = desk("sync")
    assert first["counts"]["unknown"] == first["counts"]["recovered"] == 2, first
    rows = {row["Name"]: row for row in salesforce.call(salesforce.rows, "Opportunity")}
    assert [row["OwnerId"] for row in rows.values()] == [admin["Id"]] * 2, "Salesforce gave both to their maker"
    salesforce.call(lambda: salesforce.update("Opportunity", rows["Given away"]["Id"], OwnerId=bob))
    for _ in range(2):
        desk("sync")
    deals = {row["properties"]["dealname"]: row["properties"]["hubspot_owner_id"]
             for row in hubspot.call(hubspot.records, "deals")}
    assert deals == {"Ours": ann, "Given away": there}
    assert desk("sync")[1]["written"] == {}


def test_what_was_deleted_before_anybody_read_it_and_restored_does_not_change_hands(desk: Desk) -> None:
    hubspot, salesforce = desk.hubspot, desk.salesforce
    admin = next(row for row in salesforce.call(salesforce.rows, "User"))
    ann, _robot = (hubspot.call(lambda address=address: hubspot.add_owner(address, "A", "B"))
                   for address in ("ann@us.example", admin["Email"]))
    hubspot.call(lambda: hubspot.create("deals", dealname="Pumps", amount="1", hubspot_owner_id=ann,
                                        dealstage="appointmentscheduled", closedate="2027-01-15T00:00:00Z"))
    desk("sync")
    (deal,) = salesforce.call(salesforce.rows, "Opportunity")
    salesforce.call(lambda: salesforce.delete("Opportunity", deal["Id"]))
    desk("sync")
    salesforce.call(lambda: salesforce.records.undelete(deal["Id"], Actor(salesforce.admin_id)))
    for _ in range(3):
        desk("sync")
    (there,) = hubspot.call(hubspot.records, "deals")
    assert there["properties"]["hubspot_owner_id"] == ann, "whom Salesforce gave the row to is nobody's choice"
    assert [line["source"] for line in desk("blame", "Pumps", "owner")[1]["history"]] == ["hubspot"]


@pytest.mark.slow
def test_what_a_restored_workspace_forgot_that_it_made_does_not_change_hands(desk: Desk) -> None:
    """Salesforce had given it to its maker, us; found again by its address, or by what it holds, it went to us in
    HubSpot as well."""
    hubspot, salesforce = desk.hubspot, desk.salesforce
    admin = salesforce.call(lambda: next(row for row in salesforce.rows("User")))
    bob = salesforce.call(lambda: salesforce.add_user("bob@us.example", first="Bob", last="Baker"))
    ann, there, _robot = (hubspot.call(lambda address=address: hubspot.add_owner(address, "A", "B"))
                          for address in ("ann@us.example", "bob@us.example", admin["Email"]))
    desk("sync")
    kept, workspace = desk.folder.parent / "kept.db", desk.folder / "workspace.db"
    copy(workspace, kept)
    hubspot.call(lambda: hubspot.create("contacts", email="ito@acme.example", lastname="Ito", hubspot_owner_id=ann))
    for name in ("Pumps", "Valves"):
        hubspot.call(lambda name=name: hubspot.create("deals", dealname=name, amount="1", hubspot_owner_id=ann,
                                                      dealstage="appointmentscheduled", closedate="2027-01-15T00:00:00Z"))
    for _ in range(2):
        desk("sync")
    rows = {row["Name"]: row for row in salesforce.call(salesforce.rows, "Opportunity")}
    assert {row["OwnerId"] for row in rows.values()} == {admin["Id"]}, "Salesforce gave what we made to us"
    salesforce.call(lambda: salesforce.update("Opportunity", rows["Valves"]["Id"], OwnerId=bob))
    copy(kept, workspace)
    assert desk("sync")[0] == 3, "it is older than the world"
    desk("sync", "--approve")
    for _ in range(2):
        desk("sync")
    assert desk("link")[1]["questions"] == []
    deals = {row["properties"]["dealname"]: row["properties"]["hubspot_owner_id"]
             for row in hubspot.call(hubspot.records, "deals")}
    (person,) = hubspot.call(hubspot.records, "contacts")
    assert person["properties"]["hubspot_owner_id"] == ann
    assert deals == {"Pumps": ann, "Valves": there}, "only what a person gave away has another owner"
    assert len(salesforce.call(salesforce.rows, "Opportunity")) == 2
