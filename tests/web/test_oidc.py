"""Signing in through an identity provider over real sockets, and everything that must not let anybody in."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from pydantic import ValidationError

from sidefeed.project import OidcSettings, WebSettings
from sidefeed.web.access import this_machine
from sidefeed.web.oidc import Provider
from tests.web.conftest import Company
from tests.web.provider import CLIENT, SECRET, IdentityProvider
from tests.web.site import Site, listed, read


@pytest.fixture(scope="module")
def identity() -> Iterator[IdentityProvider]:
    running = IdentityProvider()
    yield running
    running.close()


@pytest.fixture(scope="module")
def site(company: Company, identity: IdentityProvider) -> Iterator[Site]:
    settings = OidcSettings(issuer=identity.issuer, client_id=CLIENT, client_secret=SECRET, name="Example Login")
    provider = Provider(settings, "", company.store.now)
    own = this_machine()
    made = Site(company.store, {**listed(), own.email: own}, provider=provider)
    provider.redirect_uri = f"{made.url}/sign-in/callback"
    yield made
    made.close()


@pytest.fixture(autouse=True)
def well_behaved(identity: IdentityProvider) -> None:
    identity.email, identity.spoil, identity.sign, identity.refuses = "ann@example.com", {}, None, ""


def browser(site: Site) -> httpx.Client:
    return httpx.Client(base_url=site.url, follow_redirects=True, timeout=30, trust_env=False)


def test_a_person_of_the_organisation_comes_in_with_their_role(site: Site, identity: IdentityProvider) -> None:
    identity.email = "Mia@Example.com"
    with browser(site) as client:
        assert "Continue to Example Login" in client.get("/deals").text
        page = client.get("/sign-in/start")
        assert page.url.path == "/"
        assert "Mia North, manager" in page.text
        assert client.get("/deals").url.path == "/deals"
    assert identity.asked["code_challenge_method"] == "S256"
    assert "openid" in identity.asked["scope"]


def test_who_is_called_like_the_owner_of_the_server_there_is_not_the_owner(
    site: Site, identity: IdentityProvider
) -> None:
    """Where the claim is a user name, anybody could be called so, and would see everything."""
    identity.email = this_machine().email
    with browser(site) as client:
        assert client.get("/sign-in/start").status_code == 403
        assert client.get("/deals").url.path == "/sign-in"


def test_new_keys_of_the_provider_are_found(site: Site, identity: IdentityProvider) -> None:
    with browser(site) as client:
        assert client.get("/sign-in/start").url.path == "/"
    identity.rotate()
    with browser(site) as client:
        assert client.get("/sign-in/start").url.path == "/"


@pytest.mark.parametrize(("spoil", "told"), [
    ({"aud": "another"}, "cannot be trusted"), ({"iss": "https://evil.example"}, "cannot be trusted"),
    ({"exp": int(time.time()) - 3600}, "cannot be trusted"), ({"exp": None}, "cannot be trusted"),
    ({"nonce": "another"}, "another sign-in"), ({"nonce": None}, "another sign-in"),
    ({"aud": [CLIENT, "another"]}, "another application"), ({"email_verified": False}, "has not verified"),
    ({"email": None}, "did not say which address"), ({"email": "nobody@example.com"}, "not among the people")])
def test_an_identity_that_proves_nothing_lets_nobody_in(
    site: Site, identity: IdentityProvider, spoil: dict[str, Any], told: str
) -> None:
    identity.spoil = spoil
    _refused(site, told)


def _refused(site: Site, told: str) -> None:
    with browser(site) as client:
        page = client.get("/sign-in/start")
        assert page.status_code == 403
        assert told in read(page)
        assert client.get("/deals").url.path == "/sign-in"


@pytest.mark.parametrize("sign", [
    lambda claims: jwt.encode(claims, None, algorithm="none"),
    lambda claims: jwt.encode(claims, "a client's secret, which is long enough", algorithm="HS256"),
    lambda claims: jwt.encode(claims, rsa.generate_private_key(public_exponent=65537, key_size=2048),
                              algorithm="RS256", headers={"kid": "unknown"})])
def test_a_signature_that_anybody_could_make_lets_nobody_in(
    site: Site, identity: IdentityProvider, sign: Callable[[dict[str, Any]], str]
) -> None:
    identity.sign = sign
    _refused(site, "cannot be trusted")


def test_a_forged_key_under_the_providers_name_lets_nobody_in(site: Site, identity: IdentityProvider) -> None:
    forged = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    identity.sign = lambda claims: jwt.encode(claims, forged, algorithm="RS256", headers={"kid": identity.kid})
    _refused(site, "cannot be trusted")


def test_an_answer_that_another_browser_asked_for_lets_nobody_in(site: Site) -> None:
    """Somebody who makes a victim open the end of their own sign-in must not sign the victim in."""
    with browser(site) as attacker, browser(site) as victim:
        attacker.follow_redirects = False
        first = attacker.get("/sign-in/start")
        answer = httpx.get(first.headers["location"], trust_env=False)
        page = victim.get(answer.headers["location"])
        assert page.status_code == 403
        assert "not begun in this browser" in read(page)
        assert attacker.get(answer.headers["location"]).status_code == 403  # used up


def test_a_refusal_of_the_provider_is_shown_as_text(site: Site, identity: IdentityProvider) -> None:
    identity.refuses = "access_denied <script>alert(1)</script>"
    with browser(site) as client:
        page = client.get("/sign-in/start")
    assert "<script>alert" not in page.text
    assert "Example Login said no: access_denied" in read(page)


def test_a_provider_that_is_away_is_told(company: Company) -> None:
    settings = OidcSettings(issuer="http://127.0.0.1:9", client_id=CLIENT)
    site = Site(company.store, listed(), provider=Provider(settings, "http://127.0.0.1/x", company.store.now))
    with browser(site) as client:
        assert "cannot be reached" in read(client.get("/sign-in/start"))
    site.close()


def test_addresses_that_strangers_could_listen_to_are_refused() -> None:
    with pytest.raises(ValidationError, match="must begin with https"):
        OidcSettings(issuer="http://login.example.com", client_id=CLIENT)
    with pytest.raises(ValidationError, match="must begin with https"):
        WebSettings(url="http://forecast.example.com")
    assert SECRET not in repr(OidcSettings(issuer="https://x.example", client_id=CLIENT, client_secret=SECRET))
