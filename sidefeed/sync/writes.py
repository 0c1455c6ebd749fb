"""What a plan consists of: the writes to one feed, what waits and why, and how many requests they need at least.

Pure data. `plan.py` and `calendars/planned.py` make it, guards read it, `apply.py` carries it out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sidefeed.calendars.policy import SECRET
from sidefeed.calendars.redact import masked
from sidefeed.connector import Capabilities, Stream
from sidefeed.mapping import ObjectMap
from sidefeed.workspace import DELETED, Link, RecordState

Op = Literal["create", "update", "delete"]

MAPPING_CHANGED = "mapping changed"
"""Why a field is written that nobody edited."""


@dataclass(frozen=True, slots=True)
class Mails:
    """The messages that one write sends: what, to whom, about which meeting, and whether its organiser asked."""

    kind: str
    to: tuple[str, ...]
    organiser: str
    asked: bool

    def as_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "to": list(self.to), "organiser": self.organiser, "asked_by_organiser": self.asked}


@dataclass(slots=True)
class PlannedWrite:
    """One write to one system. ``before`` and ``after`` are raw values by the system's own field names; ``why`` names
    for each workspace field the revision, actor, source and time that ask for it. ``secret`` names the raw values that
    are withheld wherever the plan is shown."""

    system: str
    object: str
    record: str
    entity: str
    op: Op
    label: str
    external_id: str | None
    rev: int
    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)
    fields: dict[str, list[int]] = field(default_factory=dict)
    why: dict[str, str] = field(default_factory=dict)
    reason: str = ""
    secret: frozenset[str] = frozenset()
    mails: Mails | None = None

    def shown(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Before and after as people may read them."""
        return masked(self.before, self.secret), masked(self.after, self.secret)

    def as_json(self) -> dict[str, Any]:
        before, after = self.shown()
        return {"system": self.system, "object": self.object, "op": self.op, "record": self.record,
                "entity": self.entity, "label": self.label, "external_id": self.external_id, "reason": self.reason,
                "fields": {name: {"before": before.get(name), "after": value} for name, value in after.items()},
                "why": self.why, **({"mails": self.mails.as_json()} if self.mails else {})}


@dataclass(frozen=True, slots=True)
class Unwritable:
    """A field that cannot cross. ``needs`` is the record that must be known in the system first, where that is why."""

    record: str
    label: str
    field: str
    code: str
    message: str
    needs: str | None = None


@dataclass(slots=True)
class ObjectPlan:
    """The writes to one feed, what waits and why, and links that need no write after all (``settled`` names the
    revisions of each field that the system holds already).

    ``origins`` names the records that are created or wait by an object they live as elsewhere; ``doubtful`` are creates
    that wait because they may be there already, made by a later state of a workspace that was restored from a backup.
    ``later`` are those that wait for a parent which the same run creates, as far as they are known before.
    It covers what changed after the revision ``since``, up to ``upto``.
    """

    om: ObjectMap
    stream: Stream
    writes: list[PlannedWrite] = field(default_factory=list)
    waiting: dict[str, str] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    refused: list[Unwritable] = field(default_factory=list)
    settled: list[tuple[Link, dict[str, list[int]]]] = field(default_factory=list)
    idle: list[Link] = field(default_factory=list)
    doubtful: list[PlannedWrite] = field(default_factory=list)
    later: list[PlannedWrite] = field(default_factory=list)
    upto: int = 0
    since: int = 0
    looked_at: list[str] = field(default_factory=list)

    def min_calls(self, capabilities: Capabilities) -> int:
        """The least requests that the batch sizes allow for these writes, reading before writing included."""
        return min_calls(self.writes, capabilities)


def min_calls(writes: Iterable[PlannedWrite], capabilities: Capabilities) -> int:
    """``n = sum over operations of ceil(k / batch)``, plus one read a batch where the system has no condition."""
    by_op: dict[str, int] = {}
    for write in writes:
        by_op[write.op] = by_op.get(write.op, 0) + 1
    calls = sum(-(-count // capabilities.write_batch) for count in by_op.values())
    if not capabilities.conditional:
        calls += sum(-(-count // min(capabilities.read_batch, capabilities.write_batch))
                     for op, count in by_op.items() if op != "create")
    return calls


def keep_only(plan: ObjectPlan, parts: Mapping[str, Collection[str]]) -> None:
    """Leave everything else for the next sync: other records, and other fields of these. ``parts`` names the fields by
    record; an empty name or that of deletion stands for the object, which may then be created or deleted."""
    kept = []
    for write in plan.writes:
        wanted = parts.get(write.record, ())
        if write.op == "update":
            _keep_fields(plan.om, write, wanted)
        if write.after if write.op == "update" else {"", DELETED} & set(wanted):
            kept.append(write)
        else:
            plan.waiting[write.record] = "not part of this run; the next sync takes it up"
    plan.writes = kept


def hold(plan: ObjectPlan, held: Mapping[str, str], states: Mapping[str, RecordState]) -> None:
    """Leave of the meetings that are ``held``, each for a reason, only what takes something out of the system: what may
    not be there waits for nobody."""
    kept = []
    for write in plan.writes:
        if write.record in held and write.op == "update":
            values = states[write.record].values
            _keep_fields(plan.om, write, [name for name in SECRET if values.get(name) in (None, "", [])])
        if write.record not in held or write.op == "delete" or (write.op == "update" and write.after):
            kept.append(write)
        else:
            plan.waiting[write.record] = held[write.record]
    plan.writes = kept


def _keep_fields(om: ObjectMap, write: PlannedWrite, names: Collection[str]) -> None:
    write.fields = {name: revs for name, revs in write.fields.items() if name in names}
    raw = {key for name in write.fields for key in om.field(name).lens.raw}
    raw |= {each.field for each in om.following if followed(each.field) in names}
    write.after = {key: value for key, value in write.after.items() if key in raw}
    write.before = {key: value for key, value in write.before.items() if key in raw}
    write.why = {name: why for name, why in write.why.items() if name in names}
    write.reason = "; ".join(sorted(set(write.why.values())))


def followed(field: str) -> str:
    """How a raw field that follows others (`writes` in the mapping) is called where fields are named."""
    return f"writes {field}"
