"""What meetings tell of a deal: when its people were last met, when they will be next, and who was met.

Each fact is a change by ``policy:meetings`` whose reason names the meetings it comes from. Stage and amount are never
derived: those are judgements.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sidefeed.workspace import Draft, RecordState, Store, Transaction
from sidefeed.workspace.clock import utc_text

SEEN, DAY = "facts:rev", "facts:day"
FIELDS = ("last_touch", "next_meeting", "people_met")


def derive(store: Store) -> int:
    """Bring the facts of every deal up to date whose meetings changed, and once a day of those whose next meeting has
    passed; returns how many deals changed."""
    with store.read() as tx:
        since, upto = int(tx.setting(SEEN) or 0), tx.last_rev()
        changed = tx.changed_ids("meeting", since=since)
        today = utc_text(store.now())[:10]
        new_day = tx.setting(DAY) != today
    if not changed and not new_day:
        return 0
    with store.write() as tx:
        deals = _deals_of(tx, changed)
        if new_day and tx.any_record("meeting"):
            now = utc_text(store.now())
            deals |= {state.id for state in tx.each_record("opportunity")
                      if str(state.values.get("next_meeting") or now) < now}
        meetings = [state for state in tx.each_record("meeting") if not state.deleted] if deals else []
        drafts = [draft for state in tx.records(deals).values() if not state.deleted
                  for draft in [_draft(state, meetings, store.now())] if draft is not None]
        tx.append(drafts)
        tx.save_setting(SEEN, str(upto))
        tx.save_setting(DAY, today)
    return len(drafts)


def _deals_of(tx: Transaction, meetings: Iterable[str]) -> set[str]:
    """Deals that these meetings are, or were, filed on."""
    return {str(about).partition(":")[2] for changes in tx.histories(list(meetings)).values() for change in changes
            if str(about := change.fields.get("about")).startswith("opportunity:")}


def _draft(deal: RecordState, meetings: Iterable[RecordState], now: datetime) -> Draft | None:
    own = [state for state in meetings if state.values.get("about") == f"opportunity:{deal.id}"
           and state.values.get("status") != "cancelled" and state.values.get("when")]
    facts, why = facts_of(own, now)
    fields = {name: facts.get(name) for name in FIELDS if facts.get(name) != deal.values.get(name)}
    return Draft("opportunity", deal.id, fields, "policy:meetings", "policy", reason=why) if fields else None


def facts_of(meetings: Iterable[RecordState], now: datetime) -> tuple[dict[str, Any], str]:
    """The facts that a deal's meetings tell, and the meetings they come from."""
    told = sorted(((str(state.values["when"]["start"]), state) for state in meetings), key=lambda pair: pair[0])
    past = [pair for pair in told if pair[0] <= utc_text(now)]
    future = [pair for pair in told if pair[0] > utc_text(now)]
    met = sorted({contact for _start, state in past for contact in state.values.get("contacts") or ()})
    facts = {"last_touch": _instant(past[-1][0]) if past else None,
             "next_meeting": _instant(future[0][0]) if future else None, "people_met": met or None}
    sources = [f"{name} from meeting {pair[1].id}" for name, pair in (
        ("last touch", past[-1] if past else None), ("next meeting", future[0] if future else None)) if pair]
    return facts, "; ".join(sources) or "no meeting is left"


def _instant(start: str) -> str:
    return start if len(start) > 10 else f"{start}T00:00:00Z"
