"""A rep on CalDAV instead of Exchange: the same meetings on the same deals, and one record where both show it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from sandbox.exchange import ExchangeServer
from sandbox.hubspot import HubSpotServer
from sandbox.salesforce import SalesforceServer
from tests.connectors.caldav_office import radicale
from tests.sync.test_meetings import ANN, BOB, GUEST, Calendar
from tests.sync.test_series import loses, series_found


class DavCalendar(Calendar):
    """Ann's calendar is on a CalDAV server; Bob's stays on Exchange."""

    def __init__(
        self, folder: Path, salesforce: SalesforceServer, hubspot: HubSpotServer, exchange: ExchangeServer, url: str
    ) -> None:
        super().__init__(folder, salesforce, hubspot, exchange)
        self.now = datetime.now(UTC).replace(microsecond=0)
        self.http = httpx.Client(base_url=url, auth=("ann.lee", "pw"))
        assert self.http.request("MKCALENDAR", "/ann.lee/calendar/").status_code == 201
        self.settings["caldav"] = {
            "url": url, "username": "ann.lee", "password": "pw", "mailboxes": [ANN], "calendar": "/{user}/calendar/",
            "contacts": "/{user}/calendar/"}
        self.settings["exchange"] |= {"mailboxes": [BOB], "credentials": {BOB: {"username": BOB, "password": "pw"}}}
        self.write()
        mapping = self.folder / "mappings" / "caldav.yaml"
        mapping.write_text(mapping.read_text().partition("\n  contacts:\n")[0] + "\n")

    def puts(self, name: str, subject: str, *lines: str, days: float = 1, uid: str | None = None) -> None:
        start = self.now + timedelta(days=days)
        text = "\r\n".join([
            "BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//A client//EN", "BEGIN:VEVENT", f"UID:{uid or name}",
            "DTSTAMP:20261101T000000Z", f"DTSTART:{start:%Y%m%dT%H%M%SZ}",
            f"DTEND:{start + timedelta(hours=1):%Y%m%dT%H%M%SZ}", f"SUMMARY:{subject}", f"ORGANIZER:mailto:{ANN}",
            f"ATTENDEE:mailto:{GUEST}", *lines, "END:VEVENT", "END:VCALENDAR", ""])
        assert self.http.put(f"/ann.lee/calendar/{name}.ics", content=text).status_code in (201, 204)




@pytest.fixture
def dav(tmp_path: Path) -> Iterator[DavCalendar]:
    folder = tmp_path / "radicale"
    folder.mkdir()
    with radicale(folder) as url, SalesforceServer(tls=True) as salesforce, HubSpotServer() as hubspot, \
            ExchangeServer() as exchange:
        dav = DavCalendar(tmp_path, salesforce, hubspot, exchange, url)
        yield dav
        dav.http.close()
        assert salesforce.crashes == hubspot.crashes == exchange.crashes == []


def shown(dav: DavCalendar) -> list[tuple[Any, ...]]:
    return sorted((event["Subject"], event["WhatId"], event["WhoId"]) for event in dav.events())


@pytest.mark.slow
def test_a_meeting_lives_in_both_crms_from_its_first_day_to_its_cancellation(dav: DavCalendar) -> None:
    dav.puts("kick-off", "Kick-off")
    dav.puts("dentist", "Zahnarzt", "CLASS:PRIVATE", days=2)
    dav.puts("weekly", "Weekly", "RRULE:FREQ=WEEKLY;COUNT=10", days=3)
    dav.sync(2)
    assert shown(dav) == [("Kick-off", dav.deal, dav.contact), ("Weekly", dav.deal, dav.contact),
                          ("Weekly", dav.deal, dav.contact)], "two occurrences lie in the window of activities"
    assert dav.hs_names("meetings", "hs_meeting_title") == ["Kick-off", "Weekly", "Weekly"]
    dav.puts("kick-off", "Kick-off moved", days=4)
    dav.puts("weekly", "Weekly", "RRULE:FREQ=WEEKLY;COUNT=10", "CLASS:CONFIDENTIAL", days=3)
    dav.sync(2)
    assert shown(dav) == [("Kick-off moved", dav.deal, dav.contact)]
    assert dav.holds_words("Zahnarzt", "Weekly") == []
    dav.http.delete("/ann.lee/calendar/kick-off.ics")
    dav.sync(2)
    assert shown(dav) == [("Cancelled: Kick-off moved", dav.deal, dav.contact)]
    _code, report = dav("sync")
    assert report["counts"].get("written", 0) == 0


@pytest.mark.slow
def test_a_rule_whose_change_was_lost_is_told_by_the_census(dav: DavCalendar) -> None:
    dav.puts("weekly", "Weekly", "RRULE:FREQ=WEEKLY;COUNT=10", days=3)
    dav.sync(2)
    assert series_found(dav, "caldav") == []
    dav.puts("weekly", "Weekly", "RRULE:FREQ=WEEKLY;COUNT=4", days=3)
    loses(dav, "caldav")
    assert series_found(dav, "caldav", "--repair") == [("unnoticed", ["rule"])]
    dav.sync()
    assert series_found(dav, "caldav") == []


@pytest.mark.slow
def test_one_meeting_in_exchange_and_on_caldav_is_one_record_with_everybody(dav: DavCalendar) -> None:
    item = dav.meets(BOB, "Review", attendees=[GUEST])
    uid = dav.exchange.call(lambda: item.values["calendar:UID"])
    dav.puts("review", "Review", f"ATTENDEE:mailto:{BOB}", uid=uid)
    dav.sync(3)
    assert len(dav.events()) == 1
    assert len(dav.hs_names("meetings", "hs_meeting_title")) == 1


def test_a_broken_event_is_named_and_a_failing_mailbox_holds_back_no_other(dav: DavCalendar) -> None:
    dav.puts("often", "Geheim", "RRULE:FREQ=MINUTELY")
    dav.puts("fine", "Fine", days=2)
    _code, report = dav("sync")
    assert [problem["record"] for problem in report["problems"] if problem["code"] == "unreadable"] == [
        "/ann.lee/calendar/often.ics"]
    assert "Geheim" not in str(report)
    dav.meets(BOB, "On Exchange", days=3)
    dav.write(caldav={"calendar": "/nobody/", "mailboxes": [ANN]})
    mapping = dav.folder / "mappings" / "caldav.yaml"
    mapping.write_text(mapping.read_text().partition("\n  contacts:\n")[0] + "\n")
    code, report = dav("sync")
    assert code == 4 and list(report["failed"]) == [f"caldav calendar/{ANN}"]
    dav("sync")
    assert "On Exchange" in [event["Subject"] for event in dav.events()]


@pytest.mark.slow
def test_what_its_owner_declines_later_is_called_off_and_what_is_accepted_again_is_back(dav: DavCalendar) -> None:
    def invited(answer: str) -> None:
        start = dav.now + timedelta(days=2)
        text = "\r\n".join([
            "BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//A client//EN", "BEGIN:VEVENT", "UID:visit",
            "DTSTAMP:20261101T000000Z", f"DTSTART:{start:%Y%m%dT%H%M%SZ}", "DURATION:PT1H", "SUMMARY:Visit",
            f"ORGANIZER:mailto:{GUEST}", f"ATTENDEE;PARTSTAT={answer}:mailto:{ANN}", "END:VEVENT", "END:VCALENDAR", ""])
        assert dav.http.put("/ann.lee/calendar/visit.ics", content=text).status_code in (201, 204)
        dav.sync(2)

    invited("TENTATIVE")
    assert [event["Subject"] for event in dav.events()] == ["Visit"]
    invited("DECLINED")
    assert [event["Subject"] for event in dav.events()] == ["Cancelled: Visit"]
    invited("ACCEPTED")
    assert [event["Subject"] for event in dav.events()] == ["Visit"]
