"""What a system was seen to hold of one object, on its way from the inbox into the log."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sidefeed.calendars import Level
from sidefeed.calendars.foreign import Claim
from sidefeed.calendars.recurrence import RECURRENCE
from sidefeed.connector import Connector, Stream
from sidefeed.mapping import ObjectMap
from sidefeed.sync.capture import pack, raw_fields
from sidefeed.workspace import Store
from sidefeed.workspace.clock import utc_instant
from sidefeed.workspace.model import InboxItem


@dataclass(slots=True)
class Observation:
    """One remote object as it was seen, on its way into the log. ``mailbox`` to ``own_level`` are told of meetings in
    calendars alone: whose calendar, who is in it, and at which level it may leave."""

    id: str
    image: dict[str, Any] | None
    state: str
    version: str
    modified: datetime | None
    merged_into: str | None
    actor: str | None
    attempts: int = 0
    values: dict[str, Any] = field(default_factory=dict)
    stream: str = ""
    waiting: tuple[str, str] | None = None
    needs: str | None = None
    record: str | None = None
    fresh: bool = False
    mailbox: str = ""
    organiser: str = ""
    people: tuple[str, ...] = ()
    level: Level = "full"
    own_level: Level = "full"
    claim: Claim | None = None

    @property
    def is_series(self) -> bool:
        """Whether a calendar told a series as one object."""
        return RECURRENCE in (self.image or {})


def observed(item: InboxItem) -> Observation:
    payload = item.payload
    if payload is None:  # asked for by id and not there
        return Observation(item.external_id, None, "deleted", "", None, None, None, item.attempts,
                           stream=item.object)
    return Observation(
        item.external_id, payload["values"], payload["state"], payload["version"],
        utc_instant(payload["modified"]) if payload["modified"] else None, payload["merged_into"], payload["actor"],
        item.attempts, stream=item.object)


def complete(items: list[InboxItem], om: ObjectMap, stream: Stream, connector: Connector) -> list[InboxItem]:
    """Read by id what the feed told only the id of."""
    bare = [item.external_id for item in items if item.payload is None]
    if not bare:
        return items
    state = read_by_id(om, stream, connector, bare)
    return [item if item.payload is not None else
            InboxItem(item.system, item.object, item.external_id, state.get(item.external_id), item.attempts)
            for item in items]


def read_by_id(om: ObjectMap, stream: Stream, connector: Connector, ids: list[str]) -> dict[str, dict[str, Any] | None]:
    """What a system says of these ids, of a calendar's series too."""
    return {remote.id: pack(remote) for remote in connector.fetch(stream, raw_fields(om, stream), ids)}


def look_up(store: Store, om: ObjectMap, stream: Stream, connector: Connector) -> None:
    """Read by id what only the id is known of, so that guards see what it is before anything is believed."""
    with store.read() as tx:
        bare = tx.inbox_bare(om.system, stream.name)
    if bare:
        found = {id: payload for id, payload in read_by_id(om, stream, connector, bare).items() if payload is not None}
        with store.write() as tx:
            tx.put_inbox(om.system, stream.name, found, key_field=om.key_field)
