"""Change tracking, batches, limits and faults of the practice Graph."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from sandbox.graph import GraphServer
from tests.sandbox.graph import ANNA, BEN, WINDOW, Client, at, graph, weekly


@pytest.fixture(scope="module")
def served() -> Iterator[GraphServer]:
    with graph() as server:
        yield server


@pytest.fixture
def client(served: GraphServer) -> Iterator[Client]:
    served.restore_snapshot()
    with Client(served) as made:
        yield made


def later(day: str) -> dict[str, Any]:
    return {"start": at(f"{day}T09:00:00"), "end": at(f"{day}T10:00:00")}


def removed(identifier: str) -> dict[str, Any]:
    return {"@odata.type": "#microsoft.graph.event", "id": identifier, "@removed": {"reason": "deleted"}}


# -- delta ------------------------------------------------------------------------------------------------------------


def test_a_first_round_tells_the_window_and_the_next_what_changed(client: Client) -> None:
    inside, outside = client.event("in"), client.event("out", **later("2026-06-01"))
    rows, link = client.round()
    assert [one["id"] for one in rows] == [inside["id"]]
    assert rows[0]["subject"] == "in"
    assert client.round(link)[0] == []
    client.ask("PATCH", f"events/{outside['id']}", json={"subject": "touched"})
    client.ask("PATCH", f"events/{inside['id']}", json={"subject": "new"})
    fresh = client.event("also out", **later("2026-06-02"))
    rows, link = client.round(link)
    assert rows[0] == removed(outside["id"]) and rows[2] == removed(fresh["id"])
    assert rows[1]["subject"] == "new"
    client.ask("DELETE", f"events/{inside['id']}", status=204)
    assert client.round(link)[0] == [removed(inside["id"])]


@pytest.mark.parametrize("spelling", ["delta()", "microsoft.graph.delta", "microsoft.graph.delta()"])
def test_functions_are_called_in_every_spelling_of_odata(client: Client, spelling: str) -> None:
    """The generated SDKs call `delta()`."""
    made = client.event("in")
    told = client.ask("GET", f"calendarView/{spelling}", params=WINDOW)
    assert [one["id"] for one in told["value"]] == [made["id"]]
    assert client.round(told["@odata.deltaLink"])[0] == []
    assert "@odata.deltaLink" in client.ask("GET", f"contacts/{spelling}")


def test_a_series_is_told_with_bare_occurrences_and_whole_exceptions(client: Client) -> None:
    master = client.event("Weekly", recurrence=weekly())
    second = client.ask("GET", f"events/{master['id']}/instances", params=WINDOW)["value"][1]
    _, link = client.round()
    client.ask("PATCH", f"events/{second['id']}", json={"subject": "Other"})
    rows, link = client.round(link)
    assert [one["type"] for one in rows] == ["seriesMaster", "occurrence", "exception", "occurrence", "occurrence"]
    assert set(rows[1]) == {"@odata.type", "@odata.etag", "id", "seriesMasterId", "type", "start", "end"}
    assert rows[2]["subject"] == "Other" and rows[2]["originalStart"] == "2026-03-10T09:00:00Z"
    client.ask("DELETE", f"events/{second['id']}", status=204)
    rows, link = client.round(link)
    assert second["id"] not in {one["id"] for one in rows}
    client.server.condition("behaviour", deleted_occurrences="removed")
    client.ask("PATCH", f"events/{master['id']}", json={"subject": "again"})
    assert removed(second["id"]) in client.round(link)[0]
    client.server.condition("behaviour", deleted_occurrences="silent")
    client.ask("DELETE", f"events/{master['id']}", status=204)
    assert client.round(link)[0] == [removed(master["id"])]


@pytest.mark.parametrize("size", [1, 3, 50])
def test_pages_lose_nothing_of_what_changes_between_them(client: Client, size: int) -> None:
    made = [client.event(f"e{number}") for number in range(4)]
    client.event("Weekly", recurrence=weekly())
    client.http.headers["Prefer"] = f'IdType="ImmutableId", odata.maxpagesize={size}'
    client.server.condition("empty_pages", share=0.8)
    page = client.ask("GET", "calendarView/delta", params=WINDOW)
    client.ask("PATCH", f"events/{made[0]['id']}", json={"subject": "late"})
    client.ask("DELETE", f"events/{made[3]['id']}", status=204)
    rows, links = page["value"], set[str]()
    while "@odata.nextLink" in page:
        assert page["@odata.nextLink"] not in links
        links.add(page["@odata.nextLink"])
        page = client.ask("GET", page["@odata.nextLink"])
        assert len(page["value"]) <= size
        rows += page["value"]
    client.server.condition("empty_pages", share=0)
    rows += client.round(page["@odata.deltaLink"])[0]
    newest = {one["id"]: one for one in rows}
    assert newest[made[0]["id"]]["subject"] == "late"
    assert sum(one.get("type") == "occurrence" for one in newest.values()) == 4
    if made[3]["id"] in newest:
        assert "@removed" in newest[made[3]["id"]]


def test_a_token_says_its_window_and_mailbox_and_nothing_else_may_be_added(client: Client) -> None:
    client.event()
    _, link = client.round()
    assert client.refused("GET", "calendarView/delta", 400) == "ErrorInvalidParameter"
    for option in ("$select=subject", "$filter=subject eq 'x'", "$orderby=subject", "$expand=attachments", "$search=x"):
        assert client.refused("GET", f"{link}&{option}", 400) == "ErrorInvalidUrlQuery"
    assert client.refused("GET", link.replace(ANNA, BEN), 400) == "ErrorInvalidUrlQuery"
    assert client.refused("GET", link[:-3], 400) == "ErrorInvalidUrlQuery"


def test_expired_tokens_are_gone(client: Client) -> None:
    _, link = client.round()
    client.server.condition("corrupt_sync_state", mailbox=ANNA)
    assert client.refused("GET", link, 410) == "SyncStateNotFound"
    client.server.condition("corrupt_sync_state", mailbox=ANNA, on=False)
    assert client.round(link)[0] == []
    client.server.condition("forget_sync_states", code="resyncRequired")
    assert client.refused("GET", link, 410) == "resyncRequired"
    assert client.round()[0] == []


# -- $batch -----------------------------------------------------------------------------------------------------------


def parts(*requests: tuple[str, str], **more: Any) -> dict[str, Any]:
    return {"requests": [{"id": str(number), "method": method, "url": url, **more}
                         for number, (method, url) in enumerate(requests)]}  # fmt: skip


def test_a_batch_answers_each_part_and_in_no_order(client: Client) -> None:
    made = client.event()
    body = parts(*(("GET", f"/users/{ANNA}/events/{made['id']}") for _ in range(8)), ("GET", f"/users/{ANNA}/nonsense"))
    body["requests"].append({"id": "write", "method": "POST", "url": f"users/{ANNA}/contacts",
                             "headers": {"Content-Type": "application/json"}, "body": {"givenName": "B"}})  # fmt: skip
    answers = client.ask("POST", "/$batch", json=body)["responses"]
    told = {one["id"]: one for one in answers}
    assert [one["id"] for one in answers] != [one["id"] for one in body["requests"]]
    assert {told[str(number)]["status"] for number in range(8)} == {200}
    assert told["8"]["status"] == 400 and told["8"]["body"]["error"]["code"] == "ResourceNotFound"
    assert told["write"]["status"] == 201 and told["write"]["body"]["givenName"] == "B"


def test_a_part_waits_for_what_it_depends_on_and_fails_with_it(client: Client) -> None:
    body = parts(("GET", f"/users/{ANNA}/nonsense"), ("GET", f"/users/{ANNA}/events"), ("GET", f"/users/{ANNA}/events"))
    body["requests"][1]["dependsOn"] = ["0"]
    told = {one["id"]: one["status"] for one in client.ask("POST", "/$batch", json=body)["responses"]}
    assert told == {"0": 400, "1": 424, "2": 200}


@pytest.mark.parametrize(
    "body",
    [
        {}, {"requests": []}, {"requests": [{"id": "1", "method": "GET"}]},
        parts(*(("GET", "/users") for _ in range(21))),
        {"requests": [{"id": "a", "method": "GET", "url": "/x"}, {"id": "A", "method": "GET", "url": "/x"}]},
        {"requests": [{"id": "a", "method": "GET", "url": "/x", "dependsOn": ["b"]}]},
        {"requests": [{"id": "a", "method": "GET", "url": "https://graph.microsoft.com/v1.0/users"}]},
        {"requests": [{"id": "a", "method": "POST", "url": "/users", "body": {}}]},
    ],
)  # fmt: skip
def test_a_batch_that_makes_no_sense_is_refused_whole(client: Client, body: dict[str, Any]) -> None:
    client.refused("POST", "/$batch", 400, json=body)


# -- limits and faults ------------------------------------------------------------------------------------------------


def test_the_fifth_request_at_a_time_is_refused_and_other_mailboxes_are_not(client: Client) -> None:
    server = client.server
    server.limits.peak.clear()
    server.faults.add("slow", path="*/events", count=None, seconds=0.3)
    try:
        with ThreadPoolExecutor(7) as pool:
            asked = [pool.submit(client.http.get, f"/users/{ANNA}/events") for _ in range(6)]
            other = pool.submit(client.http.get, f"/users/{BEN}/events")
            answers = [one.result() for one in asked]
            assert other.result().status_code == 200
    finally:
        server.faults.clear()
    refused = [one for one in answers if one.status_code == 429]
    assert len(refused) == 2
    assert refused[0].json()["error"]["code"] == "ApplicationThrottled" and refused[0].headers["Retry-After"] == "1"
    assert server.limits.peak[ANNA] == 5


def test_parts_of_a_batch_share_the_room_that_is_left(client: Client) -> None:
    client.server.limits.peak.clear()
    client.server.faults.add("slow", path="*/calendar", count=None, seconds=0.4)
    try:
        with ThreadPoolExecutor(4) as pool:
            waiting = [pool.submit(client.http.get, f"/users/{ANNA}/calendar") for _ in range(2)]
            while client.server.limits.in_flight[ANNA] < 2:
                time.sleep(0.005)
            body = parts(*(("GET", f"/users/{ANNA}/events") for _ in range(8)))
            told = client.ask("POST", "/$batch", json=body)["responses"]
            assert [one.result().status_code for one in waiting] == [200, 200]
    finally:
        client.server.faults.clear()
    assert sorted(one["status"] for one in told) == [200] * 4 + [429] * 4
    assert {one["headers"].get("Retry-After") for one in told if one["status"] == 429} == {"1"}


def test_ten_minutes_hold_so_many_requests_and_refused_ones_count(client: Client) -> None:
    client.server.clock.move(minutes=11)
    client.server.condition("limits", requests=3)
    try:
        assert [client.http.get(f"/users/{ANNA}/events").status_code for _ in range(5)] == [200, 200, 200, 429, 429]
        answer = client.http.get(f"/users/{ANNA}/events")
        assert int(answer.headers["Retry-After"]) == 600
        client.server.clock.move(minutes=10)
        client.ask("GET", "events")
    finally:
        client.server.condition("limits", requests=10_000)


def test_faults_have_the_shape_of_the_service(client: Client) -> None:
    faults = client.server.faults
    faults.add("throttled", retry_after=7)
    answer = client.http.get(f"/users/{ANNA}/events")
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "7")
    faults.add("unavailable", retry_after=None)
    answer = client.http.get(f"/users/{ANNA}/events")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "ServiceUnavailable")
    assert "Retry-After" not in answer.headers
    faults.add("gateway", after=True)
    body = {"subject": "kept", "start": at("2026-03-03T09:00:00"), "end": at("2026-03-03T10:00:00")}
    assert client.refused("POST", "events", 504, json=body) == "UnknownError"
    faults.add("drop_after")
    with pytest.raises(httpx.RemoteProtocolError):
        client.http.post(f"/users/{ANNA}/events", json=body)
    assert [one["subject"] for one in client.ask("GET", "events")["value"]] == ["kept", "kept"]


def test_what_tests_want_to_know_can_be_asked_over_the_control_api(client: Client) -> None:
    client.event("Mailed", attendees=[{"emailAddress": {"address": "zoe@acme.example"}}])
    url = f"{client.server.control_url}/conditions/outbox"
    (mail,) = httpx.post(url, json={}).json()["result"]
    assert (mail["kind"], mail["recipients"]) == ("request", ["zoe@acme.example"])
    before = client.server.mutable_ids
    client.ask("GET", "events")
    assert client.server.mutable_ids == before
    client.ask("GET", "events", headers={"Prefer": "x"})
    assert client.server.mutable_ids == before + 1
    assert client.refused("GET", f"events/{client.server.condition('custom_zone', mailbox=ANNA)}/calendarX", 400)
    zones = {one["originalStartTimeZone"] for one in client.ask("GET", "events")["value"]}
    assert "tzone://Microsoft/Custom" in zones
