"""Recovery: what became of the writes of a run that died, or whose answer was lost.

Nothing is sent again before it is known. A create is looked for by its key: among what lives, then among what was
deleted, because somebody may have deleted an object before any run heard that it had been made. Found there, it is the
record's all the same, and its deletion is read like any other. Every other write is settled by reading its object
again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sidefeed.connector import Connector, RemembersKeys, Stream
from sidefeed.mapping import ObjectMap
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
                _adopt(tx, om, stream.name, link, row, ids, given)
                report.count("recovered")
                outcome = ("recovered", {"external_id": ids[0]})
            elif link.state == "creating":
                link.state, link.due = "wanted", True
                link.generation -= 1
                outcome = ("nothing", None)
            if link is not None:
                tx.save_link(link)
            tx.settle_intents(row["run"], om.system, stream.name, {row["key"]: outcome})


def look_for(connector: Connector, stream: Stream, keys: Sequence[str]) -> dict[str, Sequence[str]]:
    """The ids of objects that carry these keys. Of one that is not there the deleted are asked, in this order: what is
    deleted between the two questions is found by the second."""
    if not keys:
        return {}
    found = {key: ids for key, ids in connector.find(stream, keys).items() if ids}
    missing = [key for key in keys if key not in found]
    if missing and isinstance(connector, RemembersKeys):
        found.update(connector.find_deleted(stream, missing))
    return found


def _adopt(
    tx: Transaction, om: ObjectMap, object: str, link: Link, row: Mapping[str, Any], ids: list[str], given: str | bool
) -> None:
    """The create had happened: the object that carries our key is this record, whatever became of it since."""
    link.external_id, link.state, link.due = ids[0], "live", True
    link.synced_rev, link.exceptions = 0, dict(row["payload"]["known"])
    link.sent = {"sure": True, **row["payload"], "made": names_no_owner(om, row["payload"]["values"]) and given}
    link.digest = None
    tx.remember(om.system, object, ids[0], om.entity, link.record, "primary")
    for copy in ids[1:]:
        tx.remember(om.system, object, copy, om.entity, link.record, "duplicate")
    tx.save_base(om.system, object, link.record, row["payload"]["values"])
    tx.put_inbox(om.system, object, {ids[0]: None})

