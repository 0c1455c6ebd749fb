"""Apply: every write is an intent before its call and has exactly one outcome after it.

An outcome is settled by key and committed before the next batch. No outcome means unknown: the record is looked at, the
write is never resent. A refused value is remembered by content. A crash at any point, followed by the same command,
ends where no crash would have ended.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sidefeed.calendars.redact import discreet
from sidefeed.connector import (
    AuthenticationFailed,
    Connector,
    ConnectorError,
    Duplicate,
    Gone,
    Invalid,
    Locked,
    Outcome,
    PermissionDenied,
    QuotaExhausted,
    Remote,
    Restorer,
    Stream,
    Unavailable,
    UnknownOutcome,
    Write,
    chunked,
)
from sidefeed.mapping import ObjectMap
from sidefeed.sync import quarantine
from sidefeed.sync.capture import Progress, pack
from sidefeed.sync.due import catch_up, is_due
from sidefeed.sync.hindsight import look_back, to_look_back
from sidefeed.sync.hold import held
from sidefeed.sync.owner import given_to, names_no_owner
from sidefeed.sync.plan import content_digest
from sidefeed.sync.report import Report
from sidefeed.sync.writes import ObjectPlan, PlannedWrite
from sidefeed.workspace import Link, Store, Transaction


def apply(
    store: Store, plan: ObjectPlan, connector: Connector, report: Report, progress: Progress | None = None
) -> bool:
    """Send the writes of one feed's plan; returns whether anything changed that may be planned again at once.

    Raises AuthenticationFailed, PermissionDenied and QuotaExhausted after settling what was done.
    """
    om, object = plan.om, plan.stream.name
    capabilities = connector.capabilities(om.object)
    _note_unwritten(store, plan, report)
    again = False
    for op in ("create", "update", "delete"):
        writes = [write for write in plan.writes if write.op == op]
        for batch in chunked(writes, max(1, capabilities.write_batch)):
            store.keep_leases()
            if _paused_meanwhile(store, plan, report):
                return again
            again |= _apply_batch(store, om, plan, connector, batch, report, read_first=not capabilities.conditional)
            if progress is not None:
                progress(f"writing {om.system} {object}", len(batch))
    with store.write() as tx:
        tx.move_cursor(om.system, object, planned_rev=plan.upto)
    return again


def _paused_meanwhile(store: Store, plan: ObjectPlan, report: Report) -> bool:
    """Whether somebody paused the feed while this run wrote: what is left is planned again from where this plan was."""
    with store.read() as tx:
        pause = held(tx, plan.om, plan.stream)
    if pause is not None:
        report.paused[f"{plan.om.system} {plan.stream.name}"] = f"{pause}: what was not written by then waits"
    return pause is not None


def _note_unwritten(store: Store, plan: ObjectPlan, report: Report) -> None:
    """Keep what waits, say what is refused, and close links that hold the value already."""
    om, object = plan.om, plan.stream.name
    with store.write() as tx:
        links = _unmoved(tx, plan, [*(link for link, _heads in plan.settled), *plan.idle])
        states = tx.records([link.record for link, _heads in plan.settled])
        for settled, heads in plan.settled:
            if (link := links.get(settled.record)) is not None:
                link.exceptions.update(heads)
                catch_up(om, link, states[link.record])
                link.due = any(is_due(spec, link, states[link.record]) for spec in om.fields)
                tx.save_link(link)
        for idle in plan.idle:  # all that is left was refused: it waits for other content, not for another run
            if (link := links.get(idle.record)) is not None and link.due:
                link.due = False
                tx.save_link(link)
        writing = {write.record for write in plan.writes}
        nothing_left = [link for link in (*plan.idle, *(link for link, _names in plan.settled))
                        if link.record not in writing]
        tx.forgive_released(om.system, object, [link.record for link in nothing_left])
        links = tx.links(om.system, object, plan.waiting)
        for record, why in plan.waiting.items():
            link = links.get(record) or Link(om.system, object, record, om.entity, state="wanted")
            link.due = True
            tx.save_link(link)
            report.waiting[f"{om.system} {object} {record}"] = why
        _note_refused(tx, plan, report)


def _unmoved(tx: Transaction, plan: ObjectPlan, planned: Iterable[Link]) -> dict[str, Link]:
    """Links as they are now, without those that a person or the run of another system moved since the plan."""
    before = {link.record: link for link in planned}
    return {record: link for record, link in tx.links(plan.om.system, plan.stream.name, before).items()
            if _place(link) == _place(before[record])}


def _place(link: Link) -> tuple[str, str | None]:
    return link.state, link.external_id


def _note_refused(tx: Transaction, plan: ObjectPlan, report: Report) -> None:
    """Values that the mapping itself cannot write: said once, until the value or the mapping changes."""
    om, object = plan.om, plan.stream.name
    records = {one.record for one in plan.refused}
    states, known = tx.records(list(records)), tx.refusals(om.system, object, plan.looked_at)
    links = tx.links(om.system, object, records)
    _forgive_mended(tx, plan, known)
    busy = {write.record for write in plan.writes} | plan.waiting.keys()
    told: dict[tuple[str, str, str], list[str]] = {}
    for one in plan.refused:
        content = content_digest([states[one.record].values.get(one.field), om.fingerprint])
        if known.get(one.record, {}).get(f"={one.field}") != content:
            report.count("refused")
            told.setdefault((one.field, one.code, one.message), []).append(one.label)
            quarantine.put(tx, report, om.system, object, one.record, f"={one.field}", digest=content, code=one.code,
                           message=one.message, needs=one.needs)
        if one.record not in links:  # what mends it must find it again, whether the record changes or not
            links[one.record] = Link(om.system, object, one.record, om.entity, state="wanted")
            tx.save_link(links[one.record])
        elif one.record not in busy and links[one.record].due:
            links[one.record].due = False
            tx.save_link(links[one.record])
    for (field, code, message), labels in told.items():
        others = f" and {len(labels) - 1} more" if len(labels) > 1 else ""
        report.problem(om.system, object, labels[0] + others, field, code, message)


def _forgive_mended(tx: Transaction, plan: ObjectPlan, known: Mapping[str, Mapping[str, str]]) -> None:
    """Values that the mapping could not write, and that it can by now or need not any more."""
    still = {(one.record, f"={one.field}") for one in plan.refused}
    for record, fields in known.items():
        mended = [name for name in fields if name.startswith("=") and (record, name) not in still]
        if mended:
            tx.forgive(plan.om.system, plan.stream.name, record, mended)


def _apply_batch(
    store: Store, om: ObjectMap, plan: ObjectPlan, connector: Connector, batch: list[PlannedWrite], report: Report,
    *, read_first: bool,
) -> bool:
    object = plan.stream.name
    if read_first and batch[0].op != "create":
        batch, moved = _read_first(om, plan, connector, batch)
        if moved:
            _note_moved(store, om, object, moved, report)
        if not batch:
            return bool(moved)
    if batch[0].op == "create" and isinstance(connector, Restorer):
        batch, back = _restored(store, om, plan, connector, batch, report)
        if not batch:
            return back
    else:
        back = False
    batch, writes, links = _open_intents(store, om, object, batch, report)
    if not batch:
        return True
    outcomes: dict[str, Outcome] = {}
    stop = _send(connector, plan.stream, writes, outcomes)
    for write in writes:
        if write.key not in outcomes:
            unsent = isinstance(stop, AuthenticationFailed | PermissionDenied | QuotaExhausted)
            outcomes[write.key] = Outcome(write.key, "retry" if unsent else "unknown", error=stop)
    given = _given(om, plan.stream, connector, writes, outcomes)
    with store.write() as tx:
        again = _settle(tx, om, object, batch, links, outcomes, given, report) or back
        to_look_back(tx, om, connector, plan.stream, writes, outcomes)
    look_back(store, om, connector, plan.stream, report)
    if stop is not None and not isinstance(stop, Unavailable):
        raise stop
    return again


def _send(
    connector: Connector, stream: Stream, writes: list[Write], outcomes: dict[str, Outcome]
) -> ConnectorError | None:
    """Send writes and collect their outcomes; returns what stopped the sending, if anything did.

    A batch that is refused as a whole had no effect. It is halved until the bad rows are known, so that one poisoned
    row holds back no other.
    """
    try:
        for outcome in connector.write(stream, writes):
            outcomes[outcome.key] = outcome
    except (Invalid, Duplicate, Gone) as error:
        left = [write for write in writes if write.key not in outcomes]
        if len(left) == 1:
            outcomes[left[0].key] = Outcome(left[0].key, "refused", left[0].external_id, error=error)
            return None
        half = (len(left) + 1) // 2
        return _send(connector, stream, left[:half], outcomes) or _send(connector, stream, left[half:], outcomes)
    except UnknownOutcome:
        return None
    except ConnectorError as error:
        return error
    return None


def _read_first(
    om: ObjectMap, plan: ObjectPlan, connector: Connector, batch: list[PlannedWrite]
) -> tuple[list[PlannedWrite], list[Remote]]:
    """Without a condition in the system, a write is sent only where the values it replaces are still there."""
    wanted = sorted({name for write in batch for name in (*write.after, *write.before)} or set(om.raw_fields[:1]))
    ids = [write.external_id for write in batch if write.external_id]
    now = {remote.id: remote for remote in connector.fetch(plan.stream, wanted, ids)}
    still, moved = [], []
    for write in batch:
        remote = now.get(write.external_id or "")
        if remote is None or (remote.state == "deleted" and write.op == "delete"):
            still.append(write)
        elif remote.state == "deleted" or remote.merged_into is not None or remote.values is None or any(
                remote.values.get(name) != before for name, before in write.before.items()):
            moved.append(remote)
        else:
            still.append(write)
    return still, moved


def _note_moved(store: Store, om: ObjectMap, object: str, moved: Iterable[Remote], report: Report) -> None:
    """Somebody wrote since the plan: read the whole record at the next absorption, decide again."""
    with store.write() as tx:
        tx.put_inbox(om.system, object, {remote.id: None if remote.state == "live" else pack(remote)
                                         for remote in moved})
        known = tx.known_as(om.system, object, [remote.id for remote in moved])
        links = tx.links(om.system, object, [record for record, _role in known.values()])
        for link in links.values():
            link.due = True
            tx.save_link(link)
    report.count("stale", len(list(moved)))


def _restored(
    store: Store, om: ObjectMap, plan: ObjectPlan, connector: Any, batch: list[PlannedWrite], report: Report
) -> tuple[list[PlannedWrite], bool]:
    """Bring back under their old ids what the system can; the rest is left to be created.

    Bringing back twice does no harm, so it needs no intent before the call: what lives already is found by its id.
    """
    object = plan.stream.name
    with store.read() as tx:
        links = tx.links(om.system, object, [write.record for write in batch])
    gone = {link.external_id: link.record for link in links.values()
            if link.external_id and link.state in ("gone", "wanted")}
    if not gone:
        return batch, False
    now = {remote.id: remote for remote in connector.fetch(plan.stream, om.raw_fields[:1], list(gone))}
    merged = {id for id, remote in now.items() if remote.merged_into is not None}
    back = {id for id in gone if id in now and now[id].state == "live" and id not in merged}
    asked = [id for id in gone if id not in back and id not in merged]
    back |= {id for id, error in connector.restore(plan.stream, asked).items() if error is None} if asked else set()
    records = {gone[id] for id in back if id in gone}
    with store.write() as tx:
        tx.put_inbox(om.system, object, dict.fromkeys(back))
        tx.note_done([{
            "run": report.run, "system": om.system, "object": object, "record": write.record, "op": "restore",
            "key": f"{write.record}:restore", "external_id": links[write.record].external_id, "rev": write.rev,
            "payload": {"values": {}, "known": {}}, "before": {}} for write in batch if write.record in records])
    for _record in records:
        report.wrote(om.system, object, "restore")
    return [write for write in batch if write.record not in records], bool(back)


def _open_intents(
    store: Store, om: ObjectMap, object: str, batch: list[PlannedWrite], report: Report
) -> tuple[list[PlannedWrite], list[Write], dict[str, Link]]:
    """Make every write durable before its call. Leaves out those whose link a person, or the run of another system,
    moved since the plan."""
    with store.write(durable=True) as tx:
        links = tx.links(om.system, object, [write.record for write in batch])
        moved = {write.record for write in batch if write.op != "create"
                 and (write.record not in links or links[write.record].external_id != write.external_id)}
        report.count("stale", len(moved))
        batch = [write for write in batch if write.record not in moved]
        writes = []
        for planned in batch:
            link = links.get(planned.record)
            if planned.op == "create":
                generation = link.generation + 1 if link is not None else 1
                link = Link(om.system, object, planned.record, om.entity, state="creating", generation=generation,
                            due=True)
                links[planned.record] = link
                tx.save_link(link)
                values = {**planned.after, **({om.key_field: link.key} if om.key_field else {})}
                writes.append(Write(link.key, "create", values, external_key=link.key,
                                    mail=planned.mails is not None))
            else:
                assert link is not None
                writes.append(Write(f"{planned.record}:{planned.op}", planned.op, planned.after, planned.external_id,
                                    version=link.version, mail=planned.mails is not None,
                                    expected=planned.before if planned.op == "update" else {}))
        tx.open_intents([{
            "run": report.run, "system": om.system, "object": object, "record": planned.record, "op": planned.op,
            "key": write.key, "external_id": planned.external_id, "rev": planned.rev, "payload": {
                "values": dict(write.values), "known": planned.fields},
            "before": planned.before if planned.op == "update" else {},  # what is deleted leaves no copy here
        } for planned, write in zip(batch, writes, strict=True)])
        tx.forget_payloads(om.system, object, [write.external_id for write in writes if write.external_id])
    return batch, writes, links


def _given(
    om: ObjectMap, stream: Stream, connector: Connector, writes: Iterable[Write], outcomes: Mapping[str, Outcome]
) -> str | bool:
    """To whom the system gave what was made here without naming an owner, if anything was."""
    return next((given_to(connector, stream, outcomes[write.key].external_id or "") for write in writes
                 if write.op == "create" and outcomes[write.key].status == "done" and names_no_owner(om, write.values)),
                False)


def _settle(
    tx: Transaction, om: ObjectMap, object: str, batch: list[PlannedWrite], links: Mapping[str, Link],
    outcomes: Mapping[str, Outcome], given: str | bool, report: Report,
) -> bool:
    states = tx.records([write.record for write in batch])
    bases = tx.bases(om.system, object, [write.record for write in batch if write.op == "update"])
    forgiven = tx.refusals(om.system, object, [write.record for write in batch]).keys()
    now = tx.links(om.system, object, [write.record for write in batch])
    settled: dict[str, tuple[str, Any]] = {}
    again = False
    for planned in batch:
        link = links[planned.record]
        key = link.key if planned.op == "create" else f"{planned.record}:{planned.op}"
        outcome = outcomes[key]
        if planned.mails is not None and not planned.mails.asked and outcome.status in ("done", "unknown"):
            report.count("mailed", len(planned.mails.to))
        values = {**planned.after, **({om.key_field: link.key} if planned.op == "create" and om.key_field else {})}
        settled[key] = (outcome.status, _outcome_json(planned, outcome))
        if planned.record in now and _place(now[planned.record]) != _place(link):
            _moved_meanwhile(tx, om, object, planned, outcome, values)
            continue
        if outcome.status == "done":
            _done(tx, om, object, planned, link, outcome, values, states[planned.record],
                  bases.get(planned.record, {}), given, report)
            if planned.record in forgiven:
                kept = {key for name, heads in planned.fields.items() if not heads and name in om
                        for key in om.field(name).lens.raw}
                tx.forgive(om.system, object, planned.record, ["", *(planned.after.keys() - kept)])
        elif outcome.status == "refused":
            again |= _refused(tx, om, object, planned, link, outcome, values, report)
        else:
            _not_done(tx, om, object, planned, link, outcome, values, report)
            if outcome.status == "unknown" and planned.op == "create":
                del settled[key]  # it stays open: recovery looks for the key before anything is created again
        tx.save_link(link)
    if settled:
        tx.settle_intents(report.run, om.system, object, settled)
    return again


def _moved_meanwhile(
    tx: Transaction, om: ObjectMap, object: str, planned: PlannedWrite, outcome: Outcome, values: Mapping[str, Any]
) -> None:
    """A person, or the run of another system, moved the link while the call was under way. What they said of it stays;
    the object is read anew, and what we wrote there is no edit of anybody's."""
    id = outcome.external_id or planned.external_id
    if id is None:
        return
    tx.put_inbox(om.system, object, {id: None})
    known = tx.known_as(om.system, object, [id]).get(id)
    if known is None:
        tx.remember(om.system, object, id, om.entity, planned.record, "primary")
        return
    link = tx.links(om.system, object, [known[0]]).get(known[0])
    if link is not None and link.external_id == id and planned.op == "update":
        seen = planned.fields if link.record == planned.record else {name: [] for name in planned.fields}
        link.sent = {**(link.sent or {}), "sure": False, "values": dict(values), "known": seen}
        link.due, link.digest = True, None
        tx.save_link(link)


def _done(
    tx: Transaction, om: ObjectMap, object: str, planned: PlannedWrite, link: Link, outcome: Outcome,
    values: Mapping[str, Any], state: Any, image: Mapping[str, Any], given: str | bool, report: Report,
) -> None:
    report.wrote(om.system, object, planned.op)
    if planned.op == "delete":
        tx.remember(om.system, object, planned.external_id or "", om.entity, planned.record, "gone")
        link.state, link.due, link.sent, link.digest = "gone", False, None, None
        link.exceptions.update(planned.fields)
        return
    if planned.op == "create":
        assert outcome.external_id is not None
        link.external_id = outcome.external_id
        link.synced_rev, link.exceptions = 0, {}
        tx.remember(om.system, object, outcome.external_id, om.entity, planned.record, "primary")
    report.waiting.pop(f"{om.system} {object} {planned.record}", None)
    link.state = "live"
    link.version = outcome.version
    link.exceptions.update(planned.fields)
    catch_up(om, link, state)
    link.due = any(is_due(spec, link, state) for spec in om.fields)
    made = planned.op == "create" and names_no_owner(om, values) and given
    link.sent = _sent(link if planned.op == "update" else None, values, planned.fields, made)
    link.digest = None
    tx.save_base(om.system, object, planned.record, {**image, **values})


def _sent(link: Link | None, values: Mapping[str, Any], known: Mapping[str, Any], made: str | bool) -> dict[str, Any]:
    """What was written and not seen again yet, with what an earlier write of this run left to be seen."""
    earlier = (link and link.sent) or {"sure": True, "values": {}, "known": {}}
    return {"sure": earlier["sure"], "values": {**earlier["values"], **values}, "known": {**earlier["known"], **known},
            "made": made or earlier.get("made", False)}


def _refused(
    tx: Transaction, om: ObjectMap, object: str, planned: PlannedWrite, link: Link, outcome: Outcome,
    values: Mapping[str, Any], report: Report,
) -> bool:
    """Remember by content what was refused; the rest of the record may go at once."""
    error = outcome.error or ConnectorError("the system gave no reason")
    message = discreet(error.message, planned.after, planned.secret)
    if isinstance(error, Gone) and planned.external_id:
        tx.put_inbox(om.system, object, {planned.external_id: None})
        link.due = planned.op != "delete"
        if planned.op == "delete":
            link.state, link.due = "gone", False
        return False
    if planned.op == "create":
        link.state, link.due = "wanted", False
    if isinstance(error, Duplicate) and error.of:
        tx.put_inbox(om.system, object, dict.fromkeys(error.of))
        tx.ask(om.system, object, error.of[0], "duplicate", {
            "entity": om.entity, "record": planned.record, "label": planned.label, "message": message,
            "existing": list(error.of)})
    field = error.field if isinstance(error, Invalid) and error.field in planned.after else ""
    content = planned.after.get(field) if field else (
        {"delete": planned.external_id} if planned.op == "delete" else dict(planned.after))
    owner = quarantine.owner_of(error, report)
    quarantine.put(tx, report, om.system, object, planned.record, field or "", digest=content_digest(content),
                   code=error.code, message=message, kind=quarantine.kind_of(error), owner=owner)
    report.count("refused")
    report.problem(om.system, object, planned.label, field or None, error.code, message, owner)
    if planned.op == "update" or (planned.op == "create" and field):
        link.due = True
    return bool(field)


def _not_done(
    tx: Transaction, om: ObjectMap, object: str, planned: PlannedWrite, link: Link, outcome: Outcome,
    values: Mapping[str, Any], report: Report,
) -> None:
    link.due = True
    report.count({"stale": "stale", "retry": "postponed", "unknown": "unknown"}[outcome.status])
    if outcome.status == "retry" and planned.op == "create":
        link.state = "wanted"
        link.generation -= 1
    elif outcome.status == "unknown" and planned.op != "create":
        link.sent = {**(link.sent or {}), "sure": False, "values": dict(values), "known": planned.fields}
        link.digest = None
    if outcome.status in ("stale", "unknown") and planned.external_id:
        tx.put_inbox(om.system, object, {planned.external_id: None})
    if outcome.error is not None and outcome.status == "retry":
        _postpone(tx, om, object, planned, outcome.error, report)


def _postpone(
    tx: Transaction, om: ObjectMap, object: str, planned: PlannedWrite, error: ConnectorError, report: Report
) -> None:
    """What is the record's own trouble goes into its lane; what stopped the whole system waits for the next run."""
    owner = quarantine.owner_of(error, report)
    message = discreet(error.message, planned.after, planned.secret)
    report.problem(om.system, object, planned.label, None, error.code, message, owner)
    if isinstance(error, Locked | Unavailable):
        content = {"delete": planned.external_id} if planned.op == "delete" else dict(planned.after)
        quarantine.put(tx, report, om.system, object, planned.record, "", digest=content_digest(content),
                       code=error.code, message=message, kind=quarantine.kind_of(error))


def _outcome_json(planned: PlannedWrite, outcome: Outcome) -> dict[str, Any]:
    told = outcome.error and discreet(outcome.error.message, planned.after, planned.secret)
    return {"external_id": outcome.external_id, "version": outcome.version,
            "error": [outcome.error.code, told] if outcome.error else None}
