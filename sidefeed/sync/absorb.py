"""Absorb: what a system was seen to hold becomes changes in the log.

An observation is compared with the link's base (what this system was last seen to hold, in the system's own terms), so
a value that the system trimmed, rounded or lower-cased is never taken for an edit, and our own write never comes back
as one. What really changed becomes one change, based on exactly the revisions the system had seen; whether that is a
replacement or a conflict is then the merge rule's business, not ours. The base always becomes what the remote holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sidefeed.calendars import Level, series
from sidefeed.calendars.recurrence import RECURRENCE
from sidefeed.calendars.redact import told
from sidefeed.connector import Connector, Stream
from sidefeed.mapping import UNKNOWN, FieldMap, LensError, ObjectMap, Unresolved
from sidefeed.mapping import Mapping as Mappings
from sidefeed.sync import meetings, quarantine, refs
from sidefeed.sync.attribution import attribute
from sidefeed.sync.capture import Progress, digest, pack, raw_fields
from sidefeed.sync.match import keys_of, stamped_record
from sidefeed.sync.policy import can_revert, decide, policy_name, reverts
from sidefeed.sync.report import Report
from sidefeed.sync.scope import OUT, come_back, leave, lose_sight
from sidefeed.workspace import DELETED, Draft, Link, RecordState, Store, Transaction
from sidefeed.workspace.clock import utc_instant
from sidefeed.workspace.log import CLOCK_TOLERANCE
from sidefeed.workspace.model import InboxItem

BATCH = 500
AT_ONCE = 3
"""How often what waits for another object is looked at in every wave and run, before it goes into the slow lanes."""


@dataclass(slots=True)
class Observation:
    """One remote object as it was seen, on its way into the log. ``mailbox`` to ``own_level`` are told of meetings in
    calendars alone: whose calendar, who is in it, and at which level it may leave."""

    id: str
    image: dict[str, Any] | None
    state: str
    version: str
    modified: datetime | None
    merged_into: str | None
    actor: str | None
    attempts: int = 0
    values: dict[str, Any] = field(default_factory=dict)
    stream: str = ""
    waiting: tuple[str, str] | None = None
    needs: str | None = None
    record: str | None = None
    fresh: bool = False
    mailbox: str = ""
    organiser: str = ""
    people: tuple[str, ...] = ()
    level: Level = "full"
    own_level: Level = "full"

    @property
    def is_series(self) -> bool:
        """Whether a calendar told a series as one object."""
        return RECURRENCE in (self.image or {})


@dataclass(slots=True)
class _Edit:
    """What one observation makes of one link: the draft of a change, and what the system has now seen."""

    observation: Observation
    link: Link
    fields: dict[str, Any] = field(default_factory=dict)
    base: dict[str, Sequence[int]] = field(default_factory=dict)
    seen: dict[str, list[int]] = field(default_factory=dict)
    first: bool = False


def absorb(
    store: Store, mappings: Mappings, om: ObjectMap, stream: Stream, connector: Connector, report: Report,
    progress: Progress | None = None,
) -> None:
    """Absorb everything that waits in the inbox of one feed.

    The history names the system as the source of each change, unless the connector says otherwise (``source``).
    """
    source = getattr(connector, "source", om.system)
    hides = connector.capabilities(om.object).hides
    with store.write() as tx:
        quarantine.wake(tx, om.system, stream.name)
    with store.read() as tx:
        ids = tx.inbox_ids(om.system, stream.name)
        fresh_keys = _fresh_keys(tx, om, stream, ids)
    for start in range(0, len(ids), BATCH):
        chunk = ids[start:start + BATCH]
        with store.read() as tx:
            items = tx.inbox_items(om.system, stream.name, chunk)
        items = _complete(items, om, stream, connector)
        with store.write() as tx:
            _Batch(tx, mappings, om, stream, report, fresh_keys, source, hides).absorb(items)
        if progress is not None:
            progress(f"absorbing {om.system} {stream.name}", len(chunk))


def _complete(items: list[InboxItem], om: ObjectMap, stream: Stream, connector: Connector) -> list[InboxItem]:
    """Read by id what the feed told only the id of."""
    bare = [item.external_id for item in items if item.payload is None]
    if not bare:
        return items
    state = _told(om, stream, connector, bare)
    return [item if item.payload is not None else
            InboxItem(item.system, item.object, item.external_id, state.get(item.external_id), item.attempts)
            for item in items]


def _told(om: ObjectMap, stream: Stream, connector: Connector, ids: list[str]) -> dict[str, dict[str, Any] | None]:
    """What a system says of these ids, of a calendar's series too."""
    return {remote.id: pack(remote) for remote in connector.fetch(stream, raw_fields(om, stream), ids)}


def look_up(store: Store, om: ObjectMap, stream: Stream, connector: Connector) -> None:
    """Read by id what only the id is known of, so that guards see what it is before anything is believed."""
    with store.read() as tx:
        bare = tx.inbox_bare(om.system, stream.name)
    if bare:
        found = {id: payload for id, payload in _told(om, stream, connector, bare).items() if payload is not None}
        with store.write() as tx:
            tx.put_inbox(om.system, stream.name, found, key_field=om.key_field)


def _fresh_keys(tx: Transaction, om: ObjectMap, stream: Stream, ids: list[str]) -> dict[str, int]:
    """How often each natural key occurs among the remote objects not linked yet: a key proves something only where it
    is unique on both sides. Where no record of the entity is known yet, there is no other side to ask for."""
    counts: dict[str, int] = {}
    if not tx.any_record(om.entity):
        return counts
    known = tx.known_as(om.system, stream.name, ids)
    unknown = [id for id in ids if id not in known]
    for start in range(0, len(unknown), BATCH):
        items = tx.inbox_items(om.system, stream.name, unknown[start:start + BATCH])
        images = [item.payload["values"] for item in items
                  if item.payload and item.payload["values"] and item.payload["state"] == "live"]
        batch_refs = refs.inward(tx, om, images)
        for image in images:
            values, _problems = om.read(image, batch_refs, matching=True)
            for key in keys_of(om.match, values):
                counts[key] = counts.get(key, 0) + 1
    return counts


class _Batch:
    """One transaction's worth of observations of one feed."""

    def __init__(
        self, tx: Transaction, mappings: Mappings, om: ObjectMap, stream: Stream, report: Report,
        fresh_keys: Mapping[str, int], source: str, hides: bool,
    ) -> None:
        self.source = source
        self.hides = hides
        self.tx = tx
        self.mappings = mappings
        self.entity = mappings.entities[om.entity]
        self.om = om
        self.stream = stream
        self.report = report
        self.fresh_keys = fresh_keys
        self.now = tx.store.now()
        self.done: list[str] = []
        self.ancestors: dict[tuple[str, str], Any] = {}
        self.touched: dict[str, RecordState] = {}
        self.blanks = {spec.name: spec.lens.image(None) for spec in om.fields if spec.reads}

    def absorb(self, items: Iterable[InboxItem]) -> None:
        seen = [_observation(item) for item in items]
        for one in seen:
            self._admit(one)
        live = [one for one in seen if one.state == "live" and one.merged_into is None and one.image is not None]
        for one in [one for one in live if not self.om.within_scope(one.image or {})]:
            one.state = "left"
        live = [one for one in live if one.state == "live"]
        self.refs = refs.inward(self.tx, self.om, [one.image or {} for one in live])
        for one in live:
            one.values, problems = self.om.read(one.image or {}, self.refs)
            for problem in problems:
                if problem.code == "unresolved":
                    one.waiting = (problem.field, problem.message)
                    one.needs = f"{problem.entity} {problem.id}"
                else:
                    self.report.problem(self.om.system, self.stream.name, one.id, problem.field, problem.code,
                                        told(self.om, problem.field, problem.code, problem.message))
        if self.om.entity == "meeting":
            live = meetings.admit(self.tx, self.om, live, self.report, self.done)
            whole = [one for one in live if one.is_series]
            series.absorb(self.tx, self.om.system, self.stream.name, self.source, whole)
            self.done += [one.id for one in whole]
            live = [one for one in live if not one.is_series]
        self._identify(live)
        identified = [one for one in live if one.record is not None]
        self._absorb_live(identified)
        if self.om.entity == "meeting" and self.om.readonly:
            attribute(self.tx, self.om, identified, self.report)
        for one in seen:
            if one.merged_into is not None:
                self._absorb_merge(one)
        for one in seen:
            if one.merged_into is not None:
                continue
            if one.state == "left":
                self.done.append(one.id)
                leave(self.tx, self.om, self.stream.name, one.id, self.report, source=self.source)
            elif self.hides and one.image is None and not one.version:
                self.done.append(one.id)
                lose_sight(self.tx, self.om, self.stream.name, one.id, self.report)
            elif one.state == "deleted" or one.image is None:
                self._absorb_deletion(one)
        decided = decide(self.tx, self.mappings, self.touched.values(), self.ancestors)
        self.report.count("decided", decided)
        for record in self.touched:
            self.report.count("conflicts", len(self.touched[record].conflicts))
        self.tx.drop_inbox(self.om.system, self.stream.name, self.done)

    def _admit(self, one: Observation) -> None:
        """A stamp from the future is not believed: the change counts from now."""
        if one.modified is not None and one.modified - self.now > CLOCK_TOLERANCE:
            self.report.problem(
                self.om.system, self.stream.name, one.id, None, "clock-ahead",
                f"its modification time {one.modified.isoformat()} lies in the future; it is taken as changed now. "
                f"Check the clock of {self.om.system} and of this machine.")
            one.modified = None

    # -- identity -----------------------------------------------------------------------------------------------

    def _identify(self, live: list[Observation]) -> None:
        known = self.tx.known_as(self.om.system, self.stream.name, [one.id for one in live])
        stamps = {one.id: stamp for one in live if one.id not in known and (stamp := self._stamp(one))}
        stamped = [record for record, _generation in stamps.values()]
        self.tx.records([*(record for record, _role in known.values()), *stamped])
        links = self.tx.links(self.om.system, self.stream.name, stamped)
        unknown = []
        for one in live:
            if one.id in known:
                one.record = self._survivor(known[one.id][0])
                if known[one.id][1] == "gone":  # it was deleted and restored: its next deletion counts again
                    self._remember(one, "primary")
            elif one.id in stamps and (record := self._by_stamp(*stamps[one.id], links)) is not None:
                one.record = record
                self._remember(one, "primary")
                self.tx.answer(self.om.system, self.stream.name, one.id, record)
            else:
                unknown.append(one)
        self._match(unknown)

    def _survivor(self, record: str) -> str:
        state = self.tx.record(record)
        while state is not None and state.merged_into:
            record = state.merged_into
            state = self.tx.record(record)
        return record

    def _stamp(self, one: Observation) -> tuple[str, str] | None:
        """Record and generation of our key on a remote object."""
        stamp = (one.image or {}).get(self.om.key_field) if self.om.key_field else None
        if not isinstance(stamp, str) or ":" not in stamp:
            return None
        record, _, generation = stamp.rpartition(":")
        return record, generation

    def _by_stamp(self, record: str, generation: str, links: Mapping[str, Link]) -> str | None:
        """Our key proves identity, unless the object is a copy of one that is linked already."""
        state = self.tx.record(record)
        if state is None or state.entity != self.om.entity:
            return None
        link = links.get(record)
        if link is None:  # we made it, and the workspace was restored from before that
            return self._survivor(record)
        if not generation.isdigit() or int(generation) < link.generation:
            return None
        if link.state not in ("creating", "wanted") and int(generation) == link.generation:
            return None
        if link.state == "live" and link.external_id:  # made once more since, so what we knew is gone there
            self.tx.remember(self.om.system, self.stream.name, link.external_id, self.om.entity, record, "gone")
            link.state, link.external_id = "wanted", None
        link.generation = int(generation)  # higher: a later state of this workspace made it, before it was restored
        self.tx.save_link(link)
        return self._survivor(record)

    def _match(self, unknown: list[Observation]) -> None:
        keys = {one.id: keys_of(self.om.match, one.values) for one in unknown}
        found = self.tx.by_natural_keys(self.om.entity, {key for own in keys.values() for key in own})
        taken = self.tx.links(self.om.system, self.stream.name,
                              list({record for records in found.values() for record in records}))
        free = {key: [record for record in records if record not in taken or taken[record].state == "wanted"]
                for key, records in found.items()}
        claimed: set[str] = set()
        answers = self._answers(unknown)
        strangers = self._strangers(unknown)
        asked = self.tx.open_questions(self.om.system, self.stream.name) if unknown else {}
        for one in unknown:
            if one.id in answers:
                one.record = answers[one.id] if answers[one.id] != "new" else self._create(one)
                self._remember(one, "primary")
                continue
            candidates, key = next(((records, key) for key in keys[one.id]
                                    if (records := [r for r in free.get(key, ()) if r not in claimed])), ([], ""))
            if len(candidates) == 1 and self.fresh_keys.get(key, 0) <= 1:
                one.record = candidates[0]
                claimed.add(candidates[0])
                self.report.count("matched")
                self.report.matches.append({
                    "feed": f"{self.om.system} {self.stream.name}", "external_id": one.id, "record": candidates[0],
                    "key": key})
                self._remember(one, "primary")
            elif candidates or one.id in asked or one.id in strangers:
                self._ask(one, key, candidates or asked.get(one.id, []), strangers.get(one.id))
            elif self.om.introduces:
                one.record = self._create(one)
                self.report.count("new_here")
                feed = f"{self.om.system} {self.stream.name}"
                self.report.introduced[feed] = self.report.introduced.get(feed, 0) + 1
                self._remember(one, "primary")
            else:
                self.tx.postpone(self.om.system, self.stream.name, one.id, until=self.now + timedelta(hours=24),
                                 waiting_for=f"a {self.om.entity} it can be matched with")
                self.report.count("unmatched")

    def _strangers(self, unknown: list[Observation]) -> dict[str, str]:
        """The record that each key names, of objects that a later state of this workspace made, or another workspace:
        never taken for new ones."""
        stamps = {one.id: record for one in unknown if (record := stamped_record(self.om, one.image)) is not None}
        known = self.tx.records(set(stamps.values()))
        return {id: record for id, record in stamps.items() if record not in known}

    def _create(self, one: Observation) -> str:
        one.fresh = True
        return self.tx.new_id()

    def _remember(self, one: Observation, role: str) -> None:
        assert one.record is not None
        self.tx.remember(self.om.system, self.stream.name, one.id, self.om.entity, one.record, role)

    def _answers(self, unknown: list[Observation]) -> dict[str, str]:
        return self.tx.answers(self.om.system, self.stream.name, [one.id for one in unknown])

    def _ask(self, one: Observation, key: str, candidates: list[str], stranger: str | None) -> None:
        names = {record: state.values.get("name") or state.values.get("email") or state.values.get("subject")
                 for record, state in self.tx.records(candidates).items()}
        self.tx.ask(self.om.system, self.stream.name, one.id, "match", {
            "entity": self.om.entity, "key": key, "candidates": names, "same_key_there": self.fresh_keys.get(key, 0),
            "values": {name: value for name, value in one.values.items() if value is not None},
            **({"stranger": stranger} if stranger else {})})
        self.tx.postpone(self.om.system, self.stream.name, one.id, until=None, waiting_for="a person to match it")
        self.report.count("ambiguous")

    # -- live observations --------------------------------------------------------------------------------------

    def _absorb_live(self, live: list[Observation]) -> None:
        records = [one.record for one in live if one.record]
        states = self.tx.records(records)
        links = self.tx.links(self.om.system, self.stream.name, records)
        bases = self.tx.bases(self.om.system, self.stream.name, records)
        edits, later = [], []
        taken: set[str] = set()
        for one in live:
            assert one.record is not None
            link = links.get(one.record)
            if one.record in taken or (link and link.state == "live" and link.external_id != one.id):
                later.append(one)
                continue
            taken.add(one.record)
            edits.append(self._edit(one, states.get(one.record), link, bases.get(one.record)))
        self._append(edits, states)
        for one in later:
            self._duplicate(one)
        for edit in edits:
            self._settle(edit)

    def _duplicate(self, one: Observation) -> None:
        """A second live object of one record in one system: frozen, listed, never written or deleted."""
        assert one.record is not None
        self._remember(one, "duplicate")
        # The system's own totals count this copy too, so what it holds is kept, apart from the primary's image.
        self.tx.save_base(self.om.system, self.stream.name, duplicate_key(one.record, one.id), one.image or {})
        self.report.count("duplicates")
        self.done.append(one.id)

    def _edit(
        self, one: Observation, state: RecordState | None, link: Link | None, old: Mapping[str, Any] | None
    ) -> _Edit:
        image = one.image or {}
        if link is None or link.state in ("wanted", "creating", "gone"):
            generation = link.generation if link else 0
            revived = link is not None and link.state == "gone"
            link = Link(self.om.system, self.stream.name, one.record or "", self.om.entity, one.id,
                        synced_rev=link.synced_rev if link else 0,
                        exceptions=link.exceptions if link else {},
                        sent=link.sent if link else None, generation=generation)
            edit = _Edit(one, link)
            if revived and state is not None and state.values.get(DELETED):
                edit.fields[DELETED] = False
                if DELETED not in link.exceptions:
                    # Our deletion found nothing there, so nobody there has seen it: it was out of sight, not restored.
                    edit.base[DELETED] = ()
        else:
            edit = _Edit(one, link)
        if state is None and not old and not link.exceptions and not link.sent:
            self._first_sight(edit)
            return edit
        if state is not None and state.deleted and link.state == OUT and self.om.leaving_scope == "delete":
            edit.fields[DELETED] = False  # it was deleted because it had left
        for name_map in self.om.fields:
            if name_map.reads:
                self._edit_field(edit, name_map, state, image, old or {})
        if state is not None and state.deleted and DELETED not in edit.fields and any(
                name in edit.fields for name in self.entity.fields):
            # An edit that nobody who deleted had seen: the edit wins, and people are asked.
            edit.fields[DELETED] = False
            edit.base[DELETED] = ()
        return edit

    def _first_sight(self, edit: _Edit) -> None:
        """A record that nothing is known of yet: every value is news, and a blank says nothing."""
        edit.first = True
        for name, value in edit.observation.values.items():
            if value is None or value == self.blanks[name]:
                edit.seen[name] = []
            else:
                edit.fields[name], edit.base[name] = value, ()

    def _edit_field(
        self, edit: _Edit, spec: FieldMap, state: RecordState | None, image: Mapping[str, Any], old: Mapping[str, Any]
    ) -> None:
        name, link = spec.name, edit.link
        if name not in edit.observation.values:
            return  # unknown: not returned, not readable, or a reference not known yet
        value = edit.observation.values[name]
        raw = {key: image.get(key) for key in spec.lens.raw}
        was = {key: old.get(key) for key in spec.lens.raw}
        first_sight = not any(key in old for key in spec.lens.raw)
        sent = link.sent or {}
        if name in sent.get("known", {}):
            if spec.lens.settled({key: sent["values"].get(key) for key in spec.lens.raw}, raw):
                edit.seen[name] = sent["known"][name]
                return
            if not sent["sure"] and raw == was and not first_sight:
                return  # the write never arrived; it is still due
        elif raw == was and not first_sight:
            return
        current = state.values.get(name) if state else None
        heads = state.heads_of(name) if state else ()
        if not first_sight and name not in sent.get("known", {}) and self._read_old(spec, old) == value:
            return  # the system wrote the same value in another way
        conflicted = state is not None and name in state.conflicts
        if not conflicted and (value == current or value == spec.lens.image(current)):
            edit.seen[name] = list(heads)
            return
        if first_sight and value is None:
            edit.seen[name] = []  # at first sight a blank says nothing, and the system knows nothing
            return
        edit.fields[name] = spec.lens.put(value, current)
        if first_sight and name not in sent.get("known", {}):
            known: Sequence[int] = heads if current is None else ()
            if link.synced_rev and name in link.exceptions:
                known = link.exceptions[name]
        elif name in sent.get("known", {}) and sent["sure"]:
            known = sent["known"][name]
        else:
            known = self._known(link, state, name)
        edit.base[name] = known
        if state is not None and set(known) != set(heads) and self.entity.fields[name].merge == "set":
            ancestor = self._read_old(spec, old)
            self.ancestors[(state.id, name)] = None if ancestor is UNKNOWN else ancestor

    def _read_old(self, spec: FieldMap, old: Mapping[str, Any]) -> Any:
        try:
            return spec.lens.read(old, self.refs)
        except (LensError, Unresolved):
            return UNKNOWN

    def _known(self, link: Link, state: RecordState | None, name: str) -> Sequence[int]:
        """The revisions of a field that this system has seen."""
        if name in link.exceptions:
            return link.exceptions[name]
        return self.tx.heads_as_of(state, name, link.synced_rev) if state is not None else ()

    def _append(self, edits: list[_Edit], states: dict[str, RecordState]) -> None:
        drafts, owners = [], []
        actors = self._actors([edit.observation.actor for edit in edits if edit.observation.actor])
        before = self._sources_before(edits, states)
        for edit in edits:
            if not edit.fields:
                continue
            one = edit.observation
            actor = actors.get(one.actor or "", one.actor) or self.om.system
            drafts.append(Draft(self.om.entity, edit.link.record, edit.fields, actor, self.source,
                                at=one.modified, base=edit.base))
            owners.append(edit)
        changes = self.tx.append(drafts)
        touched = self.tx.records([change.record for change in changes])
        self.report.count("absorbed", len(changes))
        takes_back = []
        for edit, change in zip(owners, changes, strict=True):
            state = self.touched[change.record] = touched[change.record]
            self.report.absorbed(self.om, change)
            edit.seen.update({name: [change.rev] for name in change.fields})
            for name in change.fields if before else ():
                old = before.get((change.record, name))
                spec = self.entity.fields.get(name)
                if old and spec and name not in state.conflicts and reverts(
                        spec.policy, self.om.system, old[0], old[1], change.fields[name]):
                    takes_back.append(Draft(
                        change.entity, change.record, {name: old[1]}, f"policy:{policy_name(spec.policy)}", "policy",
                        reason=f"{policy_name(spec.policy)}: {self.om.system} may not change it from {old[1]!r}"[:500]))
        if takes_back:
            self.tx.append(takes_back)
            self.report.count("decided", len(takes_back))

    def _sources_before(
        self, edits: list[_Edit], states: Mapping[str, RecordState]
    ) -> dict[tuple[str, str], tuple[str, Any]]:
        """Who held a field before an edit replaced it, for the policies that may take the edit back."""
        wanted: dict[tuple[str, str], int] = {}
        for edit in edits:
            state = states.get(edit.link.record)
            if state is None:
                continue
            for name in edit.fields:
                spec = self.entity.fields.get(name)
                if spec is None or name in state.conflicts or not can_revert(spec.policy):
                    continue
                if state.heads_of(name):
                    wanted[(state.id, name)] = state.heads_of(name)[-1]
        details = self.tx.head_details(set(wanted.values())) if wanted else {}
        found = {}
        for (record, name), rev in wanted.items():
            change = details[rev]
            source = change.source
            if source == "policy":  # a decision holds the value on behalf of the system it preferred
                source = change.actor.removeprefix("policy:prefer:").strip()
            found[(record, name)] = (source, states[record].values.get(name))
        return found

    def _actors(self, ids: list[str | None]) -> dict[str, str]:
        wanted = {id for id in ids if id}
        users = self.tx.records_known_as(self.om.system, "user", wanted)
        states = self.tx.records(list(users.values()))
        return {id: str(states[record].values.get("email") or states[record].values.get("name") or id)
                for id, record in users.items() if record in states}

    def _settle(self, edit: _Edit) -> None:
        """Bring the link up to what was seen; runs before policies, so that a decision is work still to be written."""
        one, link = edit.observation, edit.link
        state = self.tx.record(link.record)
        if state is None:  # a record whose every field was blank or unknown still exists
            self.tx.append([Draft(self.om.entity, link.record, {DELETED: False}, self.om.system, self.source)])
            state = self.tx.records([link.record])[link.record]
        if link.state == OUT:
            come_back(self.tx, self.om, link)
        if link.state != "unwanted" or edit.fields:  # what is to be taken back stays where somebody worked on it
            link.state = "live"
        link.external_id = one.id
        link.version = one.version
        kept = {name: back for name, back in put_backs(link, state).items() if name not in edit.fields
                and any((one.image or {}).get(key) != value for key, value in back["raw"].items())}
        link.sent = {"sure": True, "values": {}, "known": {}, "put_back": kept} if kept else None
        if edit.first and len(state.heads) == len(edit.fields):  # it holds what this system told, and nothing else
            link.synced_rev = state.rev
        else:
            link.exceptions.update(edit.seen)
            catch_up(self.om, link, state)
        behind = bool(link.exceptions) or link.synced_rev < state.rev
        link.due = not self.om.readonly and (bool(kept) or (
            behind and any(is_due(spec, link, state) for spec in self.om.fields)))
        if one.waiting is None:
            link.digest = digest(one.image)
            self.done.append(one.id)
        else:
            link.digest = None
            lane = self.report.codes.explain("locked").next_try(one.attempts - AT_ONCE, self.now)
            self.tx.postpone(self.om.system, self.stream.name, one.id, needs=one.needs,
                             until=self.now if one.attempts < AT_ONCE else lane,
                             waiting_for=f"{one.waiting[0]}: {one.waiting[1]}")
        image = dict(one.image or {})
        if one.waiting is not None:
            for spec in self.om.fields:
                if spec.name not in one.values:
                    for key in spec.lens.raw:
                        image.pop(key, None)
        self.tx.save_base(self.om.system, self.stream.name, link.record, image)
        self.tx.save_link(link)

    # -- merges and deletions -----------------------------------------------------------------------------------

    def _absorb_merge(self, one: Observation) -> None:
        """The system merged this object into another: links move, nothing is deleted anywhere for it."""
        assert one.merged_into is not None
        self.done.append(one.id)
        known = self.tx.known_as(self.om.system, self.stream.name, [one.id, one.merged_into])
        if one.id not in known:
            if one.merged_into in known:
                self.tx.remember(self.om.system, self.stream.name, one.id, self.om.entity,
                                 known[one.merged_into][0], "alias")
            return
        loser = self._survivor(known[one.id][0])
        if one.merged_into not in known:
            self.tx.remember(self.om.system, self.stream.name, one.id, self.om.entity, loser, "alias")
            self.tx.remember(self.om.system, self.stream.name, one.merged_into, self.om.entity, loser, "primary")
            link = self.tx.links(self.om.system, self.stream.name, [loser]).get(loser)
            if link is not None:
                link.external_id, link.version, link.digest = one.merged_into, "", None
                self.tx.save_link(link)
            self.tx.put_inbox(self.om.system, self.stream.name, {one.merged_into: None})
            return
        winner = self._survivor(known[one.merged_into][0])
        self.tx.remember(self.om.system, self.stream.name, one.id, self.om.entity, winner, "alias")
        if winner != loser:
            self._join(loser, winner)
            self.report.count("merged")

    def _join(self, loser: str, winner: str) -> None:
        """Union of two records: the loser's links go to the winner, or are frozen as duplicates where it has one."""
        taken = {(link.system, link.object) for link in self.tx.links_of(winner) if link.state == "live"}
        for link in self.tx.links_of(loser):
            if link.system == self.om.system and link.object == self.stream.name:
                link.state = "gone"
                link.due = False
                self.tx.save_link(link)
                continue
            role = "duplicate"
            if link.state == "live" and (link.system, link.object) not in taken:
                moved = Link(link.system, link.object, winner, link.entity, link.external_id, "live", link.version,
                             generation=link.generation)
                self.tx.save_link(moved)
                self.tx.put_inbox(link.system, link.object, {link.external_id or "": None})
                role = "primary"
            if link.external_id:
                self.tx.remember(link.system, link.object, link.external_id, link.entity, winner, role)
            link.state, link.due = "detached", False
            self.tx.save_link(link)
        self.tx.append([Draft(self.om.entity, loser, {DELETED: True}, self.om.system, self.om.system,
                              reason=f"merged into {winner}")])
        self.tx.mark_merged(loser, winner)

    def _absorb_deletion(self, one: Observation) -> None:
        self.done.append(one.id)
        known = self.tx.known_as(self.om.system, self.stream.name, [one.id]).get(one.id)
        if known is None or known[1] == "gone":
            return
        record = self._survivor(known[0])
        self.tx.remember(self.om.system, self.stream.name, one.id, self.om.entity, record, "gone")
        if self.om.entity == "meeting" and series.gone(self.tx, self.om.system, self.stream.name, record):
            return
        link = self.tx.links(self.om.system, self.stream.name, [record]).get(record)
        if link is None or link.external_id != one.id or link.state != "live":
            return
        state = self.tx.records([record])[record]
        told = self.tx.refusals(self.om.system, self.stream.name, [record]).get(record, {})
        unseen = [spec.name for spec in self.om.fields if spec.name in state.conflicts or (
            # What this mapping cannot express there (an owner it does not know) is no edit that anybody missed.
            is_due(spec, link, state) and f"={spec.name}" not in told)]
        link.state, link.due, link.digest, link.sent = "gone", False, None, None
        if state.deleted:  # both sides deleted it: whoever lets it live again lets it live in both
            link.exceptions[DELETED] = list(state.heads_of(DELETED))
        self.tx.save_link(link)
        if state.deleted or state.merged_into:
            return
        self.report.count("deleted_there")
        if self.om.entity == "meeting" and self.om.readonly:
            meetings.cancelled(self.tx, self.om, state, self.now)
            return
        if self.om.deletes == "unlink":
            return
        actor = self._actors([one.actor]).get(one.actor or "", self.om.system)
        if self.om.deletes == "ask" or unseen:
            keep = Draft(self.om.entity, record, {DELETED: False}, "policy:edit-wins", "policy", reason=(
                f"deleted in {self.om.system}, but {', '.join(unseen)} changed since it was last seen there"
                if unseen else f"deleted in {self.om.system}; this mapping asks before it deletes elsewhere"))
            (kept,) = self.tx.append([keep])
            base = tuple(rev for rev in state.heads_of(DELETED) if rev != kept.rev)
        else:
            base = state.heads_of(DELETED)
        (deletion,) = self.tx.append([Draft(self.om.entity, record, {DELETED: True}, actor, self.om.system,
                                            at=one.modified, base={DELETED: base})])
        link.exceptions[DELETED] = [deletion.rev]
        self.touched[record] = self.tx.records([record])[record]


def _observation(item: InboxItem) -> Observation:
    payload = item.payload
    if payload is None:  # asked for by id and not there
        return Observation(item.external_id, None, "deleted", "", None, None, None, item.attempts,
                           stream=item.object)
    return Observation(
        item.external_id, payload["values"], payload["state"], payload["version"],
        utc_instant(payload["modified"]) if payload["modified"] else None, payload["merged_into"], payload["actor"],
        item.attempts, stream=item.object)


def rescue(tx: Transaction, om: ObjectMap, stream: Stream, lost: Mapping[str, Mapping[str, Any]]) -> int:
    """Bring back values that people wrote between our read and our write: edits that nobody had seen, hence
    conflicts with what we wrote. Returns how many records were concerned."""
    known = tx.known_as(om.system, stream.name, lost.keys())
    batch_refs = refs.inward(tx, om, lost.values())
    drafts = []
    for external_id, image in lost.items():
        if external_id in known:
            values, _problems = om.read(image, batch_refs)
            state = tx.records([known[external_id][0]])[known[external_id][0]]
            fields = {name: value for name, value in values.items() if value != state.values.get(name)}
            if fields:
                drafts.append(Draft(om.entity, state.id, fields, om.system, om.system, base=dict.fromkeys(fields, ()),
                                    reason="written while our own write was under way"))
    tx.append(drafts)
    return len(drafts)


def duplicate_key(record: str, external_id: str) -> str:
    """Under which key the image of a duplicate is kept beside that of its primary."""
    return f"{record}#{external_id}"


def in_sync(link: Link, state: RecordState, name: str) -> bool:
    """Whether the system is known to hold this field as the record has it now."""
    known, heads = link.exceptions.get(name), state.heads.get(name, [])
    if known is not None:
        return known == heads or set(known) == set(heads)
    return not heads or max(heads) <= link.synced_rev


def is_due(spec: FieldMap, link: Link, state: RecordState) -> bool:
    """Whether this field is to be written to the system: not what it holds, not in conflict, its conditions met."""
    return spec.applies(state.values) and spec.name not in state.conflicts and not in_sync(link, state, spec.name)


def put_back(link: Link, name: str, raw: Mapping[str, Any], state: RecordState) -> None:
    """Ask for raw values of a field to be written again as they were, while the record's own value stays what it is."""
    sent = link.sent or {"sure": True, "values": {}, "known": {}}
    wanted = {**sent.get("put_back", {}), name: {"raw": dict(raw), "heads": list(state.heads_of(name))}}
    link.sent = {**sent, "put_back": wanted}
    link.due = True


def put_backs(link: Link, state: RecordState) -> dict[str, dict[str, Any]]:
    """What an undo still has to put back here, by field: only where nobody changed the field in between."""
    wanted: dict[str, dict[str, Any]] = (link.sent or {}).get("put_back", {})
    return {name: back for name, back in wanted.items() if back["heads"] == list(state.heads_of(name))}


def catch_up(om: ObjectMap, link: Link, state: RecordState) -> None:
    """Shorten a link's bookkeeping: exceptions that no longer differ fold into one revision where all agree."""
    if all(in_sync(link, state, name) for name in (DELETED, *(spec.name for spec in om.fields))):
        link.synced_rev = max(link.synced_rev, state.rev)
        link.exceptions = {}
