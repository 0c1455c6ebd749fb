"""Sends EWS operations through exchangelib and gives back the reply's messages.

exchangelib 5.6 does the talking: sessions, basic, NTLM and OAuth sign-in, impersonation, the envelope with version and
zone. Three things of it are left aside, each for a reason that can be read in its source:

* its retry policies: ``FaultTolerance`` sleeps inside the call, retries 401 until the account is locked out, and sends
  creates twice after partial throttling; ``FailFast`` loses Retry-After and the ids of what was done;
* its version hunting: an ErrorInvalidRequest is sent again once per API version and the server's text is lost;
* its item classes: one unknown zone id fails a whole listing, all-day meetings move with the zone of the process, and
  errors of single items end the batch.

Nothing process-wide is set. A connector has protocol objects of its own, outside exchangelib's cache (which ignores
settings and keeps errors for ever), with an HTTP adapter of its own that knows the CA file and counts.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from types import SimpleNamespace
from typing import Any

import oauthlib.oauth2
import requests
from exchangelib import IMPERSONATION, Build, Configuration, Credentials, Identity, OAuth2Credentials, Version
from exchangelib import UTC as EWS_UTC
from exchangelib.errors import ErrorInternalServerTransientError, ErrorTimeoutExpired, TransportError
from exchangelib.protocol import BaseProtocol, FailFast
from exchangelib.services.common import EWSAccountService
from exchangelib.util import is_xml
from urllib3.exceptions import NameResolutionError, NewConnectionError

from connectors.adapter import Adapter
from connectors.calendars.waits import seconds
from sidefeed.connector import (
    AuthenticationFailed,
    Calls,
    ConnectorError,
    NoConnection,
    PermissionDenied,
    RateLimited,
    Unavailable,
)

from . import xml
from .errors import Lost, NotEws, error_for
from .folder import FolderId
from .settings import Settings, online_notice
from .xml import E, Element, M

READ_TRIES = 2
"""A read whose reply was lost is sent once more, at once, on a new connection; what lasts longer is the scheduler's."""
BACK_OFF = 10.0
"""Seconds to wait after a "server busy" without a hint; the first step of exchangelib's own doubling."""

_TRANSIENT = {
    "ErrorInternalServerTransientError", "ErrorMailboxStoreUnavailable", "ErrorMailboxFailover",
    "ErrorConnectionFailed", "ErrorADUnavailable", "ErrorTimeoutExpired", "ErrorInternalServerError",
}  # fmt: skip
_AUTH_TYPES = {"basic": "basic", "ntlm": "NTLM", "oauth": "OAuth 2.0"}


@dataclass(frozen=True, slots=True)
class Reply:
    """One response message: its element where the server did what was asked, else the response code and text."""

    element: Element | None
    code: str = "NoError"
    text: str = ""
    back_off: float | None = None


class Transport:
    """The connections of one connector: one session per sign-in, at most one connection each."""

    def __init__(self, settings: Settings, calls: Calls) -> None:
        _hush()
        self._settings = settings
        self._calls = calls
        self._wires: dict[str, _Wire] = {}
        self.server_time: datetime | None = None
        """The ``Date`` of the newest reply."""

    def mailbox(self, address: str) -> Mailbox:
        """The door to one mailbox."""
        return Mailbox(self._settings, self._calls, address, self._wire(address))

    def close(self) -> None:
        """Close every connection. The next call opens new ones."""
        for wire in self._wires.values():
            wire.close()
        self._wires.clear()

    def _wire(self, address: str) -> _Wire:
        key = address if self._settings.access == "own" else ""
        if key not in self._wires:
            config = Configuration(
                service_endpoint=self._settings.endpoint,
                credentials=_credentials(self._settings, address),
                auth_type=_AUTH_TYPES[self._settings.auth],
                version=Version(build=Build(*self._settings.version)),
                retry_policy=_Verdict(),
                max_connections=1,
            )
            self._wires[key] = _Wire(config, self._settings.timeout, self._adapter)
        return self._wires[key]

    def _adapter(self, *, tokens: bool) -> _Adapter:
        return _Adapter(self._settings, self._calls, self._heard, tokens=tokens)

    def _heard(self, response: requests.Response) -> None:
        try:
            self.server_time = parsedate_to_datetime(response.headers.get("Date", "")).astimezone(UTC)
        except ValueError:
            return


class Mailbox:
    """Sends operations as, or for, one mailbox."""

    def __init__(self, settings: Settings, calls: Calls, address: str, wire: _Wire) -> None:
        self.address = address
        self._settings = settings
        self._calls = calls
        account = SimpleNamespace(
            primary_smtp_address=address,
            protocol=wire,
            version=wire.version,
            access_type=IMPERSONATION if settings.access == "impersonation" else "delegate",
            identity=Identity(primary_smtp_address=address),
            default_timezone=EWS_UTC,
            affinity_cookie=None,
        )
        self._service = _Service(account=account)

    def folder(self, which: str | FolderId) -> Element:
        """The id of a folder of this mailbox: of a distinguished one by its name. Never a walk from the root: that
        reads every folder."""
        if isinstance(which, FolderId):
            return xml.element("t:FolderId", Id=which.id)
        named = xml.element("t:DistinguishedFolderId", Id=which)
        if self._settings.access == "delegate":
            named.append(xml.element("t:Mailbox", None, [xml.element("t:EmailAddress", self.address)]))
        return named

    def read(self, payload: Element) -> list[Reply]:
        """Send a request without effect, once more if its reply was lost or senseless. Raises ConnectorError."""
        self._calls.minimum += 1
        for tries_left in reversed(range(READ_TRIES)):
            try:
                replies = self._send(payload)
            except Lost:
                if not tries_left:
                    raise
            else:
                if not tries_left or not any(reply.code in _TRANSIENT for reply in replies):
                    return replies
        raise AssertionError("the last try either returns or raises")

    def effect(self, payload: Element) -> Reply:
        """Send a request for one item that may have an effect: once, whatever happens.

        Raises Lost where it may have had it, any other ConnectorError where it had none.
        """
        self._calls.minimum += 1
        replies = self._send(payload)
        if len(replies) != 1:
            raise NotEws(f"Exchange gave {len(replies)} answers to one request for {self.address}.")
        return replies[0]

    def failed(self, reply: Reply, *, effect: bool = False) -> ConnectorError:
        """What a reply other than NoError means."""
        error = error_for(reply.code, reply.text, self.address, back_off=reply.back_off, effect=effect)
        if isinstance(error, PermissionDenied) and self._settings.online:
            return self._online()
        return error

    def _send(self, payload: Element) -> list[Reply]:
        """One request, sent again only after renewing an OAuth token, which the first time had no effect."""
        try:
            response = self._post(payload)
        except oauthlib.oauth2.TokenExpiredError:
            response = self._post(payload)
        except _HttpError as error:
            if error.status != 401 or self._settings.auth != "oauth":
                raise self._verdict(error) from None
            try:
                response = self._post(payload)
            except _HttpError as again:
                raise self._verdict(again) from None
        return self._replies(response.content)

    def _post(self, payload: Element) -> requests.Response:
        where = f"Exchange at {self._settings.host}"
        try:
            return self._service.post(payload)
        except (ErrorTimeoutExpired, ErrorInternalServerTransientError) as error:
            cause = error.__context__
            if isinstance(cause, _NotSent):
                raise NoConnection(f"{where} cannot be reached: {cause}. Check the endpoint and the network.") from None
            raise Lost(f"The connection to {where} broke before its reply for {self.address} arrived.") from None
        except TransportError as error:
            reason = _reason(error.__context__ or error)
            raise NoConnection(
                f"No secure connection to {where}: {reason}. Is ca_file set and right?", code="tls-failed") from None
        except requests.RequestException as error:  # of the token service: exchangelib wraps those of EWS itself
            raise Unavailable(
                f"The token service cannot be used: {_reason(error)}. Check token_url and the network."
            ) from None
        except oauthlib.oauth2.TokenExpiredError:
            raise
        except oauthlib.oauth2.OAuth2Error as error:
            raise AuthenticationFailed(
                f"The token service refused the application: {error.error}. Check client_id, client_secret, token_url."
            ) from None

    def _verdict(self, error: _HttpError) -> ConnectorError:
        """What an HTTP status other than success means; the body is not looked at and not repeated."""
        where = f"Exchange at {self._settings.host}"
        if error.status == 401:
            who = f"mailbox {self.address}" if self._settings.access == "own" else "the service account"
            return AuthenticationFailed(f"{where} refused the credentials of {who} (HTTP 401). Renew them.")
        if error.status == 403 and self._settings.online:
            return self._online()
        if error.status == 403:
            return PermissionDenied(f"{where} refuses EWS to this account (HTTP 403). Is EWS allowed for it?")
        if error.status == 429 or (error.status == 503 and error.retry_after is not None):
            wait = error.retry_after or BACK_OFF
            return RateLimited(f"{where} is throttling: wait {wait:g} seconds.", retry_after=wait)
        if error.status in (404, 405, 410) or (error.status in (301, 302, 307, 308) and not error.error_page):
            return ConnectorError(
                f"{where} has no EWS at this address (HTTP {error.status}). Set endpoint to its /EWS/Exchange.asmx.",
                code="endpoint",
            )
        if 400 <= error.status < 500 and error.status != 408:
            return ConnectorError(f"{where} refused a request (HTTP {error.status}).", code=f"http-{error.status}")
        return Lost(f"{where} failed (HTTP {error.status}).")

    def _online(self) -> PermissionDenied:
        app = self._settings.app
        return PermissionDenied(online_notice(app.client_id if app else None), code="exchange-online")

    def _replies(self, content: bytes) -> list[Reply]:
        root = xml.parse(content)
        body = None if root is None else root.find(f"{xml.SOAP}Body")
        if body is None or not len(body):
            raise NotEws(f"{self._settings.host} answered with something that is not EWS, perhaps a proxy's page.")
        fault = body.find(f"{xml.SOAP}Fault")
        if fault is not None:
            raise self._fault(fault)
        messages = body[0].find(f"{M}ResponseMessages")
        return [_reply(message) for message in ([] if messages is None else messages)]

    def _fault(self, fault: Element) -> ConnectorError:
        detail = fault.find("detail")
        code = None if detail is None else detail.findtext(f"{E}ResponseCode")
        code = (code or (fault.findtext("faultcode") or "").rpartition(":")[2]).strip()
        message = None if detail is None else detail.findtext(f"{E}Message")
        hint = xml.at(detail, "MessageXml", "Value")
        back_off = None
        if hint is not None and hint.get("Name") == "BackOffMilliseconds" and (hint.text or "").strip().isdigit():
            back_off = int(hint.text) / 1000
        reply = Reply(None, code, message or fault.findtext("faultstring") or "", back_off or BACK_OFF)
        if reply.code in _TRANSIENT:
            return Lost(f"Exchange at {self._settings.host} failed for {self.address}: {reply.code}.", code=reply.code)
        return self.failed(reply)


def _reply(message: Element) -> Reply:
    """A response message. A warning that still brings data (several names match) counts as success."""
    code = message.findtext(f"{M}ResponseCode") or ""
    if message.get("ResponseClass") != "Error" and code in ("NoError", "ErrorNameResolutionMultipleResults"):
        return Reply(message)
    details = message.find(f"{M}MessageXml")
    shown = message.findtext(f"{M}MessageText") or ""
    for part in () if details is None else details:
        if part.get("Name") == "InnerErrorResponseCode" and part.text:
            code = part.text
        elif part.get("FieldURI"):
            shown += f" ({part.get('FieldURI')})"
    return Reply(None, code, shown, BACK_OFF)


class _HttpError(Exception):
    """An HTTP status that carries no EWS reply."""

    def __init__(self, response: requests.Response) -> None:
        super().__init__(response.status_code)
        self.status = response.status_code
        self.retry_after = seconds(response.headers.get("Retry-After"))
        # Exchange redirects to this page on passing failures (exchangelib, RetryPolicy.raise_response_errors).
        self.error_page = "genericerrorpage" in response.headers.get("Location", "").lower()


class _NotSent(requests.ConnectionError):  # type: ignore[misc]
    """No connection was made, so nothing was sent."""


class _Verdict(FailFast):  # type: ignore[misc]  # exchangelib ships no types
    """Lets SOAP through and raises everything else at once, as a status, without sleeping or retrying."""

    def raise_response_errors(self, response: requests.Response) -> None:
        soap_fault = response.status_code == 500 and response.content and is_xml(response.content)
        if response.status_code != 200 and not soap_fault:
            raise _HttpError(response)


class _Adapter(Adapter):
    """One connection; counts requests, trusts the configured authority, and tells "never sent" from "reply lost"."""

    def __init__(
        self, settings: Settings, calls: Calls, heard: Callable[[requests.Response], None], *, tokens: bool
    ) -> None:
        super().__init__(calls, pool_connections=1, pool_maxsize=1, pool_block=True, max_retries=0)
        self._tokens = tokens
        self._settings = settings
        self._heard = heard

    def send(
        self, request: Any, stream: bool = False, timeout: Any = None, verify: Any = True, cert: Any = None,
        proxies: Any = None,
    ) -> requests.Response:  # fmt: skip
        """As HTTPAdapter.send. The CA file wins over REQUESTS_CA_BUNDLE, which would win over a session's own."""
        self._calls.used += 1
        try:
            response = super().send(request, stream, timeout, self._settings.ca_file or verify, cert, proxies)
        except requests.exceptions.SSLError:
            raise
        except requests.ConnectionError as error:
            if not _was_sent(error):
                self._calls.used -= 1
                raise _NotSent(_reason(error)) from error
            raise
        if self._tokens and response.status_code >= 500:
            raise requests.ConnectionError(f"token service failed (HTTP {response.status_code})")
        if self._tokens or (self._settings.auth == "ntlm" and response.status_code == 401):
            self._calls.minimum += 1  # the steps of signing in are part of what a sign-in needs
        self._heard(response)
        return response


class _Wire(BaseProtocol):  # type: ignore[misc]
    """An exchangelib protocol outside its process-wide cache, with sessions that use our adapter."""

    def __init__(self, config: Configuration, timeout: float, adapter: Callable[..., _Adapter]) -> None:
        super().__init__(config)
        self.TIMEOUT = timeout
        self._make_adapter = adapter

    @cached_property
    def version(self) -> Version:
        """The pinned version: never guessed, never replaced by what a reply's header says."""
        return self.config.version

    def raw_session(self, prefix: str, **oauth: Any) -> requests.Session:
        """A session with our adapter on every address that exchangelib mounts one on."""
        session: requests.Session = super().raw_session(prefix, **oauth)
        session.mount(prefix, self._make_adapter(tokens=False))
        if oauth.get("oauth2_token_endpoint"):
            session.mount(oauth["oauth2_token_endpoint"], self._make_adapter(tokens=True))
        session.headers["User-Agent"] = "Sidefeed"
        return session

    def retire_session(self, session: Any) -> None:
        """Drop a session; the next request makes one.

        exchangelib makes it here, inside the handling of the first error: where that fails too (the token service is
        down), the pool has lost its only session and the next request waits for it for ever.
        """
        self.close_session(session)
        with self._session_pool_lock:
            self._session_pool_size -= 1

    def refresh_credentials(self, session: Any) -> Any:
        """A session with a new token; a failure leaves the pool able to make another, as above."""
        try:
            return super().refresh_credentials(session)
        except BaseException:
            with self._session_pool_lock:
                self._session_pool_size -= 1
            raise


class _Service(EWSAccountService):  # type: ignore[misc]
    """Any EWS operation: the payload says which."""

    SERVICE_NAME = "Sidefeed"

    def post(self, payload: Element) -> requests.Response:
        """One POST with exchangelib's envelope and headers."""
        response: requests.Response = self._get_response(payload, self.account.version.api_version)
        return response


class _AppCredentials(OAuth2Credentials):  # type: ignore[misc]
    """Client credentials with any token endpoint and scope (hybrid and national clouds have their own)."""

    def __init__(self, client_id: str, client_secret: str, token_url: str, scope: str) -> None:
        super().__init__(client_id=client_id, client_secret=client_secret)
        self._endpoint = token_url
        self._scope = scope

    @property
    def token_url(self) -> str:
        return self._endpoint

    @property
    def scope(self) -> list[str]:
        return [self._scope]

    def session_params(self) -> dict[str, Any]:
        """Without automatic refresh: this grant has no refresh token, a new token is fetched instead."""
        return {"token": self.access_token}


def _credentials(settings: Settings, address: str) -> Credentials | OAuth2Credentials:
    if settings.app is not None:
        app = settings.app
        return _AppCredentials(app.client_id, app.client_secret, app.token_url, app.scope)
    login = settings.own[address] if settings.access == "own" else settings.login
    assert login is not None
    return Credentials(login.username, login.password)


def _was_sent(error: BaseException) -> bool:
    """Whether bytes may have left: false only where no connection was made."""
    return not any(isinstance(each, NewConnectionError | NameResolutionError | requests.ConnectTimeout)
                   for each in _causes(error))  # fmt: skip


def _reason(error: BaseException) -> str:
    """The innermost cause in plain words: its own, without the addresses of objects around it."""
    last = list(_causes(error))[-1]
    said = getattr(last, "verify_message", None) or getattr(last, "strerror", None)
    return said or (str(last) if isinstance(last, requests.RequestException) else type(last).__name__)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and what caused it: requests and urllib3 keep that in arguments, in ``reason`` or in ``__cause__``."""
    while True:
        yield error
        inner = (*error.args, getattr(error, "reason", None), error.__cause__)
        causes = [each for each in inner if isinstance(each, BaseException)]
        if not causes:
            return
        error = causes[0]


class _NoPayloads(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return False


def _hush() -> None:
    """Keep requests and replies out of every log.

    exchangelib.util logs whole envelopes, subjects and Authorization headers included, at DEBUG and, on an unexpected
    error, at ERROR; requests_oauthlib and oauthlib log token requests at DEBUG.
    """
    for name in ("exchangelib.util", "exchangelib.util.xml", "requests_oauthlib.oauth2_session", "oauthlib.oauth2"):
        logger = logging.getLogger(name)
        if not any(isinstance(each, _NoPayloads) for each in logger.filters):
            logger.addFilter(_NoPayloads())
