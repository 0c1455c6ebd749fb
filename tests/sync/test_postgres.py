"""What only a server can show: histories on PostgreSQL, two processes at once, and a move between versions."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from sidefeed.sync.engine import scratch_copy
from sidefeed.workspace import Draft, Store
from tests.postgres import Postgres
from tests.sync.test_histories import Histories, profile


@pytest.mark.slow
def test_histories_hold_on_postgresql(postgres: Postgres) -> None:
    class OnPostgres(Histories):
        def workspace(self) -> str | Path:
            return postgres.workspace()

    few = settings(profile(4, steps=12), phases=[Phase.generate])
    run_state_machine_as_test(OnPostgres, settings=few)  # type: ignore[no-untyped-call]


def test_appenders_at_the_same_time_lose_no_revision_and_share_none(postgres: Postgres) -> None:
    place = postgres.workspace()
    stores = [Store.open(place) for _ in range(4)]

    def work(store: Store) -> None:
        for number in range(25):
            with store.write() as tx:
                tx.append([Draft("account", tx.new_id(), {"name": f"n{number}"}, "ann", "workspace")])

    threads = [threading.Thread(target=work, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with stores[0].engine.connect() as connection:
        revs = [row.rev for row in connection.execute(sa.text("SELECT rev FROM change ORDER BY rev"))]
    assert revs == list(range(1, 101))
    for store in stores:
        store.close()


def test_a_scratch_copy_is_of_one_moment_though_somebody_writes_meanwhile(postgres: Postgres) -> None:
    place = postgres.workspace()
    store, other = Store.open(place), Store.open(place)
    with store.write() as tx:
        record = tx.new_id()
        tx.append([Draft("account", record, {"name": "then"}, "ann", "workspace")])

    def meanwhile(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if "FROM link" in statement:
            with other.write() as tx:
                tx.append([Draft("account", record, {"name": "now"}, "bob", "workspace")])

    sa.event.listen(store.engine, "before_cursor_execute", meanwhile)
    with scratch_copy(store) as copy, copy.read() as tx:
        state = tx.record(record)
        assert state is not None and (state.values["name"], state.rev, tx.last_rev()) == ("then", 1, 1)
    with other.read() as tx:
        assert tx.last_rev() == 2
    store.close()
    other.close()


def test_processes_that_open_a_new_workspace_at_once_all_find_it_ready(postgres: Postgres) -> None:
    place = postgres.empty()
    found: list[str] = []

    def open_it() -> None:
        store = Store.open(place)
        found.append(store.site)
        store.close()

    threads = [threading.Thread(target=open_it) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4 and len(set(found)) == 1


def test_hostile_text_is_kept_as_it_is(workspace: str | Path) -> None:
    hostile = "nul \x00, tab \t, \u2028, \U0001f600, " + "x" * 1_000_000
    store = Store.open(workspace)
    with store.write() as tx:
        id = tx.new_id()
        tx.append([Draft("account", id, {"name": hostile, "domain": "nul\x00.test"}, "ann", "workspace")])
    with store.read() as tx:
        state = tx.record(id)
        assert state is not None and state.values == {"name": hostile, "domain": "nul\x00.test"}
    store.close()


def test_a_plan_is_made_on_a_copy_that_holds_everything(workspace: str | Path) -> None:
    store = Store.open(workspace)
    with store.write() as tx:
        tx.append([Draft("account", tx.new_id(), {"name": "Acme"}, "ann", "workspace")])
        tx.remember("a", "Account", "1", "account", "r", "primary")
    with scratch_copy(store) as copy, copy.write() as tx:
        assert [state.values for state in tx.each_record("account")] == [{"name": "Acme"}]
        tx.append([Draft("account", tx.new_id(), {"name": "Other"}, "ann", "workspace")])
    with store.read() as tx:
        assert tx.last_rev() == 1
    store.close()
