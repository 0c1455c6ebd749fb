"""The roll-up: what each person, each team and everybody together has won and expects, beside what people say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any

import numpy as np
import pandas as pd

from sidefeed.forecast.branches import branches
from sidefeed.forecast.columns import codes, in_period, owned
from sidefeed.forecast.frames import EXACT, Deal, Schema, deals_in, exact_sums, frame, plain
from sidefeed.forecast.hierarchy import EVERYONE, NOBODY, Hierarchy
from sidefeed.forecast.scope import NO_CURRENCY, Scope

NUMBERS = ("won", "commit", "best_case", "pipeline", "omitted", "lost")
"""Won and lost deals, and the open ones by category. Every deal stands in one of these."""

_PLACE = {name: number for number, name in enumerate(NUMBERS, 2)}

NODES: Schema = {
    "node": ("text", "the team, the id of the person, `everyone`, or `nobody` (deals without an owner)"),
    "name": ("text", "what people call it"),
    "kind": ("text", "`root`, `team`, `person` or `nobody`"),
    "parent": ("text", "the node above; missing for the first"),
    "level": ("count", "how deep it stands below the first"),
    "currency": ("text", "the currency of the amounts"),
    "deals": ("count", "open and won deals of the period"),
    "no_amount": ("count", "how many of these have no amount, and add nothing"),
    **{name: ("decimal", f"{'' if name in ('won', 'lost') else 'open, '}{name.replace('_', ' ')}") for name in NUMBERS},
    "open": ("decimal", "all open deals"),
    "committed": ("decimal", "won and commit: what is counted on"),
    "submitted": ("decimal", "what the owner of the number submitted; None where nothing was"),
    "submitted_by": ("text", "who submitted it"),
    "submitted_at": ("instant", "when"),
    "called": ("decimal", "what the manager expects instead"),
    "adjustment": ("decimal", "what the manager adds to the computed number"),
    "adjusted": ("decimal", "committed and the adjustment; None where there is none"),
    "reason": ("text", "why the manager called or adjusted it"),
    "quota": ("decimal", "the quota of exactly this period"),
    "gap": ("decimal", "what is missing to the quota: quota minus won; below zero where it is passed"),
    "coverage": ("decimal", "open for each unit of the gap, to two places; None without a gap"),
}
"""One row for each node and currency, each node before those below it."""

CELLS: Schema = {
    "currency": ("text", "the currency of the amount"),
    "deals": ("count", "how many"),
    "amount": ("decimal", "their sum"),
}
"""The columns that `by_columns` adds to those it was asked to group by."""

BY = ("owner", "account", "stage", "status", "category", "quarter", "month", "currency", "node")
"""What deals can be grouped by."""


def rollup(
    deals: pd.DataFrame, scope: Scope, tree: Hierarchy, *, node: str = EVERYONE,
    names: Mapping[str, str] | None = None, said: Mapping[tuple[str, str, str], Mapping[str, Any]] | None = None,
    quota: Mapping[tuple[str, str], Decimal] | None = None,
) -> pd.DataFrame:
    """Deals (`frames.DEALS`) added up over the tree, with the columns of `NODES`.

    ``said`` is what `calls.standing` gives and ``quota`` what `calls.quotas` gives; ``names`` of people by id. The
    measure of the scope does not matter here: each row has them all.
    """
    sums = Cells.of(deals, scope).sums
    owners = {owner for owner, _currency in sums}
    cells: dict[tuple[str, str], list[Any]] = {}
    for (owner, currency), cell in sums.items():
        for one in _path(owner, tree):
            _into(cells.setdefault((one, currency), _cell()), cell)
    rows = []
    for branch in branches(tree, owners, names or {}, top=node).walk():
        one = branch.key
        for currency in sorted({*(code for key, code in cells if key == one), *_spoken(one, said, quota)}):
            rows.append([one, branch.name, branch.kind, branch.parent, branch.level, currency,
                         *_numbers(cells.get((one, currency)) or _cell()),
                         *_said(one, currency, cells.get((one, currency)) or _cell(), said or {}, quota or {})])
    return frame(rows, NODES)


@dataclass(slots=True)
class Cells:
    """What each owner has, by currency: all that a roll-up needs, small enough to keep and to change by one deal.

    ``sums``: (owner id or "", currency) -> [deals, deals without amount, then `NUMBERS`].
    """

    scope: Scope
    sums: dict[tuple[str, str], list[Any]] = field(default_factory=dict)

    @classmethod
    def of(cls, deals: pd.DataFrame, scope: Scope) -> Cells:
        """The cells of a frame of deals. A scope that converts nothing is summed column by column."""
        if scope.convert is None:
            return cls(scope, _by_column(deals, scope))
        cells = cls(scope)
        for deal in deals_in(deals):
            cells.add(deal)
        return cells

    def add(self, deal: Deal, sign: int = 1) -> None:
        """Add a deal, or (``sign`` -1) take it away; nothing happens where the scope leaves it out."""
        if not (self.scope.in_period(deal) and self.scope.owned(deal)):
            return
        worth = self.scope.value(deal)
        cell = self.sums.setdefault((deal.owner_id or "", worth[0] if worth else deal.currency or NO_CURRENCY), _cell())
        if deal.status != "lost":
            cell[0] += sign
            cell[1] += sign * (worth is None)
        if worth is not None:
            at = _PLACE[deal.status if deal.status != "open" else _category(deal.category)]
            cell[at] = EXACT.add(cell[at], worth[1] if sign > 0 else EXACT.minus(worth[1]))

    def move(self, before: Deal | None, after: Deal | None) -> None:
        """A deal changed from one state to another; None is a deal that is not there."""
        if before is not None:
            self.add(before, -1)
        if after is not None:
            self.add(after)


def _by_column(deals: pd.DataFrame, scope: Scope) -> dict[tuple[str, str], list[Any]]:
    """The sums of `Cells` in one pass over each column."""
    owners, owner_names = codes(deals["owner_id"], "")
    currencies, code_names = codes(deals["currency"], NO_CURRENCY)
    statuses, status_names = codes(deals["status"], "open")
    categories, category_names = codes(deals["category"], "pipeline")
    amounts = deals["amount"].tolist()
    bare = deals["amount"].isna().to_numpy()
    counted = in_period(deals, scope) & owned(deals, scope)
    if not counted.any():
        return {}
    cell = owners * len(code_names) + currencies
    column = np.array([[_PLACE[status if status != "open" else _category(category)] - 2 for category in category_names]
                       for status in status_names])[statuses, categories]
    size = len(owner_names) * len(code_names)
    alive = counted & np.array([status != "lost" for status in status_names])[statuses]
    deals_of = np.bincount(cell[alive], minlength=size)
    bare_of = np.bincount(cell[alive & bare], minlength=size)
    groups = np.where(counted & ~bare, cell * len(NUMBERS) + column, -1)
    sums = exact_sums(amounts, groups, size * len(NUMBERS))
    return {(owner_names[at // len(code_names)], code_names[at % len(code_names)]):
            [int(deals_of[at]), int(bare_of[at]), *sums[at * len(NUMBERS):(at + 1) * len(NUMBERS)]]
            for at in np.unique(cell[counted]).tolist()}


def _category(category: str) -> str:
    """An open deal that somebody called closed is counted on, and not yet won."""
    return "commit" if category == "closed" else category if category in NUMBERS else "pipeline"


def _cell() -> list[Any]:
    return [0, 0, *(Decimal(0) for _ in NUMBERS)]


def _into(cell: list[Any], other: list[Any]) -> None:
    cell[0] += other[0]
    cell[1] += other[1]
    for at in range(2, len(cell)):
        cell[at] = EXACT.add(cell[at], other[at])


def _path(owner: str, tree: Hierarchy) -> Iterator[str]:
    return tree.path(owner) if owner else iter((NOBODY, EVERYONE))


def _spoken(node: str, said: Any, quota: Any) -> set[str]:
    """Currencies in which somebody said something about a node, or gave it a quota."""
    return {key[-1] for table in (said or {}, quota or {}) for key in table if key[0] == node}


def _numbers(cell: list[Any]) -> list[Any]:
    won, commit, best_case, pipeline, omitted = cell[2:7]
    open_ = EXACT.add(EXACT.add(commit, best_case), EXACT.add(pipeline, omitted))
    return [*cell, open_, EXACT.add(won, commit)]


def _said(
    node: str, currency: str, cell: list[Any], said: Mapping[tuple[str, str, str], Mapping[str, Any]],
    quota: Mapping[tuple[str, str], Decimal],
) -> list[Any]:
    submission, call, adjustment = (said.get((node, kind, currency)) for kind in ("submission", "call", "adjustment"))
    *_, open_, committed = _numbers(cell)
    aim = quota.get((node, currency))
    gap = None if aim is None else EXACT.subtract(aim, cell[2])
    return [
        submission and submission["amount"], submission and submission["actor"], submission and submission["at"],
        call and call["amount"], adjustment and adjustment["amount"],
        EXACT.add(committed, adjustment["amount"]) if adjustment else None,
        "; ".join(one["reason"] for one in (call, adjustment) if one and isinstance(one["reason"], str)) or None,
        aim, gap, ratio(open_, gap) if gap is not None and gap > 0 else None]


def ratio(part: Decimal, whole: Decimal) -> Decimal:
    """A quotient to two places, for people to read; nothing is summed from it."""
    return Context(prec=60).divide(part, whole).quantize(Decimal("0.01"), ROUND_HALF_EVEN)


def by_columns(
    deals: pd.DataFrame, scope: Scope, by: Iterable[str], *, tree: Hierarchy | None = None,
    quarter: Any = None, month: Any = None,
) -> pd.DataFrame:
    """What the scope counts, grouped by columns of `BY`, with those of `CELLS`.

    ``quarter`` and ``month`` give the name of a date's period (`Calendar`); calendar quarters and months by default.
    """
    columns = list(by)
    namers = {"quarter": quarter or calendar_quarter, "month": month or (
        lambda day: day.isoformat()[:7] if day else "no date")}
    accounts = dict(zip(plain(deals["record"]), plain(deals["account"]), strict=True)) if "account" in columns else {}
    sums: dict[tuple[Any, ...], list[Any]] = {}
    for deal in deals_in(deals):
        if not scope.counts(deal):
            continue
        worth = scope.value(deal)
        key = tuple(namers[name](deal.close_date) if name in namers else
                    accounts.get(deal.record) if name == "account" else
                    _team(deal, tree) if name == "node" else getattr(deal, name) for name in columns)
        cell = sums.setdefault((*key, worth[0] if worth else deal.currency or NO_CURRENCY), [0, Decimal(0)])
        cell[0] += 1
        if worth is not None:
            cell[1] = EXACT.add(cell[1], worth[1])
    own = [name for name in columns if name != "currency"]
    places = [columns.index(name) for name in own]
    rows: dict[tuple[Any, ...], list[Any]] = {}
    for key, (count, amount) in sums.items():
        cell = rows.setdefault((*(key[place] for place in places), key[-1]), [0, Decimal(0)])
        cell[0], cell[1] = cell[0] + count, EXACT.add(cell[1], amount)
    schema: Schema = {**{name: ("text", f"the deal's {name}") for name in own}, **CELLS}
    return frame(([*key, *cell] for key, cell in sorted(rows.items(), key=lambda item: [str(one) for one in item[0]])),
                 schema)


def _team(deal: Deal, tree: Hierarchy | None) -> str:
    if tree is None or not deal.owner_id:
        return NOBODY if not deal.owner_id else EVERYONE
    return tree.parent.get(deal.owner_id, EVERYONE)


def calendar_quarter(close_date: date | None) -> str:
    """The calendar quarter of a date, such as ``2026-Q4``; ``no date`` for a blank one."""
    return f"{close_date.year}-Q{(close_date.month + 2) // 3}" if close_date else "no date"
