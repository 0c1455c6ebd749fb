"""Parts of one system's mailboxes, synced side by side.

Whoever splits a system holds its lease from beginning to end, so that no other run works on it meanwhile. Each part is
a run of its own with a lease of its own: it reads and writes the feeds of its mailboxes and no others, whose cursors,
inboxes, links and intents are keyed by mailbox. Records are shared by all; what two parts make of one record is decided
inside one transaction of the workspace, as it is between two systems. A part that fails, or that a guard stops, holds
back no other.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sidefeed.connector import Connector, Stream
from sidefeed.mapping import Mapping
from sidefeed.workspace import Store

HEAD = "head"
PART = " part "
"""Between what a run did and which part of it this one was."""


@dataclass(frozen=True, slots=True)
class Shard:
    """One part. ``partitions`` are its mailboxes, or none but ``""`` for the feeds that belong to no mailbox; ``lead``
    is who holds the system's lease while the parts run."""

    name: str
    partitions: frozenset[str]
    lead: str

    def holds(self, stream: Stream) -> bool:
        return stream.partition in self.partitions

    def lease(self, system: str) -> str:
        return f"sync:{system}/{self.name}"


@contextmanager
def leading(store: Store, system: str) -> Iterator[str]:
    """Hold a system's lease for all of its parts. Raises LeaseHeld, naming who else holds it."""
    lead = f"{uuid.uuid4().hex[:12]} (in parts)"
    with store.lease(f"sync:{system}", lead):
        yield lead


def head(lead: str) -> Shard:
    """The part that comes before the others: what belongs to no mailbox, such as the list of them."""
    return Shard(HEAD, frozenset({""}), lead)


def split(mailboxes: Iterable[str], number: int, lead: str) -> list[Shard]:
    """At most so many parts of about the same size, none of them empty."""
    listed = sorted(set(mailboxes) - {""})
    number = min(number, len(listed))
    return [Shard(f"{part + 1}/{number}", frozenset(listed[part::number]), lead) for part in range(number)]


def mailboxes_of(mappings: Mapping, system: str, connector: Connector) -> set[str]:
    """The mailboxes that a system's mapped feeds belong to."""
    return {stream.partition for om in mappings.for_system(system) for stream in connector.streams(om.object)
            } - {""}
