"""How far to rely on each way of forecasting: what it says of this quarter, and how far it was off in finished ones."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fastapi import APIRouter, HTTPException
from fastapi.responses import HTMLResponse

from sidefeed.forecast.accuracy import Assessment, assess
from sidefeed.forecast.frames import plain
from sidefeed.forecast.methods import ENOUGH
from sidefeed.web.desk import SignedIn
from sidefeed.web.view import ALL, View, view_of

router = APIRouter(include_in_schema=False)

WORDS = {"last period": "The same as last quarter", "category": "Won and committed", "submission": "What was submitted",
         "pace": "The usual pace", "survival": "Deals like these before"}


@router.get("/accuracy")
def accuracy(visitor: SignedIn) -> HTMLResponse:
    if not visitor.person.sees_amounts:
        raise HTTPException(403, "How far forecasts were off is told in amounts, and your role sees none.")
    view = view_of(visitor)
    made, fresh = visitor.desk.board.figure(
        f"accuracy {view.node.key} {view.owners} {view.query['currency']}", (visitor.snapshot.rev, view.version),
        lambda: _assessed(view))
    if made is None:
        return visitor.render("accuracy.html", view=view, found=None, fresh=False, period=None)
    found, submitted = made
    return visitor.render(
        "accuracy.html", view=view, found=found, fresh=fresh, period=found.period.name, words=WORDS, enough=ENOUGH,
        predicted=_of(found.predicted, view.currency, submitted=submitted),
        tested=_of(found.accuracy, view.currency, submitted=submitted),
        calibration=_dicts(found.calibration), periods=[one.name for one in found.tested])


def _assessed(view: View) -> tuple[Assessment, bool]:
    """What each method says and was off by, and whether what was submitted may be told with it."""
    with view.visitor.desk.store.read() as tx:
        report = replace(view.report, period=ALL, measure="won")
        return (assess(tx, report, view.visitor.desk.board.quarters.calendar),
                view.visitor.owners is None or bool(report.told(tx, [report.node])))


def _of(table: Any, currency: str, *, submitted: bool) -> list[dict[str, Any]]:
    return [row for row in _dicts(table) if row["currency"] == currency and (
        submitted or row["method"] != "submission")]


def _dicts(table: Any) -> list[dict[str, Any]]:
    columns = [plain(table[name]) for name in table.columns]
    return [dict(zip(table.columns, row, strict=True)) for row in zip(*columns, strict=True)]
