"""Replies follow the element order of the schema (types.xsd of EWS), whatever is asked for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from sandbox.exchange import ExchangeServer
from tests.sandbox.ews import ANNA, BEN, GUID, LINK, Ews, T, exchange, names

ITEM = """MimeContent ItemId ParentFolderId ItemClass Subject Sensitivity Body Attachments DateTimeReceived Size Categories
Importance InReplyTo IsSubmitted IsDraft IsFromMe IsResend IsUnmodified InternetMessageHeaders DateTimeSent DateTimeCreated
ResponseObjects ReminderDueBy ReminderIsSet ReminderNextTime ReminderMinutesBeforeStart DisplayCc DisplayTo DisplayBcc
HasAttachments ExtendedProperty Culture EffectiveRights LastModifiedName LastModifiedTime IsAssociated
WebClientReadFormQueryString WebClientEditFormQueryString ConversationId UniqueBody Flag StoreEntryId InstanceKey NormalizedBody
EntityExtractionResult PolicyTag ArchiveTag RetentionDate Preview RightsManagementLicenseData PredictedActionReasons IsClutter
BlockStatus HasBlockedImages TextBody""".split()
_TIMES = "IsAllDayEvent LegacyFreeBusyStatus Location When IsMeeting IsCancelled IsRecurring MeetingRequestWasSent"
_PEOPLE = """CalendarItemType MyResponseType Organizer RequiredAttendees OptionalAttendees Resources"""
_REST = """ConflictingMeetingCount AdjacentMeetingCount ConflictingMeetings AdjacentMeetings Duration TimeZone
AppointmentReplyTime AppointmentSequenceNumber AppointmentState Recurrence FirstOccurrence LastOccurrence ModifiedOccurrences
DeletedOccurrences MeetingTimeZone StartTimeZone EndTimeZone ConferenceType AllowNewTimeProposal IsOnlineMeeting
MeetingWorkspaceUrl NetShowUrl EnhancedLocation"""
_WALL = "StartWallClock EndWallClock StartTimeZoneId EndTimeZoneId"
MESSAGE = """Sender ToRecipients CcRecipients BccRecipients IsReadReceiptRequested IsDeliveryReceiptRequested ConversationIndex
ConversationTopic From InternetMessageId IsRead IsResponseRequested References ReplyTo ReceivedBy ReceivedRepresenting""".split()
MEETING = [
    *MESSAGE,
    *"""AssociatedCalendarItemId IsDelegated IsOutOfDate HasBeenProcessed ResponseType UID RecurrenceId
DateTimeStamp IsOrganizer""".split(),
]
ANSWER = [
    *MEETING,
    *"Start End Location Recurrence CalendarItemType ProposedStart ProposedEnd EnhancedLocation".split(),
]
ORDER = {
    "CalendarItem": f"""UID RecurrenceId DateTimeStamp Start End OriginalStart {_TIMES} IsResponseRequested {_PEOPLE} InboxReminders
    {_REST} {_WALL} IntendedFreeBusyStatus JoinOnlineMeetingUrl OnlineMeetingSettings IsOrganizer""".split(),
    "Message": MESSAGE,
    "MeetingRequest": [*MEETING, *f"""MeetingRequestType IntendedFreeBusyStatus Start End OriginalStart {_TIMES} {_PEOPLE} {_REST}
    ChangeHighlights {_WALL}""".split()],
    "MeetingResponse": ANSWER,
    "MeetingCancellation": ANSWER,
    "Contact": """FileAs FileAsMapping DisplayName GivenName Initials MiddleName Nickname CompleteName CompanyName EmailAddresses
    PhysicalAddresses PhoneNumbers AssistantName Birthday BusinessHomePage Children Companies ContactSource Department Generation
    ImAddresses JobTitle Manager Mileage OfficeLocation PostalAddressIndex Profession SpouseName Surname WeddingAnniversary
    HasPicture PhoneticFullName PhoneticFirstName PhoneticLastName Alias Notes""".split(),
    "DistributionList": "DisplayName FileAs ContactSource Members".split(),
    "Task": """ActualWork AssignedTime BillingInformation ChangeCount Companies CompleteDate Contacts DelegationState Delegator
    DueDate IsAssignmentEditable IsComplete IsRecurring IsTeamTask Mileage Owner PercentComplete Recurrence StartDate Status
    StatusDescription TotalWork""".split(),
}  # fmt: skip
"""The order of the children of each item type, after those of every item."""


def in_order(node: Any) -> None:
    """Assert that the children of an item stand in schema order."""
    kind = node.tag.rpartition("}")[2]
    order = {name: place for place, name in enumerate([*ITEM, *ORDER[kind]])}
    told = names(node)
    assert set(told) <= set(order), f"{kind} has no {set(told) - set(order)}"
    assert told == sorted(told, key=order.__getitem__)


@pytest.fixture(scope="module")
def full() -> Iterator[Ews]:
    """A mailbox with every type of item, filled as far as it goes."""
    with exchange() as server:
        server.call(fill, server)
        with Ews(server) as client:
            client.create("<t:Task><t:Subject>T</t:Subject><t:DueDate>2026-07-01T00:00:00Z</t:DueDate></t:Task>")
            yield client


def fill(server: ExchangeServer) -> None:
    everything: dict[str, Any] = {
        "subject": "All", "body": "Text", "location": "Oslo", "categories": ["Red"], "attendees": [BEN, "x@y.example"],
        "optional": ["o@y.example"], "resources": ["r@y.example"], "start": "2026-06-01T09:00", "end": "2026-06-01T10:00",
        "recurrence": {"weekly": ["Monday"], "count": 5}, "link": {f"{GUID}/link": "L"}, "send": "SendToAllAndSaveCopy",
        "is_online_meeting": True, "join_url": "https://meet.example/1",
    }  # fmt: skip
    series = server.create_event(ANNA, **everything)
    server.update_event(ANNA, series, occurrence=2, subject="Changed")
    server.delete(ANNA, series, occurrence=3)
    server.respond(BEN, series.get("calendar:UID"), "Accept")
    theirs = server.create_event(
        BEN, subject="Theirs", attendees=[ANNA], start="2026-06-03T09:00", send="SendOnlyToAll"
    )
    server.create_event(BEN, subject="Doomed", attendees=[ANNA], start="2026-06-04T09:00", send="SendOnlyToAll")
    server.cancel(BEN, theirs)
    server.create_contact(
        ANNA, given_name="Zoë", middle_name="Q", surname="Quist", company_name="F", emails=["z@f.example"],
        phones={"MobilePhone": "1"}, addresses={"Home": {"City": "Oslo"}}, job_title="Buyer", nickname="Z", birthday=server.clock.now(),
    )  # fmt: skip
    server.create_distribution_list(ANNA, "Buyers", ["z@f.example"])


FOLDERS = ("calendar", "inbox", "sentitems", "contacts", "tasks")


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("base", ["Default", "AllProperties"])
def test_items_are_written_in_schema_order(full: Ews, folder: str, base: str) -> None:
    found = full.find(folder=folder, base=base, extra=LINK)
    assert found
    for item in found:
        in_order(item)
        in_order(full.get(item.find(f"{T}ItemId").get("Id"), base=base, extra=LINK))


def test_every_property_asked_for_by_name_stands_in_its_place(full: Ews) -> None:
    from sandbox.exchange.properties import ALL_URIS

    for folder in FOLDERS:
        for item in full.find(folder=folder):
            in_order(full.get(item.find(f"{T}ItemId").get("Id"), *sorted(ALL_URIS), extra=LINK))


def test_occurrences_and_exceptions_are_in_schema_order_too(full: Ews) -> None:
    view = '<m:CalendarView StartDate="2026-06-01T00:00:00Z" EndDate="2026-07-31T00:00:00Z"/>'
    kinds = set()
    for item in full.find(middle=view, base="AllProperties"):
        whole = full.get(item.find(f"{T}ItemId").get("Id"), base="AllProperties", extra=LINK)
        in_order(whole)
        kinds.add(whole.findtext(f"{T}CalendarItemType"))
    assert kinds == {"Single", "Occurrence", "Exception"}


def test_all_kinds_of_items_were_looked_at(full: Ews) -> None:
    seen = {item.tag.rpartition("}")[2] for folder in FOLDERS for item in full.find(folder=folder)}
    assert seen == set(ORDER) - {"Message"}


def test_booleans_and_times_of_every_reply_have_the_forms_of_exchange(full: Ews) -> None:
    for folder in FOLDERS:
        for item in full.find(folder=folder, base="AllProperties"):
            for node in item.iter():
                tag = node.tag.rpartition("}")[2]
                if re.match("(Is|Has)[A-Z]", tag):
                    assert node.text in ("true", "false"), tag
                if tag.startswith("DateTime") or tag in ("Start", "End", "LastModifiedTime", "ReminderDueBy"):
                    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", node.text), tag
