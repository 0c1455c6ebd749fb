"""The settings table of one Salesforce organisation, checked before anything is called."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from connectors.address import is_guarded
from sidefeed.connector import Invalid

_NEEDED = {
    "session": ("instance_url", "session_id"),
    "client_credentials": ("login_url", "client_id", "client_secret"),
    "jwt": ("client_id", "username"),
    "refresh_token": ("client_id",),
}


@dataclass(frozen=True, slots=True)
class Settings:
    """How to reach one organisation.

    auth
        ``jwt`` (needs client_id, username, private_key or private_key_file), ``client_credentials`` (login_url,
        client_id, client_secret), ``refresh_token`` (client_id, refresh_token or refresh_token_file) or ``session``
        (instance_url, session_id).
    instance_url
        ``https://acme.my.salesforce.com``. With OAuth it may be left out; where it is given, a token for any other
        host is refused.
    login_url
        Where tokens come from; client credentials are refused by ``login`` and ``test``, so give the My Domain.
    audience
        The JWT's ``aud`` where it is not the login_url (a My Domain login_url still wants the generic one).
    refresh_token_file
        Where a rotated refresh token is kept: each one works once, so it is stored before it is used.
    overlap_seconds, lag_seconds
        How far a change window reaches back behind the last one's end, and how far that end stays behind the server's
        clock. Rows become visible when their transaction commits, seconds after their stamp.
    quota_share
        The share of the organisation's daily calls that this connector may use in its life; beyond it, QuotaExhausted.
    """

    auth: str = "jwt"
    instance_url: str = ""
    login_url: str = "https://login.salesforce.com"
    audience: str = ""
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    username: str = ""
    private_key: str = field(default="", repr=False)
    private_key_file: str = ""
    session_id: str = field(default="", repr=False)
    refresh_token: str = field(default="", repr=False)
    refresh_token_file: str = ""
    api_version: str = "59.0"
    ca_file: str = ""
    overlap_seconds: float = 600.0
    lag_seconds: float = 1.0
    quota_share: float = 0.5
    connect_timeout: float = 10.0
    read_timeout: float = 120.0
    attempts: int = 5
    key_field: str = "Sidefeed_Key__c"

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> Settings:
        """Raises Invalid, with the key at fault as its field."""
        known = {each.name: each for each in fields(cls)}
        given: dict[str, Any] = {}
        for key, value in table.items():
            if key not in known:
                near = difflib.get_close_matches(key, known, 1)
                raise _bad(key, "is not a Salesforce setting" + (f"; did you mean {near[0]!r}?" if near else ""))
            if value is not None:
                given[key] = _typed(key, value, known[key].default)
        settings = cls(**given)
        settings._check()
        return settings

    def _check(self) -> None:
        if self.auth not in _NEEDED:
            raise _bad("auth", f"must be one of {', '.join(_NEEDED)}, not {self.auth!r}")
        for key in _NEEDED[self.auth]:
            if not getattr(self, key):
                raise _bad(key, f"is needed for auth = {self.auth!r}")
        if self.auth == "jwt" and not (self.private_key or self.private_key_file):
            raise _bad("private_key_file", "(or private_key) is needed for auth = 'jwt'")
        if self.auth == "refresh_token" and not (self.refresh_token or self.refresh_token_file):
            raise _bad("refresh_token_file", "(or refresh_token) is needed for auth = 'refresh_token'")
        for key in ("instance_url", "login_url"):
            _check_url(key, getattr(self, key))
        if self.ca_file and not Path(self.ca_file).is_file():
            raise _bad("ca_file", f"names no file: {self.ca_file}")
        if not 0 < self.quota_share <= 1:
            raise _bad("quota_share", "is a share of the day's calls: above 0, at most 1")


def _typed(key: str, value: Any, default: Any) -> Any:
    try:
        return type(default)(value)
    except (TypeError, ValueError):
        raise _bad(key, f"must be a {type(default).__name__}") from None


def _check_url(key: str, url: str) -> None:
    if not url:
        return
    parts = urlsplit(url)
    if not is_guarded(parts):
        raise _bad(key, "must start with https://, because tokens travel there")
    if parts.scheme != "https" and key == "instance_url":
        raise _bad(key, "must start with https://: simple-salesforce speaks nothing else. A practice server does "
                        "it with `sidefeed sandbox up salesforce --tls`, which prints the certificate for ca_file")
    if not parts.hostname or parts.username or parts.query or parts.path.strip("/"):
        raise _bad(key, f"must be a plain address such as https://acme.my.salesforce.com, not {parts.netloc!r}")


def _bad(key: str, what: str) -> Invalid:
    return Invalid(f"salesforce setting {key!r} {what}", field=key, code="bad-setting", owner="ops")
