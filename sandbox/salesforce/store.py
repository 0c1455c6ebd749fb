"""Rows in memory: tables with indexes, an undo journal, snapshots that cost a pointer per row.

A stored row is never changed in place: an update stores a new dict. That is what makes snapshots, query locators and
rollback cheap, and it is a rule for every caller.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

from .ids import mint
from .schema import Schema, SObject

Row: TypeAlias = "dict[str, Any]"
_ORDERED = frozenset({"Id", "SystemModstamp", "CreatedDate", "LastModifiedDate"})
_TOP = "\U0010ffff"
_LOGGED, _UNLOGGED = "+deletion", "-deletion"
"""Journal entries about the delete log, among those about tables."""


class Table:
    """The rows of one object, deleted ones in the recycle bin included, and the indexes that queries use."""

    def __init__(self, sobject: SObject) -> None:
        self.sobject = sobject
        self.rows: dict[str, Row] = {}
        self.visited = 0
        self._hashed: dict[str, dict[Any, dict[str, None]]] = {}
        self._ordered: dict[str, list[tuple[str, str]]] = {}

    def put(self, row: Row) -> Row | None:
        """Store a row under its Id; returns the one it replaces."""
        key = row["Id"]
        old = self.rows.get(key)
        self.rows[key] = row
        for name, hashed in self._hashed.items():
            before, after = self._key(name, old), self._key(name, row)
            if old is None or before != after:
                if old is not None:
                    self._unhash(hashed, before, key)
                hashed.setdefault(after, {})[key] = None
        for name, entries in self._ordered.items():
            before, after = (old or {}).get(name), row.get(name)
            if old is None or before != after:
                if old is not None:
                    self._unorder(entries, before, key)
                insort(entries, (after or "", key))
        return old

    def remove(self, key: str) -> Row | None:
        """Forget a row as if it had never been."""
        old = self.rows.pop(key, None)
        if old is not None:
            for name, hashed in self._hashed.items():
                self._unhash(hashed, self._key(name, old), key)
            for name, entries in self._ordered.items():
                self._unorder(entries, old.get(name), key)
        return old

    @staticmethod
    def _unhash(hashed: dict[Any, dict[str, None]], value: Any, key: str) -> None:
        bucket = hashed.get(value)
        if bucket is not None:
            bucket.pop(key, None)
            if not bucket:
                del hashed[value]

    @staticmethod
    def _unorder(entries: list[tuple[str, str]], value: Any, key: str) -> None:
        place = bisect_left(entries, (value or "", key))
        if place < len(entries) and entries[place] == (value or "", key):
            del entries[place]

    def _key(self, name: str, row: Row | None) -> Any:
        value = row.get(name) if row else None
        field = self.sobject.fields.get(name)
        if isinstance(value, str) and not (field and (field.case_sensitive or field.type in ("reference", "id"))):
            return value.casefold()
        return value

    def indexed(self, name: str) -> bool:
        """Whether equality on a field is answered without visiting every row."""
        field = self.sobject.fields.get(name)
        return field is not None and (field.id_lookup or field.external_id or field.unique or field.type == "reference")

    @staticmethod
    def ordered(name: str) -> bool:
        """Whether ranges and sorting on a field are answered from an index."""
        return name in _ORDERED

    def matching(self, name: str, value: Any) -> Iterable[str]:
        """Ids of the rows whose field equals a value; text without regard to case unless the field says so."""
        if name == "Id":
            return (value,) if value in self.rows else ()
        hashed = self._hashed.get(name)
        if hashed is None:
            hashed = self._hashed[name] = {}
            for key, row in self.rows.items():
                hashed.setdefault(self._key(name, row), {})[key] = None
        return tuple(hashed.get(self._key(name, {name: value}), ()))

    def between(self, name: str, low: str | None, high: str | None, *, backwards: bool = False) -> Iterator[str]:
        """Ids in order of an ordered field, then of Id, from `low` to `high`, both included."""
        entries = self._ordered.get(name)
        if entries is None:
            entries = self._ordered[name] = sorted((row.get(name) or "", key) for key, row in self.rows.items())
        start = 0 if low is None else bisect_left(entries, (low, ""))
        end = len(entries) if high is None else bisect_right(entries, (high, _TOP))
        places = range(end - 1, start - 1, -1) if backwards else range(start, end)
        return (entries[place][1] for place in places)

    def forget_indexes(self) -> None:
        """Drop the indexes; they are rebuilt when a query needs them."""
        self._hashed.clear()
        self._ordered.clear()


class Store:
    """All tables. Writes inside `savepoint` can be taken back."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self._tables: dict[str, Table] = {}
        self._journal: list[tuple[str, str, Row | None]] | None = None
        self._numbers: dict[str, int] = {}
        self.deletions: list[tuple[str, str, str]] = []
        """The delete log that getDeleted reads: (object, id, stamp)."""

    def table(self, name: str) -> Table:
        """The table of an object (its exact name)."""
        found = self._tables.get(name)
        if found is None:
            sobject = self.schema.object(name)
            if sobject is None:
                raise KeyError(name)
            found = self._tables[name] = Table(sobject)
        return found

    def get(self, name: str, key: str) -> Row | None:
        """A row, also one in the recycle bin."""
        return self.table(name).rows.get(key)

    def rows(self, name: str) -> Iterable[Row]:
        """Live rows of an object."""
        return (row for row in self.table(name).rows.values() if not row.get("IsDeleted"))

    def find(self, name: str, field: str, value: Any) -> list[Row]:
        """Live rows whose field equals a value."""
        table = self.table(name)
        return [r for key in table.matching(field, value) if not (r := table.rows[key]).get("IsDeleted")]

    def put(self, name: str, row: Row) -> None:
        """Store a row."""
        old = self.table(name).put(row)
        if self._journal is not None:
            self._journal.append((name, row["Id"], old))

    def remove(self, name: str, key: str) -> None:
        """Remove a row for good."""
        old = self.table(name).remove(key)
        if old is not None and self._journal is not None:
            self._journal.append((name, key, old))

    def log_deletion(self, name: str, key: str, at: str) -> None:
        """Remember that a record went."""
        self.deletions.append((name, key, at))
        if self._journal is not None:
            self._journal.append((_LOGGED, key, None))

    def unlog_deletions(self, keys: Collection[str]) -> None:
        """Forget that records went: they are back, or were purged."""
        before = self.deletions
        self.deletions = [entry for entry in before if entry[1] not in keys]
        if self._journal is not None:
            self._journal.append((_UNLOGGED, "", {"deletions": before}))

    def next_id(self, sobject: SObject) -> str:
        """A fresh id for an object (or for anything else with a key prefix)."""
        return self.next_id_of(sobject.prefix)

    def next_id_of(self, prefix: str) -> str:
        """A fresh id with a key prefix."""
        number = self._numbers.get(prefix, 3_844_000) + 1
        self._numbers[prefix] = number
        return mint(prefix, number)

    def next_number(self, counter: str, start: int = 1000) -> int:
        """The next value of a named counter: case numbers, auto-number names."""
        number = self._numbers.get(counter, start)
        self._numbers[counter] = number + 1
        return number

    @contextmanager
    def savepoint(self) -> Iterator[Callable[[], list[tuple[str, str, Row | None]]]]:
        """Inside, writes are journalled; calling the yielded function takes back what was written since. Nests.

        An exception that leaves the block takes the writes back too. The function returns what it took back, newest
        first, as (object, id, row that had been written).
        """
        outer = self._journal
        if outer is None:
            self._journal = []
        journal = self._journal
        assert journal is not None
        start = len(journal)

        def rollback() -> list[tuple[str, str, Row | None]]:
            undone = []
            while len(journal) > start:
                name, key, old = journal.pop()
                if name == _LOGGED:
                    self.deletions.pop()
                    continue
                if name == _UNLOGGED:
                    assert old is not None
                    self.deletions = old["deletions"]
                    continue
                table = self.table(name)
                undone.append((name, key, table.rows.get(key)))
                if old is None:
                    table.remove(key)
                else:
                    table.put(old)
            return undone

        try:
            yield rollback
        except BaseException:
            rollback()
            raise
        finally:
            self._journal = outer

    def snapshot(self) -> Any:
        """All rows and counters, sharing the rows themselves."""
        rows = {name: dict(table.rows) for name, table in self._tables.items()}
        return rows, dict(self._numbers), list(self.deletions)

    def restore(self, snapshot: Any) -> None:
        """Back to a snapshot."""
        rows, numbers, deletions = snapshot
        self._numbers, self.deletions = dict(numbers), list(deletions)
        for name, table in self._tables.items():
            table.rows = dict(rows.get(name, {}))
            table.forget_indexes()

    @property
    def visited(self) -> int:
        """Rows that queries have looked at since the start: what an index test counts."""
        return sum(table.visited for table in self._tables.values())

    def adopt_schema(self) -> None:
        """After a change of schema: tables learn their object anew."""
        for name, table in self._tables.items():
            table.sobject = self.schema.object(name) or table.sobject
            table.forget_indexes()
