"""Into one currency: the rate of the closing day for deals that are decided, the plan rate for those that are open.

Which rate a deal gets, in this order:

1. decided deals: the `dated` rate of the own table that holds on the closing day, else the European Central Bank's
   reference rate of that day (of the last day before it that has one, at most `REACH` back);
2. open deals, and decided ones without a day: the `plan` rate that holds on the closing day;
3. open deals where no plan rate was entered, and decided ones whose day the bank's data do not reach yet: the bank's
   last rate on the day of the report (kind `late` for the decided ones, and a problem says so), at most `STALE` old;
4. no rate: the deal stays in its own currency, beside the total, and a problem says so. Never a guess.

The bank's rates come with the package CurrencyConverter, so nothing is asked over a network. A converted amount is
rounded once, for each deal, to the currency's own decimals; so the deals of a total sum to it exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from functools import cache
from typing import Any, NamedTuple

import pandas as pd

from sidefeed.forecast.entries import EntryError, day, holds, known, overlap, replace
from sidefeed.forecast.frames import DEALS, EXACT, Deal, Schema, deals_in, frame, plain
from sidefeed.forecast.scope import NO_CURRENCY
from sidefeed.workspace import Transaction
from sidefeed.workspace import tables as t

REACH = timedelta(days=7)
"""How far before a day the bank's rate is taken: over a weekend and the longest run of holidays, and not further."""

STALE = timedelta(days=60)
"""How old the bank's last rate may be for an open deal: the rates age with the installed package."""

COLUMNS = ("kind", "currency", "into", "rate", "from", "to")
"""The columns of a CSV file of rates: ``rate`` units of ``into`` for one unit of ``currency``."""

DECIMALS = {"BHD": 3, "IQD": 3, "JOD": 3, "KWD": 3, "LYD": 3, "OMR": 3, "TND": 3, "BIF": 0, "CLP": 0, "DJF": 0,
            "GNF": 0, "ISK": 0, "JPY": 0, "KMF": 0, "KRW": 0, "PYG": 0, "RWF": 0, "UGX": 0, "UYI": 0, "VND": 0,
            "VUV": 0, "XAF": 0, "XOF": 0, "XPF": 0}
"""Decimals of the currencies that have not two (ISO 4217, list one)."""

CONVERTED: Schema = {
    **DEALS,
    "into": ("text", "the reporting currency; the deal's own where there is no rate"),
    "converted": ("decimal", "the amount in it; None where the deal has no amount"),
    "rate": ("decimal", "units of the reporting currency for one of the deal's"),
    "rate_kind": ("text", "`same`, `dated`, `plan`, `bank` (the ECB's reference rate), `late` (its last, older "
                          "than the closing day), or `none`"),
    "rate_day": ("date", "the day that the rate is of"),
}
"""Deals with both amounts, and the rate between them."""


_ROUNDING = Context(prec=400)


class Rate(NamedTuple):
    value: Decimal
    kind: str
    day: date | None


@dataclass(slots=True)
class Rates:
    """Rates into one currency, as they were known on a day; the object is the `Convert` of a `Scope`.

    ``table``: rows of the own table. ``missing`` collects what had no rate: (currency, kind asked for) -> how many.
    """

    into: str
    today: date
    table: Sequence[Mapping[str, Any]] = ()
    missing: dict[tuple[str, str], set[str | None]] = field(default_factory=dict)
    late: dict[tuple[str, date | None], set[str | None]] = field(default_factory=dict)
    _found: dict[tuple[str, str, date | None], Rate | None] = field(default_factory=dict)

    def __call__(self, amount: Decimal, currency: str, deal: Deal) -> tuple[str, Decimal]:
        rate = self.of(currency, deal)
        if rate is None:
            self.missing.setdefault((currency, "plan" if deal.status == "open" else "dated"), set()).add(deal.record)
            return currency, amount
        if rate.kind == "same":
            return currency, amount
        if rate.kind == "late":
            self.late.setdefault((currency, rate.day), set()).add(deal.record)
        step = Decimal(1).scaleb(-DECIMALS.get(self.into, 2))
        return self.into, EXACT.multiply(amount, rate.value).quantize(step, ROUND_HALF_EVEN, _ROUNDING)

    def of(self, currency: str, deal: Deal) -> Rate | None:
        """The rate that a deal is shown at; None where there is none."""
        if currency == self.into:
            return Rate(Decimal(1), "same", None)
        kind = "plan" if deal.status == "open" or deal.close_date is None or deal.close_date > self.today else "dated"
        key = (kind, currency, deal.close_date)
        if key not in self._found:
            self._found[key] = self._look(*key)
        return self._found[key]

    def forget(self, record: str) -> None:
        """Take a deal out of what had no rate, or a late one: it changed, and is converted again if it counts."""
        for found in (*self.missing.values(), *self.late.values()):
            found.discard(record)

    def problems(self, among: Callable[[str | None], bool] | None = None) -> list[str]:
        """What could not be converted, for the person who must act; of some deals only, where ``among`` says which."""
        missing, late = (
            {key: chosen for key, records in found.items()
             if (chosen := records if among is None else {one for one in records if among(one)})}
            for found in (self.missing, self.late))
        return [f"no {kind} rate from {currency} into {self.into}: {_many(deals, 'stays', 'stay')} in {currency}, "
                f"beside the total. Enter one with `sidefeed forecast rates`." if currency != NO_CURRENCY else
                f"{_many(deals, 'names no currency and stays', 'name no currency and stay')} beside the total. Set "
                f"default_currency in the mapping, or fill it in."
                for (currency, kind), deals in sorted(missing.items())] + [
                f"the bank's rates known here end on {on}: {_many(deals, 'in', 'in')} {currency} closed since "
                f"{'is' if len(deals) == 1 else 'are'} shown at that rate. Install a newer CurrencyConverter, or enter "
                f"dated rates."
                for (currency, on), deals in sorted(late.items(), key=str)]

    def _look(self, kind: str, currency: str, on: date | None) -> Rate | None:
        own = next((row for row in reversed(self.table) if row["kind"] == kind and row["currency"] == currency
                    and row["into"] == self.into and holds(row, on or self.today)), None)
        if own is not None:
            return Rate(Decimal(own["rate"]), kind, on or self.today)
        if kind == "dated" and on is not None and (found := bank_rate(currency, self.into, on)) is not None:
            return found
        last = bank_rate(currency, self.into, self.today, reach=STALE)
        if last is None or kind == "plan":
            return last
        return last._replace(kind="late") if on and last.day and last.day < on else None


def _many(deals: Collection[Any], one: str, several: str) -> str:
    return f"1 deal {one}" if len(deals) == 1 else f"{len(deals)} deals {several}"


def rates(tx: Transaction, into: str, today: date, moment: datetime | None = None) -> Rates:
    """The rates into a currency as they were known at a moment (None: now), seen from a day."""
    return Rates(into, today, known(tx, t.fx_rate, moment))


def converted(deals: pd.DataFrame, found: Rates) -> pd.DataFrame:
    """Deals with the columns of `CONVERTED`: both amounts, and the rate between them."""
    columns = [plain(deals[name]) for name in DEALS]
    rows = []
    for values, deal in zip(zip(*columns, strict=True), deals_in(deals), strict=True):
        rate = found.of(deal.currency or NO_CURRENCY, deal)
        into, amount = (deal.currency, None) if deal.amount is None else found(
            deal.amount, deal.currency or NO_CURRENCY, deal)
        rows.append([*values, into, amount, *(rate or (None, "none", None))])
    return frame(rows, CONVERTED)


def import_rates(tx: Transaction, rows: Sequence[Mapping[str, str]], actor: str) -> tuple[int, int]:
    """Make these the own rates from now on: the whole file. Gives (added, closed).

    Raises EntryError, and stores nothing, for a rate that is none or two rates for one day.
    """
    entries = [_entry(row, number) for number, row in enumerate(rows, 2)]
    seen: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for entry in entries:
        for other in seen.setdefault((entry["kind"], entry["currency"], entry["into"]), []):
            if overlap(entry, other):
                raise EntryError(f"two {entry['kind']} rates from {entry['currency']} into {entry['into']} hold on one "
                                 f"day: {other['rate']} and {entry['rate']}. End one before the other begins.")
        seen[entry["kind"], entry["currency"], entry["into"]].append(entry)
    return replace(tx, t.fx_rate, entries, actor)


def _entry(row: Mapping[str, str], number: int) -> dict[str, Any]:
    told = {name: (row.get(name) or "").strip() for name in COLUMNS}
    if told["kind"] not in ("plan", "dated"):
        raise EntryError(f"line {number}: kind is plan (open deals) or dated (decided ones), not {told['kind']!r}.")
    for name in ("currency", "into"):
        if not (len(told[name]) == 3 and told[name].isalpha() and told[name].isupper()):
            raise EntryError(f"line {number}: {name} is a currency code such as EUR, not {told[name]!r}.")
    return {"kind": told["kind"], "currency": told["currency"], "into": told["into"],
            "rate": _positive(told["rate"], number), "valid_from": day(told["from"], f"line {number}, from"),
            "valid_to": day(told["to"], f"line {number}, to")}


def _positive(text: str, number: int) -> str:
    try:
        rate = Decimal(text)
    except InvalidOperation:
        rate = Decimal(0)
    if not rate.is_finite() or rate <= 0:
        raise EntryError(f"line {number}: a rate is a number above zero with a decimal point, not {text!r}.")
    return format(rate, "f")


def bank_rate(currency: str, into: str, on: date, *, reach: timedelta = REACH) -> Rate | None:
    """The European Central Bank's reference rate of a day, or of the last day before it within reach, from the data
    that CurrencyConverter brings. None where there is none."""
    one, other = _euro(currency, on, reach), _euro(into, on, reach)
    if one is None or other is None:
        return None
    value = Context(prec=40).divide(other[0], one[0]).quantize(Decimal("1e-10"), ROUND_HALF_EVEN)
    return Rate(value, "bank", min(one[1], other[1]))


def _euro(currency: str, on: date, reach: timedelta) -> tuple[Decimal, date] | None:
    """Units of a currency for one euro on the last day, up to this one, that has a rate."""
    if currency == "EUR":
        return Decimal(1), on
    from currency_converter import RateNotFoundError

    bank = _bank()
    if currency not in bank.currencies:
        return None
    at = min(on, bank.bounds[currency].last_date)
    while at >= max(on - reach, bank.bounds[currency].first_date):
        try:
            return bank.convert(Decimal(1), "EUR", currency, at), at
        except RateNotFoundError:
            at -= timedelta(days=1)
    return None


@cache
def _bank() -> Any:
    """The reference rates; read once, in about a second."""
    from currency_converter import CurrencyConverter

    return CurrencyConverter(decimal=True)
