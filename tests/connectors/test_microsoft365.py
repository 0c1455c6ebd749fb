"""What goes wrong with Microsoft 365, and what must never happen: mail, private words, duplicates, lost deletions."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from connectors.exchange import ExchangeConnector
from connectors.microsoft365 import Microsoft365Connector
from connectors.microsoft365.door import Part
from connectors.microsoft365.values import LINK
from sandbox.exchange import ExchangeServer
from sandbox.graph import GraphServer
from sandbox.graph.login import Application
from sidefeed.connector import (
    AuthenticationFailed,
    ConnectorError,
    CursorExpired,
    Invalid,
    OddAnswer,
    PermissionDenied,
    RateLimited,
    Remote,
    Stream,
    Unavailable,
    Write,
)
from tests.connectors.graph_office import ANN, BOB, CAT, MEETING_FIELDS, MONDAY, Office, at, practice_server, read
from tests.sandbox.test_graph_login import key_and_certificate

STREAM = Stream("calendar", ANN)
CONTACTS = Stream("contacts", ANN)


@pytest.fixture(scope="module")
def served() -> Iterator[GraphServer]:
    server = practice_server()
    server.save_snapshot()
    yield server
    crashes = [crash.traceback for crash in server.crashes]
    server.stop()
    assert not crashes, crashes[0]


@pytest.fixture
def office(served: GraphServer) -> Iterator[Office]:
    served.restore_snapshot()
    served.faults.clear()
    served.clock.fix(MONDAY)
    made = Office(served)
    yield made
    made.close()
    served.condition("limits", concurrent=4, requests=10_000)
    served.condition("scope", mailboxes=None)


def create(key: str = "rec-1:1", **values: Any) -> Write:
    given = {"Subject": "Review", "Start": "2026-11-24T09:00:00Z", "End": "2026-11-24T10:00:00Z", **values}
    return Write(key, "create", given, external_key=key)


def one(connector: Microsoft365Connector, identifier: str, fields: Any = MEETING_FIELDS) -> Remote:
    (answer,) = connector.fetch(STREAM, fields, [identifier])
    return answer


# -- settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"tenant_id": ""}, "tenant_id"), ({"tenant_id": "a/b"}, "tenant_id"), ({"client_id": None}, "client_id"),
        ({"client_secret": ""}, "client_secret"), ({"mailboxes": []}, "mailboxes"),
        ({"mailboxes": ["nobody"]}, "mailboxes"), ({"mailboxes": ["a/../b@x.example"]}, "mailboxes"),
        ({"graph_base": "http://graph.example.com/v1.0"}, "graph_base"), ({"login_base": "ftp://x"}, "login_base"),
        ({"window_future_days": 1000}, "window_future_days"), ({"ca_file": "/nowhere"}, "ca_file"),
        ({"private_key": "x"}, "client_secret"), ({"read_bodies": "perhaps"}, "read_bodies"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_named(office: Office, more: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        Microsoft365Connector.from_settings(office.settings(**more))
    assert refused.value.field == field and field in refused.value.message
    assert office.calls() == 0


def test_a_wrong_secret_is_told_as_what_it_is(office: Office) -> None:
    connector = office.connect(client_secret="wrong")
    with pytest.raises(AuthenticationFailed, match="AADSTS7000215"):
        read(connector, STREAM)
    with pytest.raises(AuthenticationFailed, match="elsewhere"):
        read(office.connect(tenant_id="elsewhere"), STREAM)


def test_a_certificate_signs_in_and_a_key_that_is_none_is_told_without_showing_it(office: Office) -> None:
    private, certificate, _ = key_and_certificate()
    office.server.login.applications["certified"] = Application("certified", certificate=certificate.decode())
    office.server.clock.fix(datetime.now(UTC))  # msal signs by the clock of this machine
    table = {**office.settings(client_id="certified"), "private_key": private.decode(), "certificate": certificate.decode()}
    del table["client_secret"]
    connector = Microsoft365Connector.from_settings(table)
    assert read(connector, STREAM)[0] == {}
    assert "PRIVATE KEY" not in repr(connector) + repr(connector.settings)
    connector.close()
    broken = Microsoft365Connector.from_settings({**table, "private_key": "nonsense-of-mine"})
    with pytest.raises(AuthenticationFailed) as refused:
        read(broken, STREAM)
    broken.close()
    assert "nonsense-of-mine" not in refused.value.message


def test_an_authority_of_ones_own_guards_the_way() -> None:
    server = practice_server(tls=True)
    office = Office(server)
    assert read(office.connect(), STREAM)[0] == {}
    with pytest.raises(Unavailable):
        read(office.connect(ca_file=None), STREAM)
    office.close()
    server.stop()


def test_a_token_that_dies_is_renewed_and_one_that_is_refused_again_is_final(office: Office) -> None:
    made = office.meets("first")
    connector = office.connect()
    read(connector, STREAM)
    office.server.condition("expire_tokens")
    assert one(connector, made).values is not None
    office.server.faults.add("status", status=401, path="/v1.0/*", count=2, body={"error": {"code": "InvalidAuth"}})
    with pytest.raises(AuthenticationFailed):
        one(connector, made)


# -- rights -----------------------------------------------------------------------------------------------------------


def test_a_mailbox_outside_the_scope_is_explained_and_holds_back_no_other(office: Office) -> None:
    office.server.condition("scope", mailboxes=[BOB])
    office.meets("Bob's", BOB)
    connector = office.connect()
    with pytest.raises(PermissionDenied, match="management scope") as refused:
        read(connector, STREAM)
    assert refused.value.code == "outside-scope" and refused.value.owner == "admin"
    assert len(read(connector, Stream("calendar", BOB))[0]) == 1


def test_a_missing_permission_and_a_missing_mailbox_are_for_the_administrator(office: Office) -> None:
    roles = office.server.login.applications["practice-app"].roles
    try:
        office.server.condition("roles", roles=["Calendars.Read"])
        connector = office.connect()
        read(connector, STREAM)
        with pytest.raises(PermissionDenied, match="permission"):
            read(connector, CONTACTS)
        (outcome,) = connector.write(STREAM, [create()])
        assert (outcome.status, type(outcome.error)) == ("refused", PermissionDenied)
        people, _ = read(connector, Stream("mailboxes"), fields=("address", "name"))
        assert people[ANN].values == {"address": ANN}  # the directory may not be asked: the name stays unknown
    finally:
        office.server.condition("roles", roles=list(roles))
    nobody = "nobody@practice.example"
    with pytest.raises(PermissionDenied, match="no mailbox"):
        read(office.connect(mailboxes=[nobody]), Stream("calendar", nobody))


def test_people_have_the_names_of_the_directory_or_of_the_settings(office: Office) -> None:
    connector = office.connect(mailboxes=[ANN, {"address": BOB, "name": "Robert"}])
    people, cursor = read(connector, Stream("mailboxes"), fields=("address", "name"))
    assert {each: (record.values or {})["name"] for each, record in people.items()} == {ANN: "Ann", BOB: "Robert"}
    assert read(connector, Stream("mailboxes"), cursor)[0] == {}


# -- private ----------------------------------------------------------------------------------------------------------

SECRETS = ("dentist", "Dr. Molar", "molar@teeth.example", "root canal")


def test_private_meetings_arrive_without_a_word(office: Office, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    private = {"sensitivity": "Private", "location": "Dr. Molar", "attendees": ["molar@teeth.example"], "body": "root canal"}
    single = office.meets("dentist", **private)
    office.meets("dentist weekly", recurrence={"weekly": ["Tuesday"], "count": 3}, **private)
    connector = office.connect(read_bodies=True)
    fields = (*MEETING_FIELDS, "Body")
    told, cursor = read(connector, STREAM, fields=fields)
    assert len(told) == 4
    fetched = list(connector.fetch(STREAM, fields, list(told)))
    for record in (*told.values(), *fetched):
        assert set(record.values or {}) == {"Key", "Start", "End", "Zone", "IsAllDay", "ShowAs", "Sensitivity"}
    shown = repr(told) + repr(fetched) + cursor + caplog.text
    assert not [word for word in SECRETS if word in shown]
    assert (one(connector, single, ("Subject", "Sensitivity")).values or {}) == {"Sensitivity": "private"}


def test_bodies_are_read_only_where_they_are_wanted(office: Office) -> None:
    made = office.meets("open", body="<p>agenda &amp; more</p>")
    assert "Body" not in (one(office.connect(), made, ("Body",)).values or {})
    assert (one(office.connect(read_bodies=True), made, ("Body",)).values or {})["Body"] == "agenda & more"


# -- mail -------------------------------------------------------------------------------------------------------------


def test_a_meeting_with_people_is_never_written_because_graph_would_mail_them(office: Office) -> None:
    made = office.meets("with people", attendees=["zoe@acme.example"])
    connector = office.connect()
    there = one(connector, made)
    outcomes = list(connector.write(STREAM, [
        Write("u", "update", {"Location": "Rome"}, made, version=there.version),
        Write("d", "delete", external_id=made, version=there.version),
    ]))  # fmt: skip
    assert [(each.status, each.error.code if each.error else "") for each in outcomes] == [("refused", "would-mail")] * 2
    assert "mail" in outcomes[0].error.message  # type: ignore[union-attr]
    assert office.mailed() == [] and one(connector, made).version == there.version


def test_somebody_invited_between_the_look_and_the_write_is_not_mailed(office: Office) -> None:
    made = office.meets("alone")
    connector = office.connect()
    there = one(connector, made)
    invited = threading.Event()

    def invite(_: int, request: Any, phase: str) -> None:
        if phase == "before" and b'"PATCH"' in request.body and not invited.is_set():
            invited.set()
            office.server.office.update_event(ANN, office.item(made), attendees=["zoe@acme.example"])

    office.server.on_request = invite
    try:
        (outcome,) = connector.write(STREAM, [Write("u", "update", {"Subject": "x"}, made, version=there.version)])
    finally:
        office.server.on_request = None
    assert invited.is_set() and outcome.status == "stale" and office.mailed() == []


def test_a_new_meeting_has_no_attendees_and_says_so_if_asked(office: Office) -> None:
    (outcome,) = office.connect().write(STREAM, [create(Attendees=[{"address": "zoe@acme.example"}])])
    assert outcome.status == "refused" and isinstance(outcome.error, Invalid) and outcome.error.field == "Attendees"
    assert office.mailed() == [] and office.do(office.server.office.items, ANN) == []


def test_people_are_invited_where_the_organiser_asked_for_it_and_told_of_what_becomes_of_it(office: Office) -> None:
    connector = office.connect()
    asked = replace(create(Attendees=[{"address": "zoe@acme.example", "name": "Zoe"}], OnlineMeeting=True), mail=True)
    (outcome,) = connector.write(STREAM, [asked])
    assert outcome.status == "done" and len(office.mailed()) == 1
    values = one(connector, outcome.external_id or "").values or {}
    assert [person["address"] for person in values["Attendees"]] == ["zoe@acme.example"]
    assert values["JoinUrl"].startswith("https://teams.microsoft.com/")
    gone = Write("2", "delete", external_id=outcome.external_id)
    assert [each.status for each in connector.write(STREAM, [gone])] == ["refused"] and len(office.mailed()) == 1
    assert [each.status for each in connector.write(STREAM, [replace(gone, mail=True)])] == ["done"]
    assert len(office.mailed()) == 2


# -- writing ----------------------------------------------------------------------------------------------------------


def test_a_new_meeting_carries_its_key_twice_and_its_zone(office: Office) -> None:
    connector = office.connect()
    (outcome,) = connector.write(STREAM, [create(Zone="America/New_York", ShowAs="workingelsewhere", Location="Rome")])
    (item,) = office.do(office.server.office.items, ANN)
    assert item.get("graph:TransactionId") == "rec-1:1"
    assert [(key.name, each.value) for key, each in item.extended.items()] == [("sidefeed-link", "rec-1:1")]
    values = one(connector, outcome.external_id or "").values or {}
    assert (values["Zone"], values["Start"], values["ShowAs"]) == (
        "America/New_York", "2026-11-24T09:00:00Z", "workingelsewhere")  # fmt: skip


@pytest.mark.parametrize(
    ("values", "field"),
    [({"Zone": "Mars/Olympus"}, "Zone"), ({"Start": None}, "Start"), ({"Start": "soon"}, "Start"),
     ({"ShowAs": "asleep"}, "ShowAs"), ({"UID": "x"}, "UID")],
)  # fmt: skip
def test_what_cannot_be_written_is_refused_by_its_field_and_the_rest_goes_on(
    office: Office, values: dict[str, Any], field: str
) -> None:
    bad, good = office.connect().write(STREAM, [create("bad", **values), create("good")])
    assert (bad.status, good.status) == ("refused", "done")
    assert isinstance(bad.error, Invalid) and bad.error.field == field


@pytest.mark.parametrize("zone", ["America/Los_Angeles", "Pacific/Auckland", "UTC"])
def test_whole_days_stay_the_days_they_are(office: Office, zone: str) -> None:
    connector = office.connect(timezone=zone)
    day = {"Start": "2026-11-24", "End": "2026-11-26", "IsAllDay": True}
    (outcome,) = connector.write(STREAM, [create(**day)])
    values = one(connector, outcome.external_id or "").values or {}
    assert {name: values[name] for name in day} == day
    (moved,) = connector.write(STREAM, [Write("u", "update", {"Start": "2026-11-25", "End": "2026-11-27"},
                                              outcome.external_id, version=outcome.version)])  # fmt: skip
    assert moved.status == "done"
    values = one(connector, outcome.external_id or "").values or {}
    assert (values["Start"], values["End"], values["Zone"]) == ("2026-11-25", "2026-11-27", zone)


def test_a_zone_alone_can_change_and_the_instants_stay(office: Office) -> None:
    made = office.meets("here", timezone="Europe/Berlin")
    connector = office.connect()
    there = one(connector, made)
    (outcome,) = connector.write(STREAM, [Write("u", "update", {"Zone": "Asia/Tokyo"}, made, version=there.version)])
    after = one(connector, made).values or {}
    assert outcome.status == "done" and after["Zone"] == "Asia/Tokyo"
    assert (after["Start"], after["End"]) == ((there.values or {})["Start"], (there.values or {})["End"])


def test_one_occurrence_is_changed_and_deleted_alone(office: Office) -> None:
    master = office.meets("weekly", recurrence={"weekly": ["Tuesday"], "count": 4})
    connector = office.connect()
    told, cursor = read(connector, STREAM)
    second, third = f"{master}@2026-12-01T09:00:00Z", f"{master}@2026-12-08T09:00:00Z"
    (changed,) = connector.write(STREAM, [Write("u", "update", {"Subject": "other"}, second,
                                                version=told[second].version)])  # fmt: skip
    assert (changed.status, changed.external_id) == ("done", second)
    after, cursor = read(connector, STREAM, cursor)
    assert (after[second].values or {})["Subject"] == "other" and (after[third].values or {})["Subject"] == "weekly"
    (gone,) = connector.write(STREAM, [Write("d", "delete", external_id=third, version=after[third].version)])
    assert gone.status == "done"
    assert read(connector, STREAM, cursor)[0][third].state == "deleted"
    (late,) = connector.write(STREAM, [Write("u", "update", {"Subject": "x"}, third, version="")])
    assert late.status == "refused"


@pytest.mark.parametrize("answer", ["event", "conflict"])
def test_a_create_that_graph_has_seen_before_makes_no_second_meeting(office: Office, answer: str) -> None:
    office.server.condition("behaviour", repeated_transaction=answer)
    connector = office.connect()
    (first,), (second,) = (list(connector.write(STREAM, [create()])) for _ in range(2))
    assert (first.status, second.status, second.external_id) == ("done", "done", first.external_id)
    assert len(office.do(office.server.office.items, ANN)) == 1
    office.server.condition("behaviour", repeated_transaction="event")


def test_keys_that_differ_in_case_alone_are_two(office: Office) -> None:
    connector = office.connect()
    made = {each.key: each.external_id for each in connector.write(STREAM, [create("AbC:1"), create("aBc:1")])}
    assert connector.find(STREAM, ["AbC:1", "aBc:1", "o'hara:1"]) == {
        "AbC:1": [made["AbC:1"]], "aBc:1": [made["aBc:1"]], "o'hara:1": []}  # fmt: skip


def test_a_contact_keeps_what_is_not_written(office: Office) -> None:
    made = office.id(office.do(
        office.server.office.create_contact, ANN, given_name="Zoe", emails=["a@x.example", "b@x.example"],
        phones={"BusinessPhone": "1", "BusinessPhone2": "2", "MobilePhone": "3"}, notes="tall"))  # fmt: skip
    connector = office.connect()
    fields = ("EmailAddress1", "EmailAddress2", "EmailAddress3", "BusinessPhone", "MobilePhone")
    (there,) = connector.fetch(CONTACTS, fields, [made])
    (outcome,) = connector.write(CONTACTS, [Write("u", "update", {"EmailAddress2": "c@x.example", "BusinessPhone": "9"},
                                                  made, version=there.version)])  # fmt: skip
    item = office.do(office.item, made)
    assert outcome.status == "done"
    assert item.get("contacts:EmailAddresses") == {"EmailAddress1": "a@x.example", "EmailAddress2": "c@x.example"}
    assert item.get("contacts:PhoneNumbers") == {"BusinessPhone": "9", "BusinessPhone2": "2", "MobilePhone": "3"}
    assert item.get("item:Body").text == "tall"


# -- bad days ---------------------------------------------------------------------------------------------------------


def test_graph_is_given_the_time_it_asks_for(office: Office) -> None:
    office.meets("first")
    connector = office.connect()
    office.server.faults.add("throttled", path="*/delta", retry_after=7)
    office.server.faults.add("unavailable", path="*/delta", retry_after=3)
    assert len(read(connector, STREAM)[0]) == 1
    assert office.waited == [7.0, 3.0]
    office.server.faults.add("throttled", path="*/delta", retry_after=600)
    with pytest.raises(RateLimited) as refused:
        read(connector, STREAM)
    assert refused.value.retry_after == 600 and len(office.waited) == 2  # that long is the caller's to wait


@pytest.mark.parametrize("odd", ["../../me", "a/b?c=d#e", "AAMk+/=", "' or 1 eq 1", "\u00e9" * 100, "%2e%2e%2f", "x" * 600])
def test_an_id_with_slashes_and_quotes_names_one_item_and_reaches_no_other_path(office: Office, odd: str) -> None:
    made = office.meets("first")
    connector = office.connect()
    answers = {each.id: each.state for each in connector.fetch(STREAM, ("Subject",), [odd, made])}
    assert answers == {odd: "deleted", made: "live"}


def test_a_page_of_changes_that_leads_back_to_itself_ends_with_an_error(office: Office) -> None:
    office.meets("first")
    connector = office.connect()
    round_ = {"value": [], "@odata.nextLink": f"{office.server.url}/v1.0/users/{ANN}/calendarView/delta?$skiptoken=1"}
    office.server.faults.add("status", path="*/delta", status=200, body=round_, count=None)
    before = connector.calls.used
    with pytest.raises(OddAnswer, match="leads back"):
        read(connector, STREAM)
    assert connector.calls.used - before <= 5  # login and place included
    office.server.faults.clear()
    assert len(read(connector, STREAM)[0]) == 1


def test_throttled_parts_of_a_batch_are_asked_again_alone(office: Office) -> None:
    ids = [office.meets(f"m{number}") for number in range(8)]
    connector = office.connect()
    office.server.condition("limits", concurrent=2, retry_after=2)
    answers = list(connector.fetch(STREAM, ("Subject",), ids))
    assert [each.id for each in answers] == ids and {each.state for each in answers} == {"live"}
    assert office.waited and set(office.waited) == {2.0}


def test_throttled_writes_were_not_done_and_are_sent_again_without_doubling(office: Office) -> None:
    connector = office.connect()
    office.server.condition("limits", concurrent=2, retry_after=1)
    outcomes = list(connector.write(STREAM, [create(f"k{number}:1") for number in range(8)]))
    assert [each.status for each in outcomes] == ["done"] * 8
    assert len(office.do(office.server.office.items, ANN)) == 8
    office.server.condition("limits", requests=0)
    (outcome,) = connector.write(STREAM, [create("late:1")])
    assert outcome.status == "retry" and isinstance(outcome.error, RateLimited)
    assert len(office.do(office.server.office.items, ANN)) == 8


@pytest.mark.parametrize("after", [True, False])
def test_a_gateway_that_gave_up_leaves_a_write_unknown_and_the_key_tells(office: Office, after: bool) -> None:
    connector = office.connect()
    office.server.faults.add("gateway", path="/v1.0/$batch", after=after)
    (outcome,) = connector.write(STREAM, [create()])
    assert outcome.status == "unknown"
    assert len(connector.find(STREAM, ["rec-1:1"])["rec-1:1"]) == (1 if after else 0)


def test_an_outage_before_an_update_is_sent_leaves_it_for_later(office: Office) -> None:
    made = office.meets("first")
    connector = office.connect()
    there = one(connector, made)
    office.server.faults.add("unavailable", path="/v1.0/$batch", count=None, retry_after=None)
    (outcome,) = connector.write(STREAM, [Write("u", "update", {"Subject": "x"}, made, version=there.version)])
    assert (outcome.status, outcome.external_id) == ("retry", made)


@pytest.mark.parametrize("code", ["SyncStateNotFound", "resyncRequired"])
def test_an_expired_state_is_told_also_in_the_middle_of_a_round(office: Office, code: str) -> None:
    for number in range(60):
        office.meets(f"m{number}")
    connector = office.connect()
    pages = connector.changes(STREAM, MEETING_FIELDS, None)
    next(pages)
    office.server.condition("forget_sync_states", code=code)
    with pytest.raises(CursorExpired):
        list(pages)


def test_a_cursor_of_another_mailbox_or_window_is_refused(office: Office) -> None:
    _, cursor = read(office.connect(), STREAM)
    with pytest.raises(CursorExpired):
        read(office.connect(), Stream("calendar", BOB), cursor)
    with pytest.raises(CursorExpired):
        read(office.connect(window_future_days=30), STREAM, cursor)


def test_removed_means_two_things(office: Office) -> None:
    near, far = office.meets("near"), office.meets("far", start=at(300, 9))
    connector = office.connect()
    told, cursor = read(connector, STREAM)
    assert set(told) == {near}
    office.edits(near, start=at(250, 9), end=at(250, 10))
    office.edits(far, subject="touched")
    told, cursor = read(connector, STREAM, cursor)
    assert {each: record.state for each, record in told.items()} == {near: "live", far: "live"}
    office.deletes(near)
    told, _ = read(connector, STREAM, cursor)
    assert {each: record.state for each, record in told.items()} == {near: "deleted"}


def test_zones_that_nobody_knows_hold_back_nobody(office: Office) -> None:
    custom = office.server.condition("custom_zone", mailbox=ANN, start="2026-11-25T09:00:00")
    odd = office.server.condition("unknown_zone", mailbox=ANN, start="2026-11-26", all_day=True)
    plain = office.meets("plain")
    connector = office.connect()
    told, _ = read(connector, STREAM)
    assert set(told) == {custom, odd, plain}
    assert (told[custom].values or {})["Zone"] == "tzone://Microsoft/Custom"
    (outcome,) = connector.write(STREAM, [Write("u", "update", {"Start": "2026-11-25T12:00:00Z",
                                          "End": "2026-11-25T13:00:00Z"}, custom, version=told[custom].version)])  # fmt: skip
    assert outcome.status == "done" and (one(connector, custom).values or {})["Start"] == "2026-11-25T12:00:00Z"


def test_six_hundred_people_and_endless_series(office: Office) -> None:
    crowd = [f"p{number}@acme.example" for number in range(600)]
    big = office.meets("crowd", attendees=crowd)
    office.meets("daily", recurrence={"daily": 1})
    told, _ = read(office.connect(window_past_days=0, window_future_days=10), STREAM)
    assert len((told[big].values or {})["Attendees"]) == 600
    assert 10 <= len(told) <= 20


def test_a_meeting_of_twenty_days_is_one_meeting(office: Office) -> None:
    voyage = office.meets("voyage", end=at(21, 9))
    told, _ = read(office.connect(window_past_days=0, window_future_days=10), STREAM)
    assert (told[voyage].values or {})["End"] == "2026-12-14T09:00:00Z" and list(told) == [voyage]


def test_a_link_that_leads_elsewhere_is_not_followed_with_our_token(office: Office) -> None:
    connector = office.connect()
    with pytest.raises(ConnectorError, match="leads away"):
        connector._opened(STREAM).get(ANN, "https://graph.example.com/v1.0/users/x/calendarView/delta?$deltatoken=1")
    assert office.calls() == 0


def test_a_page_that_is_no_json_is_an_outage(office: Office) -> None:
    connector = office.connect()
    office.server.faults.add("html", path="*/delta", status=200, count=None)
    with pytest.raises(Unavailable):
        read(connector, STREAM)


def test_at_most_four_requests_are_in_flight_however_many_threads_ask(office: Office) -> None:
    ids = [office.meets(f"m{number}") for number in range(6)]
    office.server.limits.peak.clear()
    before = office.server.limits.refused
    office.server.faults.add("slow", path="/v1.0/*", count=None, seconds=0.02)
    connectors = [office.connect() for _ in range(2)]

    def work(connector: Microsoft365Connector) -> None:
        list(connector.fetch(STREAM, ("Subject",), ids))
        read(connector, STREAM)
        connector._opened(STREAM).read_batch(ANN, [Part("GET", "events?$top=1")] * 3)

    threads = [threading.Thread(target=work, args=(connectors[number % 2],)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    office.server.faults.clear()
    assert office.server.limits.peak[ANN] == 4
    assert office.server.limits.refused == before


# -- one meeting through two doors -------------------------------------------------------------------------------------


def test_ews_and_graph_tell_the_same_of_one_mailbox() -> None:
    """Every kind of meeting: the same keys and the same values, so that it is one record in the workspace."""
    with ExchangeServer() as exchange:
        exchange.clock.fix(MONDAY)
        for address in (ANN, BOB, CAT):
            exchange.call(exchange.add_mailbox, address, password="secret", timezone="Europe/Berlin")
        graph = practice_server(exchange=exchange)

        def meets(subject: str, address: str = ANN, **values: Any) -> Any:
            values.setdefault("start", at(1, 9))
            values.setdefault("end", at(1, 10))
            return exchange.call(lambda: exchange.create_event(address, subject=subject, **values))

        meets("single", location="https://zoom.us/j/123", attendees=["zoe@acme.example"], categories=["Red"])
        meets("private", sensitivity="Private")
        meets("days", all_day=True, start=at(2).date(), end=at(3).date(), timezone="America/Los_Angeles")
        meets("far days", all_day=True, start=at(2).date(), end=at(2).date(), timezone="Pacific/Auckland", uid="foreign@uid")
        series = meets("weekly", recurrence={"weekly": ["Tuesday"], "count": 4}, timezone="Europe/London")
        exchange.call(lambda: exchange.update_event(ANN, series, occurrence=2, subject="moved", start=at(9, 9), end=at(9, 10)))
        exchange.call(lambda: exchange.delete(ANN, series, occurrence=3))
        meets("Bob's", BOB, attendees=[ANN], send="SendToAllAndSaveCopy", show_as="OOF")
        login = {"endpoint": f"{exchange.url}/EWS/Exchange.asmx", "username": ANN, "password": "secret",
                 "mailboxes": [ANN], "access": "delegate"}  # fmt: skip
        office = Office(graph)
        doors = (ExchangeConnector.from_settings(login), office.connect())
        views = []
        for door in doors:
            told = {record.id: record for page in door.changes(STREAM, MEETING_FIELDS, None) for record in page.records}
            views.append({(record.values or {})["Key"]: record.values for record in told.values()})
            door.close()
        assert len(views[0]) == 8 and views[0] == views[1]
        key = "rec-9:1"
        (made,) = office.connect().write(STREAM, [create(key)])
        again = ExchangeConnector.from_settings(login)
        assert len(again.find(STREAM, [key])[key]) == 1
        again.close()
        office.close()
        graph.stop()
        assert graph.crashes == exchange.crashes == [] and made.status == "done" and LINK.startswith("String {")


def test_a_contact_folder_of_its_own_is_made_and_contacts_elsewhere_are_never_touched(office: Office) -> None:
    people, own = office.server.office, Stream("contacts", ANN)
    unmanaged = office.id(office.do(people.create_contact, ANN, given_name="Una", emails=["una@acme.example"]))
    connector = office.connect(contacts_folder="Sidefeed", mailboxes=[ANN])
    with pytest.raises(Invalid, match=r"no contact folder 'Sidefeed'.*prepare"):
        read(connector, own, fields=("EmailAddress1",))
    assert "would be created" in connector.prepare([], apply=False)[-1]
    told = connector.rights("contacts", reads=(), writes=("JobTitle",), creates=True, deletes=False)
    assert told.needed == ("Application Contacts.ReadWrite, scoped to the mailboxes",)
    assert told.unready == (f"{ANN}: there is no contact folder 'Sidefeed'",)
    assert connector.prepare([], apply=True)[-1] == f"{ANN}: contact folder 'Sidefeed' created."
    connector = office.connect(contacts_folder="sidefeed", mailboxes=[ANN])
    assert len(connector.prepare([], apply=True)) == 1, "it is there"
    person = Write("m", "create", {"GivenName": "Mia", "EmailAddress1": "mia@acme.example"}, external_key="rec-9:1")
    (made,) = connector.write(own, [person])
    managed = made.external_id or ""
    assert connector.find(own, ["rec-9:1"]) == {"rec-9:1": [managed]}
    told, cursor = read(connector, own, fields=("EmailAddress1",))
    assert {each: record.values for each, record in told.items()} == {managed: {"EmailAddress1": "mia@acme.example"}}
    assert [each for each, _version in connector.ids(own)] == [managed]
    strange = [Write(op, op, {"JobTitle": "Boss"} if op == "update" else {}, unmanaged) for op in ("update", "delete")]
    assert [one.status for one in connector.write(own, strange)] == ["refused", "done"]
    assert {each.id: each.state for each in connector.fetch(own, ["JobTitle"], [unmanaged, managed])} == {
        unmanaged: "deleted", managed: "live"}
    (untouched,) = office.do(people.items, ANN, "contacts")
    assert untouched.get("contacts:GivenName") == "Una" and untouched.get("contacts:JobTitle") is None
    before = connector.calls.used
    assert read(connector, own, cursor)[0] == {} and connector.calls.used == before + 1, "a quiet look costs one request"
