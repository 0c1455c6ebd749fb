"""Bulk API 1.0: jobs and batches in JSON, CSV and XML, as older clients use them.

Source: Bulk API guide ("Work with Jobs", "Work with Batches", "PK Chunking", "Bulk API Limits") and recorded answers.
Batches are worked off when they are added; `Bulk.polls_until_complete` says how many looks it takes to see them done.
A job is described in JSON to a client that sends or accepts JSON, in XML to any other; a batch in JSON if its job's
data are JSON or the client accepts JSON alone, else in XML, whatever it sends (tap-salesforce reads so from live
organisations). Not verified: texts of job errors.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson

from sandbox.kit.http import Request, Response

from .bulk import NOT_BULK, OPERATIONS, Bulk, write_row
from .bulk_v1_data import CONTENT_TYPES, NAMESPACE, BulkError, as_xml, description, query_rows, read, results
from .errors import Failure
from .ids import to18
from .records import Actor
from .results import Result, View
from .schema import COMPOUND_TYPES, SObject

if TYPE_CHECKING:
    from .server import SalesforceServer

OLDEST, NEWEST = 31, 68
MAX_BATCH_RECORDS, MAX_BATCH_BYTES = 10_000, 10_000_000
CHUNK, MAX_CHUNK, RESULT_ROWS = 100_000, 250_000, 250_000
_PATH = re.compile(r"/services/async/(\d{1,3})\.0(?:/(.*))?\Z")


@dataclass
class Batch:
    """One batch of a job: what was sent, and what became of it."""

    id: str
    request: bytes
    created: datetime
    state: str = "Queued"
    message: str | None = None
    outcomes: list[dict[str, Any]] = field(default_factory=list)
    result: Result | None = None
    rows: list[Any] = field(default_factory=list)
    result_ids: list[str] = field(default_factory=list)
    polls_left: int = 0
    stuck: bool = False

    @property
    def processed(self) -> int:
        """Records that were worked on."""
        return len(self.outcomes) or len(self.rows)


@dataclass
class Job:
    """One job with its batches."""

    id: str
    operation: str
    object: str
    content_type: str
    user: str
    created: datetime
    version: int
    key_field: str | None = None
    serial: bool = False
    chunk: int = 0
    state: str = "Open"
    batches: list[Batch] = field(default_factory=list)

    @property
    def querying(self) -> bool:
        """Whether the job reads."""
        return self.operation in ("query", "queryAll")


class BulkV1:
    """All jobs of Bulk API 1.0, and their door."""

    def __init__(self, server: SalesforceServer, bulk: Bulk) -> None:
        self._server = server
        self._bulk = bulk
        self.jobs: dict[str, Job] = {}

    def snapshot(self) -> dict[str, Job]:
        """The jobs, apart from later changes."""
        return _copied(self.jobs)

    def restore(self, jobs: dict[str, Job]) -> None:
        """Back to a snapshot."""
        self.jobs = _copied(jobs)

    def release(self) -> int:
        """Let stuck batches run; answers how many."""
        stuck = [(job, one) for job in self.jobs.values() for one in job.batches if one.stuck]
        for job, batch in stuck:
            batch.stuck = False
            self._work(job, batch)
        return len(stuck)

    # -- the door -----------------------------------------------------------------------------------------------------

    def handle(self, request: Request) -> Response:
        """Answer a request under /services/async/."""
        try:
            return self._route(request)
        except BulkError as error:
            body = {"exceptionCode": error.code, "exceptionMessage": error.message}
            return self._described(request, "error", body, error.status)

    def _route(self, request: Request) -> Response:
        found = _PATH.match(request.path)
        if not found or not OLDEST <= int(found[1]) <= NEWEST:
            raise BulkError(400, "InvalidVersion", "Unsupported API version")
        bearer = request.headers.get("Authorization", "").partition(" ")[2]
        token = request.headers.get("X-SFDC-Session", "") or bearer
        session = self._server.sessions.find(token.strip(), self._server.clock.now())
        if session is None:
            raise BulkError(400, "InvalidSessionId", "Invalid session id")
        if not self._server.quota.spend(self._server.clock.now()):
            raise BulkError(400, "ExceededQuota", "ApiRequests Limit exceeded.")
        method, parts = request.method, [part for part in (found[2] or "").split("/") if part]
        match method, parts:
            case "POST", ["job"]:
                return self._create(request, session.user, int(found[1]))
            case "GET", ["job", job_id]:
                return self._described(request, "jobInfo", self._info(self._job(job_id)))
            case "POST", ["job", job_id]:
                return self._change(request, self._job(job_id))
            case "POST", ["job", job_id, "batch"]:
                return self._add(request, self._job(job_id))
            case "GET", ["job", job_id, "batch"]:
                return self._batches(request, self._job(job_id))
            case "GET", ["job", job_id, "batch", batch_id, *rest]:
                job = self._job(job_id)
                return self._batch(request, job, self._find(job, batch_id), rest)
        if parts[:1] == ["job"]:
            raise BulkError(405, "MethodNotAllowed", f"HTTP Method '{method}' not allowed")
        raise BulkError(404, "InvalidUrl", f"Destination URL not correctly formatted: {request.path}")

    @staticmethod
    def _described(request: Request, root: str, body: dict[str, Any], status: int = 200) -> Response:
        asked = (request.headers.get("Accept", "") + request.headers.get("Content-Type", "")).lower()
        if "json" in asked:
            return Response(status, orjson.dumps(body), [("Content-Type", CONTENT_TYPES["JSON"])])
        text = as_xml(root, body).encode()
        return Response(status, text, [("Content-Type", "application/xml")])

    def _job(self, key: str) -> Job:
        job = self.jobs.get(to18(key) or "")
        if job is None:
            raise BulkError(400, "InvalidJob", f"Invalid job id: {key}")
        return job

    @staticmethod
    def _find(job: Job, key: str) -> Batch:
        full = to18(key)
        for batch in job.batches:
            if batch.id == full:
                if not batch.stuck and batch.state in ("Queued", "InProgress"):
                    batch.state = "InProgress" if batch.polls_left else ("Failed" if batch.message else "Completed")
                    batch.polls_left = max(0, batch.polls_left - 1)
                return batch
        raise BulkError(400, "InvalidBatch", f"Unable to find batch id: {key}")

    # -- jobs ---------------------------------------------------------------------------------------------------------

    def _create(self, request: Request, user: str, version: int) -> Response:
        body = description(request.body, request.headers.get("Content-Type", "").lower())
        operation, content = str(body.get("operation")), str(body.get("contentType") or "XML")
        operation = {"harddelete": "hardDelete", "queryall": "queryAll"}.get(operation.lower(), operation.lower())
        if operation not in (*OPERATIONS, "query", "queryAll"):
            raise BulkError(400, "InvalidJob", f"Unknown operation: {body.get('operation')}")
        if content not in CONTENT_TYPES:
            raise BulkError(501, "FeatureNotEnabled", f"The practice server does not implement the type {content}")
        sobject = self._object(str(body.get("object")))
        key_field = self._key_field(sobject, body.get("externalIdFieldName")) if operation == "upsert" else None
        serial = str(body.get("concurrencyMode", "Parallel")) in ("Serial", "1")
        key = self._server.store.next_id_of("750")
        job = self.jobs[key] = Job(
            key, operation, sobject.name, content, user, self._server.clock.now(), version, key_field, serial,
            _chunk(request.headers.get("Sforce-Enable-PKChunking", "")) if operation.startswith("query") else 0,
        )  # fmt: skip
        return self._described(request, "jobInfo", self._info(job), 201)

    def _object(self, name: str) -> SObject:
        found = self._server.schema.object(name)
        if found is None or found.name in self._server.records.rules.no_access or found.name in NOT_BULK:
            raise BulkError(400, "InvalidEntity", f"Entity '{name}' is not supported by the Bulk API.")
        return found

    @staticmethod
    def _key_field(sobject: SObject, name: Any) -> str:
        found = sobject.field(str(name)) if name else None
        if found is None or not (found.id_lookup or found.external_id):
            raise BulkError(
                400, "InvalidJob",
                f"Field name provided, '{name}' does not match an External ID for '{sobject.name}'",
            )  # fmt: skip
        return found.name

    def _change(self, request: Request, job: Job) -> Response:
        state = description(request.body, request.headers.get("Content-Type", "").lower()).get("state")
        if state not in ("Closed", "Aborted"):
            raise BulkError(400, "InvalidJobState", f"Cannot change the state of a job to {state}")
        if job.state == "Aborted" or (job.state == "Closed" and state == "Aborted" and not self._pending(job)):
            raise BulkError(400, "InvalidJobState", f"Job is already {job.state}")
        job.state = state
        for batch in job.batches if state == "Aborted" else ():
            if batch.stuck:
                batch.stuck, batch.state = False, "NotProcessed"
        return self._described(request, "jobInfo", self._info(job))

    @staticmethod
    def _pending(job: Job) -> bool:
        return any(one.stuck for one in job.batches)

    def _info(self, job: Job) -> dict[str, Any]:
        at = f"{job.created:%Y-%m-%dT%H:%M:%S.000Z}"
        states = [one.state for one in job.batches]
        outcomes = [row for one in job.batches for row in one.outcomes]
        return {
            "id": job.id,
            "operation": job.operation,
            "object": job.object,
            "createdById": job.user,
            "createdDate": at,
            "systemModstamp": at,
            "state": job.state,
            "externalIdFieldName": job.key_field,
            "concurrencyMode": "Serial" if job.serial else "Parallel",
            "contentType": job.content_type,
            "numberBatchesQueued": states.count("Queued"),
            "numberBatchesInProgress": states.count("InProgress"),
            "numberBatchesCompleted": states.count("Completed"),
            "numberBatchesFailed": states.count("Failed"),
            "numberBatchesTotal": len(states),
            "numberRecordsProcessed": sum(one.processed for one in job.batches),
            "numberRetries": 0,
            "apiVersion": float(job.version),
            "numberRecordsFailed": sum(not row["success"] for row in outcomes),
            "totalProcessingTime": 0,
            "apiActiveProcessingTime": 0,
            "apexProcessingTime": 0,
        }

    # -- batches ------------------------------------------------------------------------------------------------------

    def _add(self, request: Request, job: Job) -> Response:
        if job.state != "Open":
            raise BulkError(400, "InvalidJobState", f"Cannot add a batch to a job that is {job.state}")
        if len(request.body) > MAX_BATCH_BYTES:
            raise BulkError(400, "ExceededQuota", "Batch data exceeds 10,000,000 bytes")
        batch = self._new_batch(job, request.body)
        days = self._server.bad_days
        batch.polls_left = self._bulk.polls_until_complete
        if days.bulk_stuck_jobs:
            days.bulk_stuck_jobs -= 1
            batch.stuck, batch.state = True, "InProgress"
        elif days.bulk_failures:
            batch.message = days.bulk_failures.pop(0)
        else:
            self._work(job, batch)
        info = self._batch_info(job, batch)
        if not batch.stuck and batch.state != "NotProcessed":
            info |= {"state": "Queued", "stateMessage": None, "numberRecordsProcessed": 0, "numberRecordsFailed": 0}
        return _batch_answer(request, job, as_xml("batchInfo", info), info, 201)

    def _new_batch(self, job: Job, body: bytes) -> Batch:
        batch = Batch(self._server.store.next_id_of("751"), body, self._server.clock.now())
        job.batches.append(batch)
        return batch

    def _work(self, job: Job, batch: Batch) -> None:
        try:
            self._query(job, batch) if job.querying else self._ingest(job, batch)
        except Failure as failure:
            code = "" if failure.message.startswith("Invalid") else f"InvalidBatch : {failure.code}: "
            batch.message = code + failure.message

    def _ingest(self, job: Job, batch: Batch) -> None:
        sobject = self._server.schema.object(job.object)
        if sobject is None:
            raise Failure(400, "INVALIDENTITY", f"InvalidEntity : {job.object} is gone")
        rows = read(batch.request, job.content_type, sobject)
        if len(rows) > MAX_BATCH_RECORDS:
            raise Failure(400, "EXCEEDEDQUOTA", "InvalidBatch : Too many records in the batch: 10,000 are allowed")
        actor = Actor(job.user, float(job.version))
        batch.outcomes = [self._one(job, sobject, row, actor) for row in rows]

    def _one(self, job: Job, sobject: SObject, row: dict[str, Any], actor: Actor) -> dict[str, Any]:
        data = {key: value for key, value in row.items() if key.lower() not in ("id", "attributes")}
        key = next((str(value) for name, value in row.items() if name.lower() == "id" and value), "")
        canonical = {found.name: value for name, value in data.items() if (found := sobject.field(name))}
        data = {**{n: v for n, v in data.items() if sobject.field(n) is None}, **canonical}
        try:
            made, created = write_row(self._server.records, job.operation, sobject, job.key_field, key, data, actor)
        except Failure as failure:
            error = {k: v for k, v in failure.result().items() if k in ("statusCode", "message", "fields")}
            error["extendedErrorDetails"] = None
            return {"success": False, "created": False, "id": key or None, "errors": [error]}
        return {"success": True, "created": created, "id": made, "errors": []}

    def _query(self, job: Job, batch: Batch) -> None:
        text = batch.request.decode("utf-8", "replace").strip()
        self._bulk.check_query(text)
        result = self._server.engine.run(text, user=job.user, everything=job.operation == "queryAll")
        columns = result.columns()
        if columns is None or any(found.type in COMPOUND_TYPES for _, found, _ in columns):
            raise Failure(
                400, "FEATURENOTENABLED", "InvalidBatch : Selecting compound data not supported in Bulk Query"
            )
        if not job.chunk:
            self._complete(batch, result, result.rows)
            return
        batch.state = "NotProcessed"
        rows = sorted(result.rows, key=lambda row: str(row.get("Id")))
        for start in range(0, len(rows), job.chunk):
            self._complete(self._new_batch(job, batch.request), result, rows[start : start + job.chunk])

    def _complete(self, batch: Batch, result: Result, rows: list[Any]) -> None:
        batch.result, batch.rows = result, rows
        count = max(1, -(-len(rows) // RESULT_ROWS))
        batch.result_ids = [self._server.store.next_id_of("752") for _ in range(count)]

    def _batch_info(self, job: Job, batch: Batch) -> dict[str, Any]:
        at = f"{batch.created:%Y-%m-%dT%H:%M:%S.000Z}"
        return {
            "id": batch.id,
            "jobId": job.id,
            "state": batch.state,
            "stateMessage": batch.message if batch.state == "Failed" else None,
            "createdDate": at,
            "systemModstamp": at,
            "numberRecordsProcessed": batch.processed,
            "numberRecordsFailed": sum(not row["success"] for row in batch.outcomes),
            "totalProcessingTime": 0,
            "apiActiveProcessingTime": 0,
            "apexProcessingTime": 0,
        }

    def _batches(self, request: Request, job: Job) -> Response:
        infos = [self._batch_info(job, self._find(job, one.id)) for one in list(job.batches)]
        inner = "".join(as_xml("batchInfo", one).split("?>", 1)[1] for one in infos)
        text = f'<?xml version="1.0" encoding="UTF-8"?><batchInfoList xmlns="{NAMESPACE}">{inner}</batchInfoList>'
        return _batch_answer(request, job, text, {"batchInfo": infos})

    def _batch(self, request: Request, job: Job, batch: Batch, rest: Iterable[str]) -> Response:
        kind = [("Content-Type", CONTENT_TYPES[job.content_type])]
        match list(rest):
            case []:
                info = self._batch_info(job, batch)
                return _batch_answer(request, job, as_xml("batchInfo", info), info)
            case ["request"]:
                return Response(200, batch.request, kind)
            case ["result", *which]:
                if batch.state != "Completed":
                    raise BulkError(400, "InvalidBatch", f"Batch not completed: {batch.state}")
                if job.querying:
                    return self._query_result(job, batch, which, kind)
                body = results(batch.outcomes, job.content_type)
                return Response(200, body, kind, records=len(batch.outcomes))
        raise BulkError(404, "InvalidUrl", f"Destination URL not correctly formatted: {request.path}")

    def _query_result(self, job: Job, batch: Batch, which: list[str], kind: list[tuple[str, str]]) -> Response:
        if not which:
            if job.content_type == "JSON":
                return Response(200, orjson.dumps(batch.result_ids), kind)
            inner = "".join(f"<result>{one}</result>" for one in batch.result_ids)
            text = f'<result-list xmlns="{NAMESPACE}">{inner}</result-list>'
            return Response(200, text.encode(), [("Content-Type", "application/xml")])
        key = to18(which[0])
        if key not in batch.result_ids or batch.result is None or len(which) > 1:
            raise BulkError(400, "InvalidBatch", f"Unable to find result id: {which[0]}")
        start = batch.result_ids.index(key) * RESULT_ROWS
        rows = batch.rows[start : start + RESULT_ROWS]
        view = View(f"/services/data/v{job.version}.0", lambda result, view: None)
        return Response(200, query_rows(batch.result, rows, view, job.content_type), kind, records=len(rows))


def _batch_answer(request: Request, job: Job, xml: str, described: dict[str, Any], status: int = 200) -> Response:
    """The description of one batch or of all, in the format of the job's data."""
    as_json = job.content_type == "JSON" or "json" in request.headers.get("Accept", "").lower()
    body = orjson.dumps(described) if as_json else xml.encode()
    return Response(status, body, [("Content-Type", CONTENT_TYPES["JSON" if as_json else "XML"])])


def _copied(jobs: dict[str, Job]) -> dict[str, Job]:
    return {key: replace(job, batches=[replace(one) for one in job.batches]) for key, job in jobs.items()}


def _chunk(header: str) -> int:
    """Rows per batch that PK chunking asks for; 0 where it does not."""
    asked = header.lower().replace(" ", "")
    if not asked or asked == "false":
        return 0
    found = re.search(r"chunksize=(\d{1,9})", asked)
    return min(max(int(found[1]), 1), MAX_CHUNK) if found else CHUNK
