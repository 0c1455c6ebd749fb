"""Ways to say, on a day inside a period, how much will have been won when it ends.

| method | says |
|---|---|
| last period | what the period before ended with. Every other method has to be better than this to be worth anything |
| category | what is won, and what people call commit |
| submission | what the owner of the number submitted last |
| pace | what is won, and what earlier periods won on average from this day to their end |
| survival | what is won, each open deal's amount times its chance, and what earlier periods won from later deals |

The chance of an open deal is the share of earlier deals that, having stood as long since they came to its stage, were
won within as many days as are left. With fewer than ten decided deals in a stage, all stages are taken together. Its
interval adds up what chance does to each deal, how few deals each chance was seen on, how much later deals varied, and
stretches that by how much earlier periods varied beyond it.

Each method sees what was known on the day and nothing later. None is a headline; `backtest` says how far each was off.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from functools import cached_property
from typing import NamedTuple

from sidefeed.forecast.frames import EXACT, Deal
from sidefeed.forecast.lives import Life
from sidefeed.forecast.periods import Calendar, Period
from sidefeed.forecast.scope import Scope
from sidefeed.forecast.survival import Case, Incidence, incidence
from sidefeed.forecast.trust import FEW

PERIODS = 8
"""How many earlier periods a method looks at: two years of quarters; what is older sold other things."""

ENOUGH = 4
"""Fewer earlier periods than this say little of how much periods differ."""

EIGHTY = tuple(map(Decimal, ("1.282", "3.078", "1.886", "1.638", "1.533", "1.476", "1.440", "1.415", "1.397")))
"""Eight of ten outcomes lie within so many standard deviations, by the number of earlier periods that the deviation was
seen in: Student's t; without any, the normal distribution."""

_ROUGH = Context(prec=40)


@dataclass(frozen=True)
class Known:
    """What was known at the end of a day: the lives up to it, and what had been submitted."""

    day: date
    period: Period
    scope: Scope
    currency: str
    calendar: Calendar
    lives: Sequence[Life]
    submitted: Decimal | None = None

    def worth(self, deal: Deal | None, period: Period, status: str = "won") -> Decimal:
        """What a deal adds to the won (or open) total of a period; nothing where it does not count."""
        if deal is None or deal.status != status or not self.scope.owned(deal):
            return Decimal(0)
        if status == "won" and not _inside(deal.close_date, period):
            return Decimal(0)
        value = self.scope.value(deal)
        return value[1] if value is not None and value[0] == self.currency else Decimal(0)

    def won(self, period: Period, day: date, *, born_after: date | None = None) -> Decimal:
        """What had been won of a period by the end of a day."""
        total = Decimal(0)
        for life in self.lives:
            if born_after is None or life.born > born_after:
                total = EXACT.add(total, self.worth(life.at(day), period))
        return total

    @cached_property
    def earlier(self) -> list[Period]:
        """Finished periods of the same kind, the latest first, as far back as any deal was known."""
        first = min((life.born for life in self.lives), default=self.day)
        found: list[Period] = []
        period = self.period
        while len(found) < PERIODS:
            period = self.calendar.before(period)
            if period.start is None or period.start < first:
                break
            found.append(period)
        return found

    def same_day(self, period: Period) -> date:
        """The day of another period that is as many days before its end as this day is before ours."""
        assert self.period.end is not None and period.end is not None
        return period.end - (self.period.end - self.day)


@dataclass(frozen=True, slots=True)
class Prediction:
    """``amount`` None: nothing can be said, and ``why``. ``low`` and ``high``: eight of ten times it lies between."""

    amount: Decimal | None
    low: Decimal | None = None
    high: Decimal | None = None
    why: str = ""


Method = Callable[[Known], Prediction]


def last_period(known: Known) -> Prediction:
    if not known.earlier:
        return Prediction(None, why="there is no period before")
    before = known.earlier[0]
    assert before.end is not None
    return Prediction(known.won(before, min(known.day, before.end)))


def category(known: Known) -> Prediction:
    total = Decimal(0)
    for life in known.lives:
        deal = life.at(known.day)
        total = EXACT.add(total, known.worth(deal, known.period))
        if deal is not None and deal.category in ("commit", "closed") and _inside(deal.close_date, known.period):
            total = EXACT.add(total, known.worth(deal, known.period, "open"))
    return Prediction(total)


def submission(known: Known) -> Prediction:
    return Prediction(known.submitted, why="" if known.submitted is not None else "nothing had been submitted")


def pace(known: Known) -> Prediction:
    rest = [_rest(known, period) for period in known.earlier]
    if not rest:
        return Prediction(None, why="there is no period before")
    won = known.won(known.period, known.day)
    amount = EXACT.add(won, _mean(rest))
    if len(rest) < 4:
        return Prediction(amount, why=f"from {len(rest)} earlier periods")
    return Prediction(amount, EXACT.add(won, min(rest)), EXACT.add(won, max(rest)))


def _rest(known: Known, period: Period) -> Decimal:
    assert period.end is not None
    return EXACT.subtract(known.won(period, period.end), known.won(period, known.same_day(period)))


def survival(known: Known) -> Prediction:
    curves = Curves.of(known.lives, known.day)
    if curves.pooled is None:
        return Prediction(None, why=f"fewer than {FEW} deals have been decided so far")
    assert known.period.end is not None
    found = _expected(known, curves, known.day, known.period)
    new = [known.won(period, period.end, born_after=known.same_day(period)) for period in known.earlier if period.end]
    coming = _mean(new) if new else Decimal(0)
    later = _ROUGH.multiply(_variance(new, coming), 1 + _ROUGH.divide(Decimal(1), Decimal(max(1, len(new)))))
    spread = _ROUGH.multiply(_ROUGH.sqrt(_ROUGH.multiply(found.chance + found.estimate + later,
                                                         _dispersion(known, curves, coming, later))),
                             EIGHTY[min(len(new), len(EIGHTY) - 1)])
    won = known.won(known.period, known.day)
    amount = EXACT.add(won, EXACT.add(_cents(found.amount), coming))
    return Prediction(amount, max(won, EXACT.subtract(amount, _cents(spread))), EXACT.add(amount, _cents(spread)),
                      "" if len(new) >= ENOUGH else f"its interval rests on {len(new)} earlier periods")


class _Expected(NamedTuple):
    """What open deals bring by their chances, and two variances of it: that each deal is won or not, and that the
    chances are estimates. The latter is shared by all deals of a stage, so it grows with the square of their sum."""

    amount: Decimal
    chance: Decimal
    estimate: Decimal


def _expected(known: Known, curves: Curves, day: date, period: Period) -> _Expected:
    """What the deals that were open on a day bring by the end of a period."""
    assert period.end is not None
    amount = variance = Decimal(0)
    shared: dict[str, Decimal] = {}
    for life in known.lives:
        deal = life.at(day)
        worth = known.worth(deal, period, "open")
        if not worth or deal is None:
            continue
        stage, chance, seen = curves.rests_on(life, day, (period.end - day).days)
        lost = _ROUGH.multiply(chance, 1 - chance)
        amount += _ROUGH.multiply(worth, chance)
        variance += _ROUGH.multiply(worth * worth, lost)
        shared[stage] = shared.get(stage, Decimal(0)) + _ROUGH.multiply(worth, _ROUGH.sqrt(_ROUGH.divide(
            lost, Decimal(max(1, seen)))))
    return _Expected(amount, variance, sum((one * one for one in shared.values()), Decimal(0)))


def _dispersion(known: Known, curves: Curves, coming: Decimal, later: Decimal) -> Decimal:
    """By how much earlier periods varied more than chance alone explains: the mean of (error squared / variance), and
    never less than 1. Good and bad quarters are in it, which deals that are taken for independent know nothing of."""
    ratios = []
    for period in known.earlier:
        day = known.same_day(period)
        found = _expected(known, curves, day, period)
        if variance := found.chance + found.estimate + later:
            error = EXACT.subtract(_rest(known, period), EXACT.add(_cents(found.amount), coming))
            ratios.append(_ROUGH.divide(error * error, variance))
    return max(Decimal(1), _ROUGH.divide(sum(ratios, Decimal(0)), Decimal(len(ratios)))) if ratios else Decimal(1)


@dataclass(frozen=True, slots=True)
class Curves:
    """For each stage, the chance of deals that came to it to be won; ``pooled`` of all stages together."""

    stages: Mapping[str, Incidence] = field(default_factory=dict)
    pooled: Incidence | None = None
    _known: dict[tuple[str, int, int], tuple[Decimal, int]] = field(default_factory=dict, compare=False)

    @classmethod
    def of(cls, lives: Sequence[Life], day: date) -> Curves:
        """From the time between coming to a stage and being decided, of every deal that came to it by a day."""
        cases: dict[str, list[Case]] = {}
        for life in lives:
            outcome = life.outcome()
            for stage, entered in _entries(life):
                decided = outcome[1] if outcome else day
                ended = outcome[0] if outcome else ""
                cases.setdefault(stage, []).append(Case(max(0, (decided - entered).days), ended))
        pooled = [case for some in cases.values() for case in some]
        return cls({stage: incidence(some, "won") for stage, some in cases.items()
                    if sum(bool(case.end) for case in some) >= FEW},
                   incidence(pooled, "won") if sum(bool(case.end) for case in pooled) >= FEW else None)

    def chance(self, life: Life, day: date, within: int) -> Decimal:
        """The chance of an open deal to be won within so many days."""
        return self.rests_on(life, day, within)[1]

    def rests_on(self, life: Life, day: date, within: int) -> tuple[str, Decimal, int]:
        """(stage, chance, how many deals it was seen on) of a deal that is open on a day; no stage where all stages
        are taken together."""
        entries = [(stage, entered) for stage, entered in _entries(life) if entered <= day]
        if not entries or self.pooled is None:
            return "", Decimal(0), 0
        stage, entered = entries[-1]
        key = (stage if stage in self.stages else "", (day - entered).days, within)
        found = self._known.get(key)
        if found is None:
            curve = self.stages.get(stage, self.pooled)
            found = self._known[key] = _ratio(curve.chance(key[1], within)), curve.seen(key[1])
        return key[0], *found


def _entries(life: Life) -> list[tuple[str, date]]:
    """(stage, the first day in it) of each open stage that a deal came to."""
    found: dict[str, date] = {}
    for stage, entered, _left, _deal in life.stages():
        found.setdefault(stage, entered)
    return list(found.items())


METHODS: Mapping[str, Method] = {"last period": last_period, "category": category, "submission": submission,
                                 "pace": pace, "survival": survival}


def cut(lives: Sequence[Life], day: date) -> list[Life]:
    """Every life as it was known at the end of a day."""
    return [known for life in lives if (known := life.until(day)) is not None]


def _inside(day: date | None, period: Period) -> bool:
    return day is not None and (period.start or date.min) <= day <= (period.end or date.max)


def _mean(amounts: Sequence[Decimal]) -> Decimal:
    total = Decimal(0)
    for amount in amounts:
        total = EXACT.add(total, amount)
    return _cents(_ROUGH.divide(total, Decimal(len(amounts))))


def _variance(amounts: Sequence[Decimal], mean: Decimal) -> Decimal:
    if len(amounts) < 2:
        return Decimal(0)
    return _ROUGH.divide(sum(((amount - mean) ** 2 for amount in amounts), Decimal(0)), Decimal(len(amounts) - 1))


def _ratio(share: Fraction) -> Decimal:
    return _ROUGH.divide(Decimal(share.numerator), Decimal(share.denominator))


def _cents(amount: Decimal) -> Decimal:
    """A prediction is an estimate: cents are as much as it can say."""
    return amount.quantize(Decimal("0.01"), ROUND_HALF_EVEN, Context(prec=400))


def days_before(period: Period, days: int) -> date:
    """The day so many days before the end of a period."""
    assert period.end is not None
    return period.end - timedelta(days=days)
