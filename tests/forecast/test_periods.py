"""Periods by name, in every calendar, without a gap and without an overlap."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidefeed.forecast import Calendar, Period, ScopeError

TODAY = date(2026, 11, 27)
CALENDARS = [Calendar(), Calendar(2), Calendar(10), Calendar(2, "4-4-5"), Calendar(1, "5-4-4", "sunday", "last"),
             Calendar(7, "4-5-4", "friday")]


@pytest.mark.parametrize(("calendar", "name", "start", "end"), [
    (Calendar(), "2026", "2026-01-01", "2026-12-31"),
    (Calendar(), "FY2026", "2026-01-01", "2026-12-31"),
    (Calendar(), "2026-Q4", "2026-10-01", "2026-12-31"),
    (Calendar(), "2026-02", "2026-02-01", "2026-02-28"),
    (Calendar(), "this-quarter", "2026-10-01", "2026-12-31"),
    (Calendar(), "last-month", "2026-10-01", "2026-10-31"),
    (Calendar(), "next-year", "2027-01-01", "2027-12-31"),
    (Calendar(), "2026-01-15..2026-02-28", "2026-01-15", "2026-02-28"),
    (Calendar(2), "2026", "2025-02-01", "2026-01-31"),
    (Calendar(2), "2026-Q1", "2025-02-01", "2025-04-30"),
    (Calendar(2), "2026-P12", "2026-01-01", "2026-01-31"),
    # The National Retail Federation's 4-5-4 years end on the Saturday nearest to 31 January; fiscal 2023 there is
    # named after the year it begins in, here after the year it ends in, and had 53 weeks.
    (Calendar(2, "4-5-4"), "2023", "2022-01-30", "2023-01-28"),
    (Calendar(2, "4-5-4"), "2024", "2023-01-29", "2024-02-03"),
    (Calendar(2, "4-5-4"), "2024-P02", "2023-02-26", "2023-04-01"),
])
def test_a_name_is_its_days(calendar: Calendar, name: str, start: str, end: str) -> None:
    found = calendar.parse(name, TODAY)
    assert (found.start, found.end) == (date.fromisoformat(start), date.fromisoformat(end))


@settings(max_examples=60, deadline=None)
@given(calendar=st.sampled_from(CALENDARS), day=st.dates(date(1990, 1, 1), date(2090, 1, 1)))
def test_every_day_is_in_one_month_of_one_quarter_of_one_year(calendar: Calendar, day: date) -> None:
    month, quarter, year = (calendar.of(day, kind) for kind in ("month", "quarter", "year"))
    for period in (month, quarter, year):
        assert period.start and period.end and period.start <= day <= period.end
        assert calendar.parse(period.name, day) == period
        after = calendar.after(period)
        assert after.start == period.end + timedelta(days=1)
        assert calendar.before(after) == period
    assert year.start <= quarter.start <= month.start and month.end <= quarter.end <= year.end  # type: ignore[operator]
    assert year.days in ((364, 371) if calendar.weeks else (365, 366))


@pytest.mark.parametrize("name", ["Q1", "2026-Q5", "2026-P13", "2026-13", "soon", "2026-02-30..2026-03-01",
                                  "2026-03-01..2026-02-01"])
def test_what_is_no_period_is_refused_with_the_forms_there_are(name: str) -> None:
    with pytest.raises(ScopeError, match=r"Write one of: 2026, 2026-Q1"):
        Calendar().parse(name, TODAY)


def test_days_beside_days_and_nothing_beside_everything() -> None:
    ten = Calendar().parse("2026-01-05..2026-01-14", TODAY)
    assert Calendar().before(ten) == Period("2025-12-26..2026-01-04", date(2025, 12, 26), date(2026, 1, 4))
    with pytest.raises(ScopeError, match="no limits"):
        Calendar().before(Calendar().parse("all", TODAY))
