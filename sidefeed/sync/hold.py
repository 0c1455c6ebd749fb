"""How a sync keeps to what people paused.

A paused feed is still read, merged and planned, so that a plan shows what waits and nothing that people type meanwhile
is lost; its writes are taken out before the guards look, and planned again from where this plan began.
"""

from __future__ import annotations

from sidefeed.connector import Stream
from sidefeed.mapping import ObjectMap
from sidefeed.sync.report import Report
from sidefeed.sync.writes import ObjectPlan
from sidefeed.workspace import Transaction
from sidefeed.workspace.pauses import Pause, pause_of, pauses


def held(tx: Transaction, om: ObjectMap, stream: Stream) -> Pause | None:
    """The pause under which nothing is written to a feed now."""
    return pause_of(pauses(tx), om.system, om.object, stream.partition)


def hold(tx: Transaction, plan: ObjectPlan, report: Report) -> None:
    """Take the writes of a paused feed out of its plan."""
    if plan.writes and note(tx, plan, report):
        plan.writes = []
        plan.upto = tx.cursor(plan.om.system, plan.stream.name).planned_rev


def note(tx: Transaction, plan: ObjectPlan, report: Report) -> bool:
    """Say in the report what waits because the plan's feed is paused; whether it is."""
    pause = held(tx, plan.om, plan.stream)
    if pause is not None and plan.writes:
        wait = "1 write waits" if len(plan.writes) == 1 else f"{len(plan.writes):,} writes wait"
        report.paused[f"{plan.om.system} {plan.stream.name}"] = f"{pause}: {wait}"
    return pause is not None
