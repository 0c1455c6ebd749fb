"""`sidefeed conflicts`, `resolve` and `release`: what people disagree about, and what they decide."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from sidefeed.cli import output
from sidefeed.cli.output import USAGE
from sidefeed.cli.shared import ActorOption, JsonOption, ProjectOption, errors
from sidefeed.plural import many

if TYPE_CHECKING:
    from sidefeed.project import Project
    from sidefeed.workspace import Head, Store


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command()(conflicts)
    app.command()(resolve)
    app.command()(release)


def conflicts(project: ProjectOption = Path(), json: JsonOption = False) -> None:
    """List fields on which people really disagree: what both started from, every value, system, person and age.

    Fields that two systems keep changing to and fro are listed too: they are parked, and written nowhere until somebody
    decides (`sidefeed resolve`) or lets them go on (`sidefeed release`).
    """
    from sidefeed.project import Project
    from sidefeed.sync.flips import parked_lines
    from sidefeed.workspace.report import conflict_lines, readable

    with errors(json):
        store = Project.load(project).store()
        with store.read() as tx:
            lines, parked = conflict_lines(tx), parked_lines(tx)
        store.close()
    if json:
        output.print_json({"conflicts": lines, "parked": parked})
        return
    output.table(f"{len(lines)} in conflict", ("record", "name", "field", "both started from", "values"), [
        (one["record"], one["label"], one["field"], one["shown"] or readable(one["base"]), "\n".join(
            f"{side['shown'] or readable(side['value'])} ({side['actor']} in {side['source']}, {_age(side['hours'])})"
            for side in one["sides"])) for one in lines])
    if parked:
        output.table(f"{len(parked)} parked because they flip", ("record", "name", "field", "history"), [
            (one["record"], one["label"], one["field"], "\n".join(
                f"{said['at'][:16]} {readable(said['value'])} ({said['actor']} in {said['source']})"
                for said in one["history"])) for one in parked])


def _age(hours: float) -> str:
    return f"{hours:.0f} hours ago" if hours < 48 else f"{hours / 24:.0f} days ago"


def resolve(
    record: Annotated[str, typer.Argument(help="The record's id, or part of its name.")],
    field: Annotated[str, typer.Argument(help="The field in conflict, or parked.")],
    system: Annotated[str | None, typer.Option("--from", help="Take the value of this system.")] = None,
    value: Annotated[str | None, typer.Option("--value", help="Take this value (JSON, or plain text).")] = None,
    always: Annotated[bool, typer.Option("--always", help=(
        "With --from: make it the rule. The mapping file gets `policy: {prefer: SYSTEM}`, a golden test holds it, and "
        "the other open conflicts about this field are decided the same way."))] = False,
    actor: Annotated[str, typer.Option("--as", help="Who decides; kept in the history.")] = "ops",
    project: ProjectOption = Path(),
    json: JsonOption = False,
) -> None:
    """Decide a conflict. The decision is a change like any other: it shows in blame and travels at the next sync."""
    from sidefeed.project import Project
    from sidefeed.workspace.report import called, decide_conflict, find_conflict, readable

    if always and system is None:
        output.fail("--always needs --from SYSTEM: a value cannot be a rule.", USAGE, json=json)
    files: list[str] = []
    others = 0
    with errors(json):
        opened = Project.load(project, actor=actor)
        store = opened.store()
        try:
            with store.read() as tx:
                state = find_conflict(tx, record, field)
                heads = list(state.conflicts.get(field, ()))
            read = _reader(opened, state.entity, field, json=json) if value is not None else None
            chosen = decide_conflict(store, record, field, system=system, value=value, actor=actor, read=read)
            with store.read() as tx:
                shown = called(tx, [chosen]).get(str(chosen), chosen)
            if always and system is not None:
                files, others = _make_rule(opened, store, state.entity, field, system, heads)
        except LookupError as error:
            output.fail(str(error.args[0]), USAGE, json=json)
        finally:
            store.close()
            opened.close()
    if json:
        output.print_json({"ok": True, "field": field, "value": chosen, "files": files, "others": others})
        return
    output.out.print(f"{field} is now {escape(str(readable(shown)))}; the next sync writes it everywhere.")
    if files:
        output.out.print(f"From now on {system} wins {field}: written to {', '.join(map(escape, files))}; "
                         f"{many(others, 'other conflict about it was', 'other conflicts about it were')} decided "
                         f"too. `sidefeed map test` holds the rule.")


def _reader(project: Project, entity: str, field: str, *, json: bool) -> Callable[[str, Any], Any] | None:
    """How the text of a value is read where the mapping says what this field holds. It ends the command where the text
    is none: each system would refuse it, long after the decision."""
    from sidefeed.web.typed import EDITABLE, NotUnderstood, region_of, value_of

    mappings = project.mappings()
    declared = mappings.entities.get(entity)
    spec = declared.fields.get(field) if declared else None
    if spec is None or spec.type not in EDITABLE:
        return None

    def read(text: str, like: Any) -> Any:
        try:
            return value_of(text, spec, like, region=region_of(mappings, entity, field))
        except NotUnderstood as error:
            output.fail(f"nothing was decided about {field}. {error}", USAGE, json=json)

    return read


def _make_rule(
    project: Project, store: Store, entity: str, field: str, system: str, heads: list[Head]
) -> tuple[list[str], int]:
    from sidefeed.mapping.always import NotWritten
    from sidefeed.sync.rules import make_rule

    try:
        with store.write() as tx:
            made = make_rule(tx, project.mapping_folder, project.mappings, entity, field, system, heads)
    except NotWritten as error:
        raise LookupError(f"the conflict is decided, but not made a rule: {error}") from None
    return [str(path) for path in made.files], made.others


def release(
    record: Annotated[str, typer.Argument(help="The record's id, or part of its name.")],
    field: Annotated[str, typer.Argument(help="The field that was parked because it flips.")],
    actor: ActorOption = "ops",
    project: ProjectOption = Path(),
    json: JsonOption = False,
) -> None:
    """Let a parked field be written again, as it is now; flips are counted from here."""
    from sidefeed.project import Project
    from sidefeed.sync.flips import parked_fields
    from sidefeed.sync.flips import release as let_go
    from sidefeed.workspace.report import find_records, label

    with errors(json):
        store = Project.load(project, actor=actor).store()
        try:
            with store.write() as tx:
                parked = parked_fields(tx)
                found = find_records(tx, record, where=lambda state: field in parked.get(state.id, ()))
                if len(found) == 1:
                    let_go(tx, found[0], field)
        finally:
            store.close()
    if len(found) > 1:
        named = "; ".join(f"{state.id} {label(state)}" for state in found)
        output.fail(f"{field} is parked on {len(found)} records like {record!r}: {named}. Give the id.", USAGE,
                    json=json)
    if not found:
        output.fail(f"{field} of {record} is not parked; `sidefeed conflicts` lists what is.", USAGE, json=json)
    if json:
        output.print_json({"ok": True, "record": found[0].id, "field": field})
    else:
        output.out.print(f"{field} is written again from the next sync on.")
