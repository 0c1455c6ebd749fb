"""The engine over in-process systems: what one sync does, and what the next one leaves alone."""

from __future__ import annotations

import random
import string
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from sidefeed.connector import Stream
from sidefeed.mapping import load
from sidefeed.sync import Engine, Report
from sidefeed.sync.capture import capture
from sidefeed.sync.matching import answer
from sidefeed.workspace import Draft, Store
from tests.sync.world import World, mappings


class Office:
    """A workspace, its systems, and one way to run a sync."""

    def __init__(self, folder: Path, world: World, workspace: str | Path | None = None) -> None:
        self.world = world
        self.path = workspace or folder / "workspace.db"
        self.mappings = mappings(folder / "mappings", tuple(world.systems))
        self.store = Store.open(self.path, now=world.now)
        self.a = world.systems["a"]
        self.b = world.systems["b"]

    def engine(self) -> Engine:
        return Engine(self.store, self.mappings, dict(self.world.systems))

    def sync(self) -> Report:
        self.world.tick += 60
        return self.engine().sync()

    def quiet(self) -> None:
        for _ in range(4):
            self.sync()

    def only(self, system: str, object: str = "Deal") -> dict[str, object]:
        (values,) = self.world.systems[system].live(object).values()
        return values


@pytest.fixture
def office(tmp_path: Path, workspace: str | Path) -> Iterator[Office]:
    office = Office(tmp_path, World(), workspace)
    yield office
    office.store.close()


def test_a_record_made_in_one_system_is_created_once_in_the_other(office: Office) -> None:
    account = office.a.person_creates("Account", {"Name": "Acme", "Domain": "acme.test"})
    office.a.person_creates("Deal", {"Name": "Big", "Amount": "10", "AccountId": account})
    report = office.sync()
    assert report.written == {"b Account": {"create": 1}, "b Deal": {"create": 1}}
    deal = office.only("b")
    assert (deal["Name"], deal["Amount"]) == ("Big", "10")
    assert deal["AccountId"] in office.b.live("Account")


def test_the_next_sync_writes_nothing_and_absorbs_no_echo(office: Office) -> None:
    office.a.person_creates("Deal", {"Name": "Big", "Amount": "10"})
    office.sync()
    second, third = office.sync(), office.sync()
    assert second.written == third.written == {}
    assert second.changes == third.changes == {}


def test_an_intent_is_on_the_disk_before_its_call_whatever_happens_to_the_power(tmp_path: Path) -> None:
    office = Office(tmp_path, World())
    mode, intents, calls = "NORMAL", [], []

    def statement(_connection: object, _cursor: object, text: str, *_rest: object) -> None:
        nonlocal mode
        if text.startswith("PRAGMA synchronous="):
            mode = text.partition("=")[2]
        if text.startswith("INSERT INTO intent"):
            intents.append(mode)

    sa.event.listen(office.store.engine, "before_cursor_execute", statement)
    office.world.on_call = lambda _number, phase, what: calls.append(len(intents)) if (phase, what) == (
        "before", "b write") else None
    office.a.person_creates("Account", {"Name": "Acme", "Domain": "acme.test"})
    office.a.person_creates("Deal", {"Name": "Big", "Amount": "10"})
    office.sync()
    assert (intents, calls, mode) == (["FULL", "FULL"], [1, 2], "NORMAL")
    with office.store.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 1, "ordinary ones are as fast as they were"
    office.store.close()


def test_a_quiet_plan_looks_back_at_no_old_revision(office: Office) -> None:
    office.a.person_creates("Account", {"Name": "Acme", "Domain": "acme.test"})
    office.a.person_creates("Deal", {"Name": "Big", "Amount": "10"})
    office.quiet()
    with office.store.read() as tx:
        planned = {f"{om.system} {om.object}": tx.cursor(om.system, om.object).planned_rev
                   for om in office.engine().mappings.objects}
        assert len(planned) == 4 and set(planned.values()) == {tx.last_rev()}


def test_edits_of_different_fields_in_two_systems_both_survive(office: Office) -> None:
    office.a.person_creates("Deal", {"Name": "Big", "Amount": "10", "NextStep": "call"})
    office.quiet()
    (in_a,), (in_b,) = office.a.live("Deal"), office.b.live("Deal")
    office.a.person_edits("Deal", in_a, {"Amount": "20"})
    office.b.person_edits("Deal", in_b, {"NextStep": "visit"})
    office.sync()
    for system in ("a", "b"):
        assert (office.only(system)["Amount"], office.only(system)["NextStep"]) == ("20", "visit")


def test_an_answer_names_a_record_also_after_that_was_merged_into_another(office: Office) -> None:
    one, two = (office.a.person_creates("Account", {"Name": name, "Domain": "acme.test"}) for name in ("Acme", "Acme 2"))
    there = office.b.person_creates("Account", {"Name": "Acme", "Domain": "acme.test"})
    office.sync()
    with office.store.write() as tx:
        answer(tx, "b", "Account", there, tx.known_as("a", "Account", [one])[one][0])
    office.world.tick += 60
    office.a.person_merges("Account", two, one)
    office.quiet()
    with office.store.read() as tx:
        (winner, _role), (linked, _) = tx.known_as("a", "Account", [two])[two], tx.known_as("b", "Account", [there])[there]
        assert linked == winner
        assert [link.external_id for link in tx.links("b", "Account", [winner]).values()] == [there]
    office.b.person_edits("Account", there, {"Phone": "555"})
    office.quiet()
    assert office.a.live("Account")[two]["Phone"] == "555"


def test_two_different_values_are_a_conflict_until_a_decision_settles_it_everywhere(office: Office) -> None:
    office.a.person_creates("Deal", {"Name": "Big", "Amount": "10"})
    office.quiet()
    (in_a,), (in_b,) = office.a.live("Deal"), office.b.live("Deal")
    office.a.person_edits("Deal", in_a, {"Amount": "20"}, actor="ann")
    office.b.person_edits("Deal", in_b, {"Amount": "30"}, actor="bob")
    office.quiet()
    with office.store.read() as tx:
        (state,) = tx.conflicted()
    assert {(head.source, head.actor, head.value) for head in state.conflicts["amount"]} == {
        ("a", "ann", "20"), ("b", "bob", "30")}
    assert (office.only("a")["Amount"], office.only("b")["Amount"]) == ("20", "30")
    with office.store.write() as tx:
        tx.append([Draft("opportunity", state.id, {"amount": "30"}, "cy", "workspace")])
    office.sync()
    assert office.only("a")["Amount"] == office.only("b")["Amount"] == "30"
    with office.store.read() as tx:
        assert tx.conflicted() == []


def test_who_restores_a_deal_in_one_system_has_not_seen_that_it_was_deleted_in_the_other(office: Office) -> None:
    """A seed of the histories: the restored one was made again in the other system, though a person had deleted it."""
    office.a.person_creates("Deal", {"Name": "Big", "Amount": "10"})
    office.quiet()
    (in_a,), (in_b,) = office.a.live("Deal"), office.b.live("Deal")
    office.a.person_edits("Deal", in_a, {"Amount": "20"})
    office.b.person_deletes("Deal", in_b)
    office.sync()
    office.b.person_restores("Deal", in_b)
    office.a.person_deletes("Deal", in_a)
    office.quiet()
    assert office.a.live("Deal") == {} and list(office.b.live("Deal")) == [in_b]
    with office.store.read() as tx:
        (state,) = tx.conflicted()
    assert {(head.source, head.value) for head in state.conflicts["_deleted"]} == {("a", True), ("b", False)}


def test_first_contact_matches_by_natural_key_and_asks_where_two_could_be_meant(office: Office) -> None:
    office.a.person_creates("Account", {"Name": "Acme Inc.", "Domain": "acme.test", "Phone": "1"})
    office.b.person_creates("Account", {"Name": "ACME", "Domain": "acme.test"})
    office.a.person_creates("Account", {"Name": "Twin one", "Domain": "twin.test"})
    office.a.person_creates("Account", {"Name": "Twin two", "Domain": "twin.test"})
    office.b.person_creates("Account", {"Name": "Twin", "Domain": "twin.test"})
    _plans, planned = office.engine().plan()
    assert (planned.counts["matched"], planned.counts["ambiguous"]) == (1, 1)
    assert len(office.b.live("Account")) == 2, "planning writes nothing"
    report = office.sync()
    assert (report.counts["matched"], report.counts["ambiguous"]) == (1, 1)
    acme = [row for row in office.b.live("Account").values() if row["Domain"] == "acme.test"]
    assert len(acme) == 1 and acme[0]["Phone"] == "1"
    with office.store.read() as tx:
        (question,) = tx.questions()
    assert len(question["evidence"]["candidates"]) == 2


def test_a_deletion_travels_and_does_not_come_back(office: Office) -> None:
    office.a.person_creates("Deal", {"Name": "Big", "Amount": "10"})
    office.quiet()
    (in_a,) = office.a.live("Deal")
    office.a.person_deletes("Deal", in_a)
    office.quiet()
    assert office.a.live("Deal") == office.b.live("Deal") == {}
    with office.store.write() as tx:
        tx.move_cursor("a", "Deal", position=None)
        tx.move_cursor("b", "Deal", position=None)
    office.quiet()
    assert office.a.live("Deal") == office.b.live("Deal") == {}


def test_what_was_restored_and_is_deleted_once_more_goes_everywhere(office: Office) -> None:
    """A seed of the histories: the second deletion was taken for the first, and the other system kept the deal."""
    office.a.person_creates("Deal", {"Name": "Big", "Amount": "10"})
    office.quiet()
    (in_a,) = office.a.live("Deal")
    office.a.person_deletes("Deal", in_a)
    office.quiet()
    office.a.person_restores("Deal", in_a)
    office.quiet()
    assert len(office.a.live("Deal")) == len(office.b.live("Deal")) == 1
    office.a.person_deletes("Deal", in_a)
    office.quiet()
    assert office.a.live("Deal") == office.b.live("Deal") == {}


def test_what_was_deleted_before_anybody_absorbed_it_is_made_nowhere(office: Office) -> None:
    """A seed of the histories: a run died between reading a new deal and absorbing it, and the deal was deleted."""
    office.quiet()
    in_a = office.a.person_creates("Deal", {"Name": "Big", "Amount": "10"})
    office.world.tick += 60
    capture(office.store, office.a, office.mappings.of("a", "Deal"), Stream("Deal"))
    office.a.person_deletes("Deal", in_a)
    office.quiet()
    assert office.a.live("Deal") == office.b.live("Deal") == {}


def test_what_was_out_of_sight_when_it_was_deleted_elsewhere_asks_when_it_comes_back(office: Office) -> None:
    """A seed of the histories: coming back to sight was taken for a person's decision that the deal lives."""
    office.a.person_creates("Deal", {"Name": "Big", "Amount": "10"})
    office.quiet()
    (in_a,), (in_b,) = office.a.live("Deal"), office.b.live("Deal")
    office.b.hides = True
    office.b.hidden.add(in_b)
    office.a.person_deletes("Deal", in_a)
    office.quiet()
    office.b.hidden.discard(in_b)
    office.b.person_edits("Deal", in_b, {"NextStep": "call her"})
    office.quiet()
    assert list(office.b.live("Deal")) == [in_b]
    with office.store.read() as tx:
        (state,) = tx.conflicted()
    assert "_deleted" in state.conflicts


def test_deleting_what_somebody_else_just_edited_asks_and_the_edit_stays(office: Office) -> None:
    office.a.person_creates("Deal", {"Name": "Big", "Amount": "10"})
    office.quiet()
    (in_a,), (in_b,) = office.a.live("Deal"), office.b.live("Deal")
    office.a.person_deletes("Deal", in_a)
    office.b.person_edits("Deal", in_b, {"Amount": "11"})
    office.quiet()
    assert office.only("b")["Amount"] == "11"
    with office.store.read() as tx:
        (state,) = tx.conflicted()
    assert "_deleted" in state.conflicts
    with office.store.write() as tx:
        tx.append([Draft("opportunity", state.id, {"_deleted": False}, "cy", "workspace")])
    office.quiet()
    assert office.only("a")["Amount"] == office.only("b")["Amount"] == "11"


def test_a_merge_moves_the_link_and_deletes_nothing_elsewhere(office: Office) -> None:
    one = office.a.person_creates("Account", {"Name": "Acme", "Domain": "acme.test"})
    two = office.a.person_creates("Account", {"Name": "Acme GmbH", "Domain": "acme.example"})
    office.quiet()
    office.a.person_merges("Account", one, two)
    office.quiet()
    assert set(office.a.live("Account")) == {one}
    assert len(office.b.live("Account")) == 2
    with office.store.read() as tx:
        assert tx.known_as("a", "Account", [one, two])[two] == (tx.known_as("a", "Account", [one])[one][0], "alias")


def test_a_refused_value_is_reported_once_and_holds_back_nothing_else(office: Office) -> None:
    office.b.refuse = lambda _object, write: "Amount" if write.values.get("Amount") == "13" else None
    office.a.person_creates("Deal", {"Name": "Bad", "Amount": "13", "NextStep": "call"})
    office.a.person_creates("Deal", {"Name": "Good", "Amount": "1"})
    first = office.sync()
    assert [(problem.field, problem.owner) for problem in first.problems] == [("Amount", "rep")]
    assert {row["Name"] for row in office.b.live("Deal").values()} == {"Bad", "Good"}
    second = office.sync()
    assert (second.written, second.problems) == ({}, [])
    office.a.person_edits("Deal", next(iter(office.a.live("Deal"))), {"Amount": "14"})
    office.quiet()
    assert {row["Amount"] for row in office.b.live("Deal").values()} == {"14", "1"}


def test_what_a_system_makes_of_a_value_is_not_an_edit(tmp_path: Path) -> None:
    world = World()
    world.systems["b"].normal = lambda _name, value: value.replace("\n", "\r\n") + "  " if value else value
    office = Office(tmp_path, world)
    office.a.person_creates("Deal", {"Name": "Big", "NextStep": "call\nthen visit"})
    first = office.sync()
    later = [office.sync() for _ in range(3)]
    assert first.written == {"b Deal": {"create": 1}}
    assert [report.written for report in later] == [report.changes for report in later] == [{}, {}, {}]
    assert office.only("a")["NextStep"] == "call\nthen visit"


def test_a_lost_answer_makes_no_duplicate(office: Office) -> None:
    office.a.person_creates("Deal", {"Name": "Big", "Amount": "10"})
    office.b.lose_answer = 1
    office.quiet()
    assert len(office.b.live("Deal")) == 1
    (in_a,) = office.a.live("Deal")
    office.a.person_edits("Deal", in_a, {"Amount": "12"})
    office.b.lose_answer = 1
    office.quiet()
    assert office.only("b")["Amount"] == "12"


def test_sets_merge_as_adds_and_removes(office: Office) -> None:
    office.a.person_creates("Deal", {"Name": "Big", "Tags": "x;y"})
    office.quiet()
    (in_a,), (in_b,) = office.a.live("Deal"), office.b.live("Deal")
    office.a.person_edits("Deal", in_a, {"Tags": "y;z"})
    office.b.person_edits("Deal", in_b, {"Tags": "x;y;w"})
    office.quiet()
    assert office.only("a")["Tags"] == office.only("b")["Tags"] == "w;y;z"


def test_a_name_too_long_for_an_index_stops_nobody_and_still_matches(office: Office) -> None:
    """PostgreSQL refused its index entry, and with it everything that was read together with it, in every run."""
    name = "".join(random.Random(1).choices(string.ascii_letters, k=6000))
    acme = {"Name": "Acme", "Domain": "acme.test"}
    for system in (office.a, office.b):
        system.person_creates("Deal", {"Name": name, "AccountId": system.person_creates("Account", acme)})
    office.a.person_creates("Deal", {"Name": "Next"})
    office.quiet()
    assert len(office.a.live("Deal")) == len(office.b.live("Deal")) == 2


@pytest.mark.parametrize(("one", "other"), [("nordic.se", "nordic.co"), ("müller.test", "muller.test")])
def test_two_companies_whose_domains_differ_by_an_ending_or_an_accent_stay_two(
    office: Office, one: str, other: str
) -> None:
    """What is a legal form in a name is a country in a domain: the first two were taken for one customer."""
    office.a.person_creates("Account", {"Name": "North", "Domain": one})
    office.b.person_creates("Account", {"Name": "Noordwijk", "Domain": other})
    assert "matched" not in office.sync().counts
    assert {row["Domain"] for row in office.a.live("Account").values()} == {one, other}


def test_what_was_read_before_another_key_was_mapped_is_found_by_it(office: Office, tmp_path: Path) -> None:
    """It was indexed by the old keys alone, and made a second time."""
    office.a.person_creates("Account", {"Name": "Acme", "Phone": "1"})
    office.engine().sync(["a"])
    for file in (tmp_path / "mappings").glob("?.yaml"):
        file.write_text(file.read_text().replace("match: [domain]", "match: [domain, phone]"))
    office.mappings = load(tmp_path / "mappings")
    office.b.person_creates("Account", {"Name": "ACME Ltd", "Phone": "1"})
    office.world.tick += 60
    assert office.engine().sync(confirm_mapping=True).counts["matched"] == 1
    assert len(office.a.live("Account")) == len(office.b.live("Account")) == 1


def test_one_name_and_two_domains_are_one_customer_only_if_a_person_says_so(office: Office, tmp_path: Path) -> None:
    for file in (tmp_path / "mappings").glob("?.yaml"):
        file.write_text(file.read_text().replace("match: [domain]", "match: [domain, name]"))
    office.mappings = load(tmp_path / "mappings")
    office.a.person_creates("Account", {"Name": "Acme", "Domain": "acme.test"})
    office.a.person_creates("Account", {"Name": "Borg", "Domain": "borg.test"})
    in_b = office.b.person_creates("Account", {"Name": "ACME", "Domain": "acme.example"})
    office.b.person_creates("Account", {"Name": "Borg"})
    assert {name: number for name, number in office.sync().counts.items() if name in ("matched", "ambiguous")} == {
        "matched": 1, "ambiguous": 1}
    assert len(office.a.live("Account")) == len(office.b.live("Account")) == 2, "nothing is made meanwhile"
    with office.store.write() as tx:
        answer(tx, "b", "Account", in_b, "new")
    office.quiet()
    assert len(office.a.live("Account")) == len(office.b.live("Account")) == 3
