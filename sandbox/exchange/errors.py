# ruff: noqa: E501 - one code per line reads as the table it is
"""Response codes of Exchange Web Services with the texts that Exchange sends.

    EwsError           one item or folder of a request failed: a response message of class Error (or Warning)
    RequestFault       the whole request failed: a SOAP fault, HTTP 500

Source: EWS reference, ResponseCode; texts from the documentation and public reports. A text that could not be found
there is our own wording; clients must go by the code.
"""

from __future__ import annotations

from collections.abc import Sequence

TEXTS = {
    "ErrorAccessDenied": "Access is denied. Check credentials and try again.",
    "ErrorBatchProcessingStopped": "Further processing of the request was stopped because of an earlier error.",
    "ErrorCalendarCannotMoveOrCopyOccurrence": "Occurrences of a recurring calendar item cannot be moved or copied.",
    "ErrorCalendarCannotUpdateDeletedItem": "A calendar item in the Deleted Items folder cannot be updated.",
    "ErrorCalendarCannotUseIdForOccurrenceId": "The item ID does not belong to a recurring master, so it cannot be used in OccurrenceItemId.",
    "ErrorCalendarCannotUseIdForRecurringMasterId": "The item ID does not belong to an occurrence, so it cannot be used in RecurringMasterItemId.",
    "ErrorCalendarDurationIsTooLong": "The calendar item duration is too long.",
    "ErrorCalendarEndDateIsEarlierThanStartDate": "EndDate is earlier than StartDate.",
    "ErrorCalendarFolderIsInvalidForCalendarView": "The specified folder is not a calendar folder, so a CalendarView cannot be used.",
    "ErrorCalendarInvalidDayForTimeChangePattern": "The day of the time change pattern is invalid.",
    "ErrorCalendarInvalidDayForWeeklyRecurrence": "A weekly recurrence must name days of the week.",
    "ErrorCalendarInvalidPropertyState": "The state of a calendar item recurrence property is invalid.",
    "ErrorCalendarInvalidRecurrence": "The recurrence pattern is invalid.",
    "ErrorCalendarInvalidTimeZone": "The time zone is invalid.",
    "ErrorCalendarIsCancelledForAccept": "A cancelled meeting cannot be accepted.",
    "ErrorCalendarIsCancelledForDecline": "A cancelled meeting cannot be declined.",
    "ErrorCalendarIsCancelledForRemove": "The calendar item is not cancelled.",
    "ErrorCalendarIsCancelledForTentative": "A cancelled meeting cannot be tentatively accepted.",
    "ErrorCalendarIsDelegatedForAccept": "A delegated meeting cannot be accepted.",
    "ErrorCalendarIsNotOrganizer": "You must be the organizer to perform this operation.",
    "ErrorCalendarIsOrganizerForAccept": "The organizer of the meeting cannot accept it.",
    "ErrorCalendarIsOrganizerForDecline": "The organizer of the meeting cannot decline it.",
    "ErrorCalendarIsOrganizerForRemove": "The organizer of the meeting cannot remove it with RemoveItem.",
    "ErrorCalendarIsOrganizerForTentative": "The organizer of the meeting cannot tentatively accept it.",
    "ErrorCalendarMeetingRequestIsOutOfDate": "The meeting request is out of date.",
    "ErrorCalendarOccurrenceIndexIsOutOfRecurrenceRange": "Occurrence index is out of recurrence range.",
    "ErrorCalendarOccurrenceIsDeletedFromRecurrence": "Occurrence with this index was previously deleted from the recurrence.",
    "ErrorCalendarOutOfRange": "The start or end of the calendar item is out of range.",
    "ErrorCalendarViewRangeTooBig": "The specified view range exceeds the maximum range of two years.",
    "ErrorCannotDeleteObject": "The object cannot be deleted.",
    "ErrorCannotUseFolderIdForItemId": "A folder ID was used where an item ID is needed.",
    "ErrorCannotUseItemIdForFolderId": "An item ID was used where a folder ID is needed.",
    "ErrorChangeKeyRequired": "A change key is required for this operation.",
    "ErrorChangeKeyRequiredForWriteOperations": "A change key is required for this operation.",
    "ErrorContactsFilteringNotSupported": "Filtering of contacts is not supported in this combination.",
    "ErrorContainsFilterWrongType": "The Contains restriction can be used on string properties only.",
    "ErrorDelegateAlreadyExists": "The specified delegate already exists in the list of delegates.",
    "ErrorDelegateCannotAddOwner": "The mailbox owner cannot be a delegate of the own mailbox.",
    "ErrorDelegateInvalidUserId": "The delegate user ID is invalid.",
    "ErrorDelegateMissingConfiguration": "The delegate does not have the required configuration.",
    "ErrorDelegateNoUser": "The delegate does not map to a user in the Active Directory.",
    "ErrorNotDelegate": "The specified user is not a delegate.",
    "ErrorSubscriptionDelegateAccessNotSupported": "Subscriptions are not supported for delegate access.",
    "ErrorDeleteDistinguishedFolder": "Distinguished folders cannot be deleted.",
    "ErrorDistinguishedUserNotSupported": "The distinguished user is not supported.",
    "ErrorEventNotFound": "The watermark used to pull events is not found.",
    "ErrorExceededConnectionCount": "You have exceeded the available concurrent connections for your account. Try again once your other requests have completed.",
    "ErrorExceededFindCountLimit": "You have exceeded the maximum number of objects that can be returned for the find operation. Use paging to reduce the result size and try your request again.",
    "ErrorExceededSubscriptionCount": "You have exceeded the available subscriptions for your account. Remove unnecessary subscriptions and try your request again.",
    "ErrorExpiredSubscription": "The subscription has expired.",
    "ErrorFolderExists": "A folder with the specified name already exists.",
    "ErrorFolderNotFound": "The specified folder could not be found in the store.",
    "ErrorFreeBusyGenerationFailed": "Unable to generate the free/busy data.",
    "ErrorImpersonateUserDenied": "The account does not have permission to impersonate the requested user.",
    "ErrorImpersonationRequired": "Impersonation is required to act on this mailbox.",
    "ErrorIncorrectSchemaVersion": "The schema version of the request is incorrect.",
    "ErrorIncorrectUpdatePropertyCount": "An object within a change description must contain one and only one property to modify.",
    "ErrorInternalServerError": "An internal server error occurred. The operation failed.",
    "ErrorInternalServerTransientError": "An internal server error occurred. Try again later.",
    "ErrorInvalidArgument": "The argument is invalid.",
    "ErrorInvalidAttachmentId": "The attachment ID is invalid.",
    "ErrorInvalidChangeKey": "The change key is invalid.",
    "ErrorInvalidContainsRestriction": "The Contains restriction is invalid.",
    "ErrorInvalidExtendedProperty": "The extended property attribute combination is invalid.",
    "ErrorInvalidExtendedPropertyValue": "The value of the extended property does not match its type.",
    "ErrorInvalidFolderId": "The folder ID is invalid.",
    "ErrorInvalidFolderTypeForOperation": "The folder type is invalid for this operation.",
    "ErrorInvalidFractionalPagingParameters": "The fractional paging parameters are invalid.",
    "ErrorInvalidFreeBusyViewType": "The free/busy view type is invalid.",
    "ErrorInvalidId": "The ID is invalid.",
    "ErrorInvalidIdEmpty": "Id must be non-empty.",
    "ErrorInvalidIdMalformed": "Id is malformed.",
    "ErrorInvalidIdNotAnItemAttachmentId": "The ID is not an item attachment ID.",
    "ErrorInvalidIndexedPagingParameters": "The indexed paging parameters are invalid.",
    "ErrorInvalidItemForOperationCreateItem": "The item type is invalid for CreateItem.",
    "ErrorInvalidItemForOperationCreateItemAttachment": "The item type is invalid for an item attachment.",
    "ErrorInvalidItemForOperationSendItem": "The item type is invalid for SendItem.",
    "ErrorInvalidItemForOperationAcceptItem": "The item type is invalid for AcceptItem.",
    "ErrorInvalidItemForOperationCancelItem": "The item type is invalid for CancelCalendarItem.",
    "ErrorInvalidItemForOperationDeclineItem": "The item type is invalid for DeclineItem.",
    "ErrorInvalidItemForOperationRemoveItem": "The item type is invalid for RemoveItem.",
    "ErrorInvalidItemForOperationTentative": "The item type is invalid for TentativelyAcceptItem.",
    "ErrorInvalidItemForOperationExpandDL": "The item type is invalid for ExpandDL.",
    "ErrorInvalidMailboxItemId": "The mailbox item ID is invalid.",
    "ErrorInvalidOperation": "The operation is invalid.",
    "ErrorInvalidPagingMaxRows": "The maximum number of rows must be greater than zero.",
    "ErrorInvalidPropertyAppend": "Append is not allowed for this property.",
    "ErrorInvalidPropertyDelete": "The property cannot be deleted.",
    "ErrorInvalidPropertyForOperation": "The property is not valid for this operation.",
    "ErrorInvalidPropertyRequest": "The property is not valid for this object type.",
    "ErrorInvalidPropertySet": "Set action is invalid for property.",
    "ErrorInvalidRecipients": "At least one recipient isn't valid.",
    "ErrorInvalidRequest": "The request is invalid.",
    "ErrorInvalidRestriction": "The restriction or sort order is invalid.",
    "ErrorInvalidServerVersion": "The requested server version is invalid.",
    "ErrorInvalidSmtpAddress": "The SMTP address format is invalid.",
    "ErrorInvalidSubscription": "The subscription information is not valid.",
    "ErrorInvalidSubscriptionRequest": "The subscription request is invalid.",
    "ErrorInvalidSyncStateData": "Synchronization state data is corrupt or otherwise invalid.",
    "ErrorInvalidTimeInterval": "The time interval is invalid.",
    "ErrorInvalidUserInfo": "The user information is invalid.",
    "ErrorInvalidValueForProperty": "The specified value is invalid for property.",
    "ErrorInvalidWatermark": "The watermark is invalid.",
    "ErrorIrresolvableConflict": "The send or update operation could not be performed because the change key passed in the request does not match the current change key for the item.",
    "ErrorItemCorrupt": "The item is corrupt.",
    "ErrorItemNotFound": "The specified object was not found in the store.",
    "ErrorItemSave": "An error occurred while the item was being saved.",
    "ErrorItemSavePropertyError": "An error occurred while the properties of the item were being saved.",
    "ErrorMailRecipientNotFound": "The mail recipient was not found.",
    "ErrorManagedFolderNotFound": "The managed folder was not found.",
    "ErrorMessageSizeExceeded": "The message exceeds the maximum supported size.",
    "ErrorMimeContentConversionFailed": "The MIME content could not be converted.",
    "ErrorMimeContentInvalid": "The MIME content is invalid.",
    "ErrorMimeContentInvalidBase64String": "The MIME content is not valid base64.",
    "ErrorMissingEmailAddress": "The item has no e-mail address.",
    "ErrorMissingInformationEmailAddress": "An e-mail address is missing.",
    "ErrorMissingRecipients": "The message has no recipient.",
    "ErrorMoveCopyFailed": "The move or copy operation failed.",
    "ErrorMoveDistinguishedFolder": "Distinguished folders cannot be moved.",
    "ErrorNameResolutionMultipleResults": "Multiple results were found.",
    "ErrorNameResolutionNoMailbox": "No mailbox was found for the name.",
    "ErrorNameResolutionNoResults": "No results were found.",
    "ErrorNoFreeBusyAccess": "The caller has no access to free/busy data of this mailbox.",
    "ErrorNoPropertyTagForCustomProperties": "Property tags from 0x8000 are for named properties, which have no tag.",
    "ErrorInvalidPropertyForExists": "The property is a flag, so it cannot be used in an Exists restriction.",
    "ErrorNoRecipients": "The message has no recipient.",
    "ErrorNonExistentMailbox": "The SMTP address has no mailbox associated with it.",
    "ErrorNonPrimarySmtpAddress": "When making a request as an account that does not have a mailbox, you must specify the primary SMTP address.",
    "ErrorObjectTypeChanged": "The item type in the request does not match the item in the store.",
    "ErrorOccurrenceCrossingBoundary": "Modified occurrence is crossing or overlapping adjacent occurrence.",
    "ErrorOccurrenceTimeSpanTooBig": "The duration of an occurrence is longer than the time between two occurrences.",
    "ErrorParentFolderIdRequired": "A parent folder ID is required.",
    "ErrorParentFolderNotFound": "The specified parent folder could not be found.",
    "ErrorPropertyUpdate": "The property could not be updated.",
    "ErrorPropertyValidationFailure": "The property failed validation.",
    "ErrorReadEventsFailed": "Events could not be read.",
    "ErrorRecurrenceEndDateTooBig": "The end date of the recurrence is too late.",
    "ErrorRecurrenceHasNoOccurrence": "The recurrence has no occurrence in the specified range.",
    "ErrorRestrictionTooComplex": "The restriction is too complex.",
    "ErrorRestrictionTooLong": "The restriction is too long.",
    "ErrorResponseSchemaValidation": "The response failed schema validation.",
    "ErrorSavedItemFolderNotFound": "The specified saved item folder could not be found.",
    "ErrorSchemaValidation": "The request failed schema validation.",
    "ErrorSendMeetingCancellationsRequired": "SendMeetingCancellations attribute is required for calendar items.",
    "ErrorSendMeetingInvitationsOrCancellationsRequired": "SendMeetingInvitationsOrCancellations attribute is required for calendar items.",
    "ErrorSendMeetingInvitationsRequired": "SendMeetingInvitations attribute is required for calendar items.",
    "ErrorMessageDispositionRequired": "The message disposition attribute is required.",
    "ErrorServerBusy": "The server cannot service this request right now. Try again later.",
    "ErrorSubscriptionNotFound": "The subscription was not found.",
    "ErrorSubscriptionAccessDenied": "The subscription belongs to another user.",
    "ErrorSyncFolderNotFound": "The specified folder could not be synchronized because it was not found.",
    "ErrorTimeIntervalTooBig": "The requested time interval is too long.",
    "ErrorTimeoutExpired": "The request timed out.",
    "ErrorTooManyObjectsOpened": "There are too many objects opened in the Exchange store.",
    "ErrorTokenSerializationDenied": "The account does not have the right to serialize a token.",
    "ErrorUnsupportedCulture": "The culture is not supported.",
    "ErrorUnsupportedMapiPropertyType": "The MAPI property type is not supported.",
    "ErrorUnsupportedMimeConversion": "The MIME conversion is not supported.",
    "ErrorUnsupportedPathForQuery": "The property cannot be used in a restriction.",
    "ErrorUnsupportedPathForSortGroup": "The property cannot be used for sorting or grouping.",
    "ErrorUnsupportedPropertyDefinition": "The property definition is not supported.",
    "ErrorUnsupportedTypeForConversion": "The type is not supported for conversion.",
    "ErrorUpdatePropertyMismatch": "The property to update does not match the property in the change description.",
    "ErrorValueOutOfRange": "The value is out of range.",
    "ErrorAttachmentNestLevelLimitExceeded": "Attachments are nested too deeply.",
    "ErrorAttachmentSizeLimitExceeded": "The attachment exceeds the size limit.",
    "ErrorCreateItemAccessDenied": "The caller may not create items in this folder.",
    "ErrorCannotCreateCalendarItemInNonCalendarFolder": "Calendar items can be created in calendar folders only.",
    "ErrorCannotCreateContactInNonContactFolder": "Contacts can be created in contacts folders only.",
    "ErrorCannotCreateTaskInNonTaskFolder": "Tasks can be created in tasks folders only.",
    "ErrorCannotEmptyFolder": "The folder cannot be emptied.",
    "ErrorUserNotUnifiedMessagingEnabled": "The user is not enabled for unified messaging.",
}


class EwsError(Exception):
    """One input of a request failed. `code` is the ResponseCode; `values` go into MessageXml as t:Value elements."""

    response_class = "Error"

    def __init__(
        self,
        code: str,
        message: str | None = None,
        *,
        values: Sequence[tuple[str, str]] = (),
        path: object = None,
    ) -> None:
        self.code = code
        self.message = message or TEXTS.get(code, code)
        self.values = list(values)
        self.path = path
        """An element naming the property at fault (t:FieldURI and relatives), put into MessageXml."""
        super().__init__(f"{code}: {self.message}")


class EwsWarning(EwsError):
    """Answered with response class Warning: the data, if any, still follows."""

    response_class = "Warning"


class RequestFault(EwsError):
    """The whole request is answered with a SOAP fault. `status` is the HTTP status."""

    def __init__(
        self,
        code: str,
        message: str | None = None,
        *,
        values: Sequence[tuple[str, str]] = (),
        status: int = 500,
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        super().__init__(code, message, values=values)
        self.status = status
        self.headers = list(headers)


class SchemaViolation(RequestFault):
    """The request is not one that the schema allows. Its values are elements of the MessageXml, not t:Value."""


def schema_violation(violation: str, line: int | None = None, position: int = 1) -> SchemaViolation:
    """The fault with which Exchange refuses a request that its schema does not allow."""
    return SchemaViolation(
        "ErrorSchemaValidation",
        f"The request failed schema validation: {violation}",
        values=[("LineNumber", str(line or 0)), ("LinePosition", str(position)), ("Violation", violation)],
    )


def not_implemented(what: str) -> RequestFault:
    """The fault for a part of EWS that exists in Exchange and not here.

    Not ErrorInvalidRequest: on that code exchangelib repeats the call once per schema version, and loses the text.
    """
    return RequestFault("ErrorInvalidOperation", f"{what} is not implemented by the practice server.")
