"""Moving a workspace between versions keeps what it holds, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import sqlalchemy as sa
import zstandard
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from sidefeed.workspace import Store, StoreError
from sidefeed.workspace.database import database_url
from sidefeed.workspace.migrate import HEAD, move
from sidefeed.workspace.tables import metadata

AT = "2026-11-01T08:00:00.000000Z"
DEAL, OTHER = "01930000-0000-7000-8000-000000000001", "01930000-0000-7000-8000-000000000002"
IMAGE = zstandard.ZstdCompressor().compress(orjson.dumps({"Name": "Big", "Amount": "10"}))

FIRST_RELEASE: dict[str, list[dict[str, Any]]] = {
    "change": [
        {"rev": 1, "site": "s", "seq": 1, "hlc": "h1", "at": AT, "actor": "ann", "source": "a", "run": "r1",
         "entity": "opportunity", "record": DEAL, "fields": '{"amount":"10","name":"Big"}', "base": "{}",
         "reason": None},
        {"rev": 2, "site": "s", "seq": 2, "hlc": "h2", "at": AT, "actor": "bob", "source": "b", "run": "r1",
         "entity": "opportunity", "record": DEAL, "fields": '{"amount":"12"}', "base": '{"amount":[1]}',
         "reason": "renewed"}],
    "record": [
        {"id": DEAL, "entity": "opportunity", "rev": 2, "values": '{"amount":"12","name":"Big"}',
         "heads": '{"amount":2,"name":1}', "conflicts": None, "deleted": False, "merged_into": None}],
    "natural_key": [{"entity": "opportunity", "key": 'name=["big"]', "record": DEAL}],
    "remote": [{"system": "a", "object": "Deal", "external_id": "1", "entity": "opportunity", "record": DEAL,
                "role": "primary"}],
    "link": [{"system": "a", "object": "Deal", "record": DEAL, "entity": "opportunity", "external_id": "1",
              "state": "live", "version": "v7", "synced_rev": 2, "exceptions": None, "sent": None,
              "digest": b"\x00\xff", "generation": 0, "due": False}],
    "base": [{"system": "a", "object": "Deal", "record": DEAL, "image": IMAGE}],
    "inbox": [{"system": "a", "object": "Deal", "external_id": "9", "payload": None, "first_seen": AT, "attempts": 2,
               "not_before": None, "waiting_for": "account 7"}],
    "cursor": [{"system": "a", "object": "Deal", "position": "p", "planned_rev": 2, "complete_to": AT,
                "fingerprint": "f"}],
    "system": [{"name": "a", "marker": "org-1", "endpoint": None, "seen_at": AT}],
    "intent": [{"id": 1, "run": "r1", "system": "a", "object": "Deal", "record": DEAL, "op": "update", "key": "k",
                "external_id": "1", "rev": 2, "payload": '{"Amount":"12"}', "before": '{"Amount":"10"}',
                "state": "done", "outcome": None, "at": AT}],
    "refusal": [{"system": "b", "object": "Deal", "record": OTHER, "field": "Amount", "digest": "d", "code": "invalid",
                 "message": "too large", "owner": "rep", "count": 3, "first_seen": AT, "last_seen": AT,
                 "direction": "write"}],
    "question": [{"system": "b", "object": "Deal", "external_id": "5", "kind": "match",
                  "evidence": f'{{"candidates":["{DEAL}","{OTHER}"]}}', "asked_at": AT, "answer": None}],
    "run": [{"id": "r1", "what": "sync a, b", "started": AT, "ended": AT, "state": "done", "counts": "{}",
             "detail": None}],
    "lease": [{"name": "sync a", "owner": "r1 on elsewhere pid 1", "expires": AT}],
    "setting": [{"name": "site", "value": "s"}],
}


@pytest.fixture
def first_release(new_place: str | Path) -> Iterator[str | Path]:
    """A workspace as the first release left it, with something in every table."""
    engine = sa.create_engine(database_url(new_place))
    move(engine, "0001")
    tables = sa.MetaData()
    tables.reflect(engine)
    with engine.begin() as connection:
        for name, rows in FIRST_RELEASE.items():
            connection.execute(tables.tables[name].insert(), rows)
    engine.dispose()
    yield new_place


def content(place: str | Path) -> dict[str, list[dict[str, Any]]]:
    """Every row of the first release's tables, in its columns."""
    engine = sa.create_engine(database_url(place))
    found = {}
    with engine.connect() as connection:
        for name, rows in FIRST_RELEASE.items():
            table = sa.Table(name, sa.MetaData(), autoload_with=engine)
            columns = [table.c[column] for column in rows[0]]
            read = connection.execute(sa.select(*columns).order_by(*columns[:3])).mappings()
            found[name] = [{key: bytes(value) if isinstance(value, memoryview) else value
                            for key, value in row.items()} for row in read]
    engine.dispose()
    return found


def test_a_workspace_of_the_first_release_opens_with_everything_it_held(first_release: str | Path) -> None:
    store = Store.open(first_release)
    with store.read() as tx:
        state = tx.record(DEAL)
        link = tx.links("a", "Deal", [DEAL])[DEAL]
        assert state is not None and state.values == {"amount": "12", "name": "Big"}
        assert (link.version, link.synced_rev, link.digest) == ("v7", 2, b"\x00\xff")
        assert tx.bases("a", "Deal", [DEAL]) == {DEAL: {"Name": "Big", "Amount": "10"}}
        assert [question["external_id"] for question in tx.questions()] == ["5"]
        assert tx.refusals("b", "Deal", [OTHER]) == {OTHER: {"Amount": "d"}}
        assert tx.cursor("a", "Deal").position == "p"
        assert tx.last_rev() == 2
    store.close()
    assert content(first_release) == FIRST_RELEASE


def test_down_to_the_first_release_and_up_again_keeps_every_row(first_release: str | Path) -> None:
    Store.open(first_release).close()
    engine = sa.create_engine(database_url(first_release))
    move(engine, "0001")
    assert content(first_release) == FIRST_RELEASE
    move(engine, "head")
    assert content(first_release) == FIRST_RELEASE
    engine.dispose()


def test_the_migrations_lead_to_exactly_the_tables_that_the_store_uses(new_place: str | Path) -> None:
    store = Store.open(new_place)
    with store.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        differences = compare_metadata(context, metadata)
    store.close()
    assert differences == []


def test_a_workspace_of_a_newer_version_is_refused_and_not_touched(new_place: str | Path) -> None:
    store = Store.open(new_place)
    with store.engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    store.close()
    with pytest.raises(StoreError, match=f"written by a newer Sidefeed.*9999.*knows {HEAD}"):
        Store.open(new_place)
