"""The settings of one Microsoft 365 organisation, checked before anything is sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from connectors.calendars import hidden, window
from sidefeed.calendars.marks import Named
from sidefeed.connector import Invalid

LOGIN, GRAPH = "https://login.microsoftonline.com", "https://graph.microsoft.com/v1.0"
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True)
class Settings:
    """What ``Microsoft365Connector.from_settings`` documents, in the types that the connector uses."""

    tenant: str
    client_id: str
    client_secret: str | None = field(repr=False)
    certificate: Mapping[str, str] | None = field(repr=False)
    """``private_key`` (PEM) and ``public_certificate`` (PEM), as msal takes them."""
    mailboxes: Mapping[str, str | None]
    """Address (lower case) -> configured name, if any."""
    login: str
    graph: str
    ca_file: str | None
    past: int
    future: int
    timezone: str
    read_bodies: bool
    contacts_folder: str
    marks: tuple[Named, ...]
    """Named properties by which other tools are known."""
    timeout: float

    @property
    def host(self) -> str:
        """Host and, where it is not the scheme's own, port of Graph."""
        return urlsplit(self.graph).netloc.lower()


def parse(table: Mapping[str, Any]) -> Settings:
    """Settings from one table. Raises Invalid, naming the setting that is missing or wrong."""
    tenant = _text(table, "tenant_id")
    if not tenant.replace("-", "").replace(".", "").isalnum():
        raise _wrong("tenant_id", "must be the GUID or a domain of the organisation")
    certificate = _certificate(table)
    past, future = window.days(table, _wrong)
    return Settings(
        tenant=tenant,
        client_id=_text(table, "client_id"),
        client_secret=None if certificate else _text(table, "client_secret"),
        certificate=certificate,
        mailboxes=_mailboxes(table),
        login=_base(table, "login_base", LOGIN),
        graph=_base(table, "graph_base", GRAPH),
        ca_file=_ca_file(table),
        past=past,
        future=future,
        timezone=str(table.get("timezone") or "UTC"),
        read_bodies=_flag(table, "read_bodies"),
        contacts_folder=str(table.get("contacts_folder") or "").strip(),
        marks=hidden.of_settings(table, _wrong),
        timeout=float(table.get("timeout") or 60),
    )


def _wrong(name: str, why: str) -> Invalid:
    told = f"Microsoft 365 setting {name!r} {why}."
    return Invalid(told, field=name, rule="setting", code="bad-setting", owner="ops")


def _text(table: Mapping[str, Any], name: str) -> str:
    """A required text; a pydantic or Prefect secret is opened."""
    value: Any = table.get(name)
    if hasattr(value, "get_secret_value"):
        value = value.get_secret_value()
    if not isinstance(value, str) or not value.strip():
        raise _wrong(name, "is missing")
    return value.strip()


def _certificate(table: Mapping[str, Any]) -> dict[str, str] | None:
    given = [name for name in ("private_key", "certificate") if table.get(name)]
    if not given:
        return None
    if table.get("client_secret"):
        raise _wrong("client_secret", "and a certificate are both given; one of them proves who signs in")
    return {"private_key": _text(table, "private_key"), "public_certificate": _text(table, "certificate")}


def _base(table: Mapping[str, Any], name: str, default: str) -> str:
    """A base URL: https, or http on this machine for a practice server. Tokens never travel in the open."""
    url = str(table.get(name) or default).rstrip("/")
    parts = urlsplit(url)
    safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
    if not safe or not parts.hostname or parts.username:
        raise _wrong(name, f"must be an https URL such as {default}")
    return url


def _flag(table: Mapping[str, Any], name: str) -> bool:
    value = str(table.get(name, False)).strip().lower()
    if value not in ("true", "false", "1", "0", "yes", "no", "none", ""):
        raise _wrong(name, "must be true or false")
    return value in ("true", "1", "yes")


def _mailboxes(table: Mapping[str, Any]) -> dict[str, str | None]:
    """Addresses given as a list of texts, or of tables with ``address`` and ``name``."""
    entries = table.get("mailboxes") or ()
    if isinstance(entries, str):
        entries = [part for part in entries.replace(",", " ").split() if part]
    found: dict[str, str | None] = {}
    for entry in entries:
        address, name = (entry.get("address"), entry.get("name")) if isinstance(entry, Mapping) else (entry, None)
        if not isinstance(address, str) or address.count("@") != 1 or any(mark in address for mark in " <>/?#%"):
            raise _wrong("mailboxes", f"names {address!r}, which is not an e-mail address")
        found[address.strip().lower()] = name or None
    if not found:
        raise _wrong("mailboxes", "is missing: list the addresses of the mailboxes to read")
    return found


def _ca_file(table: Mapping[str, Any]) -> str | None:
    value = table.get("ca_file")
    if value and not Path(str(value)).is_file():
        raise _wrong("ca_file", f"names {value}, which is not a file")
    return str(value) if value else None
