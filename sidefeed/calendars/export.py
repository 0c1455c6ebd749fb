"""Meetings and contacts of the workspace as files that every calendar and address book reads."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sidefeed.calendars import busy
from sidefeed.calendars.identity import meeting_key
from sidefeed.calendars.policy import publishes, tightest
from sidefeed.calendars.recurrence import SERIES, on_day
from sidefeed.workspace import RecordState, Transaction

WORDS = (("subject", "SUMMARY"), ("location", "LOCATION"), ("description", "DESCRIPTION"), ("join_url", "URL"))


@dataclass(frozen=True, slots=True)
class Whole:
    """A series with those of its occurrences that are known as meetings, by original start; ``hidden`` are original
    starts of which nothing may be told."""

    state: RecordState
    occurrences: Mapping[str, RecordState]
    hidden: Collection[str] = ()


def meetings_file(meetings: Iterable[RecordState], now: datetime, series: Iterable[Whole] = ()) -> bytes:
    """Meetings as one iCalendar file, without attendees: importing it anywhere invites nobody.

    A series is one object, with its rule, its exceptions and its deletions. An occurrence whose series is not known
    carries its UID and its place in it. So a file read again is the same meetings.
    """
    import icalendar

    calendar = icalendar.Calendar()
    calendar.add("VERSION", "2.0")
    calendar.add("PRODID", "-//Sidefeed//EN")
    for each in series:
        for event in _series(each, now):
            calendar.add_component(event)
    for state in meetings:
        when = state.values.get("when")
        if when:
            uid, original = _identity(state, when["start"])
            calendar.add_component(_event(uid, original, when, state.values, now))
    calendar.add_missing_timezones()
    return bytes(calendar.to_ical())


def _series(whole: Whole, now: datetime) -> Iterator[Any]:
    import icalendar

    values, told = whole.state.values, whole.state.values["recurrence"]
    uid, zone = str(values["uid"]), told["zone"]
    event = _event(uid, None, told, values, now)
    if told["rule"]:
        event.add("RRULE", icalendar.vRecur.from_ical(told["rule"]))
    for name, starts in (("RDATE", told["dates"]), ("EXDATE", {*told["deletions"], *whole.hidden})):
        for start in sorted(starts):
            event.add(name, _moment(start, zone))
    yield event
    length = _length(told)
    for original in sorted({*told["exceptions"], *whole.occurrences} - {*told["deletions"], *whole.hidden}):
        start, end = told["exceptions"].get(original) or (original, _later(original, length))
        when = {"start": start, "end": end, "zone": zone}
        meeting = whole.occurrences.get(original)
        own = values if meeting is None else meeting.values
        if meeting is not None and meeting.values.get("when"):
            when = {**when, **{name: meeting.values["when"][name] for name in ("start", "end")}}
        if original in told["exceptions"] or (when["start"], when["end"]) != (start, end) or (
                any(own.get(name) != values.get(name) for name, _prop in WORDS) or own.get("status") == "cancelled"):
            place = original if told["all_day"] or len(original) > 10 else on_day(original, told["start"], zone)
            yield _event(uid, place, when, own, now)


def occurrences_between(told: Mapping[str, Any], first: str, last: str) -> list[str]:
    """The original starts that a recurrence has by its rule from a day before one start to a day after another."""
    import icalendar
    import recurring_ical_events

    calendar, day = icalendar.Calendar(), timedelta(days=1)
    event = _event("series", None, told, {}, datetime.now(UTC))
    if told["rule"]:
        event.add("RRULE", icalendar.vRecur.from_ical(told["rule"]))
    for start in told["dates"]:
        event.add("RDATE", _moment(start, told["zone"]))
    calendar.add_component(event)
    found = recurring_ical_events.of(calendar).between(_moment(first, None) - day, _moment(last, None) + day)
    return sorted({_original(one["DTSTART"].dt) for one in found})


def _original(moment: date | datetime) -> str:
    if isinstance(moment, datetime):
        return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return moment.isoformat()


def _event(
    uid: str, original: str | None, when: Mapping[str, Any], values: Mapping[str, Any], now: datetime
) -> Any:
    import icalendar

    event, zone = icalendar.Event(), when.get("zone")
    event.add("UID", uid)
    event.add("DTSTAMP", now.astimezone(UTC))
    event.add("DTSTART", _moment(when["start"], zone))
    event.add("DTEND", _moment(when["end"], zone))
    if original is not None:
        event.add("RECURRENCE-ID", _moment(original, zone))
    for name, prop in WORDS:
        if values.get(name):
            event.add(prop, values[name])
    if values.get("status") == "cancelled":
        event.add("STATUS", "CANCELLED")
    return event


def _length(told: Mapping[str, Any]) -> timedelta:
    """How long an occurrence lasts: by the clock that counts seconds, as Exchange and RFC 5545 agree for short ones."""
    return datetime.fromisoformat(told["end"]) - datetime.fromisoformat(told["start"])


def _later(start: str, length: timedelta) -> str:
    until = datetime.fromisoformat(start) + length
    return until.date().isoformat() if len(start) == 10 else until.strftime("%Y-%m-%dT%H:%M:%SZ")


def _identity(state: RecordState, start: str) -> tuple[str, str | None]:
    """UID and, for an occurrence, its original start; a moved occurrence whose series is not known is a meeting of its
    own."""
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


def wholes(tx: Transaction, meetings: Sequence[RecordState]) -> tuple[list[Whole], list[RecordState]]:
    """Series of which some of these meetings are occurrences, and the meetings that are of no known series.

    An occurrence that was taken back, or that one of its calendars keeps to itself, is hidden in its series.
    """
    by_uid: dict[str, list[RecordState]] = {}
    for meeting in meetings:
        by_uid.setdefault(str(meeting.values.get("uid") or ""), []).append(meeting)
    withdrawn = {str(state.values.get("key")) for state in tx.each_record("meeting") if state.values.get("withdrawn")}
    found: list[Whole] = []
    placed: set[str] = set()
    for state in tx.each_record(SERIES):
        own = by_uid.get(str(state.values.get("uid")), [])
        if not own or state.deleted or not state.values.get("recurrence"):
            continue
        places = _places(state, own)
        occurrences = {places[key]: one for one in own if (key := str(one.values.get("key"))) in places}
        hidden = {original for key, original in places.items() if key in withdrawn or not publishes(
            tightest("full", *(copy["level"] for copy in busy.copies(tx, key))))}
        found.append(Whole(state, {at: one for at, one in occurrences.items() if at not in hidden}, hidden))
        placed |= {one.id for one in occurrences.values()}
    return found, [meeting for meeting in meetings if meeting.id not in placed]


def _places(state: RecordState, meetings: Sequence[RecordState]) -> dict[str, str]:
    """Meeting key -> original start, of the occurrences around these meetings and of every exception."""
    told = state.values["recurrence"]
    starts = sorted(str(one.values["when"]["start"]) for one in meetings if one.values.get("when"))
    near = occurrences_between(told, starts[0], starts[-1]) if starts else []
    return {meeting_key(str(state.values["uid"]), original): original for original in {*near, *told["exceptions"]}}
