"""What is not the same in every portal, at every date, or not known for sure; and what a portal tells of its writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .store import Actor


@dataclass
class Switches:
    """How this portal behaves where HubSpot differs by portal, by date, or where nothing is verified.

    Not verified anywhere, hence only assumed: `email_lower_case`, `null_clears`, `merged_ids_in_search`,
    `associations_touch`, `first_company_is_primary`, `retry_after`, `search_per_token`, `noop_moves_modified`, and the
    texts that `write_validation` gives.
    """

    shuffle: bool = True
    """Batch answers come in another order than the inputs (15 of 16 recorded multi-record creates)."""
    merge_mode: str = "new"
    """`new`: the survivor of a merge is a new record (since 2025-01-14); `old`: the primary survives."""
    search_lag: float = 0.0
    """Seconds until a write shows in search. Live portals: 4.5 to 9.5 (recorded)."""
    batch_update_omits_merged: bool = True
    """Batch update leaves out ids that a merge took away, without an error (reported)."""
    email_lower_case: bool = True
    null_clears: bool = True
    merged_ids_in_search: bool = True
    """Whether search shows `hs_merged_object_ids`; for contacts it may be null there."""
    associations_touch: bool = False
    """Whether an association edit moves the modified time of both records; reports differ."""
    first_company_is_primary: bool = False
    """Whether a record's first company becomes its primary one when only the unlabelled type is asked for."""
    noop_moves_modified: bool = False
    """Whether writing the values that are there already moves the modified time."""
    meeting_timestamp_defaults: bool = False
    """A beta: `hs_timestamp` of a meeting defaults to its start time."""
    write_validation: bool = True
    """Whether date version 2026-09 and later enforces the admin's required and conditional properties."""
    association_permission: bool = True
    """Whether the user behind a token may edit associations; date version 2026-09 and later asks."""
    created_status: int = 201
    """What is answered where 201 is usual; 200 was, for a time (HubSpot/hubspot-api-python #448)."""
    expired_cursors: bool = False
    """Refuse every `after` of list endpoints."""
    search_per_token: bool = False
    """Count the search limit per token, as the documentation of January 2025 says, and not per account."""
    retry_after: str | None = None
    """`Retry-After` of the general 429, in whatever unit is to be rehearsed; none was ever seen on a search's."""
    localized_errors: bool = False
    """Whether embedded validation errors also carry `localizedErrorMessage` and `portalId` (seen in 2026)."""


@dataclass
class Late:
    """Writes that reach the search index late, though their stamps are early."""

    seconds: float
    count: int


@dataclass(frozen=True, slots=True)
class Event:
    """One write, for the journal and for webhooks. `kind`: creation, propertyChange, deletion, restore,
    privacyDeletion, merge, associationChange; `changes`: the properties that it gave new values.
    """

    kind: str
    type: str
    record_id: int
    at: int
    actor: Actor
    changes: Mapping[str, str] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Described:
    """What a custom object's schema says beyond its properties. Times are ms."""

    singular: str
    plural: str
    required: tuple[str, ...]
    searchable: tuple[str, ...]
    primary: str
    secondary: tuple[str, ...]
    description: str | None
    created: int
    updated: int
    associations: tuple[tuple[int, str, str, str], ...] = ()
    """Serial, from type id, to type id, name."""
