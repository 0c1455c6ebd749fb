"""The forecast as a manager meets it at the keyboard: every report, every file, and every mistake told in a sentence."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from typer.testing import CliRunner, Result

from sidefeed.cli import app
from sidefeed.cli.project_files import write_project
from tests.forecast.shop import Shop, money

SYSTEMS = """timezone = "Europe/Berlin"

[forecast]
currency = "EUR"
"""


class Desk:
    """A project with two weeks of deals behind it, and the command line."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        write_project(folder, settings="")
        (folder / "sidefeed.toml").write_text(SYSTEMS)
        self.shop = Shop(folder / "workspace.db")
        self.ann, self.bob = self.shop.person("Ann"), self.shop.person("Bob")
        self.pump = self.shop.deal("Pump", "100.10", owner=self.ann, category="commit")
        self.valve = self.shop.deal("Valve", "50", owner=self.bob, category="best_case")
        self.shop.later(days=7)
        self.shop.edit(self.pump, money=money("120.10"))
        self.shop.edit(self.valve, actor="bob", stage="won")

    def run(self, *words: str) -> Result:
        result = CliRunner().invoke(app, ["forecast", *words, "-C", str(self.folder)])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    def json(self, *words: str, code: int = 0) -> Any:
        result = self.run(*words, "--json")
        assert result.exit_code == code, result.output
        return json.loads(result.stdout)

    def file(self, name: str, text: str) -> str:
        (self.folder / name).write_text(text, encoding="utf-8")
        return str(self.folder / name)


@pytest.fixture
def desk(tmp_path: Path, wide: None) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.shop.close()


def test_one_number_with_its_stamp(desk: Desk) -> None:
    told = desk.run("--period", "2026-Q1")
    assert told.exit_code == 0
    assert "committed, 2026-Q1: 170.10 EUR" in told.stdout
    assert "As of " in told.stdout and "never read" in told.stdout
    found = desk.json("--period", "2026-Q1")
    assert found["number"] == {"EUR": "170.10"}
    assert [(row["name"], row["won"], row["commit"]) for row in found["nodes"]] == [
        ("Everyone", "50", "120.10"), ("Ann", "0", "120.10"), ("Bob", "50", "0")]


def test_any_day_can_be_asked_for(desk: Desk) -> None:
    assert desk.json("--as-of", "2026-01-06", "--measure", "open")["number"] == {"EUR": "150.10"}
    rows = desk.json("deals", "--as-of", "2026-01-06", "--measure", "all")["deals"]
    assert {row["name"]: row["amount"] for row in rows} == {"Pump": "100.10", "Valve": "50"}
    assert {row["rate_kind"] for row in rows} == {"same"}


def test_the_waterfall_names_who_moved_what(desk: Desk) -> None:
    found = desk.json("waterfall", "--since", "2026-01-06", "--measure", "open")
    assert [(row["step"], row["amount"]) for row in found["steps"] if row["amount"] != "0"] == [
        ("start", "150.10"), ("amount up", "20.00"), ("won", "-50"), ("end", "120.10")]
    assert {row["step"]: row["actor"] for row in found["deals"]} == {"amount up": "ann", "won": "bob"}
    assert "No deal was known on the first day" in desk.run("waterfall", "--since", "2026-01-01").stdout
    assert "known these deals only since then" in desk.run("waterfall", "--as-of", "2026-01-06").stdout
    first = desk.json("waterfall", "--since", "first", "--measure", "open")
    assert "created" not in {row["step"] for row in first["deals"]}
    told = desk.run("waterfall", "--since", "2026-01-06", "--moves").stdout
    assert "No deal was known" not in told
    assert "Every move" in told and "category" not in told.split("Every move")[0].split("Deals")[0]


def test_the_bridge_runs_from_each_system(desk: Desk) -> None:
    found = desk.json("bridge", "--system", "hubspot", "--measure", "all")
    steps = {row["step"]: row["amount"] for row in found["hubspot"]["steps"]}
    assert (steps["hubspot total"], steps["only here"], steps["reconciled total"]) == ("0", "170.10", "170.10")
    assert "choose from hubspot, salesforce" in desk.json("bridge", "--system", "exchange", code=2)["error"]
    past = desk.json("bridge", "--system", "hubspot", "--measure", "all", "--as-of", "2026-01-06")
    assert {row["step"]: row["amount"] for row in past["hubspot"]["steps"]}["reconciled total"] == "150.10"
    assert "As of 2026-01-06" in desk.run("bridge", "--as-of", "2026-01-06").stdout
    assert "only here" in desk.run("bridge", "--measure", "all").stdout


def test_teams_quotas_and_submissions_are_entered_and_shown(desk: Desk) -> None:
    teams = desk.file("teams.csv", "team,member,role\nNorth,Ann,lead\nEMEA,North,\n")
    assert desk.json("team", teams) == {"ok": True, "rows": 2, "added": 2, "closed": 0}
    assert [(row["name"], row["team"], row["lead"]) for row in desk.json("team")] == [
        ("EMEA", "everyone", False), ("North", "EMEA", False), ("Ann", "North", True)]
    assert "No quota is entered for 2026-Q1" in desk.run("coverage", "--period", "2026-Q1").stdout
    quotas = desk.file("quotas.csv", "node,from,to,currency,amount\nNorth,2026-01-01,2026-03-31,EUR,1000\n")
    assert desk.json("quota", quotas)["added"] == 1
    assert desk.json("quota", quotas) == {"ok": True, "rows": 1, "added": 0, "closed": 0}
    assert [row["amount"] for row in desk.json("quota")] == ["1000"]
    done = desk.json("submit", "500.50", "--period", "2026-Q1", "--node", "north", "--as", "ann")
    assert (done["node"], done["currency"], done["computed"]) == ("North", "EUR", "120.10")
    desk.json("submit", "400", "--period", "2026-Q1", "--node", "North", "--as", "dana", "--call", "--reason", "Prudence")
    row = next(row for row in desk.json("--period", "2026-Q1")["nodes"] if row["node"] == "North")
    assert (row["submitted"], row["called"], row["quota"], row["gap"], row["coverage"], row["committed"]) == (
        "500.50", "400", "1000", "1000", "0.12", "120.10")
    assert [row["kind"] for row in desk.json("submissions")] == ["submission", "call"]
    covered = desk.json("coverage", "--period", "2026-Q1")
    assert next(row["gap"] for row in covered["nodes"] if row["name"] == "North") == "1000"
    assert desk.json("--node", "North", "--period", "2026-Q1")["number"] == {"EUR": "120.10"}
    assert "Prudence" in desk.run("submissions").stdout


def test_methods_are_told_with_how_little_they_rest_on(desk: Desk) -> None:
    found = desk.json("accuracy")
    assert {row["method"] for row in found["predicted"]} == {"last period", "category", "submission", "pace", "survival"}
    assert all(row["wape"] is None or row["periods"] >= 4 for row in found["accuracy"])
    assert "Predicted" in desk.run("accuracy").stdout
    assert "year, quarter or month" in desk.json("accuracy", "--every", "week", code=2)["error"]


def test_measures_are_shown_for_a_person_and_for_everybody(desk: Desk) -> None:
    mine = desk.json("measures", "--node", "Ann")
    assert {row["measure"]: row["deals"] for row in mine["habits"]}["open deals with a next step"] == 1
    assert [(row["stage"], row["still"]) for row in mine["stages"]] == [("proposal", 1)]
    everybody = desk.json("measures")
    assert everybody["habits"] == [], "two people with one deal each say nothing of a team"
    assert "typing" not in mine and everybody["typing"][0]["value"] == "0.0"
    assert everybody["stages"][0]["stays"] == 2
    assert "Stages" in (told := desk.run("measures").stdout)
    assert "Fit: not known." in told and "Cost of sale: not known. No meeting is filed with a deal." in told
    settings = desk.folder / "sidefeed.toml"
    settings.write_text(SYSTEMS + 'fit = ["industry"]\nexit_criteria = {proposal = ["money"]}\n')
    found = desk.json("measures")
    assert found["exit_criteria"] == [{"stage": "proposal", "criterion": "money", "left": 1, "met": 1, "percent": None,
                                       "missing": 0}]
    assert [(row["value"], row["won"]) for row in found["fit"]] == [("not known", 1)]
    assert [row["outcome"] for row in found["cost_of_sale"]] == ["won", "lost", "open"]
    settings.write_text(SYSTEMS + 'qualification = ["mood"]\n')
    assert "no field of opportunity is called mood" in desk.json("measures", code=2)["error"]


def test_rates_are_entered_and_used(desk: Desk) -> None:
    desk.shop.deal("Pipe", "10", currency="USD", category="commit")
    rates = desk.file("rates.csv", "kind,currency,into,rate,from,to\nplan,USD,EUR,0.5,,\n")
    desk.json("rates", rates)
    assert desk.json()["number"] == {"EUR": "175.10"}
    assert "rate kind" in desk.run("deals", "--measure", "all").stdout.replace("_", " ")
    assert desk.json("--currency", "own")["number"] == {"EUR": "170.10", "USD": "10"}
    assert [row["rate"] for row in desk.json("rates")] == ["0.5"]


def test_what_needs_a_person_is_said_and_is_exit_code_one(desk: Desk) -> None:
    desk.shop.deal("Blank", None)
    assert desk.json(code=1)["problems"] == ["1 open and won deals have no amount and count nothing."]


def test_files_hold_the_same_number(desk: Desk, tmp_path: Path) -> None:
    book, table = tmp_path / "out.xlsx", tmp_path / "out.csv"
    desk.run("--by", "owner", "--by", "quarter", "--xlsx", str(book), "--csv", str(table),
             "--parquet", str(tmp_path / "out.parquet"))
    assert openpyxl.load_workbook(book).sheetnames == ["About", "Forecast", "Sources", "Currencies", "Trust", "Disputes",
                                                       "Capture", "Deals"]
    rows = list(csv.DictReader(io.StringIO(table.read_text(encoding="utf-8"))))
    assert [(row["owner"], row["quarter"], row["amount"]) for row in rows] == [("Ann", "2026-Q1", "120.10"),
                                                                              ("Bob", "2026-Q1", "50")]
    piped = desk.run("deals", "--measure", "all", "--csv", "-").stdout
    assert {row["name"] for row in csv.DictReader(io.StringIO(piped))} == {"Pump", "Valve"}
    assert (tmp_path / "out.parquet").stat().st_size > 0


@pytest.mark.parametrize(("words", "message"), [
    (["--by", "mood"], "choose from owner"),
    (["--period", "Q1"], "Write one of"),
    (["--as-of", "2099-01-01"], "lies ahead"),
    (["--node", "West"], "no team and no single person"),
    (["--xlsx", "/nowhere/out.xlsx"], "cannot be written"),
    (["waterfall", "--since", "2026-01-10", "--as-of", "2026-01-06"], "must lie before"),
    (["submit", "1", "--period", "all", "--node", "Ann", "--as", "ann"], "a first and a last day"),
    (["submit", "lots", "--period", "2026-Q1", "--node", "Ann", "--as", "ann"], "is no amount"),
    (["submit", "1", "--period", "2026-Q1", "--node", "Ann", "--as", "dana", "--adjust"], "needs a reason"),
    (["submit", "1", "--period", "2026-Q1", "--node", "Ann", "--as", "dana", "--adjust", "--call"], "two different"),
    (["submit", "1", "--period", "2026-Q1", "--node", "Ann", "--as", "ann", "--currency", "own"], "in which currency"),
])
def test_a_mistake_is_a_sentence_and_exit_code_two(desk: Desk, words: list[str], message: str) -> None:
    assert message in desk.json(*words, code=2)["error"]


@pytest.mark.parametrize(("text", "message"), [
    ("team,person\nNorth,Ann\n", "the columns member are missing; the columns person are not known"),
    ("team,member\nNorth,Ann\nSouth,Ann\n", "belongs to North and to South at once"),
    ("team,member\nA,B\nB,A\n", "that is a circle"),
])
def test_a_file_is_taken_whole_or_not_at_all(desk: Desk, text: str, message: str) -> None:
    assert message in desk.json("team", desk.file("teams.csv", text), code=2)["error"]
    assert desk.json("team") == []
    assert "cannot be read" in desk.json("team", str(desk.folder / "missing.csv"), code=2)["error"]


def test_options_before_the_word_are_refused_rather_than_lost(desk: Desk) -> None:
    result = CliRunner().invoke(app, ["forecast", "--as-of", "7d", "deals", "-C", str(desk.folder)])
    assert result.exit_code == 2
    assert "put the options behind the word" in result.output


@pytest.mark.parametrize("word", ["", "bridge", "waterfall", "deals", "coverage", "accuracy", "measures", "submit", "submissions", "quota", "rates",
                                  "team", "history"])
def test_every_word_explains_itself(word: str) -> None:
    result = CliRunner().invoke(app, ["forecast", *([word] if word else []), "--help"])
    assert result.exit_code == 0
    assert len(result.stdout) > 300


def test_a_fiscal_calendar_is_a_setting(desk: Desk) -> None:
    (desk.folder / "sidefeed.toml").write_text(SYSTEMS + 'first_month = 2\nweeks = "4-4-5"\n')
    period = desk.json("--period", "2024-Q4")["period"]
    assert (period["start"], period["end"]) == ("2023-10-29", "2024-02-03")
    (desk.folder / "sidefeed.toml").write_text(SYSTEMS + "first_month = 13\n")
    assert "forecast.first_month" in desk.json(code=2)["error"]
