"""The records of the workspace that a change of the mapping concerns."""

from __future__ import annotations

from collections.abc import Iterator

from sidefeed.connector import chunked
from sidefeed.mapping.compare import Change
from sidefeed.sync.retranslate import feeds_read
from sidefeed.workspace import Transaction

_BATCH = 500


def concerned(tx: Transaction, change: Change) -> set[str]:
    """The ids of the live records in which a change makes a difference. A change of one system's file concerns those
    that are linked there; one of how a word is read, those of which the system was last seen to hold the word."""
    if change.word is not None:
        return set(holding(tx, change))
    found = {state.id for state in tx.each_record(change.entity)
             if not state.deleted and state.merged_into is None and change.concerns(state.values)}
    if change.system is None or change.object is None:
        return found
    return {id for stream in feeds_read(tx, change.system, change.object)
            for id in tx.linked(change.system, stream.name)} & found


def holding(tx: Transaction, change: Change) -> Iterator[str]:
    """The live records of which a change's system was last seen to hold its word."""
    assert change.system is not None and change.object is not None
    for stream in feeds_read(tx, change.system, change.object):
        for ids in chunked(tx.linked(change.system, stream.name), _BATCH):
            images = tx.bases(change.system, stream.name, ids)
            found = [id for id in ids if change.concerns_image(images.get(id, {}))]
            yield from (id for id, state in tx.records(found).items()
                        if not state.deleted and state.merged_into is None)
