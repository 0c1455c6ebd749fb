"""The CalDAV and CardDAV connector against a real Radicale: the contract, series, zones, what is private or broken."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from connectors.caldav import CalDavConnector
from sandbox.kit.tls import CertificateAuthority
from sidefeed.calendars.identity import meeting_key
from sidefeed.calendars.recurrence import RECURRENCE
from sidefeed.connector import (
    AuthenticationFailed,
    ConnectorError,
    CursorExpired,
    Duplicate,
    Invalid,
    Locked,
    PermissionDenied,
    RateLimited,
    Remote,
    Stream,
    Unavailable,
    Write,
)
from tests.connectors.caldav_office import (
    ANN,
    MEETING_FIELDS,
    CalendarKit,
    ContactsKit,
    Office,
    calendar,
    event,
    radicale,
)
from tests.connectors.contract import ConnectorContract

_users = itertools.count(1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp("radicale")
    with radicale(folder) as url:
        yield url


@pytest.fixture
def office(server: str) -> Iterator[Office]:
    office = Office(server, f"user{next(_users)}")
    yield office
    office.close()


class TestCalendarContract(ConnectorContract):
    @pytest.fixture
    def kit(self, office: Office) -> CalendarKit:
        return CalendarKit(office)


class TestContactsContract(ConnectorContract):
    @pytest.fixture
    def kit(self, office: Office) -> ContactsKit:
        return ContactsKit(office)


CALENDAR, CONTACTS = Stream("calendar", ANN), Stream("contacts", ANN)
WEEKLY = "RRULE:FREQ=WEEKLY;COUNT=6"
MOVED = event("standup", "SUMMARY:Moved", "RECURRENCE-ID;TZID=Europe/Berlin:20261201T100000",
              start="DTSTART;TZID=Europe/Berlin:20261202T150000", end="DTEND;TZID=Europe/Berlin:20261202T160000")


def read(office: Office, cursor: str | None = None, stream: Stream = CALENDAR, **settings: Any) -> tuple[
        dict[str, Remote], str]:
    pages = list(office.connect(**settings).changes(stream, MEETING_FIELDS, cursor))
    return {record.id: record for page in pages for record in page.records}, pages[-1].cursor


def starts(records: dict[str, Remote]) -> list[str]:
    return sorted(record.values["Start"] for record in records.values() if record.values)


def test_a_meeting_is_told_as_plain_data(office: Office) -> None:
    href = office.put(calendar(event(
        "kick-off", "SUMMARY:Kick-off", "LOCATION:https://zoom.us/j/1", f"ORGANIZER;CN=Ann:mailto:{ANN.upper()}",
        "ATTENDEE;CN=Zoe;PARTSTAT=ACCEPTED:mailto:Zoe@Acme.example", "ATTENDEE;CUTYPE=ROOM:mailto:room@ours.example",
        "ATTENDEE:urn:uuid:1", "TRANSP:TRANSPARENT")))
    (record,) = read(office)[0].values()
    assert record.id == href and record.version
    assert record.values == {
        "Key": meeting_key("kick-off", "single"), "UID": "kick-off", "OriginalStart": "single", "Subject": "Kick-off",
        "Start": "2026-11-24T09:00:00Z", "End": "2026-11-24T10:00:00Z", "Zone": "Europe/Berlin", "IsAllDay": False,
        "Location": "https://zoom.us/j/1", "Sensitivity": "normal", "Organizer": ANN, "IsOrganizer": True,
        "Attendees": [
            {"address": None, "name": None, "role": "required", "response": "none"},
            {"address": "room@ours.example", "name": None, "role": "resource", "response": "none"},
            {"address": "zoe@acme.example", "name": "Zoe", "role": "required", "response": "accept"}],
        "MyResponse": "organizer", "IsCancelled": False, "ShowAs": "free", "JoinUrl": "https://zoom.us/j/1",
        "Series": False, "Categories": []}


def test_a_series_is_its_occurrences_with_exceptions_and_deletions_across_daylight_saving(office: Office) -> None:
    office.now = datetime(2026, 10, 20, 8, tzinfo=UTC)
    office.put(calendar(event(
        "standup", "SUMMARY:Stand-up", "RRULE:FREQ=WEEKLY;COUNT=8",
        "EXDATE;TZID=Europe/Berlin:20261110T100000",
        start="DTSTART;TZID=Europe/Berlin:20261020T100000", end="DTEND;TZID=Europe/Berlin:20261020T110000"), MOVED))
    records, cursor = read(office)
    assert starts(records) == [
        "2026-10-20T08:00:00Z", "2026-10-27T09:00:00Z", "2026-11-03T09:00:00Z", "2026-11-17T09:00:00Z",
        "2026-11-24T09:00:00Z", "2026-12-02T14:00:00Z", "2026-12-08T09:00:00Z"]
    (moved,) = [record.values for record in records.values() if record.values and record.values["Subject"] == "Moved"]
    assert moved["Key"] == meeting_key("standup", "2026-12-01T09:00:00Z")
    assert {(record.values or {})["Series"] for record in records.values()} == {True}
    office.delete(f"{office.calendar}item.ics")
    gone, _ = read(office, cursor)
    assert set(gone) == set(records)
    assert {record.state for record in gone.values()} == {"deleted"}


def test_the_window_slides_and_what_it_leaves_behind_is_no_deletion(office: Office) -> None:
    office.put(calendar(event("weekly", "SUMMARY:Weekly", "RRULE:FREQ=WEEKLY")))
    first, cursor = read(office, window_past_days=0, window_future_days=14)
    assert starts(first) == ["2026-11-24T09:00:00Z", "2026-12-01T09:00:00Z"]
    office.now += timedelta(days=7)
    later, cursor = read(office, cursor, window_past_days=0, window_future_days=14)
    assert starts(later)[-1] == "2026-12-08T09:00:00Z"
    assert {record.state for record in later.values()} == {"live"}
    assert read(office, cursor, window_past_days=0, window_future_days=14)[0] == {}


def test_one_occurrence_is_edited_and_one_deleted_and_the_rest_of_the_object_stays(office: Office) -> None:
    href = office.put(calendar(event("standup", "SUMMARY:Stand-up", WEEKLY), MOVED))
    connector = office.connect()
    ids = sorted(read(office)[0])
    version = read(office)[0][ids[0]].version
    (edited,) = connector.write(CALENDAR, [Write("a", "update", {"Location": "Rome"}, ids[0], version=version)])
    (deleted,) = connector.write(CALENDAR, [Write("b", "delete", external_id=ids[2], version=edited.version)])
    assert (edited.status, deleted.status) == ("done", "done")
    found, _ = read(office)
    assert sorted(found) == [ids[0], ids[1], *ids[3:]]
    assert (found[ids[0]].values or {})["Location"] == "Rome"
    assert [(found[each].values or {})["Location"] for each in (ids[1], ids[3])] == [None, None]
    text = office.get(href) or ""
    assert text.count("X-APPLE-THING:keep") == 3 and text.count("BEGIN:VALARM") >= 2 and "RRULE" in text


def test_a_single_meeting_that_becomes_a_series_is_merged_into_its_first_occurrence(office: Office) -> None:
    href = office.put(calendar(event("one", "SUMMARY:One")))
    _records, cursor = read(office)
    office.put(calendar(event("one", "SUMMARY:One", WEEKLY)))
    records, cursor = read(office, cursor)
    assert records[href].state == "deleted" and records[href].merged_into == f"{href}#2026-11-24T09:00:00Z"
    assert len(records) == 7
    office.put(calendar(event("one", "SUMMARY:One")))
    records, _ = read(office, cursor)
    assert records[f"{href}#2026-11-24T09:00:00Z"].merged_into == href
    assert records[href].state == "live"


def test_of_a_private_meeting_nothing_is_told_but_when(office: Office) -> None:
    for number, level in enumerate(("PRIVATE", "CONFIDENTIAL", "X-SECRET")):
        office.put(calendar(event(f"p{number}", "SUMMARY:Zahnarzt", "LOCATION:Zahnarzt", f"CLASS:{level}",
                                  "ATTENDEE:mailto:zahnarzt@acme.example")), f"p{number}")
    records, _ = read(office)
    assert len(records) == 3 and "ahnarzt" not in repr(records)
    assert {tuple(sorted(record.values or {})) for record in records.values()} == {
        ("End", "IsAllDay", "Key", "Sensitivity", "ShowAs", "Start", "Zone")}


def test_days_are_dates_and_floating_times_are_the_owners(office: Office) -> None:
    office.put(calendar(event("day", "SUMMARY:Fair", start="DTSTART;VALUE=DATE:20261125",
                              end="DTEND;VALUE=DATE:20261127")), "day")
    office.put(calendar(event("floating", "SUMMARY:Gym", start="DTSTART:20261125T180000",
                              end="DTEND:20261125T190000")), "floating")
    office.put(calendar(event("custom", "SUMMARY:Old", start='DTSTART;TZID="tzone://Microsoft/Custom":20261125T080000',
                              end='DTEND;TZID="tzone://Microsoft/Custom":20261125T090000')), "custom")
    told = {record.values["Subject"]: record.values for record in read(office)[0].values() if record.values}
    assert (told["Fair"]["Start"], told["Fair"]["End"], told["Fair"]["IsAllDay"]) == ("2026-11-25", "2026-11-27", True)
    assert (told["Gym"]["Start"], told["Gym"]["Zone"]) == ("2026-11-25T17:00:00Z", "Europe/Berlin")
    assert told["Old"]["Start"] == "2026-11-25T07:00:00Z"


def test_what_is_broken_is_named_and_the_rest_goes_on(office: Office) -> None:
    bad = office.put(calendar(event("often", "SUMMARY:Geheim", "RRULE:FREQ=MINUTELY;INTERVAL=5")), "often")
    office.put(calendar(event("fine", "SUMMARY:Fine", *(f"ATTENDEE:mailto:p{n}@acme.example" for n in range(600)))),
               "fine")
    connector = office.connect()
    pages = list(connector.changes(CALENDAR, MEETING_FIELDS, None))
    (record,) = [record for page in pages for record in page.records]
    assert record.values and record.values["Subject"] == "Fine" and len(record.values["Attendees"]) == 600
    assert {problem.record for problem in connector.problems} == {bad}
    assert "more than 1500" in connector.problems[0].message and "Geheim" not in connector.problems[0].message


def test_ten_thousand_occurrences_twenty_days_and_people_without_an_address_hold_back_nothing(office: Office) -> None:
    office.put(calendar(event("daily", "SUMMARY:Daily", "RRULE:FREQ=DAILY;COUNT=10000")), "daily")
    office.put(calendar(event("voyage", "SUMMARY:Voyage", "ATTENDEE;CN=Nobody:CN=Nobody/O=Corp",
                              "ATTENDEE;CN=Zoe:mailto:zoe@acme.example", end="DTEND;TZID=Europe/Berlin:20261214T110000")),
               "voyage")
    records = read(office)[0].values()
    told = {record.values["Subject"]: record.values for record in records if record.values}
    assert told["Voyage"]["End"] == "2026-12-14T10:00:00Z"
    assert [(each["name"], each["address"]) for each in told["Voyage"]["Attendees"]] == [
        ("Nobody", None), ("Zoe", "zoe@acme.example")]
    days = [record for record in records if record.values and record.values["Subject"] == "Daily"]
    assert 80 < len(days) < 100, "only the window of a series is told, however long it is"


def test_a_sync_token_that_the_server_forgot_is_answered_by_comparing_not_by_creating_again(office: Office) -> None:
    kept = office.put(calendar(event("kept", "SUMMARY:Kept")), "kept")
    gone = office.put(calendar(event("gone", "SUMMARY:Gone")), "gone")
    edited = office.put(calendar(event("edited", "SUMMARY:Before")), "edited")
    _records, cursor = read(office)
    office.delete(gone)
    office.put(calendar(event("edited", "SUMMARY:After")), "edited")
    office.proxy.refusals.append((403, '<error xmlns="DAV:"><valid-sync-token/></error>'))
    records, cursor = read(office, cursor)
    assert {id: record.state for id, record in records.items()} == {gone: "deleted", edited: "live"}
    assert kept not in records
    assert read(office, cursor)[0] == {}


def test_a_cursor_of_another_calendar_is_refused(office: Office) -> None:
    _records, cursor = read(office)
    office.make("MKCALENDAR", f"/{office.user}/other/")
    with pytest.raises(CursorExpired):
        read(office, cursor, calendar=f"/{office.user}/other/")


def test_the_only_calendar_and_address_book_are_found_by_asking(office: Office) -> None:
    office.put(calendar(event("one", "SUMMARY:One")))
    assert starts(read(office, calendar="", contacts="")[0]) == ["2026-11-24T09:00:00Z"]
    office.make("MKCALENDAR", f"/{office.user}/other/")
    with pytest.raises(Invalid, match=r"several calendar collections: .*/other/"):
        read(office, calendar="")


def test_entities_are_not_expanded_and_no_document_type_is_read(office: Office, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("planted")
    office.proxy.refusals += [(207, f'<!DOCTYPE d [<!ENTITY x SYSTEM "file://{secret}">]><multistatus xmlns="DAV:">'
                                    "<response><href>/a</href><status>&x;</status></response></multistatus>")] * 3
    with pytest.raises(Unavailable, match="document type"):
        read(office)


@pytest.mark.parametrize(("status", "error"), [(401, AuthenticationFailed), (403, PermissionDenied),
                                               (429, RateLimited), (423, Locked)])
def test_what_the_server_says_no_with(office: Office, status: int, error: type[ConnectorError]) -> None:
    office.proxy.refusals.append((status, "<html>no</html>"))
    with pytest.raises(error) as raised:
        read(office)
    assert getattr(raised.value, "retry_after", 7) == 7


def test_a_proxy_that_gave_up_leaves_a_create_unknown(office: Office) -> None:
    connector, kit = office.connect(), CalendarKit(office)
    read(office)
    office.proxy.refusals += [(408, "<html>no</html>")] * 2
    (outcome,) = connector.write(CALENDAR, [Write("w", "create", kit.sample("mine"), external_key="rec:1")])
    assert (outcome.status, outcome.error and outcome.error.code) == ("unknown", "unknown-outcome")


def test_a_create_that_happened_already_is_a_duplicate_and_unknown_properties_stay_on_edits(office: Office) -> None:
    connector, kit = office.connect(), CalendarKit(office)
    made = Write("w", "create", kit.sample("mine"), external_key="rec:1")
    (first,) = connector.write(CALENDAR, [made])
    (again,) = connector.write(CALENDAR, [made])
    assert again.status == "refused" and isinstance(again.error, Duplicate) and again.error.of == (first.external_id,)
    assert "ATTENDEE" not in (office.get(first.external_id or "") or "")
    theirs = kit.person_creates(kit.sample("theirs"))
    (edited,) = connector.write(CALENDAR, [Write("u", "update", {"Subject": "new", "Start": "2026-11-24T10:00:00Z",
                                                                 "End": "2026-11-24T12:00:00Z"}, theirs)])
    assert edited.status == "done"
    text = office.get(theirs) or ""
    assert "X-APPLE-THING:keep" in text and "BEGIN:VALARM" in text and "DTSTART;TZID=Europe/Berlin:20261124T110000" in text


def test_a_contact_keeps_its_photo_its_notes_and_what_nobody_knows(office: Office) -> None:
    kit = ContactsKit(office)
    href = kit.person_creates(kit.sample("Acme"))
    text = (office.get(href) or "").replace("END:VCARD", "NOTE:likes tea\r\nPHOTO;ENCODING=b:aGVsbG8=\r\nEND:VCARD")
    assert office.http.put(href, content=text.encode()).status_code == 204
    connector = office.connect()
    (done,) = connector.write(CONTACTS, [Write("u", "update", {"JobTitle": "CTO", "BusinessPhone": "+1 2"}, href)])
    assert done.status == "done"
    held = office.get(href) or ""
    assert all(part in held for part in ("NOTE:likes tea", "aGVsbG8=", "X-APPLE-THING:keep", "TITLE:CTO", "+1 2"))
    group = "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:g\r\nFN:Team\r\nN:;;;;\r\nX-ADDRESSBOOKSERVER-KIND:group\r\nEND:VCARD\r\n"
    assert office.http.put(f"{office.book}g.vcf", content=group).status_code == 201
    assert set(read(office, stream=CONTACTS)[0]) == {href}


def test_a_private_card_is_told_to_be_private_and_nothing_else(office: Office) -> None:
    kit = ContactsKit(office)
    href = kit.person_creates(kit.sample("Acme"))
    _told, cursor = read(office, stream=CONTACTS)
    card = office.get(href) or ""
    for word in ("PRIVATE", "confidential"):
        assert office.http.put(href, content=card.replace("END:VCARD", f"CLASS:{word}\r\nEND:VCARD").encode()).is_success
        told, cursor = read(office, cursor, stream=CONTACTS)
        assert [(one.state, one.values) for one in told.values()] == [("private", None)]
    (answer,) = office.connect().fetch(CONTACTS, ["CompanyName"], [href])
    assert (answer.state, answer.values) == ("private", None)


def test_categories_are_told_however_they_are_written_and_of_a_private_meeting_none(office: Office) -> None:
    office.put(calendar(event("one", "SUMMARY:One", "CATEGORIES:Red,Tracked to Dynamics 365", "CATEGORIES:Blue")), "one")
    office.put(calendar(event("two", "SUMMARY:Two", "CATEGORIES:Red", "CLASS:PRIVATE")), "two")
    records, _ = read(office)
    told = {href.rpartition("/")[2]: (record.values or {}).get("Categories") for href, record in records.items()}
    assert told == {"one.ics": ["Blue", "Red", "Tracked to Dynamics 365"], "two.ics": None}


def test_a_change_of_all_later_occurrences_keeps_each_of_them_a_meeting_of_its_own(office: Office) -> None:
    """Across daylight saving: the change is one of wall time."""
    office.now = datetime(2026, 10, 19, 8, tzinfo=UTC)
    office.put(calendar(
        event("standup", "SUMMARY:Stand-up", "RRULE:FREQ=WEEKLY;COUNT=4", start="DTSTART;TZID=Europe/Berlin:20261013T100000",
              end="DTEND;TZID=Europe/Berlin:20261013T110000"),
        event("standup", "SUMMARY:Later", "RECURRENCE-ID;RANGE=THISANDFUTURE:20261020T080000Z",
              start="DTSTART;TZID=Europe/Berlin:20261020T150000", end="DTEND;TZID=Europe/Berlin:20261020T160000")), "standup")
    connector = office.connect()
    pages = list(connector.changes(CALENDAR, (*MEETING_FIELDS, RECURRENCE), None))
    told = {str(record.values["OriginalStart"]): (record.values["Subject"], record.values["Start"])
            for page in pages for record in page.records if record.values}
    assert told == {
        "2026-10-13T08:00:00Z": ("Stand-up", "2026-10-13T08:00:00Z"),
        "2026-10-20T08:00:00Z": ("Later", "2026-10-20T13:00:00Z"),
        "2026-10-27T09:00:00Z": ("Later", "2026-10-27T14:00:00Z"),
        "2026-11-03T09:00:00Z": ("Later", "2026-11-03T14:00:00Z")}
    assert [problem.message for problem in connector.problems] == [
        "one of its exceptions changes all later occurrences too, which one rule does not say"]


def test_the_words_of_exceptions_outside_the_window_are_not_told(office: Office) -> None:
    far = [event("weekly", f"SUMMARY:Zahnarzt {number}", f"RECURRENCE-ID;TZID=Europe/Berlin:2027{month}T100000",
                 start=f"DTSTART;TZID=Europe/Berlin:2027{month}T120000", end=f"DTEND;TZID=Europe/Berlin:2027{month}T130000",
                 ) for number, month in enumerate(("0608", "0615"))]
    office.put(calendar(event("weekly", "SUMMARY:Weekly", "RRULE:FREQ=WEEKLY"), *far), "weekly")
    pages = list(office.connect().changes(CALENDAR, (*MEETING_FIELDS, RECURRENCE), None))
    told = repr([record for page in pages for record in page.records])
    assert "2027-06-08T10:00:00Z" in told, "the series says when its exceptions take place"
    assert "Weekly" in told and "Zahnarzt" not in told


def test_a_redirection_out_of_tls_is_not_followed_with_the_password() -> None:
    authority, heard = CertificateAuthority(), []

    class Redirecting(BaseHTTPRequestHandler):
        def do_PROPFIND(self) -> None:
            heard.append(self.headers["Authorization"])
            self.send_response(301)
            self.send_header("Location", f"http://{self.headers['Host']}/elsewhere/")
            self.end_headers()

        def log_message(self, *_told: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Redirecting)
    server.socket = authority.server_context().wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    connector = CalDavConnector.from_settings({
        "url": f"https://127.0.0.1:{server.server_port}/", "ca_file": str(authority.ca_file), "mailboxes": [ANN],
        "username": "ann", "password": "secret"})
    try:
        with pytest.raises(Invalid, match="301"):
            list(connector.changes(Stream("calendar", ANN), MEETING_FIELDS, None))
        assert (len(heard), connector.calls.used) == (1, 1)
    finally:
        connector.close()
        server.shutdown()
        thread.join()
        server.server_close()
        authority.close()


def test_people_whom_nobody_asked_to_mail_are_not_mailed_by_a_server_that_schedules(office: Office) -> None:
    href = office.put(calendar(event("visit", "SUMMARY:Visit", "ORGANIZER:mailto:ann@practice.example",
                                     "ATTENDEE:mailto:zoe@acme.example")), "visit")
    connector = office.connect()
    writes = [Write("u", "update", {"Subject": "Moved"}, href), Write("d", "delete", {}, href)]
    outcomes = list(connector.write(CALENDAR, writes))
    assert [(one.status, one.error.code if one.error else "") for one in outcomes] == [("refused", "would-mail")] * 2
    assert "SUMMARY:Visit" in (office.get(href) or "")
    (asked,) = connector.write(CALENDAR, [replace(writes[1], mail=True)])
    assert asked.status == "done" and office.get(href) is None
