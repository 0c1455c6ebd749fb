"""`sandbox up`: servers started together, filled, described to whoever connects, and stopped cleanly."""

from __future__ import annotations

import contextlib
import json
import random
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from sandbox import launch
from sandbox.kit import Control
from sandbox.launch import LaunchError, Sandbox, describe, up


@pytest.fixture(autouse=True)
def two_systems(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two small systems stand in for the real ones, which have tests of their own."""
    monkeypatch.setattr(
        launch, "SERVERS", {"one": "tests.sandbox.echo:EchoServer", "two": "tests.sandbox.echo:EchoServer"}
    )


def value(sandbox: Sandbox, name: str) -> int:
    return int(httpx.post(f"{sandbox[name].url}/increment").json()["value"])


def test_all_systems_start_empty_unless_named() -> None:
    with Sandbox() as sandbox:
        assert set(sandbox.servers) == {"one", "two"}
        assert (value(sandbox, "one"), value(sandbox, "two")) == (1, 1)
    with Sandbox(["two"]) as sandbox:
        assert set(sandbox.servers) == {"two"}


def test_a_seed_fills_every_system() -> None:
    with Sandbox(seed=40) as sandbox:
        assert (value(sandbox, "one"), value(sandbox, "two")) == (41, 41)


def test_data_files_are_loaded_per_system(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "Value.json").write_text('{"records": [{"value": 10}]}')
    (tmp_path / "one" / "Value.csv").write_text("value,note\n5,\n6,x\n")
    (tmp_path / "one" / "notes.txt").write_text("not data")
    with Sandbox(data=tmp_path) as sandbox:
        assert (value(sandbox, "one"), value(sandbox, "two")) == (22, 1)


def test_a_schema_file_goes_to_its_system(tmp_path: Path) -> None:
    schema = tmp_path / "schema.yaml"
    schema.write_text("one:\n  generous: true\n")
    with Sandbox(schema=schema) as sandbox:
        assert (value(sandbox, "one"), value(sandbox, "two")) == (2, 1)


def test_clocks_are_fixed_alike_and_move_apart() -> None:
    with Sandbox(fixed_clock="2026-03-02T09:00:00Z") as sandbox:
        sandbox["one"].clock.move(hours=1)
        assert sandbox["one"].clock.now().hour == 10
        assert sandbox["two"].clock.now().hour == 9


def test_chosen_ports_follow_each_other() -> None:
    port = _free_ports()
    with Sandbox(port=port) as sandbox:
        assert [server.port for server in sandbox.servers.values()] == [port, port + 1]
        assert [server.control_port for server in sandbox.servers.values()] == [port + 10, port + 11]


def _free_ports() -> int:
    """A port with the others of this test free above it, outside the range that the system hands out."""
    while True:
        found = random.randrange(20_000, 32_000)
        with contextlib.ExitStack() as probes, contextlib.suppress(OSError):
            for offset in (0, 1, 10, 11):
                probes.enter_context(socket.socket()).bind(("127.0.0.1", found + offset))
            return found


def test_one_authority_signs_for_all_and_leaves_no_file() -> None:
    with Sandbox(tls=True) as sandbox:
        connections = sandbox.connections()
        files = {connection["ca_file"] for connection in connections.values()}
        [ca_file] = files
        context = ssl.create_default_context(cafile=ca_file)
        for connection in connections.values():
            assert httpx.get(f"{connection['url']}/x", verify=context).status_code == 200
    assert not Path(ca_file).exists()


def test_several_systems_record_in_a_file_each(tmp_path: Path) -> None:
    with Sandbox(record=tmp_path / "day.jsonl") as sandbox:
        value(sandbox, "one")
    assert [file.name for file in tmp_path.iterdir()] == ["day.one.jsonl"]
    with Sandbox(["two"], record=tmp_path / "alone.jsonl") as sandbox:
        value(sandbox, "two")
    assert (tmp_path / "alone.jsonl").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"names": ["three"]}, "no practice server 'three'; there are: one, two"),
        ({"seed": 1, "data": Path("x")}, "not both"),
        ({"data": Path("/nonexistent")}, "holds no folder named after a system"),
        ({"schema": Path("/nonexistent.yaml")}, "No such file"),
        ({"fixed_clock": "yesterday"}, "write it as 2026-03-02T09:00:00Z"),
    ],
)
def test_what_cannot_be_started_says_what_to_change(options: dict[str, Any], message: str) -> None:
    with pytest.raises(LaunchError, match=re.escape(message)):
        Sandbox(**options)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("one/Value.json", "{", "not JSON"),
        ("one/Value.json", "[1]", "neither a list of records"),
        ("one/Value.csv", "note\nx\n", "one: Value: a record has no value"),
    ],
)
def test_bad_data_names_system_or_file(tmp_path: Path, file: str, content: str, message: str) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / file).write_text(content)
    with pytest.raises(LaunchError, match=message):
        Sandbox(data=tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("three: {}", "no practice server 'three'"),
        ("- 1", "one section per system"),
        ("a: b: c", "not YAML"),
    ],
)
def test_bad_schema_files_are_explained(tmp_path: Path, content: str, message: str) -> None:
    schema = tmp_path / "schema.yaml"
    schema.write_text(content)
    with pytest.raises(LaunchError, match=message):
        Sandbox(schema=schema)


def test_a_taken_port_starts_none() -> None:
    before = set(threading.enumerate())
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(LaunchError, match="choose another --port"), Sandbox(port=taken.getsockname()[1]):
            pass
    assert set(threading.enumerate()) == before


def test_up_prints_how_to_connect_and_stops_when_told() -> None:
    printed: list[str] = []
    done = threading.Event()
    statuses: list[int] = []

    def client(text: str) -> None:
        printed.append(text)
        url = json.loads(text)["servers"]["one"]["url"]
        statuses.append(httpx.get(f"{url}/x").status_code)
        done.set()

    up(["one"], json_output=True, write=client, until=done)
    connection = json.loads(printed[0])["servers"]["one"]
    assert statuses == [200]
    assert connection["credentials"] == {"token": "echo-token"}
    assert set(connection) == {"url", "control_url", "ca_file", "credentials"}
    with pytest.raises(httpx.ConnectError):
        httpx.get(connection["url"])


def test_the_description_for_people_holds_all_that_a_client_needs() -> None:
    text = describe(
        {
            "one": {
                "url": "https://127.0.0.1:1",
                "control_url": "http://127.0.0.1:2",
                "ca_file": "ca.pem",
                "credentials": {"token": "t", "users": [{"name": "ada", "password": "p"}], "more": {"deep": 1}},
            }
        }
    )
    for part in ("https://127.0.0.1:1", "http://127.0.0.1:2", "ca.pem", "ada", "deep", "Stop with Ctrl-C"):
        assert part in text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_serves_until_a_signal_and_ends_well(number: signal.Signals) -> None:
    arguments = ["up", "salesforce", "--json", "--tls", "--fixed-clock", "2026-03-02T09:00:00Z"]
    with subprocess.Popen(
        [sys.executable, "-m", "sandbox", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        line = process.stdout.readline()
        assert line, process.stderr.read()
        connection = json.loads(line)["servers"]["salesforce"]
        with Control(connection["control_url"]) as control:
            assert control.health()["name"] == "salesforce"
            assert control.now().isoformat() == "2026-03-02T09:00:00+00:00"
        process.send_signal(number)
        _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (0, "")
    assert not Path(connection["ca_file"]).exists()


def test_the_command_explains_what_it_cannot_do() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "sandbox", "up", "lotus"], capture_output=True, text=True, timeout=20, check=False
    )
    assert run.returncode == 2
    assert run.stderr == "no practice server 'lotus'; there are: salesforce, hubspot, exchange, graph, domino\n"
