"""The settings of one CalDAV system, checked before anything is sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from connectors.calendars import window
from sidefeed.connector import Invalid


@dataclass(frozen=True, slots=True)
class Login:
    """How to sign in; kept out of every repr. A ``token`` goes out as a bearer token."""

    username: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Mailbox:
    """One person's collections. A blank path is found by asking the server."""

    address: str
    name: str | None
    login: Login
    calendar: str
    contacts: str


@dataclass(frozen=True, slots=True)
class Settings:
    """What ``CalDavConnector.from_settings`` documents, in the types that the connector uses."""

    url: str
    mailboxes: Mapping[str, Mailbox]
    ca_file: str | None
    past: int
    future: int
    timezone: str
    timeout: float

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc.rpartition("@")[2].lower()


def parse(table: Mapping[str, Any]) -> Settings:
    """Settings from one table. Raises Invalid, naming the setting that is missing or wrong."""
    url = _text(table, "url")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
        raise _wrong("url", "must be a URL such as https://dav.example.com/, without a user")
    timezone = str(table.get("timezone") or "UTC")
    return Settings(
        url.rstrip("/") + "/", _mailboxes(table), _ca_file(table), *window.days(table, _wrong), _zone(timezone),
        float(table.get("timeout") or 60))


def _mailboxes(table: Mapping[str, Any]) -> dict[str, Mailbox]:
    entries = table.get("mailboxes") or ()
    if isinstance(entries, str):
        entries = [part for part in entries.replace(",", " ").split() if part]
    credentials = {str(address).lower(): login for address, login in (table.get("credentials") or {}).items()}
    found = {}
    for entry in entries:
        told: Mapping[str, Any] = entry if isinstance(entry, Mapping) else {"address": entry}
        address = told.get("address")
        if not isinstance(address, str) or address.count("@") != 1 or any(mark in address for mark in " <>/"):
            raise _wrong("mailboxes", f"names {address!r}, which is not an e-mail address")
        address = address.strip().lower()
        own = {**table, **(credentials.get(address) or {}), **told}
        login = Login(str(own.get("username") or ""), _secret(own, "password"), _secret(own, "token"))
        found[address] = Mailbox(address, told.get("name") or None, login, _path(own, "calendar", address),
                                 _path(own, "contacts", address))
    if not found:
        raise _wrong("mailboxes", "is missing: list the addresses of the calendars to read")
    return found


def _path(table: Mapping[str, Any], name: str, address: str) -> str:
    """The path of a collection; ``{address}`` and ``{user}`` (before the @) stand for whose it is."""
    path = str(table.get(name) or "")
    if path and not path.startswith("/"):
        raise _wrong(name, "must be a path on the server, such as /{user}/calendar/")
    path = path.replace("{address}", quote(address)).replace("{user}", quote(address.partition("@")[0]))
    return path.rstrip("/") + "/" if path else ""


def _wrong(name: str, why: str) -> Invalid:
    return Invalid(f"CalDAV setting {name!r} {why}.", field=name, rule="setting", code="bad-setting", owner="ops")


def _text(table: Mapping[str, Any], name: str) -> str:
    value = table.get(name)
    if not isinstance(value, str) or not value.strip():
        raise _wrong(name, "is missing")
    return value.strip()


def _secret(table: Mapping[str, Any], name: str) -> str:
    """A password or token; a pydantic or Prefect secret is opened."""
    value: Any = table.get(name) or ""
    return str(value.get_secret_value() if hasattr(value, "get_secret_value") else value)


def _zone(name: str) -> str:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise _wrong("timezone", f"is {name!r}, which is no zone such as Europe/Berlin") from None
    return name


def _ca_file(table: Mapping[str, Any]) -> str | None:
    value = table.get("ca_file")
    if value and not Path(str(value)).is_file():
        raise _wrong("ca_file", f"names {value}, which is not a file")
    return str(value) if value else None
