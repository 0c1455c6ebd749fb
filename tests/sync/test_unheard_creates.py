"""A create whose answer was lost: found by its key, however late it takes effect and whatever people did meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sidefeed.connector import Unavailable
from sidefeed.sync import Report
from tests.sync.test_engine import Office
from tests.sync.world import World


def office_of(folder: Path, **options: bool) -> Iterator[Office]:
    office = Office(folder, World(**options))
    yield office
    office.store.close()


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    yield from office_of(tmp_path)


@pytest.fixture
def keyless(tmp_path: Path) -> Iterator[Office]:
    """Systems that would make a second object with the same key."""
    yield from office_of(tmp_path, unique=False)


def a_create_at_work(office: Office, calls: int) -> tuple[str, Report]:
    """A deal of a that b is still making, when a run has given up on its answer."""
    made = office.a.person_creates("Deal", {"Name": "Big", "Amount": "10"})
    office.b.late = calls
    return made, office.sync()


def test_a_create_that_may_still_be_at_work_is_not_made_again(keyless: Office) -> None:
    _made, report = a_create_at_work(keyless, 30)
    (why,) = report.waiting.values()
    assert why.startswith("b did not answer whether it made Big, and may still be at work on it")
    assert "after 2026-11-02 00:11 UTC" in why
    _plans, planned = keyless.engine().plan()
    assert planned.counts.get("recovered", 0) == 0
    keyless.quiet()
    assert len(keyless.b.live("Deal")) == 1
    last = keyless.sync()
    assert (last.written, last.changes, last.waiting) == ({}, {}, {})


def test_a_create_that_never_arrived_is_made_again_after_its_time(keyless: Office) -> None:
    keyless.a.person_creates("Deal", {"Name": "Big", "Amount": "10"})
    keyless.b.late = 10_000
    keyless.sync()
    keyless.b.at_work.clear()
    keyless.quiet()
    assert keyless.b.live("Deal") == {}
    keyless.world.tick += 600
    keyless.sync()
    assert len(keyless.b.live("Deal")) == 1


def test_a_system_that_refuses_a_second_object_is_asked_again_at_once(office: Office) -> None:
    _made, report = a_create_at_work(office, 10_000)
    assert report.waiting == {}
    office.sync()
    assert len(office.b.live("Deal")) == 1


def test_an_undo_says_of_which_create_it_is_not_known_whether_it_was(keyless: Office) -> None:
    _made, report = a_create_at_work(keyless, 60)
    done, _report = keyless.engine().undo(report.run)
    (left,) = [one for one in done.left if not one.field]
    assert left.why.startswith("b did not answer whether it made it")
    keyless.world.tick += 500
    keyless.quiet()
    assert len(keyless.b.live("Deal")) == 1
    keyless.engine().undo(report.run)
    keyless.quiet()
    assert keyless.b.live("Deal") == {} and len(keyless.a.live("Deal")) == 1


@pytest.mark.parametrize("calls", [1, 5, 9, 13])
def test_what_was_typed_while_a_create_was_at_work_is_no_conflict_with_what_it_made(
    keyless: Office, calls: int
) -> None:
    """What the create had sent came back as an edit that nobody had seen, where the feed told of it first."""
    made, _report = a_create_at_work(keyless, 10_000)
    keyless.a.person_edits("Deal", made, {"Amount": "20"})
    (_call, tick, object, write) = keyless.b.at_work.pop()
    keyless.b.at_work.append((keyless.world.calls + calls, tick, object, write))
    keyless.quiet()
    with keyless.store.read() as tx:
        assert tx.conflicted() == []
    assert keyless.only("a")["Amount"] == keyless.only("b")["Amount"] == "20"


@pytest.mark.parametrize("linked", [True, False], ids=["the survivor lives in b", "the survivor is not in b"])
def test_what_was_made_unheard_is_the_survivors_where_its_record_was_merged_away(office: Office, linked: bool) -> None:
    """The link of a record that was no more came to life with it, beside the survivor's."""
    def account(name: str, domain: str) -> str:
        return office.a.person_creates("Account", {"Name": name, "Domain": domain})

    if linked:
        one = account("Acme", "acme.test")
        office.quiet()
    two = account("Acme GmbH", "acme.example")
    if not linked:
        one = account("Acme", "acme.test")
        office.b.refuse = lambda _object, write: "Name" if write.values["Name"] == "Acme" else None
    real = office.b.find
    office.b.find = _unavailable  # type: ignore[method-assign]
    office.b.lose_answer = 1
    office.b.batch = 1
    office.sync()
    office.a.person_merges("Account", one, two)
    office.sync()
    office.b.find = real  # type: ignore[method-assign]
    office.quiet()
    assert [values["Name"] for values in office.b.live("Account").values()] == ["Acme", "Acme GmbH"][not linked:]
    with office.store.read() as tx:
        (survivor,) = [state for state in tx.each_record("account") if state.merged_into is None]
        live = {state.id: [link.system for link in tx.links_of(state.id) if link.state == "live"]
                for state in tx.each_record("account")}
        roles = sorted(role for system, _object, _id, role in tx.roles_of(survivor.id) if system == "b")
    assert {record for record, systems in live.items() if systems} == {survivor.id}
    assert live[survivor.id] == ["a", "b"]
    assert roles == (["duplicate", "primary"] if linked else ["primary"])


def _unavailable(*_args: object) -> dict[str, list[str]]:
    raise Unavailable("b does not answer")
