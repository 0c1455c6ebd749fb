"""The merge rule, on its own."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sidefeed.workspace.merge import Change, RecordState, apply, merge_sets, replay


def change(rev: int, base: Iterable[int], value: Any, name: str = "amount") -> Change:
    return Change(rev, f"{rev:013d}-00000-x", f"2026-11-{rev:02d}", f"person {rev}", "a", "deal", "r", {name: value},
                  {name: tuple(base)})


def heads(state: RecordState) -> set[Any]:
    return {head.value for head in state.conflicts.get("amount", ())} or {state.values.get("amount")}


def test_a_change_based_on_the_current_value_replaces_it() -> None:
    state = replay([change(1, [], "10"), change(2, [1], "20")], "r", "deal")
    assert (state.values["amount"], state.conflicts) == ("20", {})


def test_a_change_based_on_an_older_value_makes_a_conflict_that_keeps_both() -> None:
    state = replay([change(1, [], "10"), change(2, [1], "20"), change(3, [1], "30")], "r", "deal")
    assert state.values["amount"] == "20", "the first written goes on being shown"
    assert [(head.value, head.actor) for head in state.conflicts["amount"]] == [("20", "person 2"), ("30", "person 3")]


def test_two_who_say_the_same_do_not_disagree() -> None:
    state = replay([change(1, [], "10"), change(2, [1], "20"), change(3, [1], "20")], "r", "deal")
    assert (state.conflicts, state.heads["amount"]) == ({}, [2, 3])
    apply(state, change(4, [2, 3], "40"))
    assert (state.values["amount"], state.heads["amount"]) == ("40", [4])


def test_a_decision_based_on_every_value_ends_the_conflict() -> None:
    state = replay([change(1, [], "10"), change(2, [1], "20"), change(3, [1], "30"), change(4, [2, 3], "25")], "r", "deal")
    assert (state.values["amount"], state.conflicts) == ("25", {})


@st.composite
def histories(draw: st.DrawFn) -> list[Change]:
    """Changes by writers who each saw any of the values that could be seen then."""
    changes: list[Change] = []
    for rev in range(1, draw(st.integers(1, 7)) + 1):
        seen = draw(st.sets(st.sampled_from([one.rev for one in changes]))) if changes else set()
        changes.append(change(rev, sorted(seen), draw(st.sampled_from(["1", "2", "3"]))))
    return changes


@given(histories())
def test_a_value_vanishes_only_when_somebody_who_saw_it_wrote_over_it(changes: list[Change]) -> None:
    state = replay(changes, "r", "deal")
    overwritten = {rev for one in changes for rev in one.base["amount"]}
    assert set(state.heads["amount"]) == {one.rev for one in changes} - overwritten
    assert heads(state) == {one.fields["amount"] for one in changes if one.rev not in overwritten}


@given(histories())
def test_replay_to_any_revision_is_what_was_there_then(changes: list[Change]) -> None:
    state = RecordState("r", "deal")
    full: dict[str, Any] = {}
    for number in range(1, len(changes) + 1):
        state = replay(changes[:number], "r", "deal")
        again = replay(itertools.islice(changes, number), "r", "deal")
        assert (state.values, state.heads, state.conflicts) == (again.values, again.heads, again.conflicts)
    assert full == {}


texts = st.lists(st.sampled_from("abcdef"), unique=True)


@given(texts, texts, texts)
def test_sets_keep_every_addition_and_lose_every_removal(base: list[str], ours: list[str], theirs: list[str]) -> None:
    merged = set(merge_sets(base, ours, theirs))
    assert merged == ((set(ours) | set(theirs)) - (set(base) - set(ours)) - (set(base) - set(theirs)))
    assert merge_sets(base, ours, theirs) == merge_sets(base, theirs, ours)
