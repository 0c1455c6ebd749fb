"""Who is mailed what: the ledger, and meetings travelling between mailboxes and back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox.exchange import ExchangeServer
from tests.sandbox.ews import ANNA, BEN, CARA, Ews, T, attendees, exchange, names, set_field, utc

GUEST = "guest@other.example"


@pytest.fixture(scope="module")
def served() -> Iterator[ExchangeServer]:
    with exchange() as server:
        server.save_snapshot()
        yield server


@pytest.fixture
def anna(served: ExchangeServer) -> Iterator[Ews]:
    served.restore_snapshot()
    with Ews(served) as client:
        yield client


@pytest.fixture
def ben(anna: Ews) -> Iterator[Ews]:
    with Ews(anna.server, BEN) as client:
        yield client


def mailed(ews: Ews) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(mail.kind, mail.sender, mail.recipients) for mail in ews.server.call(ews.server.outbox)]


def subjects(ews: Ews, folder: str) -> list[str | None]:
    return [item.findtext(f"{T}Subject") for item in ews.find("item:Subject", folder=folder)]


# -- what the mail switch does ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("send", "mails", "copies"), [("SendToNone", 0, 0), ("SendOnlyToAll", 1, 0), ("SendToAllAndSaveCopy", 1, 1)]
)
def test_creating_mails_what_the_switch_says(anna: Ews, send: str, mails: int, copies: int) -> None:
    identifier, _ = anna.event("Kick-off", send, after=attendees(BEN, GUEST))
    assert mailed(anna) == [("request", ANNA, (BEN, GUEST))] * mails
    assert len(anna.find(folder="sentitems")) == copies
    sent = anna.get(identifier, "calendar:MeetingRequestWasSent").findtext(f"{T}MeetingRequestWasSent")
    assert sent == ("true" if mails else "false")
    assert len(anna.server.call(anna.server.items, BEN)) == mails


@pytest.mark.parametrize(
    ("send", "expected"),
    [
        ("SendToNone", []),
        ("SendOnlyToAll", [("cancellation", ANNA, (BEN,)), ("request", ANNA, (CARA,)), ("update", ANNA, (GUEST,))]),
        ("SendOnlyToChanged", [("cancellation", ANNA, (BEN,)), ("request", ANNA, (CARA,))]),
        (
            "SendToAllAndSaveCopy",
            [("cancellation", ANNA, (BEN,)), ("request", ANNA, (CARA,)), ("update", ANNA, (GUEST,))],
        ),
        ("SendToChangedAndSaveCopy", [("cancellation", ANNA, (BEN,)), ("request", ANNA, (CARA,))]),
    ],
)
def test_updating_mails_everybody_or_only_those_who_came_and_went(anna: Ews, send: str, expected: list[object]) -> None:
    identifier, key = anna.event("Kick-off", after=attendees(BEN, GUEST))
    changes = set_field("calendar:RequiredAttendees", attendees(GUEST, CARA))
    anna.one(anna.update(identifier, key, changes, SendMeetingInvitationsOrCancellations=send))
    assert mailed(anna) == expected
    assert bool(anna.find(folder="sentitems")) == send.endswith("SaveCopy")


@pytest.mark.parametrize(("send", "mails"), [("SendToNone", 0), ("SendOnlyToAll", 1), ("SendToAllAndSaveCopy", 1)])
def test_deleting_a_meeting_cancels_it_if_the_switch_says_so(anna: Ews, send: str, mails: int) -> None:
    identifier, _ = anna.event("Kick-off", after=attendees(BEN))
    anna.one(anna.delete(identifier, send=send))
    assert mailed(anna) == [("cancellation", ANNA, (BEN,))] * mails


def test_an_appointment_without_attendees_mails_nobody(anna: Ews) -> None:
    identifier, key = anna.event("Alone", "SendToAllAndSaveCopy")
    anna.set_subject(identifier, key, "Still alone", SendMeetingInvitationsOrCancellations="SendToAllAndSaveCopy")
    anna.one(anna.delete(identifier, send="SendToAllAndSaveCopy"))
    assert mailed(anna) == []


# -- the attendee's side ----------------------------------------------------------------------------------------------------------


def test_a_request_arrives_with_a_tentative_event_of_the_same_uid(anna: Ews, ben: Ews) -> None:
    identifier, _ = anna.event(
        "Kick-off", "SendOnlyToAll", before="<t:Sensitivity>Private</t:Sensitivity>", after=attendees(BEN, GUEST)
    )
    uid = anna.get(identifier, "calendar:UID").findtext(f"{T}UID")
    found = ben.find(folder="inbox")[0]
    assert found.tag == f"{T}MeetingRequest"
    request = ben.get(found.find(f"{T}ItemId").get("Id"), base="AllProperties")
    read = {name: request.findtext(f"{T}{name}") for name in names(request)}
    assert (read["ItemClass"], read["IsRead"], read["MeetingRequestType"]) == (
        "IPM.Schedule.Meeting.Request",
        "false",
        "NewMeetingRequest",
    )
    event = ben.get(request.find(f"{T}AssociatedCalendarItemId").get("Id"), base="AllProperties")
    mine = {name: event.findtext(f"{T}{name}") for name in names(event)}
    assert (mine["UID"], read["UID"]) == (uid, uid)
    assert (mine["MyResponseType"], mine["LegacyFreeBusyStatus"]) == ("NoResponseReceived", "Tentative")
    assert (mine["IsMeeting"], mine["AppointmentState"], mine["Sensitivity"]) == ("true", "3", "Private")
    assert event.findtext(f"{T}Organizer/{T}Mailbox/{T}EmailAddress") == ANNA
    assert names(event.find(f"{T}ResponseObjects"))[:3] == ["AcceptItem", "TentativelyAcceptItem", "DeclineItem"]


def reply(ews: Ews, kind: str, reference: str, disposition: str = "SendAndSaveCopy", extra: str = "") -> str:
    switch = f' MessageDisposition="{disposition}"' if disposition else ""
    return f'<m:CreateItem{switch}><m:Items><t:{kind}>{extra}<t:ReferenceItemId Id="{reference}"/></t:{kind}></m:Items></m:CreateItem>'


@pytest.mark.parametrize(
    ("kind", "response", "status", "item_class"),
    [
        ("AcceptItem", "Accept", "Busy", "IPM.Schedule.Meeting.Resp.Pos"),
        ("TentativelyAcceptItem", "Tentative", "Tentative", "IPM.Schedule.Meeting.Resp.Tent"),
    ],
)
def test_an_answer_comes_back_to_the_organiser(
    anna: Ews, ben: Ews, kind: str, response: str, status: str, item_class: str
) -> None:
    identifier, key = anna.event("Kick-off", "SendOnlyToAll", after=attendees(BEN, GUEST))
    request = ben.find(folder="inbox")[0].find(f"{T}ItemId").get("Id")
    made = ben.one(reply(ben, kind, request)).find(f".//{T}CalendarItem/{T}ItemId").get("Id")
    mine = ben.get(made, "calendar:MyResponseType", "calendar:LegacyFreeBusyStatus", "calendar:AppointmentReplyTime")
    assert (mine.findtext(f"{T}MyResponseType"), mine.findtext(f"{T}LegacyFreeBusyStatus")) == (response, status)
    assert mine.findtext(f"{T}AppointmentReplyTime") == "2026-06-01T08:00:00Z"
    assert subjects(ben, "inbox") == []
    theirs = anna.get(identifier, "calendar:RequiredAttendees")
    assert [node.text for node in theirs.iter(f"{T}ResponseType")] == [response, "Unknown"]
    assert theirs.find(f"{T}ItemId").get("ChangeKey") != key
    answer = anna.find("item:ItemClass", folder="inbox")[0]
    assert (answer.tag, answer.findtext(f"{T}ItemClass")) == (f"{T}MeetingResponse", item_class)
    assert mailed(anna)[-1] == ("response", BEN, (ANNA,))


def test_declining_removes_the_event_and_saving_only_mails_nobody(anna: Ews, ben: Ews) -> None:
    anna.event("Kick-off", "SendOnlyToAll", after=attendees(BEN))
    anna.server.call(anna.server.clear_outbox)
    request = ben.find(folder="inbox")[0].find(f"{T}ItemId").get("Id")
    ben.one(reply(ben, "DeclineItem", request, "SaveOnly"))
    assert subjects(ben, "calendar") == []
    assert sorted(filter(None, subjects(ben, "deleteditems"))) == ["Kick-off", "Kick-off"]
    assert mailed(anna) == []


def test_an_update_reaches_the_attendee_and_asks_again(anna: Ews, ben: Ews) -> None:
    identifier, _ = anna.event("Kick-off", "SendOnlyToAll", after=attendees(BEN))
    ben.one(reply(ben, "AcceptItem", ben.find(folder="inbox")[0].find(f"{T}ItemId").get("Id")))
    key = anna.get(identifier).find(f"{T}ItemId").get("ChangeKey")
    changes = set_field("calendar:End", "<t:End>2026-06-02T16:00:00Z</t:End>") + set_field(
        "calendar:Start", "<t:Start>2026-06-02T15:00:00Z</t:Start>"
    )
    anna.one(anna.update(identifier, key, changes, SendMeetingInvitationsOrCancellations="SendOnlyToAll"))
    mine = ben.find("calendar:Start", "calendar:MyResponseType")[0]
    assert mine.findtext(f"{T}Start") == "2026-06-02T15:00:00Z"
    assert mine.findtext(f"{T}MyResponseType") == "NoResponseReceived"
    assert mailed(anna)[-1] == ("update", ANNA, (BEN,))


def test_a_cancelled_meeting_is_marked_and_can_be_removed_but_not_accepted(anna: Ews, ben: Ews) -> None:
    identifier, _ = anna.event("Kick-off", "SendOnlyToAll", after=attendees(BEN))
    binned = anna.one(reply(anna, "CancelCalendarItem", identifier)).find(f".//{T}CalendarItem/{T}ItemId")
    assert anna.get(binned.get("Id"), "item:Subject").findtext(f"{T}Subject") == "Kick-off"
    event = ben.find("item:Subject", "calendar:IsCancelled", "calendar:LegacyFreeBusyStatus")[0]
    assert event.findtext(f"{T}Subject") == "Canceled: Kick-off"
    assert (event.findtext(f"{T}IsCancelled"), event.findtext(f"{T}LegacyFreeBusyStatus")) == ("true", "Free")
    own = event.find(f"{T}ItemId").get("Id")
    assert ben.code(reply(ben, "AcceptItem", own)) == "ErrorCalendarIsCancelledForAccept"
    message = next(item for item in ben.find(folder="inbox") if item.tag == f"{T}MeetingCancellation")
    ben.one(reply(ben, "RemoveItem", message.find(f"{T}ItemId").get("Id"), ""))
    assert subjects(ben, "calendar") == []


def test_only_the_organiser_cancels_and_only_attendees_answer(anna: Ews, ben: Ews) -> None:
    identifier, _ = anna.event("Kick-off", "SendOnlyToAll", after=attendees(BEN))
    theirs = ben.find()[0].find(f"{T}ItemId").get("Id")
    assert ben.code(reply(ben, "CancelCalendarItem", theirs)) == "ErrorCalendarIsNotOrganizer"
    assert anna.code(reply(anna, "AcceptItem", identifier)) == "ErrorCalendarIsOrganizerForAccept"
    assert anna.code(reply(anna, "DeclineItem", identifier)) == "ErrorCalendarIsOrganizerForDecline"
    assert ben.code(reply(ben, "AcceptItem", theirs, "")) == "ErrorMessageDispositionRequired"
    assert ben.code(reply(ben, "ProposeNewTime", theirs)) == "fault ErrorInvalidOperation"


def test_deleting_an_unanswered_invitation_with_notice_declines_it(anna: Ews, ben: Ews) -> None:
    identifier, _ = anna.event("Kick-off", "SendOnlyToAll", after=attendees(BEN))
    ben.one(ben.delete(ben.find()[0].find(f"{T}ItemId").get("Id"), send="SendToAllAndSaveCopy"))
    responses = anna.get(identifier, "calendar:RequiredAttendees").iter(f"{T}ResponseType")
    assert [node.text for node in responses] == ["Decline"]


def test_an_edit_without_notice_stays_with_the_organiser(anna: Ews, ben: Ews) -> None:
    identifier, _ = anna.event("Kick-off", "SendOnlyToAll", after=attendees(BEN))
    key = anna.get(identifier).find(f"{T}ItemId").get("ChangeKey")
    anna.set_subject(identifier, key, "Silent")
    assert subjects(ben, "calendar") == ["Kick-off"]


# -- series -------------------------------------------------------------------------------------------------------------------------


def test_a_series_travels_with_its_exceptions_and_cancelled_occurrences(anna: Ews) -> None:
    server = anna.server

    def live() -> None:
        event = server.create_event(
            ANNA, subject="Weekly", start="2026-06-01T09:00", end="2026-06-01T10:00", attendees=[BEN, GUEST],
            recurrence={"weekly": ["Monday"], "count": 4}, send="SendOnlyToAll",
        )  # fmt: skip
        uid = event.get("calendar:UID")
        server.update_event(
            ANNA, uid, occurrence=2, start="2026-06-08T14:00", end="2026-06-08T15:00", send="SendOnlyToAll"
        )
        server.delete(ANNA, uid, occurrence=3, send="SendOnlyToAll")
        server.respond(BEN, uid, "Decline", occurrence=4)

    server.call(live)
    theirs = server.call(server.view, BEN, utc(2026, 6, 1), utc(2026, 7, 1))
    told = [(item.get("item:Subject"), item.get("calendar:Start").isoformat()) for item in theirs]
    assert told == [
        ("Weekly", "2026-06-01T07:00:00+00:00"),
        ("Weekly", "2026-06-08T12:00:00+00:00"),
        ("Canceled: Weekly", "2026-06-15T07:00:00+00:00"),
    ]
    mine = server.call(server.view, ANNA, utc(2026, 6, 1), utc(2026, 7, 1))
    responses = [[one.response for one in item.get("calendar:RequiredAttendees")] for item in mine]
    assert responses == [["Unknown", "Unknown"], ["Unknown", "Unknown"], ["Decline", "Unknown"]]
    assert [mail.kind for mail in server.call(server.outbox)] == ["request", "update", "cancellation", "response"]


# -- ordinary mail ---------------------------------------------------------------------------------------------------------------------


def test_a_sent_message_is_in_the_ledger_in_sent_items_and_in_local_inboxes(anna: Ews, ben: Ews) -> None:
    to = f"<t:ToRecipients><t:Mailbox><t:EmailAddress>{BEN}</t:EmailAddress></t:Mailbox><t:Mailbox><t:EmailAddress>{GUEST}</t:EmailAddress></t:Mailbox></t:ToRecipients>"
    body = f'<m:CreateItem MessageDisposition="SendAndSaveCopy"><m:Items><t:Message><t:Subject>Hi</t:Subject>{to}</t:Message></m:Items></m:CreateItem>'
    assert len(anna.one(body)) == 2
    assert mailed(anna) == [("message", ANNA, (BEN, GUEST))]
    assert (subjects(anna, "sentitems"), subjects(ben, "inbox")) == (["Hi"], ["Hi"])
    got = ben.find("message:IsRead", "message:From", folder="inbox")[0]
    assert got.findtext(f"{T}IsRead") == "false"
    ben.one(reply(ben, "ReplyToItem", got.find(f"{T}ItemId").get("Id"), extra=""))
    assert subjects(anna, "inbox") == ["RE: Hi"]


def test_a_draft_is_sent_later(anna: Ews, ben: Ews) -> None:
    to = f"<t:ToRecipients><t:Mailbox><t:EmailAddress>{BEN}</t:EmailAddress></t:Mailbox></t:ToRecipients>"
    identifier, key = anna.create(f"<t:Message><t:Subject>Later</t:Subject>{to}</t:Message>")
    assert (mailed(anna), subjects(anna, "drafts")) == ([], ["Later"])
    ids = f'<m:ItemIds><t:ItemId Id="{identifier}" ChangeKey="{key}"/></m:ItemIds>'
    anna.one(f'<m:SendItem SaveItemToFolder="true">{ids}</m:SendItem>')
    assert (subjects(anna, "drafts"), subjects(anna, "sentitems"), subjects(ben, "inbox")) == ([], ["Later"], ["Later"])
