"""What EWS response codes mean to the caller.

Source: EWS reference, ResponseCode; Handling synchronization-related errors; Handling deletion-related errors.
"""

from __future__ import annotations

from sidefeed.connector import (
    Conflict,
    ConnectorError,
    CursorExpired,
    Gone,
    Invalid,
    Locked,
    PermissionDenied,
    RateLimited,
    Unavailable,
)


class Lost(Unavailable):
    """The reply was lost or made no sense. Harmless after a read; after a write the effect may be there."""


class NotEws(Lost):
    """The reply was not EWS."""


_DENIED = {
    "ErrorAccessDenied", "ErrorImpersonateUserDenied", "ErrorImpersonationDenied", "ErrorImpersonationFailed",
    "ErrorNonExistentMailbox", "ErrorMissingEmailAddress", "ErrorAccountDisabled", "ErrorFolderNotFound",
    "ErrorCannotUseFolderIdForItemId", "ErrorInvalidUserPrincipalName", "ErrorUserNotAllowedByPolicy",
}  # fmt: skip
_BUSY = {"ErrorServerBusy", "ErrorExceededConnectionCount", "ErrorTooManyObjectsOpened", "ErrorBatchProcessingStopped"}
_GONE = {
    "ErrorItemNotFound", "ErrorInvalidIdMalformed", "ErrorInvalidIdEmpty", "ErrorInvalidId",
    "ErrorCalendarOccurrenceIsDeletedFromRecurrence", "ErrorCalendarOccurrenceIndexIsOutOfRecurrenceRange",
}  # fmt: skip
_MOVED_ON = {
    "ErrorIrresolvableConflict", "ErrorInvalidChangeKey", "ErrorStaleObject", "ErrorChangeKeyRequired",
    "ErrorChangeKeyRequiredForWriteOperations",
}  # fmt: skip
_LATER = {
    "ErrorMailboxStoreUnavailable", "ErrorMailboxMoveInProgress", "ErrorMailboxFailover", "ErrorADUnavailable",
    "ErrorADOperation", "ErrorConnectionFailed", "ErrorProxyRequestNotAllowed", "ErrorProxyCallFailed",
}  # fmt: skip
_AMBIGUOUS = {
    "ErrorTimeoutExpired", "ErrorInternalServerError", "ErrorInternalServerTransientError", "",
}  # fmt: skip
_STATE = {"ErrorInvalidSyncStateData", "ErrorSyncFolderNotFound"}


def error_for(
    code: str, text: str, mailbox: str, *, back_off: float | None = None, effect: bool = False
) -> ConnectorError:
    """The contract's error for a response code. ``effect``: the request was a write, so the doubtful ones are Lost."""
    said = f"{code}: {text}".rstrip(": ")
    if code in _BUSY:
        return RateLimited(f"Exchange is throttling mailbox {mailbox} ({said}).", retry_after=back_off, code=code)
    if code in _DENIED:
        return PermissionDenied(
            f"No access to mailbox {mailbox} ({said}). Does it exist, and has the account the right "
            "(ApplicationImpersonation with a scope that covers it, or full access)?",
            code=code,
        )
    if code in _GONE:
        return Gone(f"The item is not in mailbox {mailbox} any more ({said}).", code=code)
    if code in _MOVED_ON:
        return Conflict(f"The item in mailbox {mailbox} changed since it was read ({said}).", code=code)
    if code in _STATE:
        return CursorExpired(f"Exchange no longer knows the sync state of mailbox {mailbox} ({said}).", code=code)
    if code in _LATER:
        return Unavailable(f"Mailbox {mailbox} is not available now ({said}).", code=code)
    if code == "ErrorItemLocked" or code == "ErrorMailboxLocked":
        return Locked(f"The item in mailbox {mailbox} is locked ({said}).", code=code)
    if code in _AMBIGUOUS:
        return Lost(f"Exchange failed on a request for mailbox {mailbox} ({said}).", code=code or "no-code")
    if effect:
        return Invalid(f"Exchange refused the item for mailbox {mailbox} ({said}).", rule=code, code=code)
    return ConnectorError(f"Exchange refused a request for mailbox {mailbox} ({said}).", code=code)
