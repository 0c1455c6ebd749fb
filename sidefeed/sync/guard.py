"""Guards: rules that stop a plan before its first write. A tripped guard means no write at all, never a few."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sidefeed.calendars.foreign import rivals
from sidefeed.sync.plan import ObjectPlan, PlannedWrite
from sidefeed.workspace import Transaction

NEVER_BELOW = 10
"""A guard that trips on five of six records is switched off by the second week."""


@dataclass(frozen=True, slots=True)
class Limit:
    """A plan may touch ``count`` records or ``share`` of the linked ones, whichever is less, but always ten."""

    count: int
    share: float

    def of(self, linked: int) -> int:
        return max(NEVER_BELOW, min(self.count, int(linked * self.share)))


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds by entity. Deletes: contacts 250 or 25 %, meetings 50 or 10 %, tasks 50 or 75 %, else 100 or 25 %."""

    deletes: dict[str, Limit] = field(default_factory=lambda: {
        "contact": Limit(250, 0.25), "meeting": Limit(50, 0.10), "task": Limit(50, 0.75)})
    otherwise: Limit = Limit(100, 0.25)
    one_field: float = 0.5
    """The same field changed on more than this share of the links in one run: a zone, a mapping, field security."""

    def deletion(self, entity: str) -> Limit:
        return self.deletes.get(entity, self.otherwise)


@dataclass(frozen=True, slots=True)
class Trip:
    """One guard that stopped a run, and exactly what it stopped."""

    guard: str
    system: str
    object: str
    message: str
    items: tuple[dict[str, Any], ...] = ()

    @property
    def key(self) -> str:
        """What a person approves: this guard at this feed."""
        return f"{self.guard} {self.system} {self.object}"

    def as_json(self) -> dict[str, Any]:
        return {"guard": self.guard, "system": self.system, "object": self.object, "message": self.message,
                "items": list(self.items)}


class GuardTripped(Exception):
    """A run was stopped before its first write."""

    def __init__(self, trips: Sequence[Trip]) -> None:
        super().__init__("; ".join(trip.message for trip in trips))
        self.trips = tuple(trips)


Approval = bool | Mapping[str, int]
"""Whether guards may be passed: all, none, or only those a person saw, with at most as many records as were shown."""


def refuse(approved: Approval, trips: Sequence[Trip]) -> None:
    """Raise GuardTripped for every trip that was not approved."""
    if approved is True:
        return
    shown = approved or {}
    stopped = [trip for trip in trips if len(trip.items) > shown.get(trip.key, -1)]
    if stopped:
        raise GuardTripped(stopped)


def check_inbox(tx: Transaction, system: str, object: str, entity: str, limits: Limits) -> list[Trip]:
    """Deletions that a feed reports, before they are believed. An object that was full and is now empty trips too."""
    linked = tx.count_links(system, object)
    gone = [item.external_id for item in tx.inbox_items(system, object, tx.inbox_ids(system, object))
            if item.payload and item.payload["state"] == "deleted" and item.payload["merged_into"] is None]
    known = [id for id, (_record, role) in tx.known_as(system, object, gone).items() if role != "gone"]
    limit = limits.deletion(entity).of(linked)
    if len(known) <= limit:
        return []
    what = "everything" if len(known) >= linked else f"{len(known)} of {linked}"
    return [Trip("mass-delete", system, object, (
        f"{system} {object}: {what} was reported deleted, more than {limit}. Nothing was deleted anywhere. If people "
        f"really deleted them, approve the run; if rights, a filter or an import changed, mend that first."),
        tuple({"external_id": id} for id in known))]


def check_plan(tx: Transaction, plan: ObjectPlan, limits: Limits) -> list[Trip]:
    """Mass deletion, mass blanking and one field changed nearly everywhere, in one feed's plan."""
    om, linked = plan.om, tx.count_links(plan.om.system, plan.stream.name)
    trips = []
    unasked = [write for write in plan.writes if write.mails is not None and not write.mails.asked]
    if unasked:
        people = sum(len(write.mails.to) for write in unasked if write.mails)
        trips.append(_trip("mail-budget", plan, unasked, f"would mail {people} people, and no organiser asked for it"))
    if om.entity == "meeting":
        trips += _two_tools(tx, plan)
    deletes = [write for write in plan.writes if write.op == "delete"]
    limit = limits.deletion(om.entity).of(linked)
    if len(deletes) > limit:
        trips.append(_trip("mass-delete", plan, deletes, f"would delete {len(deletes)} of {linked} records, more than "
                                                         f"{limit}"))
    updates = [write for write in plan.writes if write.op == "update"]
    blanks = [write for write in updates
              if any(after is None and write.before.get(name) is not None for name, after in write.after.items())]
    limit = limits.otherwise.of(linked)
    if len(blanks) > limit:
        trips.append(_trip("mass-blank", plan, blanks, f"would blank values on {len(blanks)} of {linked} records, more "
                                                       f"than {limit}"))
    by_field: dict[str, list[PlannedWrite]] = {}
    for write in updates:
        for name, after in write.after.items():
            if write.before.get(name) is not None and after != write.before.get(name):
                by_field.setdefault(name, []).append(write)
    for name, writes in by_field.items():
        if len(writes) > max(limits.otherwise.count, int(linked * limits.one_field)):
            trips.append(_trip("mass-update", plan, writes,
                               f"would change {name} on {len(writes)} of {linked} records"))
    return trips


def _two_tools(tx: Transaction, plan: ObjectPlan) -> list[Trip]:
    """Meetings that are about to be made and stand there already, written by somebody who writes many of them."""
    wanted = [write for write in plan.writes if write.op == "create"]
    found = rivals(tx, plan.om.system, [write.record for write in wanted])
    return [Trip("two-tools", plan.om.system, plan.stream.name, (
        f"{plan.om.system} {plan.stream.name}: {len(rival.records)} meetings that would be made stand there already, "
        f"written by {rival.author}: another tool seems to file the same calendars. Nothing was written. Switch one of "
        f"the two off, or approve the run if these really are different meetings."),
        tuple({"record": write.record, "label": write.label} for write in wanted if write.record in rival.records))
        for rival in found]


def _trip(guard: str, plan: ObjectPlan, writes: Sequence[PlannedWrite], what: str) -> Trip:
    return Trip(guard, plan.om.system, plan.stream.name, (
        f"{plan.om.system} {plan.stream.name}: this run {what}. Nothing was written. Look at the list; approve the run "
        f"if it is meant, or mend the cause and run again."),
        tuple({"record": write.record, "label": write.label, "external_id": write.external_id} for write in writes))
