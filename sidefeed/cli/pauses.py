"""`sidefeed pause` and `sidefeed resume`: let nothing be written somewhere, and let it go on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from sidefeed.cli import output
from sidefeed.cli.shared import ActorOption, JsonOption, ProjectOption, errors

if TYPE_CHECKING:
    from sidefeed.project import Project
    from sidefeed.workspace import Transaction
    from sidefeed.workspace.pauses import Pause

WhatArgument = Annotated[str | None, typer.Argument(
    metavar="[SYSTEM|MAILBOX|everything]", help="A system, the address of a mailbox, or `everything`.")]
ObjectArgument = Annotated[str | None, typer.Argument(help="Only this object of the system.")]


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command()(pause)
    app.command()(resume)


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
                    pauses.pause(tx, named(opened, what, object), by=actor, why=why, reads=reads)
                    told = _not_read_yet(tx, what) if "@" in what else ""
                found = pauses.pauses(tx)
        finally:
            store.close()
    if json:
        output.print_json({"ok": True, "paused": [one.as_json() for one in found]})
        return
    show(found)
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
    show(left)


def show(found: list[Pause]) -> None:
    """What is paused, where anything is."""
    if found:
        output.table("Paused", ("what", "since", "by", "why", "read"), [
            (one.what, one.since[:16], one.by, one.why, "no" if one.stops_reading else "yes") for one in found])


def named(project: Project, what: str, object: str | None) -> str:
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
