"""Two automations that each put their own value back are not carried on for ever."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sidefeed.sync import Engine, Limits
from sidefeed.sync.flips import parked_lines, release
from sidefeed.workspace.report import decide_conflict
from tests.sync.test_engine import Office
from tests.sync.world import World


class Quarrel(Office):
    """In each system an automation insists on its own next step."""

    def engine(self) -> Engine:
        return Engine(self.store, self.mappings, dict(self.world.systems), Limits(flips=4))

    def sync(self) -> Any:
        report = super().sync()
        for name, fake in self.world.systems.items():
            for id, row in fake.live("Deal").items():
                if row["NextStep"] not in (None, f"as {name} wants it"):
                    fake.person_edits("Deal", id, {"NextStep": f"as {name} wants it"}, actor="automation")
        return report

    def parked(self) -> list[dict[str, Any]]:
        with self.store.read() as tx:
            return parked_lines(tx)


@pytest.mark.slow
def test_a_field_that_flips_is_parked_with_its_history_and_can_be_released(tmp_path: Path) -> None:
    office = Quarrel(tmp_path, World())
    id = office.a.person_creates("Deal", {"Name": "Big", "NextStep": "as a wants it", "Amount": "1"})
    for _run in range(12):
        office.sync()
    (line,) = office.parked()
    assert (line["field"], line["label"]) == ("next_step", "Big")
    assert {said["source"] for said in line["history"]} == {"a", "b"} and len(line["history"]) > 4
    writes = len(office.b.writes_seen) + len(office.a.writes_seen)
    office.a.person_edits("Deal", id, {"Amount": "2"})
    for _run in range(3):
        office.sync()
    assert office.only("b")["Amount"] == "2", "everything else of the record goes on"
    assert len(office.b.writes_seen) + len(office.a.writes_seen) == writes + 1, "the quarrel is not carried on"
    with office.store.write() as tx:
        (state,) = tx.each_record("opportunity")
        assert release(tx, state, "next_step") and not release(tx, state, "next_step")
    office.sync()
    assert len(office.b.writes_seen) + len(office.a.writes_seen) > writes + 1
    for _run in range(12):
        office.sync()
    assert len(office.parked()) == 1, "it starts again, and is parked again"
    decide_conflict(office.store, "Big", "next_step", value="ours")
    assert office.parked() == []
    office.store.close()


def test_people_who_change_their_minds_are_not_parked(tmp_path: Path) -> None:
    office = Office(tmp_path, World())
    id = office.a.person_creates("Deal", {"Name": "Big", "Amount": "1"})
    for number in range(12):
        office.sync()
        office.a.person_edits("Deal", id, {"Amount": str(number % 2)})
    with office.store.read() as tx:
        assert parked_lines(tx) == []
    office.store.close()
