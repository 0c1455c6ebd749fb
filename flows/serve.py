"""``python -m flows.serve``: make a Prefect server ready for a project, then work for it.

Registration and worker share one process because importing Prefect is most of what either costs. Everything here is
idempotent: it brings the server to what ``prefect.yaml`` and the project's settings say, whatever it held before.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import tomllib
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
from prefect.automations import AutomationCore, EventTrigger, Posture
from prefect.cli import app as prefect_command
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterTags,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.exceptions import ObjectAlreadyExists
from prefect.states import Crashed
from ruamel.yaml import YAML

from flows.credentials import BLOCKS
from flows.outcome import ATTENTION, BUSY, PARKED
from flows.sync import PROJECT_VARIABLE
from flows.worker import InProcessWorker, lost

POOL = "sidefeed"
TAG = "sidefeed"
POOL_LIMIT = 4
"""Runs at once. A laptop's server keeps its state in SQLite, which fails under modest concurrency."""

ZOMBIES = "sidefeed: runs without a heartbeat have crashed"
HEARTBEAT_LOST = timedelta(seconds=90)
"""Three missed heartbeats of the 30 seconds that `sidefeed up` sets."""


def main(arguments: list[str] | None = None) -> int:
    """Register, say so in the ready file, work until SIGTERM. Returns 1 where registration failed."""
    parser = argparse.ArgumentParser(prog="python -m flows.serve", description=__doc__)
    parser.add_argument("--ready", type=Path, required=True, help="file to write once the worker takes runs")
    parser.add_argument("--schedules", action=argparse.BooleanOptionalAction, default=True)
    options = parser.parse_args(arguments)
    folder = Path(os.environ.get(PROJECT_VARIABLE) or ".").resolve()
    os.chdir(folder)
    try:
        asyncio.run(_before_deployments())
        deploy(folder)
        ready = asyncio.run(_after_deployments(folder, schedules=options.schedules))
    except (Exception, SystemExit) as error:
        _write(options.ready, {"ok": False, "error": str(error) or type(error).__name__})
        raise
    asyncio.run(_work(options.ready, ready))
    return 0


async def _before_deployments() -> None:
    async with get_client() as client:
        while await client.api_healthcheck() is not None:
            await asyncio.sleep(0.1)
        for block in BLOCKS.values():
            await block.register_type_and_schema(client=client)
        await ensure_pool(client)
        await ensure_zombie_automation(client)
        await bury_orphans(client)


async def _after_deployments(folder: Path, *, schedules: bool) -> dict[str, Any]:
    async with get_client() as client:
        return await settle_deployments(client, folder, schedules=schedules)


async def ensure_pool(client: PrefectClient) -> None:
    """The work pool, unless there is one by that name."""
    try:
        await client.create_work_pool(WorkPoolCreate(
            name=POOL, type=InProcessWorker.type, concurrency_limit=POOL_LIMIT,
            description="Runs of Sidefeed, in the process of its worker.",
            base_job_template=InProcessWorker.get_default_base_job_template()))
    except ObjectAlreadyExists:
        return


async def ensure_zombie_automation(client: PrefectClient) -> None:
    """A run whose process died stays Running for ever unless somebody notices: this does.

    Every name of a final state must be listed, because Prefect names the event after the state.
    """
    names = ["Completed", "Failed", "Cancelled", "Crashed", PARKED, BUSY, ATTENTION]
    wanted = AutomationCore(
        name=ZOMBIES, description="A run that has sent no heartbeat for 90 seconds is marked Crashed.",
        trigger=EventTrigger(
            after={"prefect.flow-run.heartbeat"},
            expect={"prefect.flow-run.heartbeat", *(f"prefect.flow-run.{name}" for name in names)},
            match={"prefect.resource.id": ["prefect.flow-run.*"]}, for_each={"prefect.resource.id"},
            posture=Posture.Proactive, threshold=1, within=HEARTBEAT_LOST),
        actions=[ChangeFlowRunState(  # type: ignore[call-arg]  # the others have defaults
            state=StateType.CRASHED, message="No heartbeat: its process died. The next run finishes its work.")])
    found = await client.read_automations_by_name(ZOMBIES)
    if found:
        await client.update_automation(found[0].id, wanted)
    else:
        await client.create_automation(wanted)


async def bury_orphans(client: PrefectClient) -> None:
    """Runs that a worker left behind when it died are Crashed at once, not when their heartbeat is missed: until then
    each would hold its deployment's only place, and every tick would be dropped."""
    left = await client.read_flow_runs(
        flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(
            any_=[StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]))),
        work_pool_filter=WorkPoolFilter(name=WorkPoolFilterName(any_=[POOL])))
    for run in left:
        if lost(run.infrastructure_pid):
            await client.set_flow_run_state(run.id, Crashed(
                message="Its worker died. The next run finishes its work."), force=True)


def deploy(folder: Path) -> None:
    """``prefect deploy --all``, in this process. Raises SystemExit where Prefect refuses the file."""
    before = sys.argv
    sys.argv = ["prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(folder / "prefect.yaml")]
    try:
        prefect_command()
    except SystemExit as ended:
        if ended.code:
            raise SystemExit(f"`prefect deploy --all` failed in {folder}; its log says why") from None
    finally:
        sys.argv = before


async def settle_deployments(client: PrefectClient, folder: Path, *, schedules: bool) -> dict[str, Any]:
    """Delete deployments that ``prefect.yaml`` no longer has, and pause those that must not run by themselves.

    Paused are all of them without ``schedules``, and those of a system that the project does not have. A paused
    deployment still runs when somebody starts it.
    """
    declared = {one["name"]: one for one in read_deployments(folder)}
    systems = configured_systems(folder)
    running, paused = [], []
    for deployment in await client.read_deployments(
            deployment_filter=DeploymentFilter(tags=DeploymentFilterTags(all_=[TAG]))):
        own = declared.get(deployment.name)
        if own is None:
            await client.delete_deployment(deployment.id)
            continue
        system = deployment.parameters.get("system")
        if schedules and not own.get("paused") and (system is None or system in systems):
            await client.resume_deployment(deployment.id)
            running.append(deployment.name)
        else:
            await client.pause_deployment(deployment.id)
            paused.append(deployment.name)
    return {"ok": True, "deployments": sorted(running + paused), "paused": sorted(paused)}


def read_deployments(folder: Path) -> list[dict[str, Any]]:
    """The deployments that ``prefect.yaml`` declares."""
    content = YAML(typ="safe").load((folder / "prefect.yaml").read_text(encoding="utf-8"))
    found: list[dict[str, Any]] = (content or {}).get("deployments") or []
    return found


def configured_systems(folder: Path) -> set[str]:
    """The systems of ``sidefeed.toml``."""
    raw = tomllib.loads((folder / "sidefeed.toml").read_text(encoding="utf-8"))
    systems = raw.get("systems")
    return set(systems) if isinstance(systems, Mapping) else set()


async def _work(ready_file: Path, ready: dict[str, Any]) -> None:
    """Take runs until SIGTERM or SIGINT, then let those at work end."""
    worker = InProcessWorker(work_pool_name=POOL, name=f"sidefeed-{os.getpid()}", limit=POOL_LIMIT,
                             create_pool_if_not_found=False)
    working = asyncio.ensure_future(worker.start(printer=lambda _text: _write(ready_file, ready)))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, working.cancel)
    try:
        await working
    except asyncio.CancelledError:
        return


def _write(path: Path, content: dict[str, Any]) -> None:
    """Whole or not at all: somebody waits for this file."""
    if path.exists():
        return  # the worker also says when it stops
    part = path.with_suffix(".part")
    part.write_bytes(orjson.dumps(content))
    part.replace(path)


if __name__ == "__main__":
    sys.exit(main())
