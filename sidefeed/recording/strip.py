"""Secrets, and how they stay out of what is kept: of headers only the safe ones, the rest by name and by text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from html import escape
from urllib.parse import parse_qsl, quote, quote_plus, urlencode, urlsplit

STRIPPED = "[stripped]"

SAFE = frozenset((
    "accept content-type content-length content-language depth if-match if-none-match if-modified-since "
    "if-unmodified-since prefer preference-applied user-agent date etag last-modified retry-after server dav allow via "
    "x-request-id x-correlation-id request-id client-request-id traceparent").split())
"""Headers in lower case that hold no secret in any system. What is not listed is not kept."""

SECRET_NAME = re.compile(
    r"(?:.*_)?(?:access_?token|refresh_?token|id_?token|token|session_?id|sid|secret|password|passwd|pwd|assertion|"
    r"hapikey|api_?key|private_?key|signature|authorization|code_verifier)", re.IGNORECASE)
"""Names under which a secret stands: of parameters, keys of JSON, settings."""

_IN_PATH = re.compile(r"(/(?:access|refresh)-tokens/)[^/?]+")
_SHORTEST = 6
"""Characters. A shorter text is found by chance everywhere; it is stripped where its name or its header says so."""
_LOGIN = ("authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key")


class Secrets:
    """Texts that nobody may read in a recording, in each way in which they can be written."""

    def __init__(self) -> None:
        self._texts: set[str] = set()
        self._found: re.Pattern[str] | None = None

    def learn(self, texts: Iterable[object]) -> None:
        """From now on these are stripped; texts of fewer than 6 characters are left."""
        for text in texts:
            if isinstance(text, str) and len(text) >= _SHORTEST and text not in self._texts:
                self._texts |= {text, quote(text, safe=""), quote_plus(text), json.dumps(text)[1:-1],
                                json.dumps(text, ensure_ascii=False)[1:-1], escape(text), escape(text, quote=False)}
                self._found = None

    def learn_headers(self, headers: Mapping[str, str]) -> None:
        """The credentials of a request, and the cookies of an answer."""
        for name in _LOGIN:
            told = headers.get(name) or headers.get(name.title()) or ""
            for part in re.split(r"[;,]\s*", told):
                self.learn((part.partition(" ")[2].strip(), part.partition("=")[2].strip()))

    def strip(self, text: str) -> str:
        if not self._texts:
            return text
        if self._found is None:
            self._found = re.compile("|".join(re.escape(one) for one in sorted(self._texts, key=len, reverse=True)))
        return self._found.sub(STRIPPED, text)

    def headers(self, headers: Mapping[str, str], allowed: frozenset[str]) -> dict[str, str]:
        """Those that are allowed (names in lower case), with addresses in them stripped too."""
        return {name: self.strip(str(value)) for name, value in headers.items()
                if name.lower() in SAFE or name.lower() in allowed}

    def url(self, url: str) -> str:
        """A URL without user, fragment, and the values of parameters that hold secrets."""
        found = urlsplit(url)
        query = found.query
        given = parse_qsl(query, keep_blank_values=True)
        if any(SECRET_NAME.fullmatch(name) or name == "code" for name, _value in given):
            query = urlencode([(name, STRIPPED if SECRET_NAME.fullmatch(name) or name == "code" else value)
                               for name, value in given])
        host = found.netloc.rpartition("@")[2]
        path = _IN_PATH.sub(rf"\1{STRIPPED}", found.path)
        return self.strip(found._replace(netloc=host, path=path, query=query, fragment="").geturl())


def secret_settings(values: Mapping[str, object]) -> list[str]:
    """Every text of a system's settings that stands under the name of a secret, at any depth."""
    found: list[str] = []
    for name, value in values.items():
        if isinstance(value, str):
            found += [value] if SECRET_NAME.fullmatch(name) else []
        else:
            for each in value if isinstance(value, list | tuple) else [value]:
                found += secret_settings(each) if isinstance(each, Mapping) else []
    return found
