"""Real and hostile calendar files: each in, out and in again with no meaning lost, and what is broken broken alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from icalendar import vDDDTypes

from connectors.calendars import events, writing
from connectors.calendars.events import Broken
from connectors.calendars.window import Window

EVERYTHING = (
    "Key", "UID", "OriginalStart", "Subject", "Start", "End", "Zone", "IsAllDay", "Location", "Body", "Sensitivity",
    "Organizer", "Attendees", "MyResponse", "IsCancelled", "ShowAs", "JoinUrl", "Series")
LONG = Window(datetime(2000, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC))


def told(calendar: Any, window: Window) -> list[dict[str, Any]]:
    return sorted((events.read(meeting, "ann@ours.example", EVERYTHING, "Europe/Berlin")
                   for meeting in events.meetings(calendar, window, "Europe/Berlin")), key=repr)


def objects(content: bytes) -> Iterator[tuple[str, Any]]:
    yield from events.by_uid(events.parse(content)).items()


def around(calendar: Any) -> Window:
    """A year from where an object begins: what later years bring is the same rule again."""
    starts = [event["DTSTART"].dt for event in calendar.walk("VEVENT") if isinstance(event.get("DTSTART"), vDDDTypes)]
    first = min((datetime(each.year, each.month, each.day, tzinfo=UTC) for each in starts), default=LONG.start)
    return Window(first - timedelta(days=2), first + timedelta(days=366))


@pytest.mark.slow
def test_every_file_in_out_and_in_again_keeps_its_meaning(reference_data: Path) -> None:
    files = sorted(path for folder in ("ical_nasty", "ical_recurring", "ical_samples")
                   for path in (reference_data / "calendars" / folder).rglob("*.ics"))
    counts: Counter[str] = Counter()
    changed = []
    for path in files:
        try:
            found = list(objects(path.read_bytes()))
        except Broken:
            whole = b"BEGIN:VCALENDAR" in path.read_bytes()  # others are fragments of a calendar, which say nothing alone
            counts["unreadable files" if whole else "fragments"] += 1
            continue
        for uid, calendar in found:
            try:
                before = told(calendar, window := around(calendar))
            except Broken:
                counts["broken meetings"] += 1
                continue
            again = list(objects(calendar.to_ical(sorted=False)))
            counts["meetings"] += 1
            if len(again) != 1 or told(again[0][1], window) != before:
                changed.append(f"{path.name} {uid}")
    assert len(files) > 300 and counts["meetings"] > 500
    assert changed == []
    assert counts["unreadable files"] < 20
    assert counts["broken meetings"] < counts["meetings"] / 5


def test_rules_expand_as_the_reference_says(reference_data: Path) -> None:
    """138 rules of libical; those that differ from it are rules that no calendar program makes."""
    text = (reference_data / "calendars" / "ical_recur_rules" / "icalrecur_test.txt").read_text()
    agree, differ = 0, []
    for block in text.split("\n\n"):
        parts = dict(line.split(":", 1) for line in block.splitlines() if ":" in line and not line.startswith("#"))
        if not {"RRULE", "DTSTART", "INSTANCES"} <= parts.keys() or "***" in parts["INSTANCES"]:
            continue
        kind = "DTSTART" if "T" in parts["DTSTART"] else "DTSTART;VALUE=DATE"
        raw = (f"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:x\r\n{kind}:{parts['DTSTART']}\r\nRRULE:{parts['RRULE']}\r\n"
               "END:VEVENT\r\nEND:VCALENDAR\r\n").encode()
        wanted = parts["INSTANCES"].split(",")
        hurried = any(f"FREQ={each}" in parts["RRULE"] for each in ("SECONDLY", "MINUTELY", "HOURLY"))
        window = Window(datetime(1990, 1, 1, tzinfo=UTC), datetime(2040 if hurried else 2100, 1, 1, tzinfo=UTC))
        try:
            (calendar,) = [each for _uid, each in objects(raw)]
            starts = sorted(each.event["DTSTART"].dt.strftime("%Y%m%dT%H%M%S" if "T" in parts["DTSTART"] else "%Y%m%d")
                            for each in events.meetings(calendar, window, "UTC"))
        except Broken:
            differ.append(parts["RRULE"])
            continue
        if starts[:len(wanted)] == wanted[:len(starts)]:
            agree += 1
        else:
            differ.append(parts["RRULE"])
    assert agree >= 95, (agree, differ)


DAYS = st.dates(date(2026, 1, 1), date(2026, 12, 1))
ZONES = st.sampled_from(["Europe/Berlin", "America/New_York", "Pacific/Auckland", "Asia/Kolkata", "UTC"])


@settings(max_examples=25, deadline=None)
@given(day=DAYS, hour=st.integers(4, 22), zone=ZONES, count=st.integers(2, 12), moved=st.integers(0, 11),
       excluded=st.integers(0, 11), process=st.sampled_from(["UTC", "Pacific/Kiritimati", "America/Los_Angeles"]))
def test_a_random_series_with_a_move_and_a_deletion_keeps_its_keys_and_its_wall_clock(
    day: Any, hour: int, zone: str, count: int, moved: int, excluded: int, process: str
) -> None:
    import os
    import time

    before = os.environ.get("TZ")
    os.environ["TZ"] = process
    time.tzset()
    try:
        made = writing.new_event({"Subject": "S", "Start": f"{day}T{hour:02}:00:00+00:00",
                                  "End": f"{day}T{hour:02}:30:00+00:00", "Zone": zone}, "u", "k:1",
                                 datetime(2026, 1, 1, tzinfo=UTC))
        (calendar,) = events.parse(made)
        calendar.events[0].add("RRULE", {"FREQ": "DAILY", "COUNT": count})
        (calendar,) = events.parse(calendar.to_ical())
        window = Window(datetime(2025, 12, 1, tzinfo=UTC), datetime(2027, 2, 1, tzinfo=UTC))
        plain = told(calendar, window)
        assert len(plain) == count
        originals = sorted(each["OriginalStart"] for each in plain)
        gone, shifted = originals[excluded % count], originals[moved % count]
        event = writing.target(calendar, shifted, "UTC")
        writing.edit(event, {"Start": "2026-12-24T10:00:00Z", "End": "2026-12-24T11:00:00Z"})
        writing.exclude(calendar, gone, "UTC")
        (calendar,) = events.parse(calendar.to_ical())
        after = {each["OriginalStart"]: each for each in told(calendar, window)}
        assert sorted(after) == [each for each in originals if each != gone]
        assert {each["OriginalStart"]: each["Key"] for each in plain if each["OriginalStart"] != gone} == {
            original: each["Key"] for original, each in after.items()}
        for original, each in after.items():
            assert each["Start"] == ("2026-12-24T10:00:00Z" if original == shifted else original)
    finally:
        os.environ.pop("TZ", None) if before is None else os.environ.__setitem__("TZ", before)
        time.tzset()


@settings(max_examples=40, deadline=None)
@given(day=DAYS, length=st.integers(1, 20), process=st.sampled_from(["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"]))
def test_whole_days_stay_dates_wherever_the_process_runs(day: Any, length: int, process: str) -> None:
    import os
    import time
    before = os.environ.get("TZ")
    os.environ["TZ"] = process
    time.tzset()
    try:
        end = day + timedelta(days=length)
        (calendar,) = events.parse(writing.new_event({"Start": str(day), "End": str(end), "IsAllDay": True}, "u", None,
                                                     datetime(2026, 1, 1, tzinfo=UTC)))
        (told_of,) = told(calendar, LONG)
        assert (told_of["Start"], told_of["End"], told_of["IsAllDay"]) == (str(day), str(end), True)
    finally:
        os.environ.pop("TZ", None) if before is None else os.environ.__setitem__("TZ", before)
        time.tzset()


@pytest.mark.parametrize(("name", "content"), [
    ("nothing", b""), ("noise", b"\x00\xff\xfe not a calendar"),
    ("no start", b"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:a\r\nSUMMARY:Geheim\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"),
    ("a bad rule", b"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:a\r\nDTSTART:20261124T100000Z\r\nRRULE:FREQ=SOMETIMES\r\n"
                   b"SUMMARY:Geheim\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"),
    ("two masters", (b"BEGIN:VCALENDAR\r\n" + b"BEGIN:VEVENT\r\nUID:a\r\nDTSTART:20261124T100000Z\r\nEND:VEVENT\r\n" * 2
                     + b"END:VCALENDAR\r\n")),
])
def test_what_is_broken_says_so_and_quotes_nothing(name: str, content: bytes) -> None:
    try:
        found = list(objects(content))
    except Broken as error:
        assert "Geheim" not in str(error)
        return
    if not found:
        return
    for _uid, calendar in found:
        with pytest.raises(Broken) as raised:
            told(calendar, LONG)
        assert "Geheim" not in str(raised.value)


def test_ten_thousand_occurrences_cost_only_their_window_and_twenty_days_are_one_meeting() -> None:
    raw = ("BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:a\r\nDTSTART:20200101T100000Z\r\nDTEND:20200101T110000Z\r\n"
           "RRULE:FREQ=DAILY;COUNT=10000\r\nEND:VEVENT\r\nBEGIN:VEVENT\r\nUID:b\r\nDTSTART;VALUE=DATE:20261124\r\n"
           "DTEND;VALUE=DATE:20261214\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n")
    found = dict(objects(raw.encode()))
    window = Window(datetime(2026, 11, 1, tzinfo=UTC), datetime(2027, 2, 1, tzinfo=UTC))
    assert len(told(found["a"], window)) == 92
    (days,) = told(found["b"], window)
    assert (days["Start"], days["End"]) == ("2026-11-24", "2026-12-14")


def test_bytes_that_are_no_utf8_are_read_all_the_same() -> None:
    raw = ("BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:a\nDTSTART:20261124T100000Z\nSUMMARY:Gespräch\nEND:VEVENT\n"
           "END:VCALENDAR\n").encode("latin-1")
    ((_uid, calendar),) = objects(raw)
    (found,) = told(calendar, LONG)
    assert found["Subject"] == "Gespräch"
