"""What people decide, from the command line on practice servers: conflicts, rules, flips, and which object is which."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sandbox.hubspot import HubSpotServer
from sandbox.salesforce import SalesforceServer
from sidefeed.cli import app
from sidefeed.cli.project_files import write_project
from sidefeed.workspace import Draft, Store
from tests.test_command_line import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with SalesforceServer(tls=True) as salesforce, HubSpotServer() as hubspot:
        yield Desk(tmp_path, salesforce, hubspot)
        assert salesforce.crashes == hubspot.crashes == []


def hub(desk: Desk, kind: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = desk.hubspot.call(desk.hubspot.records, kind)
    return rows


def write(desk: Desk, kind: str, id: str, **values: Any) -> None:
    desk.hubspot.call(lambda: desk.hubspot.update(kind, id, **values))


def disagreement(desk: Desk, names: list[str]) -> None:
    """Deals of which Salesforce and HubSpot say different closing dates."""
    ids = {name: desk.sf("Opportunity", Name=name, StageName="Prospecting", CloseDate="2027-01-15") for name in names}
    desk("sync")
    desk("sync")
    for row in hub(desk, "deals"):
        name = row["properties"]["dealname"]
        desk.salesforce.call(lambda name=name: desk.salesforce.update("Opportunity", ids[name], CloseDate="2027-02-01"))
        write(desk, "deals", row["id"], closedate="2027-03-01T12:00:00Z")
    ended = [desk("sync") for _run in range(3)]
    assert (ended[0][0], ended[0][1]["to_decide"]) == (1, len(names)), "what a run found needs a person"
    assert (ended[-1][0], ended[-1][1]["to_decide"]) == (0, 0), "what stands since is not told again"


@pytest.mark.parametrize(("field", "typed", "kept"), [
    ("phone", "(212) 555-0142 ext 9", "+12125550142 ext. 9"),
    ("email", "Ito@ACME.example", "ito@acme.example"),
])
def test_a_value_that_a_person_types_gets_the_form_that_its_type_has(
    tmp_path: Path, field: str, typed: str, kept: str
) -> None:
    """A phone was kept as it was typed: each system gave it another form, and each form was an edit again."""
    write_project(tmp_path)
    store = Store.open(tmp_path / "workspace.db")
    with store.write() as tx:
        for source in ("salesforce", "hubspot"):
            tx.append([Draft("contact", "r1", {field: f"old@{source}.example"}, "someone", source, base={field: []})])
        assert field in tx.records(["r1"])["r1"].conflicts
    command = ["resolve", "r1", field, "-C", str(tmp_path), "--json", "--value"]
    if field == "email":
        refused = CliRunner().invoke(app, [*command, "ito at acme"])
        assert refused.exit_code == 2 and "nothing was decided" in refused.stdout
    result = CliRunner().invoke(app, [*command, typed])
    assert (result.exit_code, json.loads(result.stdout)["value"]) == (0, kept)
    with store.read() as tx:
        assert tx.records(["r1"])["r1"].values[field] == kept
    store.close()


def test_a_conflict_shows_where_both_started_and_always_makes_the_decision_a_rule(desk: Desk) -> None:
    disagreement(desk, ["Pumps", "Valves"])
    entities = desk.folder / "mappings" / "entities.yaml"
    before = entities.read_text()
    _code, told = desk("conflicts")
    (one,) = [line for line in told["conflicts"] if line["label"] == "Pumps"]
    assert (one["field"], one["base"]) == ("close_date", "2027-01-15")
    assert {(side["source"], side["value"]) for side in one["sides"]} == {
        ("salesforce", "2027-02-01"), ("hubspot", "2027-03-01")}
    assert all(side["hours"] >= 0 and side["actor"] for side in one["sides"])
    code, told = desk("resolve", "Pumps", "close_date", "--always", "--value", "2027-04-01")
    assert code == 2 and "--from" in told["error"]
    code, told = desk("resolve", "Pumps", "close_date", "--value", "soon")
    assert code == 2 and "'soon' is no date" in told["error"] and "nothing was decided" in told["error"]
    code, told = desk("resolve", "s", "close_date", "--from", "hubspot")
    assert code == 2 and "Pumps" in told["error"] and "Valves" in told["error"], "both are named"

    code, told = desk("resolve", "Pumps", "close_date", "--from", "hubspot", "--always")
    assert (code, told["value"], told["others"]) == (0, "2027-03-01", 1)
    changed = [line for line in difflib.ndiff(before.splitlines(), entities.read_text().splitlines())
               if line[0] in "+-"]
    assert changed == ["-       close_date: {type: date, policy: ask}",
                       "+       close_date: {type: date, policy: {prefer: hubspot}}"], "comments and order are kept"
    code, tests = desk("map", "test")
    assert code == 0, tests
    code, told = desk("sync")
    assert code in (0, 1), "the command that wrote the rule confirmed it"
    rows = desk.salesforce.call(desk.salesforce.rows, "Opportunity")
    assert {row["CloseDate"] for row in rows} == {"2027-03-01"}
    desk.edit("entities.yaml", "policy: {prefer: hubspot}}\n      stage", "policy: ask}\n      stage")
    code, tests = desk("map", "test")
    assert code != 0 and "people are asked" in str(tests), "the golden test holds the rule"


def test_a_short_form_gets_its_policy_too(desk: Desk) -> None:
    from sidefeed.mapping import load
    from sidefeed.mapping.always import NotWritten, rule
    from sidefeed.mapping.always import write as write_files

    folder = desk.folder / "mappings"
    write_files([rule(folder, "account", "phone", "salesforce")])
    write_files([rule(folder, "contact", "account", "hubspot")])
    fields = load(folder).entities
    assert fields["account"].fields["phone"].policy == ("prefer", "salesforce", False)
    assert fields["contact"].fields["account"].policy.system == "hubspot"
    with pytest.raises(NotWritten, match=r"account\.nonsense"):
        rule(folder, "account", "nonsense", "salesforce")


def test_first_contact_is_shown_before_it_writes_and_its_questions_are_answered_in_bulk(desk: Desk) -> None:
    def company(name: str, domain: str, **more: Any) -> None:
        desk.hubspot.call(lambda: desk.hubspot.create("companies", name=name, domain=domain, **more))

    desk.sf("Account", Name="Acme Inc.", Website="https://acme.test")
    company("ACME", "acme.test")
    for name in ("Twin One", "Twin Two"):
        desk.sf("Account", Name=name, Website="https://twin.test", BillingCountry="France")
    company("Twin One", "twin.test")
    desk.sf("Account", Name="Only here", Website="https://here.test")
    company("Only there", "there.test")
    for _try in range(3):  # the search index of HubSpot lags
        code, told = desk("link", "--plan")
    assert code == 0
    assert told["feeds"]["hubspot companies"] == {
        "linked": 0, "matched": 0, "new_here": 3, "new_there": 1, "ambiguous": 0}, told
    assert told["feeds"]["salesforce Account"] == {
        "linked": 0, "matched": 1, "new_here": 1, "new_there": 1, "ambiguous": 2}, told
    assert [(one["feed"], one["label"]) for one in told["matches"]] == [("salesforce Account", "ACME")]
    likely = {one["values"]["name"]: one["candidates"][0] for one in told["questions"]}
    assert (likely["Twin One"]["score"], likely["Twin Two"]["differs"]) == (1.0, ["name"])
    assert len(hub(desk, "companies")) == 3, "nothing is written"

    desk("sync")
    code, told = desk("link")
    assert code == 1 and len(told["questions"]) == 2
    code, told = desk("link", "--accept", "0.95")
    assert [line["label"] for line in told["answered"]] == ["Twin One"]
    (question,) = told["questions"]
    code, told = desk("link", "salesforce", "Account", question["external_id"], "new")
    assert (code, told["questions"]) == (0, [])
    for _run in range(3):
        desk("sync")
    assert sorted(row["properties"]["name"] for row in hub(desk, "companies")) == sorted(
        row["Name"] for row in desk.salesforce.call(desk.salesforce.rows, "Account"))
    assert len(hub(desk, "companies")) == 5
    code, told = desk("link", "salesforce", "Account", question["external_id"], "new")
    assert code == 2 and "nobody asked" in told["error"]


def test_a_wrong_link_is_taken_apart_and_both_sides_have_their_own_values_again(desk: Desk) -> None:
    mine = desk.sf("Account", Name="Acme", Website="https://acme.test", Phone="+1 212 555 0001", Industry="Banking",
                   BillingCountry="France")
    desk.sf("Contact", LastName="Ito", AccountId=mine)
    desk("sync", "salesforce")
    desk.hubspot.call(lambda: desk.hubspot.create(
        "companies", name="Acme of Lyon", domain="acme.test", phone="+33 1 40 00 00 02", country="France"))
    for _run in range(4):
        desk("sync")
    (there,) = hub(desk, "companies")
    names = {there["properties"]["name"], desk.salesforce.call(desk.salesforce.rows, "Account")[0]["Name"]}
    assert len(names) == 1, "they were taken for one"
    code, planned = desk("unlink", "hubspot", "companies", there["id"], "--plan")
    assert (code, planned["old_label"], planned["own"]["name"]) == (0, "Acme", "Acme of Lyon"), planned
    assert [(one["label"], one["field"]) for one in planned["hanging"]] == [("Ito", "account")], "it says so before"
    assert len(desk("trace", planned["old"])[1]["identity"]) == 2, "a plan changes nothing"
    code, told = desk("unlink", "hubspot", "companies", there["id"])
    assert (code, told["hanging"]) == (0, planned["hanging"])
    for _run in range(4):
        desk("sync")
    in_hubspot = {row["properties"]["name"]: row["properties"].get("phone") for row in hub(desk, "companies")}
    assert {row["properties"].get("country") for row in hub(desk, "companies")} == {"France"}, "both said so"
    in_salesforce = {row["Name"]: (row["Phone"], row["Industry"])
                     for row in desk.salesforce.call(desk.salesforce.rows, "Account")}
    assert in_hubspot.keys() == in_salesforce.keys() == {"Acme", "Acme of Lyon"}
    assert "0001" in in_hubspot["Acme"] and "02" in in_hubspot["Acme of Lyon"]
    assert in_salesforce["Acme"][1] == "Banking" and mine
    assert desk("sync")[1]["written"] == {}
    code, told = desk("unlink", "hubspot", "companies", "999")
    assert code == 2 and "not linked" in told["error"]


def test_what_is_written_without_a_sync_is_still_found_by_what_it_is_matched_by(tmp_path: Path) -> None:
    from sidefeed.cli.project_files import settings_text, write_project
    from sidefeed.project import Project
    from sidefeed.sync.match import keys_of
    from sidefeed.workspace import Draft

    write_project(tmp_path, settings=settings_text({}, {}))
    store = Project.load(tmp_path).store()
    with store.write() as tx:
        contact = tx.new_id()
        tx.append([Draft("contact", contact, {"email": "aiko@alder.example"}, "aiko", "salesforce")])
        tx.append([Draft("contact", contact, {"title": "Head of plant"}, "ops", "workspace")])
    with store.read() as tx:
        found = tx.by_natural_keys("contact", keys_of([("email",)], {"email": "Aiko@alder.example"}))
    store.close()
    assert list(found.values()) == [[contact]]
