"""The inbox of what only a person can decide: fields on which people disagree, and which record an object is."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, HTTPException
from fastapi.responses import HTMLResponse, RedirectResponse

from sidefeed.sync.flips import release
from sidefeed.web import wording
from sidefeed.web.board import label
from sidefeed.web.desk import WHICH, Posted, SignedIn, Visitor
from sidefeed.web.parked import parked
from sidefeed.web.sums import page_number, pages
from sidefeed.web.typed import EDITABLE, NotUnderstood, region_of, value_of
from sidefeed.workspace import DELETED, Draft, Head, RecordState, Transaction
from sidefeed.workspace.journal import BY_PAGE

router = APIRouter(include_in_schema=False)

PAGE = 25
OTHER = "other"
LONGEST_REASON = 500
MOST_QUESTIONS = 100
CHANGED = "That conflict changed meanwhile, and nothing was decided. Look again."


@router.get("/conflicts")
def conflicts(visitor: SignedIn, page: str = "1") -> HTMLResponse:
    listed = [(one.id, name) for one in visitor.snapshot.disputed.values() for name in one.fields
              if visitor.owners is None or one.owner in visitor.owners]
    shown, number, last = pages(listed, page_number(page), PAGE)
    with visitor.desk.store.read() as tx:
        states = tx.records({id for id, _name in shown})
        names = visitor.desk.names(tx, {
            id for record, name in shown for head in states[record].conflicts.get(name, ())
            for id in wording.references(head.value, visitor.desk.spec(states[record].entity, name))})
        rows = [_conflict(visitor, states[id], name, names) for id, name in shown if name in states[id].conflicts]
        questions = _questions(tx, visitor) if visitor.person.answers_questions else []
        flipping = parked(tx, visitor)
    return visitor.render("conflicts.html", rows=rows, found=len(listed), page=number, last=last, questions=questions,
                          parked=flipping)


def _conflict(visitor: Visitor, state: RecordState, name: str, names: dict[str, str]) -> dict[str, Any]:
    spec = visitor.desk.spec(state.entity, name)
    heads = state.conflicts[name]
    sides = [{"rev": head.rev, "value": _said(visitor, state, name, head, names),
              "by": visitor.by(head.source, head.actor), "at": head.at, "age": visitor.age(head.at),
              "shown": head.value == state.values.get(name)} for head in heads]
    owner = state.values.get("owner") or ""
    return {"id": state.id, "label": label(state), "field": name, "field_label": wording.field_label(spec, name),
            "kind": visitor.kind(state.entity), "owner": visitor.snapshot.owner_name(owner), "sides": sides,
            "heads": ",".join(str(head.rev) for head in heads), "spec": spec,
            "may": visitor.may_decide(state.entity, owner, name),
            "hidden": not visitor.may_see_field(state.entity, name),
            "rule": name != DELETED and visitor.may_rule(state.entity, name) and any(
                head.source in visitor.desk.mappings.systems for head in heads),
            "typed": name != DELETED and spec is not None and spec.type in EDITABLE,
            "policy": "" if spec is None else wording.words(spec.policy.rule)}


def _said(visitor: Visitor, state: RecordState, name: str, head: Head, names: dict[str, str]) -> str:
    if name == DELETED:
        return "delete it" if head.value else "keep it"
    return visitor.shown(state.entity, name, head.value, names)


@router.post("/conflicts/{id}/{name}")
def decide(visitor: SignedIn, form: Posted, id: str, name: str) -> RedirectResponse:
    """Settle a conflict. The decision is based on the values that the page showed: one that came since stays open."""
    chosen, seen = form.get("choice", ""), revisions(form)
    with visitor.desk.store.write() as tx:
        state = disputed(tx, visitor, id, name, seen)
        if state is None:
            return visitor.back("/conflicts", CHANGED)
        try:
            value = _value(visitor, state, name, chosen, form.get("value", ""))
        except NotUnderstood as error:
            return visitor.back("/conflicts", f"{label(state)}: nothing was decided. {error}")
        settle(tx, visitor, state, name, value, form.get("reason", ""))
    field = wording.field_label(visitor.desk.spec(state.entity, name), name)
    return visitor.back("/conflicts", f"{label(state)}: {field} is decided. The next sync writes it everywhere.")


def revisions(form: dict[str, str]) -> list[int]:
    """The heads that the page showed."""
    return [int(rev) for rev in form.get("heads", "").split(",") if rev.isdigit()]


def disputed(tx: Transaction, visitor: Visitor, id: str, name: str, seen: list[int]) -> RecordState | None:
    """The record whose conflict the page showed; None where it is another by now. Raises HTTPException for somebody
    who may not decide it."""
    state = tx.record(id)
    if state is None or not visitor.sees(state) or not visitor.may_decide(
            state.entity, state.values.get("owner") or "", name):
        raise HTTPException(403, "You may not decide this. Nothing was changed.")
    heads = state.conflicts.get(name, [])
    return state if heads and {head.rev for head in heads} == set(seen) else None


def settle(tx: Transaction, visitor: Visitor, state: RecordState, name: str, value: Any, reason: str) -> None:
    """Append the decision, and let a field that was parked for flipping be written again."""
    tx.append([Draft(state.entity, state.id, {name: value}, visitor.person.email, "workspace",
                     base={name: [head.rev for head in state.conflicts[name]]},
                     reason=reason.strip()[:LONGEST_REASON] or "decided by a person")])
    release(tx, state, name, actor=visitor.person.email, via=BY_PAGE)


def _value(visitor: Visitor, state: RecordState, name: str, chosen: str, typed: str) -> Any:
    heads = state.conflicts[name]
    if chosen != OTHER:
        found = [head for head in heads if str(head.rev) == chosen]
        if not found:
            raise NotUnderstood("Choose one of the values.")
        return found[0].value
    spec = visitor.desk.spec(state.entity, name)
    if spec is None:
        raise NotUnderstood("Choose one of the values.")
    return value_of(typed, spec, heads[0].value, region=region_of(visitor.desk.mappings, state.entity, name))


# -- which record an object is --------------------------------------------------------------------------------------


def _questions(tx: Transaction, visitor: Visitor) -> list[dict[str, Any]]:
    found = []
    for one in [one for one in tx.questions() if one["kind"] in WHICH][:MOST_QUESTIONS]:
        evidence = one["evidence"]
        entity = evidence.get("entity") or ""
        candidates = _candidates(one)
        values = evidence.get("values") or {}
        names = visitor.desk.names(tx, {id for name, value in values.items()
                                        for id in wording.references(value, visitor.desk.spec(entity, name))})
        told = [(wording.field_label(visitor.desk.spec(entity, name), name),
                 visitor.shown(entity, name, value, names)) for name, value in values.items()]
        about = str(values.get("name") or values.get("subject") or values.get("email") or evidence.get("label")
                    or _name(tx, evidence.get("record")) or one["external_id"])
        found.append({"system": one["system"], "object": one["object"], "external_id": one["external_id"],
                      "kind": one["kind"], "about": about, "entity": visitor.kind(entity), "told": told,
                      "source": visitor.source(one["system"]), "asked": visitor.age(one["asked_at"]),
                      "candidates": candidates, "message": evidence.get("message", "")})
    return found


def _name(tx: Transaction, record: str | None) -> str:
    state = tx.record(record) if record else None
    return "" if state is None else label(state)


def _candidates(question: dict[str, Any]) -> list[tuple[str, str]]:
    """(answer, what to call it) of everything that a question may be answered with."""
    evidence = question["evidence"]
    if question["kind"] == "match":
        return [*((id, name or id) for id, name in (evidence.get("candidates") or {}).items()),
                ("new", "None of them: a new record")]
    return [(evidence["record"], "It is the same record"), ("new", "It is another record")]


@router.post("/questions")
def answer(visitor: SignedIn, form: Posted) -> RedirectResponse:
    """Remember what a person said an object is; the next run acts on it."""
    if not visitor.person.answers_questions:
        raise HTTPException(403, "These questions are put to managers. Nothing was changed.")
    with visitor.desk.store.write() as tx:
        key = form.get("system", ""), form.get("object", ""), form.get("external_id", "")
        asked = [one for one in tx.questions() if (one["system"], one["object"], one["external_id"]) == key]
        given = form.get("answer", "")
        if not asked or asked[0]["kind"] not in WHICH or given not in dict(_candidates(asked[0])):
            return visitor.back("/conflicts", "That question is answered already, or the answer was none of the "
                                              "choices. Look again.")
        tx.answer(*key, given)
        tx.note("link", actor=visitor.person.email, via=BY_PAGE, system=key[0], object=key[1],
                record=None if given == "new" else given, external_id=key[2], answer=given)
    return visitor.back("/conflicts", "Thank you. The next sync acts on it.")
