"""How many records of a type one record may be associated with, as an administrator sets it for an association type.

Source: HubSpot "Associations schema: limits" reference and the changelog on custom association limits (2024-07-30).
"""

from __future__ import annotations

from typing import Any

from sandbox.kit.http import Request

from . import wire
from .associations import Associations, Definition
from .errors import ApiError, missing_fields, validation
from .portal import Portal
from .records import Answer
from .store import TypeStore


def all_limits(portal: Portal) -> Answer:
    """`GET .../definitions/configurations/all`."""
    known = portal.associations
    return Answer(
        200, {"results": [_shown(known, *key[:2], known.definitions[key[:2]][key[2]]) for key in known.maxima]}
    )


def between(portal: Portal, request: Request, one: TypeStore, other: TypeStore, tail: list[str]) -> Answer | None:
    """`.../definitions/configurations/{from}/{to}...`; None where nothing is there."""
    known, source, target = portal.associations, one.type.name, other.type.name
    if request.method == "GET" and not tail:
        definitions = known.types(source, target).values()
        limited = [d for d in definitions if (source, target, d.spec) in known.maxima]
        return Answer(200, {"results": [_shown(known, source, target, d) for d in limited]})
    if request.method != "POST" or tail not in (["batch", "create"], ["batch", "update"], ["batch", "purge"]):
        return None
    results: list[dict[str, Any]] = []
    failed: list[dict[str, Any]] = []
    for item in wire.inputs(request):
        try:
            definition = _definition(known, source, target, item)
            if tail[1] == "purge":
                known.maxima.pop((source, target, definition.spec), None)
                continue
            known.maxima[source, target, definition.spec] = _maximum(known, item)
            results.append(_shown(known, source, target, definition))
        except ApiError as error:
            failed.append(error.entry())
    if tail[1] == "purge":
        return Answer(204)
    now = wire.iso(portal.now())
    body: dict[str, Any] = {"status": "COMPLETE", "results": results, "startedAt": now, "completedAt": now}
    if failed:
        body |= {"numErrors": len(failed), "errors": failed}
    return Answer(207 if failed else 201 if tail[1] == "create" else 200, body, len(results))


def _shown(known: Associations, source: str, target: str, definition: Definition) -> dict[str, Any]:
    return {**definition.as_json(), "userEnforcedMaxToObjectIds": known.maxima[source, target, definition.spec]}


def _definition(known: Associations, source: str, target: str, item: dict[str, Any]) -> Definition:
    missing = [key for key in ("category", "typeId") if key not in item]
    if missing:
        raise missing_fields(missing)
    spec = (str(item["category"]), wire.as_id(item["typeId"]) or 0)
    found = known.types(source, target).get(spec)
    if found is None:
        known.refuse_spec(source, target, spec)
    return found


def _maximum(known: Associations, item: dict[str, Any]) -> int:
    most = item.get("maxToObjectIds")
    if isinstance(most, bool) or not isinstance(most, int) or not 1 <= most <= known.default_maximum:
        raise validation(f"maxToObjectIds must be between 1 and {known.default_maximum}, but was {most}")
    return most
