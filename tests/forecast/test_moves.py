"""Between two days of a workspace: who moved each deal, and every move that the net hides."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidefeed.forecast import Scope, deals_as_of, explain, totals
from sidefeed.forecast.frames import to_bytes, total
from sidefeed.forecast.moves import Explained
from sidefeed.forecast.waterfall import RANK
from sidefeed.workspace import Draft
from tests.forecast.shop import Shop, money
from tests.forecast.test_time_travel import _act

Q1 = Scope("open", date(2026, 1, 1), date(2026, 3, 31))


def steps(found: Explained) -> dict[str, Decimal]:
    return {row["step"]: row["amount"] for row in found.steps.to_dict("records") if row["amount"]}


def test_a_week_is_explained_with_its_authors(shop: Shop) -> None:
    kept, won, gone = shop.deal("Pump", "100"), shop.deal("Valve", "50"), shop.deal("Pipe", "7")
    monday = shop.later(hours=1)
    shop.later(days=2)
    shop.edit(kept, actor="bob", source="hubspot", money=money("130"))
    shop.edit(won, stage="won")
    shop.delete(gone)
    shop.deal("Filter", "20")
    found = explain(shop.store, monday, shop.later(hours=1), Q1)
    assert steps(found) == {"start": 157, "created": 20, "amount up": 30, "won": -50, "deleted": -7, "end": 150}
    row = found.deals[found.deals["step"] == "amount up"].iloc[0]
    assert (row["name"], row["source"], row["actor"], row["before"], row["after"], row["moves"]) == (
        "Pump", "hubspot", "bob", Decimal(100), Decimal(130), 1)


def test_to_and_fro_is_in_the_moves_and_not_in_the_net(shop: Shop) -> None:
    deal = shop.deal("Pump", "100")
    monday = shop.later(hours=1)
    for day in ("2026-05-01", "2026-03-01"):
        shop.later(days=1)
        shop.edit(deal, close_date=day)
    found = explain(shop.store, monday, shop.later(hours=1), Q1)
    assert steps(found) == {"start": 100, "end": 100}
    assert found.deals.empty
    assert [(row["step"], row["up"], row["down"], row["moves"]) for row in found.gross.to_dict("records")] == [
        ("pulled in", 100, 0, 1), ("pushed out", 0, -100, 1)]


def test_a_merged_deal_is_taken_out_once(shop: Shop) -> None:
    kept, lost = shop.deal("Pump", "100"), shop.deal("Pump again", "100")
    monday = shop.later(hours=1)
    shop.later(days=1)
    with shop.store.write() as tx:
        tx.append([Draft("opportunity", lost, {"_deleted": True}, "hubspot", "hubspot", reason=f"merged into {kept}")])
        tx.mark_merged(lost, kept)
    found = explain(shop.store, monday, shop.later(hours=1), Q1)
    assert steps(found) == {"start": 200, "deleted": -100, "end": 100}
    assert found.moves["reason"].tolist() == [f"merged into {kept}"]


def test_a_rep_who_moves_takes_the_open_deals_along_and_leaves_history_alone(shop: Shop) -> None:
    ann, bob = shop.person("Ann"), shop.person("Bob")
    still, edited = shop.deal("Pump", "100", owner=ann), shop.deal("Valve", "50", owner=ann)
    shop.deal("Pipe", "7", owner=bob)
    monday = shop.later(hours=1)
    shop.later(days=1)
    shop.edit(edited, money=money("60"))
    moved = shop.later(days=1)
    shop.later(days=1)
    shop.edit(still, money=money("1"))
    team = Q1.with_owners({ann, bob})
    found = explain(shop.store, monday, shop.later(hours=1), [(monday, team), (moved, team.with_owners({bob}))])
    assert steps(found) == {"start": 157, "amount up": 10, "amount down": -99, "owner out": -61, "end": 7}
    told = {(row["step"], row["name"], row["source"]): row["amount"] for row in found.moves.to_dict("records")}
    assert told == {("amount up", "Valve", "workspace"): 10, ("owner out", "Valve", "team"): -60,
                    ("owner out", "Pump", "team"): -100}
    assert totals(deals_as_of(shop.store, monday), team) == {"EUR": 157}


def test_the_first_day_must_come_first(shop: Shop) -> None:
    with pytest.raises(ValueError, match="lies behind the second"):
        explain(shop.store, datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC), Q1)


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_random_histories_are_explained_exactly(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    """Late, disputed, deleted, renamed: net and gross lead from what was reported one day to what was the other."""
    chance = Random(seed)
    shop = Shop(Path(tmp_path_factory.mktemp("moves")) / "workspace.db")
    try:
        people = [shop.person(name) for name in ("Ann", "Bob")]
        team = Scope("open").with_owners({people[0], ""})
        ids: list[str] = []
        days = []
        for _day in range(4):
            for _ in range(chance.randrange(5)):
                _act(shop, chance, ids, people)
                shop.later(hours=1)
            days.append((shop.clock, totals(deals_as_of(shop.store), team)))
            shop.later(days=1)
        first, second = sorted(chance.sample(days, 2), key=lambda one: one[0])
        found = explain(shop.store, first[0], second[0], team)
        again = explain(shop.store, first[0], second[0], team)
        assert to_bytes(found.moves) == to_bytes(again.moves)
        for currency, part in found.steps.groupby("currency"):
            amounts = part["amount"].tolist()
            assert amounts[0] == first[1].get(str(currency), 0)
            assert total(amounts[:-1]) == amounts[-1] == second[1].get(str(currency), 0)
        reasons = [row["record"] for row in found.deals.to_dict("records") if row["step"] in RANK]
        assert len(reasons) == len(set(reasons))
    finally:
        shop.close()


def test_a_day_that_nothing_happened_on_moves_nothing(shop: Shop) -> None:
    shop.deal("Pump", "100")
    found = explain(shop.store, shop.later(hours=1), shop.later(days=1), Q1)
    assert steps(found) == {"start": 100, "end": 100}
    assert found.moves.empty
    assert found.gross.empty
    assert found.end - found.start == timedelta(days=1)
