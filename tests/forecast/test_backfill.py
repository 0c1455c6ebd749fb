"""What the CRMs remember from before is taken over, and changes nothing that stands."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sandbox.hubspot import HubSpotServer
from sandbox.salesforce import SalesforceServer
from sidefeed.cli import app
from sidefeed.forecast import deals_as_of, records
from sidefeed.forecast.lives import lives
from sidefeed.forecast.measures import pushes
from sidefeed.workspace import Store
from tests.forecast.organisation import Organisation


@dataclass
class Before:
    organisation: Organisation
    folder: Path
    store: Store
    start: datetime


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Before]:
    """A deal in each CRM that moved for two months before Sidefeed came."""
    folder = tmp_path_factory.mktemp("history")
    with SalesforceServer(tls=True) as salesforce, HubSpotServer() as hubspot:
        made = Organisation(folder, salesforce, hubspot, 1)
        start = datetime.now(UTC).replace(microsecond=0) - timedelta(days=60)
        for server in (salesforce, hubspot):
            server.clock.fix(start)
        sf = str(made.sf.Opportunity.create({"Name": "Pump", "Amount": 100.10, "CloseDate": "2027-01-10",
                                             "StageName": "Prospecting", "OwnerId": made.users["Ann"]["salesforce"],
                                             "AccountId": made.accounts["Customer 0"]})["id"])
        hs = made.hs.crm.deals.basic_api.create({"properties": {
            "dealname": "Valve", "amount": "50", "dealstage": "appointmentscheduled", "pipeline": "default",
            "closedate": "2027-01-10T12:00:00Z", "hubspot_owner_id": made.users["Bob"]["hubspot"]}}).id
        for days, amount, close, stage in ((20, 200.2, "2027-02-10", 0), (40, 300.3, "2027-03-10", 1)):
            for server in (salesforce, hubspot):
                server.clock.fix(start + timedelta(days=days))
            made.sf.Opportunity.update(sf, {"Amount": amount, "CloseDate": close,
                                            "StageName": ("Qualification", "Proposal/Price Quote")[stage]})
            made.hs.crm.deals.basic_api.update(hs, {"properties": {
                "amount": str(amount), "closedate": f"{close}T12:00:00Z",
                "dealstage": ("qualifiedtobuy", "decisionmakerboughtin")[stage]}})
        for server in (salesforce, hubspot):
            server.clock.fix(datetime.now(UTC))
            server.clock.run()
        made.sync()
        store = made.project.store()
        yield Before(made, folder, store, start)
        store.close()
        made.project.close()


def run(folder: Path, *words: str) -> dict[str, Any]:
    result = CliRunner().invoke(app, [*words, "-C", str(folder), "--json"])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code in (0, 1), result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def told(store: Store, moment: datetime | None = None) -> dict[str, tuple[Any, ...]]:
    table = deals_as_of(store) if moment is None else deals_as_of(store, moment, axis="happened")
    return {row["name"]: (row["amount"], row["close_date"], row["stage"], row["disputed"]) for row in records(table)}


def test_history_reaches_back_and_nothing_that_stands_changes(before: Before) -> None:
    now, reported = told(before.store), before.organisation.project.now()
    assert told(before.store, before.start + timedelta(days=30)) == {}
    assert run(before.folder, "forecast", "history")["added"] == {"salesforce": 2, "hubspot": 2}, "the last is what was read"
    assert told(before.store) == now
    assert {name: row[3] for name, row in now.items()} == {"Pump": "", "Valve": ""}
    then = told(before.store, before.start + timedelta(days=30))
    assert {row[:3] for row in then.values()} == {("200.2", "2027-02-10", "qualification")}
    first = told(before.store, before.start + timedelta(days=1))
    assert sorted((row[0], row[2]) for row in first.values()) == [("100.1", "prospecting"), ("50", "prospecting")]
    assert records(deals_as_of(before.store, before.start + timedelta(days=30))) == []
    assert {name: row[:3] for name, row in told(before.store, reported).items()} == {
        name: row[:3] for name, row in now.items()}


def test_a_second_time_takes_over_nothing_and_the_next_sync_writes_nothing(before: Before) -> None:
    assert run(before.folder, "forecast", "history")["added"] == {"salesforce": 0, "hubspot": 0}
    assert run(before.folder, "sync")["written"] == {}


def test_pushes_of_before_are_counted(before: Before) -> None:
    with before.store.read() as tx:
        table = pushes(lives(tx))
    assert sorted(zip(table["pushes"], table["pushed_days"], strict=True)) == [(2, 59), (2, 59)]
