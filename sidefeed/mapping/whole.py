"""Mistakes that show only when the mapping is looked at as a whole: what can never be created, what nobody reads or
writes, which values and pipelines do not go together. `check` asks for them; its page of codes lists them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any

from ..connector import FieldSchema, ObjectSchema
from .files import nearest
from .finding import Finding, Severity
from .lenses import Choice, Lens
from .lenses.numbers import Money
from .lenses.references import Reference
from .model import FieldMap, ObjectMap
from .model import Mapping as Mappings

Schemas = Mapping[tuple[str, str], ObjectSchema]


def findings(mapping: Mappings, schemas: Schemas) -> Iterator[Finding]:
    """Every finding about objects that answered; those that did not are passed over."""
    yield from _cycles(mapping)
    yield from _preferences(mapping)
    yield from _fields_nowhere(mapping)
    for om in mapping.objects:
        yield from _never_created(mapping, om)
        schema = schemas.get((om.system, om.object))
        if schema is not None:
            yield from _object_rights(om, schema)
            yield from _scope(om, schema)
            yield from _pipelines(om, schema)
            yield from _dependent(om, schema)
            for each in om.fields:
                yield from _field(om, each, schema)
            for writer in om.writers:
                yield from _constant(om, writer.field, writer.constant, schema)


def _finding(
    om: ObjectMap, code: str, path: tuple[str | int, ...], message: str, remedy: str, *, value: object = None,
    severity: Severity = "error", field: str = "",
) -> Finding:
    return Finding(severity, code, om.system, om.object, field, *om.place(path, value), message, remedy)


# --- the whole -------------------------------------------------------------------------------------------------------


def _cycles(mapping: Mappings) -> Iterator[Finding]:
    """Objects of one system of which each must have the other before it can be created."""
    for system in mapping.systems:
        by_entity = {om.entity: om for om in mapping.for_system(system) if om.creates}
        graph = {entity: {other for each in om.fields if _must_have(each) for other in _referred(each.lens)
                          if other in by_entity} for entity, om in by_entity.items()}
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            circle = list(reversed(error.args[1]))
            om = by_entity[circle[0]]
            name = next(each.name for each in om.fields if _must_have(each) and circle[1] in _referred(each.lens))
            yield _finding(
                om, "create-cycle", ("fields", name),
                f"no {' and no '.join(dict.fromkeys(circle))} can ever be created: each waits for the other.",
                "Take `required_on_create` from one of them; it is filled once both are there.", field=name)


def _must_have(each: FieldMap) -> bool:
    return each.writes and each.required_on_create and each.create_as is None


def _referred(lens: Lens) -> tuple[str, ...]:
    return (lens.entity,) if isinstance(lens, Reference) else ()


def _never_created(mapping: Mappings, om: ObjectMap) -> Iterator[Finding]:
    for each in om.fields if om.creates else ():
        for entity in _referred(each.lens) if _must_have(each) else ():
            targets = [other for other in mapping.for_system(om.system) if other.entity == entity]
            if targets and not any(other.creates for other in targets):
                yield _finding(
                    om, "required-unreachable", ("fields", each.name),
                    f"{om.object} waits for its {each.name}, and no {entity} is ever created in {om.system}: a record "
                    f"whose {entity} is not there by other means is never created.",
                    f"Give it a fallback (`lens: owner`), or create {entity} there.", severity="warning",
                    field=each.name)


def _preferences(mapping: Mappings) -> Iterator[Finding]:
    """A system of record that never supplies the value it is preferred for."""
    for entity in mapping.entities.values():
        for spec in entity.fields.values():
            system = spec.policy.system
            shown = [om for om in mapping.objects if om.system == system and om.entity == entity.name]
            # The owner of a meeting is the person whose calendar it stands in, which no field says.
            calendar = entity.name == "meeting" and spec.name == "owner"
            if system is None or not shown or calendar:
                continue
            if not any(spec.name in om and om.field(spec.name).reads for om in shown):
                yield _finding(
                    shown[0], "prefer-unread", ("fields",),
                    f"{entity.name}.{spec.name} prefers {system}, and nothing there is read as {spec.name}.",
                    "Map it, or prefer another system in entities.yaml.", field=spec.name)


def _fields_nowhere(mapping: Mappings) -> Iterator[Finding]:
    for entity in mapping.entities.values():
        shown = [om for om in mapping.objects if om.entity == entity.name]
        for name in entity.fields if shown else ():
            sides = [(om, om.field(name)) for om in shown if name in om]
            if not sides:
                yield _finding(shown[0], "field-unmapped", ("fields",), f"{entity.name}.{name} is in no system.",
                               "Map it, or leave it to the workspace.", severity="note", field=name)
            elif not any(each.writes for _om, each in sides) and any(om.creates for om in shown):
                om = sides[0][0]
                yield _finding(om, "never-written", ("fields", name), f"{entity.name}.{name} is written nowhere.",
                               "Map it with `direction: both` in a system, or leave it.", severity="note", field=name)


# --- one object ------------------------------------------------------------------------------------------------------


def _object_rights(om: ObjectMap, schema: ObjectSchema) -> Iterator[Finding]:
    writes = any(each.writes for each in om.fields) and not om.readonly
    for code, wanted, granted, what in (
        ("object-not-creatable", om.creates, schema.createable, "create"),
        ("object-not-updatable", writes, schema.updateable, "edit"),
        ("object-not-deletable", om.deletes == "propagate" and not om.readonly, schema.deletable, "delete"),
    ):
        if wanted and not granted:
            remedy = {"create": "or set `creates: false`", "edit": "or set `readonly: true`",
                      "delete": "or set `deletes: unlink`"}[what]
            yield _finding(om, code, (), f"this user may not {what} {om.object} in {om.system}.",
                           f"Grant the right, {remedy}.")


# What a SOQL condition compares: a name, perhaps through relationships, before an operator.
_COMPARED = re.compile(r"\b([A-Za-z]\w*(?:\.\w+)*)\s*(?:=|!=|<>|<=?|>=?|\bNOT\s+IN\b|\bIN\b|\bLIKE\b)", re.IGNORECASE)
_RECORD_TYPE = re.compile(r"RecordType\.DeveloperName\s*(?:=|IN)\s*\(?([^)]*?)\)?(?:\s+(?:AND|OR)\b|$)", re.IGNORECASE)
_QUOTED = re.compile(r"'([^']*)'")


def _scope(om: ObjectMap, schema: ObjectSchema) -> Iterator[Finding]:
    names = list(om.scope) if isinstance(om.scope, dict) else [
        name for name in _COMPARED.findall(_QUOTED.sub("''", om.scope or "")) if "." not in name]
    for name in names:
        if name not in schema.fields:
            yield _finding(om, "scope-field-missing", ("scope",), f"{om.object} has no field {name!r}.",
                           nearest(name, schema.fields) or "Correct the scope.")
    if isinstance(om.scope, dict):
        yield from _scope_values(om, schema)
    elif om.scope:
        for text in _RECORD_TYPE.findall(om.scope):
            for name in _QUOTED.findall(text):
                if name not in schema.record_types:
                    yield _finding(om, "record-type-missing", ("scope",), f"{om.object} has no record type {name!r}.",
                                   nearest(name, schema.record_types) or "Create it, or correct the scope.")


def _scope_values(om: ObjectMap, schema: ObjectSchema) -> Iterator[Finding]:
    for name, allowed in om.scope.items():
        options = schema.fields[name].options if name in schema.fields else ()
        for each in allowed if isinstance(allowed, list) else [allowed]:
            if options and str(each) not in options:
                yield _finding(om, "scope-value-missing", ("scope",), f"{name!r} has no value {str(each)!r}.",
                               nearest(str(each), options) or "Correct the scope.", value=each)


def _pipelines(om: ObjectMap, schema: ObjectSchema) -> Iterator[Finding]:
    """Values that depend on another field's value must go with the one that is written there."""
    constants = {writer.field: str(writer.constant) for writer in om.writers if writer.constant is not None}
    for each in om.fields:
        raw = getattr(each.lens.options, "field", None)
        told = schema.fields.get(raw) if isinstance(raw, str) else None
        if told is None or not told.controller or not isinstance(each.lens, Choice) or not each.writes:
            continue
        homes = {home for value in told.valid_for.values() for home in value}
        written = [str(value) for value in each.lens.outward.values() if str(value) in told.valid_for]
        chosen = constants.get(told.controller)
        if chosen is not None:
            for value in written:
                if chosen not in told.valid_for[value]:
                    yield _finding(
                        om, "value-of-other-pipeline", ("fields", each.name),
                        f"{value!r} belongs to {told.controller} {' or '.join(told.valid_for[value])}, and "
                        f"{chosen!r} is written there.", "Map a value that goes with it.", value=value,
                        field=each.name)
        elif om.creates and len(homes) > 1 and told.controller not in {r for one in om.fields for r in one.lens.raw}:
            yield _finding(
                om, "pipeline-not-written", ("fields", each.name),
                f"{raw!r} has values of {len(homes)} {told.controller}s, and nothing writes {told.controller!r}: the "
                "system chooses, or refuses the value.",
                f"Add `{told.controller}: {{constant: ...}}` under `writes`, or map it.",
                severity="warning", field=each.name)


def _dependent(om: ObjectMap, schema: ObjectSchema) -> Iterator[Finding]:
    """Values that go with no value that is ever written to the field they depend on."""
    written = {each.lens.raw[0]: {_told(value) for value in each.lens.outward.values()}
               for each in om.fields if each.writes and isinstance(each.lens, Choice)}
    for each in om.fields:
        told = schema.fields.get(each.lens.raw[0]) if each.lens.raw else None
        if told is None or not isinstance(each.lens, Choice) or not each.writes or told.controller not in written:
            continue
        for value in dict.fromkeys(str(raw) for raw in each.lens.outward.values()):
            goes_with = told.valid_for.get(value)
            if goes_with is not None and not written[told.controller] & set(goes_with):
                yield _finding(
                    om, "value-never-accepted", ("fields", each.name),
                    f"{value!r} of {told.name!r} goes with {told.controller} {' or '.join(goes_with) or 'nothing'}, "
                    "and none of these is ever written.",
                    f"Map a value that goes with what {told.controller!r} is given.", value=value, field=each.name,
                    severity="error" if told.restricted else "warning")


def _told(raw: object) -> str:
    return str(raw).lower() if isinstance(raw, bool) else str(raw)


# --- one field -------------------------------------------------------------------------------------------------------


def _field(om: ObjectMap, each: FieldMap, schema: ObjectSchema) -> Iterator[Finding]:
    path = ("fields", each.name)
    raw = [schema.fields[name] for name in each.lens.raw if name in schema.fields]
    if om.key_field in each.lens.raw and each.writes:
        yield _finding(om, "key-field-mapped", path, f"{om.key_field!r} carries our key, and {each.name!r} would be "
                       "written over it.", "Map another field.", value=om.key_field, field=each.name)
    if isinstance(each.lens, Money) and each.lens.currency and each.lens.default and each.writes:
        options = schema.fields[each.lens.currency].options if each.lens.currency in schema.fields else ()
        if options and each.lens.default not in options:
            yield _finding(om, "currency-missing", path, f"{each.lens.default} is no currency of {om.system}.",
                           nearest(each.lens.default, options) or "Add the currency there.", value=each.lens.default,
                           field=each.name)
    for told in raw if each.writes and om.creates else ():
        if told.unique and told.name != om.key_field and not any(key == (each.name,) for key in om.match):
            yield _finding(
                om, "unique-not-matched", path, f"{told.name!r} is unique in {om.system}, and records are not matched "
                f"by {each.name!r}: a create may be refused instead of matched.", f"Add {each.name} to `match`.",
                value=told.name, severity="warning", field=each.name)
    for told in raw if each.writes and not each.never_blank and each.lens.blank_says_nothing else ():
        if told.required:
            yield _finding(om, "blank-refused", path, f"clearing {each.name} is refused: {told.name!r} is never blank.",
                           "Add `never_blank: true`, or `blank_as`.", value=told.name, severity="note", field=each.name)
    yield from _stand_in(om, each, schema)


def _stand_in(om: ObjectMap, each: FieldMap, schema: ObjectSchema) -> Iterator[Finding]:
    """What is written for a blank must be a value that the system has."""
    raw = getattr(each.lens.options, "field", None)
    options = schema.fields[raw].options if isinstance(raw, str) and raw in schema.fields else ()
    stand_in = each.create_as if isinstance(each.create_as, str) else getattr(each.lens.options, "blank_as", None)
    if isinstance(raw, str) and options and stand_in and each.writes and not each.lens.pairs() and (
            stand_in not in options):
        yield _finding(om, "value-missing", ("fields", each.name), f"{raw!r} has no value {stand_in!r}.",
                       nearest(stand_in, options) or "Write one that it has.", value=stand_in, field=each.name,
                       severity="error" if schema.fields[raw].restricted else "warning")


def _constant(om: ObjectMap, raw: str, constant: Any, schema: ObjectSchema) -> Iterator[Finding]:
    told = schema.fields.get(raw)
    if told is None or constant is None:
        return
    wrong = _misfit(told, constant)
    if wrong:
        yield _finding(om, "constant-unfit", ("writes", raw), f"{constant!r} {wrong} {raw!r}, which is {told.type}.",
                       "Write a value of that kind.", value=constant)


def _misfit(told: FieldSchema, constant: Any) -> str:
    text = str(constant)
    if told.type in ("boolean", "bool") and text.lower() not in ("true", "false"):
        return "is no yes or no for"
    if told.type in ("int", "double", "currency", "percent", "number", "long") and not re.fullmatch(
            r"-?\d+(\.\d+)?", text):
        return "is no number for"
    if told.type == "date" and not re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        return "is no date for"
    return "is too long for" if told.length is not None and len(text) > told.length else ""
