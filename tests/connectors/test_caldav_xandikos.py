"""The same contract on a second real server, Xandikos, where it is installed: it keeps its data in git, and ETags and
sync tokens are its object names."""

from __future__ import annotations

import itertools
import shutil
import subprocess
import time
from collections.abc import Iterator

import httpx
import pytest

from sandbox.radicale import free_port
from tests.connectors.caldav_office import ANN, CalendarKit, ContactsKit, Office, calendar, event
from tests.connectors.contract import ConnectorContract, Kit, read, state_of

pytestmark = [pytest.mark.slow, pytest.mark.skipif(shutil.which("xandikos") is None, reason="Xandikos is not installed")]
_users = itertools.count(1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port = free_port()
    process = subprocess.Popen(
        [shutil.which("xandikos") or "", "-d", str(tmp_path_factory.mktemp("xandikos")), "-l", "127.0.0.1", "-p",
         str(port), "--defaults", "--current-user-principal", "/ann/"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        for _attempt in range(200):
            try:
                httpx.get(url, timeout=5)
                break
            except httpx.HTTPError:
                assert process.poll() is None, "Xandikos did not start"
                time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture
def office(server: str) -> Iterator[Office]:
    number = next(_users)
    office = Office(server, "ann", calendar=f"/ann/calendars/c{number}/", book=f"/ann/contacts/b{number}/")
    yield office
    office.close()


class TestCalendarContract(ConnectorContract):
    @pytest.fixture
    def kit(self, office: Office) -> CalendarKit:
        return CalendarKit(office)


class TestContactsContract(ConnectorContract):
    @pytest.fixture
    def kit(self, office: Office) -> ContactsKit:
        return ContactsKit(office)


def test_an_object_comes_back_as_its_client_wrote_it(office: Office) -> None:
    kit: Kit = CalendarKit(office)
    href = office.put(calendar(event("one", "SUMMARY:One", "RRULE:FREQ=WEEKLY;COUNT=2")))
    records, _cursor = read(kit)
    assert sorted(record.id for record in records) == [f"{href}#2026-11-24T09:00:00Z", f"{href}#2026-12-01T09:00:00Z"]
    values = state_of(records, kit, f"{href}#2026-12-01T09:00:00Z").values
    assert values is not None and values["Subject"] == "One"
    assert ANN in office.connect().settings.mailboxes
