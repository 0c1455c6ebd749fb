"""Always do this: a decision made a rule in the mapping file, shown with its line and its effect before it is done."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

from fastapi import APIRouter, HTTPException
from fastapi.responses import Response

from sidefeed.mapping import FieldSpec, Policy
from sidefeed.mapping.always import Edit, NotWritten, rule
from sidefeed.mapping.explain import rule_told
from sidefeed.sync.policy import choose
from sidefeed.sync.rules import make_rule
from sidefeed.web import wording
from sidefeed.web.board import label
from sidefeed.web.decisions import CHANGED, disputed, revisions, settle
from sidefeed.web.desk import Posted, SignedIn, Visitor
from sidefeed.workspace import Head, RecordState, Transaction
from sidefeed.workspace.journal import BY_PAGE

router = APIRouter(include_in_schema=False)

SHOWN = 10


@router.post("/conflicts/{id}/{name}/always")
def always(visitor: SignedIn, form: Posted, id: str, name: str) -> Response:
    """Show what a rule would write and decide; with ``sure`` make it."""
    with visitor.desk.store.read() as tx:
        state = disputed(tx, visitor, id, name, revisions(form))
        if state is None:
            return visitor.back("/conflicts", CHANGED)
        spec = visitor.desk.spec(state.entity, name)
        if spec is None or not visitor.may_rule(state.entity, name):
            raise HTTPException(403, "A rule decides for everybody, and is made by a director or by ops. Nothing was "
                                     "changed.")
        head = next((one for one in state.conflicts[name] if str(one.rev) == form.get("choice", "")), None)
        if head is None or head.source not in visitor.desk.mappings.systems:
            return visitor.back("/conflicts", "Only a system can always win. Choose the value of one, and then Always "
                                              "do this.")
        if not form.get("sure"):
            return _shown(tx, visitor, state, spec, head, form)
    return _made(visitor, form, id, name, head)


def _shown(tx: Transaction, visitor: Visitor, state: RecordState, spec: FieldSpec, head: Head, form: dict[str, str],
           failed: str = "") -> Response:
    policy = Policy("prefer", head.source)
    others = [one for one in tx.conflicted(state.entity) if spec.name in one.conflicts and one.id != state.id]
    decided = [(one, winner) for one in others if (winner := choose(policy, one.conflicts[spec.name])) is not None]
    names = visitor.desk.names(tx, {id for one, winner in [*decided[:SHOWN], (state, head)]
                                    for value in (one.values.get(spec.name), winner.value)
                                    for id in wording.references(value, spec)})

    def row(one: RecordState, winner: Head) -> dict[str, Any]:
        return {"id": one.id, "label": label(one), "now": visitor.shown(one.entity, spec.name,
                                                                        one.values.get(spec.name), names),
                "then": visitor.shown(one.entity, spec.name, winner.value, names)}

    edit, why = _edit(visitor, state.entity, spec.name, head.source)
    return visitor.render(
        "always.html", state=state, field=spec.name, field_label=wording.field_label(spec, spec.name),
        system=visitor.source(head.source), kind=visitor.kind(state.entity), heads=form.get("heads", ""),
        choice=head.rev, reason=form.get("reason", ""), this=row(state, head), others=len(decided),
        rows=[row(*one) for one in decided[:SHOWN]], open=len(others) - len(decided),
        told=rule_told(dataclasses.replace(spec, policy=policy)), file=edit.path if edit else None,
        lines=list(edit.lines()) if edit else [], failed=failed or why,
        command=f"sidefeed resolve {state.id} {spec.name} --from {head.source} --always")


def _edit(visitor: Visitor, entity: str, field: str, system: str) -> tuple[Edit | None, str]:
    """What would be written, and why it cannot be, where it cannot."""
    files = visitor.desk.files
    if files is None:
        return None, "This server was not told where the mapping files are."
    try:
        edit = rule(files.folder, entity, field, system)
    except NotWritten as error:
        return None, f"{str(error)[:1].upper()}{str(error)[1:]}"
    except OSError as error:
        return None, f"This server cannot read {error.filename}: {error.strerror}."
    return edit, "" if _writable(edit.path) else f"This server may not write {edit.path}."


def _writable(path: Path) -> bool:
    return os.access(path, os.W_OK)


def _made(visitor: Visitor, form: dict[str, str], id: str, name: str, head: Head) -> Response:
    """Decide this conflict and every other that the rule decides, and write the rule: all of it, or nothing."""
    files = visitor.desk.files
    try:
        with visitor.desk.store.write() as tx:
            state = disputed(tx, visitor, id, name, revisions(form))
            if state is None:
                return visitor.back("/conflicts", CHANGED)
            if files is None:
                raise NotWritten("this server was not told where the mapping files are.")
            heads = list(state.conflicts[name])
            settle(tx, visitor, state, name, head.value, form.get("reason", ""))
            made = make_rule(tx, files.folder, files.load, state.entity, name, head.source, heads,
                             actor=visitor.person.email, via=BY_PAGE)
    except NotWritten as error:
        with visitor.desk.store.read() as tx:
            state, spec = tx.record(id), visitor.desk.spec(state.entity if state else "", name)
            if state is None or spec is None:
                return visitor.back("/conflicts", CHANGED)
            return _shown(tx, visitor, state, spec, head, form, f"Nothing was decided: {error}")
    visitor.desk.adopt(made.mappings)
    field = wording.field_label(visitor.desk.spec(state.entity, name), name)
    others = wording.many(made.others, "other conflict about it is", "other conflicts about it are")
    also = f" {others} decided too." if made.others else ""
    return visitor.back("/conflicts", f"{label(state)}: {field} is decided, and {visitor.source(head.source)} wins it "
                                      f"from now on; that stands in {made.files[0]}.{also}")
