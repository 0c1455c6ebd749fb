"""The budget against the practice servers: what was used is counted, predicted and kept to; no call is wasted."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

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


def allow(desk: Desk, calls: int) -> None:
    """Let HubSpot have so many calls more today than it was sent."""
    used = {one["system"]: one["used"] for one in desk("budget")[1]["systems"]}["hubspot"]
    settings = desk.folder / "sidefeed.toml"
    text = settings.read_text().partition("\n[budget.hubspot]")[0]
    settings.write_text(f"{text}\n[budget.hubspot]\nshare = 1.0\ndaily_calls = {used + calls}\n")


def sidefeed(desk: Desk, *arguments: str) -> str:
    command = [sys.executable, "-m", "sidefeed", *arguments, "-C", str(desk.folder)]
    return subprocess.run(command, text=True, capture_output=True).stdout


@pytest.mark.slow
def test_a_small_share_stops_a_backfill_and_the_plan_says_when_it_finishes(desk: Desk) -> None:
    desk("sync")
    deals(desk, 350)
    before = desk.hubspot.counters.calls
    desk("plan")
    reading = desk.hubspot.counters.calls - before
    allow(desk, reading + 2)
    assert "it finishes on" in (shown := sidefeed(desk, "plan", "--limit", "0")) and "people's edits go first" in shown
    allow(desk, reading + 2)
    planned = json.loads(sidefeed(desk, "plan", "--json"))
    (hubspot,) = [one for one in planned["budget"] if one["system"] == "hubspot"]
    assert planned["min_calls"]["hubspot"] == 4 and hubspot["left"] == 2
    allow(desk, reading + 2)
    code, report = desk("sync", "--approve")
    assert code == 1 and "budget-share" in {problem["code"] for problem in report["problems"]}
    assert "the next run goes on" in next(iter(report["skipped"].values()))
    written = desk.hubspot.call(lambda: len(desk.hubspot.records("deals")))
    assert 0 < written < 350
    allow(desk, 100)
    assert desk("sync", "--approve")[0] == 0
    assert desk.hubspot.call(lambda: len(desk.hubspot.records("deals"))) == 350
