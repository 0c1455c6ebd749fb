"""Address book, availability, automatic replies, notifications, zones, ids, user configurations, autodiscover."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from lxml import etree

from sandbox.exchange import ExchangeServer
from tests.sandbox.ews import ANNA, BEN, CARA, Ews, M, S, T, exchange, names

A = "{http://schemas.microsoft.com/exchange/2010/Autodiscover}"


@pytest.fixture(scope="module")
def served() -> Iterator[ExchangeServer]:
    with exchange() as server:
        server.add_room_list("rooms@corp.example", [CARA])
        server.save_snapshot()
        yield server


@pytest.fixture
def ews(served: ExchangeServer) -> Iterator[Ews]:
    served.clock.fix("2026-06-01T08:00:00Z")
    served.restore_snapshot()
    with Ews(served) as client:
        yield client


# -- ResolveNames -----------------------------------------------------------------------------------------------------------


def resolve(entry: str, attributes: str = 'ReturnFullContactData="true"') -> str:
    return f"<m:ResolveNames {attributes}><m:UnresolvedEntry>{entry}</m:UnresolvedEntry></m:ResolveNames>"


def test_one_hit_is_a_success_with_the_directory_address(ews: Ews) -> None:
    found = ews.one(resolve("ben")).find(f"{M}ResolutionSet")
    assert (found.get("TotalItemsInView"), found.get("IncludesLastItemInRange")) == ("1", "true")
    assert found.findtext(f".//{T}Mailbox/{T}EmailAddress") == BEN
    assert found.findtext(f".//{T}Contact/{T}EmailAddresses/{T}Entry") == f"SMTP:{BEN}"


def test_no_hit_is_an_error_and_several_are_a_warning_with_all(ews: Ews) -> None:
    ews.server.call(ews.server.create_contact, ANNA, given_name="Ben", surname="Zulu", emails=["bz@other.example"])
    assert ews.code(resolve("nobody")) == "ErrorNameResolutionNoResults"
    message = ews.messages(resolve("ben", ""))[0]
    assert (message.get("ResponseClass"), message.findtext(f"{M}ResponseCode")) == (
        "Warning",
        "ErrorNameResolutionMultipleResults",
    )
    found = message.findall(f".//{T}Mailbox")
    assert [one.findtext(f"{T}MailboxType") for one in found] == ["Mailbox", "Contact"]
    assert found[1].find(f"{T}ItemId") is not None


def test_no_more_than_a_hundred_candidates_are_told(ews: Ews) -> None:
    for number in range(105):
        ews.server.call(ews.server.create_contact, ANNA, given_name="Many", surname=f"S{number}")
    found = ews.messages(resolve("many"))[0].find(f"{M}ResolutionSet")
    assert (len(found), found.get("IncludesLastItemInRange")) == (100, "false")


def test_rooms_are_listed_by_room_list(ews: Ews) -> None:
    lists = ews.call("<m:GetRoomLists/>")
    assert lists.findtext(f".//{T}EmailAddress") == "rooms@corp.example"
    rooms = ews.call(
        "<m:GetRooms><m:RoomList><t:EmailAddress>rooms@corp.example</t:EmailAddress></m:RoomList></m:GetRooms>"
    )
    assert rooms.findtext(f".//{T}Room/{T}Id/{T}EmailAddress") == CARA
    unknown = ews.call(
        "<m:GetRooms><m:RoomList><t:EmailAddress>x@corp.example</t:EmailAddress></m:RoomList></m:GetRooms>"
    )
    assert unknown.findtext(f"{M}ResponseCode") == "ErrorNameResolutionNoResults"


# -- availability --------------------------------------------------------------------------------------------------------------

PACIFIC = """<t:TimeZone><t:Bias>480</t:Bias><t:StandardTime><t:Bias>0</t:Bias><t:Time>02:00:00</t:Time><t:DayOrder>1</t:DayOrder>
<t:Month>11</t:Month><t:DayOfWeek>Sunday</t:DayOfWeek></t:StandardTime><t:DaylightTime><t:Bias>-60</t:Bias><t:Time>02:00:00</t:Time>
<t:DayOrder>2</t:DayOrder><t:Month>3</t:Month><t:DayOfWeek>Sunday</t:DayOfWeek></t:DaylightTime></t:TimeZone>"""


def availability(
    *addresses: str,
    view: str = "DetailedMerged",
    start: str = "2026-06-02T00:00:00",
    end: str = "2026-06-03T00:00:00",
    interval: int = 60,
) -> str:
    data = "".join(
        f"<t:MailboxData><t:Email><t:Address>{one}</t:Address></t:Email><t:AttendeeType>Required</t:AttendeeType></t:MailboxData>"
        for one in addresses
    )
    options = f"<t:FreeBusyViewOptions><t:TimeWindow><t:StartTime>{start}</t:StartTime><t:EndTime>{end}</t:EndTime></t:TimeWindow><t:MergedFreeBusyIntervalInMinutes>{interval}</t:MergedFreeBusyIntervalInMinutes><t:RequestedView>{view}</t:RequestedView></t:FreeBusyViewOptions>"
    return f"<m:GetUserAvailabilityRequest>{PACIFIC}<m:MailboxDataArray>{data}</m:MailboxDataArray>{options}</m:GetUserAvailabilityRequest>"


def views(ews: Ews, body: str) -> list[Any]:
    return list(ews.call(body).find(f"{M}FreeBusyResponseArray"))


def test_free_busy_is_told_in_the_zone_of_the_request_with_digits_per_interval(ews: Ews) -> None:
    make = ews.server.create_event
    ews.server.call(make, ANNA, subject="Busy", start="2026-06-02T18:00:00+00:00", end="2026-06-02T19:30:00+00:00")
    ews.server.call(
        make, ANNA, subject="Away", start="2026-06-02T21:00:00+00:00", end="2026-06-02T22:00:00+00:00", show_as="OOF"
    )
    ews.server.call(
        make,
        ANNA,
        subject="Maybe",
        start="2026-06-02T21:30:00+00:00",
        end="2026-06-02T23:00:00+00:00",
        show_as="Tentative",
    )
    view = views(ews, availability(ANNA))[0].find(f"{M}FreeBusyView")
    assert view.findtext(f"{T}MergedFreeBusy") == "0" * 11 + "22" + "0" + "31" + "0" * 8
    first = view.find(f"{T}CalendarEventArray/{T}CalendarEvent")
    assert (first.findtext(f"{T}StartTime"), first.findtext(f"{T}BusyType")) == ("2026-06-02T11:00:00-07:00", "Busy")
    assert first.findtext(f".//{T}Subject") == "Busy"
    assert names(view) == ["FreeBusyViewType", "MergedFreeBusy", "CalendarEventArray", "WorkingHours"]


def test_strangers_see_free_busy_only_and_readers_see_details_but_not_of_private_events(ews: Ews) -> None:
    ews.server.call(
        ews.server.create_event, BEN, subject="Doctor", sensitivity="Private", start="2026-06-02T18:00:00+00:00"
    )
    view = views(ews, availability(BEN))[0].find(f"{M}FreeBusyView")
    assert view.findtext(f"{T}FreeBusyViewType") == "FreeBusyMerged"
    assert view.find(f".//{T}CalendarEventDetails") is None
    ews.server.call(ews.server.grant, BEN, ANNA, "Reviewer")
    details = views(ews, availability(BEN))[0].find(f".//{T}CalendarEventDetails")
    assert details.find(f"{T}Subject") is None
    assert details.findtext(f"{T}IsPrivate") == "true"


def test_an_unknown_address_fails_alone(ews: Ews) -> None:
    answers = views(ews, availability(ANNA, "x@y.example"))
    codes = [one.findtext(f"{M}ResponseMessage/{M}ResponseCode") for one in answers]
    assert codes == ["NoError", "ErrorMailRecipientNotFound"]
    assert answers[1].findtext(f"{M}FreeBusyView/{T}FreeBusyViewType") == "None"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (availability(ANNA, end="2026-06-01T00:00:00"), "ErrorInvalidTimeInterval"),
        (availability(ANNA, end="2026-09-01T00:00:00"), "ErrorTimeIntervalTooBig"),
        (availability(ANNA, interval=4), "ErrorInvalidMergedFreeBusyInterval"),
        (availability(ANNA, view="None"), "ErrorInvalidFreeBusyViewType"),
        (availability(ANNA, view="All"), "ErrorSchemaValidation"),
        (availability(), "ErrorIdentityArrayEmpty"),
        (availability(*[ANNA] * 101), "ErrorIdentityArrayTooBig"),
    ],
)
def test_impossible_availability_requests_are_faults(ews: Ews, body: str, code: str) -> None:
    assert ews.code(body) == f"fault {code}"


def test_automatic_replies_are_set_and_read_back(ews: Ews) -> None:
    who = f"<t:Mailbox><t:Address>{ANNA}</t:Address></t:Mailbox>"
    settings = "<t:UserOofSettings><t:OofState>Scheduled</t:OofState><t:ExternalAudience>Known</t:ExternalAudience><t:Duration><t:StartTime>2026-07-01T00:00:00Z</t:StartTime><t:EndTime>2026-07-08T00:00:00Z</t:EndTime></t:Duration><t:InternalReply><t:Message>Away</t:Message></t:InternalReply><t:ExternalReply><t:Message>Gone</t:Message></t:ExternalReply></t:UserOofSettings>"
    done = ews.call(f"<m:SetUserOofSettingsRequest>{who}{settings}</m:SetUserOofSettingsRequest>")
    assert done.find(f"{M}ResponseMessage").get("ResponseClass") == "Success"
    oof = ews.call(f"<m:GetUserOofSettingsRequest>{who}</m:GetUserOofSettingsRequest>").find(f"{T}OofSettings")
    assert (oof.findtext(f"{T}OofState"), oof.findtext(f"{T}Duration/{T}EndTime")) == (
        "Scheduled",
        "2026-07-08T00:00:00Z",
    )
    bens = ews.call(f"<m:GetUserOofSettingsRequest>{who.replace(ANNA, BEN)}</m:GetUserOofSettingsRequest>")
    assert bens.findtext(f"{M}ResponseMessage/{M}ResponseCode") == "ErrorAccessDenied"


# -- notifications ----------------------------------------------------------------------------------------------------------------

EVENTS = "".join(
    f"<t:EventType>{name}Event</t:EventType>" for name in ("Created", "Modified", "Moved", "Deleted", "NewMail")
)


def pull(folder: str = "calendar", timeout: int = 10) -> str:
    return f'<m:Subscribe><m:PullSubscriptionRequest><t:FolderIds><t:DistinguishedFolderId Id="{folder}"/></t:FolderIds><t:EventTypes>{EVENTS}</t:EventTypes><t:Timeout>{timeout}</t:Timeout></m:PullSubscriptionRequest></m:Subscribe>'


def events(subscription: str, watermark: str) -> str:
    return f"<m:GetEvents><m:SubscriptionId>{subscription}</m:SubscriptionId><m:Watermark>{watermark}</m:Watermark></m:GetEvents>"


def test_a_pull_tells_what_happened_after_the_watermark(ews: Ews) -> None:
    made = ews.one(pull())
    subscription, watermark = made.findtext(f"{M}SubscriptionId"), made.findtext(f"{M}Watermark")
    identifier, key = ews.event("Watched")
    ews.set_subject(identifier, key, "Watched still")
    ews.one(ews.delete(identifier))
    told = ews.one(events(subscription, watermark)).find(f"{M}Notification")
    assert names(told) == [
        "SubscriptionId",
        "PreviousWatermark",
        "MoreEvents",
        "CreatedEvent",
        "ModifiedEvent",
        "MovedEvent",
    ]
    assert names(told[-1]) == ["Watermark", "TimeStamp", "ItemId", "ParentFolderId", "OldItemId", "OldParentFolderId"]
    assert told[-1].find(f"{T}OldItemId").get("Id") == identifier
    after = told[-1].findtext(f"{T}Watermark")
    again = ews.one(events(subscription, after)).find(f"{M}Notification")
    assert names(again) == ["SubscriptionId", "PreviousWatermark", "MoreEvents", "StatusEvent"]


def test_a_pull_gives_fifty_events_and_says_that_there_are_more(ews: Ews) -> None:
    made = ews.one(pull())
    for number in range(60):
        ews.server.call(ews.server.create_event, ANNA, subject=str(number), start="2026-06-02T09:00")
    told = ews.one(events(made.findtext(f"{M}SubscriptionId"), made.findtext(f"{M}Watermark"))).find(f"{M}Notification")
    assert (len(told.findall(f"{T}CreatedEvent")), told.findtext(f"{T}MoreEvents")) == (50, "true")


def test_new_mail_is_an_event_of_the_inbox(ews: Ews) -> None:
    made = ews.one(pull("inbox"))
    ews.server.call(
        ews.server.create_event, BEN, subject="Call", start="2026-06-02T09:00", attendees=[ANNA], send="SendOnlyToAll"
    )
    told = ews.one(events(made.findtext(f"{M}SubscriptionId"), made.findtext(f"{M}Watermark"))).find(f"{M}Notification")
    assert names(told)[3:] == ["CreatedEvent", "NewMailEvent", "ModifiedEvent"]
    assert told[-1].findtext(f"{T}UnreadCount") == "1"


def test_subscriptions_fail_as_documented(ews: Ews) -> None:
    made = ews.one(pull(timeout=1))
    subscription, watermark = made.findtext(f"{M}SubscriptionId"), made.findtext(f"{M}Watermark")
    assert ews.code(events("bm9uZQ==", watermark)) == "ErrorSubscriptionNotFound"
    assert ews.code(events(subscription, "AAAA")) == "ErrorInvalidWatermark"
    with Ews(ews.server, BEN) as ben:
        assert ben.code(events(subscription, watermark)) == "ErrorSubscriptionAccessDenied"
    ews.server.clock.move(minutes=2)
    assert ews.code(events(subscription, watermark)) == "ErrorExpiredSubscription"
    assert (
        ews.code(f"<m:Unsubscribe><m:SubscriptionId>{subscription}</m:SubscriptionId></m:Unsubscribe>")
        == "ErrorSubscriptionNotFound"
    )
    assert ews.code(pull(timeout=0)) == "fault ErrorSchemaValidation"
    assert (
        ews.code(pull().replace("PullSubscriptionRequest", "PushSubscriptionRequest")) == "fault ErrorInvalidOperation"
    )


def test_a_stream_tells_events_and_closes_when_its_time_is_over(ews: Ews) -> None:
    request = f'<m:Subscribe><m:StreamingSubscriptionRequest><t:FolderIds><t:DistinguishedFolderId Id="calendar"/></t:FolderIds><t:EventTypes>{EVENTS}</t:EventTypes></m:StreamingSubscriptionRequest></m:Subscribe>'
    subscription = ews.one(request).findtext(f"{M}SubscriptionId")
    listen = f"<m:GetStreamingEvents><m:SubscriptionIds><t:SubscriptionId>{subscription}</t:SubscriptionId></m:SubscriptionIds><m:ConnectionTimeout>1</m:ConnectionTimeout></m:GetStreamingEvents>"
    headers = {"Content-Type": "text/xml; charset=utf-8"}
    documents: list[Any] = []
    with ews.http.stream("POST", "/EWS/Exchange.asmx", content=ews.envelope(listen), headers=headers) as response:
        text = b""
        for chunk in response.iter_bytes():
            text += chunk
            while b"</s:Envelope>" in text:
                document, _, text = text.partition(b"</s:Envelope>")
                documents.append(etree.fromstring(document + b"</s:Envelope>"))
                if len(documents) == 1:
                    ews.server.call(ews.server.create_event, ANNA, subject="Live", start="2026-06-02T09:00")
                elif len(documents) == 2:
                    ews.server.clock.move(minutes=2)
    statuses = [document.findtext(f".//{M}ConnectionStatus") for document in documents]
    assert statuses == ["OK", None, "Closed"]
    assert names(documents[1].find(f".//{M}Notification")) == ["SubscriptionId", "CreatedEvent"]
    unknown = ews.messages(listen.replace(subscription, "bm9uZQ=="))[0]
    assert unknown.findtext(f"{M}ResponseCode") == "ErrorSubscriptionNotFound"
    assert unknown.findtext(f"{M}ConnectionStatus") == "Closed"


# -- zones, ids, user configurations --------------------------------------------------------------------------------------------------


def test_zones_are_told_by_windows_id_with_their_rules(ews: Ews) -> None:
    body = '<m:GetServerTimeZones ReturnFullTimeZoneData="true"><m:Ids><t:Id>W. Europe Standard Time</t:Id><t:Id>India Standard Time</t:Id><t:Id>Atlantis</t:Id></m:Ids></m:GetServerTimeZones>'
    europe, india = ews.one(body).find(f"{M}TimeZoneDefinitions")
    assert [period.get("Bias") for period in europe.iter(f"{T}Period")] == ["-PT1H", "-PT2H"]
    assert [period.get("Bias") for period in india.iter(f"{T}Period")] == ["-PT5H30M"]
    assert [node.text for node in europe.iter(f"{T}Month")] == ["3", "10"]
    everything = ews.one('<m:GetServerTimeZones ReturnFullTimeZoneData="false"/>').find(f"{M}TimeZoneDefinitions")
    assert len(everything) > 130
    assert all(len(zone) == 0 for zone in everything)


def test_a_zone_sent_by_its_rules_is_recognised(ews: Ews) -> None:
    zone = '<t:StartTimeZone Id="Custom" Name="mine"><t:Periods><t:Period Bias="-PT1H" Name="Standard" Id="s"/><t:Period Bias="-PT2H" Name="Daylight" Id="d"/></t:Periods><t:TransitionsGroups><t:TransitionsGroup Id="0"><t:RecurringDayTransition><t:To Kind="Period">d</t:To><t:TimeOffset>PT2H</t:TimeOffset><t:Month>3</t:Month><t:DayOfWeek>Sunday</t:DayOfWeek><t:Occurrence>-1</t:Occurrence></t:RecurringDayTransition><t:RecurringDayTransition><t:To Kind="Period">s</t:To><t:TimeOffset>PT3H</t:TimeOffset><t:Month>10</t:Month><t:DayOfWeek>Sunday</t:DayOfWeek><t:Occurrence>-1</t:Occurrence></t:RecurringDayTransition></t:TransitionsGroup></t:TransitionsGroups></t:StartTimeZone>'
    identifier, _ = ews.event(
        start="<t:Start>2026-07-01T09:00:00</t:Start>", end="<t:End>2026-07-01T10:00:00</t:End>", after=zone
    )
    assert ews.get(identifier, "calendar:Start").findtext(f"{T}Start") == "2026-07-01T07:00:00Z"


@pytest.mark.parametrize("form", ["EwsLegacyId", "EwsId", "EntryId", "HexEntryId", "StoreId", "OwaId"])
def test_ids_are_converted_there_and_back(ews: Ews, form: str) -> None:
    identifier, _ = ews.event()

    def convert(text: str, source: str, wanted: str) -> Any:
        return ews.one(
            f'<m:ConvertId DestinationFormat="{wanted}"><m:SourceIds><t:AlternateId Format="{source}" Id="{text}" Mailbox="{ANNA}"/></m:SourceIds></m:ConvertId>'
        )[-1]

    there = convert(identifier, "EwsId", form)
    assert there.get("Mailbox") == ANNA
    assert there.get("{http://www.w3.org/2001/XMLSchema-instance}type") == "t:AlternateIdType"
    assert convert(there.get("Id"), form, "EwsId").get("Id") == identifier


def test_the_zone_of_a_mailbox_is_in_its_web_options(ews: Ews) -> None:
    body = '<m:GetUserConfiguration><m:UserConfigurationName Name="{name}"><t:DistinguishedFolderId Id="root"/></m:UserConfigurationName><m:UserConfigurationProperties>All</m:UserConfigurationProperties></m:GetUserConfiguration>'
    options = ews.one(body.format(name="OWA.UserOptions")).find(f"{M}UserConfiguration")
    entry = [node.text for node in options.iter(f"{T}Value")]
    assert entry == ["timezone", "W. Europe Standard Time"]
    assert ews.code(body.format(name="Other")) == "ErrorItemNotFound"


# -- autodiscover ---------------------------------------------------------------------------------------------------------------------------


def test_autodiscover_over_soap_gives_the_endpoint_of_the_mailbox(ews: Ews) -> None:
    def ask(address: str) -> Any:
        request = f'<a:GetUserSettingsRequestMessage xmlns:a="{A[1:-1]}"><a:Request><a:Users><a:User><a:Mailbox>{address}</a:Mailbox></a:User></a:Users><a:RequestedSettings><a:Setting>ExternalEwsUrl</a:Setting><a:Setting>InternalOABUrl</a:Setting></a:RequestedSettings></a:Request></a:GetUserSettingsRequestMessage>'
        response = ews.http.post(
            "/autodiscover/autodiscover.svc", content=ews.envelope(request), headers={"Content-Type": "text/xml"}
        )
        return (
            etree.fromstring(response.content).find(f"{S}Body")[0].find(f"{A}Response/{A}UserResponses/{A}UserResponse")
        )

    known = ask(ANNA)
    assert known.findtext(f"{A}UserSettings/{A}UserSetting/{A}Value") == f"{ews.server.url}/EWS/Exchange.asmx"
    assert known.findtext(f"{A}UserSettingErrors/{A}UserSettingError/{A}ErrorCode") == "SettingIsNotAvailable"
    assert ask("x@corp.example").findtext(f"{A}ErrorCode") == "InvalidUser"


def test_autodiscover_in_plain_xml_gives_the_endpoint_or_an_error(ews: Ews) -> None:
    outlook = "http://schemas.microsoft.com/exchange/autodiscover/outlook"

    def ask(address: str, schema: str = f"{outlook}/responseschema/2006a") -> str:
        request = f'<Autodiscover xmlns="{outlook}/requestschema/2006"><Request><EMailAddress>{address}</EMailAddress><AcceptableResponseSchema>{schema}</AcceptableResponseSchema></Request></Autodiscover>'
        response: httpx.Response = ews.http.post(
            "/Autodiscover/Autodiscover.xml", content=request, headers={"Content-Type": "text/xml"}
        )
        return response.text

    assert f"<EwsUrl>{ews.server.url}/EWS/Exchange.asmx</EwsUrl>" in ask(ANNA)
    assert "<ErrorCode>500</ErrorCode>" in ask("x@corp.example")
    assert "<ErrorCode>601</ErrorCode>" in ask(ANNA, "urn:other")
    assert "<ErrorCode>600</ErrorCode>" in ask("")
