"""``sidefeed backfill`` and ``sidefeed canary``: a changed mapping reaches the records little by little."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from sidefeed.cli import budget, output
from sidefeed.cli.output import ATTENTION, STOPPED, USAGE
from sidefeed.cli.shared import ActorOption, JsonOption, ProjectOption, errors
from sidefeed.plural import many

if TYPE_CHECKING:
    from sidefeed.sync.rollout import Outcome


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command()(backfill)
    app.command()(canary)


def backfill(
    field: Annotated[str, typer.Argument(metavar="ENTITY.FIELD", help="The field that is mapped newly or otherwise.")],
    apply: Annotated[bool, typer.Option("--apply", help="Write; without this it is only told.")] = False,
    records: Annotated[int | None, typer.Option("--records", min=1, help="At most so many records this time.")] = None,
    calls: Annotated[int | None, typer.Option("--calls", min=1, help=(
        "At most so many requests to each system for writing this time."))] = None,
    approve: Annotated[bool, typer.Option(help="Let a run pass that a guard stopped.")] = False,
    actor: ActorOption = "ops",
    project: ProjectOption = Path(),
    json: JsonOption = False,
) -> None:
    """Fill a newly mapped field of existing records, or write one anew whose lens, value map or column changed: only
    this field, only where it differs, as many as you say.

    Tells first how many records of each system would be filled, changed or cleared, and the least number of requests
    it takes, beside what is left of today's budget. What is left waits: run it again, or `sidefeed sync
    --confirm-mapping` for the rest.
    """
    from sidefeed.project import Project
    from sidefeed.sync.rollout import Part, preview, roll_out

    entity, _, name = field.partition(".")
    with errors(json):
        opened = Project.load(project, actor=actor)
        try:
            told = opened.mappings().entities.get(entity)
            if told is None or name not in told.fields:
                output.fail(f"there is no field {field!r}; `sidefeed explain` lists them.", USAGE, json=json)
            with output.progress(quiet=json) as bar, opened.engine(progress=bar) as engine:
                rows, needed = preview(engine, entity, name)
                standings = {system: engine.meter.standing(system) for system in needed}
                part = Part(engine.store, records, None, entity, name, calls, engine.connectors)
                done = roll_out(engine, part, approve=approve) if apply and rows else None
        finally:
            opened.close()
    if json:
        output.print_json({"ok": done is None or not done.refused, "would_write": rows, "min_calls": needed,
                           "budget": [one.as_json() for one in standings.values()],
                           "done": None if done is None else _as_json(done)})
    else:
        output.table("Filled, changed and cleared", ("where", "filled", "changed", "cleared"), [
            (f"{row['system']} {row['object']}", row["filled"], row["changed"], row["cleared"]) for row in rows])
        output.out.print("Calls needed: " + (", ".join(f"{one} {count}" for one, count in needed.items()) or "none"))
        budget.show(needed, standings)
        output.out.print(_sentence(done) if done else "Nothing was written; `--apply` does it.")
    if done is not None and done.refused:
        raise typer.Exit(ATTENTION)


def canary(
    records: Annotated[int, typer.Option("--records", min=1, help="How many records go first.")] = 10,
    team: Annotated[list[str] | None, typer.Option("--team", help="Then the records of these owners (addresses).")
                    ] = None,
    all: Annotated[bool, typer.Option("--all", help="Then everything.")] = False,
    most: Annotated[float, typer.Option("--most", min=0, max=1, help="Stop above this share of records that are "
                                        "refused, or that differ again afterwards.")] = 0.05,
    approve: Annotated[bool, typer.Option(help="Let a run pass that a guard stopped.")] = False,
    actor: ActorOption = "ops",
    project: ProjectOption = Path(),
    json: JsonOption = False,
) -> None:
    """Bring a changed mapping to a few records first, then to a team, then to all; stop by itself when it goes wrong.

    After each stage the systems are read again: a record that was refused, or that the system made something else of,
    counts. Until everything is through, an ordinary sync stops at the changed mapping, as it does before. Ends with 3
    where a stage stopped the roll-out.
    """
    from sidefeed.project import Project
    from sidefeed.sync.rollout import Part, owners_named, roll_out

    done: list[tuple[str, Outcome]] = []
    stopped = ""
    with errors(json):
        opened = Project.load(project, actor=actor)
        try:
            with output.progress(quiet=json) as bar, opened.engine(progress=bar) as engine:
                stages = [(many(records, "record"), Part(engine.store, records))]
                if team:
                    stages.append((", ".join(team), Part(engine.store, None, owners_named(engine.store, team))))
                if all:
                    stages.append(("all", Part(engine.store)))
                for name, part in stages:
                    outcome = roll_out(engine, part, approve=approve)
                    done.append((name, outcome))
                    stopped = _stops(name, outcome, most)
                    if stopped:
                        break
        except LookupError as error:
            output.fail(str(error.args[0]), USAGE, json=json)
        finally:
            opened.close()
    if json:
        output.print_json({"ok": not stopped, "stopped": stopped, "stages": [
            {"stage": name, **_as_json(outcome)} for name, outcome in done]})
    else:
        for name, outcome in done:
            output.out.print(escape(f"{name}: {_sentence(outcome)}"))
        if stopped:
            output.out.print(f"[red]{escape(stopped)}[/red]")
    if stopped:
        raise typer.Exit(STOPPED)


def _stops(name: str, outcome: Outcome, most: float) -> str:
    for number, what in ((outcome.refused, "were refused"), (outcome.differ, "differ again afterwards")):
        if outcome.rate(number) > most:
            return (f"Stopped after {name}: {number:,} of {many(outcome.records, 'record')} {what}, more than "
                    f"{most:.0%}. `sidefeed undo {outcome.report.run}` takes this stage back; mend the mapping first.")
    return ""


def _as_json(outcome: Outcome) -> dict[str, Any]:
    return {"run": outcome.report.run, "records": outcome.records, "refused": outcome.refused,
            "differ": outcome.differ, "left": outcome.left, "written": outcome.report.written}


def _sentence(outcome: Outcome) -> str:
    return (f"{many(outcome.records, 'record')} written, {outcome.refused} refused, {outcome.differ} differ again "
            f"afterwards, {outcome.left} left.")
