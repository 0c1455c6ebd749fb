"""Measures rest on all deals, also those that have not ended; they name no person and say when they rest on too little."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

from sidefeed.forecast import deals_as_of
from sidefeed.forecast.frames import frame
from sidefeed.forecast.lives import lives
from sidefeed.forecast.measures import QUALITY, of_people, pushes, quality, reasons, stage_ages, typing_saved
from tests.forecast.office import Office
from tests.forecast.sales_history import lived
from tests.forecast.shop import Shop

TODAY = date(2026, 3, 1)


def test_a_stage_is_as_long_as_those_that_are_still_in_it_say() -> None:
    found = [lived("a", ("2026-01-01", "proposal", "1", "2026-03-01"), ("2026-01-11", "won", "1", "2026-01-11")),
             lived("b", ("2026-01-01", "proposal", "1", "2026-03-01"), ("2026-01-21", "negotiation", "1", "2026-03-01"),
                   ("2026-02-01", "lost", "1", "2026-02-01")),
             lived("c", ("2026-01-15", "proposal", "1", "2026-03-01"))]
    rows = {row["stage"]: row for row in stage_ages(found, TODAY).to_dict("records")}
    assert {name: rows["proposal"][name] for name in rows["proposal"]} == {
        "stage": "proposal", "stays": 3, "still": 1, "median_days": 20, "oldest_days": 45, "to_won": 1, "to_lost": 1}
    assert rows["negotiation"]["median_days"] == 11
    assert stage_ages(found, TODAY, frozenset({"nobody else"})).empty


def test_a_push_is_a_closing_date_moved_back_and_nothing_else() -> None:
    found = [lived("a", ("2026-01-01", "proposal", "1", "2026-02-01"), ("2026-01-11", "proposal", "1", "2026-03-01"),
                   ("2026-01-20", "proposal", "1", "2026-02-20"), ("2026-02-20", "proposal", "1", "2026-04-01")),
             lived("b", ("2026-01-01", "proposal", "1", "2026-02-01"), ("2026-02-01", "lost", "1", "2026-03-01"))]
    assert [(row["record"], row["pushes"], row["pushed_days"], row["first_close"].date(), row["close_date"].date())
            for row in pushes(found).to_dict("records")] == [("a", 2, 68, date(2026, 2, 1), date(2026, 4, 1))]


def test_next_steps_age_and_few_deals_are_counted_only(shop: Shop) -> None:
    ann = shop.person("Ann")
    for number in range(12):
        shop.deal(f"Deal {number}", "1", "2026-01-10" if number < 3 else "2026-06-01", owner=ann,
                  next_step="Call" if number < 6 else None)
    shop.later(days=20)
    deals = deals_as_of(shop.store)
    fresh = deals.loc[deals["name"] == "Deal 0", "record"].iloc[0]
    shop.edit(fresh, next_step="Call again")
    with shop.store.read() as tx:
        found = lives(tx)
        mine = quality(tx, found, deals_as_of(shop.store), shop.clock.date(), frozenset({ann}), qualification=["account"])
        nobody = quality(tx, found, deals_as_of(shop.store), shop.clock.date(), frozenset({"x"}))
    rows = {row["measure"]: (row["value"], row["deals"]) for row in mine.to_dict("records")}
    assert rows["open deals with a next step"] == (50, 12)
    assert rows["open deals whose next step was touched in two weeks"] == (8, 12)
    assert rows["open deals whose closing date is not in the past"] == (75, 12)
    assert rows["open deals with account"] == (0, 12)
    assert rows["median days to won"] == (None, 0)
    assert {row["value"] for row in nobody.to_dict("records") if row["unit"] == "%"} == {None}


def test_reasons_are_counted_also_those_nobody_gave(shop: Shop) -> None:
    for number, (stage, why) in enumerate((("won", "price"), ("lost", "price"), ("lost", None), ("lost", "price"))):
        deal = shop.deal(f"Deal {number}", "1", close_reason=why)
        shop.later(days=1)
        shop.edit(deal, stage=stage)
    with shop.store.read() as tx:
        table = reasons(tx, lives(tx), "close_reason")
    assert [tuple(row.values()) for row in table.to_dict("records")] == [
        ("lost", "price", 2), ("lost", "not given", 1), ("won", "price", 1)]


def test_a_team_sees_the_median_of_its_people_and_below_three_nothing(shop: Shop) -> None:
    people = [shop.person(name) for name in ("Ann", "Bob", "Cara")]
    start = shop.clock.date()
    for person, days in zip(people, (10, 5, 40), strict=True):
        shop.deal("Deal", "1", owner=person)
        shop.later(days=days)
    with shop.store.read() as tx:
        found = lives(tx)
    team = of_people(people, lambda owners: stage_ages(found, start + timedelta(days=60), owners), "oldest_days", "stage")
    assert [tuple(row.values()) for row in team.to_dict("records")] == [("proposal", Decimal(50), 3)]
    two = of_people(people[:2], lambda owners: stage_ages(found, start + timedelta(days=60), owners), "oldest_days",
                    "stage")
    assert two["median"].tolist() == [None]
    share = of_people(people, lambda _owners: frame([["share", Decimal(40), "%", 12]], QUALITY), "value", "measure")
    assert [tuple(row.values()) for row in share.to_dict("records")] == [("share", Decimal(40), "%", 3)]


def test_typing_saved_is_what_syncs_wrote(tmp_path: Path) -> None:
    office = Office(tmp_path)
    for number in range(30):
        office.deal(office.a, f"Deal {number}", "100")
    office.sync()
    with office.store.read() as tx:
        _what, hours, unit, values = typing_saved(tx)
    assert (hours, unit, values) == (Decimal("0.3"), "hours", 150)
    office.store.close()
