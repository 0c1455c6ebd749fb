"""What Graph's answers mean to the caller.

Source: "Microsoft Graph error responses", "Microsoft Graph throttling guidance", "Limiting application permissions to
specific Exchange Online mailboxes". Codes compare without case.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors.calendars.waits import seconds
from sidefeed.connector import (
    AuthenticationFailed,
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
)

BACK_OFF = 10.0
"""Seconds to wait after a 429 without Retry-After; what Outlook's own limits are counted in."""


class Lost(Unavailable):
    """The answer was lost or came from something in front of Graph. After a write the effect may be there."""


_EXPIRED = ("syncstatenotfound", "resyncrequired", "syncstateinvalid")
_MISSING = ("erroritemnotfound", "errorinvalididmalformed", "errorinvalidid", "resourcenotfound")
_SCOPE = (
    "The mailbox {mailbox} is outside the scope of the application. Add it to the management scope of its role "
    "assignments (RBAC for Applications); a change can take an hour to act."
)


def error_for(
    status: int, body: Any, headers: Mapping[str, str], mailbox: str, *, effect: bool = False
) -> ConnectorError:
    """The contract's error for an answer that is no success. ``effect``: the request was a write."""
    code, text = _told(body)
    request = headers.get("request-id", "")
    said = f"{status} {code}: {text}".rstrip(": ") + (f"; request-id {request}" if request else "")
    lowered, where = code.lower(), f"mailbox {mailbox}" if mailbox else "Microsoft 365"
    if status == 401:
        return AuthenticationFailed(f"Microsoft 365 does not accept the application's token ({said}).", code=code)
    if status == 403:
        if "access to odata is disabled" in text.lower():
            return PermissionDenied(f"{_SCOPE.format(mailbox=mailbox)} ({said})", code="outside-scope")
        return PermissionDenied(
            f"No access to {where} ({said}). Has the application the permission, and did an administrator consent?",
            code=code or None,
        )
    if status == 429 or (status == 503 and headers.get("retry-after") is not None):
        wait = seconds(headers.get("retry-after"))
        wait = BACK_OFF if wait is None else wait
        return RateLimited(f"Graph is throttling {where}: wait {wait:g} seconds ({said}).", retry_after=wait, code=code)
    if status == 410 or lowered in _EXPIRED:
        return CursorExpired(f"Graph no longer knows the sync state of {where} ({said}).", code=code)
    if lowered == "errorinvaliduser" or (status == 404 and "user" in lowered):
        return PermissionDenied(f"There is no mailbox {mailbox} in this organisation ({said}).", code=code)
    if status == 404 or lowered in _MISSING:
        return Gone(f"The item is not in {where} any more ({said}).", code=code)
    if status == 412:
        return Conflict(f"The item in {where} changed since it was read ({said}).", code=code)
    if status == 409:
        return Duplicate(f"Graph has seen this create before, in {where} ({said}).", code=code)
    if status == 423:
        return Locked(f"The item in {where} is locked ({said}).", code=code)
    if status >= 500 or status == 408 or not code:  # 408: a proxy gave up, as with 504
        return Lost(f"Graph failed on a request for {where} ({said}).", code=code or "no-code")
    if effect:
        return Invalid(f"Graph refused the item for {where} ({said}).", rule=code, code=code)
    return ConnectorError(f"Graph refused a request for {where} ({said}).", code=code)


def _told(body: Any) -> tuple[str, str]:
    error = body.get("error") if isinstance(body, Mapping) else None
    if not isinstance(error, Mapping):
        return "", ""
    return str(error.get("code") or ""), str(error.get("message") or "")
