"""The control API and its Python client: what a person scripts a bad day with, and what no client ever notices."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from fastapi.openapi.models import OpenAPI

from sandbox.kit import Clock, Control, ControlError
from sandbox.kit.control import ControlServer
from tests.sandbox.echo import EchoServer


@pytest.fixture
def server() -> Iterator[EchoServer]:
    with EchoServer() as running:
        yield running


@pytest.fixture
def control(server: EchoServer) -> Iterator[Control]:
    with Control(server.control_url) as client:
        yield client


def increment(server: EchoServer) -> httpx.Response:
    return httpx.post(f"{server.url}/increment")


def test_the_document_is_valid_openapi_and_lists_exactly_the_resources_there_are(
    server: EchoServer, control: Control
) -> None:
    document = control.openapi()
    OpenAPI.model_validate(document)
    assert document["openapi"] == "3.1.0"
    documented = {
        (method.upper(), path) for path, methods in document["paths"].items() for method in methods if "{" not in path
    }
    assert documented == set(ControlServer(server)._routes)
    assert {path for path in document["paths"] if "{" in path} == {"/faults/{id}", "/conditions/{name}"}
    references = re.findall(
        r'"\$ref": ?"#/components/schemas/(\w+)"', httpx.get(f"{server.control_url}/openapi.json").text
    )
    assert set(references) == set(document["components"]["schemas"])


def test_faults_are_put_in_force_listed_and_lifted(server: EchoServer, control: Control) -> None:
    one = control.fail("status", path="/increment", status=503, count=None)
    two = control.fail("drop_after", method="POST")
    assert [(fault["id"], fault["kind"]) for fault in control.faults()] == [(one, "status"), (two, "drop_after")]
    assert increment(server).status_code == 503
    control.lift(one)
    with pytest.raises(httpx.RemoteProtocolError):
        increment(server)
    assert [(hit["fault"], hit["method"], hit["path"]) for hit in control.hits()] == [
        (one, "POST", "/increment"),
        (two, "POST", "/increment"),
    ]
    control.clear_hits()
    assert control.hits() == []
    control.fail("status", count=None)
    control.lift()
    assert control.faults() == []


def test_kinds_and_conditions_describe_themselves(control: Control) -> None:
    assert control.fault_kinds()["quota"] == "Answer 403 with a body of this system. Args: limit."
    assert set(control.conditions()) == {"generous"}


def test_a_condition_changes_the_system(server: EchoServer, control: Control) -> None:
    assert control.condition("generous") is True
    assert increment(server).json() == {"value": 2}
    with pytest.raises(ControlError, match="no condition 'stingy'; known: generous"):
        control.condition("stingy")


def test_snapshots_go_back_to_a_named_state(server: EchoServer, control: Control) -> None:
    control.snapshot("empty")
    increment(server)
    control.snapshot()
    increment(server)
    control.restore()
    assert increment(server).json() == {"value": 2}
    control.restore("empty")
    assert increment(server).json() == {"value": 1}
    assert control.snapshots() == ["default", "empty"]
    with pytest.raises(ControlError, match="no snapshot 'lost'; there are: default, empty"):
        control.restore("lost")


def test_counters_and_log_are_of_the_system_never_of_the_control_api(server: EchoServer, control: Control) -> None:
    increment(server)
    increment(server)
    assert control.calls() == 2
    assert set(control.counters()["endpoints"]) == {"POST /increment"}
    assert [entry["path"] for entry in control.log()] == ["/increment", "/increment"]
    assert len(control.log(last=1)) == 1
    control.reset_counters()
    control.clear_log()
    assert (control.calls(), control.log()) == (0, [])
    assert server.log._entries is not None


def test_the_clock_is_fixed_moved_and_run(control: Control) -> None:
    assert control.fix_clock("2026-03-02T10:00:00+01:00") == datetime(2026, 3, 2, 9, tzinfo=UTC)
    assert control.move_clock(90) == control.now() == datetime(2026, 3, 2, 9, 1, 30, tzinfo=UTC)
    control.run_clock()
    assert datetime(2026, 3, 2, 9, 1, 30, tzinfo=UTC) <= control.now() < datetime(2026, 3, 2, 9, 2, 30, tzinfo=UTC)
    stopped = control.fix_clock()
    assert control.now() == stopped


def test_a_clock_moves_backwards_and_runs_on_from_where_it_stands() -> None:
    clock = Clock("2026-03-02T09:00:00")
    clock.move(days=-1)
    assert clock.now() == datetime(2026, 3, 1, 9, tzinfo=UTC)
    clock.run()
    clock.move(hours=1)
    assert timedelta(0) <= clock.now() - datetime(2026, 3, 1, 10, tzinfo=UTC) < timedelta(minutes=1)


def test_connection_and_health_say_where_and_who(server: EchoServer, control: Control) -> None:
    assert control.connection() == {"url": server.url, "token": "echo-token"}
    assert control.health() == {"name": "echo", "url": server.url, "crashes": 0}
    httpx.get(f"{server.url}/boom")
    [crash] = control.crashes()
    assert "RuntimeError: a bug" in crash["traceback"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "message"),
    [
        ("GET", "/nowhere", None, 404, "no control resource /nowhere"),
        ("PUT", "/faults", None, 405, "/faults takes DELETE, GET, POST"),
        ("POST", "/faults", b"{", 400, "not valid JSON"),
        ("POST", "/faults", b"[]", 400, "JSON object"),
        ("POST", "/faults", b"{}", 400, "a fault has a kind"),
        ("POST", "/faults", b'{"kind":"explode"}', 400, "no fault kind 'explode'"),
        ("POST", "/faults", b'{"kind":"status","count":"many"}', 400, 'count cannot be "many"'),
        ("POST", "/faults", b'{"kind":"status","count":0}', 400, "count is 1 or more"),
        ("POST", "/faults", b'{"kind":"status","pth":"/x"}', 400, "a fault has no 'pth'"),
        ("POST", "/faults", b'{"kind":"status","args":[]}', 400, "args is an object"),
        ("POST", "/faults", b'{"kind":"slow","args":{"seconds":"long"}}', 400, "seconds is a number"),
        ("DELETE", "/faults/9", None, 404, "no fault 9 in force"),
        ("DELETE", "/faults/x", None, 404, "no fault x in force"),
        ("POST", "/clock", b"{}", 400, "give one or more of"),
        ("POST", "/clock", b'{"fix":"tomorrow"}', 400, "the clock cannot be set so"),
        ("POST", "/clock", b'{"fix":5}', 400, "the clock cannot be set so"),
        ("POST", "/clock", b'{"move":1e300}', 400, "the clock cannot be set so"),
        ("POST", "/snapshot", b'{"name":5}', 400, "name is a text"),
        ("POST", "/conditions/generous", b'{"self":1}', 400, "condition generous"),
        ("GET", "/log?last=-1", None, 400, "last is a number"),
    ],
)
def test_a_wrong_control_request_is_told_what_is_wrong(
    server: EchoServer, method: str, path: str, body: bytes | None, status: int, message: str
) -> None:
    answer = httpx.request(method, server.control_url + path, content=body)
    assert answer.status_code == status
    assert message in answer.json()["error"]
    assert server.crashes == []


def test_call_runs_between_two_requests_and_hands_errors_back(server: EchoServer) -> None:
    assert server.call(lambda: server.value) == 0
    with pytest.raises(ZeroDivisionError):
        server.call(lambda: 1 // 0)


def test_a_server_without_control_says_so() -> None:
    with EchoServer(control=False) as server:
        assert httpx.get(f"{server.url}/x").status_code == 200
        with pytest.raises(RuntimeError, match="without a control API"):
            _ = server.control_url
