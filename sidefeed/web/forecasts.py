"""The forecast: one number, how far it can be trusted, why it differs from each system, and why it moved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from fastapi import APIRouter, HTTPException
from fastapi.responses import HTMLResponse

from sidefeed.forecast.frames import EXACT, plain
from sidefeed.forecast.history import end_of, first_reading
from sidefeed.forecast.moves import Explained, explain
from sidefeed.web import charts, promises, trust
from sidefeed.web.board import PATIENCE, Sides
from sidefeed.web.converted import side_cubes
from sidefeed.web.desk import SignedIn, Visitor, url
from sidefeed.web.sums import (
    CATEGORIES,
    COMMITTED,
    Cube,
    Sum,
    page_number,
    pages,
    together,
)
from sidefeed.web.told import BRIDGE_TOLD, MOVES_TOLD
from sidefeed.web.view import ANY_TIME, View, quarters, shown, view_of
from sidefeed.workspace.clock import utc_text

router = APIRouter(include_in_schema=False)

ROWS = 100
SINCE = {"week": "last week", "day": "yesterday", "month": "a month ago", "quarter": "the quarter began",
         "first": "the first reading"}


@router.get("/")
def forecast(visitor: SignedIn) -> HTMLResponse:
    view = view_of(visitor)
    snapshot = visitor.snapshot
    sides, fresh = visitor.desk.board.sides(snapshot)
    own = view.cube.by_owner(view.owners, view.quarter, view.currency)
    total = together(own.values())
    with visitor.desk.store.read() as tx:
        stamp = trust.stamp(tx, view, total.committed)
        said = promises.said(tx, view)
    told = said.get(view.node.key, {})
    undated = together(view.cube.by_owner(view.owners, "no date", view.currency).values()).deals
    return visitor.render(
        "forecast.html", view=view, total=total, between=trust.between(stamp, view.currency), fresh=fresh,
        undated=undated if view.quarter else 0, stamp=trust.marks(view, stamp),
        quarters=quarters(visitor), any_time=ANY_TIME,
        rows=_rows(view, own, sides, said),
        systems=[{"system": name, "name": visitor.source(name)} for name in visitor.desk.board.systems],
        categories=CATEGORIES, since=SINCE, chosen=chosen(visitor), mix=_mix(total),
        told=told, adjusted=promises.adjusted(total.committed, told), entries=promises.entries(view),
        may=promises.may(view), apart=view.converted.apart(view.owners, view.quarter) if view.converted else {},
        unconverted=view.converted.problems(view.scope) if view.converted else [])


def _mix(total: Sum) -> list[charts.Piece]:
    parts = [(one, max(total.of(one), Decimal(0))) for one in CATEGORIES[:4]]
    return charts.stacked(parts, sum((value for _one, value in parts), Decimal(0)))


def _rows(
    view: View, own: dict[str, Sum], sides: Sides | None, said: dict[str, dict[str, Any]]
) -> list[dict[str, Any]]:
    """The tree of the chosen node: ours by category, and each system's committed total."""
    there = {system: cube.by_owner(view.owners, view.quarter, view.currency)
             for system, cube in _cubes(view, sides).items()}
    rows, top = list[dict[str, Any]](), Decimal(0)
    for node in shown(view.node):
        total = together(own[owner] for owner in node.owners if owner in own)
        top = max(top, total.of(*CATEGORIES[:4]))
        rows.append({"node": node, "depth": node.level - view.node.level, "total": total,
                     "said": said.get(node.key, {}), "systems": {
            system: together(sums[owner] for owner in node.owners if owner in sums).committed
            for system, sums in there.items()}})
    for row in rows:
        row["bar"] = charts.stacked([(one, row["total"].of(one)) for one in CATEGORIES[:4]], top)
    return rows


def _cubes(view: View, sides: Sides | None) -> Mapping[str, Cube]:
    """What each system holds, in the currency of the page; nothing until it has been added up."""
    if sides is None:
        return {}
    if view.converted is None:
        return sides.cubes
    return side_cubes(view.visitor.desk.board, sides, view.converted.rates) or {}


@router.get("/forecast/captured")
def captured(visitor: SignedIn) -> HTMLResponse:
    """A part of the page: how much of the work is captured."""
    view = view_of(visitor)
    found = trust.captured(view)
    if found is None:
        return visitor.render("parts/waiting.html", view=view, again="/forecast/captured", query=view.query,
                              what="Being counted")
    return visitor.render("parts/captured.html", rows=[row for row in found if row["of"]])


# -- why it differs from a system -----------------------------------------------------------------------------------


@router.get("/forecast/bridge/{system}")
def bridge_card(visitor: SignedIn, system: str) -> HTMLResponse:
    """A part of the page: the steps from one system's total to ours."""
    view = view_of(visitor)
    found = _bridge(view, system)
    if found is None:
        return visitor.render("parts/waiting.html", view=view, again=visitor.request.url.path, query=view.query,
                              what=f"Comparing with {visitor.source(system)}, deal by deal")
    sides, made, fresh = found
    steps = _steps(made.steps, view.currency)
    total, moves, end = steps[0], [one for one in steps[1:-1] if one["deals"]], steps[-1]
    there = together(_cubes(view, sides).get(system, sides.cubes[system]).by_owner(
        view.owners, view.quarter, view.currency).values())
    bars = charts.steps((visitor.source(system), total["amount"]),
                        [(one["step"], one["step"], one["amount"]) for one in moves], ("Sidefeed", end["amount"]))
    return visitor.render("parts/bridge.html", view=view, system=system, bars=bars, told=BRIDGE_TOLD, moves=moves,
                          fresh=fresh, total=total["amount"], made=sides.snapshot.as_of,
                          difference_now=EXACT.subtract(end["amount"], total["amount"]),
                          deals=there.number(*COMMITTED),
                          address=lambda step: url(f"/forecast/bridge/{system}/{step}", **view.query))


@router.get("/forecast/bridge/{system}/{step}")
def bridge_deals(visitor: SignedIn, system: str, step: str, page: str = "1") -> HTMLResponse:
    """The deals of one step, with both values, and who wrote ours."""
    view = view_of(visitor)
    found = _bridge(view, system)
    if found is None:
        return visitor.render("bridge_deals.html", view=view, system=system, step=step, rows=None, found=0, page=1,
                              last=1, size=ROWS, sum=Decimal(0))
    _sides, made, _fresh = found
    table = made.deals[(made.deals["step"] == step)]
    rows = [row for row in _dicts(table) if row["currency"] in (view.currency, None)]
    shown, number, last = pages(rows, page_number(page), ROWS)
    return visitor.render("bridge_deals.html", view=view, system=system, step=step, rows=shown, found=len(rows),
                          page=number, last=last, size=ROWS, sum=_total(row["amount"] for row in rows))


def _bridge(view: View, system: str) -> tuple[Sides, Any, bool] | None:
    board = view.visitor.desk.board
    if system not in board.systems:
        raise HTTPException(404, f"No system {system!r} holds deals.")
    sides, fresh = board.sides(view.visitor.snapshot)
    if sides is None or system not in sides.deals:  # a mapping that names another system was adopted since
        return None
    found, newest = board.bridge(sides, system, view.scope, view.version)
    return None if found is None else (*found, fresh and newest)


def _steps(table: Any, currency: str) -> list[dict[str, Any]]:
    """The rows of one currency. Where nothing counts in it, the bridge leads from nought to nought."""
    rows = [row for row in _dicts(table) if row["currency"] == currency]
    nought = {"currency": currency, "amount": Decimal(0), "deals": None}
    return rows or [{"step": "total", **nought}, {"step": "reconciled total", **nought}]


def _dicts(table: Any) -> list[dict[str, Any]]:
    columns = [plain(table[name]) for name in table.columns]
    return [dict(zip(table.columns, row, strict=True)) for row in zip(*columns, strict=True)]


def _total(amounts: Any) -> Decimal:
    result = Decimal(0)
    for amount in amounts:
        result = EXACT.add(result, amount or Decimal(0))
    return result


# -- why it moved ---------------------------------------------------------------------------------------------------


def chosen(visitor: Visitor) -> str:
    """The day that the address compares with, by a key of `SINCE`."""
    wanted = visitor.request.query_params.get("since", "week")
    return wanted if wanted in SINCE else "week"


@router.get("/forecast/moves")
def moves_card(visitor: SignedIn) -> HTMLResponse:
    """A part of the page: what made the number move since another day."""
    view = view_of(visitor)
    since = chosen(visitor)
    start, told = start_of(view, since)
    if start is None:
        return visitor.render("parts/moves.html", view=view, note=told, found=None, fresh=True, chosen=since)
    found, fresh = moves_of(view, start)
    if found is None:
        return visitor.render("parts/waiting.html", view=view, again=visitor.request.url.path,
                              query={**view.query, "since": since}, what="Rebuilding the deals of that day")
    steps = _steps(found.steps, view.currency)
    moved = [one for one in steps[1:-1] if one["deals"]]
    bars = charts.steps((f"{start:%-d %b, %H:%M}", steps[0]["amount"]),
                        [(one["step"], one["step"], one["amount"]) for one in moved], ("now", steps[-1]["amount"]))
    return visitor.render("parts/moves.html", view=view, note=told, told=MOVES_TOLD, found=found, bars=bars,
                          moves=moved, start=start, fresh=fresh, chosen=since, end=steps[-1],
                          address=lambda step: url(f"/forecast/moves/{step}", since=since, **view.query),
                          gross=sum(one["moves"] for one in _dicts(found.gross) if one["currency"] == view.currency))


@router.get("/forecast/moves/{step}")
def moved_deals(visitor: SignedIn, step: str, page: str = "1") -> HTMLResponse:
    """The deals of one step of the waterfall: what they were, what they are, and who did it."""
    view = view_of(visitor)
    start, told = start_of(view, chosen(visitor))
    found, _fresh = moves_of(view, start) if start is not None else (None, True)
    rows = [] if found is None else [
        row for row in _dicts(found.deals[found.deals["step"] == step]) if row["currency"] in (view.currency, None)]
    shown, number, last = pages(rows, page_number(page), ROWS)
    return visitor.render("moved_deals.html", view=view, step=step, rows=None if found is None else shown, start=start,
                          told=told, found=len(rows), page=number, last=last, size=ROWS, chosen=chosen(visitor),
                          sum=_total(row["amount"] for row in rows))


def moves_of(view: View, start: datetime, patience: float = PATIENCE) -> tuple[Explained | None, bool]:
    """Why the number moved, and whether that is of this moment."""
    board, store = view.visitor.desk.board, view.visitor.desk.store
    with store.read() as tx:
        scopes = view.report.scopes(tx, start)
    # The last scope of a converted report is that of this moment, which is another one each time.
    settled = scopes if view.converted is None else scopes[:-1]
    asked = [(utc_text(at), replace(scope, convert=None)) for at, scope in settled]
    return board.figure(f"moves {utc_text(start)} {view.query['currency']} {asked}",
                        (view.visitor.snapshot.rev, view.version),
                        lambda: explain(store, start, max(start, store.now()), scopes), patience)


def start_of(view: View, chosen: str) -> tuple[datetime | None, str]:
    """The moment to compare with, and what to tell about it where it is not the one asked for."""
    today, zone = view.visitor.today, view.visitor.desk.zone
    with view.visitor.desk.store.read() as tx:
        first = first_reading(tx)
    if first is None:
        return None, "No deal has been read yet, so there is nothing to compare with."
    days = {"day": 1, "week": 7, "month": 30}
    if chosen == "first":
        return first, ""
    if chosen == "quarter":
        begins = view.visitor.desk.board.quarters.calendar.of(today, "quarter").start
        assert begins is not None
        wanted = end_of(begins - timedelta(days=1), zone)
    else:
        wanted = end_of(today - timedelta(days=days[chosen]), zone)
    if wanted >= first:
        return wanted, ""
    return first, (f"Sidefeed has known these deals only since {first:%-d %b %Y, %H:%M} UTC, so this is the change "
                   f"since then.")
