"""simple-salesforce, unpatched and over TLS, works against the practice server."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
import requests
from simple_salesforce import Salesforce
from simple_salesforce.exceptions import (
    SalesforceExpiredSession,
    SalesforceGeneralError,
    SalesforceMalformedRequest,
    SalesforceMoreThanOneRecord,
    SalesforceRefusedRequest,
    SalesforceResourceNotFound,
)

from .salesforce_caller import Caller, organisation


@pytest.fixture
def org() -> Iterator[Caller]:
    with organisation(tls=True) as caller:
        yield caller


@pytest.fixture
def sf(org: Caller) -> Salesforce:
    return client(org, org.token)


def client(org: Caller, session_id: str, version: str = "59.0") -> Salesforce:
    session = requests.Session()
    session.trust_env = False
    session.verify = str(org.server.ca_file)
    return Salesforce(session_id=session_id, instance_url=org.server.url, session=session, version=version)


def test_rows_live_and_die(sf: Salesforce) -> None:
    made = sf.Account.create({"Name": "Acme", "Phone": "1"})
    assert made["success"] is True
    key = made["id"]
    assert sf.Account.update(key, {"Phone": "2"}) == 204
    assert sf.Account.get(key)["Phone"] == "2"
    assert sf.Account.delete(key) == 204
    with pytest.raises(SalesforceResourceNotFound) as caught:
        sf.Account.get(key)
    assert caught.value.content[0]["errorCode"] == "ENTITY_IS_DELETED"


def test_upsert_by_external_id(sf: Salesforce) -> None:
    created = sf.Contact.upsert("Sidefeed_Key__c/k1", {"LastName": "Ito"}, raw_response=True)
    assert (created.status_code, created.json()["created"]) == (201, True)
    assert sf.Contact.upsert("Sidefeed_Key__c/k1", {"LastName": "Sato"}) == 200
    assert sf.Contact.get_by_custom_id("Sidefeed_Key__c", "k1")["LastName"] == "Sato"


def test_queries_page_to_the_end(org: Caller, sf: Salesforce) -> None:
    for number in range(2100):
        org.server.call(org.server.insert, "Account", Name=f"A{number:04d}")
    every = list(sf.query_all_iter("SELECT Name FROM Account ORDER BY Name"))
    assert [row["Name"] for row in every] == [f"A{n:04d}" for n in range(2100)]
    first = sf.query("SELECT Name FROM Account")
    assert len(sf.query_more(first["nextRecordsUrl"], identifier_is_url=True)["records"]) == 100
    assert sf.query_all("SELECT Id FROM Account")["totalSize"] == 2100


def test_deleted_rows_show_on_demand(sf: Salesforce) -> None:
    key = sf.Account.create({"Name": "A"})["id"]
    sf.Account.delete(key)
    assert sf.query("SELECT Id FROM Account")["totalSize"] == 0
    assert sf.query("SELECT Id FROM Account WHERE IsDeleted = true", include_deleted=True)["records"][0]["Id"] == key


def test_describes_limits_and_usage(sf: Salesforce) -> None:
    assert {one["name"] for one in sf.describe()["sobjects"]} >= {"Account", "Contact", "Opportunity"}
    assert {f["name"] for f in sf.Contact.describe()["fields"]} >= {"Email", "Sidefeed_Key__c"}
    assert sf.limits()["DailyApiRequests"]["Max"] == 15000
    assert sf.api_usage["api-usage"].total == 15000
    assert sf.Account.metadata()["objectDescribe"]["name"] == "Account"


def test_restful_reaches_composite_and_collections(sf: Salesforce) -> None:
    body = {"allOrNone": False, "records": [{"attributes": {"type": "Account"}, "Name": "A"}]}
    assert sf.restful("composite/sobjects", method="POST", json=body)[0]["success"] is True
    part = {"method": "GET", "url": "/services/data/v59.0/query?q=SELECT+Name+FROM+Account", "referenceId": "q"}
    answer = sf.restful("composite", method="POST", json={"compositeRequest": [part]})
    assert answer["compositeResponse"][0]["body"]["records"][0]["Name"] == "A"


def test_updated_and_deleted_windows(org: Caller, sf: Salesforce) -> None:
    key = sf.Account.create({"Name": "A"})["id"]
    now = org.server.clock.now()
    start, end = now - timedelta(hours=1), now + timedelta(hours=1)
    assert sf.Account.updated(start, end)["ids"] == [key]
    sf.Account.delete(key)
    assert sf.Account.deleted(start, end)["deletedRecords"][0]["id"] == key


def test_search(sf: Salesforce) -> None:
    sf.Account.create({"Name": "Acme"})
    assert sf.search("FIND {acme} RETURNING Account(Name)")["searchRecords"][0]["Name"] == "Acme"
    assert sf.quick_search("acme")["searchRecords"]


def test_bulk_2_in_and_out(sf: Salesforce, tmp_path: Path) -> None:
    rows = [{"Sidefeed_Key__c": f"k{n}", "LastName": f"N{n}"} for n in range(30)]
    done = sf.bulk2.Contact.upsert(records=rows, external_id_field="Sidefeed_Key__c", wait=0)
    assert (done[0]["numberRecordsProcessed"], done[0]["numberRecordsFailed"]) == (30, 0)
    bad = sf.bulk2.Contact.insert(records=[{"LastName": "", "Title": "x"}], wait=0)
    failed = sf.bulk2.Contact.get_failed_records(bad[0]["job_id"])
    assert "REQUIRED_FIELD_MISSING" in failed
    pages = list(sf.bulk2.Contact.query("SELECT LastName FROM Contact ORDER BY LastName", max_records=20, wait=0))
    assert len(pages) == 2
    assert pages[0].splitlines()[0].strip('"') == "LastName"
    sf.bulk2.Contact.download("SELECT Id FROM Contact", path=str(tmp_path), wait=0)
    assert len(list(tmp_path.iterdir())) == 1


def test_each_status_raises_the_right_exception(org: Caller, sf: Salesforce) -> None:
    with pytest.raises(SalesforceMalformedRequest) as bad:
        sf.query("SELECT Nope FROM Account")
    assert bad.value.content[0]["errorCode"] == "INVALID_FIELD"
    for name in ("A", "B"):
        sf.Contact.create({"LastName": name, "Legacy__c": "7"})
    with pytest.raises(SalesforceMoreThanOneRecord) as several:
        sf.Contact.get_by_custom_id("Legacy__c", "7")
    assert len(several.value.content) == 2
    org.server.call(org.server.condition, "quota", remaining=0)
    with pytest.raises(SalesforceRefusedRequest) as refused:
        sf.limits()
    assert refused.value.content[0]["errorCode"] == "REQUEST_LIMIT_EXCEEDED"
    org.server.quota.reset()
    key = sf.Account.create({"Name": "A"})["id"]
    with pytest.raises(SalesforceGeneralError) as stale:
        sf.Account.update(key, {"Name": "B"}, headers={"If-Unmodified-Since": "Tue, 01 Jan 2019 00:00:00 GMT"})
    assert stale.value.status == 412
    with pytest.raises(SalesforceExpiredSession):
        client(org, "nonsense").query("SELECT Id FROM Account")


def test_passwords_are_set_and_apex_of_ones_own_is_not_there(org: Caller, sf: Salesforce) -> None:
    assert sf.set_password(org.server.admin_id, "a-new-password") is None
    with pytest.raises(SalesforceMalformedRequest) as short:
        sf.set_password(org.server.admin_id, "short")
    assert short.value.content[0]["errorCode"] == "INVALID_NEW_PASSWORD"
    info = org.server.connection_info()
    form = {"grant_type": "password", "client_id": info["client_id"], "client_secret": info["client_secret"]}
    login = {**form, "username": info["username"]}
    token = f"{org.server.url}/services/oauth2/token"
    assert org.http.post(token, data={**login, "password": "a-new-password"}).status_code == 200
    assert org.http.post(token, data={**login, "password": info["password"]}).status_code == 400
    with pytest.raises(SalesforceResourceNotFound) as missing:
        sf.apexecute("orders", method="GET")
    assert missing.value.content[0]["message"] == "Could not find a match for URL"
    assert sf.is_sandbox() is False
    assert sf.oauth2("userinfo")["user_id"] == org.server.admin_id


def test_a_token_from_our_token_endpoint_works_in_the_sdk(org: Caller) -> None:
    info = org.server.connection_info()
    claims: dict[str, Any] = {
        "iss": info["client_id"],
        "sub": info["username"],
        "aud": info["login_url"],
        "exp": str(int(org.server.clock.now().timestamp()) + 180),
    }
    assertion = jwt.encode(claims, Path(info["jwt_private_key_file"]).read_bytes(), algorithm="RS256")
    form = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": assertion}
    answer = org.http.post(f"{info['login_url']}/services/oauth2/token", data=form).json()
    sf = client(org, answer["access_token"])
    assert answer["instance_url"] == org.server.url
    assert sf.query("SELECT Username FROM User")["records"][0]["Username"] == info["username"]


@pytest.mark.parametrize("version", ["31.0", "45.0", "68.0"])
def test_other_api_versions_work(org: Caller, version: str) -> None:
    sf = client(org, org.token, version)
    key = sf.Account.create({"Name": "A"})["id"]
    assert (
        sf.query("SELECT Id FROM Account")["records"][0]["attributes"]["url"]
        == f"/services/data/v{version}/sobjects/Account/{key}"
    )
