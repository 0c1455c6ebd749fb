"""From mapping files to a `Mapping`: every name checked, every lens built once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from collections.abc import Mapping as Map
from dataclasses import dataclass
from functools import partial
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from .files import (
    TYPES,
    Document,
    EntitiesFile,
    EntityFile,
    FieldFile,
    MappingError,
    MappingErrors,
    ObjectFile,
    Path_,
    PreferRule,
    SystemFile,
    explain,
    nearest,
)  # fmt: skip
from .lenses import DEFAULT, Choice, Lens, Options, References, SameIds, Set, Writer, library
from .model import Entity, FieldMap, FieldSpec, Mapping, ObjectMap, Place, Policy
from .shared import read
from .values import LensError, Value

FORMAT = "1"
"""Part of every fingerprint: raised when the meaning of a mapping changes without its text changing."""

_REFERRING = ("ref", "refs", "related")


def load(folder: Path | str, values: Map[str, Any] | None = None) -> Mapping:
    """Read, check and compile a folder of mapping files: ``entities.yaml`` and one file per system.

    ``values`` are what ``${name}`` stands for. Raises MappingErrors with every mistake found, each at its file, line
    and column.
    """
    folder = Path(folder)
    documents = [read(path, f"{folder.name}/{path.name}", values or {}) for path in sorted(folder.glob("*.yaml"))]
    described = next((each for each in documents if each.file.endswith("/entities.yaml")), None)
    if described is None:
        raise MappingErrors([MappingError(f"{folder.name}/entities.yaml", 0, 0, f"there is no such file in {folder}.")])
    systems = [each for each in documents if each is not described]
    entities = _entities(described, {_system_of(each) for each in systems})
    objects: list[ObjectMap] = []
    for document in systems:
        objects.extend(_Compiler(document, entities).objects())
    _refuse_twice_mapped(systems)
    errors = [error for document in documents for error in document.errors]
    if errors:
        raise MappingErrors(errors)
    order = _dependency_order(entities)
    objects.sort(key=lambda each: order[each.entity])
    return Mapping(entities, tuple(objects), _fingerprint([each.fingerprint for each in objects], _spoken(entities)))


def _system_of(document: Document) -> str:
    """The system a file is about; by its name where it cannot be read further."""
    told = document.data.get("system") if isinstance(document.data, dict) else None
    return str(told or Path(document.file).stem)


def _fingerprint(*parts: Any) -> str:
    told = json.dumps([FORMAT, *parts], sort_keys=True, default=str, ensure_ascii=False)
    return hashlib.blake2b(told.encode(), digest_size=12).hexdigest()


def _spoken(entities: Map[str, Entity]) -> Any:
    """What of the entities changes behaviour: everything but labels."""
    return {
        name: [entity.deletes, {each.name: _told(each) for each in entity.fields.values()}]
        for name, entity in entities.items()
    }


def _told(spec: FieldSpec) -> list[Any]:
    told = [spec.type, spec.entity, spec.entities, spec.choices, spec.policy, spec.lines]
    return [*told, spec.roles] if spec.roles else told


_ON_CREATE = ("required_on_create", "create_as")


def _kind(spec: FieldSpec) -> list[Any]:
    """What of a declared field decides how its values are translated: not who wins, and not its label."""
    return [spec.type, spec.entity, spec.entities, spec.choices, spec.roles, spec.lines]


def _validated(document: Document, model: type[Any], data: Any, path: Path_ = ()) -> Any:
    try:
        return model.model_validate(data)
    except ValidationError as error:
        explain(document, error, path, model)
        return None


# --- entities --------------------------------------------------------------------------------------------------------


def _entities(document: Document, systems: set[str]) -> dict[str, Entity]:
    if document.errors:
        return {}
    parsed: EntitiesFile | None = _validated(document, EntitiesFile, document.data)
    if parsed is None:
        return {}
    found = {}
    for name, entity in parsed.entities.items():
        path: Path_ = ("entities", name)
        _check_name(document, path, name, "entity")
        fields = {
            field: _spec(document, (*path, "fields", field), field, told) for field, told in entity.fields.items()
        }
        found[name] = Entity(name, fields, entity.label or _words(name), entity.deletes)
    _check_entities(document, parsed.entities, found, systems)
    return found


def _check_name(document: Document, path: Path_, name: str, what: str) -> None:
    if not name.isidentifier() or name != name.lower():
        document.report(path, f"{name!r} cannot name a {what}: use lower-case letters, digits and `_`.", key=True)


def _words(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _spec(document: Document, path: Path_, name: str, told: str | FieldFile) -> FieldSpec:
    _check_name(document, path, name, "field")
    if isinstance(told, str):
        kind, *to = told.split()
        if kind not in TYPES:
            document.report(path, f"unknown type {kind!r}.", nearest(kind, TYPES))
            kind = "text"
        told = FieldFile.model_validate({"type": kind, "to": to or None})
    entities = (told.to,) if isinstance(told.to, str) else tuple(told.to or ())
    if (told.type in _REFERRING) != bool(entities):
        document.report(
            path,
            f"{name!r} refers to no entity: write it as `{told.type} <entity>`."
            if told.type in _REFERRING
            else f"{name!r} is {told.type} and cannot refer to {', '.join(entities)}.",
        )
    if (told.type == "choice") != bool(told.choices) and told.type != "set":
        wrong = "needs `choices`" if told.type == "choice" else f"is {told.type}, without choices"
        document.report(path, f"{name!r} {wrong}.")
    if told.roles and told.type != "refs":
        document.report((*path, "roles"), f"{name!r} is {told.type}, without roles: only `refs` has them.", key=True)
    for role in told.roles or ():
        if ":" in role:
            document.report((*path, "roles"), f"the role {role!r} may not hold a colon.")
    return FieldSpec(
        name=name,
        type=told.type,
        entity=entities[0] if told.type in ("ref", "refs") and entities else None,
        entities=entities,
        choices=tuple(told.choices or ()),
        roles=tuple(told.roles or ()),
        policy=_policy(told),
        label=told.label or _words(name),
        lines=told.lines,
    )


def _policy(told: FieldFile) -> Policy:
    if isinstance(told.policy, PreferRule):
        return Policy("prefer", told.policy.prefer, told.never_blank)
    if told.policy == "never-blank":
        return Policy("latest", None, True)
    return Policy(told.policy, None, told.never_blank)


def _check_entities(
    document: Document, parsed: Map[str, EntityFile], found: Map[str, Entity], systems: set[str]
) -> None:
    for name, entity in found.items():
        for spec in entity.fields.values():
            path: Path_ = ("entities", name, "fields", spec.name)
            for other in spec.entities:
                if other not in parsed:
                    hint = nearest(other, parsed)
                    document.report(path, f"{spec.name!r} refers to the unknown entity {other!r}.", hint)
            if spec.policy.system is not None and spec.policy.system not in systems:
                document.report(
                    (*path, "policy"),
                    f"{spec.name!r} prefers {spec.policy.system!r}, and no file here maps that system.",
                    nearest(spec.policy.system, systems),
                )


def _dependency_order(entities: Map[str, Entity]) -> dict[str, int]:
    """What is referred to comes first; the order of the file decides the rest, and everything in a circle."""
    graph = {
        name: [other for spec in entity.fields.values() for other in spec.entities if other != name]
        for name, entity in entities.items()
    }
    sorter = TopologicalSorter(graph)
    declared = list(entities)
    try:
        sorter.prepare()
    except CycleError:
        return {name: index for index, name in enumerate(declared)}
    order: list[str] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready(), key=declared.index)
        order.extend(ready)
        sorter.done(*ready)
    return {name: index for index, name in enumerate(order)}


# --- systems ---------------------------------------------------------------------------------------------------------


def _refuse_twice_mapped(systems: Iterable[Document]) -> None:
    seen: dict[str, str] = {}
    for document in systems:
        name = document.data.get("system") if isinstance(document.data, dict) else None
        if isinstance(name, str) and name in seen:
            document.report(("system",), f"the system {name!r} is mapped in {seen[name]} already.")
        elif isinstance(name, str):
            seen[name] = document.file


def _placed(document: Document, within: Path_, path: Path_, value: object = None) -> Place:
    here = (*within, *path)
    if here not in document.keys and path in document.keys:
        here = path  # said once for the whole file
    return Place(*document.place_of(here, value))


class _Compiler:
    """Compiles one system's file; mistakes go to the document."""

    def __init__(self, document: Document, entities: Map[str, Entity]) -> None:
        self.document = document
        self.entities = entities
        self.lenses = library()

    def objects(self) -> list[ObjectMap]:
        if self.document.errors:
            return []
        parsed: SystemFile | None = _validated(self.document, SystemFile, self.document.data)
        if parsed is None:
            return []
        for name in parsed.defaults:
            if name not in self.lenses:
                self._report(("defaults", name), f"unknown lens {name!r}.", nearest(name, self.lenses), key=True)
        compiled = (self._object(parsed, name, told) for name, told in parsed.objects.items())
        return [each for each in compiled if each is not None]

    def _report(self, path: Path_, message: str, hint: str = "", *, key: bool = False) -> None:
        self.document.report(path, message, hint, key=key)

    def _object(self, system: SystemFile, name: str, told: ObjectFile) -> ObjectMap | None:
        path: Path_ = ("objects", name)
        entity = self.entities.get(told.entity)
        if entity is None:
            if self.entities:
                self._report((*path, "entity"), f"unknown entity {told.entity!r}.", nearest(told.entity, self.entities))
            return None
        fields = [
            built
            for field, written in told.fields.items()
            if (built := self._field(system, entity, (*path, "fields", field), field, written, told.readonly))
        ]
        self._refuse_shared_writes(path, fields, told)
        mapped = told.fields.keys() - {each.name for each in fields if not each.reads}
        match = tuple(self._match(path, index, key, mapped, entity) for index, key in enumerate(told.match))
        writers = tuple(self._writer(path, field, options, entity) for field, options in told.writes.items())
        creates = told.creates and not told.readonly
        key_field = told.key_field
        if key_field is None and creates and (*path, "key_field") not in self.document.keys:
            key_field = system.key_field
        return ObjectMap(
            system=system.system,
            object=name,
            entity=entity.name,
            fields=tuple(fields),
            match=match,
            scope=told.scope,
            creates=creates,
            introduces=told.introduces,
            create_when=self._predicate((*path, "create_when"), told.create_when, entity),
            who=told.who,
            owned=self._owned(path, told, entity),
            deletes=told.deletes or entity.deletes,
            leaving_scope=told.leaving_scope,
            key_field=key_field,
            key_unique=told.key_unique,
            readonly=told.readonly,
            place=partial(_placed, self.document, path),
            writers=writers,
            fingerprint=_fingerprint(
                system.system, name, system.defaults, key_field, told.model_dump(
                    mode="json", exclude=None if told.who else {"who"}),
                [_told(entity.fields[each.name]) for each in fields],
            ),
        )  # fmt: skip

    def _owned(self, path: Path_, told: ObjectFile, entity: Entity) -> bool:
        """Whether somebody owns such a record; where not, it cannot be created in its owner's folder."""
        owner = entity.fields.get("owner")
        owned = owner is not None and (owner.type, owner.entity) == ("ref", "user")
        if told.who in ("owner", "deals") and not owned:
            self._report((*path, "who"), f"{entity.name} has no field 'owner' of type `ref user`, so nobody owns one.",
                         "Use `who: all`, or declare the field in entities.yaml.")
        return owned

    def _field(
        self, system: SystemFile, entity: Entity, path: Path_, name: str, written: Any, readonly: bool
    ) -> FieldMap | None:
        spec = entity.fields.get(name)
        if spec is None:
            self._report(
                path, f"{entity.name} has no field {name!r}.",
                nearest(name, entity.fields) or f"Declare it under {entity.name} in entities.yaml.", key=True,
            )  # fmt: skip
            return None
        if not isinstance(written, str | dict):
            self._report(path, f"{name!r} must be the system's field, or a lens with its options.")
            return None
        told = {} if isinstance(written, str) else dict(written)
        lens = self._lens_named(path, spec, told.get("lens"))
        if lens is None:
            return None
        if isinstance(written, str):
            if lens.short is None:
                self._report(path, f"the lens {lens.name!r} has no short form; for example `{lens.example}`.")
                return None
            told[lens.short] = written
        defaults = system.defaults.get(lens.name, {})
        options = self._options(path, lens, told, defaults)
        if options is None or not self._choices_covered(path, lens, options, spec):
            return None
        try:
            built = lens(options, spec)
        except (ValueError, TypeError) as error:
            self._report(path, f"the lens {lens.name!r} cannot be made: {error}.")
            return None
        direction = options.direction
        if readonly or not built.two_way:
            if direction == "write":
                why = "the object is readonly" if readonly else f"the lens {lens.name!r} only reads"
                self._report((*path, "direction"), f"{name!r} cannot be written: {why}.")
            direction = "read"
        told_as = options.create_as
        create_as = told_as if told_as is None or isinstance(told_as, bool) else str(told_as)
        if create_as is not None:
            self._check_create_as(path, built, create_as, direction)
        means = {key: each for key, each in {**defaults, **told}.items() if key not in _ON_CREATE}
        return FieldMap(name, built, direction, options.required_on_create, create_as,
                        self._predicate((*path, "when"), options.when, entity), options.only_if_blank,
                        options.never_blank, _fingerprint(lens.name, means, direction, _kind(spec)))

    def _check_create_as(self, path: Path_, lens: Lens, value: str | bool, direction: str) -> None:
        here = (*path, "create_as")
        if direction == "read" or lens.references_out(value):
            self._report(here, f"{path[-1]!r} cannot have `create_as`: it is not a plain value that is written.")
            return
        try:
            lens.write(value, SameIds())
        except (LensError, TypeError) as error:
            self._report(here, f"{value!r} cannot be written: {error}.")

    def _lens_named(self, path: Path_, spec: FieldSpec, name: Any) -> type[Lens] | None:
        if name is None:
            return self.lenses[DEFAULT[spec.type]]
        lens = self.lenses.get(str(name))
        if lens is None:
            self._report((*path, "lens"), f"unknown lens {name!r}.", nearest(str(name), self.lenses))
        elif spec.type not in lens.types:
            serves = ", ".join(sorted(lens.types))
            self._report(
                (*path, "lens"), f"the lens {lens.name!r} serves {serves}; {spec.name!r} is {spec.type}.",
                f"Its own lens is {DEFAULT[spec.type]!r}.",
            )  # fmt: skip
            return None
        return lens

    def _options(
        self, path: Path_, lens: type[Lens], told: dict[str, Any], defaults: Map[str, Any]
    ) -> Options | None:
        try:
            return lens.Options.model_validate({**defaults, **told})
        except ValidationError as error:
            keys = {str(each["loc"][0]) for each in error.errors() if each["loc"]}
            ours = not keys or not keys <= defaults.keys() - told.keys()
            explain(self.document, error, path if ours else ("defaults", lens.name), lens.Options)
            return None

    def _choices_covered(self, path: Path_, lens: type[Lens], options: Any, spec: FieldSpec) -> bool:
        """A value map must cover every choice and go both ways, or say what happens to the rest."""
        key, known = ("roles", spec.roles) if issubclass(lens, References) else ("values", spec.choices)
        if not issubclass(lens, Choice | Set | References) or (table := getattr(options, key)) is None:
            return True
        here, what = (*path, key), key.removesuffix("s").replace("value", "choice")
        fine = True
        if known or what == "role":
            for each in table:
                if each not in known:
                    fine = False
                    self._report((*here, each), f"{spec.name!r} has no {what} {each!r}.", nearest(each, known) or
                                 f"Declare it under `{what}s` of {spec.name} in entities.yaml.", key=True)
            left = [each for each in known if each not in table]
            if left and options.unknown is None and options.direction != "read":
                fine = False
                names = ", ".join(map(repr, left))
                self._report(here, f"no value for {names}.", "Add it, or say what `unknown` values do.")
        return self._one_to_one(here, table) and fine

    def _one_to_one(self, here: Path_, table: Map[str, Any]) -> bool:
        fine = True
        taken: dict[str, str] = {}
        for key, raw in table.items():
            for each in raw if isinstance(raw, list) else [raw]:
                if str(each) in taken:
                    fine = False
                    self._report(
                        (*here, key), f"{each!r} already means {taken[str(each)]!r}: a value can be read one way only."
                    )
                taken.setdefault(str(each), key)
            if raw == []:
                fine = False
                self._report((*here, key), f"{key!r} has an empty list: nothing could be written.")
        return fine

    def _refuse_shared_writes(self, path: Path_, fields: list[FieldMap], told: ObjectFile) -> None:
        written: dict[str, str] = dict.fromkeys(told.writes, "`writes`")
        for each in fields:
            for raw in each.lens.raw if each.writes else ():
                if raw in written:
                    self._report(
                        (*path, "fields", each.name), f"{raw!r} is written by {written[raw]} already.",
                        "Map one of them with `direction: read`.", key=True,
                    )  # fmt: skip
                written.setdefault(raw, repr(each.name))

    def _match(
        self, path: Path_, index: int, key: str | list[str], mapped: set[str], entity: Entity
    ) -> tuple[str, ...]:
        names = (key,) if isinstance(key, str) else tuple(key)
        for position, name in enumerate(names):
            here = (*path, "match", index) if isinstance(key, str) else (*path, "match", index, position)
            if name not in entity.fields:
                self._report(here, f"{entity.name} has no field {name!r}.", nearest(name, entity.fields))
            elif name not in mapped:
                self._report(here, f"{name!r} cannot match: it is not read from this object.", nearest(name, mapped))
        return names

    def _writer(self, path: Path_, field: str, options: Any, entity: Entity) -> Writer:
        writer = Writer.of(field, options)
        for name in sorted(writer.sources - entity.fields.keys()):
            self._report(
                (*path, "writes", field), f"{entity.name} has no field {name!r} for {{{name}}}.",
                nearest(name, entity.fields),
            )  # fmt: skip
        return writer

    def _predicate(
        self, path: Path_, told: Map[str, Any] | None, entity: Entity
    ) -> Callable[[Map[str, Value]], bool] | None:
        if not told:
            return None
        tests: list[tuple[str, frozenset[Any] | None]] = []
        for name, allowed in told.items():
            spec = entity.fields.get(name)
            if spec is None:
                hint = nearest(name, entity.fields)
                self._report((*path, name), f"{entity.name} has no field {name!r}.", hint, key=True)
                continue
            if allowed == "not blank":
                tests.append((name, None))
                continue
            listed = allowed if isinstance(allowed, list) else [allowed]
            for each in listed:
                if spec.choices and each is not None and each not in spec.choices:
                    self._report((*path, name), f"{name!r} has no choice {each!r}.", nearest(str(each), spec.choices))
            tests.append((name, frozenset(each for each in listed if isinstance(each, str | bool) or each is None)))
        return _Predicate(tuple(tests))


@dataclass(frozen=True, slots=True)
class _Predicate:
    """True where each field named is not blank (None) or holds one of its values."""

    tests: tuple[tuple[str, frozenset[Any] | None], ...]

    def __str__(self) -> str:
        told = []
        for name, allowed in self.tests:
            words = sorted("blank" if each is None else str(each) for each in allowed or ())
            told.append(f"{name} is {' or '.join(words) if allowed is not None else 'not blank'}")
        return " and ".join(told)

    def __call__(self, values: Map[str, Value]) -> bool:
        return all(
            values.get(name) is not None if allowed is None else _hashable(values.get(name)) in allowed
            for name, allowed in self.tests
        )


def _hashable(value: Value) -> Any:
    return value if isinstance(value, str | bool) or value is None else json.dumps(value, sort_keys=True)
