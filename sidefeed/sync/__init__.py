"""Sync: match, absorb, plan, guard, apply, as plain functions over the store and a connector. See `engine`."""

from sidefeed.sync.engine import Engine
from sidefeed.sync.guard import GuardTripped, Limit, Limits
from sidefeed.sync.report import Problem, Report
from sidefeed.sync.saved import SavedPlan, WorldMoved
from sidefeed.sync.writes import ObjectPlan, PlannedWrite, min_calls

__all__ = ["Engine", "GuardTripped", "Limit", "Limits", "ObjectPlan", "PlannedWrite", "Problem", "Report", "SavedPlan",
           "WorldMoved", "min_calls"]
