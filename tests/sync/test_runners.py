"""Two runners at once, a runner that outlives its lease, and a machine restored from last week's backup."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from sidefeed.sync import GuardTripped
from sidefeed.sync.matching import answer, answer_new, questions
from sidefeed.workspace import Draft, LeaseHeld, Store
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


@pytest.mark.parametrize("deals", [0, 8], ids=["nothing to write", "one feed longer than a lease"])
def test_a_long_run_keeps_its_lease(office: Office, deals: int) -> None:
    held: list[bool] = []
    office.a.page = office.b.batch = 1
    for number in range(deals):
        office.a.person_creates("Deal", {"Name": f"New {number}"})

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


def test_a_lease_that_stayed_behind_while_the_workspace_was_away_holds_up_nobody(office: Office) -> None:
    """A run of a long-lived process could not give its lease back, and the next one met it for a quarter of an hour."""
    away = office.path.with_suffix(".away")
    with pytest.raises(OperationalError), office.store.lease("sync:b", "r1"):
        office.store.close()
        office.path.rename(away)
        office.path.mkdir()
    office.path.rmdir()
    away.rename(office.path)
    with office.store.read() as tx:
        assert tx.lease_ends("sync:b") is not None
    other = Store.open(office.path, now=office.world.now)
    with other.lease("sync:b", "r2"), pytest.raises(LeaseHeld, match="r2"):
        office.sync()
    other.close()
    office.sync()


def test_clock_and_leases_agree_on_what_is_left(office: Office) -> None:
    with office.store.lease("sync:a", "r1", seconds=900):
        with office.store.read() as tx:
            assert tx.lease_ends("sync:a") == office.world.now() + timedelta(seconds=900)
        office.world.tick += 400
        office.store.keep_leases()
        with office.store.read() as tx:
            assert tx.lease_ends("sync:a") == office.world.now() + timedelta(seconds=900)


# -- what was made since the backup: found again, never made twice ---------------------------------------------------


def made_since(office: Office, tmp_path: Path, *deals: dict[str, str]) -> None:
    """These deals are made in a and carried to b, and then the workspace of before that is restored."""
    backup = back_up(office, tmp_path / "backup.db")
    for values in deals:
        office.a.person_creates("Deal", values)
    office.quiet()
    restore(office, backup)


def approved(office: Office) -> None:
    office.world.tick += 60
    office.engine().sync(approve=True)
    office.quiet()


def waiting(office: Office) -> list[dict[str, Any]]:
    with office.store.read() as tx:
        return [one.as_json() for one in questions(tx)]


@pytest.mark.parametrize("first", ["a", "b"], ids=["made in a", "made in b"])
def test_what_was_made_since_the_backup_is_found_again_by_what_it_holds(
    office: Office, tmp_path: Path, first: str
) -> None:
    backup = back_up(office, tmp_path / "backup.db")
    made_in, copied_to = office.world.systems[first], office.world.systems["b" if first == "a" else "a"]
    account = made_in.person_creates("Account", {"Name": "Acme", "Phone": "1"})
    id = made_in.person_creates("Deal", {"Name": "This week", "Amount": "5", "AccountId": account})
    office.quiet()
    before = names(office, "a")
    restore(office, backup)
    approved(office)
    assert names(office, "a") == names(office, "b") == before and waiting(office) == []
    assert len(copied_to.live("Account")) == 1
    made_in.person_edits("Deal", id, {"Amount": "6"})
    office.quiet()
    assert [row["Amount"] for row in copied_to.live("Deal").values() if row["Name"] == "This week"] == ["6"]


def test_one_that_was_edited_since_waits_for_a_person_and_is_never_made_twice(office: Office, tmp_path: Path) -> None:
    made_since(office, tmp_path, {"Name": "This week", "Amount": "5"})
    there = next(id for id, row in office.b.live("Deal").items() if row["Name"] == "This week")
    office.b.person_edits("Deal", there, {"Amount": "7"})
    approved(office)
    assert names(office, "a").count("This week") == names(office, "b").count("This week") == 1
    ((candidate,),) = [one["candidates"] for one in waiting(office)]
    assert (candidate["label"], candidate["score"], candidate["same"]) == ("This week", 0.5, ("name",))
    with office.store.write() as tx:
        answer(tx, "b", "Deal", there, candidate["record"])
    office.quiet()
    assert names(office, "a").count("This week") == names(office, "b").count("This week") == 1
    with office.store.read() as tx:
        ((shown,),) = [[{head.value for head in state.conflicts["amount"]}] for state in tx.conflicted()]
    assert shown == {"5", "7"}, "what differs is asked, not overwritten"


@pytest.mark.slow
def test_two_that_hold_the_same_are_for_a_person(office: Office, tmp_path: Path) -> None:
    made_since(office, tmp_path, *[{"Name": "Twin", "Amount": "5"}] * 2)
    approved(office)
    assert names(office, "a").count("Twin") == names(office, "b").count("Twin") == 2
    assert [len(one["candidates"]) for one in waiting(office)] == [2, 2]


@pytest.mark.slow
def test_while_one_is_not_placed_nothing_older_is_made_and_newer_work_goes_on(office: Office, tmp_path: Path) -> None:
    made_since(office, tmp_path, {"Name": "This week", "Amount": "5"})
    there = next(id for id, row in office.b.live("Deal").items() if row["Name"] == "This week")
    office.b.person_edits("Deal", there, {"Amount": "7", "Name": "Called otherwise"})
    approved(office)
    assert "This week" not in names(office, "b"), "it may be the one that is called otherwise"
    office.world.tick += 1000
    office.a.person_creates("Deal", {"Name": "Made today", "Amount": "9"})
    office.quiet()
    assert "Made today" in names(office, "b")
    with office.store.write() as tx:
        assert [one.external_id for one in answer_new(tx)] == [there]
    office.quiet()
    assert names(office, "a") == names(office, "b"), "a person said that they are two"
    assert {"This week", "Called otherwise"} <= set(names(office, "a"))


@pytest.mark.slow
def test_a_deal_that_was_typed_here_is_one_again_once_a_person_placed_its_first_copy(
    office: Office, tmp_path: Path
) -> None:
    backup = back_up(office, tmp_path / "backup.db")
    with office.store.write() as tx:
        tx.append([Draft("opportunity", tx.new_id(), {"name": "Typed", "amount": "5"}, "rep", "workspace")])
    office.quiet()
    restore(office, backup)
    approved(office)
    assert names(office, "a").count("Typed") == names(office, "b").count("Typed") == 1
    assert [one["candidates"] for one in waiting(office)] == [[], []]
    (in_a,) = [one for one in waiting(office) if one["system"] == "a"]
    with office.store.write() as tx:
        answer(tx, "a", "Deal", in_a["external_id"], "new")
    office.quiet()
    assert waiting(office) == []
    assert names(office, "a").count("Typed") == names(office, "b").count("Typed") == 1


def test_a_copy_that_was_made_once_more_since_the_backup_is_the_copy(office: Office, tmp_path: Path) -> None:
    backup = back_up(office, tmp_path / "backup.db")
    in_a = next(id for id, row in office.a.live("Deal").items() if row["Name"] == "Deal 1")
    office.a.person_deletes("Deal", in_a)
    office.quiet()
    office.a.person_restores("Deal", in_a)
    office.quiet()
    assert len(office.b.rows["Deal"]) == 5, "b cannot restore: it was made again there"
    before = names(office, "a")
    restore(office, backup)
    approved(office)
    assert names(office, "a") == names(office, "b") == before
    assert in_a in office.a.live("Deal") and len(office.a.rows["Deal"]) == 4


@pytest.mark.slow
def test_a_question_about_what_is_gone_is_asked_no_more(office: Office, tmp_path: Path) -> None:
    made_since(office, tmp_path, {"Name": "This week", "Amount": "5"})
    there = next(id for id, row in office.b.live("Deal").items() if row["Name"] == "This week")
    office.b.person_edits("Deal", there, {"Amount": "7"})
    approved(office)
    assert len(waiting(office)) == 1
    office.b.person_deletes("Deal", there)
    office.quiet()
    assert waiting(office) == []
    assert names(office, "a") == names(office, "b"), "nothing holds it back any more"
