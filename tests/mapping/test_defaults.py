"""What the default mappings make of real records, read by example and written to live practice servers."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from sidefeed.connector import Connector, Write
from sidefeed.mapping import Mapping, Value
from sidefeed.mapping.lenses import SameIds

REFS = SameIds()
DEAL: dict[str, Value] = {
    "name": "Acme: 200 seats",
    "money": {"amount": "1200.5", "currency": "USD"},
    "close_date": "2026-12-31",
    "stage": "negotiation",
    "next_step": "Send the draft",
    "description": "First line\nSecond line",
    "forecast_category": "best_case",
}
HOSTILE: dict[str, Value] = {
    "name": 'O\'Brien "x" \\ {y} 😀 é; DROP TABLE',
    "money": {"amount": "9999999999999.99", "currency": "USD"},
    "close_date": "2027-02-28",
    "stage": "won",
    "next_step": "' OR 1=1 -- %s {0} $(x) <b>&amp;",
    "description": "tab\there\n\n\nthree lines later, and a \u200b zero-width space",
}
TIMED = {"start": "2026-11-21T09:00:00Z", "end": "2026-11-21T10:30:00Z", "zone": "Europe/Berlin", "all_day": False}
ONE_DAY = {"start": "2026-11-21", "end": "2026-11-22", "zone": None, "all_day": True}
THREE_DAYS = {"start": "2026-11-21", "end": "2026-11-24", "zone": None, "all_day": True}


def held(live: dict[str, Connector], mapping: Mapping, system: str, object: str, values: dict[str, Value]) -> Any:
    """Create a record through the mapping and read it back through the mapping: the values and the raw record."""
    mapped, connector = mapping.of(system, object), live[system]
    stream = connector.streams(object)[0]
    raw, problems = mapped.write(values, values, REFS, create=True)
    assert problems == []
    (outcome,) = connector.write(stream, [Write("k", "create", raw, external_key=f"{uuid.uuid4()}:1")])
    assert (outcome.status, outcome.error) == ("done", None)
    (seen,) = connector.fetch(stream, mapped.raw_fields, [outcome.external_id or ""])
    read, problems = mapped.read(seen.values or {}, REFS)
    assert problems == []
    for each in mapped.fields:
        sent = {name: raw[name] for name in each.lens.raw if name in raw}
        assert each.lens.settled(sent, seen.values or {}), each.name
    return read, seen


@pytest.mark.parametrize(("system", "object"), [("salesforce", "Opportunity"), ("hubspot", "deals")])
@pytest.mark.parametrize("deal", [DEAL, HOSTILE], ids=["plain", "hostile"])
def test_a_deal_is_the_same_in_both_crms(
    live: dict[str, Connector], mapping: Mapping, system: str, object: str, deal: dict[str, Value]
) -> None:
    read, _ = held(live, mapping, system, object, deal)
    assert {name: read[name] for name in deal} == deal


def test_an_amount_finer_than_a_double_is_settled_and_no_edit(mapping: Mapping) -> None:
    money = mapping.of("salesforce", "Opportunity").field("money").lens
    assert money.settled({"Amount": "99999999999999.99"}, {"Amount": "99999999999999.98"})
    assert not money.settled({"Amount": "100.01"}, {"Amount": "100.02"})


@pytest.mark.parametrize(("system", "object"), [("salesforce", "Event"), ("hubspot", "meetings")])
@pytest.mark.parametrize("when", [TIMED, ONE_DAY, THREE_DAYS], ids=["timed", "one day", "three days"])
def test_a_meeting_keeps_its_time_and_its_days_in_both_crms(
    live: dict[str, Connector], mapping: Mapping, system: str, object: str, when: dict[str, Value]
) -> None:
    meeting: dict[str, Value] = {
        "subject": "Review",
        "when": when,
        "description": "a < b & c\nnext",
        "location": "Rome",
    }
    read, _ = held(live, mapping, system, object, meeting)
    assert {name: read[name] for name in meeting} == {**meeting, "when": {**when, "zone": None}}


@pytest.mark.parametrize(("system", "object"), [("salesforce", "Event"), ("hubspot", "meetings")])
def test_a_meeting_becomes_all_day_and_timed_again(
    live: dict[str, Connector], mapping: Mapping, system: str, object: str
) -> None:
    _, seen = held(live, mapping, system, object, {"subject": "Review", "when": TIMED})
    mapped, connector = mapping.of(system, object), live[system]
    stream = connector.streams(object)[0]
    for when in (THREE_DAYS, TIMED):
        raw, _ = mapped.write({"when": when}, ["when"], REFS)
        expected = {name: (seen.values or {}).get(name) for name in raw}
        update = Write("k", "update", raw, external_id=seen.id, version=seen.version, expected=expected)
        assert [each.status for each in connector.write(stream, [update])] == ["done"]
        (seen,) = connector.fetch(stream, mapped.raw_fields, [seen.id])
        assert mapped.read(seen.values or {}, REFS)[0]["when"] == {**when, "zone": None}


@pytest.mark.parametrize(("system", "object"), [("salesforce", "Contact"), ("hubspot", "contacts")])
def test_a_person_is_the_same_in_both_crms(
    live: dict[str, Connector], mapping: Mapping, system: str, object: str
) -> None:
    person: dict[str, Value] = {
        "first_name": "Zoë",
        "last_name": "O'Neil",
        "email": f"zoe.{uuid.uuid4().hex[:6]}@acme.example",
        "phone": "+14155550100",
        "title": "Head of Buying",
    }
    read, _ = held(live, mapping, system, object, person)
    assert {name: read[name] for name in person} == person


def test_a_person_without_a_family_name_is_one_in_salesforce_too(live: dict[str, Connector], mapping: Mapping) -> None:
    read, seen = held(live, mapping, "salesforce", "Contact", {"first_name": "Cher", "last_name": None})
    assert (seen.values or {})["LastName"] == "[not provided]"
    assert (read["first_name"], read["last_name"]) == ("Cher", None)


@pytest.mark.parametrize(("system", "object"), [("salesforce", "Task"), ("hubspot", "tasks")])
def test_a_task_is_the_same_in_both_crms(
    live: dict[str, Connector], mapping: Mapping, system: str, object: str
) -> None:
    task: dict[str, Value] = {"subject": "Call", "due": "2026-12-01", "status": "done", "description": "x\ny"}
    read, _ = held(live, mapping, system, object, task)
    assert {name: read[name] for name in task} == task


def test_a_name_too_long_for_one_crm_is_refused_there_and_written_to_the_other(mapping: Mapping) -> None:
    deal: dict[str, Value] = {"name": "x" * 400, "stage": "won"}
    raw, problems = mapping.of("salesforce", "Opportunity").write(deal, deal, REFS)
    assert (raw, [(each.field, each.code) for each in problems]) == (
        {"StageName": "Closed Won"},
        [("name", "too-long")],
    )
    assert "has 400 characters and Name holds 120" in problems[0].message
    assert mapping.of("hubspot", "deals").write(deal, ["name"], REFS) == ({"dealname": "x" * 400}, [])


def test_an_amount_in_another_currency_is_never_written_as_dollars(mapping: Mapping) -> None:
    deal: dict[str, Value] = {"money": {"amount": "5", "currency": "EUR"}}
    raw, problems = mapping.of("salesforce", "Opportunity").write(deal, deal, REFS)
    assert (raw, problems[0].code) == ({}, "other-currency")
    raw, problems = mapping.of("hubspot", "deals").write(deal, deal, REFS)
    assert (raw, problems) == ({"amount": "5", "deal_currency_code": "EUR"}, [])


@pytest.mark.parametrize(
    ("closedate", "date"),
    [
        ("2026-12-31T00:00:00Z", "2026-12-31"),
        ("2026-12-31T23:59:59.999Z", "2026-12-31"),
        ("1798675200000", "2026-12-31"),
        ("", None),
        (None, None),
    ],
)
def test_a_closing_date_of_hubspot_is_a_date(mapping: Mapping, closedate: str | None, date: str | None) -> None:
    values, _ = mapping.of("hubspot", "deals").read({"closedate": closedate}, REFS)
    assert values == {"close_date": date}


def test_every_stage_of_both_crms_is_one_stage_here(mapping: Mapping, live: dict[str, Connector]) -> None:
    stages = {}
    for system, object, field in (("salesforce", "Opportunity", "StageName"), ("hubspot", "deals", "dealstage")):
        options = live[system].describe(object).fields[field].options
        read = [mapping.of(system, object).read({field: each}, REFS)[0].get("stage") for each in options]
        assert None not in read
        stages[system] = set(read)
    assert stages["salesforce"] == stages["hubspot"] == set(mapping.entities["opportunity"].fields["stage"].choices)


def test_a_stage_that_only_one_crm_tells_apart_is_left_alone(mapping: Mapping) -> None:
    stage = mapping.of("salesforce", "Opportunity").field("stage").lens
    read = stage.read({"StageName": "Value Proposition"}, REFS)
    assert stage.settled(stage.write(read, REFS), {"StageName": "Value Proposition"})


def test_owners_of_hubspot_are_people_by_name(mapping: Mapping) -> None:
    owner = {"id": "7", "email": "Ann@Acme.Example", "firstName": "Ann", "lastName": "Lee", "archived": False}
    values, _ = mapping.of("hubspot", "owners").read(owner, REFS)
    assert values == {"name": "Ann Lee", "email": "ann@acme.example", "active": True}


def test_a_meeting_of_a_calendar_is_read_whole(mapping: Mapping) -> None:
    item = {
        "Key": "v1:abc", "UID": "040000", "Subject": "Review", "Start": "2026-11-21T09:00:00Z",
        "End": "2026-11-21T10:00:00Z", "Zone": "Europe/Berlin", "IsAllDay": False, "Location": None,
        "Organizer": "Ann@acme.example", "Sensitivity": "normal", "IsCancelled": False, "JoinUrl": None,
        "Attendees": [{"address": "Bob@Buyer.example", "name": "Bob", "role": "optional", "response": "accept"}],
    }  # fmt: skip
    assert mapping.of("exchange", "calendar").read(item, REFS) == (
        {
            "key": "v1:abc", "uid": "040000", "subject": "Review", "location": None, "organiser": "ann@acme.example",
            "when": {"start": item["Start"], "end": item["End"], "zone": "Europe/Berlin", "all_day": False},
            "attendees": [{"address": "bob@buyer.example", "name": "Bob", "role": "optional", "response": "accept"}],
            "sensitivity": "normal", "join_url": None,
        },
        [],
    )  # fmt: skip
    assert mapping.of("exchange", "calendar").read({"IsCancelled": True}, REFS)[0] == {"status": "cancelled"}


def test_private_and_unattributed_meetings_are_created_in_no_crm(mapping: Mapping) -> None:
    meeting: dict[str, Value] = {"about": "account:1", "sensitivity": "normal"}
    for system, object in (("salesforce", "Event"), ("hubspot", "meetings")):
        wanted = mapping.of(system, object).create_when
        assert wanted is not None
        assert wanted(meeting) and wanted({"about": "opportunity:2"})
        for kept in ({"sensitivity": "private"}, {"sensitivity": "confidential"}, {"about": None}):
            assert not wanted({**meeting, **kept})


def test_what_a_deal_is_about_to_lose_is_named_in_full(mapping: Mapping) -> None:
    about = mapping.of("hubspot", "meetings").field("about").lens
    assert about.write("account:9", REFS) == {"associations.deals": [], "associations.companies": ["9"]}
    assert about.write("opportunity:8", REFS) == {"associations.deals": ["8"]}
    assert about.read({"associations.deals": ["8"], "associations.companies": ["9"]}, REFS) == "opportunity:8"


def test_an_address_book_never_makes_crm_contacts(mapping: Mapping) -> None:
    people = mapping.of("exchange", "contacts")
    assert (people.creates, people.introduces, people.deletes) == (False, False, "unlink")
    assert {each.name for each in people.fields if each.writes} == {"phone", "title"}
