"""Credentials travel in the open nowhere that nobody allowed."""

from __future__ import annotations

from typing import Any

import pytest

from connectors import caldav, domino, exchange, hubspot, microsoft365, salesforce
from sidefeed.connector import Invalid

LOGIN: dict[str, Any] = {"username": "u", "password": "p", "mailboxes": ["ann@ours.example"]}
APP: dict[str, Any] = {"tenant_id": "t", "client_id": "c", "client_secret": "s", "mailboxes": ["ann@ours.example"]}
DOORS: list[tuple[Any, str, dict[str, Any], str]] = [
    (caldav.settings, "url", LOGIN, "http://{}/dav/"),
    (domino.settings, "url", LOGIN, "http://{}"),
    (exchange.settings, "endpoint", LOGIN, "http://{}/EWS/Exchange.asmx"),
    (exchange.settings, "token_url",
     {**APP, "auth": "oauth", "endpoint": "https://mail.example.com/EWS/Exchange.asmx"}, "http://{}/token"),
]
STRICT: list[tuple[Any, str, dict[str, Any], str]] = [
    (microsoft365.settings, "graph_base", APP, "http://{}/v1.0"),
    (microsoft365.settings, "login_base", APP, "http://{}"),
]


def name(value: Any) -> str | None:
    return value.__name__ if hasattr(value, "__name__") else value if isinstance(value, str) else None


@pytest.mark.parametrize(("door", "setting", "table", "url"), DOORS + STRICT, ids=name)
def test_plain_http_goes_to_this_machine_alone(door: Any, setting: str, table: dict[str, Any], url: str) -> None:
    for host in ("127.0.0.1:8080", "localhost", "[::1]:8080"):
        door.parse({**table, setting: url.format(host)})
    for host in ("mail.example.com", "localhost.example.com", "127.0.0.1.example.com", "10.0.0.7"):
        with pytest.raises(Invalid, match="must start with https://, because credentials travel there") as refused:
            door.parse({**table, setting: url.format(host)})
        assert refused.value.field == setting


@pytest.mark.parametrize(("door", "setting", "table", "url"), DOORS, ids=name)
def test_a_server_of_ones_own_network_can_be_allowed(
    door: Any, setting: str, table: dict[str, Any], url: str
) -> None:
    there = {**table, setting: url.format("mail.example.com")}
    door.parse({**there, "allow_http": True})
    with pytest.raises(Invalid, match="set allow_http: true"):
        door.parse({**there, "allow_http": "no"})


@pytest.mark.parametrize(("door", "setting", "table", "url"), STRICT, ids=name)
def test_a_service_of_the_internet_cannot_be_allowed(door: Any, setting: str, table: dict[str, Any], url: str) -> None:
    with pytest.raises(Invalid, match="must start with https://"):
        door.parse({**table, setting: url.format("mail.example.com"), "allow_http": True})


def test_the_two_crms_are_as_strict() -> None:
    with pytest.raises(Invalid, match="must start with https://"):
        hubspot.HubSpotConnector.from_settings({"access_token": "x", "host": "http://crm.example.com"})
    with pytest.raises(Invalid, match="must start with https://"):
        salesforce.SalesforceConnector.from_settings({
            "auth": "jwt", "client_id": "c", "username": "u", "private_key": "k", "login_url": "http://login.example"})
