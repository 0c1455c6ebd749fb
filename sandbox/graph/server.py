"""The practice Graph: login, routing, throttling, conditions. The mailboxes are those of a practice Exchange.

Give an `ExchangeServer` and both speak about the same mailboxes, so that EWS and Graph can be compared; without one the
server keeps mailboxes of its own. What no source says is a switch, documented where it is: `deleted_occurrences`,
`deleted_by_id`, `link_patch`, `repeated_transaction`.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, ClassVar
from urllib.parse import unquote, urlencode

from sandbox.exchange import ExchangeServer
from sandbox.exchange.errors import EwsError
from sandbox.exchange.properties import View
from sandbox.exchange.store import Item, Mailbox, World
from sandbox.kit.faults import Fault
from sandbox.kit.http import BadJson, Request, Response
from sandbox.kit.server import PracticeServer

from . import batch, ids, odata, prefer
from .errors import GraphError, bad_request, new_id, no_segment, not_found, of_ews, throttled
from .limits import Limits
from .login import Application, Login
from .mailbox import Visit, serve

CLIENT, SECRET = "practice-app", "practice-secret"
_OUTLOOK = {
    "calendar": "Calendars", "calendars": "Calendars", "events": "Calendars", "calendarview": "Calendars",
    "contacts": "Contacts", "contactfolders": "Contacts", "mailboxsettings": "MailboxSettings",
    "translateexchangeids": "User",
}  # fmt: skip
_QUALIFIED = "microsoft.graph."
_BLOCKED = "Access to OData is disabled: [RAOP] : Blocked by tenant configured AppOnly AccessPolicy settings."


@dataclass
class Kept:
    """A snapshot: the mailboxes, and what only Graph knows of them."""

    world: object
    transactions: dict[tuple[int, str], int]
    epoch: int
    forgotten: frozenset[int]


class GraphServer(PracticeServer):
    """Microsoft Graph v1.0 on loopback: calendars and contacts of Exchange Online, and the login in front of it."""

    name: ClassVar[str] = "graph"
    max_body = 8 * 1024 * 1024

    def __init__(self, *, exchange: ExchangeServer | None = None, **kit: Any) -> None:
        if exchange is not None:
            kit["clock"] = exchange.clock
        super().__init__(**kit)
        self.office = exchange or ExchangeServer(clock=self.clock, seed=self.seed, control=False)
        self.login = Login(self.clock.now)
        self.login.applications[CLIENT] = Application(CLIENT, SECRET)
        self.limits = Limits()
        self.deleted_occurrences = "silent"
        """What delta says of a deleted occurrence: "silent" (nothing) or "removed"."""
        self.deleted_by_id = "gone"
        """A read by immutable id of what lies in Deleted Items: "gone" (404) or "found"."""
        self.link_patch = "mail"
        """A PATCH of extended properties alone, with attendees: "mail" (an update to all) or "silent"."""
        self.repeated_transaction = "event"
        """A second create with a transactionId: "event" (the first event, 201) or "conflict" (409)."""
        self.transactions: dict[tuple[int, str], int] = {}
        self.epoch = 1
        self.forgotten: set[int] = set()
        self.unconditional = 0
        """PATCHes without If-Match."""
        self.mutable_ids = 0
        """Requests to a mailbox that did not ask for immutable ids."""
        self._expiry = "SyncStateNotFound"
        self._empty_pages = 0.0
        self._dice = random.Random(self.seed)
        self.fault_kinds = {"throttled": self._throttled, "unavailable": self._unavailable, "gateway": self._gateway}
        self.conditions = {
            name.removeprefix("_when_"): (getattr(self, name).__doc__ or "")
            for name in dir(self)
            if name.startswith("_when_")
        }

    # -- transport ------------------------------------------------------------------------------------------------

    def endpoint(self, request: Request) -> str:
        """Method and path with the ids left out."""
        parts = [part for part in request.path.split("/") if part]
        if not parts or parts[0].lower() != "v1.0":
            return f"{request.method} /{{tenant}}/{'/'.join(parts[1:])}" if parts else f"{request.method} /"
        shown = [
            f"{{{parts[number - 1].rstrip('s')}}}" if _is_id(parts, number) else part
            for number, part in enumerate(parts)
        ]  # fmt: skip
        return f"{request.method} /{'/'.join(shown[1:])}"

    def arrived(self, request: Request) -> None:
        """Count what is in flight for each mailbox that the request asks."""
        mailboxes: Counter[str] = Counter()
        if request.path.lower() == "/v1.0/$batch" and request.method == "POST":
            for url in re.findall(rb'"url"\s*:\s*"([^"]*)"', request.body):
                mailboxes += self._asked(f"/v1.0/{url.decode('utf-8', 'replace').lstrip('/')}".partition("?")[0])
        else:
            mailboxes = self._asked(request.path)
        request.state["room"], request.state["taken"] = self.limits.arrive(mailboxes)

    def departed(self, request: Request) -> None:
        """The request occupies no mailbox any more."""
        self.limits.depart(request.state.get("taken", Counter()))

    def _asked(self, path: str) -> Counter[str]:
        parts = [unquote(part) for part in path.split("/") if part]
        if len(parts) < 4 or parts[1].lower() != "users":
            return Counter()
        box = self._box(parts[2])
        return Counter({box.address.lower(): 1}) if box is not None else Counter()

    def handle(self, request: Request) -> Response:
        """Serve one request, on the thread of the mailboxes' own server if it runs."""
        return self.office.call(self._handle, request)

    def _handle(self, request: Request) -> Response:
        parts = [unquote(part) for part in request.path.split("/") if part]
        if parts and parts[0].lower() in ("v1.0", "beta"):
            return self._graph(request, parts)
        found = self.login.answer(request, parts[0], "/".join(parts[1:])) if len(parts) > 1 else None
        return found if found is not None else Response.of_text("Not found\n", 404)

    def _graph(self, request: Request, parts: list[str]) -> Response:
        application = self.login.bearer(request)
        if application is None:
            empty = not request.headers.get("Authorization", "").partition(" ")[2].strip()
            text = "Access token is empty." if empty else "Access token has expired or is not yet valid."
            error = GraphError(401, "InvalidAuthenticationToken", text,
                               [("WWW-Authenticate", 'Bearer realm="", error="invalid_token"')])  # fmt: skip
            return self._dressed(request, self._refusal(request, error))
        if [part.lower() for part in parts] == ["v1.0", "$batch"]:
            return self._dressed(request, self._batch(request, application))
        return self._dressed(request, self._one(request, application))

    def _batch(self, request: Request, application: Application) -> Response:
        if request.method != "POST":
            return self._refusal(request, GraphError(405, "BadRequest", "Only POST is allowed for $batch."))
        try:
            parts = batch.read(request, request.json())
        except GraphError as error:
            return self._refusal(request, error)
        asked: Counter[str] = Counter()

        def serve_part(inner: Request, _: int) -> Response:
            # At most four parts go to one mailbox at a time, so the n-th finds the room that the first four left.
            for mailbox in self._asked(inner.path):
                room = request.state.get("room", {}).get(mailbox, self.limits.concurrent)
                inner.state["fits"] = asked[mailbox] % 4 < room
                asked[mailbox] += 1
            return self._one(inner, application)

        return Response.of_json(batch.run(parts, serve_part, self._dice), records=len(parts))

    def _one(self, request: Request, application: Application) -> Response:
        """One request, alone or part of a batch."""
        parts = [unquote(part) for part in request.path.split("/") if part]
        preferred = prefer.Prefer()
        try:
            preferred = prefer.read(", ".join(request.headers.getall("Prefer", [])))
            response = self._resource(request, application, [_plain(part) for part in parts[1:]], preferred)
        except GraphError as error:
            response = self._refusal(request, error)
        except EwsError as error:
            response = self._refusal(request, of_ews(error))
        except BadJson as error:
            response = self._refusal(request, GraphError(400, "RequestBodyRead", f"Invalid JSON: {error}"))
        if preferred.applied:
            response.headers.append(("Preference-Applied", ", ".join(preferred.applied)))
        return response

    def _resource(self, request: Request, application: Application, parts: list[str], preferred: Any) -> Response:
        if request.path.lower().startswith("/beta"):
            raise GraphError(501, "NotImplemented", "The practice server implements v1.0 only.")
        if parts and parts[0].lower() == "me":
            raise bad_request("/me request is only valid with delegated authentication flow.", "BadRequest")
        if not parts or parts[0].lower() != "users":
            raise no_segment(parts[0] if parts else "")
        if len(parts) <= 2:
            return self._users(request, application, parts[1:])
        box = self._box(parts[1])
        if box is None:
            raise not_found(f"The requested user '{parts[1]}' is invalid.", "ErrorInvalidUser")
        fits = request.state.get("fits", request.state.get("room", {}).get(box.address.lower(), 1) > 0)
        self.limits.check(box.address.lower(), self.clock.now(), fits=fits)
        self._permit(application, box, parts[2].lower(), request.method)
        if not preferred.immutable:
            self.mutable_ids += 1
        request.state["user"] = parts[1]
        return serve(Visit(self, request, box, preferred, self.office.acting_as(box)), parts[2:])

    def _permit(self, application: Application, box: Mailbox, resource: str, method: str) -> None:
        """Refuse what the application's permissions or its scope do not cover."""
        kind = _OUTLOOK.get(resource)
        if kind is None:
            raise no_segment(resource)
        reading = method == "GET" or kind == "User" or resource == "mailboxsettings"
        wanted = ("User.Read.All",) if kind == "User" else (
            (f"{kind}.Read", f"{kind}.ReadWrite") if reading else (f"{kind}.ReadWrite",))  # fmt: skip
        if not set(wanted) & set(application.roles):
            raise GraphError(403, "ErrorAccessDenied", "Access is denied. Check credentials and try again.")
        if not application.reaches(box.address):
            raise GraphError(403, "ErrorAccessDenied", _BLOCKED)
        if box.denied:
            raise GraphError(403, "ErrorAccessDenied", "Access is denied. Check credentials and try again.")

    def _users(self, request: Request, application: Application, rest: list[str]) -> Response:
        if request.method != "GET":
            raise GraphError(405, "Request_BadRequest", "Specified HTTP method is not allowed for the request target.")
        if "User.Read.All" not in application.roles:
            text = "Insufficient privileges to complete the operation."
            raise GraphError(403, "Authorization_RequestDenied", text)
        if not rest:
            return self._list_users(request)
        if rest[0].lower() == "delta":
            raise no_segment("delta")
        box = self._box(rest[0])
        if box is None:
            text = f"Resource '{rest[0]}' does not exist or one of its queried objects are not present."
            raise GraphError(404, "Request_ResourceNotFound", text)
        return Response.of_json(self._selected(request, box))

    def _selected(self, request: Request, box: Mailbox) -> dict[str, Any]:
        """A user with the members of `$select`, those that this server knows of one."""
        shown = self.user(box)
        names = [name.strip() for name in (request.param("$select") or "").split(",") if name.strip()]
        for name in names:
            if name not in shown:
                raise GraphError(501, "NotImplemented", f"The practice server does not implement {name} of a user.")
        return {name: shown[name] for name in names} if names else shown

    def _list_users(self, request: Request) -> Response:
        """The users; `$select` and `$top` count, other query options are refused as not implemented."""
        for name, _ in request.query:
            if name.lower() not in ("$select", "$top", "$skiptoken"):
                text = f"The practice server does not implement {name} for users."
                raise GraphError(501, "NotImplemented", text)
        size = odata.read([(name, value) for name, value in request.query if name.lower() == "$top"], frozenset()).top
        after = request.param("$skiptoken") or ""
        start = int(after) if after.isascii() and after.isdigit() and len(after) < 9 else 0
        found = [self._selected(request, box) for box in self.office.world.mailboxes.values()]
        end = start + (size or 100)
        made: dict[str, Any] = {"@odata.context": f"{self.url}/v1.0/$metadata#users", "value": found[start:end]}
        if end < len(found):
            kept = [(name, value) for name, value in request.query if name.lower() != "$skiptoken"]
            made["@odata.nextLink"] = f"{self.url}/v1.0/users?{urlencode([*kept, ('$skiptoken', str(end))])}"
        return Response.of_json(made, records=len(made["value"]))

    def user(self, box: Mailbox) -> dict[str, Any]:
        """A user with the members that come without being selected ("user resource type")."""
        return {
            "id": box.guid,
            "displayName": box.name,
            "mail": box.address,
            "userPrincipalName": box.address,
            "givenName": box.name.partition(" ")[0],
            "surname": box.name.partition(" ")[2] or None,
            "businessPhones": [],
            "jobTitle": None,
            "mobilePhone": None,
            "officeLocation": None,
            "preferredLanguage": None,
        }

    def _box(self, name: str) -> Mailbox | None:
        """A mailbox by address or id."""
        found = self.office.world.mailbox(name)
        if found is not None:
            return found
        return next((box for box in self.office.world.mailboxes.values() if box.guid == name.lower()), None)

    def view(self, item: Item) -> View:
        """A view of an item through the eyes of its mailbox."""
        return View(self.office.world, self.clock.now().replace(microsecond=0))

    def _refusal(self, request: Request, error: GraphError) -> Response:
        identifier = request.state.setdefault("request-id", new_id())
        client = request.headers.get("client-request-id", identifier)
        body = error.body(self.clock.now(), identifier, client)
        return Response.of_json(body, error.status, headers=list(error.headers))

    def _dressed(self, request: Request, response: Response) -> Response:
        identifier = request.state.setdefault("request-id", new_id())
        response.headers += [
            ("request-id", identifier),
            ("client-request-id", request.headers.get("client-request-id", identifier)),
            ("x-ms-ags-diagnostic", '{"ServerInfo":{"DataCenter":"Practice","Ring":"1","ScaleUnit":"000"}}'),
            ("Cache-Control", "private"),
        ]
        return response

    # -- what only Graph knows ------------------------------------------------------------------------------------

    def by_transaction(self, box: Mailbox, transaction: str) -> Item | None:
        """The event that was created with a transactionId; None if there is none any more."""
        serial = self.transactions.get((box.number, transaction))
        return self.office.world.item(serial) if serial is not None else None

    def repeated(self, visit: Visit, known: Item) -> Response:
        """The answer to a second create with the same transactionId."""
        if self.repeated_transaction == "conflict":
            text = "An event with the same transactionId exists already."
            raise GraphError(409, "ErrorDuplicateTransactionId", text)
        return visit.json(visit.event(known), 201)

    def expired(self, epoch: int) -> GraphError:
        """410, as delta answers a token that it no longer honours."""
        text = f"The sync state generation is not found; generation={epoch};expected={self.epoch}."
        return GraphError(410, self._expiry, text)

    def gives_empty_page(self) -> bool:
        """Whether this page of a delta round is one without rows, as Graph sends now and then."""
        return self._empty_pages > 0 and self._dice.random() < self._empty_pages

    # -- faults ---------------------------------------------------------------------------------------------------

    def _throttled(self, request: Request, struck: Fault) -> Response:
        """429 ApplicationThrottled. Args: retry_after (1; null: without the header)."""
        wait = struck.args.get("retry_after", 1)
        text = "Application is over its MailboxConcurrency limit."
        return self._dressed(request, self._refusal(request, throttled("ApplicationThrottled", text, wait)))

    def _unavailable(self, request: Request, struck: Fault) -> Response:
        """503 ServiceUnavailable. Args: retry_after (1; null: without the header)."""
        error = throttled("ServiceUnavailable", "Service unavailable.", struck.args.get("retry_after", 1), 503)
        return self._dressed(request, self._refusal(request, error))

    def _gateway(self, request: Request, struck: Fault) -> Response:
        """504 from in front of the service; with after=true the request was carried out. Args: after."""
        if struck.args.get("after"):
            self.handle(request)
        error = GraphError(504, "UnknownError", "The gateway did not receive a response in time.")
        return self._dressed(request, self._refusal(request, error))

    # -- conditions -----------------------------------------------------------------------------------------------

    def condition(self, name: str, **args: Any) -> Any:
        """Switch a bad day on or off; see `conditions` for the names and their arguments."""
        act: Callable[..., Any] | None = getattr(self, f"_when_{name}", None)
        if act is None:
            raise KeyError(f"no condition {name!r}; known: {', '.join(sorted(self.conditions))}")
        return self.office.call(act, **args)

    def _when_outbox(self, clear: bool = False) -> list[dict[str, Any]]:
        """What would have been mailed, oldest first: kind, sender, recipients, subject. Args: clear."""
        told = [asdict(mail) for mail in self.office.outbox()]
        if clear:
            self.office.clear_outbox()
        return told

    def _when_limits(
        self, concurrent: int | None = None, requests: int | None = None, retry_after: int | None = 1
    ) -> dict[str, Any]:
        """Requests in flight per mailbox, and in ten minutes; Retry-After of a 429 (null: none). Gives peaks and
        refusals. Args: concurrent, requests, retry_after."""
        if concurrent is not None:
            self.limits.concurrent = concurrent
        if requests is not None:
            self.limits.requests = requests
        self.limits.retry_after = retry_after
        return {"peak": dict(self.limits.peak), "refused": self.limits.refused}

    def _when_scope(self, mailboxes: list[str] | None = None, client_id: str = CLIENT) -> list[str] | None:
        """Mailboxes that an application may reach; the others answer 403. Args: mailboxes (null: all), client_id."""
        scope = None if mailboxes is None else frozenset(one.lower() for one in mailboxes)
        self.login.applications[client_id].mailboxes = scope
        return mailboxes

    def _when_roles(self, roles: list[str], client_id: str = CLIENT) -> list[str]:
        """The application permissions that were granted. Args: roles, client_id."""
        self.login.applications[client_id].roles = tuple(roles)
        return roles

    def _when_expire_tokens(self, life: int | None = None) -> int:
        """Every token given out stops working; `life` is the seconds that new ones last. Args: life."""
        self.login.tokens.clear()
        if life is not None:
            self.login.life = life
        return self.login.life

    def _when_forget_sync_states(self, code: str = "SyncStateNotFound") -> int:
        """Every delta and skip token given out so far answers 410. Args: code (SyncStateNotFound, resyncRequired)."""
        self._expiry = code
        self.epoch += 1
        return self.epoch

    def _when_corrupt_sync_state(self, mailbox: str, folder: str = "calendar", on: bool = True) -> str:
        """The tokens of one folder answer 410. Args: mailbox, folder (distinguished id), on."""
        struck = self.office.world.folder(self.office.mailbox(mailbox), folder)
        (self.forgotten.add if on else self.forgotten.discard)(struck.serial)
        return struck.name

    def _when_empty_pages(self, share: float = 0.3) -> float:
        """A share of the pages of delta rounds has no rows and a nextLink. Args: share (0: none)."""
        self._empty_pages = min(float(share), 0.9)
        return self._empty_pages

    def _when_behaviour(
        self,
        deleted_occurrences: str | None = None,
        deleted_by_id: str | None = None,
        link_patch: str | None = None,
        repeated_transaction: str | None = None,
    ) -> dict[str, str]:
        """Choices where Graph is not documented. Args: deleted_occurrences (silent, removed), deleted_by_id (gone,
        found), link_patch (mail, silent), repeated_transaction (event, conflict)."""
        for name, value, allowed in (
            ("deleted_occurrences", deleted_occurrences, ("silent", "removed")),
            ("deleted_by_id", deleted_by_id, ("gone", "found")),
            ("link_patch", link_patch, ("mail", "silent")),
            ("repeated_transaction", repeated_transaction, ("event", "conflict")),
        ):
            if value is not None:
                if value not in allowed:
                    raise ValueError(f"{name} is one of {', '.join(allowed)}")
                setattr(self, name, value)
        return {name: getattr(self, name) for name in ("deleted_occurrences", "deleted_by_id", "link_patch",
                                                       "repeated_transaction")}  # fmt: skip

    def _when_access_denied(self, mailbox: str, on: bool = True) -> bool:
        """Everything in a mailbox answers ErrorAccessDenied. Args: mailbox, on."""
        self.office.mailbox(mailbox).denied = on
        return on

    def _when_custom_zone(self, mailbox: str, subject: str = "Custom zone", start: datetime | str | None = None) -> str:
        """An event with the zone id tzone://Microsoft/Custom. Args: mailbox, subject, start. Gives its id."""
        return self._graph_id(self.office.condition("custom_zone", mailbox=mailbox, subject=subject, start=start))

    def _when_unknown_zone(
        self, mailbox: str, subject: str = "Unknown zone", start: datetime | str | None = None,
        zone: str = "Customized Time Zone", all_day: bool = False,
    ) -> str:  # fmt: skip
        """An event with a zone that no table knows. Args: mailbox, subject, start, zone, all_day. Gives its id."""
        return self._graph_id(
            self.office.condition(
                "unknown_zone", mailbox=mailbox, subject=subject, start=start, zone=zone, all_day=all_day
            )
        )

    def _when_move_event(self, event: str, folder: str = "deleteditems") -> str:
        """An event is moved to another folder; its default id changes. Args: event (id), folder. Gives the new id."""
        world = self.office.world
        item = world.item(ids.read(world, event).serial)
        if item is None:
            raise KeyError("no such event")
        moved = world.move(item, world.folder(world.mailbox_of(world.folders[item.folder]), folder))
        return ids.of_item(world, moved, immutable=False)

    def _graph_id(self, ews_id: str) -> str:
        world = self.office.world
        item = world.item(ids.read(world, ews_id).serial)
        assert item is not None
        return ids.of_item(world, item, immutable=True)

    # -- kit ------------------------------------------------------------------------------------------------------

    def snapshot(self) -> object:
        """The mailboxes, and what only Graph knows of them."""
        return Kept(self.office.snapshot(), dict(self.transactions), self.epoch, frozenset(self.forgotten))

    def restore(self, snapshot: object) -> None:
        """Go back to a snapshot."""
        if not isinstance(snapshot, Kept) or not isinstance(snapshot.world, World):
            raise TypeError("this is no snapshot of a Graph practice server")
        self.office.restore(snapshot.world)
        self.transactions, self.epoch = dict(snapshot.transactions), snapshot.epoch
        self.forgotten = set(snapshot.forgotten)

    def populate(self, seed: int) -> dict[str, int]:
        """Three reps' mailboxes with meetings and contacts, and a room: the same as the practice Exchange's.

        Mailboxes that are shared with a practice Exchange are left as that one filled them.
        """
        if self.office.world.mailboxes:
            return {"mailboxes": 0, "events": 0, "contacts": 0}
        return self.office.populate(seed)

    def load_schema(self, schema: Mapping[str, Any]) -> None:
        """Sections mailboxes, room_lists, folders and properties, as of the practice Exchange. Raises ValueError."""
        self.office.load_schema(schema)

    def load_credentials(self, credentials: Mapping[str, Any]) -> None:
        """`tenant`, and `applications` (client_id, secret, certificate, roles, mailboxes). Raises ValueError."""
        unknown = set(credentials) - {"tenant", "applications"}
        if unknown:
            raise ValueError(f"credentials has an unknown key {sorted(unknown)[0]!r}; there are tenant, applications")
        self.login.tenant = str(credentials.get("tenant") or self.login.tenant)
        for number, one in enumerate(credentials.get("applications") or ()):
            entry = dict(one)
            if entry.get("mailboxes") is not None:
                entry["mailboxes"] = frozenset(str(each).lower() for each in entry["mailboxes"])
            try:
                made = Application(**{**entry, **({"roles": tuple(entry["roles"])} if "roles" in entry else {})})
            except TypeError as error:
                raise ValueError(f"credentials.applications[{number}]: {error}") from None
            self.login.applications[made.client_id] = made

    def load_data(self, objects: Mapping[str, list[dict[str, Any]]]) -> dict[str, int]:
        """Records of Mailbox, CalendarItem and Contact, as of the practice Exchange. Raises ValueError."""
        return self.office.load_data(objects)

    def connection_info(self) -> dict[str, Any]:
        """What a client needs to connect."""
        first = next(iter(self.login.applications.values()))
        return {
            "url": self.url,
            "graph": f"{self.url}/v1.0",
            "login": self.url,
            "tenant_id": self.login.tenant,
            "client_id": first.client_id,
            "client_secret": first.secret,
            "token_url": f"{self.url}/{self.login.tenant}/oauth2/v2.0/token",
            "mailboxes": [{"address": box.address, "name": box.name, "id": box.guid, "timezone": box.zone.id}
                          for box in self.office.world.mailboxes.values()],
        }  # fmt: skip


def _plain(part: str) -> str:
    """A segment without what OData allows around a function: `delta()` and `microsoft.graph.delta` are `delta`."""
    short = part.removesuffix("()")
    return short[len(_QUALIFIED) :] if short.lower().startswith(_QUALIFIED) else short


def _is_id(parts: list[str], number: int) -> bool:
    """Whether a part of a path is an id: it stands after a collection and is no verb or resource."""
    before = parts[number - 1].lower() if number else ""
    return (
        before in ("users", "events", "calendars", "contacts", "contactfolders")
        and _plain(parts[number]).lower() != "delta"
    )
