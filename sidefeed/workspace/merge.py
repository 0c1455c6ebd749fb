"""The one merge rule.

A field of a record is a register whose *heads* are the changes that no later change has seen. A change names, per
field, the heads it was based on; applying it removes those heads and adds itself. One head is a plain value. Several
heads that say the same are agreement. Several heads that differ are a conflict: every value is kept, and the one that
was written first goes on being shown until a change based on all of them decides.

The rule does not depend on the order of arrival beyond causality, so replicas that have exchanged every change are
equal.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

DELETED = "_deleted"
"""Deletion is a field, so that a delete against an unseen edit is an ordinary conflict."""


@dataclass(frozen=True, slots=True)
class Head:
    """One current value of a field: the revision that wrote it, and who, from which system, when."""

    rev: int
    value: Any
    actor: str
    source: str
    at: str
    hlc: str

    def as_json(self) -> dict[str, Any]:
        return {"rev": self.rev, "value": self.value, "actor": self.actor, "source": self.source, "at": self.at,
                "hlc": self.hlc}


@dataclass(frozen=True, slots=True)
class Change:
    """One append to the log: a few fields of one record, by one actor, from one source, with what it was based on."""

    rev: int
    hlc: str
    at: str
    actor: str
    source: str
    entity: str
    record: str
    fields: Mapping[str, Any]
    base: Mapping[str, tuple[int, ...]]
    reason: str | None = None


@dataclass(slots=True)
class RecordState:
    """A record as the log makes it. ``heads`` maps each field to the revisions that hold it now."""

    id: str
    entity: str
    rev: int = 0
    values: dict[str, Any] = field(default_factory=dict)
    heads: dict[str, list[int]] = field(default_factory=dict)
    conflicts: dict[str, list[Head]] = field(default_factory=dict)
    merged_into: str | None = None

    @property
    def deleted(self) -> bool:
        return bool(self.values.get(DELETED)) and DELETED not in self.conflicts

    def heads_of(self, name: str) -> tuple[int, ...]:
        return tuple(self.heads.get(name, ()))

    def field_rev(self, name: str) -> int:
        return max(self.heads.get(name, ()), default=0)


def apply(state: RecordState, change: Change, heads_now: Mapping[str, list[Head]] | None = None) -> None:
    """Apply one change to a record in place.

    ``heads_now`` gives full heads for fields that are not in conflict but whose single head this change did not see
    (their actor and time stand in the log, not in the record).
    """
    if not state.heads:  # its first change: there is nothing to weigh it against
        state.heads.update((name, [change.rev]) for name in change.fields)
        state.values.update(change.fields)
        state.rev = max(state.rev, change.rev)
        return
    for name, value in change.fields.items():
        seen = change.base.get(name, ())
        current = state.conflicts.get(name)
        if current is None:
            held = state.heads.get(name)
            if not held or all(rev in seen for rev in held):
                state.heads[name] = [change.rev]
                state.values[name] = value
                continue
            known = (heads_now or {}).get(name)
            current = known if known is not None else [
                Head(rev, state.values.get(name), "", "", "", "") for rev in state.heads[name]
            ]
        new = Head(change.rev, value, change.actor, change.source, change.at, change.hlc)
        _settle(state, name, [*(head for head in current if head.rev not in seen), new])
    state.rev = max(state.rev, change.rev)


def _settle(state: RecordState, name: str, heads: list[Head]) -> None:
    heads.sort(key=lambda head: (head.hlc, head.rev))
    state.heads[name] = [head.rev for head in heads]
    state.values[name] = heads[0].value
    if any(head.value != heads[0].value for head in heads):
        state.conflicts[name] = heads
    else:
        state.conflicts.pop(name, None)


def replay(changes: Iterable[Change], record: str, entity: str) -> RecordState:
    """Rebuild a record from its changes, oldest first; stop early to see it as of any revision."""
    state = RecordState(record, entity)
    full: dict[str, list[Head]] = {}
    for change in changes:
        apply(state, change, full)
        for name in change.fields:
            heads = {head.rev: head for head in full.get(name, ())}
            heads[change.rev] = Head(change.rev, change.fields[name], change.actor, change.source, change.at,
                                     change.hlc)
            full[name] = [heads[rev] for rev in state.heads[name]]
    return state


def merge_sets(base: Iterable[Any] | None, ours: Iterable[Any] | None, theirs: Iterable[Any] | None) -> list[Any]:
    """Three-way merge of sets: everything either side added, without what either side removed.

    Items may be text or flat dicts (attendees); the result is sorted, the canonical form of a set value.
    """
    from orjson import OPT_SORT_KEYS, dumps

    def keyed(items: Iterable[Any] | None) -> dict[bytes, Any]:
        return {dumps(item, option=OPT_SORT_KEYS): item for item in items or ()}

    old, left, right = keyed(base), keyed(ours), keyed(theirs)
    kept = {key: item for key, item in {**left, **right}.items()
            if (key in left and key in right) or key not in old}
    return [kept[key] for key in sorted(kept)]
