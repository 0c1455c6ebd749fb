"""Requests to one organisation: simple-salesforce does the talking, on a session that adds what it lacks.

It lacks time-outs (simple-salesforce#148), retries, one safe renewal of the token (#804: endless recursion; and the
caller's headers, ``If-Unmodified-Since`` among them, are lost on its own retry), and a guard against sending the token
to another host (its ``urljoin`` lets ``//other.example`` through). So the library is given a session id and an address,
which switches its own logins off, and a transport adapter that does these four things for every request.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from threading import Lock
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec
import requests
import tenacity
from urllib3.exceptions import MaxRetryError, NewConnectionError

from connectors.adapter import Adapter
from sidefeed.connector import (
    AuthenticationFailed,
    Calls,
    ConnectorError,
    Invalid,
    NoConnection,
    QuotaExhausted,
    RateLimited,
    Unavailable,
    UnknownOutcome,
)

from .answers import refusal
from .library import Salesforce, SalesforceError
from .oauth import Token, Tokens
from .settings import Settings
from .soql import Query

_INVALID_SESSION = b"INVALID_SESSION_ID"
_BEARER = "Bearer "
_LOCATOR = re.compile(r"/services/data/v[0-9.]+/query(?:All)?/[\w-]+", re.ASCII)
_USAGE = re.compile(r"(?:^|[; ])api-usage=(\d+)/(\d+)")
_NO_RETRIES_ABOVE = 0.75
"""Share of the organisation's daily calls above which nothing is repeated: what is left belongs to people's work."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answer:
    """A body as received, and the server's clock when it answered."""

    body: bytes
    at: datetime | None

    def __len__(self) -> int:
        """For the library, which takes an empty answer for None."""
        return len(self.body)


class _RawSalesforce(Salesforce):  # type: ignore[misc]
    """The library's client, giving bodies as received: its own decoding costs three times ours, and rounds decimals."""

    def parse_result_to_json(self, result: requests.Response) -> Answer:
        return Answer(result.content, _server_clock(result))


class LocatorExpired(Unavailable):
    """The pages still to come of a query are no longer there: ask again from the last row."""

    code = "INVALID_QUERY_LOCATOR"


def _server_clock(response: requests.Response) -> datetime | None:
    with contextlib.suppress(ValueError):
        return parsedate_to_datetime(response.headers.get("Date") or "")
    return None


class Client:
    """Raises only the contract's errors.

    ``query``, ``more`` and ``get`` have no effect, so they are repeated after failures that may pass. ``send`` is
    never repeated, except after a 401, which is given before anything is done.
    """

    def __init__(self, settings: Settings, calls: Calls, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._settings = settings
        self._calls = calls
        self._sleep = sleep
        self._tokens = Tokens(settings, self._post_form)
        self._lock = Lock()
        self._salesforce: tuple[Token, _RawSalesforce] | None = None
        self.used_today = 0
        self.daily_limit: int | None = None
        self._session = requests.Session()
        self._session.mount("https://", _Transport(self))
        self._session.mount("http://", _Transport(self))
        if settings.ca_file:
            # REQUESTS_CA_BUNDLE in the environment would silently replace the certificate authority given here.
            self._session.trust_env = False
            self._session.verify = settings.ca_file

    def close(self) -> None:
        self._session.close()

    # Calls without effect

    def query(self, query: Query, decode: Callable[[bytes], T]) -> tuple[T, datetime | None]:
        """The first page, decoded, and the server's clock."""
        text = str(query)
        return self._safely(
            lambda sf: sf.query(text, include_deleted=query.everything, allow_redirects=False), decode,
            f"reading {query.object}",
        )  # fmt: skip

    def more(self, locator: str, decode: Callable[[bytes], T]) -> tuple[T, datetime | None]:
        """The next page of a query. Raises LocatorExpired."""
        if not _LOCATOR.fullmatch(locator):
            raise LocatorExpired("Salesforce gave a next page that is not the address of a query")
        try:
            return self._safely(
                lambda sf: sf.query_more(locator, identifier_is_url=True, allow_redirects=False), decode, "reading on"
            )
        except Invalid as error:
            if error.code == LocatorExpired.code:
                raise LocatorExpired(error.message) from None
            raise

    def get(self, path: str, decode: Callable[[bytes], T], about: str) -> T:
        return self._safely(lambda sf: sf.restful(path, allow_redirects=False), decode, about)[0]

    def _safely(
        self, call: Callable[[_RawSalesforce], Answer | None], decode: Callable[[bytes], T], about: str
    ) -> tuple[T, datetime | None]:
        def once() -> tuple[T, datetime | None]:
            answer = self._call(call, about, safe=True) or Answer(b"", None)
            try:
                return decode(answer.body), answer.at
            except msgspec.MsgspecError:
                raise Unavailable(f"Salesforce sent an answer that cannot be read, while {about}") from None

        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(self._settings.attempts),
            wait=self._wait,
            retry=tenacity.retry_if_exception(self._worth_repeating),
            sleep=self._sleep,
            reraise=True,
        )
        return retrying(once)

    def _worth_repeating(self, error: BaseException) -> bool:
        if not isinstance(error, Unavailable | RateLimited):
            return False
        return self.daily_limit is None or self.used_today < _NO_RETRIES_ABOVE * self.daily_limit

    def _wait(self, state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, RateLimited) and error.retry_after:
            return error.retry_after
        return (tenacity.wait_exponential(multiplier=0.5, max=30) + tenacity.wait_random(0, 0.5))(state)

    # Calls with an effect

    def send(
        self, method: str, path: str, body: Any = None, *, about: str, params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None, references: Sequence[str] = (),
    ) -> bytes:  # fmt: skip
        """The body of the answer (empty for 204). ``references`` names the fields sent that hold ids (`refusal`).
        Raises UnknownOutcome where the effect cannot be known."""
        data = None if body is None else msgspec.json.encode(body)
        sent = {"Sforce-Call-Options": "client=sidefeed", **(headers or {})}
        answer = self._call(
            lambda sf: sf.restful(
                path, params=dict(params or {}), method=method, data=data, headers=sent, allow_redirects=False
            ),
            about, safe=False, references=references,
        )  # fmt: skip
        return b"" if answer is None else answer.body

    def soap(self, message: Callable[[str], bytes], about: str) -> bytes:
        """The answer to a SOAP message, which is made from the token in use. Repeated only with a new token: an old one
        is refused before anything is done, by a fault with status 500 and not by a 401."""
        token = self._tokens.current()
        content = self._soap_once(token, message, about)
        if _INVALID_SESSION in content:
            token = self._tokens.renewed(token.value)
            content = self._soap_once(token, message, about)
        if _INVALID_SESSION in content:
            raise AuthenticationFailed(f"Salesforce did not accept the access token while {about}")
        return content

    def _soap_once(self, token: Token, message: Callable[[str], bytes], about: str) -> bytes:
        url = f"{token.instance_url}/services/Soap/u/{self._settings.api_version}"
        headers = {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": '""'}
        try:
            response = self._session.post(url, data=message(token.value), headers=headers, allow_redirects=False)
        except requests.RequestException as error:
            raise _lost(error, about, safe=False) from None
        return bytes(response.content)

    # Both

    def _call(
        self, call: Callable[[_RawSalesforce], Answer | None], about: str, *, safe: bool, references: Sequence[str] = ()
    ) -> Answer | None:
        try:
            return call(self._client())
        except SalesforceError as error:
            raise refusal(error.status, error.content, about=about, safe=safe, references=references) from None
        except requests.RequestException as error:
            raise _lost(error, about, safe=safe) from None

    def _client(self) -> _RawSalesforce:
        """The library's client for the current token: it fixes token and addresses when it is made."""
        token = self._tokens.current()
        with self._lock:
            if self._salesforce is None or self._salesforce[0] is not token:
                client = _RawSalesforce(
                    session_id=token.value, instance_url=token.instance_url, session=self._session,
                    version=self._settings.api_version,
                )  # fmt: skip
                client.headers.pop("X-PrettyPrint", None)
                self._salesforce = token, client
            return self._salesforce[1]

    def _post_form(
        self, url: str, form: Mapping[str, str], basic: tuple[str, str] | None
    ) -> tuple[int, Any, datetime | None]:
        self._calls.minimum += 1
        try:
            response = self._session.post(
                url, data=form, auth=basic, headers={"Accept": "application/json"}, allow_redirects=False
            )
        except requests.RequestException as error:
            raise _lost(error, "asking for an access token", safe=True) from None
        try:
            answer = msgspec.json.decode(response.content)
        except msgspec.MsgspecError:
            answer = None
        return response.status_code, answer, _server_clock(response)

    # What the transport needs

    def before(self, request: requests.PreparedRequest) -> None:
        """Raises before anything is sent: to another host, or beyond the share of the day's calls."""
        authorization = request.headers.get("Authorization") or ""
        if authorization.startswith(_BEARER):
            ours = urlsplit(self._tokens.current().instance_url)
            if urlsplit(request.url or "").netloc != ours.netloc:
                elsewhere = f"A request to a host other than {ours.netloc} was stopped before it was sent"
                raise AuthenticationFailed(elsewhere, code="other-host")
        if self.daily_limit is None:
            return
        if self._calls.used >= self._settings.quota_share * self.daily_limit:
            raise QuotaExhausted(
                f"This connector has made {self._calls.used} calls, its share of the {self.daily_limit} a day that the "
                f"organisation has (quota_share = {self._settings.quota_share})",
                code="quota-share",
            )

    def after(self, response: requests.Response) -> None:
        if found := _USAGE.search(response.headers.get("Sforce-Limit-Info") or ""):
            self.used_today, self.daily_limit = int(found[1]), int(found[2])

    def sent(self) -> None:
        with self._lock:
            self._calls.used += 1

    def renew(self, request: requests.PreparedRequest) -> None:
        """Give the same request, with all its headers, a token other than the one it was refused for."""
        expired = (request.headers.get("Authorization") or "").removeprefix(_BEARER)
        token = self._tokens.renewed(expired)
        request.headers["Authorization"] = _BEARER + token.value
        # Organisations move to other hosts, and the token answer is how Salesforce tells.
        request.url = urlsplit(request.url or "")._replace(netloc=urlsplit(token.instance_url).netloc).geturl()

    @property
    def timeout(self) -> tuple[float, float]:
        return self._settings.connect_timeout, self._settings.read_timeout


class _Transport(Adapter):
    """Every request passes here: counted, timed out, kept at home, and sent once more with a new token after a 401."""

    def __init__(self, client: Client) -> None:
        super().__init__(client._calls, max_retries=0)
        self._client = client

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        response = self._once(request, **options)
        authorization = request.headers.get("Authorization") or ""
        if response.status_code == 401 and authorization.startswith(_BEARER):
            response.close()
            self._client.renew(request)
            response = self._once(request, **options)
        return response

    def _once(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        self._client.before(request)
        if options.get("timeout") is None:
            options["timeout"] = self._client.timeout
        try:
            response: requests.Response = super().send(request, **options)
        except requests.ConnectionError as error:
            if not _never_connected(error):
                self._client.sent()
            raise
        except requests.RequestException:
            self._client.sent()
            raise
        self._client.sent()
        self._client.after(response)
        return response


def _untrusted(error: requests.RequestException) -> bool:
    return isinstance(error, requests.exceptions.SSLError) and "certificate verify failed" in str(error).lower()


def _never_connected(error: requests.RequestException) -> bool:
    if isinstance(error, requests.ConnectTimeout) or _untrusted(error):
        return True
    cause = error.args[0] if error.args else None
    return isinstance(cause, MaxRetryError) and isinstance(cause.reason, NewConnectionError)


def _lost(error: requests.RequestException, about: str, *, safe: bool) -> ConnectorError:
    """A request without an answer: whether it had an effect is known only where the connection was never made."""
    if _untrusted(error):
        return NoConnection(
            f"Salesforce's certificate is not trusted, while {about}: check ca_file and the address", code="tls-failed")
    if _never_connected(error):
        host = urlsplit(error.request.url).netloc if error.request is not None else "Salesforce"
        return NoConnection(f"{host} cannot be reached, while {about}: check instance_url, login_url and the network")
    what = "did not answer in time" if isinstance(error, requests.Timeout) else "broke the connection"
    kind = Unavailable if safe else UnknownOutcome
    return kind(f"Salesforce {what}, while {about}")
