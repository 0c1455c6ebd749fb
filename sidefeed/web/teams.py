"""The tree that a forecast is rolled up by, and whose deals stand where.

Teams that were entered for the forecast (`sidefeed.forecast.hierarchy`) decide. Where none were, each manager of
``[people]`` leads a team of those below.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from sidefeed.forecast.hierarchy import EVERYONE, Hierarchy, build, hierarchy
from sidefeed.web.access import Person
from sidefeed.web.board import Snapshot
from sidefeed.workspace import Transaction

NOBODY = "nobody"


@dataclass(slots=True)
class Node:
    """A team, a person by the id of the user, or everybody. ``owners`` are the ids whose deals count to it."""

    key: str
    name: str
    depth: int = 0
    owners: frozenset[str] = frozenset()
    children: list[Node] = field(default_factory=list)
    team: bool = False

    def walk(self) -> Iterator[Node]:
        yield self
        for child in self.children:
            yield from child.walk()


def teams(tx: Transaction, people: Mapping[str, Person], snapshot: Snapshot, on: date) -> Hierarchy:
    """The teams of a day: those entered for the forecast, else those of ``[people]``."""
    entered = hierarchy(tx, on)
    return entered if entered.parent else build(_memberships(people, snapshot))


def _memberships(people: Mapping[str, Person], snapshot: Snapshot) -> Iterator[dict[str, Any]]:
    ids: dict[str, list[str]] = {}
    for id, (_name, email) in snapshot.users.items():
        ids.setdefault(email, []).append(id)
    leads = {person.manager for person in people.values() if person.manager}
    for person in people.values():
        team = _team(person) if person.email in leads else ""
        above = _team(people[person.manager]) if person.manager in people else ""
        if team and above:
            yield {"node": above, "member": team, "kind": "team", "role": "member"}
        if team or above:
            for id in ids.get(person.email, ()):
                yield {"node": team or above, "member": id, "kind": "person", "role": "lead" if team else "member"}


def _team(person: Person) -> str:
    return f"{person.name}'s team"


def tree(found: Hierarchy, snapshot: Snapshot, visible: frozenset[str] | None) -> Node:
    """Everybody whose deals a visitor may see; owners in no team stand at the top, and so do nobody's deals."""
    owning = {owner for owner, _quarter, _money in snapshot.cube.cells if visible is None or owner in visible}
    root = Node(EVERYONE, "Everybody" if visible is None else "All you see", owners=frozenset(owning), team=True)
    root.children = [node for node in (_grow(one, found, snapshot, visible, 1) for one in found.children(EVERYONE))
                     if node is not None]
    placed = frozenset[str]().union(*(node.owners for node in root.children))
    for owner in sorted(owning - placed, key=lambda one: (not one, snapshot.owner_name(one).casefold())):
        name = snapshot.owner_name(owner) if owner else "Nobody's deals"
        root.children.append(Node(owner or NOBODY, name, 1, frozenset((owner,))))
    if visible is not None and len(root.children) == 1 and root.children[0].team:
        return _raised(root.children[0])
    return root


def _grow(key: str, found: Hierarchy, snapshot: Snapshot, visible: frozenset[str] | None, depth: int) -> Node | None:
    """A node with what is below, leads first; None where the visitor sees nobody of it."""
    if key in found.people:
        seen = visible is None or key in visible
        return Node(key, snapshot.owner_name(key), depth, frozenset((key,))) if seen else None
    lead = {id for ids in found.leads.values() for id in ids}
    below = [node for node in (_grow(one, found, snapshot, visible, depth + 1) for one in found.children(key))
             if node is not None]
    below.sort(key=lambda node: (not node.team, node.key not in lead, node.name.casefold()))
    owners = frozenset[str]().union(*(node.owners for node in below))
    return Node(key, key, depth, owners, below, team=True) if below else None


def _raised(node: Node) -> Node:
    """The same branch, one step nearer to the root."""
    node.depth -= 1
    for child in node.children:
        _raised(child)
    return node
