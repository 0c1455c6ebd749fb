"""What the kit promises of every practice server, held against each of them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator

import httpx
import pytest

from sandbox.kit import Control, ControlError, PracticeServer
from sandbox.launch import SERVERS, server_class


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest) -> Iterator[PracticeServer]:
    with server_class(request.param)(seed=3) as running:
        yield running
        assert running.crashes == []


def test_it_says_how_to_connect_in_plain_data(server: PracticeServer) -> None:
    info = server.connection_info()
    assert json.loads(json.dumps(info)) == info
    assert info["url"] == server.url


def test_every_condition_and_fault_kind_explains_itself(server: PracticeServer) -> None:
    with Control(server.control_url) as control:
        described = {**control.conditions(), **control.fault_kinds()}
    assert {name for name, text in described.items() if len(text.split()) < 3} == set()


def test_an_unknown_condition_names_the_known_ones(server: PracticeServer) -> None:
    with pytest.raises(KeyError):
        server.condition("no-such-thing")
    with (
        Control(server.control_url) as control,
        pytest.raises(ControlError, match="no condition 'no-such-thing'; known"),
    ):
        control.condition("no-such-thing")


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE"])
def test_nonsense_is_refused_not_failed(server: PracticeServer, method: str) -> None:
    for path in ("/", "/no/such/thing", "/%00", "//", "/services/data/v62.0/%zz", "/crm/v3/objects/%zz"):
        answer = httpx.request(method, server.url + path)
        assert answer.status_code < 500 or answer.status_code == 501, (method, path, answer.text)
        assert method != "HEAD" or answer.content == b""


def test_the_same_seed_makes_the_same_population(server: PracticeServer) -> None:
    counts = server.call(server.populate, 7)
    assert counts
    assert all(count > 0 for count in counts.values())
    twin = server_class(server.name)()
    assert twin.populate(7) == counts


def test_a_snapshot_is_kept_apart_from_what_follows(server: PracticeServer) -> None:
    server.save_snapshot("empty")
    server.call(server.populate, 7)
    server.save_snapshot("full")
    server.restore_snapshot("empty")
    server.call(server.populate, 7)  # would find its own records in the way, were they not gone
    server.restore_snapshot("full")
    server.restore_snapshot("empty")


def test_it_stops_without_leaving_a_thread() -> None:
    before = set(threading.enumerate())
    for name in SERVERS:
        with server_class(name)() as server:
            httpx.get(server.url)
    assert set(threading.enumerate()) == before
