"""Undo takes back what a run did, and nothing that anybody touched since."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sidefeed.mapping import load
from sidefeed.sync import Report
from sidefeed.sync.undo import Undone
from sidefeed.workspace import Draft, StoreError
from tests.sync.test_engine import Office
from tests.sync.world import SYSTEM, World


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    office = Office(tmp_path, World())
    yield office
    office.store.close()


def linked(office: Office, **values: Any) -> tuple[str, str]:
    """A deal that lives in both systems; its ids."""
    office.a.person_creates("Deal", {"Name": "Big", "Amount": "10", **values})
    office.quiet()
    (in_a,), (in_b,) = office.a.live("Deal"), office.b.live("Deal")
    return in_a, in_b


def undo(office: Office, report: Report, **options: Any) -> tuple[Undone, Report]:
    office.world.tick += 60
    return office.engine().undo(report.run, **options)


def value(office: Office, field: str) -> Any:
    with office.store.read() as tx:
        (state,) = tx.each_record("opportunity")
    return state.values.get(field)


def test_what_was_due_before_a_run_and_came_into_conflict_in_it_waits_for_the_next_sync(office: Office) -> None:
    """A seed of the histories: the undo wrote a value of the workspace to a system that the run had written nothing to."""
    office.a.person_creates("Deal", {"Name": "Big", "Amount": "10"})
    office.quiet()
    (in_b,) = office.b.live("Deal")
    with office.store.write() as tx:
        (state,) = tx.each_record("opportunity")
        tx.append([Draft("opportunity", state.id, {"amount": "20"}, "rep", "workspace")])
    office.b.person_edits("Deal", in_b, {"Amount": "30"})
    run = office.sync()
    office.engine().undo(run.run)
    assert office.only("a")["Amount"] == "10", "the run had not written it there"
    office.quiet()
    assert (office.only("a")["Amount"], office.only("b")["Amount"]) == ("20", "30")


def test_what_a_run_wrote_goes_back_and_is_not_written_again(office: Office) -> None:
    in_a, _in_b = linked(office)
    office.a.person_edits("Deal", in_a, {"Amount": "99", "NextStep": "burn"})
    run = office.sync()
    assert office.only("b")["Amount"] == "99"
    done, report = undo(office, run)
    assert report.written == {"b Deal": {"update": 1}}
    assert {(one.system, one.field) for one in done.restored} == {
        ("", "amount"), ("", "next_step"), ("b", "amount"), ("b", "next_step")}
    assert (office.only("b")["Amount"], office.only("b")["NextStep"]) == ("10", None)
    assert (office.only("a")["Amount"], value(office, "amount")) == ("99", "10"), "what people typed in a stays in a"
    office.quiet()
    assert office.sync().written == {}
    assert (office.only("a")["Amount"], office.only("b")["Amount"]) == ("99", "10")
    office.a.person_edits("Deal", in_a, {"Amount": "12"})
    office.quiet()
    with office.store.read() as tx:
        (state,) = tx.conflicted()
    assert {head.value for head in state.conflicts["amount"]} == {"10", "12"}, "who typed 12 had not seen the undo"


def test_what_somebody_touched_since_is_left_and_named(office: Office) -> None:
    in_a, in_b = linked(office)
    office.a.person_edits("Deal", in_a, {"Amount": "99", "NextStep": "burn"})
    run = office.sync()
    office.b.person_edits("Deal", in_b, {"Amount": "98"}, actor="bob")
    done, _report = undo(office, run)
    assert [(one.field, one.why[:24]) for one in done.left if "bob" in one.why] == [
        ("amount", "bob in b made it '98' on")]
    assert (office.only("b")["Amount"], office.only("b")["NextStep"]) == ("98", None)
    office.quiet()
    assert office.only("a")["Amount"] == "98"


def test_an_edit_during_the_undo_is_not_overwritten(office: Office) -> None:
    in_a, in_b = linked(office)
    office.a.person_edits("Deal", in_a, {"Amount": "99", "NextStep": "burn"})
    run = office.sync()

    def act(_number: int, phase: str, what: str) -> None:
        if what == "b write" and phase == "before":
            office.world.on_call = None
            office.b.person_edits("Deal", in_b, {"Amount": "97"}, actor="bob")

    office.world.on_call = act
    undo(office, run)
    office.quiet()
    assert office.only("b")["NextStep"] is None, "the rest of the undo is still done"
    assert office.only("b")["Amount"] == "97"


def test_what_the_workspace_already_held_is_put_back_in_that_system_alone(office: Office) -> None:
    linked(office)
    with office.store.write() as tx:
        (state,) = tx.each_record("opportunity")
        tx.append([Draft("opportunity", state.id, {"amount": "50"}, "rep", "workspace")])
    run = office.sync()
    assert office.only("a")["Amount"] == office.only("b")["Amount"] == "50"
    undo(office, run)
    assert office.only("a")["Amount"] == office.only("b")["Amount"] == "10"
    assert value(office, "amount") == "50", "the run did not type it"
    assert [office.sync().written for _ in range(3)] == [{}, {}, {}]
    with office.store.write() as tx:
        tx.append([Draft("opportunity", state.id, {"amount": "51"}, "rep", "workspace")])
    office.quiet()
    assert office.only("a")["Amount"] == office.only("b")["Amount"] == "51"


def test_undoing_an_undo_does_it_again(office: Office) -> None:
    linked(office)
    with office.store.write() as tx:
        (state,) = tx.each_record("opportunity")
        tx.append([Draft("opportunity", state.id, {"amount": "50"}, "rep", "workspace")])
    run = office.sync()
    _done, report = undo(office, run)
    undo(office, report)
    assert office.only("a")["Amount"] == office.only("b")["Amount"] == "50"
    assert office.sync().written == {}


def test_undoing_an_undo_leaves_what_people_did_before_it(office: Office) -> None:
    """An undo reads what is new before it takes back, and the next sync carries that over: neither is its doing."""
    in_a, in_b = linked(office)
    office.a.person_edits("Deal", in_a, {"Amount": "99"})
    run = office.sync()
    office.b.person_edits("Deal", in_b, {"NextStep": "call"})
    _done, undone = undo(office, run)
    office.sync()
    assert (office.only("a")["NextStep"], office.only("b")["Amount"]) == ("call", "10")
    done, _report = undo(office, undone)
    assert {one.field for one in done.restored} == {"amount"}
    assert (office.only("a")["NextStep"], office.only("b")["NextStep"], value(office, "next_step")) == ("call",) * 3
    assert (office.only("b")["Amount"], value(office, "amount")) == ("99", "99")
    office.quiet()
    assert (office.only("a")["NextStep"], office.only("b")["Amount"]) == ("call", "99")


def test_first_contact_is_taken_apart_again(office: Office) -> None:
    """Where matching was wrong: the object that was overwritten gets its own values back, what we made goes."""
    office.a.person_creates("Account", {"Name": "Acme", "Domain": "acme.test", "Phone": "1"})
    office.b.person_creates("Account", {"Name": "Acme of another town", "Domain": "acme.test"})
    office.a.person_creates("Deal", {"Name": "Big", "Amount": "10"})
    run = office.sync()
    assert office.only("b", "Account")["Phone"] == "1" and len(office.b.live("Deal")) == 1
    names = {office.only("a", "Account")["Name"], office.only("b", "Account")["Name"]}
    assert len(names) == 1, "one of them was overwritten"
    done, _report = undo(office, run)
    assert office.only("b", "Account") | {"key": None} == {
        "Name": "Acme of another town", "Domain": "acme.test", "Phone": None, "key": None}
    assert office.only("a", "Account")["Name"] == "Acme"
    assert (office.a.live("Deal").keys(), office.b.live("Deal")) == ({"aD0001"}, {})
    office.quiet()
    assert office.sync().written == {}
    assert (office.b.live("Deal"), office.only("b", "Account")["Phone"]) == ({}, None)
    assert not done.left


def test_what_a_run_made_stays_where_somebody_worked_on_it(office: Office) -> None:
    office.a.person_creates("Deal", {"Name": "Big", "Amount": "10"})
    account = office.a.person_creates("Account", {"Name": "Acme", "Domain": "acme.test"})
    run = office.sync()
    ((in_b, _),) = office.b.live("Deal").items()
    ((there, _),) = office.b.live("Account").items()
    office.world.tick += 600
    office.b.person_edits("Deal", in_b, {"NextStep": "call"}, actor="bob")
    office.b.person_creates("Deal", {"Name": "Another", "AccountId": there}, actor="cy")
    done, _report = undo(office, run)
    assert {one.why.split(" on ")[0] for one in done.left} >= {"bob changed it in b"}
    assert any("was put under it in b by cy" in one.why for one in done.left)
    assert in_b in office.b.live("Deal") and there in office.b.live("Account") and account


def test_a_deletion_is_restored_under_a_new_id_and_linked(tmp_path: Path, workspace: str | Path) -> None:
    office = Office(tmp_path, World(), workspace)
    in_a, in_b = linked(office, NextStep="call")
    office.a.person_deletes("Deal", in_a)
    run = office.sync()
    assert office.b.live("Deal") == {}
    done, _report = undo(office, run)
    (back,) = office.b.live("Deal")
    assert back != in_b and office.only("b")["NextStep"] == "call"
    assert any("under a new id" in one.what for one in done.restored)
    office.quiet()
    assert office.a.live("Deal") == {}, "a person deleted it there; it stays deleted there"
    office.b.person_edits("Deal", back, {"Amount": "11"})
    office.quiet()
    assert office.a.live("Deal") == {} and office.only("b")["Amount"] == "11"
    office.a.person_restores("Deal", in_a)
    office.quiet()
    assert office.only("a")["Amount"] == "11" and len(office.b.live("Deal")) == 1
    office.store.close()


def test_one_record_and_one_field_can_be_taken_back_alone(office: Office) -> None:
    ids = [office.a.person_creates("Deal", {"Name": f"Deal {n}", "Amount": "1", "NextStep": "x"}) for n in range(3)]
    office.quiet()
    for id in ids:
        office.a.person_edits("Deal", id, {"Amount": "2", "NextStep": "y"})
    run = office.sync()
    with office.store.read() as tx:
        record = tx.known_as("a", "Deal", ids)[ids[1]][0]
    undo(office, run, record=record, field="amount")
    assert sorted((row["Name"], row["Amount"], row["NextStep"]) for row in office.b.live("Deal").values()) == [
        ("Deal 0", "2", "y"), ("Deal 1", "1", "y"), ("Deal 2", "2", "y")]


def test_a_plan_of_an_undo_changes_nothing_anywhere(office: Office) -> None:
    in_a, _in_b = linked(office)
    office.a.person_edits("Deal", in_a, {"Amount": "99"})
    run = office.sync()
    before = office.only("b")["Amount"], value(office, "amount")
    done, plans, _report = office.engine().plan_undo(run.run)
    assert [write.after for one in plans for write in one.writes] == [{"Amount": "10"}]
    assert done.restored and (office.only("b")["Amount"], value(office, "amount")) == before


def test_what_else_is_due_waits_for_the_next_sync(office: Office) -> None:
    in_a, _in_b = linked(office)
    office.a.person_edits("Deal", in_a, {"Amount": "99"})
    run = office.sync()
    office.a.person_creates("Deal", {"Name": "Other"})
    undo(office, run)
    assert {row["Name"] for row in office.b.live("Deal").values()} == {"Big"}
    office.sync()
    assert {row["Name"] for row in office.b.live("Deal").values()} == {"Big", "Other"}


def test_a_run_that_is_none_is_refused_with_the_latest(office: Office) -> None:
    run = office.sync()
    with pytest.raises(StoreError, match=run.run):
        office.engine().undo("nonsense")


# -- what a mapping writes beside the fields --------------------------------------------------------------------------


FOLLOWING = """
    writes:
      Phone: {template: "{name} at {domain}", on: always}
"""


def account_in_both(office: Office, old: str, new: str) -> str:
    """An account that lives in both systems, where b's mapping reads otherwise; its id in a."""
    path = Path(office.path).parent / "mappings" / "b.yaml"
    path.write_text((SYSTEM % "b").replace(old, new, 1))
    office.mappings = load(path.parent)
    id = office.a.person_creates("Account", {"Name": "Acme", "Domain": "acme.test", "Phone": "1"})
    office.quiet()
    return id


@pytest.mark.parametrize("conditional", [True, False], ids=["with a condition", "read before write"])
def test_a_text_made_of_fields_goes_back_with_them(tmp_path: Path, conditional: bool) -> None:
    office = Office(tmp_path, World(conditional=conditional))
    id = account_in_both(office, "      phone: Phone\n", FOLLOWING.lstrip("\n"))
    office.a.person_edits("Account", id, {"Name": "Bolt"})
    run = office.sync()
    assert office.only("b", "Account")["Phone"] == "Bolt at acme.test"
    done, report = undo(office, run)
    assert report.written == {"b Account": {"update": 1}}
    assert ("b", "writes Phone", "'Bolt at acme.test' -> 'Acme at acme.test'") in [
        (one.system, one.field, one.what) for one in done.restored]
    there = office.only("b", "Account")
    assert (there["Name"], there["Phone"]) == ("Acme", "Acme at acme.test")
    office.quiet()
    assert office.only("b", "Account") == there and office.sync().written == {}
    office.store.close()


def test_a_text_made_of_fields_that_somebody_wrote_over_is_left(office: Office) -> None:
    id = account_in_both(office, "      phone: Phone\n", FOLLOWING.lstrip("\n"))
    office.a.person_edits("Account", id, {"Name": "Bolt"})
    run = office.sync()
    office.b.person_edits("Account", next(iter(office.b.live("Account"))), {"Phone": "by hand"})
    done, _report = undo(office, run)
    assert [(one.field, one.why) for one in done.left] == [
        ("writes Phone", "b does not hold what the run wrote any more")]
    assert (office.only("b", "Account")["Name"], office.only("b", "Account")["Phone"]) == ("Acme", "by hand")


def test_a_field_that_is_only_written_goes_back(office: Office) -> None:
    id = account_in_both(office, "phone: Phone", "phone: {field: Phone, direction: write}")
    office.a.person_edits("Account", id, {"Phone": "2"})
    run = office.sync()
    assert office.only("b", "Account")["Phone"] == "2"
    undo(office, run)
    assert office.only("b", "Account")["Phone"] == "1"
    office.quiet()
    assert office.only("b", "Account")["Phone"] == "1" and office.sync().written == {}


def test_a_constant_goes_with_the_object_it_was_put_on(office: Office) -> None:
    path = Path(office.path).parent / "mappings" / "b.yaml"
    path.write_text((SYSTEM % "b").replace("      phone: Phone\n", "    writes: {Phone: {constant: none}}\n", 1))
    office.mappings = load(path.parent)
    office.a.person_creates("Account", {"Name": "Acme", "Domain": "acme.test"})
    run = office.sync()
    assert office.only("b", "Account")["Phone"] == "none"
    undo(office, run)
    assert office.b.live("Account") == {}
