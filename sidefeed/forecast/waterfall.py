"""The waterfall: from the number of one day to the number of another, with one reason for each deal, exactly.

    start + created + reopened + owner in + pulled in + pushed in + category in +/- amounts, currency, rates
          +/- won, lost - pulled out - pushed out - category out - owner out - deleted = end

A deal that counts on one of the two days only has one reason: the first of `RANK` that holds. It moves with the amount
it has on the day it does not count, and the rest of the difference is a change of amount; so a deal that was raised
from 100 to 120 and won takes 120 out of the open number as won, after adding 20 as an amount. Read backwards, every
waterfall is the forward one with its signs turned.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from sidefeed.forecast.bridge import DoesNotSum
from sidefeed.forecast.columns import Mask, counted, places_of, same, sums, taken
from sidefeed.forecast.frames import EXACT, Deal, Schema, deals_in, frame
from sidefeed.forecast.scope import Scope, add

STEPS = ("created", "reopened", "owner in", "pulled in", "pushed in", "category in", "amount up", "amount down",
         "currency", "rate", "won", "lost", "pulled out", "pushed out", "category out", "owner out", "deleted")

RANK = ("deleted", "owner in", "owner out", "won", "lost", "pulled in", "pulled out", "pushed in", "pushed out",
        "category in", "category out", "created", "reopened")
"""Which reason is told where several hold: what took the deal out of anybody's hands first, then what decided it."""

FIELD = {"owner in": "owner", "owner out": "owner", "won": "stage", "lost": "stage", "reopened": "stage",
         "pulled in": "close_date", "pulled out": "close_date", "pushed in": "close_date", "pushed out": "close_date",
         "category in": "category", "category out": "category", "amount up": "amount", "amount down": "amount",
         "currency": "currency", "rate": "amount"}
"""The column that a step is about; none for deals that appear or vanish."""

WATERFALL: Schema = {
    "step": ("text", "`start`, the steps of `STEPS` in order, `end`"),
    "currency": ("text", "the currency of the amount"),
    "amount": ("decimal", "what the step adds or takes; for the first and last row the total"),
    "deals": ("count", "how many deals the step is made of"),
}

WATERFALL_DEALS: Schema = {
    "step": ("text", "the step that the amount belongs to"),
    "record": ("text", "the deal in the workspace"),
    "name": ("text", "what the deal is called"),
    "owner": ("text", "who owns it, at the end where it is still there"),
    "field": ("text", "the column that decided; missing where the deal appeared or vanished"),
    "before": ("any", "its value at the start"),
    "after": ("any", "its value at the end"),
    "currency": ("text", "the currency of the amount"),
    "amount": ("decimal", "what this deal adds to, or takes from, the number in this step; None where it has none"),
}


class Move(NamedTuple):
    """What one deal adds to a number in one step; ``amount`` is None where the deal has none."""

    step: str
    currency: str | None
    amount: Decimal | None


@dataclass(frozen=True, slots=True)
class Waterfall:
    """``steps`` with the columns of `WATERFALL`; ``deals`` with those of `WATERFALL_DEALS`, in the order of the steps.

    A deal has at most one row whose step is in `RANK`; amounts, currency and rate stand in rows of their own.
    """

    steps: pd.DataFrame
    deals: pd.DataFrame


def waterfall(
    before: pd.DataFrame, after: pd.DataFrame, scope: Scope, scope_after: Scope | None = None
) -> Waterfall:
    """Explain why a number changed between two days.

    ``before`` and ``after`` have the columns of `frames.DEALS`. ``scope_after`` is the scope of the second day where
    its people or its rates are others: a rep who changed teams takes the open deals along as ``owner out``. Raises
    DoesNotSum rather than give steps that do not sum.
    """
    scope_after = scope_after or scope
    counted_before, counted_after = counted(before, scope), counted(after, scope_after)
    first, last = _moved(before, after, counted_before, counted_after, scope.convert is scope_after.convert)
    rows: list[dict[str, Any]] = []
    for record in sorted({*first, *last}, key=str):
        one, other = first.get(record), last.get(record)
        rows += (_row(move, one, other) for move in moves(one, other, scope, scope_after))
    rows.sort(key=lambda row: STEPS.index(row["step"]))
    steps = steps_of(sums(before, scope, counted_before), rows, sums(after, scope_after, counted_after))
    return Waterfall(steps, frame(rows, WATERFALL_DEALS))


def _moved(
    before: pd.DataFrame, after: pd.DataFrame, counted_before: Mask, counted_after: Mask, same_rates: bool
) -> tuple[dict[str | None, Deal], dict[str | None, Deal]]:
    """The deals that count on one of the days and are not the same on both, as they were and as they are."""
    places = places_of(before["record"], after["record"])
    both, of_both = places >= 0, places[places >= 0]
    then, now = counted_before.copy(), counted_after.copy()
    then[both] |= counted_after[of_both]
    now[of_both] |= counted_before[both]
    if same_rates and both.any():
        stays = both & (counted_before == counted_after[np.maximum(places, 0)])
        other = taken(after, places, Deal._fields)
        for name in Deal._fields[2:]:
            stays &= same(before[name], other[name])
        then &= ~stays
        now[places[stays]] = False
    first, last = ({deal.record: deal for deal in deals_in(part)} for part in (before[then], after[now]))
    return first, last


def moves(before: Deal | None, after: Deal | None, scope: Scope, scope_after: Scope) -> list[Move]:
    """Everything one deal does to a number between two states of it; None is a deal that is not there."""
    counted = before is not None and scope.counts(before)
    counts = after is not None and scope_after.counts(after)
    if counted and counts:
        assert before is not None and after is not None
        return _worth(before, after, scope, scope_after)
    if counted:
        assert before is not None
        return _crossing(before, after, scope, scope_after, inward=False)
    if counts:
        assert after is not None
        return _crossing(after, before, scope_after, scope, inward=True)
    return []


def reason(inside: Deal, outside: Deal | None, scope: Scope, *, inward: bool) -> str:
    """Why a deal that counts on one side does not count on the other; ``scope`` is that of the side outside."""
    if outside is None:
        return "created" if inward else "deleted"
    way = "in" if inward else "out"
    if not scope.owned(outside):
        return f"owner {way}"
    later = inside if inward else outside
    if inside.status != outside.status and not scope.measures(outside) and later.status != "open":
        return later.status
    if not scope.in_period(outside):
        return f"{_direction(outside, scope.start, inward)} {way}"
    return f"category {way}" if inside.status == outside.status else "reopened"


def _direction(outside: Deal, start: date | None, inward: bool) -> str:
    """A deal without a date lies behind every period."""
    is_early = outside.close_date is not None and start is not None and outside.close_date < start
    return "pushed" if is_early == inward else "pulled"


def _crossing(inside: Deal, outside: Deal | None, scope: Scope, scope_outside: Scope, *, inward: bool) -> list[Move]:
    step = reason(inside, outside, scope_outside, inward=inward)
    if outside is None or outside.amount is None:  # it leaves, or comes, with all that it counts
        worth, found = scope.value(inside), []
    elif inward:
        worth, found = scope_outside.value(outside), _worth(outside, inside, scope_outside, scope)
    else:
        worth, found = scope_outside.value(outside), _worth(inside, outside, scope, scope_outside)
    if worth is None:
        return [*found, Move(step, inside.currency, None)]
    currency, amount = worth
    return [*found, Move(step, currency, amount if inward else EXACT.minus(amount))]


def _worth(before: Deal, after: Deal, scope: Scope, scope_after: Scope) -> list[Move]:
    """The change of a deal's value, walked through its amount, its currency, and the rate it is shown at."""
    if before.amount == after.amount and before.currency == after.currency and scope.convert is scope_after.convert \
            and (scope.convert is None or before[2:] == after[2:]):
        return []
    values = (scope.value(before), scope.value(before._replace(amount=after.amount)),
              scope.value(before._replace(amount=after.amount, currency=after.currency)), scope_after.value(after))
    found = []
    for number, step in enumerate(("amount", "currency", "rate")):
        change: dict[str, Decimal] = {}
        add(change, values[number + 1])
        add(change, values[number], -1)
        for currency, amount in change.items():
            if amount:
                told = f"amount {'up' if amount > 0 else 'down'}" if step == "amount" else step
                found.append(Move(told, currency, amount))
    return found


def _row(move: Move, before: Deal | None, after: Deal | None) -> dict[str, Any]:
    deal = after or before
    assert deal is not None
    field = FIELD.get(move.step)
    return {"step": move.step, "record": deal.record, "name": deal.name, "owner": deal.owner, "field": field,
            "before": getattr(before, field) if field and before else None,
            "after": getattr(after, field) if field and after else None,
            "currency": move.currency, "amount": move.amount}


def steps_of(
    start: Mapping[str, Decimal], rows: Iterable[Mapping[str, Any]], end: Mapping[str, Decimal]
) -> pd.DataFrame:
    """The frame of `WATERFALL`, one block for each currency. Raises DoesNotSum where they do not lead to the end."""
    sums: dict[tuple[str, str], Decimal] = {}
    counted: dict[tuple[str | None, str], set[str]] = {}
    for row in rows:
        counted.setdefault((row["currency"], row["step"]), set()).add(row["record"])
        if row["amount"] is not None:
            key = (row["currency"], row["step"])
            sums[key] = EXACT.add(sums.get(key, Decimal(0)), row["amount"])
    table: list[list[Any]] = []
    for currency in sorted({*start, *end, *(currency for currency, _step in sums)}):
        at = start.get(currency, Decimal(0))
        table.append(["start", currency, at, None])
        for step in STEPS:
            amount = sums.get((currency, step), Decimal(0))
            at = EXACT.add(at, amount)
            table.append([step, currency, amount, len(counted.get((currency, step), ()))])
        total = end.get(currency, Decimal(0))
        if at != total:
            raise DoesNotSum(f"the waterfall ends at {at} {currency}, and the number of that day is {total}. Please "
                             f"report this with the output of `sidefeed forecast deals --json` for both days.")
        table.append(["end", currency, total, None])
    return frame(table, WATERFALL)
