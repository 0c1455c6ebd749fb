"""The table of deals, and one record with its whole history."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd
from fastapi import APIRouter, HTTPException
from fastapi.responses import HTMLResponse, Response

from sidefeed.forecast.export import write_csv
from sidefeed.forecast.frames import Schema, frame
from sidefeed.forecast.hierarchy import NOBODY
from sidefeed.sync import refs
from sidefeed.web import wording
from sidefeed.web.board import ORDERS, Deal, label
from sidefeed.web.desk import Posted, SignedIn, Visitor
from sidefeed.web.sums import CATEGORIES, COMMITTED_DEALS, Selection, page_number, pages, select, summed
from sidefeed.web.typed import EDITABLE, NotUnderstood, region_of, value_of
from sidefeed.web.view import root_of
from sidefeed.workspace import Draft, RecordState, Transaction
from sidefeed.workspace.report import blame_lines

router = APIRouter(include_in_schema=False)

ROWS = 50
TIMELINE = 100

SHEET: Schema = {
    "Deal": ("text", "name"), "Owner": ("text", "name"), "Stage": ("text", "stage"), "Category": ("text", "category"),
    "Status": ("text", "status"), "Quarter": ("text", "of the close date"), "Close date": ("date", "close date"),
    "Amount": ("decimal", "amount"), "Currency": ("text", "ISO 4217"), "Next step": ("text", "next step"),
    "In conflict": ("text", "fields"), "Record": ("text", "id")}
"""The columns of the deals in a file."""

COLUMNS = (("name", "Deal", "name"), ("owner", "Owner", "owner"), ("stage", "Stage", "stage"),
           ("category", "Category", "forecast_category"), ("close", "Close date", "close_date"),
           ("amount", "Amount", "money"))
"""(order, heading, field of the record)."""


def selection(visitor: Visitor) -> Selection:
    """What the address asks for; values that nothing has select nothing, and say so on the page."""
    query = visitor.request.query_params
    return Selection(visitor.owners, _whose(visitor, query.get("owner", "")), query.get("quarter", ""),
                     query.get("category", ""), query.get("status", ""), query.get("q", "").strip().casefold(),
                     bool(query.get("disputed")))


def _whose(visitor: Visitor, asked: str) -> frozenset[str] | None:
    """The owners that a node of the forecast stands for: a person, a team, or nobody."""
    if not asked:
        return None
    root = root_of(visitor)
    node = next((one for one in root.walk() if one.key == asked), None)
    return frozenset({"" if asked == NOBODY else asked}) if node is None else None if node is root else node.owners


def choices(visitor: Visitor) -> dict[str, Any]:
    """What the filters offer: only what there is. Teams stand before people."""
    seen = [deal for deal in visitor.snapshot.deals.values() if visitor.owners is None or deal.owner in visitor.owners]
    owners = {deal.owner or NOBODY: deal.owner_name for deal in seen}
    teams = {node.key: node.name for node in root_of(visitor).walk() if node.kind == "team" and node.level}
    return {"owners": [*teams.items(), *sorted(owners.items(), key=lambda item: item[1].casefold())],
            "quarters": sorted({deal.line.quarter for deal in seen}),
            "categories": (COMMITTED_DEALS, *CATEGORIES), "statuses": ("open", "won", "lost")}


def order(visitor: Visitor) -> tuple[str, bool]:
    query = visitor.request.query_params
    wanted = query.get("sort", "changed")
    allowed = wanted in ORDERS and (wanted != "amount" or visitor.person.sees_amounts)
    return (wanted if allowed else "changed"), query.get("dir", "down" if wanted == "changed" else "up") == "down"


@router.get("/deals")
def deals(visitor: SignedIn, page: str = "1", trace: str = "") -> HTMLResponse:
    sort, descending = order(visitor)
    found = select(visitor.snapshot, selection(visitor), sort, descending=descending)
    shown, number, last = pages(found, page_number(page), ROWS)
    with visitor.desk.store.read() as tx:
        rows = _rows(tx, visitor, shown, trace=bool(trace))
    columns = [column for column in COLUMNS if column[0] != "amount" or visitor.person.sees_amounts]
    sums, without = summed(found) if visitor.person.sees_amounts else ({}, 0)
    return visitor.render("deals.html", rows=rows, found=len(found), sums=sums, without=without, page=number, last=last,
                          size=ROWS, sort=sort, descending=descending, trace=bool(trace), columns=columns,
                          query=dict(visitor.request.query_params), **choices(visitor))


def _rows(tx: Transaction, visitor: Visitor, shown: Iterable[Deal], *, trace: bool) -> list[dict[str, Any]]:
    listed = list(shown)
    states = tx.records([deal.id for deal in listed])
    accounts = visitor.desk.names(tx, {state.values["account"] for state in states.values()
                                       if state.values.get("account")})
    heads = tx.head_details({state.heads[field][0] for state in states.values() for _o, _h, field in COLUMNS
                             if state.heads.get(field)}) if trace else {}
    rows = []
    for deal in listed:
        state = states.get(deal.id)
        origins = {}
        for _order, _heading, field in COLUMNS if state is not None and trace else ():
            head = heads.get(state.heads[field][0]) if state is not None and state.heads.get(field) else None
            if head is not None:
                origins[field] = f"{visitor.by(head.source, head.actor)}, {visitor.age(head.at)}"
        account = state.values.get("account") if state is not None else None
        rows.append({"deal": deal, "account": accounts.get(account or "", ""), "account_id": account,
                     "origins": origins})
    return rows


@router.get("/deals.csv")
def deals_csv(visitor: SignedIn) -> Response:
    """The selected deals for a spreadsheet: all of them, amounts as plain decimals."""
    sort, descending = order(visitor)
    text = io.StringIO()
    write_csv(table(visitor, select(visitor.snapshot, selection(visitor), sort, descending=descending)), text)
    return Response("\ufeff" + text.getvalue(), media_type="text/csv; charset=utf-8",
                    headers={"content-disposition": 'attachment; filename="sidefeed-deals.csv"'})


def table(visitor: Visitor, found: Iterable[Deal]) -> pd.DataFrame:
    """Deals with the columns of `SHEET`; without those of amounts for a role that sees none."""
    made = frame(((deal.name, deal.owner_name, deal.stage, deal.line.category, deal.line.status, deal.line.quarter,
                   deal.day, deal.line.amount, deal.line.currency, deal.next_step, " ".join(deal.conflicts), deal.id)
                  for deal in found), SHEET)
    return made if visitor.person.sees_amounts else made.drop(columns=["Amount", "Currency"])


# -- one record -----------------------------------------------------------------------------------------------------


@router.get("/records/{id}")
def record(visitor: SignedIn, id: str, field: str = "", all: str = "") -> HTMLResponse:
    with visitor.desk.store.read() as tx:
        state = tx.record(id)
        if state is not None and state.merged_into:
            state = tx.record(state.merged_into)
        if state is None or not visitor.sees(state):
            raise HTTPException(404, "There is no such record, or it belongs to a team whose deals you do not see.")
        lines = blame_lines(tx, state)
        names = visitor.desk.names(tx, _referred(visitor, state, lines))
        systems = _systems(tx, visitor, state)
        fields = _fields(tx, visitor, state, systems, names)
    kept = [line for line in lines if not field or line["field"] == field]
    timeline = [_entry(visitor, state, line, names) for line in (kept if all else kept[:TIMELINE])]
    return visitor.render("record.html", state=state, label=label(state), fields=fields, timeline=timeline,
                          entries=len(kept), field=field, field_label=_label(visitor, state.entity, field),
                          systems=[name for name, _id, _values in systems],
                          known_as=[(visitor.source(name), external) for name, external, _values in systems],
                          kind=visitor.kind(state.entity))


def _label(visitor: Visitor, entity: str, field: str) -> str:
    return wording.field_label(visitor.desk.spec(entity, field), field) if field else ""


def _referred(visitor: Visitor, state: RecordState, lines: list[dict[str, Any]]) -> set[str]:
    found: set[str] = set()
    for line in lines:
        spec = visitor.desk.spec(state.entity, line["field"])
        found.update(wording.references(line["value"], spec))
        replaced = line["replaced"]
        found.update(one for value in (replaced if isinstance(replaced, list) else [replaced])
                     for one in wording.references(value, spec))
    for name, value in state.values.items():
        found.update(wording.references(value, visitor.desk.spec(state.entity, name)))
    return found


def _systems(
    tx: Transaction, visitor: Visitor, state: RecordState
) -> list[tuple[str, str | None, dict[str, Any]]]:
    """(system, id there, values as last seen there) for each system that holds this record."""
    found = []
    for link in tx.links_of(state.id):
        if link.state != "live":
            continue
        om = next((om for om in visitor.desk.mappings.for_system(link.system) if om.entity == state.entity), None)
        image = tx.bases(link.system, link.object, [state.id]).get(state.id)
        if om is None or image is None:
            continue
        values, _problems = om.read(image, refs.inward(tx, om, [image]))
        found.append((link.system, link.external_id, values))
    return found


def _fields(
    tx: Transaction, visitor: Visitor, state: RecordState,
    systems: list[tuple[str, str | None, dict[str, Any]]], names: Mapping[str, str],
) -> list[dict[str, Any]]:
    """Every field with its value, where that came from, and what each system shows instead."""
    heads = tx.head_details({revs[0] for revs in state.heads.values() if revs})
    rows = []
    known = visitor.desk.mappings.entities.get(state.entity)
    for name in (known.fields if known is not None else state.values):
        revs = state.heads.get(name)
        if not revs:
            continue
        value, head = state.values.get(name), heads.get(revs[0])
        rows.append({
            "name": name, "label": _label(visitor, state.entity, name),
            "value": visitor.shown(state.entity, name, value, names),
            "numeric": (spec := visitor.desk.spec(state.entity, name)) is not None and spec.type in ("money", "number"),
            "conflict": name in state.conflicts,
            "by": visitor.by(head.source, head.actor) if head else "",
            "at": head.at if head else None, "age": visitor.age(head.at) if head else "",
            **_editing(visitor, state, name, value),
            "elsewhere": [{"system": visitor.source(system), "same": there.get(name) == value,
                           "value": visitor.shown(state.entity, name, there.get(name), names)}
                          for system, _id, there in systems if name in there]})
    return rows


def _editing(visitor: Visitor, state: RecordState, name: str, value: Any) -> dict[str, Any]:
    """What a form needs to change a field, where the visitor may."""
    spec = visitor.desk.spec(state.entity, name)
    editable = (spec is not None and spec.type in EDITABLE and state.entity == "opportunity" and not state.deleted
                and name not in state.conflicts and visitor.may_decide(state.entity, state.values.get("owner") or "",
                                                                       name))
    raw = value.get("amount") or "" if isinstance(value, Mapping) else "" if value is None else str(value)
    return {"editable": editable, "choices": spec.choices if spec is not None else (), "raw": raw,
            "type": spec.type if spec is not None else "", "heads": ",".join(map(str, state.heads_of(name)))}


@router.post("/records/{id}/{name}")
def change(visitor: SignedIn, form: Posted, id: str, name: str) -> Response:
    """Change a field of a deal. The change is based on what the page showed, so that a newer value is not lost."""
    seen = [int(rev) for rev in form.get("heads", "").split(",") if rev.isdigit()]
    with visitor.desk.store.write() as tx:
        state = tx.record(id)
        if state is None or not visitor.sees(state):
            raise HTTPException(404, "There is no such record, or it belongs to a team whose deals you do not see.")
        spec = visitor.desk.spec(state.entity, name)
        if spec is None or not _editing(visitor, state, name, None)["editable"]:
            raise HTTPException(403, "You may not change this field. Nothing was changed.")
        try:
            value = value_of(form.get("value", ""), spec, state.values.get(name),
                             region=region_of(visitor.desk.mappings, state.entity, name))
        except NotUnderstood as error:
            return visitor.back(f"/records/{id}", f"{_label(visitor, state.entity, name)} stays as it is. {error}")
        if value != state.values.get(name):
            tx.append([Draft(state.entity, id, {name: value}, visitor.person.email, "workspace",
                             base={name: [rev for rev in seen if rev <= tx.last_rev()]},
                             reason=form.get("reason", "").strip()[:500] or None)])
    return visitor.back(f"/records/{id}", f"{_label(visitor, state.entity, name)} is changed. The next sync writes it.")


def _entry(visitor: Visitor, state: RecordState, line: dict[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    name, replaced = line["field"], line["replaced"]
    spec = visitor.desk.spec(state.entity, name)
    several = isinstance(replaced, list) and not (spec is not None and spec.merge == "set")
    before = [visitor.shown(state.entity, name, value, names) for value in replaced if value is not None] \
        if several and replaced else ([] if replaced is None else [visitor.shown(state.entity, name, replaced, names)])
    return {**line, "label": _label(visitor, state.entity, name), "by": visitor.by(line["source"], line["actor"]),
            "value": visitor.shown(state.entity, name, line["value"], names),
            "before": " and ".join(before), "age": visitor.age(line["at"])}


