"""`/crm-object-schemas`: custom objects made, described, changed and removed over HTTP.

Source: HubSpot "Custom objects" guide and the schemas reference. Not verified: the text for a name that exists.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from sandbox.kit.http import Request

from . import errors, wire
from .behaviour import Described
from .errors import ApiError, missing_fields, not_implemented, validation
from .portal import Portal
from .records import Answer
from .schema import add_object
from .store import TypeStore

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,99}\Z")


def answer(portal: Portal, request: Request, rest: list[str]) -> Answer:
    """`/crm-object-schemas/v3/schemas` and below. Raises `ApiError`."""
    match request.method, rest:
        case "GET", []:
            archived = wire.flag(request, "archived")
            shown = [] if archived else [describe(portal, store) for store in portal.store if store.type.custom]
            return Answer(200, {"results": shown})
        case "POST", []:
            return Answer(201, describe(portal, _create(portal, wire.body_object(request))))
        case "GET", [given]:
            return Answer(200, describe(portal, portal.store.of(given)))
        case "PATCH", [given]:
            store = _custom(portal, given)
            _update(portal, store, wire.body_object(request))
            return Answer(200, describe(portal, portal.store.of(given)))
        case "DELETE", [given]:
            _remove(portal, _custom(portal, given))
            return Answer(204)
        case "POST", [given, "associations"]:
            return Answer(201, _associate(portal, portal.store.of(given), wire.body_object(request)))
        case "DELETE", [given, "associations", key]:
            _dissociate(portal, _custom(portal, given), key)
            return Answer(204)
    raise not_implemented(f"{request.method} {request.path}")


def _custom(portal: Portal, given: str) -> TypeStore:
    store = portal.store.of(given)
    if not store.type.custom:
        raise validation(f"{store.type.singular.upper()} is defined by HubSpot; its schema cannot be changed")
    return store


def _described(portal: Portal, store: TypeStore) -> Described:
    kind = store.type
    primary = next((n for n in kind.defaults if not n.startswith(("hs_", "create"))), "hs_object_id")
    searched = tuple(name for name, found in store.catalogue.live.items() if found.searched)
    return portal.described.get(kind.name) or Described(
        kind.singular.replace("_", " ").capitalize(), kind.name.replace("_", " ").capitalize(), tuple(kind.required),
        searched, primary, (), None, portal.founded, portal.founded,
    )  # fmt: skip


def describe(portal: Portal, store: TypeStore) -> dict[str, Any]:
    """A type as the schemas API shows it."""
    kind, known = store.type, _described(portal, store)
    name = kind.name if kind.custom else kind.singular.upper()
    body: dict[str, Any] = {
        "labels": {"singular": known.singular, "plural": known.plural},
        "requiredProperties": list(known.required),
        "searchableProperties": list(known.searchable),
        "primaryDisplayProperty": known.primary,
        "secondaryDisplayProperties": list(known.secondary),
        "archived": False,
        "id": kind.id.partition("-")[2],
        "fullyQualifiedName": f"p{portal.id}_{kind.name}" if kind.custom else name,
        "createdAt": wire.iso(known.created),
        "updatedAt": wire.iso(known.updated),
        "objectTypeId": kind.id,
        "properties": [found.as_json() for found in store.catalogue.live.values()],
        "associations": [_association(known, one) for one in known.associations],
        "name": name,
    }
    return body | ({"description": known.description} if known.description else {})


def _association(known: Described, one: tuple[int, str, str, str]) -> dict[str, Any]:
    serial, source, target, name = one
    return {
        "fromObjectTypeId": source,
        "toObjectTypeId": target,
        "name": name,
        "id": str(serial),
        "createdAt": wire.iso(known.updated),
        "updatedAt": wire.iso(known.updated),
    }


def _create(portal: Portal, document: dict[str, Any]) -> TypeStore:
    missing = [key for key in ("name", "labels", "properties", "requiredProperties") if document.get(key) is None]
    if missing:
        raise missing_fields(missing)
    name, labels, declared = document["name"], document["labels"], document["properties"]
    if not isinstance(name, str) or not NAME.match(name):
        raise validation(f"The name '{name}' is invalid: letters, numbers and underscores, a letter first")
    if not isinstance(labels, dict) or not isinstance(declared, list) or not all(isinstance(p, dict) for p in declared):
        raise errors.invalid_json("labels is an object and properties a list of objects")
    if name.lower() in portal.store.spellings:
        raise ApiError(409, f"An object type with the name '{name}' already exists.", "OBJECT_ALREADY_EXISTS")
    names = [str(p.get("name", "")).lower() for p in declared]
    lists = {key: _names(document, key) for key in ("requiredProperties", "searchableProperties")}
    secondary = _names(document, "secondaryDisplayProperties")
    primary = str(document.get("primaryDisplayProperty") or next(iter(names), "")).lower()
    for wanted in (primary, *lists["requiredProperties"], *lists["searchableProperties"], *secondary):
        if wanted not in names:
            raise validation(f"The property '{wanted}' is not among the properties of the new object type")
    linked = _names(document, "associatedObjects")
    others = [portal.store.of(given) for given in linked]
    details = {"singular": labels.get("singular"), "plural": labels.get("plural"), "primary": primary,
               "required": lists["requiredProperties"], "properties": declared}  # fmt: skip
    try:
        store = add_object(portal, name, {**details, "properties": [_with_group(name, p) for p in declared]})
    except ApiError:
        portal.drop_type(name)
        raise
    now = portal.now()
    portal.described[name] = Described(
        str(labels.get("singular") or name), str(labels.get("plural") or name), tuple(lists["requiredProperties"]),
        tuple(lists["searchableProperties"]), primary, tuple(secondary), document.get("description"), now, now,
    )  # fmt: skip
    for other in others:
        _link(portal, store, other, f"{name}_to_{other.type.singular}")
    return store


def _with_group(name: str, declared: dict[str, Any]) -> dict[str, Any]:
    """A property without a group, or with one that is not there yet, goes to the object's own group."""
    return {**declared, "groupName": f"{name}_information"}


def _names(document: dict[str, Any], key: str) -> list[str]:
    return [one.lower() for one in wire.text_list(document.get(key) or [], key)]


def _update(portal: Portal, store: TypeStore, document: dict[str, Any]) -> None:
    known = _described(portal, store)
    labels = document.get("labels") or {}
    if not isinstance(labels, dict):
        raise errors.invalid_json("labels is an object")
    changes: dict[str, Any] = {
        target: tuple(_names(document, key))
        for key, target in (
            ("requiredProperties", "required"),
            ("searchableProperties", "searchable"),
            ("secondaryDisplayProperties", "secondary"),
        )
        if key in document
    }
    if document.get("primaryDisplayProperty"):
        changes["primary"] = str(document["primaryDisplayProperty"]).lower()
    for wanted in (*changes.get("required", ()), *changes.get("searchable", ()), changes.get("primary", known.primary)):
        if store.catalogue.get(wanted) is None:
            raise validation(f"The property '{wanted}' does not exist", context={"propertyName": [wanted]})
    portal.described[store.type.name] = replace(
        known,
        singular=str(labels.get("singular") or known.singular),
        plural=str(labels.get("plural") or known.plural),
        updated=portal.now(),
        **changes,
    )
    if "required" in changes:
        store.type = replace(store.type, required=changes["required"])


def _remove(portal: Portal, store: TypeStore) -> None:
    if store.live:
        raise validation(f"The object type {store.type.name} has {len(store.live)} records; they must be deleted first")
    portal.drop_type(store.type.name)


def _associate(portal: Portal, store: TypeStore, document: dict[str, Any]) -> dict[str, Any]:
    missing = [key for key in ("fromObjectTypeId", "toObjectTypeId") if not document.get(key)]
    if missing:
        raise missing_fields(missing)
    one, other = (portal.store.of(str(document[key])) for key in ("fromObjectTypeId", "toObjectTypeId"))
    if store.type not in (one.type, other.type) or not (one.type.custom or other.type.custom):
        raise validation("One of the two object types must be the custom one that the path names")
    holder = one if one.type.custom else other
    name = str(document.get("name") or f"{one.type.name}_to_{other.type.singular}")
    return _association(_described(portal, holder), _link(portal, holder, other if holder is one else one, name))


def _link(portal: Portal, store: TypeStore, other: TypeStore, name: str) -> tuple[int, str, str, str]:
    portal.associations.types(store.type.name, other.type.name)
    serial = portal.associations.unlabelled(store.type.name, other.type.name)[1]
    made = (serial, store.type.id, other.type.id, name)
    known = _described(portal, store)
    kept = tuple(one for one in known.associations if one[0] != serial)
    portal.described[store.type.name] = replace(known, associations=(*kept, made), updated=portal.now())
    return made


def _dissociate(portal: Portal, store: TypeStore, key: str) -> None:
    known = _described(portal, store)
    kept = tuple(one for one in known.associations if str(one[0]) != key)
    if len(kept) == len(known.associations):
        raise errors.no_such_resource()
    portal.described[store.type.name] = replace(known, associations=kept, updated=portal.now())
