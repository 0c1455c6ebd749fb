"""What a forecast page is about: whose deals, closing when, in which currency."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from sidefeed.forecast.branches import Branch, branches
from sidefeed.forecast.hierarchy import EVERYONE, NOBODY, Hierarchy
from sidefeed.forecast.periods import Period
from sidefeed.forecast.rates import rates
from sidefeed.forecast.scope import Scope
from sidefeed.forecast.view import View as Report
from sidefeed.web.converted import Converted
from sidefeed.web.desk import Visitor
from sidefeed.web.sums import Cube, in_scope

ANY_TIME = "all"
TOGETHER = "all"
ALL = Period(ANY_TIME, None, None)
MOST_NODES = 60
"""A tree with more is shown one level at a time."""


@dataclass(slots=True)
class View:
    """What a forecast page is about."""

    visitor: Visitor
    quarter: str
    """Empty for any time."""
    currency: str
    root: Branch
    node: Branch
    converted: Converted | None = None
    """Every deal in ``currency``, the reporting currency; None where the page is about the deals in it alone."""

    @property
    def cube(self) -> Cube:
        """The deals added up, in the currency of the page."""
        return self.visitor.snapshot.cube if self.converted is None else self.converted.cube

    @property
    def scope(self) -> Scope:
        """The deals that the headline counts, and with how much."""
        return replace(in_scope(self.period, self.owners),
                       convert=None if self.converted is None else self.converted.rates)

    @property
    def version(self) -> Any:
        """What figures of this view depend on besides the deals: the rates, where there are any."""
        return None if self.converted is None else self.converted.key

    @property
    def owners(self) -> frozenset[str] | None:
        """None where everybody's deals count, so that a deal of somebody unknown is never left out."""
        return self.visitor.owners if self.node is self.root else self.node.owners

    @property
    def period(self) -> Period | None:
        """None for any time: nobody promises a number without a last day."""
        return self.visitor.desk.board.quarters.period(self.quarter)

    @property
    def report(self) -> Report:
        """The same question, as `sidefeed.forecast` is asked it: of what the visitor may see, and nothing else."""
        return replace(_report(self.visitor), period=self.period or ALL, node=self.node.key,
                       into="" if self.converted is None else self.currency)

    @property
    def choices(self) -> list[Branch]:
        """The nodes that may be chosen next: all, or of a large tree the way to the chosen one and what is below it."""
        nodes = list(self.root.walk())
        if len(nodes) <= MOST_NODES:
            return nodes
        below = {child.key for child in self.node.children}
        return [node for node in nodes if node.level <= 1 or node.key in below or self.node in node.walk()]

    @property
    def query(self) -> dict[str, str]:
        return {"quarter": self.quarter or ANY_TIME, "who": self.node.key,
                "currency": self.currency if self.converted is None else TOGETHER}

    @property
    def currencies(self) -> list[tuple[str, str]]:
        """What the page may be in: (value of the choice, what to call it)."""
        own = self.visitor.snapshot.cube.currencies(self.visitor.owners)
        together = [(TOGETHER, f"all, in {self.visitor.desk.currency}")] if reports(self.visitor) else []
        return together + [(one, f"{one} alone" if together else one) for one in own]


def view_of(visitor: Visitor) -> View:
    """The view that the address asks for; what it names and nobody has becomes the nearest that there is."""
    query, cube = visitor.request.query_params, visitor.snapshot.cube
    root = root_of(visitor)
    node = next((one for one in root.walk() if one.key == query.get("who")), root)
    currencies = cube.currencies(visitor.owners)
    currency = query.get("currency", "")
    converted = _converted(visitor) if reports(visitor) and currency not in currencies else None
    chosen = currency if currency in currencies else (currencies or [""])[0]
    wanted = query.get("quarter", "")
    quarter = "" if wanted == ANY_TIME else wanted if wanted in quarters(visitor) else this_quarter(visitor)
    return View(visitor, quarter, chosen if converted is None else visitor.desk.currency, root, node, converted)


def reports(visitor: Visitor) -> bool:
    """Whether there is a reporting currency, and not every deal that the visitor sees is in it."""
    into = visitor.desk.currency
    return bool(into and set(visitor.snapshot.cube.currencies(visitor.owners)) - {into})


def _converted(visitor: Visitor) -> Converted:
    with visitor.desk.store.read() as tx:
        found = rates(tx, visitor.desk.currency, visitor.today)
    return visitor.desk.converter.convert(visitor.snapshot, found)


def _report(visitor: Visitor) -> Report:
    return Report(visitor.today, ALL, zone=visitor.desk.zone, led=visitor.desk.people, seen=visitor.owners)


def root_of(visitor: Visitor) -> Branch:
    """The tree of today's teams, of what a visitor may see."""
    with visitor.desk.store.read() as tx:
        return tree(_report(visitor).tree(tx), visitor)


def tree(found: Hierarchy, visitor: Visitor) -> Branch:
    """Everybody whose deals a visitor may see. Where all of them are one team, that team is the root."""
    owning = {owner for owner, _quarter, _money in visitor.snapshot.cube.cells}
    names = {id: name for id, (name, _email) in visitor.snapshot.users.items()} | {
        NOBODY: "Nobody's deals", EVERYONE: "Everybody" if visitor.owners is None else "All you see"}
    root = branches(found, owning, names, visible=visitor.owners)
    if visitor.owners is not None and len(root.children) == 1 and root.children[0].kind == "team":
        root = root.children[0]
        for one in root.walk():
            one.level -= 1
    return root


def shown(node: Branch) -> list[Branch]:
    """A node and what is below it; one level where that is much."""
    nodes = list(node.walk())
    return nodes if len(nodes) <= MOST_NODES else [node, *node.children]


def this_quarter(visitor: Visitor) -> str:
    return visitor.desk.board.quarters.of(visitor.today)


def quarters(visitor: Visitor) -> list[str]:
    """Every quarter that something closes in, and this one."""
    found = {one for one in visitor.snapshot.cube.quarters(visitor.owners) if "-Q" in one}
    return sorted(found | {this_quarter(visitor)})
