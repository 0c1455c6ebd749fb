"""Whether this workspace is older than the world: restored from a backup, or one of two that feed the same system.

The proof stands in the systems: every object that Sidefeed creates carries the key of its record. A key of a record
that this workspace never had was given by a later state of it, or by another workspace.
"""

from __future__ import annotations

from sidefeed.connector import Stream
from sidefeed.mapping import ObjectMap
from sidefeed.plural import many
from sidefeed.sync.guard import Trip
from sidefeed.sync.match import stamped_record
from sidefeed.sync.reunite import strangers
from sidefeed.workspace import Transaction


def unknown_stamps(tx: Transaction, om: ObjectMap, stream: Stream) -> dict[str, str]:
    """External id -> record, for objects in the inbox whose key names a record that this workspace never had, and that
    nobody was asked about yet."""
    if not om.key_field:
        return {}
    stamps = {id: record for id, stamp in tx.inbox_stamps(om.system, stream.name).items()
              if (record := stamped_record(om, {om.key_field: stamp})) is not None}
    known = tx.records(set(stamps.values()))
    linked = tx.known_as(om.system, stream.name, stamps)
    asked = {one.external_id for one in strangers(tx, om.system, stream.name, placed=True)} if stamps else set()
    return {id: record for id, record in stamps.items()
            if record not in known and id not in linked and id not in asked}


def older_than_the_world(tx: Transaction, om: ObjectMap, stream: Stream) -> list[Trip]:
    """A guard: nothing is read further or written while objects carry keys that this workspace did not give."""
    strangers = unknown_stamps(tx, om, stream)
    if not strangers:
        return []
    told = many(len(strangers), "object carries a key of a record", "objects carry keys of records")
    return [Trip("older-than-the-world", om.system, stream.name, (
        f"{om.system} {stream.name}: {told} that this workspace does not know. Nothing was written. Either it was "
        f"restored from a backup that is older than they are: bring back a newer one if there is, else approve the "
        f"run, and they are matched anew. Or another workspace feeds the same system: switch one of the two off "
        f"first."),
        tuple({"external_id": id, "record": record} for id, record in strangers.items()))]
