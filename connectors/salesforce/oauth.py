"""Access tokens: where they come from, and when a new one is fetched.

The client library's own logins are not used: on a lasting 401 they recurse without end (simple-salesforce#804), they
lose the caller's headers, and SOAP login ends (help article 005132110).
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

from sidefeed.connector import AuthenticationFailed

from .answers import oauth_refusal
from .settings import Settings

_log = logging.getLogger(__name__)

_JWT_SECONDS = 180

Post = Callable[[str, Mapping[str, str], tuple[str, str] | None], tuple[int, Any, datetime | None]]
"""Sends one form to a URL, with HTTP Basic where a pair is given; gives status, decoded body and the server's clock."""


@dataclass(frozen=True, slots=True)
class Token:
    value: str = field(repr=False)
    instance_url: str


class Tokens:
    """The one current access token. Threads that find it expired together cause one renewal, not several."""

    def __init__(self, settings: Settings, post: Post, *, clock: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._post = post
        self._clock = clock
        self._lock = Lock()
        self._token: Token | None = None
        self._refresh_token = settings.refresh_token

    def current(self) -> Token:
        """Raises AuthenticationFailed or Unavailable."""
        token = self._token
        return token if token is not None else self.renewed(None)

    def renewed(self, expired: str | None) -> Token:
        """A token other than ``expired``, fetched unless another thread has just done so."""
        with self._lock:
            if self._token is None or self._token.value == expired:
                self._token = self._login(first=self._token is None)
            return self._token

    def _login(self, *, first: bool) -> Token:
        settings = self._settings
        if settings.auth == "session":
            if not first:
                raise AuthenticationFailed(
                    "The Salesforce session has ended, and a session id cannot be renewed: give a new session_id, "
                    "or set auth to jwt or client_credentials",
                    code="INVALID_SESSION_ID",
                )
            return Token(settings.session_id, settings.instance_url.rstrip("/"))
        login = settings.login_url.rstrip("/")
        with self._in_turn():
            form, basic = self._grant(login)
            status, answer, at = self._post(f"{login}/services/oauth2/token", form, basic)
            if status != 200 or not isinstance(answer, dict) or not isinstance(answer.get("access_token"), str):
                ahead = (self._clock() - at.timestamp()) / 60 if at is not None and settings.auth == "jwt" else 0.0
                raise oauth_refusal(status, answer, login=login, minutes_ahead=round(ahead))
            self._keep_rotated(answer.get("refresh_token"))
        return Token(answer["access_token"], self._instance(answer.get("instance_url")))

    def _grant(self, login: str) -> tuple[dict[str, str], tuple[str, str] | None]:
        settings = self._settings
        match settings.auth:
            case "client_credentials":
                return {"grant_type": "client_credentials"}, (settings.client_id, settings.client_secret)
            case "jwt":
                grant = "urn:ietf:params:oauth:grant-type:jwt-bearer"
                return {"grant_type": grant, "assertion": self._assertion(login)}, None
            case _:
                form = {
                    "grant_type": "refresh_token",
                    "client_id": settings.client_id,
                    "refresh_token": self._stored_refresh_token(),
                }
                if settings.client_secret:
                    form["client_secret"] = settings.client_secret
                return form, None

    def _assertion(self, login: str) -> str:
        import jwt

        settings = self._settings
        claims = {
            "iss": settings.client_id,
            "sub": settings.username,
            "aud": settings.audience or login,
            "exp": int(self._clock()) + _JWT_SECONDS,
        }
        try:
            key = settings.private_key or Path(settings.private_key_file).read_text("utf-8")
            return jwt.encode(claims, key, algorithm="RS256")
        except OSError as error:
            raise AuthenticationFailed(
                f"The private key cannot be read: {settings.private_key_file}: {error.strerror}", code="bad-key"
            ) from None
        except (ValueError, TypeError, jwt.PyJWTError):
            raise AuthenticationFailed(
                "The private key of the Salesforce connected app is not an RSA key in PEM form", code="bad-key"
            ) from None

    @contextmanager
    def _in_turn(self) -> Iterator[None]:
        """A refresh token that rotates works once, and a second use may end them all: processes that share its file
        take turns, from reading it until what replaces it is written."""
        path = self._settings.refresh_token_file
        if self._settings.auth != "refresh_token" or not path or sys.platform == "win32":
            yield
            return
        import fcntl

        try:
            lock = Path(f"{path}.lock").open("a", encoding="utf-8")  # noqa: SIM115  closed below
        except OSError as error:
            raise AuthenticationFailed(
                f"Nothing can be written beside {path}, which keeps rotated refresh tokens: {error.strerror}") from None
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _stored_refresh_token(self) -> str:
        """From the file, which may hold a newer one than the settings; or from memory where there is no file."""
        path = self._settings.refresh_token_file
        if not path or not Path(path).is_file():
            return self._refresh_token
        try:
            return str(json.loads(Path(path).read_text("utf-8"))["refresh_token"])
        except (OSError, ValueError, KeyError, TypeError):
            raise AuthenticationFailed(
                f"{path} holds no refresh token that can be read: remove it, and give a new one in 'refresh_token'"
            ) from None

    def _keep_rotated(self, refresh_token: object) -> None:
        """A rotated refresh token replaces the one just spent, on the disk before anything else happens."""
        if not isinstance(refresh_token, str) or refresh_token == self._refresh_token:
            return
        self._refresh_token = refresh_token
        if not self._settings.refresh_token_file:
            _log.warning("Salesforce rotates refresh tokens: set refresh_token_file, or the next start cannot log in")
            return
        path = Path(self._settings.refresh_token_file)
        draft = path.with_name(path.name + ".new")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump({"refresh_token": refresh_token}, file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)

    def _instance(self, answered: object) -> str:
        """The address to work at. A token that belongs to another host than the one configured is not used."""
        wanted = self._settings.instance_url.rstrip("/")
        url = answered.rstrip("/") if isinstance(answered, str) else wanted
        if wanted and urlsplit(url).netloc != urlsplit(wanted).netloc:
            raise AuthenticationFailed(
                f"The access token belongs to {urlsplit(url).netloc}, but instance_url names {urlsplit(wanted).netloc}",
                code="other-instance",
            )
        if not url:
            raise AuthenticationFailed("The token answer names no instance: set instance_url", code="no-instance")
        return url


