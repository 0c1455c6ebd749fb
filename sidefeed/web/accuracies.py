"""How far to rely on each way of forecasting: what it says of this quarter, and how far it was off in finished ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, HTTPException
from fastapi.responses import HTMLResponse

from sidefeed.forecast.accuracy import Assessment, assess
from sidefeed.forecast.frames import plain
from sidefeed.forecast.hierarchy import EVERYONE, Hierarchy
from sidefeed.forecast.methods import ENOUGH
from sidefeed.forecast.periods import Period
from sidefeed.forecast.scope import Scope
from sidefeed.forecast.view import View as ForecastView
from sidefeed.web.desk import SignedIn
from sidefeed.web.view import View, view_of
from sidefeed.workspace import Transaction

router = APIRouter(include_in_schema=False)

WORDS = {"last period": "The same as last quarter", "category": "Won and committed", "submission": "What was submitted",
         "pace": "The usual pace", "survival": "Deals like these before"}


@dataclass(frozen=True, slots=True)
class _Seen(ForecastView):
    """A view that counts the deals of these owners: those of the chosen node that the visitor may see."""

    owners: frozenset[str] | None = None

    def scope(self, tx: Transaction, tree: Hierarchy | None = None) -> Scope:
        return Scope(self.measure, self.period.start, self.period.end, self.owners)


@router.get("/accuracy")
def accuracy(visitor: SignedIn) -> HTMLResponse:
    if not visitor.person.sees_amounts:
        raise HTTPException(403, "How far forecasts were off is told in amounts, and your role sees none.")
    view = view_of(visitor)
    found, fresh = visitor.desk.board.figure(
        f"accuracy {view.node.key} {view.owners}", visitor.snapshot.rev, lambda: _assessed(view))
    if found is None:
        return visitor.render("accuracy.html", view=view, found=None, fresh=False, period=None)
    return visitor.render(
        "accuracy.html", view=view, found=found, fresh=fresh, period=found.period.name, words=WORDS, enough=ENOUGH,
        predicted=_of(found.predicted, view.currency), tested=_of(found.accuracy, view.currency),
        calibration=_dicts(found.calibration), periods=[one.name for one in found.tested])


def _assessed(view: View) -> Assessment:
    seen = _Seen(view.visitor.now.date(), Period("all", None, None), None,
                 EVERYONE if view.node is view.root and view.owners is None else view.node.key, "won",
                 owners=view.owners)
    with view.visitor.desk.store.read() as tx:
        return assess(tx, seen, view.visitor.desk.board.quarters.calendar)


def _of(table: Any, currency: str) -> list[dict[str, Any]]:
    return [row for row in _dicts(table) if row["currency"] == currency]


def _dicts(table: Any) -> list[dict[str, Any]]:
    columns = [plain(table[name]) for name in table.columns]
    return [dict(zip(table.columns, row, strict=True)) for row in zip(*columns, strict=True)]
