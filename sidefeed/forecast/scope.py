"""Which deals a number counts, and with how much: the measure, the period, the people and the currency.

Everything that adds up deals (roll-up, bridge, waterfall, range of conflicts) asks one `Scope`, so that two numbers
with the same scope can be compared to the cent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from sidefeed.forecast.frames import EXACT, Deal

STATUSES = ("open", "won", "lost")
CATEGORIES = ("omitted", "pipeline", "best_case", "commit", "closed")
MEASURES = ("all", *STATUSES, "committed", *CATEGORIES)

NO_CURRENCY = "no currency"

Convert = Callable[[Decimal, str, Deal], tuple[str, Decimal]]
"""(amount, currency, deal) -> (currency, amount): into the reporting currency, or unchanged where there is no rate."""


class ScopeError(ValueError):
    """A measure, period or person that does not exist; the message names the choices."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What a number is about.

    ``measure``: ``open``, ``won``, ``lost``, ``all`` (open and won), ``committed`` (the categories closed and
    commit), or a forecast category. ``start`` and ``end``: the first and last close date that count; None is no limit,
    and a deal without a date counts only where both are None. ``owners``: ids of the owners whose deals count; None is
    everybody, and ``""`` in it is "nobody". ``convert``: into a reporting currency; None leaves every deal in its own.
    """

    measure: str = "open"
    start: date | None = None
    end: date | None = None
    owners: frozenset[str] | None = None
    convert: Convert | None = None

    def __post_init__(self) -> None:
        if self.measure not in MEASURES:
            raise ScopeError(f"cannot measure {self.measure!r}; choose from {', '.join(MEASURES)}.")
        if self.start and self.end and self.start > self.end:
            raise ScopeError(f"the period ends ({self.end}) before it starts ({self.start}).")

    def measures(self, deal: Deal) -> bool:
        if self.measure == "all":
            return deal.status != "lost"
        if self.measure == "committed":
            return deal.category in ("closed", "commit")
        return deal.status == self.measure or (deal.category == self.measure and self.measure in CATEGORIES)

    def in_period(self, deal: Deal) -> bool:
        if self.start is None and self.end is None:
            return True
        day = deal.close_date
        return day is not None and (self.start is None or day >= self.start) and (self.end is None or day <= self.end)

    def owned(self, deal: Deal) -> bool:
        return self.owners is None or (deal.owner_id or "") in self.owners

    def counts(self, deal: Deal) -> bool:
        return self.measures(deal) and self.in_period(deal) and self.owned(deal)

    def value(self, deal: Deal) -> tuple[str, Decimal] | None:
        """(currency, amount) of a deal whether or not it counts; None where it has no amount."""
        if deal.amount is None:
            return None
        currency = deal.currency or NO_CURRENCY
        return (currency, deal.amount) if self.convert is None else self.convert(deal.amount, currency, deal)

    def contribution(self, deal: Deal) -> tuple[str, Decimal] | None:
        """(currency, amount) that a deal adds to the number; None where it adds nothing."""
        return self.value(deal) if self.counts(deal) else None

    def with_owners(self, owners: Iterable[str] | None) -> Scope:
        return replace(self, owners=None if owners is None else frozenset(owners))


def add(sums: dict[str, Decimal], worth: tuple[str, Decimal] | None, sign: int = 1) -> None:
    if worth is not None:
        currency, amount = worth
        sums[currency] = EXACT.add(sums.get(currency, Decimal(0)), amount if sign > 0 else EXACT.minus(amount))
