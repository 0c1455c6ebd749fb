"""Calendar files: what is broken in one is named with its place, and the rest goes on."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

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
