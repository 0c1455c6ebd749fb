"""Credentials as Prefect blocks: one block type for each connector, one document for each system of a project.

The document is named as the system is in ``sidefeed.toml``. What a block holds wins over the file; what the worker's
environment holds (``SIDEFEED_SALESFORCE__SESSION_ID``) wins over the block.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from prefect.blocks.abstract import CredentialsBlock
from prefect.exceptions import ObjectNotFound
from pydantic import Field, SecretStr

from sidefeed.connector import Connector
from sidefeed.project import ENVIRONMENT, FILE


class SystemCredentials(CredentialsBlock):
    """What the three block types share. Only what is filled in counts; the rest comes from ``sidefeed.toml``."""

    _connector: ClassVar[str]

    def values(self) -> dict[str, str]:
        """The connector's settings that this block gives, secrets in the clear: never log or store them."""
        given = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: value.get_secret_value() if isinstance(value, SecretStr) else str(value)
                for name, value in given.items() if value}

    def get_client(self, **settings: Any) -> Connector:
        """The system's connector, made from this block and the settings given beside it. Raises Invalid."""
        from sidefeed.installed import entry_points

        (point,) = entry_points("sidefeed.connectors").select(name=self._connector)
        connector: Connector = point.load().from_settings({**settings, **self.values()})
        return connector


class SalesforceCredentials(SystemCredentials):
    """Who signs in to one Salesforce organisation, and how."""

    _block_type_name = "Sidefeed Salesforce"
    _block_type_slug = "sidefeed-salesforce"
    _connector = "salesforce"

    auth: Literal["jwt", "client_credentials", "session"] | None = Field(
        default=None, description="JWT bearer (recommended), client credentials, or a session id for a trial.")
    instance_url: str | None = Field(default=None, description="https://YOUR-DOMAIN.my.salesforce.com")
    login_url: str | None = Field(default=None, description="Where tokens come from; a sandbox has its own.")
    client_id: str | None = Field(default=None, description="Consumer key of the connected app.")
    client_secret: SecretStr | None = Field(default=None, description="For client credentials.")
    username: str | None = Field(default=None, description="For JWT: the integration user.")
    private_key: SecretStr | None = Field(default=None, description="For JWT: the private key, PEM.")
    session_id: SecretStr | None = Field(default=None, description="For a trial only: it ends within hours.")


class HubSpotCredentials(SystemCredentials):
    """The token of one HubSpot portal."""

    _block_type_name = "Sidefeed HubSpot"
    _block_type_slug = "sidefeed-hubspot"
    _connector = "hubspot"

    access_token: SecretStr | None = Field(default=None, description="Token of a private app or a service key.")
    portal_id: str | None = Field(default=None, description="If given, a token of any other portal is refused.")


class ExchangeCredentials(SystemCredentials):
    """Who opens the mailboxes of one Exchange."""

    _block_type_name = "Sidefeed Exchange"
    _block_type_slug = "sidefeed-exchange"
    _connector = "exchange"

    endpoint: str | None = Field(default=None, description="https://mail.example.com/EWS/Exchange.asmx")
    auth: Literal["ntlm", "basic", "oauth"] | None = None
    username: str | None = Field(default=None, description="The service account, with its domain for NTLM.")
    password: SecretStr | None = None
    client_id: str | None = Field(default=None, description="For OAuth.")
    client_secret: SecretStr | None = Field(default=None, description="For OAuth.")
    token_url: str | None = Field(default=None, description="For OAuth: where tokens come from.")


class Microsoft365Credentials(SystemCredentials):
    """The application that opens the mailboxes of one Microsoft 365 organisation."""

    _block_type_name = "Sidefeed Microsoft 365"
    _block_type_slug = "sidefeed-microsoft365"
    _connector = "microsoft365"

    tenant_id: str | None = Field(default=None, description="The organisation: its GUID or a domain.")
    client_id: str | None = Field(default=None, description="The app registration.")
    client_secret: SecretStr | None = None
    private_key: SecretStr | None = Field(default=None, description="PEM; with the certificate, instead of a secret.")
    certificate: str | None = Field(default=None, description="PEM: the certificate that was uploaded.")


class CalDavCredentials(SystemCredentials):
    """Who opens the calendars of one CalDAV server."""

    _block_type_name = "Sidefeed CalDAV"
    _block_type_slug = "sidefeed-caldav"
    _connector = "caldav"

    url: str | None = Field(default=None, description="https://dav.example.com/")
    username: str | None = Field(default=None, description="The service account.")
    password: SecretStr | None = None
    token: SecretStr | None = Field(default=None, description="A bearer token, instead of name and password.")


class DominoCredentials(SystemCredentials):
    """Who opens the mail files of one Domino server. The connector is experimental."""

    _block_type_name = "Sidefeed Domino"
    _block_type_slug = "sidefeed-domino"
    _connector = "domino"

    url: str | None = Field(default=None, description="https://mail.example.com")
    username: str | None = Field(default=None, description="The service account, by its Notes or internet name.")
    password: SecretStr | None = Field(default=None, description="Its internet password.")


BLOCKS: dict[str, type[SystemCredentials]] = {
    block._connector: block for block in (
        SalesforceCredentials, HubSpotCredentials, ExchangeCredentials, Microsoft365Credentials, CalDavCredentials,
        DominoCredentials)}
"""Block types by the connector they belong to."""


def environment(folder: Path) -> dict[str, str]:
    """The worker's environment with the project's blocks beneath it, as `Project.load` takes it.

    Asks the Prefect API once for each system that has a block type; a system without a document has none.
    """
    found: dict[str, str] = {}
    for system, connector in _systems(folder).items():
        block = _load(connector, system)
        for key, value in (block.values() if block else {}).items():
            found[f"{ENVIRONMENT}{system}__{key}".upper()] = value
    return {**found, **os.environ}


def _systems(folder: Path) -> dict[str, str]:
    """System -> connector, straight from the file: the secrets that other keys name may be in blocks instead."""
    try:
        raw = tomllib.loads((folder / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # Project.load says what is wrong with it
    systems = raw.get("systems")
    if not isinstance(systems, Mapping):
        return {}
    return {name: str(table.get("connector") or name) for name, table in systems.items() if isinstance(table, Mapping)}


def _load(connector: str, system: str) -> SystemCredentials | None:
    if connector not in BLOCKS:
        return None
    try:
        block = BLOCKS[connector].load(system.replace("_", "-"))
    except ValueError as error:
        if isinstance(error.__cause__, ObjectNotFound):
            return None
        raise
    assert isinstance(block, SystemCredentials)
    return block
