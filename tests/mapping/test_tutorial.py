"""The tutorial, followed to the letter: every command is run, every answer is compared, every edit is made."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from sidefeed.cli import app
from tests.test_command_line import Desk, desk  # noqa: F401  a fixture

from .conftest import DEFAULTS

PAGE = DEFAULTS.parent / "docs" / "tutorial-custom-field.md"
STEP = re.compile(
    r"In `(?P<file>[^`]+)`, below `(?P<anchor>[^`]+)`, write:\n\n```yaml\n(?P<yaml>.*?)```"
    r"|In `(?P<where>[^`]+)`, replace `(?P<old>[^`]+)` by `(?P<new>[^`]+)`"
    r"|```console\n(?P<console>.*?)```", re.DOTALL)


def steps(page: Path = PAGE) -> Iterator[re.Match[str]]:
    return STEP.finditer(page.read_text(encoding="utf-8"))


def follow(desk: Desk, page: Path) -> list[str]:  # noqa: F811
    """Do what a page says, step by step, and compare every answer; gives the commands that were run."""
    ran = []
    for step in steps(page):
        if step["yaml"]:
            edit(desk.folder / step["file"], step["anchor"], step["yaml"])
        elif step["old"]:
            path = desk.folder / step["where"]
            assert step["old"] in path.read_text()
            path.write_text(path.read_text().replace(step["old"], step["new"]))
        else:
            for command, expected in commands(step["console"]):
                _name, *arguments = shlex.split(command)
                result = CliRunner().invoke(app, [*arguments, "-C", str(desk.folder)])
                assert not result.exception or isinstance(result.exception, SystemExit), result.exception
                assert matches(expected, result.output), f"$ {command}\n{result.output}\n-- expected:\n{expected}"
                ran.append(arguments[0])
    return ran


def edit(path: Path, anchor: str, text: str) -> None:
    """Put lines below the first line of the deal that begins with the anchor."""
    lines = path.read_text().split("\n")
    objects = {"entities.yaml": "  opportunity:", "salesforce.yaml": "  Opportunity:", "hubspot.yaml": "  deals:"}
    start = lines.index(objects[path.name])
    at = next(number for number in range(start, len(lines)) if lines[number].strip().startswith(anchor))
    lines[at + 1:at + 1] = text.rstrip("\n").split("\n")
    path.write_text("\n".join(lines))


def commands(console: str) -> Iterator[tuple[str, list[str]]]:
    command, expected = "", list[str]()
    for line in console.rstrip("\n").split("\n"):
        if line.startswith("$ "):
            if command:
                yield command, expected
            command, expected = line[2:], []
        else:
            expected.append(line)
    yield command, expected


def folded(text: str) -> str:
    return " ".join(text.split())


def matches(expected: list[str], output: str) -> bool:
    """Whether the lines follow one another in the output; `…` is anything, and a lone one any number of lines."""
    pattern = ""
    for line in expected:
        words = r".*?".join(re.escape(folded(part)) for part in line.split("…"))
        pattern += r"(?:[^\n]*\n)*?" if line.strip() == "…" else rf"\s*{words.replace(chr(92) + ' ', ' *')}[^\n]*\n"
    actual = "\n".join(folded(line) for line in output.split("\n")) + "\n"
    return re.search(pattern, actual) is not None


def test_the_tutorial_works_as_it_is_written(desk: Desk) -> None:  # noqa: F811
    prepared(desk)
    ran = follow(desk, PAGE)
    assert {"check", "explain", "plan", "sync", "blame", "map"} == set(ran)
    assert dates(desk) == {"Pumps": "2027-06-30", "Valves": "2027-09-15"}


def prepared(desk: Desk) -> None:  # noqa: F811
    """The situation at the top of the page."""
    desk.salesforce.call(desk.salesforce.load_schema, {"objects": {"Opportunity": {"fields": {
        "Renewal_Date__c": {"type": "date", "label": "Renewal date"}}}}})
    desk.property("deals", name="renewal_date", type="date", fieldType="date", label="Renewal date")
    owner = str(desk.salesforce.call(lambda: desk.salesforce.add_user(
        "ann@us.example", first="Ann", last="Lee", email="ann@us.example")))
    desk.hubspot.call(lambda: desk.hubspot.add_owner("ann@us.example", "Ann", "Lee"))
    account = desk.sf("Account", Name="Acme", Website="https://acme.example", OwnerId=owner)
    for name in ("Pumps", "Valves"):
        desk.sf("Opportunity", Name=name, AccountId=account, StageName="Prospecting", CloseDate="2027-01-15",
                Amount=1200, OwnerId=owner)
    for _again in range(2):
        desk("sync")
    ids = {row["Name"]: row["Id"] for row in desk.salesforce.call(desk.salesforce.rows, "Opportunity")}
    desk.salesforce.call(lambda: desk.salesforce.update("Opportunity", ids["Pumps"], Renewal_Date__c="2027-06-30"))
    (valves,) = [row for row in desk.hubspot.call(desk.hubspot.records, "deals")
                 if row["properties"]["dealname"] == "Valves"]
    desk.hubspot.call(lambda: desk.hubspot.update("deals", str(valves["id"]), renewal_date="2027-09-15"))


def dates(desk: Desk) -> dict[str, Any]:  # noqa: F811
    """Both systems' dates, which must be the same."""
    there = {row["properties"]["dealname"]: row["properties"]["renewal_date"]
             for row in desk.hubspot.call(desk.hubspot.records, "deals")}
    here = {row["Name"]: row["Renewal_Date__c"] for row in desk.salesforce.call(desk.salesforce.rows, "Opportunity")}
    assert here == there
    return here


def test_the_comparison_can_fail() -> None:
    assert matches(["a … c", "…", "z"], "a b c\nx\ny\nz\n")
    assert not matches(["a … c", "z"], "a b c\nx\nz\n")
    assert not matches(["0 findings"], "10 errors\n")
