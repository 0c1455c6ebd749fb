"""Other records, and people."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator

from .. import values as canonical
from ..values import UNKNOWN, LensError, Unknown, Unresolved, Value, shown
from .base import MISSING, Filler, Lens, OneField, Options, Raw, Reader, Refs, Scalar

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

    def reader(self) -> Reader:
        field, entity, prefix, slow = self.field, self.entity, self.prefix, self.read

        def read(raw: Raw, refs: Refs) -> Value | Unknown:
            told = raw.get(field, MISSING)
            if type(told) is str and told and told.startswith(prefix):
                record = refs.record(entity, told)
                if record is not None:
                    return record
            return slow(raw, refs)

        return read

    def filler(self) -> Filler:
        field, entity, slow = self.field, self.entity, self.write

        def fill(value: Value, refs: Refs, raw: dict[str, Any]) -> None:
            if type(value) is str and (external := refs.external(entity, value)) is not None:
                raw[field] = external
            else:
                raw.update(slow(value, refs))

        return fill

    def references_in(self, raw: Raw) -> Iterable[tuple[str, str]]:
        found = self._theirs(raw.get(self.field))
        return ((self.entity, found),) if found else ()

    def references_out(self, value: Value) -> Iterable[tuple[str, str]]:
        return ((self.entity, str(value)),) if value is not None else ()


class ReferencesOptions(ReferenceOptions):
    roles: dict[str, str | list[str]] | None = Field(
        None,
        description="Workspace role -> the system's role or label. A list: all of these are read so, the first is "
        "written. Without it the system is told who, and roles stay in the workspace.",
    )
    unknown: Literal["refuse", "ignore"] | None = Field(
        None,
        description="A role in neither column: `refuse` reports it and leaves the field alone, `ignore` shows the "
        "record without it, and each side keeps its own. Must be said where `roles` does not cover every role of the "
        "field. Default: refuse.",
    )

    @model_validator(mode="after")
    def _unknown_of_roles(self) -> ReferencesOptions:
        if self.unknown is not None and self.roles is None:
            raise ValueError("`unknown` needs `roles`")
        return self


class References(Reference):
    """Several other records without order, by their ids, each in its role where `roles` says which. A record may have
    several roles. Ids with another `prefix` are passed over, and stay."""

    name = "references"
    types = frozenset({"refs"})
    Options = ReferencesOptions
    example = "contacts: {field: ContactRoles, roles: {decision_maker: Decision Maker, influencer: Influencer}}"

    def __init__(self, options: Any, spec: FieldSpec) -> None:
        super().__init__(options, spec)
        table = options.roles or {}
        self.outward: dict[str, str] = {role: raw[0] if isinstance(raw, list) else raw for role, raw in table.items()}
        self.inward: dict[str, str] = {
            raw: role for role, told in table.items() for raw in (told if isinstance(told, list) else [told])}
        self.unknown = (options.unknown or "refuse") if table else "ignore"

    def pairs(self) -> dict[str, list[str]]:
        return {role: [raw, *(other for other, its in self.inward.items() if its == role and other != raw)]
                for role, raw in self.outward.items()}

    def words(self, raw: Raw) -> Collection[str]:
        return {role for _, role, _ in self._listed(raw.get(self.field)) if role}

    def says(self, *, reads: bool, writes: bool) -> Iterator[str]:
        yield from super().says(reads=reads, writes=writes)
        if not self.spec.roles:
            return
        if not self.outward:
            yield f"{self.field} holds who, not in which role: roles stay here as they are."
        elif self.unknown == "ignore":
            yield "A role in neither column is not shown on the other side, and stays where it is."
        else:
            yield "A role in neither column is reported, and the field stays as it is."

    def _listed(self, raw: Any) -> list[tuple[str, str, str]]:
        """(as written, role, id) of each member that is meant."""
        listed = raw.split(";") if isinstance(raw, str) else raw or ()
        told = [(text, *text.rpartition(":")[::2]) for each in listed if (text := _id(each))]
        return [each for each in told if each[2].startswith(self.prefix)]

    def read(self, raw: Raw, refs: Refs) -> Value | Unknown:
        if self.field not in raw:
            return UNKNOWN
        members = []
        for _, role, external in self._listed(raw[self.field]):
            record = refs.record(self.entity, external)
            if record is None:
                raise Unresolved(self.entity, external)
            members.append(self._seen(role, record))
        return canonical.references(members)

    def reader(self) -> Reader:
        field, entity, prefix, inward, slow = self.field, self.entity, self.prefix, self.inward, self.read

        def read(raw: Raw, refs: Refs) -> Value | Unknown:
            held = raw.get(field)
            if type(held) is not list or prefix:
                return slow(raw, refs)
            record_of, members, alone = refs.record, set(), True
            for each in held:
                if type(each) is not str or not each:
                    return slow(raw, refs)
                role, colon, external = each.rpartition(":")
                ours = inward.get(role) if colon else None
                record = record_of(entity, external)
                if record is None or (colon and ours is None):
                    return slow(raw, refs)
                members.add(f"{ours}:{record}" if colon else record)
                alone = alone and not colon
            return (sorted(members) or None) if alone else canonical.references(members)

        return read

    def filler(self) -> Filler:
        field, entity, outward, slow = self.field, self.entity, self.outward, self.write

        def fill(value: Value, refs: Refs, raw: dict[str, Any]) -> None:
            external_of, written, alone = refs.external, [], True
            for each in value if type(value) is list else ():
                role, colon, record = each.rpartition(":")
                theirs = outward.get(role) if colon else None
                external = external_of(entity, record)
                if external is None or (colon and theirs is None):
                    raw.update(slow(value, refs))
                    return
                written.append(f"{theirs}:{external}" if colon else external)
                alone = alone and not colon
            raw[field] = sorted(written) if alone else canonical.references(written)

        return fill

    def _seen(self, role: str, record: str) -> str:
        ours = self.inward.get(role)
        if role and ours is None and self.unknown == "refuse":
            raise LensError("unknown-value", f"the role {shown(role)} in {self.field} is not mapped: add it to `roles` "
                            f"of {self.spec.name}")
        return f"{ours}:{record}" if ours is not None else record

    def image(self, value: Value) -> Value:
        if not isinstance(value, list) or self.unknown == "refuse":
            return canonical.references(value) if isinstance(value, list) else value
        return canonical.references(
            each if each.rpartition(":")[0] in self.outward else each.rpartition(":")[2] for each in value)

    def put(self, seen: Value, held: Value) -> Value:
        if not isinstance(seen, list) or not isinstance(held, list) or self.unknown == "refuse":
            return seen
        there = set(canonical.referred(seen))
        kept = (each.rpartition(":") for each in held)
        return canonical.references([*seen, *(
            f"{role}:{record}" for role, _, record in kept if role and role not in self.outward and record in there)])

    def write(self, value: Value, refs: Refs) -> dict[str, Any]:
        written = []
        shown_there = self.image(value)
        for each in shown_there if isinstance(shown_there, list) else ():
            role, _, record = each.rpartition(":")
            external = refs.external(self.entity, record)
            if external is None:
                raise Unresolved(self.entity, record)
            if role and role not in self.outward:
                raise LensError("unknown-value", f"the role {shown(role)} has no counterpart in {self.field}: add it "
                                f"to `roles` of {self.spec.name}")
            written.append(f"{self.outward[role]}:{external}" if role else external)
        return {self.field: sorted(written)}

    def onto(self, raw: Raw, held: Raw) -> dict[str, Any]:
        before = held.get(self.field) or ()
        ours = {external: role for _, role, external in self._listed(before)}
        there = {each.rpartition(":")[2] for each in raw[self.field]}
        foreign = [text for each in before if (text := _id(each)) and text.rpartition(":")[2] not in ours]
        kept = [text for text, role, external in self._listed(before)
                if role and role not in self.inward and external in there]
        return {self.field: canonical.references([*raw[self.field], *foreign, *kept]) or []}

    def references_in(self, raw: Raw) -> Iterable[tuple[str, str]]:
        return [(self.entity, external) for _, _, external in self._listed(raw.get(self.field))]

    def references_out(self, value: Value) -> Iterable[tuple[str, str]]:
        return [(self.entity, record) for record in canonical.referred(value)] if isinstance(value, list) else ()


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
