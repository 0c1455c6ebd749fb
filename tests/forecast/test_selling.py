"""Fit, cost of sale and stage exit criteria rest on what was written down, and say what is not known."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from sidefeed.forecast import ScopeError
from sidefeed.forecast.lives import lives
from sidefeed.forecast.measures import measured, not_known
from sidefeed.forecast.selling import cost_of_sale, exits, fit
from sidefeed.forecast.view import view
from sidefeed.mapping import Mapping, load
from sidefeed.project import ForecastSettings
from tests.forecast.shop import Shop


@pytest.fixture(scope="module")
def mappings() -> Mapping:
    return load(Path(__file__).resolve().parents[2] / "mappings")


def test_fit_is_told_by_what_accounts_say_and_blank_is_not_known(shop: Shop, mappings: Mapping) -> None:
    food, steel = shop.new("account", name="Alder", industry="Food"), shop.new("account", name="Basalt")
    for number in range(12):
        deal = shop.deal(f"Deal {number}", "1", account=food)
        shop.edit(deal, stage="won" if number < 9 else "lost")
    shop.deal("Open", "1", account=food)
    shop.edit(shop.deal("Other", "1", account=steel), stage="lost")
    with shop.store.read() as tx:
        table = fit(tx, mappings, lives(tx), ["industry"])
        with pytest.raises(ScopeError, match=r"fit: no field of account or opportunity is called mood; choose from .*industry"):
            fit(tx, mappings, [], ["mood"])
    assert [tuple(row.values()) for row in table.to_dict("records")] == [
        ("industry", "Food", 1, 9, 3, Decimal(75)), ("industry", "not known", 0, 0, 1, None)]


def test_the_cost_of_a_sale_is_the_time_in_meetings_filed_with_it(shop: Shop) -> None:
    won, lost, alone = (shop.deal(name, "1") for name in ("Won", "Lost", "Alone"))
    for deal, start, end, status in ((won, "2026-01-06T09:00:00Z", "2026-01-06T10:30:00Z", "held"),
                                     (won, "2026-01-07T09:00:00Z", "2026-01-07T10:00:00Z", "planned"),
                                     (won, "2026-01-07T09:00:00Z", "2026-01-07T12:00:00Z", "cancelled"),
                                     (won, "2026-05-07T09:00:00Z", "2026-05-07T12:00:00Z", "planned"),
                                     (lost, "2026-01-06", "2026-01-07", "held")):
        shop.new("meeting", subject="Visit", about=f"opportunity:{deal}", status=status, when={"start": start, "end": end})
    shop.new("task", subject="Quote", about=f"opportunity:{lost}", status="done")
    shop.new("task", subject="Call", about=f"opportunity:{lost}", status="open")
    shop.later(days=5)
    shop.edit(won, stage="won")
    shop.edit(lost, stage="lost")
    with shop.store.read() as tx:
        table = cost_of_sale(tx, lives(tx), shop.clock)
    rows = {row["outcome"]: row for row in table.to_dict("records")}
    assert {name: (row["deals"], row["met"], row["meetings"], row["hours"], row["tasks"]) for name, row in rows.items()} == {
        "won": (1, 1, 2, Decimal("2.50"), 0), "lost": (1, 1, 1, 0, 1), "open": (1, 0, 0, 0, 0)}
    assert set(table["median_hours"]) == {None}
    assert alone


def test_a_stage_is_left_with_what_it_needs_or_without(shop: Shop, mappings: Mapping) -> None:
    with_step = shop.deal("A", "1", stage="qualification", next_step="Call")
    without = shop.deal("B", "1", stage="qualification")
    back = shop.deal("C", None, stage="qualification", next_step="Call")
    given_up = shop.deal("D", "1", stage="qualification")
    shop.later(days=1)
    for deal in (with_step, without, back):
        shop.edit(deal, stage="proposal")
    shop.edit(given_up, stage="lost")
    shop.edit(back, stage="qualification")
    shop.edit(back, stage="won")
    with shop.store.read() as tx:
        table = exits(tx, mappings, {"qualification": ["next_step", "money"]})
        with pytest.raises(ScopeError, match="no stage is called proposed; choose from prospecting"):
            exits(tx, mappings, {"proposed": ["money"]})
        with pytest.raises(ScopeError, match="exit_criteria: no field of opportunity is called mood"):
            exits(tx, mappings, {"proposal": ["mood"]})
    assert [tuple(row.values()) for row in table.to_dict("records")] == [
        ("qualification", "next_step", 4, 3, None, 1), ("qualification", "money", 4, 2, None, 0)]


def test_what_nobody_named_or_filed_is_said_to_be_unknown(shop: Shop, mappings: Mapping) -> None:
    shop.deal("A", "1")
    with shop.store.read() as tx:
        missing = not_known(measured(tx, view(tx), mappings, ForecastSettings()))
        told = measured(tx, view(tx), mappings, ForecastSettings(fit=["industry"], exit_criteria={"proposal": ["money"]}))
    assert [sentence.split(":")[0] for sentence in missing] == ["Stage exit criteria", "Fit", "Cost of sale"]
    assert [sentence.split(":")[0] for sentence in not_known(told)] == ["Cost of sale"]
