"""What changed in a live system since the last look: told with the edit that follows it, and followed where it is safe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from sidefeed.connector import FieldSchema, ObjectSchema
from sidefeed.mapping import Mapping, load
from sidefeed.mapping.drift import Drift, compact, drift, expanded, without_notes
from sidefeed.mapping.edits import Edit, NotApplied, apply
from sidefeed.project import Project
from sidefeed.sync import Report
from tests.test_command_line import Desk, desk  # noqa: F401  a fixture

ENTITIES = """
entities:
  deal:
    fields:
      name: text
      step: text
      size: number
      stage: {type: choice, choices: [new, won]}
      day: date
"""
CRM = """# What we sell.
system: crm
objects:
  deals:
    entity: deal
    fields:
      day: closing   # the day it closes
      name: {field: title, max_length: 80}  # as customers say it
      step:
        field: next_step
        max_length: 100
      size: {field: size, scale: 2}
      stage: {field: stage, values: {new: [Fresh, Open], won: Done}}
"""


def was() -> ObjectSchema:
    fields = [
        FieldSchema("title", "string", "Title", length=80), FieldSchema("next_step", "string", "Next step", length=100),
        FieldSchema("size", "double", "Size", scale=2), FieldSchema("closing", "date", "Closing"),
        FieldSchema("stage", "picklist", "Stage", options=("Fresh", "Open", "Done"), labels=("Fresh", "Open", "Done")),
        FieldSchema("other", "string", "Other"),
    ]  # fmt: skip
    return ObjectSchema("deals", "Deals", {each.name: each for each in fields})


def now(*came: FieldSchema, without: str = "", **changes: dict[str, Any]) -> ObjectSchema:
    fields = {name: replace(each, **changes.get(name, {})) for name, each in was().fields.items() if name != without}
    return ObjectSchema("deals", "Deals", {**fields, **{each.name: each for each in came}})


CHANGES: list[tuple[str, ObjectSchema, str, bool, str]] = [
    # code, the schema now, part of the message, whether it is followed, the line as it is then
    ("drift-field-renamed", now(FieldSchema("titel", "string", "Title", length=80), without="title"),
     "'title' is called 'titel' now", True, "      name: {field: titel, max_length: 80}  # as customers say it"),
    ("drift-field-renamed", now(FieldSchema("closing_day__c", "date", "closing"), without="closing"),
     "'closing' is called 'closing_day__c' now", True, "      day: closing_day__c   # the day it closes"),
    ("drift-field-gone", now(FieldSchema("titel", "double", "Title"), without="title"), "'title' is gone", False, ""),
    ("drift-type-changed", now(closing={"type": "datetime"}), "'closing' is datetime now; it was date", False, ""),
    ("drift-value-renamed", now(stage={"options": ("Fresh", "Open", "d1"), "labels": ("Fresh", "Open", "Done")}),
     "'Done' of 'stage' is gone, and 'd1' came", True,
     "      stage: {field: stage, values: {new: [Fresh, Open], won: d1}}"),
    ("drift-value-renamed", now(stage={"options": ("Fresh", "Open", "Closed"), "labels": ("Fresh", "Open", "Closed")}),
     "'Done' of 'stage' is gone, and 'Closed' came", False, ""),
    ("drift-value-gone", now(stage={"options": ("Fresh", "Done"), "labels": ()}), "has no value 'Open' any more", False,
     ""),
    ("drift-value-added", now(stage={"options": ("Fresh", "Open", "Done", "r7"),
                                     "labels": ("Fresh", "Open", "Done", "Renewing")}),
     "has the new value 'r7' (Renewing)", False, ""),
    ("drift-required", now(closing={"required": True}), "cannot be created without 'closing' any more", True,
     "      day: {field: closing, required_on_create: true}   # the day it closes"),
    ("drift-required", now(next_step={"required": True}), "cannot be created without 'next_step'", True,
     "        required_on_create: true"),
    ("drift-required", now(other={"required": True}), "cannot be created without 'other' any more", False, ""),
    ("drift-length-lowered", now(title={"length": 40}), "'title' holds 40 characters now, not 80", True,
     "      name: {field: title, max_length: 40}  # as customers say it"),
    ("drift-length-lowered", now(next_step={"length": 50}), "'next_step' holds 50 characters", True,
     "        max_length: 50"),
    ("drift-scale-lowered", now(size={"scale": 0}), "holds 0 decimal places now, not 2", True,
     "      size: {field: size, scale: 0}"),
    ("drift-not-writable", now(title={"createable": False, "updateable": False}), "can no longer be written", False, ""),
]  # fmt: skip


@pytest.fixture
def mapping(small: Callable[..., Mapping]) -> Mapping:
    return small(entities=ENTITIES, crm=CRM)


def changes(mapping: Mapping, schema: ObjectSchema) -> list[Drift]:
    before = expanded("deals", compact(was()))
    return without_notes(drift(mapping.of("crm", "deals"), before, schema))


def test_a_kept_schema_that_did_not_change_tells_nothing(mapping: Mapping) -> None:
    assert drift(mapping.of("crm", "deals"), expanded("deals", compact(was())), was()) == []


@pytest.mark.parametrize(
    ("code", "schema", "message", "safe", "line"), CHANGES, ids=[f"{each[0]} {each[2]}" for each in CHANGES])
def test_a_change_is_told_and_followed_where_that_is_safe(
    mapping: Mapping, tmp_path: Path, code: str, schema: ObjectSchema, message: str, safe: bool, line: str
) -> None:
    (one,) = changes(mapping, schema)
    assert (one.finding.code, one.safe) == (code, safe)
    assert message in one.finding.message
    if not safe:
        return
    folder = tmp_path / "mappings"
    apply(folder, one.edits)
    text = (folder / "crm.yaml").read_text()
    assert line in text.split("\n")
    assert text.count("#") == CRM.count("#")
    assert [each for each in text.split("\n") if each not in CRM.split("\n")] == [line]
    assert changes(load(folder), schema) == [] or code in ("drift-length-lowered", "drift-scale-lowered")


def test_a_new_field_is_worth_a_note(mapping: Mapping) -> None:
    schema = now(FieldSchema("renewal", "date", "Renewal date"))
    (one,) = drift(mapping.of("crm", "deals"), was(), schema)
    assert (one.finding.code, one.finding.severity) == ("drift-field-added", "note")
    assert "'renewal' (Renewal date, date)" in one.finding.message


def test_an_edit_whose_place_moved_changes_nothing(mapping: Mapping, tmp_path: Path) -> None:
    folder = tmp_path / "mappings"
    place = mapping.of("crm", "deals").place(("fields", "name"), "title")
    path = folder / "crm.yaml"
    path.write_text("# a line more\n" + path.read_text())
    before = path.read_text()
    with pytest.raises(NotApplied, match="does not hold 'title' any more"):
        apply(folder, [Edit(*place, old="title", new="titel")])
    assert path.read_text() == before


def test_edits_that_would_not_load_leave_the_files_as_they_were(mapping: Mapping, tmp_path: Path) -> None:
    folder = tmp_path / "mappings"
    om = mapping.of("crm", "deals")
    with pytest.raises(NotApplied, match="the files are as they were"):
        apply(folder, [Edit(*om.place(("fields", "stage"), "Done"), old="Done", new="Fresh")])
    assert (folder / "crm.yaml").read_text() == CRM


def test_the_command_tells_of_drift_until_it_is_accepted(desk: Desk) -> None:  # noqa: F811
    desk("sync")
    assert desk("check")[1]["findings"] == []
    desk.hubspot.call(desk.hubspot.load_schema, {"pipelines": {"deals": [
        {"id": "more", "label": "More", "displayOrder": 1, "stages": [
            {"id": "r1", "label": "Renewing", "displayOrder": 0, "metadata": {"probability": "0.5"}}]}]}})
    for _again in range(2):
        codes = {one["code"] for one in desk("check")[1]["findings"]}
        assert codes == {"drift-value-added", "value-unmapped"}
    desk("check", "--accept")
    assert {one["code"] for one in desk("check")[1]["findings"]} == {"value-unmapped"}


def test_the_command_follows_safe_changes_and_keeps_comments(desk: Desk) -> None:  # noqa: F811
    desk.salesforce.call(desk.salesforce.load_schema, {"objects": {"Opportunity": {"fields": {
        "Old_Step__c": {"type": "string", "length": 255, "label": "Our step"}}}}})
    desk.edit("salesforce.yaml", "next_step: {field: NextStep, max_length: 255}",
              "next_step: {field: Old_Step__c, max_length: 255}  # ours")
    desk("sync")
    assert desk("check")[1]["findings"] == []
    # As a rename looks from outside: the old name is gone, another came under the same label.
    desk.salesforce.call(desk.salesforce.condition, "permission_removed", object="Opportunity", field="Old_Step__c")
    desk.salesforce.call(desk.salesforce.load_schema, {"objects": {"Opportunity": {"fields": {
        "New_Step__c": {"type": "string", "length": 255, "label": "Our step"}}}}})
    code, report = desk("check")
    assert code == 2
    assert [one["code"] for one in report["findings"]] == ["drift-field-renamed"], "and not that it is missing, besides"
    code, report = desk("check", "--fix")
    assert (code, [Path(name).name for name in report["changed"]]) == (0, ["salesforce.yaml"])
    assert "next_step: {field: New_Step__c, max_length: 255}  # ours" in (
        desk.folder / "mappings" / "salesforce.yaml").read_text()
    assert desk("check")[1]["findings"] == []



def _in(days: int) -> datetime:
    return datetime.now(UTC) + timedelta(days=days)


def described(desk: Desk) -> int:  # noqa: F811
    """How many requests for schemas the two servers got."""
    labels = [(server, label) for server in (desk.salesforce, desk.hubspot) for label in server.counters.endpoints
              if "describe" in label or "/properties/" in label or "/pipelines/" in label]
    return sum(server.counters.calls_to(label) for server, label in labels)


@pytest.mark.slow
def test_each_run_keeps_the_schema_it_saw_and_asks_for_it_once_a_day(desk: Desk) -> None:  # noqa: F811
    asked, calls, runs = [0], list[tuple[int, int]](), list[Report]()
    for days in (0, 0, 1, 1, 2):
        if days == 2:
            desk.hubspot.call(desk.hubspot.load_schema, {"pipelines": {"deals": [
                {"label": "More", "displayOrder": 1, "stages": [
                    {"stageId": "r1", "label": "Renewing", "displayOrder": 0, "metadata": {"probability": "0.5"}}]}]}})
        project = Project.load(desk.folder, now=partial(_in, days))
        with project.engine() as engine:
            report = engine.sync()
            runs.append(report)
            calls.append((sum(one.calls.used for one in engine.connectors.values()),
                          sum(one.calls.minimum for one in engine.connectors.values())))
            used = {name: one.calls.used for name, one in engine.connectors.items()}
            if not asked[-1]:
                with engine.store.read() as tx:
                    assert {name: tx.calls_today(name) for name in used} == used, "the budget counts them"
        project.close()
        asked.append(described(desk))
    # Each of Salesforce and the rows of contact roles, each of HubSpot but owners, and the pipelines of deals.
    objects = 7 + 5 + 1
    assert [after - before for before, after in pairwise(asked)] == [objects, 0, objects, 0, objects]
    more = calls[2][0] - calls[3][0]
    assert objects <= more <= objects + 2, "and the labels of deals"
    assert more == calls[2][1] - calls[3][1], "what it costs is in the least it needs"
    assert [one.counts.get("drift") for one in runs] == [None, None, None, None, 1]
    code, told = desk("check")
    (drifted,) = [one for one in told["findings"] if one["code"] == "drift-value-added"]
    assert code == 0
    assert f"Run {runs[-1].run} saw it first" in drifted["message"], "though nobody had run a check before"
