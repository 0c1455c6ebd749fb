"""What a CalDAV or CardDAV server says no with, as far as it says more than the class of error it comes with.

Source: the preconditions of RFC 4791 5.3.2.1, RFC 6352 6.3.2.1, RFC 4331 and RFC 6638 3.2.4.
"""

from sidefeed.errors import ErrorCode

CODES = (
    *(ErrorCode(code, cause, "rep", fix, "content") for code, cause, fix in (
        ("valid-calendar-data", "The server takes the meeting for no valid iCalendar.", "Correct the meeting here."),
        ("valid-calendar-object-resource", "The server takes no meeting that is made like this.",
         "Correct the meeting here."),
        ("supported-calendar-component", "The calendar takes no meetings, only tasks or notes.",
         "Point `calendar` at a calendar of meetings."),
        ("min-date-time", "The meeting lies before what the server keeps.", "Correct its time."),
        ("max-date-time", "The meeting lies after what the server keeps.", "Correct its time."),
        ("max-instances", "The series has more occurrences than the server keeps.", "Let the series end earlier."),
        ("max-attendees-per-instance", "The meeting has more people than the server takes.", "Invite fewer."),
        ("valid-address-data", "The server takes the contact for no valid vCard.", "Correct the contact here."))),
    *(ErrorCode(code, cause, "admin", fix, "nightly") for code, cause, fix in (
        ("max-resource-size", "The meeting or contact is larger than the server takes.", "Raise its limit."),
        ("supported-calendar-data", "The server takes another kind of calendar data.", "Check that `url` is CalDAV's."),
        ("supported-address-data", "The server takes another kind of contact data.", "Check that `url` is CardDAV's."),
        ("need-privileges", "The account may not do this.", "Grant it the right on the collection."),
        ("quota-not-exceeded", "The mailbox is full.", "Free some room, or raise its quota."),
        ("sufficient-disk-space", "The server's disk is full.", "Free some room."),
        ("http-400", "The server takes the request for no valid one.", "Report it: this is a defect."),
        ("http-415", "The server takes no data of this kind.", "Check that `url` is CalDAV's."),
        ("http-507", "The server has no room.", "Free some room, or raise the quota."))),
    ErrorCode("would-mail", "The server would mail the attendees of this meeting.", "rep",
              "Change it in the calendar, where its organiser decides who is told.", "content"),
    ErrorCode("number-of-matches-within-limits", "The window holds more than the server tells at once.", "admin",
              "Raise its limit, or make `window_past_days` and `window_future_days` smaller.", "nightly"),
    ErrorCode("allowed-organizer-scheduling-object-change", "The server lets nobody change this of a meeting.", "rep",
              "Change it in the organiser's calendar.", "content"),
    ErrorCode("allowed-attendee-scheduling-object-change", "The server lets an attendee not change this.", "rep",
              "Ask the organiser to change it.", "content"),
)
