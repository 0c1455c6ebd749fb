"""The REST resources of single records, describes, queries and limits.

Source: REST API guide (sObject Basic Information, Describe, Rows, Rows by External ID, Query, QueryAll, Limits,
Record Count, Conditional Requests) and recorded answers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from sandbox.kit.http import Request, Response

from . import recent
from .errors import Failure, NotImplementedHere, no_external_id, not_found
from .ids import to18
from .missing import RESOURCES
from .paths import reader
from .query import all_fields
from .results import Result, View, attributes
from .router import Handler
from .schema import MASTER_RECORD_TYPE, SObject, describe_header, describe_object
from .store import Row
from .values import moment

if TYPE_CHECKING:
    from .server import Call, SalesforceServer

PAGE, SMALLEST_PAGE = 2000, 200
SHORTEST_PASSWORD = 8
_SEASONS = ("Summer", "Winter", "Spring")


@dataclass
class Cursor:
    """An open query result: what the pages after the first are cut from."""

    key: str
    result: Result
    user: str
    touched: datetime
    size: int


class Cursors:
    """Query locators. They end after a time without use (two days), or at once by command."""

    def __init__(self) -> None:
        self.found: dict[str, Cursor] = {}
        self.life = timedelta(days=2)
        self.page_size: int | None = None
        """Fixed number of rows per page, smaller than clients ask for: the real system may give fewer."""

    def open(self, key: str, result: Result, user: str, now: datetime, size: int) -> Cursor:
        """Keep a result for later pages."""
        cursor = self.found[key] = Cursor(key, result, user, now, size)
        return cursor

    def get(self, key: str, user: str, now: datetime) -> Cursor:
        """An open cursor of a user. Raises Failure INVALID_QUERY_LOCATOR."""
        cursor = self.found.get(key)
        if cursor is None or cursor.user != user or now - cursor.touched > self.life:
            self.found.pop(key, None)
            raise Failure(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
        cursor.touched = now
        return cursor

    def expire(self) -> int:
        """End all; returns how many there were."""
        count = len(self.found)
        self.found.clear()
        return count


def versions() -> Response:
    """GET /services/data: every version that is served, oldest first. Needs no session."""
    listed = []
    for number in range(
        31, 69
    ):  # 31.0 was Summer '14; three releases a year, the one of autumn named for the next year
        years, season = divmod(number - 31, 3)
        label = f"{_SEASONS[season]} '{14 + years + (season > 0)}"
        listed.append({"label": label, "url": f"/services/data/v{number}.0", "version": f"{number}.0"})
    return Response.of_json(listed)


class Rest:
    """Handlers. Each takes the call and the placeholder values of its path."""

    def __init__(self, server: SalesforceServer) -> None:
        self._server = server
        self._records = server.records
        self._schema = server.schema

    def resources(self, call: Call) -> Response:
        names = ("composite", "jobs", "limits", "parameterizedSearch", "query", "queryAll", "recent", "search",
                 "sobjects", "tooling")  # fmt: skip
        urls = {name: f"{call.base}/{name}" for name in names}
        return Response.of_json({**urls, "identity": self._server.identity_url(call.session.user)})

    # describes

    def describe_global(self, call: Call) -> Response:
        since = call.request.headers.get("If-Modified-Since")
        if since is not None and self._server.schema_changed <= _http_date(since):
            return Response(304)
        shown = [
            describe_header(one, call.base) for one in self._schema if one.name not in self._records.rules.no_access
        ]
        changed = format_datetime(self._server.schema_changed, usegmt=True)
        return Response.of_json(
            {"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": shown}, headers=[("Last-Modified", changed)]
        )

    def basic(self, call: Call, name: str) -> Response:
        sobject = self._records.sobject(name)
        seen = recent.shown(self._server, call, sobject.name)
        return Response.of_json({"objectDescribe": describe_header(sobject, call.base), "recentItems": seen})

    def describe(self, call: Call, name: str) -> Response:
        sobject = self._records.sobject(name)
        changed = call.request.headers.get("If-Modified-Since")
        if changed is not None and self._server.schema_changed <= _http_date(changed):
            return Response(304)
        body = describe_object(
            self._schema, sobject, call.base, self._record_types(sobject, call), self._records.hidden(sobject.name)
        )
        for field in body["fields"]:
            if field["name"] in self._records.rules.read_only.get(sobject.name, ()):
                field["createable"] = field["updateable"] = False
        return Response.of_json(
            body, headers=[("Last-Modified", format_datetime(self._server.schema_changed, usegmt=True))]
        )

    def _record_types(self, sobject: SObject, call: Call) -> list[dict[str, Any]]:
        layout = f"{call.base}/sobjects/{sobject.name}/describe/layouts"
        default = self._records.settings.default_record_types.get(sobject.name)
        rows = self._server.store.find("RecordType", "SobjectType", sobject.name)

        def shown(key: str, name: str, developer: str, *, master: bool, active: bool = True) -> dict[str, Any]:
            return {
                "active": active,
                "available": active,
                "defaultRecordTypeMapping": key == (default or MASTER_RECORD_TYPE),
                "developerName": developer,
                "master": master,
                "name": name,
                "recordTypeId": key,
                "urls": {"layout": f"{layout}/{key}"},
            }

        if "RecordTypeId" not in sobject.fields and not rows:
            return [shown(MASTER_RECORD_TYPE, "Master", "Master", master=True)]
        listed = [shown(r["Id"], r["Name"], r["DeveloperName"], master=False, active=r["IsActive"]) for r in rows]
        return [*listed, shown(MASTER_RECORD_TYPE, "Master", "Master", master=True)]

    # rows

    def create(self, call: Call, name: str) -> Response:
        key = self._records.create(name, call.record(), replace(call.actor, single_row=True))
        sobject = self._records.sobject(name)
        return Response.of_json(
            {"id": key, "success": True, "errors": []},
            201,
            records=1,
            headers=[("Location", f"{call.base}/sobjects/{sobject.name}/{key}")],
        )

    def get(self, call: Call, name: str, key: str) -> Response:
        sobject = self._records.sobject(name)
        row = self._records.row(sobject, key)
        not_modified = self._conditions(sobject, row, call.request)
        if not_modified is not None:
            return not_modified
        return self._shown(call, sobject, row)

    def _shown(self, call: Call, sobject: SObject, row: Row) -> Response:
        wanted = call.request.param("fields")
        body = {"attributes": attributes(sobject.name, row["Id"], call.base)}
        body |= self.fields_of(call, sobject, row, wanted.split(",") if wanted else None)
        headers = []
        if row.get("LastModifiedDate"):
            headers.append(("Last-Modified", format_datetime(moment(row["LastModifiedDate"]), usegmt=True)))
        if sobject.name == "Account":
            headers.append(("ETag", etag(row)))
        return Response.of_json(body, records=1, headers=headers)

    def fields_of(self, call: Call, sobject: SObject, row: Row, wanted: list[str] | None) -> dict[str, Any]:
        """Readable fields of a row, or those asked for; parents as nested objects. Raises Failure INVALID_FIELD."""
        hidden = self._records.hidden(sobject.name)
        if wanted is None:
            return {name: get(row) for name, get in self._server.readers(sobject.name)}
        shown: dict[str, Any] = {}
        for raw in wanted:
            name = raw.strip()
            found = sobject.field(name)
            if found is None or found.name in hidden:
                raise Failure(
                    400,
                    "INVALID_FIELD",
                    f"\n{name}\n^\nERROR at Row:1:Column:1\nNo such column '{name}' on entity "
                    f"'{sobject.name}'. If you are attempting to use a custom field, be sure to append the '__c' after "
                    "the custom field name. Please reference your WSDL or the describe call for the appropriate names.",
                )
            shown[found.name] = reader(sobject, found)(row)
        shown.setdefault("Id", row["Id"])
        return shown

    def update(self, call: Call, name: str, key: str) -> Response:
        sobject = self._records.sobject(name)
        data = call.record()
        full = self._row_id(key)
        row = self._server.store.get(sobject.name, full)
        if row is not None and not row.get("IsDeleted"):
            self._conditions(sobject, row, call.request)
        self._records.update(name, key, data, replace(call.actor, single_row=True))
        return Response(204, records=1)

    def delete(self, call: Call, name: str, key: str) -> Response:
        sobject = self._records.sobject(name)
        self._row_id(key)
        self._records.delete(sobject.name, key, call.actor)
        return Response(204, records=1)

    @staticmethod
    def _row_id(key: str) -> str:
        """The id in a path. A text of another shape is taken for an external-id field without its value."""
        if not re.fullmatch(r"[A-Za-z0-9]{15}(?:[A-Za-z0-9]{3})?", key):
            raise no_external_id(key)
        return to18(key) or key

    def post_row(self, call: Call, name: str, key: str) -> Response:
        """POST with `_HttpMethod=PATCH`, for clients that cannot send PATCH; and `POST .../Id`, an upsert by Id of a
        record that has none yet, which creates it (REST API guide, "Insert or Update (Upsert) a Record Using an
        External ID")."""
        if key.lower() == "id":
            return self.create(call, name)
        method = (call.request.param("_HttpMethod") or "").upper()
        if method == "PATCH":
            return self.update(call, name, key)
        if method == "DELETE":
            return self.delete(call, name, key)
        raise Failure(405, "METHOD_NOT_ALLOWED", "HTTP Method 'POST' not allowed. Allowed are HEAD,GET,PATCH,DELETE")

    def password(self, call: Call, name: str, key: str) -> Response:
        """sObject User Password: whether it is expired, a new one of the caller's or of the server's choice."""
        if self._records.sobject(name).name != "User":
            raise not_found()
        row = self._records.row(self._records.sobject(name), key)
        passwords = self._server.oauth.passwords
        if call.request.method == "GET":
            return Response.of_json({"isExpired": False})
        if call.request.method == "DELETE":
            passwords[row["Id"]] = self._server.sessions.secret(10)
            return Response.of_json({"NewPassword": passwords[row["Id"]]})
        given = call.record().get("NewPassword")
        if not isinstance(given, str) or len(given) < SHORTEST_PASSWORD:
            text = f"Your password must be at least {SHORTEST_PASSWORD} characters long."
            raise Failure(400, "INVALID_NEW_PASSWORD", text)
        passwords[row["Id"]] = given
        return Response(204)

    # conditional requests

    def _conditions(self, sobject: SObject, row: Row, request: Request) -> Response | None:
        """304 or None; raises Failure 412 or 400. Dates have the resolution of an HTTP date, one second."""
        headers = request.headers
        reading = request.method in ("GET", "HEAD")
        if sobject.name == "Account":
            tag = etag(row)
            if (wanted := headers.get("If-Match")) and wanted.strip() != "*" and tag not in _tags(wanted):
                raise _precondition()
            if (unwanted := headers.get("If-None-Match")) and (unwanted.strip() == "*" or tag in _tags(unwanted)):
                if reading:
                    return Response(304, headers=[("ETag", tag)])
                raise _precondition()
        changed = moment(row.get("LastModifiedDate") or row.get("SystemModstamp") or "1970-01-01T00:00:00.000+0000")
        if (text := headers.get("If-Unmodified-Since")) is not None and changed > _http_date(text):
            raise _precondition()
        if (text := headers.get("If-Modified-Since")) is not None:
            since = _http_date(text)
            if changed <= since:
                if reading:
                    return Response(304)
                raise _precondition()
        return None

    # rows by external id

    def get_by_key(self, call: Call, name: str, field: str, value: str) -> Response:
        sobject = self._records.sobject(name)
        if to18(field) is not None and (field[:3] == sobject.prefix):
            return self.related(call, sobject, self._records.row(sobject, field), value)
        found = self._records.by_external_id(sobject, field, value)
        if not found:
            raise not_found()
        if len(found) > 1:
            return self._several(call, sobject, found)
        return self._shown(call, sobject, found[0])

    def related(self, call: Call, sobject: SObject, row: Row, relationship: str) -> Response:
        """sObject Relationships: a parent as a row, children as a query result."""
        lookup = sobject.parent(relationship)
        if lookup is not None:
            key = row.get(lookup.name)
            target = self._schema.of_prefix(key[:3]) if key else None
            if key is None or target is None:
                raise not_found()
            return self._shown(call, target, self._records.row(target, key))
        kid = self._schema.children(sobject.name).get(relationship.lower())
        if kid is None or kid.name is None:
            raise not_found()
        child = self._records.sobject(kid.child)
        hidden = self._records.hidden(child.name)
        rows = self._server.store.find(kid.child, kid.field, row["Id"])
        readers = all_fields(child, hidden)

        def show(one: Row, view: View) -> dict[str, Any]:
            return {"attributes": attributes(child.name, one["Id"], view.base), **{n: get(one) for n, get in readers}}

        return self._page(call, Result(len(rows), rows, show))

    def _several(self, call: Call, sobject: SObject, found: list[Row]) -> Response:
        return Response.of_json([f"{call.base}/sobjects/{sobject.name}/{row['Id']}" for row in found], 300)

    def upsert(self, call: Call, name: str, field: str, value: str) -> Response:
        sobject = self._records.sobject(name)
        data = call.record()
        known = sobject.field(field)
        if known is not None and any(k.lower() == known.name.lower() for k in data):
            raise Failure(400, "INVALID_FIELD", f"The {known.name} field should not be specified in the sobject data.")
        update_only = (call.request.param("updateOnly") or "").lower() == "true"
        try:
            key, created = self._records.upsert(name, field, value, data, call.actor, update_only=update_only)
        except Failure as failure:
            if failure.status == 300:
                return self._several(call, sobject, failure.extra["matches"])
            raise
        body = {"id": key, "success": True, "errors": [], **({"created": created} if call.version >= 46 else {})}
        if created:
            return Response.of_json(
                body, 201, records=1, headers=[("Location", f"{call.base}/sobjects/{sobject.name}/{key}")]
            )
        status = self._records.settings.upsert_update_status or (200 if call.version >= 46 else 204)
        return Response.of_json(body, status, records=1) if status == 200 else Response(204, records=1)

    def delete_by_key(self, call: Call, name: str, field: str, value: str) -> Response:
        sobject = self._records.sobject(name)
        found = self._records.by_external_id(sobject, field, value)
        if not found:
            raise not_found()
        if len(found) > 1:
            return self._several(call, sobject, found)
        self._records.delete(name, found[0]["Id"], call.actor)
        return Response(204, records=1)

    # queries

    def query(self, call: Call) -> Response:
        return self._query(call, everything=False)

    def query_all(self, call: Call) -> Response:
        return self._query(call, everything=True)

    def _query(self, call: Call, *, everything: bool) -> Response:
        text = call.request.param("q")
        if text is None:
            if call.request.param("explain") is not None:
                raise NotImplementedHere("query plans (explain)")
            raise Failure(400, "MALFORMED_QUERY", "A query string has to be specified")
        if self._server.bad_days.query_timeouts:
            self._server.bad_days.query_timeouts -= 1
            raise Failure(400, "QUERY_TIMEOUT", "Your query request was running for too long.")
        return self._page(call, self._server.engine.run(text, user=call.session.user, everything=everything))

    def more(self, call: Call, locator: str) -> Response:
        key, _, offset = locator.rpartition("-")
        if not key or not offset.isascii() or not offset.isdigit() or len(offset) > 9:
            raise Failure(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
        cursor = self._server.cursors.get(key, call.session.user, self._server.clock.now())
        if int(offset) > cursor.result.total:
            raise Failure(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
        body = self._slice(call, cursor, int(offset))
        return Response.of_json(body, records=len(body["records"]))

    def _page(self, call: Call, result: Result) -> Response:
        body = self.first_page(call, result)
        return Response.of_json(body, records=len(body["records"]))

    def first_page(self, call: Call, result: Result) -> dict[str, Any]:
        """The answer body of a query, opening a cursor where one page is not enough."""
        size = self._page_size(call.request)
        if len(result.rows) <= size:
            view = self._view(call)
            return {"totalSize": result.total, "done": True, "records": [result.show(row, view) for row in result.rows]}
        key = self._server.store.next_id_of("01g")
        cursor = self._server.cursors.open(key, result, call.session.user, self._server.clock.now(), size)
        return self._slice(call, cursor, 0)

    def _slice(self, call: Call, cursor: Cursor, start: int) -> dict[str, Any]:
        view = self._view(call)
        size = self._page_size(call.request) if call.request.headers.get("Sforce-Query-Options") else cursor.size
        end = start + size
        done = end >= len(cursor.result.rows)
        body: dict[str, Any] = {"totalSize": cursor.result.total, "done": done}
        if not done:
            body["nextRecordsUrl"] = f"{call.base}/query/{cursor.key}-{end}"
        return {**body, "records": [cursor.result.show(row, view) for row in cursor.result.rows[start:end]]}

    def _page_size(self, request: Request) -> int:
        if self._server.cursors.page_size is not None:
            return self._server.cursors.page_size
        asked = request.headers.get("Sforce-Query-Options", "").lower().replace(" ", "")
        number = asked.removeprefix("batchsize=")
        if not asked.startswith("batchsize=") or not number.isdigit() or not number.isascii():
            return PAGE
        return min(max(int(number[:9]), SMALLEST_PAGE), PAGE)

    def _view(self, call: Call) -> View:
        return View(call.base, lambda result, view: self.first_page(call, result) if result.rows else None)

    # limits

    def limits(self, call: Call) -> Response:
        return Response.of_json(self._server.limits())

    def record_count(self, call: Call) -> Response:
        wanted = call.request.param("sObjects")
        names = [n.strip() for n in wanted.split(",") if n.strip()] if wanted else [one.name for one in self._schema]
        counts = []
        for name in names:
            sobject = self._schema.object(name)
            if sobject is None or sobject.name in self._records.rules.no_access:
                continue
            count = sum(1 for _ in self._server.store.rows(sobject.name))
            if count:
                counts.append({"count": count, "name": sobject.name})
        return Response.of_json({"sObjects": counts})


def install(server: SalesforceServer) -> Rest:
    """Hang the resources into the server's router."""
    rest = Rest(server)
    add = server.router.add
    add("GET", "", rest.resources)
    add("GET", "sobjects", rest.describe_global)
    add("GET", "sobjects/{type}", rest.basic)
    add("POST", "sobjects/{type}", rest.create)
    add("GET", "sobjects/{type}/describe", rest.describe)
    add("GET", "sobjects/{type}/{id}", rest.get)
    add("PATCH", "sobjects/{type}/{id}", rest.update)
    add("DELETE", "sobjects/{type}/{id}", rest.delete)
    add("POST", "sobjects/{type}/{id}", rest.post_row)
    add("GET", "sobjects/{type}/{field}/{value}", rest.get_by_key)
    add("PATCH", "sobjects/{type}/{field}/{value}", rest.upsert)
    add("DELETE", "sobjects/{type}/{field}/{value}", rest.delete_by_key)
    add("GET POST DELETE", "sobjects/{type}/{id}/password", rest.password)
    add("GET", "query", rest.query)
    add("GET", "queryAll", rest.query_all)
    add("GET", "query/{locator}", rest.more)
    add("GET", "queryAll/{locator}", rest.more)
    for pattern, what in RESOURCES.items():
        add("GET POST PATCH PUT DELETE", pattern, _refuser(what, pattern), deep=True)
    add("GET", "limits", rest.limits)
    add("GET", "limits/recordCount", rest.record_count)
    return rest


def _refuser(what: str, pattern: str) -> Handler:
    def refuse(call: Call, *values: str) -> Response:
        raise NotImplementedHere(f"{what} (the resource /{pattern})")

    return refuse


def etag(row: Mapping[str, Any]) -> str:
    """The entity tag of an Account row: it changes with every save."""
    return f'"{quote(str(row.get("SystemModstamp")), safe="")}-{row["Id"]}"'


def _tags(header: str) -> list[str]:
    return [part.strip().removeprefix("W/").removesuffix("--gzip") for part in header.split(",")]


def _precondition() -> Failure:
    return Failure(412, "PRECONDITION_FAILED", "The precondition in the request header was not met")


def _http_date(text: str) -> datetime:
    try:
        at = parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError):
        raise Failure(400, "INVALID_HEADER_VALUE", f"Invalid date in a conditional request header: {text}") from None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at
