"""The demonstration, as a new user runs it: a process of its own, its JSON, its exit status."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

STEPS = ["first contact", "a deal moves in the workspace", "a customer meeting in Outlook",
         "two fields of one deal change in two systems", "one amount changes in both", "a deletion and a hostile name",
         "the same sync again", "killed while writing, and run again", "the forecast"]


@pytest.mark.slow
def test_every_step_of_the_demonstration_holds(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "sidefeed", "demo", "--json", "--no-browser"], capture_output=True,
                          text=True, cwd=tmp_path, timeout=300)
    outcome = json.loads(done.stdout)
    assert [step["name"] for step in outcome["steps"] if not step["ok"]] == []
    assert [step["name"] for step in outcome["steps"]] == STEPS
    assert (done.returncode, outcome["ok"]) == (0, True)
    assert (outcome["duplicates"], outcome["lost"], outcome["mailed"]) == (0, 0, 0)
    for system in ("salesforce", "hubspot", "exchange"):
        calls = outcome["calls"][system]
        assert calls["used"] == calls["minimum"], f"{system} was called more than the batch sizes need"
    assert outcome["systems"]["salesforce"]["Opportunity"] == outcome["systems"]["hubspot"]["deals"]
