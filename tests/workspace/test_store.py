"""The store: one file, units of work, clocks, leases, questions people answer."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from sidefeed.processes import this_machine
from sidefeed.workspace import ClockAhead, Draft, LeaseHeld, Store, StoreError
from sidefeed.workspace import tables as t
from sidefeed.workspace.leases import lease_owner
from sidefeed.workspace.report import blame_lines, decide_conflict, find_records

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store.open(tmp_path / "workspace.db", now=lambda: NOW)
    yield store
    store.close()


def add(store: Store, **fields: object) -> str:
    with store.write() as tx:
        record = tx.new_id()
        tx.append([Draft("opportunity", record, fields, "ann", "workspace")])
    return record


def test_a_unit_of_work_is_stored_whole_or_not_at_all(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), store.write() as tx:
        tx.append([Draft("opportunity", tx.new_id(), {"name": "lost"}, "ann", "workspace")])
        raise ZeroDivisionError
    with store.read() as tx:
        assert (list(tx.each_record("opportunity")), tx.last_rev()) == ([], 0)


def test_a_change_from_the_future_is_refused_and_nothing_is_stored(store: Store) -> None:
    with pytest.raises(ClockAhead, match="ahead of this machine") as refused, store.write() as tx:
        tx.append([Draft("opportunity", "r1", {"name": "fine"}, "ann", "workspace"),
                   Draft("opportunity", "r2", {"name": "late"}, "bob", "laptop", at=NOW + timedelta(minutes=6))])
    assert "r2" in str(refused.value)
    with store.read() as tx:
        assert tx.last_rev() == 0


def test_a_few_minutes_of_skew_are_believed(store: Store) -> None:
    with store.write() as tx:
        tx.append([Draft("opportunity", "r1", {"name": "x"}, "ann", "laptop", at=NOW + timedelta(minutes=4))])
    with store.read() as tx:
        assert tx.record("r1") is not None


def test_runs_stand_in_their_order_in_one_moment_and_where_the_clock_goes_back(tmp_path: Path) -> None:
    clock = [NOW]
    store = Store.open(tmp_path / "workspace.db", now=lambda: clock[0])
    begun = []
    for moment in [NOW] * 6 + [NOW - timedelta(days=1), NOW]:
        clock[0] = moment
        with store.write() as tx:
            begun.append(tx.begin_run("sync"))
    with store.read() as tx:
        assert [run["id"] for run in tx.runs()] == begun[::-1]
    store.close()


def test_opened_again_it_is_the_same_replica_with_the_same_content(store: Store, tmp_path: Path) -> None:
    record = add(store, name="Pumps", amount="1")
    again = Store.open(tmp_path / "workspace.db", now=lambda: NOW)
    with again.read() as tx:
        state = tx.record(record)
    assert state is not None
    assert (again.site, state.values) == (store.site, {"name": "Pumps", "amount": "1"})
    again.close()


def test_a_workspace_of_a_newer_version_is_not_touched(store: Store, tmp_path: Path) -> None:
    with store.engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match="newer Sidefeed"):
        Store.open(tmp_path / "workspace.db")


def test_links_with_work_left_are_found_by_an_index_of_their_own(store: Store) -> None:
    with store.read() as tx:
        if tx.connection.dialect.name != "sqlite":
            pytest.skip("PostgreSQL chooses by what the tables hold")
        (plan,) = tx.connection.exec_driver_sql(
            "EXPLAIN QUERY PLAN SELECT record FROM link WHERE system = 'a' AND object = 'Deal' AND link.due").fetchall()
    assert "link_due" in plan.detail


def test_a_lease_is_held_by_one_run_and_names_its_holder(store: Store) -> None:
    with store.lease("sync:hubspot", "run-1"):
        with pytest.raises(LeaseHeld, match="run-1"), store.lease("sync:hubspot", "run-2"):
            pass
        with store.lease("sync:salesforce", "run-2"):
            pass
    with store.lease("sync:hubspot", "run-3"):
        pass


def test_the_lease_of_a_dead_process_is_taken_over_at_once(store: Store) -> None:
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True,
                          check=True).stdout.strip()
    with store.write() as tx:
        old = tx.begin_run("sync hubspot")
        tx.take_lease("sync:hubspot", lease_owner(old).rpartition(" ")[0] + f" {dead}", 900)
    with store.lease("sync:hubspot", "new-run"), store.read() as tx:
        assert tx.run(old)["state"] == "died", "nobody takes it for one that is still at work"


def test_a_dead_process_that_waits_to_be_collected_holds_no_lease(store: Store) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, dead.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and nobody has asked how
    with store.write() as tx:
        tx.take_lease("sync:hubspot", f"old-run on {this_machine()} pid {dead.pid}", 900)
    with store.lease("sync:hubspot", "new-run"):
        pass
    dead.wait()


def test_a_container_that_is_called_like_this_machine_numbers_its_own_processes(store: Store) -> None:
    """On the host's network a container has the host's name, and its process 1 is not ours."""
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True,
                          check=True).stdout.strip()
    with store.write() as tx:
        tx.take_lease("sync:hubspot", f"run-1 on {socket.gethostname()}#4026539999 pid {dead}", 900)
    with pytest.raises(LeaseHeld), store.lease("sync:hubspot", "run-2"):
        pass


def test_a_new_workspace_is_nobody_elses_to_read(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        opened = Store.open(tmp_path / "workspace.db")
        with opened.write() as tx:
            tx.save_setting("a", "b")
        assert {path.name: path.stat().st_mode & 0o7 for path in tmp_path.iterdir()} == {
            "workspace.db": 0, "workspace.db-wal": 0, "workspace.db-shm": 0}
        opened.close()
    finally:
        os.umask(before)


def test_an_error_of_the_database_tells_no_value(store: Store) -> None:
    with store.write() as tx:
        tx.append([Draft("account", tx.new_id(), {"name": "Acme"}, "ann", "workspace")])
    with pytest.raises(sa.exc.IntegrityError) as failed, store.write() as tx:
        (row,) = tx.connection.execute(sa.text("SELECT * FROM record")).mappings()
        tx.connection.execute(sa.insert(t.record).values(**{**row, "values": {"name": "secret"}, "heads": {}}))
    assert "secret" not in str(failed.value)


def test_an_unfinished_lease_of_another_machine_ends_by_itself(store: Store) -> None:
    with store.write() as tx:
        tx.take_lease("sync:hubspot", "run-1 on elsewhere pid 1", 900)
    with pytest.raises(LeaseHeld), store.lease("sync:hubspot", "run-2"):
        pass
    store.now = lambda: NOW + timedelta(minutes=16)
    with store.lease("sync:hubspot", "run-2"):
        pass


def test_blame_tells_who_said_what_and_what_it_replaced(store: Store) -> None:
    record = add(store, amount="1")
    with store.write() as tx:
        tx.append([Draft("opportunity", record, {"amount": "2"}, "bob", "hubspot", reason="call")])
    with store.read() as tx:
        (state,) = find_records(tx, record)
        lines = blame_lines(tx, state, "amount")
    assert [(one["value"], one["actor"], one["source"], one["replaced"], one["reason"], one["current"]) for one in lines] == [
        ("2", "bob", "hubspot", "1", "call", True), ("1", "ann", "workspace", None, None, False)]


def test_records_are_found_by_id_by_remote_id_and_by_name(store: Store) -> None:
    record = add(store, name="Größe 100% _x")
    add(store, name="Another")
    with store.write() as tx:
        tx.remember("hubspot", "deals", "77", "opportunity", record, "primary")
    with store.read() as tx:
        for text in (record, "77", "größe 100%", "_x"):
            assert [state.id for state in find_records(tx, text)] == [record], text


def test_a_decision_needs_a_side_that_exists(store: Store) -> None:
    record = add(store, amount="1")
    with store.write() as tx:
        tx.append([Draft("opportunity", record, {"amount": "2"}, "bob", "hubspot", base={"amount": []})])
    with pytest.raises(LookupError, match="salesforce said nothing"):
        decide_conflict(store, record, "amount", system="salesforce")
    with pytest.raises(LookupError, match="either --from"):
        decide_conflict(store, record, "amount")
    assert decide_conflict(store, record, "amount", system="hubspot") == "2"
    with store.read() as tx:
        assert tx.conflicted() == []
