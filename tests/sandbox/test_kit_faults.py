"""Bad days: each kind of fault does to a client what its description says, to the requests it was meant for."""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Iterator

import httpx
import pytest

from sandbox.kit import DropConnection, Fault, Request
from tests.sandbox.echo import EchoServer


@pytest.fixture
def server() -> Iterator[EchoServer]:
    with EchoServer(seed=7) as running:
        yield running


@pytest.fixture
def client(server: EchoServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url) as open_client:
        yield open_client


def test_status_answers_instead_of_the_handler(client: httpx.Client, server: EchoServer) -> None:
    server.faults.add("status", status=429, body={"message": "slow down"}, retry_after=7, headers={"X-Limit": "0"})
    answer = client.post("/increment")
    assert (answer.status_code, answer.json()) == (429, {"message": "slow down"})
    assert (answer.headers["Retry-After"], answer.headers["X-Limit"]) == ("7", "0")
    assert server.value == 0
    assert client.post("/increment").status_code == 200


def test_status_takes_text_and_any_content_type(client: httpx.Client, server: EchoServer) -> None:
    server.faults.add("status", status=503, body="<a/>", content_type="text/xml")
    answer = client.get("/x")
    assert (answer.status_code, answer.text, answer.headers["Content-Type"]) == (503, "<a/>", "text/xml")
    server.faults.add("status", status=429)
    assert "Retry-After" not in client.get("/x").headers


def test_html_looks_like_a_proxy(client: httpx.Client, server: EchoServer) -> None:
    server.faults.add("html", status=502, title="502 Bad Gateway")
    answer = client.get("/x")
    assert answer.status_code == 502
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "<h1>502 Bad Gateway</h1>" in answer.text


def test_drop_before_leaves_no_effect(client: httpx.Client, server: EchoServer) -> None:
    server.faults.add("drop_before")
    with pytest.raises(httpx.RemoteProtocolError):
        client.post("/increment")
    assert server.value == 0


def test_drop_after_keeps_the_effect(client: httpx.Client, server: EchoServer) -> None:
    server.faults.add("drop_after")
    with pytest.raises(httpx.RemoteProtocolError):
        client.post("/increment")
    assert server.value == 1
    assert client.post("/increment").json() == {"value": 2}


def test_a_drop_can_be_a_reset(server: EchoServer) -> None:
    server.faults.add("drop_after", reset=True)
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
        connection.sendall(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            connection.recv(100)


def test_truncate_announces_more_than_it_sends(server: EchoServer) -> None:
    server.faults.add("truncate", keep=100)
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    connection.request("GET", "/large")
    answer = connection.getresponse()
    assert answer.getheader("Content-Length") == "10000"
    with pytest.raises(http.client.IncompleteRead) as cut:
        answer.read()
    assert len(cut.value.partial) == 100
    connection.close()


def test_content_type_is_wrong_and_the_body_right(client: httpx.Client, server: EchoServer) -> None:
    server.faults.add("content_type")
    answer = client.post("/increment")
    assert answer.headers["Content-Type"].startswith("text/html")
    assert answer.json() == {"value": 1}


def test_empty_runs_the_request_and_says_nothing(client: httpx.Client, server: EchoServer) -> None:
    server.faults.add("empty")
    answer = client.post("/increment")
    assert (answer.status_code, answer.content, server.value) == (200, b"", 1)


def test_slow_before_is_without_effect_until_it_has_waited_and_slow_after_keeps_it(
    client: httpx.Client, server: EchoServer
) -> None:
    server.faults.add("slow", seconds=30)
    with pytest.raises(httpx.ReadTimeout):
        client.post("/increment", timeout=0.05)
    assert server.call(lambda: server.value) == 0
    server.faults.add("slow", seconds=30, after=True)
    with pytest.raises(httpx.ReadTimeout):
        client.post("/increment", timeout=1.0)
    assert server.call(lambda: server.value) == 1


def test_slow_goes_with_another_fault(client: httpx.Client, server: EchoServer) -> None:
    server.faults.add("slow", seconds=0.05)
    server.faults.add("status", status=503)
    started = time.monotonic()
    assert client.get("/x").status_code == 503
    assert time.monotonic() - started >= 0.05
    assert [hit.kind for hit in server.faults.hits] == ["slow", "status"]


def test_a_fault_hits_by_method_path_label_and_body(client: httpx.Client, server: EchoServer) -> None:
    server.faults.add("status", method="POST", path="/thing/*", status=501, count=None)
    server.faults.add("status", path="GET /record/", status=502, count=None)
    server.faults.add("status", path="/other/", status=503, count=None)
    server.faults.add("status", contains="poison", status=504, count=None)
    assert client.post("/thing/1").status_code == 501
    assert client.get("/thing/1").status_code == 200
    assert client.get("/record/77").status_code == 502
    assert client.post("/record/77").status_code == 200
    assert client.post("/other/5").status_code == 503
    assert client.post("/x", content=b"some poison here").status_code == 504
    assert client.post("/x", content=b"clean").status_code == 200


def test_skip_count_and_probability_choose_the_requests(client: httpx.Client, server: EchoServer) -> None:
    server.faults.add("status", skip=2, count=3, status=500)
    assert [client.get("/x").status_code for _ in range(7)] == [200, 200, 500, 500, 500, 200, 200]
    assert server.faults.active == []
    server.faults.add("status", probability=0.5, count=None, status=500)
    failed = sum(client.get("/x").status_code == 500 for _ in range(100))
    assert 25 <= failed <= 75
    server.faults.clear()
    assert client.get("/x").status_code == 200


def test_chance_repeats_with_the_seed() -> None:
    def run(seed: int) -> list[int]:
        with EchoServer(seed=seed) as server, httpx.Client(base_url=server.url) as client:
            server.faults.add("status", probability=0.5, count=None)
            return [client.get("/x").status_code for _ in range(20)]

    assert run(1) == run(1)
    assert run(1) != run(2)


def test_a_server_adds_kinds_of_its_own(client: httpx.Client, server: EchoServer) -> None:
    server.faults.add(Fault("quota", args={"limit": 15000}))
    answer = client.post("/increment")
    assert answer.status_code == 403
    assert answer.json() == [{"errorCode": "REQUEST_LIMIT_EXCEEDED", "limit": 15000}]
    assert server.value == 0


def test_an_unknown_kind_is_refused_with_those_there_are(server: EchoServer) -> None:
    with pytest.raises(ValueError, match=r"no fault kind 'explode' here; known: content_type, drop_after, .*quota"):
        server.faults.add("explode")
    with pytest.raises(ValueError, match="between 0 and 1"):
        server.faults.add("status", probability=2)


def test_every_hit_is_recorded_with_its_request(client: httpx.Client, server: EchoServer) -> None:
    client.get("/x")
    fault = server.faults.add("drop_after", path="/increment")
    with pytest.raises(httpx.RemoteProtocolError):
        client.post("/increment?a=1")
    [hit] = server.faults.hits
    assert (hit.fault, hit.kind, hit.method, hit.path, hit.endpoint, hit.ordinal) == (
        fault.id,
        "drop_after",
        "POST",
        "/increment",
        "POST /increment",
        2,
    )
    assert [(entry.status, entry.fault) for entry in server.log] == [(200, None), (0, "drop_after")]
    assert server.counters.endpoints["POST /increment"].statuses == {0: 1}


def test_a_hook_sees_each_request_before_and_after_it_is_run(client: httpx.Client, server: EchoServer) -> None:
    seen: list[tuple[int, str, str, int]] = []
    server.on_request = lambda ordinal, request, phase: seen.append((ordinal, request.path, phase, server.value))
    client.post("/increment")
    client.post("/increment")
    assert seen == [
        (1, "/increment", "before", 0),
        (1, "/increment", "after", 1),
        (2, "/increment", "before", 1),
        (2, "/increment", "after", 2),
    ]


def test_a_hook_can_act_as_a_person_in_the_middle_of_a_run(client: httpx.Client, server: EchoServer) -> None:
    def person(ordinal: int, request: Request, phase: str) -> None:
        if (ordinal, phase) == (2, "before"):
            server.call(setattr, server, "value", 40)

    server.on_request = person
    assert [client.post("/increment").json()["value"] for _ in range(3)] == [1, 41, 42]


@pytest.mark.parametrize(("phase", "effect"), [("before", 0), ("after", 1)])
def test_a_hook_can_hang_up(client: httpx.Client, server: EchoServer, phase: str, effect: int) -> None:
    def hang_up(ordinal: int, request: Request, now: str) -> None:
        if now == phase:
            raise DropConnection

    server.on_request = hang_up
    with pytest.raises(httpx.RemoteProtocolError):
        client.post("/increment")
    assert server.value == effect
    assert server.crashes == []


def test_a_hook_with_a_bug_is_a_crash_not_a_hang(client: httpx.Client, server: EchoServer) -> None:
    def broken(ordinal: int, request: Request, phase: str) -> None:
        raise LookupError("the test is wrong")

    server.on_request = broken
    assert client.get("/x").status_code == 500
    assert "the test is wrong" in server.crashes[0].traceback
