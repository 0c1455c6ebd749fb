"""What leaves as a file is exact, and nothing in it is ever run."""

from __future__ import annotations

import csv
import io
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import openpyxl
import pyarrow.parquet as pq
import pytest

from sidefeed.forecast import deals_as_of, to_bytes
from sidefeed.forecast.export import ROWS_PER_SHEET, write_csv, write_parquet, write_workbook
from sidefeed.forecast.frames import DEALS, Schema, frame
from sidefeed.forecast.history import deals, revision_at
from sidefeed.forecast.snapshots import at_revision, take, taken
from tests.forecast.shop import Shop, money

SHEET: Schema = {"name": ("text", ""), "amount": ("decimal", ""), "day": ("date", ""), "at": ("instant", ""),
                 "deals": ("count", ""), "late": ("flag", ""), "value": ("any", "")}
HOSTILE = ("=1+1", "@SUM(A1)", "+cmd|' /C calc'!A0", "-2+3", "http://evil.example", "plain")
EXACT = Decimal("123456789012345678901234567890.12")
TABLE = frame([[name, amount, date(2026, 3, 31), datetime(2026, 3, 31, 9, 30, tzinfo=UTC), 3, True, "=x"]
               for name, amount in zip(HOSTILE, (Decimal("0.1"), Decimal("-5"), EXACT, None, Decimal("1E+3"),
                                                 Decimal("19.99")), strict=True)], SHEET)


@pytest.mark.parametrize("in_memory", [0, 1000])
def test_a_workbook_has_formats_and_no_formula(tmp_path: Path, in_memory: int) -> None:
    path = tmp_path / "forecast.xlsx"
    write_workbook({"Deals": TABLE, "Empty": TABLE.iloc[:0]}, path, {"What": "=HYPERLINK(1)"}, in_memory=in_memory)
    book = openpyxl.load_workbook(path)
    assert book.sheetnames == ["About", "Deals", "Empty"]
    sheet = book["Deals"]
    assert sheet.freeze_panes == "B2"
    assert sheet.auto_filter.ref == "A1:G7"
    assert [cell.value for cell in sheet[1]] == list(SHEET)
    assert [sheet.cell(row, 1).value for row in range(2, 8)] == list(HOSTILE)
    assert {cell.data_type for row in book["Deals"].iter_rows() for cell in row} <= {"s", "n", "d", "b"}
    assert book["About"]["B1"].data_type == "s"
    assert [sheet.cell(row, 2).value for row in range(2, 8)] == [0.1, -5, "123456789012345678901234567890.12", None, 1000,
                                                                 19.99]
    assert sheet["B2"].number_format == "#,##0.00;[Red]-#,##0.00"
    assert (sheet["C2"].value, sheet["D2"].value) == (datetime.fromisoformat("2026-03-31"),
                                                      datetime.fromisoformat("2026-03-31T09:30"))
    assert ROWS_PER_SHEET < 1_048_576


def test_csv_keeps_the_digits_and_disarms_the_text() -> None:
    out = io.StringIO()
    write_csv(TABLE, out)
    rows = list(csv.DictReader(io.StringIO(out.getvalue())))
    assert [row["name"] for row in rows] == ["'=1+1", "'@SUM(A1)", "'+cmd|' /C calc'!A0", "'-2+3", "http://evil.example",
                                             "plain"]
    assert [row["amount"] for row in rows] == ["0.1", "-5", str(EXACT), "", "1000", "19.99"]


def test_parquet_keeps_decimals_as_decimals(tmp_path: Path) -> None:
    path = tmp_path / "forecast.parquet"
    write_parquet(TABLE, path)
    table = pq.read_table(path)
    assert str(table.schema.field("amount").type) == "decimal128(38, 2)"
    assert table["amount"].to_pylist() == [Decimal("0.10"), Decimal("-5.00"), EXACT, None, Decimal("1000.00"),
                                           Decimal("19.99")]
    assert table["day"].to_pylist()[0] == date(2026, 3, 31)
    assert table["name"].to_pylist() == list(HOSTILE)


@pytest.mark.parametrize("amount", [Decimal("1E+60"), Decimal("0." + "0" * 39 + "1")])
def test_parquet_says_as_text_what_no_decimal_column_holds(tmp_path: Path, amount: Decimal) -> None:
    write_parquet(frame([["a", amount, None, None, None, False, None]], SHEET), tmp_path / "one.parquet")
    assert pq.read_table(tmp_path / "one.parquet")["amount"].to_pylist() == [format(amount, "f")]


def test_a_snapshot_is_what_the_log_says_and_is_taken_once(shop: Shop) -> None:
    ann = shop.person("Ann")
    deal = shop.deal("Pump", "100.10", owner=ann, next_step="Call")
    shop.deal("Bare", None, None)
    before = to_bytes(deals_as_of(shop.store))
    with shop.store.write() as tx:
        made = take(tx, shop.clock.date(), deals(tx))
        assert take(tx, shop.clock.date(), deals(tx)) == made
    then = shop.later(hours=1)
    shop.later(days=1)
    shop.edit(deal, money=money("7"))
    with shop.store.read() as tx:
        assert [one.digest for one in taken(tx)] == [made.digest]
        kept = at_revision(tx, revision_at(tx, then))
    assert kept is not None and to_bytes(kept) == before
    assert kept.dtypes.to_dict() == frame([], DEALS).dtypes.to_dict()
    assert to_bytes(deals_as_of(shop.store, then)) == before
