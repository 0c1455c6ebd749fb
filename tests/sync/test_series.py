"""A series is one record in the workspace, whichever calendars show it, and goes out as one object again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.calendars import events
from connectors.calendars.window import Window
from connectors.exchange import ExchangeConnector
from connectors.microsoft365 import Microsoft365Connector
from sidefeed.calendars.recurrence import RECURRENCE, SERIES
from sidefeed.connector import Stream
from sidefeed.project import Project
from sidefeed.sync.capture import capture
from sidefeed.workspace import RecordState, Store
from tests.sync.test_meetings import ANN, BOB, Calendar, calendar
from tests.sync.test_microsoft365_meetings import CloudCalendar, cloud

__all__ = ["calendar", "cloud"]

PATTERNS: dict[str, tuple[dict[str, Any], str]] = {
    "Daily": ({"daily": 2, "count": 9}, "FREQ=DAILY;INTERVAL=2;COUNT=9"),
    "Weekly": ({"weekly": ["Monday", "Thursday"], "interval": 2, "first_day": "Sunday"},
               "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,TH;WKST=SU"),
    "Month's end": ({"monthly": 31}, "FREQ=MONTHLY;BYMONTHDAY=28,29,30,31;BYSETPOS=-1"),
    "Last Friday": ({"monthly": ["Last", "Friday"]}, "FREQ=MONTHLY;BYDAY=-1FR"),
    "First weekday": ({"monthly": ["First", "Weekday"]}, "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=1"),
    "Every second year": ({"monthly": None, "interval": 24}, "FREQ=YEARLY;INTERVAL=2;BYMONTH={month};BYMONTHDAY={day}"),
    "Yearly": ({"yearly": None}, "FREQ=YEARLY;BYMONTH={month};BYMONTHDAY={day}"),
}


def standing(cloud: CloudCalendar) -> dict[str, RecordState]:
    store = Store.open(cloud.folder / "workspace.db")
    with store.read() as tx:
        found = [state for state in tx.each_record(SERIES) if not state.deleted]
        changes = [len(tx.changes_of(state.id)) for state in found]
        seen = [{system for system, _object, _id, role in tx.roles_of(state.id) if role == "primary"} for state in found]
    store.close()
    assert changes == [1] * len(found), "both calendars tell the same in the same words"
    assert seen == [{"exchange", "microsoft365"}] * len(found)
    return {str(state.values["subject"]): state for state in found}


@pytest.mark.slow
def test_a_series_seen_through_ews_and_graph_is_one_record(cloud: CloudCalendar) -> None:
    start = datetime.now(UTC).replace(hour=15) + timedelta(days=2)
    while start.day > 28:  # every month has the day
        start += timedelta(days=1)
    days = (start - datetime.now(UTC)) / timedelta(days=1)
    for subject, (rule, _text) in PATTERNS.items():
        cloud.meets(BOB, subject, days, recurrence=rule, timezone="America/New_York")
    cloud.sync(2)
    assert {name: state.values["recurrence"]["rule"] for name, state in standing(cloud).items()} == {
        name: text.format(month=start.month, day=start.day) for name, (_rule, text) in PATTERNS.items()}


@pytest.mark.slow
def test_a_moved_and_a_deleted_occurrence_stand_in_it_and_leave_with_it(cloud: CloudCalendar) -> None:
    made = cloud.meets(BOB, "Weekly", 1, recurrence={"daily": 1, "count": 6}, timezone="Europe/Berlin")
    exchange = cloud.exchange
    second, third = (exchange.call(lambda n=n: exchange._event(BOB, made, n).get("calendar:Start")) for n in (2, 3))
    later = second + timedelta(hours=3)
    exchange.call(lambda: exchange.update_event(
        BOB, made, occurrence=2, start=later, end=later + timedelta(hours=1), subject="Weekly, late"))
    exchange.call(lambda: exchange.delete(BOB, made, occurrence=3))
    cloud.sync(3)
    told = standing(cloud)["Weekly"].values["recurrence"]
    assert (told["rule"], told["zone"]) == ("FREQ=DAILY;COUNT=6", "Europe/Berlin")
    assert told["exceptions"] == {_utc(second): [_utc(later), _utc(later + timedelta(hours=1))]}
    assert told["deletions"] == [_utc(third)]
    out = cloud.folder / "out.ics"
    code, report = cloud("export", "ics", "--out", str(out))
    assert (code, report["meetings"], report["series"]) == (0, 5, 1)
    assert out.read_text().count("BEGIN:VEVENT") == 2 and out.read_text().count("EXDATE") == 1
    ((_uid, calendar),) = events.by_uid(events.parse(out.read_bytes())).items()
    window = Window(datetime.now(UTC), datetime.now(UTC) + timedelta(days=20))
    read = sorted((events.read(one, BOB, ("Start", "Subject"), "UTC")
                   for one in events.meetings(calendar, window, "UTC")), key=lambda one: str(one["Start"]))
    assert [one["Subject"] for one in read] == ["Weekly", "Weekly, late", "Weekly", "Weekly", "Weekly"]
    assert read[1]["Start"] == _utc(later)


@pytest.mark.slow
def test_a_series_that_went_away_unheard_is_told_by_the_census_and_found_after_a_lost_cursor(calendar: Calendar) -> None:
    made = calendar.meets(ANN, "Weekly", 1, recurrence={"daily": 1, "count": 2})
    calendar.meets(ANN, "Stays", 1, recurrence={"daily": 1, "count": 12})
    calendar.sync(2)

    def alive() -> list[str]:
        store = Store.open(calendar.folder / "workspace.db")
        with store.read() as tx:
            found = sorted(str(state.values["subject"]) for state in tx.each_record(SERIES) if not state.deleted)
        store.close()
        return found

    _code, told = calendar("census", "exchange")
    assert [one for feed in told["feeds"] for one in feed["differences"]] == []
    calendar.exchange.call(lambda: calendar.exchange.delete(ANN, made))
    _code, told = calendar("census", "exchange")
    gone = [one["kind"] for feed in told["feeds"] for one in feed["differences"] if one["external_id"].endswith("@")]
    assert gone == ["hidden"] and alive() == ["Stays", "Weekly"]
    calendar.exchange.call(calendar.exchange.condition, "forget_sync_states")
    calendar.sync(2)
    assert alive() == ["Stays"]
    _code, report = calendar("sync")
    assert report["counts"].get("written", 0) == 0


def loses(desk: Calendar, system: str) -> None:
    """A change that a calendar told, and that nobody took up: its page was stored, and what it held was lost."""
    project = Project.load(desk.folder)
    with project.engine() as engine:
        om = next(om for om in engine.mappings.for_system(system) if om.entity == "meeting")
        for stream in engine.connectors[system].streams(om.object):
            capture(engine.store, engine.connectors[system], om, stream)
            with engine.store.write() as tx:
                tx.drop_inbox(system, stream.name, tx.inbox_ids(system, stream.name))
    project.close()


def series_found(desk: Calendar, system: str, *more: str) -> list[tuple[str, list[str]]]:
    _code, told = desk("census", system, *more)
    return [(one["kind"], sorted(one["fields"])) for feed in told["feeds"] for one in feed["differences"]
            if one["external_id"].endswith(("@", "#"))]


@pytest.mark.slow
def test_a_rule_whose_change_was_lost_is_told_by_the_census_and_read_after_its_repair(cloud: CloudCalendar) -> None:
    made = cloud.meets(BOB, "Weekly", 1, recurrence={"daily": 1, "count": 6}, timezone="Europe/Berlin")
    cloud.sync(2)
    assert series_found(cloud, "exchange") == series_found(cloud, "microsoft365") == []
    start = cloud.exchange.call(lambda: cloud.exchange._event(BOB, made, 1).get("calendar:Start"))
    cloud.exchange.call(lambda: cloud.exchange.update_event(
        BOB, made, start=start, recurrence={"daily": 2, "count": 3}))
    cloud.exchange.call(lambda: cloud.exchange.delete(BOB, made, occurrence=2))
    for system in ("exchange", "microsoft365"):
        loses(cloud, system)
        assert series_found(cloud, system) == [("unnoticed", ["deletions", "rule"])]
    series_found(cloud, "exchange", "--repair")
    series_found(cloud, "microsoft365", "--repair")
    cloud.sync(2)
    store = Store.open(cloud.folder / "workspace.db")
    with store.read() as tx:
        (state,) = [one for one in tx.each_record(SERIES) if not one.deleted]
    store.close()
    assert state.values["recurrence"]["rule"] == "FREQ=DAILY;INTERVAL=2;COUNT=3"
    assert series_found(cloud, "exchange") == series_found(cloud, "microsoft365") == []


@pytest.mark.slow
def test_a_series_that_turned_private_unheard_is_taken_back_after_the_census(cloud: CloudCalendar) -> None:
    made = cloud.meets(BOB, "Weekly", 1, recurrence={"daily": 1, "count": 3})
    cloud.sync(2)
    assert len(cloud.events()) == 3
    cloud.exchange.call(lambda: cloud.exchange.update_event(BOB, made, sensitivity="Private"))
    for system in ("exchange", "microsoft365"):
        loses(cloud, system)
    cloud.sync()
    assert len(cloud.events()) == 3
    assert ("unnoticed", ["sensitivity"]) in series_found(cloud, "exchange", "--repair")
    cloud.sync(2)
    assert cloud.events() == [] and series_found(cloud, "exchange") == []


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.slow
def test_a_series_costs_the_same_calls_however_many_occurrences_it_has(cloud: CloudCalendar) -> None:
    for subject in ("A", "B", "C"):
        cloud.meets(BOB, subject, 1, recurrence={"daily": 1, "count": 80})
    for connector in (ExchangeConnector.from_settings(cloud.settings["exchange"]),
                      Microsoft365Connector.from_settings(cloud.settings["microsoft365"])):
        costs = []
        for fields in (["Subject"], ["Subject", RECURRENCE]):
            before = connector.calls.used
            pages = list(connector.changes(Stream("calendar", BOB), fields, None))
            costs.append(connector.calls.used - before)
            records = [record for page in pages for record in page.records]
            assert len(records) >= 3 * 80 + (3 if RECURRENCE in fields else 0)
        connector.close()
        # Graph tells exceptions and deletions of a master at a time: one $batch of twenty.
        assert costs[1] - costs[0] <= (0 if connector.system == "exchange" else 1), connector.system
