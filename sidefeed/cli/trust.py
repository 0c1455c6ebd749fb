"""Commands of those who must be able to trust a sync: apply a plan, undo a run, prove that nothing was missed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rich.markup import escape

from sidefeed.cli import output
from sidefeed.cli.output import ATTENTION, STOPPED, UNREACHABLE, USAGE
from sidefeed.cli.shared import JsonOption, ProjectOption, calls_of, end_with, errors

if TYPE_CHECKING:
    from sidefeed.sync import ObjectPlan, Undone
    from sidefeed.workspace import Store


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command()(apply)
    app.command()(undo)


def apply(
    plan: Annotated[Path, typer.Argument(help="A plan saved by `sidefeed plan --out`.")],
    project: ProjectOption = Path(),
    json: JsonOption = False,
    approve: Annotated[bool, typer.Option(help="Let the plan pass a guard that stopped it.")] = False,
) -> None:
    """Do exactly what a saved plan says, or refuse, naming the difference, if the world moved since."""
    from sidefeed.project import Project
    from sidefeed.sync import SavedPlan

    with errors(json):
        saved = SavedPlan.load(plan)
        opened = Project.load(project)
        with output.progress(quiet=json) as bar, opened.engine(saved.systems, progress=bar) as engine:
            report = engine.apply(saved, approve=approve)
            calls = calls_of(engine)
        opened.close()
    end_with(report, calls, json=json)


def undo(
    run: Annotated[str, typer.Argument(help="The run's id, or the start of it; `sidefeed status` lists runs.")],
    record: Annotated[str | None, typer.Option("--record", help="Only this record: its id or part of its name.")] = None,
    field: Annotated[str | None, typer.Option("--field", help="Only this field of the workspace.")] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Show what would be undone and written; change nothing.")] = False,
    actor: Annotated[str, typer.Option("--as", help="Who takes it back; kept in the history.")] = "ops",
    limit: Annotated[int, typer.Option(help="How many lines to print; --json prints all.")] = 40,
    project: ProjectOption = Path(),
    json: JsonOption = False,
) -> None:
    """Take back what a run did, where nobody touched it since, and say what was left and why.

    An undo writes only to objects that the run wrote to, and only what they held before: what people entered in a
    system stays there. What was taken back is not done again by the next sync until the value, the mapping or a person
    changes it. Objects that the run made are deleted, objects that it deleted are restored or made again. After a bad
    mapping: mend the mapping file, undo the run, then `sidefeed sync --confirm-mapping`.
    """
    from sidefeed.project import Project

    with errors(json):
        opened = Project.load(project)
        with output.progress(quiet=json) as bar, opened.engine(progress=bar) as engine:
            one = _the_record(engine.store, record, json=json) if record else None
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
        _print_undone(done, plans, limit, planned=plan)
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


def _print_undone(done: Undone, plans: list[ObjectPlan], limit: int, *, planned: bool) -> None:
    would = "would be " if planned else ""
    for one in done.restored[:limit]:
        output.out.print(f"{escape(one.label)} [bold]{one.system or 'workspace'}[/bold] {escape(one.field)} "
                         f"{escape(one.what[:160])}")
    if len(done.restored) > limit:
        output.out.print(f"... and {len(done.restored) - limit} more; --json prints all.")
    records = len(done.records)
    output.out.print(f"{len(done.restored)} things {would}taken back on {records} records"
                     + (f", in {sum(len(one.writes) for one in plans)} writes" if planned else "")
                     + f"; {len({one.record for one in done.left})} records have something that {would}left as it is")
    for left in done.left[:limit]:
        output.out.print(f"[yellow]left[/yellow] {escape(left.label)} {left.field}: {escape(left.why)}")
    if len(done.left) > limit:
        output.out.print(f"... and {len(done.left) - limit} more; --json prints all.")


def _the_record(store: Store, text: str, *, json: bool) -> str:
    """The id of the one record that a person means, or an end with the candidates."""
    from sidefeed.workspace.report import find_records

    with store.read() as tx:
        found = find_records(tx, text)
    if len(found) != 1:
        hint = "; ".join(f"{state.entity} {state.id} {state.values.get('name') or ''}" for state in found[:10])
        output.fail(f"{text!r} names {len(found) or 'no'} records" + (f": {hint}. Give the id." if hint else "."),
                    USAGE, json=json)
    return found[0].id
