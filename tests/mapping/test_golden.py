"""Golden tests: those of the default mappings hold, a difference reads well, and a real record becomes one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sidefeed.cli import app
from sidefeed.cli.project_files import write_project
from sidefeed.mapping import Mapping, MappingErrors, golden
from sidefeed.mapping.redact import Redactor
from tests.test_command_line import Desk, desk  # noqa: F401  a fixture

from .conftest import DEFAULTS

ROOT = DEFAULTS.parent
GOLDENS = golden.read(DEFAULTS)
CRM = """
system: crm
objects:
  deals:
    entity: deal
    fields:
      name: {field: title, max_length: 9, required_on_create: true}
      size: size
      boss: boss_id
"""
ENTITIES = "entities:\n  person: {fields: {name: text}}\n  deal: {fields: {name: text, size: number, boss: ref person}}\n"
TESTS = """tests:
  # The reason for this test.
  - name: a deal
    given: {system: crm, object: deals, record: {title: Pumps, size: 5, boss_id: b9}}
    refs: {person: {bo: {crm: b9}}}
    workspace:
      name: Pumps  # as it is
      size: 5
      boss: bo
    writes:
      crm deals: {create: {title: Pumps, size: 5, boss_id: b9}}
"""


@pytest.mark.parametrize("each", GOLDENS, ids=lambda each: f"{each.path.stem}: {each.case.name}")
def test_the_default_mappings_do_what_their_golden_tests_say(mapping: Mapping, each: golden.Golden) -> None:
    (outcome,) = golden.run(mapping, [each])
    assert outcome.ok, str(outcome)


def test_every_object_of_every_default_mapping_is_read_by_a_golden_test(mapping: Mapping) -> None:
    read = {(each.case.given.system, each.case.given.object) for each in GOLDENS if each.case.given}
    assert read >= {(om.system, om.object) for om in mapping.objects}


def test_every_object_that_is_created_has_a_golden_create(mapping: Mapping) -> None:
    created = {name for each in GOLDENS for name, written in each.case.writes.items() if isinstance(written.create, dict)}
    assert created >= {f"{om.system} {om.object}" for om in mapping.objects if om.creates}


def test_every_field_of_the_default_mappings_is_in_a_golden_test_in_each_direction(mapping: Mapping) -> None:
    read: dict[str, set[str]] = {}
    written: dict[tuple[str, str], set[str]] = {}
    for case in (each.case for each in GOLDENS):
        if case.given:
            read.setdefault(f"{case.given.system} {case.given.object}", set()).update(case.given.record)
        for name, told in case.writes.items():
            for op in ("create", "update"):
                if isinstance(raw := getattr(told, op), dict):
                    written.setdefault((name, op), set()).update(raw)
    missing = []
    for om in mapping.objects:
        name = f"{om.system} {om.object}"
        reads = {raw for each in om.fields if each.reads for raw in each.lens.raw}
        writes = {raw for each in om.fields if each.writes and not om.readonly for raw in each.lens.raw}
        missing += [f"{name} read {raw}" for raw in sorted(reads - read.get(name, set()))]
        missing += [f"{name} {op} {raw}" for op in ("create", "update") if op == "update" or om.creates
                    for raw in sorted(writes - written.get((name, op), set()))]
    assert missing == []


@pytest.fixture
def tested(small: Callable[..., Mapping], tmp_path: Path) -> Callable[[str], list[golden.Outcome]]:
    def run(tests: str) -> list[golden.Outcome]:
        mapping = small(entities=ENTITIES, crm=CRM)
        folder = tmp_path / "mappings" / "tests"
        folder.mkdir(exist_ok=True)
        (folder / "deals.yaml").write_text(tests)
        return list(golden.run(mapping, golden.read(folder.parent)))

    return run


Tested = Callable[[str], list[golden.Outcome]]


def test_a_test_that_holds_is_ok_and_numbers_need_no_quotes(tested: Tested) -> None:
    (outcome,) = tested(TESTS)
    assert outcome.ok, str(outcome)


def test_a_difference_names_file_line_place_and_both_values(tested: Tested) -> None:
    (outcome,) = tested(TESTS.replace("name: Pumps  #", "name: Pipes  #").replace("create: {title: Pumps, size: 5, boss_id: b9}", "create: {title: Pumps, size: 6}"))
    assert str(outcome) == (
        "mappings/tests/deals.yaml:3: a deal\n"
        "  workspace\n"
        "    name     - 'Pipes'\n"
        "             + 'Pumps'\n"
        "  crm deals create\n"
        "    size     - 6\n"
        "             + '5'\n"
        "    boss_id  - nothing\n"
        "             + 'b9'"
    )


@pytest.mark.parametrize(
    ("before", "after", "where", "got"),
    [
        ("title: Pumps,", "title: 'A long name',", "crm deals problems", "too-long"),
        ("{bo: {crm: b9}}", "{}", "problems when read", "unresolved"),
        ("title: Pumps,", "title: null,", "crm deals create", "waits for name"),
    ],
)
def test_what_cannot_cross_is_part_of_the_test(tested: Tested, before: str, after: str, where: str, got: str) -> None:
    (outcome,) = tested(TESTS.replace(before, after, 1))
    assert (where, got) in {(each.where, each.got) for each in outcome.differences}


def test_an_object_that_is_not_mapped_gets_the_nearest_name(tested: Tested) -> None:
    (outcome,) = tested(TESTS.replace("crm deals:", "crm deels:"))
    assert "Did you mean 'crm deals'?" in str(outcome)


def test_accepting_keeps_comments_and_order(tested: Tested, tmp_path: Path) -> None:
    outcomes = tested(TESTS.replace("name: Pumps  #", "name: Pipes  #").replace("create: {title: Pumps, size: 5, boss_id: b9}", "create: {title: Pumps, size: 6}"))
    (path,) = golden.accept(outcomes)
    text = path.read_text()
    assert "# The reason for this test." in text
    assert "name: Pumps  # as it is" in text
    assert text.index("refs:") < text.index("workspace:") < text.index("writes:")
    assert all(each.ok for each in tested(text))


def test_accepting_what_nothing_was_written_for_makes_the_whole_test(tested: Tested) -> None:
    bare = TESTS[: TESTS.index("    workspace")] + "    workspace: {}\n    writes: {crm deals: {create: nothing, update: {}}}\n"
    (path,) = golden.accept(tested(bare))
    (outcome,) = tested(path.read_text())
    assert outcome.ok
    assert outcome.golden.case.writes["crm deals"].create == {"title": "Pumps", "size": "5", "boss_id": "b9"}


def test_a_misspelt_key_in_a_golden_test_has_its_place(tested: Tested) -> None:
    with pytest.raises(MappingErrors) as raised:
        tested(TESTS.replace("    workspace:", "    worksapce:"))
    assert str(raised.value).startswith("mappings/tests/deals.yaml:6:5: unknown key 'worksapce'. Did you mean 'workspace'?")


def test_pytest_runs_golden_tests(tmp_path: Path) -> None:
    write_project(tmp_path)
    broken = tmp_path / "mappings" / "hubspot.yaml"
    broken.write_text(broken.read_text().replace("negotiation: contractsent", "negotiation: sent"))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "sidefeed.mapping.pytest_plugin", "mappings"],
        cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False,
    )  # fmt: skip
    assert f"1 failed, {len(GOLDENS) - 1} passed" in done.stdout
    assert "    dealstage  - 'contractsent'\n               + 'sent'" in done.stdout
    assert "Traceback" not in done.stdout


def test_the_command_says_what_differs_and_accepts(tmp_path: Path) -> None:
    write_project(tmp_path)

    def run(*arguments: str) -> tuple[int, dict[str, object]]:
        result = CliRunner().invoke(app, ["map", "test", "-C", str(tmp_path), "--json", *arguments])
        return result.exit_code, json.loads(result.stdout)

    assert run() == (0, {"ok": True, "tests": len(GOLDENS), "changed": [], "differ": []})
    file = tmp_path / "mappings" / "hubspot.yaml"
    file.write_text(file.read_text().replace("negotiation: contractsent", "negotiation: sent"))
    code, found = run()
    assert code == 2
    assert found["differ"] == [{
        "test": GOLDENS[[each.path.stem for each in GOLDENS].index("deals")].case.name,
        "file": "mappings/tests/deals.yaml", "line": 4,
        "differences": [{"where": "hubspot deals create", "name": "dealstage", "expected": "contractsent", "got": "sent"}],
    }]  # fmt: skip
    code, found = run("--accept")
    assert (code, len(found["changed"])) == (0, 1)  # type: ignore[arg-type]
    assert run()[0] == 0


def test_a_real_record_becomes_a_golden_test_without_the_people_in_it(desk: Desk) -> None:  # noqa: F811
    account = desk.sf("Account", Name="Acme Foods", Website="https://acme.example")
    desk.sf("Contact", FirstName="Zoë", LastName="Quistgaard", Email="zoe.quistgaard@acme.example",
            Phone="+1 415 555 0100", AccountId=account)
    desk("sync")
    code, made = desk("map", "golden", "Quistgaard", "--from", "salesforce")
    assert code == 0, made
    text = Path(str(made["file"])).read_text()
    written = text[text.index("a salesforce Contact record"):]
    for private in ("quistgaard", "zoe", "Zoë", "4155550100", "acme", account):
        assert private.lower() not in written.lower(), private
    code, outcome = desk("map", "test")
    assert (code, outcome["tests"]) == (0, len(GOLDENS) + 1)
    code, plain = desk("map", "golden", "Quistgaard", "--plain", "--name", "as it is")
    assert plain["test"]["workspace"]["email"] == "zoe.quistgaard@acme.example"
    assert desk("map", "test")[0] == 0
    code, none = desk("map", "golden", "Nobody here")
    assert (code, "names no records" in none["error"]) == (2, True)


def test_redaction_keeps_shapes_and_sameness(mapping: Mapping) -> None:
    redactor = Redactor(b"salt")
    deal = {"Name": "Acme: 200 Seats", "Amount": "1200.50", "StageName": "Closed Won", "CloseDate": "2026-12-31",
            "NextStep": "Mail bo@acme.com, see https://www.acme.com/x", "AccountId": "001000000000001AAA"}
    made = redactor.record(mapping.of("salesforce", "Opportunity"), deal)
    assert [len(made["Name"]), made["Name"][4:6], made["Name"][10].isupper()] == [len(deal["Name"]), ": ", True]
    assert (made["StageName"], made["CloseDate"]) == ("Closed Won", "2026-12-31")
    assert made["AccountId"].startswith("001") and made["AccountId"] != deal["AccountId"]
    assert made["Amount"] != deal["Amount"] and "." in made["Amount"]
    shares = [redactor.record(mapping.of("salesforce", "Opportunity"), {"Probability": each})["Probability"]
              for each in (100, 20, "0", 31_415)]
    assert shares[:3] == [100, 20, "0"] and shares[3] != 31_415, "another share could be outside the field's range"
    domain = redactor.domain("acme.com")
    assert f"@{domain}, " in made["NextStep"] and f"https://www.{domain}/" in made["NextStep"]
    assert redactor.email("bo@acme.com").endswith(f"@{domain}")
    hubspot = redactor.record(mapping.of("hubspot", "companies"), {"name": "Acme", "domain": "acme.com", "phone": "(415) 555-0100"})
    account = redactor.record(mapping.of("salesforce", "Account"),
                              {"Name": "ACME", "Website": "http://acme.com", "Phone": "+14155550100"})
    assert (hubspot["domain"], hubspot["phone"]) == (domain, account["Phone"])
    assert hubspot["name"].lower() == account["Name"].lower()
    assert Redactor(b"other").word("acme") != redactor.word("acme")
