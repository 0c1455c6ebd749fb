"""The quarantine: what a system refused, until its cause is mended.

A refusal is remembered by content. It is asked again by itself when its lane opens (`sidefeed.errors`), when the record
that it needs is known in that system, or when its content or the mapping changes; a person asks with `sidefeed retry`.
What waits in the inbox for another object is looked at again as soon as that object is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa

from sidefeed.connector import ConnectorError
from sidefeed.errors import ErrorCode
from sidefeed.sync.report import Report
from sidefeed.workspace import Store, Transaction
from sidefeed.workspace import tables as t
from sidefeed.workspace.clock import utc_text
from sidefeed.workspace.refusals import RELEASED

_TOLD = 100
"""So many of the records that somebody asked again stand in the audit trail; of the rest how many they were."""


def put(
    tx: Transaction, report: Report, system: str, object: str, record: str, field: str, *, digest: str, code: str,
    message: str, kind: str = "", owner: str | None = None, needs: str | None = None,
) -> ErrorCode:
    """Remember a refusal, in the lane of its code; returns what the code means."""
    known = report.codes.explain(code, kind)
    times = tx.times_refused(system, object, record, field, code) + 1
    tx.refuse(system, object, record, field, digest=digest, code=code, message=message, owner=owner or known.owner,
              kind=kind, count=times, not_before=known.next_try(times, tx.store.now()), needs=needs)
    return known


def owner_of(error: ConnectorError, report: Report) -> str:
    """Who must act: as the error itself says, else as its code says."""
    own: str | None = vars(error).get("owner")
    return own or report.codes.explain(error.code, kind_of(error)).owner


def kind_of(error: ConnectorError) -> str:
    """The contract's class of an error, by its code: what explains a system's code that nobody listed."""
    return type(error).code


def release(tx: Transaction, system: str, object: str, *, lanes: bool) -> int:
    """Let refusals of one feed be asked again whose cause was mended, or (with ``lanes``) whose lane is open."""
    rows = tx.refused(system, object)
    now = utc_text(tx.store.now())
    wanted = {row["needs"] for row in rows if row["needs"]}
    there = tx.external_ids(system, wanted).keys() if wanted else ()
    free = [(row["record"], row["field"]) for row in rows if row["digest"] != RELEASED and (
        row["needs"] in there or (lanes and row["not_before"] is not None and row["not_before"] <= now))]
    tx.release(system, object, free)
    return len(free)


def wake(tx: Transaction, system: str, object: str) -> int:
    """Let inbox items be looked at again whose missing object is known by now."""
    waiting = tx.needed(system, object)
    by_entity: dict[str, list[str]] = {}
    for need in waiting:
        entity, _, external_id = need.partition(" ")
        by_entity.setdefault(entity, []).append(external_id)
    ready = [item for entity, ids in by_entity.items() for id in tx.records_known_as(system, entity, ids)
             for item in waiting[f"{entity} {id}"]]
    tx.wake(system, object, ready)
    return len(ready)


def retry(
    store: Store, *, code: str | None = None, records: Iterable[str] | None = None, system: str | None = None,
) -> list[dict[str, Any]]:
    """Release every refusal, and wake every parked inbox item, that the filters name; returns what will be tried."""
    wanted = None if records is None else set(records)
    with store.write() as tx:
        chosen = [row for row in tx.refused(system)
                  if (code is None or row["code"] == code) and (wanted is None or row["record"] in wanted)]
        for feed in {(row["system"], row["object"]) for row in chosen}:
            tx.release(*feed, [(row["record"], row["field"]) for row in chosen
                               if (row["system"], row["object"]) == feed])
        parked = _parked(tx, system, wanted) if code in (None, "unresolved") else []
        for item in parked:
            tx.wake(item["system"], item["object"], [item["external_id"]])
        if chosen or parked:
            asked = [(row["system"], row["object"], row["record"]) for row in chosen] + [
                (item["system"], item["object"], item["external_id"]) for item in parked]
            tx.note("retry", system=system, code=code, number=len(asked), first=asked[:_TOLD])
    return [_told(row) for row in chosen] + [
        {**item, "record": item["external_id"], "field": None, "code": "unresolved"} for item in parked]


def _parked(tx: Transaction, system: str | None, records: set[str] | None) -> list[dict[str, Any]]:
    query = sa.select(t.inbox.c.system, t.inbox.c.object, t.inbox.c.external_id, t.inbox.c.waiting_for).where(
        t.inbox.c.not_before.is_not(None), t.inbox.c.waiting_for.is_not(None))
    if system is not None:
        query = query.where(t.inbox.c.system == system)
    rows = [dict(row) for row in tx.connection.execute(query).mappings()]
    if records is None:
        return rows
    return [row for row in rows for known in [tx.known_as(row["system"], row["object"], [row["external_id"]])]
            if known and known[row["external_id"]][0] in records]


def _told(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"system": row["system"], "object": row["object"], "record": row["record"],
            "field": row["field"].lstrip("=") or None, "code": row["code"]}
