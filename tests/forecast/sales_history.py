"""Lives of deals: made by hand in a line, or read from a real data set that says when deals were engaged and closed."""

from __future__ import annotations

import csv
from datetime import date
from decimal import Decimal
from pathlib import Path

from sidefeed.forecast.frames import Deal
from sidefeed.forecast.lives import Life, Step, life

CATEGORY = {"won": "closed", "lost": "omitted"}


def deal(
    record: str, stage: str, amount: str | None, close: date | None, *, owner: str | None = "ann",
    category: str = "pipeline", currency: str = "EUR"
) -> Deal:
    status = stage if stage in CATEGORY else "open"
    return Deal(record, record, owner, owner or "nobody", stage, status, CATEGORY.get(status, category), close, currency,
                None if amount is None else Decimal(amount))


def lived(record: str, *told: tuple[str, str, str, str]) -> Life:
    """``told``: (day, stage, amount, closing date) of each step, in ISO text."""
    return life(record, [Step(date.fromisoformat(day), deal(record, stage, amount, date.fromisoformat(close)))
                         for day, stage, amount, close in told])


def read(folder: Path) -> list[Life]:
    """The deals of ``sales_pipeline.csv``. It keeps no history of amounts or closing dates: an open deal counts with the
    price of its product, and is taken to close on the day it did (or, where it is open, at the end of the data)."""
    prices = {row["product"].replace(" ", ""): row["sales_price"] for row in _rows(folder / "products.csv")}
    found = []
    for row in _rows(folder / "sales_pipeline.csv"):
        if not row["engage_date"]:
            continue
        engaged = date.fromisoformat(row["engage_date"])
        closed = date.fromisoformat(row["close_date"]) if row["close_date"] else None
        price = prices[row["product"].replace(" ", "")]
        steps = [Step(engaged, deal(row["opportunity_id"], "engaging", price, closed or date(2017, 12, 31),
                                    owner=row["sales_agent"], currency="USD"))]
        if closed is not None:
            steps.append(Step(closed, deal(row["opportunity_id"], row["deal_stage"].lower(), row["close_value"], closed,
                                           owner=row["sales_agent"], currency="USD")))
        found.append(life(row["opportunity_id"], steps))
    return found


def _rows(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8-sig", newline="") as lines:
        return list(csv.DictReader(lines))
