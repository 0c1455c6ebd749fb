"""A sample of live records put into practice systems: redacted, under other ids, pointing to one another as before.

Records are written by the same connectors that write for real, so whatever a connector can write can be cloned. A
practice system knows no more than it is told: what it cannot be told (fields it computes, references beyond the
sample) is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sidefeed.connector import Connector, ObjectSchema, Remote, Stream, Write
from sidefeed.mapping import ObjectMap
from sidefeed.mapping.lenses import Lens, Owner
from sidefeed.mapping.lenses.references import Reference, Related
from sidefeed.mapping.redact import Redactor
from sidefeed.sync.sample import Place, Sample, Versions

Schemas = Mapping[tuple[str, str], ObjectSchema]
People = Callable[[str, str, Mapping[str, Mapping[str, Any]]], Mapping[str, str]]
"""Makes the users of one object of one system, from their redacted values by live id; gives their practice ids."""


@dataclass(slots=True)
class Clone:
    """Where each live object is in the practice systems, and what could not be put there, in sentences."""

    ids: dict[Place, str] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)

    def live(self) -> dict[Place, str]:
        """The live id of each practice object."""
        return {(system, name, there): here for (system, name, here), there in self.ids.items()}


def fill(
    sample: Sample, versions: Versions, schemas: Schemas, connectors: Mapping[str, Connector], people: People,
    *, order: Sequence[ObjectMap], redactor: Redactor | None = None,
    progress: Callable[[str, int], None] | None = None,
) -> Clone:
    """Put a sample into the practice systems behind ``connectors``. ``schemas`` are the live ones; ``order`` says which
    objects come first. Raises what the connectors raise for a whole system."""
    clone = Clone()
    known: dict[tuple[str, str, str], str] = {}
    redactor = redactor or Redactor()
    owed: list[_Owed] = []
    for om in order:
        if om.system not in connectors:
            continue
        connector = connectors[om.system]
        for stream in connector.streams(om.object):
            rows = sample.remotes.get((om.system, stream.name), {})
            if not rows:
                continue
            cast = _Cast(versions.of[om.system, om.object], schemas[om.system, om.object], redactor)
            if om.entity == "user":
                made: Mapping[str, str] = people(om.system, om.object, {
                    id: cast.values(remote.values or {}) for id, remote in rows.items()})
            else:
                made = _written(sample, clone, cast, connector, om, stream, rows, known, owed)
            clone.ids |= {(om.system, stream.name, live): there for live, there in made.items()}
            known |= {(om.system, om.entity, live): there for live, there in made.items()}
            if progress is not None:
                progress(f"cloning {om.system} {stream.name}", len(rows))
    for one in owed:
        one.pay(known, clone)
    return clone


@dataclass(frozen=True, slots=True)
class _Owed:
    """References of one object that were not there yet when it was made, and its key where it had none."""

    connector: Connector
    stream: Stream
    om: ObjectMap
    cast: _Cast
    rows: Mapping[str, Remote]
    stamped: frozenset[str]

    def pay(self, known: Mapping[tuple[str, str, str], str], clone: Clone) -> None:
        writes: list[Write] = []
        feed = (self.om.system, self.stream.name)
        writable = self.connector.describe(self.om.object)
        for id, remote in self.rows.items():
            there = clone.ids.get((*feed, id))
            if there is None:
                continue
            raw = remote.values or {}
            values = _writable(self.cast.references(raw, self.om.system, known), writable)
            if id in self.stamped and self.om.key_field:
                values[self.om.key_field] = None
            if values:
                writes.append(Write(id, "update", values, there))
        for outcome in self.connector.write(self.stream, writes):
            if outcome.status != "done":
                clone.left_out.append(f"references of {feed[0]} {feed[1]} {outcome.key}: {outcome.error}")


class _Cast:
    """Turns one object's raw values into those of its clone."""

    def __init__(self, versions: Sequence[ObjectMap], schema: ObjectSchema, redactor: Redactor) -> None:
        self.versions = versions
        self.schema = schema
        self.redactor = redactor
        lenses = {each.name: each.lens for om in versions for each in om.fields}
        self.pointing = [lens for lens in lenses.values() if _points(lens)]

    def values(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        """Redacted values, without references; what stands in a list of options stays as it is."""
        kept: dict[str, Any] = {}
        for om in self.versions:
            kept = {**self.redactor.record(om, raw), **kept}
        for name, value in raw.items():
            spec = self.schema.fields.get(name)
            if spec is not None and spec.options:
                kept[name] = value
            elif name not in kept and spec is not None:
                kept[name] = self.redactor.unmapped(value)
        for name in [*(name for lens in self.pointing for name in lens.raw),
                     *(om.key_field for om in self.versions if om.key_field)]:
            kept.pop(name, None)
        return kept

    def references(
        self, raw: Mapping[str, Any], system: str, known: Mapping[tuple[str, str, str], str]
    ) -> dict[str, Any]:
        """What the object points to, as far as it is cloned."""
        kept: dict[str, Any] = {}
        for lens in self.pointing:
            for name in lens.raw:
                # Field by field: ids are unique within a kind of record, and a lens may speak of several kinds.
                there = {id: known[system, entity, id] for entity, id in lens.references_in({name: raw.get(name)})
                         if (system, entity, id) in known}
                if (value := _translated(raw.get(name), there)) not in (None, "", []):
                    kept[name] = value
        return kept


def _points(lens: Lens) -> bool:
    return isinstance(lens, Reference | Related) and not (isinstance(lens, Owner) and lens.options.by == "email")


def _translated(value: Any, there: Mapping[str, str]) -> Any:
    if isinstance(value, list | tuple):
        members = [str(each).rpartition(":") for each in value]
        return [f"{role}{colon}{there[id]}" for role, colon, id in members if id in there]
    return ";".join(there[each] for each in str(value).split(";") if each in there) if value is not None else None


def _writable(values: Mapping[str, Any], schema: ObjectSchema) -> dict[str, Any]:
    return {name: value for name, value in values.items()
            if name in schema.fields and schema.fields[name].createable and value not in (None, "")}


def _written(
    sample: Sample, clone: Clone, cast: _Cast, connector: Connector, om: ObjectMap, stream: Stream,
    rows: Mapping[str, Remote], known: Mapping[tuple[str, str, str], str], owed: list[_Owed],
) -> dict[str, str]:
    """Create the clones of one feed; a reference to what comes later is owed."""
    schema = connector.describe(om.object)
    writes, late, stamped = [], {}, set()
    for id, remote in rows.items():
        raw = remote.values or {}
        found = cast.references(raw, om.system, known)
        if set(_every(cast.pointing, raw)) - {key[1:] for key in known if key[0] == om.system}:
            late[id] = remote
        record = sample.records.get((om.system, stream.name, id))
        if record is None and om.key_field:
            stamped.add(id)
            late[id] = remote
        values = _writable({**cast.values(raw), **found}, schema)
        writes.append(Write(id, "create", values, external_key=f"{record or id}:0"))
    made: dict[str, str] = {}
    for outcome in connector.write(stream, writes):
        if outcome.status == "done" and outcome.external_id:
            made[outcome.key] = outcome.external_id
        else:
            clone.left_out.append(f"{om.system} {stream.name} {outcome.key}: {outcome.error}")
    if late:
        owed.append(_Owed(connector, stream, om, cast, late, frozenset(stamped)))
    return made


def _every(lenses: Iterable[Lens], raw: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for lens in lenses:
        yield from lens.references_in(raw)

