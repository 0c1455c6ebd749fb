"""Recovery: what became of the writes of a run that died, or whose answer was lost.

Nothing is sent again before it is known. A create is looked for by its key: among what lives, then among what was
deleted, because somebody may have deleted an object before any run heard that it had been made. Found there, it is the
record's all the same, and its deletion is read like any other. Where it is not found, a system that refuses a second
object with the same key is asked again; any other may still be at work on the first request, and is given the time to
end it. Every other write is settled by reading its object again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sidefeed.connector import Connector, Stream
from sidefeed.mapping import ObjectMap
from sidefeed.sync.adopt import adopt, at_work_until, look_for, why_it_waits
from sidefeed.sync.hindsight import look_back
from sidefeed.sync.owner import given_to, names_no_owner
from sidefeed.sync.report import Report
from sidefeed.workspace import Link, Store, Transaction


def recover(store: Store, om: ObjectMap, connector: Connector, stream: Stream, report: Report) -> None:
    """Settle the writes of runs that died: look for the key of every create, read every other record again, and look
    back at what was written over. Makes no call where no write is open."""
    look_back(store, om, connector, stream, report)
    with store.read() as tx:
        open_intents = tx.unsettled(om.system, stream.name)
    if not open_intents:
        return
    found = look_for(connector, stream, [row["key"] for row in open_intents if row["op"] == "create"])
    given = next((given_to(connector, stream, found[row["key"]][0]) for row in open_intents
                  if row["key"] in found and names_no_owner(om, row["payload"]["values"])), False)
    refuses_twice = connector.capabilities(om.object).unique_keys
    with store.write() as tx:
        links = tx.links(om.system, stream.name, [row["record"] for row in open_intents])
        for row in open_intents:
            link = links.get(row["record"])
            outcome: tuple[str, Any] = ("recovered", None)
            if link is None:
                pass
            elif row["op"] != "create":
                link.sent = {**(link.sent or {}), "sure": False, "values": row["payload"]["values"],
                             "known": row["payload"]["known"]}
                link.due, link.digest = True, None
                tx.put_inbox(om.system, stream.name, {row["external_id"]: None})
            elif ids := list(found.get(row["key"], ())):
                _found(tx, om, stream.name, link, row, ids, given)
                report.count("recovered")
                outcome = ("recovered", {"external_id": ids[0]})
            elif link.state == "creating":
                if not refuses_twice and store.now() < at_work_until(row):
                    report.waiting[f"{om.system} {stream.name} {link.record}"] = why_it_waits(
                        tx.records([link.record])[link.record], row)
                    continue
                link.state, link.due = "wanted", True
                link.generation -= 1
                outcome = ("nothing", None)
            if link is not None:
                tx.save_link(link)
            tx.settle_intents(row["run"], om.system, stream.name, {row["key"]: outcome})


def _found(
    tx: Transaction, om: ObjectMap, object: str, link: Link, row: Mapping[str, Any], ids: Sequence[str],
    given: str | bool,
) -> None:
    """Adopt what was made, unless its record was merged away meanwhile: then it is one of the survivor's, as it would
    be had the answer come before the merge. What is known as the record's already needs nothing."""
    tx.put_inbox(om.system, object, dict.fromkeys(ids[:1]))
    if link.state == "live" and link.external_id in ids:
        return
    record = _survivor(tx, link.record)
    if record == link.record:
        adopt(tx, om, object, link, row, ids[0], given)
    tx.remember(om.system, object, ids[0], om.entity, record, "primary")
    for copy in ids[1:]:
        tx.remember(om.system, object, copy, om.entity, record, "duplicate")


def _survivor(tx: Transaction, record: str) -> str:
    while (state := tx.record(record)) is not None and state.merged_into:
        record = state.merged_into
    return record
