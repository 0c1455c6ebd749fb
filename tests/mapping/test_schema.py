"""The JSON Schema and the reference page say what the code says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest

from sidefeed.mapping import FieldSpec, Lens
from sidefeed.mapping.files import read_yaml
from sidefeed.mapping.lenses import BUILT_IN
from sidefeed.mapping.schema import schema, text, with_tables

from .conftest import DEFAULTS

PAGE = DEFAULTS.parent / "docs" / "mappings.md"
FILES = sorted(DEFAULTS.glob("*.yaml"))


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    jsonschema.Draft202012Validator.check_schema(schema())
    return jsonschema.Draft202012Validator(schema())


def test_the_published_schema_is_the_one_the_code_makes() -> None:
    assert (DEFAULTS / "schema.json").read_text(encoding="utf-8") == text(), "run `python -m sidefeed.mapping`"


def test_the_reference_tables_are_what_the_code_makes() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert with_tables(page) == page, "run `python -m sidefeed.mapping`"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_the_default_files_meet_the_schema_and_name_it(file: Path, validator: jsonschema.Draft202012Validator) -> None:
    assert not [error.message for error in validator.iter_errors(read_yaml(file, file.name).data)]
    assert file.read_text(encoding="utf-8").startswith("# yaml-language-server: $schema=schema.json\n# ")


@pytest.mark.parametrize(
    ("field", "fits"),
    [
        ("Amount", True),
        ({"amount": "Amount", "default_currency": "USD"}, True),
        ({"lens": "money", "amount": "Amount", "default_currency": "USD"}, True),
        ({"lens": "money", "amont": "Amount", "default_currency": "USD"}, False),
        ({"lens": "mony", "amount": "Amount"}, False),
        ({"lens": "money", "field": "Amount", "default_currency": "USD"}, False),
        ({"lens": "money", "amount": "Amount", "default_currency": "dollars"}, False),
        ({"lens": "copy", "field": "Name", "too_long": "truncate"}, True),
        ({"field": "Name", "too_long": "trim"}, False),
        ({"field": "Stage", "values": {"won": ["Closed Won", "Won"]}}, True),
        (["Name"], False),
    ],
)
def test_editors_underline_what_the_loader_refuses(
    field: object, fits: bool, validator: jsonschema.Draft202012Validator
) -> None:
    document = {"system": "desk", "objects": {"deals": {"entity": "deal", "fields": {"it": field}}}}
    assert validator.is_valid(document) is fits


def test_every_key_is_described_for_the_editor() -> None:
    silent = [
        f"{name}.{key}"
        for name, model in schema()["$defs"].items()
        for key, told in model.get("properties", {}).items()
        if not told.get("description")
    ]
    assert not silent


@pytest.mark.parametrize("lens", BUILT_IN, ids=lambda lens: lens.name)
def test_the_example_of_every_lens_can_be_used(lens: type[Lens], tmp_path: Path) -> None:
    (tmp_path / "example.yaml").write_text(lens.example, encoding="utf-8")
    ((name, told),) = read_yaml(tmp_path / "example.yaml", "example").data.items()
    options = lens.Options.model_validate(told if isinstance(told, dict) else {lens.short or "": told})
    made = lens(options, FieldSpec(name, sorted(lens.types)[0], entity="user"))
    assert made.raw
    assert options.lens in (None, lens.name)


def test_the_page_names_no_key_that_does_not_exist() -> None:
    known = json.dumps(schema())
    named = set(re.findall(r"^\*\*`(\w+)`\*\*", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    assert named and all(f'"{key}"' in known for key in named)
