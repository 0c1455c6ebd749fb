"""The settings of one CalDAV system, checked before anything is sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

from connectors.calendars.tables import Table


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
    told = Table("CalDAV", table)
    url = told.url("url", "https://dav.example.com/", lan=True)
    return Settings(url.rstrip("/") + "/", _mailboxes(told), told.ca_file(), *told.days(), told.zone(), told.timeout())


def _mailboxes(table: Table) -> dict[str, Mailbox]:
    found = {}
    for address, told, own in table.logins():
        login = Login(own.given("username"), own.given("password"), own.given("token"))
        found[address] = Mailbox(address, told.get("name") or None, login, _path(own, "calendar", address),
                                 _path(own, "contacts", address))
    return found


def _path(table: Table, name: str, address: str) -> str:
    """The path of a collection; ``{address}`` and ``{user}`` (before the @) stand for whose it is."""
    path = table.given(name)
    if path and not path.startswith("/"):
        raise table.wrong(name, "must be a path on the server, such as /{user}/calendar/")
    path = path.replace("{address}", quote(address)).replace("{user}", quote(address.partition("@")[0]))
    return path.rstrip("/") + "/" if path else ""
