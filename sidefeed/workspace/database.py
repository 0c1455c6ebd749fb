"""Where the database is, and statements for many rows."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
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


def configure_sqlite(engine: Engine) -> None:
    @sa.event.listens_for(engine, "connect")
    def configure(dbapi_connection: Any, _record: Any) -> None:
        dbapi_connection.isolation_level = None  # transactions are begun explicitly, as IMMEDIATE
        cursor = dbapi_connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "cache_size=-8000"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()


def chunks(items: Collection[Any]) -> Iterator[list[Any]]:
    listed = list(items)
    for start in range(0, len(listed), _AT_ONCE):
        yield listed[start:start + _AT_ONCE]


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


def execute_many(connection: Connection, statement: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    """One insert for many rows that all name the same columns.

    SQLAlchemy compiles it; the rows then go to the driver directly, a column at a time where it has to be converted,
    because passing each row through SQLAlchemy costs several times what SQLite itself takes for it.
    """
    columns = statement.table.c
    if any(column.default is not None and column.name not in rows[0] for column in columns):
        connection.execute(statement, list(rows))
        return
    dialect = connection.dialect
    compiled = statement.compile(dialect=dialect, column_keys=list(rows[0]))
    names = compiled.positiontup or list(rows[0])
    by_column = [list(map(itemgetter(name), rows)) for name in names]
    for index, name in enumerate(names):
        convert = columns[name].type.dialect_impl(dialect).bind_processor(dialect)
        if convert is not None:
            by_column[index] = list(map(convert, by_column[index]))
    parameters: Any = list(zip(*by_column, strict=True))
    if not compiled.positional:
        parameters = [dict(zip(names, row, strict=True)) for row in parameters]
    connection.exec_driver_sql(str(compiled), parameters)
