"""Writes to one folder of one mailbox: one item per request, only what is named, never over a change unseen.

Nobody is mailed (SendToNone) and new meetings carry no attendees, unless the write says so because the organiser asked.
What is deleted lies in Deleted Items.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from connectors.calendars.identity import split_id
from connectors.calendars.outcomes import Fetch, moved_on, one_by_one, outcome
from sidefeed.connector import (
    Conflict,
    Gone,
    Invalid,
    Outcome,
    Write,
)

from . import operations, xml
from .errors import Lost
from .folder import PARENT
from .times import zone_name
from .values import STRUCTURE, TIME_FIELDS, changes, new_item, normal_form, zone_of

if TYPE_CHECKING:
    from .calendar import Calendar
    from .ews import Mailbox
    from .folder import Folder

KINDS = {"calendar": "CalendarItem", "contacts": "Contact"}


class Writer:
    """Writes to the calendar or the contacts of one mailbox. ``fetch`` reads the state of one id, for writes decided
    without a version."""

    def __init__(
        self,
        door: Mailbox,
        object: str,
        zone: str,
        fetch: Fetch,
        calendar: Calendar | None = None,
        folder: Folder | None = None,
    ) -> None:
        self._door = door
        self._object = object
        self._folder = folder
        self._kind = KINDS[object]
        self._zone = zone
        self._fetch = fetch
        self._calendar = calendar

    def write(self, writes: Sequence[Write]) -> Iterator[Outcome]:
        """One outcome per write, in order. Raises AuthenticationFailed and stops."""
        return one_by_one(writes, self._one)

    def _one(self, write: Write) -> Outcome:
        return outcome(write, {"create": self._create, "update": self._update, "delete": self._delete}, uncertain=Lost)

    def _create(self, write: Write) -> Outcome:
        invited = _invited(write)
        item = new_item(self._completed(invited), write.external_key, self._kind, self._zone)
        place = self._folder.place if self._folder else self._object
        item_id, change_key = operations.create(self._door, place, item, mail=write.mail)
        return Outcome(write.key, "done", item_id, change_key, seen=normal_form(invited))

    def _update(self, write: Write) -> Outcome:
        values = {
            name: value for name, value in write.values.items()
            # A zone that stays is not sent again: it may be one that Exchange holds and will not take.
            if not (name == "Zone" and write.expected.get("Zone") == value is not None)
        }  # fmt: skip
        item_id, version = self._target(write)
        zone = self._zone
        if values.keys() & {"Start", "End", "IsAllDay"} and not values.get("Zone"):
            zone = self._zone_of(item_id) or zone
        updates = changes(values, self._kind, zone)
        if updates:
            _, version = operations.update(self._door, item_id, version, updates, mail=write.mail)
        return Outcome(write.key, "done", write.external_id, version, seen=normal_form(write.values))

    def _delete(self, write: Write) -> Outcome:
        """DeleteItem has no condition, so the version is compared just before; what is deleted can be restored."""
        try:
            item_id, version = self._target(write)
            present = self._state(item_id)
            if write.version and present != version:
                raise Conflict(f"The item in mailbox {self._door.address} changed since it was read.")
            operations.delete(self._door, item_id, present, mail=write.mail)
        except Gone:
            pass  # what was wanted is so
        return Outcome(write.key, "done", write.external_id)

    def _target(self, write: Write) -> tuple[str, str]:
        """The item behind an id and the change key to write on. Raises Gone, or Conflict where it moved on."""
        external_id = write.external_id or ""
        if split_id(external_id)[1] is not None and self._calendar is not None:
            found = self._calendar.locate(external_id)
            if found is None:
                raise Gone(f"The occurrence is not in mailbox {self._door.address} any more.")
            return found.item, write.version or found.version
        if self._folder is not None and self._folder.name:
            self._lies_here(external_id, self._folder)
        if write.version:
            return external_id, write.version
        (present,) = self._fetch(list(write.expected), [external_id])
        if present.state == "deleted":
            raise Gone(f"The item is not in mailbox {self._door.address} any more.")
        if moved_on(write, present.values):
            raise Conflict(f"The item in mailbox {self._door.address} changed since it was read.")
        return external_id, present.version

    def _lies_here(self, item_id: str, folder: Folder) -> None:
        """Contacts outside the folder of their own are never written, also where a link to one is older than it."""
        found = operations.get_items(self._door, [item_id], operations.uri_elements((PARENT,))).found.get(item_id)
        if found is None or not folder.holds(found):
            raise Gone(f"The contact in mailbox {self._door.address} lies in a folder that is not ours any more.")

    def _state(self, item_id: str) -> str:
        found = operations.get_items(self._door, [item_id], ()).found.get(item_id)
        if found is None:
            raise Gone(f"The item is not in mailbox {self._door.address} any more.")
        return xml.item_id(found)[1]

    def _zone_of(self, item_id: str) -> str | None:
        properties = operations.uri_elements(STRUCTURE)
        found = operations.get_items(self._door, [item_id], properties).found.get(item_id)
        zone = None if found is None else zone_of(found)
        return zone_name(zone.id) if zone else None

    def _completed(self, values: Any) -> dict[str, Any]:
        """Values with what an item cannot do without: Outlook lists a contact by its display name alone."""
        made = dict(values)
        if self._kind == "Contact":
            if not made.get("DisplayName"):
                parts = [made.get("GivenName"), made.get("Surname")]
                name = " ".join(part for part in parts if part)
                made["DisplayName"] = name or made.get("CompanyName") or made.get("EmailAddress1")
            return {name: value for name, value in made.items() if value not in (None, [])}
        missing = [name for name in TIME_FIELDS[:2] if not made.get(name)]
        if missing:
            raise Invalid(f"A meeting needs a {missing[0].lower()}.", field=missing[0], rule="required")
        return {name: value for name, value in made.items() if value is not None}


def _invited(write: Write) -> dict[str, Any]:
    """The values of a new item; its people only where they may be told. Exchange knows the organiser by the mailbox."""
    kept = {name: value for name, value in write.values.items() if name != "Organizer"}
    return kept if write.mail else {name: value for name, value in kept.items() if name != "Attendees"}
