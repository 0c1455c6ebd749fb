"""Absorb: what a system was seen to hold becomes changes in the log.

An observation is compared with the link's base (what this system was last seen to hold, in the system's own terms), so
a value that the system trimmed, rounded or lower-cased is never taken for an edit, and our own write never comes back
as one. One transaction takes one batch: identify, then edits, then merges and deletions, then what policies decide.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sidefeed.calendars import series
from sidefeed.calendars.redact import told
from sidefeed.connector import Connector, Stream
from sidefeed.mapping import Mapping as Mappings
from sidefeed.mapping import ObjectMap
from sidefeed.sync import meetings, quarantine, refs
from sidefeed.sync.attribution import attribute
from sidefeed.sync.batch import Batch
from sidefeed.sync.capture import Progress
from sidefeed.sync.edits import absorb_live
from sidefeed.sync.identify import fresh_keys, identify
from sidefeed.sync.observation import Observation, complete, observed
from sidefeed.sync.owner import forgotten, given_to
from sidefeed.sync.policy import decide
from sidefeed.sync.private_contacts import absorb_private
from sidefeed.sync.removal import absorb_deletion, absorb_merge
from sidefeed.sync.report import Report
from sidefeed.sync.scope import leave, lose_sight
from sidefeed.workspace import Draft, Store, Transaction
from sidefeed.workspace.log import CLOCK_TOLERANCE
from sidefeed.workspace.model import InboxItem

AT_ONCE = 500
"""Objects of one transaction."""


def absorb(
    store: Store, mappings: Mappings, om: ObjectMap, stream: Stream, connector: Connector, report: Report,
    progress: Progress | None = None,
) -> None:
    """Absorb everything that waits in the inbox of one feed.

    The history names the system as the source of each change, unless the connector says otherwise (``source``).
    """
    source = getattr(connector, "source", om.system)
    capabilities = connector.capabilities(om.object)
    hides = capabilities.hides or not capabilities.deletes  # a file that holds less is not a deletion
    with store.read() as tx:
        parked = bool(tx.needed(om.system, stream.name))
    if parked:
        with store.write() as tx:
            quarantine.wake(tx, om.system, stream.name)
    with store.read() as tx:
        ids = tx.inbox_ids(om.system, stream.name)
        if not ids:
            return
        keys = fresh_keys(tx, om, stream, ids)
    for start in range(0, len(ids), AT_ONCE):
        chunk = ids[start:start + AT_ONCE]
        with store.read() as tx:
            items = tx.inbox_items(om.system, stream.name, chunk)
        items = complete(items, om, stream, connector)
        made = forgotten(store, om, stream, items)
        given = given_to(connector, stream, made) if made else False
        store.keep_leases()
        with store.write() as tx:
            _absorb_batch(Batch(tx, mappings, om, stream, report, source, hides, given), items, keys)
        if progress is not None:
            progress(f"absorbing {om.system} {stream.name}", len(chunk))


def _absorb_batch(batch: Batch, items: list[InboxItem], keys: Mapping[str, int]) -> None:
    seen = [observed(item) for item in items]
    for one in seen:
        _admit(batch, one)
    live = _read(batch, seen)
    if batch.om.entity == "meeting":
        live = _meetings(batch, live)
    identify(batch, live, keys)
    identified = [one for one in live if one.record is not None]
    absorb_live(batch, identified)
    if batch.om.entity == "meeting" and batch.om.readonly:
        attribute(batch.tx, batch.om, identified, batch.report)
    for one in seen:
        if one.merged_into is not None:
            absorb_merge(batch, one)
    for one in seen:
        if one.merged_into is None:
            _absorb_absence(batch, one)
    if batch.om.entity == "meeting" and batch.om.readonly:
        meetings.tell_shared_uids(batch, seen)
    decided = decide(batch.tx, batch.mappings, batch.touched.values(), batch.ancestors)
    batch.report.count("decided", decided)
    for record in batch.touched:
        batch.report.count("conflicts", len(batch.touched[record].conflicts))
    batch.tx.drop_inbox(batch.system, batch.stream.name, batch.done)


def _admit(batch: Batch, one: Observation) -> None:
    """A stamp from the future is not believed: the change counts from now."""
    if one.modified is not None and one.modified - batch.now > CLOCK_TOLERANCE:
        batch.report.problem(
            batch.system, batch.stream.name, one.id, None, "clock-ahead",
            f"its modification time {one.modified.isoformat()} lies in the future; it is taken as changed now. "
            f"Check the clock of {batch.system} and of this machine.")
        one.modified = None


def _read(batch: Batch, seen: list[Observation]) -> list[Observation]:
    """Translate what lives within the scope into the workspace's values; what lies outside is marked as left."""
    om = batch.om
    live = [one for one in seen if one.state == "live" and one.merged_into is None and one.image is not None]
    for one in live:
        if not om.within_scope(one.image or {}):
            one.state = "left"
    live = [one for one in live if one.state == "live"]
    batch.refs = refs.inward(batch.tx, om, [one.image or {} for one in live])
    for one in live:
        one.values, problems = om.read(one.image or {}, batch.refs)
        for problem in problems:
            if problem.code == "unresolved":
                one.waiting = (problem.field, problem.message)
                one.needs = f"{problem.entity} {problem.id}"
            else:
                batch.report.problem(om.system, batch.stream.name, one.id, problem.field, problem.code,
                                     told(om, problem.field, problem.code, problem.message))
    return live


def _meetings(batch: Batch, live: list[Observation]) -> list[Observation]:
    """What may leave a calendar; a series as one object is absorbed here, its occurrences go on."""
    live = meetings.admit(batch.tx, batch.om, live, batch.report, batch.done)
    whole = [one for one in live if one.is_series]
    series.absorb(batch.tx, batch.system, batch.stream.name, batch.source, whole)
    batch.done += [one.id for one in whole]
    return [one for one in live if not one.is_series]


def _absorb_absence(batch: Batch, one: Observation) -> None:
    """It was made private, left the scope, is hidden from us, or was deleted: only the last is a deletion."""
    if one.state == "private":
        absorb_private(batch, one)
    elif one.state == "left":
        batch.done.append(one.id)
        leave(batch.tx, batch.om, batch.stream.name, one.id, batch.report, source=batch.source)
    elif batch.hides and one.image is None and not one.version:
        batch.done.append(one.id)
        lose_sight(batch.tx, batch.om, batch.stream.name, one.id, batch.report)
    elif one.state == "deleted" or one.image is None:
        absorb_deletion(batch, one)


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
