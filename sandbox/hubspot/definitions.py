"""The `/properties` API: definitions and groups read, made, changed, archived. Source: HubSpot "Properties" reference;
recorded answers of amp-labs/connectors.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from sandbox.kit.http import Request

from . import wire
from .catalogue import ObjectType
from .errors import ApiError, invalid_json, missing_fields, validation
from .properties import FIELD_TYPES, MAX_UNIQUE, NAME, TYPES, Catalogue, Group, Option, Property


def read_all(catalogue: Catalogue, archived: bool, only: Iterable[str] = ()) -> dict[str, Any]:
    """`GET /properties/{type}`: live or archived definitions, never both."""
    wanted = set(only)
    chosen = [p for p in catalogue.properties.values() if (p.archived_at is not None) == archived]
    return {"results": [p.as_json() for p in chosen if not wanted or p.name in wanted]}


def read_one(catalogue: Catalogue, name: str, archived: bool = False) -> Property:
    """`GET /properties/{type}/{name}`. Raises 404."""
    found = catalogue.properties.get(name.lower())
    if found is None or (found.archived_at is not None and not archived):
        raise no_property(name, catalogue.type)
    return found


def no_property(name: str, object_type: ObjectType) -> ApiError:
    """404 of a property."""
    return ApiError(
        404,
        f"No property exists with the name '{name}' for object type '{object_type.singular}'.",
        "OBJECT_NOT_FOUND",
        sub_category="Properties.PROPERTY_NOT_FOUND",
        context={"propertyName": [name], "objectType": [object_type.singular]},
    )


def create(catalogue: Catalogue, document: dict[str, Any], now: int) -> Property:
    """`POST /properties/{type}`. Raises 400 for a bad definition, 409 for a name that exists."""
    missing = [key for key in ("name", "label", "type", "fieldType", "groupName") if not document.get(key)]
    if missing:
        raise missing_fields(missing)
    name = str(document["name"]).lower()
    if not NAME.match(name) or len(name) > 100:
        raise validation(
            f"Property name '{document['name']}' is invalid: names start with a letter and contain only lower case "
            "letters, numbers and underscores",
            sub_category="Properties.INVALID_PROPERTY_NAME",
        )
    existing = catalogue.properties.get(name)
    if existing is not None and existing.archived_at is None:
        raise ApiError(
            409,
            f"A property named '{name}' already exists.",
            "OBJECT_ALREADY_EXISTS",
            sub_category="Properties.PROPERTY_WITH_NAME_EXISTS",
            context={"name": [name]},
        )
    definition = _definition(Property(name, "", "string", "text", "", created=now, updated=now), document, catalogue)
    if definition.unique:
        if definition.type not in ("string", "number"):
            raise validation(f"Property '{name}' of type {definition.type} cannot have unique values")
        custom = [n for n in catalogue.unique_names if not catalogue.properties[n].defined_by_hubspot]
        if len(custom) >= MAX_UNIQUE:
            raise validation(
                f"{catalogue.type.label} already has {MAX_UNIQUE} properties with unique values, the most allowed",
                sub_category="Properties.UNIQUE_PROPERTY_LIMIT_EXCEEDED",
            )
    catalogue.put(definition)
    return definition


def update(catalogue: Catalogue, name: str, document: dict[str, Any], now: int) -> Property:
    """`PATCH /properties/{type}/{name}`. Raises 404; 400 for HubSpot's own definitions."""
    found = read_one(catalogue, name)
    if found.defined_by_hubspot and set(document) - {
        "options",
        "label",
        "description",
        "displayOrder",
        "groupName",
        "hidden",
    }:
        raise validation(f"Property '{found.name}' has a read only definition")
    unchangeable = [
        key for key in ("name", "hasUniqueValue") if key in document and document[key] not in (found.name, found.unique)
    ]
    if unchangeable:
        raise validation(f"{unchangeable[0]} of a property cannot be changed")
    changed = _definition(replace(found, updated=now), document, catalogue)
    catalogue.put(changed)
    return changed


def archive(catalogue: Catalogue, name: str, now: int) -> None:
    """`DELETE /properties/{type}/{name}`. Raises 404; 400 for HubSpot's own definitions."""
    found = read_one(catalogue, name)
    if found.defined_by_hubspot:
        raise validation(
            f"Property '{found.name}' is defined by HubSpot and cannot be archived",
            sub_category="Properties.READ_ONLY_DEFINITION",
        )
    catalogue.put(replace(found, archived_at=now))


def _definition(base: Property, document: dict[str, Any], catalogue: Catalogue) -> Property:
    kind = str(document.get("type", base.type))
    field_type = str(document.get("fieldType", base.field_type))
    group = str(document.get("groupName", base.group))
    if kind not in TYPES:
        raise invalid_json(
            f'Cannot deserialize value of type `PropertyType` from String "{kind}": '
            f"not one of the values accepted: [{', '.join(TYPES)}]"
        )
    if field_type not in FIELD_TYPES:
        raise invalid_json(
            f'Cannot deserialize value of type `FieldType` from String "{field_type}": '
            f"not one of the values accepted: [{', '.join(FIELD_TYPES)}]"
        )
    if group not in catalogue.groups:
        raise validation(
            f"The property group '{group}' does not exist",
            sub_category="Properties.PROPERTY_GROUP_NOT_FOUND",
            context={"groupName": [group]},
        )
    options = base.options
    if "options" in document:
        options = _options(document["options"])
    if kind == "bool" and not options:
        options = (Option("true", "True", 0), Option("false", "False", 1))
    if kind == "enumeration" and not options and not document.get("externalOptions") and not base.external_options:
        raise validation(
            f"Property '{base.name}' of type enumeration needs options", sub_category="Properties.NO_OPTIONS"
        )
    return replace(
        base,
        label=str(document.get("label", base.label)),
        type=kind,
        field_type=field_type,
        group=group,
        description=str(document.get("description", base.description) or ""),
        options=options,
        display_order=_whole(document.get("displayOrder", base.display_order), "displayOrder"),
        hidden=bool(document.get("hidden", base.hidden)),
        unique=bool(document.get("hasUniqueValue", base.unique)),
        form_field=bool(document.get("formField", base.form_field)),
        external_options=bool(document.get("externalOptions", base.external_options)),
        calculated=base.calculated or bool(document.get("calculationFormula")),
        read_only_value=base.read_only_value or bool(document.get("calculationFormula")),
        referenced_type=document.get("referencedObjectType", base.referenced_type),
    )


def _options(given: object) -> tuple[Option, ...]:
    if not isinstance(given, list) or not all(isinstance(item, dict) for item in given):
        raise invalid_json("Cannot deserialize value of type `java.util.ArrayList` for `options`")
    found: dict[str, Option] = {}
    for order, item in enumerate(given):
        missing = [key for key in ("label", "value") if not isinstance(item.get(key), str) or not item[key]]
        if missing:
            raise missing_fields(missing)
        if item["value"] in found:
            raise validation(f"Property option values must be unique; '{item['value']}' is given twice")
        found[item["value"]] = Option(
            item["value"],
            item["label"],
            _whole(item.get("displayOrder", order), "displayOrder"),
            bool(item.get("hidden", False)),
            item.get("description"),
        )
    return tuple(found.values())


def _whole(value: object, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise invalid_json(f"Cannot deserialize value of type `int` for `{name}`")
    return value


def batch(catalogue: Catalogue, verb: str, request: Request, now: int) -> tuple[int, dict[str, Any] | None]:
    """`POST /properties/{type}/batch/{read,create,archive}`: status and answer; 207 when some inputs fail."""
    document = wire.body_object(request)
    results: list[dict[str, Any]] = []
    errors: list[dict[str, Any]] = []
    archived = document.get("archived") is True
    for item in wire.inputs(request):
        try:
            if verb == "create":
                results.append(create(catalogue, item, now).as_json())
            elif not isinstance(item.get("name"), str):
                raise missing_fields(["name"])
            elif verb == "read":
                results.append(read_one(catalogue, item["name"], archived).as_json())
            else:
                archive(catalogue, item["name"], now)
        except ApiError as error:
            if verb == "archive" and error.status == 404:
                continue
            errors.append(error.entry())
    if verb == "archive":
        if errors:
            raise validation(errors[0]["message"])
        return 204, None
    return (207 if errors else 201 if verb == "create" else 200), {"results": results, "errors": errors}


# --- groups ------------------------------------------------------------------------------------------------------


def group(catalogue: Catalogue, name: str) -> Group:
    """`GET /properties/{type}/groups/{name}`. Raises 404."""
    found = catalogue.groups.get(name)
    if found is None or found.archived:
        raise ApiError(
            404,
            f"No property group exists with the name '{name}'.",
            "OBJECT_NOT_FOUND",
            sub_category="Properties.PROPERTY_GROUP_NOT_FOUND",
            context={"groupName": [name]},
        )
    return found


def create_group(catalogue: Catalogue, document: dict[str, Any]) -> Group:
    """`POST /properties/{type}/groups`. Raises 409 for a name that exists."""
    missing = [key for key in ("name", "label") if not document.get(key)]
    if missing:
        raise missing_fields(missing)
    name = str(document["name"]).lower()
    existing = catalogue.groups.get(name)
    if existing is not None and not existing.archived:
        raise ApiError(
            409,
            f"A property group named '{name}' already exists.",
            "OBJECT_ALREADY_EXISTS",
            sub_category="Properties.PROPERTY_GROUP_WITH_NAME_EXISTS",
            context={"groupName": [name]},
        )
    made = Group(name, str(document["label"]), _whole(document.get("displayOrder", -1), "displayOrder"))
    catalogue.groups[name] = made
    return made


def update_group(catalogue: Catalogue, name: str, document: dict[str, Any]) -> Group:
    """`PATCH /properties/{type}/groups/{name}`. Raises 404."""
    found = group(catalogue, name)
    changed = replace(
        found,
        label=str(document.get("label", found.label)),
        display_order=_whole(document.get("displayOrder", found.display_order), "displayOrder"),
    )
    catalogue.groups[name] = changed
    return changed


def archive_group(catalogue: Catalogue, name: str) -> None:
    """`DELETE /properties/{type}/groups/{name}`. Raises 404; 400 while it holds properties."""
    found = group(catalogue, name)
    if any(p.group == name for p in catalogue.live.values()):
        raise validation(f"The property group '{name}' is not empty and cannot be archived")
    catalogue.groups[name] = replace(found, archived=True)
