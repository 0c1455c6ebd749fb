"""docs/practice-servers.md is true: its Python runs, and what it lists is what there is."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest

from sandbox.__main__ import _parser
from sandbox.exchange import missing as exchange
from sandbox.exchange.server import OPERATIONS
from sandbox.hubspot import missing as hubspot
from sandbox.kit.control import openapi
from sandbox.kit.faults import TRANSPORT_KINDS
from sandbox.launch import SERVERS, Sandbox, server_class
from sandbox.salesforce import missing as salesforce

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
    kinds = {name: function.__doc__ or "" for name, function in server.fault_kinds.items()}
    rows = {name: " ".join(text.split()) for name, text in {**kinds, **server.conditions}.items()}
    missing = [f"| `{name}` | {text} |" for name, text in rows.items() if f"`{name}`" not in PAGE]
    assert not missing, "rows to add to docs/practice-servers.md:\n" + "\n".join(missing)


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


@pytest.mark.parametrize(
    ("system", "path"),
    [
        *(
            ("salesforce", f"/services/data/v62.0/{path}")
            for path in (
                "tooling/query?q=SELECT+Id+FROM+ApexClass",
                "ui-api/records/001",
                "analytics/reports",
                "process/approvals",
                "sobjects/Account/listviews",
                "sobjects/Account/describe/layouts",
                "query?explain=SELECT+Id+FROM+Account",
            )
        ),
        *(
            ("hubspot", path)
            for path in ("/crm/v3/lists", "/crm/v3/imports", "/files/v3/files", "/automation/v4/flows", "/cms/v3/pages")
        ),
    ],
)
def test_what_the_page_calls_missing_says_so_at_run_time(system: str, path: str) -> None:
    with server_class(system)() as server:
        info = server.connection_info()
        bearer = info.get("access_token") or info["session_id"]
        answer = httpx.get(server.url + path, headers={"Authorization": f"Bearer {bearer}"})
    assert answer.status_code == 501
    assert "implement" in answer.text


MISSING = {
    *salesforce.RESOURCES.values(),
    *salesforce.DOORS.values(),
    *salesforce.GRANTS.values(),
    *hubspot.AREAS.values(),
    *hubspot.TYPES,
    *exchange.OPERATIONS.values(),
}


@pytest.mark.parametrize("what", sorted(MISSING))
def test_what_the_routers_refuse_as_missing_is_on_the_page(what: str) -> None:
    assert what in " ".join(PAGE.split())


def test_no_exchange_operation_is_both_there_and_missing() -> None:
    assert set(exchange.OPERATIONS) & set(OPERATIONS) == set()


def test_a_missing_exchange_operation_says_so_at_run_time() -> None:
    envelope = (
        '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>'
        '<FindPeople xmlns="http://schemas.microsoft.com/exchange/services/2006/messages"/></s:Body></s:Envelope>'
    )
    with server_class("exchange")() as server:
        server.add_mailbox("ada@practice.example", "Ada", "secret")  # type: ignore[attr-defined]
        answer = httpx.post(
            f"{server.url}/EWS/Exchange.asmx",
            content=envelope,
            headers={"Content-Type": "text/xml"},
            auth=("ada@practice.example", "secret"),
        )
    assert "FindPeople is not implemented by the practice server" in answer.text
