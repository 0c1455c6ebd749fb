"""sObject Collections: up to 200 records in one call, one result each.

Source: REST API guide "sObject Collections" and its limits; recorded answers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from sandbox.kit.http import Response

from .errors import Failure, no_external_id
from .ids import to18
from .missing import refuse_object
from .paths import reader
from .results import attributes
from .schema import SObject

if TYPE_CHECKING:
    from .server import Call, SalesforceServer

COLLECTION, RETRIEVE, CHUNKS = 200, 2000, 10
ROLLED_BACK = "Record rolled back because not all records were valid and the request was using AllOrNone header"


class Collections:
    """sObject Collections: up to 200 records, one result each, in request order, with HTTP 200 even when all failed."""

    def __init__(self, server: SalesforceServer) -> None:
        self._server = server
        self._records = server.records

    def create(self, call: Call) -> Response:
        rows, all_or_none = self._body(call)
        return self._run(call, rows, all_or_none, lambda row: self._created(call, row))

    def _created(self, call: Call, row: Mapping[str, Any]) -> dict[str, Any]:
        key = self._records.create(_kind(row), row, call.actor)
        return {"id": key, "success": True, "errors": []}

    def update(self, call: Call) -> Response:
        rows, all_or_none = self._body(call)

        def one(row: Mapping[str, Any]) -> dict[str, Any]:
            key = next((v for k, v in row.items() if k.lower() == "id"), None)
            if key in (None, ""):
                raise Failure(400, "MISSING_ARGUMENT", "Id not specified in an update call", [])
            return {"id": self._records.update(_kind(row), str(key), row, call.actor), "success": True, "errors": []}

        return self._run(call, rows, all_or_none, one)

    def upsert(self, call: Call, name: str, field: str) -> Response:
        sobject = self._records.sobject(name)
        key_field = sobject.field(field)
        if key_field is None or not (key_field.id_lookup or key_field.external_id):
            raise no_external_id(field)
        rows, all_or_none = self._body(call)
        if any(_kind(row).lower() != sobject.name.lower() for row in rows):
            raise Failure(400, "INVALID_INPUT", f"All records of an upsert must be of type {sobject.name}")

        def key_of(row: Mapping[str, Any]) -> Any:
            return next((v for k, v in row.items() if k.lower() == key_field.name.lower()), None)

        counts = Counter(str(key_of(row)).casefold() for row in rows if key_of(row) not in (None, ""))

        def one(row: Mapping[str, Any]) -> dict[str, Any]:
            value = key_of(row)
            if counts[str(value).casefold()] > 1:
                raise duplicate_key(value, key_field.name)
            try:
                key, created = self._records.upsert(sobject.name, key_field.name, value, row, call.actor)
            except Failure as failure:
                failure.extra.pop("matches", None)
                raise
            return {"id": key, "success": True, "errors": [], "created": created}

        return self._run(call, rows, all_or_none, one, {"created": True})

    def delete(self, call: Call) -> Response:
        keys = [k.strip() for k in (call.request.param("ids") or "").split(",") if k.strip()]
        all_or_none = (call.request.param("allOrNone") or "").lower() == "true"
        if len(keys) > COLLECTION:
            raise _too_many()

        def one(key: Mapping[str, Any]) -> dict[str, Any]:
            text = str(key["Id"])
            full = to18(text)
            sobject = self._server.schema.of_prefix(full[:3]) if full else None
            if full is None or sobject is None:
                raise Failure(400, "MALFORMED_ID", f"malformed id {text}", [])
            self._records.delete(sobject.name, full, call.actor)
            return {"id": full, "success": True, "errors": []}

        return self._run(call, [{"Id": key} for key in keys], all_or_none, one)

    def retrieve(self, call: Call, name: str) -> Response:
        """Rows by id with chosen fields, in request order; null for those that do not exist."""
        sobject = self._records.sobject(name)
        if call.request.method == "POST":
            body = call.record()
            keys, wanted = body.get("ids"), body.get("fields")
        else:
            keys = [k for k in (call.request.param("ids") or "").split(",") if k]
            wanted = [f for f in (call.request.param("fields") or "").split(",") if f]
        if not isinstance(keys, list) or not isinstance(wanted, list) or not keys or not wanted:
            raise Failure(400, "MISSING_ARGUMENT", "ids and fields are required")
        if len(keys) > RETRIEVE:
            raise Failure(
                400,
                "EXCEEDED_ID_LIMIT",
                f"record limit reached. cannot submit more than {RETRIEVE} records in this request",
            )
        readers = [(f.name, reader(sobject, f)) for f in self._visible(sobject, wanted)]
        shown: list[Any] = []
        for key in keys:
            full = to18(str(key))
            if full is None or full[:3] != sobject.prefix:
                raise Failure(400, "MALFORMED_ID", f"malformed id {key}")
            row = self._server.store.get(sobject.name, full)
            shown.append(
                None
                if row is None or row.get("IsDeleted")
                else {
                    "attributes": attributes(sobject.name, full, call.base),
                    **{n: get(row) for n, get in readers},
                    "Id": full,
                }
            )
        return Response.of_json(shown, records=len(shown))

    def _visible(self, sobject: SObject, wanted: list[Any]) -> list[Any]:
        hidden = self._records.hidden(sobject.name)
        fields = []
        for name in wanted:
            found = sobject.field(str(name).strip())
            if found is None or found.name in hidden:
                raise Failure(
                    400,
                    "INVALID_FIELD",
                    f"No such column '{name}' on entity '{sobject.name}'. If you are attempting to "
                    "use a custom field, be sure to append the '__c' after the custom field name. Please reference "
                    "your WSDL or the describe call for the appropriate names.",
                )
            fields.append(found)
        return fields

    def _body(self, call: Call) -> tuple[list[Mapping[str, Any]], bool]:
        body = call.record()
        rows = body.get("records")
        if not isinstance(rows, list):
            raise Failure(400, "MISSING_ARGUMENT", "records is required")
        if len(rows) > COLLECTION:
            raise _too_many()
        for row in rows:
            if (
                not isinstance(row, dict)
                or not isinstance(row.get("attributes"), dict)
                or not row["attributes"].get("type")
            ):
                raise Failure(400, "INVALID_INPUT", "Include an entity type in the attributes of every record")
        kinds = [_kind(row) for row in rows]
        for kind in dict.fromkeys(kinds):
            known = self._server.schema.object(kind)
            if known is None:
                refuse_object(kind)
            if known is None or known.name in self._records.rules.no_access:
                raise Failure(400, "INVALID_TYPE", f"sObject type '{kind}' is not supported.")
        if sum(1 for i, kind in enumerate(kinds) if i == 0 or kind != kinds[i - 1]) > CHUNKS:
            raise Failure(
                400,
                "LIMIT_EXCEEDED",
                f"Cannot have more than {CHUNKS} chunks in a single operation. Please rearrange the "
                "data to reduce chunking.",
            )
        return rows, body.get("allOrNone") in (True, "true")

    def _run(
        self,
        call: Call,
        rows: list[Mapping[str, Any]],
        all_or_none: bool,
        one: Callable[[Mapping[str, Any]], dict[str, Any]],
        on_failure: Mapping[str, Any] | None = None,
    ) -> Response:
        results: list[dict[str, Any]] = []
        failed = False
        with self._server.store.savepoint() as rollback:
            for row in rows:
                try:
                    results.append(one(row))
                except Failure as failure:
                    if failure.status == 501:
                        raise
                    failed = True
                    results.append({"success": False, **(on_failure or {}), "errors": [failure.result()]})
            if failed and all_or_none:
                rollback()
                victim = Failure(400, "ALL_OR_NONE_OPERATION_ROLLED_BACK", ROLLED_BACK, []).result()
                results = [
                    r if not r["success"] else {"success": False, **(on_failure or {}), "errors": [victim]}
                    for r in results
                ]
        return Response.of_json(results, records=len(rows))


def duplicate_key(value: Any, field: str) -> Failure:
    """The refusal of each row that shares its key with another row of the same call."""
    return Failure(400, "DUPLICATE_VALUE", f"Duplicate external id specified: {value}", [field])


def _kind(row: Mapping[str, Any]) -> str:
    return str(row["attributes"]["type"])


def _too_many() -> Failure:
    return Failure(
        400, "EXCEEDED_ID_LIMIT", f"record limit reached. cannot submit more than {COLLECTION} records into this call"
    )


def install(server: SalesforceServer) -> None:
    """Hang the resources into the server's router."""
    collections = Collections(server)
    add = server.router.add
    add("POST", "composite/sobjects", collections.create)
    add("PATCH", "composite/sobjects", collections.update)
    add("DELETE", "composite/sobjects", collections.delete)
    add("GET POST", "composite/sobjects/{type}", collections.retrieve)
    add("PATCH", "composite/sobjects/{type}/{field}", collections.upsert)
