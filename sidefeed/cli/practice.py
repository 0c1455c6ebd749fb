"""``sidefeed sandbox``: practice servers for rehearsal, training and bad days."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sidefeed.cli import output

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
    data: Annotated[Path | None, typer.Option(help="Load DIR/<system>/<Object>.json or .csv.")] = None,
    schema: Annotated[Path | None, typer.Option(help="Objects and fields beyond the built-in ones.")] = None,
    fixed_clock: Annotated[str | None, typer.Option(help="The servers' clocks stand at this ISO 8601 time.")] = None,
    record: Annotated[Path | None, typer.Option(help="Write every request to this file, without secrets.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print how to connect as one JSON object.")] = False,
) -> None:
    """Start practice servers, print how to connect, and serve until Ctrl-C.

    docs/practice-servers.md tells what they implement and how to script a bad day through the control API.
    """
    from sandbox.launch import LaunchError
    from sandbox.launch import up as serve

    try:
        serve(systems or (), host=host, port=port, tls=tls, seed=seed, data=data, schema=schema,
              fixed_clock=fixed_clock, record=record, json_output=json)
    except LaunchError as error:
        output.fail(str(error), output.USAGE, json=json)
