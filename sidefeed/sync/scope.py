"""Leaving scope is not deletion: a filter, a reassignment or a lost right takes an object out of our sight, and it is
there all the same. What then happens to its copies is the mapping's ``leaving_scope``.
"""

from __future__ import annotations

from collections.abc import Collection

from sidefeed.mapping import ObjectMap
from sidefeed.sync.report import Report
from sidefeed.workspace import DELETED, Draft, Link, RecordState, Transaction

OUT, FROZEN = "out", "frozen"
"""States of a link whose object left: nothing is read from it or written to it until it comes back under its id."""


def leave(tx: Transaction, om: ObjectMap, object: str, external_id: str, report: Report, *, source: str) -> None:
    """The object is there and does not meet the scope any more.

    unlink   it and the record part; both stay, and the copies elsewhere go on living
    freeze   nothing of the record is written in any system until the object comes back
    archive  the copies in other systems are taken out there; the record lives on in the workspace
    delete   the record is deleted, and with it the copies elsewhere; the object that left stays
    """
    link = _part(tx, om, object, external_id, FROZEN if om.leaving_scope == "freeze" else OUT)
    if link is None:
        return
    report.count("left_scope")
    if om.leaving_scope == "archive":
        for other in _others(tx, link):
            if other.state == "live":
                other.state, other.due = "unwanted", True
                tx.save_link(other)
    elif om.leaving_scope == "delete":
        tx.append([Draft(link.entity, link.record, {DELETED: True}, om.system, source,
                         reason=_left(om))])


def deleted_for_leaving(tx: Transaction, om: ObjectMap, state: RecordState) -> bool:
    """Whether a record is deleted because it left the scope here, and nobody deleted it since."""
    return all(change.reason == _left(om) for change in tx.head_details(state.heads_of(DELETED)).values())


def _left(om: ObjectMap) -> str:
    return f"it left the scope of {om.system} {om.object}"


def lose_sight(tx: Transaction, om: ObjectMap, object: str, external_id: str, report: Report) -> None:
    """The object is not there by its id, which proves no deletion where single records may be hidden from us."""
    if _part(tx, om, object, external_id, OUT) is None:
        return
    report.count("out_of_reach")
    report.problem(om.system, object, external_id, None, "out-of-reach", (
        f"it can no longer be seen in {om.system}: hidden from the integration user, or deleted for good. Its copies "
        f"elsewhere stay. Give the right back and it is linked again; if it is gone, delete its copies"), "admin")


def come_back(tx: Transaction, om: ObjectMap, link: Link) -> None:
    """The object meets the scope again: copies that were taken out for it are wanted again."""
    if om.leaving_scope == "archive":
        for other in _others(tx, link):
            if other.state in ("gone", "unwanted"):
                other.state, other.due = "live" if other.state == "unwanted" else "wanted", True
                tx.save_link(other)


def frozen(tx: Transaction, objects: Collection[ObjectMap], records: Collection[str]) -> set[str]:
    """The records that may not be written anywhere now. Costs nothing where no object freezes."""
    if all(om.leaving_scope != "freeze" for om in objects):
        return set()
    return {link.record for link in tx.links_of_all(records) if link.state == FROZEN}


def _part(tx: Transaction, om: ObjectMap, object: str, external_id: str, state: str) -> Link | None:
    known = tx.known_as(om.system, object, [external_id]).get(external_id)
    if known is None:
        return None
    link = tx.links(om.system, object, [known[0]]).get(known[0])
    if link is None or link.state != "live" or link.external_id != external_id:
        return None
    link.state, link.due, link.digest = state, False, None
    tx.save_link(link)
    return link


def _others(tx: Transaction, link: Link) -> list[Link]:
    return [other for other in tx.links_of(link.record) if (other.system, other.object) != (link.system, link.object)]
