"""Writes to one calendar: one event per request, nobody told of it unless people are invited, never over a change
unseen.

The service knows no condition, so a write is decided on a read just before it; of a meeting with people ``SEQUENCE``
makes the server refuse what is out of date. A whole series cannot be changed, only its occurrences (calapi.h,
CalUpdateEntry).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from connectors.caldav.writer import resource_name
from connectors.calendars import events, writing
from connectors.calendars.events import Broken
from connectors.calendars.outcomes import Fetch, moved_on, one_by_one, outcome
from connectors.calendars.records import split
from sidefeed.connector import (
    Conflict,
    Duplicate,
    Gone,
    Invalid,
    Outcome,
    Write,
)

from . import zones
from .door import Door
from .rows import recurrence_path


def uid_of(key: str) -> str:
    """The UID of an event made for a key: the same however often it is asked; Domino keeps the UID that it is given."""
    return f"{resource_name(key)}@sidefeed"


class Writer:
    """Writes to one calendar. ``fetch`` reads the state of ids."""

    def __init__(self, door: Door, zone: str, fetch: Fetch, now: Callable[[], datetime]) -> None:
        self._door = door
        self._zone = zone
        self._fetch = fetch
        self._now = now

    def write(self, writes: Sequence[Write]) -> Iterator[Outcome]:
        """One outcome per write, in order. Raises AuthenticationFailed and stops."""
        return one_by_one(writes, self._one)

    def find(self, keys: Sequence[str]) -> dict[str, list[str]]:
        """Ids of events made for keys."""
        return {key: [quote(uid_of(key), safe="@")] if self._there(uid_of(key)) else [] for key in keys}

    def _there(self, uid: str) -> bool:
        try:
            return bool(self._door.event(quote(uid, safe="")))
        except Gone:
            return False

    def _one(self, write: Write) -> Outcome:
        return outcome(write, {"create": self._create, "update": self._update, "delete": self._delete})

    def _create(self, write: Write) -> Outcome:
        key = write.external_key or write.key
        values = {"Zone": self._zone, **{name: value for name, value in write.values.items() if value is not None}}
        if not write.mail:
            values.pop("Attendees", None)
        content = writing.new_event(values, uid_of(key), key, self._now())
        try:
            answer = self._door.write("POST", "/events", _workflow(write), content)
        except Invalid:
            if self._there(uid_of(key)):
                raise Duplicate("There is a meeting made for this record already.", of=[
                    quote(uid_of(key), safe="@")]) from None
            raise
        made = unquote(urlsplit(answer.headers.get("location", "")).path.rpartition("/")[2]) or uid_of(key)
        return Outcome(write.key, "done", quote(made, safe="@"))

    def _update(self, write: Write) -> Outcome:
        name, original = split(write.external_id or "")
        path = _path(name, original)
        (calendar,) = events.parse(self._door.event(path))
        found = [each for each in calendar.subcomponents if each.name == "VEVENT"]
        if not found:
            raise Broken("it holds no event")
        if original is None and events.is_series(found[0]):
            raise Invalid("Domino lets nobody change a whole series; change its occurrences.", rule="series")
        self._hold(write)
        event = found[0]
        _edit(event, write.values, self._zone)
        calendar.subcomponents = [each for each in calendar.subcomponents if each.name == "VTIMEZONE"] + [event]
        calendar.add_missing_timezones()
        literally = {"literally": "true"} if write.values.get("Body", "") is None else {}
        self._door.write("PUT", f"/events/{path}", _workflow(write) | literally, bytes(calendar.to_ical(sorted=False)))
        return Outcome(write.key, "done", write.external_id)

    def _delete(self, write: Write) -> Outcome:
        name, original = split(write.external_id or "")
        if write.expected:
            self._hold(write)
        with suppress(Gone):  # what was wanted is so
            self._door.write("DELETE", f"/events/{_path(name, original)}", _workflow(write))
        return Outcome(write.key, "done", write.external_id)

    def _hold(self, write: Write) -> None:
        """Raises Conflict where the meeting is not the one that the write was decided on."""
        (present,) = self._fetch(list(write.expected), [write.external_id or ""])
        if moved_on(write, present.values):
            raise Conflict("The meeting changed since it was read.")


def _edit(event: Any, values: Mapping[str, Any], own: str) -> None:
    """As every calendar's events are edited; times stay in Domino's zone, under its name, unless another is told."""
    import icalendar

    start = event.get("DTSTART")
    name = str(start.params.get("TZID", "")) if start is not None else ""
    rules = start.dt.tzinfo if name else None
    stays = rules is not None and values.get("Zone") in (None, zones.named(name, rules, start.dt.year, own))
    writing.edit(event, {**values, "Zone": "UTC"} if stays and values.keys() & set(writing.TIMES) else values)
    for prop in ("DTSTART", "DTEND") if stays else ():
        if prop in event and isinstance(event[prop].dt, datetime):
            moved = icalendar.vDDDTypes(event[prop].dt.astimezone(rules))
            moved.params["TZID"] = name
            event[prop] = moved


def _path(name: str, original: str | None) -> str:
    below = "" if original is None else f"/{recurrence_path(original)}"
    return f"{quote(unquote(name), safe='')}{below}"


def _workflow(write: Write) -> dict[str, str]:
    """Whether Domino tells the people of a meeting what happened: without the switch it always does."""
    return {"workflow": "true" if write.mail else "false"}
