"""Trace one record: what it is in each system, what each system says now, which rule applies, what would be written.

The record's objects are read by id and absorbed into a scratch copy of the workspace, planned there, and thrown away:
nothing is written anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sidefeed.calendars.policy import SECRET
from sidefeed.calendars.recurrence import SERIES
from sidefeed.calendars.redact import masked
from sidefeed.connector import ConnectorError, Stream
from sidefeed.mapping import ObjectMap
from sidefeed.mapping.explain import who_wins
from sidefeed.sync import refs
from sidefeed.sync.capture import pack
from sidefeed.sync.report import Report
from sidefeed.workspace import DELETED, Link, RecordState, Transaction
from sidefeed.workspace.report import called, label

if TYPE_CHECKING:
    from sidefeed.sync.engine import Engine


@dataclass(slots=True)
class Trace:
    """Everything that is known of one record, in plain data. ``fields`` has one entry a field of the entity, with the
    value, the rule, and what each system says (a system that does not say anything is not in ``systems``). ``names``
    tells what the records are called that a value names by id."""

    record: str
    entity: str
    label: str
    identity: list[dict[str, Any]] = field(default_factory=list)
    fields: list[dict[str, Any]] = field(default_factory=list)
    writes: list[dict[str, Any]] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    refused: list[dict[str, Any]] = field(default_factory=list)
    unread: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def trace(engine: Engine, scratch: Engine, record: str) -> Trace:
    """Trace one record of ``engine`` on ``scratch``, an engine over a copy of its workspace."""
    report = Report("trace", codes=engine.codes)
    with scratch.store.read() as tx:
        state = tx.records([record])[record]
        links = tx.links_of(record)
    found = Trace(record, state.entity, label(state))
    says = _read(scratch, links, report, found)
    scratch._absorb(sorted({link.system for link in links} & scratch.connectors.keys()), report)
    with scratch.store.read() as tx:
        now = tx.records([record])[record]
        plans = scratch._plans(tx, [name for name in scratch.connectors if name not in found.unread], report)
        found.identity = _identity(tx, record)
        found.fields = _fields(scratch, tx, now, says)
        found.names = called(tx, [value for one in found.fields for value in (
            one["value"], *one["systems"].values(), *(side["value"] for side in one["conflict"]))])
        found.writes = [write.as_json() for plan in plans for write in plan.writes if write.record == record]
        found.waiting = [why for plan in plans for one, why in plan.waiting.items() if one == record]
        mine = {(one["system"], one["object"], one["id"]) for one in found.identity}
        found.refused = [{"system": one.system, "object": one.object, "field": one.field, "code": one.code,
                          "message": one.message, "fix": engine.codes.explain(one.code).fix}
                         for one in report.problems if (one.system, one.object, one.record) in mine]
        found.refused += [{"system": plan.om.system, "object": plan.stream.name, "field": one.field, "code": one.code,
                          "message": one.message, "fix": engine.codes.explain(one.code).fix}
                         for plan in plans for one in plan.refused if one.record == record]
        found.refused += [{"system": row["system"], "object": row["object"], "field": row["field"].lstrip("=") or None,
                           "code": row["code"], "message": row["message"],
                           "fix": engine.codes.explain(row["code"], row["kind"]).fix}
                          for row in tx.refused() if row["record"] == record and not row["field"].startswith("=")]
    return found


def _read(
    engine: Engine, links: Sequence[Link], report: Report, found: Trace
) -> dict[str, tuple[ObjectMap, Mapping[str, Any]]]:
    """What each linked object holds at this moment, by ``system object``; it goes into the scratch inbox too."""
    says: dict[str, tuple[ObjectMap, Mapping[str, Any]]] = {}
    for link in links:
        name, _, partition = link.object.partition("/")
        oms = [om for om in engine.mappings.for_system(link.system) if om.object == name]
        if link.state != "live" or not link.external_id or not oms or link.system not in engine.connectors:
            continue
        stream = Stream(name, partition)
        try:
            (remote,) = engine.connectors[link.system].fetch(stream, oms[0].raw_fields, [link.external_id])
        except ConnectorError as error:
            found.unread[link.system] = f"{error.message} [{error.code}]"
            continue
        if remote.values is not None:
            says[f"{link.system} {link.object}"] = (oms[0], remote.values)
        with engine.store.write() as tx:
            tx.put_inbox(link.system, link.object, {link.external_id: pack(remote)}, key_field=oms[0].key_field)
    return says


def _identity(tx: Transaction, record: str) -> list[dict[str, Any]]:
    states = {(link.system, link.object, link.external_id): link for link in tx.links_of(record)}
    found = []
    for system, object, external_id, role in tx.roles_of(record):
        link = states.get((system, object, external_id))
        found.append({"system": system, "object": object, "id": external_id, "role": role,
                      "state": link.state if link else "not linked", "version": link.version if link else ""})
    return found


def _fields(
    engine: Engine, tx: Transaction, state: RecordState, says: Mapping[str, tuple[ObjectMap, Mapping[str, Any]]]
) -> list[dict[str, Any]]:
    read = {}
    for name, (om, image) in says.items():
        read[name] = om.read(image, refs.inward(tx, om, [image]))[0]
    secret = SECRET if state.entity in ("meeting", SERIES) else ()
    entity = engine.mappings.entities.get(state.entity)  # none for what no mapping maps, such as a series
    values = masked(state.values, secret)
    heads = tx.head_details({rev for name in state.values for rev in state.heads_of(name)})
    rows = []
    for name, spec in (entity.fields if entity else {}).items():
        told = {system: masked(mine, secret)[name] for system, mine in read.items() if name in mine}
        if name not in values and not told:
            continue
        last = max((heads[rev] for rev in state.heads_of(name) if rev in heads), key=lambda one: one.rev, default=None)
        rows.append({
            "field": name, "value": values.get(name), "systems": told, "rule": who_wins(spec.policy),
            "actor": last.actor if last else None, "source": last.source if last else None,
            "at": last.at if last else None,
            "conflict": [{"value": masked({name: head.value}, secret)[name], "source": head.source,
                          "actor": head.actor} for head in state.conflicts.get(name, ())]})
    if state.values.get(DELETED):
        rows.append({"field": "deleted", "value": True, "systems": {}, "rule": "", "actor": None, "source": None,
                     "at": None, "conflict": []})
    return rows
