"""What is measured, each in a process that does nothing else and answers with what it found.

    python -m benchmarks.jobs NAME '{"url": ...}'
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

FIELDS = ("Name", "StageName", "CloseDate", "Amount", "NextStep", "Description", "LeadSource", "Type")
PROPERTIES = ("dealname", "dealstage", "closedate", "amount", "hs_next_step", "description")
SYSTEM = ("Id", "SystemModstamp", "LastModifiedById", "IsDeleted")
SOQL = f"SELECT {', '.join((*SYSTEM, *FIELDS))} FROM Opportunity"
VERSION = "59.0"


# -- reading Salesforce -------------------------------------------------------------------------------------------


def salesforce_floor(url: str, session_id: str, ca_file: str, **_info: Any) -> dict[str, Any]:
    """The pages as bytes, decoded by orjson into dicts: no program that has the records can do less."""
    import orjson

    records = 0
    for page in _pages(url, f"/services/data/v{VERSION}/query?q={quote(SOQL)}", session_id, ca_file):
        records += len(orjson.loads(page)["records"])
    return {"records": records}


def _pages(url: str, target: str, token: str, ca_file: str) -> Iterator[bytes]:
    import re

    import urllib3

    pool = urllib3.PoolManager(ca_certs=ca_file)
    while target:
        data = pool.request("GET", url + target, headers={"Authorization": f"Bearer {token}"}).data
        following = re.search(rb'"nextRecordsUrl"\s*:\s*"([^"]+)"', data[:400] + data[-400:])
        target = following[1].decode() if following else ""
        yield data


def salesforce_sdk(url: str, session_id: str, ca_file: str, **_info: Any) -> dict[str, Any]:
    """simple-salesforce's own iterator."""
    import requests
    from simple_salesforce import Salesforce

    session = requests.Session()
    session.trust_env = False  # a certificate bundle named in the environment would win over the next line
    session.verify = ca_file
    client = Salesforce(instance_url=url, session_id=session_id, version=VERSION, session=session)
    return {"records": sum(1 for _ in client.query_all_iter(SOQL))}


def salesforce_ours(url: str, session_id: str, ca_file: str, **_info: Any) -> dict[str, Any]:
    """Our connector, to records as the engine gets them."""
    from connectors.salesforce import SalesforceConnector

    connector = SalesforceConnector.from_settings({
        "auth": "session", "instance_url": url, "session_id": session_id, "ca_file": ca_file, "quota_share": 1})
    return _read(connector, "Opportunity", FIELDS)


# -- reading HubSpot ----------------------------------------------------------------------------------------------


def hubspot_floor(url: str, access_token: str, **_info: Any) -> dict[str, Any]:
    """The list's pages as bytes, decoded by orjson into dicts."""
    import orjson
    import urllib3

    pool = urllib3.PoolManager()
    records, after = 0, ""
    while after is not None:
        answer = orjson.loads(pool.request(
            "GET", f"{url}/crm/v3/objects/deals?limit=100&properties={','.join(PROPERTIES)}{after}",
            headers={"Authorization": f"Bearer {access_token}"}).data)
        records += len(answer["results"])
        following = answer.get("paging", {}).get("next", {}).get("after")
        after = f"&after={following}" if following else None
    return {"records": records}


def hubspot_sdk(url: str, access_token: str, **_info: Any) -> dict[str, Any]:
    """hubspot-api-client's own pages and models."""
    from hubspot import HubSpot

    client = HubSpot(access_token=access_token, host=url)
    records, after = 0, None
    while True:
        page = client.crm.deals.basic_api.get_page(limit=100, properties=list(PROPERTIES), after=after)
        records += len(page.results)
        if page.paging is None:
            return {"records": records}
        after = page.paging.next.after


def hubspot_ours(url: str, access_token: str, **_info: Any) -> dict[str, Any]:
    """Our connector, to records as the engine gets them. The rate limit is lifted: it would only be waited for."""
    from connectors.hubspot import HubSpotConnector

    connector = HubSpotConnector.from_settings({"access_token": access_token, "host": url, "rate_per_10s": 10**6})
    return _read(connector, "deals", PROPERTIES)


def _read(connector: Any, object: str, fields: tuple[str, ...]) -> dict[str, Any]:
    records = 0
    for stream in connector.streams(object):
        for page in connector.changes(stream, fields, None):
            records += len(page.records)
    return {"records": records, "used": connector.calls.used, "minimum": connector.calls.minimum}


# -- syncing ------------------------------------------------------------------------------------------------------


def sync(folder: str) -> dict[str, Any]:
    """One whole sync of a project, as `sidefeed sync` does it."""
    from sidefeed.collector import rarely_collecting

    with rarely_collecting():
        from sidefeed.project import Project

        project = Project.load(Path(folder))
        with project.engine() as engine:
            report = engine.sync()
            with engine.store.read() as tx:
                links = tx.count_links("salesforce", "Opportunity")
            calls = engine.connectors["salesforce"].calls
        project.close()
    if not report.ok:
        raise SystemExit(json.dumps(report.as_json()))
    return {"links": links, "counts": report.counts, "used": calls.used, "minimum": calls.minimum}


ROWS = ("change", "record", "natural_key", "remote", "link", "base")
"""The tables in which a loaded record stands."""


def store_floor(workspace: str, into: str) -> dict[str, Any]:
    """The rows of a loaded workspace, written again by bare executemany in as many transactions: no program that keeps
    them can do less. ``cpu`` is that of the writing alone."""
    import sqlite3
    import time

    with sqlite3.connect(workspace) as source:
        made = [sql for (sql,) in source.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND tbl_name IN "
                                                 f"({','.join('?' * len(ROWS))})", ROWS)]
        rows = {name: source.execute(f'SELECT * FROM "{name}"').fetchall() for name in ROWS}
    target = sqlite3.connect(into, isolation_level=None)
    for statement in ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=NORMAL", "PRAGMA cache_size=-3000", *made):
        target.execute(statement)
    began = time.process_time()
    for start in range(0, max(map(len, rows.values())), 500):
        target.execute("BEGIN IMMEDIATE")
        for name, whole in rows.items():
            if page := whole[start:start + 500]:
                target.executemany(f'INSERT INTO "{name}" VALUES ({",".join("?" * len(page[0]))})', page)
        target.execute("COMMIT")
    return {"cpu": time.process_time() - began, "records": len(rows["record"])}


def nothing() -> dict[str, Any]:
    """What every job pays before it begins."""
    return {}


JOBS: dict[str, Callable[..., dict[str, Any]]] = {
    job.__name__: job for job in (salesforce_floor, salesforce_sdk, salesforce_ours, hubspot_floor, hubspot_sdk,
                                  hubspot_ours, sync, store_floor, nothing)}


if __name__ == "__main__":
    print(json.dumps(JOBS[sys.argv[1]](**json.loads(sys.argv[2]))))
