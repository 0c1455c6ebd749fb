"""A changed mapping run on practice systems that hold a sample: what it would write, refuse and lose, and what is odd.

First the mapping as it is runs until nothing is left to write: that is how things stand. Then the changed mapping makes
its plan, which is what it would do for real, and carries it out there, so that the systems' own rules have their say.
What happens under the changed mapping alone is put down to the change.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import sqlalchemy as sa

from sidefeed.mapping import Mapping as Mappings
from sidefeed.sync.authors import Authors
from sidefeed.sync.edited import WHEN, Edited, Tried, edited, tried
from sidefeed.sync.engine import Engine
from sidefeed.sync.odd import Oddity, Reason, because, odd_values
from sidefeed.sync.report import Report
from sidefeed.sync.sample import Place
from sidefeed.sync.saved import SavedPlan
from sidefeed.sync.writes import ObjectPlan, PlannedWrite
from sidefeed.workspace import Draft, RecordState, Store
from sidefeed.workspace import tables as t
from sidefeed.workspace.report import label

RUNS = 4
"""How often the mapping as it is runs at most before things stand; what is left then is put down to it."""

Said = tuple[str, str, str | None, str]
"""Feed, record or object, field and code of something that went wrong."""


@dataclass(slots=True)
class Rehearsal:
    """What a rehearsal found. ``kinds`` counts by feed; ``odd`` is strangest first; ``lost`` are the reasons that are
    put down to the change: values or records refused, cut, blanked or no longer read."""

    plan: SavedPlan
    kinds: dict[str, Counter[str]] = field(default_factory=dict)
    fields: dict[tuple[str, str], Counter[str]] = field(default_factory=dict)
    odd: list[Oddity] = field(default_factory=list)
    lost: Counter[str] = field(default_factory=Counter)
    parked: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    later: list[dict[str, Any]] = field(default_factory=list)
    """Writes that a record gets under the changed mapping alone, when it is next edited."""
    standing: list[str] = field(default_factory=list)
    """What goes wrong under the mapping as it is, too."""

    @property
    def ok(self) -> bool:
        return not self.lost and not self.parked and not self.failed

    def as_json(self, most: int | None = None) -> dict[str, Any]:
        return {"kinds": {feed: dict(counts) for feed, counts in self.kinds.items()},
                "fields": [{"feed": feed, "field": name, **counts} for (feed, name), counts in self.fields.items()],
                "later": self.later, "odd": [asdict(one) for one in self.odd[:most]], "odd_records": len(self.odd),
                "lost": dict(self.lost), "parked": self.parked, "failed": self.failed, "standing": self.standing}


def adapted(mapping: Mappings, objects: Mapping[str, Sequence[str]]) -> Mappings:
    """The mapping of what is rehearsed. A scope in a system's own language was applied when the sample was read."""
    return replace(mapping, objects=tuple(
        replace(om, scope=om.scope if isinstance(om.scope, dict) else None) for om in mapping.objects
        if om.object in objects.get(om.system, ())))


def rehearse(
    store: Store, old: Mappings | None, new: Mappings, *,
    disputed: set[tuple[str, str]] | None = None, authors: Authors | None = None,
    live: Mapping[Place, str] | None = None, engine: Callable[[Mappings], Engine],
    progress: Callable[[str, int], None] | None = None,
) -> Rehearsal:
    """Run ``new`` after ``old`` on the practice systems of ``engine``, over a ``store`` that knows who is who.

    Without ``old`` the two meet for the first time. ``live`` gives the live id of each practice object, ``disputed``
    the fields that people disagree about, ``authors`` who said what. Raises GuardTripped where the mapping as it is
    cannot run.
    """
    standing = _settled(
        store, old, engine, disputed or set(), authors or Authors(), live or {}, progress) if old is not None else []
    before = _states(store, new)
    changed = engine(new)
    _step(progress, "planning")
    plans, planned = changed.plan()
    saved = changed.save_plan(plans, planned)
    known = {_said(one) for report in standing for one in report.problems}
    found = _Finder(old, new, known, before, _identities(store))
    for plan in plans:
        found.planned(plan)
    rehearsal = Rehearsal(saved, found.kinds, found.fields, parked=list(planned.parked), failed=dict(planned.failed))
    if not planned.failed:
        _step(progress, "running the changed mapping")
        done = changed.sync(approve=True, confirm_mapping=True)
        found.identities |= _identities(store)
        found.problems(planned)
        found.problems(done)
        rehearsal.failed = dict(done.failed)
        after = _states(store, new)
        found.absorbed(after)
        again, _report = changed.plan()
        found.differing([write for plan in again for write in plan.writes if write.op == "update"])
        if old is not None:
            _step(progress, "editing each record")
            ones = list(edited(store, old, new, changed.connectors))
            for one in ones:
                found.edited(one)
            for told in tried([one.write for one in ones if one.write is not None], new, changed.connectors):
                found.tried(told)
            rehearsal.later = [one.write.as_json() for one in ones if one.write is not None]
    rehearsal.standing = sorted({str(one) for report in standing[-1:] for one in report.problems})
    rehearsal.odd, rehearsal.lost = found.odd(), found.lost
    rehearsal.fields = dict(sorted(found.fields.items()))
    return _told(rehearsal, live or {})


def _settled(
    store: Store, old: Mappings, engine: Callable[[Mappings], Engine], disputed: set[tuple[str, str]],
    authors: Authors, live: Mapping[Place, str], progress: Callable[[str, int], None] | None,
) -> list[Report]:
    """Run the mapping as it is until nothing is left to write. Where the copies differ, and nobody disputes it in the
    workspace, what is shown stands."""
    reports: list[Report] = []
    for _again in range(RUNS):
        _step(progress, "running the mapping as it is")
        reports.append(engine(old).sync(approve=True, confirm_mapping=True))
        with store.write() as tx:
            for state in [one for name in old.entities for one in tx.each_record(name) if one.conflicts]:
                chosen = {name: state.values.get(name) for name in state.conflicts if (state.id, name) not in disputed}
                if chosen:
                    tx.append([Draft(state.entity, state.id, chosen, "rehearsal", "workspace",
                                     base={name: state.heads_of(name) for name in chosen})])
            if len(reports) == 1:
                authors.repeat(tx, reports[0].run, live)
        if not reports[-1].counts.get("written") and len(reports) > 1:
            break
    return reports


def _step(progress: Callable[[str, int], None] | None, what: str) -> None:
    if progress is not None:
        progress(what, 1)


def _states(store: Store, mapping: Mappings) -> dict[str, RecordState]:
    with store.read() as tx:
        return {state.id: replace(state, values=dict(state.values)) for name in mapping.entities
                for state in tx.each_record(name)}


def _identities(store: Store) -> dict[tuple[str, str], str]:
    """Feed and id -> record."""
    with store.read() as tx:
        return {(f"{row.system} {row.object}", row.external_id): row.record
                for row in tx.connection.execute(sa.select(t.remote))}


def _said(problem: Any) -> Said:
    return f"{problem.system} {problem.object}", problem.record, problem.field, problem.code


class _Finder:
    """Gathers, record by record, what is odd, and what of it the change brought."""

    def __init__(
        self, old: Mappings | None, new: Mappings, known: set[Said], before: Mapping[str, RecordState],
        identities: dict[tuple[str, str], str],
    ) -> None:
        self.identities = identities
        self.old = {(om.system, om.object): om for om in old.objects} if old is not None else {}
        self.new = {(om.system, om.object): om for om in new.objects}
        self.known = known
        self.before = before
        self.kinds: dict[str, Counter[str]] = {}
        self.fields: dict[tuple[str, str], Counter[str]] = {}
        self.lost: Counter[str] = Counter()
        self.reasons: dict[tuple[str, str], list[Reason]] = {}
        self.names: dict[tuple[str, str], tuple[str, str | None]] = {}
        self.seen: set[tuple[str, str, str, str]] = set()
        self.told: set[Said] = set()
        self.by_label: dict[tuple[str, str], str] = {}

    def planned(self, plan: ObjectPlan) -> None:
        feed = f"{plan.om.system} {plan.stream.name}"
        counts = self.kinds.setdefault(feed, Counter())
        for write in plan.writes:
            counts[write.op] += 1
            self.names[feed, write.record] = (write.label, write.external_id)
            self.by_label[feed, write.label] = write.record
            for name in write.after:
                self.fields.setdefault((feed, name), Counter())[_kind(write, name)] += 1
            if write.op == "delete":
                self._add(feed, write.record, Reason("deleted", "", "it would be deleted there"), new=True)
            was = self.old.get((plan.om.system, plan.om.object))
            state = self.before.get(write.record)
            for reason, new in odd_values(plan.om, was, write, state.values if state else {}):
                self._add(feed, write.record, reason, new=new)
        for one in plan.refused:
            self.names.setdefault((feed, one.record), (one.label, None))
            self.by_label[feed, one.label] = one.record
            said = (feed, one.record, one.field, one.code)
            self.told.add(said)
            self._add(feed, one.record, because(one.field, one.code, one.message, reading=False),
                      new=said not in self.known)
        for record, why in plan.waiting.items():
            if "is not in" not in why:
                self._add(feed, record, Reason("waits", "", why), new=False)
            counts["waits"] += 1

    def problems(self, report: Report) -> None:
        """What could not be read, and what the practice systems refused."""
        for one in report.problems:
            said = _said(one)
            if said not in self.told:
                self.told.add(said)
                record = self.identities.get((said[0], one.record))
                if record is not None:
                    self.names.setdefault((said[0], record), ("", one.record))
                reason = because(one.field or "", one.code, one.message, reading=record is not None)
                record = record or self.by_label.get((said[0], one.record), one.record)
                self._add(said[0], record, reason, new=said not in self.known)

    def absorbed(self, after: Mapping[str, RecordState]) -> None:
        """Values of the workspace that the changed mapping reads otherwise."""
        for id, state in after.items():
            was = self.before.get(id)
            for name, value in (was.values if was is not None else {}).items():
                now = state.values.get(name)
                if value in (None, "", []) or now == value or name.startswith("_"):
                    continue
                self.names.setdefault(("workspace", id), (label(state), None))
                if was is not None and name in state.conflicts and name not in was.conflicts:
                    self._add("workspace", id, Reason("disputed", name, f"{name} would be in conflict", value, now),
                              new=True)
                elif now in (None, "", []):
                    self._add("workspace", id, Reason("blanked", name, f"{name} would be blank here; it was {value!r}",
                                                      value, now), new=True)
                elif name not in state.conflicts:
                    said = f"{name} would be read as {_called(now)} instead of {_called(value)}"
                    self._add("workspace", id, Reason("far", name, said, value, now, _READ_OTHERWISE), new=True)

    def differing(self, writes: Sequence[PlannedWrite]) -> None:
        """What the system made something else of, so that it would be written again."""
        for write in writes:
            feed = f"{write.system} {write.object}"
            self.names.setdefault((feed, write.record), (write.label, write.external_id))
            names = ", ".join(write.after)
            self._add(feed, write.record, Reason(
                "differs", names, f"{names} differs again after it was written: the system makes something else of it",
                write.after, write.before), new=True)

    def edited(self, one: Edited) -> None:
        """What the changed mapping does to a record when somebody edits it."""
        assert one.om is not None
        self.names.setdefault((one.feed, one.record), (one.label, one.external_id))
        if one.write is not None:
            self.kinds.setdefault(one.feed, Counter())["later"] += 1
            for name in one.write.after:
                self.fields.setdefault((one.feed, name), Counter())["later"] += 1
            for reason, new in odd_values(one.om, one.was, one.write, one.values):
                self._add(one.feed, one.record, _later(reason), new=new)
        for problem in one.unwritable:
            reason = because(problem.field, problem.code, problem.message, reading=False)
            self._add(one.feed, one.record, _later(reason), new=True)
        for problem in one.unreadable:
            reason = because(problem.field, problem.code, problem.message, reading=True)
            self._add(one.feed, one.record, _later(reason), new=True)
        for name, (was, now) in one.otherwise.items():
            blank = now in (None, "", [])
            said = f"{name} would be read as {_called(now)} instead of {_called(was)}"
            reason = Reason("blanked" if blank else "far", name, said, was, now, -1 if blank else _READ_OTHERWISE)
            self._add(one.feed, one.record, _later(reason), new=True)

    def tried(self, told: Tried) -> None:
        """What a practice system refused of that, or made of it."""
        feed = f"{told.write.system} {told.write.object}"
        if told.error is not None:
            name = getattr(told.error, "field", None) or ", ".join(told.write.after)
            reason = Reason("refused", name, f"{told.error.message} [{told.error.code}]")
        else:
            name = ", ".join(told.holds)
            sent = {key: told.write.after.get(key) for key in told.holds}
            reason = Reason("differs", name, f"{name} is sent as {sent} and held as {dict(told.holds)}", sent,
                            dict(told.holds))
        self._add(feed, told.write.record, _later(reason), new=True)

    def _add(self, feed: str, record: str, reason: Reason, *, new: bool) -> None:
        key = (feed, record, reason.kind, reason.field)
        if key in self.seen:
            return
        self.seen.add(key)
        self.reasons.setdefault((feed, record), []).append(replace(reason, new=new))
        self.kinds.setdefault(feed, Counter())[reason.kind] += 1
        if new and reason.loses:
            self.lost[reason.kind] += 1

    def odd(self) -> list[Oddity]:
        found = []
        for (feed, record), reasons in self.reasons.items():
            name, external = self.names.get((feed, record), ("", None))
            state = self.before.get(record)
            found.append(Oddity(feed, record, external, name or (label(state) if state else record),
                                tuple(sorted(reasons, key=lambda one: -one.score)),
                                sum(one.score for one in reasons)))
        return sorted(found, key=lambda one: (-one.score, one.feed, one.record))


_READ_OTHERWISE = 15


def _later(reason: Reason) -> Reason:
    return replace(reason, said=f"{reason.said} ({WHEN})")


def _called(value: Any) -> str:
    return "blank" if value in (None, "", []) else repr(value)


def _kind(write: PlannedWrite, name: str) -> str:
    before, after = write.before.get(name), write.after[name]
    if write.op == "create" or before in (None, "", []):
        return "filled"
    return "cleared" if after in (None, "", []) else "changed"


_ID = re.compile(r"\b\w{6,}\b")


def _told(rehearsal: Rehearsal, live: Mapping[Place, str]) -> Rehearsal:
    """In the ids that people know: those of the live systems."""
    by_feed = {(f"{system} {name}", there): here for (system, name, there), here in live.items()}
    anywhere = {there: here for (_system, _name, there), here in live.items()}

    def value(raw: Any) -> Any:
        if isinstance(raw, str):
            role, colon, id = raw.rpartition(":")
            return f"{role}{colon}{anywhere.get(id, id)}"
        if isinstance(raw, list | tuple):
            return [value(each) for each in raw]
        return {key: value(each) for key, each in raw.items()} if isinstance(raw, dict) else raw

    def row(told: dict[str, Any]) -> dict[str, Any]:
        there = by_feed.get((f"{told['system']} {told['object']}", told["external_id"] or ""))
        row = {**told, "external_id": there or told["external_id"], "fields": value(told["fields"])}
        if "origin" in told:
            row["origin"] = " ".join(value(part) for part in told["origin"].split(" "))
        return row

    rehearsal.later = sorted(map(row, rehearsal.later), key=lambda one: (
        one["system"], one["object"], one["external_id"]))
    rehearsal.plan = replace(rehearsal.plan, writes=tuple(row(told) for told in rehearsal.plan.writes))
    rehearsal.odd = [replace(
        one, external_id=by_feed.get((one.feed, one.external_id or one.record), one.external_id),
        reasons=tuple(replace(why, said=_ID.sub(lambda found: anywhere.get(found[0], found[0]), why.said),
                              before=value(why.before), after=value(why.after)) for why in one.reasons))
        for one in rehearsal.odd]
    return rehearsal

