"""Custom objects made over HTTP, what only HubSpot has, and who calls."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hubspot import HubSpot

from .hubspot_caller import Caller, portal

SCHEMAS = "/crm-object-schemas/v3/schemas"
CAR: dict[str, Any] = {
    "name": "car",
    "labels": {"singular": "Car", "plural": "Cars"},
    "primaryDisplayProperty": "vin",
    "requiredProperties": ["vin"],
    "searchableProperties": ["vin"],
    "properties": [{"name": "vin", "label": "VIN", "type": "string", "fieldType": "text", "hasUniqueValue": True}],
    "associatedObjects": ["CONTACT"],
}


@pytest.fixture
def caller() -> Iterator[Caller]:
    with portal() as found:
        yield found


def test_a_custom_object_is_made_used_and_removed(caller: Caller) -> None:
    made = caller.post(SCHEMAS, CAR)
    assert made.status_code == 201
    schema = made.json()
    assert (schema["name"], schema["fullyQualifiedName"]) == ("car", f"p{caller.server.portal.id}_car")
    assert schema["associations"][0]["toObjectTypeId"] == "0-1"
    assert {p["name"] for p in schema["properties"]} >= {"vin", "hs_object_id"}
    for spelling in ("car", schema["objectTypeId"], schema["fullyQualifiedName"]):
        assert caller.get(f"{SCHEMAS}/{spelling}").json()["labels"] == CAR["labels"]
    assert caller.post("/crm/v3/objects/car", {"properties": {}}).status_code == 400
    car = caller.make(schema["objectTypeId"], vin="V1")
    contact = caller.make("contacts", email="a@example.com")
    linked = caller.request("PUT", f"/crm/v4/objects/car/{car}/associations/default/contacts/{contact}")
    assert linked.status_code == 200
    changed = caller.request("PATCH", f"{SCHEMAS}/car", {"labels": {"singular": "Auto"}, "requiredProperties": []})
    assert changed.json()["labels"] == {"singular": "Auto", "plural": "Cars"}
    caller.make("car")
    refused = caller.request("DELETE", f"{SCHEMAS}/car")
    assert (refused.status_code, refused.json()["category"]) == (400, "VALIDATION_ERROR")
    for one in caller.get("/crm/v3/objects/car").json()["results"]:
        caller.request("DELETE", f"/crm/v3/objects/car/{one['id']}")
    assert caller.request("DELETE", f"{SCHEMAS}/car").status_code == 204
    assert caller.get("/crm/v3/objects/car").json()["message"] == "Unable to infer object type from: car"
    assert caller.get(SCHEMAS).json()["results"] == []
    assert caller.get(f"/crm/v4/objects/contacts/{contact}/associations/companies").json()["results"] == []


@pytest.mark.parametrize(
    ("change", "status", "text"),
    [
        ({"name": "1car"}, 400, "The name '1car' is invalid"),
        ({"name": "contacts"}, 409, "already exists"),
        ({"requiredProperties": ["nope"]}, 400, "'nope' is not among the properties"),
        ({"properties": None}, 400, "Some required fields were not set: [properties]"),
        ({"properties": [{"name": "vin", "label": "V", "type": "x", "fieldType": "text"}]}, 400, "PropertyType"),
    ],
)
def test_a_wrong_definition_makes_nothing(caller: Caller, change: dict[str, Any], status: int, text: str) -> None:
    refused = caller.post(SCHEMAS, {**CAR, **change})
    assert (refused.status_code, text in refused.json()["message"]) == (status, True), refused.text
    assert caller.get(SCHEMAS).json()["results"] == []
    assert caller.post(SCHEMAS, CAR).status_code == 201


def test_associations_between_types_are_declared_and_taken_back(caller: Caller) -> None:
    caller.post(SCHEMAS, CAR)
    body = {"fromObjectTypeId": "car", "toObjectTypeId": "0-2", "name": "car_to_company"}
    made = caller.post(f"{SCHEMAS}/car/associations", body)
    assert (made.status_code, made.json()["toObjectTypeId"]) == (201, "0-2")
    gone = f"{SCHEMAS}/car/associations/{made.json()['id']}"
    assert caller.request("DELETE", gone).status_code == 204
    assert caller.request("DELETE", gone).status_code == 404
    assert caller.request("PATCH", f"{SCHEMAS}/contacts", {}).status_code == 400


def test_snapshots_hold_custom_objects(caller: Caller) -> None:
    caller.server.save_snapshot()
    caller.post(SCHEMAS, CAR)
    caller.server.restore_snapshot()
    assert caller.get("/crm/v3/objects/car").status_code == 400
    assert caller.post(SCHEMAS, CAR).status_code == 201


def test_the_sdk_makes_a_custom_object(caller: Caller) -> None:
    client = HubSpot(access_token=caller.token, host=caller.server.url)
    made = client.crm.schemas.core_api.create(CAR)
    assert client.crm.objects.basic_api.create(made.object_type_id, {"properties": {"vin": "1"}}).id
    assert [one.name for one in client.crm.schemas.core_api.get_all().results] == ["car"]


@pytest.mark.parametrize(
    "path",
    [
        "/contacts/v1/lists/all/contacts/all", "/deals/v1/deal/paged", "/engagements/v1/engagements/paged",
        "/properties/v1/contacts/properties", "/owners/v2/owners", "/integrators/timeline/v3/events",
        "/crm/v3/objects/orders", "/crm/v3/objects/0-136", "/crm/v3/properties/leads",
    ],
)  # fmt: skip
def test_what_only_hubspot_has_is_said_to_be_missing(caller: Caller, path: str) -> None:
    answer = caller.get(path)
    assert (answer.status_code, answer.json()["category"]) == (501, "NOT_IMPLEMENTED")


def test_who_calls_is_told(caller: Caller) -> None:
    me = caller.get("/integrations/v1/me").json()
    details = caller.get("/account-info/v3/details").json()
    assert me == {**details, "appId": 19_083_857}
    token = caller.http.post("/oauth/v2/private-apps/get/access-token-info", json={"tokenKey": caller.token}).json()
    assert (token["hubId"], token["appId"]) == (details["portalId"], me["appId"])
    unknown = caller.http.post("/oauth/v2/private-apps/get/access-token-info", json={"tokenKey": "x"})
    assert unknown.status_code == 404


def test_the_developers_key_opens_the_apps_webhooks_only(caller: Caller) -> None:
    key = caller.server.developer_key
    path = f"/webhooks/v3/{caller.server.app.app_id}/subscriptions"
    assert caller.http.get(path).status_code == 401
    assert caller.http.get(path, params={"hapikey": key}).json() == {"results": []}
    assert caller.http.get("/crm/v3/objects/contacts", params={"hapikey": key}).status_code == 401
    client = HubSpot(api_key=key, host=caller.server.url)
    made = client.webhooks.subscriptions_api.create(
        caller.server.app.app_id, {"eventType": "contact.creation", "active": True}
    )
    assert made.event_type == "contact.creation"
