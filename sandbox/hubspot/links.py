"""The verbs about associations: v4 by type id, v3 by name, one record or a batch.

Sources: HubSpot "Associations v4" and "Associations v3" references; recorded 207 entries of amp-labs/connectors.
"""

from __future__ import annotations

from typing import Any

from sandbox.kit.http import Request

from . import errors, wire
from .associations import PAGE, Definition, Edge
from .errors import ApiError, invalid_json, missing_fields, validation
from .portal import Portal
from .records import Answer, Call, View, specs_of
from .routes import split
from .store import Record, TypeStore

MAX_READ, MAX_WRITE = 1_000, 2_000


def edge(one: TypeStore, record: Record, other: TypeStore, target: Record) -> Edge:
    """The pair of two records."""
    return Edge(one.type.name, record.id, other.type.name, target.id)


def invalid_identifier(given: object) -> ApiError:
    """The error entry for an id that is none, or that no record has."""
    return validation(
        f"{given} is not a valid ID", sub_category="crm.associations.INVALID_IDENTIFIER", context={"id": [str(given)]}
    )


def _nothing(one: TypeStore, other: TypeStore, given: str) -> ApiError:
    return ApiError(
        404,
        f"No {other.type.singular} is associated with {one.type.singular} {given}.",
        "OBJECT_NOT_FOUND",
        sub_category="crm.associations.NO_ASSOCIATIONS_FOUND",
        context={"fromObjectId": [given], "fromObjectType": [one.type.singular], "toObjectType": [other.type.singular]},
    )


# --- one record ----------------------------------------------------------------------------------------------------


def of_record(
    call: Call, request: Request, record: Record, other: TypeStore, tail: list[str], *, legacy: bool
) -> Answer | None:
    """`.../{type}/{id}/associations/...`; None where there is no such method."""
    portal, one = call.portal, call.store
    if request.method == "GET" and len(tail) == 1:
        return _page(portal, request, one, record, other, legacy)
    if request.method == "PUT" and tail[0] == "default" and len(tail) == 3:
        pair = edge(one, record, other, _target(other, tail[2]))
        spec = portal.associations.unlabelled(pair.source, pair.target)
        portal.associate(pair, [spec])
        return Answer(200, _batch(portal, [_default(portal, pair)], [])[1], 1)
    if request.method == "PUT" and len(tail) == 2:
        specs = specs_of(wire.body_json(request), dated=call.dated)
        if not specs:
            raise validation("At least one association type is required")
        pair = edge(one, record, other, _target(other, tail[1]))
        portal.associate(pair, specs, replace_labels=True)
        return Answer(201, _labelled(portal, pair), 1)
    if request.method == "DELETE" and len(tail) == 2:
        target_id = wire.as_id(tail[1])
        if target_id is None:
            raise errors.object_not_found(tail[1])
        portal.dissociate(Edge(one.type.name, record.id, other.type.name, other.survivor(target_id)))
        return Answer(204)
    if legacy and len(tail) == 3:
        return _legacy_pair(call, request, record, other, tail)
    return None


def _target(other: TypeStore, given: str) -> Record:
    target_id = wire.as_id(given)
    if target_id is None:
        raise errors.object_not_found(given)
    found = other.find(target_id)
    if found is None:
        raise errors.invalid_object_ids(other.type.label, given)
    return found


def _page(portal: Portal, request: Request, one: TypeStore, record: Record, other: TypeStore, legacy: bool) -> Answer:
    size = wire.page_size(request, PAGE, PAGE)
    portal.associations.types(one.type.name, other.type.name)
    after = request.param("after") or "0"
    if not (after.isascii() and after.isdigit() and len(after) <= 18):
        raise validation(f"'{after}' is not a valid value for query param 'after'")
    found = [
        pair for pair in portal.associations.of(one.type.name, record.id, other.type.name) if pair[0] >= int(after)
    ]
    page = found[:size]
    results: list[dict[str, Any]]
    if legacy:
        results = [{"id": str(to), "type": d.name} for to, definitions in page for d in definitions]
    else:
        results = [_to(to, definitions) for to, definitions in page]
    body: dict[str, Any] = {"results": results}
    if len(found) > size:
        following = str(found[size][0])
        link = f"{request.scheme}://{request.host}{request.path}?after={following}&limit={size}"
        body["paging"] = {"next": {"after": following, "link": link}}
    return Answer(200, body, len(page))


def _to(target_id: int, definitions: tuple[Definition, ...]) -> dict[str, Any]:
    return {"toObjectId": target_id, "associationTypes": [d.as_json() for d in definitions]}


def _labelled(portal: Portal, pair: Edge) -> dict[str, Any]:
    known = portal.associations.types(pair.source, pair.target)
    types = portal.store.types
    return {
        "fromObjectTypeId": types[pair.source].type.id,
        "fromObjectId": pair.source_id,
        "toObjectTypeId": types[pair.target].type.id,
        "toObjectId": pair.target_id,
        "labels": [label for spec in portal.associations.specs(pair) if (label := known[spec].label)],
    }


def _default(portal: Portal, pair: Edge) -> dict[str, Any]:
    spec = portal.associations.unlabelled(pair.source, pair.target)
    return {
        "from": {"id": str(pair.source_id)},
        "to": {"id": str(pair.target_id)},
        "associationSpec": {"associationCategory": spec[0], "associationTypeId": spec[1]},
    }


def _legacy_pair(call: Call, request: Request, record: Record, other: TypeStore, tail: list[str]) -> Answer | None:
    """v3: `PUT` and `DELETE .../associations/{type}/{id}/{associationType}`."""
    pair = edge(call.store, record, other, _target(other, tail[1]))
    spec = _named(call.portal, pair, tail[2])
    if request.method == "PUT":
        call.portal.associate(pair, [spec.spec])
        return Answer(200, View(call, targets=[other]).show(record), 1)
    if request.method == "DELETE":
        call.portal.dissociate(pair, [spec.spec])
        return Answer(204)
    return None


def _named(portal: Portal, pair: Edge, given: object) -> Definition:
    """A v3 association type by name or numeric id. Raises 400."""
    for definition in portal.associations.types(pair.source, pair.target).values():
        if given in (definition.name, str(definition.type_id), definition.type_id):
            return definition
    raise validation(
        f"{given} is not a valid association type between {pair.source} and {pair.target}",
        sub_category="crm.associations.INVALID_ASSOCIATION_TYPE",
        context={"type": [str(given)]},
    )


# --- between two types -----------------------------------------------------------------------------------------------


def between(
    portal: Portal, request: Request, one: TypeStore, other: TypeStore, tail: list[str], *, legacy: bool
) -> Answer | None:
    """`/associations/{from}/{to}/...`; None where nothing is there."""
    match request.method, tail:
        case "POST", ["batch", "read"]:
            return _read(portal, request, one, other, legacy)
        case "POST", ["batch", "create"]:
            return _create(portal, request, one, other, legacy)
        case "POST", ["batch", "archive"]:
            return _archive(portal, request, one, other, legacy)
        case "POST", ["batch", "associate", "default"]:
            return _associate_default(portal, request, one, other)
        case "POST", ["batch", "labels", "archive"]:
            return _archive_labels(portal, request, one, other)
        case "GET", ["labels"]:
            known = portal.associations.types(one.type.name, other.type.name)
            return Answer(200, {"results": [d.as_json() for d in known.values()]})
        case "POST", ["labels"]:
            return _add_label(portal, request, one, other)
        case "PUT", ["labels"]:
            return _rename_label(portal, request, one, other)
        case "DELETE", ["labels", type_id]:
            portal.associations.remove_label(one.type.name, other.type.name, _type_id(type_id))
            return Answer(204)
        case "GET", ["types"] if legacy:
            known = portal.associations.types(one.type.name, other.type.name)
            return Answer(200, {"results": [{"id": str(d.type_id), "name": d.name} for d in known.values()]})
    return None


def _batch(
    portal: Portal, results: list[dict[str, Any]], failed: list[dict[str, Any]], status: int = 200
) -> tuple[int, dict[str, Any]]:
    now = wire.iso(portal.now())
    body: dict[str, Any] = {"status": "COMPLETE", "results": results, "startedAt": now, "completedAt": now}
    if failed:
        body["numErrors"] = len(failed)
        body["errors"] = failed
        status = 207
    return status, body


def _read(portal: Portal, request: Request, one: TypeStore, other: TypeStore, legacy: bool) -> Answer:
    """Records without associations stand in `errors`, not in `results`."""
    portal.associations.types(one.type.name, other.type.name)
    results: list[dict[str, Any]] = []
    failed: list[dict[str, Any]] = []
    for item in wire.inputs(request, most=MAX_READ):
        given = item.get("id")
        record_id = wire.as_id(given)
        if record_id is None:
            failed.append(invalid_identifier(given).entry())
            continue
        found = portal.associations.of(one.type.name, one.survivor(record_id), other.type.name)
        after = wire.as_id(item.get("after")) or 0
        found = [pair for pair in found if pair[0] >= after]
        if not found:
            failed.append(_nothing(one, other, str(given)).entry())
            continue
        page = found[:PAGE]
        to: list[dict[str, Any]]
        if legacy:
            to = [{"id": str(target), "type": d.name} for target, definitions in page for d in definitions]
        else:
            to = [_to(target, definitions) for target, definitions in page]
        entry: dict[str, Any] = {"from": {"id": str(given)}, "to": to}
        if len(found) > PAGE:
            entry["paging"] = {"next": {"after": str(found[PAGE][0])}}
        results.append(entry)
    status, body = _batch(portal, results, failed)
    return Answer(status, body, len(results))


def _pair(one: TypeStore, other: TypeStore, source: object, target: object) -> Edge:
    """The pair of two ids. Raises INVALID_IDENTIFIER."""
    found: list[Record] = []
    for store, given in ((one, source), (other, target)):
        value = given.get("id") if isinstance(given, dict) else None
        record_id = wire.as_id(value)
        record = store.find(record_id) if record_id is not None else None
        if record is None:
            raise invalid_identifier(value)
        found.append(record)
    return edge(one, found[0], other, found[1])


def _ends(item: dict[str, Any]) -> tuple[object, object]:
    missing = [key for key in ("from", "to") if key not in item]
    if missing:
        raise missing_fields(missing)
    return item["from"], item["to"]


def _create(portal: Portal, request: Request, one: TypeStore, other: TypeStore, legacy: bool) -> Answer:
    results: list[dict[str, Any]] = []
    failed: list[dict[str, Any]] = []
    for item in wire.inputs(request, most=MAX_WRITE):
        source, target = _ends(item)
        if not legacy and "types" not in item:
            raise missing_fields(["types"])
        given = [] if legacy else specs_of(item["types"], dated=split(request.path).dated)
        try:
            pair = _pair(one, other, source, target)
            specs = [_named(portal, pair, item.get("type")).spec] if legacy else given
            portal.associate(pair, specs)
        except ApiError as error:
            failed.append(error.entry())
            continue
        if legacy:
            results.append(
                {"from": {"id": str(pair.source_id)}, "to": {"id": str(pair.target_id)}, "type": item["type"]}
            )
        else:
            results.append(_labelled(portal, pair))
    status, body = _batch(portal, results, failed, 201)
    return Answer(status, body, len(results))


def _associate_default(portal: Portal, request: Request, one: TypeStore, other: TypeStore) -> Answer:
    results: list[dict[str, Any]] = []
    failed: list[dict[str, Any]] = []
    for item in wire.inputs(request, most=MAX_WRITE):
        source, target = _ends(item)
        try:
            pair = _pair(one, other, source, target)
            portal.associate(pair, [portal.associations.unlabelled(pair.source, pair.target)])
        except ApiError as error:
            failed.append(error.entry())
            continue
        results.append(_default(portal, pair))
        back = pair.reverse
        results.append(_default(portal, back))
    status, body = _batch(portal, results, failed)
    return Answer(status, body, len(results))


def _archive(portal: Portal, request: Request, one: TypeStore, other: TypeStore, legacy: bool) -> Answer:
    """204; pairs that are not there do not fail it."""
    for item in wire.inputs(request, most=MAX_WRITE):
        source, target = _ends(item)
        targets = target if isinstance(target, list) else [target]
        for end in targets:
            try:
                pair = _pair(one, other, source, end)
            except ApiError:
                continue
            if legacy and item.get("type"):
                portal.dissociate(pair, [_named(portal, pair, item["type"]).spec])
            else:
                portal.dissociate(pair)
    return Answer(204)


def _archive_labels(portal: Portal, request: Request, one: TypeStore, other: TypeStore) -> Answer:
    for item in wire.inputs(request, most=MAX_WRITE):
        source, target = _ends(item)
        specs = specs_of(item.get("types"), dated=split(request.path).dated)
        try:
            pair = _pair(one, other, source, target)
        except ApiError:
            continue
        portal.dissociate(pair, specs)
    return Answer(204)


def _add_label(portal: Portal, request: Request, one: TypeStore, other: TypeStore) -> Answer:
    document = wire.body_object(request)
    missing = [key for key in ("label", "name") if not document.get(key)]
    if missing:
        raise missing_fields(missing)
    inverse = document.get("inverseLabel")
    made = portal.associations.add_label(
        one.type.name, other.type.name, str(document["label"]), str(document["name"]), str(inverse) if inverse else None
    )
    return Answer(200, {"results": [d.as_json() for d in made]})


def _rename_label(portal: Portal, request: Request, one: TypeStore, other: TypeStore) -> Answer:
    document = wire.body_object(request)
    missing = [key for key in ("label", "associationTypeId") if not document.get(key)]
    if missing:
        raise missing_fields(missing)
    inverse = document.get("inverseLabel")
    portal.associations.rename_label(
        one.type.name,
        other.type.name,
        _type_id(document["associationTypeId"]),
        str(document["label"]),
        str(inverse) if inverse else None,
    )
    return Answer(204)


def _type_id(value: object) -> int:
    found = wire.as_id(value)
    if found is None:
        raise invalid_json("Cannot deserialize value of type `int` for `associationTypeId`")
    return found
