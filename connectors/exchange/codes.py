"""Exchange's response codes (EWS reference, ResponseCode)."""

from sidefeed.errors import ErrorCode

CODES = (
    *(ErrorCode(code, cause, "admin", fix, "nightly") for code, cause, fix in (
        ("ErrorAccessDenied", "The account may not open this mailbox or folder.", "Grant it access to the mailbox."),
        ("ErrorImpersonateUserDenied", "The account may not act for this person.",
         "Add the mailbox to the scope of ApplicationImpersonation."),
        ("ErrorImpersonationDenied", "The account may not act for anybody.", "Grant it ApplicationImpersonation."),
        ("ErrorImpersonationFailed", "Acting for this person failed.", "Check that the mailbox is enabled."),
        ("ErrorNonExistentMailbox", "There is no such mailbox.", "Correct `mailboxes`, or create the mailbox."),
        ("ErrorMissingEmailAddress", "The account has no mailbox.", "Correct the address, or enable the mailbox."),
        ("ErrorAccountDisabled", "The account is disabled.", "Enable it, or take it out of `mailboxes`."),
        ("ErrorFolderNotFound", "The folder is not there, or hidden.", "Check that the folder exists."),
        ("ErrorCannotUseFolderIdForItemId", "An id of a folder stood for an item.", "Report it: this is a defect."),
        ("ErrorInvalidUserPrincipalName", "The person's sign-in name is not valid.", "Correct the address."),
        ("ErrorUserNotAllowedByPolicy", "A policy keeps the account out.", "Change the policy."))),
    *(ErrorCode(code, "Exchange asked to slow down.", "ops", "Nothing: the next run goes on.", "next-run")
      for code in ("ErrorServerBusy", "ErrorExceededConnectionCount", "ErrorTooManyObjectsOpened",
                   "ErrorBatchProcessingStopped")),
    *(ErrorCode(code, "The item is not in the mailbox any more.", "ops", "Nothing: the deletion is followed.",
                "looked-up")
      for code in ("ErrorItemNotFound", "ErrorInvalidIdMalformed", "ErrorInvalidIdEmpty", "ErrorInvalidId",
                   "ErrorCalendarOccurrenceIsDeletedFromRecurrence",
                   "ErrorCalendarOccurrenceIndexIsOutOfRecurrenceRange")),
    *(ErrorCode(code, "The item changed since it was read.", "ops", "Nothing: it is read again.", "looked-up")
      for code in ("ErrorIrresolvableConflict", "ErrorInvalidChangeKey", "ErrorStaleObject", "ErrorChangeKeyRequired",
                   "ErrorChangeKeyRequiredForWriteOperations")),
    *(ErrorCode(code, "The mailbox is not available now.", "ops", "Nothing, unless it stays.", "lanes")
      for code in ("ErrorMailboxStoreUnavailable", "ErrorMailboxMoveInProgress", "ErrorMailboxFailover",
                   "ErrorADUnavailable", "ErrorADOperation", "ErrorConnectionFailed", "ErrorProxyRequestNotAllowed",
                   "ErrorProxyCallFailed")),
    *(ErrorCode(code, "Another program holds the item.", "ops", "Nothing, unless it stays.", "lanes")
      for code in ("ErrorItemLocked", "ErrorMailboxLocked")),
    *(ErrorCode(code, "Exchange failed in the middle; a write may have happened or not.", "ops",
                "Nothing: the item is looked at before anything is sent again.", "looked-up")
      for code in ("ErrorTimeoutExpired", "ErrorInternalServerError", "ErrorInternalServerTransientError", "no-code")),
    *(ErrorCode(code, "Exchange forgot how far the folder was read.", "ops", "Nothing: it is read again.", "next-run")
      for code in ("ErrorInvalidSyncStateData", "ErrorSyncFolderNotFound")),
    ErrorCode("endpoint", "The address answers, but not as Exchange Web Services do.", "ops",
              "Correct `endpoint`: it ends in /EWS/Exchange.asmx.", "next-run"),
    ErrorCode("exchange-online", "Exchange Online closes Exchange Web Services.", "admin",
              "Use the Microsoft 365 connector, or allow the app as the message says.", "next-run"),
)
