"""Two tools that file the same calendars: told before a second activity is made of every meeting."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sidefeed.workspace import RecordState, Transaction

SUSPICIOUS = 3
"""So many meetings of one run that stand in the CRM already, written there by one and the same hand, are no accident.
One or two are a person who typed them."""


@dataclass(frozen=True, slots=True)
class Rival:
    """Somebody else's activities for meetings that are about to be filed: who wrote them, and of which meetings."""

    author: str
    records: tuple[str, ...]


def rivals(tx: Transaction, system: str, wanted: Iterable[str]) -> list[Rival]:
    """Who else files these meetings (records without an activity in the system yet) in the same system."""
    states = [state for state in tx.records(list(wanted)).values() if state.values.get("key")]
    if not states:
        return []
    theirs: dict[tuple[str, str], RecordState] = {
        name: state for state in tx.each_record("meeting")
        if not state.deleted and not state.values.get("key") and not state.values.get("planned_in")
        and (name := _name(state)) is not None}
    pairs = [(state, theirs[name]) for state in states if (name := _name(state)) is not None and name in theirs]
    by_author: dict[str, list[str]] = {}
    histories = tx.histories([other.id for _own, other in pairs])
    for own, other in pairs:
        first = next((change for change in histories[other.id] if change.source == system), None)
        if first is not None:
            by_author.setdefault(first.actor, []).append(own.id)
    return [Rival(author, tuple(records)) for author, records in by_author.items() if len(records) >= SUSPICIOUS]


def _name(state: RecordState) -> tuple[str, str] | None:
    start, subject = (state.values.get("when") or {}).get("start"), state.values.get("subject")
    return (str(start), str(subject).strip().casefold()) if start and subject else None
