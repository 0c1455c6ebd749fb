"""The process dies before and after every call and before every commit of two fixed scenarios; run again, the world is
the one that no crash would have made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from sidefeed.mapping import Mapping as Mappings
from sidefeed.sync import Engine
from sidefeed.workspace import Store
from tests.sync.test_office_histories import office
from tests.sync.world import Killed, World, mappings

Scenario = Callable[["Place"], None]


class Place:
    """One world and its workspace; `events` counts calls and commits, and may kill at one of them."""

    def __init__(self, folder: Path, maps: Mappings, **options: Any) -> None:
        self.world = World(batch=2, **options)
        self.maps = maps
        self.path = folder / "workspace.db"
        self.a, self.b = self.world.systems["a"], self.world.systems["b"]
        self.events = 0
        self.die_at = 0
        self.world.on_call = lambda _number, _phase, _what: self.event()
        self.open()

    def open(self) -> None:
        self.store = Store.open(self.path, now=self.world.now)
        sa.event.listen(self.store.engine, "commit", lambda _connection: self.event())

    def event(self) -> None:
        self.events += 1
        if self.events == self.die_at:
            raise Killed

    def sync(self) -> None:
        self.world.tick += 60
        Engine(self.store, self.maps, dict(self.world.systems)).sync(approve=True, confirm_mapping=True)

    def sync_until_quiet(self) -> None:
        for _ in range(4):
            self.sync()

    def outcome(self) -> dict[str, Any]:
        """What people would see in both systems: every live object, without the ids that differ by history."""
        seen: dict[str, Any] = {}
        for name, fake in self.world.systems.items():
            accounts = {id: values["Domain"] for id, values in fake.live("Account").items()}
            seen[f"{name} accounts"] = sorted(tuple(str(row[key]) for key in ("Name", "Domain", "Phone"))
                                              for row in fake.live("Account").values())
            seen[f"{name} deals"] = sorted(
                (*(str(row[key]) for key in ("Name", "Amount", "NextStep", "Second")),
                 accounts.get(row["AccountId"], "")) for row in fake.live("Deal").values())
        with self.store.read() as tx:
            seen["conflicts"] = sorted((state.entity, name, sorted(str(head.value) for head in heads))
                                       for state in tx.conflicted() for name, heads in state.conflicts.items())
        return seen


def first_contact(place: Place) -> None:
    for number in range(3):
        account = place.a.person_creates("Account", {"Name": f"Acme {number}", "Domain": f"acme{number}.test"})
        place.a.person_creates("Deal", {"Name": f"Deal {number}", "Amount": f"{number}00", "AccountId": account})
    place.b.person_creates("Account", {"Name": "ACME 0", "Domain": "acme0.test", "Phone": "1"})
    place.b.person_creates("Deal", {"Name": "Only in b", "Amount": "7"})


def a_busy_morning(place: Place) -> None:
    first_contact(place)
    die_at, place.die_at = place.die_at, 0
    place.sync_until_quiet()
    place.events, place.die_at = 0, die_at
    deals = {row["Name"]: id for id, row in place.a.live("Deal").items()}
    there = {row["Name"]: id for id, row in place.b.live("Deal").items()}
    place.a.person_edits("Deal", deals["Deal 0"], {"Amount": "111"})
    place.b.person_edits("Deal", there["Deal 0"], {"NextStep": "visit"})
    place.a.person_edits("Deal", deals["Deal 1"], {"Amount": "222"})
    place.b.person_edits("Deal", there["Deal 1"], {"Amount": "333"})
    place.a.person_deletes("Deal", deals["Deal 2"])
    accounts = {row["Domain"]: id for id, row in place.a.live("Account").items()}
    place.a.person_merges("Account", accounts["acme0.test"], accounts["acme1.test"])
    place.b.person_creates("Deal", {"Name": "New", "Amount": "9"})


def a_changed_mapping(place: Place) -> None:
    """The next step of b moves to a column that people had begun to fill; there are next steps of either system."""
    place.maps = office("NextStep", items=False)
    first_contact(place)
    die_at, place.die_at = place.die_at, 0
    place.sync_until_quiet()
    deals = {row["Name"]: id for id, row in place.a.live("Deal").items()}
    there = {row["Name"]: id for id, row in place.b.live("Deal").items()}
    place.a.person_edits("Deal", deals["Deal 0"], {"NextStep": "call"})
    place.b.person_edits("Deal", there["Deal 1"], {"NextStep": "visit", "Second": "visit twice"})
    place.b.person_edits("Deal", there["Only in b"], {"Second": "write"})
    place.sync_until_quiet()
    place.events, place.die_at = 0, die_at
    place.a.person_edits("Deal", deals["Deal 2"], {"NextStep": "wait"})
    place.maps = office("Second", items=False)


scenarios = pytest.mark.parametrize("scenario", [first_contact, a_busy_morning], ids=lambda one: one.__name__)
profiles = pytest.mark.parametrize("options", [{}, {"conditional": False}], ids=["with a condition", "without"])


@scenarios
@profiles
def test_a_crash_at_some_calls_or_commits_changes_nothing(
    tmp_path: Path, scenario: Scenario, options: dict[str, Any]
) -> None:
    sweep(tmp_path, scenario, options, every=17)


@pytest.mark.slow
@scenarios
@profiles
def test_a_crash_at_any_call_or_commit_changes_nothing(
    tmp_path: Path, scenario: Scenario, options: dict[str, Any]
) -> None:
    sweep(tmp_path, scenario, options, every=1)


@pytest.mark.slow
def test_a_crash_while_records_are_translated_again_changes_nothing(tmp_path: Path) -> None:
    sweep(tmp_path, a_changed_mapping, {}, every=2)


def sweep(tmp_path: Path, scenario: Scenario, options: dict[str, Any], *, every: int) -> None:
    maps = mappings(tmp_path / "mappings")

    def live(number: int) -> Place:
        folder = tmp_path / str(number)
        folder.mkdir()
        place = Place(folder, maps, **options)
        place.die_at = number
        try:
            scenario(place)
            place.sync()
            crashed = False
        except Killed:
            crashed = True
            place.store.close()
            place.open()
            place.world.tick += 1000
        assert crashed == (number > 0), number
        return place

    whole = live(0)
    events = whole.events
    whole.sync_until_quiet()
    expected = whole.outcome()
    assert events > 40, "the scenario must have something to kill"
    for number in range(1, events + 1, every):
        place = live(number)
        place.die_at = 0
        place.sync_until_quiet()
        assert place.outcome() == expected, f"killed at event {number}"
        place.store.close()
