"""The settings of one Exchange system, checked before anything is sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from connectors.calendars.tables import Table
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
    told = Table("Exchange", table)
    endpoint = told.url("endpoint", "https://mail.example.com/EWS/Exchange.asmx", lan=True)
    if is_online(endpoint) and not told.flag("allow_exchange_online"):
        client_id = str(table["client_id"]) if table.get("client_id") else None
        notice = online_notice(client_id) + " To try EWS all the same, set allow_exchange_online = true."
        raise Invalid(notice, field="endpoint", rule="exchange-online", code="exchange-online", owner="admin")
    auth, access = told.choice("auth", _AUTH, "basic"), told.choice("access", _ACCESS, "impersonation")
    mailboxes = {address: own.get("name") or None for address, own in told.mailboxes()}
    own = _own(told, mailboxes) if access == "own" else {}
    if access == "own" and auth == "oauth":
        why = "cannot be 'own' with auth: oauth, where the application signs in: use impersonation"
        raise told.wrong("access", why)
    login = None
    if auth != "oauth" and access != "own":
        login = _login(told)
    past, future = told.days()
    return Settings(
        endpoint=endpoint,
        version=_version(told),
        auth=auth,
        access=access,
        mailboxes=mailboxes,
        login=login,
        app=_app(told) if auth == "oauth" else None,
        own=own,
        ca_file=told.ca_file(),
        past=past,
        future=future,
        timezone=str(table.get("timezone") or "UTC"),
        read_bodies=told.flag("read_bodies"),
        contacts_folder=told.given("contacts_folder").strip(),
        marks=told.marks(),
        timeout=told.timeout(),
    )


def _version(table: Table) -> tuple[int, ...]:
    value = str(table.values.get("version") or "15.2")
    numbers = value.split(".")
    if not 2 <= len(numbers) <= 4 or not all(number.isdigit() for number in numbers):
        why = f"is {value!r}; it must be a build such as '15.2' (2019, SE), '15.1' (2016) or '15.0'"
        raise table.wrong("version", why)
    return tuple(int(number) for number in numbers)


def _own(table: Table, mailboxes: Mapping[str, object]) -> dict[str, Login]:
    given = {str(address).lower(): login for address, login in (table.values.get("credentials") or {}).items()}
    missing = [address for address in mailboxes if address not in given]
    if missing:
        raise table.wrong("credentials", f"has no entry for {', '.join(missing)} (access: own needs one per mailbox)")
    return {each: _login(table.of(given[each])) for each in mailboxes}


def _login(table: Table) -> Login:
    return Login(table.text("username"), table.text("password", strip=False))


def _app(table: Table) -> App:
    token_url = ""
    if table.values.get("token_url"):
        token_url = table.url("token_url", "https://login.example.com/oauth2/token", lan=True)
    else:
        tenant = table.text("tenant_id")
        if not tenant.replace("-", "").replace(".", "").isalnum():
            raise table.wrong("tenant_id", "must be a tenant's GUID or domain")
        token_url = f"https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token"
    scope = str(table.values.get("scope") or EWS_SCOPE)
    return App(table.text("client_id"), table.text("client_secret", strip=False), token_url, scope)
