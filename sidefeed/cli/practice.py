"""``sidefeed sandbox``: practice servers for rehearsal, training and bad days."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from sidefeed.cli import output
from sidefeed.plural import many

if TYPE_CHECKING:
    from sandbox.launch import Sandbox

app = typer.Typer(no_args_is_help=True, help="Practice servers that speak the real protocols, on this machine only.")


@app.callback()
def _sandbox() -> None:
    """Practice servers that speak the real protocols, on this machine only."""


@app.command()
def up(
    systems: Annotated[list[str] | None, typer.Argument(
        help="salesforce, hubspot, exchange, graph, domino; or all.")] = None,
    host: Annotated[str, typer.Option(help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="First port; control APIs listen 10 above. 0 takes free ones.")] = 0,
    tls: Annotated[bool, typer.Option("--tls/--http", help="https with a throw-away certificate, or http.")] = False,
    seed: Annotated[int | None, typer.Option(help="Fill with a small population, the same for the same N.")] = None,
    data: Annotated[Path | None, typer.Option(help="Load DIR/SYSTEM/OBJECT.json or .csv.")] = None,
    schema: Annotated[Path | None, typer.Option(help="Objects and fields beyond the built-in ones.")] = None,
    fixed_clock: Annotated[str | None, typer.Option(help="The servers' clocks stand at this ISO 8601 time.")] = None,
    record: Annotated[Path | None, typer.Option(help="Write every request to this file, without secrets.")] = None,
    project: Annotated[Path | None, typer.Option(
        help="Make a project in this folder that is linked with these servers (salesforce, hubspot), with what "
        "`sidefeed prepare` needs there. Takes --tls.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print how to connect as one JSON object.")] = False,
) -> None:
    """Start practice servers, print how to connect, and serve until Ctrl-C.

    docs/practice-servers.md tells what they implement and how to script a bad day through the control API.
    """
    from sandbox.launch import LaunchError
    from sandbox.launch import up as serve

    try:
        if project is not None:
            systems = _linkable(systems or list(_LINKED))
        serve(systems or (), host=host, port=port, tls=tls or project is not None, seed=seed, data=data, schema=schema,
              fixed_clock=fixed_clock, record=record, json_output=json,
              ready=None if project is None else lambda sandbox: _link(project, sandbox, quiet=json))
    except (LaunchError, FileExistsError) as error:
        output.fail(str(error), output.USAGE, json=json)


@app.command()
def replay(
    file: Annotated[Path, typer.Argument(help="A recording with bodies: --record-calls FILE --record-bodies.")],
    host: Annotated[str, typer.Option(help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="First port; 0 takes free ones.")] = 0,
    tls: Annotated[bool, typer.Option("--tls/--http", help="https with a throw-away certificate, or http.")] = True,
    json: Annotated[bool, typer.Option("--json", help="Print where each system is as one JSON object.")] = False,
) -> None:
    """Answer from a recording, so that what happened once can be run again: for a bug report, and as a test.

    Each system in it gets a server that gives the recorded answers in their order, until Ctrl-C. Exit code 1: something
    was asked that nobody had asked when the recording was made.
    """
    from sandbox.launch import LaunchError
    from sandbox.replay import up as answer

    try:
        servers = answer(file, host=host, port=port, tls=tls, json_output=json)
    except LaunchError as error:
        output.fail(str(error), output.USAGE, json=json)
    for name, server in servers.items():
        for what in server.missed:
            output.err.print(f"[yellow]![/yellow] {name}: not in the recording: {escape(what)}")
        output.err.print(f"{name}: nobody asked for {many(len(server.left), 'recorded answer')}")
    if any(server.missed for server in servers.values()):
        raise typer.Exit(output.ATTENTION)


_LINKED = ("salesforce", "hubspot")


def _linkable(systems: list[str]) -> list[str]:
    from sandbox.launch import LaunchError

    if unknown := [name for name in systems if name not in _LINKED]:
        raise LaunchError(f"--project links {' and '.join(_LINKED)} alone; connect {unknown[0]} by hand, as "
                          f"docs/practice-servers.md shows")
    return systems


def _link(folder: Path, sandbox: Sandbox, *, quiet: bool) -> None:
    """Write a new project for these servers, and make in them what an administrator would: the key fields, and the
    roles of people on a deal. Raises FileExistsError where the folder holds one."""
    from sandbox import company
    from sidefeed.cli.project_files import settings_text, write_project

    settings: dict[str, dict[str, object]] = {}
    for name, server in sandbox.servers.items():
        there, ca_file = server.connection_info(), str(server.ca_file)
        if name == "salesforce":
            schema: dict[str, Any] = company.SALESFORCE_SCHEMA
            settings[name] = {"auth": "session", "instance_url": server.url, "session_id": there["session_id"],
                              "ca_file": ca_file}
        else:
            keys = {each: [{"name": "sidefeed_key", "hasUniqueValue": True}] for each in company.KEY_OBJECTS[name]}
            schema = {**company.HUBSPOT_SCHEMA, "properties": keys}
            settings[name] = {"access_token": there["access_token"], "host": server.url, "ca_file": ca_file}
        server.call(partial(server.load_schema, schema))
    write_project(folder, settings=settings_text(settings, workspace="workspace.db", mappings="mappings"))
    if not quiet:
        output.out.print(f"The project in {escape(str(folder))} uses these servers: sidefeed plan -C "
                         f"{escape(str(folder))}\n")
