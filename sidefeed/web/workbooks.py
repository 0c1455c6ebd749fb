"""The forecast and the deals as a workbook, with what the signed-in person sees, and nothing of anybody else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from io import BytesIO
from threading import Lock

import pandas as pd
from fastapi import APIRouter, HTTPException
from fastapi.responses import Response

from sidefeed.forecast import workbook
from sidefeed.forecast.bridge import Bridge
from sidefeed.forecast.export import write_workbook
from sidefeed.forecast.frames import deals_in
from sidefeed.forecast.overview import forecast_in
from sidefeed.web.board import Sides
from sidefeed.web.deals import order, selection, table
from sidefeed.web.desk import SignedIn
from sidefeed.web.forecasts import SINCE, chosen, moves_of, start_of
from sidefeed.web.sums import select
from sidefeed.web.view import View, view_of

router = APIRouter(include_in_schema=False)

EXCEL = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
LONG = 60.0
"""Seconds that a file waits for what a page would show later."""
_ONE = Lock()
"""One workbook at a time: it holds every deal, and two would take the pages' memory and processor from everybody."""


@router.get("/forecast.xlsx")
def forecast(visitor: SignedIn) -> Response:
    """The roll-up, each system's bridge, the waterfall, the trust stamp and the deals, as the page shows them."""
    if not visitor.person.sees_amounts:
        raise HTTPException(403, "A forecast in a workbook is amounts, and your role sees none. The deals without them "
                                 "are on the page Deals.")
    view = view_of(visitor)
    since = chosen(visitor)
    start, told = start_of(view, since)
    with _ONE:
        sides, _fresh = visitor.desk.board.sides(visitor.snapshot, LONG)
        with visitor.desk.store.read() as tx:
            found = forecast_in(tx, visitor.desk.mappings, view.report, None if sides is None else sides.frames)
            everything = replace(view.scope, measure="all")
        bridges = {} if sides is None else _bridges(view, sides)
        sheets = {**workbook.sheets(found), **workbook.bridge_sheets(bridges)}
        sheets["Deals"] = found.deals[[everything.counts(deal) for deal in deals_in(found.deals)]]
        moved = None if start is None else moves_of(view, start, LONG)[0]
        sheets |= {} if moved is None else workbook.waterfall_sheets(moved)
        about = workbook.about(found.view, found.stamp.sentence(), found.problems, view.node.name)
        about |= {"Systems": "never compared" if sides is None else f"as of {sides.snapshot.as_of}",
                  "Waterfall": told or f"since {SINCE[since]}",
                  "Made for": f"{visitor.person.name}; it holds what this person may see"}
        return _file(sheets, about, f"forecast-{view.quarter or 'any-time'}")


def _bridges(view: View, sides: Sides) -> dict[str, Bridge]:
    """The bridges that the page shows."""
    board = view.visitor.desk.board
    made = {system: board.bridge(sides, system, view.scope, view.version, LONG)[0]
            for system in board.systems if system in sides.deals}
    return {system: one[1] for system, one in made.items() if one is not None}


@router.get("/deals.xlsx")
def deals(visitor: SignedIn) -> Response:
    """The selected deals, all of them; without amounts for a role that sees none."""
    sort, descending = order(visitor)
    with _ONE:
        found = table(visitor, select(visitor.snapshot, selection(visitor), sort, descending=descending))
        return _file({"Deals": found}, {"What": "Sidefeed deals", "As of": visitor.snapshot.as_of,
                                        "Made for": visitor.person.name}, "deals")


def _file(sheets: Mapping[str, pd.DataFrame], about: Mapping[str, str], name: str) -> Response:
    out = BytesIO()
    write_workbook(sheets, out, about)
    return Response(out.getvalue(), media_type=EXCEL,
                    headers={"content-disposition": f'attachment; filename="sidefeed-{name}.xlsx"'})
