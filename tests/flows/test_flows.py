"""What flows do, without a Prefect server: the same as the command line, and an end state that says what happened."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import pytest
from prefect.client.schemas.objects import StateType
from prefect.logging import disable_run_logger
from typer.testing import CliRunner

from flows import forecast as forecast_flows
from flows.outcome import ATTENTION, BUSY, PARKED, SHOWN, Outcome, safe
from flows.sync import LOG_LINES, Narrator, project_folder, synchronise
from sidefeed.cli.project_files import write_project
from sidefeed.project import Project, ProjectError
from sidefeed.sync import Problem, Report
from tests.flows.office import Office

HOW = "prefect deployment run sync-all/everything -p approve=true"


def run(office: Office, *systems: str, approve: bool = False) -> Outcome:
    with disable_run_logger():
        outcome: Outcome = synchronise.fn(office.folder, systems or None, approve=approve, confirm_mapping=False)
    return outcome


def test_a_flow_does_what_the_command_line_does(tmp_path: Path) -> None:
    from sidefeed.cli import app

    with Office(tmp_path / "by-flow") as by_flow, Office(tmp_path / "by-command") as by_command:
        outcome = run(by_flow)
        told = CliRunner().invoke(app, ["sync", "--project", str(by_command.folder), "--json"])

        assert outcome.report is not None
        by_hand = json.loads(told.output)
        assert by_hand["written"] == outcome.report.written
        assert by_hand["counts"] == outcome.report.counts
        assert by_command.workspace() == by_flow.workspace()
        assert len(by_command.deals()) == len(by_flow.deals())
        assert outcome.report.counts["written"] > 300


def test_a_run_after_a_quiet_run_writes_nothing_and_counts_its_calls(office: Office) -> None:
    run(office)
    run(office)
    again = run(office)

    assert again.report is not None
    assert "written" not in again.report.counts
    assert again.rows() == [
        {"feed": "everything agreed", "created": 0, "updated": 0, "deleted": 0, "absorbed": 0}]
    assert again.state(HOW).type == StateType.COMPLETED
    assert (again.state(HOW).message or "").endswith(office.last_run()["id"])
    assert again.calls["hubspot"]["used"] == again.calls["hubspot"]["minimum"] > 0


def test_one_system_is_synced_without_the_others(office: Office) -> None:
    run(office, "hubspot")

    linked = office.workspace()["linked"]
    assert linked["hubspot deals"] > 90
    assert "salesforce Opportunity" not in linked


@pytest.mark.slow
def test_a_system_that_fails_fails_the_run_by_name_and_holds_back_no_other(office: Office) -> None:
    office.hubspot.stop()
    outcome = run(office)

    state = outcome.state(HOW)
    assert state.type == StateType.FAILED
    assert state.message is not None
    assert state.message.startswith("hubspot: ")
    assert "salesforce" not in state.message
    assert office.workspace()["linked"]["salesforce Opportunity"] > 90
    assert "hubspot" in outcome.page()


def test_a_tripped_guard_parks_the_run_and_approval_lets_it_pass(office: Office) -> None:
    run(office)
    office.delete_deals(60)
    in_hubspot = office.workspace()["linked"]["hubspot deals"]

    parked = run(office)
    state = parked.state(HOW)
    assert (state.type, state.name) == (StateType.FAILED, PARKED)
    assert HOW in (state.message or "")
    assert "mass-delete" in parked.page()
    assert office.workspace()["linked"]["hubspot deals"] == in_hubspot
    assert office.last_run()["state"] == "parked"

    assert run(office, approve=True).state(HOW).type == StateType.COMPLETED
    assert office.workspace()["linked"]["hubspot deals"] < in_hubspot


def test_a_run_beside_another_ends_busy_and_names_the_holder(office: Office) -> None:
    store = Project.load(office.folder).store()
    with store.lease("sync:hubspot", "another run"):
        outcome = run(office)
    store.close()

    state = outcome.state(HOW)
    assert (state.type, state.name) == (StateType.CANCELLED, BUSY)
    assert "another run" in (state.message or "")


@pytest.mark.parametrize(("settings", "word"), [
    ("[systems.salesforce\n", "not valid TOML"),
    ("workspace = 5\n", "workspace"),
    ('[systems.hubspot]\nacess_token = "x"\n', "access_token"),
])
def test_settings_that_cannot_be_used_fail_the_run_with_their_remedy(office: Office, settings: str, word: str) -> None:
    (office.folder / "sidefeed.toml").write_text(settings)
    state = run(office).state(HOW)

    assert state.type == StateType.FAILED
    assert word in (state.message or "")


def test_a_folder_that_is_no_project_fails_the_run_and_names_the_remedy(tmp_path: Path) -> None:
    with disable_run_logger():
        outcome = synchronise.fn(tmp_path, None, approve=False, confirm_mapping=False)
    assert "sidefeed init" in (outcome.state(HOW).message or "")


def test_problems_end_in_attention_and_stand_in_a_table_that_their_text_cannot_break() -> None:
    hostile = "<script>alert(1)</script> | [x](http://evil) `rm`\n# heading"
    report = Report("r1", {"written": 3}, problems=[
        Problem("salesforce", "Opportunity", hostile, "name", "too-long", "cut it", "rep") for _ in range(SHOWN + 5)])
    outcome = Outcome(report)

    state = outcome.state(HOW)
    assert (state.type, state.name) == (StateType.COMPLETED, ATTENTION)
    rows = [line for line in outcome.page().splitlines() if "too\\-long" in line or "too-long" in line]
    assert len(rows) == SHOWN
    assert "<script>" not in outcome.page()
    assert all(line.replace("\\|", "").count("|") == 8 for line in rows)
    assert "5 more" in outcome.page()


def test_markdown_from_outside_is_shown_as_it_is_written() -> None:
    assert safe("a*b_c") == "a\\*b\\_c"
    assert safe("one\ntwo") == "one two"
    assert safe(None) == "None"


def test_progress_becomes_a_bounded_number_of_lines() -> None:
    lines: list[str] = []
    narrator = Narrator(lines.append)
    for page in range(3):
        narrator("reading hubspot deals", 100 + page)
    narrator("reading hubspot meetings", 0)
    narrator.finish()
    assert lines == ["reading hubspot deals: 303"]

    for number in range(1_000):
        narrator(f"reading mailbox {number}", 1)
    narrator.finish()
    assert len(lines) == LOG_LINES


def test_the_project_is_the_parameter_else_the_workers_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SIDEFEED_PROJECT", str(tmp_path))
    assert project_folder(None) == tmp_path
    assert project_folder("/elsewhere") == Path("/elsewhere")
    monkeypatch.delenv("SIDEFEED_PROJECT")
    assert project_folder(None) == Path()


def test_the_forecast_flow_shows_the_sources_side_by_side(office: Office) -> None:
    run(office)
    with disable_run_logger():
        found: dict[str, Any] = forecast_flows.roll_up.fn(office.folder)

    assert {row["source"] for row in found["sources"]} == {"workspace", "salesforce", "hubspot"}
    page = forecast_flows.page(found)
    assert page.count("| USD |") == 3
    assert "hubspot complete to" in page
    assert "| created |" in page
    assert found["snapshot"]["deals"] > found["nodes"][0]["deals"] > 50


class _Inbox(BaseHTTPRequestHandler):
    """Takes what an Apprise json:// address is sent, over a real socket."""

    taken: ClassVar[list[dict[str, Any]]] = []
    answer: ClassVar[int] = 200

    def do_POST(self) -> None:
        self.taken.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(self.answer)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


def test_the_summary_is_sent_to_each_address_and_a_refusal_is_said(tmp_path: Path) -> None:
    write_project(tmp_path, settings='[forecast]\nnotify_file = "addresses.txt"\n')
    with disable_run_logger():
        found = forecast_flows.roll_up.fn(tmp_path)
        with pytest.raises(ProjectError, match="cannot be read"):
            forecast_flows.send.fn(tmp_path, found)
        (tmp_path / "addresses.txt").write_text("# nobody yet\n")
        with pytest.raises(ProjectError, match="Write one Apprise address on a line"):
            forecast_flows.send.fn(tmp_path, found)
        with HTTPServer(("127.0.0.1", 0), _Inbox) as server:
            Thread(target=server.serve_forever, daemon=True).start()
            (tmp_path / "addresses.txt").write_text(f"json://127.0.0.1:{server.server_port}/?token=secret\n")
            assert forecast_flows.send.fn(tmp_path, found) == 1
            _Inbox.answer = 500
            with pytest.raises(ProjectError, match="1 of 1 addresses") as refused:
                forecast_flows.send.fn(tmp_path, found)
            server.shutdown()
    assert _Inbox.taken[0]["title"] == "committed all: nothing"
    assert "As of " in _Inbox.taken[0]["message"]
    assert "secret" not in str(refused.value)


def test_asking_for_help_imports_no_prefect() -> None:
    program = ("import sys, sidefeed.cli, sidefeed.cli.server, flows; "
               "sys.exit(any(name in sys.modules for name in ('prefect', 'httpx', 'pandas')))")
    assert subprocess.run([sys.executable, "-c", program], env=os.environ, check=False).returncode == 0


def test_the_nightly_look_finds_what_changed_in_a_system(office: Office) -> None:
    from flows.mapping import look_at_systems

    def drifted() -> list[dict[str, Any]]:
        return [one for one in look_at_systems.fn(office.folder) if one["code"].startswith("drift-")]

    assert drifted() == []
    office.hubspot.call(office.hubspot.load_schema, {"pipelines": {"deals": [
        {"id": "more", "label": "More", "displayOrder": 1, "stages": [
            {"id": "r1", "label": "Renewing", "displayOrder": 0, "metadata": {"probability": "0.5"}}]}]}})
    (one,) = drifted()
    assert (one["code"], one["severity"]) == ("drift-value-added", "warning")
    assert "(Renewing)" in one["what"]
    assert one["where"].startswith("mappings/hubspot.yaml:")
