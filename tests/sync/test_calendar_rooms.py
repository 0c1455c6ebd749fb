"""Who is busy when, who takes over, files in and out, and another tool that files the same calendars."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import icalendar
import pytest

from sidefeed.calendars import team
from sidefeed.project import Project
from tests.sync.test_meetings import ANN, BOB, GUEST, Calendar, calendar

__all__ = ["calendar"]

pytestmark = pytest.mark.slow

WORD = "Zwischenbericht"


def test_the_team_calendar_shows_everybody_busy_and_nobody_with_what(calendar: Calendar) -> None:
    calendar.meets(subject=WORD, sensitivity="Private")
    calendar.meets(subject="Kick-off", days=2)
    calendar.meets(BOB, "Team lunch", attendees=[ANN], days=3)
    calendar.sync()
    file = calendar.folder / "team.ics"
    code, told = calendar("team-calendar", "--days", "7", "--ics", str(file), "--new-token")
    assert code == 0
    assert [block["mailbox"] for block in told["busy"]] == [ANN, ANN, ANN, BOB], "an invitation to lunch is Ann's too"
    feed: icalendar.Calendar = icalendar.Calendar.from_ical(file.read_bytes())  # type: ignore[assignment]
    assert {str(event["SUMMARY"]).partition(":")[0] for event in feed.events} == {"ann.lee", "bob.ruiz"}
    assert not [word for word in (WORD, "Kick-off", "lunch", GUEST) if word in file.read_text()]
    project = Project.load(calendar.folder)
    store = project.store()
    with store.read() as tx:
        assert team.answer(tx, told["token"], datetime.now(UTC)) is not None
        assert team.answer(tx, "wrong", datetime.now(UTC)) is None
    store.close()
    assert calendar.holds_words(told["token"]) == [], "only a hash of the token is kept"
    code, only = calendar("team-calendar", "--as", BOB)
    assert {block["mailbox"] for block in only["busy"]} == {BOB}


def test_a_meeting_that_is_gone_leaves_the_team_calendar_even_if_it_was_private(calendar: Calendar) -> None:
    meeting = calendar.meets(subject=WORD, sensitivity="Private")
    calendar.sync()
    assert len(calendar("team-calendar")[1]["busy"]) == 1
    calendar.cancel_in_calendar(meeting)
    calendar.sync()
    assert calendar("team-calendar")[1]["busy"] == []


def test_a_departed_reps_future_meetings_are_handed_over_and_the_past_stays(calendar: Calendar) -> None:
    calendar.meets(subject="Past", days=-3)
    calendar.meets(subject="Next", days=3)
    calendar.meets(subject=WORD, sensitivity="Private", days=4)
    calendar.sync(2)
    owner = {event["Subject"]: event["OwnerId"] for event in calendar.events()}
    code, shown = calendar("departed", ANN, "--to", BOB, "--dry-run")
    assert code == 0 and len(shown["handed_over"]) == 1 and shown["past"] == 1
    code, done = calendar("departed", ANN, "--to", BOB)
    assert code == 0 and WORD not in str(done)
    calendar.sync(2)
    now = {event["Subject"]: event["OwnerId"] for event in calendar.events()}
    assert now["Past"] == owner["Past"] and now["Next"] != owner["Next"]
    assert calendar("departed", ANN, "--to", "nobody@ours.example")[0] == 2


def test_files_come_in_under_the_rules_of_a_mailbox_and_go_out_as_the_same_meetings(calendar: Calendar) -> None:
    calendar.sync()
    soon = datetime.now(UTC) + timedelta(days=1)
    file = calendar.folder / "ann.ics"
    file.write_text("".join(
        f"BEGIN:VCALENDAR\nVERSION:2.0\nBEGIN:VEVENT\nUID:{uid}\nDTSTART:{soon:%Y%m%dT%H%M%SZ}\n"
        f"DTEND:{soon + timedelta(hours=1):%Y%m%dT%H%M%SZ}\nSUMMARY:{subject}\nORGANIZER:mailto:{ANN}\n{more}\n"
        "END:VEVENT\nEND:VCALENDAR\n" for uid, subject, more in (
            ("Review", "Review", f"ATTENDEE:mailto:{GUEST}\nRRULE:FREQ=DAILY;COUNT=3"),
            ("p1", WORD, f"CLASS:PRIVATE\nATTENDEE:mailto:{GUEST}"), ("Lunch", "Lunch", f"ATTENDEE:mailto:{BOB}"),
            ("Broken", "Broken", "RRULE:FREQ=SOMETIMES"))))
    code, told = calendar("import", "ics", str(file), "--as", ANN)
    assert code == 1 and [problem["record"] for problem in told["problems"]] == ["Broken"]
    assert told["counts"]["new_here"] == 3
    assert (told["counts"]["meetings_private"], told["counts"]["meetings_internal"]) == (1, 1)
    calendar.sync(2)
    assert [event["Subject"] for event in calendar.events()] == ["Review"] * 3
    assert calendar.holds_words(WORD) == []
    again = calendar("import", "ics", str(file), "--as", ANN)[1]
    assert again["counts"].get("new_here", 0) == 0 and again["counts"].get("absorbed", 0) == 0
    out = calendar.folder / "out.ics"
    code, told = calendar("export", "ics", "--as", ANN, "--out", str(out))
    assert (code, told["meetings"], told["series"]) == (0, 3, 1)
    assert "ATTENDEE" not in out.read_text() and out.read_text().count("UID:Review") == 1
    assert "RRULE:FREQ=DAILY;COUNT=3" in out.read_text()


def test_contact_files_match_first_and_create_only_when_told(calendar: Calendar) -> None:
    calendar.sync()
    card = "BEGIN:VCARD\nVERSION:3.0\nUID:{0}\nFN:{0}\nN:{0};;;;\nEMAIL:{1}\nTITLE:CTO\nEND:VCARD\n"
    file = calendar.folder / "people.vcf"
    file.write_text(card.format("Ito", GUEST) + card.format("Kim", "kim@acme.example") + "BEGIN:VCARD\nbroken")
    code, told = calendar("import", "vcf", str(file), "--as", ANN)
    assert code == 1 and told["counts"].get("matched") == 1 and told["counts"].get("new_here", 0) == 0
    code, told = calendar("import", "vcf", str(file), "--as", ANN, "--create")
    calendar.sync(2)
    people = {row["Email"]: row["Title"] for row in calendar.salesforce.call(calendar.salesforce.rows, "Contact")}
    assert people[GUEST] == "CTO"
    out = calendar.folder / "out.vcf"
    assert calendar("export", "vcf", "--out", str(out))[0] == 0
    assert f"EMAIL:{GUEST}" in out.read_text()


def test_another_tool_that_files_the_same_calendars_is_told_before_everything_is_there_twice(
    calendar: Calendar
) -> None:
    calendar.sync()
    for number in range(3):
        meeting = calendar.meets(subject=f"Review {number}", days=1 + number)
        start = meeting.values["calendar:Start"]
        calendar.sf("Event", Subject=f"Review {number}", StartDateTime=f"{start:%Y-%m-%dT%H:%M:%S}.000+0000",
                    DurationInMinutes=60, WhatId=calendar.deal)
    code, told = calendar("sync")
    assert code == 3 and "another tool" in told["error"] and "Review" not in told["error"]
    assert len(calendar.events()) == 3
    code, _told = calendar("sync", "--approve")
    assert code in (0, 1) and len(calendar.events()) == 6


@pytest.mark.parametrize("module", ["enforce", "planned", "ask", "preview", "departed", "forget"])
def test_every_room_can_be_entered_first(module: str) -> None:
    done = subprocess.run([sys.executable, "-c", f"import sidefeed.calendars.{module}"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
