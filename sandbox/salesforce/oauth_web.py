"""OAuth 2.0 through a browser: the authorization endpoint and the exchange of its codes.

Source: Salesforce Help "OAuth 2.0 Web Server Flow for Web App Integration", "OAuth 2.0 User-Agent Flow" and "OAuth
Authorization Flow Errors"; RFC 7636. There is no page and nobody to ask: the user of the app, or the one that
`login_hint` names, approves at once, unless the setting `browser_approves` is off.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from sandbox.kit.http import Request, Response, is_callback

from .errors import NotImplementedHere

if TYPE_CHECKING:
    from .oauth import ConnectedApp, OAuth

CODE_LIFE = timedelta(minutes=15)
"""A code is good for fifteen minutes, once (Salesforce Help, "OAuth 2.0 Web Server Flow")."""
DEFAULT_SCOPE = "refresh_token api"


@dataclass(frozen=True)
class Code:
    """An authorization code: for whom, for which app and callback, until when."""

    client_id: str
    user: str
    redirect: str
    scope: str
    challenge: str
    expires: datetime
    used: bool = False


class BrowserError(Exception):
    """A refused authorization: `error` and `error_description`."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.error, self.description = error, description


def keeps_offline(scope: str) -> bool:
    """Whether a scope asks for a refresh token."""
    return not {"refresh_token", "offline_access"}.isdisjoint(scope.split())


class Browser:
    """GET /services/oauth2/authorize, and the codes that it gave out."""

    def __init__(self, oauth: OAuth) -> None:
        self._oauth = oauth
        self.codes: dict[str, Code] = {}

    def authorize(self, request: Request) -> Response:
        """A redirect to the callback with a code or a token, or with an error; an error page where there is no
        callback to trust."""
        asked = {**request.form(), **dict(request.query)}
        try:
            app, callback = self._app(asked)
        except BrowserError as error:
            text = urlencode({"error": error.error, "error_description": error.description}, quote_via=quote)
            return Response.of_text(text, 400)
        fragment = asked.get("response_type") == "token"
        try:
            answer = self._approved(app, callback, asked)
        except BrowserError as error:
            answer = {"error": error.error, "error_description": error.description}
        if "state" in asked:
            answer["state"] = asked["state"]
        return Response.back_to(callback, answer, fragment=fragment)

    def _app(self, asked: dict[str, str]) -> tuple[ConnectedApp, str]:
        app = self._oauth.apps.get(asked.get("client_id", ""))
        if app is None:
            raise BrowserError("invalid_client_id", "client identifier invalid")
        callback = asked.get("redirect_uri") or (app.callbacks[0] if len(app.callbacks) == 1 else "")
        if not callback:
            raise BrowserError("redirect_uri_missing", "redirect_uri not provided")
        if (app.callbacks and callback not in app.callbacks) or not is_callback(callback):
            raise BrowserError("redirect_uri_mismatch", "redirect_uri must match configuration")
        return app, callback

    def _approved(self, app: ConnectedApp, callback: str, asked: dict[str, str]) -> dict[str, str]:
        kind, scope = asked.get("response_type"), asked.get("scope") or DEFAULT_SCOPE
        if kind not in ("code", "token"):
            raise BrowserError("unsupported_response_type", "response type not supported")
        if "openid" in scope.split():
            raise NotImplementedHere("the scope openid (ID tokens)")
        if not self._oauth.server.records.settings.browser_approves:
            raise BrowserError("access_denied", "end-user denied authorization")
        user = self._user(app, asked.get("login_hint"))
        if kind == "token":
            return self._oauth.grant(app, user, scope, keep=keeps_offline(scope))
        code = f"aPrx{self._oauth.server.sessions.secret(58)}=="
        expires = self._oauth.server.clock.now() + CODE_LIFE
        self.codes[code] = Code(app.client_id, user, callback, scope, asked.get("code_challenge", ""), expires)
        return {"code": code}

    def _user(self, app: ConnectedApp, hint: str | None) -> str:
        found = self._oauth.server.store.find("User", "Username", hint) if hint else ()
        user = str(found[0]["Id"]) if found else app.run_as
        row = self._oauth.server.store.get("User", user)
        if row is None or not row["IsActive"]:
            raise BrowserError("inactive_user", "user is inactive")
        return user

    def redeem(self, app: ConnectedApp, form: dict[str, str]) -> Code:
        """The code of a token request, which is good once. Raises BrowserError."""
        key = form.get("code", "")
        code = self.codes.get(key)
        if code is None or code.client_id != app.client_id:
            raise BrowserError("invalid_grant", "invalid authorization code")
        if code.used or self._oauth.server.clock.now() >= code.expires:
            raise BrowserError("invalid_grant", "expired authorization code")
        if form.get("redirect_uri") != code.redirect:
            raise BrowserError("redirect_uri_mismatch", "redirect_uri must match configuration")
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        proof = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if code.challenge and not hmac.compare_digest(proof.encode(), code.challenge.rstrip("=").encode()):
            raise BrowserError("invalid_grant", "invalid code verifier")
        self.codes[key] = Code(**{**vars(code), "used": True})
        return code
