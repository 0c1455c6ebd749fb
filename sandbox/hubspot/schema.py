"""The schema file: custom objects, properties, pipelines, labels and required fields beyond a fresh portal's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import definitions
from .catalogue import ObjectType
from .errors import ApiError
from .index import Index
from .portal import Portal
from .store import TypeStore


def load(portal: Portal, schema: Mapping[str, Any]) -> None:
    """Add what a schema declares.

    `objects`: {name: {singular, plural, primary, required, properties}}; `properties`: {type: [definition, ...]} in the
    members of HubSpot's property API (label, type, fieldType, groupName and options may be left out); `pipelines`:
    {type: [definition, ...]}; `labels`: [{from, to, label, inverse}]; `required_on_create`: {type: [names]};
    `currencies`: {code: rate to the home currency}. Raises ValueError naming the entry that is wrong.
    """
    known = {"objects", "properties", "pipelines", "labels", "required_on_create", "currencies"}
    unknown = set(schema) - known
    if unknown:
        raise ValueError(f"unknown entries {sorted(unknown)}; known: {sorted(known)}")
    for name, details in dict(schema.get("objects") or {}).items():
        _at(f"objects.{name}", lambda name=name, details=details: add_object(portal, name, details or {}))
    for type_name, declared in dict(schema.get("properties") or {}).items():
        for n, definition in enumerate(declared):
            _at(f"properties.{type_name}[{n}]", lambda t=type_name, d=definition: add_property(portal, t, d))
    for type_name, declared in dict(schema.get("pipelines") or {}).items():
        for n, definition in enumerate(declared):
            _at(
                f"pipelines.{type_name}[{n}]",
                lambda t=type_name, d=definition: portal.pipelines.create(
                    portal.store.of(t).type.name, dict(d), portal.now()
                ),
            )
    for n, label in enumerate(schema.get("labels") or []):
        _at(f"labels[{n}]", lambda label=label: _add_label(portal, label))
    for type_name, names in dict(schema.get("required_on_create") or {}).items():
        portal.store.of(type_name).catalogue.required_on_create = tuple(names)
    from decimal import Decimal

    for code, rate in dict(schema.get("currencies") or {}).items():
        portal.rates[str(code)] = Decimal(str(rate))


def _at(where: str, step: Any) -> None:
    try:
        step()
    except (ApiError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{where}: {error}") from error


def add_property(portal: Portal, type_name: str, definition: Mapping[str, Any]) -> None:
    """One property, with HubSpot's members; what is left out is filled in."""
    catalogue = portal.store.of(type_name).catalogue
    kind = definition.get("type", "string")
    given = {
        "label": definition.get("name"),
        "type": kind,
        "fieldType": _FIELD_TYPES.get(str(kind), "text"),
        "groupName": next(iter(catalogue.groups)),
        **definition,
    }
    if isinstance(given.get("options"), list):
        given["options"] = [o if isinstance(o, dict) else {"label": str(o), "value": str(o)} for o in given["options"]]
    definitions.create(catalogue, given, portal.now())


_FIELD_TYPES = {
    "number": "number",
    "bool": "booleancheckbox",
    "date": "date",
    "datetime": "date",
    "enumeration": "select",
}


def add_object(portal: Portal, name: str, details: Mapping[str, Any]) -> TypeStore:
    """A custom object: reachable by its type id, its fully qualified name and its own name."""
    portal.custom_types += 1
    type_id = f"2-{3_453_930 + portal.custom_types}"
    required = tuple(details.get("required") or ())
    primary = str(details.get("primary") or "name")
    made = ObjectType(
        name,
        type_id,
        str(details.get("singular") or name),
        str(details.get("singular") or name).upper(),
        created="hs_createdate",
        defaults=tuple(sorted({"hs_createdate", "hs_lastmodifieddate", "hs_object_id", primary})),
        required=required,
        group=f"{name}_information",
        custom=True,
    )
    store = portal.store.add_type(made, f"p{portal.id}_{name}", f"p_{name}", str(details.get("plural") or name))
    portal.indexes[name] = Index(made)
    declared = list(details.get("properties") or [])
    if not any(d.get("name") == primary for d in declared):
        declared.insert(0, {"name": primary, "label": primary.title()})
    for definition in declared:
        add_property(portal, name, definition)
    return store


def _add_label(portal: Portal, label: Mapping[str, Any]) -> None:
    one, other = portal.store.of(str(label["from"])), portal.store.of(str(label["to"]))
    text = str(label["label"])
    name = str(label.get("name") or text.lower().replace(" ", "_"))
    portal.associations.add_label(one.type.name, other.type.name, text, name, label.get("inverse"))
