"""The settings table of one HubSpot portal, checked before anything is called."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from connectors.address import is_guarded
from sidefeed.connector import Invalid


@dataclass(frozen=True, slots=True)
class Settings:
    """How to reach one portal.

    access_token
        A private app's token or a service key: text, or a function of no arguments that returns it (asked at every
        call, and once more when HubSpot answers 401, so that a renewed token is used).
    portal_id
        Where given, a token that belongs to any other portal is refused.
    api_version
        ``v3``, ``2026-03`` or ``2026-09``. From 2026-09 HubSpot also enforces the portal's rules on API writes
        (required on create, conditionally required), so writes that v3 accepts may be refused.
    overlap_seconds, index_lag_seconds
        How far a change window reaches back behind the last one's start, and how far search may trail what was written
        (hits were first seen 4.5 to 9.5 s late).
    rate_per_10s, search_per_second
        Permits of this process. HubSpot allows 190 calls per 10 s to a private app (100 on Free and Starter, 110 to an
        OAuth app) and 5 searches per second to an account; one search is left to everybody else.
    sweep_associations
        ``never``, or ``always``: every incremental read lists all records instead of searching, because an edit of an
        association moves no modified time.
    """

    access_token: Any = field(default="", repr=False)
    host: str = "https://api.hubapi.com"
    portal_id: str = ""
    api_version: str = "v3"
    ca_file: str = ""
    proxy: str = field(default="", repr=False)
    overlap_seconds: float = 300.0
    index_lag_seconds: float = 30.0
    rate_per_10s: int = 190
    search_per_second: int = 4
    key_property: str = "sidefeed_key"
    sweep_associations: str = "never"
    connect_timeout: float = 5.0
    read_timeout: float = 60.0
    attempts: int = 5

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> Settings:
        """Raises Invalid, with the key at fault as its field."""
        known = {each.name: each for each in fields(cls)}
        given: dict[str, Any] = {}
        for key, value in table.items():
            if key not in known:
                near = difflib.get_close_matches(key, known, 1)
                raise _bad(key, "is not a HubSpot setting" + (f"; did you mean {near[0]!r}?" if near else ""))
            if value is not None:
                given[key] = value if key == "access_token" else _typed(key, value, known[key].default)
        settings = cls(**given)
        settings._check()
        return settings

    def token(self) -> str:
        """The access token as it is now."""
        token = self.access_token
        return str(token() if callable(token) else token)

    def _check(self) -> None:
        if not self.access_token:
            raise _bad("access_token", "is missing: create a private app or service key in HubSpot and give its token")
        if not callable(self.access_token) and not re.fullmatch(r"[!-~]+", self.token()):
            raise _bad("access_token", "holds spaces or characters that no token has; was it pasted whole?")
        if not re.fullmatch(r"v3|20\d\d-(03|09)", self.api_version):
            raise _bad("api_version", f"must be v3, 2026-03 or 2026-09, not {self.api_version!r}")
        if self.sweep_associations not in ("never", "always"):
            raise _bad("sweep_associations", f"must be never or always, not {self.sweep_associations!r}")
        if not re.fullmatch(r"[a-z][a-z0-9_]*", self.key_property):
            raise _bad("key_property", "must be a property's internal name: lower-case letters, digits, underscores")
        if self.ca_file and not Path(self.ca_file).is_file():
            raise _bad("ca_file", f"names no file: {self.ca_file}")
        for key in ("rate_per_10s", "search_per_second", "attempts", "connect_timeout", "read_timeout"):
            if getattr(self, key) <= 0:
                raise _bad(key, "must be above 0")
        for key in ("overlap_seconds", "index_lag_seconds"):
            if getattr(self, key) < 0:
                raise _bad(key, "must not be negative")
        self._check_host()

    def _check_host(self) -> None:
        parts = urlsplit(self.host)
        if not is_guarded(parts):
            raise _bad("host", "must start with https://, because the token travels there")
        if not parts.hostname or parts.username or parts.query or parts.path.strip("/"):
            raise _bad("host", "must be a plain address such as https://api.hubapi.com")


def _typed(key: str, value: Any, default: Any) -> Any:
    try:
        return type(default)(value)
    except (TypeError, ValueError):
        raise _bad(key, f"must be a {type(default).__name__}") from None


def _bad(key: str, what: str) -> Invalid:
    return Invalid(f"hubspot setting {key!r} {what}", field=key, code="bad-setting", owner="ops")
