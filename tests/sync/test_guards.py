"""Each guard stops a run before its first write, shows exactly what it stopped, and lets exactly that pass."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sidefeed.connector import CursorExpired, Remote, Stream, Unavailable
from sidefeed.mapping import load
from sidefeed.sync import Engine, GuardTripped, Limits
from sidefeed.sync.approval import Parked, parked, skip, waiting_runs
from sidefeed.sync.guard import Limit, Trip, check_plan, refuse
from sidefeed.workspace import Store, StoreError
from tests.sync.test_engine import Office
from tests.sync.world import World


class Guarded(Office):
    """An office with twenty deals in both systems, and limits that a test may change."""

    limits = Limits(one_field_count=5)

    def engine(self) -> Engine:
        return Engine(self.store, self.mappings, dict(self.world.systems), self.limits)

    def stopped(self) -> GuardTripped:
        with pytest.raises(GuardTripped) as tripped:
            self.sync()
        assert self.written() == 0
        return tripped.value

    def written(self) -> int:
        with self.store.read() as tx:
            return int((tx.runs(1)[0]["counts"] or {}).get("written", 0))

    def waiting(self) -> str:
        with self.store.read() as tx:
            return str(waiting_runs(tx)[0]["id"])

    def approve(self) -> Any:
        self.world.tick += 60
        return self.engine().approve(self.waiting())

    def skip(self) -> dict[str, int]:
        with self.store.write() as tx:
            return skip(tx, parked(tx, self.waiting()))


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Guarded]:
    office = Guarded(tmp_path, World(batch=50, page=50))
    for number in range(20):
        office.a.person_creates("Deal", {"Name": f"Deal {number}", "Amount": "1", "NextStep": "call"})
    office.quiet()
    yield office
    office.store.close()


def delete(office: Guarded, number: int) -> list[str]:
    ids = list(office.a.live("Deal"))[:number]
    for id in ids:
        office.a.person_deletes("Deal", id)
    return ids


def unavailable(office: Guarded, system: str) -> None:
    def away(_number: int, _phase: str, what: str) -> None:
        if what.startswith(f"{system} "):
            raise Unavailable(f"{system} does not answer")

    office.world.on_call = away


def test_mass_deletion_shows_what_it_stopped_and_approving_lets_exactly_that_pass(office: Guarded) -> None:
    ids = delete(office, 11)
    (trip,) = office.stopped().trips
    assert (trip.guard, {item["external_id"] for item in trip.items}) == ("mass-delete", set(ids))
    assert {item["label"] for item in trip.items} == {f"Deal {number}" for number in range(11)}
    assert len(office.b.live("Deal")) == 20
    report = office.approve()
    assert report.written == {"b Deal": {"delete": 11}}
    assert office.sync().written == {}
    with pytest.raises(StoreError, match="is approved"), office.store.read() as tx:
        parked(tx, next(run["id"] for run in tx.runs(9) if run["state"] == "approved"))


def test_more_than_was_shown_is_stopped_again(office: Guarded) -> None:
    delete(office, 11)
    office.stopped()
    delete(office, 2)
    with pytest.raises(GuardTripped, match="13 of 20"):
        office.approve()
    assert len(office.b.live("Deal")) == 20


def test_a_run_that_could_not_be_carried_out_waits_on(office: Guarded) -> None:
    """A system failed in the approved run, and the run counted as approved: nobody asked again."""
    delete(office, 11)
    office.stopped()
    first = office.waiting()
    unavailable(office, "b")
    report = office.approve()
    office.world.on_call = None
    assert (list(report.failed), report.still_parked) == (["b"], ["b"])
    assert len(office.b.live("Deal")) == 20 and office.waiting() == first
    assert office.approve().written == {"b Deal": {"delete": 11}}
    with office.store.read() as tx:
        assert (waiting_runs(tx), tx.run(first)["state"]) == ([], "approved")


def test_a_run_that_did_not_reach_what_was_stopped_settles_nothing(office: Guarded) -> None:
    delete(office, 11)
    office.stopped()
    first = office.waiting()
    unavailable(office, "a")
    assert list(office.sync().failed) == ["a"]
    office.world.on_call = None
    assert office.waiting() == first
    office.approve()
    assert len(office.b.live("Deal")) == 9


def test_approving_deletions_reaches_the_mailboxes_of_another_system(tmp_path: Path) -> None:
    """The copies were stopped for ever: what was approved named the object, and a mailbox's feed has its own name."""
    office = Guarded(tmp_path, World(batch=50, page=50))
    office.b.streams = lambda object: [Stream(object, "ann@example.test")]  # type: ignore[method-assign]
    for number in range(20):
        office.a.person_creates("Deal", {"Name": f"Deal {number}"})
    office.quiet()
    delete(office, 11)
    assert [trip.key for trip in office.stopped().trips] == ["mass-delete a Deal"]
    assert office.approve().written == {"b Deal/ann@example.test": {"delete": 11}}


def test_deletions_that_two_mailboxes_report_are_believed_together() -> None:
    listed = [{"external_id": str(number)} for number in range(12)]
    trips = tuple({"guard": "mass-delete", "system": "mail", "object": f"contacts/{who}", "items": listed}
                  for who in ("ann@example.test", "bob@example.test"))
    shown = Parked("r1", ("mail", "crm"), trips).approval({("mail", "contacts"): "contact", ("crm", "Contact"): "contact"})
    deletion = Trip("mass-delete", "crm", "Contact", "", tuple({"record": str(number)} for number in range(24)))
    assert refuse(shown, [deletion]) == [deletion.key]
    with pytest.raises(GuardTripped):
        refuse(shown, [replace(deletion, items=(*deletion.items, {"record": "one more"}))])


def test_several_feeds_that_one_guard_stopped_are_told_with_its_advice_once() -> None:
    trips = [Trip("emptied", "a", object, f"a {object}: all gone. Nothing was written. Look at it.") for object in "xy"]
    other = Trip("marker", "b", "", "b: another organisation. Check the settings.")
    assert str(GuardTripped([*trips, other])) == (
        "a x: all gone; a y: all gone. Nothing was written. Look at it. b: another organisation. Check the settings.")


def test_skipping_reported_deletions_keeps_the_copies(office: Guarded) -> None:
    ids = delete(office, 11)
    office.stopped()
    assert office.skip() == {"mass-delete a Deal": 11}
    office.quiet()
    assert (len(office.a.live("Deal")), len(office.b.live("Deal"))) == (9, 20)
    office.a.person_restores("Deal", ids[0])
    office.b.person_edits("Deal", next(id for id, row in office.b.live("Deal").items()
                                       if row["Name"] == office.a.rows["Deal"][ids[0]].values["Name"]), {"Amount": "2"})
    office.quiet()
    assert office.a.rows["Deal"][ids[0]].values["Amount"] == "2", "restored there, it is linked again"


def test_an_object_that_is_suddenly_empty_stops_the_run(tmp_path: Path) -> None:
    office = Guarded(tmp_path, World())
    for number in range(6):
        office.a.person_creates("Deal", {"Name": f"Deal {number}"})
    office.quiet()
    delete(office, 6)
    assert [trip.guard for trip in office.stopped().trips] == ["emptied"]
    assert len(office.b.live("Deal")) == 6


def test_deletions_count_over_a_day_not_in_one_run_alone(office: Guarded) -> None:
    delete(office, 6)
    office.sync()
    delete(office, 6)
    (trip,) = office.stopped().trips
    assert "6 more in the last 24 hours" in trip.message
    office.world.tick += 25 * 3600
    office.sync()
    assert len(office.b.live("Deal")) == 8


def test_mass_blanking_is_stopped_and_can_be_skipped(office: Guarded) -> None:
    for id in list(office.a.live("Deal"))[:12]:
        office.a.person_edits("Deal", id, {"NextStep": None})
    trips = {trip.guard: trip for trip in office.stopped().trips}
    assert trips["mass-blank"].items[0]["fields"] == {"NextStep": {"before": "call", "after": None}}
    office.skip()
    office.quiet()
    assert [row["NextStep"] for row in office.b.live("Deal").values()].count("call") == 20
    one = next(iter(office.a.live("Deal")))
    office.a.person_edits("Deal", one, {"NextStep": "visit"})
    office.quiet()
    assert [row["NextStep"] for row in office.b.live("Deal").values()].count("visit") == 1, "another value is written"


def test_one_field_on_more_than_half_of_the_links_is_stopped(office: Guarded) -> None:
    ids = list(office.a.live("Deal"))
    for id in ids[:8]:
        office.a.person_edits("Deal", id, {"Amount": "2"})
    office.sync()
    for id in ids[8:14]:
        office.a.person_edits("Deal", id, {"Amount": "2"})
    (trip,) = office.stopped().trips
    assert (trip.guard, len(trip.items)) == ("mass-update", 6)
    assert "8 more were in the last 24 hours" in trip.message
    office.approve()
    assert sum(row["Amount"] == "2" for row in office.b.live("Deal").values()) == 14
    office.a.person_edits("Deal", ids[15], {"Amount": "3"})
    office.sync()


def test_a_run_that_two_fields_stopped_is_approved_at_once(office: Guarded) -> None:
    """What was shown of the second field stood for both, so that the larger list was stopped for ever."""
    ids = list(office.a.live("Deal"))
    for number, id in enumerate(ids[:15]):
        office.a.person_edits("Deal", id, {"NextStep": "visit"} | ({"Amount": "2"} if number < 12 else {}))
    assert [len(trip.items) for trip in office.stopped().trips] == [15, 12]
    office.approve()
    assert [sum(row[name] == value for row in office.b.live("Deal").values())
            for name, value in (("NextStep", "visit"), ("Amount", "2"))] == [15, 12]


def test_what_a_person_approved_does_not_count_against_the_next_run(office: Guarded) -> None:
    delete(office, 11)
    office.stopped()
    office.approve()
    delete(office, 1)
    assert office.sync().written == {"b Deal": {"delete": 1}}


def test_thresholds_are_settings(office: Guarded) -> None:
    office.limits = replace(office.limits, deletes={"opportunity": Limit(100, 0.9)})
    delete(office, 15)
    assert office.sync().written == {"b Deal": {"delete": 15}}


def test_a_lost_workspace_is_told_from_an_empty_world(office: Guarded, tmp_path: Path) -> None:
    office.store.close()
    office.store = Store.open(tmp_path / "new.db", now=office.world.now)
    (trip,) = office.stopped().trips
    assert (trip.guard, len(trip.items)) == ("older-than-the-world", 20), "b's deals carry our keys"
    _plans, planned = office.engine().plan()
    assert planned.parked == [trip.message], "a plan shows it and writes nothing"
    with pytest.raises(StoreError, match="newest copy"):
        office.skip()


def test_an_old_copy_of_the_workspace_is_noticed(tmp_path: Path) -> None:
    office = Guarded(tmp_path, World())
    office.a.person_creates("Deal", {"Name": "Old"})
    office.quiet()
    office.store.close()
    backup = (tmp_path / "workspace.db").read_bytes()
    office.store = Store.open(office.path, now=office.world.now)
    office.a.person_creates("Deal", {"Name": "New"})
    office.quiet()
    office.store.close()
    (tmp_path / "restored.db").write_bytes(backup)
    office.store = Store.open(tmp_path / "restored.db", now=office.world.now)
    assert [trip.guard for trip in office.stopped().trips] == ["older-than-the-world"]
    assert len(office.a.live("Deal")) == len(office.b.live("Deal")) == 2


def expire_cursor(office: Guarded) -> None:
    real = office.a.changes

    def changes(stream: Any, fields: Any, cursor: str | None, *, scope: Any = None) -> Any:
        if cursor is not None and cursor.startswith("old"):
            raise CursorExpired("the cursor is too old")
        return real(stream, fields, cursor, scope=scope)

    office.a.changes = changes  # type: ignore[method-assign]
    with office.store.write() as tx:
        tx.move_cursor("a", "Deal", position="old")


def test_after_a_lost_cursor_missing_ids_are_looked_at_one_by_one(office: Guarded) -> None:
    gone = delete(office, 2)
    for id in gone:  # the feed has forgotten them
        office.a.rows["Deal"][id].stamp = -10 ** 8
    expire_cursor(office)
    assert office.sync().written == {"b Deal": {"delete": 2}}


def test_after_a_lost_cursor_few_of_few_stop_nobody(tmp_path: Path) -> None:
    """One deletion among four stopped the run after each change of a mapping."""
    office = Guarded(tmp_path, World())
    for number in range(4):
        office.a.person_creates("Deal", {"Name": f"Deal {number}"})
    office.quiet()
    for id in delete(office, 1):
        office.a.rows["Deal"][id].stamp = -10 ** 8
    expire_cursor(office)
    assert office.sync().written == {"b Deal": {"delete": 1}}


def test_after_a_lost_cursor_too_many_missing_ids_stop_the_run(office: Guarded) -> None:
    office.a.hidden = set(list(office.a.live("Deal"))[:6])
    expire_cursor(office)
    (trip,) = office.stopped().trips
    assert (trip.guard, len(trip.items)) == ("refused-cursor", 6)
    assert "of 20 known objects only 14 are there" in trip.message
    office.stopped()
    office.a.hidden = set()
    assert office.sync().written == {}
    assert len(office.b.live("Deal")) == 20


def test_what_was_deleted_while_a_changed_mapping_waited_is_deleted_elsewhere_too(office: Guarded) -> None:
    """Everything was read from the start, and a first reading tells of no deletion: the copies stayed for good."""
    office.a.forgets = office.b.forgets = True
    place = Path(office.path).parent / "mappings"
    written = (place / "a.yaml").read_text()
    (place / "a.yaml").write_text(written.replace("next_step: NextStep", "next_step: {field: NextStep, max_length: 9}"))
    office.mappings = load(place)
    delete(office, 2)
    office.world.tick += 600
    assert [trip.guard for trip in office.stopped().trips] == ["mapping-changed"]
    assert office.approve().written == {"b Deal": {"delete": 2}}


def test_messages_to_people_have_a_budget_of_none(office: Guarded) -> None:
    from sidefeed.calendars.planned import Mails  # it and the plan import each other; the engine comes first

    office.a.person_edits("Deal", next(iter(office.a.live("Deal"))), {"Amount": "2"})
    plans, _report = office.engine().plan()
    (plan,) = [plan for plan in plans if plan.writes]
    plan.writes[0].mails = Mails("invitation", ("ann@customer.test", "bob@customer.test"), "cy@us.test", asked=False)
    with office.store.read() as tx:
        (trip,) = check_plan(tx, plan, office.limits)
        assert check_plan(tx, plan, replace(office.limits, mails=2)) == []
        plan.writes[0].mails = replace(plan.writes[0].mails, asked=True)
        assert check_plan(tx, plan, office.limits) == [], "their organiser asked for them"
    assert trip.guard == "mail-budget" and trip.items[0]["mails"] == ["ann@customer.test", "bob@customer.test"]


def a_robot_blanks_while_we_write(office: Guarded, number: int, batch: int = 50) -> None:
    """People edit deals in a; the moment we write them to b, something there blanks the next step of the same deals."""
    office.limits = replace(office.limits, one_field_count=100)
    office.b.batch = batch
    for id in list(office.a.live("Deal"))[:number]:
        office.a.person_edits("Deal", id, {"Amount": "2"})
    names = {office.a.rows["Deal"][id].values["Name"] for id in list(office.a.live("Deal"))[:number]}

    def blank(_number: int, phase: str, what: str) -> None:
        if (phase, what) == ("before", "b write"):
            office.world.on_call = None
            for id, row in office.b.live("Deal").items():
                if row["Name"] in names:
                    office.b.person_edits("Deal", id, {"NextStep": None}, actor="robot")

    office.world.on_call = blank


def test_what_comes_up_while_a_run_writes_is_held_against_the_guards_too(office: Guarded) -> None:
    a_robot_blanks_while_we_write(office, 12)
    (trip,) = office.stopped().trips
    assert (trip.guard, trip.system, len(trip.items)) == ("mass-blank", "a", 12)
    assert trip.items[0]["fields"]["NextStep"] == {"before": "call", "after": None}
    assert [row["NextStep"] for row in office.a.live("Deal").values()] == ["call"] * 20
    office.approve()
    office.quiet()
    assert [row["NextStep"] for row in office.a.live("Deal").values()].count(None) == 12
    assert sum(row["Amount"] == "2" for row in office.b.live("Deal").values()) == 12


def test_a_run_stopped_in_a_later_wave_says_what_it_wrote_before(office: Guarded) -> None:
    office.b.person_creates("Deal", {"Name": "New", "Amount": "1"})
    a_robot_blanks_while_we_write(office, 12)
    with pytest.raises(GuardTripped, match="1 writes were made before, and none of these") as tripped:
        office.sync()
    assert [trip.guard for trip in tripped.value.trips] == ["mass-blank"]
    assert [row["NextStep"] for row in office.a.live("Deal").values() if row["Name"] != "New"] == ["call"] * 20
    with office.store.read() as tx:
        run = tx.run(office.waiting())
    assert run["counts"]["written"] == 1 and run["detail"]["written"] == {"a Deal": {"create": 1}}


def test_few_that_come_up_while_a_run_writes_pass(office: Guarded) -> None:
    a_robot_blanks_while_we_write(office, 9)
    office.sync()
    assert [row["NextStep"] for row in office.a.live("Deal").values()].count(None) == 9


def test_a_deletion_stamped_in_the_future_holds_back_nobody(office: Guarded) -> None:
    (id,) = delete(office, 1)
    office.a.rows["Deal"][id].stamp = office.world.tick + 10_000
    office.a.person_creates("Deal", {"Name": "New"})
    report = office.sync()
    assert report.written == {"b Deal": {"create": 1, "delete": 1}}
    assert {problem.code for problem in report.problems} == {"clock-ahead"}


# -- leaving scope, losing sight --------------------------------------------------------------------------------------


def scoped(office: Guarded, leaving: str = "unlink") -> str:
    """Only deals whose next step is a call take part in a; a deal that leaves, by its id."""
    objects = tuple(replace(om, scope={"NextStep": ["call", "visit"]}, leaving_scope=leaving)
                    if (om.system, om.object) == ("a", "Deal") else om for om in office.mappings.objects)
    office.mappings = replace(office.mappings, objects=objects)
    id = next(iter(office.a.live("Deal")))
    office.a.person_edits("Deal", id, {"NextStep": "gone away", "Amount": "7"})
    office.quiet()
    return id


def copy_of(office: Guarded, id: str) -> dict[str, Any]:
    name = office.a.rows["Deal"][id].values["Name"]
    return next((row for row in office.b.live("Deal").values() if row["Name"] == name), {})


def test_leaving_scope_unlinks_and_deletes_nothing(office: Guarded) -> None:
    id = scoped(office)
    assert copy_of(office, id)["Amount"] == "1" and len(office.b.live("Deal")) == 20
    there = next(key for key, row in office.b.live("Deal").items() if row is copy_of(office, id))
    office.b.person_edits("Deal", there, {"Name": "Renamed"})
    office.quiet()
    assert office.a.rows["Deal"][id].values["Name"] == "Deal 0", "the two have parted"
    office.b.person_edits("Deal", there, {"Name": "Deal 0"})
    office.a.person_edits("Deal", id, {"NextStep": "visit"})
    office.quiet()
    assert copy_of(office, id)["NextStep"] == "visit" and copy_of(office, id)["Amount"] == "7", "back, and linked again"
    assert len(office.a.live("Deal")) == len(office.b.live("Deal")) == 20


def test_what_was_deleted_elsewhere_after_it_left_the_scope_does_not_come_back_with_it(tmp_path: Path) -> None:
    office = Guarded(tmp_path, World())
    office.a.person_creates("Deal", {"Name": "Deal", "NextStep": "call"})
    office.a.person_creates("Deal", {"Name": "Other", "NextStep": "call"})
    office.quiet()
    (there,) = [id for id, row in office.b.live("Deal").items() if row["Name"] == "Deal"]
    id = scoped(office, "delete")
    assert there not in office.b.live("Deal")
    office.b.person_restores("Deal", there)
    office.quiet()
    office.b.person_deletes("Deal", there)
    office.quiet()
    office.a.person_edits("Deal", id, {"NextStep": "call"})
    office.quiet()
    assert [row["Name"] for row in office.b.live("Deal").values()] == ["Other"]
    office.store.close()


def test_leaving_scope_may_freeze_archive_or_delete(tmp_path: Path) -> None:
    for leaving in ("freeze", "archive", "delete"):
        folder = tmp_path / leaving
        folder.mkdir()
        office = Guarded(folder, World(("a", "b", "c")))
        for number in range(3):
            office.a.person_creates("Deal", {"Name": f"Deal {number}", "Amount": "1", "NextStep": "call"})
        office.quiet()
        id = scoped(office, leaving)
        with office.store.read() as tx:
            state = tx.record(tx.known_as("a", "Deal", [id])[id][0])
        assert state is not None and id in office.a.live("Deal"), "what left stays where it is"
        if leaving == "freeze":
            there = next(key for key, row in office.b.live("Deal").items() if row["Name"] == "Deal 0")
            office.b.person_edits("Deal", there, {"Name": "Renamed"})
            office.quiet()
            names = {row["Name"] for row in office.world.systems["c"].live("Deal").values()}
            assert "Deal 0" in names, "nothing is written while it is frozen"
            office.a.person_edits("Deal", id, {"NextStep": "call"})
            office.quiet()
            names = {row["Name"] for row in office.world.systems["c"].live("Deal").values()}
            assert "Renamed" in names
        else:
            assert len(office.b.live("Deal")) == 2
            assert state.deleted is (leaving == "delete")
            office.a.person_edits("Deal", id, {"NextStep": "call"})
            office.quiet()
            assert len(office.b.live("Deal")) == 3, "back in scope, it has its copies again"
        office.store.close()


def test_what_was_frozen_before_it_had_a_copy_gets_one_when_it_comes_back(tmp_path: Path) -> None:
    office = Guarded(tmp_path, World())
    place = tmp_path / "mappings" / "a.yaml"
    place.write_text(place.read_text().replace(
        "  Deal:\n", "  Deal:\n    scope: {NextStep: call}\n    leaving_scope: freeze\n"))
    office.mappings = load(place.parent)
    id = office.a.person_creates("Deal", {"Name": "Deal", "NextStep": "call"})
    office.world.tick += 60
    office.engine().sync(["a"])
    office.a.person_edits("Deal", id, {"NextStep": "visit"})
    office.quiet()
    assert office.b.live("Deal") == {}
    office.a.person_edits("Deal", id, {"NextStep": "call"})
    office.quiet()
    assert office.only("b")["Name"] == "Deal"
    office.store.close()


def test_a_record_that_cannot_be_seen_is_not_taken_for_deleted(office: Guarded) -> None:
    id = next(iter(office.a.live("Deal")))
    real, capabilities = office.a.fetch, office.a.capabilities

    def fetch(stream: Any, fields: Any, ids: Any) -> list[Remote]:
        return [Remote(one.id, state="deleted") if one.id == id else one for one in real(stream, fields, ids)]

    office.a.capabilities = lambda object: replace(capabilities(object), hides=True)  # type: ignore[method-assign]
    office.a.fetch = fetch  # type: ignore[method-assign]
    with office.store.write() as tx:
        tx.put_inbox("a", "Deal", {id: None})
    report = office.sync()
    assert [problem.code for problem in report.problems] == ["out-of-reach"]
    office.quiet()
    assert len(office.b.live("Deal")) == 20
    office.a.fetch = real  # type: ignore[method-assign]
    office.a.person_edits("Deal", id, {"Amount": "5"})
    office.quiet()
    assert copy_of(office, id)["Amount"] == "5", "seen again, it is linked again"
