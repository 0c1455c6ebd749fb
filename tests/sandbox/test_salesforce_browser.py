"""OAuth through a browser, who the bearer of a token is, and what its user has looked at."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from .salesforce_caller import Caller, organisation

BACK = "https://client.example/callback?from=practice"


@pytest.fixture(scope="module")
def org() -> Iterator[Caller]:
    with organisation() as caller:
        yield caller


def client(org: Caller) -> dict[str, str]:
    info = org.server.connection_info()
    return {"client_id": info["client_id"], "client_secret": info["client_secret"]}


def authorize(org: Caller, **asked: str) -> httpx.Response:
    known = {"response_type": "code", "client_id": client(org)["client_id"], "redirect_uri": BACK}
    return org.http.get("/services/oauth2/authorize", params={**known, **asked})


def sent_back(answer: httpx.Response) -> dict[str, str]:
    assert answer.status_code == 302, answer.text
    target = urlsplit(answer.headers["Location"])
    return {name: values[0] for name, values in parse_qs(target.query + "&" + target.fragment).items()}


def exchange(org: Caller, code: str, **form: Any) -> httpx.Response:
    base = {"grant_type": "authorization_code", "code": code, "redirect_uri": BACK, **client(org)}
    return org.http.post("/services/oauth2/token", data={**base, **form})


def test_a_code_is_good_once_and_brings_a_refresh_token(org: Caller) -> None:
    back = sent_back(authorize(org, state="s 1"))
    assert (back["from"], back["state"]) == ("practice", "s 1")
    body = exchange(org, back["code"]).json()
    assert org.http.get(
        urlsplit(body["id"]).path, headers={"Authorization": f"Bearer {body['access_token']}"}
    ).is_success
    renewed = {"grant_type": "refresh_token", "refresh_token": body["refresh_token"], **client(org)}
    assert org.http.post("/services/oauth2/token", data=renewed).is_success
    assert exchange(org, back["code"]).json()["error_description"] == "expired authorization code"
    assert exchange(org, "none").json() == {
        "error": "invalid_grant",
        "error_description": "invalid authorization code",
    }


def test_a_code_lives_fifteen_minutes_and_belongs_to_its_callback_and_verifier(org: Caller) -> None:
    verifier = "v" * 60
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    code = sent_back(authorize(org, code_challenge=challenge, scope="api"))["code"]
    elsewhere = exchange(org, code, redirect_uri="https://other.example/")
    assert (elsewhere.status_code, elsewhere.json()["error"]) == (400, "redirect_uri_mismatch")
    assert exchange(org, code, code_verifier="w" * 60).json()["error_description"] == "invalid code verifier"
    answer = exchange(org, code, code_verifier=verifier).json()
    assert (answer["scope"], "refresh_token" in answer) == ("api", False)
    late = sent_back(authorize(org))["code"]
    org.server.clock.move(15 * 60)
    assert exchange(org, late).json()["error_description"] == "expired authorization code"


def test_a_user_agent_gets_its_token_in_the_fragment(org: Caller) -> None:
    answer = authorize(org, response_type="token")
    assert "#access_token=" in answer.headers["Location"]
    token = sent_back(answer)["access_token"]
    assert org.http.get("/services/data/v59.0/limits", headers={"Authorization": f"Bearer {token}"}).is_success


def test_refusals_go_to_the_callback_or_where_there_is_none_to_the_page(org: Caller) -> None:
    assert sent_back(authorize(org, response_type="magic"))["error"] == "unsupported_response_type"
    unknown = authorize(org, client_id="nobody")
    assert (unknown.status_code, unknown.text) == (
        400,
        "error=invalid_client_id&error_description=client%20identifier%20invalid",
    )
    assert authorize(org, redirect_uri="").text.startswith("error=redirect_uri_missing&")
    for odd in ("http://[ ]/", "/relative", "https://a.example/\r\nX-Other: y", "https://a.example/#part"):
        assert authorize(org, redirect_uri=odd).text.startswith("error=redirect_uri_mismatch&")
    org.server.condition("setting", key="browser_approves", value=False)
    assert sent_back(authorize(org)) == {
        "from": "practice",
        "error": "access_denied",
        "error_description": "end-user denied authorization",
    }
    org.server.condition("setting", key="browser_approves", value=True)
    assert authorize(org, scope="openid api").status_code == 501


def test_callbacks_of_an_app_are_kept_to(org: Caller) -> None:
    app = {"client_id": "strict", "client_secret": "s", "callback_urls": ["https://strict.example/cb"]}
    org.server.load_credentials({"apps": [app]})
    assert authorize(org, client_id="strict").text.startswith("error=redirect_uri_mismatch&")
    assert authorize(org, client_id="strict", redirect_uri="").headers["Location"].startswith(app["callback_urls"][0])


def test_an_identity_tells_the_user_and_where_the_apis_are(org: Caller) -> None:
    info = org.server.connection_info()
    path = f"/id/{info['organization_id']}/{info['user_id']}"
    found = org.get("/services/oauth2/userinfo").json()
    shown = org.request("GET", f"/services/..{path}").json()
    assert shown["id"] == found["sub"] == f"{org.server.url}{path}"
    assert (shown["username"], shown["utcOffset"]) == ("admin@practice.example", -28800000)
    assert shown["urls"]["sobjects"] == f"{org.server.url}/services/data/v{{version}}/sobjects/"
    assert (found["preferred_username"], found["zoneinfo"]) == ("admin@practice.example", "America/Los_Angeles")
    assert org.http.get("/.well-known/openid-configuration").json()["issuer"] == org.server.url


def test_an_identity_refuses_in_bare_words(org: Caller) -> None:
    info = org.server.connection_info()
    path, bearer = f"/id/{info['organization_id']}/{info['user_id']}", {"Authorization": f"Bearer {org.token}"}
    for where, headers, status, word in (
        (path, {}, 403, "Missing_OAuth_Token"),
        (path, {"Authorization": "Bearer bad"}, 403, "Bad_OAuth_Token"),
        (f"/id/{info['organization_id']}/005000000000001", bearer, 404, "Bad_Id"),
        (f"/id/00D000000000001AAA/{info['user_id']}", bearer, 403, "Wrong_Org"),
    ):
        answer = org.http.get(where, headers=headers)
        assert (answer.status_code, answer.text) == (status, word)


def test_for_view_and_for_reference_fill_the_list_of_what_was_seen(org: Caller) -> None:
    account = org.make("Account", Name="Seen")
    contact = org.make("Contact", LastName="Referenced")
    before = org.row("Account", account)
    assert before["LastViewedDate"] is None
    org.query(f"SELECT Id FROM Account WHERE Id = '{account}' FOR VIEW")
    org.query(f"SELECT Id FROM Contact WHERE Id = '{contact}' FOR REFERENCE")
    seen, referenced = org.row("Account", account), org.row("Contact", contact)
    assert seen["LastViewedDate"] == seen["LastReferencedDate"] is not None
    assert (referenced["LastViewedDate"], referenced["LastReferencedDate"] is None) == (None, False)
    assert seen["SystemModstamp"] == before["SystemModstamp"]
    listed = org.get("recent").json()
    assert [(one["attributes"]["type"], one["Id"], one["Name"]) for one in listed] == [
        ("Contact", contact, "Referenced"),
        ("Account", account, "Seen"),
    ]
    assert org.get("recent", limit=1).json() == listed[:1]
    assert org.get("sobjects/Account").json()["recentItems"] == listed[1:]
    org.request("DELETE", f"sobjects/Account/{account}")
    assert org.get("recent").json() == listed[:1]
    assert org.get("recent", limit="x").status_code == 400
