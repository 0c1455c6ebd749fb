"""What was seen to be otherwise becomes changes, each based on exactly the revisions that the system had seen.

A value is compared with the link's base, in the system's own terms; whether a change is a replacement or a conflict is
the merge rule's business, not ours. The base always becomes what the remote holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sidefeed.mapping import UNKNOWN, FieldMap, LensError, Unresolved
from sidefeed.mapping.values import referred
from sidefeed.sync.batch import Batch
from sidefeed.sync.capture import digest
from sidefeed.sync.due import catch_up, duplicate_key, in_sync, is_due, known_there, put_backs
from sidefeed.sync.observation import Observation
from sidefeed.sync.owner import carries_our_key, is_given
from sidefeed.sync.policy import can_revert, policy_name, reverts
from sidefeed.sync.scope import OUT, come_back, deleted_for_leaving
from sidefeed.workspace import DELETED, Draft, Link, RecordState

AT_ONCE = 3
"""How often what waits for another object is looked at in every wave and run, before it goes into the slow lanes."""


@dataclass(slots=True)
class Edit:
    """What one observation makes of one link: the draft of a change, and what the system has now seen."""

    observation: Observation
    link: Link
    fields: dict[str, Any] = field(default_factory=dict)
    base: dict[str, Sequence[int]] = field(default_factory=dict)
    seen: dict[str, list[int]] = field(default_factory=dict)
    first: bool = False


def absorb_live(batch: Batch, live: list[Observation]) -> None:
    records = [one.record for one in live if one.record]
    states = batch.tx.records(records)
    links = batch.tx.links(batch.system, batch.stream.name, records)
    bases = batch.tx.bases(batch.system, batch.stream.name, records)
    edits, later = [], []
    taken: set[str] = set()
    for one in live:
        assert one.record is not None
        link = links.get(one.record)
        if one.record in taken or (link and link.state == "live" and link.external_id != one.id):
            later.append(one)
            continue
        taken.add(one.record)
        edits.append(_edit(batch, one, states.get(one.record), link, bases.get(one.record)))
    _append(batch, edits, states)
    for one in later:
        _duplicate(batch, one)
    for edit in edits:
        _settle(batch, edit)


def _duplicate(batch: Batch, one: Observation) -> None:
    """A second live object of one record in one system: frozen, listed, never written or deleted."""
    assert one.record is not None
    batch.remember(one, "duplicate")
    # The system's own totals count this copy too, so what it holds is kept, apart from the primary's image.
    batch.tx.save_base(batch.system, batch.stream.name, duplicate_key(one.record, one.id), one.image or {})
    batch.report.count("duplicates")
    batch.done.append(one.id)


def _edit(
    batch: Batch, one: Observation, state: RecordState | None, link: Link | None, old: Mapping[str, Any] | None,
) -> Edit:
    image = one.image or {}
    if link is None or link.state in ("wanted", "creating", "gone"):
        generation = link.generation if link else 0
        revived = link is not None and link.state == "gone"
        link = Link(batch.system, batch.stream.name, one.record or "", batch.om.entity, one.id,
                    synced_rev=link.synced_rev if link else 0,
                    exceptions=link.exceptions if link else {},
                    sent=link.sent if link else None, generation=generation)
        edit = Edit(one, link)
        if revived and state is not None and state.values.get(DELETED):
            # Who restored it has seen the deletions that were known there. Where our own found nothing there, that is
            # none: it was out of sight, not restored.
            edit.fields[DELETED], edit.base[DELETED] = False, tuple(link.exceptions.get(DELETED, ()))
        if state is not None and not link.sent and isinstance(batch.given, str) and carries_our_key(batch.om, image):
            # We made it and forgot it: whom the system gave it to then is nobody's edit.
            link.sent = {"sure": True, "values": {}, "known": {}, "made": batch.given}
    else:
        edit = Edit(one, link)
    if state is None and not old and not link.exceptions and not link.sent:
        _first_sight(batch, edit)
        return edit
    if state is not None and state.deleted and link.state == OUT and batch.om.leaving_scope == "delete" and (
            deleted_for_leaving(batch.tx, batch.om, state)):
        edit.fields[DELETED] = False
    for name_map in batch.om.fields:
        if name_map.reads:
            _edit_field(batch, edit, name_map, state, image, old or {})
    if state is not None and state.deleted and DELETED not in edit.fields and any(
            name in edit.fields and not _fell_off(batch, state, name, edit.fields[name])
            for name in batch.entity.fields):
        # An edit that nobody who deleted had seen: the edit wins, and people are asked.
        edit.fields[DELETED] = False
        edit.base[DELETED] = ()
    return edit


def _fell_off(batch: Batch, state: RecordState, name: str, value: Any) -> bool:
    """Whether a reference only lost what was deleted: a system takes that off what it hung on, and nobody edited it."""
    spec = batch.entity.fields[name]
    if not (spec.entity or spec.entities):
        return False
    held, left = set(referred(state.values.get(name))), set(referred(value))
    lost = batch.tx.records(list(held - left))
    return left < held and all(id in lost and lost[id].deleted for id in held - left)


def _first_sight(batch: Batch, edit: Edit) -> None:
    """A record that nothing is known of yet: every value is news, and a blank says nothing."""
    edit.first = True
    for name, value in edit.observation.values.items():
        if value is None or value == batch.blanks[name]:
            edit.seen[name] = []
        else:
            edit.fields[name], edit.base[name] = value, ()


def _edit_field(
    batch: Batch, edit: Edit, spec: FieldMap, state: RecordState | None, image: Mapping[str, Any],
    old: Mapping[str, Any],
) -> None:
    name, link = spec.name, edit.link
    if name not in edit.observation.values:
        return  # unknown: not returned, not readable, or a reference not known yet
    value = edit.observation.values[name]
    raw = {key: image.get(key) for key in spec.lens.raw}
    was = {key: old.get(key) for key in spec.lens.raw}
    first_sight = not any(key in old for key in spec.lens.raw)
    sent = link.sent or {}
    if sent.get("made") and is_given(spec, link, image):
        edit.seen[name] = list(sent["known"].get(name, []))
        return
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
    if not first_sight and name not in sent.get("known", {}) and _read_old(batch, spec, old) == value:
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
            known = known_there(batch.tx, link, state, name)
    elif name in sent.get("known", {}) and sent["sure"]:
        known = sent["known"][name]
    else:
        known = known_there(batch.tx, link, state, name)
    edit.base[name] = known
    if state is not None and set(known) != set(heads) and batch.entity.fields[name].merge == "set":
        ancestor = _read_old(batch, spec, old)
        batch.ancestors[(state.id, name)] = None if ancestor is UNKNOWN else ancestor


def _read_old(batch: Batch, spec: FieldMap, old: Mapping[str, Any]) -> Any:
    try:
        return spec.lens.read(old, batch.refs)
    except (LensError, Unresolved):
        return UNKNOWN


def _append(batch: Batch, edits: list[Edit], states: dict[str, RecordState]) -> None:
    drafts, owners = [], []
    actors = batch.actors([edit.observation.actor for edit in edits if edit.observation.actor])
    before = _sources_before(batch, edits, states)
    for edit in edits:
        if not edit.fields:
            continue
        one = edit.observation
        actor = actors.get(one.actor or "", one.actor) or batch.system
        drafts.append(Draft(batch.om.entity, edit.link.record, edit.fields, actor, batch.source,
                            at=one.modified, base=edit.base))
        owners.append(edit)
    changes = batch.tx.append(drafts)
    touched = batch.tx.records([change.record for change in changes])
    batch.report.count("absorbed", len(changes))
    takes_back = []
    for edit, change in zip(owners, changes, strict=True):
        state = batch.touched[change.record] = touched[change.record]
        batch.report.absorbed(batch.om, change)
        edit.seen.update({name: [change.rev] for name in change.fields})
        for name in change.fields if before else ():
            old = before.get((change.record, name))
            spec = batch.entity.fields.get(name)
            if old and spec and name not in state.conflicts and reverts(
                    spec.policy, batch.system, old[0], old[1], change.fields[name]):
                takes_back.append(Draft(
                    change.entity, change.record, {name: old[1]}, f"policy:{policy_name(spec.policy)}", "policy",
                    reason=f"{policy_name(spec.policy)}: {batch.system} may not change it from {old[1]!r}"[:500]))
    if takes_back:
        batch.tx.append(takes_back)
        batch.report.count("decided", len(takes_back))


def _sources_before(
    batch: Batch, edits: list[Edit], states: Mapping[str, RecordState],
) -> dict[tuple[str, str], tuple[str, Any]]:
    """Who held a field before an edit replaced it, for the policies that may take the edit back."""
    wanted: dict[tuple[str, str], int] = {}
    for edit in edits:
        state = states.get(edit.link.record)
        if state is None:
            continue
        for name in edit.fields:
            spec = batch.entity.fields.get(name)
            if spec is None or name in state.conflicts or not can_revert(spec.policy):
                continue
            if state.heads_of(name):
                wanted[(state.id, name)] = state.heads_of(name)[-1]
    details = batch.tx.head_details(set(wanted.values())) if wanted else {}
    found = {}
    for (record, name), rev in wanted.items():
        change = details[rev]
        source = change.source
        if source == "policy":  # a decision holds the value on behalf of the system it preferred
            source = change.actor.removeprefix("policy:prefer:").strip()
        found[(record, name)] = (source, states[record].values.get(name))
    return found


def _settle(batch: Batch, edit: Edit) -> None:
    """Bring the link up to what was seen; runs before policies, so that a decision is work still to be written."""
    one, link = edit.observation, edit.link
    state = batch.tx.record(link.record)
    if state is None:  # a record whose every field was blank or unknown still exists
        batch.tx.append([Draft(batch.om.entity, link.record, {DELETED: False}, batch.system, batch.source)])
        state = batch.tx.records([link.record])[link.record]
    if link.state == OUT:
        come_back(batch.tx, batch.om, link)
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
        catch_up(batch.om, link, state)
    behind = bool(link.exceptions) or link.synced_rev < state.rev
    # It came back into sight while its record was deleted elsewhere: that deletion is still owed to it.
    owed = (state.deleted and state.merged_into is None and batch.om.deletes != "unlink"
            and not in_sync(link, state, DELETED))
    link.due = not batch.om.readonly and (bool(kept) or owed or link.state == "unwanted" or (
        behind and any(is_due(spec, link, state) for spec in batch.om.fields)))
    if one.waiting is None:
        link.digest = digest(one.image)
        batch.done.append(one.id)
    else:
        link.digest = None
        lane = batch.report.codes.explain("locked").next_try(one.attempts - AT_ONCE, batch.now)
        batch.tx.postpone(batch.system, batch.stream.name, one.id, needs=one.needs,
                          until=batch.now if one.attempts < AT_ONCE else lane,
                          waiting_for=f"{one.waiting[0]}: {one.waiting[1]}")
    image = dict(one.image or {})
    if one.waiting is not None:
        for spec in batch.om.fields:
            if spec.name not in one.values:
                for key in spec.lens.raw:
                    image.pop(key, None)
    batch.tx.save_base(batch.system, batch.stream.name, link.record, image)
    batch.tx.save_link(link)
