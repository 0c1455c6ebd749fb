"""Commands of those who edit mapping files: explain, test, begin, compare, rehearse, prepare, detach."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from sidefeed.cli import output
from sidefeed.cli.output import USAGE
from sidefeed.cli.shared import JsonOption, ProjectOption, errors

if TYPE_CHECKING:
    from sidefeed.mapping.explain import EntityStory, FieldStory

commands = typer.Typer(no_args_is_help=True, help="Test, begin and compare mapping files.")


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command()(explain)
    app.add_typer(commands, name="map")


# --- explain ---------------------------------------------------------------------------------------------------------


def explain(
    what: Annotated[str | None, typer.Argument(metavar="[ENTITY[.FIELD]]", help="An entity, or one of its fields.")
                    ] = None,
    project: ProjectOption = Path(),
    json: JsonOption = False,
) -> None:
    """Say in sentences what the mapping does: where a field comes from, who wins, what is written where.

    Without an argument: every entity and its fields in one table. Asks no system and needs no secrets.
    """
    from dataclasses import asdict

    from sidefeed.mapping.explain import NotMapped
    from sidefeed.mapping.explain import explain as tell
    from sidefeed.project import Project

    with errors(json):
        mappings = Project.load(project, secrets=False).mappings()
        entity, _, field = (what or "").partition(".")
        try:
            stories = tell(mappings, entity or None, field or None)
        except NotMapped as error:
            output.fail(str(error), USAGE, json=json)
    if json:
        output.print_json({"ok": True, "entities": [asdict(story) for story in stories]})
        return
    for number, story in enumerate(stories):
        if number:
            output.out.print()
        if field:
            _print_field(story.fields[0])
        else:
            _print_entity(story, in_full=what is not None)


def _print_entity(story: EntityStory, *, in_full: bool) -> None:
    output.out.print(f"[bold]{escape(story.label)}[/bold] ({story.entity})")
    for sentence in story.sentences:
        output.out.print(escape(sentence))
    for each in story.objects if in_full else ():
        output.out.print(f"\n[bold]{escape(f'{each.system} {each.object}')}[/bold]  "
                         f"[dim]{escape(f'{each.file}:{each.line}')}[/dim]")
        for sentence in each.sentences:
            output.out.print(f"  {escape(sentence)}")
    systems = list(dict.fromkeys(f"{each.system} {each.object}" for each in story.objects))
    rows = [(one.field, one.type.partition(":")[0], one.who_wins,
             *("\n".join(f"{side.arrow} {', '.join(side.fields)}" for side in one.sides
                         if f"{side.system} {side.object}" == system) for system in systems)) for one in story.fields]
    output.out.print()
    output.table("", ("field", "type", "who wins", *systems), rows)


def _print_field(story: FieldStory) -> None:
    output.out.print(f"[bold]{escape(story.label)}[/bold] ({story.entity}.{story.field}, {escape(story.type)})")
    for sentence in story.sentences:
        output.out.print(escape(sentence))
    output.out.print()
    output.table("", ("system", "field", "lens", "written in"), [
        (f"{side.system} {side.object}", f"{side.arrow} {', '.join(side.fields)}", side.lens,
         f"{side.file}:{side.line}") for side in story.sides])
    tables = [side for side in story.sides if side.values]
    if tables:
        keys = dict.fromkeys(key for side in tables for key in side.values)
        output.out.print("\nValues; where there are several, the first is the one written:")
        output.table("", (story.field, *(f"{side.system} {side.object}" for side in tables)), [
            (key, *(", ".join(side.values.get(key, ())) for side in tables)) for key in keys])
    for side in story.sides:
        if side.says:
            output.out.print(f"\n[bold]{escape(f'{side.system} {side.object}')}[/bold]")
            for sentence in side.says:
                output.out.print(f"  {escape(sentence)}")
