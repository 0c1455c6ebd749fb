"""The practice Domino by plain HTTP, against what calendar.yaml and the C API's header say of the calendar service."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import icalendar
import pytest

from sandbox.domino import DominoServer
from sandbox.domino.server import SERVICE, SERVICE_PASSWORD
from sandbox.kit import Control

from .domino import ANN, BEN, NOW, Client, domino, meeting, timed

PEOPLE: dict[str, Any] = {
    "organizer": {"displayName": "Ann Lee", "email": ANN},
    "attendees": [
        {"role": "chair", "displayName": "Ann Lee", "email": ANN},
        {"role": "req-participant", "status": "accepted", "displayName": "Zoë", "email": "zoe@acme.example"},
    ],
}


@pytest.fixture(scope="module")
def running() -> Iterator[DominoServer]:
    with domino() as server:
        yield server


@pytest.fixture
def server(running: DominoServer) -> DominoServer:
    running.restore_snapshot()
    running.clock.fix(NOW)
    running.condition("behaviour", keeps_x=False, short_pages=0)
    return running


@pytest.fixture
def ann(server: DominoServer) -> Iterator[Client]:
    with Client(server) as client:
        yield client


def test_an_event_is_created_read_changed_and_deleted(server: DominoServer, ann: Client) -> None:
    answer = ann.http.post("/events", json={"events": [meeting("Demo", zone="Eastern", location="Room 1")]})
    assert answer.status_code == 201
    uid = answer.json()["events"][0]["id"]
    assert answer.headers["location"] == f"{server.url}/mail/ann.nsf/api/calendar/events/{uid}"
    assert uid.endswith("-Lotus_Auto_Generated")
    (event,) = ann.ask("GET", f"/events/{uid}")["events"]
    assert event["start"] == {"date": "2026-03-03", "time": "10:00:00", "tzid": "Eastern"}
    assert (event["summary"], event["location"], event["sequence"]) == ("Demo", "Room 1", 0)
    ann.ask("PUT", f"/events/{uid}", json={"events": [meeting("Demo 2", zone="Eastern")]})
    (event,) = ann.ask("GET", f"/events/{uid}")["events"]
    assert (event["summary"], event.get("location"), event["sequence"]) == ("Demo 2", None, 1)
    ann.ask("DELETE", f"/events/{uid}")
    assert ann.ask("GET", f"/events/{uid}", status=404)["cserror"] == 1031


def test_both_formats_come_from_one_store_with_the_zones_own_rules(ann: Client) -> None:
    uid = ann.create(meeting("Demo", zone="Eastern"))
    told = ann.ask("GET", f"/events/{uid}")
    assert told["timezones"][0]["tzid"] == "Eastern"
    assert told["timezones"][0]["daylight"] == {
        "start": {"date": "1950-03-12", "time": "02:00:00"},
        "offsetFrom": "-0500",
        "offsetTo": "-0400",
        "recurrenceRule": "FREQ=YEARLY;BYMONTH=3;BYDAY=2SU;BYHOUR=2;BYMINUTE=0",
    }
    calendar: Any = icalendar.Calendar.from_ical(ann.ask("GET", f"/events/{uid}", params={"format": "icalendar"}))
    (event,) = calendar.events
    assert event["DTSTART"].params["TZID"] == "Eastern"
    assert event["DTSTART"].dt.utcoffset().total_seconds() == -5 * 3600
    assert [str(zone["TZID"]) for zone in calendar.timezones] == ["Eastern"]


def test_icalendar_is_taken_and_its_uid_kept(ann: Client) -> None:
    text = (
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nBEGIN:VEVENT\r\nUID:mine@example\r\nDTSTART:20260303T090000Z\r\n"
        "SUMMARY:Ours\r\nX-OTHER:lost\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    )
    headers = {"Content-Type": "text/calendar"}
    ann.ask("POST", "/events", content=text, headers=headers, status=201)
    assert [row["id"] for row in ann.rows()] == ["mine@example"]
    assert "X-OTHER" not in ann.ask("GET", "/events/mine%40example", params={"format": "icalendar"})
    assert "already exists" in ann.ask("POST", "/events", content=text, headers=headers, status=400)["message"]


def test_the_list_defaults_to_a_year_from_now_and_fifty_rows(server: DominoServer, ann: Client) -> None:
    for number in range(60):
        server.call(server.save, ANN, meeting(f"{number:02d}", "2026-03-04", hour=number % 23))
    server.call(server.save, ANN, meeting("yesterday", "2026-03-01"))
    server.call(server.save, ANN, meeting("in two years", "2028-03-01"))
    rows = ann.rows()
    assert len(rows) == 50
    assert len({row["id"] for row in rows + ann.rows(start=50)}) == 60
    assert [row["summary"] for row in ann.rows(since="2026-02-28T00:00:00Z", before="2026-03-02T00:00:00Z")] == [
        "yesterday"
    ]
    assert [row["summary"] for row in ann.rows(sincenow=-3, days=3)] == ["yesterday"]


def test_rows_hold_what_the_view_holds(ann: Client) -> None:
    ann.create(meeting("Demo", zone="Eastern", description="long text", **PEOPLE), workflow="false")
    (row,) = ann.rows()
    assert row["start"] == timed("2026-03-03", 15)
    assert row["x-lotus-summarydataonly"] == {"data": "1"}
    assert row["last-modified"] == "20260302T080000Z"
    assert not {"attendees", "description", "organizer"} & set(row)
    assert set(ann.rows(fields="start,end")[0]) == {"href", "id", "start", "end"}
    assert "X-LOTUS-SUMMARYDATAONLY:1" in ann.ask("GET", "/events", params={"format": "icalendar"})


@pytest.mark.parametrize(
    "params",
    [
        {"since": "2026-01-01T00:00:00Z", "sincenow": 1},
        {"before": "2026-01-01T00:00:00Z", "days": 1},
        {"since": "soon"},
        {"count": "many"},
        {"start": -1},
    ],
)
def test_wrong_parameters_are_refused(ann: Client, params: dict[str, Any]) -> None:
    told = ann.ask("GET", "/events", params=params, status=400)
    assert (told["code"], told["text"], told["type"]) == (400, "Bad Request", "text")
    assert "StoreException" in told["data"]


def test_a_series_is_listed_by_instances_across_a_change_of_clocks(ann: Client) -> None:
    uid = ann.create(meeting("Weekly", zone="Eastern", recurrenceRule="FREQ=WEEKLY;COUNT=3"))
    rows = ann.rows()
    assert [row["start"]["time"] for row in rows] == ["15:00:00", "14:00:00", "14:00:00"]  # summer time on March 8
    assert [row["recurrenceId"] for row in rows] == ["20260303T150000Z", "20260310T140000Z", "20260317T140000Z"]
    instances = ann.ask("GET", f"/events/{uid}/instances")["instances"]
    assert [one["href"] for one in instances] == [row["href"] for row in rows]


def test_one_instance_is_moved_and_one_deleted(ann: Client) -> None:
    uid = ann.create(meeting("Weekly", zone="Eastern", recurrenceRule="FREQ=WEEKLY;COUNT=3"))
    ann.ask("PUT", f"/events/{uid}/20260310T140000Z", json={"events": [meeting("Moved", "2026-03-11", zone="Eastern")]})
    ann.ask("DELETE", f"/events/{uid}/20260317T140000Z")
    assert [(row["summary"], row["recurrenceId"]) for row in ann.rows()] == [
        ("Weekly", "20260303T150000Z"),
        ("Moved", "20260310T140000Z"),
    ]
    calendar: Any = icalendar.Calendar.from_ical(ann.ask("GET", f"/events/{uid}", params={"format": "icalendar"}))
    series, exception = calendar.events
    assert "RRULE" in series and "EXDATE" in series and str(exception["SUMMARY"]) == "Moved"
    assert ann.ask("GET", f"/events/{uid}/20260317T140000Z", status=404)["cserror"] == 1031
    ann.ask("PUT", f"/events/{uid}", json={"events": [meeting("All of them")]}, status=400)


def test_a_description_survives_an_update_that_does_not_name_it(ann: Client) -> None:
    uid = ann.create(meeting("Demo", description="long text"))
    ann.ask("PUT", f"/events/{uid}", json={"events": [meeting("Demo")]})
    assert ann.ask("GET", f"/events/{uid}")["events"][0]["description"] == "long text"
    ann.ask("PUT", f"/events/{uid}", json={"events": [meeting("Demo")]}, params={"literally": "true"})
    assert "description" not in ann.ask("GET", f"/events/{uid}")["events"][0]


def test_an_update_based_on_an_older_version_is_refused(ann: Client) -> None:
    uid = ann.create(meeting("Demo", **PEOPLE), workflow="false")
    ann.ask("PUT", f"/events/{uid}", json={"events": [meeting("Two", **PEOPLE)]}, params={"workflow": "false"})
    old = {"events": [meeting("Three", sequence=0, **PEOPLE)]}
    assert "out of date" in ann.ask("PUT", f"/events/{uid}", json=old, status=400)["message"]
    bare = {"events": [meeting("Three", **PEOPLE)]}
    assert (
        "out of date"
        in ann.ask("PUT", f"/events/{uid}", json=bare, params={"strictsequence": "true"}, status=400)["message"]
    )
    ann.ask("PUT", f"/events/{uid}", json=bare, params={"workflow": "false"})


def test_notices_are_mailed_unless_workflow_is_off(server: DominoServer, ann: Client) -> None:
    quiet = ann.create(meeting("Quiet", **PEOPLE), workflow="false")
    ann.ask("PUT", f"/events/{quiet}", json={"events": [meeting("Quiet 2", **PEOPLE)]}, params={"workflow": "false"})
    ann.ask("DELETE", f"/events/{quiet}", params={"workflow": "false"})
    assert server.outbox() == []
    loud = ann.create(meeting("Loud", **PEOPLE))
    ann.ask("DELETE", f"/events/{loud}")
    assert [(mail.kind, mail.recipients) for mail in server.outbox()] == [
        ("invitation", ("zoe@acme.example",)),
        ("cancelation", ("zoe@acme.example",)),
    ]
    assert ann.create(meeting("Alone")) and len(server.outbox()) == 2


def test_everybody_is_told_as_not_having_answered(ann: Client) -> None:
    uid = ann.create(meeting("Demo", **PEOPLE), workflow="false")
    people = ann.ask("GET", f"/events/{uid}")["events"][0]["attendees"]
    assert {person["status"] for person in people} == {"needs-action"}


def test_an_invitation_is_a_row_whose_uid_leads_nowhere_until_it_is_accepted(server: DominoServer, ann: Client) -> None:
    with Control(server.control_url) as control:
        notice = control.condition("invitation", mailbox=ANN, organizer="zoe@acme.example", subject="Come")
    (row,) = ann.rows()
    assert row["x-lotus-noticetype"] == {"data": "I"}
    assert ann.ask("GET", f"/events/{row['id']}", status=404)["cserror"] == 1031
    assert [one["href"] for one in ann.ask("GET", "/invitations")["notices"]] == [
        f"/mail/ann.nsf/api/calendar/notices/{notice}"
    ]
    assert ann.ask("GET", f"/notices/{notice}")["scheduleMethod"] == "request"
    assert "METHOD:REQUEST" in ann.ask("GET", f"/notices/{notice}", params={"format": "icalendar"})
    ann.ask("PUT", f"/notices/{notice}/action", params={"type": "accept"})
    assert ann.ask("GET", f"/events/{row['id']}")["events"][0]["summary"] == "Come"
    assert [(mail.kind, mail.recipients) for mail in server.outbox()] == [("response", ("zoe@acme.example",))]


def test_tasks_and_repeating_drafts_are_not_listed(server: DominoServer, ann: Client) -> None:
    server.condition("task", mailbox=ANN)
    server.condition("draft", mailbox=ANN, repeats=True)
    server.condition("draft", mailbox=ANN, subject="One draft")
    assert [row["summary"] for row in ann.rows()] == ["One draft"]


def test_a_page_of_the_view_need_not_fill_an_answer(server: DominoServer, ann: Client) -> None:
    for hour in range(5):
        server.call(server.save, ANN, meeting(str(hour), hour=hour))
    server.condition("behaviour", short_pages=2)
    assert [row["summary"] for row in ann.rows(count=50)] == ["0", "1"]
    assert [row["summary"] for row in ann.rows(count=50, start=4)] == ["4"]


@pytest.mark.parametrize("auth", [None, (ANN, "wrong"), ("nobody", "pw-ann")])
def test_nobody_gets_in_without_a_name_and_a_password(server: DominoServer, auth: Any) -> None:
    answer = httpx.get(f"{server.url}/mail/ann.nsf/api/calendar/events", auth=auth)
    assert answer.status_code == 401 and answer.headers["www-authenticate"].startswith("Basic")


def test_access_is_what_the_database_gives(server: DominoServer) -> None:
    with Client(server, BEN) as ben:
        ben.ask("GET", "/events", status=403)
    server.call(server.load_credentials, {"services": [{"name": "Reader", "password": "r", "rights": "reader"}]})
    with Client(server, "Reader") as reader:
        assert reader.rows() == []
        reader.ask("POST", "/events", json={"events": [meeting("x")]}, status=403)
    with Client(server, SERVICE) as service:
        assert service.create(meeting("by the service"))
        server.condition("access_denied", mailbox=ANN)
        service.ask("GET", "/events", status=403)
    elsewhere = httpx.get(f"{server.url}/mail/none.nsf/api/calendar/events", auth=(SERVICE, SERVICE_PASSWORD))
    assert elsewhere.status_code == 404


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("{", "application/json"),
        ('{"events": []}', "application/json"),
        ('{"events": [{"summary": "x"}]}', "application/json"),
        ("no calendar", "text/calendar"),
        ("{}", "text/plain"),
    ],
)
def test_bodies_that_are_no_event_are_refused_in_the_services_words(ann: Client, body: str, kind: str) -> None:
    told = ann.ask("POST", "/events", content=body, headers={"Content-Type": kind}, status=400)
    assert told["code"] == 400 and told["message"]


def test_a_bad_day_comes_through_the_control_api(server: DominoServer, ann: Client) -> None:
    with Control(server.control_url) as control:
        control.fail("stack_trace", path="*/events")
        told = ann.ask("GET", "/events", status=500)
        assert told["data"].startswith("com.ibm.domino") and told["message"] == "Error reading events"
        assert ann.rows() == []
        assert control.calls() >= 2


def test_a_restart_in_the_middle_of_paging_keeps_the_port_and_the_state(server: DominoServer, ann: Client) -> None:
    server.call(server.save, ANN, meeting("kept"))
    server.stop()
    with pytest.raises(httpx.HTTPError):
        ann.rows()
    server.start()
    assert [row["summary"] for row in ann.rows()] == ["kept"]
