"""Getting in: OAuth, SOAP login, sessions; and the limits, versions and conditional headers of every request."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from .salesforce_caller import Caller, organisation, refusal

JWT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


@pytest.fixture
def org() -> Iterator[Caller]:
    with organisation() as caller:
        yield caller


def token(org: Caller, **form: Any) -> httpx.Response:
    auth = form.pop("auth", None)
    return org.http.post("/services/oauth2/token", data=form, auth=auth)


def client(org: Caller) -> dict[str, str]:
    info = org.server.connection_info()
    return {"client_id": info["client_id"], "client_secret": info["client_secret"]}


def assertion(org: Caller, *, key: Any = None, algorithm: str = "RS256", **claims: Any) -> str:
    info = org.server.connection_info()
    pem = key or Path(info["jwt_private_key_file"]).read_bytes()
    base = {
        "iss": info["client_id"],
        "sub": info["username"],
        "aud": info["login_url"],
        "exp": str(int(org.server.clock.now().timestamp()) + 180),
    }
    return jwt.encode({**base, **claims}, pem, algorithm=algorithm)


def works(org: Caller, answer: httpx.Response) -> bool:
    body = answer.json()
    assert body["instance_url"] == org.server.url
    assert {"id", "issued_at", "signature", "access_token"} <= set(body)
    assert body["issued_at"].isdigit()
    headers = {"Authorization": f"Bearer {body['access_token']}"}
    return org.http.get("/services/data/v59.0/limits", headers=headers).status_code == 200


# OAuth


def test_password_grant(org: Caller) -> None:
    user = {"username": "admin@practice.example", "grant_type": "password", **client(org)}
    assert works(org, token(org, password="practice-password", **user))
    assert works(org, token(org, password="practice-passwordtoken", **user))
    refused = token(org, password="wrong", **user)
    assert (refused.status_code, refused.json()) == (
        400,
        {"error": "invalid_grant", "error_description": "authentication failure - Invalid Password"},
    )


def test_client_credentials_by_basic_or_form(org: Caller) -> None:
    known = client(org)
    assert works(org, token(org, grant_type="client_credentials", auth=(known["client_id"], known["client_secret"])))
    assert works(org, token(org, grant_type="client_credentials", **known))
    assert token(org, grant_type="client_credentials", auth=("x", "y")).json()["error"] == "invalid_client_id"
    wrong = token(org, grant_type="client_credentials", **{**known, "client_secret": "no"})
    assert wrong.json() == {"error": "invalid_client", "error_description": "invalid client credentials"}


@pytest.mark.parametrize("audience", [None, "https://login.salesforce.com", "https://test.salesforce.com"])
def test_jwt_bearer_with_a_text_or_number_for_exp(org: Caller, audience: str | None) -> None:
    claims = {"aud": audience} if audience else {}
    assert works(org, token(org, grant_type=JWT, assertion=assertion(org, **claims)))
    soon = int(org.server.clock.now().timestamp()) + 60
    for expires in (soon, soon * 1000):  # the second as @salesforce/core sends it, in milliseconds
        assert works(org, token(org, grant_type=JWT, assertion=assertion(org, exp=expires, **claims)))


@pytest.mark.parametrize(
    ("claims", "error", "description"),
    [
        ({"aud": "https://elsewhere.example"}, "invalid_grant", "audience is invalid"),
        ({"exp": "1"}, "invalid_grant", "expired assertion"),
        ({"exp": "soon"}, "invalid_grant", "invalid assertion"),
        ({"sub": "stranger@x.example"}, "invalid_grant", "user hasn't approved this consumer"),
        ({"iss": "stranger"}, "invalid_client_id", "client identifier invalid"),
    ],
)
def test_assertions_are_checked_claim_by_claim(
    org: Caller, claims: dict[str, str], error: str, description: str
) -> None:
    answer = token(org, grant_type=JWT, assertion=assertion(org, **claims))
    assert (answer.status_code, answer.json()) == (400, {"error": error, "error_description": description})


def test_assertions_signed_by_others_or_by_nothing_are_refused(org: Caller) -> None:
    org.server.connection_info()
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    forged = [assertion(org, key=stranger), assertion(org, key="x" * 32, algorithm="HS256"), "a.b.c", ""]
    answers = [token(org, grant_type=JWT, assertion=one) for one in forged]
    assert [(a.status_code, a.json()["error"]) for a in answers] == [(400, "invalid_grant")] * 3 + [
        (400, "invalid_request")
    ]


def test_refresh_tokens_rotate_once_and_die(org: Caller) -> None:
    known = client(org)
    fixed = org.server.oauth.issue_refresh_token(known["client_id"], org.server.admin_id)
    for _ in range(2):
        answer = token(org, grant_type="refresh_token", refresh_token=fixed, **known)
        assert works(org, answer)
        assert "refresh_token" not in answer.json()
    org.server.app.rotate = True
    rotated = token(org, grant_type="refresh_token", refresh_token=fixed, **known).json()["refresh_token"]
    dead = token(org, grant_type="refresh_token", refresh_token=fixed, **known)
    assert (dead.status_code, dead.json()) == (
        400,
        {"error": "invalid_grant", "error_description": "expired access/refresh token"},
    )
    assert works(org, token(org, grant_type="refresh_token", refresh_token=rotated, client_id=known["client_id"]))


def test_other_grants_are_unsupported(org: Caller) -> None:
    assert token(org, grant_type="magic").json() == {
        "error": "unsupported_grant_type",
        "error_description": "grant type not supported",
    }
    known_elsewhere = token(org, grant_type="urn:ietf:params:oauth:grant-type:saml2-bearer")
    assert (known_elsewhere.status_code, "does not implement" in known_elsewhere.text) == (501, True)
    assert token(org).json()["error"] == "invalid_request"
    assert org.http.get("/services/oauth2/token").json()["error"] == "invalid_request"


def test_revoke_introspect_and_user_info(org: Caller) -> None:
    known = client(org)
    access = token(org, grant_type="client_credentials", **known).json()["access_token"]
    headers = {"Authorization": f"Bearer {access}"}
    assert (
        org.http.get("/services/oauth2/userinfo", headers=headers).json()["preferred_username"]
        == "admin@practice.example"
    )
    introspect = org.http.post("/services/oauth2/introspect", data={"token": access, **known}).json()
    assert (introspect["active"], introspect["username"]) == (True, "admin@practice.example")
    assert org.http.post("/services/oauth2/revoke", data={"token": access}).status_code == 200
    assert org.http.post("/services/oauth2/introspect", data={"token": access, **known}).json() == {"active": False}
    assert org.http.get("/services/data/v59.0/limits", headers=headers).status_code == 401


# SOAP


def login(org: Caller, version: str, password: str = "practice-password", organization: str = "") -> httpx.Response:
    header = (
        f"<env:Header><n1:LoginScopeHeader><n1:organizationId>{organization}</n1:organizationId></n1:LoginScopeHeader></env:Header>"
        if organization
        else ""
    )
    body = f"""<?xml version="1.0" encoding="utf-8" ?>
    <env:Envelope xmlns:env="http://schemas.xmlsoap.org/soap/envelope/" xmlns:n1="urn:partner.soap.sforce.com">{header}
    <env:Body><n1:login><n1:username>admin@practice.example</n1:username><n1:password>{password}</n1:password></n1:login>
    </env:Body></env:Envelope>"""
    headers = {"content-type": "text/xml", "SOAPAction": "login"}
    return org.http.post(f"/services/Soap/u/{version}", content=body, headers=headers)


def test_soap_login_gives_a_session_until_64(org: Caller) -> None:
    for version in ("59.0", "64.0"):
        answer = login(org, version)
        session = answer.text.split("<sessionId>")[1].split("</sessionId>")[0]
        assert f"<serverUrl>{org.server.url}/services/Soap/u/{version}/" in answer.text
        org.token = session
        assert org.get("limits").status_code == 200
    assert login(org, "59.0", organization=org.server.organisation_id).status_code == 200


@pytest.mark.parametrize(
    ("version", "password", "organization", "code", "message"),
    [
        ("59.0", "wrong", "", "INVALID_LOGIN", "Invalid username, password, security token; or user locked out."),
        ("59.0", "practice-password", "00D000000000001", "INVALID_LOGIN", "Invalid username, password, security token; or user locked out."),
        ("65.0", "practice-password", "", "INVALID_OPERATION", "SOAP Login operation is not available in the API version specified"),
        ("20.0", "practice-password", "", "UNSUPPORTED_API_VERSION", "The requested API version is not available"),
    ],
)  # fmt: skip
def test_soap_faults_name_the_code_in_the_sf_namespace(
    org: Caller, version: str, password: str, organization: str, code: str, message: str
) -> None:
    answer = login(org, version, password, organization)
    assert answer.status_code == 500
    assert f"<sf:exceptionCode>{code}</sf:exceptionCode>" in answer.text
    assert f"<sf:exceptionMessage>{message}</sf:exceptionMessage>" in answer.text


def test_soap_login_can_be_off_and_other_calls_say_what_is_missing(org: Caller) -> None:
    org.server.call(org.server.condition, "soap_login_disabled")
    assert "INVALID_OPERATION" in login(org, "59.0").text
    body = (
        '<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Header><h><sessionId>'
        f"{org.token}</sessionId></h></e:Header><e:Body><describeTabs/></e:Body></e:Envelope>"
    )
    answer = org.http.post("/services/Soap/u/59.0", content=body)
    assert (answer.status_code, "does not implement the SOAP call describeTabs" in answer.text) == (500, True)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<a",
        b"<a/>",
        b'<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>',
        b'<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"/>',
    ],
)
def test_soap_that_is_no_soap_is_a_fault(org: Caller, body: bytes) -> None:
    answer = org.http.post("/services/Soap/u/59.0", content=body)
    assert answer.status_code == 500
    assert "<sf:exceptionCode>UNKNOWN_EXCEPTION</sf:exceptionCode>" in answer.text


# sessions


@pytest.mark.parametrize("header", [None, "Bearer nonsense", "OAuth nonsense"])
def test_without_a_good_session_there_is_nothing(org: Caller, header: str | None) -> None:
    answer = org.http.get("/services/data/v59.0/limits", headers={"Authorization": header} if header else {})
    assert (answer.status_code, answer.json()) == (
        401,
        [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}],
    )
    basic = org.http.get("/services/data/v59.0/limits", auth=("a", "b"))
    assert refusal(basic) == (401, "INVALID_AUTH_HEADER", "INVALID_HEADER_TYPE")


def test_sessions_expire_in_the_middle_of_paging(org: Caller) -> None:
    for number in range(201):
        org.server.call(org.server.insert, "Account", Name=f"A{number}")
    first = org.query("SELECT Id FROM Account", **{"Sforce-Query-Options": "batchSize=200"})
    org.server.call(org.server.condition, "session_expired")
    assert refusal(org.get(first["nextRecordsUrl"]))[:2] == (401, "INVALID_SESSION_ID")
    org.token = org.server.call(org.server.issue_session, token="00Dfixed!token")
    assert org.get(first["nextRecordsUrl"]).json()["done"] is True


def test_oauth_scheme_works_like_bearer(org: Caller) -> None:
    assert org.request("GET", "limits", headers={"Authorization": f"OAuth {org.token}"}).status_code == 200


# versions and limits


def test_versions_are_listed_without_a_session(org: Caller) -> None:
    listed = org.http.get("/services/data/").json()
    assert listed[-1] == {"label": "Winter '27", "url": "/services/data/v68.0", "version": "68.0"}
    assert {"label": "Winter '24", "url": "/services/data/v59.0", "version": "59.0"} in listed


@pytest.mark.parametrize(
    ("version", "status", "code"),
    [
        ("31.0", 200, None),
        ("68.0", 200, None),
        ("30.0", 410, "UNSUPPORTED_API_VERSION"),
        ("69.0", 404, "NOT_FOUND"),
        ("59.1", 404, "NOT_FOUND"),
    ],
)
def test_retired_versions_are_gone_and_others_unknown(org: Caller, version: str, status: int, code: str | None) -> None:
    answer = org.get(f"/services/data/v{version}/limits")
    assert answer.status_code == status
    assert code is None or answer.json()[0]["errorCode"] == code


def test_every_answer_tells_the_api_usage(org: Caller) -> None:
    first = org.get("limits")
    used = int(first.headers["Sforce-Limit-Info"].removeprefix("api-usage=").split("/")[0])
    assert first.json()["DailyApiRequests"] == {"Max": 15000, "Remaining": 15000 - used}
    assert org.get("sobjects/Nope").headers["Sforce-Limit-Info"] == f"api-usage={used + 1}/15000"


def test_the_daily_quota_runs_out_and_comes_back(org: Caller) -> None:
    org.server.call(org.server.condition, "quota", limit=5, remaining=2)
    assert [org.get("limits").status_code for _ in range(3)] == [200, 200, 403]
    refused = org.get("limits")
    assert refused.json() == [{"message": "TotalRequests Limit exceeded.", "errorCode": "REQUEST_LIMIT_EXCEEDED"}]
    assert "Retry-After" not in refused.headers
    org.server.quota.reset()
    assert org.get("limits").status_code == 200


def test_faults_of_this_system_have_its_shapes(org: Caller) -> None:
    expected = {
        "quota": (403, "REQUEST_LIMIT_EXCEEDED"),
        "session": (401, "INVALID_SESSION_ID"),
        "lock": (400, "UNABLE_TO_LOCK_ROW"),
    }
    for kind, shape in expected.items():
        org.server.faults.add(kind, path="GET /limits")
        assert refusal(org.get("limits"))[:2] == shape
        assert org.get("limits").status_code == 200
    assert [hit.endpoint for hit in org.server.faults.hits] == ["GET /limits"] * 3


def test_long_addresses_are_refused_at_16384_bytes(org: Caller) -> None:
    ids = ",".join(f"'{'0015g000000zzzzAAA'}'" for _ in range(800))
    answer = org.get("query", q=f"SELECT Id FROM Account WHERE Id IN ({ids})")
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (414, "URI_TOO_LONG")
    fewer = ",".join(f"'{'0015g000000zzzzAAA'}'" for _ in range(400))
    assert org.get("query", q=f"SELECT Id FROM Account WHERE Id IN ({fewer})").status_code == 200


def test_record_counts_leave_out_objects_without_rows(org: Caller) -> None:
    org.make("Account", Name="A")
    assert org.get("limits/recordCount", sObjects="Account,Lead,Nope").json() == {
        "sObjects": [{"count": 1, "name": "Account"}]
    }
    assert {"count": 1, "name": "Organization"} in org.get("limits/recordCount").json()["sObjects"]


def test_methods_and_resources_that_do_not_exist(org: Caller) -> None:
    assert refusal(org.request("DELETE", "limits"))[:2] == (405, "METHOD_NOT_ALLOWED")
    assert refusal(org.get("nope")) == (404, "NOT_FOUND", "The requested resource does not exist")
    assert refusal(org.http.get("/nowhere"))[:2] == (404, "NOT_FOUND")


@pytest.mark.parametrize(
    "path",
    [
        "tooling/query",
        "ui-api/records",
        "sobjects/Account/describe/layouts",
        "actions",
        "chatter/feeds/news/me/feed-elements",
        "graphql",
    ],
)
def test_what_is_not_implemented_answers_501_naming_it(org: Caller, path: str) -> None:
    status, code, message = refusal(org.get(path))
    assert (status, code) == (501, "NOT_IMPLEMENTED")
    assert path.split("/")[0] in message


@pytest.mark.parametrize(
    "path", ["/cometd/62.0", "/services/Soap/class/Mine", "/services/oauth2/singleaccess", "/id/keys"]
)
def test_doors_that_are_not_here_say_so_too(org: Caller, path: str) -> None:
    answer = org.http.get(path)
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (501, "NOT_IMPLEMENTED")


def test_bulk_1_has_its_own_error_shape(org: Caller) -> None:
    job = "/services/async/59.0/job"
    bad = org.http.post(job, headers={"X-SFDC-Session": "x"}, json={})
    assert (bad.status_code, bad.json()) == (
        400,
        {"exceptionCode": "InvalidSessionId", "exceptionMessage": "Invalid session id"},
    )
    old = org.http.post("/services/async/20.0/job", headers={"X-SFDC-Session": org.token}, json={})
    assert (old.status_code, old.json()["exceptionCode"]) == (400, "InvalidVersion")
    empty = org.http.post(job, headers={"X-SFDC-Session": org.token}, json={})
    assert (empty.status_code, empty.json()["exceptionCode"]) == (400, "InvalidJob")


# conditional requests


def http_date(org: Caller, seconds: float) -> str:
    return format_datetime(org.server.clock.now() + timedelta(seconds=seconds), usegmt=True)


def test_if_unmodified_since_guards_updates_to_the_second(org: Caller) -> None:
    key = org.make("Contact", LastName="Ito")
    path = f"sobjects/Contact/{key}"
    assert (
        org.request("PATCH", path, {"Title": "A"}, headers={"If-Unmodified-Since": http_date(org, 0)}).status_code
        == 204
    )
    stale = org.request("PATCH", path, {"Title": "B"}, headers={"If-Unmodified-Since": http_date(org, -1)})
    assert refusal(stale)[:2] == (412, "PRECONDITION_FAILED")
    assert org.row("Contact", key)["Title"] == "A"
    wrong = org.request("PATCH", path, {"Title": "B"}, headers={"If-Unmodified-Since": "yesterday"})
    assert wrong.status_code == 400
    assert org.request("DELETE", path, headers={"If-Unmodified-Since": http_date(org, -99)}).status_code == 204


def test_if_modified_since_spares_the_body(org: Caller) -> None:
    key = org.make("Contact", LastName="Ito")
    answer = org.get(f"sobjects/Contact/{key}", {"If-Modified-Since": http_date(org, 0)})
    assert (answer.status_code, answer.content) == (304, b"")
    assert org.get(f"sobjects/Contact/{key}", {"If-Modified-Since": http_date(org, -1)}).status_code == 200


def test_entity_tags_exist_on_accounts_only(org: Caller) -> None:
    contact, key = org.make("Contact", LastName="Ito"), org.make("Account", Name="A")
    assert "ETag" not in org.get(f"sobjects/Contact/{contact}").headers
    path = f"sobjects/Account/{key}"
    tag = org.get(path).headers["ETag"]
    assert org.get(path, {"If-None-Match": tag}).status_code == 304
    assert org.request("PATCH", path, {"Name": "B"}, headers={"If-Match": tag}).status_code == 204
    org.server.clock.move(seconds=2)
    org.change("Account", key, Name="C")
    assert org.request("PATCH", path, {"Name": "D"}, headers={"If-Match": tag}).status_code == 412
    assert org.get(path, {"If-None-Match": tag}).status_code == 200


def test_basic_header_that_is_no_base64_is_an_invalid_client(org: Caller) -> None:
    for text in ("%%%", base64.b64encode(b"\xff\xfe").decode()):
        answer = org.http.post(
            "/services/oauth2/token",
            data={"grant_type": "client_credentials"},
            headers={"Authorization": f"Basic {text}"},
        )
        assert answer.json()["error"] == "invalid_client"
