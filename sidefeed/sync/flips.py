"""The loop breaker: a field that two systems keep changing to and fro is parked with its history.

Two automations that each put their own value back would otherwise be carried on for ever, by us. A parked field goes on
being read; it is written nowhere until a person releases it (`sidefeed release`) or decides it (`sidefeed resolve`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from sidefeed.workspace import DELETED, Change, RecordState, Transaction
from sidefeed.workspace import tables as t
from sidefeed.workspace.clock import utc_text

FLIP = "flip"
_PEOPLE = ("workspace",)


def park(tx: Transaction, run: str, *, flips: int, window: timedelta) -> int:
    """Park every field that a run changed and that flipped this often within the window; returns how many."""
    by_id = tx.records(tx.changed_often(run, more_than=flips))
    since = utc_text(tx.store.now() - window)
    known = _rows(tx, by_id)
    parked = 0
    for id, history in tx.histories(by_id).items():
        names = {name for change in history for name in change.fields} - {DELETED}
        for name in sorted(names):
            row = known.get((id, name))
            if row is not None and row["answer"] is None:
                continue
            floor = int(row["answer"]) if row is not None else 0
            said = [change for change in history if name in change.fields and change.at >= since and change.rev > floor]
            if len(said) > flips and count(said, name) >= flips:
                _store(tx, by_id[id], name, said)
                parked += 1
    return parked


def count(said: Sequence[Change], name: str) -> int:
    """How often a value came back that another source had just replaced. What people type here is no flip."""
    return sum(
        1 for before, between, now in zip(said, said[1:], said[2:], strict=False)
        if now.fields[name] == before.fields[name] != between.fields[name] and now.source != between.source
        and not {now.source, between.source} & set(_PEOPLE))


def parked_fields(tx: Transaction) -> dict[str, set[str]]:
    """Record -> the fields of it that are parked."""
    found: dict[str, set[str]] = {}
    for row in tx.connection.execute(sa.select(t.question.c.external_id).where(
            t.question.c.kind == FLIP, t.question.c.answer.is_(None))):
        record, _, name = row.external_id.partition("/")
        found.setdefault(record, set()).add(name)
    return found


def parked_lines(tx: Transaction) -> list[dict[str, Any]]:
    """Every parked field with its history, as people are shown it."""
    return [dict(row.evidence) for row in tx.connection.execute(sa.select(t.question.c.evidence).where(
        t.question.c.kind == FLIP, t.question.c.answer.is_(None)).order_by(t.question.c.asked_at))]


def release(
    tx: Transaction, state: RecordState, name: str, *, actor: str | None = None, via: str | None = None
) -> bool:
    """Let a parked field be written again; flips count from now. False where it was not parked."""
    row = _rows(tx, [state.id]).get((state.id, name))
    if row is None or row["answer"] is not None:
        return False
    tx.connection.execute(t.question.update().where(
        t.question.c.kind == FLIP, t.question.c.external_id == f"{state.id}/{name}").values(answer=str(tx.last_rev())))
    for link in tx.links_of(state.id):
        if link.state == "live":
            link.due = True
            tx.save_link(link)
    tx.note("release", actor=actor, via=via, record=state.id, field=name)
    return True


def _rows(tx: Transaction, records: Collection[str]) -> dict[tuple[str, str], Any]:
    found = {}
    for row in tx.connection.execute(sa.select(t.question).where(t.question.c.kind == FLIP)).mappings():
        record, _, name = row["external_id"].partition("/")
        if record in records:
            found[(record, name)] = row
    return found


def _store(tx: Transaction, state: RecordState, name: str, said: Sequence[Change]) -> None:
    tx.upsert(t.question, [{
        "system": "workspace", "object": state.entity, "external_id": f"{state.id}/{name}", "kind": FLIP,
        "asked_at": utc_text(tx.store.now()), "answer": None, "evidence": {
            "record": state.id, "entity": state.entity, "field": name,
            "label": str(state.values.get("name") or state.id),
            "history": [{"value": one.fields[name], "actor": one.actor, "source": one.source, "at": one.at}
                        for one in said]}}])
