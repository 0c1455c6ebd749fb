"""The forecast taken to Excel: the page's own numbers, with what the signed-in person sees and nothing of others."""

from __future__ import annotations

from decimal import Decimal
from io import BytesIO
from typing import Any

import openpyxl
import pytest

from sidefeed.forecast.calls import submit
from sidefeed.forecast.periods import Calendar
from tests.web.conftest import Company

QUERY = {"quarter": "2026-Q4", "since": "first"}
SHEETS = ["About", "Forecast", "Sources", "Currencies", "Trust", "Disputes", "Capture", "Deals", "Bridge",
          "Bridge deals", "Waterfall", "Moved deals", "Gross", "Moves"]


def taken(company: Company, email: str, path: str = "/forecast.xlsx", **query: str) -> Any:
    answer = company.site.client(email).get(path, params={**QUERY, **query})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-disposition"].endswith('.xlsx"')
    return openpyxl.load_workbook(BytesIO(answer.content))


def rows(book: Any, sheet: str) -> list[dict[str, Any]]:
    head, *lines = book[sheet].iter_rows(values_only=True)
    return [dict(zip(head, line, strict=True)) for line in lines]


def words(book: Any) -> str:
    return " ".join(str(value) for sheet in book.worksheets for line in sheet.iter_rows(values_only=True)
                    for value in line if value is not None)


def test_a_workbook_holds_the_number_of_the_page_why_it_differs_and_why_it_moved(company: Company) -> None:
    book = taken(company, "dana@example.com")
    assert book.sheetnames == SHEETS
    top = rows(book, "Forecast")[0]
    assert (top["name"], Decimal(str(top["committed"])), top["currency"]) == ("Everyone", Decimal("146700.5"), "EUR")
    hubspot = [row for row in rows(book, "Bridge") if row["system"] == "hubspot" and row["currency"] == "EUR"]
    assert (hubspot[0]["amount"], hubspot[-1]["amount"]) == (0, 146700.5)
    assert rows(book, "Waterfall")[-1]["amount"] == 146700.5
    low_high = rows(book, "Disputes")[0]
    assert (low_high["low"], low_high["high"]) == (146700.5, 153700.5)
    about = {line[0]: line[1] for line in book["About"].iter_rows(values_only=True)}
    assert about["Made for"].startswith("Dana Cole")
    assert "2026-10-01 to 2026-12-31" in about["Period"]
    assert all(cell.data_type != "f" for sheet in book.worksheets for line in sheet.iter_rows() for cell in line)


@pytest.mark.parametrize(("email", "hidden"), [
    ("ann@example.com", ("Quarry control", "Refund", "Orphan", "90000", "Eve Stone", "Sam South")),
    ("eve@example.com", ("Pump station", "Filter line", "Orphan", "48000", "55000", "Ann Lee", "Mia North's team"))])
def test_a_rep_downloads_nothing_of_another_team(company: Company, email: str, hidden: tuple[str, ...]) -> None:
    with company.store.write() as tx:
        for node, actor in (("everyone", "dana@example.com"), (company.team.users["eve@example.com"], "eve@example.com"),
                            (company.team.users["ann@example.com"], "ann@example.com")):
            submit(tx, node=node, period=Calendar().quarter(2026, 4), amount=Decimal("777123"), currency="EUR",
                   actor=actor)
    for who in ("everyone", company.team.users["eve@example.com"], company.team.users["ann@example.com"], "nobody"):
        book = taken(company, email, who=who)
        told = words(book)
        assert [one for one in hidden if one in told] == [], who
        submitted = {row["name"] for row in rows(book, "Forecast") if row["submitted"]}
        assert submitted <= {"Ann Lee" if email == "ann@example.com" else "Eve Stone"}, who
    assert [one for one in hidden if one in words(taken(company, email, "/deals.xlsx"))] == []


def test_ops_takes_deals_without_amounts_and_no_forecast(company: Company) -> None:
    client = company.site.client("olga@example.com")
    assert client.get("/forecast.xlsx").status_code == 403
    assert "/forecast.xlsx" not in client.get("/").text
    book = taken(company, "olga@example.com", "/deals.xlsx", quarter="")
    deals = rows(book, "Deals")
    assert "Quarry control" in {row["Deal"] for row in deals}
    assert not {"Amount", "Currency"} & set(deals[0])


def test_selected_deals_are_taken_as_they_are_shown(company: Company) -> None:
    deals = rows(taken(company, "dana@example.com", "/deals.xlsx", sort="amount", dir="down"), "Deals")
    assert [(row["Deal"], row["Amount"]) for row in deals[:2]] == [("Quarry control", 90000), ("Pump station", 48000)]
    assert deals[0]["Close date"].isoformat() == "2026-12-10T00:00:00"
