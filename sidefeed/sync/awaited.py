"""Objects that introduce no record and wait for one that they can be matched with.

They are looked at again as soon as there is such a record, before one more object is created for it beside them:
whoever stands in an address book already is not put there twice.
"""

from __future__ import annotations

from collections.abc import Sequence

from sidefeed.connector import Stream
from sidefeed.mapping import ObjectMap
from sidefeed.sync.match import keys_of
from sidefeed.workspace import Store

_KEY = "key "


def needs(keys: Sequence[str]) -> str | None:
    """What an object with these natural keys waits for: a record with the strongest of them."""
    return f"{_KEY}{keys[0]}" if keys else None


def wake(store: Store, om: ObjectMap, stream: Stream) -> bool:
    """Let what waits in a feed be tried again where there is a record for it since the last plan; whether any is."""
    if om.introduces or om.readonly:
        return False
    with store.read() as tx:
        since = tx.cursor(om.system, stream.name).planned_rev
        if tx.last_rev() <= since:
            return False
        news = tx.records(tx.behind(om.system, stream.name, om.entity, since=since))
        keys = {f"{_KEY}{key}" for state in news.values() for key in keys_of(om.match, state.values)}
    with store.write() as tx:
        return tx.wake_needing(om.system, stream.name, keys)
