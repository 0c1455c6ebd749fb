"""Mistakes that show only in the whole: one broken thing each, the code that names it, at the line that mends it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from sidefeed.connector import FieldSchema, ObjectSchema, Rights
from sidefeed.mapping import Mapping
from sidefeed.mapping.check import check
from sidefeed.project import Project
from tests.test_command_line import Desk, desk  # noqa: F401  a fixture

ENTITIES = """
entities:
  person:
    fields: {name: text, email: email}
  firm:
    deletes: propagate
    fields:
      name: text
      code: text
      lead: {type: ref, to: person, policy: {prefer: crm}}
      head: ref deal
  deal:
    fields:
      name: text
      firm: ref firm
      stage: {type: choice, choices: [new, won]}
      money: money
      rank: text
"""
CRM = """
system: crm
key_field: our_key
objects:
  users:
    entity: person
    readonly: true
    fields:
      name: name
      email: email
  firms:
    entity: firm
    scope: "Kind__c IN ('A') AND RecordType.DeveloperName = 'Sales'"
    match: [code]
    fields:
      name: title
      code: code
      lead: lead_id
      head: head_id
  deals:
    entity: deal
    scope: {kind: [house, road]}
    fields:
      name: title
      firm: {field: firm_id, required_on_create: true}
      stage: {field: stage, values: {new: n1, won: w1}}
      money: {amount: amount, currency: cur, default_currency: EUR}
      rank: {field: rank, create_as: low}
    writes:
      pipeline: {constant: main}
      note: {constant: "from sidefeed"}
"""


def field(name: str, type: str = "string", **told: Any) -> FieldSchema:
    return FieldSchema(name, type, **told)


def world() -> dict[str, ObjectSchema]:
    def object(name: str, *fields: FieldSchema, **told: Any) -> ObjectSchema:
        return ObjectSchema(name, name, {each.name: each for each in fields}, **told)

    key = field("our_key", length=80, unique=True)
    return {
        "users": object("users", field("name"), field("email")),
        "firms": object("firms", field("title"), field("code", unique=True), key, field("Kind__c"),
                        field("lead_id", "reference", references=("users",)),
                        field("head_id", "reference", references=("deals",)), record_types=("Sales", "Partner")),
        "deals": object(
            "deals", field("title"), field("firm_id", "reference", references=("firms",)), key,
            field("stage", "enumeration", options=("n1", "w1"), controller="pipeline",
                  valid_for={"n1": ("main",), "w1": ("main", "side")}),
            field("pipeline", "enumeration", options=("main", "side"), restricted=True), field("amount", "number"),
            field("cur", "enumeration", options=("EUR", "USD")), field("note", length=20),
            field("kind", "enumeration", options=("house", "road")),
            field("rank", "enumeration", options=("low", "high"), restricted=True, controller="stage",
                  valid_for={"low": ("x9",), "high": ("w1",)})),
    }  # fmt: skip


World = dict[str, ObjectSchema]


def may(object: str, **told: bool) -> Callable[[World], None]:
    return lambda all: all.update({object: replace(all[object], **told)})


def change(object: str, name: str, **told: Any) -> Callable[[World], None]:
    def apply(all: World) -> None:
        fields = {**all[object].fields, name: replace(all[object].fields[name], **told)}
        all[object] = replace(all[object], fields=fields)

    return apply


MISTAKES: list[tuple[str, str, tuple[str, str] | Callable[[World], None], str, str]] = [
    # code, severity, what breaks, what stands at the place, part of the text
    ("object-not-creatable", "error", may("deals", createable=False), "deals:\n    ent", "may not create deals"),
    ("object-not-updatable", "error", may("firms", updateable=False), "firms:\n    ent", "may not edit firms"),
    ("object-not-deletable", "error", may("firms", deletable=False), "firms:\n    ent", "or set `deletes: unlink`"),
    ("scope-field-missing", "error", ("Kind__c IN", "Kin__c IN"), "scope: \"Kin", "Did you mean 'Kind__c'?"),
    ("scope-field-missing", "error", ("{kind: [", "{knd: ["), "scope: {knd", "deals has no field 'knd'"),
    ("scope-value-missing", "error", ("[house, road]", "[house, rod]"), "rod]}", "has no value 'rod'. Did you mean"),
    ("record-type-missing", "error", ("= 'Sales'", "= 'Sale'"), "scope: \"Kind", "no record type 'Sale'. Did you mean"),
    ("record-type-missing", "error", may("firms", record_types=()), "scope: \"Kind", "no record type 'Sales'"),  # type: ignore[arg-type]
    ("value-of-other-pipeline", "error", change("deals", "stage", valid_for={"n1": ("side",)}), "n1, won",
     "'n1' belongs to pipeline side"),
    ("value-of-other-pipeline", "error", ("constant: main", "constant: side"), "n1, won", "'n1' belongs to pipeline main"),
    ("pipeline-not-written", "warning", ("      pipeline: {constant: main}\n", ""), "stage: {field: stage", "2 pipelines"),
    ("value-never-accepted", "error", ("create_as: low", "lens: choice, values: {a: low, b: high}"), "low, b: high",
     "'low' of 'rank' goes with stage x9"),
    ("currency-missing", "error", ("default_currency: EUR", "default_currency: EUX"), "EUX}", "EUX is no currency of crm"),
    ("constant-unfit", "error", ("from sidefeed", "from sidefeed, the tool"), "note: {cons", "is too long for 'note'"),
    ("constant-unfit", "error", change("deals", "note", type="boolean"), "note: {cons", "is no yes or no for 'note'"),
    ("constant-unfit", "error", change("deals", "note", type="int"), "note: {cons", "is no number for 'note'"),
    ("constant-unfit", "error", change("deals", "note", type="date"), "note: {cons", "is no date for 'note'"),
    ("unique-not-matched", "warning", ("match: [code]", "match: [name]"), "code\n      lead", "Add code to `match`."),
    ("unique-not-matched", "warning", change("deals", "title", unique=True), "title\n      firm", "'title' is unique"),
    ("key-field-mapped", "error", ("code: code", "code: our_key"), "our_key\n      lead", "would be written over it"),
    ("required-unreachable", "warning", ("lead: lead_id", "lead: {field: lead_id, required_on_create: true}"),
     "lead: {field", "no person is ever created in crm"),
    ("create-cycle", "error", ("head: head_id", "head: {field: head_id, required_on_create: true}"), "head: {field: h",
     "each waits for the other"),
    ("prefer-unread", "error", ("      lead: lead_id\n", ""), "fields:\n      name: title\n      code", "prefers crm"),
    ("prefer-unread", "error", ("lead: lead_id", "lead: {field: lead_id, direction: write}"),
     "fields:\n      name: title\n      code", "nothing there is read as lead"),
    ("value-missing", "error", ("create_as: low", "create_as: lw"), "lw}", "Did you mean 'low'?"),
    ("value-missing", "error", ("create_as: low", "blank_as: none"), "none}", "has no value 'none'"),
    ("field-unmapped", "note", ("      rank: {field: rank, create_as: low}\n", ""), "fields:\n      name: title\n      firm",
     "deal.rank is in no system"),
    ("never-written", "note", ("create_as: low}", "direction: read}"), "rank: {field", "deal.rank is written nowhere"),
    ("blank-refused", "note", change("deals", "amount", required=True), "amount, currency", "'amount' is never blank"),
]  # fmt: skip


def found(mapping: Mapping, all: World, **rights: Rights) -> list[Any]:
    return check(mapping, lambda system, object: all[object], lambda need: rights.get(need.object))


def test_a_mapping_that_fits_has_no_findings(small: Callable[..., Mapping]) -> None:
    assert [str(each) for each in found(small(entities=ENTITIES, crm=CRM), world())] == []


@pytest.mark.parametrize(
    ("code", "severity", "what", "place", "message"), MISTAKES, ids=[f"{each[0]} {each[4]}" for each in MISTAKES])
def test_a_mistake_has_its_code_at_its_line(
    small: Callable[..., Mapping], code: str, severity: str, what: Any, place: str, message: str
) -> None:
    crm, all = CRM, world()
    if callable(what):
        what(all)
    else:
        assert what[0] in crm
        crm = crm.replace(*what, 1)
    told = [each for each in found(small(entities=ENTITIES, crm=crm), all) if each.code == code]
    assert len(told) == 1, told
    offset = crm.index(place)
    assert (told[0].severity, told[0].line) == (severity, crm.count("\n", 0, offset) + 1), str(told[0])
    assert message in f"{told[0].message} {told[0].remedy}"


def test_missing_rights_are_named_at_their_object(small: Callable[..., Mapping]) -> None:
    mapping = small(entities=ENTITIES, crm=CRM)
    (one,) = found(mapping, world(), deals=Rights(("deals.read", "deals.write"), ("deals.write",)))
    assert (one.code, one.line) == ("permission-missing", CRM[: CRM.index("  deals:")].count("\n") + 1)
    assert "needs deals.write, which this user or token has not" in one.message
    assert found(mapping, world(), deals=Rights(("deals.read",))) == [], "not known is not missing"


def test_an_annotation_is_what_a_workflow_reads(small: Callable[..., Mapping]) -> None:
    crm = CRM.replace("default_currency: EUR", "default_currency: EUX")
    (one,) = found(small(entities=ENTITIES, crm=crm), world())
    line = crm[: crm.index("EUX")].count("\n") + 1
    assert one.annotation().startswith(f"::error file=mappings/crm.yaml,line={line},col=")
    assert ",title=currency-missing::EUX is no currency of crm." in one.annotation()


# --- against the practice servers ------------------------------------------------------------------------------------


def test_every_finding_of_the_live_systems_is_found_by_the_command(desk: Desk) -> None:  # noqa: F811
    code, report = desk("check")
    assert (code, report["findings"]) == (0, [])
    code, report = desk("check", "--notes")
    assert code == 0
    assert {one["severity"] for one in report["findings"]} == {"note"}
    desk.salesforce.call(desk.salesforce.condition, "permission_removed", object="Opportunity", field="NextStep",
                         access="edit")
    desk.hubspot.call(desk.hubspot.condition, "permission_removed", scope="crm.objects.deals.write")
    desk.hubspot.call(desk.hubspot.load_schema, {"pipelines": {"deals": [
        {"id": "renewals", "label": "Renewals", "displayOrder": 1, "stages": [
            {"id": "r1", "label": "Renewing", "displayOrder": 0, "metadata": {"probability": "0.5"}}]}]}})
    code, report = desk("check")
    told = {(one["code"], one["object"], one["field"]) for one in report["findings"]}
    assert code == 2
    assert told == {("not-writable", "Opportunity", "next_step"), ("permission-missing", "deals", ""),
                    ("value-unmapped", "deals", "stage")}
    assert any(" (Renewing) of 'dealstage'" in one["message"] for one in report["findings"])


def test_the_rights_are_listed_for_the_administrator(desk: Desk) -> None:  # noqa: F811
    code, report = desk("map", "rights")
    objects = {(one["system"], one["object"]): one for one in report["objects"]}
    assert (code, report["ok"]) == (0, True)
    assert "Opportunity.NextStep: Read and Edit" in objects["salesforce", "Opportunity"]["rights"]
    assert "Opportunity.Probability: Read" in objects["salesforce", "Opportunity"]["rights"]
    assert "Opportunity: Delete" in objects["salesforce", "Opportunity"]["rights"]
    assert "Account: Delete" not in objects["salesforce", "Account"]["rights"]
    assert objects["hubspot", "deals"]["rights"][:3] == [
        "crm.objects.deals.read", "crm.schemas.deals.read", "crm.objects.deals.write"]
    desk.hubspot.call(desk.hubspot.condition, "permission_removed", scope="crm.objects.companies.write")
    code, report = desk("map", "rights", "hubspot")
    assert code == 1
    assert {one["object"]: one["missing"] for one in report["objects"] if one["missing"]} == {
        "companies": ["crm.objects.companies.write"]}
    code, report = desk("map", "rights", "--no-ask")
    assert (code, {one["rights"] for one in report["objects"]}) == (0, {None})


def test_owners_who_are_not_known_in_a_system_are_counted(desk: Desk) -> None:  # noqa: F811
    bob = str(desk.salesforce.call(lambda: desk.salesforce.add_user(
        "bob@us.example", first="Bob", last="Ruiz", email="bob@us.example")))
    for number in range(3):
        desk.sf("Opportunity", Name=f"Deal {number}", StageName="Prospecting", CloseDate="2027-01-15", OwnerId=bob)
    desk("sync")
    code, report = desk("check")
    (one,) = [one for one in report["findings"] if one["code"] == "owner-uncovered"]
    assert (code, one["system"], one["object"], one["severity"]) == (0, "hubspot", "deals", "warning")
    assert "1 owners of 3 records are not known in hubspot: bob@us.example (3)." in one["message"]
    desk.edit("hubspot.yaml", "owner: hubspot_owner_id\n      contacts:\n        # Association",
              "owner: {lens: owner, field: hubspot_owner_id, fallback: \"1\"}\n"
              "      contacts:\n        # Association")
    assert "owner-uncovered" not in {one["code"] for one in desk("check")[1]["findings"]}


@pytest.mark.slow
def test_a_pair_of_values_that_the_organisation_refuses_is_found_before_it_fails(desk: Desk) -> None:  # noqa: F811
    reason = {"type": "picklist", "restricted": True, "label": "Reason", "controllerName": "StageName", "values": [
        {"value": "Price", "validFor": ["Closed Lost"]},
        {"value": "Quality", "validFor": ["Closed Won", "Prospecting"]},
        {"value": "Luck", "validFor": ["Id. Decision Makers"]}]}
    desk.salesforce.call(desk.salesforce.load_schema, {"objects": {"Opportunity": {"fields": {"Reason__c": reason}}}})
    desk.property("deals", name="reason", label="Reason")
    desk.edit("entities.yaml", "      next_step: text\n", "      next_step: text\n      reason: text\n")
    desk.edit("hubspot.yaml", "      next_step: hs_next_step\n", "      next_step: hs_next_step\n      reason: reason\n")
    desk.edit("salesforce.yaml", "      next_step: {field: NextStep", "      reason: {lens: choice, field: Reason__c, "
              "values: {price: Price, quality: Quality}}\n      next_step: {field: NextStep")
    assert {one["code"] for one in desk("check")[1]["findings"]} == {"value-unmapped"}, "Luck"
    deals = (("Lost", "Closed Lost", "price"), ("Won", "Closed Won", "price"), ("New", "Prospecting", "quality"))
    for name, stage, _said in deals:
        desk.sf("Opportunity", Name=name, StageName=stage, CloseDate="2027-01-15")
    desk("sync")
    ids = {row["properties"]["dealname"]: row["id"] for row in desk.hubspot.call(desk.hubspot.records, "deals")}
    for name, _stage, said in deals:
        desk.hubspot.call(desk.hubspot.update, "deals", ids[name], reason=said)
    with Project.load(desk.folder).engine(["hubspot"]) as engine:
        engine.sync(["hubspot"])
    code, told = desk("check")
    (found,) = [one for one in told["findings"] if one["code"] == "values-apart"]
    assert (code, found["severity"], found["field"]) == (2, "error", "reason")
    assert "1 records hold a 'Reason__c' that salesforce refuses beside their 'StageName': Price with Closed Won (1)" in (
        found["message"])
    code, report = desk("sync")
    refused = [one for one in report["problems"] if one["code"] == "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"]
    assert (code, [one["field"] for one in refused]) == (1, ["Reason__c"]), "as was foretold"
    held = {row["Name"]: row["Reason__c"] for row in desk.salesforce.call(desk.salesforce.rows, "Opportunity")}
    assert held == {"Lost": "Price", "Won": None, "New": "Quality"}
    desk.edit("salesforce.yaml", "quality: Quality}", "quality: Quality, luck: Luck}")
    desk.edit("salesforce.yaml", "needs_analysis: [Needs Analysis, Value Proposition, Id. Decision Makers, "
              "Perception Analysis]", "needs_analysis: Needs Analysis")
    told = desk("check")[1]
    (found,) = [one for one in told["findings"] if one["code"] == "value-never-accepted"]
    assert "'Luck' of 'Reason__c' goes with StageName Id. Decision Makers" in found["message"]
