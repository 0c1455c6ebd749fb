"""What the Graph feed tells, added up over any history, is the calendar as the server shows it.

The people, their random doings and the truth are those of the Exchange histories: the practice Graph speaks about the
mailboxes of a practice Exchange. Only the door through which the feed comes is another.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.microsoft365 import Microsoft365Connector
from connectors.microsoft365 import calendar as feed
from connectors.microsoft365 import contacts as contact_feed
from sandbox.graph import GraphServer
from sidefeed.connector import CursorExpired, Stream
from tests.connectors import test_exchange_histories as exchange
from tests.connectors.graph_office import ANN, MONDAY, Office, at, practice_server
from tests.connectors.test_exchange_histories import FIELDS, FUTURE, PAST, STREAM, inside

happened: Counter[str] = Counter()


@pytest.fixture(scope="module")
def server() -> Iterator[GraphServer]:
    server = practice_server()
    server.save_snapshot("empty")
    yield server
    crashes = [crash.traceback for crash in server.crashes]
    server.stop()
    assert not crashes, crashes[0]


class Calendar(exchange.Calendar):
    """The same person, listened to through Graph."""

    def __init__(self, server: GraphServer, seed: int) -> None:
        self.graph = server
        super().__init__(server.office, seed)
        self.office: Any = Office(server)
        self.connector: Any = self._connect()

    def _connect(self) -> Any:
        return Office(self.graph).connect(window_past_days=PAST, window_future_days=FUTURE)

    def act(self) -> None:
        before = Counter(exchange.happened)
        super().act()
        happened.update(exchange.happened - before)

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


def empty(server: GraphServer) -> None:
    server.restore_snapshot("empty")
    server.clock.fix(MONDAY)


@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**32), rounds=st.lists(st.integers(0, 6), min_size=1, max_size=8),
    occurrences=st.sampled_from(["silent", "removed"]), gaps=st.sampled_from([0.0, 0.3]), size=st.sampled_from([3, 50]),
)  # fmt: skip
def test_the_feed_adds_up_to_the_calendar(
    server: GraphServer, monkeypatch: pytest.MonkeyPatch, seed: int, rounds: list[int], occurrences: str, gaps: float,
    size: int,
) -> None:  # fmt: skip
    monkeypatch.setattr(feed, "PAGE", size)
    empty(server)
    server.condition("behaviour", deleted_occurrences=occurrences)
    server.condition("empty_pages", share=gaps)
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
            current = {key: one.values for key, one in calendar.told.items() if inside(calendar.shape(one), window)}
            fetched = calendar.connector.fetch(STREAM, FIELDS, list(current))
            assert {each.id: each.values for each in fetched if each.state == "live"} == current
            census = {each for each, _ in calendar.connector.ids(STREAM)}
            assert set(current) <= census
        server.condition("empty_pages", share=0)
        before = calendar.office.calls()
        (page,) = calendar.connector.changes(STREAM, FIELDS, calendar.cursor)
        assert (page.records, page.last) == ((), True)
        assert calendar.office.calls() - before == 1
        assert server.limits.refused == 0
    finally:
        calendar.connector.close()
        calendar.office.close()


@pytest.mark.slow
def test_the_histories_reached_every_case() -> None:
    """Green means nothing where nothing happened. Runs after the histories, in the same process."""
    wanted = {"single", "series", "move", "occurrence", "drop_occurrence", "repattern", "serialise", "unserialise",
              "hide", "sleep", "delete", "merged", "deleted", "died"}  # fmt: skip
    assert wanted - set(happened) == set(), happened


def test_an_expired_cursor_is_followed_by_a_complete_first_read(server: GraphServer) -> None:
    empty(server)
    calendar = Calendar(server, 7)
    for _ in range(40):
        calendar.act()
    calendar.listen()
    server.condition("forget_sync_states", code="resyncRequired")
    with pytest.raises(CursorExpired):
        calendar.listen()
    before, calendar.cursor, calendar.told = dict(calendar.told), None, {}
    calendar.listen()
    window = calendar.window()
    truth = {key: each for key, each in calendar.truth().items() if inside(each, window)}
    assert truth == {key: each for key, each in calendar.account().items() if inside(each, window)}
    assert set(calendar.told) <= set(before)
    calendar.connector.close()


def test_a_window_that_slides_loses_no_deletion(server: GraphServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Deletions before the new round, in the middle of it, and after it."""
    monkeypatch.setattr(feed, "PAGE", 1)
    empty(server)
    office = Office(server)
    connector = office.connect(window_past_days=PAST, window_future_days=FUTURE)
    made = [office.meets(f"meeting {number}", start=at(11, 9)) for number in range(4)]
    *_, first = connector.changes(STREAM, FIELDS, None)
    server.clock.move(days=feed.SLIDE + 1)
    office.deletes(made[0])
    connector = office.connect(window_past_days=PAST, window_future_days=FUTURE)  # the next run
    gone, begun = set(), False
    for page in connector.changes(STREAM, FIELDS, first.cursor):
        gone |= {record.id for record in page.records if record.state == "deleted"}
        if not begun and any(record.state == "live" for record in page.records):
            begun = True
            office.deletes(made[1])
    assert begun and gone == set(made[:2])
    office.deletes(made[2])
    (page,) = connector.changes(STREAM, FIELDS, page.cursor)
    assert [(record.id, record.state) for record in page.records] == [(made[2], "deleted")]
    office.close()


def test_contacts_are_told_whole_over_pages_and_restarts(
    server: GraphServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contact_feed, "PAGE", 2)
    empty(server)
    office, stream = Office(server), Stream("contacts", ANN)
    store = server.office
    made = [office.do(store.create_contact, ANN, given_name=f"c{number}") for number in range(5)]
    private = office.do(store.create_contact, ANN, given_name="hidden", **{"item:Sensitivity": "Private"})
    told: dict[str, Any] = {}
    cursor = None
    for _ in range(4):  # a new process for every page
        connector: Microsoft365Connector = office.connect()
        page = next(connector.changes(stream, ("GivenName",), cursor))
        told |= {record.id: record.values for record in page.records}
        cursor = page.cursor
        if page.last:
            break
    of_a_private_one = told.pop(office.id(private))
    assert of_a_private_one is None, "that it is there, and nothing of it"
    assert told == {office.id(item): {"GivenName": f"c{number}"} for number, item in enumerate(made)}
    assert page.last
    (hidden,) = office.connect().fetch(stream, ("GivenName",), [office.id(private)])
    assert (hidden.values, hidden.state) == (None, "private")
    assert office.id(private) not in dict(office.connect().ids(stream))
    office.close()
