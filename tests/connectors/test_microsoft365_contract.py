"""The contract, on a practice Graph: calendars and contacts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox.graph import GraphServer
from tests.connectors.contract import ConnectorContract
from tests.connectors.graph_office import CalendarKit, ContactsKit, Office, practice_server


@pytest.fixture(scope="module")
def served() -> Iterator[GraphServer]:
    server = practice_server()
    server.save_snapshot()
    yield server
    crashes = [crash.traceback for crash in server.crashes]
    server.stop()
    assert not crashes, crashes[0]


@pytest.fixture
def office(served: GraphServer) -> Iterator[Office]:
    served.restore_snapshot()
    served.faults.clear()
    made = Office(served)
    yield made
    made.close()
    assert made.mailed() == []
    assert served.limits.refused == 0
    assert max(served.limits.peak.values(), default=0) <= 4


class TestCalendar(ConnectorContract):
    @pytest.fixture
    def kit(self, office: Office) -> CalendarKit:
        return CalendarKit(office)


class TestContacts(ConnectorContract):
    @pytest.fixture
    def kit(self, office: Office) -> ContactsKit:
        return ContactsKit(office)
