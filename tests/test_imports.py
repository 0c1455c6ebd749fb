"""Imports are most of what a run costs that finds nothing to do, so what such a run may import is held here: by name
and by number, which do not depend on the machine."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import typer

from sandbox import company
from sandbox.salesforce import SalesforceServer
from sidefeed.cli import app
from sidefeed.cli.panels import Commands
from sidefeed.cli.project_files import settings_text, write_project

ROOT = Path(__file__).resolve().parents[1]
NEVER = {"alembic", "pandas", "prefect", "zeep", "httpx", "cryptography", "jwt", "attr", "exchangelib", "hubspot",
         "phonenumbers", "sqlalchemy.dialects.postgresql", "sidefeed.sync.undo", "sidefeed.sync.census",
         "sidefeed.sync.trace", "sidefeed.mapping.explain", "sidefeed.mapping.schema", "sidefeed.forecast",
         "sidefeed.recording", "sidefeed.web", "connectors.salesforce.writing", "connectors.hubspot"}
"""What a sync of one Salesforce organisation has no use for while nothing changed."""

NEVER_HELD_BY_A_STATUS = NEVER | {"sidefeed.sync", "sidefeed.mapping", "connectors", "requests", "msgspec", "rich.markdown",
                                  "rich.traceback", "rich.progress", "markdown_it", "pygments", "webbrowser"}
NEVER_HELD_BY_HELP = NEVER_HELD_BY_A_STATUS - {"rich.markdown", "rich.traceback", "markdown_it", "pygments", "attr"} | {
    "sqlalchemy", "pydantic", "asyncio", "sidefeed.project", "sidefeed.workspace"}
"""Typer draws help with the first few, whatever stands in it."""

MOST_OF_A_SYNC, MOST_OF_A_STATUS, MOST_OF_HELP = 830, 520, 375
"""Modules in all, those of Python itself and of the command line included."""


def loaded_by(*command: str) -> set[str]:
    """The modules in memory when a command has ended well."""
    code = (f"import sys, json\nfrom sidefeed.cli import app\ntry: app({list(command)!r})\n"
            "except SystemExit as end: assert not end.code, end.code\nprint(); print(json.dumps(sorted(sys.modules)))")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_a_quiet_sync_and_a_look_at_the_status_import_little(tmp_path: Path) -> None:
    with SalesforceServer(tls=True) as server:
        server.call(server.load_schema, company.SALESFORCE_SCHEMA)
        server.call(lambda: server.insert("Account", Name="Acme", Website="https://acme.example"))
        write_project(tmp_path, settings=settings_text({"salesforce": {
            "auth": "session", "instance_url": server.url, "ca_file": str(server.ca_file),
            "session_id": server.connection_info()["session_id"]}}))
        loaded_by("sync", "-C", str(tmp_path))
        quiet = loaded_by("sync", "-C", str(tmp_path))
    status = loaded_by("status", "-C", str(tmp_path))
    assert quiet & NEVER == set()
    assert status & NEVER_HELD_BY_A_STATUS == set()
    assert len(quiet) <= MOST_OF_A_SYNC
    assert len(status) <= MOST_OF_A_STATUS


def test_help_imports_neither_the_store_nor_the_settings() -> None:
    loaded = loaded_by("--help")
    assert loaded & NEVER_HELD_BY_HELP == set()
    assert len(loaded) <= MOST_OF_HELP


def test_a_command_is_built_when_it_is_called() -> None:
    """Of all commands, Typer reads the parameters of that one alone."""
    listed = typer.main.get_command(app).commands
    assert listed.keys() == Commands.infos.keys()
    assert all(command.params == [] and command.help for command in listed.values())
    context = typer.Context(typer.main.get_command(app))
    assert [parameter.name for parameter in typer.main.get_command(app).resolve_command(context, ["status"])[1].params] == [
        "project", "json"]
