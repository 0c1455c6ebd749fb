"""Refusals, and the shapes in which they leave: REST list, collection result, bulk row.

Codes and texts: REST API guide "Status Codes and Error Responses", SOAP API guide "API Fault Element", and answers
recorded from live organisations by public projects.
"""

from __future__ import annotations

from typing import Any

NOT_FOUND_TEXT = "The requested resource does not exist"


class Failure(Exception):
    """One refusal: HTTP status, code, text, and the fields it is about (None: the answer has no `fields` key)."""

    def __init__(
        self, status: int, code: str, message: str, fields: list[str] | None = None, extra: dict[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.fields = fields
        self.extra = extra or {}

    def rest(self) -> list[dict[str, Any]]:
        """As the body of a REST answer."""
        body: dict[str, Any] = {"message": self.message, "errorCode": self.code}
        if self.fields is not None:
            body["fields"] = self.fields
        return [{**body, **self.extra}]

    def result(self) -> dict[str, Any]:
        """As an element of `errors` in a collection result: `statusCode` instead of `errorCode`."""
        return {"statusCode": self.code, "message": self.message, "fields": self.fields or [], **self.extra}

    def bulk(self) -> str:
        """As the `sf__Error` column of a bulk result."""
        return f"{self.code}:{self.message}:{' '.join(self.fields or [])} --"


class NotImplementedHere(Failure):
    """The real system can do this; the practice server cannot, and says so instead of answering wrongly."""

    def __init__(self, what: str) -> None:
        super().__init__(501, "NOT_IMPLEMENTED", f"The practice server does not implement {what}")


def not_found(text: str = NOT_FOUND_TEXT) -> Failure:
    """404: no such resource, object or row."""
    return Failure(404, "NOT_FOUND", text)


def invalid_field(name: str, sobject: str) -> Failure:
    """400: a field that does not exist, or that this user may not see."""
    return Failure(400, "INVALID_FIELD", f"No such column '{name}' on sobject of type {sobject}")


def no_external_id(text: str) -> Failure:
    """404: a field that is no external id, or a value that no row has."""
    return not_found(f"Provided external ID field does not exist or is not accessible: {text}")
