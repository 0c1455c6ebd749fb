"""Each mistake in a mapping file is reported where it stands, with what was expected."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidefeed.mapping import MappingErrors, load

from .conftest import Folder

SALESFORCE, HUBSPOT, ENTITIES = "salesforce.yaml", "hubspot.yaml", "entities.yaml"
MEETING_TIME = (
    "when: {start: hs_meeting_start_time, end: hs_meeting_end_time, stamp: hs_timestamp, required_on_create: true}"
)
ABOUT = "about: {fields: {opportunity: associations.deals, account: associations.companies}}"

MISTAKES = [
    (
        SALESFORCE,
        "money: Amount",
        "money: {lens: mony, amount: Amount}",
        "mony,",
        "unknown lens 'mony'. Did you mean 'money'?",
    ),
    (SALESFORCE, "money: Amount", "money: {amonut: Amount}", "amonut", "unknown key 'amonut'. Did you mean 'amount'?"),
    (
        SALESFORCE,
        "money: Amount",
        "money: {amount: Amount, default_currency: bucks}",
        "bucks}",
        "'bucks' is not valid for",
    ),
    (SALESFORCE, "next_step: {f", "nextstep: {f", "nextstep: {f", "no field 'nextstep'. Did you mean 'next_step'?"),
    (
        SALESFORCE,
        "entity: opportunity",
        "entity: oportunity",
        "oportunity",
        "unknown entity 'oportunity'. Did you mean",
    ),
    (SALESFORCE, "match: [email]", "match: [emial]", "emial", "user has no field 'emial'. Did you mean 'email'?"),
    (
        SALESFORCE,
        "match: [email]",
        "match: [owner]",
        "owner]",
        "user has no field 'owner'. Expected one of: active, email",
    ),
    (
        SALESFORCE,
        "[account, name, money]",
        "[account, external_key]",
        "external_key]",
        "'external_key' cannot match: it is",
    ),
    (SALESFORCE, "key_field: S", "keyfield: S", "keyfield", "unknown key 'keyfield'. Did you mean 'key_field'?"),
    (SALESFORCE, "readonly: true", "readonly: maybe", "maybe", "'readonly' must be true or false, not 'maybe'."),
    (SALESFORCE, "max_length: 120", "max_length: many", "many", "'max_length' must be a whole number, not 'many'."),
    (SALESFORCE, "max_length: 120", "max_length: -1", "-1", "'max_length': input should be greater than or equal to 1"),
    (SALESFORCE, "won: Closed Won", "wonn: Closed Won", "wonn:", "'stage' has no choice 'wonn'. Did you mean 'won'?"),
    (SALESFORCE, "won: Closed Won", "won: Closed Lost", "Closed Lost\n      next", "'Closed Lost' already means 'won'"),
    (
        SALESFORCE,
        "won: Closed Won\n",
        "won: Closed Won\n          won: Twice\n",
        "won: Twice",
        "'won' is written twice; the first",
    ),
    (SALESFORCE, "won: Closed Won\n", "won: []\n", "[]\n", "'won' has an empty list"),
    (
        SALESFORCE,
        "          won: Closed Won\n",
        "",
        "prospecting: Pros",
        "no value for 'won'. Add it, or say what `unknown`",
    ),
    (
        SALESFORCE,
        "max_length: 255, req",
        "too_long: truncat, req",
        "truncat,",
        "'truncat' is not valid for 'too_long'. Did you",
    ),
    (
        SALESFORCE,
        "about: not blank",
        "abuot: not blank",
        "abuot",
        "meeting has no field 'abuot'. Did you mean 'about'?",
    ),
    (
        SALESFORCE,
        "sensitivity: [normal",
        "sensitivity: [norml",
        "[norml",
        "'sensitivity' has no choice 'norml'. Did you mean",
    ),
    (SALESFORCE, "objects:\n", "objects:\n  Foo: 3\n", "3\n", "'Foo' must be keys and values, not 3."),
    (SALESFORCE, "entity: user\n", "deletes: ask\n", "User:", "the key 'entity' is missing."),
    (
        SALESFORCE,
        "  phone: {region: US}",
        "  phone: {regoin: US}",
        "regoin",
        "unknown key 'regoin'. Did you mean 'region'?",
    ),
    (
        SALESFORCE,
        "  phone: {region: US}",
        "  phon: {region: US}",
        "phon:",
        "unknown lens 'phon'. Did you mean 'phone'?",
    ),
    (
        ENTITIES,
        "policy: ask, label",
        "policy: asc, label",
        "asc,",
        "'asc' is not valid for 'policy'. Did you mean 'ask'?",
    ),
    (
        ENTITIES,
        "{prefer: salesforce}",
        "{prefer: salesfroce}",
        "{prefer: salesfroce}",
        "'owner' prefers 'salesfroce', and no file",
    ),
    (
        ENTITIES,
        "{prefer: salesforce}",
        "{preferr: salesforce}",
        "preferr",
        "unknown key 'preferr'. Did you mean 'prefer'?",
    ),
    (ENTITIES, "{type: text, desc", "{type: txt, desc", "txt", "'txt' is not valid for 'type'. Did you mean 'text'?"),
    (ENTITIES, "email: email", "email: emial", "emial", "unknown type 'emial'. Did you mean 'email'?"),
    (
        ENTITIES,
        "account: ref account",
        "account: ref acount",
        "ref acount",
        "refers to the unknown entity 'acount'. Did you",
    ),
    (
        ENTITIES,
        "account: ref account",
        "account: ref",
        "ref\n",
        "'account' refers to no entity: write it as `ref <entity>`.",
    ),
    (
        ENTITIES,
        "active: boolean\n",
        "active: boolean\n      Extra: text\n",
        "Extra",
        "'Extra' cannot name a field: use lower-case letters",
    ),
    (ENTITIES, "choices: [open, done]", "label: Status", "{type: choice, label: Status", "'status' needs `choices`."),
    (
        HUBSPOT,
        "{constant: default}",
        "{constant: a, template: b}",
        "{constant: a",
        "write either `constant` or `template`.",
    ),
    (
        HUBSPOT,
        "{constant: default}",
        '{template: "{nme}"}',
        '{template: "{nme',
        "no field 'nme' for {nme}. Did you mean 'name'?",
    ),
    (
        HUBSPOT,
        "pipeline: {constant",
        "dealname: {constant",
        "name: {field: dealname",
        "'dealname' is written by `writes` already.",
    ),
    (
        HUBSPOT,
        "zone: UTC",
        "zone: Europe/Berln",
        "Europe/Berln",
        "no time zone is named 'Europe/Berln'; expected one such",
    ),
    (HUBSPOT, 'at: "12:00"', 'at: "25:00"', '"25:00"', "'25:00' is not valid for 'at'."),
    (HUBSPOT, "      phone: phone\n", "      phone: phone\n\tfax: fax\n", "\tfax", "a tab may not stand there"),
    (
        HUBSPOT,
        'at: "12:00"',
        "at: 12:00",
        ":00, zone",
        "this is not YAML: found unexpected ':'. Put quotes around values",
    ),
    (
        HUBSPOT,
        "as: datetime, at",
        "create_as: soon, as: datetime, at",
        "soon",
        "'soon' cannot be written: 'soon' is not a date",
    ),
    (
        SALESFORCE,
        "{field: Probability,",
        "{field: Probability, create_as: 5,",
        "5, dir",
        "'probability' cannot have `create_as`: it is not",
    ),
    (HUBSPOT, "next_step: hs_next_step", "next_step: [a]", "[a]", "'next_step' must be the system's field, or a lens"),
    (
        HUBSPOT,
        "next_step: hs_next_step",
        "next_step:",
        "\n      forecast",
        "'next_step' must be the system's field, or a lens",
    ),
    (
        HUBSPOT,
        MEETING_TIME,
        "when: hs_start",
        "hs_start",
        "the lens 'when' has no short form; for example `when: {start",
    ),
    (HUBSPOT, "when: {start:", "when: {strt:", "strt", "unknown key 'strt'. Did you mean 'start'?"),
    (
        HUBSPOT,
        ABOUT,
        "about: {field: x}",
        "{field: x}",
        "related needs either `fields` (entity -> field) or `field` with",
    ),
    (
        HUBSPOT,
        "{field: archived",
        "{lens: money, field: archived",
        "money, field",
        "the lens 'money' serves money; 'active' is boolean.",
    ),
    (
        HUBSPOT,
        "{field: archived",
        "{direction: write, field: archived",
        "write, field",
        "'active' cannot be written: the object is readonly.",
    ),
]


@pytest.mark.parametrize(("file", "before", "after", "place", "message"), MISTAKES, ids=[each[4] for each in MISTAKES])
def test_a_mistake_is_reported_alone_and_where_it_stands(
    folder: Folder, file: str, before: str, after: str, place: str, message: str
) -> None:
    folder.edit(file, before, after)
    written = (folder.path / file).read_text(encoding="utf-8")
    offset = _offset(written, after, place)
    line = written.count("\n", 0, offset) + 1
    column = offset - written.rfind("\n", 0, offset)
    with pytest.raises(MappingErrors) as caught:
        folder.load()
    told = [error for error in caught.value.errors if message in str(error)]
    assert told, str(caught.value)
    assert (f"mappings/{file}", line, column) == (told[0].file, told[0].line, told[0].column), str(told[0])
    unrelated = [error for error in caught.value.errors if error.line != line and "no value for" not in error.message]
    assert not unrelated, str(caught.value)


def test_all_mistakes_of_all_files_are_reported_at_once(folder: Folder) -> None:
    folder.edit(SALESFORCE, "match: [email]", "match: [emial]").edit(HUBSPOT, "zone: UTC", "zone: Nowhere")
    with pytest.raises(MappingErrors) as caught:
        folder.load()
    assert [error.file for error in caught.value.errors] == ["mappings/hubspot.yaml", "mappings/salesforce.yaml"]


def test_the_same_system_in_two_files_is_refused(folder: Folder) -> None:
    folder.edit(HUBSPOT, "system: hubspot", "system: salesforce")
    with pytest.raises(MappingErrors, match=r"salesforce\.yaml:\d+:\d+: the system 'salesforce' is mapped in"):
        folder.load()


def test_a_folder_without_entities_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(MappingErrors, match=r"entities\.yaml: there is no such file"):
        load(tmp_path)


def test_a_file_that_is_not_utf8_is_named(folder: Folder) -> None:
    (folder.path / HUBSPOT).write_bytes(b"system: \xff\n")
    with pytest.raises(MappingErrors, match=r"hubspot\.yaml: the file cannot be read"):
        folder.load()


def test_an_empty_file_says_which_key_it_needs(folder: Folder) -> None:
    (folder.path / HUBSPOT).write_text("# nothing yet\n")
    with pytest.raises(MappingErrors, match=r"hubspot\.yaml:1:1: the key 'system' is missing"):
        folder.load()


def _offset(written: str, after: str, place: str) -> int:
    """Where ``place`` stands: in or after the edit, else before it."""
    edit = written.index(after)
    found = written.find(place, edit)
    return found if found >= 0 else written.index(place)
