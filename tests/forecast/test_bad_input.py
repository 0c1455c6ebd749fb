"""What is missing, wrong or absurd is said at the command line, in the exit code and in the workbook, and never makes a
wrong sum."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from sidefeed.cli.project_files import write_project
from tests.forecast.shop import Shop
from tests.forecast.test_commands import SYSTEMS, Desk


class Bare(Desk):
    """A project without deals."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        write_project(folder, settings="")
        (folder / "sidefeed.toml").write_text(SYSTEMS)
        self.shop = Shop(folder / "workspace.db")

    def book(self, *words: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """The first sheet as what it says, and the second as rows."""
        self.run(*words, "--xlsx", str(self.folder / "out.xlsx"))
        book = openpyxl.load_workbook(self.folder / "out.xlsx")
        about = {row[0]: row[1] for row in book["About"].iter_rows(values_only=True) if row[0]}
        header, *rows = book.worksheets[1].iter_rows(values_only=True)
        return about, [dict(zip(map(str, header), row, strict=True)) for row in rows]


@pytest.fixture
def bare(tmp_path: Path, wide: None) -> Iterator[Bare]:
    made = Bare(tmp_path / "project")
    yield made
    made.shop.close()


Plant = Callable[[Shop], object]

CASES: dict[str, tuple[Plant, dict[str, str], list[str]]] = {
    "one deal": (lambda shop: shop.deal("Pump", "7.70"), {"EUR": "7.70"}, []),
    "no amount": (lambda shop: (shop.deal("Pump", None), shop.deal("Valve", "5")), {"EUR": "5"},
                  ["1 open and won deals have no amount and count nothing."]),
    "below nought": (lambda shop: (shop.deal("Refund", "-30"), shop.deal("Valve", "5")), {"EUR": "-25"},
                     ["1 deals have an amount below zero, and are subtracted."]),
    "unknown currency": (lambda shop: (shop.deal("Pump", "9", currency="QQQ"), shop.deal("Valve", "5")),
                         {"EUR": "5", "QQQ": "9"}, ["no plan rate from QQQ into EUR"]),
    "no currency": (lambda shop: shop.deal("Pump", "9", currency=None), {"no currency": "9"}, ["no currency"]),
    "no rate for the day": (lambda shop: (shop.deal("Old", "9", "1990-01-05", currency="USD", stage="won"),
                                          shop.deal("Valve", "5")), {"EUR": "5", "USD": "9"}, ["no dated rate from USD into EUR"]),
    "no date": (lambda shop: (shop.deal("Pump", "9", None), shop.deal("Valve", "5")), {"EUR": "14"}, []),
    "a date that is none": (lambda shop: shop.deal("Pump", "9", "2026-13-45"), {"EUR": "9"}, []),
}


@pytest.mark.parametrize("case", CASES)
def test_each_flaw_is_said_beside_a_sum_that_is_right(bare: Bare, case: str) -> None:
    plant, number, told = CASES[case]
    plant(bare.shop)
    found = bare.json("--measure", "all", code=1 if told else 0)
    assert found["number"] == number
    assert len(found["problems"]) == len(told)
    assert all(said.casefold() in problem.casefold() for said, problem in zip(told, found["problems"], strict=True))
    about, rows = bare.book("--measure", "all")
    assert about["To mend"] == ("\n".join(found["problems"]) or "nothing")
    assert {row["currency"]: row["open"] + row["won"] for row in rows
            if row["node"] == "everyone" and row["deals"] > row["no amount"]} == {
        code: pytest.approx(float(amount)) for code, amount in number.items()}
    for words in (("bridge", "--measure", "all"), ("deals", "--measure", "all"), ("waterfall", "--since", "1d"),
                  ("coverage",), ("accuracy",), ("measures",)):
        assert bare.run(*words).exit_code in (0, 1), words


def test_no_deals_at_all_is_said_everywhere(bare: Bare) -> None:
    assert bare.json()["number"] == {}
    for words in ((), ("bridge",), ("waterfall",), ("deals",), ("coverage",), ("accuracy",), ("measures",)):
        told = bare.run(*words)
        assert told.exit_code == 0, words
        assert told.stdout.strip(), words
    about, rows = bare.book()
    assert (about["To mend"], rows) == ("nothing", [])


def test_deals_without_a_date_count_in_no_period_and_are_told(bare: Bare) -> None:
    bare.shop.deal("Pump", "9", None)
    found = bare.json("--measure", "open", "--period", "2026-Q1", code=1)
    assert (found["number"], found["problems"]) == ({}, ["1 open deals have no closing date and count in no period."])


def test_a_deal_of_nobody_is_in_the_root_once_and_named(bare: Bare) -> None:
    ann = bare.shop.person("Ann")
    bare.shop.deal("Pump", "9", owner=ann)
    bare.shop.deal("Valve", "5")
    rows = {row["name"]: row["open"] for row in bare.json("--measure", "open")["nodes"]}
    assert rows == {"Everyone": "14", "Ann": "9", "Nobody": "5"}


@pytest.mark.parametrize(("word", "text", "message"), [
    ("quota", "node,from,to,currency,amount\nAnn,2026-01-01,2026-03-31,EUR,10\nAnn,2026-03-01,2026-05-31,EUR,9\n", "overlap"),
    ("rates", "kind,currency,into,rate,from,to\ndated,USD,EUR,0.5,2026-01-01,2026-02-01\n"
              "dated,USD,EUR,0.6,2026-01-15,\n", "hold on one day"),
    ("team", "team,member,from,to\nNorth,Ann,,2026-03-31\nSouth,Ann,2026-03-31,\n", "at once"),
    ("team", "team,member\nA,B\nB,C\nC,A\n", "that is a circle"),
])
def test_what_overlaps_or_runs_in_a_circle_is_refused_whole(bare: Bare, word: str, text: str, message: str) -> None:
    bare.shop.person("Ann")
    assert message in bare.json(word, bare.file("in.csv", text), code=2)["error"]
    assert bare.json(word) == []


def test_managers_in_a_circle_are_refused_before_anything_is_added_up(bare: Bare) -> None:
    (bare.folder / "sidefeed.toml").write_text(SYSTEMS + '\n[people."ann@example.com"]\nrole = "rep"\n'
                                               'manager = "bob@example.com"\n[people."bob@example.com"]\nrole = "rep"\n'
                                               'manager = "ann@example.com"\n')
    assert "form a circle" in bare.json(code=2)["error"]
