"""Signing in through an identity provider: OpenID Connect, authorisation code with PKCE.

The provider says which address somebody has; ``[people]`` says what that address may see. Sources: OpenID Connect Core
1.0 sections 3.1 and 3.1.3.7, RFC 7636 (PKCE), RFC 9207 (issuer in the answer).
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx
import jwt

from sidefeed.project import OidcSettings

ATTEMPT_LIFE = timedelta(minutes=10)
MOST_ATTEMPTS = 1000
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Signatures that only the provider can make: a shared secret, or none at all, proves nothing."""
CLOCK_TOLERANCE = 60  # seconds


class SignInRefused(Exception):
    """Nobody was signed in; the message says why, in words for the person who tried."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One way to the provider and back, bound to the browser that began it."""

    browser: str
    nonce: str
    verifier: str
    expires: datetime


class Provider:
    """One identity provider. ``redirect_uri`` is our own address that it sends people back to."""

    def __init__(self, settings: OidcSettings, redirect_uri: str, now: Callable[[], datetime]) -> None:
        self.settings = settings
        self.redirect_uri = redirect_uri
        self.name = settings.name or urlsplit(settings.issuer).hostname or "your organisation"
        self._now = now
        self._attempts: dict[str, Attempt] = {}
        self._metadata: dict[str, Any] = {}
        self._keys: jwt.PyJWKSet | None = None

    def begin(self) -> tuple[str, str]:
        """(where to send the browser, a secret for its cookie). Raises SignInRefused where the provider is away."""
        metadata = self._discovered()
        now = self._now()
        self._attempts = {state: one for state, one in self._attempts.items() if one.expires > now}
        if len(self._attempts) >= MOST_ATTEMPTS:
            raise SignInRefused("Too many people are signing in at this moment. Try again in a few minutes.")
        state = secrets.token_urlsafe(32)
        attempt = Attempt(secrets.token_urlsafe(32), secrets.token_urlsafe(32), secrets.token_urlsafe(64),
                          now + ATTEMPT_LIFE)
        self._attempts[state] = attempt
        challenge = urlsafe_b64encode(hashlib.sha256(attempt.verifier.encode()).digest()).rstrip(b"=").decode()
        query = urlencode({
            "response_type": "code", "client_id": self.settings.client_id, "redirect_uri": self.redirect_uri,
            "scope": self.settings.scope, "state": state, "nonce": attempt.nonce, "code_challenge": challenge,
            "code_challenge_method": "S256"})
        at = str(metadata["authorization_endpoint"])
        return f"{at}{'&' if urlsplit(at).query else '?'}{query}", attempt.browser

    def finish(self, answer: dict[str, str], browser: str) -> str:
        """The address of the person whom the provider sent back. Raises SignInRefused."""
        attempt = self._attempts.pop(answer.get("state", ""), None)
        if attempt is None or attempt.expires <= self._now() or not hmac.compare_digest(
                attempt.browser.encode(), browser.encode()):
            raise SignInRefused("This sign-in was not begun in this browser, or more than ten minutes ago. Try again.")
        if answer.get("error"):
            raise SignInRefused(f"{self.name} said no: {answer.get('error_description') or answer['error']}")
        if answer.get("iss", self.settings.issuer) != self.settings.issuer:
            raise SignInRefused("The answer came from another provider than the one that was asked.")
        claims = self._claims(self._id_token(answer.get("code", ""), attempt.verifier))
        if not hmac.compare_digest(str(claims.get("nonce", "")).encode(), attempt.nonce.encode()):
            raise SignInRefused("The provider answered another sign-in than this one.")
        return self._address(claims)

    def _address(self, claims: dict[str, Any]) -> str:
        email = claims.get(self.settings.claim)
        if not isinstance(email, str) or not email:
            raise SignInRefused(f"{self.name} did not say which address you have (claim {self.settings.claim!r}).")
        if claims.get("email_verified") is False:
            raise SignInRefused(f"{self.name} has not verified that {email} is yours.")
        return email.strip().lower()

    def _id_token(self, code: str, verifier: str) -> str:
        metadata = self._discovered()
        data = {"grant_type": "authorization_code", "code": code, "redirect_uri": self.redirect_uri,
                "code_verifier": verifier}
        secret = self.settings.secret()
        supported = metadata.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        basic = secret and "client_secret_basic" in supported
        if not basic:
            data |= {"client_id": self.settings.client_id, **({"client_secret": secret} if secret else {})}
        given = self._asked("POST", str(metadata["token_endpoint"]), data=data,
                            auth=(self.settings.client_id, secret) if basic else None)
        token = given.get("id_token")
        if not isinstance(token, str):
            raise SignInRefused(f"{self.name} gave no identity. Its scope must contain `openid`.")
        return token

    def _claims(self, token: str) -> dict[str, Any]:
        try:
            found: dict[str, Any] = jwt.decode(
                token, self._key(token).key, algorithms=list(ALGORITHMS), audience=self.settings.client_id,
                issuer=self.settings.issuer, leeway=CLOCK_TOLERANCE,
                options={"require": ["exp", "iat", "iss", "aud", "sub"]})
        except jwt.PyJWTError as error:
            raise SignInRefused(f"The identity that {self.name} gave cannot be trusted: {error}.") from None
        if isinstance(found["aud"], list) and len(found["aud"]) > 1 and found.get("azp") != self.settings.client_id:
            raise SignInRefused(f"The identity that {self.name} gave was made for another application.")
        return found

    def _key(self, token: str) -> jwt.PyJWK:
        """The key that signed a token; the provider's keys are read again where it has changed them."""
        header = jwt.get_unverified_header(token)
        if header.get("alg") not in ALGORITHMS:
            raise jwt.InvalidAlgorithmError("it is signed in a way that proves nothing")
        for fresh in (False, True):
            if self._keys is None or fresh:
                self._keys = jwt.PyJWKSet.from_dict(self._asked("GET", str(self._discovered()["jwks_uri"])))
            keys = [one for one in self._keys.keys if one.key_id == header.get("kid") or header.get("kid") is None]
            if keys:
                return keys[0]
        raise jwt.InvalidKeyError("it is signed with a key that the provider does not publish")

    def _discovered(self) -> dict[str, Any]:
        if not self._metadata:
            at = f"{self.settings.issuer.rstrip('/')}/.well-known/openid-configuration"
            found = self._asked("GET", at)
            if found.get("issuer") != self.settings.issuer:
                raise SignInRefused(f"The provider calls itself {found.get('issuer')!r}; [web.oidc] issuer says "
                                    f"{self.settings.issuer!r}. They must be equal.")
            missing = [name for name in ("authorization_endpoint", "token_endpoint", "jwks_uri") if name not in found]
            if missing:
                raise SignInRefused(f"The provider does not say where its {', '.join(missing)} is.")
            self._metadata = found
        return self._metadata

    def _asked(self, method: str, address: str, **options: Any) -> dict[str, Any]:
        try:
            answer = httpx.request(method, address, timeout=10, headers={"accept": "application/json"}, **options)
            found = answer.json()
        except (httpx.HTTPError, ValueError):
            raise SignInRefused(f"{self.name} cannot be reached, or does not answer as it should. Try again; if it "
                                f"stays so, tell whoever looks after Sidefeed.") from None
        if answer.is_error or not isinstance(found, dict):
            said = found.get("error_description") or found.get("error") if isinstance(found, dict) else ""
            raise SignInRefused(f"{self.name} refused: {said or answer.status_code}.")
        return found
