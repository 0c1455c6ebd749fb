"""What a forecast page is about: whose deals, closing when, in which currency."""

from __future__ import annotations

from dataclasses import dataclass

from sidefeed.forecast.periods import Period
from sidefeed.web.desk import Visitor
from sidefeed.web.sums import Selection
from sidefeed.web.teams import Node, teams, tree

ANY_TIME = "all"


@dataclass(slots=True)
class View:
    """What a forecast page is about."""

    visitor: Visitor
    quarter: str
    """Empty for any time."""
    currency: str
    root: Node
    node: Node

    @property
    def owners(self) -> frozenset[str] | None:
        """None where everybody's deals count, so that a deal of somebody unknown is never left out."""
        return self.visitor.owners if self.node is self.root else self.node.owners

    @property
    def selection(self) -> Selection:
        return Selection(self.owners, quarter=self.quarter)

    @property
    def period(self) -> Period | None:
        """None for any time: nobody promises a number without a last day."""
        return self.visitor.desk.board.quarters.period(self.quarter)

    @property
    def query(self) -> dict[str, str]:
        return {"quarter": self.quarter or ANY_TIME, "who": self.node.key, "currency": self.currency}


def view_of(visitor: Visitor) -> View:
    """The view that the address asks for; what it names and nobody has becomes the nearest that there is."""
    query, cube = visitor.request.query_params, visitor.snapshot.cube
    with visitor.desk.store.read() as tx:
        root = tree(teams(tx, visitor.desk.people, visitor.snapshot, visitor.now.date()), visitor.snapshot,
                    visitor.owners)
    node = next((one for one in root.walk() if one.key == query.get("who")), root)
    currencies = cube.currencies(visitor.owners)
    currency = query.get("currency", "")
    wanted = query.get("quarter", "")
    quarter = "" if wanted == ANY_TIME else wanted if wanted in quarters(visitor) else this_quarter(visitor)
    return View(visitor, quarter, currency if currency in currencies else (currencies or [""])[0], root, node)


def this_quarter(visitor: Visitor) -> str:
    return visitor.desk.board.quarters.of(visitor.now.date())


def quarters(visitor: Visitor) -> list[str]:
    """Every quarter that something closes in, and this one."""
    found = {one for one in visitor.snapshot.cube.quarters(visitor.owners) if "-Q" in one}
    return sorted(found | {this_quarter(visitor)})
