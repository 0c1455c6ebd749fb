"""A real sales data set, whole: imported, synced into an empty Salesforce and an empty HubSpot, read back with the
plain SDKs, and found there record by record."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from sandbox.company import KEY_OBJECTS, SALESFORCE_SCHEMA
from sandbox.hubspot import HubSpotServer
from sandbox.salesforce import SalesforceServer
from sidefeed.cli.csv_import import Imported, import_files
from sidefeed.cli.project_files import settings_text, write_project
from sidefeed.project import Project
from sidefeed.sync import Report

pytestmark = pytest.mark.slow

EXAMPLE = Path(__file__).resolve().parents[1] / "mappings" / "examples" / "sales_csv.yaml"
UNDATED = "2017-12-31"
"""What Salesforce, which insists on a closing date, is given for a deal that has none."""
SALESFORCE_STAGES = {"Prospecting": "Prospecting", "Engaging": "Qualification", "Won": "Closed Won",
                     "Lost": "Closed Lost"}
HUBSPOT_STAGES = {"Prospecting": "appointmentscheduled", "Engaging": "qualifiedtobuy", "Won": "closedwon",
                  "Lost": "closedlost"}


@dataclass
class Sales:
    """The files as they are, what the import and the syncs said, and both systems as a plain SDK reads them."""

    deals: list[dict[str, str]]
    accounts: list[dict[str, str]]
    people: set[str]
    imported: Imported
    syncs: list[Report]
    calls: dict[str, tuple[int, int, int]]
    salesforce: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    hubspot: dict[str, list[dict[str, Any]]] = field(default_factory=dict)


@pytest.fixture(scope="module")
def sales(reference_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sales]:
    folder = reference_data / "crm"
    teams = rows(folder / "sales_teams.csv")
    people = {row["sales_agent"] for row in teams} | {row["manager"] for row in teams}
    with SalesforceServer(tls=True) as salesforce, HubSpotServer() as hubspot:
        salesforce.call(salesforce.load_schema, SALESFORCE_SCHEMA)
        for name in sorted(people):
            first, last = name.split(" ", 1)
            mail = f"{first}.{last}@brightwater.example".lower()
            salesforce.call(salesforce.add_user, mail, first=first, last=last, email=mail)
            hubspot.call(hubspot.add_owner, mail, first, last)
        project = new_project(tmp_path_factory.mktemp("sales"), salesforce, hubspot)
        for system, objects in KEY_OBJECTS.items():
            project.connector(system).prepare(objects, apply=True)
        before = {"salesforce": salesforce.counters.calls - project.connector("salesforce").calls.used,
                  "hubspot": hubspot.counters.calls - project.connector("hubspot").calls.used}
        syncs = [sync(project)]
        imported = import_files(project, [folder], EXAMPLE)
        while not syncs[1:] or (syncs[-1].counts.get("written") and len(syncs) < 6):
            syncs.append(sync(project))
        calls = {name: (project.connector(name).calls.used, project.connector(name).calls.minimum,
                        server.counters.calls - before[name])
                 for name, server in (("salesforce", salesforce), ("hubspot", hubspot))}
        project.close()
        found = Sales(rows(folder / "sales_pipeline.csv"), rows(folder / "accounts.csv"), people, imported, syncs, calls)
        found.salesforce = read_salesforce(salesforce)
        found.hubspot = read_hubspot(hubspot)
        yield found


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8-sig", newline="") as lines:
        return list(csv.DictReader(lines))


def new_project(folder: Path, salesforce: SalesforceServer, hubspot: HubSpotServer) -> Project:
    """The default project for both CRMs; the one edit is the closing date that Salesforce insists on."""
    write_project(folder, settings=settings_text({
        "salesforce": {"auth": "session", "instance_url": salesforce.url, "ca_file": str(salesforce.ca_file),
                       "session_id": salesforce.connection_info()["session_id"]},
        # The practice portal has no rate limit, so nothing is won by waiting for one.
        "hubspot": {"access_token": hubspot.connection_info()["access_token"], "host": hubspot.url,
                    "search_per_second": 1000, "rate_per_10s": 100_000},
    }, workspace="workspace.db", mappings="mappings"))
    file = folder / "mappings" / "salesforce.yaml"
    written = file.read_text(encoding="utf-8")
    before = "close_date: {field: CloseDate, required_on_create: true}"
    assert before in written
    file.write_text(written.replace(before, before.replace("}", f', create_as: "{UNDATED}"}}')), encoding="utf-8")
    return Project.load(folder, environment={})


def sync(project: Project) -> Report:
    with project.engine() as engine:
        return engine.sync()


def read_salesforce(server: SalesforceServer) -> dict[str, list[dict[str, Any]]]:
    import requests
    from simple_salesforce import Salesforce

    session = requests.Session()
    session.verify = str(server.ca_file)
    session.trust_env = False
    sf = Salesforce(instance_url=server.url, session_id=server.connection_info()["session_id"], session=session)
    return {object: sf.query_all(f"SELECT {fields} FROM {object}")["records"] for object, fields in {
        "Opportunity": "Name, Amount, CloseDate, StageName, Description, AccountId, OwnerId",
        "Account": "Id, Name, Industry, BillingCountry", "User": "Id, Name"}.items()}


def read_hubspot(server: HubSpotServer) -> dict[str, list[dict[str, Any]]]:
    from hubspot import HubSpot

    hs = HubSpot(access_token=server.connection_info()["access_token"], host=server.url)
    names = ["dealname", "amount", "closedate", "dealstage", "description", "hubspot_owner_id", "deal_currency_code"]
    deals = hs.crm.deals.get_all(properties=names, associations=["companies"])
    return {
        "deals": [{**deal.properties, "companies": sorted({
            one.id for one in deal.associations["companies"].results} if deal.associations else ())} for deal in deals],
        "companies": [{**one.properties, "id": one.id} for one in hs.crm.companies.get_all(
            properties=["name", "industry", "country"])],
        "owners": [{"id": one.id, "name": f"{one.first_name} {one.last_name}"} for one in hs.crm.owners.get_all()],
    }


def product(row: dict[str, str]) -> str:
    return {"GTXPro": "GTX Pro"}.get(row["product"], row["product"])


def number(raw: Any) -> Decimal | None:
    return None if raw in (None, "") else Decimal(str(raw))


def test_every_row_is_in_the_workspace(sales: Sales) -> None:
    assert sales.imported.records == {"sales_teams": 35, "sales_teams.managers": 6, "accounts": 85,
                                      "sales_pipeline": 8800}
    assert (sales.imported.waiting, sales.imported.report.problems) == (0, [])
    assert sales.imported.report.counts["matched"] == 41, "the reps and managers are those of the CRMs"


def test_the_systems_come_to_rest(sales: Sales) -> None:
    assert sales.syncs[-1].counts.get("written", 0) == 0
    assert [sync.failed for sync in sales.syncs] == [{}] * len(sales.syncs)


def test_no_call_was_wasted(sales: Sales) -> None:
    for used, minimum, counted in sales.calls.values():
        assert used == minimum == counted


def test_every_deal_is_in_salesforce_once_with_equal_values(sales: Sales) -> None:
    accounts = {row["Id"]: row["Name"] for row in sales.salesforce["Account"]}
    users = {row["Id"]: row["Name"] for row in sales.salesforce["User"]}
    found = Counter((row["Name"], number(row["Amount"]), row["CloseDate"], row["StageName"], row["Description"],
                     accounts.get(row["AccountId"]), users[row["OwnerId"]])
                    for row in sales.salesforce["Opportunity"])
    assert found == Counter((f"{row['account']} {row['opportunity_id']}".strip(), number(row["close_value"]),
                             row["close_date"] or UNDATED, SALESFORCE_STAGES[row["deal_stage"]], product(row),
                             row["account"] or None, row["sales_agent"]) for row in sales.deals)


def test_every_deal_is_in_hubspot_once_with_equal_values(sales: Sales) -> None:
    companies = {row["id"]: row["name"] for row in sales.hubspot["companies"]}
    owners = {row["id"]: row["name"] for row in sales.hubspot["owners"]}
    found = Counter((row["dealname"], number(row["amount"]), (row["closedate"] or "")[:10], row["dealstage"],
                     row["description"], tuple(companies[id] for id in row["companies"]),
                     owners[row["hubspot_owner_id"]]) for row in sales.hubspot["deals"])
    assert found == Counter((f"{row['account']} {row['opportunity_id']}".strip(), number(row["close_value"]),
                             row["close_date"], HUBSPOT_STAGES[row["deal_stage"]], product(row),
                             (row["account"],) if row["account"] else (), row["sales_agent"]) for row in sales.deals)


def test_the_totals_are_those_of_the_data_set(sales: Sales) -> None:
    sf, hs = sales.salesforce["Opportunity"], sales.hubspot["deals"]
    assert sum(Decimal(str(row["Amount"])) for row in sf if row["StageName"] == "Closed Won") == 10_005_534
    assert sum(Decimal(row["amount"]) for row in hs if row["dealstage"] == "closedwon") == 10_005_534
    counts = {"Won": 4238, "Lost": 2473, "Engaging": 1589, "Prospecting": 500}
    assert Counter(row["StageName"] for row in sf) == {SALESFORCE_STAGES[name]: n for name, n in counts.items()}
    assert Counter(row["dealstage"] for row in hs) == {HUBSPOT_STAGES[name]: n for name, n in counts.items()}
    assert sum(row["AccountId"] is None for row in sf) == 1425
    assert sum(not row["companies"] for row in hs) == 1425


def test_every_account_is_in_both_once_with_its_country_and_sector_mended(sales: Sales) -> None:
    countries = Counter((row["account"], row["office_location"].replace("Philipines", "Philippines"))
                        for row in sales.accounts)
    assert Counter((row["Name"], row["BillingCountry"]) for row in sales.salesforce["Account"]) == countries
    assert Counter((row["name"], row["country"]) for row in sales.hubspot["companies"]) == countries
    technology = sum(row["sector"] == "technolgy" for row in sales.accounts)
    assert sum(row["Industry"] == "Technology" for row in sales.salesforce["Account"]) == technology == 12
    assert sum(row["industry"] == "COMPUTER_SOFTWARE" for row in sales.hubspot["companies"]) == technology


def test_every_rep_and_manager_is_one_user_in_each(sales: Sales) -> None:
    assert len(sales.people) == 41
    for names in ([row["Name"] for row in sales.salesforce["User"]], [row["name"] for row in sales.hubspot["owners"]]):
        assert Counter(name for name in names if name in sales.people) == Counter(sales.people)
