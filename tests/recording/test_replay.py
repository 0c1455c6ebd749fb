"""A recording answers again: the same run on the recorded answers comes to the same end."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from sandbox.hubspot import HubSpotServer
from sandbox.kit import Fault
from sandbox.launch import LaunchError
from sandbox.replay import ReplayServer, read
from sandbox.salesforce import SalesforceServer
from sidefeed.cli import app
from sidefeed.cli.project_files import settings_text, write_project
from tests.test_command_line import Desk


def sync(folder: Path, *options: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(CliRunner().invoke(app, ["sync", "-C", str(folder), "--json", *options]).stdout)
    return told


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A first sync on a day on which HubSpot throttled once, and what it reported."""
    folder = tmp_path_factory.mktemp("recorded")
    file = folder / "calls.jsonl"
    with SalesforceServer(tls=True) as salesforce, HubSpotServer() as hubspot:
        desk = Desk(folder, salesforce, hubspot)
        account = desk.sf("Account", Name="Acme", Website="https://acme.example")
        desk.sf("Opportunity", Name="Pumps", AccountId=account, Amount=1200.5, StageName="Prospecting",
                CloseDate="2027-01-15")
        hubspot.faults.add(Fault("ratelimit", path="*/batch/create"))
        return file, sync(folder, "--record-calls", str(file), "--record-bodies")


@pytest.mark.slow
def test_a_run_on_recorded_answers_ends_as_the_recorded_one_did(
    tmp_path: Path, recording: tuple[Path, dict[str, Any]]
) -> None:
    file, before = recording
    calls = read(file)
    with ReplayServer(calls["salesforce"], tls=True) as salesforce, ReplayServer(calls["hubspot"]) as hubspot:
        write_project(tmp_path, settings=settings_text({
            "salesforce": {"auth": "session", "instance_url": salesforce.url, "session_id": "any",
                           "ca_file": str(salesforce.ca_file)},
            "hubspot": {"access_token": "any", "host": hubspot.url}}))
        again = sync(tmp_path)
        assert (hubspot.missed, salesforce.missed, hubspot.left, salesforce.left) == ([], [], [], [])
        assert hubspot.crashes == salesforce.crashes == []
    assert before["written"] == {"hubspot companies": {"create": 1}, "hubspot deals": {"create": 1}}
    for part in ("written", "absorbed", "counts", "calls"):
        assert again[part] == before[part], part
    assert [(one["code"], one["field"]) for one in again["problems"]] == [
        (one["code"], one["field"]) for one in before["problems"]]


@pytest.mark.slow
def test_what_was_not_recorded_is_refused_and_told(recording: tuple[Path, dict[str, Any]]) -> None:
    lines = read(recording[0])["hubspot"]
    with ReplayServer(lines) as server:
        assert httpx.get(f"{server.url}/crm/v3/objects/tickets").status_code == 501
        assert server.missed == ["GET /crm/v3/objects/tickets"] and len(server.left) == len(lines)


def test_a_recording_without_bodies_and_a_file_that_is_none_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "calls.jsonl"
    file.write_text('{"system": "hubspot"}\n')
    with pytest.raises(LaunchError, match="line 1: without bodies"):
        read(file)
    result = CliRunner().invoke(app, ["sandbox", "replay", str(tmp_path / "none"), "--json"])
    assert result.exit_code == 2 and "cannot be read" in json.loads(result.stdout)["error"]


@pytest.mark.slow
def test_the_command_serves_until_it_is_stopped_and_tells_what_was_missed(
    recording: tuple[Path, dict[str, Any]]
) -> None:
    served = subprocess.Popen([sys.executable, "-m", "sidefeed", "sandbox", "replay", str(recording[0]), "--json"],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert served.stdout is not None and served.stderr is not None
        there = json.loads(served.stdout.readline())["servers"]
        assert there.keys() == {"salesforce", "hubspot"}
        context = ssl.create_default_context(cafile=there["hubspot"]["ca_file"])
        assert httpx.get(f"{there['hubspot']['url']}/nobody/asked", verify=context).status_code == 501
    finally:
        served.terminate()
        assert served.wait(20) == 1
    assert "GET /nobody/asked" in served.stderr.read()
