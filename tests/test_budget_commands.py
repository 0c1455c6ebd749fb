"""The budget against the practice servers: what was used is counted, predicted and kept to; no call is wasted."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.test_command_line import Desk, desk

__all__ = ["desk"]


def deals(desk: Desk, number: int) -> None:
    for each in range(number):
        desk.sf("Opportunity", Name=f"Deal {each}", StageName="Prospecting", CloseDate="2027-01-15")


def test_what_runs_used_is_what_the_servers_counted(desk: Desk) -> None:
    deals(desk, 3)
    before = desk.hubspot.counters.calls
    _code, first = desk("sync")
    _code, second = desk("sync")
    _code, told = desk("budget")
    standing = {one["system"]: one for one in told["systems"]}
    assert standing["hubspot"]["used"] == desk.hubspot.counters.calls - before
    assert standing["hubspot"]["used"] == first["calls"]["hubspot"]["used"] + second["calls"]["hubspot"]["used"]
    assert standing["hubspot"]["limit"] == 650_000, "as HubSpot's own headers tell"
    assert standing["salesforce"]["limit"] == desk.salesforce.quota.limit
    assert standing["salesforce"]["used_by_all"] >= standing["salesforce"]["used"] > 0


def test_no_sync_wastes_calls(desk: Desk) -> None:
    deals(desk, 250)
    for _ in range(3):
        _code, report = desk("sync", "--approve")
        for name, count in report["calls"].items():
            assert count["used"] <= count["minimum"] + 2, (name, report["calls"])


def test_a_small_share_stops_a_backfill_and_the_plan_says_when_it_finishes(desk: Desk) -> None:
    desk("sync")
    used = {one["system"]: one["used"] for one in desk("budget")[1]["systems"]}
    deals(desk, 350)
    with (desk.folder / "sidefeed.toml").open("a") as settings:
        settings.write(f"\n[budget.hubspot]\nshare = 1.0\ndaily_calls = {used['hubspot'] + 10}\n")
    shown = subprocess.run([sys.executable, "-m", "sidefeed", "plan", "--limit", "0", "-C", str(desk.folder)],
                           text=True, capture_output=True).stdout
    planned = json.loads(subprocess.run(
        [sys.executable, "-m", "sidefeed", "plan", "-C", str(desk.folder), "--json"], text=True,
        capture_output=True).stdout)
    (hubspot,) = [one for one in planned["budget"] if one["system"] == "hubspot"]
    assert planned["min_calls"]["hubspot"] == 4 and hubspot["left"] <= 10
    code, report = desk("sync", "--approve")
    assert "it finishes on" in shown and "people's edits go first" in shown
    assert code == 1 and "budget-share" in {problem["code"] for problem in report["problems"]}
    assert "the next run goes on" in next(iter(report["skipped"].values()))
