"""The number in the reporting currency, beside what the page shows currency by currency."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from sidefeed.forecast.scope import Scope, add
from sidefeed.web.board import PATIENCE, Deal
from sidefeed.web.sums import forecast_deal
from sidefeed.web.view import View


@dataclass(frozen=True, slots=True)
class Reported:
    """``total`` in the reporting currency; ``apart``: what had no rate, by its own currency; ``problems``: what a
    person must mend, in sentences; ``as_of``: when the deals were so."""

    into: str
    total: Decimal
    apart: Mapping[str, Decimal]
    problems: tuple[str, ...]
    as_of: str


def wanted(view: View) -> bool:
    """Whether the page has a number in the reporting currency: there is one, and not every deal is in it."""
    into, visitor = view.visitor.desk.currency, view.visitor
    return bool(into and visitor.person.sees_amounts and set(visitor.snapshot.cube.currencies(view.owners)) - {into})


def reported(view: View, patience: float = PATIENCE) -> tuple[Reported | None, bool]:
    """The committed total of a view as `sidefeed forecast` gives it (None until it has been added up), and whether it
    is of this page's deals."""
    into, snapshot, board = view.visitor.desk.currency, view.visitor.snapshot, view.visitor.desk.board
    with view.visitor.desk.store.read() as tx:
        about = replace(view.report, into=into)
        found = about.rates(tx)
    assert found is not None
    scope = Scope("committed", about.period.start, about.period.end, view.owners, found)
    table = tuple(tuple(row.items()) for row in found.table)

    def made() -> Reported:
        sums = _sums(snapshot.deals.values(), scope)
        return Reported(into, sums.pop(into, Decimal(0)), sums, tuple(found.problems()), snapshot.as_of)

    owners = "everybody" if view.owners is None else sorted(view.owners)
    return board.figure(f"in {into} {view.quarter} {owners}", (snapshot.rev, about.today, table), made, patience)


def _sums(deals: Iterable[Deal], scope: Scope) -> dict[str, Decimal]:
    sums: dict[str, Decimal] = {}
    for deal in deals:
        add(sums, scope.contribution(forecast_deal(deal)))
    return sums
