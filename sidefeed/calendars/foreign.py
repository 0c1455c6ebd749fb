"""Two tools that file the same calendars: told before a second activity is made of every meeting."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sidefeed.calendars.policy import CalendarPolicy
from sidefeed.workspace import RecordState, Transaction

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


def tool_of(marks: Iterable[str], policy: CalendarPolicy) -> str | None:
    """The other tool that a meeting's categories name; None where they name none, or one that is accepted."""
    known = MARKS | dict(policy.foreign_marks)
    found = {known[name] for mark in marks if (name := mark.strip().casefold()) in known}
    return next((tool for tool in sorted(found) if tool.casefold() not in policy.accepted_tools), None)


def advice(tool: str, mailbox: str, number: int) -> str:
    """What to do about meetings that another tool files."""
    these = f"{number} meetings" if number > 1 else "A meeting"
    return (f"{these} in the calendar of {mailbox} with a mark of {tool}, which files meetings in a CRM too: not filed "
            f"here, so that none is there twice. Switch {tool} off for this mailbox and remove its category; or, if "
            "its marks are old or it files elsewhere, add it to accepted_tools under [calendars] in sidefeed.toml.")


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
