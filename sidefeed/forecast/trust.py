"""The trust stamp: what stands beside every number, so that nobody has to ask how much it can be relied on.

As of when; how far each system had been read; which system is late; how many deals people disagree about, and between
what the number lies until they agree; and how much of the work is captured at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_DOWN, Context, Decimal
from typing import Any

import pandas as pd
import sqlalchemy as sa

from sidefeed.forecast.columns import totals
from sidefeed.forecast.disputes import Dispute, disputes, spread
from sidefeed.forecast.frames import Schema, frame, plain, records
from sidefeed.forecast.history import revision_at, states
from sidefeed.forecast.scope import Scope
from sidefeed.forecast.systems import deal_systems
from sidefeed.mapping import Mapping as Mappings
from sidefeed.workspace import Transaction
from sidefeed.workspace import tables as t
from sidefeed.workspace.clock import utc_instant, utc_text

LATE = timedelta(hours=1)
"""Twelve missed runs of the five minutes that a deployment has by default: no longer chance."""

RECENT = timedelta(days=30)
SOURCES: Schema = {
    "source": ("text", "the system"),
    "complete_to": ("instant", "up to when its deals had been read; missing where they never were, and for a past day"),
    "behind_minutes": ("count", "how long ago that is; missing as above"),
    "late": ("flag", "whether that is longer than an hour, or never"),
    "waiting": ("count", "deals captured there and not taken over yet; missing for a past day"),
    "asked": ("count", "deals of which a person has to say which they are; missing for a past day"),
    "refused": ("count", "deals that it refuses to take a value of; missing for a past day"),
    "last_change": ("instant", "when the last change from it arrived, up to the moment of the report"),
}

CAPTURE: Schema = {
    "what": ("text", "what is counted"),
    "count": ("count", "how many have it"),
    "of": ("count", "of how many"),
    "percent": ("decimal", "whole percent, rounded down; None where there are too few to say"),
}

FEW = 10
"""Below this many, shares are shown as counts only: one deal of three is not 33 %."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """``sources`` with the columns of `SOURCES`, ``range`` with those of `disputes.RANGE`, ``capture`` with those of
    `CAPTURE`; ``disputed`` are the ids of the deals that people disagree about and that could change the number;
    ``rev`` is the last change that the number knows."""

    as_of: datetime
    rev: int
    sources: pd.DataFrame
    range: pd.DataFrame
    capture: pd.DataFrame
    disputed: tuple[str, ...]

    @property
    def late(self) -> list[str]:
        return [row["source"] for row in self.sources.to_dict("records") if row["late"]]

    def sentence(self) -> str:
        """The stamp in one line of text."""
        read = ", ".join(_read(row) for row in records(self.sources)) or "no system holds deals"
        parts = [f"As of {utc_text(self.as_of)[:16].replace('T', ' ')} UTC", read]
        if self.disputed:
            ranges = "; ".join(f"{row['low']:,.2f} to {row['high']:,.2f} {row['currency']}"
                               for row in self.range.to_dict("records") if row["deals"])
            parts.append(f"{len(self.disputed)} deal{'s' if len(self.disputed) != 1 else ''} in conflict ({ranges})")
        if self.late:
            parts.append(f"late: {', '.join(self.late)}")
        return "; ".join(parts) + "."

    def as_json(self) -> dict[str, Any]:
        return {"as_of": utc_text(self.as_of), "rev": self.rev, "late": self.late, "disputed": list(self.disputed),
                "sources": records(self.sources), "range": records(self.range), "capture": records(self.capture)}


def _read(row: Mapping[str, Any]) -> str:
    if row["complete_to"]:
        return f"{row['source']} complete to {row['complete_to'][:16].replace('T', ' ')}"
    heard = row["last_change"]
    return f"{row['source']} last heard {heard[:16].replace('T', ' ')}" if heard else f"{row['source']} never read"


def stamp(
    tx: Transaction, mappings: Mappings, deals: pd.DataFrame, scope: Scope, moment: datetime | None = None,
    owners: frozenset[str] | None = None,
) -> Stamp:
    """The stamp of a number: of ``deals`` counted by ``scope``, as of a moment (None: now); ``owners`` as `capture`
    takes them."""
    return stamp_of(tx, mappings, totals(deals, scope), disputes(tx, deals, moment), scope, moment,
                    captured=capture(tx, mappings, deals, moment, owners))


def stamp_of(
    tx: Transaction, mappings: Mappings, number: Mapping[str, Decimal], disputed: Iterable[Dispute], scope: Scope,
    moment: datetime | None = None, *, captured: pd.DataFrame | None = None,
) -> Stamp:
    """The stamp of a number that has been added up already, for whoever keeps the deals and their disputes.

    Costs a few queries and the disputed deals, however many others there are. Without ``captured`` (`capture`) nothing
    is said of the coverage.
    """
    low_high, moving = spread(number, disputed, scope)
    rev = tx.last_rev() if moment is None else revision_at(tx, moment)
    return Stamp(moment or tx.store.now(), rev, sources(tx, mappings, moment), low_high,
                 frame([], CAPTURE) if captured is None else captured, moving)


def sources(tx: Transaction, mappings: Mappings, moment: datetime | None = None) -> pd.DataFrame:
    """How far each system that holds deals had been read, and what waits there, with the columns of `SOURCES`."""
    rows = []
    upto = None if moment is None else revision_at(tx, moment)
    for system, object in deal_systems(mappings).items():
        row: dict[str, Any] = {"source": system, "late": False, "last_change": _last_change(tx, system, upto)}
        if moment is None:
            read = tx.cursor(system, object).complete_to
            behind = tx.store.now() - utc_instant(read) if read else None
            row |= {"complete_to": read, "late": behind is None or behind > LATE,
                    "behind_minutes": None if behind is None else max(0, int(behind.total_seconds() // 60)),
                    "waiting": _count(tx, t.inbox, system, object),
                    "asked": _count(tx, t.question, system, object),
                    "refused": _count(tx, t.refusal, system, object)}
        rows.append(row)
    return frame(rows, SOURCES)


def _count(tx: Transaction, table: sa.Table, system: str, object: str) -> int:
    key = table.c.external_id if "external_id" in table.c else table.c.record
    query = sa.select(sa.func.count(sa.distinct(key))).where(table.c.system == system, table.c.object == object)
    if "answer" in table.c:
        query = query.where(table.c.answer.is_(None))
    return int(tx.connection.execute(query).scalar() or 0)


def _last_change(tx: Transaction, system: str, upto: int | None) -> str | None:
    """When the last change of a deal from a system arrived, by its stamp."""
    query = sa.select(t.change.c.hlc).where(t.change.c.entity == "opportunity", t.change.c.source == system)
    if upto is not None:
        query = query.where(t.change.c.rev <= upto)
    found = tx.connection.execute(query.order_by(t.change.c.rev.desc()).limit(1)).scalar()
    return utc_text(datetime.fromtimestamp(int(found[:13]) / 1000, UTC)) if found else None


def capture(
    tx: Transaction, mappings: Mappings, deals: pd.DataFrame, moment: datetime | None = None,
    owners: frozenset[str] | None = None,
) -> pd.DataFrame:
    """How much of the work is captured, with the columns of `CAPTURE`: of these deals, and of the meetings of these
    owners (None: of everybody)."""
    status = plain(deals["status"])
    live = {id for id, one in zip(plain(deals["record"]), status, strict=True) if one != "lost"}
    rows = []
    if moment is None:
        for system, object in deal_systems(mappings).items():
            rows.append((f"open and won deals that stand in {system}", len(live & set(tx.linked(system, object))),
                         len(live)))
    is_open = [one == "open" for one in status]
    for what, column in (("an amount", "amount"), ("a closing date", "close_date"), ("an owner", "owner_id"),
                         ("a next step", "next_step")):
        held = [value not in (None, "") for value in plain(deals[column])]
        rows.append((f"open deals with {what}", sum(a and b for a, b in zip(held, is_open, strict=True)),
                     sum(is_open)))
    rows.append(("meetings of the last 30 days filed with a deal or an account", *_meetings(tx, moment, owners)))
    return frame(([what, count, of, percent(count, of)] for what, count, of in rows), CAPTURE)


def _meetings(tx: Transaction, moment: datetime | None, owners: frozenset[str] | None) -> tuple[int, int]:
    """(filed, all) meetings with outside people whose start lies in the last thirty days."""
    end = moment or tx.store.now()
    start, until = utc_text(end - RECENT)[:10], utc_text(end)[:10]
    filed = known = 0
    for state in states(tx, "meeting", moment):
        begins = str((state.values.get("when") or {}).get("start") or "")[:10]
        if state.deleted or not start <= begins <= until or state.values.get("status") == "cancelled":
            continue
        if owners is not None and (state.values.get("owner") or "") not in owners:
            continue
        known += 1
        filed += bool(state.values.get("about"))
    return filed, known


def percent(count: int, of: int, enough: int = FEW) -> Decimal | None:
    """Whole percent, rounded down; None where there are too few."""
    if of < enough:
        return None
    return Context(prec=30).divide(Decimal(count * 100), Decimal(of)).quantize(Decimal(1), ROUND_DOWN)
