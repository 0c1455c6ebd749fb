"""List fields that Salesforce keeps as rows of another object: the contacts of a deal, the people at an event."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .soql import full_id


@dataclass(frozen=True, slots=True)
class Junction:
    """``field`` of ``parent`` lists the ``target`` ids of the rows of ``object`` whose ``parent_field`` is the parent.

    ``first``     the parent's own field that holds one of the ids
    ``prefixes``  key prefixes of the ids that count; other rows (invited users, rooms) are left alone
    ``optional``  organisations may lack the object; then ``first`` is all there is
    """

    field: str
    object: str
    parent_field: str
    target: str
    references: tuple[str, ...]
    first: str | None = None
    prefixes: tuple[str, ...] = ()
    optional: bool = False

    def counts(self, target_id: Any) -> bool:
        return isinstance(target_id, str) and (not self.prefixes or target_id.startswith(self.prefixes))

    def listed(self, first: str | None, others: Iterable[str]) -> list[str]:
        """The list as a raw value: ``first`` in front, the rest in a stable order, none twice."""
        rest = sorted(set(others) - {first})
        return [first, *rest] if first else rest

    def split(self, values: dict[str, Any], seen: Sequence[str] | None) -> Wanted:
        """Take the list out of ``values``; the parent's own field keeps the id it holds while that is wanted.

        ``seen`` is the list as it was last read, where it was. Raises Invalid for what is not an id.
        """
        wanted = [full_id(each) for each in dict.fromkeys(values.pop(self.field) or ())]
        first = None
        if self.first is not None:
            first = seen[0] if seen and seen[0] in wanted else next(iter(wanted), None)
            if not seen or first != seen[0]:
                values[self.first] = first
        return Wanted(frozenset(wanted), first, None if seen is None else frozenset(seen))


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a list should hold. ``first`` is held by the parent itself; ``seen`` is what the change was decided on."""

    ids: frozenset[str]
    first: str | None
    seen: frozenset[str] | None

    def changes(self, now: Mapping[str, str]) -> tuple[list[str], list[str]]:
        """Ids to add, and row ids to remove, given the row ids by target id as they are now.

        What somebody else added since the list was seen stays; where it was never seen, all that is not wanted goes.
        """
        adds = sorted(self.ids - now.keys() - {self.first})
        removable = now.keys() - self.ids
        if self.seen is not None:
            removable &= self.seen
        return adds, [now[target] for target in sorted(removable)]


JUNCTIONS: Mapping[str, Junction] = {
    "Opportunity": Junction("ContactIds", "OpportunityContactRole", "OpportunityId", "ContactId", ("Contact",)),
    # An invited user gets a child event of his own; contacts and leads get only an EventRelation (Object Reference).
    "Event": Junction(
        "WhoIds", "EventRelation", "EventId", "RelationId", ("Contact", "Lead"),
        first="WhoId", prefixes=("003", "00Q"), optional=True,
    ),
}  # fmt: skip
