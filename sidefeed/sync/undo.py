"""Undo: what a run did is taken back where nobody has touched it since, and nowhere else.

Two rules keep an undo safe. It writes only to objects that the run wrote to, and only what they held before: a value
that the run merely read in a system was entered there by somebody, and stays there. And what it took back stays taken
back: the same content is remembered as refused (code ``undone``), so that the next sync does not do it again until the
value, the mapping or a person changes it.

In the workspace each field goes back by a compensating change. Objects that the run made are deleted (their records
live on); objects that it deleted are restored, or made again under a new id and linked. What people touched since,
what is in conflict, and merges are left, and the report says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from sidefeed.mapping import Mapping as Mappings
from sidefeed.mapping import ObjectMap
from sidefeed.sync import refs
from sidefeed.sync.due import in_sync, put_back
from sidefeed.sync.plan import content_digest
from sidefeed.sync.writes import followed
from sidefeed.workspace import DELETED, Change, Draft, Link, RecordState, Transaction
from sidefeed.workspace.clock import utc_instant, utc_text
from sidefeed.workspace.merge import replay
from sidefeed.workspace.report import label, readable

UNDO = "undo "
"""How what an undo does begins, as its run tells it."""
_REASON = "undo of run "
UNDONE = "undone"
"""The code under which content that an undo took back is remembered."""


DEFAULTS = timedelta(minutes=2)
"""How long after a run a system's own filling of blanks may be stamped; a person who fills one that fast is rare, and
what was typed stays in the workspace."""


@dataclass(frozen=True, slots=True)
class Restored:
    """One thing taken back: a field's value, or (``field`` empty) an object; ``system`` is empty for the workspace."""

    record: str
    label: str
    system: str
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
    kept: list[Left] = field(default_factory=list)
    """What systems said by themselves, which is not ours to take back there."""
    wrote: dict[tuple[str, str, str], set[str]] = field(default_factory=dict)
    """The fields that the run wrote, by system, object and record."""

    def parts_in(self, system: str, object: str) -> dict[str, set[str]]:
        """What is taken back in one feed. A field that the run did not write there may be due all the same, from before
        it: that waits for the next sync."""
        return {record: {name for name in names if name in ("", DELETED) or name.startswith(followed(""))
                         or name in self.wrote.get((system, object, record), ())}
                for record, names in self.parts.items()}

    @property
    def parts(self) -> dict[str, set[str]]:
        """What is taken back: by record, its fields; an empty name is an object."""
        found: dict[str, set[str]] = {}
        for one in self.restored:
            found.setdefault(one.record, set()).add(one.field)
        return found

    def as_json(self) -> dict[str, Any]:
        return {"undone": self.run, "restored": [asdict(one) for one in self.restored],
                "left": [asdict(one) for one in self.left], "kept": [asdict(one) for one in self.kept]}


def undo(
    tx: Transaction, mappings: Mappings, run: str, *, actor: str, record: str | None = None, only: str | None = None
) -> Undone:
    """Take back one run, or of it one record, or one field. Appends compensating changes and marks links; the ordinary
    plan does the rest."""
    return _Undo(tx, mappings, run, actor, record, only).undo()


@dataclass(frozen=True, slots=True)
class _Write:
    """Everything one run did to one remote object, as one: the last values, and the first of what was before them."""

    system: str
    object: str
    record: str
    op: str
    rev: int
    values: Mapping[str, Any]
    known: Mapping[str, list[int]]
    before: Mapping[str, Any]
    external_id: str | None


@dataclass(slots=True)
class _Hold:
    """A field of a linked object that is to hold these raw values, whatever the workspace says now."""

    link: Link
    om: ObjectMap
    name: str
    held: Mapping[str, Any]


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
        self.holds: list[_Hold] = []
        intents = tx.intents_of_run(run)
        self.revisions: dict[str, set[int]] = {}
        for one in (run, *_carried_out(tx, intents)):
            for id, revs in tx.revisions_of_run(one).items():
                if record in (None, id):
                    self.revisions.setdefault(id, set()).update(revs)
        self.writes = _folded(intent for intent in intents if record in (None, intent["record"]))
        self.done.wrote = {(one.system, one.object, one.record): set(one.known) for one in self.writes}
        concerned = {*self.revisions, *(write.record for write in self.writes)}
        self.states = tx.records(concerned)
        self.histories = tx.histories(concerned)
        self._forget_what_an_undo_read()
        self.links = {(link.system, link.object, link.record): link for link in tx.links_of_all(concerned)}
        self.later = _Later(tx, min((write.rev for write in self.writes if write.op != "update"), default=None),
                            self.histories, utc_instant(tx.run(run)["ended"] or utc_text(tx.store.now())))

    def _forget_what_an_undo_read(self) -> None:
        """An undo reads before it takes back, and the next sync writes that elsewhere: it is no part of what it did."""
        if self.tx.run(self.run)["what"].startswith(UNDO):
            taken_back = {id: {change.rev for change in self.histories[id]
                               if change.rev in revs and (change.reason or "").startswith(_REASON)}
                          for id, revs in self.revisions.items()}
            self.revisions = {id: revs for id, revs in taken_back.items() if revs}

    def undo(self) -> Undone:
        for id, revs in self.revisions.items():
            self._take_back_changes(self.states[id], revs)
        for (system, object), writes in self._by_feed().items():
            self._take_back_writes(system, object, writes)
        self.tx.append(list(self.drafts.values()))
        self._hold()
        for link in self.links.values():
            if link.due:
                self.tx.save_link(link)
        return self.done

    # -- the log ------------------------------------------------------------------------------------------------

    def _take_back_changes(self, state: RecordState, revs: set[int]) -> None:
        """Each field the run changed becomes what it was before, where nothing but the run changed it since."""
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
            elif set(state.heads_of(name)) <= revs | set(before.heads_of(name)):
                self._restore(state, name, before, revs)
            else:
                self._leave(state, name, self._touched(state, name, revs))

    def _restore(self, state: RecordState, name: str, before: RecordState, revs: set[int]) -> None:
        """The old value, at the time it was first written: where a person's newer one turns up yet, that one wins."""
        value = before.values.get(name, False if name == DELETED else None)
        sources = {change.source for change in self.histories[state.id] if change.rev in revs and name in change.fields}
        for link in [link for link in self.links.values() if link.record == state.id and link.system in sources]:
            self._leave_at_source(state, link, name)
        if state.values.get(name) == value and name not in state.conflicts:
            return
        written = {change.rev: change for change in self.histories[state.id]}
        at = max((written[rev].at for rev in before.heads_of(name)), default=None)
        self.drafts[(state.id, name)] = Draft(
            state.entity, state.id, {name: value}, self.actor, "workspace", at=utc_instant(at) if at else None,
            base={name: state.heads_of(name)}, reason=f"{_REASON}{self.run}")
        what = "lives again" if name == DELETED and not value else (
            f"{readable(state.values.get(name))!r} -> {readable(value)!r}")
        self.done.restored.append(Restored(state.id, label(state), "", name, what))

    def _leave_at_source(self, state: RecordState, link: Link, name: str) -> None:
        """What somebody entered in a system is not ours to take back there."""
        om = self._object_map(link.system, link.object)
        if om is None or (name != DELETED and (name not in om or not om.field(name).writes)):
            return
        self.holds.append(_Hold(link, om, name, {}))
        told = "deleted" if name == DELETED else f"{readable(state.values.get(name))!r}"
        self.done.kept.append(Left(
            state.id, label(state), name, f"{link.system} said {told} by itself, so it stays there"))

    def _touched(self, state: RecordState, name: str, ours: Iterable[int]) -> str:
        others = [change for change in self.histories[state.id]
                  if change.rev in state.heads_of(name) and change.rev not in set(ours)]
        if name in state.conflicts:
            return "people disagree about it since; decide with `sidefeed resolve`"
        if any(change.reason == f"{_REASON}{self.run}" for change in others):
            return "it was taken back already"
        return "; ".join(
            f"{change.actor} in {change.source} made it {readable(change.fields[name])!r} on {change.at[:16]}"
            for change in others) or "it changed since"

    # -- the systems --------------------------------------------------------------------------------------------

    def _by_feed(self) -> dict[tuple[str, str], list[_Write]]:
        feeds: dict[tuple[str, str], list[_Write]] = {}
        for write in self.writes:
            feeds.setdefault((write.system, write.object), []).append(write)
        return feeds

    def _object_map(self, system: str, object: str) -> ObjectMap | None:
        return next((om for om in self.mappings.for_system(system) if om.object == object.partition("/")[0]), None)

    def _take_back_writes(self, system: str, object: str, writes: list[_Write]) -> None:
        om = self._object_map(system, object)
        images = self.tx.bases(system, object, [write.record for write in writes])
        for write in writes:
            state, link = self.states.get(write.record), self.links.get((system, object, write.record))
            if state is None or link is None:
                continue
            if om is None:
                self._leave(state, "", f"{system} {object} is not mapped any more")
            elif om.readonly:
                self._leave(state, "", f"it stands in {object} of {system}, and a person's calendar is changed by its "
                                       "organiser alone: `sidefeed meet move` or `meet cancel`")
            elif state.merged_into is not None or link.state == "detached":
                self._leave(state, "", "it was merged into another record: a merge cannot be taken apart")
            elif write.op != "delete" and link.state == "live" and not self._is_that_object(write, link):
                self._leave(state, "", f"{object} {write.external_id} is not in {system} any more; {link.external_id}, "
                                       f"which stands for it now, is another one")
            elif write.op == "update" and state.deleted and (state.id, DELETED) not in self.drafts:
                self._leave(state, "", f"it was deleted since, so nothing more is written to it in {system}")
            elif write.op in ("create", "restore"):
                self._retract(state, link, write)
            elif write.op == "delete":
                self._make_again(state, link, write)
            else:
                self._unwrite(state, link, om, write, images.get(state.id, {}))

    def _is_that_object(self, write: _Write, link: Link) -> bool:
        """Whether a record is still linked with the object that the run wrote to, or with what that was merged into."""
        if write.external_id in (None, link.external_id):
            return True
        known = self.tx.known_as(write.system, write.object, [str(write.external_id)]).get(str(write.external_id))
        return write.op == "update" and known is not None and known[1] == "alias"

    def _retract(self, state: RecordState, link: Link, write: _Write) -> None:
        if self.only is None and link.state == "creating":
            self._leave(state, "", f"{link.system} did not answer whether it made it, and may still be at work on it; "
                                   f"undo the run again once `sidefeed sync` found it")
        if self.only is not None or link.state != "live":
            return
        since = self.later.change_of(link.system, state.id, write.rev)
        if since is not None:
            self._leave(state, "", f"{since.actor} changed it in {link.system} on {since.at[:16]}, so it stays there")
            return
        user = self.later.user_of(link.system, state.id, write.rev)
        if user is not None:
            self._leave(state, "", f"{user.entity} {user.record} was put under it in {link.system} by {user.actor} on "
                                   f"{user.at[:16]}, so it stays there")
            return
        link.state, link.due = "unwanted", True
        self.done.restored.append(Restored(
            state.id, label(state), link.system, "", f"{link.object} {link.external_id} is taken out again"))

    def _make_again(self, state: RecordState, link: Link, write: _Write) -> None:
        if link.state != "gone" or self.only not in (None, DELETED):
            return
        known = set(write.known.get(DELETED, []))
        if not known:  # an undo had taken it back
            link.state = "wanted"
        elif not known & self.revisions.get(state.id, set()):
            if set(state.heads_of(DELETED)) != known:
                self._leave(state, DELETED, self._touched(state, DELETED, known))
                return
            history = [one for one in self.histories[state.id] if one.rev < min(known)]
            self._restore(state, DELETED, replay(history, state.id, state.entity), known)
        elif (state.id, DELETED) not in self.drafts:
            return  # the log says why it stays deleted
        link.due = True
        self.done.restored.append(Restored(state.id, label(state), link.system, "", (
            f"{link.object} {link.external_id} is restored; where {link.system} cannot do that, it is made again under "
            f"a new id and linked, and what hung on the old id stays with that")))

    def _unwrite(
        self, state: RecordState, link: Link, om: ObjectMap, write: _Write, image: Mapping[str, Any]
    ) -> None:
        if link.state != "live":
            self._leave(state, "", f"it is not in {link.system} any more")
            return
        back: set[str] = set()
        for name, known in write.known.items():
            if self.only not in (None, name) or name not in om:
                continue
            spec = om.field(name)
            if not known:  # an undo had put it back: what it took away is due again
                self.tx.forgive(link.system, link.object, state.id, spec.lens.raw)
                link.due = True
                self.done.restored.append(Restored(state.id, label(state), link.system, name, "is written again"))
                continue
            sent = {key: write.values[key] for key in spec.lens.raw if key in write.values}
            if set(state.heads_of(name)) != set(known):
                self._leave(state, name, self._touched(state, name, known))
            elif not in_sync(link, state, name) or not spec.lens.settled(sent, image):
                back_already = sent and all(image.get(key) == write.before.get(key) for key in sent)
                self._leave(state, name, f"{link.system} holds what it held before the run already" if back_already else
                            f"{link.system} does not hold what the run wrote any more")
            else:
                held = {key: write.before.get(key) for key in sent}
                back.add(name)
                self.holds.append(_Hold(link, om, name, held))
                told = ", ".join(f"{key} {sent[key]!r} -> {held[key]!r}" for key in sent)
                self.done.restored.append(Restored(state.id, label(state), link.system, name, told))

        self._unwrite_following(state, link, om, write, image, back)

    def _unwrite_following(
        self, state: RecordState, link: Link, om: ObjectMap, write: _Write, image: Mapping[str, Any], back: set[str]
    ) -> None:
        """Texts made of fields go back with all of the fields they were made of."""
        for writer in om.following:
            name, sources = followed(writer.field), writer.sources & write.known.keys()
            if writer.field not in write.values or not sources & back:
                continue
            before, sent = write.before.get(writer.field), write.values[writer.field]
            if sources - back:
                self._leave(state, name, f"it is made of {', '.join(sorted(sources - back))}, which is left")
            elif image.get(writer.field) != sent:
                self._leave(state, name, f"{link.system} does not hold what the run wrote any more")
            elif before != sent:
                put_back(link, name, {writer.field: before}, state)
                told = f"{sent!r} -> {before!r}"
                self.done.restored.append(Restored(state.id, label(state), link.system, name, told))

    # -- what stays taken back ----------------------------------------------------------------------------------

    def _hold(self) -> None:
        """Remember as refused what the next plan would otherwise write over the values that stay."""
        for (system, object), holds in _grouped(self.holds).items():
            images = self.tx.bases(system, object, [hold.link.record for hold in holds])
            outward = refs.outward(self.tx, holds[0].om, [self.states[hold.link.record].values for hold in holds])
            for hold in holds:
                state = self.states[hold.link.record]
                if hold.name == DELETED:
                    hold.link.exceptions[DELETED] = list(state.heads_of(DELETED))
                    self.tx.save_link(hold.link)
                    continue
                if hold.held:
                    put_back(hold.link, hold.name, hold.held, state)
                held = {**images.get(state.id, {}), **hold.held}
                raw, _problems = hold.om.write(state.values, [hold.name], outward)
                lens = hold.om.field(hold.name).lens
                wanted = {key: raw[key] for key in lens.raw if key in raw}
                if lens.settled(wanted, held):
                    continue
                for key, value in wanted.items():
                    if value != held.get(key):
                        self.tx.refuse(system, object, state.id, key, digest=content_digest(value), code=UNDONE,
                                       owner="ops", message=(
                            f"the undo of run {self.run} keeps {held.get(key)!r} there; it is written again once the "
                            f"value or the mapping changes, or with `sidefeed retry --code {UNDONE}`"))

    def _leave(self, state: RecordState, name: str, why: str) -> None:
        one = Left(state.id, label(state), name, why)
        if one not in self.done.left:
            self.done.left.append(one)


class _Later:
    """What the systems reported after a run: who changed an object since, and who put something under it."""

    def __init__(
        self, tx: Transaction, rev: int | None, histories: Mapping[str, list[Change]], ended: datetime
    ) -> None:
        self.histories = histories
        self.ended = ended
        self.by_record: dict[str, list[Change]] = {}
        self.users: dict[str, list[Change]] = {}
        for change in tx.changes_since(rev) if rev is not None else ():
            self.by_record.setdefault(change.record, []).append(change)
            for name, value in change.fields.items():
                if name != DELETED:
                    for id in _texts(value):
                        self.users.setdefault(id, []).append(change)

    def change_of(self, system: str, record: str, rev: int) -> Change | None:
        return next((one for one in self.by_record.get(record, ())
                     if one.source == system and one.rev > rev and not self._defaults(one)), None)

    def _defaults(self, change: Change) -> bool:
        """Whether this is only what a system put into the blanks of an object as we made it, such as its owner."""
        known = {name for one in self.histories.get(change.record, ()) if one.rev < change.rev for name in one.fields}
        return not known & change.fields.keys() and utc_instant(change.at) <= self.ended + DEFAULTS

    def user_of(self, system: str, record: str, rev: int) -> Change | None:
        return next((one for one in self.users.get(record, ())
                     if one.source == system and one.rev > rev and one.record != record), None)


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _carried_out(tx: Transaction, intents: Iterable[Mapping[str, Any]]) -> list[str]:
    """The parked runs whose reading these writes carried out: an approved run and the one that waited are one."""
    revs = {rev for intent in intents for heads in intent["payload"]["known"].values() for rev in heads}
    return [run for run in tx.runs_of_revisions(revs) if tx.run(run)["state"] in ("parked", "approved")]


def _folded(intents: Iterable[Mapping[str, Any]]) -> list[_Write]:
    found: dict[tuple[str, str, str], _Write] = {}
    for intent in intents:
        key = intent["system"], intent["object"], intent["record"]
        payload = intent["payload"]
        external_id = (intent["outcome"] or {}).get("external_id") or intent["external_id"]
        one = _Write(*key, intent["op"], intent["rev"], payload["values"], payload["known"], intent["before"] or {},
                     external_id)
        if (first := found.get(key)) is not None:
            one = replace(
                one, op=first.op if one.op == "update" else one.op, rev=first.rev,
                values={**first.values, **one.values}, known={**first.known, **one.known},
                before={**one.before, **first.before})
        found[key] = one
    return list(found.values())


def _grouped(holds: Iterable[_Hold]) -> dict[tuple[str, str], list[_Hold]]:
    found: dict[tuple[str, str], list[_Hold]] = {}
    for hold in holds:
        found.setdefault((hold.link.system, hold.link.object), []).append(hold)
    return found
