"""The command line. Each command opens the project, calls the core and prints; nothing is decided here.

The systems' libraries, pandas and Prefect are imported by the commands that need them, so that ``--help`` and
``status`` answer at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from sidefeed.cli import (
    audit,
    budget,
    calendar_files,
    calendars,
    calls,
    census,
    conflicts,
    consent,
    forecasts,
    imports,
    link,
    maps,
    meet,
    output,
    panels,
    practice,
    quarantine,
    rehearse,
    serve,
    server,
    trace,
    undo,
)
from sidefeed.cli.output import ATTENTION, EXIT_CODES, STOPPED, UNREACHABLE, USAGE
from sidefeed.cli.shared import (
    ActorOption,
    BodiesOption,
    JsonOption,
    ProjectOption,
    RecordOption,
    SystemsArgument,
    calls_of,
    end_with,
    errors,
    recorded,
    tell_problems,
    the_record,
)
from sidefeed.collector import rarely_collecting
from sidefeed.plural import many

app = typer.Typer(
    name="sidefeed", cls=panels.Commands, no_args_is_help=True, add_completion=False, rich_markup_mode=panels.MARKUP,
    help="Keeps deals, people and meetings the same in Salesforce, HubSpot, Exchange and the team's workspace.\n\n"
         "Start with `sidefeed demo`, which brings its own practice servers, or `sidefeed init` for a project of your "
         "own.",
    epilog=EXIT_CODES.replace("\n", " "),
)


def _tell_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"sidefeed {version('sidefeed')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[bool, typer.Option(
        "--version", is_eager=True, callback=_tell_version, help="Show the version and exit.")] = False,
) -> None:
    pass


@app.command()
def sync(
    systems: SystemsArgument = None,
    project: ProjectOption = Path(),
    json: JsonOption = False,
    approve: Annotated[bool, typer.Option(help="Let a run pass that a guard stopped.")] = False,
    confirm_mapping: Annotated[
        bool, typer.Option("--confirm-mapping", help="Accept that the mapping changed since the last run.")] = False,
    actor: ActorOption = "ops",
    record_calls: RecordOption = None,
    record_bodies: BodiesOption = False,
) -> None:
    """Bring the systems and the workspace to agreement: read, merge, plan, guard, write.

    Safe to run at any time and as often as you like: a run after a quiet run writes nothing. A run that dies is
    finished by the next one.
    """
    from sidefeed.project import Project

    with errors(json):
        opened = Project.load(project, actor=actor)
        with recorded(opened, "sync", record_calls, bodies=record_bodies, json=json), \
                output.progress(quiet=json) as bar, opened.engine(systems, progress=bar) as engine:
            report = engine.sync(systems or None, approve=approve, confirm_mapping=confirm_mapping)
            calls = calls_of(engine)
        opened.close()
    end_with(report, calls, json=json)


@app.command()
def plan(
    systems: SystemsArgument = None,
    project: ProjectOption = Path(),
    json: JsonOption = False,
    limit: Annotated[int, typer.Option(help="How many writes to print; --json prints all.")] = 40,
    out: Annotated[Path | None, typer.Option("--out", help="Save the plan here, for `sidefeed apply`.")] = None,
    html: Annotated[Path | None, typer.Option("--html", help="Write the plan as one page to look at here.")] = None,
    record_calls: RecordOption = None,
    record_bodies: BodiesOption = False,
) -> None:
    """Show every write that a sync would make, with before, after and reason, without writing anything anywhere."""
    from sidefeed.cli.plan_page import page
    from sidefeed.project import Project

    with errors(json):
        opened = Project.load(project)
        with recorded(opened, "plan", record_calls, bodies=record_bodies, json=json), \
                output.progress(quiet=json) as bar, opened.engine(systems, progress=bar) as engine:
            plans, report = engine.plan(systems or None)
            saved = engine.save_plan(plans, report, systems)
            standings = {name: engine.meter.standing(name) for name in engine.connectors}
            describes = engine.to_describe(systems)
        opened.close()
    if out is not None:
        saved.save(out)
    if html is not None:
        html.write_text(page(saved), encoding="utf-8")
    writes = [write for one in plans for write in one.writes]
    calls = saved.calls
    waiting = {record: why for one in plans for record, why in one.waiting.items()}
    if json:
        output.print_json({"ok": report.ok, "writes": saved.writes, "later": saved.later, "waiting": waiting,
                           "min_calls": calls, "to_describe": describes,
                           "budget": [one.as_json() for one in standings.values()],
                           "mails": saved.mails, "messages": saved.messages,
                           **{key: value for key, value in report.as_json().items()
                                                    if key in ("counts", "problems", "failed", "parked", "paused")}})
    else:
        counts = report.counts
        output.out.print(
            f"{counts.get('matched', 0)} matched, {counts.get('new_here', 0)} new here, "
            f"{sum(write.op == 'create' for write in writes)} new there ({len(waiting)} more wait for a parent), "
            f"{counts.get('ambiguous', 0)} ambiguous, {many(sum(write.op == 'update' for write in writes), 'update')}, "
            f"{many(sum(write.op == 'delete' for write in writes), 'deletion')}; "
            f"{many(saved.mails, 'message')} would be sent")
        for message in saved.messages:
            output.out.print(f"[yellow]mail[/yellow] {escape(message)}")
        for write in writes[:limit]:
            output.out.print(f"[bold]{write.op}[/bold] {write.system} {write.object} {escape(write.label)}  "
                             f"[dim]{escape(write.reason)}[/dim]")
            befores, afters = write.shown()
            for name, after in afters.items():
                before = f"{befores.get(name)!r} -> " if write.op == "update" else ""
                output.out.print(f"    {name}: {escape(f'{before}{after!r}'[:200])}")
        if len(writes) > limit:
            output.out.print(f"... and {len(writes) - limit} more; --json prints all.")
        later = [write for one in plans for write in one.later]
        for write in later[:max(0, limit - len(writes))]:
            output.out.print(f"[bold]then {write.op}[/bold] {write.system} {write.object} {escape(write.label)}  "
                             f"[dim]{escape(write.reason)}[/dim]")
            for name, after in write.shown()[1].items():
                output.out.print(f"    {name}: {escape(repr(after)[:200])}")
        if later:
            output.out.print(f"Then {many(len(later), 'object is', 'objects are')} created, each once what it belongs "
                             f"to is there; --json and --html show all of them.")
        if calls:
            output.out.print("Calls needed: " + ", ".join(f"{name} {count}" for name, count in calls.items()))
            budget.show({name: count for name, count in calls.items() if name in standings}, standings)
        if describes:
            told = ", ".join(f"{name} {count}" for name, count in describes.items())
            output.out.print(f"The first sync of the day also describes objects, by one to three requests each: {told}")
        tell_problems(report)
    if report.failed:
        raise typer.Exit(UNREACHABLE)
    if report.parked:
        raise typer.Exit(STOPPED)


@app.command()
def status(project: ProjectOption = Path(), json: JsonOption = False) -> None:
    """Tell how far each feed has been read, what waits, what is in conflict, what was refused, and who must act."""
    from sidefeed.calendars import foreign, uids
    from sidefeed.project import Project, known_codes
    from sidefeed.workspace.pauses import pauses as in_force
    from sidefeed.workspace.report import workspace_status

    with errors(json):
        store = Project.load(project).store()
        found = workspace_status(store, known_codes())
        with store.read() as tx:
            paused = in_force(tx)
            found["paused"] = [one.as_json() for one in paused]
            found["two_tools"] = foreign.waiting(tx)
            found["shared_uids"] = [{"mailbox": one.mailbox, "starts": one.starts, "message": str(one)}
                                    for one in uids.shared(tx)]
        store.close()
    if json:
        output.print_json(found)
        return
    output.table("Feeds", ("feed", "linked", "waiting in inbox", "complete to"), [
        (one["feed"], one["linked"], one["inbox"], one["complete_to"] or "not read yet") for one in found["feeds"]])
    consent.show_pauses(paused)
    output.table("Last runs", ("run", "started", "what", "state", "written"), [
        (one["id"], one["started"][:19], one["what"], one["state"], one["written"]) for one in found["runs"]])
    output.out.print(f"{found['conflicts']} in conflict, {many(len(found['questions']), 'question')}, "
                     f"{len(found['refusals'])} refused, {len(found['parked'])} waiting for another object")
    if found["duplicates"]:
        output.table("Second copies of a record in one system, which are read and left alone", (
            "where", "id", "record"), [
            (f"{one['system']} {one['object']}", one["external_id"], one["label"]) for one in found["duplicates"]])
    if found["two_tools"]:
        output.table("Meetings that another tool files, so nothing is written of them here", (
            "mailbox", "begins", "meeting", "tool", "filed here"), [
            (one["mailbox"], one["start"], one["meeting"], one["tool"], "before" if one["filed"] else "no")
            for one in found["two_tools"]])
        for fix in dict.fromkeys(one["fix"] for one in found["two_tools"]):
            output.out.print(escape(fix))
    for one in found["shared_uids"]:
        output.out.print(escape(one["message"]))
    quarantine.show(found["refusals"])


@app.command()
def blame(
    record: Annotated[str, typer.Argument(help="A record's id, a remote id, or part of its name.")],
    field: Annotated[str | None, typer.Argument(help="Only this field.")] = None,
    project: ProjectOption = Path(),
    json: JsonOption = False,
) -> None:
    """Show each value a record ever had: from which system, by whom, when, why, and what it replaced."""
    from sidefeed.project import Project
    from sidefeed.workspace.report import blame_lines, readable

    with errors(json):
        store = Project.load(project).store()
        try:
            found = the_record(store, record, json=json)
            with store.read() as tx:
                lines = blame_lines(tx, found, field)
        finally:
            store.close()
    if json:
        output.print_json({"record": found.id, "entity": found.entity, "values": found.values, "history": lines})
        return
    columns = ("when", "field", "value", "by", "from", "run", "replaced", "why")
    output.table(f"{found.entity} {found.id}", columns, [
        (one["at"][:19], one["field"], one["shown"] or readable(one["value"]), one["actor"], one["source"], one["run"],
         readable(one["replaced"]), one["reason"] or "")
        for one in lines])


@app.command()
def demo(
    json: JsonOption = False,
    keep: Annotated[Path | None, typer.Option("--keep", help="Keep the project in this folder.")] = None,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Do not open the day as a page at the end.")] = False,
    prefect: Annotated[bool, typer.Option("--prefect", help="Live the day through flow runs on a local server.")
                       ] = False,
    calendar: Annotated[str, typer.Option(help="The door to the mailboxes: exchange (EWS), graph (Microsoft 365), "
                                           "caldav, or domino; the day is the same.")] = "exchange",
) -> None:
    """Watch a company's day: two CRMs, three mailboxes and the workspace kept the same, on practice servers.

    Every step is proved by reading the systems back with their own libraries. Nothing leaves this machine.
    """
    import logging

    from sidefeed.cli.demo import page, run
    from sidefeed.cli.demo_calendars import DOORS

    if calendar not in DOORS:
        output.fail(f"--calendar is one of {', '.join(DOORS)}, not {calendar}.", output.USAGE, json=json)
    logging.disable(logging.WARNING)
    try:
        outcome = run((lambda _text: None) if json else lambda text: output.out.print(escape(text)), keep=keep,
                      prefect=prefect, calendar=calendar)
    except RuntimeError as error:
        output.fail(str(error), output.USAGE, json=json)
    if json:
        output.print_json(outcome.as_json())
    else:
        output.out.print(
            f"\n{'[green]Every step held.[/green]' if outcome.ok else '[red]Some steps failed.[/red]'} "
            f"{many(outcome.duplicates, 'duplicate')}, {outcome.lost} lost, {many(outcome.mailed, 'message')} mailed "
            f"by us, {outcome.seconds:.0f} seconds.")
        if keep:
            output.out.print(f"The project stays in {escape(str(keep))}: `sidefeed status -C {escape(str(keep))}`.")
            output.out.print(f"Open the forecast as a page: [bold]sidefeed serve -C {escape(str(keep))}[/bold]")
        if output.out.is_terminal and not no_browser:
            import tempfile
            import webbrowser

            place = (keep or Path(tempfile.mkdtemp(prefix="sidefeed-"))) / "demo.html"
            place.write_text(page(outcome), encoding="utf-8")
            output.out.print(f"The day as a page: {escape(str(place))}")
            webbrowser.open(place.as_uri())
    raise typer.Exit(0 if outcome.ok else ATTENTION)


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="The folder to make, or to fill.")] = Path(),
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
    json: JsonOption = False,
) -> None:
    """Write a working project: settings to fill in, mapping files to edit, Prefect deployments."""
    from sidefeed.cli.project_files import write_project

    try:
        written = write_project(folder, force=force)
    except FileExistsError as error:
        output.fail(str(error), USAGE, json=json)
    except OSError as error:
        output.fail(f"{error.filename or folder} cannot be written ({error.strerror}). Name a folder that you may "
                    f"write to.", USAGE, json=json)
    if json:
        output.print_json({"ok": True, "files": [str(path) for path in written]})
    else:
        for path in written:
            output.out.print(f"wrote {escape(str(path))}")
        output.out.print("Next: fill in sidefeed.toml, then `sidefeed prepare SYSTEM`, `sidefeed check`, "
                         "`sidefeed plan`, `sidefeed sync`.")


app.command()(server.up)
app.command()(server.down)
app.add_typer(imports.app, name="import")
app.add_typer(practice.app, name="sandbox")
maps.register(app)
calendars.register(app)
calendar_files.register(app)
meet.register(app)
forecasts.register(app)
serve.register(app)
undo.register(app)
quarantine.register(app)
consent.register(app)
audit.register(app)
census.register(app)
conflicts.register(app)
link.register(app)
budget.register(app)
calls.register(app)
trace.register(app)
rehearse.register(app)
panels.arrange(app)


def main() -> None:
    """The console script."""
    with rarely_collecting():
        app()
