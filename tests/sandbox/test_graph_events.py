"""Events over plain HTTP: values, series, who is mailed, conditions of writes, queries, and the view through EWS."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from sandbox.exchange import ExchangeServer
from sandbox.graph import GraphServer
from tests.sandbox.graph import ANNA, BEN, CARA, LINK, WINDOW, Client, at, graph, guest, weekly

FOUND = f"singleValueExtendedProperties/Any(ep: ep/id eq '{LINK}' and ep/value eq '"


@pytest.fixture(scope="module")
def served() -> Iterator[GraphServer]:
    with graph() as server:
        yield server


@pytest.fixture
def client(served: GraphServer) -> Iterator[Client]:
    served.restore_snapshot()
    with Client(served) as made:
        yield made


def patch(client: Client, event: Any, *, status: int = 200, **body: Any) -> Any:
    headers = {"If-Match": event["@odata.etag"]}
    return client.ask("PATCH", f"events/{event['id']}", status=status, json=body, headers=headers)


def test_an_event_has_the_documented_members_and_values(client: Client) -> None:
    made = client.event(location={"displayName": "Room 1"}, body={"contentType": "text", "content": "a < b"},
                        start=at("2026-03-03T10:00:00", "Europe/Berlin"), end=at("2026-03-03T11:00", "Europe/Berlin"),
                        sensitivity="confidential", showAs="oof", categories=["Red"])  # fmt: skip
    assert made["start"] == {"dateTime": "2026-03-03T09:00:00.0000000", "timeZone": "UTC"}
    assert made["originalStartTimeZone"] == "W. Europe Standard Time"
    assert made["body"] == {"contentType": "html", "content": "<html><body>a &lt; b</body></html>"}
    assert (made["type"], made["sensitivity"], made["showAs"]) == ("singleInstance", "confidential", "oof")
    assert (made["isOrganizer"], made["responseStatus"]["response"]) == (True, "organizer")
    assert made["organizer"]["emailAddress"]["address"] == ANNA
    assert made["@odata.etag"] == f'W/"{made["changeKey"]}"'
    assert made["iCalUId"].startswith("040000008200E00074C5B7101A82E008")
    again = client.ask("GET", f"events/{made['id']}")
    assert again == made


def test_times_are_told_in_the_zone_preferred_and_whole_days_never_move(client: Client) -> None:
    day = client.event(isAllDay=True, start=at("2026-03-03T00:00:00", "Pacific Standard Time"),
                       end=at("2026-03-05T00:00:00", "Pacific Standard Time"))  # fmt: skip
    timed = client.event()
    headers = {"Prefer": 'IdType="ImmutableId", outlook.timezone="Tokyo Standard Time"'}
    told = client.http.get(f"/users/{ANNA}/events/{timed['id']}", headers=headers)
    assert told.json()["start"] == {"dateTime": "2026-03-03T18:00:00.0000000", "timeZone": "Tokyo Standard Time"}
    assert 'outlook.timezone="Tokyo Standard Time"' in told.headers["Preference-Applied"]
    for prefer in ({}, headers):
        whole = client.ask("GET", f"events/{day['id']}", headers=prefer)
        assert [whole[name]["dateTime"] for name in ("start", "end")] == [
            "2026-03-03T00:00:00.0000000", "2026-03-05T00:00:00.0000000"]  # fmt: skip
    assert client.refused("GET", "events", 400, headers={"Prefer": 'outlook.timezone="Mars"'}) == (
        "TimeZoneNotSupportedException")  # fmt: skip


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"start": at("2026-03-03T09:00:00")}, "ErrorPropertyValidationFailure"),
        ({"start": at("yesterday"), "end": at("2026-03-03T09:00:00")}, "ErrorPropertyValidationFailure"),
        ({"start": at("2026-03-03T09:00:00", "Mars"), "end": at("2026-03-03T09:00:00")}, "TimeZoneNotSupportedException"),
        ({"start": at("2026-03-03T09:00:00"), "end": at("2026-03-02T09:00:00")},
         "ErrorCalendarEndDateIsEarlierThanStartDate"),
        ({"start": at("2026-03-03T09:00:00"), "end": at("2026-03-04T00:00:00"), "isAllDay": True},
         "ErrorPropertyValidationFailure"),
        ({"colour": "red"}, "RequestBodyRead"),
        ({"subject": 4}, "RequestBodyRead"),
        ({"sensitivity": "secret"}, "RequestBodyRead"),
        ({"attendees": [{"emailAddress": {}}]}, "ErrorInvalidRecipients"),
        ({"attendees": [guest(f"g{n}@x.example") for n in range(501)]}, "ErrorTooManyRecipients"),
        ({"singleValueExtendedProperties": [{"id": "nonsense", "value": "x"}]}, "ErrorInvalidExtendedProperty"),
        ({"recurrence": {"pattern": {"type": "hourly"}, "range": {"type": "noEnd", "startDate": "2026-03-03"}}},
         "ErrorInvalidRecurrence"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_by_a_code(client: Client, body: dict[str, Any], code: str) -> None:
    assert client.refused("POST", "events", 400, json=body) == code
    assert client.ask("GET", "events")["value"] == []


def test_a_body_that_is_no_json_is_refused(client: Client) -> None:
    headers = {"Content-Type": "application/json"}
    assert client.refused("POST", "events", 400, content=b"{", headers=headers) == "RequestBodyRead"
    assert client.refused("GET", "nonsense", 400) == "ResourceNotFound"
    assert client.refused("GET", "events/AAAA", 400) == "ErrorInvalidIdMalformed"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "messages"), ("GET", "mailFolders/inbox"), ("GET", "outlook/masterCategories"), ("GET", "todo/lists"),
        ("GET", "events/delta"), ("POST", "findMeetingTimes"), ("PATCH", "mailboxSettings"), ("GET", "/groups"),
        ("GET", "contactFolders/delta"), ("POST", "/subscriptions"), ("GET", "/users/delta"),
    ],
)  # fmt: skip
def test_what_only_the_service_has_is_said_to_be_missing(client: Client, method: str, path: str) -> None:
    """A 400 would tell a client that its own address is wrong."""
    assert client.refused(method, path, 501) == "NotImplemented"


# -- series -----------------------------------------------------------------------------------------------------------


def test_a_series_is_expanded_in_its_own_zone_over_a_clock_change(client: Client) -> None:
    berlin = {"start": at("2026-03-17T09:00:00", "Europe/Berlin"), "end": at("2026-03-17T10:00:00", "Europe/Berlin")}
    made = client.event(**berlin, recurrence=weekly(3, start="2026-03-17"))
    assert made["type"] == "seriesMaster"
    window = {"startDateTime": "2026-03-01T00:00:00Z", "endDateTime": "2026-05-01T00:00:00Z"}
    found = client.ask("GET", f"events/{made['id']}/instances", params=window)["value"]
    assert [one["start"]["dateTime"][:16] for one in found] == [
        "2026-03-17T08:00",
        "2026-03-24T08:00",
        "2026-03-31T07:00",
    ]
    assert {one["seriesMasterId"] for one in found} == {made["id"]}
    assert len({one["iCalUId"] for one in found} | {made["iCalUId"]}) == 4
    assert made["recurrence"]["range"]["recurrenceTimeZone"] == "W. Europe Standard Time"
    assert made["recurrence"]["pattern"]["month"] == 0


@pytest.mark.parametrize(
    "pattern",
    [
        {"type": "daily", "interval": 3},
        {"type": "absoluteMonthly", "interval": 2, "dayOfMonth": 31},
        {"type": "relativeMonthly", "interval": 1, "daysOfWeek": ["monday", "friday"], "index": "last"},
        {"type": "absoluteYearly", "interval": 1, "dayOfMonth": 3, "month": 3},
        {"type": "absoluteYearly", "interval": 2, "dayOfMonth": 3, "month": 3},
        {"type": "relativeYearly", "interval": 1, "daysOfWeek": ["tuesday"], "index": "first", "month": 3},
    ],
)
def test_patterns_come_back_as_they_were_given(client: Client, pattern: dict[str, Any]) -> None:
    span = {"type": "endDate", "startDate": "2026-03-03", "endDate": "2030-12-31"}
    told = client.event(recurrence={"pattern": pattern, "range": span})["recurrence"]
    assert {name: told["pattern"][name] for name in pattern} == pattern
    assert {name: told["range"][name] for name in span} == span | {"startDate": told["range"]["startDate"]}


def test_an_occurrence_is_changed_and_deleted_alone(client: Client) -> None:
    master = client.event("Weekly", recurrence=weekly())
    first, second, third, fourth = client.ask("GET", f"events/{master['id']}/instances", params=WINDOW)["value"]
    changed = patch(client, second, subject="Moved", start=at("2026-03-11T09:00:00"), end=at("2026-03-11T10:00:00"))
    assert (changed["type"], changed["id"]) == ("exception", second["id"])
    assert changed["originalStart"] == "2026-03-10T09:00:00Z"
    client.ask("DELETE", f"events/{third['id']}", status=204)
    assert client.refused("GET", f"events/{third['id']}", 404) == "ErrorItemNotFound"
    params = {"$expand": "exceptionOccurrences"}
    told = client.ask("GET", f"events/{master['id']}", params=params)
    assert [one["subject"] for one in told["exceptionOccurrences"]] == ["Moved"]
    assert told["cancelledOccurrences"] == [f"OID.{master['id']}.2026-03-17"]
    crossing = client.http.patch(f"/users/{ANNA}/events/{first['id']}",
                                 json={"start": at("2026-03-24T09:00:00"), "end": at("2026-03-24T10:00:00")})  # fmt: skip
    assert (crossing.status_code, crossing.json()["error"]["code"]) == (400, "ErrorOccurrenceCrossingBoundary")
    assert fourth["id"] in {one["id"] for one in client.ask("GET", "calendarView", params=WINDOW)["value"]}


# -- who is mailed ----------------------------------------------------------------------------------------------------


def test_the_organiser_mails_by_writing_and_nobody_else_does(client: Client) -> None:
    made = client.event(attendees=[guest(), guest(BEN)])
    assert client.mailed() == [("request", ("zoe@acme.example", BEN))]
    theirs = client.ask("GET", "events", user=BEN)["value"][0]
    assert (theirs["isOrganizer"], theirs["responseStatus"]["response"]) == (False, "notResponded")
    client.server.condition("outbox", clear=True)
    patch(client, client.ask("GET", f"events/{made['id']}"), attendees=[guest(), guest(BEN), guest(CARA)])
    assert client.mailed() == [("request", (CARA,))]
    made = patch(client, client.ask("GET", f"events/{made['id']}"), location={"displayName": "Rome"})
    assert client.mailed()[1:] == [("update", ("zoe@acme.example", BEN, CARA))]
    client.server.condition("outbox", clear=True)
    client.ask("POST", f"events/{theirs['id']}/accept", user=BEN, status=202, json={"sendResponse": True})
    assert client.mailed() == [("response", (ANNA,))]
    told = client.ask("GET", f"events/{made['id']}")["attendees"]
    assert {one["emailAddress"]["address"]: one["status"]["response"] for one in told}[BEN] == "accepted"
    client.server.condition("outbox", clear=True)
    client.ask("DELETE", f"events/{made['id']}", status=204)
    assert client.mailed() == [("cancellation", ("zoe@acme.example", BEN, CARA))]


def test_an_event_without_people_mails_nobody(client: Client) -> None:
    made = client.event()
    patch(client, made, subject="Else", singleValueExtendedProperties=[{"id": LINK, "value": "k"}])
    client.ask("DELETE", f"events/{made['id']}", status=204)
    assert client.mailed() == []


@pytest.mark.parametrize(("choice", "mailed"), [("mail", 1), ("silent", 0)])
def test_a_stamp_on_a_meeting_mails_as_the_switch_says(client: Client, choice: str, mailed: int) -> None:
    client.server.condition("behaviour", link_patch=choice)
    made = client.event(attendees=[guest()])
    client.server.condition("outbox", clear=True)
    patch(client, made, singleValueExtendedProperties=[{"id": LINK, "value": "k"}])
    assert len(client.mailed()) == mailed
    client.server.condition("behaviour", link_patch="mail")


def test_a_series_with_an_exception_mails_for_both(client: Client) -> None:
    master = client.event(recurrence=weekly(), attendees=[guest()])
    one = client.ask("GET", f"events/{master['id']}/instances", params=WINDOW)["value"][1]
    patch(client, one, subject="Other")
    client.server.condition("outbox", clear=True)
    patch(client, client.ask("GET", f"events/{master['id']}"), location={"displayName": "Rome"})
    assert [kind for kind, _ in client.mailed()] == ["update", "update"]


def test_declining_and_cancelling_by_their_own_calls(client: Client) -> None:
    made = client.event(attendees=[guest(BEN)])
    theirs = client.ask("GET", "events", user=BEN)["value"][0]
    assert client.refused("POST", f"events/{made['id']}/accept", 400) == "ErrorCalendarIsOrganizerForAccept"
    assert client.refused("POST", f"events/{theirs['id']}/cancel", 403, user=BEN) == "ErrorCalendarIsNotOrganizer"
    client.ask("POST", f"events/{made['id']}/cancel", status=202, json={"Comment": "ill"})
    told = client.ask("GET", f"events/{theirs['id']}", user=BEN)
    assert told["isCancelled"] and told["subject"].startswith("Canceled: ")


# -- writes ------------------------------------------------------------------------------------------------------------


def test_a_stale_write_is_refused_and_one_without_condition_counted(client: Client) -> None:
    made = client.event()
    patch(client, made, subject="first")
    assert client.refused("PATCH", f"events/{made['id']}", 412, json={"subject": "second"},
                          headers={"If-Match": made["@odata.etag"]}) == "ErrorIrresolvableConflict"  # fmt: skip
    before = client.server.unconditional
    client.ask("PATCH", f"events/{made['id']}", json={"subject": "third"})
    assert client.server.unconditional == before + 1
    assert client.refused("DELETE", f"events/{made['id']}", 412,
                          headers={"If-Match": made["@odata.etag"]}) == "ErrorIrresolvableConflict"  # fmt: skip


def test_a_repeated_transaction_makes_no_second_event(client: Client) -> None:
    first = client.event(transactionId="t-1")
    assert client.event("Other", transactionId="t-1")["id"] == first["id"]
    client.server.condition("behaviour", repeated_transaction="conflict")
    assert client.refused("POST", "events", 409, json={"subject": "x", "start": at("2026-03-03T09:00:00"),
                          "end": at("2026-03-03T10:00:00"), "transactionId": "t-1"}) == (
        "ErrorDuplicateTransactionId")  # fmt: skip
    client.server.condition("behaviour", repeated_transaction="event")
    assert len(client.ask("GET", "events")["value"]) == 1
    assert client.event(transactionId="t-1", user=BEN)["id"] != first["id"]


def test_a_teams_meeting_lives_in_its_body(client: Client) -> None:
    made = client.event(isOnlineMeeting=True, onlineMeetingProvider="teamsForBusiness")
    url = made["onlineMeeting"]["joinUrl"]
    assert url.startswith("https://teams.microsoft.com/l/meetup-join/") and url in made["body"]["content"]
    told = patch(client, made, body={"contentType": "text", "content": "all new"})
    assert (told["onlineMeeting"], told["isOnlineMeeting"]) == (None, False)


def test_immutable_ids_survive_a_move_and_the_others_do_not(client: Client) -> None:
    made = client.event()
    plain = client.ask("GET", "events", headers={"Prefer": "x"})["value"][0]["id"]
    assert plain != made["id"]
    second = client.server.office.world.add_folder(
        client.server.office.mailbox(ANNA), "Second", "IPF.Appointment",
        client.server.office.mailbox(ANNA).folders["calendar"])  # fmt: skip
    moved = client.server.condition("move_event", event=made["id"], folder="deleteditems")
    assert moved != plain
    assert client.refused("GET", f"events/{made['id']}", 404) == "ErrorItemNotFound"
    client.server.condition("behaviour", deleted_by_id="found")
    assert client.ask("GET", f"events/{made['id']}")["id"] == made["id"]
    client.server.condition("behaviour", deleted_by_id="gone")
    names = [one["name"] for one in client.ask("GET", "calendars")["value"]]
    assert names == ["Calendar", "Second"]
    listed = client.ask("GET", f"calendars/{client.ask('GET', 'calendars')['value'][1]['id']}/events")["value"]
    assert listed == [] and second.name == "Second"


def test_ids_are_translated_from_those_of_ews(client: Client) -> None:
    made = client.event()
    world = client.server.office.world
    ews = world.item_id(client.server.office.items(ANNA)[0])
    body = {"inputIds": [ews, "nonsense"], "sourceIdType": "ewsId", "targetIdType": "restImmutableEntryId"}
    first, second = client.ask("POST", "translateExchangeIds", json=body)["value"]
    assert first["targetId"] == made["id"]
    assert second["errorDetails"]["code"] == "ErrorInvalidIdMalformed"


# -- queries ----------------------------------------------------------------------------------------------------------


def test_the_link_property_is_set_found_read_and_seen_by_nobody_else(client: Client) -> None:
    client.event("a", singleValueExtendedProperties=[{"id": LINK, "value": "Rec-1:1"}])
    client.event("b")
    found = client.ask("GET", "events", params={"$filter": f"{FOUND}rec-1:1')"})["value"]
    assert [one["subject"] for one in found] == ["a"] and "singleValueExtendedProperties" not in found[0]
    assert (
        client.ask("GET", "events", params={"$filter": f"{FOUND}rec-1:1')".replace("Name s", "Name S")})["value"] == []
    )
    expand = f"singleValueExtendedProperties($filter=id eq '{LINK}')"
    told = client.ask("GET", "events", params={"$filter": f"{FOUND}rec-1:1') or {FOUND}x')", "$expand": expand})[
        "value"
    ]
    assert told[0]["singleValueExtendedProperties"] == [{"id": LINK, "value": "Rec-1:1"}]


@pytest.mark.parametrize(
    ("condition", "subjects"),
    [
        ("start/dateTime ge '2026-03-03T09:30:00'", ["beta", "gamma"]),
        ("startswith(subject,'al') or subject eq 'GAMMA'", ["alpha", "gamma"]),
        ("not (contains(subject,'a') and type eq 'singleInstance')", []),
        ("isAllDay eq false and subject ne 'beta'", ["alpha", "gamma"]),
        ("lastModifiedDateTime ge 2026-03-02T00:00:00Z", ["alpha", "beta", "gamma"]),
        ("lastModifiedDateTime gt 2026-03-03T00:00:00Z", []),
        ("seriesMasterId eq null and endswith(subject,'ma')", ["gamma"]),
    ],
)
def test_filters(client: Client, condition: str, subjects: list[str]) -> None:
    for hour, name in enumerate(("alpha", "beta", "gamma"), 9):
        client.event(name, start=at(f"2026-03-03T{hour:02}:00:00"), end=at(f"2026-03-03T{hour:02}:30:00"))
    found = client.ask("GET", "events", params={"$filter": condition, "$orderby": "subject"})["value"]
    assert [one["subject"] for one in found] == subjects


def test_pages_counts_and_selections(client: Client) -> None:
    for number in range(5):
        client.event(f"e{number}")
    page = client.ask(
        "GET", "events", params={"$top": "2", "$count": "true", "$orderby": "subject desc", "$select": "subject"}
    )
    assert page["@odata.count"] == 5
    assert set(page["value"][0]) == {"@odata.etag", "id", "subject"}
    found = page["value"]
    while "@odata.nextLink" in page:
        page = client.ask("GET", page["@odata.nextLink"])
        found += page["value"]
    assert [one["subject"] for one in found] == ["e4", "e3", "e2", "e1", "e0"]


@pytest.mark.parametrize("query", ["$filter=colour eq 'red'", "$filter=subject eq", "$filter=((", "$select=colour",
                                   "$top=0", "$orderby=subject sideways", "$expand=singleValueExtendedProperties",
                                   "$search=x&$apply=y", "$filter=subject like 'x'"])  # fmt: skip
def test_queries_that_make_no_sense_are_refused(client: Client, query: str) -> None:
    client.refused("GET", f"events?{query}", 400)


def test_a_view_needs_a_window_that_makes_sense(client: Client) -> None:
    assert client.refused("GET", "calendarView", 400) == "ErrorInvalidParameter"
    back = {"startDateTime": WINDOW["endDateTime"], "endDateTime": WINDOW["startDateTime"]}
    assert client.refused("GET", "calendarView", 400, params=back) == "ErrorCalendarEndDateIsEarlierThanStartDate"
    five_years = {"startDateTime": "2026-01-01T00:00:00Z", "endDateTime": "2030-12-31T00:00:00Z"}
    client.ask("GET", "calendarView", params=five_years)
    longer = client.ask("GET", "calendarView", status=400, params={**five_years, "endDateTime": "2031-01-01T00:00:00Z"})
    assert longer["error"]["code"] == "ErrorInvalidRequest"
    assert longer["error"]["message"].endswith("Maximum number of days: 1825")


# -- the rest of a mailbox ---------------------------------------------------------------------------------------------


def test_free_and_busy_times_hide_what_is_private(client: Client) -> None:
    client.event("Open", location={"displayName": "Room"})
    client.event("Dentist", sensitivity="private", start=at("2026-03-03T11:00:00"), end=at("2026-03-03T12:00:00"))
    body = {"schedules": [ANNA, "nobody@corp.example"], "startTime": at("2026-03-03T08:00:00"),
            "endTime": at("2026-03-03T13:00:00"), "availabilityViewInterval": 60}  # fmt: skip
    anna, nobody = client.ask("POST", "calendar/getSchedule", user=BEN, json=body)["value"]
    assert anna["availabilityView"] == "02020"
    assert [one.get("subject") for one in anna["scheduleItems"]] == ["Open", None]
    assert nobody["error"]["responseCode"] == "ErrorMailRecipientNotFound"
    assert client.refused("POST", "calendar/getSchedule", 400, json={**body, "schedules": [ANNA] * 21}) == (
        "ErrorInvalidRequest")  # fmt: skip


def test_settings_and_users(client: Client) -> None:
    settings = client.ask("GET", "mailboxSettings")
    assert settings["timeZone"] == "W. Europe Standard Time"
    replies = settings["automaticRepliesSetting"]
    assert (replies["status"], replies["externalAudience"]) == ("disabled", "all")
    assert replies["scheduledStartDateTime"]["dateTime"] < replies["scheduledEndDateTime"]["dateTime"]
    told = client.ask("GET", f"/users/{ANNA}")
    assert client.ask("GET", f"/users/{told['id']}") == told
    assert client.ask("GET", "events", user=told["id"])["value"] == []
    assert client.ask("GET", "calendar")["isDefaultCalendar"] is True


def test_a_setting_is_read_alone_and_nobody_is_signed_in(client: Client) -> None:
    assert client.ask("GET", "mailboxSettings/timeZone")["value"] == "W. Europe Standard Time"
    assert client.ask("GET", "mailboxSettings/language")["locale"] == "en-US"
    told = client.ask("GET", "/me/events", status=400)["error"]
    assert told["message"] == "/me request is only valid with delegated authentication flow."
    bare = httpx.get(f"{client.http.base_url}users", trust_env=False)
    assert (bare.status_code, bare.json()["error"]["message"]) == (401, "Access token is empty.")


def test_calendars_are_made_renamed_filled_and_removed(client: Client) -> None:
    made = client.ask("POST", "calendars", status=201, json={"name": "Deals"})
    assert client.refused("POST", "calendars", 409, json={"name": "Deals"}) == "ErrorFolderExists"
    client.refused("POST", "calendars", 400, json={})
    path = f"calendars/{made['id']}"
    times = {"start": at("2026-03-03T09:00:00"), "end": at("2026-03-03T10:00:00")}
    client.ask("POST", f"{path}/events", status=201, json={"subject": "there", **times})
    assert client.ask("PATCH", path, json={"name": "Pipeline"})["name"] == "Pipeline"
    named = client.ask("GET", "calendars", params={"$filter": "name eq 'Pipeline'", "$select": "name"})["value"]
    assert named == [{"id": made["id"], "name": "Pipeline"}]
    [there] = client.ask("GET", f"{path}/events", params={"$expand": "calendar"})["value"]
    assert there["calendar"]["name"] == "Pipeline"
    assert client.ask("GET", "events", params={"$expand": "attachments"})["value"] == []
    client.ask("DELETE", path, status=204)
    assert client.refused("GET", path, 404) == "ErrorItemNotFound"
    assert client.refused("DELETE", "calendar", 400) == "ErrorDeleteDistinguishedFolder"


def test_contacts(client: Client) -> None:
    body = {"givenName": "Zoë", "surname": "Ågren", "companyName": "Acme", "businessPhones": ["1", "2"],
            "mobilePhone": "3", "emailAddresses": [{"address": "zoe@acme.example"}, {"address": "z@x.example"}],
            "businessAddress": {"city": "Oslo"}, "personalNotes": "tall", "birthday": "1990-01-01T11:59:00Z"}  # fmt: skip
    made = client.ask("POST", "contacts", status=201, json=body)
    assert made["displayName"] == "Zoë Ågren" and made["fileAs"] == "Ågren, Zoë"
    assert [one["address"] for one in made["emailAddresses"]] == ["zoe@acme.example", "z@x.example"]
    told = client.ask("PATCH", f"contacts/{made['id']}", json={"businessPhones": [], "jobTitle": "CEO"},
                      headers={"If-Match": made["@odata.etag"]})  # fmt: skip
    assert (told["businessPhones"], told["mobilePhone"], told["jobTitle"]) == ([], "3", "CEO")
    hidden = {"$expand": "singleValueExtendedProperties($filter=id eq 'Integer 0x36')"}
    assert client.ask("GET", f"contacts/{made['id']}", params=hidden)["singleValueExtendedProperties"] == [
        {"id": "Integer 0x36", "value": "0"}]  # fmt: skip
    folder = client.ask("POST", "contactFolders", status=201, json={"displayName": "Sidefeed"})
    inside = client.ask("POST", f"contactFolders/{folder['id']}/contacts", status=201, json={"givenName": "Other"})
    assert inside["parentFolderId"] == folder["id"]
    assert [one["displayName"] for one in client.ask("GET", "contactFolders")["value"]] == ["Sidefeed"]
    rows, link = client.round(client.http.base_url.join(f"users/{ANNA}/contacts/delta?$select=surname").__str__())
    assert [(set(one), one["surname"]) for one in rows] == [({"@odata.type", "@odata.etag", "id", "surname"}, "Ågren")]
    client.ask("DELETE", f"contacts/{made['id']}", status=204)
    rows, _ = client.round(link)
    assert rows == [{"@odata.type": "#microsoft.graph.contact", "id": made["id"], "@removed": {"reason": "deleted"}}]
    assert client.refused("POST", "contacts", 400, json={"emailAddresses": [{"address": "a"}] * 4}) == (
        "ErrorPropertyValidationFailure")  # fmt: skip


def test_ews_and_graph_are_two_doors_to_one_mailbox() -> None:
    with ExchangeServer() as exchange, GraphServer(exchange=exchange) as server:
        exchange.add_mailbox(ANNA)
        with Client(server) as client:
            made = client.event(singleValueExtendedProperties=[{"id": LINK, "value": "rec:1"}])
            (item,) = exchange.call(exchange.items, ANNA)
            assert item.get("calendar:UID") == made["iCalUId"]
            assert [one.value for one in item.extended.values()] == ["rec:1"]
            exchange.call(exchange.update_event, ANNA, item, subject="From Outlook")
            told = client.ask("GET", f"events/{made['id']}")
            assert told["subject"] == "From Outlook" and told["@odata.etag"] != made["@odata.etag"]
        assert exchange.crashes == server.crashes == []
