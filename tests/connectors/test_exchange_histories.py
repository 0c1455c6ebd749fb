"""What the Exchange feed tells, added up over any history, is the calendar as the server shows it."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.calendars.identity import meeting_key
from connectors.exchange import ExchangeConnector, operations
from connectors.exchange import calendar as feed
from sandbox.exchange import ExchangeServer
from sandbox.exchange.errors import EwsError
from sidefeed.connector import CursorExpired, Remote, Stream
from tests.connectors.exchange_office import ANN, MONDAY, Office, practice_server

STREAM = Stream("calendar", ANN)
FIELDS = ("Key", "OriginalStart", "Subject", "Start", "End", "IsAllDay", "Sensitivity")
ZONES = ("UTC", "Europe/Berlin", "America/Los_Angeles", "Pacific/Auckland")
PAST, FUTURE = 4, 12
happened: Counter[str] = Counter()


@pytest.fixture(scope="module")
def server() -> Iterator[ExchangeServer]:
    server = practice_server()
    server.save_snapshot("empty")
    yield server
    crashes = [crash.traceback for crash in server.crashes]
    server.stop()
    assert not crashes, crashes[0]


class Calendar:
    """A person's random doings, and the connector's account of them."""

    def __init__(self, server: ExchangeServer, seed: int) -> None:
        self.server = server
        self.random = random.Random(seed)
        self.office = Office(server)
        self.connector = self._connect()
        self.cursor: str | None = None
        self.told: dict[str, Remote] = {}
        self.names = iter(range(10**6))

    def _connect(self) -> ExchangeConnector:
        return self.office.connect(window_past_days=PAST, window_future_days=FUTURE)

    def name(self) -> str:
        """A text that is never typed twice."""
        return f"text {next(self.names)}"

    # The person

    def act(self) -> None:
        deeds = [
            self.single, self.single, self.series, self.move, self.rename, self.delete, self.occurrence, self.occurrence,
            self.drop_occurrence, self.repattern, self.serialise, self.unserialise, self.hide, self.sleep,
        ]  # fmt: skip
        deed = self.random.choice(deeds)
        try:
            self.server.call(deed)
        except (EwsError, LookupError):  # nothing there to do it to, or Exchange will not have it
            return
        happened[deed.__name__] += 1

    def items(self, *, series: bool | None = None) -> Any:
        found = [each for each in self.server.items(ANN) if series is None or each.is_master == series]
        return self.random.choice(found)

    def when(self) -> dict[str, Any]:
        day = self.server.clock.now().date() + timedelta(days=self.random.randint(-PAST - 4, FUTURE + 6))
        if self.random.random() < 0.25:
            return {"start": day, "end": day + timedelta(days=self.random.randint(0, 2)), "all_day": True}
        start = datetime.combine(day, time(self.random.randint(0, 23), 30))
        return {"start": start, "end": start + timedelta(minutes=self.random.choice((15, 60, 180))), "all_day": False}

    def rule(self) -> dict[str, Any]:
        return self.random.choice([{"daily": 1, "count": 9}, {"daily": 3}, {"weekly": ["Monday", "Thursday"]},
                                   {"weekly": ["Sunday"], "interval": 2}, {"daily": 1, "count": 2}])  # fmt: skip

    def single(self) -> None:
        self.server.create_event(ANN, subject=self.name(), timezone=self.random.choice(ZONES), **self.when())

    def series(self) -> None:
        times = self.when()
        if times["all_day"]:
            times["end"] = times["start"]
        self.server.create_event(
            ANN, subject=self.name(), timezone=self.random.choice(ZONES), recurrence=self.rule(), **times
        )

    def move(self) -> None:
        self.server.update_event(ANN, self.items(series=False), **self.when())

    def rename(self) -> None:
        self.server.update_event(ANN, self.items(), subject=self.name())

    def delete(self) -> None:
        self.server.delete(ANN, self.items())

    def occurrence(self) -> None:
        item = self.server._event(ANN, self.items(series=True), self.random.randint(1, 6))
        shift = timedelta(minutes=self.random.choice((-30, 0, 30, 60)))
        times = {} if item.get("calendar:IsAllDayEvent") else {
            "start": item.get("calendar:Start") + shift, "end": item.get("calendar:End") + shift}  # fmt: skip
        self.server.update_event(ANN, item, subject=self.name(), **times)

    def drop_occurrence(self) -> None:
        self.server.delete(ANN, self.items(series=True), occurrence=self.random.randint(1, 6))

    def repattern(self) -> None:
        item = self.items(series=True)
        self.server.update_event(ANN, item, start=item.get("calendar:Start"), recurrence=self.rule())

    def serialise(self) -> None:
        item = self.items(series=False)
        self.server.update_event(ANN, item, start=item.get("calendar:Start"), recurrence=self.rule())

    def unserialise(self) -> None:
        item = self.items(series=True)
        times = {name: item.get(f"calendar:{name.title()}") for name in ("start", "end")}
        self.server.update_event(ANN, item, recurrence=None, **times)

    def hide(self) -> None:
        self.server.update_event(ANN, self.items(), sensitivity=self.random.choice(("Normal", "Private")))

    def sleep(self) -> None:
        self.server.clock.move(hours=self.random.choice((1, 30, 50)))

    # The connector

    def listen(self) -> None:
        """Read on, sometimes dying between two pages and starting again from the last one stored."""
        if self.random.random() < 0.3:
            self.connector.close()
            self.connector = self._connect()
        dies = self.random.random() < 0.3
        for page in self.connector.changes(STREAM, FIELDS, self.cursor):
            for record in page.records:
                if record.state == "live":
                    self.told[record.id] = record
                else:
                    happened["merged" if record.merged_into else "deleted"] += 1
                    self.told.pop(record.id, None)
            self.cursor = page.cursor
            if dies and not page.last:
                happened["died"] += 1
                return self.listen()
        return None

    # The truth

    def truth(self) -> dict[str, tuple[str, str, str | None]]:
        window = self.window()
        return dict(self.server.call(lambda: [shown(each) for each in self.server.view(ANN, *window)]))

    def window(self) -> tuple[datetime, datetime]:
        today = self.server.clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
        return today - timedelta(days=PAST), today + timedelta(days=FUTURE + 1)

    def account(self) -> dict[str, tuple[str, str, str | None]]:
        """What was told and lies in the window. All-day meetings at its very edge may lie on either side of it."""
        return {(record.values or {})["Key"]: self.shape(record) for record in self.told.values()}

    @staticmethod
    def shape(record: Remote) -> tuple[str, str, str | None]:
        values = record.values or {}
        return values["Start"], values["End"], values.get("Subject")


def shown(item: Any) -> tuple[str, tuple[str, str, str | None]]:
    """Key -> start, end and subject of an item of a view, worked out from the server's own state."""
    tz = item.get("calendar:StartTimeZone").tz
    all_day = bool(item.get("calendar:IsAllDayEvent"))

    def text(moment: datetime) -> str:
        return moment.astimezone(tz).date().isoformat() if all_day else moment.strftime("%Y-%m-%dT%H:%M:%SZ")

    subject = item.get("item:Subject") if item.get("item:Sensitivity", "Normal") == "Normal" else None
    key = meeting_key(item.get("calendar:UID"), "single" if item.original is None else text(item.original))
    return key, (text(item.get("calendar:Start")), text(item.get("calendar:End")), subject)


def inside(told: tuple[str, str, str | None], window: tuple[datetime, datetime]) -> bool:
    """Surely in the window, whatever the zone. What began before it is past, and stays as it was told."""
    if len(told[0]) == 10:
        start, margin = datetime.combine(date.fromisoformat(told[0]), time(), UTC), timedelta(days=1)
    else:
        start, margin = datetime.fromisoformat(told[0]), timedelta(0)
    return window[0] + margin <= start < window[1] - margin


@pytest.mark.slow
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), rounds=st.lists(st.integers(0, 6), min_size=1, max_size=8))
def test_the_feed_adds_up_to_the_calendar(
    server: ExchangeServer, monkeypatch: pytest.MonkeyPatch, seed: int, rounds: list[int]
) -> None:
    monkeypatch.setattr(operations, "SYNC_PAGE", 3)
    monkeypatch.setattr(feed, "PAGE", 4)
    server.restore_snapshot("empty")
    server.clock.fix(MONDAY)
    calendar = Calendar(server, seed)
    try:
        for deeds in rounds:
            for _ in range(deeds):
                calendar.act()
            calendar.listen()
            truth, told, window = calendar.truth(), calendar.account(), calendar.window()
            assert {key: each for key, each in truth.items() if inside(each, window)} == {
                key: each for key, each in told.items() if inside(each, window)
            }
            # What the window has left behind is not followed any more, so only what is inside must still be so.
            current = {key: one.values for key, one in calendar.told.items() if inside(calendar.shape(one), window)}
            fetched = calendar.connector.fetch(STREAM, FIELDS, list(current))
            assert {each.id: each.values for each in fetched if each.state == "live"} == current
        before = calendar.office.calls()
        (page,) = calendar.connector.changes(STREAM, FIELDS, calendar.cursor)
        assert (page.records, page.last) == ((), True)
        assert calendar.office.calls() - before == 1
    finally:
        calendar.office.close()


@pytest.mark.slow
def test_the_histories_reached_every_case() -> None:
    """Green means nothing where nothing happened. Runs after the histories, in the same process."""
    wanted = {"single", "series", "move", "occurrence", "drop_occurrence", "repattern", "serialise", "unserialise",
              "hide", "sleep", "delete", "merged", "deleted", "died"}  # fmt: skip
    assert wanted - set(happened) == set(), happened


def test_an_expired_cursor_is_followed_by_a_complete_first_read(server: ExchangeServer) -> None:
    server.restore_snapshot("empty")
    server.clock.fix(MONDAY)
    calendar = Calendar(server, 7)
    for _ in range(40):
        calendar.act()
    calendar.listen()
    server.call(server.condition, "forget_sync_states")
    with pytest.raises(CursorExpired):
        calendar.listen()
    before, calendar.cursor, calendar.told = dict(calendar.told), None, {}
    calendar.listen()
    window = calendar.window()
    truth = {key: each for key, each in calendar.truth().items() if inside(each, window)}
    assert truth == {key: each for key, each in calendar.account().items() if inside(each, window)}
    assert set(calendar.told) <= set(before)
    calendar.office.close()
