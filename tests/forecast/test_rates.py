"""Each deal at the right rate of the right day, rounded once; no rate is a statement and never a guess."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from sidefeed.forecast import EntryError, Scope, deals_as_of, totals
from sidefeed.forecast.frames import Deal, total
from sidefeed.forecast.rates import Rates, bank_rate, converted, import_rates, rates
from tests.forecast.shop import Shop

TODAY = date(2024, 6, 3)
OPEN = Deal("r", "Pump", None, None, None, "open", "pipeline", date(2024, 9, 1), "USD", Decimal(100))
WON = OPEN._replace(status="won", category="closed", close_date=date(2024, 3, 10))


def enter(shop: Shop, *lines: str) -> tuple[int, int]:
    rows = [dict(zip(("kind", "currency", "into", "rate", "from", "to"), line.split(","), strict=False))
            for line in lines]
    with shop.store.write() as tx:
        return import_rates(tx, rows, "ops")


def test_the_banks_rate_of_a_sunday_is_fridays() -> None:
    # https://www.ecb.europa.eu/stats/policy_and_exchange_rates: 1 EUR = 1.0932 USD on Friday 8 March 2024
    found = bank_rate("EUR", "USD", date(2024, 3, 10))
    assert found == (Decimal("1.0932"), "bank", date(2024, 3, 8))
    assert bank_rate("XXX", "USD", date(2024, 3, 10)) is None
    assert bank_rate("RUB", "EUR", date(2024, 3, 10)) is None  # not quoted since 2022


def test_decided_deals_have_the_rate_of_their_day_and_open_ones_the_plans(shop: Shop) -> None:
    enter(shop, "plan,USD,EUR,0.90,2024-01-01,2024-12-31")
    with shop.store.read() as tx:
        found = rates(tx, "EUR", TODAY)
    assert found(Decimal("100.10"), "USD", OPEN) == ("EUR", Decimal("90.09"))
    assert found(Decimal("100.10"), "USD", WON) == ("EUR", Decimal("91.57"))  # / 1.0932
    assert found(Decimal("1.005"), "EUR", WON) == ("EUR", Decimal("1.005"))
    assert found.problems() == []


def test_an_own_dated_rate_goes_before_the_banks(shop: Shop) -> None:
    enter(shop, "dated,USD,EUR,0.5,2024-03-01,2024-03-31")
    with shop.store.read() as tx:
        assert rates(tx, "EUR", TODAY)(Decimal(100), "USD", WON) == ("EUR", Decimal("50.00"))


def test_a_currency_without_decimals_is_rounded_to_whole_units() -> None:
    found = Rates("JPY", TODAY, [{"kind": "plan", "currency": "USD", "into": "JPY", "rate": "150.505",
                                  "valid_from": None, "valid_to": None}])
    assert found(Decimal("100.01"), "USD", OPEN) == ("JPY", Decimal(15052))


def test_without_a_rate_a_deal_stays_beside_the_total_and_is_named() -> None:
    found = Rates("EUR", TODAY)
    assert found(Decimal(7), "RUB", OPEN) == ("RUB", Decimal(7))
    assert found(Decimal(7), "no currency", OPEN) == ("no currency", Decimal(7))
    assert [text.split(":")[0] for text in found.problems()] == [
        "no plan rate from RUB into EUR", "1 deal names no currency and stays beside the total. Set default_currency in "
        "the mapping, or fill it in."]


def test_a_day_that_the_banks_data_do_not_reach_is_said() -> None:
    """The rates age with the installed package: the latest ones are used for a while, and the report says so."""
    from currency_converter import CurrencyConverter

    from sidefeed.forecast.rates import STALE

    last = CurrencyConverter(decimal=True).bounds["USD"].last_date
    soon, late = last + STALE / 2, last + STALE * 2
    found = Rates("EUR", soon)
    found(Decimal(100), "USD", WON._replace(close_date=soon))
    assert [text[:35] for text in found.problems()] == ["the bank's rates known here end on "]
    gone = Rates("EUR", late)
    assert gone(Decimal(100), "USD", WON._replace(close_date=late)) == ("USD", Decimal(100))
    assert gone.problems()[0].startswith("no dated rate from USD into EUR")


@pytest.mark.parametrize(("line", "message"), [
    ("spot,USD,EUR,0.9", "kind is plan .* or dated"),
    ("plan,usd,EUR,0.9", "currency is a currency code"),
    ("plan,USD,EUR,0", "a number above zero"),
    ("plan,USD,EUR,NaN", "a number above zero"),
    ("plan,USD,EUR,\"0,9\"", "a number above zero"),
    ("plan,USD,EUR,0.9,yesterday", "is no date"),
])
def test_what_is_no_rate_is_refused_by_its_line(shop: Shop, line: str, message: str) -> None:
    with pytest.raises(EntryError, match=f"line 2.*{message}"):
        enter(shop, line)


def test_two_rates_for_one_day_are_refused(shop: Shop) -> None:
    with pytest.raises(EntryError, match=r"hold on one day: 0\.9 and 0\.8"):
        enter(shop, "plan,USD,EUR,0.9,2024-01-01,2024-06-30", "plan,USD,EUR,0.8,2024-06-30,")


def test_both_amounts_are_shown_and_sum_to_the_total(shop: Shop) -> None:
    for amount in ("0.01", "0.02", "33.33", None):
        shop.deal("Pump", amount, "2026-03-01", currency="USD")
    shop.deal("Valve", "10", currency="EUR")
    found = Rates("EUR", TODAY, [{"kind": "plan", "currency": "USD", "into": "EUR", "rate": "0.9", "valid_from": None,
                                  "valid_to": None}])
    deals = deals_as_of(shop.store)
    table = converted(deals, found)
    assert totals(deals, Scope("open", convert=found)) == {"EUR": total(table["converted"])}
    assert {row["rate_kind"] for row in table.to_dict("records") if row["currency"] == "USD"} == {"plan"}
    assert total(table["amount"]) == Decimal("43.36")
