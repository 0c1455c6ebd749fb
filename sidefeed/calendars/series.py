"""Series in the workspace: one record for a rule with its exceptions and deletions, however many calendars show it.

A record of the entity ``series`` holds ``key``, ``uid``, ``subject``, ``location``, ``organiser``, ``join_url`` and
``recurrence`` (`sidefeed.calendars.recurrence`). Its occurrences are meetings: the one with an original start has the
key ``meeting_key(uid, original start)``. It is never written to a CRM, which knows activities and no rules.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sidefeed.calendars.recurrence import RECURRENCE, SERIES
from sidefeed.workspace import DELETED, Draft, RecordState, Transaction

if TYPE_CHECKING:
    from sidefeed.sync.observation import Observation

FIELDS = ("key", "uid", "subject", "location", "organiser", "join_url", "recurrence")


def absorb(tx: Transaction, system: str, stream: str, source: str, seen: Sequence[Observation]) -> None:
    """What calendars tell of their series, already narrowed to what may be known here."""
    from sidefeed.sync.match import keys_of  # a room that itself needs this one

    known = tx.known_as(system, stream, [one.id for one in seen])
    keys = {one.id: next(iter(keys_of([("key",)], one.values)), "") for one in seen}
    found = tx.by_natural_keys(SERIES, {key for key in keys.values() if key})
    drafts = []
    for one in seen:
        record = known[one.id][0] if one.id in known else next(iter(found.get(keys[one.id], ())), None)
        if record is None:
            record = tx.new_id()
            found[keys[one.id]] = [record]
        drafts += _news(tx.records([record]).get(record), record, one, system, source)
        tx.remember(system, stream, one.id, SERIES, record, "primary")
        tx.save_base(system, stream, record, {RECURRENCE: (one.image or {}).get(RECURRENCE)})
    tx.append(drafts)


def _news(state: RecordState | None, record: str, one: Observation, system: str, source: str) -> list[Draft]:
    told = {**one.values, "recurrence": (one.image or {}).get(RECURRENCE)}
    if set(one.values) == {"key"}:  # an attendee's copy, where the organiser's own calendar is read too
        told = {"key": one.values["key"]}
    held = {} if state is None else state.values
    fields: dict[str, Any] = {name: told[name] for name in FIELDS if name in told and told[name] != held.get(name)}
    if state is not None and state.deleted:
        fields |= {DELETED: False, "withdrawn": None}
    return [Draft(SERIES, record, fields, system, source, at=one.modified)] if fields else []


def differing(tx: Transaction, system: str, stream: str, record: str, values: Mapping[str, Any]) -> tuple[str, ...]:
    """In which parts of its recurrence a series of a calendar is not what was last absorbed from there; whether it may
    be known at all is one of them."""
    if RECURRENCE not in values:
        return ()  # it is there and cannot be read
    now = values[RECURRENCE]
    state = tx.records([record])[record]
    held = tx.bases(system, stream, [record]).get(record, {}).get(RECURRENCE)
    if held is None and not state.values.get("withdrawn"):
        held = state.values.get("recurrence")
    if now is None or held is None:
        return () if now == held else ("sensitivity",)
    return tuple(part for part in now if now[part] != held.get(part))


def gone(tx: Transaction, system: str, stream: str, record: str) -> bool:
    """A calendar has a series no more; its record is deleted once no calendar has it. False where it is no series."""
    state = tx.record(record)
    if state is None or state.entity != SERIES:
        return False
    held = [(where, object) for where, object, _id, role in tx.roles_of(record) if role != "gone"]
    if not state.deleted and all(place == (system, stream) for place in held):
        tx.append([Draft(SERIES, record, {DELETED: True}, system, system, reason="deleted from the calendar")])
    return True
