"""Two days of a workspace compared: the waterfall with who moved each deal, and every move made in between.

A waterfall shows the net of a period: a deal that was pushed out on Tuesday and pulled in again on Friday is not in it.
The gross moves are all of them, each with its author; they sum to the same difference.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pandas as pd

from sidefeed.forecast.bridge import DoesNotSum
from sidefeed.forecast.frames import EXACT, Deal, Schema, deals_in, frame, plain
from sidefeed.forecast.history import Names, as_deal, deals, each_state, revision_at
from sidefeed.forecast.scope import Scope
from sidefeed.forecast.waterfall import STEPS, WATERFALL_DEALS, Waterfall, moves, waterfall
from sidefeed.workspace import Change, RecordState, Store, Transaction

Scopes = Sequence[tuple[datetime, Scope]]
"""(from when, scope), oldest first: a new entry for each change of the people who belong to a node."""

MOVES: Schema = {
    "at": ("instant", "when the change arrived in the workspace; for `owner in` and `owner out` by a move of the rep, "
                      "when that began"),
    **{name: WATERFALL_DEALS[name] for name in ("step", "record", "name", "owner")},
    "source": ("text", "the system that the change came from; `team` for a move of the rep"),
    "actor": ("text", "who made the change"),
    "reason": ("text", "why, where they said"),
    "currency": WATERFALL_DEALS["currency"],
    "amount": WATERFALL_DEALS["amount"],
}
"""One row for each step of each single change between the two days."""

GROSS: Schema = {
    "step": ("text", "a step of the waterfall"),
    "currency": ("text", "the currency of the amounts"),
    "up": ("decimal", "the sum of what added to the number"),
    "down": ("decimal", "the sum of what took from it, below zero"),
    "moves": ("count", "how many single changes"),
    "deals": ("count", "of how many deals"),
}
"""All moves of a period; for each currency, ``up`` and ``down`` of all steps sum to end minus start."""

WHO: Schema = {
    **WATERFALL_DEALS,
    "source": ("text", "the system that the deciding change came from"),
    "actor": ("text", "who made it"),
    "at": ("instant", "when"),
    "moves": ("count", "how many changes of the number this deal made in the period; more than one where it moved to "
                       "and fro"),
}
"""The columns of `WATERFALL_DEALS`, and who did it."""


@dataclass(frozen=True, slots=True)
class Explained:
    """Why a number changed. ``steps`` with the columns of `waterfall.WATERFALL`, ``deals`` with `WHO`, ``gross`` with
    `GROSS`, ``moves`` with `MOVES`."""

    start: datetime
    end: datetime
    steps: pd.DataFrame
    deals: pd.DataFrame
    gross: pd.DataFrame
    moves: pd.DataFrame


def explain(store: Store, start: datetime, end: datetime, scopes: Scope | Scopes) -> Explained:
    """The waterfall between two moments of a workspace, and every move in between.

    Both numbers are those that were known at their moment. Raises ValueError where the first lies behind the second,
    DoesNotSum rather than give steps that do not sum.
    """
    if start > end:
        raise ValueError(f"the first day ({start:%Y-%m-%d}) lies behind the second ({end:%Y-%m-%d}).")
    listed: Scopes = [(start, scopes)] if isinstance(scopes, Scope) else scopes
    with store.read() as tx:
        before, after = deals(tx, start), deals(tx, end)
        net = waterfall(before, after, listed[0][1], listed[-1][1])
        rows = list(_moves(tx, start, end, listed, before))
    found = frame(rows, MOVES)
    return Explained(start, end, net.steps, _with_who(net, rows), _gross(rows, net), found)


@dataclass(frozen=True, slots=True)
class _Event:
    """A change, or (``change`` None) the day from which another scope holds."""

    rev: int
    at: datetime
    scope: Scope
    change: Change | None = None
    state: RecordState | None = None


def _moves(tx: Transaction, start: datetime, end: datetime, scopes: Scopes, before: pd.DataFrame) -> Iterator[
        dict[str, Any]]:
    names = Names(tx, end)
    turns = [_Event(revision_at(tx, at), at, scope) for at, scope in scopes[1:]]
    touched: set[str] = set()
    for record, steps in each_state(tx, "opportunity", start, end):
        touched.add(record)
        first, events, scope = _deal(steps[0][1], names), list[_Event](), scopes[0][1]
        for change, state in steps[1:]:
            assert change is not None
            events.append(_Event(change.rev, _arrived(change), scope, change, state))
        yield from _walk(first, sorted([*events, *turns], key=lambda event: event.rev), scope, names)
    if turns:
        for deal in deals_in(before):
            if deal.record not in touched:
                yield from _walk(deal, turns, scopes[0][1], names)


def _walk(deal: Deal | None, events: Sequence[_Event], scope: Scope, names: Names) -> Iterator[dict[str, Any]]:
    for event in events:
        change = event.change
        after = deal if event.state is None else _deal(event.state, names)
        then = event.scope if change is None else scope
        for move in moves(deal, after, scope, then):
            shown = after or deal
            assert shown is not None
            yield {"at": event.at, "step": move.step, "record": shown.record, "name": shown.name,
                   "owner": shown.owner, "source": change.source if change else "team",
                   "actor": change.actor if change else None, "reason": change.reason if change else None,
                   "currency": move.currency, "amount": move.amount}
        deal, scope = after, then


def _deal(state: RecordState, names: Names) -> Deal | None:
    if state.deleted or not state.heads or state.merged_into:
        return None
    return as_deal(state, names)


def _arrived(change: Change) -> datetime:
    """When a change was stored, by its stamp; what came from another site carries that site's."""
    return datetime.fromtimestamp(int(change.hlc[:13]) / 1000, UTC)


def _with_who(net: Waterfall, rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """For each row of a waterfall the last move of that deal in that step; none where only the net is such a step."""
    last: dict[tuple[str | None, str], dict[str, Any]] = {}
    count: dict[str | None, int] = {}
    for row in rows:
        last[row["record"], row["step"]] = row
        count[row["record"]] = count.get(row["record"], 0) + 1
    told = []
    columns = [plain(net.deals[name]) for name in WATERFALL_DEALS]
    for values in zip(*columns, strict=True):
        one = dict(zip(WATERFALL_DEALS, values, strict=True))
        by = last.get((one["record"], one["step"]), {})
        told.append({**one, "source": by.get("source"), "actor": by.get("actor"), "at": by.get("at"),
                     "moves": count.get(one["record"], 0)})
    return frame(told, WHO)


def _gross(rows: Sequence[dict[str, Any]], net: Waterfall) -> pd.DataFrame:
    sums: dict[tuple[str, str], list[Any]] = {}
    for row in rows:
        if row["amount"] is None:
            continue
        cell = sums.setdefault((row["currency"], row["step"]), [Decimal(0), Decimal(0), 0, set()])
        cell[row["amount"] < 0] = EXACT.add(cell[row["amount"] < 0], row["amount"])
        cell[2] += 1
        cell[3].add(row["record"])
    _hold(sums, net)
    order = sorted(sums, key=lambda key: (key[0], STEPS.index(key[1])))
    return frame(([step, currency, *sums[currency, step][:3], len(sums[currency, step][3])]
                  for currency, step in order), GROSS)


def _hold(sums: dict[tuple[str, str], list[Any]], net: Waterfall) -> None:
    """The gross moves must lead to the same end as the waterfall."""
    gross: dict[str, Decimal] = {}
    for (currency, _step), (up, down, *_counts) in sums.items():
        gross[currency] = EXACT.add(gross.get(currency, Decimal(0)), EXACT.add(up, down))
    for currency, part in net.steps.groupby("currency"):
        amounts = part["amount"].tolist()
        difference = EXACT.subtract(amounts[-1], amounts[0])
        if gross.pop(str(currency), Decimal(0)) != difference:
            raise DoesNotSum(f"the moves inside the period do not sum to the difference of {difference} {currency}.")
    if any(gross.values()):
        raise DoesNotSum(f"the moves inside the period sum to {gross}, and the waterfall knows nothing of it.")
