"""Records as the log makes them, and the natural keys they can be matched by."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from sidefeed.workspace import tables as t
from sidefeed.workspace.database import any_of, chunks, insert_many, of_feed
from sidefeed.workspace.merge import Head, RecordState
from sidefeed.workspace.unit import Unit

_BEHIND = (
    sa.select(t.record.c.id)
    .select_from(t.record.outerjoin(t.link, sa.and_(of_feed(t.link), t.link.c.record == t.record.c.id)))
    .where(t.record.c.entity == sa.bindparam("entity"), t.record.c.rev > sa.bindparam("since"),
           sa.or_(t.link.c.record.is_(None), t.link.c.synced_rev < t.record.c.rev))
    .order_by(t.record.c.rev))


class Records(Unit):
    def records(self, ids: Collection[str]) -> dict[str, RecordState]:
        missing = {id for id in ids if id not in self._records and id not in self._new}
        for chunk in chunks(missing):
            for row in self.connection.execute(sa.select(t.record).where(any_of(t.record.c.id, chunk))).mappings():
                self._records[row["id"]] = record_state(row)
        return {id: self._records[id] for id in ids if id in self._records}

    def record(self, id: str) -> RecordState | None:
        return self._records.get(id) or self.records([id]).get(id)

    def each_record(self, entity: str, *, since: int = 0) -> Iterator[RecordState]:
        """Every stored record of an entity whose revision is above ``since``."""
        query = sa.select(t.record).where(t.record.c.entity == entity, t.record.c.rev > since).order_by(t.record.c.rev)
        for row in self.connection.execute(query.execution_options(yield_per=1000)).mappings():
            yield self._records.get(row["id"]) or record_state(row)

    def any_record(self, entity: str) -> bool:
        """Whether there is any record of an entity."""
        return self.connection.execute(
            sa.select(t.record.c.id).where(t.record.c.entity == entity).limit(1)).first() is not None

    def changed_ids(self, entity: str, *, since: int) -> list[str]:
        """Ids of records of an entity whose revision is above ``since``, oldest first."""
        return list(self.connection.execute(
            sa.select(t.record.c.id).where(t.record.c.entity == entity, t.record.c.rev > since)
            .order_by(t.record.c.rev)).scalars())

    def behind(self, system: str, object: str, entity: str, *, since: int) -> list[str]:
        """Records of an entity that changed after ``since`` and that one feed does not link, or links at an older
        revision; oldest first."""
        return list(self.connection.execute(
            _BEHIND, {"system": system, "object": object, "entity": entity, "since": since}).scalars())

    def conflicted(self, entity: str | None = None) -> list[RecordState]:
        query = sa.select(t.record).where(t.record.c.conflicts.is_not(None)).order_by(t.record.c.id)
        if entity:
            query = query.where(t.record.c.entity == entity)
        return [record_state(row) for row in self.connection.execute(query).mappings()]

    def by_natural_keys(self, entity: str, keys: Collection[str]) -> dict[str, list[str]]:
        """Ids of live records by natural key. Sees what this transaction has appended."""
        self._flush_records()
        found: dict[str, list[str]] = {}
        for chunk in chunks(set(keys)):
            for key, record in self.connection.execute(
                sa.select(t.natural_key.c.key, t.natural_key.c.record)
                .where(t.natural_key.c.entity == entity, any_of(t.natural_key.c.key, chunk))
                .order_by(t.natural_key.c.record)
            ):
                found.setdefault(key, []).append(record)
        return found

    def index_again(self, entity: str) -> None:
        """Make the natural keys of an entity anew, after another way of matching came in."""
        self._flush_records()
        for chunk in chunks(self.changed_ids(entity, since=0)):
            rows = self.connection.execute(sa.select(t.record).where(any_of(t.record.c.id, chunk))).mappings()
            self._store_keys([record_state(row) for row in rows])

    def mark_merged(self, loser: str, winner: str) -> None:
        self.records([loser])[loser].merged_into = winner
        self._dirty.add(loser)

    def _flush_records(self) -> None:
        if self._changes:
            insert_many(self.connection, t.change, self._changes)
            self._changes = []
        if not self._dirty:
            return
        states = [self._records[id] for id in self._dirty]
        self.upsert(t.record, [{
            "id": state.id, "entity": state.entity, "rev": state.rev, "values": state.values, "heads": state.heads,
            "conflicts": {name: [head.as_json() for head in heads] for name, heads in state.conflicts.items()} or None,
            "deleted": state.deleted, "merged_into": state.merged_into,
        } for state in states])
        self._store_keys(states)
        self._dirty.clear()

    def _store_keys(self, states: Sequence[RecordState]) -> None:
        for chunk in chunks([state.id for state in states]):
            self.connection.execute(t.natural_key.delete().where(any_of(t.natural_key.c.record, chunk)))
        keys = [{"entity": state.entity, "key": key, "record": state.id} for state in states
                if not state.deleted and state.merged_into is None
                for key in dict.fromkeys(self.store.natural_keys(state.entity, state.values))]
        if keys:
            insert_many(self.connection, t.natural_key, keys)


def record_state(row: Any) -> RecordState:
    conflicts = {name: [Head(**head) for head in heads] for name, heads in (row["conflicts"] or {}).items()}
    return RecordState(row["id"], row["entity"], row["rev"], row["values"], row["heads"], conflicts,
                       row["merged_into"])
