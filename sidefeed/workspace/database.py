"""Where the database is, and statements for many rows."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from operator import itemgetter
from pathlib import Path
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Dialect, Engine
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.visitors import InternalTraversal

_AT_ONCE = 5000
"""Ids asked for by one statement: so many rows are held at a time."""


def database_url(place: str | Path) -> str:
    """A database URL from a URL or from the path of an SQLite file."""
    text = str(place)
    if "://" in text:
        return text.replace("postgresql://", "postgresql+psycopg://", 1)
    return f"sqlite:///{text}"


def make_private(url: str) -> None:
    """Make the file of a new workspace, if it is one, for its owner and group alone: it holds customers' data. SQLite
    gives what it puts beside it the same rights."""
    place = sa.make_url(url).database
    if place and place != ":memory:" and Path(place).parent.is_dir():
        os.close(os.open(place, os.O_CREAT, 0o660))


def configure_sqlite(engine: Engine) -> None:
    @sa.event.listens_for(engine, "connect")
    def configure(dbapi_connection: Any, _record: Any) -> None:
        dbapi_connection.isolation_level = None  # transactions are begun explicitly, as IMMEDIATE
        cursor = dbapi_connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "cache_size=-3000"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()


def sync_to_disk(connection: Connection, durable: bool) -> None:
    """Have an SQLite connection's next transaction on the disk when it is stored, or soon after. Set before a
    transaction and never behind one, because a commit that fails leaves one open."""
    level = "FULL" if durable else "NORMAL"
    if connection.info.get("synchronous", "NORMAL") != level:
        connection.exec_driver_sql(f"PRAGMA synchronous={level}")
        connection.info["synchronous"] = level


def chunks(items: Collection[Any]) -> Iterator[list[Any]]:
    listed = list(items)
    for start in range(0, len(listed), _AT_ONCE):
        yield listed[start:start + _AT_ONCE]


def of_feed(table: sa.Table) -> sa.ColumnElement[bool]:
    """The rows of one feed, in a statement that is given ``system`` and ``object`` when it is executed."""
    return sa.and_(table.c.system == sa.bindparam("system"), table.c.object == sa.bindparam("object"))


class _Many(sa.TypeDecorator[Any]):
    """Many values as one parameter: an array for PostgreSQL, JSON elsewhere."""

    impl = sa.Text
    cache_ok = True

    def __init__(self, item: sa.types.TypeEngine[Any]) -> None:
        super().__init__()
        self.item = item

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        return dialect.type_descriptor(sa.ARRAY(self.item) if dialect.name == "postgresql" else sa.Text())

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        return value if dialect.name == "postgresql" else orjson.dumps(value).decode()


class _AnyOf(sa.ColumnElement[bool]):
    type = sa.Boolean()
    _traverse_internals = [("column", InternalTraversal.dp_clauseelement),
                           ("many", InternalTraversal.dp_clauseelement)]

    def __init__(self, column: sa.Column[Any], values: list[Any]) -> None:
        self.column = column
        self.many = sa.bindparam("many", values, type_=_Many(column.type), unique=True)


@compiles(_AnyOf)
def _in_json(element: _AnyOf, compiler: Any, **options: Any) -> str:
    column, many = compiler.process(element.column, **options), compiler.process(element.many, **options)
    return f"{column} IN (SELECT value FROM json_each({many}))"  # noqa: S608  both are SQLAlchemy's own text


@compiles(_AnyOf, "postgresql")
def _in_array(element: _AnyOf, compiler: Any, **options: Any) -> str:
    return f"{compiler.process(element.column, **options)} = ANY({compiler.process(element.many, **options)})"


def any_of(column: sa.Column[Any], values: Collection[Any]) -> sa.ColumnElement[bool]:
    """``column IN values`` with all values in one parameter: one statement for any number of them, made ready once,
    where an IN list is spelt out anew by SQLAlchemy and parsed anew by the database each time."""
    return _AnyOf(column, list(values))


def dialect_module(connection: Connection) -> Any:
    """The dialect's own insert, which knows ON CONFLICT. Imported where used: each costs a tenth of a start."""
    return import_module(f"sqlalchemy.dialects.{connection.dialect.name}")


@dataclass(frozen=True, slots=True)
class _Insert:
    """An insert as the driver takes it; ``converters`` make a driver's value of each column that needs it."""

    sql: str
    positional: bool
    names: tuple[str, ...]
    converters: tuple[Callable[[Any], Any] | None, ...]


_inserts: dict[tuple[Any, ...], _Insert] = {}
"""Each insert is compiled once a process: a workspace knows some dozens."""


def insert_many(
    connection: Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]], *, replace: bool = False,
    keep: Collection[str] = (),
) -> None:
    """One insert for many rows that all name the same columns; with ``replace``, a row with the same key is replaced,
    except the columns to ``keep``.

    SQLAlchemy compiles it; the rows then go to the driver directly, a column at a time where it has to be converted,
    because passing each row through SQLAlchemy costs several times what SQLite itself takes for it.
    """
    key = (connection.dialect.name, table, *rows[0], replace, *keep)
    known = _inserts.get(key)
    if known is None:
        statement = _statement(connection, table, rows[0], replace, keep)
        if any(column.default is not None and column.name not in rows[0] for column in table.c):
            connection.execute(statement, list(rows))
            return
        known = _inserts[key] = _insert(connection.dialect, statement, list(rows[0]))
    parameters: Any = list(zip(*(
        map(itemgetter(name), rows) if convert is None else map(convert, map(itemgetter(name), rows))
        for name, convert in zip(known.names, known.converters, strict=True)), strict=True))
    if not known.positional:
        parameters = [dict(zip(known.names, row, strict=True)) for row in parameters]
    connection.exec_driver_sql(known.sql, parameters)


def _statement(
    connection: Connection, table: sa.Table, columns: Collection[str], replace: bool, keep: Collection[str]
) -> Any:
    insert: Any = dialect_module(connection).insert(table)
    if not replace:
        return insert
    key = [column.name for column in table.primary_key]
    update = {name: insert.excluded[name] for name in columns if name not in key and name not in keep}
    return insert.on_conflict_do_update(index_elements=key, set_=update) if update \
        else insert.on_conflict_do_nothing(index_elements=key)


def _insert(dialect: Dialect, statement: Any, columns: list[str]) -> _Insert:
    compiled = statement.compile(dialect=dialect, column_keys=columns)
    names = tuple(compiled.positiontup or columns)
    return _Insert(str(compiled), compiled.positional, names, tuple(
        statement.table.c[name].type.dialect_impl(dialect).bind_processor(dialect) for name in names))
