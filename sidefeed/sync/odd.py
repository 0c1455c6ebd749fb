"""What makes a planned write odd, and how odd.

=========  =====  =====================================================================================================
kind       score  meaning
=========  =====  =====================================================================================================
refused      100  the mapping or the system refuses a value, or the record
deleted       90  it would be deleted there
blanked       80  a value would be replaced by a blank
unread        80  a value that a system holds cannot be read any more: an unknown choice, another kind of value
cut           70  less is written than there is: a text cut short, a fraction rounded away
differs       70  the system makes something else of what it is sent, so that it differs again
disputed      60  people would have to decide, because two systems say different things now
waits         30  it waits for a person or for another record
far         1-40  a number, a day or a text is replaced by one that is far from it
=========  =====  =====================================================================================================

A record is as odd as its reasons together.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from difflib import SequenceMatcher
from typing import Any

from sidefeed.mapping import ObjectMap
from sidefeed.sync.writes import PlannedWrite

SCORES = {"refused": 100, "deleted": 90, "blanked": 80, "unread": 80, "cut": 70, "differs": 70, "disputed": 60,
          "waits": 30, "far": 0}
LOSES = frozenset({"refused", "deleted", "blanked", "unread", "cut", "differs", "disputed"})
"""Kinds that a changed mapping should not bring about unseen."""
_FARTHEST = 40
_TOO_LONG_TO_COMPARE = 2_000


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a record is odd, in one sentence. ``new``: the change of the mapping brought it."""

    kind: str
    field: str
    said: str
    before: Any = None
    after: Any = None
    score: int = -1
    new: bool = True

    def __post_init__(self) -> None:
        if self.score < 0:
            object.__setattr__(self, "score", SCORES[self.kind])

    @property
    def loses(self) -> bool:
        return self.kind in LOSES


@dataclass(frozen=True, slots=True)
class Oddity:
    """One record at one feed (or in the workspace), with everything that is odd about it."""

    feed: str
    record: str
    external_id: str | None
    label: str
    reasons: tuple[Reason, ...]
    score: int


def because(field: str, code: str, message: str, *, reading: bool) -> Reason:
    """The reason for a problem that a run reported, met while reading a system or writing to one."""
    if code == "unresolved":
        return Reason("waits", field, message)
    return Reason("unread" if reading else "refused", field, f"{message} [{code}]")


def odd_values(
    om: ObjectMap, was: ObjectMap | None, write: PlannedWrite, values: Mapping[str, Any]
) -> Iterator[tuple[Reason, bool]]:
    """What is odd about the values of one write, and whether the mapping ``was`` did not do the same."""
    cut: set[str] = set()
    for name in write.fields:
        if name in om and name in values:
            lens, value = om.field(name).lens, values[name]
            kept = lens.image(value)
            if value is not None and kept != value and any(raw in write.after for raw in lens.raw):
                cut |= set(lens.raw)
                before = was.field(name).lens.image(value) if was is not None and name in was else value
                yield Reason("cut", name, _cut(name, value, kept), value, kept), before != kept
    if write.op != "update":
        return
    for raw, after in write.after.items():
        held = write.before.get(raw)
        if held in (None, "", []) or raw in cut:
            continue
        if after in (None, "", []):
            yield Reason("blanked", raw, f"{raw} would be blank there; it is {_short(held)}", held, after), True
        elif (far := _distance(held, after)) is not None:
            how, score = far
            yield Reason("far", raw, f"{raw}: {_short(held)} becomes {_short(after)}, {how}", held, after, score), False


def _cut(name: str, value: Any, kept: Any) -> str:
    if isinstance(value, str) and isinstance(kept, str):
        return f"{name} is cut from {len(value)} to {len(kept)} characters: {_short(value)} becomes {_short(kept)}"
    return f"{name}: of {_short(value)}, {_short(kept)} is kept"


def _short(value: Any) -> str:
    told = repr(value)
    return told if len(told) <= 60 else f"{told[:57]}...'"


def _distance(before: Any, after: Any) -> tuple[str, int] | None:
    """How far apart two raw values are, in words and from 1 to 40."""
    one, other = _number(before), _number(after)
    if one is not None and other is not None:
        if one == other:
            return None
        if one and other and one * other > 0:
            times = max(one / other, other / one)
            return f"{times:,.1f} times as {'much' if abs(other) > abs(one) else 'little'}", min(
                _FARTHEST, 1 + round(10 * math.log10(times)))
        return "another sign or nothing", _FARTHEST // 2
    day, later = _day(before), _day(after)
    if day is not None and later is not None:
        days = abs((later - day).days)
        told = f"{days} days {'later' if later > day else 'earlier'}"
        return (told, min(_FARTHEST, 1 + days // 10)) if days else None
    if isinstance(before, str) and isinstance(after, str):
        likeness = SequenceMatcher(None, before[:_TOO_LONG_TO_COMPARE], after[:_TOO_LONG_TO_COMPARE]).ratio()
        return "another value" if likeness < 0.5 else "a little different", 1 + round(19 * (1 - likeness))
    return ("another value", 10) if before != after else None


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _day(value: Any) -> date | None:
    try:
        return date.fromisoformat(str(value)[:10]) if isinstance(value, str) else None
    except ValueError:
        return None
