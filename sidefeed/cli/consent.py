"""What a person lets be written, and what not: a plan that was saved, a run that a guard stopped, what is paused."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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

if TYPE_CHECKING:
    from sidefeed.project import Project
    from sidefeed.workspace import Transaction
    from sidefeed.workspace.pauses import Pause

RunArgument = Annotated[str | None, typer.Argument(
    help="The run's id, or the start of it; without it, the runs that wait are shown with what stopped them.")]
WhatArgument = Annotated[str | None, typer.Argument(
    metavar="[SYSTEM|MAILBOX|everything]", help="A system, the address of a mailbox, or `everything`.")]
ObjectArgument = Annotated[str | None, typer.Argument(help="Only this object of the system.")]


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    for command in (apply, approve, skip, pause, resume):
        app.command()(command)


def apply(
    plan: Annotated[Path, typer.Argument(help="A plan saved by `sidefeed plan --out`.")],
    project: ProjectOption = Path(),
    json: JsonOption = False,
    approve: Annotated[bool, typer.Option(help="Let the plan pass a guard that stopped it.")] = False,
    actor: ActorOption = "ops",
    record_calls: RecordOption = None,
    record_bodies: BodiesOption = False,
) -> None:
    """Do exactly what a saved plan says, or refuse, naming the difference, if the world moved since."""
    from sidefeed.project import Project
    from sidefeed.sync import SavedPlan

    with errors(json):
        saved = SavedPlan.load(plan)
        opened = Project.load(project, actor=actor)
        with recorded(opened, "apply", record_calls, bodies=record_bodies, json=json), \
                output.progress(quiet=json) as bar, opened.engine(saved.systems, progress=bar) as engine:
            report = engine.apply(saved, approve=approve)
            calls = calls_of(engine)
        opened.close()
    end_with(report, calls, json=json)


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


def pause(
    what: WhatArgument = None,
    object: ObjectArgument = None,
    why: Annotated[str, typer.Option(help="The reason; shown wherever something waits for it.")] = "",
    reads: Annotated[
        bool, typer.Option("--reads", help="Do not read it either: it takes no part in any sync.")] = False,
    actor: ActorOption = "ops",
    project: ProjectOption = Path(),
    json: JsonOption = False,
) -> None:
    """Let nothing be written to a system, an object, a mailbox or everything until `sidefeed resume`; without an
    argument, list what is paused.

    It holds for every runner at once: a run at work stops before its next batch. What is paused is still read, merged
    and planned, so `sidefeed plan` shows what waits. A mailbox is not read either. Asks no system.
    """
    from sidefeed.project import Project
    from sidefeed.workspace import pauses

    with errors(json):
        opened = Project.load(project, actor=actor)
        store = opened.store()
        try:
            with store.write() as tx:
                if what is not None:
                    pauses.pause(tx, _what(opened, what, object), by=actor, why=why, reads=reads)
                    told = _not_read_yet(tx, what) if "@" in what else ""
                found = pauses.pauses(tx)
        finally:
            store.close()
    if json:
        output.print_json({"ok": True, "paused": [one.as_json() for one in found]})
        return
    show_pauses(found)
    if what is not None and told:
        output.out.print(escape(told))
    if not found:
        output.out.print("Nothing is paused.")


def resume(
    what: WhatArgument,
    object: ObjectArgument = None,
    actor: ActorOption = "ops",
    project: ProjectOption = Path(),
    json: JsonOption = False,
) -> None:
    """Let go on what was paused: the next sync writes what waited, after the guards. Asks no system."""
    from sidefeed.project import Project
    from sidefeed.workspace import pauses

    with errors(json):
        store = Project.load(project, actor=actor).store()
        try:
            with store.write() as tx:
                ended = pauses.resume(tx, _name(what or "", object))
                left = pauses.pauses(tx)
        finally:
            store.close()
    if json:
        output.print_json({"ok": True, "resumed": ended.as_json(), "paused": [one.as_json() for one in left]})
        return
    output.out.print(escape(f"{ended.what} goes on; it was paused since {ended.since[:16]} by {ended.by}."))
    show_pauses(left)


def show_pauses(found: list[Pause]) -> None:
    """What is paused, where anything is."""
    if found:
        output.table("Paused", ("what", "since", "by", "why", "read"), [
            (one.what, one.since[:16], one.by, one.why, "no" if one.stops_reading else "yes") for one in found])


def _what(project: Project, what: str, object: str | None) -> str:
    """What a person means. Raises StoreError, naming what there is."""
    from sidefeed.mapping.files import nearest
    from sidefeed.workspace import StoreError
    from sidefeed.workspace.pauses import EVERYTHING

    name = _name(what, object)
    if name == EVERYTHING or "@" in name:
        return name
    mapped = {om.system: set[str]() for om in project.mappings().objects}
    for om in project.mappings().objects:
        mapped[om.system].add(om.object)
    if what not in mapped:
        raise StoreError(f"no system {what!r} is mapped. {nearest(what, [*mapped, EVERYTHING])}".rstrip())
    if object is not None and object not in mapped[what]:
        raise StoreError(f"no object {object!r} of {what} is mapped. {nearest(object, mapped[what])}".rstrip())
    return name


def _name(what: str, object: str | None) -> str:
    return (what.casefold() if "@" in what else what) + (f" {object}" if object else "")


def _not_read_yet(tx: Transaction, address: str) -> str:
    known = any(object.casefold().endswith(f"/{address.casefold()}") for _system, object in tx.feeds())
    return "" if known else f"No mailbox {address} was ever read; the pause holds once one is."
