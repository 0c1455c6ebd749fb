"""The settings of one Domino server, checked before anything is sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

from connectors.calendars.tables import Table

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

    @property
    def login(self) -> str:
        return self.username


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
    told = Table("Domino", table)
    url = told.url("url", "https://mail.example.com", bare=True, lan=True).rstrip("/")
    return Settings(
        url, _mailboxes(told), told.flag("write"), told.ca_file(), *told.days(), told.zone(), told.timeout())


def _mailboxes(table: Table) -> dict[str, Mailbox]:
    found = {}
    for address, told, own in table.logins():
        username, password = own.given("username"), own.given("password")
        if not username or not password:
            raise table.wrong("username" if not username else "password", f"is missing for {address}")
        found[address] = Mailbox(address, told.get("name") or None, _path(own, address), username, password)
    return found


def _path(table: Table, address: str) -> str:
    """The mail file's path; ``{address}`` and ``{user}`` (before the @) stand for whose it is."""
    path = (table.given("database") or DATABASE).strip("/")
    path = path.replace("{address}", address).replace("{user}", address.partition("@")[0])
    if "/" not in path or ".." in path or any(mark in path for mark in "?#\\"):
        raise table.wrong("database", f"is {path!r}; it must be a folder and a database, such as {DATABASE}")
    return quote(path)
