"""The reconciliation bridge: from what a system's own report shows to the reconciled total, step by step, exactly.

    system total - only there + only here - duplicates +/- stage map, amount, currency, date or zone, owner, stale copy,
    pending write, conflict = reconciled total

A deal that stands in both with different values is walked from the system's values to ours, one field after another in
a fixed order; each field's effect on the total goes to one step. Because the walk starts at what the system counts and
ends at what we count, the steps of every deal, and so of all deals, sum to the difference exactly.

To which step a field's effect goes:

| step | when |
|---|---|
| conflict | people disagree on the field, and nobody has decided |
| pending write | the value here is newer, and the next sync writes it there |
| stale copy | the value here is newer, and nothing writes it there: the field is read only, or the system refused it |
| stage map, category, currency, date or zone, amount, owner | otherwise: the values differ, by rule or by translation |
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from sidefeed.forecast.columns import Mask, codes, counted, places_of, same, sums, taken
from sidefeed.forecast.frames import EXACT, Deal, Schema, deals_in, frame, plain
from sidefeed.forecast.scope import Scope, add

STEPS = ("only there", "only here", "duplicates", "stage map", "category", "amount", "currency", "date or zone",
         "owner", "stale copy", "pending write", "conflict")

_WALK = (("stage map", ("stage", "status"), "stage"), ("category", ("category",), "category"),
         ("date or zone", ("close_date",), "close_date"), ("owner", ("owner_id", "owner"), "owner_id"),
         ("currency", ("currency",), "currency"), ("amount", ("amount",), "amount"))
"""In which order a deal is walked: what decides whether it counts first, then with how much."""

BRIDGE: Schema = {
    "step": ("text", "`<system> total`, the steps of `STEPS` in order, `reconciled total`"),
    "currency": ("text", "the currency of the amount"),
    "amount": ("decimal", "what the step adds or takes; for the first and last row the total"),
    "deals": ("count", "how many deals the step is made of"),
}

BRIDGE_DEALS: Schema = {
    "step": ("text", "the step that the amount belongs to"),
    "record": ("text", "the deal in the workspace; missing where it is only there"),
    "external_id": ("text", "the deal in the system; missing where it is only here"),
    "name": ("text", "what the deal is called"),
    "owner": ("text", "who owns it"),
    "field": ("text", "the column whose difference this is; missing where the whole deal is"),
    "there": ("any", "the value in the system, as plain data"),
    "here": ("any", "the value in the workspace"),
    "currency": ("text", "the currency of the amount"),
    "amount": ("decimal", "what this deal adds to, or takes from, the total in this step"),
    "source": ("text", "the system that the value here came from"),
    "actor": ("text", "who wrote the value here"),
    "at": ("instant", "when"),
    "age_days": ("count", "whole days since then"),
    "note": ("text", "what stops a write, or what is not known"),
}


class DoesNotSum(ArithmeticError):
    """The steps do not sum to the difference. This is a fault of the program, and no number is shown for it."""


@dataclass(frozen=True, slots=True)
class Bridge:
    """``steps`` with the columns of `BRIDGE`; ``deals`` with those of `BRIDGE_DEALS`, in the order of the steps."""

    system: str
    steps: pd.DataFrame
    deals: pd.DataFrame


def bridge(there: pd.DataFrame, here: pd.DataFrame, scope: Scope, *, system: str = "system") -> Bridge:
    """Explain why a system's total differs from the workspace's.

    ``there`` has the columns of `systems.SYSTEM_DEALS` (``role``, ``said``, ``why_*`` and ``note`` may be missing),
    ``here`` those of `frames.DEALS`. Raises DoesNotSum rather than give steps that do not sum.
    """
    places = places_of(there["record"], here["record"])
    walked = ~_agreeing(there, here, places)
    seen = np.zeros(len(here), dtype=bool)
    seen[places[~walked]] = True
    system_total = _agreed(there, here, places, ~walked, scope)
    walk = _Walk(scope)
    rest = there[walked]
    for deal, own, more, place in zip(deals_in(rest), _own(here, places[walked]), _more(rest),
                                      places[walked].tolist(), strict=True):
        if own is not None and isinstance(more["said"], str):
            deal = _filled(deal, own, more["said"].split(","))
        add(system_total, scope.contribution(deal))
        if more["role"] == "duplicate":
            walk.whole("duplicates", deal, more, sign=-1)
        elif own is None or more["role"] == "unmatched":
            walk.whole("only there", deal, more, sign=-1)
        else:
            seen[place] = True
            if deal[2:] != own[2:]:
                walk.fields(deal, own, more)
    counts = counted(here, scope)
    for deal in deals_in(here[~seen & counts]):
        walk.whole("only here", deal, {}, sign=1)
    ordered: list[dict[str, Any]] = sorted(
        walk.rows, key=lambda row: (STEPS.index(row["step"]), row["record"] or "", row["external_id"] or ""))
    return Bridge(system, _steps(system, system_total, walk.rows, sums(here, scope, counts)),
                  frame(ordered, BRIDGE_DEALS))


def _agreeing(there: pd.DataFrame, here: pd.DataFrame, places: np.ndarray) -> Mask:
    """The primary objects that say of their deal what we say, in all that they say."""
    found = places >= 0
    if "role" in there:
        found &= there["role"].isna().to_numpy() | (there["role"] == "primary").to_numpy()
    if not found.any():
        return found
    silent = {field: _silent(there, field) for _step, _columns, field in _WALK}
    ours = taken(here, places, Deal._fields[2:])
    for _step, columns, field in _WALK:
        for name in columns:
            equal = same(there[name], ours[name])
            if name == "category":  # won and lost decide it where the system says the stage
                equal |= silent[field] & ((there["status"] == "open").to_numpy() | silent["stage"])
            else:
                equal |= silent[field]
            found &= equal
    return found


def _silent(there: pd.DataFrame, field: str) -> Mask:
    """Where a system says nothing of a field."""
    if "said" not in there:
        return np.zeros(len(there), dtype=bool)
    numbers, texts = codes(there["said"], field)
    silent: Mask = np.array([field not in text.split(",") for text in texts], dtype=bool)[numbers]
    return silent


def _agreed(there: pd.DataFrame, here: pd.DataFrame, places: np.ndarray, agreeing: Mask, scope: Scope) -> dict[
        str, Decimal]:
    """What the system counts of the deals on which it agrees with us, added up from the amounts that it says."""
    ours = taken(here, places[agreeing], Deal._fields)
    amounts = np.where(_silent(there, "amount")[agreeing], ours["amount"].to_numpy(),
                       there["amount"].to_numpy()[agreeing]).tolist()
    return sums(ours, scope, counted(ours, scope), amounts)


def _own(here: pd.DataFrame, places: np.ndarray) -> Iterator[Deal | None]:
    deals = deals_in(taken(here, places, Deal._fields)) if len(here) else iter([None] * len(places))
    return (deal if place >= 0 else None for deal, place in zip(deals, places.tolist(), strict=True))


def _more(there: pd.DataFrame) -> Iterator[dict[str, Any]]:
    names = ["external_id", "role", "said", "note", *(f"why_{field}" for _step, _columns, field in _WALK)]
    columns = [plain(there[name]) if name in there else [None] * len(there) for name in names]
    return (dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True))


def _filled(there: Deal, here: Deal, said: list[str]) -> Deal:
    """A system that does not hold a field cannot differ on it: there it counts as it does here."""
    silent = {name: getattr(here, name) for _step, columns, field in _WALK if field not in said for name in columns}
    if "category" in silent and there.status != "open" and "stage" in said:
        del silent["category"]
    return there._replace(**silent) if silent else there


class _Walk:
    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.rows: list[dict[str, Any]] = []

    def whole(self, step: str, deal: Deal, more: dict[str, Any], *, sign: int) -> None:
        """A deal that counts on one side only."""
        if not self.scope.counts(deal):
            return
        currency, amount = self.scope.value(deal) or (deal.currency, None)
        self._row(step, deal, more, None, deal.amount if sign < 0 else None, deal.amount if sign > 0 else None,
                  currency, amount if amount is None or sign > 0 else EXACT.minus(amount))

    def fields(self, there: Deal, here: Deal, more: dict[str, Any]) -> None:
        """Walk a deal from the system's values to ours, field by field."""
        current = there
        for step, columns, field in _WALK:
            changed = {name: getattr(here, name) for name in columns}
            moved = current._replace(**changed)
            if field == "stage":  # won and lost decide the category where nobody gave one
                moved = moved._replace(category=_category(current, here))
            before, after = self.scope.contribution(current), self.scope.contribution(moved)
            if before != after:
                self._difference(more[f"why_{field}"] or step, here, more, field, getattr(there, field),
                                 getattr(here, field), before, after)
            current = moved

    def _difference(
        self, step: str, deal: Deal, more: dict[str, Any], field: str, there: Any, here: Any,
        before: tuple[str, Decimal] | None, after: tuple[str, Decimal] | None,
    ) -> None:
        change: dict[str, Decimal] = {}
        add(change, after)
        add(change, before, -1)
        for currency, amount in change.items():
            if amount:
                self._row(step, deal, more, field, there, here, currency, amount)

    def _row(
        self, step: str, deal: Deal, more: dict[str, Any], field: str | None, there: Any, here: Any,
        currency: str | None, amount: Decimal | None,
    ) -> None:
        record = None if step == "only there" and more.get("role") == "unmatched" else deal.record
        self.rows.append({
            "step": step, "record": record, "external_id": more.get("external_id"), "name": deal.name,
            "owner": deal.owner, "field": field, "there": there, "here": here, "currency": currency, "amount": amount,
            "note": more.get("note")})


def _category(current: Deal, here: Deal) -> str:
    """The category a deal has once its status is ours and the rest still theirs."""
    if here.status != "open":
        return here.category
    return current.category if current.status == "open" else here.category


def _steps(
    system: str, start: dict[str, Decimal], rows: list[dict[str, Any]], end: dict[str, Decimal]
) -> pd.DataFrame:
    sums: dict[tuple[str, str], Decimal] = {}
    counted: dict[tuple[str, str], set[str | None]] = {}
    for row in rows:
        key = (row["currency"], row["step"])
        sums[key] = EXACT.add(sums.get(key, Decimal(0)), row["amount"] or Decimal(0))
        counted.setdefault(key, set()).add(row["record"] or row["external_id"])
    table = []
    for currency in sorted({*start, *end, *(currency for currency, _step in sums if currency)}):
        at = start.get(currency, Decimal(0))
        table.append([f"{system} total", currency, at, None])
        for step in STEPS:
            amount = sums.get((currency, step), Decimal(0))
            at = EXACT.add(at, amount)
            table.append([step, currency, amount, len(counted.get((currency, step), ()))])
        reconciled = end.get(currency, Decimal(0))
        if at != reconciled:
            raise DoesNotSum(f"the bridge from {system} ends at {at} {currency}, and the reconciled total is "
                             f"{reconciled}. Please report this with the output of `sidefeed forecast deals --json`.")
        table.append(["reconciled total", currency, reconciled, None])
    return frame(table, BRIDGE)
