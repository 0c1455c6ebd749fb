"""Line items of deals, switched on by an include in each file: read from both CRMs, written nowhere."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sidefeed.mapping import golden, load
from tests.test_command_line import Desk, desk  # noqa: F401  a fixture

from .conftest import DEFAULTS


def switch_on(folder: Path) -> None:
    """What the comment in each file says: take the mark away."""
    for name in ("entities", "salesforce", "hubspot"):
        path = folder / f"{name}.yaml"
        text = path.read_text()
        assert f"# include: [line_items/{name}.yaml]" in text
        path.write_text(text.replace("# include: [line_items/", "include: [line_items/"))


def quiet_calls(desk: Desk) -> tuple[int, list[str]]:  # noqa: F811
    """Of a run in which nothing changed: how many requests Salesforce had, and HubSpot's that are about line items."""
    for _again in range(3):  # what was read within the second of its own stamp is read once more
        desk.hubspot.clock.move(seconds=2)
        desk("sync")
    start, asked = desk.salesforce.counters.calls, list[str]()
    desk.hubspot.on_request = lambda _ordinal, request, phase: asked.append(request.path) if phase == "before" else None
    _code, report = desk("sync")
    desk.hubspot.on_request = None
    assert (report["written"], report["absorbed"]) == ({}, {})
    return desk.salesforce.counters.calls - start, sorted(path for path in asked if "line_items" in path)


def test_the_part_loads_and_does_what_its_golden_tests_say(tmp_path: Path) -> None:
    folder = tmp_path / "mappings"
    shutil.copytree(DEFAULTS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    switch_on(folder)
    shutil.copy(folder / "line_items" / "golden.yaml", folder / "tests" / "line_items.yaml")
    mapping = load(folder)
    lines = [om for om in mapping.objects if om.entity == "line_item"]
    assert {(om.system, om.object, om.readonly) for om in lines} == {
        ("salesforce", "OpportunityLineItem", True), ("hubspot", "line_items", True)}
    outcomes = list(golden.run(mapping, golden.read(folder)))
    assert [str(one) for one in outcomes if not one.ok] == []
    ours = [one.golden.case for one in outcomes if one.golden.path.stem == "line_items"]
    for om in lines:
        (given,) = [case.given for case in ours if case.given and case.given.object == om.object]
        assert set(given.record) == {raw for each in om.fields for raw in each.lens.raw}


@pytest.mark.slow
def test_lines_are_read_from_both_crms_and_written_nowhere(desk: Desk) -> None:  # noqa: F811
    findings = desk("check")[1]["findings"]
    deal = desk.sf("Opportunity", Name="Pumps", StageName="Prospecting", CloseDate="2027-01-15")
    theirs = desk.hubspot.call(lambda: desk.hubspot.create(
        "deals", dealname="Valves", dealstage="qualifiedtobuy", pipeline="default", closedate="2027-01-15T12:00:00Z"))
    before, none = quiet_calls(desk)
    assert none == []
    switch_on(desk.folder / "mappings")
    more = [one for one in desk("check")[1]["findings"] if one not in findings and one["severity"] != "note"]
    assert [one for one in more if "line" in str(one["object"]).lower()] == [], "no false alarm"

    book = next(row["Id"] for row in desk.salesforce.call(desk.salesforce.rows, "Pricebook2") if row["IsStandard"])
    product = desk.sf("Product2", Name="Pump station", ProductCode="PS-200", IsActive=True)
    entry = desk.sf("PricebookEntry", Pricebook2Id=book, Product2Id=product, UnitPrice=1250.5, IsActive=True)
    line = desk.sf("OpportunityLineItem", OpportunityId=deal, PricebookEntryId=entry, Quantity=4)
    item = desk.hubspot.call(lambda: desk.hubspot.create(
        "line_items", name="Valve set", quantity="3", price="10", hs_line_item_currency_code="EUR"))
    desk.hubspot.call(lambda: desk.hubspot.associate("line_items", item, "deals", theirs))
    _code, report = desk("sync", "--confirm-mapping")
    assert report["absorbed"]["salesforce line_item"] == report["absorbed"]["hubspot line_item"] == 1
    assert not any("ine_item" in feed or "LineItem" in feed for feed in report["written"])
    for name, total in (("Pumps Pump station", {"amount": "5002", "currency": "USD"}),
                        ("Valve set", {"amount": "30", "currency": "EUR"})):
        _code, blame = desk("blame", name, "total")
        assert [one["value"] for one in blame["history"]] == [total]
        _code, blame = desk("blame", name, "deal")
        assert len(blame["history"]) == 1, "it knows whose line it is"
    after, asked = quiet_calls(desk)
    assert (after - before, len(asked)) == (1, 3), "what the page says that they cost"
    desk.hubspot.clock.move(minutes=30)
    assert len(quiet_calls(desk)[1]) == 2, "whose lines they are is asked of lines that changed lately"

    desk.salesforce.call(lambda: desk.salesforce.delete("OpportunityLineItem", line))
    _code, report = desk("sync")
    assert report["counts"]["deleted_there"] == 1
    assert {row["properties"]["name"] for row in desk.hubspot.call(desk.hubspot.records, "line_items")} == {"Valve set"}
