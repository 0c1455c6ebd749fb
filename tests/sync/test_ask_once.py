"""Ask once, remember: which deal a meeting belongs to, who becomes a contact, and what meetings tell of a deal."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sidefeed.project import Project
from sidefeed.sync.attribution import question_of
from tests.sync.test_meetings import ANN, Calendar, calendar

__all__ = ["calendar"]


def asked(calendar: Calendar, kind: str = "deal") -> list[dict[str, Any]]:
    code, told = calendar("ask")
    assert code == 0
    return [one for one in told["questions"] if one["kind"] == kind]


def test_one_answer_files_every_meeting_with_these_people(calendar: Calendar) -> None:
    other = calendar.open_deal("Filters")
    calendar.meets(subject="One")
    calendar.meets(subject="Two", days=2)
    calendar.sync(2)
    questions = asked(calendar)
    assert len(questions) == 2
    assert sorted(choice["name"] for choice in questions[0]["choices"]) == ["Filters", "Pumps"]
    assert questions[0]["rep"] == ANN
    assert "One" not in questions[0]["question"] and "Ito" in questions[0]["question"]
    code, told = calendar("ask", "answer", questions[0]["id"], "Filters", "--as", ANN)
    assert code == 0 and "1 more questions" in told["done"]
    calendar.meets(subject="Three", days=3)
    calendar.sync(2)
    assert {event["Subject"]: event["WhatId"] for event in calendar.events()} == {
        "One": other, "Two": other, "Three": other}
    assert asked(calendar) == []
    _code, blame = calendar("blame", "Three", "about")
    assert "attribution by rule (confidence 1.0)" in blame["history"][0]["reason"]


def test_a_rule_lapses_when_its_deal_closes_and_a_closed_deal_is_never_chosen(calendar: Calendar) -> None:
    other = calendar.open_deal("Filters")
    third = calendar.open_deal("Valves")
    calendar.meets(subject="One")
    calendar.sync(2)
    (question,) = asked(calendar)
    calendar("ask", "answer", question["id"], "Filters")
    calendar.sync()
    calendar.salesforce.call(lambda: calendar.salesforce.update("Opportunity", other, StageName="Closed Won"))
    calendar.sync()
    calendar.meets(subject="Two", days=2)
    calendar.sync(2)
    assert {event["Subject"]: event["WhatId"] for event in calendar.events()} == {
        "One": other, "Two": calendar.account}
    (question,) = asked(calendar)
    assert sorted(choice["name"] for choice in question["choices"]) == ["Pumps", "Valves"]
    code, told = calendar("ask", "answer", question["id"], "Filters")
    assert code == 2 and "closed" in told["error"]
    code, told = calendar("ask", "answer", question["id"], "Bolts")
    assert code == 2 and "Valves" in told["error"]
    code, _told = calendar("ask", "answer", question["id"], "Valves", "--only-this")
    assert code == 0
    calendar.sync()
    assert {event["WhatId"] for event in calendar.events()} == {other, third}


def test_a_guess_below_the_wanted_confidence_is_asked(calendar: Calendar) -> None:
    settings = calendar.folder / "sidefeed.toml"
    settings.write_text(settings.read_text() + "\n[calendars]\nconfidence = 0.8\n")
    calendar.meets()
    calendar.sync(2)
    assert [event["WhatId"] for event in calendar.events()] == [calendar.account]
    assert len(asked(calendar)) == 1


def test_an_unknown_attendee_is_suggested_and_never_created_unasked(calendar: Calendar) -> None:
    calendar.meets(attendees=["ito@acme.example", "kim@acme.example", "lee@elsewhere.example"])
    calendar.sync(2)
    contacts = [row["Email"] for row in calendar.salesforce.call(calendar.salesforce.rows, "Contact")]
    assert contacts == ["ito@acme.example"]
    ids = {one["question"].split()[1]: one["id"] for one in asked(calendar, "person")}
    assert sorted(ids) == ["kim@acme.example", "lee@elsewhere.example"]
    assert calendar("ask", "answer", ids["kim@acme.example"], "create")[0] == 0
    assert calendar("ask", "answer", ids["lee@elsewhere.example"], "never")[0] == 0
    calendar.sync(2)
    (kim,) = [row for row in calendar.salesforce.call(calendar.salesforce.rows, "Contact")
              if row["Email"] == "kim@acme.example"]
    assert kim["AccountId"] == calendar.account
    assert asked(calendar, "person") == []
    code, told = calendar("ask", "answer", "000000", "never")
    assert code == 2 and "no open question" in told["error"]


def test_a_cancelled_meeting_is_marked_in_both_crms_and_deleted_in_neither(calendar: Calendar) -> None:
    meeting = calendar.meets()
    calendar.sync(2)
    calendar.cancel_in_calendar(meeting)
    calendar.sync(2)
    (event,) = calendar.events()
    assert event["Subject"] == "Cancelled: Kick-off"
    (there,) = calendar.hubspot.call(calendar.hubspot.records, "meetings")
    assert (there["properties"]["hs_meeting_title"], there["properties"]["hs_meeting_outcome"]) == (
        "Cancelled: Kick-off", "CANCELED")
    _code, report = calendar("sync")
    assert report["counts"].get("written", 0) == 0


def test_meetings_tell_a_deal_its_last_touch_its_next_meeting_and_whom_it_met(calendar: Calendar) -> None:
    calendar.meets(subject="Past", days=-3)
    calendar.meets(subject="Next", days=2)
    calendar.meets(subject="Far", days=9)
    calendar.sync(2)
    project = Project.load(calendar.folder)
    store = project.store()
    with store.read() as tx:
        (deal,) = [state for state in tx.each_record("opportunity") if state.values["name"] == "Pumps"]
        contacts = [state.values["email"] for state in tx.records(deal.values["people_met"]).values()]
        reason = tx.head_details(deal.heads_of("next_meeting"))[deal.heads_of("next_meeting")[-1]].reason
    store.close()
    today = datetime.now(UTC)
    assert deal.values["last_touch"][:10] == (today - timedelta(days=3)).strftime("%Y-%m-%d")
    assert deal.values["next_meeting"][:10] == (today + timedelta(days=2)).strftime("%Y-%m-%d")
    assert contacts == ["ito@acme.example"]
    assert reason and "next meeting from meeting" in reason


def test_a_uid_of_any_length_asks_of_its_meeting_alone() -> None:
    """Whoever invites chooses the UID, and an index of PostgreSQL takes no more than 2,704 bytes."""
    assert question_of({"uid": "u1", "key": "v1:k"}) == "series:u1"
    assert question_of({"uid": "u" * 3000, "key": "v1:k"}) == "meeting:v1:k"
