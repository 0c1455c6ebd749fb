"""Guards: rules that stop a run before its first write. A tripped guard means no write at all, never a few. What moves
while a run writes is held against the same rules before each further wave.

Each guard names exactly what it stopped. A person then lets that pass (`sidefeed approve RUN`: this guard at this feed,
for no more records than were shown) or leaves it out (`sidefeed skip RUN`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sidefeed.calendars.foreign import rivals
from sidefeed.calendars.recurrence import RECURRENCE
from sidefeed.mapping import ObjectMap
from sidefeed.plural import many
from sidefeed.sync.plan import content_digest
from sidefeed.sync.writes import ObjectPlan, PlannedWrite
from sidefeed.workspace import Transaction
from sidefeed.workspace.report import label
from sidefeed.workspace.window import deletions_reported, writes_done

NEVER_BELOW = 10
"""A guard that trips on five of six records is switched off by the second week."""
EMPTY_FROM = 5
"""From how many linked objects on it is remarkable that all of them, or a share of them, are gone."""


@dataclass(frozen=True, slots=True)
class Limit:
    """A run may touch ``count`` records or ``share`` of the linked ones, whichever is less, but always ten."""

    count: int
    share: float

    def of(self, linked: int) -> int:
        return max(NEVER_BELOW, min(self.count, int(linked * self.share)))


DELETES = {"contact": Limit(250, 0.25), "meeting": Limit(50, 0.10), "task": Limit(50, 0.75)}
OTHERWISE = Limit(100, 0.25)


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds, by entity where they differ. Deletes: contacts 250 or 25 %, meetings 50 or 10 %, tasks 50 or 75 %,
    else 100 or 25 %; values blanked: the same.

    one_field   the same field changed on more than this share of the links (and on more than ``one_field_count``): a
                zone, a mapping, field security
    hours       deletions, blanks and changes of one field count over this long, not in one run alone
    known       after a lost cursor, absence means deletion only if this share of the known ids is still there
    mails       how many people the systems may mail because of one run, where no organiser asked for it
    flips       a field that systems changed to and fro this often within ``hours`` is parked until a person looks
    """

    deletes: Mapping[str, Limit] = field(default_factory=lambda: dict(DELETES))
    blanks: Mapping[str, Limit] = field(default_factory=lambda: dict(DELETES))
    otherwise: Limit = OTHERWISE
    one_field: float = 0.5
    one_field_count: int = 100
    hours: int = 24
    known: float = 0.8
    mails: int = 0
    flips: int = 6

    def deletion(self, entity: str) -> Limit:
        return self.deletes.get(entity, self.otherwise)

    def blanking(self, entity: str) -> Limit:
        return self.blanks.get(entity, self.otherwise)

    @property
    def window(self) -> timedelta:
        return timedelta(hours=self.hours)


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

    @property
    def keys(self) -> tuple[str, str]:
        """Its own key, and that of the same guard at all mailboxes of its object."""
        return self.key, f"{self.guard} {self.system} {self.object.partition('/')[0]}"

    def as_json(self) -> dict[str, Any]:
        return {"guard": self.guard, "system": self.system, "object": self.object, "message": self.message,
                "items": list(self.items)}


class GuardTripped(Exception):
    """A run was stopped before its first write, or before it wrote what came up while it wrote. ``run`` and ``what``
    are the parked run and what it was to do, where it was one."""

    def __init__(self, trips: Sequence[Trip]) -> None:
        super().__init__(told_together([trip.message for trip in trips]))
        self.trips = tuple(trips)
        self.run = self.what = ""


def told_together(messages: Sequence[str]) -> str:
    """What several trips say, each with its own first sentence, and what they have in common once."""
    by_rest: dict[str, list[str]] = {}
    for message in messages:
        first, _, rest = message.partition(". ")
        by_rest.setdefault(rest, []).append(first)
    return " ".join(". ".join(filter(None, ("; ".join(firsts), rest))) for rest, firsts in by_rest.items())


Approval = bool | Mapping[str, int]
"""Whether guards may be passed: all, none, or only those a person saw, with at most as many records as were shown."""


def refuse(approved: Approval, trips: Sequence[Trip]) -> list[str]:
    """Raise GuardTripped for every trip that was not approved; return the keys of those that were."""
    shown = approved if isinstance(approved, Mapping) else {}
    stopped = [trip for trip in trips
               if approved is not True and len(trip.items) > max(shown.get(key, -1) for key in trip.keys)]
    if stopped:
        raise GuardTripped(stopped)
    return [trip.key for trip in trips]


# -- before anything is believed --------------------------------------------------------------------------------------


def check_inbox(tx: Transaction, om: ObjectMap, object: str, limits: Limits) -> list[Trip]:
    """Deletions that a feed reports, and an object that was full and is now empty."""
    system = om.system
    gone = tx.inbox_deleted(system, object)
    if gone and om.entity == "meeting":
        private = _private_series(tx, system, object)
        gone = [id for id in gone if not id.startswith(private)]  # a retraction, which waits for nobody
    roles = tx.known_as(system, object, gone) if gone else {}
    known = [id for id in gone if id in roles and roles[id][1] == "primary"]
    linked = tx.count_links(system, object) if known else 0
    return _deletions(tx, om, object, linked, known, limits)


def _private_series(tx: Transaction, system: str, object: str) -> tuple[str, ...]:
    """The ids of series that a calendar tells to be private: those of their occurrences begin with them."""
    told = ((item.external_id, (item.payload or {}).get("values") or {})
            for item in tx.inbox_items(system, object, tx.inbox_ids(system, object)))
    return tuple(id for id, values in told if RECURRENCE in values and values.get("Sensitivity", "normal") != "normal")


def _deletions(
    tx: Transaction, om: ObjectMap, object: str, linked: int, known: Sequence[str], limits: Limits
) -> list[Trip]:
    listed = _named(tx, om, object, known)
    if len(known) >= linked >= EMPTY_FROM:
        return [Trip("emptied", om.system, object, (
            f"{om.system} {object}: everything that was linked there, {many(linked, 'record')}, was reported deleted. "
            f"Nothing was deleted anywhere. {_MEANT}"), listed)]
    if not known:
        return []
    limit = limits.deletion(om.entity).of(linked)
    before = deletions_reported(tx, om.system, om.entity, limits.window) if len(known) <= limit else 0
    if len(known) + before <= limit:
        return []
    also = f" ({before} more in the last {limits.hours} hours)" if before else ""
    return [Trip("mass-delete", om.system, object, (
        f"{om.system} {object}: {len(known)} of {many(linked, 'record')} were reported deleted{also}, more than "
        f"{limit}. Nothing was deleted anywhere. {_MEANT}"), listed)]


def _named(tx: Transaction, om: ObjectMap, object: str, ids: Sequence[str]) -> tuple[dict[str, Any], ...]:
    """Objects that are reported gone, as they are shown: each by its id and by what people call its record."""
    roles = tx.known_as(om.system, object, ids)
    states = tx.records([record for record, _role in roles.values()])
    return tuple({"external_id": id, **({"label": label(states[roles[id][0]])} if id in roles else {})} for id in ids)


_MEANT = ("If people really deleted them, approve the run; if rights, a filter or an import changed, mend that first, "
          "or skip the run to keep the copies elsewhere.")


def check_sweep(
    tx: Transaction, om: ObjectMap, object: str, missing: Sequence[str], known: int, limits: Limits
) -> list[Trip]:
    """After a reading from the start every id was listed: the missing ones may be deleted, unless too many are. One to
    four prove nothing by their share, and each is looked at by its id."""
    if len(missing) < EMPTY_FROM or len(missing) <= known * (1 - limits.known):
        return []
    return [Trip("refused-cursor", om.system, object, (
        f"{om.system} {object} is read from the start, and of {known} known objects only {known - len(missing)} "
        f"are there, less than {limits.known:.0%}. Nothing was taken for deleted. Check the "
        f"rights of the integration user and the filters; approve the run if they are really gone."),
        _named(tx, om, object, missing))]


# -- before anything is written ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SoFar:
    """What this run did before: writes in all, and people whom it had mailed unasked, or is about to."""

    written: int = 0
    mailed: int = 0

    def __str__(self) -> str:
        return f"{self.written:,} writes were made before, and none of these" if self.written else "Nothing was written"


def check_plan(tx: Transaction, plan: ObjectPlan, limits: Limits, so_far: SoFar = SoFar()) -> list[Trip]:
    """Mass deletion, mass blanking, one field changed nearly everywhere, and messages to people, in one feed's plan.

    What the run wrote to this feed ``so_far`` counts with it, so that waves below a threshold do not add up unseen.
    """
    if not plan.writes:
        return []
    private = _withdrawn(tx, plan.om, [write.record for write in plan.writes if write.op != "create"])
    deletes = [write for write in plan.writes if write.op == "delete" and write.record not in private]
    updates = [write for write in plan.writes if write.op == "update" and write.record not in private]
    blanks = {write.record: write for write in updates
              if any(after is None and write.before.get(name) is not None for name, after in write.after.items())}
    trips = _two_tools(tx, plan, so_far) if plan.om.entity == "meeting" else []
    if not (deletes or updates or any(write.mails for write in plan.writes)):
        return trips
    om, linked = plan.om, tx.count_links(plan.om.system, plan.stream.name)
    done = writes_done(tx, om.system, plan.stream.name, limits.window, worth=lambda number: number + len(
        updates) + len(deletes) > NEVER_BELOW)
    done = done.without(_withdrawn(tx, om, done.records()))
    for guard, what, mine, earlier, limit in (
        ("mass-delete", "delete", deletes, done.deleted, limits.deletion(om.entity).of(linked)),
        ("mass-blank", "blank values on", list(blanks.values()), done.blanked, limits.blanking(om.entity).of(linked)),
    ):
        before = len(earlier - {write.record for write in mine})
        if mine and len(mine) + before > limit:
            trips.append(_trip(guard, plan, mine, so_far, (
                f"would {what} {len(mine)} of {many(linked, 'record')}{_also(before, limits)}, more than {limit}")))
    trips += _one_field(plan, updates, done.changed, linked, limits, so_far)
    people = people_mailed(plan)
    if people and people + so_far.mailed > limits.mails:
        also = f" ({so_far.mailed} more in this run)" if so_far.mailed else ""
        allowed = f", more than {limits.mails}" if limits.mails else ""
        unasked = [write for write in plan.writes if write.mails is not None and not write.mails.asked]
        trips.append(_trip("mail-budget", plan, unasked, so_far, (
            f"would mail {many(people, 'person', 'people')}{also}{allowed}, and no organiser asked for it")))
    return trips


def people_mailed(plan: ObjectPlan) -> int:
    """How many messages the systems may send because of a plan, where no organiser asked for it."""
    return sum(len(write.mails.to) for write in plan.writes if write.mails is not None and not write.mails.asked)


def _withdrawn(tx: Transaction, om: ObjectMap, records: Iterable[str]) -> set[str]:
    """Those of these records that are meetings taken back because they are private: that waits for nobody's approval,
    and is no sign of a fault that would make a guard stop what comes after it."""
    if om.entity != "meeting":
        return set()
    return {id for id, state in tx.records(list(records)).items() if state.values.get("withdrawn")}


def _one_field(
    plan: ObjectPlan, updates: Iterable[PlannedWrite], earlier: Mapping[str, set[str]], linked: int, limits: Limits,
    so_far: SoFar,
) -> list[Trip]:
    by_field: dict[str, list[PlannedWrite]] = {}
    for write in updates:
        for name, after in write.after.items():
            if write.before.get(name) is not None and after != write.before.get(name):
                by_field.setdefault(name, []).append(write)
    trips = []
    for name, writes in by_field.items():
        before = len(earlier.get(name, set()) - {write.record for write in writes})
        if len(writes) + before > max(limits.one_field_count, int(linked * limits.one_field)):
            trips.append(_trip("mass-update", plan, writes, so_far, (
                f"would change {name} on {len(writes)} of {many(linked, 'record')}{_also(before, limits)}")))
    return trips


def _also(before: int, limits: Limits) -> str:
    return f" ({before} more were in the last {limits.hours} hours)" if before else ""


def _two_tools(tx: Transaction, plan: ObjectPlan, so_far: SoFar) -> list[Trip]:
    """Meetings that are about to be made and stand there already, written by somebody who writes many of them."""
    wanted = [write for write in plan.writes if write.op == "create"]
    found = rivals(tx, plan.om.system, [write.record for write in wanted])
    return [Trip("two-tools", plan.om.system, plan.stream.name, (
        f"{plan.om.system} {plan.stream.name}: {len(rival.records)} meetings that would be made stand there already, "
        f"written by {rival.author}: another tool seems to file the same calendars. {so_far}. Switch one of "
        f"the two off, or approve the run if these really are different meetings."),
        tuple({"record": write.record, "label": write.label} for write in wanted if write.record in rival.records))
        for rival in found]


def _trip(guard: str, plan: ObjectPlan, writes: Sequence[PlannedWrite], so_far: SoFar, what: str) -> Trip:
    return Trip(guard, plan.om.system, plan.stream.name, (
        f"{plan.om.system} {plan.stream.name}: this run {what}. {so_far}. Look at the list; approve the run "
        f"if it is meant, or mend the cause and run again."), tuple(_stopped(write) for write in writes))


def _stopped(write: PlannedWrite) -> dict[str, Any]:
    """One stopped write as it is shown; ``contents`` are the digests by which skipping it remembers it."""
    before, after = write.shown()
    contents = {"": content_digest({"delete": write.external_id})} if write.op == "delete" else {
        name: content_digest(value) for name, value in write.after.items()}
    return {"record": write.record, "label": write.label, "external_id": write.external_id, "op": write.op,
            "fields": {name: {"before": before.get(name), "after": value} for name, value in after.items()},
            "mails": list(write.mails.to) if write.mails else [], "contents": contents}
