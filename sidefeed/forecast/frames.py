"""The frames of the forecast: which columns, of which type, and exact sums over them.

A frame is made by `frame` from plain rows and a schema. Types:

- ``text``: pandas' string type; missing is NaN.
- ``decimal``: `decimal.Decimal` objects, or None where nobody gave an amount. Never floats.
- ``date``: ``datetime64[s]`` at midnight without a zone (any year a person can mistype); missing is NaT.
- ``instant``: ``datetime64[ms, UTC]``.
- ``count``: whole numbers (``Int64``). ``flag``: booleans.
- ``any``: what JSON can say; used where values of several fields share a column.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow, localcontext
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

EXACT = Context(prec=400, Emax=999_999, Emin=-999_999, traps=[Inexact, InvalidOperation, Overflow, DivisionByZero])
"""Python's default context rounds silently after 28 digits; this one refuses to round."""

Schema = Mapping[str, tuple[str, str]]
"""Column -> (type, meaning)."""

DEALS: Schema = {
    "record": ("text", "the deal's id in the workspace"),
    "name": ("text", "what the deal is called"),
    "account": ("text", "the customer's name"),
    "owner_id": ("text", "the owner's id in the workspace; missing where nobody owns the deal"),
    "owner": ("text", "the owner's name; `nobody` where there is none"),
    "stage": ("text", "the stage, by the workspace's own word"),
    "status": ("text", "`open`, `won` or `lost`"),
    "category": ("text", "`closed` for won and `omitted` for lost deals, else the category a person gave, else "
                         "`pipeline`"),
    "said_category": ("text", "the category a person gave, also where the stage speaks against it"),
    "close_date": ("date", "when it was or should be decided"),
    "currency": ("text", "ISO 4217; missing where no system names one"),
    "amount": ("decimal", "the amount in its own currency; None where nobody gave one"),
    "next_step": ("text", "the next step"),
    "created": ("instant", "when the earliest change known of it was made"),
    "changed": ("instant", "when the latest change of it was made"),
    "disputed": ("text", "fields in conflict, by comma; empty where people agree"),
    "in_conflict": ("flag", "whether the amount is in conflict"),
}
"""One row for each live deal."""

_DTYPES = {"date": "datetime64[s]", "instant": "datetime64[ms, UTC]", "count": "Int64", "flag": "bool"}


class Deal(NamedTuple):
    """What of a deal decides where it counts, as plain values; `deals_in` reads them out of a frame."""

    record: str | None
    name: str | None
    owner_id: str | None
    owner: str | None
    stage: str | None
    status: str
    category: str
    close_date: date | None
    currency: str | None
    amount: Decimal | None


def frame(rows: Iterable[Sequence[Any] | Mapping[str, Any]], schema: Schema) -> pd.DataFrame:
    """A frame with exactly these columns, in this order, of these types, whatever the rows hold, none included."""
    listed = list(rows)
    if listed and isinstance(listed[0], Mapping):
        columns = {name: [row.get(name) for row in listed] for name in schema}  # type: ignore[union-attr]
    else:
        transposed = [list(column) for column in zip(*listed, strict=True)] or [[] for _ in schema]
        columns = dict(zip(schema, transposed, strict=True))
    return pd.DataFrame({name: _column(values, schema[name][0]) for name, values in columns.items()})


def _column(values: Sequence[Any], kind: str) -> pd.Series:
    if kind == "text":
        return pd.Series(list(values), dtype="str")
    if kind in ("decimal", "any"):
        return pd.Series(list(values), dtype="object")
    if kind == "date":
        return pd.Series(_dates(values), dtype=_DTYPES[kind])
    if kind == "instant":
        return pd.Series(pd.to_datetime(list(values), utc=True, format="ISO8601")).astype(_DTYPES[kind])
    return pd.Series(list(values), dtype=_DTYPES[kind])


def _dates(values: Sequence[Any]) -> Any:
    return np.array([None if value is None else str(value)[:10] for value in values], dtype="datetime64[D]").astype(
        "datetime64[s]")


def plain(column: pd.Series) -> list[Any]:
    """A column as plain Python values, with None for every kind of missing."""
    kind = str(column.dtype)
    if kind.startswith("datetime64") and "UTC" not in kind:
        return column.to_numpy().astype("datetime64[D]").tolist()  # type: ignore[no-any-return]
    if kind in ("object", "bool"):
        return column.tolist()  # type: ignore[no-any-return]
    return [None if missing else value for value, missing in zip(column.tolist(), column.isna().tolist(), strict=True)]


def deals_in(table: pd.DataFrame) -> Iterator[Deal]:
    """The deals of a frame with the columns of `DEALS`, as plain values."""
    return map(Deal._make, zip(*(plain(table[name]) for name in Deal._fields), strict=True))


def total(amounts: Iterable[Decimal | None]) -> Decimal:
    """The exact sum; what nobody gave an amount for counts nothing."""
    result = Decimal(0)
    for amount in amounts:
        if amount is not None:
            result = EXACT.add(result, amount)
    return result


def exact_sums(amounts: Sequence[Decimal | None], groups: np.ndarray, count: int) -> list[Decimal]:
    """The exact sum of each of ``count`` groups; ``groups`` says to which each amount belongs, below zero to none."""
    kept = np.flatnonzero(groups >= 0)
    order = kept[np.argsort(groups[kept], kind="stable")]
    # The last None keeps it a column of objects where every amount is missing or there is none.
    listed = np.array([*amounts, None], dtype=object)[order].tolist()
    starts = np.searchsorted(groups[order], np.arange(count + 1)).tolist()
    with localcontext(EXACT):  # addition in C, which refuses to round
        return [sum(listed[start:end], Decimal(0)) for start, end in pairwise(starts)]


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """A frame as JSON: decimals, dates and instants as text, None for missing."""
    columns = {str(name): [_json(value) for value in plain(table[name])] for name in table.columns}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _json(value: Any) -> Any:
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float) and value != value:  # NaN
        return None
    return value


def to_bytes(table: pd.DataFrame) -> bytes:
    """A frame as canonical JSON: equal frames give equal bytes, on every machine and version of pandas."""
    import orjson

    return orjson.dumps({"columns": list(map(str, table.columns)), "rows": records(table)},
                        option=orjson.OPT_SORT_KEYS)


def from_records(rows: Iterable[Mapping[str, Any]], schema: Schema) -> pd.DataFrame:
    """The inverse of `records` for one schema."""
    decimals = [name for name, (kind, _meaning) in schema.items() if kind == "decimal"]
    return frame(({**row, **{name: None if row.get(name) is None else Decimal(row[name]) for name in decimals}}
                  for row in rows), schema)
