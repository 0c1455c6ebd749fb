"""Every request to HubSpot: the SDK's transport with our version, time limits, permits, retries and errors.

hubspot-api-client 12 hard-codes ``/crm/v3`` and ``/crm/v4``, opens a new connection pool at each attribute access,
has no time-out, and repeats either nothing or too much. Its ``api_factory`` hook lets all of that be mended from
outside: the factory below hands out each API object once, and wraps its ``call_api``.

What may be repeated: a call that HubSpot refused before doing anything (429, 423), a call that never left (no
connection), and any call that only reads. A write whose answer was lost or was a server error raises UnknownOutcome.
"""

from __future__ import annotations

import hashlib
import logging
import random
import re
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cached_property, lru_cache
from threading import Lock
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar, cast
from urllib.parse import urlencode
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from connectors.hubspot import errors
from connectors.hubspot.settings import Settings
from connectors.hubspot.wire import decode
from sidefeed.connector import (
    AuthenticationFailed,
    Calls,
    ConnectorError,
    Locked,
    NoConnection,
    Quota,
    RateLimited,
    Unavailable,
    UnknownOutcome,
)

if TYPE_CHECKING:
    from tenacity import Retrying

LOCK_SECONDS = 2.0
"""HubSpot's locks last two seconds ("Error handling")."""
NO_TRUST = "tls-failed"
PATIENCE = 60.0
"""Seconds. A longer Retry-After is the caller's to wait for."""
MARGIN = 1.05
"""Requests that leave on time may arrive closer together."""

_PATH = re.compile(r"/crm/v[34]/(objects|associations|owners|pipelines|properties)")


T = TypeVar("T")


class Answer(NamedTuple, Generic[T]):
    """A success, whichever 2xx it was: what it holds, and the server's clock when it answered (whole seconds)."""

    content: T
    date: datetime


class _Call(NamedTuple):
    """One call to make: an SDK method with its arguments, what its answer holds, and what to tell people of it."""

    method: Callable[..., Any]
    arguments: tuple[Any, ...]
    options: Mapping[str, Any]
    kind: Any
    what: str
    reads: bool


class Window:
    """At most ``limit`` permits in any ``seconds``: a rolling window, as HubSpot counts."""

    def __init__(self, limit: int, seconds: float, sleep: Callable[[float], None] = time.sleep) -> None:
        self._taken: deque[float] = deque(maxlen=limit)
        self._seconds = seconds * MARGIN
        self._sleep = sleep
        self._lock = Lock()

    def take(self) -> None:
        """Wait until a permit is free and take it."""
        with self._lock:
            now = time.monotonic()
            if len(self._taken) == self._taken.maxlen:
                wait = self._taken[0] + self._seconds - now
                if wait > 0:
                    self._sleep(wait)
                    now = time.monotonic()
            self._taken.append(now)


@lru_cache(maxsize=64)
def _windows(portal: str, rate_per_10s: int, search_per_second: int) -> tuple[Window, Window]:
    """The general and the search window of one portal, shared by all its connectors in this process."""
    return Window(rate_per_10s, 10.0), Window(search_per_second, 1.0)


class Transport:
    """Sends, and counts what it sends in ``calls``. The SDK is imported at the first request."""

    def __init__(self, settings: Settings, calls: Calls, sleep: Callable[[float], None] = time.sleep) -> None:
        self._settings = settings
        self._calls = calls
        self._sleep = sleep
        portal = settings.portal_id or hashlib.sha256(
            b"" if callable(settings.access_token) else settings.token().encode()
        ).hexdigest()
        self._general, self._search = _windows(
            f"{settings.host} {portal}", settings.rate_per_10s, settings.search_per_second
        )
        self._sdk: Any = None
        self._pool: Any = None
        self._apis: dict[tuple[str, str], Any] = {}
        self.zone: str | None = None
        """The portal's time zone, once known: its midnight returns the daily quota."""
        self.quota: Quota | None = None

    @property
    def sdk(self) -> Any:
        """The SDK's client; every API object taken from it is made once and kept."""
        if self._sdk is None:
            from hubspot import HubSpot

            self._sdk = HubSpot(api_factory=self._api)
        return self._sdk

    def send(
        self, kind: type[T], method: Callable[..., Any], *arguments: Any, what: str, reads: bool = True, least: int = 1,
        **options: Any,
    ) -> Answer[T]:
        """Make one SDK call and return its answer, decoded as ``kind`` (``bytes``: as it came).

        ``what`` names the records for error messages; ``reads`` says that the call changes nothing, so that it may be
        repeated after any failure; ``least`` is what the call adds to ``calls.minimum`` (0 for a probe).
        Raises the contract's errors.
        """
        self._calls.minimum += least
        return cast(Answer[T], self._attempts(self._once, _Call(method, arguments, options, kind, what, reads)))

    @cached_property
    def _attempts(self) -> Retrying:
        """Kept, because making one costs as much as reading ten records; what it counts is each thread's own."""
        from tenacity import Retrying, retry_if_exception, stop_after_attempt

        return Retrying(
            sleep=self._sleep,
            stop=stop_after_attempt(self._settings.attempts),
            wait=lambda state: _pause(state.outcome.exception() if state.outcome else None, state.attempt_number),
            retry=retry_if_exception(_repeatable),
            reraise=True,
        )

    def get(self, kind: type[T], path: str, *, what: str) -> Answer[T]:
        """A plain GET through the SDK's client, for what the SDK has no method for."""
        client = self.sdk.crm.objects.basic_api.api_client
        return self.send(
            kind, client.call_api, path, "GET", what=what,
            header_params={"Accept": "application/json"}, auth_settings=["oauth2"],
        )

    def post(self, kind: type[T], path: str, body: Mapping[str, Any], *, what: str) -> Answer[T]:
        """A plain POST that changes nothing, for what the SDK has no method for."""
        client = self.sdk.crm.objects.basic_api.api_client
        return self.send(
            kind, client.call_api, path, "POST", what=what, body=dict(body),
            header_params={"Accept": "application/json", "Content-Type": "application/json"}, auth_settings=["oauth2"],
        )

    def token(self) -> str:
        return self._settings.token()

    def close(self) -> None:
        """Close the connections; the next call opens new ones."""
        if self._pool is not None:
            self._pool.clear()

    # One attempt

    def _once(self, call: _Call) -> Answer[Any]:
        used = self._settings.token()
        try:
            return self._attempt(call)
        except AuthenticationFailed:
            if not callable(self._settings.access_token) or self._settings.token() == used:
                raise
        return self._attempt(call)

    def _attempt(self, call: _Call) -> Answer[Any]:
        from urllib3.exceptions import HTTPError

        try:
            response = call.method(*call.arguments, **call.options)
            body = response.data
        except HTTPError as failure:
            raise self._lost(failure, call) from None
        except (UnicodeDecodeError, AttributeError) as failure:
            # The SDK decodes every error body as UTF-8, and stumbles over pages in another encoding and over TLS
            # errors, which have no body; what it was about to raise is the context of its stumble.
            refused: Any = failure.__context__
            if not hasattr(refused, "status"):
                raise
            raise self._refused(refused, call) from None
        except Exception as failure:
            # The exception classes of the SDK's packages share no base class.
            if not hasattr(failure, "status"):
                raise
            raise self._refused(failure, call) from None
        self.quota = _quota(response.headers) or self.quota
        try:
            return Answer(body if call.kind is bytes else decode(call.kind, body), _date(response.headers))
        except ValueError:
            said = f"{call.what}: HubSpot answered {response.status} with what is not the documented JSON"
            if call.reads:
                raise Unavailable(f"{said}; if this stays, check the setting 'host' and any proxy") from None
            raise UnknownOutcome(f"{said}, so this may have happened or not") from None

    def _lost(self, failure: Exception, call: _Call) -> ConnectorError:
        from urllib3.exceptions import ConnectTimeoutError, NewConnectionError, ProxyError, ReadTimeoutError

        what, kind = call.what, type(failure).__name__
        if isinstance(failure, (NewConnectionError, ConnectTimeoutError, ProxyError)):
            return NoConnection(
                f"{what}: no connection to {self._settings.host} ({kind}); check the network and 'host'")
        if isinstance(failure, ReadTimeoutError):
            kind = f"no answer within {self._settings.read_timeout:g} s"
        if call.reads:
            return Unavailable(f"{what}: HubSpot's answer was lost ({kind})")
        return UnknownOutcome(f"{what}: HubSpot's answer was lost ({kind}), so this may have happened or not")

    def _refused(self, failure: Any, call: _Call) -> ConnectorError:
        status = int(failure.status or 0)
        if status == 0:
            reason = errors.short(str(failure.reason or "TLS failed"))
            return NoConnection(
                f"no trusted connection to {self._settings.host}: {reason}. Where a company's own authority signs, "
                "give its certificate as 'ca_file'", code=NO_TRUST,
            )
        body = failure.body
        body = body.decode("utf-8", "replace") if isinstance(body, bytes) else str(body or "")
        headers = failure.headers or {}
        if (status >= 500 or status == errors.GAVE_UP) and not call.reads:
            return UnknownOutcome(f"{call.what}: HubSpot answered {status}, so this may have happened or not")
        now = _date(headers)
        return errors.of_status(status, body, headers, call.what, now=now, midnight=self._midnight(now))

    def _midnight(self, now: datetime) -> datetime | None:
        """The next midnight of the portal."""
        if self.zone is None:
            return None
        try:
            local = now.astimezone(ZoneInfo(self.zone))
        except (ZoneInfoNotFoundError, ValueError):
            return None
        tomorrow = (local + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
        return tomorrow.astimezone(UTC)

    # The SDK's hook

    def _api(self, package: Any, name: str, _config: Mapping[str, Any]) -> Any:
        """`api_factory`: one API object per package and name, on one connection pool for all."""
        key = (package.__name__, name)
        if key not in self._apis:
            self._apis[key] = getattr(package, name)(api_client=self._client(package))
        return self._apis[key]

    def _client(self, package: Any) -> Any:
        settings = self._settings
        with _log_level_kept("urllib3"):
            configuration = package.Configuration(host=settings.host.rstrip("/"))
        configuration.retries = False
        configuration.ssl_ca_cert = settings.ca_file or None
        configuration.proxy = settings.proxy or None
        client = package.ApiClient(configuration=configuration)
        client.user_agent = "sidefeed"
        if self._pool is None:
            self._pool = _Pool(client.rest_client.pool_manager, self._calls)
        client.rest_client.pool_manager = self._pool
        plain = client.call_api

        def call_api(path: str, *arguments: Any, **options: Any) -> Any:
            (self._search if path.endswith("/search") else self._general).take()
            self._calls.used += 1
            configuration.access_token = settings.token()
            options["_preload_content"] = False
            options["_request_timeout"] = (settings.connect_timeout, settings.read_timeout)
            return plain(versioned(path, settings.api_version), *arguments, **options)

        client.call_api = call_api
        return client


class _Pool:
    """The connections that the SDK made, which let whoever listens to ``calls`` hear each request and its answer."""

    def __init__(self, made: Any, calls: Calls) -> None:
        self._made = made
        self._calls = calls

    def request(self, method: str, url: str, **options: Any) -> Any:
        """As urllib3's: ``fields`` are the query of a request without a body."""
        if self._calls.listener is None:
            return self._made.request(method, url, **options)
        asked = f"{url}?{urlencode(options['fields'])}" if options.get("fields") else url
        with self._calls.overheard(method, asked, options.get("headers") or {}, options.get("body")) as call:
            answer = self._made.request(method, url, **options)
            call.answered(answer.status, answer.headers, answer.data)
        return answer

    def clear(self) -> None:
        self._made.clear()


def versioned(path: str, version: str) -> str:
    """The SDK's path in another API version: the version follows the area, and v3 and v4 become one
    (HubSpot documentation "Versioning", "Legacy migration guide")."""
    if version == "v3":
        return path
    return _PATH.sub(rf"/crm/\1/{version}", path, count=1).rstrip("/")


def _repeatable(error: BaseException) -> bool:
    """These had no effect; the first two may even be writes."""
    if isinstance(error, RateLimited):
        return (error.retry_after or 0) <= PATIENCE
    return isinstance(error, (Locked, Unavailable)) and error.code != NO_TRUST


def _pause(error: BaseException | None, attempt: int) -> float:
    """Seconds before the next attempt, apart for clients that failed together."""
    if isinstance(error, Locked):
        return LOCK_SECONDS + random.random() / 4  # noqa: S311 - spreads load, guards nothing
    if isinstance(error, RateLimited) and error.retry_after:
        return error.retry_after
    first = 1.0 if isinstance(error, RateLimited) else 0.5
    return min(10.0, first * 2.0 ** (attempt - 1)) * (1 + random.random() / 4)  # noqa: S311


def _quota(headers: Mapping[str, str]) -> Quota | None:
    """The portal's daily calls, where an answer tells them (HubSpot documentation, "API usage guidelines")."""
    try:
        limit = int(headers["X-HubSpot-RateLimit-Daily"])
        return Quota(limit, limit - int(headers["X-HubSpot-RateLimit-Daily-Remaining"]))
    except (KeyError, ValueError):
        return None


def _date(headers: Mapping[str, str]) -> datetime:
    """The server's clock from its Date header; ours where it sent none, which the windows' overlap forgives."""
    try:
        return parsedate_to_datetime(headers["Date"]).astimezone(UTC)
    except (KeyError, TypeError, ValueError):
        return datetime.now(UTC).replace(microsecond=0)


@contextmanager
def _log_level_kept(name: str) -> Iterator[None]:
    """The SDK's Configuration resets the level of urllib3's logger each time one is made."""
    logger = logging.getLogger(name)
    level = logger.level
    try:
        yield
    finally:
        logger.setLevel(level)
