"""Policies: who wins, when, and that every decision is a change that can be seen."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.sync import world as worlds
from tests.sync.test_engine import Office


def office_with(folder: Path, monkeypatch: pytest.MonkeyPatch, field: str, policy: str) -> Office:
    text = worlds.ENTITIES.replace(f"      {field}: text\n", f"      {field}: {{type: text, policy: {policy}}}\n")
    assert text != worlds.ENTITIES
    monkeypatch.setattr(worlds, "ENTITIES", text)
    return Office(folder, worlds.World())


@pytest.fixture
def decide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    opened: list[Office] = []

    def decided(policy: str, in_a: str | None, in_b: str | None, start: str | None = "call", later: str = "b") -> Any:
        """What both systems hold after they changed one field to different values, system ``later`` last."""
        office = office_with(tmp_path, monkeypatch, "next_step", policy)
        opened.append(office)
        office.a.person_creates("Deal", {"Name": "Big", "NextStep": start})
        office.quiet()
        (a,), (b,) = office.a.live("Deal"), office.b.live("Deal")
        edits = [(office.a, a, in_a), (office.b, b, in_b)]
        for fake, id, value in edits if later == "b" else edits[::-1]:
            if value != start:
                fake.person_edits("Deal", id, {"NextStep": value})
            office.world.tick += 5
        office.quiet()
        with office.store.read() as tx:
            (state,) = tx.each_record("opportunity")
            conflicts = list(state.conflicts)
            decisions = [change.actor for change in tx.changes_of(state.id) if change.source == "policy"]
        return office.only("a")["NextStep"], office.only("b")["NextStep"], conflicts, decisions

    yield decided
    for office in opened:
        office.store.close()


def test_latest_takes_the_newest_whatever_the_order_of_reading(decide: Any) -> None:
    assert decide("latest", "visit", "write", later="a") == ("visit", "visit", [], ["policy:latest"])


def test_latest_the_other_way_round(decide: Any) -> None:
    assert decide("latest", "visit", "write", later="b") == ("write", "write", [], ["policy:latest"])


def test_ask_leaves_both_until_a_person_says(decide: Any) -> None:
    assert decide("ask", "visit", "write") == ("visit", "write", ["next_step"], [])


def test_the_preferred_system_wins_a_disagreement(decide: Any) -> None:
    assert decide("{prefer: a}", "visit", "write") == ("visit", "visit", [], ["policy:prefer:a"])


def test_the_preferred_system_takes_back_what_another_changed_alone(decide: Any) -> None:
    assert decide("{prefer: a}", "call", "write") == ("call", "call", [], ["policy:prefer:a"])


def test_fill_takes_a_value_only_where_there_is_none(decide: Any) -> None:
    assert decide("fill", "call", "write") == ("call", "call", [], ["policy:fill"])


def test_fill_fills(decide: Any) -> None:
    assert decide("fill", None, "write", start=None) == ("write", "write", [], [])
