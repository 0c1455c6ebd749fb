"""Two runners at once, a runner that outlives its lease, and a machine restored from last week's backup."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from sidefeed.sync import GuardTripped
from sidefeed.workspace import LeaseHeld, Store
from tests.sync.test_engine import Office
from tests.sync.world import World

ELSEWHERE = "r9 on another-machine pid 1"


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    office = Office(tmp_path, World())
    for number in range(4):
        office.a.person_creates("Deal", {"Name": f"Deal {number}", "Amount": str(number)})
    office.quiet()
    yield office
    office.store.close()


def names(office: Office, system: str) -> list[str]:
    return sorted(str(row["Name"]) for row in office.world.systems[system].live("Deal").values())


def restore(office: Office, backup: Path) -> None:
    office.store.close()
    for part in ("", "-wal", "-shm"):
        Path(f"{office.path}{part}").unlink(missing_ok=True)
    shutil.copy(backup, office.path)
    office.store = Store.open(office.path, now=office.world.now)


def back_up(office: Office, place: Path) -> Path:
    office.store.close()
    office.store = Store.open(office.path, now=office.world.now)
    with office.store.engine.connect() as connection:
        connection.exec_driver_sql(f"VACUUM INTO '{place}'")
    return place


def test_a_second_runner_is_refused_with_the_name_of_the_first_and_writes_nothing(office: Office) -> None:
    with office.store.write() as tx:
        tx.take_lease("sync:b", ELSEWHERE, 900)
    office.a.person_creates("Deal", {"Name": "New", "Amount": "9"})
    with pytest.raises(LeaseHeld, match="another-machine"):
        office.sync()
    assert "New" not in names(office, "b")
    office.world.tick += 1000
    office.sync()
    assert "New" in names(office, "b"), "a lease that a dead machine left ends by itself"


def test_a_long_run_keeps_its_lease(office: Office) -> None:
    held: list[bool] = []

    def slow(_number: int, phase: str, _what: str) -> None:
        if phase == "before":
            office.world.tick += 400
            with office.store.read() as tx:
                ends = tx.lease_ends("sync:b")
            held.append(ends is not None and ends > office.world.now())

    office.world.on_call = slow
    office.sync()
    assert len(held) * 400 > 900, "the run must be longer than a lease"
    assert all(held)


def test_a_runner_whose_lease_was_taken_stops_before_it_writes_again(office: Office) -> None:
    office.a.person_creates("Deal", {"Name": "New", "Amount": "9"})

    def stalled(_number: int, phase: str, what: str) -> None:
        if phase == "after" and what == "a read":
            office.world.on_call = None
            office.world.tick += 2000
            with office.store.write() as tx:
                tx.take_lease("sync:b", ELSEWHERE, 900)

    office.world.on_call = stalled
    with pytest.raises(LeaseHeld, match="another-machine"):
        office.sync()
    assert "New" not in names(office, "b")


def test_a_workspace_restored_from_last_week_is_refused_with_an_explanation(office: Office, tmp_path: Path) -> None:
    backup = back_up(office, tmp_path / "backup.db")
    for number in range(3):
        office.a.person_creates("Deal", {"Name": f"This week {number}", "Amount": "5"})
    office.quiet()
    before = names(office, "b")
    restore(office, backup)
    writes = len(office.b.writes_seen)
    with pytest.raises(GuardTripped, match="3 objects carry keys of records that this workspace does not know") as why:
        office.sync()
    assert "restored from a backup" in str(why.value)
    assert len(office.b.writes_seen) == writes and names(office, "b") == before


def test_after_approval_what_was_made_since_the_backup_is_asked_for_and_never_doubled(
    office: Office, tmp_path: Path
) -> None:
    backup = back_up(office, tmp_path / "backup.db")
    office.a.person_creates("Deal", {"Name": "This week", "Amount": "5"})
    office.quiet()
    in_a, in_b = names(office, "a"), names(office, "b")
    restore(office, backup)
    office.world.tick += 60
    office.engine().sync(approve=True)
    assert names(office, "a") == in_a, "the object in b is a question, not a new deal for a"
    with office.store.read() as tx:
        (question,) = tx.questions()
        assert question["system"] == "b"
        (this_week,) = [state.id for state in tx.each_record("opportunity") if state.values["name"] == "This week"]
    assert names(office, "b") in (in_b, sorted([*in_b, "This week"]))
    assert this_week


def test_a_create_that_a_restored_workspace_forgot_is_adopted_by_its_key(office: Office, tmp_path: Path) -> None:
    office.b.fail_before = 1
    office.a.person_creates("Deal", {"Name": "Late", "Amount": "5"})
    office.sync()
    assert "Late" not in names(office, "b")
    backup = back_up(office, tmp_path / "backup.db")
    office.quiet()
    assert names(office, "b").count("Late") == 1
    restore(office, backup)
    office.quiet()
    assert names(office, "b").count("Late") == names(office, "a").count("Late") == 1


def test_clock_and_leases_agree_on_what_is_left(office: Office) -> None:
    with office.store.lease("sync:a", "r1", seconds=900):
        with office.store.read() as tx:
            assert tx.lease_ends("sync:a") == office.world.now() + timedelta(seconds=900)
        office.world.tick += 400
        office.store.keep_leases(["sync:a"], "r1")
        with office.store.read() as tx:
            assert tx.lease_ends("sync:a") == office.world.now() + timedelta(seconds=900)
