"""Who said what a record holds, and whether what a system holds of it was chosen there or written by Sidefeed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from sidefeed.connector import chunked
from sidefeed.workspace import Change, Draft, RecordState, Transaction
from sidefeed.workspace import tables as t

_BATCH = 500


def said_in(tx: Transaction, states: Iterable[RecordState], names: Collection[str]) -> dict[tuple[int, str], str]:
    """Revision and field -> the system (or `workspace`, `import`) where each value that these records hold was said."""
    heads = {rev for state in states for name in names for rev in state.heads_of(name)}
    return {(rev, name): source for rev, change in tx.head_details(heads).items()
            for name, source in _source(tx, change).items()}


def _source(tx: Transaction, change: Change) -> dict[str, str]:
    """By field; a policy only chose among what others had said."""
    if change.source != "policy":
        return dict.fromkeys(change.fields, change.source)
    preferred = change.actor.removeprefix("policy:prefer:") if change.actor.startswith("policy:prefer:") else "policy"
    found = dict.fromkeys(change.fields, preferred)
    seen = tx.head_details({rev for revs in change.base.values() for rev in revs})
    for name, value in change.fields.items():
        for rev in change.base.get(name, ()):
            if (one := seen.get(rev)) is not None and one.fields.get(name) == value and one.source != "policy":
                found[name] = one.source
    return found


def last_sent(tx: Transaction, system: str, object: str, records: Collection[str]) -> dict[str, dict[str, Any]]:
    """Record -> raw field -> what was last written to it in one feed, by any run."""
    found: dict[str, dict[str, Any]] = {}
    for ids in chunked(sorted(set(records)), _BATCH):
        for row in tx.connection.execute(sa.select(t.intent.c.record, t.intent.c.payload).where(
                t.intent.c.record.in_(ids), t.intent.c.system == system, t.intent.c.object == object,
                t.intent.c.op.in_(("create", "update")), t.intent.c.state.in_(("done", "recovered")),
        ).order_by(t.intent.c.id)):
            found.setdefault(row.record, {}).update((row.payload or {}).get("values", {}))
    return found


def first_written_over(tx: Transaction, system: str, object: str, record: str, external_id: str) -> dict[str, Any]:
    """Raw field -> what one object held before Sidefeed first wrote another value there."""
    found: dict[str, Any] = {}
    for row in tx.connection.execute(sa.select(t.intent.c.before).where(
            t.intent.c.record == record, t.intent.c.external_id == external_id, t.intent.c.system == system,
            t.intent.c.object == object, t.intent.c.op == "update", t.intent.c.state.in_(("done", "recovered")),
    ).order_by(t.intent.c.id)):
        found = {**(row.before or {}), **found}
    return found


@dataclass(slots=True)
class Authors:
    """What a rehearsal must know of them. ``said`` gives the source of each field of each record, ``written`` the raw
    fields of each live object that hold what Sidefeed wrote there."""

    said: dict[str, dict[str, str]] = field(default_factory=dict)
    written: dict[tuple[str, str, str], frozenset[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, tx: Transaction, records: Mapping[tuple[str, str, str], str]) -> Authors:
        """Of the objects (system, feed, id) that these records live as."""
        found = cls()
        states = tx.records(set(records.values()))
        for state in states.values():
            sources = said_in(tx, [state], list(state.heads))
            found.said[state.id] = {name: sources[heads[-1], name] for name, heads in state.heads.items()
                                    if heads and (heads[-1], name) in sources}
        for system, feed in {place[:2] for place in records}:
            mine = {id: record for (one, name, id), record in records.items() if (one, name) == (system, feed)}
            images, sent = tx.bases(system, feed, mine.values()), last_sent(tx, system, feed, mine.values())
            for id, record in mine.items():
                image = images.get(record, {})
                found.written[system, feed, id] = frozenset(
                    raw for raw, value in sent.get(record, {}).items() if raw in image and image[raw] == value)
        return found

    def repeat(self, tx: Transaction, run: str, live: Mapping[tuple[str, str, str], str]) -> None:
        """Say the same of the clones in another workspace. ``live`` gives the live id of each of its objects."""
        states = tx.records(self.said)
        tx.append([Draft(state.entity, id, values, "rehearsal", source) for id, by_field in self.said.items()
                   if (state := states.get(id)) is not None for source in sorted(set(by_field.values()))
                   if (values := {name: state.values[name] for name, one in by_field.items() if one == source
                                  and name in state.values and name not in state.conflicts})])
        for link in tx.links_of_all(self.said):
            place = (link.system, link.object, link.external_id or "")
            raw = self.written.get((link.system, link.object, live.get(place, "")), frozenset())
            image = tx.bases(link.system, link.object, [link.record]).get(link.record, {})
            if values := {name: image[name] for name in raw if name in image}:
                tx.note_done([{"run": run, "system": link.system, "object": link.object, "record": link.record,
                               "op": "update", "key": f"{link.record}:clone", "external_id": link.external_id,
                               "rev": 0, "payload": {"values": values, "known": {}}, "before": {}}])
