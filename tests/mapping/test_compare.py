"""Two versions of the mapping files, told apart in words, with the number of records that each change concerns."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from sidefeed.mapping import Mapping
from sidefeed.mapping.compare import compare
from tests.test_command_line import Desk, desk  # noqa: F401  a fixture

from .conftest import Folder

ENTITIES, SALESFORCE, HUBSPOT = "entities.yaml", "salesforce.yaml", "hubspot.yaml"

EDITS = [
    # file, before, after, the code, part of the sentence
    (SALESFORCE, "negotiation: Negotiation/Review", "negotiation: Closing", "value-written",
     "stage 'negotiation' will now be written as 'Closing' instead of 'Negotiation/Review'."),
    (SALESFORCE, "[Needs Analysis, Value Proposition, ", "[Needs Analysis, ", "value-read",
     "'Value Proposition' will be read as stage an unknown value instead of 'needs_analysis'."),
    (SALESFORCE, "money: Amount", "money: {amount: Expected__c}", "moved", "money is Expected__c there, instead of Amount"),
    (SALESFORCE, "industry: {field: Industry, max_length: 40}", "industry: {field: Industry, max_length: 20}",
     "option-changed", "max_length of industry is 20, instead of 40."),
    (SALESFORCE, "      next_step: {field: NextStep, max_length: 255}\n", "", "mapping-removed",
     "opportunity.next_step <-> salesforce Opportunity.NextStep is not mapped any more: values there stay."),
    (SALESFORCE, "probability: {field: Probability, direction: read}", "probability: Probability", "direction-changed",
     "probability is read and written, instead of only read."),
    (SALESFORCE, "scope: IsChild = false", "scope: IsPrivate = false", "scope-changed", "'IsPrivate = false'"),
    (SALESFORCE, "match: [[account, name, money], [account, name, close_date]]", "match: [[account, name, money]]",
     "match-changed", "recognised by account and name and money, not by"),
    (SALESFORCE, "sensitivity: [normal, null]", "sensitivity: [normal]", "create-when-changed", "the conditions"),
    (SALESFORCE, "key_field: Sidefeed_Key__c", "key_field: Other__c", "key-field-changed", "'Other__c' carries our key"),
    (HUBSPOT, "hs_task_type: {constant: TODO}", "hs_task_type: {constant: CALL}", "writer-changed",
     "hs_task_type will be written as 'CALL'."),
    (HUBSPOT, "    writes:\n      pipeline: {constant: default}\n", "", "writer-removed", "pipeline is not written"),
    (HUBSPOT, "description: {lens: rich_text, field: hs_task_body}", "description: hs_task_body", "lens-changed",
     "description is translated by 'text', instead of 'rich_text'."),
    (HUBSPOT, "name: {field: dealname, required_on_create: true}", "name: dealname", "required-changed",
     "a new record no longer waits for name"),
    (HUBSPOT, "hs_next_step\n", "hs_next_step\n      probability: {field: hs_deal_stage_probability, create_as: 10}\n",
     "mapping-added", "opportunity.probability <-> hubspot deals.hs_deal_stage_probability is mapped now"),
    (ENTITIES, "money: {type: money, policy: ask, label: Amount}", "money: {type: money, label: Amount}",
     "policy-changed", "Who wins on opportunity.money: the newest edit wins, instead of people decide."),
    (ENTITIES, "      external_key: {type: text, description", "      tier: text\n      external_key: {type: text, description",
     "field-added", "opportunity.tier is a new field."),
    (ENTITIES, "    description: Something to do, with a day.\n    deletes: propagate",
     "    description: Something to do, with a day.\n    deletes: ask", "deletes-changed",
     "A deleted task is handled as 'ask' instead of 'propagate'."),
    (ENTITIES, "description: {type: text, lines: many}\n      account", "description: text\n      account",
     "lines-changed", "opportunity.description loses its line breaks."),
]  # fmt: skip


@pytest.mark.parametrize(("file", "before", "after", "code", "sentence"), EDITS, ids=[each[3] for each in EDITS])
def test_a_change_is_one_sentence_about_what_will_happen(
    folder: Folder, mapping: Mapping, file: str, before: str, after: str, code: str, sentence: str
) -> None:
    found = [each for each in compare(mapping, folder.edit(file, before, after).load()) if each.code == code]
    assert any(sentence in each.sentence for each in found), [each.sentence for each in found]


def test_removing_and_adding_a_whole_object_or_entity_is_told(folder: Folder, mapping: Mapping) -> None:
    (folder.path / "exchange.yaml").unlink()
    folder.edit(ENTITIES, "owner: {type: ref, to: user, policy: {prefer: exchange}}", "owner: ref user")
    codes = [each.code for each in compare(mapping, folder.load())]
    assert codes.count("object-removed") == 3
    back = [each.code for each in compare(folder.load(), mapping)]
    assert back.count("object-added") == 3


def test_comments_order_and_labels_are_no_change(folder: Folder, mapping: Mapping) -> None:
    folder.edit(ENTITIES, "label: Deal", "label: Opportunity").edit(HUBSPOT, "# HubSpot:", "# Another word:")
    folder.edit(HUBSPOT, "      phone: phone\n      title: jobtitle\n", "      title: jobtitle\n      phone: phone\n")
    assert compare(mapping, folder.load()) == []


def test_the_command_counts_the_records_that_each_change_concerns(desk: Desk) -> None:  # noqa: F811
    for number, stage in enumerate(["Value Proposition"] + ["Needs Analysis"] * 2 + ["Closed Won"] * 2):
        desk.sf("Opportunity", Name=f"Deal {number}", StageName=stage, CloseDate="2027-01-15")
    desk("sync")
    code, same = desk("map", "diff", str(desk.folder / "mappings"))
    assert (code, same["changes"]) == (0, [])
    old = desk.folder / "old"
    shutil.copytree(desk.folder / "mappings", old)
    desk.edit(SALESFORCE, "won: Closed Won", "won: Won at last")
    desk.edit(SALESFORCE, "name: {field: Name, max_length: 120, ", "name: {field: Name, max_length: 80, ")
    desk.edit(SALESFORCE, "[Needs Analysis, Value Proposition, ", "[Needs Analysis, Wish, ")
    desk.edit(SALESFORCE, "phone: {region: US}", "phone: {region: DE}")
    code, report = desk("map", "diff", str(old))
    told = {each["sentence"]: each["records"] for each in report["changes"]}
    assert code == 1
    assert told["salesforce Opportunity: stage 'won' will now be written as 'Won at last' instead of 'Closed Won'."] == 2
    assert told["salesforce Opportunity: max_length of name is 80, instead of 120."] == 5
    assert told["salesforce Account: region of phone is 'DE', instead of 'US'."] == 0
    assert told["salesforce Opportunity: 'Value Proposition' will be read as stage an unknown value instead of "
                "'needs_analysis'."] == 1, "not the two that are in the same stage here"
    assert told["salesforce Opportunity: 'Wish' will be read as stage 'needs_analysis' instead of an unknown value."] == 0
    code, report = desk("map", "diff", str(old), "--no-count")
    assert {each["records"] for each in report["changes"]} == {None}


def test_the_command_compares_with_a_git_revision(desk: Desk) -> None:  # noqa: F811
    def git(*arguments: str) -> None:
        subprocess.run(["git", "-C", str(desk.folder), "-c", "user.name=t", "-c", "user.email=t@t.example", *arguments],
                       check=True, capture_output=True)

    code, report = desk("map", "diff")
    assert code == 2
    assert "neither a folder nor a git revision" in report["error"]
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "first")
    assert desk("map", "diff")[0] == 0
    desk.edit(HUBSPOT, "won: closedwon", "won: won_for_good")
    code, report = desk("map", "diff")
    assert code == 1
    assert any("'won' will now be written as 'won_for_good'" in each["sentence"] for each in report["changes"])
    code, report = desk("map", "diff", "HEAD", "HEAD")
    assert (code, report["changes"]) == (0, [])
    code, report = desk("map", "diff", "no-such-branch")
    assert code == 2
    assert "'no-such-branch' is neither a folder nor a git revision" in report["error"]


def test_a_version_that_cannot_be_read_names_its_mistake(desk: Desk, tmp_path: Path) -> None:  # noqa: F811
    other = tmp_path / "other"
    shutil.copytree(desk.folder / "mappings", other)
    path = other / HUBSPOT
    path.write_text(path.read_text().replace("entity: opportunity", "entity: oportunity"))
    code, report = desk("map", "diff", str(other))
    assert code == 2
    assert "other/hubspot.yaml:" in report["error"]
