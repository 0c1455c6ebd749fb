"""Commands of those who edit mapping files: explain, test, begin, compare, rehearse, prepare, detach."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from sidefeed.cli import attach, checking, output, rollout
from sidefeed.cli.output import ATTENTION, USAGE
from sidefeed.cli.shared import JsonOption, ProjectOption, errors
from sidefeed.plural import many

if TYPE_CHECKING:
    from sidefeed.connector import Rights
    from sidefeed.mapping.explain import EntityStory, FieldStory
    from sidefeed.mapping.rights import Need

commands = typer.Typer(no_args_is_help=True, help="Test, begin and compare mapping files.")


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command()(explain)
    checking.register(app)
    attach.register(app)
    rollout.register(app)
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
        mappings = Project.load(project).mappings()
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


# --- beginning -------------------------------------------------------------------------------------------------------


@commands.command("init")
def begin(
    system: Annotated[str, typer.Argument(help="The system, as in the settings.")],
    object: Annotated[str, typer.Argument(help="The system's object, such as `Opportunity` or `deals`.")],
    entity: Annotated[str | None, typer.Option("--entity", help="The workspace entity; guessed from the name.")] = None,
    sample: Annotated[int, typer.Option("--sample", min=0, help="How many records to look at; 0 for none.")] = 50,
    write: Annotated[bool, typer.Option("--write", help="Put it into the mapping files.")] = False,
    project: ProjectOption = Path(),
    json: JsonOption = False,
) -> None:
    """Write a first mapping of an object from the live schema; what is not certain is marked `doubt:`.

    Guesses by name, label, kind of field and sample values. An object that is like no entity becomes a new one. Nothing
    is written without `--write`, and never over a mapping that is there.
    """
    from sidefeed.cli.first_mapping import NotWritten, first_mapping, put
    from sidefeed.project import Project

    with errors(json):
        opened = Project.load(project)
        try:
            mappings = opened.mappings()
            made = first_mapping(opened.connector(system), mappings, system, object, entity=entity, sample=sample)
            files = put(opened.mapping_folder, system, made, mappings, opened.settings.values) if write else []
        except NotWritten as error:
            output.fail(str(error), USAGE, json=json)
        finally:
            opened.close()
    if json:
        output.print_json({"ok": True, "entity": made.entity, "new_entity": bool(made.new_entity),
                           "doubts": made.doubts, "mapped": [line.name for line in made.lines if line.written],
                           "not_mapped": made.unmapped, "needed": made.needed, "text": made.text(),
                           "entity_text": made.new_entity, "files": [str(path) for path in files]})
        return
    if not write:
        if made.new_entity:
            output.out.print("# entities.yaml, under `entities:`", made.new_entity, sep="\n", markup=False)
        output.out.print(f"# {system}.yaml, under `objects:`", made.text(), sep="\n", markup=False)
    for path in files:
        output.out.print(f"changed {escape(str(path))}")
    output.out.print(f"Mapped: {many(sum(bool(line.written) for line in made.lines), 'field')}. Doubts: {made.doubts}. "
                     f"Not mapped: {many(len(made.unmapped), 'field')} of {object}. "
                     f"{'Settle the doubts, then run' if made.doubts else 'Run'} `sidefeed check`.", markup=False)


# --- comparing -------------------------------------------------------------------------------------------------------


@commands.command("diff")
def diff(
    before: Annotated[str, typer.Argument(help="A folder of mapping files, or a git revision such as HEAD.")] = "HEAD",
    after: Annotated[str | None, typer.Argument(help="The same; default: the project's mapping files.")] = None,
    count: Annotated[bool, typer.Option(help="Count in the workspace how many records each change concerns.")] = True,
    project: ProjectOption = Path(),
    json: JsonOption = False,
) -> None:
    """Say in words what a change of the mapping files means: what will be written otherwise, and to how many records.

    Ends with 1 where something changed, 0 where nothing did. Asks no system and needs no secrets.
    """
    from sidefeed.cli.mapping_versions import NoVersion, counted, mapping_at, translated
    from sidefeed.mapping.compare import compare
    from sidefeed.project import Project

    with errors(json):
        opened = Project.load(project)
        try:
            values = opened.settings.values
            old = mapping_at(before, opened.mapping_folder, values)
            new = mapping_at(after, opened.mapping_folder, values) if after else opened.mappings()
        except NoVersion as error:
            output.fail(str(error), USAGE, json=json)
        changes = counted(compare(old, new), opened) if count else [(each, None) for each in compare(old, new)]
        linked = translated(old, new, opened) if count and changes else []
    if json:
        output.print_json({"ok": True, "changes": [{**each.as_json(), "records": number} for each, number in changes],
                           "linked": linked})
    else:
        for each, number in changes:
            said = "" if number is None else f" ({many(number, 'record')})"
            output.out.print(f"[{'yellow' if each.risky else 'default'}]{'!' if each.risky else '-'}[/] "
                             f"{escape(f'{each.sentence}{said}')}")
        if linked:
            output.table("What the next sync does to linked records", ("field", *_LINKED.values()), [
                (f"{row['system']} {row['object']}.{row['field']}", *(row[key] for key in _LINKED)) for row in linked])
        output.out.print(f"{many(len(changes), 'change')}." if changes else "No change of meaning.")
    if changes:
        raise typer.Exit(ATTENTION)


_LINKED = {"written": "written anew", "read": "read anew", "disputed": "in conflict", "left": "left alone"}


# --- rights ----------------------------------------------------------------------------------------------------------


@commands.command("rights")
def rights(
    system: Annotated[str | None, typer.Argument(help="Only this system.")] = None,
    ask: Annotated[bool, typer.Option("--ask/--no-ask", help="Ask the systems for their names of the rights.")] = True,
    project: ProjectOption = Path(),
    json: JsonOption = False,
) -> None:
    """List the rights that the mapping needs, for the administrator of each system, and which are missing.

    Read off the mapping: exactly the objects and fields that are read and written, and nothing else. Ends with 1 where
    something is missing, or not prepared.
    """
    from dataclasses import asdict

    from sidefeed.mapping.rights import needs
    from sidefeed.project import Project
    from sidefeed.sync.look import rights_of

    with errors(json):
        opened = Project.load(project)
        if system is not None:
            opened.check_system(system)
        try:
            wanted = [each for each in needs(opened.mappings()) if each.system in opened.systems
                      and system in (None, each.system)]
            told = [(each, rights_of(opened.connector(each.system), each) if ask else None) for each in wanted]
        finally:
            opened.close()
    lacking = any(said and (said.missing or said.unready) for _, said in told)
    if json:
        output.print_json({"ok": not lacking, "objects": [
            {**asdict(each), "rights": said.needed if said else None, "missing": said.missing if said else None,
             "unready": said.unready if said else ()} for each, said in told]})
    else:
        for each, said in told:
            _print_rights(each, said)
    if lacking:
        raise typer.Exit(ATTENTION)


def _print_rights(need: Need, said: Rights | None) -> None:
    may = [word for word, wanted in (("create", need.creates), ("delete", need.deletes)) if wanted]
    output.out.print(f"[bold]{escape(f'{need.system} {need.object}')}[/bold]"
                     + (f"  [dim]{' and '.join(may)} records[/dim]" if may else ""))
    if said is None or not said.needed:
        output.out.print(escape(f"  read: {', '.join(need.reads)}"))
        if need.writes:
            output.out.print(escape(f"  write: {', '.join(need.writes)}"))
        return
    for sentence in said.unready:
        output.out.print(f"  [red]not ready[/red] {escape(sentence)}")
    for right in said.needed:
        lacking = said.missing is not None and right in said.missing
        output.out.print(f"  {'[red]missing[/red] ' if lacking else ''}{escape(right)}")


# --- scopes ----------------------------------------------------------------------------------------------------------


@commands.command("scope")
def scope(
    before: Annotated[str | None, typer.Argument(help="A folder of mapping files, or a git revision, to compare with.")
                      ] = None,
    project: ProjectOption = Path(),
    json: JsonOption = False,
) -> None:
    """Count the records that each scope matches in the live systems, before and after a change of it.

    Without an argument every scope is counted as it is. With one, only scopes that changed since then: how many records
    they matched, match now, and how many come in and go out. Reads every record in scope and writes nothing.
    """
    from dataclasses import asdict

    from sidefeed.cli.mapping_versions import NoVersion, mapping_at
    from sidefeed.project import Project
    from sidefeed.sync.scopes import preview

    with errors(json):
        opened = Project.load(project)
        try:
            new = opened.mappings()
            old = mapping_at(before, opened.mapping_folder, opened.settings.values) if before else new
            linked = replace(new, objects=tuple(om for om in new.objects if om.system in opened.systems))
            rows = list(preview(old, linked, opened.connector, changed_only=before is not None))
        except NoVersion as error:
            output.fail(str(error), USAGE, json=json)
        finally:
            opened.close()
    if json:
        output.print_json({"ok": True, "scopes": [asdict(row) for row in rows]})
        return
    output.table("Records in scope", ("where", "before", "now", "come in", "go out"), [
        (f"{row.system} {row.object}", row.before, row.now, row.enter, row.leave) for row in rows])
    if not rows:
        output.out.print("No scope changed." if before else "No object has a scope.")


# --- golden tests ----------------------------------------------------------------------------------------------------


@commands.command("test")
def test_goldens(
    project: ProjectOption = Path(),
    json: JsonOption = False,
    accept: Annotated[bool, typer.Option(
        "--accept", help="Write what the mapping makes of the tests that differ into their files.")] = False,
) -> None:
    """Run the golden tests in `mappings/tests`: a record in, the workspace record and each system's writes out.

    Asks no system and needs no secrets. Ends with 2 where a test differs. With `--accept` the files are changed
    instead; read the changes before you commit them.
    """
    from sidefeed.mapping import golden
    from sidefeed.project import Project

    with errors(json):
        opened = Project.load(project)
        outcomes = list(golden.run(opened.mappings(), golden.read(opened.mapping_folder)))
    failed = [each for each in outcomes if not each.ok]
    changed = golden.accept(failed) if accept else []
    if json:
        output.print_json({"ok": not failed or accept, "tests": len(outcomes), "changed": list(map(str, changed)),
                           "differ": [each.as_json() for each in failed]})
    else:
        for each in failed:
            output.out.print(escape(str(each)))
        for path in changed:
            output.out.print(f"changed {escape(str(path))}; read it before you commit it.")
        output.out.print(f"{len(outcomes)} golden tests, {len(failed)} differ." if outcomes else
                         "There are no golden tests in mappings/tests; `sidefeed map golden RECORD` makes one.")
    if failed and not accept:
        raise typer.Exit(USAGE)


@commands.command("golden")
def make_golden(
    record: Annotated[str, typer.Argument(help="A record's id, a remote id, or part of its name.")],
    system: Annotated[str | None, typer.Option("--from", help="The system whose record it starts from.")] = None,
    to: Annotated[Path | None, typer.Option("--to", help="The file of tests; default: `mappings/tests/<entity>.yaml`.")
                  ] = None,
    name: Annotated[str | None, typer.Option("--name", help="What the test shows, in words.")] = None,
    plain: Annotated[bool, typer.Option("--plain", help="Keep names, addresses and amounts as they are.")] = False,
    project: ProjectOption = Path(),
    json: JsonOption = False,
) -> None:
    """Turn a real record into a golden test: as a system was last seen to hold it, without the people in it.

    Words, addresses, numbers to call and amounts become others of the same shape; dates and picklist values stay.
    What the mapping makes of the record today is what the test expects from then on.
    """
    from sidefeed.cli.golden_records import NoGolden, case_of
    from sidefeed.mapping import golden
    from sidefeed.mapping.redact import Redactor
    from sidefeed.project import Project

    with errors(json):
        opened = Project.load(project)
        mappings = opened.mappings()
        store = opened.store()
        try:
            case = case_of(store, mappings, record, system=system, name=name, redactor=None if plain else Redactor())
        except NoGolden as error:
            output.fail(str(error), USAGE, json=json)
        finally:
            store.close()
        path = to or opened.mapping_folder / golden.FOLDER / f"{case.pop('_entity')}.yaml"
        case.pop("_entity", None)
        golden.write_case(path, case)
    if json:
        output.print_json({"ok": True, "file": str(path), "test": case})
    else:
        output.out.print(escape(f"{path} has the test {case['name']!r} now. Read it before you commit it."))
