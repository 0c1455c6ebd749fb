"""Records obey the rules of their fields, and refusals have the texts of the real system."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from .salesforce_caller import Caller, organisation, refusal

UNABLE = (
    "Unable to create/update fields: {0}. Please check the security settings of this field and verify that it is "
    "read/write for your profile or permission set."
)


@pytest.fixture
def org() -> Iterator[Caller]:
    with organisation() as caller:
        yield caller


def test_create_answers_201_with_an_18_character_id(org: Caller) -> None:
    answer = org.request("POST", "sobjects/Account/", {"Name": "Acme"})
    assert answer.status_code == 201
    body = answer.json()
    assert body == {"id": body["id"], "success": True, "errors": []}
    assert len(body["id"]) == 18
    assert body["id"].startswith("001")
    assert answer.headers["Location"] == f"/services/data/v59.0/sobjects/Account/{body['id']}"


def test_a_row_shows_every_readable_field_with_system_stamps(org: Caller) -> None:
    key = org.make("Contact", FirstName="Zoë", LastName="Ito", MailingCity="Lyon")
    row = org.row("Contact", key)
    assert row["attributes"] == {"type": "Contact", "url": f"/services/data/v59.0/sobjects/Contact/{key}"}
    assert row["Name"] == "Zoë Ito"
    assert row["MailingAddress"] == {
        "city": "Lyon", "country": None, "geocodeAccuracy": None, "latitude": None, "longitude": None,
        "postalCode": None, "state": None, "street": None,
    }  # fmt: skip
    assert row["OtherAddress"] is None
    assert row["CreatedDate"] == row["LastModifiedDate"] == row["SystemModstamp"] == "2026-11-18T12:00:00.000+0000"
    assert row["CreatedById"] == row["OwnerId"] == org.server.admin_id
    described = {field["name"] for field in org.get("sobjects/Contact/describe").json()["fields"]}
    assert set(row) == described | {"attributes"}


def test_ids_of_both_lengths_name_a_row_and_the_answer_has_18(org: Caller) -> None:
    key = org.make("Account", Name="Acme")
    assert org.row("Account", key[:15])["Id"] == key
    assert org.column(f"SELECT Id FROM Account WHERE Id = '{key[:15]}'") == [key]
    org.change("Account", key[:15], Name="Acme 2")
    child = org.make("Contact", LastName="Ito", AccountId=key[:15])
    assert org.row("Contact", child)["AccountId"] == key


def test_chosen_fields_only(org: Caller) -> None:
    key = org.make("Account", Name="Acme", Phone="1")
    row = org.get(f"sobjects/Account/{key}", fields="Name, phone").json()
    assert set(row) == {"attributes", "Name", "Phone", "Id"}
    status, code, message = refusal(org.get(f"sobjects/Account/{key}", fields="Nope"))
    assert (status, code) == (400, "INVALID_FIELD")
    assert "No such column 'Nope' on entity 'Account'" in message


def test_update_and_delete_answer_204_without_a_body(org: Caller) -> None:
    key = org.make("Account", Name="Acme")
    for method, body in (("PATCH", {"Name": "B"}), ("DELETE", None)):
        answer = org.request(method, f"sobjects/Account/{key}", body)
        assert (answer.status_code, answer.content) == (204, b"")


def test_post_with_method_override_patches(org: Caller) -> None:
    key = org.make("Account", Name="Acme")
    answer = org.request("POST", f"sobjects/Account/{key}?_HttpMethod=PATCH", {"Name": "B"})
    assert answer.status_code == 204
    assert org.row("Account", key)["Name"] == "B"


@pytest.mark.parametrize(
    ("kind", "fields", "code", "message", "named"),
    [
        ("Contact", {}, "REQUIRED_FIELD_MISSING", "Required fields are missing: [LastName]", ["LastName"]),
        ("Contact", {"LastName": "  "}, "REQUIRED_FIELD_MISSING", "Required fields are missing: [LastName]", ["LastName"]),
        ("Opportunity", {"Name": "x"}, "REQUIRED_FIELD_MISSING", "Required fields are missing: [StageName, CloseDate]", ["StageName", "CloseDate"]),
        ("Account", {"Name": "x" * 256}, "STRING_TOO_LONG", f"Account Name: data value too large: {'x' * 256} (max length=255)", ["Name"]),
        ("Contact", {"LastName": "x", "Email": "nope"}, "INVALID_EMAIL_ADDRESS", "Email: invalid email address: nope", ["Email"]),
        ("Contact", {"LastName": "x", "Email": "a@b"}, "INVALID_EMAIL_ADDRESS", "Email: invalid email address: a@b", ["Email"]),
        ("Account", {"Name": "x", "CleanStatus": "Odd"}, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", "Clean Status: bad value for restricted picklist field: Odd", ["CleanStatus"]),
        ("Contact", {"LastName": "x", "Languages__c": "English;Klingon"}, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", "Languages: bad value for restricted picklist field: Klingon", ["Languages__c"]),
        ("Contact", {"LastName": "x", "AccountId": "nonsense"}, "MALFORMED_ID", "Account ID: id value of incorrect type: nonsense", ["AccountId"]),
        ("Contact", {"LastName": "x", "AccountId": "0015g000000zzzz"}, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", []),
        ("Contact", {"LastName": "x", "AccountId": "0035g000000zzzzAAA"}, "FIELD_INTEGRITY_EXCEPTION", "Account ID: id value of incorrect type: 0035g000000zzzzAAA", ["AccountId"]),
        ("Contact", {"LastName": "x", "Name": "y", "CreatedDate": "2026-01-01T00:00:00Z"}, "INVALID_FIELD_FOR_INSERT_UPDATE", UNABLE.format("Name, CreatedDate"), ["Name", "CreatedDate"]),
        ("Contact", {"LastName": "x", "MailingAddress": {"city": "Lyon"}}, "INVALID_FIELD_FOR_INSERT_UPDATE", UNABLE.format("MailingAddress"), ["MailingAddress"]),
        ("Opportunity", {"Name": "x", "StageName": "s", "CloseDate": "2026-01-01", "Amount": 1e17}, "NUMBER_OUTSIDE_VALID_RANGE", "Amount: value outside of valid range on numeric field: 1.0E17", ["Amount"]),
        ("Opportunity", {"Name": "x", "StageName": "s", "CloseDate": "2026-01-01", "ForecastCategoryName": "Odd"}, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", "Forecast Category: bad value for restricted picklist field: Odd", ["ForecastCategoryName"]),
        ("Account", {"Name": "x", "RecordTypeId": "0125g000000zzzzAAA"}, "INVALID_CROSS_REFERENCE_KEY", "Record Type ID: this ID value isn't valid for the user: 0125g000000zzzzAAA", ["RecordTypeId"]),
    ],
)  # fmt: skip
def test_bad_data_is_refused_naming_field_and_rule(
    org: Caller, kind: str, fields: dict[str, Any], code: str, message: str, named: list[str]
) -> None:
    answer = org.request("POST", f"sobjects/{kind}", fields)
    assert answer.status_code == 400
    assert answer.json() == [{"message": message, "errorCode": code, "fields": named}]
    assert org.query(f"SELECT COUNT() FROM {kind}")["totalSize"] == 0


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"Nope__c": 1}, "No such column 'Nope__c' on sobject of type Account"),
        ({"Id": "0015g000000zzzz"}, "The Id field should not be specified in the sobject data."),
    ],
)
def test_fields_that_do_not_exist_or_must_not_be_given(org: Caller, fields: dict[str, Any], message: str) -> None:
    assert refusal(org.request("POST", "sobjects/Account", {"Name": "x", **fields})) == (400, "INVALID_FIELD", message)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("CloseDate", "18/11/2026", "date from VALUE_STRING value 18/11/2026"),
        ("Amount", "abc", "double from VALUE_STRING value abc"),
        ("Amount", True, "double from VALUE_TRUE value true"),
        ("IsPrivate", "maybe", "boolean from VALUE_STRING value maybe"),
        ("Name", {"a": 1}, "string from START_OBJECT value {"),
        ("Name", [1], "string from START_ARRAY value ["),
    ],
)
def test_values_of_the_wrong_shape_do_not_parse(org: Caller, field: str, value: Any, said: str) -> None:
    body = {"Name": "x", "StageName": "s", "CloseDate": "2026-01-01", field: value}
    status, code, message = refusal(org.request("POST", "sobjects/Opportunity", body))
    assert (status, code) == (400, "JSON_PARSER_ERROR")
    assert message.startswith(
        f"Cannot deserialize instance of {said} or request may be missing a required field at [line:1"
    )


@pytest.mark.parametrize("body", [b"{", b"", b"[1]", b'{"Name": NaN}', b'{"Name": "\xff"}', b"null"])
def test_bodies_that_are_no_json_object_are_refused(org: Caller, body: bytes) -> None:
    answer = org.request("POST", "sobjects/Account", content=body, headers={"Content-Type": "application/json"})
    assert refusal(answer)[:2] == (400, "JSON_PARSER_ERROR")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "The HTTP entity body is required, but this request has no entity body."),
        (b'{"Name": "x",}', "Unexpected character ('}' (code 125)): was expecting double-quote to start field name "
                            "at [line:1, column:15]"),
        (b'{"Name" j}', "Unexpected character ('j' (code 106)): was expecting a colon to separate field name and value "
                        "at [line:1, column:10]"),
        (b'{"Name":\n"x" "y"}', "Unexpected character ('\"' (code 34)): was expecting comma to separate OBJECT entries "
                               "at [line:2, column:6]"),
    ],
)  # fmt: skip
def test_the_parser_says_what_it_expected_and_where(org: Caller, body: bytes, said: str) -> None:
    answer = org.request("POST", "sobjects/Account", content=body, headers={"Content-Type": "application/json"})
    assert refusal(answer) == (400, "JSON_PARSER_ERROR", said)


def test_a_probability_is_a_share_of_a_hundred(org: Caller) -> None:
    body = {"Name": "x", "StageName": "s", "CloseDate": "2026-01-01", "Probability": 101}
    assert refusal(org.request("POST", "sobjects/Opportunity", body))[1] == "NUMBER_OUTSIDE_VALID_RANGE"
    assert org.request("POST", "sobjects/Opportunity", {**body, "Probability": 100}).status_code == 201


def test_a_resource_may_be_asked_for_with_its_format_behind_it(org: Caller) -> None:
    account = org.make("Account", Name="x", Ext__c="a.b")
    assert org.get(f"sobjects/Account/{account}.json").json()["Id"] == account
    assert org.get("sobjects/Account/Ext__c/a.b.json").json()["Id"] == account
    assert org.get("sobjects/Account/Ext__c/a.b").json()["Id"] == account
    assert org.http.get("/services/data.json").json()[0]["version"] == "31.0"
    for path, headers in ((f"sobjects/Account/{account}.xml", {}), ("/services/data", {"Accept": "application/xml"})):
        assert refusal(org.request("GET", path, headers=headers))[:2] == (501, "NOT_IMPLEMENTED")


def test_other_content_types_are_refused(org: Caller) -> None:
    answer = org.request(
        "POST", "sobjects/Account", content=b"Name=x", headers={"Content-Type": "application/x-www-form-urlencoded"}
    )
    assert refusal(answer)[:2] == (415, "UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"Email": "Ann@ACME.Example"}, {"Email": "ann@acme.example"}),
        ({"Title": "  CFO "}, {"Title": "CFO"}),
        ({"Title": ""}, {"Title": None}),
        ({"Title": 31}, {"Title": "31"}),
        ({"Birthdate": "1990-02-28T23:59:59Z"}, {"Birthdate": "1990-02-28"}),
        ({"Languages__c": "German;English;German"}, {"Languages__c": "English;German"}),
        ({"Salutation": "Captain"}, {"Salutation": "Captain"}),
        ({"MailingLatitude": "48.85"}, {"MailingLatitude": 48.85}),
        ({"firstname": "ann"}, {"FirstName": "ann", "Name": "ann Ito"}),
    ],
)
def test_values_are_normalised_as_they_are_stored(org: Caller, given: dict[str, Any], kept: dict[str, Any]) -> None:
    row = org.row("Contact", org.make("Contact", LastName="Ito", **given))
    assert {name: row[name] for name in kept} == kept


def test_numbers_are_rounded_to_scale_and_read_from_text(org: Caller) -> None:
    key = org.make("Opportunity", Name="x", StageName="s", CloseDate="2026-01-01", Amount="31.005", Probability=33.5)
    row = org.row("Opportunity", key)
    assert (row["Amount"], row["Probability"]) == (31.01, 34.0)


def test_datetimes_are_utc_to_the_second_in_any_accepted_form(org: Caller) -> None:
    for given in (
        "2026-11-18T09:30:00+01:00",
        "2026-11-18T08:30:00Z",
        "2026-11-18T08:30:00.999+0000",
        "2026-11-18T08:30Z",
    ):
        key = org.make("Event", Subject="x", StartDateTime=given, DurationInMinutes=30)
        assert org.row("Event", key)["StartDateTime"] == "2026-11-18T08:30:00.000+0000"


def test_required_fields_cannot_be_cleared(org: Caller) -> None:
    key = org.make("Contact", LastName="Ito")
    answer = org.request("PATCH", f"sobjects/Contact/{key}", {"LastName": None})
    assert refusal(answer)[1:] == ("REQUIRED_FIELD_MISSING", "Required fields are missing: [LastName]")


def test_create_only_fields_cannot_be_updated(org: Caller) -> None:
    account = org.make("Account", Name="A")
    deal = org.make("Opportunity", Name="x", StageName="s", CloseDate="2026-01-01", AccountId=account)
    role = org.make("OpportunityContactRole", OpportunityId=deal, ContactId=org.make("Contact", LastName="Ito"))
    answer = org.request("PATCH", f"sobjects/OpportunityContactRole/{role}", {"OpportunityId": deal})
    assert refusal(answer) == (400, "INVALID_FIELD_FOR_INSERT_UPDATE", UNABLE.format("OpportunityId"))


def test_inactive_users_own_nothing(org: Caller) -> None:
    user = org.server.call(org.server.add_user, "gone@x.example")
    org.change("User", user, IsActive=False)
    status, code, message = refusal(org.request("POST", "sobjects/Account", {"Name": "x", "OwnerId": user}))
    assert (status, code) == (400, "INACTIVE_OWNER_OR_USER")
    assert message == f"operation performed with inactive user [{user}] as owner of account"


@pytest.mark.parametrize(
    ("key", "status", "code", "message"),
    [
        ("nonsense", 404, "NOT_FOUND", "Provided external ID field does not exist or is not accessible: nonsense"),
        ("0015g000000zzzz", 404, "NOT_FOUND", "The requested resource does not exist"),
        ("a b", 404, "NOT_FOUND", "Provided external ID field does not exist or is not accessible: a b"),
    ],
)
def test_rows_that_do_not_exist(org: Caller, key: str, status: int, code: str, message: str) -> None:
    assert refusal(org.get(f"sobjects/Account/{key}")) == (status, code, message)


def test_writes_to_wrong_absent_and_deleted_ids(org: Caller) -> None:
    key = org.make("Account", Name="x")
    contact = org.make("Contact", LastName="Ito")
    org.request("DELETE", f"sobjects/Account/{key}")
    for method, body in (("PATCH", {"Name": "y"}), ("DELETE", None)):
        deleted = org.request(method, f"sobjects/Account/{key}", body)
        assert (deleted.status_code, deleted.json()) == (
            404, [{"message": "entity is deleted", "errorCode": "ENTITY_IS_DELETED", "fields": []}]
        )  # fmt: skip
        absent = org.request(method, "sobjects/Account/0015g000000zzzz", body)
        assert refusal(absent) == (404, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")
        wrong = org.request(method, f"sobjects/Account/{contact}", body)
        assert refusal(wrong) == (400, "MALFORMED_ID", f"Account ID: id value of incorrect type: {contact}")
        shapeless = org.request(method, "sobjects/Account/nonsense", body)
        assert refusal(shapeless)[1] == "NOT_FOUND"


def test_read_only_objects_refuse_writes(org: Caller) -> None:
    answer = org.request("POST", "sobjects/ForecastingItem", {"ForecastAmount": 1})
    assert refusal(answer)[1] == "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY"


# external ids


def test_upsert_creates_with_201_and_updates_with_200_or_204(org: Caller) -> None:
    made = org.request("PATCH", "sobjects/Contact/Sidefeed_Key__c/k%201", {"LastName": "Ito"})
    assert (made.status_code, made.json()["created"]) == (201, True)
    changed = org.request("PATCH", "sobjects/Contact/Sidefeed_Key__c/K%201", {"LastName": "Ito2"})
    assert (changed.status_code, changed.json()) == (200, {**made.json(), "created": False})
    old = org.request("PATCH", "/services/data/v45.0/sobjects/Contact/Sidefeed_Key__c/k%201", {"LastName": "Ito3"})
    assert (old.status_code, old.content) == (204, b"")
    org.server.call(org.server.condition, "upsert_update_status", status=204)
    assert org.request("PATCH", "sobjects/Contact/Sidefeed_Key__c/k%201", {"LastName": "Ito4"}).status_code == 204
    row = org.get("sobjects/Contact/Sidefeed_Key__c/k%201").json()
    assert (row["LastName"], row["Sidefeed_Key__c"]) == ("Ito4", "k 1")


def test_upsert_must_not_repeat_its_key_and_may_be_update_only(org: Caller) -> None:
    repeated = org.request("PATCH", "sobjects/Contact/Sidefeed_Key__c/k", {"LastName": "Ito", "Sidefeed_Key__c": "k"})
    assert refusal(repeated) == (
        400,
        "INVALID_FIELD",
        "The Sidefeed_Key__c field should not be specified in the sobject data.",
    )
    assert (
        org.request("PATCH", "sobjects/Contact/Sidefeed_Key__c/k?updateOnly=true", {"LastName": "Ito"}).status_code
        == 404
    )
    assert org.query("SELECT COUNT() FROM Contact")["totalSize"] == 0


def test_an_ambiguous_external_id_answers_300_with_the_urls(org: Caller) -> None:
    keys = [org.make("Contact", LastName=name, Legacy__c="7") for name in ("A", "B")]
    for answer in (
        org.get("sobjects/Contact/Legacy__c/7"),
        org.request("PATCH", "sobjects/Contact/Legacy__c/7", {"Title": "x"}),
    ):
        assert answer.status_code == 300
        assert answer.json() == [f"/services/data/v59.0/sobjects/Contact/{key}" for key in keys]


def test_unknown_key_fields_and_values_are_not_found(org: Caller) -> None:
    text = "Provided external ID field does not exist or is not accessible: {}"
    assert refusal(org.get("sobjects/Contact/Nope__c/1")) == (404, "NOT_FOUND", text.format("Nope__c"))
    assert refusal(org.get("sobjects/Contact/Title/1")) == (404, "NOT_FOUND", text.format("Title"))
    assert refusal(org.get("sobjects/Contact/Sidefeed_Key__c/none"))[:2] == (404, "NOT_FOUND")


def test_unique_values_are_unique_without_regard_to_case(org: Caller) -> None:
    first = org.make("Contact", LastName="A", Sidefeed_Key__c="Key")
    answer = org.request("POST", "sobjects/Contact", {"LastName": "B", "Sidefeed_Key__c": "kEY"})
    expected = f"duplicate value found: Sidefeed_Key__c duplicates value on record with id: {first[:15]}"
    assert refusal(answer) == (400, "DUPLICATE_VALUE", expected)
    org.request("DELETE", f"sobjects/Contact/{first}")
    org.make("Contact", LastName="B", Sidefeed_Key__c="kEY")


def test_references_by_external_id(org: Caller) -> None:
    account = org.make("Account", Name="A", Ext__c="ext-1")
    key = org.make("Contact", LastName="Ito", Account={"Ext__c": "ext-1"})
    assert org.row("Contact", key)["AccountId"] == account
    missing = org.request("POST", "sobjects/Contact", {"LastName": "x", "Account": {"Ext__c": "42"}})
    expected = "Foreign key external ID: 42 not found for field Ext__c in entity Account"
    assert refusal(missing) == (400, "INVALID_FIELD", expected)


def test_a_relationship_path_leads_to_parents_and_children(org: Caller) -> None:
    account = org.make("Account", Name="A")
    contact = org.make("Contact", LastName="Ito", AccountId=account)
    assert org.get(f"sobjects/Contact/{contact}/Account").json()["Id"] == account
    children = org.get(f"sobjects/Account/{account}/Contacts").json()
    assert (children["totalSize"], children["records"][0]["Id"]) == (1, contact)


# custom objects, record types, defaults


def test_custom_objects_behave_like_standard_ones(org: Caller) -> None:
    account = org.make("Account", Name="A")
    key = org.make("Project__c", Name="P", Code__c="c1", Account__c=account, Budget__c=12.345, Size__c="Small")
    row = org.row("Project__c", key)
    assert (row["Budget__c"], row["Active__c"], row["Account__c"]) == (12.35, False, account)
    assert org.rows("SELECT Name, (SELECT Code__c FROM Projects__r) FROM Account")[0]["Projects__r"]["totalSize"] == 1
    assert org.column("SELECT Account__r.Name FROM Project__c")[0]["Name"] == "A"
    refused = org.request("POST", "sobjects/Project__c", {"Name": "Q"})
    assert refusal(refused)[2] == "Required fields are missing: [Code__c]"
    org.request("DELETE", f"sobjects/Account/{account}")
    assert org.query("SELECT COUNT() FROM Project__c")["totalSize"] == 0


def test_record_types_belong_to_their_object_and_show_in_describe(org: Caller) -> None:
    made = org.make("RecordType", Name="Partner", DeveloperName="Partner", SobjectType="Account", IsActive=True)
    key = org.make("Account", Name="A", RecordTypeId=made)
    assert org.rows("SELECT RecordType.DeveloperName FROM Account")[0]["RecordType"]["DeveloperName"] == "Partner"
    infos = {info["developerName"]: info for info in org.get("sobjects/Account/describe").json()["recordTypeInfos"]}
    assert (infos["Partner"]["recordTypeId"], infos["Master"]["master"]) == (made, True)
    org.change("Account", key, RecordTypeId="012000000000000AAA")
    assert org.row("Account", key)["RecordTypeId"] is None
    wrong = org.request("POST", "sobjects/Case", {"RecordTypeId": made})
    assert refusal(wrong)[1] in ("INVALID_CROSS_REFERENCE_KEY", "INVALID_FIELD")


# rules of the organisation


def test_validation_rules_refuse_with_their_text(org: Caller) -> None:
    org.server.call(
        org.server.condition,
        "validation_rule",
        object="Opportunity",
        formula="Amount < 0",
        message="No refunds here",
        field="Amount",
    )
    body = {"Name": "x", "StageName": "s", "CloseDate": "2026-01-01", "Amount": -1}
    answer = org.request("POST", "sobjects/Opportunity", body)
    assert answer.json() == [
        {"message": "No refunds here", "errorCode": "FIELD_CUSTOM_VALIDATION_EXCEPTION", "fields": ["Amount"]}
    ]
    org.make("Opportunity", **{**body, "Amount": 1})


def test_duplicate_rules_show_the_match_and_may_be_overridden(org: Caller) -> None:
    org.server.call(org.server.condition, "duplicate_rule", object="Contact", fields=["Email"])
    first = org.make("Contact", LastName="A", Email="a@x.example")
    body = {"LastName": "B", "Email": "A@x.example"}
    answer = org.request("POST", "sobjects/Contact", body)
    assert answer.status_code == 400
    refused = answer.json()[0]
    assert (refused["errorCode"], refused["message"]) == ("DUPLICATES_DETECTED", "Use one of these records?")
    match = refused["duplicateResult"]["matchResults"][0]["matchRecords"][0]
    assert (match["record"]["Id"], match["matchConfidence"]) == (first, 100.0)
    insisted = org.request("POST", "sobjects/Contact", body, headers={"Sforce-Duplicate-Rule-Header": "allowSave=true"})
    assert insisted.status_code == 201


def test_row_locks_hold_for_as_many_attempts_as_asked(org: Caller) -> None:
    key = org.make("Account", Name="A")
    org.server.call(org.server.condition, "row_lock", count=2, object="Account")
    for _ in range(2):
        answer = org.request("PATCH", f"sobjects/Account/{key}", {"Name": "B"})
        assert answer.json() == [
            {
                "message": f"unable to obtain exclusive access to this record or 1 records: {key}",
                "errorCode": "UNABLE_TO_LOCK_ROW",
                "fields": [],
            }
        ]
    org.change("Account", key, Name="B")


def test_automation_rewrites_fields_after_each_save(org: Caller) -> None:
    org.server.call(org.server.condition, "automation", object="Account", values={"Site": "=Name", "Rating": "Hot"})
    key = org.make("Account", Name="A")
    row = org.row("Account", key)
    assert (row["Site"], row["Rating"]) == ("A", "Hot")


def test_system_automation_moves_only_the_system_stamp(org: Caller) -> None:
    key = org.make("Account", Name="A")
    org.server.clock.move(seconds=90)
    org.server.call(org.server.records.touch, "Account", key, Rating="Hot")
    row = org.row("Account", key)
    assert row["LastModifiedDate"] == "2026-11-18T12:00:00.000+0000"
    assert row["SystemModstamp"] == "2026-11-18T12:01:30.000+0000"


def test_hidden_and_read_only_fields(org: Caller) -> None:
    key = org.make("Account", Name="A", Rating="Hot", Site="S")
    org.server.call(org.server.condition, "permission_removed", object="Account", field="Rating")
    org.server.call(org.server.condition, "permission_removed", object="Account", field="Site", access="edit")
    assert "Rating" not in org.row("Account", key)
    assert "No such column 'Rating'" in org.refusal("SELECT Rating FROM Account")[2]
    hidden = org.request("PATCH", f"sobjects/Account/{key}", {"Rating": "Cold"})
    assert refusal(hidden) == (400, "INVALID_FIELD", "No such column 'Rating' on sobject of type Account")
    read_only = org.request("PATCH", f"sobjects/Account/{key}", {"Site": "T"})
    assert refusal(read_only)[1] == "INVALID_FIELD_FOR_INSERT_UPDATE"
    fields = {f["name"]: f for f in org.get("sobjects/Account/describe").json()["fields"]}
    assert ("Rating" in fields, fields["Site"]["updateable"]) == (False, False)
    org.server.call(org.server.condition, "permission_restored", object="Account", field="Rating")
    assert org.row("Account", key)["Rating"] == "Hot"


def test_a_hidden_object_is_gone_everywhere(org: Caller) -> None:
    org.make("Lead", LastName="L", Company="C")
    org.server.call(org.server.condition, "permission_removed", object="Lead")
    assert org.refusal("SELECT Id FROM Lead")[1] == "INVALID_TYPE"
    assert org.get("sobjects/Lead/describe").status_code == 404
    assert "Lead" not in {one["name"] for one in org.get("sobjects").json()["sobjects"]}


def test_administrators_remove_rename_and_extend_fields(org: Caller) -> None:
    key = org.make("Contact", LastName="Ito", Legacy__c="7")
    org.server.call(org.server.condition, "field_renamed", object="Contact", field="Legacy__c", to="Heritage__c")
    assert org.row("Contact", key)["Heritage__c"] == "7"
    assert "No such column 'Legacy__c'" in org.refusal("SELECT Legacy__c FROM Contact")[2]
    org.server.call(org.server.condition, "field_removed", object="Contact", field="Heritage__c")
    assert "Heritage__c" not in org.row("Contact", key)
    org.server.call(org.server.condition, "picklist_value_added", object="Contact", field="Languages__c", value="Dutch")
    org.change("Contact", key, Languages__c="Dutch")


def test_the_acting_user_is_recorded(org: Caller) -> None:
    rita = org.server.call(org.server.add_user, "rita@x.example", first="Rita", last="Rep")
    key = org.make("Account", Name="A")
    org.token = org.server.call(org.server.issue_session, rita)
    org.server.clock.move(seconds=1)
    org.change("Account", key, Name="B")
    row = org.row("Account", key)
    assert (row["CreatedById"], row["LastModifiedById"]) == (org.server.admin_id, rita)
    assert org.row("Account", org.make("Account", Name="C"))["OwnerId"] == rita


# switches for what is not known for sure


def test_settings_switch_what_is_not_known_for_sure(org: Caller) -> None:
    def switch(key: str, value: Any) -> None:
        org.server.call(lambda: org.server.condition("setting", key=key, value=value))

    switch("trim_text", False)
    assert org.row("Account", org.make("Account", Name="A", Site=" s "))["Site"] == " s "
    switch("empty_string_is_null", False)
    assert org.row("Account", org.make("Account", Name="A", Site=""))["Site"] == ""
    either = "SELECT Id FROM Account WHERE Name = 'A' AND Site = 'x' OR Name = 'B'"
    assert org.refusal(either)[1] == "MALFORMED_QUERY"
    switch("mixed_and_or", True)
    assert org.query(either)["totalSize"] == 0
    switch("duplicate_header", "X-Duplicates")
    org.server.call(org.server.condition, "duplicate_rule", object="Account", fields=["Name"])
    body = {"Name": "A"}
    assert org.request("POST", "sobjects/Account", body, headers={"X-Duplicates": "allowSave=true"}).status_code == 201
    with pytest.raises(ValueError, match="no setting 'colour'"):
        switch("colour", 1)


def test_unknown_conditions_name_the_known_ones(org: Caller) -> None:
    with pytest.raises(KeyError, match="row_lock"):
        org.server.condition("weather")
    with pytest.raises(ValueError, match="no object 'Nope'"):
        org.server.condition("validation_rule", object="Nope", formula="Id = null", message="x")
    with pytest.raises(ValueError, match="No such column 'Nope'"):
        org.server.condition("validation_rule", object="Account", formula="Nope = 1", message="x")


def test_python_door_for_tests(org: Caller) -> None:
    server = org.server
    user = server.call(server.add_user, "rita@x.example")
    key = server.call(lambda: server.insert("Account", Name="A", as_user=user))
    server.call(lambda: server.update("Account", key, Name="B", as_user=user))
    assert [row["Name"] for row in server.call(server.records, "Account")] == ["B"]
    assert server.call(lambda: server.upsert("Contact", "Sidefeed_Key__c", "k", LastName="Ito"))[1] is True
    server.call(server.delete, "Account", key)
    assert server.call(server.rows, "Account") == []
    assert [row["IsDeleted"] for row in server.call(lambda: server.rows("Account", deleted=True))] == [True]
