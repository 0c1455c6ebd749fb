"""What people say stands beside what the deals say, with its author, for ever."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from sidefeed.forecast import Calendar, EntryError, calls, quotas, submit
from sidefeed.forecast.calls import import_quotas, standing
from sidefeed.forecast.periods import Period
from tests.forecast.shop import Shop

Q1 = Calendar().quarter(2026, 1)


def enter(shop: Shop, amount: str, **more: Any) -> int:
    with shop.store.write() as tx:
        return submit(tx, **{"node": "North", "period": Q1, "amount": amount, "currency": "EUR", "actor": "dana",
                             **more})


def test_the_latest_stands_and_the_earlier_ones_stay(shop: Shop) -> None:
    enter(shop, "100")
    then = shop.later(hours=1)
    shop.later(days=1)
    enter(shop, "120.50", actor="eve")
    enter(shop, "90", kind="call", reason="Two deals rest on one person")
    with shop.store.read() as tx:
        table, before = calls(tx), calls(tx, then)
    assert table["stands"].tolist() == [False, True, True]
    assert {key: row["amount"] for key, row in standing(table, Q1).items()} == {
        ("North", "submission", "EUR"): Decimal("120.50"), ("North", "call", "EUR"): Decimal(90)}
    assert [row["amount"] for row in standing(before, Q1).values()] == [Decimal(100)]
    assert standing(table, Calendar().quarter(2026, 2)) == {}


@pytest.mark.parametrize(("more", "message"), [
    ({"kind": "call"}, "needs a reason"),
    ({"kind": "adjustment", "reason": "  "}, "needs a reason"),
    ({"kind": "guess"}, "choose from submission, call, adjustment"),
    ({"measure": "hope"}, "choose from all"),
    ({"amount": "12.000,50"}, "is no amount"),
    ({"amount": "NaN"}, "is no amount"),
    ({"amount": "Infinity"}, "is no amount"),
    ({"currency": "euro"}, "a currency is a code such as EUR"),
    ({"period": Period("all", None, None)}, "a first and a last day"),
])
def test_what_cannot_be_taken_is_refused_and_nothing_stored(shop: Shop, more: dict[str, Any], message: str) -> None:
    with pytest.raises(EntryError, match=message):
        enter(shop, **{"amount": "1", **more})
    with shop.store.read() as tx:
        assert calls(tx).empty


def quota(shop: Shop, *lines: str) -> tuple[int, int]:
    rows = [dict(zip(("node", "from", "to", "currency", "amount"), line.split(","), strict=True)) for line in lines]
    with shop.store.write() as tx:
        return import_quotas(tx, rows, "ops", ["North"])


def test_a_quota_is_for_its_own_period_and_node(shop: Shop) -> None:
    ann = shop.person("Ann")
    quota(shop, "North,2026-01-01,2026-03-31,EUR,1000", "Ann,2026-01-01,2026-03-31,EUR,400.50",
          "North,2026-01-01,2026-12-31,EUR,5000", "everyone,2026-01-01,2026-03-31,EUR,2000")
    with shop.store.read() as tx:
        assert quotas(tx, Q1) == {("North", "EUR"): 1000, (ann, "EUR"): Decimal("400.50"), ("everyone", "EUR"): 2000}
        assert quotas(tx, Calendar().year(2026)) == {("North", "EUR"): 5000}


@pytest.mark.parametrize(("lines", "message"), [
    (["North,2026-01-01,2026-03-31,EUR,1", "North,2026-03-31,2026-06-30,EUR,1"], "overlap"),
    (["North,2026-01-01,2026-03-31,EUR,1", "North,2026-01-01,2026-03-31,EUR,2"], "overlap"),
    (["West,2026-01-01,2026-03-31,EUR,1"], "no team and no single person is called 'West'"),
    (["North,2026-04-01,2026-03-31,EUR,1"], "in this order"),
    (["North,,2026-03-31,EUR,1"], "a first day"),
    (["North,2026-01-01,2026-03-31,EUR,much"], "is no amount"),
])
def test_a_quota_that_cannot_be_is_refused(shop: Shop, lines: list[str], message: str) -> None:
    with pytest.raises(EntryError, match=message):
        quota(shop, *lines)
    with shop.store.read() as tx:
        assert quotas(tx, Q1) == {}


def test_a_corrected_quota_leaves_the_report_of_that_day(shop: Shop) -> None:
    quota(shop, "North,2026-01-01,2026-03-31,EUR,1000")
    then = shop.later(hours=1)
    shop.later(days=1)
    quota(shop, "North,2026-01-01,2026-03-31,EUR,1500")
    with shop.store.read() as tx:
        assert quotas(tx, Q1, then) == {("North", "EUR"): 1000}
        assert quotas(tx, Q1) == {("North", "EUR"): 1500}
    assert date(2026, 3, 31) == Q1.end
