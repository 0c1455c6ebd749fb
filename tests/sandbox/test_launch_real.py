"""The launcher with the real practice servers: credentials of one's own choice."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from sandbox.launch import LaunchError, Sandbox

SCHEMA = """
salesforce:
  credentials:
    session_id: of-the-admin
    password: hers
    users:
      - {username: ada@practice.example, password: his, session_id: of-ada}
    apps:
      - {client_id: my-app, client_secret: my-secret, run_as: ada@practice.example}
hubspot:
  credentials: {access_token: pat-mine, client_id: my-app, client_secret: my-secret}
"""


def schema_file(folder: Path, text: str) -> Path:
    file = folder / "schema.yaml"
    file.write_text(text, "utf-8")
    return file


def test_tokens_users_and_apps_can_be_chosen(tmp_path: Path) -> None:
    with Sandbox(["salesforce", "hubspot"], schema=schema_file(tmp_path, SCHEMA)) as sandbox:
        salesforce, hubspot = sandbox["salesforce"].url, sandbox["hubspot"].url
        for session in ("of-the-admin", "of-ada"):
            limits = httpx.get(
                f"{salesforce}/services/data/v62.0/limits", headers={"Authorization": f"Bearer {session}"}
            )
            assert limits.status_code == 200
        client = {"client_id": "my-app", "client_secret": "my-secret"}
        for grant in (
            {"grant_type": "client_credentials"},
            {"grant_type": "password", "username": "ada@practice.example", "password": "his"},
        ):
            granted = httpx.post(f"{salesforce}/services/oauth2/token", data={**client, **grant})
            assert granted.status_code == 200, granted.text
        contacts = f"{hubspot}/crm/v3/objects/contacts"
        assert httpx.get(contacts, headers={"Authorization": "Bearer pat-mine"}).status_code == 200
        assert httpx.get(contacts, headers={"Authorization": "Bearer other"}).status_code == 401
        connections = sandbox.connections()
    assert connections["salesforce"]["credentials"]["session_id"] == "of-the-admin"
    assert connections["hubspot"]["credentials"]["access_token"] == "pat-mine"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hubspot: {credentials: {token: x}}", "hubspot: credentials has an unknown key 'token'"),
        ("salesforce: {credentials: {users: [{}]}}", r"salesforce: credentials.users\[0\] lacks username"),
        (
            "salesforce: {credentials: {apps: [{client_id: a, client_secret: b, run_as: nobody}]}}",
            "run_as is a username of credentials.users, not 'nobody'",
        ),
        ("salesforce: {objects: {Nope: {fields: {}}}}", "salesforce: .*Nope"),
        ("exchange: {postboxes: []}", "exchange: .*unknown section 'postboxes'"),
    ],
)
def test_a_wrong_entry_of_the_schema_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(LaunchError, match=message):
        Sandbox(schema=schema_file(tmp_path, text))


def test_data_files_of_each_system_are_loaded(tmp_path: Path) -> None:
    for name, content in {
        "salesforce/Account.csv": "Name,NumberOfEmployees\nAcme,12\n",
        "salesforce/Lead.json": '[{"LastName": "Lovelace", "Company": "Engines"}]',
        "hubspot/contacts.csv": "email,firstname\nada@example.com,Ada\n",
        "exchange/Mailbox.csv": "address,name,password\nada@practice.example,Ada,secret\n",
        "exchange/CalendarItem.json": '[{"mailbox": "ada@practice.example", "subject": "Demo",'
        ' "start": "2026-03-02T09:00:00Z", "end": "2026-03-02T10:00:00Z"}]',
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content, "utf-8")
    with Sandbox(data=tmp_path) as sandbox:
        session = sandbox.connections()["salesforce"]["credentials"]["session_id"]
        found = httpx.get(
            f"{sandbox['salesforce'].url}/services/data/v62.0/query",
            params={"q": "SELECT Name, NumberOfEmployees FROM Account"},
            headers={"Authorization": f"Bearer {session}"},
        ).json()["records"]
        assert [(row["Name"], row["NumberOfEmployees"]) for row in found] == [("Acme", 12)]
        token = sandbox.connections()["hubspot"]["credentials"]["access_token"]
        contacts = httpx.get(
            f"{sandbox['hubspot'].url}/crm/v3/objects/contacts", headers={"Authorization": f"Bearer {token}"}
        ).json()["results"]
        assert [contact["properties"]["firstname"] for contact in contacts] == ["Ada"]
        mailboxes = sandbox.connections()["exchange"]["credentials"]["mailboxes"]
        assert [box["address"] for box in mailboxes] == ["ada@practice.example"]
