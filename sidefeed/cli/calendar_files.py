"""Calendar and contact files in and out: ``sidefeed import ics``, ``import vcf``, ``export ics``, ``export vcf``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from sidefeed.cli import imports, output
from sidefeed.cli.shared import JsonOption, ProjectOption, errors
from sidefeed.plural import many

if TYPE_CHECKING:
    from sidefeed.sync import Report

export_app = typer.Typer(no_args_is_help=True)

FilesArgument = Annotated[list[Path], typer.Argument(
    metavar="FILES...", exists=True, dir_okay=False, help="The files to read.")]
RepOption = Annotated[str, typer.Option("--as", metavar="REP", help="Whose they are: a mailbox address.")]


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    imports.app.command("ics")(import_ics)
    imports.app.command("vcf")(import_vcf)
    app.add_typer(export_app, name="export")


@export_app.callback()
def _export() -> None:
    """Write meetings and contacts of the workspace into files that every calendar and address book reads."""


def import_ics(
    files: FilesArgument, rep: RepOption, zone: Annotated[str, typer.Option(
        help="The time zone of times that name none.")] = "UTC",
    project: ProjectOption = Path(), json: JsonOption = False,
) -> None:
    """Read calendar files as one person's calendar, under the same rules as a mailbox: private meetings, internal ones
    and those with strangers stay out.

    A series is read with its exceptions and deletions, from 14 days ago to 90 days ahead. What cannot be read is named,
    and the rest goes on. Read again, a file is the same meetings.
    """
    with errors(json):
        report = _import(project, files, rep.strip().casefold(), zone, "calendar", create=False)
    _tell(report, "meetings", json=json)


def import_vcf(
    files: FilesArgument, rep: RepOption, create: Annotated[bool, typer.Option(
        "--create", help="Make contacts of people who match nobody; without it they are left out.")] = False,
    project: ProjectOption = Path(), json: JsonOption = False,
) -> None:
    """Read contact files. People are matched by e-mail first; nobody becomes a contact unless you say --create."""
    with errors(json):
        report = _import(project, files, rep.strip().casefold(), "UTC", "contacts", create=create)
    _tell(report, "contacts", json=json)


def _import(project: Path, files: list[Path], mailbox: str, zone: str, object: str, *, create: bool) -> Report:
    from connectors.icsfiles import IcsConnector
    from sidefeed.project import Project, ProjectError
    from sidefeed.sync import Engine

    opened = Project.load(project)
    mappings = opened.mappings()
    try:
        om = replace(mappings.of("caldav", object), system="ics", readonly=True,
                     introduces=create or object == "calendar")
    except KeyError:
        raise ProjectError(f"{opened.mapping_folder}/caldav.yaml does not map {object!r}; it says how calendar files "
                           "are read. `sidefeed init` in an empty folder writes one to copy.") from None
    together = replace(mappings, objects=(*mappings.objects, om))
    connector = IcsConnector(files, mailbox, zone=zone, now=opened.now)
    store = opened.store()
    try:
        return Engine(store, together, {"ics": connector}, opened.limits(), None, store.calendars).sync(
            ["ics"], confirm_mapping=True)
    finally:
        store.close()


def _tell(report: Report, what: str, *, json: bool) -> None:
    counts = report.counts
    left = {name.removeprefix("meetings_"): number for name, number in counts.items() if name.startswith("meetings_")}
    if json:
        output.print_json(report.as_json())
    else:
        output.out.print(f"{counts.get('new_here', 0)} new {what}, {counts.get('matched', 0)} matched, "
                         f"{many(counts.get('absorbed', 0), 'change')} in the history.")
        if left:
            output.out.print("Left out: " + ", ".join(f"{number} {name}" for name, number in left.items()))
        for problem in report.problems:
            output.out.print(f"[yellow]![/yellow] {escape(str(problem))}")
        for name, message in report.failed.items():
            output.out.print(f"[red]x[/red] {escape(f'{name}: {message}')}")
    if report.problems or report.failed:
        raise typer.Exit(output.ATTENTION)


OutOption = Annotated[Path, typer.Option("--out", "-o", help="The file to write.")]


@export_app.command("ics")
def export_ics(
    out: OutOption,
    rep: Annotated[str | None, typer.Option("--as", metavar="REP", help="Only meetings of this person.")] = None,
    project: ProjectOption = Path(), json: JsonOption = False,
) -> None:
    """Write meetings as a calendar file, each series as one object with its rule, its exceptions and its deletions.

    Attendees are left out: importing the file anywhere invites nobody.
    """
    from sidefeed.calendars.export import meetings_file, wholes
    from sidefeed.project import Project

    with errors(json):
        opened = Project.load(project)
        store = opened.store()
        with store.read() as tx:
            owners = {state.id for state in tx.each_record("user")
                      if rep is None or str(state.values.get("email") or "").casefold() == rep.casefold()}
            found = [state for state in tx.each_record("meeting") if not state.deleted
                     and not state.values.get("withdrawn") and (rep is None or state.values.get("owner") in owners)]
            series, alone = wholes(tx, found)
        store.close()
        content = meetings_file(alone, opened.now(), series)
        _write(out, content, len(found), "meetings", json=json, series=len(series))


@export_app.command("vcf")
def export_vcf(out: OutOption, project: ProjectOption = Path(), json: JsonOption = False) -> None:
    """Write contacts as a vCard file."""
    from sidefeed.calendars.export import contacts_file
    from sidefeed.project import Project

    with errors(json):
        store = Project.load(project).store()
        with store.read() as tx:
            companies = {state.id: str(state.values.get("name") or "") for state in tx.each_record("account")}
            found = [state for state in tx.each_record("contact") if not state.deleted and state.merged_into is None]
        store.close()
        _write(out, contacts_file(found, companies), len(found), "contacts", json=json)


def _write(out: Path, content: bytes, number: int, what: str, *, json: bool, series: int | None = None) -> None:
    out.write_bytes(content)
    if json:
        output.print_json({"ok": True, "file": str(out), what: number} | (
            {} if series is None else {"series": series}))
    else:
        of_series = f", {series} series among them" if series else ""
        output.out.print(f"{number} {what}{of_series} in {escape(str(out))}.")
