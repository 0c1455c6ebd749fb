"""What a practice server remembers of its clients: counters, and a log that holds no secret and can be replayed."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import httpx
import pytest

from sandbox.kit import replay
from sandbox.kit.log import HIDDEN, redact_body
from tests.sandbox.echo import EchoServer

SECRET = "00Dxx0000001gPL!AQ4AQFsecretsecret"


def test_counters_add_up_per_endpoint_and_in_all() -> None:
    with EchoServer() as server, httpx.Client(base_url=server.url) as client:
        client.get("/thing/1")
        size = len(client.get("/thing/22").content)
        client.post("/increment", content=b"12345")
        client.get("/boom")
        counters = server.counters
        assert counters.calls == 4
        assert counters.calls_to("GET /thing/") == 2
        assert counters.endpoints["POST /increment"].bytes_in == 5
        assert counters.endpoints["POST /increment"].records == counters.records == 1
        assert counters.endpoints["GET /thing/"].bytes_out == 2 * size - 1
        assert counters.endpoints["GET /boom"].statuses == {500: 1}
        counters.reset()
        assert (counters.calls, counters.endpoints) == (0, {})


def test_streamed_bytes_are_counted() -> None:
    with EchoServer() as server, httpx.Client(base_url=server.url) as client:
        client.get("/stream")
        client.get("/x")  # on the same connection, hence after the stream was accounted for
        assert server.counters.endpoints["GET /stream"].bytes_out == len("first,second")


def test_no_secret_is_kept_in_memory_or_in_the_file(tmp_path: Path) -> None:
    record = tmp_path / "log.jsonl"
    login = f"grant_type=password&username=u&password={SECRET}&client_secret={SECRET}&code={SECRET}"
    soap = f"<Envelope><urn:password>{SECRET}</urn:password><urn:sessionId>{SECRET}</urn:sessionId></Envelope>"
    with EchoServer(record=record) as server, httpx.Client(base_url=server.url) as client:
        client.post("/login", content=login, headers={"Content-Type": "application/x-www-form-urlencoded"})
        client.post("/soap", content=soap)
        client.post("/json", json={"access_token": SECRET, "refreshToken": "x", "nested": {"password": SECRET}})
        client.get("/x", headers={"Authorization": f"Bearer {SECRET}", "Cookie": f"sid={SECRET}"})
        client.get("/x", headers={"X-SFDC-Session": SECRET, "X-HubSpot-Signature-v3": SECRET})
        client.get("/x", params={"access_token": SECRET, "sid": SECRET, "q": "kept"})
        client.get(f"/oauth/v1/access-tokens/{SECRET}")
        client.post("/x", content=f"plain {SECRET}", headers={"Authorization": f"Bearer {SECRET}"})
        client.get("/x", auth=("user", SECRET))
        kept = repr(list(server.log))
    basic = base64.b64encode(f"user:{SECRET}".encode()).decode()
    for text in (kept, record.read_text()):
        assert SECRET not in text
        assert basic not in text
        assert HIDDEN in text
        assert "kept" in text


def test_redaction_leaves_data_alone() -> None:
    body = json.dumps({"StageName": "Closed", "code": "EUR", "note": 'says "token": 5', "tokens": [1]}).encode()
    assert redact_body(body) == body
    assert redact_body(b"") == b""
    assert redact_body(b"\xff\x00binary") == b"\xff\x00binary"


def test_the_log_in_memory_is_bounded_and_can_be_cleared() -> None:
    with EchoServer() as server, httpx.Client(base_url=server.url) as client:
        server.log._entries = type(server.log._entries)(maxlen=3)
        for number in range(5):
            client.get(f"/x/{number}")
        assert [entry.path for entry in server.log] == ["/x/2", "/x/3", "/x/4"]
        server.log.clear()
        assert len(server.log) == 0


def test_a_recorded_log_can_be_played_again(tmp_path: Path) -> None:
    record = tmp_path / "log.jsonl"
    with EchoServer(record=record) as server, httpx.Client(base_url=server.url) as client:
        client.post("/increment", headers={"Authorization": "Bearer of-that-day"})
        client.post("/echo/a%2Fb?x=1&x=%2B", content=b"\x00\xffbinary", headers={"X-Kept": "yes"})
        client.post("/json", content=b"not json")
        server.faults.add("drop_after")
        with pytest.raises(httpx.RemoteProtocolError):
            client.post("/increment")
    with EchoServer(record=tmp_path / "again.jsonl") as server:
        results = replay(record, server.url, headers={"Authorization": "Bearer of-today"})
        assert [(result.status_then, result.status_now) for result in results] == [
            (200, 200),
            (200, 200),
            (400, 400),
            (0, 200),
        ]
        assert server.value == 2
    then, now = (
        [json.loads(line) for line in file.read_text().splitlines()] for file in (record, tmp_path / "again.jsonl")
    )
    for key in ("method", "path", "query"):
        assert [entry[key] for entry in now] == [entry[key] for entry in then]
    assert now[1]["body_base64"] == then[1]["body_base64"]
    assert ["X-Kept", "yes"] in now[1]["headers"]


def test_a_broken_record_names_its_line(tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    file.write_text("{}\n")
    with pytest.raises(ValueError, match="line 1: not a record of a request"):
        replay(file, "http://127.0.0.1:9")
