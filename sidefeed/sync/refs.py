"""How references travel: a remote id becomes a record on the way in, a record a remote id on the way out.

Lookups are made for a whole batch at once, so that a lens never causes a query.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sidefeed.mapping import ObjectMap
from sidefeed.sync.match import keys_of
from sidefeed.workspace import RecordState, Transaction


class BatchRefs:
    """The references of one batch, looked up beforehand."""

    def __init__(
        self, inward: Mapping[tuple[str, str], str], outward: Mapping[tuple[str, str], str],
        holders: Mapping[tuple[str, str, str], str] | None = None,
        values: Mapping[tuple[str, str], Mapping[str, Any]] | None = None,
    ) -> None:
        self._inward = inward
        self._outward = outward
        self._holders = holders or {}
        self._values = values or {}

    def record(self, entity: str, external_id: str) -> str | None:
        return self._inward.get((entity, external_id))

    def external(self, entity: str, record: str) -> str | None:
        return self._outward.get((entity, record))

    def holder(self, entity: str, field: str, value: str) -> str | None:
        return self._holders.get((entity, field, value))

    def value(self, entity: str, record: str, field: str) -> Any:
        return self._values.get((entity, record), {}).get(field)


def inward(tx: Transaction, om: ObjectMap, images: Iterable[Mapping[str, Any]]) -> BatchRefs:
    """References held by raw images, as record ids."""
    wanted: dict[str, set[str]] = {}
    images = list(images)
    for image in images:
        for entity, external_id in om.references_in(image):
            wanted.setdefault(entity, set()).add(external_id)
    found = {(entity, id): record for entity, ids in wanted.items()
             for id, record in tx.records_known_as(om.system, entity, ids).items()}
    survivor = _survivors(tx, set(found.values()))
    found = {key: survivor.get(record, record) for key, record in found.items()}
    return BatchRefs(found, {}, _holders(tx, {key for image in images for key in om.keys_in(image)}))


def outward(tx: Transaction, om: ObjectMap, records: Iterable[Mapping[str, Any]]) -> BatchRefs:
    """References held by records, as ids in this system."""
    wanted: dict[str, set[str]] = {}
    for each in records:
        for entity, record in om.references_out(each):
            wanted.setdefault(entity, set()).add(record)
    survivor = _survivors(tx, {id for ids in wanted.values() for id in ids})
    found = {}
    for entity, ids in wanted.items():
        external = tx.external_ids(om.system, {survivor.get(id, id) for id in ids})
        for id in ids:
            if (there := external.get(survivor.get(id, id))) is not None:
                found[(entity, id)] = there
    states = tx.records({survivor.get(id, id) for ids in wanted.values() for id in ids})
    values = {(entity, id): states[survivor.get(id, id)].values for entity, ids in wanted.items() for id in ids
              if survivor.get(id, id) in states}
    return BatchRefs({}, found, values=values)


def _holders(tx: Transaction, keys: set[tuple[str, str, str]]) -> dict[tuple[str, str, str], str]:
    """The record that each (entity, field, value) proves; one that several records hold proves nothing."""
    found: dict[tuple[str, str, str], str] = {}
    for entity in {entity for entity, _field, _value in keys}:
        told = {key: keys_of([(key[1],)], {key[1]: key[2]})[0] for key in keys if key[0] == entity and key[2]}
        records = tx.by_natural_keys(entity, set(told.values()))
        found |= {key: records[text][0] for key, text in told.items() if len(records.get(text, ())) == 1}
    return found


def _survivors(tx: Transaction, records: set[str]) -> dict[str, str]:
    """Record -> the record it was merged into, for those that were."""
    found: dict[str, str] = {}
    for record, state in tx.records(records).items():
        last: RecordState | None = state
        while last is not None and last.merged_into:
            found[record] = last.merged_into
            last = tx.record(last.merged_into)
    return found
