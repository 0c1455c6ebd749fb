"""Selecting deals and adding them up, exactly."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from sidefeed.forecast.frames import EXACT, total
from sidefeed.forecast.frames import Deal as ForecastDeal
from sidefeed.forecast.periods import Calendar, Period
from sidefeed.forecast.scope import Scope

if TYPE_CHECKING:
    from sidefeed.web.board import Deal, Snapshot

CATEGORIES = ("closed", "commit", "best_case", "pipeline", "omitted")
"""From sure to not counted. The headline is closed and commit; a weighted pipeline is never shown."""
COMMITTED = ("closed", "commit")
COMMITTED_DEALS = "committed"
NO_DATE = "no date"

_T = TypeVar("_T")


class Line(NamedTuple):
    """How a deal counts, as the workspace or one system has it."""

    amount: Decimal | None
    currency: str | None
    category: str
    status: str
    quarter: str


class Quarters:
    """The quarters of a company's calendar, by name: ``2026-Q4``. A day is looked up once."""

    def __init__(self, calendar: Calendar | None = None) -> None:
        self.calendar = calendar or Calendar()
        self._names: dict[str | date, str] = {}

    def of(self, day: str | date | None) -> str:
        """The quarter of a date, also of an ISO date; `NO_DATE` for none, and for what is no date."""
        if not day:
            return NO_DATE
        name = self._names.get(day)
        if name is None:
            name = self._names[day] = self._named(day)
        return name

    def _named(self, day: str | date) -> str:
        try:
            found = date.fromisoformat(day[:10]) if isinstance(day, str) else day
            return self.calendar.of(found, "quarter").name
        except (ValueError, OverflowError, StopIteration):  # a year that is none, or beyond what pandas can count
            return NO_DATE

    def period(self, quarter: str) -> Period | None:
        """The days of a quarter; None for what is none."""
        year, _, number = quarter.partition("-Q")
        if not (year.isdigit() and len(year) == 4 and number in ("1", "2", "3", "4")):
            return None
        try:
            return self.calendar.quarter(int(year), int(number))
        except (ValueError, OverflowError):
            return None


@dataclass(slots=True)
class Sum:
    """Deals added up by category, exactly. ``without`` counts deals that have no amount, ``negative`` those below
    nought."""

    label: str = ""
    key: str = ""
    deals: int = 0
    without: int = 0
    negative: int = 0
    amounts: dict[str, Decimal] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, line: Line, sign: int = 1) -> None:
        """Count a deal, or with a ``sign`` of -1 count it no more."""
        self.deals += sign
        self.counts[line.category] = self.counts.get(line.category, 0) + sign
        if line.amount is None:
            self.without += sign
        else:
            self.negative += sign * (line.amount < 0)
            self.amounts[line.category] = EXACT.add(self.amounts.get(line.category, Decimal(0)),
                                                    line.amount if sign > 0 else EXACT.minus(line.amount))

    def add_sum(self, other: Sum) -> None:
        self.deals += other.deals
        self.without += other.without
        self.negative += other.negative
        for category, number in other.counts.items():
            self.counts[category] = self.counts.get(category, 0) + number
        for category, amount in other.amounts.items():
            self.amounts[category] = EXACT.add(self.amounts.get(category, Decimal(0)), amount)

    def of(self, *categories: str) -> Decimal:
        result = Decimal(0)
        for category in categories:
            result = EXACT.add(result, self.amounts.get(category, Decimal(0)))
        return result

    def number(self, *categories: str) -> int:
        return sum(self.counts.get(category, 0) for category in categories)

    @property
    def committed(self) -> Decimal:
        return self.of(*COMMITTED)


class Cube:
    """Sums by (owner, quarter, currency); a currency nobody named is empty, and counts beside every other."""

    def __init__(self) -> None:
        self.cells: dict[tuple[str, str, str], Sum] = {}

    def add(self, owner: str, line: Line, sign: int = 1) -> None:
        key = (owner, line.quarter, line.currency or "")
        cell = self.cells.get(key)
        if cell is None:
            cell = self.cells[key] = Sum()
        cell.add(line, sign)
        if not cell.deals:
            del self.cells[key]

    def copy(self) -> Cube:
        """Another cube with the same sums; adding to one leaves the other as it is."""
        other = Cube()
        for key, cell in self.cells.items():
            other.cells[key] = together((cell,))
        return other

    @classmethod
    def of_deals(cls, deals: Iterable[ForecastDeal], quarters: Quarters) -> Cube:
        """The cube of one system's deals; copies that the system counts twice are counted twice."""
        return cls.of_lines((one.owner_id or "", Line(one.amount, one.currency, one.category, one.status,
                                                      quarters.of(one.close_date))) for one in deals)

    @classmethod
    def of_lines(cls, lines: Iterable[tuple[str, Line]]) -> Cube:
        """The cube of these (owner, line)."""
        cube = cls()
        for owner, line in lines:
            cube.add(owner, line)
        return cube

    def by_owner(self, owners: frozenset[str] | None, quarter: str, currency: str) -> dict[str, Sum]:
        """Owner -> what of theirs falls into a quarter (empty: any)."""
        found: dict[str, Sum] = {}
        for (owner, when, money), cell in self.cells.items():
            if (owners is None or owner in owners) and (not quarter or when == quarter) and money in (currency, ""):
                found.setdefault(owner, Sum()).add_sum(cell)
        return found

    def quarters(self, owners: frozenset[str] | None) -> list[str]:
        return sorted({when for owner, when, _money in self.cells if owners is None or owner in owners})

    def currencies(self, owners: frozenset[str] | None) -> list[str]:
        """Those that deals are in, the most frequent first."""
        found: dict[str, int] = {}
        for (owner, _when, money), cell in self.cells.items():
            if money and (owners is None or owner in owners):
                found[money] = found.get(money, 0) + cell.deals
        return sorted(found, key=lambda money: (-found[money], money))


def summed(deals: Iterable[Deal]) -> tuple[dict[str, Decimal], int]:
    """What deals are worth in each currency, the largest number of deals first, and how many have no amount."""
    amounts: dict[str, list[Decimal | None]] = {}
    without = 0
    for deal in deals:
        if deal.line.amount is None:
            without += 1
        else:
            amounts.setdefault(deal.line.currency or "no currency", []).append(deal.line.amount)
    return {money: total(amounts[money]) for money in sorted(amounts, key=lambda one: -len(amounts[one]))}, without


def together(sums: Iterable[Sum], label: str = "") -> Sum:
    result = Sum(label)
    for one in sums:
        result.add_sum(one)
    return result


@dataclass(frozen=True, slots=True)
class Selection:
    """Which deals are meant. Empty parts select everything. ``owners`` is whose deals the person may see, ``whose``
    those that are asked for: None for all. The category may be `COMMITTED_DEALS`."""

    owners: frozenset[str] | None = None
    whose: frozenset[str] | None = None
    quarter: str = ""
    category: str = ""
    status: str = ""
    text: str = ""
    disputed: bool = False

    def takes(self, deal: Deal) -> bool:
        return (self.takes_record(deal) and self.takes_line(deal.line)
                and (not self.disputed or bool(deal.conflicts)))

    def takes_record(self, deal: Deal) -> bool:
        """What does not depend on how the deal counts."""
        return ((self.owners is None or deal.owner in self.owners)
                and (self.whose is None or deal.owner in self.whose)
                and (not self.text or self.text in deal.name.casefold() or self.text in deal.next_step.casefold()))

    def takes_line(self, line: Line) -> bool:
        return ((not self.quarter or line.quarter == self.quarter)
                and (not self.category or line.category == self.category
                     or (self.category == COMMITTED_DEALS and line.category in COMMITTED))
                and (not self.status or line.status == self.status))


def select(snapshot: Snapshot, selection: Selection, order: str = "name", *, descending: bool = False) -> list[Deal]:
    deals = snapshot.ordered(order)
    return [deal for deal in (reversed(deals) if descending else deals) if selection.takes(deal)]


def page_number(text: str) -> int:
    """The page that an address asks for; the first for what is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 1


def pages(items: Sequence[_T], number: int, size: int) -> tuple[Sequence[_T], int, int]:
    """One page of a list, its number (brought into range) and how many there are."""
    last = max(1, -(-len(items) // size))
    number = min(max(1, number), last)
    return items[(number - 1) * size:number * size], number, last


# -- what a bridge needs to look at ---------------------------------------------------------------------------------


def forecast_deal(deal: Deal) -> ForecastDeal:
    """A deal as `sidefeed.forecast` takes it."""
    line = deal.line
    return ForecastDeal(deal.id, deal.name, deal.owner or None, deal.owner_name, deal.stage or None, line.status,
                        line.category, deal.day, line.currency, line.amount)


def bridge_parts(
    there: Sequence[ForecastDeal], ours: Mapping[str, ForecastDeal], scope: Scope
) -> tuple[list[int], list[ForecastDeal]]:
    """The positions in ``there``, and our deals, that could count in a scope.

    The bridge walks a deal from the system's values to ours, one field after another; a deal that no mixture of the two
    lets count adds nothing to any step, so that leaving it out changes no number.
    """
    kept, records = [], set()
    for number, deal in enumerate(there):
        if _could_count(scope, deal, ours.get(deal.record or "")):
            kept.append(number)
            records.add(deal.record)
    return kept, [deal for id, deal in ours.items() if id in records or scope.counts(deal)]


def _could_count(scope: Scope, there: ForecastDeal, here: ForecastDeal | None) -> bool:
    if here is None:
        return scope.counts(there)
    return ((scope.in_period(there) or scope.in_period(here)) and (scope.measures(there) or scope.measures(here))
            and (scope.owned(there) or scope.owned(here)))


def in_scope(period: Period | None, owners: frozenset[str] | None, measure: str = "committed") -> Scope:
    """The scope of a period (None: any time) and some owners."""
    return Scope(measure, period.start if period else None, period.end if period else None, owners)


__all__ = ["CATEGORIES", "COMMITTED", "NO_DATE", "Cube", "Line", "Quarters", "Selection", "Sum", "bridge_parts",
           "forecast_deal", "in_scope", "page_number", "pages", "select", "together"]
