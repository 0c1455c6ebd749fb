"""The error bodies of the HubSpot API, as recorded from live portals or stated in its documentation.

One exception, `ApiError`, carries status and body; the functions below make the documented ones, so that a text stands
in one place. Sources: HubSpot "Error handling" and "API usage guidelines"; recordings of amp-labs/connectors,
rudderlabs/rudder-transformer, HubSpot/hubspot-api-nodejs #268.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

SCOPES_PAGE = "https://developers.hubspot.com/scopes"


class ApiError(Exception):
    """An answer that is not a success: status, body members, headers.

    `category` None leaves the member out; `page` True says it with an HTML page, as HubSpot's web server does where no
    API is behind a path (recorded).
    """

    def __init__(
        self,
        status: int,
        message: str,
        category: str | None = None,
        *,
        sub_category: str | None = None,
        context: dict[str, list[str]] | None = None,
        errors: list[dict[str, Any]] | None = None,
        links: dict[str, str] | None = None,
        members: dict[str, Any] | None = None,
        headers: Sequence[tuple[str, str]] = (),
        page: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.category = category
        self.sub_category = sub_category
        self.context = context
        self.errors = errors
        self.links = links
        self.members = members or {}
        self.headers = list(headers)
        self.page = page

    def body(self, correlation_id: str) -> dict[str, Any]:
        """The JSON object of the answer, members in HubSpot's order, optional ones only where they say something."""
        body: dict[str, Any] = {"status": "error", "message": self.message, "correlationId": correlation_id}
        if self.context:
            body["context"] = self.context
        if self.errors:
            body["errors"] = self.errors
        if self.links:
            body["links"] = self.links
        if self.category:
            body["category"] = self.category
        if self.sub_category:
            body["subCategory"] = self.sub_category
        body.update(self.members)
        return body

    def html(self) -> bytes:
        """The page of an answer that no API gave."""
        return (
            '<html>\n<head>\n<meta http-equiv="Content-Type" content="text/html;charset=utf-8"/>\n'
            f"<title>Error {self.status} {self.message}</title>\n</head>\n"
            f"<body><h2>HTTP ERROR {self.status} {self.message}</h2>\n</body>\n</html>\n"
        ).encode()

    def entry(self, **context: str) -> dict[str, Any]:
        """The same error as an element of a 207's `errors`, with more context."""
        merged = dict(self.context or {}) | {key: [value] for key, value in context.items()}
        entry: dict[str, Any] = {"status": "error"}
        if self.category:
            entry["category"] = self.category
        if self.sub_category:
            entry["subCategory"] = self.sub_category
        entry["message"] = self.message
        if merged:
            entry["context"] = merged
        if self.errors:
            entry["errors"] = self.errors
        return entry


@dataclass(frozen=True, slots=True)
class Problem:
    """One property value that HubSpot refuses: machine code, text, property."""

    code: str
    message: str
    name: str


def validation(message: str, **details: Any) -> ApiError:
    """400 VALIDATION_ERROR."""
    return ApiError(400, message, "VALIDATION_ERROR", **details)


def invalid_properties(problems: Iterable[Problem], portal_id: int | None = None) -> ApiError:
    """400 for refused property values: the list as JSON text inside `message`, and again in `errors`.

    In a batch the embedded list repeats per input while `errors` names each distinct problem once.
    """
    found = list(problems)
    embedded = [{"isValid": False, "message": p.message, "error": p.code, "name": p.name} for p in found]
    if portal_id is not None:
        embedded = [{**e, "localizedErrorMessage": e["message"], "portalId": portal_id} for e in embedded]
    text = json.dumps(embedded, separators=(",", ":"), ensure_ascii=False)
    errors = [
        {"message": p.message, "code": p.code, "context": {"propertyName": [p.name]}} for p in dict.fromkeys(found)
    ]
    return validation(f"Property values were not valid: {text}", errors=errors)


def invalid_json(reason: str, line: int = 1, column: int = 1) -> ApiError:
    """400 for a body that does not parse or has the wrong shape."""
    return validation(f"Invalid input JSON on line {line}, column {column}: {reason}")


def missing_fields(names: Iterable[str]) -> ApiError:
    """400 for a body without its required members."""
    return validation(
        f"Invalid input JSON on line 1, column 2. Some required fields were not set: [{', '.join(names)}]"
    )


def no_credentials() -> ApiError:
    """401 for a missing or unknown token."""
    return ApiError(
        401,
        "Authentication credentials not found. This API supports OAuth 2.0 authentication and you can find more "
        "details at https://developers.hubspot.com/docs/methods/auth/oauth-overview",
        "INVALID_AUTHENTICATION",
    )


def expired_token(seconds: int, expired_at: str) -> ApiError:
    """401 for an OAuth access token past its life."""
    ago = f"{seconds} second(s)" if seconds < 60 else f"{seconds // 60} minute(s)"
    return ApiError(
        401,
        f"The OAuth token used to make this call expired {ago} ago.",
        "EXPIRED_AUTHENTICATION",
        context={"expire time": [expired_at]},
    )


def missing_scopes(scopes: Sequence[str]) -> ApiError:
    """403 MISSING_SCOPES. Recordings carry the scopes in `context` or in `errors[].context`; both are given here."""
    text = "One or more of the following scopes are required."
    required = {"requiredGranularScopes": list(scopes)}
    return ApiError(
        403,
        text,
        "MISSING_SCOPES",
        context=required,
        errors=[{"message": text, "context": required}],
        links={"scopes": SCOPES_PAGE},
    )


def no_such_resource() -> ApiError:
    """404 of something other than a record."""
    return ApiError(404, "resource not found", "OBJECT_NOT_FOUND")


def no_route() -> ApiError:
    """404 of a path that leads nowhere."""
    return ApiError(404, "Not Found", page=True)


def no_method() -> ApiError:
    """405 of a path that does not know the method."""
    return ApiError(405, "Method Not Allowed", page=True)


def object_not_found(given: str) -> ApiError:
    """404 of a record that is unknown or archived. The text depends on whether the id could be one (recorded)."""
    number = given.removeprefix("-")
    if not (number.isascii() and number.isdigit()):
        text = "Object not found.  objectId are usually numeric."
    elif given.startswith("-") or not number.strip("0"):
        text = "Object not found. objectId is usually positive."
    else:
        text = "resource not found"
    return ApiError(404, text, "OBJECT_NOT_FOUND", context={"id": [given]})


def invalid_associations(context: dict[str, list[str]]) -> ApiError:
    """400 of associations with records or types that are none (recorded)."""
    return validation("One or more associations are invalid", context=context)


def invalid_object_ids(label: str, given: object) -> ApiError:
    """400 of an association with a record that does not exist."""
    shown = str(given)
    return invalid_associations(
        {"INVALID_OBJECT_IDS": [f"{label}={shown} is not valid"], "objectId": [shown], "objectType": [label]}
    )


def non_unique(type_id: str, name: str) -> ApiError:
    """400 of an `idProperty` that does not identify records (recorded)."""
    return validation(f"Unable to perform update/upsert by non-unique {type_id} property {name}")


def missing_ids(label: str, ids: Sequence[str]) -> ApiError:
    """The one OBJECT_NOT_FOUND entry that stands for all missing ids of a batch."""
    return ApiError(
        404,
        f"Could not get some {label} objects, they may be deleted or not exist. Check that ids are valid.",
        "OBJECT_NOT_FOUND",
        context={"ids": list(ids)},
    )


def duplicate_ids(ids: Sequence[str]) -> ApiError:
    """400 for a batch that names a record twice; nothing is written."""
    return validation(
        f"Duplicate IDs found in batch input: [{', '.join(ids)}]. IDs must be unique", context={"ids": list(ids)}
    )


def unknown_type(given: str) -> ApiError:
    """400 for a path that names no object type; recorded without a category."""
    return ApiError(400, f"Unable to infer object type from: {given}")


def not_implemented(what: str) -> ApiError:
    """501 of this practice server itself: HubSpot may have it, the practice server does not."""
    return ApiError(
        501,
        f"Not implemented by this practice server: {what}. docs/practice-servers.md lists what is.",
        "NOT_IMPLEMENTED",
    )


def rate_limited(policy: str) -> ApiError:
    """429 of the general API: policies TEN_SECONDLY_ROLLING, SECONDLY, DAILY (HubSpot "API usage guidelines")."""
    return ApiError(
        429,
        f"You have reached your {policy.lower()} limit.",
        members={"errorType": "RATE_LIMIT", "policyName": policy},
    )


def search_limited() -> ApiError:
    """429 of search, which is of another shape: no policy, no Retry-After (69 of 69 recordings)."""
    return ApiError(429, "You have reached your secondly limit.", "RATE_LIMITS")


def locked() -> ApiError:
    """423; locks last 2 seconds (HubSpot "Error handling")."""
    return ApiError(423, "Resource is temporarily locked. Please retry in a few seconds.", "LOCKED")


def moving_data_centre() -> ApiError:
    """477 while a portal moves between data centres, with Retry-After (HubSpot "Error handling")."""
    return ApiError(
        477, "This account is currently being migrated between data hosting locations.", "MIGRATION_IN_PROGRESS"
    )
