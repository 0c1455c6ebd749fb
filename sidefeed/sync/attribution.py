"""Which deal a meeting belongs to: a ladder, first hit wins, and a closed deal is never chosen.

====== ========================================================= ==========
step   condition                                                 confidence
====== ========================================================= ==========
chosen a person, or the other system, said which                        1.0
rule   a person said so for this meeting, its series or people          1.0
role   exactly one open deal has a matched attendee as contact          0.9
account all are of one account, and it has exactly one open deal         0.7
ask    anything else                                                    0.0
====== ========================================================= ==========

Below the confidence of the policy the meeting waits without a deal (on its account, where that is certain), and one
question is asked for it and its whole series.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sidefeed.calendars.policy import PUBLIC_DOMAINS
from sidefeed.calendars.rules import Rules
from sidefeed.mapping import ObjectMap
from sidefeed.mapping.values import referred
from sidefeed.sync.match import keys_of, normalise
from sidefeed.workspace import DELETED, Draft, RecordState, Transaction

if TYPE_CHECKING:
    from sidefeed.sync.observation import Observation
    from sidefeed.sync.report import Report

CLOSED = frozenset({"won", "lost"})
CONFIDENCE = {"chosen": 1.0, "rule": 1.0, "role": 0.9, "account": 0.7, "ask": 0.0}
CANCELLED = "Cancelled: "
LONGEST_UID = 500
"""Whoever invites chooses the UID, and PostgreSQL indexes no value of more than 2,704 bytes."""
MANY = 50
"""In a larger round only people who are known count; nobody of it is suggested as a contact."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Where a meeting is filed (``about``), by which step, why, and the deals that were possible."""

    about: str | None
    step: str
    why: str
    candidates: tuple[str, ...] = ()

    @property
    def confidence(self) -> float:
        return CONFIDENCE[self.step]


def attribute(tx: Transaction, om: ObjectMap, seen: Iterable[Observation], report: Report) -> None:
    """Put matched people, account or deal, and owner on meetings that came from a calendar."""
    ours = internal(tx)
    deals: list[RecordState] | None = None
    rules: Rules | None = None
    for one in seen:
        state = tx.record(one.record) if one.record else None
        if state is None or state.deleted:
            continue
        everybody = dict.fromkeys([*addresses(state.values), *one.people])
        outside = [address for address in everybody if not is_internal(address, ours)]
        matched = people(tx, outside)
        fields: dict[str, Any] = {}
        contacts = sorted({*(state.values.get("contacts") or ()), *matched})
        if one.level != "title" and contacts and contacts != (state.values.get("contacts") or []):
            fields["contacts"] = contacts
        if state.values.get("owner") is None and (owner := _owner(tx, om, one, state)) is not None:
            fields["owner"] = owner
        fields |= _standing(tx, om, one, state)
        reason = None
        if state.values.get("about") is None:
            deals = open_deals(tx) if deals is None else deals
            rules = Rules(tx) if rules is None else rules
            choice = choose(tx, state, matched, accounts(tx, _homeless(tx, outside, matched)), deals, rules)
            reason = f"attribution by {choice.step} (confidence {choice.confidence}): {choice.why}"
            if choice.about is not None:
                fields["about"] = choice.about
            if choice.step == "ask":
                _ask(tx, state, matched, choice)
                report.count("meetings_asked")
        if fields:
            tx.append([Draft("meeting", state.id, fields, "policy:attribution", "policy", reason=reason)])
        if one.level != "title":
            _suggest(tx, state, outside)


def choose(
    tx: Transaction, state: RecordState, contacts: Sequence[str], account_ids: Sequence[str],
    deals: Sequence[RecordState], rules: Rules,
) -> Choice:
    """The deal of a meeting, or its account. ``deals`` are the open ones.

    A partner's deal is not that of the customer who was met too: where people of several accounts meet, a person says.
    """
    named = {f"opportunity:{deal.id}": deal for deal in deals}
    told = [deal for deal in rules.deals(state.values.get("key"), state.values.get("uid"), contacts) if deal in named]
    if len(told) == 1:
        return Choice(told[0], "rule", f"a person files these on {_name(named[told[0]])}")
    by_role = [deal for deal in deals if set(referred(deal.values.get("contacts"))) & set(contacts)]
    own = {one.values.get("account") for one in tx.records(list(contacts)).values()} | set(account_ids)
    own.discard(None)
    on_account = [deal for deal in deals if deal.values.get("account") in own]
    found = Choice(None, "ask", "no open deal of these people or their account")
    if len(by_role) == 1:
        found = Choice(f"opportunity:{by_role[0].id}", "role",
                       f"{_name(by_role[0])} is the only open deal that an attendee has a role on")
    elif not by_role and len(on_account) == len(own) == 1:
        found = Choice(f"opportunity:{on_account[0].id}", "account",
                       f"{_name(on_account[0])} is the only open deal of the account")
    if found.step != "ask" and found.confidence >= tx.store.calendars.confidence:
        return found
    candidates = tuple(dict.fromkeys(deal.id for deal in (*by_role, *on_account)))
    account = f"account:{next(iter(own))}" if len(own) == 1 else None
    why = f"{len(candidates)} open deals are possible" if candidates else found.why
    return Choice(account, "ask", why, candidates)


def _homeless(tx: Transaction, outside: Sequence[str], contacts: Sequence[str]) -> list[str]:
    """Addresses whose account is told by their domain alone: those of nobody, and of contacts without an account."""
    placed = {normalise(str(one.values.get("email"))) for one in tx.records(list(contacts)).values()
              if one.values.get("account")}
    return [address for address in outside if normalise(address) not in placed]


def open_deals(tx: Transaction) -> list[RecordState]:
    return [state for state in tx.each_record("opportunity")
            if not state.deleted and state.merged_into is None and state.values.get("stage") not in CLOSED]


def question_of(values: dict[str, Any]) -> str:
    """One question for a meeting and its whole series."""
    uid = str(values.get("uid") or "")
    if not 0 < len(uid) <= LONGEST_UID:
        return f"meeting:{values.get('key')}"
    return f"series:{uid}"


def _ask(tx: Transaction, state: RecordState, contacts: Sequence[str], choice: Choice) -> None:
    name = question_of(state.values)
    known: dict[str, Any] = next((row["evidence"] for row in tx.questions()
                  if row["kind"] == "deal" and row["external_id"] == name), {})
    records = list(dict.fromkeys([*known.get("records", ()), state.id]))
    tx.ask("workspace", "meeting", name, "deal", {
        "records": records, "contacts": list(contacts), "went_to": choice.about, "why": choice.why,
        "candidates": {deal: _name(found) for deal, found in tx.records(choice.candidates).items()}})


def _suggest(tx: Transaction, state: RecordState, outside: Collection[str]) -> None:
    """People of a customer meeting who are nobody's contact yet: suggested, never created."""
    if len(outside) > MANY:
        return
    names = {person.get("address"): person.get("name") for person in state.values.get("attendees") or ()}
    strangers = [address for address in outside if not _contacts(tx, address)]
    if not strangers:
        return
    open_now = {row["external_id"]: row["evidence"] for row in tx.questions() if row["kind"] == "person"}
    for address in strangers:
        meetings = list(dict.fromkeys([*open_now.get(address, {}).get("meetings", ()), state.id]))
        account = next(iter(accounts(tx, [address])), None)
        tx.ask("workspace", "contact", address, "person", {
            "name": names.get(address), "account": account, "meetings": meetings})


def _contacts(tx: Transaction, address: str) -> list[str]:
    keys = keys_of([("email",)], {"email": address})
    return next(iter(tx.by_natural_keys("contact", keys).values()), [])


def people(tx: Transaction, outside: Sequence[str]) -> list[str]:
    """Contacts with one of these addresses; an address that several contacts share proves nothing."""
    keys = {key for address in outside for key in keys_of([("email",)], {"email": address})}
    return sorted({records[0] for records in tx.by_natural_keys("contact", keys).values() if len(records) == 1})


def accounts(tx: Transaction, outside: Sequence[str]) -> list[str]:
    keys = {key for address in outside if domain(address) not in PUBLIC_DOMAINS
            for key in keys_of([("domain",)], {"domain": domain(address)})}
    return sorted({records[0] for records in tx.by_natural_keys("account", keys).values() if len(records) == 1})


def _owner(tx: Transaction, om: ObjectMap, one: Observation, state: RecordState) -> str | None:
    """The organiser where one of ours organised it, else whose calendar it was found in."""
    organiser = state.values.get("organiser") or one.organiser
    found = tx.records_known_as(om.system, "user", [organiser, one.mailbox])
    if organiser in found or one.mailbox in found:
        return found.get(organiser) or found[one.mailbox]
    keys = {address: keys_of([("email",)], {"email": address}) for address in (organiser, one.mailbox)}
    users = tx.by_natural_keys("user", {key for own in keys.values() for key in own})
    return next((users[key][0] for own in keys.values() for key in own if len(users.get(key, ())) == 1), None)


def _standing(tx: Transaction, om: ObjectMap, one: Observation, state: RecordState) -> dict[str, Any]:
    """Whether it takes place, and how both CRMs show where it does not."""
    if state.values.get("withdrawn"):
        return {"withdrawn": False, DELETED: False, "status": one.values.get("status") or "planned"}
    if state.values.get("status") is None or _is_back(tx, om, one, state):
        subject = str(state.values.get("subject") or "")
        return {"status": "planned"} | (
            {"subject": subject.removeprefix(CANCELLED)} if subject.startswith(CANCELLED) else {})
    return marked_cancelled(state) if state.values.get("status") == "cancelled" else {}


def marked_cancelled(state: RecordState) -> dict[str, Any]:
    """A cancelled meeting says so in its subject: a Salesforce Event has no other place for it."""
    subject = str(state.values.get("subject") or "")
    if not subject or subject.casefold().startswith(("cancelled", "canceled")):
        return {}
    return {"subject": CANCELLED + subject}


def _is_back(tx: Transaction, om: ObjectMap, one: Observation, state: RecordState) -> bool:
    """It was cancelled because its calendar had lost it, and the calendar has it again."""
    if state.values.get("status") != "cancelled" or one.values.get("status") is not None or "when" not in one.values:
        return False
    said = tx.head_details(state.heads_of("status"))
    return all(change.source == om.system for change in said.values())


def addresses(values: dict[str, Any]) -> list[str]:
    """Everybody in a meeting but rooms and other resources."""
    found = [values.get("organiser")] + [person.get("address") for person in values.get("attendees") or ()
                                         if person.get("role") != "resource"]
    return [address for address in dict.fromkeys(found) if address]


def domain(address: str) -> str:
    return str(normalise(address)).rpartition("@")[2]


def internal(tx: Transaction) -> frozenset[str]:
    """Our own addresses and domains: the users' addresses, their domains, public mail providers excepted, and the
    administrator's domains."""
    own = frozenset(str(normalise(email)) for state in tx.each_record("user") if (email := state.values.get("email")))
    domains = frozenset(map(domain, own)) - PUBLIC_DOMAINS
    return own | domains | tx.store.calendars.internal_domains


def is_internal(address: str, ours: frozenset[str]) -> bool:
    """Whether somebody is one of us; a colleague with an address at a public mail provider is too."""
    return domain(address) in ours or str(normalise(address)) in ours


def _name(deal: RecordState) -> str:
    return str(deal.values.get("name") or deal.id)
