"""What systems refused, remembered by content."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from sidefeed.workspace import tables as t
from sidefeed.workspace.clock import utc_text
from sidefeed.workspace.database import any_of, chunks
from sidefeed.workspace.identity import Identity

RELEASED = ""
"""The digest of a refusal that is to be asked again: no content has it."""


class Refusals(Identity):
    def refusals(self, system: str, object: str, records: Collection[str]) -> dict[str, dict[str, str]]:
        """Record -> raw field (empty for the whole record) -> digest of the content that the system refused."""
        found: dict[str, dict[str, str]] = {}
        for chunk in chunks(records):
            for row in self.connection.execute(
                sa.select(t.refusal.c.record, t.refusal.c.field, t.refusal.c.digest).where(
                    t.refusal.c.system == system, t.refusal.c.object == object, any_of(t.refusal.c.record, chunk))):
                found.setdefault(row.record, {})[row.field] = row.digest
        return found

    def refuse(
        self, system: str, object: str, record: str, field: str, *, digest: str, code: str, message: str, owner: str,
        kind: str = "", count: int = 1, not_before: datetime | None = None, needs: str | None = None,
    ) -> None:
        """Remember by content what a system refused, so that it is not asked again until something changes, the record
        that it ``needs`` is there, or ``not_before`` has come."""
        now = utc_text(self.store.now())
        self.upsert(t.refusal, [{
            "system": system, "object": object, "record": record, "field": field, "digest": digest, "code": code,
            "message": message, "owner": owner, "count": count, "first_seen": now, "last_seen": now,
            "direction": "write", "kind": kind, "not_before": utc_text(not_before) if not_before else None,
            "needs": needs,
        }], keep=("first_seen",))

    def times_refused(self, system: str, object: str, record: str, field: str, code: str) -> int:
        """How often this field (or record) was refused for this reason in a row."""
        return self.connection.execute(sa.select(t.refusal.c.count).where(
            t.refusal.c.system == system, t.refusal.c.object == object, t.refusal.c.record == record,
            t.refusal.c.field == field, t.refusal.c.code == code)).scalar_one_or_none() or 0

    def refused(self, system: str | None = None, object: str | None = None) -> list[dict[str, Any]]:
        """Refusals of one feed, one system, or all, newest first."""
        query = sa.select(t.refusal).order_by(t.refusal.c.last_seen.desc(), t.refusal.c.record, t.refusal.c.field)
        for column, value in ((t.refusal.c.system, system), (t.refusal.c.object, object)):
            if value is not None:
                query = query.where(column == value)
        return [dict(row) for row in self.connection.execute(query).mappings()]

    def release(self, system: str, object: str, refusals: Collection[tuple[str, str]]) -> None:
        """Let refused (record, field) pairs be asked again at the next plan; how often they were refused is kept."""
        for record, name in refusals:
            self.connection.execute(t.refusal.update().where(
                t.refusal.c.system == system, t.refusal.c.object == object, t.refusal.c.record == record,
                t.refusal.c.field == name).values(digest=RELEASED, not_before=None, needs=None))
        for link in self.links(system, object, {record for record, _name in refusals}).values():
            link.due = True
            self.save_link(link)

    def forgive_released(self, system: str, object: str, records: Collection[str]) -> None:
        """Forget released refusals of records that turned out to have nothing left to write."""
        for chunk in chunks(records):
            self.connection.execute(t.refusal.delete().where(
                t.refusal.c.system == system, t.refusal.c.object == object, any_of(t.refusal.c.record, chunk),
                t.refusal.c.digest == RELEASED))

    def forgive(self, system: str, object: str, record: str, fields: Collection[str] | None = None) -> None:
        """Forget refusals of one record: these raw fields were written, or (None) a person asked to try again."""
        delete = t.refusal.delete().where(
            t.refusal.c.system == system, t.refusal.c.object == object, t.refusal.c.record == record)
        self.connection.execute(delete if fields is None else delete.where(t.refusal.c.field.in_(list(fields))))
