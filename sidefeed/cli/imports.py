"""``sidefeed import``: data that comes in files, read once or again and again, by the rules of a mapping file.

An import is a sync of one more system that is only read: the same inbox, the same matching, the same history.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from connectors.csvfiles import CsvConnector, columns_of
from sidefeed.cli import JsonOption, ProjectOption, errors, output
from sidefeed.connector import Invalid
from sidefeed.mapping import Mapping as Mappings
from sidefeed.mapping import ObjectMap, load
from sidefeed.project import Project, ProjectError
from sidefeed.sync import Engine, Report
from sidefeed.sync.capture import Progress
from sidefeed.workspace import Store

app = typer.Typer(no_args_is_help=True, help="Load data from files into the workspace.")


@app.callback()
def _import() -> None:
    """Load data from files into the workspace. What is imported reaches the systems at the next `sidefeed sync`."""


@app.command("csv")
def import_csv(
    places: Annotated[list[Path], typer.Argument(
        metavar="FOLDER_OR_FILES...", help="A folder of CSV files, or the files.")],
    mapping: Annotated[Path, typer.Option("--mapping", "-m", help="The mapping file that says what the columns are.")],
    project: ProjectOption = Path(),
    json: JsonOption = False,
    delimiter: Annotated[str, typer.Option(help="What stands between the cells.")] = ",",
    encoding: Annotated[str, typer.Option(help="How the files are encoded.")] = "utf-8-sig",
) -> None:
    """Import CSV files by a mapping file like those of the systems.

    Each object of the mapping is a file by its stem. Rows are told apart by the first key under `match`; an imported
    row that is changed in the file is an edit at the next import, and one that is gone from the file stays. A row that
    cannot be read is named with file and line, and the rest goes on.
    """
    with errors(json):
        opened = Project.load(project)
        try:
            with output.progress(quiet=json) as bar:
                done = import_files(opened, places, mapping, delimiter=delimiter, encoding=encoding, progress=bar)
        except (Invalid, ValueError) as error:
            output.fail(str(error), output.USAGE, json=json)
        finally:
            opened.close()
    if json:
        output.print_json(done.as_json())
    else:
        _print(done)
    if done.report.failed:
        raise typer.Exit(output.USAGE)
    if done.report.problems or done.waiting:
        raise typer.Exit(output.ATTENTION)


@dataclass(frozen=True, slots=True)
class Imported:
    """What one import did. ``records`` counts the records known from each object, ``waiting`` the rows that refer to
    a record that is not there yet."""

    report: Report
    records: dict[str, int]
    waiting: int

    def as_json(self) -> dict[str, Any]:
        return {**self.report.as_json(), "records": self.records, "waiting_rows": self.waiting}


def import_files(
    project: Project, places: Sequence[Path], mapping: Path, *, delimiter: str = ",", encoding: str = "utf-8-sig",
    progress: Progress | None = None,
) -> Imported:
    """Import CSV files into a project's workspace. Raises ProjectError, MappingErrors and Invalid before anything is
    read when files, mapping and columns do not fit; GuardTripped and LeaseHeld as a sync does."""
    mappings, system = _mappings(project, mapping)
    objects = mappings.for_system(system)
    connector = CsvConnector.from_settings({
        "folder": places[0] if places[0].is_dir() else places[0].parent, "tables": _tables(places),
        "keys": {om.object: _key(om) for om in objects}, "delimiter": delimiter, "encoding": encoding,
        "system": system})
    _check_columns(connector, objects)
    store = project.store()
    try:
        engine = Engine(store, mappings, {system: connector}, project.limits(), progress)
        with store.write() as tx:
            for entity in dict.fromkeys(om.entity for om in objects):
                tx.index_again(entity)
        report = engine.sync([system], confirm_mapping=True)
        for problem in connector.problems:
            report.problem(system, problem.object, f"{problem.file} line {problem.line}", None, problem.code,
                           problem.message)
        return _imported(store, report, objects)
    finally:
        store.close()


def _imported(store: Store, report: Report, objects: Sequence[ObjectMap]) -> Imported:
    with store.read() as tx:
        records = {om.object: tx.count_links(om.system, om.object) for om in objects}
        waiting = sum(tx.inbox_size(om.system, om.object) for om in objects)
    return Imported(report, records, waiting)


def _mappings(project: Project, file: Path) -> tuple[Mappings, str]:
    """The project's mapping files and one more, and the name of the system that it maps."""
    folder = project.folder / project.settings.mappings
    if not file.is_file():
        raise ProjectError(f"the mapping file {file} does not exist. Name the file that says what the columns are; "
                           f"mappings/examples/sales_csv.yaml is one to start from.")
    if file.resolve().parent == folder.resolve():
        mappings = load(folder)
    else:
        with tempfile.TemporaryDirectory() as scratch:
            together = Path(scratch) / folder.name
            shutil.copytree(folder, together, ignore=shutil.ignore_patterns("examples"))
            shutil.copyfile(file, together / file.name)
            mappings = load(together)
    own = {om.system for om in mappings.objects if Path(om.place(()).file).name == file.name}
    if not own:
        raise ProjectError(f"{file} maps no objects: name each file under `objects`.")
    system = own.pop()
    return replace(mappings, objects=tuple(
        replace(om, readonly=True, creates=False) if om.system == system else om for om in mappings.objects)), system


def _tables(places: Sequence[Path]) -> dict[str, str]:
    """Object -> file, absolute. Raises ProjectError where a place is neither file nor folder."""
    tables: dict[str, str] = {}
    for place in places:
        if not place.exists():
            raise ProjectError(f"{place} does not exist. Name a folder of CSV files, or the files.")
        for file in sorted(place.glob("*.csv")) if place.is_dir() else [place]:
            tables[file.stem] = str(file.resolve())
    return tables


def _key(om: ObjectMap) -> list[str]:
    """The columns of an object's first natural key: what tells one row from another."""
    return [raw for name in (om.match[0] if om.match else ()) for raw in om.field(name).lens.raw]


def _check_columns(connector: CsvConnector, objects: Sequence[ObjectMap]) -> None:
    """Every column that the mapping names, before anything is read. Raises ProjectError with all that are missing."""
    wrong = []
    for om in objects:
        columns = connector.describe(om.object).fields
        for raw in om.raw_fields:
            for name in columns_of(raw):
                if name not in columns:
                    place = om.place(("fields",), raw)
                    wrong.append(f"{place.file}:{place.line}:{place.column}: {connector.file_of(om.object).name} has "
                                 f"no column {name!r}; it has {', '.join(columns)}")
    if wrong:
        raise ProjectError("\n".join(wrong))


def _print(done: Imported) -> None:
    report = done.report
    output.table("Imported", ("file", "records"), list(done.records.items()))
    counts = report.counts
    output.out.print(f"{counts.get('new_here', 0)} new, {counts.get('matched', 0)} matched with records that were "
                     f"there, {counts.get('absorbed', 0)} changes in the history.")
    if done.waiting:
        output.out.print(f"{done.waiting} rows wait for a record that they refer to; import its file as well.")
    for problem in report.problems:
        output.out.print(f"[yellow]![/yellow] {escape(str(problem))}")
    for name, message in report.failed.items():
        output.out.print(f"[red]x[/red] {escape(f'{name}: {message}')}")
    if not report.failed:
        output.out.print("The next `sidefeed sync` takes them to the systems.")
