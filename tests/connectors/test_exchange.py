"""The Exchange connector against the practice server, through the real SDK."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from exchangelib import Attendee, Contact, DistributionList, EWSTimeZone, Mailbox
from exchangelib.items import SEND_TO_ALL_AND_SAVE_COPY
from exchangelib.recurrence import DailyPattern, Recurrence, WeeklyPattern

from connectors.calendars.fields import PRIVATE_FIELDS
from connectors.calendars.identity import meeting_key, occurrence_id
from connectors.exchange import ExchangeConnector
from sandbox.exchange import ExchangeServer
from sandbox.exchange.auth import Application
from sandbox.kit.faults import Fault
from sidefeed.connector import (
    AuthenticationFailed,
    ConnectorError,
    CursorExpired,
    Gone,
    Invalid,
    PermissionDenied,
    RateLimited,
    Remote,
    Stream,
    Unavailable,
    UnknownOutcome,
    Write,
)
from tests.connectors.contract import ConnectorContract
from tests.connectors.exchange_office import (
    ANN,
    BOB,
    CAT,
    MEETING_FIELDS,
    MONDAY,
    PASSWORD,
    CalendarKit,
    ContactsKit,
    Office,
    at,
    day,
    practice_server,
    read,
)

CALENDAR, CONTACTS = Stream("calendar", ANN), Stream("contacts", ANN)
BERLIN = EWSTimeZone("Europe/Berlin")


@pytest.fixture(scope="module")
def server() -> Iterator[ExchangeServer]:
    server = practice_server()
    server.save_snapshot("empty")
    yield server
    crashes = [crash.traceback for crash in server.crashes]
    server.stop()
    assert not crashes, crashes[0]


@pytest.fixture
def office(server: ExchangeServer) -> Iterator[Office]:
    server.restore_snapshot("empty")
    server.faults.clear()
    server.clock.fix("2026-11-23T08:00:00Z")
    office = Office(server)
    yield office
    office.close()
    server.faults.clear()
    assert not office.mailed(), "no test here may mail anybody"


class TestCalendarContract(ConnectorContract):
    @pytest.fixture
    def kit(self, office: Office) -> CalendarKit:
        return CalendarKit(office)


class TestContactsContract(ConnectorContract):
    @pytest.fixture
    def kit(self, office: Office) -> ContactsKit:
        return ContactsKit(office)


def standup(office: Office, **values: Any) -> Any:
    """A meeting on every weekday from Monday on, 09:00 in Berlin, for three weeks."""
    values.setdefault("start", at(0, 9, zone="Europe/Berlin"))
    values.setdefault("end", values["start"] + timedelta(minutes=15))
    first = values["start"].date()
    rule = Recurrence(
        pattern=WeeklyPattern(interval=1, weekdays=["Monday", "Tuesday", "Wednesday", "Thursday", "Friday"]),
        start=first, number=15,
    )  # fmt: skip
    return office.meets("Stand-up", recurrence=values.pop("recurrence", rule), **values)


def live(records: dict[str, Remote]) -> dict[str, dict[str, Any]]:
    return {key: dict(record.values or {}) for key, record in records.items() if record.state == "live"}


def starts(records: dict[str, Remote]) -> list[str]:
    return sorted(values["Start"] for values in live(records).values())


# Meetings


def test_a_meeting_is_told_as_plain_data(office: Office) -> None:
    people = [
        Attendee(mailbox=Mailbox(name="Zoe", email_address="Zoe@Acme.example"), response_type="Accept"),
        Attendee(mailbox=Mailbox(name="Bob", email_address=BOB), response_type="Unknown"),
    ]
    made = office.meets(
        "Kick-off", location="Room 1", required_attendees=people, start=at(1, 10, zone="Europe/Berlin"),
        legacy_free_busy_status="OOF",
    )  # fmt: skip
    records, _ = read(office.connect(), CALENDAR)
    record = records[made.id]
    assert record.version and record.modified is not None
    assert record.values == {
        "Key": meeting_key(record.values["UID"], "single"), "UID": record.values["UID"], "OriginalStart": "single",
        "Subject": "Kick-off", "Start": "2026-11-24T09:00:00Z", "End": "2026-11-24T10:00:00Z", "Zone": "Europe/Berlin",
        "IsAllDay": False, "Location": "Room 1", "Sensitivity": "normal", "Organizer": ANN, "IsOrganizer": True,
        "Attendees": [
            {"address": BOB, "name": "Bob", "role": "required", "response": "none"},
            {"address": "zoe@acme.example", "name": "Zoe", "role": "required", "response": "accept"},
        ],
        "MyResponse": "organizer", "IsCancelled": False, "ShowAs": "oof", "JoinUrl": None, "Series": False,
    }  # fmt: skip


def test_the_same_meeting_in_two_mailboxes_has_one_key(server: ExchangeServer, office: Office) -> None:
    guest = Attendee(mailbox=Mailbox(name="Bob", email_address=BOB), response_type="Unknown")
    office.meets("Review", required_attendees=[guest], send=SEND_TO_ALL_AND_SAVE_COPY)
    assert [mail.recipients for mail in office.mailed()] == [(BOB,)]  # a person mailed, not the connector
    server.call(server.world.ledger.clear)
    connector = office.connect()
    (mine,) = live(read(connector, CALENDAR)[0]).values()
    (theirs,) = live(read(connector, Stream("calendar", BOB))[0]).values()
    assert mine["Key"] == theirs["Key"]
    assert (mine["IsOrganizer"], theirs["IsOrganizer"]) == (True, False)
    assert (theirs["Organizer"], theirs["MyResponse"]) == (ANN, "none")


def test_a_body_is_read_only_where_the_settings_allow_it(office: Office) -> None:
    made = office.meets("Agenda", body="secret plans")
    fields = ["Subject", "Body"]
    closed, _ = read(office.connect(), CALENDAR, fields=fields)
    opened, _ = read(office.connect(read_bodies=True), CALENDAR, fields=fields)
    assert closed[made.id].values == {"Subject": "Agenda"}
    assert opened[made.id].values == {"Subject": "Agenda", "Body": "secret plans"}


def test_the_first_read_leaves_out_what_lies_outside_the_window(office: Office) -> None:
    inside = office.meets("soon")
    office.meets("long ago", start=at(-100, 9))
    later = office.meets("next year", start=at(200, 9))
    connector = office.connect()
    records, cursor = read(connector, CALENDAR)
    assert set(records) == {inside.id}
    office.edits(later.id, location="moved room")
    assert set(read(connector, CALENDAR, cursor)[0]) == {later.id}


def test_a_meeting_appears_when_the_window_reaches_it_and_does_not_vanish_when_it_is_left(office: Office) -> None:
    connector = office.connect(window_past_days=5, window_future_days=10)
    past, future = office.meets("past", start=at(-4, 9)), office.meets("future", start=at(13, 9))
    records, cursor = read(connector, CALENDAR)
    assert set(records) == {past.id}
    office.server.clock.move(days=4)
    records, cursor = read(connector, CALENDAR, cursor)
    assert {key: record.state for key, record in records.items()} == {future.id: "live"}
    before = office.calls()
    assert read(connector, CALENDAR, cursor)[0] == {}
    assert office.calls() - before == 1


def test_a_cancelled_meeting_is_live_and_says_so(server: ExchangeServer, office: Office) -> None:
    guest = Attendee(mailbox=Mailbox(email_address=BOB), response_type="Unknown")
    made = office.meets("Off", required_attendees=[guest], send=SEND_TO_ALL_AND_SAVE_COPY)
    connector, stream = office.connect(), Stream("calendar", BOB)
    _, cursor = read(connector, stream)
    with office.people():
        office.outlook().calendar.get(id=made.id).cancel()
    server.call(server.world.ledger.clear)
    records, _ = read(connector, stream, cursor)
    assert [values["IsCancelled"] for values in live(records).values()] == [True]


# Series


def test_a_series_is_told_as_its_occurrences_in_the_window(office: Office) -> None:
    made = standup(office)
    connector = office.connect(window_past_days=0, window_future_days=4)
    records, _ = read(connector, CALENDAR)
    assert starts(records) == [f"2026-11-{date}T08:00:00Z" for date in (23, 24, 25, 26, 27)]
    assert made.id not in records
    for record_id, values in live(records).items():
        assert record_id == occurrence_id(made.id, values["Start"])
        assert (values["OriginalStart"], values["Series"], values["Subject"]) == (values["Start"], True, "Stand-up")
        assert values["Key"] == meeting_key(values["UID"], values["Start"])


def test_occurrences_keep_the_wall_clock_over_a_change_of_daylight_saving(office: Office) -> None:
    office.server.clock.fix("2026-03-20T08:00:00Z")
    begins = at(0, 9, zone="Europe/Berlin").replace(year=2026, month=3, day=27)
    rule = Recurrence(pattern=DailyPattern(interval=1), start=begins.date(), number=4)
    standup(office, start=begins, end=begins + timedelta(hours=1), recurrence=rule)
    records, _ = read(office.connect(), CALENDAR)
    assert starts(records) == [
        "2026-03-27T08:00:00Z", "2026-03-28T08:00:00Z", "2026-03-29T07:00:00Z", "2026-03-30T07:00:00Z",
    ]  # fmt: skip


def test_a_moved_occurrence_keeps_its_id_and_key(office: Office) -> None:
    made = standup(office)
    connector = office.connect()
    before, cursor = read(connector, CALENDAR)
    tuesday = occurrence_id(made.id, "2026-11-24T08:00:00Z")
    with office.people():
        moved = office.outlook().calendar.get(id=made.id).occurrence(2)
        moved.start, moved.end, moved.location = at(1, 15), at(1, 16), "Room 9"
        moved.save(update_fields=["start", "end", "location"])
    after, _ = read(connector, CALENDAR, cursor)
    values = after[tuesday].values
    assert values["Key"] == before[tuesday].values["Key"]
    assert (values["Start"], values["Location"], values["OriginalStart"]) == (
        "2026-11-24T15:00:00Z", "Room 9", "2026-11-24T08:00:00Z",
    )  # fmt: skip
    (fetched,) = connector.fetch(CALENDAR, MEETING_FIELDS, [tuesday])
    assert fetched.values == values
    assert [record for record in after.values() if record.state == "deleted"] == []


def test_an_occurrence_moved_out_of_the_window_is_told_with_its_new_time(office: Office) -> None:
    made = standup(office)
    connector = office.connect(window_future_days=20)
    _, cursor = read(connector, CALENDAR)
    with office.people():
        moved = office.outlook().calendar.get(id=made.id).occurrence(15)
        moved.start, moved.end = at(40, 15), at(40, 16)
        moved.save(update_fields=["start", "end"])
    last = occurrence_id(made.id, "2026-12-11T08:00:00Z")
    after, cursor = read(connector, CALENDAR, cursor)
    assert (after[last].state, after[last].values["Start"]) == ("live", "2027-01-02T15:00:00Z")
    (fetched,) = connector.fetch(CALENDAR, ["Start"], [last])
    assert fetched.values == {"Start": "2027-01-02T15:00:00Z"}


def test_a_deleted_occurrence_is_one_deletion(office: Office) -> None:
    made = standup(office)
    connector = office.connect()
    _, cursor = read(connector, CALENDAR)
    with office.people():
        office.outlook().calendar.get(id=made.id).occurrence(3).delete(send_meeting_cancellations="SendToNone")
    after, _ = read(connector, CALENDAR, cursor)
    gone = occurrence_id(made.id, "2026-11-25T08:00:00Z")
    assert [key for key, record in after.items() if record.state == "deleted"] == [gone]
    answers = {each.id: each.state for each in connector.fetch(CALENDAR, ["Start"], [gone, *after])}
    assert answers.pop(gone) == "deleted" and set(answers.values()) == {"live"}


def test_a_deleted_series_deletes_the_occurrences_that_were_told(office: Office) -> None:
    made = standup(office)
    connector = office.connect()
    before, cursor = read(connector, CALENDAR)
    office.deletes(made.id)
    after, _ = read(office.connect(), CALENDAR, cursor)
    assert {key for key, record in after.items() if record.state == "deleted"} == set(before)
    assert {each.state for each in connector.fetch(CALENDAR, ["Start"], list(before))} == {"deleted"}


def test_an_occurrence_that_the_window_left_is_no_deletion(office: Office) -> None:
    made = standup(office)
    connector = office.connect(window_past_days=2)
    before, cursor = read(connector, CALENDAR)
    office.server.clock.move(days=7)
    slid, cursor = read(connector, CALENDAR, cursor)
    office.edits(made.id, location="Room 2")
    after, cursor = read(connector, CALENDAR, cursor)
    assert [record for record in (*slid.values(), *after.values()) if record.state == "deleted"] == []
    assert 0 < len(after) < len(before)


def test_what_began_before_the_window_stays_as_it_was_told_when_its_series_changes(office: Office) -> None:
    made = standup(office)
    connector = office.connect(window_past_days=0)
    _, cursor = read(connector, CALENDAR)
    office.server.clock.move(days=7)
    office.edits(made.id, recurrence=Recurrence(pattern=DailyPattern(interval=1), start=day(0), number=1))
    after, _ = read(connector, CALENDAR, cursor)
    assert min(after) == occurrence_id(made.id, "2026-11-30T08:00:00Z")
    assert {record.state for record in after.values()} == {"deleted"} and len(after) == 10


def test_a_shorter_series_tells_what_no_longer_takes_place(office: Office) -> None:
    made = standup(office)
    connector = office.connect()
    _, cursor = read(connector, CALENDAR)
    rule = Recurrence(pattern=DailyPattern(interval=1), start=day(0), number=2)
    office.edits(made.id, recurrence=rule)
    after, cursor = read(connector, CALENDAR, cursor)
    assert starts(after) == ["2026-11-23T08:00:00Z", "2026-11-24T08:00:00Z"]
    assert len([record for record in after.values() if record.state == "deleted"]) == 13


def test_a_single_meeting_that_becomes_a_series_lives_on_in_its_first_occurrence(office: Office) -> None:
    made = office.meets("Once", start=at(0, 9), end=at(0, 10))
    connector = office.connect()
    _, cursor = read(connector, CALENDAR)
    office.edits(made.id, recurrence=Recurrence(pattern=DailyPattern(interval=1), start=day(0), number=3))
    first = occurrence_id(made.id, "2026-11-23T09:00:00Z")
    after, cursor = read(connector, CALENDAR, cursor)
    assert after[made.id].merged_into == first
    assert starts(after) == ["2026-11-23T09:00:00Z", "2026-11-24T09:00:00Z", "2026-11-25T09:00:00Z"]
    (fetched,) = connector.fetch(CALENDAR, ["Start"], [made.id])
    assert fetched.merged_into == first


def test_a_series_that_becomes_a_single_meeting_lives_on_in_it(office: Office) -> None:
    made = standup(office)
    connector = office.connect()
    before, cursor = read(connector, CALENDAR)
    office.edits(made.id, recurrence=None)
    after, _ = read(connector, CALENDAR, cursor)
    assert after[made.id].values["Start"] == "2026-11-23T08:00:00Z" and after[made.id].values["Series"] is False
    merged = [key for key, record in after.items() if record.merged_into == made.id]
    assert merged == [occurrence_id(made.id, "2026-11-23T08:00:00Z")]
    assert {key for key, record in after.items() if record.state == "deleted"} == set(before)


def test_two_series_that_share_a_uid_keep_their_own_occurrences(server: ExchangeServer, office: Office) -> None:
    def make(hour: int) -> str:
        start = MONDAY.replace(hour=hour)
        made = server.create_event(
            ANN, subject=f"at {hour}", uid="reused", start=start, end=start + timedelta(hours=1),
            recurrence={"daily": 1, "count": 2},
        )  # fmt: skip
        return server.world.item_id(made)

    nine, ten = server.call(make, 9), server.call(make, 10)
    records, _ = read(office.connect(), CALENDAR)
    assert {key: values["Subject"] for key, values in live(records).items()} == {
        occurrence_id(nine, "2026-11-23T09:00:00Z"): "at 9", occurrence_id(nine, "2026-11-24T09:00:00Z"): "at 9",
        occurrence_id(ten, "2026-11-23T10:00:00Z"): "at 10", occurrence_id(ten, "2026-11-24T10:00:00Z"): "at 10",
    }  # fmt: skip
    assert {each.state for each in office.connect().fetch(CALENDAR, ["Start"], list(records))} == {"live"}


def test_an_endless_series_is_read_no_further_than_the_window(server: ExchangeServer, office: Office) -> None:
    server.call(lambda: server.create_event(ANN, subject="for ever", start=MONDAY.replace(year=2010, hour=9), recurrence={"daily": 1}))
    connector = office.connect(window_past_days=1, window_future_days=1)
    assert starts(read(connector, CALENDAR)[0]) == [f"2026-11-{date}T09:00:00Z" for date in (22, 23, 24)]


def test_six_hundred_people_and_twenty_days_are_one_meeting(office: Office) -> None:
    crowd = [Attendee(mailbox=Mailbox(email_address=f"p{number}@acme.example"), response_type="Unknown")
             for number in range(600)]
    made = office.meets("Fair", start=at(1, 9), end=at(21, 9), required_attendees=crowd)
    (values,) = live(read(office.connect(), CALENDAR)[0]).values()
    assert (values["Start"], values["End"]) == ("2026-11-24T09:00:00Z", "2026-12-14T09:00:00Z")
    assert len({each["address"] for each in values["Attendees"]} - {ANN}) == 600, made.id


def test_new_occurrences_enter_with_the_days(office: Office) -> None:
    made = standup(office)
    connector = office.connect(window_past_days=0, window_future_days=1)
    records, cursor = read(connector, CALENDAR)
    assert starts(records) == ["2026-11-23T08:00:00Z", "2026-11-24T08:00:00Z"]
    office.server.clock.move(days=1)
    records, cursor = read(connector, CALENDAR, cursor)
    assert starts(records) == ["2026-11-25T08:00:00Z"]
    office.deletes(made.id)
    records, _ = read(connector, CALENDAR, cursor)
    assert {split for split in records if records[split].state == "deleted"} == {
        occurrence_id(made.id, f"2026-11-{date}T08:00:00Z") for date in (24, 25)
    }


def test_all_day_series_are_known_by_dates(office: Office) -> None:
    rule = Recurrence(pattern=DailyPattern(interval=1), start=day(0), number=3)
    auckland = EWSTimeZone("Pacific/Auckland")
    made = office.meets(
        "Fair", start=day(0), end=day(0), is_all_day=True, recurrence=rule, _start_timezone=auckland,
        _end_timezone=auckland,
    )  # fmt: skip
    records, _ = read(office.connect(), CALENDAR)
    assert sorted(records) == [occurrence_id(made.id, f"2026-11-{date}") for date in (23, 24, 25)]
    assert {values["OriginalStart"]: values["End"] for values in live(records).values()} == {
        "2026-11-23": "2026-11-24", "2026-11-24": "2026-11-25", "2026-11-25": "2026-11-26",
    }  # fmt: skip
    answers = list(office.connect().fetch(CALENDAR, ["Start"], list(records)))
    assert [each.values["Start"] for each in answers] == ["2026-11-23", "2026-11-24", "2026-11-25"]


def test_the_census_lists_meetings_and_occurrences_with_the_versions_that_were_read(office: Office) -> None:
    made = standup(office)
    office.meets("single")
    with office.people():
        moved = office.outlook().calendar.get(id=made.id).occurrence(2)
        moved.location = "Room 9"
        moved.save(update_fields=["location"])
    connector = office.connect()
    records, _ = read(connector, CALENDAR)
    assert dict(connector.ids(CALENDAR)) == {key: record.version for key, record in records.items()}


def test_a_series_costs_a_view_and_its_master_however_many_occurrences_it_has(office: Office) -> None:
    standup(office)
    connector = office.connect()
    read(connector, CALENDAR)
    assert office.calls() == connector.calls.used == connector.calls.minimum == 3


@pytest.mark.parametrize("limit", ["partial", "error"])
def test_a_view_that_is_too_full_is_asked_for_in_halves(server: ExchangeServer, office: Office, limit: str) -> None:
    before = server.find_limit, server.view_limit
    try:
        server.find_limit, server.view_limit = 4, limit
        standup(office)
        records, _ = read(office.connect(), CALENDAR)
    finally:
        server.find_limit, server.view_limit = before
    assert len(records) == 15


# All-day meetings


@pytest.mark.parametrize("zone", ["Pacific/Auckland", "America/Los_Angeles", "Asia/Kolkata", "Europe/Berlin", "UTC"])
def test_an_all_day_meeting_stays_on_its_day_there_and_back(office: Office, zone: str) -> None:
    made = office.meets(
        "Off", start=day(1), end=day(1), is_all_day=True, _start_timezone=EWSTimeZone(zone),
        _end_timezone=EWSTimeZone(zone),
    )  # fmt: skip
    connector = office.connect()
    records, _ = read(connector, CALENDAR, fields=["Start", "End", "IsAllDay"])
    assert records[made.id].values == {"Start": "2026-11-24", "End": "2026-11-25", "IsAllDay": True}
    values = {"Subject": "copy", "Start": "2026-11-26", "End": "2026-11-28", "IsAllDay": True, "Zone": zone}
    (outcome,) = connector.write(CALENDAR, [Write("w", "create", values, external_key="rec:1")])
    assert outcome.status == "done", outcome
    (copy,) = connector.fetch(CALENDAR, ["Start", "End", "IsAllDay", "Zone"], [outcome.external_id])
    assert copy.values == {name: value for name, value in values.items() if name != "Subject"}


@pytest.mark.parametrize("process_zone", ["Pacific/Auckland", "America/Los_Angeles", "UTC"])
def test_the_zone_of_the_process_changes_nothing(office: Office, process_zone: str) -> None:
    standup(office)
    office.meets("Off", start=day(1), end=day(1), is_all_day=True)
    script = (
        "import sys, json\n"
        "from connectors.exchange import ExchangeConnector\n"
        "c = ExchangeConnector.from_settings(json.loads(sys.argv[1]))\n"
        "s = c.streams('calendar')[0]\n"
        "pages = c.changes(s, ['Start', 'End', 'Key'], None)\n"
        "print(json.dumps(sorted([r.id, r.values['Start'], r.values['End'], r.values['Key']]\n"
        "                        for p in pages for r in p.records)))\n"
    )
    import json
    import os

    root = Path(__file__).resolve().parents[2]
    ran = subprocess.run(
        [sys.executable, "-c", script, json.dumps(office.settings())], cwd=root, capture_output=True, text=True,
        env={**os.environ, "TZ": process_zone, "PYTHONPATH": str(root)}, check=True,
    )  # fmt: skip
    records, _ = read(office.connect(), CALENDAR)
    assert json.loads(ran.stdout) == sorted(
        [key, values["Start"], values["End"], values["Key"]] for key, values in live(records).items()
    )


@pytest.mark.parametrize("zone_id", ["tzone://Microsoft/Custom", "Customized Time Zone"])
def test_a_zone_that_nobody_can_name_fails_no_listing(office: Office, zone_id: str) -> None:
    odd, plain = office.meets("odd"), office.meets("plain")
    office.rezone(odd.id, zone_id)
    records, _ = read(office.connect(), CALENDAR, fields=["Subject", "Start", "Zone"])
    assert records[odd.id].values == {"Subject": "odd", "Start": "2026-11-24T09:00:00Z", "Zone": zone_id}
    assert records[plain.id].values["Subject"] == "plain"


# Privacy


@pytest.mark.parametrize("sensitivity", ["Private", "Personal", "Confidential"])
def test_a_private_meeting_never_carries_its_subject(
    server: ExchangeServer, office: Office, sensitivity: str, caplog: pytest.LogCaptureFixture
) -> None:
    guest = Attendee(mailbox=Mailbox(name="xyzzy", email_address="xyzzy@clinic.example"), response_type="Unknown")
    private = {
        "sensitivity": sensitivity, "location": "xyzzy street", "body": "xyzzy pills", "required_attendees": [guest],
    }  # fmt: skip
    made = office.meets("xyzzy appointment", **private)
    series = standup(office, **private)
    public = office.meets("public")
    with caplog.at_level(logging.DEBUG):
        connector = office.connect(read_bodies=True)
        fields = [*MEETING_FIELDS, "Body"]
        said: list[str] = []
        records, cursor = read(connector, CALENDAR, fields=fields, check=lambda page: said.append(repr(page)))
        fetched = list(connector.fetch(CALENDAR, fields, [*records, made.id]))
        list(connector.ids(CALENDAR))
        office.edits(made.id, start=at(2, 9), end=at(2, 10))
        office.edits(series.id, location="xyzzy again")
        read(connector, CALENDAR, cursor, fields, check=lambda page: said.append(repr(page)))
    for record in (*records.values(), *fetched):
        if record.id != public.id:
            assert set(record.values) == set(PRIVATE_FIELDS)
            assert record.values["Sensitivity"] == sensitivity.lower()
    logged = [each.getMessage() for each in caplog.records]
    assert "xyzzy" not in repr(said) + repr(fetched) + repr(logged)
    assert "public" in repr(said)


def test_the_content_of_a_private_meeting_is_not_even_asked_for(server: ExchangeServer, office: Office) -> None:
    office.meets("xyzzy appointment", sensitivity="Private", location="xyzzy street")
    standup(office, sensitivity="Private")
    sent = spy(server)
    connector = office.connect()
    records, _ = read(connector, CALENDAR)
    list(connector.fetch(CALENDAR, MEETING_FIELDS, list(records)))
    list(connector.ids(CALENDAR))
    server.on_request = None
    assert len(sent) >= 6
    for body in sent:
        assert b"item:Subject" not in body and b"calendar:Location" not in body and b"Attendees" not in body


def test_a_meeting_made_private_later_says_so_and_no_more(office: Office) -> None:
    made = office.meets("xyzzy appointment")
    connector = office.connect()
    _, cursor = read(connector, CALENDAR)
    office.edits(made.id, sensitivity="Private")
    records, _ = read(connector, CALENDAR, cursor)
    assert records[made.id].values["Sensitivity"] == "private"
    assert "Subject" not in records[made.id].values


def test_a_private_contact_is_not_read(office: Office) -> None:
    with office.people():
        account = office.outlook()
        hidden = Contact(
            account=account, folder=account.contacts, display_name="xyzzy", company_name="xyzzy", sensitivity="Private"
        ).save()
        DistributionList(account=account, folder=account.contacts, display_name="xyzzy list").save()
        shown = Contact(account=account, folder=account.contacts, display_name="Zoe").save()
    connector = office.connect()
    fields = ["DisplayName", "CompanyName"]
    records, _ = read(connector, CONTACTS, fields=fields)
    assert {shown.id} == {external_id for external_id, _ in connector.ids(CONTACTS)}
    assert {each: (one.state, one.values is None) for each, one in records.items()} == {
        shown.id: ("live", False), hidden.id: ("private", True)}
    (answer,) = connector.fetch(CONTACTS, fields, [hidden.id])
    assert (answer.state, answer.values) == ("private", None)


def spy(server: ExchangeServer) -> list[bytes]:
    """The bodies of all requests from now on."""
    sent: list[bytes] = []

    def hear(ordinal: int, request: Any, phase: str) -> None:
        if phase == "before":
            sent.append(request.body)

    server.on_request = hear
    return sent


# Cursors and failures


def test_pages_carry_cursors_that_a_crash_can_continue_from(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    from connectors.exchange import operations

    monkeypatch.setattr(operations, "SYNC_PAGE", 4)
    singles = {office.meets(f"meeting {n}").id for n in range(6)}
    series = standup(office)
    connector = office.connect()
    feed = connector.changes(CALENDAR, MEETING_FIELDS, None)
    first = next(feed)
    assert not first.last
    feed.close()
    rest, cursor = read(office.connect(), CALENDAR, first.cursor)
    seen = {record.id for record in first.records} | set(rest)
    assert singles < seen and len(seen) == 6 + 15
    assert all(each.startswith(series.id) for each in seen - singles)
    assert read(office.connect(), CALENDAR, cursor)[0] == {}


def test_a_forgotten_sync_state_expires_the_cursor(server: ExchangeServer, office: Office) -> None:
    office.meets("one")
    connector = office.connect()
    _, cursor = read(connector, CALENDAR)
    server.call(server.condition, "forget_sync_states")
    with pytest.raises(CursorExpired):
        read(connector, CALENDAR, cursor)


def test_a_cursor_of_another_mailbox_is_refused(office: Office) -> None:
    connector = office.connect()
    _, cursor = read(connector, CALENDAR)
    with pytest.raises(CursorExpired):
        read(connector, Stream("calendar", BOB), cursor)
    assert office.calls() == 1  # nobody was asked


def test_no_access_to_one_mailbox_is_told_by_name_and_stops_no_other(server: ExchangeServer, office: Office) -> None:
    office.meets("bob's", BOB)
    server.call(server.condition, "access_denied", mailbox=ANN)
    connector = office.connect()
    with pytest.raises(PermissionDenied, match=ANN):
        read(connector, CALENDAR)
    assert len(read(connector, Stream("calendar", BOB))[0]) == 1
    assert len(read(connector, Stream("mailboxes"), fields=["address"])[0]) == 3


def test_a_mailbox_that_does_not_exist_is_told_by_name(office: Office) -> None:
    connector = office.connect(mailboxes=["nobody@practice.example"])
    with pytest.raises(PermissionDenied, match="nobody@practice"):
        read(connector, Stream("calendar", "nobody@practice.example"))


def test_a_wrong_password_is_final_after_one_call(office: Office) -> None:
    connector = office.connect(password="wrong horse")
    with pytest.raises(AuthenticationFailed) as refused:
        read(connector, CALENDAR)
    assert office.calls() == connector.calls.used == 1
    assert "wrong horse" not in str(refused.value)
    with pytest.raises(AuthenticationFailed):
        list(connector.write(CALENDAR, [new("w", "rec:1")]))


@pytest.mark.parametrize(
    ("fault", "wait"),
    [
        (Fault("status", args={"status": 429, "retry_after": 7}), 7),
        (Fault("status", args={"status": 503, "retry_after": 90}), 90),
        (Fault("busy", args={"backoff_ms": 2500}), 2.5),
        (Fault("busy", args={"backoff_ms": 2500, "status": 200}), 2.5),
        (Fault("busy", args={}), 10),
    ],
)
def test_throttling_is_told_with_the_wait_and_nothing_is_repeated(office: Office, fault: Fault, wait: float) -> None:
    office.server.faults.add(fault)
    connector = office.connect()
    with pytest.raises(RateLimited) as limited:
        read(connector, CALENDAR)
    assert limited.value.retry_after == pytest.approx(wait)
    assert office.calls() == 1
    assert read(connector, CALENDAR)[0] == {}


@pytest.mark.parametrize(
    "fault",
    [
        Fault("status", args={"status": 503}), Fault("html"), Fault("drop_before"), Fault("truncate"),
        Fault("drop_after"), Fault("empty", args={"status": 500}), Fault("html", args={"status": 200}),
        Fault("status", args={
            "status": 302, "headers": {"Location": "/ews/genericerrorpage.htm?aspxerrorpath=/ews/exchange.asmx"}}),
    ],
    ids=lambda fault: f"{fault.kind} {fault.args.get('status', '')}",
)  # fmt: skip
def test_a_read_survives_one_passing_failure_of_any_kind(office: Office, fault: Fault) -> None:
    office.meets("one")
    office.server.faults.add(fault)
    assert len(read(office.connect(), CALENDAR)[0]) == 1


def test_an_unreachable_host_is_unavailable_and_named(office: Office) -> None:
    connector = office.connect(endpoint="http://127.0.0.1:9/EWS/Exchange.asmx")
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:9.*Connection refused"):
        read(connector, CALENDAR)
    (outcome,) = connector.write(CALENDAR, [new("w", "rec:1")])
    assert outcome.status == "retry"  # nothing was sent, so nothing is in doubt


def test_a_wrong_path_says_what_to_set(office: Office) -> None:
    connector = office.connect(endpoint=f"{office.server.url}/owa")
    with pytest.raises(ConnectorError, match="endpoint"):
        read(connector, CALENDAR)


def test_a_403_says_whose_permission_is_missing(office: Office) -> None:
    office.server.faults.add("status", status=403)
    with pytest.raises(PermissionDenied, match="Is EWS allowed"):
        read(office.connect(), CALENDAR)


@pytest.mark.parametrize("refusal", [("status", {"status": 403}), ("soap", {"code": "ErrorAccessDenied"})])
def test_a_refusal_by_exchange_online_is_no_failed_login(
    office: Office, refusal: tuple[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", office.server.url)  # the practice server plays the proxy on the way there
    monkeypatch.setenv("NO_PROXY", "")
    endpoint = "http://outlook.office365.com/EWS/Exchange.asmx"
    office.server.faults.add(refusal[0], args=refusal[1])
    with pytest.raises(PermissionDenied) as refused:
        read(office.connect(endpoint=endpoint, allow_http=True, allow_exchange_online=True, client_id="app-1"), CALENDAR)
    assert "2026-10-01" in refused.value.message and "2027-04-01" in refused.value.message


def test_a_refused_request_is_sent_once_and_the_servers_reason_survives(office: Office) -> None:
    office.server.faults.add("soap", code="ErrorInvalidRequest", message="The request is invalid because of X.")
    with pytest.raises(ConnectorError, match="because of X") as refused:
        read(office.connect(), CALENDAR)
    assert refused.value.code == "ErrorInvalidRequest"
    assert office.calls() == 1


def test_a_closed_connection_is_not_taken_for_a_busy_server(office: Office) -> None:
    office.server.faults.add("status", status=401, headers={"Connection": "close"})
    with pytest.raises(AuthenticationFailed):
        read(office.connect(), CALENDAR)


@pytest.mark.parametrize(("kind", "args"), [("item_busy", {"item": 1}), ("inner_busy", {})])
def test_a_read_throttled_half_way_stores_nothing_and_is_complete_the_next_time(
    office: Office, kind: str, args: dict[str, Any]
) -> None:
    made = {office.meets(f"meeting {n}").id for n in range(3)}
    office.server.faults.add(kind, contains="GetItem", args=args)
    connector = office.connect()
    with pytest.raises(RateLimited):
        read(connector, CALENDAR)
    assert set(read(connector, CALENDAR)[0]) == made


def test_items_of_an_unknown_kind_are_passed_over(server: ExchangeServer, office: Office) -> None:
    server.call(server.condition, "unknown_item_type", mailbox=ANN)
    made = office.meets("known")
    connector = office.connect()
    assert set(read(connector, CALENDAR)[0]) == {made.id} == {each for each, _ in connector.ids(CALENDAR)}


def test_every_request_that_writes_says_that_nobody_is_mailed(server: ExchangeServer, office: Office) -> None:
    connector = office.connect()
    sent = spy(server)
    (made,) = connector.write(CALENDAR, [new("w", "rec:1")])
    update = Write("w", "update", {"Subject": "x"}, external_id=made.external_id, version=made.version)
    (changed,) = connector.write(CALENDAR, [update])
    list(connector.write(CALENDAR, [Write("w", "delete", external_id=made.external_id, version=changed.version)]))
    server.on_request = None
    create, change_, _, delete = sent
    assert b'SendMeetingInvitations="SendToNone"' in create
    assert b'SendMeetingInvitationsOrCancellations="SendToNone"' in change_
    assert b'ConflictResolution="NeverOverwrite"' in change_
    assert b'SendMeetingCancellations="SendToNone"' in delete and b'DeleteType="MoveToDeletedItems"' in delete


# Writing


def new(key: str, external_key: str, **values: Any) -> Write:
    made = {"Subject": key, "Start": "2026-11-24T09:00:00Z", "End": "2026-11-24T10:00:00Z", **values}
    return Write(key, "create", made, external_key=external_key)


def change(record: Remote, **values: Any) -> Write:
    expected = {name: (record.values or {}).get(name) for name in values}
    return Write("w", "update", values, external_id=record.id, version=record.version, expected=expected)


def test_partial_throttling_of_creates_loses_and_doubles_nothing(server: ExchangeServer, office: Office) -> None:
    connector = office.connect()
    server.faults.add("busy", skip=2, count=1, args={"backoff_ms": 1000})
    writes = [new(f"b{n}", f"rec-{n}:1") for n in range(5)]
    outcomes = list(connector.write(CALENDAR, writes))
    assert [each.status for each in outcomes] == ["done", "done", "retry", "retry", "retry"]
    assert office.calls() == 3  # sending on would prolong it
    again = [write for write, outcome in zip(writes, outcomes, strict=True) if outcome.status == "retry"]
    assert {each.status for each in connector.write(CALENDAR, again)} == {"done"}
    found = connector.find(CALENDAR, [write.external_key or "" for write in writes])
    assert [len(found[write.external_key or ""]) for write in writes] == [1] * 5


def test_a_new_meeting_has_no_attendees_and_mails_nobody(office: Office) -> None:
    connector = office.connect()
    (outcome,) = connector.write(CALENDAR, [new("Call", "rec:1")])
    assert outcome.status == "done"
    (alone,) = connector.write(CALENDAR, [new("Call", "rec:2", Attendees=[{"address": "zoe@acme.example"}])])
    assert alone.status == "done" and "Attendees" not in (alone.seen or {})
    for made in (outcome, alone):
        (record,) = connector.fetch(CALENDAR, ["Attendees"], [made.external_id or ""])
        assert record.values == {"Attendees": []}
    assert office.server.call(office.server.outbox) == []


def test_writing_a_meeting_with_attendees_tells_none_of_them(office: Office) -> None:
    guest = Attendee(mailbox=Mailbox(email_address=BOB), response_type="Unknown")
    made = office.meets("Review", required_attendees=[guest])
    connector = office.connect()
    (record,) = connector.fetch(CALENDAR, MEETING_FIELDS, [made.id])
    (moved,) = connector.write(
        CALENDAR, [change(record, Start="2026-11-25T09:00:00Z", End="2026-11-25T10:00:00Z", Subject="Review 2")]
    )
    assert moved.status == "done" and moved.version != record.version
    (after,) = connector.fetch(CALENDAR, MEETING_FIELDS, [made.id])
    assert after.version == moved.version
    assert after.values == {
        **(record.values or {}), "Subject": "Review 2", "Start": "2026-11-25T09:00:00Z", "End": "2026-11-25T10:00:00Z",
    }  # fmt: skip
    (gone,) = connector.write(CALENDAR, [Write("d", "delete", external_id=made.id, version=moved.version)])
    assert gone.status == "done"
    with office.people():
        assert [item.subject for item in office.outlook().trash.all()] == ["Review 2"]


def test_an_update_leaves_alone_what_it_does_not_name(office: Office) -> None:
    made = office.meets("Keep", body="notes", categories=["Blue"], location="Room 1", reminder_minutes_before_start=45)
    connector = office.connect()
    (record,) = connector.fetch(CALENDAR, ["Subject", "Location"], [made.id])
    (outcome,) = connector.write(CALENDAR, [change(record, Location=None)])
    assert outcome.status == "done"
    with office.people():
        held = office.outlook().calendar.get(id=made.id)
        assert (held.subject, held.location, held.categories, held.reminder_minutes_before_start) == (
            "Keep", None, ["Blue"], 45,
        )  # fmt: skip
        assert "notes" in held.body


def test_one_e_mail_address_is_written_without_the_others(office: Office) -> None:
    kit = ContactsKit(office)
    values = {**kit.sample("x"), "EmailAddress2": "zoe@home.example", "MobilePhone": "+46 70 1"}
    (outcome,) = kit.connector.write(CONTACTS, [Write("w", "create", values, external_key="rec:1")])
    (record,) = kit.connector.fetch(CONTACTS, [*kit.fields, "MobilePhone"], [outcome.external_id or ""])
    assert record.values == {**values, "DisplayName": "Zoe Ågren", "Categories": []}
    (outcome,) = kit.connector.write(CONTACTS, [change(record, EmailAddress1="zoe@new.example", MobilePhone=None)])
    assert outcome.status == "done", outcome
    (after,) = kit.connector.fetch(CONTACTS, list(values), [record.id])
    assert after.values == {**values, "EmailAddress1": "zoe@new.example", "MobilePhone": None}


def test_an_occurrence_is_written_and_deleted_alone(office: Office) -> None:
    made = standup(office)
    connector = office.connect()
    records, cursor = read(connector, CALENDAR)
    tuesday, wednesday = (occurrence_id(made.id, f"2026-11-{date}T08:00:00Z") for date in (24, 25))
    (outcome,) = connector.write(CALENDAR, [change(records[tuesday], Location="Room 7")])
    assert outcome.status == "done" and outcome.external_id == tuesday
    (fresh,) = connector.fetch(CALENDAR, MEETING_FIELDS, [wednesday])
    (outcome,) = connector.write(CALENDAR, [Write("d", "delete", external_id=wednesday, version=fresh.version)])
    assert outcome.status == "done", outcome
    after, _ = read(connector, CALENDAR, cursor)
    assert [key for key, record in after.items() if record.state == "deleted"] == [wednesday]
    assert {key for key, values in live(after).items() if values["Location"] == "Room 7"} == {tuesday}
    assert len(live(after)) == 14


def test_a_delete_of_what_changed_meanwhile_is_stale(office: Office) -> None:
    made = office.meets("Mine")
    connector = office.connect()
    (record,) = connector.fetch(CALENDAR, ["Subject"], [made.id])
    office.edits(made.id, location="elsewhere")
    (outcome,) = connector.write(CALENDAR, [Write("d", "delete", external_id=made.id, version=record.version)])
    assert outcome.status == "stale"
    office.deletes(made.id)
    (outcome,) = connector.write(CALENDAR, [Write("d", "delete", external_id=made.id, version=record.version)])
    assert outcome.status == "done"


def test_a_write_without_a_version_is_held_against_what_was_expected(office: Office) -> None:
    made = office.meets("Seen", location="Room 1")
    connector = office.connect()
    blind = Write("w", "update", {"Subject": "New"}, external_id=made.id, expected={"Subject": "Seen"})
    (outcome,) = connector.write(CALENDAR, [blind])
    assert outcome.status == "done"
    (outcome,) = connector.write(CALENDAR, [blind])
    assert outcome.status == "stale"


def test_a_zone_that_exchange_holds_and_will_not_take_is_not_sent_again(office: Office) -> None:
    made = office.meets("odd")
    office.rezone(made.id, "tzone://Microsoft/Custom")
    connector = office.connect()
    fields = ["Start", "End", "Zone", "IsAllDay"]
    (record,) = connector.fetch(CALENDAR, fields, [made.id])
    moved = {**(record.values or {}), "Start": "2026-11-24T12:00:00Z", "End": "2026-11-24T13:00:00Z"}
    (outcome,) = connector.write(CALENDAR, [change(record, **moved)])
    assert outcome.status == "done", outcome
    (after,) = connector.fetch(CALENDAR, fields, [made.id])
    assert after.values == moved


def test_a_lost_reply_to_a_delete_is_unknown_and_a_repeat_is_done(office: Office) -> None:
    made = office.meets("bye")
    connector = office.connect()
    (record,) = connector.fetch(CALENDAR, ["Subject"], [made.id])
    office.server.faults.add("drop_after", contains="DeleteItem")
    delete = Write("d", "delete", external_id=made.id, version=record.version)
    (outcome,) = connector.write(CALENDAR, [delete])
    assert outcome.status == "unknown" and isinstance(outcome.error, UnknownOutcome)
    (outcome,) = connector.write(CALENDAR, [delete])
    assert outcome.status == "done"


def test_a_request_that_http_refuses_had_no_effect(office: Office) -> None:
    connector = office.connect()
    office.server.faults.add("status", status=413)
    (outcome,) = connector.write(CALENDAR, [new("w", "rec:1")])
    assert outcome.status == "refused" and outcome.error is not None and outcome.error.code == "http-413"


@pytest.mark.parametrize(
    ("kind", "args"),
    [("status", {"status": 500}), ("truncate", {}), ("html", {"status": 200}), ("drop_before", {})],
)
def test_a_write_whose_answer_makes_no_sense_is_unknown_and_sent_once(office: Office, kind: str, args: Any) -> None:
    connector = office.connect()
    office.server.faults.add(kind, args=args)
    (outcome,) = connector.write(CALENDAR, [new("w", "rec:1")])
    assert outcome.status == "unknown"
    assert connector.calls.used == 1
    found = connector.find(CALENDAR, ["rec:1"])["rec:1"]
    assert len(found) == (1 if kind == "truncate" else 0)


def test_a_copied_item_is_found_twice(office: Office) -> None:
    connector = office.connect()
    (outcome,) = connector.write(CALENDAR, [new("w", "rec:1")])
    with office.people():
        item = office.outlook().calendar.get(id=outcome.external_id)
        item.copy(to_folder=office.outlook().calendar)
    assert len(connector.find(CALENDAR, ["rec:1"])["rec:1"]) == 2


def test_many_keys_are_found_in_few_calls(office: Office) -> None:
    connector = office.connect()
    list(connector.write(CONTACTS, [
        Write(f"w{n}", "create", {"DisplayName": f"P {n}"}, external_key=f"rec-{n}:1") for n in range(3)
    ]))  # fmt: skip
    before = office.calls()
    found = connector.find(CONTACTS, [f"rec-{n}:1" for n in range(100)])
    assert office.calls() - before == 2
    assert sorted(key for key, ids in found.items() if ids) == ["rec-0:1", "rec-1:1", "rec-2:1"]


# Mailboxes


def test_mailboxes_are_told_with_their_names_and_then_not_again(office: Office) -> None:
    connector = office.connect(mailboxes=[ANN, {"address": BOB, "name": "Robert"}, CAT])
    stream = Stream("mailboxes")
    records, cursor = read(connector, stream, fields=["address", "name"])
    assert {key: record.values["name"] for key, record in records.items()} == {ANN: "Ann", BOB: "Robert", CAT: "Cat"}
    before = office.calls()
    assert read(connector, stream, cursor, fields=["address", "name"])[0] == {}
    assert office.calls() == before
    (outcome,) = connector.write(stream, [Write("w", "update", {"name": "x"}, external_id=ANN)])
    assert outcome.status == "refused" and isinstance(outcome.error, PermissionDenied)
    (gone,) = connector.fetch(stream, ["name"], ["someone@else.example"])
    assert gone.state == "deleted"


def test_a_mailbox_that_is_not_in_the_settings_is_not_touched(office: Office) -> None:
    with pytest.raises(Invalid, match="settings"):
        list(office.connect(mailboxes=[ANN]).changes(Stream("calendar", BOB), ["Subject"], None))
    assert office.calls() == 0


# Signing in


def test_ntlm_works_and_keeps_its_connection(office: Office) -> None:
    office.meets("one")
    connector = office.connect(auth="ntlm", username=f"PRACTICE\\{office.settings()['username']}")
    assert len(read(connector, CALENDAR)[0]) == 1
    assert connector.calls.used == connector.calls.minimum == office.calls()


def test_each_mailbox_can_sign_in_for_itself(office: Office) -> None:
    office.meets("one")
    own = {address: {"username": address, "password": PASSWORD} for address in (ANN, BOB)}
    connector = office.connect(access="own", mailboxes=[ANN, BOB], credentials=own, username=None, password=None)
    assert len(read(connector, CALENDAR)[0]) == 1
    assert len(read(connector, Stream("calendar", BOB))[0]) == 0


def test_a_delegate_reads_the_mailboxes_it_was_given(server: ExchangeServer, office: Office) -> None:
    office.meets("one")
    server.call(server.grant, ANN, CAT)
    connector = office.connect(access="delegate", username=CAT)
    assert len(read(connector, CALENDAR)[0]) == 1
    with pytest.raises(PermissionDenied, match=BOB):
        read(connector, Stream("calendar", BOB))


@pytest.fixture
def app(server: ExchangeServer, office: Office, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Settings of an OAuth application; oauthlib takes a token address without TLS only when told so."""
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    server.call(server.authenticator.applications.__setitem__, "app-1", Application("app-1", "app s3cret"))
    token_url = server.connection_info()["oauth"]["token_url"]
    return {"auth": "oauth", "client_id": "app-1", "client_secret": "app s3cret", "token_url": token_url}


def test_oauth_fetches_one_token_and_a_new_one_when_it_has_expired(office: Office, app: dict[str, Any]) -> None:
    office.meets("one")
    connector = office.connect(**app)
    records, cursor = read(connector, CALENDAR)
    assert len(records) == 1
    assert connector.calls.used == connector.calls.minimum == 3
    office.server.clock.move(hours=2)
    assert read(connector, CALENDAR, cursor)[0] == {}
    assert connector.calls.used == 6  # refused, a token, again


def test_a_wrong_client_secret_is_told_and_leaves_the_connector_usable(office: Office, app: dict[str, Any]) -> None:
    connector = office.connect(**{**app, "client_secret": "wrong s3cret"})
    for _ in range(2):
        with pytest.raises(AuthenticationFailed) as refused:
            read(connector, CALENDAR)
        assert "s3cret" not in str(refused.value)


def test_a_token_service_that_is_down_is_unavailable(office: Office, app: dict[str, Any]) -> None:
    connector = office.connect(**{**app, "token_url": "http://127.0.0.1:9/token"})
    with pytest.raises(Unavailable, match="token service cannot be used: Connection refused"):
        read(connector, CALENDAR)
    office.server.faults.add("status", path="*token*", status=503)
    with pytest.raises(Unavailable, match="HTTP 503"):
        read(office.connect(**app), CALENDAR)


def test_a_token_that_cannot_be_renewed_now_is_renewed_later(office: Office, app: dict[str, Any]) -> None:
    connector = office.connect(**app)
    _, cursor = read(connector, CALENDAR)
    office.server.clock.move(hours=2)
    office.server.faults.add("status", path="*token*", status=503, count=2)
    for _ in range(2):
        with pytest.raises(Unavailable, match="token service"):
            read(connector, CALENDAR, cursor)
    assert read(connector, CALENDAR, cursor)[0] == {}


def test_logs_carry_neither_secrets_nor_requests(
    office: Office, app: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        connector = office.connect(**app)
        list(connector.write(CALENDAR, [new("xyzzy plans", "rec:1")]))
        read(connector, CALENDAR)
    logged = "\n".join(each.getMessage() for each in caplog.records)
    assert "xyzzy" not in logged and "s3cret" not in logged and "Bearer ey" not in logged


def test_a_private_authority_is_trusted_by_its_file_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    server = practice_server(tls=True)
    office = Office(server)
    try:
        assert read(office.connect(), CALENDAR)[0] == {}
        with pytest.raises(Unavailable, match=r"unable to get local issuer certificate.*ca_file"):
            read(office.connect(ca_file=None), CALENDAR)
    finally:
        office.close()
        server.stop()


def test_two_connectors_on_one_server_share_nothing(office: Office) -> None:
    one, other = office.connect(), office.connect(password="wrong")
    with pytest.raises(AuthenticationFailed):
        read(other, CALENDAR)
    assert read(one, CALENDAR)[0] == {}
    one.close()
    assert read(one, CALENDAR)[0] == {}


def test_a_gone_item_is_refused_as_gone_also_for_an_occurrence(office: Office) -> None:
    made = standup(office)
    connector = office.connect()
    ghost = occurrence_id(made.id, "2026-11-22T08:00:00Z")
    (outcome,) = connector.write(CALENDAR, [Write("w", "update", {"Subject": "x"}, external_id=ghost)])
    assert outcome.status == "refused" and isinstance(outcome.error, Gone)


def test_the_connector_is_found_through_its_entry_point_name() -> None:
    assert ExchangeConnector.system == "exchange"
