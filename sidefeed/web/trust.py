"""The trust stamp as a page shows it: how old the number is, what is missing from it, how much is captured at all."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

import pandas as pd

from sidefeed.forecast.frames import DEALS, Schema, frame, records
from sidefeed.forecast.trust import Stamp, capture, stamp_of
from sidefeed.web.board import Snapshot
from sidefeed.web.desk import Visitor
from sidefeed.web.view import View
from sidefeed.web.wording import many, moment
from sidefeed.workspace import Transaction

_COUNTED: Schema = {name: DEALS[name] for name in ("record", "status", "amount", "close_date", "owner_id", "next_step")}
"""The columns that `sidefeed.forecast.trust.capture` looks at."""


class Mark(NamedTuple):
    """One line of a stamp. ``kind``: good, warn or bad."""

    kind: str
    text: str
    detail: str = ""
    link: str = ""


def stamp(tx: Transaction, view: View, committed: Decimal) -> Stamp:
    """The stamp of what is committed in a view, from the disputes that the board keeps."""
    snapshot = view.visitor.snapshot
    disputed = [deal.dispute for id in snapshot.disputed
                if (deal := snapshot.deals.get(id)) is not None and deal.dispute is not None]
    return stamp_of(tx, view.visitor.desk.mappings, {view.currency: committed}, disputed,
                    view.scope)


def between(found: Stamp, currency: str) -> dict[str, Any] | None:
    """The lowest and highest of a number, and of how many deals; None where no dispute moves it."""
    return next((row for row in found.range.to_dict("records") if row["currency"] == currency and row["deals"]), None)


def marks(view: View, found: Stamp) -> list[Mark]:
    """As of when, how far each system had been read, what people disagree on, and what waits for somebody."""
    visitor, owners = view.visitor, view.owners
    told = [Mark("good", f"As of {moment(visitor.snapshot.as_of)}", f"revision {visitor.snapshot.rev:,}")]
    sources = records(found.sources)
    told += [_read(visitor, row) for row in sources]
    disputed = sum(1 for one in visitor.snapshot.disputed.values()
                   if one.entity == "opportunity" and (owners is None or one.owner in owners))
    moving = len(found.disputed)
    if disputed or moving:
        told.append(Mark("warn", f"{many(max(disputed, moving), 'deal')} in conflict",
                         "which leaves this number as it is" if not moving else "which moves this number"
                         if disputed == 1 else f"{moving} of which {'moves' if moving == 1 else 'move'} this number",
                         "/conflicts"))
    else:
        told.append(Mark("good", "No deal in conflict"))
    if asked := sum(row["asked"] or 0 for row in sources):
        told.append(Mark("warn", f"{many(asked, 'deal waits', 'deals wait')} for a person",
                         "which record it is has to be said", "/conflicts"))
    refused = sum(row["refused"] or 0 for row in sources)
    if refused and visitor.owners is None:
        told.append(Mark("warn", f"{many(refused, 'deal')} with a value that a system refused", "", "/feeds"))
    return told


def _read(visitor: Visitor, row: Mapping[str, Any]) -> Mark:
    name, complete = visitor.source(row["source"]), row["complete_to"]
    if complete is None:
        return Mark("bad", f"{name} was never read", "its deals are missing from this number", "/feeds")
    return Mark("warn" if row["late"] else "good", f"{name} complete to {moment(complete)}",
                f"read {visitor.age(complete)}" + (", which is late" if row["late"] else ""),
                "/feeds" if row["late"] else "")


def captured(view: View) -> list[dict[str, Any]] | None:
    """How much of the work of these people is captured, as `sidefeed.forecast.trust.CAPTURE` has it; None until it has
    been counted."""
    visitor, owners = view.visitor, view.owners
    found, _fresh = visitor.desk.board.figure(
        f"captured {sorted(owners) if owners is not None else ''}", visitor.snapshot.rev,
        lambda: _captured(visitor, visitor.snapshot, owners))
    return found


def _captured(visitor: Visitor, snapshot: Snapshot, owners: frozenset[str] | None) -> list[dict[str, Any]]:
    with visitor.desk.store.read() as tx:
        return records(capture(tx, visitor.desk.mappings, counted(snapshot, owners), owners=owners))


def counted(snapshot: Snapshot, owners: frozenset[str] | None) -> pd.DataFrame:
    """The deals of some owners (None: everybody's), with the columns that coverage is counted from."""
    return frame(([deal.id, deal.line.status, deal.line.amount, deal.day, deal.owner or None, deal.next_step or None]
                  for deal in snapshot.deals.values() if owners is None or deal.owner in owners), _COUNTED)
