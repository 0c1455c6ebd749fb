"""Meetings and contacts of the workspace as files that every calendar and address book reads."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sidefeed.calendars.identity import meeting_key
from sidefeed.workspace import RecordState


def meetings_file(meetings: Iterable[RecordState], now: datetime) -> bytes:
    """Meetings as one iCalendar file, without attendees: importing it anywhere invites nobody.

    An occurrence carries the UID of its series and its place in it, so that a file read again is the same meetings.
    """
    import icalendar

    calendar = icalendar.Calendar()
    calendar.add("VERSION", "2.0")
    calendar.add("PRODID", "-//Sidefeed//EN")
    for state in meetings:
        if state.values.get("when"):
            calendar.add_component(_event(icalendar.Event(), state, now))
    calendar.add_missing_timezones()
    return bytes(calendar.to_ical())


def _event(event: Any, state: RecordState, now: datetime) -> Any:
    values, when = state.values, state.values["when"]
    zone = when.get("zone")
    start = _moment(when["start"], zone)
    uid, original = _identity(state, when["start"])
    event.add("UID", uid)
    event.add("DTSTAMP", now.astimezone(UTC))
    event.add("DTSTART", start)
    event.add("DTEND", _moment(when["end"], zone))
    if original is not None:
        event.add("RECURRENCE-ID", _moment(original, zone))
    for name, prop in (("subject", "SUMMARY"), ("location", "LOCATION"), ("description", "DESCRIPTION"),
                       ("join_url", "URL")):
        if values.get(name):
            event.add(prop, values[name])
    if values.get("status") == "cancelled":
        event.add("STATUS", "CANCELLED")
    return event


def _identity(state: RecordState, start: str) -> tuple[str, str | None]:
    """UID and, for an occurrence, its original start; a moved occurrence, whose original start is not known here, is
    a meeting of its own."""
    uid, key = state.values.get("uid"), state.values.get("key")
    if uid and key == meeting_key(uid, "single"):
        return str(uid), None
    if uid and key == meeting_key(uid, start):
        return str(uid), start
    return f"{state.id}@sidefeed", None


def _moment(text: str, zone: str | None) -> date | datetime:
    if len(text) == 10:
        return date.fromisoformat(text)
    moment = datetime.fromisoformat(text).astimezone(UTC)
    try:
        return moment.astimezone(ZoneInfo(zone)) if zone and zone != "UTC" else moment
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return moment  # a zone that only its own calendar knows: the instant is what counts


def contacts_file(contacts: Iterable[RecordState], companies: dict[str, str]) -> bytes:
    """Contacts as vCards 3.0. ``companies`` maps account ids to names."""
    import vobject

    cards = []
    for state in contacts:
        values, card = state.values, vobject.vCard()
        first, last = str(values.get("first_name") or ""), str(values.get("last_name") or "")
        card.add("uid").value = state.id
        card.add("n").value = vobject.vcard.Name(family=last, given=first)
        card.add("fn").value = f"{first} {last}".strip() or str(values.get("email") or "?")
        for name, prop in (("email", "email"), ("phone", "tel"), ("title", "title")):
            if values.get(name):
                card.add(prop).value = str(values[name])
        if companies.get(str(values.get("account"))):
            card.add("org").value = [companies[str(values["account"])]]
        cards.append(card.serialize())
    return "".join(cards).encode()
