"""Open and won by owner, quarter and category, from the workspace, beside each system's own total."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import pandas as pd

from sidefeed.mapping import Mapping as Mappings
from sidefeed.sync import refs
from sidefeed.workspace import Store, Transaction
from sidefeed.workspace.clock import utc_text

COLUMNS = ["record", "name", "owner", "status", "category", "quarter", "close_date", "currency", "amount",
           "in_conflict"]

CATEGORY_OF_STAGE = {"won": "closed", "lost": "omitted"}


@dataclass(slots=True)
class Forecast:
    """One forecast.

    ``table``: owner, quarter, category, status, currency, deals, amount (Decimal). ``sources``: one row per source
    (``workspace`` first) and currency with open, won, deals and the difference to the workspace. ``conflicts``: deals
    on whose amount people disagree, and ``low``/``high`` the range that leaves open. ``as_of`` is when it was read,
    ``complete_to`` how far each system's deals had been read by then.
    """

    table: pd.DataFrame
    sources: pd.DataFrame
    as_of: str
    complete_to: dict[str, str | None]
    conflicts: int
    low: Decimal
    high: Decimal

    def as_json(self) -> dict[str, Any]:
        return {"as_of": self.as_of, "complete_to": self.complete_to, "conflicts": self.conflicts,
                "range": {"low": str(self.low), "high": str(self.high)},
                "rows": _records(self.table), "sources": _records(self.sources)}


def forecast(store: Store, mappings: Mappings) -> Forecast:
    """The forecast of the workspace as it stands, beside every system that holds opportunities."""
    with store.read() as tx:
        own = deals(tx)
        sources = {"workspace": own}
        complete: dict[str, str | None] = {}
        for om in mappings.objects:
            if om.entity == "opportunity":
                sources[om.system] = system_deals(tx, mappings, om.system)
                complete[om.system] = tx.cursor(om.system, om.object).complete_to
        low, high, conflicts = _range(tx, own)
    table = own.groupby(["owner", "quarter", "category", "status", "currency"], dropna=False, as_index=False).agg(
        deals=("record", "count"), amount=("amount", _sum))
    return Forecast(table.sort_values(["owner", "quarter", "category"], ignore_index=True), _compare(sources),
                    utc_text(store.now()), complete, conflicts, low, high)


def deals(tx: Transaction) -> pd.DataFrame:
    """Every live deal of the workspace, one row each, with the columns of `COLUMNS`."""
    owners = _owners(tx)
    rows = [_row(state.id, state.values, owners, "money" in state.conflicts)
            for state in tx.each_record("opportunity") if not state.deleted and state.merged_into is None]
    return pd.DataFrame(rows, columns=COLUMNS)


def system_deals(tx: Transaction, mappings: Mappings, system: str) -> pd.DataFrame:
    """Every live deal as one system was last seen to hold it, read through its mapping."""
    owners = _owners(tx)
    rows = []
    for om in mappings.for_system(system):
        if om.entity != "opportunity":
            continue
        records = tx.linked(system, om.object)
        for start in range(0, len(records), 500):
            chunk = tx.bases(system, om.object, records[start:start + 500])
            batch_refs = refs.inward(tx, om, chunk.values())
            for record, image in chunk.items():
                values, _problems = om.read(image, batch_refs)
                rows.append(_row(record, values, owners, False))
    return pd.DataFrame(rows, columns=COLUMNS)


def _owners(tx: Transaction) -> dict[str, str]:
    return {state.id: str(state.values.get("name") or state.values.get("email") or state.id)
            for state in tx.each_record("user")}


def _row(record: str, values: Mapping[str, Any], owners: Mapping[str, str], in_conflict: bool) -> list[Any]:
    money = values.get("money") or {}
    stage = values.get("stage")
    status = stage if stage in ("won", "lost") else "open"
    close = values.get("close_date")
    return [record, values.get("name"), owners.get(values.get("owner") or "", "nobody"), status,
            CATEGORY_OF_STAGE.get(stage or "", values.get("forecast_category") or "pipeline"), quarter(close), close,
            money.get("currency"), Decimal(money.get("amount") or 0), in_conflict]


def quarter(close_date: str | None) -> str:
    """The calendar quarter of an ISO date, such as ``2026-Q4``; ``no date`` for a blank one."""
    if not close_date:
        return "no date"
    return f"{close_date[:4]}-Q{(int(close_date[5:7]) + 2) // 3}"


def _sum(amounts: pd.Series) -> Decimal:
    return sum(amounts, Decimal(0))


def _compare(sources: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Open and won totals by source and currency, and what each differs from the workspace by."""
    rows = []
    for name, frame in sources.items():
        for currency, group in frame[frame["currency"].notna()].groupby("currency"):
            totals = {status: _sum(group.loc[group["status"] == status, "amount"]) for status in ("open", "won")}
            rows.append([name, currency, len(group), totals["open"], totals["won"]])
    table = pd.DataFrame(rows, columns=["source", "currency", "deals", "open", "won"])
    own = table[table["source"] == "workspace"].set_index("currency")
    for column in ("open", "won"):
        table[f"{column}_difference"] = [
            amount - (own.loc[currency, column] if currency in own.index else Decimal(0))
            for currency, amount in zip(table["currency"], table[column], strict=True)]
    return table


def _range(tx: Transaction, own: pd.DataFrame) -> tuple[Decimal, Decimal, int]:
    """The open total if every conflict about an amount ended lowest, or highest."""
    total = _sum(own.loc[own["status"] == "open", "amount"])
    low = high = total
    conflicts = 0
    for state in tx.conflicted("opportunity"):
        heads = state.conflicts.get("money")
        if heads and not state.deleted and state.values.get("stage") not in ("won", "lost"):
            conflicts += 1
            shown = Decimal((state.values.get("money") or {}).get("amount") or 0)
            said = [Decimal((head.value or {}).get("amount") or 0) for head in heads]
            low += min(said) - shown
            high += max(said) - shown
    return low, high, conflicts


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(key): str(value) if isinstance(value, Decimal | datetime) else value for key, value in row.items()}
            for row in frame.to_dict("records")]
