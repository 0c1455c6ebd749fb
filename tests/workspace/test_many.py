"""Many ids are one parameter of one statement, on SQLite and on PostgreSQL; an id made here is not looked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import RFC_4122, UUID

import sqlalchemy as sa

from sidefeed.workspace import Draft, Link, Store
from sidefeed.workspace.clock import new_record_id, system_now

ODD = ["plain", "with 'quote'", 'with "quotes"', "1", "null", "[1]", "naïve ☃ 🐘", "a\\b", " spaced "]


def test_odd_ids_are_found_among_any_number_of_others(new_place: str | Path) -> None:
    store = Store.open(new_place)
    try:
        with store.write() as tx:
            records = {id: tx.new_id() for id in ODD}
            drafts = [Draft("opportunity", record, {"name": id}, "ann", "a") for id, record in records.items()]
            revs = [change.rev for change in tx.append(drafts)]
            for id, record in records.items():
                tx.save_link(Link("a", "Deal", record, "opportunity", id, digest=id.encode()))
                tx.remember("a", "Deal", id, "opportunity", record, "primary")
        others = [f"nobody {number}" for number in range(12_000)]
        statements: list[str] = []
        sa.event.listen(store.engine, "before_cursor_execute",
                        lambda _c, _cursor, statement, _p, _context, _many: statements.append(statement))
        with store.read() as tx:
            known = tx.known_as("a", "Deal", [*others, *ODD])
            assert len(set(statements)) == 1, "one statement, however many ids and chunks"
            assert {id: record for id, (record, _role) in known.items()} == records
            assert tx.digests("a", "Deal", [*ODD, *others]) == {id: id.encode() for id in ODD}
            assert {state.values["name"] for state in tx.records([*others, *records.values()]).values()} == set(ODD)
            assert set(tx.head_details(revs)) == set(revs)
            assert tx.known_as("a", "Deal", []) == {}
    finally:
        store.close()


def test_what_was_made_in_this_transaction_is_found_without_a_look_and_after_it_was_stored(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "workspace.db")
    asked: list[Any] = []
    with store.write() as tx:
        record = tx.new_id()
        sa.event.listen(store.engine, "before_cursor_execute",
                        lambda _c, _cursor, statement, *_rest: asked.append(statement))
        assert tx.records([record]) == tx.links("a", "Deal", [record]) == tx.bases("a", "Deal", [record]) == {}
        assert asked == []
        tx.append([Draft("opportunity", record, {"name": "new"}, "ann", "a")])
        tx.save_link(Link("a", "Deal", record, "opportunity", "1"))
        tx.save_base("a", "Deal", record, {"Name": "new"})
        tx.roles_of(record)  # stores what is pending
        assert tx.records([record])[record].values == {"name": "new"}
        assert tx.links("a", "Deal", [record])[record].external_id == "1"
        assert tx.bases("a", "Deal", [record]) == {record: {"Name": "new"}}
    store.close()


def test_record_ids_are_version_7_and_sort_by_time() -> None:
    now = system_now()
    ids = [UUID(new_record_id(now)) for _ in range(200)]
    assert {(id.version, id.variant) for id in ids} == {(7, RFC_4122)}
    assert {id.int >> 80 for id in ids} == {int(now.timestamp() * 1000)}
    assert len(set(ids)) == 200
    assert {bit for id in ids for bit in range(76) if bit not in (62, 63) and id.int >> bit & 1} == \
        set(range(76)) - {62, 63}, "every other bit is noise"
