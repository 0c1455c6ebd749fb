"""How long things last, from cases that have ended and cases that have not (Kaplan-Meier, Aalen-Johansen).

A deal that has been in its stage for forty days and is still there says something about forty days, though not how it
ends: leaving it out would make every stage look shorter than it is. Estimates are exact fractions until they are shown.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

import pandas as pd

from sidefeed.forecast.frames import Schema, frame

SURVIVAL: Schema = {
    "days": ("count", "age in days"),
    "at_risk": ("count", "how many had reached this age and not ended before it"),
    "ended": ("count", "how many ended at it"),
    "remaining": ("decimal", "the estimated share that lasts longer, to four places"),
}


@dataclass(frozen=True, slots=True)
class Case:
    """One observation: how many days it lasted, and how it ended; ``end`` empty: it was still going on."""

    days: int
    end: str = ""


def kaplan_meier(cases: Iterable[Case]) -> pd.DataFrame:
    """The estimated share that lasts longer than each age at which something ended, with the columns of `SURVIVAL`.

    E. L. Kaplan, P. Meier, "Nonparametric estimation from incomplete observations", 1958.
    """
    rows = []
    remaining = Fraction(1)
    for days, at_risk, ended in _table(list(cases)):
        count = sum(ended.values())
        remaining *= Fraction(at_risk - count, at_risk)
        rows.append([days, at_risk, count, decimal(remaining)])
    return frame(rows, SURVIVAL)


def median(cases: Iterable[Case]) -> int | None:
    """The age by which half has ended; None where fewer than half are known to end at all."""
    remaining = Fraction(1)
    for days, at_risk, ended in _table(list(cases)):
        remaining *= Fraction(at_risk - sum(ended.values()), at_risk)
        if remaining <= Fraction(1, 2):
            return days
    return None


@dataclass(frozen=True, slots=True)
class Incidence:
    """The chance to end in one way by each age, where other ways compete (Aalen-Johansen)."""

    ages: tuple[int, ...]
    reached: tuple[Fraction, ...]
    remaining: tuple[Fraction, ...]
    at_risk: tuple[int, ...]

    def chance(self, age: int, within: int) -> Fraction:
        """The chance that what has lasted ``age`` days ends so within as many more.

        Beyond the longest age that was ever seen nothing more is expected.
        """
        before, after = self._at(age), self._at(age + within)
        alive = before[1]
        return (after[0] - before[0]) / alive if alive else Fraction(0)

    def seen(self, age: int) -> int:
        """How many cases lasted longer than an age and ended, or were still going on, later: what a chance rests on."""
        place = bisect_right(self.ages, age)
        return self.at_risk[place] if place < len(self.ages) else 0

    def _at(self, age: int) -> tuple[Fraction, Fraction]:
        place = bisect_right(self.ages, age)
        return (self.reached[place - 1], self.remaining[place - 1]) if place else (Fraction(0), Fraction(1))


def incidence(cases: Sequence[Case], end: str) -> Incidence:
    """The cumulative incidence of one way to end."""
    ages, reached, remaining, risks = [], [], [], []
    so_far, alive = Fraction(0), Fraction(1)
    for days, at_risk, ended in _table(cases):
        so_far += alive * Fraction(ended.get(end, 0), at_risk)
        alive *= Fraction(at_risk - sum(ended.values()), at_risk)
        # Exact fractions of hundreds of factors grow without bound; twelve digits are far below what data can tell.
        so_far, alive = so_far.limit_denominator(10**12), alive.limit_denominator(10**12)
        ages.append(days)
        reached.append(so_far)
        remaining.append(alive)
        risks.append(at_risk)
    return Incidence(tuple(ages), tuple(reached), tuple(remaining), tuple(risks))


def _table(cases: Sequence[Case]) -> Iterable[tuple[int, int, dict[str, int]]]:
    """(age, at risk, ended how) for each age at which something ended."""
    ended: dict[int, dict[str, int]] = {}
    for case in cases:
        if case.end:
            at = ended.setdefault(case.days, {})
            at[case.end] = at.get(case.end, 0) + 1
    lasted = sorted(case.days for case in cases)
    return [(days, len(lasted) - bisect_left(lasted, days), ended[days]) for days in sorted(ended)]


def decimal(share: Fraction, places: int = 4) -> Decimal:
    return Decimal(round(share * 10**places)).scaleb(-places)
