"""Calls recorded by a command on practice servers, and looked into: complete, without secrets, in nobody's way."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sandbox.hubspot import HubSpotServer
from sandbox.kit import Fault
from sandbox.salesforce import SalesforceServer
from sidefeed.cli import app
from sidefeed.connector import Connector, ConnectorError, Stream, Write
from sidefeed.project import Project
from sidefeed.recording import Recorder
from tests.test_command_line import Desk

SUBJECT = "Layoffs at Acme"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with SalesforceServer(tls=True) as salesforce, HubSpotServer() as hubspot:
        yield Desk(tmp_path, salesforce, hubspot)
        assert salesforce.crashes == hubspot.crashes == []


def calls(file: Path, *options: str) -> dict[str, Any]:
    result = CliRunner().invoke(app, ["calls", str(file), *options, "--json"])
    assert result.exit_code == 0, result.stdout
    found: dict[str, Any] = json.loads(result.stdout)
    return found


@pytest.mark.slow
def test_every_call_that_counts_is_recorded_and_no_secret_or_word_of_a_meeting(desk: Desk) -> None:
    account = desk.sf("Account", Name="Acme", Website="https://acme.example")
    desk.sf("Opportunity", Name="Pumps", AccountId=account, Amount=1200.5, StageName="Prospecting",
            CloseDate="2027-01-15")
    person = desk.sf("Contact", LastName="Ito", Email="ito@acme.example", AccountId=account)
    desk.sf("Event", Subject=SUBJECT, Location="Room Zugspitze", Description="Whom we let go", WhoId=person,
            StartDateTime="2026-12-01T10:00:00Z", EndDateTime="2026-12-01T11:00:00Z")
    file = desk.folder / "calls.jsonl"
    report = desk("sync", "--record-calls", str(file), "--record-bodies")[1]
    found = calls(file)
    lines = found["calls"]
    for system, told in report["calls"].items():
        assert sum(line["system"] == system for line in lines) == told["used"], system
    assert [line["number"] for line in lines] == list(range(1, len(lines) + 1))
    assert {line["run"] for line in lines} == {report["run"]} and {line["command"] for line in lines} == {"sync"}
    assert sum(one["calls"] for one in found["totals"]) == len(lines) == found["recorded"]
    assert all(line["request_id"] for line in lines)
    assert oct(file.stat().st_mode)[-3:] == "600"

    text = file.read_text()
    secrets = [str(values.get("session_id") or values["access_token"]) for values in desk.settings.values()]
    assert [word for word in (*secrets, SUBJECT, "Zugspitze", "let go", "Authorization", "Cookie") if word in text] == []
    assert "Pumps" in text and "1200.5" in text, "what is no meeting's is there for whoever looks for it"
    (event,) = [line for line in lines if line["operation"] == "Event" and "query" in line["url"]]
    (row,) = json.loads(event["body_in"])["records"]
    assert row["Subject"].startswith("(withheld ") and row["StartDateTime"].startswith("2026-12-01T10:00:00")
    assert {line["left_out"] for line in lines} == {""}


def test_what_a_system_repeats_of_a_secret_or_of_a_meeting_is_stripped_too(desk: Desk) -> None:
    token = str(desk.settings["hubspot"]["access_token"])
    said = {"status": "error", "correlationId": "c-1", "category": "VALIDATION_ERROR", "message": f"{SUBJECT!r} is too long",
            "context": {"values": [SUBJECT, f"for {SUBJECT[:13]}..."]}, "links": {"help": f"https://h.example/?k={token}"}}
    desk.hubspot.faults.add(Fault("status", path="*/meetings/batch/create", args={"status": 400, "body": said}))
    project = Project.load(desk.folder)
    project.recorder = Recorder(desk.folder / "calls.jsonl", bodies=True)
    with project.engine(["hubspot"]) as engine:
        values = {"hs_meeting_title": SUBJECT, "hs_timestamp": "2026-12-01T10:00:00Z"}
        write = Write("w", "create", values, external_key="rec-1:1")
        (outcome,) = engine.connectors["hubspot"].write(Stream("meetings"), [write])
    project.close()
    project.recorder.close()
    assert outcome.status == "refused" and outcome.error is not None
    text = (desk.folder / "calls.jsonl").read_text()
    assert [word for word in (token, SUBJECT, SUBJECT[:13]) if word in text] == []
    (line,) = calls(desk.folder / "calls.jsonl", "--status", "400")["calls"]
    assert (line["codes"], line["error"]) == (["VALIDATION_ERROR"], "invalid")
    assert "is too long" in line["body_in"] and "https://h.example/?k=[stripped]" in line["body_in"]
    assert json.loads(line["body_out"])["inputs"][0]["properties"]["hs_timestamp"] == values["hs_timestamp"]


def test_without_the_option_nothing_listens_and_without_bodies_none_is_kept(desk: Desk) -> None:
    desk.hubspot.call(lambda: desk.hubspot.create("companies", name="Acme Secret Works", domain="acme.example"))
    file = desk.folder / "calls.jsonl"
    code, told = desk("sync", "--record-bodies")
    assert code == 2 and "--record-calls FILE" in told["error"]
    assert desk("plan", "hubspot", "--record-calls", str(file))[0] == 0
    (line, *_rest) = calls(file)["calls"]
    assert line["run"] is None and line["command"] == "plan" and "body_in" not in line
    assert "Acme Secret Works" not in file.read_text()
    before = file.read_bytes()
    desk("plan", "hubspot")
    assert file.read_bytes() == before


def test_a_file_that_is_there_is_left_as_it_is(desk: Desk) -> None:
    file = desk.folder / "calls.jsonl"
    file.write_text("mine")
    code, told = desk("sync", "--record-calls", str(file))
    assert code == 2 and "exists already" in told["error"] and file.read_text() == "mine"
    code, told = desk("sync", "--record-calls", str(desk.folder / "nowhere" / "calls.jsonl"))
    assert code == 2 and "No such file or directory" in told["error"]
    assert desk.hubspot.call(desk.hubspot.records, "companies") == [], "refused before anything was done"
    code, told = desk("sync", "nosuch", "--record-calls", str(desk.folder / "new.jsonl"))
    assert code == 2 and not (desk.folder / "new.jsonl").exists(), "no empty file is left in the way"
    result = CliRunner().invoke(app, ["calls", str(file), "--json"])
    assert result.exit_code == 2 and "line 1: not a recorded call" in json.loads(result.stdout)["error"]


def test_what_went_wrong_is_found_by_status_by_code_and_by_request_id(desk: Desk) -> None:
    desk.hubspot.faults.add(Fault("ratelimit", count=1, path="*/objects/companies*"))
    file = desk.folder / "calls.jsonl"
    desk("plan", "hubspot", "--record-calls", str(file), "--record-bodies")
    refused = calls(file, "--status", "429")["calls"]
    assert [(line["error"], line["codes"], line["retry"]) for line in refused] == [
        ("rate-limited", ["RATE_LIMIT"], 0)]
    assert refused == calls(file, "--status", "failed")["calls"]
    assert refused == calls(file, "--about", "rate_limit", "--system", "hubspot")["calls"]
    (again,) = [line for line in calls(file)["calls"] if line["retry"] == 1]
    assert again["status"] == 200 and again["url"] == refused[0]["url"]
    assert calls(file, "--about", refused[0]["request_id"])["calls"] == refused
    assert calls(file, "--slow", "1000000")["calls"] == [] == calls(file, "--system", "salesforce", "--status",
                                                                    "5xx")["calls"]
    (total,) = [one for one in calls(file)["totals"] if one["failed"]]
    assert (total["failed"], total["retries"]) == (1, 1)
    shown = CliRunner().invoke(app, ["calls", str(file), "--show", str(refused[0]["number"])]).stdout
    assert refused[0]["request_id"] in shown and "RATE_LIMIT" in shown and "X-HubSpot-Correlation-Id" in shown
    table = CliRunner().invoke(app, ["calls", str(file), "--status", "failed"]).stdout
    assert table.startswith("1 of ") and "rate-limited, RATE_LIMIT" in table
    assert CliRunner().invoke(app, ["calls", str(file), "--status", "often"]).exit_code == 2


def test_a_wrong_token_and_a_host_that_answers_nobody_are_recorded_too(desk: Desk) -> None:
    desk.write(hubspot={"access_token": "pat-wrong-token"},
               salesforce={"instance_url": "https://127.0.0.1:1", "attempts": 1})
    file = desk.folder / "calls.jsonl"
    assert desk("sync", "--record-calls", str(file))[0] == 4
    errors = {line["system"]: (line["status"], line["error"]) for line in calls(file)["calls"]}
    assert errors == {"hubspot": (401, "authentication-failed"), "salesforce": (None, "no-connection")}
    assert "pat-wrong-token" not in file.read_text()
    assert calls(file, "--status", "none")["calls"][0]["system"] == "salesforce"


@pytest.mark.slow
def test_each_command_that_asks_the_systems_can_be_recorded(desk: Desk) -> None:
    desk.sf("Account", Name="Acme", Website="https://acme.example")
    plan = desk.folder / "plan.json"
    desk("plan", "--out", str(plan))
    run = ""
    for command in (["apply", str(plan)], ["census"], ["trace", "Acme"], ["retry"], ["undo", ""]):
        file = desk.folder / f"{command[0]}.jsonl"
        report = desk(*(each or run for each in command), "--record-calls", str(file))[1]
        run = run or report["run"]
        found = calls(file)
        assert {line["command"] for line in found["calls"]} == {command[0]}
        if "calls" in report:
            assert sum(one["used"] for one in report["calls"].values()) == found["recorded"], command


def test_an_answer_that_breaks_off_ends_alike_with_and_without_a_recording(desk: Desk) -> None:
    endings = []
    for recorded in (False, True):
        desk.salesforce.faults.clear()
        desk.salesforce.faults.add(Fault("truncate", count=10, path="*/query*"))
        with salesforce(desk) as connector:
            recorder = Recorder(desk.folder / "calls.jsonl") if recorded else None
            if recorder is not None:
                recorder.listen("salesforce", connector, {})
            with pytest.raises(ConnectorError) as ended:
                connector.marker()
            endings.append((type(ended.value), ended.value.message, connector.calls.used))
    assert endings[0] == endings[1]
    assert {line["error"] for line in calls(desk.folder / "calls.jsonl")["calls"]} == {"no-answer"}


def test_a_recording_that_cannot_be_written_does_not_stop_what_it_records(desk: Desk) -> None:
    with salesforce(desk) as connector:
        recorder = Recorder(desk.folder / "calls.jsonl")
        recorder.listen("salesforce", connector, {})
        assert recorder._descriptor is not None
        full = os.open("/dev/full", os.O_WRONLY)
        os.dup2(full, recorder._descriptor)
        os.close(full)
        assert connector.marker()
        recorder.close()
    assert (recorder.written, recorder.lost > 0, recorder.trouble) == (0, True, "No space left on device")


@contextmanager
def salesforce(desk: Desk) -> Iterator[Connector]:
    """The connector on the desk's server, which tries everything once."""
    desk.write(salesforce={"attempts": 1})
    project = Project.load(desk.folder)
    yield project.connector("salesforce")
    project.close()
