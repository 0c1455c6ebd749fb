"""Series expanded in the wall clock of their zone, exceptions, deletions, occurrence ids and calendar views."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox.exchange import ExchangeServer
from tests.sandbox.ews import Ews, M, T, event, exchange, find, names, set_field, shape

BERLIN = '<t:StartTimeZone Id="W. Europe Standard Time"/><t:EndTimeZone Id="W. Europe Standard Time"/>'


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


def series(
    ews: Ews,
    pattern: str,
    span: str,
    *,
    start: str = "2026-03-23T08:00:00Z",
    end: str = "2026-03-23T09:00:00Z",
    zone: str = BERLIN,
) -> tuple[str, str]:
    rule = f"<t:Recurrence>{pattern}{span}</t:Recurrence>"
    return ews.event("Series", start=f"<t:Start>{start}</t:Start>", end=f"<t:End>{end}</t:End>", after=rule + zone)


def weekly(days: str = "Monday", interval: int = 1, first: str = "") -> str:
    week = f"<t:FirstDayOfWeek>{first}</t:FirstDayOfWeek>" if first else ""
    return f"<t:WeeklyRecurrence><t:Interval>{interval}</t:Interval><t:DaysOfWeek>{days}</t:DaysOfWeek>{week}</t:WeeklyRecurrence>"


def numbered(count: int, start: str = "2026-03-23") -> str:
    return f"<t:NumberedRecurrence><t:StartDate>{start}</t:StartDate><t:NumberOfOccurrences>{count}</t:NumberOfOccurrences></t:NumberedRecurrence>"


def until(end: str, start: str = "2026-03-23") -> str:
    return f"<t:EndDateRecurrence><t:StartDate>{start}</t:StartDate><t:EndDate>{end}</t:EndDate></t:EndDateRecurrence>"


def forever(start: str = "2026-03-23") -> str:
    return f"<t:NoEndRecurrence><t:StartDate>{start}</t:StartDate></t:NoEndRecurrence>"


def starts(items: list[object]) -> list[str]:
    return [item.findtext(f"{T}Start") for item in items]  # type: ignore[attr-defined]


def occurrence(master: str, index: int) -> str:
    return f'<t:OccurrenceItemId RecurringMasterId="{master}" InstanceIndex="{index}"/>'


def code_of(ews: Ews, reference: str) -> str:
    return ews.code(f"<m:GetItem>{shape()}<m:ItemIds>{reference}</m:ItemIds></m:GetItem>")


# -- expansion ------------------------------------------------------------------------------------------------------------


def test_a_series_keeps_its_wall_clock_across_daylight_saving(ews: Ews) -> None:
    series(ews, weekly(), numbered(3))
    items = ews.view("2026-03-01T00:00:00Z", "2026-05-01T00:00:00Z")
    assert starts(items) == ["2026-03-23T08:00:00Z", "2026-03-30T07:00:00Z", "2026-04-06T07:00:00Z"]
    assert [item.findtext(f"{T}CalendarItemType") for item in items] == ["Occurrence"] * 3


def test_a_wall_time_that_a_clock_change_skips_moves_on_and_a_double_one_is_the_first(ews: Ews) -> None:
    daily = "<t:DailyRecurrence><t:Interval>1</t:Interval></t:DailyRecurrence>"
    series(ews, daily, numbered(3, "2026-03-28"), start="2026-03-28T01:30:00Z", end="2026-03-28T01:45:00Z")
    series(ews, daily, numbered(3, "2026-10-24"), start="2026-10-24T00:30:00Z", end="2026-10-24T00:45:00Z")
    assert starts(ews.view("2026-03-27T00:00:00Z", "2026-04-02T00:00:00Z")) == [
        "2026-03-28T01:30:00Z", "2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z",
    ]  # fmt: skip
    assert starts(ews.view("2026-10-23T00:00:00Z", "2026-10-30T00:00:00Z")) == [
        "2026-10-24T00:30:00Z", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("pattern", "span", "first", "days"),
    [
        ("<t:DailyRecurrence><t:Interval>10</t:Interval></t:DailyRecurrence>", numbered(3, "2026-01-01"), "2026-01-01", ["01-01", "01-11", "01-21"]),
        (weekly("Tuesday Thursday", 2, "Monday"), numbered(4, "2026-01-06"), "2026-01-06", ["01-06", "01-08", "01-20", "01-22"]),
        (weekly("Sunday", 2, "Sunday"), numbered(2, "2026-01-06"), "2026-01-06", ["01-18", "02-01"]),
        (weekly("Sunday", 2, "Monday"), numbered(2, "2026-01-06"), "2026-01-06", ["01-11", "01-25"]),
        (weekly("Weekday"), numbered(6, "2026-01-08"), "2026-01-08", ["01-08", "01-09", "01-12", "01-13", "01-14", "01-15"]),
        ("<t:AbsoluteMonthlyRecurrence><t:Interval>1</t:Interval><t:DayOfMonth>31</t:DayOfMonth></t:AbsoluteMonthlyRecurrence>",
         until("2026-05-01", "2026-01-31"), "2026-01-31", ["01-31", "02-28", "03-31", "04-30"]),
        ("<t:RelativeMonthlyRecurrence><t:Interval>2</t:Interval><t:DaysOfWeek>Friday</t:DaysOfWeek><t:DayOfWeekIndex>Last</t:DayOfWeekIndex></t:RelativeMonthlyRecurrence>",
         numbered(3, "2026-01-01"), "2026-01-01", ["01-30", "03-27", "05-29"]),
        ("<t:RelativeMonthlyRecurrence><t:Interval>1</t:Interval><t:DaysOfWeek>Weekday</t:DaysOfWeek><t:DayOfWeekIndex>First</t:DayOfWeekIndex></t:RelativeMonthlyRecurrence>",
         numbered(3, "2026-01-01"), "2026-01-01", ["01-01", "02-02", "03-02"]),
        ("<t:RelativeYearlyRecurrence><t:DaysOfWeek>WeekendDay</t:DaysOfWeek><t:DayOfWeekIndex>Second</t:DayOfWeekIndex><t:Month>March</t:Month></t:RelativeYearlyRecurrence>",
         numbered(2, "2026-01-01"), "2026-01-01", ["03-07", "03-07"]),
        ("<t:AbsoluteYearlyRecurrence><t:DayOfMonth>29</t:DayOfMonth><t:Month>February</t:Month></t:AbsoluteYearlyRecurrence>",
         numbered(2, "2026-02-01"), "2026-02-01", ["02-28", "02-28"]),
    ],
)  # fmt: skip
def test_every_pattern_expands_as_documented(ews: Ews, pattern: str, span: str, first: str, days: list[str]) -> None:
    series(ews, pattern, span, start=f"{first}T12:00:00Z", end=f"{first}T13:00:00Z", zone='<t:StartTimeZone Id="UTC"/>')
    found = starts(ews.view("2026-01-01T00:00:00Z", "2027-12-31T00:00:00Z"))
    assert [start[5:10] for start in found] == days


def test_an_endless_series_fills_any_window_and_has_no_last_occurrence(ews: Ews) -> None:
    identifier, _ = series(ews, weekly(), forever())
    assert len(ews.view("2040-01-01T00:00:00Z", "2040-02-01T00:00:00Z")) == 5
    master = ews.get(identifier, "calendar:FirstOccurrence", "calendar:LastOccurrence")
    assert names(master) == ["ItemId", "FirstOccurrence"]


def test_the_rule_is_read_back_with_zoned_dates(ews: Ews) -> None:
    identifier, _ = series(ews, weekly("Monday Friday", 2, "Monday"), until("2026-12-31"))
    rule = ews.get(identifier, "calendar:Recurrence").find(f"{T}Recurrence")
    assert [node.text for node in rule.iter() if node.text] == [
        "2",
        "Monday Friday",
        "Monday",
        "2026-03-23+01:00",
        "2026-12-31+01:00",
    ]
    assert names(rule) == ["WeeklyRecurrence", "EndDateRecurrence"]


@pytest.mark.parametrize(
    ("pattern", "span", "code"),
    [
        (weekly(), until("2026-03-01"), "ErrorCalendarEndDateIsEarlierThanStartDate"),
        (weekly(), until("2026-03-24", "2026-03-24"), "ErrorRecurrenceHasNoOccurrence"),
        (weekly(), numbered(1000), "ErrorCalendarInvalidRecurrence"),
        (weekly(interval=0), numbered(3), "ErrorCalendarInvalidRecurrence"),
        (weekly("Funday"), numbered(3), "fault ErrorSchemaValidation"),
        (weekly(), "", "fault ErrorSchemaValidation"),
        ("<t:DailyRecurrence/>", numbered(3), "fault ErrorSchemaValidation"),
    ],
)
def test_an_impossible_rule_is_refused(ews: Ews, pattern: str, span: str, code: str) -> None:
    item = event(after=f"<t:Recurrence>{pattern}{span}</t:Recurrence>")
    assert (
        ews.code(f'<m:CreateItem SendMeetingInvitations="SendToNone"><m:Items>{item}</m:Items></m:CreateItem>') == code
    )


def test_an_occurrence_longer_than_the_gap_to_the_next_is_refused(ews: Ews) -> None:
    rule = f"<t:Recurrence><t:DailyRecurrence><t:Interval>1</t:Interval></t:DailyRecurrence>{numbered(3, '2026-06-02')}</t:Recurrence>"
    item = event(end="<t:End>2026-06-03T10:00:00Z</t:End>", after=rule)
    body = f'<m:CreateItem SendMeetingInvitations="SendToNone"><m:Items>{item}</m:Items></m:CreateItem>'
    assert ews.code(body) == "ErrorOccurrenceTimeSpanTooBig"


# -- exceptions, deletions and addressing -------------------------------------------------------------------------------------


def test_an_occurrence_is_addressed_by_index_and_by_its_own_id(ews: Ews) -> None:
    master, _ = series(ews, weekly(), numbered(5))
    second = ews.get(
        "",
        "calendar:OriginalStart",
        "calendar:UID",
        "calendar:RecurrenceId",
        "calendar:CalendarItemType",
        ids=occurrence(master, 2),
    )
    own = second.find(f"{T}ItemId").get("Id")
    assert second.findtext(f"{T}OriginalStart") == second.findtext(f"{T}RecurrenceId") == "2026-03-30T07:00:00Z"
    assert second.findtext(f"{T}UID") == ews.get(master, "calendar:UID").findtext(f"{T}UID")
    back = ews.get("", "calendar:CalendarItemType", ids=f'<t:RecurringMasterItemId OccurrenceId="{own}"/>')
    assert back.find(f"{T}ItemId").get("Id") == master
    assert back.findtext(f"{T}CalendarItemType") == "RecurringMaster"


def test_changing_an_occurrence_makes_an_exception_and_a_new_key_for_the_master(ews: Ews) -> None:
    master, key = series(ews, weekly(), numbered(5))
    second = ews.get("", ids=occurrence(master, 2)).find(f"{T}ItemId")
    changes = set_field("calendar:Start", "<t:Start>2026-03-30T12:00:00Z</t:Start>") + set_field(
        "calendar:End", "<t:End>2026-03-30T13:00:00Z</t:End>"
    )
    changed = ews.one(ews.update(second.get("Id"), second.get("ChangeKey"), changes)).find(f".//{T}ItemId")
    assert changed.get("Id") == second.get("Id")
    whole = ews.get(master, "calendar:ModifiedOccurrences")
    assert whole.find(f"{T}ItemId").get("ChangeKey") not in (key, None)
    modified = whole.find(f"{T}ModifiedOccurrences/{T}Occurrence")
    assert {name: modified.findtext(f"{T}{name}") for name in ("Start", "OriginalStart")} == {
        "Start": "2026-03-30T12:00:00Z", "OriginalStart": "2026-03-30T07:00:00Z",
    }  # fmt: skip
    kinds = [item.findtext(f"{T}CalendarItemType") for item in ews.view("2026-03-20T00:00:00Z", "2026-04-08T00:00:00Z")]
    assert kinds == ["Occurrence", "Exception", "Occurrence"]


def test_deleting_an_occurrence_leaves_a_hole_and_the_indexes(ews: Ews) -> None:
    master, _ = series(ews, weekly(), numbered(4))
    second = ews.get("", ids=occurrence(master, 2)).find(f"{T}ItemId").get("Id")
    ews.one(ews.delete(second))
    assert code_of(ews, occurrence(master, 2)) == "ErrorCalendarOccurrenceIsDeletedFromRecurrence"
    assert code_of(ews, f'<t:ItemId Id="{second}"/>') == "ErrorCalendarOccurrenceIsDeletedFromRecurrence"
    assert ews.get("", "calendar:Start", ids=occurrence(master, 3)).findtext(f"{T}Start") == "2026-04-06T07:00:00Z"
    deleted = ews.get(master, "calendar:DeletedOccurrences").find(f"{T}DeletedOccurrences/{T}DeletedOccurrence")
    assert names(deleted) == ["Start"]
    assert deleted.findtext(f"{T}Start") == "2026-03-30T07:00:00Z"


def test_wrong_occurrence_references_have_their_own_errors(ews: Ews) -> None:
    master, _ = series(ews, weekly(), numbered(3))
    single, _ = ews.event()
    own = ews.get("", ids=occurrence(master, 1)).find(f"{T}ItemId").get("Id")
    assert code_of(ews, occurrence(master, 4)) == "ErrorCalendarOccurrenceIndexIsOutOfRecurrenceRange"
    assert code_of(ews, occurrence(master, 0)) == "ErrorCalendarOccurrenceIndexIsOutOfRecurrenceRange"
    assert code_of(ews, occurrence(single, 1)) == "ErrorCalendarCannotUseIdForOccurrenceId"
    assert (
        code_of(ews, f'<t:RecurringMasterItemId OccurrenceId="{single}"/>')
        == "ErrorCalendarCannotUseIdForRecurringMasterId"
    )
    to = '<m:ToFolderId><t:DistinguishedFolderId Id="deleteditems"/></m:ToFolderId>'
    move = f'<m:MoveItem>{to}<m:ItemIds><t:ItemId Id="{own}"/></m:ItemIds></m:MoveItem>'
    assert ews.code(move) == "ErrorCalendarCannotMoveOrCopyOccurrence"


def test_an_exception_may_not_pass_its_neighbour(ews: Ews) -> None:
    master, _ = series(ews, weekly(), numbered(5))
    second = ews.get("", ids=occurrence(master, 2)).find(f"{T}ItemId")
    for start, end in (
        ("2026-04-07T07:00:00Z", "2026-04-07T08:00:00Z"),
        ("2026-03-23T08:30:00Z", "2026-03-23T10:00:00Z"),
    ):
        changes = set_field("calendar:End", f"<t:End>{end}</t:End>") + set_field(
            "calendar:Start", f"<t:Start>{start}</t:Start>"
        )
        assert (
            ews.code(ews.update(second.get("Id"), second.get("ChangeKey"), changes))
            == "ErrorOccurrenceCrossingBoundary"
        )


@pytest.mark.parametrize(("behaviour", "left"), [("drop", 0), ("keep", 1)])
def test_a_new_pattern_drops_exceptions_unless_switched(ews: Ews, behaviour: str, left: int) -> None:
    master, _ = series(ews, weekly(), numbered(5))
    ews.one(ews.delete(ews.get("", ids=occurrence(master, 2)).find(f"{T}ItemId").get("Id")))
    key = ews.get(master).find(f"{T}ItemId").get("ChangeKey")
    ews.server.condition("behaviour", pattern_change=behaviour)
    try:
        rule = f"<t:Recurrence>{weekly()}{numbered(9)}</t:Recurrence>"
        ews.one(ews.update(master, key, set_field("calendar:Recurrence", rule)))
    finally:
        ews.server.condition("behaviour", pattern_change="drop")
    holes = ews.get(master, "calendar:DeletedOccurrences").find(f"{T}DeletedOccurrences")
    assert (0 if holes is None else len(holes)) == left


def test_removing_the_rule_makes_a_single_event(ews: Ews) -> None:
    master, key = series(ews, weekly(), numbered(5))
    ews.one(
        ews.update(master, key, '<t:DeleteItemField><t:FieldURI FieldURI="calendar:Recurrence"/></t:DeleteItemField>')
    )
    items = ews.view("2026-03-01T00:00:00Z", "2026-05-01T00:00:00Z")
    assert [item.findtext(f"{T}CalendarItemType") for item in items] == ["Single"]


def test_all_day_series_begin_at_local_midnight_in_summer_and_winter(ews: Ews) -> None:
    rule = f"<t:Recurrence>{weekly('Sunday')}{numbered(3, '2026-03-22')}</t:Recurrence>"
    ews.event(
        start="<t:Start>2026-03-22T10:00:00Z</t:Start>", end="<t:End>2026-03-22T11:00:00Z</t:End>",
        after=f"<t:IsAllDayEvent>true</t:IsAllDayEvent>{rule}{BERLIN}",
    )  # fmt: skip
    items = ews.view("2026-03-01T00:00:00Z", "2026-05-01T00:00:00Z")
    assert starts(items) == ["2026-03-21T23:00:00Z", "2026-03-28T23:00:00Z", "2026-04-04T22:00:00Z"]
    assert [item.findtext(f"{T}End") for item in items] == [
        "2026-03-22T23:00:00Z",
        "2026-03-29T22:00:00Z",
        "2026-04-05T22:00:00Z",
    ]


# -- views ----------------------------------------------------------------------------------------------------------------------


def test_a_view_takes_what_starts_before_its_end_and_ends_at_or_after_its_start(ews: Ews) -> None:
    for name, start, end in (
        ("ends at start", "08:00", "09:00"), ("inside", "09:30", "09:40"), ("around", "07:00", "23:00"),
        ("starts at end", "10:00", "11:00"), ("before", "06:00", "07:00"),
    ):  # fmt: skip
        ews.event(name, start=f"<t:Start>2026-06-02T{start}:00Z</t:Start>", end=f"<t:End>2026-06-02T{end}:00Z</t:End>")
    items = ews.view("2026-06-02T09:00:00Z", "2026-06-02T10:00:00Z")
    assert [item.findtext(f"{T}Subject") for item in items] == ["around", "ends at start", "inside"]


def test_an_event_of_many_days_is_in_every_window_it_touches(ews: Ews) -> None:
    ews.event("Fair", start="<t:Start>2026-06-01T00:00:00Z</t:Start>", end="<t:End>2026-07-31T00:00:00Z</t:End>")
    assert len(ews.view("2026-07-15T00:00:00Z", "2026-07-16T00:00:00Z")) == 1


def test_an_exception_is_in_the_window_it_was_moved_to_only(ews: Ews) -> None:
    master, _ = series(ews, weekly(), numbered(5))
    second = ews.get("", ids=occurrence(master, 2)).find(f"{T}ItemId")
    changes = set_field("calendar:Start", "<t:Start>2026-04-02T12:00:00Z</t:Start>") + set_field(
        "calendar:End", "<t:End>2026-04-02T13:00:00Z</t:End>"
    )
    ews.one(
        ews.update(
            second.get("Id"),
            second.get("ChangeKey"),
            set_field("calendar:End", "<t:End>2026-04-02T13:00:00Z</t:End>") + changes,
        )
    )
    assert len(ews.view("2026-04-02T00:00:00Z", "2026-04-03T00:00:00Z")) == 1
    assert ews.view("2026-03-30T00:00:00Z", "2026-03-31T00:00:00Z") == []


@pytest.mark.parametrize(
    ("middle", "folder", "code"),
    [
        ('<m:CalendarView StartDate="2026-01-01T00:00:00Z" EndDate="2028-06-01T00:00:00Z"/>', "calendar", "ErrorCalendarViewRangeTooBig"),
        ('<m:CalendarView StartDate="2026-02-01T00:00:00Z" EndDate="2026-01-01T00:00:00Z"/>', "calendar", "ErrorCalendarEndDateIsEarlierThanStartDate"),
        ('<m:CalendarView StartDate="2026-01-01T00:00:00Z" EndDate="2026-02-01T00:00:00Z"/>', "contacts", "ErrorCalendarFolderIsInvalidForCalendarView"),
        ('<m:CalendarView StartDate="2026-01-01T00:00:00Z" EndDate="2026-02-01T00:00:00Z"/><m:SortOrder><t:FieldOrder Order="Ascending">'
         '<t:FieldURI FieldURI="item:Subject"/></t:FieldOrder></m:SortOrder>', "calendar", "ErrorInvalidOperation"),
        ('<m:CalendarView StartDate="2026-01-01T00:00:00Z" EndDate="2026-02-01T00:00:00Z"/><m:Restriction><t:Exists>'
         '<t:FieldURI FieldURI="item:Subject"/></t:Exists></m:Restriction>', "calendar", "ErrorInvalidOperation"),
        ('<m:CalendarView StartDate="2026-01-01T00:00:00Z"/>', "calendar", "fault ErrorSchemaValidation"),
    ],
)  # fmt: skip
def test_a_view_that_cannot_be_is_refused(ews: Ews, middle: str, folder: str, code: str) -> None:
    assert ews.code(find(middle=middle, folder=folder)) == code


def test_a_view_beyond_the_limit_is_partial_or_an_error(ews: Ews) -> None:
    series(ews, weekly(), numbered(9))
    view = '<m:CalendarView StartDate="2026-03-01T00:00:00Z" EndDate="2026-12-01T00:00:00Z"/>'
    ews.server.condition("view_limit", limit=4)
    try:
        page = ews.page(middle=view)
        assert (len(page.find(f"{T}Items")), page.get("IncludesLastItemInRange")) == (4, "false")
        ews.server.condition("view_limit", limit=4, mode="error")
        assert ews.code(find(middle=view)) == "ErrorExceededFindCountLimit"
    finally:
        ews.server.condition("view_limit", limit=1000)
    capped = ews.page(middle=view.replace("/>", ' MaxEntriesReturned="2"/>'))
    assert (len(capped.find(f"{T}Items")), capped.get("IncludesLastItemInRange")) == (2, "false")
    assert len(ews.one(find(middle=view)).find(f"{M}RootFolder/{T}Items")) == 9
