"""Safeguards switched off, one at a time, by the tests alone; each must be caught. ``docs/testing.md`` shows the table.

A mutant that survives means that the harness is blind there, which is worse than a missing test: it looks green.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

import sidefeed.sync.apply as apply_module
import sidefeed.sync.recover as recover_module
from sidefeed.connector import Invalid, Locked, Write
from sidefeed.sync import Engine, GuardTripped, absorb, capture, edits, engine, plan, policy, quarantine, restored, undo
from sidefeed.sync import budget as budget_module
from sidefeed.sync.budget import Budget, Meter
from sidefeed.sync.plan import content_digest
from sidefeed.workspace import Draft, LeaseHeld, Store, Transaction, log
from tests import nightly
from tests.sync.test_engine import Office
from tests.sync.test_histories import Histories, LateHistories, profile
from tests.sync.test_kill_sweep import a_busy_morning, first_contact, sweep
from tests.sync.test_office_histories import office as with_owners
from tests.sync.world import FakeSystem, Killed, World

Patch = pytest.MonkeyPatch
DOCS = Path(__file__).resolve().parents[2] / "docs" / "testing.md"


# -- what catches: random histories, kill sweeps, and scenes made for one safeguard -----------------------------------


def histories(kind: type[Histories] = Histories) -> Callable[[Path], None]:
    def scenario(_folder: Path) -> None:
        quick = settings(profile(100), phases=[Phase.generate], report_multiple_bugs=False)
        run_state_machine_as_test(kind, settings=quick)  # type: ignore[no-untyped-call]

    return scenario


class EagerHistories(Histories):
    """A feed that shows everything at once and stamps to the second: only ``>=`` stands between it and a lost edit."""

    options = {"overlap": 0}


LONG = 100_000
"""Seconds after which a change shows in a feed: later than any scene lasts."""


def kills(scenario: Any, **options: Any) -> Callable[[Path], None]:
    return lambda folder: sweep(folder, scenario, options, every=1)


def scene(act: Callable[[Office], None], **options: Any) -> Callable[[Path], None]:
    def scenario(folder: Path) -> None:
        office = Office(folder, World(**options))
        try:
            act(office)
        finally:
            office.store.close()

    return scenario


def one_deal(office: Office, **values: Any) -> tuple[str, str]:
    """A deal that lives in both systems; its ids."""
    office.a.person_creates("Deal", {"Name": "Big", "Amount": "10", **values})
    office.quiet()
    (in_a,), (in_b,) = office.a.live("Deal"), office.b.live("Deal")
    return in_a, in_b


def somebody_types_between_reading_and_writing(office: Office) -> None:
    in_a, in_b = one_deal(office)
    office.a.person_edits("Deal", in_a, {"Amount": "20"})
    start = office.world.calls

    def type_in_b(number: int, phase: str, what: str) -> None:
        if number - start == 5 and phase == "before":
            office.world.on_call = None
            office.b.person_edits("Deal", in_b, {"Amount": "30"})

    office.world.on_call = type_in_b
    office.quiet()
    assert in_conflict(office) == [{"20", "30"}]


def somebody_types_in_the_last_moment(office: Office) -> None:
    in_a, in_b = one_deal(office)
    office.a.person_edits("Deal", in_a, {"Amount": "20"})

    def type_in_b(_number: int, phase: str, what: str) -> None:
        if what == "b write" and phase == "before":
            office.world.on_call = None
            office.b.person_edits("Deal", in_b, {"Amount": "30"})

    office.world.on_call = type_in_b
    office.quiet()
    assert in_conflict(office) == [{"20", "30"}]


def two_people_disagree(office: Office) -> None:
    in_a, in_b = one_deal(office)
    office.a.person_edits("Deal", in_a, {"Amount": "20"})
    office.b.person_edits("Deal", in_b, {"Amount": "30"})
    office.quiet()
    assert in_conflict(office) == [{"20", "30"}]


def a_deal_deleted(office: Office) -> None:
    in_a, _in_b = one_deal(office)
    office.a.person_deletes("Deal", in_a)
    office.quiet()
    assert office.a.live("Deal") == office.b.live("Deal") == {}


def in_conflict(office: Office) -> list[set[str]]:
    with office.store.read() as tx:
        return [{head.value for head in state.conflicts["amount"]} for state in tx.conflicted()]


def somebody_edits_what_an_unheard_create_made(office: Office) -> None:
    office.a.person_creates("Deal", {"Name": "Big", "Amount": "10"})
    office.b.next_lag = LONG
    office.b.lose_answer = 1
    office.world.tick += 60
    real, office.b.find = office.b.find, lambda stream, keys: {}  # type: ignore[method-assign, assignment]
    office.engine().sync()
    office.b.find = real  # type: ignore[method-assign]
    office.b.rows["Deal"]["bD0001"].values["NextStep"] = "call her"
    office.quiet()
    assert office.only("b")["NextStep"] == "call her"


def a_lost_answer_to_a_create(office: Office) -> None:
    office.a.person_creates("Deal", {"Name": "Big", "Amount": "10"})
    office.b.lose_answer = 1
    office.b.next_lag = LONG  # its feed does not show it in time: only asking for the key can
    office.quiet()
    office.world.tick += 1000  # so that it could not be at work any more
    office.quiet()
    assert len(office.b.live("Deal")) == 1


def a_create_still_at_work(office: Office) -> None:
    office.a.person_creates("Deal", {"Name": "Big", "Amount": "10"})
    office.b.late = 15
    office.quiet()
    assert len(office.b.live("Deal")) == 1


def a_system_that_gives_what_we_make_to_our_own_user(office: Office) -> None:
    office.mappings = with_owners("NextStep", items=False)
    office.b.robot = office.b.person_creates("User", {"Email": "robot"})
    office.a.person_creates("Deal", {"Name": "Big", "Amount": "10"})
    office.quiet()
    with office.store.read() as tx:
        (deal,) = tx.each_record("opportunity")
    assert office.only("b")["OwnerId"] == office.b.robot and deal.values.get("owner") is None


def a_deletion_that_no_feed_tells(office: Office) -> None:
    """Its cursor was lost with it, and a reading from the start tells of nothing that was deleted before."""
    in_a, in_b = one_deal(office)
    for number in range(6):
        office.a.person_creates("Deal", {"Name": f"Deal {number}"})
    office.quiet()
    office.a.forgets, office.a.expired = True, {"Deal"}
    office.a.person_deletes("Deal", in_a)
    office.quiet()
    assert in_b not in office.b.live("Deal") and len(office.b.live("Deal")) == 6


def two_people_tag_a_deal(office: Office) -> None:
    in_a, in_b = one_deal(office, Tags="big")
    office.a.person_edits("Deal", in_a, {"Tags": "big;east"})
    office.b.person_edits("Deal", in_b, {"Tags": "west"})
    office.quiet()
    assert office.only("a")["Tags"] == office.only("b")["Tags"] == "east;west"


def killed_just_after_a_create(office: Office) -> None:
    office.a.person_creates("Deal", {"Name": "Big", "Amount": "10"})
    office.b.next_lag = LONG

    def kill(_number: int, phase: str, _what: str) -> None:
        if phase == "after" and office.b.live("Deal"):
            raise Killed

    office.world.on_call = kill
    office.world.tick += 60
    with pytest.raises(Killed):
        office.engine().sync()
    office.world.on_call = None
    office.world.tick += 1000  # the dead run's lease ends
    office.quiet()
    assert len(office.b.live("Deal")) == 1


def what_an_unheard_create_made_is_deleted(office: Office) -> None:
    office.a.person_creates("Deal", {"Name": "Big", "Amount": "10"})

    def kill(_number: int, phase: str, what: str) -> None:
        if (phase, what) == ("after", "b write"):
            raise Killed

    office.world.on_call = kill
    office.world.tick += 60
    with pytest.raises(Killed):
        office.engine().sync()
    office.world.on_call = None
    office.world.tick += 1000  # the dead run's lease ends
    office.b.person_deletes("Deal", next(iter(office.b.live("Deal"))))
    office.quiet()
    assert office.a.live("Deal") == office.b.live("Deal") == {}


def an_account_merged_in_a(office: Office) -> None:
    one = office.a.person_creates("Account", {"Name": "Acme", "Domain": "acme.test"})
    two = office.a.person_creates("Account", {"Name": "Acme GmbH", "Domain": "acme.example"})
    office.quiet()
    office.a.person_merges("Account", one, two)
    office.quiet()
    assert len(office.b.live("Account")) == 2


def a_deal_deleted_and_restored(office: Office) -> None:
    in_a, _in_b = one_deal(office)
    office.a.person_deletes("Deal", in_a)
    office.quiet()
    office.a.person_restores("Deal", in_a)
    office.quiet()
    with office.store.read() as tx:
        assert len(list(tx.each_record("opportunity"))) == 1


def an_observation_older_than_our_write(office: Office) -> None:
    """The inbox still holds what b said before we wrote; only a read by id tells what b holds now."""
    in_a, in_b = one_deal(office)
    office.b.next_lag = 10_000
    with office.store.write() as tx:
        tx.put_inbox("b", "Deal", {in_b: capture.pack(office.b._remote(office.b.rows["Deal"][in_b]))})
        later = office.world.now() + timedelta(seconds=90)
        tx.postpone("b", "Deal", in_b, until=later, waiting_for="its account")
    office.a.person_edits("Deal", in_a, {"Amount": "20"})
    office.sync()
    office.quiet()
    assert office.only("a")["Amount"] == office.only("b")["Amount"] == "20"


def a_value_that_b_refuses(office: Office) -> None:
    office.b.refuse = lambda _object, write: "Amount" if write.values.get("Amount") == "13" else None
    office.a.person_creates("Deal", {"Name": "Bad", "Amount": "13"})
    office.quiet()
    asked = [write for _object, write in office.b.writes_seen if write.values.get("Amount") == "13"]
    assert len(asked) == 1


def two_runs_at_once(office: Office) -> None:
    office.a.person_creates("Deal", {"Name": "Big", "Amount": "10"})

    def run_another(_number: int, phase: str, what: str) -> None:
        if what == "b write" and phase == "before":
            office.world.on_call = None
            with pytest.raises(LeaseHeld):
                Engine(Store.open(office.path, now=office.world.now), office.mappings,
                       dict(office.world.systems)).sync()

    office.world.on_call = run_another
    office.quiet()
    assert len(office.b.live("Deal")) == 1


def everything_gone_at_once(office: Office) -> None:
    for number in range(20):
        office.a.person_creates("Deal", {"Name": f"Deal {number}"})
    office.quiet()
    for id in list(office.a.live("Deal")):
        office.a.person_deletes("Deal", id)
    with pytest.raises(GuardTripped):
        office.sync()
    assert len(office.b.live("Deal")) == 20


def a_robot_blanks_everything_while_we_write(office: Office) -> None:
    for number in range(20):
        office.a.person_creates("Deal", {"Name": f"Deal {number}", "Amount": "1", "NextStep": "call"})
    office.quiet()
    for id in list(office.a.live("Deal")):
        office.a.person_edits("Deal", id, {"Amount": "2"})

    def blank(_number: int, phase: str, what: str) -> None:
        if (phase, what) == ("before", "b write"):
            office.world.on_call = None
            for id in office.b.live("Deal"):
                office.b.person_edits("Deal", id, {"NextStep": None}, actor="robot")

    office.world.on_call = blank
    with pytest.raises(GuardTripped):
        office.sync()
    assert {row["NextStep"] for row in office.a.live("Deal").values()} == {"call"}


def a_record_that_b_has_locked(office: Office) -> None:
    office.b.refuse = lambda _object, _write: Locked("somebody is writing it")
    office.a.person_creates("Deal", {"Name": "Big", "Amount": "10"})
    office.sync()
    office.b.refuse = lambda _object, _write: None
    office.world.tick += 20 * 60
    office.sync()
    assert len(office.b.live("Deal")) == 1, "its lane is open, and the lock is gone"


def a_record_that_stays_locked(office: Office) -> None:
    office.b.refuse = lambda _object, _write: Locked("somebody is writing it")
    office.a.person_creates("Deal", {"Name": "Big", "Amount": "10"})
    for _ in range(10):
        office.sync()
    assert len(office.b.writes_seen) == 1, "ten runs in ten minutes, and its lane opens every twenty"


def one_poisoned_row_in_a_batch(office: Office) -> None:
    for number in range(8):
        office.a.person_creates("Deal", {"Name": f"Deal {number}"})
    office.b.poison = lambda _object, write: write.values.get("Name") == "Deal 5"
    office.quiet()
    assert len(office.b.live("Deal")) == 7


def a_run_longer_than_its_lease(office: Office) -> None:
    """Another machine looks in at every call; it may start only once this run has ended."""
    office.a.person_creates("Deal", {"Name": "Big", "Amount": "10"})

    def look_in(_number: int, phase: str, _what: str) -> None:
        if phase == "before":
            office.world.tick += 400
            with pytest.raises(LeaseHeld), office.store.write() as tx:
                tx.take_lease("sync:b", "r9 on another-machine pid 1", 900)

    office.world.on_call = look_in
    office.engine().sync()


def a_lease_that_was_lost(office: Office) -> None:
    office.a.person_creates("Deal", {"Name": "Big", "Amount": "10"})

    def stall(_number: int, phase: str, what: str) -> None:
        if (phase, what) == ("after", "a read"):
            office.world.on_call = None
            office.world.tick += 2000
            with office.store.write() as tx:
                tx.take_lease("sync:b", "r9 on another-machine pid 1", 900)

    office.world.on_call = stall
    with pytest.raises(LeaseHeld):
        office.engine().sync()
    assert office.b.live("Deal") == {}


def on_a_budget(office: Office, calls: int) -> None:
    office.world.tick += 60
    Engine(office.store, office.mappings, dict(office.world.systems),
           budgets={"b": Budget(share=1, daily_calls=calls)}).sync(approve=True)


def a_backfill_larger_than_the_share(office: Office) -> None:
    for number in range(40):
        office.a.person_creates("Deal", {"Name": f"Deal {number}"})
    on_a_budget(office, 8)
    assert office.b.calls.used <= 9 and 0 < len(office.b.live("Deal")) < 40


def a_deal_typed_here_beside_a_backfill(office: Office) -> None:
    for number in range(40):
        office.a.person_creates("Deal", {"Name": f"Deal {number}"})
    office.world.tick += 60
    office.engine().sync(["a"])
    with office.store.write() as tx:
        tx.append([Draft("opportunity", tx.new_id(), {"name": "Typed"}, "ann", "workspace")])
    on_a_budget(office, office.b.calls.used + 3)
    names = {row["Name"] for row in office.b.live("Deal").values()}
    assert "Typed" in names and len(names) < 41


def a_refusal_beyond_three_quarters(office: Office) -> None:
    office.b.refuse = lambda _object, _write: Locked("somebody is writing it")
    office.a.person_creates("Deal", {"Name": "Big", "Amount": "10"})
    office.sync()
    office.world.tick += 20 * 60
    with office.store.write() as tx:
        tx.count_calls("b", 80)
    before = len(office.b.writes_seen)
    on_a_budget(office, 100)
    assert len(office.b.writes_seen) == before


def an_old_backup_is_restored(office: Office) -> None:
    one_deal(office)
    office.store.close()
    backup = Path(office.path).read_bytes()
    office.store = Store.open(office.path, now=office.world.now)
    office.a.person_creates("Deal", {"Name": "This week", "Amount": "5"})
    office.quiet()
    office.store.close()
    Path(office.path).write_bytes(backup)
    office.store = Store.open(office.path, now=office.world.now)
    with pytest.raises(GuardTripped):
        office.sync()
    office.world.tick += 60
    office.engine().sync(approve=True)
    office.quiet()
    assert len(office.a.live("Deal")) == len(office.b.live("Deal")) == 2


def two_that_could_be_meant(office: Office) -> None:
    office.a.person_creates("Account", {"Name": "Twin one", "Domain": "twin.test"})
    office.a.person_creates("Account", {"Name": "Twin two", "Domain": "twin.test"})
    office.b.person_creates("Account", {"Name": "Twin", "Domain": "twin.test", "Phone": "1"})
    office.quiet()
    assert [row["Phone"] for row in office.a.live("Account").values()] == [None, None]


def another_organisation_answers(office: Office) -> None:
    one_deal(office)
    office.b.marker = lambda: "org-sandbox"  # type: ignore[method-assign]
    office.a.person_creates("Deal", {"Name": "New"})
    with pytest.raises(GuardTripped):
        office.sync()
    assert len(office.b.live("Deal")) == 1


def a_deal_that_leaves_the_scope(office: Office) -> None:
    in_a, _in_b = one_deal(office, Scope="in")
    office.mappings = replace(office.mappings, objects=tuple(
        replace(om, scope={"Scope": ["in", None]}) if om.object == "Deal" else om for om in office.mappings.objects))
    office.a.person_edits("Deal", in_a, {"Scope": "out"})
    office.quiet()
    assert len(office.b.live("Deal")) == 1
    office.a.person_edits("Deal", in_a, {"Scope": "in", "Amount": "20"})
    office.quiet()
    assert office.only("b")["Amount"] == "20"


def a_deal_hidden_from_us(office: Office) -> None:
    in_a, in_b = one_deal(office)
    office.a.hides = True
    office.a.hidden.add(in_a)
    office.b.person_edits("Deal", in_b, {"Amount": "20"})
    office.quiet()
    assert [row["Amount"] for row in office.b.live("Deal").values()] == ["20"]


def a_run_is_undone(office: Office) -> None:
    in_a, in_b = one_deal(office)
    office.a.person_edits("Deal", in_a, {"Amount": "20", "NextStep": "call"})
    run = office.sync()
    office.b.person_edits("Deal", in_b, {"NextStep": "visit"})
    office.engine().undo(run.run)
    office.quiet()
    assert (office.only("b")["Amount"], office.only("b")["NextStep"]) == ("10", "visit")
    assert office.only("a")["Amount"] == "20", "what people typed in a stays there"


def a_system_that_trims(office: Office) -> None:
    office.b.normal = lambda _name, value: f"{value} " if value else value
    in_a, _in_b = one_deal(office, NextStep="call")
    office.a.person_edits("Deal", in_a, {"NextStep": "visit"})
    office.quiet()
    assert office.only("a")["NextStep"] == "visit"


# -- how each safeguard is switched off -------------------------------------------------------------------------------


def field_merge(patch: Patch) -> None:
    real = log.apply

    def last_writer_wins(state: Any, change: Any, heads_now: Any = None) -> None:
        real(state, replace(change, base={name: state.heads_of(name) for name in change.fields}), heads_now)

    patch.setattr(log, "apply", last_writer_wins)


def version_check(patch: Patch) -> None:
    patch.setattr(apply_module, "Write", lambda *args, **options: Write(*args, **{**options, "version": ""}))


def read_before_write(patch: Patch) -> None:
    patch.setattr(apply_module, "_read_first", lambda _om, _plan, _connector, batch: (batch, []))


def look_back(patch: Patch) -> None:
    patch.setattr(FakeSystem, "overwritten", lambda *_args: {})


def key_lookup(patch: Patch) -> None:
    patch.setattr(FakeSystem, "find", lambda _self, _stream, keys: {key: [] for key in keys})


def time_to_arrive(patch: Patch) -> None:
    patch.setattr(recover_module, "at_work_until", lambda _intent: datetime(2000, 1, 1, tzinfo=UTC))


def owner_check(patch: Patch) -> None:
    patch.setattr(edits, "is_given", lambda *_args: False)


def sweep_for_the_missing(patch: Patch) -> None:
    patch.setattr(engine, "missing_ids", lambda *_args: None)


def sets_merge(patch: Patch) -> None:
    patch.setattr(policy, "merge_sets", lambda _base, _ours, theirs: theirs)


def keys_of_the_deleted(patch: Patch) -> None:
    patch.setattr(FakeSystem, "find_deleted", lambda *_args: {})


def intent_before_create(patch: Patch) -> None:
    real = apply_module._open_intents

    class Forgetful:
        def __init__(self, store: Store) -> None:
            self.store = store

        @contextmanager
        def write(self, *, durable: bool) -> Iterator[Transaction]:
            with self.store.read() as tx:
                yield tx

    patch.setattr(apply_module, "_open_intents", lambda store, *args: real(Forgetful(store), *args))  # type: ignore[arg-type]


def blind_upsert(patch: Patch) -> None:
    key_lookup(patch)
    real = FakeSystem._one

    def upsert(self: FakeSystem, object: str, write: Write) -> Any:
        if write.op == "create":
            for row in self.rows[object].values():
                if row.values.get("key") == write.external_key and not row.deleted:
                    blank = {name: None for name in row.values if name not in write.values}
                    self._write(row, {**blank, **write.values}, "sidefeed")
                    return apply_module.Outcome(write.key, "done", row.id, version=str(row.version))
        return real(self, object, write)

    patch.setattr(FakeSystem, "_one", upsert)


def overlap(patch: Patch) -> None:
    patch.setattr(FakeSystem, "overlap", property(lambda _self: 0, lambda _self, _value: None), raising=False)


def racy_stamp(patch: Patch) -> None:
    patch.setattr(FakeSystem, "overlap", property(lambda _self: -1, lambda _self, _value: None), raising=False)


def tombstone(patch: Patch) -> None:
    real = Transaction.remember

    def forget(self: Transaction, system: str, object: str, external_id: str, *rest: Any) -> None:
        if rest[-1] == "gone":
            self._flush_links()
            self.connection.exec_driver_sql(
                "DELETE FROM remote WHERE system = ? AND external_id = ?", (system, external_id))
        else:
            real(self, system, object, external_id, *rest)

    patch.setattr(Transaction, "remember", forget)


def deletion_stays(patch: Patch) -> None:
    patch.setattr(plan, "_restored", lambda _state, _link: True)
    patch.setattr(plan.RecordState, "deleted", property(lambda _self: False))


def merge_is_no_deletion(patch: Patch) -> None:
    real = absorb.observed

    def plain(item: Any) -> Any:
        one = real(item)
        one.merged_into = None
        return one

    patch.setattr(absorb, "observed", plain)


def inbox_with_cursor(patch: Patch) -> None:
    real = Transaction.put_inbox
    later: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def put_later(self: Transaction, *args: Any, **options: Any) -> None:
        later.append((args, options))

    def read_feed(place: Store, *args: Any) -> int:
        later.clear()
        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(Transaction, "put_inbox", put_later)
            count = feed(place, *args)
        with place.write() as tx:
            for told, options in later:
                real(tx, *told, **options)
        return count

    feed = capture._read_feed
    patch.setattr(capture, "_read_feed", read_feed)


def by_id_read(patch: Patch) -> None:
    patch.setattr(Transaction, "forget_payloads", lambda *_args: None)


def refusal_memory(patch: Patch) -> None:
    patch.setattr(Transaction, "refusals", lambda *_args: {})
    patch.setattr(apply_module, "content_digest", lambda content: content_digest([content, "never again"]))


def lease(patch: Patch) -> None:
    patch.setattr(Store, "lease", lambda *_args, **_options: nullcontext())
    patch.setattr(Store, "keep_leases", lambda *_args: None)


def mass_delete_guard(patch: Patch) -> None:
    patch.setattr(engine, "check_inbox", lambda *_args: [])
    patch.setattr(engine, "check_plan", lambda *_args: [])


def later_waves(patch: Patch) -> None:
    real = Engine._guard
    asked: list[Any] = []

    def once(self: Engine, tx: Any, plans: Any, report: Any, approve: Any) -> None:
        if report not in asked:
            asked.append(report)
            real(self, tx, plans, report, approve)

    patch.setattr(Engine, "_guard", once)


def retry_lanes_open(patch: Patch) -> None:
    patch.setattr(quarantine, "release", lambda *_args, **_options: 0)


def retry_lanes_shut(patch: Patch) -> None:
    real = Transaction.refuse
    patch.setattr(Transaction, "refuse", lambda self, *args, **options: real(
        self, *args, **{**options, "not_before": datetime(2000, 1, 1, tzinfo=UTC) if options.get("not_before") else None}))


def halving(patch: Patch) -> None:
    real = apply_module._send

    def whole(connector: Any, stream: Any, writes: list[Write], outcomes: dict[str, Any]) -> Any:
        if len(writes) > 1:
            try:
                outcomes.update({one.key: one for one in connector.write(stream, writes)})
            except Invalid as error:
                outcomes.update({one.key: apply_module.Outcome(one.key, "refused", error=error) for one in writes})
            return None
        return real(connector, stream, writes, outcomes)

    patch.setattr(apply_module, "_send", whole)


def lease_renewal(patch: Patch) -> None:
    patch.setattr(Store, "keep_leases", lambda *_args: None)


def budget(patch: Patch) -> None:
    patch.setattr(Meter, "fit", lambda *_args: 0)


def edits_first(patch: Patch) -> None:
    patch.setattr(budget_module, "_typed", lambda *_args: set())


def retries_stop(patch: Patch) -> None:
    patch.setattr(budget_module.Standing, "retries", property(lambda _self: True))


def restored_backup(patch: Patch) -> None:
    patch.setattr(restored, "older_than_the_world", lambda *_args: [])


def found_again(patch: Patch) -> None:
    patch.setattr(plan, "strangers", lambda *_args: [])
    patch.setattr(engine, "strangers", lambda *_args: [])


def uniqueness_of_keys(patch: Patch) -> None:
    real = Transaction.by_natural_keys
    patch.setattr(Transaction, "by_natural_keys",
                  lambda self, entity, keys: {key: found[:1] for key, found in real(self, entity, keys).items()})


def marker_check(patch: Patch) -> None:
    patch.setattr(Transaction, "marker", lambda _self, _system: None)


def scope_exit(patch: Patch) -> None:
    def delete(tx: Any, om: Any, object: str, id: str, report: Any, *, source: str = "") -> None:
        record = tx.known_as(om.system, object, [id])[id][0]
        tx.append([absorb.Draft(om.entity, record, {"_deleted": True}, om.system, om.system)])

    patch.setattr(absorb, "leave", delete)
    patch.setattr(absorb, "lose_sight", delete)


def undone_stays_undone(patch: Patch) -> None:
    patch.setattr(undo._Undo, "_hold", lambda _self: None)


def recovery(patch: Patch) -> None:
    patch.setattr(engine, "recover", lambda *_args: None)


def base_follows_remote(patch: Patch) -> None:
    real = edits._settle

    def keep_old(batch: Any, edit: Any) -> None:
        with pytest.MonkeyPatch.context() as inner:
            if edit.link.version != "1":
                inner.setattr(Transaction, "save_base", lambda *_args: None)
            real(batch, edit)

    patch.setattr(edits, "_settle", keep_old)


@dataclass(frozen=True)
class Mutant:
    """A safeguard, how the tests switch it off, and what notices."""

    safeguard: str
    off: Callable[[Patch], None]
    how: str
    catcher: str
    scenario: Callable[[Path], None]


MUTANTS = [
    Mutant("field merge", field_merge, "every change claims to have seen everything: the last writer wins",
           "scene: two people disagree", scene(two_people_disagree)),
    Mutant("version check", version_check, "writes carry no version", "scene: somebody types in the last moment",
           scene(somebody_types_in_the_last_moment)),
    Mutant("read before write", read_before_write, "a system without conditions is written to unseen",
           "scene: somebody types between reading and writing",
           scene(somebody_types_between_reading_and_writing, conditional=False)),
    Mutant("look back into history", look_back, "what was overwritten in the last moment is not read back",
           "scene: somebody types in the last moment",
           scene(somebody_types_in_the_last_moment, conditional=False, history=True)),
    Mutant("key lookup", key_lookup, "`find` finds nothing, in a system without unique keys",
           "scene: a lost answer to a create", scene(a_lost_answer_to_a_create, unique=False)),
    Mutant("time to arrive", time_to_arrive, "a create that is not there yet is made again at once, without unique keys",
           "scene: a create still at work", scene(a_create_still_at_work, unique=False)),
    Mutant("owner check", owner_check, "to whom a system gives what we make counts as somebody's choice",
           "scene: a system that gives what we make to our own user",
           scene(a_system_that_gives_what_we_make_to_our_own_user)),
    Mutant("key lookup among the deleted", keys_of_the_deleted, "`find_deleted` finds nothing",
           "scene: what an unheard create made is deleted", scene(what_an_unheard_create_made_is_deleted)),
    Mutant("intent before create", intent_before_create, "the intent and the link being created are not stored",
           "scene: killed just after a create", scene(killed_just_after_a_create, unique=False)),
    Mutant("no blind re-upsert", blind_upsert, "a create whose answer was lost is sent again as an upsert",
           "scene: somebody edits what an unheard create made", scene(somebody_edits_what_an_unheard_create_made)),
    Mutant("overlap", overlap, "the feed's window does not reach back over its lag", "random histories, late feeds",
           histories(LateHistories)),
    Mutant("racy stamp", racy_stamp, "the feed asks for `>` the last stamp, not `>=`",
           "random histories, eager feeds", histories(EagerHistories)),
    Mutant("tombstone", tombstone, "the id of a deleted object is forgotten", "scene: a deal deleted and restored",
           scene(a_deal_deleted_and_restored)),
    Mutant("what is missing is looked for", sweep_for_the_missing,
           "after a cursor was lost, nobody looks for what the new reading does not tell",
           "scene: a deletion that no feed tells", scene(a_deletion_that_no_feed_tells)),
    Mutant("sets merge", sets_merge, "of two changes to a set the later one stands", "scene: two people tag a deal",
           scene(two_people_tag_a_deal)),
    Mutant("a deletion stays", deletion_stays, "a deleted record is created again where it is missing",
           "scene: a deal deleted", scene(a_deal_deleted)),
    Mutant("a merge is no deletion", merge_is_no_deletion, "the surviving id is not looked at",
           "scene: an account merged in a", scene(an_account_merged_in_a)),
    Mutant("inbox and cursor in one commit", inbox_with_cursor, "the cursor is stored first, the inbox after it",
           "kill sweep", kills(first_contact)),
    Mutant("read by id after a write", by_id_read, "the inbox keeps what was seen before our own write",
           "scene: an observation older than our write", scene(an_observation_older_than_our_write)),
    Mutant("refusal memory", refusal_memory, "what a system refused is asked again", "scene: a value that b refuses",
           scene(a_value_that_b_refuses)),
    Mutant("lease", lease, "two runs may be at work at once", "scene: two runs at once", scene(two_runs_at_once)),
    Mutant("mass-delete guard", mass_delete_guard, "guards are not asked", "scene: everything gone at once",
           scene(everything_gone_at_once)),
    Mutant("guards of later waves", later_waves, "only the first plan of a run is held against the guards",
           "scene: a robot blanks everything while we write", scene(a_robot_blanks_everything_while_we_write, batch=50)),
    Mutant("retry lanes open", retry_lanes_open, "what waits in a lane is never asked again",
           "scene: a record that b has locked", scene(a_record_that_b_has_locked)),
    Mutant("retry lanes close", retry_lanes_shut, "what waits in a lane is asked in every run",
           "scene: a record that stays locked", scene(a_record_that_stays_locked)),
    Mutant("halving", halving, "a batch that is refused whole is not halved", "scene: one poisoned row in a batch",
           scene(one_poisoned_row_in_a_batch, batch=16)),
    Mutant("lease renewal", lease_renewal, "a run does not extend its lease", "scene: a run longer than its lease",
           scene(a_run_longer_than_its_lease)),
    Mutant("a lost lease stops", lease_renewal, "a run does not look whether it still has its lease",
           "scene: a lease that was lost", scene(a_lease_that_was_lost)),
    Mutant("budget", budget, "a plan is not cut to the share of the day's calls",
           "scene: a backfill larger than the share", scene(a_backfill_larger_than_the_share, page=100)),
    Mutant("edits go first", edits_first, "what people typed is not told from a backfill",
           "scene: a deal typed here beside a backfill", scene(a_deal_typed_here_beside_a_backfill, page=100)),
    Mutant("retries stop", retries_stop, "refusals are asked again up to the last call",
           "scene: a refusal beyond three quarters", scene(a_refusal_beyond_three_quarters, page=100)),
    Mutant("restored backup", restored_backup, "keys of records that the workspace never had alarm nobody",
           "scene: an old backup is restored", scene(an_old_backup_is_restored)),
    Mutant("found again after a restore", found_again, "what the old workspace forgot is created as if it were new",
           "scene: an old backup is restored", scene(an_old_backup_is_restored)),
    Mutant("ambiguity asks", uniqueness_of_keys, "of several candidates the first is taken",
           "scene: two that could be meant", scene(two_that_could_be_meant)),
    Mutant("marker", marker_check, "another organisation is not noticed", "scene: another organisation answers",
           scene(another_organisation_answers)),
    Mutant("scope exit", scope_exit, "what leaves the scope is taken for deleted", "scene: a deal leaves the scope",
           scene(a_deal_that_leaves_the_scope)),
    Mutant("out of sight", scope_exit, "what is not there by its id is taken for deleted, though it may be hidden",
           "scene: a deal hidden from us", scene(a_deal_hidden_from_us)),
    Mutant("undone stays undone", undone_stays_undone, "what an undo took back is not remembered",
           "scene: a run is undone", scene(a_run_is_undone)),
    Mutant("recovery", recovery, "open intents of a dead run are not looked at", "kill sweep",
           kills(a_busy_morning, conditional=False)),
    Mutant("base follows the remote", base_follows_remote, "the base keeps an old image after it was absorbed",
           "random histories", histories()),
]


@pytest.mark.slow
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda one: one.safeguard)
def test_a_safeguard_switched_off_is_caught(mutant: Mutant, tmp_path: Path, monkeypatch: Patch) -> None:
    mutant.off(monkeypatch)
    try:
        mutant.scenario(tmp_path)
    except (AssertionError, pytest.fail.Exception, GuardTripped, BaseExceptionGroup):
        return
    finally:
        shutil.rmtree(tmp_path, ignore_errors=True)
    raise AssertionError(f"{mutant.safeguard} was off, and nobody noticed")


@pytest.mark.parametrize("mutant", [one for one in MUTANTS if one.catcher.startswith("scene")],
                         ids=lambda one: one.safeguard)
def test_the_scenes_hold_while_every_safeguard_is_on(mutant: Mutant, tmp_path: Path) -> None:
    mutant.scenario(tmp_path)


@pytest.mark.slow
def test_eager_feeds_hold_while_every_safeguard_is_on() -> None:
    run_state_machine_as_test(EagerHistories, settings=settings(  # type: ignore[no-untyped-call]
        profile(6), phases=[Phase.generate]))


@pytest.mark.slow
def test_a_night_names_the_seed_and_the_steps_of_what_fails_and_goes_on(
    monkeypatch: Patch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert nightly.main(["--histories", "2", "--steps", "3", "--kind", "Histories", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["failures"] == []
    monkeypatch.setattr(Histories, "check_nothing_lost", planted)
    assert nightly.main(["--histories", "6", "--steps", "3", "--seed", "7", "--kind", "Histories", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    seeds = [one["seed"] for one in told["failures"]]
    assert seeds == [*range(7, 7 + len(seeds))] and len(seeds) > 1 and told["histories"] == 6
    assert all("state.quiet_point()" in one["steps"] and "planted" in one["error"] for one in told["failures"])


def planted(_self: Histories) -> None:
    raise AssertionError("planted: no history keeps this")


def test_the_table_of_mutants_is_current() -> None:
    text = DOCS.read_text(encoding="utf-8")
    missing = [row for one in MUTANTS if (row := f"| {one.safeguard} | {one.how} | {one.catcher} |") not in text]
    assert missing == [], "docs/testing.md lacks these rows"
