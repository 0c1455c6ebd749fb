"""Webhooks: subscriptions, and a sender that signs as HubSpot does, repeats and disorders what it sends.

Sources: HubSpot "Webhooks" (100 events a request, 5 s to answer, 10 retries, any order, repeated; `eventId` is not
unique) and "Validating requests" (signature v1: SHA-256 of secret and body; v3: HMAC-SHA256 of method, URI, body and
timestamp; classic CRM subscriptions send both).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import queue
import random
import threading
import time
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

import httpx
import orjson

from sandbox.kit.http import Request

from . import wire
from .behaviour import Event
from .errors import ApiError, missing_fields, not_implemented, validation
from .portal import Portal
from .records import Answer

MAX_EVENTS, TIMEOUT, RETRIES = 100, 5.0, 10
KINDS = ("creation", "deletion", "privacyDeletion", "propertyChange", "merge", "restore", "associationChange")
_GATHER = 0.02


@dataclass
class Subscription:
    """What a receiver wants to hear about."""

    id: int
    event_type: str
    property_name: str | None
    active: bool
    created: int
    updated: int

    def as_json(self) -> dict[str, Any]:
        """The subscription as the API shows it."""
        shown: dict[str, Any] = {
            "eventType": self.event_type,
            "active": self.active,
            "id": str(self.id),
            "createdAt": wire.iso(self.created),
            "updatedAt": wire.iso(self.updated),
        }
        if self.property_name:
            shown["propertyName"] = self.property_name
        return shown


@dataclass
class Delivery:
    """One request that was sent, and what came of it."""

    events: list[dict[str, Any]]
    status: int | None
    attempt: int


@dataclass
class Webhooks:
    """The sender of one app. It only ever calls loopback addresses."""

    portal: Portal
    app_id: int
    secret: str
    target: str | None = None
    concurrent: int = 10
    settings_at: int = 0
    subscriptions: dict[int, Subscription] = field(default_factory=dict)
    duplicates: float = 0.0
    """Share of events that are sent twice."""
    disorder: bool = False
    """Whether events leave in another order than they happened."""
    retry_seconds: float = 0.2
    """Pause before a retry; HubSpot spreads 10 over 24 hours."""
    deliveries: list[Delivery] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._random = random.Random(self.app_id)
        self._queue: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._thread: threading.Thread | None = None
        self._next = 1

    # --- what happened -----------------------------------------------------------------------------------------------

    def hear(self, event: Event) -> None:
        """Queue the webhook events that a write means for the subscriptions. Called on the server's thread."""
        if self.target is None:
            return
        singular = self.portal.store.types[event.type].type.singular
        for subscription in self.subscriptions.values():
            prefix, _, kind = subscription.event_type.partition(".")
            if not subscription.active or prefix not in (singular, "object"):
                continue
            for document in self._documents(event, kind, subscription):
                self._send_later(document)

    def _documents(self, event: Event, kind: str, subscription: Subscription) -> list[dict[str, Any]]:
        base = {
            "eventId": self._random.randrange(1, 2**31),
            "subscriptionId": subscription.id,
            "portalId": self.portal.id,
            "appId": self.app_id,
            "occurredAt": event.at,
            "subscriptionType": subscription.event_type,
            "attemptNumber": 0,
            "objectId": event.record_id,
            "changeSource": event.actor.source,
        }
        if event.actor.source_id:
            base["sourceId"] = event.actor.source_id
        if kind == "propertyChange" and event.kind in ("creation", "propertyChange"):
            wanted = subscription.property_name
            return [
                {**base, "propertyName": name, "propertyValue": value}
                for name, value in event.changes.items()
                if wanted in (None, name) and not name.endswith("lastmodifieddate")
            ]
        if kind != event.kind:
            return []
        flags = {"creation": "NEW", "deletion": "DELETED", "restore": "RESTORED", "merge": "MERGED"}
        flag = {"changeFlag": flags[kind]} if kind in flags else {}
        return [{**base, **flag, **event.details}]

    def _send_later(self, document: dict[str, Any]) -> None:
        self._queue.put(document)
        if self._random.random() < self.duplicates:
            self._queue.put(dict(document))
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="practice-hubspot-webhooks", daemon=True)
            self._thread.start()

    # --- sending -----------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        with httpx.Client(timeout=TIMEOUT, trust_env=False, verify=False) as client:  # noqa: S501 - loopback only
            while True:
                first = self._queue.get()
                if first is None:
                    return
                batch = [first]
                deadline = time.monotonic() + _GATHER
                while len(batch) < MAX_EVENTS and (left := deadline - time.monotonic()) > 0:
                    try:
                        document = self._queue.get(timeout=left)
                    except queue.Empty:
                        break
                    if document is None:
                        return
                    batch.append(document)
                if self.disorder:
                    self._random.shuffle(batch)
                self._deliver(client, batch)
                for _ in batch:
                    self._queue.task_done()

    def _deliver(self, client: httpx.Client, batch: list[dict[str, Any]]) -> None:
        for attempt in range(RETRIES + 1):
            target = self.target
            if target is None:
                return
            body = orjson.dumps([{**document, "attemptNumber": attempt} for document in batch])
            try:
                status: int | None = client.post(target, content=body, headers=self.signed(target, body)).status_code
            except httpx.HTTPError:
                status = None
            self.deliveries.append(Delivery(batch, status, attempt))
            if status is not None and 200 <= status < 300:
                return
            time.sleep(self.retry_seconds)

    def signed(self, uri: str, body: bytes) -> dict[str, str]:
        """The headers of a delivery: both signatures and the time that the newer one covers."""
        stamp = str(self.portal.now())
        old = hashlib.sha256(self.secret.encode() + body).hexdigest()
        new = hmac.new(self.secret.encode(), f"POST{uri}".encode() + body + stamp.encode(), hashlib.sha256).digest()
        return {
            "Content-Type": "application/json",
            "User-Agent": "HubSpot Connect 2.0 (http://dev.hubspot.com/) (namespace: webhooks-nio-http-client)",
            "X-HubSpot-Signature": old,
            "X-HubSpot-Signature-Version": "v1",
            "X-HubSpot-Signature-v3": base64.b64encode(new).decode(),
            "X-HubSpot-Request-Timestamp": stamp,
        }

    def flush(self, seconds: float = 10.0) -> bool:
        """Wait until everything queued has been sent; whether it was."""
        done = self._queue.all_tasks_done
        with done:
            return done.wait_for(lambda: self._queue.unfinished_tasks == 0, seconds)

    def stop(self) -> None:
        """End the sender; what is queued is dropped."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join(TIMEOUT + 1)
            self._thread = None

    # --- the API -----------------------------------------------------------------------------------------------------

    def answer(self, request: Request, rest: list[str]) -> Answer:
        """`/webhooks/v3/{appId}/settings` and `/subscriptions`."""
        match request.method, rest:
            case "GET", ["settings"]:
                return Answer(200, self._settings())
            case "PUT", ["settings"]:
                self.configure(wire.body_object(request))
                return Answer(200, self._settings())
            case "DELETE", ["settings"]:
                self.target = None
                return Answer(204)
            case "GET", ["subscriptions"]:
                return Answer(200, {"results": [s.as_json() for s in self.subscriptions.values()]})
            case "POST", ["subscriptions"]:
                return Answer(201, self.subscribe(wire.body_object(request)).as_json())
            case "POST", ["subscriptions", "batch", "update"]:
                return self._batch_update(request)
            case "GET", ["subscriptions", given]:
                return Answer(200, self._get(given).as_json())
            case "PATCH", ["subscriptions", given]:
                return Answer(200, self._activate(given, wire.body_object(request).get("active")).as_json())
            case "DELETE", ["subscriptions", given]:
                del self.subscriptions[self._get(given).id]
                return Answer(204)
        raise not_implemented(f"{request.method} {request.path}")

    def _settings(self) -> dict[str, Any]:
        if self.target is None:
            raise ApiError(404, "No webhook settings exist for this app", "OBJECT_NOT_FOUND")
        return {
            "targetUrl": self.target,
            "throttling": {"maxConcurrentRequests": self.concurrent, "period": "SECONDLY"},
            "createdAt": wire.iso(self.settings_at),
            "updatedAt": wire.iso(self.settings_at),
        }

    def configure(self, document: dict[str, Any]) -> None:
        """Say where events go. Raises 400; this practice server sends to loopback only."""
        target = document.get("targetUrl")
        if not isinstance(target, str) or not target:
            raise missing_fields(["targetUrl"])
        parts = urlsplit(target)
        if parts.hostname not in ("127.0.0.1", "localhost", "::1") or parts.scheme not in ("http", "https"):
            raise validation(f"targetUrl must be on loopback for this practice server, not {target}")
        throttling = document.get("throttling")
        if isinstance(throttling, dict) and isinstance(throttling.get("maxConcurrentRequests"), int):
            self.concurrent = throttling["maxConcurrentRequests"]
        self.target, self.settings_at = target, self.portal.now()

    def subscribe(self, document: dict[str, Any]) -> Subscription:
        """Add a subscription. Raises 400 for an event type or property that cannot be subscribed."""
        event_type, name = document.get("eventType"), document.get("propertyName")
        if not isinstance(event_type, str):
            raise missing_fields(["eventType"])
        prefix, _, kind = event_type.partition(".")
        singulars = {store.type.singular for store in self.portal.store} | {"object"}
        if prefix not in singulars or kind not in KINDS:
            raise validation(f"{event_type} is not a valid event type")
        if kind == "propertyChange" and not isinstance(name, str):
            raise missing_fields(["propertyName"])
        if isinstance(name, str) and name.endswith("lastmodifieddate"):
            raise validation(f"Property {name} cannot be subscribed to")
        now = self.portal.now()
        made = Subscription(self._next, event_type, name, document.get("active") is True, now, now)
        self._next += 1
        self.subscriptions[made.id] = made
        return made

    def _get(self, given: object) -> Subscription:
        found = self.subscriptions.get(wire.as_id(given) or 0)
        if found is None:
            raise ApiError(404, f"No subscription exists with id {given}", "OBJECT_NOT_FOUND")
        return found

    def _activate(self, given: object, active: object) -> Subscription:
        found = replace(self._get(given), active=active is True, updated=self.portal.now())
        self.subscriptions[found.id] = found
        return found

    def _batch_update(self, request: Request) -> Answer:
        results: list[dict[str, Any]] = []
        failed: list[dict[str, Any]] = []
        for item in wire.inputs(request):
            try:
                results.append(self._activate(item.get("id"), item.get("active")).as_json())
            except ApiError as error:
                failed.append(error.entry())
        now = wire.iso(self.portal.now())
        body: dict[str, Any] = {"status": "COMPLETE", "results": results, "startedAt": now, "completedAt": now}
        if failed:
            body |= {"numErrors": len(failed), "errors": failed}
        return Answer(207 if failed else 200, body)
