"""The census finds what no feed tells, says why, repairs small drift through the ordinary plan, and infers nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sidefeed.sync import GuardTripped
from sidefeed.sync.census import FeedCensus
from tests.sync.test_engine import Office
from tests.sync.world import Row, World


@pytest.fixture
def office(tmp_path: Path, workspace: str | Path) -> Iterator[Office]:
    office = Office(tmp_path, World(), workspace)
    for number in range(20):
        office.a.person_creates("Deal", {"Name": f"Deal {number}", "Amount": str(number)})
    office.quiet()
    office.world.tick += 10_000
    yield office
    office.store.close()


def count(office: Office, *, repair: bool = False) -> dict[str, FeedCensus]:
    return {one.name: one for one in office.engine().census(repair=repair)}


def found(office: Office, feed: str) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(one.external_id, one.kind, one.fields) for one in count(office)[feed].differences]


def unnoticed(row: Row, stamp: int = 1, **values: Any) -> None:
    """A commit that becomes visible with a stamp the feed has passed already."""
    row.values.update(values)
    row.version, row.stamp = row.version + 1, stamp


def test_a_quiet_world_is_equal_and_the_census_costs_one_full_read(office: Office) -> None:
    before = office.b.calls.used
    feeds = count(office)
    assert {name: (one.equal, len(one.differences)) for name, one in feeds.items()} == {
        "a Account": (0, 0), "a Deal": (20, 0), "b Account": (0, 0), "b Deal": (20, 0)}
    pages = -(-20 // office.b.page) + 1
    assert office.b.calls.used - before == pages
    assert feeds["b Deal"].sentence() == "b Deal: 20 equal, 0 differ"


def test_a_late_commit_is_found_and_travels_after_the_repair(office: Office) -> None:
    deal = next(iter(office.b.rows["Deal"]))
    unnoticed(office.b.rows["Deal"][deal], Amount="999")
    office.sync()
    assert "999" not in {row["Amount"] for row in office.a.live("Deal").values()}, "the feed does not tell of it"
    assert found(office, "b Deal") == [(deal, "unnoticed", ("Amount",))]
    assert count(office, repair=True)["b Deal"].repaired == 1
    report = office.sync()
    assert report.written == {"a Deal": {"update": 1}}
    assert "999" in {row["Amount"] for row in office.a.live("Deal").values()}
    assert found(office, "b Deal") == found(office, "a Deal") == []


def test_a_value_that_changed_without_a_new_version_is_told_apart(office: Office) -> None:
    deal = next(iter(office.b.rows["Deal"]))
    office.b.rows["Deal"][deal].values["Tags"] = "computed"
    assert found(office, "b Deal") == [(deal, "silent", ("Tags",))]


def test_an_object_that_was_never_seen_is_found_and_created_elsewhere(office: Office) -> None:
    deal = office.a.person_creates("Deal", {"Name": "Late", "Amount": "5"})
    office.a.rows["Deal"][deal].stamp = 1
    office.sync()
    assert found(office, "a Deal") == [(deal, "missed", ())]
    count(office, repair=True)
    assert office.sync().written == {"b Deal": {"create": 1}}


def test_objects_out_of_scope_are_no_drift_and_hold_up_no_repair(office: Office) -> None:
    objects = tuple(replace(om, scope={"NextStep": [None, "call"]}) if (om.system, om.object) == ("a", "Deal") else om
                    for om in office.mappings.objects)
    office.mappings = replace(office.mappings, objects=objects)
    for number in range(30):
        office.a.person_creates("Deal", {"Name": f"Elsewhere {number}", "NextStep": "none of ours"})
    office.quiet()
    assert len(office.b.live("Deal")) == 20
    deal = next(iter(office.a.rows["Deal"]))
    unnoticed(office.a.rows["Deal"][deal], Amount="999")
    one = count(office, repair=True)["a Deal"]
    assert [(each.external_id, each.kind) for each in one.differences] == [(deal, "unnoticed")]
    assert one.repaired == 1


def test_deletions_and_merges_that_no_feed_told_of_are_followed(office: Office) -> None:
    deleted, merged, winner, *_ = office.a.rows["Deal"]
    for id in (deleted, merged):
        unnoticed(office.a.rows["Deal"][id])
        office.a.rows["Deal"][id].deleted = True
    office.a.rows["Deal"][merged].merged_into = winner
    office.sync()
    assert found(office, "a Deal") == [(deleted, "deleted", ()), (merged, "merged", ())]
    count(office, repair=True)
    report = office.sync()
    assert report.written == {"b Deal": {"delete": 1}}, "a merge deletes nothing elsewhere"
    assert found(office, "a Deal") == []


def test_what_is_not_shown_any_more_is_said_and_never_taken_for_deleted(office: Office) -> None:
    for id in list(office.a.rows["Deal"])[:15]:
        del office.a.rows["Deal"][id]
    one = count(office, repair=True)["a Deal"]
    assert {each.kind for each in one.differences} == {"hidden"}
    assert (len(one.differences), one.repaired, one.equal) == (15, 0, 5)
    assert office.sync().written == {}
    assert len(office.b.live("Deal")) == 20


def test_a_feed_that_fails_is_told_and_nothing_is_inferred(office: Office) -> None:
    def down(_number: int, phase: str, what: str) -> None:
        if phase == "before" and what == "a read":
            from sidefeed.connector import Unavailable

            raise Unavailable("a does not answer")

    office.world.on_call = down
    feeds = count(office, repair=True)
    assert feeds["a Deal"].failed == "a does not answer [unavailable]"
    assert (feeds["a Deal"].differences, feeds["a Deal"].repaired, feeds["b Deal"].equal) == ([], 0, 20)


def test_work_under_way_is_not_drift(office: Office) -> None:
    deal = next(iter(office.a.rows["Deal"]))
    office.a.person_edits("Deal", deal, {"Amount": "77"})
    with office.store.write() as tx:
        tx.put_inbox("a", "Deal", {deal: None})
    one = count(office)["a Deal"]
    assert (one.equal, one.underway, one.differences) == (19, 1, [])


def test_much_drift_is_left_to_a_person(office: Office) -> None:
    for row in office.b.rows["Deal"].values():
        unnoticed(row, Amount=str(int(row.values["Amount"]) + 1000))
    one = count(office, repair=True)["b Deal"]
    assert (len(one.differences), one.repaired) == (20, 0)
    assert "more than 10" in one.note
    office.sync()
    assert {int(row["Amount"]) for row in office.a.live("Deal").values()} == set(range(20))


def test_a_repair_passes_the_same_guards_as_any_sync(office: Office) -> None:
    for id in list(office.a.rows["Deal"])[:10]:
        unnoticed(office.a.rows["Deal"][id])
        office.a.rows["Deal"][id].deleted = True
    extra = list(office.a.rows["Deal"])[10]
    office.a.person_deletes("Deal", extra)
    assert count(office, repair=True)["a Deal"].repaired == 0, "eleven are more than small"
    office.a.person_restores("Deal", extra)
    office.sync()
    assert count(office, repair=True)["a Deal"].repaired == 10
    office.a.person_deletes("Deal", extra)
    with pytest.raises(GuardTripped, match="11 of 20"):
        office.sync()
    assert len(office.b.live("Deal")) == 20
