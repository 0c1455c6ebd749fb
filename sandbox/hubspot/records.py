"""The verbs of `/crm/v3/objects/{type}` and its date-versioned twins: one record, a page, a batch, a merge.

Sources: HubSpot "CRM objects" reference and "Error handling"; recorded batch answers of amp-labs/connectors and
rudderlabs/rudder-transformer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from sandbox.kit.http import Request

from . import errors, wire
from .associations import Edge, Spec
from .errors import ApiError, Problem, invalid_json, missing_fields, validation
from .portal import DERIVED, Portal
from .properties import Property
from .store import Actor, Record, TypeStore

PAGE, PAGE_WITH_HISTORY = 100, 50


@dataclass(frozen=True, slots=True)
class Call:
    """One API call about records: the portal, the type, who calls, whether 2026-09's rules count, and whether the path
    names a date version."""

    portal: Portal
    store: TypeStore
    actor: Actor
    strict: bool
    dated: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, JSON body (None: no body) and how many records it moved."""

    status: int
    body: Any = None
    records: int = 0
    location: str | None = None


# --- showing -----------------------------------------------------------------------------------------------------


class View:
    """A choice of properties, history and associations, resolved once for all records of an answer.

    Unset properties come as null; undefined ones are left out without an error (recorded).
    """

    def __init__(
        self, call: Call, wanted: Sequence[str] = (), history: Sequence[str] = (), targets: Sequence[TypeStore] = ()
    ) -> None:
        self.call = call
        self.targets = targets
        self.history = [d for name in history if (d := call.store.catalogue.get(name)) is not None]
        asked = {*(wanted or call.store.type.defaults), *history, *call.store.type.always}
        self.names = sorted({d.name for name in asked if (d := call.store.catalogue.get(name)) is not None})
        self.derived = [name for name in self.names if name in DERIVED]

    def show(self, record: Record) -> dict[str, Any]:
        """A record as get, list, search and batch read show it."""
        values = record.values
        properties: dict[str, str | None] = {name: values.get(name) for name in self.names}
        for name in self.derived:
            properties[name] = self.call.portal.derived(record, name) or properties[name]
        shown: dict[str, Any] = {"id": str(record.id), "properties": properties}
        if self.history:
            shown["propertiesWithHistory"] = {d.name: _versions(record, d) for d in self.history}
        shown |= _frame(self.call, record)
        if self.targets and (found := self.call.portal.associations.inline(record, self.targets)):
            shown["associations"] = found
        return shown


def _versions(record: Record, definition: Property) -> list[dict[str, Any]]:
    shown: list[dict[str, Any]] = []
    for version in record.history(definition.name, definition.calculated):
        entry: dict[str, Any] = {
            "value": version.value,
            "timestamp": wire.iso(version.at),
            "sourceType": version.source,
        }
        if version.source_id is not None:
            entry["sourceId"] = version.source_id
        if version.user is not None:
            entry["updatedByUserId"] = version.user
        shown.append(entry)
    return shown


def _frame(call: Call, record: Record) -> dict[str, Any]:
    frame: dict[str, Any] = {
        "createdAt": record.values.get(call.store.type.created) or wire.iso(record.birth.at),
        "updatedAt": wire.iso(record.modified),
        "archived": record.archived_at is not None,
    }
    if record.archived_at is not None:
        frame["archivedAt"] = wire.iso(record.archived_at)
    frame["url"] = f"https://app.hubspot.com/contacts/{call.portal.id}/record/{call.store.type.id}/{record.id}"
    return frame


def written(call: Call, record: Record, names: Mapping[str, object], trace: str | None = None) -> dict[str, Any]:
    """A record as create and update show it: what was written, what is calculated, nothing that is unset.

    Calculated moments come as epoch milliseconds here, `createdate` as ISO 8601 (recorded).
    """
    catalogue = call.store.catalogue
    chosen = {n.lower() for n in names} | set(call.store.type.always)
    properties: dict[str, str] = {}
    for name, value in sorted(record.values.items()):
        definition = catalogue.get(name)
        if definition is None:
            continue
        if definition.calculated and definition.type == "datetime":
            value = str(wire.milliseconds(value))
        elif name not in chosen and not definition.calculated and not name.startswith("hs_object_source"):
            continue
        properties[name] = value
    shown: dict[str, Any] = {"id": str(record.id), "properties": properties}
    if trace is not None:
        shown["objectWriteTraceId"] = trace
    return shown | _frame(call, record)


# --- one record --------------------------------------------------------------------------------------------------


def locate(call: Call, given: str, id_property: object = None, *, archived: bool = False) -> Record:
    """The record that a path names, by id or by the value of a unique property. Raises 404."""
    if id_property and str(id_property).lower() not in ("hs_object_id", "id"):
        return _by_value(call, str(id_property).lower(), given, archived)
    record_id = wire.as_id(given)
    if record_id is None:
        raise errors.object_not_found(given)
    if archived:
        found = call.store.archived.get(record_id)
    else:
        found = call.store.find(record_id)
    if found is None:
        raise errors.object_not_found(given)
    return found


def _by_value(call: Call, name: str, value: str, archived: bool) -> Record:
    check_id_property(call, name)
    if archived:
        for record in call.store.archived.values():
            if record.values.get(name) == value:
                return record
        raise errors.object_not_found(value)
    holder = call.store.holder(name, value.strip().lower() if name == "email" else value)
    if holder is None:
        raise errors.object_not_found(value)
    return call.store.live[holder]


def check_id_property(call: Call, name: str) -> None:
    """Raises 400 unless a property identifies records of this type."""
    definition = call.store.catalogue.get(name)
    if definition is None:
        raise call.portal.refuse([Problem("PROPERTY_DOESNT_EXIST", f'Property "{name}" does not exist', name)])
    if not definition.unique:
        raise errors.non_unique(call.store.type.id, name)


def get(call: Call, request: Request, given: str) -> Answer:
    """`GET /{type}/{id}`."""
    record = locate(call, given, request.param("idProperty"), archived=wire.flag(request, "archived"))
    return Answer(200, _asked(call, request).show(record), 1)


def page(call: Call, request: Request) -> Answer:
    """`GET /{type}`: records in order of id; `archived=true` lists only the recycle bin."""
    history = wire.names(request, "propertiesWithHistory")
    size = wire.page_size(request, 10, PAGE_WITH_HISTORY if history else PAGE)
    archived = wire.flag(request, "archived")
    if archived:
        call.portal.empty_bin(call.store)
    start = _cursor(call, request.param("after"))
    records, following = call.store.page(archived, start, size)
    view = _asked(call, request)
    body: dict[str, Any] = {"results": [view.show(record) for record in records]}
    if following is not None:
        body["paging"] = {"next": {"after": str(following), "link": _link(request, str(following))}}
    return Answer(200, body, len(records))


def _cursor(call: Call, given: str | None) -> int:
    if not given:
        return 0
    if call.portal.switches.expired_cursors:
        raise validation("The paging cursor given in 'after' has expired; start from the first page")
    if not (given.isascii() and given.isdigit() and len(given) <= 18):
        raise validation(f"'{given}' is not a valid value for query param 'after'")
    return int(given)


def _link(request: Request, after: str) -> str:
    kept = [(name, value) for name, value in request.query if name != "after"]
    query = "&".join(f"{quote(name)}={quote(value)}" for name, value in [*kept, ("after", after)])
    return f"{request.scheme}://{request.host}{request.path}?{query}"


def _asked(call: Call, request: Request) -> View:
    targets = [call.portal.store.of(name) for name in wire.names(request, "associations")]
    return View(call, wire.names(request, "properties"), wire.names(request, "propertiesWithHistory"), targets)


def create(call: Call, request: Request) -> Answer:
    """`POST /{type}`."""
    document = wire.body_object(request)
    record = create_one(call, document)
    location = f"{request.scheme}://{request.host}{request.path.rstrip('/')}/{record.id}"
    return Answer(201, written(call, record, document["properties"]), 1, location)


def update(call: Call, request: Request, given: str) -> Answer:
    """`PATCH /{type}/{id}`."""
    document = wire.body_object(request)
    properties = properties_of(document)
    if not properties:
        raise validation("No properties found to update, please provide at least one.")
    record = locate(call, given, request.param("idProperty"))
    changed = update_one(call, record, properties)
    return Answer(200, written(call, changed, properties), 1)


def archive(call: Call, request: Request, given: str) -> Answer:
    """`DELETE /{type}/{id}`: 204 also when there is nothing left to archive."""
    try:
        record = locate(call, given, request.param("idProperty"))
    except ApiError as error:
        if error.status == 404 and wire.as_id(given) is not None:
            return Answer(204)
        raise
    call.portal.archive(call.store, record, call.actor)
    return Answer(204, None, 1)


def merge(call: Call, request: Request) -> Answer:
    """`POST /{type}/merge`."""
    document = wire.body_object(request)
    missing = [key for key in ("primaryObjectId", "objectIdToMerge") if document.get(key) in (None, "")]
    if missing:
        raise missing_fields(missing)
    if not call.store.type.mergeable:
        raise validation(f"Merging is not supported for object type {call.store.type.label}")
    primary = locate(call, str(document["primaryObjectId"]))
    other = locate(call, str(document["objectIdToMerge"]))
    survivor = call.portal.merge(call.store, primary, other, call.actor)
    return Answer(200, View(call, (*call.store.type.defaults, "hs_merged_object_ids")).show(survivor), 1)


def purge(call: Call, request: Request) -> Answer:
    """`POST /contacts/gdpr-delete`: gone for good."""
    document = wire.body_object(request)
    given = document.get("objectId")
    if not isinstance(given, str | int) or not given:
        raise missing_fields(["objectId"])
    id_property = document.get("idProperty")
    try:
        record = locate(call, str(given), id_property)
    except ApiError as error:
        if error.status == 404 and (found := call.store.archived.get(wire.as_id(given) or 0)):
            record = found
        elif error.status == 404:
            return Answer(204)
        else:
            raise
    call.portal.purge(call.store, record, call.actor)
    return Answer(204, None, 1)


# --- writing one input ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Link:
    """An association that a create asks for: the target type and record, and the association types."""

    target: str
    target_id: int
    specs: list[Spec]


def properties_of(document: Mapping[str, Any]) -> dict[str, Any]:
    """The `properties` of an input. Raises 400."""
    properties = document.get("properties")
    if properties is None:
        raise missing_fields(["properties"])
    if not isinstance(properties, dict):
        raise invalid_json("Cannot deserialize value of type `java.util.LinkedHashMap` for `properties`")
    return properties


def create_one(call: Call, document: Mapping[str, Any]) -> Record:
    """Check and create a record with its associations. Raises 400, 409; then nothing is written."""
    values, problems = call.portal.accept(call.store, properties_of(document))
    if problems:
        raise call.portal.refuse(problems)
    call.portal.required(call.store, values, strict=call.strict)
    call.portal.conditional(call.store, values, strict=call.strict)
    links = linked(call, document.get("associations"))
    record = call.portal.create(call.store, values, call.actor)
    associate_all(call, record, links)
    return record


def update_one(call: Call, record: Record, properties: Mapping[str, Any]) -> Record:
    """Check and write values over a record. Raises 400, 409; then nothing is written."""
    values, problems = call.portal.accept(call.store, properties)
    if problems:
        raise call.portal.refuse(problems)
    call.portal.conditional(call.store, {**record.values, **values}, strict=call.strict)
    return call.portal.update(call.store, record, values, call.actor)


def associate_all(call: Call, record: Record, links: list[Link]) -> None:
    """Make the associations of a record just created."""
    for link in links:
        call.portal.associate(Edge(call.store.type.name, record.id, link.target, link.target_id), link.specs)


def linked(call: Call, given: object) -> list[Link]:
    """The `associations` of a create, checked before anything is written. Raises 400."""
    if given is None:
        return []
    if not isinstance(given, list):
        raise invalid_json("Cannot deserialize value of type `java.util.ArrayList` for `associations`")
    links: list[Link] = []
    for item in given:
        to, types = (item.get("to"), item.get("types")) if isinstance(item, dict) else (None, None)
        if not isinstance(to, dict) or not isinstance(types, list):
            raise missing_fields(["to", "types"])
        links.append(_link_to(call, to.get("id"), specs_of(types, dated=call.dated)))
    return links


def _link_to(call: Call, given: object, specs: list[Spec]) -> Link:
    """The type ids say which object type the id is of."""
    source, known = call.store.type.name, call.portal.associations
    targets = [target for target in call.portal.store.types if specs and specs[0] in known.known(source, target)]
    if specs and not targets:
        known.refuse_spec(source, None, specs[0])
    to = wire.as_id(given)
    for target in targets:
        record = call.portal.store.types[target].find(to) if to is not None else None
        if record is not None:
            known.check(Edge(source, 0, target, record.id), specs)
            return Link(target, record.id, specs)
    label = call.portal.store.types[targets[0]].type.label if targets else call.store.type.label
    raise errors.invalid_object_ids(label, given)


def specs_of(given: object, *, dated: bool = False) -> list[Spec]:
    """Category and type id of each association type sent. Raises 400.

    The date versions leave the category out where HubSpot defines the type (their reference, "Associate records").
    """
    if not isinstance(given, list):
        raise invalid_json("Cannot deserialize value of type `java.util.ArrayList` of association types")
    specs: list[Spec] = []
    for item in given:
        if not isinstance(item, dict):
            raise invalid_json("Cannot deserialize value of type `AssociationSpec`")
        if dated:
            item = {"associationCategory": "HUBSPOT_DEFINED", **item}
        missing = [key for key in ("associationCategory", "associationTypeId") if key not in item]
        if missing:
            raise missing_fields(missing)
        category, type_id = item["associationCategory"], item["associationTypeId"]
        if category not in ("HUBSPOT_DEFINED", "USER_DEFINED", "INTEGRATOR_DEFINED", "WORK"):
            raise invalid_json(f'Cannot deserialize value of type `AssociationCategory` from "{category}"')
        found = wire.as_id(type_id)
        if found is None:
            raise invalid_json("Cannot deserialize value of type `int` for `associationTypeId`")
        specs.append((category, found))
    return specs
