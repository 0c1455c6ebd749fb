"""One record at a time, and lists: shapes, values, conflicts, merges, the recycle bin."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.sandbox.hubspot_caller import NOON, PRIMARY, Caller, at_noon, portal


@pytest.fixture
def caller() -> Iterator[Caller]:
    with at_noon() as found:
        yield found


def embedded(answer: Any) -> list[dict[str, Any]]:
    """The JSON inside the message of a 400 about property values."""
    text = answer.json()["message"]
    prefix = "Property values were not valid: "
    assert text.startswith(prefix)
    found: list[dict[str, Any]] = json.loads(text.removeprefix(prefix))
    return found


# --- shapes ------------------------------------------------------------------------------------------------------


def test_a_record_has_text_values_and_three_times(caller: Caller) -> None:
    made = caller.post("/crm/v3/objects/contacts", {"properties": {"email": "ann@example.com"}})
    assert made.status_code == 201
    assert made.headers["content-type"] == "application/json;charset=utf-8"
    record_id = made.json()["id"]
    assert made.headers["location"] == f"{caller.server.url}/crm/v3/objects/contacts/{record_id}"
    assert caller.get(f"/crm/v3/objects/contacts/{record_id}", properties="email,phone").json() == {
        "id": record_id,
        "properties": {
            "createdate": NOON,
            "email": "ann@example.com",
            "hs_object_id": record_id,
            "lastmodifieddate": NOON,
            "phone": None,
        },
        "createdAt": NOON,
        "updatedAt": NOON,
        "archived": False,
        "url": f"https://app.hubspot.com/contacts/{caller.server.portal.id}/record/0-1/{record_id}",
    }


def test_an_undefined_property_is_left_out_without_an_error(caller: Caller) -> None:
    record_id = caller.make("deals", dealname="D")
    assert set(caller.read("deals", record_id, "dealname", "no_such")) == {
        "createdate", "dealname", "hs_lastmodifieddate", "hs_object_id",
    }  # fmt: skip


def test_without_a_choice_the_default_properties_come(caller: Caller) -> None:
    record_id = caller.make("companies", name="Acme")
    assert set(caller.read("companies", record_id)) == {
        "createdate", "domain", "hs_lastmodifieddate", "hs_object_id", "name",
    }  # fmt: skip
    note = caller.make("notes", hs_timestamp="2026-01-01T00:00:00Z")
    assert set(caller.read("notes", note)) == {"hs_createdate", "hs_lastmodifieddate", "hs_object_id"}


@pytest.mark.parametrize("spelling", ["deals", "deal", "DEAL", "0-3"])
@pytest.mark.parametrize(
    "tree", ["/crm/v3/objects/", "/crm/objects/v3/", "/crm/objects/2026-03/", "/crm/objects/2026-09/"]
)
def test_types_have_several_names_and_paths_several_versions(caller: Caller, spelling: str, tree: str) -> None:
    record_id = caller.make("deals", dealname="D")
    assert caller.get(f"{tree}{spelling}/{record_id}").json()["id"] == record_id


def test_an_unknown_type_is_400_without_a_category(caller: Caller) -> None:
    answer = caller.get("/crm/v3/objects/butterflies")
    assert answer.status_code == 400
    body = answer.json()
    assert body.pop("correlationId")
    assert body == {"status": "error", "message": "Unable to infer object type from: butterflies"}


def test_ids_are_shared_between_types_and_have_twelve_digits(caller: Caller) -> None:
    contact, deal = caller.make("contacts", email="a@example.com"), caller.make("deals", dealname="D")
    assert contact == deal
    assert len(deal) == 12


def test_an_instant_without_milliseconds_has_no_fraction() -> None:
    with portal() as caller:
        caller.server.clock.fix("2026-11-02T12:00:00Z")
        assert caller.read("deals", caller.make("deals", dealname="D"))["createdate"] == "2026-11-02T12:00:00Z"


def test_create_answers_with_what_was_written_and_calculated_moments_in_milliseconds(caller: Caller) -> None:
    made = caller.post("/crm/v3/objects/contacts", {"properties": {"email": "ann@example.com", "phone": ""}}).json()
    assert made["properties"]["createdate"] == NOON
    assert made["properties"]["hs_lifecyclestage_lead_date"] == "1793620800120"
    assert "phone" not in made["properties"]
    assert "firstname" not in made["properties"]
    read = caller.read("contacts", made["id"], "hs_lifecyclestage_lead_date")
    assert read["hs_lifecyclestage_lead_date"] == NOON


def test_unknown_and_archived_ids_are_404(caller: Caller) -> None:
    texts = {
        "999": "resource not found",
        "0": "Object not found. objectId is usually positive.",
        "no-number": "Object not found.  objectId are usually numeric.",
    }
    for given, text in texts.items():
        answer = caller.get(f"/crm/v3/objects/contacts/{given}")
        assert answer.status_code == 404
        assert answer.json()["category"] == "OBJECT_NOT_FOUND"
        assert answer.json()["message"] == text
        assert answer.json()["context"] == {"id": [given]}
    change = {"properties": {"firstname": "x"}}
    assert caller.request("PATCH", "/crm/v3/objects/contacts/999", change).status_code == 404
    assert caller.request("DELETE", "/crm/v3/objects/contacts/999").status_code == 204


# --- lists -------------------------------------------------------------------------------------------------------


def test_pages_are_in_order_of_id_and_the_last_has_no_paging(caller: Caller) -> None:
    made = [caller.make("deals", dealname=f"D{n}") for n in range(4)]
    first = caller.get("/crm/v3/objects/deals", limit=2).json()
    assert [r["id"] for r in first["results"]] == made[:2]
    following = first["paging"]["next"]
    assert following["link"].startswith(caller.server.url + "/crm/v3/objects/deals?")
    assert f"after={following['after']}" in following["link"]
    second = caller.get("/crm/v3/objects/deals", limit=2, after=following["after"]).json()
    assert [r["id"] for r in second["results"]] == made[2:]
    assert "paging" not in second


@pytest.mark.parametrize(
    ("query", "allowed"),
    [
        ({"limit": "0"}, False),
        ({"limit": "101"}, False),
        ({"limit": "100"}, True),
        ({"limit": "x"}, False),
        ({"limit": "51", "propertiesWithHistory": "email"}, False),
        ({"limit": "50", "propertiesWithHistory": "email"}, True),
        ({"after": "next"}, False),
    ],
)
def test_page_sizes_are_bounded(caller: Caller, query: dict[str, str], allowed: bool) -> None:
    answer = caller.get("/crm/v3/objects/contacts", **query)
    assert answer.status_code == (200 if allowed else 400)
    assert allowed or answer.json()["category"] == "VALIDATION_ERROR"


def test_list_parameters_may_be_repeated_or_joined_and_booleans_capitalised(caller: Caller) -> None:
    record_id = caller.make("contacts", email="a@example.com", firstname="A", lastname="B")
    for query in ("properties=firstname&properties=lastname", "properties=firstname,lastname"):
        shown = caller.request("GET", f"/crm/v3/objects/contacts?{query}").json()["results"][0]["properties"]
        assert (shown["firstname"], shown["lastname"]) == ("A", "B")
        assert "email" not in shown
    caller.request("DELETE", f"/crm/v3/objects/contacts/{record_id}")
    for spelling in ("true", "True"):
        assert len(caller.get("/crm/v3/objects/contacts", archived=spelling).json()["results"]) == 1


def test_inline_associations_repeat_an_id_for_each_type(caller: Caller) -> None:
    contact, company = caller.make("contacts", email="a@example.com"), caller.make("companies", name="Acme")
    caller.request("PUT", f"/crm/v4/objects/contacts/{contact}/associations/companies/{company}", PRIMARY)
    listed = caller.get("/crm/v3/objects/contacts", associations="companies,deals").json()["results"][0]
    assert listed["associations"] == {
        "companies": {
            "results": [
                {"id": company, "type": "contact_to_company"},
                {"id": company, "type": "contact_to_company_unlabeled"},
            ]
        }
    }
    assert "associations" not in caller.get(f"/crm/v3/objects/contacts/{contact}", associations="deals").json()


# --- values ------------------------------------------------------------------------------------------------------


def test_an_undefined_property_refuses_the_write_with_json_inside_the_message(caller: Caller) -> None:
    answer = caller.post("/crm/v3/objects/contacts", {"properties": {"foo": "x"}})
    assert answer.status_code == 400
    assert answer.json()["category"] == "VALIDATION_ERROR"
    assert answer.json()["message"] == (
        'Property values were not valid: [{"isValid":false,"message":"Property \\"foo\\" does not exist",'
        '"error":"PROPERTY_DOESNT_EXIST","name":"foo"}]'
    )
    assert answer.json()["errors"] == [
        {
            "message": 'Property "foo" does not exist',
            "code": "PROPERTY_DOESNT_EXIST",
            "context": {"propertyName": ["foo"]},
        }
    ]
    assert caller.get("/crm/v3/objects/contacts").json()["results"] == []


@pytest.mark.parametrize(
    ("type_name", "name", "value", "code", "message"),
    [
        (
            "contacts",
            "lifecyclestage",
            "Lead",
            "INVALID_OPTION",
            "Lead was not one of the allowed options: [subscriber, ",
        ),
        (
            "deals",
            "dealstage",
            "Closed Won",
            "INVALID_OPTION",
            "Closed Won was not one of the allowed options: [appoin",
        ),
        ("deals", "pipeline", "sales", "INVALID_OPTION", "sales was not one of the allowed options: [default]"),
        ("deals", "amount", "ten", "INVALID_NUMBER", "ten was not a valid number."),
        ("deals", "amount", "NaN", "INVALID_NUMBER", "NaN was not a valid number."),
        ("deals", "closedate", "soon", "INVALID_LONG", "soon was not a valid long."),
        ("deals", "hs_lastmodifieddate", "1", "READ_ONLY_VALUE", '"hs_lastmodifieddate" is a read only property; its'),
        ("deals", "hs_projected_amount", "1", "READ_ONLY_VALUE", '"hs_projected_amount" is a calculated property; its'),
        ("deals", "hubspot_owner_id", "9586504", "INVALID_OWNER_ID", "Owner 9586504 does not exist"),
        ("contacts", "email", "ann@", "INVALID_EMAIL", "Email address ann@ is invalid"),
        ("companies", "is_public", "yes", "INVALID_OPTION", "yes was not one of the allowed options: [true, false]"),
        ("deals", "due", "1767268800000", "INVALID_DATE", "1767268800000 is at 12:0:0.0 UTC, not midnight!"),
        ("deals", "due", "tomorrow", "INVALID_DATE", "tomorrow was not a valid date."),
    ],
)
def test_values_are_checked_by_type(
    caller: Caller, type_name: str, name: str, value: str, code: str, message: str
) -> None:
    caller.server.call(
        caller.server.load_schema, {"properties": {"deals": [{"name": "due", "type": "date"}]}}
    )  # fmt: skip
    caller.server.call(caller.server.add_owner, "rep@example.com")
    answer = caller.post(f"/crm/v3/objects/{type_name}", {"properties": {name: value}})
    assert answer.status_code == 400
    found = embedded(answer)
    assert [(problem["error"], problem["name"], problem["isValid"]) for problem in found] == [(code, name, False)]
    assert found[0]["message"].startswith(message)
    assert answer.json()["errors"][0]["code"] == code


@pytest.mark.parametrize(
    ("name", "sent", "kept"),
    [
        ("amount", 12.5, "12.5"),
        ("amount", 12, "12"),
        ("closedate", "2026-12-31", "2026-12-31T00:00:00Z"),
        ("closedate", 1798761599999, "2026-12-31T23:59:59.999Z"),
        ("closedate", "2026-12-31T23:30:00+02:00", "2026-12-31T21:30:00Z"),
        ("due", "2026-12-31", "2026-12-31"),
        ("due", "1798675200000", "2026-12-31"),
        ("tags", "b;a;b", "b;a"),
        ("flag", True, "true"),
        ("flag", "TRUE", "true"),
        ("dealname", "Zoë \u2028 'x' \"y\" 😀\n<b>", "Zoë \u2028 'x' \"y\" 😀\n<b>"),
        ("dealname", "", None),
        ("dealname", None, None),
    ],
)
def test_values_come_back_as_text(caller: Caller, name: str, sent: object, kept: str | None) -> None:
    extra = [
        {"name": "due", "type": "date"},
        {"name": "flag", "type": "bool"},
        {"name": "tags", "type": "enumeration", "fieldType": "checkbox", "options": ["a", "b", "c"]},
    ]
    caller.server.call(caller.server.load_schema, {"properties": {"deals": extra}})
    record_id = caller.make("deals", **{name: sent})
    assert caller.read("deals", record_id, name)[name] == kept


def test_a_leading_semicolon_appends_to_a_multi_select(caller: Caller) -> None:
    extra = [{"name": "tags", "type": "enumeration", "fieldType": "checkbox", "options": ["a", "b", "c"]}]
    caller.server.call(caller.server.load_schema, {"properties": {"deals": extra}})
    record_id = caller.make("deals", tags="a;b")
    caller.request("PATCH", f"/crm/v3/objects/deals/{record_id}", {"properties": {"tags": ";c"}})
    assert caller.read("deals", record_id, "tags")["tags"] == "a;b;c"
    caller.request("PATCH", f"/crm/v3/objects/deals/{record_id}", {"properties": {"tags": "c"}})
    assert caller.read("deals", record_id, "tags")["tags"] == "c"


def test_the_lifecycle_stage_only_moves_forward_unless_cleared(caller: Caller) -> None:
    record_id = caller.make("contacts", email="a@example.com", lifecyclestage="customer")

    def patch(stage: str) -> str | None:
        answer = caller.request(
            "PATCH", f"/crm/v3/objects/contacts/{record_id}", {"properties": {"lifecyclestage": stage}}
        )
        assert answer.status_code == 200
        found: str | None = caller.read("contacts", record_id, "lifecyclestage")["lifecyclestage"]
        return found

    assert patch("lead") == "customer"
    assert patch("") is None
    assert patch("lead") == "lead"


def test_an_update_without_properties_is_refused(caller: Caller) -> None:
    record_id = caller.make("deals", dealname="D")
    answer = caller.request("PATCH", f"/crm/v3/objects/deals/{record_id}", {"properties": {}})
    assert answer.status_code == 400
    assert answer.json()["message"] == "No properties found to update, please provide at least one."


def test_writing_the_same_value_again_changes_nothing_unless_switched(caller: Caller) -> None:
    record_id = caller.make("deals", dealname="D")
    path, body = f"/crm/v3/objects/deals/{record_id}", {"properties": {"dealname": "D"}}
    caller.server.clock.move(60)
    assert caller.request("PATCH", path, body).json()["updatedAt"] == NOON
    caller.server.condition("behaviour", switch="noop_moves_modified", value=True)
    assert caller.request("PATCH", path, body).json()["updatedAt"] > NOON


def test_activities_need_their_timestamp(caller: Caller) -> None:
    answer = caller.post("/crm/v3/objects/meetings", {"properties": {"hs_meeting_title": "x"}})
    assert answer.status_code == 400
    assert answer.json()["message"] == "Error creating MEETING_EVENT. Some required properties were not set."
    assert answer.json()["context"] == {"properties": ["hs_timestamp"]}
    caller.server.condition("behaviour", switch="meeting_timestamp_defaults", value=True)
    start = "2026-11-03T10:00:00Z"
    record_id = caller.make("meetings", hs_meeting_start_time=start)
    assert caller.read("meetings", record_id, "hs_timestamp")["hs_timestamp"] == start


def test_deal_fields_follow_amount_stage_and_probability(caller: Caller) -> None:
    names = ("hs_deal_stage_probability", "hs_projected_amount", "hs_forecast_amount", "hs_is_closed",
             "hs_is_closed_won", "hs_is_closed_lost", "pipeline", "amount_in_home_currency")  # fmt: skip
    record_id = caller.make("deals", amount="1000", dealstage="qualifiedtobuy", hs_forecast_probability="0.25")
    read = caller.read("deals", record_id, *names)
    assert [read[name] for name in names] == ["0.4", "400", "250", "false", "false", "false", "default", "1000"]
    caller.request("PATCH", f"/crm/v3/objects/deals/{record_id}", {"properties": {"dealstage": "closedwon"}})
    read = caller.read("deals", record_id, *names)
    assert [read[name] for name in names[:6]] == ["1", "1000", "250", "true", "true", "false"]
    body = {"properties": {"dealstage": "closedlost", "hs_deal_stage_probability": "0.5"}}
    caller.request("PATCH", f"/crm/v3/objects/deals/{record_id}", body)
    read = caller.read("deals", record_id, *names)
    assert [read[name] for name in names[:6]] == ["0.5", "500", "250", "true", "false", "true"]


def test_a_stage_of_another_pipeline_is_refused_or_moves_the_deal(caller: Caller) -> None:
    stages = [{"label": "Open", "displayOrder": 0, "metadata": {"probability": "0.3"}}]
    made = caller.post("/crm/v3/pipelines/deals", {"label": "Partners", "displayOrder": 1, "stages": stages}).json()
    stage = made["stages"][0]["id"]
    refused = caller.post("/crm/v3/objects/deals", {"properties": {"pipeline": "default", "dealstage": stage}})
    assert embedded(refused)[0]["error"] == "INVALID_OPTION"
    record_id = caller.make("deals", dealstage="closedwon")
    caller.request("PATCH", f"/crm/v3/objects/deals/{record_id}", {"properties": {"dealstage": stage}})
    assert caller.read("deals", record_id, "pipeline")["pipeline"] == made["id"]


def test_history_is_newest_first_and_says_who(caller: Caller) -> None:
    user = caller.server.call(caller.server.actor, "CRM_UI", 777)
    record_id = caller.server.call(lambda: caller.server.create("deals", by=user, dealname="One"))
    caller.server.clock.move(5)
    caller.request("PATCH", f"/crm/v3/objects/deals/{record_id}", {"properties": {"dealname": "Two"}})
    answer = caller.get(f"/crm/v3/objects/deals/{record_id}", propertiesWithHistory="dealname,hs_is_closed").json()
    assert answer["propertiesWithHistory"]["dealname"] == [
        {"value": "Two", "timestamp": "2026-11-02T12:00:05.120Z", "sourceType": "INTEGRATION", "sourceId": "19083857"},
        {"value": "One", "timestamp": NOON, "sourceType": "CRM_UI", "sourceId": "userId:777", "updatedByUserId": 777},
    ]
    assert answer["propertiesWithHistory"]["hs_is_closed"][0]["sourceType"] == "CALCULATED"
    assert caller.read("deals", record_id, "hs_updated_by_user_id")["hs_updated_by_user_id"] == "777"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "Invalid input JSON on line 1, column 2: "),
        (b"", "Invalid input JSON on line 1, column 1: No content to map due to end-of-input"),
        (b"[]", "Invalid input JSON on line 1, column 1: Cannot deserialize value of type `java.util.LinkedHashMap`"),
        (b"{}", "Invalid input JSON on line 1, column 2. Some required fields were not set: [properties]"),
        (b'{"properties": {"email": ["a"]}}', "Invalid input JSON on line 1, column 1: Cannot deserialize value of"),
        (b'{"properties": {"amount": NaN}}', "Invalid input JSON on line 1, column "),
    ],
)
def test_malformed_bodies_are_400(caller: Caller, body: bytes, message: str) -> None:
    answer = caller.request(
        "POST", "/crm/v3/objects/contacts", content=body, headers={"Content-Type": "application/json"}
    )
    assert (answer.status_code, answer.json()["category"]) == (400, "VALIDATION_ERROR")
    assert answer.json()["message"].startswith(message)


def test_other_content_types_methods_and_paths_are_refused(caller: Caller) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert caller.request("POST", "/crm/v3/objects/contacts", content=b"a=b", headers=form).status_code == 415
    for status, answer in (
        (405, caller.request("PUT", "/crm/v3/objects/contacts/1", {})),
        (404, caller.get("/crm/v3/nothing")),
        (404, caller.post("/crm/v3/objects/contacts/batch/delete", {})),
    ):
        assert answer.status_code == status
        assert answer.headers["content-type"] == "text/html;charset=utf-8"
    assert caller.get("/crm/v3/objects/contacts", properties="x" * 20_000).status_code == 414


def test_what_is_not_implemented_says_so(caller: Caller) -> None:
    for path in (
        "/crm/v3/lists/1",
        "/crm/v3/imports",
        "/marketing/v3/emails",
        "/forecast-settings/2026-09/forecast-types",
    ):
        answer = caller.get(path)
        assert answer.status_code == 501
        assert answer.json()["category"] == "NOT_IMPLEMENTED"
        assert path in answer.json()["message"]


# --- identity ----------------------------------------------------------------------------------------------------


def test_an_address_is_unique_whatever_its_case_and_the_conflict_names_the_id(caller: Caller) -> None:
    record_id = caller.make("contacts", email="Ann@Example.com")
    answer = caller.post("/crm/v3/objects/contacts", {"properties": {"email": "ANN@example.COM"}})
    assert answer.status_code == 409
    body = answer.json()
    assert body.pop("correlationId")
    assert body == {
        "status": "error",
        "message": f"Contact already exists. Existing ID: {record_id}",
        "category": "CONFLICT",
    }
    other = caller.make("contacts", email="bob@example.com")
    taken = caller.request("PATCH", f"/crm/v3/objects/contacts/{other}", {"properties": {"email": "ann@example.com"}})
    assert taken.status_code == 409


def test_a_contact_answers_to_its_additional_addresses(caller: Caller) -> None:
    record_id = caller.make("contacts", email="ann@example.com")
    server = caller.server
    server.call(
        lambda: server.portal.second_address(server.portal.store.of("contacts").live[int(record_id)], "A2@x.org")
    )
    found = caller.get("/crm/v3/objects/contacts/a2%40x.org", idProperty="email").json()
    assert found["id"] == record_id
    assert caller.post("/crm/v3/objects/contacts", {"properties": {"email": "a2@x.org"}}).status_code == 409


def test_a_unique_property_identifies_single_records(caller: Caller) -> None:
    caller.unique("deals")
    record_id = caller.make("deals", dealname="D", sidefeed_key="k/1")
    path = "/crm/v3/objects/deals/k%2F1?idProperty=sidefeed_key"
    assert caller.request("GET", path).json()["id"] == record_id
    assert caller.request("PATCH", path, {"properties": {"dealname": "E"}}).json()["id"] == record_id
    again = caller.post("/crm/v3/objects/deals", {"properties": {"sidefeed_key": "k/1"}})
    assert again.status_code == 400
    assert again.json()["message"].startswith(
        f"Cannot set PropertyValueCoordinates{{portalId={caller.server.portal.id}, "
        "objectTypeId=ObjectTypeId{legacyObjectType=DEAL}, propertyName=sidefeed_key, value=k/1} on "
    )
    assert again.json()["message"].endswith(f". {record_id} already has that value.")
    assert caller.request("DELETE", path).status_code == 204
    assert caller.request("GET", path).status_code == 404
    assert caller.get(f"/crm/v3/objects/deals/{record_id}", idProperty="dealname").status_code == 400


def test_archiving_keeps_the_modified_time_and_lists_only_the_bin(caller: Caller) -> None:
    kept, gone = caller.make("deals", dealname="A"), caller.make("deals", dealname="B")
    caller.server.clock.move(60)
    assert caller.request("DELETE", f"/crm/v3/objects/deals/{gone}").status_code == 204
    (binned,) = caller.get("/crm/v3/objects/deals", archived="true").json()["results"]
    assert (binned["id"], binned["archived"], binned["updatedAt"]) == (gone, True, NOON)
    assert binned["archivedAt"] == "2026-11-02T12:01:00.120Z"
    assert [r["id"] for r in caller.get("/crm/v3/objects/deals").json()["results"]] == [kept]
    assert caller.get(f"/crm/v3/objects/deals/{gone}").status_code == 404
    assert caller.get(f"/crm/v3/objects/deals/{gone}", archived="true").json()["id"] == gone
    assert caller.get(f"/crm/v3/objects/deals/{kept}", archived="true").status_code == 404


def test_a_record_can_be_restored_for_ninety_days(caller: Caller) -> None:
    first, second = caller.make("deals", dealname="A"), caller.make("deals", dealname="B")
    for record_id in (first, second):
        caller.request("DELETE", f"/crm/v3/objects/deals/{record_id}")
    caller.server.call(caller.server.restore_record, "deals", first)
    assert caller.get(f"/crm/v3/objects/deals/{first}").json()["archived"] is False
    caller.server.clock.move(days=91)
    assert caller.get("/crm/v3/objects/deals", archived="true").json()["results"] == []


def test_privacy_deletion_leaves_nothing_behind(caller: Caller) -> None:
    record_id = caller.make("contacts", email="ann@example.com")
    body = {"objectId": "ann@example.com", "idProperty": "email"}
    assert caller.post("/crm/v3/objects/contacts/gdpr-delete", body).status_code == 204
    assert caller.get(f"/crm/v3/objects/contacts/{record_id}", archived="true").status_code == 404
    assert caller.make("contacts", email="ann@example.com") != record_id


# --- merges ------------------------------------------------------------------------------------------------------


def merge(caller: Caller, primary: str, other: str, type_name: str = "contacts") -> Any:
    body = {"primaryObjectId": primary, "objectIdToMerge": other}
    return caller.post(f"/crm/v3/objects/{type_name}/merge", body)


def test_a_merge_makes_a_new_record_that_answers_for_both_ids(caller: Caller) -> None:
    one = caller.make("contacts", email="ann@example.com", firstname="Ann")
    other = caller.make("contacts", email="ann@work.example", firstname="Anne", phone="1")
    company = caller.make("companies", name="Acme")
    caller.request("PUT", f"/crm/v4/objects/contacts/{other}/associations/companies/{company}", PRIMARY)
    caller.server.clock.move(5)
    answer = merge(caller, one, other)
    assert answer.status_code == 200
    survivor = answer.json()["id"]
    assert survivor not in (one, other)
    assert answer.json()["updatedAt"] == "2026-11-02T12:00:05.120Z"
    for old in (one, other):
        assert caller.get(f"/crm/v3/objects/contacts/{old}").json()["id"] == survivor
    read = caller.read("contacts", survivor, "firstname", "phone", "email", "hs_merged_object_ids",
                       "hs_additional_emails", "hs_calculated_merged_vids")  # fmt: skip
    assert (read["firstname"], read["phone"], read["email"]) == ("Ann", "1", "ann@example.com")
    assert read["hs_merged_object_ids"] == f"{one};{other}"
    assert read["hs_additional_emails"] == "ann@work.example"
    assert [pair.partition(":")[0] for pair in read["hs_calculated_merged_vids"].split(";")] == [one, other]
    assert caller.get("/crm/v3/objects/contacts", archived="true").json()["results"] == []
    links = caller.get(f"/crm/v4/objects/contacts/{survivor}/associations/companies").json()["results"]
    assert [link["toObjectId"] for link in links] == [int(company)]


def test_in_the_old_mode_the_primary_survives(caller: Caller) -> None:
    caller.server.condition("merge_mode", mode="old")
    one, other, third = (caller.make("companies", name=name) for name in "ABC")
    assert merge(caller, one, other, "companies").json()["id"] == one
    assert merge(caller, third, one, "companies").json()["id"] == third
    assert caller.get(f"/crm/v3/objects/companies/{other}").json()["id"] == third
    assert caller.read("companies", third, "hs_merged_object_ids")["hs_merged_object_ids"] == f"{other};{one}"


def test_merges_have_their_refusals(caller: Caller) -> None:
    one = caller.make("contacts", email="a@example.com")
    assert merge(caller, one, one).status_code == 400
    assert merge(caller, one, "999").status_code == 404
    assert caller.post("/crm/v3/objects/contacts/merge", {"primaryObjectId": one}).status_code == 400
    caller.server.condition("merge_mode", mode="old")
    for n in range(250):
        assert merge(caller, one, caller.make("contacts", email=f"m{n}@example.com")).status_code == 200
    full = merge(caller, one, caller.make("contacts", email="last@example.com"))
    assert full.status_code == 414
    assert full.json()["message"] == "Cannot have more than 250 identities on a profile"


@pytest.mark.parametrize(
    ("type_name", "spelling", "properties", "link"),
    [
        (
            "communications",
            "0-18",
            {"hs_timestamp": "2026-11-02T09:00:00Z", "hs_communication_channel_type": "SMS"},
            81,
        ),
        ("postal_mail", "0-116", {"hs_timestamp": "2026-11-02T09:00:00Z", "hs_postal_mail_body": "letter"}, 453),
        ("quotes", "0-14", {"hs_title": "Offer", "hs_expiration_date": "2026-12-01T00:00:00Z"}, 69),
    ],
)
def test_messages_letters_and_quotes_are_objects_like_the_others(
    caller: Caller, type_name: str, spelling: str, properties: dict[str, str], link: int
) -> None:
    """Type ids: hubspot-api-client 12.0.0 `AssociationType`; HubSpot "Associations v4" for communications."""
    person = caller.make("contacts", email="ada@example.com")
    types = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": link}]
    made = caller.post(
        f"/crm/v3/objects/{type_name}",
        {"properties": properties, "associations": [{"to": {"id": person}, "types": types}]},
    )
    assert made.status_code == 201, made.text
    key = made.json()["id"]
    assert caller.get(f"/crm/v3/objects/{spelling}/{key}").json()["id"] == key
    back = caller.get(f"/crm/v4/objects/contacts/{person}/associations/{type_name}").json()["results"]
    assert [str(one["toObjectId"]) for one in back] == [key]
    missing = caller.post(f"/crm/v3/objects/{type_name}", {"properties": {}})
    assert (missing.status_code, missing.json()["category"]) == (400, "VALIDATION_ERROR")
