"""The log: appending changes, and asking what was changed by whom."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from sidefeed.workspace import tables as t
from sidefeed.workspace.clock import new_record_id, utc_text
from sidefeed.workspace.database import any_of, chunks
from sidefeed.workspace.merge import Change, Head, RecordState, apply, replay
from sidefeed.workspace.model import ClockAhead, Draft
from sidefeed.workspace.records import Records

CLOCK_TOLERANCE = timedelta(minutes=5)
"""A clock further ahead than this is refused: one wrong laptop must not win every `latest` for years."""


_LAST = sa.select(sa.func.max(t.change.c.rev))


class Log(Records):
    def last_rev(self) -> int:
        if self._rev is not None:
            return self._rev
        return self.connection.execute(_LAST).scalar() or 0

    def new_id(self) -> str:
        id = new_record_id(self.store.now())
        self._new.add(id)
        return id

    def append(self, drafts: Sequence[Draft]) -> list[Change]:
        """Append changes in order and apply each to its record. Raises ClockAhead and appends none of them when one
        is stamped too far in the future."""
        now = self.store.now()
        for draft in drafts:
            if draft.at is not None and draft.at - now > CLOCK_TOLERANCE:
                raise ClockAhead(
                    f"{draft.entity} {draft.record}: the change from {draft.source} by {draft.actor} is stamped "
                    f"{utc_text(draft.at)}, {int((draft.at - now).total_seconds())} seconds ahead of this machine "
                    f"({utc_text(now)}). Nothing was stored. Set the clock of the machine that made the change, or of "
                    f"this one, and run again.")
        states = self.records([draft.record for draft in drafts])
        full = self._full_heads(drafts, states)
        if self._rev is None:
            self._rev = self.last_rev()
            self._seq = self.connection.execute(
                sa.select(sa.func.max(t.change.c.seq)).where(t.change.c.site == self.store.site)).scalar() or 0
        clock = self.store.hybrid_clock(self.connection)
        appended = []
        times = Counter(draft.record for draft in drafts)
        for draft in drafts:
            state = states.get(draft.record) or self._new_state(draft)
            states[draft.record] = state
            self._rev += 1
            self._seq += 1
            base = {name: tuple(known) if (known := draft.base.get(name)) is not None else state.heads_of(name)
                    for name in draft.fields}
            change = Change(self._rev, clock.stamp(), utc_text(draft.at or now), draft.actor, draft.source,
                            draft.entity, draft.record, dict(draft.fields), base, draft.reason)
            apply(state, change, full.get(draft.record))
            if times[draft.record] > 1:
                self._remember_heads(full, state, change)
            self._dirty.add(draft.record)
            self._changes.append({
                "rev": change.rev, "site": self.store.site, "seq": self._seq, "hlc": change.hlc, "at": change.at,
                "actor": change.actor, "source": change.source, "run": self.store.run, "entity": change.entity,
                "record": change.record, "fields": change.fields, "base": change.base, "reason": change.reason,
            })
            appended.append(change)
        return appended

    def _new_state(self, draft: Draft) -> RecordState:
        state = RecordState(draft.record, draft.entity)
        self._records[draft.record] = state
        return state

    def _full_heads(
        self, drafts: Sequence[Draft], states: Mapping[str, RecordState]
    ) -> dict[str, dict[str, list[Head]]]:
        """Who wrote the heads that a draft has not seen: needed only where a conflict begins."""
        wanted: dict[int, list[tuple[str, str]]] = {}
        for draft in drafts:
            state = states.get(draft.record)
            if state is None:
                continue
            for name, seen in draft.base.items():
                if name in draft.fields and name not in state.conflicts:
                    for rev in state.heads.get(name, ()):
                        if rev not in seen:
                            wanted.setdefault(rev, []).append((draft.record, name))
        full: dict[str, dict[str, list[Head]]] = {}
        for rev, change in self._changes_by_rev(wanted).items():
            for record, name in wanted[rev]:
                if name in change["fields"]:
                    head = _head(change, name)
                    heads = full.setdefault(record, {}).setdefault(name, [])
                    if head not in heads:
                        heads.append(head)
        return full

    @staticmethod
    def _remember_heads(
        full: dict[str, dict[str, list[Head]]], state: RecordState, change: Change
    ) -> None:
        for name, value in change.fields.items():
            if name not in state.conflicts and len(state.heads[name]) == 1:
                full.setdefault(state.id, {})[name] = [
                    Head(change.rev, value, change.actor, change.source, change.at, change.hlc)]

    def _changes_by_rev(self, revs: Collection[int]) -> dict[int, Any]:
        found: dict[int, Any] = {row["rev"]: row for row in self._changes if row["rev"] in revs}
        for chunk in chunks([rev for rev in revs if rev not in found]):
            for row in self.connection.execute(sa.select(t.change).where(any_of(t.change.c.rev, chunk))).mappings():
                found[row["rev"]] = row
        return found

    def changes_of(self, record: str, *, upto: int | None = None) -> list[Change]:
        """Every change of one record, oldest first."""
        query = sa.select(t.change).where(t.change.c.record == record).order_by(t.change.c.rev)
        if upto is not None:
            query = query.where(t.change.c.rev <= upto)
        stored = [_change(row) for row in self.connection.execute(query).mappings()]
        pending = [_change(row) for row in self._changes
                   if row["record"] == record and (upto is None or row["rev"] <= upto)]
        return stored + pending

    def histories(self, records: Collection[str]) -> dict[str, list[Change]]:
        """Every change of these records, oldest first."""
        found: dict[str, list[Change]] = {record: [] for record in records}
        for chunk in chunks(records):
            for row in self.connection.execute(
                    sa.select(t.change).where(any_of(t.change.c.record, chunk)).order_by(t.change.c.rev)).mappings():
                found[row["record"]].append(_change(row))
        for pending in self._changes:
            if pending["record"] in found:
                found[pending["record"]].append(_change(pending))
        return found

    def revisions_of_run(self, run: str) -> dict[str, set[int]]:
        """Record -> the revisions that a run appended."""
        found: dict[str, set[int]] = {}
        for rev, record in self.connection.execute(
                sa.select(t.change.c.rev, t.change.c.record).where(t.change.c.run == run)):
            found.setdefault(record, set()).add(rev)
        return found

    def changed_often(self, run: str, *, more_than: int) -> list[str]:
        """Records that a run changed and that have more changes than this in all."""
        mine = sa.select(t.change.c.record).where(t.change.c.run == run)
        return list(self.connection.execute(sa.select(t.change.c.record).where(t.change.c.record.in_(mine)).group_by(
            t.change.c.record).having(sa.func.count() > more_than)).scalars())

    def runs_of_revisions(self, revs: Collection[int]) -> list[str]:
        """The runs that appended these revisions."""
        found: set[str] = set()
        for chunk in chunks(revs):
            found.update(run for run in self.connection.execute(
                sa.select(t.change.c.run).where(any_of(t.change.c.rev, chunk)).distinct()).scalars() if run)
        return sorted(found)

    def changes_since(self, rev: int) -> Iterator[Change]:
        """Every stored change above a revision, oldest first."""
        query = sa.select(t.change).where(t.change.c.rev > rev).order_by(t.change.c.rev)
        for row in self.connection.execute(query.execution_options(yield_per=1000)).mappings():
            yield _change(row)

    def head_details(self, revs: Collection[int]) -> dict[int, Change]:
        return {rev: _change(row) for rev, row in self._changes_by_rev(revs).items()}

    def heads_as_of(self, state: RecordState, name: str, rev: int) -> tuple[int, ...]:
        """The heads of one field as they were at a revision. Free while nothing newer was written."""
        if state.field_rev(name) <= rev:
            return state.heads_of(name)
        return replay(self.changes_of(state.id, upto=rev), state.id, state.entity).heads_of(name)


def _head(row: Any, name: str) -> Head:
    return Head(row["rev"], row["fields"][name], row["actor"], row["source"], row["at"], row["hlc"])


def _change(row: Any) -> Change:
    return Change(row["rev"], row["hlc"], row["at"], row["actor"], row["source"], row["entity"], row["record"],
                  row["fields"], {name: tuple(revs) for name, revs in row["base"].items()}, row["reason"])
