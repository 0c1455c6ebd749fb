"""``sidefeed check``: the mapping files against the live systems, and the rights that they need."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from sidefeed.cli import output
from sidefeed.cli.output import USAGE
from sidefeed.cli.shared import JsonOption, ProjectOption, errors

if TYPE_CHECKING:
    from sidefeed.connector import Rights
    from sidefeed.mapping import Mapping
    from sidefeed.mapping.finding import Finding
    from sidefeed.mapping.rights import Need
    from sidefeed.project import Project

COLOURS = {"error": "red", "warning": "yellow", "note": "dim"}


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command()(check)


def check(
    project: ProjectOption = Path(),
    json: JsonOption = False,
    offline: Annotated[bool, typer.Option("--offline", help="Check the files only, without asking the systems.")
                       ] = False,
    notes: Annotated[bool, typer.Option("--notes", help="Tell also what is worth knowing and no fault.")] = False,
    github: Annotated[bool, typer.Option("--github", help="Print annotations for a GitHub workflow.")] = False,
) -> None:
    """Hold the mapping files against the live systems: fields, types, lengths, picklists, required fields, rights.

    Each finding names file, line and column, and what to write instead. Where the workspace is there, the owners in it
    are looked for in each system. Ends with 2 where something is an error, 0 otherwise.
    """
    from sidefeed.project import Project

    with errors(json):
        opened = Project.load(project, secrets=not offline)
        try:
            mappings = opened.mappings()
            found = [] if offline else live_findings(opened, mappings)
        finally:
            opened.close()
    shown = [one for one in found if notes or one.severity != "note"]
    failed = any(one.severity == "error" for one in found)
    if json:
        from dataclasses import asdict

        output.print_json({"ok": not failed, "objects": len(mappings.objects),
                           "findings": [asdict(one) for one in shown]})
    elif github:
        for one in shown:
            typer.echo(one.annotation())
    else:
        for one in shown:
            colour = COLOURS[one.severity]
            output.out.print(f"[{colour}]{one.severity}[/{colour}] {escape(str(one))}")
        output.out.print(f"{len(mappings.objects)} mapped objects, {len(shown)} findings")
    if failed:
        raise typer.Exit(USAGE)


def live_findings(project: Project, mappings: Mapping) -> list[Finding]:
    """Everything that the live systems and the workspace have to say about the mapping, in the order of the files."""
    from sidefeed.mapping.check import check as check_mapping
    from sidefeed.mapping.check import in_order
    from sidefeed.sync.coverage import owner_findings

    linked = replace(mappings, objects=tuple(om for om in mappings.objects if om.system in project.systems))
    found = check_mapping(linked, lambda system, object: project.connector(system).describe(object),
                          lambda need: rights_of(project, need))
    if project.has_workspace:
        store = project.store()
        try:
            with store.read() as tx:
                found += owner_findings(tx, linked)
        finally:
            store.close()
    return in_order(found)


def rights_of(project: Project, need: Need) -> Rights | None:
    """What the system says of the rights that an object needs; None where it cannot name them."""
    from sidefeed.connector import NamesRights

    connector = project.connector(need.system)
    if not isinstance(connector, NamesRights):
        return None
    return connector.rights(need.object, reads=need.reads, writes=need.writes, creates=need.creates,
                            deletes=need.deletes)
