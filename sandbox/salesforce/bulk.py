"""Bulk API 2.0: ingest and query jobs.

Source: Bulk API 2.0 guide ("Upload Job Data", "Datafiles: Prepare CSV Files", "Get Job Results", limits) and recorded
answers. An ingest job's rows are written when the upload is declared complete; how many polls it then takes to be
seen as complete is set by `polls_until_complete`. Not verified: which code a job in the wrong state answers, and
where job-level messages are cut.
"""

from __future__ import annotations

import base64
import binascii
import csv
import email.policy
import io
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.parser import BytesParser
from random import Random
from typing import TYPE_CHECKING, Any

import orjson

from sandbox.kit.http import Response

from .collection import duplicate_key
from .errors import Failure, not_found
from .ids import to18
from .paths import Getter
from .records import Actor, Records
from .schema import COMPOUND_TYPES, Field, SObject
from .soql import TypeOf, parse

if TYPE_CHECKING:
    from .server import Call, SalesforceServer

DELIMITERS = {"BACKQUOTE": "`", "CARET": "^", "COMMA": ",", "PIPE": "|", "SEMICOLON": ";", "TAB": "\t"}
LINE_ENDINGS = {"LF": "\n", "CRLF": "\r\n"}
OPERATIONS = ("insert", "update", "upsert", "delete", "hardDelete")
MAX_UPLOAD = 150_000_000
RESULT_DAYS = 7
NOT_BULK = frozenset(
    "AcceptedEventRelation DeclinedEventRelation UndecidedEventRelation TaskStatus TaskPriority CaseStatus "
    "ContractStatus SolutionStatus PartnerRole RecentlyViewed EventWhoRelation TaskWhoRelation OrderStatus".split()
)
"""Objects that the Bulk API refuses and REST serves."""
csv.field_size_limit(MAX_UPLOAD)


@dataclass
class Job:
    """One job, ingest or query."""

    id: str
    kind: str
    operation: str
    object: str
    user: str
    created: datetime
    version: int
    delimiter: str
    line_ending: str
    key_field: str | None = None
    state: str = "Open"
    message: str | None = None
    data: bytes | None = None
    header: list[str] = field(default_factory=list)
    succeeded: list[list[str]] = field(default_factory=list)
    failed: list[list[str]] = field(default_factory=list)
    unprocessed: list[list[str]] = field(default_factory=list)
    polls_left: int = 0
    stuck: bool = False
    query: str = ""
    columns: list[tuple[str, Field, Getter]] = field(default_factory=list)
    rows: list[Any] = field(default_factory=list)
    deletable: bool = True


class Bulk:
    """All jobs of the organisation, and their handlers."""

    def __init__(self, server: SalesforceServer) -> None:
        self._server = server
        self.jobs: dict[str, Job] = {}
        self.polls_until_complete = 0
        self.shuffle = True
        self.nul_bytes = False
        """Put a NUL byte into the first text of each query result, as some organisations hold them."""

    # shared

    def _find(self, key: str, kind: str) -> Job:
        job = self.jobs.get(to18(key) or "")
        if job is None or job.kind != kind:
            raise not_found()
        return job

    def _info(self, job: Job) -> dict[str, Any]:
        at = f"{job.created:%Y-%m-%dT%H:%M:%S.000+0000}"
        body: dict[str, Any] = {
            "id": job.id,
            "operation": job.operation,
            "object": job.object,
            "createdById": job.user,
            "createdDate": at,
            "systemModstamp": at,
            "state": job.state,
            "concurrencyMode": "Parallel",
            "contentType": "CSV",
            "apiVersion": float(job.version),
            "lineEnding": job.line_ending,
            "columnDelimiter": job.delimiter,
            "jobType": "V2Ingest",
        }
        if job.kind == "query":
            body |= {
                "jobType": "V2Query",
                "numberRecordsProcessed": len(job.rows) if job.state == "JobComplete" else 0,
                "retries": 0,
                "totalProcessingTime": 0,
                "isPkChunkingSupported": False,
            }
        else:
            body |= {
                "contentUrl": f"services/data/v{job.version}.0/jobs/ingest/{job.id}/batches",
                "numberRecordsProcessed": len(job.succeeded) + len(job.failed),
                "numberRecordsFailed": len(job.failed),
                "retries": 0,
                "totalProcessingTime": 0,
                "apiActiveProcessingTime": 0,
                "apexProcessingTime": 0,
            }
            if job.key_field:
                body["externalIdFieldName"] = job.key_field
        if job.message:
            body["errorMessage"] = job.message
        return body

    def _format(self, body: Mapping[str, Any]) -> tuple[str, str]:
        delimiter, ending = str(body.get("columnDelimiter") or "COMMA"), str(body.get("lineEnding") or "LF")
        if body.get("contentType") not in (None, "CSV"):
            raise Failure(400, "INVALIDJOB", f"InvalidJob : Unsupported content type: {body['contentType']}")
        if delimiter not in DELIMITERS:
            raise Failure(400, "INVALIDJOB", f"InvalidJob : Unsupported column delimiter: {delimiter}")
        if ending not in LINE_ENDINGS:
            raise Failure(400, "INVALIDJOB", f"InvalidJob : Unsupported line ending: {ending}")
        return delimiter, ending

    def _listed(self, call: Call, kind: str) -> Response:
        jobs = [job for job in self.jobs.values() if job.kind == kind]
        return Response.of_json({"done": True, "records": [self._info(job) for job in jobs], "nextRecordsUrl": None})

    def _advance(self, job: Job) -> None:
        """What a poll sees: the states go by one after the other."""
        if job.state == "UploadComplete" and (job.polls_left or job.stuck):
            job.state = "InProgress"
        if job.state in ("UploadComplete", "InProgress") and not job.stuck:
            if job.polls_left:
                job.polls_left -= 1
            else:
                job.state = "Failed" if job.message else "JobComplete"

    def _begin(self, job: Job) -> bool:
        """Apply the bad days to a job that starts; False when it will not run."""
        days = self._server.bad_days
        job.polls_left = self.polls_until_complete
        if days.bulk_stuck_jobs:
            days.bulk_stuck_jobs -= 1
            job.stuck = True
            return False
        if days.bulk_failures:
            job.message = days.bulk_failures.pop(0)
            return False
        return True

    def release(self) -> int:
        """Let stuck jobs run; returns how many."""
        stuck = [job for job in self.jobs.values() if job.stuck and job.state in ("UploadComplete", "InProgress")]
        for job in stuck:
            job.stuck = False
            if job.kind == "ingest":
                self._ingest(job)
        return len(stuck)

    def delete(self, call: Call, key: str, kind: str) -> Response:
        """A job can go when it is not being worked on."""
        job = self._find(key, kind)
        if job.state in ("Open", "InProgress"):
            raise Failure(400, "INVALIDJOBSTATE", f"Deleting a job in state {job.state} is not allowed: {job.id}")
        del self.jobs[job.id]
        return Response(204)

    # ingest

    def create_ingest(self, call: Call) -> Response:
        content_type = call.request.headers.get("Content-Type", "")
        if content_type.lower().startswith("multipart/form-data"):
            return self._create_with_data(call, content_type)
        return Response.of_json(self._info(self._new_ingest(call, call.record())))

    def _new_ingest(self, call: Call, body: Mapping[str, Any]) -> Job:
        operation = str(body.get("operation"))
        if operation not in OPERATIONS:
            raise Failure(400, "INVALIDJOB", f"InvalidJob : Unsupported operation: {body.get('operation')}")
        name = str(body.get("object"))
        sobject = self._server.schema.object(name)
        if sobject is None or sobject.name in self._server.records.rules.no_access:
            raise Failure(400, "INVALIDENTITY", f"InvalidEntity : Entity '{name}' is not supported by the Bulk API.")
        if sobject.name in NOT_BULK:
            raise Failure(400, "API_ERROR", f"Entity '{sobject.name}' is not supported by the Bulk API.")
        key_field = body.get("externalIdFieldName")
        if operation == "upsert":
            found = sobject.field(str(key_field)) if key_field else None
            if found is None or not (found.id_lookup or found.external_id):
                raise Failure(
                    400,
                    "INVALIDJOB",
                    f"InvalidJob : Field name provided, '{key_field}' does not match an External ID, "
                    f"Salesforce Id, or indexed field for '{sobject.name}'",
                )
            key_field = found.name
        delimiter, ending = self._format(body)
        key = self._server.store.next_id_of("750")
        job = self.jobs[key] = Job(
            key,
            "ingest",
            operation,
            sobject.name,
            call.session.user,
            self._server.clock.now(),
            call.version,
            delimiter,
            ending,
            key_field,
        )
        return job

    def _create_with_data(self, call: Call, content_type: str) -> Response:
        message = BytesParser(policy=email.policy.HTTP).parsebytes(
            b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + call.request.body
        )
        parts: dict[str, bytes] = {}
        for part in message.iter_parts():
            payload = part.get_payload(decode=True)
            parts[str(part.get_param("name", header="content-disposition"))] = (
                payload if isinstance(payload, bytes) else b""
            )
        try:
            body = orjson.loads(parts.get("job") or b"")
        except orjson.JSONDecodeError as error:
            raise Failure(400, "JSON_PARSER_ERROR", f"{error}") from None
        if not isinstance(body, dict):
            raise Failure(400, "JSON_PARSER_ERROR", "The job part is required to be a JSON object")
        job = self._new_ingest(call, body)
        job.data = parts.get("content", b"")
        self._start(job)
        return Response.of_json(self._info(job))

    def upload(self, call: Call, key: str) -> Response:
        job = self._find(key, "ingest")
        if job.state != "Open" or job.data is not None:
            raise Failure(
                400,
                "INVALIDJOBSTATE",
                f"Found multiple contents for job: <{job.id}>, please 'Close' / 'Abort' / 'Delete' the "
                "current Job then create a new Job and make sure you only do 'PUT' once on a given Job.",
            )
        content_type = call.request.headers.get("Content-Type", "").split(";")[0].strip().lower()
        if content_type != "text/csv":
            raise Failure(
                415,
                "UNSUPPORTED_MEDIA_TYPE",
                f"Content-Type of job data must be text/csv, not {content_type or 'absent'}",
            )
        if len(call.request.body) > MAX_UPLOAD:
            raise Failure(413, "REQUEST_TOO_LARGE", "Job data must not exceed 150 MB")
        job.data = call.request.body
        return Response(201, records=0)

    def change(self, call: Call, key: str) -> Response:
        job = self._find(key, "ingest")
        state = call.record().get("state")
        if state == "UploadComplete" and job.state == "Open":
            self._start(job)
        elif state == "Aborted" and job.state in ("Open", "UploadComplete", "InProgress"):
            self._abort(job)
        else:
            raise Failure(400, "INVALIDJOBSTATE", f"Job state cannot change from {job.state} to {state}: {job.id}")
        return Response.of_json(self._info(job))

    def _abort(self, job: Job) -> None:
        job.state = "Aborted"
        if job.kind == "ingest" and not job.succeeded and not job.failed:
            _, rows = self._read(job)
            job.unprocessed = list(rows)

    def _start(self, job: Job) -> None:
        job.state = "UploadComplete"
        if self._begin(job):
            self._ingest(job)
        elif job.message:
            _, rows = self._read(job)
            job.unprocessed = list(rows)

    def _read(self, job: Job) -> tuple[list[str], Iterator[list[str]]]:
        text = (job.data or b"").decode("utf-8-sig", "replace")
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=DELIMITERS[job.delimiter], strict=False)
        rows = (row for row in reader if row)
        job.header = [name.strip() for name in next(rows, [])]
        return job.header, rows

    def _ingest(self, job: Job) -> None:
        """Write every row on its own; a failure of one is a line among the failed results."""
        try:
            header, rows = self._read(job)
            self._check_file(job, header)
            sobject = self._server.schema.object(job.object)
            assert sobject is not None
            columns = [column_of(sobject, name) for name in header]
            listed = list(rows)
            twice = self._repeated_keys(job, columns, listed)
        except Failure as failure:
            job.message = failure.message
            return
        except csv.Error as error:
            job.message = f"ClientInputError : Failed to parse CSV. {error}"
            return
        actor = Actor(job.user, float(job.version))
        for row in listed:
            if len(row) != len(header):
                job.failed.append(
                    [
                        "",
                        f"INVALID_FIELD:Number of columns ({len(row)}) does not match the header ({len(header)}):--",
                        *row,
                    ]
                )
                continue
            try:
                if twice and (value := row[columns.index((job.key_field or "",))]).casefold() in twice:
                    raise duplicate_key(value, str(job.key_field))
                key, created = self._write(job, sobject, columns, row, actor)
                job.succeeded.append([key, str(created).lower(), *row])
            except Failure as failure:
                place = _id_place(header) if job.operation not in ("insert", "upsert") else None
                known = row[place] if place is not None else ""
                failure.extra = {}
                job.failed.append([known, failure.bulk(), *row])

    @staticmethod
    def _repeated_keys(job: Job, columns: list[tuple[str, ...]], rows: list[list[str]]) -> set[str]:
        if job.operation != "upsert" or not job.key_field:
            return set()
        place = columns.index((job.key_field,))
        counts = Counter(row[place].casefold() for row in rows if len(row) > place and row[place])
        return {key for key, count in counts.items() if count > 1}

    def _check_file(self, job: Job, header: list[str]) -> None:
        body = job.data or b""
        first = body.split(b"\n", 1)[0]
        if body and b"\n" in body and first.endswith(b"\r") != (job.line_ending == "CRLF"):
            raise Failure(
                400,
                "CLIENTINPUTERROR",
                f"ClientInputError : LineEnding is invalid on user data. Current LineEnding setting is "
                f"{job.line_ending}",
            )
        if not header:
            raise Failure(400, "INVALIDBATCH", "InvalidBatch : Failed to parse the CSV header row")
        if job.operation in ("update", "delete", "hardDelete") and _id_place(header) is None:
            raise Failure(400, "INVALIDBATCH", "InvalidBatch : Field name not found : Id")
        if (
            job.operation == "upsert"
            and job.key_field
            and job.key_field.lower() not in (name.lower() for name in header)
        ):
            raise Failure(400, "INVALIDBATCH", f"InvalidBatch : Field name not found : {job.key_field}")

    def _write(
        self, job: Job, sobject: SObject, columns: list[tuple[str, ...]], row: list[str], actor: Actor
    ) -> tuple[str, bool]:
        data: dict[str, Any] = {}
        key = ""
        for path, cell in zip(columns, row, strict=True):
            if cell == "":
                continue  # an empty cell leaves the field alone
            value = None if cell == "#N/A" else cell
            if path == ("Id",):
                key = cell
            elif len(path) == 1:
                data[path[0]] = value
            elif value is not None:
                data[path[0]] = {**({"attributes": {"type": path[2]}} if len(path) == 3 else {}), path[1]: value}
        return write_row(self._server.records, job.operation, sobject, job.key_field, key, data, actor)

    def ingest_info(self, call: Call, key: str) -> Response:
        job = self._find(key, "ingest")
        self._advance(job)
        return Response.of_json(self._info(job))

    def ingest_results(self, call: Call, key: str, which: str) -> Response:
        job = self._find(key, "ingest")
        self._advance(job)
        if which.lower() == "unprocessedrecords":
            return self._csv(job, job.header, job.unprocessed)
        if which == "successfulResults":
            header, rows = ["sf__Id", "sf__Created", *job.header], list(job.succeeded)
        elif which == "failedResults":
            header, rows = ["sf__Id", "sf__Error", *job.header], list(job.failed)
        else:
            raise not_found()
        if job.state not in ("JobComplete", "Failed", "Aborted"):
            rows = []
        if self.shuffle:
            Random(job.id + which).shuffle(rows)
        return self._csv(job, header, rows)

    def _csv(
        self, job: Job, header: list[str], rows: list[list[str]], *, headers: list[tuple[str, str]] | None = None
    ) -> Response:
        out = io.StringIO(newline="")
        writer = csv.writer(
            out,
            delimiter=DELIMITERS[job.delimiter],
            quoting=csv.QUOTE_ALL,
            lineterminator=LINE_ENDINGS[job.line_ending],
        )
        if header:
            writer.writerow(header)
        writer.writerows(rows)
        return Response(
            200, out.getvalue().encode(), [("Content-Type", "text/csv"), *(headers or [])], records=len(rows)
        )

    # query

    def create_query(self, call: Call) -> Response:
        body = call.record()
        operation, text = body.get("operation"), body.get("query")
        if operation not in ("query", "queryAll") or not isinstance(text, str):
            raise Failure(
                400, "INVALIDJOB", "InvalidJob : operation must be query or queryAll, and query must be given"
            )
        delimiter, ending = self._format(body)
        self.check_query(text)
        result = self._server.engine.run(text, user=call.session.user, everything=operation == "queryAll")
        columns = result.columns()
        if columns is None:
            raise Failure(400, "API_ERROR", "Function or aggregate expressions not supported in Bulk Query")
        if any(found.type in COMPOUND_TYPES for _, found, _ in columns):
            raise Failure(400, "API_ERROR", "Selecting compound data not supported in Bulk Query")
        key = self._server.store.next_id_of("750")
        name = self._server.schema.object(parse(text).sources[0].path.text)
        job = self.jobs[key] = Job(
            key,
            "query",
            operation,
            name.name if name else "",
            call.session.user,
            self._server.clock.now(),
            call.version,
            delimiter,
            ending,
            state="UploadComplete",
            query=text,
            columns=columns,
            rows=result.rows,
        )
        self._begin(job)
        return Response.of_json(self._info(job))

    def check_query(self, text: str) -> None:
        """Raises Failure for a query that only REST runs."""
        query = parse(text)
        name = query.sources[0].path.text
        if name in NOT_BULK:
            raise Failure(400, "API_ERROR", f"Entity '{name}' is not supported by the Bulk API.")
        if query.group_by or query.offset or any(isinstance(one, TypeOf) for one in query.select):
            raise Failure(400, "API_ERROR", "GROUP BY, OFFSET and TYPEOF are not supported in Bulk Query")
        if any(not hasattr(one, "what") and not isinstance(one, TypeOf) for one in query.select):
            raise Failure(400, "API_ERROR", "Aggregate Relationships not supported in Bulk Query")

    def query_info(self, call: Call, key: str) -> Response:
        job = self._find(key, "query")
        self._advance(job)
        return Response.of_json(self._info(job))

    def change_query(self, call: Call, key: str) -> Response:
        job = self._find(key, "query")
        if call.record().get("state") != "Aborted" or job.state not in ("UploadComplete", "InProgress"):
            raise Failure(400, "INVALIDJOBSTATE", f"Aborting already Completed Job not allowed. job_id: {job.id}")
        job.state = "Aborted"
        return Response.of_json(self._info(job))

    def query_results(self, call: Call, key: str) -> Response:
        job = self._find(key, "query")
        if call.version != job.version:
            raise Failure(
                409,
                "API_VERSION_MISMATCH",
                f"Results must be fetched with the API version of the job, {job.version}.0, not {call.version}.0",
            )
        self._advance(job)
        if job.state != "JobComplete" or self._server.clock.now() - job.created > timedelta(days=RESULT_DAYS):
            raise Failure(400, "INVALIDJOBSTATE", f"Results are not available: job {job.id} is {job.state}")
        start = _offset(call.request.param("locator"))
        size = _positive(call.request.param("maxRecords")) or 250_000
        rows = job.rows[start : start + size]
        end = start + len(rows)
        locator = base64.b64encode(str(end).encode()).decode().rstrip("=") if end < len(job.rows) else "null"
        cells = [[cell_text(get(row), found) for _, found, get in job.columns] for row in rows]
        if self.nul_bytes and cells:
            cells[0] = [c[:1] + "\0" + c[1:] if i == len(cells[0]) - 1 else c for i, c in enumerate(cells[0])]
        return self._csv(
            job,
            [name for name, _, _ in job.columns],
            cells,
            headers=[("Sforce-Locator", locator), ("Sforce-NumberOfRecords", str(len(rows)))],
        )


def write_row(
    records: Records, operation: str, sobject: SObject, key_field: str | None, key: str, data: dict[str, Any],
    actor: Actor,
) -> tuple[str, bool]:  # fmt: skip
    """One row of an ingest job of either Bulk API: its id, and whether it is new. Raises Failure."""
    if operation == "insert":
        return records.create(sobject.name, data, actor), True
    if operation == "update":
        return records.update(sobject.name, key, data, actor), False
    if operation == "upsert":
        field_name = key_field or "Id"
        value = key or None if field_name == "Id" else data.get(field_name)
        try:
            return records.upsert(sobject.name, field_name, value, data, actor)
        except Failure as failure:
            failure.status = 400
            raise
    if operation == "delete":
        records.delete(sobject.name, key, actor)
    else:
        records.hard_delete(sobject.name, key, actor)
    return to18(key) or key, False


def column_of(sobject: SObject, name: str) -> tuple[str, ...]:
    """A column heading: a field, `Relationship.Key`, or `Type:Relationship.Key`. Raises Failure for any other."""
    kind, _, path = name.rpartition(":")
    if "." in path:
        relationship, _, key = path.partition(".")
        if sobject.parent(relationship) is not None:
            return (relationship, key, kind) if kind else (relationship, key)
    found = sobject.field(name)
    if found is None:
        raise Failure(400, "INVALIDBATCH", f"InvalidBatch : Field name not found : {name}")
    return (found.name,)


def _id_place(header: list[str]) -> int | None:
    return next((place for place, name in enumerate(header) if name.lower() == "id"), None)


def cell_text(value: Any, found: Field) -> str:
    """A value as Bulk results write it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if found.type == "datetime":
        return str(value).replace("+0000", "Z")
    return str(value)


def _offset(locator: str | None) -> int:
    if not locator:
        return 0
    try:
        return int(base64.b64decode(locator + "=" * (-len(locator) % 4), validate=True).decode("ascii"))
    except (binascii.Error, ValueError):
        raise Failure(400, "INVALID_QUERY_LOCATOR", f"Invalid locator: {locator}") from None


def _positive(text: str | None) -> int | None:
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or int(text[:12]) < 1:
        raise Failure(400, "INVALID_INPUT", f"maxRecords must be a positive number, not {text}")
    return int(text[:12])


def install(server: SalesforceServer) -> Bulk:
    """Hang the resources into the server's router."""
    bulk = Bulk(server)
    add = server.router.add
    add("GET", "jobs/ingest", lambda call: bulk._listed(call, "ingest"))
    add("POST", "jobs/ingest", bulk.create_ingest)
    add("GET", "jobs/ingest/{id}", bulk.ingest_info)
    add("PATCH", "jobs/ingest/{id}", bulk.change)
    add("DELETE", "jobs/ingest/{id}", lambda call, key: bulk.delete(call, key, "ingest"))
    add("PUT", "jobs/ingest/{id}/batches", bulk.upload)
    add("GET", "jobs/ingest/{id}/{results}", bulk.ingest_results)
    add("GET", "jobs/query", lambda call: bulk._listed(call, "query"))
    add("POST", "jobs/query", bulk.create_query)
    add("GET", "jobs/query/{id}", bulk.query_info)
    add("PATCH", "jobs/query/{id}", bulk.change_query)
    add("DELETE", "jobs/query/{id}", lambda call, key: bulk.delete(call, key, "query"))
    add("GET", "jobs/query/{id}/results", bulk.query_results)
    return bulk
