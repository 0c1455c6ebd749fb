"""Bulk API 2.0: files in and out, with every delimiter, line ending and state."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from .salesforce_caller import Caller, organisation, refusal

DELIMITERS = {"BACKQUOTE": "`", "CARET": "^", "COMMA": ",", "PIPE": "|", "SEMICOLON": ";", "TAB": "\t"}


@pytest.fixture
def org() -> Iterator[Caller]:
    with organisation() as caller:
        yield caller


def start(org: Caller, operation: str, kind: str, **more: Any) -> dict[str, Any]:
    answer = org.request("POST", "jobs/ingest", {"operation": operation, "object": kind, "contentType": "CSV", **more})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def upload(org: Caller, job: str, text: str | bytes) -> httpx.Response:
    data = text.encode() if isinstance(text, str) else text
    return org.request(
        "PUT", f"jobs/ingest/{job}/batches", content=data, headers={"Content-Type": "text/csv; charset=UTF-8"}
    )


def complete(org: Caller, job: str) -> dict[str, Any]:
    assert org.request("PATCH", f"jobs/ingest/{job}", {"state": "UploadComplete"}).json()["state"] == "UploadComplete"
    found: dict[str, Any] = org.get(f"jobs/ingest/{job}").json()
    return found


def results(org: Caller, job: str, which: str, delimiter: str = ",") -> list[dict[str, str]]:
    answer = org.get(f"jobs/ingest/{job}/{which}")
    assert answer.headers["Content-Type"] == "text/csv"
    return list(csv.DictReader(io.StringIO(answer.content.decode(), newline=""), delimiter=delimiter))


def ingest(org: Caller, operation: str, kind: str, text: str, **more: Any) -> dict[str, Any]:
    job = start(org, operation, kind, **more)["id"]
    assert upload(org, job, text).status_code == 201
    return complete(org, job)


def test_a_job_goes_through_its_states(org: Caller) -> None:
    job = start(org, "insert", "Account", lineEnding="LF", columnDelimiter="COMMA")
    assert job["id"].startswith("750")
    assert {k: job[k] for k in ("state", "apiVersion", "concurrencyMode", "contentType", "object", "operation")} == {
        "state": "Open", "apiVersion": 59.0, "concurrencyMode": "Parallel", "contentType": "CSV", "object": "Account", "operation": "insert",
    }  # fmt: skip
    assert job["createdDate"] == "2026-11-18T12:00:00.000+0000"
    assert upload(org, job["id"], "Name\nA\n").status_code == 201
    done = complete(org, job["id"])
    assert (done["state"], done["numberRecordsProcessed"], done["numberRecordsFailed"]) == ("JobComplete", 1, 0)
    assert isinstance(done["numberRecordsProcessed"], int)


def test_polls_see_jobs_in_progress(org: Caller) -> None:
    org.server.bulk.polls_until_complete = 2
    job = start(org, "insert", "Account")["id"]
    upload(org, job, "Name\nA\n")
    org.request("PATCH", f"jobs/ingest/{job}", {"state": "UploadComplete"})
    assert [org.get(f"jobs/ingest/{job}").json()["state"] for _ in range(3)] == [
        "InProgress",
        "InProgress",
        "JobComplete",
    ]


@pytest.mark.parametrize("delimiter", DELIMITERS)
@pytest.mark.parametrize(("ending", "newline"), [("LF", "\n"), ("CRLF", "\r\n")])
def test_every_delimiter_and_line_ending_with_quoted_newlines(
    org: Caller, delimiter: str, ending: str, newline: str
) -> None:
    mark = DELIMITERS[delimiter]
    text = newline.join([f"NAME{mark}Description", f'"A{mark}B"{mark}"one\ntwo ""quoted"""', f"Zoë{mark}plain", ""])
    job = ingest(org, "insert", "Account", text, columnDelimiter=delimiter, lineEnding=ending)
    assert job["state"] == "JobComplete"
    rows = {row["Name"]: row["Description"] for row in org.rows("SELECT Name, Description FROM Account")}
    assert rows == {f"A{mark}B": 'one\ntwo "quoted"', "Zoë": "plain"}
    good = results(org, job["id"], "successfulResults", mark)
    assert {row["NAME"] for row in good} == set(rows)
    assert {row["sf__Created"] for row in good} == {"true"}


def test_failed_rows_carry_code_text_and_fields(org: Caller) -> None:
    job = ingest(org, "insert", "Account", "Name,Site\nA,x\n,y\n")
    assert (job["numberRecordsProcessed"], job["numberRecordsFailed"]) == (2, 1)
    failed = results(org, job["id"], "failedResults")
    assert failed == [
        {
            "sf__Id": "",
            "sf__Error": "REQUIRED_FIELD_MISSING:Required fields are missing: [Name]:Name --",
            "Name": "",
            "Site": "y",
        }
    ]
    header = org.get(f"jobs/ingest/{job['id']}/failedResults").text.splitlines()[0]
    assert header == '"sf__Id","sf__Error","Name","Site"'
    for name in ("unprocessedrecords", "unprocessedRecords"):
        assert org.get(f"jobs/ingest/{job['id']}/{name}").text.strip() == '"Name","Site"'


def test_an_empty_cell_leaves_alone_and_na_clears(org: Caller) -> None:
    key = org.make("Contact", LastName="Ito", Phone="1", Title="CFO")
    job = ingest(org, "update", "Contact", f"Id,Phone,Title\n{key[:15]},,#N/A\n")
    assert job["numberRecordsFailed"] == 0
    row = org.row("Contact", key)
    assert (row["Phone"], row["Title"]) == ("1", None)
    done = results(org, job["id"], "successfulResults")[0]
    assert (done["sf__Id"], done["sf__Created"]) == (key, "false")


def test_upsert_by_external_id_and_references_by_external_id(org: Caller) -> None:
    org.make("Account", Name="A", Ext__c="e1")
    org.make("Contact", LastName="old", Sidefeed_Key__c="sf-1")
    text = "Sidefeed_Key__c,LastName,Account.Ext__c\nsf-1,Ito,e1\nsf-2,Sato,none\nsf-3,Weber,\n"
    job = ingest(org, "upsert", "Contact", text, externalIdFieldName="Sidefeed_Key__c")
    assert job["externalIdFieldName"] == "Sidefeed_Key__c"
    created = {row["Sidefeed_Key__c"]: row["sf__Created"] for row in results(org, job["id"], "successfulResults")}
    assert created == {"sf-1": "false", "sf-3": "true"}
    failed = results(org, job["id"], "failedResults")[0]
    assert failed["sf__Error"].startswith(
        "INVALID_FIELD:Foreign key external ID: none not found for field Ext__c in entity Account"
    )
    assert org.rows("SELECT Account.Name FROM Contact WHERE Sidefeed_Key__c = 'sf-1'")[0]["Account"]["Name"] == "A"


def test_rows_that_share_a_key_in_one_file_all_fail(org: Caller) -> None:
    job = ingest(
        org, "upsert", "Contact", "Sidefeed_Key__c,LastName\na,x\nb,y\nA,z\n", externalIdFieldName="Sidefeed_Key__c"
    )
    failed = results(org, job["id"], "failedResults")
    assert {row["sf__Error"] for row in failed} == {
        "DUPLICATE_VALUE:Duplicate external id specified: a:Sidefeed_Key__c --",
        "DUPLICATE_VALUE:Duplicate external id specified: A:Sidefeed_Key__c --",
    }
    assert org.column("SELECT LastName FROM Contact") == ["y"]


def test_delete_and_hard_delete(org: Caller) -> None:
    soft, hard = org.make("Account", Name="S"), org.make("Account", Name="H")
    ingest(org, "delete", "Account", f"Id\n{soft}\n")
    ingest(org, "hardDelete", "Account", f"id\n{hard}\n")
    assert org.column("SELECT Name FROM Account WHERE IsDeleted = true", resource="queryAll") == ["S"]
    job = ingest(org, "delete", "Account", f"Id\n{soft}\n")
    assert results(org, job["id"], "failedResults")[0]["sf__Error"].startswith("ENTITY_IS_DELETED:entity is deleted")


def test_result_order_is_not_input_order(org: Caller) -> None:
    names = [f"A{n:03d}" for n in range(200)]
    job = ingest(org, "insert", "Account", "Name\n" + "\n".join(names) + "\n")
    given = [row["Name"] for row in results(org, job["id"], "successfulResults")]
    assert given != names
    assert sorted(given) == names


@pytest.mark.parametrize(
    ("text", "more", "message"),
    [
        ("Name,Nope\nA,x\n", {}, "InvalidBatch : Field name not found : Nope"),
        (
            "Name\r\nA\r\n",
            {"lineEnding": "LF"},
            "ClientInputError : LineEnding is invalid on user data. Current LineEnding setting is LF",
        ),
        (
            "Name\nA\n",
            {"lineEnding": "CRLF"},
            "ClientInputError : LineEnding is invalid on user data. Current LineEnding setting is CRLF",
        ),
        ("Name;Site\nA;x\n", {}, "InvalidBatch : Field name not found : Name;Site"),
    ],
)
def test_files_that_do_not_fit_the_job_fail_it_whole(
    org: Caller, text: str, more: dict[str, str], message: str
) -> None:
    job = ingest(org, "insert", "Account", text, **more)
    assert (job["state"], job["errorMessage"]) == ("Failed", message)
    assert org.query("SELECT COUNT() FROM Account")["totalSize"] == 0


def test_rows_of_another_width_fail_alone(org: Caller) -> None:
    job = ingest(org, "insert", "Account", "Name,Site\nA\nB,x\n")
    assert (job["state"], job["numberRecordsFailed"]) == ("JobComplete", 1)
    assert org.column("SELECT Name FROM Account") == ["B"]


def test_jobs_abort_with_their_rows_unprocessed_and_then_delete(org: Caller) -> None:
    job = start(org, "insert", "Account")["id"]
    upload(org, job, "Name\nA\n")
    assert refusal(org.request("DELETE", f"jobs/ingest/{job}"))[1] == "INVALIDJOBSTATE"
    assert org.request("PATCH", f"jobs/ingest/{job}", {"state": "Aborted"}).json()["state"] == "Aborted"
    assert results(org, job, "unprocessedrecords") == [{"Name": "A"}]
    answer = org.request("DELETE", f"jobs/ingest/{job}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert org.get(f"jobs/ingest/{job}").status_code == 404


def test_data_is_put_once_and_states_do_not_go_back(org: Caller) -> None:
    job = start(org, "insert", "Account")["id"]
    upload(org, job, "Name\nA\n")
    again = refusal(upload(org, job, "Name\nB\n"))
    assert again[0] == 400
    assert f"Found multiple contents for job: <{job}>" in again[2]
    complete(org, job)
    assert refusal(org.request("PATCH", f"jobs/ingest/{job}", {"state": "Aborted"}))[0] == 400


@pytest.mark.parametrize(
    "body",
    [
        {"operation": "merge", "object": "Account"},
        {"operation": "insert", "object": "Nope"},
        {"operation": "insert", "object": "Account", "columnDelimiter": "DOT"},
        {"operation": "insert", "object": "Account", "lineEnding": "CR"},
        {"operation": "upsert", "object": "Contact"},
        {"operation": "upsert", "object": "Contact", "externalIdFieldName": "Title"},
        {"operation": "insert", "object": "TaskStatus"},
    ],
)
def test_jobs_that_cannot_be(org: Caller, body: dict[str, str]) -> None:
    assert org.request("POST", "jobs/ingest", body).status_code == 400


def test_one_request_may_hold_job_and_data(org: Caller) -> None:
    parts = {
        "job": (None, b'{"object":"Account","operation":"insert","contentType":"CSV"}', "application/json"),
        "content": ("content", b"Name\nA\n", "text/csv"),
    }
    answer = org.request("POST", "jobs/ingest", files=parts)
    assert answer.json()["state"] == "UploadComplete"
    assert org.column("SELECT Name FROM Account") == ["A"]


def test_stuck_and_failing_jobs_on_command(org: Caller) -> None:
    org.server.call(org.server.condition, "bulk_stuck")
    stuck = ingest(org, "insert", "Account", "Name\nA\n")
    assert stuck["state"] == "InProgress"
    assert org.query("SELECT COUNT() FROM Account")["totalSize"] == 0
    assert org.server.call(org.server.condition, "bulk_released") == 1
    assert org.get(f"jobs/ingest/{stuck['id']}").json()["state"] == "JobComplete"
    org.server.call(org.server.condition, "bulk_fail", message="ApiBatchItems Limit exceeded")
    failed = ingest(org, "insert", "Account", "Name\nB\n")
    assert (failed["state"], failed["errorMessage"]) == ("Failed", "ApiBatchItems Limit exceeded")
    assert results(org, failed["id"], "unprocessedrecords") == [{"Name": "B"}]


def test_real_files_with_quoted_newlines_load_whole(org: Caller, reference_data: Path) -> None:
    folder = reference_data / "salesforce" / "csv"
    text = (folder / "accounts_backquote.csv").read_text("utf-8")
    job = ingest(org, "insert", "Account", text, columnDelimiter="BACKQUOTE")
    assert (job["state"], job["numberRecordsProcessed"]) == ("JobComplete", 10)
    with (folder / "accounts_quoted_newlines.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    kept = [name for name in rows[0] if name in ("NAME", "PHONE", "BILLINGSTREET", "DESCRIPTION", "WEBSITE")]
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, kept, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    job = ingest(org, "insert", "Account", out.getvalue())
    assert (job["numberRecordsProcessed"], job["numberRecordsFailed"]) == (100, 0)


# query jobs


def query_job(org: Caller, soql: str, **more: Any) -> dict[str, Any]:
    answer = org.request("POST", "jobs/query", {"operation": "query", "query": soql, **more})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_query_results_come_in_pages_with_locators(org: Caller) -> None:
    for number in range(25):
        org.server.call(org.server.insert, "Account", Name=f"A{number:02d}", AnnualRevenue=number)
    job = query_job(
        org, "SELECT Name, AnnualRevenue, Owner.Name, CreatedDate, IsDeleted, Site FROM Account ORDER BY Name"
    )
    assert (job["state"], job["operation"], job["object"]) == ("UploadComplete", "query", "Account")
    assert org.get(f"jobs/query/{job['id']}").json()["state"] == "JobComplete"
    names: list[str] = []
    locator = ""
    while locator != "null":
        answer = org.get(f"jobs/query/{job['id']}/results", maxRecords=10, **({"locator": locator} if locator else {}))
        rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
        assert answer.headers["Sforce-NumberOfRecords"] == str(len(rows))
        names += [row["Name"] for row in rows]
        locator = answer.headers["Sforce-Locator"]
    assert names == [f"A{n:02d}" for n in range(25)]
    first = next(csv.DictReader(io.StringIO(org.get(f"jobs/query/{job['id']}/results").text)))
    assert first == {
        "Name": "A00", "AnnualRevenue": "0.0", "Owner.Name": "Ada Admin", "CreatedDate": "2026-11-18T12:00:00.000Z",
        "IsDeleted": "false", "Site": "",
    }  # fmt: skip


def test_query_jobs_take_delimiters_and_show_deleted_rows_on_demand(org: Caller) -> None:
    key = org.make("Account", Name="A")
    org.request("DELETE", f"sobjects/Account/{key}")
    job = query_job(org, "SELECT Id, Name FROM Account", columnDelimiter="PIPE", lineEnding="CRLF")
    assert org.get(f"jobs/query/{job['id']}/results").content == b'"Id"|"Name"\r\n'
    every = org.request("POST", "jobs/query", {"operation": "queryAll", "query": "SELECT Id FROM Account"}).json()
    assert org.get(f"jobs/query/{every['id']}/results").headers["Sforce-NumberOfRecords"] == "1"


def test_results_are_bound_to_the_api_version_and_seven_days(org: Caller) -> None:
    job = query_job(org, "SELECT Id FROM Account")["id"]
    assert org.get(f"/services/data/v60.0/jobs/query/{job}/results").status_code == 409
    assert org.get(f"jobs/query/{job}/results").status_code == 200
    org.server.clock.move(days=8)
    assert org.get(f"jobs/query/{job}/results").status_code == 400
    assert org.request("DELETE", f"jobs/query/{job}").status_code == 204


@pytest.mark.parametrize(
    ("soql", "code", "text"),
    [
        ("SELECT BillingAddress FROM Account", "API_ERROR", "Selecting compound data not supported in Bulk Query"),
        (
            "SELECT Id, (SELECT Id FROM Contacts) FROM Account",
            "API_ERROR",
            "Aggregate Relationships not supported in Bulk Query",
        ),
        ("SELECT COUNT(Id) FROM Account", "API_ERROR", "aggregate"),
        ("SELECT Id FROM TaskStatus", "API_ERROR", "is not supported by the Bulk API"),
        ("SELECT Nope FROM Account", "INVALID_FIELD", "No such column"),
        ("SELECT", "MALFORMED_QUERY", "unexpected token"),
    ],
)
def test_queries_that_bulk_cannot_run(org: Caller, soql: str, code: str, text: str) -> None:
    status, found, message = refusal(org.request("POST", "jobs/query", {"operation": "query", "query": soql}))
    assert (status, found) == (400, code)
    assert text in message


def test_nul_bytes_appear_on_command(org: Caller) -> None:
    org.make("Account", Name="Acme")
    org.server.bulk.nul_bytes = True
    job = query_job(org, "SELECT Id, Name FROM Account")["id"]
    assert b"A\x00cme" in org.get(f"jobs/query/{job}/results").content


@pytest.mark.parametrize("query", [{"locator": "%%"}, {"maxRecords": "0"}, {"maxRecords": "many"}])
def test_wrong_paging_values_are_refused(org: Caller, query: dict[str, str]) -> None:
    job = query_job(org, "SELECT Id FROM Account")["id"]
    assert org.get(f"jobs/query/{job}/results", **query).status_code == 400
