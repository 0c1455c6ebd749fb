"""Salesforce's refusals, told in the words of the contract.

Error bodies come in several shapes: REST rows say ``errorCode``, collections say ``statusCode`` inside an HTTP 200,
OAuth says ``error`` and ``error_description``, gateways answer HTML (REST API Developer Guide, "Status Codes and Error
Responses", "Use Composite Resources").
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sidefeed.connector import (
    AuthenticationFailed,
    Conflict,
    ConnectorError,
    Duplicate,
    Gone,
    Invalid,
    Locked,
    PermissionDenied,
    QuotaExhausted,
    RateLimited,
    Unavailable,
    UnknownOutcome,
)

from .soql import full_id, is_id

_LONGEST = 600

_GONE = {"ENTITY_IS_DELETED", "NOT_FOUND"}
_LOCKED = {"UNABLE_TO_LOCK_ROW"}
_PASSING = {
    "SERVER_UNAVAILABLE", "QUERY_TIMEOUT", "REQUEST_RUNNING_TOO_LONG", "ALL_OR_NONE_OPERATION_ROLLED_BACK",
    "PROCESSING_HALTED",
}  # fmt: skip
_FORBIDDEN = {
    "INSUFFICIENT_ACCESS", "INSUFFICIENT_ACCESS_OR_READONLY", "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY",
    "API_DISABLED_FOR_ORG", "API_CURRENTLY_DISABLED", "FUNCTIONALITY_NOT_ENABLED", "TRANSFER_REQUIRES_READ",
}  # fmt: skip
_DUPLICATE = {"DUPLICATES_DETECTED", "DUPLICATE_VALUE"}
_ADMIN = {
    "INVALID_FIELD", "INVALID_TYPE", "INVALID_FIELD_FOR_INSERT_UPDATE", "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY",
    "STORAGE_LIMIT_EXCEEDED", "MALFORMED_QUERY", "LIMIT_EXCEEDED",
}  # fmt: skip
_REMEDY = {
    "INVALID_FIELD": "Check the field's API name, and that a permission set lets the integration user see and edit it",
    "INVALID_TYPE": "Check the object's API name, and that the integration user may see it",
    "INVALID_FIELD_FOR_INSERT_UPDATE": "The field is read-only for the integration user: map it one way, or grant edit",
    "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST": "Add the value to the picklist, or map it to one that is there",
    "REQUIRED_FIELD_MISSING": "Fill the field in, or give it a default in the mapping",
    "INVALID_CROSS_REFERENCE_KEY": "The record it points to is not in Salesforce, or hidden from the integration user",
    "STRING_TOO_LONG": "Shorten the text, or give the mapping a maximum",
    "FIELD_CUSTOM_VALIDATION_EXCEPTION": "A validation rule of the organisation refuses the record: satisfy the rule",
}
_RECORD_ID = re.compile(r"record with id: ([A-Za-z0-9]{15,18})")
_FIELD_IN_TEXT = re.compile(r"No such column '([\w.]+)'")


def refusal(
    status: int, content: Any, *, about: str, safe: bool, references: Sequence[str] = ()
) -> ConnectorError:
    """The error for a whole call that was answered with ``status``.

    ``content`` is the decoded body, or its text; ``about`` says what was asked, for the message; ``safe`` is true for
    calls without effect: a failure of the server in any other call leaves its outcome unknown. ``references`` names the
    fields sent that hold ids: only with 404 is what a call is about not there itself.
    """
    errors = list(_errors(content))
    first = errors[0] if errors else {}
    code = _code(first)
    if status == 401:
        said = _said(first, content)
        return AuthenticationFailed(f"Salesforce did not accept the access token while {about}: {said}", code=code)
    if code == "REQUEST_LIMIT_EXCEEDED":
        return _limit(first, about)
    if status == 412:
        return Conflict(f"The record moved in Salesforce since it was read, while {about}", code="412")
    if status in (420, 429):
        return RateLimited(f"Salesforce asks to slow down, while {about} (status {status})", code=code)
    if status >= 500 or status in (406, 408):  # 408: a proxy waited in vain
        kind: type[ConnectorError] = Unavailable if safe else UnknownOutcome
        return kind(f"Salesforce failed with status {status} while {about}: {_said(first, content)}", code=code)
    if status == 410:
        retired = f"Salesforce has retired the API version in use ({about}): set a newer api_version"
        return Invalid(retired, code=code, owner="ops")
    if status in (414, 431):
        return Invalid(f"Salesforce refuses a request this long, while {about}", code="request-too-long", owner="ops")
    if 300 <= status < 400:
        return Unavailable(f"Salesforce answered {status} instead of the data, while {about}: check instance_url")
    if code == "NOT_FOUND" and safe:
        return Invalid(
            f"Salesforce has nothing of this name, or hides it from the integration user, while {about}",
            code=code, owner="admin",
        )  # fmt: skip
    if errors:
        return row_error(first, about=about, denied=status == 403, references=() if status == 404 else references)
    kind = PermissionDenied if status == 403 else Invalid
    return kind(f"Salesforce refused with status {status} while {about}: {_said(first, content)}")


def row_error(
    error: Mapping[str, Any], *, about: str, denied: bool = False, references: Sequence[str] = ()
) -> ConnectorError:
    """The error for one record, from one entry of ``errors`` (or of a REST error list).

    ``references`` names the fields written that hold ids. INVALID_CROSS_REFERENCE_KEY without a field is said both of a
    record that is not there and of one that points to another that is not there; only without references is it Gone.
    """
    code = _code(error)
    fields = [str(name) for name in error.get("fields") or ()]
    text = f"Salesforce refused {about}: {_said(error, '')}"
    if code == "REQUEST_LIMIT_EXCEEDED":
        return _limit(error, about)
    if code in _LOCKED:
        return Locked(text, code=code)
    if code in _PASSING:
        return Unavailable(text, code=code)
    if code in _GONE or (code == "INVALID_CROSS_REFERENCE_KEY" and not fields and not references):
        return Gone(text, code=code)
    if code in _DUPLICATE:
        return Duplicate(text, of=list(_duplicates(error)), code=code)
    if code in _FORBIDDEN or (denied and code not in _ADMIN):
        return PermissionDenied(text, code=code)
    if not fields and (found := _FIELD_IN_TEXT.search(str(error.get("message", "")))):
        fields = [found[1]]
    if not fields and code == "INVALID_CROSS_REFERENCE_KEY":
        fields = list(references)
    remedy = _REMEDY.get(code or "")
    return Invalid(
        f"{text.rstrip('.')}. {remedy}." if remedy else text,
        field=fields[0] if fields else None, rule=code, code=code, owner="admin" if code in _ADMIN else None,
    )  # fmt: skip


def oauth_refusal(status: int, content: Any, *, login: str, minutes_ahead: int = 0) -> ConnectorError:
    """The error for a token request that was answered with ``status``.

    ``minutes_ahead`` is how far the clock here is ahead of the server's (negative: behind): an assertion is good for a
    few minutes, so a wrong clock alone makes every login fail.
    """
    if status >= 500 or status in (406, 420, 429):
        return Unavailable(f"{login} failed with status {status} when asked for an access token")
    said = ""
    code = None
    if isinstance(content, dict):
        code = str(content.get("error") or "") or None
        said = str(content.get("error_description") or code or "")
    remedy = "Check the connected app's client id, its key or secret, the user and the app's policy, and log in again."
    if minutes_ahead:
        way = "ahead of" if minutes_ahead > 0 else "behind"
        remedy = f"The clock of this machine is {abs(minutes_ahead)} minutes {way} the server's: set it right first."
    said = said[:_LONGEST] or "it did not say why"
    return AuthenticationFailed(f"{login} gave no access token (status {status}): {said}. {remedy}", code=code)


def _errors(content: Any) -> Iterator[Mapping[str, Any]]:
    for entry in content if isinstance(content, list) else [content]:
        if isinstance(entry, dict):
            yield entry


def _code(error: Mapping[str, Any]) -> str | None:
    return error.get("errorCode") or error.get("statusCode") or error.get("error") or None


def _said(error: Mapping[str, Any], content: Any) -> str:
    """The server's own words: the code, then the message without the query that SOQL errors repeat."""
    code = _code(error)
    if code is None:
        text = content if isinstance(content, str) else ""
        return "a page, not an error message" if "<" in text[:20] else text.strip()[:200] or "nothing"
    message = str(error.get("message") or error.get("error_description") or "").strip()
    if "ERROR at Row" in message:
        message = message[message.index("ERROR at Row") :].replace("\n", ": ", 1)
    return f"{code}: {message[:_LONGEST]}"


def _limit(error: Mapping[str, Any], about: str) -> ConnectorError:
    """One code, two limits: the rolling day, and how many long calls may run at once."""
    message = str(error.get("message") or "")
    if "concurrent" in message.lower():
        busy = f"Salesforce runs too many long calls at once, while {about}"
        return RateLimited(busy, retry_after=20, code="REQUEST_LIMIT_EXCEEDED")
    return QuotaExhausted(
        f"The organisation's Salesforce calls for 24 hours are used up ({about}): {message[:200]}",
        until=datetime.now(UTC) + timedelta(hours=1), code="REQUEST_LIMIT_EXCEEDED",
    )  # fmt: skip


def _duplicates(error: Mapping[str, Any]) -> Iterator[str]:
    """Ids of the records that the new one duplicates, where the answer names them."""
    result = error.get("duplicateResult")
    for match in (result.get("matchResults") or ()) if isinstance(result, dict) else ():
        for found in match.get("matchRecords") or ():
            external_id = (found.get("record") or {}).get("Id")
            if is_id(external_id):
                yield full_id(external_id)
    if found := _RECORD_ID.search(str(error.get("message") or "")):
        yield full_id(found[1]) if is_id(found[1]) else found[1]
