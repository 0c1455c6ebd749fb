"""One run, from end to end: recover, capture, guard, absorb, plan, guard, apply.

A run is plain functions in a fixed order over the store and the connectors. Each system fails alone; a crash anywhere,
followed by the same run, ends where no crash would have ended. See ``docs/architecture.md``.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from sidefeed.audit import configuration, seal
from sidefeed.calendars import CalendarPolicy
from sidefeed.calendars.facts import derive
from sidefeed.calendars.forget import forget
from sidefeed.calendars.redact import secret_fields
from sidefeed.collector import rarely_collecting
from sidefeed.connector import Connector, ConnectorError, Stream
from sidefeed.errors import Codes
from sidefeed.mapping import Mapping as Mappings
from sidefeed.mapping import ObjectMap
from sidefeed.sync import quarantine, schemas
from sidefeed.sync.apply import apply
from sidefeed.sync.awaited import wake
from sidefeed.sync.budget import Budget, Meter
from sidefeed.sync.capture import Progress, capture, missing_ids, read_anew, swept
from sidefeed.sync.flips import park
from sidefeed.sync.guard import (
    Approval,
    GuardTripped,
    Limits,
    SoFar,
    Trip,
    check_inbox,
    check_plan,
    check_sweep,
    people_mailed,
    refuse,
)
from sidefeed.sync.hold import hold, note
from sidefeed.sync.match import index, natural_keys
from sidefeed.sync.matching import LinkPlan, questions
from sidefeed.sync.plan import plan_object
from sidefeed.sync.recover import recover
from sidefeed.sync.report import Report
from sidefeed.sync.retranslate import changed_fields, check_reading, note_fields, noted_fields, retranslate
from sidefeed.sync.reunite import reunite, strangers
from sidefeed.sync.saved import SavedPlan, WorldMoved
from sidefeed.sync.shards import HEAD, PART, Shard
from sidefeed.sync.writes import ObjectPlan, keep_only
from sidefeed.workspace import Store, Transaction
from sidefeed.workspace.pauses import EVERYTHING, Pause, pause_of, pauses
from sidefeed.workspace.tables import metadata

if TYPE_CHECKING:
    from sidefeed.sync.census import FeedCensus
    from sidefeed.sync.trace import Trace
    from sidefeed.sync.undo import Undone

WAVES = 4
"""How often one run looks again at what moved while it wrote; what is left then waits for the next run."""

Step = Callable[[list[str], Report], None]
"""Something a run does between reading and writing, with the systems that answered and the report."""


Narrow = Callable[[ObjectPlan], None]
"""Takes out of a feed's plan what this run is not to write; it waits for the next one."""


@dataclass(slots=True)
class Engine:
    """The sync of one workspace with its systems. ``connectors`` maps each system's name to its connector."""

    store: Store
    mappings: Mappings
    connectors: Mapping[str, Connector]
    limits: Limits = field(default_factory=Limits)
    progress: Progress | None = None
    calendars: CalendarPolicy = field(default_factory=CalendarPolicy)
    budgets: Mapping[str, Budget] = field(default_factory=dict)
    looks: bool = False
    """Whether the day's first run keeps a copy of each live schema, against which `sidefeed check` tells drift."""
    shard: Shard | None = None
    """Of which part of a system's mailboxes this is the sync; of all of them if None."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The settings that the audit trail follows, by name; without secrets."""
    codes: Codes = field(default_factory=Codes, init=False)
    meter: Meter = field(init=False)
    unread: list[Pause] = field(default_factory=list, init=False)
    """The pauses under which feeds take no part in this run."""

    def __post_init__(self) -> None:
        self.store.calendars = self.calendars
        self.store.natural_keys = natural_keys(self.mappings)
        self.meter = Meter(self.store, self.connectors, self.budgets)
        self.codes = Codes(code for connector in self.connectors.values() for code in getattr(connector, "codes", ()))

    def sync(
        self, systems: Sequence[str] | None = None, *, approve: Approval = False, confirm_mapping: bool = False,
    ) -> Report:
        """Bring the given systems (all, if none are named) and the workspace to agreement.

        ``approve`` lets a run pass that a guard stopped; ``confirm_mapping`` accepts that the mapping is another one
        than at the last run. Raises GuardTripped (nothing was written) and LeaseHeld; a system that fails is told in
        the report and holds back no other.
        """
        return self._run("sync", systems, approve=approve, confirm_mapping=confirm_mapping)

    def sync_part(self, what: str, narrow: Narrow, *, approve: Approval = False) -> Report:
        """A sync under the present mapping that writes only what ``narrow`` leaves in each plan; the rest waits."""
        return self._run(what, None, approve=approve, confirm_mapping=True, narrow=narrow)

    def approve(self, run: str) -> Report:
        """Run again what a guard parked, and let exactly that pass: these guards at these feeds, for no more records
        than were shown. It waits on where a system it needs failed. Raises StoreError where no such run waits,
        GuardTripped where more came since."""
        from sidefeed.sync.approval import carried_out, parked

        with self.store.read() as tx:
            waiting = parked(tx, run)
        approval = waiting.approval({(om.system, om.object): om.entity for om in self.mappings.objects})
        report = self._run("sync", [name for name in waiting.systems if name in self.connectors],
                           approve=approval, confirm_mapping=waiting.confirms_mapping)
        with self.store.write() as tx:
            carried_out(tx, waiting, approval, report)
        report.audit_head = str(seal(self.store, self.progress))
        return report

    def apply(self, saved: SavedPlan, *, approve: Approval = False) -> Report:
        """Do exactly what a saved plan says. Raises WorldMoved, naming the differences, before the first write where a
        sync would now do anything else."""
        if saved.mapping != self.mappings.fingerprint:
            raise WorldMoved(["the mapping files changed"])

        def unmoved(live: list[str], report: Report) -> None:
            with self.store.read() as tx:
                plans = self._plans(tx, live, report)
                saved.check(plans)
                for plan in plans:
                    hold(tx, plan, report)
            if report.paused:  # exactly what the plan says, or nothing
                raise WorldMoved(list(report.paused.values()))

        return self._run("apply", saved.systems, approve=approve, confirm_mapping=True, before_writing=unmoved,
                         narrow=saved.hold_to)

    def undo(
        self, run: str, *, record: str | None = None, field: str | None = None, actor: str = "ops"
    ) -> tuple[Undone, Report]:
        """Take a run back, where nobody touched it since: read what people did, compensate, plan, write.

        Only what is taken back is written; everything else that is due waits for the next sync, and its guards.
        Feeds whose mapping changed since the last run take no part: `sync` brings them into line once the new mapping
        is confirmed. Raises StoreError where no run has that id.
        """
        from sidefeed.sync.approval import carried_out_by

        with self.store.read() as tx:
            run = carried_out_by(tx, run)
        found: list[Undone] = []
        report = self._run(
            f"undo {run} in", None, approve=False, confirm_mapping=False, skip_changed=True, writing=True,
            before_writing=lambda live, report: self._undo(run, record, field, actor, found),
            narrow=lambda plan: keep_only(plan, found[0].parts_in(plan.om.system, plan.stream.name)))
        return found[0], report

    def plan_undo(
        self, run: str, *, record: str | None = None, field: str | None = None, actor: str = "ops"
    ) -> tuple[Undone, list[ObjectPlan], Report]:
        """What `undo` would do, computed on a scratch copy: nothing is written anywhere."""
        from sidefeed.sync.approval import carried_out_by
        from sidefeed.sync.undo import Undone

        with self.store.read() as tx:
            run = carried_out_by(tx, run)
        found: list[Undone] = []
        plans, report = self.plan(
            skip_changed=True, narrow=lambda plan: keep_only(plan, found[0].parts_in(plan.om.system, plan.stream.name)),
            before_writing=lambda engine: lambda live, report: engine._undo(run, record, field, actor, found))
        return (found[0] if found else Undone(run)), plans, report

    def _undo(self, run: str, record: str | None, field: str | None, actor: str, found: list[Undone]) -> None:
        from sidefeed.sync.undo import undo

        with self.store.write() as tx:
            found.append(undo(tx, self.mappings, run, actor=actor, record=record, only=field))

    def _run(
        self, what: str, systems: Sequence[str] | None, *, approve: Approval, confirm_mapping: bool,
        before_writing: Step | None = None, narrow: Narrow | None = None, skip_changed: bool = False,
        writing: Approval | None = None,
    ) -> Report:
        names = list(systems or self.connectors)
        with self.store.write() as tx:
            part = f"{PART}{self.shard.name}" if self.shard is not None and self.shard.name != HEAD else ""
            run = tx.begin_run(" ".join([what, *names]) + part)
            configuration.note_settings(tx, self.settings, run)
        self.store.run = run
        report = Report(run, codes=self.codes)
        state = "failed"
        trips: list[dict[str, Any]] = []
        try:
            with rarely_collecting(), ExitStack() as leases:
                for name in names:
                    own = f"sync:{name}" if self.shard is None else self.shard.lease(name)
                    leases.enter_context(self.store.lease(own, run))
                    if self.shard is not None:
                        leases.enter_context(self.store.share_lease(f"sync:{name}", self.shard.lead))
                live = self._identify(names, report, confirm_mapping=confirm_mapping, skip_changed=skip_changed)
                self._read(live, report, approve=approve)
                if before_writing is not None:
                    before_writing(live, report)
                self._write(live, report, approve=approve if writing is None else writing, narrow=narrow)
                if self.looks:
                    self._look(live, report)
            state = "done" if report.ok else "incomplete"
        except GuardTripped as tripped:
            report.parked = [trip.message for trip in tripped.trips]
            trips = [trip.as_json() for trip in tripped.trips]
            state = "parked"
            tripped.run, tripped.what = run, what
            raise
        except WorldMoved:
            state = "moved"
            raise
        finally:
            self.meter.settle()
            with self.store.write() as tx:
                tx.end_run(run, state, report.counts, {**report.as_json(), "trips": trips, "systems": names})
                configuration.note_run(tx, run, what, state, names, report.counts, report.approved, report.parked)
            self.store.run = None
            report.audit_head = str(seal(self.store, self.progress))
        if forget(self.store, {(om.system, om.object): secret_fields(om) for om in self.mappings.objects}):
            report.audit_head = str(seal(self.store, self.progress))
        return report

    def plan(
        self, systems: Sequence[str] | None = None, *, before_writing: Callable[[Engine], Step] | None = None,
        narrow: Narrow | None = None, skip_changed: bool = False,
    ) -> tuple[list[ObjectPlan], Report]:
        """Everything a sync would write, computed on a scratch copy of the workspace: nothing is written anywhere.

        Records whose parents would be created first are listed as waiting. What was narrowed down on purpose is not
        asked of the guards.
        """
        names = list(systems or self.connectors)
        with scratch_copy(self.store) as scratch:
            scratch.natural_keys = self.store.natural_keys
            engine = Engine(scratch, self.mappings, self.connectors, self.limits, self.progress, self.calendars,
                            self.budgets)
            report = Report("plan", codes=self.codes)
            live = engine._identify(names, report, confirm_mapping=not skip_changed, skip_changed=skip_changed)
            try:
                engine._read(live, report, approve=False)
            except GuardTripped as tripped:
                report.parked = [trip.message for trip in tripped.trips]
                return [], report
            if before_writing is not None:
                before_writing(engine)(live, report)
            with scratch.read() as tx:
                plans = engine._plans(tx, live, report)
                trips: list[Trip] = []
                for plan in plans:
                    if narrow is not None:
                        narrow(plan)
                    if not note(tx, plan, report) and narrow is None:
                        trips += check_plan(tx, plan, self.limits)
            report.parked = [trip.message for trip in trips]
        self.meter.settle()  # a plan writes nothing, but it reads, and reading counts
        return plans, report

    def plan_links(self) -> tuple[LinkPlan, Report]:
        """What a first sync would make of the systems: matched, new here, new there, ambiguous. Writes nothing."""
        found: list[LinkPlan] = []

        def count(engine: Engine) -> Step:
            def gather(live: list[str], report: Report) -> None:
                with engine.store.read() as tx:
                    found.append(LinkPlan.of(tx, report, engine._plans(tx, live, report), questions(tx)))

            return gather

        _plans, report = self.plan(before_writing=count)
        return (found[0] if found else LinkPlan()), report

    def to_describe(self, systems: Sequence[str] | None = None) -> dict[str, int]:
        """By system, how many objects the next sync describes besides, because nobody has today (UTC)."""
        if not self.looks:
            return {}
        with self.store.read() as tx:
            return dict(Counter(system for system, _object in schemas.unseen_today(
                tx, self.mappings, list(systems or self.connectors))))

    def save_plan(self, plans: Sequence[ObjectPlan], report: Report, systems: Sequence[str] | None = None) -> SavedPlan:
        """A plan as plain data, to be kept, shown and applied."""
        return SavedPlan.of(plans, report, self.mappings, self.connectors, list(systems or self.connectors),
                            self.store.now)

    def census(self, systems: Sequence[str] | None = None, *, repair: bool = False) -> Iterator[FeedCensus]:
        """Hold every linked object of these systems (all, if none are named) against the workspace, feed by feed."""
        from sidefeed.sync.census import take as take_census

        names = list(systems or self.connectors)
        feeds = ((om, stream, self.connectors[om.system]) for om in self.mappings.objects if om.system in names
                 for stream in self.connectors[om.system].streams(om.object))
        for found in take_census(self.store, feeds, repair=repair, progress=self.progress):
            self.meter.settle()
            yield found

    def trace(self, record: str) -> Trace:
        """What one record is in each system, which rule applies, and what would be written; nothing is written."""
        from sidefeed.sync.trace import trace

        with scratch_copy(self.store) as copy:
            copy.natural_keys = self.store.natural_keys
            scratch = Engine(copy, self.mappings, self.connectors, self.limits, calendars=self.calendars)
            found = trace(self, scratch, record)
        self.meter.settle()
        return found

    # -- stages -------------------------------------------------------------------------------------------------

    def _identify(
        self, names: Sequence[str], report: Report, *, confirm_mapping: bool, skip_changed: bool = False
    ) -> list[str]:
        """The systems that answer and are the ones they were at set-up."""
        index(self.store, self.mappings)
        live, trips = [], []
        with self.store.read() as tx:
            self.unread = [one for one in pauses(tx) if one.stops_reading]
        for name in names:
            stopped = next((one for one in self.unread if one.what in (EVERYTHING, name)), None)
            if stopped is not None:
                report.paused[name] = f"{stopped}: it is not read"
                continue
            try:
                marker = self.connectors[name].marker()
            except ConnectorError as error:
                report.failed[name] = f"{error.message} [{error.code}]"
                continue
            with self.store.write() as tx:
                known = tx.marker(name)
                if known is None:
                    tx.save_marker(name, marker)
                elif known != marker:
                    trips.append(Trip("marker", name, "", (
                        f"{name}: this is {marker}, but the workspace was linked with {known}. Nothing was read or "
                        f"written. Check the settings of {name}; for another organisation, start a new workspace.")))
                changed = [om.object for om in self.mappings.for_system(name)
                           for fingerprint in [tx.setting(f"mapping:{name}:{om.object}")]
                           if fingerprint is not None and fingerprint != om.fingerprint]
                if changed and skip_changed:
                    report.skipped |= dict.fromkeys((f"{name} {object}" for object in changed), (
                        "its mapping changed since the last run; "
                        "`sidefeed sync --confirm-mapping` brings it into line"))
                elif changed and not confirm_mapping:
                    trips.append(Trip("mapping-changed", name, ", ".join(changed), (
                        f"{name}: the mapping of {', '.join(changed)} changed since the last run. Nothing was written. "
                        f"Look at `sidefeed plan`, then run `sidefeed sync --confirm-mapping`.")))
                    continue
                if not skip_changed:
                    configuration.note_mapping(tx, name, self.mappings.for_system(name))
                for om in self.mappings.for_system(name):
                    if om.object in changed and skip_changed:
                        continue
                    if om.object in changed:
                        for stream in self.connectors[name].streams(om.object):
                            read_anew(tx, name, stream.name)
                            tx.move_cursor(name, stream.name, planned_rev=0)
                    tx.save_setting(f"mapping:{name}:{om.object}", om.fingerprint)
            live.append(name)
        if trips:
            raise GuardTripped(trips)
        return live

    def _feeds(self, names: Sequence[str], report: Report) -> Iterator[tuple[ObjectMap, Stream]]:
        """Feeds in dependency order, systems side by side, without those that failed in this run or are not read."""
        for om, stream in self._mapped(names, report):
            stopped = pause_of(self.unread, om.system, om.object, stream.partition)
            if stopped is None:
                yield om, stream
            else:
                report.paused[f"{om.system} {stream.name}"] = f"{stopped}: it is not read"

    def _mapped(self, names: Sequence[str], report: Report) -> Iterator[tuple[ObjectMap, Stream]]:
        for om in self.mappings.objects:
            if om.system in names and om.system in self.connectors and f"{om.system} {om.object}" not in report.skipped:
                for stream in self.connectors[om.system].streams(om.object):
                    if self.shard is not None and not self.shard.holds(stream):
                        continue
                    if om.system not in report.failed and f"{om.system} {stream.name}" not in report.failed:
                        yield om, stream

    def _waiting(self, live: Sequence[str], report: Report) -> list[tuple[ObjectMap, Stream]]:
        """The feeds that have anything in the inbox."""
        with self.store.read() as tx:
            waiting = tx.waiting_feeds()
        return [(om, stream) for om, stream in self._feeds(live, report) if (om.system, stream.name) in waiting]

    def _plan(self, om: ObjectMap, stream: Stream) -> ObjectPlan:
        with self.store.read() as tx:
            return plan_object(tx, self.mappings, om, stream, creatable=self._creatable(om.system))

    def _plans(self, tx: Transaction, live: Sequence[str], report: Report) -> list[ObjectPlan]:
        return [plan_object(tx, self.mappings, om, stream, creatable=self._creatable(om.system))
                for om, stream in self._feeds(live, report)]

    def _read(self, live: list[str], report: Report, *, approve: Approval) -> None:
        """Recover, capture everything, guard the deletions, then absorb in dependency order."""
        if calendars := [(om.system, stream.name) for om, stream in self._mapped(live, report)
                         if om.entity == "meeting" and stream.partition]:
            from sidefeed.calendars.enforce import enforce_policy  # which itself needs this room

            enforce_policy(self.store, calendars)
        for om, stream in self._feeds(live, report):
            with self._contained(om, stream, report):
                if self.meter.standing(om.system).left == 0:
                    self._spent(om, stream, report)
                    continue
                recover(self.store, om, self.connectors[om.system], stream, report)
                report.count("captured", capture(self.store, self.connectors[om.system], om, stream, self.progress))
            _tell_problems(self.connectors[om.system], report)
        self._sweep(live, report, approve)
        for om, stream in self._waiting(live, report):
            from sidefeed.sync.observation import look_up

            with self._contained(om, stream, report):
                look_up(self.store, om, stream, self.connectors[om.system])
        report.approved += refuse(approve, list(self._unbelievable(live, report).values()))
        self._absorb(live, report)
        for om, stream in self._feeds(live, report):
            if wake(self.store, om, stream):
                with self._contained(om, stream, report):
                    self._absorb_feed(om, stream, report)
        self._retranslate(live, report, approve)
        self._reunite(live, report)

    def _retranslate(self, live: list[str], report: Report, approve: Approval) -> None:
        """Bring linked records under fields whose mapping changed, once their systems were read."""
        changed: list[tuple[ObjectMap, Stream, set[str]]] = []
        new: list[tuple[ObjectMap, Stream]] = []
        trips: list[Trip] = []
        with self.store.read() as tx:
            for om, stream in self._feeds(live, report):
                if noted_fields(tx, om, stream):
                    continue
                if names := changed_fields(tx, om, stream):
                    changed.append((om, stream, names))
                    trips += check_reading(tx, om, stream, names, self._source(om), self.limits)
                else:
                    new.append((om, stream))
        if new:
            with self.store.write() as tx:
                for om, stream in new:
                    note_fields(tx, om, stream)
        report.approved += refuse(approve, trips)
        for om, stream, names in changed:
            retranslate(self.store, self.mappings, om, stream, self._source(om), report, names)

    def _source(self, om: ObjectMap) -> str:
        """Under which name the history has what is read from a system."""
        return getattr(self.connectors[om.system], "source", om.system)

    def _reunite(self, live: list[str], report: Report) -> None:
        """Parents first, link again what a restored workspace had forgotten, before any of it is created anew."""
        for om, stream in self._feeds(live, report):
            with self.store.read() as tx:
                unplaced = strangers(tx, om.system, stream.name)
            if not unplaced or om.readonly:
                continue
            with self.store.write() as tx:
                placed = reunite(tx, plan_object(
                    tx, self.mappings, om, stream, creatable=self._creatable(om.system)))
            report.count("matched", len(placed))
            report.matches += [{"feed": f"{om.system} {stream.name}", "external_id": id, "record": record,
                                "key": "what it holds"} for id, record in placed.items()]
            if placed:
                with self._contained(om, stream, report):
                    self._absorb_feed(om, stream, report)

    def _sweep(self, live: list[str], report: Report, approve: Approval) -> None:
        """Where a feed was read from the start, look for linked objects that went away meanwhile."""
        for om, stream in self._feeds(live, report):
            with self._contained(om, stream, report):
                found = missing_ids(self.store, self.connectors[om.system], om, stream)
                if found is not None:
                    with self.store.read() as tx:
                        trips = check_sweep(tx, om, stream.name, *found, self.limits)
                    report.approved += refuse(approve, trips)
                    with self.store.write() as tx:
                        swept(tx, om.system, stream.name, found[0])

    def _unbelievable(self, live: list[str], report: Report) -> dict[str, Trip]:
        """What waits in the inbox and is not to be believed without a person, by guard and feed."""
        feeds = self._waiting(live, report)
        if not feeds:
            return {}
        from sidefeed.sync.restored import older_than_the_world

        with self.store.read() as tx:
            return {trip.key: trip for om, stream in feeds
                    for trip in (*older_than_the_world(tx, om, stream),
                                 *check_inbox(tx, om, stream.name, self.limits))}

    def _absorb(self, live: list[str], report: Report, *, without: Collection[str] = ()) -> None:
        open_lanes = {name: self.meter.standing(name).retries for name in live}
        with self.store.write() as tx:
            for om, stream in self._feeds(live, report):
                quarantine.release(tx, om.system, stream.name, lanes=open_lanes[om.system])
        for om, stream in self._feeds(live, report):
            if f"{om.system} {stream.name}" not in without:
                with self._contained(om, stream, report):
                    self._absorb_feed(om, stream, report)
        derive(self.store)
        with self.store.write() as tx:
            for om, stream in self._feeds(live, report):
                if f"{om.system} {stream.name}" not in without:
                    tx.drop_moot_questions(om.system, stream.name)
            report.count("flips_parked", park(tx, report.run, flips=self.limits.flips, window=self.limits.window))

    def _absorb_feed(self, om: ObjectMap, stream: Stream, report: Report) -> None:
        """Absorb what waits in the inbox of one feed; where nothing does, what absorbs is not even imported."""
        with self.store.read() as tx:
            if (om.system, stream.name) not in tx.waiting_feeds():
                return
        from sidefeed.sync.absorb import absorb

        absorb(self.store, self.mappings, om, stream, self.connectors[om.system], report, self.progress)

    def _write(
        self, live: list[str], report: Report, *, approve: Approval, narrow: Narrow | None = None
    ) -> None:
        """Plan and apply in waves: parents before children, and again for what moved meanwhile."""
        with self.store.read() as tx:
            plans = self._plans(tx, live, report)
            for plan in plans:
                hold(tx, plan, report)
            self._guard(tx, plans, report, approve)
            self.meter.set_aside(tx, plans)
        known = {(plan.om.system, plan.stream.name): plan for plan in plans}
        for wave in range(WAVES):
            again = False
            if wave:
                known.clear()
                self._guard_wave(live, report, approve, narrow)
            for om, stream in self._feeds(live, report):
                if om.readonly and not (om.entity == "meeting" and stream.partition):
                    continue
                with self._contained(om, stream, report):
                    connector = self.connectors[om.system]
                    plan = known.get((om.system, stream.name)) or self._plan(om, stream)
                    if narrow is not None:
                        narrow(plan)
                    with self.store.read() as tx:
                        hold(tx, plan, report)
                        self._guard(tx, [plan], report, approve)  # what this very wave released counts too
                        waiting = self.meter.fit(tx, plan)
                    if waiting:
                        self._spent(om, stream, report, waiting)
                    if plan.looked_at:
                        known.clear()  # what is written may ask for more, in feeds that were planned before it
                        again |= apply(self.store, plan, connector, report, self.progress)
                    elif plan.upto > plan.since and not om.readonly:  # the next plan need not look back so far
                        with self.store.write() as tx:
                            tx.move_cursor(om.system, stream.name, planned_rev=plan.upto)
                    recover(self.store, om, connector, stream, report)
            with self.store.read() as tx:
                moved = any(tx.inbox_now(om.system, stream.name) for om, stream in self._feeds(live, report))
            if not (again or moved):
                return
            # What people did while this run wrote is for the next run's guards, where there is too much of it.
            doubtful = {f"{trip.system} {trip.object}" for trip in self._unbelievable(live, report).values()
                        if approve is not True and trip.key not in report.approved}
            self._absorb(live, report, without=doubtful)

    def _guard_wave(self, live: list[str], report: Report, approve: Approval, narrow: Narrow | None) -> None:
        """Hold what moved while this run wrote against the guards, all feeds together, before any of it is written."""
        with self.store.read() as tx:
            plans = self._plans(tx, live, report)
            for plan in plans:
                hold(tx, plan, report)
                if narrow is not None:
                    narrow(plan)
            self._guard(tx, plans, report, approve)

    def _guard(self, tx: Transaction, plans: Sequence[ObjectPlan], report: Report, approve: Approval) -> None:
        written, mailed = report.counts.get("written", 0), report.counts.get("mailed", 0)
        trips: list[Trip] = []
        for plan in plans:
            trips += check_plan(tx, plan, self.limits, SoFar(written, mailed))
            mailed += people_mailed(plan)
        report.approved += [key for key in refuse(approve, trips) if key not in report.approved]

    def _look(self, live: list[str], report: Report) -> None:
        """Describe what nobody described today. It comes last: what it costs or how it fails holds back no record."""
        with self.store.read() as tx:
            wanted = [(system, object) for system, object in schemas.unseen_today(tx, self.mappings, live)
                      if system not in report.failed and self.meter.standing(system).left != 0]
        found = {}
        for system, object in wanted:
            try:
                found[system, object] = self.connectors[system].describe(object)
            except ConnectorError:
                continue  # `sidefeed check` tells of it; the next run looks again
        if found:
            with self.store.write() as tx:
                report.count("drift", schemas.keep_seen(tx, self.mappings, found, report.run))

    def _spent(self, om: ObjectMap, stream: Stream, report: Report, waiting: int = 0) -> None:
        """The share of the day's calls is used: say so once, and leave the work for the next run."""
        stand = self.meter.standing(om.system)
        what = f"{waiting:,} writes wait" if waiting else "it was not read"
        report.count("over_budget", waiting)
        report.skipped[f"{om.system} {stream.name}"] = told = (
            f"{what}, because {stand.used:,} of the {stand.allowed or 0:,} calls of today that Sidefeed may use of "
            f"{om.system} are used; the next run goes on")
        if not any(one.object == stream.name and one.code == "budget-share" for one in report.problems):
            report.problem(om.system, stream.name, "all records", None, "budget-share", told)

    @contextmanager
    def _contained(self, om: ObjectMap, stream: Stream, report: Report) -> Iterator[None]:
        """A system that fails holds back no other; one object or mailbox without rights holds back no other either."""
        from sidefeed.connector import Gone, Invalid, OddAnswer, PermissionDenied

        self.store.keep_leases()
        try:
            yield
        except (PermissionDenied, Invalid, Gone, OddAnswer) as error:
            report.problem(om.system, stream.name, "all records", None, error.code, error.message,
                           quarantine.owner_of(error, report))
            report.failed[f"{om.system} {stream.name}"] = f"{error.message} [{error.code}]"
        except ConnectorError as error:
            told = f"{error.message} [{error.code}]"
            if stream.partition and _is_one_mailbox(self.connectors[om.system], om.system, error, report):
                report.failed[f"{om.system} {stream.name}"] = told
            else:
                report.failed[om.system] = f"{stream.name}: {told}"

    def _creatable(self, system: str) -> dict[str, ObjectMap]:
        return {om.entity: om for om in self.mappings.for_system(system) if not om.readonly}


FAILING_MAILBOXES = 3
"""After so many mailboxes in one run it is the system that fails, and the others need not be tried."""


def _is_one_mailbox(connector: Connector, system: str, error: ConnectorError, report: Report) -> bool:
    """Whether a failure concerns one mailbox: its own password, its own throttling, its own server being away."""
    from sidefeed.connector import AuthenticationFailed, QuotaExhausted

    if isinstance(error, QuotaExhausted) or (
            isinstance(error, AuthenticationFailed) and not getattr(connector, "own_credentials", False)):
        return False
    return sum(name.startswith(f"{system} ") for name in report.failed) < FAILING_MAILBOXES


def _tell_problems(connector: Connector, report: Report) -> None:
    """What a connector could not read, item by item; the rest was read."""
    problems = getattr(connector, "problems", None) or []
    for problem in problems:
        if isinstance(record := getattr(problem, "record", None), str):
            report.problem(connector.system, problem.object, record, None, problem.code, problem.message)
    if problems and isinstance(getattr(problems[0], "record", None), str):
        problems.clear()


@contextmanager
def scratch_copy(store: Store) -> Iterator[Store]:
    """A copy of the workspace to try things on, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="sidefeed-") as folder:
        path = Path(folder) / "scratch.db"
        if store.engine.dialect.name == "sqlite" and store.engine.url.database not in (None, "", ":memory:"):
            with sqlite3.connect(str(store.engine.url.database)) as source, sqlite3.connect(path) as target:
                source.backup(target)
            source.close()
            target.close()
            copy = Store.open(path, now=store.now)
        else:
            copy = Store.open(path, now=store.now)
            _copy_rows(store, copy)
        try:
            yield copy
        finally:
            copy.close()


def _copy_rows(store: Store, copy: Store) -> None:
    with store.engine.connect() as source, copy.engine.begin() as target:
        if source.dialect.name == "postgresql":  # all tables as they are at one moment, whatever a run writes meanwhile
            source.execution_options(isolation_level="REPEATABLE READ")
        for table in metadata.sorted_tables:
            found = source.execution_options(yield_per=1000).execute(sa.select(table)).mappings()
            for part in found.partitions():
                rows: list[dict[str, Any]] = [dict(row) for row in part]
                target.execute(table.insert(), rows)
