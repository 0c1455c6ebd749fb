"""A first mapping drafted from the live schema: what is certain is mapped, what is not says so, and it can be loaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sidefeed.connector import Connector, FieldSchema, ObjectSchema
from sidefeed.mapping import Mapping, load
from sidefeed.mapping.check import check
from sidefeed.mapping.draft import Draft, draft
from tests.test_command_line import Desk, desk  # noqa: F401  a fixture

from .conftest import Folder


def drafted(
    live: dict[str, Connector], mapping: Mapping, system: str, object: str, *sample: dict[str, object]
) -> Draft:
    return draft(live[system].describe(object), mapping.entities, sample=sample, own=("Sidefeed_Key__c", "sidefeed_key"))


def raws(made: Draft) -> dict[str, tuple[str, ...]]:
    return {line.name: tuple(str(each) for each in line.written.values()) for line in made.lines if line.written}


@pytest.mark.parametrize(
    ("system", "object", "expected"),
    [
        ("salesforce", "Account", {"name", "website", "phone", "industry", "owner"}),
        ("salesforce", "Contact", {"first_name", "last_name", "email", "phone", "title", "account", "owner"}),
        ("salesforce", "Opportunity", {"name", "money", "close_date", "stage", "next_step", "forecast_category",
                                       "description", "account", "owner", "contacts", "probability"}),
        ("salesforce", "Event", {"subject", "when", "location", "description", "contacts", "owner"}),
        ("hubspot", "companies", {"name", "domain", "website", "phone", "country", "owner"}),
        ("hubspot", "contacts", {"first_name", "last_name", "email", "phone", "title", "account", "owner"}),
        ("hubspot", "deals", {"name", "money", "close_date", "stage", "next_step", "forecast_category", "description",
                              "account", "owner", "contacts"}),
        ("hubspot", "meetings", {"subject", "when", "location", "description", "about", "contacts", "owner"}),
        ("exchange", "calendar", {"subject", "when", "location", "key", "uid", "attendees", "organiser", "sensitivity"}),
    ],
)  # fmt: skip
def test_the_guesses_are_those_of_the_default_mappings(
    live: dict[str, Connector], mapping: Mapping, system: str, object: str, expected: set[str]
) -> None:
    made = drafted(live, mapping, system, object)
    mapped = mapping.of(system, object)
    guessed = raws(made)
    assert expected <= guessed.keys()
    wrong = {name: guessed[name] for name in guessed if name in mapped
             and not set(mapped.field(name).lens.raw) & {part.strip('"{}, ') for told in guessed[name]
                                                         for part in told.replace(":", " ").split()}}
    assert wrong.keys() <= {"country", "domain", "probability", "about", "description"}, wrong


def test_every_field_of_the_object_is_mapped_or_named_as_not_mapped(
    live: dict[str, Connector], mapping: Mapping
) -> None:
    schema = live["hubspot"].describe("contacts")
    text = drafted(live, mapping, "hubspot", "contacts").text()
    assert not [name for name in schema.fields if name not in text and name != "sidefeed_key"]


def test_a_moment_that_should_be_a_date_is_mapped_with_its_zone_in_doubt(
    live: dict[str, Connector], mapping: Mapping
) -> None:
    rows = [{"closedate": "2026-12-31T12:00:00Z"}] * 3
    text = drafted(live, mapping, "hubspot", "deals", *rows).text()
    assert '      close_date: {field: closedate, as: datetime, at: "12:00", zone: UTC}' in text
    assert "doubt: closedate holds a moment: in which time zone do people read it?" in text
    assert "cannot be read" not in text


def test_sample_values_decide_between_fields_of_like_names(mapping: Mapping) -> None:
    fields = {name: FieldSchema(name, "string") for name in ("Email_Address", "Email")}
    schema = ObjectSchema("Person", "Person", fields)
    rows = [{"Email": "yes", "Email_Address": f"a{number}@b.example"} for number in range(5)]
    assert raws(draft(schema, mapping.entities, entity="contact", sample=rows))["email"] == ("Email_Address",)
    assert raws(draft(schema, mapping.entities, entity="contact"))["email"] == ("Email",)


def test_markup_in_the_samples_asks_for_rich_text(live: dict[str, Connector], mapping: Mapping) -> None:
    made = drafted(live, mapping, "hubspot", "meetings", {"hs_meeting_body": "<p>Hello</p>"})
    assert "description: {field: hs_meeting_body, lens: rich_text}" in made.text()


@pytest.mark.parametrize(("system", "object"), [("salesforce", "Lead"), ("hubspot", "tickets")])
def test_an_object_like_no_entity_becomes_a_new_one_that_loads_and_fits(
    folder: Folder, live: dict[str, Connector], mapping: Mapping, system: str, object: str
) -> None:
    from sidefeed.cli.first_mapping import put

    made = drafted(live, mapping, system, object)
    put(folder.path, system, made, mapping)
    mapped = load(folder.path)
    assert mapped.of(system, object).entity == made.entity == {"Lead": "lead", "tickets": "ticket"}[object]
    found = [one for one in check(mapped, lambda system, object: live[system].describe(object))
             if (one.system, one.object) == (system, object) and not one.code.startswith("key-field")]
    assert {one.code for one in found} <= {"write-once"}, [str(one) for one in found]


def test_references_of_a_new_entity_point_at_the_entities_there_are(
    live: dict[str, Connector], mapping: Mapping
) -> None:
    made = drafted(live, mapping, "hubspot", "tickets")
    assert "hubspot_owner: ref user" in made.new_entity
    assert "doubt: EmailBouncedReason" in drafted(live, mapping, "salesforce", "Lead").text()
    assert "n_0" not in made.new_entity, "a choice that is only a number says nothing"


def test_a_draft_never_replaces_a_mapping_that_is_there(
    folder: Folder, live: dict[str, Connector], mapping: Mapping
) -> None:
    from sidefeed.cli.first_mapping import NotWritten, put

    before = (folder.path / "hubspot.yaml").read_text()
    with pytest.raises(NotWritten, match="hubspot deals is mapped already; nothing was written"):
        put(folder.path, "hubspot", drafted(live, mapping, "hubspot", "deals"), mapping)
    assert (folder.path / "hubspot.yaml").read_text() == before


def test_a_draft_that_does_not_fit_leaves_the_files_as_they_were(
    folder: Folder, live: dict[str, Connector], mapping: Mapping
) -> None:
    from sidefeed.cli.first_mapping import NotWritten, put

    folder.edit("salesforce.yaml", "entity: task", "entity: tusk")
    before = {path: path.read_text() for path in folder.path.glob("*.yaml")}
    with pytest.raises(NotWritten, match="tusk"):
        put(folder.path, "salesforce", drafted(live, mapping, "salesforce", "Lead"), mapping)
    assert {path: path.read_text() for path in folder.path.glob("*.yaml")} == before


def test_the_command_drafts_writes_and_refuses(desk: Desk) -> None:  # noqa: F811
    desk.sf("Lead", LastName="Ito", Company="Acme", Email="ito@acme.example")
    before = (desk.folder / "mappings" / "salesforce.yaml").read_text()
    code, shown = desk("map", "init", "salesforce", "Lead")
    assert (code, shown["entity"], shown["new_entity"], shown["files"]) == (0, "lead", True, [])
    assert "last_name: {field: LastName, max_length: 80, required_on_create: true, never_blank: true}" in shown["text"]
    assert (desk.folder / "mappings" / "salesforce.yaml").read_text() == before, "nothing is written without --write"
    code, written = desk("map", "init", "salesforce", "Lead", "--write")
    assert code == 0
    assert {Path(name).name for name in written["files"]} == {"salesforce.yaml", "entities.yaml"}
    assert (desk.folder / "mappings" / "salesforce.yaml").read_text().startswith(before.rstrip())
    code, again = desk("map", "init", "salesforce", "Lead", "--write")
    assert code == 2
    assert "mapped already" in again["error"]
    code, shown = desk("map", "init", "salesforce", "Opportunity")
    assert (code, shown["entity"]) == (0, "opportunity"), "two of its lists show the same rows: one is asked for"
    assert "contacts" in shown["mapped"]
    code, unknown = desk("map", "init", "hubspot", "nosuch")
    assert code == 4
    assert "nosuch" in unknown["error"]
    code, none = desk("map", "init", "hubspt", "deals")
    assert code == 2
    assert "configured: salesforce, hubspot" in none["error"]


Small = Callable[..., Mapping]


def test_a_word_that_yaml_would_read_as_something_else_is_quoted(small: Small) -> None:
    mapping = small(entities="entities:\n  thing: {fields: {on: text, state: {type: choice, choices: [yes_, off]}}}\n",
                    desk="system: desk\nobjects: {}\n")
    schema = ObjectSchema("things", "Things", {
        "on": FieldSchema("on", "string"), "state": FieldSchema("state", "picklist", options=("Yes:", "off"))})
    text = draft(schema, mapping.entities, entity="thing").text()
    assert 'on: "on"' in text
    assert '"off": "off"' in text
    assert 'yes_: "Yes:"' in text
