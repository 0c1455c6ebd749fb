"""`sidefeed approve` and `sidefeed skip`: what a person says about a run that a guard stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from sidefeed.cli import output
from sidefeed.cli.shared import (
    ActorOption,
    BodiesOption,
    JsonOption,
    ProjectOption,
    RecordOption,
    calls_of,
    end_with,
    errors,
    recorded,
)
from sidefeed.plural import many

RunArgument = Annotated[str | None, typer.Argument(
    help="The run's id, or the start of it; without it, the runs that wait are shown with what stopped them.")]


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command()(approve)
    app.command()(skip)


def approve(
    run: RunArgument = None,
    limit: Annotated[int, typer.Option(help="How many stopped writes to print; --json prints all.")] = 20,
    actor: ActorOption = "ops",
    project: ProjectOption = Path(),
    json: JsonOption = False,
    record_calls: RecordOption = None,
    record_bodies: BodiesOption = False,
) -> None:
    """Let a run pass that a guard stopped: exactly what it was stopped for, and no more.

    The systems are read again first. If more records are concerned by now than were shown, the run is stopped again
    and has a new id to look at.
    """
    from sidefeed.project import Project
    from sidefeed.sync.approval import parked

    with errors(json):
        opened = Project.load(project, actor=actor)
        if run is None:
            _show_parked(opened, limit, json=json)
            opened.close()
            return
        with opened.looking() as tx:
            run = parked(tx, run).run
        with recorded(opened, "approve", record_calls, bodies=record_bodies, json=json), \
                output.progress(quiet=json) as bar, opened.engine(progress=bar) as engine:
            report = engine.approve(run)
            calls = calls_of(engine)
        opened.close()
    if report.still_parked and not json:
        failed = escape(", ".join(report.still_parked))
        output.out.print(f"[yellow]![/yellow] The run waits on, because {failed} failed: approve it again once that is "
                         f"mended.")
    end_with(report, calls, json=json)


def skip(
    run: RunArgument = None,
    limit: Annotated[int, typer.Option(help="How many stopped writes to print; --json prints all.")] = 20,
    actor: ActorOption = "ops",
    project: ProjectOption = Path(),
    json: JsonOption = False,
) -> None:
    """Leave out what stopped a run, so that the next sync passes.

    Deletions that were reported are not believed: the copies in the other systems live on, unlinked. Writes are not
    made until the value, the mapping or a person (`sidefeed retry --code skipped`) changes that. Nothing is written by
    this command.
    """
    from sidefeed.project import Project
    from sidefeed.sync.approval import parked
    from sidefeed.sync.approval import skip as leave_out

    with errors(json):
        opened = Project.load(project, actor=actor)
        if run is None:
            _show_parked(opened, limit, json=json)
            return
        store = opened.store()
        try:
            with store.write() as tx:
                done = leave_out(tx, parked(tx, run))
        finally:
            store.close()
    if json:
        output.print_json({"ok": True, "skipped": done})
    else:
        for what, number in done.items():
            output.out.print(f"left out: {escape(what)}, {many(number, 'record')}")
        output.out.print("The next sync passes without them.")


def _show_parked(project: Any, limit: int, *, json: bool) -> None:
    from sidefeed.sync.approval import waiting_runs

    store = project.store()
    try:
        with store.read() as tx:
            waiting = waiting_runs(tx)
    finally:
        store.close()
    if json:
        output.print_json({"parked": [{"run": one["id"], "what": one["what"], "started": one["started"],
                                       "trips": (one["detail"] or {}).get("trips", [])} for one in waiting]})
        return
    for one in waiting:
        output.out.print(f"[bold]{one['id']}[/bold] {escape(one['what'])}, {one['started'][:16]}")
        trips = (one["detail"] or {}).get("trips", [])
        for trip in trips:
            output.out.print(f"  {escape(trip['message'].partition('. ')[0].rstrip('.'))}:")
            for item in trip["items"][:limit]:
                output.out.print(f"    {escape(_item(trip['guard'], item))}")
            if len(trip["items"]) > limit:
                output.out.print(f"    ... and {len(trip['items']) - limit} more; --json prints all.")
        for rest in dict.fromkeys(trip["message"].partition(". ")[2] for trip in trips):
            output.out.print(f"  {escape(rest)}")
    if not waiting:
        output.out.print("No run waits.")
        return
    output.out.print(f"{many(len(waiting), 'run waits', 'runs wait')}: `sidefeed approve RUN` lets one pass, `sidefeed "
                     f"skip RUN` leaves out what stopped it.")


_WHAT = {"mass-delete": "gone", "emptied": "gone", "refused-cursor": "missing",
         "older-than-the-world": "unknown key on"}
"""What is said of an object that a guard stopped before anything was planned for it."""


def _item(guard: str, item: dict[str, Any]) -> str:
    name = " ".join(str(each) for each in (item.get("label"), item.get("external_id")) if each)
    changes = "; ".join(f"{field} {one['before']!r} -> {one['after']!r}"
                        for field, one in (item.get("fields") or {}).items())
    return f"{item.get('op') or _WHAT.get(guard, '')} {name}".lstrip() + (f": {changes}" if changes else "")
