"""What a mapping may hold back from a system: conditions, blanks, values that people entered there; and owners."""

from __future__ import annotations

from typing import Any

from tests.test_command_line import Desk, desk  # noqa: F401  a fixture

STEP = "next_step: hs_next_step"
CLOSES = {"CloseDate": "2027-01-15"}


def deal(desk: Desk, name: str, **fields: Any) -> str:  # noqa: F811
    return desk.sf("Opportunity", Name=name, **{"StageName": "Prospecting", **CLOSES, **fields})


def change(desk: Desk, id: str, **fields: Any) -> None:  # noqa: F811
    desk.salesforce.call(lambda: desk.salesforce.update("Opportunity", id, **fields))


def there(desk: Desk, field: str, type: str = "deals", by: str = "dealname") -> dict[str, Any]:  # noqa: F811
    return {row["properties"][by]: row["properties"].get(field) or None
            for row in desk.hubspot.call(desk.hubspot.records, type)}


def edit_there(desk: Desk, name: str, **properties: Any) -> None:  # noqa: F811
    (row,) = [row for row in desk.hubspot.call(desk.hubspot.records, "deals") if row["properties"]["dealname"] == name]
    desk.hubspot.call(lambda: desk.hubspot.update("deals", str(row["id"]), **properties))


def test_a_field_with_a_condition_is_written_once_its_condition_is_met(desk: Desk) -> None:  # noqa: F811
    desk.edit("hubspot.yaml", STEP, "next_step: {field: hs_next_step, when: {stage: [negotiation, won]}}")
    early = deal(desk, "Early", NextStep="call")
    deal(desk, "Late", NextStep="sign", StageName="Closed Won")
    desk("sync")
    assert there(desk, "hs_next_step") == {"Early": None, "Late": "sign"}
    change(desk, early, NextStep="call again")
    desk("sync")
    assert there(desk, "hs_next_step")["Early"] is None
    _code, report = desk("sync")
    assert report["written"] == {}, "what waits for its condition is no work"
    change(desk, early, StageName="Negotiation/Review")
    desk("sync")
    assert there(desk, "hs_next_step")["Early"] == "call again"
    _code, told = desk("explain", "opportunity.next_step")
    assert any("only where stage is negotiation or won" in sentence
               for side in told["entities"][0]["fields"][0]["sides"] for sentence in side["says"])


def test_a_field_that_only_fills_blanks_leaves_what_people_entered(desk: Desk) -> None:  # noqa: F811
    desk.edit("hubspot.yaml", STEP, "next_step: {field: hs_next_step, direction: write, only_if_blank: true}")
    ids = [deal(desk, name) for name in ("Empty", "Filled")]
    desk("sync")
    edit_there(desk, "Filled", hs_next_step="mine")
    for id in ids:
        change(desk, id, NextStep="from the CRM")
    desk("sync")
    assert there(desk, "hs_next_step") == {"Empty": "from the CRM", "Filled": "mine"}
    _code, report = desk("sync")
    assert report["written"] == {}
    change(desk, ids[0], NextStep="changed")
    desk("sync")
    assert there(desk, "hs_next_step")["Empty"] == "from the CRM"


def test_a_field_that_is_never_blanked_there_keeps_its_value(desk: Desk) -> None:  # noqa: F811
    desk.edit("hubspot.yaml", STEP, "next_step: {field: hs_next_step, never_blank: true}")
    id = deal(desk, "Pumps", NextStep="call")
    desk("sync")
    change(desk, id, NextStep=None)
    desk("sync")
    assert there(desk, "hs_next_step") == {"Pumps": "call"}
    change(desk, id, NextStep="write")
    desk("sync")
    assert there(desk, "hs_next_step") == {"Pumps": "write"}


def owners(desk: Desk, **people: bool) -> dict[str, str]:  # noqa: F811
    """Salesforce users by name; those that are true exist in HubSpot too."""
    found = {}
    for name, both in people.items():
        mail = f"{name}@us.example"
        found[name] = str(desk.salesforce.call(
            lambda name=name, mail=mail: desk.salesforce.add_user(mail, first=name, last="Lee", email=mail)))
        if both:
            desk.hubspot.call(lambda name=name, mail=mail: desk.hubspot.add_owner(mail, name, "Lee"))
    return found


def test_an_owner_who_is_not_known_or_not_active_there_becomes_the_fallback(desk: Desk) -> None:  # noqa: F811
    users = owners(desk, ann=True, bob=False, cara=True)
    nobody = str(desk.hubspot.call(lambda: desk.hubspot.add_owner("queue@us.example", "Sales", "Queue")))
    desk.edit("hubspot.yaml", "owner: hubspot_owner_id\n      contacts:\n        # Association",
              f"owner: {{lens: owner, field: hubspot_owner_id, fallback: \"{nobody}\", inactive: fallback}}\n"
              "      contacts:\n        # Association")
    # Salesforce alone says who is active: two systems that disagree would make `active` the newest word of either.
    desk.edit("hubspot.yaml", "      active: {field: archived, invert: true}\n", "")
    for name, id in users.items():
        deal(desk, f"Deal of {name}", OwnerId=id)
    desk.salesforce.call(lambda: desk.salesforce.update("User", users["cara"], IsActive=False))
    desk("sync")
    held = there(desk, "hubspot_owner_id")
    assert held["Deal of bob"] == held["Deal of cara"] == nobody
    assert held["Deal of ann"] not in (None, nobody)
    desk("sync")
    _code, report = desk("sync")
    assert (report["written"], report["absorbed"]) == ({}, {}), "the fallback never comes back as an owner"
    _code, blame = desk("blame", "Deal of bob", "owner")
    assert {line["source"] for line in blame["history"]} == {"salesforce"}


def test_an_owner_may_be_named_by_address_and_alias(desk: Desk) -> None:  # noqa: F811
    users = owners(desk, ann=True, bob=True)
    for name in ("rep_mail",):
        desk.property("deals", name=name)
    desk.edit("hubspot.yaml", "owner: hubspot_owner_id\n      contacts:\n        # Association",
              "owner: {lens: owner, field: rep_mail, by: email, aliases: {robert@us.example: bob@us.example}}\n"
              "      contacts:\n        # Association")
    deal(desk, "Deal of ann", OwnerId=users["ann"])
    deal(desk, "Deal of bob", OwnerId=users["bob"])
    desk("sync")
    assert there(desk, "rep_mail") == {"Deal of ann": "ann@us.example", "Deal of bob": "robert@us.example"}
    edit_there(desk, "Deal of ann", rep_mail="Robert@us.example")
    desk("sync")
    _code, blame = desk("blame", "Deal of ann", "owner")
    assert {line["source"] for line in blame["history"]} >= {"salesforce", "hubspot"}
