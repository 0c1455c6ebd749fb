"""What a folder of mapping files compiles to."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sidefeed import installed
from sidefeed.mapping import LensError, Mapping, MappingErrors, Policy, lenses
from sidefeed.mapping.lenses import SameIds, Scalar

from .conftest import DEFAULTS, Folder

REFS = SameIds()
ENTITIES = """
entities:
  project:
    deletes: propagate
    fields:
      name: text
      lead: ref person
      state: {type: choice, choices: [open, done]}
      budget: money
      notes: {type: text, lines: many, policy: append}
      tags: set
      score: {type: number, never_blank: true}
  person:
    fields: {name: text, email: {type: email, policy: {prefer: desk}}}
"""
DESK = """
system: desk
key_field: our_key
defaults:
  money: {default_currency: EUR}
objects:
  projects:
    entity: project
    match: [name, [lead, state]]
    fields:
      name: {field: title, max_length: 10}
      lead: lead_id
      state: {field: status, values: {open: [O, Reopened], done: D}, required_on_create: true}
      budget: cost
      notes: {field: notes, direction: write}
      score: {field: score, direction: read}
    writes:
      kind: {constant: 7}
      summary: {template: "{name} / {budget} / {tags}", on: always}
      origin: {template: "made for {lead}"}
    create_when: {state: [open, null], lead: not blank}
  people:
    entity: person
    readonly: true
    deletes: unlink
    match: [email]
    fields: {name: name, email: mail}
"""


@pytest.fixture
def desk(small: Callable[..., Mapping]) -> Mapping:
    return small(entities=ENTITIES, desk=DESK)


def test_what_is_referred_to_comes_first(desk: Mapping) -> None:
    assert [each.object for each in desk.objects] == ["people", "projects"]


def test_the_default_objects_stand_in_dependency_order(mapping: Mapping) -> None:
    order = list(dict.fromkeys(each.entity for each in mapping.objects))
    assert order == ["user", "account", "contact", "opportunity", "meeting", "task"]


def test_the_type_of_a_field_chooses_its_lens(desk: Mapping) -> None:
    chosen = {each.name: each.lens.name for each in desk.of("desk", "projects").fields}
    assert chosen == {
        "name": "text",
        "lead": "reference",
        "state": "choice",
        "budget": "money",
        "notes": "text",
        "score": "number",
    }


def test_a_read_leaves_out_what_is_unknown_and_what_is_only_written(desk: Mapping) -> None:
    raw = {"title": " Roof ", "status": "Reopened", "cost": "5.10", "notes": "n", "score": None}
    assert desk.of("desk", "projects").read(raw, REFS) == (
        {"name": "Roof", "state": "open", "budget": {"amount": "5.1", "currency": "EUR"}, "score": None},
        [],
    )


def test_a_bad_value_leaves_its_field_out_and_the_record_goes_on(desk: Mapping) -> None:
    values, problems = desk.of("desk", "projects").read({"title": "Roof", "status": "Paused", "score": 1.5}, REFS)
    assert values == {"name": "Roof"}
    assert [(each.field, each.code) for each in problems] == [("state", "unknown-value"), ("score", "not-a-number")]
    assert "'Paused' in status is not mapped: add it to `values` of state" in problems[0].message


def test_a_write_names_only_what_was_asked_for(desk: Mapping) -> None:
    values = {"name": "Roof", "state": "done", "score": "3", "notes": None}
    assert desk.of("desk", "projects").write(values, ["state", "score", "notes", "absent"], REFS) == (
        {"status": "D", "notes": None},
        [],
    )


def test_a_template_follows_the_fields_it_is_made_of(desk: Mapping) -> None:
    values = {"name": "Roof", "budget": {"amount": "5", "currency": "EUR"}, "tags": ["a", "b"]}
    raw, _ = desk.of("desk", "projects").write(values, ["name"], REFS)
    assert raw == {"title": "Roof", "summary": "Roof / 5 EUR / a, b"}


def test_a_create_adds_constants_and_leaves_blanks_out(desk: Mapping) -> None:
    raw, _ = desk.of("desk", "projects").write({"name": "R", "lead": None}, ["name", "lead"], REFS, create=True)
    assert raw == {"title": "R", "kind": 7, "summary": "R /  /", "origin": "made for"}


def test_a_blank_is_created_as_what_the_mapping_says(small: Callable[..., Mapping]) -> None:
    said = DESK.replace("done: D}, req", "done: D}, create_as: open, req").replace("max_length: 10", "blank_as: '?'")
    projects = small(entities=ENTITIES, desk=said).of("desk", "projects")
    assert projects.missing({}) == ()
    raw, _ = projects.write({"state": None}, [], REFS, create=True)
    assert (raw["status"], raw["title"]) == ("O", "?")
    raw, _ = projects.write({"state": "done", "name": "R"}, ["state"], REFS, create=True)
    assert (raw["status"], "title" in raw) == ("D", False)
    assert projects.write({"state": None}, ["state"], REFS)[0] == {"status": None}


def test_too_long_a_text_is_refused_with_its_length(desk: Mapping) -> None:
    raw, problems = desk.of("desk", "projects").write({"name": "x" * 11}, ["name"], REFS)
    assert raw == {"summary": f"{'x' * 11} /  /"}
    assert problems[0].code == "too-long"
    assert "has 11 characters and title holds 10" in problems[0].message


def test_a_reference_that_has_not_crossed_yet_says_what_it_waits_for(desk: Mapping) -> None:
    class Nothing:
        def record(self, entity: str, external_id: str) -> str | None:
            return None

        def external(self, entity: str, record: str) -> str | None:
            return None

    projects = desk.of("desk", "projects")
    _, problems = projects.read({"lead_id": "7"}, Nothing())
    assert [(each.field, each.code, each.entity, each.id) for each in problems] == [
        ("lead", "unresolved", "person", "7")
    ]
    _, problems = projects.write({"lead": "r7"}, ["lead"], Nothing())
    assert [(each.code, each.entity, each.id) for each in problems] == [("unresolved", "person", "r7")]
    assert projects.references_in({"lead_id": "7"}) == {("person", "7")}
    assert projects.references_out({"lead": "r7", "name": "x"}) == {("person", "r7")}


def test_conditions_for_creation_are_compiled(desk: Mapping) -> None:
    wanted = desk.of("desk", "projects").create_when
    assert wanted is not None
    tried = [{"state": "open", "lead": "r"}, {"lead": "r"}, {"state": "done", "lead": "r"}, {"state": "open"}]
    assert [wanted(each) for each in tried] == [True, True, False, False]


def test_fields_required_on_create_are_named_when_blank(desk: Mapping) -> None:
    projects = desk.of("desk", "projects")
    assert projects.missing({"name": "R"}) == ("state",)
    assert projects.missing({"state": "open"}) == ()


def test_policies_and_merge_rules_reach_the_entities(desk: Mapping, mapping: Mapping) -> None:
    project = desk.entities["project"].fields
    assert project["notes"].policy == Policy("append")
    assert project["score"].policy == Policy("latest", None, True)
    assert desk.entities["person"].fields["email"].policy == Policy("prefer", "desk")
    assert [project[name].merge for name in ("tags", "budget")] == ["set", "value"]
    deal = mapping.entities["opportunity"].fields
    assert {name for name, spec in deal.items() if spec.policy.rule == "ask"} >= {"money", "close_date", "stage"}
    assert deal["next_step"].policy == Policy("latest")
    assert mapping.entities["meeting"].fields["attendees"].merge == "set"


def test_deletion_and_creation_rules_come_from_entity_then_object(desk: Mapping) -> None:
    people, projects = desk.objects
    assert (people.deletes, people.creates, people.key_field) == ("unlink", False, None)
    assert (projects.deletes, projects.creates, projects.key_field) == ("propagate", True, "our_key")
    assert all(not each.writes for each in people.fields)


def test_the_key_field_is_read_with_the_rest(desk: Mapping) -> None:
    fields = ("title", "lead_id", "status", "cost", "notes", "score", "our_key", "summary")
    assert desk.of("desk", "projects").raw_fields == fields


def test_the_fingerprint_follows_meaning_and_not_comments(small: Callable[..., Mapping], desk: Mapping) -> None:
    commented = small(entities=f"# hello\n{ENTITIES}", desk=f"{DESK}\n# bye\n")
    assert commented.fingerprint == desk.fingerprint
    changed = small(entities=ENTITIES, desk=DESK.replace("open: [O", "open: [Open"))
    assert changed.fingerprint != desk.fingerprint
    assert changed.of("desk", "people").fingerprint == desk.of("desk", "people").fingerprint
    assert changed.of("desk", "projects").fingerprint != desk.of("desk", "projects").fingerprint


def test_shared_parts_are_written_once_with_an_anchor(small: Callable[..., Mapping]) -> None:
    shared = DESK.replace("fields: {name: name, email: mail}", "fields: &person {name: name, email: mail}")
    guests = "  guests:\n    entity: person\n    fields: {<<: *person, name: full_name}\n"
    mapped = small(entities=ENTITIES, desk=shared + guests)
    assert mapped.of("desk", "guests").raw_fields == ("full_name", "mail", "our_key")


def test_words_that_look_like_other_types_stay_words(small: Callable[..., Mapping]) -> None:
    odd = DESK.replace("done: D", "done: 'true'").replace("[O, Reopened]", "[2026-01-01, no]")
    state = small(entities=ENTITIES, desk=odd).of("desk", "projects").field("state").lens
    assert [state.write(each, REFS)["status"] for each in ("open", "done")] == ["2026-01-01", "true"]
    assert state.read({"status": "no"}, REFS) == "open"


def test_a_custom_field_needs_one_line_in_each_file(folder: Folder) -> None:
    folder.edit("entities.yaml", "      next_step: text\n", "      next_step: text\n      renewal_date: date\n")
    folder.edit("salesforce.yaml", "  money: Amount\n", "  money: Amount\n      renewal_date: Renewal_Date__c\n")
    folder.edit("hubspot.yaml", "      next_step: hs_next_step\n", "      renewal_date: renewal_date\n")
    mapped = folder.load()
    values, _ = mapped.of("salesforce", "Opportunity").read({"Renewal_Date__c": "2027-01-31"}, REFS)
    assert values == {"renewal_date": "2027-01-31"}
    assert mapped.of("hubspot", "deals").write(values, values, REFS) == ({"renewal_date": "2027-01-31"}, [])


def test_a_lens_of_a_third_party_is_found_by_its_entry_point(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "acme_lenses.py"
    package.write_text(_lens_in_the_reference())
    info = tmp_path / "acme_lenses-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-lenses\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[sidefeed.lenses]\nstars = acme_lenses:Stars\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    installed.everything.cache_clear()
    lenses.library.cache_clear()
    importlib.invalidate_caches()
    try:
        folder.edit("entities.yaml", "      industry: text\n", "      industry: text\n      rating: number\n")
        folder.edit(
            "salesforce.yaml", "      website: W", "      rating: {lens: stars, field: Rating}\n      website: W"
        )
        account = folder.load().of("salesforce", "Account")
        assert account.read({"Rating": "***"}, REFS)[0] == {"rating": "3"}
        assert account.write({"rating": "2"}, ["rating"], REFS)[0] == {"Rating": "**"}
        assert account.write({"rating": "2.5"}, ["rating"], REFS)[1][0].code == "not-stars"
    finally:
        installed.everything.cache_clear()
        lenses.library.cache_clear()


def _lens_in_the_reference() -> str:
    page = (DEFAULTS.parent / "docs" / "mappings.md").read_text(encoding="utf-8")
    return page.rpartition("```python\n")[2].partition("```")[0]


def test_a_lens_that_fails_its_options_names_the_file(folder: Folder) -> None:
    class Fussy(Scalar):
        """Never made."""

        name = "fussy"
        types = frozenset({"text"})
        example = "x: {lens: fussy, field: X}"

        def __init__(self, options: object, spec: object) -> None:
            raise ValueError("it is Monday")

    lenses.library()["fussy"] = Fussy
    try:
        folder.edit("hubspot.yaml", "next_step: hs", "next_step: {lens: fussy, field: x}\n      # hs")
        with pytest.raises(MappingErrors, match=r"hubspot\.yaml:\d+:\d+: the lens 'fussy' cannot be made: it is"):
            folder.load()
    finally:
        lenses.library.cache_clear()


def test_a_lens_error_is_for_the_person_who_can_mend_the_value() -> None:
    error = LensError("too-long", "shorten it")
    assert (error.code, str(error)) == ("too-long", "shorten it")


def test_mappings_load_without_the_libraries_of_systems_flows_and_tables() -> None:
    told = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, sidefeed.mapping as m; m.load(sys.argv[1]); print(sorted({n.partition('.')[0] for n in "
            "sys.modules} & {'pandas', 'prefect', 'hubspot', 'simple_salesforce', 'exchangelib', 'sqlalchemy'}))",
            str(DEFAULTS),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.strip() == "[]"


def test_a_record_that_nobody_owns_has_no_owners_folder(folder: Folder) -> None:
    folder.edit("entities.yaml", """      account: ref account
      owner: {type: ref, to: user, policy: {prefer: salesforce}}

  opportunity""", """      account: ref account

  opportunity""")
    with pytest.raises(MappingErrors, match=r"exchange.yaml.*nobody owns one.*who: all"):
        folder.load()
