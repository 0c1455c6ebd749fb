"""The waterfall sums exactly, gives each deal one reason, and every planted move is in the right step."""

from __future__ import annotations

from collections import Counter
from datetime import date
from decimal import Decimal
from random import Random
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidefeed.forecast.columns import totals
from sidefeed.forecast.frames import DEALS, frame, to_bytes, total
from sidefeed.forecast.scope import Scope
from sidefeed.forecast.waterfall import RANK, STEPS, waterfall
from tests.forecast import random_deals
from tests.forecast.test_bridge import OURS, Q1, scopes


def two_days(chance: Random, number: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    first = random_deals.here(chance, number)
    second = []
    for row in first:
        if chance.random() < 0.15:
            continue
        for _ in range(chance.randrange(3)):
            row = random_deals.changed(row, chance)
        second.append(row)
    born = [{**row, "record": f"n{row['record']}"} for row in random_deals.here(chance, chance.randrange(3))]
    second += born
    chance.shuffle(second)
    return frame(first, DEALS), frame(second, DEALS)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**9), scope=scopes(), number=st.integers(0, 8),
       people=st.sampled_from([None, frozenset({"o1"}), frozenset({"o2", ""})]))
def test_the_steps_sum_exactly_and_each_deal_has_one_reason(
    seed: int, scope: Scope, number: int, people: frozenset[str] | None
) -> None:
    before, after = two_days(Random(seed), number)
    later = scope.with_owners(people)
    found = waterfall(before, after, scope, later)
    start, end = totals(before, scope), totals(after, later)
    seen: set[str] = set()
    for currency, part in found.steps.groupby("currency"):
        rows = part.to_dict("records")
        assert [row["step"] for row in rows] == ["start", *STEPS, "end"]
        assert rows[0]["amount"] == start.get(str(currency), Decimal(0))
        assert total(row["amount"] for row in rows[:-1]) == rows[-1]["amount"] == end.get(str(currency), Decimal(0))
        seen.add(str(currency))
    assert seen >= {currency for currency, amount in {**start, **end}.items() if amount}
    reasons = Counter(row["record"] for row in found.deals.to_dict("records") if row["step"] in RANK)
    assert set(reasons.values()) <= {1}
    listed: Counter[tuple[str, str]] = Counter()
    for row in found.deals.to_dict("records"):
        if row["amount"] is not None:
            listed[row["step"], row["currency"]] += row["amount"]
    for row in found.steps.to_dict("records"):
        if row["step"] in STEPS:
            assert listed[row["step"], row["currency"]] == row["amount"]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**9), scope=scopes())
def test_backwards_is_forwards_with_the_signs_turned(seed: int, scope: Scope) -> None:
    before, after = two_days(Random(seed), 6)
    there, back = _sums(waterfall(before, after, scope).deals), _sums(waterfall(after, before, scope).deals)
    assert there == {key: -amount for key, amount in back.items()}


def _sums(deals: pd.DataFrame) -> dict[tuple[str, str, bool], Decimal]:
    """By deal, currency, and whether it is the reason or a change of worth."""
    found: Counter[tuple[str, str, bool]] = Counter()
    for row in deals.to_dict("records"):
        if row["amount"]:
            found[row["record"], row["currency"], row["step"] in RANK] += row["amount"]
    return {key: amount for key, amount in found.items() if amount}


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10**9))
def test_the_order_of_rows_does_not_matter(seed: int) -> None:
    before, after = two_days(Random(seed), 6)
    one = waterfall(before, after, Q1)
    other = waterfall(before.iloc[::-1].reset_index(drop=True), after.iloc[::-1].reset_index(drop=True), Q1)
    assert to_bytes(one.steps) == to_bytes(other.steps)
    assert to_bytes(one.deals) == to_bytes(other.deals)


def test_the_random_days_reach_every_step() -> None:
    reached: Counter[str] = Counter()
    for seed in range(30):
        before, after = two_days(Random(seed), 8)
        for scope in (Q1.with_owners({"o1"}), Scope("won"), Scope("all", date(2026, 3, 1)), Scope("commit")):
            reached.update(waterfall(before, after, scope).deals["step"])
    assert set(reached) == set(STEPS) - {"rate"}


def steps(before: dict[str, Any] | None, after: dict[str, Any] | None, scope: Scope = Q1) -> list[tuple[str, Decimal]]:
    found = waterfall(frame([{**OURS, **before}] if before is not None else [], DEALS),
                      frame([{**OURS, **after}] if after is not None else [], DEALS), scope)
    return [(row["step"], row["amount"]) for row in found.deals.to_dict("records")]


WON = {"stage": "won", "status": "won", "category": "closed"}
LOST = {"stage": "lost", "status": "lost", "category": "omitted"}
FULL, MORE = Decimal("100.10"), Decimal("130.10")


@pytest.mark.parametrize(("before", "after", "expected"), [
    ({}, {}, []),
    (None, {}, [("created", FULL)]),
    ({}, None, [("deleted", -FULL)]),
    ({}, {"amount": MORE}, [("amount up", Decimal(30))]),
    ({"amount": MORE}, {}, [("amount down", Decimal(-30))]),
    ({}, WON, [("won", -FULL)]),
    ({}, LOST, [("lost", -FULL)]),
    (LOST, {}, [("reopened", FULL)]),
    ({}, {"close_date": date(2026, 4, 1)}, [("pushed out", -FULL)]),
    ({}, {"close_date": None}, [("pushed out", -FULL)]),
    ({}, {"close_date": date(2025, 12, 31)}, [("pulled out", -FULL)]),
    ({"close_date": date(2026, 4, 1)}, {}, [("pulled in", FULL)]),
    ({"close_date": date(2025, 12, 31)}, {}, [("pushed in", FULL)]),
    ({}, {**WON, "amount": MORE}, [("amount up", Decimal(30)), ("won", -MORE)]),
    ({"close_date": date(2026, 4, 1)}, {"amount": MORE}, [("pulled in", FULL), ("amount up", Decimal(30))]),
    ({}, {**WON, "close_date": date(2026, 4, 1)}, [("won", -FULL)]),
    ({"amount": None}, {"amount": FULL}, [("amount up", FULL)]),
    ({"amount": None}, WON, [("amount up", FULL), ("won", -FULL)]),
    ({}, {**LOST, "amount": None}, [("lost", -FULL)]),
    (None, {"amount": None}, [("created", None)]),
    ({"amount": Decimal(-5)}, None, [("deleted", Decimal(5))]),
])
def test_each_move_goes_to_its_step(
    before: dict[str, Any] | None, after: dict[str, Any] | None, expected: list[tuple[str, Decimal]]
) -> None:
    assert steps(before, after) == expected


def test_the_first_reason_that_holds_is_told() -> None:
    team = Q1.with_owners({"o1"})
    assert steps({}, {**WON, "owner_id": "o2", "close_date": date(2026, 4, 1)}, team) == [("owner out", -FULL)]
    assert steps({**LOST, "close_date": date(2026, 4, 1)}, {}, Q1) == [("pulled in", FULL)]
    assert steps({}, {"category": "pipeline"}, Scope("commit")) == [("category out", -FULL)]
    assert steps({"category": "pipeline", "close_date": date(2026, 4, 1)}, {},
                 Scope("commit", Q1.start, Q1.end)) == [("pulled in", FULL)]


def test_a_number_of_won_deals_grows_by_won() -> None:
    assert steps({}, WON, Scope("won")) == [("won", FULL)]
    assert steps(WON, {}, Scope("won")) == [("reopened", -FULL)]
    assert steps(WON, LOST, Scope("won")) == [("lost", -FULL)]


def test_a_change_of_currency_leaves_one_and_enters_the_other() -> None:
    found = waterfall(frame([OURS], DEALS), frame([{**OURS, "currency": "USD", "amount": Decimal(90)}], DEALS), Q1)
    assert sorted((row["step"], row["currency"], row["amount"]) for row in found.deals.to_dict("records")) == [
        ("amount down", "EUR", Decimal("-10.10")), ("currency", "EUR", Decimal(-90)), ("currency", "USD", Decimal(90))]


def test_another_rate_is_a_step_of_its_own() -> None:
    def at(rate: str) -> Scope:
        return Scope("open", convert=lambda amount, _currency, _deal: ("USD", amount * Decimal(rate)))

    found = waterfall(frame([OURS], DEALS), frame([{**OURS, "amount": Decimal("200.10")}], DEALS), at("2"), at("3"))
    assert [(row["step"], row["currency"], row["amount"]) for row in found.deals.to_dict("records")] == [
        ("amount up", "USD", Decimal(200)), ("rate", "USD", Decimal("200.10"))]


def test_no_deals_on_both_days_is_an_empty_waterfall() -> None:
    assert waterfall(frame([], DEALS), frame([], DEALS), Q1).steps.empty
