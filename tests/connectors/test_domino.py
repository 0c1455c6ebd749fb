"""The Domino connector over real sockets to the practice Domino."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from connectors.domino import DominoConnector, zones
from connectors.domino.connector import EXPERIMENTAL
from sandbox.domino import DominoServer
from sandbox.kit import Fault
from sidefeed.connector import (
    AuthenticationFailed,
    CursorExpired,
    Duplicate,
    Invalid,
    PermissionDenied,
    Remote,
    Stream,
    Unavailable,
    Write,
)

from .contract import ConnectorContract
from .domino_office import ANN, BEN, CalendarKit, Office, meeting, timed, with_people

CALENDAR = Stream("calendar", ANN)
FIELDS = ("Subject", "Start", "End", "Zone", "IsAllDay", "Key", "Attendees", "Organizer", "IsOrganizer", "Sensitivity",
          "Location", "Body", "Series", "MyResponse")


@pytest.fixture(scope="module")
def server() -> Iterator[DominoServer]:
    with DominoServer(control=False) as running:
        yield Office.furnish(running)
        assert running.crashes == [], running.crashes[0].traceback


@pytest.fixture
def office(server: DominoServer) -> Iterator[Office]:
    office = Office(server)
    yield office
    office.close()


@pytest.fixture
def connector(office: Office) -> DominoConnector:
    return office.connect()


class TestContract(ConnectorContract):
    @pytest.fixture
    def kit(self, office: Office) -> CalendarKit:
        return CalendarKit(office)


def read(connector: DominoConnector, cursor: str | None = None, stream: Stream = CALENDAR) -> tuple[list[Remote], str]:
    pages = list(connector.changes(stream, FIELDS, cursor))
    return [record for page in pages for record in page.records], pages[-1].cursor


def told(records: list[Remote]) -> list[tuple[Any, Any]]:
    return sorted(((record.values or {}).get("Start"), (record.values or {}).get("Subject")) for record in records)


# What a calendar says


def test_a_meeting_comes_whole_with_its_people_and_a_zone_that_others_know(office: Office, connector: DominoConnector) -> None:
    office.save(meeting("Review", description="Bring the plan", **with_people(ANN, "zoe@acme.example")))
    ((record,), _) = read(connector)
    values = dict(record.values or {})
    assert (values["Subject"], values["Body"], values["Organizer"], values["IsOrganizer"]) == (
        "Review", "Bring the plan", ANN, True)
    assert (values["Start"], values["Zone"]) == ("2026-11-24T09:00:00Z", "Europe/Berlin")
    assert [each["address"] for each in values["Attendees"]] == [ANN, "zoe@acme.example"]


def test_zones_are_known_by_their_rules_and_not_by_their_names(office: Office, connector: DominoConnector) -> None:
    office.save({"summary": "Call", "start": timed("2026-11-24", "09:00", "Eastern"),
                 "end": timed("2026-11-24", "10:00", "Eastern")}, BEN)
    ((record,), _) = read(connector, stream=Stream("calendar", BEN))
    assert (record.values or {})["Zone"] == "America/New_York"
    from zoneinfo import ZoneInfo

    assert zones.named("Eastern", ZoneInfo("Australia/Brisbane"), 2026, "UTC") == "Eastern"


def test_a_series_is_its_occurrences_with_exceptions_and_deletions(office: Office, connector: DominoConnector) -> None:
    uid = office.save(meeting("Weekly", recurrenceRule="FREQ=WEEKLY;COUNT=4"))
    writer = office.connect()
    (moved, gone) = (f"{uid}#2026-12-01T09:00:00Z", f"{uid}#2026-12-08T09:00:00Z")
    outcomes = list(writer.write(CALENDAR, [
        Write("m", "update", {"Subject": "Moved", "Start": "2026-12-02T09:00:00Z", "End": "2026-12-02T10:00:00Z"}, moved),
        Write("g", "delete", external_id=gone)]))
    assert [outcome.status for outcome in outcomes] == ["done", "done"], outcomes[0].error
    records, _ = read(connector)
    assert told(records) == [("2026-11-24T09:00:00Z", "Weekly"), ("2026-12-02T09:00:00Z", "Moved"),
                             ("2026-12-15T09:00:00Z", "Weekly")]
    assert moved in {record.id for record in records}
    assert office.server.outbox() == []


def test_a_series_is_one_object_too_with_the_zone_that_others_know(office: Office, connector: DominoConnector) -> None:
    uid = office.save(meeting("Weekly", recurrenceRule="FREQ=WEEKLY;COUNT=4"))
    office.save({**meeting("Therapy", clock="17:00", recurrenceRule="FREQ=WEEKLY;COUNT=4"), "class": "private"})
    office.pass_time()
    pages = list(connector.changes(CALENDAR, [*FIELDS, "Recurrence"], None))
    whole = {record.id: dict(record.values or {}) for page in pages for record in page.records if record.id.endswith("#")}
    told = whole.pop(f"{uid}#")
    assert (told["Subject"], told["Zone"]) == ("Weekly", "Europe/Berlin")
    assert (told["Recurrence"]["rule"], told["Recurrence"]["zone"]) == ("FREQ=WEEKLY;COUNT=4;BYDAY=TU", "Europe/Berlin")
    (private,) = whole.values()
    assert private.keys() == {"Key", "Recurrence", "Sensitivity"} and private["Recurrence"] is None
    office.erase(uid)
    records = [record for page in connector.changes(CALENDAR, [*FIELDS, "Recurrence"], pages[-1].cursor)
               for record in page.records]
    assert {record.state for record in records} == {"deleted"}
    assert f"{uid}#" in {record.id for record in records} and len(records) == 5


def test_an_occurrence_that_goes_is_deleted_and_the_rest_is_not_told_again(office: Office, connector: DominoConnector) -> None:
    uid = office.save(meeting("Weekly", recurrenceRule="FREQ=WEEKLY;COUNT=3"))
    office.pass_time()
    _, cursor = read(connector)
    office.pass_time()
    list(office.connect().write(CALENDAR, [Write("g", "delete", external_id=f"{uid}#2026-12-01T09:00:00Z")]))
    office.pass_time()
    records, cursor = read(connector, cursor)
    assert [(record.id, record.state) for record in records if record.state != "live"] == [
        (f"{uid}#2026-12-01T09:00:00Z", "deleted")]
    assert read(connector, cursor)[0] == []


def test_what_the_window_leaves_behind_is_not_told_and_what_moves_out_of_it_is_no_deletion(
    office: Office, connector: DominoConnector
) -> None:
    office.save(meeting("Old", "2026-11-10"))
    moving = office.save(meeting("Moving"))
    office.pass_time()
    _, cursor = read(connector)
    office.server.clock.move(days=3)
    far = meeting("Moving", "2027-11-24")
    office.server.call(office.server.erase, ANN, moving)
    office.save({**far, "id": moving})
    records, _ = read(connector, cursor)
    assert [(record.id, record.state, (record.values or {}).get("Start")) for record in records] == [
        (moving, "live", "2027-11-24T09:00:00Z")]


def test_private_meetings_are_never_read_beyond_their_times(office: Office, connector: DominoConnector) -> None:
    office.save({**meeting("Dentist", description="Root canal"), "class": "private"})
    office.save({**meeting("Pay", clock="12:00"), "class": "x-secret"})
    before = office.server.counters.calls
    records, _ = read(connector)
    assert [record.values["Sensitivity"] for record in records if record.values] == ["private", "private"]
    assert not [record for record in records if {"Subject", "Body", "Attendees"} & set(record.values or ())]
    assert office.server.counters.calls - before == 2  # the list alone, and once more to see that it ended


def test_one_that_turns_private_is_told_without_its_words(office: Office, connector: DominoConnector) -> None:
    uid = office.save(meeting("Acme"))
    office.pass_time()
    _, cursor = read(connector)
    office.edit(uid, CLASS="PRIVATE")
    ((record,), _) = read(connector, cursor)
    assert record.values and record.values["Sensitivity"] == "private" and "Subject" not in record.values


def test_all_day_meetings_are_dates(office: Office, connector: DominoConnector) -> None:
    office.save({"summary": "Fair", "start": {"date": "2026-11-25"}, "end": {"date": "2026-11-27"}})
    ((record,), _) = read(connector)
    assert record.values and (record.values["Start"], record.values["End"], record.values["IsAllDay"]) == (
        "2026-11-25", "2026-11-27", True)


def test_invitations_tasks_and_repeating_drafts_are_no_meetings(office: Office, connector: DominoConnector) -> None:
    office.server.condition("invitation", mailbox=ANN)
    office.server.condition("task", mailbox=ANN)
    office.server.condition("draft", mailbox=ANN, repeats=True)
    assert read(connector)[0] == []
    assert list(connector.ids(CALENDAR)) == []


def test_a_row_that_cannot_be_read_yet_is_no_meeting_until_it_changes(office: Office, connector: DominoConnector) -> None:
    notice = office.server.condition("invitation", mailbox=ANN)
    entry = office.server.mail_file(ANN).notice(notice)
    assert entry is not None
    entry.master.pop("X-LOTUS-NOTICETYPE")
    office.pass_time()
    records, cursor = read(connector)
    assert records == []
    entry.kind, entry.modified = "event", office.server.stamp()
    assert [record.state for record in read(connector, cursor)[0]] == ["live"]


# Reading the list


@pytest.mark.parametrize("short", [0, 1, 2, 7])
def test_the_list_is_whole_whatever_an_answer_holds(office: Office, connector: DominoConnector, short: int) -> None:
    made = {office.save(meeting(str(number), clock=f"{8 + number % 4:02d}:00")) for number in range(17)}
    office.server.condition("behaviour", short_pages=short)
    try:
        assert {record.id for record in read(connector)[0]} == made
    finally:
        office.server.condition("behaviour", short_pages=0)


def test_nothing_is_missed_when_an_entry_goes_while_the_list_is_read(office: Office, connector: DominoConnector) -> None:
    made = [office.save(meeting(str(number), "2026-11-25", f"{8 + number:02d}:00")) for number in range(8)]
    office.server.condition("behaviour", short_pages=3)

    def act(ordinal: int, request: Any, when: str) -> None:
        if when == "before" and request.param("since", "").startswith("2026-11-25T09"):
            office.server.mail_file(ANN).entries.pop(made[0], None)

    office.server.on_request = act
    try:
        assert set(made[1:]) <= {record.id for record in read(connector)[0]}
    finally:
        office.server.on_request = None
        office.server.condition("behaviour", short_pages=0)


def test_a_change_within_the_second_of_its_stamp_is_seen(office: Office, connector: DominoConnector) -> None:
    uid = office.save(meeting("Review", description="before"))
    _, cursor = read(connector)
    office.edit(uid, DESCRIPTION="after")  # the same second, and nothing that the list shows
    office.pass_time()
    ((record,), cursor) = read(connector, cursor)
    assert record.values and record.values["Body"] == "after"
    assert read(connector, cursor)[0] == []


def test_a_crash_between_pages_reads_only_the_rest_again(office: Office, connector: DominoConnector) -> None:
    for number in range(60):
        office.save(meeting(str(number), clock=f"{8 + number % 4:02d}:00"))
    office.pass_time()
    pages = connector.changes(CALENDAR, FIELDS, None)
    first = next(pages)
    assert len(first.records) == 50 and not first.last
    assert len(read(connector, first.cursor)[0]) == 10


def test_a_cursor_of_another_mail_file_is_refused(office: Office, connector: DominoConnector) -> None:
    _, cursor = read(connector)
    with pytest.raises(CursorExpired):
        list(connector.changes(Stream("calendar", BEN), FIELDS, cursor))


# Bad days


@pytest.mark.parametrize(("fault", "error"), [
    (Fault("status", count=None, args={"status": 401}), AuthenticationFailed),
    (Fault("html", count=None, args={"status": 200}), Unavailable),
    (Fault("stack_trace", count=None), Unavailable),
    (Fault("drop_before", count=None), Unavailable),
])
def test_bad_answers_have_names_and_tell_no_stack_trace(office: Office, fault: Fault, error: type[Exception]) -> None:
    office.server.faults.add(fault)
    connector = office.connect()
    for mailbox in (ANN, BEN):
        connector._door(Stream("calendar", mailbox))._sleep = lambda _seconds: None
    with pytest.raises(error) as raised:
        read(connector)
    assert "StoreException" not in str(raised.value) and "NotesCalendarStore" not in str(raised.value)


def test_a_mail_file_that_does_not_let_us_in_is_named_and_holds_back_no_other(office: Office) -> None:
    office.server.condition("access_denied", mailbox=BEN)
    office.save(meeting("Review"))
    connector = office.connect()
    with pytest.raises(PermissionDenied, match=r"access control list of /mail/bob\.nsf"):
        read(connector, stream=Stream("calendar", BEN))
    assert len(read(connector)[0]) == 1


def test_a_mail_file_that_is_not_there_is_an_error_and_no_empty_calendar(office: Office) -> None:
    connector = office.connect(mailboxes=[{"address": ANN, "database": "mail/gone.nsf"}])
    with pytest.raises(Invalid, match="cserror 259"):
        read(connector)


BROKEN = {
    "no calendar at all": ("nonsense", "utf-8"),
    "a rule with an unknown frequency": ("RRULE:FREQ=SOMETIMES", "utf-8"),
    "a series that fills the window": ("RRULE:FREQ=MINUTELY", "utf-8"),
    "no start": ("X-A:1", "utf-8"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_meeting_is_told_by_name_and_holds_back_no_other(office: Office, connector: DominoConnector, what: str) -> None:
    uid, _fine = office.save(meeting("Broken")), office.save(meeting("Fine"))
    line, encoding = BROKEN[what]
    start = "" if what == "no start" else "DTSTART:20261124T090000Z\r\n"
    text = line if what.startswith("no calendar") else (
        f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:{uid}\r\n{start}SUMMARY:Secret\r\n{line}\r\n"
        "END:VEVENT\r\nEND:VCALENDAR\r\n")
    office.server.condition("raw", mailbox=ANN, uid=uid, text=text, encoding=encoding)
    assert [(record.values or {}).get("Subject") for record in read(connector)[0]] == ["Fine"]
    (problem,) = connector.problems
    assert problem.record == uid and "Secret" not in problem.message


def test_two_uids_in_one_entry_are_told(office: Office, connector: DominoConnector) -> None:
    uid = office.save(meeting("Two"))
    events = "".join(f"BEGIN:VEVENT\r\nUID:{name}\r\nDTSTART:20261124T090000Z\r\nEND:VEVENT\r\n" for name in "ab")
    office.server.condition("raw", mailbox=ANN, uid=uid, text=f"BEGIN:VCALENDAR\r\n{events}END:VCALENDAR\r\n")
    assert read(connector)[0] == [] and "holds 2 meetings" in connector.problems[0].message


def test_latin_1_an_attendee_without_address_and_six_hundred_people_are_read(office: Office, connector: DominoConnector) -> None:
    uid = office.save(meeting("Crowd"))
    people = "".join(f"ATTENDEE;CN=P{number}:mailto:p{number}@acme.example\r\n" for number in range(600))
    text = (f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:{uid}\r\nDTSTART:20261124T090000Z\r\n"
            f"DTEND:20261214T090000Z\r\nSUMMARY:Fête\r\nATTENDEE;CN=Nobody:CN=Nobody/O=Corp\r\n{people}"
            "END:VEVENT\r\nEND:VCALENDAR\r\n")
    office.server.condition("raw", mailbox=ANN, uid=uid, text=text, encoding="latin-1")
    ((record,), _) = read(connector)
    assert record.values and record.values["Subject"] == "Fête" and record.values["End"] == "2026-12-14T09:00:00Z"
    assert len(record.values["Attendees"]) == 601
    assert [each["name"] for each in record.values["Attendees"] if each["address"] is None] == ["Nobody"]


def test_a_zone_that_nobody_knows_is_that_of_the_settings(office: Office, connector: DominoConnector) -> None:
    uid, fine = office.save(meeting("Custom")), office.save(meeting("Fine", "2026-11-25"))
    office.server.condition("raw", mailbox=ANN, uid=uid, text=(
        f'BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:{uid}\r\n'
        'DTSTART;TZID="tzone://Microsoft/Custom":20261124T100000\r\n'
        'DTEND;TZID="tzone://Microsoft/Custom":20261124T113000\r\nSUMMARY:Custom\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n'))
    told = {record.id: record.values or {} for record in read(connector)[0]}
    assert set(told) == {uid, fine} and connector.problems == []
    assert (told[uid]["Start"], told[uid]["End"]) == ("2026-11-24T09:00:00Z", "2026-11-24T10:30:00Z")


# Writing


def test_nobody_is_told_unless_people_are_invited(office: Office, connector: DominoConnector) -> None:
    values = {"Subject": "Plan", "Start": "2026-11-24T09:00:00Z", "End": "2026-11-24T10:00:00Z", "Organizer": ANN,
              "Attendees": [{"address": "zoe@acme.example", "name": "Zoë"}]}
    quiet, loud = connector.write(CALENDAR, [Write("q", "create", values, external_key="rec-1:1"),
                                             Write("l", "create", values, external_key="rec-2:1", mail=True)])
    assert (quiet.status, loud.status) == ("done", "done")
    assert [(mail.kind, mail.recipients) for mail in office.server.outbox()] == [("invitation", ("zoe@acme.example",))]
    assert "ATTENDEE" not in office.server.mail_file(ANN).entries[quiet.external_id or ""].master


def test_a_proxy_that_gave_up_leaves_a_create_unknown(office: Office, connector: DominoConnector) -> None:
    office.server.faults.add("html", method="POST", status=408)
    (outcome,) = connector.write(CALENDAR, [Write("w", "create", {
        "Subject": "Plan", "Start": "2026-11-24T09:00:00Z", "End": "2026-11-24T10:00:00Z"}, external_key="rec-1:1")])
    assert (outcome.status, outcome.error and outcome.error.code) == ("unknown", "unknown-outcome")


def test_a_second_create_for_one_record_is_refused_with_the_first(office: Office, connector: DominoConnector) -> None:
    write = Write("w", "create", {"Subject": "Plan", "Start": "2026-11-24T09:00:00Z", "End": "2026-11-24T10:00:00Z"},
                  external_key="rec-1:1")
    (first,) = connector.write(CALENDAR, [write])
    (second,) = connector.write(CALENDAR, [write])
    assert second.status == "refused" and isinstance(second.error, Duplicate) and second.error.of == (first.external_id,)


def test_a_meeting_that_moved_since_it_was_read_is_not_written(office: Office, connector: DominoConnector) -> None:
    uid = office.save(meeting("Review"))
    office.edit(uid, SUMMARY="Another")
    (outcome,) = connector.write(CALENDAR, [Write("w", "update", {"Subject": "Mine"}, uid, expected={"Subject": "Review"})])
    assert outcome.status == "stale"
    assert str(office.server.mail_file(ANN).entries[uid].master["SUMMARY"]) == "Another"


def test_a_whole_series_is_not_written(office: Office, connector: DominoConnector) -> None:
    uid = office.save(meeting("Weekly", recurrenceRule="FREQ=WEEKLY;COUNT=4"))
    (outcome,) = connector.write(CALENDAR, [Write("w", "update", {"Subject": "Mine"}, uid)])
    assert outcome.status == "refused" and outcome.error is not None and outcome.error.rule == "series"  # type: ignore[attr-defined]


def test_calendars_are_only_read_unless_the_settings_say_so(office: Office) -> None:
    connector = office.connect(write=False)
    assert not connector.capabilities("calendar").writable
    (outcome,) = connector.write(CALENDAR, [Write("w", "create", {"Subject": "x"}, external_key="rec-1:1")])
    assert isinstance(outcome.error, PermissionDenied) and "write = true" in outcome.error.message


# Itself


def test_it_says_that_it_is_experimental(
    office: Office, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("connectors.domino.connector"), "disabled", False)  # other tests configure logs
    connector = office.connect()
    with caplog.at_level(logging.WARNING):
        read(connector)
        read(connector, stream=Stream("calendar", BEN))
    assert caplog.messages == [EXPERIMENTAL]
    assert EXPERIMENTAL in connector.prepare(["calendar"], apply=False)


@pytest.mark.parametrize(("wrong", "named"), [
    ({"url": "ftp://x"}, "url"), ({"url": "https://x/mail"}, "url"), ({"mailboxes": []}, "mailboxes"),
    ({"mailboxes": ["nobody"]}, "mailboxes"), ({"username": ""}, "username"), ({"password": ""}, "password"),
    ({"database": "../names.nsf"}, "database"), ({"database": "mail.nsf"}, "database"), ({"write": "maybe"}, "write"),
    ({"timezone": "Eastern Standard"}, "timezone"), ({"window_past_days": -1}, "window_past_days"),
    ({"ca_file": "/nowhere.pem"}, "ca_file")])
def test_a_wrong_setting_is_named(wrong: dict[str, Any], named: str) -> None:
    table = {"url": "https://x", "username": "u", "password": "p", "mailboxes": [ANN], **wrong}
    with pytest.raises(Invalid) as raised:
        DominoConnector.from_settings(table)
    assert raised.value.field == named


def test_it_names_the_rights_that_it_needs(office: Office) -> None:
    wanted: dict[str, Any] = {"reads": ["Subject"], "writes": [], "creates": False, "deletes": False}
    assert office.connect(write=False).rights("calendar", **wanted).needed[0].startswith("Reader")
    assert office.connect().rights("calendar", **wanted).needed[0].startswith("Editor")
