"""What a practice server's handler receives and answers, free of any web framework.

A handler is a plain function of a `Request`: the kit has already de-chunked and gunzipped the body and decoded the
query, and it writes a `Response` exactly as given, header case included.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, quote, urlencode

import orjson
from multidict import CIMultiDictProxy

Headers: TypeAlias = CIMultiDictProxy[str]
_CALLBACK = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!-\"$-~]+")


def is_callback(text: str) -> bool:
    """Whether a text can be a redirection endpoint of OAuth: an absolute URI without a fragment (RFC 6749, 3.1.2)."""
    return _CALLBACK.fullmatch(text) is not None


class BadJson(ValueError):
    """The body is not the JSON it says it is. The message names the position, as the parsers of real servers do."""


class DropConnection(Exception):
    """Raised by a handler, a fault or an `on_request` hook: close the connection without a reply."""


class Connection:
    """Identity of one TCP connection: hashable, weakly referable, with room for what a protocol binds to it.

    NTLM authenticates a connection rather than a request, so its handshake state lives in `state`.
    """

    __slots__ = ("__weakref__", "state")

    def __init__(self) -> None:
        self.state: dict[str, Any] = {}


@dataclass(slots=True)
class Request:
    """One request as it arrived. `path` is still percent-encoded; `query` keeps order and repeats, decoded."""

    method: str
    path: str
    query: list[tuple[str, str]]
    headers: Headers
    body: bytes
    connection: Connection
    scheme: str
    host: str
    state: dict[str, Any] = field(default_factory=dict)

    def param(self, name: str, default: str | None = None) -> str | None:
        """The first value of a query parameter."""
        for key, value in self.query:
            if key == name:
                return value
        return default

    def params(self, name: str) -> list[str]:
        """Every value of a query parameter, in order."""
        return [value for key, value in self.query if key == name]

    def json(self) -> Any:
        """The body as JSON. Raises `BadJson`; an empty body is bad JSON too."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError as error:
            raise BadJson(str(error)) from error

    def form(self) -> dict[str, str]:
        """An application/x-www-form-urlencoded body; of a repeated name, the last value."""
        return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))

    def cookies(self) -> dict[str, str]:
        """The cookies of the request; none when the header cannot be parsed."""
        try:
            jar = SimpleCookie(self.headers.get("Cookie", ""))
        except CookieError:
            return {}
        return {name: morsel.value for name, morsel in jar.items()}

    @property
    def base_url(self) -> str:
        """Scheme and host as this client addressed the server: what absolute links in an answer start with."""
        return f"{self.scheme}://{self.host}"


@dataclass(slots=True)
class Response:
    """One answer.

    A `bytes` body goes out with its length; an iterator is streamed in chunks, and a `b""` from it means "nothing to
    say yet": the kit asks again a moment later, so a streaming notification never blocks the other clients.
    `records` is how many records the answer moved, for the counters.
    """

    status: int = 200
    body: bytes | Iterator[bytes] = b""
    headers: list[tuple[str, str]] = field(default_factory=list)
    records: int = 0

    @classmethod
    def of_json(
        cls, value: Any, status: int = 200, *, headers: list[tuple[str, str]] | None = None, records: int = 0
    ) -> Response:
        """A JSON answer with the content type `application/json;charset=UTF-8`."""
        return cls(
            status, orjson.dumps(value), [("Content-Type", "application/json;charset=UTF-8"), *(headers or [])], records
        )

    @classmethod
    def of_text(cls, text: str, status: int = 200, content_type: str = "text/plain;charset=UTF-8") -> Response:
        """A text answer (plain by default)."""
        return cls(status, text.encode("utf-8", "replace"), [("Content-Type", content_type)])

    @classmethod
    def back_to(cls, callback: str, answer: Mapping[str, str], *, fragment: bool = False) -> Response:
        """302 to a callback of OAuth (see `is_callback`), the answer in its query or fragment."""
        glue = "#" if fragment else "&" if "?" in callback else "?"
        return cls(302, headers=[("Location", callback + glue + urlencode(answer, quote_via=quote))])

    def header(self, name: str) -> str | None:
        """The first value of a header, whatever its case."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), None)
