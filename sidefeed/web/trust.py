"""The trust stamp: what stands with a number, so that nobody has to ask how old it is or what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import sqlalchemy as sa

from sidefeed.forecast.trust import LATE
from sidefeed.web.board import Deal, Sides
from sidefeed.web.desk import Visitor
from sidefeed.web.wording import many, moment
from sidefeed.workspace import tables as t
from sidefeed.workspace.clock import utc_instant


class Mark(NamedTuple):
    """One line of a stamp. ``kind``: good, warn or bad."""

    kind: str
    text: str
    detail: str = ""
    link: str = ""


def stamp(
    visitor: Visitor, owners: frozenset[str] | None, sides: Sides | None, moving: Sequence[Deal]
) -> list[Mark]:
    """As of when, how far each system had been read, what people disagree on, and what waits for somebody."""
    snapshot = visitor.snapshot
    marks = [Mark("good", f"As of {moment(snapshot.as_of)}", f"revision {snapshot.rev:,}")]
    marks += [_read(visitor, system, sides) for system in visitor.desk.board.systems]
    disputed = sum(1 for one in snapshot.disputed.values()
                   if one.entity == "opportunity" and (owners is None or one.owner in owners))
    if disputed:
        marks.append(Mark("warn", f"{many(disputed, 'deal')} in conflict",
                          "which leaves this number as it is" if not moving else "which moves this number"
                          if disputed == 1 else f"{len(moving)} of which move this number", "/conflicts"))
    else:
        marks.append(Mark("good", "No deal in conflict"))
    return marks + _waiting(visitor)


def _read(visitor: Visitor, system: str, sides: Sides | None) -> Mark:
    name = visitor.source(system)
    if sides is None:
        return Mark("warn", f"{name}: being compared")
    complete = sides.complete[system]
    if complete is None:
        return Mark("bad", f"{name} was never read", "its deals are missing from this number", "/feeds")
    late = visitor.now - utc_instant(complete) > LATE
    return Mark("warn" if late else "good", f"{name} complete to {moment(complete)}",
                f"read {visitor.age(complete)}" + (", which is late" if late else ""), "/feeds" if late else "")


def _waiting(visitor: Visitor) -> list[Mark]:
    """Objects of the systems that are no deal here yet, because a person has to say which they are."""
    entities = {(om.system, om.object) for om in visitor.desk.mappings.objects if om.entity == "opportunity"}
    with visitor.desk.store.read() as tx:
        asked = sum((one["system"], one["object"]) in entities for one in tx.questions())
        refused = tx.connection.execute(sa.select(sa.func.count(sa.distinct(t.refusal.c.record))).where(
            sa.or_(*(sa.and_(t.refusal.c.system == system, t.refusal.c.object == object)
                     for system, object in sorted(entities))))).scalar_one() if entities else 0
    marks = []
    if asked:
        marks.append(Mark("warn", f"{many(asked, 'deal waits', 'deals wait')} for a person",
                          "which record it is has to be said", "/conflicts"))
    if refused and visitor.owners is None:
        marks.append(Mark("warn", f"{many(refused, 'deal')} with a value that a system refused", "", "/feeds"))
    return marks
