"""Files of comma-separated values as a system that is only read.

object
    A file by its stem: ``accounts`` is ``accounts.csv``. ``teams.managers`` is a second object in ``teams.csv``, for a
    file whose rows hold records of several kinds.
id
    The value of the object's key column; with several key columns, a hash of their values, and of one that no database
    can look up; without a key, a hash of the whole row, so that an edited row is a new record.
raw field
    A column by its heading, or text with columns in braces, ``"{account} {number}"``: blank columns leave nothing.

A row that cannot be read is told in ``problems``, with file and line, and the rest goes on. Rows that repeat one
another in all columns asked for are one record.
"""

from __future__ import annotations

import csv
import difflib
import hashlib
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from sidefeed.connector import (
    Calls,
    Capabilities,
    FieldSchema,
    Invalid,
    ObjectSchema,
    Outcome,
    Page,
    PermissionDenied,
    Raw,
    Remote,
    Stream,
    Write,
)
from sidefeed.errors import alike

PAGE = 1000
FIELD_LIMIT = 10_000_000
"""Characters in one cell; Python's default of 131,072 is less than some CRMs' long text fields hold."""

_COLUMN = re.compile(r"\{([^{}]+)\}")
LONGEST_ID = 1_000
"""Characters. PostgreSQL indexes no value of more than 2,704 bytes."""

_BROKEN = re.compile("[\ud800-\udfff]")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RowProblem:
    """A row that was not read, and why. ``line`` counts from 1, the heading included."""

    object: str
    file: str
    line: int
    code: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}: {self.message}"


CODES = alike("content", (
    ("column-missing", "The file lacks a column that the mapping reads.", "ops",
     "Correct the name in the mapping, or add the column."),
    ("encoding", "The file is not in the encoding that the settings name.", "ops", "Name its `encoding`."),
    ("file-missing", "There is no such file.", "ops", "Correct the name, or put the file there."),
    ("file-unreadable", "The file cannot be opened.", "ops", "Let Sidefeed's user read it."),
    ("heading", "The first line does not name the columns as it must.", "ops", "Mend the first line."),
    ("key-blank", "A row has no identity, because its key is blank.", "rep", "Fill the key in and import again."),
    ("key-repeated", "Two rows have the same key and other values; the first was taken.", "rep",
     "Remove one, or give them different keys, and import again."),
    ("not-csv", "A row cannot be read.", "rep", "Mend the line and import again."),
    ("ragged", "A row has more or fewer cells than the heading.", "rep",
     "Quote cells that hold the delimiter and import again."),
))


class CsvConnector:
    """CSV files as one system. Settings: ``folder``; ``tables`` (object -> file) where an object is not named as its
    file; ``keys`` (object -> key column, or list of columns); ``delimiter``; ``encoding``; ``system``."""

    codes = CODES
    source = "import"
    """What the history calls the source of these changes: nobody edits a file and expects it to be written to."""

    def __init__(
        self, folder: Path, *, tables: Mapping[str, Path] | None = None,
        keys: Mapping[str, Sequence[str]] | None = None, delimiter: str = ",", encoding: str = "utf-8-sig",
        system: str = "csv",
    ) -> None:
        self.system = system
        self.calls = Calls()
        self.problems: list[RowProblem] = []
        self._folder = folder
        self._tables = dict(tables or {})
        self._keys = {object: tuple(columns) for object, columns in (keys or {}).items()}
        self._delimiter = delimiter
        self._encoding = encoding

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> CsvConnector:
        """Raises ValueError, naming the key at fault."""
        known = {"folder", "tables", "keys", "delimiter", "encoding", "system"}
        for key in settings:
            if key not in known:
                near = difflib.get_close_matches(key, known, 1)
                raise ValueError(f"{key!r} is no setting of CSV files" + (f"; did you mean {near[0]!r}?" if near else
                                                                          f"; there are {', '.join(sorted(known))}"))
        folder = Path(settings.get("folder", "."))
        delimiter, encoding = str(settings.get("delimiter", ",")), str(settings.get("encoding", "utf-8-sig"))
        if len(delimiter) != 1:
            raise ValueError(f"'delimiter' must be one character, not {delimiter!r}")
        try:
            "".encode(encoding)
        except LookupError:
            raise ValueError(f"'encoding': there is no encoding {encoding!r}; common ones are utf-8-sig, cp1252") \
                from None
        return cls(
            folder, tables={object: folder / file for object, file in dict(settings.get("tables", {})).items()},
            keys={object: [columns] if isinstance(columns, str) else list(columns)
                  for object, columns in dict(settings.get("keys", {})).items()},
            delimiter=delimiter, encoding=encoding, system=str(settings.get("system", "csv")))

    def marker(self) -> str:
        return f"csv files of {self.system}"

    def streams(self, object: str) -> Sequence[Stream]:
        return (Stream(object),)

    def capabilities(self, object: str) -> Capabilities:
        return Capabilities(deletes=False, writable=False)

    def describe(self, object: str) -> ObjectSchema:
        """Every column is text that nobody writes. Raises Invalid where there is no such file."""
        file = self.file_of(object)
        with self._opened(object, file) as lines:
            columns = self._heading(file, csv.reader(lines, delimiter=self._delimiter))
        return ObjectSchema(object, file.name, {
            name: FieldSchema(name, "string", createable=False, updateable=False) for name in columns})

    def file_of(self, object: str) -> Path:
        """The file that holds an object. Raises Invalid, naming the files there are."""
        for name in dict.fromkeys((object, object.rpartition(".")[0])):
            if name in self._tables:
                return self._tables[name]
            path = self._folder / f"{name}.csv"
            if name and path.is_file():
                return path
        there = sorted({*self._tables, *(path.stem for path in self._folder.glob("*.csv"))})
        near = difflib.get_close_matches(object, there, 1)
        raise Invalid(
            f"there is no {object}.csv in {self._folder}; the files are {', '.join(there) or 'none'}"
            + (f". Did you mean {near[0]!r}?" if near else "."), field=object, code="file-missing", owner="ops")

    def changes(
        self, stream: Stream, fields: Sequence[str], cursor: str | None, *, scope: Any = None
    ) -> Iterator[Page]:
        """Every row, every time; the core drops those that it has absorbed. ``scope`` maps a column to the values
        that take part. Rows are never reported deleted: a file that holds less is not a deletion."""
        page: list[Remote] = []
        for remote in self._rows(stream.object, fields, scope or {}):
            page.append(remote)
            if len(page) == PAGE:
                yield Page(tuple(page), "")
                page = []
        yield Page(tuple(page), "", last=True)

    def fetch(self, stream: Stream, fields: Sequence[str], ids: Sequence[str]) -> Iterable[Remote]:
        wanted = set(ids)
        for remote in self._rows(stream.object, fields, {}, quiet=True):
            if remote.id in wanted:
                wanted.remove(remote.id)
                yield remote
        for id in wanted:
            yield Remote(id, state="deleted")

    def find(self, stream: Stream, keys: Sequence[str]) -> Mapping[str, Sequence[str]]:
        return {}

    def write(self, stream: Stream, writes: Sequence[Write]) -> Iterator[Outcome]:
        for write in writes:
            yield Outcome(write.key, "refused", error=PermissionDenied(f"{stream.object}: files are only read"))

    def overwritten(self, stream: Stream, outcomes: Mapping[str, Write]) -> Mapping[str, Raw]:
        return {}

    def ids(self, stream: Stream) -> Iterator[tuple[str, str]]:
        keys = self._keys.get(stream.object, ())
        return ((remote.id, "") for remote in self._rows(stream.object, keys, {}, quiet=True))

    def prepare(self, objects: Sequence[str], *, apply: bool) -> Sequence[str]:
        return [f"{object}: a file needs nothing" for object in objects]

    def close(self) -> None:
        """Files are open only while they are read."""

    # -- reading ------------------------------------------------------------------------------------------------

    def _rows(
        self, object: str, fields: Sequence[str], scope: Mapping[str, Any], *, quiet: bool = False
    ) -> Iterator[Remote]:
        file = self.file_of(object)
        keys = self._keys.get(object, ())
        seen: dict[str, tuple[int, int]] = {}

        def tell(line: int, code: str, message: str) -> None:
            if not quiet:
                self.problems.append(RowProblem(object, file.name, line, code, message))
                _log.warning("%s", self.problems[-1])

        with self._opened(object, file) as lines:
            reader = csv.reader(lines, delimiter=self._delimiter)
            heading = self._heading(file, reader)
            columns = {name: number for number, name in enumerate(heading)}
            readers = [(name, _reader(name, columns, file)) for name in dict.fromkeys(fields)]
            key_cells = [_reader(name, columns, file) for name in keys]
            limits = [(_reader(name, columns, file), _allowed(values)) for name, values in scope.items()]
            for line, row in self._sound_rows(reader, heading, tell):
                if any(cell(row) not in allowed for cell, allowed in limits):
                    continue
                told = [cell(row) for cell in key_cells] if keys else row
                if all(part in (None, "") for part in told):
                    tell(line, "key-blank", f"{' and '.join(keys) or 'the row'} is blank, so the row has no identity. "
                                            f"Fill it in and import again.")
                    continue
                id = told[0] if len(keys) == 1 and told[0] and _can_be_looked_up(told[0]) else _hash(told)
                values = {name: cell(row) for name, cell in readers}
                content = hash(tuple(values.values()))
                before = seen.setdefault(id, (line, content))
                if before[0] == line:
                    yield Remote(id, values)
                elif before[1] != content:
                    tell(line, "key-repeated", f"{' + '.join(keys)} {id!r} stands in line {before[0]} already, with "
                                               f"other values; that line was taken. Remove one of the two, or give "
                                               f"them different keys, and import again.")

    def _sound_rows(
        self, reader: Any, heading: Sequence[str], tell: Callable[[int, str, str], None]
    ) -> Iterator[tuple[int, list[str]]]:
        """Rows with as many cells as the heading, in text that could be decoded, with the line each begins at."""
        while True:
            line = reader.line_num + 1
            try:
                row = next(reader)
            except StopIteration:
                return
            except UnicodeError as error:
                raise Invalid(f"from line {line} on, the file is not {self._encoding}: {error}. Name its encoding.",
                              code="encoding", owner="ops") from None
            except csv.Error as error:
                tell(line, "not-csv", f"the row cannot be read: {error}. Mend the line and import again.")
                continue
            if not row:
                continue
            if len(row) != len(heading):
                spans = f" A quote may not be closed: the row reaches to line {reader.line_num}." \
                    if reader.line_num > line else ""
                tell(line, "ragged", f"{len(row)} cells, and the heading has {len(heading)}.{spans} Mend the line "
                                     f"and import again.")
            elif any(not cell.isascii() and _BROKEN.search(cell) for cell in row):
                name = next(name for name, cell in zip(heading, row, strict=True) if _BROKEN.search(cell))
                tell(line, "encoding", f"{name!r} holds bytes that are not {self._encoding}. Save the file as UTF-8, "
                                       f"or name its encoding, and import again.")
            else:
                yield line, row

    def _opened(self, object: str, file: Path) -> Any:
        csv.field_size_limit(FIELD_LIMIT)
        try:
            # Bytes that cannot be decoded are kept apart, so that one of them costs one row and not the file.
            return file.open(encoding=self._encoding, errors="surrogateescape", newline="")
        except OSError as error:
            raise Invalid(f"{file} cannot be read: {error.strerror}.", field=object, code="file-unreadable",
                          owner="ops") from None

    def _heading(self, file: Path, reader: Any) -> list[str]:
        try:
            heading = [name.strip() for name in next(reader)]
        except StopIteration:
            raise Invalid(f"{file.name} is empty: its first line must name the columns.", code="heading",
                          owner="ops") from None
        except (csv.Error, UnicodeError) as error:
            raise Invalid(f"{file.name}, line 1: the heading cannot be read: {error}. Name the file's encoding and "
                          f"delimiter.", code="heading", owner="ops") from None
        if any(_BROKEN.search(name) or "\x00" in name for name in heading):
            raise Invalid(f"{file.name}, line 1: the heading is not {self._encoding}. Name the file's encoding.",
                          code="heading", owner="ops")
        twice = sorted({name for name in heading if heading.count(name) > 1})
        if twice:
            raise Invalid(f"{file.name}, line 1: the column {twice[0]!r} stands there twice. Rename one of them.",
                          code="heading", owner="ops")
        return heading


def columns_of(field: str) -> list[str]:
    """The columns that a raw field is made of."""
    return _COLUMN.findall(field) or [field]


def _reader(field: str, columns: Mapping[str, int], file: Path) -> Callable[[list[str]], str | None]:
    """A function from a row to the raw value of a field. Raises Invalid where a column is not there."""
    for name in columns_of(field):
        if name not in columns:
            near = difflib.get_close_matches(name, columns, 1)
            raise Invalid(f"{file.name} has no column {name!r}; it has {', '.join(columns)}"
                          + (f". Did you mean {near[0]!r}?" if near else "."), field=name, code="column-missing",
                          owner="ops")
    if field in columns:
        number = columns[field]
        return lambda row: row[number] or None
    return lambda row: " ".join(_COLUMN.sub(lambda found: row[columns[found[1]]], field).split()) or None


def _allowed(values: Any) -> set[str | None]:
    listed = values if isinstance(values, list | tuple) else [values]
    return {None if value is None else str(value) for value in listed}


def _can_be_looked_up(key: str) -> bool:
    return len(key) <= LONGEST_ID and "\x00" not in key


def _hash(parts: Sequence[str | None]) -> str:
    return hashlib.blake2b(orjson.dumps(list(parts)), digest_size=16).hexdigest()


__all__ = ["CsvConnector", "RowProblem", "columns_of"]
