"""Looking back: where a system keeps history, what somebody wrote between our read and our write is an edit that nobody
has seen, and not a value to be lost.

What is to be looked back at is stored with the outcome of the write, so that neither a call that fails nor a process
that dies loses it: the next run looks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from sidefeed.connector import Connector, Outcome, Stream, Write
from sidefeed.mapping import ObjectMap
from sidefeed.sync.absorb import rescue
from sidefeed.sync.report import Report
from sidefeed.workspace import Store, Transaction


def to_look_back(
    tx: Transaction, om: ObjectMap, connector: Connector, stream: Stream, writes: Iterable[Write],
    outcomes: Mapping[str, Outcome],
) -> None:
    """Remember the updates that took effect, in the transaction that settles them. Of an object that is remembered
    already, what it held before the earlier update counts."""
    if not connector.capabilities(om.object).history:
        return
    known = _known(tx, stream, om.system)
    for write in writes:
        if write.op == "update" and write.external_id and outcomes[write.key].status == "done":
            before = known.get(write.external_id, {"values": {}, "expected": {}, "version": write.version})
            known[write.external_id] = {
                "values": {**before["values"], **write.values}, "expected": {**write.expected, **before["expected"]},
                "version": before["version"]}
    if known:
        tx.save_setting(_name(om.system, stream), orjson.dumps(known).decode())


def look_back(store: Store, om: ObjectMap, connector: Connector, stream: Stream, report: Report) -> None:
    """Read back what the updates of a feed replaced unseen: it comes back as a conflict. Raises what the connector
    raises; it is then still to be looked at."""
    if not connector.capabilities(om.object).history:
        return
    with store.read() as tx:
        known = _known(tx, stream, om.system)
    if not known:
        return
    lost = connector.overwritten(stream, {
        id: Write(id, "update", one["values"], id, version=one["version"], expected=one["expected"])
        for id, one in known.items()})
    with store.write() as tx:
        if lost:
            report.count("rescued", rescue(tx, om, stream, lost))
        tx.save_setting(_name(om.system, stream), "")


def _known(tx: Transaction, stream: Stream, system: str) -> dict[str, Any]:
    told = tx.setting(_name(system, stream))
    found: dict[str, Any] = orjson.loads(told) if told else {}
    return found


def _name(system: str, stream: Stream) -> str:
    return f"look back:{system}:{stream.name}"
