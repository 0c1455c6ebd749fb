"""A Prefect worker that runs flows in its own process.

Starting a process for each run costs 3 to 4 seconds of processor time, mostly imports; here a run costs 0.2. The price
is isolation: a run that takes the process down takes its neighbours with it, and a cancelled run ends when its current
call returns. Runs are restartable and hold leases, so both are safe. For processes or containers, make the work pool of
another type and start Prefect's own worker; nothing else changes.
"""

from __future__ import annotations

import os
import socket
from functools import partial
from typing import Any

import anyio
import anyio.abc
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import Abort, Pause
from prefect.flow_engine import run_flow
from prefect.flows import Flow, load_flow_from_entrypoint
from prefect.states import exception_to_crashed_state
from prefect.workers.base import BaseJobConfiguration, BaseVariables, BaseWorker, BaseWorkerResult

from sidefeed.processes import ended

TYPE = "sidefeed-in-process"


class InProcessResult(BaseWorkerResult):
    """What became of one run; its state is told by the run itself."""


class InProcessWorker(BaseWorker[BaseJobConfiguration, BaseVariables, InProcessResult]):
    """Runs each flow in a thread of the worker's process."""

    type = TYPE
    job_configuration = BaseJobConfiguration
    job_configuration_variables = BaseVariables
    _description = "Runs Sidefeed's flows in the worker's own process: cheap to start, no isolation."
    _display_name = "Sidefeed in-process"

    async def run(
        self,
        flow_run: FlowRun,
        configuration: BaseJobConfiguration,
        task_status: anyio.abc.TaskStatus[Any] | None = None,
    ) -> InProcessResult:
        """Run one flow to its end. Raises where the flow cannot be loaded, which Prefect reports as a crash."""
        assert flow_run.deployment_id is not None
        deployment = await self.client.read_deployment(flow_run.deployment_id)
        assert deployment.entrypoint is not None
        flow: Flow[..., Any] = load_flow_from_entrypoint(deployment.entrypoint)
        if task_status is not None:
            task_status.started(whereabouts())
        # The thread is not abandoned when the worker is told to stop: the run ends and reports its state first.
        broke_off = await anyio.to_thread.run_sync(partial(_to_the_end, flow, flow_run), abandon_on_cancel=False)
        if broke_off is not None:
            state = await exception_to_crashed_state(broke_off)
            await self._propose_crashed_state(flow_run, state.message or "The run broke off.")
        return InProcessResult(status_code=0, identifier=str(flow_run.id))


def whereabouts() -> str:
    """This process, as a flow run names the one that it runs in."""
    return f"{socket.gethostname()}:{os.getpid()}"


def lost(infrastructure: str | None) -> bool:
    """Whether the process that a flow run named has died on this machine. One that has just begun runs nothing yet,
    so a run that names this very process was its predecessor's."""
    if infrastructure is None:
        return True
    host, _, pid = infrastructure.rpartition(":")
    return (host, pid) == (socket.gethostname(), str(os.getpid())) or ended(host, pid)


def _to_the_end(flow: Flow[..., Any], flow_run: FlowRun) -> Exception | None:
    """Run a flow; what it raises becomes its state, so an exception here means that the state could not be told."""
    try:
        run_flow(flow, flow_run=flow_run, return_type="state")
    except (Abort, Pause):
        return None  # the server has moved the run on already
    except Exception as error:
        return error
    return None
