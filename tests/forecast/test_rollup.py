"""Every deal once, at every level; what people say beside it and never in it; both currencies; the trust stamp."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidefeed.forecast import (
    EVERYONE,
    EntryError,
    Hierarchy,
    Scope,
    ScopeError,
    by_columns,
    deals,
    dispute,
    explain,
    forecast,
    frame,
    rollup,
    stamp,
    stamp_of,
    submit,
    to_bytes,
    totals,
    view,
)
from sidefeed.forecast.calls import import_quotas
from sidefeed.forecast.frames import DEALS, deals_in, total
from sidefeed.forecast.hierarchy import import_memberships
from sidefeed.forecast.rollup import Cells
from sidefeed.forecast.scope import MEASURES
from sidefeed.mapping import Mapping, load
from sidefeed.workspace import tables as t
from tests.forecast import random_deals
from tests.forecast.office import Office
from tests.forecast.shop import Shop, money

MAPPINGS = Path(__file__).resolve().parents[2] / "mappings"
TREE = Hierarchy({"o1": "North", "North": "EMEA", "o2": "EMEA"}, frozenset({"o1", "o2"}))


@pytest.fixture(scope="module")
def mappings() -> Mapping:
    return load(MAPPINGS)


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path)
    yield made
    made.store.close()


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**9), measure=st.sampled_from(["won", "lost", "open", "committed"]))
def test_each_level_is_the_sum_of_the_one_below_and_the_root_is_the_total(seed: int, measure: str) -> None:
    deals = frame(random_deals.here(Random(seed), 9), DEALS)
    scope = Scope(measure, date(2026, 1, 1), date(2026, 6, 30))
    rows = {(row["node"], row["currency"]): row for row in rollup(deals, scope, TREE).to_dict("records")}
    ours = totals(deals, scope)
    assert {code: row[measure] for (node, code), row in rows.items() if node == EVERYONE and row[measure]} == {
        code: amount for code, amount in ours.items() if amount}
    for (node, code), row in rows.items():
        below = [other for (_one, currency), other in rows.items() if other["parent"] == node and currency == code]
        if below and node != EVERYONE:
            assert total(other[measure] for other in below) == row[measure]
            assert sum(other["deals"] for other in below) == row["deals"]
        if row["kind"] in ("person", "team"):
            mine = totals(deals, scope.with_owners(TREE.owners(node)))
            assert row[measure] == mine.get(code, Decimal(0))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**9), huge=st.booleans(), owners=st.sampled_from([None, frozenset({"o1", ""})]))
def test_cells_by_column_by_deal_and_by_change_are_the_same(
    seed: int, huge: bool, owners: frozenset[str] | None
) -> None:
    chance = Random(seed)
    rows = random_deals.here(chance, 9)
    if huge:
        rows[0]["amount"] = Decimal("123456789012345678901234567890.12")
    later = [random_deals.changed(row, chance) for row in rows[2:]]
    first, second = frame(rows, DEALS), frame(later, DEALS)
    scope = Scope("open", date(2026, 1, 1), date(2026, 6, 30), owners)
    one_by_one = Cells(scope)
    for deal in deals_in(first):
        one_by_one.add(deal)
    assert one_by_one.sums == Cells.of(first, scope).sums
    after = {deal.record: deal for deal in deals_in(second)}
    for deal in deals_in(first):
        one_by_one.move(deal, after.get(deal.record))
    nothing = [0, 0, *(Decimal(0) for _ in range(6))]
    assert {key: cell for key, cell in one_by_one.sums.items() if cell != nothing} == {
        key: cell for key, cell in Cells.of(second, scope).sums.items() if cell != nothing}


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**9), measure=st.sampled_from(MEASURES))
def test_groups_sum_to_the_total(seed: int, measure: str) -> None:
    deals = frame(random_deals.here(Random(seed), 9), DEALS)
    scope = Scope(measure)
    for by in (["owner"], ["quarter", "category"], ["node", "month"], ["currency"], ["account", "stage", "status"]):
        table = by_columns(deals, scope, by, tree=TREE)
        for code, amount in totals(deals, scope).items():
            assert total(table.loc[table["currency"] == code, "amount"]) == amount


def test_what_people_say_stands_beside_the_number(shop: Shop, mappings: Mapping) -> None:
    ann = shop.person("Ann")
    shop.deal("Pump", "100", owner=ann, category="commit")
    shop.deal("Valve", "40", owner=ann, stage="won")
    shop.deal("Pipe", "7", category="best_case")
    with shop.store.write() as tx:
        import_memberships(tx, [{"team": "North", "member": "Ann"}], "ops")
        import_quotas(tx, [{"node": "North", "from": "2026-01-01", "to": "2026-03-31", "currency": "EUR",
                            "amount": "540"}], "ops", ["North"])
        about = view(tx, period="2026-Q1")
        for kind, amount, reason in (("submission", "130", ""), ("call", "90", "Pump is shaky"),
                                     ("adjustment", "-10", "Valve may be returned")):
            submit(tx, node="North", period=about.period, amount=amount, currency="EUR", actor="dana", kind=kind,
                   reason=reason)
    rows = {row["name"]: row for row in forecast(shop.store, mappings, about).nodes.to_dict("records")}
    north = rows["North"]
    assert {name: north[name] for name in ("won", "commit", "committed", "open", "submitted", "called", "adjustment",
                                           "adjusted", "quota", "gap", "coverage", "submitted_by")} == {
        "won": 40, "commit": 100, "committed": 140, "open": 100, "submitted": 130, "called": 90, "adjustment": -10,
        "adjusted": 130, "quota": 540, "gap": 500, "coverage": Decimal("0.20"), "submitted_by": "dana"}
    assert north["reason"] == "Pump is shaky; Valve may be returned"
    assert rows["Everyone"]["committed"] == 140
    assert rows["Nobody"]["best_case"] == 7
    assert list(rows) == ["Everyone", "North", "Ann", "Nobody"]


def test_a_passed_quota_has_no_gap_to_cover(shop: Shop, mappings: Mapping) -> None:
    shop.deal("Pump", "100", stage="won")
    with shop.store.write() as tx:
        import_quotas(tx, [{"node": EVERYONE, "from": "2026-01-01", "to": "2026-03-31", "currency": "EUR",
                            "amount": "80"}], "ops", [])
        about = view(tx, period="2026-Q1")
    row = forecast(shop.store, mappings, about).nodes.iloc[0]
    assert (row["gap"], row["coverage"]) == (Decimal(-20), None)


def test_a_report_of_a_past_day_is_the_report_of_that_day(shop: Shop, mappings: Mapping) -> None:
    ann, bob = shop.person("Ann"), shop.person("Bob")
    with shop.store.write() as tx:
        import_memberships(tx, [{"team": "North", "member": "Ann"}, {"team": "South", "member": "Bob"}], "ops")
    shop.deal("Pump", "100", owner=ann, category="commit")
    shop.deal("Pipe", "30", owner=bob, category="commit")
    with shop.store.read() as tx:
        about = view(tx, period="2026-Q1", node="North")
    reported = forecast(shop.store, mappings, about)
    then = shop.clock
    shop.later(days=3)
    with shop.store.write() as tx:
        import_memberships(tx, [{"team": "South", "member": "Ann"}, {"team": "South", "member": "Bob"}], "ops")
    shop.later(days=3)
    again = forecast(shop.store, mappings, about.at(then))
    assert to_bytes(again.nodes) == to_bytes(reported.nodes)
    assert again.number == {"EUR": 100}
    with shop.store.read() as tx:
        south = view(tx, period="2026-Q1", node="South")
        scopes = south.scopes(tx, then)
        assert replace(south, teams="now").at(then).scope(tx).owners == {ann, bob}
    found = explain(shop.store, then, shop.clock, scopes)
    assert [(row["step"], row["amount"]) for row in found.steps.to_dict("records") if row["amount"]] == [
        ("start", 30), ("owner in", 100), ("end", 130)]
    assert found.deals["source"].tolist() == ["team"]


def test_both_currencies_are_shown_and_a_missing_rate_is_said(shop: Shop, mappings: Mapping) -> None:
    shop.deal("Pump", "100", currency="USD", category="commit")
    shop.deal("Valve", "50", currency="EUR", stage="won")
    shop.deal("Pipe", "7", currency="XTS", category="commit")
    with shop.store.write() as tx:
        tx.connection.execute(t.fx_rate.insert(), {"kind": "plan", "currency": "USD", "into": "EUR", "rate": "0.9",
                                                   "known_from": "2026-01-01T00:00:00.000Z", "actor": "ops"})
        about = view(tx, period="2026-Q1", into="EUR")
    found = forecast(shop.store, mappings, about)
    assert found.number == {"EUR": Decimal("140.00"), "XTS": 7}
    assert [(row["currency"], row["amount"], row["into"], row["converted"], row["rate_kind"])
            for row in found.rated.to_dict("records")] == [
        ("EUR", 50, "EUR", 50, "same"), ("USD", 100, "EUR", Decimal("90.00"), "plan"), ("XTS", 7, "XTS", 7, "none")]
    assert found.problems[0].startswith("no plan rate from XTS into EUR: 1 deal stays in XTS")


def test_what_makes_a_number_small_is_said(shop: Shop, mappings: Mapping) -> None:
    shop.deal("Pump", None)
    shop.deal("Valve", "5", None)
    shop.deal("Pipe", "-3")
    with shop.store.read() as tx:
        about = view(tx, period="2026-Q1", measure="open")
    found = forecast(shop.store, mappings, about)
    assert found.number == {"EUR": -3}
    assert found.problems == ("1 open and won deals have no amount and count nothing.",
                              "1 open deals have no closing date and count in no period.",
                              "1 deals have an amount below zero, and are subtracted.")


def test_no_deals_at_all_is_a_forecast_of_nothing(shop: Shop, mappings: Mapping) -> None:
    found = forecast(shop.store, mappings)
    assert (found.number, found.nodes.empty, found.problems) == ({}, True, ())
    assert "never read" in found.stamp.sentence()


def test_a_dispute_opens_the_range_it_could_end_in(office: Office) -> None:
    deal = office.deal(office.a, "Pump", "100")
    office.deal(office.a, "Valve", "10")
    office.sync()
    other = next(id for id, row in office.b.rows["Deal"].items() if row.values["Name"] == "Pump")
    office.a.person_edits("Deal", deal, {"Amount": "130"})
    office.b.person_edits("Deal", other, {"Amount": "90", "Stage": "W"})
    office.sync()
    with office.store.read() as tx:
        found = forecast(office.store, office.mappings, view(tx, measure="open"))
        settled = forecast(office.store, office.mappings, view(tx, measure="won"))
    row = found.stamp.range.iloc[0]
    assert (row["low"], row["total"], row["high"], row["deals"]) == (10, 10, 10, 0)
    row = settled.stamp.range.iloc[0]
    assert (row["low"], row["total"], row["high"], row["deals"]) == (90, 130, 130, 1)
    assert len(settled.stamp.disputed) == 1
    assert "1 deal in conflict (90.00 to 130.00 EUR)" in settled.stamp.sentence()


def test_disputes_that_were_kept_give_the_same_stamp_without_the_other_deals(office: Office) -> None:
    deal = office.deal(office.a, "Pump", "100")
    office.sync()
    office.a.person_edits("Deal", deal, {"Amount": "130"})
    office.b.person_edits("Deal", next(iter(office.b.rows["Deal"])), {"Amount": "90"})
    office.sync()
    scope = Scope("open")
    with office.store.read() as tx:
        table = deals(tx)
        kept = [found for state in tx.conflicted("opportunity") if (found := dispute(state, {})) is not None]
        one = stamp(tx, office.mappings, table, scope)
        other = stamp_of(tx, office.mappings, totals(table, scope), kept, scope)
    assert [to_bytes(getattr(one, part)) for part in ("range", "sources")] == [
        to_bytes(getattr(other, part)) for part in ("range", "sources")]
    assert one.disputed == other.disputed == (kept[0].deal.record,)
    assert {way.amount for way in kept[0].ways} == {90, 130}


def test_a_system_that_was_not_read_for_hours_is_late(office: Office) -> None:
    office.deal(office.a, "Pump", "100")
    office.sync()
    assert forecast(office.store, office.mappings).stamp.late == []
    office.world.tick += int(timedelta(hours=3).total_seconds())
    office.sync("a")
    found = forecast(office.store, office.mappings).stamp
    assert found.late == ["b"]
    assert "late: b" in found.sentence()
    assert {row["what"]: (row["count"], row["of"], row["percent"]) for row in found.capture.to_dict("records")}[
        "open and won deals that stand in b"] == (1, 1, None)


@pytest.mark.parametrize(("words", "error", "message"), [
    ({"as_of": "2031-01-01"}, EntryError, "lies ahead"),
    ({"as_of": "monday"}, EntryError, "is no day; write 2026-03-31"),
    ({"node": "West"}, ScopeError, "no team and no single person"),
    ({"measure": "hope"}, ScopeError, "choose from all"),
    ({"into": "euro"}, ScopeError, "a code such as EUR"),
    ({"teams": "later"}, ScopeError, "`then` or of `now`"),
    ({"period": "Q1"}, ScopeError, "Write one of"),
])
def test_words_that_mean_nothing_are_refused_with_the_choices(
    shop: Shop, words: dict[str, Any], error: type[Exception], message: str
) -> None:
    with shop.store.read() as tx, pytest.raises(error, match=message):
        view(tx, **words)


def test_the_end_of_a_day_is_where_the_company_is(shop: Shop) -> None:
    with shop.store.read() as tx:
        about = view(tx, as_of="2026-01-02", zone="America/New_York")
    assert about.as_of is not None
    assert about.as_of.isoformat() == "2026-01-03T04:59:59.999000+00:00"
    assert money(None) is None
