"""A hundred thousand records do not slow the practice server down: rows looked at are counted, not seconds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox.salesforce.records import Actor

from .salesforce_caller import Caller, organisation

SIZE = 100_000

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def org() -> Iterator[Caller]:
    with organisation() as caller:
        server = caller.server
        account = server.insert("Account", Name="Huge")
        actor = Actor(server.admin_id)
        server.clock.fix("2026-11-01T00:00:00Z")
        for number in range(SIZE):
            if number % 1000 == 0:
                server.clock.move(minutes=1)
            server.records.create(
                "Contact",
                {
                    "LastName": f"C{number}",
                    "Sidefeed_Key__c": f"k{number}",
                    "AccountId": account if number < 10 else None,
                },
                actor,
            )
        server.clock.fix("2026-11-02T00:00:00Z")
        yield caller


def visited(org: Caller, soql: str) -> tuple[int, int]:
    """Rows given and rows looked at."""
    before = org.server.store.visited
    total = org.query(soql)["totalSize"]
    return total, org.server.store.visited - before


def test_reads_by_key_look_at_one_row(org: Caller) -> None:
    row = org.get("sobjects/Contact/Sidefeed_Key__c/k77777").json()
    assert visited(org, f"SELECT Id FROM Contact WHERE Id = '{row['Id']}'") == (1, 1)
    assert visited(org, "SELECT Id FROM Contact WHERE Sidefeed_Key__c IN ('k1', 'k50000', 'k99999')") == (3, 3)
    assert visited(org, "SELECT Name, (SELECT Id FROM Contacts) FROM Account") == (1, 11)
    assert visited(org, "SELECT Id FROM Contact WHERE Account.Name = 'x' AND Sidefeed_Key__c = 'k5'") == (0, 1)


def test_change_windows_look_at_the_window(org: Caller) -> None:
    total, looked = visited(
        org, "SELECT Id FROM Contact WHERE SystemModstamp >= 2026-11-01T01:39:00Z ORDER BY SystemModstamp, Id"
    )
    assert (total, looked) == (2000, 2000)
    total, looked = visited(
        org, "SELECT Id FROM Contact WHERE SystemModstamp >= 2026-11-01T00:30:00Z ORDER BY SystemModstamp, Id LIMIT 200"
    )
    assert (total, looked) == (200, 200)


def test_keyset_paging_over_ties_looks_at_no_more_than_the_tie(org: Caller) -> None:
    last = org.column(
        "SELECT Id FROM Contact WHERE SystemModstamp = 2026-11-01T00:50:00Z ORDER BY Id LIMIT 1 OFFSET 500"
    )[0]
    soql = (
        f"SELECT Id FROM Contact WHERE (SystemModstamp = 2026-11-01T00:50:00Z AND Id > '{last}') OR SystemModstamp > 2026-11-01T00:50:00Z "
        "ORDER BY SystemModstamp, Id LIMIT 200"
    )
    total, looked = visited(org, soql)
    assert total == 200
    assert looked <= 1000


def test_initial_load_by_id_looks_at_each_row_once(org: Caller) -> None:
    seen, last, looked = 0, "000000000000000", 0
    while True:
        before = org.server.store.visited
        rows = org.column(f"SELECT Id FROM Contact WHERE Id > '{last}' ORDER BY Id LIMIT 2000")
        looked += org.server.store.visited - before
        if not rows:
            break
        seen, last = seen + len(rows), rows[-1]
    assert seen == SIZE
    assert looked <= SIZE + 100


def test_writes_and_snapshots_among_many_rows(org: Caller) -> None:
    org.server.save_snapshot()
    before = org.server.store.visited
    answer = org.request("PATCH", "sobjects/Contact/Sidefeed_Key__c/k500", {"Title": "T"})
    assert answer.status_code == 200
    assert org.server.store.visited == before
    assert org.get("limits/recordCount", sObjects="Contact").json()["sObjects"] == [{"count": SIZE, "name": "Contact"}]
    org.server.restore_snapshot()
    assert org.get("sobjects/Contact/Sidefeed_Key__c/k500").json()["Title"] is None
