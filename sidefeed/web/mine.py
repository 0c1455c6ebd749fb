"""A person's own page: what is asked of them, their next meetings with what the CRMs will see, and deals to look at."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from fastapi import APIRouter, HTTPException
from fastapi.responses import HTMLResponse, RedirectResponse

from sidefeed.calendars.ask import Question, answer, questions
from sidefeed.calendars.enforce import enforce
from sidefeed.calendars.policy import LEVELS
from sidefeed.calendars.preview import DAYS, choose_level, feeds_of, my_calendar
from sidefeed.web import wording
from sidefeed.web.board import Deal, owner_ids
from sidefeed.web.desk import Posted, SignedIn, Visitor
from sidefeed.workspace import StoreError, Transaction

router = APIRouter(include_in_schema=False)

ROWS = 25
ASKED = 50
SOON = timedelta(days=14)
SHOWN_AS = {"none": "nothing", "busy": "only that I am busy", "title": "time and subject", "full": "everything"}


@router.get("/mine")
def mine(visitor: SignedIn) -> HTMLResponse:
    own = owner_ids(visitor.snapshot, {visitor.person.email}) or frozenset()
    with visitor.desk.store.read() as tx:
        asked = [one for one in questions(tx) if _may_answer(visitor, one)]
        shown = [_asked(tx, visitor, one) for one in asked[:ASKED]]
        try:
            meetings, unread = my_calendar(tx, visitor.person.email), ""
        except StoreError:
            meetings, unread = [], f"No calendar of {visitor.person.email} is read, or it is empty."
    deals = [deal for deal in visitor.snapshot.ordered("close") if deal.owner in own and deal.line.status == "open"]
    look = [(deal, why) for deal in deals if (why := _why(visitor, deal))]
    return visitor.render("mine.html", asked=shown, more=len(asked) - len(shown), meetings=meetings, unread=unread,
                          levels=SHOWN_AS, days=DAYS, look=look[:ROWS], others=len(look) - len(look[:ROWS]),
                          deals=len(deals), owner=next(iter(own), ""))


def _may_answer(visitor: Visitor, one: Question) -> bool:
    decides = visitor.person.decides
    return decides is None or one.rep in decides


def _asked(tx: Transaction, visitor: Visitor, one: Question) -> dict[str, Any]:
    return {"id": one.id, "kind": one.kind, "text": one.text.removesuffix(" `create` or `never`"), "rep": one.rep,
            "whose": visitor.who(one.rep), "choices": _choices(tx, visitor, one), "asked": visitor.age(one.asked_at)}


def _choices(tx: Transaction, visitor: Visitor, one: Question) -> list[tuple[str, str]]:
    """(answer, what to call it); deals of people whose deals the visitor does not see are not named."""
    if one.kind == "person":
        return [("create", "Yes, create the contact"), ("never", "No, and do not ask again")]
    seen = [id for id, state in tx.records(one.choices).items() if visitor.sees(state)]
    return [*((id, one.choices[id]) for id in one.choices if id in seen), ("none", "None: leave it where it is")]


def _why(visitor: Visitor, deal: Deal) -> list[str]:
    """What a deal's owner would want to look at."""
    today = visitor.today.isoformat()
    return [said for said, holds in (
        ("in conflict", bool(deal.conflicts)), ("should have closed", bool(deal.close) and str(deal.close) < today),
        ("closes soon", today <= str(deal.close or "9999") <= (visitor.today + SOON).isoformat()),
        ("no close date", not deal.close), ("no next step", not deal.next_step),
        ("no amount", deal.line.amount is None)) if holds]


@router.post("/mine/questions/{id}")
def answered(visitor: SignedIn, form: Posted, id: str) -> RedirectResponse:
    """Answer a question about a meeting. The answer becomes the rule for its series and people."""
    said = form.get("answer", "")
    with visitor.desk.store.write() as tx:
        one = next((each for each in questions(tx) if each.id == id), None)
        if one is None:
            return visitor.back("/mine", "That question is answered already.")
        if not _may_answer(visitor, one):
            raise HTTPException(403, "This question is put to somebody else. Nothing was changed.")
        if said == "other":
            said = _named(visitor, form.get("deal", ""))
        elif said not in dict(_choices(tx, visitor, one)):
            said = ""
        if not said:
            return visitor.back("/mine", "Nothing was answered: choose one of the answers, or name one open deal that "
                                         "you see by its whole name.")
        try:
            done = answer(tx, id, said, actor=visitor.person.email, only_this=bool(form.get("only_this")))
        except StoreError as error:
            return visitor.back("/mine", f"Nothing was answered: {error}")
    return visitor.back("/mine", done)


def _named(visitor: Visitor, text: str) -> str:
    """The one open deal that the visitor sees and that is called so; blank where there is none, or several."""
    wanted = text.strip().casefold()
    found = [deal.id for deal in visitor.snapshot.deals.values() if deal.name.casefold() == wanted
             and deal.line.status == "open" and (visitor.owners is None or deal.owner in visitor.owners)]
    return found[0] if wanted and len(found) == 1 else ""


@router.post("/mine/meetings")
def show(visitor: SignedIn, form: Posted) -> RedirectResponse:
    """Choose how much of one's own meetings the CRMs may see; what they were told beyond it is taken back."""
    level, mailbox = form.get("level", ""), visitor.person.email
    if level not in LEVELS:
        return visitor.back("/mine", "Nothing was changed: choose how much may be seen.")
    try:
        with visitor.desk.store.write() as tx:
            choose_level(tx, mailbox, level, meeting=form.get("meeting") or None)
            taken = enforce(tx, feeds_of(tx, mailbox), actor=mailbox)
    except StoreError as error:
        return visitor.back("/mine", f"Nothing was changed: {error}")
    also = f" {wording.many(taken, 'meeting that was told already is', 'meetings that were told already are')} taken " \
           f"back at the next sync." if taken else ""
    return visitor.back("/mine", f"From now on the CRMs see at most {SHOWN_AS[level]}.{also}")
