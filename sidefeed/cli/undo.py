"""`sidefeed undo`: take back what a run did, where nobody touched it since."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from sidefeed.cli import output
from sidefeed.cli.output import ATTENTION, STOPPED, UNREACHABLE, USAGE
from sidefeed.cli.shared import (
    BodiesOption,
    JsonOption,
    ProjectOption,
    RecordOption,
    calls_of,
    errors,
    recorded,
    the_record,
)
from sidefeed.plural import many

if TYPE_CHECKING:
    from sidefeed.project import Project
    from sidefeed.sync import ObjectPlan
    from sidefeed.sync.undo import Undone


def register(app: typer.Typer) -> None:
    """Add this command to the command line."""
    app.command()(undo)


def undo(
    run: Annotated[str, typer.Argument(help="The run's id, or the start of it; `sidefeed status` lists runs.")],
    record: Annotated[
        str | None, typer.Option("--record", help="Only this record: its id or part of its name.")] = None,
    field: Annotated[str | None, typer.Option("--field", help="Only this field of the workspace.")] = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Show what would be undone and written; change nothing.")] = False,
    actor: Annotated[str, typer.Option("--as", help="Who takes it back; kept in the history.")] = "ops",
    limit: Annotated[int, typer.Option(help="How many lines to print; --json prints all.")] = 40,
    project: ProjectOption = Path(),
    json: JsonOption = False,
    record_calls: RecordOption = None,
    record_bodies: BodiesOption = False,
) -> None:
    """Take back what a run did, where nobody touched it since, and say what was left and why.

    An undo writes only to objects that the run wrote to, and only what they held before: what people entered in a
    system stays there. What was taken back is not done again by the next sync until the value, the mapping or a person
    changes it. Objects that the run made are deleted, objects that it deleted are restored or made again. After a bad
    mapping: mend the mapping file, undo the run, then `sidefeed sync --confirm-mapping`.
    """
    from sidefeed.project import Project
    from sidefeed.sync.approval import carried_out_by

    with errors(json):
        opened = Project.load(project, actor=actor)
        with opened.looking() as tx:  # before any system is asked, and before any credentials are
            run = carried_out_by(tx, run)
        if field is not None:
            _check_field(opened, field, json=json)
        with recorded(opened, "undo", record_calls, bodies=record_bodies, json=json), \
                output.progress(quiet=json) as bar, opened.engine(progress=bar) as engine:
            one = the_record(engine.store, record, json=json).id if record else None
            options: dict[str, Any] = {"record": one, "field": field, "actor": actor}
            if plan:
                done, plans, report = engine.plan_undo(run, **options)
            else:
                done, report = engine.undo(run, **options)
                plans = []
            calls = calls_of(engine)
        opened.close()
    if json:
        output.print_json({**done.as_json(), "writes": [write.as_json() for one in plans for write in one.writes],
                           **report.as_json(), "calls": calls})
    else:
        _print_undone(done, plans, limit, planned=plan, narrowed=bool(record or field))
        for problem in (*map(str, report.problems), *report.failed.values(), *report.parked):
            output.err.print(f"[yellow]![/yellow] {escape(problem)}")
        for feed, why in report.skipped.items():
            output.out.print(f"[yellow]![/yellow] {escape(feed)} took no part: {escape(why)}")
    if report.parked:
        raise typer.Exit(STOPPED)
    if report.failed:
        raise typer.Exit(UNREACHABLE)
    if done.left or report.problems:
        raise typer.Exit(ATTENTION)


def _check_field(project: Project, field: str, *, json: bool) -> None:
    """End the command where no record has a field of this name: a run would seem to have left it alone."""
    from sidefeed.mapping.files import nearest

    known = {name for entity in project.mappings().entities.values() for name in entity.fields}
    if field not in known:
        output.fail(f"the workspace has no field {field!r}. {nearest(field, sorted(known))}".rstrip(), USAGE, json=json)


def _print_undone(
    done: Undone, plans: list[ObjectPlan], limit: int, *, planned: bool, narrowed: bool
) -> None:
    if not (done.restored or done.left or done.kept):
        output.out.print(f"Run {done.run} changed nothing{' there' if narrowed else ''} that could be taken back; "
                         f"`sidefeed status` lists what the last runs wrote.")
        return
    would = "would be " if planned else ""
    for one in done.restored[:limit]:
        output.out.print(f"{escape(one.label)} [bold]{one.system or 'workspace'}[/bold]{escape(_field(one.field))} "
                         f"{escape(one.what[:160])}")
    if len(done.restored) > limit:
        output.out.print(f"... and {len(done.restored) - limit} more; --json prints all.")
    output.out.print(f"{many(len(done.restored), 'thing')} {would}taken back on {many(len(done.parts), 'record')}"
                     + (f", in {many(sum(len(one.writes) for one in plans), 'write')}" if planned else "")
                     + f"; {len(done.left)} {would}left as they are")
    for what, lines in (("left", done.left), ("stays", done.kept)):
        for line in lines[:limit]:
            output.out.print(f"[yellow]{what}[/yellow] {escape(line.label + _field(line.field))}: "
                             f"{escape(line.why)}")
        if len(lines) > limit:
            output.out.print(f"... and {len(lines) - limit} more; --json prints all.")


def _field(name: str) -> str:
    """A field as it stands after a record's name; a deletion is told by its words alone."""
    from sidefeed.workspace import DELETED

    return "" if name in ("", DELETED) else f" {name}"
