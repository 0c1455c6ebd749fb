"""How far each method would have been off, had it been asked in the past, beside "same as last period".

WAPE is the sum of the absolute errors over the sum of what was won; bias is the same with signs, so above zero is too
much. Both are shown for `ENOUGH` finished periods or more; below that, how often a method came within a tenth. Errors
relative to a single period are never averaged: a small period would count as much as a large one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any

import pandas as pd

from sidefeed.forecast.frames import EXACT, Deal, Schema, frame
from sidefeed.forecast.lives import Life
from sidefeed.forecast.methods import ENOUGH, METHODS, Known, cut, days_before
from sidefeed.forecast.periods import Calendar, Kind, Period
from sidefeed.forecast.scope import Scope
from sidefeed.forecast.trust import percent

HORIZONS = (60, 30, 14, 7)
"""Days before the end of the period on which a method is asked."""

TESTS: Schema = {
    "period": ("text", "the period that was predicted"),
    "days_before": ("count", "how many days before its end"),
    "method": ("text", "the method"),
    "currency": ("text", "the currency of the amounts"),
    "predicted": ("decimal", "what it said; None where it could say nothing"),
    "low": ("decimal", "the lower end of its interval, where it gives one"),
    "high": ("decimal", "the upper end"),
    "actual": ("decimal", "what was won in the end"),
}
"""One row for each time that a method was asked."""

ACCURACY: Schema = {
    "method": ("text", "the method"),
    "days_before": ("count", "how many days before the end of the period"),
    "periods": ("count", "finished periods in which it, and `last period`, could say something"),
    "wape": ("decimal", "percent; None below four periods"),
    "bias": ("decimal", "percent, above zero is too much; None below four periods"),
    "last_period_wape": ("decimal", "the WAPE of `last period` in the same periods"),
    "within_tenth": ("count", "in how many periods it came within a tenth of what was won"),
    "intervals": ("count", "in how many periods it gave an interval, meant to hold eight of ten times"),
    "inside": ("count", "in how many of these what was won lay inside; missing where it gives none"),
    "coverage": ("decimal", "percent of the intervals that held; None below four"),
}

CALIBRATION: Schema = {
    "category": ("text", "what people called the deal"),
    "days_before": ("count", "how many days before the end of the period"),
    "deals": ("count", "open deals of that category that were to close in the period"),
    "won": ("count", "how many of them were won in it"),
    "percent": ("decimal", "whole percent; None below ten deals"),
}


@dataclass(frozen=True, slots=True)
class Backtest:
    """``tests`` with the columns of `TESTS`, ``accuracy`` with those of `ACCURACY`."""

    tests: pd.DataFrame
    accuracy: pd.DataFrame


Submitted = Callable[[Period, date], Decimal | None]
"""(period, day) -> what stood submitted at the end of that day."""


def backtest(
    lives: Sequence[Life], periods: Sequence[Period], scope: Scope, currency: str, calendar: Calendar, *,
    submitted: Submitted | None = None, horizons: Sequence[int] = HORIZONS, today: date | None = None,
) -> Backtest:
    """Ask every method on the days before the end of each finished period what it will have won, and compare."""
    rows = []
    end = today or date.max
    for period in periods:
        assert period.end is not None
        actual = Known(end, period, scope, currency, calendar, lives).won(period, end)
        for days in horizons:
            day = days_before(period, days)
            known = Known(day, period, scope, currency, calendar, cut(lives, day),
                          submitted(period, day) if submitted else None)
            for name, method in METHODS.items():
                said = method(known)
                rows.append([period.name, days, name, currency, said.amount, said.low, said.high, actual])
    tests = frame(rows, TESTS)
    return Backtest(tests, accuracy(tests))


def accuracy(tests: pd.DataFrame) -> pd.DataFrame:
    """The columns of `ACCURACY` from those of `TESTS`."""
    rows = tests.to_dict("records")
    naive = {(row["period"], row["days_before"], row["currency"]): row["predicted"] for row in rows
             if row["method"] == "last period"}
    table = []
    for days in sorted({row["days_before"] for row in rows}, reverse=True):
        for method in METHODS:
            mine = [row for row in rows if row["method"] == method and row["days_before"] == days
                    and row["predicted"] is not None
                    and naive[row["period"], days, row["currency"]] is not None]
            base = [{**row, "predicted": naive[row["period"], days, row["currency"]]} for row in mine]
            few = len(mine) < ENOUGH
            table.append([method, days, len(mine), None if few else wape(mine), None if few else bias(mine),
                          None if few else wape(base), sum(_near(row) for row in mine), *_inside(mine)])
    return frame(table, ACCURACY)


def wape(rows: Sequence[Mapping[str, Any]]) -> Decimal | None:
    """Weighted absolute percentage error; None where nothing was won at all."""
    return _share([abs(_error(row)) for row in rows], rows)


def bias(rows: Sequence[Mapping[str, Any]]) -> Decimal | None:
    return _share([_error(row) for row in rows], rows)


def _share(errors: Sequence[Decimal], rows: Sequence[Mapping[str, Any]]) -> Decimal | None:
    whole = sum((abs(row["actual"]) for row in rows), Decimal(0))
    if not whole:
        return None
    return Context(prec=60).divide(sum(errors, Decimal(0)) * 100, whole).quantize(Decimal("0.1"), ROUND_HALF_EVEN)


def _error(row: Mapping[str, Any]) -> Decimal:
    return EXACT.subtract(row["predicted"], row["actual"])


def _near(row: Mapping[str, Any]) -> bool:
    return bool(abs(_error(row)) * 10 <= abs(row["actual"]))


def _inside(rows: Sequence[Mapping[str, Any]]) -> tuple[int, int | None, Decimal | None]:
    """(intervals given, how many held, percent of them)."""
    given = [row for row in rows if row["low"] is not None]
    held = sum(row["low"] <= row["actual"] <= row["high"] for row in given)
    return len(given), held if given else None, percent(held, len(given), ENOUGH)


def calibration(
    lives: Sequence[Life], periods: Sequence[Period], scope: Scope, *, horizons: Sequence[int] = HORIZONS
) -> pd.DataFrame:
    """How many of the deals of each category, seen so many days before the end, were won in the period."""
    cells: dict[tuple[str, int], list[int]] = {}
    for period in periods:
        for days in horizons:
            day = days_before(period, days)
            for life in lives:
                deal = life.at(day)
                if deal is None or deal.status != "open" or not scope.owned(deal) or not _closes(deal, period):
                    continue
                cell = cells.setdefault((deal.category, days), [0, 0])
                cell[0] += 1
                end = life.at(date.max)
                cell[1] += end is not None and end.status == "won" and _closes(end, period)
    return frame(([category, days, *cell, percent(cell[1], cell[0])] for (category, days), cell in
                  sorted(cells.items(), key=lambda item: (item[0][0], -item[0][1]))), CALIBRATION)


def _closes(deal: Deal, period: Period) -> bool:
    assert period.start is not None and period.end is not None
    day = deal.close_date
    return day is not None and period.start <= day <= period.end


def finished(lives: Sequence[Life], calendar: Calendar, kind: Kind, today: date, limit: int = 8) -> list[Period]:
    """The latest finished periods of a kind, oldest first, with a period before each that deals are known of."""
    first = min((life.born for life in lives), default=today)
    found: list[Period] = []
    period = calendar.before(calendar.of(today, kind))
    while len(found) < limit and period.start is not None and calendar.before(period).start >= first:  # type: ignore[operator]
        found.insert(0, period)
        period = calendar.before(period)
    return found
