"""The flows that keep systems and workspace the same: ``sync`` for one system, ``sync-all`` for all of them.

A run is one task, because the engine is restartable as a whole and holds the lease; its batches show as log lines. A
system that is read mailbox by mailbox can be split into parts, which are tasks side by side. What
cannot be reached is told in the report and tried again at the next tick, so a task retries only when the workspace's
own database is away.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext
from prefect.states import Completed, Failed
from prefect.tasks import exponential_backoff
from prefect.utilities.urls import url_for
from pydantic import Field
from sqlalchemy.exc import OperationalError

from flows.credentials import environment
from flows.outcome import Outcome
from sidefeed.connector import ConnectorError
from sidefeed.mapping import MappingErrors
from sidefeed.project import Project, ProjectError
from sidefeed.sync import GuardTripped
from sidefeed.sync.approval import parked, skip, waiting_runs
from sidefeed.sync.shards import Shard, head, leading, mailboxes_of, split
from sidefeed.workspace import LeaseHeld, Store, StoreError
from sidefeed.workspace.report import FLOW_RUN

PROJECT_VARIABLE = "SIDEFEED_PROJECT"
LOG_LINES = 150
"""Lines of progress sent to the API in one run; each costs the server about as much as a state change."""

MOST_SHARDS = 16
"""Parts of one run: each is a task, a thread and a connection to the workspace, whose writes wait for one another."""


@flow(name="sync", flow_run_name="sync-{system}", persist_result=False)
def sync(
    system: Annotated[str, Field(min_length=1)],
    project: str | None = None,
    approve: bool = False,
    confirm_mapping: bool = False,
    shards: Annotated[int, Field(ge=1, le=MOST_SHARDS)] = 1,
) -> State[Any]:
    """Bring one system and the workspace to agreement: read, merge, plan, guard, write.

    Args:
        system: The system, as sidefeed.toml names it.
        project: The project folder as the worker sees it; SIDEFEED_PROJECT or the worker's own folder if empty.
        approve: Let a run pass that a guard stopped. Look at what it would do first.
        confirm_mapping: Accept that the mapping changed since the last run.
        shards: In how many parts to sync a system's mailboxes side by side; one that has none is never split.
    """
    if shards > 1:
        return run_in_parts(system, project, shards, approve=approve, confirm_mapping=confirm_mapping)
    return run([system], project, approve=approve, confirm_mapping=confirm_mapping)


@flow(name="sync-all", flow_run_name="sync-all", persist_result=False)
def sync_all(project: str | None = None, approve: bool = False, confirm_mapping: bool = False) -> State[Any]:
    """Bring every system and the workspace to agreement in one run, parents before children.

    Args:
        project: The project folder as the worker sees it; SIDEFEED_PROJECT or the worker's own folder if empty.
        approve: Let a run pass that a guard stopped. Look at what it would do first.
        confirm_mapping: Accept that the mapping changed since the last run.
    """
    return run(None, project, approve=approve, confirm_mapping=confirm_mapping)


@flow(name="decide", flow_run_name="{decision}-{run}", persist_result=False)
def decide(
    run: str = "latest", decision: Literal["approve", "skip"] = "skip", project: str | None = None
) -> State[Any]:
    """Say what becomes of a run that a guard parked: the form of this deployment asks for both.

    Args:
        run: The workspace run's id, as `sidefeed approve` shows it; `latest` is the newest that waits.
        decision: approve lets exactly that pass which stopped it; skip leaves it out of the next runs.
        project: The project folder as the worker sees it; SIDEFEED_PROJECT or the worker's own folder if empty.
    """
    folder = project_folder(project)
    try:
        run = waiting_run(folder) if run == "latest" else run
        left_out = skip_parked(folder, run) if decision == "skip" else {}
    except (ProjectError, MappingErrors, StoreError) as error:
        return Failed(message=str(error))
    if decision == "skip":
        return Completed(message=f"Left out: {', '.join(f'{what}: {number}' for what, number in left_out.items())}.")
    outcome = synchronise(folder, None, approve=False, confirm_mapping=False, approved=run)
    outcome.publish("approved")
    return outcome.state("prefect deployment run decide/parked -p decision=approve -p run=RUN, or sidefeed approve RUN")


def waiting_run(folder: Path) -> str:
    """The newest run that waits for a person. Raises StoreError where none does."""
    opened = open_project(folder)
    store = opened.store()
    try:
        with store.read() as tx:
            found = waiting_runs(tx)
    finally:
        store.close()
        opened.close()
    if not found:
        raise StoreError("no run waits for a person: nothing was parked since the last run that came to its end.")
    return str(found[0]["id"])


def skip_parked(folder: Path, run: str) -> dict[str, int]:
    """Leave out what stopped a run; how much that was, by guard and feed. Raises StoreError where it cannot be."""
    opened = open_project(folder)
    store = opened.store()
    try:
        with store.write() as tx:
            return skip(tx, parked(tx, run))
    finally:
        store.close()
        opened.close()


def run(systems: Sequence[str] | None, project: str | None, *, approve: bool, confirm_mapping: bool) -> State[Any]:
    """One sync and what it leaves in Prefect; the flow's final state."""
    folder = project_folder(project)
    outcome = synchronise(folder, systems, approve=approve, confirm_mapping=confirm_mapping)
    outcome.publish("-".join(["sync", *(systems or ["all"])]).replace("_", "-").lower())
    deployment = f"sync/{systems[0]}" if systems else "sync-all/everything"
    return outcome.state(f"prefect deployment run {deployment} -p approve=true, or sidefeed sync --approve.")


def run_in_parts(system: str, project: str | None, number: int, *, approve: bool, confirm_mapping: bool) -> State[Any]:
    """One sync of one system in parts: first what belongs to no mailbox, then the mailboxes, all parts at once."""
    folder = project_folder(project)
    outcome = Outcome()
    try:
        opened = open_project(folder)
        store = opened.store()
        try:
            with leading(store, system) as lead:
                parts = split(mailboxes_of(opened.mappings(), system, opened.connector(system)), number, lead)
                outcome = synchronise(folder, [system], approve=approve, confirm_mapping=confirm_mapping,
                                      shard=head(lead))
                if outcome.report is not None and system not in outcome.report.failed:
                    running = [synchronise.with_options(name=f"sync {part.name}").submit(
                        folder, [system], approve=approve, confirm_mapping=confirm_mapping, shard=part)
                        for part in parts]
                    for part, future in zip(parts, running, strict=True):
                        outcome.add(part.name, future.result(raise_on_failure=False))
        finally:
            store.close()
            opened.close()
    except LeaseHeld as held:
        outcome = Outcome(busy=str(held))
    except (ConnectorError, ProjectError, MappingErrors, StoreError) as error:
        outcome = Outcome(refused=str(error))
    outcome.publish(f"sync-{system}".replace("_", "-").lower())
    return outcome.state(f"prefect deployment run sync/{system} -p approve=true, or sidefeed sync --approve.")


def worth_retrying(_task: Any, _run: Any, state: State[Any]) -> bool:
    """Whether a task failed because the workspace's database was away or locked."""
    try:
        state.result()
    except OperationalError:
        return True
    except Exception:
        return False
    return False


@task(name="sync", cache_policy=NO_CACHE, persist_result=False, retries=3, retry_condition_fn=worth_retrying,
      retry_delay_seconds=exponential_backoff(backoff_factor=5), retry_jitter_factor=0.5)
def synchronise(
    folder: Path, systems: Sequence[str] | None, *, approve: bool, confirm_mapping: bool, approved: str | None = None,
    shard: Shard | None = None,
) -> Outcome:
    """The whole of one sync, exactly as the command line does it; of a parked run where a person ``approved`` one; of
    one part of the mailboxes where a ``shard`` is named."""
    logger = get_run_logger()
    narrator = Narrator(logger.info)
    try:
        opened = open_project(folder)
        try:
            with opened.engine(systems, progress=narrator, shard=shard) as engine:
                report = engine.approve(approved) if approved else engine.sync(
                    systems, approve=approve, confirm_mapping=confirm_mapping)
                _leave_address(engine.store, report.run)
                calls = {name: {"used": one.calls.used, "minimum": one.calls.minimum}
                         for name, one in engine.connectors.items()}
        finally:
            opened.close()
    except GuardTripped as tripped:
        return Outcome(trips=tripped.trips)
    except LeaseHeld as held:
        return Outcome(busy=str(held))
    except ConnectorError as error:
        return Outcome(refused=f"{error.message} [{error.code}]")
    except (ProjectError, MappingErrors, StoreError) as error:
        return Outcome(refused=str(error))
    finally:
        narrator.finish()
    return Outcome(report, calls)


def _leave_address(store: Store, run: str) -> None:
    """Keep with the workspace's run where Prefect shows the flow run, so that the pages lead there."""
    context = FlowRunContext.get()
    address = url_for("flow-run", context.flow_run.id) if context is not None and context.flow_run is not None else None
    if address:
        with store.write() as tx:
            tx.save_setting(f"{FLOW_RUN}{run}", address)


def project_folder(project: str | None) -> Path:
    """The project folder: as given, else where the worker says it is, else the worker's own folder."""
    return Path(project or os.environ.get(PROJECT_VARIABLE) or ".")


def open_project(folder: Path) -> Project:
    """The project with its credentials: blocks where a Prefect API is at hand, the environment, the file."""
    return Project.load(folder, environment=environment(folder) if FlowRunContext.get() else None, actor="prefect")


class Narrator:
    """Turns the engine's counting into a bounded number of log lines: one when a feed's reading or writing ends."""

    def __init__(self, say: Callable[[str], object]) -> None:
        self.say = say
        self.lines = 0
        self.current = ""
        self.number = 0

    def __call__(self, what: str, number: int) -> None:
        if what != self.current:
            self.finish()
            self.current = what
        self.number += number

    def finish(self) -> None:
        if self.number and self.lines < LOG_LINES:
            self.lines += 1
            self.say(f"{self.current}: {self.number}")
        self.number = 0

