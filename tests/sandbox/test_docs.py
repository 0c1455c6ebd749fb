"""docs/practice-servers.md is true: its Python runs, and what it lists is what there is."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest

from sandbox.__main__ import _parser
from sandbox.kit.control import openapi
from sandbox.kit.faults import TRANSPORT_KINDS
from sandbox.launch import SERVERS, Sandbox, server_class

PAGE = (Path(__file__).parents[2] / "docs" / "practice-servers.md").read_text("utf-8")


def blocks() -> list[tuple[str, str]]:
    """Each Python block under the heading it stands beneath."""
    found: list[tuple[str, str]] = []
    for section in re.split(r"^(?=#+ )", PAGE, flags=re.MULTILINE):
        heading = section.partition("\n")[0].lstrip("# ")
        for number, code in enumerate(re.findall(r"^```python\n(.*?)^```", section, flags=re.MULTILINE | re.DOTALL)):
            found.append((f"{heading} {number}", code))
    return found


@pytest.mark.parametrize(("heading", "code"), blocks(), ids=[heading for heading, _ in blocks()])
def test_the_code_of_the_page_runs(heading: str, code: str) -> None:
    assert "assert" in code, f"the example under {heading} proves nothing"
    exec(compile(code, f"docs/practice-servers.md: {heading}", "exec"), {"__name__": "example"})


def test_there_are_three_worked_examples() -> None:
    assert len(re.findall(r"^### Example: ", PAGE, flags=re.MULTILINE)) == 3


@pytest.mark.parametrize("kind", TRANSPORT_KINDS)
def test_every_fault_kind_is_on_the_page(kind: str) -> None:
    assert f"| `{kind}` |" in PAGE


@pytest.mark.parametrize("system", SERVERS)
def test_every_condition_and_own_fault_kind_is_on_the_page(system: str) -> None:
    server = server_class(system)()
    missing = [name for name in [*server.fault_kinds, *server.conditions] if f"`{name}`" not in PAGE]
    assert missing == []


def test_every_option_of_the_command_and_resource_of_the_control_api_is_on_the_page() -> None:
    commands = _parser()._subparsers._group_actions[0].choices  # type: ignore[union-attr]
    options = {option for action in commands["up"]._actions for option in action.option_strings if option[:2] == "--"}
    assert {option for option in options - {"--help"} if f"`{option}" not in PAGE} == set()
    assert {path for path in openapi()["paths"] if f"`{path}`" not in PAGE} - {"/openapi.json"} == set()


def test_the_schema_file_of_the_page_is_taken(tmp_path: Path) -> None:
    [example] = re.findall(r"^```yaml\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
    schema = tmp_path / "schema.yaml"
    schema.write_text(example, "utf-8")
    with Sandbox(schema=schema) as sandbox:
        mailboxes = sandbox.connections()["exchange"]["credentials"]["mailboxes"]
        assert [box["address"] for box in mailboxes] == ["ada@practice.example"]
        bearer = {name: sandbox.connections()[name]["credentials"] for name in sandbox.servers}
        described = httpx.get(
            f"{sandbox['salesforce'].url}/services/data/v62.0/sobjects/Project__c/describe",
            headers={"Authorization": f"Bearer {bearer['salesforce']['session_id']}"},
        ).json()
        assert {"Budget__c", "Phase__c"} <= {field["name"] for field in described["fields"]}
        created = httpx.post(
            f"{sandbox['hubspot'].url}/crm/v3/objects/projects",
            json={"properties": {"project_name": "Bridge"}},
            headers={"Authorization": f"Bearer {bearer['hubspot']['access_token']}"},
        )
        assert created.status_code == 201, created.text
