"""Frames as files: CSV, Parquet, and a workbook that a manager would keep.

Amounts leave exactly as they are. Parquet gets decimals; CSV gets their digits; a workbook gets numbers, and text where
a number has more digits than a spreadsheet can hold. Text is never a formula: in a workbook every string is written as
a string, in CSV one that a spreadsheet would run gets a leading apostrophe.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from contextlib import nullcontext
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO, TextIO

import pandas as pd

from sidefeed.forecast.frames import plain, records

ROWS_PER_SHEET = 1_000_000
"""Below the 1,048,576 rows of a worksheet; what is longer goes on on the next sheet."""

CELLS_IN_MEMORY = 400_000
"""Up to so many cells a workbook is put together in memory (some 80 MB), which takes a quarter less time than writing
it row by row; a larger one is written row by row."""

_RISKY = ("=", "+", "-", "@", "\t", "\r")
_DIGITS = 38


def write_csv(table: pd.DataFrame, out: TextIO) -> None:
    """A frame as CSV: a header, then one line for each row; blank for missing."""
    text = {str(name) for name in table.columns if str(table[name].dtype) in ("str", "string")}
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(table.columns)
    for row in records(table):
        writer.writerow([_harmless(value) if name in text else "" if value is None else value
                         for name, value in row.items()])


def _harmless(value: Any) -> str:
    told = "" if value is None else str(value)
    return f"'{told}" if told.startswith(_RISKY) else told


def write_parquet(table: pd.DataFrame, path: Path) -> None:
    """A frame as Parquet: decimals as decimals, dates as dates, instants with their zone."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {str(name): _arrow(table[name], pa) for name in table.columns}
    pq.write_table(pa.table(columns), path, compression="zstd")


def _arrow(column: pd.Series, pa: Any) -> Any:
    values = plain(column)
    kind = str(column.dtype)
    if kind == "object":
        return _decimals(values, pa)
    types = {"bool": pa.bool_(), "Int64": pa.int64(), "datetime64[s]": pa.date32(),
             "datetime64[ms, UTC]": pa.timestamp("ms", "UTC")}
    return pa.array(values, types.get(kind, pa.string()))


def _decimals(values: list[Any], pa: Any) -> Any:
    """Decimals with as many places as the longest needs; text where 38 digits are not enough, or where the column
    holds other things."""
    amounts = [value for value in values if value is not None]
    if not all(isinstance(value, Decimal) for value in amounts):
        return pa.array([None if value is None else str(value) for value in values], pa.string())
    places = max((-int(value.as_tuple().exponent) for value in amounts), default=0)
    places = max(places, 0)
    whole = max((value.adjusted() + 1 for value in amounts if value), default=1)
    if places + max(whole, 1) > _DIGITS:
        return pa.array([None if value is None else format(value, "f") for value in values], pa.string())
    return pa.array(values, pa.decimal128(_DIGITS, places))


def write_workbook(
    sheets: Mapping[str, pd.DataFrame], to: Path | BinaryIO, about: Mapping[str, str], *,
    in_memory: int = CELLS_IN_MEMORY,
) -> None:
    """Frames as a workbook: one sheet each, with formats, a frozen header and a filter, after one that says what it is.

    ``about``: lines of the first sheet, such as the day, the period and the trust stamp. ``in_memory``: up to how many
    cells it is put together in memory.
    """
    import xlsxwriter

    cells = sum(table.size for table in sheets.values())
    options = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False,
               "constant_memory": cells > in_memory, "remove_timezone": True}
    with to.open("wb") if isinstance(to, Path) else nullcontext(to) as out, xlsxwriter.Workbook(out, options) as book:
        formats = {"header": book.add_format({"bold": True, "bottom": 1, "text_wrap": True, "valign": "top"}),
                   "money": book.add_format({"num_format": "#,##0.00;[Red]-#,##0.00"}),
                   "date": book.add_format({"num_format": "yyyy-mm-dd"}),
                   "instant": book.add_format({"num_format": "yyyy-mm-dd hh:mm"}),
                   "wrap": book.add_format({"text_wrap": True, "valign": "top"}),
                   "bold": book.add_format({"bold": True, "valign": "top"})}
        _about(book.add_worksheet("About"), about, formats)
        for name, table in sheets.items():
            parts = range(0, max(len(table), 1), ROWS_PER_SHEET)
            for number, start in enumerate(parts, 1):
                title = name[:28] if len(parts) == 1 else f"{name[:25]} {number}"
                _sheet(book.add_worksheet(title), table.iloc[start:start + ROWS_PER_SHEET], formats)


def _about(sheet: Any, about: Mapping[str, str], formats: Mapping[str, Any]) -> None:
    sheet.set_column(0, 0, 18, formats["bold"])
    sheet.set_column(1, 1, 100, formats["wrap"])
    for row, (name, text) in enumerate(about.items()):
        sheet.write_string(row, 0, name, formats["bold"])
        sheet.write_string(row, 1, text, formats["wrap"])


def _sheet(sheet: Any, table: pd.DataFrame, formats: Mapping[str, Any]) -> None:
    columns = [plain(table[name]) for name in table.columns]
    for number, (name, values) in enumerate(zip(table.columns, columns, strict=True)):
        longest = max((len(str(value)) for value in values[:1000] if value is not None), default=0)
        sheet.set_column(number, number, min(max(len(str(name)) + 2, longest + 2, 8), 60))
    sheet.freeze_panes(1, 1)
    sheet.repeat_rows(0)
    sheet.set_landscape()
    sheet.fit_to_pages(1, 0)
    if len(table.columns):
        sheet.autofilter(0, 0, len(table), len(table.columns) - 1)
    for number, name in enumerate(table.columns):
        sheet.write_string(0, number, str(name).replace("_", " "), formats["header"])
    for at, row in enumerate(zip(*columns, strict=True), 1):
        for number, value in enumerate(row):
            _write(sheet, at, number, value, formats)


def _write(sheet: Any, row: int, column: int, value: Any, formats: Mapping[str, Any]) -> None:
    if value is None or value == "":
        return
    if isinstance(value, Decimal):
        near = float(value)
        if Decimal(repr(near)) == value:
            sheet.write_number(row, column, near, formats["money"])
        else:
            sheet.write_string(row, column, format(value, "f"))
    elif isinstance(value, bool):
        sheet.write_boolean(row, column, value)
    elif isinstance(value, int):
        sheet.write_number(row, column, value)
    elif isinstance(value, datetime):
        sheet.write_datetime(row, column, value.replace(tzinfo=None), formats["instant"])
    elif isinstance(value, date) and value.year >= 1900:
        sheet.write_datetime(row, column, value, formats["date"])
    else:
        sheet.write_string(row, column, str(value)[:32_767])
