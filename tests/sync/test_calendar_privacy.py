"""What may leave a calendar and what is taken back: levels, choices of people, private words that nobody finds again."""

from __future__ import annotations

import json
import logging
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sidefeed.calendars import CalendarPolicy
from sidefeed.cli import app
from sidefeed.sync.attribution import is_internal
from tests.sync.test_meetings import ANN, BOB, GUEST, Calendar, calendar

__all__ = ["calendar"]

WORD, PLACE = "Zwischenbericht", "Kellerraum"


def mine(calendar: Calendar, rep: str = ANN) -> list[dict[str, Any]]:
    code, told = calendar("my-calendar", "--as", rep)
    assert code == 0
    return list(told["meetings"])


def test_a_rep_sees_what_the_crm_will_see_and_no_private_word(calendar: Calendar) -> None:
    calendar.meets(subject="Kick-off", location="Rome")
    calendar.meets(subject=WORD, sensitivity="Private", days=2)
    calendar.meets(subject="Team lunch", attendees=[BOB], days=3)
    calendar.sync(2)
    told = mine(calendar)
    assert [(one["leaves"], one["level"], one["subject"]) for one in told] == [
        (True, "full", "Kick-off"), (False, "none", None), (False, "full", None)]
    assert told[0]["filed_on"] == "Pumps" and told[0]["people"] == [GUEST] and told[0]["location"] == "Rome"
    assert "private" in told[1]["why"] and "outside" in told[2]["why"]
    assert calendar.holds_words(WORD, "Team lunch") == []
    result = CliRunner().invoke(app, ["my-calendar", "--as", ANN, "-C", str(calendar.folder)])
    assert result.exit_code == 0 and "1 of 3 meetings leave" in result.stdout and WORD not in result.stdout


def test_a_rep_shows_less_of_one_meeting_and_it_is_taken_back(calendar: Calendar) -> None:
    calendar.meets(subject=WORD, location=PLACE)
    calendar.meets(subject="Review", location="Rome", days=2)
    calendar.sync(2)
    first = mine(calendar)[0]["id"]
    code, told = calendar("my-calendar", "show", "busy", first, "--as", ANN)
    assert (code, told["taken_back"]) == (0, 1)
    calendar.sync(2)
    assert [event["Subject"] for event in calendar.events()] == ["Review"]
    assert calendar.hs_names("meetings", "hs_meeting_title") == ["Review"]
    assert calendar.holds_words(WORD, PLACE) == [], "only a hash of it is kept"
    calendar("my-calendar", "show", "full", first, "--as", ANN)
    calendar.sync(3)
    assert sorted(event["Subject"] for event in calendar.events()) == ["Review", WORD]


def test_at_level_title_place_and_people_stay_in_the_calendar(calendar: Calendar) -> None:
    calendar.meets(subject="Review", location=PLACE)
    calendar.sync(2)
    calendar("my-calendar", "show", "title", "--as", ANN)
    calendar.sync(2)
    (event,) = calendar.events()
    assert (event["Subject"], event["Location"], event["WhoId"], event["WhatId"]) == (
        "Review", None, None, calendar.deal)
    assert calendar.holds_words(PLACE) == []
    calendar.meets(subject="Later", location=PLACE, days=4)
    calendar.sync(2)
    assert [(event["Subject"], event["Location"], event["WhoId"]) for event in calendar.events()] == [
        ("Review", None, None), ("Later", None, None)]


def test_nobody_opens_more_than_the_administrator_does(calendar: Calendar) -> None:
    settings = calendar.folder / "sidefeed.toml"
    open_settings = settings.read_text()
    calendar.meets(subject="Kick-off")
    calendar.sync(2)
    settings.write_text(open_settings + '\n[calendars]\nprivacy = "busy"\n')
    calendar.sync(2)
    assert calendar.events() == []
    calendar("my-calendar", "show", "full", "--as", ANN)
    calendar.sync(2)
    assert calendar.events() == []
    settings.write_text(open_settings + '\n[calendars]\nprivacy = "open"\n')
    code, told = calendar("status")
    assert code == 2 and "calendars.privacy" in told["error"]


def test_a_blocked_domain_never_leaves(calendar: Calendar) -> None:
    settings = calendar.folder / "sidefeed.toml"
    settings.write_text(settings.read_text() + '\n[calendars]\nblocked_domains = ["lawyers.example"]\n')
    calendar.meets(attendees=[GUEST, "a@lawyers.example"], subject=WORD)
    calendar.sync(2)
    assert calendar.events() == []
    assert calendar.holds_words(WORD) == []


def test_private_where_people_wrote_keeps_their_part_and_empties_ours(calendar: Calendar) -> None:
    meeting = calendar.meets(subject=WORD, location=PLACE)
    calendar.sync(2)
    (event,) = calendar.events()
    calendar.salesforce.call(lambda: calendar.salesforce.update("Event", event["Id"], Description="Bring the quote"))
    calendar.sync(2)
    calendar.exchange.call(lambda: calendar.exchange.update_event(ANN, meeting, sensitivity="Private"))
    calendar.sync(3)
    (event,) = calendar.events()
    assert (event["Subject"], event["Location"], event["Description"]) == (None, None, "Bring the quote")
    assert calendar.holds_words(WORD, PLACE) == []
    _code, report = calendar("sync")
    assert report["counts"].get("written", 0) == 0


def test_private_in_one_of_two_calendars_hides_the_meeting(calendar: Calendar) -> None:
    meeting = calendar.meets(subject=WORD, attendees=[BOB, GUEST])
    calendar.sync(2)
    assert len(calendar.events()) == 1
    calendar.exchange.call(lambda: calendar.exchange.update_event(ANN, meeting, sensitivity="Private"))
    calendar.sync(3)
    assert calendar.events() == []


@pytest.mark.slow
def test_nobody_opens_what_a_colleague_closed_and_it_stays_closed_when_they_leave(calendar: Calendar) -> None:
    calendar.meets(subject=WORD, attendees=[BOB, GUEST])
    calendar.sync(2)
    (its,) = {one["id"] for rep in (ANN, BOB) for one in mine(calendar, rep)}
    calendar("my-calendar", "show", "busy", its, "--as", BOB)
    calendar.sync(2)
    assert calendar.events() == []
    for level in ("title", "full"):
        calendar("my-calendar", "show", level, its, "--as", ANN)
        calendar.sync(2)
        assert calendar.events() == [] and calendar.holds_words(WORD) == []
    calendar("my-calendar", "show", "full", its, "--as", BOB)
    calendar.sync(2)
    assert [event["Subject"] for event in calendar.events()] == [WORD], "the organiser's copy was looked at again"
    calendar("my-calendar", "show", "busy", "--as", BOB)
    calendar.sync(2)
    assert calendar("departed", BOB, "--to", ANN)[0] == 0
    calendar.write(exchange={"mailboxes": [ANN], "credentials": {ANN: {"username": ANN, "password": "pw"}}})
    calendar("my-calendar", "show", "title", "--as", ANN)
    calendar.sync(2)
    assert calendar.events() == [] and calendar.holds_words(WORD) == []
    _code, team = calendar("team-calendar")
    assert {block["mailbox"] for block in team["busy"]} == {ANN}


@pytest.mark.slow
def test_a_meeting_that_lost_its_guests_tells_no_more_and_is_called_off(calendar: Calendar) -> None:
    meeting = calendar.meets(subject="Kick-off", attendees=[BOB, GUEST])
    moved = calendar.meets(subject="Later", days=2)
    over = calendar.meets(subject="This morning", days=-0.1)
    calendar.sync(2)
    far = (datetime.now(UTC) + timedelta(days=40)).replace(microsecond=0, second=0)
    calendar.exchange.call(lambda: calendar.exchange.update_event(ANN, meeting, subject=WORD, attendees=[BOB]))
    calendar.exchange.call(lambda: calendar.exchange.update_event(
        ANN, moved, start=far, end=far + timedelta(hours=1)))
    calendar.cancel_in_calendar(over)
    calendar.sync(2)
    told = {event["Subject"]: event["StartDateTime"][:10] for event in calendar.events()}
    assert set(told) == {"Cancelled: Kick-off", "Later", "This morning"}, "what began before it was deleted took place"
    assert told["Later"] == far.strftime("%Y-%m-%d"), "what is published moves, however far"
    assert calendar.holds_words(WORD) == []


@pytest.mark.slow
def test_plans_logs_and_errors_withhold_what_a_meeting_is_about(
    calendar: Calendar, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    calendar.sync()
    calendar.meets(subject=WORD, location=PLACE)
    plan, page = calendar.folder / "plan.json", calendar.folder / "plan.html"
    _code, told = calendar("plan", "--out", str(plan), "--html", str(page))
    assert any(write["entity"] == "meeting" for write in told["writes"])
    shown = CliRunner().invoke(app, ["plan", "-C", str(calendar.folder)]).stdout
    for text in (json.dumps(told), plan.read_text(), page.read_text(), shown):
        assert "withheld" in text
        assert not [word for word in (WORD, PLACE) if word in text]
    code, report = calendar("apply", str(plan))
    assert code in (0, 1) and report["counts"]["written"] >= 1
    calendar.meets(subject=WORD + "x" * 300, days=2)
    _code, report = calendar("sync")
    calendar.sync()
    _code, status = calendar("status")
    assert WORD not in json.dumps([report, status])
    assert not [record for record in caplog.records if record.name.startswith(("sidefeed", "connectors"))
                and WORD in record.getMessage()]


def test_no_row_of_the_store_holds_a_private_word(calendar: Calendar) -> None:
    calendar.meets(subject=WORD, location=PLACE, sensitivity="Confidential")
    calendar.sync(3)
    assert rows_with(calendar.folder / "workspace.db", WORD, PLACE) == []


def rows_with(database: Path, *words: str) -> list[str]:
    connection = sqlite3.connect(database)
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    found = [table for table in tables for row in connection.execute(f"SELECT * FROM {table}")
             for word in words if word in repr(row)]
    connection.close()
    return found


@pytest.mark.slow
def test_what_was_taken_back_does_not_count_against_what_people_delete_on_the_same_day(calendar: Calendar) -> None:
    made = [calendar.meets(subject=f"Visit {number}") for number in range(12)]
    calendar.sync(2)
    for meeting in made[:7]:
        calendar.exchange.call(lambda meeting=meeting: calendar.exchange.update_event(ANN, meeting, sensitivity="Private"))
    calendar.sync(2)
    hubspot, salesforce = calendar.hubspot, calendar.salesforce
    assert len(calendar.events()) == len(hubspot.call(hubspot.records, "meetings")) == 5
    for row in calendar.events()[:4]:
        salesforce.call(lambda row=row: salesforce.delete("Event", row["Id"]))
    report = calendar.sync()
    assert report.written["hubspot meetings"] == {"delete": 4}, "seven were taken back, four deleted: ten are allowed"


def test_a_blocked_domain_holds_what_lies_below_it_in_any_spelling() -> None:
    policy = CalendarPolicy(blocked_domains=frozenset({"lawyers.example", "kanzlei-müller.example"}))
    for domain in ("lawyers.example", "mail.lawyers.example", "xn--kanzlei-mller-4ob.example", "kanzlei-müller.example"):
        assert policy.blocks(domain), domain
    for domain in ("notlawyers.example", "example", "lawyers.example.org", ""):
        assert not policy.blocks(domain), domain


def test_a_colleague_at_a_public_mail_provider_is_one_of_us() -> None:
    ours = frozenset({"ann.lee@ours.example", "bob@gmail.com", "ours.example"})
    assert [is_internal(each, ours) for each in ("Bob@Gmail.com", "eve@ours.example", "ito@gmail.com")] == [
        True, True, False]
