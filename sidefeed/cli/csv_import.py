"""Importing CSV files into a project: a sync of one more system that is only read.

The same inbox, the same matching, the same history as for any system; nothing is ever written to a file.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from connectors.csvfiles import CsvConnector, columns_of
from sidefeed.mapping import Mapping as Mappings
from sidefeed.mapping import ObjectMap, load
from sidefeed.project import Project, ProjectError
from sidefeed.sync import Engine, Report
from sidefeed.sync.capture import Progress
from sidefeed.workspace import Store


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
        mappings = load(folder, project.settings.values)
    else:
        with tempfile.TemporaryDirectory() as scratch:
            together = Path(scratch) / folder.name
            shutil.copytree(folder, together, ignore=shutil.ignore_patterns("examples"))
            shutil.copyfile(file, together / file.name)
            mappings = load(together, project.settings.values)
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
