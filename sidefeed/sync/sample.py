"""A sample of live records with everything they point to, for a rehearsal: read, and nothing else.

With a workspace the sample is chosen there, without a call: first the records that the change of the mapping concerns,
then the extremes of every field (the longest text, each choice, the largest number), then some from the whole length of
the history. What is linked with them in other systems comes along. Without a workspace the feeds' first records are
taken. Either way the records they point to come along, as far as they are known.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice, zip_longest
from typing import Any

from sidefeed.connector import Connector, Remote, Stream
from sidefeed.mapping import Mapping as Mappings
from sidefeed.mapping import ObjectMap
from sidefeed.mapping.compare import Change
from sidefeed.sync.authors import Authors
from sidefeed.sync.concerned import holding
from sidefeed.sync.match import keys_of
from sidefeed.workspace import RecordState, Store, Transaction

ROUNDS = 4
"""How far references are followed: a deal, its contacts, their account, that account's parent."""
MOST = 20
"""At most so many records for each one of the sample: a hub that everything points to ends there."""

Feed = tuple[str, str]
"""System and feed."""
Place = tuple[str, str, str]
"""System, feed and id."""


@dataclass(slots=True)
class Sample:
    """What was read. ``remotes`` holds each object by feed and id; ``records`` names the workspace record of those that
    are linked; ``chosen`` says how many objects were chosen, the rest came along; ``disputed`` names the fields about
    which people disagree in the workspace."""

    remotes: dict[Feed, dict[str, Remote]] = field(default_factory=dict)
    records: dict[Place, str] = field(default_factory=dict)
    chosen: int = 0
    disputed: set[tuple[str, str]] = field(default_factory=set)
    authors: Authors = field(default_factory=Authors)
    """Who said what these records hold."""
    cut: int = 0
    """References that were not followed because the sample had grown too large."""

    def __len__(self) -> int:
        return sum(map(len, self.remotes.values()))


class Versions:
    """What an object is under the mapping as it was and as it will be."""

    def __init__(self, old: Mappings | None, new: Mappings) -> None:
        self.of: dict[tuple[str, str], list[ObjectMap]] = {}
        self.choices: dict[str, set[str]] = {}
        for mapping in (new, old) if old is not None else (new,):
            for om in mapping.objects:
                self.of.setdefault((om.system, om.object), []).append(om)
            for name, entity in mapping.entities.items():
                self.choices.setdefault(name, set()).update(
                    spec.name for spec in entity.fields.values() if spec.type in ("choice", "boolean"))

    def only(self, systems: Collection[str]) -> Versions:
        """The same, for some of the systems."""
        self.of = {key: oms for key, oms in self.of.items() if key[0] in systems}
        return self

    def fields(self, system: str, object: str, more: Collection[str] = ()) -> list[str]:
        """Every raw field that either version reads, and ``more``."""
        return list(dict.fromkeys([*(raw for om in self.of[system, object] for raw in om.raw_fields), *more]))

    def holding(self, system: str, entity: str) -> list[str]:
        """The objects of a system that hold an entity."""
        return [object for (name, object), oms in self.of.items()
                if name == system and any(om.entity == entity for om in oms)]


def take(
    versions: Versions, connectors: Mapping[str, Connector], store: Store | None, number: int,
    changes: Sequence[Change] = (), *, required: Mapping[tuple[str, str], Collection[str]] | None = None,
    progress: Callable[[str, int], None] | None = None,
) -> Sample:
    """Read ``number`` records of each entity and what they point to. ``required`` names more raw fields by object.
    Raises what the connectors raise; calls ``changes``, ``fetch`` and ``streams`` alone."""
    taker = _Taker(versions, connectors, required or {}, progress)
    if store is not None and _has_records(store):
        with store.read() as tx:
            taker.tx = tx
            taker.follow(taker.chosen(number, changes), number)
            taker.sample.authors = Authors.of(tx, taker.sample.records)
    else:
        taker.follow(taker.first(number), number)
    return taker.sample


def _has_records(store: Store) -> bool:
    with store.read() as tx:
        return tx.last_rev() > 0


class _Taker:
    def __init__(
        self, versions: Versions, connectors: Mapping[str, Connector],
        required: Mapping[tuple[str, str], Collection[str]], progress: Callable[[str, int], None] | None,
    ) -> None:
        self.versions = versions
        self.connectors = connectors
        self.required = required
        self.progress = progress
        self.tx: Transaction | None = None
        self.sample = Sample()
        self.streams: dict[Feed, Stream] = {
            (system, stream.name): stream for system, object in versions.of if system in connectors
            for stream in connectors[system].streams(object)}

    # -- which --------------------------------------------------------------------------------------------------

    def chosen(self, number: int, changes: Sequence[Change]) -> list[Place]:
        """Records of the workspace, by the objects they live as."""
        assert self.tx is not None
        entities = dict.fromkeys(om.entity for oms in self.versions.of.values() for om in oms)
        records: list[str] = []
        for entity in entities:
            if entity != "user":
                own = [each for each in changes if each.entity == entity]
                held = [list(islice(holding(self.tx, each), number)) for each in own if each.word is not None]
                records += _picked(self.tx.each_record(entity), [each for each in own if each.word is None], held,
                                   self.versions.choices.get(entity, set()), number)
        places = self._places(records)
        self.sample.chosen = len(places)
        return places

    def _places(self, records: Collection[str]) -> list[Place]:
        """Where these records live; what is known of their identity and their disputes is remembered."""
        assert self.tx is not None
        found: list[Place] = []
        for link in self.tx.links_of_all(records):
            if link.state == "live" and link.external_id and (link.system, link.object) in self.streams:
                place = (link.system, link.object, link.external_id)
                self.sample.records[place] = link.record
                found.append(place)
        for record, state in self.tx.records(records).items():
            self.sample.disputed |= {(record, name) for name in state.conflicts}
        return found

    def first(self, number: int) -> list[Place]:
        """The feeds' first records, read here and now."""
        found: list[Place] = []
        for (system, name), stream in self.streams.items():
            om = self.versions.of[system, stream.object][0]
            if om.entity == "user":
                continue
            fields = self._fields(system, stream.object)
            taken = 0
            for page in self.connectors[system].changes(stream, fields, None, scope=om.scope):
                for remote in page.records:
                    if remote.state == "live" and remote.merged_into is None and taken < number:
                        self._keep((system, name), remote)
                        found.append((system, name, remote.id))
                        taken += 1
                if taken >= number:
                    break
        self.sample.chosen = len(found)
        return found

    # -- reading ------------------------------------------------------------------------------------------------

    def follow(self, places: Collection[Place], number: int) -> None:
        """Read these and, round by round, what they point to."""
        most = MOST * max(number, 1) * len(self.streams)
        for _round in range(ROUNDS):
            self._read(places)
            wanted = {other for place in places for other in self._pointed_at(place)}
            places = sorted(wanted - {(*feed, id) for feed, rows in self.sample.remotes.items() for id in rows})
            if len(self.sample) + len(places) > most:
                self.sample.cut += len(places)
                return
            if not places:
                return
        self._read(places)

    def _read(self, places: Collection[Place]) -> None:
        wanted: dict[Feed, list[str]] = {}
        for system, name, id in places:
            if id not in self.sample.remotes.get((system, name), {}):
                wanted.setdefault((system, name), []).append(id)
        for feed, ids in wanted.items():
            stream = self.streams[feed]
            for remote in self.connectors[feed[0]].fetch(stream, self._fields(feed[0], stream.object), ids):
                self._keep(feed, remote)
            if self.progress is not None:
                self.progress(f"reading {feed[0]} {feed[1]}", len(ids))

    def _fields(self, system: str, object: str) -> list[str]:
        return self.versions.fields(system, object, self.required.get((system, object), ()))

    def _keep(self, feed: Feed, remote: Remote) -> None:
        if remote.state == "live" and remote.merged_into is None and remote.values is not None:
            self.sample.remotes.setdefault(feed, {})[remote.id] = remote

    def _pointed_at(self, place: Place) -> Iterator[Place]:
        """What an object's references lead to, and what that is in other systems."""
        system, name, id = place
        remote = self.sample.remotes.get((system, name), {}).get(id)
        if remote is None:
            return
        for om in self.versions.of[system, self.streams[system, name].object]:
            raw = remote.values or {}
            for entity, other in om.references_in(raw):
                yield from self._known(system, entity, other)
            if self.tx is not None:
                for entity, field_name, value in om.keys_in(raw):
                    key = keys_of([(field_name,)], {field_name: value}) if value else ()
                    yield from self._places([one for records in self.tx.by_natural_keys(entity, set(key)).values()
                                             for one in records])

    def _known(self, system: str, entity: str, id: str) -> Iterator[Place]:
        if self.tx is not None:
            record = self.tx.records_known_as(system, entity, [id]).get(id)
            yield from self._places([record]) if record is not None else ()
            return
        for object in self.versions.holding(system, entity):
            for feed, stream in self.streams.items():
                if feed[0] == system and stream.object == object:
                    yield (*feed, id)


def _picked(
    states: Iterator[RecordState], changes: Sequence[Change], held: Sequence[Sequence[str]],
    choices: Collection[str], number: int,
) -> list[str]:
    """The ids of at most ``number`` records, in the order of what each is good for. ``held``: for each further change,
    records that it concerns by what a system holds."""
    by_change: list[list[str]] = [[] for _ in changes]
    extremes: dict[tuple[str, Any], tuple[Any, str]] = {}
    everybody: list[str] = []
    for state in states:
        if state.deleted or state.merged_into is not None:
            continue
        everybody.append(state.id)
        for told, change in zip(by_change, changes, strict=True):
            if len(told) < number and change.concerns(state.values):
                told.append(state.id)
        for key, size in _sizes(state.values, choices):
            if key not in extremes or size > extremes[key][0]:
                extremes[key] = (size, state.id)
    concerned = [id for round in zip_longest(*held, *by_change) for id in round if id is not None]
    step = max(len(everybody) // max(number, 1), 1)
    order = [*concerned, *(id for _size, id in extremes.values()), *everybody[::step], *everybody]
    return list(dict.fromkeys(order))[:number]


def _sizes(values: Mapping[str, Any], choices: Collection[str]) -> Iterator[tuple[tuple[str, Any], Any]]:
    """For each filled field, in which respect a value may be an extreme, and how much of one it is."""
    for name, value in values.items():
        if name in choices:
            yield (name, value), 0
        elif isinstance(value, str) and value:
            yield (name, "length"), len(value)
        elif isinstance(value, dict) and "amount" in value:
            yield (name, "amount"), float(value["amount"] or 0)
            yield (name, value.get("currency")), 0
        elif isinstance(value, list):
            yield (name, "members"), len(value)
