"""Shared parts in files of their own, and values that differ between environments: said once, found at their place."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidefeed.mapping import MappingErrors, load
from sidefeed.project import Project
from tests.test_command_line import Desk, desk  # noqa: F401  a fixture

from .conftest import Folder
from .test_check import held

ENTITIES = "entities:\n  deal: {fields: {name: text, stage: {type: choice, choices: [open, won]}, money: money}}\n"
CRM = """system: crm
include: shared/stages.yaml
objects:
  deals:
    entity: deal
    fields:
      name: Name
      money: {amount: Amount, default_currency: "${currency}"}
"""
STAGES = """objects:
  deals:
    fields:
      stage: {field: Stage, values: {open: O, won: W}}
      name: {field: Other, max_length: 9}
"""


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "mappings"
    (folder / "shared").mkdir(parents=True)
    (folder / "entities.yaml").write_text(ENTITIES)
    (folder / "crm.yaml").write_text(CRM)
    (folder / "shared" / "stages.yaml").write_text(STAGES)
    return folder


def mistakes(folder: Path, **values: str) -> list[str]:
    with pytest.raises(MappingErrors) as caught:
        load(folder, values or {"currency": "EUR"})
    return [str(error) for error in caught.value.errors]


def test_an_included_part_is_joined_and_the_including_file_wins(files: Path) -> None:
    deals = load(files, {"currency": "EUR"}).of("crm", "deals")
    assert {each.name: each.lens.raw for each in deals.fields} == {
        "name": ("Name",), "money": ("Amount",), "stage": ("Stage",)}
    assert deals.place(("fields", "stage")) == ("mappings/shared/stages.yaml", 4, 7)
    assert deals.place(("fields", "name")).file == "mappings/crm.yaml"


def test_a_mistake_in_a_shared_part_is_told_at_its_own_place(files: Path) -> None:
    path = files / "shared" / "stages.yaml"
    path.write_text(STAGES.replace("won: W", "wonn: W"))
    assert mistakes(files) == [
        "mappings/shared/stages.yaml:4:37: no value for 'won'. Add it, or say what `unknown` values do.",
        "mappings/shared/stages.yaml:4:47: 'stage' has no choice 'wonn'. Did you mean 'won'?",
    ]
    path.write_text("objects: {deals: {fields: {stage: [")
    assert mistakes(files)[0].startswith("mappings/shared/stages.yaml:2:1: this is not YAML")


def test_parts_may_include_parts_but_never_themselves(files: Path) -> None:
    (files / "shared" / "stages.yaml").write_text("include: more.yaml\n")
    (files / "shared" / "more.yaml").write_text(STAGES)
    assert "stage" in load(files, {"currency": "EUR"}).of("crm", "deals")
    (files / "shared" / "more.yaml").write_text(f"include: stages.yaml\n{STAGES}")
    assert mistakes(files) == ["mappings/shared/more.yaml:1:10: 'stages.yaml' includes itself."]


def test_a_part_that_is_not_there_is_named_with_the_nearest(files: Path) -> None:
    (files / "crm.yaml").write_text(CRM.replace("stages.yaml", "stage.yaml"))
    assert mistakes(files) == ["mappings/crm.yaml:2:10: 'shared/stage.yaml' is no file beside crm.yaml. "
                               "Did you mean 'shared/stages.yaml'?"]


def test_a_value_comes_from_the_settings_or_from_its_default(files: Path) -> None:
    def currency(**values: str) -> str:
        return str(load(files, values).of("crm", "deals").field("money").lens.options.default_currency)

    assert currency(currency="EUR") == "EUR"
    assert mistakes(files, curency="EUR") == [
        "mappings/crm.yaml:8:49: 'currency' has no value: set it under [values] in sidefeed.toml. "
        "Did you mean 'curency'?",
    ]
    (files / "crm.yaml").write_text(CRM.replace("${currency}", "${currency:-USD}"))
    assert (currency(), currency(currency="EUR")) == ("USD", "EUR")
    assert mistakes(files, currency="euro")[0].startswith("mappings/crm.yaml:8:49: 'euro' is not valid")


def test_a_value_keeps_its_kind_where_it_stands_alone_and_a_dollar_can_be_written(files: Path) -> None:
    (files / "crm.yaml").write_text(CRM.replace("name: Name", "name: {field: 'F_${org}', max_length: '${limit}'}")
                                    + "    writes: {Text: {template: '$${name} in ${org}'}}\n")
    deals = load(files, {"currency": "EUR", "limit": 12, "org": "eu"}).of("crm", "deals")
    assert (deals.field("name").lens.raw, deals.field("name").lens.options.max_length) == (("F_eu",), 12)
    assert deals.writers[0].template == "${name} in eu"


def test_another_value_is_another_mapping(files: Path) -> None:
    one, other = load(files, {"currency": "EUR"}), load(files, {"currency": "USD"})
    assert one.fingerprint != other.fingerprint


def test_findings_of_check_name_the_included_file(files: Path) -> None:
    mapping = load(files, {"currency": "EUR"})
    found = held(mapping, {"deals": {}})
    assert {(each.field, each.file) for each in found} == {
        ("name", "mappings/crm.yaml"), ("money", "mappings/crm.yaml"), ("stage", "mappings/shared/stages.yaml")}


def test_values_of_a_project_come_from_its_settings_and_environment(tmp_path: Path, files: Path) -> None:
    (tmp_path / "sidefeed.toml").write_text('[values]\ncurrency = "CHF"\n')
    lens = Project.load(tmp_path).mappings().of("crm", "deals").field("money").lens
    assert lens.options.default_currency == "CHF"
    other = Project.load(tmp_path, environment={"SIDEFEED_VALUES__CURRENCY": "GBP"})
    assert other.mappings().of("crm", "deals").field("money").lens.options.default_currency == "GBP"


def test_the_commands_use_the_values_of_the_project(desk: Desk) -> None:  # noqa: F811
    desk.edit("salesforce.yaml", "default_currency: USD", 'default_currency: "${currency:-USD}"')
    assert desk("check", "--offline")[0] == 0
    assert desk("map", "test")[0] == 0
    settings = desk.folder / "sidefeed.toml"
    settings.write_text(settings.read_text() + "\n[values]\ncurrency = \"JPY\"\n")
    code, report = desk("map", "test")
    assert code == 2
    assert "JPY" in str(report["differ"])


def test_the_default_files_load_with_a_shared_part(folder: Folder) -> None:
    (folder.path / "shared").mkdir()
    (folder.path / "shared" / "currency.yaml").write_text("defaults:\n  money: {default_currency: EUR, scale: 3}\n")
    folder.edit("salesforce.yaml", "system: salesforce\n", "include: [shared/currency.yaml]\nsystem: salesforce\n")
    money = folder.load().of("salesforce", "Opportunity").field("money").lens.options
    assert (money.default_currency, money.scale) == ("USD", 2)
