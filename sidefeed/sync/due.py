"""What one system is known to hold of a record, and what is due to it: the bookkeeping of a link, read and kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sidefeed.mapping import FieldMap, ObjectMap
from sidefeed.workspace import DELETED, Link, RecordState, Transaction


def duplicate_key(record: str, external_id: str) -> str:
    """Under which key the image of a duplicate is kept beside that of its primary."""
    return f"{record}#{external_id}"


REMAPPED = 0
"""No change has this revision. Beside those that a system has seen of a field: it saw them by another mapping."""


def known_there(tx: Transaction, link: Link, state: RecordState | None, name: str) -> tuple[int, ...]:
    """The revisions of a field that a linked system has seen."""
    if name in link.exceptions:
        return tuple(rev for rev in link.exceptions[name] if rev != REMAPPED)
    return tx.heads_as_of(state, name, link.synced_rev) if state is not None else ()


def remapped(link: Link, name: str) -> bool:
    """Whether a field is to be written anew because its mapping changed."""
    return REMAPPED in link.exceptions.get(name, ())


def in_sync(link: Link, state: RecordState, name: str) -> bool:
    """Whether the system is known to hold this field as the record has it now."""
    known, heads = link.exceptions.get(name), state.heads.get(name, [])
    if known is not None:
        return known == heads or set(known) == set(heads)
    return not heads or max(heads) <= link.synced_rev


def is_due(spec: FieldMap, link: Link, state: RecordState) -> bool:
    """Whether this field is to be written to the system: not what it holds, not in conflict, its conditions met."""
    return spec.applies(state.values) and spec.name not in state.conflicts and not in_sync(link, state, spec.name)


def put_back(link: Link, name: str, raw: Mapping[str, Any], state: RecordState) -> None:
    """Ask for raw values of a field to be written again as they were, while the record's own value stays what it is."""
    sent = link.sent or {"sure": True, "values": {}, "known": {}}
    wanted = {**sent.get("put_back", {}), name: {"raw": dict(raw), "heads": list(state.heads_of(name))}}
    link.sent = {**sent, "put_back": wanted}
    link.due = True


def put_backs(link: Link, state: RecordState) -> dict[str, dict[str, Any]]:
    """What an undo still has to put back here, by field: only where nobody changed the field in between."""
    wanted: dict[str, dict[str, Any]] = (link.sent or {}).get("put_back", {})
    return {name: back for name, back in wanted.items() if back["heads"] == list(state.heads_of(name))}


def catch_up(om: ObjectMap, link: Link, state: RecordState) -> None:
    """Shorten a link's bookkeeping: exceptions that no longer differ fold into one revision where all agree."""
    if all(in_sync(link, state, name) for name in (DELETED, *(spec.name for spec in om.fields))):
        link.synced_rev = max(link.synced_rev, state.rev)
        link.exceptions = {}
