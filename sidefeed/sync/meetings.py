"""Which meetings leave a calendar, and which deal they belong to.

Only a meeting with a known outside person leaves the calendar; a private one never does, and one that turns private is
taken back. The deal is found by the ladder below, first hit wins, and a closed deal is never chosen; where nothing is
certain the meeting waits without a deal and one question is asked.

1. chosen   a person, or the other system, already said which deal
2. role     exactly one open deal has a matched attendee as contact
3. account  exactly one open deal on the account of a matched attendee
4. ask      the meeting goes to the account, and the question into the queue
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from sidefeed.mapping import ObjectMap
from sidefeed.sync.match import keys_of, normalise
from sidefeed.workspace import DELETED, Draft, RecordState, Transaction

if TYPE_CHECKING:
    from sidefeed.sync.absorb import Observation
    from sidefeed.sync.report import Report

PAST, FUTURE = timedelta(days=30), timedelta(days=14)
"""Activities are written for this window only; a meeting that leaves it is left alone, never deleted."""

CLOSED = frozenset({"won", "lost"})
PUBLIC_DOMAINS = frozenset(
    "aol.com gmail.com gmx.de gmx.net googlemail.com hotmail.com icloud.com live.com mail.com me.com msn.com "
    "outlook.com proton.me protonmail.com t-online.de web.de yahoo.com".split())


def admit(
    tx: Transaction, om: ObjectMap, live: list[Observation], report: Report, done: list[str]
) -> list[Observation]:
    """The observations that may enter the workspace. Calendars only: what a CRM already holds is no secret to it."""
    if not om.readonly:
        return live
    internal = internal_domains(tx)
    admitted = []
    known = tx.known_as(om.system, _feed(om, live), [one.id for one in live]) if live else {}
    for one in live:
        verdict = _verdict(tx, one, internal)
        if verdict == "admit":
            _defer_to_organiser(tx, om, one)
            admitted.append(one)
        elif verdict == "private" and one.id in known:
            _retract(tx, om, known[one.id][0])
            done.append(one.id)
        elif verdict in ("unmatched", "later"):
            tx.postpone(om.system, one.stream, one.id, waiting_for="a known outside attendee" if verdict == "unmatched"
                        else "the activity window",
                        until=tx.store.now() + timedelta(hours=1) if verdict == "unmatched" else _opens(one))
        elif one.id in known:
            admitted.append(one)  # already published: later changes still count
        else:
            done.append(one.id)
        if verdict != "admit":
            report.count(f"meetings_{verdict}")
    return admitted


def _feed(om: ObjectMap, live: Sequence[Observation]) -> str:
    return live[0].stream


def _verdict(tx: Transaction, one: Observation, internal: frozenset[str]) -> str:
    declined = one.values.pop("declined", None)
    if (one.values.get("sensitivity") or "normal") != "normal":
        return "private"
    outside = [address for address in addresses(one.values) if domain(address) not in internal]
    if not outside:
        return "internal"
    starts = _starts(one)
    now = tx.store.now()
    if starts is not None and starts > now + FUTURE:
        return "later"
    if starts is not None and starts < now - PAST:
        return "past"
    if declined:
        return "declined"
    if not people(tx, outside) and not accounts(tx, outside):
        return "unmatched"
    return "admit"


def _starts(one: Observation) -> datetime | None:
    when = one.values.get("when")
    if not when or not when.get("start"):
        return None
    if when.get("all_day"):
        return datetime.combine(date.fromisoformat(when["start"]), time(), UTC)
    return datetime.fromisoformat(when["start"])


def _opens(one: Observation) -> datetime | None:
    starts = _starts(one)
    return starts - FUTURE if starts else None


def _defer_to_organiser(tx: Transaction, om: ObjectMap, one: Observation) -> None:
    """An attendee's copy says only that the meeting is there, where the organiser's own calendar is connected too."""
    organiser = one.values.get("organiser")
    own = one.stream.partition("/")[2].casefold()
    if organiser and organiser != own and tx.records_known_as(om.system, "user", [organiser]):
        one.values = {"key": one.values.get("key")}


def _retract(tx: Transaction, om: ObjectMap, record: str) -> None:
    """A meeting that became private is taken back everywhere; its text leaves the current values."""
    state = tx.records([record])[record]
    if not state.deleted:
        blank = {name: None for name in ("subject", "location", "description", "attendees") if state.values.get(name)}
        tx.append([Draft("meeting", record, {**blank, DELETED: True}, "policy:private", "policy",
                         reason="it was made private in the calendar")])


def cancelled(tx: Transaction, om: ObjectMap, state: RecordState, now: datetime) -> None:
    """A meeting deleted from its calendar: a future one is cancelled, a past one stays as it was."""
    when = state.values.get("when") or {}
    still_held = [link for link in tx.links_of(state.id) if link.system == om.system and link.state == "live"]
    future = when.get("start", "") > now.strftime("%Y-%m-%d")
    if future and not still_held and state.values.get("status") != "cancelled":
        tx.append([Draft("meeting", state.id, {"status": "cancelled"}, om.system, om.system,
                         reason="deleted from the calendar")])


def attribute(tx: Transaction, om: ObjectMap, seen: Iterable[Observation], report: Report) -> None:
    """Put matched people, account or deal, and owner on meetings that came from a calendar."""
    internal = internal_domains(tx)
    deals = None
    for one in seen:
        state = tx.record(one.record) if one.record else None
        if state is None or state.deleted:
            continue
        outside = [address for address in addresses(state.values) if domain(address) not in internal]
        matched = people(tx, outside)
        fields: dict[str, Any] = {}
        contacts = sorted({*(state.values.get("contacts") or ()), *matched})
        if contacts and contacts != (state.values.get("contacts") or []):
            fields["contacts"] = contacts
        if state.values.get("owner") is None and (owner := _owner(tx, om, one, state)) is not None:
            fields["owner"] = owner
        if state.values.get("status") is None:
            fields["status"] = "planned"
        reason = None
        if state.values.get("about") is None:
            deals = open_deals(tx) if deals is None else deals
            about, step = choose_deal(tx, matched, accounts(tx, outside), deals)
            reason = f"attribution by {step}"
            if about is not None:
                fields["about"] = about
            if step == "ask":
                tx.ask(om.system, one.stream, one.id, "deal", {
                    "record": state.id, "contacts": matched, "went_to": about})
                report.count("meetings_asked")
        if fields:
            tx.append([Draft("meeting", state.id, fields, "policy:attribution", "policy", reason=reason)])


def choose_deal(
    tx: Transaction, contacts: Sequence[str], account_ids: Sequence[str], deals: Sequence[RecordState]
) -> tuple[str | None, str]:
    """The deal a meeting belongs to, or its account, and the step of the ladder that said so."""
    by_role = [deal.id for deal in deals if set(deal.values.get("contacts") or ()) & set(contacts)]
    if len(by_role) == 1:
        return f"opportunity:{by_role[0]}", "role"
    own = {state.values.get("account") for state in tx.records(list(contacts)).values()} | set(account_ids)
    own.discard(None)
    if not by_role:
        on_account = [deal.id for deal in deals if deal.values.get("account") in own]
        if len(on_account) == 1:
            return f"opportunity:{on_account[0]}", "account"
    return (f"account:{next(iter(own))}" if len(own) == 1 else None), "ask"


def open_deals(tx: Transaction) -> list[RecordState]:
    return [state for state in tx.each_record("opportunity")
            if not state.deleted and state.merged_into is None and state.values.get("stage") not in CLOSED]


def people(tx: Transaction, outside: Sequence[str]) -> list[str]:
    """Contacts with one of these addresses; an address that several contacts share proves nothing."""
    keys = {keys_of([("email",)], {"email": address})[0] for address in outside}
    return sorted({records[0] for records in tx.by_natural_keys("contact", keys).values() if len(records) == 1})


def accounts(tx: Transaction, outside: Sequence[str]) -> list[str]:
    keys = {keys_of([("domain",)], {"domain": domain(address)})[0] for address in outside
            if domain(address) not in PUBLIC_DOMAINS}
    return sorted({records[0] for records in tx.by_natural_keys("account", keys).values() if len(records) == 1})


def _owner(tx: Transaction, om: ObjectMap, one: Observation, state: RecordState) -> str | None:
    """The organiser where one of ours organised it, else whose calendar it was found in."""
    organiser = state.values.get("organiser") or ""
    mailbox = one.stream.partition("/")[2].casefold()
    found = tx.records_known_as(om.system, "user", [organiser, mailbox])
    return found.get(organiser) or found.get(mailbox)


def addresses(values: dict[str, Any]) -> list[str]:
    found = [values.get("organiser")] + [person.get("address") for person in values.get("attendees") or ()
                                         if person.get("role") != "resource"]
    return [address for address in dict.fromkeys(found) if address]


def domain(address: str) -> str:
    return normalise(address).rpartition("@")[2]  # type: ignore[no-any-return]


def internal_domains(tx: Transaction) -> frozenset[str]:
    """The domains of our own users, public mail providers excepted."""
    return frozenset(domain(email) for state in tx.each_record("user")
                     if (email := state.values.get("email"))) - PUBLIC_DOMAINS
