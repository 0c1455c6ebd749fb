"""A changed mapping brought to part of the records first: some, then a team, then all; or one field of each.

A part that was written leaves the mapping unconfirmed for everybody else: an ordinary sync stops at it, as before,
until the roll-out reached all records or somebody confirms it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from dataclasses import field as of
from typing import Any

import sqlalchemy as sa

from sidefeed.connector import Connector
from sidefeed.sync.budget import fitting
from sidefeed.sync.engine import Engine
from sidefeed.sync.report import Report
from sidefeed.sync.writes import ObjectPlan, PlannedWrite, min_calls
from sidefeed.workspace import Store
from sidefeed.workspace import tables as t


@dataclass(slots=True)
class Part:
    """Which writes take part: of at most ``records`` records (None: all), of these owners (None: anybody's), of one
    ``field`` alone where it is named (updates only: nothing is created for it), and as many as fit into ``calls``
    requests to each system, by the batch sizes of ``connectors`` (None: as many as the day's budget allows)."""

    store: Store
    records: int | None = None
    owners: frozenset[str] | None = None
    entity: str | None = None
    field: str | None = None
    calls: int | None = None
    connectors: Mapping[str, Connector] = of(default_factory=dict)
    chosen: dict[str, str] = of(default_factory=dict)
    """Record -> its label, of what took part."""
    left: set[str] = of(default_factory=set)
    spent: dict[str, int] = of(default_factory=dict)
    written: set[str] = of(default_factory=set)

    def narrow(self, plan: ObjectPlan) -> None:
        """Keep what takes part; the rest waits."""
        kept = [mine for write in plan.writes if (mine := self._mine(plan, write)) is not None]
        plan.writes = kept if self.calls is None else self._within(self.calls, plan, kept)

    def _within(self, calls: int, plan: ObjectPlan, kept: list[PlannedWrite]) -> list[PlannedWrite]:
        """As many as fit into what is left of the calls; a record of which nothing was written took no part."""
        system = plan.om.system
        capabilities = self.connectors[system].capabilities(plan.om.object)
        fits = fitting([], kept, capabilities, calls - self.spent.get(system, 0))
        self.spent[system] = self.spent.get(system, 0) + min_calls(fits, capabilities)
        self.written |= {write.record for write in fits}
        for write in kept[len(fits):]:
            self.left.add(write.record)
            plan.waiting[write.record] = f"the {calls} calls of this part are used"
            if write.record not in self.written:
                self.chosen.pop(write.record, None)
        return fits

    def _mine(self, plan: ObjectPlan, write: PlannedWrite) -> PlannedWrite | None:
        mine = self._of_field(plan, write) if self.field is not None else write
        if mine is not None and (write.record in self.chosen or self._takes(write)):
            self.chosen[write.record] = write.label
            return mine
        if self.field is None or mine is not None:
            self.left.add(write.record)
        plan.waiting[write.record] = "not in this part of the roll-out"
        return None

    def _takes(self, write: PlannedWrite) -> bool:
        if self.records is not None and len(self.chosen) >= self.records:
            return False
        if self.owners is None:
            return True
        with self.store.read() as tx:
            state = tx.record(write.record)
        return state is not None and state.values.get("owner") in self.owners

    def _of_field(self, plan: ObjectPlan, write: PlannedWrite) -> PlannedWrite | None:
        assert self.field is not None
        if write.entity != self.entity or write.op != "update" or self.field not in write.fields:
            return None
        raw = [name for name in plan.om.field(self.field).lens.raw if name in write.after]
        if not raw:
            return None
        write.before = {name: write.before.get(name) for name in raw}
        write.after = {name: write.after[name] for name in raw}
        write.fields = {self.field: write.fields[self.field]}
        return write


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a part did: how many records took part, how many were refused, and how many differ again afterwards, because
    the system made something else of what it was sent."""

    report: Report
    records: int
    refused: int
    differ: int
    left: int

    def rate(self, number: int) -> float:
        return number / self.records if self.records else 0.0


def roll_out(engine: Engine, part: Part, *, approve: bool = False) -> Outcome:
    """Write one part under the present mapping. Raises GuardTripped and LeaseHeld as a sync does."""
    with _unconfirmed(engine, part):
        report = engine.sync_part("roll out", part.narrow, approve=approve)
    with engine.store.read() as tx:
        refused = set(tx.connection.execute(sa.select(t.intent.c.record).where(
            t.intent.c.run == report.run, t.intent.c.state == "refused")).scalars())
    again = Part(engine.store, entity=part.entity, field=part.field)
    plans, _report = engine.plan(narrow=again.narrow)
    after = {write.record for plan in plans for write in plan.writes if write.op == "update"}
    return Outcome(report, len(part.chosen), len(refused), len(after & part.chosen.keys()), len(part.left))


@contextmanager
def _unconfirmed(engine: Engine, part: Part) -> Iterator[None]:
    """Take the confirmation of the mapping back where the part was not all."""
    names = [f"mapping:{om.system}:{om.object}" for om in engine.mappings.objects]
    with engine.store.read() as tx:
        before = {name: tx.setting(name) for name in names}
    yield
    if part.left:
        with engine.store.write() as tx:
            for name, told in before.items():
                if told is not None and tx.setting(name) != told:
                    tx.save_setting(name, told)


def preview(engine: Engine, entity: str, name: str) -> tuple[list[dict[str, Any]], Mapping[str, int]]:
    """What filling one field would write, by system, and the least number of requests for it. Nothing is written."""
    part = Part(engine.store, entity=entity, field=name)
    plans, _report = engine.plan(narrow=part.narrow)
    rows: dict[str, dict[str, Any]] = {}
    calls: dict[str, int] = {}
    for plan in plans:
        for write in plan.writes:
            row = rows.setdefault(f"{write.system} {write.object}", {
                "system": write.system, "object": write.object, "filled": 0, "changed": 0, "cleared": 0})
            row[_kind(write)] += 1
        if plan.writes:
            needed = plan.min_calls(engine.connectors[plan.om.system].capabilities(plan.om.object))
            calls[plan.om.system] = calls.get(plan.om.system, 0) + needed
    return list(rows.values()), calls


def _kind(write: PlannedWrite) -> str:
    if all(value in (None, "", []) for value in write.before.values()):
        return "filled"
    return "cleared" if all(value in (None, "", []) for value in write.after.values()) else "changed"


def owners_named(store: Store, addresses: Collection[str]) -> frozenset[str]:
    """The users of these e-mail addresses. Raises LookupError, naming an address that nobody has."""
    wanted = {address.casefold() for address in addresses}
    with store.read() as tx:
        found = {str(state.values.get("email")): state.id for state in tx.each_record("user")
                 if str(state.values.get("email")).casefold() in wanted}
    if missing := wanted - {address.casefold() for address in found}:
        raise LookupError(f"nobody in the workspace has the address {', '.join(sorted(missing))}.")
    return frozenset(found.values())
