"""Hold mappings against the live systems before anything is written; `sidefeed check` prints it.

Each finding names the file, line and column to edit, and how. An ``error`` will lose or refuse data; a ``warning``
may; a ``note`` is no fault.

==========================  ===========================================================================================
object-unreadable           the system would not describe the object
field-missing               the object has no such field, or hides it from this user
field-type                  the field holds another kind of value than the lens translates
not-writable                the mapping writes a field that the system lets nobody write
write-once                  the field can be set on create and never again
length-exceeds              `max_length` is more than the field holds
length-unknown              texts may be longer than the field, and the mapping does not say what then
scale-exceeds               `scale` is more than the field holds
scale-unknown               values may have more decimal places than the field, and the mapping does not say what then
required-not-mapped         the system creates no record without the field, and nothing writes it
required-not-guarded        it is written, but may be blank when a record is created
value-missing               a value that the mapping writes is not in the system's list
value-unused                a value that the mapping reads is not in the system's list
value-unmapped              a value of the system's list would be refused
reference-target            the field refers to other objects than those the mapping resolves
reference-unmapped          no object of this system shows the entity referred to
reference-mixed             the field may also hold ids of objects that are not mapped
key-field-missing           the field that makes creates safe is not there
key-field-unfit             it is there, but cannot be written, is too short or is not unique
key-field-mapped            a mapped field would be written over our key
object-not-creatable        the mapping creates records, and this user may not
object-not-updatable        the mapping writes records, and this user may not
object-not-deletable        deletions are carried out here, and this user may not
permission-missing          scopes, object or field rights that the mapping needs are missing
not-prepared                something that the settings name is not there, or closed to this user: a contact folder
scope-field-missing         the scope compares a field that the object has not
scope-value-missing         the scope names a value that is not in the system's list
record-type-missing         the scope names a record type that the object has not
value-of-other-pipeline     a value is written that belongs to another pipeline than the one written
pipeline-not-written        there are several pipelines, and nothing says into which new records go
value-never-accepted        a value goes with no value that is written to the field it depends on
values-apart                records hold two values that the system does not let go together
currency-missing            the default currency is none of the system's
constant-unfit              a constant is of another kind than its field, or too long for it
unique-not-matched          a field is unique in the system, and records are not matched by it
required-unreachable        a new record waits for another that is never created there
create-cycle                two records wait for each other, so that neither is ever created
prefer-unread               a system is preferred for a field that is not read from it
owner-uncovered             people own records who are not known in the system
field-unmapped              (note) a field of an entity is in no system
never-written               (note) a field is read and written nowhere
blank-refused               (note) clearing the field would be refused
==========================  ===========================================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

from ..connector import ConnectorError, FieldSchema, ObjectSchema
from . import rights, whole
from .files import nearest
from .finding import Finding, Severity
from .lenses import Lens
from .lenses.choices import Boolean, Choice, Lookup, Set
from .lenses.numbers import Money, Number
from .lenses.owners import Owner
from .lenses.references import Reference, References, Related
from .lenses.text import Text
from .lenses.times import Date
from .model import FieldMap, Mapping, ObjectMap
from .values import ADDRESS_PARTS

Describe = Callable[[str, str], ObjectSchema]


def check(mapping: Mapping, describe: Describe, ask: rights.Ask | None = None) -> list[Finding]:
    """Every finding, in the order of the files. ``describe(system, object)`` is asked once for each object, and ``ask``
    for the rights that it needs.

    Raises whatever ``describe`` raises other than ConnectorError.
    """
    shown: dict[tuple[str, str], set[str]] = {}
    for each in mapping.objects:
        shown.setdefault((each.system, each.entity), set()).add(each.object)
    schemas: dict[tuple[str, str], ObjectSchema] = {}

    def kept(system: str, object: str) -> ObjectSchema:
        schemas[(system, object)] = described = describe(system, object)
        return described

    found = [finding for each in mapping.objects for finding in _Check(each, shown).run(kept)]
    found += whole.findings(mapping, schemas)
    told = {(each.system, each.object) for each in found if each.code in _RIGHTS_TOLD}
    found += [each for each in (rights.findings(mapping, ask) if ask is not None else ())
              if (each.system, each.object) not in told]
    return in_order(found)


_RIGHTS_TOLD = frozenset({"field-missing", "not-writable", "write-once", "object-not-creatable", "object-not-updatable",
                          "object-not-deletable"})
"""Findings that say of a missing right where it hurts; then the object's list of rights adds nothing."""


def in_order(found: Iterable[Finding]) -> list[Finding]:
    """Findings as their places stand in the files."""
    return sorted(found, key=lambda each: (each.file, each.line, each.column, each.code))


# Kinds of field, by the names that the three systems give them. A kind that is not listed is not judged.
_TEXT = frozenset(
    "string textarea text picklist combobox multipicklist enumeration email phone phone_number url encryptedstring id "
    "choice html json".split()
)
_WORDS = _TEXT | {"reference", "address"}
_NUMBER = frozenset({"number", "int", "double", "currency", "percent", "long"})
_BOOLEAN = frozenset({"boolean", "bool"})
_REFERENCE = frozenset({"reference", "id", "association", "string", "enumeration"})
ROLES = "roles"
"""Members with their roles, as `role:id`; the options are the roles."""
_LIST = frozenset({"references", "associations", "list", "strings", "set", "categories"})
KNOWN_KINDS = _WORDS | _NUMBER | _BOOLEAN | _LIST | {"date", "datetime", "association", "attendees", ROLES}

KINDS: dict[str, dict[str, frozenset[str]]] = {
    "text": {"field": _WORDS},
    "rich_text": {"field": _TEXT},
    "email": {"field": _TEXT},
    "phone": {"field": _TEXT},
    "url": {"field": _TEXT},
    "domain": {"field": _TEXT},
    "full_name": {"first": _TEXT, "last": _TEXT},
    "number": {"field": _NUMBER},
    "money": {"amount": _NUMBER, "currency": _TEXT},
    "date": {"field": frozenset({"date"})},
    "datetime": {"field": frozenset({"datetime"})},
    "when": {
        "start": frozenset({"datetime", "date"}), "end": frozenset({"datetime", "date"}), "zone_field": _TEXT,
        "all_day": _BOOLEAN, "date": frozenset({"date"}), "minutes": _NUMBER, "stamp": frozenset({"datetime"}),
    },
    "choice": {"field": _TEXT | _NUMBER | _BOOLEAN},
    "lookup": {"field": _TEXT | _NUMBER | _BOOLEAN},
    "boolean": {"field": _BOOLEAN},
    "reference": {"field": _REFERENCE},
    "references": {"field": _LIST | _TEXT | {ROLES}},
    "set": {"field": _LIST | _TEXT},
    "attendees": {"field": frozenset({"attendees"})},
    "country": {"field": _TEXT},
    "state": {"field": _TEXT},
    "address": dict.fromkeys(ADDRESS_PARTS, _TEXT),
    "owner": {"field": _REFERENCE | _TEXT},
}  # fmt: skip

_KEY_LENGTH = 48
"""A record id (36 characters), a colon, and a generation."""


class _Check:
    """The findings of one object."""

    def __init__(self, mapped: ObjectMap, shown: dict[tuple[str, str], set[str]]) -> None:
        self.mapped = mapped
        self.shown = shown
        self.fields: dict[str, FieldSchema] = {}

    def run(self, describe: Describe) -> Iterator[Finding]:
        try:
            self.fields = dict(describe(self.mapped.system, self.mapped.object).fields)
        except ConnectorError as error:
            yield self._finding(
                "object-unreadable", (),
                f"{self.mapped.system} does not describe {self.mapped.object}: {error.message.rstrip('.')}.",
                f"Correct the object's name, or {_asked(error)}.",
            )  # fmt: skip
            return
        for each in self.mapped.fields:
            yield from self._field(each)
        for writer in self.mapped.writers:
            yield from self._writer(writer.field, writer.constant)
        if self.mapped.creates:
            yield from self._required()
        yield from self._key()

    def _finding(
        self, code: str, path: tuple[str | int, ...], message: str, remedy: str, *, value: object = None,
        severity: Severity = "error", field: str = "",
    ) -> Finding:  # fmt: skip
        place = self.mapped.place(path, value)
        return Finding(severity, code, self.mapped.system, self.mapped.object, field, *place, message, remedy)

    def _field(self, each: FieldMap) -> Iterator[Finding]:
        path = ("fields", each.name)
        told: dict[str, Any] = {}
        for raw in dict.fromkeys(each.lens.raw):
            schema = self.fields.get(raw)
            if schema is None:
                yield self._missing(path, raw, each.name)
                continue
            told[raw] = schema
            yield from (self._named(each, one) for one in self._writable(each, schema))
        if len(told) == len(set(each.lens.raw)):
            for finding in (*self._kinds(each), *self._limits(each), *self._values(each), *self._references(each)):
                yield self._named(each, finding)

    @staticmethod
    def _named(each: FieldMap, finding: Finding) -> Finding:
        return finding if finding.field else _with_field(finding, each.name)

    def _missing(self, path: tuple[str | int, ...], raw: str, name: str) -> Finding:
        hint = nearest(raw, self.fields) if len(self.fields) > 1 else ""
        return self._finding(
            "field-missing", path, f"{self.mapped.object} has no field {raw!r}, or hides it from this user.",
            hint if hint.startswith("Did") else "Create it, correct the name, or give this user the right to it.",
            value=raw, field=name,
        )  # fmt: skip

    def _writable(self, each: FieldMap, schema: FieldSchema) -> Iterator[Finding]:
        if not each.writes or (schema.createable and schema.updateable):
            return
        path = ("fields", each.name)
        if not schema.createable and not schema.updateable:
            yield self._finding(
                "not-writable", path, f"{schema.name!r} cannot be written.",
                "Map it with `direction: read`, or give this user the right to edit it.", value=schema.name,
            )  # fmt: skip
        else:
            when = "when a record is created" if schema.createable else "after a record was created"
            yield self._finding(
                "write-once", path, f"{schema.name!r} can be written only {when}.",
                "Map it with `direction: read`, or expect its later changes to be refused.", value=schema.name,
                severity="warning",
            )  # fmt: skip

    # --- kinds and limits

    def _kinds(self, each: FieldMap) -> Iterator[Finding]:
        for option, kinds in KINDS.get(each.lens.name, {}).items():
            raw = getattr(each.lens.options, option, None)
            if not isinstance(raw, str) or raw not in self.fields:
                continue
            schema = self.fields[raw]
            fits = _fitting(each.lens, option, kinds)
            if schema.type not in KNOWN_KINDS or schema.type in fits:
                continue
            if isinstance(each.lens, Reference) and schema.references and not fits <= {ROLES}:
                continue
            if each.lens.name == "text" and not each.writes and schema.type in _NUMBER | {"date", "datetime"}:
                continue
            yield self._finding(
                "field-type", ("fields", each.name),
                f"{raw!r} is {schema.type}, and the lens {each.lens.name!r} of {each.name!r} translates "
                f"{', '.join(sorted(fits & KNOWN_KINDS))}.",
                _remedy_for_kind(each.lens, schema, [
                    name for name, one in self.fields.items()
                    if one.type == ROLES and one.references == schema.references]), value=raw,
            )  # fmt: skip

    def _limits(self, each: FieldMap) -> Iterator[Finding]:
        if not each.writes:
            return
        options = each.lens.options
        if isinstance(each.lens, Text):
            yield from self._length(each, self.fields[options.field], options.max_length)
        elif isinstance(each.lens, Number | Money):
            raw = options.field if isinstance(each.lens, Number) else options.amount
            yield from self._scale(each, self.fields[raw], options.scale)

    def _length(self, each: FieldMap, schema: FieldSchema, limit: int | None) -> Iterator[Finding]:
        path = ("fields", each.name)
        if schema.length is None or schema.options:
            return
        if limit is None:
            yield self._finding(
                "length-unknown", path, f"{schema.name!r} holds {schema.length} characters, and the mapping does not "
                "say so: a longer text is refused by the system instead of by Sidefeed.",
                f"Add `max_length: {schema.length}`.", value=schema.name, severity="warning",
            )  # fmt: skip
        elif limit > schema.length:
            yield self._finding(
                "length-exceeds", (*path, "max_length"),
                f"{schema.name!r} holds {schema.length} characters, not {limit}.",
                f"Write `max_length: {schema.length}`.",
            )  # fmt: skip

    def _scale(self, each: FieldMap, schema: FieldSchema, scale: int | None) -> Iterator[Finding]:
        path = ("fields", each.name)
        if schema.scale is None:
            return
        if scale is None:
            yield self._finding(
                "scale-unknown", path, f"{schema.name!r} holds {schema.scale} decimal places, and the mapping does not "
                "say so: the system would round.", f"Add `scale: {schema.scale}`.", value=schema.name,
                severity="warning",
            )  # fmt: skip
        elif scale > schema.scale:
            yield self._finding(
                "scale-exceeds", (*path, "scale"), f"{schema.name!r} holds {schema.scale} decimal places, not {scale}.",
                f"Write `scale: {schema.scale}`.",
            )  # fmt: skip

    # --- values

    def _values(self, each: FieldMap) -> Iterator[Finding]:
        lens = each.lens
        raw = getattr(lens.options, "field", None)
        options = self.fields[raw].options if isinstance(raw, str) else ()
        if not isinstance(raw, str) or not (options or self.fields[raw].type == ROLES):
            return
        severity: Severity = "error" if self.fields[raw].restricted else "warning"
        path = ("fields", each.name)
        for written in _written_values(each):
            if written not in options:
                yield self._finding(
                    "value-missing", path, f"{raw!r} has no value {written!r}.",
                    self._missing_value(written, self.fields[raw]), value=written, severity=severity,
                )  # fmt: skip
        for read in _read_values(each):
            if read not in options:
                yield self._finding(
                    "value-unused", path, f"{raw!r} has no value {read!r}: it is never read.",
                    nearest(read, options) or "Remove it.", value=read, severity="warning",
                )  # fmt: skip
        if each.reads and getattr(lens, "unknown", getattr(lens.options, "unknown", None)) == "refuse":
            table = getattr(lens, "inward", None) or getattr(lens.options, "table", None) or {}
            for value in options:
                if value not in table:
                    yield self._finding(
                        "value-unmapped", path,
                        f"{value!r}{_called(self.fields[raw], value)} of {raw!r} is not mapped: records that hold it "
                        f"keep their old {each.name} here.",
                        "Add it to the values, or say what `unknown` values do.",
                        severity="warning",
                    )  # fmt: skip

    def _missing_value(self, value: str, schema: FieldSchema) -> str:
        hint = nearest(value, schema.options) if schema.options else ""
        if schema.type == ROLES and not hint.startswith("Did"):
            return f"Run `sidefeed prepare {self.mapped.system}`, which adds it or says what an administrator must do."
        return hint or "Add it in the system, or map another one."

    def _writer(self, raw: str, constant: Any) -> Iterator[Finding]:
        path = ("writes", raw)
        schema = self.fields.get(raw)
        if schema is None:
            yield self._missing(path, raw, "")
        elif not schema.createable:
            yield self._finding("not-writable", path, f"{raw!r} cannot be written.", "Remove it from `writes`.")
        elif constant is not None and schema.options and str(constant) not in schema.options:
            yield self._finding(
                "value-missing", path, f"{raw!r} has no value {str(constant)!r}.",
                nearest(str(constant), schema.options) or "Write one that it has.",
                value=constant, severity="error" if schema.restricted else "warning",
            )  # fmt: skip

    # --- references

    def _references(self, each: FieldMap) -> Iterator[Finding]:
        lens = each.lens
        if isinstance(lens, Owner) and lens.options.by == "email":
            return
        if isinstance(lens, Reference):
            yield from self._reference(each, lens.raw[0], [lens.entity], lens.options.prefix is not None)
        elif isinstance(lens, Related) and lens.options.fields is not None:
            for entity, raw in lens.options.fields.items():
                yield from self._reference(each, raw, [entity], False)
        elif isinstance(lens, Related):
            yield from self._reference(each, lens.raw[0], list(lens.options.prefixes), True)

    def _reference(self, each: FieldMap, raw: str, entities: list[str], told_apart: bool) -> Iterator[Finding]:
        path = ("fields", each.name)
        targets = set(self.fields[raw].references)
        served: set[str] = set()
        for entity in entities:
            objects = self.shown.get((self.mapped.system, entity), set())
            served |= objects
            if not objects:
                yield self._finding(
                    "reference-unmapped", path, f"{raw!r} refers to {entity}, and no object of {self.mapped.system} is "
                    "mapped to it.", "Map one, or remove this field.", value=raw,
                )  # fmt: skip
            elif targets and not objects & targets:
                yield self._finding(
                    "reference-target", path, f"{raw!r} refers to {', '.join(sorted(targets))}, never to "
                    f"{', '.join(sorted(objects))}.", f"Map the field that refers to {entity}.", value=raw,
                )  # fmt: skip
        if targets & served and targets - served and not told_apart:
            others = ", ".join(sorted(targets - served)[:5])
            yield self._finding(
                "reference-mixed", path, f"{raw!r} may also hold ids of {others}.",
                "Add the `prefix` of the ids that are meant.", value=raw, severity="warning",
            )  # fmt: skip

    # --- creating

    def _required(self) -> Iterator[Finding]:
        writers = {raw: each for each in self.mapped.fields if each.writes for raw in each.lens.raw}
        constants = {each.field for each in self.mapped.writers} | {self.mapped.key_field}
        for schema in self.fields.values():
            if not schema.required or schema.name in constants:
                continue
            writer = writers.get(schema.name)
            if writer is None:
                yield self._finding(
                    "required-not-mapped", ("fields",), f"{self.mapped.object} needs {schema.name!r} on create, and "
                    "nothing writes it.", "Map it, add a constant under `writes`, or set `creates: false`.",
                )  # fmt: skip
            elif not writer.required_on_create and writer.create_as is None and writer.lens.blank_says_nothing:
                yield self._finding(
                    "required-not-guarded", ("fields", writer.name), f"{self.mapped.object} needs {schema.name!r} on "
                    f"create, and {writer.name!r} may be blank.", "Add `required_on_create: true`.", value=schema.name,
                    field=writer.name, severity="warning",
                )  # fmt: skip

    def _key(self) -> Iterator[Finding]:
        name = self.mapped.key_field
        if name is None:
            return
        path = ("key_field",)
        schema = self.fields.get(name)
        remedy = f"Run `sidefeed prepare {self.mapped.system}`, which creates it or says what an administrator must do."
        if schema is None:
            yield self._finding(
                "key-field-missing", path,
                f"{self.mapped.object} has no key field {name!r}: creates would not be safe.",
                remedy,
            )  # fmt: skip
            return
        if not schema.createable or (schema.length is not None and schema.length < _KEY_LENGTH):
            yield self._finding(
                "key-field-unfit", path,
                f"{name!r} must be text of {_KEY_LENGTH} characters or more that this user may write.", remedy,
            )  # fmt: skip
        elif self.mapped.key_unique and not schema.unique:
            yield self._finding(
                "key-field-unfit", path, f"{name!r} is not unique: a repeated create would make a duplicate.",
                f"{remedy} Where the object cannot have unique fields, set `key_unique: false`.",
            )  # fmt: skip


def _called(schema: FieldSchema, value: str) -> str:
    """What people see for a value, where that is another word."""
    label = dict(zip(schema.options, schema.labels, strict=False)).get(value, value)
    return f" ({label})" if label != value else ""


def _asked(error: ConnectorError) -> str:
    return "ask an administrator for the right to it" if error.owner == "admin" else "repair the connection"


def _with_field(finding: Finding, name: str) -> Finding:
    return replace(finding, field=name)


def _fitting(lens: Lens, option: str, kinds: frozenset[str]) -> frozenset[str]:
    if isinstance(lens, Date):
        return frozenset({lens.options.stored})
    if isinstance(lens, Boolean) and isinstance(lens.options.true, str):
        return kinds | _TEXT
    if isinstance(lens, References) and lens.outward:
        return frozenset({ROLES})
    if isinstance(lens, Set):
        return _TEXT if lens.options.separator is not None else _LIST
    return kinds


def _remedy_for_kind(lens: Lens, schema: FieldSchema, roles: Iterable[str] = ()) -> str:
    if isinstance(lens, References) and lens.outward:
        fit = ", ".join(map(repr, roles))
        return f"Map {fit}, which holds the roles too." if fit else "Take `roles` out: the people cross without them."
    if isinstance(lens, Date) and schema.type == "datetime":
        return "Add `as: datetime`, with the `zone` in which people read the date."
    if isinstance(lens, Date) and schema.type == "date":
        return "Remove `as: datetime`."
    return "Map another field, or declare the workspace field with the type it has."


def _written_values(each: FieldMap) -> list[str]:
    if not each.writes:
        return []
    if isinstance(each.lens, Choice):
        return [_raw_word(raw) for raw in each.lens.outward.values()]
    if isinstance(each.lens, Set):
        return list(each.lens.inward)
    if isinstance(each.lens, References):
        return list(each.lens.outward.values())
    if isinstance(each.lens, Boolean):
        return [_raw_word(each.lens.options.true), _raw_word(each.lens.options.false)]
    return []


def _read_values(each: FieldMap) -> list[str]:
    written = set(_written_values(each))
    if isinstance(each.lens, Choice | References):
        return [raw for raw in each.lens.inward if raw not in written]
    if isinstance(each.lens, Lookup):
        return list(each.lens.options.table)
    return []


def _raw_word(raw: Any) -> str:
    return ("true" if raw else "false") if isinstance(raw, bool) else str(raw)
