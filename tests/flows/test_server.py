"""`sidefeed up` and `down`, on a real Prefect server with a real worker."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings
from typer.testing import CliRunner, Result

from flows.credentials import SalesforceCredentials
from flows.serve import settle_deployments
from sandbox.domino import DominoServer
from sidefeed.cli.project_files import settings_text, write_project
from sidefeed.cli.server import STATE, LocalServer, Process, RunFailed, ServerError, down, up
from sidefeed.project import Project
from sidefeed.workspace.report import FLOW_RUN
from tests.connectors.domino_office import NOW, meeting, with_people
from tests.flows.office import Office

commands = typer.Typer()
commands.command()(up)
commands.command()(down)


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(commands, list(arguments))


def living(group: int) -> list[int]:
    """The processes of a group that run; what has died and waits to be collected by its parent does not."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _parent, its_group = stat.read_text(errors="replace").rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(its_group) == group and state not in "ZX":
            found.append(int(stat.parent.name))
    return found


# -- without a server -------------------------------------------------------------------------------------------------


def test_up_outside_a_project_names_the_remedy(tmp_path: Path) -> None:
    told = invoke("up", "--project", str(tmp_path), "--json")
    assert told.exit_code == 2
    assert "sidefeed init" in json.loads(told.output)["error"]
    assert not (tmp_path / STATE).exists()


def test_a_port_that_is_taken_is_named_and_nothing_is_started(tmp_path: Path) -> None:
    write_project(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        told = invoke("up", "--project", str(tmp_path), "--port", str(port), "--json")
    assert told.exit_code == 2
    assert f"port {port} cannot be used" in json.loads(told.output)["error"]
    assert invoke("down", "--project", str(tmp_path), "--json").output.strip() == json.dumps(
        {"ok": True, "stopped": []}, indent=2)


def test_down_leaves_a_later_process_with_the_same_number_alone(tmp_path: Path) -> None:
    write_project(tmp_path)
    local = LocalServer(tmp_path)
    local._prepare()
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as bystander:
        local._record({"server": Process(bystander.pid, "long ago"), "worker": Process(2**22 + 1, "long ago")})
        assert local.stop() == []
        assert bystander.poll() is None
        bystander.kill()
    assert not (tmp_path / STATE / "server.json").exists()


def test_down_kills_what_will_not_end(tmp_path: Path) -> None:
    stubborn = subprocess.Popen(
        [sys.executable, "-c", "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); "
                               "time.sleep(60)"], start_new_session=True, stdout=subprocess.PIPE)
    assert stubborn.stdout is not None
    stubborn.stdout.readline()
    process = Process.of(stubborn.pid)
    assert process.alive()
    process.stop(0.2)
    assert not process.alive()
    stubborn.stdout.close()
    stubborn.wait()


def test_down_ends_what_a_dead_process_left_behind(tmp_path: Path) -> None:
    write_project(tmp_path)
    local = LocalServer(tmp_path)
    local._prepare()
    parent = subprocess.Popen(
        [sys.executable, "-c", "import subprocess; print(subprocess.Popen(['sleep', '60']).pid, flush=True); input()"],
        start_new_session=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert parent.stdout is not None and parent.stdout.readline().strip()
    local._record({"server": Process.of(parent.pid)})
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert len(living(parent.pid)) == 1
    assert parent.stdin is not None
    parent.stdin.close()
    assert local.stop() == [], "it was not running, but what it started was"
    assert living(parent.pid) == []


def test_secrets_are_made_once_and_only_their_owner_may_read_them(tmp_path: Path) -> None:
    write_project(tmp_path)
    local = LocalServer(tmp_path)
    local._prepare()
    secrets = {name: (local.state / name).read_text() for name in ("api-auth", "encryption-key")}
    local._prepare()

    assert {name: (local.state / name).read_text() for name in secrets} == secrets
    assert all((local.state / name).stat().st_mode & 0o077 == 0 for name in secrets)
    assert local.state.stat().st_mode & 0o077 == 0
    assert (local.state / ".gitignore").read_text() == "*\n"


def test_the_server_is_private_and_apart_from_the_users_own_prefect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_project(tmp_path)
    monkeypatch.setenv("PREFECT_API_URL", "https://prefect.example.com/api")
    monkeypatch.setenv("PREFECT_SERVER_DATABASE_CONNECTION_URL", "postgresql+asyncpg://elsewhere/prefect")
    local = LocalServer(tmp_path)
    local._prepare()
    environment = local.environment()

    assert environment["PREFECT_API_URL"].startswith("http://127.0.0.1:")
    assert "PREFECT_SERVER_DATABASE_CONNECTION_URL" not in environment
    assert Path(environment["PREFECT_HOME"]).parent == local.state
    assert environment["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
    assert environment["PREFECT_SERVER_EPHEMERAL_ENABLED"] == "false"
    assert environment["DO_NOT_TRACK"] == "1"


# -- with one ---------------------------------------------------------------------------------------------------------


class Running:
    """A company, its project, and what `sidefeed up` said. Its Salesforce session is in a block, nowhere else."""

    def __init__(self, office: Office, told: dict[str, Any]) -> None:
        self.office = office
        self.told = told
        self.local = LocalServer(office.folder)

    def ask(self, method: str, path: str, **body: Any) -> Any:
        with self.local._client(30.0) as client:
            return client.request(method, path, json=body or None).raise_for_status().json()

    def prefect(self) -> AbstractContextManager[object]:
        """Prefect's own client in this process speaks to this server."""
        login = Path(self.told["auth_file"]).read_text().strip()
        return temporary_settings({PREFECT_API_URL: self.told["api_url"], PREFECT_API_AUTH_STRING: login})

    def save_session(self, session_id: str) -> None:
        with self.prefect():
            SalesforceCredentials(session_id=session_id).save("salesforce", overwrite=True)

    def artifacts(self, run: dict[str, Any]) -> dict[str, Any]:
        found = self.ask("POST", "/artifacts/filter", artifacts={"flow_run_id": {"any_": [run["id"]]}})
        return {one["key"]: one["data"] for one in found}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("running") / "project"
    with Office(folder, session_id="stale", systems=("salesforce", "hubspot")) as office:
        told = invoke("up", "--project", str(folder), "--json")
        try:
            assert told.exit_code == 0, told.output
            yield Running(office, json.loads(told.output))
        finally:
            LocalServer(folder).stop()


@pytest.mark.slow
def test_up_brings_pool_blocks_deployments_and_a_locked_door(running: Running) -> None:
    told = running.told
    assert told["started"] is True
    assert told["deployments"] == [
        "caldav", "census", "daily", "domino", "everything", "exchange", "hubspot", "mapping", "microsoft365", "parked", "salesforce"]
    assert told["paused"] == told["deployments"]
    assert "never been synced" in told["why_paused"]
    assert httpx.get(f"{told['api_url']}/work_pools/sidefeed", trust_env=False).status_code == 401
    assert running.ask("GET", "/work_pools/sidefeed")["type"] == "sidefeed-in-process"
    assert {one["slug"] for one in running.ask("POST", "/block_types/filter")} >= {
        "sidefeed-salesforce", "sidefeed-hubspot", "sidefeed-exchange"}
    assert len(running.ask("POST", "/automations/filter")) == 1


@pytest.mark.slow
def test_a_system_that_refuses_us_fails_the_run_by_name(running: Running) -> None:
    run = running.local.run("sync/salesforce", {})
    assert (run["state_type"], run["state_name"]) == ("FAILED", "Failed")
    assert run["state"]["message"].startswith("salesforce: ")
    assert "sync-salesforce-attention" in running.artifacts(run)


@pytest.mark.slow
def test_a_flow_run_on_the_worker_does_what_the_command_line_does(running: Running, tmp_path: Path) -> None:
    running.save_session(running.office.session_id)
    report = running.local.sync()

    with Office(tmp_path / "twin", systems=("salesforce", "hubspot")) as twin:
        project = Project.load(twin.folder)
        with project.engine() as engine:
            by_command = engine.sync()
        project.close()
        assert report.counts == by_command.counts
        assert report.written == by_command.written
        assert running.office.workspace() == twin.workspace()
    assert report.ok
    assert report.counts["written"] > 300


@pytest.mark.slow
def test_a_run_leaves_its_counts_and_leads_to_the_workspaces_run(running: Running) -> None:
    run = running.local.run("sync-all/everything", {})
    assert run["state_type"] == "COMPLETED"
    ours = running.office.last_run()["id"]
    assert run["state"]["message"].endswith(ours)
    store = Project.load(running.office.folder).store()
    with store.read() as tx:
        assert str(tx.setting(f"{FLOW_RUN}{ours}")).endswith(f"/runs/flow-run/{run['id']}")
    store.close()
    table = json.loads(running.artifacts(run)["sync-all"])
    assert set(table[0]) == {"feed", "created", "updated", "deleted", "absorbed"}


@pytest.mark.slow
def test_the_forecast_runs_from_its_deployment(running: Running) -> None:
    run = running.local.run("forecast/daily", {"period": "all"})
    assert run["state_type"] == "COMPLETED"
    artifacts = running.artifacts(run)
    assert json.loads(artifacts["forecast"])[0]["deals"] > 50
    assert "hubspot" in artifacts["forecast-sources"]


@pytest.mark.slow
def test_a_guard_parks_the_run_until_somebody_approves(running: Running) -> None:
    running.office.delete_deals(60)
    parked = running.local.run("sync-all/everything", {})
    assert (parked["state_type"], parked["state_name"]) == ("FAILED", "Parked")
    assert "approve" in parked["state"]["message"]
    assert "mass\\-delete" in (page := running.artifacts(parked)["sync-all-attention"]) or "mass-delete" in page
    with pytest.raises(RunFailed, match="Parked"):
        running.local.sync()

    unknown = running.local.run("decide/parked", {"decision": "approve", "run": "no-such-run"})
    assert unknown["state_type"] == "FAILED" and "no-such-run" in unknown["state"]["message"]
    before = len(running.office.hubspot_deals())
    decided = running.local.run("decide/parked", {"decision": "approve", "run": "latest"})
    assert decided["state_type"] == "COMPLETED", decided["state"]["message"]
    gone = {row["feed"]: row["deleted"] for row in json.loads(running.artifacts(decided)["approved"])}
    assert before - len(running.office.hubspot_deals()) == gone["hubspot deals"] > 10
    nothing = running.local.run("decide/parked", {"decision": "approve", "run": "latest"})
    assert nothing["state_type"] == "FAILED" and "no run waits" in nothing["state"]["message"]

    running.office.delete_deals(25)
    assert running.local.sync(approve=True).written["hubspot deals"]["delete"] > 0


PRIVATE, BROKEN, PLACE = "Zahnarzttermin", "Gehaltsrunde", "Hinterzimmer"


def _plant_words(domino: DominoServer, person: str) -> None:
    """A private meeting, and one that cannot be read, whose words belong in no report."""
    domino.save(person, {**meeting(PRIVATE, location=PLACE), **with_people(person, "zoe@acme.example"),
                         "class": "private"})
    broken = domino.save(person, {**meeting(BROKEN, clock="13:00"), **with_people(person, "zoe@acme.example")})
    domino.condition("raw", mailbox=person, uid=broken, text=(
        f"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:{broken}\r\nSUMMARY:{BROKEN}\r\nDTSTART:soon\r\nEND:VEVENT\r\n"))


def _prefect_holds_no_word(running: Running, run: dict[str, Any], tasks: list[dict[str, Any]]) -> None:
    """Artifacts, logs and states of a run, as the server's interface answers them."""
    logs = running.ask("POST", "/logs/filter", logs={"flow_run_id": {"any_": [run["id"]]}})
    artifacts = running.artifacts(run)
    page = artifacts["sync-domino-attention"]
    assert logs and "unreadable" in page and "records need a person" in page
    told = json.dumps([artifacts, logs, run, tasks], ensure_ascii=False)
    assert [word for word in (PRIVATE, BROKEN, PLACE) if word in told] == []


@pytest.mark.slow
def test_a_calendar_system_is_synced_in_parts_each_a_task_and_one_mailbox_holds_back_no_other(
    running: Running, tmp_path: Path
) -> None:
    with DominoServer() as domino:
        domino.clock.fix(NOW)
        people = [f"rep{number}@corp.example" for number in range(5)]
        for person in people:
            domino.add_mail_file(person)
            domino.save(person, {**meeting("Everybody"), **with_people(people[0], *people[1:], "zoe@acme.example"),
                                 "id": "everybody@corp.example"})
        domino.condition("access_denied", mailbox=people[3])
        _plant_words(domino, people[0])
        info = domino.connection_info()
        write_project(tmp_path / "calendars", settings=settings_text({"domino": {
            "url": domino.url, "username": info["username"], "password": info["password"], "mailboxes": people,
            "window_future_days": 365}}))
        run = running.local.run("sync/domino", {"project": str(tmp_path / "calendars"), "shards": 3})
        tasks = running.ask("POST", "/task_runs/filter", task_runs={"flow_run_id": {"any_": [run["id"]]}})
    _prefect_holds_no_word(running, run, tasks)
    assert sorted(task["name"].partition("-")[0] for task in tasks) == ["sync", "sync 1/3", "sync 2/3", "sync 3/3"]
    assert run["state_type"] == "FAILED" and f"domino calendar/{people[3]}" in run["state"]["message"]
    assert "Everything else was synced" in run["state"]["message"]
    store = Project.load(tmp_path / "calendars").store()
    with store.read() as tx:
        read = [person for person in people if tx.cursor("domino", f"calendar/{person}").position]
        assert tx.lease_ends("sync:domino") is None
    store.close()
    assert read == [person for person in people if person != people[3]]


@pytest.mark.slow
def test_prefects_own_deploy_command_accepts_the_file(running: Running) -> None:
    done = subprocess.run(
        [str(Path(sys.executable).with_name("prefect")), "deploy", "--all", "--no-prompt"], check=False,
        cwd=running.office.folder, env=running.local.environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(running.ask("POST", "/deployments/filter")) == len(running.told["deployments"])


@pytest.mark.slow
def test_up_again_finds_both_at_work(running: Running) -> None:
    again = json.loads(invoke("up", "--project", str(running.office.folder), "--json").output)
    assert again["started"] is False
    assert again["processes"] == running.told["processes"]


@pytest.mark.slow
def test_a_worker_killed_while_writing_is_replaced_and_the_next_run_finishes(running: Running) -> None:
    office, worker = running.office, running.told["processes"]["worker"]
    for one in running.ask("POST", "/deployments/filter"):  # no run by schedule takes what this one is to be killed at
        running.ask("POST", f"/deployments/{one['id']}/pause_deployment")
    names = {f"Autumn campaign {number:02d}" for number in range(30)}
    for name in names:
        office.salesforce.call(office.salesforce.insert, "Opportunity", Name=name, StageName="Prospecting",
                               CloseDate="2027-01-31", Amount=1000)

    def kill(_ordinal: int, request: Any, phase: str) -> None:
        if phase == "after" and "/objects/deals/batch/create" in request.path:
            office.hubspot.on_request = None
            os.kill(worker, signal.SIGKILL)

    office.hubspot.on_request = kill
    with pytest.raises(ServerError, match="worker or the server died"):
        running.local.run("sync-all/everything", {})
    again = json.loads(invoke("up", "--project", str(office.folder), "--no-schedules", "--json").output)

    assert again["started"] is True
    assert again["processes"]["server"] == running.told["processes"]["server"]
    assert again["processes"]["worker"] != running.told["processes"]["worker"]
    found = running.ask("POST", "/flow_runs/filter", flow_runs={"state": {"type": {"any_": ["CRASHED", "RUNNING"]}}})
    assert [one["state_type"] for one in found if one["name"] == "sync-all"] == ["CRASHED"]
    assert running.local.sync().ok
    deals = [row["dealname"] for row in office.hubspot_deals()]
    assert names <= set(deals)
    assert not [name for name in names if deals.count(name) > 1]


@pytest.mark.slow
def test_schedules_of_a_synced_project_run_but_not_those_of_systems_it_lacks(running: Running) -> None:
    assert running.local._synced_before()

    async def settle() -> dict[str, Any]:
        async with get_client() as client:
            return await settle_deployments(client, running.office.folder, schedules=True)

    with running.prefect():
        settled = asyncio.run(settle())
    lacking = ["caldav", "domino", "exchange", "microsoft365"]
    assert settled["paused"] == lacking
    found = {one["name"]: one["paused"] for one in running.ask("POST", "/deployments/filter")}
    assert sorted(name for name, paused in found.items() if paused) == lacking


@pytest.mark.slow
def test_down_leaves_no_process_even_where_one_had_died(running: Running) -> None:
    processes = running.local._recorded()
    os.kill(processes["server"].pid, signal.SIGKILL)
    while processes["server"].alive():
        time.sleep(0.01)

    told = invoke("down", "--project", str(running.office.folder), "--json")
    assert json.loads(told.output)["stopped"] == ["worker"]
    assert not any(process.alive() for process in processes.values())
    for process in processes.values():
        assert not living(process.pid)
    with pytest.raises((ServerError, httpx.HTTPError)):
        running.local.sync()
