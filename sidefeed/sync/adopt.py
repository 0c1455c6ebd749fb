"""What became of a create that nobody heard the end of: it is looked for by its key, and adopted where it happened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sidefeed.connector import Connector, RemembersKeys, Stream
from sidefeed.mapping import ObjectMap
from sidefeed.sync.owner import names_no_owner
from sidefeed.workspace import Link, RecordState, Transaction
from sidefeed.workspace.clock import utc_instant
from sidefeed.workspace.report import label

AT_WORK = timedelta(minutes=10)
"""How long a create whose answer was lost may still take effect. ASP.NET, under which Exchange runs, ends a request
after 110 seconds unless it is told otherwise (`httpRuntime executionTimeout`, looked at every 15 seconds); a proxy may
have held the request before that."""


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


def at_work_until(intent: Mapping[str, Any]) -> datetime:
    """Until when a create that was not heard of may still make its object."""
    return utc_instant(intent["at"]) + AT_WORK


def why_it_waits(state: RecordState, intent: Mapping[str, Any]) -> str:
    """What people are told of a record whose create may still be at work."""
    until = f"{at_work_until(intent):%Y-%m-%d %H:%M} UTC"
    return (f"{intent['system']} did not answer whether it made {label(state)}, and may still be at work on it; every "
            f"run looks for it, and it is made again after {until} if it is not there")


def open_creates(tx: Transaction, system: str, object: str) -> dict[str, dict[str, Any]]:
    """The creates of one feed that nobody heard the end of, by key."""
    return {row["key"]: row for row in tx.unsettled(system, object) if row["op"] == "create"}


def adopt(
    tx: Transaction, om: ObjectMap, object: str, link: Link, intent: Mapping[str, Any], id: str, given: str | bool
) -> None:
    """The create had happened: the object that carries our key is this record, whatever became of it since. It holds
    what was sent, so that only what differs from that is an edit of somebody's."""
    link.external_id, link.state, link.due = id, "live", True
    link.synced_rev, link.exceptions = 0, dict(intent["payload"]["known"])
    link.sent = {"sure": True, **intent["payload"], "made": names_no_owner(om, intent["payload"]["values"]) and given}
    link.digest = None
    tx.save_base(om.system, object, link.record, intent["payload"]["values"])
    tx.save_link(link)
