"""What people enter for the forecast, kept with two times: when it holds, and when it was known.

A row is never changed or taken away: replacing it closes it (``known_to``) and adds another. So the teams, quotas and
rates of any past report can be had again, whatever was corrected since.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from sidefeed.workspace import Transaction
from sidefeed.workspace.clock import utc_text

_TIMES = ("id", "known_from", "known_to", "actor")


class EntryError(ValueError):
    """What was entered cannot be taken; nothing was stored. The message names the row and what to do."""


def known(tx: Transaction, table: sa.Table, moment: datetime | None = None) -> list[dict[str, Any]]:
    """The rows of a table as they were known at a moment (None: now), in the order they were entered.

    What was entered first of all is taken for what held before: nobody reported by other teams or rates until then.
    """
    query = sa.select(table).order_by(table.c.id)
    if moment is None:
        query = query.where(table.c.known_to.is_(None))
    else:
        first = tx.connection.execute(sa.select(sa.func.min(table.c.known_from))).scalar() or ""
        then = max(utc_text(moment), first)
        query = query.where(table.c.known_from <= then, sa.or_(table.c.known_to.is_(None), table.c.known_to > then))
    return [dict(row) for row in tx.connection.execute(query).mappings()]


def replace(
    tx: Transaction, table: sa.Table, rows: Sequence[Mapping[str, Any]], actor: str,
    where: Sequence[sa.ColumnElement[bool]] = (),
) -> tuple[int, int]:
    """Make these the rows that are known from now on, among those that fit ``where``. Gives (added, closed).

    A row that is there already is left as it is, so entering the same file twice changes nothing.
    """
    now = utc_text(tx.store.now())
    held = {_key(dict(row)): row["id"] for row in tx.connection.execute(
        sa.select(table).where(table.c.known_to.is_(None), *where)).mappings()}
    wanted = {_key(row): dict(row) for row in rows}
    gone = [id for key, id in held.items() if key not in wanted]
    new = [{**row, "known_from": now, "actor": actor} for key, row in wanted.items() if key not in held]
    if gone:
        tx.connection.execute(table.update().where(table.c.id == sa.bindparam("gone")).values(known_to=now),
                              [{"gone": id} for id in gone])
    if new:
        tx.connection.execute(table.insert(), new)
    return len(new), len(gone)


def _key(row: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted((name, value) for name, value in row.items() if name not in _TIMES))


def day(text: str | None, what: str) -> str | None:
    """An ISO date or None for a blank. Raises EntryError naming what it was for."""
    if not text or not text.strip():
        return None
    try:
        return date.fromisoformat(text.strip()).isoformat()
    except ValueError:
        raise EntryError(f"{what}: {text!r} is no date; write it as 2026-03-31.") from None


def holds(row: Mapping[str, Any], on: date) -> bool:
    """Whether a row's dates cover a day; a blank date is no limit."""
    return (not row["valid_from"] or row["valid_from"] <= on.isoformat()) and (
        not row["valid_to"] or row["valid_to"] >= on.isoformat())


def overlap(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two rows hold on a common day."""
    first, last = "0000-01-01", "9999-12-31"
    return bool((one["valid_from"] or first) <= (other["valid_to"] or last)
                and (other["valid_from"] or first) <= (one["valid_to"] or last))
