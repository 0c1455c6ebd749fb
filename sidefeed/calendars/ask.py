"""Ask once, remember: the questions about meetings that only a person can answer, and what their answers become.

``deal``    which deal a meeting and its series belong to; the answer becomes a rule for the series and its people
``person``  whether somebody met at a customer's is to become a contact; never done without an answer
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sidefeed.calendars.rules import Rules, decide
from sidefeed.sync.attribution import CLOSED, open_deals
from sidefeed.sync.match import keys_of
from sidefeed.workspace import Draft, RecordState, StoreError, Transaction
from sidefeed.workspace.report import find_records

KINDS = ("deal", "person")


@dataclass(frozen=True, slots=True)
class Question:
    """One open question. ``id`` is what a person types; ``rep`` whose meeting it is, ``choices`` deal id -> name."""

    id: str
    kind: str
    about: str
    text: str
    rep: str
    choices: Mapping[str, str]
    asked_at: str
    evidence: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        return {"id": self.id, "kind": self.kind, "question": self.text, "rep": self.rep,
                "choices": [{"id": id, "name": name} for id, name in self.choices.items()],
                "asked_at": self.asked_at}


def questions(tx: Transaction, rep: str | None = None) -> list[Question]:
    """Open questions, oldest first; of one rep, or all."""
    rows = [row for row in tx.questions() if row["kind"] in KINDS and row["system"] == "workspace"]
    known = tx.records({id for row in rows for id in (*_meetings(row), *row["evidence"].get("contacts", ()))})
    known |= tx.records({state.values["owner"] for state in known.values() if state.values.get("owner")})
    found = [_question(row, known) for row in rows]
    return [one for one in found if rep is None or one.rep == rep.casefold()]


def answer(tx: Transaction, question: str, said: str, *, actor: str, only_this: bool = False) -> str:
    """Answer a question; returns in a sentence what that does. Raises StoreError, saying what could be answered.

    ``said`` is an open deal by id or name, or ``none``, for a ``deal``; ``create`` or ``never`` for a ``person``.
    """
    one = next((each for each in questions(tx) if each.id == question), None)
    if one is None:
        open_now = ", ".join(each.id for each in questions(tx)[:10]) or "none"
        raise StoreError(f"there is no open question {question!r}; open are {open_now}. `sidefeed ask` lists them.")
    if one.kind == "person":
        return _answer_person(tx, one, said, actor)
    return _answer_deal(tx, one, said, actor, only_this)


def _answer_deal(tx: Transaction, one: Question, said: str, actor: str, only_this: bool) -> str:
    records = [state for state in tx.records(one.evidence["records"]).values() if not state.deleted]
    if said == "none":
        _close(tx, one, "none", actor)
        return f"{len(records)} meetings stay where they are; this is not asked again."
    deal = _open_deal(tx, one, said)
    about = f"opportunity:{deal.id}"
    reason = f"{actor} filed it on {deal.values.get('name')}"
    decide(tx, "deal", one.about, about, actor=actor, reason=reason)
    if not only_this:
        for contact in one.evidence["contacts"]:
            decide(tx, "deal", f"contact:{contact}", about, actor=actor, reason=reason)
    tx.append([Draft("meeting", state.id, {"about": about}, actor, "workspace", reason=reason) for state in records])
    _close(tx, one, deal.id, actor)
    also = 0 if only_this else _answer_alike(tx, actor)
    return (f"{len(records)} meetings are filed on {deal.values.get('name')}"
            + (f", and {also} more questions are answered by it" if also else "")
            + "; the next sync writes it to the CRMs. It is remembered until the deal closes.")


def _answer_alike(tx: Transaction, actor: str) -> int:
    """Other questions that the new rule answers."""
    tx.flush()
    rules, answered = Rules(tx), 0
    open_now = {f"opportunity:{deal.id}" for deal in open_deals(tx)}
    for one in questions(tx):
        if one.kind != "deal":
            continue
        told = [deal for deal in rules.deals(None, None, one.evidence["contacts"]) if deal in open_now]
        if len(told) != 1:
            continue
        tx.append([Draft("meeting", record, {"about": told[0]}, actor, "workspace", reason="by the rule just made")
                   for record, state in tx.records(one.evidence["records"]).items() if not state.deleted])
        _close(tx, one, told[0].partition(":")[2], actor)
        answered += 1
    return answered


def _answer_person(tx: Transaction, one: Question, said: str, actor: str) -> str:
    if said not in ("create", "never"):
        raise StoreError(f"{said!r} answers nothing here: say `create` or `never`.")
    _close(tx, one, said, actor)
    if said == "never":
        return f"{one.about} is not suggested again."
    keys = keys_of([("email",)], {"email": one.about})
    if any(tx.by_natural_keys("contact", keys).values()):
        return f"{one.about} is a contact already; nothing was created."
    first, _, last = str(one.evidence.get("name") or one.about.partition("@")[0]).strip().rpartition(" ")
    fields = {"first_name": first or None, "last_name": last, "email": one.about,
              "account": one.evidence.get("account")}
    contact = tx.new_id()
    tx.append([Draft("contact", contact, {name: value for name, value in fields.items() if value}, actor, "workspace",
                     reason="suggested by a meeting")])
    for state in tx.records(one.evidence["meetings"]).values():
        if not state.deleted:
            tx.append([Draft("meeting", state.id, {
                "contacts": sorted({*(state.values.get("contacts") or ()), contact})}, actor, "workspace")])
    return f"{one.about} becomes a contact in the CRMs at the next sync."


def _close(tx: Transaction, one: Question, said: str, actor: str) -> None:
    tx.answer("workspace", _object(one.kind), one.about, said)
    tx.note("answer", actor=actor, object=_object(one.kind), kind=one.kind, about=one.about, answer=said)


def _object(kind: str) -> str:
    return "meeting" if kind == "deal" else "contact"


def _open_deal(tx: Transaction, one: Question, said: str) -> RecordState:
    found = [state for state in find_records(tx, said) if state.entity == "opportunity" and not state.deleted]
    named = [state for state in found if state.id in one.choices] or found
    if len(named) != 1:
        choices = "; ".join(f"{id} {name}" for id, name in one.choices.items()) or "no open deal"
        raise StoreError(f"{said!r} is {len(named) or 'no'} deals; possible are {choices}. Give an id, or `none`.")
    if named[0].values.get("stage") in CLOSED:
        raise StoreError(f"{named[0].values.get('name')} is closed, and meetings are never filed on a closed deal.")
    return named[0]


def _meetings(row: Mapping[str, Any]) -> Sequence[str]:
    return row["evidence"].get("records") or row["evidence"].get("meetings") or ()


def _question(row: Mapping[str, Any], known: Mapping[str, RecordState]) -> Question:
    evidence = row["evidence"]
    states = [known[id] for id in _meetings(row) if id in known and not known[id].deleted]
    handle = hashlib.blake2b(f"{row['object']} {row['external_id']}".encode(), digest_size=3).hexdigest()
    owner = next((state.values["owner"] for state in states if state.values.get("owner")), None)
    rep = str(known[owner].values.get("email") or "") if owner is not None and owner in known else ""
    text = _text_of_deal(states, [known[id] for id in evidence["contacts"] if id in known]) \
        if row["kind"] == "deal" else (
            f"Is {row['external_id']}" + (f" ({evidence['name']})" if evidence.get("name") else "")
            + " to become a contact? `create` or `never`")
    return Question(handle, row["kind"], row["external_id"], text, rep.casefold(), evidence.get("candidates", {}),
                    row["asked_at"], evidence)


def _text_of_deal(states: Sequence[RecordState], contacts: Sequence[RecordState]) -> str:
    """A meeting is named by its time and people; what it is about is for those who are in it."""
    times = sorted(str((state.values.get("when") or {}).get("start", "?")) for state in states)
    names = ", ".join(map(_person, contacts))
    first = times[0][:16].replace("T", " ") if times else "a past day"
    more = f" and {len(times) - 1} more of its series" if len(times) > 1 else ""
    return f"Which deal is the meeting of {first}{more}" + (f" with {names}" if names else "") + " about?"


def _person(state: RecordState) -> str:
    name = " ".join(str(state.values[part]) for part in ("first_name", "last_name") if state.values.get(part))
    return name or str(state.values.get("email") or state.id)
