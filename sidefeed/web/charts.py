"""Bars beside the numbers they show: plain rectangles, so that a page needs no script and prints as it looks.

Positions are shares of the width, for the eye alone; every number stands in text beside its bar.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import NamedTuple


class Piece(NamedTuple):
    """A rectangle: where it begins and how wide it is, in percent of the bar; ``kind`` names its look."""

    start: str
    width: str
    kind: str


def stacked(parts: Iterable[tuple[str, Decimal]], top: Decimal) -> list[Piece]:
    """Parts one after another; ``top`` fills the bar. Negative parts show nothing."""
    pieces, at = [], Decimal(0)
    for kind, value in parts:
        if value > 0 and top > 0:
            pieces.append(Piece(_share(at, top), _share(value, top), kind))
            at += value
    return pieces


class Step(NamedTuple):
    """One step between two totals. ``piece`` floats between the totals before and after it."""

    key: str
    label: str
    value: Decimal
    total: bool
    piece: Piece


def steps(
    start: tuple[str, Decimal], moves: Sequence[tuple[str, str, Decimal]], end: tuple[str, Decimal]
) -> list[Step]:
    """From one total over moves (key, label, value) to another. The scale holds zero and every total on the way."""
    levels = [start[1]]
    for _key, _label, value in moves:
        levels.append(levels[-1] + value)
    low, high = min(Decimal(0), *levels, end[1]), max(Decimal(0), *levels, end[1])
    span = (high - low) or Decimal(1)

    def piece(one: Decimal, other: Decimal, kind: str) -> Piece:
        return Piece(_share(min(one, other) - low, span), _share(abs(other - one), span), kind)

    result = [Step("start", start[0], start[1], True, piece(Decimal(0), start[1], "total"))]
    for number, (key, label, value) in enumerate(moves):
        result.append(Step(key, label, value, False,
                           piece(levels[number], levels[number + 1], "less" if value < 0 else "more")))
    result.append(Step("end", end[0], end[1], True, piece(Decimal(0), end[1], "total")))
    return result


def _share(value: Decimal, of: Decimal) -> str:
    return f"{float(value / of) * 100:.3f}%"
