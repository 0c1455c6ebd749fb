"""`sidefeed budget`: how many of each system's daily calls are used and left."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.markup import escape

from sidefeed.cli import output
from sidefeed.cli.shared import JsonOption, ProjectOption, errors

if TYPE_CHECKING:
    from sidefeed.sync.budget import Standing


def register(app: typer.Typer) -> None:
    """Add this command to the command line."""
    app.command()(budget)


def budget(project: ProjectOption = Path(), json: JsonOption = False) -> None:
    """Show how many of each system's daily calls Sidefeed may use, has used today (UTC), and has left.

    The share of a system's limit is 0.5, or as `[budget.<system>]` in sidefeed.toml says. A run stops at the share with
    work left for the next one; what people typed goes first; refused records are not asked again beyond 75 % of it.
    """
    from sidefeed.project import Project
    from sidefeed.sync.budget import Budget, standing

    with errors(json):
        opened = Project.load(project)
        store, budgets = opened.store(), opened.budgets()
        with store.read() as tx:
            found = [standing(tx, name, budgets.get(name, Budget())) for name in opened.systems]
        store.close()
    if json:
        output.print_json({"systems": [one.as_json() for one in found]})
        return
    output.table("Calls today (UTC)", ("system", "used", "may use", "left", "daily limit", "retries"), [
        (one.system, one.used, one.allowed, one.left, "not told yet" if one.limit is None else one.limit,
         "open" if one.retries else "closed until tomorrow") for one in found])


def show(needed: Mapping[str, int], standings: Mapping[str, Standing]) -> None:
    """What a plan needs against what is left, where that is close."""
    for name, calls in needed.items():
        one = standings[name]
        if one.left is not None and calls > one.left:
            output.out.print(f"[yellow]![/yellow] {escape(one.forecast(calls, datetime.now(UTC)))}")
