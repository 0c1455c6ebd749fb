"""After a backup of the workspace was restored: find again what was only forgotten, before anything is created anew.

An object in one system that carries the key of a record this workspace never had (a stranger) was made by a later state
of it, from an object of another system that is read as new now, under another record id. Nothing in the systems says
which: the key names the forgotten id, and the object it was made from carries none. So content decides where it is
equal and unique on both sides, and a person everywhere else. Meanwhile nothing is created in that feed that could be
one of the strangers, so that no second copy is ever made.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from sidefeed.mapping import ObjectMap
from sidefeed.sync.match import normalise
from sidefeed.sync.writes import ObjectPlan, PlannedWrite
from sidefeed.workspace import RecordState, Transaction
from sidefeed.workspace import tables as t
from sidefeed.workspace.clock import utc_instant
from sidefeed.workspace.database import of_feed
from sidefeed.workspace.log import CLOCK_TOLERANCE

ALIKE = 0.5
"""From which share of equal fields on a newer record may be a stranger that was edited since."""
SHOWN = 5
"""How many records a question offers at most: who needs more looks for the record in the workspace."""

_ASKED = sa.select(t.question).where(of_feed(t.question), t.question.c.kind == "match")
_UNANSWERED = _ASKED.where(t.question.c.answer.is_(None))


@dataclass(frozen=True, slots=True)
class Stranger:
    """An object whose key names ``record``, which this workspace never had; ``values`` are those it was read with."""

    external_id: str
    record: str
    asked_at: str
    values: Mapping[str, Any]


def strangers(tx: Transaction, system: str, object: str, *, placed: bool = False) -> list[Stranger]:
    """The strangers of one feed that nobody has placed yet; with those that somebody did, where ``placed``."""
    rows = tx.connection.execute(_ASKED if placed else _UNANSWERED, {"system": system, "object": object}).mappings()
    return [Stranger(row["external_id"], row["evidence"]["stranger"], row["asked_at"], row["evidence"]["values"])
            for row in rows if row["evidence"].get("stranger")]


def may_be_one(tx: Transaction, state: RecordState, unplaced: Sequence[Stranger]) -> bool:
    """Whether a record that is about to be created may be a stranger: it was there when the stranger was noticed, or
    looks like it."""
    latest = max(utc_instant(one.asked_at) for one in unplaced) + CLOCK_TOLERANCE
    history = tx.histories([state.id])[state.id]
    return (not history or utc_instant(history[0].at) <= latest
            or any(likeness(one.values, state.values) >= ALIKE for one in unplaced))


def likeness(values: Mapping[str, Any], others: Mapping[str, Any]) -> float:
    """The share of the fields known on both sides that are equal."""
    both = [name for name, value in values.items() if value is not None and others.get(name) is not None]
    return sum(normalise(values[name]) == normalise(others[name]) for name in both) / len(both) if both else 0.0


def reunite(tx: Transaction, plan: ObjectPlan) -> dict[str, str]:
    """Place strangers of one feed: external id -> record, by a key placed elsewhere or by equal content; what is left
    is asked again with the records that it resembles. The objects are then due in the inbox."""
    om, object = plan.om, plan.stream.name
    unplaced = strangers(tx, om.system, object)
    if not unplaced:
        return {}
    placed = {**_by_content(tx, plan, unplaced), **_by_key(tx, plan, unplaced)}
    for id, record in placed.items():
        tx.answer(om.system, object, id, record)
    states = tx.records([write.record for write in plan.doubtful])
    free = [states[write.record] for write in plan.doubtful if write.record not in placed.values()]
    for one in unplaced:
        if one.external_id not in placed:
            _offer(tx, om, object, one, free)
    return placed


def _by_key(tx: Transaction, plan: ObjectPlan, unplaced: Iterable[Stranger]) -> dict[str, str]:
    """Another system's object with the same key was placed: both were copies of one record."""
    wanted = {write.record for write in plan.doubtful}
    known: dict[str, str] = {}
    for row in tx.connection.execute(sa.select(t.question).where(
            t.question.c.kind == "match", t.question.c.answer.is_not(None))).mappings():
        if (record := row["evidence"].get("stranger")) is not None:
            told = tx.known_as(row["system"], row["object"], [row["external_id"]])
            if row["external_id"] in told:
                known[record] = told[row["external_id"]][0]
    found = {one.external_id: known[one.record] for one in unplaced if known.get(one.record) in wanted}
    times = Counter(found.values())
    return {id: record for id, record in found.items() if times[record] == 1}


def _by_content(tx: Transaction, plan: ObjectPlan, unplaced: Sequence[Stranger]) -> dict[str, str]:
    """What would be created holds exactly what the stranger holds, and no other does."""
    images = {item.external_id: item.payload["values"] for item in tx.inbox_items(
        plan.om.system, plan.stream.name, [one.external_id for one in unplaced])
        if item.payload and item.payload["values"]}
    states = tx.records([write.record for write in plan.doubtful])
    called: dict[tuple[Any, ...], list[PlannedWrite]] = {}
    for write in plan.doubtful:
        called.setdefault(_called(states[write.record].values), []).append(write)
    equal = [(one.external_id, write.record) for one in unplaced if one.external_id in images
             for write in called.get(_called(one.values), ()) if _same(plan.om, write, images[one.external_id])]
    objects, records = Counter(id for id, _record in equal), Counter(record for _id, record in equal)
    return {id: record for id, record in equal if objects[id] == records[record] == 1}


def _called(values: Mapping[str, Any]) -> tuple[Any, ...]:
    """What narrows down which contents are worth comparing."""
    return tuple(normalise(values.get(name)) for name in ("name", "last_name", "email", "subject"))


def _same(om: ObjectMap, write: PlannedWrite, image: Mapping[str, Any]) -> bool:
    """Whether an object is what this write would make, in the system's normal form of it."""
    sent = write.after
    return any(value is not None for value in sent.values()) and all(
        spec.lens.settled(mine, image) for spec in om.fields
        if (mine := {key: sent[key] for key in spec.lens.raw if key in sent}))


def _offer(tx: Transaction, om: ObjectMap, object: str, one: Stranger, free: Iterable[RecordState]) -> None:
    """Ask a person, with the records that it resembles most."""
    scores = {state.id: score for state in free if (score := likeness(one.values, state.values)) > 0}
    best = sorted(scores, key=lambda id: -scores[id])[:SHOWN]
    states = tx.records(best)
    names = {id: states[id].values.get("name") or states[id].values.get("email") or states[id].values.get("subject")
             for id in best}
    tx.ask(om.system, object, one.external_id, "match", {
        "entity": om.entity, "key": "", "candidates": names, "same_key_there": 0, "values": dict(one.values),
        "stranger": one.record})
