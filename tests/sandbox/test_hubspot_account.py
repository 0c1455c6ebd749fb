"""Properties, pipelines, owners, splits, tokens, scopes, OAuth, limits, account details, custom objects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.sandbox.hubspot_caller import Caller, at_noon, portal


@pytest.fixture
def caller() -> Iterator[Caller]:
    with at_noon() as found:
        yield found


# --- properties --------------------------------------------------------------------------------------------------

COLOUR = {
    "name": "colour",
    "label": "Colour",
    "type": "enumeration",
    "fieldType": "select",
    "groupName": "dealinformation",
    "options": [{"label": "Red", "value": "red", "displayOrder": 0, "hidden": False}],
}


def test_a_property_is_made_changed_and_archived(caller: Caller) -> None:
    path = "/crm/v3/properties/deals"
    made = caller.post(path, COLOUR)
    assert made.status_code == 201
    definition = made.json()
    assert (definition["hubspotDefined"], definition["hasUniqueValue"], definition["calculated"]) == (
        False,
        False,
        False,
    )
    assert definition["modificationMetadata"] == {
        "archivable": True,
        "readOnlyDefinition": False,
        "readOnlyOptions": False,
        "readOnlyValue": False,
    }
    again = caller.post(path, COLOUR)
    assert again.status_code == 409
    assert again.json()["subCategory"] == "Properties.PROPERTY_WITH_NAME_EXISTS"
    assert again.json()["message"] == "A property named 'colour' already exists."
    options = [*COLOUR["options"], {"label": "Blue", "value": "blue"}]
    changed = caller.request("PATCH", f"{path}/colour", {"label": "Colour!", "options": options}).json()
    assert (changed["label"], [o["value"] for o in changed["options"]]) == ("Colour!", ["red", "blue"])
    record_id = caller.make("deals", colour="blue")
    assert caller.request("DELETE", f"{path}/colour").status_code == 204
    assert caller.get(f"{path}/colour").status_code == 404
    assert "colour" not in caller.read("deals", record_id, "colour")
    assert caller.post("/crm/v3/objects/deals", {"properties": {"colour": "red"}}).status_code == 400
    archived = caller.get(path, archived="true").json()["results"]
    assert [(p["name"], p["archived"]) for p in archived] == [("colour", True)]


@pytest.mark.parametrize(
    "change",
    [
        {"name": "Bad Name"},
        {"type": "text"},
        {"fieldType": "dropdown"},
        {"groupName": "nowhere"},
        {"options": "red"},
        {"options": [{"label": "Red"}]},
        {"options": []},
        {"label": ""},
        {"displayOrder": "first"},
        {"hasUniqueValue": True},
    ],
)
def test_bad_definitions_are_refused(caller: Caller, change: dict[str, Any]) -> None:
    answer = caller.post("/crm/v3/properties/deals", {**COLOUR, **change})
    assert (answer.status_code, answer.json()["category"]) == (400, "VALIDATION_ERROR")


def test_hubspots_own_definitions_stay(caller: Caller) -> None:
    path = "/crm/v3/properties/deals/amount"
    assert caller.request("DELETE", path).status_code == 400
    assert caller.request("PATCH", path, {"type": "string"}).status_code == 400
    definition = caller.get(path).json()
    assert definition["hubspotDefined"] is True
    assert definition["modificationMetadata"]["readOnlyDefinition"] is True
    owner = caller.get("/crm/v3/properties/deals/hubspot_owner_id").json()
    assert (owner["referencedObjectType"], owner["externalOptions"], owner["options"]) == ("OWNER", True, [])


def test_a_type_has_ten_unique_properties_at_most(caller: Caller) -> None:
    for n in range(10):
        caller.unique("deals", f"key{n}")
    body = {"name": "key10", "label": "k", "type": "string", "fieldType": "text", "groupName": "dealinformation"}
    assert caller.post("/crm/v3/properties/deals", {**body, "hasUniqueValue": True}).status_code == 400
    assert caller.post("/crm/v3/properties/deals", body).status_code == 201


def test_properties_in_batches_and_groups(caller: Caller) -> None:
    path = "/crm/v3/properties/deals"
    made = caller.post(f"{path}/batch/create", {"inputs": [COLOUR, {**COLOUR, "name": "amount"}]})
    assert made.status_code == 207
    assert [r["name"] for r in made.json()["results"]] == ["colour"]
    assert made.json()["errors"][0]["category"] == "OBJECT_ALREADY_EXISTS"
    read = caller.post(f"{path}/batch/read", {"archived": False, "inputs": [{"name": "colour"}, {"name": "nope"}]})
    assert (read.status_code, read.json()["numErrors"]) == (207, 1)
    assert caller.post(f"{path}/batch/archive", {"inputs": [{"name": "colour"}]}).status_code == 204
    group = {"name": "sync", "label": "Sync", "displayOrder": 1}
    assert caller.post(f"{path}/groups", group).json() == {**group, "archived": False}
    assert caller.post(f"{path}/groups", group).status_code == 409
    assert caller.request("PATCH", f"{path}/groups/sync", {"label": "Sync!"}).json()["label"] == "Sync!"
    assert caller.request("DELETE", f"{path}/groups/dealinformation").status_code == 400
    assert caller.request("DELETE", f"{path}/groups/sync").status_code == 204
    assert caller.get(f"{path}/groups/sync").status_code == 404


# --- pipelines, owners, splits, account --------------------------------------------------------------------------


def test_the_default_deal_pipeline_has_text_metadata(caller: Caller) -> None:
    (pipeline,) = caller.get("/crm/v3/pipelines/deals").json()["results"]
    assert [(s["id"], s["metadata"]) for s in pipeline["stages"]] == [
        (stage, {"isClosed": closed, "probability": probability})
        for stage, probability, closed in (
            ("appointmentscheduled", "0.2", "false"),
            ("qualifiedtobuy", "0.4", "false"),
            ("presentationscheduled", "0.6", "false"),
            ("decisionmakerboughtin", "0.8", "false"),
            ("contractsent", "0.9", "false"),
            ("closedwon", "1.0", "true"),
            ("closedlost", "0.0", "true"),
        )
    ]
    (lifecycle,) = caller.get("/crm/pipelines/2026-09/contacts").json()["results"]
    assert set(lifecycle["stages"][0]["metadata"]) == {"isClosed", "state"}


def test_a_stage_in_use_cannot_be_deleted(caller: Caller) -> None:
    record_id = caller.make("deals", dealstage="contractsent")
    path = "/crm/v3/pipelines/deals/default/stages/contractsent"
    answer = caller.request("DELETE", path)
    assert answer.status_code == 400
    assert answer.json()["subCategory"] == "PipelineError.STAGE_ID_IN_USE"
    assert answer.json()["context"] == {"stageId": ["contractsent"], "objectIds": [record_id]}
    whole = caller.request("DELETE", "/crm/v3/pipelines/deals/default?validateReferencesBeforeDelete=true")
    assert whole.json()["subCategory"] == "PipelineError.STAGE_ID_IN_USE"
    caller.request("DELETE", f"/crm/v3/objects/deals/{record_id}")
    assert caller.request("DELETE", path).status_code == 204
    assert caller.request("DELETE", path).status_code == 404


def test_pipelines_and_stages_are_made_changed_and_audited(caller: Caller) -> None:
    stages = [{"label": "Open", "displayOrder": 0, "metadata": {"probability": "0.1"}}]
    made = caller.post("/crm/v3/pipelines/deals", {"label": "Partners", "displayOrder": 1, "stages": stages})
    assert made.status_code == 201
    path = f"/crm/v3/pipelines/deals/{made.json()['id']}"
    stage = {"label": "Won", "displayOrder": 1, "metadata": {"probability": "1.0"}}
    added = caller.post(f"{path}/stages", stage).json()
    assert added["metadata"] == {"isClosed": "true", "probability": "1.0"}
    one = f"{path}/stages/{added['id']}"
    assert caller.request("PATCH", one, {"label": "Signed"}).json()["label"] == "Signed"
    assert caller.request("PUT", one, {**stage, "displayOrder": 2}).json()["displayOrder"] == 2
    assert caller.request("PATCH", path, {"label": "Resellers"}).json()["label"] == "Resellers"
    assert [s["label"] for s in caller.get(f"{path}/stages").json()["results"]] == ["Open", "Won"]
    replaced = caller.request("PUT", path, {"label": "New", "displayOrder": 0, "stages": stages}).json()
    assert [s["label"] for s in replaced["stages"]] == ["Open"]
    audit = caller.get(f"{path}/audit").json()["results"]
    assert {entry["portalId"] for entry in audit} == {caller.server.portal.id}
    assert [entry["action"] for entry in audit] == [
        "UPDATE",
        "UPDATE",
        "CREATE",
    ]
    for bad in ({"probability": "2"}, {"probability": "x"}, {}):
        assert caller.post(f"{path}/stages", {**stage, "metadata": bad}).status_code == 400
    assert caller.request("DELETE", path).status_code == 204
    assert caller.get(path).status_code == 404
    assert caller.get("/crm/v3/pipelines/notes").json() == {"results": []}


def test_owner_ids_are_not_user_ids_and_archived_owners_are_apart(caller: Caller) -> None:
    server = caller.server
    owner = server.call(lambda: server.add_owner("rep@example.com", "Rae", "Rep", team="West"))
    gone = server.call(lambda: server.add_owner("gone@example.com", archived=True))
    (shown,) = caller.get("/crm/v3/owners/").json()["results"]
    assert shown == {
        "id": owner,
        "email": "rep@example.com",
        "type": "PERSON",
        "firstName": "Rae",
        "lastName": "Rep",
        "userId": shown["userIdIncludingInactive"],
        "userIdIncludingInactive": shown["userIdIncludingInactive"],
        "createdAt": "2026-11-02T12:00:00.120Z",
        "updatedAt": "2026-11-02T12:00:00.120Z",
        "archived": False,
        "teams": [{"id": "100", "name": "West", "primary": True}],
    }
    assert str(shown["userId"]) != owner
    (archived,) = caller.get("/crm/v3/owners", archived="true").json()["results"]
    assert (archived["id"], archived["userId"]) == (gone, None)
    assert caller.get(f"/crm/v3/owners/{shown['userId']}", idProperty="userId").json()["id"] == owner
    assert caller.get("/crm/v3/owners", email="nobody@example.com").json() == {"results": []}
    assert caller.get(f"/crm/v3/owners/{gone}").status_code == 404
    assert caller.make("deals", hubspot_owner_id=owner)


def test_owners_come_in_pages_of_a_hundred(caller: Caller) -> None:
    for n in range(130):
        caller.server.add_owner(f"o{n}@example.com")
    first = caller.get("/crm/owners/2026-03").json()
    rest = caller.get("/crm/owners/2026-03", after=first["paging"]["next"]["after"]).json()
    assert (len(first["results"]), len(rest["results"])) == (100, 30)
    assert "paging" not in rest


def test_splits_of_a_deal_are_kept_as_text_and_flag_it(caller: Caller) -> None:
    one, other = (caller.server.call(caller.server.add_owner, f"{name}@example.com") for name in "ab")
    deal = caller.make("deals", amount="900")
    path = "/crm/v3/objects/deals/splits/batch"
    shares = [{"ownerId": int(one), "percentage": "0.3333"}, {"ownerId": int(other), "percentage": "0.6666"}]
    made = caller.post(f"{path}/upsert", {"inputs": [{"id": deal, "splits": shares}]})
    assert made.status_code == 200
    read = caller.post(f"{path}/read", {"inputs": [{"id": deal}, {"id": "9"}]})
    assert read.status_code == 207
    splits = read.json()["results"][0]["splits"]
    assert [(s["properties"]["hubspot_owner_id"], s["properties"]["hs_deal_split_percentage"]) for s in splits] == [
        (one, "0.3333"),
        (other, "0.6666"),
    ]
    assert caller.read("deals", deal, "hs_is_deal_split")["hs_is_deal_split"] == "true"
    wrong = caller.post(f"{path}/upsert", {"inputs": [{"id": deal, "splits": shares[:1]}]})
    assert (wrong.status_code, wrong.json()["errors"][0]["category"]) == (207, "VALIDATION_ERROR")


def test_account_details_tell_the_zone_that_decides_the_daily_reset(caller: Caller) -> None:
    details = caller.get("/account-info/v3/details").json()
    assert details["portalId"] == caller.server.portal.id
    assert (details["timeZone"], details["utcOffset"]) == ("US/Eastern", "-05:00")
    assert (details["companyCurrency"], details["dataHostingLocation"]) == ("USD", "na1")
    usage = caller.get("/account-info/2026-03/api-usage/daily/private-apps").json()["results"][0]
    assert usage["currentUsage"] == 2


def test_amounts_in_other_currencies_are_brought_home(caller: Caller) -> None:
    caller.server.call(caller.server.load_schema, {"currencies": {"EUR": "1.25"}})
    record_id = caller.make("deals", amount="100", deal_currency_code="EUR")
    assert caller.read("deals", record_id, "amount_in_home_currency")["amount_in_home_currency"] == "125"


def test_a_schema_declares_objects_properties_pipelines_and_required_fields(caller: Caller) -> None:
    schema = {
        "objects": {
            "boats": {
                "singular": "boat",
                "primary": "hull",
                "required": ["hull"],
                "properties": [{"name": "hull", "hasUniqueValue": True}, {"name": "built", "type": "date"}],
            }
        },
        "properties": {"deals": [{"name": "sidefeed_key", "hasUniqueValue": True}]},
        "pipelines": {"boats": [{"label": "Yard", "displayOrder": 0, "stages": []}]},
        "labels": [{"from": "contacts", "to": "deals", "label": "Decision maker"}],
        "required_on_create": {"deals": ["dealname"]},
    }
    caller.server.call(caller.server.load_schema, schema)
    boat = caller.make("boats", hull="H1", built="2020-05-01")
    type_id = caller.server.portal.store.of("boats").type.id
    for spelling in ("boats", "boat", type_id, f"p{caller.server.portal.id}_boats"):
        assert caller.get(f"/crm/v3/objects/{spelling}/H1", idProperty="hull").json()["id"] == boat
    assert caller.post("/crm/v3/objects/boats", {"properties": {}}).status_code == 400
    (described,) = caller.get("/crm-object-schemas/v3/schemas").json()["results"]
    assert (described["objectTypeId"], described["primaryDisplayProperty"]) == (type_id, "hull")
    assert caller.get("/crm/v3/pipelines/boats").json()["results"][0]["label"] == "Yard"
    labels = caller.get("/crm/v4/associations/contacts/deals/labels").json()["results"]
    assert "Decision maker" in {d["label"] for d in labels}


def test_a_wrong_schema_says_where(caller: Caller) -> None:
    with pytest.raises(ValueError, match=r"properties.deals\[0\]: .*enumeration"):
        caller.server.load_schema({"properties": {"deals": [{"name": "x", "type": "enumeration"}]}})
    with pytest.raises(ValueError, match="unknown entries"):
        caller.server.load_schema({"fields": {}})


# --- tokens, scopes, OAuth ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("header", ["", "Bearer nonsense", "Basic YTpi", "Bearer"])
def test_without_a_known_token_nothing_is_told(caller: Caller, header: str) -> None:
    answer = caller.http.get("/crm/v3/objects/contacts", headers={"Authorization": header} if header else {})
    assert answer.status_code == 401
    assert answer.json()["category"] == "INVALID_AUTHENTICATION"
    assert answer.json()["message"].startswith("Authentication credentials not found. This API supports OAuth 2.0")


def test_a_missing_scope_is_named(caller: Caller) -> None:
    caller.token = caller.server.call(caller.server.token, ["crm.objects.contacts.read"])
    assert caller.get("/crm/v3/objects/contacts").status_code == 200
    assert caller.get("/crm/v3/properties/contacts").status_code == 200
    for method, path, scope in (
        ("POST", "/crm/v3/objects/contacts", "crm.objects.contacts.write"),
        ("GET", "/crm/v3/objects/deals", "crm.objects.deals.read"),
        ("GET", "/crm/v3/owners", "crm.objects.owners.read"),
        ("POST", "/crm/v3/properties/contacts", "crm.schemas.contacts.write"),
        ("POST", "/crm/v4/associations/contacts/deals/batch/read", "crm.objects.deals.read"),
    ):
        answer = caller.request(method, path, {})
        assert answer.status_code == 403
        body = answer.json()
        assert (body["category"], body["message"]) == (
            "MISSING_SCOPES",
            "One or more of the following scopes are required.",
        )
        assert body["context"]["requiredGranularScopes"] == [scope]
        assert body["errors"][0]["context"]["requiredGranularScopes"] == [scope]


def grant(caller: Caller, **form: str) -> Any:
    app = caller.server.app
    data = {"client_id": app.client_id, "client_secret": app.client_secret, **form}
    return caller.http.post("/oauth/v1/token", data=data)


def installed(caller: Caller) -> Any:
    link = {"client_id": caller.server.app.client_id, "redirect_uri": "http://localhost/back?x=1",
            "scope": "crm.objects.contacts.read", "state": "s"}  # fmt: skip
    sent = caller.http.get("/oauth/authorize", params=link)
    assert sent.status_code == 302, sent.text
    back = httpx.URL(sent.headers["Location"])
    assert (back.path, back.params["x"], back.params["state"]) == ("/back", "1", "s")
    form = {"code": back.params["code"], "redirect_uri": link["redirect_uri"]}
    return grant(caller, grant_type="authorization_code", **form)


@pytest.mark.parametrize("lacking", ["client_id", "redirect_uri", "scope"])
def test_a_link_to_the_install_page_that_lacks_something_sends_nobody_back(caller: Caller, lacking: str) -> None:
    link = {"client_id": caller.server.app.client_id, "redirect_uri": "http://localhost/back", "scope": "oauth"}
    sent = caller.http.get("/oauth/authorize", params={**link, lacking: ""})
    assert (sent.status_code, lacking in sent.text) == (400, True)
    odd = caller.http.get("/oauth/authorize", params={**link, "redirect_uri": "https://a.example/\r\nX-Other: y"})
    assert (odd.status_code, odd.headers.get("X-Other")) == (400, None)


def test_oauth_tokens_expire_after_half_an_hour_and_are_refreshed(caller: Caller) -> None:
    tokens = installed(caller).json()
    assert (tokens["token_type"], tokens["expires_in"]) == ("bearer", 1800)
    caller.token = tokens["access_token"]
    answer = caller.get("/crm/v3/objects/contacts")
    assert answer.status_code == 200
    assert "X-HubSpot-RateLimit-Daily" not in answer.headers
    assert answer.headers["X-HubSpot-RateLimit-Max"] == "110"
    about = caller.get(f"/oauth/v1/access-tokens/{caller.token}").json()
    assert (about["hub_id"], about["scopes"]) == (caller.server.portal.id, ["crm.objects.contacts.read"])
    caller.server.clock.move(1801)
    expired = caller.get("/crm/v3/objects/contacts")
    assert (expired.status_code, expired.json()["category"]) == (401, "EXPIRED_AUTHENTICATION")
    refreshed = grant(caller, grant_type="refresh_token", refresh_token=tokens["refresh_token"]).json()
    assert refreshed["refresh_token"] == tokens["refresh_token"]
    caller.token = refreshed["access_token"]
    assert caller.get("/crm/v3/objects/contacts").status_code == 200


def test_oauth_refuses_in_its_own_shape(caller: Caller) -> None:
    cases = {
        "BAD_REFRESH_TOKEN": {"grant_type": "refresh_token", "refresh_token": "x"},
        "BAD_AUTH_CODE": {"grant_type": "authorization_code", "code": "x"},
        "BAD_CLIENT_SECRET": {"grant_type": "refresh_token", "client_secret": "x"},
        "BAD_CLIENT_ID": {"grant_type": "refresh_token", "client_id": "x"},
        "BAD_GRANT_TYPE": {"grant_type": "password"},
    }
    for status, form in cases.items():
        answer = grant(caller, **form)
        assert (answer.status_code, answer.json()["status"]) == (400, status)
    tokens = installed(caller).json()
    assert caller.http.delete(f"/oauth/v1/refresh-tokens/{tokens['refresh_token']}").status_code == 204
    assert grant(caller, grant_type="refresh_token", refresh_token=tokens["refresh_token"]).status_code == 400


# --- limits ------------------------------------------------------------------------------------------------------


def test_answers_carry_the_rate_headers_and_search_only_the_daily_ones(caller: Caller) -> None:
    headers = caller.get("/crm/v3/objects/contacts").headers
    assert headers["X-HubSpot-RateLimit-Max"] == "190"
    assert headers["X-HubSpot-RateLimit-Interval-Milliseconds"] == "10000"
    assert headers["X-HubSpot-RateLimit-Remaining"] == "189"
    assert (headers["X-HubSpot-RateLimit-Daily"], headers["X-HubSpot-RateLimit-Daily-Remaining"]) == (
        "650000",
        "649999",
    )
    found = caller.post("/crm/v3/objects/contacts/search", {}).headers
    assert found["X-HubSpot-RateLimit-Daily-Remaining"] == "649998"
    assert "X-HubSpot-RateLimit-Max" not in found


def test_the_general_limit_rolls_over_ten_seconds() -> None:
    with at_noon(limits="starter") as caller:
        for _ in range(100):
            assert caller.get("/crm/v3/owners").status_code == 200
        refused = caller.get("/crm/v3/owners")
        assert refused.status_code == 429
        body = refused.json()
        assert body.pop("correlationId")
        assert body == {
            "status": "error",
            "message": "You have reached your ten_secondly_rolling limit.",
            "errorType": "RATE_LIMIT",
            "policyName": "TEN_SECONDLY_ROLLING",
        }
        assert refused.headers["X-HubSpot-RateLimit-Remaining"] == "0"
        assert "Retry-After" not in refused.headers
        assert caller.post("/crm/v3/objects/contacts/search", {}).status_code == 200
        caller.server.clock.move(10)
        assert caller.get("/crm/v3/owners").status_code == 200


def test_search_has_a_limit_of_its_own_and_another_429() -> None:
    with at_noon(limits="professional") as caller:
        for _ in range(5):
            assert caller.post("/crm/v3/objects/contacts/search", {}).status_code == 200
        refused = caller.post("/crm/v3/objects/deals/search", {})
        assert refused.status_code == 429
        body = refused.json()
        assert body.pop("correlationId")
        assert body == {
            "status": "error",
            "message": "You have reached your secondly limit.",
            "category": "RATE_LIMITS",
        }
        assert "Retry-After" not in refused.headers
        assert "X-HubSpot-RateLimit-Max" not in refused.headers
        assert "X-HubSpot-RateLimit-Daily" in refused.headers
        assert caller.get("/crm/v3/objects/contacts").status_code == 200
        caller.server.clock.move(1)
        assert caller.post("/crm/v3/objects/contacts/search", {}).status_code == 200


def test_the_day_ends_at_midnight_of_the_portal(caller: Caller) -> None:
    caller.server.condition("daily_quota", remaining=1)
    assert caller.get("/crm/v3/owners").status_code == 200
    refused = caller.get("/crm/v3/owners")
    assert refused.status_code == 429
    assert (refused.json()["policyName"], refused.json()["message"]) == ("DAILY", "You have reached your daily limit.")
    caller.server.clock.fix("2026-11-03T04:59:00Z")
    assert caller.get("/crm/v3/owners").status_code == 429
    caller.server.clock.fix("2026-11-03T05:00:00Z")
    assert caller.get("/crm/v3/owners").status_code == 200


def test_without_enforced_windows_only_the_day_counts() -> None:
    with portal() as caller:
        assert {caller.get("/crm/v3/owners").status_code for _ in range(250)} == {200}
