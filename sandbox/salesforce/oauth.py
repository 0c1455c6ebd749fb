"""OAuth 2.0: password, JWT bearer, client credentials, codes, refresh with rotation; revoke and introspect.

Source: Salesforce Help "OAuth 2.0 JWT Bearer Flow", "Client Credentials Flow", "Refresh Token Flow", RFC 7523; error
pairs as recorded or documented. A JWT may name this server or the public login hosts as its audience; its `exp` may
be a number or a text, and lie far ahead: @salesforce/core sends milliseconds (`Date.now() + 300`), which live
organisations take, whatever the documentation says of three minutes.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import shutil
import tempfile
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jwt
import orjson
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from sandbox.kit.http import Request, Response

from .identity import user_info
from .missing import GRANTS
from .oauth_web import DEFAULT_SCOPE, Browser, BrowserError, keeps_offline

if TYPE_CHECKING:
    from .server import SalesforceServer

JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
PUBLIC_AUDIENCES = ("https://login.salesforce.com", "https://test.salesforce.com")


@cache
def _practice_key(number: int) -> rsa.RSAPrivateKey:
    """The key of a server's first, second, ... app. Servers of one process share them: making one takes as long as
    starting twenty servers."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


class OAuthError(Exception):
    """A refused token request: `error` and `error_description`."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.error = error
        self.description = description
        self.status = status


@dataclass
class ConnectedApp:
    """A client that may ask for tokens. `public_key` (PEM) verifies its assertions."""

    client_id: str
    client_secret: str
    run_as: str
    """User of the client-credentials flow."""
    rotate: bool = False
    """Whether a refresh gives a new refresh token and kills the old one."""
    public_key: bytes | None = None
    access_seconds: float | None = None
    """Life of access tokens; None: until revoked."""
    callbacks: tuple[str, ...] = ()
    """Addresses that a browser may be sent back to; none: any."""


@dataclass
class OAuth:
    """Token endpoint and its neighbours."""

    server: SalesforceServer
    apps: dict[str, ConnectedApp] = field(default_factory=dict)
    passwords: dict[str, str] = field(default_factory=dict)
    refresh_tokens: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Refresh token to (client id, user id)."""
    _folder: Path | None = None

    def __post_init__(self) -> None:
        self.browser = Browser(self)

    # for set-up

    def add_app(self, client_id: str, client_secret: str, run_as: str, **options: Any) -> ConnectedApp:
        """Register a client."""
        made = self.apps[client_id] = ConnectedApp(client_id, client_secret, run_as, **options)
        return made

    def private_key_file(self, app: ConnectedApp) -> Path:
        """A file with a private key whose assertions the app accepts; made on first use."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="practice-salesforce-"))
            weakref.finalize(self.server, shutil.rmtree, self._folder, ignore_errors=True)
        path = self._folder / f"{hashlib.sha256(app.client_id.encode()).hexdigest()[:12]}.pem"
        if not path.exists():
            key = _practice_key(len(list(self._folder.iterdir())))
            app.public_key = key.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
            path.write_bytes(
                key.private_bytes(
                    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
                )
            )
        return path

    def issue_refresh_token(self, client_id: str, user: str) -> str:
        """A refresh token for a user of an app."""
        token = "5Aep861" + self.server.sessions.secret(80)
        self.refresh_tokens[token] = (client_id, user)
        return token

    # endpoints

    def handle(self, request: Request, resource: str) -> Response | None:
        """Answer a request under /services/oauth2/; None for an unknown resource."""
        endpoints: dict[str, Callable[[Request], Response]] = {
            "authorize": self.browser.authorize,
            "token": self._token,
            "revoke": self._revoke,
            "introspect": self._introspect,
            "userinfo": partial(user_info, self.server),
        }
        found = endpoints.get(resource)
        if found is None:
            return None
        try:
            if resource in ("token", "introspect") and request.method != "POST":
                raise OAuthError("invalid_request", "must use HTTP POST")
            return found(request)
        except OAuthError as error:
            body = {"error": error.error, "error_description": error.description}
            return Response(error.status, orjson.dumps(body), [("Content-Type", "application/json;charset=UTF-8")])

    def _token(self, request: Request) -> Response:
        form = {**dict(request.query), **request.form()}
        grant = form.get("grant_type")
        if grant == "password":
            app = self._client(request, form)
            user = self._password(form)
        elif grant == JWT_GRANT:
            app, user = self._assertion(form)
        elif grant == "client_credentials":
            app = self._client(request, form)
            user = app.run_as
        elif grant == "authorization_code":
            return self._code(request, form)
        elif grant == "refresh_token":
            return self._refresh(request, form)
        elif not grant:
            raise OAuthError("invalid_request", "grant type not specified")
        elif grant in GRANTS:
            text = f"The practice server does not implement {GRANTS[grant]}"
            raise OAuthError("unsupported_grant_type", text, 501)
        else:
            raise OAuthError("unsupported_grant_type", "grant type not supported")
        return self._granted(app, user)

    def _granted(self, app: ConnectedApp, user: str, scope: str = DEFAULT_SCOPE, *, keep: bool = False) -> Response:
        body = self.grant(app, user, scope, keep=keep)
        return Response.of_json(body, headers=[("Cache-Control", "no-cache, no-store"), ("Pragma", "no-cache")])

    def grant(self, app: ConnectedApp, user: str, scope: str, *, keep: bool) -> dict[str, str]:
        """The members of a token answer; with `keep`, a refresh token among them. Raises OAuthError."""
        row = self.server.store.get("User", user)
        if row is None or not row["IsActive"]:
            raise OAuthError("invalid_grant", "inactive user")
        now = self.server.clock.now()
        expires = now + timedelta(seconds=app.access_seconds) if app.access_seconds is not None else None
        token = self.server.sessions.issue(user, expires, app.client_id)
        identity, issued = self.server.identity_url(user), str(int(now.timestamp() * 1000))
        signature = hmac.new(app.client_secret.encode(), (identity + issued).encode(), hashlib.sha256).digest()
        return {
            "access_token": token,
            **({"refresh_token": self.issue_refresh_token(app.client_id, user)} if keep else {}),
            "instance_url": self.server.url,
            "id": identity,
            "token_type": "Bearer",
            "issued_at": issued,
            "signature": base64.b64encode(signature).decode(),
            "scope": scope,
        }

    def _code(self, request: Request, form: dict[str, str]) -> Response:
        app = self._client(request, form, secret="client_secret" in form or not form.get("code_verifier"))
        try:
            code = self.browser.redeem(app, form)
        except BrowserError as error:
            raise OAuthError(error.error, error.description) from None
        return self._granted(app, code.user, code.scope, keep=keeps_offline(code.scope))

    def _client(self, request: Request, form: dict[str, str], *, secret: bool = True) -> ConnectedApp:
        client, password = form.get("client_id"), form.get("client_secret")
        scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "basic":
            try:
                client, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError):
                raise OAuthError("invalid_client", "invalid client credentials") from None
        app = self.apps.get(client or "")
        if app is None:
            raise OAuthError("invalid_client_id", "client identifier invalid")
        if secret and not hmac.compare_digest((password or "").encode(), app.client_secret.encode()):
            raise OAuthError("invalid_client", "invalid client credentials")
        return app

    def _password(self, form: dict[str, str]) -> str:
        user = self.check_password(form.get("username", ""), form.get("password", ""))
        if user is None:
            raise OAuthError("invalid_grant", "authentication failure - Invalid Password")
        return user

    def check_password(self, username: str, password: str) -> str | None:
        """The active user of a name and password (with or without a security token after it).

        None if they do not fit.
        """
        for row in self.server.store.find("User", "Username", username):
            known = self.passwords.get(row["Id"])
            if (
                known is not None
                and row["IsActive"]
                and password.startswith(known)
                and password[len(known) :] in ("", "token")
            ):
                return str(row["Id"])
        return None

    def _assertion(self, form: dict[str, str]) -> tuple[ConnectedApp, str]:
        assertion = form.get("assertion")
        if not assertion:
            raise OAuthError("invalid_request", "missing assertion")
        try:
            claims = jwt.decode(assertion, options={"verify_signature": False})
            header = jwt.get_unverified_header(assertion)
        except jwt.PyJWTError:
            raise OAuthError("invalid_grant", "invalid assertion") from None
        app = self.apps.get(str(claims.get("iss")))
        if app is None:
            raise OAuthError("invalid_client_id", "client identifier invalid")
        if app.public_key is None or header.get("alg") != "RS256":
            raise OAuthError("invalid_grant", "invalid assertion")
        try:
            jwt.api_jws.decode(assertion, app.public_key, algorithms=["RS256"])
        except jwt.PyJWTError:
            raise OAuthError("invalid_grant", "invalid assertion") from None
        self._check_audience(claims.get("aud"))
        self._check_expiry(claims.get("exp"))
        found = self.server.store.find("User", "Username", str(claims.get("sub") or claims.get("prn") or ""))
        if not found:
            raise OAuthError("invalid_grant", "user hasn't approved this consumer")
        return app, str(found[0]["Id"])

    def _check_audience(self, audience: Any) -> None:
        named = audience if isinstance(audience, list) else [audience]
        good = (*PUBLIC_AUDIENCES, self.server.url)
        if not any(
            isinstance(one, str) and one.rstrip("/").removesuffix("/services/oauth2/token") in good for one in named
        ):
            raise OAuthError("invalid_grant", "audience is invalid")

    def _check_expiry(self, expires: Any) -> None:
        try:
            at = float(expires)
        except (TypeError, ValueError):
            raise OAuthError("invalid_grant", "invalid assertion") from None
        if not at > self.server.clock.now().timestamp():
            raise OAuthError("invalid_grant", "expired assertion")

    def _refresh(self, request: Request, form: dict[str, str]) -> Response:
        app = self._client(request, form, secret="client_secret" in form)
        token = form.get("refresh_token", "")
        found = self.refresh_tokens.get(token)
        if found is None or found[0] != app.client_id:
            raise OAuthError("invalid_grant", "expired access/refresh token")
        if not app.rotate:
            return self._granted(app, found[1])
        del self.refresh_tokens[token]
        return self._granted(app, found[1], keep=True)

    def _revoke(self, request: Request) -> Response:
        token = {**dict(request.query), **request.form()}.get("token", "")
        if self.refresh_tokens.pop(token, None) is None and not self.server.sessions.end(token):
            raise OAuthError("invalid_token", "invalid token")
        return Response()

    def _introspect(self, request: Request) -> Response:
        form = request.form()
        app = self._client(request, form)
        session = self.server.sessions.find(form.get("token", ""), self.server.clock.now())
        if session is None:
            return Response.of_json({"active": False})
        row = self.server.store.table("User").rows[session.user]
        return Response.of_json(
            {
                "active": True,
                "scope": DEFAULT_SCOPE,
                "client_id": app.client_id,
                "username": row["Username"],
                "sub": self.server.identity_url(session.user),
                "token_type": "access_token",
            }
        )
