"""Any day can be rebuilt from the change log, as it was reported, to the byte."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidefeed.forecast.frames import DEALS, frame, from_records, records, to_bytes, total
from sidefeed.forecast.history import deals_as_of
from sidefeed.workspace import Draft
from tests.forecast.shop import Shop, money


def test_no_deals_is_an_empty_frame_of_the_same_types(shop: Shop) -> None:
    empty = deals_as_of(shop.store)
    shop.deal("Pump", "100")
    assert list(empty.columns) == list(DEALS)
    assert empty.empty
    assert empty.dtypes.to_dict() == deals_as_of(shop.store).dtypes.to_dict()
    assert deals_as_of(shop.store, shop.clock - timedelta(days=400)).empty


def test_a_day_is_rebuilt_as_it_stood_then(shop: Shop) -> None:
    ann = shop.person("Ann")
    deal = shop.deal("Pump", "100.10", owner=ann)
    monday = shop.later(hours=1)
    shop.later(days=1)
    shop.edit(deal, money=money("250"), close_date="2026-06-01")
    tuesday = shop.later(hours=1)
    shop.later(days=1)
    shop.delete(deal)
    then = deals_as_of(shop.store, monday).iloc[0]
    assert (then["amount"], str(then["close_date"].date()), then["owner"]) == (Decimal("100.10"), "2026-03-20", "Ann")
    assert deals_as_of(shop.store, tuesday)["amount"].tolist() == [Decimal(250)]
    assert deals_as_of(shop.store).empty


def test_moving_a_rep_does_not_rename_history(shop: Shop) -> None:
    ann = shop.person("Ann")
    shop.deal("Pump", "1", owner=ann)
    before = shop.later(hours=1)
    shop.later(days=1)
    shop.edit(ann, name="Ann Miller")
    assert deals_as_of(shop.store, before)["owner"].tolist() == ["Ann"]
    assert deals_as_of(shop.store)["owner"].tolist() == ["Ann Miller"]


def test_what_was_true_and_what_was_known_are_two_questions(shop: Shop) -> None:
    deal = shop.deal("Pump", "100")
    edited = shop.later(hours=1)
    arrived = shop.later(days=2)
    shop.edit(deal, source="hubspot", at=edited, money=money("70"))
    between = arrived - timedelta(days=1)
    assert deals_as_of(shop.store, between)["amount"].tolist() == [Decimal(100)]
    assert deals_as_of(shop.store, between, axis="happened")["amount"].tolist() == [Decimal(70)]


def test_a_dispute_of_that_day_is_shown_for_that_day(shop: Shop) -> None:
    deal = shop.deal("Pump", "100")
    with shop.store.read() as tx:
        state = tx.record(deal)
        assert state is not None
        seen = list(state.heads_of("money"))
    shop.edit(deal, source="salesforce", base={"money": seen}, money=money("120"))
    shop.edit(deal, source="hubspot", base={"money": seen}, money=money("90"))
    disputed = shop.later(hours=1)
    shop.later(days=1)
    shop.edit(deal, money=money("110"))
    assert deals_as_of(shop.store, disputed)["disputed"].tolist() == ["money"]
    assert deals_as_of(shop.store)["disputed"].tolist() == [""]


def test_a_merged_deal_counts_until_it_was_merged(shop: Shop) -> None:
    kept, lost = shop.deal("Pump", "1"), shop.deal("Pump again", "2")
    before = shop.later(hours=1)
    shop.later(days=1)
    with shop.store.write() as tx:
        tx.append([Draft("opportunity", lost, {"_deleted": True}, "hubspot", "hubspot", reason=f"merged into {kept}")])
        tx.mark_merged(lost, kept)
    assert len(deals_as_of(shop.store, before)) == 2
    assert deals_as_of(shop.store)["record"].tolist() == [kept]
    assert deals_as_of(shop.store, shop.clock)["record"].tolist() == [kept]


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_what_was_reported_is_what_is_rebuilt(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    """Random histories, with edits that arrive late and disagree; every day's report is compared to the byte."""
    chance = Random(seed)
    shop = Shop(Path(tmp_path_factory.mktemp("history")) / "workspace.db")
    try:
        people = [shop.person(name) for name in ("Ann", "Bob")]
        ids: list[str] = []
        reported = {}
        for _day in range(6):
            for _ in range(chance.randrange(4)):
                _act(shop, chance, ids, people)
                shop.later(hours=1)
            reported[shop.clock] = to_bytes(deals_as_of(shop.store))
            shop.later(days=1)
        for moment, told in reported.items():
            assert to_bytes(deals_as_of(shop.store, moment)) == told
    finally:
        shop.close()


def _act(shop: Shop, chance: Random, ids: list[str], people: list[str]) -> None:
    kind = chance.choice(("new", "edit", "edit", "late", "disagree", "delete", "rename"))
    if kind == "new" or not ids:
        ids.append(shop.deal(f"Deal {len(ids)}", str(chance.randrange(1, 1000)), owner=chance.choice([*people, None])))
    elif kind == "rename":
        shop.edit(people[0], name=f"Ann {chance.randrange(9)}")
    elif kind == "delete":
        shop.delete(chance.choice(ids))
    else:
        more: dict[str, Any] = {}
        if kind == "late":
            more["at"] = shop.clock - timedelta(days=3)
        if kind == "disagree":
            more["base"] = {"money": []}
        shop.edit(chance.choice(ids), money=money(str(chance.randrange(1, 1000))), **more)


def test_a_frame_goes_to_json_and_comes_back_the_same(shop: Shop) -> None:
    shop.deal("Pump", "100000000000000000000000000000.01")
    shop.deal("No amount", None, None)
    table = deals_as_of(shop.store)
    again = from_records(records(table), DEALS)
    assert to_bytes(again) == to_bytes(table)
    assert again.dtypes.to_dict() == table.dtypes.to_dict()


def test_sums_never_round() -> None:
    assert total([Decimal("1E+40"), Decimal("0.01"), None, Decimal("-1E+40")]) == Decimal("0.01")


def test_a_mistyped_date_is_a_deal_without_a_date(shop: Shop) -> None:
    shop.deal("Odd", "1", "0026-02-31")
    shop.deal("Far", "1", "9999-12-31")
    told = {row["name"]: row["close_date"] for row in records(deals_as_of(shop.store))}
    assert told == {"Odd": None, "Far": "9999-12-31"}


def test_columns_are_typed_whatever_the_rows() -> None:
    assert str(frame([], DEALS)["close_date"].dtype) == "datetime64[s]"
    assert str(frame([], DEALS)["created"].dtype) == "datetime64[ms, UTC]"
