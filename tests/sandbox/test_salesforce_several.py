"""Several records or requests in one call: collections, composite, graph, tree, batch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from .salesforce_caller import Caller, organisation, refusal

ROLLED_BACK = {
    "statusCode": "ALL_OR_NONE_OPERATION_ROLLED_BACK",
    "message": "Record rolled back because not all records were valid and the request was using AllOrNone header",
    "fields": [],
}
HALTED = {
    "message": "The transaction was rolled back since another operation in the same transaction failed.",
    "errorCode": "PROCESSING_HALTED",
}


@pytest.fixture
def org() -> Iterator[Caller]:
    with organisation() as caller:
        yield caller


def record(kind: str, **fields: Any) -> dict[str, Any]:
    return {"attributes": {"type": kind}, **fields}


def collection(org: Caller, method: str, *rows: dict[str, Any], path: str = "", all_or_none: bool = False) -> Any:
    answer = org.request(method, f"composite/sobjects{path}", {"allOrNone": all_or_none, "records": list(rows)})
    assert answer.status_code == 200, answer.text
    return answer.json()


def count(org: Caller, kind: str) -> int:
    return int(org.query(f"SELECT COUNT() FROM {kind}")["totalSize"])


# collections


def test_collections_answer_200_with_one_result_each_in_order(org: Caller) -> None:
    results = collection(org, "POST", record("Account", Name="A"), record("Contact"), record("Account", Name="B"))
    assert [r["success"] for r in results] == [True, False, True]
    assert set(results[0]) == {"id", "success", "errors"}
    assert results[1] == {
        "success": False,
        "errors": [
            {
                "statusCode": "REQUIRED_FIELD_MISSING",
                "message": "Required fields are missing: [LastName]",
                "fields": ["LastName"],
            }
        ],
    }
    assert count(org, "Account") == 2


def test_all_or_none_stores_nothing_and_names_the_victims(org: Caller) -> None:
    rows = [
        record("Contact", LastName="A"),
        record("Contact", LastName="B", AccountId="nonsense"),
        record("Contact", LastName="C"),
    ]
    results = collection(org, "POST", *rows, all_or_none=True)
    assert [r["errors"][0]["statusCode"] for r in results] == [
        "ALL_OR_NONE_OPERATION_ROLLED_BACK",
        "MALFORMED_ID",
        "ALL_OR_NONE_OPERATION_ROLLED_BACK",
    ]
    assert results[0]["errors"] == [ROLLED_BACK]
    assert count(org, "Contact") == 0


def test_collection_update_and_delete(org: Caller) -> None:
    a, b = org.make("Account", Name="A"), org.make("Account", Name="B")
    results = collection(
        org,
        "PATCH",
        record("Account", id=a, Name="A2"),
        record("Account", Name="no id"),
        record("Account", Id=b, Name="B2"),
    )
    assert [r["success"] for r in results] == [True, False, True]
    assert results[1]["errors"][0]["statusCode"] == "MISSING_ARGUMENT"
    assert org.column("SELECT Name FROM Account ORDER BY Name") == ["A2", "B2"]
    answer = org.request("DELETE", f"composite/sobjects?ids={a},nonsense,{b}&allOrNone=false").json()
    assert [r["success"] for r in answer] == [True, False, True]
    assert answer[1]["errors"][0]["statusCode"] == "MALFORMED_ID"
    assert count(org, "Account") == 0


def test_deleting_a_collection_all_or_none_takes_the_delete_log_back_too(org: Caller) -> None:
    a = org.make("Account", Name="A")
    answer = org.request("DELETE", f"composite/sobjects?ids={a},0015g000000zzzz&allOrNone=true").json()
    assert [r["success"] for r in answer] == [False, False]
    assert (count(org, "Account"), org.server.store.deletions) == (1, [])


def test_collection_upsert_says_created_and_true_also_for_failures(org: Caller) -> None:
    path = "/Contact/Sidefeed_Key__c"
    first = collection(
        org,
        "PATCH",
        record("Contact", Sidefeed_Key__c="sf-1", LastName="Ito"),
        record("Contact", Sidefeed_Key__c="sf-2"),
        path=path,
    )
    assert (first[0]["success"], first[0]["created"]) == (True, True)
    assert (first[1]["success"], first[1]["created"], "id" in first[1]) == (False, True, False)
    again = collection(org, "PATCH", record("Contact", Sidefeed_Key__c="sf-1", LastName="Ito 2"), path=path)
    assert (again[0]["id"], again[0]["created"]) == (first[0]["id"], False)


def test_collection_upsert_by_id_inserts_for_null_and_by_email_matches(org: Caller) -> None:
    by_id = collection(org, "PATCH", record("Contact", Id=None, LastName="New"), path="/Contact/Id")
    assert by_id[0]["created"] is True
    by_mail = collection(org, "PATCH", record("Contact", Email="A@x.example", LastName="A"), path="/Contact/Email")
    assert by_mail[0]["created"] is True
    assert (
        collection(org, "PATCH", record("Contact", Email="a@x.example", Title="T"), path="/Contact/Email")[0]["created"]
        is False
    )


def test_rows_that_share_a_key_in_one_upsert_all_fail(org: Caller) -> None:
    rows = [record("Contact", Sidefeed_Key__c=key, LastName="x") for key in ("a", "b", "A")]
    results = collection(org, "PATCH", *rows, path="/Contact/Sidefeed_Key__c")
    assert [r["success"] for r in results] == [False, True, False]
    assert results[0]["errors"][0]["statusCode"] == "DUPLICATE_VALUE"
    assert results[0]["errors"][0]["message"] == "Duplicate external id specified: a"


def test_rows_are_retrieved_in_order_with_null_for_absent_ones(org: Caller) -> None:
    a, b = org.make("Account", Name="A"), org.make("Account", Name="B")
    org.request("DELETE", f"sobjects/Account/{a}")
    for answer in (
        org.request("POST", "composite/sobjects/Account", {"ids": [b, a], "fields": ["Name"]}),
        org.get("composite/sobjects/Account", ids=f"{b},{a}", fields="Name"),
    ):
        rows = answer.json()
        assert (rows[0]["Name"], rows[1]) == ("B", None)


def test_collections_have_bounds(org: Caller) -> None:
    many = [record("Account", Name=str(n)) for n in range(201)]
    answer = org.request("POST", "composite/sobjects", {"records": many})
    assert refusal(answer)[:2] == (400, "EXCEEDED_ID_LIMIT")
    mixed = [record(kind, Name="x", LastName="x") for _ in range(6) for kind in ("Account", "Contact")]
    assert refusal(org.request("POST", "composite/sobjects", {"records": mixed}))[2].startswith(
        "Cannot have more than 10 chunks"
    )
    assert len(collection(org, "POST", *many[:200])) == 200


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"records": {}},
        {"records": [{}]},
        {"records": [{"attributes": {}}]},
        {"records": ["x"]},
        {"records": [record("Nope")]},
    ],
)
def test_malformed_collections_are_refused_whole(org: Caller, body: Any) -> None:
    assert org.request("POST", "composite/sobjects", body).status_code == 400


# composite


def sub(method: str, path: str, reference: str, body: Any = None) -> dict[str, Any]:
    made = {"method": method, "url": f"/services/data/v59.0/{path}", "referenceId": reference}
    return made if body is None else {**made, "body": body}


def composite(org: Caller, *parts: dict[str, Any], all_or_none: bool = False) -> list[dict[str, Any]]:
    answer = org.request("POST", "composite", {"allOrNone": all_or_none, "compositeRequest": list(parts)})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["compositeResponse"]
    return found


def test_later_requests_refer_to_earlier_answers(org: Caller) -> None:
    found = composite(
        org,
        sub("POST", "sobjects/Account", "acc", {"Name": "A&B"}),
        sub("GET", "sobjects/Account/@{acc.id}", "row"),
        sub("POST", "sobjects/Contact", "con", {"LastName": "Of @{row.Name}", "AccountId": "@{acc.id}"}),
        sub("GET", "query?q=SELECT+Id+FROM+Contact+WHERE+Id='@{con.id}'", "q"),
        sub("PATCH", "sobjects/Contact/@{q.records[0].Id}", "upd", {"Title": "T"}),
    )
    assert [part["httpStatusCode"] for part in found] == [201, 200, 201, 200, 204]
    assert set(found[0]) == {"body", "httpHeaders", "httpStatusCode", "referenceId"}
    assert found[0]["httpHeaders"]["Location"].endswith(found[0]["body"]["id"])
    assert (found[4]["body"], found[4]["referenceId"]) == (None, "upd")
    assert org.rows("SELECT LastName, Title FROM Contact") == [{"LastName": "Of A&B", "Title": "T"}]


def test_a_failure_without_all_or_none_leaves_the_others(org: Caller) -> None:
    found = composite(
        org,
        sub("POST", "sobjects/Account", "bad", {}),
        sub("POST", "sobjects/Account", "good", {"Name": "B"}),
        sub("POST", "sobjects/Contact", "orphan", {"LastName": "x", "AccountId": "@{bad.id}"}),
    )
    assert [part["httpStatusCode"] for part in found] == [400, 201, 400]
    assert found[0]["body"][0]["errorCode"] == "REQUIRED_FIELD_MISSING"
    assert found[2]["body"][0]["errorCode"] == "PROCESSING_HALTED"
    assert found[2]["body"][0]["message"].startswith("Invalid reference specified. No value for bad.id found in bad")
    assert (count(org, "Account"), count(org, "Contact")) == (1, 0)


def test_all_or_none_rolls_back_and_halts_the_others(org: Caller) -> None:
    found = composite(
        org,
        sub("POST", "sobjects/Account", "first", {"Name": "A"}),
        sub("POST", "sobjects/Contact", "second", {}),
        sub("POST", "sobjects/Account", "third", {"Name": "C"}),
        all_or_none=True,
    )
    assert [part["httpStatusCode"] for part in found] == [400, 400, 400]
    assert (found[0]["body"], found[2]["body"]) == ([HALTED], [HALTED])
    assert found[1]["body"][0]["errorCode"] == "REQUIRED_FIELD_MISSING"
    assert count(org, "Account") == 0


def test_composite_has_bounds(org: Caller) -> None:
    many = [sub("GET", "limits", f"r{n}") for n in range(26)]
    assert refusal(org.request("POST", "composite", {"compositeRequest": many}))[1] == "LIMIT_EXCEEDED"
    queries = [sub("GET", "query?q=SELECT+Id+FROM+Account", f"q{n}") for n in range(6)]
    assert refusal(org.request("POST", "composite", {"compositeRequest": queries}))[1] == "LIMIT_EXCEEDED"
    assert len(composite(org, *many[:20], *queries[:5])) == 25
    twice = [sub("GET", "limits", "same")] * 2
    assert org.request("POST", "composite", {"compositeRequest": twice}).status_code == 400


def test_collections_run_inside_composite(org: Caller) -> None:
    inner = {"allOrNone": True, "records": [record("Account", Name="A"), record("Account")]}
    found = composite(org, sub("POST", "composite/sobjects", "c", inner))
    assert found[0]["httpStatusCode"] == 200
    assert found[0]["body"][0]["errors"] == [ROLLED_BACK]


# graph


def test_each_graph_stands_or_falls_alone(org: Caller) -> None:
    def graph(name: str, last_name: str | None) -> dict[str, Any]:
        contact = {"AccountId": "@{a.id}", **({"LastName": last_name} if last_name else {})}
        return {
            "graphId": name,
            "compositeRequest": [
                sub("POST", "sobjects/Account", "a", {"Name": name}),
                sub("POST", "sobjects/Contact", "c", contact),
            ],
        }

    answer = org.request(
        "POST", "composite/graph", {"graphs": [graph("g1", "Ito"), graph("g2", None), graph("g3", "Sato")]}
    ).json()
    assert [(g["graphId"], g["isSuccessful"]) for g in answer["graphs"]] == [("g1", True), ("g2", False), ("g3", True)]
    assert answer["graphs"][1]["graphResponse"]["compositeResponse"][0]["body"] == [HALTED]
    assert org.column("SELECT Name FROM Account ORDER BY Name") == ["g1", "g3"]


def test_more_than_14_failed_graphs_halt_the_rest(org: Caller) -> None:
    bad = {"compositeRequest": [sub("POST", "sobjects/Account", "a", {})]}
    good = {"compositeRequest": [sub("POST", "sobjects/Account", "a", {"Name": "x"})]}
    graphs = [{"graphId": str(n), **bad} for n in range(15)] + [{"graphId": "last", **good}]
    answer = org.request("POST", "composite/graph", {"graphs": graphs}).json()
    assert answer["graphs"][-1]["graphResponse"]["compositeResponse"][0]["body"] == [HALTED]
    too_many = [{"graphId": str(n), **good} for n in range(76)]
    assert refusal(org.request("POST", "composite/graph", {"graphs": too_many}))[1] == "LIMIT_EXCEEDED"


# tree and batch


def test_trees_plant_parents_and_children_or_nothing(org: Caller) -> None:
    def tree(last_name: str | None) -> dict[str, Any]:
        contact = {
            "attributes": {"type": "Contact", "referenceId": "c"},
            **({"LastName": last_name} if last_name else {}),
        }
        return {
            "records": [
                {
                    "attributes": {"type": "Account", "referenceId": "a"},
                    "Name": "A",
                    "Contacts": {"records": [contact]},
                },
            ]
        }

    planted = org.request("POST", "composite/tree/Account", tree("Ito"))
    assert (planted.status_code, planted.json()["hasErrors"]) == (201, False)
    assert [r["referenceId"] for r in planted.json()["results"]] == ["a", "c"]
    assert org.rows("SELECT Account.Name FROM Contact")[0]["Account"]["Name"] == "A"
    failed = org.request("POST", "composite/tree/Account", tree(None))
    assert failed.status_code == 400
    assert failed.json()["results"][0]["errors"][0]["statusCode"] == "REQUIRED_FIELD_MISSING"
    assert count(org, "Account") == 1


def test_batches_run_apart_and_may_halt(org: Caller) -> None:
    parts = [
        {"method": "POST", "url": "v59.0/sobjects/Account", "richInput": {"Name": "A"}},
        {"method": "GET", "url": "v59.0/sobjects/Account/nonsense"},
        {"method": "GET", "url": "v59.0/limits"},
    ]
    loose = org.request("POST", "composite/batch", {"batchRequests": parts}).json()
    assert (loose["hasErrors"], [r["statusCode"] for r in loose["results"]]) == (True, [201, 404, 200])
    halted = org.request("POST", "composite/batch", {"batchRequests": parts, "haltOnError": True}).json()
    assert [r["statusCode"] for r in halted["results"]] == [201, 404, 412]
    assert halted["results"][2]["result"][0]["errorCode"] == "BATCH_PROCESSING_HALTED"
