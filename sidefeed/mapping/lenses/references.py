"""Other records, and people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, model_validator

from .. import values as canonical
from ..values import UNKNOWN, LensError, Unknown, Unresolved, Value, shown
from .base import Lens, OneField, Options, Raw, Refs, Scalar

if TYPE_CHECKING:
    from ..model import FieldSpec


class ReferenceOptions(OneField):
    entity: str | None = Field(None, description="The entity referred to. Default: what the workspace field says.")
    prefix: str | None = Field(
        None, description="Ids that begin otherwise belong to something else and say nothing (Salesforce key prefix)."
    )


def _id(raw: Any) -> str | None:
    if raw is None or raw == "":
        return None
    if type(raw) is str:
        return raw
    if isinstance(raw, bool) or not isinstance(raw, str | int):
        raise LensError("not-an-id", f"{shown(raw)} is not an id")
    return str(raw)


class Reference(Scalar):
    """Another record, by its id in the system. One that has not crossed yet defers the field."""

    name = "reference"
    types = frozenset({"ref"})
    Options: ClassVar[type[Options]] = ReferenceOptions
    example = "owner: OwnerId"

    def __init__(self, options: Any, spec: FieldSpec) -> None:
        super().__init__(options, spec)
        self.entity: str = options.entity or spec.entity or ""
        self.prefix: str = options.prefix or ""

    def says(self, *, reads: bool, writes: bool) -> Iterator[str]:
        if reads and self.prefix:
            yield f"Ids that do not begin with {self.prefix} belong to something else and say nothing."
        if reads:
            yield f"One that points at a {self.entity} not read yet waits for it; nothing is blanked meanwhile."
        if writes:
            yield f"It is written once the {self.entity} is known there; until then the field stays as it is."

    def _theirs(self, raw: Any) -> str | None:
        found = _id(raw)
        return found if found and found.startswith(self.prefix) else None

    def read(self, raw: Raw, refs: Refs) -> Value | Unknown:
        if self.field not in raw:
            return UNKNOWN
        told = _id(raw[self.field])
        if told is None:
            return None
        if not told.startswith(self.prefix):
            return UNKNOWN
        record = refs.record(self.entity, told)
        if record is None:
            raise Unresolved(self.entity, told)
        return record

    def write(self, value: Value, refs: Refs) -> dict[str, Any]:
        if value is None:
            return {self.field: None}
        external = refs.external(self.entity, str(value))
        if external is None:
            raise Unresolved(self.entity, str(value))
        return {self.field: external}

    def references_in(self, raw: Raw) -> Iterable[tuple[str, str]]:
        found = self._theirs(raw.get(self.field))
        return ((self.entity, found),) if found else ()

    def references_out(self, value: Value) -> Iterable[tuple[str, str]]:
        return ((self.entity, str(value)),) if value is not None else ()


class References(Reference):
    """Several other records, by their ids, without order. Ids with another `prefix` are passed over."""

    name = "references"
    types = frozenset({"refs"})
    example = "contacts: {field: ContactIds}"

    def _ids(self, raw: Any) -> list[str]:
        if raw is None or raw == "":
            return []
        listed = raw.split(";") if isinstance(raw, str) else raw
        return [found for each in listed if (found := self._theirs(each))]

    def read(self, raw: Raw, refs: Refs) -> Value | Unknown:
        if self.field not in raw:
            return UNKNOWN
        held = raw[self.field]
        if not held:
            return None
        entity, record_of = self.entity, refs.record
        records = set()
        for external in held if type(held) is list and not self.prefix else self._ids(held):
            told = external if type(external) is str and external else self._theirs(external)
            if told is None:
                continue
            record = record_of(entity, told)
            if record is None:
                raise Unresolved(entity, told)
            records.add(record)
        return sorted(records) or None

    def write(self, value: Value, refs: Refs) -> dict[str, Any]:
        externals = []
        for record in value if isinstance(value, list) else ():
            external = refs.external(self.entity, record)
            if external is None:
                raise Unresolved(self.entity, record)
            externals.append(external)
        return {self.field: externals}

    def references_in(self, raw: Raw) -> Iterable[tuple[str, str]]:
        return [(self.entity, found) for found in self._ids(raw.get(self.field))]

    def references_out(self, value: Value) -> Iterable[tuple[str, str]]:
        return [(self.entity, record) for record in value] if isinstance(value, list) else ()


class RelatedOptions(Options):
    field: str | None = Field(None, description="The system's one field, whose ids tell their kind by `prefixes`.")
    prefixes: dict[str, str] | None = Field(None, description="Entity -> how its ids begin, with `field`.")
    fields: dict[str, str] | None = Field(
        None, description="Entity -> the system's field for it, the telling one first: a deal says more than a company."
    )

    @model_validator(mode="after")
    def _one_way_of_telling(self) -> RelatedOptions:
        if (self.fields is None) == (self.field is None) or (self.field is None) != (self.prefixes is None):
            raise ValueError("related needs either `fields` (entity -> field) or `field` with `prefixes`")
        return self


class Related(Lens):
    """A record of one of several entities: what a meeting is about. In one field whose ids tell their kind, or in one
    field for each entity, of which the first that is filled counts. Several records in that field are refused."""

    name = "related"
    types = frozenset({"related"})
    short = None
    Options = RelatedOptions
    example = 'about: {field: WhatId, prefixes: {opportunity: "006", account: "001"}}'

    def __init__(self, options: Any, spec: FieldSpec) -> None:
        super().__init__(options, spec)
        self.raw = tuple(options.fields.values()) if options.fields else (options.field,)

    def says(self, *, reads: bool, writes: bool) -> Iterator[str]:
        if self.options.fields is None:
            kinds = ", ".join(f"{prefix} {entity}" for entity, prefix in self.options.prefixes.items())
            yield f"The beginning of the id tells the kind: {kinds}; others say nothing."
        else:
            yield "The first of these that is filled counts: " + ", ".join(
                f"{name} ({entity})" for entity, name in self.options.fields.items()) + "."

    def _told(self, raw: Raw) -> tuple[str, str] | Unknown | None:
        if self.options.fields is None:
            return self._by_prefix(raw)
        for entity, name in self.options.fields.items():
            if name not in raw:
                return UNKNOWN
            held = raw[name]
            ids = [_id(each) for each in held] if isinstance(held, list | tuple) else [_id(held)]
            found = sorted({each for each in ids if each})
            if len(found) > 1:
                raise LensError("several", f"{len(found)} records in {name}: which one it is about is not clear")
            if found:
                return entity, found[0]
        return None

    def _by_prefix(self, raw: Raw) -> tuple[str, str] | Unknown | None:
        if self.options.field not in raw:
            return UNKNOWN
        told = _id(raw[self.options.field])
        if told is None:
            return None
        for entity, prefix in self.options.prefixes.items():
            if told.startswith(prefix):
                return entity, told
        return UNKNOWN

    def read(self, raw: Raw, refs: Refs) -> Value | Unknown:
        told = self._told(raw)
        if told is None or told is UNKNOWN:
            return told
        record = refs.record(*told)
        if record is None:
            raise Unresolved(*told)
        return f"{told[0]}:{record}"

    def write(self, value: Value, refs: Refs) -> dict[str, Any]:
        if value is None:
            return dict.fromkeys(self.raw) if self.options.fields is None else {name: [] for name in self.raw}
        entity, _, record = str(value).partition(":")
        served = self.options.prefixes if self.options.fields is None else self.options.fields
        if entity not in served:
            raise LensError("other-entity", f"{self.spec.name} cannot be {entity} here, only {' or '.join(served)}")
        external = refs.external(entity, record)
        if external is None:
            raise Unresolved(entity, record)
        if self.options.fields is None:
            return {self.options.field: external}
        raw: dict[str, Any] = {}
        for each, name in self.options.fields.items():
            raw[name] = [external] if each == entity else []
            if each == entity:
                break
        return raw

    def references_in(self, raw: Raw) -> Iterable[tuple[str, str]]:
        try:
            told = self._told(raw)
        except LensError:
            return ()
        return () if told is None or isinstance(told, Unknown) else (told,)

    def references_out(self, value: Value) -> Iterable[tuple[str, str]]:
        entity, _, record = str(value).partition(":")
        return ((entity, record),) if value is not None else ()


class Attendees(Scalar):
    """The people of a meeting, one entry per address."""

    name = "attendees"
    types = frozenset({"attendees"})
    example = "attendees: {field: Attendees, direction: read}"

    def _in(self, raw: Any) -> Any:
        return canonical.attendees(raw)
