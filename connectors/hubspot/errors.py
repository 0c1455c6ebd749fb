"""HubSpot's refusals as the contract's errors (HubSpot documentation "Error handling", recorded bodies).

All members of an error body are optional, the body may be HTML or missing, and property errors repeat as JSON inside
the message. So everything here reads what is there and falls back on the status.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec

from connectors.hubspot.wire import contexts
from sidefeed.connector import (
    AuthenticationFailed,
    ConnectorError,
    Duplicate,
    Gone,
    Invalid,
    Locked,
    PermissionDenied,
    QuotaExhausted,
    RateLimited,
    Unavailable,
)

LONGEST_TEXT = 600
LONGEST_WAIT = 300.0
"""Seconds. A larger Retry-After is taken as milliseconds: sources disagree on the unit."""
DAY = 86_400.0
GAVE_UP = 408
"""A proxy waited in vain, as with 504: HubSpot may have done it all the same."""

RULES_OF_NAME = frozenset({"PROPERTY_DOESNT_EXIST", "READ_ONLY_VALUE"})
"""Refusals of a property whatever its value: every input that names it fails."""


@dataclass(frozen=True, slots=True)
class PropertyProblem:
    """One refused property value: its name, HubSpot's code and text."""

    name: str
    code: str
    text: str


class InvalidProperties(Invalid):
    """Invalid, with every property that HubSpot complained of: what tells a batch's bad inputs from its good ones."""

    def __init__(self, message: str, problems: Sequence[PropertyProblem]) -> None:
        first = problems[0]
        owner = "admin" if first.code in RULES_OF_NAME else None
        super().__init__(message, field=first.name, rule=first.code or None, code=first.code or None, owner=owner)
        self.problems = tuple(problems)


def parse(body: str) -> dict[str, Any]:
    """An error body as a mapping; empty where it is no JSON object."""
    try:
        found = msgspec.json.decode(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def property_problems(error: Mapping[str, Any]) -> list[PropertyProblem]:
    """Which properties a VALIDATION_ERROR is about, from `errors[]` and from the JSON inside the message."""
    found: dict[PropertyProblem, None] = {}
    for entry in error.get("errors") or ():
        if isinstance(entry, dict):
            for name in contexts(entry, "propertyName") or [""]:
                if name:
                    found[PropertyProblem(name, str(entry.get("code") or ""), str(entry.get("message") or ""))] = None
    message = str(error.get("message") or "")
    start = message.find("[{")
    if start >= 0:
        try:
            embedded, _ = json.JSONDecoder().raw_decode(message[start:])
        except ValueError:
            embedded = []
        for entry in embedded:
            if isinstance(entry, dict) and entry.get("name"):
                problem = PropertyProblem(str(entry["name"]), str(entry.get("error") or ""), str(entry.get("message")))
                found[problem] = None
    return list(found)


def existing_ids(error: Mapping[str, Any]) -> tuple[str, ...]:
    """Ids of the records that a conflict is with; a single create, and a taken unique value other than the e-mail
    address, say them only in the text."""
    named = contexts(error, "existingId", "existingObjectId")
    text = str(error.get("message") or "")
    return tuple(named or re.findall(r"Existing ID: (\d+)", text) or re.findall(r"(\d+) already has that value", text))


def refusal(error: Mapping[str, Any], what: str) -> ConnectorError | None:
    """The error of one element of a 207's `errors`, or of a 4xx body, by its category; None where it says nothing."""
    category = str(error.get("category") or "")
    text = said(error)
    problems = property_problems(error)
    if category == "OBJECT_NOT_FOUND":
        return Gone(f"HubSpot has no such record any more: {what}. {text}")
    if category == "CONFLICT" or existing_ids(error) or any(p.code == "CONFLICT" for p in problems):
        of = existing_ids(error)
        other = f" It exists as {', '.join(of)}: link or merge the two." if of else " Find the other one and merge it."
        return Duplicate(f"HubSpot says {what} exists already: {text}{other}", of=of)
    if category in ("VALIDATION_ERROR", "INVALID_ARGUMENT") or problems:
        return invalid(error, what, problems)
    if category in ("MISSING_SCOPES", "FORBIDDEN", "UNAUTHORIZED") or "PERMISSION" in category:
        return PermissionDenied(f"HubSpot does not let this app touch {what}: {text}", code=category)
    if category in ("RATE_LIMITS", "RATE_LIMIT"):
        return RateLimited(f"HubSpot took too many calls to do {what}: {text}")
    if category == "LOCKED":
        return Locked(f"HubSpot has locked {what} for a moment: {text}")
    return None


def invalid(error: Mapping[str, Any], what: str, problems: Sequence[PropertyProblem]) -> Invalid:
    """A refused value, with property and rule where HubSpot names them."""
    if not problems:
        rule = str(error.get("subCategory") or error.get("category") or "VALIDATION_ERROR")
        return Invalid(f"HubSpot refuses {what}: {said(error)}", rule=rule)
    named = ", ".join(dict.fromkeys(f"{p.name}: {short(p.text)}" for p in problems))
    return InvalidProperties(f"HubSpot refuses {what}: {short(named)}", problems)


def said(error: Mapping[str, Any]) -> str:
    """HubSpot's own text, short enough for a log line."""
    return short(str(error.get("message") or "no reason was given"))


def short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT] + "…"


def of_status(
    status: int, body: str, headers: Mapping[str, str], what: str, *, now: datetime, midnight: datetime | None
) -> ConnectorError:
    """The error of one answer that is no success.

    ``midnight`` is the portal's next one, when its daily quota returns (None: not known).
    """
    error = parse(body)
    text = said(error)
    match status:
        case 401:
            return AuthenticationFailed(
                f"HubSpot refused the access token ({error.get('category') or 401}): {text}. "
                "Copy the private app's current token into the setting 'access_token'."
            )
        case 403:
            return _forbidden(error, what)
        case 404:
            # A page of HTML is a proxy or a wrong host speaking, and must never pass for a deletion.
            if error or not body.strip():
                return Gone(f"HubSpot has no {what}: {text}")
            return Unavailable(f"{what}: the answer 404 is not HubSpot's; check the setting 'host' and any proxy")
        case 423:
            return Locked(f"HubSpot has locked {what} for a moment")
        case 429:
            return _too_many(error, headers, what, midnight)
        case 477:
            seconds = retry_after(headers, longest=DAY) or 3600.0
            return QuotaExhausted(
                "HubSpot is moving this portal to another data centre; nothing can be read or written until then",
                until=now + timedelta(seconds=seconds), code="portal-moving",
            )
        case 414:
            return Invalid(f"{what}: too many properties for one address", owner="ops", code="request-too-long")
        case _ if 300 <= status < 400:
            return Unavailable(
                f"{what}: the answer {status} leads elsewhere, so HubSpot was not asked; check 'host' and any proxy")
        case _ if status >= 500 or status == GAVE_UP:
            return Unavailable(f"HubSpot could not answer ({status}) for {what}")
    found = refusal(error, what)
    if found is not None:
        return found
    if status == 409:
        return Duplicate(f"HubSpot says {what} exists already: {text}")
    if status == 400:
        return Invalid(f"HubSpot refuses {what}: {text}")
    return ConnectorError(f"HubSpot answered {status} to {what}: {text}", code=f"http-{status}")


def _forbidden(error: Mapping[str, Any], what: str) -> PermissionDenied:
    scopes = contexts(error, "requiredGranularScopes", "requiredScopes")
    for entry in error.get("errors") or ():
        if isinstance(entry, dict):
            scopes += contexts(entry, "requiredGranularScopes", "requiredScopes")
    code = str(error.get("category") or "permission-denied")
    if scopes:
        wanted = ", ".join(dict.fromkeys(scopes))
        return PermissionDenied(f"The HubSpot app may not do {what}: give it the scopes {wanted}", code=code)
    return PermissionDenied(f"The HubSpot app may not do {what}: {said(error)}", code=code)


def _too_many(
    error: Mapping[str, Any], headers: Mapping[str, str], what: str, midnight: datetime | None
) -> ConnectorError:
    if error.get("policyName") == "DAILY" or "daily limit" in said(error):
        return QuotaExhausted(
            "HubSpot's calls of today are used up, by all apps of this portal together; they return at midnight "
            "in the portal's time zone", until=midnight, code="daily-limit",
        )
    return RateLimited(f"HubSpot took too many calls to do {what}: {said(error)}", retry_after=retry_after(headers))


def retry_after(headers: Mapping[str, str], longest: float = LONGEST_WAIT) -> float | None:
    """Seconds to wait as the server asks; recorded search refusals ask nothing."""
    try:
        asked = float(headers.get("Retry-After") or 0)
    except ValueError:
        return None
    if not 0 < asked < float("inf"):
        return None
    return asked if asked <= longest else min(asked / 1000, longest)
