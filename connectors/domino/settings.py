"""The settings of one Domino server, checked before anything is sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from connectors.calendars import window
from sidefeed.connector import Invalid

DATABASE = "mail/{user}.nsf"
"""Where Domino's administrators put mail files unless they say otherwise."""


@dataclass(frozen=True, slots=True)
class Mailbox:
    """One person's mail file; ``path`` is its place on the server, escaped."""

    address: str
    name: str | None
    path: str
    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Settings:
    """What ``DominoConnector.from_settings`` documents, in the types that the connector uses."""

    url: str
    mailboxes: Mapping[str, Mailbox]
    write: bool
    ca_file: str | None
    past: int
    future: int
    timezone: str
    timeout: float

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc.lower()


def parse(table: Mapping[str, Any]) -> Settings:
    """Settings from one table. Raises Invalid, naming the setting that is missing or wrong."""
    url = str(table.get("url") or "").strip().rstrip("/")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.path:
        raise _wrong("url", "must be the server's address such as https://mail.example.com, without a user or path")
    return Settings(
        url, _mailboxes(table), _flag(table, "write"), _ca_file(table), *window.days(table, _wrong),
        _zone(table), float(table.get("timeout") or 60))


def _wrong(name: str, why: str) -> Invalid:
    return Invalid(f"Domino setting {name!r} {why}.", field=name, rule="setting", code="bad-setting", owner="ops")


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
        password: Any = own.get("password") or ""
        if hasattr(password, "get_secret_value"):
            password = password.get_secret_value()
        if not own.get("username") or not password:
            raise _wrong("username" if not own.get("username") else "password", f"is missing for {address}")
        found[address] = Mailbox(address, told.get("name") or None, _path(own, address), str(own["username"]),
                                 str(password))
    if not found:
        raise _wrong("mailboxes", "is missing: list the addresses of the calendars to read")
    return found


def _path(table: Mapping[str, Any], address: str) -> str:
    """The mail file's path; ``{address}`` and ``{user}`` (before the @) stand for whose it is."""
    path = str(table.get("database") or DATABASE).strip("/")
    path = path.replace("{address}", address).replace("{user}", address.partition("@")[0])
    if "/" not in path or ".." in path or any(mark in path for mark in "?#\\"):
        raise _wrong("database", f"is {path!r}; it must be a folder and a database, such as {DATABASE}")
    return quote(path)


def _flag(table: Mapping[str, Any], name: str) -> bool:
    value = str(table.get(name, False)).strip().lower()
    if value not in ("true", "false", "1", "0", "yes", "no", "none", ""):
        raise _wrong(name, "must be true or false")
    return value in ("true", "1", "yes")


def _zone(table: Mapping[str, Any]) -> str:
    name = str(table.get("timezone") or "UTC")
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
