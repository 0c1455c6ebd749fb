"""What people say the number will be, beside what the deals say: submissions, managers' calls, adjustments, quotas.

The three are never mixed with the computed number, and never with each other. An entry is never changed: a later one
of the same kind for the same node, measure, period and currency stands in its place, and the earlier ones stay.

| kind | who | what |
|---|---|---|
| `submission` | whoever owns the number | what they commit to |
| `call` | the manager above | what the manager expects instead; a reason is required |
| `adjustment` | the manager above | what the manager adds to, or takes from, the computed one; a reason is required |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import pandas as pd
import sqlalchemy as sa

from sidefeed.forecast.entries import EntryError, day, known, overlap, replace
from sidefeed.forecast.frames import Schema, frame
from sidefeed.forecast.hierarchy import EVERYONE, People
from sidefeed.forecast.periods import Period
from sidefeed.forecast.scope import MEASURES
from sidefeed.workspace import Transaction
from sidefeed.workspace import tables as t
from sidefeed.workspace.clock import utc_text

KINDS = ("submission", "call", "adjustment")
EXPECTED = "committed"
"""The measure that a submission is about unless it says another: what is won, and what is committed to."""

QUOTA_COLUMNS = ("node", "from", "to", "currency", "amount")

CALLS: Schema = {
    "id": ("count", "the number of the entry"),
    "at": ("instant", "when it was entered"),
    "actor": ("text", "who entered it"),
    "node": ("text", "the team, or the id of the person, that it is about"),
    "kind": ("text", "`submission`, `call` or `adjustment`"),
    "measure": ("text", "what it is about; `committed` unless said otherwise"),
    "start": ("date", "first day of the period"),
    "end": ("date", "last day"),
    "currency": ("text", "ISO 4217"),
    "amount": ("decimal", "the amount; for an adjustment what is added to the computed number"),
    "computed": ("decimal", "what the deals said at that moment; None where nobody asked"),
    "reason": ("text", "why"),
    "stands": ("flag", "whether it is the latest of its kind"),
}
"""Everything that was ever entered, oldest first."""


def submit(
    tx: Transaction, *, node: str, period: Period, amount: str | Decimal, currency: str, actor: str,
    kind: str = "submission", measure: str = EXPECTED, reason: str | None = None, computed: Decimal | None = None,
) -> int:
    """Enter a number. Gives its id. Raises EntryError, and stores nothing, for what cannot be taken."""
    if kind not in KINDS:
        raise EntryError(f"cannot enter a {kind!r}; choose from {', '.join(KINDS)}.")
    if measure not in MEASURES:
        raise EntryError(f"cannot measure {measure!r}; choose from {', '.join(MEASURES)}.")
    if period.start is None or period.end is None:
        raise EntryError("a number is submitted for a period with a first and a last day, such as 2026-Q1.")
    if kind != "submission" and not (reason or "").strip():
        raise EntryError(f"a manager's {kind} needs a reason, so that others can follow it later. Add --reason.")
    row = {"at": utc_text(tx.store.now()), "actor": actor, "node": node, "kind": kind, "measure": measure,
           "valid_from": period.start.isoformat(), "valid_to": period.end.isoformat(), "currency": code(currency),
           "amount": money(amount), "computed": None if computed is None else format(computed, "f"),
           "reason": (reason or "").strip() or None}
    return int(tx.connection.execute(t.submission.insert().returning(t.submission.c.id), row).scalar_one())


def calls(tx: Transaction, moment: datetime | None = None) -> pd.DataFrame:
    """Everything entered up to a moment (None: now), with the columns of `CALLS`, oldest first."""
    query = sa.select(t.submission).order_by(t.submission.c.id)
    if moment is not None:
        query = query.where(t.submission.c.at <= utc_text(moment))
    rows = [dict(row) for row in tx.connection.execute(query).mappings()]
    latest = {_about(row): row["id"] for row in rows}
    return frame(({**row, "start": row["valid_from"], "end": row["valid_to"], "amount": Decimal(row["amount"]),
                   "computed": None if row["computed"] is None else Decimal(row["computed"]),
                   "stands": latest[_about(row)] == row["id"]} for row in rows), CALLS)


def _about(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in ("node", "kind", "measure", "valid_from", "valid_to", "currency"))


def standing(
    table: pd.DataFrame, period: Period, measure: str = EXPECTED
) -> dict[tuple[str, str, str], dict[str, Any]]:
    """(node, kind, currency) -> the entry that stands for a period and measure, from a frame of `CALLS`."""
    if period.start is None or period.end is None:
        return {}
    mine = table[table["stands"] & (table["measure"] == measure) & (table["start"] == pd.Timestamp(period.start))
                 & (table["end"] == pd.Timestamp(period.end))]
    return {(row["node"], row["kind"], row["currency"]): row for row in mine.to_dict("records")}


def import_quotas(tx: Transaction, rows: Sequence[Mapping[str, str]], actor: str, teams: Sequence[str]) -> tuple[
        int, int]:
    """Make these the quotas from now on: the whole file. Gives (added, closed).

    Raises EntryError, and stores nothing, for a node nobody knows, an amount that is none, or two quotas of one node
    and currency whose periods overlap without being a part of one another.
    """
    people = People(tx)
    entries = [_quota(row, number, people, teams) for number, row in enumerate(rows, 2)]
    seen: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for entry in entries:
        for other in seen.setdefault((entry["node"], entry["currency"]), []):
            if overlap(entry, other) and not _nested(entry, other):
                raise EntryError(
                    f"two quotas of {people.name(entry['node'])} overlap: {other['valid_from']} to {other['valid_to']} "
                    f"and {entry['valid_from']} to {entry['valid_to']}. A quota may lie inside another (a quarter in "
                    f"its year), not across it.")
        seen[entry["node"], entry["currency"]].append(entry)
    return replace(tx, t.quota, entries, actor)


def _quota(row: Mapping[str, str], number: int, people: People, teams: Sequence[str]) -> dict[str, Any]:
    told = {name: (row.get(name) or "").strip() for name in QUOTA_COLUMNS}
    where = f"line {number}"
    start, end = day(told["from"], f"{where}, from"), day(told["to"], f"{where}, to")
    if not start or not end or start > end:
        raise EntryError(f"{where}: a quota has a first day (from) and a last day (to), in this order.")
    node = told["node"] if told["node"] in (*teams, EVERYONE) else people.find(told["node"])
    if node is None:
        raise EntryError(f"{where}: no team and no single person is called {told['node']!r}. Teams: "
                         f"{', '.join(teams) or 'none'}.")
    return {"node": node, "valid_from": start, "valid_to": end, "currency": code(told["currency"], where),
            "amount": money(told["amount"], where)}


def _nested(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether one period lies inside the other, and is not the same."""
    first, last = (one["valid_from"], one["valid_to"]), (other["valid_from"], other["valid_to"])
    return first != last and ((first[0] >= last[0] and first[1] <= last[1])
                              or (last[0] >= first[0] and last[1] <= first[1]))


def quotas(tx: Transaction, period: Period, moment: datetime | None = None) -> dict[tuple[str, str], Decimal]:
    """(node, currency) -> the quota of exactly this period, as it was known at a moment (None: now)."""
    if period.start is None or period.end is None:
        return {}
    dates = (period.start.isoformat(), period.end.isoformat())
    return {(row["node"], row["currency"]): Decimal(row["amount"]) for row in known(tx, t.quota, moment)
            if (row["valid_from"], row["valid_to"]) == dates}


def money(text: str | Decimal, where: str = "") -> str:
    """An amount as text. Raises EntryError for what is no finite number."""
    try:
        amount = Decimal(str(text).strip())
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite():
        raise EntryError(f"{where + ': ' if where else ''}{text!r} is no amount; write it as 125000 or 125000.50.")
    return format(amount, "f")


def code(text: str, where: str = "") -> str:
    """A currency code. Raises EntryError for what is none."""
    if not (len(text) == 3 and text.isascii() and text.isalpha() and text.isupper()):
        raise EntryError(f"{where + ': ' if where else ''}a currency is a code such as EUR, not {text!r}.")
    return text
