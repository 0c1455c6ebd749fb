"""The Python side of the practice Exchange: mailboxes, events and contacts made and read without SOAP.

Every method acts as the owner of the mailbox, as if from Outlook. From a test, call them through `server.call(...)`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, cast

from . import calendar, items, meetings, recurrence
from .auth import Principal
from .calls import Call
from .extended import PROPERTY_SETS
from .properties import BY_URI
from .soap import clean
from .store import Account, Attendee, Body, Delegate, Extended, Folder, Item, Mail, Mailbox, Person, PropertyKey, World
from .timezones import UTC_ZONE, Zone, named

if TYPE_CHECKING:
    from .server import ExchangeServer

FIELDS = {
    "subject": "item:Subject",
    "body": "item:Body",
    "sensitivity": "item:Sensitivity",
    "importance": "item:Importance",
    "categories": "item:Categories",
    "location": "calendar:Location",
    "show_as": "calendar:LegacyFreeBusyStatus",
    "all_day": "calendar:IsAllDayEvent",
    "start": "calendar:Start",
    "end": "calendar:End",
    "uid": "calendar:UID",
    "recurrence": "calendar:Recurrence",
    "attendees": "calendar:RequiredAttendees",
    "optional": "calendar:OptionalAttendees",
    "resources": "calendar:Resources",
    "organizer": "calendar:Organizer",
    "my_response": "calendar:MyResponseType",
    "cancelled": "calendar:IsCancelled",
    "reminder_is_set": "item:ReminderIsSet",
    "reminder_minutes": "item:ReminderMinutesBeforeStart",
    "join_url": "calendar:JoinOnlineMeetingUrl",
    "is_online_meeting": "calendar:IsOnlineMeeting",
    "display_name": "contacts:DisplayName",
    "given_name": "contacts:GivenName",
    "surname": "contacts:Surname",
    "middle_name": "contacts:MiddleName",
    "company_name": "contacts:CompanyName",
    "job_title": "contacts:JobTitle",
    "department": "contacts:Department",
    "emails": "contacts:EmailAddresses",
    "phones": "contacts:PhoneNumbers",
    "addresses": "contacts:PhysicalAddresses",
    "file_as": "contacts:FileAs",
    "notes": "item:Body",
    "birthday": "contacts:Birthday",
    "business_homepage": "contacts:BusinessHomePage",
    "nickname": "contacts:Nickname",
    "office": "contacts:OfficeLocation",
    "manager": "contacts:Manager",
    "members": "distributionlist:Members",
}
"""Keyword -> field URI. Any field URI is accepted as a key too."""


class PythonApi:
    """Mixed into `ExchangeServer`."""

    world: World
    properties: dict[str, tuple[PropertyKey, str]]

    # -- the directory --------------------------------------------------------------------------------------------

    def add_mailbox(self, address: str, name: str = "", password: str = "secret", timezone: str = "UTC") -> Mailbox:
        """A mailbox. `timezone` is a Windows id or an IANA name."""
        return self.world.add_mailbox(
            address, name or address.partition("@")[0].replace(".", " ").title(), password, timezone
        )

    def add_account(
        self, login: str, password: str = "secret", *, impersonates: Iterable[str] = (), full_access: Iterable[str] = ()
    ) -> Account:
        """A service account without a mailbox, or more rights for one that has a mailbox. "*" means every mailbox."""
        account = Account(
            login, password, tuple(one.lower() for one in impersonates), tuple(one.lower() for one in full_access)
        )
        self.world.accounts[login.lower()] = account
        return account

    def grant(self, mailbox: str, delegate: str, level: str = "Editor") -> None:
        """Give a delegate access to a mailbox: Reviewer, Author, Editor or FullAccess."""
        box = self.mailbox(mailbox)
        known = box.delegates.get(delegate.lower(), Delegate())
        box.delegates[delegate.lower()] = replace(known, level=level, folders={})

    def add_room_list(self, address: str, rooms: Iterable[str]) -> None:
        """Make mailboxes the rooms of a room list."""
        for room in rooms:
            self.mailbox(room).room_list = address

    def mailbox(self, address: str) -> Mailbox:
        """A mailbox by its address. Raises KeyError naming those there are."""
        found = self.world.mailbox(address)
        if found is None:
            raise KeyError(f"no mailbox {address!r}; there are: {', '.join(self.world.mailboxes) or 'none'}")
        return found

    def acting_as(self, mailbox: str | Mailbox) -> Call:
        """A call as the owner of a mailbox makes it, in the mailbox's zone."""
        box = mailbox if isinstance(mailbox, Mailbox) else self.mailbox(mailbox)
        return Call(cast("ExchangeServer", self), Principal(box.login, box.address), box, zone=box.zone)

    # -- events ---------------------------------------------------------------------------------------------------

    def create_event(
        self,
        mailbox: str,
        *,
        send: str = "SendToNone",
        timezone: str | Zone | None = None,
        folder: str = "calendar",
        link: Mapping[str, str] | None = None,
        **fields: Any,
    ) -> Item:
        """An appointment, or a meeting if it has attendees.

        `start` and `end` are aware datetimes, naive ones in the mailbox's zone, dates (for `all_day`, `end` being the
        last day), or ISO texts. `attendees` are addresses or (name, address). `recurrence` is a `Recurrence` or a dict
        such as {"weekly": ["Monday"], "interval": 1, "count": 10} (see `recurrence_of`). `send` is a value of
        SendMeetingInvitations. `link` sets extended properties: {"<guid>/<name>": text}.
        """
        call = self.acting_as(mailbox)
        box = self.mailbox(mailbox)
        zone = (
            timezone
            if isinstance(timezone, Zone)
            else (UTC_ZONE if timezone == "UTC" else named(timezone))
            if timezone
            else box.zone
        )
        named_properties = self._declared(fields)
        draft = items.Draft(
            "CalendarItem", _values(self, "CalendarItem", fields, zone), {**_extended(link), **named_properties}
        )
        draft.values.setdefault("calendar:StartTimeZone", zone)
        draft.values.setdefault("calendar:EndTimeZone", zone)
        return items.add_calendar_item(call, draft, self._folder(mailbox, folder), send)

    def update_event(
        self,
        mailbox: str,
        event: str | Item,
        *,
        send: str = "SendToNone",
        occurrence: int | datetime | None = None,
        **fields: Any,
    ) -> Item:
        """Change an event, found by its UID, id or `Item`.

        `occurrence` is the index from 1, or the original start, of one event of a series.
        """
        call = self.acting_as(mailbox)
        item = self._event(mailbox, event, occurrence)
        named_properties = self._declared(fields)
        values = _values(self, "CalendarItem", fields, calendar.zone_of(item))
        changed = {*values, *(["extended"] if named_properties else [])}
        edit = items.Edit(item, {**item.values, **values}, {**item.extended, **named_properties}, changed)
        return meetings.after_update(call, item, items.save(call, edit), send)

    def respond(
        self,
        mailbox: str,
        event: str | Item,
        response: str,
        *,
        send: bool = True,
        occurrence: int | None = None,
        body: str = "",
    ) -> Item:
        """Answer a meeting in an attendee's calendar: Accept, Tentative or Decline."""
        made = meetings.answer(
            self.acting_as(mailbox),
            self._event(mailbox, event, occurrence),
            response,
            Body(body) if body else None,
            sent=send,
            saved=send,
        )
        return made[0]

    def delete(
        self,
        mailbox: str,
        item: str | Item,
        *,
        how: str = "MoveToDeletedItems",
        send: str = "SendToNone",
        occurrence: int | datetime | None = None,
    ) -> None:
        """Delete an event (one occurrence of it) or a contact."""
        call = self.acting_as(mailbox)
        found = self._event(mailbox, item, occurrence)
        if found.kind == "CalendarItem":
            meetings.before_delete(call, found, send)
        items.discard(call, found, how)

    def cancel(self, mailbox: str, event: str | Item, *, body: str = "") -> None:
        """Cancel a meeting as its organiser, telling everybody."""
        self.delete(mailbox, event, send="SendToAllAndSaveCopy")

    def _event(self, mailbox: str, event: str | Item, occurrence: int | datetime | None = None) -> Item:
        box = self.mailbox(mailbox)
        if isinstance(event, Item):
            found = event if event.original is not None else self.world.item(event.serial)
        else:
            trash = box.folders["deleteditems"]
            found = next((item for item in self.world.with_uid(box, event) if item.folder != trash), None)
            if found is None and len(event) > 100:
                found = self.acting_as(box).item_by_id(event)
        if found is None:
            raise KeyError(f"no item {event!r} in {mailbox}")
        if isinstance(occurrence, int):
            return calendar.Series(found).at_index(occurrence)
        if occurrence is not None:
            return calendar.Series(found).at(occurrence)
        return found

    # -- contacts -------------------------------------------------------------------------------------------------

    def create_contact(
        self, mailbox: str, *, folder: str = "contacts", link: Mapping[str, str] | None = None, **fields: Any
    ) -> Item:
        """A contact. `emails` is a list of addresses or a dict by key, as `phones` and `addresses` are."""
        named_properties = self._declared(fields)
        values = _values(self, "Contact", fields, self.mailbox(mailbox).zone)
        if "contacts:DisplayName" not in values:
            values["contacts:DisplayName"] = " ".join(
                part for uri in ("contacts:GivenName", "contacts:Surname") if (part := values.get(uri))
            )
        return items.store(
            self.acting_as(mailbox),
            items.Draft("Contact", values, {**_extended(link), **named_properties}),
            self._folder(mailbox, folder),
        )

    def update_contact(self, mailbox: str, contact: Item, **fields: Any) -> Item:
        """Change a contact."""
        call = self.acting_as(mailbox)
        item = self.world.item(contact.serial)
        if item is None:
            raise KeyError("the contact is gone")
        values = _values(self, "Contact", fields, self.mailbox(mailbox).zone)
        return items.save(call, items.Edit(item, {**item.values, **values}, dict(item.extended), set(values)))

    def create_distribution_list(
        self, mailbox: str, display_name: str, members: Iterable[str | tuple[str, str]]
    ) -> Item:
        """A distribution list in the contacts folder."""
        people = tuple(_person(self, member) for member in members)
        values = {
            "contacts:DisplayName": display_name,
            "distributionlist:Members": people,
            "item:Subject": display_name,
        }
        return items.store(
            self.acting_as(mailbox), items.Draft("DistributionList", values), self._folder(mailbox, "contacts")
        )

    # -- looking --------------------------------------------------------------------------------------------------

    def items(self, mailbox: str, folder: str = "calendar") -> list[Item]:
        """The items of a folder (a distinguished id or a display name), in order of creation."""
        return list(self._folder(mailbox, folder).items.values())

    def view(self, mailbox: str, start: datetime, end: datetime) -> list[Item]:
        """The calendar of a mailbox in a window, series expanded."""
        return calendar.view(self._folder(mailbox, "calendar"), start, end)

    def outbox(self) -> list[Mail]:
        """The ledger: everything that would have been mailed, oldest first."""
        return list(self.world.ledger)

    def clear_outbox(self) -> None:
        """Forget the ledger."""
        self.world.ledger.clear()

    def _declared(self, fields: dict[str, Any]) -> dict[PropertyKey, Extended]:
        """Take the keywords of declared properties out of `fields`."""
        made: dict[PropertyKey, Extended] = {}
        for name in [name for name in fields if name in self.properties]:
            key, kind = self.properties[name]
            value = fields.pop(name)
            texts = tuple(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
            made[key] = Extended(kind, texts)
        return made

    def _folder(self, mailbox: str, name: str) -> Folder:
        box = self.mailbox(mailbox)
        if name in box.folders:
            return self.world.folders[box.folders[name]]
        for folder in self.world.folders.values():
            if folder.mailbox_number == box.number and folder.name == name:
                return folder
        raise KeyError(f"no folder {name!r} in {mailbox}; distinguished ones: {', '.join(box.folders)}")


def _values(server: PythonApi, kind: str, fields: Mapping[str, Any], zone: Zone) -> dict[str, Any]:
    """Keywords as field values. Raises TypeError for unknown ones."""
    values: dict[str, Any] = {}
    for key, value in fields.items():
        uri = key if ":" in key else FIELDS.get(key, "")
        if uri not in BY_URI[kind] and uri not in ("calendar:JoinOnlineMeetingUrl",):
            raise TypeError(f"{kind} has no field {key!r}; known: {', '.join(sorted(FIELDS))}")
        values[uri] = _value(server, uri, value, fields, zone)
    return values


def _value(server: PythonApi, uri: str, value: Any, fields: Mapping[str, Any], zone: Zone) -> Any:
    if value is None:
        return None
    if uri in ("calendar:Start", "calendar:End"):
        return _moment(value, zone, end=uri == "calendar:End")
    if uri == "item:Body":
        return (
            value
            if isinstance(value, Body)
            else Body(clean(value), "HTML" if value.lstrip().startswith("<") else "Text")
        )
    if uri == "calendar:Recurrence":
        return (
            value
            if isinstance(value, recurrence.Recurrence)
            else recurrence_of(value, _moment(fields["start"], zone), zone)
        )
    if uri in ("calendar:RequiredAttendees", "calendar:OptionalAttendees", "calendar:Resources"):
        return tuple(one if isinstance(one, Attendee) else Attendee(_person(server, one)) for one in value)
    if uri == "calendar:Organizer":
        return _person(server, value)
    if uri == "contacts:EmailAddresses" and not isinstance(value, Mapping):
        return {f"EmailAddress{number}": address for number, address in enumerate(value, 1)}
    if isinstance(value, str):
        return clean(value)
    return tuple(value) if isinstance(value, list) else value


def _person(server: PythonApi, given: str | tuple[str, str] | Person) -> Person:
    if isinstance(given, Person):
        return given
    name, address = ("", given) if isinstance(given, str) else given
    known = server.world.mailbox(address)
    return Person(name or (known.name if known else address), address, kind="Mailbox" if known else "OneOff")


def _moment(value: Any, zone: Zone, *, end: bool = False) -> datetime:
    if isinstance(value, str):
        value = date.fromisoformat(value) if len(value) == 10 else datetime.fromisoformat(value)
    if not isinstance(value, datetime):
        value = datetime.combine(value + timedelta(days=1) if end else value, time())
    made: datetime = value.replace(tzinfo=zone.tz) if value.tzinfo is None else value
    return made


def recurrence_of(given: Mapping[str, Any], start: datetime, zone: Zone) -> recurrence.Recurrence:
    """A recurrence from a dict: {"daily": 2}, {"weekly": ["Monday", "Thursday"]}, {"monthly": 31},
    {"monthly": ["Last", "Friday"]}, {"yearly": ["March", 15]} or {"yearly": ["Second", "Tuesday", "May"]}, with
    "interval" and "count" or "until" (a date)."""
    local = start.astimezone(zone.tz)
    common: dict[str, Any] = {"start": given.get("from") or local.date()}
    until = given.get("until")
    if until is not None:
        common["until"] = date.fromisoformat(until) if isinstance(until, str) else until
    if given.get("count") is not None:
        common["number"] = int(given["count"])
    interval = int(given.get("interval", 1))
    if "daily" in given:
        return recurrence.Recurrence("DailyRecurrence", interval=int(given["daily"] or 1), **common)
    if "weekly" in given:
        days = tuple(given["weekly"] or (recurrence.WEEK[local.weekday()],))
        return recurrence.Recurrence(
            "WeeklyRecurrence", interval=interval, days=days, first_day=given.get("first_day", "Sunday"), **common
        )
    if "monthly" in given:
        if isinstance(given["monthly"], (list, tuple)):
            index, day = given["monthly"]
            return recurrence.Recurrence(
                "RelativeMonthlyRecurrence", interval=interval, days=(day,), index=index, **common
            )
        return recurrence.Recurrence(
            "AbsoluteMonthlyRecurrence", interval=interval, day_of_month=int(given["monthly"] or local.day), **common
        )
    if "yearly" in given:
        parts = list(given["yearly"] or (recurrence.MONTHS[local.month - 1], local.day))
        if len(parts) == 3:
            return recurrence.Recurrence(
                "RelativeYearlyRecurrence", index=parts[0], days=(parts[1],), month=parts[2], **common
            )
        return recurrence.Recurrence("AbsoluteYearlyRecurrence", month=parts[0], day_of_month=int(parts[1]), **common)
    raise ValueError("a recurrence is daily, weekly, monthly or yearly")


def _extended(link: Mapping[str, str] | None) -> dict[PropertyKey, Extended]:
    made: dict[PropertyKey, Extended] = {}
    for address, value in (link or {}).items():
        guid, _, name = address.partition("/")
        made[PropertyKey(set=PROPERTY_SETS.get(guid, guid).lower(), name=name)] = Extended("String", clean(value))
    return made
