"""The audit trail from the command line: on practice servers, and on a workspace that somebody wrote into."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sandbox.hubspot import HubSpotServer
from sandbox.salesforce import SalesforceServer
from sidefeed.cli import app
from tests.audit.ledger import Ledger
from tests.test_command_line import Desk

DOCS = Path(__file__).parent.parent / "docs" / "audit.md"
SCRIPT = re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), flags=re.S)[0]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with SalesforceServer(tls=True) as salesforce, HubSpotServer() as hubspot:
        yield Desk(tmp_path, salesforce, hubspot)
        assert salesforce.crashes == hubspot.crashes == []


def said(desk: Desk, what: str) -> list[tuple[str, dict[str, Any]]]:
    """Who, and the detail, of the journal's entries of one sort, oldest first."""
    return [(line["actor"], line["detail"]) for line in desk("audit", "--what", what)[1]["entries"]][::-1]


@pytest.mark.slow
def test_who_set_confirmed_approved_and_skipped_what_is_in_the_trail(desk: Desk) -> None:
    ids = [desk.sf("Opportunity", Name=f"Deal {each:02}", StageName="Prospecting", CloseDate="2027-01-15")
           for each in range(24)]
    head = desk("sync", "--as", "dana")[1]["audit_head"]
    assert desk("audit", "verify", "--head", head)[0] == 0
    assert [actor for actor, _detail in said(desk, "mapping")] == ["dana", "dana"]

    settings = desk.folder / "sidefeed.toml"
    settings.write_text(settings.read_text() + "\n[limits]\nflips = 9\n")
    desk.edit("salesforce.yaml", "  Opportunity:\n", "  # the same, said otherwise\n  Opportunity:\n")
    desk.edit("hubspot.yaml", "      next_step: hs_next_step\n", "")
    assert desk("sync")[0] == 3
    desk("sync", "--confirm-mapping", "--as", "erin")
    ((actor, detail),) = said(desk, "mapping")[2:]
    assert (actor, detail["confirmed"], list(detail["fingerprints"])) == ("erin", True, ["deals"])
    assert said(desk, "settings")[1][1] == {"changed": {"limits.flips": [6, 9]}}

    for id in ids[:12]:
        desk.salesforce.call(lambda id=id: desk.salesforce.delete("Opportunity", id))
    parked = desk("sync")[1]["run"]
    head = desk("approve", parked, "--as", "frida")[1]["audit_head"]
    assert [(actor, detail["shown"]["mass-delete salesforce Opportunity"])
            for actor, detail in said(desk, "approve")] == [("frida", 12)]
    for id in ids[12:23]:
        desk.salesforce.call(lambda id=id: desk.salesforce.delete("Opportunity", id))
    desk("skip", desk("sync")[1]["run"], "--as", "gus")
    assert said(desk, "skip")[0][0] == "gus"

    found = desk("audit", "--system", "hubspot", "--what", "delete", "--limit", "50")[1]["entries"]
    assert [(line["actor"], line["detail"]["state"]) for line in found] == [("sidefeed", "done")] * 12
    assert desk("audit", "verify", "--head", head)[1]["ok"]
    assert desk("sync")[1]["audit_head"] == desk("sync")[1]["audit_head"], "a run without work seals nothing"
    assert "access_token" not in json.dumps(desk("audit", "--limit", "5000")[1])


# -- a workspace without systems ------------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "sidefeed.toml").write_text('workspace = "workspace.db"\n')
    return folder


@pytest.fixture
def ledger(project: Path) -> Iterator[Ledger]:
    ledger = Ledger(project / "workspace.db")
    for number in range(3):
        ledger.edits(number, f"Größe {number}")
    ledger.writes("Größe 1")
    ledger.decides("approve")
    ledger.seal()
    ledger.redacts(2)
    yield ledger
    ledger.store.close()


def invoke(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, list(arguments))
    assert done.exception is None or isinstance(done.exception, SystemExit), done.output
    return done.exit_code, done.output


def ask(project: Path, *arguments: str) -> tuple[int, Any]:
    code, text = invoke("audit", *arguments, "-C", str(project), "--json")
    return code, json.loads(text)


def checked(file: Path, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """The script of the documents, run as somebody without Sidefeed would."""
    script = tmp_path / "check.py"
    script.write_text(SCRIPT, encoding="utf-8")
    return subprocess.run([sys.executable, "-I", str(script), str(file)], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("option", ["", "--with-words", "--without-contents"])
def test_an_export_is_checked_by_the_script_of_the_documents_and_a_forged_line_is_found(
    ledger: Ledger, project: Path, tmp_path: Path, option: str
) -> None:
    file = tmp_path / "trail.jsonl"
    code, told = ask(project, "export", str(file), *([option] if option else []))
    assert (code, told["entries"]) == (0, 6)
    done = checked(file, tmp_path)
    assert (done.returncode, done.stdout.strip()) == (0, told["head"]), done.stderr
    assert ask(project, "verify", "--head", told["head"])[0] == 0

    lines = file.read_text(encoding="utf-8").splitlines()
    forged = {
        "changed": [lines[0].replace("ann@example.com", "bob@example.com"), *lines[1:]],
        "gone": [lines[0], *lines[2:]],
        "swapped": [lines[1], lines[0], *lines[2:]],
        "twice": [lines[0], *lines],
        **({} if option == "--without-contents" else {
            "content": [lines[0].replace("Größe 0", "Größe 7"), *lines[1:]],
            "what was redacted": [lines[0], lines[1].replace("sha256:00", "sha256:11"), *lines[2:]]})}
    for what, others in forged.items():
        assert others != lines, what
        file.write_text("\n".join(others) + "\n", encoding="utf-8")
        assert checked(file, tmp_path).returncode == 1, what


def test_a_trail_that_does_not_hold_is_told_with_what_to_do_and_not_exported(
    ledger: Ledger, project: Path, tmp_path: Path
) -> None:
    ledger.tamper("UPDATE change SET actor = 'mallory' WHERE rev = 3")
    code, text = invoke("audit", "verify", "-C", str(project))
    assert code == 1
    assert "entry 3: change 3 of 2026-11-02 00:00" in text and "Keep a copy of the database" in text
    assert "1 entry was redacted on 2026-11-02 by policy:private: asked to" in text
    code, told = ask(project, "verify")
    assert (code, [(one["what"], one["kind"], one["id"], one["entry"]) for one in told["findings"]]) == (
        1, [("changed", "change", 3, 3)])
    file = tmp_path / "trail.jsonl"
    code, told = ask(project, "export", str(file))
    assert code == 1 and "entry 3" in told["error"]
    assert list(tmp_path.glob("trail*")) == []


def test_the_list_is_narrowed_down_and_bad_input_is_named(ledger: Ledger, project: Path) -> None:
    every = ask(project)[1]["entries"]
    assert [line["what"] for line in every] == ["redaction", "approve", "update", "change", "change", "change"]
    assert [line["sealed"] for line in every if line["what"] == "redaction"] == [False]
    assert [line["what"] for line in ask(project, "--actor", "BOB@example.com")[1]["entries"]] == ["approve"]
    assert len(ask(project, "--record", "Größe 0")[1]["entries"]) == 1
    assert len(ask(project, "--system", "a", "--limit", "2")[1]["entries"]) == 2
    assert ask(project, "--since", "2030-01-01")[1]["entries"] == []
    for arguments, told in ((["--since", "Monday"], "no day or moment"), (["--run", "r9"], "no run begins"),
                            (["--record", "nobody"], "no record is called"),
                            (["verify", "--head", "12"], "no head of an audit trail"),
                            (["export", "/nowhere/at/all"], "cannot be written")):
        code, answer = ask(project, *arguments)
        assert code == 2 and told in answer["error"], answer
