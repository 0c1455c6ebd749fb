"""When each person is busy, from every calendar that is read; never what with.

A row tells of one meeting of one calendar: its times, how it is shown, the level it may leave at and what was decided
about it. So the team calendar, and what a rep is told of the next days, need no word of a private meeting. A series has
a row too, at the end of time: at which level each copy of it may leave.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from sidefeed.calendars.policy import Level, tightest
from sidefeed.workspace import Transaction
from sidefeed.workspace import tables as t
from sidefeed.workspace.clock import utc_text

NEVER = "9999-12-31T00:00:00Z"
"""When a series as such takes place: no span of time holds it."""

KEPT = timedelta(days=30)
"""Blocks that ended before this are dropped."""


def note(tx: Transaction, rows: Iterable[Mapping[str, Any]]) -> None:
    """Remember blocks: ``system``, ``object``, ``external_id``, ``mailbox``, ``key``, ``start``, ``end``, ``all_day``,
    ``show_as``, ``level`` and ``verdict``."""
    tx.upsert(t.busy, list(rows))


def forget(tx: Transaction, system: str, object: str, ids: Collection[str]) -> None:
    """Blocks of meetings that are gone from a calendar, and those of all calendars that are long over."""
    for id in ids:
        tx.connection.execute(t.busy.delete().where(
            t.busy.c.system == system, t.busy.c.object == object, t.busy.c.external_id == id))
    tx.connection.execute(t.busy.delete().where(t.busy.c.end < utc_text(tx.store.now() - KEPT)))


def levels(tx: Transaction, keys: Collection[str]) -> dict[str, dict[tuple[str, str], Level]]:
    """Meeting key -> (feed, id) -> the level at which that copy of the meeting may leave."""
    return {key: {(f"{row['system']} {row['object']}", row["external_id"]): row["level"] for row in copies(tx, key)}
            for key in keys}


def copies(tx: Transaction, key: str) -> list[dict[str, Any]]:
    """Every copy of one meeting in the calendars that are read."""
    return [dict(row) for row in tx.connection.execute(sa.select(t.busy).where(t.busy.c.key == key)).mappings()]


def of_mailbox(tx: Transaction, mailbox: str) -> list[dict[str, Any]]:
    """Everything that is known of one calendar, its series too."""
    return [dict(row) for row in tx.connection.execute(
        sa.select(t.busy).where(t.busy.c.mailbox == mailbox).order_by(t.busy.c.external_id)).mappings()]


def blocks(
    tx: Transaction, since: datetime, until: datetime, mailboxes: Collection[str] | None = None
) -> list[dict[str, Any]]:
    """Blocks that touch a span of time, by mailbox and start; one for each mailbox and meeting."""
    query = sa.select(t.busy).where(t.busy.c.start < utc_text(until), t.busy.c.end > utc_text(since)[:10]).order_by(
        t.busy.c.mailbox, t.busy.c.start, t.busy.c.external_id)
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for row in tx.connection.execute(query).mappings():
        if row["end"] <= utc_text(since) and not row["all_day"]:
            continue
        if mailboxes is None or row["mailbox"] in mailboxes:
            one = dict(row)
            name = (row["mailbox"], row["key"] or row["external_id"])
            if name in found:
                one["level"] = tightest(one["level"], found[name]["level"])
            found[name] = one
    return list(found.values())
