"""A project on practice servers in one command: `sidefeed sandbox up --project`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sidefeed.cli import app


def run(*arguments: str) -> tuple[int, dict[str, object]]:
    result = CliRunner().invoke(app, [*arguments, "--json"])
    return result.exit_code, json.loads(result.stdout)


@pytest.mark.slow
def test_a_project_for_practice_is_ready_to_sync(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    server = subprocess.Popen([sys.executable, "-m", "sidefeed", "sandbox", "up", "--project", str(folder), "--seed", "7",
                               "--json"], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        assert json.loads(server.stdout.readline())["servers"].keys() == {"salesforce", "hubspot"}
        assert run("check", "-C", str(folder))[0] == 0
        code, plan = run("plan", "-C", str(folder))
        assert code == 0 and plan["writes"]
    finally:
        server.terminate()
        assert server.wait(20) == 0


def test_a_folder_with_a_project_and_a_system_that_cannot_be_linked_are_refused(tmp_path: Path) -> None:
    code, told = run("sandbox", "up", "exchange", "--project", str(tmp_path))
    assert code == 2 and "by hand" in str(told["error"]) and list(tmp_path.iterdir()) == []
    (tmp_path / "sidefeed.toml").write_text("mine")
    code, told = run("sandbox", "up", "hubspot", "--project", str(tmp_path))
    assert code == 2 and "exists already" in str(told["error"])
    assert (tmp_path / "sidefeed.toml").read_text() == "mine"
