"""The forecast: what the team expects, beside what each system says, with every difference explained to the cent.

Every function takes and gives DataFrames whose columns stand in a schema beside it (`frames.DEALS`, `bridge.BRIDGE`);
amounts are `decimal.Decimal` throughout, never floats, and sums are exact. ``docs/forecast.md`` has the definitions.
"""

from sidefeed.forecast.bridge import Bridge, DoesNotSum, bridge
from sidefeed.forecast.frames import DEALS, frame, records, to_bytes
from sidefeed.forecast.history import deals, deals_as_of
from sidefeed.forecast.moves import Explained, explain
from sidefeed.forecast.reconcile import reconcile
from sidefeed.forecast.rollup import Forecast, forecast
from sidefeed.forecast.scope import Scope, ScopeError, totals
from sidefeed.forecast.systems import SYSTEM_DEALS, system_deals
from sidefeed.forecast.waterfall import WATERFALL, WATERFALL_DEALS, Waterfall, waterfall

__all__ = ["DEALS", "SYSTEM_DEALS", "WATERFALL", "WATERFALL_DEALS", "Bridge", "DoesNotSum", "Explained", "Forecast",
           "Scope", "ScopeError", "Waterfall", "bridge", "deals", "deals_as_of", "explain", "forecast", "frame",
           "reconcile", "records", "system_deals", "to_bytes", "totals", "waterfall"]
