"""What a person, or the run of another system, does while a run plans and writes: nothing of it is written over."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from sidefeed.connector import PermissionDenied, Stream, Unavailable, Write
from sidefeed.sync.unlink import unlink
from sidefeed.sync.writes import ObjectPlan
from sidefeed.workspace import Draft, Store, Transaction
from tests.sync.test_engine import Office
from tests.sync.world import Killed, World


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    office = Office(tmp_path, World())
    yield office
    office.store.close()


def while_b_is_written(office: Office, act: Callable[[Transaction], object]) -> None:
    """Somebody else's process does this between the effect of a write and its answer."""

    def meanwhile(_number: int, phase: str, what: str) -> None:
        if (phase, what) == ("after", "b write"):
            office.world.on_call = None
            other = Store.open(office.path, now=office.world.now)
            with other.write() as tx:
                act(tx)
            other.close()

    office.world.on_call = meanwhile


def test_what_is_taken_apart_while_it_is_written_stays_apart(office: Office) -> None:
    """The link came back with the answer, and two records were written into one object in turn."""
    office.a.person_creates("Account", {"Name": "Acme", "Domain": "acme.test", "Phone": "1"})
    office.b.person_creates("Account", {"Name": "Acme", "Domain": "acme.test", "Phone": "2"})
    office.quiet()
    (in_a,), (in_b,) = office.a.live("Account"), office.b.live("Account")
    with office.store.write() as tx:
        (state,) = tx.conflicted()
        tx.append([Draft("account", state.id, {"phone": "1"}, "ann", "workspace")])
    office.quiet()
    assert office.b.live("Account")[in_b]["Phone"] == "1"
    office.a.person_edits("Account", in_a, {"Phone": "33"})
    while_b_is_written(office, lambda tx: unlink(tx, office.mappings, "b", "Account", in_b, actor="ops"))
    office.quiet()
    assert office.b.live("Account")[in_b]["Phone"] == "2", "it has what it said itself"
    assert office.a.live("Account")[in_a]["Phone"] == "33"
    with office.store.read() as tx:
        assert len(tx.linked_ids("b", "Account")) == len(set(tx.linked_ids("b", "Account"))) == 2


def test_a_copy_that_is_to_be_taken_out_is_taken_out_though_it_was_just_written(office: Office) -> None:
    office.a.person_creates("Deal", {"Name": "Big"})
    office.quiet()
    (in_a,), (in_b,) = office.a.live("Deal"), office.b.live("Deal")

    def take_out(tx: Transaction) -> None:
        record = tx.known_as("b", "Deal", [in_b])[in_b][0]
        link = tx.links("b", "Deal", [record])[record]
        link.state, link.due = "unwanted", True
        tx.save_link(link)

    office.a.person_edits("Deal", in_a, {"Amount": "20"})
    while_b_is_written(office, take_out)
    office.quiet()
    assert office.b.live("Deal") == {} and office.only("a")["Amount"] == "20"


def test_a_value_typed_between_plan_and_writing_is_written_in_its_turn(office: Office) -> None:
    """A plan that found the old value there already marked the new one as known there."""
    office.a.person_creates("Deal", {"Name": "Big", "Amount": "10"})
    office.quiet()
    (in_a,) = office.a.live("Deal")
    with office.store.read() as tx:
        record = tx.known_as("a", "Deal", [in_a])[in_a][0]

    def typed(amount: str) -> None:
        with office.store.write() as tx:
            tx.append([Draft("opportunity", record, {"amount": amount}, "ann", "workspace")])

    times: list[int] = []

    def between(plan: ObjectPlan) -> None:
        if plan.settled and not times:
            times.append(1)
            typed("99")

    typed("10")
    office.world.tick += 60
    office.engine().sync_part("sync", between)
    assert times
    office.quiet()
    assert office.only("a")["Amount"] == office.only("b")["Amount"] == "99"


def test_an_object_that_a_merge_elsewhere_hands_over_is_read_before_it_is_written(office: Office) -> None:
    """It was planned from nothing, and what only it said was written over."""
    office.a.refuse = lambda _object, write: (
        PermissionDenied("no") if write.values.get("Name") == "Winner" else None)
    loser = office.b.person_creates("Account", {"Name": "Loser", "Domain": "l.test", "Phone": "999"})
    winner = office.b.person_creates("Account", {"Name": "Winner", "Domain": "w.test", "Phone": "111"})
    office.quiet()
    office.a.refuse = lambda _object, _write: None
    office.b.person_edits("Account", winner, {"Phone": "222"})
    office.b.person_merges("Account", winner, loser)
    office.quiet()
    (there,) = office.a.live("Account").values()
    assert there["Phone"] == "999"
    with office.store.read() as tx:
        (state,) = tx.conflicted()
    assert {head.value for head in state.conflicts["phone"]} == {"222", "999"}


@pytest.mark.parametrize("ending", [Unavailable("away"), Killed()], ids=["the call failed", "the process died"])
def test_what_was_written_over_unseen_comes_back_though_the_look_back_failed_at_first(
    tmp_path: Path, ending: BaseException
) -> None:
    office = Office(tmp_path, World(conditional=False, history=True))
    office.a.person_creates("Deal", {"Name": "Big", "Amount": "10"})
    office.quiet()
    (in_a,), (in_b,) = office.a.live("Deal"), office.b.live("Deal")
    office.a.person_edits("Deal", in_a, {"Amount": "20"})
    real, failures = office.b.overwritten, [ending]

    def person(_number: int, phase: str, what: str) -> None:
        if (phase, what) == ("before", "b write"):
            office.world.on_call = None
            office.b.person_edits("Deal", in_b, {"Amount": "30"})

    def overwritten(stream: Stream, outcomes: Mapping[str, Write]) -> Mapping[str, Mapping[str, Any]]:
        if failures:
            raise failures.pop()
        return real(stream, outcomes)

    office.world.on_call = person
    office.b.overwritten = overwritten  # type: ignore[method-assign]
    with suppress(Killed):
        office.sync()
    assert failures == [] and office.only("b")["Amount"] == "20"
    office.quiet()
    with office.store.read() as tx:
        (state,) = tx.conflicted()
    assert {head.value for head in state.conflicts["amount"]} == {"20", "30"}
    office.store.close()


@pytest.mark.parametrize("ending", ["the answer was lost", "the process died"])
def test_what_was_written_over_unseen_comes_back_though_nobody_heard_of_the_write(tmp_path: Path, ending: str) -> None:
    office = Office(tmp_path, World(conditional=False, history=True))
    office.a.person_creates("Deal", {"Name": "Big", "Amount": "10"})
    office.quiet()
    (in_a,), (in_b,) = office.a.live("Deal"), office.b.live("Deal")
    office.a.person_edits("Deal", in_a, {"Amount": "20"})

    def person(_number: int, phase: str, what: str) -> None:
        if (phase, what) == ("before", "b write"):
            office.b.person_edits("Deal", in_b, {"Amount": "30"})
            office.b.lose_answer = 1
        elif (phase, what) == ("after", "b write"):
            office.world.on_call = None
            if ending == "the process died":
                raise Killed

    office.world.on_call = person
    with suppress(Killed):
        office.sync()
    office.b.lose_answer = 0
    assert office.only("b")["Amount"] == "20"
    office.quiet()
    with office.store.read() as tx:
        (state,) = tx.conflicted()
    assert {head.value for head in state.conflicts["amount"]} == {"20", "30"}
    office.store.close()
