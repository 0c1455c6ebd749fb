"""``prefect.yaml`` declares what it should, and everything that it names loads."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from prefect.client.schemas.schedules import CronSchedule
from prefect.exceptions import ParameterTypeError
from prefect.flows import load_flow_from_entrypoint
from ruamel.yaml import YAML

from flows.serve import POOL, TAG, read_deployments
from sidefeed.cli.project_files import write_project

ROOT = Path(__file__).resolve().parents[2]
DECLARED = read_deployments(ROOT)


def test_a_new_project_gets_the_repositorys_deployments(tmp_path: Path) -> None:
    write_project(tmp_path)
    assert (tmp_path / "prefect.yaml").read_text() == (ROOT / "prefect.yaml").read_text()
    assert (files("flows") / "deployments.yaml").read_text() == (ROOT / "prefect.yaml").read_text()


def test_nothing_is_pulled_and_no_folder_is_baked_in() -> None:
    content = YAML(typ="safe").load(ROOT / "prefect.yaml")
    assert content["pull"] == []
    assert not any("project" in one["parameters"] or "pull" in one for one in DECLARED)


@pytest.mark.parametrize("declared", DECLARED, ids=lambda one: str(one["name"]))
def test_a_deployment_loads_validates_and_runs_one_at_a_time(declared: dict[str, Any]) -> None:
    flow = load_flow_from_entrypoint(declared["entrypoint"], use_placeholder_flow=False)

    assert flow.validate_parameters(declared["parameters"]) is not None
    assert declared["concurrency_limit"] == {"limit": 1, "collision_strategy": "CANCEL_NEW"}
    assert declared["work_pool"]["name"] == POOL
    assert TAG in declared["tags"]
    zones = [CronSchedule(**schedule).timezone for schedule in declared["schedules"]]
    assert zones == ([] if declared["name"] == "parked" else ["UTC"]), "a decision is a person's, never a schedule's"


def test_each_system_has_a_deployment_and_no_two_start_in_the_same_minute() -> None:
    systems = {one["parameters"]["system"]: one["schedules"][0]["cron"] for one in DECLARED
               if "system" in one["parameters"]}
    assert set(systems) == {"salesforce", "hubspot", "exchange", "caldav", "microsoft365", "domino"}
    assert len({one["name"] for one in DECLARED}) == len(DECLARED)
    assert len(set(systems.values())) == len(systems)


@pytest.mark.parametrize("parameters", [
    {}, {"system": ""}, {"system": "salesforce", "approve": "perhaps"}, {"system": "salesforce", "aprove": True},
])
def test_wrong_parameters_are_refused_before_anything_runs(parameters: dict[str, Any]) -> None:
    flow = load_flow_from_entrypoint("flows.sync.sync", use_placeholder_flow=False)
    with pytest.raises((ParameterTypeError, TypeError)):
        flow.validate_parameters(parameters)


@pytest.mark.parametrize(("entrypoint", "required"), [
    ("flows.sync.sync", ["system"]), ("flows.sync.sync_all", []), ("flows.forecast.forecast", []),
    ("flows.mapping.check_mapping", []),
    ("flows.census.census", [])])
def test_the_form_explains_each_parameter(entrypoint: str, required: list[str]) -> None:
    form = load_flow_from_entrypoint(entrypoint, use_placeholder_flow=False).parameters
    assert all(one.get("description") for one in form.properties.values())
    assert form.required == required
