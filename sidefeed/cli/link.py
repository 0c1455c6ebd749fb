"""`sidefeed link` and `sidefeed unlink`: which objects are one record, before anything is written and after."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from sidefeed.cli import output
from sidefeed.cli.output import ATTENTION, STOPPED, UNREACHABLE, USAGE
from sidefeed.cli.shared import ActorOption, JsonOption, ProjectOption, calls_of, errors, tell_problems
from sidefeed.plural import many

if TYPE_CHECKING:
    from sidefeed.sync.matching import Question
    from sidefeed.sync.unlink import Apart

SHOWN = 10
"""How many records that hang on another are named."""


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command()(link)
    app.command()(unlink)


def link(
    system: Annotated[str | None, typer.Argument(help="The system of the object to answer for.")] = None,
    object: Annotated[str | None, typer.Argument(help="The object, as its system calls it.")] = None,
    id: Annotated[str | None, typer.Argument(help="The id in that system.")] = None,
    record: Annotated[str | None, typer.Argument(help="The record it is, or `new`.")] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Read the systems and show what would be matched, new here, new "
                                                      "there and ambiguous; write nothing anywhere.")] = False,
    accept: Annotated[float | None, typer.Option("--accept", min=0.5, max=1.0, help=(
        "Accept the best candidate of every question where its score is at least this and clearly ahead."))] = None,
    new: Annotated[bool, typer.Option("--new", help="Say of every object that resembles no record that it is a new "
                                                    "one.")] = False,
    limit: Annotated[int, typer.Option(help="How many lines to print; --json prints all.")] = 40,
    actor: ActorOption = "ops",
    project: ProjectOption = Path(),
    json: JsonOption = False,
) -> None:
    """Show and answer which objects of the systems are the same record.

    Start with `sidefeed link --plan`. After the first sync, `sidefeed link` lists what could be several records, with
    evidence; `sidefeed link SYSTEM OBJECT ID RECORD` answers one, `sidefeed link --accept 0.9` the clear ones. Answers
    are remembered, and the next sync acts on them. After an old backup of the workspace was restored, objects that it
    had made since and cannot place are asked here too, and nothing that could be one of them is created meanwhile.
    """
    if plan:
        _plan(project, limit, json=json)
        return
    from sidefeed.project import Project
    from sidefeed.sync.matching import NEW, answer, answer_new, questions
    from sidefeed.sync.matching import accept as accept_clear

    given = (system, object, id, record)
    if any(given) and not all(given):
        output.fail("give SYSTEM OBJECT ID RECORD, all four, or none to list what is asked.", USAGE, json=json)
    with errors(json):
        store = Project.load(project, actor=actor).store()
        try:
            with store.write() as tx:
                done: list[dict[str, Any]] = []
                if system and object and id and record:
                    answer(tx, system, object, id, record)
                    done.append({"system": system, "object": object, "external_id": id, "record": record})
                elif accept is not None:
                    done = [{"system": one.system, "object": one.object, "external_id": one.external_id,
                             "record": best.record, "label": best.label, "score": best.score}
                            for one, best in accept_clear(tx, accept)]
                if new:
                    done += [{"system": one.system, "object": one.object, "external_id": one.external_id,
                              "record": NEW} for one in answer_new(tx)]
                left = questions(tx)
        finally:
            store.close()
    if json:
        output.print_json({"answered": done, "questions": [one.as_json() for one in left]})
    else:
        for line in done[:limit]:
            output.out.print(f"{line['system']} {line['object']} {line['external_id']} is {line['record']} "
                             f"{escape(str(line.get('label', '')))}")
        _print_questions(left, limit)
        output.out.print(f"{len(done)} answered, {len(left)} left" + ("; the next sync acts on them." if done else "."))
        if left:
            output.out.print("Answer one with `sidefeed link SYSTEM OBJECT ID RECORD`, or `new` for RECORD.")
        if left and accept is not None:
            output.out.print(f"Left are those whose best candidate scores less than {accept}, is not clearly ahead, or "
                             f"is that of another object too.")
    if left and not done:
        raise typer.Exit(ATTENTION)


def _plan(project: Path, limit: int, *, json: bool) -> None:
    from sidefeed.project import Project

    with errors(json):
        opened = Project.load(project)
        with output.progress(quiet=json) as bar, opened.engine(progress=bar) as engine:
            found, report = engine.plan_links()
            calls = calls_of(engine)
        opened.close()
    if json:
        output.print_json({**found.as_json(), "failed": report.failed, "parked": report.parked, "calls": calls})
    else:
        output.table("What a first sync would make of it", ("feed", "linked", "matched", "new here", "new there",
                                                            "ambiguous"), [
            (feed, one["linked"], one["matched"], one["new_here"], one["new_there"], one["ambiguous"])
            for feed, one in found.feeds.items()])
        for match in found.matches[:limit]:
            output.out.print(f"match {match['feed']} {match['external_id']} = {escape(match['label'])} by "
                             f"{escape(match['key'])}")
        _print_questions(found.questions, limit)
        tell_problems(report)
        output.out.print("Nothing was written anywhere. `sidefeed plan` shows every write; `sidefeed sync` does it.")
    if report.failed:
        raise typer.Exit(UNREACHABLE)
    if report.parked:
        raise typer.Exit(STOPPED)


def _print_questions(found: list[Question], limit: int) -> None:
    for one in found[:limit]:
        why = f", by {one.key}" if one.key else ": made by a later state of this workspace, or by another one"
        names = (one.values.get(key) for key in ("name", "email", "last_name", "subject"))
        name = next((str(each) for each in names if each), "")
        output.out.print(f"[yellow]?[/yellow] {one.system} {one.object} {one.external_id} {escape(name + why)}")
        for candidate in one.candidates:
            output.out.print(f"    {candidate.record} {escape(candidate.label)} score {candidate.score}, same "
                             f"{', '.join(candidate.same) or 'nothing'}; differs {', '.join(candidate.differs) or '-'}")
    if len(found) > limit:
        output.out.print(f"... and {len(found) - limit} more; --json prints all.")


def unlink(
    system: Annotated[str, typer.Argument(help="The system.")],
    object: Annotated[str, typer.Argument(help="The object, as its system calls it.")],
    id: Annotated[str, typer.Argument(help="The id of the object that was linked with the wrong record.")],
    plan: Annotated[bool, typer.Option("--plan", help="Show what it comes to, and what hangs on the object; change "
                                                      "nothing.")] = False,
    actor: Annotated[str, typer.Option("--as", help="Who says so; kept in the history.")] = "ops",
    project: ProjectOption = Path(),
    json: JsonOption = False,
) -> None:
    """Take apart what was linked by mistake: the object gets a record of its own, with what it said itself.

    Values that had been written over by the other are put back, on both sides, by the next sync. What hangs on the
    object in its system (contacts of a company, line items of a deal) stays with it there, and here with the record it
    was read under: `--plan` lists it. Where the mistake was made by one run alone, `sidefeed undo RUN --record RECORD`
    takes back everything it did.
    """
    from sidefeed.project import Project
    from sidefeed.sync.engine import scratch_copy
    from sidefeed.sync.unlink import take_apart

    with errors(json):
        opened = Project.load(project, actor=actor)
        mappings, store = opened.mappings(), opened.store()
        try:
            with ExitStack() as copied:
                place = copied.enter_context(scratch_copy(store)) if plan else store
                place.natural_keys = store.natural_keys
                with place.write() as tx:
                    done = take_apart(tx, mappings, system, object, id, actor=actor)
        finally:
            store.close()
            opened.close()
    if json:
        output.print_json({"ok": True, **done.as_json()})
    else:
        _print_apart(done, f"{system} {object} {id}", system, planned=plan)


def _print_apart(done: Apart, what: str, system: str, *, planned: bool) -> None:
    from sidefeed.workspace.report import readable

    if planned:
        output.out.print(f"{escape(what)} would be a record of its own, and {escape(done.old_label)} ({done.old}) "
                         f"would be made anew in {system}.")
        for title, values in (("it holds", done.own), (f"{done.old_label} gets back", done.given_back)):
            told = ", ".join(f"{name} {readable(value)!r}" for name, value in values.items() if name[:1] != "_")
            output.out.print(f"  {title}: {escape(told or 'nothing')}")
    else:
        output.out.print(f"{escape(what)} is record {done.record} now; the next sync brings both into line.")
    if done.hanging:
        named = ", ".join(f"{entity} {name} ({field})" for entity, name, field in done.hanging[:SHOWN])
        more = f" and {len(done.hanging) - SHOWN} more; --json names all" if len(done.hanging) > SHOWN else ""
        hang = many(len(done.hanging), "record hangs", "records hang")
        output.out.print(f"[yellow]![/yellow] {hang} on {escape(done.old_label)}: {escape(named + more)}. Here each "
                         f"stays with it; in {system} what hangs on the object stays with the object. Look which of "
                         f"the two each belongs to, and move it where it is with the wrong one.")
    if planned:
        output.out.print("Nothing was changed.")
