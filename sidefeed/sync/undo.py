"""Undo: what a run did is taken back where nobody has touched it since, and nowhere else.

Values go back by compensating changes in the log, which the ordinary plan then writes to every system. A value that
stood in the workspace before the run, and was only written out by it, goes back to what the workspace had before, or,
where the system held something that the workspace never knew, is put back in that system alone. Objects that the run
made are deleted (their records live on); objects that it deleted are made again under a new id and linked.

What people touched since, what is in conflict, and merges are left, and the report says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from sidefeed.mapping import LensError, ObjectMap, Unresolved
from sidefeed.mapping import Mapping as Mappings
from sidefeed.sync import refs
from sidefeed.sync.absorb import in_sync
from sidefeed.sync.plan import label
from sidefeed.workspace import DELETED, Change, Draft, Link, RecordState, Transaction
from sidefeed.workspace.clock import utc_instant
from sidefeed.workspace.merge import replay


@dataclass(frozen=True, slots=True)
class Restored:
    """One thing taken back: a field's value, or (``field`` empty) an object in a system."""

    record: str
    label: str
    field: str
    what: str


@dataclass(frozen=True, slots=True)
class Left:
    """One thing left as it is, and why."""

    record: str
    label: str
    field: str
    why: str


@dataclass(slots=True)
class Undone:
    """What an undo takes back and what it leaves."""

    run: str
    restored: list[Restored] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return {"undone": self.run, "restored": [asdict(one) for one in self.restored],
                "left": [asdict(one) for one in self.left]}


def undo(
    tx: Transaction, mappings: Mappings, run: str, *, actor: str, record: str | None = None, only: str | None = None
) -> Undone:
    """Take back one run, or of it one record, or one field. Appends compensating changes and marks links; the ordinary
    plan does the rest."""
    return _Undo(tx, mappings, run, actor, record, only).undo()


class _Undo:
    def __init__(
        self, tx: Transaction, mappings: Mappings, run: str, actor: str, record: str | None, only: str | None
    ) -> None:
        self.tx = tx
        self.mappings = mappings
        self.run = run
        self.actor = actor
        self.only = only
        self.done = Undone(run)
        self.drafts: dict[tuple[str, str], Draft] = {}
        revisions = tx.revisions_of_run(run)
        intents = tx.intents_of_run(run)
        self.revisions = {id: revs for id, revs in revisions.items() if record in (None, id)}
        self.intents = [intent for intent in intents if record in (None, intent["record"])]
        concerned = {*self.revisions, *(intent["record"] for intent in self.intents)}
        self.states = tx.records(concerned)
        self.histories = tx.histories(concerned)

    def undo(self) -> Undone:
        for id, revs in self.revisions.items():
            self._take_back_changes(self.states[id], revs)
        for (system, object), intents in self._by_feed().items():
            self._take_back_writes(system, object, intents)
        self.tx.append(list(self.drafts.values()))
        return self.done

    # -- the log ------------------------------------------------------------------------------------------------

    def _take_back_changes(self, state: RecordState, revs: set[int]) -> None:
        """Each field the run changed becomes what it was before, where the run's value is still the current one."""
        history = self.histories[state.id]
        before = replay([change for change in history if change.rev < min(revs)], state.id, state.entity)
        if before.rev == 0:
            return  # people made it in some system and the run brought it in: only our copies are taken back
        if state.merged_into is not None:
            self._leave(state, "", "it was merged into another record: a merge cannot be taken apart")
            return
        for name in sorted({name for change in history if change.rev in revs for name in change.fields}):
            if self.only not in (None, name):
                continue
            if name in before.conflicts:
                self._leave(state, name, "it was in conflict before the run; decide with `sidefeed resolve`")
            elif set(state.heads_of(name)) <= revs:
                self._restore(state, name, before)
            else:
                self._leave(state, name, self._touched(state, name, revs))

    def _restore(self, state: RecordState, name: str, before: RecordState) -> None:
        """The old value, at the time it was first written: where a person's newer one turns up yet, that one wins."""
        value = before.values.get(name, False if name == DELETED else None)
        if state.values.get(name) == value and name not in state.conflicts:
            return
        written = {change.rev: change for change in self.histories[state.id]}
        at = max((written[rev].at for rev in before.heads_of(name)), default=None)
        self.drafts[(state.id, name)] = Draft(
            state.entity, state.id, {name: value}, self.actor, "workspace", at=utc_instant(at) if at else None,
            base={name: state.heads_of(name)}, reason=f"undo of run {self.run}")
        what = "lives again" if name == DELETED and not value else f"{state.values.get(name)!r} -> {value!r}"
        self.done.restored.append(Restored(state.id, label(state), name, what))

    def _touched(self, state: RecordState, name: str, ours: Iterable[int]) -> str:
        others = [change for change in self.histories[state.id]
                  if change.rev in state.heads_of(name) and change.rev not in set(ours)]
        if name in state.conflicts:
            return "people disagree about it since; decide with `sidefeed resolve`"
        return "; ".join(f"{change.actor} in {change.source} made it {change.fields[name]!r} on {change.at[:16]}"
                         for change in others) or "it changed since"

    # -- the systems --------------------------------------------------------------------------------------------

    def _by_feed(self) -> dict[tuple[str, str], list[dict[str, Any]]]:
        feeds: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for intent in self.intents:
            feeds.setdefault((intent["system"], intent["object"]), []).append(intent)
        return feeds

    def _take_back_writes(self, system: str, object: str, intents: list[dict[str, Any]]) -> None:
        om = next((om for om in self.mappings.for_system(system) if om.object == object.partition("/")[0]), None)
        records = [intent["record"] for intent in intents]
        links, images = self.tx.links(system, object, records), self.tx.bases(system, object, records)
        for intent in intents:
            state, link = self.states.get(intent["record"]), links.get(intent["record"])
            if state is None or link is None:
                continue
            if om is None:
                self._leave(state, "", f"{system} {object} is not mapped any more")
            elif intent["op"] == "create":
                self._retract(state, link, om)
            elif intent["op"] == "delete":
                self._make_again(state, link, intent)
            else:
                self._unwrite(state, link, om, intent, images.get(state.id, {}))

    def _retract(self, state: RecordState, link: Link, om: ObjectMap) -> None:
        if self.only is not None or link.state != "live":
            return
        since = [change for change in self.histories[state.id]
                 if change.source == link.system and change.rev > max(self.revisions.get(state.id, {0}))]
        if since:
            self._leave(state, "", f"{since[-1].actor} changed it in {link.system} on {since[-1].at[:16]}, so it "
                                   f"stays there")
            return
        link.state, link.due = "unwanted", True
        self.tx.save_link(link)
        self.done.restored.append(Restored(state.id, label(state), "", f"taken out of {link.system} {link.object}"))

    def _make_again(self, state: RecordState, link: Link, intent: Mapping[str, Any]) -> None:
        if link.state != "gone" or self.only not in (None, DELETED):
            return
        known = intent["payload"]["known"].get(DELETED, [])
        if not known:  # an undo had taken it back
            link.state, link.due = "wanted", True
            self.tx.save_link(link)
        elif not set(known) & self.revisions.get(state.id, set()):
            self._restore_as_before(state, DELETED, known)
        self.done.restored.append(Restored(state.id, label(state), "", (
            f"made again in {link.system} {link.object} under a new id, and linked; what hung on the old "
            f"{link.external_id} there stays with it")))

    def _unwrite(
        self, state: RecordState, link: Link, om: ObjectMap, intent: Mapping[str, Any], image: Mapping[str, Any]
    ) -> None:
        written, before = intent["payload"]["values"], intent["before"] or {}
        batch_refs = refs.inward(self.tx, om, [{**image, **before}])
        back: dict[str, Any] = {}
        for name, known in intent["payload"]["known"].items():
            if self.only not in (None, name) or name not in om or set(known) & self.revisions.get(state.id, set()):
                continue  # what the run itself changed goes back by the log
            spec = om.field(name)
            if set(state.heads_of(name)) != set(known):
                self._leave(state, name, self._touched(state, name, known))
                continue
            if not in_sync(link, state, name) or any(
                    key in written and image.get(key) != written[key] for key in spec.lens.raw):
                self._leave(state, name, f"{link.system} does not hold what the run wrote any more")
                continue
            try:
                held = spec.lens.read({**image, **before}, batch_refs)
            except (LensError, Unresolved):
                held = None
            earlier = replay([one for one in self.histories[state.id] if one.rev < min(known)], state.id, state.entity)
            if name in earlier.heads and held in (earlier.values.get(name), spec.lens.image(earlier.values.get(name))):
                self._restore(state, name, earlier)
            else:
                back |= {key: before[key] for key in spec.lens.raw if key in before}
                told = ", ".join(f"{key} {written.get(key)!r} -> {before[key]!r}" for key in back)
                self.done.restored.append(Restored(state.id, label(state), name, f"only in {link.system}: {told}"))
        if back and link.state == "live":
            link.sent = {"sure": True, "values": {}, "known": {}, **(link.sent or {}), "put_back": back}
            link.due = True
            self.tx.save_link(link)

    def _restore_as_before(self, state: RecordState, name: str, known: Iterable[int]) -> None:
        if set(state.heads_of(name)) == set(known):
            history: list[Change] = [one for one in self.histories[state.id] if one.rev < min(known)]
            self._restore(state, name, replay(history, state.id, state.entity))
        else:
            self._leave(state, name, self._touched(state, name, known))

    def _leave(self, state: RecordState, name: str, why: str) -> None:
        one = Left(state.id, label(state), name, why)
        if one not in self.done.left:
            self.done.left.append(one)
