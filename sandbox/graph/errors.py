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


_MISSING = frozenset(
    "$metadata admin agreements applications auditlogs branding chats communications connections contracts devices "
    "devicemanagement deviceappmanagement directory directoryobjects directoryroles domains drive drives education "
    "external filteroperators functions groups groupsettings identity identitygovernance identityproviders "
    "identityprotection informationprotection invitations me oauth2permissiongrants organization permissiongrants "
    "places planner policies print privacy reports rolemanagement schemaextensions search security serviceprincipals "
    "shares sites solutions storage subscribedskus subscriptions teams teamstemplates teamwork tenantrelationships "
    "activities assignlicense calendargroups calendars changepassword checkmembergroups contactfolders "
    "createdobjects employeeexperience extensions findmeetingtimes followedsites getmailtips getmemberobjects "
    "inferenceclassification insights joinedteams licensedetails mailfolders mailboxsettings manager memberof messages "
    "directreports onenote onlinemeetings outlook ownedobjects people permanentdelete photo photos presence "
    "registereddevices reminderview revokesigninsessions scopedrolememberof sendmail settings todo "
    "transitivememberof attachments calendar calendarpermissions childfolders dismissreminder exceptionoccurrences "
    "forward multivalueextendedproperties singlevalueextendedproperties snoozereminder delta".split()
)
"""First segments of v1.0, and what stands below a user, a calendar, an event and a contact, that only the service has
(Microsoft Graph REST API v1.0 reference)."""


def no_segment(name: str) -> GraphError:
    """501 for a resource of the service that is not implemented here, 400 for one that the service has not either."""
    if name.lower().partition("(")[0].removeprefix("microsoft.graph.") in _MISSING:
        return not_implemented(f"'{name}'")
    return bad_request(f"Resource not found for the segment '{name}'.", "ResourceNotFound")


def not_allowed() -> GraphError:
    """405: the resource is there, the method is not."""
    return GraphError(405, "Request_BadRequest", "Specified HTTP method is not allowed for the request target.")


def not_implemented(what: str) -> GraphError:
    """501: the service can do this, the practice server cannot."""
    text = f"The practice server does not implement {what}. docs/practice-servers.md lists what it does."
    return GraphError(501, "NotImplemented", text)


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
