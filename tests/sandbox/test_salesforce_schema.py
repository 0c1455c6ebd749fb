"""Objects and fields of the practice Salesforce say what real describes say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.salesforce.ids import mint, to18
from sandbox.salesforce.schema import SchemaError, describe_object, standard_schema

from .salesforce_caller import Caller, organisation, refusal

DESCRIBED = ("Account", "Contact", "Lead", "Opportunity", "OpportunityContactRole", "Event", "Case")


@pytest.fixture
def org() -> Iterator[Caller]:
    with organisation() as caller:
        yield caller


@pytest.mark.parametrize("name", DESCRIBED)
def test_standard_objects_agree_with_real_describes_field_by_field(reference_data: Path, name: str) -> None:
    real = json.loads((reference_data / "salesforce" / "describe" / f"{name}_describe.json").read_text("utf-8"))
    schema = standard_schema()
    sobject = schema.object(name)
    assert sobject is not None
    ours = describe_object(schema, sobject, "/services/data/v59.0", [])

    ignored = {"fields", "childRelationships", "urls", "recordTypeInfos", "supportedScopes"}
    assert {k: v for k, v in real.items() if k not in ignored} == {
        k: v for k, v in ours.items() if k not in ignored and k in real
    }
    fields = {field["name"]: field for field in ours["fields"]}
    for field in real["fields"]:
        if field["name"].endswith("__c"):
            continue
        mine = dict(fields[field["name"]])
        if field["name"] == "RecurrenceTimeZoneSidKey":  # the list of zones is the running system's
            mine["picklistValues"] = field["picklistValues"]
        assert {key: mine[key] for key in field} == field


def test_child_relationships_between_described_objects_agree(reference_data: Path) -> None:
    schema = standard_schema()
    modelled = {one.name for one in schema}
    for name in ("Account", "Contact", "Opportunity"):
        real = json.loads((reference_data / "salesforce" / "describe" / f"{name}_describe.json").read_text("utf-8"))
        ours = {(kid.child, kid.field): kid for kid in schema.children(name).values()}
        for kid in real["childRelationships"]:
            if kid["childSObject"] in DESCRIBED and (kid["childSObject"], kid["field"]) in ours:
                mine = ours[kid["childSObject"], kid["field"]]
                assert (mine.name, mine.cascade) == (kid["relationshipName"], kid["cascadeDelete"])
        named = {k["relationshipName"] for k in real["childRelationships"] if k["childSObject"] in modelled}
        assert {"Events", "Tasks"} <= named


def test_ids_convert_between_15_and_18_characters(reference_data: Path) -> None:
    for pair in json.loads((reference_data / "salesforce" / "id_15_18_vectors.json").read_text("utf-8")):
        assert to18(pair["id15"]) == pair["id18"]
        assert to18(pair["id18"]) == pair["id18"]
        assert to18(pair["id18"].lower()[:15] + pair["id18"][15:]) == pair["id18"]


@pytest.mark.parametrize(
    "text", ["", "001", "0012300000bVTphAA", "0012300000bVTp!", "0012300000bVTphAA9", "../../x/y/z/a1b2"]
)
def test_texts_of_another_shape_are_no_ids(text: str) -> None:
    assert to18(text) is None


def test_minted_ids_carry_prefix_order_and_a_true_suffix() -> None:
    made = [mint("001", number) for number in (1, 61, 62, 3844, 10**9)]
    assert made == sorted(made)
    assert all(one.startswith("0015g0") and to18(one[:15]) == one for one in made)


def test_global_describe_lists_objects_with_prefixes_and_urls(org: Caller) -> None:
    body = org.get("sobjects").json()
    assert (body["encoding"], body["maxBatchSize"]) == ("UTF-8", 200)
    listed = {one["name"]: one for one in body["sobjects"]}
    assert (listed["Lead"]["keyPrefix"], listed["Event"]["keyPrefix"], listed["User"]["keyPrefix"]) == (
        "00Q",
        "00U",
        "005",
    )
    assert listed["Project__c"]["custom"] is True
    assert listed["Account"]["urls"]["describe"] == "/services/data/v59.0/sobjects/Account/describe"
    assert listed["Opportunity"]["mergeable"] is False


def test_declared_fields_appear_in_describe(org: Caller) -> None:
    fields = {field["name"]: field for field in org.get("sobjects/contact/describe").json()["fields"]}
    key = fields["Sidefeed_Key__c"]
    assert (key["externalId"], key["unique"], key["idLookup"], key["length"], key["custom"]) == (
        True,
        True,
        True,
        80,
        True,
    )
    assert fields["Languages__c"]["type"] == "multipicklist"
    project = org.get("sobjects/Project__c/describe").json()
    assert project["keyPrefix"].startswith("a")
    kids = org.get("sobjects/Account/describe").json()["childRelationships"]
    assert ("Project__c", "Projects__r", True) in [
        (k["childSObject"], k["relationshipName"], k["cascadeDelete"]) for k in kids
    ]


def test_describe_answers_304_when_nothing_changed_since(org: Caller) -> None:
    first = org.get("sobjects/Account/describe")
    since = {"If-Modified-Since": first.headers["Last-Modified"]}
    assert org.get("sobjects/Account/describe", since).status_code == 304
    org.server.clock.move(seconds=5)
    org.server.call(org.server.condition, "picklist_value_added", object="Account", field="Rating", value="Icy")
    assert org.get("sobjects/Account/describe", since).status_code == 200


def test_unknown_objects_are_not_found(org: Caller) -> None:
    for path in ("sobjects/Nope", "sobjects/Nope/describe", "sobjects/Nope/001000000000000AAA"):
        assert refusal(org.get(path)) == (404, "NOT_FOUND", "The requested resource does not exist")


@pytest.mark.parametrize(
    ("declaration", "named"),
    [
        ({}, "objects"),
        ({"objects": {"Widget": {}}}, "Widget"),
        ({"objects": {"Contact": {"fields": {"Key": {"type": "string"}}}}}, "Contact.Key"),
        ({"objects": {"Contact": {"fields": {"Key__c": {"type": "strng"}}}}}, "strng"),
        ({"objects": {"Contact": {"fields": {"Email": {"createable": False}}}}}, "Contact.Email"),
    ],
)
def test_wrong_declarations_are_refused_naming_the_entry(declaration: dict[str, Any], named: str) -> None:
    with pytest.raises(SchemaError, match=named):
        standard_schema().load(declaration)


def test_a_describe_answer_can_be_loaded_as_a_declaration(reference_data: Path) -> None:
    schema = standard_schema()
    schema.load(json.loads((reference_data / "salesforce" / "describe" / "Custom__c_describe.json").read_text("utf-8")))
    loaded = schema.object("Custom__c")
    assert loaded is not None
    assert (loaded.prefix, loaded.fields["CustomField__c"].length) == ("aB5", 80)
