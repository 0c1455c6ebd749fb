"""Items over plain SOAP: creating, reading, updating, deleting, and the error of each mistake."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest

from sandbox.exchange import ExchangeServer
from tests.sandbox.ews import (
    ANNA,
    BEN,
    LINK,
    E,
    Ews,
    Fault,
    M,
    T,
    attendees,
    event,
    exchange,
    find,
    names,
    set_field,
    shape,
)


@pytest.fixture(scope="module")
def served() -> Iterator[ExchangeServer]:
    with exchange() as server:
        server.save_snapshot()
        yield server


@pytest.fixture
def ews(served: ExchangeServer) -> Iterator[Ews]:
    served.restore_snapshot()
    with Ews(served) as client:
        yield client


# -- creating and reading -----------------------------------------------------------------------------------------------


def test_an_event_is_read_back_with_the_defaults_of_exchange(ews: Ews) -> None:
    identifier, key = ews.event("Plain")
    item = ews.get(identifier, base="AllProperties")
    read = {name: item.findtext(f"{T}{name}") for name in names(item)}
    assert item.find(f"{T}ItemId").get("ChangeKey") == key
    assert read["Start"] == "2026-06-02T09:00:00Z"
    assert read["UID"].startswith("040000008200E00074C5B7101A82E008")
    assert {name: read[name] for name in ("Sensitivity", "Importance", "IsAllDayEvent", "LegacyFreeBusyStatus")} == {
        "Sensitivity": "Normal", "Importance": "Normal", "IsAllDayEvent": "false", "LegacyFreeBusyStatus": "Busy",
    }  # fmt: skip
    assert (read["MyResponseType"], read["IsMeeting"], read["CalendarItemType"]) == ("Organizer", "false", "Single")
    assert item.findtext(f"{T}Organizer/{T}Mailbox/{T}EmailAddress") == ANNA
    assert item.findtext(f"{T}EffectiveRights/{T}Modify") == "true"
    assert read["DateTimeCreated"] == "2026-06-01T08:00:00Z"


def test_an_event_without_an_end_lasts_half_an_hour(ews: Ews) -> None:
    identifier, _ = ews.event(end="")
    assert ews.get(identifier, "calendar:End").findtext(f"{T}End") == "2026-06-02T09:30:00Z"


def test_an_end_before_the_start_is_refused(ews: Ews) -> None:
    body = f'<m:CreateItem SendMeetingInvitations="SendToNone"><m:Items>{event(end="<t:End>2026-06-02T08:00:00Z</t:End>")}</m:Items></m:CreateItem>'
    assert ews.code(body) == "ErrorCalendarEndDateIsEarlierThanStartDate"


def test_a_time_without_offset_is_read_in_the_zone_of_the_item_else_of_the_request(ews: Ews) -> None:
    naive = {"start": "<t:Start>2026-07-01T09:00:00</t:Start>", "end": "<t:End>2026-07-01T10:00:00</t:End>"}
    zoned, _ = ews.event(**naive, after='<t:StartTimeZone Id="Pacific Standard Time"/>')
    ews.header = '<t:TimeZoneContext><t:TimeZoneDefinition Id="W. Europe Standard Time"/></t:TimeZoneContext>'
    in_context, _ = ews.event(**naive)
    ews.header = ""
    bare, _ = ews.event(**naive)
    starts = [ews.get(one, "calendar:Start").findtext(f"{T}Start") for one in (zoned, in_context, bare)]
    assert starts == ["2026-07-01T16:00:00Z", "2026-07-01T07:00:00Z", "2026-07-01T09:00:00Z"]


@pytest.mark.parametrize(
    ("zone", "start", "end"),
    [
        ("W. Europe Standard Time", "2026-07-01T22:00:00Z", "2026-07-02T22:00:00Z"),
        ("New Zealand Standard Time", "2026-07-01T12:00:00Z", "2026-07-02T12:00:00Z"),
        ("Hawaiian Standard Time", "2026-07-01T10:00:00Z", "2026-07-03T10:00:00Z"),
    ],
)
def test_all_day_events_are_snapped_to_midnights_of_their_zone(ews: Ews, zone: str, start: str, end: str) -> None:
    identifier, _ = ews.event(
        start="<t:Start>2026-07-02T07:00:00Z</t:Start>",
        end="<t:End>2026-07-02T11:00:00Z</t:End>",
        after=f'<t:IsAllDayEvent>true</t:IsAllDayEvent><t:StartTimeZone Id="{zone}"/>',
    )
    item = ews.get(identifier, "calendar:Start", "calendar:End")
    assert (item.findtext(f"{T}Start"), item.findtext(f"{T}End")) == (start, end)


@pytest.mark.parametrize(("text", "value"), [("1", "true"), ("true", "true"), ("0", "false"), ("false", "false")])
def test_booleans_are_read_as_digits_and_words_and_written_as_words(ews: Ews, text: str, value: str) -> None:
    identifier, _ = ews.event(after=f"<t:IsAllDayEvent>{text}</t:IsAllDayEvent>")
    assert ews.get(identifier, "calendar:IsAllDayEvent").findtext(f"{T}IsAllDayEvent") == value


def test_mime_content_alone_makes_an_event(ews: Ews) -> None:
    ics = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:u-1\r\nSUMMARY:From a file\\, folded\r\n"
    ics += "DTSTART;TZID=W. Europe Standard Time:20260702T090000\r\nDTEND:20260702T080000Z\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    content = base64.b64encode(ics.encode()).decode()
    identifier, _ = ews.create(f"<t:CalendarItem><t:MimeContent>{content}</t:MimeContent></t:CalendarItem>")
    item = ews.get(identifier, "item:Subject", "calendar:Start", "calendar:UID", "item:MimeContent")
    assert (item.findtext(f"{T}Subject"), item.findtext(f"{T}UID")) == ("From a file, folded", "u-1")
    assert item.findtext(f"{T}Start") == "2026-07-02T07:00:00Z"
    written = base64.b64decode(item.findtext(f"{T}MimeContent")).decode()
    assert written.count("BEGIN:VTIMEZONE") == written.count("BEGIN:VEVENT") == 1


def test_illegal_mime_content_is_refused(ews: Ews) -> None:
    content = base64.b64encode(b"BEGIN:NOTHING").decode()
    item = f"<t:CalendarItem><t:MimeContent>{content}</t:MimeContent></t:CalendarItem>"
    body = f'<m:CreateItem SendMeetingInvitations="SendToNone"><m:Items>{item}</m:Items></m:CreateItem>'
    assert ews.code(body) == "ErrorMimeContentInvalid"


def test_the_default_shape_is_the_documented_one(ews: Ews) -> None:
    identifier, _ = ews.event(after="<t:Location>Oslo</t:Location>")
    assert names(ews.get(identifier, base="Default")) == [
        "ItemId", "Subject", "ResponseObjects", "HasAttachments", "IsAssociated", "Start", "End", "LegacyFreeBusyStatus",
        "Location", "CalendarItemType", "Organizer",
    ]  # fmt: skip


def test_properties_newer_than_the_requested_version_are_not_in_its_replies(ews: Ews) -> None:
    identifier, _ = ews.event(after='<t:StartTimeZone Id="W. Europe Standard Time"/>')
    ews.version = "Exchange2007_SP1"
    old = names(ews.get(identifier, base="AllProperties"))
    assert not {"StartTimeZone", "EndTimeZone", "ConversationId", "IsAssociated", "ReminderNextTime"} & set(old)
    assert {"Start", "End", "UID"} <= set(old)


def test_bodies_come_in_the_type_asked_for(ews: Ews) -> None:
    identifier, _ = ews.event(before='<t:Body BodyType="HTML">&lt;p&gt;Hi &amp;amp; bye&lt;/p&gt;</t:Body>')
    text = ews.one(
        f"<m:GetItem><m:ItemShape><t:BaseShape>IdOnly</t:BaseShape><t:BodyType>Text</t:BodyType><t:AdditionalProperties>"
        f'<t:FieldURI FieldURI="item:Body"/></t:AdditionalProperties></m:ItemShape><m:ItemIds><t:ItemId Id="{identifier}"/>'
        "</m:ItemIds></m:GetItem>"
    ).find(f".//{T}Body")
    assert (text.get("BodyType"), text.text) == ("Text", "Hi & bye")


# -- ids ----------------------------------------------------------------------------------------------------------------


def get(reference: str) -> str:
    return f"<m:GetItem>{shape()}<m:ItemIds>{reference}</m:ItemIds></m:GetItem>"


def test_ids_are_told_apart(ews: Ews) -> None:
    identifier, _ = ews.event()
    folder = (
        ews.one(
            "<m:GetFolder><m:FolderShape><t:BaseShape>IdOnly</t:BaseShape></m:FolderShape><m:FolderIds>"
            '<t:DistinguishedFolderId Id="calendar"/></m:FolderIds></m:GetFolder>'
        )
        .find(f".//{T}FolderId")
        .get("Id")
    )
    assert ews.code(get(f'<t:ItemId Id="{identifier.swapcase()}"/>')) == "ErrorInvalidIdMalformed"
    assert ews.code(get('<t:ItemId Id="not base64!"/>')) == "ErrorInvalidIdMalformed"
    assert ews.code(get('<t:ItemId Id=""/>')) == "ErrorInvalidIdEmpty"
    assert ews.code(get(f'<t:ItemId Id="{folder}"/>')) == "ErrorCannotUseFolderIdForItemId"
    assert ews.code(get(f'<t:ItemId Id="{identifier}" ChangeKey="AAAA"/>')) == "ErrorInvalidChangeKey"
    ews.one(ews.delete(identifier, "HardDelete"))
    assert ews.code(get(f'<t:ItemId Id="{identifier}"/>')) == "ErrorItemNotFound"


def test_an_error_message_has_the_documented_order_and_an_empty_container(ews: Ews) -> None:
    message = ews.messages(get('<t:ItemId Id="AAAA"/>'))[0]
    assert names(message) == ["MessageText", "ResponseCode", "DescriptiveLinkKey", "Items"]
    assert message.get("ResponseClass") == "Error"
    assert len(message.find(f"{M}Items")) == 0


def test_each_item_of_a_batch_has_its_own_answer(ews: Ews) -> None:
    identifier, _ = ews.event("Mine")
    answers = ews.messages(get(f'<t:ItemId Id="{identifier}"/><t:ItemId Id="AAAA"/><t:ItemId Id="{identifier}"/>'))
    assert [one.get("ResponseClass") for one in answers] == ["Success", "Error", "Success"]


# -- updating -------------------------------------------------------------------------------------------------------------


def test_every_write_gives_a_new_change_key(ews: Ews) -> None:
    identifier, key = ews.event()
    message = ews.set_subject(identifier, key, "Changed")
    changed = message.find(f".//{T}ItemId")
    assert changed.get("Id") == identifier
    assert changed.get("ChangeKey") != key
    assert names(message) == ["ResponseCode", "Items", "ConflictResults"]
    assert message.findtext(f"{M}ConflictResults/{T}Count") == "0"


@pytest.mark.parametrize(
    ("conflict", "code"),
    [
        ("NeverOverwrite", "ErrorIrresolvableConflict"),
        ("AutoResolve", "ErrorIrresolvableConflict"),
        ("AlwaysOverwrite", "NoError"),
    ],
)
def test_a_stale_change_key_is_a_conflict(ews: Ews, conflict: str, code: str) -> None:
    identifier, key = ews.event()
    ews.set_subject(identifier, key, "First")
    change = ews.update(
        identifier, key, set_field("item:Subject", "<t:Subject>Second</t:Subject>"), ConflictResolution=conflict
    )
    assert ews.code(change) == code
    expected = "Second" if code == "NoError" else "First"
    assert ews.get(identifier, "item:Subject").findtext(f"{T}Subject") == expected


def test_auto_resolve_can_be_switched_to_merge(ews: Ews) -> None:
    identifier, key = ews.event()
    ews.set_subject(identifier, key, "First")
    ews.server.condition("behaviour", auto_resolve="merge")
    try:
        ews.one(
            ews.update(
                identifier,
                key,
                set_field("calendar:Location", "<t:Location>X</t:Location>"),
                ConflictResolution="AutoResolve",
            )
        )
    finally:
        ews.server.condition("behaviour", auto_resolve="refuse")
    item = ews.get(identifier, "item:Subject", "calendar:Location")
    assert (item.findtext(f"{T}Subject"), item.findtext(f"{T}Location")) == ("First", "X")


def test_a_write_needs_a_change_key_even_to_overwrite(ews: Ews) -> None:
    identifier, _ = ews.event()
    change = ews.update(
        identifier, "", set_field("item:Subject", "<t:Subject>x</t:Subject>"), ConflictResolution="AlwaysOverwrite"
    )
    assert ews.code(change) == "ErrorChangeKeyRequiredForWriteOperations"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        (set_field("item:Subject", "<t:Location>x</t:Location>"), "ErrorUpdatePropertyMismatch"),
        (set_field("item:Subject", "<t:Subject>a</t:Subject><t:Location>x</t:Location>"), "ErrorIncorrectUpdatePropertyCount"),
        (set_field("item:Subject", ""), "ErrorIncorrectUpdatePropertyCount"),
        (set_field("item:Size", "<t:Size>5</t:Size>"), "ErrorInvalidPropertySet"),
        (set_field("item:Subject", "<t:Subject>a</t:Subject>", "Contact"), "ErrorObjectTypeChanged"),
        ('<t:DeleteItemField><t:FieldURI FieldURI="calendar:Start"/></t:DeleteItemField>', "ErrorInvalidPropertyDelete"),
        ('<t:DeleteItemField><t:FieldURI FieldURI="calendar:End"/></t:DeleteItemField>', "ErrorInvalidPropertyDelete"),
        ('<t:DeleteItemField><t:FieldURI FieldURI="item:ItemId"/></t:DeleteItemField>', "ErrorInvalidPropertyDelete"),
        ('<t:DeleteItemField><t:FieldURI FieldURI="contacts:Surname"/></t:DeleteItemField>', "ErrorInvalidPropertyDelete"),
        (
            '<t:AppendToItemField><t:FieldURI FieldURI="item:Subject"/><t:CalendarItem><t:Subject>x</t:Subject>'
            "</t:CalendarItem></t:AppendToItemField>",
            "ErrorInvalidPropertyAppend",
        ),
        (set_field("calendar:End", "<t:End>2026-06-02T01:00:00Z</t:End>"), "ErrorCalendarEndDateIsEarlierThanStartDate"),
        (set_field("item:Nonsense", "<t:Subject>x</t:Subject>"), "fault ErrorSchemaValidation"),
        (set_field("item:Sensitivity", "<t:Sensitivity>Secret</t:Sensitivity>"), "fault ErrorSchemaValidation"),
    ],
)  # fmt: skip
def test_a_wrong_update_is_refused_and_changes_nothing(ews: Ews, changes: str, code: str) -> None:
    identifier, key = ews.event("Before")
    assert ews.code(ews.update(identifier, key, changes)) == code
    item = ews.get(identifier, "item:Subject")
    assert (item.findtext(f"{T}Subject"), item.find(f"{T}ItemId").get("ChangeKey")) == ("Before", key)


def test_a_long_subject_is_cut_and_a_long_name_refused(ews: Ews) -> None:
    identifier, _ = ews.event("x" * 300)
    assert ews.get(identifier, "item:Subject").findtext(f"{T}Subject") == "x" * 255
    contact = f"<t:Contact><t:GivenName>{'x' * 256}</t:GivenName></t:Contact>"
    assert ews.code(f"<m:CreateItem><m:Items>{contact}</m:Items></m:CreateItem>") == "ErrorItemSavePropertyError"
    identifier, key = ews.create("<t:Contact><t:GivenName>Z</t:GivenName></t:Contact>")
    change = set_field("contacts:Surname", f"<t:Surname>{'x' * 256}</t:Surname>", "Contact")
    assert ews.code(ews.update(identifier, key, change)) == "ErrorPropertyUpdate"


def test_properties_that_the_server_does_not_keep_are_refused_by_name(ews: Ews) -> None:
    contact = "<t:Contact><t:ManagerMailbox/></t:Contact>"
    with pytest.raises(Fault, match="Setting contacts:ManagerMailbox is not implemented"):
        ews.call(f"<m:CreateItem><m:Items>{contact}</m:Items></m:CreateItem>")


@pytest.mark.parametrize(
    "pattern",
    [
        "<t:DailyRegeneration><t:Interval>3</t:Interval></t:DailyRegeneration>",
        "<t:WeeklyRecurrence><t:Interval>2</t:Interval><t:DaysOfWeek>Monday</t:DaysOfWeek></t:WeeklyRecurrence>",
    ],
)
def test_recurring_tasks_keep_their_rule(ews: Ews, pattern: str) -> None:
    span = "<t:NumberedRecurrence><t:StartDate>2026-06-01</t:StartDate><t:NumberOfOccurrences>4</t:NumberOfOccurrences></t:NumberedRecurrence>"
    task = f"<t:Task><t:Subject>T</t:Subject><t:Recurrence>{pattern}{span}</t:Recurrence></t:Task>"
    identifier, key = ews.create(task)
    shown = ews.get(identifier, "task:Recurrence", "task:IsRecurring")
    assert shown.findtext(f"{T}IsRecurring") == "true"
    rule = shown.find(f"{T}Recurrence")
    assert f"<t:{names(rule)[0]}><t:Interval>{rule[0].findtext(f'{T}Interval')}<" in pattern
    assert rule[1].findtext(f"{T}NumberOfOccurrences") == "4"
    ews.one(
        ews.update(identifier, key, '<t:DeleteItemField><t:FieldURI FieldURI="task:Recurrence"/></t:DeleteItemField>')
    )
    assert ews.get(identifier, "task:IsRecurring").findtext(f"{T}IsRecurring") == "false"


def test_fields_are_set_appended_and_deleted(ews: Ews) -> None:
    identifier, key = ews.event(before='<t:Body BodyType="Text">One.</t:Body>', after="<t:Location>Oslo</t:Location>")
    changes = (
        set_field("item:Categories", "<t:Categories><t:String>Red</t:String><t:String>Blue</t:String></t:Categories>")
        + '<t:DeleteItemField><t:FieldURI FieldURI="calendar:Location"/></t:DeleteItemField>'
        + '<t:AppendToItemField><t:FieldURI FieldURI="item:Body"/><t:CalendarItem><t:Body BodyType="Text"> Two.</t:Body>'
        "</t:CalendarItem></t:AppendToItemField>"
    )
    ews.one(ews.update(identifier, key, changes))
    item = ews.get(identifier, "item:Categories", "calendar:Location", "item:Body")
    assert [one.text for one in item.find(f"{T}Categories")] == ["Red", "Blue"]
    assert item.find(f"{T}Location") is None
    assert item.findtext(f"{T}Body") == "One. Two."


# -- attributes that calendar items need ------------------------------------------------------------------------------------


def test_the_mail_switch_is_required_for_calendar_items(ews: Ews) -> None:
    identifier, key = ews.event()
    creation = f"<m:CreateItem><m:Items>{event()}</m:Items></m:CreateItem>"
    change = ews.update(
        identifier, key, set_field("item:Subject", "<t:Subject>x</t:Subject>"), SendMeetingInvitationsOrCancellations=""
    )
    assert ews.code(creation) == "ErrorSendMeetingInvitationsRequired"
    assert ews.code(change) == "ErrorSendMeetingInvitationsOrCancellationsRequired"
    assert ews.code(ews.delete(identifier, send="")) == "ErrorSendMeetingCancellationsRequired"


def test_a_message_needs_a_disposition_and_recipients(ews: Ews) -> None:
    message = "<t:Message><t:Subject>x</t:Subject></t:Message>"
    assert ews.code(f"<m:CreateItem><m:Items>{message}</m:Items></m:CreateItem>") == "ErrorMessageDispositionRequired"
    send = f'<m:CreateItem MessageDisposition="SendOnly"><m:Items>{message}</m:Items></m:CreateItem>'
    assert ews.code(send) == "ErrorMissingRecipients"


def test_items_go_only_into_folders_of_their_class(ews: Ews) -> None:
    def create(item: str, folder: str) -> str:
        saved = f'<m:SavedItemFolderId><t:DistinguishedFolderId Id="{folder}"/></m:SavedItemFolderId>'
        return f'<m:CreateItem SendMeetingInvitations="SendToNone">{saved}<m:Items>{item}</m:Items></m:CreateItem>'

    assert ews.code(create(event(), "contacts")) == "ErrorCannotCreateCalendarItemInNonCalendarFolder"
    contact = "<t:Contact><t:GivenName>Z</t:GivenName></t:Contact>"
    assert ews.code(create(contact, "calendar")) == "ErrorCannotCreateContactInNonContactFolder"


def test_meeting_requests_cannot_be_created_directly(ews: Ews) -> None:
    body = '<m:CreateItem MessageDisposition="SaveOnly"><m:Items><t:MeetingRequest/></m:Items></m:CreateItem>'
    assert ews.code(body) == "ErrorInvalidItemForOperationCreateItem"


# -- deleting, moving, copying ----------------------------------------------------------------------------------------------


def test_deleting_to_the_bin_gives_a_new_id_there(ews: Ews) -> None:
    identifier, _ = ews.event("Binned")
    ews.one(ews.delete(identifier))
    assert ews.code(get(f'<t:ItemId Id="{identifier}"/>')) == "ErrorItemNotFound"
    binned = ews.find("item:Subject", folder="deleteditems")
    assert [one.findtext(f"{T}Subject") for one in binned] == ["Binned"]
    assert binned[0].find(f"{T}ItemId").get("Id") != identifier


@pytest.mark.parametrize(
    ("how", "folder", "count"),
    [("SoftDelete", "recoverableitemsdeletions", 1), ("HardDelete", "recoverableitemsdeletions", 0), ("HardDelete", "deleteditems", 0)],
)  # fmt: skip
def test_soft_delete_goes_to_recoverable_items_and_hard_delete_nowhere(
    ews: Ews, how: str, folder: str, count: int
) -> None:
    identifier, _ = ews.event()
    ews.one(ews.delete(identifier, how))
    assert len(ews.find(folder=folder)) == count


def test_moving_gives_a_new_id_and_copying_another_item(ews: Ews) -> None:
    identifier, _ = ews.event("Travelling")
    to = '<m:ToFolderId><t:DistinguishedFolderId Id="deleteditems"/></m:ToFolderId>'
    ids = f'<m:ItemIds><t:ItemId Id="{identifier}"/></m:ItemIds>'
    copied = ews.one(f"<m:CopyItem>{to}{ids}</m:CopyItem>").find(f".//{T}ItemId").get("Id")
    moved = ews.one(f"<m:MoveItem>{to}{ids}</m:MoveItem>").find(f".//{T}ItemId").get("Id")
    assert len({identifier, copied, moved}) == 3
    assert ews.find() == []
    assert len(ews.find(folder="deleteditems")) == 2


def test_new_ids_are_left_out_when_not_wanted_or_in_another_mailbox(ews: Ews) -> None:
    ews.server.call(ews.server.grant, BEN, ANNA, "Editor")
    identifier, _ = ews.event()
    ids = f'<m:ItemIds><t:ItemId Id="{identifier}"/></m:ItemIds>'
    bens = f'<t:DistinguishedFolderId Id="calendar"><t:Mailbox><t:EmailAddress>{BEN}</t:EmailAddress></t:Mailbox></t:DistinguishedFolderId>'
    quiet = f'<m:CopyItem><m:ToFolderId><t:DistinguishedFolderId Id="calendar"/></m:ToFolderId>{ids}<m:ReturnNewItemIds>false</m:ReturnNewItemIds></m:CopyItem>'
    assert len(ews.one(quiet).find(f"{M}Items")) == 0
    assert len(ews.one(f"<m:MoveItem><m:ToFolderId>{bens}</m:ToFolderId>{ids}</m:MoveItem>").find(f"{M}Items")) == 0
    assert len(ews.server.call(ews.server.items, BEN)) == 1


# -- extended properties ------------------------------------------------------------------------------------------------------


def prop(path: str, value: str) -> str:
    return f"<t:ExtendedProperty>{path}{value}</t:ExtendedProperty>"


def test_an_extended_property_is_set_read_searched_and_deleted(ews: Ews) -> None:
    identifier, key = ews.event(before=prop(LINK, "<t:Value>006ABC</t:Value>"))
    ews.event("Without")
    read = ews.get(identifier, extra=LINK.replace("c11ff724", "C11FF724"))
    assert read.findtext(f"{T}ExtendedProperty/{T}Value") == "006ABC"
    where = f'<m:Restriction><t:IsEqualTo>{LINK}<t:FieldURIOrConstant><t:Constant Value="006ABC"/></t:FieldURIOrConstant></t:IsEqualTo></m:Restriction>'
    assert [one.find(f"{T}ItemId").get("Id") for one in ews.find(middle=where)] == [identifier]
    ews.one(ews.update(identifier, key, f"<t:DeleteItemField>{LINK}</t:DeleteItemField>"))
    assert ews.get(identifier, extra=LINK).find(f"{T}ExtendedProperty") is None


def test_array_and_number_properties_keep_their_values(ews: Ews) -> None:
    tags = LINK.replace('"link"', '"tags"').replace('"String"', '"StringArray"')
    count = (
        '<t:ExtendedFieldURI DistinguishedPropertySetId="PublicStrings" PropertyName="count" PropertyType="Integer"/>'
    )
    identifier, _ = ews.event(
        before=prop(tags, "<t:Values><t:Value>a</t:Value><t:Value>b</t:Value></t:Values>")
        + prop(count, "<t:Value>7</t:Value>")
    )
    item = ews.get(identifier, extra=tags + count)
    assert [node.text for node in item.iter(f"{T}Value")] == ["a", "b", "7"]


@pytest.mark.parametrize(
    ("path", "value", "code"),
    [
        ('<t:ExtendedFieldURI PropertyTag="0x5000" PropertyName="x" PropertyType="String"/>', "<t:Value>x</t:Value>", "ErrorInvalidExtendedProperty"),
        ('<t:ExtendedFieldURI PropertyName="x" PropertyType="String"/>', "<t:Value>x</t:Value>", "ErrorInvalidExtendedProperty"),
        (LINK.replace('PropertyName="link"', ""), "<t:Value>x</t:Value>", "ErrorInvalidExtendedProperty"),
        (LINK.replace("PropertySetId", 'DistinguishedPropertySetId="Common" PropertySetId'), "<t:Value>x</t:Value>", "ErrorInvalidExtendedProperty"),
        ('<t:ExtendedFieldURI PropertyTag="0x8001" PropertyType="String"/>', "<t:Value>x</t:Value>", "ErrorNoPropertyTagForCustomProperties"),
        (LINK.replace('"String"', '"Integer"'), "<t:Value>seven</t:Value>", "ErrorInvalidExtendedPropertyValue"),
        (LINK.replace('"String"', '"Boolean"'), "<t:Value>maybe</t:Value>", "ErrorInvalidExtendedPropertyValue"),
        (LINK.replace('"String"', '"StringArray"'), "<t:Value>x</t:Value>", "ErrorInvalidExtendedPropertyValue"),
        (LINK.replace('"String"', '"Object"'), "<t:Value>x</t:Value>", "ErrorUnsupportedMapiPropertyType"),
        (LINK.replace('"String"', '"Text"'), "<t:Value>x</t:Value>", "fault ErrorSchemaValidation"),
    ],
)  # fmt: skip
def test_a_wrong_extended_property_is_refused(ews: Ews, path: str, value: str, code: str) -> None:
    item = event(before=prop(path, value))
    assert (
        ews.code(f'<m:CreateItem SendMeetingInvitations="SendToNone"><m:Items>{item}</m:Items></m:CreateItem>') == code
    )


def test_known_tags_mirror_the_item(ews: Ews) -> None:
    identifier, _ = ews.event("Mirrored")
    subject = '<t:ExtendedFieldURI PropertyTag="0x0037" PropertyType="String"/>'
    decimal = '<t:ExtendedFieldURI PropertyTag="55" PropertyType="String"/>'
    item = ews.get(identifier, extra=subject + decimal)
    assert [node.text for node in item.iter(f"{T}Value")] == ["Mirrored", "Mirrored"]
    assert {node.get("PropertyTag") for node in item.iter(f"{T}ExtendedFieldURI")} == {"0x37"}


# -- attachments ----------------------------------------------------------------------------------------------------------------


def test_files_are_attached_read_and_detached(ews: Ews) -> None:
    identifier, key = ews.event()
    content = base64.b64encode(b"hello").decode()
    created = ews.one(
        f'<m:CreateAttachment><m:ParentItemId Id="{identifier}"/><m:Attachments><t:FileAttachment><t:Name>a.txt</t:Name>'
        f"<t:Content>{content}</t:Content></t:FileAttachment></m:Attachments></m:CreateAttachment>"
    ).find(f".//{T}AttachmentId")
    assert created.get("RootItemId") == identifier
    assert created.get("RootItemChangeKey") != key
    ids = f'<m:AttachmentIds><t:AttachmentId Id="{created.get("Id")}"/></m:AttachmentIds>'
    got = ews.one(f"<m:GetAttachment>{ids}</m:GetAttachment>")
    assert base64.b64decode(got.findtext(f".//{T}Content")) == b"hello"
    assert ews.get(identifier, "item:HasAttachments").findtext(f"{T}HasAttachments") == "true"
    ews.one(f"<m:DeleteAttachment>{ids}</m:DeleteAttachment>")
    assert ews.code(f"<m:GetAttachment>{ids}</m:GetAttachment>") == "ErrorItemNotFound"


# -- contacts ---------------------------------------------------------------------------------------------------------------------

CONTACT = """<t:Contact><t:GivenName>Zoë</t:GivenName><t:CompanyName>Fabrikam</t:CompanyName>
<t:EmailAddresses><t:Entry Key="EmailAddress1">zoe@fabrikam.example</t:Entry></t:EmailAddresses>
<t:PhysicalAddresses><t:Entry Key="Business"><t:Street>1 Main St</t:Street><t:City>Oslo</t:City></t:Entry></t:PhysicalAddresses>
<t:PhoneNumbers><t:Entry Key="MobilePhone">+47 1</t:Entry></t:PhoneNumbers><t:Surname>Quist</t:Surname></t:Contact>"""


def test_a_contact_keeps_addresses_and_phones_and_computes_names(ews: Ews) -> None:
    identifier, _ = ews.create(CONTACT)
    item = ews.get(identifier, base="AllProperties")
    assert item.findtext(f"{T}CompleteName/{T}FullName") == "Zoë Quist"
    assert item.findtext(f"{T}FileAs") == "Quist, Zoë"
    entry = item.find(f"{T}PhysicalAddresses/{T}Entry")
    assert (entry.get("Key"), names(entry)) == ("Business", ["Street", "City"])
    assert item.findtext(f"{T}PhoneNumbers/{T}Entry") == "+47 1"


def test_one_part_of_an_address_is_asked_for_changed_and_deleted(ews: Ews) -> None:
    identifier, key = ews.create(CONTACT)
    city = '<t:IndexedFieldURI FieldURI="contacts:PhysicalAddress:City" FieldIndex="Business"/>'
    mail = '<t:IndexedFieldURI FieldURI="contacts:EmailAddress" FieldIndex="EmailAddress1"/>'
    assert names(ews.get(identifier, extra=city).find(f"{T}PhysicalAddresses/{T}Entry")) == ["City"]
    moved = f'<t:SetItemField>{city}<t:Contact><t:PhysicalAddresses><t:Entry Key="Business"><t:City>Bergen</t:City></t:Entry></t:PhysicalAddresses></t:Contact></t:SetItemField>'
    ews.one(ews.update(identifier, key, f"{moved}<t:DeleteItemField>{mail}</t:DeleteItemField>"))
    item = ews.get(identifier, "contacts:PhysicalAddresses", "contacts:EmailAddresses")
    assert item.findtext(f".//{T}City") == "Bergen"
    assert item.findtext(f".//{T}Street") == "1 Main St"
    assert item.find(f"{T}EmailAddresses") is None


def test_a_label_that_no_contact_has_is_refused(ews: Ews) -> None:
    contact = CONTACT.replace("EmailAddress1", "EmailAddress4")
    assert ews.code(f"<m:CreateItem><m:Items>{contact}</m:Items></m:CreateItem>") == "fault ErrorSchemaValidation"


def test_distribution_lists_live_among_the_contacts(ews: Ews) -> None:
    member = (
        "<t:Member><t:Mailbox><t:Name>Z</t:Name><t:EmailAddress>z@x.example</t:EmailAddress></t:Mailbox></t:Member>"
    )
    identifier, _ = ews.create(
        f"<t:DistributionList><t:DisplayName>Buyers</t:DisplayName><t:Members>{member}</t:Members></t:DistributionList>"
    )
    assert names(ews.page(folder="contacts").find(f"{T}Items")) == ["DistributionList"]
    expanded = ews.one(f'<m:ExpandDL><m:Mailbox><t:ItemId Id="{identifier}"/></m:Mailbox></m:ExpandDL>').find(
        f"{M}DLExpansion"
    )
    assert (expanded.get("TotalItemsInView"), expanded.findtext(f".//{T}EmailAddress")) == ("1", "z@x.example")


# -- requests that the schema does not allow ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        "<m:GetItem><m:ItemIds/></m:GetItem>",
        f"<m:GetItem>{shape()}</m:GetItem>",
        f"<m:GetItem>{shape('Everything')}<m:ItemIds/></m:GetItem>",
        f"<m:GetItem>{shape('IdOnly', 'item:NoSuchThing')}<m:ItemIds/></m:GetItem>",
        '<m:DeleteItem DeleteType="Shred"><m:ItemIds/></m:DeleteItem>',
        "<m:DeleteItem><m:ItemIds/></m:DeleteItem>",
        '<m:CreateItem SendMeetingInvitations="Maybe"><m:Items/></m:CreateItem>',
        '<m:CreateItem SendMeetingInvitations="SendToNone"><m:Items><t:Banana/></m:Items></m:CreateItem>',
        '<m:CreateItem SendMeetingInvitations="SendToNone"><m:Items><t:CalendarItem><t:Banana/></t:CalendarItem></m:Items></m:CreateItem>',
        f'<m:CreateItem SendMeetingInvitations="SendToNone"><m:Items>{event(start="<t:Start>tomorrow</t:Start>")}</m:Items></m:CreateItem>',
        find(folder="nowhere"),
    ],
)  # fmt: skip
def test_a_request_against_the_schema_is_a_fault_with_line_and_violation(ews: Ews, body: str) -> None:
    with pytest.raises(Fault) as caught:
        ews.call(body)
    assert (caught.value.status, caught.value.code) == (500, "ErrorSchemaValidation")
    details = caught.value.root.find(f".//{T}MessageXml")
    assert names(details) == ["LineNumber", "LinePosition", "Violation"]
    assert caught.value.root.findtext(f".//{E}Message") == "The request failed schema validation."
    assert details.findtext(f"{T}Violation") in caught.value.text


def test_what_is_not_implemented_is_said_by_name(ews: Ews) -> None:
    with pytest.raises(Fault) as caught:
        ews.call("<m:FindPeople/>")
    assert caught.value.code == "ErrorInvalidOperation"
    assert "FindPeople is not implemented by the practice server" in (caught.value.text or "")
    with pytest.raises(Fault) as caught:
        ews.call("<m:FindNothing/>")
    assert caught.value.code == "ErrorSchemaValidation"


def test_attendees_make_a_meeting_and_have_no_response_yet(ews: Ews) -> None:
    identifier, _ = ews.event(after=attendees(BEN, "guest@other.example"))
    item = ews.get(identifier, "calendar:IsMeeting", "calendar:RequiredAttendees")
    assert item.findtext(f"{T}IsMeeting") == "true"
    assert [node.text for node in item.iter(f"{T}ResponseType")] == ["Unknown", "Unknown"]
    assert [node.text for node in item.iter(f"{T}MailboxType")] == ["Mailbox", "OneOff"]


@pytest.mark.parametrize(("disposition", "kept"), [("SendOnly", 0), ("SendAndSaveCopy", 1)])
def test_an_update_can_send_a_draft(ews: Ews, disposition: str, kept: int) -> None:
    """UpdateItem with a MessageDisposition that sends: the draft is changed, mailed and gone, and no id comes back."""
    to = f"<t:ToRecipients><t:Mailbox><t:EmailAddress>{BEN}</t:EmailAddress></t:Mailbox></t:ToRecipients>"
    draft = f"<t:Message><t:Subject>draft</t:Subject>{to}</t:Message>"
    saved = ews.call(f'<m:CreateItem MessageDisposition="SaveOnly"><m:Items>{draft}</m:Items></m:CreateItem>')
    one = saved.find(f".//{T}ItemId")
    subject = f"sent {disposition}"
    change = set_field("item:Subject", f"<t:Subject>{subject}</t:Subject>", kind="Message")
    sent = ews.call(
        f'<m:UpdateItem ConflictResolution="AutoResolve" MessageDisposition="{disposition}"><m:ItemChanges>'
        f'<t:ItemChange><t:ItemId Id="{one.get("Id")}" ChangeKey="{one.get("ChangeKey")}"/><t:Updates>{change}'
        "</t:Updates></t:ItemChange></m:ItemChanges></m:UpdateItem>"
    )
    assert sent.find(f".//{M}Items") is not None
    assert sent.find(f".//{T}ItemId") is None
    assert [mail.subject for mail in ews.server.outbox()][-1] == subject
    assert (
        ews.code(
            f'<m:GetItem><m:ItemShape><t:BaseShape>IdOnly</t:BaseShape></m:ItemShape><m:ItemIds><t:ItemId Id="{one.get("Id")}"/></m:ItemIds></m:GetItem>'
        )
        == "ErrorItemNotFound"
    )
    found = ews.call(
        '<m:FindItem Traversal="Shallow"><m:ItemShape><t:BaseShape>Default</t:BaseShape></m:ItemShape>'
        '<m:ParentFolderIds><t:DistinguishedFolderId Id="sentitems"/></m:ParentFolderIds></m:FindItem>'
    )
    assert [node.text for node in found.iter(f"{T}Subject")].count(subject) == kept


# -- out of the mailbox and back, and into the junk folder ---------------------------------------------------------------


def folder_id(ews: Ews, name: str) -> str:
    body = f'<m:FolderIds><t:DistinguishedFolderId Id="{name}"/></m:FolderIds>'
    shown = "<m:FolderShape><t:BaseShape>IdOnly</t:BaseShape></m:FolderShape>"
    found = ews.one(f"<m:GetFolder>{shown}{body}</m:GetFolder>").find(f".//{T}FolderId")
    return str(found.get("Id"))


def upload(folder: str, data: str, action: str = "CreateNew", item: str = "") -> str:
    inner = f'<t:ParentFolderId Id="{folder}"/>{item}<t:Data>{data}</t:Data>'
    return f'<m:UploadItems><m:Items><t:Item CreateAction="{action}">{inner}</t:Item></m:Items></m:UploadItems>'


def test_an_exported_item_comes_back_by_upload(ews: Ews) -> None:
    """ "UploadItems operation": CreateNew makes another item, Update brings one back to what was exported."""
    identifier, key = ews.event(subject="Kept")
    ids = f'<m:ItemIds><t:ItemId Id="{identifier}"/></m:ItemIds>'
    exported = ews.one(f"<m:ExportItems>{ids}</m:ExportItems>")
    data = exported.findtext(f"{M}Data")
    assert exported.find(f"{M}ItemId").get("Id") == identifier
    base64.b64decode(data, validate=True)

    ews.update(identifier, key, set_field("item:Subject", "<t:Subject>Changed</t:Subject>"))
    folder = folder_id(ews, "calendar")
    ews.one(upload(folder, data, "Update", f'<t:ItemId Id="{identifier}"/>'))
    made = ews.one(upload(folder, data)).find(f"{M}ItemId").get("Id")
    assert made != identifier
    assert [node.findtext(f"{T}Subject") for node in ews.find("item:Subject")] == ["Kept", "Kept"]
    assert ews.code(upload(folder, "bm90IG91cnM=")) == "ErrorCorruptData"


def test_junk_moves_to_its_folder_and_back(ews: Ews) -> None:
    draft = "<t:Message><t:Subject>offer</t:Subject></t:Message>"
    saved = ews.one(f'<m:CreateItem MessageDisposition="SaveOnly"><m:Items>{draft}</m:Items></m:CreateItem>')
    one = saved.find(f".//{T}ItemId").get("Id")
    for junk, place in (("true", "junkemail"), ("false", "inbox")):
        ids = f'<m:ItemIds><t:ItemId Id="{one}"/></m:ItemIds>'
        moved = ews.one(f'<m:MarkAsJunk IsJunk="{junk}" MoveItem="true">{ids}</m:MarkAsJunk>')
        one = moved.find(f"{M}MovedItemId").get("Id")
        assert "offer" in [node.findtext(f"{T}Subject") for node in ews.find("item:Subject", folder=place)]
