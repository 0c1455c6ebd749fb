"""The life of each deal: every state it had, day by day, from the change log or from the history of a CRM.

Whatever looks at many past days (back-tests, stage ages, pushes) reads the log once, into lives, and asks them. A life
that is cut off at a day knows nothing of what came after, so that no method can look ahead by mistake.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby, pairwise
from typing import NamedTuple

import sqlalchemy as sa

from sidefeed.forecast.frames import Deal
from sidefeed.forecast.history import MERGED, Names, as_deal, change_of, replayed
from sidefeed.forecast.view import local_day
from sidefeed.workspace import Change, Transaction
from sidefeed.workspace import tables as t
from sidefeed.workspace.merge import RecordState, apply


class Step(NamedTuple):
    """From this day on, until the next step, the deal was so; ``deal`` None: it was not there."""

    day: date
    deal: Deal | None


@dataclass(frozen=True, slots=True)
class Life:
    """Steps with strictly rising days; the last change of a day is that day's."""

    record: str
    steps: tuple[Step, ...]

    @property
    def born(self) -> date:
        return self.steps[0].day

    def at(self, day: date) -> Deal | None:
        """How the deal stood at the end of a day; None where it was not there."""
        place = bisect_right(self.steps, day, key=lambda step: step.day)
        return self.steps[place - 1].deal if place else None

    def until(self, day: date) -> Life | None:
        """What was known of it at the end of a day; None where nothing was."""
        place = bisect_right(self.steps, day, key=lambda step: step.day)
        return Life(self.record, self.steps[:place]) if place else None

    def stages(self) -> Iterator[tuple[str, date, date | None, Deal]]:
        """(stage, entered, left, the deal when it left or as it is now) of each stay in an open stage."""
        current: tuple[str, date] | None = None
        last: Deal | None = None
        for day, deal in self.steps:
            stage = None if deal is None or deal.status != "open" else deal.stage or "no stage"
            if current is not None and stage != current[0]:
                assert last is not None
                yield current[0], current[1], day, deal or last
                current = None
            if stage is not None and current is None:
                current = (stage, day)
            last = deal or last
        if current is not None and last is not None:
            yield current[0], current[1], None, last

    def outcome(self) -> tuple[str, date] | None:
        """(won or lost, the day that it was last decided); None for a deal that is open or gone."""
        if not self.steps or self.steps[-1].deal is None or self.steps[-1].deal.status == "open":
            return None
        status, decided = self.steps[-1].deal.status, self.steps[-1].day
        for day, deal in reversed(self.steps):
            if deal is None or deal.status != status:
                break
            decided = day
        return status, decided


def life(record: str, steps: Iterable[Step]) -> Life:
    """A life from steps in any order: the last given for a day stands, and what changes nothing is left out."""
    by_day: dict[date, Deal | None] = {}
    for day, deal in sorted(steps, key=lambda step: step.day):
        by_day[day] = deal
    kept: list[Step] = []
    for day, deal in by_day.items():
        if deal != (kept[-1].deal if kept else None):
            kept.append(Step(day, deal))
    return Life(record, tuple(kept))


def lives(tx: Transaction, *, zone: str = "UTC") -> list[Life]:
    """The lives of all deals, by when people made the changes, sorted by record; also of deals that are gone.

    History that was filled in later counts for the days it is about.
    """
    names = Names(tx)
    change = t.change.c
    rows = tx.connection.execution_options(yield_per=5000).execute(
        sa.select(t.change).where(change.entity == "opportunity").order_by(change.record, change.rev))
    found = []
    for record, group in groupby(rows.mappings(), key=lambda row: str(row["record"])):
        changes = [change_of(row) for row in group]
        made = life(record, _steps(changes, record, names, zone))
        if made.steps:
            found.append(made)
    return found


def _steps(changes: list[Change], record: str, names: Names, zone: str) -> Iterator[Step]:
    """The state at the end of each day with a change. What arrived late is replayed where it belongs."""
    days = [local_day(datetime.fromisoformat(one.at), zone) for one in changes]
    if all(one <= other for one, other in pairwise(days)):
        state, gone = RecordState(record, "opportunity"), False
        for day, one in zip(days, changes, strict=True):
            apply(state, one)
            gone = gone or (one.reason or "").startswith(MERGED)
            yield Step(day, None if gone or state.deleted else as_deal(state, names))
        return
    for day in sorted(set(days)):
        state = replayed([one for one, of in zip(changes, days, strict=True) if of <= day], record, "opportunity")
        yield Step(day, None if state.merged_into or state.deleted else as_deal(state, names))
