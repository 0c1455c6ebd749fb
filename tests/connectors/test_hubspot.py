"""The HubSpot connector through the real SDK and real sockets, against the practice server on its bad days."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from connectors.hubspot import HubSpotConnector
from connectors.hubspot.settings import Settings
from sandbox.hubspot import HubSpotServer
from sidefeed.connector import (
    AuthenticationFailed,
    Conflict,
    ConnectorError,
    CursorExpired,
    Duplicate,
    Gone,
    Invalid,
    OddAnswer,
    PermissionDenied,
    QuotaExhausted,
    RateLimited,
    Stream,
    Unavailable,
    Write,
)
from tests.connectors.contract import HOSTILE, ConnectorContract
from tests.connectors.hubspot_office import KEYED, Office

DEALS = Stream("deals")
DEAL_TO_COMPANY, PRIMARY_DEAL_TO_COMPANY, DEAL_TO_CONTACT = 341, 5, 3


@pytest.fixture(scope="module")
def server() -> Iterator[HubSpotServer]:
    with HubSpotServer(control=False) as server:
        office = Office(server)
        office.connector.prepare(KEYED, apply=True)
        office.close()
        server.save_snapshot()
        yield server
        assert not server.crashes


@pytest.fixture
def office(server: HubSpotServer) -> Iterator[Office]:
    server.restore_snapshot()
    server.faults.clear()
    server.clock.run()
    office = Office(server)
    yield office
    office.close()


@pytest.fixture
def alone() -> Iterator[Office]:
    """An office on a server of its own: a request that an earlier test gave up may reach the shared log late."""
    with HubSpotServer(control=False) as server:
        office = Office(server)
        office.connector.prepare(KEYED, apply=True)
        yield office
        office.close()


class TestContractOnDeals(ConnectorContract):
    @pytest.fixture
    def kit(self, office: Office) -> Office:
        return office


class TestContractOnContactsWithAssociations(ConnectorContract):
    @pytest.fixture
    def kit(self, office: Office) -> Office:
        return Contacts(office.server)


class Contacts(Office):
    stream = Stream("contacts")
    fields = ("firstname", "email", "phone", "associations.company", "associations.deals")
    text = "firstname"
    blankable = "phone"

    def sample(self, tag: str) -> dict[str, Any]:
        self.made = getattr(self, "made", 0) + 1
        return {"firstname": tag, "email": f"person{self.made}@example.com", "phone": "555-0100"}

    def person_creates(self, values: Any) -> str:
        return self.creates("contacts", **values)

    def person_edits(self, external_id: str, values: Any) -> None:
        self.edits("contacts", external_id, **{name: value or "" for name, value in values.items()})

    def person_deletes(self, external_id: str) -> None:
        self.deletes("contacts", external_id)

    def holds(self, external_id: str) -> Any:
        return self.holds_of("contacts", external_id, ("firstname", "email", "phone"))

    def live_ids(self) -> set[str]:
        return self.ids_of("contacts")


def new(key: str, **values: Any) -> Write:
    return Write(key, "create", {"dealname": key, **values}, external_key=f"{key}:1")


def change(record_id: str, key: str = "w", *, expected: Any = None, version: str = "", **values: Any) -> Write:
    return Write(key, "update", values, external_id=record_id, version=version, expected=expected or {})


# Batches


def test_shuffled_answers_are_matched_by_key(office: Office) -> None:
    names = [f"by the SDK {n}" for n in range(20)]
    answer = office.person.crm.deals.batch_api.create({"inputs": [{"properties": {"dealname": name}} for name in names]})
    assert [deal.properties["dealname"] for deal in answer.results] != names
    outcomes = office.write("deals", *(new(f"deal {n}") for n in range(60)))
    assert len(outcomes) == 60
    for key, outcome in outcomes.items():
        held = office.holds_of("deals", outcome.external_id or "", ["dealname", "sidefeed_key"])
        assert outcome.status == "done"
        assert held is not None and (held["dealname"], held["sidefeed_key"]) == (key, f"{key}:1")


def test_250_creates_take_three_calls(office: Office) -> None:
    outcomes = office.write("deals", *(new(f"deal {n}") for n in range(250)))
    assert {outcome.status for outcome in outcomes.values()} == {"done"}
    assert office.connector.calls.used == office.connector.calls.minimum == office.calls() == 3


def test_one_duplicate_in_a_batch_names_the_other_record_and_holds_back_nobody(office: Office) -> None:
    there = office.creates("contacts", email="ann@example.com")
    outcomes = office.write(
        "contacts",
        Write("a", "create", {"email": "bob@example.com"}, external_key="a:1"),
        Write("b", "create", {"email": "Ann@example.com"}, external_key="b:1"),
        Write("c", "create", {"email": "cid@example.com"}, external_key="c:1"),
    )
    assert [outcomes[key].status for key in "abc"] == ["done", "refused", "done"]
    error = outcomes["b"].error
    assert isinstance(error, Duplicate) and error.of == (there,)


def test_a_refused_value_names_property_and_rule(office: Office) -> None:
    outcomes = office.write("deals", new("good", amount="5"), new("bad", amount="many"), new("odd", no_such="x"))
    assert outcomes["good"].status == "done"
    error = outcomes["bad"].error
    assert isinstance(error, Invalid) and error.field == "amount" and error.rule
    odd = outcomes["odd"].error
    assert isinstance(odd, Invalid) and (odd.field, odd.rule) == ("no_such", "PROPERTY_DOESNT_EXIST")


def refused_batch(problem: dict[str, str]) -> dict[str, Any]:
    """A whole batch refused for one property value, as HubSpot answers where it does not tell inputs apart."""
    embedded = {"isValid": False, "message": problem["message"], "error": problem["code"], "name": problem["name"]}
    return {
        "status": "error", "category": "VALIDATION_ERROR", "correlationId": "c",
        "message": f"Property values were not valid: {orjson.dumps([embedded]).decode()}",
        "errors": [{**problem, "context": {"propertyName": [problem["name"]]}}],
    }  # fmt: skip


def test_a_batch_refused_as_a_whole_is_divided_until_the_bad_input_stands_alone(office: Office) -> None:
    body = {"status": "error", "category": "VALIDATION_ERROR", "message": "Something in this batch is not valid"}
    office.server.faults.add("status", path="*/batch/create", count=None, contains='"deal 41"', status=400, body=body)
    outcomes = office.write("deals", *(new(f"deal {n}") for n in range(100)))
    assert [key for key, outcome in outcomes.items() if outcome.status != "done"] == ["deal 41"]
    assert isinstance(outcomes["deal 41"].error, Invalid)
    assert office.count("deals") == 99
    assert office.connector.calls.minimum == 1


def test_a_refused_value_is_looked_for_before_a_batch_is_halved(office: Office) -> None:
    body = refused_batch({"name": "amount", "code": "INVALID_INTEGER", "message": "lots was not a valid number."})
    office.server.faults.add("status", path="*/batch/create", count=None, contains='"lots"', status=400, body=body)
    outcomes = office.write("deals", *(new(f"deal {n}", amount="lots" if n == 7 else "5") for n in range(100)))
    assert [key for key, outcome in outcomes.items() if outcome.status != "done"] == ["deal 7"]
    assert office.connector.calls.used == 3


def test_a_property_that_does_not_exist_condemns_only_those_who_name_it(office: Office) -> None:
    problem = {"name": "colour", "code": "PROPERTY_DOESNT_EXIST", "message": 'Property "colour" does not exist'}
    office.server.faults.add(
        "status", path="*/batch/create", count=None, contains='"colour"', status=400, body=refused_batch(problem)
    )
    outcomes = office.write("deals", *(new(f"deal {n}", **({"colour": "red"} if n < 9 else {})) for n in range(40)))
    refused = {key for key, outcome in outcomes.items() if outcome.status == "refused"}
    assert refused == {f"deal {n}" for n in range(9)}
    assert office.count("deals") == 31
    assert office.connector.calls.used == 2


def test_a_conflict_of_the_whole_batch_is_divided_too(office: Office) -> None:
    body = {"status": "error", "category": "CONFLICT", "message": "Contact already exists"}
    office.server.faults.add("status", path="*/batch/create", count=None, contains="ann@", status=409, body=body)
    writes = [Write(n, "create", {"email": f"{n}@example.com"}, external_key=f"{n}:1") for n in ("bob", "ann", "cid")]
    outcomes = office.write("contacts", *writes)
    assert [outcomes[each.key].status for each in writes] == ["done", "refused", "done"]
    assert isinstance(outcomes["ann"].error, Duplicate)


def test_what_an_answer_does_not_mention_is_unknown(office: Office) -> None:
    office.server.faults.add("empty", path="*/batch/create", status=200, body='{"status":"COMPLETE","results":[]}')
    outcomes = office.write("deals", new("one"), new("two"))
    assert [outcome.status for outcome in outcomes.values()] == ["unknown", "unknown"]
    found = office.connector.find(DEALS, ["one:1", "two:1"])
    assert all(len(found[key]) == 1 for key in ("one:1", "two:1"))


def test_an_input_that_failed_inside_hubspot_is_unknown_and_the_others_are_done(office: Office) -> None:
    office.server.faults.add("partial", path="*/batch/create")
    outcomes = office.write("deals", new("one"), new("two"))
    assert (outcomes["one"].status, outcomes["two"].status) == ("unknown", "done")


def test_a_record_named_twice_is_written_in_order(office: Office) -> None:
    deal = office.creates("deals", dealname="old")
    outcomes = office.write("deals", change(deal, "first", dealname="one"), change(deal, "second", dealname="two"))
    assert [outcome.status for outcome in outcomes.values()] == ["done", "done"]
    assert (office.holds(deal) or {})["dealname"] == "two"


def test_an_update_says_what_hubspot_made_of_the_values(office: Office) -> None:
    contact = office.creates("contacts", email="ann@example.com")
    outcome = office.write("contacts", change(contact, email="ANN.B@Example.com", phone=None))["w"]
    assert outcome.seen == {"email": "ann.b@example.com", "phone": None}
    assert outcome.version == office.fetch("contacts", ["email"], contact)[contact].version


HOSTILE_TEXTS = [HOSTILE, 'quote " and \'', "line\nbreak", "emoji 🧨", "x" * 400, "[1,2]", "ÄÖ;;", "%00"]


@pytest.mark.parametrize("value", HOSTILE_TEXTS)
def test_hostile_text_survives(office: Office, value: str) -> None:
    outcome = office.write("deals", Write("w", "create", {"dealname": value}, external_key="w:1"))["w"]
    assert outcome.status == "done"
    assert office.fetch("deals", ["dealname"], outcome.external_id or "")[outcome.external_id or ""].values == {
        "dealname": value
    }


def test_a_float_is_refused_before_anything_is_sent(office: Office) -> None:
    outcomes = office.write("deals", new("good"), new("bad", amount=float("nan")))
    assert (outcomes["good"].status, outcomes["bad"].status) == ("done", "refused")
    assert isinstance(outcomes["bad"].error, Invalid) and outcomes["bad"].error.field == "amount"


def test_several_options_are_joined_and_flags_are_words(office: Office) -> None:
    outcome = office.write("tasks", Write("t", "create", {
        "hs_task_subject": "call", "hs_timestamp": "2026-12-01T09:00:00Z", "hs_task_priority": "HIGH",
    }, external_key="t:1"))["t"]  # fmt: skip
    assert outcome.status == "done"


def test_a_meeting_without_timestamp_takes_its_start(office: Office) -> None:
    values = {
        "hs_meeting_title": "m", "hs_meeting_start_time": "2026-12-01T09:00:00Z",
        "hs_meeting_end_time": "2026-12-01T10:00:00Z",
    }  # fmt: skip
    outcome = office.write("meetings", Write("m", "create", values, external_key="m:1"))["m"]
    held = office.holds_of("meetings", outcome.external_id or "", ["hs_timestamp"])
    assert held is not None and held["hs_timestamp"].startswith("2026-12-01T09:00:00")


# Answers that say less than they should


@pytest.mark.parametrize("status", [200, 202])
def test_an_unexpected_success_status_is_a_success(office: Office, status: int) -> None:
    """The SDK reads no other status than those that it knows, and answers None (HubSpot/hubspot-api-python #448)."""
    office.server.condition("created_status", status=status)
    assert office.person.crm.deals.batch_api.create({"inputs": [{"properties": {"dealname": "by the SDK"}}]}) is None
    outcome = office.write("deals", new("one"))["one"]
    held = office.holds_of("deals", outcome.external_id or "", ["dealname"])
    assert held is not None and (outcome.status, held["dealname"]) == ("done", "one")


def test_a_success_without_a_body_is_unknown(office: Office) -> None:
    office.server.faults.add("empty", path="*/batch/create", status=202)
    assert office.write("deals", new("one"))["one"].status == "unknown"
    assert office.count("deals") == 1


@pytest.mark.parametrize("body", ["<html>Bad gateway</html>", "<html>Fehler: \u00fcberlastet</html>".encode("latin-1")])
def test_a_page_of_html_is_a_passing_failure_whatever_its_encoding(office: Office, body: Any) -> None:
    deal = office.creates("deals", dealname="here")
    fault = {"status": 502, "content_type": "text/html"}
    if isinstance(body, str):
        office.server.faults.add("status", body=body, **fault)
    else:
        office.server.faults.add("html", status=502)
    assert office.fetch("deals", ["dealname"], deal)[deal].values == {"dealname": "here"}


ODD_IDS = ["../../etc/passwd", "a/b?c=d#e", "' OR 1=1 --", "\u0663\u0664", "9" * 300, "", "-1", "1e3"]


def listed(*ids: str, after: str | None = None) -> dict[str, Any]:
    """A page as HubSpot sends it, of records with any ids."""
    rows = [{"id": each, "properties": {"dealname": "x", "amount": "1"}, "createdAt": "2026-11-02T09:00:00.120Z",
             "updatedAt": "2026-11-02T09:00:00.120Z", "archived": False} for each in ids]
    return {"results": rows, **({"paging": {"next": {"after": after}}} if after else {})}


@pytest.mark.parametrize("odd", ODD_IDS)
def test_an_id_that_hubspot_never_gives_uses_nothing_of_the_page_and_is_named(office: Office, odd: str) -> None:
    made = office.creates("deals", dealname="Real")
    office.server.faults.add("status", method="GET", path="/crm/v3/objects/deals", status=200, body=listed(made, odd))
    with pytest.raises(OddAnswer, match=re.escape(repr(odd[:40]))):
        office.read("deals", ["dealname"])
    records, _ = office.read("deals", ["dealname"])
    assert [record.id for record in records] == [made]


@pytest.mark.parametrize("path", ["deals/batch/read", "deals/search"])
def test_an_odd_id_in_any_other_answer_is_not_taken_for_a_deletion(office: Office, path: str) -> None:
    made = office.creates("deals", dealname="Real")
    _, cursor = office.read("deals", ["dealname"])
    office.edits("deals", made, dealname="Edited")
    office.server.clock.move(seconds=3)
    office.server.faults.add("status", path=f"/crm/v3/objects/{path}", status=200, body=listed("12/../3"))
    with pytest.raises(OddAnswer):
        office.read("deals", ["dealname"], cursor)
    assert [record.values for record in office.read("deals", ["dealname"], cursor)[0]] == [{"dealname": "Edited"}]


def test_a_create_answered_with_an_odd_id_is_unknown_and_found_by_its_key(office: Office) -> None:
    answer = {**listed("x/y"), "status": "COMPLETE"}
    answer["results"][0]["properties"] = {"sidefeed_key": "a:1"}
    office.server.faults.add("status", path="/crm/v3/objects/deals/batch/create", status=201, body=answer)
    outcome = office.write("deals", new("a"))["a"]
    assert (outcome.status, outcome.external_id) == ("unknown", None)


@pytest.mark.parametrize(("answers", "calls"), [(["7"], 2), (["7", "8", "7"], 3)], ids=["the same page", "an earlier one"])
def test_a_list_that_leads_back_ends_with_an_error(office: Office, answers: list[str], calls: int) -> None:
    for after in answers[:-1]:
        office.server.faults.add("status", method="GET", path="/crm/v3/objects/deals", status=200,
                                 body=listed("1", after=after))
    office.server.faults.add("status", method="GET", path="/crm/v3/objects/deals", status=200, count=None,
                             body=listed("1", after=answers[-1]))
    for read in (lambda: office.read("deals", ["dealname"]), lambda: list(office.connector.ids(office.stream))):
        before = office.calls()
        with pytest.raises(OddAnswer, match="leads back"):
            read()
        assert office.calls() - before <= calls


def test_a_page_of_html_with_status_404_is_no_deletion(office: Office) -> None:
    deal = office.creates("deals", dealname="here")
    office.server.faults.add("status", count=None, status=404, body="<html>not found</html>", content_type="text/html")
    with pytest.raises(Unavailable, match="host"):
        office.fetch("deals", ["dealname"], deal)


def test_a_truncated_answer_of_a_read_is_repeated(office: Office) -> None:
    deal = office.creates("deals", dealname="here")
    office.server.faults.add("truncate", path="*/batch/read")
    assert office.fetch("deals", ["dealname"], deal)[deal].values == {"dealname": "here"}


def test_a_truncated_answer_of_a_create_is_unknown(office: Office) -> None:
    office.server.faults.add("truncate", path="*/batch/create")
    assert office.write("deals", new("one"))["one"].status == "unknown"


def test_a_server_error_on_a_create_is_unknown_and_it_is_sent_once(office: Office) -> None:
    office.server.faults.add("status", path="*/batch/create", status=500)
    assert office.write("deals", new("one"))["one"].status == "unknown"
    assert office.calls() == 1


@pytest.mark.parametrize(("status", "became", "code"), [(302, "retry", "unavailable"), (408, "unknown", "unknown-outcome")])
def test_what_a_proxy_says_about_a_write_is_no_refusal_of_hubspots(
    office: Office, status: int, became: str, code: str
) -> None:
    office.server.faults.add("html", path="*/batch/create", count=None, status=status)
    outcome = office.write("deals", new("one"))["one"]
    assert (outcome.status, outcome.error and outcome.error.code) == (became, code)


def test_a_wrong_content_type_changes_nothing(office: Office) -> None:
    office.server.faults.add("content_type", path="*/batch/create")
    assert office.write("deals", new("one"))["one"].status == "done"


def test_values_that_come_as_numbers_are_text(office: Office) -> None:
    record = {"id": 7, "properties": {"dealname": 12, "amount": 1.5, "hs_next_step": True}, "updatedAt": ""}
    body = {"results": [record]}
    office.server.faults.add("status", path="*/batch/read", status=200, body=body)
    answer = office.fetch("deals", ["dealname", "amount", "hs_next_step"], "7")["7"]
    assert answer.values == {"dealname": "12", "amount": "1.5", "hs_next_step": "true"}


# Limits


def test_both_shapes_of_429_are_waited_out_for_reads_and_for_writes(office: Office) -> None:
    _, cursor = office.read("deals", office.fields)
    office.server.faults.add("ratelimit", path="*/search", shape="search", count=2)
    office.server.faults.add("ratelimit", path="*/batch/create", shape="general")
    office.server.clock.move(seconds=5)
    assert office.write("deals", new("one"))["one"].status == "done"
    assert len(office.read("deals", office.fields, cursor)[0]) == 1
    assert len(office.slept) == 3
    assert office.count("deals") == 1


def test_retry_after_is_believed_in_seconds_up_to_five_minutes_and_read_as_milliseconds_above(office: Office) -> None:
    deal = office.creates("deals", dealname="here")
    for asked in (7, 2000):
        office.server.faults.add("ratelimit", shape="general", retry_after=asked)
        office.fetch("deals", ["dealname"], deal)
    assert office.slept == [7.0, 2.0]


def test_a_long_wait_is_left_to_the_caller(office: Office) -> None:
    office.server.faults.add("ratelimit", shape="general", retry_after=200)
    with pytest.raises(RateLimited) as raised:
        office.fetch("deals", ["dealname"], "1")
    assert raised.value.retry_after == 200
    assert office.slept == []


def test_the_daily_limit_stops_everything_until_the_portals_midnight(office: Office) -> None:
    office.server.clock.fix("2026-11-21T17:30:00Z")
    office.connector.marker()
    office.server.faults.add("ratelimit", shape="daily", count=None)
    outcomes = []
    with pytest.raises(QuotaExhausted) as raised:
        for outcome in office.connector.write(DEALS, [new(f"deal {n}") for n in range(150)]):
            outcomes.append(outcome)
    assert len(outcomes) == 150 and {outcome.status for outcome in outcomes} == {"retry"}
    assert raised.value.until == datetime(2026, 11, 22, 5, tzinfo=UTC)
    assert office.calls() == 2


def test_a_portal_on_the_move_is_not_slept_through(office: Office) -> None:
    office.server.clock.fix("2026-11-21T17:30:00Z")
    office.server.condition("data_centre_move", retry_after=7200)
    with pytest.raises(QuotaExhausted) as raised:
        office.read("deals", office.fields)
    assert raised.value.until == datetime(2026, 11, 21, 19, 30, tzinfo=UTC)
    assert office.slept == []


def test_a_lock_is_waited_for_two_seconds(office: Office) -> None:
    body = {"status": "error", "message": "locked"}
    office.server.faults.add("status", path="*/batch/update", status=423, body=body)
    deal = office.creates("deals", dealname="old")
    assert office.write("deals", change(deal, dealname="new"))["w"].status == "done"
    assert len(office.slept) == 1 and office.slept[0] >= 2


def test_permits_keep_searches_below_the_limit(office: Office) -> None:
    from connectors.hubspot.transport import Window

    slept: list[float] = []
    window = Window(4, 1.0, slept.append)
    for _ in range(6):
        window.take()
    assert len(slept) == 2 and all(0.9 < wait <= 1.05 for wait in slept)


# Access


def test_a_wrong_token_says_who_must_do_what(office: Office) -> None:
    connector = office.reconnected(access_token="pat-wrong")
    with pytest.raises(AuthenticationFailed, match="access_token") as raised:
        connector.marker()
    assert "pat-wrong" not in str(raised.value)


def test_a_token_renewed_meanwhile_is_used(office: Office) -> None:
    tokens = iter(["stale", "stale"])
    connector = office.reconnected(access_token=lambda: next(tokens, office.token))
    assert connector.marker() == str(office.server.portal.id)


def test_another_portal_than_the_one_meant_is_refused(office: Office) -> None:
    with pytest.raises(AuthenticationFailed, match="portal_id"):
        office.reconnected(portal_id="1").marker()


def test_a_missing_scope_is_named(office: Office) -> None:
    office.server.condition("permission_removed", scope="crm.objects.deals.write")
    outcomes = office.write("deals", *(new(f"deal {n}") for n in range(5)))
    assert {outcome.status for outcome in outcomes.values()} == {"refused"}
    error = outcomes["deal 0"].error
    assert isinstance(error, PermissionDenied) and "crm.objects.deals.write" in error.message
    assert office.calls() == 1


def test_lost_read_permission_is_no_deletion(office: Office) -> None:
    deal = office.creates("deals", dealname="here")
    office.server.condition("permission_removed", scope="crm.objects.deals.read")
    with pytest.raises(PermissionDenied):
        office.fetch("deals", ["dealname"], deal)


def test_no_secret_and_no_value_reaches_the_log(office: Office, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("urllib3").setLevel(logging.DEBUG)
    office.write("deals", new("private subject"))
    office.server.faults.add("status", status=401, body={"status": "error", "message": "no", "category": "X"})
    with pytest.raises(ConnectorError) as raised:
        office.read("deals", office.fields)
    settings = Settings.from_table(office.settings)
    shown = caplog.text + str(raised.value) + repr(raised.value) + repr(office.connector) + repr(settings)
    assert office.token not in shown
    assert "private subject" not in caplog.text
    assert logging.getLogger("urllib3").level == logging.DEBUG
    logging.getLogger("urllib3").setLevel(logging.NOTSET)


def test_an_unreachable_host_is_unavailable_and_writes_had_no_effect(office: Office) -> None:
    connector = office.reconnected(host="http://127.0.0.1:9")
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:9"):
        connector.marker()
    outcomes = list(connector.write(DEALS, [new(f"deal {n}") for n in range(250)]))
    assert len(outcomes) == 250 and {outcome.status for outcome in outcomes} == {"retry"}
    assert len(office.slept) == 8


def test_an_untrusted_certificate_says_how_to_trust_it() -> None:
    with HubSpotServer(control=False, tls=True) as server:
        trusting = Office(server, ca_file=str(server.ca_file))
        assert trusting.connector.marker() == str(server.portal.id)
        trusting.close()
        with pytest.raises(Unavailable, match="ca_file") as raised:
            Office(server).connector.marker()
        assert raised.value.code == "tls-failed"


def test_a_read_that_hangs_is_ended_and_repeated(office: Office) -> None:
    deal = office.creates("deals", dealname="here")
    office.server.faults.add("slow", path="*/batch/read", seconds=1.0)
    connector = office.reconnected(read_timeout=0.2)
    (answer,) = connector.fetch(DEALS, ["dealname"], [deal])
    assert answer.values == {"dealname": "here"}


def test_a_create_that_hangs_is_unknown(office: Office) -> None:
    office.server.faults.add("slow", path="*/batch/create", seconds=1.0, after=True)
    (outcome,) = office.reconnected(read_timeout=0.2).write(DEALS, [new("one")])
    assert outcome.status == "unknown"


@pytest.mark.parametrize(
    ("table", "field"),
    [
        ({}, "access_token"),
        ({"acess_token": "x"}, "acess_token"),
        ({"access_token": "x y"}, "access_token"),
        ({"access_token": "x", "api_version": "v9"}, "api_version"),
        ({"access_token": "x", "host": "http://crm.example.com"}, "host"),
        ({"access_token": "x", "rate_per_10s": "many"}, "rate_per_10s"),
        ({"access_token": "x", "ca_file": "/no/such/file"}, "ca_file"),
        ({"access_token": "x", "sweep_associations": "weekly"}, "sweep_associations"),
    ],
)
def test_a_wrong_setting_is_named(table: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as raised:
        HubSpotConnector.from_settings(table)
    assert raised.value.field == field and raised.value.owner == "ops"


def test_importing_the_connector_imports_no_sdk() -> None:
    code = (
        "import sys, connectors.hubspot as h; h.HubSpotConnector.from_settings({'access_token': 'x'});"
        "print(sorted({m.split('.')[0] for m in sys.modules} & {'hubspot', 'urllib3', 'tenacity', 'requests'}))"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout.strip() == "[]"


# Versions


@pytest.mark.parametrize("version", ["v3", "2026-03", "2026-09"])
def test_every_kind_of_call_speaks_the_configured_version(alone: Office, version: str) -> None:
    office = alone
    connector = office.reconnected(api_version=version)
    company = office.creates("companies", name="Acme")
    office.server.log.clear()
    stream, fields = DEALS, ["dealname", "associations.company"]
    (made,) = connector.write(stream, [new("one", **{"associations.company": company})])
    deal = made.external_id or ""
    (cursor,) = [page.cursor for page in connector.changes(stream, fields, None)]
    office.edits("deals", deal, dealname="two")
    office.server.clock.move(seconds=5)
    (page,) = connector.changes(stream, fields, cursor)
    assert [record.values for record in page.records] == [{"dealname": "two", "associations.company": company}]
    (outcome,) = connector.write(stream, [change(deal, dealname="three", **{"associations.company": None})])
    assert outcome.status == "done"
    assert connector.find(stream, ["one:1"]) == {"one:1": [deal]}
    assert connector.describe("deals").fields["dealstage"].options
    assert list(connector.changes(Stream("owners"), ["email"], None))
    assert [outcome.status for outcome in connector.write(stream, [Write("d", "delete", external_id=deal)])] == ["done"]
    spoken = [entry.path for entry in office.server.log if entry.headers and "sidefeed" in str(entry.headers)]
    assert len(spoken) >= 9
    known = [f"/{version}/", "/crm/v4/associations/"] if version == "v3" else [f"/{version}/"]
    assert [path for path in spoken if not any(part in f"{path}/" for part in known)] == []


def test_a_rule_of_2026_09_parks_the_write_for_a_person(office: Office) -> None:
    office.server.condition("required_on_create", type="deals", properties=["amount"])
    assert [each.status for each in office.reconnected(api_version="v3").write(DEALS, [new("one")])] == ["done"]
    (outcome,) = office.reconnected(api_version="2026-09").write(DEALS, [new("two")])
    assert outcome.status == "refused" and isinstance(outcome.error, Invalid)


# The feed


def test_more_records_of_one_millisecond_than_a_page_holds_are_each_seen_once(office: Office) -> None:
    _, cursor = office.read("deals", ["dealname"])
    office.server.clock.move(seconds=5)
    office.server.condition("timestamp_tie")
    made = office.creates_many("deals", [{"dealname": f"deal {n}"} for n in range(450)])
    office.server.condition("timestamp_tie", on=False)
    office.server.clock.move(seconds=5)
    used = office.connector.calls.used
    records, _ = office.read("deals", ["dealname"], cursor)
    assert sorted(record.id for record in records) == sorted(made)
    assert office.connector.calls.used - used == 1 + 3 + 5


def test_a_window_is_taken_up_again_where_it_was_left(office: Office) -> None:
    _, cursor = office.read("deals", ["dealname"])
    made = office.creates_many("deals", [{"dealname": f"deal {n}"} for n in range(1100)])
    office.server.clock.move(seconds=5)
    first = next(iter(office.connector.changes(DEALS, ["dealname"], cursor)))
    assert not first.last
    rest, _ = office.read("deals", ["dealname"], first.cursor, connector=office.reconnected())
    assert {record.id for record in first.records} | {record.id for record in rest} == made
    assert not {record.id for record in first.records} & {record.id for record in rest}


def test_the_first_list_is_taken_up_again_where_it_was_left(office: Office) -> None:
    made = office.creates_many("deals", [{"dealname": f"deal {n}"} for n in range(250)])
    first = next(iter(office.connector.changes(DEALS, ["dealname"], None)))
    rest, _ = office.read("deals", ["dealname"], first.cursor)
    assert len(first.records) == 100 and len(rest) == 150
    assert {record.id for record in first.records} | {record.id for record in rest} == made


def test_a_change_that_search_shows_late_is_found_by_the_next_read(office: Office) -> None:
    deal = office.creates("deals", dealname="old")
    office.server.clock.move(minutes=10)
    _, cursor = office.read("deals", ["dealname"])
    office.server.condition("search_lag", seconds=30)
    office.edits("deals", deal, dealname="new")
    office.server.clock.move(seconds=5)
    records, cursor = office.read("deals", ["dealname"], cursor)
    assert records == []
    office.server.clock.move(seconds=60)
    records, _ = office.read("deals", ["dealname"], cursor)
    assert [record.values for record in records] == [{"dealname": "new"}]


def test_state_comes_from_a_read_by_id_and_not_from_the_index(office: Office) -> None:
    deal = office.creates("deals", dealname="old")
    office.server.clock.move(minutes=10)
    _, cursor = office.read("deals", ["dealname"])
    office.edits("deals", deal, dealname="indexed")
    office.server.condition("search_lag", seconds=60)
    office.server.clock.move(seconds=5)
    office.edits("deals", deal, dealname="newest")
    records, _ = office.read("deals", ["dealname"], cursor)
    assert [record.values for record in records] == [{"dealname": "newest"}]


def test_a_quiet_read_costs_two_calls_and_reads_nothing_again(office: Office) -> None:
    office.creates_many("companies", [{"name": f"company {n}"} for n in range(30)])
    office.server.clock.move(seconds=5)
    _, cursor = office.read("companies", ["name"])
    _, cursor = office.read("companies", ["name"], cursor)
    used = office.connector.calls.used
    records, _ = office.read("companies", ["name"], cursor)
    assert (records, office.connector.calls.used - used) == ([], 2)


def test_a_record_read_in_the_tick_of_its_stamp_is_read_again(office: Office) -> None:
    office.server.clock.fix("2026-11-21T12:00:00.000Z")
    deal = office.creates("deals", dealname="first")
    _, cursor = office.read("deals", ["dealname"])
    _, cursor = office.read("deals", ["dealname"], cursor)
    office.edits("deals", deal, dealname="second")
    records, _ = office.read("deals", ["dealname"], cursor)
    assert [record.values for record in records] == [{"dealname": "second"}]


def test_a_deletion_is_told_once(office: Office) -> None:
    made = sorted(office.creates_many("contacts", [{"email": f"p{n}@example.com"} for n in range(5)]))
    _, cursor = office.read("contacts", ["email"])
    office.deletes("contacts", made[0])
    office.server.clock.move(seconds=5)
    records, cursor = office.read("contacts", ["email"], cursor)
    assert made[0] in {record.id for record in records if record.state == "deleted"}
    used = office.connector.calls.used
    records, _ = office.read("contacts", ["email"], cursor)
    assert (records, office.connector.calls.used - used) == ([], 2)


def test_a_place_in_the_list_that_hubspot_forgot_expires_the_cursor(office: Office) -> None:
    office.creates_many("deals", [{"dealname": f"deal {n}"} for n in range(150)])
    first = next(iter(office.connector.changes(DEALS, ["dealname"], None)))
    office.server.condition("expired_cursors")
    with pytest.raises(CursorExpired):
        office.read("deals", ["dealname"], first.cursor)


def test_deletions_are_found_though_they_move_no_time(office: Office) -> None:
    made = sorted(office.creates_many("deals", [{"dealname": f"deal {n}"} for n in range(5)]))
    office.server.clock.move(days=1)
    _, cursor = office.read("deals", ["dealname"])
    office.deletes("deals", made[2])
    office.server.clock.move(seconds=5)
    records, cursor = office.read("deals", ["dealname"], cursor)
    assert [(record.id, record.state) for record in records] == [(made[2], "deleted")]
    office.server.clock.move(hours=1)
    _, cursor = office.read("deals", ["dealname"], cursor)
    assert office.read("deals", ["dealname"], cursor)[0] == []


@pytest.mark.parametrize("mode", ["new", "old"])
def test_a_merge_is_no_deletion(office: Office, mode: str) -> None:
    office.server.condition("merge_mode", mode=mode)
    one, other, deleted = (office.creates("companies", name=name) for name in ("Acme", "Acme Inc", "Gone"))
    office.server.clock.move(minutes=10)
    _, cursor = office.read("companies", ["name"])
    survivor = office.merges("companies", one, other)
    office.deletes("companies", deleted)
    office.server.clock.move(seconds=5)
    records, _ = office.read("companies", ["name"], cursor)
    merged = {record.id: record.merged_into for record in records if record.merged_into}
    lost = {one, other} - {survivor}
    assert merged == dict.fromkeys(lost, survivor)
    assert [record.id for record in records if record.state == "deleted"] == [deleted]
    assert [record.id for record in records if record.values is not None] == [survivor]


@pytest.mark.parametrize("mode", ["new", "old"])
def test_fetch_tells_merged_deleted_and_unknown_apart(office: Office, mode: str) -> None:
    office.server.condition("merge_mode", mode=mode)
    one, other, deleted = (office.creates("contacts", email=f"{n}@example.com") for n in "abc")
    survivor = office.merges("contacts", one, other)
    office.deletes("contacts", deleted)
    found = office.fetch("contacts", ["email"], one, other, deleted, survivor, "999999999999", "no-number")
    assert {found[each].merged_into for each in {one, other} - {survivor}} == {survivor}
    assert {each: found[each].state for each in (deleted, "999999999999", "no-number")} == {
        deleted: "deleted", "999999999999": "deleted", "no-number": "deleted",
    }  # fmt: skip
    assert found[survivor].state == "live" and found[survivor].values is not None


def test_a_merge_is_followed_where_batch_reads_leave_it_out(office: Office) -> None:
    one, other = (office.creates("companies", name=name) for name in ("Acme", "Acme Inc"))
    survivor = office.merges("companies", one, other)
    missing = {"status": "error", "category": "OBJECT_NOT_FOUND", "message": "gone", "context": {"ids": [other]}}
    body = {"results": [], "numErrors": 1, "errors": [missing]}
    office.server.faults.add("status", path="*/batch/read", count=2, status=207, body=body)
    assert office.fetch("companies", ["name"], other)[other].merged_into == survivor


def test_a_merge_is_followed_for_more_properties_than_an_address_holds(office: Office) -> None:
    one, other = (office.creates("companies", name=name) for name in ("Acme", "Acme Inc"))
    survivor = office.merges("companies", one, other)
    fields = ["name", *(f"a_property_that_is_not_there_{n:04}" for n in range(400))]
    body = {"results": [], "numErrors": 0, "errors": []}
    office.server.faults.add("status", path="*/batch/read", count=2, status=207, body=body)
    assert office.fetch("companies", fields, other)[other].merged_into == survivor
    office.server.faults.add("status", path="*/batch/read", count=2, status=207, body=body)
    found = office.fetch("companies", fields, survivor)[survivor]
    assert (found.state, found.values) == ("live", {"name": "Acme"})


def test_a_write_to_what_was_merged_away_touches_nobody_unnoticed(office: Office) -> None:
    office.server.condition("merge_mode", mode="old")
    one, other = (office.creates("companies", name=name) for name in ("Acme", "Acme Inc"))
    survivor = office.merges("companies", one, other)
    assert office.write("companies", change(other, name="Late"))["w"].status == "unknown"
    outcome = office.write("companies", Write("d", "delete", external_id=other))["d"]
    assert outcome.status == "stale" and isinstance(outcome.error, Conflict)
    assert office.ids_of("companies") == {survivor}


def test_deleting_what_is_deleted_is_done(office: Office) -> None:
    deal = office.creates("deals", dealname="gone")
    office.deletes("deals", deal)
    assert office.write("deals", Write("d", "delete", external_id=deal))["d"].status == "done"


def test_a_cursor_older_than_the_recycle_bin_is_expired(office: Office) -> None:
    _, cursor = office.read("deals", ["dealname"])
    office.server.clock.move(days=91)
    with pytest.raises(CursorExpired, match="90 days"):
        office.read("deals", ["dealname"], cursor)


def test_a_clock_that_was_ahead_and_goes_back_loses_no_edit(office: Office) -> None:
    deal = office.creates("deals", dealname="deal")
    _, cursor = office.read("deals", ["dealname"])
    office.server.clock.move(days=1)
    _, cursor = office.read("deals", ["dealname"], cursor)
    office.server.clock.move(hours=-23)
    office.edits("deals", deal, dealname="edited")
    office.server.clock.move(hours=1)
    with pytest.raises(CursorExpired, match="reading everything"):
        office.read("deals", ["dealname"], cursor)
    office.server.clock.move(days=1, minutes=-3)
    office.read("deals", ["dealname"], cursor)


def test_a_feed_says_how_far_it_is_complete(office: Office) -> None:
    office.server.clock.fix("2026-11-21T12:00:00Z")
    (first,) = office.connector.changes(DEALS, ["dealname"], None)
    (second,) = office.connector.changes(DEALS, ["dealname"], first.cursor)
    assert first.complete_to == datetime(2026, 11, 21, 12, tzinfo=UTC)
    assert second.complete_to == first.complete_to - timedelta(seconds=30)


def test_many_properties_are_read_in_batches_instead_of_a_long_address(office: Office) -> None:
    office.creates("deals", dealname="wide")
    fields = ["dealname", *(f"a_property_that_is_not_there_{n:04}" for n in range(200))]
    records, _ = office.read("deals", fields)
    assert [record.values for record in records] == [{"dealname": "wide"}]


def test_a_property_that_was_removed_is_unknown_and_not_blank(office: Office) -> None:
    office.adds_property("deals", "campaign")
    deal = office.creates("deals", dealname="here", campaign="autumn")
    office.drops_property("deals", "campaign")
    assert office.fetch("deals", ["dealname", "campaign", "amount"], deal)[deal].values == {
        "dealname": "here", "amount": None,
    }  # fmt: skip


def test_the_actor_of_the_last_change_is_told(office: Office) -> None:
    deal = office.creates("deals", dealname="old")
    office.server.call(office.server.update, "deals", deal, office.server.actor(user=4711), dealname="new")
    assert office.fetch("deals", ["dealname"], deal)[deal].actor == "4711"


# Associations


def linked_office(office: Office) -> tuple[str, list[str], list[str]]:
    deal = office.creates("deals", dealname="deal")
    companies = [office.creates("companies", name=name) for name in ("Acme", "Beta", "Gamma")]
    contacts = [office.creates("contacts", email=f"{n}@example.com") for n in "abc"]
    return deal, companies, contacts


LINKS = ["associations.company", "associations.companies", "associations.contacts"]


def test_associations_read_as_fields(office: Office) -> None:
    deal, companies, contacts = linked_office(office)
    assert office.fetch("deals", LINKS, deal)[deal].values == {
        "associations.company": None, "associations.companies": [], "associations.contacts": [],
    }  # fmt: skip
    office.links("deals", deal, "companies", companies[0], DEAL_TO_COMPANY)
    office.links("deals", deal, "contacts", contacts[1], DEAL_TO_CONTACT)
    office.links("deals", deal, "contacts", contacts[0], DEAL_TO_CONTACT)
    assert office.fetch("deals", LINKS, deal)[deal].values == {
        "associations.company": companies[0], "associations.companies": companies[:1],
        "associations.contacts": sorted(contacts[:2], key=int),
    }  # fmt: skip
    office.links("deals", deal, "companies", companies[1], DEAL_TO_COMPANY)
    assert (office.fetch("deals", LINKS, deal)[deal].values or {})["associations.company"] is None
    office.links("deals", deal, "companies", companies[2], PRIMARY_DEAL_TO_COMPANY)
    assert (office.fetch("deals", LINKS, deal)[deal].values or {})["associations.company"] == companies[2]


def test_a_create_brings_its_associations_in_the_same_call(office: Office) -> None:
    _, companies, contacts = linked_office(office)
    values = {"associations.company": companies[0], "associations.contacts": contacts[:2]}
    outcome = office.write("deals", new("one", **values))["one"]
    deal = outcome.external_id or ""
    assert office.connector.calls.used == 1
    assert outcome.seen == {"dealname": "one", **values}
    assert office.linked("deals", deal, "companies") == {companies[0]: {DEAL_TO_COMPANY, PRIMARY_DEAL_TO_COMPANY}}
    assert set(office.linked("deals", deal, "contacts")) == set(contacts[:2])


def test_an_update_moves_the_primary_company(office: Office) -> None:
    _, companies, _ = linked_office(office)
    deal = office.write("deals", new("one", **{"associations.company": companies[0]}))["one"].external_id or ""
    outcome = office.write("deals", change(
        deal, dealname="two", expected={"associations.company": companies[0]}, **{"associations.company": companies[1]},
    ))["w"]  # fmt: skip
    assert outcome.seen == {"dealname": "two", "associations.company": companies[1]}
    assert office.linked("deals", deal, "companies") == {companies[1]: {DEAL_TO_COMPANY, PRIMARY_DEAL_TO_COMPANY}}
    outcome = office.write("deals", change(deal, **{"associations.company": None}))["w"]
    assert outcome.status == "done"
    assert office.linked("deals", deal, "companies") == {}


def test_a_former_primary_company_stays_where_the_list_names_it(office: Office) -> None:
    _, companies, _ = linked_office(office)
    deal = office.write("deals", new("one", **{"associations.company": companies[0]}))["one"].external_id or ""
    write = change(deal, **{"associations.company": companies[1], "associations.companies": companies[:2]})
    outcome = office.write("deals", write)["w"]
    assert outcome.seen == {"associations.company": companies[1], "associations.companies": companies[:2]}
    assert office.linked("deals", deal, "companies") == {
        companies[0]: {DEAL_TO_COMPANY}, companies[1]: {DEAL_TO_COMPANY, PRIMARY_DEAL_TO_COMPANY},
    }  # fmt: skip


def test_a_set_is_written_as_adds_and_removes_so_that_a_link_somebody_else_made_stays(office: Office) -> None:
    deal, _, (ann, bob, cid) = linked_office(office)
    office.links("deals", deal, "contacts", ann, DEAL_TO_CONTACT)
    office.links("deals", deal, "contacts", bob, DEAL_TO_CONTACT)
    outcome = office.write("deals", change(
        deal, expected={"associations.contacts": [ann]}, **{"associations.contacts": [cid]}
    ))["w"]  # fmt: skip
    assert outcome.seen == {"associations.contacts": sorted([bob, cid], key=int)}
    assert set(office.linked("deals", deal, "contacts")) == {bob, cid}


def test_labels_of_people_are_written_one_by_one_and_those_of_others_stay(office: Office) -> None:
    labels, field = ("Decision maker", "Influencer", "Scout"), "associations.contacts.labels"
    assert [said.endswith("created") for said in office.connector.add_roles("deals", field, labels, apply=True)] == [
        True] * 3
    assert office.connector.describe("deals").fields[field].options == labels
    _, _, (ann, bob, _) = linked_office(office)
    made = {"dealname": "one", field: [f"Decision maker:{ann}", f"Scout:{ann}", bob]}
    outcome = office.write("deals", new("one", **made))["one"]
    deal = outcome.external_id or ""
    assert outcome.seen is not None and outcome.seen[field] == sorted(made[field])
    write = change(deal, expected={field: [f"Decision maker:{ann}", bob]},
                   **{field: [f"Influencer:{ann}", f"Decision maker:{bob}"]})
    held = sorted([f"Decision maker:{bob}", f"Influencer:{ann}", f"Scout:{ann}"])
    seen = office.write("deals", write)["w"].seen
    assert seen == {field: held}
    (record,) = office.connector.fetch(Stream("deals"), [field, "associations.contacts"], [deal])
    assert record.values == {field: held, "associations.contacts": sorted([ann, bob], key=int)}
    unknown = office.write("deals", change(deal, **{field: [f"Gatekeeper:{ann}"]}))["w"]
    assert (unknown.status, unknown.error and unknown.error.code) == ("refused", "association-unknown")


def test_a_meeting_belongs_to_its_deal_and_people(office: Office) -> None:
    deal, _, contacts = linked_office(office)
    values = {
        "hs_meeting_title": "m", "hs_meeting_start_time": "2026-12-01T09:00:00Z",
        "associations.deals": [deal], "associations.contacts": contacts,
    }  # fmt: skip
    outcome = office.write("meetings", Write("m", "create", values, external_key="m:1"))["m"]
    meeting = outcome.external_id or ""
    assert office.linked("meetings", meeting, "deals") == {deal: {212}}
    assert set(office.linked("meetings", meeting, "contacts")) == set(contacts)
    assert office.linked("deals", deal, "meetings") == {meeting: {211}}


def test_an_association_with_what_is_not_there_is_refused_by_name(office: Office) -> None:
    deal, companies, _ = linked_office(office)
    outcomes = office.write(
        "deals",
        change(deal, "bad", **{"associations.company": "999999999999"}),
        new("also bad", **{"associations.company": "999999999999"}),
        new("good", **{"associations.company": companies[0]}),
        new("odd", **{"associations.company": "../../x"}),
    )
    assert {key: outcome.status for key, outcome in outcomes.items()} == {
        "bad": "refused", "also bad": "refused", "good": "done", "odd": "refused",
    }  # fmt: skip
    error = outcomes["bad"].error
    assert isinstance(error, Invalid) and error.field == "associations.company"


def test_a_record_that_is_written_while_its_association_is_refused_is_unknown_and_no_edit_of_anybodys(
    office: Office,
) -> None:
    deal, _, _ = linked_office(office)
    outcome = office.write("deals", change(deal, dealname="ours", **{"associations.company": "999999999999"}))["w"]
    assert (office.holds_of("deals", deal, ["dealname"]) or {})["dealname"] == "ours"
    assert outcome.status == "unknown" and isinstance(outcome.error, Invalid)
    alone = office.write("deals", change(deal, **{"associations.company": "999999999999"}))["w"]
    assert alone.status == "refused" and isinstance(alone.error, Invalid)
    assert alone.error.field == "associations.company"


def test_a_write_half_done_when_the_days_calls_are_used_up_is_unknown_and_ends_the_writing(office: Office) -> None:
    deal, companies, _ = linked_office(office)
    office.server.faults.add("ratelimit", path="*/associations/*", shape="daily")
    found = []
    with pytest.raises(QuotaExhausted):
        for outcome in office.connector.write(DEALS, [
                change(deal, dealname="ours", **{"associations.company": companies[0]})]):
            found.append(outcome)
    assert [outcome.status for outcome in found] == ["unknown"]


def test_an_association_is_not_written_where_what_is_there_was_not_told(office: Office) -> None:
    deal, _, (ann, _, cid) = linked_office(office)
    office.links("deals", deal, "contacts", ann, DEAL_TO_CONTACT)
    office.server.faults.add("empty", path="*/contacts/batch/read", count=2, status=200, body='{"results":[]}')
    write = change(deal, expected={"associations.contacts": [ann]}, **{"associations.contacts": [cid]})
    outcome = office.write("deals", write)["w"]
    assert outcome.status == "retry" and isinstance(outcome.error, Unavailable)
    assert set(office.linked("deals", deal, "contacts")) == {ann}
    assert office.write("deals", write)["w"].status == "done"
    assert set(office.linked("deals", deal, "contacts")) == {cid}


def test_what_hubspot_could_not_remove_is_not_taken_for_removed(office: Office) -> None:
    deal, _, (ann, bob, _) = linked_office(office)
    office.links("deals", deal, "contacts", ann, DEAL_TO_CONTACT)
    write = change(deal, expected={"associations.contacts": [ann]}, **{"associations.contacts": [bob]})
    office.server.faults.add("partial", path="*/associations/*/archive")
    assert office.write("deals", write)["w"].status == "unknown"
    assert set(office.linked("deals", deal, "contacts")) == {ann, bob}
    other = office.creates("deals", dealname="other")
    office.server.faults.add("partial", path="*/objects/deals/batch/archive")
    outcomes = office.write("deals", *(Write(each, "delete", external_id=each) for each in (deal, other)))
    assert {each: outcome.status for each, outcome in outcomes.items()} == {deal: "unknown", other: "done"}
    assert office.ids_of("deals") == {deal}
    office.server.faults.add("empty", path="*/objects/deals/batch/archive", status=200, body="<html>")
    assert office.write("deals", Write("d", "delete", external_id=deal))["d"].status == "unknown"


def test_an_association_made_minutes_after_its_record_is_seen(office: Office) -> None:
    deal, companies, _ = linked_office(office)
    fields = ["dealname", "associations.company"]
    office.server.clock.move(seconds=5)
    _, cursor = office.read("deals", fields)
    _, cursor = office.read("deals", fields, cursor)
    office.server.clock.move(seconds=60)
    office.links("deals", deal, "companies", companies[0], DEAL_TO_COMPANY)
    records, cursor = office.read("deals", fields, cursor)
    assert [record.values for record in records] == [{"dealname": "deal", "associations.company": companies[0]}]
    office.server.clock.move(seconds=5)
    assert office.read("deals", fields, cursor)[0] == []


def test_a_sweep_sees_associations_edited_at_any_time(office: Office) -> None:
    deal, companies, _ = linked_office(office)
    connector = office.reconnected(sweep_associations="always")
    fields = ["associations.company"]
    _, cursor = office.read("deals", fields, connector=connector)
    office.server.clock.move(days=1)
    office.links("deals", deal, "companies", companies[0], DEAL_TO_COMPANY)
    gone = office.creates("deals", dealname="gone")
    office.deletes("deals", gone)
    records, cursor = office.read("deals", fields, cursor, connector=connector)
    assert [(record.id, record.values) for record in records if record.state == "live"] == [
        (deal, {"associations.company": companies[0]})
    ]
    assert [record.id for record in records if record.state == "deleted"] == [gone]


def test_associations_are_read_1000_records_at_a_time(office: Office) -> None:
    office.creates_many("deals", [{"dealname": f"deal {n}"} for n in range(1150)])
    records, _ = office.read("deals", ["dealname", "associations.company"])
    assert len(records) == 1150
    assert office.connector.calls.used == office.connector.calls.minimum == 12 + 2


def test_an_empty_answer_about_associations_is_unknown_and_not_empty(office: Office) -> None:
    deal, companies, _ = linked_office(office)
    office.links("deals", deal, "companies", companies[0], DEAL_TO_COMPANY)
    office.server.faults.add("empty", path="*/companies/batch/read", count=2, status=200, body='{"results":[]}')
    assert office.fetch("deals", ["dealname", "associations.company"], deal)[deal].values == {"dealname": "deal"}


def test_the_type_ids_are_hubspots_own(reference_data: Path) -> None:
    from connectors.hubspot.associations import PRIMARY, UNLABELLED

    known = orjson.loads((reference_data / "hubspot" / "association_type_ids.json").read_bytes())["types"]
    singular = {"companies": "COMPANY"}
    for prefix, table in (("", UNLABELLED), ("PRIMARY_", PRIMARY)):
        for (source, to), number in table.items():
            name = prefix + "_TO_".join(singular.get(each, each.upper().removesuffix("S")) for each in (source, to))
            assert known[name] == number


# History


def test_a_value_written_between_our_read_and_our_write_is_told(office: Office) -> None:
    deal = office.creates("deals", dealname="deal", amount="100", hs_next_step="call")
    office.server.clock.move(seconds=5)
    seen = office.fetch("deals", ["amount", "hs_next_step"], deal)[deal]
    office.server.clock.move(seconds=5)
    office.edits("deals", deal, amount="250")
    office.server.clock.move(seconds=5)
    write = change(
        deal, amount="175.50", hs_next_step="meet", version=seen.version,
        expected={"amount": "100", "hs_next_step": "call"},
    )  # fmt: skip
    assert office.write("deals", write)["w"].status == "done"
    assert office.connector.overwritten(DEALS, {deal: write}) == {deal: {"amount": "250"}}


def test_the_time_of_our_read_decides_where_no_value_was_expected(office: Office) -> None:
    deal = office.creates("deals", dealname="deal", amount="100", hs_next_step="call")
    office.server.clock.move(seconds=5)
    seen = office.fetch("deals", ["amount"], deal)[deal]
    office.server.clock.move(seconds=5)
    office.edits("deals", deal, hs_next_step="wait")
    office.server.clock.move(seconds=5)
    write = change(deal, amount="175", hs_next_step="meet", version=seen.version)
    office.write("deals", write)
    assert office.connector.overwritten(DEALS, {deal: write}) == {deal: {"hs_next_step": "wait"}}


def test_the_order_of_the_history_is_that_of_the_times_however_they_are_written(office: Office) -> None:
    deal = office.creates("deals", dealname="deal", amount="100")
    write = change(deal, amount="175", version="2026-11-21T12:00:00Z", expected={"amount": "100"})
    told = [("175", "2026-11-21T12:00:05.300Z"), ("250", "2026-11-21T12:00:05Z"), ("100", "2026-11-21T12:00:00Z")]
    body = {"results": [{"id": deal, "properties": {}, "propertiesWithHistory": {
        "amount": [{"value": value, "timestamp": stamp} for value, stamp in told]}}]}
    office.server.faults.add("status", path="*/batch/read", status=200, body=body)
    assert office.connector.overwritten(DEALS, {deal: write}) == {deal: {"amount": "250"}}


def test_nothing_is_told_where_nobody_wrote_between(office: Office) -> None:
    deal = office.creates("deals", dealname="deal", amount="100")
    office.server.clock.move(seconds=5)
    seen = office.fetch("deals", ["amount"], deal)[deal]
    write = change(deal, amount="175", version=seen.version, expected={"amount": "100"})
    office.write("deals", write)
    office.server.clock.move(seconds=5)
    office.edits("deals", deal, amount="300")
    assert office.connector.overwritten(DEALS, {deal: write}) == {}


# Owners, schema, setting up


def test_owners_are_read_with_those_who_left(office: Office) -> None:
    ann = office.server.add_owner("ann@example.com", "Ann", "Ito")
    old = office.server.add_owner("old@example.com", "Old", "Hand", archived=True)
    fields = ["id", "email", "firstName", "archived", "userId"]
    records, cursor = office.read("owners", fields)
    by_id = {record.id: record.values for record in records}
    assert by_id[ann] is not None and by_id[ann]["email"] == "ann@example.com" and by_id[ann]["archived"] is False
    assert isinstance(by_id[ann]["userId"], str) and by_id[ann]["userId"] != ann
    assert by_id[old] is not None and by_id[old]["archived"] is True and by_id[old]["userId"] is None
    used = office.connector.calls.used
    records, cursor = office.read("owners", fields, cursor)
    assert (records, office.connector.calls.used - used) == ([], 2)
    new_one = office.server.add_owner("new@example.com")
    assert [record.id for record in office.read("owners", fields, cursor)[0]] == [new_one]
    assert {each.state for each in office.fetch("owners", fields, ann, "1").values()} == {"live", "deleted"}
    outcome = office.write("owners", Write("o", "update", {"email": "x@example.com"}, external_id=ann))["o"]
    assert outcome.status == "refused"


def test_the_schema_of_deals_has_stages_owners_and_associations(office: Office) -> None:
    fields = office.connector.describe("deals").fields
    assert {"closedwon", "closedlost"} <= set(fields["dealstage"].options) and fields["dealstage"].restricted
    assert "default" in fields["pipeline"].options
    assert not fields["hs_projected_amount"].updateable and fields["amount"].updateable
    assert fields["hubspot_owner_id"].references == ("owners",)
    assert fields["sidefeed_key"].unique
    assert fields["associations.company"].references == ("companies",)


def test_prepare_says_what_to_do_and_does_it_when_told() -> None:
    with HubSpotServer(control=False) as server:
        office = Office(server)
        (advice,) = office.connector.prepare(["deals"], apply=False)
        assert "sidefeed_key" in advice and "unique" in advice
        outcome = office.write("deals", new("early"))["early"]
        assert outcome.status == "refused" and outcome.error is not None
        assert (outcome.error.code, outcome.error.owner) == ("key-field-missing", "admin")
        with pytest.raises(Invalid, match="sidefeed prepare"):
            office.connector.find(DEALS, ["early:1"])
        assert "created" in office.connector.prepare(["deals"], apply=True)[0]
        assert "is there" in office.connector.prepare(["deals"], apply=True)[0]
        assert office.write("deals", new("early"))["early"].status == "done"
        office.close()


def test_prepare_without_the_right_says_what_an_administrator_must_do(office: Office) -> None:
    office.server.condition("permission_removed", scope="crm.schemas.contacts.write")
    connector = office.reconnected(key_property="another_key")
    (said,) = connector.prepare(["contacts"], apply=True)
    assert "another_key" in said and "crm.schemas.contacts.write" in said


def test_a_second_create_with_a_key_that_is_taken_is_no_second_record(office: Office) -> None:
    first = office.write("deals", new("one"))["one"].external_id
    outcome = office.write("deals", new("one"))["one"]
    assert outcome.status == "refused" and isinstance(outcome.error, Duplicate)
    assert office.ids_of("deals") == {first}


def test_an_update_of_one_missing_record_holds_back_nobody(office: Office) -> None:
    deal, gone = office.creates("deals", dealname="a"), office.creates("deals", dealname="b")
    office.deletes("deals", gone)
    outcomes = office.write("deals", change(deal, "one", dealname="c"), change(gone, "two", dealname="d"))
    assert outcomes["one"].status == "done"
    assert outcomes["two"].status == "refused" and isinstance(outcomes["two"].error, Gone)


def test_the_census_pages_through_everything(office: Office) -> None:
    made = office.creates_many("deals", [{"dealname": f"deal {n}"} for n in range(230)])
    listed = list(office.connector.ids(DEALS))
    assert {each for each, _ in listed} == made and len(listed) == 230
    some, version = listed[0]
    assert office.fetch("deals", ["dealname"], some)[some].version == version


def test_all_calls_share_one_connection(office: Office) -> None:
    deal = office.creates("deals", dealname="here")
    connections: set[object] = set()
    office.server.on_request = lambda _ordinal, request, _phase: connections.add(request.connection)
    try:
        for _ in range(10):
            office.fetch("deals", ["dealname", "associations.company"], deal)
            office.connector.find(DEALS, ["no:1"])
            office.read("owners", ["email"])
        office.connector.describe("deals")
        office.connector.marker()
    finally:
        office.server.on_request = None
    assert len(connections) == 1


def test_the_servers_own_limits_are_kept_without_a_refusal(office: Office) -> None:
    office.server.condition("limits", search_per_second=4, per_window=100_000)
    connector = HubSpotConnector.from_settings({**office.settings, "search_per_second": 4, "portal_id": "24711306"})
    _, cursor = office.read("deals", ["dealname"])
    for _ in range(6):
        _, cursor = office.read("deals", ["dealname"], cursor, connector=connector)
    assert connector.calls.used == connector.calls.minimum == 12
