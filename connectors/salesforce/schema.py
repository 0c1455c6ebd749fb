"""What an object looks like, and the key field it needs."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from sidefeed.connector import FieldSchema, Invalid, ObjectSchema, Rights

from .junctions import JUNCTIONS, Junction

KEY_LENGTH = 80

_ACTIVITIES = ("Event", "Task")
"""Their custom fields are made on Activity, which has no unique and no external-id fields."""


class _Option(msgspec.Struct, rename="camel"):
    value: str | None = None
    active: bool = True
    label: str | None = None
    valid_for: str | None = None


class _RecordType(msgspec.Struct, rename="camel"):
    developer_name: str = ""
    available: bool = True
    master: bool = False


class _Field(msgspec.Struct, rename="camel"):
    name: str
    type: str
    label: str = ""
    length: int = 0
    scale: int = 0
    createable: bool = False
    updateable: bool = False
    nillable: bool = True
    defaulted_on_create: bool = False
    unique: bool = False
    external_id: bool = False
    restricted_picklist: bool = False
    picklist_values: list[_Option] | None = None
    reference_to: list[str] | None = None
    controller_name: str | None = None


class Described(msgspec.Struct, rename="camel"):
    """The part of a describe answer that matters here (REST API Developer Guide, "sObject Describe")."""

    name: str
    label: str = ""
    fields: list[_Field] = []
    createable: bool = True
    updateable: bool = True
    deletable: bool = True
    record_type_infos: list[_RecordType] | None = None


decode_described = msgspec.json.Decoder(Described).decode


def object_schema(described: Described, rows: Mapping[str, Described] | None = None) -> ObjectSchema:
    """``rows`` describes the objects whose rows say in which role somebody is listed."""
    known = {each.name: each for each in described.fields}
    fields = {each.name: _field_schema(each, known.get(each.controller_name or "")) for each in described.fields}
    for junction in JUNCTIONS.get(described.name, ()):
        fields[junction.field] = _list_schema(junction, (rows or {}).get(junction.object))
    types = tuple(each.developer_name for each in described.record_type_infos or () if not each.master)
    return ObjectSchema(described.name, described.label, fields, described.createable, described.updateable,
                        described.deletable, types)


def _same_rows(junction: Junction) -> str:
    """The list with roles of the same rows, for one without; nothing for any other."""
    return next((other.field for others in JUNCTIONS.values() for other in others
                 if other.object == junction.object and other.role and not junction.role), "")


def _list_schema(junction: Junction, row: Described | None) -> FieldSchema:
    role = next((_field_schema(each) for each in row.fields if each.name == junction.role), None) if row else None
    listed = FieldSchema(junction.field, "roles" if junction.role else "references", label=junction.field,
                         references=junction.references, same_as=_same_rows(junction))
    return replace(listed, options=role.options, labels=role.labels, restricted=role.restricted) if role else listed


def rights_of(
    described: Described, *, reads: Sequence[str], writes: Sequence[str], creates: bool, deletes: bool
) -> Rights:
    """Object and field permissions as Setup names them, and which of them this user lacks."""
    name = described.name
    known = {each.name: each for each in described.fields}
    ours = {each.field for each in JUNCTIONS.get(name, ())}
    objects = [("Read", True), ("Create", described.createable), ("Edit", described.updateable),
               ("Delete", described.deletable)]
    wanted = {"Read": True, "Create": creates, "Edit": bool(writes), "Delete": deletes}
    table = {f"{name}: {right}": granted for right, granted in objects if wanted[right]}
    table |= {f"{name}.{field}: Read" if field not in writes else f"{name}.{field}: Read and Edit": (
        field in known and (field not in writes or known[field].updateable or known[field].createable))
        for field in dict.fromkeys([*reads, *writes]) if field not in ours}
    return Rights(tuple(table), tuple(right for right, granted in table.items() if not granted))


def _goes_with(option: _Option, controlling: _Field) -> tuple[str, ...]:
    """The values of the controlling field that a dependent value goes with: ``validFor`` has a bit for each of them in
    the order of the describe answer, the first one highest (Object Reference, "PicklistEntry"); a checkbox counts as
    false, true. Values that are no more active have their bits, too."""
    values = ["false", "true"] if controlling.type == "boolean" else [
        each.value or "" for each in controlling.picklist_values or ()]
    bits = base64.b64decode(option.valid_for or "")
    return tuple(value for place, value in enumerate(values)
                 if place >> 3 < len(bits) and bits[place >> 3] & (0x80 >> place % 8))


def _field_schema(each: _Field, controlling: _Field | None = None) -> FieldSchema:
    options = [option for option in each.picklist_values or () if option.active and option.value]
    return FieldSchema(
        each.name, each.type, label=each.label, length=each.length or None,
        scale=each.scale if each.type in ("double", "currency", "percent", "int") else None,
        createable=each.createable, updateable=each.updateable,
        required=each.createable and not each.nillable and not each.defaulted_on_create,
        unique=each.unique,
        options=tuple(str(option.value) for option in options),
        labels=tuple(option.label or str(option.value) for option in options),
        restricted=each.restricted_picklist, references=tuple(each.reference_to or ()),
        controller=controlling.name if controlling is not None else "",
        valid_for={str(option.value): _goes_with(option, controlling) for option in options} if controlling else {},
    )  # fmt: skip


def faults_of_key(described: Described, key_field: str) -> Iterator[str]:
    """What is wrong with the key field of an object; nothing where it serves."""
    found = next((each for each in described.fields if each.name == key_field), None)
    if found is None:
        yield "is missing, or hidden from the integration user"
        return
    if found.type != "string" or found.length < KEY_LENGTH:
        yield f"must be text of {KEY_LENGTH} characters or more"
    if not (found.createable and found.updateable):
        yield "must be editable for the integration user"
    if described.name not in _ACTIVITIES and not (found.unique and found.external_id):
        yield "must be an external id and unique"


def key_definition(object: str, key_field: str) -> dict[str, Any]:
    """The key field as the Tooling API makes it ("CustomField" in the Tooling API object reference)."""
    activity = object in _ACTIVITIES
    return {
        "FullName": f"{'Activity' if activity else object}.{key_field}",
        "Metadata": {
            "type": "Text",
            "label": key_field.removesuffix("__c").replace("_", " "),
            "length": KEY_LENGTH,
            "unique": not activity,
            "externalId": not activity,
            "caseSensitive": False,
            "description": "Written by Sidefeed to make each create happen once. Do not edit.",
        },
    }


def hidden(object: str, key_field: str) -> str:
    """What is left to do where the field is there and the user may not see it."""
    place = "Activity" if object in _ACTIVITIES else object
    return (
        f"{place}.{key_field} is there, and the integration user may not see it. In Setup, Object Manager, {place}, "
        f"Fields & Relationships, {key_field}, Set Field-Level Security (or in the integration user's permission set): "
        "give read and edit access to it. Then run this again."
    )


def key_missing(object: str, key_field: str) -> Invalid:
    return Invalid(
        f"Salesforce has no field {key_field} on {object}, or hides it from the integration user, and safe creates "
        f"need it: run `sidefeed prepare salesforce`, which makes it or says what an administrator must do",
        field=key_field, rule="INVALID_FIELD", code="key-field-missing", owner="admin",
    )


def instructions(object: str, key_field: str, faults: list[str]) -> str:
    """What an administrator has to do, in the words of Setup."""
    place = "Activity" if object in _ACTIVITIES else object
    kind = "Text, length 80" if place == "Activity" else "Text, length 80, Unique (case-insensitive), External ID"
    return (
        f"{object}.{key_field} {' and '.join(faults)}. In Setup, Object Manager, {place}, Fields & Relationships: "
        f"create the custom field {key_field.removesuffix('__c')} as {kind}; then give the integration user's "
        "permission set read and edit access to it."
    )
