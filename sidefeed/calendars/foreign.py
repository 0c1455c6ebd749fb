"""Two tools that file the same calendars: told, meeting by meeting, before a second activity is made of any."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import sqlalchemy as sa

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


def advice(tool: str, mailbox: str, marks: Iterable[str], days: Iterable[str]) -> str:
    """What to do about meetings that another tool files, which are told by their days."""
    told = sorted(days)
    these = f"{len(told)} meetings" if len(told) > 1 else "A meeting"
    which = ", ".join(told[:_SHOWN]) + (f" and {len(told) - _SHOWN} more" if len(told) > _SHOWN else "")
    signs = ", ".join(sorted({hidden.shown(mark) for mark in marks}))
    return (f"{these} in the calendar of {mailbox} ({which}) with a mark of {tool} ({signs}), which files meetings in "
            f"a CRM too: not filed here, so that none is there twice; every other meeting goes on. {remedy(tool)}")


def remedy(tool: str) -> str:
    return (f"Switch {tool} off for this mailbox and remove its mark; or, if its marks are old or it files elsewhere, "
            "add it to accepted_tools under [calendars] in sidefeed.toml.")


def waits_for(tool: str) -> str:
    """What a meeting waits for that another tool files."""
    return f"{tool}{_OFF}"


_OFF = " to be switched off"


def waiting(tx: Transaction, mailbox: str | None = None) -> list[dict[str, str]]:
    """Every meeting (of one mailbox) that waits because another tool files it: ``mailbox``, ``start``, ``meeting`` (by
    which its owner finds it in `sidefeed my-calendar`), ``tool``, ``fix``. Of no meeting a word is told."""
    same = sa.and_(t.busy.c.system == t.inbox.c.system, t.busy.c.object == t.inbox.c.object,
                   t.busy.c.external_id == t.inbox.c.external_id)
    query = sa.select(t.busy.c.mailbox, t.busy.c.start, t.busy.c.key, t.busy.c.external_id, t.inbox.c.waiting_for).join(
        t.inbox, same).where(t.busy.c.verdict == "elsewhere", t.inbox.c.waiting_for.endswith(_OFF)).order_by(
            t.busy.c.mailbox, t.busy.c.start)
    if mailbox is not None:
        query = query.where(t.busy.c.mailbox == mailbox)
    found = []
    for row in tx.connection.execute(query):
        tool = str(row.waiting_for).removesuffix(_OFF)
        found.append({"mailbox": row.mailbox, "start": row.start, "meeting": str(row.key or row.external_id)[-8:],
                      "tool": tool, "fix": remedy(tool)})
    return found


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
