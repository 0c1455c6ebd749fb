"""Merges and deletions that a system tells of: links move, and a deletion is weighed against edits not seen there."""

from __future__ import annotations

from sidefeed.calendars import series
from sidefeed.sync import meetings, owner
from sidefeed.sync.batch import Batch
from sidefeed.sync.due import in_sync, is_due, known_there, remapped
from sidefeed.sync.observation import Observation
from sidefeed.workspace import DELETED, Draft, Link, RecordState


def absorb_merge(batch: Batch, one: Observation) -> None:
    """The system merged this object into another: links move, nothing is deleted anywhere for it."""
    assert one.merged_into is not None
    batch.done.append(one.id)
    known = batch.tx.known_as(batch.system, batch.stream.name, [one.id, one.merged_into])
    if one.id not in known:
        if one.merged_into in known:
            batch.tx.remember(batch.system, batch.stream.name, one.id, batch.om.entity,
                              known[one.merged_into][0], "alias")
        return
    loser = batch.survivor(known[one.id][0])
    link = batch.tx.links(batch.system, batch.stream.name, [loser]).get(loser)
    if one.merged_into not in known:
        batch.tx.remember(batch.system, batch.stream.name, one.id, batch.om.entity, loser, "alias")
        if link is None or link.state != "live" or link.external_id in (None, one.id):
            _stand_for(batch, link, loser, one.merged_into)
        return  # else a second copy went away, and what the record is linked with is still there
    winner = batch.survivor(known[one.merged_into][0])
    batch.tx.remember(batch.system, batch.stream.name, one.id, batch.om.entity, winner, "alias")
    if winner != loser:
        _join(batch, loser, winner)
        batch.report.count("merged")
    elif link is not None and link.external_id == one.id:  # the record's own object went into its second copy
        _stand_for(batch, link, winner, one.merged_into)


def _stand_for(batch: Batch, link: Link | None, record: str, external_id: str) -> None:
    """From now on a record lives in this system as another object, which is read anew."""
    batch.tx.remember(batch.system, batch.stream.name, external_id, batch.om.entity, record, "primary")
    if link is not None:
        link.external_id, link.version, link.digest = external_id, "", None
        batch.tx.save_link(link)
    batch.tx.put_inbox(batch.system, batch.stream.name, {external_id: None})
    if external_id in batch.done:  # it was listed as a second copy just now, and was not compared
        batch.done.remove(external_id)


def _join(batch: Batch, loser: str, winner: str) -> None:
    """Union of two records: the loser's links go to the winner, or are frozen as duplicates where it has one."""
    taken = {(link.system, link.object) for link in batch.tx.links_of(winner) if link.state == "live"}
    for link in batch.tx.links_of(loser):
        if link.system == batch.system and link.object == batch.stream.name:
            link.state = "gone"
            link.due = False
            batch.tx.save_link(link)
            continue
        role = "duplicate"
        if link.state == "live" and (link.system, link.object) not in taken:
            moved = Link(link.system, link.object, winner, link.entity, link.external_id, "live", link.version,
                         generation=link.generation)
            batch.tx.save_link(moved)
            batch.tx.put_inbox(link.system, link.object, {link.external_id or "": None})
            role = "primary"
        if link.external_id:
            batch.tx.remember(link.system, link.object, link.external_id, link.entity, winner, role)
        link.state, link.due = "detached", False
        batch.tx.save_link(link)
    batch.tx.append([Draft(batch.om.entity, loser, {DELETED: True}, batch.system, batch.system,
                           reason=f"merged into {winner}")])
    batch.tx.mark_merged(loser, winner)


def absorb_deletion(batch: Batch, one: Observation) -> None:
    batch.done.append(one.id)
    known = batch.tx.known_as(batch.system, batch.stream.name, [one.id]).get(one.id)
    if known is None or known[1] == "gone":
        return
    record = batch.survivor(known[0])
    batch.tx.remember(batch.system, batch.stream.name, one.id, batch.om.entity, record, "gone")
    if batch.om.entity == "meeting" and series.gone(batch.tx, batch.system, batch.stream.name, record):
        return
    link = batch.tx.links(batch.system, batch.stream.name, [record]).get(record)
    if link is None or link.external_id != one.id or link.state != "live":
        return
    state = batch.tx.records([record])[record]
    if (copy := _second_copy(batch, record)) is not None:
        _take_over(batch, link, state, copy)
        return
    told = batch.tx.refusals(batch.system, batch.stream.name, [record]).get(record, {})
    unseen = [spec.name for spec in batch.om.fields if spec.name in state.conflicts or (
        # What this mapping cannot express there (an owner it does not know) is no edit that anybody missed.
        is_due(spec, link, state) and not remapped(link, spec.name) and f"={spec.name}" not in told)]
    link.state, link.due, link.digest, link.sent = "gone", False, None, owner.unread(link)
    if state.deleted:  # both sides deleted it: whoever lets it live again lets it live in both
        link.exceptions[DELETED] = list(state.heads_of(DELETED))
    batch.tx.save_link(link)
    if state.deleted or state.merged_into:
        return
    batch.report.count("deleted_there")
    if batch.om.entity == "meeting" and batch.om.readonly:
        meetings.cancelled(batch.tx, batch.om, state, batch.now)
        return
    if batch.om.deletes == "unlink":
        return
    actor = batch.actors([one.actor]).get(one.actor or "", batch.system)
    if batch.om.deletes == "ask" or unseen:
        keep = Draft(batch.om.entity, record, {DELETED: False}, "policy:edit-wins", "policy", reason=(
            f"deleted in {batch.system}, but {', '.join(unseen)} changed since it was last seen there"
            if unseen else f"deleted in {batch.system}; this mapping asks before it deletes elsewhere"))
        (kept,) = batch.tx.append([keep])
        base = tuple(rev for rev in state.heads_of(DELETED) if rev != kept.rev)
    else:
        base = state.heads_of(DELETED)
    (deletion,) = batch.tx.append([Draft(batch.om.entity, record, {DELETED: True}, actor, batch.system,
                                         at=one.modified, base={DELETED: base})])
    link.exceptions[DELETED] = [deletion.rev]
    batch.touched[record] = batch.tx.records([record])[record]


def _second_copy(batch: Batch, record: str) -> str | None:
    """Another object of this feed that is the same record."""
    return min((id for system, object, id, role in batch.tx.roles_of(record)
                if (system, object, role) == (batch.system, batch.stream.name, "duplicate")), default=None)


def _take_over(batch: Batch, link: Link, state: RecordState, copy: str) -> None:
    """Somebody cleared one of two copies away, so the record is still there. What the other holds was never compared:
    where it differs, that is an edit which has seen nothing."""
    seen = {name: list(state.heads_of(name) if in_sync(link, state, name) else known_there(batch.tx, link, state, name))
            for name in (DELETED, *(spec.name for spec in batch.om.fields))}
    batch.tx.save_base(batch.system, batch.stream.name, state.id, {})
    _stand_for(batch, Link(link.system, link.object, state.id, link.entity, exceptions=seen,
                           generation=link.generation), state.id, copy)
