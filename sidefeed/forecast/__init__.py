"""The forecast: what the team expects, beside what each system says, with the difference.

Every function takes and gives DataFrames; amounts are `decimal.Decimal` throughout, never floats.
"""

from sidefeed.forecast.rollup import Forecast, deals, forecast, system_deals

__all__ = ["Forecast", "deals", "forecast", "system_deals"]
