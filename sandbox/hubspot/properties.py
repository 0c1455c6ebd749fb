"""Property definitions, the values they accept, and the `/properties` API.

Values are kept as HubSpot shows them: text. `Catalogue.accept` turns what a client sent into that text or raises
`Refused` with HubSpot's code and message. Sources: HubSpot "Properties" API reference; recorded 400 bodies.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from . import wire
from .catalogue import ObjectType, property_lines
from .errors import Problem, invalid_json

TYPES = ("bool", "date", "datetime", "enumeration", "number", "phone_number", "string", "json", "object_coordinates")
FIELD_TYPES = (
    "booleancheckbox",
    "calculation_equation",
    "checkbox",
    "date",
    "file",
    "html",
    "number",
    "phonenumber",
    "radio",
    "select",
    "text",
    "textarea",
)
MAX_UNIQUE = 10
MAX_TEXT = 65_536
DAY = 86_400_000
NAME = re.compile(r"[a-z][a-z0-9_]*\Z")
_EMAIL = re.compile(r"[^@\s,;<>()\[\]\"]+@[A-Za-z0-9\-\u0080-\uffff]+(\.[A-Za-z0-9\-\u0080-\uffff]+)+\Z")


class Refused(Exception):
    """A property value that HubSpot refuses."""

    def __init__(self, code: str, message: str, name: str) -> None:
        super().__init__(message)
        self.problem = Problem(code, message, name)


@dataclass(frozen=True, slots=True)
class Option:
    """One choice of an enumeration."""

    value: str
    label: str
    display_order: int = -1
    hidden: bool = False
    description: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The option as the API shows it."""
        shown: dict[str, Any] = {
            "label": self.label,
            "value": self.value,
            "displayOrder": self.display_order,
            "hidden": self.hidden,
        }
        if self.description is not None:
            shown["description"] = self.description
        return shown


@dataclass(frozen=True, slots=True)
class Property:
    """A property definition. Replaced, never changed, so that snapshots are cheap."""

    name: str
    label: str
    type: str
    field_type: str
    group: str
    description: str = ""
    options: tuple[Option, ...] = ()
    display_order: int = -1
    calculated: bool = False
    external_options: bool = False
    unique: bool = False
    hidden: bool = False
    defined_by_hubspot: bool = False
    read_only_value: bool = False
    searched: bool = False
    form_field: bool = False
    referenced_type: str | None = None
    created: int = 0
    updated: int = 0
    archived_at: int | None = None

    @property
    def multiple(self) -> bool:
        """Whether a value is a `;` list."""
        return self.type == "enumeration" and self.field_type == "checkbox"

    def as_json(self) -> dict[str, Any]:
        """The definition as the API shows it."""
        shown: dict[str, Any] = {
            "updatedAt": wire.iso(self.updated),
            "createdAt": wire.iso(self.created),
            "name": self.name,
            "label": self.label,
            "type": self.type,
            "fieldType": self.field_type,
            "description": self.description,
            "groupName": self.group,
            "options": [option.as_json() for option in self.options],
            "displayOrder": self.display_order,
            "calculated": self.calculated,
            "externalOptions": self.external_options,
            "hasUniqueValue": self.unique,
            "hidden": self.hidden,
            "hubspotDefined": self.defined_by_hubspot,
            "modificationMetadata": {
                "archivable": not self.defined_by_hubspot,
                "readOnlyDefinition": self.defined_by_hubspot,
                "readOnlyValue": self.read_only_value,
            },
            "formField": self.form_field,
            "dataSensitivity": "non_sensitive",
        }
        if self.options or self.external_options:
            shown["modificationMetadata"]["readOnlyOptions"] = self.external_options
        if self.referenced_type:
            shown["referencedObjectType"] = self.referenced_type
        if self.archived_at is not None:
            shown["archived"] = True
            shown["archivedAt"] = wire.iso(self.archived_at)
        return shown


@dataclass(frozen=True, slots=True)
class Group:
    """A property group."""

    name: str
    label: str
    display_order: int = -1
    archived: bool = False

    def as_json(self) -> dict[str, Any]:
        """The group as the API shows it."""
        return {"name": self.name, "label": self.label, "displayOrder": self.display_order, "archived": self.archived}


def builtin(object_type: ObjectType) -> dict[str, Property]:
    """The properties that a fresh portal has for a type."""
    found: dict[str, Property] = {}
    for name, label, kind, field, flags, *rest in property_lines("" if object_type.custom else object_type.name):
        if name in found:
            continue
        options = tuple(
            Option(value, text or value, order)
            for order, (value, _, text) in enumerate(
                part.partition("=") for part in (rest[0].split(",") if rest else ())
            )
        )
        if kind == "bool":
            options = (Option("true", "True", 0), Option("false", "False", 1))
        found[name] = Property(
            name=name,
            label=label,
            type=kind,
            field_type=field,
            group=object_type.group or f"{object_type.name}_information",
            options=options,
            calculated="c" in flags,
            external_options="x" in flags,
            unique="u" in flags,
            hidden="h" in flags,
            defined_by_hubspot=True,
            read_only_value="r" in flags or "c" in flags,
            searched="s" in flags,
            form_field=object_type.name in ("contacts", "companies", "tickets") and not ("r" in flags or "c" in flags),
            referenced_type="OWNER" if name == "hubspot_owner_id" else None,
        )
    return found


class Catalogue:
    """The properties and groups of one object type."""

    def __init__(self, object_type: ObjectType) -> None:
        self.type = object_type
        self.properties: dict[str, Property] = builtin(object_type)
        group = object_type.group or f"{object_type.name}_information"
        self.groups: dict[str, Group] = {group: Group(group, object_type.name.title() + " Information", 0)}
        self.required_on_create: tuple[str, ...] = ()
        self.conditionally_required: tuple[tuple[str, str, str], ...] = ()
        self.rules: dict[str, tuple[re.Pattern[str], str]] = {}
        self._live: dict[str, Property] | None = None

    def copy(self) -> Catalogue:
        """A copy that later changes do not reach."""
        twin = Catalogue.__new__(Catalogue)
        twin.__dict__.update(self.__dict__)
        twin.properties, twin.groups, twin._live = dict(self.properties), dict(self.groups), None
        twin.rules = dict(self.rules)
        return twin

    @property
    def live(self) -> dict[str, Property]:
        """Definitions that are not archived, by name."""
        if self._live is None:
            self._live = {name: p for name, p in self.properties.items() if p.archived_at is None}
        return self._live

    def get(self, name: str) -> Property | None:
        """A live definition. Property names are lower case; HubSpot compares them so."""
        return self.live.get(name) or self.live.get(name.lower())

    def put(self, definition: Property) -> None:
        """Add or replace a definition."""
        self.properties[definition.name] = definition
        self._live = None

    @property
    def unique_names(self) -> list[str]:
        """Names of the properties whose values no two records share."""
        return [name for name, p in self.live.items() if p.unique]

    def accept(self, name: str, value: object, choices: Callable[[str], list[str] | None]) -> tuple[str, str]:
        """The canonical name and text of a value a client sent. Raises `Refused`.

        `choices` gives the values of a property whose options are kept elsewhere (pipelines, owners), None if free.
        """
        definition = self.get(name)
        if definition is None:
            raise Refused("PROPERTY_DOESNT_EXIST", f'Property "{name}" does not exist', name)
        name = definition.name
        if definition.read_only_value:
            kind = "calculated" if definition.calculated else "read only"
            raise Refused("READ_ONLY_VALUE", f'"{name}" is a {kind} property; its value cannot be set.', name)
        text = as_text(value)
        if text == "":
            return name, ""
        if len(text) > MAX_TEXT:
            raise Refused("INVALID_LENGTH", f"Property values must be at most {MAX_TEXT} characters long", name)
        if name == "email" and self.type.name == "contacts":
            text = email(text, name)
        else:
            text = _CHECKS.get(definition.type, _as_it_is)(definition, text, choices)
        rule = self.rules.get(name)
        if rule is not None and not rule[0].search(text):
            raise Refused("INVALID_PROPERTY_VALUE", rule[1], name)
        return name, text


def as_text(value: object) -> str:
    """A JSON value as HubSpot keeps it. Raises 400 for arrays and objects; null counts as empty."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(value)
    token = "START_ARRAY" if isinstance(value, list) else "START_OBJECT"
    raise invalid_json(f"Cannot deserialize value of type `java.lang.String` from value (token `JsonToken.{token}`)")


def email(text: str, name: str = "email") -> str:
    """An address in lower case. Raises `Refused` INVALID_EMAIL."""
    folded = text.strip().lower()
    if not _EMAIL.match(folded) or len(folded) > 254:
        raise Refused("INVALID_EMAIL", f"Email address {text} is invalid", name)
    return folded


def _as_it_is(definition: Property, text: str, choices: object) -> str:
    return text


def _number(definition: Property, text: str, choices: object) -> str:
    stripped = text.strip()
    if wire.decimal(stripped) is None:
        raise Refused("INVALID_NUMBER", f"{text} was not a valid number.", definition.name)
    return stripped


def _bool(definition: Property, text: str, choices: object) -> str:
    folded = text.strip().lower()
    if folded not in ("true", "false"):
        raise Refused("INVALID_OPTION", f"{text} was not one of the allowed options: [true, false]", definition.name)
    return folded


def _date(definition: Property, text: str, choices: object) -> str:
    ms = wire.milliseconds(text.strip())
    if ms is None:
        raise Refused("INVALID_DATE", f"{text} was not a valid date.", definition.name)
    if ms % DAY:
        seconds, millis = divmod(ms % DAY, 1000)
        clock = f"{seconds // 3600}:{seconds // 60 % 60}:{seconds % 60}.{millis}"
        raise Refused("INVALID_DATE", f"{text} is at {clock} UTC, not midnight!", definition.name)
    return _printed(ms, text, definition, "INVALID_DATE")[:10]


def _datetime(definition: Property, text: str, choices: object) -> str:
    ms = wire.milliseconds(text.strip())
    if ms is None:
        raise Refused("INVALID_LONG", f"{text} was not a valid long.", definition.name)
    return _printed(ms, text, definition, "INVALID_LONG")


def _printed(ms: int, text: str, definition: Property, code: str) -> str:
    try:
        return wire.iso(ms)
    except (OverflowError, ValueError, OSError):
        raise Refused(code, f"{text} is out of range.", definition.name) from None


def _enumeration(definition: Property, text: str, choices: Callable[[str], list[str] | None]) -> str:
    allowed = choices(definition.name) if definition.external_options else [o.value for o in definition.options]
    if allowed is None:
        return text
    parts = [part for part in text.split(";") if part] if definition.multiple else [text]
    for part in parts:
        if part not in allowed:
            code, message = "INVALID_OPTION", f"{part} was not one of the allowed options: [{', '.join(allowed)}]"
            if definition.referenced_type == "OWNER":
                code, message = "INVALID_OWNER_ID", f"Owner {part} does not exist"
            raise Refused(code, message, definition.name)
    if not definition.multiple:
        return text
    joined = ";".join(dict.fromkeys(parts))
    return ";" + joined if text.startswith(";") and joined else joined


_CHECKS: dict[str, Callable[[Property, str, Callable[[str], list[str] | None]], str]] = {
    "number": _number,
    "bool": _bool,
    "date": _date,
    "datetime": _datetime,
    "enumeration": _enumeration,
}
