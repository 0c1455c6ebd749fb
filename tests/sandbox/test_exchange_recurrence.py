"""Recurrence against an independent expander: every rule, written as RRULE, means the same dates to dateutil."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

from dateutil.rrule import rrulestr
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.exchange import recurrence
from sandbox.exchange.calendar import Series
from sandbox.exchange.icalendar import rrule
from sandbox.exchange.recurrence import GROUPS, INDEXES, MONTHS, WEEK, Recurrence
from sandbox.exchange.store import Item, Override
from sandbox.exchange.timezones import Zone

ZONES = ("Europe/Berlin", "America/New_York", "Australia/Sydney", "Asia/Kolkata", "America/Sao_Paulo", "Africa/Cairo")
days = st.dates(date(2024, 1, 1), date(2027, 12, 31))
one_day = st.sampled_from([*WEEK, *GROUPS]).map(lambda name: (name,))
bounds = st.one_of(
    st.just({}),
    st.integers(1, 60).map(lambda count: {"number": count}),
    st.integers(0, 900).map(lambda span: {"span": span}),
)


@st.composite
def rules(draw: st.DrawFn) -> Recurrence:
    kind = draw(st.sampled_from(list(recurrence.PATTERNS)))
    given: dict[str, object] = {"pattern": kind, "start": draw(days)}
    if "Yearly" not in kind:
        given["interval"] = draw(st.integers(1, 12))
    if kind.startswith("Absolute"):
        given["day_of_month"] = draw(st.integers(1, 31))
    if kind.startswith("Relative"):
        given |= {"days": draw(one_day), "index": draw(st.sampled_from(INDEXES))}
    if "Yearly" in kind:
        given["month"] = draw(st.sampled_from(MONTHS))
    if kind.startswith("Weekly"):
        given |= {
            "days": tuple(draw(st.lists(st.sampled_from(WEEK), min_size=1, unique=True))),
            "first_day": draw(st.sampled_from(WEEK)),
        }
    bound = draw(bounds)
    if "span" in bound:
        given["until"] = given["start"] + timedelta(days=bound["span"])  # type: ignore[operator]
    elif bound:
        given |= bound
    return Recurrence(**given)  # type: ignore[arg-type]


def series(rule: Recurrence, zone: str, at: time = time(9), length: timedelta = timedelta(hours=1)) -> Series:
    tz = ZoneInfo(zone)
    start = datetime.combine(rule.start, at, tz)
    values = {
        "calendar:Start": start.astimezone(UTC), "calendar:End": (start + length).astimezone(UTC),
        "calendar:StartTimeZone": Zone(zone, "", tz), "calendar:Recurrence": rule,
    }  # fmt: skip
    return Series(Item(1, "CalendarItem", 1, values, start, start))


@settings(max_examples=400, deadline=None)
@given(rules())
def test_a_rule_and_its_rrule_mean_the_same_dates(rule: Recurrence) -> None:
    item = series(rule, "Etc/UTC").master
    oracle = rrulestr(f"RRULE:{rrule(rule, item)}", dtstart=datetime.combine(rule.start, time(9), UTC))
    expected = [moment.date() for moment in islice(iter(oracle), 40)]
    assert list(islice(rule.dates(), 40)) == expected


@settings(max_examples=200, deadline=None)
@given(
    rules(),
    st.sampled_from(ZONES),
    st.times(max_value=time(22)).map(lambda at: at.replace(second=0, microsecond=0)),
    st.integers(0, 1500),
)
def test_a_window_shows_exactly_the_occurrences_that_touch_it(
    rule: Recurrence, zone: str, at: time, offset: int
) -> None:
    whole = series(rule, zone, at)
    start = datetime.combine(rule.start, time(), UTC) + timedelta(days=offset)
    end = start + timedelta(days=45)
    tz = ZoneInfo(zone)
    expected = []
    for index, day in enumerate(rule.dates(), 1):
        wall = datetime.combine(day, at)
        first, last = (
            wall.replace(tzinfo=tz).astimezone(UTC),
            (wall + timedelta(hours=1)).replace(tzinfo=tz).astimezone(UTC),
        )
        if first >= end + timedelta(days=2):
            break
        if first < end and last >= start:
            expected.append((index, first))
    assert [(one.index, one.original) for one in whole.between(start, end)] == expected


@settings(max_examples=150, deadline=None)
@given(rules(), st.sampled_from(ZONES), st.integers(1, 30))
def test_index_date_and_original_start_name_the_same_occurrence(rule: Recurrence, zone: str, index: int) -> None:
    day = recurrence.at_index(rule, index)
    if day is None:
        return
    whole = series(rule, zone)
    by_index = whole.at_index(index)
    assert by_index.original is not None
    assert recurrence.index_of(rule, day) == whole.at(by_index.original).index == index
    assert by_index.original.astimezone(ZoneInfo(zone)).date() == day


def test_an_exception_is_found_where_it_was_moved_to_from_far_away() -> None:
    rule = Recurrence("WeeklyRecurrence", date(2026, 1, 5), days=("Monday",), number=4)
    plain = series(rule, "Etc/UTC").master
    original = datetime(2026, 1, 12, 9, tzinfo=UTC)
    moved = datetime(2026, 9, 1, 9, tzinfo=UTC)
    whole = Series(
        Item(
            1,
            "CalendarItem",
            1,
            plain.values,
            plain.created,
            plain.modified,
            exceptions={original: Override(moved, moved + timedelta(hours=1))},
        )
    )
    assert [one.index for one in whole.between(moved - timedelta(days=1), moved + timedelta(days=1))] == [2]
    assert [one.index for one in whole.between(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))] == [
        1,
        3,
        4,
    ]
