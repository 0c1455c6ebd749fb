"""Mail files and what lies in their calendars. An entry is kept as iCalendar, which both formats are made from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

import icalendar
from dateutil.rrule import rrulestr

Kind = Literal["event", "notice", "task"]


@dataclass(frozen=True, slots=True)
class Mail:
    """A notice that was, or would have been, mailed. ``kind`` is invitation, update, cancelation or response."""

    kind: str
    sender: str
    recipients: tuple[str, ...]
    subject: str


@dataclass(slots=True)
class Entry:
    """One calendar entry of one mail file. ``events`` is the event, or the series and then its exceptions."""

    uid: str
    events: list[Any]
    modified: datetime
    kind: Kind = "event"
    draft: bool = False
    notice: str = ""
    """Of a notice, its id: its UID leads nowhere until it is accepted."""
    raw: bytes | None = None
    """What a reading as iCalendar answers in place of the entry: for content that no server would make."""

    @property
    def master(self) -> Any:
        return self.events[0]

    @property
    def repeats(self) -> bool:
        return "RRULE" in self.master or "RDATE" in self.master


@dataclass(slots=True)
class Instance:
    """One row of the calendar view: an event, or one instance of a series with its original start."""

    entry: Entry
    event: Any
    original: datetime | date | None
    start: datetime | date
    end: datetime | date


@dataclass
class MailFile:
    """A person's mail file. ``path`` is its folder and database; ``zone`` Domino's name of the owner's zone."""

    path: str
    owner: str
    address: str
    password: str
    zone: str
    entries: dict[str, Entry] = field(default_factory=dict)
    denied: bool = False

    def notice(self, id: str) -> Entry | None:
        return next((one for one in self.entries.values() if one.kind == "notice" and one.notice == id), None)


@dataclass
class World:
    """Everything that a snapshot keeps."""

    files: dict[str, MailFile] = field(default_factory=dict)
    services: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Service accounts: name -> (password, ``reader`` or ``editor`` on every mail file)."""
    outbox: list[Mail] = field(default_factory=list)
    number: int = 0

    def by_address(self, address: str) -> MailFile | None:
        return next((one for one in self.files.values() if one.address == address.lower()), None)


def instances(entry: Entry, since: datetime, before: datetime) -> Iterator[Instance]:
    """The rows of an entry that start in a range: Domino goes by the start alone (calapi.h, CalReadRange)."""
    if not entry.repeats:
        for event in entry.events:
            original = event["RECURRENCE-ID"].dt if "RECURRENCE-ID" in event else None
            if since <= as_instant(event["DTSTART"].dt) < before:
                yield Instance(entry, event, original, event["DTSTART"].dt, end_of(event))
        return
    exceptions = {as_instant(each["RECURRENCE-ID"].dt): each for each in entry.events[1:]}
    length = as_instant(end_of(entry.master)) - as_instant(entry.master["DTSTART"].dt)
    for start in occurrences(entry.master, before):
        event = exceptions.get(as_instant(start))
        begins = event["DTSTART"].dt if event is not None else start
        ends = end_of(event) if event is not None else start + length
        if since <= as_instant(begins) < before:
            yield Instance(entry, event if event is not None else entry.master, start, begins, ends)


def occurrences(master: Any, before: datetime) -> Iterator[datetime | date]:
    """Original starts of a series, deleted ones left out, in the zone of the series."""
    first = master["DTSTART"].dt
    timed = isinstance(first, datetime)
    zone = first.tzinfo if timed else None
    local = first.replace(tzinfo=None) if timed else datetime.combine(first, datetime.min.time())
    gone = {as_instant(each.dt) for listed in _many(master.get("EXDATE")) for each in listed.dts}
    starts = [local] if "RRULE" not in master else _bounded(master["RRULE"], local, zone, before)
    starts += [
        each.dt.replace(tzinfo=None)
        for listed in _many(master.get("RDATE"))
        for each in listed.dts
        if isinstance(each.dt, datetime)
    ]
    for moment in sorted(set(starts)):
        start = moment.replace(tzinfo=zone) if timed else moment.date()
        if as_instant(start) not in gone:
            yield start


def _bounded(rule: Any, local: datetime, zone: Any, before: datetime) -> list[datetime]:
    parts = {name: value for name, value in rule.items() if name != "UNTIL"}
    until = (rule.get("UNTIL") or [None])[0]
    last = before.replace(tzinfo=None) + timedelta(days=2)
    if isinstance(until, datetime):
        last = min(
            last, until.astimezone(zone).replace(tzinfo=None) if zone and until.tzinfo else until.replace(tzinfo=None)
        )
    elif until is not None:
        last = min(last, datetime.combine(until, datetime.max.time()))
    text: bytes = icalendar.vRecur(parts).to_ical()  # type: ignore[no-untyped-call]
    found = rrulestr(text.decode(), dtstart=local)
    return list(found.between(local, last, inc=True))


def end_of(event: Any) -> datetime | date:
    if "DTEND" in event:
        return event["DTEND"].dt  # type: ignore[no-any-return]
    start: datetime | date = event["DTSTART"].dt
    if "DURATION" in event:
        return start + event["DURATION"].dt  # type: ignore[no-any-return]
    return start if isinstance(start, datetime) else start + timedelta(days=1)


def as_instant(moment: datetime | date) -> datetime:
    if not isinstance(moment, datetime):
        return datetime(moment.year, moment.month, moment.day, tzinfo=UTC)
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def recurrence_id(original: datetime | date) -> str:
    """An original start as it stands in a URL: in UTC, because zones are not taken there (calapi.h, CalReadEntry)."""
    return f"{as_instant(original):%Y%m%dT%H%M%SZ}" if isinstance(original, datetime) else f"{original:%Y%m%d}"


def address_of(value: Any) -> str:
    return str(value).removeprefix("mailto:").removeprefix("MAILTO:").strip().lower()


def attendees(event: Any) -> list[str]:
    """Addresses of the people invited, the organiser left out."""
    organiser = address_of(event.get("ORGANIZER", ""))
    return [address for each in _many(event.get("ATTENDEE")) if (address := address_of(each)) != organiser]


def _many(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]
