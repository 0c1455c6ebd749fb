"""What the last hours brought, for guards that count over more than one run. Runs that a person approved, and undos,
were looked at, so they do not count."""

from __future__ import annotations

from collections.abc import Callable, Set
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from sidefeed.workspace import tables as t
from sidefeed.workspace.clock import new_record_id
from sidefeed.workspace.merge import DELETED
from sidefeed.workspace.transaction import Transaction


@dataclass(slots=True)
class Done:
    """Records by what was done to them in one feed: deleted, blanked, and (by raw field) changed."""

    deleted: set[str] = field(default_factory=set)
    blanked: set[str] = field(default_factory=set)
    changed: dict[str, set[str]] = field(default_factory=dict)

    def records(self) -> set[str]:
        return self.deleted.union(self.blanked, *self.changed.values())

    def without(self, records: Set[str]) -> Done:
        return Done(self.deleted - records, self.blanked - records,
                    {name: changed - records for name, changed in self.changed.items()})


def writes_done(
    tx: Transaction, system: str, object: str, window: timedelta, *, worth: Callable[[int], bool]
) -> Done:
    """What was written to one feed within the window. ``worth`` is asked, with the number of writes, whether it is
    worth reading them."""
    mine = sa.and_(t.intent.c.run >= _since(tx, window), t.intent.c.system == system, t.intent.c.object == object,
                   t.intent.c.state == "done", t.intent.c.op != "create",
                   t.intent.c.run.not_in(_looked_at(tx, window) or [""]))
    done = Done()
    if not worth(tx.connection.execute(sa.select(sa.func.count()).select_from(t.intent).where(mine)).scalar_one()):
        return done
    for row in tx.connection.execute(sa.select(
            t.intent.c.record, t.intent.c.op, t.intent.c.payload, t.intent.c.before).where(mine)):
        if row.op == "delete":
            done.deleted.add(row.record)
            continue
        before: dict[str, Any] = row.before or {}
        for name, value in (row.payload or {}).get("values", {}).items():
            if before.get(name) is not None and value != before.get(name):
                done.changed.setdefault(name, set()).add(row.record)
                if value is None:
                    done.blanked.add(row.record)
    return done


def deletions_reported(tx: Transaction, system: str, entity: str, window: timedelta) -> int:
    """How many deletions of one kind of record in one system were believed within the window."""
    rows = tx.connection.execute(sa.select(t.change.c.record, t.change.c.fields).where(
        t.change.c.run >= _since(tx, window), t.change.c.source == system, t.change.c.entity == entity,
        sa.cast(t.change.c.fields, sa.Text).contains(f'"{DELETED}":true'),
        t.change.c.run.not_in(_looked_at(tx, window) or [""])))
    return len({row.record for row in rows if row.fields.get(DELETED) is True})


def _since(tx: Transaction, window: timedelta) -> str:
    """Run ids are made of their time, so those of a window are one range of the index."""
    return new_record_id(tx.store.now() - window)[:13]


def _looked_at(tx: Transaction, window: timedelta) -> list[str]:
    rows = tx.connection.execute(sa.select(t.run.c.id, t.run.c.what, t.run.c.detail).where(
        t.run.c.id >= _since(tx, window)))
    return [row.id for row in rows if row.what.startswith("undo ") or (row.detail or {}).get("approved")]
