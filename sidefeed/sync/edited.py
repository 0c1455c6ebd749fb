"""What a changed mapping does to records once they are edited: a sync leaves alone what did not change.

Every linked record is translated both ways under both mappings, from what its systems hold now. Where the two differ,
the new values are tried on the (practice) systems.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sidefeed.connector import Connector, ConnectorError, Stream, Write
from sidefeed.mapping import Mapping as Mappings
from sidefeed.mapping import ObjectMap, Problem
from sidefeed.sync import refs
from sidefeed.sync.writes import PlannedWrite
from sidefeed.workspace import Link, RecordState, Store, Transaction
from sidefeed.workspace.report import label

WHEN = "when it is next edited"


@dataclass(frozen=True, slots=True)
class Edited:
    """One linked record under the changed mapping: the write that an edit would cause where it is another one than
    before, fields that could not be written or read any more, and fields that would be read otherwise (was, is)."""

    feed: str
    write: PlannedWrite | None
    unwritable: list[Problem] = field(default_factory=list)
    unreadable: list[Problem] = field(default_factory=list)
    otherwise: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    record: str = ""
    label: str = ""
    external_id: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    om: ObjectMap | None = None
    was: ObjectMap | None = None


def edited(store: Store, old: Mappings, new: Mappings, connectors: Mapping[str, Connector]) -> Iterator[Edited]:
    """Every linked record for which the two mappings differ. Nothing is written."""
    before = {(om.system, om.object): om for om in old.objects}
    for om in new.objects:
        was = before.get((om.system, om.object))
        if was is None or was.fingerprint == om.fingerprint:
            continue
        for stream in connectors[om.system].streams(om.object):
            with store.read() as tx:
                yield from _feed(tx, om, was, stream)


def _feed(tx: Transaction, om: ObjectMap, was: ObjectMap, stream: Stream) -> Iterator[Edited]:
    links = tx.links(om.system, stream.name, tx.linked(om.system, stream.name))
    states = tx.records(list(links))
    images = tx.bases(om.system, stream.name, list(links))
    out_new, out_old = (refs.outward(tx, each, [state.values for state in states.values()]) for each in (om, was))
    in_new, in_old = (refs.inward(tx, each, images.values()) for each in (om, was))
    for id, link in links.items():
        state, image = states[id], images.get(id, {})
        if state.deleted or state.merged_into is not None:
            continue
        found = Edited(f"{om.system} {stream.name}", None if om.readonly else _write(
            om, was, stream, state, link, image, out_new, out_old), record=id, label=label(state),
            external_id=link.external_id or "", values=dict(state.values), om=om, was=was)
        if not om.readonly:
            found.unwritable.extend(_more(om.write(state.values, list(state.values), out_new)[1],
                                          was.write(state.values, list(state.values), out_old)[1]))
        read, problems = om.read(image, in_new)
        read_before, problems_before = was.read(image, in_old)
        found.unreadable.extend(_more(problems, problems_before))
        found.otherwise.update({name: (read_before[name], value) for name, value in read.items()
                                if name in read_before and read_before[name] != value
                                and value != state.values.get(name)})
        if found.write or found.unwritable or found.unreadable or found.otherwise:
            yield found


def _more(now: list[Problem], before: list[Problem]) -> list[Problem]:
    known = {(one.field, one.code) for one in before}
    return [one for one in now if (one.field, one.code) not in known and one.code != "unresolved"]


def _write(
    om: ObjectMap, was: ObjectMap, stream: Stream, state: RecordState, link: Link, image: Mapping[str, Any],
    out_new: refs.BatchRefs, out_old: refs.BatchRefs,
) -> PlannedWrite | None:
    after: dict[str, Any] = {}
    fields: dict[str, list[int]] = {}
    for spec in om.fields:
        name = spec.name
        if name not in state.values or name in state.conflicts or spec.leaves_alone(state.values[name], image):
            continue
        raw, _problems = om.write(state.values, [name], out_new)
        raw_before, _problems = was.write(state.values, [name], out_old)
        news = {key: value for key, value in raw.items() if raw_before.get(key, _MISSING) != value
                and image.get(key, _MISSING) != value}
        if news and name in was:
            after |= news
            fields[name] = list(state.heads_of(name))
    if not after:
        return None
    return PlannedWrite(
        om.system, stream.name, state.id, state.entity, "update", label(state), link.external_id, state.rev,
        {name: image.get(name) for name in after}, after, fields, dict.fromkeys(fields, WHEN), WHEN)


_MISSING = object()


@dataclass(frozen=True, slots=True)
class Tried:
    """What a practice system said to one write: the error, or the values that it holds instead of those sent."""

    write: PlannedWrite
    error: ConnectorError | None = None
    holds: Mapping[str, Any] = field(default_factory=dict)


def tried(writes: list[PlannedWrite], new: Mappings, connectors: Mapping[str, Connector]) -> Iterator[Tried]:
    """Send these writes to the practice systems; what went through as it was sent is not told."""
    by_feed: dict[tuple[str, str], list[PlannedWrite]] = {}
    for write in writes:
        by_feed.setdefault((write.system, write.object), []).append(write)
    for (system, name), mine in by_feed.items():
        om = next(om for om in new.for_system(system) if om.object == name.partition("/")[0])
        connector = connectors[system]
        stream = next(each for each in connector.streams(om.object) if each.name == name)
        by_key = {write.record: write for write in mine}
        done = []
        for outcome in connector.write(stream, [Write(
                write.record, "update", write.after, write.external_id, expected=write.before) for write in mine]):
            if outcome.status == "done":
                done.append(by_key[outcome.key])
            elif outcome.error is not None:
                yield Tried(by_key[outcome.key], outcome.error)
        held = {remote.id: remote.values or {} for remote in connector.fetch(
            stream, om.raw_fields, [write.external_id for write in done if write.external_id])}
        for write in done:
            yield from _held_otherwise(om, write, held.get(write.external_id or "", {}))


def _held_otherwise(om: ObjectMap, write: PlannedWrite, held: Mapping[str, Any]) -> Iterator[Tried]:
    other: dict[str, Any] = {}
    for name in write.fields:
        lens = om.field(name).lens
        sent = {key: write.after.get(key, held.get(key)) for key in lens.raw}
        if not lens.settled(sent, {key: held.get(key) for key in lens.raw}):
            other |= {key: held.get(key) for key in lens.raw}
    if other:
        yield Tried(write, holds=other)
