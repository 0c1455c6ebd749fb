"""What people say the number will be, beside what the deals say: submissions, managers' calls and adjustments.

The three are kept by `sidefeed.forecast.calls`, and never mixed with the computed number.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from fastapi import APIRouter, HTTPException
from fastapi.responses import RedirectResponse

from sidefeed.forecast.calls import KINDS, calls, quotas, standing, submit
from sidefeed.forecast.entries import EntryError
from sidefeed.forecast.frames import EXACT, plain
from sidefeed.web.desk import Posted, SignedIn, url
from sidefeed.web.sums import together
from sidefeed.web.typed import NotUnderstood, amount_of
from sidefeed.web.view import View, view_of
from sidefeed.workspace import Transaction

router = APIRouter(include_in_schema=False)

SHOWN = 12
WORDS = {"submission": "Submitted", "call": "Manager's call", "adjustment": "Adjustment"}
LONGEST_REASON = 500


def may(view: View) -> dict[str, bool]:
    """Which kinds of number the visitor may enter for the chosen node: everybody for what is theirs to decide, and
    managers also their own view of it."""
    visitor = view.visitor
    decides = visitor.decides is None or (bool(view.node.owners) and view.node.owners <= visitor.decides)
    theirs = decides and visitor.person.sees_amounts and view.period is not None and bool(view.currency)
    return {kind: theirs and (kind == "submission" or visitor.person.role in ("manager", "director"))
            for kind in KINDS}


def said(tx: Transaction, view: View) -> dict[str, dict[str, Any]]:
    """Node -> what was entered for it: kind -> entry, and ``quota``; of this period and currency, and of nodes of which
    the visitor sees everybody."""
    if view.period is None:
        return {}
    stands, quota = standing(calls(tx), view.period), quotas(tx, view.period)
    found: dict[str, dict[str, Any]] = {}
    for (node, kind, currency), row in stands.items():
        if currency == view.currency:
            found.setdefault(node, {})[kind] = row
    for (node, currency), amount in quota.items():
        if currency == view.currency:
            found.setdefault(node, {})["quota"] = amount
    told = view.report.told(tx, found)
    return {node: one for node, one in found.items() if node in told}


def entries(view: View) -> list[dict[str, Any]]:
    """What was entered for the chosen node and period, newest first, the replaced ones included."""
    if view.period is None:
        return []
    with view.visitor.desk.store.read() as tx:
        if not view.report.told(tx, [view.node.key]):
            return []
        table = calls(tx)
    columns = [plain(table[name]) for name in table.columns]
    rows = [dict(zip(table.columns, row, strict=True)) for row in zip(*columns, strict=True)]
    about = (view.node.key, view.currency, view.period.start, view.period.end)
    return [{**row, "word": WORDS[row["kind"]]} for row in reversed(rows)
            if (row["node"], row["currency"], row["start"], row["end"]) == about][:SHOWN]


@router.post("/forecast/say")
def say(visitor: SignedIn, form: Posted) -> RedirectResponse:
    """Enter a submission, a call or an adjustment for the node, period and currency of the page."""
    view = view_of(visitor)
    kind = form.get("kind", "")
    if not may(view).get(kind) or view.period is None or view.query != {
            name: visitor.request.query_params.get(name, "") for name in view.query}:
        raise HTTPException(403, "This number is not yours to enter. Nothing was stored.")
    back = url("/", since=visitor.request.query_params.get("since", ""), **view.query)
    try:
        amount = amount_of(form.get("amount", ""))
        with visitor.desk.store.write() as tx:
            submit(tx, node=view.node.key, period=view.period, amount=amount, currency=view.currency,
                   actor=visitor.person.email, kind=kind, reason=form.get("reason", "")[:LONGEST_REASON],
                   computed=_computed(view))
    except (EntryError, NotUnderstood) as error:
        return visitor.back(back, f"Nothing was stored: {str(error).removesuffix(' Add --reason.')}")
    return visitor.back(back, f"{WORDS[kind]} for {view.node.name} is stored; the numbers before it stay in the list.")


def _computed(view: View) -> Decimal:
    return together(view.cube.by_owner(view.owners, view.quarter, view.currency).values()).committed


def adjusted(computed: Decimal, told: dict[str, Any]) -> Decimal | None:
    """The computed number with the manager's adjustment; None where there is none."""
    return EXACT.add(computed, told["adjustment"]["amount"]) if "adjustment" in told else None
