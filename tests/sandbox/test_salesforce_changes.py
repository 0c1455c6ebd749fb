"""What a change feed meets: late commits, deletions, merges, undeletes, getUpdated and getDeleted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from .salesforce_caller import Caller, organisation, refusal


@pytest.fixture
def org() -> Iterator[Caller]:
    with organisation() as caller:
        yield caller


def condition(org: Caller, name: str, **args: Any) -> Any:
    return org.server.call(lambda: org.server.condition(name, **args))


def window(org: Caller, kind: str, which: str, start: str, end: str) -> Any:
    return org.get(f"sobjects/{kind}/{which}/", start=start, end=end)


# stamps and transactions


def test_stamps_have_whole_seconds_and_move_with_every_save(org: Caller) -> None:
    org.server.clock.fix("2026-11-18T12:00:00.900Z")
    key = org.make("Account", Name="A")
    assert org.row("Account", key)["SystemModstamp"] == "2026-11-18T12:00:00.000+0000"
    org.server.clock.move(seconds=1)
    org.change("Account", key, Name="A")
    assert org.row("Account", key)["SystemModstamp"] == "2026-11-18T12:00:01.000+0000"


def test_late_commits_appear_below_what_was_already_read(org: Caller) -> None:
    condition(org, "late_commit", seconds=90, object="Contact")
    org.make("Account", Name="A")
    key = org.make("Contact", LastName="Late")
    assert org.row("Contact", key)["SystemModstamp"] == "2026-11-18T11:58:30.000+0000"
    assert (
        org.row("Contact", org.make("Contact", LastName="On time"))["SystemModstamp"] == "2026-11-18T12:00:00.000+0000"
    )


def test_an_open_transaction_is_unseen_until_commit_and_keeps_its_stamps(org: Caller) -> None:
    key = org.make("Account", Name="A")
    held = condition(org, "hold_transaction", operations=[
        {"op": "insert", "object": "Account", "fields": {"Name": "B"}},
        {"op": "update", "object": "Account", "id": key, "fields": {"Site": "S"}},
    ])  # fmt: skip
    assert org.column("SELECT Name FROM Account") == ["A"]
    assert org.row("Account", key)["Site"] is None
    org.server.clock.move(seconds=100)
    locked = org.request("PATCH", f"sobjects/Account/{key}", {"Name": "A2"})
    assert refusal(locked)[1] == "UNABLE_TO_LOCK_ROW"
    ids = condition(org, "commit", transaction=held["transaction"])
    assert ids == held["ids"]
    rows = org.rows("SELECT Name, Site, SystemModstamp FROM Account ORDER BY Name")
    assert rows == [
        {"Name": "A", "Site": "S", "SystemModstamp": "2026-11-18T12:00:00.000+0000"},
        {"Name": "B", "Site": None, "SystemModstamp": "2026-11-18T12:00:00.000+0000"},
    ]
    org.change("Account", key, Name="A2")


def test_get_updated_never_covers_an_open_transaction(org: Caller) -> None:
    org.server.clock.fix("2026-11-18T12:30:00Z")
    held = condition(
        org, "hold_transaction", operations=[{"op": "insert", "object": "Account", "fields": {"Name": "B"}}]
    )
    org.server.clock.move(minutes=10)
    early = window(org, "Account", "updated", "2026-11-18T12:00:00Z", "2026-11-18T12:40:00Z").json()
    assert early == {"ids": [], "latestDateCovered": "2026-11-18T12:30:00.000+0000"}
    condition(org, "commit", transaction=held["transaction"])
    late = window(org, "Account", "updated", "2026-11-18T12:30:00Z", "2026-11-18T12:40:00Z").json()
    assert late == {"ids": held["ids"], "latestDateCovered": "2026-11-18T12:40:00.000+0000"}


def test_a_rolled_back_transaction_leaves_nothing(org: Caller) -> None:
    key = org.make("Account", Name="A")
    held = condition(org, "hold_transaction", operations=[{"op": "delete", "object": "Account", "id": key}])
    condition(org, "rollback", transaction=held["transaction"])
    assert org.row("Account", key)["Name"] == "A"
    assert org.server.store.deletions == []
    org.change("Account", key, Name="B")


# replication


def test_windows_cut_seconds_and_include_both_ends(org: Caller) -> None:
    key = org.make("Account", Name="A")
    for start, end in (("11:59:59", "12:00:59"), ("12:00:30", "12:01:00"), ("11:00:00", "13:00:00")):
        body = window(org, "Account", "updated", f"2026-11-18T{start}Z", f"2026-11-18T{end}+00:00").json()
        assert body["ids"] == [key]
    assert window(org, "Account", "updated", "2026-11-18T12:01:00Z", "2026-11-18T12:05:00Z").json()["ids"] == []


@pytest.mark.parametrize(
    ("which", "start", "end"),
    [
        ("updated", "2026-11-18T12:00:00Z", "2026-11-18T12:00:59Z"),
        ("updated", "2026-11-18T13:00:00Z", "2026-11-18T12:00:00Z"),
        ("updated", "2026-10-18T11:00:00Z", "2026-11-18T12:00:00Z"),
        ("deleted", "2026-11-03T11:00:00Z", "2026-11-18T12:00:00Z"),
        ("deleted", "nonsense", "2026-11-18T12:00:00Z"),
    ],
)
def test_windows_out_of_bounds_are_refused(org: Caller, which: str, start: str, end: str) -> None:
    assert refusal(window(org, "Account", which, start, end))[:2] == (400, "INVALID_REPLICATION_DATE")


def test_deleted_records_are_listed_with_their_dates(org: Caller) -> None:
    key = org.make("Account", Name="A")
    org.request("DELETE", f"sobjects/Account/{key}")
    body = window(org, "Account", "deleted", "2026-11-18T11:00:00Z", "2026-11-18T13:00:00Z").json()
    assert body["deletedRecords"] == [{"id": key, "deletedDate": "2026-11-18T12:00:00.000+0000"}]
    assert body["earliestDateAvailable"] == "2026-11-03T12:00:00.000+0000"
    assert body["latestDateCovered"] == "2026-11-18T12:00:00.000+0000"
    assert window(org, "Account", "updated", "2026-11-18T11:00:00Z", "2026-11-18T13:00:00Z").json()["ids"] == []


def test_a_purged_delete_log_refuses_older_windows(org: Caller) -> None:
    org.server.clock.move(hours=3)
    condition(org, "purge_delete_log")
    early = window(org, "Account", "deleted", "2026-11-18T12:00:00Z", "2026-11-18T15:00:00Z")
    assert refusal(early)[1] == "INVALID_REPLICATION_DATE"
    assert window(org, "Account", "deleted", "2026-11-18T15:00:00Z", "2026-11-18T15:05:00Z").status_code == 200


# deletion


def test_deletes_cascade_and_show_in_query_all_only(org: Caller) -> None:
    account = org.make("Account", Name="A")
    contact = org.make("Contact", LastName="Ito", AccountId=account)
    deal = org.make(
        "Opportunity", Name="D", StageName="Prospecting", CloseDate="2026-12-01", AccountId=account, ContactId=contact
    )
    org.server.clock.move(seconds=5)
    org.request("DELETE", f"sobjects/Account/{account}")
    for kind in ("Account", "Contact", "Opportunity", "OpportunityContactRole"):
        assert org.query(f"SELECT COUNT() FROM {kind}")["totalSize"] == 0
        rows = org.rows(f"SELECT IsDeleted, SystemModstamp FROM {kind} WHERE IsDeleted = true", resource="queryAll")
        assert rows == [{"IsDeleted": True, "SystemModstamp": "2026-11-18T12:00:05.000+0000"}]
    assert org.get(f"sobjects/Opportunity/{deal}").status_code == 404


def test_lookups_to_a_deleted_record_are_cleared_and_come_back(org: Caller) -> None:
    boss = org.make("Contact", LastName="Boss")
    key = org.make("Contact", LastName="Ito", ReportsToId=boss)
    org.request("DELETE", f"sobjects/Contact/{boss}")
    assert org.row("Contact", key)["ReportsToId"] is None
    soap(org, f"<undelete><ids>{boss}</ids></undelete>")
    assert org.row("Contact", key)["ReportsToId"] == boss


def test_accounts_with_cases_cannot_be_deleted(org: Caller) -> None:
    account = org.make("Account", Name="Acme")
    case = org.make("Case", AccountId=account, Subject="Help")
    number = org.row("Case", case)["CaseNumber"]
    status, code, message = refusal(org.request("DELETE", f"sobjects/Account/{account}"))
    assert (status, code) == (400, "DELETE_FAILED")
    assert message == (
        f"Your attempt to delete Acme could not be completed because it is associated with the following cases.: {number}\n"
    )


def test_hard_deletes_leave_no_row(org: Caller) -> None:
    account = org.make("Account", Name="A")
    org.make("Contact", LastName="Ito", AccountId=account)
    org.request("DELETE", f"sobjects/Account/{account}")
    assert condition(org, "recycle_bin_emptied") == 2
    assert org.query("SELECT COUNT() FROM Account", resource="queryAll")["totalSize"] == 0


def test_archived_activities_show_in_query_all_only(org: Caller) -> None:
    key = org.make("Task", Subject="Old")
    condition(org, "activities_archived", ids=[key])
    assert org.column("SELECT Id FROM Task") == []
    assert org.column("SELECT Id FROM Task WHERE IsArchived = true", resource="queryAll") == [key]


# SOAP: undelete and merge


def soap(org: Caller, call: str) -> str:
    body = (
        '<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/" xmlns="urn:partner.soap.sforce.com">'
        f"<e:Header><SessionHeader><sessionId>{org.token}</sessionId></SessionHeader></e:Header><e:Body>{call}</e:Body></e:Envelope>"
    )
    return org.http.post("/services/Soap/u/59.0", content=body, headers={"Content-Type": "text/xml"}).text


def test_undelete_brings_back_what_went_together(org: Caller) -> None:
    account = org.make("Account", Name="A")
    contact = org.make("Contact", LastName="Ito", AccountId=account)
    org.request("DELETE", f"sobjects/Account/{account}")
    org.server.clock.move(minutes=2)
    assert "<success>true</success>" in soap(org, f"<undelete><ids>{account}</ids></undelete>")
    assert org.row("Contact", contact)["AccountId"] == account
    assert org.row("Account", account)["SystemModstamp"] == "2026-11-18T12:02:00.000+0000"
    body = window(org, "Account", "deleted", "2026-11-18T11:00:00Z", "2026-11-18T13:00:00Z").json()
    assert body["deletedRecords"] == []
    assert "UNDELETE_FAILED" in soap(org, f"<undelete><ids>{account}</ids></undelete>")


def test_contact_roles_cannot_be_undeleted(org: Caller) -> None:
    deal = org.make("Opportunity", Name="D", StageName="Prospecting", CloseDate="2026-12-01")
    role = org.make("OpportunityContactRole", OpportunityId=deal, ContactId=org.make("Contact", LastName="Ito"))
    org.request("DELETE", f"sobjects/OpportunityContactRole/{role}")
    assert "UNDELETE_FAILED" in soap(org, f"<undelete><ids>{role}</ids></undelete>")


def test_merge_moves_children_and_points_losers_at_the_winner(org: Caller) -> None:
    winner, loser = org.make("Account", Name="A"), org.make("Account", Name="A Inc")
    contact = org.make("Contact", LastName="Ito", AccountId=loser)
    org.server.clock.move(seconds=30)
    answer = soap(
        org,
        f"<merge><request><masterRecord><type>Account</type><Id>{winner}</Id><Phone>1</Phone></masterRecord>"
        f"<recordToMergeIds>{loser}</recordToMergeIds></request></merge>",
    )
    assert f"<mergedRecordIds>{loser}</mergedRecordIds>" in answer
    assert f"<updatedRelatedIds>{contact}</updatedRelatedIds>" in answer
    assert org.rows("SELECT Name, Phone FROM Account") == [{"Name": "A", "Phone": "1"}]
    gone = org.rows("SELECT Id, MasterRecordId FROM Account WHERE IsDeleted = true", resource="queryAll")
    assert gone == [{"Id": loser, "MasterRecordId": winner}]
    moved = org.row("Contact", contact)
    assert (moved["AccountId"], moved["SystemModstamp"]) == (winner, "2026-11-18T12:00:30.000+0000")
    assert "UNDELETE_FAILED" in soap(org, f"<undelete><ids>{loser}</ids></undelete>")


def test_only_some_objects_merge_and_at_most_three_records(org: Caller) -> None:
    keys = [org.make("Opportunity", Name=n, StageName="Prospecting", CloseDate="2026-12-01") for n in ("A", "B")]
    call = "<merge><request><masterRecord><type>{}</type><Id>{}</Id></masterRecord>{}</request></merge>"
    assert "not mergeable" in soap(
        org, call.format("Opportunity", keys[0], f"<recordToMergeIds>{keys[1]}</recordToMergeIds>")
    )
    accounts = [org.make("Account", Name=n) for n in "ABCD"]
    losers = "".join(f"<recordToMergeIds>{key}</recordToMergeIds>" for key in accounts[1:])
    assert "<success>false</success>" in soap(org, call.format("Account", accounts[0], losers))


def test_soap_tells_time_and_user(org: Caller) -> None:
    assert "<timestamp>2026-11-18T12:00:00.000Z</timestamp>" in soap(org, "<getServerTimestamp/>")
    assert f"<userId>{org.server.admin_id}</userId>" in soap(org, "<getUserInfo/>")
    soap(org, "<logout/>")
    assert org.get("limits").status_code == 401


# search


def test_search_finds_words_in_chosen_objects(org: Caller) -> None:
    org.make("Account", Name="Acme Rockets", Phone="+1 (555) 12-34")
    org.make("Account", Name="Acme Tools", Description="no rockets here")
    contact = org.make("Contact", FirstName="Ann", LastName="Rocket-Smith", Email="ann@acme.example")

    def found(q: str) -> list[dict[str, Any]]:
        answer = org.get("search", q=q)
        assert answer.status_code == 200, answer.text
        records: list[dict[str, Any]] = answer.json()["searchRecords"]
        return records

    everywhere = found("FIND {rocket*}")
    assert [r["attributes"]["type"] for r in everywhere] == ["Account", "Account", "Contact"]
    assert found("FIND {acme AND rockets} IN NAME FIELDS RETURNING Account(Name)")[0]["Name"] == "Acme Rockets"
    assert len(found('FIND {"acme rockets" OR ann} RETURNING Account(Id, Name), Contact(Id)')) == 2
    assert found("FIND {ann@acme.example} IN EMAIL FIELDS RETURNING Contact(Id)")[0]["Id"] == contact
    assert (
        len(
            found(
                "FIND {acme} RETURNING Account(Name WHERE Name LIKE '%(x)%' OR Name LIKE '%Tools' ORDER BY Name LIMIT 5)"
            )
        )
        == 1
    )
    assert len(found("FIND {acme AND NOT tools} RETURNING Account")) == 1
    assert len(found("FIND {acme} LIMIT 1")) == 1
    simple = org.get("parameterizedSearch", q="acme", sobject="Account", fields="Name").json()["searchRecords"]
    assert {row["Name"] for row in simple} == {"Acme Rockets", "Acme Tools"}


def test_a_search_counts_what_it_found_against_the_limit_of_an_object(org: Caller) -> None:
    for name in ("Zenith", "Acme Tools", "Acme Rockets"):
        org.make("Account", Name=name)

    def found(text: str) -> list[str]:
        return [row["Name"] for row in org.get("search", q=text).json()["searchRecords"]]

    assert found("FIND {acme} RETURNING Account(Name ORDER BY Name DESC LIMIT 1)") == ["Acme Tools"]
    assert found("FIND {acme} RETURNING Account(Name ORDER BY Name LIMIT 5 OFFSET 1)") == ["Acme Tools"]


def test_a_parameterised_search_has_fields_and_bounds_per_object(org: Caller) -> None:
    """REST API guide, "Parameterized Search": the same parameters in a query string and in JSON."""
    for name in ("Zenith", "Acme Tools", "Acme Rockets"):
        org.make("Account", Name=name, Site="acme")
    org.make("Contact", LastName="Acme")
    asked = {
        "q": "acme",
        "sobject": "Account,Contact",
        "Account.fields": "Name,Site",
        "Account.limit": "1",
        "in": "NAME",
    }
    short = org.get("parameterizedSearch", **asked).json()["searchRecords"]
    assert [(row["attributes"]["type"], set(row)) for row in short] == [
        ("Account", {"attributes", "Name", "Site"}),
        ("Contact", {"attributes", "Id"}),
    ]
    body = {
        "q": "acme",
        "in": "NAME",
        "sobjects": [{"name": "Account", "fields": ["Name"], "orderBy": "Name DESC", "limit": 2}],
    }
    ordered = org.request("POST", "parameterizedSearch", body).json()["searchRecords"]
    assert [row["Name"] for row in ordered] == ["Acme Tools", "Acme Rockets"]
    assert refusal(org.get("parameterizedSearch", q="acme", **{"in": "HEADLINES"}))[:2] == (400, "MALFORMED_SEARCH")


def test_head_answers_as_get_without_a_body(org: Caller) -> None:
    key = org.make("Account", Name="Acme")
    for path in (f"sobjects/Account/{key}", "limits", "sobjects/Account/describe"):
        head, get = org.request("HEAD", path), org.get(path)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["Content-Type"] == get.headers["Content-Type"]
    assert org.request("HEAD", "sobjects/Account/001000000000000AAA").status_code == 404


def test_post_to_the_id_field_creates(org: Caller) -> None:
    made = org.request("POST", "sobjects/Account/Id", {"Name": "Acme"})
    assert made.status_code == 201
    assert org.row("Account", made.json()["id"])["Name"] == "Acme"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("FIND {John|jane} RETURNING Contact", "mismatched character '|' expecting '}'"),
        ("FIND acme", "unexpected token: 'acme'"),
        ("FIND {acme", "expecting '}'"),
        ("FIND {acme} RETURNING Account(Name", "unexpected token: '<EOF>'"),
        ("LOOK {acme}", "unexpected token: 'LOOK'"),
        ("FIND {a}", "longer than one character"),
        ("FIND {acme AND}", "unexpected token"),
    ],
)
def test_bad_searches_are_malformed(org: Caller, text: str, message: str) -> None:
    status, code, said = refusal(org.get("search", q=text))
    assert (status, code) == (400, "MALFORMED_SEARCH")
    assert message in said


# snapshots


def test_snapshots_bring_back_rows_rules_schema_and_sessions(org: Caller) -> None:
    server = org.server
    key = org.make("Account", Name="A", Ext__c="x")
    server.save_snapshot()
    condition(org, "field_removed", object="Account", field="Ext__c")
    condition(org, "validation_rule", object="Account", formula="Name = 'B'", message="no")
    org.request("DELETE", f"sobjects/Account/{key}")
    org.make("Account", Name="C")
    condition(org, "session_expired")
    server.restore_snapshot()
    assert org.rows("SELECT Name, Ext__c FROM Account") == [{"Name": "A", "Ext__c": "x"}]
    assert org.get("sobjects/Account/Ext__c/x").json()["Id"] == key
    org.make("Account", Name="B")


def test_an_answer_in_xml_alone_is_refused_rather_than_given_in_json(org: Caller) -> None:
    assert refusal(org.get("limits", headers={"Accept": "application/xml"}))[:2] == (501, "NOT_IMPLEMENTED")
    assert org.get("limits", headers={"Accept": "application/xml, */*;q=0.5"}).status_code == 200
