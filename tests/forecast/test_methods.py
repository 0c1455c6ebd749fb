"""Methods see nothing of the future, are tested on the past, and say how little they rest on."""

from __future__ import annotations

import sys
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidefeed.forecast import Calendar, Scope, deals_as_of
from sidefeed.forecast.accuracy import assess
from sidefeed.forecast.backtest import accuracy, backtest, calibration, finished
from sidefeed.forecast.frames import deals_in
from sidefeed.forecast.history import end_of
from sidefeed.forecast.lives import Life, life, lives
from sidefeed.forecast.methods import METHODS, Curves, Known, cut, pace, survival
from sidefeed.forecast.survival import Case, incidence, kaplan_meier, median
from sidefeed.forecast.view import view
from tests.forecast import sales_history
from tests.forecast.sales_history import lived
from tests.forecast.shop import Shop, money
from tests.forecast.test_time_travel import _act

CALENDAR = Calendar()
WON = Scope("won")


def test_kaplan_meier_is_the_textbook_table() -> None:
    """Six weeks of remission under 6-MP: the first rows of Freireich et al. (1963), as every textbook prints them."""
    ended = (6, 6, 6, 7, 10, 13, 16, 22, 23)
    going = (6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35)
    table = kaplan_meier([*(Case(days, "relapse") for days in ended), *(Case(days) for days in going)])
    assert [(row["days"], row["at_risk"], row["ended"], str(row["remaining"])) for row in table.to_dict("records")] == [
        (6, 21, 3, "0.8571"), (7, 17, 1, "0.8067"), (10, 15, 1, "0.7529"), (13, 12, 1, "0.6902"), (16, 11, 1, "0.6275"),
        (22, 7, 1, "0.5378"), (23, 6, 1, "0.4482")]
    assert median([*(Case(days, "relapse") for days in ended), *(Case(days) for days in going)]) == 23
    assert median([Case(5), Case(9)]) is None


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), st.sampled_from(["won", "lost", ""])), max_size=25))
def test_the_ways_to_end_and_what_remains_are_the_whole(told: list[tuple[int, str]]) -> None:
    cases = [Case(days, end) for days, end in told]
    won, lost = incidence(cases, "won"), incidence(cases, "lost")
    for number, remaining in enumerate(won.remaining):
        assert abs(won.reached[number] + lost.reached[number] + remaining - 1) < Fraction(1, 10**9)
    assert 0 <= won.chance(3, 5) <= 1


def test_a_life_tells_stages_and_the_end() -> None:
    one = lived("a", ("2026-01-01", "proposal", "10", "2026-03-01"), ("2026-01-11", "negotiation", "10", "2026-03-01"),
                ("2026-01-31", "won", "12", "2026-01-31"))
    assert [(stage, entered.isoformat(), left and left.isoformat()) for stage, entered, left, _deal in one.stages()] == [
        ("proposal", "2026-01-01", "2026-01-11"), ("negotiation", "2026-01-11", "2026-01-31")]
    assert one.outcome() == ("won", date(2026, 1, 31))
    before = one.until(date(2026, 1, 15))
    assert before is not None and before.outcome() is None and len(before.steps) == 2
    assert one.until(date(2025, 1, 1)) is None


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_lives_say_of_each_day_what_the_log_says(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    chance = Random(seed)
    shop = Shop(Path(tmp_path_factory.mktemp("lives")) / "workspace.db")
    try:
        people, ids = [shop.person(name) for name in ("Ann", "Bob")], list[str]()
        for _ in range(12):
            _act(shop, chance, ids, people)
            shop.later(hours=chance.choice((1, 30)))
        with shop.store.read() as tx:
            found = lives(tx)
        for days in range(-1, 20, 3):
            day = date(2026, 1, 5) + timedelta(days=days)
            told = {deal.record: deal for one in found if (deal := one.at(day)) is not None}
            log = {deal.record: deal for deal in deals_in(deals_as_of(shop.store, end_of(day), axis="happened"))}
            assert {id: (deal.amount, deal.status) for id, deal in told.items()} == {
                id: (deal.amount, deal.status) for id, deal in log.items()}
    finally:
        shop.close()


def history(chance: Random, days: int = 800) -> list[Life]:
    found = []
    for number in range(200):
        born = date(2024, 1, 1) + timedelta(days=chance.randrange(days))
        close = born + timedelta(days=chance.randrange(10, 90))
        steps = [(born.isoformat(), "proposal", str(chance.randrange(10, 100)), close.isoformat())]
        if close < date(2026, 3, 1):
            steps.append((close.isoformat(), chance.choice(("won", "lost")), steps[0][2], close.isoformat()))
        found.append(lived(f"d{number}", *steps))
    return found


def test_no_method_sees_the_future() -> None:
    """What a method says on a day is the same whatever happened afterwards."""
    chance = Random(3)
    whole = history(chance)
    day = date(2025, 11, 20)
    period = CALENDAR.of(day, "quarter")
    torn = [life(one.record, [step for step in one.steps if step.day <= day]) for one in whole if one.born <= day]
    for method in METHODS.values():
        assert method(Known(day, period, WON, "EUR", CALENDAR, cut(whole, day))) == method(
            Known(day, period, WON, "EUR", CALENDAR, torn))


def test_pace_adds_what_earlier_periods_won_from_here() -> None:
    found = [lived("a", ("2025-01-01", "won", "40", "2025-02-01")),
             lived("b", ("2025-03-25", "won", "60", "2025-03-25")),
             lived("c", ("2025-04-10", "won", "30", "2025-04-10"))]
    known = Known(date(2025, 6, 15), CALENDAR.quarter(2025, 2), WON, "EUR", CALENDAR, found)
    said = pace(known)
    assert (said.amount, said.why) == (Decimal("90.00"), "from 1 earlier periods")


def test_survival_counts_an_open_deal_by_what_happened_to_those_like_it() -> None:
    """Ten deals were decided forty days after they came: half won. One of 100 has stood for ten days."""
    found = [lived(f"d{number}", ("2024-12-01", "proposal", "10", "2025-01-10"),
                   ("2025-01-10", "won" if number % 2 else "lost", "10", "2025-01-10")) for number in range(10)]
    found.append(lived("open", ("2025-02-10", "proposal", "100", "2025-03-20")))
    known = Known(date(2025, 2, 20), CALENDAR.quarter(2025, 1), WON, "EUR", CALENDAR, found)
    said = survival(known)
    assert said.amount == Decimal("100.00")  # 50 are won already, and half of 100
    assert said.low is not None and said.high is not None and said.low < said.amount < said.high
    early = Known(date(2025, 2, 20), CALENDAR.quarter(2025, 1), WON, "EUR", CALENDAR, found[:5])
    assert survival(early).why == "fewer than 10 deals have been decided so far"
    assert Curves.of(found, date(2025, 2, 20)).chance(found[-1], date(2025, 2, 20), 5) == 0


def test_errors_are_weighed_by_what_was_won_and_few_periods_are_counted_only() -> None:
    found = history(Random(5))
    periods = finished(found, CALENDAR, "quarter", date(2026, 2, 1))
    assert [period.name for period in periods] == ["2024-Q2", "2024-Q3", "2024-Q4", "2025-Q1", "2025-Q2", "2025-Q3", "2025-Q4"]
    whole = backtest(found, periods, WON, "EUR", CALENDAR, horizons=(30,), today=date(2026, 2, 1))
    rows = {row["method"]: row for row in whole.accuracy.to_dict("records")}
    tests = [row for row in whole.tests.to_dict("records") if row["method"] == "pace"]
    by_hand = sum(abs(row["predicted"] - row["actual"]) for row in tests) * 100 / sum(row["actual"] for row in tests)
    assert rows["pace"]["wape"] == by_hand.quantize(Decimal("0.1"))
    assert rows["pace"]["last_period_wape"] == rows["last period"]["wape"] is not None
    assert rows["submission"]["periods"] == 0
    few = accuracy(whole.tests[whole.tests["period"].isin(["2025-Q3", "2025-Q4"])])
    assert set(few["wape"]) == {None}
    assert few["periods"].max() == 2


def test_what_people_call_commit_is_held_against_what_became_of_it() -> None:
    found = [life(f"d{number}", [
        *(step._replace(deal=step.deal._replace(category="commit")) if step.deal and step.deal.status == "open" else step
          for step in lived(f"d{number}", ("2025-01-05", "proposal", "10", "2025-03-01"),
                            ("2025-03-20", "won" if number < 9 else "lost", "10", "2025-03-20")).steps)])
        for number in range(12)]
    table = calibration(found, [CALENDAR.quarter(2025, 1)], WON, horizons=(30, 7))
    assert [(row["category"], row["days_before"], row["deals"], row["won"], row["percent"])
            for row in table.to_dict("records")] == [("commit", 30, 12, 9, Decimal(75))]


def test_a_workspace_is_assessed_with_what_was_submitted(shop: Shop) -> None:
    from sidefeed.forecast import submit

    for quarter in range(6):
        one = shop.deal(f"Deal {quarter}", "100", f"2026-{quarter * 3 + 2:02d}-20" if quarter < 4 else
                        f"2027-{quarter * 3 - 10:02d}-20")
        with shop.store.write() as tx:
            period = CALENDAR.of(shop.clock.date(), "quarter")
            submit(tx, node="everyone", period=period, amount="110", currency="EUR", actor="dana")
        shop.later(days=45)
        shop.edit(one, stage="won", close_date=shop.clock.date().isoformat(), money=money("100"))
        shop.later(days=46)
    with shop.store.read() as tx:
        found = assess(tx, view(tx), CALENDAR, horizons=(30,))
    rows = {row["method"]: row for row in found.accuracy.to_dict("records")}
    assert len(found.tested) == 4
    assert (rows["submission"]["periods"], rows["submission"]["bias"]) == (4, Decimal("10.0"))
    assert rows["last period"]["wape"] == Decimal("0.0")
    assert {row["method"] for row in found.predicted.to_dict("records")} == set(METHODS)


@pytest.mark.slow
def test_the_methods_on_real_deals(reference_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """8,300 deals of a computer-hardware company by month: what each method was worth, said as it is."""
    found = sales_history.read(reference_data / "crm")
    months = [CALENDAR.month(2017, number) for number in range(4, 13)]
    made = backtest(found, months, WON, "USD", CALENDAR, horizons=(21, 14, 7), today=date(2017, 12, 31))
    rows = {(row["method"], row["days_before"]): row for row in made.accuracy.to_dict("records")}
    with capsys.disabled():
        sys.stdout.write(f"\nWon by month, {len(found)} deals, {len(months)} months; WAPE (bias) in percent\n")
        for method in METHODS:
            if rows[method, 21]["periods"]:
                sys.stdout.write(f"  {method:<12}" + "".join(
                    f"  {days:>2} days before: {rows[method, days]['wape']:>5} ({rows[method, days]['bias']:+})"
                    for days in (21, 14, 7)) + (
                    "" if rows[method, 21]["inside"] is None else "  intervals that held: " + ", ".join(
                        f"{rows[method, days]['inside']} of {rows[method, days]['intervals']}" for days in (21, 14, 7))
                    ) + "\n")
    for (method, _days), row in rows.items():
        assert row["periods"] == (0 if method == "submission" else 9)
    for days in (21, 14, 7):
        assert rows["survival", days]["wape"] < rows["pace", days]["wape"] < rows["last period", days]["wape"]
        assert rows["survival", days]["coverage"] > 70
    assert rows["survival", 21]["wape"] < 25


@pytest.mark.slow
def test_the_interval_holds_about_eight_of_ten_times() -> None:
    """Worlds whose quarters are good or bad for all deals at once, which deals taken one by one cannot know."""
    given = held = 0
    for seed in range(12):
        found, chance = [], Random(seed)
        luck = {(year, quarter): chance.uniform(0.25, 0.75) for year in (2023, 2024, 2025, 2026) for quarter in range(4)}
        for number in range(260):
            born = date(2023, 1, 1) + timedelta(days=chance.randrange(1060))
            close = born + timedelta(days=chance.randrange(10, 80))
            end = "won" if chance.random() < luck[close.year, (close.month - 1) // 3] else "lost"
            worth = str(chance.randrange(10, 200))
            found.append(lived(f"d{number}", (born.isoformat(), "proposal", worth, close.isoformat()),
                               (close.isoformat(), end, worth, close.isoformat())))
        periods = finished(found, CALENDAR, "quarter", date(2026, 1, 5))[3:]
        table = backtest(found, periods, WON, "EUR", CALENDAR, horizons=(30,), today=date(2026, 1, 5)).accuracy
        row = next(one for one in table.to_dict("records") if one["method"] == "survival")
        given, held = given + row["intervals"], held + row["inside"]
    assert given >= 50
    assert 0.7 <= held / given <= 0.95, f"{held} of {given}"
