"""Queries give the rows, the order, the shapes and the pages of the real query resource."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from .salesforce_caller import Caller, organisation, refusal


@pytest.fixture(scope="module")
def org() -> Iterator[Caller]:
    with organisation() as caller:
        server = caller.server
        make = server.insert
        rita = server.add_user("rita@x.example", first="Rita", last="Rep")
        acme = make("Account", Name="Acme", Industry="Retail", NumberOfEmployees=50, AnnualRevenue=1000)
        bolt = make("Account", Name="bolt", Industry="Media", ParentId=acme, as_user=rita)
        make("Account", Name="Cöre", Rating="Hot")
        make("Account", Name="100%_sure\\")
        ann = make("Contact", LastName="Ann", FirstName="A", AccountId=acme, Languages__c="French;English")
        make("Contact", LastName="Bob", AccountId=acme, Email="bob@acme.example", Languages__c="German")
        make("Contact", LastName="Cy", AccountId=bolt)
        make("Contact", LastName="Dee")
        for number, (stage, day, amount) in enumerate(
            [
                ("Prospecting", "2026-11-18", 100),
                ("Closed Won", "2026-10-01", 250.5),
                ("Closed Won", "2025-12-31", 50),
                ("Closed Lost", "2027-01-15", None),
            ]
        ):
            make(
                "Opportunity",
                Name=f"Deal {number}",
                StageName=stage,
                CloseDate=day,
                Amount=amount,
                AccountId=acme if number < 3 else bolt,
            )
        make(
            "Event",
            Subject="On a deal",
            WhatId=acme,
            WhoId=ann,
            StartDateTime="2026-11-20T10:00:00Z",
            DurationInMinutes=30,
        )
        lead = make("Lead", LastName="Lee", Company="Leeway")
        make("Event", Subject="With a lead", WhoId=lead, StartDateTime="2026-11-21T10:00:00Z", DurationInMinutes=30)
        yield caller


@pytest.mark.parametrize(
    ("where", "names"),
    [
        ("Name = 'ACME'", ["Acme"]),
        ("Name != 'Acme'", ["100%_sure\\", "bolt", "Cöre"]),
        ("Industry != 'Retail'", ["100%_sure\\", "bolt", "Cöre"]),
        ("Industry = null", ["100%_sure\\", "Cöre"]),
        ("Industry = ''", ["100%_sure\\", "Cöre"]),
        ("Industry IN ('retail', 'Media')", ["Acme", "bolt"]),
        ("Industry NOT IN ('Retail')", ["100%_sure\\", "bolt", "Cöre"]),
        ("Name LIKE 'a%'", ["Acme"]),
        ("Name LIKE '%O__'", ["bolt"]),
        (r"Name LIKE '100\\%\\_sure\\\\'", ["100%_sure\\"]),
        (r"Name LIKE '%\\%%'", ["100%_sure\\"]),
        ("NOT Name LIKE 'a%'", ["100%_sure\\", "bolt", "Cöre"]),
        ("Name > 'b'", ["bolt", "Cöre"]),
        ("NumberOfEmployees >= 50", ["Acme"]),
        ("NumberOfEmployees < 50", []),
        ("AnnualRevenue > USD999", ["Acme"]),
        ("ParentId = null AND Name LIKE 'c%'", ["Cöre"]),
        ("Parent.Name = 'Acme'", ["bolt"]),
        ("Parent.Name = null", ["100%_sure\\", "Acme", "Cöre"]),
        ("Owner.FirstName = 'Rita' OR Rating = 'Hot'", ["bolt", "Cöre"]),
        ("(Name = 'Acme' OR Name = 'bolt') AND (NOT Industry = 'Media')", ["Acme"]),
        ("Id IN (SELECT AccountId FROM Contact WHERE LastName LIKE '%y')", ["bolt"]),
        ("Id NOT IN (SELECT AccountId FROM Opportunity WHERE IsWon = true)", ["100%_sure\\", "bolt", "Cöre"]),
        ("CreatedDate = TODAY", ["100%_sure\\", "Acme", "bolt", "Cöre"]),
        ("CreatedDate < LAST_N_DAYS:1", []),
        ("SystemModstamp >= 2026-11-18T13:00:00+01:00", ["100%_sure\\", "Acme", "bolt", "Cöre"]),
        ("SystemModstamp > 2026-11-18T12:00:00.000Z", []),
    ],
)
def test_conditions_choose_rows(org: Caller, where: str, names: list[str]) -> None:
    where = where.replace("\\\\", "\\")
    assert org.column(f"SELECT Name FROM Account WHERE {where} ORDER BY Name") == names


@pytest.mark.parametrize(
    ("where", "names"),
    [
        ("CloseDate = THIS_QUARTER", ["Deal 0", "Deal 1"]),
        ("CloseDate = THIS_FISCAL_YEAR", ["Deal 0", "Deal 1"]),
        ("CloseDate = LAST_YEAR", ["Deal 2"]),
        ("CloseDate = NEXT_N_DAYS:60", ["Deal 3"]),
        ("CloseDate > THIS_QUARTER", ["Deal 3"]),
        ("CloseDate <= 2025-12-31", ["Deal 2"]),
        ("CloseDate = TODAY", ["Deal 0"]),
        ("CALENDAR_YEAR(CloseDate) = 2026", ["Deal 0", "Deal 1"]),
        ("Amount = null", ["Deal 3"]),
        ("Amount > 50.0", ["Deal 0", "Deal 1"]),
        ("IsClosed = false", ["Deal 0"]),
        ("Account.Owner.Name = 'Rita Rep'", ["Deal 3"]),
    ],
)
def test_dates_numbers_and_paths_choose_deals(org: Caller, where: str, names: list[str]) -> None:
    assert org.column(f"SELECT Name FROM Opportunity WHERE {where} ORDER BY Name") == names


def test_multipicklists_are_sets(org: Caller) -> None:
    ask = "SELECT LastName FROM Contact WHERE Languages__c {} ORDER BY LastName"
    assert org.column(ask.format("INCLUDES ('French')")) == ["Ann"]
    assert org.column(ask.format("INCLUDES ('French;English', 'German')")) == ["Ann", "Bob"]
    assert org.column(ask.format("EXCLUDES ('French')")) == ["Bob", "Cy", "Dee"]
    assert org.column(ask.format("= 'English;French'")) == ["Ann"]


@pytest.mark.parametrize(
    ("order", "names"),
    [
        ("Amount", ["Deal 3", "Deal 2", "Deal 0", "Deal 1"]),
        ("Amount DESC", ["Deal 3", "Deal 1", "Deal 0", "Deal 2"]),
        ("Amount NULLS LAST", ["Deal 2", "Deal 0", "Deal 1", "Deal 3"]),
        ("Amount DESC NULLS LAST", ["Deal 1", "Deal 0", "Deal 2", "Deal 3"]),
        ("StageName, CloseDate DESC", ["Deal 0", "Deal 1", "Deal 2", "Deal 3"]),
        ("Account.Name, Amount", ["Deal 2", "Deal 0", "Deal 1", "Deal 3"]),
        ("Id DESC", ["Deal 3", "Deal 2", "Deal 1", "Deal 0"]),
    ],
)
def test_order_puts_blanks_first_and_picklists_in_their_own_order(org: Caller, order: str, names: list[str]) -> None:
    assert org.column(f"SELECT Name FROM Opportunity ORDER BY {order}") == names


def test_limit_and_offset_cut_and_count(org: Caller) -> None:
    assert org.column("SELECT Name FROM Opportunity ORDER BY Name LIMIT 2 OFFSET 1") == ["Deal 1", "Deal 2"]
    assert org.query("SELECT Name FROM Opportunity LIMIT 3")["totalSize"] == 3
    assert org.query("SELECT Name FROM Opportunity LIMIT 0") == {"totalSize": 0, "done": True, "records": []}


def test_rows_carry_attributes_in_canonical_case(org: Caller) -> None:
    row = org.query("select id, name from account where name = 'acme'")["records"][0]
    assert list(row) == ["attributes", "Id", "Name"]
    assert row["attributes"] == {"type": "Account", "url": f"/services/data/v59.0/sobjects/Account/{row['Id']}"}


def test_parents_nest_and_an_absent_parent_is_null(org: Caller) -> None:
    cy, dee = org.rows(
        "SELECT LastName, Account.Name, Account.Parent.Name FROM Contact WHERE LastName IN ('Cy', 'Dee') ORDER BY LastName"
    )
    assert cy["Account"]["attributes"]["type"] == "Account"
    assert (cy["Account"]["Name"], cy["Account"]["Parent"]["Name"]) == ("bolt", "Acme")
    assert dee["Account"] is None


def test_child_lists_nest_and_an_empty_one_is_null(org: Caller) -> None:
    rows = {
        r["Name"]: r
        for r in org.rows(
            "SELECT Name, (SELECT LastName, Account.Name FROM Contacts ORDER BY LastName DESC) FROM Account"
        )
    }
    inner = rows["Acme"]["Contacts"]
    assert (inner["totalSize"], inner["done"]) == (2, True)
    assert [r["LastName"] for r in inner["records"]] == ["Bob", "Ann"]
    assert rows["Cöre"]["Contacts"] is None


def test_aliases_stand_for_objects(org: Caller) -> None:
    assert org.column("SELECT c.LastName FROM Contact c WHERE c.Account.Name = 'bolt'") == ["Cy"]
    assert org.column("SELECT c.LastName FROM Contact c, c.Account a WHERE a.Name = 'bolt'") == ["Cy"]
    assert org.column("SELECT Contact.LastName FROM Contact WHERE Contact.Account.Name = 'bolt'") == ["Cy"]


def test_polymorphic_parents_show_the_name_object(org: Caller) -> None:
    rows = org.rows("SELECT Subject, Who.Name, Who.Type, What.Name FROM Event ORDER BY StartDateTime")
    assert (rows[0]["Who"]["attributes"]["type"], rows[0]["Who"]["Name"], rows[0]["Who"]["Type"]) == (
        "Name",
        "A Ann",
        "Contact",
    )
    assert "/Contact/003" in rows[0]["Who"]["attributes"]["url"]
    assert (rows[1]["Who"]["Type"], rows[1]["What"]) == ("Lead", None)
    assert org.column("SELECT Subject FROM Event WHERE Who.Type = 'Lead'") == ["With a lead"]


def test_typeof_shows_each_object_its_own_way(org: Caller) -> None:
    rows = org.rows(
        "SELECT TYPEOF Who WHEN Contact THEN LastName, Email WHEN Lead THEN Company ELSE Name END FROM Event ORDER BY StartDateTime"
    )
    assert (rows[0]["Who"]["attributes"]["type"], rows[0]["Who"]["LastName"]) == ("Contact", "Ann")
    assert (rows[1]["Who"]["attributes"]["type"], rows[1]["Who"]["Company"]) == ("Lead", "Leeway")


def test_counts_have_a_size_and_no_rows(org: Caller) -> None:
    assert org.query("SELECT COUNT() FROM Contact WHERE AccountId != null") == {
        "totalSize": 3,
        "done": True,
        "records": [],
    }


def test_aggregates_are_named_by_alias_or_position(org: Caller) -> None:
    row = org.query(
        "SELECT COUNT(Id), SUM(Amount) total, AVG(Amount), MIN(CloseDate), MAX(Amount), COUNT_DISTINCT(StageName) FROM Opportunity"
    )["records"]
    assert row == [
        {
            "attributes": {"type": "AggregateResult"},
            "expr0": 4,
            "total": 400.5,
            "expr1": 133.5,
            "expr2": "2025-12-31",
            "expr3": 250.5,
            "expr4": 3,
        }
    ]


def test_groups_filter_and_sort(org: Caller) -> None:
    rows = org.rows("SELECT StageName, COUNT(Id) n FROM Opportunity GROUP BY StageName HAVING COUNT(Id) > 1")
    assert rows == [{"StageName": "Closed Won", "n": 2}]
    ordered = org.rows(
        "SELECT Account.Name, COUNT(Id) FROM Opportunity GROUP BY Account.Name ORDER BY COUNT(Id) DESC LIMIT 1"
    )
    assert ordered == [{"Name": "Acme", "expr0": 3}]
    by_year = org.rows(
        "SELECT CALENDAR_YEAR(CloseDate) y, SUM(Amount) s FROM Opportunity GROUP BY CALENDAR_YEAR(CloseDate) ORDER BY CALENDAR_YEAR(CloseDate)"
    )
    assert by_year == [{"y": 2025, "s": 50.0}, {"y": 2026, "s": 350.5}, {"y": 2027, "s": None}]


def test_rollup_adds_subtotals_and_cube_all_of_them(org: Caller) -> None:
    rolled = org.rows(
        "SELECT StageName, GROUPING(StageName) g, COUNT(Id) n FROM Opportunity GROUP BY ROLLUP(StageName)"
    )
    assert {"StageName": None, "g": 1, "n": 4} in rolled
    assert len(rolled) == 4
    cubed = org.rows("SELECT StageName, IsWon, COUNT(Id) n FROM Opportunity GROUP BY CUBE(StageName, IsWon)")
    assert {"StageName": None, "IsWon": True, "n": 2} in cubed


def test_the_fields_of_a_child_may_stand_behind_its_own_name(org: Caller) -> None:
    """The example of the reference."""
    found = org.query("SELECT Account.Name, (SELECT Contact.LastName FROM Account.Contacts) FROM Account")["records"]
    plain = org.query("SELECT Name, (SELECT LastName FROM Contacts) FROM Account")["records"]
    assert found == plain


def test_fields_stands_for_all_standard_or_custom_fields(org: Caller) -> None:
    row = org.rows("SELECT FIELDS(ALL) FROM Contact WHERE LastName = 'Ann' LIMIT 1")[0]
    assert {"Id", "Name", "MailingAddress", "Sidefeed_Key__c"} <= set(row)
    for named in (f"Id IN ('{row['Id']}')", f"LastName = 'Ann' AND (Id = '{row['Id']}' OR Id = '{row['Id']}')"):
        assert org.rows(f"SELECT FIELDS(ALL) FROM Contact WHERE {named}") == [row]
    custom = org.rows("SELECT FIELDS(CUSTOM) FROM Contact WHERE LastName = 'Ann' LIMIT 1")[0]
    assert set(custom) == {"Sidefeed_Key__c", "Legacy__c", "Languages__c"}


def test_format_shows_values_for_people(org: Caller) -> None:
    row = org.rows(
        "SELECT FORMAT(Amount) a, FORMAT(CloseDate) d, FORMAT(CreatedDate) c, FORMAT(Probability) p FROM Opportunity WHERE Name = 'Deal 1'"
    )
    assert row == [{"a": "$250.50", "d": "10/1/2026", "c": "11/18/2026, 4:00 AM", "p": "100%"}]


def test_distances_filter_sort_and_show(org: Caller) -> None:
    place = {"BillingLatitude": 48.8566, "BillingLongitude": 2.3522}
    paris = org.make("Account", Name="Paris", **place)
    to_london = "DISTANCE(BillingAddress, GEOLOCATION(51.5074, -0.1278), 'km')"
    assert org.column(f"SELECT Id FROM Account WHERE {to_london} < 400") == [paris]
    assert org.column(f"SELECT Id FROM Account WHERE {to_london} < 300") == []
    shown = org.rows(f"SELECT {to_london} away FROM Account ORDER BY {to_london} NULLS LAST LIMIT 1")
    assert round(shown[0]["away"]) == 344
    org.request("DELETE", f"sobjects/Account/{paris}")


def test_labels_replace_codes(org: Caller) -> None:
    assert org.rows("SELECT toLabel(ForecastCategory) FROM Opportunity LIMIT 1") == [{"ForecastCategory": "Pipeline"}]


@pytest.fixture(scope="module")
def crowd() -> Iterator[Caller]:
    with organisation() as caller:
        account = caller.server.insert("Account", Name="Crowded")
        for number in range(4500):
            caller.server.insert("Contact", LastName=f"C{number:05d}", AccountId=account)
        yield caller


def pages(org: Caller, soql: str, resource: str = "query", **headers: str) -> list[dict[str, Any]]:
    found = [org.query(soql, resource=resource, **headers)]
    while not found[-1]["done"]:
        found.append(org.get(found[-1]["nextRecordsUrl"]).json())
    return found


@pytest.mark.parametrize("resource", ["query", "query/", "queryAll", "queryAll/"])
def test_pages_hold_2000_rows_and_lead_on(crowd: Caller, resource: str) -> None:
    found = pages(crowd, "SELECT LastName FROM Contact ORDER BY LastName", resource)
    assert [len(page["records"]) for page in found] == [2000, 2000, 500]
    assert [page["totalSize"] for page in found] == [4500] * 3
    assert "nextRecordsUrl" not in found[-1]
    url = found[0]["nextRecordsUrl"]
    assert url.startswith("/services/data/v59.0/query/01g") and url.endswith("-2000")
    assert [r["LastName"] for page in found for r in page["records"]] == [f"C{n:05d}" for n in range(4500)]


def test_a_locator_is_stable_and_readable_again_while_records_change(crowd: Caller) -> None:
    first = crowd.query("SELECT LastName FROM Contact ORDER BY LastName")
    before = crowd.get(first["nextRecordsUrl"]).json()["records"]
    key = crowd.column("SELECT Id FROM Contact ORDER BY LastName LIMIT 1")[0]
    crowd.change("Contact", key, LastName="Zz")
    assert crowd.get(first["nextRecordsUrl"]).json()["records"] == before
    crowd.change("Contact", key, LastName="C00000")


@pytest.mark.parametrize(
    ("asked", "given"), [("batchSize=500", 500), ("batchSize=20", 200), ("batchSize=9999", 2000), ("nonsense", 2000)]
)
def test_clients_choose_page_sizes_within_bounds(crowd: Caller, asked: str, given: int) -> None:
    answer = crowd.get("query", {"Sforce-Query-Options": asked}, q="SELECT Id FROM Contact")
    assert len(answer.json()["records"]) == given


def test_pages_can_be_smaller_than_asked(crowd: Caller) -> None:
    crowd.server.call(crowd.server.condition, "page_size", rows=1700)
    assert [len(page["records"]) for page in pages(crowd, "SELECT Id FROM Contact")] == [1700, 1700, 1100]
    crowd.server.call(crowd.server.condition, "page_size")


def test_child_lists_page_on_their_own(crowd: Caller) -> None:
    row = crowd.query("SELECT Name, (SELECT LastName FROM Contacts ORDER BY LastName) FROM Account")["records"][0]
    inner = row["Contacts"]
    assert (inner["totalSize"], inner["done"], len(inner["records"])) == (4500, False, 2000)
    following = crowd.get(inner["nextRecordsUrl"]).json()
    assert following["records"][0]["LastName"] == "C02000"


@pytest.mark.parametrize(
    "path", ["query/01g5g000000AAAAAA-2000", "query/nonsense", "query/01g5g000000AAAAAA--5", "query/-2000"]
)
def test_unknown_locators_are_refused(crowd: Caller, path: str) -> None:
    assert refusal(crowd.get(path)) == (400, "INVALID_QUERY_LOCATOR", "invalid query locator")


def test_locators_expire_on_command_and_after_two_days(crowd: Caller) -> None:
    first = crowd.query("SELECT Id FROM Contact")
    crowd.server.call(crowd.server.condition, "locators_expire")
    assert refusal(crowd.get(first["nextRecordsUrl"]))[1] == "INVALID_QUERY_LOCATOR"
    first = crowd.query("SELECT Id FROM Contact")
    crowd.server.call(crowd.server.clock.move, days=3)
    assert refusal(crowd.get(first["nextRecordsUrl"]))[1] == "INVALID_QUERY_LOCATOR"


def test_too_many_groups_do_not_fit_one_answer(crowd: Caller) -> None:
    status, code, message = crowd.refusal("SELECT LastName, COUNT(Id) FROM Contact GROUP BY LastName")
    assert (status, code) == (400, "EXCEEDED_ID_LIMIT")
    assert "queryMore()" in message


def test_queries_time_out_on_command(crowd: Caller) -> None:
    crowd.server.call(crowd.server.condition, "query_timeout")
    assert crowd.refusal("SELECT Id FROM Contact LIMIT 1")[1] == "QUERY_TIMEOUT"
    assert crowd.query("SELECT Id FROM Contact LIMIT 1")["totalSize"] == 1


@pytest.mark.parametrize(
    ("soql", "most"),
    [
        ("SELECT Id FROM Contact WHERE Id = '{id}'", 1),
        ("SELECT Id FROM Contact WHERE Sidefeed_Key__c IN ('a', 'b')", 0),
        ("SELECT Id FROM Contact WHERE Email = 'nobody@x.example' AND LastName LIKE 'C%'", 0),
        ("SELECT Id FROM Contact WHERE SystemModstamp >= 2026-11-18T11:59:00Z ORDER BY SystemModstamp, Id LIMIT 100", 100),
        ("SELECT Id FROM Contact WHERE SystemModstamp > 2026-12-18T12:00:00Z", 0),
        ("SELECT Id FROM Contact WHERE Id > '{id}' ORDER BY Id LIMIT 50", 51),
        ("SELECT Id FROM Contact WHERE (SystemModstamp = 2026-11-18T12:00:00Z AND Id > '{id}') OR SystemModstamp > 2026-12-18T12:00:00Z"
         " ORDER BY SystemModstamp, Id LIMIT 10", 1011),
        ("SELECT Id FROM Contact ORDER BY Id LIMIT 7", 7),
    ],
)  # fmt: skip
def test_indexes_spare_most_rows(crowd: Caller, soql: str, most: int) -> None:
    key = crowd.column("SELECT Id FROM Contact ORDER BY Id LIMIT 1 OFFSET 1000")[0]
    before = crowd.server.store.visited
    crowd.query(soql.format(id=key))
    assert crowd.server.store.visited - before <= most


@pytest.mark.parametrize(
    ("soql", "what"),
    [
        ("SELECT Id FROM Attachment", "the object Attachment"),
        ("SELECT QualifiedApiName FROM EntityDefinition", "the object EntityDefinition"),
        ("SELECT Id, (SELECT Id FROM Attachments) FROM Account", "the child relationship Attachments"),
    ],
)
def test_objects_that_only_salesforce_has_are_said_to_be_missing(org: Caller, soql: str, what: str) -> None:
    assert org.refusal(soql) == (501, "NOT_IMPLEMENTED", f"The practice server does not implement {what}")


def test_rows_of_objects_that_only_salesforce_has_are_refused_too(org: Caller) -> None:
    assert org.get("sobjects/ContentVersion/describe").status_code == 501
    rows = {"records": [{"attributes": {"type": "Attachment"}, "Name": "A"}]}
    assert org.request("POST", "composite/sobjects", rows).status_code == 501
    assert org.get("sobjects/Nonsense/describe").status_code == 404
