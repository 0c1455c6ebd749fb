"""Every deal in the reporting currency, added up as the board adds up deals in their own."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from sidefeed.forecast.rates import Rates
from sidefeed.forecast.scope import Scope
from sidefeed.web.board import Board, Deal, Sides, Snapshot
from sidefeed.web.sums import Cube, Line, Quarters, forecast_deal, together


def rates_key(found: Rates) -> tuple[Any, ...]:
    """What two `Rates` that give every deal the same amount have in common."""
    return found.into, found.today, tuple(tuple(row.items()) for row in found.table)


@dataclass(frozen=True)
class Converted:
    """The deals of a snapshot in ``rates.into``; those without a rate stay in their own currency."""

    key: tuple[Any, ...]
    snapshot: Snapshot
    rates: Rates
    cube: Cube
    lines: Mapping[str, Line] = field(repr=False)

    def apart(self, owners: frozenset[str] | None, quarter: str) -> dict[str, Decimal]:
        """What is committed and had no rate, by its own currency."""
        sums = {money: together(self.cube.by_owner(owners, quarter, money).values()).committed
                for money in self.cube.currencies(owners) if money != self.rates.into}
        return {money: amount for money, amount in sums.items() if amount}

    def problems(self, scope: Scope) -> list[str]:
        """What a person must mend, in sentences, of the deals that count in a scope."""
        deals = self.snapshot.deals
        return self.rates.problems(
            lambda record: record is not None and record in deals and scope.counts(forecast_deal(deals[record])))


class Converter:
    """Keeps the converted deals, and converts only those that changed since the last page."""

    def __init__(self) -> None:
        self._known: Converted | None = None
        self._lock = threading.Lock()

    def convert(self, snapshot: Snapshot, rates: Rates) -> Converted:
        """The deals of a snapshot in the reporting currency."""
        key = rates_key(rates)
        with self._lock:
            known = self._known
            if known is None or known.key != key:
                made = Converted(key, snapshot, rates, Cube(), {})
                _follow(made, {})
            elif known.snapshot.rev == snapshot.rev:
                return known
            else:
                made = Converted(key, snapshot, known.rates, known.cube.copy(), dict(known.lines))
                _follow(made, known.snapshot.deals)
            self._known = made
            return made


def _follow(made: Converted, before: Mapping[str, Deal]) -> None:
    now, lines = made.snapshot.deals, made.lines
    assert isinstance(lines, dict)
    for id, deal in before.items():
        if now.get(id) is not deal:
            made.cube.add(deal.owner, lines.pop(id), -1)
            made.rates.forget(id)
    for id, deal in now.items():
        if before.get(id) is not deal:
            lines[id] = _line(deal, made.rates)
            made.cube.add(deal.owner, lines[id])


def _line(deal: Deal, rates: Rates) -> Line:
    line = deal.line
    if line.amount is None or line.currency == rates.into:
        return line
    worth = Scope(convert=rates).value(forecast_deal(deal))
    assert worth is not None
    return line._replace(currency=worth[0], amount=worth[1])


def side_cubes(board: Board, sides: Sides, rates: Rates) -> Mapping[str, Cube] | None:
    """What each system holds in a reporting currency; None until it has been added up."""
    found, _fresh = board.figure(
        f"sides in {rates.into}", (sides.snapshot.rev, sides.run, rates_key(rates)),
        lambda: {system: Cube.of_lines(_lines(deals, rates, board.quarters)) for system, deals in sides.deals.items()})
    return found


def _lines(deals: Iterable[Any], rates: Rates, quarters: Quarters) -> Iterator[tuple[str, Line]]:
    scope = Scope(convert=rates)
    for one in deals:
        money, amount = scope.value(one) or (one.currency, None)
        yield one.owner_id or "", Line(amount, money, one.category, one.status, quarters.of(one.close_date))
