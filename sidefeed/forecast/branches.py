"""The tree that a forecast is shown by: the teams of a day, the people in them, and everybody else's deals.

One walk serves the roll-up of the command line and of a notebook, and the page, which shows each visitor what that
person may see.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from sidefeed.forecast.hierarchy import EVERYONE, NOBODY, Hierarchy


@dataclass(slots=True)
class Branch:
    """``key``: the team, the id of a person, `EVERYONE` or `NOBODY`; ``kind``: root, team, person or nobody;
    ``parent``: the key above, None for the first; ``owners``: the ids whose deals count to it (``""``: nobody's)."""

    key: str
    name: str
    kind: str
    parent: str | None = None
    level: int = 0
    owners: frozenset[str] = frozenset()
    children: list[Branch] = field(default_factory=list)

    def walk(self) -> Iterator[Branch]:
        """This branch and all below it, each before what is below."""
        yield self
        for child in self.children:
            yield from child.walk()


def branches(
    tree: Hierarchy, owning: Collection[str], names: Mapping[str, str], *, top: str = EVERYONE,
    visible: frozenset[str] | None = None,
) -> Branch:
    """The tree below ``top``: teams first, those who lead before the others, then by name.

    ``owning``: the owners that there are deals of (``""``: nobody); those in no team stand below the root. With
    ``visible`` only these owners are shown, and a team only where one of its people is.
    """
    return _Grower(tree, owning, names, visible).grow(top, None, 0)


class _Grower:
    def __init__(self, tree: Hierarchy, owning: Collection[str], names: Mapping[str, str],
                 visible: frozenset[str] | None) -> None:
        self.tree, self.names, self.visible = tree, names, visible
        self.owning = {owner for owner in owning if self.sees(owner)}
        self.leads = {id for ids in tree.leads.values() for id in ids}
        self.below: dict[str, list[str]] = {}
        for child, parent in tree.parent.items():
            self.below.setdefault(parent, []).append(child)
        self.teams = set(tree.teams)

    def sees(self, owner: str) -> bool:
        return self.visible is None or owner in self.visible

    def grow(self, key: str, parent: str | None, level: int) -> Branch:
        kind = "root" if key == EVERYONE else "team" if key in self.teams else "person"
        made = Branch(key, self.names.get(key, "Everyone" if key == EVERYONE else key), kind, parent, level)
        if kind == "person":
            made.owners = frozenset((key,))
            return made
        top = self.tree.children(EVERYONE) if key == EVERYONE else self.below.get(key, [])
        made.children = sorted((self.grow(child, key, level + 1) for child in top if self.shows(child)), key=self.order)
        if key == EVERYONE:
            made.children += self.loose(key, level + 1)
        made.owners = frozenset[str]().union(*(child.owners for child in made.children))
        return made

    def shows(self, key: str) -> bool:
        return self.sees(key) if key not in self.teams else self.visible is None or any(
            self.shows(child) for child in self.below.get(key, ()))

    def loose(self, key: str, level: int) -> Iterator[Branch]:
        """Those who own deals and belong to no team, and nobody."""
        yield from sorted((self.grow(owner, key, level) for owner in self.owning
                           if owner and owner not in self.tree.parent), key=self.order)
        if "" in self.owning:
            yield Branch(NOBODY, self.names.get(NOBODY, "Nobody"), "nobody", key, level, frozenset(("",)))

    def order(self, branch: Branch) -> tuple[bool, bool, str, str]:
        return branch.kind != "team", branch.key not in self.leads, branch.name.casefold(), branch.key
