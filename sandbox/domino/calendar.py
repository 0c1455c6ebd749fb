"""The calendar service of one mail file: events, instances, invitations and notices."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from sandbox.kit.http import Request, Response

from . import shapes
from .shapes import CUSTOM
from .store import Entry, Instance, Mail, MailFile, address_of, as_instant, attendees, instances, recurrence_id

if TYPE_CHECKING:
    from .server import DominoServer

DEFAULT_COUNT = 50
NOT_READ = 1031
_TEXTS = {
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    500: "Internal Server Error",
    501: "Not Implemented",
}
_ANSWERS = {"accept": "accepted", "tentative": "tentative", "decline": "declined"}
_KNOWN = {
    "UID",
    "DTSTART",
    "DTEND",
    "DURATION",
    "DTSTAMP",
    "CREATED",
    "LAST-MODIFIED",
    "SUMMARY",
    "LOCATION",
    "CLASS",
    "DESCRIPTION",
    "TRANSP",
    "STATUS",
    "SEQUENCE",
    "PRIORITY",
    "CATEGORIES",
    "ORGANIZER",
    "ATTENDEE",
    "RRULE",
    "URL",
    "RDATE",
    "EXDATE",
    "RECURRENCE-ID",
    *CUSTOM,
}


class DominoError(Exception):
    """A refusal: HTTP status, message and, where the calendar store has one, its own number."""

    def __init__(self, status: int, message: str, cserror: int | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.cserror = status, message, cserror

    @property
    def text(self) -> str:
        return _TEXTS.get(self.status, "Error")


class CalendarService:
    """What one account sees of one mail file's calendar."""

    def __init__(self, server: DominoServer, file: MailFile, account: str) -> None:
        self._server = server
        self._file = file
        self._account = account

    def serve(self, request: Request, parts: Sequence[str]) -> Response:
        """Serve one request; ``parts`` is the path after ``/api/calendar``. Raises DominoError."""
        routes = {
            ("GET", 1, "events"): lambda: self._list(request),
            ("POST", 1, "events"): lambda: self._create(request),
            ("GET", 1, "invitations"): lambda: self._invitations(request),
            ("GET", 2, "events"): lambda: self._read(request, self._entry(parts[1]), None),
            ("PUT", 2, "events"): lambda: self._update(request, self._entry(parts[1]), None),
            ("DELETE", 2, "events"): lambda: self._delete(request, self._entry(parts[1]), None),
            ("GET", 2, "notices"): lambda: self._notice(request, parts[1]),
            ("PUT", 3, "notices"): lambda: self._notice_action(request, parts[1], parts[2]),
        }
        act = routes.get((request.method, len(parts), parts[0] if parts else ""))
        if act is None and parts[:1] == ["events"] and len(parts) in (3, 4):
            return self._below_event(request, self._entry(parts[1]), parts[2:])
        if act is None:
            known = any(key[1:] == (len(parts), parts[0] if parts else "") for key in routes)
            raise DominoError(405 if known else 404, "The method or resource is not there.")
        return act()

    def _below_event(self, request: Request, entry: Entry, rest: Sequence[str]) -> Response:
        """``instances``, ``notices``, ``action``, or an instance by its recurrence id, which is a time."""
        if rest == ["instances"] and request.method == "GET":
            found = [
                {"recurrenceId": recurrence_id(one.original), "href": self._href(entry.uid, one)}
                for one in shapes.everything(entry)
                if one.original is not None
            ]
            return Response.of_json({"instances": found}, records=len(found))
        if rest == ["notices"] and request.method == "GET":
            return Response.of_json({"notices": []})
        if rest[-1] == "action" and request.method == "PUT":
            if len(rest) == 2:
                self._instance(entry, rest[0])
            return self._action(request, entry)
        if len(rest) != 1:
            raise DominoError(404, "The method or resource is not there.")
        verb = {"GET": self._read, "PUT": self._update, "DELETE": self._delete}.get(request.method)
        if verb is None:
            raise DominoError(405, "The method is not allowed.")
        return verb(request, entry, self._instance(entry, rest[0]))

    # -- reading --------------------------------------------------------------------------------------------------

    def _list(self, request: Request) -> Response:
        since, before = self._range(request)
        count = _number(request, "count", DEFAULT_COUNT)
        if self._server.short_pages:
            count = min(count, self._server.short_pages)
        start = _number(request, "start", 0)
        rows = [
            one
            for entry in self._file.entries.values()
            if entry.kind != "task" and not (entry.draft and entry.repeats)
            for one in instances(entry, since, before)
        ]
        rows.sort(key=lambda one: (as_instant(one.start), one.entry.uid))
        page = rows[start : start + count]
        if request.param("format") == "icalendar":
            events = [self._row_event(one) for one in page]
            return _calendar(shapes.document(events, modified=self._server.stamp()), len(page))
        told = request.param("fields")
        fields = None if told is None else [name.strip() for name in told.split(",")]
        shown = [shapes.row(one, self._href(one.entry.uid, one), one.entry.modified, fields) for one in page]
        return Response.of_json({"events": shown} if shown else {}, records=len(shown))

    def _range(self, request: Request) -> tuple[datetime, datetime]:
        for one, other in (("since", "sincenow"), ("before", "days")):
            if request.param(one) is not None and request.param(other) is not None:
                raise DominoError(400, f"Parameters {one} and {other} are mutually exclusive.")
        now = self._server.clock.now()
        since = _moment(request, "since") or now + timedelta(days=_number(request, "sincenow", 0, low=-36500))
        before = _moment(request, "before") or since + timedelta(days=_number(request, "days", 365))
        return since, before

    def _row_event(self, instance: Instance) -> Any:
        event = copy.copy(shapes.instance_event(instance))
        for name in ("ATTENDEE", "DESCRIPTION", "ORGANIZER"):
            event.pop(name, None)
        event["X-LOTUS-SUMMARYDATAONLY"] = "1"
        return event

    def _read(self, request: Request, entry: Entry, instance: Instance | None) -> Response:
        events = entry.events if instance is None else [shapes.instance_event(instance)]
        if request.param("format") == "icalendar":
            if entry.raw is not None:
                return _calendar(entry.raw, 1)
            return _calendar(shapes.document(events, modified=entry.modified), len(events))
        shown = [shapes.event_json(each, self._href(entry.uid, instance), entry.modified) for each in events]
        zones = shapes.timezones(events)
        return Response.of_json({**({"timezones": zones} if zones else {}), "events": shown}, records=len(shown))

    def _entry(self, uid: str) -> Entry:
        entry = self._file.entries.get(uid)
        if entry is None or entry.kind != "event":  # of a notice only /notices can be read
            raise DominoError(404, "Error reading event", NOT_READ)
        return entry

    def _instance(self, entry: Entry, id: str) -> Instance:
        for one in shapes.everything(entry):
            if one.original is not None and recurrence_id(one.original) == id:
                return one
        raise DominoError(404, "Error reading event", NOT_READ)

    def _href(self, uid: str, instance: Instance | None) -> str:
        below = "" if instance is None or instance.original is None else f"/{recurrence_id(instance.original)}"
        return f"/{self._file.path}/api/calendar/events/{quote(uid, safe='')}{below}"

    # -- writing --------------------------------------------------------------------------------------------------

    def _body(self, request: Request) -> list[Any]:
        kind = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if kind == "text/calendar":
            return shapes.from_ical(request.body)
        if kind == "application/json":
            return shapes.from_json(request.json())
        raise DominoError(400, f"The content type {kind or '(none)'} is not application/json or text/calendar.")

    def _create(self, request: Request) -> Response:
        events = self._body(request)
        uid = str(events[0].get("UID") or self._server.new_uid())
        known = self._file.entries.get(uid)
        if known is not None:
            raise DominoError(400, "Error creating event: an entry already exists")
        for each in events:
            each["UID"] = uid
            self._settle(each)
        self._file.entries[uid] = entry = Entry(uid, events, self._server.stamp())
        self._notify(request, "invitation", entry.master)
        shown = [shapes.event_json(each, self._href(uid, None), entry.modified) for each in events]
        return Response.of_json(
            {"events": shown}, 201, headers=[("Location", f"{request.base_url}{self._href(uid, None)}")]
        )

    def _settle(self, event: Any) -> None:
        if not self._server.keeps_x:
            for name in [name for name in event if name.upper() not in _KNOWN]:
                del event[name]
        event.subcomponents = []
        for name in ("DTSTAMP", "LAST-MODIFIED", "CREATED"):
            event.pop(name, None)
        if "ATTENDEE" not in event and str(event.get("X-LOTUS-APPTTYPE", "0")) == "3":
            event["X-LOTUS-APPTTYPE"] = "0"  # a meeting without attendees becomes an appointment
        event.setdefault("X-LOTUS-APPTTYPE", "3" if "ATTENDEE" in event else "0")

    def _update(self, request: Request, entry: Entry, instance: Instance | None) -> Response:
        events = self._body(request)
        if len(events) > 1 or (entry.repeats and instance is None):
            raise DominoError(400, "Error updating event: only a single instance of a series can be updated")
        (event,) = events
        held = instance.event if instance is not None else entry.master
        if str(event.get("UID", entry.uid)) != entry.uid:
            raise DominoError(400, "Invalid VEvent property found")
        self._check_sequence(request, event, held)
        event["UID"] = entry.uid
        if "DESCRIPTION" not in event and "DESCRIPTION" in held and request.param("literally") != "true":
            event["DESCRIPTION"] = held["DESCRIPTION"]
        event["SEQUENCE"] = int(held.get("SEQUENCE", 0)) + 1
        self._settle(event)
        if instance is None:
            entry.events = [event]
        else:
            assert instance.original is not None
            event["RECURRENCE-ID"] = shapes.place(
                instance.original, str(entry.master["DTSTART"].params.get("TZID", ""))
            )
            entry.events = [one for one in entry.events if one is not instance.event or one is entry.master] + [event]
        entry.modified = self._server.stamp()
        self._notify(request, "update", event)
        return Response.of_json({"events": [shapes.event_json(event, self._href(entry.uid, instance), entry.modified)]})

    def _check_sequence(self, request: Request, event: Any, held: Any) -> None:
        told = event.get("SEQUENCE")
        if told is None and request.param("strictsequence") == "true" and "ATTENDEE" in held:
            told = 0
        if told is not None and int(told) < int(held.get("SEQUENCE", 0)):
            raise DominoError(400, "iCalendar input is out of date in regards to sequence information")

    def _delete(self, request: Request, entry: Entry, instance: Instance | None) -> Response:
        ranged = request.param("recurrenceRange")
        if ranged not in (None, "all"):
            raise DominoError(501, f"The practice server does not implement recurrenceRange={ranged}.")
        self._notify(request, "cancelation", entry.master)
        if instance is None or ranged == "all":
            del self._file.entries[entry.uid]
            return Response(200)
        entry.events = [one for one in entry.events if one is not instance.event or one is entry.master]
        assert instance.original is not None
        entry.master.add(
            "EXDATE", [as_instant(instance.original) if isinstance(instance.original, datetime) else instance.original]
        )
        entry.modified = self._server.stamp()
        return Response(200)

    def _notify(self, request: Request, kind: str, event: Any) -> None:
        """Implicit scheduling: what an organiser does goes to everybody invited, what a guest does to the organiser."""
        if request.param("workflow") == "false" or not attendees(event):
            return
        organiser = address_of(event.get("ORGANIZER", ""))
        if organiser == self._file.address:
            self._mail(kind, attendees(event), event)
        elif kind == "cancelation":
            self._mail("response", [organiser], event)

    def _mail(self, kind: str, recipients: Sequence[str], event: Any) -> None:
        subject = str(event.get("SUMMARY", ""))
        self._server.world.outbox.append(Mail(kind, self._file.address, tuple(recipients), subject))

    # -- invitations and notices ----------------------------------------------------------------------------------

    def _action(self, request: Request, entry: Entry) -> Response:
        kind = request.param("type") or ""
        if kind in ("counter", "delegate", "requestInfo"):
            raise DominoError(501, f"The practice server does not implement the action {kind}.")
        if kind not in _ANSWERS:
            raise DominoError(400, "The type of the action is missing or unknown.")
        organiser = address_of(entry.master.get("ORGANIZER", ""))
        if not organiser or organiser == self._file.address:
            raise DominoError(400, "The action is not valid for this event.")
        self._mail("response", [organiser], entry.master)
        if kind == "decline":
            del self._file.entries[entry.uid]
        entry.modified = self._server.stamp()
        return Response(200)

    def _invitations(self, request: Request) -> Response:
        since = _moment(request, "since") or self._server.clock.now() - timedelta(days=1)
        received = _moment(request, "receivedsince")
        found = [
            {"summary": str(one.master.get("SUMMARY", "")), "scheduleMethod": "request", "href": self._notice_href(one)}
            for one in self._file.entries.values()
            if one.kind == "notice"
            and as_instant(one.master["DTSTART"].dt) > since
            and (received is None or one.modified >= received)
        ]
        return Response.of_json({"notices": found}, records=len(found))

    def _notice_href(self, entry: Entry) -> str:
        return f"/{self._file.path}/api/calendar/notices/{entry.notice}"

    def _notice(self, request: Request, id: str) -> Response:
        entry = self._found_notice(id)
        if request.param("format") == "icalendar":
            return _calendar(shapes.document(entry.events, modified=entry.modified, method="REQUEST"), 1)
        shown = [shapes.event_json(each, self._notice_href(entry), entry.modified) for each in entry.events]
        return Response.of_json(
            {
                "href": self._notice_href(entry),
                "scheduleMethod": "request",
                "timezones": shapes.timezones(entry.events),
                "events": shown,
            }
        )

    def _notice_action(self, request: Request, id: str, verb: str) -> Response:
        if verb != "action":
            raise DominoError(404, "The method or resource is not there.")
        entry = self._found_notice(id)
        response = self._action(request, entry)
        entry.kind, entry.notice = "event", ""
        for each in entry.events:
            each.pop("X-LOTUS-NOTICETYPE", None)
        return response

    def _found_notice(self, id: str) -> Entry:
        entry = self._file.notice(id)
        if entry is None:
            raise DominoError(404, "Error reading notice", NOT_READ)
        return entry


def _calendar(content: bytes, records: int) -> Response:
    return Response(200, content, [("Content-Type", "text/calendar;charset=UTF-8")], records)


def _number(request: Request, name: str, default: int, *, low: int = 0) -> int:
    told = request.param(name)
    try:
        number = default if told is None else int(told)
    except ValueError:
        number = low - 1
    if not low <= number <= 1_000_000:
        raise DominoError(400, f"Parameter {name} is invalid.")
    return number


def _moment(request: Request, name: str) -> datetime | None:
    told = request.param(name)
    if told is None:
        return None
    try:
        moment = datetime.fromisoformat(told)
    except ValueError:
        raise DominoError(400, f"Parameter {name} is invalid.") from None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
