"""How HubSpot writes moments, ids and query parameters on the wire."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any

from sandbox.kit.http import Request

from .errors import ApiError, invalid_json, missing_fields, validation

JSON_TYPE = "application/json;charset=utf-8"
MAX_BATCH = 100
MAX_DIGITS = 100


@lru_cache(maxsize=4096)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")


def iso(ms: int) -> str:
    """Milliseconds since 1970 as HubSpot prints an instant: no fraction when it is zero, else three digits."""
    seconds, rest = divmod(ms, 1000)
    return f"{_second(seconds)}.{rest:03d}Z" if rest else f"{_second(seconds)}Z"


def milliseconds(text: str) -> int | None:
    """An ISO 8601 moment or date, or epoch milliseconds, as epoch milliseconds; None when it is neither.

    Without an offset a moment is UTC; a bare date is its midnight UTC.
    """
    try:
        return int(text)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    try:
        return round(moment.timestamp() * 1000)
    except (OverflowError, ValueError, OSError):
        return None


def decimal(text: str) -> Decimal | None:
    """A number as text; None when it is none, or one whose plain digits would fill pages."""
    try:
        found = Decimal(text)
    except InvalidOperation:
        return None
    return found if found.is_finite() and "_" not in text and abs(found.adjusted()) <= MAX_DIGITS else None


def flag(request: Request, name: str, default: bool = False) -> bool:
    """A boolean query parameter: `true` or `True` (the Python SDK sends the latter); anything else is false."""
    given = request.param(name)
    return default if given is None else given.strip().lower() == "true"


def names(request: Request, name: str) -> list[str]:
    """A list query parameter: repeated, comma-separated, or both."""
    return [part.strip() for value in request.params(name) for part in value.split(",") if part.strip()]


def page_size(request: Request, default: int, most: int) -> int:
    """The `limit` of a list. Raises 400 outside 1..most or when it is no number."""
    given = request.param("limit")
    if given is None or given == "":
        return default
    try:
        limit = int(given)
    except ValueError:
        raise validation(f"'{given}' is not a valid value for query param 'limit'") from None
    if not 1 <= limit <= most:
        raise validation(
            f"limit must be between 1 and {most}, but was {limit}", context={"limit": [str(limit)], "max": [str(most)]}
        )
    return limit


def body_object(request: Request) -> dict[str, Any]:
    """The JSON object in the body. Raises 400 for anything else, 415 for a body declared as something else."""
    declared = request.headers.get("Content-Type", "")
    if declared and "json" not in declared.lower():
        raise ApiError(415, "HTTP 415 Unsupported Media Type")
    document = body_json(request)
    if not isinstance(document, dict):
        raise invalid_json(f"Cannot deserialize value of type `java.util.LinkedHashMap` from {_kind(document)} value")
    return document


def body_json(request: Request) -> Any:
    """The JSON value in the body. Raises 400 with line and column when it does not parse."""
    try:
        return request.json()
    except ValueError as error:
        cause = error.__cause__
        line, column = getattr(cause, "lineno", 1), getattr(cause, "colno", 1)
        reason = (
            "No content to map due to end-of-input" if not request.body.strip() else str(getattr(cause, "msg", error))
        )
        raise invalid_json(reason, line, column) from None


def inputs(request: Request, *, most: int = MAX_BATCH) -> list[dict[str, Any]]:
    """The `inputs` of a batch. Raises 400 when there are none, too many, or they are no objects."""
    document = body_object(request)
    found = document.get("inputs")
    if found is None:
        raise missing_fields(["inputs"])
    if not isinstance(found, list):
        raise invalid_json(f"Cannot deserialize value of type `java.util.ArrayList` from {_kind(found)} value")
    for item in found:
        if not isinstance(item, dict):
            raise invalid_json(f"Cannot deserialize value of type `BatchInput` from {_kind(item)} value")
    if len(found) > most:
        raise too_many_inputs("", most)
    return found


def too_many_inputs(what: str, most: int) -> ApiError:
    """400 of a batch beyond its size (recorded)."""
    return validation(
        f"The maximum number of inputs supported in a batch{what} is {most}. "
        "Please reduce the number of items and try again"
    )


def as_id(value: object) -> int | None:
    """A record id given as text or number; None when it is not a positive whole number of a sane size."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if 0 < value < 10**18 else None
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 18:
        return int(value) or None
    return None


def text_list(value: object, name: str) -> list[str]:
    """A JSON array of strings (or absent). Raises 400 otherwise."""
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise invalid_json(f"Cannot deserialize value of `{name}`: expected an array of strings")
    return value


def _kind(value: object) -> str:
    if isinstance(value, list):
        return "Array"
    if isinstance(value, dict):
        return "Object"
    if isinstance(value, str):
        return "String"
    if isinstance(value, bool):
        return "Boolean"
    return "null" if value is None else "Number"
