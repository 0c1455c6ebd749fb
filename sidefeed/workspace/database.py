"""Where the database is, and statements for many rows."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

_IN = 500
"""Ids per IN list: below every database's limit on bound parameters."""


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
    for start in range(0, len(listed), _IN):
        yield listed[start:start + _IN]


def dialect_module(connection: Connection) -> Any:
    """The dialect's own insert, which knows ON CONFLICT. Imported where used: each costs a tenth of a start."""
    return import_module(f"sqlalchemy.dialects.{connection.dialect.name}")


def execute_many(connection: Connection, statement: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    """One insert for many rows that all name the same columns.

    SQLAlchemy compiles it; the rows then go to the driver directly, because passing each through SQLAlchemy costs
    several times what SQLite itself takes for a row.
    """
    columns = statement.table.c
    if any(column.default is not None and column.name not in rows[0] for column in columns):
        connection.execute(statement, list(rows))
        return
    dialect = connection.dialect
    compiled = statement.compile(dialect=dialect, column_keys=list(rows[0]))
    process = {name: columns[name].type.dialect_impl(dialect).bind_processor(dialect) for name in rows[0]}
    names = compiled.positiontup or list(process)
    values = ([row[name] if (to := process[name]) is None else to(row[name]) for name in names] for row in rows)
    parameters: Any = [tuple(each) if compiled.positional else dict(zip(names, each, strict=True)) for each in values]
    connection.exec_driver_sql(str(compiled), parameters)
