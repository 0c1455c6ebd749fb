"""The five batch verbs: sizes, shuffled answers, what fails alone and what fails all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.sandbox.hubspot_caller import Caller, portal

CONTACTS = "/crm/v3/objects/contacts/batch"


@pytest.fixture
def caller() -> Iterator[Caller]:
    with portal() as found:
        yield found


def inputs(*items: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"inputs": list(items), **more}


def person(address: str, trace: str | None = None, **more: Any) -> dict[str, Any]:
    document: dict[str, Any] = {"properties": {"email": address, **more}}
    return {**document, "objectWriteTraceId": trace} if trace else document


def total(caller: Caller, type_name: str = "contacts") -> int:
    return len(caller.server.call(caller.server.records, type_name))


def test_a_batch_answer_is_shuffled_unless_switched_off(caller: Caller) -> None:
    body = inputs(*[person(f"p{n}@example.com") for n in range(20)])
    answer = caller.post(f"{CONTACTS}/create", body)
    assert answer.status_code == 201
    assert answer.json()["status"] == "COMPLETE"
    assert {"startedAt", "completedAt"} < set(answer.json())
    order = [r["properties"]["email"] for r in answer.json()["results"]]
    assert sorted(order) == sorted(item["properties"]["email"] for item in body["inputs"])
    assert order != [item["properties"]["email"] for item in body["inputs"]]
    caller.server.condition("shuffle", on=False)
    body = inputs(*[person(f"q{n}@example.com") for n in range(20)])
    answer = caller.post(f"{CONTACTS}/create", body)
    assert [r["properties"]["email"] for r in answer.json()["results"]] == [f"q{n}@example.com" for n in range(20)]


@pytest.mark.parametrize("verb", ["read", "create", "update", "upsert", "archive"])
def test_more_than_a_hundred_inputs_are_refused(caller: Caller, verb: str) -> None:
    items = [{"id": str(n), "properties": {"firstname": "x"}} for n in range(1, 102)]
    answer = caller.post(f"{CONTACTS}/{verb}", inputs(*items))
    assert (answer.status_code, answer.json()["category"]) == (400, "VALIDATION_ERROR")
    assert answer.json()["message"] == (
        "The maximum number of inputs supported in a batch is 100. Please reduce the number of items and try again"
    )
    assert total(caller) == 0


def test_a_batch_with_history_takes_fifty(caller: Caller) -> None:
    items = [{"id": str(n)} for n in range(1, 52)]
    answer = caller.post(f"{CONTACTS}/read", {"inputs": items, "propertiesWithHistory": ["email"]})
    assert answer.status_code == 400
    assert "a batch request for property histories is 50." in answer.json()["message"]


@pytest.mark.parametrize("verb", ["read", "create", "update", "upsert", "archive"])
@pytest.mark.parametrize("body", [{}, {"inputs": "x"}, {"inputs": ["x"]}, {"inputs": None}, []])
def test_a_body_without_a_list_of_objects_is_refused(caller: Caller, verb: str, body: object) -> None:
    answer = caller.post(f"{CONTACTS}/{verb}", body)
    assert (answer.status_code, answer.json()["category"]) == (400, "VALIDATION_ERROR")


def test_without_trace_ids_one_conflict_fails_the_whole_create(caller: Caller) -> None:
    caller.make("contacts", email="old@example.com")
    answer = caller.post(f"{CONTACTS}/create", inputs(person("new@example.com"), person("old@example.com")))
    assert answer.status_code == 409
    assert (answer.json()["message"], answer.json()["category"]) == ("Contact already exists", "CONFLICT")
    twice = caller.post(f"{CONTACTS}/create", inputs(person("new@example.com"), person("new@example.com")))
    assert twice.status_code == 409
    assert total(caller) == 1


def test_without_trace_ids_the_problems_of_all_inputs_are_listed_and_nothing_is_written(caller: Caller) -> None:
    bad = inputs(person("a@example.com", nope="1"), person("b@example.com", nope="1"), person("c@example.com"))
    answer = caller.post(f"{CONTACTS}/create", bad)
    assert answer.status_code == 400
    assert answer.json()["message"].count("PROPERTY_DOESNT_EXIST") == 2
    assert len(answer.json()["errors"]) == 1
    assert total(caller) == 0


def test_with_trace_ids_each_input_stands_alone(caller: Caller) -> None:
    existing = caller.make("contacts", email="old@example.com")
    body = inputs(
        person("ito@example.com", "k1"), person("old@example.com", "k2"), person("x@example.com", "k3", nope="1")
    )
    answer = caller.post(f"{CONTACTS}/create", body)
    assert answer.status_code == 207
    document = answer.json()
    assert [(r["properties"]["email"], r["objectWriteTraceId"]) for r in document["results"]] == [
        ("ito@example.com", "k1")
    ]
    assert document["numErrors"] == 2
    conflict, invalid = document["errors"]
    assert conflict == {
        "status": "error",
        "category": "CONFLICT",
        "message": f"Contact already exists. Existing ID: {existing}",
        "context": {"objectWriteTraceId": ["k2"], "existingId": [existing]},
    }
    assert (invalid["category"], invalid["context"]["objectWriteTraceId"]) == ("VALIDATION_ERROR", ["k3"])


def test_trace_ids_must_differ(caller: Caller) -> None:
    body = inputs(person("a@example.com", "k"), person("b@example.com", "k"))
    assert caller.post(f"{CONTACTS}/create", body).status_code == 400


def test_batch_read_names_all_missing_ids_in_one_error(caller: Caller) -> None:
    record_id = caller.make("contacts", email="a@example.com")
    body = inputs({"id": record_id}, {"id": "8"}, {"id": "9"}, {"id": record_id}, properties=["email", "undefined"])
    answer = caller.post(f"{CONTACTS}/read", body)
    assert answer.status_code == 207
    assert [set(r["properties"]) for r in answer.json()["results"]] == [
        {"createdate", "email", "hs_object_id", "lastmodifieddate"}
    ]
    assert answer.json()["errors"] == [
        {
            "status": "error",
            "category": "OBJECT_NOT_FOUND",
            "message": "Could not get some CONTACT objects, they may be deleted or not exist. "
            "Check that ids are valid.",
            "context": {"ids": ["8", "9"]},
        }
    ]


def test_batch_read_by_a_unique_property_with_history_and_of_archived_records(caller: Caller) -> None:
    caller.unique("deals")
    record_id = caller.make("deals", sidefeed_key="k1", dealname="D")
    body = inputs({"id": "k1"}, idProperty="sidefeed_key", properties=[], propertiesWithHistory=["dealname"])
    (found,) = caller.post("/crm/v3/objects/deals/batch/read", body).json()["results"]
    assert (found["id"], found["propertiesWithHistory"]["dealname"][0]["value"]) == (record_id, "D")
    caller.request("DELETE", f"/crm/v3/objects/deals/{record_id}")
    archived = caller.post("/crm/v3/objects/deals/batch/read?archived=true", inputs({"id": record_id}))
    assert [r["archived"] for r in archived.json()["results"]] == [True]
    by_name = caller.post("/crm/v3/objects/deals/batch/read", inputs({"id": "D"}, idProperty="dealname"))
    assert by_name.status_code == 400


def test_an_id_given_twice_refuses_an_update(caller: Caller) -> None:
    record_id = caller.make("contacts", email="a@example.com", firstname="A")
    change = {"id": record_id, "properties": {"firstname": "B"}}
    answer = caller.post(f"{CONTACTS}/update", inputs(change, change))
    assert answer.status_code == 400
    assert answer.json()["message"] == f"Duplicate IDs found in batch input: [{record_id}]. IDs must be unique"
    assert answer.json()["context"] == {"ids": [record_id]}
    assert caller.read("contacts", record_id)["firstname"] == "A"


def test_update_answers_207_for_missing_ids_and_writes_the_others(caller: Caller) -> None:
    record_id = caller.make("contacts", email="a@example.com")
    body = inputs({"id": record_id, "properties": {"firstname": "B"}}, {"id": "7", "properties": {"firstname": "C"}})
    answer = caller.post(f"{CONTACTS}/update", body)
    assert answer.status_code == 207
    assert [r["properties"]["firstname"] for r in answer.json()["results"]] == ["B"]
    assert answer.json()["errors"][0]["context"] == {"ids": ["7"]}


def test_without_trace_ids_an_update_is_all_or_nothing(caller: Caller) -> None:
    one, other = caller.make("contacts", email="a@example.com"), caller.make("contacts", email="b@example.com")
    body = inputs(
        {"id": one, "properties": {"firstname": "X"}}, {"id": other, "properties": {"email": "a@example.com"}}
    )
    assert caller.post(f"{CONTACTS}/update", body).status_code == 409
    assert caller.read("contacts", one)["firstname"] is None


def test_ids_that_a_merge_took_away_are_left_out_of_an_update_without_an_error(caller: Caller) -> None:
    one, other = caller.make("companies", name="A"), caller.make("companies", name="B")
    merged = {"primaryObjectId": one, "objectIdToMerge": other}
    survivor = caller.post("/crm/v3/objects/companies/merge", merged).json()["id"]
    body = inputs({"id": other, "properties": {"city": "Bonn"}}, {"id": survivor, "properties": {"city": "Ulm"}})
    answer = caller.post("/crm/v3/objects/companies/batch/update", body)
    assert answer.status_code == 200
    assert [r["id"] for r in answer.json()["results"]] == [survivor]
    caller.server.condition("behaviour", switch="batch_update_omits_merged", value=False)
    answer = caller.post("/crm/v3/objects/companies/batch/update", inputs(body["inputs"][0]))
    assert [r["id"] for r in answer.json()["results"]] == [survivor]


def test_upsert_creates_and_updates_by_a_unique_property(caller: Caller) -> None:
    caller.unique("deals")
    kept = caller.make("deals", sidefeed_key="k1", dealname="Old")
    items = [{"id": key, "idProperty": "sidefeed_key", "properties": {"dealname": key}} for key in ("k1", "k2")]
    answer = caller.post("/crm/v3/objects/deals/batch/upsert", inputs(*items))
    assert answer.status_code == 200
    found = {r["properties"]["sidefeed_key"]: (r["id"], r["new"]) for r in answer.json()["results"]}
    assert found["k1"] == (kept, False)
    assert found["k2"][1] is True
    again = caller.post("/crm/v3/objects/deals/batch/upsert", inputs(*items))
    assert {r["new"] for r in again.json()["results"]} == {False}
    assert total(caller, "deals") == 2


def test_upsert_refuses_other_properties_duplicates_and_half_written_batches(caller: Caller) -> None:
    caller.unique("deals")
    path = "/crm/v3/objects/deals/batch/upsert"
    by_name = caller.post(path, inputs({"id": "D", "idProperty": "dealname", "properties": {}}))
    assert by_name.status_code == 400
    assert by_name.json()["message"] == "Unable to perform update/upsert by non-unique 0-3 property dealname"
    by_id = caller.post(path, inputs({"id": "1", "idProperty": "hs_object_id", "properties": {}}))
    assert by_id.json()["message"] == "Unable to perform update/upsert by non-unique 0-3 property hs_object_id"
    item = {"id": "k1", "idProperty": "sidefeed_key", "properties": {}}
    assert caller.post(path, inputs(item, item)).status_code == 400
    bad = {"id": "k2", "idProperty": "sidefeed_key", "properties": {"nope": "1"}}
    assert caller.post(path, inputs(item, bad)).status_code == 400
    assert total(caller, "deals") == 0
    traced = [{**item, "objectWriteTraceId": "a"}, {**bad, "objectWriteTraceId": "b"}]
    answer = caller.post(path, inputs(*traced))
    assert answer.status_code == 207
    assert [e["context"]["objectWriteTraceId"] for e in answer.json()["errors"]] == [["b"]]
    assert total(caller, "deals") == 1


def test_upsert_by_address_folds_its_case(caller: Caller) -> None:
    record_id = caller.make("contacts", email="ann@example.com")
    item = {"id": "ANN@example.com", "idProperty": "email", "properties": {"firstname": "Ann"}}
    (found,) = caller.post(f"{CONTACTS}/upsert", inputs(item)).json()["results"]
    assert (found["id"], found["new"]) == (record_id, False)


def test_archive_answers_204_whatever_the_ids(caller: Caller) -> None:
    record_id = caller.make("contacts", email="a@example.com")
    answer = caller.post(f"{CONTACTS}/archive", inputs({"id": record_id}, {"id": "5"}, {"id": "x"}))
    assert (answer.status_code, answer.content) == (204, b"")
    assert total(caller) == 0


def test_associations_of_a_create_are_checked_before_anything_is_written(caller: Caller) -> None:
    contact = caller.make("contacts", email="a@example.com")
    types = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 200}]
    wrong = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 199}]

    def meeting(to: str, kinds: list[dict[str, Any]]) -> dict[str, Any]:
        return {"properties": {"hs_timestamp": "1"}, "associations": [{"to": {"id": to}, "types": kinds}]}

    path = "/crm/v3/objects/meetings/batch/create"
    missing = caller.post(path, inputs(meeting(contact, types), meeting("77", types)))
    assert missing.status_code == 400
    assert missing.json()["message"] == "One or more associations are invalid"
    assert missing.json()["context"] == {
        "INVALID_OBJECT_IDS": ["CONTACT=77 is not valid"],
        "objectId": ["77"],
        "objectType": ["CONTACT"],
    }
    direction = caller.post(path, inputs(meeting(contact, wrong)))
    assert direction.status_code == 400
    assert direction.json()["message"] == (
        "invalid from object type 0-47 for associations to be created. expected: 0-1"
    )
    assert total(caller, "meetings") == 0
    assert caller.post(path, inputs(meeting(contact, types))).status_code == 201


def test_where_201_is_usual_200_can_be_practised(caller: Caller) -> None:
    caller.server.condition("created_status", status=200)
    assert caller.post(f"{CONTACTS}/create", inputs(person("a@example.com"))).status_code == 200
    assert caller.post("/crm/v3/objects/contacts", person("b@example.com")).status_code == 200


def test_a_batch_can_be_answered_with_nothing_in_it(caller: Caller) -> None:
    caller.server.faults.add("empty_results", path="*/batch/create")
    answer = caller.post(f"{CONTACTS}/create", inputs(person("a@example.com")))
    assert (answer.status_code, answer.json()["results"], "errors" in answer.json()) == (200, [], False)
    assert total(caller) == 0


def test_a_partial_fault_fails_some_inputs_of_a_batch(caller: Caller) -> None:
    caller.server.faults.add("partial", path="*/batch/create", fail=2)
    body = inputs(*[person(f"p{n}@example.com", f"t{n}") for n in range(5)])
    answer = caller.post(f"{CONTACTS}/create", body)
    assert answer.status_code == 207
    assert [e["context"]["objectWriteTraceId"] for e in answer.json()["errors"]] == [["t0"], ["t1"]]
    assert len(answer.json()["results"]) == 3
    assert total(caller) == 3
