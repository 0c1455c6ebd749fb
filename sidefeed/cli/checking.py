"""``sidefeed check``: the mapping files against the live systems, and the rights that they need."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from sidefeed.cli import output
from sidefeed.cli.output import USAGE
from sidefeed.cli.shared import JsonOption, ProjectOption, errors
from sidefeed.plural import many

if TYPE_CHECKING:
    from sidefeed.mapping import Mapping
    from sidefeed.project import Project
    from sidefeed.sync.look import Looked

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
    fix: Annotated[bool, typer.Option("--fix", help="Follow safe changes of the live schema in the files.")] = False,
    accept: Annotated[bool, typer.Option("--accept", help="Take the live schema as known from now on.")] = False,
) -> None:
    """Hold the mapping files against the live systems: fields, types, lengths, picklists, required fields, rights, and
    what changed in them since the last look.

    Each finding names file, line and column, and what to write instead. Where the workspace is there, the owners in it
    are looked for in each system, and each live schema is compared with the copy kept of it: a change is told until it
    is followed in the files or accepted. `--fix` makes the edits that keep the meaning of the mapping. Ends with 2
    where something is an error, 0 otherwise.
    """
    from sidefeed.mapping.edits import NotApplied
    from sidefeed.project import Project
    from sidefeed.sync.look import Looked

    with errors(json):
        opened = Project.load(project)
        try:
            looked = Looked([], []) if offline else look(opened, opened.mappings(), accept=accept and not fix)
            files = followed(opened, looked) if fix else []
            if files or (fix and accept):
                looked = look(opened, opened.mappings(), accept=accept)
            number = len(opened.mappings().objects)
        except NotApplied as error:
            output.fail(str(error), USAGE, json=json)
        finally:
            opened.close()
    shown = [one for one in looked.findings if notes or one.severity != "note"]
    failed = any(one.severity == "error" for one in looked.findings)
    if json:
        from dataclasses import asdict

        output.print_json({"ok": not failed, "objects": number, "changed": [str(path) for path in files],
                           "findings": [asdict(one) for one in shown]})
    elif github:
        for one in shown:
            typer.echo(one.annotation())
    else:
        for path in files:
            output.out.print(f"changed {escape(str(path))}; see `sidefeed map diff` before you commit it.")
        for one in shown:
            colour = COLOURS[one.severity]
            output.out.print(f"[{colour}]{one.severity}[/{colour}] {escape(str(one))}")
        output.out.print(f"{many(number, 'mapped object')}, {many(len(shown), 'finding')}")
    if failed:
        raise typer.Exit(USAGE)


def look(project: Project, mappings: Mapping, *, accept: bool = False) -> Looked:
    """Look at every system of the project, and into its workspace where there is one."""
    from sidefeed.sync.look import look as look_at

    store = project.store() if project.has_workspace else None
    try:
        return look_at(mappings, project.systems, project.connector, store, accept=accept)
    finally:
        if store is not None:
            store.close()


def followed(project: Project, looked: Looked) -> list[Path]:
    """Make the safe edits in the files; returns the files changed. Raises NotApplied."""
    from sidefeed.mapping.edits import apply

    edits = dict.fromkeys(edit for one in looked.drift if one.safe for edit in one.edits)
    return apply(project.mapping_folder, edits, project.settings.values) if edits else []
