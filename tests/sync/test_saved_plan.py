"""A saved plan does exactly what it says, or nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidefeed.cli.plan_page import page
from sidefeed.sync import SavedPlan, WorldMoved
from sidefeed.workspace import StoreError
from tests.sync.test_engine import Office
from tests.sync.world import World


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    office = Office(tmp_path, World())
    yield office
    office.store.close()


def planned(office: Office, folder: Path) -> SavedPlan:
    office.world.tick += 60
    engine = office.engine()
    engine.save_plan(*engine.plan()).save(folder / "plan.json")
    return SavedPlan.load(folder / "plan.json")


def a_deal_with_its_account(office: Office) -> str:
    account = office.a.person_creates("Account", {"Name": "Acme", "Domain": "acme.test"})
    return office.a.person_creates("Deal", {"Name": "Big", "Amount": "10", "AccountId": account})


def test_a_plan_writes_nothing_and_applying_it_does_what_it_says(office: Office, tmp_path: Path) -> None:
    a_deal_with_its_account(office)
    plan = planned(office, tmp_path)
    assert office.b.live("Account") == office.b.live("Deal") == {}
    assert [(row["op"], row["object"], row["label"]) for row in plan.writes] == [("create", "Account", "Acme")]
    assert list(plan.waiting.values()) == ["account Acme is not in b yet"]
    assert [(row["label"], row["fields"]["Amount"]["after"]) for row in plan.later] == [("Big", "10")]
    assert (plan.calls, plan.mails) == ({"b": 2}, 0)
    report = office.engine().apply(plan)
    assert report.written == {"b Account": {"create": 1}, "b Deal": {"create": 1}}


def test_a_plan_is_refused_where_the_world_moved_and_the_difference_is_named(office: Office, tmp_path: Path) -> None:
    a_deal_with_its_account(office)
    office.quiet()
    (in_a,), (in_b,) = office.a.live("Deal"), office.b.live("Deal")
    office.a.person_edits("Deal", in_a, {"Amount": "20"})
    plan = planned(office, tmp_path)
    office.a.person_edits("Deal", in_a, {"Amount": "21"})
    office.a.person_creates("Deal", {"Name": "New"})
    office.world.tick += 60
    with pytest.raises(WorldMoved) as moved:
        office.engine().apply(plan)
    assert moved.value.differences == ("b Deal Big: Amount was to become '20', now '21'",
                                       "b Deal New now needs a create as well")
    assert office.only("b")["Amount"] == "10"
    with office.store.read() as tx:
        assert tx.runs(1)[0]["state"] == "moved"
    office.sync()
    assert office.b.rows["Deal"][in_b].values["Amount"] == "21", "the next sync is not held back by it"


def test_what_waits_for_its_parent_is_shown_and_held_to_as_well(office: Office, tmp_path: Path) -> None:
    """Only its name was known before: whatever it held by then was written, though nobody had seen that."""
    deal = a_deal_with_its_account(office)
    plan = planned(office, tmp_path)
    assert "10" in page(plan) and "once what they belong to is there" in page(plan)
    office.a.person_edits("Deal", deal, {"Amount": "11"})
    office.world.tick += 60
    with pytest.raises(WorldMoved, match="b Deal Big: Amount was to become '10', now '11'"):
        office.engine().apply(plan)
    assert office.b.live("Account") == {}


def test_what_people_do_while_a_plan_is_applied_waits_for_the_next_sync(office: Office, tmp_path: Path) -> None:
    a_deal_with_its_account(office)
    plan = planned(office, tmp_path)

    def act(_number: int, phase: str, what: str) -> None:
        if what == "b write" and phase == "after":
            office.world.on_call = None
            office.a.person_edits("Account", next(iter(office.a.live("Account"))), {"Phone": "1"})
            with office.store.write() as tx:
                tx.put_inbox("a", "Account", dict.fromkeys(office.a.live("Account")))

    office.world.on_call = act
    report = office.engine().apply(plan)
    assert report.written == {"b Account": {"create": 1}, "b Deal": {"create": 1}}
    assert office.only("b", "Account")["Phone"] is None
    office.quiet()
    assert office.only("b", "Account")["Phone"] == "1"


def test_a_file_that_is_no_plan_is_refused_with_a_sentence(tmp_path: Path) -> None:
    for content in ("", "[]", "{}", '{"format": 1}', '{"format": 99}'):
        (tmp_path / "plan.json").write_text(content)
        with pytest.raises(StoreError, match=r"no saved plan|another version"):
            SavedPlan.load(tmp_path / "plan.json")
    with pytest.raises(StoreError, match="cannot be read"):
        SavedPlan.load(tmp_path / "nowhere.json")


def test_the_page_runs_nothing_loads_nothing_and_shows_hostile_text_as_text(office: Office, tmp_path: Path) -> None:
    office.a.person_creates("Deal", {"Name": "<script>alert(1)</script>", "NextStep": '"><img src=x>'})
    text = page(planned(office, tmp_path))
    assert "&lt;script&gt;alert(1)" in text and "&quot;&gt;&lt;img src=x&gt;" in text
    assert not re.search(r"<(script|img|link|iframe)|\bsrc=[\"']|https?://", text)
