"""What stands in a workbook of the forecast, sheet by sheet; the command line and the page write the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from sidefeed.forecast.bridge import Bridge
from sidefeed.forecast.moves import Explained
from sidefeed.forecast.overview import Forecast
from sidefeed.forecast.view import View


def sheets(found: Forecast, first: pd.DataFrame | None = None) -> dict[str, pd.DataFrame]:
    """The sheets of a forecast; ``first`` stands in the place of its roll-up."""
    return {"Forecast": found.nodes if first is None else first, "Sources": found.sources, "Currencies": found.rated,
            "Trust": found.stamp.sources, "Disputes": found.stamp.range, "Capture": found.stamp.capture,
            "Deals": found.deals}


def bridge_sheets(found: Mapping[str, Bridge]) -> dict[str, pd.DataFrame]:
    """Why each system says another total: the steps of all, and the deals of all."""
    return {name: pd.concat([with_system(system, getattr(made, part)) for system, made in found.items()],
                            ignore_index=True) if found else pd.DataFrame()
            for name, part in (("Bridge", "steps"), ("Bridge deals", "deals"))}


def waterfall_sheets(found: Explained) -> dict[str, pd.DataFrame]:
    """Why the number moved."""
    return {"Waterfall": found.steps, "Moved deals": found.deals, "Gross": found.gross, "Moves": found.moves}


def with_system(system: str, table: pd.DataFrame) -> pd.DataFrame:
    table = table.copy()
    table.insert(0, "system", system)
    return table


def about(view: View, trust: str, problems: Sequence[str], whose: str = "") -> dict[str, str]:
    """The lines of the first sheet. ``whose``: what people call the node."""
    period = view.period
    days = f" ({period.start} to {period.end})" if period.start or period.end else ""
    return {"What": f"Sidefeed forecast: {view.measure}", "Period": period.name + days, "Whose": whose or view.node,
            "Currency": view.into or "each deal's own", "Trust": trust, "To mend": "\n".join(problems) or "nothing",
            "Definitions": "docs/forecast.md of Sidefeed; every amount is exact, and rounded nowhere"}


__all__ = ["about", "bridge_sheets", "sheets", "waterfall_sheets", "with_system"]
