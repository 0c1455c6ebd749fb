"""A run stops at its share of a system's calls with work left, people's edits go first, and nothing is lost by it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from sidefeed.connector import PermissionDenied
from sidefeed.sync import Engine, Report
from sidefeed.sync.budget import Budget, Standing
from sidefeed.workspace import Draft
from tests.sync.test_engine import Office
from tests.sync.world import World

DAY = 86_400


@pytest.fixture
def office(tmp_path: Path, workspace: str | Path) -> Iterator[Office]:
    office = Office(tmp_path, World(page=100), workspace)
    yield office
    office.store.close()


def sync(office: Office, **budgets: Budget) -> Report:
    office.world.tick += 60
    return Engine(office.store, office.mappings, dict(office.world.systems), budgets=budgets).sync(approve=True)


def backfill(office: Office, number: int = 40) -> None:
    for each in range(number):
        office.a.person_creates("Deal", {"Name": f"Deal {each}", "Amount": str(each)})


def test_a_backfill_stops_at_the_share_and_goes_on_the_next_day_without_doubling(office: Office) -> None:
    backfill(office)
    first = sync(office, b=Budget(share=0.5, daily_calls=16))
    written = len(office.b.live("Deal"))
    assert 0 < written < 40
    assert office.b.calls.used <= 8 + 1, "the share, and one call that was under way"
    assert [problem.code for problem in first.problems] == ["budget-share"]
    assert first.counts["over_budget"] == 40 - written
    again = sync(office, b=Budget(share=0.5, daily_calls=16))
    assert again.written == {} and len(office.b.live("Deal")) == written
    for _ in range(4):
        office.world.tick += DAY
        sync(office, b=Budget(share=0.5, daily_calls=16))
    assert sorted(row["Name"] for row in office.b.live("Deal").values()) == sorted(f"Deal {n}" for n in range(40))


def test_what_a_rep_typed_goes_before_a_backfill(office: Office) -> None:
    backfill(office, 1)
    office.quiet()
    backfill(office, 40)
    with office.store.write() as tx:
        (deal,) = [state.id for state in tx.each_record("opportunity")]
        tx.append([Draft("opportunity", deal, {"amount": "777"}, "ann", "workspace")])
    used = office.b.calls.used
    with office.store.read() as tx:
        spent = tx.calls_today("b")
    report = sync(office, b=Budget(share=1, daily_calls=spent + 4))
    assert report.counts["over_budget"] > 0
    assert "777" in {row["Amount"] for row in office.b.live("Deal").values()}
    assert office.b.calls.used - used <= 4 + 1


def test_refused_records_wait_beyond_three_quarters_of_the_share(office: Office) -> None:
    office.b.refuse = lambda _object, _write: PermissionDenied("no right")
    backfill(office, 1)
    sync(office)
    office.b.refuse = lambda _object, _write: None
    office.world.tick += DAY
    with office.store.write() as tx:
        tx.count_calls("b", 80)
    sync(office, b=Budget(share=1, daily_calls=100))
    assert office.b.live("Deal") == {}, "its night has come, but 80 of 100 calls are used"
    office.world.tick += DAY
    sync(office, b=Budget(share=1, daily_calls=100))
    assert len(office.b.live("Deal")) == 1


def test_a_system_whose_share_is_used_is_not_even_read_and_the_others_are(office: Office) -> None:
    with office.store.write() as tx:
        tx.count_calls("b", 8)
    backfill(office, 1)
    used = office.b.calls.used
    report = sync(office, b=Budget(share=0.5, daily_calls=16))
    assert office.b.calls.used == used
    assert report.changes == {"a opportunity": 1}
    assert "it was not read" in report.skipped["b Deal"]


@pytest.mark.parametrize(("left", "needed", "said"), [
    (2900, 4100, "this needs 4,100 calls, 2,900 of today's 3,000 are left: it finishes on 2026-11-28"),
    (2900, 100, "it finishes today"), (0, 6001, "it finishes on 2026-11-30")])
def test_when_work_of_many_calls_is_done(left: int, needed: int, said: str) -> None:
    standing = Standing("hubspot", 100, 6000, 0.5, 3000, left)
    assert said in standing.forecast(needed, datetime.fromisoformat("2026-11-27T12:00:00+00:00"))
