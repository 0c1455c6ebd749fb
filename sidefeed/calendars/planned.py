"""Meetings planned here, on a deal, in the organiser's own calendar; and whom that would mail.

A calendar is written for these meetings alone, and only from what was said in the workspace: a CRM's edit never moves
anybody's calendar. Invitations go out where the organiser asked for them, and nothing else raises the mail budget.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sidefeed.mapping import ObjectMap
from sidefeed.mapping.values import referred
from sidefeed.sync import refs
from sidefeed.sync.adopt import open_creates, why_it_waits
from sidefeed.sync.attribution import CLOSED
from sidefeed.sync.writes import Mails, ObjectPlan, PlannedWrite
from sidefeed.workspace import DELETED, Draft, Link, RecordState, StoreError, Transaction
from sidefeed.workspace.clock import utc_text
from sidefeed.workspace.report import find_records, label

ONLINE = "OnlineMeeting"
"""The raw field by which a calendar that has an online service of its own is asked for a meeting there."""

MOVES = ("subject", "when", "location")
KINDS = {"create": "invitation", "update": "update", "delete": "cancellation"}


def plan_calendar(tx: Transaction, om: ObjectMap, plan: ObjectPlan) -> None:
    """Add the writes to one calendar that meetings planned here ask for."""
    feed = f"{om.system} {plan.stream.name}"
    ids = dict.fromkeys([*tx.due(om.system, plan.stream.name), *tx.changed_ids(
        "meeting", since=tx.cursor(om.system, plan.stream.name).planned_rev)])
    own = [state for state in tx.records(list(ids)).values() if state.values.get("planned_in") == feed]
    plan.looked_at = [state.id for state in own]
    links = tx.links(om.system, plan.stream.name, [state.id for state in own])
    unheard = open_creates(tx, om.system, plan.stream.name)
    for state in own:
        link = links.get(state.id)
        if link is not None and link.state == "creating" and link.key in unheard:
            plan.waiting[state.id] = why_it_waits(state, unheard[link.key])
        write = _write(tx, om, plan, state, link)
        if write is not None:
            write.mails = mails_of(tx, state, write.op, list(write.fields))
            plan.writes.append(write)


def _write(
    tx: Transaction, om: ObjectMap, plan: ObjectPlan, state: RecordState, link: Link | None
) -> PlannedWrite | None:
    last = str((state.values.get("when") or {}).get("start" if state.values.get("invite") else "end") or "")
    off = state.deleted or state.values.get("status") == "cancelled"
    if link is None or link.state == "wanted":
        if off or last < utc_text(tx.store.now())[:len(last)]:
            return None  # nothing in the past is ever put into a calendar, and nobody is invited to what has begun
        op, names = "create", [name for name in MOVES if name in om]
    elif link.state != "live":
        return None
    elif off and _said_here(tx, state, DELETED if state.deleted else "status"):
        op, names = "delete", []
    else:
        op, names = "update", [name for name in MOVES if name in om and _unseen(link, state, name)
                               and _said_here(tx, state, name)]
        if not names:
            return None
    raw = _raw(tx, om, state, names, creating=op == "create")
    image = tx.bases(om.system, plan.stream.name, [state.id]).get(state.id, {})
    return PlannedWrite(
        om.system, plan.stream.name, state.id, "meeting", op, label(state),  # type: ignore[arg-type]
        link.external_id if link else None, state.rev,
        {name: image.get(name) for name in raw} if op == "update" else {}, raw,
        {name: list(state.heads_of(name)) for name in names}, reason="planned in the workspace")


def _unseen(link: Link, state: RecordState, name: str) -> bool:
    known = link.exceptions.get(name)
    return set(known) != set(state.heads_of(name)) if known is not None else state.field_rev(name) > link.synced_rev


def _said_here(tx: Transaction, state: RecordState, name: str) -> bool:
    said = tx.head_details(state.heads_of(name))
    return bool(said) and all(change.source == "workspace" for change in said.values())


def _raw(
    tx: Transaction, om: ObjectMap, state: RecordState, names: list[str], *, creating: bool
) -> dict[str, Any]:
    outward = refs.outward(tx, om, [state.values])
    raw: dict[str, Any] = {}
    for name in names:
        raw |= om.field(name).lens.write(_shown(state.values, name), outward)
    if creating:
        raw = {name: value for name, value in raw.items() if value is not None}
        if state.values.get("invite") and "attendees" in om:
            raw |= {"Attendees": state.values.get("attendees") or [], "Organizer": state.values.get("organiser")}
        if state.values.get("online"):
            raw[ONLINE] = True
    return raw


def _shown(values: Mapping[str, Any], name: str) -> Any:
    """The join link stands with the place, where every calendar shows it."""
    link = values.get("join_url")
    if name != "location" or not link:
        return values.get(name)
    return f"{values['location']} ({link})" if values.get("location") else link


def mails_of(tx: Transaction, state: RecordState, op: str, names: Sequence[str] = ()) -> Mails | None:
    """Whom a write would mail, or None. ``names`` are the fields that an update writes.

    The organiser asked only if the organiser said so, here, and also said everything that the message tells: who is
    invited and to what, the other time, that it is off. A colleague's edit of an invited meeting is not asked for.
    """
    people = tuple(person["address"] for person in state.values.get("attendees") or () if person.get("address"))
    organiser = str(state.values.get("organiser") or "")
    if not state.values.get("invite") or not people:
        return None
    told = {"create": (*MOVES, "attendees"), "update": names, "delete": (DELETED if state.deleted else "status",)}[op]
    said = tx.head_details([rev for name in ("invite", *told) for rev in state.heads_of(name)]).values()
    asked = bool(state.heads_of("invite")) and all(
        change.source == "workspace" and change.actor == organiser for change in said)
    return Mails(KINDS[op], people, organiser, asked)


@dataclass(frozen=True, slots=True)
class Wish:
    """A meeting that somebody wants.

    ``feed`` names the calendar, ``people`` contacts by id or name; ``online`` asks the calendar's own service for a
    join link."""

    deal: str
    organiser: str
    feed: str
    start: datetime
    end: datetime
    zone: str
    subject: str = ""
    location: str = ""
    people: tuple[str, ...] = ()
    invite: bool = False
    online: bool = False


def plan_meeting(tx: Transaction, wish: Wish, *, actor: str) -> str:
    """Put a meeting into the workspace; the next sync puts it into the organiser's calendar and both CRMs.

    Returns its record id. Raises StoreError, naming what is wrong.
    """
    deal = _one(tx, wish.deal, "opportunity")
    if deal.values.get("stage") in CLOSED:
        raise StoreError(f"{deal.values.get('name')} is closed; no meeting is planned on a closed deal.")
    if wish.end <= wish.start or wish.start <= tx.store.now():
        raise StoreError("the meeting must end after it begins, and begin in the future; the past invites nobody.")
    contacts = [_one(tx, person, "contact") for person in wish.people] or list(
        tx.records(referred(deal.values.get("contacts"))).values())
    owner = next((state.id for state in tx.each_record("user")
                  if str(state.values.get("email") or "").casefold() == wish.organiser), None)
    template = tx.store.calendars.conference_url
    record = tx.new_id()
    fields = {
        "subject": wish.subject or str(deal.values.get("name")), "location": wish.location or None,
        "when": {"start": utc_text(wish.start), "end": utc_text(wish.end), "zone": wish.zone, "all_day": False},
        "organiser": wish.organiser, "owner": owner, "about": f"opportunity:{deal.id}", "status": "planned",
        "contacts": [state.id for state in contacts] or None, "attendees": _attendees(contacts) or None,
        "join_url": template.replace("{id}", secrets.token_urlsafe(12)) if template and not wish.online else None,
        "planned_in": wish.feed, "invite": wish.invite, "online": wish.online or None, "sensitivity": "normal"}
    tx.append([Draft("meeting", record, {name: value for name, value in fields.items() if value is not None}, actor,
                     "workspace", reason="planned on the deal")])
    return record


def change_meeting(tx: Transaction, meeting: str, fields: Mapping[str, Any], *, actor: str, reason: str) -> RecordState:
    """Move or cancel a meeting that was planned here. Raises StoreError for any other: its calendar is its owner's; for
    one to which people were invited, whom only its organiser may have mailed; and for what is over."""
    state = _one(tx, meeting, "meeting")
    if not state.values.get("planned_in"):
        raise StoreError("this meeting was not planned here; move or cancel it in the calendar of its organiser.")
    now, organiser = utc_text(tx.store.now()), str(state.values.get("organiser") or "")
    if state.values.get("invite") and state.values.get("attendees") and actor != organiser:
        raise StoreError(f"{organiser} invited people to this meeting, who would be mailed, and only {organiser} can "
                         "ask for that; say it as the organiser, or ask them to.")
    if str((state.values.get("when") or {}).get("end") or now) < now:
        raise StoreError("this meeting is over; what is past is neither moved nor cancelled, and nobody is mailed.")
    if "when" in fields and str(fields["when"]["start"]) < now:
        raise StoreError("the meeting must begin in the future; nobody is told of a move into the past.")
    tx.append([Draft("meeting", state.id, dict(fields), actor, "workspace", reason=reason)])
    return state


def _attendees(contacts: list[RecordState]) -> list[dict[str, Any]]:
    return sorted(({"address": str(state.values["email"]).casefold(), "name": _name(state), "role": "required",
                    "response": "none"} for state in contacts if state.values.get("email")),
                  key=lambda person: str(person["address"]))


def _name(state: RecordState) -> str:
    return " ".join(str(state.values[part]) for part in ("first_name", "last_name") if state.values.get(part))


def _one(tx: Transaction, text: str, entity: str) -> RecordState:
    found = [state for state in find_records(tx, text) if state.entity == entity and not state.deleted]
    if len(found) != 1:
        hint = "; ".join(f"{state.id} {state.values.get('name') or state.values.get('email') or ''}"
                         for state in found[:5])
        raise StoreError(f"{text!r} is {len(found) or 'no'} {entity} records" + (f": {hint}. Give the id." if hint else
                         "; look for its id with `sidefeed blame`."))
    return found[0]
