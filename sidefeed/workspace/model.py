"""What goes into the workspace and comes out of it, and how it says no."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


class StoreError(Exception):
    """The workspace cannot do what was asked; the message says why and what to do."""


class ClockAhead(StoreError):
    """A change is stamped further in the future than clocks may differ."""


class LeaseHeld(StoreError):
    """Another run holds the lease."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A change before it is appended. ``base`` maps each field to the revisions it was based on; a field that is
    missing from ``base`` is based on the current heads."""

    entity: str
    record: str
    fields: Mapping[str, Any]
    actor: str
    source: str
    at: datetime | None = None
    base: Mapping[str, Sequence[int]] = field(default_factory=dict)
    reason: str | None = None


@dataclass(slots=True)
class Link:
    """This record is that object in that system, and what the system was last known to hold of it.

    The system's value of a field corresponds to the record's heads as of ``synced_rev``, except for the fields in
    ``exceptions``, which name the revisions the system has seen. ``sent`` holds raw values written and not yet seen
    again, and the revisions they stand for: ``{"sure", "values", "known"}``. ``made`` is there where that was a create
    that named no owner: the remote id of the user who made it, or True where the system did not tell whom it is given.
    States: wanted, creating, live, gone, detached.
    """

    system: str
    object: str
    record: str
    entity: str
    external_id: str | None = None
    state: str = "live"
    version: str = ""
    synced_rev: int = 0
    exceptions: dict[str, list[int]] = field(default_factory=dict)
    sent: dict[str, Any] | None = None
    digest: bytes | None = None
    generation: int = 0
    due: bool = False

    @property
    def key(self) -> str:
        """The idempotency key of the create that made, or will make, the remote object."""
        return f"{self.record}:{self.generation}"


@dataclass(frozen=True, slots=True)
class InboxItem:
    system: str
    object: str
    external_id: str
    payload: dict[str, Any] | None
    attempts: int = 0
    waiting_for: str | None = None


@dataclass(frozen=True, slots=True)
class Cursor:
    position: str | None = None
    planned_rev: int = 0
    complete_to: str | None = None
    fingerprint: str | None = None
