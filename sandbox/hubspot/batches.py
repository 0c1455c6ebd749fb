"""The five batch verbs of records. Sources: recorded answers of amp-labs/connectors and rudderlabs/rudder-transformer,
HubSpot "Error handling" for the 207.

Without trace ids a batch is all or nothing: everything is checked before anything is written. With an
`objectWriteTraceId` for each input, every input stands alone and the answer is a 207 that names the failed ones.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sandbox.kit.http import Request

from . import errors, wire
from .errors import ApiError, invalid_json, missing_fields, validation
from .portal import Planned
from .records import (
    PAGE_WITH_HISTORY,
    Answer,
    Call,
    View,
    associate_all,
    check_id_property,
    create_one,
    linked,
    locate,
    properties_of,
    update_one,
    written,
)
from .store import Record


class Batch:
    """What the inputs of a batch come to: results, errors, and the answer made of them."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.started = call.portal.now()
        self.results: list[dict[str, Any]] = []
        self.errors: list[dict[str, Any]] = []

    def missing(self, ids: list[str]) -> None:
        """Note ids that no record has, all of them in one error."""
        if ids:
            entry = errors.missing_ids(self.call.store.type.label, list(dict.fromkeys(ids))).entry()
            self.errors.append(entry)

    def answer(self, status: int) -> Answer:
        """The batch answer: shuffled, and 207 if there are errors."""
        if self.call.portal.switches.shuffle and len(self.results) > 1:
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


def run(call: Call, request: Request, verb: str) -> Answer:
    """`POST /{type}/batch/{verb}`. Raises 404 for another verb."""
    verbs = {"read": read, "create": create, "update": update, "upsert": upsert, "archive": archive}
    if verb not in verbs:
        raise errors.no_route()
    return verbs[verb](call, request)


def read(call: Call, request: Request) -> Answer:
    """200, or 207 with one entry for all ids that are missing. Associations cannot be read."""
    document = wire.body_object(request)
    found = wire.inputs(request)
    wanted = wire.text_list(document.get("properties"), "properties")
    history = wire.text_list(document.get("propertiesWithHistory"), "propertiesWithHistory")
    if history and len(found) > PAGE_WITH_HISTORY:
        raise wire.too_many_inputs(" request for property histories", PAGE_WITH_HISTORY)
    id_property = document.get("idProperty")
    if id_property is not None:
        check_id_property(call, str(id_property))
    archived = wire.flag(request, "archived")
    done, view = Batch(call), View(call, wanted, history)
    missing: list[str] = []
    seen: set[int] = set()
    for item in found:
        record = _look(call, item, id_property, missing, archived=archived)
        if record is not None and record.id not in seen:
            seen.add(record.id)
            done.results.append(view.show(record))
    done.missing(missing)
    return done.answer(200)


def create(call: Call, request: Request) -> Answer:
    """201; 400 or 409 for the whole batch, or 207 with trace ids."""
    found = wire.inputs(request)
    traces = _traces(found)
    if traces is None:
        return _create_all(call, found)
    done = Batch(call)
    for item, trace in zip(found, traces, strict=True):
        try:
            done.results.append(written(call, create_one(call, item), properties_of(item), trace))
        except ApiError as error:
            done.errors.append(_traced(error, trace))
    return done.answer(201)


def _create_all(call: Call, found: list[dict[str, Any]]) -> Answer:
    accepted = _accept_all(call, found)
    for values in accepted:
        call.portal.required(call.store, values, strict=call.strict)
        call.portal.conditional(call.store, values, strict=call.strict)
    links = [linked(call, item.get("associations")) for item in found]
    _refuse_conflict(call, [(None, values) for values in accepted])
    done = Batch(call)
    for item, values, wanted in zip(found, accepted, links, strict=True):
        record = call.portal.create(call.store, values, call.actor)
        associate_all(call, record, wanted)
        done.results.append(written(call, record, properties_of(item)))
    return done.answer(201)


def update(call: Call, request: Request) -> Answer:
    """200; 400 for an id given twice, nothing written; 207 for ids that are missing."""
    found = wire.inputs(request)
    _refuse_duplicates([input_id(item) for item in found])
    traces = _traces(found)
    done = Batch(call)
    missing: list[str] = []
    targets: list[tuple[dict[str, Any], Record, str | None]] = []
    for n, item in enumerate(found):
        if item.get("idProperty"):
            _check_key(call, str(item["idProperty"]).lower())
        record_id = wire.as_id(input_id(item))
        merged = not item.get("idProperty") and record_id in call.store.aliases
        if merged and call.portal.switches.batch_update_omits_merged:
            continue
        record = _look(call, item, item.get("idProperty"), missing)
        if record is not None:
            targets.append((item, record, traces[n] if traces else None))
    if traces is None:
        accepted = _accept_all(call, [item for item, _, _ in targets])
        for values, (_, record, _) in zip(accepted, targets, strict=True):
            call.portal.conditional(call.store, {**record.values, **values}, strict=call.strict)
        _refuse_conflict(call, [(r, values) for values, (_, r, _) in zip(accepted, targets, strict=True)])
    for item, record, trace in targets:
        try:
            changed = update_one(call, call.store.find(record.id) or record, properties_of(item))
            done.results.append(written(call, changed, properties_of(item), trace))
        except ApiError as error:
            if trace is None:
                raise
            done.errors.append(_traced(error, trace))
    done.missing(missing)
    return done.answer(200)


def upsert(call: Call, request: Request) -> Answer:
    """200; create or update by the value of a unique property; each result says whether it is `new`."""
    found = wire.inputs(request)
    keys = [_key(item) for item in found]
    _refuse_duplicates([value for _, value in keys])
    for item, (name, _) in zip(found, keys, strict=True):
        if item.get("idProperty"):
            _check_key(call, name)
    traces = _traces(found)
    done = Batch(call)
    missing: list[str] = []
    if traces is None:
        _check_upserts(call, found, keys)
    for n, (item, (name, value)) in enumerate(zip(found, keys, strict=True)):
        trace = traces[n] if traces else None
        try:
            record, new = _upsert(call, item, name, value)
        except ApiError as error:
            if error.status == 404:
                missing.append(value)
                continue
            if trace is None:
                raise
            done.errors.append(_traced(error, trace))
            continue
        done.results.append({**written(call, record, {**properties_of(item), name: value}, trace), "new": new})
    done.missing(missing)
    return done.answer(200)


def _check_key(call: Call, name: str) -> None:
    """Raises 400 for a property that an update or upsert cannot go by; the record id is none (recorded)."""
    if name == "hs_object_id":
        raise errors.non_unique(call.store.type.id, name)
    check_id_property(call, name)


def _key(item: Mapping[str, Any]) -> tuple[str, str]:
    """The property and the value that an upsert goes by; without `idProperty`, the record id."""
    name, value = str(item.get("idProperty") or "hs_object_id").lower(), input_id(item)
    return name, value.strip().lower() if name == "email" else value


def _holder(call: Call, name: str, value: str) -> Record | None:
    if name == "hs_object_id":
        record_id = wire.as_id(value)
        return call.store.find(record_id) if record_id is not None else None
    holder = call.store.holder(name, value)
    return call.store.live[holder] if holder is not None else None


def _upsert(call: Call, item: dict[str, Any], name: str, value: str) -> tuple[Record, bool]:
    record = _holder(call, name, value)
    if record is not None:
        return update_one(call, record, properties_of(item)), False
    if name == "hs_object_id":
        raise errors.object_not_found(value)
    properties = {name: value, **properties_of(item)}
    return create_one(call, {"properties": properties, "associations": item.get("associations")}), True


def _check_upserts(call: Call, found: list[dict[str, Any]], keys: list[tuple[str, str]]) -> None:
    accepted = _accept_all(call, found)
    planned: list[Planned] = []
    for item, values, (name, value) in zip(found, accepted, keys, strict=True):
        record = _holder(call, name, value)
        if record is None and name == "hs_object_id":
            continue
        if record is None:
            values = {name: value, **values}
            call.portal.required(call.store, values, strict=call.strict)
            linked(call, item.get("associations"))
        call.portal.conditional(call.store, {**(record.values if record else {}), **values}, strict=call.strict)
        planned.append((record, values))
    _refuse_conflict(call, planned)


def archive(call: Call, request: Request) -> Answer:
    """204, whatever the ids."""
    moved = 0
    for item in wire.inputs(request):
        record_id = wire.as_id(input_id(item))
        record = call.store.find(record_id) if record_id is not None else None
        if record is not None:
            call.portal.archive(call.store, record, call.actor)
            moved += 1
    return Answer(204, None, moved)


# --- parts -------------------------------------------------------------------------------------------------------


def input_id(item: Mapping[str, Any]) -> str:
    """The `id` of an input. Raises 400."""
    given = item.get("id")
    if given is None:
        raise missing_fields(["id"])
    if isinstance(given, bool) or not isinstance(given, str | int):
        raise invalid_json("Cannot deserialize value of type `java.lang.String` for `id`")
    return str(given)


def _look(
    call: Call, item: Mapping[str, Any], id_property: object, missing: list[str], *, archived: bool = False
) -> Record | None:
    """The record that an input names; an id that no record has goes to `missing`."""
    given = input_id(item)
    try:
        return locate(call, given, id_property, archived=archived)
    except ApiError as error:
        if error.status != 404:
            raise
        missing.append(given)
        return None


def _accept_all(call: Call, found: list[dict[str, Any]]) -> list[dict[str, str]]:
    """The values of every input. Raises 400 that lists the problems of all of them."""
    accepted = [call.portal.accept(call.store, properties_of(item)) for item in found]
    problems = [problem for _, wrong in accepted for problem in wrong]
    if problems:
        raise call.portal.refuse(problems)
    return [values for values, _ in accepted]


def _refuse_conflict(call: Call, planned: list[Planned]) -> None:
    """Raises the first conflict of a batch. That of an e-mail address names no id here (recorded)."""
    error = call.portal.conflict_of_all(call.store, planned)
    if error is not None and error.status == 409:
        raise ApiError(409, "Contact already exists", "CONFLICT")
    if error is not None:
        raise error


def _refuse_duplicates(ids: list[str]) -> None:
    seen: set[str] = set()
    twice: dict[str, None] = {}
    for given in ids:
        if given in seen:
            twice[given] = None
        seen.add(given)
    if twice:
        raise errors.duplicate_ids(list(twice))


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
    named = _EXISTING.search(error.message)
    more = {"existingId": named.group(1) or named.group(2)} if named else {}
    return error.entry(objectWriteTraceId=trace, **more)


_EXISTING = re.compile(r"Existing ID: (\d+)|(\d+) already has that value")
