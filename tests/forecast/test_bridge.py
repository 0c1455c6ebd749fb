"""The bridge sums exactly, and every planted discrepancy is in the right step."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import date
from decimal import Decimal
from random import Random

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidefeed.forecast.bridge import STEPS, Bridge, bridge
from sidefeed.forecast.columns import counted, totals
from sidefeed.forecast.frames import DEALS, EXACT, deals_in, frame, records, to_bytes, total
from sidefeed.forecast.scope import MEASURES, Scope, ScopeError, add
from sidefeed.forecast.systems import SYSTEM_DEALS
from tests.forecast import random_deals

Q1 = Scope("open", date(2026, 1, 1), date(2026, 3, 31))


def scopes() -> st.SearchStrategy[Scope]:
    days = st.sampled_from([None, date(2026, 1, 1), date(2026, 3, 1)])
    ends = st.sampled_from([None, date(2026, 3, 31), date(2026, 6, 30)])
    owners = st.sampled_from([None, frozenset({"o1"}), frozenset({"o1", ""}), frozenset({"o2"})])
    return st.builds(Scope, st.sampled_from(MEASURES), days, ends, owners)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**9), scope=scopes(), number=st.integers(0, 8))
def test_the_steps_sum_exactly(seed: int, scope: Scope, number: int) -> None:
    there, here = random_deals.frames(Random(seed), number)
    found = bridge(there, here, scope, system="crm")
    ours = totals(here, scope)
    for currency, part in found.steps.groupby("currency"):
        rows = part.to_dict("records")
        assert [row["step"] for row in rows] == ["crm total", *STEPS, "reconciled total"]
        assert total(row["amount"] for row in rows[:-1]) == rows[-1]["amount"] == ours.get(str(currency), Decimal(0))
    _the_deals_make_the_steps(found)


def _the_deals_make_the_steps(found: Bridge) -> None:
    listed: Counter[tuple[str, str]] = Counter()
    for row in found.deals.to_dict("records"):
        if row["amount"] is not None:
            listed[row["step"], row["currency"]] += row["amount"]
    for row in found.steps.to_dict("records"):
        if row["step"] in STEPS:
            assert listed[row["step"], row["currency"]] == row["amount"]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**9))
def test_the_order_of_rows_does_not_matter(seed: int) -> None:
    there, here = random_deals.frames(Random(seed), 6)
    one = bridge(there, here, Q1)
    other = bridge(there.iloc[::-1].reset_index(drop=True), here.iloc[::-1].reset_index(drop=True), Q1)
    assert to_bytes(one.steps) == to_bytes(other.steps)
    assert sorted(map(str, records(one.deals))) == sorted(map(str, records(other.deals)))


def test_the_random_frames_reach_every_step() -> None:
    reached: Counter[str] = Counter()
    for seed in range(30):
        there, here = random_deals.frames(Random(seed), 8)
        reached.update(bridge(there, here, Scope("pipeline")).deals["step"])
        reached.update(bridge(there, here, Q1.with_owners({"o1"})).deals["step"])
    assert set(reached) == set(STEPS)


OURS = {"record": "r", "name": "Pump", "owner_id": "o1", "owner": "Ann", "stage": "proposal", "status": "open",
        "category": "commit", "close_date": date(2026, 3, 31), "currency": "EUR", "amount": Decimal("100.10")}


def only_step(theirs: dict[str, object] | None, scope: Scope = Q1, ours: dict[str, object] | None = OURS,
              ) -> list[tuple[str, str, Decimal]]:
    there = frame([{"external_id": "x", "role": "primary", **OURS, **theirs}] if theirs is not None else [],
                  SYSTEM_DEALS).drop(columns="said")
    found = bridge(there, frame([ours] if ours else [], DEALS), scope)
    return [(row["step"], row["currency"], row["amount"]) for row in found.deals.to_dict("records")]


@pytest.mark.parametrize(("theirs", "expected"), [
    ({}, []),
    (None, [("only here", "EUR", Decimal("100.10"))]),
    ({"record": None, "role": "unmatched"}, [("only there", "EUR", Decimal("-100.10")),
                                             ("only here", "EUR", Decimal("100.10"))]),
    ({"role": "duplicate"}, [("only here", "EUR", Decimal("100.10")), ("duplicates", "EUR", Decimal("-100.10"))]),
    ({"amount": Decimal("70")}, [("amount", "EUR", Decimal("30.10"))]),
    ({"amount": None}, [("amount", "EUR", Decimal("100.10"))]),
    ({"amount": Decimal("70"), "why_amount": "stale copy"}, [("stale copy", "EUR", Decimal("30.10"))]),
    ({"amount": Decimal("70"), "why_amount": "pending write"}, [("pending write", "EUR", Decimal("30.10"))]),
    ({"amount": Decimal("70"), "why_amount": "conflict"}, [("conflict", "EUR", Decimal("30.10"))]),
    ({"close_date": date(2026, 4, 1)}, [("date or zone", "EUR", Decimal("100.10"))]),
    ({"close_date": date(2026, 3, 30)}, []),
    ({"stage": "won", "status": "won", "category": "closed"}, [("stage map", "EUR", Decimal("100.10"))]),
    ({"currency": "USD"}, [("currency", "EUR", Decimal("100.10")), ("currency", "USD", Decimal("-100.10"))]),
    ({"owner_id": "o2"}, []),
    ({"close_date": date(2026, 4, 1), "amount": Decimal("70")}, [("amount", "EUR", Decimal("30.10")),
                                                                 ("date or zone", "EUR", Decimal("70"))]),
])
def test_each_difference_goes_to_its_step(
    theirs: dict[str, object] | None, expected: list[tuple[str, str, Decimal]]
) -> None:
    assert sorted(only_step(theirs)) == sorted(expected)


def test_owners_differ_only_for_those_whose_number_it_is() -> None:
    assert only_step({"owner_id": "o2", "owner": "Bob"}, Q1.with_owners({"o1"})) == [
        ("owner", "EUR", Decimal("100.10"))]


def test_a_field_the_system_does_not_hold_cannot_differ() -> None:
    there = frame([{**OURS, "external_id": "x", "role": "primary", "currency": None, "category": "pipeline",
                    "said": "stage,amount,close_date,owner_id"}], SYSTEM_DEALS)
    found = bridge(there, frame([OURS], DEALS), Scope("commit"))
    assert found.deals.empty
    assert found.steps["amount"].tolist()[0] == Decimal("100.10")


def test_no_deals_at_all_is_an_empty_bridge() -> None:
    found = bridge(frame([], SYSTEM_DEALS), frame([], DEALS), Q1)
    assert found.steps.empty
    assert found.deals.empty


def test_amounts_beyond_the_usual_precision_stay_exact() -> None:
    huge = Decimal("99999999999999999999999999999999999.99")
    assert only_step({"amount": huge}) == [("amount", "EUR", EXACT.subtract(Decimal("100.10"), huge))]
    found = bridge(frame([{**OURS, "external_id": "x", "role": "primary", "amount": huge}], SYSTEM_DEALS),
                   frame([OURS], DEALS), Q1)
    assert found.steps["amount"].tolist()[-1] == Decimal("100.10")


def test_a_measure_that_does_not_exist_is_refused_with_the_choices() -> None:
    with pytest.raises(ScopeError, match="choose from all, open, won"):
        Scope("weighted")
    with pytest.raises(ScopeError, match="ends"):
        Scope("open", date(2026, 2, 1), date(2026, 1, 1))


def test_the_frames_of_a_bridge_are_typed() -> None:
    found = bridge(frame([], SYSTEM_DEALS), frame([OURS], DEALS), Q1)
    assert isinstance(found.deals["amount"].iloc[0], Decimal)
    assert str(found.deals["at"].dtype) == "datetime64[ms, UTC]"
    assert isinstance(found.steps, pd.DataFrame)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**9), scope=scopes(), number=st.integers(0, 8))
def test_what_counts_is_the_same_column_by_column_and_deal_by_deal(seed: int, scope: Scope, number: int) -> None:
    there, here = random_deals.frames(Random(seed), number)
    for table in (there, here):
        by_deal: dict[str, Decimal] = {}
        for deal in deals_in(table):
            add(by_deal, scope.contribution(deal))
        assert counted(table, scope).tolist() == [scope.counts(deal) for deal in deals_in(table)]
        assert totals(table, scope) == by_deal
        converted = replace(scope, convert=lambda amount, _currency, _deal: ("GBP", amount * 2))
        assert totals(table, converted).get("GBP", Decimal(0)) == 2 * total(by_deal.values())
