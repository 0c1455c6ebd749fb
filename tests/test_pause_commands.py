"""Pauses from the command line, on practice servers, and on the page of the feeds."""

from __future__ import annotations

from tests.test_command_line import Desk, desk

__all__ = ["desk"]


def test_a_paused_system_gets_nothing_until_it_goes_on(desk: Desk) -> None:
    deal = desk.sf("Opportunity", Name="Pumps", StageName="Prospecting", CloseDate="2027-01-15", NextStep="call")
    desk("sync")
    code, told = desk("pause", "hubspot", "--why", "migration", "--as", "dana")
    assert code == 0
    assert [(one["what"], one["by"], one["why"], one["read"]) for one in told["paused"]] == [
        ("hubspot", "dana", "migration", True)]
    desk.salesforce.call(lambda: desk.salesforce.update("Opportunity", deal, NextStep="visit"))
    code, told = desk("plan")
    assert (code, len(told["writes"])) == (0, 1) and "1 write waits" in told["paused"]["hubspot deals"]
    code, told = desk("sync")
    assert (code, told["written"]) == (0, {}) and "(migration): 1 write waits" in told["paused"]["hubspot deals"]
    assert [one["what"] for one in desk("status")[1]["paused"]] == ["hubspot"]
    code, told = desk("resume", "hubspot", "--as", "kim")
    assert (code, told["resumed"]["what"], told["paused"]) == (0, "hubspot", [])
    who = [(one["what"], one["actor"]) for one in desk("audit")[1]["entries"] if one["what"] in ("pause", "resume")]
    assert who == [("resume", "kim"), ("pause", "dana")]
    assert desk("sync")[1]["written"] == {"hubspot deals": {"update": 1}}


def test_a_misspelt_name_is_refused_with_the_nearest(desk: Desk) -> None:
    for words, hint in (((("pause", "hubspt")), "'hubspot'"), (("pause", "hubspot", "deal"), "'deals'"),
                        (("resume", "hubspot"), "nothing")):
        code, told = desk(*words)
        assert code == 2 and hint in told["error"], told
    assert desk("pause")[1] == {"ok": True, "paused": []}
