"""``sidefeed rehearse``: a changed mapping tried on practice servers that hold a redacted sample of live records."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from sidefeed.cli import output
from sidefeed.cli.output import ATTENTION, STOPPED, UNREACHABLE, USAGE
from sidefeed.cli.shared import JsonOption, ProjectOption, errors
from sidefeed.plural import many

if TYPE_CHECKING:
    from sidefeed.connector import ObjectSchema
    from sidefeed.mapping import Mapping as Mappings
    from sidefeed.mapping.compare import Change
    from sidefeed.project import Project
    from sidefeed.sync.clone import Clone
    from sidefeed.sync.rehearsal import Rehearsal
    from sidefeed.sync.sample import Sample, Versions

ODDEST = 10
NO_COMMIT = "the folder is not under git, or has no commit yet"
Told = Callable[[str, int], None]


def register(app: typer.Typer) -> None:
    """Add this command to the command line."""
    app.command()(rehearse)


def rehearse(
    against: Annotated[str | None, typer.Option("--against", metavar="GIT_REF|FOLDER", help=(
        "The mapping as it is deployed: a git revision or a folder. Default: the last commit."))] = None,
    first: Annotated[bool, typer.Option("--first", help="Rehearse first contact: no mapping is deployed yet.")] = False,
    records: Annotated[int, typer.Option("--records", min=1, help="How many records of each entity to take; what they "
                                         "point to comes along.")] = 50,
    odd: Annotated[int, typer.Option("--odd", min=0, help="How many of the oddest records to show.")] = ODDEST,
    html: Annotated[Path | None, typer.Option("--html", help="Write the plan and what is odd as one page.")] = None,
    project: ProjectOption = Path(),
    json: JsonOption = False,
) -> None:
    """Try the mapping files on practice servers that look like your systems, and show what they would do for real.

    The live schema and a sample of records are read (never written); the records are redacted and put into practice
    servers on this machine. There the deployed mapping runs until everything agrees, then the changed one. Shown are
    the plan by kind, the oddest records, each with the reason, and what the change would refuse or lose.

    Ends with 0 where the change loses nothing, 1 where it would refuse, cut, blank or misread something, 3 where a
    guard would stop it.
    """
    from tempfile import TemporaryDirectory

    from sidefeed.cli.mapping_versions import NoVersion, counted
    from sidefeed.mapping.compare import compare
    from sidefeed.project import Project

    if first and against is not None:
        output.fail("--first rehearses without a deployed mapping, --against names one: give one of them.", USAGE,
                    json=json)
    with errors(json), _stopping(json):
        opened = Project.load(project)
        try:
            new, old = opened.mappings(), None if first else _deployed(opened, against)
            changes = counted(compare(old, new), opened) if old is not None else []
            with output.progress(quiet=json) as bar, TemporaryDirectory(prefix="sidefeed-") as scratch:
                done = _run(opened, old, new, [each for each, _number in changes], records, Path(scratch), bar)
        except NoVersion as error:
            output.fail(str(error), USAGE, json=json)
        finally:
            opened.close()
    if html is not None:
        html.write_text(_page(done, changes, odd), encoding="utf-8")
    if json:
        output.print_json(_as_json(done, changes, odd))
    else:
        _print(done, changes, odd)
    _end(done.rehearsal)


def _deployed(project: Project, against: str | None) -> Mappings:
    """The mapping to compare with. Raises NoVersion, saying how to name one."""
    from sidefeed.cli.mapping_versions import NoVersion, mapping_at

    try:
        return mapping_at(against or "HEAD", project.mapping_folder, project.settings.values)
    except NoVersion as error:
        if against is not None:
            raise
        raise NoVersion(f"{error} Name the deployed mapping with --against FOLDER, or rehearse first contact with "
                        "--first.") from None


def _end(rehearsal: Rehearsal) -> None:
    if rehearsal.failed:
        raise typer.Exit(UNREACHABLE)
    if rehearsal.parked:
        raise typer.Exit(STOPPED)
    if rehearsal.lost:
        raise typer.Exit(ATTENTION)


@contextmanager
def _stopping(json: bool) -> Iterator[None]:
    """SIGINT and SIGTERM end the rehearsal where it is: the practice servers stop and the scratch folder goes."""

    def stop(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except KeyboardInterrupt:
        output.fail("stopped. The practice servers are gone, and no live system was written.", INTERRUPTED, json=json)
    finally:
        signal.signal(signal.SIGTERM, before)


INTERRUPTED = 130
"""As shells tell of a program that SIGINT ended."""


_CALENDAR = "people's meetings are not copied out of their calendars; golden tests show what a mapping makes of them"


@dataclass(slots=True)
class Done:
    """A rehearsal with what it was made of. ``calls`` counts the requests to the live systems, all of them reads."""

    rehearsal: Rehearsal
    sample: Sample
    calls: dict[str, int]
    without: dict[str, str]
    left_out: list[str]

    @property
    def came_along(self) -> int:
        return len(self.sample) - self.sample.chosen


def _run(
    project: Project, old: Mappings | None, new: Mappings, changes: list[Change], records: int, scratch: Path,
    bar: Told | None,
) -> Done:
    """Read the live systems, then close the door to them and rehearse."""
    from sidefeed.cli.stage import STAGES, stages
    from sidefeed.project import ProjectError
    from sidefeed.sync.sample import Versions, take

    mapped = {om.system for mapping in (old, new) if mapping is not None for om in mapping.objects}
    kinds = {name: project.settings.systems[name].connector or name for name in project.systems if name in mapped}
    calendars = {om.system for om in new.objects if om.entity == "meeting" and om.readonly}
    without = {name: _CALENDAR if name in calendars else f"{kind} cannot be cloned" for name, kind in kinds.items()
               if kind not in STAGES}
    names = [name for name in kinds if name not in without]
    if not names:
        told = ", ".join(f"{name} ({why})" for name, why in without.items()) or "no system is configured and mapped"
        raise ProjectError(f"nothing can be rehearsed: {told}. Rehearsed are: {', '.join(sorted(STAGES))}.")
    versions = Versions(old, new).only(names)
    connectors = {name: project.connector(name) for name in names}
    before = {name: one.calls.used for name, one in connectors.items()}
    schemas = {key: connectors[key[0]].describe(key[1]) for key in _shown(versions, bar)}
    required = {key: [name for name, spec in schema.fields.items() if spec.required] for key, schema in schemas.items()}
    store = project.store() if project.has_workspace else None
    known = store if old is not None else None  # at first contact nobody knows who is who
    try:
        sample = take(versions, connectors, known, records, changes, required=required, progress=bar)
        calls = {name: one.calls.used - before[name] for name, one in connectors.items()}
        if store is not None:
            with store.write() as tx:
                for name, number in calls.items():
                    tx.count_calls(name, number)
    finally:
        if store is not None:
            store.close()
    live = {name: (kinds[name], project.access(name)) for name in names}
    objects = {name: {object: schema for (system, object), schema in schemas.items() if system == name}
               for name in names}
    fields = {name: {object: versions.fields(name, object, required[name, object]) for object in objects[name]}
              for name in names}
    with stages(live) as stage:
        world = _World(project, versions, objects, fields, sample)
        rehearsal, left_out = _on_stage(world, old, new, stage, scratch, bar)
    return Done(rehearsal, sample, calls, without, left_out)


def _shown(versions: Versions, bar: Told | None) -> Iterator[tuple[str, str]]:
    for key in versions.of:
        if bar is not None:
            bar("describing objects", 1)
        yield key


@dataclass(slots=True)
class _World:
    """What was read of the live systems, by system where it is rehearsed."""

    project: Project
    versions: Versions
    objects: dict[str, dict[str, ObjectSchema]]
    fields: dict[str, dict[str, list[str]]]
    sample: Sample

    def declare(self, stage: Mapping[str, Any], *, rules: bool) -> dict[str, list[str]]:
        """Tell each practice server what the live schema is; gives what it cannot hold."""
        return {name: one.declare(self.objects[name], self.fields[name], _held(self.sample, name), rules=rules)
                for name, one in stage.items()}

    def practice(self, folder: Path, stage: Mapping[str, Any]) -> Project:
        """A project like this one, on the practice servers."""
        from sidefeed.project import Project, Settings, SystemSettings

        settings = self.project.settings
        return Project(folder, Settings(timezone=settings.timezone, systems={
            name: SystemSettings(**{"connector": settings.systems[name].connector or name, **one.settings()})
            for name, one in stage.items()}), self.project.now)


def _on_stage(
    world: _World, old: Mappings | None, new: Mappings, stage: Mapping[str, Any], scratch: Path, bar: Told | None,
) -> tuple[Rehearsal, list[str]]:
    """Clone the sample, then run both mappings; gives what was found, and what could not be cloned."""
    from sidefeed.sync.clone import fill

    unknown = world.declare(stage, rules=False)
    kept = {name: [object for object in world.objects[name] if object not in unknown[name]] for name in stage}
    order = {(om.system, om.object): om for mapping in (old, new) if mapping is not None for om in mapping.objects
             if om.object in kept.get(om.system, ())}
    practice = world.practice(scratch, stage)
    try:
        connectors = {name: practice.connector(name) for name in stage}
        schemas = {(name, object): schema for name, told in world.objects.items() for object, schema in told.items()}
        clone = fill(world.sample, world.versions, schemas, connectors,
                     lambda system, object, rows: stage[system].people(object, rows), order=list(order.values()),
                     progress=bar)
        for one in stage.values():
            one.enter()
        world.declare(stage, rules=True)
        found = _both(world, practice, old, new, kept, clone, bar)
    finally:
        practice.close()
    left = [f"{name} {each} is not known to the practice server" for name, told in unknown.items() for each in told]
    return found, [*left, *clone.left_out]


def _both(
    world: _World, practice: Project, old: Mappings | None, new: Mappings, kept: Mapping[str, list[str]], clone: Clone,
    bar: Told | None,
) -> Rehearsal:
    from sidefeed.sync import Engine
    from sidefeed.sync.rehearsal import adapted
    from sidefeed.sync.rehearsal import rehearse as run

    store = practice.store()
    connectors = {name: practice.connector(name) for name in practice.systems}
    project = world.project
    try:
        with store.write() as tx:
            for (system, name, live), there in clone.ids.items():
                record = world.sample.records.get((system, name, live))
                if record is not None:
                    entity = world.versions.of[system, name.partition("/")[0]][0].entity
                    tx.remember(system, name, there, entity, record, "primary")

        def engine(mappings: Mappings) -> Engine:
            return Engine(store, mappings, connectors, project.limits(), bar, project.settings.calendars.policy())

        return run(store, None if old is None else adapted(old, kept), adapted(new, kept),
                   disputed=world.sample.disputed, authors=world.sample.authors, live=clone.live(), engine=engine,
                   progress=bar)
    finally:
        store.close()


def _held(sample: Sample, system: str) -> dict[tuple[str, str], set[str]]:
    """The texts that the sample's records hold, by object and field: some are in no list of options any more."""
    found: dict[tuple[str, str], set[str]] = {}
    for (name, feed), rows in sample.remotes.items():
        if name == system:
            for remote in rows.values():
                for field, value in (remote.values or {}).items():
                    if isinstance(value, str) and value:
                        found.setdefault((feed.partition("/")[0], field), set()).add(value)
    return found


# --- telling ---------------------------------------------------------------------------------------------------------


_KINDS = ("create", "update", "delete", "later", "refused", "blanked", "cut", "unread", "differs", "disputed", "waits")
_COLUMNS = {"later": "when edited"}
_LOST = {"refused": "refused", "deleted": "deleted", "blanked": "blanked", "cut": "cut short", "unread": "not read",
         "differs": "different again after writing", "disputed": "in conflict"}


def _print(done: Done, changes: list[tuple[Change, int | None]], odd: int) -> None:
    found = done.rehearsal
    output.out.print(escape(_made_of(done)))
    for name, why in done.without.items():
        output.out.print(f"[yellow]![/yellow] {escape(f'{name} takes no part: {why}.')}")
    for each in done.left_out[:odd]:
        output.out.print(f"[yellow]![/yellow] not cloned: {escape(each)}")
    for change, number in changes:
        output.out.print(f"[{'yellow' if change.risky else 'default'}]{'!' if change.risky else '-'}[/] "
                         f"{escape(_counted(change, number))}")
    kinds = [kind for kind in _KINDS if any(counts.get(kind) for counts in found.kinds.values())]
    if kinds:
        output.table("What it would do to the sample", ("where", *(_COLUMNS.get(kind, kind) for kind in kinds)), [
            (feed, *(counts.get(kind) or "" for kind in kinds)) for feed, counts in found.kinds.items()
            if any(counts.get(kind) for kind in kinds)
            if counts.total()])
    if found.fields:
        ways = ("filled", "changed", "cleared", "later")
        output.table("Fields", ("where", "field", *(_COLUMNS.get(way, way) for way in ways)), [
            (feed, name, *(counts.get(way) or "" for way in ways)) for (feed, name), counts in found.fields.items()])
    if not found.plan.writes:
        output.out.print("A sync would write nothing at once.")
    if found.odd[:odd]:
        output.out.print(f"[bold]The oddest records[/bold] ({len(found.odd[:odd])} of {len(found.odd)})")
    for number, one in enumerate(found.odd[:odd], 1):
        output.out.print(f"{number:>3}. {escape(f'{one.feed} {one.external_id or one.record} {one.label}')}")
        for reason in one.reasons:
            mark = "[red]![/red]" if reason.new and reason.loses else "-"
            output.out.print(f"     {mark} {escape(reason.said)}")
    for message in (*found.parked, *(f"{name}: {why}" for name, why in found.failed.items())):
        output.out.print(f"[red]x[/red] {escape(message)}")
    output.out.print(f"[{'red' if found.lost else 'green'}]{escape(_verdict(found))}[/]")


def _counted(change: Change, number: int | None) -> str:
    return change.sentence + ("" if number is None else f" ({many(number, 'record')})")


def _made_of(done: Done) -> str:
    calls = ", ".join(f"{name} {number}" for name, number in done.calls.items()) or "none"
    return (f"Rehearsed with {done.sample.chosen} chosen objects and {done.came_along} that belong to them, redacted, "
            f"on practice servers. Calls to the live systems: {calls}; all of them read, none wrote.")


def _verdict(found: Rehearsal) -> str:
    if not found.lost:
        return "The change loses nothing in this sample."
    told = ", ".join(f"{number} {_LOST[kind]}" for kind, number in found.lost.items())
    return f"The change would lose something in this sample: {told}. Nothing was written to a live system."


def _as_json(done: Done, changes: list[tuple[Change, int | None]], odd: int) -> dict[str, Any]:
    return {"ok": done.rehearsal.ok, "chosen": done.sample.chosen, "came_along": done.came_along,
            "not_followed": done.sample.cut, "calls": done.calls, "without": done.without, "left_out": done.left_out,
            "changes": [{**each.as_json(), "records": number} for each, number in changes],
            **done.rehearsal.as_json(odd), "writes": done.rehearsal.plan.writes,
            "waiting": done.rehearsal.plan.waiting}


def _page(done: Done, changes: list[tuple[Change, int | None]], odd: int) -> str:
    from sidefeed.cli.plan_page import page

    found = done.rehearsal
    return page(found.plan, heading="Rehearsal", note=_made_of(done), lists={
        "Verdict": [_verdict(found), *found.parked],
        "What changed in the mapping": [_counted(change, number) for change, number in changes],
        "When records are next edited": [
            f"{row['system']} {row['object']} {row['external_id']} {row['label']}: " + "; ".join(
                f"{name}: {told['before']!r} becomes {told['after']!r}" for name, told in row["fields"].items())
            for row in found.later],
        "The oddest records": [f"{one.feed} {one.external_id or one.record} {one.label}: "
                               + "; ".join(reason.said for reason in one.reasons) for one in found.odd[:odd]],
        "Not rehearsed": [*(f"{name}: {why}" for name, why in done.without.items()), *done.left_out]})
