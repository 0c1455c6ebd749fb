"""Objects and fields: the built-in standard objects, declared custom ones, and how a describe shows them.

The standard objects come from `objects.txt`, whose facts agree with real describe answers. Everything else is declared
with `Schema.load`, in the form described there.
"""

from __future__ import annotations

import base64
import copy
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

MASTER_RECORD_TYPE = "012000000000000AAA"
TEXT_TYPES = frozenset(
    {"string", "textarea", "phone", "url", "email", "picklist", "multipicklist", "combobox", "encryptedstring"}
)
NUMBER_TYPES = frozenset({"double", "currency", "percent", "int", "long"})
COMPOUND_TYPES = frozenset({"address", "location"})
_SOAP = {
    "id": "tns:ID", "reference": "tns:ID", "boolean": "xsd:boolean", "int": "xsd:int", "long": "xsd:long",
    "double": "xsd:double", "currency": "xsd:double", "percent": "xsd:double", "date": "xsd:date",
    "datetime": "xsd:dateTime", "time": "xsd:time", "address": "urn:address", "location": "urn:location",
    "base64": "xsd:base64Binary", "anyType": "xsd:anyType",
}  # fmt: skip
_FLAGS = {
    "c": "createable", "u": "updateable", "n": "nillable", "D": "defaulted_on_create", "f": "filterable",
    "s": "sortable", "g": "groupable", "a": "aggregatable", "i": "id_lookup", "x": "external_id", "q": "unique",
    "L": "name_field", "p": "permissionable", "R": "restricted_picklist", "S": "case_sensitive",
    "P": "name_pointing", "O": "polymorphic", "B": "query_by_distance", "E": "search_prefilterable",
}  # fmt: skip
_OBJECT_FLAGS = (
    "activateable", "compactLayoutable", "createable", "customSetting", "deepCloneable", "deletable",
    "deprecatedAndHidden", "feedEnabled", "hasSubtypes", "isInterface", "isSubtype", "layoutable", "mergeable",
    "mruEnabled", "queryable", "replicateable", "retrieveable", "searchLayoutable", "searchable", "triggerable",
    "undeletable", "updateable",
)  # fmt: skip
_GLOBAL_HIDDEN = {"compactLayoutable", "searchLayoutable"}


class SchemaError(ValueError):
    """A schema declaration that cannot be used; the message names object, field and the remedy."""


@dataclass(slots=True)
class PicklistValue:
    """One choice of a picklist. In a dependent one `valid_for` names the values of its controller that it goes with."""

    value: str
    label: str
    active: bool = True
    default: bool = False
    valid_for: tuple[str, ...] = ()


@dataclass(slots=True)
class Field:
    """One field with the properties that a describe shows, in our spelling."""

    name: str
    type: str
    label: str
    length: int = 0
    digits: int = 0
    precision: int = 0
    scale: int = 0
    byte_length: int = 0
    createable: bool = False
    updateable: bool = False
    nillable: bool = False
    defaulted_on_create: bool = False
    filterable: bool = False
    sortable: bool = False
    groupable: bool = False
    aggregatable: bool = False
    id_lookup: bool = False
    external_id: bool = False
    unique: bool = False
    name_field: bool = False
    permissionable: bool = False
    restricted_picklist: bool = False
    case_sensitive: bool = False
    name_pointing: bool = False
    polymorphic: bool = False
    query_by_distance: bool = False
    search_prefilterable: bool = False
    auto_number: str | None = None
    reference_to: tuple[str, ...] = ()
    relationship: str | None = None
    child_relationship: str | None = None
    cascade_delete: bool = False
    restricted_delete: bool = False
    compound: str | None = None
    default: Any = None
    extra: str | None = None
    formula: str | None = None
    controller: str | None = None
    values: list[PicklistValue] = field(default_factory=list)

    @property
    def custom(self) -> bool:
        """Whether the field was added by an administrator."""
        return self.name.endswith(("__c", "__pc"))

    @property
    def required(self) -> bool:
        """Whether a create without it is refused (Object Reference: createable, not nillable, not defaulted)."""
        return self.createable and not self.nillable and not self.defaulted_on_create and self.type != "boolean"

    def describe(self, controlling: Field | None = None) -> dict[str, Any]:
        """The field as an element of `fields` in a describe answer; `controlling` is the field it depends on."""
        return {
            "aggregatable": self.aggregatable,
            "aiPredictionField": False,
            "autoNumber": self.auto_number is not None,
            "byteLength": self.byte_length,
            "calculated": self.formula is not None,
            "calculatedFormula": self.formula,
            "cascadeDelete": self.cascade_delete and self.custom,
            "caseSensitive": self.case_sensitive,
            "compoundFieldName": self.compound,
            "controllerName": self.controller,
            "createable": self.createable,
            "custom": self.custom,
            "defaultValue": False if self.type == "boolean" and self.default is None else self.default,
            "defaultValueFormula": None,
            "defaultedOnCreate": self.defaulted_on_create,
            "dependentPicklist": self.controller is not None,
            "deprecatedAndHidden": False,
            "digits": self.digits,
            "displayLocationInDecimal": False,
            "encrypted": False,
            "externalId": self.external_id,
            "extraTypeInfo": self.extra,
            "filterable": self.filterable,
            "filteredLookupInfo": None,
            "formulaTreatNullNumberAsZero": False,
            "groupable": self.groupable,
            "highScaleNumber": False,
            "htmlFormatted": False,
            "idLookup": self.id_lookup,
            "inlineHelpText": None,
            "label": self.label,
            "length": self.length,
            "mask": None,
            "maskType": None,
            "name": self.name,
            "nameField": self.name_field,
            "namePointing": self.name_pointing,
            "nillable": self.nillable,
            "permissionable": self.permissionable,
            "picklistValues": [
                {
                    "active": v.active,
                    "defaultValue": v.default,
                    "label": v.label,
                    "validFor": _bitmap(v.valid_for, controlling) if controlling else None,
                    "value": v.value,
                }
                for v in self.values
            ],
            "polymorphicForeignKey": self.polymorphic,
            "precision": self.precision,
            "queryByDistance": self.query_by_distance,
            "referenceTargetField": None,
            "referenceTo": list(self.reference_to),
            "relationshipName": self.relationship,
            "relationshipOrder": None,
            "restrictedDelete": self.restricted_delete and self.custom,
            "restrictedPicklist": self.restricted_picklist,
            "scale": self.scale,
            "searchPrefilterable": self.search_prefilterable,
            "soapType": _SOAP.get(self.type, "xsd:string"),
            "sortable": self.sortable,
            "type": self.type,
            "unique": self.unique,
            "updateable": self.updateable,
            "writeRequiresMasterRead": False,
        }


def _bitmap(valid_for: Iterable[str], controlling: Field) -> str:
    """`validFor`: a bit for each value of the controller in its order, the first one highest (Object Reference,
    "PicklistEntry"); a checkbox counts as false, true."""
    values = ["false", "true"] if controlling.type == "boolean" else [each.value for each in controlling.values]
    bits = bytearray(-(-len(values) // 8))
    for value in valid_for:
        place = values.index(value)
        bits[place >> 3] |= 0x80 >> place % 8
    return base64.b64encode(bytes(bits)).decode()


@dataclass(slots=True)
class SObject:
    """One object: its fields, and ways to find them by name, parent relationship or compound."""

    name: str
    prefix: str
    label: str
    plural: str
    flags: frozenset[str]
    fields: dict[str, Field] = field(default_factory=dict)
    _lower: dict[str, Field] = field(default_factory=dict)
    _parents: dict[str, Field] = field(default_factory=dict)

    @property
    def custom(self) -> bool:
        """Whether the object was added by an administrator."""
        return self.name.endswith("__c")

    def add(self, new: Field) -> None:
        """Add or replace a field."""
        self.fields[new.name] = new
        self._lower[new.name.lower()] = new
        if new.relationship:
            self._parents[new.relationship.lower()] = new

    def drop(self, name: str) -> Field:
        """Remove a field. Raises SchemaError when there is none of that name."""
        found = self.field(name)
        if found is None:
            raise SchemaError(f"{self.name} has no field {name!r}")
        del self.fields[found.name], self._lower[found.name.lower()]
        if found.relationship:
            self._parents.pop(found.relationship.lower(), None)
        return found

    def field(self, name: str) -> Field | None:
        """A field by its name, in any case."""
        return self.fields.get(name) or self._lower.get(name.lower())

    def parent(self, relationship: str) -> Field | None:
        """The lookup field behind a parent relationship (`Owner`, `Account`, `Project__r`), in any case."""
        return self._parents.get(relationship.lower())

    def components(self, compound: str) -> list[Field]:
        """The fields that make up a compound field such as MailingAddress."""
        return [f for f in self.fields.values() if f.compound == compound]

    @property
    def name_field(self) -> Field | None:
        """The field that stands for a record in lists: Name, Subject, CaseNumber..."""
        return next((f for f in self.fields.values() if f.name_field), None)

    def can(self, verb: str) -> bool:
        """Whether the object allows something: "createable", "mergeable", "undeletable"..."""
        return verb in self.flags


@dataclass(frozen=True, slots=True)
class ChildRelationship:
    """A list of children as seen from the parent."""

    name: str | None
    child: str
    field: str
    cascade: bool
    restricted: bool


class Schema:
    """All objects of the organisation."""

    def __init__(self, objects: Iterable[SObject]) -> None:
        self._objects: dict[str, SObject] = {}
        self._lower: dict[str, SObject] = {}
        self._children: dict[str, dict[str, ChildRelationship]] | None = None
        for one in objects:
            self._add(one)

    def __iter__(self) -> Iterator[SObject]:
        return iter(self._objects.values())

    def _add(self, one: SObject) -> None:
        self._objects[one.name] = one
        self._lower[one.name.lower()] = one
        self._children = None

    def object(self, name: str) -> SObject | None:
        """An object by name, in any case."""
        return self._objects.get(name) or self._lower.get(name.lower())

    def of_prefix(self, prefix: str) -> SObject | None:
        """The object whose ids start with these three characters."""
        return next((one for one in self if one.prefix == prefix), None)

    def snapshot(self) -> Any:
        """The present state, which later edits leave alone: they work on a copy, see `edit`."""
        return self._objects, self._lower

    def restore(self, snapshot: Any) -> None:
        """Back to a snapshot."""
        self._objects, self._lower = snapshot
        self._children = None

    def edit(self, *names: str) -> None:
        """Call before changing these objects (all, if none are named) or their fields in place, so that snapshots and
        other schemas keep theirs."""
        own = filter(None, map(self.object, names)) if names else iter(self)
        self._objects = {**self._objects, **{one.name: copy.deepcopy(one) for one in own}}
        self._lower = {name.lower(): one for name, one in self._objects.items()}
        self._children = None

    def children(self, name: str) -> dict[str, ChildRelationship]:
        """Child relationships of an object, by lower-case relationship name (or `child.field` where it has none)."""
        if self._children is None:
            found: dict[str, dict[str, ChildRelationship]] = {one.name: {} for one in self}
            for one in self:
                for f in one.fields.values():
                    for target in f.reference_to:
                        if target in found:
                            key = (f.child_relationship or f"{one.name}.{f.name}").lower()
                            found[target][key] = ChildRelationship(
                                f.child_relationship, one.name, f.name, f.cascade_delete, f.restricted_delete
                            )
            self._children = found
        return self._children.get(name, {})

    def load(self, declaration: Mapping[str, Any]) -> None:
        """Add custom objects and fields.

        `{"objects": {"Contact": {"fields": {"Sidefeed_Key__c": {"type": "string", "length": 80, "externalId": true,
        "unique": true}}}, "Project__c": {"label": ..., "plural": ..., "prefix": ..., "fields": {...}}}}`.
        A field takes the property names of a describe answer (`type`, `length`, `precision`, `scale`, `digits`,
        `externalId`, `unique`, `caseSensitive`, `nillable`, `createable`, `updateable`, `filterable`,
        `restrictedPicklist`, `referenceTo`, `relationshipName`, `defaultValue`, `label`, `picklistValues`,
        `controllerName`, with the controller's values in each choice's `validFor`), and as short forms `required` (not
        nillable), `values` (list of texts or {value, label, validFor}), `restricted`, `childRelationshipName`,
        `cascadeDelete`, `autoNumber` ("A-{0000}"). `fields` may also be the list of a
        describe answer, and the whole declaration one describe answer. Raises SchemaError.
        """
        if "fields" in declaration and "name" in declaration:
            declaration = {"objects": {declaration["name"]: declaration}}
        objects = declaration.get("objects")
        if not isinstance(objects, Mapping):
            raise SchemaError('a schema declaration needs "objects": {name: {"fields": {...}}}')
        self.edit(*map(str, objects))
        for name, body in objects.items():
            self._load_object(str(name), body)

    def _load_object(self, name: str, body: Mapping[str, Any]) -> None:
        target = self.object(name)
        if target is None:
            if not name.endswith("__c"):
                raise SchemaError(f"{name}: no such standard object; a custom object's name ends in __c")
            target = self._custom_object(name, body)
            self._add(target)
        listed = body.get("fields", {})
        pairs = listed.items() if isinstance(listed, Mapping) else ((one["name"], one) for one in listed)
        for field_name, details in pairs:
            known = target.field(str(field_name))
            if known is not None and not known.custom:
                if isinstance(listed, Mapping):
                    _adjust(target, known, details)
                continue
            target.add(_custom_field(target, str(field_name), details))

    def _custom_object(self, name: str, body: Mapping[str, Any]) -> SObject:
        prefix = body.get("prefix") or body.get("keyPrefix") or self._free_prefix()
        label = str(body.get("label") or name.removesuffix("__c").replace("_", " "))
        flags = {f for f in _OBJECT_FLAGS if body.get(f, f in _CUSTOM_FLAGS)}
        made = SObject(
            name,
            str(prefix),
            label,
            str(body.get("plural") or body.get("labelPlural") or label + "s"),
            frozenset(flags),
        )
        for line in _CUSTOM_FIELDS.strip().splitlines():
            for one in _fields_of_line(line, {}):
                made.add(one)
        made.fields["Id"].label = "Record ID"
        naming = body.get("nameField") or {}
        made.fields["Name"].label = str(naming.get("label", f"{label} Name"))
        if naming.get("type") in ("autonumber", "autoNumber") or naming.get("format"):
            name_field = made.fields["Name"]
            name_field.auto_number = str(naming.get("format", "{0000}"))
            name_field.createable = name_field.updateable = False
        return made

    def _free_prefix(self) -> str:
        taken = {one.prefix for one in self}
        symbols = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
        return next(p for p in (f"a{x}{y}" for x in symbols for y in symbols) if p not in taken)


_CUSTOM_FLAGS = frozenset(
    "compactLayoutable createable deletable layoutable queryable replicateable retrieveable searchLayoutable "
    "searchable triggerable undeletable updateable mruEnabled".split()
)
_CUSTOM_FIELDS = """
Id\tid\tDfsgai\t-\tRecord ID
OwnerId\treference\tcuDfsgaPO\t->Group,User rel=Owner\tOwner ID
IsDeleted\tboolean\tDfsg\t-\tDeleted
Name\tstring(80)\tcunDfsgaiL\t-\tName
RecordTypeId\treference\tcunfsga\t->RecordType rel=RecordType\tRecord Type ID
@audit
LastActivityDate\tdate\tnfsga\t-\tLast Activity
LastViewedDate\tdatetime\tnfsa\t-\tLast Viewed Date
LastReferencedDate\tdatetime\tnfsa\t-\tLast Referenced Date
"""
_AUDIT = """
CreatedDate\tdatetime\tDfsa\t-\tCreated Date
CreatedById\treference\tDfsga\t->User rel=CreatedBy\tCreated By ID
LastModifiedDate\tdatetime\tDfsa\t-\tLast Modified Date
LastModifiedById\treference\tDfsga\t->User rel=LastModifiedBy\tLast Modified By ID
SystemModstamp\tdatetime\tDfsa\t-\tSystem Modstamp
"""
_CUSTOM_TYPES: dict[str, tuple[str, int]] = {
    "string": ("cunfsga", 255), "textarea": ("cun", 32_768), "phone": ("cunfsga", 40), "url": ("cunfsga", 255),
    "email": ("cunfsgai", 80), "picklist": ("cunfsga", 255), "multipicklist": ("cunf", 4_099),
    "combobox": ("cunfsga", 255), "boolean": ("cuDfsg", 0), "date": ("cunfsga", 0), "datetime": ("cunfsa", 0),
    "time": ("cunfs", 0), "double": ("cunfsa", 0), "currency": ("cunfsa", 0), "percent": ("cunfsa", 0),
    "int": ("cunfsga", 0), "reference": ("cunfsga", 18), "encryptedstring": ("cun", 175),
}  # fmt: skip
_SYNONYMS = {
    "text": "string", "number": "double", "checkbox": "boolean", "lookup": "reference", "masterdetail": "reference",
    "longtextarea": "textarea", "multiselectpicklist": "multipicklist", "html": "textarea",
}  # fmt: skip
_PROPERTIES = {
    "label": "label", "length": "length", "digits": "digits", "precision": "precision", "scale": "scale",
    "createable": "createable", "updateable": "updateable", "nillable": "nillable", "filterable": "filterable",
    "sortable": "sortable", "groupable": "groupable", "aggregatable": "aggregatable", "idLookup": "id_lookup",
    "externalId": "external_id", "unique": "unique", "caseSensitive": "case_sensitive",
    "restrictedPicklist": "restricted_picklist", "restricted": "restricted_picklist",
    "relationshipName": "relationship", "childRelationshipName": "child_relationship",
    "cascadeDelete": "cascade_delete", "restrictedDelete": "restricted_delete", "defaultValue": "default",
    "default": "default", "autoNumber": "auto_number", "permissionable": "permissionable",
    "calculatedFormula": "formula", "controllerName": "controller",
}  # fmt: skip


def _custom_field(owner: SObject, name: str, details: Mapping[str, Any]) -> Field:
    if not name.endswith(("__c", "__pc")):
        raise SchemaError(f"{owner.name}.{name}: a custom field's name ends in __c")
    kind = str(details.get("type", "string")).lower()
    kind = _SYNONYMS.get(kind, kind)
    if kind not in _CUSTOM_TYPES:
        raise SchemaError(f"{owner.name}.{name}: unknown type {kind!r}; known: {', '.join(sorted(_CUSTOM_TYPES))}")
    flags, length = _CUSTOM_TYPES[kind]
    made = Field(name, kind, name.removesuffix("__c").replace("_", " "), length=length)
    for letter in flags + "p":
        setattr(made, _FLAGS[letter], True)
    if kind in ("double", "currency", "percent"):
        made.precision, made.scale = 18, 2
    _apply(made, details)
    if made.external_id or made.unique:
        made.id_lookup = True
    if kind == "reference":
        made.relationship = made.relationship or name.removesuffix("__c") + "__r"
        if made.child_relationship and not made.child_relationship.endswith("__r"):
            made.child_relationship += "__r"
        made.polymorphic = made.name_pointing = len(made.reference_to) > 1
    if made.auto_number or made.formula:
        made.createable = made.updateable = False
    made.byte_length = 18 if kind == "reference" else made.length * 3
    return made


def _apply(made: Field, details: Mapping[str, Any]) -> None:
    for key, value in details.items():
        if key in _PROPERTIES and not (key == "autoNumber" and isinstance(value, bool)):
            setattr(made, _PROPERTIES[key], value)
    if "required" in details:
        made.nillable = not details["required"]
        made.permissionable = made.nillable
    if "referenceTo" in details:
        targets = details["referenceTo"]
        made.reference_to = (targets,) if isinstance(targets, str) else tuple(targets)
    choices = details.get("values") or details.get("picklistValues")
    if choices:
        made.values = [_choice(one) for one in choices]
        made.default = made.default or next((v.value for v in made.values if v.default), None)


def _choice(one: str | Mapping[str, Any]) -> PicklistValue:
    if isinstance(one, str):
        return PicklistValue(one, one)
    return PicklistValue(
        str(one["value"]),
        str(one.get("label", one["value"])),
        bool(one.get("active", True)),
        bool(one.get("defaultValue", one.get("default", False))),
        tuple(map(str, one.get("validFor") or ())) if not isinstance(one.get("validFor"), str) else (),
    )


def _adjust(owner: SObject, known: Field, details: Mapping[str, Any]) -> None:
    """Change a standard field as an administrator may: label, choices, required, default, restriction."""
    allowed = {
        "label",
        "values",
        "picklistValues",
        "required",
        "restricted",
        "restrictedPicklist",
        "defaultValue",
        "default",
        "type",
        "length",
        "controllerName",
    }
    if wrong := set(details) - allowed:
        raise SchemaError(f"{owner.name}.{known.name} is a standard field; cannot set {', '.join(sorted(wrong))}")
    _apply(known, {key: value for key, value in details.items() if key not in ("type", "length")})


def standard_schema() -> Schema:
    """The built-in objects, to be edited freely."""
    return Schema(_standard())


@lru_cache(maxsize=1)
def _standard() -> tuple[SObject, ...]:
    value_sets: dict[str, list[PicklistValue]] = {
        "TimeZone": [
            PicklistValue(zone, zone)
            for zone in sorted(available_timezones())
            if "/" in zone and not zone.startswith(("Etc/", "posix/", "right/", "SystemV/", "US/"))
        ]
        + [PicklistValue("GMT", "GMT")]
    }
    objects: list[SObject] = []
    for line in (Path(__file__).parent / "objects.txt").read_text("utf-8").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        if line.startswith("values "):
            name, _, listed = line.removeprefix("values ").partition("\t")
            value_sets[name] = [_value(text) for text in listed.split("; ")]
        elif line.startswith("object "):
            name, prefix, label, plural, flags = line.removeprefix("object ").split("\t")
            objects.append(SObject(name, prefix, label, plural, frozenset(flags.split())))
        else:
            for one in _fields_of_line(line, value_sets):
                objects[-1].add(one)
    return tuple(objects)


def _value(text: str) -> PicklistValue:
    default, active = text.endswith("*"), not text.endswith("~")
    value, _, label = text.rstrip("*~").partition("=")
    return PicklistValue(value, label or value, active, default)


def _fields_of_line(line: str, value_sets: Mapping[str, list[PicklistValue]]) -> Iterator[Field]:
    if line == "@audit":
        for audit in _AUDIT.strip().splitlines():
            yield from _fields_of_line(audit, value_sets)
        return
    name, kind, flags, options, label = line.split("\t")
    kind, _, size = kind.rstrip(")").partition("(")
    made = Field(name, kind, label)
    for letter in flags.replace("-", ""):
        if letter == "N":
            made.auto_number = "{00000000}"
        else:
            setattr(made, _FLAGS[letter], True)
    if "," in size:
        made.precision, made.scale = (int(part) for part in size.split(","))
    elif size and kind == "int":
        made.digits = int(size)
    elif size:
        made.length = int(size)
    if kind in ("id", "reference"):
        made.length = 18
    made.byte_length = made.length * (1 if made.length == 18 and kind in ("id", "reference") else 3)
    for option in options.split(" ") if options != "-" else ():
        _set_option(made, option, value_sets)
    yield made


def _set_option(made: Field, option: str, value_sets: Mapping[str, list[PicklistValue]]) -> None:
    if option.startswith("->"):
        made.reference_to = tuple(option[2:].split(","))
        return
    key, _, value = option.partition("=")
    if key == "kids":
        made.cascade_delete, made.restricted_delete = "!" in value, "#" in value
        made.child_relationship = value.rstrip("!#")
    elif key == "values":
        made.values = [copy.copy(one) for one in value_sets[value]]
        made.default = next((one.value for one in made.values if one.default), None)
    elif key == "bytes":
        made.byte_length = int(value)
    else:
        setattr(made, {"rel": "relationship", "in": "compound", "default": "default", "extra": "extra"}[key], value)


def describe_header(one: SObject, base: str) -> dict[str, Any]:
    """What global describe and object describe have in common. `base` is `/services/data/vNN.0`."""
    row = f"{base}/sobjects/{one.name}"
    urls = {"rowTemplate": f"{row}/{{ID}}", "describe": f"{row}/describe", "sobject": row}
    if one.can("layoutable"):
        urls |= {"compactLayouts": f"{row}/describe/compactLayouts", "layouts": f"{row}/describe/layouts"}
    return {
        **{flag: flag in one.flags for flag in _OBJECT_FLAGS if flag not in _GLOBAL_HIDDEN},
        "associateEntityType": None,
        "associateParentEntity": None,
        "custom": one.custom,
        "keyPrefix": one.prefix,
        "label": one.label,
        "labelPlural": one.plural,
        "name": one.name,
        "urls": urls,
    }


def describe_object(
    schema: Schema, one: SObject, base: str, record_types: list[dict[str, Any]], hidden: frozenset[str] = frozenset()
) -> dict[str, Any]:
    """The whole describe answer of an object; `hidden` are fields that the user may not see."""
    return {
        **describe_header(one, base),
        **{flag: flag in one.flags for flag in _GLOBAL_HIDDEN},
        "actionOverrides": [],
        "childRelationships": [
            {
                "cascadeDelete": kid.cascade,
                "childSObject": kid.child,
                "deprecatedAndHidden": False,
                "field": kid.field,
                "junctionIdListNames": [],
                "junctionReferenceTo": [],
                "relationshipName": kid.name,
                "restrictedDelete": kid.restricted,
            }
            for kid in sorted(schema.children(one.name).values(), key=lambda k: (k.child, k.field))
        ],
        "defaultImplementation": None,
        "extendedBy": None,
        "extendsInterfaces": None,
        "fields": [f.describe(one.fields.get(f.controller or "")) for f in one.fields.values() if f.name not in hidden],
        "implementedBy": None,
        "implementsInterfaces": None,
        "listviewable": None,
        "lookupLayoutable": None,
        "namedLayoutInfos": [],
        "networkScopeFieldName": None,
        "recordTypeInfos": record_types,
        "sobjectDescribeOption": "FULL",
        "supportedScopes": [
            {"label": f"All {one.plural.lower()}", "name": "everything"},
            *([{"label": f"My {one.plural.lower()}", "name": "mine"}] if "OwnerId" in one.fields else []),
        ],
    }
