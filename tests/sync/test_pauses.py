"""What is paused is written nowhere, whoever runs; what waits is written once it goes on, and nothing is lost by it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sidefeed.sync import Engine, GuardTripped, WorldMoved
from sidefeed.workspace import Store
from sidefeed.workspace.pauses import EVERYTHING, pause, resume
from tests.sync.test_engine import Office
from tests.sync.world import World


@pytest.fixture
def office(tmp_path: Path, workspace: str | Path) -> Iterator[Office]:
    office = Office(tmp_path, World(page=50), workspace)
    yield office
    office.store.close()


def paused(office: Office, what: str, *, reads: bool = False) -> None:
    with office.store.write() as tx:
        pause(tx, what, by="dana", why="bad mapping", reads=reads)


def resumed(office: Office, what: str) -> None:
    with office.store.write() as tx:
        resume(tx, what)


def a_deal(office: Office) -> tuple[str, str]:
    office.a.person_creates("Deal", {"Name": "Big", "Amount": "10", "NextStep": "call"})
    office.quiet()
    (in_a,), (in_b,) = office.a.live("Deal"), office.b.live("Deal")
    return in_a, in_b


@pytest.mark.parametrize("what", ["b", "b Deal"])
def test_a_paused_system_is_read_and_planned_and_not_written(office: Office, what: str) -> None:
    in_a, in_b = a_deal(office)
    paused(office, what)
    office.a.person_edits("Deal", in_a, {"Amount": "20"})
    office.b.person_edits("Deal", in_b, {"NextStep": "visit"})
    plans, _report = office.engine().plan()
    assert [(write.system, write.after) for plan in plans for write in plan.writes if write.system == "b"] == [
        ("b", {"Amount": "20"})]
    first, second = office.sync(), office.sync()
    assert first.written == {"a Deal": {"update": 1}} and second.written == {}
    assert first.paused == {"b Deal": f"{what} is paused since 2026-11-02T00:04 by dana (bad mapping): 1 write waits"}
    assert office.only("b")["Amount"] == "10"
    resumed(office, what)
    last = office.sync()
    assert last.written == {"b Deal": {"update": 1}} and last.paused == {}
    for system in "ab":
        assert (office.only(system)["Amount"], office.only(system)["NextStep"]) == ("20", "visit")


def test_records_made_and_deleted_meanwhile_travel_once_it_goes_on(office: Office) -> None:
    in_a, in_b = a_deal(office)
    paused(office, EVERYTHING)
    office.a.person_creates("Deal", {"Name": "New", "Amount": "1"})
    office.a.person_deletes("Deal", in_a)
    for _ in range(3):
        assert office.sync().written == {}
    assert list(office.b.live("Deal")) == [in_b]
    resumed(office, EVERYTHING)
    office.quiet()
    assert office.only("b")["Name"] == office.only("a")["Name"] == "New"


def test_what_takes_no_part_is_sent_no_request_and_the_others_go_on(office: Office) -> None:
    in_a, in_b = a_deal(office)
    paused(office, "b", reads=True)
    office.b.person_edits("Deal", in_b, {"Amount": "20"})
    office.a.person_edits("Deal", in_a, {"NextStep": "visit"})
    calls = office.b.calls.used
    report = office.sync()
    assert office.b.calls.used == calls
    assert list(report.paused) == ["b"] and report.ok
    with office.store.read() as tx:
        assert [state.values["next_step"] for state in tx.each_record("opportunity")] == ["visit"]
    resumed(office, "b")
    office.quiet()
    for system in "ab":
        assert (office.only(system)["Amount"], office.only(system)["NextStep"]) == ("20", "visit")


def test_a_run_at_work_stops_before_its_next_batch_and_is_finished_later(office: Office) -> None:
    for each in range(20):
        office.a.person_creates("Deal", {"Name": f"Deal {each:02}"})
    other = Store.open(office.path, now=office.world.now)

    def somebody_pauses(_call: int, phase: str, what: str) -> None:
        if phase == "after" and what == "b write":
            office.world.on_call = None
            with other.write() as tx:
                pause(tx, "b", by="dana")

    office.world.on_call = somebody_pauses
    report = office.sync()
    office.world.on_call = None
    other.close()
    made = len(office.b.live("Deal"))
    assert 0 < made <= office.b.batch, "the batch that was under way, and no other"
    assert "what was not written by then waits" in report.paused["b Deal"]
    assert office.sync().written == {}
    resumed(office, "b")
    office.quiet()
    assert sorted(row["Name"] for row in office.b.live("Deal").values()) == [f"Deal {each:02}" for each in range(20)]


def test_a_guard_does_not_stop_the_others_for_what_is_paused_and_stops_it_when_it_goes_on(office: Office) -> None:
    for each in range(40):
        office.a.person_creates("Deal", {"Name": f"Deal {each:02}", "NextStep": "call"})
    office.quiet()
    paused(office, "b")
    for id in office.a.live("Deal"):
        office.a.person_edits("Deal", id, {"NextStep": None})
    office.b.person_creates("Deal", {"Name": "From b"})
    assert office.sync().written == {"a Deal": {"create": 1}}
    resumed(office, "b")
    with pytest.raises(GuardTripped, match="would blank"):
        office.sync()
    assert {row.get("NextStep") for row in office.b.live("Deal").values()} == {"call", None}


def test_a_saved_plan_is_applied_whole_or_not_at_all(office: Office) -> None:
    in_a, in_b = a_deal(office)
    office.a.person_edits("Deal", in_a, {"Amount": "20"})
    office.b.person_edits("Deal", in_b, {"NextStep": "visit"})
    engine = office.engine()
    saved = engine.save_plan(*engine.plan())
    paused(office, "b")
    with pytest.raises(WorldMoved, match="b is paused since"):
        office.engine().apply(saved)
    assert office.only("a")["NextStep"] == "call" and office.only("b")["Amount"] == "10"
    resumed(office, "b")
    assert office.engine().apply(saved).written == {"a Deal": {"update": 1}, "b Deal": {"update": 1}}


def test_an_undo_of_what_is_paused_waits_like_any_other_write(office: Office) -> None:
    in_a, _in_b = a_deal(office)
    office.a.person_edits("Deal", in_a, {"Amount": "20"})
    run = office.sync().run
    paused(office, "b")
    _undone, report = Engine(office.store, office.mappings, dict(office.world.systems)).undo(run)
    assert report.written.get("b Deal") is None and "1 write waits" in report.paused["b Deal"]
    resumed(office, "b")
    office.quiet()
    assert office.only("b")["Amount"] == "10"
