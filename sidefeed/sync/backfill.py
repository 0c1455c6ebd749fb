"""What a system remembers from before Sidefeed was there, taken over into the log, under the day it happened.

A past value is a change of that day which saw nothing of ours, so it wins over nothing. It is followed by the values
that stand, as their authors wrote them, now based on it too; so nothing that counts today changes, no dispute begins or
ends, and nothing is written to any system. "What did we know then" stays as it was; "what was true then" reaches
further back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import sqlalchemy as sa

from sidefeed.connector import Connector, Historian, Past, chunked
from sidefeed.mapping import ObjectMap
from sidefeed.sync import refs
from sidefeed.workspace import Draft, RecordState, Store, Transaction
from sidefeed.workspace import tables as t
from sidefeed.workspace.clock import utc_instant

REASON = "from the history of "
_BATCH = 100


def backfill(
    store: Store, om: ObjectMap, connector: Connector, *, progress: Callable[[str, int], None] | None = None
) -> int:
    """Take over the history of every linked object of one kind that has not been; gives how many changes were added.

    Reads from the system only. A record whose history is there already, or that is deleted, is left alone, and so is a
    field that people disagree about. May be stopped and started again. Raises what the connector raises.
    """
    if not isinstance(connector, Historian):
        return 0
    fields = sorted({raw for spec in om.fields for raw in spec.lens.raw})
    added = 0
    for stream in connector.streams(om.object):
        with store.read() as tx:
            links = tx.links(om.system, stream.name, tx.linked(om.system, stream.name))
            done = _done(tx, om.system)
        wanted = {link.external_id: record for record, link in links.items() if link.external_id and record not in done}
        for ids in chunked(sorted(wanted), _BATCH):
            found: dict[str, list[Past]] = {}
            for past in connector.history(stream, fields, ids):
                found.setdefault(wanted[past.id], []).append(past)
            with store.write() as tx:
                added += sum(_take(tx, om, record, pasts) for record, pasts in found.items())
            if progress is not None:
                progress(f"history of {om.system} {om.object}", len(ids))
    return added


def _done(tx: Transaction, system: str) -> set[str]:
    return set(tx.connection.execute(sa.select(t.change.c.record).where(
        t.change.c.reason == REASON + system).distinct()).scalars())


def _take(tx: Transaction, om: ObjectMap, record: str, pasts: Iterable[Past]) -> int:
    state = tx.record(record)
    first = tx.connection.execute(sa.select(sa.func.min(t.change.c.at)).where(t.change.c.record == record)).scalar()
    if state is None or state.deleted or state.merged_into or first is None:
        return 0
    earlier = sorted((past for past in pasts if past.at < utc_instant(first)), key=lambda past: past.at)
    batch = refs.inward(tx, om, [past.values for past in earlier])
    standing, held = dict(state.values), {name: state.heads_of(name)[-1] for name in state.heads}
    revs: dict[str, tuple[int, ...]] = {}
    last: dict[str, Any] = {}
    count = 0
    for past in earlier:
        read, _problems = om.read(past.values, batch)
        fields = {name: value for name, value in read.items() if name not in state.conflicts or name in revs}
        fields = {name: value for name, value in fields.items() if name not in last or last[name] != value}
        if not fields:
            continue
        (change,) = tx.append([_draft(om, record, past, fields, revs)])
        count += 1
        last |= fields
        revs |= dict.fromkeys(fields, (change.rev,))
    _stand(tx, om, state, standing, {name: held[name] for name in revs if name in held})
    return count


def _draft(
    om: ObjectMap, record: str, past: Past, fields: Mapping[str, Any], revs: Mapping[str, tuple[int, ...]]
) -> Draft:
    return Draft(om.entity, record, fields, past.actor or om.system, om.system, at=past.at,
                 base={name: revs.get(name, ()) for name in fields}, reason=REASON + om.system)


def _stand(
    tx: Transaction, om: ObjectMap, state: RecordState, standing: Mapping[str, Any], held: Mapping[str, int]
) -> None:
    """What stood before stands again, in the name of whoever wrote it, and blank where nobody had."""
    details = tx.head_details(set(held.values()))
    by_change: dict[int, list[str]] = {}
    for name, rev in held.items():
        by_change.setdefault(rev, []).append(name)
    for rev, names in by_change.items():
        one = details[rev]
        tx.append([Draft(om.entity, state.id, {name: standing.get(name) for name in names}, one.actor, one.source,
                         at=utc_instant(one.at), reason=one.reason)])
