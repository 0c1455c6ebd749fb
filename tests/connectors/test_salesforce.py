"""The Salesforce connector against the practice server, through the real SDK over TLS."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pytest

from connectors.salesforce import SalesforceConnector, soql
from connectors.salesforce.feed import Reading
from connectors.salesforce.junctions import JUNCTIONS
from sandbox.salesforce import SalesforceServer
from sidefeed.connector import (
    AuthenticationFailed,
    Connector,
    CursorExpired,
    Duplicate,
    Gone,
    Invalid,
    Locked,
    OddAnswer,
    Outcome,
    PermissionDenied,
    QuotaExhausted,
    RateLimited,
    Stream,
    Unavailable,
    UnknownOutcome,
    Write,
)
from tests.connectors.contract import ConnectorContract
from tests.connectors.salesforce_office import KEY, Office, practice_server

DEAL = {"Name": "Deal", "StageName": "Prospecting", "CloseDate": "2026-12-31"}
MEETING = {"Subject": "Demo", "ActivityDateTime": "2026-12-01T10:00:00Z", "DurationInMinutes": 30}


@pytest.fixture(scope="module")
def server() -> Iterator[SalesforceServer]:
    server = practice_server()
    server.save_snapshot("empty")
    yield server
    crashes = [crash.traceback for crash in server.crashes]
    server.stop()
    assert not crashes, crashes[0]


@pytest.fixture
def office(server: SalesforceServer) -> Iterator[Office]:
    server.restore_snapshot("empty")
    server.faults.clear()
    server.clock.fix(datetime.now(UTC))
    server.clock.run()
    office = Office(server)
    yield office
    office.close()
    server.faults.clear()


class TestContract(ConnectorContract):
    @pytest.fixture
    def kit(self, office: Office) -> Office:
        return office


def creates(count: int, **values: Any) -> list[Write]:
    return [
        Write(f"w{n}", "create", {**DEAL, "Name": f"Deal {n}", **values}, external_key=f"rec-{n}:1")
        for n in range(count)
    ]


def load(office: Office, count: int) -> None:
    deals = [{**DEAL, "Name": f"Deal {n}", "Amount": n} for n in range(count)]
    office.server.call(office.server.load_data, {"Opportunity": deals})


# Reading


def test_a_long_read_takes_one_call_for_each_two_thousand_rows(office: Office) -> None:
    load(office, 4100)
    pages = list(office.connector.changes(office.stream, ["Name"], None))
    assert [len(page.records) for page in pages] == [2000, 2000, 100]
    assert office.connector.calls.used == office.connector.calls.minimum == 3


def test_a_page_that_was_stored_is_not_read_again_after_a_crash(office: Office) -> None:
    load(office, 4100)
    first = next(iter(office.connector.changes(office.stream, ["Name"], None)))
    rest, _ = office.read("Opportunity", ["Name"], first.cursor)
    assert len(rest) == 2100
    assert not {record.id for record in rest} & {record.id for record in first.records}


def test_a_window_goes_on_within_rows_of_one_stamp(office: Office) -> None:
    office.server.clock.fix("2026-11-21T08:00:00Z")
    _, cursor = office.read("Opportunity", ["Name"])
    load(office, 2500)
    first = next(iter(office.connector.changes(office.stream, ["Name"], cursor)))
    rest, _ = office.read("Opportunity", ["Name"], first.cursor)
    assert len({record.id for record in [*first.records, *rest]}) == 2500
    office.server.clock.run()


def test_pages_that_expire_at_the_server_are_asked_for_again_from_the_last_row(office: Office) -> None:
    load(office, 4100)
    pages = office.connector.changes(office.stream, ["Name"], None)
    seen = [record.id for record in next(pages).records]
    office.locators_expire()
    seen += [record.id for page in pages for record in page.records]
    assert len(seen) == len(set(seen)) == 4100


def test_a_token_that_expires_between_two_pages_costs_one_login_and_one_repeat(office: Office) -> None:
    load(office, 4100)
    connector = jwt_connector(office)
    pages = connector.changes(office.stream, ["Name"], None)
    read = len(next(pages).records)
    office.tokens_expire()
    read += sum(len(page.records) for page in pages)
    assert read == 4100
    assert connector.calls.used == connector.calls.minimum + 1


def test_a_row_that_commits_late_below_the_mark_is_in_the_next_window(office: Office) -> None:
    _, cursor = office.read("Opportunity", ["Name"])
    office.next_save_was_stamped_earlier("Opportunity", seconds=120)
    late = office.creates("Opportunity", **DEAL)
    office.pass_time()
    records, _ = office.read("Opportunity", ["Name"], cursor)
    assert [record.id for record in records] == [late]
    blind = office.reconnected(overlap_seconds=0)
    (page,) = blind.changes(office.stream, ["Name"], cursor)
    assert page.records == ()


def test_the_mark_follows_the_servers_clock_not_the_newest_stamp(office: Office) -> None:
    office.creates("Opportunity", **DEAL)
    office.server.clock.move(minutes=30)
    (page,) = office.connector.changes(office.stream, ["Name"], None)
    assert page.complete_to is not None
    assert abs((office.server.clock.now() - page.complete_to).total_seconds()) < 10


def test_a_clock_that_was_ahead_and_goes_back_loses_no_edit(office: Office) -> None:
    deal = office.creates("Opportunity", **DEAL)
    _, cursor = office.read("Opportunity", ["Name"])
    office.server.clock.move(days=1)
    _, cursor = office.read("Opportunity", ["Name"], cursor)
    office.server.clock.move(hours=-23)
    office.edits("Opportunity", deal, Name="edited")
    office.server.clock.move(hours=1)
    with pytest.raises(CursorExpired, match="everything is read again"):
        office.read("Opportunity", ["Name"], cursor)
    office.server.clock.move(days=1, minutes=-5)
    office.read("Opportunity", ["Name"], cursor)


def test_a_merge_is_told_with_the_surviving_record_and_is_not_a_plain_deletion(office: Office) -> None:
    winner, loser = office.creates("Account", Name="Acme"), office.creates("Account", Name="ACME Inc")
    _, cursor = office.read("Account", ["Name"])
    office.merges("Account", winner, loser)
    records, _ = office.read("Account", ["Name"], cursor)
    by_id = {record.id: record for record in records}
    assert (by_id[loser].state, by_id[loser].merged_into) == ("deleted", winner)
    assert (by_id[winner].state, by_id[winner].merged_into) == ("live", None)
    (fetched,) = office.connector.fetch(Stream("Account"), ["Name"], [loser])
    assert fetched.merged_into == winner


def test_a_scope_narrows_live_records_but_not_deletions(office: Office) -> None:
    inside, outside, gone = (
        office.creates("Opportunity", **{**DEAL, "StageName": stage})
        for stage in ("Prospecting", "Qualification", "Qualification")
    )
    scope = "StageName = 'Prospecting'"
    records, cursor = office.read("Opportunity", ["Name"], scope=scope)
    assert {record.id for record in records} == {inside}
    office.deletes("Opportunity", gone)
    records, _ = office.read("Opportunity", ["Name"], cursor, scope=scope)
    assert {(record.id, record.state) for record in records} == {
        (inside, "live"), (gone, "deleted"), (outside, "left")}
    assert all(record.values is None for record in records if record.id == outside)


def test_numbers_are_the_servers_own_digits_and_parents_fields_keep_their_path(office: Office) -> None:
    account = office.creates("Account", Name="Größe & Söhne")
    deal = office.creates("Opportunity", **DEAL, Amount=12345678901234.56, AccountId=account)
    orphan = office.creates("Opportunity", **DEAL)
    records, _ = office.read("Opportunity", ["Amount", "Account.Name", "AccountId"])
    values = {record.id: record.values for record in records}
    assert values[deal] == {"Amount": "12345678901234.56", "Account.Name": "Größe & Söhne", "AccountId": account}
    assert values[orphan] == {"Amount": None, "Account.Name": None, "AccountId": None}


def test_users_are_read_without_a_recycle_bin_and_never_written(office: Office) -> None:
    records, cursor = office.read("User", ["Name", "Email", "IsActive"])
    assert records and all(record.state == "live" for record in records)
    office.read("User", ["Name"], cursor)
    (outcome,) = office.write("User", Write("w", "update", {"Email": "x@example.com"}, external_id=records[0].id))
    assert outcome.status == "refused" and isinstance(outcome.error, PermissionDenied)


def test_who_changed_a_record_and_when_is_told(office: Office) -> None:
    made = office.creates("Opportunity", **DEAL)
    ((record,), _) = office.read("Opportunity", ["Name"])
    (row,) = office.asks(f"SELECT LastModifiedById, SystemModstamp FROM Opportunity WHERE Id = '{made}'")
    assert (record.actor, record.version) == (row["LastModifiedById"], row["SystemModstamp"])
    assert record.modified == soql.instant(row["SystemModstamp"])


def test_a_child_event_of_an_invited_user_is_not_a_second_meeting(office: Office) -> None:
    event = office.creates("Event", **MEETING)
    user = office.server.call(office.server.add_user, "colleague@practice.example")
    office.creates("EventRelation", EventId=event, RelationId=user)
    assert len(office.asks("SELECT Id FROM Event")) == 2
    records, cursor = office.read("Event", ["Subject"])
    assert [record.id for record in records] == [event]
    assert [record.id for record in office.read("Event", ["Subject"], cursor)[0]] == [event]
    assert [external_id for external_id, _ in office.connector.ids(Stream("Event"))] == [event]


def test_a_meeting_is_found_by_its_key_once_and_when_it_is_archived_too(office: Office) -> None:
    (outcome,) = office.write("Event", Write("w", "create", dict(MEETING), external_key="rec-1:1"))
    user = office.server.call(office.server.add_user, "another@practice.example")
    office.creates("EventRelation", EventId=outcome.external_id, RelationId=user)
    carriers = office.asks(f"SELECT Id FROM Event WHERE {KEY} = 'rec-1:1'")
    assert len(carriers) == 2, "the colleague's child event carries the key too"
    assert office.connector.find(Stream("Event"), ["rec-1:1"]) == {"rec-1:1": [outcome.external_id]}
    office._happens("activities_archived", ids=[outcome.external_id])
    assert office.connector.find(Stream("Event"), ["rec-1:1"]) == {"rec-1:1": [outcome.external_id]}
    office.deletes("Event", outcome.external_id or "")
    assert office.connector.find(Stream("Event"), ["rec-1:1"]) == {}
    assert office.connector.find_deleted(Stream("Event"), ["rec-1:1"]) == {"rec-1:1": [outcome.external_id]}


# List fields


def test_the_contacts_of_a_deal_are_read_with_it(office: Office) -> None:
    deal, ann, ben = deal_with_contacts(office)
    ((record,), _) = office.read("Opportunity", ["Name", "ContactIds"])
    assert record.values == {"Name": "Deal", "ContactIds": sorted([ann, ben])}
    assert record.id == deal


def test_a_contact_that_leaves_a_deal_is_a_change_of_the_deal(office: Office) -> None:
    deal, ann, ben = deal_with_contacts(office)
    connector = office.reconnected(overlap_seconds=0)
    office.pass_time()
    cursor = list(connector.changes(office.stream, ["Name", "ContactIds"], None))[-1].cursor
    office.pass_time()
    (role,) = office.asks(f"SELECT Id FROM OpportunityContactRole WHERE ContactId = '{ben}'")
    office.deletes("OpportunityContactRole", role["Id"])
    office.pass_time()
    (page,) = connector.changes(office.stream, ["Name", "ContactIds"], cursor)
    assert deal in {record.id for record in page.records}
    (fetched,) = connector.fetch(office.stream, ["ContactIds"], [deal])
    assert fetched.values == {"ContactIds": [ann]}


def test_contacts_are_written_as_additions_and_removals_and_leave_alone_what_was_not_seen(office: Office) -> None:
    deal, ann, ben = deal_with_contacts(office)
    zoe, unseen = (office.creates("Contact", LastName=name) for name in ("Zoë", "Unseen"))
    office.creates("OpportunityContactRole", OpportunityId=deal, ContactId=unseen)
    change = Write("w", "update", {"ContactIds": [ann, zoe]}, external_id=deal, expected={"ContactIds": [ann, ben]})
    (outcome,) = office.write("Opportunity", change)
    assert outcome.status == "done"
    held = office.asks(f"SELECT ContactId FROM OpportunityContactRole WHERE OpportunityId = '{deal}'")
    assert sorted(row["ContactId"] for row in held) == sorted([ann, zoe, unseen])


def test_roles_on_a_deal_are_read_and_written_row_by_row(office: Office) -> None:
    deal, ann, ben = deal_with_contacts(office)
    rows = {row["ContactId"]: row["Id"] for row in office.asks("SELECT Id, ContactId FROM OpportunityContactRole")}
    change = Write("w", "update", {"ContactRoles": [f"Decision Maker:{ann}", f"Influencer:{ann}", ben]},
                   external_id=deal, expected={"ContactRoles": [ann, ben]})
    (outcome,) = office.write("Opportunity", change)
    assert outcome.status == "done"
    held = office.asks("SELECT Id, ContactId, Role FROM OpportunityContactRole")
    assert {row["Id"] for row in held} >= set(rows.values()), "a row whose role changes is kept"
    (record,) = office.connector.fetch(office.stream, ["ContactRoles"], [deal])
    assert record.values == {"ContactRoles": sorted([f"Decision Maker:{ann}", f"Influencer:{ann}", ben])}
    unseen = Write("w", "update", {"ContactRoles": [ann]}, external_id=deal, expected={"ContactRoles": [ann]})
    (outcome,) = office.write("Opportunity", unseen)
    assert outcome.status == "done"
    (after,) = office.connector.fetch(office.stream, ["ContactRoles"], [deal])
    assert after.values == record.values, "what was not seen stays, and nobody in a role is listed without it"


def test_two_lists_of_the_same_rows_are_refused(office: Office) -> None:
    with pytest.raises(Invalid, match="are the same rows of OpportunityContactRole"):
        office.read("Opportunity", ["ContactIds", "ContactRoles"])


def test_a_deal_is_created_with_its_contacts_in_two_calls(office: Office) -> None:
    ann, ben = (office.creates("Contact", LastName=name) for name in ("Ann", "Ben"))
    (outcome,) = office.write("Opportunity", *creates(1, ContactIds=[ann, ben]))
    assert outcome.status == "done"
    assert office.connector.calls.used == office.connector.calls.minimum == 2
    held = office.asks(f"SELECT ContactId FROM OpportunityContactRole WHERE OpportunityId = '{outcome.external_id}'")
    assert sorted(row["ContactId"] for row in held) == sorted([ann, ben])


def test_a_deal_whose_contacts_were_refused_is_unknown_and_keeps_its_id(office: Office) -> None:
    (outcome,) = office.write("Opportunity", *creates(1, ContactIds=[soql.full_id("0035g0000NoSuch")]))
    assert outcome.status == "unknown" and outcome.error is not None
    assert list(office.connector.find(office.stream, ["rec-0:1"])["rec-0:1"]) == [outcome.external_id]


def test_a_deal_that_is_written_while_its_contacts_are_refused_is_unknown_and_no_edit_of_anybodys(
    office: Office,
) -> None:
    deal, ann, ben = deal_with_contacts(office)
    wanted = {"ContactIds": [ann, soql.full_id("0035g0000NoSuch")]}
    write = Write("w", "update", {"Name": "Ours", **wanted}, external_id=deal, expected={"ContactIds": [ann, ben]})
    (outcome,) = office.write("Opportunity", write)
    assert [row["Name"] for row in office.asks("SELECT Name FROM Opportunity")] == ["Ours"]
    assert outcome.status == "unknown" and outcome.error is not None
    (alone,) = office.write("Opportunity", Write("w", "update", wanted, external_id=deal, expected={"ContactIds": [ann]}))
    assert alone.status == "refused" and isinstance(alone.error, Invalid) and alone.error.field == "ContactIds"


def test_people_at_an_event_are_its_who_first_and_then_its_relations(office: Office) -> None:
    ann, ben = (office.creates("Contact", LastName=name) for name in ("Ann", "Ben"))
    values = {**MEETING, "WhoIds": [ben, ann]}
    (outcome,) = office.write("Event", Write("w", "create", values, external_key="rec-1:1"))
    assert outcome.status == "done", outcome.error
    (row,) = office.asks(f"SELECT WhoId FROM Event WHERE Id = '{outcome.external_id}'")
    assert row["WhoId"] == ben
    (fetched,) = office.connector.fetch(Stream("Event"), ["WhoIds", "Subject"], [outcome.external_id])
    assert fetched.values == {"WhoIds": [ben, ann], "Subject": "Demo"}


def test_an_organisation_without_event_relations_has_the_who_alone(office: Office) -> None:
    ann = office.creates("Contact", LastName="Ann")
    event = office.creates("Event", **MEETING, WhoId=ann)
    office.administrator_hides("EventRelation")
    for _ in range(2):
        (fetched,) = office.connector.fetch(Stream("Event"), ["WhoIds"], [event])
        assert fetched.values == {"WhoIds": [ann]}
    assert office.connector.calls.used == 3


def test_a_deal_out_of_scope_does_not_come_back_for_its_contacts(office: Office) -> None:
    deal, _, _ = deal_with_contacts(office)
    connector = office.reconnected(overlap_seconds=0)
    office.pass_time()
    fields, scope = ["Name", "ContactIds"], "StageName = 'Closed Won'"
    cursor = list(connector.changes(office.stream, fields, None, scope=scope))[-1].cursor
    office.pass_time()
    office.creates("OpportunityContactRole", OpportunityId=deal, ContactId=office.creates("Contact", LastName="Zoë"))
    office.pass_time()
    (page,) = connector.changes(office.stream, fields, cursor, scope=scope)
    assert page.records == ()


def deal_with_contacts(office: Office) -> tuple[str, str, str]:
    deal = office.creates("Opportunity", **DEAL)
    ann, ben = (office.creates("Contact", LastName=name) for name in ("Ann", "Ben"))
    for contact in (ann, ben):
        office.creates("OpportunityContactRole", OpportunityId=deal, ContactId=contact)
    return deal, ann, ben


ODD_IDS = ["../../etc/passwd", "a/b?c=d#e", "' OR Id != '", "\u0663" * 18, "0" * 300, "", None, 12]


def rows(*ids: object, more: str | None = None, stamp: object = "2026-11-21T08:17:00.000+0000") -> dict[str, Any]:
    """A page as Salesforce sends it, of rows with any ids and stamps."""
    found = [{"attributes": {"type": "Opportunity", "url": f"/x/{each}"}, "Id": each, "SystemModstamp": stamp,
              "LastModifiedById": None, "IsDeleted": False, "Name": "x"} for each in ids]
    return {"totalSize": len(found), "done": more is None, "records": found, **({"nextRecordsUrl": more} if more else {})}


def answers_query(office: Office, body: dict[str, Any], count: int | None = 1) -> None:
    office.server.faults.add("status", method="GET", path="*/quer*", status=200, body=body, count=count)


@pytest.mark.parametrize("odd", ODD_IDS)
def test_an_id_that_salesforce_never_gives_uses_nothing_of_the_page_and_is_named(office: Office, odd: object) -> None:
    made = office.creates("Opportunity", **DEAL)
    answers_query(office, rows(made, odd))
    with pytest.raises(OddAnswer, match=re.escape(repr(str(odd)[:40]))):
        office.read("Opportunity", ["Name"])
    answers_query(office, rows(made, odd))
    with pytest.raises(OddAnswer):
        list(office.connector.ids(office.stream))
    records, _ = office.read("Opportunity", ["Name"])
    assert [record.id for record in records] == [made]


def test_an_id_of_fifteen_characters_is_the_same_record(office: Office) -> None:
    made = office.creates("Opportunity", **DEAL)
    answers_query(office, rows(made[:15]))
    assert [record.id for record in office.read("Opportunity", ["Name"])[0]] == [made]


@pytest.mark.parametrize("stamp", ["yesterday", None, 12, "2026-13-45T99:00:00.000+0000"])
def test_a_stamp_that_is_none_uses_nothing_of_the_page(office: Office, stamp: object) -> None:
    made = office.creates("Opportunity", **DEAL)
    answers_query(office, rows(made, stamp=stamp))
    with pytest.raises(OddAnswer, match="cannot be read"):
        office.read("Opportunity", ["Name"])


@pytest.mark.parametrize("same", [True, False], ids=["the same address", "another address"])
def test_a_page_that_repeats_for_ever_ends_with_an_error(office: Office, same: bool) -> None:
    made = office.creates("Opportunity", **DEAL)
    for number in range(5):
        locator = f"/services/data/v66.0/query/01gRO0000016PIAYA2-{2000 if same else 2000 * (number + 1)}"
        answers_query(office, rows(made, more=locator))
    before = office.calls()
    with pytest.raises(OddAnswer, match="leads back" if same else "does not go beyond"):
        office.read("Opportunity", ["Name"])
    assert office.calls() - before == 2


def test_more_rows_without_an_address_is_no_last_page(office: Office) -> None:
    answers_query(office, {**rows(office.creates("Opportunity", **DEAL)), "done": False})
    with pytest.raises(OddAnswer, match="not where"):
        office.read("Opportunity", ["Name"])


# Writing


def test_three_hundred_creates_are_two_calls(office: Office) -> None:
    outcomes = office.write("Opportunity", *creates(300))
    assert [outcome.status for outcome in outcomes] == ["done"] * 300
    assert office.calls() == office.connector.calls.used == office.connector.calls.minimum == 2
    held = {row["Id"]: row["Name"] for row in office.asks("SELECT Id, Name FROM Opportunity")}
    assert all(held[outcome.external_id] == f"Deal {outcome.key[1:]}" for outcome in outcomes)


def test_creates_updates_and_deletes_of_one_batch_are_one_call_each(office: Office) -> None:
    moved, gone = (office.creates("Opportunity", **DEAL) for _ in range(2))
    outcomes = office.write(
        "Opportunity", Write("gone", "delete", external_id=gone), *creates(2),
        Write("moved", "update", {"Name": "Moved"}, external_id=moved),
    )  # fmt: skip
    assert {outcome.key: outcome.status for outcome in outcomes} == dict.fromkeys(["gone", "moved", "w0", "w1"], "done")
    assert office.connector.calls.used == office.connector.calls.minimum == 3


def test_a_refused_row_says_field_and_reason_and_holds_back_no_other(office: Office) -> None:
    good = creates(2)
    long = Write("long", "create", {**DEAL, "Name": "x" * 400}, external_key="rec-8:1")
    values = {"StageName": "Prospecting", "CloseDate": "2026-12-31"}
    nameless = Write("nameless", "create", values, external_key="rec-9:1")
    outcomes = {outcome.key: outcome for outcome in office.write("Opportunity", good[0], long, nameless, good[1])}
    assert {key: outcome.status for key, outcome in outcomes.items()} == {
        "w0": "done", "w1": "done", "long": "refused", "nameless": "refused",
    }  # fmt: skip
    for key, code in (("long", "STRING_TOO_LONG"), ("nameless", "REQUIRED_FIELD_MISSING")):
        error = outcomes[key].error
        assert isinstance(error, Invalid)
        assert (error.code, error.field) == (code, "Name")
        assert f"rec-{8 if key == 'long' else 9}:1" in error.message


def test_a_create_that_took_effect_before_is_refused_by_its_key_and_found(office: Office) -> None:
    (first,) = office.write("Opportunity", *creates(1))
    (again,) = office.write("Opportunity", *creates(1))
    assert again.status == "unknown"
    assert again.external_id in (first.external_id, None)
    assert len(office.live_ids()) == 1


def test_a_field_nobody_has_is_refused_for_an_administrator(office: Office) -> None:
    bad = Write("bad", "create", {**DEAL, "Nope__c": "x"}, external_key="r:1")
    outcomes = office.write("Opportunity", *creates(2), bad)
    by_key = {outcome.key: outcome for outcome in outcomes}
    assert {by_key["w0"].status, by_key["w1"].status} == {"done"}
    error = by_key["bad"].error
    assert isinstance(error, Invalid) and error.owner == "admin" and error.field == "Nope__c"


def test_a_locked_row_is_to_be_tried_again(office: Office) -> None:
    deal = office.creates("Opportunity", **DEAL)
    office.next_save_finds_a_lock("Opportunity")
    (outcome,) = office.write("Opportunity", Write("w", "update", {"Name": "x"}, external_id=deal))
    assert outcome.status == "retry" and isinstance(outcome.error, Locked)


def test_a_duplicate_rule_tells_which_record_it_is(office: Office) -> None:
    known = office.creates("Contact", LastName="Ito", Email="ito@example.com")
    office.administrator_adds_a_duplicate_rule("Contact", "Email")
    (outcome,) = office.write(
        "Contact", Write("w", "create", {"LastName": "Ito", "Email": "ito@example.com"}, external_key="rec-1:1")
    )
    assert outcome.status == "refused" and isinstance(outcome.error, Duplicate)
    assert outcome.error.of == (known,)


def test_a_whole_call_refused_for_one_row_is_halved_until_that_row_stands_alone(office: Office) -> None:
    body = [{"message": "Unexpected character", "errorCode": "JSON_PARSER_ERROR"}]
    office.server.faults.add("status", method="POST", contains="Deal 5\"", count=None, status=400, body=body)
    outcomes = {outcome.key: outcome for outcome in office.write("Opportunity", *creates(8))}
    assert {key for key, outcome in outcomes.items() if outcome.status == "refused"} == {"w5"}
    assert {key for key, outcome in outcomes.items() if outcome.status == "done"} == set(outcomes) - {"w5"}
    assert len(office.live_ids()) == 7


def test_a_server_failure_after_a_create_leaves_every_outcome_unknown_and_nothing_is_resent(office: Office) -> None:
    office.server.faults.add("html", method="POST", status=502)
    outcomes = office.write("Opportunity", *creates(3))
    assert [outcome.status for outcome in outcomes] == ["unknown"] * 3
    assert office.calls() == 1


def test_a_proxy_that_gives_up_waiting_leaves_a_create_unknown(office: Office) -> None:
    office.server.faults.add("html", method="POST", status=408)
    (outcome,) = office.write("Opportunity", *creates(1))
    assert (outcome.status, isinstance(outcome.error, UnknownOutcome)) == ("unknown", True)


def test_a_truncated_answer_to_a_create_is_unknown(office: Office) -> None:
    office.server.faults.add("truncate", method="POST")
    outcomes = office.write("Opportunity", *creates(2))
    assert [outcome.status for outcome in outcomes] == ["unknown"] * 2
    assert len(office.connector.find(office.stream, ["rec-0:1", "rec-1:1"])) == 2


def test_one_update_alone_carries_its_version_as_a_condition(office: Office) -> None:
    deal = office.creates("Opportunity", **DEAL)
    (record,) = office.connector.fetch(office.stream, ["Name"], [deal])
    office.server.clock.move(seconds=5)
    office.edits("Opportunity", deal, NextStep="call back")
    change = Write("w", "update", {"Name": "Mine"}, external_id=deal, version=record.version)
    (outcome,) = office.write("Opportunity", change)
    assert outcome.status == "stale"
    assert office.asks("SELECT Name FROM Opportunity")[0]["Name"] == "Deal"


def test_one_update_that_names_a_user_who_is_not_there_is_refused_and_not_taken_for_a_deletion(office: Office) -> None:
    deal = office.creates("Opportunity", **DEAL)
    (record,) = office.connector.fetch(office.stream, ["Name"], [deal])
    change = Write("w", "update", {"OwnerId": soql.full_id("0055g0000NoSuch")}, external_id=deal, version=record.version)
    (outcome,) = office.write("Opportunity", change)
    assert isinstance(outcome.error, Invalid) and outcome.error.field == "OwnerId"
    office.deletes("Opportunity", deal)
    (outcome,) = office.write("Opportunity", change)
    assert isinstance(outcome.error, Gone)


def test_a_condition_survives_the_renewal_of_the_token(office: Office) -> None:
    connector = jwt_connector(office)
    deal = office.creates("Opportunity", **DEAL)
    (record,) = connector.fetch(office.stream, ["Name"], [deal])
    office.server.clock.move(seconds=5)
    office.edits("Opportunity", deal, NextStep="call back")
    office.tokens_expire()
    change = Write("w", "update", {"Name": "Mine"}, external_id=deal, version=record.version)
    (outcome,) = connector.write(office.stream, [change])
    assert outcome.status == "stale"


def test_taking_out_of_the_recycle_bin_survives_the_renewal_of_the_token(office: Office) -> None:
    connector = jwt_connector(office)
    deal = office.creates("Opportunity", **DEAL)
    office.deletes("Opportunity", deal)
    connector.marker()
    office.tokens_expire()
    assert connector.restore(office.stream, [deal]) == {deal: None}
    assert office.live_ids() == {deal}


def test_a_session_that_ended_is_told_when_records_are_taken_out_of_the_recycle_bin(office: Office) -> None:
    deal = office.creates("Opportunity", **DEAL)
    office.deletes("Opportunity", deal)
    with pytest.raises(AuthenticationFailed, match="session_id"):
        office.reconnected(session_id="00D000000000000!dead").restore(office.stream, [deal])


def test_deleting_what_is_deleted_is_done(office: Office) -> None:
    deal = office.creates("Opportunity", **DEAL)
    office.deletes("Opportunity", deal)
    (outcome,) = office.write("Opportunity", Write("w", "delete", external_id=deal))
    assert outcome.status == "done"


@pytest.mark.parametrize(
    "hostile", ["//evil.example/x", "../../limits", "001' OR Name != '", "", "0065g00000DeAlB/AV", "é" * 18]
)
def test_an_id_that_is_no_id_reaches_no_request(office: Office, hostile: str) -> None:
    update, delete = Write("u", "update", {"Name": "x"}, external_id=hostile), Write("d", "delete", external_id=hostile)
    outcomes = office.write("Opportunity", update, delete)
    assert [(outcome.status, type(outcome.error)) for outcome in outcomes] == [("refused", Invalid)] * 2
    with pytest.raises(Invalid):
        list(office.connector.fetch(office.stream, ["Name"], [hostile]))
    with pytest.raises(Invalid):
        list(office.connector.changes(Stream("Opportunity WHERE"), ["Name"], None))
    with pytest.raises(Invalid):
        list(office.connector.changes(office.stream, ["Name FROM User--"], None))
    assert office.calls() == 0


@pytest.mark.parametrize("value", [0.1, float("nan"), {"a": 1}, object()])
def test_a_value_that_is_not_raw_is_refused_before_any_call(office: Office, value: object) -> None:
    (outcome,) = office.write("Opportunity", *creates(1, Amount=value))
    assert outcome.status == "refused" and isinstance(outcome.error, Invalid) and outcome.error.field == "Amount"
    assert office.calls() == 0


def test_keys_with_quotes_are_looked_up_as_they_are(office: Office) -> None:
    hostile = "it's\\\" OR Id != null --"
    (outcome,) = office.write("Opportunity", Write("w", "create", DEAL, external_key=hostile))
    office.write("Opportunity", *creates(1))
    assert dict(office.connector.find(office.stream, [hostile])) == {hostile: [outcome.external_id]}


# Authentication


def jwt_connector(office: Office, **settings: Any) -> SalesforceConnector:
    info = office.server.connection_info()
    return office.reconnected(
        **{
            "auth": "jwt", "session_id": None, "instance_url": None, "login_url": office.server.url,
            "client_id": info["client_id"], "username": info["username"],
            "private_key_file": info["jwt_private_key_file"], **settings,
        }
    )  # fmt: skip


def test_a_jwt_login_works_and_costs_one_call(office: Office) -> None:
    connector = jwt_connector(office)
    assert connector.marker() == office.connector.marker()
    assert connector.calls.used == connector.calls.minimum == 2


def test_client_credentials_work(office: Office) -> None:
    info = office.server.connection_info()
    connector = office.reconnected(
        auth="client_credentials", login_url=office.server.url, client_id=info["client_id"],
        client_secret=info["client_secret"],
    )  # fmt: skip
    assert connector.marker() == office.connector.marker()


def test_a_rotated_refresh_token_is_stored_before_it_is_used(office: Office, tmp_path: Path) -> None:
    info = office.server.connection_info()
    spent = office.refresh_tokens_rotate()
    file = tmp_path / "refresh.json"
    settings = {
        "auth": "refresh_token", "login_url": office.server.url, "client_id": info["client_id"],
        "client_secret": info["client_secret"], "refresh_token": spent, "refresh_token_file": str(file),
    }  # fmt: skip
    office.reconnected(**settings).marker()
    stored = json.loads(file.read_text())["refresh_token"]
    assert stored != spent
    assert file.stat().st_mode & 0o077 == 0
    office.reconnected(**settings).marker()
    assert json.loads(file.read_text())["refresh_token"] != stored


def test_runs_that_share_a_rotating_refresh_token_take_turns(office: Office, tmp_path: Path) -> None:
    info = office.server.connection_info()
    settings = {
        "auth": "refresh_token", "login_url": office.server.url, "client_id": info["client_id"],
        "client_secret": info["client_secret"], "refresh_token": office.refresh_tokens_rotate(),
        "refresh_token_file": str(tmp_path / "refresh.json"),
    }  # fmt: skip
    office.server.faults.add("slow", path="*/oauth2/token*", count=None, seconds=0.2)
    with ThreadPoolExecutor(3) as runs:
        markers = set(runs.map(lambda _run: office.reconnected(**settings).marker(), range(3)))
    assert markers == {office.connector.marker()}


@pytest.mark.parametrize("content", ["", "[]", '{"refresh": "x"}'])
def test_a_file_without_a_refresh_token_stops_salesforce_alone(office: Office, tmp_path: Path, content: str) -> None:
    info, file = office.server.connection_info(), tmp_path / "refresh.json"
    file.write_text(content)
    connector = office.reconnected(auth="refresh_token", login_url=office.server.url, client_id=info["client_id"],
                                   refresh_token_file=str(file))
    with pytest.raises(AuthenticationFailed, match="holds no refresh token"):
        connector.marker()


def test_a_clock_that_is_wrong_is_named_as_the_reason_for_a_refused_login(office: Office) -> None:
    office.server.clock.move(hours=1)
    with pytest.raises(AuthenticationFailed, match="clock of this machine is 60 minutes behind"):
        jwt_connector(office).marker()


def test_threads_that_find_the_token_expired_together_renew_it_once(office: Office) -> None:
    connector = jwt_connector(office)
    connector.marker()
    office.tokens_expire()
    before = connector.calls.minimum
    with ThreadPoolExecutor(4) as pool:
        schemas = list(pool.map(connector.describe, ["Account", "Contact", "Opportunity", "Task"]))
    assert [schema.name for schema in schemas] == ["Account", "Contact", "Opportunity", "Task"]
    assert connector.calls.minimum - before == 4 + 1 + 1  # one describe each, one of the rows of roles, one login


def test_an_ended_session_stops_the_system_after_one_call(office: Office) -> None:
    connector = office.reconnected(session_id="00D000000000000!dead")
    with pytest.raises(AuthenticationFailed, match="session_id"):
        connector.marker()
    assert connector.calls.used == 1


def test_a_token_that_is_never_accepted_ends_in_an_error_not_in_recursion(office: Office) -> None:
    connector = jwt_connector(office)
    body = [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]
    office.server.faults.add("status", path="/services/data/*", count=None, status=401, body=body)
    with pytest.raises(AuthenticationFailed):
        connector.marker()
    assert connector.calls.used == 4  # login, call, login, call


def test_writes_refused_for_the_token_are_all_answered_and_then_the_system_stops(office: Office) -> None:
    connector = office.reconnected(session_id="00D000000000000!dead")
    outcomes: list[Outcome] = []
    with pytest.raises(AuthenticationFailed):
        outcomes.extend(each for each in iterate_into(outcomes, connector, creates(250)))
    assert [outcome.status for outcome in outcomes] == ["retry"] * 250
    assert connector.calls.used == 1


def iterate_into(outcomes: list[Outcome], connector: Connector, writes: list[Write]) -> Iterator[Outcome]:
    for outcome in connector.write(Stream("Opportunity"), writes):
        outcomes.append(outcome)
    yield from ()


def test_a_wrong_secret_is_told_without_showing_it(office: Office) -> None:
    info = office.server.connection_info()
    connector = office.reconnected(
        auth="client_credentials", login_url=office.server.url, client_id=info["client_id"],
        client_secret="s3cr3t-wrong",
    )  # fmt: skip
    with pytest.raises(AuthenticationFailed) as caught:
        connector.marker()
    assert "s3cr3t-wrong" not in f"{caught.value!r} {caught.value} {caught.value.__cause__!r}"


def test_a_token_for_another_host_than_the_one_configured_is_not_used(office: Office) -> None:
    connector = jwt_connector(office, instance_url="https://other.example")
    with pytest.raises(AuthenticationFailed, match=r"other\.example"):
        connector.marker()
    assert connector.calls.used == 1


def test_nothing_logged_holds_a_secret(office: Office, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    connector = jwt_connector(office)
    connector.marker()
    office.server.faults.add("html", method="POST", status=500)
    list(connector.write(office.stream, creates(1)))
    info = office.server.connection_info()
    shown = caplog.text + repr(connector) + repr(connector._settings)
    key = Path(info["jwt_private_key_file"]).read_text().splitlines()[3]
    for secret in (office.token, key, info["client_secret"]):
        assert secret not in shown


# Bad days


def test_a_used_up_day_stops_the_system_until_a_later_time(office: Office) -> None:
    body = [{"message": "TotalRequests Limit exceeded.", "errorCode": "REQUEST_LIMIT_EXCEEDED"}]
    office.server.faults.add("status", path="/services/data/*", status=403, body=body)
    with pytest.raises(QuotaExhausted) as caught:
        office.connector.marker()
    assert caught.value.until is not None
    assert office.calls() == 1


def test_too_many_long_calls_at_once_are_waited_for(office: Office) -> None:
    message = "ConcurrentRequests (Concurrent API Requests) Limit exceeded."
    body = [{"message": message, "errorCode": "REQUEST_LIMIT_EXCEEDED"}]
    office.server.faults.add("status", path="/services/data/*", status=403, body=body)
    assert office.connector.marker()
    assert office.slept == [20]


def test_the_connector_stops_at_its_share_of_the_day(office: Office) -> None:
    connector = office.reconnected(quota_share=1e-9)
    connector.marker()
    with pytest.raises(QuotaExhausted, match="quota_share"):
        connector.describe("Account")
    assert connector.calls.used == 1


@pytest.mark.parametrize("fault", [
    ("html", 500), ("status", 429), ("status", 420), ("status", 406), ("drop_before", 0), ("drop_after", 0),
    ("truncate", 0), ("empty", 200),
])  # fmt: skip
def test_reads_are_repeated_after_what_may_pass(office: Office, fault: tuple[str, int]) -> None:
    kind, status = fault
    office.server.faults.add(kind, method="GET", **({"status": status} if status else {}))
    assert office.connector.marker()
    assert office.connector.calls.used == office.connector.calls.minimum + 1
    assert len(office.slept) == 1


def test_a_slow_read_times_out_and_a_slow_create_is_unknown(office: Office) -> None:
    connector = office.reconnected(read_timeout=0.2, attempts=1)
    office.server.faults.add("slow", method="GET", seconds=1)
    with pytest.raises(Unavailable, match="in time"):
        connector.marker()
    office.server.faults.add("slow", method="POST", seconds=1)
    (outcome,) = connector.write(office.stream, creates(1))
    assert outcome.status == "unknown"


def test_a_host_that_cannot_be_reached_had_no_effect(office: Office) -> None:
    connector = office.reconnected(instance_url="https://127.0.0.1:9", attempts=2)
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:9"):
        connector.marker()
    outcomes = list(connector.write(office.stream, creates(2)))
    assert [outcome.status for outcome in outcomes] == ["retry"] * 2
    assert connector.calls.used == 0


def test_a_server_that_is_not_trusted_gets_nothing(office: Office) -> None:
    connector = office.reconnected(ca_file=None, attempts=1)
    with pytest.raises(Unavailable, match="ca_file"):
        connector.marker()


def test_a_field_that_was_taken_away_is_named_in_the_error(office: Office) -> None:
    with pytest.raises(Invalid) as caught:
        office.read("Opportunity", ["Name", "Vanished__c"])
    assert caught.value.field == "Vanished__c" and caught.value.owner == "admin"


# Schema and set-up


def test_a_key_field_that_is_missing_says_which_command_makes_it(office: Office) -> None:
    connector = SalesforceConnector.from_settings({**office.settings, "key_field": "Other_Key__c"})
    with pytest.raises(Invalid, match="sidefeed prepare salesforce") as missing:
        list(connector.changes(office.stream, ["Name", "Other_Key__c"], None))
    assert (missing.value.code, missing.value.owner) == ("key-field-missing", "admin")
    connector.close()


def test_an_object_that_is_not_there_is_named(office: Office) -> None:
    with pytest.raises(Invalid, match="Nothing__c") as caught:
        office.connector.describe("Nothing__c")
    assert caught.value.owner == "admin"


def test_the_schema_tells_what_a_mapping_needs_to_know(office: Office) -> None:
    schema = office.connector.describe("Opportunity")
    assert schema.fields["Name"].required and schema.fields["Name"].length == 120
    assert "Closed Won" in schema.fields["StageName"].options and not schema.fields["StageName"].restricted
    assert not schema.fields["IsWon"].updateable
    assert schema.fields["AccountId"].references == ("Account",)
    assert schema.fields["Amount"].scale == 2
    assert schema.fields[KEY].unique


def test_key_fields_that_serve_are_called_ready(office: Office) -> None:
    assert office.connector.prepare(["Opportunity", "User"], apply=False) == [f"Opportunity.{KEY} is ready"]


def test_a_missing_key_field_is_told_with_what_an_administrator_does(office: Office) -> None:
    for apply in (False, True):
        (said,) = office.connector.prepare(["Lead"], apply=apply)
        assert f"Lead.{KEY} " in said
        assert apply or ("Unique" in said and "permission set" in said)


@pytest.mark.parametrize(("settings", "field"), [
    ({"auth": "password"}, "auth"), ({"auth": "session", "instance_url": "https://x.example"}, "session_id"),
    ({"auth": "jwt", "client_id": "c", "username": "u"}, "private_key_file"),
    ({"instance_url": "http://acme.my.salesforce.com", "auth": "session", "session_id": "x"}, "instance_url"),
    ({"auth": "session", "session_id": "x", "instance_url": "https://a.example/services/data"}, "instance_url"),
    ({"sesion_id": "x"}, "sesion_id"), ({"read_timeout": "soon"}, "read_timeout"),
])  # fmt: skip
def test_a_bad_setting_is_named(settings: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        SalesforceConnector.from_settings(settings)
    assert caught.value.field == field and field in caught.value.message


def test_importing_the_connector_loads_no_client_library() -> None:
    code = (
        "import sys, connectors.salesforce as s\n"
        "table = {'auth': 'session', 'session_id': 'x', 'instance_url': 'https://a.example'}\n"
        "s.SalesforceConnector.from_settings(table)\n"
        "print([m for m in ('simple_salesforce', 'requests', 'tenacity', 'jwt') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_it_is_a_connector(office: Office) -> None:
    assert isinstance(office.connector, Connector)


# Ids, literals and queries


def test_ids_get_the_suffix_that_salesforce_gives_them(reference_data: Path) -> None:
    vectors = json.loads((reference_data / "salesforce" / "id_15_18_vectors.json").read_text())
    pairs = vectors["pairs"] if isinstance(vectors, dict) else vectors
    assert pairs
    for pair in pairs:
        short, long = (pair["id15"], pair["id18"]) if isinstance(pair, dict) else pair
        assert soql.full_id(short) == long == soql.full_id(long)


def test_a_query_never_outgrows_the_address_that_salesforce_accepts() -> None:
    ids = [f"0065g{n:010d}AAA" for n in range(1000)]
    reading = Reading.of("Opportunity", [f"Field_Number_{n}__c" for n in range(60)])
    queries = list(reading.by_id().for_each_of("Id", ids))
    assert all(len(quote_plus(str(query))) < 14_000 for query in queries)
    assert [str(query).count("'") // 2 for query in queries] == [400, 400, 200]


def test_text_in_a_query_stays_text() -> None:
    assert soql.quoted("O'Brien \"x\" \\ \n") == r"'O\'Brien \"x\" \\ \n'"


def test_a_list_keeps_the_person_the_event_itself_holds() -> None:
    values: dict[str, Any] = {"WhoIds": ["003000000000001AAA", "003000000000002AAA"]}
    wanted = JUNCTIONS["Event"][0].split(values, ["003000000000002AAA", "003000000000003AAA"])
    assert values == {}
    now = {"003000000000002AAA": "row2", "003000000000003AAA": "row3", "003000000000004AAA": "row4"}
    assert wanted.changes(now) == (["003000000000001AAA"], {}, ["row3"])


def test_gone_and_rate_limited_are_told_apart_from_refused() -> None:
    from connectors.salesforce.answers import refusal, row_error

    assert isinstance(row_error({"statusCode": "ENTITY_IS_DELETED"}, about="x"), Gone)
    assert isinstance(refusal(429, "", about="x", safe=False), RateLimited)
    assert isinstance(refusal(503, "<html>", about="x", safe=True), Unavailable)
    disabled = [{"errorCode": "API_DISABLED_FOR_ORG", "message": "no"}]
    assert isinstance(refusal(403, disabled, about="x", safe=True), PermissionDenied)


# -- what the library's bulk calls lose -------------------------------------------------------------------------------


def test_a_blank_and_an_umlaut_that_the_librarys_bulk_calls_lose_arrive_by_ours(office: Office) -> None:
    """simple-salesforce 1.12 writes None as an empty cell, which Bulk API 2.0 takes for "leave it as it is", and decodes
    results without a charset as Latin-1 (its pull request 688 mended queries alone)."""
    deal = office.creates("Opportunity", **{**DEAL, "NextStep": "call"})
    done = office.person.bulk2.Opportunity.update(records=[{"Id": deal, "NextStep": None, "Name": "Zoë"}], wait=0)
    assert done[0]["numberRecordsFailed"] == 0
    assert "ZoÃ«" in office.person.bulk2.Opportunity.get_successful_records(done[0]["job_id"])
    assert office.holds(deal)["NextStep"] == "call", "the library's blank was ignored"  # type: ignore[index]

    (seen,) = office.connector.fetch(office.stream, ["Name", "NextStep"], [deal])
    assert seen.values == {"Name": "Zoë", "NextStep": "call"}
    (outcome,) = office.write("Opportunity", Write("w", "update", {"NextStep": None, "Name": "Zoë Ë"}, external_id=deal))
    assert outcome.status == "done"
    held = office.holds(deal)
    assert held is not None and (held["NextStep"], held["Name"]) == (None, "Zoë Ë")
