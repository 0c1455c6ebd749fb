"""What is below `/users/{id}`: calendars, events, contacts, settings. One function per resource and method.

Source: the API reference of event, calendar, contact, contactFolder and user; who is mailed: "Update event",
"Delete event". Whether a PATCH of extended properties alone mails attendees is not documented; `link_patch` says.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sandbox.exchange import calendar, items, meetings
from sandbox.exchange import ids as ews
from sandbox.exchange.calls import Call
from sandbox.exchange.errors import EwsError
from sandbox.exchange.properties import attendees_of, is_organizer
from sandbox.exchange.store import CALENDAR, CONTACTS, Body, Folder, Item, Mailbox
from sandbox.kit.http import Request, Response

from . import contacts, delta, events, folders, ids, odata, schedule
from .errors import GraphError, bad_request, bad_value, no_segment, not_allowed, not_found, not_implemented
from .prefer import Prefer
from .values import parse_instant, property_value, wall

if TYPE_CHECKING:
    from .server import GraphServer

ATTENDEES = {"calendar:RequiredAttendees", "calendar:OptionalAttendees", "calendar:Resources"}
LONGEST_VIEW = timedelta(days=1825)
EVENT_MEMBERS = frozenset(
    "allowNewTimeProposals attendees body bodyPreview cancelledOccurrences end hasAttachments hideAttendees iCalUId "
    "importance isAllDay isCancelled isDraft isOnlineMeeting isOrganizer isReminderOn location locations onlineMeeting "
    "onlineMeetingProvider onlineMeetingUrl organizer originalEndTimeZone originalStart originalStartTimeZone "
    "recurrence reminderMinutesBeforeStart responseRequested responseStatus sensitivity seriesMasterId showAs start "
    "subject transactionId type webLink categories changeKey createdDateTime lastModifiedDateTime id "
    "exceptionOccurrences".split()
)
CONTACT_MEMBERS = frozenset(
    "assistantName birthday businessAddress businessHomePage businessPhones children companyName department "
    "displayName emailAddresses fileAs generation givenName homeAddress homePhones imAddresses initials jobTitle "
    "manager middleName mobilePhone nickName officeLocation otherAddress parentFolderId personalNotes "
    "primaryEmailAddress profession secondaryEmailAddress spouseName surname tertiaryEmailAddress title "
    "yomiCompanyName yomiGivenName yomiSurname categories changeKey createdDateTime lastModifiedDateTime id".split()
)
ANSWERS = {"accept": "Accept", "decline": "Decline", "tentativelyaccept": "Tentative"}


@dataclass
class Visit:
    """One request to one mailbox."""

    server: GraphServer
    request: Request
    box: Mailbox
    prefer: Prefer
    call: Call

    @property
    def world(self) -> Any:
        return self.server.office.world

    @property
    def here(self) -> str:
        """The URL of the mailbox, as the client addressed it."""
        return f"{self.request.base_url}/v1.0/users/{self.request.state['user']}"

    def json(self, value: Any, status: int = 200, *, records: int = 1) -> Response:
        """An answer with one object."""
        headers = [("ETag", value["@odata.etag"])] if isinstance(value, dict) and "@odata.etag" in value else None
        return Response.of_json(value, status, headers=headers, records=records)

    def folder(self, name: str) -> Folder:
        """A distinguished folder of the mailbox."""
        found: Folder = self.world.folders[self.box.folders[name]]
        return found

    def folder_by_id(self, identifier: str, folder_class: str) -> Folder:
        """A calendar or contact folder by id. Raises `GraphError`."""
        reference = ids.read(self.world, identifier)
        found = self.world.folders.get(reference.serial) if reference.kind == ews.FOLDER else None
        if found is None or found.mailbox_number != self.box.number or not found.folder_class.startswith(folder_class):
            raise not_found()
        return found  # type: ignore[no-any-return]

    def folders(self, folder_class: str) -> list[Folder]:
        """The folders of a class."""
        return [
            one for one in self.world.folders.values()
            if one.mailbox_number == self.box.number and one.folder_class.startswith(folder_class)
        ]  # fmt: skip

    def item(self, identifier: str, kind: str) -> Item:
        """An event (an occurrence too) or contact by id. Raises `GraphError`, `EwsError`."""
        reference = ids.read(self.world, identifier)
        found = self.world.item(reference.serial) if reference.kind != ews.FOLDER else None
        if found is None or found.kind != kind or self.world.folders[found.folder].mailbox_number != self.box.number:
            raise not_found()
        name = self.world.folders[found.folder].distinguished
        binned = name == "deleteditems" and self.server.deleted_by_id == "gone"
        if binned or name.startswith("recoverable"):
            raise not_found()
        if reference.original is None:
            return found  # type: ignore[no-any-return]
        if not found.is_master:
            raise not_found()
        return calendar.Series(found).at(reference.original)

    def check_version(self, item: Item) -> None:
        """If-Match. Raises `GraphError` 412. A write without it is done, and counted."""
        wanted = self.request.headers.get("If-Match")
        if wanted is None:
            self.server.unconditional += 1
        elif wanted.strip() not in ("*", events.etag(self.world, item)):
            text = "The send or update operation could not be performed because the change key passed in the request "
            raise GraphError(412, "ErrorIrresolvableConflict", text + "does not match the current change key.")

    def listed(
        self, rows: Iterable[odata.Row], options: odata.Options, context: str, path: str, order: bool = True
    ) -> Response:
        """A page of a collection, with what was asked of each row."""
        found = [row for row in rows if options.test is None or options.test(row)]
        if order:
            found = odata.ordered(found, options.order)
        size = options.top or self.prefer.page or delta.DEFAULT_PAGE
        shown = found[options.skip : options.skip + size]
        made: dict[str, Any] = {"@odata.context": f"{self.request.base_url}/v1.0/$metadata#users/{context}"}
        if options.count:
            made["@odata.count"] = len(found)
        made["value"] = [self.shown(row, options) for row in shown]
        if len(found) > options.skip + size:
            made["@odata.nextLink"] = f"{self.here}/{path}?{_query(self.request.query, options.skip + size)}"
        return Response.of_json(made, records=len(shown))

    def shown(self, row: odata.Row, options: odata.Options) -> dict[str, Any]:
        """One row: the members selected, and what is expanded."""
        made = odata.selected(row.json, options.select)
        for name in options.expand:
            if row.item is None:
                raise not_implemented(f"$expand={name} here")
            made |= self._expanded(row.item, name, options.expand[name])
        return made

    def _expanded(self, item: Item, name: str, identifiers: Sequence[str]) -> dict[str, Any]:
        """What `$expand` of one name adds to an event or contact."""
        if name == odata.PROPERTIES:
            told = [{"id": each, "value": value} for each in identifiers
                    if (value := property_value(item, each)) is not None]
            return {name: told} if told else {}
        if item.kind != "CalendarItem" or (name == "attachments" and item.attachments):
            raise not_implemented(f"$expand={name} here")
        if name == "calendar":
            return {name: folders.calendar(self, self.world.folders[item.folder])}
        if name == "exceptionOccurrences" and item.is_master:
            series = calendar.Series(item)
            return {name: [self.event(series.at(original)) for original in sorted(item.exceptions)]}
        return {name: []} if name == "attachments" else {}

    def event(self, item: Item) -> dict[str, Any]:
        """An event as JSON."""
        return events.render(self.world, item, self.prefer, self.server.view(item))


def _query(query: Sequence[tuple[str, str]], skip: int) -> str:
    from urllib.parse import urlencode

    return urlencode([(name, value) for name, value in query if name.lower() != "$skip"] + [("$skip", str(skip))])


def serve(visit: Visit, path: list[str]) -> Response:
    """Route what is below `/users/{id}`. Raises `GraphError`, `EwsError`."""
    method = visit.request.method
    match [part.lower() for part in path[:1]] + path[1:], method:
        case [], "GET":
            return visit.json(visit.server.user(visit.box))
        case ["mailboxsettings"], "GET":
            return visit.json(_settings(visit))
        case ["mailboxsettings", name], "GET":
            return _setting(visit, name)
        case ["translateexchangeids"], "POST":
            return _translate(visit)
        case ["calendar"], _:
            return folders.one_calendar(visit, visit.folder("calendar"))
        case ["calendar", verb], "POST" if verb.lower() == "getschedule":
            found = schedule.get(visit.server, visit.request.json(), visit.prefer)
            return Response.of_json({"value": found}, records=len(found))
        case ["calendar", *rest], _:
            return _calendar_routes(visit, visit.folder("calendar"), rest, "calendar/")
        case ["calendars"], _:
            return folders.calendars(visit)
        case ["calendars" | "contactfolders", "delta" | "$count"], _:
            raise not_implemented(f"{path[0]}/{path[1]}")
        case ["calendars", identifier], _:
            return folders.one_calendar(visit, visit.folder_by_id(identifier, CALENDAR))
        case ["calendars", identifier, *rest], _:
            folder = visit.folder_by_id(identifier, CALENDAR)
            return _calendar_routes(visit, folder, rest, f"calendars/{identifier}/")
        case ["contactfolders"], _:
            return folders.contact_folders(visit)
        case ["contactfolders", identifier], _:
            return folders.one_contact_folder(visit, visit.folder_by_id(identifier, CONTACTS))
        case ["contactfolders", identifier, *rest], _ if rest and rest[0].lower() == "contacts":
            folder = visit.folder_by_id(identifier, CONTACTS)
            return _contact_routes(visit, folder, rest[1:], f"contactFolders/{identifier}/contacts")
        case ["contacts", *rest], _:
            return _contact_routes(visit, visit.folder("contacts"), rest, "contacts")
        case [("events" | "calendarview"), *_], _:
            return _calendar_routes(visit, visit.folder("calendar"), path, "")
    raise no_segment(path[0] if path else "")


def _calendar_routes(visit: Visit, folder: Folder, path: list[str], prefix: str) -> Response:
    method, name = visit.request.method, path[0].lower() if path else ""
    match name, path[1:], method:
        case "events", [], "GET":
            return _list_events(visit, folder, f"{prefix}events")
        case "events", [], "POST":
            return _create_event(visit, folder)
        case "events", ["delta"], "GET":
            raise not_implemented("'delta' of events outside a calendarView")
        case "events", ["$count"], "GET":
            return _count(visit, folder, "CalendarItem")
        case "events", [identifier], "GET":
            options = odata.read(visit.request.query, EVENT_MEMBERS)
            item = visit.item(identifier, "CalendarItem")
            return visit.json(visit.shown(odata.Row(visit.event(item), item), options))
        case "events", [identifier], "PATCH":
            return _update_event(visit, visit.item(identifier, "CalendarItem"))
        case "events", [identifier], "DELETE":
            return _delete_event(visit, visit.item(identifier, "CalendarItem"))
        case "events", [identifier, verb], _:
            return _event_action(visit, visit.item(identifier, "CalendarItem"), verb.lower(), f"{prefix}events")
        case "calendarview", [], "GET":
            return _view(visit, folder, f"{prefix}calendarView")
        case "calendarview", [verb], "GET" if verb.lower() == "delta":
            return _event_delta(visit, folder, f"{prefix}calendarView/delta")
        case (("events" | "calendarview"), _, _):
            raise not_allowed()
    raise no_segment(path[0] if path else "calendar")


# -- events -----------------------------------------------------------------------------------------------------------


def _rows(visit: Visit, found: Iterable[Item]) -> list[odata.Row]:
    return [odata.Row(visit.event(one), one) for one in found]


def _list_events(visit: Visit, folder: Folder, path: str) -> Response:
    options = odata.read(visit.request.query, EVENT_MEMBERS)
    found = [one for one in folder.items.values() if one.kind == "CalendarItem"]
    return visit.listed(_rows(visit, found), options, "events", path)


def _count(visit: Visit, folder: Folder, kind: str) -> Response:
    """`/$count`: how many there are, of those that a $filter leaves."""
    options = odata.read(visit.request.query, EVENT_MEMBERS if kind == "CalendarItem" else CONTACT_MEMBERS)
    found = [one for one in folder.items.values() if one.kind == kind]
    rows = _rows(visit, found) if kind == "CalendarItem" else [_contact_row(visit, one) for one in found]
    return Response.of_text(str(sum(options.test is None or options.test(row) for row in rows)))


def _window(visit: Visit) -> tuple[datetime, datetime]:
    given = {name.lower(): value for name, value in visit.request.query}
    missing = [name for name in ("startDateTime", "endDateTime") if not given.get(name.lower())]
    if missing:
        text = f"This request requires a time window specified by the query string parameter {missing[0]}."
        raise bad_request(text, "ErrorInvalidParameter")
    start = parse_instant(given["startdatetime"].replace(" ", "+"), "startDateTime")
    end = parse_instant(given["enddatetime"].replace(" ", "+"), "endDateTime")
    if end < start:
        raise bad_value("The end of the window is before its start.", "ErrorCalendarEndDateIsEarlierThanStartDate")
    if end - start > LONGEST_VIEW:
        text = "Your request can't be completed. The range between the start and end dates is greater than the allowed "
        raise bad_value(f"{text}range. Maximum number of days: {LONGEST_VIEW.days}", "ErrorInvalidRequest")
    return start, end


def _view(visit: Visit, folder: Folder, path: str) -> Response:
    options = odata.read(visit.request.query, EVENT_MEMBERS)
    return visit.listed(_rows(visit, calendar.view(folder, *_window(visit))), options, "calendarView", path)


def _event_delta(visit: Visit, folder: Folder, path: str) -> Response:
    odata.refuse(visit.request.query)
    fresh = None if _token(visit) else _window(visit)
    state = _state(visit, folder, "events")
    if fresh is not None:
        state = replace(state, start=fresh[0].isoformat(), end=fresh[1].isoformat())
    return _delta(visit, folder, state, path)


def _token(visit: Visit) -> str | None:
    return visit.request.param("$skiptoken") or visit.request.param("$deltatoken")


def _state(visit: Visit, folder: Folder, kind: str) -> delta.State:
    token = _token(visit)
    if token is None:
        return delta.State(visit.server.epoch, kind, folder.serial)
    state = delta.State.read(token)
    if (state.kind, state.folder) != (kind, folder.serial):
        raise bad_request("The token belongs to another resource.", "ErrorInvalidUrlQuery")
    if state.epoch != visit.server.epoch or folder.serial in visit.server.forgotten:
        raise visit.server.expired(state.epoch)
    return state


def _delta(visit: Visit, folder: Folder, state: delta.State, path: str) -> Response:
    rows, after, done = delta.page(visit.server, folder, state, visit.prefer)
    link, token = ("@odata.deltaLink", "$deltatoken") if done else ("@odata.nextLink", "$skiptoken")
    made = {
        "@odata.context": f"{visit.request.base_url}/v1.0/$metadata#Collection({state.kind.rstrip('s')})",
        link: f"{visit.here}/{path}?{token}={after.text()}",
        "value": rows,
    }
    return Response.of_json(made, records=len(rows))


def _create_event(visit: Visit, folder: Folder) -> Response:
    values, properties = events.read(visit.world, visit.request.json(), creating=True)
    for name, uri in (("start", "calendar:Start"), ("end", "calendar:End")):
        if values.get(uri) is None:
            raise bad_value(f"An event needs a value of '{name}'.")
    transaction = values.get(events.TRANSACTION)
    if transaction is not None:
        known = visit.server.by_transaction(visit.box, transaction)
        if known is not None:
            return visit.server.repeated(visit, known)
    draft = items.Draft("CalendarItem", values, properties)
    made = items.add_calendar_item(visit.call, draft, folder, "SendToAllAndSaveCopy")
    if transaction is not None:
        visit.server.transactions[visit.box.number, transaction] = made.serial
    return visit.json(visit.event(made), 201)


def _update_event(visit: Visit, item: Item) -> Response:
    visit.check_version(item)
    values, properties = events.read(visit.world, visit.request.json(), creating=False, known=item)
    values.pop(events.TRANSACTION, None)
    events.keep_responses(values, item)
    if item.master is not None and values.pop("calendar:Recurrence", None) is not None:
        raise bad_value("An occurrence of a series has no recurrence of its own.", "ErrorInvalidPropertySet")
    if {"calendar:Start", "calendar:End"} & set(values) and any(
        uri in values and values[uri] is None for uri in ("calendar:Start", "calendar:End")
    ):
        raise bad_value("The start and end of an event cannot be removed.")
    changed = {*values, *(("extended",) if properties else ())}
    if not changed:
        return visit.json(visit.event(item))
    edit = items.Edit(item, {**item.values, **values}, {**item.extended, **properties}, changed)
    after = items.save(visit.call, edit)
    after = meetings.after_update(visit.call, item, after, _send(visit, changed))
    if after.is_master and not changed <= {"extended", *ATTENDEES}:
        _tell_exceptions(visit, after)
    return visit.json(visit.event(after))


def _send(visit: Visit, changed: set[str]) -> str:
    """Whom a PATCH by the organiser tells. There is no switch."""
    if changed == {"extended"} and visit.server.link_patch == "silent":
        return "SendToNone"
    return "SendToChangedAndSaveCopy" if changed <= ATTENDEES else "SendToAllAndSaveCopy"


def _tell_exceptions(visit: Visit, master: Item) -> None:
    """A changed series mails once for itself and once for each exception."""
    if not is_organizer(master, visit.server.view(master)):
        return
    for original in sorted(master.exceptions):
        exception = calendar.Series(master).at(original)
        people = list(meetings.invited(exception, visit.box.person).values())
        if people:
            meetings.send_requests(visit.call, exception, people, "update", saved=False)


def _delete_event(visit: Visit, item: Item) -> Response:
    if visit.request.headers.get("If-Match") is not None:
        visit.check_version(item)
    if is_organizer(item, visit.server.view(item)) and attendees_of(item):
        meetings.before_delete(visit.call, item, "SendToAllAndSaveCopy")
    items.discard(visit.call, item, "MoveToDeletedItems")
    return Response(204)


def _event_action(visit: Visit, item: Item, verb: str, path: str) -> Response:
    method = visit.request.method
    if verb == "instances" and method == "GET":
        if not item.is_master:
            raise bad_value("The event is not a recurring master.", "ErrorInvalidRequest")
        options = odata.read(visit.request.query, EVENT_MEMBERS)
        found = sorted(calendar.Series(item).between(*_window(visit)), key=lambda one: one.get("calendar:Start"))
        identifier = ids.of_item(visit.world, item, immutable=visit.prefer.immutable)
        return visit.listed(_rows(visit, found), options, "instances", f"{path}/{identifier}/instances")
    if verb == "calendar" and method == "GET":
        return visit.json(folders.calendar(visit, visit.world.folders[item.folder]))
    if method != "POST" or verb not in (*ANSWERS, "cancel"):
        raise no_segment(verb)
    given = visit.request.json() if visit.request.body else {}
    lowered = {str(name).lower(): value for name, value in given.items()} if isinstance(given, dict) else {}
    comment = lowered.get("comment")
    body = Body(comment) if isinstance(comment, str) and comment else None
    if verb == "cancel":
        _cancel(visit, item, body)
    else:
        sent = lowered.get("sendresponse") is not False
        meetings.answer(visit.call, item, ANSWERS[verb], body, sent=sent, saved=sent)
    return Response(202)


def _cancel(visit: Visit, item: Item, body: Body | None) -> None:
    if not is_organizer(item, visit.server.view(item)):
        raise EwsError("ErrorCalendarIsNotOrganizer")
    people = list(meetings.invited(item, visit.box.person).values())
    if people:
        meetings.send_cancellations(visit.call, item, people, saved=True, body=body)
    items.discard(visit.call, item, "MoveToDeletedItems")


# -- calendars, settings, ids -----------------------------------------------------------------------------------------


def _settings(visit: Visit) -> dict[str, Any]:
    box = visit.box
    return {
        "timeZone": box.zone.id,
        "dateFormat": "yyyy-MM-dd",
        "timeFormat": "HH:mm",
        "userPurpose": "user",
        "delegateMeetingMessageDeliveryOptions": "sendToDelegateOnly",
        "language": {"locale": "en-US", "displayName": "English (United States)"},
        "automaticRepliesSetting": _automatic_replies(visit),
        "workingHours": schedule.working_hours(box),
    }


def _setting(visit: Visit, name: str) -> Response:
    """One of the settings: a plain one as `value`."""
    found = next((one for one in _settings(visit).items() if one[0].lower() == name.lower()), None)
    if found is None:
        raise no_segment(name)
    context = f"{visit.request.base_url}/v1.0/$metadata#users('{visit.box.guid}')/mailboxSettings/{found[0]}"
    value = found[1] if isinstance(found[1], dict) else {"value": found[1]}
    return visit.json({"@odata.context": context, **value})


_AUDIENCES = {"None": "none", "Known": "contactsOnly", "All": "all"}


def _automatic_replies(visit: Visit) -> dict[str, Any]:
    """automaticRepliesSetting; without times of its own it shows the day that begins now, as EWS does."""
    oof, state = visit.box.oof, visit.box.oof.state
    start = oof.start or visit.call.now.replace(minute=0, second=0, microsecond=0)
    end = oof.end or start + timedelta(days=1)
    return {
        "status": state[0].lower() + state[1:],
        "externalAudience": _AUDIENCES.get(oof.audience, "all"),
        "internalReplyMessage": oof.internal,
        "externalReplyMessage": oof.external,
        "scheduledStartDateTime": wall(start, visit.prefer),
        "scheduledEndDateTime": wall(end, visit.prefer),
    }


_FORMATS = ("entryId", "ewsId", "immutableEntryId", "restId", "restImmutableEntryId")


def _translate(visit: Visit) -> Response:
    """translateExchangeIds: ids of EWS, of Graph, and immutable ones into each other; at most 1,000."""
    given = visit.request.json()
    lowered = {str(name).lower(): value for name, value in given.items()} if isinstance(given, dict) else {}
    wanted, source = lowered.get("targetidtype"), lowered.get("sourceidtype")
    inputs = lowered.get("inputids")
    if not isinstance(inputs, list) or len(inputs) > 1000 or wanted not in _FORMATS or source not in _FORMATS:
        raise bad_value("inputIds, sourceIdType and targetIdType are needed.", "ErrorInvalidRequest")
    found = [_translated(visit, str(one), str(wanted)) for one in inputs]
    return Response.of_json({"value": found}, records=len(found))


def _translated(visit: Visit, identifier: str, wanted: str) -> dict[str, Any]:
    try:
        reference = ids.read(visit.world, identifier)
        item = visit.world.item(reference.serial)
        if item is None:
            raise EwsError("ErrorItemNotFound")
    except EwsError as error:
        return {"sourceId": identifier, "errorDetails": {"code": error.code, "message": error.message}}
    if reference.original is not None and item.is_master:
        item = calendar.Series(item).at(reference.original)
    made = ids.of_item(visit.world, item, immutable="mmutable" in wanted)
    return {"sourceId": identifier, "targetId": made if wanted.startswith("rest") else ids.to_ews(made)}


# -- contacts ---------------------------------------------------------------------------------------------------------


def _contact_routes(visit: Visit, folder: Folder, path: list[str], prefix: str) -> Response:
    request = visit.request
    match path, request.method:
        case [], "GET":
            options = odata.read(request.query, CONTACT_MEMBERS)
            found = [one for one in folder.items.values() if one.kind == "Contact"]
            return visit.listed([_contact_row(visit, one) for one in found], options, "contacts", prefix)
        case [], "POST":
            values, properties = contacts.read(request.json())
            made = items.store(visit.call, items.Draft("Contact", values, properties), folder)
            return visit.json(_contact_row(visit, made).json, 201)
        case ["$count"], "GET":
            return _count(visit, folder, "Contact")
        case [verb], "GET" if verb.lower() == "delta":
            return _contact_delta(visit, folder, f"{prefix}/delta")
        case [identifier], "GET":
            options = odata.read(request.query, CONTACT_MEMBERS)
            return visit.json(visit.shown(_contact_row(visit, visit.item(identifier, "Contact")), options))
        case [identifier], "PATCH":
            return _update_contact(visit, visit.item(identifier, "Contact"))
        case [identifier], "DELETE":
            item = visit.item(identifier, "Contact")
            if request.headers.get("If-Match") is not None:
                visit.check_version(item)
            items.discard(visit.call, item, "MoveToDeletedItems")
            return Response(204)
    raise not_allowed()


def _contact_row(visit: Visit, item: Item) -> odata.Row:
    return odata.Row(contacts.render(visit.world, item, visit.prefer), item)


def _contact_delta(visit: Visit, folder: Folder, path: str) -> Response:
    odata.refuse(visit.request.query, ("$select",))
    state = _state(visit, folder, "contacts")
    if _token(visit) is None:
        select = odata.read(visit.request.query, CONTACT_MEMBERS).select
        state = replace(state, select=select)
    return _delta(visit, folder, state, path)


def _update_contact(visit: Visit, item: Item) -> Response:
    visit.check_version(item)
    values, properties = contacts.read(visit.request.json(), item)
    changed = {*values, *(("extended",) if properties else ())}
    if not changed:
        return visit.json(_contact_row(visit, item).json)
    edit = items.Edit(item, {**item.values, **values}, {**item.extended, **properties}, changed)
    return visit.json(_contact_row(visit, items.save(visit.call, edit)).json)
