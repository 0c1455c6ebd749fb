"""Preparing a system and leaving it again, through the practice servers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from connectors.microsoft365.values import LINK
from sandbox import company
from sandbox.hubspot import HubSpotServer
from sandbox.salesforce import SalesforceServer
from sidefeed.cli import app
from sidefeed.cli.project_files import settings_text, write_project
from sidefeed.project import Project
from sidefeed.workspace import Draft, Link
from tests.test_command_line import Desk

OBJECTS = ("Account", "Contact", "Opportunity", "Event", "Task")


class Bare(Desk):
    """A project whose systems nobody prepared."""

    def property(self, of: str, /, **definition: Any) -> None:
        if definition.get("name") != "sidefeed_key":
            super().property(of, **definition)


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bare]:
    monkeypatch.setattr(company, "SALESFORCE_SCHEMA", {"objects": {}})
    monkeypatch.setattr(company, "HUBSPOT_SCHEMA", {})
    with SalesforceServer(tls=True) as salesforce, HubSpotServer() as hubspot:
        yield Bare(tmp_path, salesforce, hubspot)
        assert salesforce.crashes == hubspot.crashes == []


def grant(desk: Desk) -> None:
    for name in OBJECTS:
        desk.salesforce.call(desk.salesforce.condition, "permission_restored", object=name, field="Sidefeed_Key__c")


def test_hubspot_is_prepared_by_the_command(bare: Bare) -> None:
    code, report = bare("prepare", "hubspot", "--dry-run")
    assert (code, report["ok"]) == (1, False)
    assert "create a property with the internal name sidefeed_key" in report["said"][0]
    code, report = bare("prepare", "hubspot")
    assert (code, report["not_ready"]) == (0, [])
    keys, labels = report["said"][:5], report["said"][5:]
    assert {sentence.split("property ")[1] for sentence in keys} == {"sidefeed_key created"}
    assert labels[1] == "HubSpot deals: association label 'Decision maker' to contacts created" and len(labels) == 9
    code, report = bare("prepare", "hubspot")
    assert (code, {sentence.split("property ")[1] for sentence in report["said"]}) == (0, {"sidefeed_key is there"})


def test_salesforce_fields_are_made_and_the_administrator_is_told_to_grant_them(bare: Bare) -> None:
    code, report = bare("prepare", "salesforce")
    assert (code, report["not_ready"]) == (1, list(OBJECTS))
    assert report["said"][0].startswith("Account.Sidefeed_Key__c was created.")
    assert "give read and edit access to it" in report["said"][0]
    assert report["said"][-1].startswith("Activity.Sidefeed_Key__c is there"), "a task shares the field of an event"
    grant(bare)
    code, report = bare("prepare", "salesforce")
    assert (code, report["ok"]) == (0, True)
    assert report["said"] == [f"{name}.Sidefeed_Key__c is ready" for name in OBJECTS]
    assert bare("check")[1]["findings"] == [] or {one["system"] for one in bare("check")[1]["findings"]} == {"hubspot"}


def test_without_the_right_to_customise_the_way_through_setup_is_told(bare: Bare) -> None:
    bare.salesforce.tooling.may_customize = False
    code, report = bare("prepare", "salesforce")
    assert (code, report["not_ready"]) == (1, list(OBJECTS))
    assert "In Setup, Object Manager, Opportunity, Fields & Relationships: create the custom field" in report["said"][2]
    assert "Customize Application" in report["said"][2]


def test_a_prepared_system_is_synced_and_left_again_without_a_trace(bare: Bare) -> None:
    for system in ("hubspot", "salesforce"):
        bare("prepare", system)
    grant(bare)
    account = bare.sf("Account", Name="Acme", Website="https://acme.example")
    bare.sf("Opportunity", Name="Pumps", AccountId=account, StageName="Prospecting", CloseDate="2027-01-15")
    bare("sync")
    assert bare.hs_names("deals", "dealname") == ["Pumps"]
    assert all(name != "None" for name in bare.hs_names("deals", "sidefeed_key"))
    code, report = bare("detach", "hubspot")
    assert (code, report["done"], report["forgotten"]["deals"]) == (0, False, 1)
    assert bare("status")[1]["feeds"], "nothing was done"
    code, report = bare("detach", "hubspot", "--yes")
    assert (code, report["done"]) == (0, True)
    assert "HubSpot deals: property sidefeed_key was archived with its values." in report["said"]
    assert any("1 linked records of deals stay in hubspot" in sentence for sentence in report["stays"])
    assert bare.hs_names("deals", "dealname") == ["Pumps"]
    assert {one["feed"]: one["linked"] for one in bare("status")[1]["feeds"]}.get("hubspot deals", 0) == 0
    assert bare("detach", "hubspot", "--yes")[1]["said"][0] == "HubSpot companies carries no mark of Sidefeed."
    code, report = bare("detach", "salesforce", "--yes")
    assert "Opportunity.Sidefeed_Key__c was deleted with its values." in report["said"]
    assert "Activity.Sidefeed_Key__c was deleted with its values." in report["said"]
    described = bare.salesforce.schema.object("Opportunity")
    assert described is not None and described.field("Sidefeed_Key__c") is None


def test_a_detached_system_can_be_attached_again_without_duplicates(bare: Bare) -> None:
    for system in ("hubspot", "salesforce"):
        bare("prepare", system)
    grant(bare)
    account = bare.sf("Account", Name="Acme", Website="https://acme.example")
    bare.sf("Opportunity", Name="Pumps", AccountId=account, StageName="Prospecting", CloseDate="2027-01-15", Amount=5)
    bare("sync")
    bare("detach", "hubspot", "--yes")
    bare("prepare", "hubspot")
    for _again in range(2):
        bare("sync")
    assert bare.hs_names("deals", "dealname") == ["Pumps"]
    assert bare.hs_names("companies", "name") == ["Acme"]
    assert {one["feed"]: one["linked"] for one in bare("status")[1]["feeds"]}["hubspot deals"] == 1


@pytest.mark.parametrize(("system", "settings", "mark"), [
    ("microsoft365", {"tenant_id": "contoso.example", "client_id": "c", "client_secret": "s",
                      "mailboxes": ["ann@us.example"]}, LINK),
    ("caldav", {"url": "https://127.0.0.1:1/", "mailboxes": ["ann@us.example"]}, "X-SIDEFEED-LINK"),
])
def test_a_calendar_is_left_by_forgetting_its_links(
    tmp_path: Path, system: str, settings: dict[str, Any], mark: str
) -> None:
    write_project(tmp_path, settings=settings_text({system: settings}))
    project = Project.load(tmp_path)
    store = project.store()
    with store.write() as tx:
        record = tx.new_id()
        tx.append([Draft("meeting", record, {"subject": "Review"}, "ann", system)])
        tx.save_link(Link(system, "calendar/ann@us.example", record, "meeting", "AAMk1"))
        tx.remember(system, "calendar/ann@us.example", "AAMk1", "meeting", record, "primary")
    store.close()
    runner = CliRunner()
    for options, state in ((), "live"), (("--yes",), "detached"):
        result = runner.invoke(app, ["detach", system, "-C", str(tmp_path), "--json", *options])
        told = json.loads(result.stdout)
        assert (result.exit_code, told["forgotten"], told["done"]) == (
            0, {"calendar/ann@us.example": 1}, bool(options)), told
        assert mark in told["said"][0]
        store = project.store()
        with store.read() as tx:
            assert [link.state for link in tx.links_of(record)] == [state]
            assert tx.record(record) is not None, "the workspace keeps its records"
        store.close()
