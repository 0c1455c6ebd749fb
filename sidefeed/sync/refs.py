"""How references travel: a remote id becomes a record on the way in, a record a remote id on the way out.

Lookups are made for a whole batch at once, so that a lens never causes a query.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sidefeed.mapping import ObjectMap
from sidefeed.workspace import RecordState, Transaction


class BatchRefs:
    """The references of one batch, looked up beforehand."""

    def __init__(self, inward: Mapping[tuple[str, str], str], outward: Mapping[tuple[str, str], str]) -> None:
        self._inward = inward
        self._outward = outward

    def record(self, entity: str, external_id: str) -> str | None:
        return self._inward.get((entity, external_id))

    def external(self, entity: str, record: str) -> str | None:
        return self._outward.get((entity, record))


def inward(tx: Transaction, om: ObjectMap, images: Iterable[Mapping[str, Any]]) -> BatchRefs:
    """References held by raw images, as record ids."""
    wanted: dict[str, set[str]] = {}
    for image in images:
        for entity, external_id in om.references_in(image):
            wanted.setdefault(entity, set()).add(external_id)
    found = {(entity, id): record for entity, ids in wanted.items()
             for id, record in tx.records_known_as(om.system, entity, ids).items()}
    survivor = _survivors(tx, set(found.values()))
    found = {key: survivor.get(record, record) for key, record in found.items()}
    return BatchRefs(found, {})


def outward(tx: Transaction, om: ObjectMap, records: Iterable[Mapping[str, Any]]) -> BatchRefs:
    """References held by records, as ids in this system."""
    wanted: dict[str, set[str]] = {}
    for values in records:
        for entity, record in om.references_out(values):
            wanted.setdefault(entity, set()).add(record)
    survivor = _survivors(tx, {id for ids in wanted.values() for id in ids})
    found = {}
    for entity, ids in wanted.items():
        external = tx.external_ids(om.system, {survivor.get(id, id) for id in ids})
        for id in ids:
            if (there := external.get(survivor.get(id, id))) is not None:
                found[(entity, id)] = there
    return BatchRefs({}, found)


def _survivors(tx: Transaction, records: set[str]) -> dict[str, str]:
    """Record -> the record it was merged into, for those that were."""
    found: dict[str, str] = {}
    for record, state in tx.records(records).items():
        last: RecordState | None = state
        while last is not None and last.merged_into:
            found[record] = last.merged_into
            last = tx.record(last.merged_into)
    return found
