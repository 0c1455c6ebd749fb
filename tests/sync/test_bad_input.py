"""Bad input of every kind: a correct result or a clear problem, never a lost record and never half a page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sidefeed.connector import Page
from tests.sync.test_engine import Office
from tests.sync.world import World


@pytest.fixture
def office(tmp_path: Path, workspace: str | Path) -> Iterator[Office]:
    office = Office(tmp_path, World(), workspace)
    yield office
    office.store.close()


def pages(office: Office, change: Any) -> None:
    """Let the feed of `a` hand out other pages than it would."""
    plain = office.a.changes

    def changed(*args: Any, **options: Any) -> Iterator[Page]:
        return iter(change(list(plain(*args, **options))))

    office.a.changes = changed  # type: ignore[method-assign]


def deals(office: Office, number: int = 7) -> None:
    for each in range(number):
        office.a.person_creates("Deal", {"Name": f"Deal {each}", "Amount": str(each)})


def agreed(office: Office, number: int = 7) -> bool:
    there = sorted(str(row["Name"]) for row in office.b.live("Deal").values())
    return there == sorted(f"Deal {each}" for each in range(number))


def test_an_id_that_stands_twice_in_one_page_is_one_record_with_its_last_state(office: Office) -> None:
    deals(office)
    pages(office, lambda found: [replace(page, records=(
        *(replace(one, values={**(one.values or {}), "NextStep": "older"}) for one in page.records), *page.records))
        for page in found])
    office.quiet()
    assert agreed(office)
    assert {row["NextStep"] for row in office.b.live("Deal").values()} == {None}


def test_a_page_that_is_handed_out_again_changes_nothing(office: Office) -> None:
    deals(office)
    pages(office, lambda found: [page for page in found for _ in range(3)])
    first = office.sync()
    assert first.written == {"b Deal": {"create": 7}}
    assert office.sync().written == {}
    assert agreed(office)


def test_a_cursor_that_goes_back_reads_again_and_writes_nothing(office: Office) -> None:
    deals(office)
    office.quiet()
    with office.store.write() as tx:
        tx.move_cursor("a", "Deal", position="-5000 -1")
    report = office.sync()
    assert (report.written, report.changes) == ({}, {})


@pytest.mark.parametrize("jump", [-86_400 * 400, 86_400 * 400])
def test_a_clock_that_jumps_loses_no_edit(office: Office, jump: int) -> None:
    deals(office)
    office.quiet()
    deal = next(iter(office.a.live("Deal")))
    office.a.person_edits("Deal", deal, {"Amount": "500"})
    office.sync()
    office.world.tick += jump
    office.sync()
    office.a.person_edits("Deal", deal, {"Amount": "501"})
    office.a.rows["Deal"][deal].stamp = office.world.tick
    for fake in office.world.systems.values():
        for row in fake.rows["Deal"].values():
            row.visible = min(row.visible, office.world.tick)
    with office.store.write() as tx:  # what a census repairs
        tx.put_inbox("a", "Deal", {deal: None})
    office.sync()
    office.sync()
    assert "501" in {row["Amount"] for row in office.b.live("Deal").values()}


@pytest.mark.parametrize("text", [
    "nul \x00 bell \x07 escape \x1b[31m", "=HYPERLINK(\"http://evil.test\",\"x\")", "+cmd|' /C calc'!A0", "@SUM(1)",
    "'; DROP TABLE record; --", "\ud800 lone", "x" * 1_000_000, "\u202e right to left", "\ufeff mark", " \t\n "])
def test_hostile_text_travels_or_is_told_and_holds_back_nobody(office: Office, text: str) -> None:
    office.a.person_creates("Deal", {"Name": "Odd", "NextStep": text})
    deals(office)
    office.quiet()
    there = {str(row["Name"]): row["NextStep"] for row in office.b.live("Deal").values()}
    assert set(there) == {"Odd", *(f"Deal {each}" for each in range(7))}
    assert there["Odd"] is None or "\x00" not in there["Odd"]
    again = office.sync()
    assert (again.written, again.changes) == ({}, {}), "what cleaning made of it is no edit"


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999999999", "١٢", "12,5", "0x10", "--1", "9" * 60])
def test_a_number_that_is_none_is_told_and_the_rest_of_the_record_travels(office: Office, number: str) -> None:
    office.a.person_creates("Deal", {"Name": "Odd", "Amount": number, "NextStep": "call"})
    deals(office)
    report = office.sync()
    assert [(problem.field, problem.code) for problem in report.problems][:1] in (
        [("amount", "not-a-number")], [("amount", "too-many-digits")])
    office.quiet()
    (odd,) = [row for row in office.b.live("Deal").values() if row["Name"] == "Odd"]
    assert (odd["Amount"], odd["NextStep"]) == (None, "call")


@pytest.mark.parametrize("id", ["../../etc/passwd", "a/b?c=d#e", "' OR 1=1 --", "id\nwith line", "é" * 300, "%00", ""])
def test_a_hostile_id_is_one_record_and_stays_itself(office: Office, id: str) -> None:
    made = office.a.person_creates("Deal", {"Name": "Odd", "Amount": "1"})
    row = office.a.rows["Deal"].pop(made)
    row.id = id
    office.a.rows["Deal"][id] = row
    deals(office)
    office.quiet()
    assert sorted(str(row["Name"]) for row in office.b.live("Deal").values()).count("Odd") == 1
    office.a.person_edits("Deal", id, {"Amount": "2"})
    office.quiet()
    assert {row["Amount"] for row in office.b.live("Deal").values() if row["Name"] == "Odd"} == {"2"}
