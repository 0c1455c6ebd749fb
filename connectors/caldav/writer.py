"""Writes to one collection: one resource per request, always with a condition, never over a change unseen."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from connectors.calendars import events, writing
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

from . import people
from .collection import Collection
from .dav import Found


def resource_name(key: str) -> str:
    """Where a resource made for a key lies: the same place however often it is asked, so that a create whose answer
    was lost can be looked for, and none can happen twice."""
    return base64.b32encode(hashlib.sha256(key.encode()).digest()[:15]).decode().lower()


class Writer:
    """Writes to one calendar or address book. ``fetch`` reads the state of ids."""

    def __init__(self, collection: Collection, zone: str, fetch: Fetch, now: Callable[[], datetime]) -> None:
        self._collection = collection
        self._zone = zone
        self._fetch = fetch
        self._now = now
        self._suffix = ".ics" if collection.kind == "VEVENT" else ".vcf"

    def href(self, key: str) -> str:
        return f"{self._collection.path}sidefeed-{resource_name(key)}{self._suffix}"

    def write(self, writes: Sequence[Write]) -> Iterator[Outcome]:
        """One outcome per write, in order. Raises AuthenticationFailed and stops."""
        return one_by_one(writes, self._one)

    def _one(self, write: Write) -> Outcome:
        return outcome(write, {"create": self._create, "update": self._update, "delete": self._delete})

    def _create(self, write: Write) -> Outcome:
        key = write.external_key or write.key
        href, uid = self.href(key), f"{resource_name(key)}@sidefeed"
        if self._collection.kind == "VEVENT":
            values = {"Zone": self._zone, **{name: value for name, value in write.values.items() if value is not None}}
            if not write.mail:  # a server with scheduling mails everybody in the object
                values.pop("Attendees", None)
            content = writing.new_event(values, uid, key, self._now())
        else:
            content = people.new_card(write.values, uid, key)
        try:
            etag = self._collection.create(href, content)
        except Conflict:
            raise Duplicate("There is an item made for this record already.", of=[href]) from None
        return Outcome(write.key, "done", href, etag or self._etag(href))

    def _update(self, write: Write) -> Outcome:
        href, original = split(write.external_id or "")
        found = self._present(href)
        self._hold(write, found)
        self._keep_quiet(write, found)
        if self._collection.kind == "VEVENT":
            content = self._edited_event(found, original, write.values)
        else:
            content = self._edited_card(found, write.values)
        etag = self._collection.replace(href, content, found.etag)
        return Outcome(write.key, "done", write.external_id, etag or self._etag(href))

    def _delete(self, write: Write) -> Outcome:
        href, original = split(write.external_id or "")
        try:
            found = self._present(href)
            self._keep_quiet(write, found)
            if original is None:
                self._collection.delete(href, write.version or found.etag)
            else:
                self._hold(write, found)
                calendar = self._calendar(found)
                writing.exclude(calendar, original, self._zone)
                self._collection.replace(href, calendar.to_ical(sorted=False), found.etag)
        except Gone:
            pass  # what was wanted is so
        return Outcome(write.key, "done", write.external_id)

    def _hold(self, write: Write, found: Found) -> None:
        """Raises Conflict where the item is not the one that the write was decided on."""
        if write.version:
            if write.version != found.etag:
                raise Conflict("The item changed since it was read.")
            return
        (present,) = self._fetch(list(write.expected), [write.external_id or ""])
        if moved_on(write, present.values):
            raise Conflict("The item changed since it was read.")

    def _keep_quiet(self, write: Write, found: Found) -> None:
        """Refuse what would mail people whom nobody asked to mail: a server that schedules (RFC 6638) has no switch
        against it, and not every server says that it does."""
        if self._collection.kind != "VEVENT" or write.mail:
            return
        people = sum(len(events.listed(each.get("ATTENDEE"))) for each in self._calendar(found).walk("VEVENT"))
        if people:
            raise Invalid(
                f"The meeting has {people} attendees, and a server that schedules would mail them: change it in the "
                "calendar, where its organiser decides who is told.", rule="would-mail", code="would-mail", owner="rep")

    def _present(self, href: str) -> Found:
        (found,) = self._collection.get([href])
        if found.gone:
            raise Gone("The item is not there any more.")
        return found

    def _etag(self, href: str) -> str:
        """A server that tells no ETag changed what it was given (RFC 4791, 5.3.4)."""
        return self._present(href).etag

    def _calendar(self, found: Found) -> Any:
        (calendar,) = events.parse((found.data or "").encode())
        return calendar

    def _edited_event(self, found: Found, original: str | None, values: Mapping[str, Any]) -> bytes:
        calendar = self._calendar(found)
        event = writing.target(calendar, original, self._zone)
        if event is None:
            raise Gone("The occurrence is not there any more.")
        writing.edit(event, values)
        event.pop("LAST-MODIFIED", None)
        event.add("LAST-MODIFIED", self._now())
        return bytes(calendar.to_ical(sorted=False))

    def _edited_card(self, found: Found, values: Mapping[str, Any]) -> bytes:
        card = people.parse(found.data or "")
        if card is None:
            raise Invalid("The item is a group, not a person.", rule="group")
        people.edit(card, values)
        return people.text(card)
