"""What the explanation says is what the mapping does."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sidefeed.cli import app
from sidefeed.cli.project_files import write_project
from sidefeed.mapping import Mapping
from sidefeed.mapping.explain import FieldStory, NotMapped, explain
from sidefeed.mapping.lenses import library

SMALL = """
entities:
  deal:
    deletes: propagate
    fields:
      name: {type: text, policy: POLICY}
      kind: {type: choice, choices: [a, b]}
      tags: set
      lonely: text
"""
CRM = """
system: crm
objects:
  deals:
    entity: deal
    scope: {stage: [open, won]}
    match: [name]
    fields:
      name: {field: title, max_length: 9, required_on_create: true}
      kind: {field: kind, values: {a: [A, AA], b: B}, create_as: a}
      tags: {field: tags, direction: read}
    writes:
      origin: {constant: us}
"""


def story(mapping: Mapping, field: str) -> FieldStory:
    return explain(mapping, "deal", field)[0].fields[0]


def told(small: Callable[..., Mapping], field: str, policy: str = "latest", crm: str = CRM) -> str:
    return " ".join(story(small(entities=SMALL.replace("POLICY", policy), crm=crm), field).sentences)


@pytest.mark.parametrize(
    ("policy", "sentence"),
    [
        ("latest", "the newer one wins"),
        ("ask", "both values are shown and neither is written, until a person decides"),
        ("append", "until a person decides"),
        ("fill", "Only a blank is filled"),
        ("never-blank", "A blank never replaces a value"),
        ("{prefer: crm}", "crm is the system of record"),
    ],
)
def test_each_policy_has_its_sentence(small: Callable[..., Mapping], policy: str, sentence: str) -> None:
    assert sentence in told(small, "name", policy)


def test_sets_merge_and_have_no_conflict(small: Callable[..., Mapping]) -> None:
    said = told(small, "tags")
    assert "adds and removes" in said
    assert "no conflict" in said


def test_directions_say_what_is_read_and_written(small: Callable[..., Mapping]) -> None:
    assert "comes from crm deals.tags" in told(small, "tags")
    assert "It is written nowhere." in told(small, "tags")
    assert "It is written to crm deals.title." in told(small, "name")
    assert "entered in the workspace: no system is read for it. " in told(small, "lonely")
    assert "No system shows it." in told(small, "lonely")


def test_limits_value_tables_and_what_new_records_wait_for_are_told(small: Callable[..., Mapping]) -> None:
    mapping = small(entities=SMALL.replace("POLICY", "latest"), crm=CRM)
    (name,) = story(mapping, "name").sides
    assert name.says == (
        "A text of more than 9 characters is refused and reported.",
        "A new record waits until it is filled.",
    )
    assert (name.file, name.line, name.arrow) == ("mappings/crm.yaml", 9, "<->")
    (kind,) = story(mapping, "kind").sides
    assert kind.values == {"a": ["A", "AA"], "b": ["B"]}
    assert "A new record on which it is blank is created with 'a'." in kind.says


def test_an_object_tells_its_scope_matching_and_constants(small: Callable[..., Mapping]) -> None:
    (found,) = explain(small(entities=SMALL.replace("POLICY", "latest"), crm=CRM), "deal")
    said = " ".join(found.objects[0].sentences)
    assert "stage is open or won" in said
    assert "recognised by name" in said
    assert "origin is written as 'us' (on new records); edits of it go nowhere." in said
    assert "carried out in the others" in found.sentences[1]


def test_an_unknown_name_gets_the_nearest(mapping: Mapping) -> None:
    with pytest.raises(NotMapped, match="Did you mean 'opportunity'"):
        explain(mapping, "oportunity")
    with pytest.raises(NotMapped, match="Did you mean 'stage'"):
        explain(mapping, "opportunity", "stge")


def test_every_default_field_has_a_story_with_a_place(mapping: Mapping) -> None:
    for entity in explain(mapping):
        for field in entity.fields:
            assert len(field.sentences) >= 4
            assert all(side.line > 1 and side.file.startswith("mappings/") for side in field.sides)


def test_every_lens_speaks_in_whole_sentences(mapping: Mapping) -> None:
    said = [sentence for entity in explain(mapping) for field in entity.fields for side in field.sides
            for sentence in side.says]  # fmt: skip
    assert len(set(said)) > 20
    assert [sentence for sentence in said if not sentence.endswith(".") or not sentence[0].isascii()] == []
    assert set(library()) >= {side.lens for entity in explain(mapping) for field in entity.fields for side in field.sides}


def test_the_command_prints_sentences_and_json_and_needs_no_secrets(tmp_path: Path) -> None:
    write_project(tmp_path)
    run = CliRunner()
    text = run.invoke(app, ["explain", "opportunity.stage", "-C", str(tmp_path)])
    assert text.exit_code == 0, text.output
    assert "until a person decides" in text.stdout
    assert "Closed Won" in text.stdout
    found = run.invoke(app, ["explain", "opportunity.stage", "-C", str(tmp_path), "--json"])
    sides = json.loads(found.stdout)["entities"][0]["fields"][0]["sides"]
    assert {side["system"]: side["values"]["won"] for side in sides} == {
        "hubspot": ["closedwon"], "salesforce": ["Closed Won"]}  # fmt: skip
    assert run.invoke(app, ["explain", "-C", str(tmp_path)]).exit_code == 0
    wrong = run.invoke(app, ["explain", "opportunity.stge", "-C", str(tmp_path), "--json"])
    assert wrong.exit_code == 2
    assert "Did you mean 'stage'?" in json.loads(wrong.stdout)["error"]
