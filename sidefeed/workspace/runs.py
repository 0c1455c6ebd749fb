"""Runs, and the writes they intended and made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from sidefeed.workspace import tables as t
from sidefeed.workspace.clock import new_record_id, utc_text
from sidefeed.workspace.database import of_feed
from sidefeed.workspace.model import StoreError
from sidefeed.workspace.unit import Unit

_OPEN = sa.literal_column("intent.state") == sa.literal_column("'open'")
"""Written as the partial index is: a bound parameter would make the database read the whole table."""

_UNSETTLED = sa.select(t.intent).where(of_feed(t.intent), _OPEN).order_by(t.intent.c.id)


class Runs(Unit):
    def begin_run(self, what: str) -> str:
        latest = self.connection.execute(sa.select(sa.func.max(t.run.c.id))).scalar()
        run = new_record_id(self.store.now(), after=latest)  # told by their order, also where a clock goes back
        self.connection.execute(t.run.insert(), {
            "id": run, "what": what, "started": utc_text(self.store.now()), "state": "running"})
        return run

    def end_run(self, run: str, state: str, counts: Mapping[str, Any], detail: Any = None) -> None:
        self.connection.execute(t.run.update().where(t.run.c.id == run).values(
            ended=utc_text(self.store.now()), state=state, counts=dict(counts), detail=detail))

    def set_run_state(self, run: str, state: str, *, by: str | None = None) -> None:
        """A person decided about a run that waited; ``by`` is the run that then did what this one was to do."""
        detail = {**(self.run(run)["detail"] or {}), "by": by} if by else self.run(run)["detail"]
        self.connection.execute(t.run.update().where(t.run.c.id == run).values(state=state, detail=detail))

    def keep_parked(self, run: str, not_reached: Sequence[str]) -> None:
        """A person approved a run, and these systems or feeds failed when it was carried out."""
        self.connection.execute(t.run.update().where(t.run.c.id == run).values(
            detail={**(self.run(run)["detail"] or {}), "not_reached": list(not_reached)}))

    def run(self, id: str) -> dict[str, Any]:
        """One run by its id or the start of it. Raises StoreError where there is none or more than one."""
        begins = t.run.c.id.startswith(id, autoescape=True)
        found = [dict(row) for row in self.connection.execute(
            sa.select(t.run).where(begins).order_by(t.run.c.id).limit(2)).mappings()]
        if len(found) != 1 or not id:
            latest = ", ".join(f"{run['id']} ({run['what']}, {run['started'][:16]})" for run in self.runs(3))
            raise StoreError(f"{'several runs begin' if found and id else 'no run begins'} with {id!r}; the latest are "
                             f"{latest or 'none'}. `sidefeed status` lists them.")
        return found[0]

    def runs(self, limit: int = 20) -> list[dict[str, Any]]:
        """The latest runs, newest first."""
        return [dict(row) for row in self.connection.execute(
            sa.select(t.run).order_by(t.run.c.id.desc()).limit(limit)).mappings()]

    def open_intents(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Record writes before their calls are made."""
        now = utc_text(self.store.now())
        self.connection.execute(t.intent.insert(), [{**row, "state": "open", "at": now} for row in rows])

    def note_done(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Record writes that were made already and can be repeated without harm."""
        now = utc_text(self.store.now())
        if rows:
            self.connection.execute(t.intent.insert(), [{**row, "state": "done", "at": now} for row in rows])

    def settle_intents(
        self, run: str, system: str, object: str, outcomes: Mapping[str, tuple[str, Any]]
    ) -> None:
        """Key -> (state, outcome) of open intents that one run has in one feed."""
        open_now = self.connection.execute(sa.select(t.intent.c.id, t.intent.c.key, t.intent.c.run).where(
            t.intent.c.system == system, t.intent.c.object == object, _OPEN))
        rows = [{"of_id": row.id, "new_state": outcomes[row.key][0], "new_outcome": outcomes[row.key][1]}
                for row in open_now if row.run == run and row.key in outcomes]
        if rows:
            self.connection.execute(
                t.intent.update().where(t.intent.c.id == sa.bindparam("of_id"))
                .values(state=sa.bindparam("new_state"), outcome=sa.bindparam("new_outcome", type_=t.Json)), rows)

    def intents_of_run(self, run: str) -> list[dict[str, Any]]:
        """What a run wrote to the systems, writes whose answer was lost with it: whether these took effect is seen in
        what the objects hold."""
        return [dict(row) for row in self.connection.execute(sa.select(t.intent).where(
            t.intent.c.run == run, sa.or_(
                t.intent.c.state.in_(("done", "recovered", "unknown")),
                sa.and_(t.intent.c.state == "open", t.intent.c.op == "create"))
        ).order_by(t.intent.c.id)).mappings()]

    def was_created(self, system: str, object: str, record: str) -> bool:
        """Whether a sync of ours made the object that a record is linked with."""
        return self.connection.execute(sa.select(t.intent.c.id).where(
            t.intent.c.record == record, t.intent.c.system == system, t.intent.c.object == object,
            t.intent.c.op == "create", t.intent.c.state.in_(("done", "recovered"))).limit(1)).first() is not None

    def unsettled(self, system: str, object: str) -> list[dict[str, Any]]:
        """Writes whose outcome was never learnt: the process died, or the answer was lost."""
        return [dict(row) for row in self.connection.execute(
            _UNSETTLED, {"system": system, "object": object}).mappings()]
