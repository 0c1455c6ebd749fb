"""List fields that Salesforce keeps as rows of another object: the contacts of a deal, the people at an event."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sidefeed.connector import Invalid

from .soql import full_id


@dataclass(frozen=True, slots=True)
class Junction:
    """``field`` of ``parent`` lists the ``target`` ids of the rows of ``object`` whose ``parent_field`` is the parent.

    ``role``      the row's field that says in which role; the list then holds ``role:id``, or the id alone
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
    role: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The fields of a row that its member is made of."""
        return (self.target, self.role) if self.role else (self.target,)

    def member(self, row: Mapping[str, Any]) -> str:
        """A row as the list holds it."""
        role = row[self.role] if self.role else None
        return f"{role}:{row[self.target]}" if role else str(row[self.target])

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
        wanted = [_full(each) for each in dict.fromkeys(values.pop(self.field) or ())]
        first = None
        if self.first is not None:
            first = seen[0] if seen and seen[0] in wanted else next(iter(wanted), None)
            if not seen or first != seen[0]:
                values[self.first] = first
        return Wanted(frozenset(wanted), first, None if seen is None else frozenset(seen))

    def row(self, member: str) -> dict[str, str | None]:
        """The fields of the row that a member stands for."""
        role, _, target = member.rpartition(":")
        return {self.target: target, **({self.role: role or None} if self.role else {})}


def _full(member: str) -> str:
    role, colon, target = member.rpartition(":")
    return f"{role}{colon}{full_id(target)}"


def who(member: str) -> str:
    return member.rpartition(":")[2]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a list should hold. ``first`` is held by the parent itself; ``seen`` is what the change was decided on."""

    ids: frozenset[str]
    first: str | None
    seen: frozenset[str] | None

    def changes(self, now: Mapping[str, str]) -> Changes:
        """What to do to the rows, given the row ids by member as they are now.

        What somebody else added since the list was seen stays; where it was never seen, all that is not wanted goes.
        Somebody whose role changes keeps the row. Nobody in a role is added without one.
        """
        removable = now.keys() - self.ids
        if self.seen is not None:
            removable &= self.seen
        free: dict[str, list[str]] = {}
        for member in sorted(removable):
            free.setdefault(who(member), []).append(now[member])
        changed, adds = {}, []
        placed = {who(member) for member in now.keys() - removable}
        for member in sorted(self.ids - now.keys() - {self.first}):
            if free.get(who(member)):
                changed[free[who(member)].pop(0)] = member
            elif ":" in member or member not in placed:
                adds.append(member)
        return Changes(adds, changed, [row for rows in free.values() for row in rows])


class Changes(NamedTuple):
    """Members to add, row ids with the member that each becomes, and row ids to remove."""

    adds: list[str]
    changed: dict[str, str]
    removes: list[str]


JUNCTIONS: Mapping[str, tuple[Junction, ...]] = {
    "Opportunity": (
        Junction("ContactIds", "OpportunityContactRole", "OpportunityId", "ContactId", ("Contact",)),
        Junction("ContactRoles", "OpportunityContactRole", "OpportunityId", "ContactId", ("Contact",), role="Role"),
    ),
    # An invited user gets a child event of his own; contacts and leads get only an EventRelation (Object Reference).
    "Event": (
        Junction("WhoIds", "EventRelation", "EventId", "RelationId", ("Contact", "Lead"),
                 first="WhoId", prefixes=("003", "00Q"), optional=True),
    ),
}  # fmt: skip


def listed_in(object: str, fields: Iterable[str]) -> Junction | None:
    """The junction whose list is among these fields of an object. Raises Invalid where two show the same rows."""
    names = set(fields)
    found = [each for each in JUNCTIONS.get(object, ()) if each.field in names]
    if len(found) > 1:
        both = " and ".join(each.field for each in found)
        raise Invalid(f"{both} of {object} are the same rows of {found[0].object}: map one of them",
                      field=found[-1].field, owner="ops")
    return found[0] if found else None
