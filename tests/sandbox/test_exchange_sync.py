"""SyncFolderItems, SyncFolderHierarchy, searches with restrictions, sorting and paging, and folders."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

from sandbox.exchange import ExchangeServer
from tests.sandbox.ews import ANNA, BEN, LINK, Ews, M, T, exchange, find, names, rows, set_field, sync


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


def state(message: Any) -> str:
    return str(message.findtext(f"{M}SyncState"))


def last(message: Any) -> str:
    return str(message.findtext(f"{M}IncludesLastItemInRange"))


# -- SyncFolderItems ----------------------------------------------------------------------------------------------------


def test_changes_come_newest_first_and_then_nothing(ews: Ews) -> None:
    ids = [ews.event(f"e{number}")[0] for number in range(3)]
    first = ews.sync()
    assert rows(first) == [("Create", identifier) for identifier in reversed(ids)]
    again = ews.sync(state(first))
    assert (rows(again), last(again)) == ([], "true")
    assert names(again) == ["ResponseCode", "SyncState", "IncludesLastItemInRange", "Changes"]


def test_updates_deletions_and_moves_are_told_once(ews: Ews) -> None:
    changed, moved, gone = (ews.event(name) for name in ("a", "b", "c"))
    known = state(ews.sync())
    bin_ = state(ews.sync(folder="deleteditems"))
    ews.set_subject(*changed, "a2")
    ews.one(ews.delete(moved[0]))
    ews.one(ews.delete(gone[0], "HardDelete"))
    assert sorted(rows(ews.sync(known))) == sorted([("Update", changed[0]), ("Delete", moved[0]), ("Delete", gone[0])])
    assert [change for change, _ in rows(ews.sync(bin_, folder="deleteditems"))] == ["Create"]


def test_created_and_deleted_between_two_calls_is_nothing_and_created_and_changed_one_create(ews: Ews) -> None:
    known = state(ews.sync())
    brief, _ = ews.event("brief")
    ews.one(ews.delete(brief, "HardDelete"))
    kept = ews.event("kept")
    ews.set_subject(*kept, "kept2")
    assert rows(ews.sync(known)) == [("Create", kept[0])]


def test_pages_lose_nothing_while_people_go_on_working(ews: Ews) -> None:
    dice = random.Random(7)
    live = dict(ews.event(f"e{number}") for number in range(12))
    seen: set[str] = set()
    known, pages = "", 0
    for step in range(60):
        message = ews.sync(known, 3)
        known, pages = state(message), pages + 1
        for change, identifier in rows(message):
            assert (change == "Create") == (identifier not in seen)
            (seen.discard if change == "Delete" else seen.add)(identifier)
        if step < 8:
            victim = dice.choice(sorted(live))
            if dice.random() < 0.5:
                key = ews.get(victim).find(f"{T}ItemId").get("ChangeKey")
                ews.set_subject(victim, key, f"changed {step}")
            else:
                ews.one(ews.delete(victim, "HardDelete"))
                del live[victim]
            live.update([ews.event(f"new {step}")])
        elif last(message) == "true":
            break
    assert seen == set(live)
    assert pages > 8


def test_only_the_read_flag_changing_is_its_own_kind_of_change(ews: Ews) -> None:
    draft, key = ews.create("<t:Message><t:Subject>Hi</t:Subject><t:IsRead>false</t:IsRead></t:Message>")
    known = state(ews.sync(folder="drafts"))
    ews.one(ews.update(draft, key, set_field("message:IsRead", "<t:IsRead>true</t:IsRead>", "Message")))
    message = ews.sync(known, folder="drafts")
    assert rows(message) == [("ReadFlagChange", draft)]
    assert message.findtext(f".//{T}IsRead") == "true"


def test_an_edited_occurrence_is_an_update_of_the_series_without_its_rule(ews: Ews) -> None:
    event = ews.server.call(
        ews.server.create_event,
        ANNA,
        subject="S",
        start="2026-06-01T09:00",
        recurrence={"weekly": ["Monday"], "count": 4},
    )
    known = state(ews.sync())
    ews.server.call(ews.server.update_event, ANNA, event, occurrence=2, subject="S2")
    message = ews.sync(known, uris=("item:Subject", "calendar:Recurrence", "calendar:CalendarItemType"))
    row = message.find(f"{M}Changes/{T}Update/{T}CalendarItem")
    assert names(row) == ["ItemId", "Subject", "CalendarItemType"]
    assert row.findtext(f"{T}CalendarItemType") == "RecurringMaster"


def test_ignored_ids_are_left_out(ews: Ews) -> None:
    first, _ = ews.event("a")
    second, _ = ews.event("b")
    assert rows(ews.sync(extra=f'<m:Ignore><t:ItemId Id="{first}"/></m:Ignore>')) == [("Create", second)]


@pytest.mark.parametrize("how", ["garbage", "truncated", "hierarchy", "another folder", "forgotten", "corrupted"])
def test_a_sync_state_that_is_no_good_is_an_error_with_an_empty_state(ews: Ews, how: str) -> None:
    good = state(ews.sync())
    if how == "garbage":
        good = "bm90IGEgc3RhdGU="
    elif how == "truncated":
        good = good[:-8]
    elif how == "hierarchy":
        good = hierarchy(ews)[0]
    elif how == "another folder":
        good = state(ews.sync(folder="contacts"))
    elif how == "forgotten":
        ews.server.condition("forget_sync_states")
    else:
        ews.server.condition("corrupt_sync_state", mailbox=ANNA, folder="calendar")
    message = ews.messages(sync(good))[0]
    assert names(message) == [
        "MessageText",
        "ResponseCode",
        "DescriptiveLinkKey",
        "SyncState",
        "IncludesLastItemInRange",
    ]
    assert message.findtext(f"{M}ResponseCode") == "ErrorInvalidSyncStateData"
    assert message.findtext(f"{M}SyncState") == ""


def test_a_folder_that_is_gone_cannot_be_synchronised(ews: Ews) -> None:
    folder = create_folder(ews, "Old")
    body = sync().replace('<t:DistinguishedFolderId Id="calendar"/>', f'<t:FolderId Id="{folder}"/>')
    ews.one(body)
    ews.one(
        f'<m:DeleteFolder DeleteType="HardDelete"><m:FolderIds><t:FolderId Id="{folder}"/></m:FolderIds></m:DeleteFolder>'
    )
    assert ews.code(body) == "ErrorSyncFolderNotFound"


@pytest.mark.parametrize("most", [0, 513, -1])
def test_the_page_size_is_from_1_to_512(ews: Ews, most: int) -> None:
    assert ews.code(sync(most=most)) == "fault ErrorSchemaValidation"


# -- folders --------------------------------------------------------------------------------------------------------------


def hierarchy(ews: Ews, known: str = "") -> tuple[str, list[tuple[str, str | None]]]:
    body = f"<m:SyncFolderHierarchy><m:FolderShape><t:BaseShape>Default</t:BaseShape></m:FolderShape>{f'<m:SyncState>{known}</m:SyncState>' if known else ''}</m:SyncFolderHierarchy>"
    message = ews.one(body)
    found = [(row.tag.rpartition("}")[2], row[0].findtext(f"{T}DisplayName")) for row in message.find(f"{M}Changes")]
    return state(message), found


def create_folder(ews: Ews, name: str, kind: str = "CalendarFolder", parent: str = "msgfolderroot") -> str:
    body = f'<m:CreateFolder><m:ParentFolderId><t:DistinguishedFolderId Id="{parent}"/></m:ParentFolderId><m:Folders><t:{kind}><t:DisplayName>{name}</t:DisplayName></t:{kind}></m:Folders></m:CreateFolder>'
    return str(ews.one(body).find(f".//{T}FolderId").get("Id"))


def test_the_hierarchy_is_told_once_and_then_its_changes(ews: Ews) -> None:
    known, folders = hierarchy(ews)
    assert ("Create", "Calendar") in folders
    assert ("Create", "Inbox") in folders
    folder = create_folder(ews, "Team")
    known, changes = hierarchy(ews, known)
    assert ("Create", "Team") in changes
    ews.one(
        f'<m:DeleteFolder DeleteType="HardDelete"><m:FolderIds><t:FolderId Id="{folder}"/></m:FolderIds></m:DeleteFolder>'
    )
    _, changes = hierarchy(ews, known)
    assert [change for change, _ in changes] == ["Delete"]


def test_folders_have_elements_of_their_class_and_stable_ids(ews: Ews) -> None:
    folder = create_folder(ews, "Team")
    body = f'<m:GetFolder><m:FolderShape><t:BaseShape>AllProperties</t:BaseShape></m:FolderShape><m:FolderIds><t:FolderId Id="{folder}"/><t:DistinguishedFolderId Id="contacts"/><t:DistinguishedFolderId Id="inbox"/></m:FolderIds></m:GetFolder>'
    found = [message.find(f"{M}Folders")[0] for message in ews.messages(body)]
    assert [one.tag.rpartition("}")[2] for one in found] == ["CalendarFolder", "ContactsFolder", "Folder"]
    assert [one.findtext(f"{T}FolderClass") for one in found] == ["IPF.Appointment", "IPF.Contact", "IPF.Note"]
    assert names(found[2]) == ["FolderId", "ParentFolderId", "FolderClass", "DisplayName", "TotalCount", "ChildFolderCount", "EffectiveRights", "DistinguishedFolderId", "UnreadCount"]  # fmt: skip
    rename = f'<m:UpdateFolder><m:FolderChanges><t:FolderChange><t:FolderId Id="{folder}"/><t:Updates><t:SetFolderField><t:FieldURI FieldURI="folder:DisplayName"/><t:CalendarFolder><t:DisplayName>Crew</t:DisplayName></t:CalendarFolder></t:SetFolderField></t:Updates></t:FolderChange></m:FolderChanges></m:UpdateFolder>'
    assert ews.one(rename).find(f".//{T}FolderId").get("Id") == folder


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ('<m:DeleteFolder DeleteType="HardDelete"><m:FolderIds><t:DistinguishedFolderId Id="calendar"/></m:FolderIds></m:DeleteFolder>', "ErrorDeleteDistinguishedFolder"),
        ('<m:MoveFolder><m:ToFolderId><t:DistinguishedFolderId Id="inbox"/></m:ToFolderId><m:FolderIds><t:DistinguishedFolderId Id="calendar"/></m:FolderIds></m:MoveFolder>', "ErrorMoveDistinguishedFolder"),
        ('<m:EmptyFolder DeleteType="HardDelete" DeleteSubFolders="false"><m:FolderIds><t:DistinguishedFolderId Id="calendar"/></m:FolderIds></m:EmptyFolder>', "ErrorCannotEmptyFolder"),
        ('<m:CreateFolder><m:ParentFolderId><t:DistinguishedFolderId Id="msgfolderroot"/></m:ParentFolderId><m:Folders><t:Folder><t:DisplayName>calendar</t:DisplayName></t:Folder></m:Folders></m:CreateFolder>', "ErrorFolderExists"),
        ('<m:GetFolder><m:FolderShape><t:BaseShape>IdOnly</t:BaseShape></m:FolderShape><m:FolderIds><t:FolderId Id="AAAA"/></m:FolderIds></m:GetFolder>', "ErrorInvalidIdMalformed"),
        ('<m:GetFolder><m:FolderShape><t:BaseShape>IdOnly</t:BaseShape></m:FolderShape><m:FolderIds><t:DistinguishedFolderId Id="archiveroot"/></m:FolderIds></m:GetFolder>', "ErrorFolderNotFound"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_to_folders_is_refused(ews: Ews, body: str, code: str) -> None:
    assert ews.code(body) == code


def test_folders_are_found_deep_and_by_restriction(ews: Ews) -> None:
    create_folder(ews, "Inner", parent="calendar")
    shape = "<m:FolderShape><t:BaseShape>Default</t:BaseShape></m:FolderShape>"
    parent = '<m:ParentFolderIds><t:DistinguishedFolderId Id="msgfolderroot"/></m:ParentFolderIds>'
    where = '<m:Restriction><t:IsEqualTo><t:FieldURI FieldURI="folder:DisplayName"/><t:FieldURIOrConstant><t:Constant Value="Inner"/></t:FieldURIOrConstant></t:IsEqualTo></m:Restriction>'
    shallow = ews.one(f'<m:FindFolder Traversal="Shallow">{shape}{where}{parent}</m:FindFolder>').find(f"{M}RootFolder")
    deep = ews.one(f'<m:FindFolder Traversal="Deep">{shape}{where}{parent}</m:FindFolder>').find(f"{M}RootFolder")
    assert (shallow.get("TotalItemsInView"), deep.get("TotalItemsInView")) == ("0", "1")


# -- searching ----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def library(ews: Ews) -> Ews:
    make = ews.server.create_event
    for number, (subject, place, categories) in enumerate(
        (
            ("Alpha demo", "Oslo", ["Red"]),
            ("beta Demo", "Bergen", ["Blue", "Red"]),
            ("Gamma", None, []),
            ("Délta", "oslo", []),
        )
    ):
        ews.server.call(
            make, ANNA, subject=subject, location=place, categories=categories, start=f"2026-06-{10 + number}T09:00",
            link={"c11ff724-aa03-4555-9952-8fa248a11c3e/link": f"L{number}"} if number else None,
        )  # fmt: skip
    return ews


def field(uri: str) -> str:
    return f'<t:FieldURI FieldURI="{uri}"/>'


def compare(operator: str, path: str, value: str) -> str:
    return (
        f'<t:{operator}>{path}<t:FieldURIOrConstant><t:Constant Value="{value}"/></t:FieldURIOrConstant></t:{operator}>'
    )


def contains(path: str, value: str, mode: str = "Substring", case: str = "Exact") -> str:
    return f'<t:Contains ContainmentMode="{mode}" ContainmentComparison="{case}">{path}<t:Constant Value="{value}"/></t:Contains>'


SUBJECT, PLACE, START = field("item:Subject"), field("calendar:Location"), field("calendar:Start")


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        (compare("IsEqualTo", SUBJECT, "gamma"), ["Gamma"]),
        (compare("IsNotEqualTo", PLACE, "Oslo"), ["beta Demo", "Gamma"]),
        (compare("IsGreaterThan", START, "2026-06-11T07:00:00Z"), ["Gamma", "Délta"]),
        (compare("IsGreaterThanOrEqualTo", START, "2026-06-11T07:00:00Z"), ["beta Demo", "Gamma", "Délta"]),
        (compare("IsLessThan", START, "2026-06-11T09:00:00+02:00"), ["Alpha demo"]),
        (compare("IsLessThanOrEqualTo", START, "2026-06-11T09:00:00+02:00"), ["Alpha demo", "beta Demo"]),
        (contains(SUBJECT, "demo"), ["Alpha demo"]),
        (contains(SUBJECT, "demo", case="IgnoreCase"), ["Alpha demo", "beta Demo"]),
        (contains(SUBJECT, "alpha", "Prefixed", "IgnoreCase"), ["Alpha demo"]),
        (contains(SUBJECT, "delta", "FullString", "LooseAndIgnoreCaseAndIgnoreNonSpace"), ["Délta"]),
        (contains(SUBJECT, "Dem", "PrefixOnWords"), ["beta Demo"]),
        (contains(field("item:Categories"), "Red"), ["Alpha demo", "beta Demo"]),
        (f"<t:Exists>{PLACE}</t:Exists>", ["Alpha demo", "beta Demo", "Délta"]),
        (f"<t:Not><t:Exists>{PLACE}</t:Exists></t:Not>", ["Gamma"]),
        (f"<t:And>{compare('IsEqualTo', PLACE, 'Oslo')}{contains(SUBJECT, 'Alpha')}</t:And>", ["Alpha demo"]),
        (f"<t:Or>{compare('IsEqualTo', SUBJECT, 'Gamma')}{contains(SUBJECT, 'Alpha')}</t:Or>", ["Alpha demo", "Gamma"]),
        (compare("IsEqualTo", LINK, "L2"), ["Gamma"]),
        (f"<t:Not><t:Exists>{LINK}</t:Exists></t:Not>", ["Alpha demo"]),
        (f"<t:IsLessThan>{START}<t:FieldURIOrConstant>{field('calendar:End')}</t:FieldURIOrConstant></t:IsLessThan>",
         ["Alpha demo", "beta Demo", "Gamma", "Délta"]),
        (compare("IsEqualTo", field("calendar:IsAllDayEvent"), "false"), ["Alpha demo", "beta Demo", "Gamma", "Délta"]),
    ],
)  # fmt: skip
def test_restrictions_find_what_they_say(library: Ews, expression: str, found: list[str]) -> None:
    items = library.find("item:Subject", middle=f"<m:Restriction>{expression}</m:Restriction>")
    assert [item.findtext(f"{T}Subject") for item in items] == found


@pytest.mark.parametrize(
    ("middle", "code"),
    [
        ("<m:Restriction/>", "fault ErrorSchemaValidation"),
        ("<m:Restriction><t:Perhaps/></m:Restriction>", "fault ErrorSchemaValidation"),
        (f"<m:Restriction>{compare('IsEqualTo', START, 'soon')}</m:Restriction>", "fault ErrorSchemaValidation"),
        (f"<m:Restriction>{compare('IsEqualTo', field('calendar:RequiredAttendees'), 'x')}</m:Restriction>", "ErrorUnsupportedPathForQuery"),
        (f"<m:Restriction><t:Exists>{field('item:IsDraft')}</t:Exists></m:Restriction>", "ErrorInvalidPropertyForExists"),
        (f'<m:SortOrder><t:FieldOrder Order="Ascending">{field("calendar:Recurrence")}</t:FieldOrder></m:SortOrder>', "ErrorUnsupportedPathForSortGroup"),
        ('<m:IndexedPageItemView Offset="-1" BasePoint="Beginning"/>', "ErrorInvalidIndexedPagingParameters"),
        ('<m:IndexedPageItemView Offset="0" BasePoint="Beginning" MaxEntriesReturned="0"/>', "ErrorInvalidPagingMaxRows"),
        ('<m:IndexedPageItemView Offset="0" BasePoint="Middle"/>', "fault ErrorSchemaValidation"),
        ('<m:FractionalPageItemView Numerator="3" Denominator="2"/>', "ErrorInvalidFractionalPagingParameters"),
        (f"<m:Restriction>{'<t:Not>' * 60}<t:Exists>{SUBJECT}</t:Exists>{'</t:Not>' * 60}</m:Restriction>", "ErrorRestrictionTooComplex"),
        ("<m:QueryString>subject:x</m:QueryString>", "fault ErrorInvalidOperation"),
    ],
)  # fmt: skip
def test_searches_that_cannot_be_are_refused(library: Ews, middle: str, code: str) -> None:
    assert library.code(find(middle=middle)) == code


def test_items_are_sorted_by_several_fields(library: Ews) -> None:
    order = f'<m:SortOrder><t:FieldOrder Order="Ascending">{PLACE}</t:FieldOrder><t:FieldOrder Order="Descending">{SUBJECT}</t:FieldOrder></m:SortOrder>'
    found = library.find("item:Subject", middle=order)
    assert [item.findtext(f"{T}Subject") for item in found] == ["Gamma", "beta Demo", "Délta", "Alpha demo"]


def test_pages_say_where_the_next_one_begins_and_when_it_is_the_last(library: Ews) -> None:
    def page(offset: int, point: str = "Beginning") -> Any:
        return library.page(
            "item:Subject",
            middle=f'<m:IndexedPageItemView MaxEntriesReturned="3" Offset="{offset}" BasePoint="{point}"/>',
        )

    first, second, beyond, end = page(0), page(3), page(9), page(0, "End")
    told = [
        [one.get(name) for name in ("IndexedPagingOffset", "TotalItemsInView", "IncludesLastItemInRange")]
        for one in (first, second)
    ]
    assert told == [["3", "4", "false"], ["4", "4", "true"]]
    assert len(beyond.find(f"{T}Items")) == 0
    assert [item.findtext(f"{T}Subject") for item in end.find(f"{T}Items")] == ["beta Demo", "Gamma", "Délta"]


def test_an_unpaged_search_beyond_the_limit_is_an_error_and_a_paged_one_is_cut(library: Ews) -> None:
    library.server.condition("view_limit", limit=2)
    try:
        assert library.code(find()) == "ErrorExceededFindCountLimit"
        cut = library.page(middle='<m:IndexedPageItemView MaxEntriesReturned="100" Offset="0" BasePoint="Beginning"/>')
        assert (len(cut.find(f"{T}Items")), cut.get("IncludesLastItemInRange")) == (2, "false")
    finally:
        library.server.condition("view_limit", limit=1000)


def test_find_item_is_poorer_than_get_item(ews: Ews) -> None:
    event = ews.server.call(
        ews.server.create_event,
        ANNA,
        subject="x" * 255,
        location="Oslo",
        body="Secret",
        attendees=[BEN],
        start="2026-06-10T09:00",
    )
    ews.server.call(ews.server.create_contact, ANNA, display_name="y" * 300)
    found = ews.find("item:Subject", "item:Body", "calendar:RequiredAttendees", "calendar:Organizer")[0]
    assert names(found) == ["ItemId", "Subject", "Organizer"]
    assert names(found.find(f"{T}Organizer/{T}Mailbox")) == ["Name"]
    contact = ews.find("contacts:DisplayName", folder="contacts")[0]
    assert contact.findtext(f"{T}DisplayName") == "y" * 255
    whole = ews.get(ews.server.world.item_id(event), "item:Body", "calendar:Organizer")
    assert whole.findtext(f"{T}Body") == "Secret"
