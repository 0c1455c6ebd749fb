"""The demonstration, as a new user runs it: a process of its own, its JSON, its exit status."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.web.site import read, ready
from tests.web.test_serve import serving

STEPS = ["first contact", "a deal moves in the workspace", "a customer meeting in the calendar",
         "two fields of one deal change in two systems", "one amount changes in both", "a deletion and a hostile name",
         "the same sync again", "killed while writing, and run again", "the forecast"]


@pytest.mark.slow
@pytest.mark.parametrize(("calendar", "system"), [
    ("exchange", "exchange"), ("graph", "microsoft365"), ("caldav", "caldav"), ("domino", "domino")])
def test_every_step_of_the_demonstration_holds(tmp_path: Path, calendar: str, system: str) -> None:
    done = subprocess.run([sys.executable, "-m", "sidefeed", "demo", "--json", "--no-browser", "--keep", "brightwater",
                           "--calendar", calendar],
                          capture_output=True, text=True, cwd=tmp_path, timeout=300)
    outcome = json.loads(done.stdout)
    assert [step["name"] for step in outcome["steps"] if not step["ok"]] == []
    assert [step["name"] for step in outcome["steps"]] == STEPS
    assert (done.returncode, outcome["ok"]) == (0, True)
    assert (outcome["duplicates"], outcome["lost"], outcome["mailed"]) == (0, 0, 0)
    assert set(outcome["calls"]) == {"salesforce", "hubspot", system}
    for name, calls in outcome["calls"].items():
        assert calls["used"] == calls["minimum"], f"{name} was called more than the batch sizes need"
    assert outcome["systems"]["salesforce"]["Opportunity"] == outcome["systems"]["hubspot"]["deals"]
    filed = outcome["systems"]["salesforce"]["Event"], outcome["systems"]["hubspot"]["meetings"]
    assert filed == (4, 4), "the customer's two meetings and two of the weekly calls, whatever the door"
    assert outcome["systems"][system] == {"mailboxes": 3, "events": 11}
    _the_project_that_stays_shows_a_company_at_work(tmp_path / "brightwater")


def _the_project_that_stays_shows_a_company_at_work(folder: Path) -> None:
    """Its page has one number, with the range that a dispute leaves, and why each CRM says another."""
    with serving(folder, "--as", "dana.cole@brightwater.example") as told, httpx.Client(
            base_url=told["url"], follow_redirects=True, timeout=60, trust_env=False) as client:
        client.post("/sign-in", data={"token": told["sign_in"].partition("token=")[2]})
        page = read(client.get("/"))
        assert "1 deal in conflict which moves this number" in page
        assert "HubSpot complete to" in page
        assert "Dana Cole, manager" in page
        salesforce = ready(client, "/forecast/bridge/salesforce", {})
        assert "Pending write" in salesforce
        assert "Conflict" in salesforce
        assert "Pulled in" in ready(client, "/forecast/moves", {})
        assert "48,000.00 USD Salesforce" in read(client.get("/conflicts"))
