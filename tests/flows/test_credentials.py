"""Blocks hold credentials, hand out connectors, and never show a secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.credentials import BLOCKS, ExchangeCredentials, HubSpotCredentials, SalesforceCredentials, environment
from sidefeed.connector import Invalid

SECRET = "sesame-0123456789"


def test_each_connector_has_a_block_type_of_its_own() -> None:
    assert set(BLOCKS) == {"salesforce", "hubspot", "exchange", "caldav", "microsoft365", "domino"}
    assert {block.get_block_type_slug() for block in BLOCKS.values()} == {
        "sidefeed-salesforce", "sidefeed-hubspot", "sidefeed-exchange", "sidefeed-caldav", "sidefeed-microsoft365",
        "sidefeed-domino"}


def test_a_block_gives_only_what_was_filled_in() -> None:
    assert HubSpotCredentials(access_token=SECRET).values() == {"access_token": SECRET}
    assert SalesforceCredentials(auth="session", session_id=SECRET, client_secret="").values() == {
        "auth": "session", "session_id": SECRET}


def test_a_block_makes_the_systems_connector() -> None:
    block = SalesforceCredentials(auth="session", instance_url="https://acme.my.salesforce.com", session_id=SECRET)
    client = block.get_client()
    assert type(client).__name__ == "SalesforceConnector"
    client.close()

    exchange = ExchangeCredentials(endpoint="https://mail.example.com/EWS/Exchange.asmx", auth="ntlm",
                                   username="ACME\\feed", password=SECRET)
    client = exchange.get_client(mailboxes=["ann@acme.example"])
    assert client.marker() == "mail.example.com"
    client.close()


def test_a_block_that_is_not_enough_says_what_is_missing() -> None:
    with pytest.raises(Invalid, match="session_id"):
        SalesforceCredentials(auth="session", instance_url="https://acme.my.salesforce.com").get_client()


@pytest.mark.parametrize("block", [
    HubSpotCredentials(access_token=SECRET), SalesforceCredentials(session_id=SECRET, private_key=SECRET),
    ExchangeCredentials(password=SECRET)])
def test_secrets_show_nowhere(block: HubSpotCredentials) -> None:
    assert SECRET not in repr(block)
    assert SECRET not in str(block)
    assert SECRET not in block.model_dump_json()


def test_a_folder_without_settings_has_only_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIDEFEED_HUBSPOT__ACCESS_TOKEN", SECRET)
    assert environment(tmp_path)["SIDEFEED_HUBSPOT__ACCESS_TOKEN"] == SECRET
