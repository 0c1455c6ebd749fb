"""The search index of one type: what search sees, which is not always what is stored.

Recordings show records that search misses for up to 10 seconds after their creation. Records are never changed after
they are stored, so an index that lags simply holds older versions.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from typing import TYPE_CHECKING

from .catalogue import ObjectType
from .store import Record, insert_sorted, remove_sorted

if TYPE_CHECKING:
    from .search import Query


class Index:
    """What search sees of one type: the versions of records that have become visible, in order of id and of time."""

    def __init__(self, object_type: ObjectType) -> None:
        self.type = object_type
        self.records: dict[int, Record] = {}
        self.ids: list[int] = []
        self.by_modified: list[tuple[int, int]] = []
        self.pending: list[tuple[int, int, int, Record | None]] = []
        self.generation = 0
        self.visited = 0
        self._sequence = 0
        self._shown: dict[int, int] = {}
        self._by_value: dict[str, dict[str, set[int]]] = {}
        self._answers: dict[bytes, list[int]] = {}

    def copy(self) -> Index:
        """A copy that later writes do not reach."""
        twin = Index(self.type)
        twin.records, twin.ids = self.records.copy(), self.ids.copy()
        twin.by_modified, twin.pending = self.by_modified.copy(), self.pending.copy()
        twin.generation, twin._sequence, twin._shown = self.generation, self._sequence, self._shown.copy()
        return twin

    def enqueue(self, visible_at: int, record_id: int, record: Record | None) -> None:
        """Let a version (None: a removal) become visible at a moment."""
        self._sequence += 1
        heapq.heappush(self.pending, (visible_at, self._sequence, record_id, record))

    def catch_up(self, now: int) -> None:
        """Make visible what is due."""
        while self.pending and self.pending[0][0] <= now:
            _, sequence, record_id, record = heapq.heappop(self.pending)
            if sequence > self._shown.get(record_id, 0):  # a late version never covers a newer one
                self._shown[record_id] = sequence
                self._show(record_id, record)

    def _show(self, record_id: int, record: Record | None) -> None:
        before = self.records.get(record_id)
        if before is not None:
            remove_sorted(self.by_modified, (before.modified, record_id))
        if record is None:
            if before is not None:
                del self.records[record_id]
                remove_sorted(self.ids, record_id)
        else:
            if before is None:
                insert_sorted(self.ids, record_id)
            self.records[record_id] = record
            insert_sorted(self.by_modified, (record.modified, record_id))
        for name, values in self._by_value.items():
            old = before.values.get(name, "").lower() if before else ""
            new = record.values.get(name, "").lower() if record else ""
            if old != new:
                if old:
                    values.get(old, set()).discard(record_id)
                if new:
                    values.setdefault(new, set()).add(record_id)
        self.generation += 1
        self._answers.clear()

    def holding(self, name: str, values: Iterable[str]) -> set[int]:
        """Ids of the records whose property has one of the values, compared without case."""
        table = self._by_value.get(name)
        if table is None:
            table = self._by_value[name] = {}
            for record_id, record in self.records.items():
                if held := record.values.get(name):
                    table.setdefault(held.lower(), set()).add(record_id)
        found: set[int] = set()
        for value in values:
            found |= table.get(value.lower(), set())
        return found

    def matches(self, query: Query) -> list[int]:
        """Ids of all matching records in the order asked for. Pages of one query share the work."""
        known = self._answers.get(query.key)
        if known is None:
            if len(self._answers) >= 16:
                self._answers.clear()
            known = self._answers[query.key] = self._evaluate(query)
        return known

    def _evaluate(self, query: Query) -> list[int]:
        if query.groups:
            found: set[int] = set()
            for group in query.groups:
                for record_id in group.candidates(self):
                    if record_id in found:
                        continue
                    self.visited += 1
                    record = self.records[record_id]
                    if all(test(record) for test in group.tests):
                        found.add(record_id)
            matched = sorted(found)
        else:
            matched = self.ids.copy()
        if query.text is not None:
            text = query.text
            self.visited += len(matched)
            matched = [record_id for record_id in matched if text(self.records[record_id])]
        return query.order(matched, self.records)
