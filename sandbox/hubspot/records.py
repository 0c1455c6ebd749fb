"""The verbs of `/crm/v3/objects/{type}` and its date-versioned twins: one record, a page, a batch, a merge.

Sources: HubSpot "CRM objects" reference and "Error handling"; recorded batch answers of amp-labs/connectors and
rudderlabs/rudder-transformer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

from sandbox.kit.http import Request

from . import errors, wire
from .associations import Edge, Spec
from .errors import ApiError, Problem, invalid_json, missing_fields, validation
from .portal import Portal
from .store import Actor, Record, TypeStore

PAGE, PAGE_WITH_HISTORY = 100, 50


@dataclass(frozen=True, slots=True)
class Call:
    """One API call about records: the portal, the type, who calls, and whether 2026-09's rules count."""

    portal: Portal
    store: TypeStore
    actor: Actor
    strict: bool
    version: str


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, JSON body (None: no body) and how many records it moved."""

    status: int
    body: Any = None
    records: int = 0


# --- showing -----------------------------------------------------------------------------------------------------


def show(call: Call, record: Record, wanted: Sequence[str], history: Sequence[str] = ()) -> dict[str, Any]:
    """A record as get, list, search and batch read show it: names asked for, null where unset, absent if undefined."""
    store = call.store
    names = sorted({*(wanted or store.type.defaults), *history, *store.type.always})
    values = record.values
    properties: dict[str, str | None] = {}
    for name in names:
        definition = store.catalogue.get(name)
        if definition is None:
            continue
        held = values.get(definition.name)
        properties[definition.name] = held if held is not None else call.portal.derived(record, definition.name)
    shown: dict[str, Any] = {"id": str(record.id), "properties": properties}
    if history:
        shown["propertiesWithHistory"] = _history(call, record, history)
    return shown | _frame(call, record)


def _history(call: Call, record: Record, names: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    shown: dict[str, list[dict[str, Any]]] = {}
    for name in names:
        definition = call.store.catalogue.get(name)
        if definition is None:
            continue
        versions: list[dict[str, Any]] = []
        for version in record.history.get(definition.name, ()):
            entry: dict[str, Any] = {
                "value": version.value,
                "timestamp": wire.iso(version.at),
                "sourceType": version.source,
            }
            if version.source_id is not None:
                entry["sourceId"] = version.source_id
            if version.user is not None:
                entry["updatedByUserId"] = version.user
            versions.append(entry)
        shown[definition.name] = versions
    return shown


def _frame(call: Call, record: Record) -> dict[str, Any]:
    frame: dict[str, Any] = {
        "createdAt": record.values.get(call.store.type.created) or wire.iso(record.created),
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


def locate(call: Call, given: str, id_property: str | None, *, archived: bool = False) -> Record:
    """The record that a path names, by id or by the value of a unique property. Raises 404."""
    given = unquote(given)
    if id_property and id_property.lower() not in ("hs_object_id", "id"):
        return _by_value(call, id_property, given, archived)
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
        raise validation(
            f"Property '{name}' is not a unique identifier property for object type {call.store.type.label}",
            context={"propertyName": [name]},
        )


def get(call: Call, request: Request, given: str) -> Answer:
    """`GET /{type}/{id}`."""
    record = locate(call, given, request.param("idProperty"), archived=wire.flag(request, "archived"))
    return Answer(200, _asked(call, request, record), 1)


def page(call: Call, request: Request) -> Answer:
    """`GET /{type}`: records in order of id; `archived=true` lists only the recycle bin."""
    history = wire.names(request, "propertiesWithHistory")
    size = wire.page_size(request, 10, PAGE_WITH_HISTORY if history else PAGE)
    archived = wire.flag(request, "archived")
    if archived:
        call.portal.empty_bin(call.store)
    start = _cursor(call, request.param("after"))
    records, following = call.store.page(archived, start, size)
    body: dict[str, Any] = {"results": [_asked(call, request, record) for record in records]}
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


def _asked(call: Call, request: Request, record: Record) -> dict[str, Any]:
    shown = show(call, record, wire.names(request, "properties"), wire.names(request, "propertiesWithHistory"))
    targets = [call.portal.store.of(name) for name in wire.names(request, "associations")]
    if targets:
        associations = call.portal.associations.inline(record, targets)
        if associations:
            shown["associations"] = associations
    return shown


def create(call: Call, request: Request) -> Answer:
    """`POST /{type}`."""
    document = wire.body_object(request)
    record = _create(call, document)
    return Answer(201, written(call, record, document["properties"]), 1)


def update(call: Call, request: Request, given: str) -> Answer:
    """`PATCH /{type}/{id}`."""
    document = wire.body_object(request)
    record = locate(call, given, request.param("idProperty"))
    properties = _properties(document)
    changed = _update(call, record, properties)
    return Answer(200, written(call, changed, properties), 1)


def archive(call: Call, request: Request, given: str) -> Answer:
    """`DELETE /{type}/{id}`: 204 also when there is nothing left to archive."""
    try:
        record = locate(call, given, request.param("idProperty"))
    except ApiError as error:
        if error.status == 404 and wire.as_id(unquote(given)) is not None:
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
    primary = locate(call, str(document["primaryObjectId"]), None)
    other = locate(call, str(document["objectIdToMerge"]), None)
    survivor = call.portal.merge(call.store, primary, other, call.actor)
    return Answer(200, show(call, survivor, (*call.store.type.defaults, "hs_merged_object_ids")), 1)


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


def _properties(document: Mapping[str, Any]) -> dict[str, Any]:
    properties = document.get("properties")
    if properties is None:
        raise missing_fields(["properties"])
    if not isinstance(properties, dict):
        raise invalid_json("Cannot deserialize value of type `java.util.LinkedHashMap` for `properties`")
    return properties


def _create(call: Call, document: Mapping[str, Any]) -> Record:
    values = check_create(call, document)
    links = _links(call, document.get("associations"))
    record = call.portal.create(call.store, values, call.actor)
    for edge_of, specs in links:
        call.portal.associate(edge_of(record.id), specs)
    return record


def check_create(call: Call, document: Mapping[str, Any]) -> dict[str, str]:
    """The values of a create, checked. Raises 400."""
    values, problems = call.portal.accept(call.store, _properties(document))
    if problems:
        raise call.portal.refuse(problems)
    call.portal.required(call.store, values, strict=call.strict)
    call.portal.conditional(call.store, values, strict=call.strict)
    return values


def _update(call: Call, record: Record, properties: Mapping[str, Any]) -> Record:
    values, problems = call.portal.accept(call.store, properties)
    if problems:
        raise call.portal.refuse(problems)
    call.portal.conditional(call.store, {**record.values, **values}, strict=call.strict)
    return call.portal.update(call.store, record, values, call.actor)


def _links(call: Call, given: object) -> list[tuple[Callable[[int], Edge], list[Spec]]]:
    """The `associations` of a create, checked before anything is written. Raises 400."""
    if given is None:
        return []
    if not isinstance(given, list):
        raise invalid_json("Cannot deserialize value of type `java.util.ArrayList` for `associations`")
    links: list[tuple[Callable[[int], Edge], list[Spec]]] = []
    for item in given:
        if (
            not isinstance(item, dict)
            or not isinstance(item.get("to"), dict)
            or not isinstance(item.get("types"), list)
        ):
            raise missing_fields(["to", "types"])
        specs = specs_of(item["types"])
        links.append(_link_to(call, wire.as_id(item["to"].get("id")), str(item["to"].get("id")), specs))
    return links


def _link_to(call: Call, to: int | None, shown: str, specs: list[Spec]) -> tuple[Callable[[int], Edge], list[Spec]]:
    source = call.store.type.name
    if not specs:
        raise validation("One or more associations are invalid", context={"id": [shown]})
    targets = [
        target
        for (one, target), known in call.portal.associations.definitions.items()
        if one == source and specs[0] in known
    ]
    if not targets:
        call.portal.associations.check(Edge(source, 0, _any_target(call, specs[0]), -1), specs)
    for target in targets:
        record = call.portal.store.types[target].find(to) if to is not None else None
        if record is not None:
            found = record.id
            return (lambda own_id: Edge(source, own_id, target, found)), specs
    raise validation(
        "One or more associations are invalid",
        context={"id": [shown]},
        errors=[{"message": f"{shown} is not a valid ID", "code": "INVALID_IDENTIFIER", "context": {"id": [shown]}}],
    )


def _any_target(call: Call, spec: Spec) -> str:
    for (_, target), known in call.portal.associations.definitions.items():
        if spec in known:
            return target
    raise validation(f"No association type with id {spec[1]} and category {spec[0]} exists")


def specs_of(given: object) -> list[Spec]:
    """Category and type id of each association type sent. Raises 400."""
    if not isinstance(given, list):
        raise invalid_json("Cannot deserialize value of type `java.util.ArrayList` of association types")
    specs: list[Spec] = []
    for item in given:
        if not isinstance(item, dict):
            raise invalid_json("Cannot deserialize value of type `AssociationSpec`")
        missing = [key for key in ("associationCategory", "associationTypeId") if key not in item]
        if missing:
            raise missing_fields(missing)
        category, type_id = item["associationCategory"], item["associationTypeId"]
        if category not in ("HUBSPOT_DEFINED", "USER_DEFINED", "INTEGRATOR_DEFINED", "WORK"):
            raise invalid_json(f'Cannot deserialize value of type `AssociationCategory` from "{category}"')
        if isinstance(type_id, bool) or not str(type_id).isdigit() or len(str(type_id)) > 9:
            raise invalid_json("Cannot deserialize value of type `int` for `associationTypeId`")
        specs.append((category, int(type_id)))
    return specs


# --- batches -----------------------------------------------------------------------------------------------------


class Batch:
    """What the inputs of a batch come to: results, errors, and the answer made of them."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.started = call.portal.now()
        self.results: list[dict[str, Any]] = []
        self.errors: list[dict[str, Any]] = []

    def answer(self, status: int, *, shuffled: bool = True) -> Answer:
        """The batch answer: 207 if there are errors."""
        if shuffled and self.call.portal.switches.shuffle and len(self.results) > 1:
            self.call.portal.random.shuffle(self.results)
        body: dict[str, Any] = {
            "status": "COMPLETE",
            "results": self.results,
            "startedAt": wire.iso(self.started),
            "completedAt": wire.iso(self.call.portal.now()),
        }
        if self.errors:
            status = 207
            body["numErrors"] = len(self.errors)
            body["errors"] = self.errors
        return Answer(status, body, len(self.results))


def batch(call: Call, request: Request, verb: str) -> Answer:
    """`POST /{type}/batch/{verb}`. Raises 404 for another verb."""
    verbs = {
        "read": batch_read,
        "create": batch_create,
        "update": batch_update,
        "upsert": batch_upsert,
        "archive": batch_archive,
    }
    if verb not in verbs:
        raise errors.no_such_resource()
    return verbs[verb](call, request)


def batch_read(call: Call, request: Request) -> Answer:
    """All missing ids make one error entry; associations cannot be read."""
    document = wire.body_object(request)
    found = wire.inputs(request)
    wanted = wire.text_list(document.get("properties"), "properties")
    history = wire.text_list(document.get("propertiesWithHistory"), "propertiesWithHistory")
    if history and len(found) > PAGE_WITH_HISTORY:
        raise validation(f"Batch reads with history are limited to {PAGE_WITH_HISTORY} inputs, {len(found)} were given")
    id_property = document.get("idProperty")
    archived = wire.flag(request, "archived")
    if id_property:
        check_id_property(call, str(id_property))
    done = Batch(call)
    missing: list[str] = []
    seen: set[int] = set()
    for item in found:
        given = _input_id(item)
        try:
            record = locate(call, quote(given, safe=""), id_property, archived=archived)
        except ApiError:
            missing.append(given)
            continue
        if record.id not in seen:
            seen.add(record.id)
            done.results.append(show(call, record, wanted, history))
    if missing:
        done.errors.append(errors.missing_ids(call.store.type.label, list(dict.fromkeys(missing))).entry())
    return done.answer(200)


def batch_create(call: Call, request: Request) -> Answer:
    """Without trace ids one bad input fails the batch and nothing is written; with them each input stands alone."""
    found = wire.inputs(request)
    traces = _traces(found)
    done = Batch(call)
    if traces is None:
        checked = _all_or_nothing(call, found)
        for item, values in zip(found, checked, strict=True):
            links = _links(call, item.get("associations"))
            record = call.portal.create(call.store, values, call.actor)
            for edge_of, specs in links:
                call.portal.associate(edge_of(record.id), specs)
            done.results.append(written(call, record, item["properties"]))
        return done.answer(201)
    for item, trace in zip(found, traces, strict=True):
        try:
            done.results.append(written(call, _create(call, item), item["properties"], trace))
        except ApiError as error:
            done.errors.append(_traced(error, trace))
    return done.answer(201)


def _all_or_nothing(call: Call, found: list[dict[str, Any]]) -> list[dict[str, str]]:
    """Checks every input of a create before any is written. Raises 400 or 409 for the whole batch."""
    accepted = [call.portal.accept(call.store, _properties(item)) for item in found]
    problems = [problem for _, wrong in accepted for problem in wrong]
    if problems:
        raise call.portal.refuse(problems)
    taken: dict[str, set[str]] = {}
    for item, (values, _) in zip(found, accepted, strict=True):
        call.portal.required(call.store, values, strict=call.strict)
        call.portal.conditional(call.store, values, strict=call.strict)
        _links(call, item.get("associations"))
        error = call.portal.conflict(call.store, values, None)
        for name in call.store.catalogue.unique_names:
            value = values.get(name)
            if value and value in taken.setdefault(name, set()):
                error = error or ApiError(409, "Contact already exists", "CONFLICT")
            taken[name].add(value or "")
        if error is not None:
            if error.status == 409:
                error = ApiError(409, f"{call.store.type.singular.capitalize()} already exists", "CONFLICT")
            raise error
    return [values for values, _ in accepted]


def batch_update(call: Call, request: Request) -> Answer:
    """A duplicate id refuses the batch; unknown ids make one error entry."""
    found = wire.inputs(request)
    _refuse_duplicates([_input_id(item) for item in found])
    traces = _traces(found)
    done = Batch(call)
    missing: list[str] = []
    targets: list[tuple[dict[str, Any], Record, str | None]] = []
    for n, item in enumerate(found):
        given = _input_id(item)
        id_property = item.get("idProperty")
        record_id = wire.as_id(given)
        merged = not id_property and record_id is not None and record_id in call.store.aliases
        if merged and call.portal.switches.batch_update_omits_merged:
            continue
        try:
            record = locate(call, quote(given, safe=""), id_property)
        except ApiError as error:
            if error.status != 404:
                raise
            missing.append(given)
            continue
        targets.append((item, record, traces[n] if traces else None))
    if traces is None:
        problems = [p for item, _, _ in targets for p in call.portal.accept(call.store, _properties(item))[1]]
        if problems:
            raise call.portal.refuse(problems)
    for item, record, trace in targets:
        try:
            changed = _update(call, call.store.live.get(record.id, record), _properties(item))
            done.results.append(written(call, changed, item["properties"], trace))
        except ApiError as error:
            if trace is None:
                raise
            done.errors.append(_traced(error, trace))
    if missing:
        done.errors.append(errors.missing_ids(call.store.type.label, missing).entry())
    return done.answer(200)


def batch_upsert(call: Call, request: Request) -> Answer:
    """Create or update by the value of a unique property; each result says whether it is `new`."""
    found = wire.inputs(request)
    keys = [(str(item.get("idProperty") or "hs_object_id"), _input_id(item)) for item in found]
    folded = [(name, value.strip().lower() if name == "email" else value) for name, value in keys]
    _refuse_duplicates([value for _, value in folded])
    traces = _traces(found)
    for name in dict.fromkeys(name for name, _ in keys):
        if name != "hs_object_id":
            check_id_property(call, name)
    if traces is None:
        problems = [p for item in found for p in call.portal.accept(call.store, _properties(item))[1]]
        if problems:
            raise call.portal.refuse(problems)
    done = Batch(call)
    missing: list[str] = []
    for n, item in enumerate(found):
        trace = traces[n] if traces else None
        try:
            record, new = _upsert(call, item, *folded[n])
        except ApiError as error:
            if error.status == 404:
                missing.append(folded[n][1])
                continue
            if trace is None:
                raise
            done.errors.append(_traced(error, trace))
            continue
        shown = written(call, record, {**item["properties"], folded[n][0]: folded[n][1]}, trace)
        done.results.append({**shown, "new": new})
    if missing:
        done.errors.append(errors.missing_ids(call.store.type.label, missing).entry())
    return done.answer(200)


def _upsert(call: Call, item: dict[str, Any], name: str, value: str) -> tuple[Record, bool]:
    properties = _properties(item)
    if name == "hs_object_id":
        return _update(call, locate(call, quote(value, safe=""), None), properties), False
    holder = call.store.holder(name, value)
    if holder is not None:
        return _update(call, call.store.live[holder], properties), False
    return _create(call, {"properties": {name: value, **properties}, "associations": item.get("associations")}), True


def batch_archive(call: Call, request: Request) -> Answer:
    """Unknown ids do not fail it."""
    moved = 0
    for item in wire.inputs(request):
        record_id = wire.as_id(_input_id(item))
        record = call.store.find(record_id) if record_id is not None else None
        if record is not None:
            call.portal.archive(call.store, record, call.actor)
            moved += 1
    return Answer(204, None, moved)


def _input_id(item: Mapping[str, Any]) -> str:
    given = item.get("id")
    if given is None:
        raise missing_fields(["id"])
    if isinstance(given, bool) or not isinstance(given, str | int):
        raise invalid_json("Cannot deserialize value of type `java.lang.String` for `id`")
    return str(given)


def _refuse_duplicates(ids: list[str]) -> None:
    seen: set[str] = set()
    twice = [i for i in ids if i in seen or seen.add(i)]  # type: ignore[func-returns-value]
    if twice:
        raise errors.duplicate_ids(list(dict.fromkeys(twice)))


def _traces(found: list[dict[str, Any]]) -> list[str] | None:
    """The trace ids, if every input has one; else the batch is all or nothing. Raises 400 for repeated ones."""
    traces = [item.get("objectWriteTraceId") for item in found]
    if not found or not all(isinstance(trace, str) and trace for trace in traces):
        return None
    named = [str(trace) for trace in traces]
    if len(set(named)) < len(named):
        raise validation("objectWriteTraceId must be unique for each input of a batch")
    return named


def _traced(error: ApiError, trace: str) -> dict[str, Any]:
    existing = error.message.rpartition("Existing ID: ")[2] if error.status == 409 else ""
    more = {"existingId": existing} if existing.isdigit() else {}
    return error.entry(objectWriteTraceId=trace, **more)
