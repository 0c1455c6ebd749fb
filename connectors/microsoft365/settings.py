"""The settings of one Microsoft 365 organisation, checked before anything is sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from connectors.calendars.tables import Table
from sidefeed.calendars.marks import Named

LOGIN, GRAPH = "https://login.microsoftonline.com", "https://graph.microsoft.com/v1.0"


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
    told = Table("Microsoft 365", table)
    tenant = told.text("tenant_id")
    if not tenant.replace("-", "").replace(".", "").isalnum():
        raise told.wrong("tenant_id", "must be the GUID or a domain of the organisation")
    certificate = _certificate(told)
    past, future = told.days()
    return Settings(
        tenant=tenant,
        client_id=told.text("client_id"),
        client_secret=None if certificate else told.text("client_secret"),
        certificate=certificate,
        mailboxes={address: own.get("name") or None for address, own in told.mailboxes(" <>/?#%")},
        login=told.url("login_base", LOGIN, default=LOGIN).rstrip("/"),
        graph=told.url("graph_base", GRAPH, default=GRAPH).rstrip("/"),
        ca_file=told.ca_file(),
        past=past,
        future=future,
        timezone=str(table.get("timezone") or "UTC"),
        read_bodies=told.flag("read_bodies"),
        contacts_folder=told.given("contacts_folder").strip(),
        marks=told.marks(),
        timeout=told.timeout(),
    )


def _certificate(table: Table) -> dict[str, str] | None:
    given = [name for name in ("private_key", "certificate") if table.values.get(name)]
    if not given:
        return None
    if table.values.get("client_secret"):
        raise table.wrong("client_secret", "and a certificate are both given; one of them proves who signs in")
    return {"private_key": table.text("private_key"), "public_certificate": table.text("certificate")}
