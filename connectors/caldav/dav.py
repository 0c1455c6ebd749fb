"""WebDAV as calendars need it: requests, their errors, and the multistatus answers (RFC 4918, 4791, 6352, 6578).

XML is parsed with entities off. A read is repeated when the server fails in passing; a write never is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

from lxml import etree

from connectors.http import Client, httpx, verify
from sidefeed.connector import (
    AuthenticationFailed,
    Calls,
    Conflict,
    ConnectorError,
    CursorExpired,
    Duplicate,
    Gone,
    Invalid,
    Locked,
    PermissionDenied,
    RateLimited,
    Unavailable,
    UnknownOutcome,
)

from .settings import Login, Settings

D, C, A = "{DAV:}", "{urn:ietf:params:xml:ns:caldav}", "{urn:ietf:params:xml:ns:carddav}"
CS = "{http://calendarserver.org/ns/}"
TRIES = 3
PAUSE = 0.2
"""Seconds before a failed read is repeated; doubled each time."""


@dataclass(frozen=True, slots=True)
class Found:
    """One response of a multistatus. ``gone`` where the server says 404 for it; properties only as text."""

    href: str
    gone: bool = False
    etag: str = ""
    data: str | None = None
    properties: Mapping[str, Any] = field(default_factory=dict)
    kinds: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Multistatus:
    found: tuple[Found, ...]
    token: str = ""
    truncated: bool = False


class Dav:
    """One person's connection to a server. ``sleep`` waits between tries."""

    def __init__(
        self, settings: Settings, login: Login, calls: Calls, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._base = settings.url
        self._calls = calls
        self._sleep = sleep
        auth = httpx.BasicAuth(login.username, login.password) if login.username else None
        headers = {"User-Agent": "Sidefeed"} | ({"Authorization": f"Bearer {login.token}"} if login.token else {})
        self._http = Client(calls, auth=auth, headers=headers, verify=verify(settings.url, settings.ca_file),
                            timeout=settings.timeout)
        self.server_time: datetime | None = None

    def close(self) -> None:
        self._http.close()

    def propfind(self, path: str, names: Iterable[str], *, depth: int = 0) -> Multistatus:
        body = tree(f"{D}propfind", [tree(f"{D}prop", [tree(name) for name in names])])
        return _multistatus(self.read("PROPFIND", path, body, depth=depth))

    def report(self, path: str, body: Any, *, depth: int = 1) -> Multistatus:
        return _multistatus(self.read("REPORT", path, body, depth=depth))

    def read(self, method: str, path: str, body: Any = None, *, depth: int | None = None) -> httpx.Response:
        """A request without effect, repeated when it fails in passing."""
        for attempt in range(TRIES):
            try:
                return self._send(method, path, etree.tostring(body) if body is not None else None,
                                  {} if depth is None else {"Depth": str(depth)})
            except Unavailable:
                if attempt == TRIES - 1:
                    raise
                self._sleep(PAUSE * 2**attempt)
        raise AssertionError(method)

    def write(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> httpx.Response:
        """A request with an effect, sent once. Raises UnknownOutcome where it may have happened."""
        try:
            return self._send(method, path, body, headers)
        except Unavailable as error:
            raise UnknownOutcome(f"{error.message} Whether the write took effect is not known.") from None

    def _send(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> httpx.Response:
        url = urljoin(self._base, path)
        kind = "application/xml; charset=utf-8" if method in ("PROPFIND", "REPORT") else ""
        told = {**({"Content-Type": kind} if body is not None and kind else {}), **headers}
        for _redirect in range(4):
            self._calls.used += 1
            try:
                answer = self._http.request(method, url, content=body, headers=told)
            except httpx.HTTPError as error:
                raise Unavailable(
                    f"{urlsplit(self._base).netloc} does not answer ({type(error).__name__}).") from None
            target = urljoin(url, answer.headers.get("location", ""))
            if not answer.is_redirect or not _as_safe(url, target):
                break
            url = target
        if "date" in answer.headers:
            self.server_time = _date(answer.headers["date"])
        if not answer.is_success:
            raise _error(answer, method)
        return answer


def _as_safe(url: str, target: str) -> bool:
    """Whether credentials may follow a redirection: to the server they were given for, and never out of TLS."""
    ours, theirs = urlsplit(url), urlsplit(target)
    return ours.netloc == theirs.netloc and (ours.scheme == theirs.scheme or theirs.scheme == "https")


def _date(text: str) -> datetime | None:
    try:
        return parsedate_to_datetime(text).astimezone(UTC)
    except ValueError:
        return None


def _error(answer: httpx.Response, method: str) -> ConnectorError:
    """What a status means to the caller; of the body only the name of the precondition is told, never its text."""
    code, said = answer.status_code, _precondition(answer)
    where = f"{urlsplit(str(answer.url)).netloc} answered {code}" + (f" ({said})" if said else "")
    if "valid-sync-token" in said or (code == 410 and method == "REPORT"):
        return CursorExpired(f"{where}: the sync token is not known any more.")
    if code == 401:
        return AuthenticationFailed(f"{where}: the user name, password or token is wrong.")
    if "no-uid-conflict" in said:
        return Duplicate(f"{where}: there is an event with this UID already.")
    if code in (403, 405, 407):
        return PermissionDenied(f"{where}: no right to {method} {urlsplit(str(answer.url)).path}.")
    if code in (404, 410):
        return Gone(f"{where}: it is not there any more.")
    if code == 412:
        return Conflict(f"{where}: it changed since it was read.")
    if code == 423:
        return Locked(f"{where}: it is locked.")
    if code in (429, 503):
        after = answer.headers.get("retry-after", "")
        return RateLimited(f"{where}: it asks to wait.", retry_after=float(after) if after.isdigit() else None)
    if code >= 500 or code == 408:  # 408: a proxy gave up, as with 504
        return Unavailable(f"{where}.")
    return Invalid(f"{where}: the server refuses this.", rule=said or str(code), code=said or f"http-{code}")


def _precondition(answer: httpx.Response) -> str:
    if b"<" not in answer.content[:200]:
        return ""
    try:
        root = parse_xml(answer.content)
    except ConnectorError:
        return ""
    return etree.QName(root[0]).localname if etree.QName(root).localname == "error" and len(root) else ""


def parse_xml(content: bytes) -> Any:
    """The root of an answer. Raises Unavailable for what is no XML."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(content, parser)
    except etree.XMLSyntaxError:
        raise Unavailable("the server's answer is no XML; is the URL a CalDAV server's?") from None
    if root.getroottree().docinfo.doctype:
        raise Unavailable("the server's answer declares a document type, which no WebDAV answer needs: it was not read")
    return root


def _multistatus(answer: httpx.Response) -> Multistatus:
    root = parse_xml(answer.content)
    if root.tag != f"{D}multistatus":
        raise Unavailable("the server's answer is no multistatus; is the URL a CalDAV server's?")
    own = urlsplit(str(answer.url)).path
    found, truncated = [], False
    for response in root.iterfind(f"{D}response"):
        status = response.findtext(f"{D}status") or ""
        href = path_of(response.findtext(f"{D}href") or "")
        if " 507" in status:
            truncated = True
        else:
            found.append(_found(href, status, response))
    return Multistatus(tuple(one for one in found if one.href), root.findtext(f"{D}sync-token") or "",
                       truncated and own != "")


def _found(href: str, status: str, response: Any) -> Found:
    properties: dict[str, Any] = {}
    kinds: set[str] = set()
    for propstat in response.iterfind(f"{D}propstat"):
        if " 200" not in (propstat.findtext(f"{D}status") or " 200"):
            continue
        for node in propstat.find(f"{D}prop"):
            href_inside = node.find(f"{D}href")
            properties[node.tag] = href_inside.text if href_inside is not None else node.text
            if node.tag in (f"{D}resourcetype", f"{D}supported-report-set", f"{C}supported-calendar-component-set"):
                kinds |= {str(child.get("name") or child.tag) for child in node.iter() if child is not node}
    data = properties.get(f"{C}calendar-data") or properties.get(f"{A}address-data")
    return Found(href, " 404" in status, str(properties.get(f"{D}getetag") or ""), data, properties, frozenset(kinds))


def path_of(href: str) -> str:
    """The path of an href, which may be a whole URL; one spelling, however the server escapes it."""
    from urllib.parse import quote

    return quote(unquote(urlsplit(href.strip()).path), safe="/@:!$&'()*+,;=-._~")


def tree(tag: str, children: Iterable[Any] = (), text: str | None = None, **attributes: str) -> Any:
    node = etree.Element(tag, attributes, nsmap={"d": D[1:-1], "c": C[1:-1], "a": A[1:-1]})
    node.text = text
    node.extend(list(children))
    return node



