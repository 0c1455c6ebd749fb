"""Calendar files: what is broken in one is named with its place, and the rest goes on."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from connectors.icsfiles import IcsConnector
from sidefeed.connector import Remote, Stream
from tests.connectors.caldav_office import calendar, event

ANN = "ann@practice.example"


def read(*files: Path) -> tuple[list[Remote], list[tuple[str, str]]]:
    connector = IcsConnector(files, ANN, zone="Europe/Berlin", now=lambda: datetime(2026, 11, 23, 8, tzinfo=UTC))
    pages = list(connector.changes(Stream("calendar", ANN), ["Subject", "Start"], None))
    return [record for page in pages for record in page.records], [
        (problem.object, problem.record) for problem in connector.problems]


def test_two_masters_of_one_uid_are_named_and_the_rest_of_the_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "twice.ics"
    file.write_text(calendar(event("same", "SUMMARY:One"), event("same", "SUMMARY:Two"), event("fine", "SUMMARY:Fine")))
    records, problems = read(file)
    assert [(record.values or {})["Subject"] for record in records] == ["Fine"]
    assert problems == [("twice.ics", "same")]


def test_the_same_meeting_in_two_files_is_one(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.ics").write_text(calendar(event("same", "SUMMARY:Once")))
    records, problems = read(tmp_path / "a.ics", tmp_path / "b.ics")
    assert [record.id for record in records] == ["same"] and problems == []


def test_another_meeting_with_the_uid_of_one_in_another_file_is_named_and_the_first_is_taken(tmp_path: Path) -> None:
    (tmp_path / "a.ics").write_text(calendar(event("same", "SUMMARY:Secret one")))
    moved = calendar(event("same", "SUMMARY:Secret two"), event("fine", "SUMMARY:Fine"))
    (tmp_path / "b.ics").write_text(moved.replace("20261124", "20261125"))
    connector = IcsConnector([tmp_path / "a.ics", tmp_path / "b.ics"], ANN, now=lambda: datetime(2026, 11, 23, tzinfo=UTC))
    (page,) = connector.changes(Stream("calendar", ANN), ["Subject"], None)
    assert [(record.id, record.values) for record in page.records] == [
        ("same", {"Subject": "Secret one"}), ("fine", {"Subject": "Fine"})]
    (problem,) = connector.problems
    assert (problem.object, problem.record, problem.code) == ("b.ics", "same", "uid-shared")
    assert "a.ics: 2026-11-24, b.ics: 2026-11-25" in problem.message and "Secret" not in problem.message


def test_latin_1_is_read_and_what_is_no_calendar_is_named(tmp_path: Path) -> None:
    (tmp_path / "old.ics").write_bytes(calendar(event("old", "SUMMARY:Fête")).encode("latin-1"))
    (tmp_path / "none.ics").write_text("no calendar")
    records, problems = read(tmp_path / "old.ics", tmp_path / "none.ics", tmp_path / "gone.ics")
    assert [(record.values or {})["Subject"] for record in records] == ["Fête"]
    assert problems == [("none.ics", "the file"), ("gone.ics", "the file")]


def test_a_broken_rule_is_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    file = tmp_path / "rules.ics"
    file.write_text(calendar(event("bad", "SUMMARY:Bad", "RRULE:FREQ=SOMETIMES"), event("fine", "SUMMARY:Fine")))
    records, problems = read(file)
    assert [(record.values or {})["Subject"] for record in records] == ["Fine"]
    assert problems == [("rules.ics", "bad")]


@pytest.mark.parametrize("rule", [
    "FREQ=DAILY;INTERVAL=0", "FREQ=MINUTELY;COUNT=100000000", "FREQ=SECONDLY;BYHOUR=1", "FREQ=MINUTELY;UNTIL=20990101T000000Z",
    "FREQ=HOURLY;BYMONTH=2;BYMONTHDAY=30", "FREQ=DAILY;BYSETPOS=2"])
def test_a_rule_that_would_never_come_to_an_end_holds_up_nothing(tmp_path: Path, rule: str) -> None:
    file = tmp_path / "rules.ics"
    file.write_text(calendar(event("bad", "SUMMARY:Bad", f"RRULE:{rule}"), event("fine", "SUMMARY:Fine")))
    records, problems = read(file)
    assert [(record.values or {})["Subject"] for record in records] == ["Fine"]
    assert problems == [("rules.ics", "bad")]


@pytest.mark.parametrize("form", ["cr", "folded", "utf-16", "cp1252", "control"])
def test_a_file_is_read_however_it_was_written(tmp_path: Path, form: str) -> None:
    text = calendar(event("x", "SUMMARY:Müller – Söhne")).replace("\r\n", "\n").replace("\n", "\r\n")
    raw = {"cr": text.replace("\r\n", "\r").encode(), "utf-16": text.encode("utf-16"), "cp1252": text.encode("cp1252"),
           "folded": text.encode().replace(b"\xbc", b"\r\n \xbc"), "control": text.replace("Mü", "M\x00ü\x07").encode()}[form]
    (tmp_path / "a.ics").write_bytes(raw)
    records, problems = read(tmp_path / "a.ics")
    assert [(record.values or {})["Subject"] for record in records] == ["Müller – Söhne"] and problems == []


def test_a_file_that_ends_in_the_middle_says_so(tmp_path: Path) -> None:
    (tmp_path / "cut.ics").write_text(calendar(event("x", "SUMMARY:Cut")).partition("END:VEVENT")[0])
    assert read(tmp_path / "cut.ics") == ([], [("cut.ics", "the file")])


def test_an_exception_that_names_its_day_alone_is_that_occurrence_and_what_a_rule_excludes_takes_no_place(
    tmp_path: Path
) -> None:
    moved = event("weekly", "RECURRENCE-ID;VALUE=DATE:20261201", "SUMMARY:Moved").replace("20261124", "20261202")
    (tmp_path / "a.ics").write_text(calendar(event("weekly", "SUMMARY:Weekly", "RRULE:FREQ=WEEKLY;COUNT=3"), moved))
    (tmp_path / "b.ics").write_text(calendar(event("old", "SUMMARY:Old", "RRULE:FREQ=WEEKLY;COUNT=3",
                                                   "EXRULE:FREQ=WEEKLY;INTERVAL=2;COUNT=2")))
    records, problems = read(tmp_path / "a.ics", tmp_path / "b.ics")
    told = [((record.values or {})["Subject"], (record.values or {})["Start"][:10]) for record in records]
    assert told == [("Weekly", "2026-11-24"), ("Moved", "2026-12-02"), ("Weekly", "2026-12-08"), ("Old", "2026-12-01")]
    assert problems == []


def test_two_meetings_without_a_uid_are_two_and_what_is_said_to_be_private_in_any_way_is(tmp_path: Path) -> None:
    bare = event("x", "SUMMARY:Bare").replace("UID:x\r\n", "").replace("UID:x\n", "")
    (tmp_path / "a.ics").write_text(calendar(bare) + calendar(bare))
    (tmp_path / "b.ics").write_text(calendar(
        event("one", "SUMMARY:Secret", "CLASS:PUBLIC", "CLASS:PRIVATE"),
        event("two", "SUMMARY:Secret", "X-CALENDARSERVER-ACCESS:CONFIDENTIAL")))
    records, problems = read(tmp_path / "a.ics", tmp_path / "b.ics")
    assert [(record.id, (record.values or {}).get("Subject")) for record in records] == [
        ("#1", "Bare"), ("#2", "Bare"), ("one", None), ("two", None)]
    assert problems == []


def test_a_zone_of_outlooks_own_is_looked_up_in_the_file_and_an_old_name_is_the_new_one(tmp_path: Path) -> None:
    zone = ("BEGIN:VTIMEZONE\r\nTZID:tzone://Microsoft/Custom\r\nBEGIN:STANDARD\r\nDTSTART:16010101T000000\r\n"
            "TZOFFSETFROM:+0530\r\nTZOFFSETTO:+0530\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\n")
    (tmp_path / "a.ics").write_bytes((
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\n" + zone + "".join(
            f"BEGIN:VEVENT\r\nUID:{uid}\r\nDTSTART;TZID={name}:20261124T100000\r\nSUMMARY:Visit\r\nEND:VEVENT\r\n"
            for uid, name in (("own", "tzone://Microsoft/Custom"), ("old", "Europe/Kiev"))) + "END:VCALENDAR\r\n").encode())
    connector = IcsConnector([tmp_path / "a.ics"], ANN, now=lambda: datetime(2026, 11, 23, 8, tzinfo=UTC))
    (page,) = connector.changes(Stream("calendar", ANN), ["Start", "Zone"], None)
    assert [record.values for record in page.records] == [
        {"Start": "2026-11-24T04:30:00Z", "Zone": "Microsoft Custom"},
        {"Start": "2026-11-24T08:00:00Z", "Zone": "Europe/Kyiv"}]


@pytest.mark.parametrize(("name", "unknown"), [
    ("tzone://Microsoft/Custom", "2026-11-24T09:00:00Z"), ("/own.example/Tzfile/America/Chicago", "2026-11-24T16:00:00Z")])
def test_a_zone_that_one_file_describes_is_nobody_elses_and_may_stand_after_its_events(
    tmp_path: Path, name: str, unknown: str
) -> None:
    zone = (f"BEGIN:VTIMEZONE\nTZID:{name}\nBEGIN:STANDARD\nDTSTART:16010101T000000\n"
            "TZOFFSETFROM:+0530\nTZOFFSETTO:+0530\nEND:STANDARD\nEND:VTIMEZONE\n")
    meeting = event("x", start=f'DTSTART;TZID="{name}":20261124T100000', end="DURATION:PT1H")
    begins = {}
    for place, parts in (("early", (zone, meeting)), ("late", (meeting, zone)), ("none", (meeting,))):
        path = tmp_path / f"{place}.ics"
        path.write_text(calendar(*parts))
        ((record,), problems) = read(path)
        assert problems == []
        begins[place] = (record.values or {})["Start"]
    assert begins == {"early": "2026-11-24T04:30:00Z", "late": "2026-11-24T04:30:00Z", "none": unknown}


def test_nobody_is_overlooked_in_a_large_round(tmp_path: Path) -> None:
    crowd = [f"ATTENDEE:mailto:p{number}@acme.example" for number in range(600)]
    (tmp_path / "a.ics").write_text(calendar(event("x", "SUMMARY:All", *crowd, "ATTENDEE:mailto:z@lawyers.example")))
    connector = IcsConnector([tmp_path / "a.ics"], ANN, now=lambda: datetime(2026, 11, 23, 8, tzinfo=UTC))
    (page,) = connector.changes(Stream("calendar", ANN), ["Attendees"], None)
    (record,) = page.records
    assert "z@lawyers.example" in {person["address"] for person in (record.values or {})["Attendees"]}
