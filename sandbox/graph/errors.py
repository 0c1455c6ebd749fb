"""Errors as Graph writes them.

Source: "Microsoft Graph error responses and resource types"; texts from public reports.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sandbox.exchange.errors import EwsError

STATUSES = {
    "ErrorItemNotFound": 404,
    "ErrorFolderNotFound": 404,
    "ErrorCalendarOccurrenceIsDeletedFromRecurrence": 404,
    "ErrorAccessDenied": 403,
    "ErrorIrresolvableConflict": 412,
    "ErrorCalendarIsNotOrganizer": 403,
}
"""HTTP status of the codes that Graph shares with EWS; every other one is a 400."""
_NOT_FOUND = "The specified object was not found in the store."


class GraphError(Exception):
    """One refusal: HTTP status, code and message, and headers beyond those of every answer."""

    def __init__(self, status: int, code: str, message: str, headers: list[tuple[str, str]] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers or []

    def body(self, now: datetime, request_id: str, client_request_id: str) -> dict[str, Any]:
        """The JSON of the answer."""
        return {
            "error": {
                "code": self.code,
                "message": self.message,
                "innerError": {
                    "date": now.strftime("%Y-%m-%dT%H:%M:%S"),
                    "request-id": request_id,
                    "client-request-id": client_request_id,
                },
            }
        }


def of_ews(error: EwsError) -> GraphError:
    """The refusal behind which a code of the store stands."""
    status = STATUSES.get(error.code, 400)
    code = "ErrorItemNotFound" if status == 404 else error.code
    return GraphError(status, code, _NOT_FOUND if status == 404 else error.message)


def not_found(message: str = _NOT_FOUND, code: str = "ErrorItemNotFound") -> GraphError:
    """404."""
    return GraphError(404, code, message)


def bad_request(message: str, code: str = "RequestBroker--ParseUri") -> GraphError:
    """400: a URL that makes no sense."""
    return GraphError(400, code, message)


def bad_body(message: str) -> GraphError:
    """400: a body that makes no sense."""
    return GraphError(400, "RequestBodyRead", message)


def bad_value(message: str, code: str = "ErrorPropertyValidationFailure") -> GraphError:
    """400: a property that cannot hold the value."""
    return GraphError(400, code, message)


def throttled(code: str, message: str, retry_after: int | None, status: int = 429) -> GraphError:
    """429 or 503, with the seconds to wait where the service says them."""
    return GraphError(status, code, message, [("Retry-After", str(retry_after))] if retry_after is not None else [])


def new_id() -> str:
    """A request id."""
    return str(uuid.uuid4())
