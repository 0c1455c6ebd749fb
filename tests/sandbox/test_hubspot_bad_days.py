"""Bad days: conditions by name, faults, webhooks, snapshots, people and clients acting at once."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from sandbox.hubspot import HubSpotServer
from sandbox.kit import Control
from tests.sandbox.hubspot_caller import PRIMARY, Caller, at_noon, portal


@pytest.fixture
def caller() -> Iterator[Caller]:
    with at_noon() as found:
        yield found


# --- the portal changes underneath -------------------------------------------------------------------------------


def test_a_removed_permission_refuses_what_needs_it(caller: Caller) -> None:
    caller.server.condition("permission_removed", scope="crm.objects.deals.write")
    assert caller.get("/crm/v3/objects/deals").status_code == 200
    refused = caller.post("/crm/v3/objects/deals", {"properties": {}})
    assert refused.json()["context"]["requiredGranularScopes"] == ["crm.objects.deals.write"]
    caller.server.condition("permission_restored")
    assert caller.make("deals", dealname="D")


def test_a_removed_property_is_ignored_on_read_and_refused_on_write(caller: Caller) -> None:
    record_id = caller.make("contacts", email="a@example.com", jobtitle="CFO")
    caller.server.condition("property_removed", type="contacts", property="jobtitle")
    assert "jobtitle" not in caller.read("contacts", record_id, "jobtitle")
    path = f"/crm/v3/objects/contacts/{record_id}"
    refused = caller.request("PATCH", path, {"properties": {"jobtitle": "CEO"}})
    assert refused.json()["errors"][0]["code"] == "PROPERTY_DOESNT_EXIST"


def test_a_renamed_property_starts_empty(caller: Caller) -> None:
    record_id = caller.make("contacts", email="a@example.com", jobtitle="CFO")
    caller.server.condition("property_renamed", type="contacts", property="jobtitle", to="role")
    assert caller.read("contacts", record_id, "jobtitle", "role")["role"] is None
    caller.request("PATCH", f"/crm/v3/objects/contacts/{record_id}", {"properties": {"role": "CEO"}})
    assert caller.read("contacts", record_id, "role")["role"] == "CEO"


def test_an_added_option_is_accepted_from_then_on(caller: Caller) -> None:
    body = {"properties": {"hs_manual_forecast_category": "STRETCH"}}
    assert caller.post("/crm/v3/objects/deals", body).status_code == 400
    args = {"type": "deals", "property": "hs_manual_forecast_category", "value": "STRETCH"}
    caller.server.condition("option_added", **args)
    assert caller.post("/crm/v3/objects/deals", body).status_code == 201


def test_a_validation_rule_refuses_values(caller: Caller) -> None:
    args = {"type": "deals", "property": "dealname", "pattern": "^[A-Z]{2}-", "message": "Start with a country"}
    caller.server.condition("validation_rule", **args)
    refused = caller.post("/crm/v3/objects/deals", {"properties": {"dealname": "Acme"}})
    assert (refused.status_code, refused.json()["errors"][0]["message"]) == (400, "Start with a country")
    assert caller.make("deals", dealname="DE-Acme")


def test_the_admins_rules_count_from_2026_09_on(caller: Caller) -> None:
    caller.server.condition("required_on_create", type="deals", properties=["dealname", "amount"])
    rule = {"type": "deals", "when": "dealstage", "value": "closedlost", "property": "closed_lost_reason"}
    caller.server.condition("required_when", **rule)
    body = {"properties": {"dealname": "D"}}
    for tree in ("/crm/v3/objects/deals", "/crm/objects/2026-03/deals"):
        assert caller.post(tree, body).status_code == 201
    refused = caller.post("/crm/objects/2026-09/deals", body)
    assert (refused.status_code, refused.json()["category"]) == (400, "VALIDATION_ERROR")
    assert refused.json()["context"] == {"properties": ["amount"]}
    batch = caller.post("/crm/objects/2026-09/deals/batch/create", {"inputs": [body]})
    assert batch.status_code == 400
    record_id = caller.make("deals", dealname="D", amount="1")
    path = f"/crm/objects/2026-09/deals/{record_id}"
    lost = {"properties": {"dealstage": "closedlost"}}
    assert caller.request("PATCH", path, lost).json()["context"] == {"properties": ["closed_lost_reason"]}
    lost["properties"]["closed_lost_reason"] = "Price"
    assert caller.request("PATCH", path, lost).status_code == 200


def test_the_users_permission_for_associations_counts_from_2026_09_on(caller: Caller) -> None:
    contact, company = caller.make("contacts", email="a@example.com"), caller.make("companies", name="A")
    caller.server.condition("association_permission", allowed=False)
    tail = f"contacts/{contact}/associations/companies/{company}"
    assert caller.request("PUT", f"/crm/objects/2026-09/{tail}", PRIMARY).status_code == 400
    assert caller.request("PUT", f"/crm/v4/objects/{tail}", PRIMARY).status_code == 201


def test_an_automation_rewrites_a_property_after_each_write(caller: Caller) -> None:
    caller.server.condition("automation", type="deals", set={"hs_next_step": "Call"})
    record_id = caller.make("deals", dealname="D", hs_next_step="Mail")
    answer = caller.get(f"/crm/v3/objects/deals/{record_id}", propertiesWithHistory="hs_next_step").json()
    assert answer["properties"]["hs_next_step"] == "Call"
    sources = [version["sourceType"] for version in answer["propertiesWithHistory"]["hs_next_step"]]
    assert sources == ["AUTOMATION_PLATFORM", "INTEGRATION"]
    caller.server.condition("automation", off=True)
    caller.request("PATCH", f"/crm/v3/objects/deals/{record_id}", {"properties": {"hs_next_step": "Visit"}})
    assert caller.read("deals", record_id, "hs_next_step")["hs_next_step"] == "Visit"


# --- refusals ----------------------------------------------------------------------------------------------------


def test_cursors_can_expire(caller: Caller) -> None:
    for n in range(3):
        caller.make("deals", dealname=f"D{n}")
    after = caller.get("/crm/v3/objects/deals", limit=1).json()["paging"]["next"]["after"]
    caller.server.condition("expired_cursors")
    assert caller.get("/crm/v3/objects/deals", limit=1, after=after).status_code == 400
    assert caller.get("/crm/v3/objects/deals", limit=1).status_code == 200


def test_every_token_can_expire_at_once(caller: Caller) -> None:
    assert caller.server.condition("token_expired") == 1
    refused = caller.get("/crm/v3/objects/deals")
    assert (refused.status_code, refused.json()["category"]) == (401, "INVALID_AUTHENTICATION")


def test_a_portal_on_the_move_answers_477(caller: Caller) -> None:
    caller.server.condition("data_centre_move", retry_after=7200)
    answer = caller.get("/crm/v3/objects/deals")
    assert (answer.status_code, answer.headers["Retry-After"]) == (477, "7200")
    caller.server.condition("data_centre_move", on=False)
    assert caller.get("/crm/v3/objects/deals").status_code == 200


def test_locks_refuse_writes_for_two_seconds(caller: Caller) -> None:
    caller.server.condition("locked")
    assert caller.post("/crm/v3/objects/deals", {"properties": {}}).status_code == 423
    assert caller.get("/crm/v3/objects/deals").status_code == 200
    caller.server.clock.move(2)
    assert caller.make("deals", dealname="D")


@pytest.mark.parametrize(
    ("shape", "message", "member"),
    [
        ("general", "You have reached your ten_secondly_rolling limit.", ("policyName", "TEN_SECONDLY_ROLLING")),
        ("secondly", "You have reached your secondly limit.", ("policyName", "SECONDLY")),
        ("daily", "You have reached your daily limit.", ("policyName", "DAILY")),
        ("search", "You have reached your secondly limit.", ("category", "RATE_LIMITS")),
    ],
)
def test_each_429_can_be_put_in_force(caller: Caller, shape: str, message: str, member: tuple[str, str]) -> None:
    caller.server.faults.add("ratelimit", shape=shape, retry_after="3")
    answer = caller.get("/crm/v3/objects/deals")
    assert (answer.status_code, answer.json()["message"], answer.headers["Retry-After"]) == (429, message, "3")
    assert answer.json()[member[0]] == member[1]
    assert ("policyName" in answer.json()) is (shape != "search")
    assert caller.get("/crm/v3/objects/deals").status_code == 200


def test_a_search_gets_its_own_429_by_itself(caller: Caller) -> None:
    caller.server.faults.add("ratelimit")
    assert caller.post("/crm/v3/objects/deals/search", {}).json()["category"] == "RATE_LIMITS"


def test_a_write_can_be_kept_though_its_answer_is_lost(caller: Caller) -> None:
    caller.server.faults.add("drop_after", method="POST", path="POST /objects/deals")
    with pytest.raises(httpx.RemoteProtocolError):
        caller.post("/crm/v3/objects/deals", {"properties": {"dealname": "D"}})
    assert len(caller.get("/crm/v3/objects/deals").json()["results"]) == 1


def test_conditions_are_described_and_switched_over_the_control_api(caller: Caller) -> None:
    with Control(caller.server.control_url) as control:
        known = control.conditions()
        assert {"search_lag", "late_index", "merge_mode", "timestamp_tie", "required_on_create"} <= set(known)
        assert all(known.values())
        control.condition("property_removed", type="contacts", property="jobtitle")
        assert caller.get("/crm/v3/properties/contacts/jobtitle").status_code == 404
    with pytest.raises(KeyError, match="search_lag"):
        caller.server.condition("no_such_condition")
    with pytest.raises(ValueError, match="no switch"):
        caller.server.condition("behaviour", switch="gravity", value=False)


# --- state -------------------------------------------------------------------------------------------------------


def test_a_snapshot_brings_everything_back(caller: Caller) -> None:
    server = caller.server
    contact, company = caller.make("contacts", email="a@example.com"), caller.make("companies", name="A")
    caller.search("contacts")
    server.save_snapshot()
    caller.request("PATCH", f"/crm/v3/objects/contacts/{contact}", {"properties": {"firstname": "X"}})
    caller.request("PUT", f"/crm/v4/objects/contacts/{contact}/associations/companies/{company}", PRIMARY)
    caller.request("DELETE", f"/crm/v3/objects/companies/{company}")
    caller.unique("deals")
    server.condition("search_lag", seconds=60)
    for _ in range(2):
        server.restore_snapshot()
        assert caller.read("contacts", contact)["firstname"] is None
        assert caller.get(f"/crm/v4/objects/contacts/{contact}/associations/companies").json() == {"results": []}
        assert caller.get(f"/crm/v3/objects/companies/{company}").status_code == 200
        assert caller.get("/crm/v3/properties/deals/sidefeed_key").status_code == 404
        assert caller.make("contacts", email="new@example.com")
        assert len(caller.ids("contacts")) == 2


def test_a_snapshot_of_a_portal_keeps_its_webhook_subscriptions(caller: Caller) -> None:
    with receiving(caller, "deal.creation") as receiver:
        caller.server.save_snapshot()
        root = f"/webhooks/v3/{caller.server.app.app_id}"
        caller.request("DELETE", f"{root}/subscriptions/1")
        caller.request("DELETE", f"{root}/settings")
        caller.server.restore_snapshot()
        caller.make("deals", dealname="D")
        assert caller.server.webhooks.flush()
        assert [event["subscriptionType"] for event in receiver.events] == ["deal.creation"]


def test_concurrent_clients_make_one_record_for_one_address() -> None:
    with portal() as caller:

        def attempt(_: int) -> int:
            with httpx.Client(base_url=caller.server.url, trust_env=False) as client:
                headers = {"Authorization": f"Bearer {caller.token}"}
                body = {"properties": {"email": "same@example.com"}}
                return client.post("/crm/v3/objects/contacts", json=body, headers=headers).status_code

        with ThreadPoolExecutor(8) as pool:
            statuses = sorted(pool.map(attempt, range(24)))
        assert statuses == [201] + [409] * 23
        assert len(caller.server.call(caller.server.records, "contacts")) == 1


def test_the_population_is_believable_and_the_same_for_a_seed() -> None:
    def filled(seed: int) -> list[dict[str, Any]]:
        server = HubSpotServer()
        server.clock.fix("2026-11-02T12:00:00Z")
        assert server.populate(seed)["deals"] == 40
        return server.records("deals")

    assert filled(7) == filled(7)
    assert filled(7) != filled(8)
    with at_noon() as caller:
        caller.server.call(caller.server.populate, 3)
        deal = caller.get("/crm/v3/objects/deals", limit=1, associations="contacts,companies,meetings").json()
        assert set(deal["results"][0]["associations"]) == {"contacts", "companies", "meetings"}


def test_data_is_loaded_with_ids_times_and_associations(caller: Caller) -> None:
    server = caller.server
    made = server.call(
        server.load_data,
        {
            "deals": [{"id": "77", "dealname": "D", "associations": {"contacts": ["5"]}, "createdate": "2026-01-01"}],
            "contacts": [{"id": 5, "email": "a@example.com", "createdate": "2025-05-05T05:05:05Z", "phone": ""}],
            "owners": [{"email": "rep@example.com", "firstName": "Rae"}],
        },
    )
    assert made == {"owners": 1, "deals": 1, "contacts": 1}
    assert caller.read("contacts", "5")["createdate"] == "2025-05-05T05:05:05Z"
    links = caller.get("/crm/v4/objects/deals/77/associations/contacts").json()["results"]
    assert [link["toObjectId"] for link in links] == [5]
    assert int(caller.make("deals", dealname="E")) > 77
    with pytest.raises(ValueError, match=r"deals\[0\]: ten was not a valid number"):
        server.call(server.load_data, {"deals": [{"amount": "ten"}]})
    with pytest.raises(ValueError, match=r"deals\[0\]: associated contacts 9 does not exist"):
        server.call(server.load_data, {"deals": [{"associations.contacts": "9"}]})


def test_the_journal_says_who_wrote_what(caller: Caller) -> None:
    record_id = caller.make("deals", dealname="D")
    caller.server.call(
        lambda: caller.server.update("deals", record_id, by=caller.server.actor("CRM_UI", 5), dealname="E")
    )
    made, changed = caller.server.call(caller.server.journal)
    assert (made["kind"], made["source"], made["changes"]["dealname"]) == ("creation", "INTEGRATION", "D")
    assert (changed["kind"], changed["user"], changed["changes"]["dealname"]) == ("propertyChange", 5, "E")


# --- webhooks ----------------------------------------------------------------------------------------------------


class Receiver:
    """A loopback receiver that keeps what it is sent; `statuses` are answered first."""

    def __init__(self) -> None:
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.statuses: list[int] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.requests.append((dict(self.headers.items()), body))
                self.send_response(receiver.statuses.pop(0) if receiver.statuses else 204)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Silent."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/hooks?x=1"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def events(self) -> list[dict[str, Any]]:
        return [event for _, body in self.requests for event in json.loads(body)]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def receiving(caller: Caller, *event_types: str) -> Iterator[Receiver]:
    """A receiver subscribed through the API."""
    receiver = Receiver()
    root = f"/webhooks/v3/{caller.server.app.app_id}"
    throttling = {"maxConcurrentRequests": 10, "period": "SECONDLY"}
    settings = {"targetUrl": receiver.url, "throttling": throttling}
    assert caller.request("PUT", f"{root}/settings", settings).json()["targetUrl"] == receiver.url
    for event_type in event_types:
        kind, _, name = event_type.partition(":")
        body = {"eventType": kind, "active": True, **({"propertyName": name} if name else {})}
        assert caller.post(f"{root}/subscriptions", body).status_code == 201
    caller.server.webhooks.retry_seconds = 0.01
    yield receiver
    receiver.close()


def test_webhooks_carry_both_signatures_over_the_raw_bytes(caller: Caller) -> None:
    with receiving(caller, "deal.creation") as receiver:
        record_id = caller.make("deals", dealname="Zoë")
        assert caller.server.webhooks.flush()
        ((headers, body),) = receiver.requests
        secret = caller.server.app.client_secret.encode()
        assert headers["X-HubSpot-Signature"] == hashlib.sha256(secret + body).hexdigest()
        stamp = headers["X-HubSpot-Request-Timestamp"]
        signed = b"POST" + receiver.url.encode() + body + stamp.encode()
        expected = base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()
        assert headers["X-HubSpot-Signature-v3"] == expected
        (event,) = json.loads(body)
        assert (event["objectId"], event["subscriptionType"], event["attemptNumber"]) == (
            int(record_id),
            "deal.creation",
            0,
        )
        assert {"eventId", "subscriptionId", "portalId", "appId", "occurredAt", "changeSource"} < set(event)


def test_webhooks_tell_of_properties_archives_merges_and_associations(caller: Caller) -> None:
    kinds = ("contact.propertyChange:firstname", "contact.deletion", "contact.merge", "contact.associationChange")
    with receiving(caller, *kinds) as receiver:
        one = caller.make("contacts", email="a@example.com", firstname="A")
        other = caller.make("contacts", email="b@example.com")
        company = caller.make("companies", name="Acme")
        caller.request("PUT", f"/crm/v4/objects/contacts/{one}/associations/companies/{company}", PRIMARY)
        merged = {"primaryObjectId": one, "objectIdToMerge": other}
        survivor = caller.post("/crm/v3/objects/contacts/merge", merged).json()["id"]
        caller.request("DELETE", f"/crm/v3/objects/contacts/{survivor}")
        assert caller.server.webhooks.flush()
        by_kind = {event["subscriptionType"]: event for event in receiver.events}
        changes = [e for e in receiver.events if e["subscriptionType"] == "contact.propertyChange"]
        assert {(e["propertyName"], e["propertyValue"]) for e in changes} == {("firstname", "A")}
        merge = by_kind["contact.merge"]
        assert (merge["primaryObjectId"], merge["mergedObjectIds"]) == (int(one), [int(other)])
        assert merge["newObjectId"] == int(survivor)
        assert by_kind["contact.deletion"]["objectId"] == int(survivor)
        link = by_kind["contact.associationChange"]
        assert (link["associationType"], link["isPrimaryAssociation"]) == ("CONTACT_TO_COMPANY", True)


def test_webhooks_are_retried_repeated_and_disordered(caller: Caller) -> None:
    with receiving(caller, "deal.creation") as receiver:
        caller.server.condition("webhooks", duplicates=1.0, disorder=True)
        receiver.statuses = [503]
        inputs = [{"properties": {"dealname": f"D{n}"}} for n in range(60)]
        caller.post("/crm/v3/objects/deals/batch/create", {"inputs": inputs})
        assert caller.server.webhooks.flush()
        assert all(len(json.loads(body)) <= 100 for _, body in receiver.requests)
        attempts = [json.loads(body)[0]["attemptNumber"] for _, body in receiver.requests]
        assert attempts[:2] == [0, 1]
        accepted = [event["objectId"] for _, body in receiver.requests[1:] for event in json.loads(body)]
        assert len(accepted) == 120
        assert len(set(accepted)) == 60
        assert accepted != sorted(accepted)


def test_webhook_settings_refuse_what_cannot_be(caller: Caller) -> None:
    root = f"/webhooks/v3/{caller.server.app.app_id}"
    assert caller.get(f"{root}/settings").status_code == 404
    outside = caller.request("PUT", f"{root}/settings", {"targetUrl": "https://example.com/hook"})
    assert (outside.status_code, "loopback" in outside.json()["message"]) == (400, True)
    with receiving(caller) as receiver:
        post = lambda **body: caller.post(f"{root}/subscriptions", body)  # noqa: E731
        assert post(eventType="deal.explosion").status_code == 400
        assert post(eventType="deal.propertyChange").status_code == 400
        assert post(eventType="deal.propertyChange", propertyName="hs_lastmodifieddate").status_code == 400
        made = post(eventType="deal.creation", active=False).json()
        caller.make("deals", dealname="D")
        assert receiver.events == []
        path = f"{root}/subscriptions/{made['id']}"
        assert caller.request("PATCH", path, {"active": True}).json()["active"] is True
        batch = {"inputs": [{"id": made["id"], "active": False}, {"id": 99, "active": True}]}
        assert caller.post(f"{root}/subscriptions/batch/update", batch).status_code == 207
        assert caller.request("DELETE", path).status_code == 204
        assert caller.get(path).status_code == 404
        assert caller.request("DELETE", f"{root}/settings").status_code == 204
