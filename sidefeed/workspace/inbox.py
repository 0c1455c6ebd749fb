"""What is known to have changed in the systems and is not absorbed yet, and what only a person can answer."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from sidefeed.workspace import tables as t
from sidefeed.workspace.clock import utc_text
from sidefeed.workspace.database import any_of, chunks, of_feed
from sidefeed.workspace.model import Cursor, InboxItem
from sidefeed.workspace.unit import Unit


def _due_items(*columns: sa.ColumnElement[Any], only: sa.ColumnElement[bool] | None = None) -> sa.Select[Any]:
    """What is to be absorbed ``now``, oldest first."""
    return sa.select(*columns).where(
        of_feed(t.inbox), sa.or_(t.inbox.c.not_before.is_(None), t.inbox.c.not_before <= sa.bindparam("now")),
        *(() if only is None else (only,))).order_by(t.inbox.c.first_seen, t.inbox.c.external_id)


_DUE = _due_items(t.inbox.c.external_id)
_DUE_BARE = _due_items(t.inbox.c.external_id, only=t.inbox.c.payload.is_(None))
_DUE_DELETED = _due_items(t.inbox.c.external_id, only=t.inbox.c.state == "deleted")
_DUE_STAMPS = _due_items(t.inbox.c.external_id, t.inbox.c.stamp, only=t.inbox.c.stamp.is_not(None))
_BARE_NOW = sa.select(t.inbox.c.external_id).where(
    of_feed(t.inbox), t.inbox.c.payload.is_(None), t.inbox.c.not_before.is_(None)).limit(1)
_NEEDED = sa.select(t.inbox.c.external_id, t.inbox.c.needs).where(
    of_feed(t.inbox), t.inbox.c.needs.is_not(None), t.inbox.c.not_before.is_not(None))
_OPEN_MATCHES = sa.select(t.question.c.external_id, t.question.c.evidence).where(
    of_feed(t.question), t.question.c.kind == "match", t.question.c.answer.is_(None))
_MOOT = t.question.delete().where(
    of_feed(t.question), t.question.c.kind == "match", t.question.c.answer.is_(None), ~sa.exists().where(
        t.inbox.c.system == t.question.c.system, t.inbox.c.object == t.question.c.object,
        t.inbox.c.external_id == t.question.c.external_id))
_CURSOR = sa.select(t.cursor).where(of_feed(t.cursor))
"""Every run asks these of every feed, so they are made once: SQLAlchemy takes longer to make one than SQLite to answer
it."""


class Inbox(Unit):
    def put_inbox(
        self, system: str, object: str, items: Mapping[str, dict[str, Any] | None], *, key_field: str | None = None,
    ) -> None:
        """Ids known to have changed, with what was told of them. What guards ask of all that waits stands beside the
        payload: its state, and the key of ours that it carries in ``key_field``."""
        now = utc_text(self.store.now())
        self.upsert(t.inbox, [
            {"system": system, "object": object, "external_id": id, "payload": payload, "state": _state_of(payload),
             "stamp": _stamp_of(payload, key_field), "first_seen": now, "attempts": 0, "not_before": None,
             "waiting_for": None, "needs": None}
            for id, payload in items.items()
        ], keep=("first_seen",))

    def inbox_ids(self, system: str, object: str) -> list[str]:
        """Everything to be absorbed now, oldest first."""
        return list(self._waiting(_DUE, system, object).scalars())

    def feeds(self) -> list[tuple[str, str]]:
        """(system, stream) of everything that was ever read."""
        return [(system, object) for system, object in self.connection.execute(
            sa.select(t.cursor.c.system, t.cursor.c.object)).all()]

    def waiting_feeds(self) -> set[tuple[str, str]]:
        """System and object of every feed with anything in the inbox, parked or not."""
        return {(row.system, row.object) for row in self.connection.execute(
            sa.select(t.inbox.c.system, t.inbox.c.object).distinct())}

    def inbox_bare(self, system: str, object: str) -> list[str]:
        """What is to be absorbed now and of which only the id is known."""
        return list(self._waiting(_DUE_BARE, system, object).scalars())

    def inbox_deleted(self, system: str, object: str) -> list[str]:
        """What is to be absorbed now and was told to be deleted, not merged."""
        return list(self._waiting(_DUE_DELETED, system, object).scalars())

    def inbox_stamps(self, system: str, object: str) -> dict[str, str]:
        """External id -> our key on it, of what is to be absorbed now."""
        return {row.external_id: row.stamp for row in self._waiting(_DUE_STAMPS, system, object)}

    def _waiting(self, query: sa.Select[Any], system: str, object: str) -> sa.CursorResult[Any]:
        return self.connection.execute(
            query, {"system": system, "object": object, "now": utc_text(self.store.now())})

    def inbox_now(self, system: str, object: str) -> bool:
        """Whether anything in the inbox was put there to be read by id at once."""
        return self.connection.execute(_BARE_NOW, {"system": system, "object": object}).first() is not None

    def inbox_items(self, system: str, object: str, ids: Collection[str]) -> list[InboxItem]:
        rows = {}
        for chunk in chunks(ids):
            for id, payload, attempts, waiting_for in self.connection.execute(
                sa.select(t.inbox.c.external_id, t.inbox.c.payload, t.inbox.c.attempts, t.inbox.c.waiting_for)
                .where(t.inbox.c.system == system, t.inbox.c.object == object, any_of(t.inbox.c.external_id, chunk))
            ).all():
                rows[id] = InboxItem(system, object, id, payload, attempts, waiting_for)
        return [rows[id] for id in ids if id in rows]

    def inbox_size(self, system: str, object: str | None = None) -> int:
        query = sa.select(sa.func.count()).select_from(t.inbox).where(t.inbox.c.system == system)
        if object is not None:
            query = query.where(t.inbox.c.object == object)
        return self.connection.execute(query).scalar_one()

    def drop_inbox(self, system: str, object: str, ids: Collection[str]) -> None:
        for chunk in chunks(ids):
            self.connection.execute(t.inbox.delete().where(
                t.inbox.c.system == system, t.inbox.c.object == object, any_of(t.inbox.c.external_id, chunk)))

    def postpone(
        self, system: str, object: str, external_id: str, *, until: datetime | None, waiting_for: str,
        needs: str | None = None,
    ) -> None:
        """Look at an inbox item again at ``until`` (None: when a person answers), or as soon as the system's object
        that it ``needs`` (``<entity> <external id>``) is known."""
        self.connection.execute(t.inbox.update().where(
            t.inbox.c.system == system, t.inbox.c.object == object, t.inbox.c.external_id == external_id,
        ).values(attempts=t.inbox.c.attempts + 1, not_before=utc_text(until) if until else "9999",
                 waiting_for=waiting_for, needs=needs))

    def wake(self, system: str, object: str, external_ids: Collection[str]) -> None:
        """Let parked inbox items be tried again at once."""
        for chunk in chunks(external_ids):
            self.connection.execute(t.inbox.update().where(
                t.inbox.c.system == system, t.inbox.c.object == object, any_of(t.inbox.c.external_id, chunk),
            ).values(not_before=None))

    def wake_needing(self, system: str, object: str, needs: Collection[str]) -> bool:
        """Let the parked items of one feed that wait for one of these be tried again at once; whether there are any."""
        woken = 0
        for chunk in chunks(needs):
            woken += self.connection.execute(t.inbox.update().where(
                t.inbox.c.system == system, t.inbox.c.object == object, any_of(t.inbox.c.needs, chunk),
            ).values(not_before=None)).rowcount
        return woken > 0

    def needed(self, system: str, object: str) -> dict[str, list[str]]:
        """``<entity> <external id>`` -> the parked inbox items of one feed that wait for it."""
        found: dict[str, list[str]] = {}
        for row in self.connection.execute(_NEEDED, {"system": system, "object": object}):
            found.setdefault(row.needs, []).append(row.external_id)
        return found

    def forget_payloads(self, system: str, object: str, external_ids: Collection[str]) -> None:
        """What the inbox told of these objects is older than a write of ours: they must be read by id."""
        for chunk in chunks(external_ids):
            self.connection.execute(t.inbox.update().where(
                t.inbox.c.system == system, t.inbox.c.object == object, any_of(t.inbox.c.external_id, chunk),
            ).values(payload=None, state=None, stamp=None))

    # -- questions ----------------------------------------------------------------------------------------------

    def ask(self, system: str, object: str, external_id: str, kind: str, evidence: Mapping[str, Any]) -> None:
        """Put a question into the queue; asked again, it keeps its answer and takes the newer evidence."""
        self.upsert(t.question, [{"system": system, "object": object, "external_id": external_id, "kind": kind,
                                  "evidence": dict(evidence), "asked_at": utc_text(self.store.now()), "answer": None}],
                    keep=("asked_at", "answer"))

    def answers(self, system: str, object: str, external_ids: Collection[str]) -> dict[str, str]:
        """External id -> the record a person said it is, or ``new``."""
        found: dict[str, str] = {}
        for chunk in chunks(external_ids):
            for row in self.connection.execute(sa.select(t.question.c.external_id, t.question.c.answer).where(
                    t.question.c.system == system, t.question.c.object == object,
                    any_of(t.question.c.external_id, chunk), t.question.c.answer.is_not(None))):
                found[row.external_id] = row.answer
        return found

    def open_questions(self, system: str, object: str) -> dict[str, list[str]]:
        """External id -> candidate records, for every match of this feed that a person has not decided yet."""
        return {row.external_id: list(row.evidence.get("candidates", ())) for row in self.connection.execute(
            _OPEN_MATCHES, {"system": system, "object": object})}

    def questions(self) -> list[dict[str, Any]]:
        """Every question without an answer, oldest first."""
        return [dict(row) for row in self.connection.execute(
            sa.select(t.question).where(t.question.c.answer.is_(None)).order_by(t.question.c.asked_at)).mappings()]

    def count_questions(self, kinds: Collection[str]) -> int:
        """How many questions of these kinds have no answer."""
        return int(self.connection.execute(sa.select(sa.func.count()).select_from(t.question).where(
            t.question.c.answer.is_(None), t.question.c.kind.in_(kinds))).scalar_one())

    def drop_question(self, system: str, object: str, external_id: str) -> None:
        """Forget a question that nobody needs to answer any more."""
        self.connection.execute(t.question.delete().where(
            t.question.c.system == system, t.question.c.object == object, t.question.c.external_id == external_id))

    def drop_moot_questions(self, system: str, object: str) -> None:
        """Forget open matches of objects that wait no longer: deleted, out of scope, or known by now."""
        self.connection.execute(_MOOT, {"system": system, "object": object})

    def answer(self, system: str, object: str, external_id: str, answer: str) -> None:
        """Remember a person's answer, and let the object that waited for it be looked at again."""
        self.connection.execute(t.question.update().where(
            t.question.c.system == system, t.question.c.object == object,
            t.question.c.external_id == external_id).values(answer=answer))
        self.connection.execute(t.inbox.update().where(
            t.inbox.c.system == system, t.inbox.c.object == object,
            t.inbox.c.external_id == external_id).values(not_before=None))

    # -- cursors ------------------------------------------------------------------------------------------------

    def cursor(self, system: str, object: str) -> Cursor:
        row = self.connection.execute(_CURSOR, {"system": system, "object": object}).mappings().one_or_none()
        return Cursor() if row is None else Cursor(
            row["position"], row["planned_rev"], row["complete_to"], row["fingerprint"])

    def move_cursor(self, system: str, object: str, **values: Any) -> None:
        current = self.cursor(system, object)
        row = {"position": current.position, "planned_rev": current.planned_rev,
               "complete_to": current.complete_to, "fingerprint": current.fingerprint, **values}
        self.upsert(t.cursor, [{"system": system, "object": object, **row}])


def _state_of(payload: Mapping[str, Any] | None) -> str | None:
    if payload is None:
        return None
    return "merged" if payload["merged_into"] is not None else str(payload["state"])


def _stamp_of(payload: Mapping[str, Any] | None, key_field: str | None) -> str | None:
    if payload is None or key_field is None or payload["state"] != "live":
        return None
    stamp = (payload["values"] or {}).get(key_field)
    return stamp if isinstance(stamp, str) and stamp else None
