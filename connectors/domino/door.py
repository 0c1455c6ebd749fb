"""Requests to one mail file's calendar service, and what its refusals mean.

A read is repeated when the server fails in passing; a write never is. Of an error only its code, ``cserror`` and
message are told: ``data`` holds a stack trace.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from connectors.http import Client, httpx, verify
from sidefeed.connector import (
    AuthenticationFailed,
    Calls,
    ConnectorError,
    Gone,
    Invalid,
    PermissionDenied,
    RateLimited,
    Unavailable,
    UnknownOutcome,
)

from .settings import Mailbox, Settings

TRIES = 3
PAUSE = 0.2
"""Seconds before a failed read is repeated; doubled each time."""
ICALENDAR, JSON = "text/calendar", "application/json"


class Door:
    """One mail file's calendar. ``sleep`` waits between tries."""

    def __init__(
        self, settings: Settings, mailbox: Mailbox, calls: Calls, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._calls = calls
        self._sleep = sleep
        self._http = Client(
            calls, base_url=f"{settings.url}/{mailbox.path}/api/calendar", auth=(mailbox.username, mailbox.password),
            headers={"User-Agent": "Sidefeed"}, verify=verify(settings.url, settings.ca_file),
            timeout=settings.timeout)
        self._host = settings.host
        self.server_time: datetime | None = None

    def close(self) -> None:
        self._http.close()

    def rows(self, params: Mapping[str, str]) -> list[dict[str, Any]]:
        """Rows of the list. Raises Unavailable for an answer that is none."""
        answer = self._read("/events", params, JSON)
        try:
            content = answer.json()
        except ValueError:
            raise Unavailable(f"{self._host} answered the list of events with something that is no JSON.") from None
        rows = content.get("events", []) if isinstance(content, dict) else None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise Unavailable(f"{self._host} answered the list of events with something that is no list.")
        return rows

    def event(self, path: str) -> bytes:
        """An event, series or instance as iCalendar. Raises Gone where its UID leads nowhere."""
        return self._read(f"/events/{path}", {"format": "icalendar"}, ICALENDAR).content

    def write(self, method: str, path: str, params: Mapping[str, str], body: bytes | None = None) -> httpx.Response:
        """A request with an effect, sent once. Raises UnknownOutcome where it may have happened."""
        try:
            return self._send(method, path, params, body)
        except Unavailable as error:
            raise UnknownOutcome(f"{error.message} Whether the write took effect is not known.") from None

    def _read(self, path: str, params: Mapping[str, str], kind: str) -> httpx.Response:
        self._calls.minimum += 1
        for attempt in range(TRIES):
            try:
                answer = self._send("GET", path, params)
                if not answer.headers.get("content-type", "").lower().startswith(kind):
                    raise Unavailable(f"{self._host} answered with a page, not with {kind}; is Domino Access Services' "
                                      "calendar service switched on for this server and database?")
                return answer
            except Unavailable:
                if attempt == TRIES - 1:
                    raise
                self._sleep(PAUSE * 2**attempt)
        raise AssertionError(path)

    def _send(self, method: str, path: str, params: Mapping[str, str], body: bytes | None = None) -> httpx.Response:
        self._calls.used += 1
        headers = {"Content-Type": f"{ICALENDAR}; charset=utf-8"} if body is not None else {}
        try:
            answer = self._http.request(method, path, params=params, content=body, headers=headers)
        except httpx.HTTPError as error:
            raise Unavailable(f"{self._host} does not answer ({type(error).__name__}).") from None
        if "date" in answer.headers:
            self.server_time = _date(answer.headers["date"])
        if not answer.is_success:
            raise self._error(answer)
        return answer

    def _error(self, answer: httpx.Response) -> ConnectorError:
        code, (number, message) = answer.status_code, _said(answer)
        where = f"{self._host} answered {code}" + (f" (cserror {number})" if number else "")
        if code == 401:
            return AuthenticationFailed(f"{where}: the user name or password is wrong.")
        if code == 403:
            place = urlsplit(str(answer.url)).path.partition("/api/")[0]
            return PermissionDenied(f"{where}: the access control list of {place} does not let this user in.")
        if code == 404 and number != "259":
            return Gone(f"{where}: it is not there, or not accepted yet.")
        if code in (429, 503):
            after = answer.headers.get("retry-after", "")
            return RateLimited(f"{where}: it asks to wait.", retry_after=float(after) if after.isdigit() else None)
        if code >= 500 or code == 408 or answer.is_redirect:  # 408: a proxy gave up, as with 504
            return Unavailable(f"{where}: {message or 'no reason given'}.")
        return Invalid(f"{where}: {message or 'the server refuses this'}.", rule=message or str(code),
                       code=f"cserror-{number}" if number else f"http-{code}", owner="ops")


def _said(answer: httpx.Response) -> tuple[str, str]:
    """``cserror`` and message of an error body; nothing of a page."""
    try:
        content = answer.json()
    except ValueError:
        return "", ""
    if not isinstance(content, dict):
        return "", ""
    return str(content.get("cserror") or ""), str(content.get("message") or "").strip().rstrip(".")


def _date(text: str) -> datetime | None:
    try:
        return parsedate_to_datetime(text).astimezone(UTC)
    except ValueError:
        return None
