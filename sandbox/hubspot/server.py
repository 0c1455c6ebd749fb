"""The HubSpot practice server: routes, versions, faults, conditions, and the Python door for tests and the demo."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson

from sandbox.kit import BadJson, Fault, PracticeServer, Request, Response

from . import (
    account,
    association_limits,
    batches,
    custom_objects,
    definitions,
    errors,
    links,
    population,
    records,
    search,
    wire,
)
from .access import Access, Limits, Meter, OAuthApp, Token, object_scopes
from .conditions import BadDays
from .errors import ApiError, not_implemented
from .portal import Portal
from .records import Answer, Call
from .routes import Route, split
from .schema import load as load_schema
from .store import Actor, Record, TypeStore
from .webhooks import Subscription, Webhooks

MAX_URL = 16_384
"""Characters of a path and query; the proxy in front of HubSpot answers 414 beyond."""
_TOO_LONG = b"<html><head><title>414 Request-URI Too Large</title></head><body></body></html>"


class HubSpotServer(PracticeServer):
    """A local HubSpot account.

    Starts with an empty portal, one private app with every scope, one OAuth app, and no enforced rate windows
    (`limits="professional"` or the condition `limits` enforces them; the daily quota always counts).
    """

    name = "hubspot"

    def __init__(self, *, limits: str | None = None, **kit: Any) -> None:
        super().__init__(**kit)
        self.portal = Portal(self.clock, self.seed)
        self.access = Access(self.clock, self.portal.id)
        self.meter = Meter(self.clock, self.portal.time_zone)
        self.app = OAuthApp("practice-client-id", "practice-client-secret", 19_083_858)
        self.access.apps[self.app.client_id] = self.app
        self.access_token = self.access.add_private(None, 19_083_857, None).value
        self.developer_key = "00000000-0000-4000-8000-00000000beef"
        self._correlations = random.Random(self.seed)
        self.webhooks = Webhooks(self.portal, self.app.app_id, self.app.client_secret)
        self.portal.listeners.append(self.webhooks.hear)
        self.bad_days = BadDays(self.portal, self.access, self.meter, self.webhooks)
        self.conditions = self.bad_days.describe()
        self.fault_kinds = {
            "ratelimit": self._ratelimit,
            "partial": self._partial,
            "empty_results": self._empty_results,
        }
        if limits is not None:
            self.condition("limits", tier=limits)

    # --- the protocol ------------------------------------------------------------------------------------------------

    def handle(self, request: Request) -> Response:
        """Answer one API call."""
        token: Token | None = None
        route = split(request.path)
        searching = route.is_search
        if len(request.path) + sum(len(name) + len(value) + 2 for name, value in request.query) > MAX_URL:
            return Response(414, _TOO_LONG, [("Content-Type", "text/html")])
        try:
            if route.parts == ["oauth", "authorize"]:
                return account.authorize(self.access, request)
            if route.parts[:1] == ["oauth"]:
                return self._respond(account.oauth(self.access, request, route.rest), [])
            token = self._token(request, route)
            self.meter.count(token, searching, route.is_association, self.portal.switches.search_per_token)
            if self.bad_days.trouble is not None:
                self.bad_days.trouble(request)
            answer = self._dispatch(request, route, token)
        except ApiError as error:
            return self._refuse(error, self.meter.headers(token, searching) if token else [])
        return self._respond(answer, self.meter.headers(token, searching))

    def _token(self, request: Request, route: Route) -> Token:
        """Who calls: a bearer token, or on the app's own settings the developer's key. Raises 401."""
        if route.area == "webhooks" and request.param("hapikey") == self.developer_key:
            return Token(self.developer_key, None, self.app.app_id)
        return self.access.authenticate(request.headers.get("Authorization", ""))

    def bad_request(self, request: Request, error: BadJson) -> Response:
        """A body that is no JSON, in HubSpot's shape."""
        return self._refuse(errors.invalid_json(str(error)), [])

    def endpoint(self, request: Request) -> str:
        """`GET /objects/{type}`, whatever version and spelling the path has; type names stay, ids go."""
        return split(request.path).label(request.method, self.portal.store.spellings)

    def _dispatch(self, request: Request, route: Route, token: Token) -> Answer:
        area, rest = route.area, route.rest
        if area == "objects":
            return self._objects(request, route, token)
        if area == "properties" and rest:
            return self._properties(
                request, self._allowed(token, rest[0], request.method != "GET", schema=True), rest[1:]
            )
        if area == "associations" and len(rest) >= 2:
            return self._associations(request, route, token)
        if area == "pipelines" and rest:
            store = self._allowed(token, rest[0], request.method not in ("GET",))
            return account.pipelines(self.portal, store, request, rest[1:])
        if area == "owners":
            self._scoped(token, ["crm.objects.owners.read"])
            return account.owners(self.portal, request, rest)
        if area == "schemas":
            self._scoped(token, [f"crm.schemas.custom.{'read' if request.method == 'GET' else 'write'}"])
            return custom_objects.answer(self.portal, request, rest)
        if area == "webhooks" and rest and rest[0] == str(self.app.app_id):
            return self.webhooks.answer(request, rest[1:])
        if area == "account-info":
            return account.account_info(self.portal, self.meter, request, rest)
        if route.parts == ["integrations", "v1", "me"] and request.method == "GET":
            return Answer(200, account.integration(self.portal, self.meter, token))
        if area:
            raise not_implemented(f"{request.method} {request.path}")
        raise errors.no_route()

    # --- records -----------------------------------------------------------------------------------------------------

    def _objects(self, request: Request, route: Route, token: Token) -> Answer:
        rest, method = route.rest, request.method
        if not rest:
            raise errors.no_such_resource()
        if rest[:2] in (["deals", "splits"], ["0-3", "splits"]) and len(rest) == 4 and method == "POST":
            self._allowed(token, "deals", rest[3] != "read")
            return account.splits(self.portal, request, rest[3], token.actor)
        reading = method == "GET" or (method == "POST" and rest[-1] in ("search", "read"))
        store = self._allowed(token, rest[0], not reading)
        call = Call(self.portal, store, token.actor, route.strict, route.dated)
        tail = rest[1:]
        if len(tail) >= 2 and tail[1] == "associations":
            return self._record_associations(request, route, call, token)
        match method, tail:
            case "GET", []:
                return records.page(call, request)
            case "POST", []:
                return records.create(call, request)
            case "POST", ["search"]:
                return self._search(call, request)
            case "POST", ["merge"]:
                return records.merge(call, request)
            case "POST", ["gdpr-delete"]:
                return records.purge(call, request)
            case "POST", ["batch", verb]:
                return batches.run(call, request, verb)
            case "GET", [given]:
                return records.get(call, request, given)
            case "PATCH", [given]:
                return records.update(call, request, given)
            case "DELETE", [given]:
                return records.archive(call, request, given)
        raise errors.no_method() if len(tail) <= 2 else errors.no_route()

    def _search(self, call: Call, request: Request) -> Answer:
        document = wire.body_object(request)
        size = len(request.body.decode("utf-8", "replace"))
        if size > search.MAX_BODY:
            raise errors.validation(
                f"The search request body must not be longer than {search.MAX_BODY} characters",
                context={"size": [str(size)], "limit": [str(search.MAX_BODY)]},
            )
        index = self.portal.index(call.store.type.name)
        hidden = not self.portal.switches.merged_ids_in_search

        def view(wanted: list[str]) -> Callable[[Record], dict[str, Any]]:
            show = records.View(call, wanted).show

            def without_merges(record: Record) -> dict[str, Any]:
                shown = show(record)
                if "hs_merged_object_ids" in shown["properties"]:
                    shown["properties"]["hs_merged_object_ids"] = None
                return shown

            return without_merges if hidden else show

        def linked(target: str, ids: Iterable[str]) -> set[int]:
            other, pairs = self.portal.store.of(target).type.name, self.portal.associations.pairs
            wanted = [found for given in ids if (found := wire.as_id(given)) is not None]
            return {to for one in wanted for to in pairs.get((other, one, call.store.type.name), {})}

        body = search.run(index, call.store, document, view, linked)
        return Answer(200, body, len(body["results"]))

    # --- associations ------------------------------------------------------------------------------------------------

    def _record_associations(self, request: Request, route: Route, call: Call, token: Token) -> Answer:
        record = records.locate(call, route.rest[1], None)
        tail = route.rest[3:]
        if not tail:
            raise errors.no_such_resource()
        target = self._allowed(
            token, tail[1] if tail[0] == "default" and len(tail) > 1 else tail[0], request.method != "GET"
        )
        self._may_associate(request, route, request.method != "GET")
        answer = links.of_record(call, request, record, target, tail, legacy=route.legacy_associations)
        if answer is None:
            raise errors.no_method()
        return answer

    def _associations(self, request: Request, route: Route, token: Token) -> Answer:
        rest = route.rest
        if rest[0] == "definitions":
            return self._association_limits(request, rest[1:], token)
        if rest[0] == "usage":
            raise not_implemented(f"{request.method} {request.path}")
        writing = not (request.method == "GET" or rest[-1] == "read")
        one = self._allowed(token, rest[0], writing)
        other = self._allowed(token, rest[1], writing)
        self._may_associate(request, route, writing)
        answer = links.between(self.portal, request, one, other, rest[2:], legacy=route.legacy_associations)
        if answer is None:
            raise not_implemented(f"{request.method} {request.path}")
        return answer

    def _association_limits(self, request: Request, rest: list[str], token: Token) -> Answer:
        answer = None
        if rest == ["configurations", "all"] and request.method == "GET":
            answer = association_limits.all_limits(self.portal)
        elif rest[:1] == ["configurations"] and len(rest) >= 3:
            one, other = (self._allowed(token, given, request.method != "GET") for given in rest[1:3])
            answer = association_limits.between(self.portal, request, one, other, rest[3:])
        if answer is None:
            raise not_implemented(f"{request.method} {request.path}")
        return answer

    def _may_associate(self, request: Request, route: Route, write: bool) -> None:
        """Raises 400 where date version 2026-09 asks for the user's own permission (changelog of 2026-08-11)."""
        if write and route.strict and not self.portal.switches.association_permission:
            raise errors.validation("The user does not have permission to edit associations between these records.")

    # --- properties --------------------------------------------------------------------------------------------------

    def _properties(self, request: Request, store: TypeStore, rest: list[str]) -> Answer:
        catalogue, now = store.catalogue, self.portal.now()
        match request.method, rest:
            case "GET", []:
                return Answer(
                    200,
                    definitions.read_all(catalogue, wire.flag(request, "archived"), wire.names(request, "properties")),
                )
            case "POST", []:
                return Answer(201, definitions.create(catalogue, wire.body_object(request), now).as_json())
            case "POST", ["batch", ("read" | "create" | "archive") as verb]:
                status, body = definitions.batch(catalogue, verb, request, now)
                if body is None:
                    return Answer(status)
                body = {
                    "status": "COMPLETE",
                    "results": body["results"],
                    "startedAt": wire.iso(now),
                    "completedAt": wire.iso(now),
                } | ({"numErrors": len(body["errors"]), "errors": body["errors"]} if body["errors"] else {})
                return Answer(status, body)
            case "GET", ["groups"]:
                return Answer(200, {"results": [g.as_json() for g in catalogue.groups.values() if not g.archived]})
            case "POST", ["groups"]:
                return Answer(201, definitions.create_group(catalogue, wire.body_object(request)).as_json())
            case "GET", ["groups", name]:
                return Answer(200, definitions.group(catalogue, name).as_json())
            case "PATCH", ["groups", name]:
                return Answer(200, definitions.update_group(catalogue, name, wire.body_object(request)).as_json())
            case "DELETE", ["groups", name]:
                definitions.archive_group(catalogue, name)
                return Answer(204)
            case "GET", [name]:
                return Answer(200, definitions.read_one(catalogue, name, wire.flag(request, "archived")).as_json())
            case "PATCH", [name]:
                return Answer(200, definitions.update(catalogue, name, wire.body_object(request), now).as_json())
            case "DELETE", [name]:
                definitions.archive(catalogue, name, now)
                return Answer(204)
        raise errors.no_method() if len(rest) <= 2 else errors.no_route()

    # --- scopes ------------------------------------------------------------------------------------------------------

    def _allowed(self, token: Token, given: str, write: bool, *, schema: bool = False) -> TypeStore:
        """The type that a path names, if the token may use it. Raises 400 or 403."""
        store = self.portal.store.of(given)
        scope = "custom" if store.type.custom else store.type.scope
        wanted = object_scopes(scope, write)
        if schema:
            wanted = [f"crm.schemas.{scope}.{'write' if write else 'read'}", *([] if write else wanted)]
        self._scoped(token, wanted)
        return store

    @staticmethod
    def _scoped(token: Token, wanted: list[str]) -> None:
        if not token.allows(wanted):
            raise errors.missing_scopes(wanted)

    # --- answers -----------------------------------------------------------------------------------------------------

    def _respond(self, answer: Answer, headers: list[tuple[str, str]]) -> Response:
        status = self.portal.switches.created_status if answer.status == 201 else answer.status
        if answer.location is not None:
            headers = [*headers, ("Location", answer.location)]
        if answer.body is None:
            return Response(status, b"", [*headers, ("X-HubSpot-Correlation-Id", self._correlation())], answer.records)
        return Response(
            status,
            orjson.dumps(answer.body),
            [("Content-Type", wire.JSON_TYPE), *headers, ("X-HubSpot-Correlation-Id", self._correlation())],
            answer.records,
        )

    def _refuse(self, error: ApiError, headers: list[tuple[str, str]]) -> Response:
        correlation = self._correlation()
        if error.page:
            return Response(error.status, error.html(), [("Content-Type", "text/html;charset=utf-8"), *headers])
        if error.status == 429 and not error.category and self.portal.switches.retry_after:
            headers = [*headers, ("Retry-After", self.portal.switches.retry_after)]
        return Response(
            error.status,
            orjson.dumps(error.body(correlation)),
            [("Content-Type", wire.JSON_TYPE), *headers, *error.headers, ("X-HubSpot-Correlation-Id", correlation)],
        )

    def _correlation(self) -> str:
        return str(uuid.UUID(int=self._correlations.getrandbits(128), version=4))

    # --- faults ------------------------------------------------------------------------------------------------------

    def _ratelimit(self, request: Request, fault: Fault) -> Response:
        """429; args: shape general (default), search, daily or secondly; retry_after."""
        shape = str(fault.args.get("shape", "search" if split(request.path).is_search else "general"))
        policy = {"daily": "DAILY", "secondly": "SECONDLY"}.get(shape, "TEN_SECONDLY_ROLLING")
        error = errors.search_limited() if shape == "search" else errors.rate_limited(policy)
        if fault.args.get("retry_after") is not None:
            error.headers.append(("Retry-After", str(fault.args["retry_after"])))
        return self._refuse(error, [])

    def _partial(self, request: Request, fault: Fault) -> Response | None:
        """A batch of which some inputs fail; args: fail (how many, 1), category, message."""
        try:
            document = orjson.loads(request.body)
            inputs = document["inputs"]
            failing = inputs[: int(fault.args.get("fail", 1))]
        except (ValueError, KeyError, TypeError):
            return None
        kept = {**document, "inputs": inputs[len(failing) :]}
        answer = self.handle(replace(request, body=orjson.dumps(kept)))
        if not 200 <= answer.status < 300 or not isinstance(answer.body, bytes):
            return answer
        body = orjson.loads(answer.body) if answer.body else {"status": "COMPLETE", "results": []}
        refused = ApiError(
            500,
            str(fault.args.get("message", "An internal error occurred while processing this input")),
            str(fault.args.get("category", "INTERNAL_ERROR")),
        )
        entries = [
            refused.entry(
                **{"objectWriteTraceId": str(item["objectWriteTraceId"])}
                if item.get("objectWriteTraceId")
                else {"ids": str(item["id"])}
                if item.get("id")
                else {}
            )
            for item in failing
        ]
        body["errors"] = [*body.get("errors", []), *entries]
        body["numErrors"] = len(body["errors"])
        headers = [h for h in answer.headers if h[0] != "Content-Type"]
        return Response(207, orjson.dumps(body), [("Content-Type", wire.JSON_TYPE), *headers], answer.records)

    def _empty_results(self, request: Request, fault: Fault) -> Response:
        """A batch that is not run and yet answered 2xx, with no results and no errors; args: status (200)."""
        now = wire.iso(self.portal.now())
        body = {"status": "COMPLETE", "results": [], "startedAt": now, "completedAt": now}
        return self._respond(Answer(int(fault.args.get("status", 200)), body), [])

    # --- conditions --------------------------------------------------------------------------------------------------

    def condition(self, name: str, **args: Any) -> Any:
        """Switch a bad day on or off; `conditions` says which there are."""
        return self.bad_days.switch(name, **args)

    # --- state -------------------------------------------------------------------------------------------------------

    def snapshot(self) -> object:
        """The portal, its credentials, its quotas, its webhook subscriptions."""
        hooks = self.webhooks
        return _Saved(
            self.portal.snapshot(),
            {value: replace(token) for value, token in self.access.tokens.items()},
            dict(self.access.refreshes),
            dict(self.access.codes),
            self.meter.used_today,
            replace(self.meter.limits),
            dict(hooks.subscriptions),
            (hooks.target, hooks.duplicates, hooks.disorder),
        )

    def restore(self, snapshot: object) -> None:
        """Go back to a snapshot."""
        assert isinstance(snapshot, _Saved)
        self.portal.restore(snapshot.portal)
        self.access.tokens = {value: replace(token) for value, token in snapshot.tokens.items()}
        self.access.refreshes, self.access.codes = dict(snapshot.refreshes), dict(snapshot.codes)
        self.meter.used_today, self.meter.limits = snapshot.used_today, replace(snapshot.limits)
        self.webhooks.subscriptions = dict(snapshot.subscriptions)
        self.webhooks.target, self.webhooks.duplicates, self.webhooks.disorder = snapshot.webhooks
        self.bad_days.trouble = None

    def populate(self, seed: int) -> dict[str, int]:
        """A small believable population, the same for the same seed."""
        return population.populate(self.portal, seed)

    def load_data(self, objects: Mapping[str, list[dict[str, Any]]]) -> dict[str, int]:
        """Records given per type; see `population.load`."""
        return population.load(self.portal, objects)

    def load_schema(self, schema: Mapping[str, Any]) -> None:
        """Add custom objects, properties, pipelines and labels; see `schema.load`."""
        load_schema(self.portal, schema)

    def stop(self) -> None:
        """Stop serving and sending."""
        super().stop()
        self.webhooks.stop()

    def load_credentials(self, credentials: Mapping[str, Any]) -> None:
        """`access_token` of the private app; `client_id` and `client_secret` of the OAuth app."""
        unknown = set(credentials) - {"access_token", "client_id", "client_secret"}
        if unknown:
            raise ValueError(
                f"credentials has an unknown key {sorted(unknown)[0]!r}; "
                "there are access_token, client_id and client_secret"
            )
        if "access_token" in credentials:
            self.access.tokens.pop(self.access_token, None)
            self.access_token = str(credentials["access_token"])
            self.access.add_private(None, 19_083_857, None, self.access_token)
        del self.access.apps[self.app.client_id]
        self.app = replace(
            self.app,
            client_id=str(credentials.get("client_id", self.app.client_id)),
            client_secret=str(credentials.get("client_secret", self.app.client_secret)),
        )
        self.access.apps[self.app.client_id] = self.app

    def connection_info(self) -> dict[str, Any]:
        """Where and as whom to connect."""
        info: dict[str, Any] = {
            "url": self.url,
            "host": self.url,
            "access_token": self.access_token,
            "portal_id": self.portal.id,
            "oauth": {
                "client_id": self.app.client_id,
                "client_secret": self.app.client_secret,
                "app_id": self.app.app_id,
            },
            "developer_key": self.developer_key,
        }
        if self.ca_file is not None:
            info["ca_file"] = str(self.ca_file)
        return info

    # --- the Python door: use through `server.call` once the server runs ---------------------------------------------

    def actor(self, source: str = "CRM_UI", user: int | None = None) -> Actor:
        """A person in HubSpot, or another source of writes."""
        return Actor(source, f"userId:{user}" if user is not None else None, user)

    def create(self, type: str, /, by: Actor | None = None, **values: object) -> str:
        """A record as a person makes it; the id. Raises `ApiError` for values that HubSpot refuses."""
        store = self.portal.store.of(type)
        accepted, problems = self.portal.accept(store, values)
        if problems:
            raise self.portal.refuse(problems)
        return str(self.portal.create(store, accepted, by or self.actor()).id)

    def update(self, type: str, record_id: str | int, /, by: Actor | None = None, **values: object) -> None:
        """Change a record as a person does. Raises `ApiError`."""
        store = self.portal.store.of(type)
        accepted, problems = self.portal.accept(store, values)
        if problems:
            raise self.portal.refuse(problems)
        self.portal.update(store, self._record(store, record_id), accepted, by or self.actor())

    def archive(self, type: str, record_id: str | int, by: Actor | None = None) -> None:
        """Move a record to the recycle bin."""
        store = self.portal.store.of(type)
        self.portal.archive(store, self._record(store, record_id), by or self.actor())

    def restore_record(self, type: str, record_id: str | int, by: Actor | None = None) -> None:
        """Take a record out of the recycle bin."""
        self.portal.restore_record(self.portal.store.of(type), int(record_id), by or self.actor())

    def purge(self, type: str, record_id: str | int, by: Actor | None = None) -> None:
        """Delete a record for good."""
        store = self.portal.store.of(type)
        self.portal.purge(store, self._record(store, record_id), by or self.actor())

    def merge(self, type: str, primary: str | int, other: str | int, by: Actor | None = None) -> str:
        """Merge two records; the survivor's id."""
        store = self.portal.store.of(type)
        return str(
            self.portal.merge(store, self._record(store, primary), self._record(store, other), by or self.actor()).id
        )

    def associate(
        self, type: str, record_id: str | int, to: str, to_id: str | int, *, label: str | None = None
    ) -> None:
        """Associate two records, with a label (`Primary`, or one of the portal's own) if given."""
        one, other = self.portal.store.of(type), self.portal.store.of(to)
        known = self.portal.associations.types(one.type.name, other.type.name)
        chosen = [spec for spec, d in known.items() if label is not None and d.label == label]
        if label is not None and not chosen:
            raise ValueError(
                f"no label {label!r} from {type} to {to}; known: {[d.label for d in known.values() if d.label]}"
            )
        edge = links.edge(one, self._record(one, record_id), other, self._record(other, to_id))
        self.portal.associate(edge, chosen or [self.portal.associations.unlabelled(one.type.name, other.type.name)])

    def records(self, type: str, *, archived: bool = False) -> list[dict[str, Any]]:
        """Every record of a type: id, properties that are set, times."""
        store = self.portal.store.of(type)
        chosen = store.archived if archived else store.live
        return [
            {"id": str(record.id), "properties": dict(record.values), "updatedAt": wire.iso(record.modified)}
            for record in (chosen[i] for i in sorted(chosen))
        ]

    def add_owner(
        self, email: str, first_name: str = "", last_name: str = "", *, archived: bool = False, team: str = ""
    ) -> str:
        """A person who can own records; the owner id, which is not the user id."""
        return population.add_owner(self.portal, email, first_name, last_name, archived=archived, team=team)

    def journal(self) -> list[dict[str, Any]]:
        """Every write since the start or the last restore, oldest first (the latest 100,000)."""
        return [
            {
                "kind": event.kind,
                "type": event.type,
                "id": str(event.record_id),
                "at": wire.iso(event.at),
                "source": event.actor.source,
                "source_id": event.actor.source_id,
                "user": event.actor.user,
                "changes": dict(event.changes),
                **event.details,
            }
            for event in self.portal.journal
        ]

    def token(self, scopes: list[str] | None = None, *, user: int | None = None) -> str:
        """Another private app's token, with these scopes or all."""
        granted = frozenset(scopes) if scopes is not None else None
        return self.access.add_private(granted, 19_083_900 + len(self.access.tokens), user).value

    @staticmethod
    def _record(store: TypeStore, record_id: str | int) -> Record:
        found = store.find(int(record_id))
        if found is None:
            raise errors.object_not_found(str(record_id))
        return found


@dataclass(frozen=True, slots=True)
class _Saved:
    """One snapshot."""

    portal: dict[str, Any]
    tokens: dict[str, Token]
    refreshes: dict[str, Token]
    codes: dict[str, Any]
    used_today: int
    limits: Limits
    subscriptions: dict[int, Subscription]
    webhooks: tuple[str | None, float, bool]
