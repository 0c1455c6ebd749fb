"""The sales process, activities and people as Salesforce computes them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from .salesforce_caller import Caller, organisation, refusal


@pytest.fixture
def org() -> Iterator[Caller]:
    with organisation() as caller:
        yield caller


def deal(org: Caller, **fields: Any) -> str:
    return org.make("Opportunity", **{"Name": "D", "StageName": "Prospecting", "CloseDate": "2026-12-01", **fields})


# opportunities


@pytest.mark.parametrize(
    ("stage", "probability", "code", "name", "closed", "won"),
    [
        ("Prospecting", 10.0, "Pipeline", "Pipeline", False, False),
        ("Negotiation/Review", 90.0, "Pipeline", "Pipeline", False, False),
        ("Closed Won", 100.0, "Closed", "Closed", True, True),
        ("Closed Lost", 0.0, "Omitted", "Omitted", True, False),
        ("Anything Else", None, "Pipeline", "Pipeline", False, False),
    ],
)
def test_the_stage_sets_probability_category_and_outcome(
    org: Caller, stage: str, probability: float | None, code: str, name: str, closed: bool, won: bool
) -> None:
    row = org.row("Opportunity", deal(org, StageName=stage, Amount=1000))
    assert (row["StageName"], row["Probability"]) == (stage, probability)
    assert (row["ForecastCategory"], row["ForecastCategoryName"]) == (code, name)
    assert (row["IsClosed"], row["IsWon"]) == (closed, won)
    assert row["ExpectedRevenue"] == (None if probability is None else 10 * probability)


def test_a_given_probability_or_category_wins_over_the_stage(org: Caller) -> None:
    row = org.row("Opportunity", deal(org, Probability=33, ForecastCategoryName="Commit"))
    assert (row["Probability"], row["ForecastCategory"], row["ForecastCategoryName"]) == (33.0, "Forecast", "Commit")


def test_a_stage_change_brings_its_defaults_and_is_dated(org: Caller) -> None:
    key = deal(org, Probability=33)
    assert org.row("Opportunity", key)["LastStageChangeDate"] is None
    org.server.clock.move(minutes=1)
    org.change("Opportunity", key, StageName="Closed Won")
    row = org.row("Opportunity", key)
    assert (row["Probability"], row["IsWon"]) == (100.0, True)
    assert row["LastStageChangeDate"] == "2026-11-18T12:01:00.000+0000"
    org.change("Opportunity", key, Amount=5)
    assert org.row("Opportunity", key)["Probability"] == 100.0


def test_the_fiscal_period_follows_the_close_date(org: Caller) -> None:
    key = deal(org, CloseDate="2026-11-30")
    row = org.row("Opportunity", key)
    assert (row["Fiscal"], row["FiscalYear"], row["FiscalQuarter"]) == ("2026 4", 2026, 4)
    org.server.call(org.server.records.touch, "Organization", org.server.organisation_id, FiscalYearStartMonth=2)
    org.change("Opportunity", key, NextStep="x")
    assert org.row("Opportunity", key)["Fiscal"] == "2027 4"


def test_every_relevant_change_writes_history_with_previous_values(org: Caller) -> None:
    key = deal(org, Amount=100)
    org.change("Opportunity", key, Amount=200, CloseDate="2027-01-31")
    org.change("Opportunity", key, NextStep="irrelevant")
    history = org.rows(
        f"SELECT Amount, PrevAmount, CloseDate, PrevCloseDate, StageName FROM OpportunityHistory WHERE OpportunityId = '{key}' ORDER BY Id"
    )
    assert [(h["Amount"], h["PrevAmount"], h["CloseDate"], h["PrevCloseDate"]) for h in history] == [
        (100.0, None, "2026-12-01", None),
        (200.0, 100.0, "2027-01-31", "2026-12-01"),
    ]
    assert org.row("Opportunity", key)["LastAmountChangedHistoryId"] is not None
    refused = org.request("POST", "sobjects/OpportunityHistory", {"OpportunityId": key})
    assert refusal(refused)[1] == "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY"


def test_a_contact_given_at_creation_becomes_the_primary_role(org: Caller) -> None:
    ann, bob = org.make("Contact", LastName="Ann"), org.make("Contact", LastName="Bob")
    key = deal(org, ContactId=ann)
    roles = org.rows("SELECT Id, ContactId, IsPrimary FROM OpportunityContactRole")
    assert [(r["ContactId"], r["IsPrimary"]) for r in roles] == [(ann, True)]
    org.make("OpportunityContactRole", OpportunityId=key, ContactId=bob, IsPrimary=True, Role="Decision Maker")
    assert org.row("Opportunity", key)["ContactId"] == bob
    assert org.rows("SELECT ContactId FROM OpportunityContactRole WHERE IsPrimary = true") == [{"ContactId": bob}]
    refused = org.request("PATCH", f"sobjects/Opportunity/{key}", {"ContactId": ann})
    assert refusal(refused)[1] == "INVALID_FIELD_FOR_INSERT_UPDATE"


def test_line_items_compute_the_amount_and_lock_it(org: Caller) -> None:
    key = deal(org, Amount=1)
    book = org.column("SELECT Id FROM Pricebook2 WHERE IsStandard = true")[0]
    product = org.make("Product2", Name="Widget", IsActive=True)
    entry = org.make("PricebookEntry", Pricebook2Id=book, Product2Id=product, UnitPrice=25, IsActive=True)
    line = org.make("OpportunityLineItem", OpportunityId=key, PricebookEntryId=entry, Quantity=4)
    row = org.row("Opportunity", key)
    assert (row["Amount"], row["HasOpportunityLineItem"], row["ExpectedRevenue"]) == (100.0, True, 10.0)
    org.change("Opportunity", key, Amount=999, NextStep="kept")
    row = org.row("Opportunity", key)
    assert (row["Amount"], row["NextStep"]) == (100.0, "kept")
    org.request("DELETE", f"sobjects/OpportunityLineItem/{line}")
    assert org.row("Opportunity", key)["HasOpportunityLineItem"] is False
    org.change("Opportunity", key, Amount=7)
    assert org.row("Opportunity", key)["Amount"] == 7.0


def test_stages_can_be_queried_with_their_defaults(org: Caller) -> None:
    rows = org.rows("SELECT ApiName, DefaultProbability FROM OpportunityStage WHERE IsClosed = true ORDER BY SortOrder")
    assert rows == [
        {"ApiName": "Closed Won", "DefaultProbability": 100.0},
        {"ApiName": "Closed Lost", "DefaultProbability": 0.0},
    ]


# events


def event(org: Caller, **fields: Any) -> dict[str, Any]:
    return org.row("Event", org.make("Event", Subject="Call", **fields))


def test_end_and_duration_follow_from_each_other(org: Caller) -> None:
    by_minutes = event(org, StartDateTime="2026-11-20T10:00:00Z", DurationInMinutes=45)
    by_end = event(org, ActivityDateTime="2026-11-20T10:00:00Z", EndDateTime="2026-11-20T10:45:00Z")
    for row in (by_minutes, by_end):
        assert (row["StartDateTime"], row["EndDateTime"]) == (
            "2026-11-20T10:00:00.000+0000",
            "2026-11-20T10:45:00.000+0000",
        )
        assert (row["DurationInMinutes"], row["ActivityDate"], row["EndDate"]) == (45, "2026-11-20", "2026-11-20")
    org.change("Event", by_end["Id"], StartDateTime="2026-11-21T08:00:00Z")
    assert org.row("Event", by_end["Id"])["EndDateTime"] == "2026-11-21T08:45:00.000+0000"
    org.change("Event", by_end["Id"], EndDateTime="2026-11-21T10:00:00Z")
    assert org.row("Event", by_end["Id"])["DurationInMinutes"] == 120


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({}, "REQUIRED_FIELD_MISSING"),
        ({"StartDateTime": "2026-11-20T10:00:00Z"}, "REQUIRED_FIELD_MISSING"),
        (
            {"StartDateTime": "2026-11-20T10:00:00Z", "DurationInMinutes": 30, "EndDateTime": "2026-11-20T11:00:00Z"},
            "FIELD_INTEGRITY_EXCEPTION",
        ),
        ({"StartDateTime": "2026-11-20T10:00:00Z", "EndDateTime": "2026-11-20T09:00:00Z"}, "FIELD_INTEGRITY_EXCEPTION"),
        (
            {"StartDateTime": "2026-11-20T10:00:00Z", "DurationInMinutes": 30, "ShowAs": "Gone"},
            "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
        ),
    ],
)
def test_events_without_a_consistent_time_are_refused(org: Caller, fields: dict[str, Any], code: str) -> None:
    assert refusal(org.request("POST", "sobjects/Event", {"Subject": "x", **fields}))[:2] == (400, code)


def test_all_day_events_stay_on_their_date_at_utc_midnight(org: Caller) -> None:
    one = event(org, IsAllDayEvent=True, ActivityDate="2026-11-20")
    assert (one["ActivityDate"], one["StartDateTime"], one["EndDateTime"]) == (
        "2026-11-20", "2026-11-20T00:00:00.000+0000", "2026-11-20T00:00:00.000+0000",
    )  # fmt: skip
    assert one["DurationInMinutes"] == 1440
    three = event(org, IsAllDayEvent=True, StartDateTime="2026-11-20T00:00:00Z", EndDateTime="2026-11-22T00:00:00Z")
    assert (three["DurationInMinutes"], three["EndDate"]) == (4320, "2026-11-22")


def test_the_account_comes_from_what_an_activity_is_about(org: Caller) -> None:
    account = org.make("Account", Name="A")
    contact = org.make("Contact", LastName="Ito", AccountId=account)
    about = {"StartDateTime": "2026-11-20T10:00:00Z", "DurationInMinutes": 30}
    assert event(org, WhoId=contact, **about)["AccountId"] == account
    assert event(org, WhatId=deal(org, AccountId=account), **about)["AccountId"] == account
    assert org.row("Task", org.make("Task", Subject="x", WhatId=account))["AccountId"] == account


def test_inviting_a_user_makes_a_child_event_and_others_do_not(org: Caller) -> None:
    rita = org.server.call(org.server.add_user, "rita@x.example")
    contact = org.make("Contact", LastName="Ito")
    parent = event(org, StartDateTime="2026-11-20T10:00:00Z", DurationInMinutes=30)["Id"]
    invitation = org.make("EventRelation", EventId=parent, RelationId=rita)
    org.make("EventRelation", EventId=parent, RelationId=contact)
    rows = org.rows("SELECT Id, IsChild, IsGroupEvent, OwnerId FROM Event ORDER BY IsChild")
    assert [(r["IsChild"], r["IsGroupEvent"], r["OwnerId"]) for r in rows] == [
        (False, True, org.server.admin_id),
        (True, True, rita),
    ]
    assert org.rows("SELECT Status FROM EventRelation") == [{"Status": "New"}, {"Status": "New"}]
    org.change("Event", parent, Subject="Moved", StartDateTime="2026-11-21T10:00:00Z")
    assert org.rows("SELECT Subject, StartDateTime FROM Event WHERE IsChild = true") == [
        {"Subject": "Moved", "StartDateTime": "2026-11-21T10:00:00.000+0000"}
    ]
    org.request("DELETE", f"sobjects/EventRelation/{invitation}")
    assert org.query("SELECT COUNT() FROM Event WHERE IsChild = true")["totalSize"] == 0
    org.make("EventRelation", EventId=parent, RelationId=rita)
    org.request("DELETE", f"sobjects/Event/{parent}")
    assert org.query("SELECT COUNT() FROM Event")["totalSize"] == 0
    assert org.query("SELECT COUNT() FROM EventRelation")["totalSize"] == 0


def test_series_expand_into_occurrences_that_point_at_their_series(org: Caller) -> None:
    key = org.make(
        "Event", Subject="Weekly", IsRecurrence=True, RecurrenceType="RecursWeekly", RecurrenceInterval=1, RecurrenceDayOfWeekMask=10,
        RecurrenceStartDateTime="2026-11-23T10:00:00Z", RecurrenceEndDateOnly="2026-12-04", RecurrenceTimeZoneSidKey="Europe/Paris",
        StartDateTime="2026-11-23T10:00:00Z", DurationInMinutes=30,
    )  # fmt: skip
    rows = org.rows(
        f"SELECT StartDateTime, IsRecurrence FROM Event WHERE RecurrenceActivityId = '{key}' AND IsRecurrence = false ORDER BY StartDateTime"
    )
    assert [row["StartDateTime"][:16] for row in rows] == [
        "2026-11-23T10:00",
        "2026-11-25T10:00",
        "2026-11-30T10:00",
        "2026-12-02T10:00",
    ]
    series = org.row("Event", key)
    assert (series["IsRecurrence"], series["RecurrenceActivityId"]) == (True, key)
    refused = org.request("PATCH", f"sobjects/Event/{key}", {"IsRecurrence": False})
    assert refusal(refused)[1] == "INVALID_FIELD_FOR_INSERT_UPDATE"


def test_lightning_patterns_are_create_only_and_not_filterable(org: Caller) -> None:
    row = event(org, StartDateTime="2026-11-23T10:00:00Z", DurationInMinutes=30,
                Recurrence2PatternText="RRULE:FREQ=DAILY;INTERVAL=1;COUNT=3")  # fmt: skip
    assert (row["IsRecurrence2"], row["Recurrence2PatternText"]) == (True, "RRULE:FREQ=DAILY;INTERVAL=1;COUNT=3")
    refused = org.request("PATCH", f"sobjects/Event/{row['Id']}", {"Recurrence2PatternText": "RRULE:FREQ=DAILY"})
    assert refusal(refused)[1] == "INVALID_FIELD_FOR_INSERT_UPDATE"
    assert "can not be filtered" in org.refusal("SELECT Id FROM Event WHERE Recurrence2PatternText != null")[2]


# tasks, cases, people


def test_tasks_close_by_status(org: Caller) -> None:
    key = org.make("Task", Subject="Call", Priority="High")
    row = org.row("Task", key)
    assert (row["Status"], row["IsClosed"], row["IsHighPriority"], row["CompletedDateTime"]) == (
        "Not Started",
        False,
        True,
        None,
    )
    org.change("Task", key, Status="Completed")
    row = org.row("Task", key)
    assert (row["IsClosed"], row["CompletedDateTime"]) == (True, "2026-11-18T12:00:00.000+0000")


def test_cases_are_numbered_and_copy_their_contact(org: Caller) -> None:
    account = org.make("Account", Name="A")
    contact = org.make("Contact", LastName="Ito", Email="i@x.example", AccountId=account)
    first, second = (org.row("Case", org.make("Case", ContactId=contact)) for _ in range(2))
    assert int(second["CaseNumber"]) == int(first["CaseNumber"]) + 1
    assert len(first["CaseNumber"]) == 8
    assert (first["ContactEmail"], first["AccountId"], first["Status"], first["Priority"]) == (
        "i@x.example",
        account,
        "New",
        "Medium",
    )
    org.change("Case", first["Id"], Status="Closed")
    assert org.row("Case", first["Id"])["ClosedDate"] == "2026-11-18T12:00:00.000+0000"


def test_names_are_put_together(org: Caller) -> None:
    key = org.make("Lead", FirstName="Ann", LastName="Lee", Company="C", Salutation="Ms.")
    row = org.row("Lead", key)
    assert (row["Name"], row["Status"]) == ("Ann Lee", "Open - Not Contacted")
    org.change("Lead", key, FirstName=None)
    assert org.row("Lead", key)["Name"] == "Lee"


def test_usernames_are_unique(org: Caller) -> None:
    org.server.call(org.server.add_user, "rita@x.example")
    profile = org.column("SELECT Id FROM Profile WHERE Name = 'Standard User'")[0]
    body = {
        "Username": "rita@x.example", "LastName": "R", "Email": "r@x.example", "Alias": "r", "TimeZoneSidKey": "Europe/Paris",
        "LocaleSidKey": "en_US", "EmailEncodingKey": "UTF-8", "LanguageLocaleKey": "en_US", "ProfileId": profile,
    }  # fmt: skip
    assert refusal(org.request("POST", "sobjects/User", body))[1] == "DUPLICATE_USERNAME"


def test_person_accounts_are_off_until_switched_on_and_are_two_records(org: Caller) -> None:
    assert "No such column" in org.refusal("SELECT IsPersonAccount FROM Account")[2]
    assert refusal(org.request("POST", "sobjects/Account", {"LastName": "Ito"}))[1] == "INVALID_FIELD"
    org.server.call(org.server.condition, "person_accounts")
    key = org.make("Account", FirstName="Ann", LastName="Ito", PersonEmail="A@x.example")
    row = org.row("Account", key)
    assert (row["Name"], row["IsPersonAccount"], row["PersonEmail"]) == ("Ann Ito", True, "a@x.example")
    contact = org.row("Contact", row["PersonContactId"])
    assert (contact["AccountId"], contact["Email"], contact["IsPersonAccount"]) == (key, "a@x.example", True)
    org.server.clock.move(minutes=1)
    org.change("Contact", contact["Id"], Email="b@x.example")
    row = org.row("Account", key)
    assert (row["PersonEmail"], row["LastModifiedDate"]) == ("b@x.example", "2026-11-18T12:01:00.000+0000")
    org.server.clock.move(minutes=1)
    org.change("Account", key, LastName="Sato")
    contact = org.row("Contact", contact["Id"])
    assert (contact["Name"], contact["LastModifiedDate"]) == ("Ann Sato", "2026-11-18T12:02:00.000+0000")
    business = org.row("Account", org.make("Account", Name="Acme"))
    assert (business["IsPersonAccount"], business["PersonContactId"]) == (False, None)
    org.request("DELETE", f"sobjects/Account/{key}")
    assert org.query("SELECT COUNT() FROM Contact")["totalSize"] == 0


def test_a_populated_organisation_is_the_same_for_the_same_seed(org: Caller) -> None:
    counts = org.server.call(org.server.populate, 7)
    assert counts["Account"] == 20
    assert all(count > 0 for count in counts.values())
    with organisation() as other:
        other.server.call(other.server.populate, 7)
        ask = "SELECT Name, Amount, StageName, Account.Name FROM Opportunity ORDER BY Id"
        assert other.rows(ask) == org.rows(ask)
