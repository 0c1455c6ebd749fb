"""A mapping held against a live schema: the right finding at the right line, and none where all is well."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from sidefeed.connector import (
    Connector,
    FieldSchema,
    NamesRights,
    ObjectSchema,
    PermissionDenied,
    Rights,
    Unavailable,
)
from sidefeed.mapping import Mapping
from sidefeed.mapping.check import Finding, check
from sidefeed.mapping.rights import Need

ENTITIES = """
entities:
  crew:
    fields: {name: text}
  person:
    fields: {name: text, active: boolean}
  project:
    fields:
      name: text
      lead: ref person
      crew: ref crew
      helpers: refs person
      about: related project person
      state: {type: choice, choices: [open, done]}
      budget: money
      share: number
      due: date
      signed: datetime
      tags: set
      mood: text
      span: when
"""
DESK = """
system: desk
key_field: our_key
objects:
  people:
    entity: person
    readonly: true
    fields:
      name: full_name
      active: active
  projects:
    entity: project
    fields:
      name: {field: title, max_length: 80, required_on_create: true}
      lead: lead_id
      helpers: {field: helper_ids, prefix: p}
      about: {fields: {project: parent, person: patron}}
      state: {field: status, values: {open: [O, R], done: D}}
      budget: {amount: cost, currency: currency, scale: 2}
      share: {field: share, scale: 0}
      due: due_on
      signed: signed_at
      tags: {field: tags, separator: ";"}
      mood: {lens: lookup, field: mood, table: {happy: well}}
      span: {start: begins, end: ends, all_day: whole, minutes: length}
    writes:
      kind: {constant: house}
"""


def field(name: str, type: str = "string", **told: object) -> FieldSchema:
    return FieldSchema(name, type, **told)  # type: ignore[arg-type]


def fitting() -> dict[str, dict[str, FieldSchema]]:
    projects = [
        field("title", length=80, required=True),
        field("lead_id", "reference", references=("people",)),
        field("helper_ids", "references", references=("people", "robots")),
        field("parent", "association", references=("projects",)),
        field("patron", "association", references=("people",)),
        field("status", "picklist", options=("O", "R", "D"), restricted=True),
        field("cost", "currency", scale=2),
        field("currency", "enumeration"),
        field("share", "percent", scale=0),
        field("due_on", "date"),
        field("signed_at", "datetime"),
        field("tags", "multipicklist"),
        field("mood", "picklist", options=("happy",)),
        field("begins", "datetime"),
        field("ends", "datetime"),
        field("whole", "boolean"),
        field("length", "int"),
        field("kind", "picklist", options=("house", "road"), restricted=True),
        field("our_key", length=80, unique=True),
        field("notes", "textarea", length=9),
    ]
    people = [field("full_name", createable=False, updateable=False), field("active", "bool")]
    return {"projects": {each.name: each for each in projects}, "people": {each.name: each for each in people}}


World = dict[str, dict[str, FieldSchema]]


def change(name: str, **told: object) -> Callable[[World], None]:
    def apply(world: World) -> None:
        world["projects"][name] = replace(world["projects"][name], **told)  # type: ignore[arg-type]

    return apply


def remove(name: str, object: str = "projects") -> Callable[[World], None]:
    return lambda world: world[object].pop(name) and None


def add(schema: FieldSchema) -> Callable[[World], None]:
    return lambda world: world["projects"].update({schema.name: schema})


MISTAKES: list[tuple[str, str, str | tuple[str, str] | Callable[[World], None], str, str]] = [
    # code, severity, what changes, what the place shows, part of the text
    ("field-missing", "error", ("field: title", "field: titel"), "titel", "Did you mean 'title'?"),
    ("field-missing", "error", remove("cost"), "cost, c", "has no field 'cost', or hides it from this user."),
    ("field-missing", "error", remove("ends"), "ends, all", "has no field 'ends'"),
    ("field-missing", "error", remove("kind"), "kind: {c", "has no field 'kind'"),
    ("field-missing", "error", remove("full_name", "people"), "full_name", "people has no field 'full_name'"),
    ("field-type", "error", change("due_on", type="datetime"), "due_on", "Add `as: datetime`"),
    (
        "field-type",
        "error",
        ("due: due_on", "due: {field: due_on, as: datetime}"),
        "due_on, as",
        "Remove `as: datetime`",
    ),
    ("field-type", "error", change("signed_at", type="date"), "signed_at", "'signed_at' is date"),
    ("field-type", "error", change("cost", type="string"), "cost, c", "the lens 'money' of 'budget' translates"),
    ("field-type", "error", change("title", type="boolean"), "title, max", "'title' is boolean"),
    ("field-type", "error", change("whole", type="string"), "whole, min", "translates bool, boolean"),
    ("field-type", "error", change("tags", type="int"), 'tags, separator: ";"', "'tags' is int"),
    ("field-type", "error", change("helper_ids", type="date", references=()), "helper_ids, p", "'helper_ids' is date"),
    (
        "not-writable",
        "error",
        change("due_on", createable=False, updateable=False),
        "due_on",
        "Map it with `direction: r",
    ),
    ("not-writable", "error", change("kind", createable=False), "kind: {c", "Remove it from `writes`."),
    ("write-once", "warning", change("status", updateable=False), "status, v", "only when a record is created"),
    ("write-once", "warning", change("status", createable=False), "status, v", "only after a record was created"),
    ("length-exceeds", "error", change("title", length=40), "max_length: 80", "Write `max_length: 40`."),
    ("length-unknown", "warning", (", max_length: 80", ""), "title, req", "Add `max_length: 80`."),
    ("scale-exceeds", "error", change("cost", scale=0), "scale: 2", "holds 0 decimal places, not 2"),
    ("scale-unknown", "warning", ("{field: share, scale: 0}", "share"), "share\n", "Add `scale: 0`."),
    (
        "required-not-mapped",
        "error",
        add(field("site", required=True)),
        "fields:\n      name: {f",
        "needs 'site' on create",
    ),
    ("required-not-mapped", "error", ("due: due_on", ""), "fields:\n      name: {f", "needs 'due_on' on create"),
    ("required-not-guarded", "warning", (", required_on_create: true", ""), "title, max", "'name' may be blank"),
    ("value-missing", "error", change("status", options=("O", "R", "D1")), "D}}", "has no value 'D'. Did you mean"),
    ("value-missing", "warning", change("status", options=("O", "R"), restricted=False), "D}}", "has no value 'D'"),
    ("value-missing", "error", ("constant: house", "constant: hous"), "hous}", "Did you mean 'house'?"),
    ("value-unused", "warning", ("open: [O, R]", "open: [O, R, X]"), "X], done", "'status' has no value 'X'"),
    ("value-unused", "warning", change("mood", options=("sad",)), "mood: {lens", "has no value 'happy'"),
    (
        "value-unmapped",
        "warning",
        change("status", options=("O", "R", "D", "Z")),
        "state: {f",
        "'Z' of 'status' is not",
    ),
    (
        "value-unmapped",
        "warning",
        change("mood", options=("happy", "sad")),
        "mood: {lens",
        "'sad' of 'mood' is not mapped",
    ),
    (
        "reference-target",
        "error",
        change("lead_id", references=("robots",)),
        "lead_id",
        "refers to robots, never to people",
    ),
    ("reference-target", "error", change("patron", references=("robots",)), "patron", "never to people"),
    (
        "reference-mixed",
        "warning",
        ("{field: helper_ids, prefix: p}", "helper_ids"),
        "helper_ids",
        "may also hold ids of robots",
    ),
    ("reference-unmapped", "error", ("due: due_on", "crew: notes"), "notes", "no object of desk is mapped to it"),
    ("key-field-missing", "error", remove("our_key"), "key_field: our_key", "Run `sidefeed prepare desk`"),
    ("key-field-unfit", "error", change("our_key", unique=False), "key_field: our_key", "is not unique"),
    ("key-field-unfit", "error", change("our_key", length=20), "key_field: our_key", "48 characters or more"),
    ("key-field-unfit", "error", change("our_key", createable=False), "key_field: our_key", "this user may write"),
]


def held(mapping: Mapping, world: World) -> list[Finding]:
    return faults(check(mapping, lambda system, object: ObjectSchema(object, object, world[object])))


def faults(found: list[Finding]) -> list[Finding]:
    return [each for each in found if each.severity != "note"]


def test_a_mapping_that_fits_has_no_findings(small: Callable[..., Mapping]) -> None:
    assert held(small(entities=ENTITIES, desk=DESK), fitting()) == []


@pytest.mark.parametrize(
    ("code", "severity", "what", "place", "message"), MISTAKES, ids=[f"{each[0]} {each[4]}" for each in MISTAKES]
)
def test_a_mistake_has_its_code_at_its_line(
    small: Callable[..., Mapping],
    code: str,
    severity: str,
    what: tuple[str, str] | Callable[[World], None],
    place: str,
    message: str,
) -> None:
    desk, world = DESK, fitting()
    if callable(what):
        what(world)
    else:
        assert what[0] in desk
        desk = desk.replace(*what, 1)
        if message.startswith("needs 'due_on'"):
            change("due_on", required=True)(world)
    found = [each for each in held(small(entities=ENTITIES, desk=desk), world) if message in str(each)]
    assert [(each.code, each.severity) for each in found] == [(code, severity)], found
    offset = desk.index(place)
    line, column = desk.count("\n", 0, offset) + 1, offset - desk.rfind("\n", 0, offset)
    assert (found[0].file, found[0].line) == ("mappings/desk.yaml", line), str(found[0])
    assert found[0].column == column, str(found[0])
    assert found[0].remedy
    assert str(found[0]).startswith(f"mappings/desk.yaml:{line}:{found[0].column}: ")


def test_an_object_that_cannot_be_described_is_a_finding_and_the_others_go_on(small: Callable[..., Mapping]) -> None:
    def describe(system: str, object: str) -> ObjectSchema:
        if object == "people":
            raise PermissionDenied("people is hidden from this user")
        return ObjectSchema(object, object, fitting()[object] | {"due_on": field("due_on", "datetime")})

    found = faults(check(small(entities=ENTITIES, desk=DESK), describe))
    assert [each.code for each in found] == ["object-unreadable", "field-type"]
    assert "people is hidden from this user" in found[0].message
    assert "ask an administrator" in found[0].remedy


def test_a_connection_that_fails_is_told_as_such(small: Callable[..., Mapping]) -> None:
    def describe(system: str, object: str) -> ObjectSchema:
        raise Unavailable("no answer in 30 s")

    found = faults(check(small(entities=ENTITIES, desk=DESK), describe))
    assert [each.code for each in found] == ["object-unreadable"] * 2
    assert "repair the connection" in found[0].remedy


def test_what_is_never_written_is_not_judged_for_writing(small: Callable[..., Mapping]) -> None:
    world = fitting()
    for name in ("title", "status", "cost"):
        change(name, createable=False, updateable=False, required=True, length=3)(world)
    mapped = small(entities=ENTITIES, desk=DESK.replace("entity: project\n", "entity: project\n    readonly: true\n"))
    assert held(mapped, world) == []


def test_the_default_mappings_raise_no_false_alarm(mapping: Mapping, live: dict[str, Connector]) -> None:
    found = check(mapping, lambda system, object: live[system].describe(object), lambda need: _rights(live, need))
    assert [str(each) for each in faults(found)] == []


def _rights(live: dict[str, Connector], need: Need) -> Rights | None:
    connector = live[need.system]
    return connector.rights(need.object, reads=need.reads, writes=need.writes, creates=need.creates,
                            deletes=need.deletes) if isinstance(connector, NamesRights) else None
