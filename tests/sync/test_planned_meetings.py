"""Meetings planned on a deal go into the organiser's own calendar, and mail only whom the organiser asked to invite."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sidefeed.project import Project
from sidefeed.workspace import Draft
from tests.sync.test_caldav_meetings import DavCalendar, dav
from tests.sync.test_meetings import ANN, BOB, GUEST, Calendar, calendar

__all__ = ["calendar", "dav"]

pytestmark = pytest.mark.slow

DAY = (datetime.now(UTC) + timedelta(days=2)).strftime("%Y-%m-%d")


def planned(calendar: Calendar, rep: str = ANN, *more: str) -> dict[str, Any]:
    code, told = calendar("meet", "plan", "Pumps", "--as", rep, "--start", f"{DAY}T10:00", "--zone", "Europe/Berlin",
                          "--subject", "Walk-through", "--with", GUEST, *more)
    assert code == 0, told
    return told


def items(calendar: Calendar, mailbox: str = ANN) -> list[Any]:
    return [item for item in calendar.exchange.call(lambda: calendar.exchange.items(mailbox))
            if item.kind == "CalendarItem"]


def outbox(calendar: Calendar) -> list[tuple[str, ...]]:
    return [mail.recipients for mail in calendar.exchange.call(calendar.exchange.outbox)]


def test_a_planned_meeting_is_in_the_calendar_and_both_crms_and_mails_nobody(calendar: Calendar) -> None:
    settings = calendar.folder / "sidefeed.toml"
    settings.write_text(settings.read_text() + '\n[calendars]\nconference_url = "https://meet.ours.example/{id}"\n')
    calendar.sync()
    planned(calendar)
    code, plan = calendar("plan")
    assert code == 0 and plan["mails"] == 0 and plan["messages"] == []
    calendar.sync(3)
    (event,) = calendar.events()
    assert (event["Subject"], event["WhatId"], event["WhoId"]) == ("Walk-through", calendar.deal, calendar.contact)
    (item,) = items(calendar)
    assert str(item.values["calendar:Location"]).startswith("https://meet.ours.example/")
    assert outbox(calendar) == []
    _code, report = calendar("sync")
    assert report["counts"].get("written", 0) == 0
    assert len(items(calendar)) == 1


def test_an_invitation_goes_out_where_the_organiser_asks_and_the_plan_says_to_whom(calendar: Calendar) -> None:
    calendar.sync()
    meeting = planned(calendar, ANN, "--invite")["meeting"]
    _code, plan = calendar("plan")
    assert plan["mails"] == 1
    assert plan["messages"][0].startswith(f"invitation to {GUEST} for the meeting of {DAY}")
    assert plan["messages"][0].endswith(f"asked for by {ANN}")
    calendar.sync(2)
    assert outbox(calendar) == [(GUEST,)]
    assert calendar("meet", "move", meeting, "--as", ANN, "--start", f"{DAY}T15:00", "--zone", "UTC")[0] == 0
    calendar.sync(2)
    (event,) = calendar.events()
    assert event["StartDateTime"][:16] == f"{DAY}T15:00"
    assert calendar("meet", "cancel", meeting, "--as", ANN)[0] == 0
    calendar.sync(2)
    assert items(calendar) == []
    assert outbox(calendar) == [(GUEST,)] * 3, "invited, told of the move, told of the cancellation"


def test_nobody_but_the_organiser_raises_the_mail_budget(calendar: Calendar) -> None:
    calendar.sync()
    meeting = planned(calendar)["meeting"]
    project = Project.load(calendar.folder)
    store = project.store()
    with store.write() as tx:
        tx.append([Draft("meeting", meeting, {"invite": True}, "ops", "workspace")])
    store.close()
    code, plan = calendar("plan")
    assert code == 3 and "not asked for by its organiser" in plan["messages"][0]
    code, told = calendar("sync")
    assert code == 3 and "mail 1 person" in told["error"]
    assert outbox(calendar) == [] and items(calendar) == []


def test_no_word_of_anybody_else_mails_those_whom_the_organiser_invited(calendar: Calendar) -> None:
    calendar.sync()
    meeting = planned(calendar, ANN, "--invite")["meeting"]
    _code, report = calendar("sync")
    run = report["run"]
    for rep in (BOB, "nobody@elsewhere.example"):
        for words in (("move", meeting, "--start", f"{DAY}T15:00"), ("cancel", meeting)):
            code, told = calendar("meet", *words, "--as", rep)
            assert code == 2 and f"only {ANN} can ask" in told["error"]
    code, told = calendar("meet", "move", meeting, "--as", ANN, "--start", "2020-01-01T10:00")
    assert code == 2 and "future" in told["error"]
    _code, undone = calendar("undo", run)
    assert [one["why"] for one in undone["left"] if "organiser alone" in one["why"]]
    calendar.sync()
    assert len(items(calendar)) == 1 and outbox(calendar) == [(GUEST,)]
    store = Project.load(calendar.folder).store()
    with store.write() as tx:
        tx.append([Draft("meeting", meeting, {"subject": "What I would call it"}, BOB, "workspace")])
    store.close()
    code, plan = calendar("plan")
    assert code == 3 and "not asked for by its organiser" in plan["messages"][0]
    assert calendar("sync")[0] == 3
    assert outbox(calendar) == [(GUEST,)]


def test_a_move_in_the_crm_moves_nobodys_calendar(calendar: Calendar) -> None:
    calendar.sync()
    planned(calendar)
    calendar.sync(2)
    (before,) = items(calendar)
    (event,) = calendar.events()
    later = (datetime.now(UTC) + timedelta(days=5)).strftime("%Y-%m-%dT%H:00:00.000+0000")
    calendar.salesforce.call(lambda: calendar.salesforce.update(
        "Event", event["Id"], StartDateTime=later, DurationInMinutes=30))
    calendar.sync(2)
    (after,) = items(calendar)
    assert after.values["calendar:Start"] == before.values["calendar:Start"]


def test_mistakes_are_told_before_anything_happens(calendar: Calendar) -> None:
    calendar.sync()
    for arguments, word in (
            (["Bolts", "--as", ANN, "--start", f"{DAY}T10:00"], "Bolts"),
            (["Pumps", "--as", "eve@ours.example", "--start", f"{DAY}T10:00"], "no calendar"),
            (["Pumps", "--as", ANN, "--start", "2020-01-01T10:00"], "future"),
            (["Pumps", "--as", ANN, "--start", "tomorrow"], "2026-12-01T10:00")):
        code, told = calendar("meet", "plan", *arguments)
        assert code == 2 and word in told["error"]


def test_a_planned_meeting_goes_to_caldav_alike(dav: DavCalendar) -> None:
    dav.sync()
    assert planned(dav)["calendar"] == f"caldav calendar/{ANN}"
    assert planned(dav, BOB)["calendar"] == f"exchange calendar/{BOB}"
    dav.sync(3)
    assert [event["Subject"] for event in dav.events()] == ["Walk-through"] * 2
    text = dav.http.request("PROPFIND", "/ann.lee/calendar/", headers={"Depth": "1"}).text
    (name,) = [part for part in text.replace("<", ">").split(">") if part.endswith(".ics")]
    stored = dav.http.get(name).text
    assert "SUMMARY:Walk-through" in stored and "TZID=Europe/Berlin" in stored and "ATTENDEE" not in stored
    _code, report = dav("sync")
    assert report["counts"].get("written", 0) == 0


def test_a_meeting_that_exchange_made_after_we_had_given_up_on_its_answer_is_there_once(calendar: Calendar) -> None:
    """No property of an item is unique in Exchange: whoever makes it again at once has it twice."""
    calendar.settings["exchange"]["timeout"] = 1
    calendar.write()
    calendar.sync()
    planned(calendar)
    calendar.exchange.faults.add("slow", contains="CreateItem", seconds=5)
    report = calendar.sync()
    assert items(calendar) == [], "the server is at work on it"
    (why,) = [why for why in report.waiting.values() if "still be at work" in why]
    assert why.startswith("exchange did not answer whether it made meeting of ")
    code, plan = calendar("plan")
    assert code == 0 and why in plan["waiting"].values() and plan["mails"] == 0
    end = time.monotonic() + 20
    while not items(calendar) and time.monotonic() < end:
        time.sleep(0.2)
    report = calendar.sync(2)
    assert len(items(calendar)) == 1 and report.waiting == {} and outbox(calendar) == []
