"""`sidefeed census`: prove that nothing was missed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from sidefeed.cli import output
from sidefeed.cli.output import ATTENTION, UNREACHABLE
from sidefeed.cli.shared import (
    BodiesOption,
    JsonOption,
    ProjectOption,
    RecordOption,
    SystemsArgument,
    calls_of,
    errors,
    recorded,
)

if TYPE_CHECKING:
    from sidefeed.sync.census import FeedCensus


def register(app: typer.Typer) -> None:
    """Add this command to the command line."""
    app.command()(census)


def census(
    systems: SystemsArgument = None,
    repair: Annotated[bool, typer.Option("--repair", help="Let the next sync absorb small drift.")] = False,
    limit: Annotated[int, typer.Option(help="How many differences to print; --json prints all.")] = 40,
    project: ProjectOption = Path(),
    json: JsonOption = False,
    record_calls: RecordOption = None,
    record_bodies: BodiesOption = False,
) -> None:
    """Hold every linked object of each system against what the workspace believes it holds: ids, versions, values.

    Finds what a feed does not tell: late commits, changes under one time stamp, associations and formulas that changed
    without a new version, objects deleted, merged, hidden or never seen. Nothing is written to a system; `--repair`
    lets the next sync absorb what was found. Absence is never taken for deletion. Exit code 1: something differs.
    """
    from sidefeed.project import Project

    with errors(json):
        opened = Project.load(project)
        with recorded(opened, "census", record_calls, bodies=record_bodies, json=json), \
                output.progress(quiet=json) as bar, opened.engine(systems, progress=bar) as engine:
            found = []
            for one in engine.census(systems or None, repair=repair):
                found.append(one)
                if not json:
                    _show(one, limit)
            calls = calls_of(engine)
        opened.close()
    differ = sum(len(one.differences) for one in found)
    failed = any(one.failed for one in found)
    if json:
        output.print_json({"ok": not differ and not failed, "equal": sum(one.equal for one in found),
                           "differ": differ, "feeds": [one.as_json() for one in found], "calls": calls})
    else:
        output.out.print(f"{sum(one.equal for one in found):,} equal, {differ:,} differ. Calls: " + ", ".join(
            f"{name} {count['used']} (at least {count['minimum']} were needed)" for name, count in calls.items()))
        if differ and not repair:
            output.out.print("`sidefeed census --repair` lets the next sync absorb what was found.")
    if failed:
        raise typer.Exit(UNREACHABLE)
    if differ:
        raise typer.Exit(ATTENTION)


def _show(one: FeedCensus, limit: int) -> None:
    colour = "red" if one.failed else "yellow" if one.differences else "green"
    output.out.print(f"[{colour}]{escape(one.sentence())}[/{colour}]")
    for each in one.differences[:limit]:
        fields = f" ({', '.join(each.fields)})" if each.fields else ""
        output.out.print(f"  {escape(each.external_id)} {escape(each.record or '')}: {escape(each.why + fields)}")
    if len(one.differences) > limit:
        output.out.print(f"  ... and {len(one.differences) - limit} more; --json prints all.")
