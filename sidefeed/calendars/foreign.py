"""Two tools that file the same calendars: told, meeting by meeting, before a second activity is made of any."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from sidefeed.calendars import busy
from sidefeed.calendars import marks as hidden
from sidefeed.calendars.policy import CalendarPolicy
from sidefeed.workspace import RecordState, Transaction
from sidefeed.workspace import tables as t

SUSPICIOUS = 3
"""So many meetings of one run that stand in the CRM already, written there by one and the same hand, are no accident.
One or two are a person who typed them."""


MARKS = {
    "tracked to dynamics 365": "Dynamics 365",
    "sync with salesforce": "Salesforce for Outlook",
    "added to salesforce": "Salesforce for Outlook",
    "saved to salesforce": "Copilot for Sales",
}
"""Outlook categories that say who files a meeting in a CRM. Sources: Power Platform, "Use Outlook category to track
appointments and emails"; Salesforce help 000383657; Microsoft Copilot for Sales, known issues of the tags."""


_HIDDEN = {mark.casefold(): tool for mark, tool in hidden.HIDDEN.items()}
ELSEWHERE = "elsewhere"
"""What is decided of a meeting with a mark of another tool."""
_SHOWN = 3
"""Meetings that the report of a run names by their days; `sidefeed status` lists all."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Another tool says by a mark that it files a meeting."""

    tool: str
    mark: str


def claim(marks: Iterable[str], policy: CalendarPolicy) -> Claim | None:
    """Who else files a meeting with these marks; None where they name nobody, or a tool that is accepted."""
    known = MARKS | _HIDDEN | dict(policy.foreign_marks)
    found = [Claim(known[name], mark.strip()) for mark in marks if (name := mark.strip().casefold()) in known]
    open_claims = [each for each in found if each.tool.casefold() not in policy.accepted_tools]
    return min(open_claims, key=lambda each: (each.tool, each.mark), default=None)


def advice(tool: str, mailbox: str, marks: Iterable[str], days: Iterable[str], *, filed: bool = False) -> str:
    """What to do about meetings that another tool files, which are told by their days; ``filed``: here too, since
    before it marked them."""
    told = sorted(days)
    these = f"{len(told)} meetings" if len(told) > 1 else "A meeting"
    which = ", ".join(told[:_SHOWN]) + (f" and {len(told) - _SHOWN} more" if len(told) > _SHOWN else "")
    signs = ", ".join(sorted({hidden.shown(mark) for mark in marks}))
    so = ("filed here before it was marked, so look whether it is in the CRM twice; nothing more is written of it"
          if filed else "not filed here, so that none is there twice")
    return (f"{these} in the calendar of {mailbox} ({which}) with a mark of {tool} ({signs}), which files meetings in "
            f"a CRM too: {so}; every other meeting goes on. {remedy(tool, filed=filed)}")


def remedy(tool: str, *, filed: bool = False) -> str:
    ours = f" To leave such a meeting to {tool}, delete its activity of Sidefeed's in the CRM." if filed else ""
    return (f"Switch {tool} off for this mailbox and remove its mark; or, if its marks are old or it files elsewhere, "
            f"add it to accepted_tools under [calendars] in sidefeed.toml.{ours}")


def waits_for(tool: str) -> str:
    """What a meeting waits for that another tool files."""
    return f"{tool}{_OFF}"


_OFF = " to be switched off"


def waiting(tx: Transaction, mailbox: str | None = None) -> list[dict[str, Any]]:
    """Every meeting (of one mailbox) that waits because another tool files it: ``mailbox``, ``start``, ``meeting`` (by
    which its owner finds it in `sidefeed my-calendar`), ``tool``, ``filed`` (whether it is in a CRM from here already),
    ``fix``. Of no meeting a word is told."""
    same = sa.and_(t.busy.c.system == t.inbox.c.system, t.busy.c.object == t.inbox.c.object,
                   t.busy.c.external_id == t.inbox.c.external_id)
    query = sa.select(t.busy.c.mailbox, t.busy.c.start, t.busy.c.key, t.busy.c.external_id, t.inbox.c.waiting_for).join(
        t.inbox, same).where(t.busy.c.verdict == ELSEWHERE, t.inbox.c.waiting_for.endswith(_OFF),
                             t.busy.c.start != busy.NEVER).order_by(t.busy.c.mailbox, t.busy.c.start)
    if mailbox is not None:
        query = query.where(t.busy.c.mailbox == mailbox)
    rows = tx.connection.execute(query).all()
    here = filed(tx, {row.key for row in rows if row.key})
    found = []
    for row in rows:
        tool, ours = str(row.waiting_for).removesuffix(_OFF), row.key in here
        found.append({"mailbox": row.mailbox, "start": row.start, "meeting": str(row.key or row.external_id)[-8:],
                      "tool": tool, "filed": ours, "fix": remedy(tool, filed=ours)})
    return found


def filed(tx: Transaction, keys: Collection[str]) -> set[str]:
    """Which of these meetings are in a CRM from here."""
    if not keys:
        return set()
    from sidefeed.sync.match import keys_of  # a room that itself needs this one

    names = {name: key for key in keys for name in keys_of([("key",)], {"key": key})}
    records = {record: names[name] for name, several in tx.by_natural_keys("meeting", set(names)).items()
               for record in several}
    return {records[link.record] for link in tx.links_of_all(records)
            if link.state == "live" and "/" not in link.object}


def held(tx: Transaction, states: Iterable[RecordState]) -> dict[str, str]:
    """Meetings of which nothing is written while another tool has its mark on any copy of them, and why. Those that
    were taken back or deleted are not among them: what must leave a CRM leaves it."""
    keys = set(tx.connection.execute(sa.select(t.busy.c.key).where(
        t.busy.c.verdict == ELSEWHERE, t.busy.c.key.is_not(None))).scalars())
    return {state.id: "another tool files this meeting too; `sidefeed status` says which, and what to do"
            for state in states if state.values.get("key") in keys and not state.deleted
            and not state.values.get("withdrawn")}


@dataclass(frozen=True, slots=True)
class Rival:
    """Somebody else's activities for meetings that are about to be filed: who wrote them, and of which meetings."""

    author: str
    records: tuple[str, ...]


def rivals(tx: Transaction, system: str, wanted: Iterable[str]) -> list[Rival]:
    """Who else files these meetings (records without an activity in the system yet) in the same system."""
    states = [state for state in tx.records(list(wanted)).values() if state.values.get("key")]
    if not states:
        return []
    theirs: dict[tuple[str, str], RecordState] = {
        name: state for state in tx.each_record("meeting")
        if not state.deleted and not state.values.get("key") and not state.values.get("planned_in")
        and (name := _name(state)) is not None}
    pairs = [(state, theirs[name]) for state in states if (name := _name(state)) is not None and name in theirs]
    by_author: dict[str, list[str]] = {}
    histories = tx.histories([other.id for _own, other in pairs])
    for own, other in pairs:
        first = next((change for change in histories[other.id] if change.source == system), None)
        if first is not None:
            by_author.setdefault(first.actor, []).append(own.id)
    return [Rival(author, tuple(records)) for author, records in by_author.items() if len(records) >= SUSPICIOUS]


def _name(state: RecordState) -> tuple[str, str] | None:
    start, subject = (state.values.get("when") or {}).get("start"), state.values.get("subject")
    return (str(start), str(subject).strip().casefold()) if start and subject else None
