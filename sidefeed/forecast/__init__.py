"""The forecast: what the team expects, beside what each system says, with every difference explained to the cent.

Every function takes and gives DataFrames whose columns stand in a schema beside it (`frames.DEALS`, `bridge.BRIDGE`);
amounts are `decimal.Decimal` throughout, never floats, and sums are exact. ``docs/forecast.md`` has the definitions.
"""

from sidefeed.forecast.branches import Branch, branches
from sidefeed.forecast.bridge import Bridge, DoesNotSum, bridge
from sidefeed.forecast.calls import CALLS, calls, quotas, submit
from sidefeed.forecast.columns import totals
from sidefeed.forecast.disputes import Dispute, dispute, disputes, spread
from sidefeed.forecast.entries import EntryError
from sidefeed.forecast.frames import DEALS, frame, records, to_bytes
from sidefeed.forecast.hierarchy import EVERYONE, Hierarchy, People, hierarchy, resolve
from sidefeed.forecast.history import deals, deals_as_of
from sidefeed.forecast.moves import Explained, explain
from sidefeed.forecast.overview import Forecast, forecast, forecast_in
from sidefeed.forecast.periods import Calendar, Period
from sidefeed.forecast.rates import CONVERTED, Rates, converted, rates
from sidefeed.forecast.reconcile import reconcile
from sidefeed.forecast.rollup import CELLS, NODES, by_columns, rollup
from sidefeed.forecast.scope import Scope, ScopeError
from sidefeed.forecast.systems import SYSTEM_DEALS, system_deals
from sidefeed.forecast.trust import Stamp, sources, stamp, stamp_of
from sidefeed.forecast.view import View, view
from sidefeed.forecast.waterfall import WATERFALL, WATERFALL_DEALS, Waterfall, waterfall

__all__ = ["CALLS", "CELLS", "CONVERTED", "DEALS", "EVERYONE", "NODES", "SYSTEM_DEALS", "WATERFALL",
           "WATERFALL_DEALS", "Branch", "Bridge", "Calendar", "Dispute", "DoesNotSum", "EntryError", "Explained",
           "Forecast", "Hierarchy", "People", "Period", "Rates", "Scope", "ScopeError", "Stamp", "View", "Waterfall",
           "branches", "bridge", "by_columns", "calls", "converted", "deals", "deals_as_of", "dispute", "disputes",
           "explain", "forecast", "forecast_in", "frame", "hierarchy", "quotas", "rates", "reconcile", "records",
           "resolve", "rollup", "sources", "spread", "stamp", "stamp_of", "submit", "system_deals", "to_bytes",
           "totals", "view", "waterfall"]
