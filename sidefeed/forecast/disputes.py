"""Deals that people disagree about, and between what a number lies until every dispute has ended.

A `Dispute` holds the deal as it stands and every way in which it could end. It is made once for each deal and revision,
so that a page that keeps them can say the range of any number at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from itertools import islice, product
from typing import Any, NamedTuple

import pandas as pd

from sidefeed.forecast.frames import EXACT, Deal, Schema, frame, plain
from sidefeed.forecast.history import Names, deal_of, replayed, revision_at
from sidefeed.forecast.scope import Scope, add
from sidefeed.workspace import RecordState, Transaction

DECIDING = ("stage", "forecast_category", "close_date", "money", "owner")
"""The fields that decide whether, where and with how much a deal counts."""

_COMBINATIONS = 4096
"""Ways of one deal that are tried out; five fields with five values each would be 3,125."""

RANGE: Schema = {
    "currency": ("text", "the currency of the amounts"),
    "low": ("decimal", "the number if every dispute ended lowest"),
    "total": ("decimal", "the number as it stands"),
    "high": ("decimal", "if every dispute ended highest"),
    "deals": ("count", "disputed deals that could change it"),
}


class Dispute(NamedTuple):
    """A deal in dispute as it stands, and every distinct way in which it could end."""

    deal: Deal
    ways: tuple[Deal, ...]


def dispute(state: RecordState, users: Mapping[str, str]) -> Dispute | None:
    """The dispute about a record; None where people agree on all that decides where it counts.

    ``users``: id -> name, for the owners.
    """
    fields = [name for name in DECIDING if name in state.conflicts]
    if not fields or state.deleted:
        return None
    sides = [[head.value for head in state.conflicts[name]] for name in fields]
    ways = dict.fromkeys(deal_of(state.id, {**state.values, **dict(zip(fields, values, strict=True))}, users)
                         for values in islice(product(*sides), _COMBINATIONS))
    return Dispute(deal_of(state.id, state.values, users), tuple(ways))


def disputes(tx: Transaction, deals: pd.DataFrame, moment: datetime | None = None) -> Iterator[Dispute]:
    """The disputes among deals (`frames.DEALS`) as of a moment (None: now), by record."""
    ids = sorted(id for id, fields in zip(plain(deals["record"]), plain(deals["disputed"]), strict=True) if fields)
    if not ids:
        return
    users = Names(tx, moment).users
    if moment is None:
        known = tx.records(ids)
        states: Iterable[RecordState] = (known[id] for id in ids if id in known)
    else:
        upto = revision_at(tx, moment)
        states = (replayed(tx.changes_of(id, upto=upto), id, "opportunity") for id in ids)
    yield from (found for state in states if (found := dispute(state, users)) is not None)


def spread(
    number: Mapping[str, Decimal], disputed: Iterable[Dispute], scope: Scope
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Between what a number lies (`RANGE`), and the ids of the deals that could change it.

    ``number`` is what `scope.totals` gives: the amounts as they stand, by currency.
    """
    sums: dict[str, list[Any]] = {code: [amount, amount, amount, 0] for code, amount in number.items()}
    told = []
    for deal, ways in disputed:
        could: list[dict[str, Decimal]] = []
        for way in ways:
            one: dict[str, Decimal] = {}
            add(one, scope.contribution(way))
            could += [one] if one not in could else []
        if len(could) < 2:
            continue
        told.append(str(deal.record))
        stands: dict[str, Decimal] = {}
        add(stands, scope.contribution(deal))
        for code in {code for one in could for code in one}:
            values, now = [one.get(code, Decimal(0)) for one in could], stands.get(code, Decimal(0))
            cell = sums.setdefault(code, [Decimal(0), Decimal(0), Decimal(0), 0])
            cell[0] = EXACT.add(cell[0], EXACT.subtract(min(values), now))
            cell[2] = EXACT.add(cell[2], EXACT.subtract(max(values), now))
            cell[3] += 1
    return frame(([code, *sums[code]] for code in sorted(sums)), RANGE), tuple(told)
