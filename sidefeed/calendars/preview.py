"""What the CRMs will see of a person's next days, told to that person alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from sidefeed.calendars import busy, copies, foreign
from sidefeed.calendars.policy import LEVELS, Level, tightest
from sidefeed.calendars.rules import Rules, decide, end
from sidefeed.sync.match import keys_of
from sidefeed.workspace import RecordState, StoreError, Transaction

DAYS = 14

WHY = {
    "admit": "goes to the CRMs", "private": "stays in the calendar: private", "blocked": "stays: a blocked domain",
    "internal": "stays: nobody from outside", "unmatched": "stays: nobody of it is known yet",
    "later": "goes to the CRMs when its time comes, if it may then", "past": "stays: too long ago",
    "elsewhere": "waits: another tool files it", "declined": "stays: declined",
    "too_long": "stays: longer than 14 days", "departed": "stays: its owner left"}


@dataclass(frozen=True, slots=True)
class Shown:
    """One meeting as its owner may see it: what leaves, and why or why not."""

    id: str
    start: str
    end: str
    all_day: bool
    level: Level
    leaves: bool
    why: str
    subject: str | None = None
    location: str | None = None
    people: tuple[str, ...] = ()
    filed_on: str | None = None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def my_calendar(tx: Transaction, rep: str, *, days: int = DAYS) -> list[Shown]:
    """The next days of one mailbox, as of the last sync. Raises StoreError where it is not read."""
    mailbox = _mailbox(tx, rep)
    now = tx.store.now()
    rules = Rules(tx)
    return [_shown(tx, rules, block) for block in sorted(
        busy.blocks(tx, now, now + timedelta(days=days), {mailbox}), key=lambda one: str(one["start"]))]


def choose_level(tx: Transaction, rep: str, level: str, *, meeting: str | None = None) -> str:
    """Remember a person's own level, for one meeting or for all; ``full`` ends the choice. Returns what it governs.

    Nobody can open more than the administrator does, nor what a colleague closed: the tightest level counts, and a
    choice is ended by whoever made it.
    """
    mailbox = _mailbox(tx, rep)
    if level not in LEVELS:
        raise StoreError(f"{level!r} is no level of privacy; there are {', '.join(LEVELS)}.")
    of, key = f"mailbox:{mailbox}", None
    if meeting is not None:
        found = [block for block in _future(tx, mailbox) if _handle(block) == meeting]
        if not found:
            raise StoreError(f"{mailbox} has no meeting {meeting!r}; `sidefeed my-calendar --as {mailbox}` lists them.")
        key = found[0]["key"]
        if key is None:
            raise StoreError("its calendar gives this meeting no UID, so it cannot be told from others: choose a level "
                             "for all of yours, or make it private in the calendar.")
        of = f"meeting:{key} {mailbox}"
    if level == "full":
        end(tx, "privacy", of, actor=mailbox, reason="chosen in my-calendar")
    else:
        decide(tx, "privacy", of, level, actor=mailbox, reason="chosen in my-calendar")
    copies.hold_to(tx, mailbox, level, key)
    tx.flush()
    return of


def feeds_of(tx: Transaction, mailbox: str) -> list[tuple[str, str]]:
    """(system, stream) of the calendars of a mailbox."""
    return sorted({(block["system"], block["object"]) for block in _future(tx, mailbox.casefold())})


def _future(tx: Transaction, mailbox: str) -> list[dict[str, Any]]:
    now = tx.store.now()
    return busy.blocks(tx, now - timedelta(days=30), now + timedelta(days=400), {mailbox})


def _mailbox(tx: Transaction, rep: str) -> str:
    mailbox = rep.strip().casefold()
    if not _future(tx, mailbox):
        known = sorted({block["mailbox"] for block in busy.blocks(
            tx, tx.store.now() - timedelta(days=30), tx.store.now() + timedelta(days=400))})
        raise StoreError(f"no calendar of {rep!r} was read yet, or it is empty; read are "
                         f"{', '.join(known) or 'none'}. Run `sidefeed sync` first.")
    return mailbox


def _handle(block: Mapping[str, Any]) -> str:
    return str(block["key"] or block["external_id"])[-8:]


def _shown(tx: Transaction, rules: Rules, block: Mapping[str, Any]) -> Shown:
    level = tightest(block["level"], rules.privacy(block["key"], block["mailbox"]), tx.store.calendars.privacy)
    state = _record(tx, block["key"])
    leaves = state is not None and not state.deleted and not state.values.get("withdrawn") and (
        block["verdict"] in ("admit", "past"))
    told = Shown(_handle(block), block["start"], block["end"], bool(block["all_day"]), level, leaves,
                 _why(tx, block))
    if state is None or not leaves:
        return told
    filed = str(state.values.get("about") or "").partition(":")[2]
    deal = tx.record(filed) if filed else None
    contacts = tx.records(state.values.get("contacts") or ()).values()
    why = "waits for an answer" if deal is None else told.why + (
        "; its deal is asked" if deal.entity == "account" else "")
    return Shown(told.id, told.start, told.end, told.all_day, level, deal is not None, why,
                 state.values.get("subject"), state.values.get("location"),
                 tuple(str(one.values.get("email") or one.id) for one in contacts),
                 str(deal.values.get("name") or deal.id) if deal else None)


def _why(tx: Transaction, block: Mapping[str, Any]) -> str:
    verdict = str(block["verdict"])
    if verdict == "elsewhere":
        waiting = {(one["mailbox"], one["meeting"]): one for one in foreign.waiting(tx, block["mailbox"])}
        if found := waiting.get((block["mailbox"], _handle(block))):
            return f"is in the CRMs as it was; {found['tool']} files it too, so nothing more is written of it" if (
                found["filed"]) else f"waits: {found['tool']} files it"
    return WHY.get(verdict, verdict)


def _record(tx: Transaction, key: str | None) -> RecordState | None:
    found = tx.by_natural_keys("meeting", keys_of([("key",)], {"key": key}))
    ids = [record for records in found.values() for record in records]
    return tx.record(ids[0]) if ids else None
