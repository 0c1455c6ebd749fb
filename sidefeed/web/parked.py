"""Fields that two systems keep changing to and fro: written nowhere until a person decides one, or lets it go on."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, HTTPException
from fastapi.responses import RedirectResponse

from sidefeed.sync.flips import parked_fields, release
from sidefeed.web import wording
from sidefeed.web.board import label
from sidefeed.web.desk import Posted, SignedIn, Visitor
from sidefeed.workspace import Draft, RecordState, Transaction
from sidefeed.workspace.journal import BY_PAGE
from sidefeed.workspace.report import last_said

router = APIRouter(include_in_schema=False)

GO_ON = "go on"
LONGEST_REASON = 500
MOST = 100
CHANGED = "That field changed meanwhile, and nothing was decided. Look again."


def parked(tx: Transaction, visitor: Visitor) -> list[dict[str, Any]]:
    """What is parked of the records that the visitor sees: each side's last value, and who may decide."""
    fields = parked_fields(tx)
    found = []
    for id, state in tx.records(set(fields)).items():
        if visitor.sees(state) and not state.deleted and state.merged_into is None:
            found += [_row(tx, visitor, state, name) for name in sorted(fields[id]) if name not in state.conflicts]
    return found[:MOST]


def _row(tx: Transaction, visitor: Visitor, state: RecordState, name: str) -> dict[str, Any]:
    spec, owner = visitor.desk.spec(state.entity, name), state.values.get("owner") or ""
    heads = last_said(tx, state, name)
    names = visitor.desk.names(tx, {id for head in heads for id in wording.references(head.value, spec)})
    return {"id": state.id, "label": label(state), "field": name, "field_label": wording.field_label(spec, name),
            "kind": visitor.kind(state.entity), "owner": visitor.snapshot.owner_name(owner),
            "heads": ",".join(map(str, state.heads_of(name))), "may": visitor.may_decide(state.entity, owner, name),
            "hidden": not visitor.may_see_field(state.entity, name),
            "sides": [{"rev": head.rev, "value": visitor.shown(state.entity, name, head.value, names),
                       "by": visitor.by(head.source, head.actor), "at": head.at, "age": visitor.age(head.at)}
                      for head in heads]}


@router.post("/parked/{id}/{name}")
def decide(visitor: SignedIn, form: Posted, id: str, name: str) -> RedirectResponse:
    """Decide a parked field, or let it be written again as it is. What came since the page was shown stays open."""
    with visitor.desk.store.write() as tx:
        state = tx.record(id)
        if state is None or not visitor.sees(state) or not visitor.may_decide(
                state.entity, state.values.get("owner") or "", name):
            raise HTTPException(403, "You may not decide this. Nothing was changed.")
        if name not in parked_fields(tx).get(id, ()) or form.get("heads") != ",".join(map(str, state.heads_of(name))):
            return visitor.back("/conflicts", CHANGED)
        field = wording.field_label(visitor.desk.spec(state.entity, name), name)
        if form.get("choice") == GO_ON:
            release(tx, state, name, actor=visitor.person.email, via=BY_PAGE)
            return visitor.back("/conflicts", f"{label(state)}: {field} is written again from the next sync on.")
        chosen = [head for head in last_said(tx, state, name) if str(head.rev) == form.get("choice")]
        if not chosen:
            return visitor.back("/conflicts", f"{label(state)}: nothing was decided. Choose one of the values.")
        tx.append([Draft(state.entity, id, {name: chosen[0].value}, visitor.person.email, "workspace",
                         base={name: list(state.heads_of(name))},
                         reason=form.get("reason", "").strip()[:LONGEST_REASON] or "decided by a person")])
        release(tx, state, name, actor=visitor.person.email, via=BY_PAGE)
    return visitor.back("/conflicts", f"{label(state)}: {field} is decided. The next sync writes it everywhere.")
