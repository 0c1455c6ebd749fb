"""Bulk API 1.0 over plain HTTP in its three formats, and through simple-salesforce."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import requests
from lxml import etree
from simple_salesforce import Salesforce

from .salesforce_caller import Caller, organisation

A = "{http://www.force.com/2009/06/asyncapi/dataload}"
JSON, CSV, XML = "application/json", "text/csv", "application/xml"


@pytest.fixture
def org() -> Iterator[Caller]:
    with organisation() as caller:
        yield caller


def send(org: Caller, method: str, path: str, body: Any = None, kind: str = JSON, **more: str) -> httpx.Response:
    headers = {"X-SFDC-Session": org.token, "Content-Type": kind, **more}
    content = {"json": body} if kind == JSON and not isinstance(body, str) else {"content": body}
    return org.http.request(method, f"/services/async/59.0/{path}", headers=headers, **content)


def job(org: Caller, operation: str, content: str, sobject: str = "Contact", **more: Any) -> str:
    answer = send(org, "POST", "job", {"operation": operation, "object": sobject, "contentType": content, **more})
    assert (answer.status_code, answer.json()["state"]) == (201, "Open"), answer.text
    return str(answer.json()["id"])


def added(org: Caller, key: str, body: Any, kind: str = JSON) -> str:
    answer = send(org, "POST", f"job/{key}/batch", body, kind)
    assert answer.status_code == 201, answer.text
    told = answer.json() if kind == JSON else {n.tag.removeprefix(A): n.text for n in etree.fromstring(answer.content)}
    assert (told["jobId"], told["state"]) == (key, "Queued")
    return str(told["id"])


def info(org: Caller, key: str, batch: str) -> dict[str, str | None]:
    """A batch as a job of CSV or XML describes it, whatever the type of the request."""
    answer = send(org, "GET", f"job/{key}/batch/{batch}")
    assert answer.headers["Content-Type"] == XML
    return {node.tag.removeprefix(A): node.text for node in etree.fromstring(answer.content)}


def test_json_batches_answer_in_the_order_of_their_records(org: Caller) -> None:
    key = job(org, "insert", "JSON")
    batch = added(org, key, [{"LastName": "Ito", "Email": "I@X.COM"}, {"Title": "x"}, {"LastName": "Sato"}])
    described = send(org, "GET", f"job/{key}/batch/{batch}")
    assert (described.json()["state"], described.headers["Content-Type"]) == ("Completed", JSON)
    rows = send(org, "GET", f"job/{key}/batch/{batch}/result").json()
    assert [row["success"] for row in rows] == [True, False, True]
    assert rows[1]["errors"][0] == {
        "statusCode": "REQUIRED_FIELD_MISSING",
        "message": "Required fields are missing: [LastName]",
        "fields": ["LastName"],
        "extendedErrorDetails": None,
    }
    assert send(org, "GET", f"job/{key}/batch/{batch}/request").json()[0]["LastName"] == "Ito"
    closed = send(org, "POST", f"job/{key}", {"state": "Closed"}).json()
    assert (closed["state"], closed["numberRecordsProcessed"], closed["numberRecordsFailed"]) == ("Closed", 3, 1)
    late = send(org, "POST", f"job/{key}/batch", [{"LastName": "Late"}])
    assert (late.status_code, late.json()["exceptionCode"]) == (400, "InvalidJobState")
    assert org.column("SELECT Email FROM Contact WHERE LastName = 'Ito'") == ["i@x.com"]


def test_csv_upserts_clear_with_na_and_name_parents_by_their_key(org: Caller) -> None:
    org.make("Account", Name="Acme", Ext__c="a1")
    org.make("Contact", LastName="Old", Phone="1", Sidefeed_Key__c="k1")
    key = job(org, "upsert", "CSV", externalIdFieldName="Sidefeed_Key__c")
    data = "Sidefeed_Key__c,LastName,Phone,Account.Ext__c\nk1,New,#N/A,a1\nk2,Two,,\n"
    batch = added(org, key, data, CSV)
    assert info(org, key, batch)["numberRecordsProcessed"] == "2"
    lines = send(org, "GET", f"job/{key}/batch/{batch}/result").text.splitlines()
    assert lines[0] == '"Id","Success","Created","Error"'
    assert [line.split(",")[2] for line in lines[1:]] == ['"false"', '"true"']
    assert (
        org.rows("SELECT LastName, Phone, Account.Name FROM Contact WHERE Sidefeed_Key__c = 'k1'")[0]["Phone"] is None
    )


def test_an_unknown_column_fails_the_whole_batch(org: Caller) -> None:
    key = job(org, "insert", "CSV")
    batch = added(org, key, "LastName,Nope\nA,1\n", CSV)
    told = info(org, key, batch)
    assert (told["state"], told["stateMessage"]) == ("Failed", "InvalidBatch : Field name not found : Nope")
    refused = send(org, "GET", f"job/{key}/batch/{batch}/result")
    assert (refused.status_code, refused.json()["exceptionCode"]) == (400, "InvalidBatch")
    assert org.column("SELECT Id FROM Contact") == []


def test_xml_jobs_write_and_read(org: Caller) -> None:
    description = (
        f'<jobInfo xmlns="{A[1:-1]}"><operation>insert</operation><object>Account</object>'
        "<contentType>XML</contentType></jobInfo>"
    )
    made = etree.fromstring(send(org, "POST", "job", description, XML).content)
    assert made.tag == f"{A}jobInfo"
    key = made.findtext(f"{A}id")
    rows = f'<sObjects xmlns="{A[1:-1]}"><sObject><Name>A &amp; B</Name></sObject><sObject/></sObjects>'
    batch = added(org, key, rows, XML)
    assert etree.fromstring(send(org, "GET", f"job/{key}/batch/{batch}", kind=XML).content).findtext(f"{A}state") == (
        "Completed"
    )
    results = etree.fromstring(send(org, "GET", f"job/{key}/batch/{batch}/result", kind=XML).content)
    assert [one.findtext(f"{A}success") for one in results] == ["true", "false"]
    reading = job(org, "query", "XML", "Account")
    batch = added(org, reading, "SELECT Id, Name FROM Account", XML)
    send(org, "GET", f"job/{reading}/batch/{batch}")
    listed = etree.fromstring(send(org, "GET", f"job/{reading}/batch/{batch}/result").content)
    found = send(org, "GET", f"job/{reading}/batch/{batch}/result/{listed[0].text}")
    assert etree.fromstring(found.content).findtext(f"{A}records/{A}Name") == "A & B"


def test_queries_write_times_as_the_format_does(org: Caller) -> None:
    org.make("Account", Name="A")
    for content, expected in (("JSON", 1795003200000), ("CSV", '"2026-11-18T12:00:00.000Z"')):
        key = job(org, "query", content, "Account")
        batch = added(org, key, "SELECT CreatedDate FROM Account", {"JSON": JSON, "CSV": CSV}[content])
        send(org, "GET", f"job/{key}/batch/{batch}")
        listed = send(org, "GET", f"job/{key}/batch/{batch}/result")
        result = listed.json()[0] if content == "JSON" else etree.fromstring(listed.content)[0].text
        found = send(org, "GET", f"job/{key}/batch/{batch}/result/{result}")
        shown = found.json()[0]["CreatedDate"] if content == "JSON" else found.text.splitlines()[1]
        assert shown == expected


def test_pk_chunking_splits_a_query_into_batches(org: Caller) -> None:
    for number in range(5):
        org.make("Account", Name=f"A{number}")
    body = {"operation": "query", "object": "Account", "contentType": "CSV"}
    key = send(org, "POST", "job", body, **{"Sforce-Enable-PKChunking": "chunkSize=2"}).json()["id"]
    first = send(org, "POST", f"job/{key}/batch", "SELECT Id FROM Account", CSV)
    assert etree.fromstring(first.content).findtext(f"{A}state") == "NotProcessed"
    batches = send(org, "GET", f"job/{key}/batch", Accept=JSON).json()["batchInfo"]
    assert [(b["state"], b["numberRecordsProcessed"]) for b in batches] == [
        ("NotProcessed", 0), ("Completed", 2), ("Completed", 2), ("Completed", 1),
    ]  # fmt: skip


def test_stuck_and_failed_batches(org: Caller) -> None:
    org.server.call(org.server.condition, "bulk_stuck")
    org.server.call(org.server.condition, "bulk_fail", message="InternalServerError : x")
    key = job(org, "insert", "JSON")
    stuck = send(org, "POST", f"job/{key}/batch", [{"LastName": "A"}]).json()["id"]
    failed = added(org, key, [{"LastName": "B"}])
    states = {b["id"]: b["state"] for b in send(org, "GET", f"job/{key}/batch").json()["batchInfo"]}
    assert states == {stuck: "InProgress", failed: "Failed"}
    org.server.call(org.server.condition, "bulk_released")
    assert send(org, "GET", f"job/{key}/batch/{stuck}").json()["state"] == "Completed"
    assert org.column("SELECT LastName FROM Contact") == ["A"]


def test_what_is_wrong_is_said_in_its_own_shape(org: Caller) -> None:
    body = {"object": "Nope", "operation": "insert", "contentType": "JSON"}
    assert send(org, "POST", "job", body).json()["exceptionCode"] == "InvalidEntity"
    assert (
        send(org, "POST", "job", {**body, "object": "Account", "operation": "x"}).json()["exceptionCode"]
        == "InvalidJob"
    )
    zipped = send(org, "POST", "job", {**body, "object": "Account", "contentType": "ZIP_CSV"})
    assert (zipped.status_code, zipped.json()["exceptionCode"]) == (501, "FeatureNotEnabled")
    assert send(org, "GET", "job/750000000000001").json()["exceptionCode"] == "InvalidJob"
    assert etree.fromstring(send(org, "GET", "job/1", kind=XML).content).findtext(f"{A}exceptionCode") == "InvalidJob"


def test_simple_salesforce_bulk_works_unpatched() -> None:
    with organisation(tls=True) as org:
        session = requests.Session()
        session.trust_env = False
        session.verify = str(org.server.ca_file)
        bulk = Salesforce(session_id=org.token, instance_url=org.server.url, session=session).bulk
        made = bulk.Contact.insert([{"LastName": f"N{n}"} for n in range(5)], batch_size=2)
        assert [row["success"] for row in made] == [True] * 5
        rows = [{"Id": made[0]["id"], "LastName": "Changed"}, {"Id": made[1]["id"], "Title": None}]
        detailed = bulk.Contact.update(rows, include_detailed_results=True)
        assert {row.get("LastName") for row in detailed} == {"Changed", None}
        assert len(bulk.Contact.query("SELECT Id, LastName, Account.Name FROM Contact")) == 5
        assert bulk.Contact.delete([{"Id": made[0]["id"]}])[0]["success"] is True
        assert len(bulk.Contact.query_all("SELECT Id FROM Contact WHERE IsDeleted = true")) == 1
        assert bulk.submit_dml("Account", "insert", [{"Name": "A"}])[0]["success"] is True
