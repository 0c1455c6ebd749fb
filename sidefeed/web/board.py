"""Every live deal in memory, following the log: what the pages filter, sort, add up and page through.

Reading 50,000 deals from the database takes a second; following the log takes a query and the few records that moved.
What each system holds is read anew in the background after each run, by `sidefeed.forecast`; a page that comes before
it is ready shows what was known, with the time it was known at.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple, TypeVar

import pandas as pd
import sqlalchemy as sa

from sidefeed.forecast import DEALS, Bridge, Dispute, Scope, bridge, dispute, frame, system_deals
from sidefeed.forecast.frames import Deal as ForecastDeal
from sidefeed.forecast.frames import deals_in
from sidefeed.forecast.history import deal_of
from sidefeed.forecast.periods import Calendar
from sidefeed.forecast.reconcile import with_origin
from sidefeed.mapping import Mapping as Mappings
from sidefeed.web.sums import CATEGORIES, Cube, Line, Quarters, bridge_parts, forecast_deal
from sidefeed.workspace import RecordState, Store, Transaction
from sidefeed.workspace import tables as t
from sidefeed.workspace.clock import utc_text

REST = 10
"""A figure that took a second to make is not made again for as many seconds: busy days must not slow the pages."""
FEW = 2000
"""Up to so many changed deals, what the systems hold is patched rather than read again."""
PATIENCE = 0.1
"""Seconds a page waits for newer figures before it shows the older ones."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Deal:
    """One live deal. ``owner`` is empty where nobody owns it; ``close`` is what stands there, ``day`` the date that it
    is, where it is one; ``dispute`` holds every way in which it could count otherwise."""

    id: str
    name: str
    owner: str
    owner_name: str
    stage: str
    close: str | None
    day: date | None
    next_step: str
    rev: int
    line: Line
    conflicts: tuple[str, ...] = ()
    dispute: Dispute | None = None


@dataclass(frozen=True, slots=True)
class Disputed:
    """A record that has fields in conflict."""

    id: str
    entity: str
    label: str
    owner: str
    fields: tuple[str, ...]
    rev: int


@dataclass(frozen=True)
class Snapshot:
    """The deals as of one revision; never changed once made, so that a page is of one piece."""

    rev: int = 0
    as_of: str = ""
    deals: Mapping[str, Deal] = field(default_factory=dict)
    users: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    disputed: Mapping[str, Disputed] = field(default_factory=dict)
    cube: Cube = field(default_factory=Cube)
    """The deals added up by owner, quarter and currency."""
    _made: dict[str, Any] = field(default_factory=dict, compare=False)

    def ordered(self, by: str) -> list[Deal]:
        """All deals by one of `ORDERS`; sorted once for each revision."""
        if by not in self._made:
            self._made[by] = sorted(self.deals.values(), key=ORDERS[by])
        found: list[Deal] = self._made[by]
        return found

    def owner_name(self, owner: str) -> str:
        return self.users[owner][0] if owner in self.users else "nobody"


def _amount_order(deal: Deal) -> tuple[str, Decimal]:
    return deal.line.currency or "", deal.line.amount if deal.line.amount is not None else Decimal("-Infinity")


STAGES = ("prospecting", "qualification", "needs_analysis", "proposal", "negotiation", "won", "lost")

ORDERS: Mapping[str, Callable[[Deal], Any]] = {
    "name": lambda deal: (deal.name.casefold(), deal.id),
    "owner": lambda deal: (deal.owner_name.casefold(), deal.name.casefold()),
    "amount": _amount_order,
    "close": lambda deal: deal.close or "9999",
    "stage": lambda deal: (STAGES.index(deal.stage) if deal.stage in STAGES else -1, deal.stage),
    "category": lambda deal: CATEGORIES.index(deal.line.category) if deal.line.category in CATEGORIES else 9,
    "changed": lambda deal: deal.rev,
}


@dataclass(frozen=True, slots=True)
class Sides:
    """Every system's deals, as `sidefeed.forecast.system_deals` gives them, and ours at the same revision."""

    snapshot: Snapshot
    run: str
    """The newest run that read or wrote anything, by then, and the fingerprint of the mapping."""
    ours: Mapping[str, ForecastDeal]
    frames: Mapping[str, Any]
    deals: Mapping[str, list[ForecastDeal]]
    """The rows of each frame, in its order."""
    cubes: Mapping[str, Cube]
    complete: Mapping[str, str | None]
    """System -> how far its deals had been read."""


class Known(NamedTuple):
    """A figure: of which version, and when (by a clock that never goes back) and how long it was made, in seconds."""

    version: Any
    value: Any
    made: float
    took: float


class Board:
    """The read model of the pages. `now` gives the newest snapshot that can be had without waiting long."""

    def __init__(self, store: Store, mappings: Mappings, calendar: Calendar | None = None) -> None:
        self.store = store
        self.quarters = Quarters(calendar)
        self.adopt(mappings)
        self._snapshot = Snapshot()
        self._lock = threading.Lock()
        self._workers = ThreadPoolExecutor(2, thread_name_prefix="figures")
        self._known: dict[str, Known] = {}
        self._running: dict[str, Future[Any]] = {}

    def adopt(self, mappings: Mappings) -> None:
        """Go on with a mapping: what the systems hold is compared anew by it."""
        self.mappings = mappings
        self.systems = {om.system: om.object for om in mappings.objects if om.entity == "opportunity"}

    def close(self) -> None:
        self._workers.shutdown(cancel_futures=True)

    def warm_up(self) -> None:
        """Begin to read everything, so that the first visitor waits less."""
        self._workers.submit(lambda: self.sides(self.now()))

    def now(self) -> Snapshot:
        """The deals as they stand: reads what changed since the last call, and nothing else."""
        with self._lock, self.store.read() as tx:
            last = tx.last_rev()
            if last != self._snapshot.rev or not self._snapshot.as_of:
                self._snapshot = self._follow(tx, last)
            elif self._snapshot.as_of != (as_of := utc_text(self.store.now())):
                self._snapshot = replace(self._snapshot, as_of=as_of)
            return self._snapshot

    def _follow(self, tx: Transaction, last: int) -> Snapshot:
        old = self._snapshot
        moved = {state.id: state for state in tx.each_record("user", since=old.rev)}
        users = {**old.users, **{id: _user(state) for id, state in moved.items()}}
        deals = dict(old.deals)
        if any(old.users.get(id) != users[id] for id in moved if id in old.users):
            deals = {}  # somebody was renamed: every line of theirs changes
        cube = old.cube.copy() if deals else Cube()
        for state in tx.each_record("opportunity", since=old.rev if deals else 0):
            before = deals.pop(state.id, None)
            if before is not None:
                cube.add(before.owner, before.line, -1)
            if not state.deleted and state.merged_into is None:
                now = deals[state.id] = _deal(state, users, self.quarters)
                cube.add(now.owner, now.line)
        disputed = {state.id: Disputed(state.id, state.entity, label(state), state.values.get("owner") or "",
                                       tuple(state.conflicts), state.rev)
                    for state in tx.conflicted() if state.merged_into is None}
        return Snapshot(last, utc_text(self.store.now()), deals, users, disputed, cube)

    # -- figures that take longer -------------------------------------------------------------------------------

    def figure(self, name: str, version: Any, make: Callable[[], _T], patience: float = PATIENCE) -> tuple[
            _T | None, bool]:
        """A figure made in the background: the newest one known (None before the first), and whether it is of this
        ``version``. Waits a moment for a new one."""
        known = self._known.get(name)
        if known is not None and known.version == version:
            return known.value, True
        running = self._running.get(name)
        if running is None or running.done():
            if known is not None and time.monotonic() < known.made + REST * known.took:
                return known.value, False
            running = self._running[name] = self._workers.submit(self._make, name, version, make)
        wait([running], patience)
        if running.done() and (error := running.exception()) is not None:
            raise error
        known = self._known.get(name)
        return (None, False) if known is None else (known.value, known.version == version)

    def _make(self, name: str, version: Any, make: Callable[[], Any]) -> None:
        begun = time.monotonic()
        value = make()
        now = time.monotonic()
        self._known[name] = Known(version, value, now, now - begun)
        while len(self._known) > 64:
            self._known.pop(next(iter(self._known)))

    def last_run(self) -> str:
        """The newest run that read or wrote anything: what the systems hold may have changed with it."""
        with self.store.read() as tx:
            runs = tx.connection.execute(
                sa.select(t.run.c.id, t.run.c.counts).where(t.run.c.ended.is_not(None))
                .order_by(t.run.c.id.desc()).limit(50)).all()
        return next((run.id for run in runs if any((run.counts or {}).get(what) for what in (
            "captured", "written", "recovered", "undone", "refused"))), runs[-1].id if runs else "")

    def sides(self, snapshot: Snapshot, patience: float = PATIENCE) -> tuple[Sides | None, bool]:
        """Every system beside the workspace, and whether that is of this snapshot's revision."""
        run = f"{self.last_run()} {self.mappings.fingerprint}"
        return self.figure("sides", (snapshot.rev, run), lambda: self._read_sides(self.now(), run), patience)

    def _read_sides(self, snapshot: Snapshot, run: str) -> Sides:
        known = self._known.get("sides")
        old: Sides | None = known.value if known is not None and known.value.run == run else None
        changed = None if old is None else {
            id for id in {*old.snapshot.deals, *snapshot.deals}
            if old.snapshot.deals.get(id) is not snapshot.deals.get(id)}
        if changed is not None and len(changed) > FEW:
            old = changed = None
        with self.store.read() as tx:
            frames = {system: system_deals(tx, self.mappings, system, changed) for system in self.systems}
            complete = {system: tx.cursor(system, object).complete_to for system, object in self.systems.items()}
        if old is not None and changed is not None:
            frames = {system: _patched(old.frames[system], frame, changed) for system, frame in frames.items()}
        deals = {system: list(deals_in(frame)) for system, frame in frames.items()}
        ours = {id: forecast_deal(deal) for id, deal in snapshot.deals.items()} if old is None else {
            id: old.ours[id] if id not in (changed or ()) else forecast_deal(deal)
            for id, deal in snapshot.deals.items()}
        return Sides(snapshot, run, ours, frames, deals,
                     {system: Cube.of_deals(listed, self.quarters) for system, listed in deals.items()}, complete)

    def bridge(self, sides: Sides, system: str, scope: Scope, rates: Any = None, patience: float = PATIENCE) -> tuple[
            tuple[Sides, Bridge] | None, bool]:
        """The bridge from one system's total to ours, with the sides that it was made from. ``rates``: what tells the
        rates of the scope from others."""
        return self.figure(f"bridge {system} {replace(scope, convert=None)} {rates and rates[0]}",
                           (sides.snapshot.rev, sides.run, rates),
                           lambda: (sides, self._make_bridge(sides, system, scope)), patience)

    def _make_bridge(self, sides: Sides, system: str, scope: Scope) -> Bridge:
        kept, here = bridge_parts(sides.deals[system], sides.ours, scope)
        there = sides.frames[system].iloc[kept].reset_index(drop=True)
        found = bridge(there, frame(here, {name: DEALS[name] for name in ForecastDeal._fields}), scope, system=system)
        with self.store.read() as tx:
            return with_origin(tx, found)


def _patched(old: Any, newer: Any, changed: set[str]) -> Any:
    """A system's deals with those of some records in place of what stood there for them."""
    kept = old[~(old["record"].isin(changed) & (old["role"] == "primary"))]
    return pd.concat([kept, newer], ignore_index=True).astype(old.dtypes.to_dict())


def label(state: RecordState) -> str:
    values = state.values
    return str(values.get("name") or values.get("subject") or
               " ".join(filter(None, (values.get("first_name"), values.get("last_name")))) or
               values.get("email") or state.id)


def _user(state: RecordState) -> tuple[str, str]:
    email = str(state.values.get("email") or "").lower()
    return str(state.values.get("name") or email or state.id), email


def _deal(state: RecordState, users: Mapping[str, tuple[str, str]], quarters: Quarters) -> Deal:
    values = state.values
    owner = values.get("owner") or ""
    names = {owner: users[owner][0] if owner in users else "nobody"}
    found = deal_of(state.id, values, names)
    line = Line(found.amount, found.currency, found.category, found.status, quarters.of(found.close_date))
    return Deal(state.id, str(values.get("name") or "without a name"), owner, names[owner],
                str(values.get("stage") or ""), values.get("close_date"), found.close_date,
                str(values.get("next_step") or ""), state.rev, line, tuple(state.conflicts),
                dispute(state, names) if state.conflicts else None)


def owner_ids(snapshot: Snapshot, emails: Collection[str] | None) -> frozenset[str] | None:
    """The users that stand for these addresses; None for everybody."""
    if emails is None:
        return None
    return frozenset(id for id, (_name, email) in snapshot.users.items() if email in emails)
