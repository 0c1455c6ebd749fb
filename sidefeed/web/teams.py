"""The tree of people that a forecast is rolled up by: who leads whom, and whose deals stand where."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from sidefeed.web.access import Person
from sidefeed.web.board import Snapshot

EVERYBODY = "everybody"
NOBODY = "nobody"


@dataclass(slots=True)
class Node:
    """One person, or everybody. ``own`` are the ids that the person's deals carry; ``owners`` also those below."""

    key: str
    name: str
    depth: int = 0
    own: frozenset[str] = frozenset()
    owners: frozenset[str] = frozenset()
    children: list[Node] = field(default_factory=list)

    def walk(self) -> Iterator[Node]:
        yield self
        for child in self.children:
            yield from child.walk()


def tree(people: Mapping[str, Person], snapshot: Snapshot, visible: frozenset[str] | None) -> Node:
    """Everybody whose deals a visitor may see. Owners that no manager leads stand at the top."""
    ids: dict[str, set[str]] = {}
    for id, (_name, email) in snapshot.users.items():
        ids.setdefault(email or id, set()).add(id)
    seen = {email: person for email, person in people.items()
            if visible is None or ids.get(email, set()) & visible or any(
                below.manager == email and ids.get(one, set()) & visible for one, below in people.items())}
    below: dict[str, list[Person]] = {}
    for person in seen.values():
        below.setdefault(person.manager if person.manager in seen else "", []).append(person)
    root = Node(EVERYBODY, "Everybody" if visible is None else "All you see")
    root.children = [_grow(person, below, ids, 1) for person in _by_name(below.get("", []))]
    root.children = [child for child in root.children if child.owners]
    placed = frozenset[str]().union(*(node.owners for node in root.children))
    owning = {owner for owner, _quarter, _money in snapshot.cube.cells if visible is None or owner in visible}
    for owner in sorted(owning - placed, key=lambda one: (not one, snapshot.owner_name(one).casefold())):
        name = snapshot.owner_name(owner) if owner else "Nobody's deals"
        root.children.append(Node(owner or NOBODY, name, 1, frozenset((owner,)), frozenset((owner,))))
    root.owners = frozenset(owning).union(*(node.owners for node in root.children))
    return root


def _grow(person: Person, below: Mapping[str, list[Person]], ids: Mapping[str, set[str]], depth: int) -> Node:
    own = frozenset(ids.get(person.email, ()))
    children = [_grow(one, below, ids, depth + 1) for one in _by_name(below.get(person.email, []))]
    children = [child for child in children if child.owners]
    return Node(person.email, person.name, depth, own, own.union(*(child.owners for child in children)), children)


def _by_name(people: list[Person]) -> list[Person]:
    return sorted(people, key=lambda one: one.name.casefold())
