"""The practice Exchange: transport, envelope, dispatch, conditions, and the Python API for tests and demos.

Source of what goes over the wire: the EWS reference of Exchange Server 2013 to SE. What no source says is a switch,
documented where it is: `auto_resolve`, `pattern_change`, `deleted_start`, `view_limit`.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, ClassVar

from sandbox.kit.faults import Fault
from sandbox.kit.http import Request, Response
from sandbox.kit.server import PracticeServer

from . import (
    api,
    attachments,
    autodiscover,
    availability,
    delegates,
    directory,
    folders,
    items,
    missing,
    population,
    search,
    settings,
    subscriptions,
    sync,
    transfer,
)
from .auth import Application, Authenticator, Principal
from .calls import INPUTS, Call, refused
from .errors import TEXTS, EwsError, RequestFault, SchemaViolation, not_implemented, schema_violation
from .properties import LATEST, VERSIONS
from .soap import (
    MAX_BODY,
    BadXml,
    Element,
    S,
    add,
    child,
    envelope,
    fault,
    local,
    parse,
)
from .store import Item, Mailbox, PropertyKey, World
from .timezones import CUSTOM_ID, UTC_ZONE, Zone, of_element

EWS_PATH = "/ews/exchange.asmx"
AUTODISCOVER = {
    "/autodiscover/autodiscover.svc": autodiscover.soap,
    "/autodiscover/autodiscover.xml": autodiscover.pox,
}
_DATED = re.compile(r"V\d{4}_\d\d_\d\d")

Operation = Callable[[Call, Element], Any]
OPERATIONS: dict[str, Operation] = {
    "GetFolder": folders.get_folder,
    "FindFolder": folders.find_folder,
    "CreateFolder": folders.create_folder,
    "UpdateFolder": folders.update_folder,
    "DeleteFolder": folders.delete_folder,
    "MoveFolder": folders.move_folder,
    "CopyFolder": folders.copy_folder,
    "EmptyFolder": folders.empty_folder,
    "SyncFolderHierarchy": sync.sync_folder_hierarchy,
    "SyncFolderItems": sync.sync_folder_items,
    "GetItem": items.get_item,
    "CreateItem": items.create_item,
    "UpdateItem": items.update_item,
    "DeleteItem": items.delete_item,
    "MoveItem": items.move_item,
    "CopyItem": items.copy_item,
    "SendItem": items.send_item,
    "MarkAllItemsAsRead": items.read_flag,
    "MarkAsJunk": transfer.mark_as_junk,
    "ExportItems": transfer.export_items,
    "UploadItems": transfer.upload_items,
    "FindItem": search.find_item,
    "CreateAttachment": attachments.create_attachment,
    "GetAttachment": attachments.get_attachment,
    "DeleteAttachment": attachments.delete_attachment,
    "ResolveNames": directory.resolve_names,
    "ExpandDL": directory.expand_dl,
    "GetRoomLists": directory.get_room_lists,
    "GetRooms": directory.get_rooms,
    "GetUserAvailabilityRequest": availability.get_user_availability,
    "GetUserOofSettingsRequest": availability.get_user_oof_settings,
    "SetUserOofSettingsRequest": availability.set_user_oof_settings,
    "Subscribe": subscriptions.subscribe,
    "Unsubscribe": subscriptions.unsubscribe,
    "GetEvents": subscriptions.get_events,
    "GetStreamingEvents": subscriptions.get_streaming_events,
    "GetDelegate": delegates.get_delegate,
    "AddDelegate": delegates.add_delegate,
    "UpdateDelegate": delegates.update_delegate,
    "RemoveDelegate": delegates.remove_delegate,
    "ConvertId": settings.convert_id,
    "GetServerTimeZones": settings.get_server_time_zones,
    "GetUserConfiguration": settings.get_user_configuration,
    "CreateUserConfiguration": settings.create_user_configuration,
    "UpdateUserConfiguration": settings.update_user_configuration,
    "DeleteUserConfiguration": settings.delete_user_configuration,
}


class ExchangeServer(api.PythonApi, PracticeServer):
    """Exchange Server on loopback.

    `auth` lists the schemes on offer, in order. `build` is (major, minor, major build, minor build) and
    `server_version` the schema version told in every reply. `find_limit` is the throttling policy's most rows of one
    search (None: no limit).
    """

    name: ClassVar[str] = "exchange"
    max_body = MAX_BODY

    def __init__(
        self,
        *,
        auth: tuple[str, ...] = ("NTLM", "Basic", "Bearer"),
        build: tuple[int, int, int, int] = (15, 2, 1544, 11),
        server_version: str = "V2017_07_11",
        find_limit: int | None = 1000,
        **kit: Any,
    ) -> None:
        super().__init__(**kit)
        self.world = World()
        self.build = build
        self.server_version = server_version
        self.find_limit = find_limit
        self.auto_resolve = "refuse"
        """What AutoResolve does with a stale change key: "refuse" (ErrorIrresolvableConflict) or "merge"."""
        self.pattern_change = "drop"
        """What a changed pattern or time of a series does to its exceptions: "drop" or "keep"."""
        self.deleted_start = "original"
        """DeletedOccurrence.Start of a moved and then deleted occurrence: "original" or "moved"."""
        self.view_limit = "partial"
        """A CalendarView beyond `find_limit`: "partial" (IncludesLastItemInRange false) or "error"."""
        self.authenticator = Authenticator(lambda: self.world, self.clock.now, tuple(auth))
        self.authenticator.applications["practice-app"] = Application("practice-app", "practice-secret")
        self.properties: dict[str, tuple[PropertyKey, str]] = {}
        """Named properties declared in a schema file: keyword -> (identity, type)."""
        self.exported: dict[str, Item] = {}
        """What the streams of ExportItems stand for."""
        self._bad_days: dict[str, Any] = {}
        self.fault_kinds = {
            "busy": self._busy,
            "item_busy": self._item_busy,
            "item_error": self._item_error,
            "inner_busy": self._inner_busy,
            "soap": self._soap,
        }
        self.conditions = {
            name.removeprefix("_when_"): (getattr(self, name).__doc__ or "")
            for name in dir(self)
            if name.startswith("_when_")
        }

    # -- transport ------------------------------------------------------------------------------------------------

    def endpoint(self, request: Request) -> str:
        """The SOAP operation, or method and path for everything else."""
        path = request.path.lower()
        if path.startswith("/ews/") and request.method == "POST":
            return f"EWS {_operation_name(request.body) or '(unreadable)'}"
        if path.startswith("/autodiscover/"):
            return f"{request.method} {path}"
        if path.endswith("/token"):
            return "POST /oauth2/v2.0/token"
        return f"{request.method} (other)"

    def handle(self, request: Request) -> Response:
        """Route by path, as the virtual directories of Exchange do; paths are not case-sensitive."""
        path = request.path.lower().rstrip("/")
        if path.endswith(("/oauth2/v2.0/token", "/oauth2/token")):
            return self._token(request)
        if path in AUTODISCOVER:
            return self._autodiscover(request, AUTODISCOVER[path])
        if path != EWS_PATH:
            return Response.of_text("Not found\n", 404)
        if "ews_blocked" in self._bad_days:
            return self._blocked(request)
        caller = self.authenticator.authenticate(request)
        if isinstance(caller, Response):
            return self._dressed(caller)
        if request.method != "POST":
            if request.method != "GET":
                return Response(405, b"", [("Allow", "GET, POST")])
            return self._dressed(
                Response.of_text("<html><body>Exchange Web Services</body></html>", 200, "text/html; charset=utf-8")
            )
        return self._dressed(self._soap_request(request, caller))

    def _autodiscover(self, request: Request, service: Callable[[ExchangeServer, Request], Response]) -> Response:
        caller = self.authenticator.authenticate(request)
        if isinstance(caller, Response):
            return self._dressed(caller)
        if request.method != "POST":
            return Response(405, b"", [("Allow", "POST")])
        return self._dressed(service(self, request))

    def _token(self, request: Request) -> Response:
        if request.method != "POST":
            return Response(405, b"", [("Allow", "POST")])
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        return self.authenticator.issue(request.form(), given.strip() if scheme.lower() == "basic" else "")

    def _dressed(self, response: Response) -> Response:
        response.headers += [
            ("Cache-Control", "private"),
            ("Server", "Microsoft-IIS/10.0"),
            ("request-id", str(uuid.uuid4())),
            ("X-FEServer", "EXCH01"),
            ("X-CalculatedBETarget", "exch01.practice.example"),
            ("X-DiagInfo", "EXCH01"),
            ("Set-Cookie", "X-BackEndOverrideCookie=EXCH01~1942063486; path=/; HttpOnly"),
        ]
        return response

    def _blocked(self, request: Request) -> Response:
        """Exchange Online's refusal of an application that is not allow-listed. The exact body is not documented."""
        diagnostics = (
            '2000008;reason="The EWS request is blocked by the tenant\'s EWS allow list.";error_category="ews_blocked"'
        )
        return self._dressed(Response(403, b"", [("x-ms-diagnostics", diagnostics), ("Content-Length", "0")]))

    # -- SOAP -----------------------------------------------------------------------------------------------------

    def _soap_request(self, request: Request, caller: Principal) -> Response:
        if "xml" not in request.headers.get("Content-Type", "text/xml").lower():
            return Response(415, b"", [("Content-Length", "0")])
        call: Call | None = None
        try:
            root = parse(request.body)
            if local(root) != "Envelope":
                raise BadXml("the root element is not a SOAP envelope")
            if root.tag != f"{S}Envelope":
                raise BadXml("the envelope is not one of SOAP 1.1")
            body = child(root, "Body")
            operation = next(iter(body), None) if body is not None else None
            if operation is None:
                raise schema_violation("The SOAP body is empty.")
            call = self._call(root, caller, request)
            return self._answer_with(self._perform(call, operation), call)
        except BadXml as error:
            return Response(400, f"Bad Request: {error}".encode(), [("Content-Type", "text/plain")])
        except RequestFault as error:
            return self._fault_response(error)
        except EwsError as error:
            return self._fault_response(RequestFault(error.code, error.message, values=error.values))

    def _answer_with(self, reply: Any, call: Call) -> Response:
        if isinstance(reply, Response):
            return reply
        content = envelope(reply, self.version_info())
        return Response(200, content, [("Content-Type", "text/xml; charset=utf-8")], records=call.records)

    def _perform(self, call: Call, operation: Element) -> Any:
        name = local(operation)
        run = OPERATIONS.get(name)
        if run is None and name not in missing.OPERATIONS:
            raise schema_violation(f"The element 'Body' has an invalid child element '{name}'.")
        if run is None:
            raise not_implemented(f"The operation {name}")
        if self._bad_days.get("throttle"):
            raise _busy_fault(self._bad_days["throttle"])
        self._check_connections(call)
        try:
            return run(call, operation)
        except RequestFault:
            raise
        except EwsError as error:
            if name not in INPUTS:
                raise
            return refused(name, operation, error)

    def _call(self, root: Element, caller: Principal, request: Request) -> Call:
        header = child(root, "Header")
        version, name = LATEST, "V2017_07_11"
        zone: Zone = UTC_ZONE
        mailbox = self.world.mailbox(caller.address) if caller.address else None
        for node in header if header is not None else ():
            kind = local(node)
            if kind == "RequestServerVersion":
                name = node.get("Version") or ""
                version = _version_rank(name)
            elif kind == "TimeZoneContext":
                definition = child(node, "TimeZoneDefinition")
                found = of_element(definition) if definition is not None else None
                if found is None:
                    raise RequestFault("ErrorInvalidArgument", "The time zone of TimeZoneContext is unknown.")
                zone = found
            elif kind == "ExchangeImpersonation":
                mailbox = self._impersonated(node, caller)
        if caller.app and mailbox is None:
            raise RequestFault(
                "ErrorImpersonationRequired",
                "ExchangeImpersonation SOAP header must be present for this type of OAuth token.",
            )
        request.state["counted_as"] = request.state.get("endpoint", "")
        call = Call(self, caller, mailbox, version, name, zone, request.state)
        call.state["connection"] = request.connection
        return call

    def _impersonated(self, node: Element, caller: Principal) -> Mailbox:
        sid = child(node, "ConnectingSID")
        given = next(iter(sid), None) if sid is not None else None
        if given is None or local(given) not in ("PrincipalName", "SID", "PrimarySmtpAddress", "SmtpAddress"):
            raise schema_violation("The element 'ConnectingSID' has incomplete content.", node.sourceline)
        address = (given.text or "").strip()
        mailbox = self.world.mailbox(address)
        if mailbox is None:
            if not caller.impersonates:
                raise RequestFault("ErrorImpersonateUserDenied")
            raise RequestFault("ErrorNonExistentMailbox")
        if mailbox.address.lower() != caller.address.lower() and not caller.may_impersonate(mailbox.address):
            raise RequestFault("ErrorImpersonateUserDenied")
        return mailbox

    def version_info(self) -> dict[str, str]:
        """The attributes of ServerVersionInfo."""
        names = ("MajorVersion", "MinorVersion", "MajorBuildNumber", "MinorBuildNumber")
        return {
            **{name: str(number) for name, number in zip(names, self.build, strict=True)},
            "Version": self.server_version,
        }

    def _fault_response(self, error: RequestFault) -> Response:
        if isinstance(error, SchemaViolation):
            made = fault(error.code, error.message, brief=TEXTS[error.code], named=error.values)
        else:
            made = fault(error.code, error.message, error.values)
        content = envelope(made, self.version_info())
        return Response(error.status, content, [("Content-Type", "text/xml; charset=utf-8"), *error.headers])

    # -- faults ---------------------------------------------------------------------------------------------------

    def _busy(self, request: Request, struck: Fault) -> Response:
        """SOAP fault ErrorServerBusy. Args: backoff_ms (none: without a hint), status (500 or 200)."""
        error = _busy_fault(struck.args.get("backoff_ms"))
        error.status = int(struck.args.get("status", 500))
        return self._dressed(self._fault_response(error))

    def _soap(self, request: Request, struck: Fault) -> Response:
        """Any SOAP fault. Args: code, message, status."""
        error = RequestFault(
            str(struck.args.get("code", "ErrorInternalServerError")),
            struck.args.get("message"),
            status=int(struck.args.get("status", 500)),
        )
        return self._dressed(self._fault_response(error))

    def _item_busy(self, request: Request, struck: Fault) -> None:
        """ErrorServerBusy for item `item` (from 0) of the request, ErrorBatchProcessingStopped for those after it."""
        request.state["item_busy"] = int(struck.args.get("item", 0))

    def _item_error(self, request: Request, struck: Fault) -> None:
        """An error for item `item` (from 0), which is not carried out; the others are. Args: item, code, message."""
        code = str(struck.args.get("code", "ErrorInternalServerError"))
        request.state["item_error"] = (int(struck.args.get("item", 0)), code, struck.args.get("message"))

    def _inner_busy(self, request: Request, struck: Fault) -> Response:
        """HTTP 200 with ErrorInternalServerError whose MessageXml names ErrorServerBusy as the inner error."""
        from .calls import error_message
        from .soap import M, message_root

        name = _operation_name(request.body) or "GetItem"
        error = EwsError(
            "ErrorInternalServerError",
            values=[
                ("InnerErrorMessageText", "The server cannot service this request right now. Try again later."),
                ("InnerErrorResponseCode", "ErrorServerBusy"),
                ("InnerErrorDescriptiveLinkKey", "0"),
            ],
        )
        root = message_root(f"{M}{name}Response")
        add(root, f"{M}ResponseMessages").append(error_message(f"{M}{name}ResponseMessage", error))
        return self._dressed(
            Response(200, envelope(root, self.version_info()), [("Content-Type", "text/xml; charset=utf-8")])
        )

    def _check_connections(self, call: Call) -> None:
        limit = self._bad_days.get("connection_limit")
        if limit is None:
            return
        held: dict[str, Any] = self._bad_days.setdefault("held", {})
        import weakref

        mine = held.setdefault(call.principal.login, weakref.WeakSet())
        mine.add(call.state["connection"])
        if len(mine) > limit:
            mine.discard(call.state["connection"])
            raise RequestFault("ErrorExceededConnectionCount")

    # -- conditions -----------------------------------------------------------------------------------------------

    def condition(self, name: str, **args: Any) -> Any:
        """Switch a bad day on or off; see `conditions` for the names and their arguments."""
        act = getattr(self, f"_when_{name}", None)
        if act is None:
            raise KeyError(f"no condition {name!r}; known: {', '.join(sorted(self.conditions))}")
        return act(**args)

    def _when_forget_sync_states(self) -> int:
        """Every sync state given out so far is refused with ErrorInvalidSyncStateData."""
        self.world.epoch += 1
        return self.world.epoch

    def _when_corrupt_sync_state(self, mailbox: str, folder: str = "calendar") -> str:
        """The sync states of one folder are refused. Args: mailbox, folder (distinguished id)."""
        struck = self.world.folder(self.mailbox(mailbox), folder)
        struck.state_generation += 1
        return struck.name

    def _when_custom_zone(self, mailbox: str, subject: str = "Custom zone", start: datetime | str | None = None) -> str:
        """An appointment with the zone id tzone://Microsoft/Custom. Args: mailbox, subject, start. Gives its id."""
        return self._odd_zone(mailbox, subject, start, Zone(CUSTOM_ID, "", None))

    def _when_unknown_zone(
        self,
        mailbox: str,
        subject: str = "Unknown zone",
        start: datetime | str | None = None,
        zone: str = "Customized Time Zone",
        all_day: bool = False,
    ) -> str:
        """An appointment with a zone id that no table knows, or none. Args: mailbox, subject, start, zone, all_day."""
        return self._odd_zone(mailbox, subject, start, Zone(zone, zone, None), all_day)

    def _odd_zone(
        self, mailbox: str, subject: str, start: datetime | str | None, zone: Zone, all_day: bool = False
    ) -> str:
        item = self.create_event(
            mailbox, subject=subject, start=start or self.clock.now() + timedelta(days=1), all_day=all_day
        )
        values = {**item.values, "calendar:StartTimeZone": zone, "calendar:EndTimeZone": zone}
        if not zone.id:
            values = {uri: value for uri, value in values.items() if value is not zone}
        return self.world.item_id(self.world.put(replace(item, values=values)))

    def _when_unknown_item_type(
        self, mailbox: str, element: str = "Booking", subject: str = "Booking", folder: str = "calendar"
    ) -> str:
        """An item whose element no schema has. Args: mailbox, element, subject, folder. Gives its id."""
        box = self.mailbox(mailbox)
        now = self.clock.now().replace(microsecond=0)
        made = Item(
            self.world.next_serial(),
            "Item",
            box.folders[folder],
            {"item:Subject": subject, "item:ItemClass": f"IPM.{element}"},
            now,
            now,
            element=element,
        )
        return self.world.item_id(self.world.put(made))

    def _when_access_denied(self, mailbox: str, on: bool = True) -> bool:
        """Everything in a mailbox answers ErrorAccessDenied, to everybody. Args: mailbox, on."""
        self.mailbox(mailbox).denied = on
        return on

    def _when_ews_blocked(self, on: bool = True) -> bool:
        """HTTP 403 for every EWS request, as the Exchange Online allow list refuses an application. Args: on."""
        return self._switch("ews_blocked", on)

    def _when_throttle(self, backoff_ms: int | None = 2500, on: bool = True) -> bool:
        """Every request answers a SOAP fault ErrorServerBusy with BackOffMilliseconds. Args: backoff_ms, on."""
        return self._switch("throttle", (backoff_ms or 2500) if on else False)

    def _when_connection_limit(self, connections: int | None = 27) -> int | None:
        """More connections of one account than this: ErrorExceededConnectionCount. Args: connections (null: off)."""
        self._bad_days.pop("held", None)
        self._switch("connection_limit", connections)
        return connections

    def _when_automation(
        self,
        uri: str = "item:Subject",
        value: Any = None,
        suffix: str = "",
        kind: str = "CalendarItem",
        on: bool = True,
    ) -> bool:
        """A field is rewritten after every write, as by a transport rule. Args: uri, value or suffix, kind, on."""
        return self._switch("automation", (uri, value, suffix, kind) if on else False)

    def _when_view_limit(self, limit: int | None = 1000, mode: str = "partial") -> str:
        """Most items of one search; a wider CalendarView is partial or an error. Args: limit (null: none), mode."""
        if mode not in ("partial", "error"):
            raise ValueError("mode is partial or error")
        self.find_limit, self.view_limit = limit, mode
        return mode

    def _when_behaviour(
        self, auto_resolve: str | None = None, pattern_change: str | None = None, deleted_start: str | None = None
    ) -> dict[str, str]:
        """Choices where Exchange is not documented. Args: auto_resolve (refuse, merge), pattern_change (drop, keep),
        deleted_start (original, moved)."""
        for name, value, allowed in (
            ("auto_resolve", auto_resolve, ("refuse", "merge")),
            ("pattern_change", pattern_change, ("drop", "keep")),
            ("deleted_start", deleted_start, ("original", "moved")),
        ):
            if value is not None:
                if value not in allowed:
                    raise ValueError(f"{name} is one of {', '.join(allowed)}")
                setattr(self, name, value)
        return {name: getattr(self, name) for name in ("auto_resolve", "pattern_change", "deleted_start")}

    def _switch(self, name: str, value: Any) -> bool:
        if value is None or value is False:
            self._bad_days.pop(name, None)
            return False
        self._bad_days[name] = value
        return True

    def automate(self, item: Item) -> Item:
        """Apply the condition `automation` to a freshly written item."""
        rule = self._bad_days.get("automation")
        if rule is None or rule[3] != item.kind:
            return item
        uri, value, suffix, _ = rule
        old = item.get(uri)
        new = value if value is not None else f"{old or ''}{suffix}" if not str(old or "").endswith(suffix) else old
        return item if new == old else self.world.put(replace(item, values={**item.values, uri: new}))

    # -- kit ------------------------------------------------------------------------------------------------------

    def snapshot(self) -> object:
        """The mailboxes, the ledger and the subscriptions."""
        return self.world.clone()

    def restore(self, snapshot: object) -> None:
        """Go back to a snapshot."""
        if not isinstance(snapshot, World):
            raise TypeError("this is no snapshot of an Exchange practice server")
        self.world = snapshot.clone()

    def populate(self, seed: int) -> dict[str, int]:
        """Three reps' mailboxes with meetings and contacts, a room, and a service account."""
        return population.populate(self, seed)

    def load_schema(self, schema: Mapping[str, Any]) -> None:
        """Sections mailboxes, accounts, room_lists, folders and properties. Raises ValueError."""
        population.load_schema(self, schema)

    def load_data(self, objects: Mapping[str, list[dict[str, Any]]]) -> dict[str, int]:
        """Records of Mailbox, CalendarItem and Contact. Raises ValueError."""
        return population.load_data(self, objects)

    def connection_info(self) -> dict[str, Any]:
        """What a client needs to connect."""
        return {
            "url": self.url,
            "ews": f"{self.url}/EWS/Exchange.asmx",
            "autodiscover": f"{self.url}/autodiscover/autodiscover.svc",
            "auth": list(self.authenticator.schemes),
            "version": ".".join(map(str, self.build)),
            "mailboxes": [
                {"address": box.address, "name": box.name, "password": box.password, "timezone": box.zone.id}
                for box in self.world.mailboxes.values()
            ],
            "accounts": [
                {"login": account.login, "password": account.password, "impersonates": list(account.impersonates)}
                for account in self.world.accounts.values()
            ],
            "oauth": {
                "token_url": f"{self.url}/practice/oauth2/v2.0/token",
                "client_id": "practice-app",
                "client_secret": "practice-secret",
            },
        }


def _operation_name(body: bytes) -> str:
    """The local name of the first element in the SOAP body, without parsing the whole request."""
    found = re.search(rb"<(?:[\w.-]+:)?Body[^>]*>\s*<(?:[\w.-]+:)?([A-Za-z]+)", body[:65536])
    return found.group(1).decode("ascii") if found else ""


def _version_rank(name: str) -> int:
    if _DATED.fullmatch(name):
        return LATEST
    if name not in VERSIONS:
        raise RequestFault("ErrorInvalidServerVersion", f"The requested server version '{name}' is invalid.")
    return VERSIONS.index(name)


def _busy_fault(backoff: int | None) -> RequestFault:
    values = [("BackOffMilliseconds", str(backoff))] if backoff else []
    return RequestFault("ErrorServerBusy", values=values)
