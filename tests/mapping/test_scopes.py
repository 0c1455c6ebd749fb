"""How many records a scope matches, counted in the live systems before and after it is changed."""

from __future__ import annotations

import shutil

from tests.test_command_line import Desk, desk  # noqa: F401  a fixture


def test_a_changed_scope_is_counted_before_and_after(desk: Desk) -> None:  # noqa: F811
    for number in range(5):
        desk.sf("Opportunity", Name=f"Deal {number}", CloseDate="2027-01-15",
                StageName="Closed Won" if number < 2 else "Prospecting")
    for stage in ("closedwon", "qualifiedtobuy", "qualifiedtobuy"):
        desk.hubspot.call(lambda stage=stage: desk.hubspot.create("deals", dealname="D", dealstage=stage,
                                                                  pipeline="default"))
    old = desk.folder / "old"
    shutil.copytree(desk.folder / "mappings", old)
    code, told = desk("map", "scope", str(old))
    assert (code, told["scopes"]) == (0, [])
    desk.edit("salesforce.yaml", "    entity: opportunity\n", "    entity: opportunity\n    scope: StageName = 'Prospecting'\n")
    desk.edit("hubspot.yaml", "    entity: opportunity\n",
              "    entity: opportunity\n    scope: {dealstage: [closedwon, closedlost]}\n")
    code, told = desk("map", "scope", str(old))
    assert code == 0
    assert {one["system"]: (one["before"], one["now"], one["enter"], one["leave"]) for one in told["scopes"]} == {
        "salesforce": (5, 3, 0, 2), "hubspot": (3, 1, 0, 2)}
    code, told = desk("map", "scope")
    assert {(one["system"], one["object"], one["now"]) for one in told["scopes"]} >= {
        ("salesforce", "Opportunity", 3), ("hubspot", "deals", 1), ("salesforce", "Event", 0)}
    code, told = desk("map", "scope", "no-such-branch")
    assert code == 2
