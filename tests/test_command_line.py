"""The command line as an ops engineer meets it, with bad input of every kind: a sentence, an exit code, nothing lost."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sandbox import company
from sandbox.hubspot import HubSpotServer
from sandbox.salesforce import SalesforceServer
from sidefeed.cli import app
from sidefeed.cli.project_files import settings_text, write_project
from sidefeed.project import Project


class Desk:
    """A project on two practice servers, and the command line."""

    def __init__(self, folder: Path, salesforce: SalesforceServer, hubspot: HubSpotServer) -> None:
        self.folder, self.salesforce, self.hubspot = folder, salesforce, hubspot
        self.settings = {
            "salesforce": {"auth": "session", "instance_url": salesforce.url, "ca_file": str(salesforce.ca_file),
                           "session_id": salesforce.connection_info()["session_id"]},
            "hubspot": {"access_token": hubspot.connection_info()["access_token"], "host": hubspot.url,
                        "search_per_second": 1000, "rate_per_10s": 100000},
        }
        salesforce.call(salesforce.load_schema, company.SALESFORCE_SCHEMA)
        hubspot.call(hubspot.load_schema, company.HUBSPOT_SCHEMA)
        for name in company.KEY_OBJECTS["hubspot"]:
            self.property(name, name="sidefeed_key", hasUniqueValue=True)
        self.write()

    def property(self, of: str, /, **definition: Any) -> None:
        self.hubspot.call(self.hubspot.load_schema, {"properties": {of: [definition]}})

    def write(self, **changes: dict[str, Any]) -> None:
        settings = {name: {**values, **changes.get(name, {})} for name, values in self.settings.items()}
        write_project(self.folder, force=True, settings=settings_text(settings))

    def edit(self, file: str, old: str, new: str) -> None:
        path = self.folder / "mappings" / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    def __call__(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        result = CliRunner().invoke(app, [*arguments, "-C", str(self.folder), "--json"])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, json.loads(result.stdout)

    def sf(self, object: str, **fields: Any) -> str:
        return str(self.salesforce.call(lambda: self.salesforce.insert(object, **fields)))

    def hs_names(self, type: str, name: str) -> list[str]:
        return sorted(str(row["properties"].get(name)) for row in self.hubspot.call(self.hubspot.records, type))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with SalesforceServer(tls=True) as salesforce, HubSpotServer() as hubspot:
        yield Desk(tmp_path, salesforce, hubspot)
        assert salesforce.crashes == hubspot.crashes == []


def test_sync_then_sync_then_status(desk: Desk) -> None:
    account = desk.sf("Account", Name="Acme", Website="https://acme.example")
    desk.sf("Opportunity", Name="Pumps", AccountId=account, Amount=1200.5, StageName="Prospecting",
            CloseDate="2027-01-15")
    assert desk("plan")[1]["to_describe"] == {"salesforce": 6, "hubspot": 6}
    code, first = desk("sync")
    assert (code, first["written"]) == (1, {"hubspot companies": {"create": 1}, "hubspot deals": {"create": 1}})
    assert {problem["code"] for problem in first["problems"]} == {"unresolved"}, "the owner is nobody in HubSpot"
    desk("sync")
    assert desk("plan")[1]["to_describe"] == {}, "the first sync of the day looked at every schema"
    code, third = desk("sync")
    assert (code, third["counts"].get("written", 0), third["absorbed"]) == (0, 0, {})
    code, status = desk("status")
    assert code == 0
    assert {feed["feed"]: feed["linked"] for feed in status["feeds"]}["hubspot deals"] == 1
    code, blame = desk("blame", "Pumps", "money")
    assert [(line["value"]["amount"], line["source"]) for line in blame["history"]] == [("1200.5", "salesforce")]


def test_a_wrong_token_stops_that_system_and_no_other(desk: Desk) -> None:
    desk.sf("Account", Name="Acme", Website="https://acme.example")
    desk.write(hubspot={"access_token": "pat-wrong"})
    code, report = desk("sync")
    assert (code, list(report["failed"])) == (4, ["hubspot"])
    assert "pat-wrong" not in json.dumps(report)
    assert report["absorbed"] == {"salesforce user": 1, "salesforce account": 1}
    desk.write()
    code, report = desk("sync")
    assert report["written"] == {"hubspot companies": {"create": 1}}


def test_an_unreachable_host_is_named(desk: Desk) -> None:
    desk.write(hubspot={"host": "http://127.0.0.1:1", "attempts": 2})
    code, report = desk("sync")
    assert code == 4
    assert "127.0.0.1:1" in report["failed"]["hubspot"]


def test_a_misspelt_field_is_found_before_it_does_harm(desk: Desk) -> None:
    desk.edit("salesforce.yaml", "next_step: {field: NextStep", "next_step: {field: NextStpe")
    code, report = desk("check")
    (finding,) = [one for one in report["findings"] if one["field"] == "next_step"]
    assert code == 2
    assert finding["file"] == "mappings/salesforce.yaml"
    assert finding["line"] > 1
    assert "NextStep" in finding["message"] + finding["remedy"]
    code, report = desk("sync")
    assert code == 4
    assert any("NextStpe" in message for message in report["failed"].values())


def test_a_mapping_that_cannot_be_read_names_file_line_and_column(desk: Desk) -> None:
    desk.edit("hubspot.yaml", "entity: opportunity", "entity: oportunity")
    code, report = desk("sync")
    assert code == 2
    assert report["error"].startswith("mappings/hubspot.yaml:")
    assert "opportunity" in report["error"]


def test_records_that_cannot_cross_are_told_of_and_the_rest_goes_on(desk: Desk) -> None:
    closes = {"CloseDate": "2027-01-15"}
    desk.sf("Opportunity", Name="Odd stage", StageName="Waiting for the moon", **closes)
    desk.sf("Opportunity", Name="Good", StageName="Prospecting", Amount=5, **closes)
    code, report = desk("sync")
    assert code == 1
    told = {(problem["system"], problem["field"], problem["code"]) for problem in report["problems"]}
    assert any(field == "stage" and "moon" in problem["message"]
               for problem in report["problems"] for field in [problem["field"]]), told
    assert "Good" in desk.hs_names("deals", "dealname")


def test_what_the_crm_refuses_is_remembered_and_retried_when_it_changes(desk: Desk) -> None:
    desk.sf("Contact", LastName="Ito", Email="ito@acme.example")
    desk.sf("Contact", LastName="Ruiz", Email="ruiz@acme.example")
    desk.property("contacts", name="role_here", type="enumeration", options=["Buyer"])
    desk.edit("hubspot.yaml", "title: jobtitle", "title: role_here")
    ito = next(row["Id"] for row in desk.salesforce.call(desk.salesforce.rows, "Contact") if row["LastName"] == "Ito")
    desk.salesforce.call(lambda: desk.salesforce.update("Contact", ito, Title="Wizard"))
    code, report = desk("sync")
    assert code == 1
    assert any(problem["field"] == "role_here" for problem in report["problems"])
    assert desk.hs_names("contacts", "lastname") == ["Ito", "Ruiz"]
    _code, again = desk("sync")
    assert not any(problem["field"] == "role_here" for problem in again["problems"])
    desk.salesforce.call(lambda: desk.salesforce.update("Contact", ito, Title="Buyer"))
    desk("sync")
    assert "Buyer" in desk.hs_names("contacts", "role_here")


def test_duplicate_e_mails_are_put_to_a_person(desk: Desk) -> None:
    for name in ("One", "Two"):
        desk.sf("Contact", LastName=name, Email="shared@acme.example")
    desk.hubspot.call(lambda: desk.hubspot.create("contacts", lastname="Shared", email="shared@acme.example"))
    _code, report = desk("sync")
    assert report["counts"]["ambiguous"] == 2
    assert desk.hs_names("contacts", "lastname") == ["Shared"]
    _code, status = desk("status")
    assert len(status["questions"]) == 2


def test_another_organisation_than_at_set_up_stops_everything(desk: Desk) -> None:
    desk("sync")
    with HubSpotServer() as other:
        other.portal.id = 99
        desk.write(hubspot={"host": other.url, "access_token": other.connection_info()["access_token"]})
        before = other.counters.calls
        code, report = desk("sync")
    assert code == 3
    assert "Nothing was read or written" in report["error"]
    assert other.counters.calls - before <= 1


def test_a_mass_deletion_stops_before_the_first_write_and_shows_what_it_stopped(desk: Desk) -> None:
    ids = [desk.sf("Opportunity", Name=f"Deal {number}", StageName="Prospecting", CloseDate="2027-01-15")
           for number in range(30)]
    desk("sync")
    desk("sync")
    for id in ids[:20]:
        desk.salesforce.call(lambda id=id: desk.salesforce.delete("Opportunity", id))
    code, report = desk("sync")
    assert code == 3
    assert "20 of 30" in report["error"]
    assert len(desk.hs_names("deals", "dealname")) == 30
    code, report = desk("sync", "--approve")
    assert report["written"] == {"hubspot deals": {"delete": 20}}


def test_a_changed_mapping_is_confirmed_first_and_then_filled_in(desk: Desk) -> None:
    account = desk.sf("Account", Name="Acme", Website="https://acme.example", Fax="123")
    desk("sync")
    desk.edit("entities.yaml", "      phone: phone\n      industry", "      phone: phone\n      fax: text\n      industry")
    desk.edit("salesforce.yaml", "      phone: Phone\n      industry", "      phone: Phone\n      fax: Fax\n      industry")
    desk.edit("hubspot.yaml", "      website: website\n", "      website: website\n      fax: fax\n")
    desk.property("companies", name="fax")
    code, report = desk("sync")
    assert code == 3
    assert "--confirm-mapping" in report["error"]
    code, report = desk("sync", "--confirm-mapping")
    assert report["written"] == {"hubspot companies": {"update": 1}}, account
    assert desk.hs_names("companies", "fax") == ["123"]


def test_no_project_says_how_to_make_one(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["sync", "-C", str(tmp_path), "--json"])
    assert result.exit_code == 2
    assert "sidefeed init" in json.loads(result.stdout)["error"]


def test_init_writes_a_project_and_never_over_one(tmp_path: Path) -> None:
    first = CliRunner().invoke(app, ["init", str(tmp_path), "--json"])
    assert first.exit_code == 0
    assert (tmp_path / "mappings" / "entities.yaml").is_file()
    again = CliRunner().invoke(app, ["init", str(tmp_path), "--json"])
    assert again.exit_code == 2
    assert "nothing was written" in json.loads(again.stdout)["error"]


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    """A project as `init` writes it: nothing is filled in, and no file with a secret is there."""
    write_project(tmp_path)
    return tmp_path


def told(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, [*words, "--json"])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout


@pytest.mark.parametrize("words", [("sync", "salesfroce"), ("plan", "salesfroce"), ("census", "salesfroce"),
                                   ("map", "rights", "salesfroce"), ("retry", "--system", "salesfroce")])
def test_a_misspelt_system_is_told_with_those_that_there_are(fresh: Path, words: tuple[str, ...]) -> None:
    code, said = told(*words, "-C", str(fresh))
    assert code == 2
    assert "there is no [systems.salesfroce]" in said and "configured: salesforce, hubspot, exchange" in said


@pytest.mark.parametrize("words", [("status",), ("conflicts",), ("ask",), ("link",), ("approve",), ("check", "--offline"),
                                   ("my-calendar", "--as", "ann@example.com"), ("forecast",)])
def test_what_asks_no_system_needs_no_secret(fresh: Path, words: tuple[str, ...]) -> None:
    _code, said = told(*words, "-C", str(fresh))
    assert "secrets/" not in said


def test_a_secret_that_is_missing_is_told_with_where_to_put_it(
    fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, said = told("sync", "hubspot", "-C", str(fresh))
    assert code == 2
    assert "secrets/hubspot.token cannot be read" in said and "SIDEFEED_HUBSPOT__ACCESS_TOKEN" in said
    monkeypatch.setenv("SIDEFEED_HUBSPOT__ACCESS_TOKEN", "from the environment")
    assert Project.load(fresh).access("hubspot") == {"access_token": "from the environment"}
    code, said = told("sync", "salesforce", "-C", str(fresh))
    assert code == 2
    assert "[systems.salesforce]" in said and "client_id" in said


def test_a_folder_that_cannot_be_made_is_told() -> None:
    code, said = told("init", "/proc/nothing-can-be-made-here")
    assert code == 2
    assert "cannot be written" in said


def test_the_version_is_told() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert (result.exit_code, result.stdout) == (0, f"sidefeed {version('sidefeed')}\n")


@pytest.mark.parametrize("name", ["", "demo", "init", "check", "plan", "sync", "status", "blame", "conflicts", "resolve",
                                  "forecast"])
def test_every_command_explains_itself(name: str) -> None:
    result = CliRunner().invoke(app, [*([name] if name else []), "--help"])
    assert result.exit_code == 0
    assert len(result.stdout) > 200


def test_python_dash_m_is_the_same_command() -> None:
    done = subprocess.run([sys.executable, "-m", "sidefeed", "--help"], capture_output=True, text=True, check=True)
    assert "sidefeed" in done.stdout
