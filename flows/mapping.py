"""The flow that looks every night whether the mapping still fits the live systems."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from flows.outcome import ATTENTION, SHOWN, safe
from flows.sync import project_folder
from sidefeed.mapping import MappingErrors
from sidefeed.project import Project, ProjectError
from sidefeed.workspace import StoreError


@flow(name="check mapping", flow_run_name="check mapping", persist_result=False)
def check_mapping(project: str | None = None) -> State[Any]:
    """Hold the mapping against every live system and tell what changed there since it was last accepted.

    Args:
        project: The project folder as the worker sees it; SIDEFEED_PROJECT or the worker's own folder if empty.
    """
    try:
        found = look_at_systems(project_folder(project))
    except (ProjectError, MappingErrors, StoreError) as error:
        return Failed(message=str(error))
    create_table_artifact(found[:SHOWN] or [{"findings": 0}], key="mapping",
                          description="What `sidefeed check` finds, and what changed in the live systems")
    if not found:
        return Completed(message="the mapping fits the live systems")
    drifted = sum(one["code"].startswith("drift-") for one in found)
    return Completed(name=ATTENTION, message=f"{len(found)} findings, {drifted} of them changes of a live system: run "
                                             f"`sidefeed check`, and `sidefeed check --fix` for the safe ones")


@task(name="look at the systems", cache_policy=NO_CACHE, persist_result=False)
def look_at_systems(folder: Path) -> list[dict[str, Any]]:
    """Each finding that is no note as plain data."""
    from sidefeed.sync.look import look

    opened = Project.load(folder)
    store = opened.store()
    try:
        looked = look(opened.mappings(), opened.systems, opened.connector, store)
    finally:
        store.close()
        opened.close()
    return [{"severity": one.severity, "code": one.code, "where": f"{one.file}:{one.line}",
             "what": safe(one.message), "what to do": safe(one.remedy)}
            for one in looked.findings if one.severity != "note"]
