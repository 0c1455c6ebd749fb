"""What a query gives, whatever shaped it: rows in order and the way to show one; and how rows are ordered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .paths import Getter
from .schema import Field
from .soql import Order


@dataclass
class View:
    """What rendering needs from the request: `base` is /services/data/vNN.0; `page` cuts a child list into pages."""

    base: str
    page: Callable[[Result, View], dict[str, Any] | None]


@dataclass
class Result:
    """The rows of a query in order, and how to show one. A count has a total and no rows."""

    total: int
    rows: list[Any]
    show: Callable[[Any, View], dict[str, Any]]
    columns: Callable[[], list[tuple[str, Field, Getter]] | None] = lambda: None
    """Flat columns of a plain select, for Bulk results; None when there are functions, child lists or TYPEOF."""


def sort_key(found: Field, get: Getter) -> Getter:
    """Text sorts without regard to case; picklists sort in the order of their values."""
    if found.type == "picklist":
        places = {v.value: i for i, v in enumerate(found.values)}
        return lambda row: (places.get(v, len(places)), v.casefold()) if (v := get(row)) is not None else None
    if found.type in ("id", "reference", "date", "datetime"):
        return get
    return lambda row: v.casefold() if isinstance(v := get(row), str) else v


def sort_rows(rows: list[Any], get: Getter, one: Order) -> list[Any]:
    """A stable sort by one key, with blanks first unless NULLS LAST says otherwise."""
    keyed = [(get(row), row) for row in rows]
    filled = [pair for pair in keyed if pair[0] is not None]
    blank = [row for key, row in keyed if key is None]
    filled.sort(key=lambda pair: pair[0], reverse=one.descending)
    ordered = [row for _, row in filled]
    return ordered + blank if one.nulls_last else blank + ordered


def attributes(kind: str, key: str, base: str) -> dict[str, str]:
    """The `attributes` of a shown record."""
    return {"type": kind, "url": f"{base}/sobjects/{kind}/{key}"}
