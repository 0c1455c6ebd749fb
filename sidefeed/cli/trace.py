"""`sidefeed trace`: everything about one record, and what a sync would do with it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from sidefeed.cli import output
from sidefeed.cli.output import ATTENTION, UNREACHABLE
from sidefeed.cli.shared import BodiesOption, JsonOption, ProjectOption, RecordOption, errors, recorded, the_record

if TYPE_CHECKING:
    from sidefeed.sync.trace import Trace


def register(app: typer.Typer) -> None:
    """Add this command to the command line."""
    app.command()(trace)


def trace(
    record: Annotated[str, typer.Argument(help="A record's id, its id in a system, or part of its name.")],
    project: ProjectOption = Path(),
    json: JsonOption = False,
    record_calls: RecordOption = None,
    record_bodies: BodiesOption = False,
) -> None:
    """Show one record from end to end: what it is in each system, what each says now, which rule applies, and what a
    sync would write. Each system is asked for this one object; nothing is written anywhere.

    Exit code 1: something of it is refused or in conflict. `sidefeed blame` shows how its values came about.
    """
    from sidefeed.project import Project

    with errors(json):
        opened = Project.load(project)
        with recorded(opened, "trace", record_calls, bodies=record_bodies, json=json), opened.engine() as engine:
            found = engine.trace(the_record(engine.store, record, json=json).id)
        opened.close()
    if json:
        output.print_json(found.as_json())
    else:
        _show(found)
    if found.unread:
        raise typer.Exit(UNREACHABLE)
    if found.refused or any(one["conflict"] for one in found.fields):
        raise typer.Exit(ATTENTION)


def _show(found: Trace) -> None:
    from sidefeed.workspace.report import readable

    def name(value: Any) -> Any:
        return found.names.get(value, value) if isinstance(value, str) else readable(value)

    output.out.print(f"[bold]{escape(found.label)}[/bold], {found.entity} {found.record}")
    output.table("Is", ("system", "object", "id", "role", "link"), [
        (one["system"], one["object"], one["id"], one["role"], one["state"]) for one in found.identity])
    output.table("Says", ("field", "workspace", "by", "systems", "rule"), [
        (one["field"], name(one["value"]), f"{one['actor']} in {one['source']}" if one["actor"] else "",
         "\n".join(f"{system}: {name(value)}" for system, value in one["systems"].items()), one["rule"])
        for one in found.fields])
    for one in found.fields:
        for side in one["conflict"]:
            output.out.print(f"[yellow]conflict[/yellow] {one['field']}: {escape(str(name(side['value'])))} by "
                             f"{escape(side['actor'])} in {side['source']}")
    for write in found.writes:
        output.out.print(f"[bold]{write['op']}[/bold] {write['system']} {write['object']}  "
                         f"[dim]{escape(write['reason'])}[/dim]")
        for field, values in write["fields"].items():
            output.out.print(f"    {field}: {escape(repr(values['before']))} -> {escape(repr(values['after']))}")
    for why in found.waiting:
        output.out.print(f"[yellow]waits[/yellow] {escape(why)}")
    for one in found.refused:
        output.out.print(f"[yellow]refused[/yellow] {one['system']} {one['object']} {one['field'] or ''}: "
                         f"{escape(one['message'])} [{one['code']}] {escape(one['fix'])}")
    for system, why in found.unread.items():
        output.out.print(f"[red]x[/red] {system}: {escape(why)}")
    if not found.writes and not found.waiting:
        output.out.print("Nothing would be written. Nothing was written.")
    else:
        output.out.print("Nothing was written; `sidefeed sync` would.")
