"""Search: operators, case, limits, paging, and an index that lags."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from sandbox.hubspot import HubSpotServer
from sandbox.hubspot.store import Actor
from tests.sandbox.hubspot_caller import Caller, at_noon, where

DEALS = "/crm/v3/objects/deals/search"


@pytest.fixture
def caller() -> Iterator[Caller]:
    with at_noon() as found:
        yield found


@pytest.fixture
def deals(caller: Caller) -> dict[str, str]:
    """Four deals by name; `bare` has nothing but its name."""
    rows: dict[str, dict[str, Any]] = {
        "Alpha Renewal": {"amount": "100", "dealstage": "closedwon", "closedate": "2026-01-31"},
        "beta renewal": {"amount": "20", "dealstage": "qualifiedtobuy", "closedate": "2026-02-28"},
        "Gamma": {"amount": "3", "dealstage": "qualifiedtobuy", "closedate": "2026-03-31T12:00:00Z"},
        "bare": {},
    }
    return {name: caller.make("deals", dealname=name, **values) for name, values in rows.items()}


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (where("dealname", "EQ", "ALPHA RENEWAL"), ["Alpha Renewal"]),
        (where("dealname", "NEQ", "gamma"), ["Alpha Renewal", "bare", "beta renewal"]),
        (where("dealstage", "EQ", "closedwon"), ["Alpha Renewal"]),
        (where("dealstage", "EQ", "ClosedWon"), []),
        (where("dealstage", "NEQ", "closedwon"), ["Gamma", "beta renewal"]),
        (where("amount", "LT", "100"), ["Gamma", "beta renewal"]),
        (where("amount", "LTE", 100), ["Alpha Renewal", "Gamma", "beta renewal"]),
        (where("amount", "GT", "20"), ["Alpha Renewal"]),
        (where("amount", "GTE", "20.0"), ["Alpha Renewal", "beta renewal"]),
        (where("amount", "BETWEEN", "3", highValue="20"), ["Gamma", "beta renewal"]),
        (where("dealname", "IN", values=["alpha renewal", "gamma"]), ["Alpha Renewal", "Gamma"]),
        (where("dealname", "IN", values=["Gamma"]), []),
        (where("dealstage", "IN", values=["closedwon", "qualifiedtobuy"]), ["Alpha Renewal", "Gamma", "beta renewal"]),
        (where("dealname", "NOT_IN", values=["gamma"]), ["Alpha Renewal", "bare", "beta renewal"]),
        (where("amount", "HAS_PROPERTY"), ["Alpha Renewal", "Gamma", "beta renewal"]),
        (where("amount", "NOT_HAS_PROPERTY"), ["bare"]),
        (where("dealname", "CONTAINS_TOKEN", "renewal"), ["Alpha Renewal", "beta renewal"]),
        (where("dealname", "CONTAINS_TOKEN", "renew"), []),
        (where("dealname", "CONTAINS_TOKEN", "renew*"), ["Alpha Renewal", "beta renewal"]),
        (where("dealname", "NOT_CONTAINS_TOKEN", "renewal"), ["Gamma", "bare"]),
        (where("closedate", "EQ", "1769817600000"), ["Alpha Renewal"]),
        (where("closedate", "GTE", "2026-02-28T00:00:00Z"), ["Gamma", "beta renewal"]),
        (where("hs_is_closed_won", "EQ", "true"), ["Alpha Renewal"]),
        (where("no_such_property", "EQ", "x"), []),
    ],
)
def test_operators(caller: Caller, deals: dict[str, str], condition: dict[str, Any], expected: list[str]) -> None:
    found = caller.search("deals", condition, properties=["dealname"])
    assert sorted(r["properties"]["dealname"] for r in found["results"]) == expected
    assert found["total"] == len(expected)


def test_groups_are_or_and_filters_are_and(caller: Caller, deals: dict[str, str]) -> None:
    groups = [
        {"filters": [where("dealstage", "EQ", "qualifiedtobuy"), where("amount", "LT", "10")]},
        {"filters": [where("amount", "EQ", "100")]},
    ]
    found = caller.post(DEALS, {"filterGroups": groups}).json()
    assert [r["id"] for r in found["results"]] == [deals["Alpha Renewal"], deals["Gamma"]]


def test_a_wrong_modified_property_finds_nothing_and_is_no_error(caller: Caller) -> None:
    record_id = caller.make("contacts", email="a@example.com")
    assert caller.search("contacts", where("hs_lastmodifieddate", "GTE", "0"))["total"] == 0
    assert caller.ids("contacts", where("lastmodifieddate", "GTE", "0")) == [record_id]


def test_the_query_text_begins_words_of_the_searched_properties(caller: Caller) -> None:
    ann = caller.make("contacts", email="ann@acme.example", firstname="Ann", lastname="Béla", city="Bonn")
    assert caller.ids("contacts", query="ann bé") == [ann]
    assert caller.ids("contacts", query="acme") == [ann]
    assert caller.ids("contacts", query="bonn") == []


def test_results_are_sorted_and_those_without_the_value_come_last(caller: Caller, deals: dict[str, str]) -> None:
    ascending = caller.ids("deals", sorts=[{"propertyName": "amount", "direction": "ASCENDING"}])
    assert ascending == [deals[name] for name in ("Gamma", "beta renewal", "Alpha Renewal", "bare")]
    assert caller.ids("deals", sorts=["-amount"])[:3] == ascending[2::-1]
    assert caller.ids("deals") == sorted(deals.values())


def test_default_properties_come_and_chosen_ones_replace_them(caller: Caller, deals: dict[str, str]) -> None:
    (first, *_) = caller.search("deals")["results"]
    assert {"amount", "closedate", "dealname", "dealstage", "pipeline"} < set(first["properties"])
    (first, *_) = caller.search("deals", properties=["hs_next_step"])["results"]
    assert set(first["properties"]) == {"createdate", "hs_lastmodifieddate", "hs_next_step", "hs_object_id"}


def test_pages_tell_where_the_next_begins(caller: Caller, deals: dict[str, str]) -> None:
    first = caller.search("deals", limit=3)
    assert (first["total"], first["paging"]) == (4, {"next": {"after": "3"}})
    rest = caller.search("deals", limit=3, after=first["paging"]["next"]["after"])
    assert len(rest["results"]) == 1
    assert "paging" not in rest
    assert len(caller.search("deals", limit=200)["results"]) == 4


def refused(caller: Caller, body: Any) -> str:
    answer = caller.post(DEALS, body)
    assert (answer.status_code, answer.json()["category"]) == (400, "VALIDATION_ERROR"), answer.text
    return str(answer.json()["message"])


def groups(*sizes: int) -> dict[str, Any]:
    one = where("amount", "EQ", "1")
    return {"filterGroups": [{"filters": [one] * size} for size in sizes]}


def test_the_shape_of_a_search_is_limited(caller: Caller) -> None:
    assert caller.post(DEALS, groups(6, 6, 6)).status_code == 200
    assert caller.post(DEALS, groups(1, 1, 1, 1, 1)).status_code == 200
    assert "5" in refused(caller, groups(1, 1, 1, 1, 1, 1))
    assert "6" in refused(caller, groups(7))
    assert "18" in refused(caller, groups(6, 6, 6, 1))
    assert "3000" in refused(caller, {"query": "x" * 3000})
    assert "200" in refused(caller, {"limit": 201})
    refused(caller, {"sorts": [{"propertyName": "amount"}, {"propertyName": "dealname"}]})


@pytest.mark.parametrize(
    "body",
    [
        {"filterGroups": [{"filters": [where("amount", "LIKE", "1")]}]},
        {"filterGroups": [{"filters": [where("amount", "EQ")]}]},
        {"filterGroups": [{"filters": [where("amount", "EQ", "many")]}]},
        {"filterGroups": [{"filters": [where("amount", "BETWEEN", "1")]}]},
        {"filterGroups": [{"filters": [where("amount", "IN", "1")]}]},
        {"filterGroups": [{"filters": [where("amount", "HAS_PROPERTY", "1")]}]},
        {"filterGroups": [{"filters": [where("closedate", "GT", "soon")]}]},
        {"filterGroups": [{"filters": [{"operator": "EQ", "value": "1"}]}]},
        {"filterGroups": [{"filters": ["x"]}]},
        {"filterGroups": "x"},
        {"after": "next"},
        {"after": "-1"},
        {"limit": "many"},
        {"properties": "amount"},
        {"sorts": [{"propertyName": "amount", "direction": "UP"}]},
        {"query": 5},
    ],
)
def test_a_malformed_search_is_refused(caller: Caller, body: Any) -> None:
    refused(caller, body)


def test_archived_records_never_appear(caller: Caller, deals: dict[str, str]) -> None:
    caller.request("DELETE", f"/crm/v3/objects/deals/{deals['bare']}")
    assert caller.search("deals")["total"] == 3


def test_a_write_shows_only_when_the_index_has_caught_up(caller: Caller) -> None:
    caller.server.condition("search_lag", seconds=8)
    record_id = caller.make("deals", dealname="One")
    assert caller.read("deals", record_id)["dealname"] == "One"
    assert caller.ids("deals") == []
    caller.server.clock.move(8)
    assert caller.ids("deals") == [record_id]
    caller.request("PATCH", f"/crm/v3/objects/deals/{record_id}", {"properties": {"dealname": "Two"}})
    (stale,) = caller.search("deals")["results"]
    assert stale["properties"]["dealname"] == "One"
    caller.request("DELETE", f"/crm/v3/objects/deals/{record_id}")
    assert caller.ids("deals") == [record_id]
    caller.server.clock.move(8)
    assert caller.ids("deals") == []


def test_a_late_write_appears_behind_later_ones_with_its_early_stamp(caller: Caller) -> None:
    caller.server.condition("late_index", seconds=60, count=1)
    late = caller.make("deals", dealname="Late")
    caller.server.clock.move(1)
    prompt = caller.make("deals", dealname="Prompt")
    by_time = [{"propertyName": "hs_lastmodifieddate", "direction": "ASCENDING"}]
    assert caller.ids("deals", sorts=by_time) == [prompt]
    caller.server.clock.move(60)
    assert caller.ids("deals", sorts=by_time) == [late, prompt]


def test_a_late_version_never_covers_a_newer_one(caller: Caller) -> None:
    caller.server.condition("late_index", seconds=60, count=1)
    record_id = caller.make("deals", dealname="One")
    caller.request("PATCH", f"/crm/v3/objects/deals/{record_id}", {"properties": {"dealname": "Two"}})
    caller.server.clock.move(61)
    (found,) = caller.search("deals")["results"]
    assert found["properties"]["dealname"] == "Two"


def test_many_records_can_share_one_millisecond(caller: Caller) -> None:
    caller.server.condition("timestamp_tie")
    first = caller.make("deals", dealname="A")
    caller.server.clock.move(30)
    second = caller.make("deals", dealname="B")
    stamps = {caller.read("deals", record_id)["hs_lastmodifieddate"] for record_id in (first, second)}
    assert len(stamps) == 1
    stamp = stamps.pop()
    assert caller.ids("deals", where("hs_lastmodifieddate", "EQ", stamp)) == [first, second]


def filled(count: int) -> HubSpotServer:
    server = HubSpotServer()
    deals = server.portal.store.of("deals")
    server.condition("timestamp_tie")
    for n in range(count):
        server.portal.create(deals, {"dealname": f"Deal {n}"}, Actor())
    server.condition("timestamp_tie", on=False)
    return server


def test_ten_thousand_results_are_the_end_of_one_query_and_ids_lead_on() -> None:
    with filled(10_150) as server:
        caller = Caller(server)
        stamp = caller.search("deals", limit=1, properties=["hs_lastmodifieddate"])["results"][0]["updatedAt"]
        base = {"sorts": [{"propertyName": "hs_object_id", "direction": "ASCENDING"}], "limit": 200}
        last_page = caller.search("deals", where("hs_lastmodifieddate", "EQ", stamp), after="9800", **base)
        assert last_page["total"] == 10_150
        assert last_page["paging"] == {"next": {"after": "10000"}}
        beyond = {"after": "10000", **base}
        assert "10000" in refused(caller, beyond)
        last = last_page["results"][-1]["id"]
        rest = caller.search(
            "deals", where("hs_lastmodifieddate", "EQ", stamp), where("hs_object_id", "GT", last), **base
        )
        assert rest["total"] == 150
        caller.http.close()


@pytest.mark.slow
def test_a_hundred_thousand_records_are_not_scanned_for_one() -> None:
    server = HubSpotServer()
    contacts = server.portal.store.of("contacts")
    for n in range(100_000):
        server.portal.create(contacts, {"email": f"p{n}@example.com"}, Actor())
    with server:
        caller = Caller(server)
        index = server.portal.index("contacts")
        record_id = caller.get("/crm/v3/objects/contacts/p77777@example.com", idProperty="email").json()["id"]
        assert caller.ids("contacts", where("email", "EQ", "P77777@example.com")) == [record_id]
        index.visited = contacts.visited = 0
        assert caller.ids("contacts", where("email", "EQ", "p5@example.com"))
        assert caller.ids("contacts", where("email", "IN", values=["p6@example.com", "p7@example.com"]))
        assert caller.ids("contacts", where("hs_object_id", "EQ", record_id)) == [record_id]
        server.clock.move(60)
        since = server.portal.now() - 30_000
        caller.request("PATCH", f"/crm/v3/objects/contacts/{record_id}", {"properties": {"firstname": "P"}})
        assert caller.ids("contacts", where("lastmodifieddate", "GTE", str(since))) == [record_id]
        assert len(caller.get("/crm/v3/objects/contacts", limit=100, after=record_id).json()["results"]) == 100
        assert index.visited <= 5
        assert contacts.visited <= 110
        caller.http.close()


def test_records_are_found_by_what_they_are_associated_with(caller: Caller) -> None:
    contact, other = caller.make("contacts", email="a@example.com"), caller.make("contacts", email="b@example.com")
    company = caller.make("companies", name="Acme")
    path = f"/crm/v4/objects/contacts/{contact}/associations/default/companies/{company}"
    assert caller.ids("contacts", where("associations.company", "EQ", company)) == []
    caller.request("PUT", path)
    assert caller.ids("contacts", where("associations.company", "EQ", company)) == [contact]
    assert caller.ids("companies", where("associations.contact", "IN", values=[other, contact])) == [company]
    both = (where("associations.company", "EQ", company), where("email", "EQ", "b@example.com"))
    assert caller.ids("contacts", *both) == []
    caller.request("DELETE", f"/crm/v4/objects/contacts/{contact}/associations/companies/{company}")
    assert caller.ids("contacts", where("associations.company", "EQ", company)) == []
    body = {"filterGroups": [{"filters": [where("associations.company", "GT", company)]}]}
    assert caller.post("/crm/v3/objects/contacts/search", body).status_code == 400
    body = {"filterGroups": [{"filters": [where("associations.nothing", "EQ", company)]}]}
    assert caller.post("/crm/v3/objects/contacts/search", body).status_code == 400
