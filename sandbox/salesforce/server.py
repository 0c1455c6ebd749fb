"""The Salesforce practice server: doors, authentication, limits, and the state behind them.

What each resource answers is in `rest`, `composite`, `bulk`, `replication`, `search`, `oauth` and `soap`; what a
record may hold in `records`. Sources: REST API guide, App Limits cheat sheet, and answers recorded by public
projects. Behaviour that is not known for sure is switched in `Settings`.
"""

from __future__ import annotations

import copy
import re
import uuid
from collections.abc import Mapping, Set
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import orjson

from sandbox.kit.faults import Fault
from sandbox.kit.http import BadJson, Request, Response
from sandbox.kit.server import PracticeServer

from . import (
    behaviour,
    bulk,
    collection,
    composite,
    identity,
    json_errors,
    organisation,
    population,
    recent,
    replication,
    rest,
    search,
    tooling,
)
from .bad_days import BadDays
from .bulk_v1 import BulkV1
from .bulk_v1 import Job as JobV1
from .errors import Failure, NotImplementedHere, not_found
from .missing import refuse_door
from .oauth import OAuth
from .oauth_web import Code
from .paths import Getter, Zone
from .query import Engine, all_fields
from .records import Actor, Records, Rules, Settings
from .router import Match, Router
from .schema import standard_schema
from .sessions import Quota, Session, Sessions
from .soap import Soap
from .store import Row, Store
from .values import stamp
from .views import Views

OLDEST_VERSION, NEWEST_VERSION = 31, 68
MAX_URI_AND_HEADERS = 16_384
CLIENT_ID, CLIENT_SECRET, PASSWORD = "3MVG9practice.client.id", "practice-client-secret", "practice-password"
_VERSIONED = re.compile(r"/services/data/v(\d{1,3})\.(\d)(?=/|\.(?:json|xml)\Z|\Z)(.*)", re.DOTALL)


@dataclass
class Call:
    """One authenticated request to a versioned resource."""

    request: Request
    version: int
    session: Session
    actor: Actor

    @property
    def base(self) -> str:
        """/services/data/vNN.0."""
        return f"/services/data/v{self.version}.0"

    def body(self) -> Any:
        """The JSON body. Raises Failure with the code and the place that the real parser gives."""
        kind = self.request.headers.get("Content-Type", "application/json").split(";")[0].strip().lower()
        if kind != "application/json":
            raise Failure(415, "UNSUPPORTED_MEDIA_TYPE", f"Content-Type not supported: {kind}")
        try:
            return orjson.loads(self.request.body)
        except orjson.JSONDecodeError as error:
            raise json_errors.refusal(self.request.body, error) from None

    def record(self) -> dict[str, Any]:
        """The JSON body as one record. Raises Failure."""
        body = self.body()
        if not isinstance(body, dict):
            text = "Cannot deserialize instance of SObject from START_ARRAY value [ or request may be missing a "
            raise Failure(400, "JSON_PARSER_ERROR", f"{text}required field at [line:1, column:1]")
        return body


@dataclass(frozen=True)
class _State:
    """A snapshot of everything that requests can change."""

    schema: object
    rows: Any
    rules: Rules
    settings: Settings
    sessions: Sessions
    quota: Quota
    views: Views
    cursors: dict[str, rest.Cursor]
    jobs: dict[str, bulk.Job]
    jobs_v1: dict[str, JobV1]
    refresh_tokens: dict[str, tuple[str, str]]
    codes: dict[str, Code]
    passwords: dict[str, str]
    bad_days: Any


class SalesforceServer(PracticeServer):
    """A Salesforce organisation on loopback."""

    name: ClassVar[str] = "salesforce"

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.schema = standard_schema()
        self.store = Store(self.schema)
        self.records = Records(self.store, self.schema, self.clock.now)
        self.organisation_id, self.admin_id = organisation.found_organisation(
            self.store, self.schema, stamp(self.clock.now())
        )
        self.sessions = Sessions(self.organisation_id, self.seed)
        self.quota = Quota()
        self.engine = Engine(self.records, self._zone)
        self.cursors = rest.Cursors()
        self.router = Router()
        self.rest = rest.install(self)
        for part in (collection, composite, recent, replication, search):
            part.install(self)
        self.tooling = tooling.install(self)
        self.bulk = bulk.install(self)
        self.bulk_v1 = BulkV1(self, self.bulk)
        self.bad_days = BadDays(self)
        self.conditions = self.bad_days.names()
        self.fault_kinds = {"quota": _quota_fault, "session": _session_fault, "lock": _lock_fault}
        self.oauth = OAuth(self)
        self.soap = Soap(self)
        self.app = self.oauth.add_app(CLIENT_ID, CLIENT_SECRET, self.admin_id)
        self.oauth.passwords[self.admin_id] = PASSWORD
        self.schema_changed = self.clock.now().replace(microsecond=0)
        self._readers: dict[str, list[tuple[str, Getter]]] = {}
        self._first_token = self.sessions.issue(self.admin_id)

    # the protocol

    def handle(self, request: Request) -> Response:
        """Answer one request of any of the APIs."""
        try:
            self._check_size(request)
            response = self._route(request)
        except Failure as failure:
            response = answer(failure)
        response.headers.append(("X-SFDC-Request-Id", uuid.uuid4().hex))
        if request.path.startswith("/services/data/v"):
            usage = f"api-usage={self.quota.used(self.clock.now())}/{self.quota.limit}"
            response.headers.append(("Sforce-Limit-Info", usage))
        return response

    def _check_size(self, request: Request) -> None:
        uri = len(request.path) + sum(len(k) + len(v) + 2 for k, v in request.query)
        headers = sum(len(name) + len(value) + 4 for name, value in request.headers.items())
        if uri + headers > MAX_URI_AND_HEADERS:
            raise Failure(414, "URI_TOO_LONG", "The length of the URI exceeds the 16,384 byte limit.")

    def _route(self, request: Request) -> Response:
        found = _VERSIONED.match(request.path)
        if not found:
            return self._unversioned(request)
        version, minor = int(found[1]), found[2]
        if minor != "0" or version > NEWEST_VERSION or version < 6:
            raise not_found()
        if version < OLDEST_VERSION:
            raise Failure(410, "UNSUPPORTED_API_VERSION", f"The requested API version {version}.0 is retired")
        session = self.authenticate(request)
        if not self.quota.spend(self.clock.now()):
            raise Failure(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
        _refuse_xml(request)
        match = self._match(request)
        call = Call(request, version, session, self._actor(request, session, version))
        try:
            response = self._call(match, call)
        except Failure as failure:
            response = answer(failure)
        return response

    def _unversioned(self, request: Request) -> Response:
        path = _plain(request.path.rstrip("/"))
        refuse_door(path)
        response: Response | None = None
        if path == "/services/data":
            _refuse_xml(request)
            response = rest.versions()
        elif path.startswith("/services/oauth2/"):
            response = self.oauth.handle(request, path.removeprefix("/services/oauth2/"))
        elif path.startswith("/services/Soap/"):
            response = self.soap.handle(request)
        elif path.startswith("/services/async/"):
            response = self.bulk_v1.handle(request)
        elif path.startswith("/services/apexrest/"):
            self.authenticate(request)
            raise not_found("Could not find a match for URL")
        elif path.startswith("/id/"):
            response = identity.identity(self, request)
        elif path == "/.well-known/openid-configuration":
            response = identity.discovery(self)
        if response is None:
            raise not_found()
        return response

    def _call(self, match: Match | None, call: Call) -> Response:
        if match is None:
            raise not_found()
        if match.handler is None:
            raise Failure(
                405,
                "METHOD_NOT_ALLOWED",
                f"HTTP Method '{call.request.method}' not allowed. Allowed are {','.join(match.allowed)}",
            )
        result: Response = match.handler(call, *match.values)
        return result

    def dispatch(self, method: str, path: str, call: Call) -> Response:
        """Run another resource in the name of a call, as composite and batch do.

        `path` is relative to the version root.
        """
        match = self.router.match(method, path)
        return self._call(match, call)

    def _match(self, request: Request) -> Match | None:
        if "match" not in request.state:
            found = _VERSIONED.match(request.path)
            method = "GET" if request.method == "HEAD" else request.method
            request.state["match"] = self.router.match(method, _plain(found[3])) if found else None
        match: Match | None = request.state["match"]
        return match

    def endpoint(self, request: Request) -> str:
        """`PATCH /sobjects/{type}/{id}`; resources outside the versioned tree by their path."""
        match = self._match(request)
        if match is not None:
            return f"{request.method} /{match.pattern}"
        return f"{request.method} {request.path}"

    def authenticate(self, request: Request) -> Session:
        """The session of a request. Raises Failure 401."""
        header = request.headers.get("Authorization")
        if header is None:
            raise invalid_session()
        scheme, _, token = header.partition(" ")
        if scheme.lower() not in ("bearer", "oauth") or not token.strip():
            raise Failure(401, "INVALID_AUTH_HEADER", "INVALID_HEADER_TYPE")
        session = self.sessions.find(token.strip(), self.clock.now())
        if session is None:
            raise invalid_session()
        return session

    def _actor(self, request: Request, session: Session, version: int) -> Actor:
        duplicates = request.headers.get(self.records.settings.duplicate_header, "")
        allowed = "allowsave=true" in duplicates.lower().replace(" ", "")
        return Actor(session.user, float(version), allow_duplicates=allowed)

    def identity_url(self, user: str) -> str:
        """The address that stands for a user: the `id` of a token answer."""
        return f"{self.url}/id/{self.organisation_id}/{user}"

    def _zone(self, user: str) -> Zone:
        row = self.store.get("User", user) or next(iter(self.store.rows("Organization")))
        return Zone(self.clock.now(), ZoneInfo(row["TimeZoneSidKey"] or "UTC"), behaviour.fiscal_start(self.records))

    def condition(self, name: str, **args: Any) -> Any:
        """Bring about a bad day; `conditions` lists them. Raises KeyError or ValueError."""
        return self.bad_days.apply(name, args)

    def bad_request(self, request: Request, error: BadJson) -> Response:
        """A body that is not JSON, in the REST shape."""
        return answer(Failure(400, "JSON_PARSER_ERROR", str(error)))

    # state

    def snapshot(self) -> object:
        """Rows, rules, sessions and cursors; rows are shared, since they are never changed in place."""
        return _State(
            self.schema.snapshot(),
            self.store.snapshot(),
            self.records.rules.copy(),
            copy.copy(self.records.settings),
            copy.deepcopy(self.sessions),
            copy.deepcopy(self.quota),
            self.records.views.copy(),
            dict(self.cursors.found),
            {key: replace(job) for key, job in self.bulk.jobs.items()},
            self.bulk_v1.snapshot(),
            dict(self.oauth.refresh_tokens),
            dict(self.oauth.browser.codes),
            dict(self.oauth.passwords),
            self.bad_days.snapshot(),
        )

    def restore(self, snapshot: object) -> None:
        """Back to a snapshot."""
        assert isinstance(snapshot, _State)
        self.schema.restore(snapshot.schema)
        self.schema_has_changed()
        self.store.restore(snapshot.rows)
        self.records.rules = snapshot.rules.copy()
        self.records.settings = copy.copy(snapshot.settings)
        self.sessions = copy.deepcopy(snapshot.sessions)
        self.quota = copy.deepcopy(snapshot.quota)
        self.records.views = snapshot.views.copy()
        self.cursors.found = dict(snapshot.cursors)
        self.bulk.jobs = {key: replace(job) for key, job in snapshot.jobs.items()}
        self.bulk_v1.restore(snapshot.jobs_v1)
        self.oauth.refresh_tokens = dict(snapshot.refresh_tokens)
        self.oauth.browser.codes = dict(snapshot.codes)
        self.oauth.passwords = dict(snapshot.passwords)
        self.bad_days.restore(snapshot.bad_days)

    def load_schema(self, schema: Mapping[str, Any]) -> None:
        """Add custom objects and fields; see `Schema.load`."""
        self.schema.load(schema)
        self.schema_has_changed()

    def schema_has_changed(self) -> None:
        """Forget what was derived from the schema; call after changing it, or field visibility."""
        self.store.adopt_schema()
        self._readers.clear()
        self.schema_changed = self.clock.now().replace(microsecond=0)

    def readers(self, name: str) -> list[tuple[str, Getter]]:
        """Every readable field of an object with its reader."""
        found = self._readers.get(name)
        if found is None:
            found = self._readers[name] = all_fields(self.records.sobject(name), self.records.hidden(name))
        return found

    def limits(self) -> dict[str, dict[str, int]]:
        """The body of GET /limits."""
        remaining = max(0, self.quota.limit - self.quota.used(self.clock.now()))
        fixed = {
            "ConcurrentAsyncGetReportInstances": 200,
            "ConcurrentSyncReportRuns": 20,
            "DailyAsyncApexExecutions": 250_000,
            "DailyBulkApiBatches": 15_000,
            "DailyBulkV2QueryFileStorageMB": 976_562,
            "DailyBulkV2QueryJobs": 10_000,
            "DailyGenericStreamingApiEvents": 10_000,
            "DailyStreamingApiEvents": 10_000,
            "DailyWorkflowEmails": 385,
            "DataStorageMB": 5,
            "FileStorageMB": 20,
            "HourlyODataCallout": 1_000,
            "HourlySyncReportRuns": 500,
            "MassEmail": 10,
            "SingleEmail": 15,
        }
        return {
            "DailyApiRequests": {"Max": self.quota.limit, "Remaining": remaining},
            **{name: {"Max": value, "Remaining": value} for name, value in fixed.items()},
        }

    def load_data(self, objects: Mapping[str, list[dict[str, Any]]]) -> dict[str, int]:
        """Insert records as the administrator, all rules applied."""
        counts = {}
        for name, rows in objects.items():
            for number, row in enumerate(rows, 1):
                try:
                    self.insert(name, **row)
                except Failure as failure:
                    raise ValueError(
                        f"{name}, record {number}: {failure.code}: {failure.message} {failure.fields or ''}"
                    ) from None
            counts[name] = len(rows)
        return counts

    def load_credentials(self, credentials: Mapping[str, Any]) -> None:
        """`session_id` and `password` of the administrator; `users`: [{username, password, email, session_id}]; `apps`:
        [{client_id, client_secret, run_as (a username), public_key (PEM), callback_urls}]."""
        _only(credentials, "credentials", {"session_id", "password", "users", "apps"})
        if "session_id" in credentials:
            self._first_token = self.issue_session(token=str(credentials["session_id"]))
        if "password" in credentials:
            self.oauth.passwords[self.admin_id] = str(credentials["password"])
        users = {}
        for number, user in enumerate(credentials.get("users") or ()):
            _only(user, f"credentials.users[{number}]", {"username", "password", "email", "session_id"}, {"username"})
            try:
                key = users[user["username"]] = self.add_user(user["username"], email=user.get("email"))
            except Failure as failure:
                raise ValueError(f"credentials.users[{number}]: {failure.code}: {failure.message}") from None
            if "password" in user:
                self.oauth.passwords[key] = str(user["password"])
            if "session_id" in user:
                self.issue_session(key, token=str(user["session_id"]))
        for number, app in enumerate(credentials.get("apps") or ()):
            where = f"credentials.apps[{number}]"
            _only(
                app,
                where,
                {"client_id", "client_secret", "run_as", "public_key", "callback_urls"},
                {"client_id", "client_secret"},
            )
            run_as = app.get("run_as")
            if run_as is not None and run_as not in users:
                raise ValueError(f"{where}: run_as is a username of credentials.users, not {run_as!r}")
            key_text = app.get("public_key")
            self.oauth.add_app(
                str(app["client_id"]), str(app["client_secret"]), users.get(run_as, self.admin_id),
                public_key=str(key_text).encode() if key_text else None,
                callbacks=tuple(str(one) for one in app.get("callback_urls") or ()),
            )  # fmt: skip

    def connection_info(self) -> dict[str, Any]:
        """How to connect: urls, a session of the administrator, and what each OAuth flow and the SOAP login need."""
        return {
            "url": self.url,
            "instance_url": self.url,
            "login_url": self.url,
            "session_id": self._first_token,
            "organization_id": self.organisation_id,
            "user_id": self.admin_id,
            "username": "admin@practice.example",
            "password": PASSWORD,
            "security_token": "token",
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "jwt_private_key_file": str(self.oauth.private_key_file(self.app)),
            "ca_file": str(self.ca_file) if self.ca_file else None,
        }

    def populate(self, seed: int) -> dict[str, int]:
        """A small believable company: accounts, contacts, leads, opportunities, activities, three sales users."""
        return population.populate(self, seed)

    # the Python door, for tests and demonstrations: use it through `server.call(...)` while the server runs

    def insert(self, sobject: str, /, *, as_user: str | None = None, **fields: Any) -> str:
        """Create a record as the administrator or another user; returns its id. Raises Failure."""
        return self.records.create(sobject, fields, Actor(as_user or self.admin_id))

    def update(self, sobject: str, key: str, /, *, as_user: str | None = None, **fields: Any) -> None:
        """Change a record. Raises Failure."""
        self.records.update(sobject, key, fields, Actor(as_user or self.admin_id))

    def delete(self, sobject: str, key: str, /, *, as_user: str | None = None) -> None:
        """Delete a record. Raises Failure."""
        self.records.delete(sobject, key, Actor(as_user or self.admin_id))

    def upsert(
        self, sobject: str, field: str, value: str, /, *, as_user: str | None = None, **fields: Any
    ) -> tuple[str, bool]:
        """Create or change the record with a key; returns (id, created). Raises Failure."""
        return self.records.upsert(sobject, field, value, fields, Actor(as_user or self.admin_id))

    def rows(self, sobject: str, *, deleted: bool = False) -> list[Row]:
        """Copies of all rows of an object, with those of the recycle bin on request."""
        table = self.store.table(sobject)
        return [dict(row) for row in table.rows.values() if deleted or not row.get("IsDeleted")]

    def add_user(self, username: str, *, first: str | None = None, last: str = "User", email: str | None = None) -> str:
        """Create an active standard user; returns the id."""
        return organisation.new_user(self.records, username, first, last, email or username, Actor(self.admin_id))

    def issue_session(
        self, user: str | None = None, *, token: str | None = None, expires: datetime | None = None
    ) -> str:
        """A session id for a user (the administrator); `token` fixes its text."""
        return self.sessions.issue(user or self.admin_id, expires, token=token)


def _only(given: Any, where: str, known: Set[str], needed: Set[str] = frozenset()) -> None:
    """Raises ValueError unless `given` is a mapping with the needed keys and no unknown one."""
    if not isinstance(given, Mapping):
        raise ValueError(f"{where} is a mapping of {', '.join(sorted(known))}")
    if set(given) - known:
        unknown = sorted(set(given) - known)[0]
        raise ValueError(f"{where} has an unknown key {unknown!r}; there are {', '.join(sorted(known))}")
    if needed - set(given):
        raise ValueError(f"{where} lacks {', '.join(sorted(needed - set(given)))}")


def _plain(path: str) -> str:
    """A path without the `.json` that may stand behind any resource (REST API guide, "Accept header")."""
    return path.removesuffix(".json")


def _refuse_xml(request: Request) -> None:
    """Raises NotImplementedHere where a client takes XML alone."""
    accepted = request.headers.get("Accept", "").lower()
    if request.path.endswith(".xml"):
        raise NotImplementedHere("answers in XML (.xml)")
    if "xml" in accepted and "json" not in accepted and "*/*" not in accepted:
        raise NotImplementedHere(f"answers in XML (Accept: {accepted})")


def answer(failure: Failure) -> Response:
    """A refusal as a REST answer."""
    headers = [("Content-Type", "application/json;charset=UTF-8")]
    if failure.status == 401:
        headers.append(("WWW-Authenticate", "Token"))
    matches = failure.extra.get("matches")
    body: Any = failure.rest()
    if matches is not None:
        body = [{k: v for k, v in body[0].items() if k != "matches"}]
    return Response(failure.status, orjson.dumps(body), headers)


def _quota_fault(request: Request, fault: Fault) -> Response:
    """403 REQUEST_LIMIT_EXCEEDED, though the allowance is not used up."""
    return answer(
        Failure(403, "REQUEST_LIMIT_EXCEEDED", str(fault.args.get("message", "TotalRequests Limit exceeded.")))
    )


def _session_fault(request: Request, fault: Fault) -> Response:
    """401 INVALID_SESSION_ID, though the session is good."""
    return answer(invalid_session())


def _lock_fault(request: Request, fault: Fault) -> Response:
    """400 UNABLE_TO_LOCK_ROW for a whole request."""
    key = fault.args.get("id", "0015g000000G801")
    text = f"unable to obtain exclusive access to this record or 1 records: {key}"
    return answer(Failure(400, "UNABLE_TO_LOCK_ROW", text, []))


def invalid_session() -> Failure:
    """401: the text that clients look for."""
    return Failure(401, "INVALID_SESSION_ID", "Session expired or invalid")
