"""The API budget: how many of a system's daily calls Sidefeed may use, predicted before and measured after.

A run stops at the share with work left for the next run. What people typed goes first: calls for their edits are set
aside before a backfill may use any. Refused records are not asked again once three quarters of the share are used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import orjson

from sidefeed.connector import Capabilities, Connector, Metered, Quota
from sidefeed.sync.writes import MAPPING_CHANGED, ObjectPlan, PlannedWrite, min_calls
from sidefeed.workspace import Store, Transaction

RETRIES_UPTO = 0.75
"""HubSpot's own number: beyond three quarters of the budget, what failed before waits, and what is new goes on."""

DERIVED = frozenset({"import", "policy"})
"""Sources of changes that nobody typed just now."""


@dataclass(frozen=True, slots=True)
class Budget:
    """``share`` of the system's daily limit; ``daily_calls`` is that limit where the system does not tell it."""

    share: float = 0.5
    daily_calls: int | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a system's budget stands today (UTC). ``allowed`` and ``left`` are None where no limit is known."""

    system: str
    used: int
    limit: int | None
    share: float
    allowed: int | None
    left: int | None
    used_by_all: int | None = None

    @property
    def retries(self) -> bool:
        return self.allowed is None or self.used < RETRIES_UPTO * self.allowed

    def as_json(self) -> dict[str, Any]:
        return {"system": self.system, "used": self.used, "limit": self.limit, "share": self.share,
                "allowed": self.allowed, "left": self.left, "used_by_all": self.used_by_all, "retries": self.retries}

    def forecast(self, needed: int, now: datetime) -> str:
        """When work of that many calls is done: ``this needs 4,100 calls, 2,900 are left today, ...``."""
        told = f"{self.system}: this needs {needed:,} calls"
        if self.left is None or self.allowed is None:
            return f"{told}; no daily limit is known."
        told += f", {self.left:,} of today's {self.allowed:,} are left"
        if needed <= self.left:
            return f"{told}: it finishes today."
        if self.allowed == 0:
            return f"{told}: it never finishes with this share."
        day = now.date() + timedelta(days=-(-(needed - self.left) // self.allowed))
        return f"{told}: it finishes on {day.isoformat()}, after 00:00 UTC, and people's edits go first."


def standing(tx: Transaction, system: str, budget: Budget, *, uncounted: int = 0) -> Standing:
    """What is used and left of a system's budget; ``uncounted`` calls were made and not written down yet."""
    told = tx.setting(f"quota:{system}")
    known = orjson.loads(told) if told else {}
    fresh = known.get("day") == tx.store.now().date().isoformat()
    limit = budget.daily_calls or known.get("limit")
    used = tx.calls_today(system) + uncounted
    if limit is None:
        return Standing(system, used, None, budget.share, None, None)
    allowed = int(limit * budget.share)
    left = max(0, allowed - used)
    by_all = known.get("used") if fresh else None
    if by_all is not None and known.get("limit"):
        left = min(left, max(0, known["limit"] - by_all))
    return Standing(system, used, limit, budget.share, allowed, left, by_all)


@dataclass(slots=True)
class Meter:
    """Counts the calls of one run, and says what may still be sent."""

    store: Store
    connectors: Mapping[str, Connector]
    budgets: Mapping[str, Budget] = field(default_factory=dict)
    counted: dict[str, int] = field(default_factory=dict)
    reserved: dict[tuple[str, str], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.counted = {name: one.calls.used for name, one in self.connectors.items()}

    def settle(self) -> None:
        """Write down the calls made since the last time, and what the systems told of their quota."""
        with self.store.write() as tx:
            for name, one in self.connectors.items():
                tx.count_calls(name, one.calls.used - self.counted[name])
                self.counted[name] = one.calls.used
                quota = one.quota() if isinstance(one, Metered) else None
                if quota is not None:
                    tx.save_setting(f"quota:{name}", _packed(quota, self.store.now()))

    def standing(self, system: str) -> Standing:
        with self.store.read() as tx:
            uncounted = self.connectors[system].calls.used - self.counted[system]
            return standing(tx, system, self.budgets.get(system, Budget()), uncounted=uncounted)

    def set_aside(self, tx: Transaction, plans: Sequence[ObjectPlan]) -> None:
        """Keep the calls that people's edits need in each feed out of reach of every other feed's backfill."""
        self.reserved.clear()
        for plan in plans:
            if plan.writes and self.standing(plan.om.system).left is not None:
                typed = _typed(tx, plan.writes)
                urgent = [write for write in plan.writes if write.record in typed]
                self.reserved[(plan.om.system, plan.stream.name)] = min_calls(urgent, self._capabilities(plan))

    def fit(self, tx: Transaction, plan: ObjectPlan) -> int:
        """Take out of a plan what the budget does not allow today; returns how many writes wait for the next run."""
        feed = (plan.om.system, plan.stream.name)
        self.reserved.pop(feed, None)
        if not plan.writes:
            return 0
        left = self.standing(plan.om.system).left
        capabilities = self._capabilities(plan)
        if left is None or min_calls(plan.writes, capabilities) <= left - self._elsewhere(feed):
            return 0
        typed = _typed(tx, plan.writes)
        urgent = [write for write in plan.writes if write.record in typed]
        others = [write for write in plan.writes if write.record not in typed]
        kept = fitting([], urgent, capabilities, left)
        kept = fitting(kept, others, capabilities, left - self._elsewhere(feed))
        chosen = {id(write) for write in kept}
        waiting = len(plan.writes) - len(kept)
        plan.writes = [write for write in plan.writes if id(write) in chosen]
        if waiting:  # planned again from where this plan began
            plan.upto = tx.cursor(*feed).planned_rev
        return waiting

    def _elsewhere(self, feed: tuple[str, str]) -> int:
        return sum(calls for other, calls in self.reserved.items() if other != feed and other[0] == feed[0])

    def _capabilities(self, plan: ObjectPlan) -> Capabilities:
        return self.connectors[plan.om.system].capabilities(plan.om.object)


def fitting(
    kept: list[PlannedWrite], more: Sequence[PlannedWrite], capabilities: Capabilities, calls: int
) -> list[PlannedWrite]:
    """As many of ``more`` as fit beside ``kept`` into so many calls, first come first served."""
    low, high = 0, len(more)
    while low < high:
        middle = (low + high + 1) // 2
        if min_calls([*kept, *more[:middle]], capabilities) <= calls:
            low = middle
        else:
            high = middle - 1
    return [*kept, *more[:low]]


def _typed(tx: Transaction, writes: Sequence[PlannedWrite]) -> set[str]:
    """Records that a person changed, here or in a system, and that are known in the system written to."""
    updates = [write for write in writes if write.op != "create"]
    heads = {rev for write in writes for revs in write.fields.values() for rev in revs}
    details = tx.head_details(heads)
    by_hand = {write.record for write in writes if any(
        (change := details.get(rev)) is not None and change.source == "workspace"
        for name, revs in write.fields.items() if write.why.get(name) != MAPPING_CHANGED for rev in revs)}
    return by_hand | {write.record for write in updates if any(
        (change := details.get(rev)) is not None and change.source not in DERIVED
        for name, revs in write.fields.items() if write.why.get(name) != MAPPING_CHANGED for rev in revs)}


def _packed(quota: Quota, now: datetime) -> str:
    return orjson.dumps({"limit": quota.limit, "used": quota.used, "day": now.date().isoformat()}).decode()
