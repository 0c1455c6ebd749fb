"""The flow that proves each night that nothing was missed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from flows.outcome import ATTENTION, SHOWN, safe
from flows.sync import open_project, project_folder
from sidefeed.connector import ConnectorError
from sidefeed.mapping import MappingErrors
from sidefeed.project import ProjectError
from sidefeed.workspace import StoreError


@flow(name="census", flow_run_name="census", persist_result=False)
def census(project: str | None = None, system: str | None = None, repair: bool = True) -> State[Any]:
    """Hold every linked object of each system against the workspace, and let the next sync absorb small drift.

    Args:
        project: The project folder as the worker sees it; SIDEFEED_PROJECT or the worker's own folder if empty.
        system: Only this system; all if empty.
        repair: Put small drift into the inbox, for the next sync.
    """
    try:
        feeds = count(project_folder(project), system, repair)
    except (ProjectError, MappingErrors, StoreError) as error:
        return Failed(message=str(error))
    except ConnectorError as error:
        return Failed(message=f"{error.message} [{error.code}]")
    create_table_artifact([{name: feed[name] for name in COLUMNS} for feed in feeds] or [{"equal": 0}], key="census",
                          description="Objects of each system held against the workspace")
    odd = [one for feed in feeds for one in feed["differences"]]
    if odd:
        create_markdown_artifact(page(odd), key="census-attention", description="What differed, and why")
    return verdict(feeds)


def verdict(feeds: list[dict[str, Any]]) -> State[Any]:
    """The final state: failed where a feed could not be counted, Attention where a person must look."""
    odd = sum(len(feed["differences"]) for feed in feeds)
    message = f"{sum(feed['equal'] for feed in feeds):,} equal, {odd:,} differ"
    failed = [f"{feed['system']} {feed['object']}: {feed['failed']}" for feed in feeds if feed["failed"]]
    if failed:
        return Failed(message=f"{message}; not counted: {'; '.join(failed)}")
    left = odd - sum(feed["repaired"] for feed in feeds)
    if left:
        return Completed(name=ATTENTION, message=f"{message}; {left} need a person")
    return Completed(message=message)


COLUMNS = ("system", "object", "linked", "equal", "underway", "repaired", "calls", "minimum")


@task(name="count", cache_policy=NO_CACHE, persist_result=False)
def count(folder: Path, system: str | None, repair: bool) -> list[dict[str, Any]]:
    """The census of each feed as plain data (`FeedCensus.as_json`)."""
    logger = get_run_logger()
    opened = open_project(folder)
    try:
        systems = [system] if system else None
        with opened.engine(systems) as engine:
            found = []
            for one in engine.census(systems, repair=repair):
                logger.info(one.sentence())
                found.append(one.as_json())
        return found
    finally:
        opened.close()


def page(odd: list[dict[str, Any]]) -> str:
    """What differed, and why, for whoever must look."""
    lines = ["| system | object | id | why | fields |", "|---|---|---|---|---|"]
    lines += ["| " + " | ".join(safe(cell) for cell in (
        one["system"], one["object"], one["external_id"], one["why"], ", ".join(one["fields"]))) + " |"
        for one in odd[:SHOWN]]
    if len(odd) > SHOWN:
        lines += ["", f"... and {len(odd) - SHOWN} more: `sidefeed census --json` lists them."]
    return "\n".join(lines)
