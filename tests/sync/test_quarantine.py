"""What is refused stays quiet until its cause is mended, holds back nobody, and comes back by itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sidefeed.connector import Invalid, Locked, PermissionDenied, Write
from sidefeed.mapping import load
from sidefeed.sync import quarantine
from tests.sync.test_engine import Office
from tests.sync.world import World

MINUTE, HOUR, DAY = 60, 3_600, 86_400


@pytest.fixture
def office(tmp_path: Path, workspace: str | Path) -> Iterator[Office]:
    office = Office(tmp_path, World(), workspace)
    yield office
    office.store.close()


def asked(office: Office, of: str = "b") -> int:
    """How many writes a system was asked for by one sync."""
    before = len(office.world.systems[of].writes_seen)
    office.sync()
    return len(office.world.systems[of].writes_seen) - before


def wait(office: Office, seconds: int) -> None:
    office.world.tick += seconds


def every(office: Office, seconds: int, until: int) -> Iterator[int]:
    """Let this much time pass again and again until so much has; a sync itself takes a minute of it."""
    for passed in range(seconds, until + 1, seconds):
        wait(office, seconds - MINUTE)
        yield passed


@pytest.mark.slow
def test_a_locked_record_is_asked_every_twenty_minutes_ten_times_and_then_every_night(office: Office) -> None:
    office.a.person_creates("Deal", {"Name": "Big", "Amount": "10"})
    office.b.refuse = lambda _object, _write: Locked("somebody is writing it")
    assert asked(office) == 1
    quick = sum(asked(office) for _ in every(office, 7 * MINUTE, 4 * HOUR))
    assert quick == 10, "of the quick lane, from midnight to 03:20"
    nightly = [asked(office) for _ in every(office, HOUR, 26 * HOUR)]
    assert sum(nightly) == 1 and nightly.index(1) in (22, 23), "at 03:00 of the next night"
    office.b.refuse = lambda _object, _write: None
    wait(office, DAY)
    office.sync()
    assert office.only("b")["Name"] == "Big"
    with office.store.read() as tx:
        assert tx.refused() == []


def test_a_locked_record_with_new_content_is_asked_at_once(office: Office) -> None:
    deal = office.a.person_creates("Deal", {"Name": "Big", "Amount": "10"})
    office.b.refuse = lambda _object, _write: Locked("somebody is writing it")
    office.sync()
    assert asked(office) == 0
    office.a.person_edits("Deal", deal, {"Amount": "11"})
    assert asked(office) == 1


def test_an_update_refused_without_naming_a_field_is_not_asked_again_either(office: Office) -> None:
    deal = office.a.person_creates("Deal", {"Name": "Big", "Amount": "10"})
    office.quiet()
    office.b.refuse = lambda _object, _write: Invalid("a rule of the organisation")
    office.a.person_edits("Deal", deal, {"Amount": "11"})
    report = office.sync()
    assert [problem.code for problem in report.problems] == ["invalid"]
    assert asked(office) == asked(office) == 0
    office.a.person_edits("Deal", deal, {"NextStep": "call"})
    assert asked(office) == 1


def test_what_an_administrator_mends_is_asked_every_night(office: Office) -> None:
    office.a.person_creates("Deal", {"Name": "Big", "Amount": "10"})
    office.b.refuse = lambda _object, _write: PermissionDenied("no right to create deals")
    office.sync()
    office.b.refuse = lambda _object, _write: None
    assert asked(office) == 0
    wait(office, DAY)
    assert asked(office) == 1
    assert office.only("b")["Amount"] == "10"


def test_a_person_asks_again_by_code(office: Office) -> None:
    office.a.person_creates("Deal", {"Name": "Big", "Amount": "13"})
    office.b.refuse = lambda _object, write: "Amount" if write.values.get("Amount") == "13" else None
    office.sync()
    office.b.refuse = lambda _object, _write: None
    wait(office, DAY)
    assert asked(office) == 0, "a refused value is not asked again by itself"
    assert quarantine.retry(office.store, code="other") == []
    (told,) = quarantine.retry(office.store, code="invalid")
    assert (told["system"], told["field"], told["code"]) == ("b", "Amount", "invalid")
    office.sync()
    assert office.only("b")["Amount"] == "13"
    with office.store.read() as tx:
        assert tx.refused() == []


def test_one_poisoned_row_of_a_batch_is_found_by_halving_and_the_others_are_written(tmp_path: Path) -> None:
    office = Office(tmp_path, World(batch=16))

    def poisoned(_object: str, write: Write) -> bool:
        return write.values.get("Name") == "Deal 5"

    for number in range(16):
        office.a.person_creates("Deal", {"Name": f"Deal {number}", "Amount": str(number)})
    office.b.poison = poisoned
    before = office.b.calls.used
    report = office.sync()
    names = {row["Name"] for row in office.b.live("Deal").values()}
    assert names == {f"Deal {number}" for number in range(16)} - {"Deal 5"}
    assert [problem.record for problem in report.problems] == ["Deal 5"]
    reads = 4
    assert office.b.calls.used - before <= reads + 1 + 2 * 4, "one call, and two for each halving of sixteen"
    assert asked(office) == 0
    office.b.poison = lambda _object, _write: False
    quarantine.retry(office.store, records=[row["record"] for row in refusals(office)])
    office.sync()
    assert len(office.b.live("Deal")) == 16


def refusals(office: Office) -> list[dict[str, str]]:
    with office.store.read() as tx:
        return tx.refused()


def test_children_of_a_refused_parent_wait_and_follow_it_in_the_run_that_mends_it(office: Office) -> None:
    account = office.a.person_creates("Account", {"Name": "Acme", "Domain": "bad"})
    office.a.person_creates("Deal", {"Name": "Big", "Amount": "10", "AccountId": account})
    office.b.refuse = lambda object, write: (
        Invalid("no such domain", field="Domain") if object == "Account" and write.values.get("Domain") == "bad" else
        PermissionDenied("no right") if object == "Account" else None)
    report = office.sync()
    assert office.b.live("Deal") == {}
    assert "is not in b yet" in next(iter(report.waiting.values()))
    office.b.refuse = lambda _object, _write: None
    office.a.person_edits("Account", account, {"Domain": "acme.test"})
    office.sync()
    assert office.only("b")["AccountId"] in office.b.live("Account")


def test_what_waits_for_an_object_is_read_in_the_run_that_learns_of_it(office: Office) -> None:
    account = office.a.person_creates("Account", {"Name": "Acme", "Domain": "acme.test"})
    office.a.hidden.add(account)
    office.a.person_creates("Deal", {"Name": "Big", "Amount": "10", "AccountId": account})
    for _ in range(6):
        office.sync()
    with office.store.read() as tx:
        (parked,) = tx.needed("a", "Deal")
    assert parked == f"account {account}"
    office.a.hidden.clear()
    office.a.person_edits("Account", account, {"Phone": "1"})
    office.sync()
    assert office.only("b")["AccountId"] in office.b.live("Account")
    with office.store.read() as tx:
        assert tx.needed("a", "Deal") == {}


def test_a_record_that_was_never_made_is_made_once_what_it_needs_is_there(tmp_path: Path) -> None:
    """It had no link by which the mended refusal could find it, so it waited for its next edit."""
    office = Office(tmp_path, World())
    place = tmp_path / "mappings" / "b.yaml"
    place.write_text(place.read_text().replace("match: [domain]\n", "match: [domain]\n    readonly: true\n").replace(
        "{field: AccountId}", "{field: AccountId, required_on_create: true}"))
    office.mappings = load(place.parent)
    acme = {"Name": "Acme", "Domain": "acme.test"}
    office.a.person_creates("Deal", {"Name": "Big", "AccountId": office.a.person_creates("Account", acme)})
    office.quiet()
    assert office.b.live("Deal") == {} and [row["code"] for row in refusals(office)] == ["unresolved"]
    there = office.b.person_creates("Account", acme)
    office.quiet()
    assert office.only("b")["AccountId"] == there and refusals(office) == []
    office.store.close()
