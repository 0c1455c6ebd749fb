"""What the rooms of a unit of work share: its connection, and what it has changed and not yet stored."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sidefeed.workspace.database import insert_many
from sidefeed.workspace.merge import RecordState
from sidefeed.workspace.model import Link

if TYPE_CHECKING:
    from sidefeed.workspace.store import Store


class Unit:
    """Each room of `Transaction` is a class over this one."""

    def __init__(self, store: Store, connection: Connection) -> None:
        self.store = store
        self.connection = connection
        self._records: dict[str, RecordState] = {}
        self._dirty: set[str] = set()
        self._changes: list[dict[str, Any]] = []
        self._links: dict[tuple[str, str, str], Link] = {}
        self._images: dict[tuple[str, str, str], Any] = {}
        self._remotes: dict[tuple[str, str, str], dict[str, Any]] = {}
        self._new: set[str] = set()
        """Record ids made here: nothing stored can be of them, so it need not be looked for."""
        self._rev: int | None = None
        self._seq = 0

    def upsert(self, table: sa.Table, rows: Sequence[Mapping[str, Any]], *, keep: Collection[str] = ()) -> None:
        """Insert rows or replace those with the same key, except the columns to ``keep``."""
        if rows:
            insert_many(self.connection, table, rows, replace=True, keep=keep)
