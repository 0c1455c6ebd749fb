"""Associations: type ids by direction, labels, the primary company, batches, maxima, and the v3 verbs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.hubspot import catalogue
from tests.sandbox.hubspot_caller import PRIMARY, Caller, at_noon


@pytest.fixture
def caller() -> Iterator[Caller]:
    with at_noon() as found:
        yield found


@pytest.fixture
def pair(caller: Caller) -> tuple[str, str]:
    """A contact and a company."""
    return caller.make("contacts", email="a@example.com"), caller.make("companies", name="Acme")


def spec(type_id: int, category: str = "HUBSPOT_DEFINED") -> dict[str, Any]:
    return {"associationCategory": category, "associationTypeId": type_id}


def put(caller: Caller, one: tuple[str, str], other: tuple[str, str], *specs: dict[str, Any]) -> Any:
    path = f"/crm/v4/objects/{one[0]}/{one[1]}/associations/{other[0]}/{other[1]}"
    return caller.request("PUT", path, list(specs))


def types(caller: Caller, one: str, record_id: str, other: str) -> dict[int, list[tuple[int, str | None]]]:
    """Type ids and labels by target id."""
    results = caller.get(f"/crm/v4/objects/{one}/{record_id}/associations/{other}").json()["results"]
    return {r["toObjectId"]: [(t["typeId"], t["label"]) for t in r["associationTypes"]] for r in results}


def test_type_ids_agree_with_the_official_client(reference_data: Path) -> None:
    known = json.loads((reference_data / "hubspot" / "association_type_ids.json").read_text())["types"]
    for key, type_id in catalogue.ASSOCIATION_IDS.items():
        name = key.replace(">", "_to_").upper()
        assert known.get(name, type_id) == type_id, name
    for key, (type_id, _) in catalogue.PRIMARY_IDS.items():
        assert known["PRIMARY_" + key.replace(">", "_to_").upper()] == type_id


def test_put_answers_with_numeric_ids_and_labels(caller: Caller, pair: tuple[str, str]) -> None:
    contact, company = pair
    answer = put(caller, ("contacts", contact), ("companies", company), spec(279))
    assert answer.status_code == 201
    assert answer.json() == {
        "fromObjectTypeId": "0-1",
        "fromObjectId": int(contact),
        "toObjectTypeId": "0-2",
        "toObjectId": int(company),
        "labels": [],
    }
    assert put(caller, ("contacts", contact), ("companies", company), *PRIMARY).json()["labels"] == ["Primary"]


def test_a_primary_keeps_the_unlabelled_type_and_shows_from_both_ends(caller: Caller, pair: tuple[str, str]) -> None:
    contact, company = pair
    put(caller, ("contacts", contact), ("companies", company), *PRIMARY)
    assert types(caller, "contacts", contact, "companies") == {int(company): [(1, "Primary"), (279, None)]}
    assert types(caller, "companies", company, "contacts") == {
        int(contact): [(2, "Contact with Primary Company"), (280, None)]
    }


def test_a_record_has_one_primary_company(caller: Caller, pair: tuple[str, str]) -> None:
    contact, first = pair
    second = caller.make("companies", name="Second")
    for company in (first, second):
        put(caller, ("contacts", contact), ("companies", company), *PRIMARY)
    assert types(caller, "contacts", contact, "companies") == {
        int(first): [(279, None)],
        int(second): [(1, "Primary"), (279, None)],
    }
    assert caller.read("contacts", contact, "associatedcompanyid")["associatedcompanyid"] == second


def test_put_replaces_the_labels_of_a_pair(caller: Caller, pair: tuple[str, str]) -> None:
    contact, company = pair
    body = {"label": "Champion", "name": "champion", "inverseLabel": "Champion at"}
    made = caller.post("/crm/v4/associations/contacts/companies/labels", body)
    assert made.status_code == 200
    there, back = (d["typeId"] for d in made.json()["results"])
    put(caller, ("contacts", contact), ("companies", company), *PRIMARY)
    put(caller, ("contacts", contact), ("companies", company), spec(there, "USER_DEFINED"))
    assert types(caller, "contacts", contact, "companies") == {int(company): [(there, "Champion"), (279, None)]}
    assert types(caller, "companies", company, "contacts") == {int(contact): [(back, "Champion at"), (280, None)]}


def test_labels_can_be_listed_renamed_and_removed(caller: Caller, pair: tuple[str, str]) -> None:
    contact, company = pair
    path = "/crm/v4/associations/contacts/companies/labels"
    made = caller.post(path, {"label": "Champion", "name": "champion"}).json()["results"]
    (type_id,) = [d["typeId"] for d in made]
    assert caller.post(path, {"label": "Champion", "name": "champion"}).status_code == 400
    put(caller, ("contacts", contact), ("companies", company), spec(type_id, "USER_DEFINED"))
    renamed = caller.request("PUT", path, {"associationTypeId": type_id, "label": "Sponsor"})
    assert renamed.status_code == 204
    assert {d["label"] for d in caller.get(path).json()["results"]} == {None, "Primary", "Sponsor"}
    assert caller.request("DELETE", f"{path}/{type_id}").status_code == 204
    assert types(caller, "contacts", contact, "companies") == {int(company): [(279, None)]}
    assert caller.request("DELETE", f"{path}/{type_id}").status_code == 404


def test_types_of_another_direction_are_refused(caller: Caller, pair: tuple[str, str]) -> None:
    contact, company = pair
    answer = put(caller, ("contacts", contact), ("companies", company), spec(280))
    assert answer.status_code == 400
    assert answer.json()["message"] == "invalid from object type 0-1 for associations to be created. expected: 0-2"
    unknown = put(caller, ("contacts", contact), ("companies", company), spec(99_999))
    assert unknown.status_code == 400
    assert unknown.json()["message"] == "One or more associations are invalid"
    assert unknown.json()["context"] == {
        "associationSpec": ["HUBSPOT_DEFINED=99999"],
        "INVALID_ASSOCIATION_TYPE_ID": ["HUBSPOT_DEFINED=99999 is not a valid association definition id"],
    }
    assert put(caller, ("contacts", contact), ("companies", company)).status_code == 400
    missing = put(caller, ("contacts", contact), ("companies", "999"), spec(279))
    assert missing.status_code == 400
    assert missing.json()["context"]["INVALID_OBJECT_IDS"] == ["COMPANY=999 is not valid"]
    assert put(caller, ("contacts", "999"), ("companies", company), spec(279)).status_code == 404
    note = caller.make("notes", hs_timestamp="0")
    assert caller.get(f"/crm/v4/objects/notes/{note}/associations/products").status_code == 400


def test_deleting_a_pair_or_its_unlabelled_type_leaves_nothing(caller: Caller, pair: tuple[str, str]) -> None:
    contact, company = pair
    path = f"/crm/v4/objects/contacts/{contact}/associations/companies/{company}"
    put(caller, ("contacts", contact), ("companies", company), *PRIMARY)
    assert caller.request("DELETE", path).status_code == 204
    assert caller.request("DELETE", path).status_code == 204
    assert types(caller, "companies", company, "contacts") == {}
    put(caller, ("contacts", contact), ("companies", company), *PRIMARY)
    ends = {"from": {"id": contact}, "to": {"id": company}}
    archive = "/crm/v4/associations/contacts/companies/batch/labels/archive"
    caller.post(archive, {"inputs": [{**ends, "types": PRIMARY}]})
    assert types(caller, "contacts", contact, "companies") == {int(company): [(279, None)]}
    put(caller, ("contacts", contact), ("companies", company), *PRIMARY)
    caller.post(archive, {"inputs": [{**ends, "types": [spec(279)]}]})
    assert types(caller, "contacts", contact, "companies") == {}


def test_edits_leave_the_modified_time_alone_unless_switched(caller: Caller, pair: tuple[str, str]) -> None:
    contact, company = pair
    before = caller.read("contacts", contact)["lastmodifieddate"]
    caller.server.clock.move(60)
    put(caller, ("contacts", contact), ("companies", company), spec(279))
    assert caller.read("contacts", contact)["lastmodifieddate"] == before
    caller.server.condition("behaviour", switch="associations_touch", value=True)
    put(caller, ("contacts", contact), ("companies", company), *PRIMARY)
    assert caller.read("contacts", contact)["lastmodifieddate"] > before


def test_the_first_company_can_be_made_primary_by_itself(caller: Caller, pair: tuple[str, str]) -> None:
    contact, company = pair
    caller.server.condition("behaviour", switch="first_company_is_primary", value=True)
    caller.request("PUT", f"/crm/v4/objects/contacts/{contact}/associations/default/companies/{company}")
    assert types(caller, "contacts", contact, "companies") == {int(company): [(1, "Primary"), (279, None)]}


def test_associations_of_archived_records_do_not_show(caller: Caller, pair: tuple[str, str]) -> None:
    contact, company = pair
    put(caller, ("contacts", contact), ("companies", company), spec(279))
    caller.request("DELETE", f"/crm/v3/objects/companies/{company}")
    assert types(caller, "contacts", contact, "companies") == {}
    caller.server.call(caller.server.restore_record, "companies", company)
    assert set(types(caller, "contacts", contact, "companies")) == {int(company)}


def test_a_record_is_not_associated_with_itself(caller: Caller, pair: tuple[str, str]) -> None:
    contact = pair[0]
    item = {"from": {"id": contact}, "to": {"id": contact}, "types": [spec(449)]}
    answer = caller.post("/crm/v4/associations/contacts/contacts/batch/create", {"inputs": [item]})
    assert answer.status_code == 207
    assert answer.json()["errors"] == [
        {
            "status": "error",
            "category": "VALIDATION_ERROR",
            "message": f"Object {contact} cannot be associated to itself ({contact})",
        }
    ]


def test_batch_create_names_bad_ids_and_makes_the_others(caller: Caller, pair: tuple[str, str]) -> None:
    contact, company = pair
    good = {"from": {"id": contact}, "to": {"id": int(company)}, "types": PRIMARY}
    bad = [{**good, "to": {"id": given}} for given in ("unknown_id", "999")]
    path = "/crm/v4/associations/contacts/companies/batch/create"
    answer = caller.post(path, {"inputs": [good, *bad]})
    assert answer.status_code == 207
    document = answer.json()
    assert document["results"][0]["labels"] == ["Primary"]
    assert (document["numErrors"], document["errors"][0]) == (
        2,
        {
            "status": "error",
            "category": "VALIDATION_ERROR",
            "subCategory": "crm.associations.INVALID_IDENTIFIER",
            "message": "unknown_id is not a valid ID",
            "context": {"id": ["unknown_id"]},
        },
    )
    assert caller.post(path, {"inputs": [good]}).status_code == 201


def test_batch_read_puts_records_without_associations_among_the_errors(caller: Caller, pair: tuple[str, str]) -> None:
    contact, company = pair
    alone = caller.make("contacts", email="alone@example.com")
    put(caller, ("contacts", contact), ("companies", company), spec(279))
    body = {"inputs": [{"id": contact}, {"id": alone}, {"id": "x"}]}
    answer = caller.post("/crm/v4/associations/contacts/companies/batch/read", body)
    assert answer.status_code == 207
    assert answer.json()["results"] == [
        {
            "from": {"id": contact},
            "to": [
                {
                    "toObjectId": int(company),
                    "associationTypes": [{"category": "HUBSPOT_DEFINED", "typeId": 279, "label": None}],
                }
            ],
        }
    ]
    nothing, invalid = answer.json()["errors"]
    assert nothing["subCategory"] == "crm.associations.NO_ASSOCIATIONS_FOUND"
    assert nothing["message"] == f"No company is associated with contact {alone}."
    assert invalid["subCategory"] == "crm.associations.INVALID_IDENTIFIER"
    full = caller.post("/crm/v4/associations/contacts/companies/batch/read", {"inputs": [{"id": contact}]})
    assert full.status_code == 200


def test_default_associations_singly_and_in_batches(caller: Caller, pair: tuple[str, str]) -> None:
    contact, company = pair
    single = caller.request("PUT", f"/crm/v4/objects/contacts/{contact}/associations/default/companies/{company}")
    assert single.status_code == 200
    assert single.json()["results"][0]["associationSpec"] == spec(279)
    deal = caller.make("deals", dealname="D")
    body = {"inputs": [{"from": {"id": deal}, "to": {"id": contact}}]}
    answer = caller.post("/crm/v4/associations/deals/contacts/batch/associate/default", body)
    assert answer.status_code == 200
    assert {r["associationSpec"]["associationTypeId"] for r in answer.json()["results"]} == {3, 4}


def test_pages_of_associations_follow_each_other(caller: Caller) -> None:
    company = caller.make("companies", name="Acme")
    people = [caller.make("contacts", email=f"p{n}@example.com") for n in range(5)]
    for contact in people:
        put(caller, ("contacts", contact), ("companies", company), spec(279))
    path = f"/crm/v4/objects/companies/{company}/associations/contacts"
    first = caller.get(path, limit=3).json()
    rest = caller.get(path, limit=3, after=first["paging"]["next"]["after"]).json()
    found = [str(r["toObjectId"]) for r in first["results"] + rest["results"]]
    assert found == people
    assert "paging" not in rest


def test_a_record_has_a_maximum_of_associations(caller: Caller, pair: tuple[str, str]) -> None:
    contact, company = pair
    path = "/crm/v4/associations/definitions/configurations"
    limit = {"category": "HUBSPOT_DEFINED", "typeId": 280, "maxToObjectIds": 1}
    made = caller.post(f"{path}/companies/contacts/batch/create", {"inputs": [limit, {**limit, "typeId": 279}]})
    assert made.status_code == 207
    shown = {"category": "HUBSPOT_DEFINED", "typeId": 280, "label": None, "userEnforcedMaxToObjectIds": 1}
    assert made.json()["results"] == [shown]
    assert caller.get(f"{path}/all").json()["results"] == [shown]
    put(caller, ("contacts", contact), ("companies", company), spec(279))
    other = caller.make("contacts", email="b@example.com")
    answer = put(caller, ("contacts", other), ("companies", company), spec(279))
    assert (answer.status_code, answer.json()["category"]) == (400, "VALIDATION_ERROR")
    assert caller.post(f"{path}/companies/contacts/batch/purge", {"inputs": [limit]}).status_code == 204
    assert caller.get(f"{path}/companies/contacts").json() == {"results": []}
    assert put(caller, ("contacts", other), ("companies", company), spec(279)).status_code == 201
    assert caller.post("/crm/v4/associations/usage/high-usage-report/1", {}).status_code == 501


def test_custom_objects_get_types_of_their_own(caller: Caller) -> None:
    caller.server.call(caller.server.load_schema, {"objects": {"boats": {"singular": "boat", "primary": "name"}}})
    boat = caller.make("boats", name="Ada")
    deal = caller.make("deals", dealname="D")
    (definition,) = caller.get("/crm/v4/associations/boats/deals/labels").json()["results"]
    assert definition["category"] == "USER_DEFINED"
    put(caller, ("boats", boat), ("deals", deal), spec(definition["typeId"], "USER_DEFINED"))
    assert list(types(caller, "deals", deal, "boats")) == [int(boat)]
    shown = caller.get(f"/crm/v3/objects/deals/{deal}", associations="boats").json()["associations"]
    assert shown["boats"]["results"] == [{"id": boat, "type": "deal_to_boat"}]


def test_the_v3_verbs_go_by_name(caller: Caller, pair: tuple[str, str]) -> None:
    contact, company = pair
    item = {"from": {"id": contact}, "to": {"id": company}, "type": "contact_to_company"}
    path = "/crm/v3/associations/contacts/companies"
    made = caller.post(f"{path}/batch/create", {"inputs": [item]})
    assert (made.status_code, made.json()["results"]) == (201, [item])
    read = caller.post(f"{path}/batch/read", {"inputs": [{"id": contact}]}).json()["results"]
    assert [t["type"] for t in read[0]["to"]] == ["contact_to_company", "contact_to_company_unlabeled"]
    single = caller.get(f"/crm/v3/objects/contacts/{contact}/associations/companies").json()["results"]
    assert single[0] == {"id": company, "type": "contact_to_company"}
    assert {"id": "279", "name": "contact_to_company_unlabeled"} in caller.get(f"{path}/types").json()["results"]
    wrong = caller.post(f"{path}/batch/create", {"inputs": [{**item, "type": "employs"}]})
    assert wrong.status_code == 207
    assert caller.post(f"{path}/batch/archive", {"inputs": [item]}).status_code == 204
    remaining = caller.get(f"/crm/v3/objects/contacts/{contact}/associations/companies").json()["results"]
    assert remaining == [{"id": company, "type": "contact_to_company_unlabeled"}]


def test_the_date_versions_have_the_v4_shapes(caller: Caller, pair: tuple[str, str]) -> None:
    contact, company = pair
    path = f"/crm/objects/2026-03/contacts/{contact}/associations/companies"
    assert caller.request("PUT", f"{path}/{company}", PRIMARY).status_code == 201
    assert caller.get(path).json()["results"][0]["toObjectId"] == int(company)
    body = {"inputs": [{"id": contact}]}
    answer = caller.post("/crm/associations/2026-09/contacts/companies/batch/read", body)
    assert answer.json()["results"][0]["to"][0]["associationTypes"][0]["label"] == "Primary"


def test_date_versions_leave_the_category_out(caller: Caller) -> None:
    contact, company = caller.make("contacts", email="d@example.com"), caller.make("companies", name="D")
    pair = {"from": {"id": contact}, "to": {"id": company}, "types": [{"associationTypeId": 279}]}
    dated, old = ("/crm/associations/2026-03/contacts/companies", "/crm/v4/associations/contacts/companies")
    assert caller.post(f"{dated}/batch/create", {"inputs": [pair]}).status_code == 201
    assert caller.post(f"{old}/batch/create", {"inputs": [pair]}).status_code == 400
    link = {"to": {"id": company}, "types": [{"associationTypeId": 341}]}
    made = caller.post("/crm/objects/2026-03/deals", {"properties": {"dealname": "D"}, "associations": [link]})
    assert made.status_code == 201
    shown = caller.get(f"/crm/v4/objects/deals/{made.json()['id']}/associations/companies").json()["results"]
    assert [one["toObjectId"] for one in shown] == [int(company)]
