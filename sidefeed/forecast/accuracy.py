"""What each method says of the period at hand, and how far it was off before: over a workspace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import pandas as pd

from sidefeed.forecast.backtest import ACCURACY, HORIZONS, TESTS, backtest, calibration, finished
from sidefeed.forecast.calls import calls, standing
from sidefeed.forecast.frames import Schema, frame
from sidefeed.forecast.history import end_of
from sidefeed.forecast.lives import Life, lives
from sidefeed.forecast.methods import METHODS, Known, cut
from sidefeed.forecast.periods import Calendar, Kind, Period
from sidefeed.forecast.scope import Scope
from sidefeed.forecast.view import View
from sidefeed.workspace import Transaction

PREDICTED: Schema = {
    "method": ("text", "the method"),
    "currency": ("text", "the currency of the amounts"),
    "amount": ("decimal", "what it says will have been won when the period ends; None where it can say nothing"),
    "low": ("decimal", "eight of ten times it is not less, where the method gives an interval"),
    "high": ("decimal", "and not more"),
    "why": ("text", "why it says nothing, or how little it rests on"),
    "days_before": ("count", "the horizon of the back-test beside it: the nearest that was tested"),
    "periods": ("count", "in how many finished periods it was tested"),
    "intervals": ("count", "in how many of these it gave an interval"),
    "inside": ("count", "in how many what was won lay inside"),
    "wape": ("decimal", "how far it was off there, percent; None below four periods"),
    "bias": ("decimal", "percent; above zero is too much"),
}


@dataclass(frozen=True, slots=True)
class Assessment:
    """``predicted`` (`PREDICTED`) for ``period``; ``tests`` (`backtest.TESTS`), ``accuracy`` (`backtest.ACCURACY`, with
    the currency in front) and ``calibration`` (`backtest.CALIBRATION`) of the finished periods."""

    period: Period
    tested: tuple[Period, ...]
    predicted: pd.DataFrame
    tests: pd.DataFrame
    accuracy: pd.DataFrame
    calibration: pd.DataFrame


def assess(
    tx: Transaction, view: View, calendar: Calendar, *, kind: Kind = "quarter", horizons: Sequence[int] = HORIZONS
) -> Assessment:
    """Every method for the period that the view's day lies in, tested on up to eight finished ones of the same kind.

    The people are those who belong to the node on the view's day, in all periods: a back-test compares methods, not
    organisation charts.
    """
    found = lives(tx, zone=view.zone)
    if view.as_of is not None:
        found = cut(found, view.today)
    table = calls(tx, view.as_of)
    scope = view.scope(tx)

    def submitted(currency: str, period: Period, day: date) -> Decimal | None:
        then = table[table["at"] <= pd.Timestamp(end_of(day, view.zone))].copy()
        keys = ["node", "kind", "measure", "start", "end", "currency"]
        then["stands"] = ~then.duplicated(keys, keep="last")
        one = standing(then, period).get((view.node, "submission", currency))
        return None if one is None else one["amount"]

    period = calendar.of(view.today, kind)
    tested = finished(found, calendar, kind, view.today)
    predicted, tests, accurate = [], [], []
    for currency in currencies(found, scope):
        def said(of: Period, day: date, currency: str = currency) -> Decimal | None:
            return submitted(currency, of, day)

        made = backtest(found, tested, scope, currency, calendar, submitted=said, horizons=horizons, today=view.today)
        tests.append(made.tests)
        part = made.accuracy.copy()
        part.insert(0, "currency", currency)
        accurate.append(part)
        known = Known(view.today, period, scope, currency, calendar, found, said(period, view.today))
        predicted += _predictions(known, made.accuracy, horizons)
    empty_accuracy: Schema = {"currency": ("text", "the currency"), **ACCURACY}
    return Assessment(period, tuple(tested), frame(predicted, PREDICTED),
                      pd.concat(tests, ignore_index=True) if tests else frame([], TESTS),
                      pd.concat(accurate, ignore_index=True) if accurate else frame([], empty_accuracy),
                      calibration(found, tested, scope, horizons=horizons))


def currencies(found: Sequence[Life], scope: Scope) -> list[str]:
    """The currencies that the deals of a scope have amounts in."""
    codes = set()
    for life in found:
        for _day, deal in life.steps:
            worth = scope.value(deal) if deal is not None and scope.owned(deal) else None
            if worth is not None:
                codes.add(worth[0])
    return sorted(codes)


def _predictions(known: Known, accuracy: pd.DataFrame, horizons: Sequence[int]) -> list[list[object]]:
    assert known.period.end is not None
    left = (known.period.end - known.day).days
    nearest = min(horizons, key=lambda days: (abs(days - left), days))
    told = {row["method"]: row for row in accuracy.to_dict("records") if row["days_before"] == nearest}
    rows: list[list[object]] = []
    for name, method in METHODS.items():
        one, past = method(known), told.get(name, {})
        rows.append([name, known.currency, one.amount, one.low, one.high, one.why or None, nearest,
                     past.get("periods", 0), past.get("intervals", 0), past.get("inside"), past.get("wape"),
                     past.get("bias")])
    return rows
