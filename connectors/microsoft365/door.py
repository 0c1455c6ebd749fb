"""The way to Graph: tokens, waiting, at most four requests in flight per mailbox, batches, and trusted links.

A read is repeated after a passing failure, for as long as patience lasts. A write is repeated only when Graph said that
it did nothing (429); everything else that is doubtful is ``Lost``.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import orjson

from connectors.calendars.waits import seconds
from sidefeed.connector import (
    AuthenticationFailed,
    Calls,
    ConnectorError,
    NoConnection,
    Onward,
    PermissionDenied,
    RateLimited,
    Unavailable,
    chunked,
)

from .errors import Lost, error_for
from .settings import LOGIN, Settings

if TYPE_CHECKING:
    import httpx

PREFER = 'IdType="ImmutableId", outlook.timezone="UTC", outlook.body-content-type="text"'
"""On every request, parts of batches included: an id asked for without it would be another id."""
BATCH = 20
"""The most parts that one batch takes (JSON batching)."""
IN_FLIGHT = 4
"""Requests at a time that Outlook serves per application and mailbox (throttling limits)."""
TRIES = 4
PATIENCE = 60.0
"""Seconds that the waits of one request may come to; a longer one is the caller's."""
GRAPH_SCOPE = "https://graph.microsoft.com/.default"


@dataclass(frozen=True, slots=True)
class Part:
    """One request of a batch. ``path`` is below the mailbox, or below the root if it begins with a slash."""

    method: str
    path: str
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """What Graph said to one request: its body, or the error that it means."""

    body: Any = None
    error: ConnectorError | None = None

    def value(self) -> Any:
        """The body. Raises the error."""
        if self.error is not None:
            raise self.error
        return self.body


class Room:
    """The places that one mailbox has for us. Several are taken under a lock, lest two batches hold half each."""

    def __init__(self) -> None:
        self._free = threading.Semaphore(IN_FLIGHT)
        self._turn = threading.Lock()

    @contextmanager
    def places(self, number: int) -> Iterator[None]:
        """Wait for that many places, and hold them."""
        with self._turn:
            for _ in range(number):
                self._free.acquire()
        try:
            yield
        finally:
            self._free.release(number)


_ROOMS: dict[tuple[str, str, str], Room] = {}
_ROOMS_LOCK = threading.Lock()


def _room(place: tuple[str, str, str]) -> Room:
    """The room of a mailbox, shared by all connectors of this process."""
    with _ROOMS_LOCK:
        return _ROOMS.setdefault(place, Room())


class Door:
    """Sends requests of one application, and counts them in ``calls``."""

    def __init__(self, settings: Settings, calls: Calls, sleep: Callable[[float], None] = time.sleep) -> None:
        self._settings = settings
        self._calls = calls
        self._sleep = sleep
        self._http: httpx.Client | None = None
        self._app: Any = None
        self._lock = threading.Lock()
        self._time: datetime | None = None

    def close(self) -> None:
        """Close the connections."""
        if self._http is not None:
            self._http.close()
            self._http = None

    # Reading

    def get(self, mailbox: str, url: str, *, page: int | None = None) -> Any:
        """The JSON at a path below the mailbox, or at a link that Graph gave. Raises the contract's errors."""
        self._calls.minimum += 1
        prefer = f"{PREFER}, odata.maxpagesize={page}" if page else PREFER
        return self._repeated(lambda: self._send(mailbox, "GET", self._url(mailbox, url), prefer=prefer))

    def pages(self, mailbox: str, path: str, *, page: int = 500) -> Iterator[Any]:
        """The rows of a collection, page after page."""
        url: str | None = path
        places = Onward(f"Graph's list of {path.partition('?')[0]} of {mailbox}")
        while url is not None:
            given = self.get(mailbox, url, page=page)
            yield from given["value"]
            url = places.to(given.get("@odata.nextLink"))

    def read_batch(self, mailbox: str, parts: Sequence[Part], *, size: int = BATCH) -> list[Answer]:
        """The answers of reads, in the order asked. Parts that were throttled are asked again, those alone.

        Raises what concerns the mailbox as a whole; what concerns one item is in its answer.
        """
        answers: list[Answer] = []
        for chunk in chunked(parts, size):
            self._calls.minimum += 1
            answers += self._batch_until_answered(mailbox, chunk)
        return answers

    def _batch_until_answered(self, mailbox: str, parts: Sequence[Part]) -> list[Answer]:
        answers: dict[int, Answer] = {}
        waited = 0.0
        for attempt in range(TRIES):
            asked = [number for number in range(len(parts)) if number not in answers]
            told = self._repeated(lambda asked=asked: self._batch(mailbox, [parts[one] for one in asked]))  # type: ignore[misc]
            for number, answer in zip(asked, told, strict=True):
                if not isinstance(answer.error, RateLimited | Unavailable):
                    answers[number] = answer
            left = [answer.error for answer in told if isinstance(answer.error, RateLimited | Unavailable)]
            if not left:
                break
            wait = max(_pause(error, attempt) for error in left)
            waited += wait
            if attempt == TRIES - 1 or waited > PATIENCE:
                raise left[0]
            self._sleep(wait)
        return [answers[number] for number in range(len(parts))]

    # Writing

    def write_batch(self, mailbox: str, parts: Sequence[Part]) -> list[Answer]:
        """The answers of up to four writes. Those that were throttled were not done, and are sent again."""
        self._calls.minimum += 1
        answers: dict[int, Answer] = {}
        waited = 0.0
        for attempt in range(TRIES):
            asked = [number for number in range(len(parts)) if number not in answers]
            try:
                told = self._batch(mailbox, [parts[one] for one in asked], effect=True)
            except (AuthenticationFailed, PermissionDenied):
                raise
            except ConnectorError as error:
                told = [Answer(error=error)] * len(asked)
            throttled = [one.error for one in told if isinstance(one.error, RateLimited)]
            waited += max((_pause(error, attempt) for error in throttled), default=0.0)
            last = attempt == TRIES - 1 or waited > PATIENCE
            for number, answer in zip(asked, told, strict=True):
                if last or not isinstance(answer.error, RateLimited):
                    answers[number] = answer
            if not throttled or last:
                break
            self._sleep(max(_pause(error, attempt) for error in throttled))
        return [answers[number] for number in range(len(parts))]

    # Sending

    def _repeated(self, ask: Callable[[], Any]) -> Any:
        waited = 0.0
        for attempt in range(TRIES):
            try:
                return ask()
            except (RateLimited, Unavailable) as error:
                wait = _pause(error, attempt)
                waited += wait
                if attempt == TRIES - 1 or waited > PATIENCE:
                    raise
                self._sleep(wait)
        raise AssertionError("unreachable")

    def _batch(self, mailbox: str, parts: Sequence[Part], *, effect: bool = False) -> list[Answer]:
        """One batch, its answers by id and never by position. Raises where the batch as a whole failed."""
        requests = [self._request(mailbox, str(number), part) for number, part in enumerate(parts)]
        url = f"{self._settings.graph}/$batch"
        given = self._send(mailbox, "POST", url, {"requests": requests}, weight=len(parts), effect=effect)
        told = {str(one.get("id")): one for one in given.get("responses") or ()}
        return [self._answer(mailbox, told.get(str(number)), effect) for number in range(len(parts))]

    def _request(self, mailbox: str, identifier: str, part: Part) -> dict[str, Any]:
        headers = {"Prefer": PREFER, **part.headers}
        path = part.path if part.path.startswith("/") else f"/users/{mailbox}/{part.path}"
        made: dict[str, Any] = {"id": identifier, "method": part.method, "url": path, "headers": headers}
        if part.body is not None:
            headers["Content-Type"] = "application/json"
            made["body"] = part.body
        return made

    def _answer(self, mailbox: str, told: Any, effect: bool) -> Answer:
        if told is None:
            return Answer(error=Lost(f"Graph left out an answer of a batch for mailbox {mailbox}."))
        status, body = int(told.get("status") or 0), told.get("body")
        if 200 <= status < 300:
            return Answer(body)
        headers = {str(name).lower(): str(value) for name, value in (told.get("headers") or {}).items()}
        inner = (body.get("error") or {}).get("innerError") if isinstance(body, Mapping) else None
        if isinstance(inner, Mapping) and inner.get("request-id"):
            headers.setdefault("request-id", str(inner["request-id"]))
        return Answer(error=error_for(status, body, headers, mailbox, effect=effect))

    def _send(
        self, mailbox: str, method: str, url: str, body: Any = None, *, prefer: str = PREFER, weight: int = 1,
        effect: bool = False,
    ) -> Any:  # fmt: skip
        """One request. A token that was refused is renewed once: it may have been revoked or outlived."""
        for renewed in (False, True):
            headers = {"Authorization": f"Bearer {self._token(renew=renewed)}", "Prefer": prefer}
            if body is not None:
                headers["Content-Type"] = "application/json"
            # A batch takes as many places as it has parts, four at most, because Graph runs four at once.
            with self._place(mailbox).places(min(weight, IN_FLIGHT)):
                answer = self._raw(method, url, headers, body, mailbox)
            if answer.status_code != 401 or renewed:
                break
        told = _json(answer.content)
        if 200 <= answer.status_code < 300:
            if not isinstance(told, dict):
                raise Lost(f"The answer for mailbox {mailbox} was not Graph's.")
            return told
        raise error_for(answer.status_code, told, dict(answer.headers), mailbox, effect=effect)

    def _raw(self, method: str, url: str, headers: Mapping[str, str], body: Any, mailbox: str) -> httpx.Response:
        from connectors.http import httpx

        content = None if body is None else orjson.dumps(body)
        self._calls.used += 1
        try:
            answer = self._client().request(method, url, headers=dict(headers), content=content)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise NoConnection(f"Graph cannot be reached ({type(error).__name__}).") from None
        except httpx.HTTPError as error:
            raise Lost(f"The answer for mailbox {mailbox} was lost ({type(error).__name__}).") from None
        self._note_time(answer)
        return answer

    def _note_time(self, answer: httpx.Response) -> None:
        try:
            self._time = parsedate_to_datetime(answer.headers.get("Date", "")).astimezone(UTC)
        except ValueError:
            self._time = None

    def now(self) -> datetime | None:
        """The service's time as of its newest answer (the login's, before any other); None if it told none."""
        if self._time is None:
            self._token()
        return self._time

    def _place(self, mailbox: str) -> Room:
        return _room((self._settings.graph, self._settings.client_id, mailbox))

    def _url(self, mailbox: str, url: str) -> str:
        """A path below the mailbox, or a link that Graph gave: called whole, and only if it leads to Graph."""
        if "://" not in url:
            return f"{self._settings.graph}/users/{mailbox}/{url}"
        ours, theirs = urlsplit(self._settings.graph), urlsplit(url)
        if (theirs.scheme, theirs.netloc.lower()) != (ours.scheme, ours.netloc.lower()):
            raise ConnectorError(f"A link leads away from Graph, to {theirs.netloc}; it is not followed.", code="link")
        return url

    def _client(self) -> httpx.Client:
        if self._http is None:
            from connectors.http import Client, httpx

            context: Any = True
            if self._settings.ca_file:
                import ssl

                context = ssl.create_default_context(cafile=self._settings.ca_file)
            limits = httpx.Limits(max_connections=64, max_keepalive_connections=16)
            self._http = Client(self._calls, timeout=self._settings.timeout, verify=context, limits=limits)
        return self._http

    # Signing in

    def _token(self, *, renew: bool = False) -> str:
        """A token for Graph, from msal's cache while it lasts. Raises AuthenticationFailed."""
        from jwt import PyJWTError

        try:
            with self._lock:
                if self._app is None or renew:
                    self._app = self._signed_in()
                told = self._app.acquire_token_for_client([GRAPH_SCOPE])
        except (PyJWTError, ValueError, TypeError) as error:  # what msal raises for a key that is none
            why = str(error).partition(" Also please")[0]
            raise AuthenticationFailed(f"Microsoft 365 cannot sign the application in: {why}", code="login") from None
        if "access_token" in told:
            return str(told["access_token"])
        reason = str(told.get("error_description") or told.get("error") or "no reason given").partition(" Trace ID")[0]
        raise AuthenticationFailed(
            f"Microsoft 365 refuses the application {self._settings.client_id}: {reason} An administrator can make a "
            "new secret or certificate under App registrations.",
            code=str(told.get("error") or "login"),
        )

    def _signed_in(self) -> Any:
        import msal

        settings = self._settings
        host = LOGIN if settings.login.startswith("http:") else settings.login
        return msal.ConfidentialClientApplication(
            settings.client_id,
            client_credential=settings.certificate or settings.client_secret,
            authority=f"{host}/{settings.tenant}",
            instance_discovery=False,
            http_client=_LoginClient(self, settings.login),
        )


class _LoginClient:
    """What msal sends, over httpx. msal takes no plain http authority, so a practice server stands in for the public
    one: what is meant for the public login goes to ``base``. Requests for tokens count as calls."""

    def __init__(self, door: Door, base: str) -> None:
        self._door = door
        self._base = base

    def get(self, url: str, params: Any = None, headers: Any = None, **_: Any) -> Any:
        return self._send("GET", url, params=params, headers=headers)

    def post(self, url: str, params: Any = None, data: Any = None, headers: Any = None, **_: Any) -> Any:
        form = {name: value.decode() if isinstance(value, bytes) else value for name, value in (data or {}).items()}
        return self._send("POST", url, params=params, headers=headers, data=form)

    def _send(self, method: str, url: str, **more: Any) -> Any:
        from connectors.http import httpx

        if self._base.startswith("http:"):
            url = url.replace(LOGIN, self._base, 1)
        self._door._calls.used += 1
        self._door._calls.minimum += 1
        try:
            answer = self._door._client().request(method, url, **more)
        except httpx.HTTPError as error:
            raise Unavailable(f"The login of Microsoft 365 cannot be reached ({type(error).__name__}).") from None
        self._door._note_time(answer)
        if answer.status_code == 429 or answer.status_code >= 500:
            told = f"The login of Microsoft 365 answers {answer.status_code}."
            wait = seconds(answer.headers.get("Retry-After"))
            raise Unavailable(told) if wait is None else RateLimited(told, retry_after=wait)
        return answer

    def close(self) -> None:
        """The door closes the connections."""


def _json(content: bytes) -> Any:
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        return None


def _pause(error: ConnectorError, attempt: int) -> float:
    """Seconds before another try: what the service says, else doubling from a quarter."""
    if isinstance(error, RateLimited) and error.retry_after is not None:
        return error.retry_after
    return 0.25 * 2.0**attempt
