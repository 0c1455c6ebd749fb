"""Discovery and tokens, as msal asks for them and as anybody else does."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import jwt
import msal
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from sandbox.graph import GraphServer
from sandbox.graph.login import ASSERTION, PUBLIC_LOGIN, Application
from tests.sandbox.graph import ANNA, BEN, SCOPE, Client, form, graph


@pytest.fixture(scope="module")
def served() -> Iterator[GraphServer]:
    with graph() as server:
        yield server


@pytest.fixture
def server(served: GraphServer) -> GraphServer:
    served.restore_snapshot()
    return served


class Rerouted:
    """msal's HTTP client: what is meant for the public login goes to the practice server."""

    def __init__(self, server: GraphServer) -> None:
        self.base = server.url
        self.asked: list[str] = []

    def get(self, url: str, **more: Any) -> httpx.Response:
        return self._send("GET", url, **more)

    def post(self, url: str, **more: Any) -> httpx.Response:
        return self._send("POST", url, **more)

    def _send(self, method: str, url: str, **more: Any) -> httpx.Response:
        self.asked.append(f"{method} {url}")
        more = {name: value for name, value in more.items() if name in ("params", "data", "headers")}
        form = {
            name: value.decode() if isinstance(value, bytes) else value for name, value in more.pop("data", {}).items()
        }  # msal gives an assertion as bytes
        more |= {"data": form} if form else {}
        return httpx.request(method, url.replace(PUBLIC_LOGIN, self.base), **more)

    def close(self) -> None:
        pass


def key_and_certificate() -> tuple[bytes, bytes, str]:
    """A private key, a certificate of it, and the certificate's SHA-256 thumbprint."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sidefeed")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now).not_valid_after(now + timedelta(days=1)).sign(key, hashes.SHA256())
    )  # fmt: skip
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private, made.public_bytes(serialization.Encoding.PEM), made.fingerprint(hashes.SHA256()).hex()


def token(server: GraphServer, **more: str) -> httpx.Response:
    return httpx.post(server.connection_info()["token_url"], data=form(server, **more))


def test_msal_gets_a_token_by_secret_and_keeps_it(server: GraphServer) -> None:
    info, door = server.connection_info(), Rerouted(server)
    app = msal.ConfidentialClientApplication(
        info["client_id"], client_credential=info["client_secret"], http_client=door, instance_discovery=False,
        authority=f"{PUBLIC_LOGIN}/{info['tenant_id']}",
    )  # fmt: skip
    first = app.acquire_token_for_client([SCOPE])
    assert first["token_type"] == "Bearer"
    assert app.acquire_token_for_client([SCOPE])["access_token"] == first["access_token"]
    assert [one.partition(" ")[0] for one in door.asked] == ["GET", "POST"]


def test_msal_gets_a_token_by_certificate(server: GraphServer) -> None:
    private, certificate, _ = key_and_certificate()
    server.login.applications["certified"] = Application("certified", certificate=certificate.decode())
    server.clock.run()  # msal signs by the clock of this machine
    server.clock.move(seconds=(datetime.now(UTC) - server.clock.now()).total_seconds())
    app = msal.ConfidentialClientApplication(
        "certified", http_client=Rerouted(server), instance_discovery=False,
        client_credential={"private_key": private.decode(), "public_certificate": certificate.decode()},
        authority=f"{PUBLIC_LOGIN}/{server.login.tenant}",
    )  # fmt: skip
    assert "access_token" in app.acquire_token_for_client([SCOPE])
    stranger, _, _ = key_and_certificate()
    claims = {"aud": server.connection_info()["token_url"], "iss": "certified", "sub": "certified", "exp": 2**31}
    forged = {"client_id": "certified", "client_assertion_type": ASSERTION,
              "client_assertion": jwt.encode(claims, stranger, "RS256")}  # fmt: skip
    answer = token(server, **forged)
    assert (answer.status_code, answer.json()["error_codes"]) == (401, [700027])
    expired = jwt.encode({**claims, "exp": 1}, private, "RS256")
    assert token(server, **{**forged, "client_assertion": expired}).json()["error_codes"] == [700024]
    other = jwt.encode({**claims, "iss": "somebody"}, private, "RS256")
    assert token(server, **{**forged, "client_assertion": other}).json()["error_codes"] == [700027]
    assert token(server, client_id="certified").json()["error_codes"] == [7000215]
    server.clock.fix("2026-03-02T08:00:00Z")


@pytest.mark.parametrize(
    ("more", "status", "error", "number"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client", 7000215),
        ({"client_id": "nobody"}, 400, "unauthorized_client", 700016),
        ({"scope": "openid"}, 400, "invalid_scope", 70011),
        ({"grant_type": "password"}, 400, "unsupported_grant_type", 70003),
    ],
)
def test_what_is_wrong_with_a_token_request_is_said(
    server: GraphServer, more: dict[str, str], status: int, error: str, number: int
) -> None:
    answer = token(server, **more)
    assert answer.status_code == status
    told = answer.json()
    assert (told["error"], told["error_codes"]) == (error, [number])
    assert told["error_description"].startswith(f"AADSTS{number}: ")


def test_an_unknown_tenant_has_no_door(server: GraphServer) -> None:
    url = server.connection_info()["token_url"].replace(server.login.tenant, "elsewhere")
    assert httpx.post(url, data=form(server)).json()["error_codes"] == [90002]
    found = httpx.get(f"{server.url}/elsewhere/v2.0/.well-known/openid-configuration")
    assert (found.status_code, found.json()["error"]) == (400, "invalid_tenant")


def test_tokens_expire_and_strangers_have_none(server: GraphServer) -> None:
    with Client(server) as client:
        client.ask("GET", "events")
        server.clock.move(hours=2)
        assert client.refused("GET", "events", 401) == "InvalidAuthenticationToken"
        client.http.headers["Authorization"] = "Bearer made-up"
        assert client.refused("POST", "/$batch", 401, json={"requests": []}) == "InvalidAuthenticationToken"
    server.clock.move(hours=-2)
    with Client(server) as client:
        server.condition("expire_tokens", life=60)
        assert client.refused("GET", "events", 401) == "InvalidAuthenticationToken"
        assert token(server).json()["expires_in"] == 60


def test_a_permission_that_was_not_granted_is_missing(server: GraphServer) -> None:
    try:
        with Client(server) as client:
            server.condition("roles", roles=["Calendars.Read"])
            client.ask("GET", "events")
            assert client.refused("POST", "events", 403, json={}) == "ErrorAccessDenied"
            assert client.refused("GET", "contacts", 403) == "ErrorAccessDenied"
            assert client.refused("GET", "mailboxSettings", 403) == "ErrorAccessDenied"
            assert client.refused("GET", f"/users/{ANNA}", 403) == "Authorization_RequestDenied"
    finally:
        server.login.applications["practice-app"] = Application("practice-app", "practice-secret")


def test_mailboxes_outside_the_scope_are_closed_one_by_one(server: GraphServer) -> None:
    with Client(server) as client:
        server.condition("scope", mailboxes=[ANNA])
        client.ask("GET", "events")
        answer = client.http.get(f"/users/{BEN}/events")
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "ErrorAccessDenied")
        assert "Access to OData is disabled" in answer.json()["error"]["message"]
        server.condition("scope", mailboxes=None)
        client.ask("GET", "events", user=BEN)
        assert client.refused("GET", "events", 404, user="nobody@corp.example") == "ErrorInvalidUser"
        assert client.refused("GET", "/users/nobody@corp.example", 404) == "Request_ResourceNotFound"


def test_users_are_paged_and_selected(server: GraphServer) -> None:
    with Client(server) as client:
        every = [user["mail"] for user in client.ask("GET", "/users")["value"]]
        page = client.ask("GET", "/users?$top=1&$select=mail,jobTitle")
        found = list(page["value"])
        while "@odata.nextLink" in page:
            page = client.ask("GET", page["@odata.nextLink"])
            found += page["value"]
        assert found == [{"mail": mail, "jobTitle": None} for mail in every]
        assert client.refused("GET", "/users?$filter=startswith(mail,'a')", 501) == "NotImplemented"
        assert client.refused("GET", f"/users/{ANNA}?$select=department", 501) == "NotImplemented"


def test_credentials_of_a_schema_file_are_taken(server: GraphServer) -> None:
    fresh = GraphServer()
    fresh.load_credentials({"tenant": "t", "applications": [{"client_id": "a", "secret": "s", "mailboxes": [ANNA]}]})
    assert fresh.login.tenant == "t"
    assert fresh.login.applications["a"].reaches(ANNA) and not fresh.login.applications["a"].reaches(BEN)
    with pytest.raises(ValueError, match="applications"):
        fresh.load_credentials({"applications": [{"nonsense": 1}]})
    with pytest.raises(ValueError, match="unknown key"):
        fresh.load_credentials({"users": []})
