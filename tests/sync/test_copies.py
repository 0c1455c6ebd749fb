"""Two live objects of one record in one system, as a merge elsewhere leaves them: clearing one away loses nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.sync.test_engine import Office
from tests.sync.world import World


class Copies(NamedTuple):
    """The account in a, and in b the object that it is linked with and the second copy."""

    account: str
    primary: str
    second: str


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    office = Office(tmp_path, World())
    yield office
    office.store.close()


@pytest.fixture
def copies(office: Office) -> Copies:
    one = office.a.person_creates("Account", {"Name": "Acme", "Domain": "acme.test"})
    two = office.a.person_creates("Account", {"Name": "Acme GmbH", "Domain": "acme.example"})
    office.quiet()
    there = {row["Name"]: id for id, row in office.b.live("Account").items()}
    office.a.person_merges("Account", one, two)
    office.quiet()
    return Copies(one, there["Acme"], there["Acme GmbH"])


def phone(office: Office, system: str, id: str) -> object:
    return office.world.systems[system].live("Account")[id]["Phone"]


def test_merging_the_linked_copy_into_the_other_moves_the_link(office: Office, copies: Copies) -> None:
    office.b.person_merges("Account", copies.second, copies.primary)
    office.quiet()
    office.b.person_edits("Account", copies.second, {"Phone": "77"})
    office.quiet()
    assert phone(office, "a", copies.account) == "77"
    office.a.person_edits("Account", copies.account, {"Phone": "88"})
    office.quiet()
    assert phone(office, "b", copies.second) == "88"


def test_what_the_surviving_copy_holds_is_read_where_it_was_told_of_in_the_same_breath(
    office: Office, copies: Copies
) -> None:
    """A seed of the histories: a feed tells of the survivor and of the merge together; it was listed as a second copy,
    and then stood for the record with what the other had held."""
    office.b.person_edits("Account", copies.second, {"Phone": "77"})
    office.b.person_merges("Account", copies.second, copies.primary)
    office.quiet()
    assert {phone(office, "a", copies.account), phone(office, "b", copies.second)} == {"77"}
    assert office.only("b", "Account")["Name"] == office.only("a", "Account")["Name"] == "Acme GmbH"


def test_deleting_the_linked_copy_leaves_the_record_to_the_other(office: Office, copies: Copies) -> None:
    office.b.person_deletes("Account", copies.primary)
    office.quiet()
    assert list(office.a.live("Account")) == [copies.account]
    office.a.person_edits("Account", copies.account, {"Phone": "88"})
    office.quiet()
    assert phone(office, "b", copies.second) == "88"


def test_what_the_other_copy_said_otherwise_is_shown_and_overwrites_nothing(office: Office, copies: Copies) -> None:
    office.b.person_edits("Account", copies.second, {"Phone": "11"})
    office.a.person_edits("Account", copies.account, {"Phone": "88"})
    office.quiet()
    office.b.person_deletes("Account", copies.primary)
    office.quiet()
    with office.store.read() as tx:
        (state,) = tx.conflicted()
    assert {head.value for head in state.conflicts["phone"]} == {"11", "88"}
    assert (phone(office, "a", copies.account), phone(office, "b", copies.second)) == ("88", "11")


@pytest.mark.parametrize("at_once", [True, False], ids=["in one run", "one after the other"])
def test_deleting_both_copies_deletes_the_record(office: Office, copies: Copies, at_once: bool) -> None:
    office.b.person_deletes("Account", copies.primary)
    if not at_once:
        office.sync()
    office.b.person_deletes("Account", copies.second)
    office.quiet()
    assert office.a.live("Account") == office.b.live("Account") == {}
    with office.store.read() as tx:
        assert tx.conflicted() == []


def test_a_second_copy_that_went_into_an_object_nobody_can_see_takes_no_record_with_it(
    office: Office, copies: Copies
) -> None:
    """The link followed it, found nothing there, and the account was deleted everywhere."""
    elsewhere = office.b.person_creates("Account", {"Name": "Elsewhere", "Domain": "else.test"})
    office.b.hidden.add(elsewhere)
    office.b.person_merges("Account", elsewhere, copies.second)
    office.quiet()
    office.b.person_edits("Account", copies.primary, {"Phone": "5"})
    office.quiet()
    assert phone(office, "a", copies.account) == "5"
