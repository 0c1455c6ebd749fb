"""The plan: every write that would happen, with before, after and reason, computed without writing anything.

Only links behind their record, links with work left over, and records that changed and have no link are looked at: a
quiet system plans nothing and costs nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from sidefeed.calendars import foreign
from sidefeed.calendars.redact import secret_raw, told
from sidefeed.connector import Stream
from sidefeed.mapping import LensError, ObjectMap, Problem, Unresolved
from sidefeed.mapping import Mapping as Mappings
from sidefeed.sync import refs
from sidefeed.sync.adopt import open_creates, why_it_waits
from sidefeed.sync.due import in_sync, is_due, put_backs, remapped
from sidefeed.sync.flips import parked_fields
from sidefeed.sync.reunite import may_be_one, strangers
from sidefeed.sync.scope import frozen
from sidefeed.sync.whose import Whose
from sidefeed.sync.writes import MAPPING_CHANGED, ObjectPlan, PlannedWrite, Unwritable, followed, hold
from sidefeed.workspace import DELETED, Link, RecordState, Transaction
from sidefeed.workspace.report import label


def plan_object(
    tx: Transaction, mappings: Mappings, om: ObjectMap, stream: Stream, *, creatable: Mapping[str, ObjectMap]
) -> ObjectPlan:
    """Plan the writes to one feed. ``creatable`` maps each entity to the object of this system that holds it."""
    plan = ObjectPlan(om, stream, upto=tx.last_rev())
    if om.readonly:
        if om.entity == "meeting" and stream.partition:
            from sidefeed.calendars.planned import plan_calendar

            plan_calendar(tx, om, plan)
            _Planner(tx, om, plan, refs.outward(tx, om, []), refs.inward(tx, om, []), creatable, {},
                     Whose(tx, om, stream)).explain()
        return plan
    plan.since = since = tx.cursor(om.system, stream.name).planned_rev
    whose = Whose(tx, om, stream)
    ids = dict.fromkeys([*tx.due(om.system, stream.name), *tx.behind(om.system, stream.name, om.entity, since=since),
                         *whose.more(since)])
    if not ids:
        return plan
    links = tx.links(om.system, stream.name, list(ids))
    states = tx.records(list(ids))
    outward = refs.outward(tx, om, [state.values for state in states.values()])
    held = frozen(tx, mappings.objects, list(ids))
    known_refusals = tx.refusals(om.system, stream.name, list(ids))
    plan.looked_at = list(ids)
    to_update = [(states[id], links[id]) for id in ids if id in links and id in states]
    bases = tx.bases(om.system, stream.name, [
        state.id for state, link in to_update if link.state in ("live", "unwanted")])
    planner = _Planner(tx, om, plan, outward, refs.inward(tx, om, bases.values()), creatable, known_refusals, whose)
    unread = set(tx.inbox_bare(om.system, stream.name))
    for state, link in to_update:
        if state.id in held:
            plan.waiting[state.id] = _FROZEN
        elif link.external_id in unread:  # what it holds is not what was last seen, so nothing is decided on that
            plan.waiting[state.id] = f"what {om.system} holds of it is read first"
        elif link.state == "live" and state.merged_into is None:
            if state.deleted:
                planner.delete(state, link, bases.get(state.id, {}))
            else:
                planner.update(state, link, bases.get(state.id, {}))
        elif link.state == "unwanted":
            planner.retract(state, link, bases.get(state.id, {}))
        elif link.state == "creating":
            planner.await_create(state, link)
        elif link.state == "wanted" or (link.state == "gone" and _restored(state, link)):
            planner.create(state, link)
    for id in ids:
        if id in held and id not in links and planner.wanted(states[id]):
            plan.waiting[id] = _FROZEN
        elif id not in links and id in states:
            planner.create(states[id], None)
    if om.entity == "meeting":
        hold(plan, foreign.held(tx, states.values()), states)
    planner.explain()
    return plan


_FROZEN = "it left the scope of a system whose mapping freezes it"


def _restored(state: RecordState, link: Link) -> bool:
    """It was deleted here, and a person who saw that decided that it lives."""
    return (DELETED in link.exceptions and state.values.get(DELETED) is False and DELETED not in state.conflicts
            and not in_sync(link, state, DELETED))


class _Planner:
    def __init__(
        self, tx: Transaction, om: ObjectMap, plan: ObjectPlan, outward: refs.BatchRefs, inward: refs.BatchRefs,
        creatable: Mapping[str, ObjectMap], refusals: Mapping[str, Mapping[str, str]], whose: Whose,
    ) -> None:
        self.tx = tx
        self.om = om
        self.stream = plan.stream
        self.plan = plan
        self.refs = outward
        self.inward = inward
        self.creatable = creatable
        self.refusals = refusals
        self.whose = whose
        self.parked = parked_fields(tx)
        self.strangers = strangers(tx, plan.om.system, plan.stream.name)
        self.disputed = {record for records in tx.open_questions(plan.om.system, plan.stream.name).values()
                         for record in records}

    def update(self, state: RecordState, link: Link, image: Mapping[str, Any]) -> None:
        parked = self.parked.get(state.id, ())
        due = [spec for spec in self.om.fields if is_due(spec, link, state) and spec.name not in parked]
        backs = put_backs(link, state)
        if not due and not backs:
            self.plan.idle.append(link)
            return
        names, already = [], []
        for spec in due:
            value, held = state.values.get(spec.name), self._held(spec.name, image)
            if spec.leaves_alone(value, image) or (held is not _NOTHING and held == spec.lens.image(value)):
                already.append(spec.name)
            else:
                names.append(spec.name)
        raw, problems = self.om.write(state.values, names, self.refs, held=image)
        blocked = self._problems(state, problems, creating=False)
        raw, blocked_raw = self._without_refused(state, raw, names)
        blocked |= blocked_raw
        names = [name for name in names if name not in blocked]
        again = self._put_back(state, backs, raw)
        after = {name: value for name, value in raw.items() if name not in image or image[name] != value}
        if already or (names and not after):
            self.plan.settled.append((link, {name: list(state.heads_of(name))
                                             for name in already + ([] if after else names)}))
        if not after:
            if not already and state.id not in self.plan.waiting:
                self.plan.idle.append(link)
            return
        if self._same_refusal(state, "", after):
            self.plan.idle.append(link)
            return
        self.plan.writes.append(PlannedWrite(
            self.om.system, self.stream.name, state.id, state.entity, "update", label(state), link.external_id,
            state.rev, {name: image.get(name) for name in after}, after,
            {**{name: list(state.heads_of(name)) for name in names}, **again},
            {**{name: MAPPING_CHANGED for name in names if remapped(link, name)},
             **dict.fromkeys(again, "put back by an undo")}))

    def _put_back(
        self, state: RecordState, backs: Mapping[str, Mapping[str, Any]], raw: dict[str, Any]
    ) -> dict[str, list[int]]:
        """Add to ``raw`` exactly what the system held before a run that was undone. By field, the revisions that the
        system then knows: none where the record says something else, so that it counts as unseen there."""
        known: dict[str, list[int]] = {}
        for writer in self.om.following:
            raw.update(backs.get(followed(writer.field), {}).get("raw", {}))
        for name, back in backs.items():
            if name in self.om:
                own, _problems = self.om.write(state.values, [name], self.refs)
                same = self.om.field(name).lens.settled(back["raw"], own) and own.keys() & back["raw"].keys()
                known[name] = list(state.heads_of(name)) if same else []
                raw.update(self._without_refused(state, back["raw"], ())[0])
        return known

    def _held(self, name: str, image: Mapping[str, Any]) -> Any:
        """What the system is known to hold, read back through the lens; `_NOTHING` where that is not known."""
        lens = self.om.field(name).lens
        if not lens.raw or any(key not in image for key in lens.raw):
            return _NOTHING
        try:
            return lens.read(image, self.inward)
        except (LensError, Unresolved):
            return _NOTHING

    def wanted(self, state: RecordState) -> bool:
        """Whether the mapping asks for an object of a record that has none here."""
        return (self.om.creates and not state.deleted and state.merged_into is None and bool(state.values)
                and (self.om.create_when is None or self.om.create_when(state.values)) and self.whose.holds(state))

    def create(self, state: RecordState, link: Link | None) -> None:
        if not self.wanted(state):
            return
        never = link is None or link.generation == 0
        if state.id in self.disputed and not (never and self.strangers):
            self.plan.waiting[state.id] = self._may_be_there(state)
            return
        names = [spec.name for spec in self.om.fields
                 if spec.applies(state.values) and spec.name in state.values and spec.name not in state.conflicts]
        missing = list(self.om.missing(state.values))
        shown = {name: state.values[name] for name in state.conflicts if name in state.values}
        # A field that must be there is created with the value on show; the rest of a conflict stays unwritten.
        names += [name for name in shown if name in self.om and self.om.field(name).required_on_create]
        if missing:
            self._refuse(state, ",".join(missing), "required-missing",
                         f"{self.om.system} creates no {self.om.object} without {', '.join(missing)}: fill it in the "
                         f"workspace or in another system, or give it a default in the mapping")
            return
        raw, problems = self.om.write(state.values, names, self.refs, create=True)
        blocked = self._problems(state, problems, creating=True)
        if state.id in self.plan.waiting:
            self.plan.later.append(PlannedWrite(self.om.system, self.stream.name, state.id, state.entity, "create",
                                                label(state), None, state.rev, {},
                                                self._without_refused(state, raw, names)[0]))
            return
        required = {spec.name for spec in self.om.fields if spec.required_on_create}
        if blocked & required:
            return
        kept, blocked_raw = self._without_refused(state, raw, names)
        if blocked_raw & required:
            return
        if self._same_refusal(state, "", kept):
            if link is not None:
                self.plan.idle.append(link)
            return
        write = PlannedWrite(
            self.om.system, self.stream.name, state.id, state.entity, "create", label(state), None, state.rev,
            {}, kept, {name: list(state.heads_of(name)) for name in names
                       if name not in blocked and name not in blocked_raw})
        if never and self.strangers and (state.id in self.disputed or may_be_one(self.tx, state, self.strangers)):
            self.plan.doubtful.append(write)
            self.plan.waiting[state.id] = self._may_be_there(state)
        else:
            self.plan.writes.append(write)

    def await_create(self, state: RecordState, link: Link) -> None:
        """An earlier create was not answered, and its object is not there yet: a second one could become a copy."""
        intent = open_creates(self.tx, self.om.system, self.stream.name).get(link.key)
        if intent is not None and self.wanted(state):
            self.plan.waiting[state.id] = why_it_waits(state, intent)

    def _may_be_there(self, state: RecordState) -> str:
        return (f"{label(state)} may be there already: a person must say which {self.om.object} it is "
                f"(`sidefeed link` shows what could be meant)")

    def retract(self, state: RecordState, link: Link, image: Mapping[str, Any]) -> None:
        """Take back an object that we made; its record lives on."""
        if not self._same_refusal(state, "", {"delete": link.external_id}):
            self.plan.writes.append(PlannedWrite(
                self.om.system, self.stream.name, state.id, state.entity, "delete", label(state), link.external_id,
                state.rev, self._seen(image), reason="made by a run that was undone"))

    def delete(self, state: RecordState, link: Link, image: Mapping[str, Any]) -> None:
        if self.om.deletes == "unlink":
            return
        if self._same_refusal(state, "", {"delete": link.external_id}):
            return
        self.plan.writes.append(PlannedWrite(
            self.om.system, self.stream.name, state.id, state.entity, "delete", label(state), link.external_id,
            state.rev, self._seen(image), fields={DELETED: list(state.heads_of(DELETED))}))

    def _seen(self, image: Mapping[str, Any]) -> dict[str, Any]:
        """What an object must still hold when it is deleted: an edit that nobody saw is not deleted with it."""
        return {raw: image[raw] for spec in self.om.fields if spec.reads for raw in spec.lens.raw if raw in image}

    # -- what cannot be written now -----------------------------------------------------------------------------

    def _problems(self, state: RecordState, problems: Iterable[Problem], *, creating: bool) -> set[str]:
        """Fields that cannot cross: a parent still to be created makes the record wait, anything else is refused."""
        blocked = set()
        for problem in problems:
            blocked.add(problem.field)
            if problem.code == "unresolved" and problem.id and problem.entity and problem.entity in self.creatable:
                parent = self.tx.record(problem.id)
                om = self.creatable[problem.entity]
                if parent is not None and om.creates and not om.readonly and not parent.deleted and (
                        om.create_when is None or om.create_when(parent.values)):
                    if creating:
                        self.plan.waiting[state.id] = f"{problem.entity} {label(parent)} is not in {self.om.system} yet"
                    continue
            message = problem.message
            if problem.code == "unresolved" and problem.entity and problem.id:
                missing = self.tx.record(problem.id)
                message = (f"{problem.entity} {label(missing) if missing else problem.id} is not known in "
                           f"{self.om.system}, so {problem.field} stays as it is there; add the {problem.entity} in "
                           f"{self.om.system}, or give the record another")
            self._refuse(state, problem.field, problem.code, message,
                         problem.id if problem.code == "unresolved" else None)
        return blocked

    def _refuse(self, state: RecordState, name: str, code: str, message: str, needs: str | None = None) -> None:
        said = told(self.om, name, code, message)
        self.plan.refused.append(Unwritable(state.id, label(state), name, code, said, needs))

    def _without_refused(
        self, state: RecordState, raw: Mapping[str, Any], names: Iterable[str]
    ) -> tuple[dict[str, Any], set[str]]:
        """Leave out raw values that the system refused and that are still the same."""
        refused = self.refusals.get(state.id, {})
        kept, blocked = dict(raw), set()
        for name, content in refused.items():
            if name in kept and content == content_digest(kept[name]):
                del kept[name]
                blocked |= {field for field in names if name in self.om.field(field).lens.raw}
        if blocked:
            for field in blocked:
                for key in self.om.field(field).lens.raw:
                    kept.pop(key, None)
        return kept, blocked

    def _same_refusal(self, state: RecordState, name: str, content: Any) -> bool:
        return self.refusals.get(state.id, {}).get(name) == content_digest(content)

    def explain(self) -> None:
        """Name for each field the change that asks for the write, and for each new object where it comes from."""
        self.plan.origins = self.tx.origins([write.record for write in self.plan.writes if write.op == "create"]
                                            + list(self.plan.waiting))
        revs = {rev for write in self.plan.writes for heads in write.fields.values() for rev in heads}
        details = self.tx.head_details(revs)
        secret = secret_raw(self.om)
        for write in self.plan.later:
            write.secret, write.reason = secret, self.plan.waiting[write.record]
        for write in self.plan.writes:
            write.secret = secret
            for name, heads in write.fields.items():
                if heads and name not in write.why and (change := details.get(heads[-1])) is not None:
                    write.why[name] = f"{change.actor} in {change.source}, {change.at[:16]}" + (
                        f" ({change.reason})" if change.reason else "")
            asked_by = "; ".join(sorted(set(write.why.values())))
            write.reason = f"not in {write.system} yet" if write.op == "create" else asked_by or write.reason


_NOTHING = object()


def content_digest(content: Any) -> str:
    """What a refusal is remembered by: the same content is not asked again."""
    return hashlib.blake2b(orjson.dumps(content, option=orjson.OPT_SORT_KEYS), digest_size=12).hexdigest()
