"""Open and won by owner, quarter and category, from the workspace, beside each system's own total."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import pandas as pd

from sidefeed.forecast.frames import EXACT, plain, records, total
from sidefeed.forecast.history import deals
from sidefeed.forecast.systems import deal_systems, system_deals
from sidefeed.mapping import Mapping as Mappings
from sidefeed.workspace import Store, Transaction
from sidefeed.workspace.clock import utc_text


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
                "rows": records(self.table), "sources": records(self.sources)}


def forecast(store: Store, mappings: Mappings) -> Forecast:
    """The forecast of the workspace as it stands, beside every system that holds opportunities."""
    with store.read() as tx:
        own = deals(tx)
        sources = {"workspace": own}
        complete: dict[str, str | None] = {}
        for system, object in deal_systems(mappings).items():
            sources[system] = system_deals(tx, mappings, system)
            complete[system] = tx.cursor(system, object).complete_to
        low, high, conflicts = _range(tx, own)
    own["quarter"] = [quarter(day) for day in plain(own["close_date"])]
    table = own.groupby(["owner", "quarter", "category", "status", "currency"], dropna=False, as_index=False).agg(
        deals=("record", "count"), amount=("amount", total))
    return Forecast(table.sort_values(["owner", "quarter", "category"], ignore_index=True), _compare(sources),
                    utc_text(store.now()), complete, conflicts, low, high)


def quarter(close_date: date | None) -> str:
    """The calendar quarter of a date, such as ``2026-Q4``; ``no date`` for a blank one."""
    return f"{close_date.year}-Q{(close_date.month + 2) // 3}" if close_date else "no date"


def _compare(sources: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Open and won totals by source and currency, and what each differs from the workspace by."""
    rows = []
    for name, frame in sources.items():
        for currency, group in frame[frame["currency"].notna()].groupby("currency"):
            totals = {status: total(group.loc[group["status"] == status, "amount"]) for status in ("open", "won")}
            rows.append([name, currency, len(group), totals["open"], totals["won"]])
    table = pd.DataFrame(rows, columns=["source", "currency", "deals", "open", "won"])
    own = table[table["source"] == "workspace"].set_index("currency")
    for column in ("open", "won"):
        table[f"{column}_difference"] = [
            EXACT.subtract(amount, own.loc[currency, column] if currency in own.index else Decimal(0))
            for currency, amount in zip(table["currency"], table[column], strict=True)]
    return table


def _range(tx: Transaction, own: pd.DataFrame) -> tuple[Decimal, Decimal, int]:
    """The open total if every conflict about an amount ended lowest, or highest."""
    low = high = total(own.loc[own["status"] == "open", "amount"])
    conflicts = 0
    for state in tx.conflicted("opportunity"):
        heads = state.conflicts.get("money")
        if heads and not state.deleted and state.values.get("stage") not in ("won", "lost"):
            conflicts += 1
            shown = Decimal((state.values.get("money") or {}).get("amount") or 0)
            said = [Decimal((head.value or {}).get("amount") or 0) for head in heads]
            low = EXACT.add(low, EXACT.subtract(min(said), shown))
            high = EXACT.add(high, EXACT.subtract(max(said), shown))
    return low, high, conflicts
