"""One forecast: the roll-up, the sources side by side, both currencies, and the trust stamp."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import pandas as pd

from sidefeed.forecast.calls import calls, quotas, standing
from sidefeed.forecast.columns import totals
from sidefeed.forecast.frames import EXACT, Schema, deals_in, frame, plain, records
from sidefeed.forecast.hierarchy import People
from sidefeed.forecast.history import deals as deals_of
from sidefeed.forecast.periods import Calendar, Period
from sidefeed.forecast.rates import Rates, converted
from sidefeed.forecast.rollup import by_columns, rollup
from sidefeed.forecast.scope import NO_CURRENCY, Scope
from sidefeed.forecast.systems import deal_systems, system_deals
from sidefeed.forecast.trust import Stamp, stamp
from sidefeed.forecast.view import View, local_day
from sidefeed.mapping import Mapping as Mappings
from sidefeed.workspace import Store, Transaction
from sidefeed.workspace.clock import utc_text

COMPARED: Schema = {
    "source": ("text", "`workspace`, or the system"),
    "currency": ("text", "the currency of the amounts: the reporting currency, where there is one and a rate into it"),
    "deals": ("count", "open and won deals and what else is measured, every copy counted"),
    "counted": ("decimal", "the total of what the view measures"),
    "difference": ("decimal", "counted there minus counted in the workspace; the bridge explains it"),
    "open": ("decimal", "the total of the open ones"),
    "won": ("decimal", "the total of the won ones"),
    "open_difference": ("decimal", "open there minus open in the workspace"),
    "won_difference": ("decimal", "won there minus won in the workspace"),
}

RATED: Schema = {
    "currency": ("text", "the currency that the deals are in"),
    "status": ("text", "`open` or `won`"),
    "deals": ("count", "how many"),
    "amount": ("decimal", "their total in their own currency"),
    "into": ("text", "the reporting currency; the own one where there was no rate"),
    "converted": ("decimal", "the total of the converted amounts"),
    "rate_kind": ("text", "which kinds of rate were used, by comma"),
    "lowest_rate": ("decimal", "the lowest rate used"),
    "highest_rate": ("decimal", "the highest"),
}


@dataclass(frozen=True, slots=True)
class Forecast:
    """``number``: the measure of the view, by currency. ``nodes``: the roll-up (`rollup.NODES`). ``sources``: each
    system beside the workspace (`COMPARED`). ``rated``: both currencies, where one is reported in (`RATED`), else
    empty. ``stamp``: how far to trust it. ``problems``: what a person must mend, in sentences.
    ``deals``: every live deal of that day, whether or not it counts."""

    view: View
    number: Mapping[str, Decimal]
    nodes: pd.DataFrame
    sources: pd.DataFrame
    rated: pd.DataFrame
    stamp: Stamp
    problems: tuple[str, ...]
    deals: pd.DataFrame

    def as_json(self) -> dict[str, Any]:
        return {"as_of": utc_text(self.stamp.as_of), "period": period_json(self.view.period), "node": self.view.node,
                "measure": self.view.measure, "number": {code: format(amount, "f") for code, amount
                                                         in self.number.items()},
                "nodes": records(self.nodes), "sources": records(self.sources), "rated": records(self.rated),
                "stamp": self.stamp.as_json(), "problems": list(self.problems)}


def period_json(period: Period) -> dict[str, Any]:
    return {"name": period.name, "start": period.start and period.start.isoformat(),
            "end": period.end and period.end.isoformat()}


def forecast(store: Store, mappings: Mappings, view: View | None = None) -> Forecast:
    """The forecast of a view; of everything, as it stands, where none is given."""
    with store.read() as tx:
        return forecast_in(tx, mappings, view)


def forecast_in(
    tx: Transaction, mappings: Mappings, view: View | None = None, there: Mapping[str, pd.DataFrame] | None = None
) -> Forecast:
    """As `forecast`, inside a transaction. ``there``: each system's deals (`systems.system_deals`), for whoever has
    read them already; reading them is most of the work."""
    view = view or View(local_day(tx.store.now(), "UTC"), Period("all", None, None))
    tree, deals = view.tree(tx), seen(deals_of(tx, view.as_of), view)
    scope = view.scope(tx, tree)
    people = People(tx, view.as_of)
    names = {id: people.name(id) for id in {*tree.people, *(one for one in plain(deals["owner_id"]) if one)}}
    said, quota = standing(calls(tx, view.as_of), view.period), quotas(tx, view.period, view.as_of)
    told = view.told(tx, {key[0] for key in (*said, *quota)})
    nodes = rollup(deals, scope, tree, node=view.node, names=names,
                   said={key: one for key, one in said.items() if key[0] in told},
                   quota={key: one for key, one in quota.items() if key[0] in told})
    found = stamp(tx, mappings, deals, scope, view.as_of, view.seen)
    rates = view.rates(tx)
    rated = frame([], RATED) if rates is None else _rated(deals, scope, rates)
    sources = {"workspace": deals}
    if view.as_of is None:
        found_there = there or {system: system_deals(tx, mappings, system) for system in deal_systems(mappings)}
        sources |= {system: seen(table, view) for system, table in found_there.items()}
    problems = [*(rates.problems() if rates else []), *_gaps(deals, scope)]
    return Forecast(view, totals(deals, scope), nodes, compare(sources, scope, view.into), rated, found,
                    tuple(problems), deals)


def seen(deals: pd.DataFrame, view: View) -> pd.DataFrame:
    """Of a frame of deals those that the reader may see."""
    if view.seen is None:
        return deals
    return deals[deals["owner_id"].fillna("").isin(view.seen)].reset_index(drop=True)


def _rated(deals: pd.DataFrame, scope: Scope, rates: Rates) -> pd.DataFrame:
    """Own and reporting currency of everything that is open or won in the period, whatever the measure."""
    table = converted(deals, rates)
    counted = replace(scope, measure="all", convert=None)
    groups: dict[tuple[str, str], list[Any]] = {}
    rows = zip(deals_in(deals), *(plain(table[name]) for name in ("into", "converted", "rate", "rate_kind")),
               strict=True)
    for deal, into, amount, rate, kind in rows:
        if deal.amount is None or not counted.counts(deal):
            continue
        cell = groups.setdefault((deal.currency or NO_CURRENCY, deal.status),
                                 [0, Decimal(0), into, Decimal(0), set(), []])
        cell[0] += 1
        cell[1], cell[3] = EXACT.add(cell[1], deal.amount), EXACT.add(cell[3], amount)
        cell[4].add(kind)
        cell[5] += [] if rate is None else [rate]
    return frame(([*key, cell[0], cell[1], cell[2], cell[3], ",".join(sorted(cell[4])),
                   min(cell[5], default=None), max(cell[5], default=None)]
                  for key, cell in sorted(groups.items())), RATED)


def _gaps(deals: pd.DataFrame, scope: Scope) -> list[str]:
    """What makes a number smaller than it should be, in sentences."""
    counted = [deal for deal in deals_in(deals) if replace(scope, measure="all").counts(deal)]
    bare = sum(deal.amount is None for deal in counted)
    undated = 0
    if scope.start or scope.end:
        anywhere = replace(scope, measure="open", start=None, end=None)
        undated = sum(deal.close_date is None and anywhere.counts(deal) for deal in deals_in(deals))
    negative = sum(deal.amount is not None and deal.amount < 0 for deal in counted)
    told = [(bare, "open and won deals have no amount and count nothing"),
            (undated, "open deals have no closing date and count in no period"),
            (negative, "deals have an amount below zero, and are subtracted")]
    return [f"{count} {text}." for count, text in told if count]


_COLUMN_OF: Mapping[str, tuple[int, ...]] = {"open": (2,), "won": (3,), "lost": ()}


def compare(sources: Mapping[str, pd.DataFrame], scope: Scope, into: str = "") -> pd.DataFrame:
    """What a scope counts, and open and won totals, by source and currency, and what each differs from the workspace by
    (`COMPARED`). ``into``: the currency that the scope converts into."""
    found: dict[tuple[str, str], list[Any]] = {}
    own: dict[str, list[Any]] = {}
    for name, deals in sources.items():
        for deal in deals_in(deals):
            measured = scope.measures(deal)
            if not (scope.in_period(deal) and scope.owned(deal)) or (deal.status == "lost" and not measured):
                continue
            currency, amount = scope.value(deal) or (into or deal.currency or NO_CURRENCY, Decimal(0))
            cell = found.setdefault((name, currency), [0, Decimal(0), Decimal(0), Decimal(0)])
            cell[0] += 1
            for at in ((1,) if measured else ()) + _COLUMN_OF[deal.status]:
                cell[at] = EXACT.add(cell[at], amount)
            if name == "workspace":
                own[currency] = cell
    order = {name: number for number, name in enumerate(sources)}
    rows = []
    for name, currency in sorted(found, key=lambda key: (order[key[0]], key[1])):
        cell, mine = found[name, currency], own.get(currency, [0, *[Decimal(0)] * 3])
        off = [EXACT.subtract(there, here) for there, here in zip(cell[1:], mine[1:], strict=True)]
        rows.append([name, currency, cell[0], cell[1], off[0], cell[2], cell[3], off[1], off[2]])
    return frame(rows, COMPARED)


def grouped(found: Forecast, tx: Transaction, by: list[str], calendar: Calendar) -> pd.DataFrame:
    """The number of a forecast grouped by columns of `rollup.BY`, in the company's calendar."""
    return by_columns(found.deals, found.view.scope(tx), by, tree=found.view.tree(tx),
                      quarter=lambda day: calendar.of(day, "quarter").name if day else "no date",
                      month=lambda day: calendar.of(day, "month").name if day else "no date")
