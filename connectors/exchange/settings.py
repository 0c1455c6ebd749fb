"""The settings of one Exchange system, checked before anything is sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from connectors.calendars import hidden, window
from sidefeed.calendars.marks import Named
from sidefeed.connector import Invalid

# Exchange Online by its world-wide, national and vanity host names (Microsoft 365 URLs and IP address ranges).
_ONLINE = ("office365.com", "office.com", "office365.us", "outlook.com", "partner.outlook.cn", "apps.mil")
_AUTH = ("basic", "ntlm", "oauth")
_ACCESS = ("impersonation", "delegate", "own")
EWS_SCOPE = "https://outlook.office365.com/.default"


@dataclass(frozen=True, slots=True)
class Login:
    """A user name and password, kept out of every repr."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class App:
    """An OAuth client: id, secret and where its tokens come from."""

    client_id: str
    client_secret: str = field(repr=False)
    token_url: str
    scope: str


@dataclass(frozen=True, slots=True)
class Settings:
    """What ``ExchangeConnector.from_settings`` documents, in the types that the connector uses."""

    endpoint: str
    version: tuple[int, ...]
    auth: str
    access: str
    mailboxes: Mapping[str, str | None]
    """Address (lower case) -> configured name, if any."""
    login: Login | None
    app: App | None
    own: Mapping[str, Login]
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
        """Host and, where it is not the scheme's own, port of the endpoint."""
        return urlsplit(self.endpoint).netloc.rpartition("@")[2].lower()

    @property
    def online(self) -> bool:
        return is_online(self.endpoint)


def is_online(endpoint: str) -> bool:
    """Whether an endpoint is Exchange Online."""
    host = (urlsplit(endpoint).hostname or "").lower()
    return any(host == name or host.endswith("." + name) for name in _ONLINE)


def online_notice(client_id: str | None) -> str:
    """Why EWS is no way into Exchange Online, with the dates, and what to do instead.

    Source: Exchange Team notices MC1015893 and MC1227454; Set-OrganizationConfig -EwsAllowedAppIDs.
    """
    notice = (
        "EWS in Exchange Online is allow-list only since 2026-10-01 and ends 2027-04-01; use [systems.microsoft365]. "
        "An administrator could still list the application until then "
        "(Set-OrganizationConfig -EwsEnabled $true -EwsAllowedAppIDs <id>)"
    )
    return notice + (f"; its id is {client_id}." if client_id else ".")


def parse(table: Mapping[str, Any]) -> Settings:
    """Settings from one table. Raises Invalid, naming the setting that is missing or wrong."""
    endpoint = _text(table, "endpoint")
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
        raise _wrong("endpoint", "must be a URL such as https://mail.example.com/EWS/Exchange.asmx, without a user")
    if is_online(endpoint) and not _flag(table, "allow_exchange_online"):
        client_id = str(table["client_id"]) if table.get("client_id") else None
        notice = online_notice(client_id) + " To try EWS all the same, set allow_exchange_online: true."
        raise Invalid(notice, field="endpoint", rule="exchange-online", code="exchange-online", owner="admin")
    auth, access = _choice(table, "auth", _AUTH, "basic"), _choice(table, "access", _ACCESS, "impersonation")
    mailboxes = _mailboxes(table)
    own = _own(table, mailboxes) if access == "own" else {}
    if access == "own" and auth == "oauth":
        raise _wrong("access", "cannot be 'own' with auth: oauth, where the application signs in: use impersonation")
    login = None
    if auth != "oauth" and access != "own":
        login = Login(_text(table, "username"), _text(table, "password"))
    past, future = window.days(table, _wrong)
    return Settings(
        endpoint=endpoint,
        version=_version(table),
        auth=auth,
        access=access,
        mailboxes=mailboxes,
        login=login,
        app=_app(table) if auth == "oauth" else None,
        own=own,
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
    return Invalid(f"Exchange setting {name!r} {why}.", field=name, rule="setting", code="bad-setting", owner="ops")


def _text(table: Mapping[str, Any], name: str) -> str:
    """A required text; a pydantic or Prefect secret is opened."""
    value: Any = table.get(name)
    if hasattr(value, "get_secret_value"):
        value = value.get_secret_value()
    if not isinstance(value, str) or not value.strip():
        raise _wrong(name, "is missing")
    return value if name in ("password", "client_secret") else value.strip()


def _choice(table: Mapping[str, Any], name: str, choices: Sequence[str], default: str) -> str:
    value = str(table.get(name) or default).lower()
    if value not in choices:
        raise _wrong(name, f"is {value!r}; it must be one of {', '.join(choices)}")
    return value


def _flag(table: Mapping[str, Any], name: str) -> bool:
    """A switch, off by default; environment variables give it as text."""
    value = str(table.get(name, False)).strip().lower()
    if value not in ("true", "false", "1", "0", "yes", "no", "none", ""):
        raise _wrong(name, "must be true or false")
    return value in ("true", "1", "yes")


def _version(table: Mapping[str, Any]) -> tuple[int, ...]:
    value = str(table.get("version") or "15.2")
    numbers = value.split(".")
    if not 2 <= len(numbers) <= 4 or not all(number.isdigit() for number in numbers):
        raise _wrong("version", f"is {value!r}; it must be a build such as '15.2' (2019, SE), '15.1' (2016) or '15.0'")
    return tuple(int(number) for number in numbers)


def _mailboxes(table: Mapping[str, Any]) -> dict[str, str | None]:
    """Addresses given as a list of texts, or of tables with ``address`` and ``name``."""
    entries = table.get("mailboxes") or ()
    if isinstance(entries, str):
        entries = [part for part in entries.replace(",", " ").split() if part]
    found: dict[str, str | None] = {}
    for entry in entries:
        address, name = (entry.get("address"), entry.get("name")) if isinstance(entry, Mapping) else (entry, None)
        if not isinstance(address, str) or address.count("@") != 1 or any(mark in address for mark in " <>/"):
            raise _wrong("mailboxes", f"names {address!r}, which is not an e-mail address")
        found[address.strip().lower()] = name or None
    if not found:
        raise _wrong("mailboxes", "is missing: list the addresses of the mailboxes to read")
    return found


def _own(table: Mapping[str, Any], mailboxes: Mapping[str, object]) -> dict[str, Login]:
    given = {str(address).lower(): login for address, login in (table.get("credentials") or {}).items()}
    missing = [address for address in mailboxes if address not in given]
    if missing:
        raise _wrong("credentials", f"has no entry for {', '.join(missing)} (access: own needs one per mailbox)")
    return {each: Login(_text(given[each], "username"), _text(given[each], "password")) for each in mailboxes}


def _app(table: Mapping[str, Any]) -> App:
    token_url = table.get("token_url")
    if not token_url:
        tenant = _text(table, "tenant_id")
        if not tenant.replace("-", "").replace(".", "").isalnum():
            raise _wrong("tenant_id", "must be a tenant's GUID or domain")
        token_url = f"https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token"
    scope = str(table.get("scope") or EWS_SCOPE)
    return App(_text(table, "client_id"), _text(table, "client_secret"), str(token_url), scope)


def _ca_file(table: Mapping[str, Any]) -> str | None:
    value = table.get("ca_file")
    if value and not Path(str(value)).is_file():
        raise _wrong("ca_file", f"names {value}, which is not a file")
    return str(value) if value else None
