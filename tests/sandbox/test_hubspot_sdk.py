"""The practice server under hubspot-api-client, unpatched."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hubspot import HubSpot
from hubspot.crm.contacts.exceptions import ApiException
from hubspot.utils.signature import Signature

from sandbox.hubspot import HubSpotServer


@pytest.fixture
def server() -> Iterator[HubSpotServer]:
    with HubSpotServer() as running:
        yield running


@pytest.fixture
def client(server: HubSpotServer) -> Any:
    info = server.connection_info()
    return HubSpot(access_token=info["access_token"], host=info["host"])


def contact(client: Any, **properties: str) -> str:
    return str(client.crm.contacts.basic_api.create({"properties": properties}).id)


def test_single_records_are_created_read_changed_listed_and_archived(client: Any) -> None:
    api = client.crm.contacts.basic_api
    made = api.create({"properties": {"email": "Ann@Example.com", "firstname": "Ann"}})
    assert made.properties["email"] == "ann@example.com"
    assert api.get_by_id(made.id, properties=["phone"]).properties["phone"] is None
    assert api.update(made.id, {"properties": {"firstname": "Anne"}}).properties["firstname"] == "Anne"
    assert api.get_by_id("ann@example.com", id_property="email").id == made.id
    assert [r.id for r in api.get_page(limit=10).results] == [made.id]
    api.archive(made.id)
    assert api.get_page().results == []
    assert [r.id for r in api.get_page(archived=True).results] == [made.id]
    with pytest.raises(ApiException) as refused:
        api.get_by_id(made.id)
    assert refused.value.status == 404


def test_get_all_walks_every_page(client: Any) -> None:
    inputs = [{"properties": {"dealname": f"Deal {n}"}} for n in range(100)]
    for _ in range(3):
        client.crm.deals.batch_api.create({"inputs": inputs})
    assert len({deal.id for deal in client.crm.deals.get_all()}) == 300


def test_batches_read_create_update_upsert_and_archive(client: Any) -> None:
    client.crm.properties.core_api.create(
        "companies",
        {
            "name": "sidefeed_key",
            "label": "Key",
            "type": "string",
            "fieldType": "text",
            "groupName": "companyinformation",
            "hasUniqueValue": True,
        },
    )
    api = client.crm.companies.batch_api
    made = api.create({"inputs": [{"properties": {"name": f"C{n}", "sidefeed_key": f"k{n}"}} for n in range(5)]})
    ids = {r.properties["sidefeed_key"]: r.id for r in made.results}
    assert sorted(ids) == [f"k{n}" for n in range(5)]
    read = api.read({"inputs": [{"id": ids["k0"]}, {"id": "999"}], "properties": ["name"], "propertiesWithHistory": []})
    assert [r.properties["name"] for r in read.results] == ["C0"]
    assert read.num_errors == 1
    assert read.errors[0].context == {"ids": ["999"]}
    updated = api.update({"inputs": [{"id": ids["k1"], "properties": {"city": "Bonn"}}]})
    assert updated.results[0].properties["city"] == "Bonn"
    upserted = api.upsert(
        {"inputs": [{"id": key, "idProperty": "sidefeed_key", "properties": {"city": "Ulm"}} for key in ("k1", "k9")]}
    )
    assert {r.properties["sidefeed_key"] if r.new else r.id: r.new for r in upserted.results} == {
        ids["k1"]: False,
        "k9": True,
    }
    api.archive({"inputs": [{"id": ids["k0"]}, {"id": "424242"}]})
    assert ids["k0"] not in {r.id for r in client.crm.companies.get_all()}


def test_search_filters_sorts_and_pages(client: Any) -> None:
    client.crm.deals.batch_api.create(
        {"inputs": [{"properties": {"dealname": f"D{n}", "amount": str(n * 10)}} for n in range(30)]}
    )
    request = {
        "filterGroups": [{"filters": [{"propertyName": "amount", "operator": "GTE", "value": "100"}]}],
        "sorts": [{"propertyName": "amount", "direction": "DESCENDING"}],
        "properties": ["amount"],
        "limit": 15,
    }
    first = client.crm.deals.search_api.do_search(request)
    assert first.total == 20
    assert [r.properties["amount"] for r in first.results[:2]] == ["290", "280"]
    rest = client.crm.deals.search_api.do_search({**request, "after": first.paging.next.after})
    assert len(rest.results) == 5
    assert rest.paging is None


def test_associations_v4_work_singly_and_in_batches(client: Any) -> None:
    one = contact(client, email="a@example.com")
    company = client.crm.companies.basic_api.create({"properties": {"name": "Acme"}}).id
    api = client.crm.associations.v4
    api.basic_api.create(
        "contacts", one, "companies", company, [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 1}]
    )
    page = api.basic_api.get_page("contacts", one, "companies")
    assert [(t.type_id, t.label) for t in page.results[0].association_types] == [(1, "Primary"), (279, None)]
    read = api.batch_api.get_page("companies", "contacts", {"inputs": [{"id": company}]})
    assert [t.type_id for t in read.results[0].to[0].association_types] == [2, 280]
    assert api.basic_api.create_default(
        "deals", client.crm.deals.basic_api.create({"properties": {}}).id, "contacts", one
    )
    api.batch_api.archive("contacts", "companies", {"inputs": [{"from": {"id": one}, "to": [{"id": company}]}]})
    assert api.basic_api.get_page("contacts", one, "companies").results == []
    labels = api.schema.definitions_api.get_all("contacts", "companies").results
    assert {(d.type_id, d.label) for d in labels} == {(1, "Primary"), (279, None)}


def test_owners_pipelines_and_properties_are_described(server: HubSpotServer, client: Any) -> None:
    owner = server.call(server.add_owner, "rep@example.com", "Rae", "Rep")
    server.call(lambda: server.add_owner("gone@example.com", archived=True))
    api = client.crm.owners.owners_api
    assert [o.id for o in api.get_page(email="REP@example.com").results] == [owner]
    assert [o.user_id for o in api.get_page(archived=True).results] == [None]
    assert api.get_by_id(int(owner)).email == "rep@example.com"
    stages = client.crm.pipelines.pipeline_stages_api.get_all("deals", "default").results
    assert stages[-1].metadata == {"isClosed": "true", "probability": "0.0"}
    stage = client.crm.properties.core_api.get_by_name("deals", "dealstage")
    assert (stage.external_options, stage.options, stage.has_unique_value) == (True, [], False)
    assert client.crm.properties.core_api.get_by_name("contacts", "email").has_unique_value


def test_meetings_need_a_timestamp_and_take_associations_on_create(client: Any) -> None:
    one = contact(client, email="a@example.com")
    types = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 200}]
    api = client.crm.objects.meetings.basic_api
    made = api.create(
        {
            "properties": {"hs_timestamp": "2026-11-02T09:00:00Z", "hs_meeting_title": "Kick-off"},
            "associations": [{"to": {"id": one}, "types": types}],
        }
    )
    shown = client.crm.objects.basic_api.get_by_id("meetings", made.id, associations=["contacts"])
    assert [(a.id, a.type) for a in shown.associations["contacts"].results] == [(one, "meeting_event_to_contact")]


def test_it_speaks_tls_to_the_sdk() -> None:
    with HubSpotServer(tls=True) as server:
        client = HubSpot(access_token=server.access_token, host=server.url, ssl_ca_cert=str(server.ca_file))
        assert client.crm.contacts.basic_api.get_page().results == []


def test_merges_splits_groups_and_privacy_deletion(server: HubSpotServer, client: Any) -> None:
    one, other = contact(client, email="a@example.com"), contact(client, email="b@example.com")
    survivor = client.crm.contacts.basic_api.merge({"primaryObjectId": one, "objectIdToMerge": other}).id
    assert client.crm.contacts.basic_api.get_by_id(other).id == survivor
    client.crm.contacts.basic_api.purge({"objectId": survivor})
    assert client.crm.contacts.basic_api.get_page(archived=True).results == []
    owner = server.call(server.add_owner, "rep@example.com")
    deal = client.crm.deals.basic_api.create({"properties": {"amount": "10"}}).id
    api = client.crm.objects.deal_splits.batch_api
    shares = {"inputs": [{"id": int(deal), "splits": [{"ownerId": int(owner), "percentage": "1.0"}]}]}
    assert api.upsert(shares).results[0].splits[0].properties["hubspot_owner_id"] == owner
    assert len(api.read({"inputs": [{"id": deal}]}).results[0].splits) == 1
    groups = client.crm.properties.groups_api.get_all("deals").results
    assert [group.name for group in groups] == ["dealinformation"]


def test_tokens_are_refreshed_and_described(server: HubSpotServer) -> None:
    app = server.app
    code = server.access.install(app, None, "http://localhost/back")
    client = HubSpot(host=server.url)
    secrets = {"client_id": app.client_id, "client_secret": app.client_secret}
    first = client.oauth.tokens_api.create(
        grant_type="authorization_code", code=code, redirect_uri="http://localhost/back", **secrets
    )
    second = client.oauth.tokens_api.create(grant_type="refresh_token", refresh_token=first.refresh_token, **secrets)
    assert second.access_token != first.access_token
    assert client.oauth.access_tokens_api.get(second.access_token).hub_id == server.portal.id
    signed_in = HubSpot(access_token=second.access_token, host=server.url)
    assert signed_in.crm.deals.basic_api.get_page().results == []


def test_the_clients_own_signature_check_accepts_a_webhook(server: HubSpotServer) -> None:
    body = b'[{"eventId":1}]'
    uri = "http://127.0.0.1:9/hooks"
    headers = server.webhooks.signed(uri, body)
    assert Signature.is_valid(
        signature=headers["X-HubSpot-Signature-v3"],
        client_secret=server.app.client_secret,
        request_body=body.decode(),
        http_uri=uri,
        http_method="POST",
        signature_version="v3",
        timestamp=headers["X-HubSpot-Request-Timestamp"],
    )
    assert Signature.is_valid(
        signature=headers["X-HubSpot-Signature"],
        client_secret=server.app.client_secret,
        request_body=body.decode(),
        signature_version="v1",
    )
