"""A compiled mapping: what the engine asks, one record at a time. Built once by `sidefeed.mapping.compile`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from collections.abc import Mapping as Map
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, NamedTuple

from .lenses import Filler, Lens, Owner, Reader, Refs, Writer, filler_of, reader_of
from .values import UNKNOWN, LensError, Unresolved, Value

Direction = Literal["both", "read", "write"]


class Policy(NamedTuple):
    """Who wins when two people really disagree. ``system`` is set for ``prefer`` alone."""

    rule: Literal["latest", "prefer", "fill", "append", "ask"] = "latest"
    system: str | None = None
    never_blank: bool = False


LATEST = Policy()


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """One declared field of an entity. ``entity`` is set for ``ref`` and ``refs``, ``entities`` for ``related`` too;
    ``roles`` are those in which the records of ``refs`` may stand."""

    name: str
    type: str
    entity: str | None = None
    entities: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    policy: Policy = LATEST
    label: str = ""
    lines: Literal["one", "many"] = "one"

    @property
    def merge(self) -> Literal["value", "set"]:
        """``set``: concurrent edits merge as adds and removes. ``value``: one of them is the value."""
        return "set" if self.type in ("set", "refs", "attendees") else "value"


class Place(NamedTuple):
    """Where something stands in a mapping file; lines and columns count from 1."""

    file: str
    line: int
    column: int


def _nowhere(path: tuple[str | int, ...], value: object = None) -> Place:
    return Place("", 0, 0)


@dataclass(frozen=True, slots=True)
class Entity:
    name: str
    fields: Map[str, FieldSpec]
    label: str = ""
    deletes: Literal["propagate", "unlink", "ask"] = "ask"


@dataclass(frozen=True, slots=True)
class Problem:
    """A field that could not cross. The field stays unknown (reading) or unwritten; the record goes on.

    ``code`` is the lens's, or ``unresolved``: then ``entity`` and ``id`` say what has to be known first.
    """

    field: str
    code: str
    message: str
    entity: str | None = None
    id: str | None = None


@dataclass(frozen=True, slots=True)
class FieldMap:
    name: str
    lens: Lens
    direction: Direction = "both"
    required_on_create: bool = False
    create_as: Value = None
    when: Callable[[Map[str, Value]], bool] | None = None
    only_if_blank: bool = False
    never_blank: bool = False
    fingerprint: str = field(default="", compare=False)
    """Another one where values would be translated otherwise, or go elsewhere."""

    @property
    def reads(self) -> bool:
        return self.direction != "write"

    @property
    def writes(self) -> bool:
        return self.direction != "read"

    def applies(self, values: Map[str, Value]) -> bool:
        """Whether the field is written to a record that holds these values."""
        return self.writes and (self.when is None or self.when(values))

    def leaves_alone(self, value: Value, image: Map[str, Any]) -> bool:
        """Whether the mapping keeps what the system holds rather than writing ``value`` over it."""
        held = [raw for name in self.lens.raw if (raw := image.get(name)) not in (None, "", [])]
        return bool(held) and (self.only_if_blank or (self.never_blank and value is None))


@dataclass(frozen=True)
class ObjectMap:
    """How one object of one system shows one entity.

    ``match`` holds natural keys, strongest first, as tuples of workspace field names. ``introduces`` tells whether a
    remote record that matches nothing becomes a new workspace record, ``creates`` whether a workspace record without
    a counterpart is created there. ``create_when`` is asked before such a creation; ``who`` says in whose feed it
    happens, where a system has one for each person; unsaid, in the owner's where the entity has one (``owned``).
    """

    system: str
    object: str
    entity: str
    fields: tuple[FieldMap, ...]
    match: tuple[tuple[str, ...], ...] = ()
    scope: Any = None
    creates: bool = True
    introduces: bool = True
    create_when: Callable[[Map[str, Value]], bool] | None = None
    who: Literal["owner", "deals", "all"] | None = None
    owned: bool = False
    deletes: Literal["propagate", "unlink", "ask"] = "ask"
    leaving_scope: Literal["unlink", "freeze", "archive", "delete"] = "unlink"
    key_field: str | None = None
    key_unique: bool = True
    readonly: bool = False
    writers: tuple[Writer, ...] = ()
    fingerprint: str = ""
    place: Callable[..., Place] = field(default=_nowhere, repr=False, compare=False)
    """``place(path, value)``: where ``value`` is written in this object, at or below ``("fields", "name")``."""
    _by_name: dict[str, FieldMap] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_name", {each.name: each for each in self.fields})

    @cached_property
    def raw_fields(self) -> tuple[str, ...]:
        """Every raw field that a read must ask for: those of the fields, the key field, and those that follow the
        fields, which are read so that what is written over is known."""
        keys: tuple[str, ...] = (self.key_field,) if self.key_field else ()
        keys += tuple(each.field for each in self.following)
        keys += tuple(self.scope) if isinstance(self.scope, Map) else ()
        return tuple(dict.fromkeys([*(raw for each in self.fields for raw in each.lens.raw), *keys]))

    @cached_property
    def following(self) -> tuple[Writer, ...]:
        """Raw fields that are written again whenever a field they are made of is."""
        return tuple(each for each in self.writers if not each.on_create_only)

    @cached_property
    def _readers(self) -> tuple[tuple[str, Reader], ...]:
        return tuple((each.name, reader_of(each.lens)) for each in self.fields if each.reads)

    @cached_property
    def _matchers(self) -> tuple[tuple[str, Reader], ...]:
        needed = {name for names in self.match for name in names}
        return tuple((name, read) for name, read in self._readers if name in needed)

    @cached_property
    def _referring(self) -> tuple[Lens, ...]:
        """Lenses that look something up: the others need not be asked what they refer to."""
        return tuple(each.lens for each in self.fields
                     if each.reads and type(each.lens).references_in is not Lens.references_in)

    @cached_property
    def _written(self) -> tuple[FieldMap, ...]:
        return tuple(each for each in self.fields if each.writes)

    @cached_property
    def _changed(self) -> tuple[tuple[str, Filler, Any], ...]:
        return tuple((each.name, filler_of(each.lens), each.when) for each in self._written)

    @cached_property
    def _partial(self) -> tuple[Lens, ...]:
        """Lenses that show a part of what their field holds."""
        return tuple(each.lens for each in self._written if type(each.lens).onto is not Lens.onto)

    def within_scope(self, raw: Map[str, Any]) -> bool:
        """Whether a remote record takes part, as far as a scope of raw field -> allowed values can tell. A SOQL scope
        is the connector's to apply; a field that was not returned says nothing."""
        if not isinstance(self.scope, Map):
            return True
        return all(name not in raw or _scope_text(raw[name]) in {_scope_text(one) for one in (
            allowed if isinstance(allowed, list) else [allowed])} for name, allowed in self.scope.items())

    def field(self, name: str) -> FieldMap:
        return self._by_name[name]

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    def read(
        self, raw: Map[str, Any], refs: Refs, *, matching: bool = False
    ) -> tuple[dict[str, Value], list[Problem]]:
        """The workspace values that this remote record shows. A field missing from the answer is unknown, not blank.

        With ``matching``, only the fields that natural keys are made of.
        """
        values: dict[str, Value] = {}
        problems: list[Problem] = []
        for name, read in self._matchers if matching else self._readers:
            try:
                value = read(raw, refs)
            except (LensError, Unresolved) as error:
                problems.append(_problem(name, error))
                continue
            if value is not UNKNOWN:
                values[name] = value
        return values, problems

    def write(
        self, values: Map[str, Value], names: Iterable[str], refs: Refs, *, create: bool = False,
        held: Map[str, Any] | None = None,
    ) -> tuple[dict[str, Any], list[Problem]]:
        """Raw values that make these fields of the remote record show ``values``.

        Names that are not mapped here, not written here or missing from ``values`` are passed over. With ``create``
        blanks are left out, and what the mapping puts on a new record is added: constants, templates, and what stands
        for a blank. ``held`` is what the record is known to hold: what a lens cannot show of it stays.
        """
        raw: dict[str, Any] = {}
        problems: list[Problem] = []
        wanted = set(names)
        told = self._with_stand_ins(values, wanted) if create else values
        for name, fill, when in self._changed:
            if name not in wanted or name not in told or (when is not None and not when(values)):
                continue
            try:
                fill(told[name], refs, raw)
            except (LensError, Unresolved) as error:
                problems.append(_problem(name, error))
        for lens in self._partial if held else ():
            if lens.raw[0] in raw:
                raw.update(lens.onto(raw, held or {}))
        for writer in self.writers:
            if (create or not writer.on_create_only) and (create or wanted & writer.sources):
                try:
                    raw.update(writer.write(values))
                except LensError as error:
                    problems.append(_problem(writer.field, error))
        return raw, problems

    def _with_stand_ins(self, values: Map[str, Value], wanted: set[str]) -> dict[str, Value]:
        """What a new record is given: filled values, and what stands for a blank; ``wanted`` grows by those."""
        told: dict[str, Value] = {name: value for name, value in values.items() if value is not None}
        for each in self._written:
            if each.name not in told and (each.create_as is not None or not each.lens.blank_says_nothing):
                told[each.name] = each.create_as
                wanted.add(each.name)
        return told

    def missing(self, values: Map[str, Value]) -> tuple[str, ...]:
        """The fields without which the system will not create this record, and which are blank."""
        return tuple(
            each.name
            for each in self.fields
            if each.required_on_create and each.create_as is None and values.get(each.name) is None
        )

    @cached_property
    def _keyed(self) -> tuple[FieldMap, ...]:
        return tuple(each for each in self.fields if each.reads and type(each.lens).keys_in is not Lens.keys_in)

    @property
    def looked_up(self) -> set[tuple[str, str]]:
        """Every (entity, field) by which reading this object looks other records up."""
        return {(each.lens.entity, "email") for each in self._keyed if isinstance(each.lens, Owner)}

    def keys_in(self, raw: Map[str, Any]) -> set[tuple[str, str, str]]:
        """Every (entity, field, value) that reading this record will look up."""
        return {found for each in self._keyed for found in each.lens.keys_in(raw)}

    def references_in(self, raw: Map[str, Any]) -> set[tuple[str, str]]:
        """Every (entity, external id) that reading this record will look up."""
        return {found for lens in self._referring for found in lens.references_in(raw)}

    def references_out(self, values: Map[str, Value]) -> set[tuple[str, str]]:
        """Every (entity, record id) that writing these values will look up."""
        return {
            found
            for each in self.fields
            if each.writes and values.get(each.name) is not None
            for found in each.lens.references_out(values[each.name])
        }


def _scope_text(value: Any) -> str | None:
    return None if value in (None, "") else str(value).casefold()


def _problem(name: str, error: LensError | Unresolved) -> Problem:
    if isinstance(error, Unresolved):
        return Problem(name, "unresolved", str(error), error.entity, error.id)
    return Problem(name, error.code, error.message)


@dataclass(frozen=True)
class Mapping:
    """Everything the mapping folder says. ``objects`` stand in dependency order: what is referred to comes first."""

    entities: Map[str, Entity]
    objects: tuple[ObjectMap, ...]
    fingerprint: str = ""

    @property
    def systems(self) -> tuple[str, ...]:
        return tuple(sorted({each.system for each in self.objects}))

    def for_system(self, system: str) -> tuple[ObjectMap, ...]:
        return tuple(each for each in self.objects if each.system == system)

    def of(self, system: str, object: str) -> ObjectMap:
        for each in self.objects:
            if (each.system, each.object) == (system, object):
                return each
        raise KeyError(f"{system} {object} is not mapped")
