"""What every command has in common: its options, and how errors end it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from sidefeed.cli import output
from sidefeed.cli.output import ATTENTION, BUSY, STOPPED, UNREACHABLE, USAGE
from sidefeed.plural import many

if TYPE_CHECKING:
    from sidefeed.project import Project
    from sidefeed.sync import Engine, Report
    from sidefeed.workspace import RecordState, Store

ProjectOption = Annotated[Path, typer.Option("--project", "-C", help="The project folder, made by `sidefeed init`.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
ActorOption = Annotated[str, typer.Option("--as", help="Who does this; kept in the audit trail.")]
SystemsArgument = Annotated[list[str] | None, typer.Argument(help="Systems to take part; all, if none are named.")]
RecordOption = Annotated[Path | None, typer.Option(
    "--record-calls", metavar="FILE", show_default=False,
    help="Keep each request and its answer in this new file, without secrets; `sidefeed calls FILE` shows them.")]
BodiesOption = Annotated[bool, typer.Option(
    "--record-bodies", help="Keep bodies too, without secrets and without the words of meetings.")]


@contextmanager
def errors(json: bool) -> Iterator[None]:
    """Turn what can go wrong into a sentence and an exit code."""
    try:
        yield
    except Exception as error:
        ending = _ending(error)
        if ending is None:
            raise
        output.fail(*ending, json=json, **_stopped(error))


@contextmanager
def recorded(opened: Project, command: str, file: Path | None, *, bodies: bool, json: bool) -> Iterator[None]:
    """Keep the calls of this command in a file, where one is named, and say how many, also where the command fails."""
    if file is None:
        if bodies:
            output.fail("--record-bodies needs --record-calls FILE.", USAGE, json=json)
        yield
        return
    from sidefeed.recording import Recorder, RecordingError

    try:
        if file.is_file() and not json and output.err.is_terminal and typer.confirm(
                f"{file} exists already. Replace it?", err=True):
            file.unlink()
        opened.recorder = Recorder(file, bodies=bodies, command=command)
    except RecordingError as error:
        output.fail(str(error), USAGE, json=json)
    try:
        yield
    finally:
        opened.recorder.close()
        if not json:
            output.err.print(f"Recorded {many(opened.recorder.written, 'call')}: `sidefeed calls {escape(str(file))}`"
                             if opened.recorder.written else "No call was made, so none was recorded.")
        if opened.recorder.lost:
            output.err.print(f"[yellow]![/yellow] {many(opened.recorder.lost, 'call')} could not be recorded in "
                             f"{escape(str(file))}: {escape(opened.recorder.trouble)}. The command itself went on.")


def _ending(error: Exception) -> tuple[str, int] | None:
    """What is said of an error, and the exit code; None of one that nobody foresaw. What defines the errors is imported
    here, so that a command that goes well imports only what it uses."""
    from sidefeed.connector import AuthenticationFailed, ConnectorError
    from sidefeed.mapping import MappingErrors
    from sidefeed.project import ProjectError
    from sidefeed.sync import GuardTripped, WorldMoved
    from sidefeed.sync.approval import next_steps
    from sidefeed.workspace import LeaseHeld, StoreError

    match error:
        case GuardTripped():
            return f"{error} {next_steps(error)}".rstrip(), STOPPED
        case WorldMoved():
            return str(error), STOPPED
        case LeaseHeld():
            return str(error), BUSY
        case ProjectError() | MappingErrors() | StoreError():
            return str(error), USAGE
        case AuthenticationFailed():
            return f"{error.message} Renew the credentials in the project's settings.", UNREACHABLE
        case ConnectorError():
            return f"{error.message} [{error.code}]", UNREACHABLE
    return None


def _stopped(error: Exception) -> dict[str, Any]:
    """What a program needs to know of a run that was stopped: which it is, and by what."""
    from sidefeed.sync import GuardTripped, WorldMoved

    if isinstance(error, GuardTripped):
        return {"run": error.run or None, "trips": [trip.as_json() for trip in error.trips]}
    return {"differences": error.differences} if isinstance(error, WorldMoved) else {}


def the_record(store: Store, text: str, *, json: bool) -> RecordState:
    """The one record that a person means, or an end with the candidates."""
    from sidefeed.workspace.report import find_records, label

    with store.read() as tx:
        found = find_records(tx, text)
    if len(found) != 1:
        hint = "; ".join(f"{state.entity} {state.id} {label(state)}" for state in found[:10])
        more = f" and {len(found) - 10} more" if len(found) > 10 else ""
        output.fail(f"{text!r} names {len(found)} records: {hint}{more}. Give the id." if found else
                    f"no record is called {text!r}. Give its id, its id in a system, or a part of its name.", USAGE,
                    json=json)
    return found[0]


Calls = dict[str, dict[str, int]]


def calls_of(engine: Engine) -> Calls:
    """How many requests each system was sent, and the least that the work needed."""
    return {name: {"used": one.calls.used, "minimum": one.calls.minimum} for name, one in engine.connectors.items()}


def end_with(report: Report, calls: Calls, *, json: bool) -> None:
    """Tell what a run did, and end with the exit code that says whether a person is needed."""
    if json:
        output.print_json({**report.as_json(), "calls": calls})
    else:
        _print_report(report, calls)
    if report.failed:
        raise typer.Exit(UNREACHABLE)
    if report.problems or report.to_decide:
        raise typer.Exit(ATTENTION)


def _print_report(report: Report, calls: Calls) -> None:
    rows = [(feed, *(ops.get(op, 0) for op in ("create", "update", "delete", "restore")))
            for feed, ops in report.written.items()]
    if rows:
        output.table("Written", ("where", "created", "updated", "deleted", "restored"), rows)
    elif report.failed:
        output.out.print("Nothing was written, and not everything could be read.")
    else:
        output.out.print("Nothing new to write.")
    if report.changes:
        output.table("Absorbed", ("from", "changes"), list(report.changes.items()))
    for sentence in report.decisions:
        output.out.print(f"[yellow]![/yellow] {sentence}")
    if left := report.counts.get("left_scope"):
        told = many(left, "object has left the scope of its mapping", "objects have left the scope of their mapping")
        output.out.print(f"{told}; `leaving_scope` there says what becomes of the copies.")
    output.out.print("Calls: " + ", ".join(f"{name} {count['used']}" for name, count in calls.items()))
    tell_problems(report)


def tell_problems(report: Report) -> None:
    """What a person must act on: records first, by their reasons, then the feeds and systems that failed, each once."""
    problems = [one for one in report.problems
                if f"{one.system} {one.object}" not in report.failed or one.record != "all records"]
    told: list[tuple[str, str, str, str]] = []
    feeds: list[tuple[str, str]] = []
    for one in problems:
        feed, message = f"{one.system} {one.object}", f"{one.message} [{one.code}, for {one.owner}]"
        if one.record == "all records":
            feeds.append((feed, message))
        else:
            told.append((feed, one.record, f", field {one.field}" if one.field else "", message))
    if problems:
        from sidefeed.cli.alike import feeds_once, told_once

        for sentence in (*told_once(told), *feeds_once(feeds)):
            output.out.print(f"[yellow]![/yellow] {escape(sentence)}")
    for name, message in report.failed.items():
        output.out.print(f"[red]x[/red] {escape(f'{name}: {message}')}")
    for name, message in report.paused.items():
        output.out.print(f"[yellow]=[/yellow] {escape(f'{name}: {message}')}")
    if report.parked:
        from sidefeed.sync.guard import told_together

        output.out.print(f"[red]x[/red] {escape(told_together(report.parked))}")
