"""Who may call, and how often: tokens, scopes, OAuth, rate limits.

Sources: HubSpot "API usage guidelines and limits", "Working with OAuth", scope list; hubspot-api-client 12.0.0 for the
OAuth answers; HubSpot/hubspot-api-nodejs #268 for the 403.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from zoneinfo import ZoneInfo

from sandbox.kit.clock import Clock

from . import errors, wire
from .errors import ApiError
from .store import Actor, Store

TOKEN_LIFE = 1800
"""Seconds that an OAuth access token lives."""
TIERS = {
    "starter": (100, 250_000),
    "professional": (190, 650_000),
    "enterprise": (190, 1_000_000),
    "increased": (250, 2_000_000),
}
"""Calls per 10 seconds of a private app, and per day of the account."""
OAUTH_WINDOW = 110


def object_scopes(scope: str, write: bool) -> list[str]:
    """The scope that reading or writing records of a type asks for."""
    if scope == "tickets":
        return ["tickets"]
    return [f"crm.objects.{scope}.{'write' if write else 'read'}"]


def all_scopes(store: Store) -> frozenset[str]:
    """Every scope that this server asks for."""
    names = {"custom" if s.type.custom else s.type.scope for s in store}
    areas = [(area, name, verb) for area in ("objects", "schemas") for name in names for verb in ("read", "write")]
    kinds = {f"crm.{area}.{name}.{verb}" for area, name, verb in areas}
    return frozenset(kinds | {"crm.objects.owners.read", "tickets", "oauth"})


@dataclass
class Token:
    """One credential: a private app's (never expires) or an OAuth access token."""

    value: str
    scopes: frozenset[str] | None
    app_id: int
    oauth: bool = False
    user: int | None = None
    expires_at: float | None = None
    refresh: str | None = None

    def allows(self, wanted: list[str]) -> bool:
        """Whether one of the scopes is granted; None means all are."""
        return self.scopes is None or any(scope in self.scopes for scope in wanted)

    @property
    def actor(self) -> Actor:
        """What the property history says of its writes."""
        return Actor("INTEGRATION", str(self.app_id), self.user)


@dataclass
class Limits:
    """Rates of the account. `enforced` False counts but refuses only what the daily quota refuses.

    HubSpot's answers take 100 ms and more, so a client that calls in sequence never meets these limits there; on
    loopback it would. Hence they are enforced on request only; the daily quota always is.
    """

    enforced: bool = False
    per_window: int = 190
    window: float = 10.0
    oauth_per_window: int = OAUTH_WINDOW
    search_per_second: int = 5
    daily: int = 650_000
    associations_daily: int = 500_000


class Meter:
    """Counts calls against the limits, in windows of real time moved along by the server's clock."""

    def __init__(self, clock: Clock, zone: str) -> None:
        self.clock = clock
        self.zone_info = ZoneInfo(zone)
        self.limits = Limits()
        self.used_today = 0
        self.associations_today = 0
        self._day = self._today()
        self._windows: dict[str, deque[float]] = {}
        self._time = 0.0
        self._last = (time.monotonic(), clock.now().timestamp())

    def now(self) -> float:
        """Seconds that move with real time or with the server's clock, whichever went further; never back."""
        real, clock = time.monotonic(), self.clock.now().timestamp()
        self._time += max(real - self._last[0], clock - self._last[1], 0.0)
        self._last = (real, clock)
        return self._time

    def _today(self) -> object:
        return self.clock.now().astimezone(self.zone_info).date()

    def count(self, token: Token, search: bool, associations: bool, per_token: bool) -> None:
        """Count one call. Raises 429 in the shape that its limit has."""
        today = self._today()
        if today != self._day:
            self._day, self.used_today, self.associations_today = today, 0, 0
        if self.used_today >= self.limits.daily:
            raise errors.rate_limited("DAILY")
        if associations and self.associations_today >= self.limits.associations_daily:
            raise errors.rate_limited("DAILY")
        if search:
            key = f"search {token.value}" if per_token else "search"
            if not self._admit(key, 1.0, self.limits.search_per_second):
                raise errors.search_limited()
        elif not self._admit(f"general {token.app_id}", self.limits.window, self.most(token)):
            raise errors.rate_limited("TEN_SECONDLY_ROLLING")
        self.used_today += 1
        self.associations_today += associations

    def most(self, token: Token) -> int:
        """Calls per window for a token."""
        return self.limits.oauth_per_window if token.oauth else self.limits.per_window

    def _admit(self, key: str, span: float, most: int) -> bool:
        if not self.limits.enforced:
            return True
        now = self.now()
        window = self._windows.setdefault(key, deque())
        while window and window[0] <= now - span:
            window.popleft()
        if len(window) >= most:
            return False
        window.append(now)
        return True

    def headers(self, token: Token, search: bool) -> list[tuple[str, str]]:
        """Rate headers of an answer: search answers carry only the daily ones, OAuth answers never do."""
        found: list[tuple[str, str]] = []
        if not token.oauth:
            found += [
                ("X-HubSpot-RateLimit-Daily", str(self.limits.daily)),
                ("X-HubSpot-RateLimit-Daily-Remaining", str(max(self.limits.daily - self.used_today, 0))),
            ]
        if not search:
            most = self.most(token)
            used = len(self._windows.get(f"general {token.app_id}", ())) if self.limits.enforced else 1
            secondly = max(most // 10, 1)
            found += [
                ("X-HubSpot-RateLimit-Interval-Milliseconds", str(int(self.limits.window * 1000))),
                ("X-HubSpot-RateLimit-Max", str(most)),
                ("X-HubSpot-RateLimit-Remaining", str(max(most - used, 0))),
                ("X-HubSpot-RateLimit-Secondly", str(secondly)),
                ("X-HubSpot-RateLimit-Secondly-Remaining", str(max(secondly - 1, 0))),
            ]
        return found


@dataclass
class OAuthApp:
    """An app that customers install: its id, its secret, where it may be called back."""

    client_id: str
    client_secret: str
    app_id: int
    redirect_uris: tuple[str, ...] = ()


@dataclass
class Access:
    """Every credential of the portal."""

    clock: Clock
    portal_id: int
    tokens: dict[str, Token] = field(default_factory=dict)
    refreshes: dict[str, Token] = field(default_factory=dict)
    codes: dict[str, tuple[OAuthApp, frozenset[str] | None, str]] = field(default_factory=dict)
    apps: dict[str, OAuthApp] = field(default_factory=dict)
    user_email: str = "admin@practice.example"
    life: int = TOKEN_LIFE
    _serial: count[int] = field(default_factory=lambda: count(1))

    def add_private(
        self, scopes: frozenset[str] | None, app_id: int, user: int | None, value: str | None = None
    ) -> Token:
        """A private app's token."""
        n = next(self._serial)
        made = Token(value or f"pat-na1-00000000-0000-4000-8000-{n:012d}", scopes, app_id, user=user)
        self.tokens[made.value] = made
        return made

    def authenticate(self, header: str) -> Token:
        """The token of an Authorization header. Raises 401."""
        scheme, _, value = header.partition(" ")
        token = self.tokens.get(value.strip()) if scheme.lower() == "bearer" else None
        if token is None:
            raise errors.no_credentials()
        if token.expires_at is not None and not token.oauth:
            raise errors.no_credentials()
        if token.expires_at is not None:
            late = self.clock.now().timestamp() - token.expires_at
            if late >= 0:
                raise errors.expired_token(int(late), wire.iso(int(token.expires_at * 1000)))
        return token

    def expire_all(self) -> int:
        """End the life of every access token now; refresh tokens stay. Private app tokens become unknown to the API."""
        now = self.clock.now().timestamp()
        for token in self.tokens.values():
            token.expires_at = now
        return len(self.tokens)

    def install(self, app: OAuthApp, scopes: frozenset[str] | None, redirect_uri: str) -> str:
        """What a person does on the install page: an authorization code."""
        code = f"code-{next(self._serial):08d}"
        self.codes[code] = (app, scopes, redirect_uri)
        return code

    def grant(self, form: dict[str, str]) -> dict[str, Any]:
        """`POST /oauth/v1/token`. Raises 400 in OAuth's own shape."""
        kind = form.get("grant_type", "")
        if kind not in ("authorization_code", "refresh_token"):
            raise _oauth_error(
                "BAD_GRANT_TYPE", f"grant_type is {kind or 'missing'}: it is authorization_code or refresh_token"
            )
        app = self.apps.get(form.get("client_id", ""))
        if app is None:
            raise _oauth_error("BAD_CLIENT_ID", "missing or unknown client_id")
        if form.get("client_secret") != app.client_secret:
            raise _oauth_error("BAD_CLIENT_SECRET", "missing or invalid client secret")
        if kind == "refresh_token":
            known = self.refreshes.get(form.get("refresh_token", ""))
            if known is None or known.app_id != app.app_id:
                raise _oauth_error("BAD_REFRESH_TOKEN", "missing or invalid refresh token")
            return self._issue(app, known.scopes, known.refresh or "")
        known_code = self.codes.get(form.get("code", ""))
        if known_code is None or known_code[0] is not app:
            raise _oauth_error("BAD_AUTH_CODE", "missing or unknown auth code")
        if form.get("redirect_uri") != known_code[2]:
            raise _oauth_error("MISMATCH_REDIRECT_URI_AUTH_CODE", "redirect_uri does not match the auth code")
        del self.codes[form["code"]]
        return self._issue(app, known_code[1], f"refresh-{next(self._serial):08d}")

    def _issue(self, app: OAuthApp, scopes: frozenset[str] | None, refresh: str) -> dict[str, Any]:
        expires = self.clock.now().timestamp() + self.life
        made = Token(f"CPractice{next(self._serial):012d}", scopes, app.app_id, True, None, expires, refresh)
        self.tokens[made.value] = made
        self.refreshes[refresh] = made
        return {
            "token_type": "bearer",
            "refresh_token": refresh,
            "access_token": made.value,
            "expires_in": self.life,
        }

    def describe(self, value: str) -> dict[str, Any]:
        """`GET /oauth/v1/access-tokens/{token}`. Raises 404."""
        token = self.tokens.get(value)
        if token is None or not token.oauth:
            raise ApiError(404, "access token not found", "INVALID_TOKEN")
        left = int((token.expires_at or 0) - self.clock.now().timestamp())
        return {
            **self._about(token),
            "token": value,
            "expires_in": max(left, 0),
            "app_id": token.app_id,
            "token_type": "access",
        }

    def describe_private(self, value: str) -> dict[str, Any]:
        """`POST /oauth/v2/private-apps/get/access-token-info`. Raises 404."""
        token = self.tokens.get(value)
        if token is None or token.oauth or token.expires_at is not None:
            raise ApiError(404, "access token not found", "INVALID_TOKEN")
        about = self._about(token)
        kept = {"userId": about["user_id"], "hubId": self.portal_id, "appId": token.app_id}
        return {**kept, "scopes": about["scopes"]}

    def describe_refresh(self, value: str) -> dict[str, Any]:
        """`GET /oauth/v1/refresh-tokens/{token}`. Raises 404."""
        token = self.refreshes.get(value)
        if token is None:
            raise ApiError(404, "refresh token not found", "INVALID_TOKEN")
        client = next((app.client_id for app in self.apps.values() if app.app_id == token.app_id), "")
        return {**self._about(token), "token": value, "client_id": client, "token_type": "refresh"}

    def revoke(self, value: str) -> None:
        """`DELETE /oauth/v1/refresh-tokens/{token}`: no new access tokens; those issued live on."""
        self.refreshes.pop(value, None)

    def _about(self, token: Token) -> dict[str, Any]:
        return {
            "user": self.user_email,
            "hub_domain": "practice.example",
            "hub_id": self.portal_id,
            "user_id": token.user or 1,
            "scopes": sorted(token.scopes) if token.scopes is not None else ["oauth"],
        }


def _oauth_error(status: str, message: str) -> ApiError:
    return ApiError(400, message, members={"status": status})
