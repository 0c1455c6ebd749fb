"""The flow that leaves each day's forecast where managers can find it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from flows.outcome import SHOWN, safe
from flows.sync import project_folder
from sidefeed.mapping import MappingErrors
from sidefeed.project import Project, ProjectError
from sidefeed.workspace import StoreError


@flow(name="forecast", flow_run_name="forecast", persist_result=False)
def forecast(project: str | None = None) -> State[Any]:
    """Open and won by owner, quarter and category from the workspace, beside each system's own total.

    Args:
        project: The project folder as the worker sees it; SIDEFEED_PROJECT or the worker's own folder if empty.
    """
    try:
        found = roll_up(project_folder(project))
    except (ProjectError, MappingErrors, StoreError) as error:
        return Failed(message=str(error))
    create_table_artifact(found["rows"][:SHOWN] or [{"deals": 0}], key="forecast",
                          description=f"As of {found['as_of']}; open and won by owner, quarter and category")
    create_markdown_artifact(page(found), key="forecast-sources",
                             description="The workspace beside each system's own total")
    deals = sum(row["deals"] for row in found["rows"])
    return Completed(message=f"{deals} deals, {found['conflicts']} of them with a disputed amount")


@task(name="roll up", cache_policy=NO_CACHE, persist_result=False)
def roll_up(folder: Path) -> dict[str, Any]:
    """The forecast as plain data: ``rows``, ``sources``, ``range``, ``as_of``, ``complete_to``, ``conflicts``."""
    from sidefeed.forecast import forecast as forecast_of

    opened = Project.load(folder)
    store = opened.store()
    try:
        found: dict[str, Any] = forecast_of(store, opened.mappings()).as_json()
    finally:
        store.close()
        opened.close()
    get_run_logger().info("%d rows from %d sources", len(found["rows"]), len(found["sources"]))
    return found


def page(found: dict[str, Any]) -> str:
    """The sources side by side, how fresh each is, and the range that open disputes leave."""
    columns = ("source", "currency", "deals", "open", "won", "open_difference", "won_difference")
    lines = [f"| {' | '.join(columns).replace('_', ' ')} |", "|---" * len(columns) + "|"]
    lines += [f"| {' | '.join(safe(row[column]) for column in columns)} |" for row in found["sources"]]
    if found["conflicts"]:
        low, high = found["range"]["low"], found["range"]["high"]
        lines += ["", f"{found['conflicts']} deals have a disputed amount: open lies between {low} and {high}."]
    lines += ["", *(f"- {safe(system)} had been read up to {when or 'nothing yet'}"
                    for system, when in found["complete_to"].items())]
    return "\n".join(lines)
