"""Looking back: where a system keeps history, what somebody wrote between our read and our write is an edit that nobody
has seen, and not a value to be lost.

What is to be looked back at is stored with the outcome of the write, so that neither a call that fails nor a process
that dies loses it: the next run looks. So it does at writes whose answer was lost, and at those of a run that died.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from sidefeed.connector import Connector, Outcome, Stream, Write
from sidefeed.mapping import ObjectMap
from sidefeed.sync.report import Report
from sidefeed.workspace import Store, Transaction


def to_look_back(
    tx: Transaction, om: ObjectMap, connector: Connector, stream: Stream, writes: Iterable[Write],
    outcomes: Mapping[str, Outcome],
) -> None:
    """Remember the updates that took effect, or may have, in the transaction that settles them."""
    if not connector.capabilities(om.object).history:
        return
    known = _known(tx, stream, om.system)
    for write in writes:
        if write.op == "update" and write.external_id and outcomes[write.key].status in ("done", "unknown"):
            _add(known, write.external_id, write.values, write.expected, write.version)
    if known:
        tx.save_setting(_name(om.system, stream), orjson.dumps(known).decode())


def look_back(store: Store, om: ObjectMap, connector: Connector, stream: Stream, report: Report) -> None:
    """Read back what the updates of a feed replaced unseen: it comes back as a conflict. Raises what the connector
    raises; it is then still to be looked at."""
    if not connector.capabilities(om.object).history:
        return
    with store.read() as tx:
        known = _known(tx, stream, om.system)
        _add_unsettled(tx, om, stream, known)
    if not known:
        return
    lost = connector.overwritten(stream, {
        id: Write(id, "update", one["values"], id, version=one["version"], expected=one["expected"])
        for id, one in known.items()})
    with store.write() as tx:
        if lost:
            from sidefeed.sync.absorb import rescue

            report.count("rescued", rescue(tx, om, stream, lost))
        tx.save_setting(_name(om.system, stream), "")


def _add(
    known: dict[str, Any], id: str, values: Mapping[str, Any], expected: Mapping[str, Any], version: str
) -> None:
    """Of an object that is remembered already, what it held before the earlier update counts."""
    before = known.get(id, {"values": {}, "expected": {}, "version": version})
    known[id] = {"values": {**before["values"], **values}, "expected": {**expected, **before["expected"]},
                 "version": before["version"]}


def _add_unsettled(tx: Transaction, om: ObjectMap, stream: Stream, known: dict[str, Any]) -> None:
    """The updates of a run that died before it heard what became of them."""
    rows = [row for row in tx.unsettled(om.system, stream.name) if row["op"] == "update" and row["external_id"]]
    links = tx.links(om.system, stream.name, [row["record"] for row in rows])
    for row in rows:
        if (link := links.get(row["record"])) is not None:
            _add(known, row["external_id"], row["payload"]["values"], row["before"] or {}, link.version)


def _known(tx: Transaction, stream: Stream, system: str) -> dict[str, Any]:
    told = tx.setting(_name(system, stream))
    found: dict[str, Any] = orjson.loads(told) if told else {}
    return found


def _name(system: str, stream: Stream) -> str:
    return f"look back:{system}:{stream.name}"
