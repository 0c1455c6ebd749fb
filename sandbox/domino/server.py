"""The practice Domino: sign-in, routing, the calendar service of each mail file, and what would have been mailed.

What no source says is a switch, documented where it is: `keeps_x`, `short_pages`.
"""

from __future__ import annotations

import base64
import binascii
import copy
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from urllib.parse import unquote

from sandbox.kit.faults import Fault
from sandbox.kit.http import BadJson, Request, Response
from sandbox.kit.server import PracticeServer

from . import shapes
from .calendar import CalendarService, DominoError
from .shapes import Unreadable
from .store import Entry, Mail, MailFile, World
from .zones import ZONES

SERVICE, SERVICE_PASSWORD = "Sidefeed/Practice", "practice-secret"
DOMAIN = "practice.example"
_NOT_THERE = "The requested resource is not there."
_MISSING = ("freebusy", "data", "mail", "contacts", "traveler")


class DominoServer(PracticeServer):
    """Domino Access Services' calendar service on loopback, as `calendar.yaml` of Domino 9.0.1 FP8 documents it."""

    name: ClassVar[str] = "domino"
    max_body = 8 * 1024 * 1024

    def __init__(self, **kit: Any) -> None:
        super().__init__(**kit)
        self.world = World()
        self.world.services[SERVICE] = (SERVICE_PASSWORD, "editor")
        self.keeps_x = False
        """Whether properties that Domino does not know survive a write: custom fields do only where `$CSCopyItems`
        names them."""
        self.short_pages = 0
        """Most rows of one answer, whatever `count` says: a page of the calendar view need not fill it (calapi.h)."""
        self.fault_kinds = {"stack_trace": self._stack_trace}
        self.conditions = {
            name.removeprefix("_when_"): (getattr(self, name).__doc__ or "")
            for name in dir(self)
            if name.startswith("_when_")
        }

    # -- transport ------------------------------------------------------------------------------------------------

    def endpoint(self, request: Request) -> str:
        """Method and path with mail files and ids left out."""
        parts = [part for part in request.path.split("/") if part]
        if "api" not in parts:
            return f"{request.method} /{{path}}"
        rest = parts[parts.index("api") + 1 :]
        shown = [
            ("{id}" if rest[1] == "notices" else "{uid}")
            if number == 2
            else "{recurrenceId}"
            if number == 3 and part not in ("instances", "action", "notices")
            else part
            for number, part in enumerate(rest)
        ]
        return f"{request.method} /{{folder}}/{{database}}/api/{'/'.join(shown)}"

    def handle(self, request: Request) -> Response:
        """Serve one request."""
        try:
            return self._handle(request)
        except DominoError as error:
            return self.refusal(error)
        except Unreadable as error:
            return self.refusal(DominoError(400, str(error)))

    def _handle(self, request: Request) -> Response:
        parts = [unquote(part) for part in request.path.split("/") if part]
        account = self._account(request)
        if account is None:
            return Response(
                401,
                b"<html><body>Server Error: You are not authorized to perform this operation</body></html>",
                [("Content-Type", "text/html; charset=US-ASCII"), ("WWW-Authenticate", 'Basic realm="/"')],
            )
        if parts[:1] == ["api"] or "api" not in parts:
            service = parts[1] if parts[:1] == ["api"] and len(parts) > 1 else ""
            raise (
                DominoError(501, f"The practice server does not implement {service}.")
                if service in _MISSING
                else DominoError(404, _NOT_THERE)
            )
        at = parts.index("api")
        file = self.world.files.get("/".join(parts[:at]).lower())
        if file is None:
            raise DominoError(404, "The database is not there.", 259)
        self._permit(account, file, request.method)
        if parts[at + 1 : at + 2] != ["calendar"]:
            raise DominoError(501, f"The practice server does not implement {'/'.join(parts[at + 1 : at + 2])}.")
        request.state["user"] = account
        return CalendarService(self, file, account).serve(request, parts[at + 2 :])

    def _account(self, request: Request) -> str | None:
        """The name that signed in: of a service account, or the address of a mail file's owner."""
        kind, _, told = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() != "basic":
            return None
        try:
            name, _, password = base64.b64decode(told, validate=True).decode("utf-8").partition(":")
        except (binascii.Error, ValueError):
            return None
        service = next((one for one in self.world.services if one.lower() == name.lower()), None)
        if service is not None:
            return service if self.world.services[service][0] == password else None
        file = next(
            (one for one in self.world.files.values() if name.lower() in (one.address, one.owner.lower())), None
        )
        return file.address if file is not None and file.password == password else None

    def _permit(self, account: str, file: MailFile, method: str) -> None:
        """Refuse what the database's access control list does not give."""
        rights = self.world.services.get(account, ("", "editor" if account == file.address else ""))[1]
        if file.denied or not rights or (rights == "reader" and method != "GET"):
            raise DominoError(403, "You are not authorized to perform that operation", 582)

    def refusal(self, error: DominoError) -> Response:
        """An error as the service tells it, with the stack trace that is of no use to anybody but its makers."""
        body = {
            "code": error.status,
            "text": error.text,
            **({"cserror": error.cserror} if error.cserror else {}),
            "message": error.message,
            "type": "text",
            "data": (
                f"com.ibm.domino.calendar.store.StoreException: {error.message}\r\n\tat "
                "com.ibm.domino.calendar.dbstore.NotesCalendarStore.getEvent(NotesCalendarStore.java:185)\r\n"
            ),
        }
        return Response.of_json(body, error.status)

    def bad_request(self, request: Request, error: BadJson) -> Response:
        """A body that is no JSON."""
        return self.refusal(DominoError(400, f"Error parsing JSON input: {error}"))

    # -- what people do -------------------------------------------------------------------------------------------

    def add_mail_file(
        self, address: str, owner: str = "", *, password: str = "", path: str = "", zone: str = "W. Europe"
    ) -> MailFile:
        """A person with a mail file. Raises ValueError for a zone that Domino has no name for here."""
        if zone not in ZONES:
            raise ValueError(f"no zone {zone!r}; there are: {', '.join(ZONES)}")
        address = address.lower()
        user = address.partition("@")[0]
        path = (path or f"mail/{user}.nsf").strip("/")
        made = MailFile(path, owner or user.replace(".", " ").title(), address, password or f"pw-{user}", zone)
        self.world.files[path.lower()] = made
        return made

    def mail_file(self, address: str) -> MailFile:
        """A person's mail file. Raises KeyError naming those there are."""
        found = self.world.by_address(address)
        if found is None:
            there = ", ".join(one.address for one in self.world.files.values()) or "none"
            raise KeyError(f"no mail file of {address}; there are: {there}")
        return found

    def save(self, address: str, event: Mapping[str, Any] | bytes, *, draft: bool = False, task: bool = False) -> str:
        """What a person saves in the Notes client, as JSON of the service or iCalendar; mails nobody. Gives the UID."""
        file = self.mail_file(address)
        events = shapes.from_ical(event) if isinstance(event, bytes) else shapes.from_json({"events": [event]})
        uid = str(events[0].get("UID") or self.new_uid())
        for each in events:
            each["UID"] = uid
        file.entries[uid] = Entry(uid, events, self.stamp(), kind="task" if task else "event", draft=draft)
        return uid

    def invite(self, address: str, event: Mapping[str, Any] | bytes) -> str:
        """An invitation arrives and shows in the calendar, not accepted yet. Gives the notice's id."""
        uid = self.save(address, event)
        entry = self.mail_file(address).entries[uid]
        entry.kind, entry.notice = "notice", self.new_uid().partition("-")[0]
        for each in entry.events:
            each["X-LOTUS-NOTICETYPE"] = "I"
        return entry.notice

    def erase(self, address: str, uid: str) -> None:
        """A person deletes an entry; nobody is told. Raises KeyError where it is not there."""
        del self.mail_file(address).entries[uid]

    def outbox(self) -> list[Mail]:
        """What was, or would have been, mailed, oldest first."""
        return list(self.world.outbox)

    def new_uid(self) -> str:
        """A UID as Domino makes it."""
        self.world.number += 1
        digest = hashlib.sha256(f"{self.seed}:{self.world.number}".encode()).hexdigest()[:32].upper()
        return f"{digest}-Lotus_Auto_Generated"

    def stamp(self) -> datetime:
        """The time of a change: Domino's stamps have whole seconds."""
        return self.clock.now().replace(microsecond=0)

    # -- faults and conditions ------------------------------------------------------------------------------------

    def _stack_trace(self, request: Request, struck: Fault) -> Response:
        """500 with a Java stack trace; with after=true the request was carried out. Args: after."""
        if struck.args.get("after"):
            self.handle(request)
        return self.refusal(DominoError(500, "Error reading events"))

    def condition(self, name: str, **args: Any) -> Any:
        """Switch a bad day on or off; see `conditions` for the names and their arguments."""
        act: Callable[..., Any] | None = getattr(self, f"_when_{name}", None)
        if act is None:
            raise KeyError(f"no condition {name!r}; known: {', '.join(sorted(self.conditions))}")
        return act(**args)

    def _when_outbox(self, clear: bool = False) -> list[dict[str, Any]]:
        """What would have been mailed, oldest first: kind, sender, recipients, subject. Args: clear."""
        told = [asdict(mail) for mail in self.world.outbox]
        if clear:
            self.world.outbox.clear()
        return told

    def _when_access_denied(self, mailbox: str, on: bool = True) -> bool:
        """Everything in a mail file answers 403. Args: mailbox, on."""
        self.mail_file(mailbox).denied = on
        return on

    def _when_draft(self, mailbox: str, subject: str = "Draft", start: str = "", repeats: bool = False) -> str:
        """A draft meeting; a repeating one is missing from the list, which users call a bug. Args: mailbox, subject,
        start, repeats. Gives its UID."""
        told = self._simple(subject, start)
        if repeats:
            told["recurrenceRule"] = "FREQ=WEEKLY;COUNT=4"
        return self.save(mailbox, told, draft=True)

    def _when_task(self, mailbox: str, subject: str = "Task", start: str = "") -> str:
        """A task, which the list never shows. Args: mailbox, subject, start. Gives its UID."""
        return self.save(mailbox, self._simple(subject, start), task=True)

    def _when_invitation(
        self, mailbox: str, subject: str = "Invitation", start: str = "", organizer: str = f"guest@{DOMAIN}"
    ) -> str:
        """An invitation that is not accepted yet: a row of the list whose UID leads nowhere. Args: mailbox, subject,
        start, organizer. Gives the notice's id."""
        told = self._simple(subject, start) | {
            "organizer": {"displayName": organizer, "email": organizer},
            "attendees": [{"email": mailbox, "displayName": mailbox, "role": "req-participant"}],
        }
        return self.invite(mailbox, told)

    def _when_raw(self, mailbox: str, uid: str, text: str, encoding: str = "utf-8") -> str:
        """What reading an entry as iCalendar answers, whatever it holds. Args: mailbox, uid, text, encoding."""
        self.mail_file(mailbox).entries[uid].raw = text.encode(encoding)
        return uid

    def _when_behaviour(self, keeps_x: bool | None = None, short_pages: int | None = None) -> dict[str, Any]:
        """Choices where Domino is not documented. Args: keeps_x (unknown properties survive a write), short_pages (most
        rows of an answer; 0: as many as were asked for)."""
        self.keeps_x = self.keeps_x if keeps_x is None else keeps_x
        self.short_pages = self.short_pages if short_pages is None else short_pages
        return {"keeps_x": self.keeps_x, "short_pages": self.short_pages}

    def _simple(self, subject: str, start: str) -> dict[str, Any]:
        begins = datetime.fromisoformat(start).astimezone(UTC) if start else self.stamp() + timedelta(days=1)
        ends = begins + timedelta(hours=1)
        return {
            "summary": subject,
            "start": {"date": f"{begins:%Y-%m-%d}", "time": f"{begins:%H:%M:%S}", "utc": True},
            "end": {"date": f"{ends:%Y-%m-%d}", "time": f"{ends:%H:%M:%S}", "utc": True},
        }

    # -- kit ------------------------------------------------------------------------------------------------------

    def snapshot(self) -> object:
        """The mail files, the accounts and the outbox."""
        return copy.deepcopy(self.world)

    def restore(self, snapshot: object) -> None:
        """Go back to a snapshot."""
        if not isinstance(snapshot, World):
            raise TypeError("this is no snapshot of a Domino practice server")
        self.world = copy.deepcopy(snapshot)

    def populate(self, seed: int) -> dict[str, int]:
        """Three reps' mail files with meetings, series, an invitation and a draft."""
        from .population import populate

        return populate(self, seed)

    def load_schema(self, schema: Mapping[str, Any]) -> None:
        """Section mail_files: address, owner, password, path, zone. Raises ValueError."""
        unknown = set(schema) - {"mail_files"}
        if unknown:
            raise ValueError(f"unknown section {sorted(unknown)[0]!r}; there is mail_files")
        for number, one in enumerate(schema.get("mail_files") or ()):
            try:
                self.add_mail_file(**one)
            except (TypeError, ValueError) as error:
                raise ValueError(f"mail_files[{number}]: {error}") from None

    def load_credentials(self, credentials: Mapping[str, Any]) -> None:
        """`services`: name, password and rights (reader, editor) of accounts that open every mail file. Raises
        ValueError."""
        unknown = set(credentials) - {"services"}
        if unknown:
            raise ValueError(f"credentials has an unknown key {sorted(unknown)[0]!r}; there is services")
        for number, one in enumerate(credentials.get("services") or ()):
            if one.get("rights", "reader") not in ("reader", "editor") or not one.get("name"):
                raise ValueError(f"credentials.services[{number}]: needs a name, and rights are reader or editor")
            self.world.services[str(one["name"])] = (str(one.get("password", "")), str(one.get("rights", "reader")))

    def load_data(self, objects: Mapping[str, list[dict[str, Any]]]) -> dict[str, int]:
        """Records of MailFile (address, owner, password, path, zone) and Event (mailbox, and an event as the service's
        JSON has it). Raises ValueError."""
        for name in objects.keys() - {"MailFile", "Event"}:
            raise ValueError(f"no object {name!r}; there are MailFile, Event")
        self.load_schema({"mail_files": objects.get("MailFile", [])})
        for number, one in enumerate(objects.get("Event", [])):
            told = dict(one)
            try:
                self.save(str(told.pop("mailbox", "")), told)
            except (KeyError, ValueError) as error:
                raise ValueError(f"Event[{number}]: {error}") from None
        return {name: len(records) for name, records in objects.items()}

    def connection_info(self) -> dict[str, Any]:
        """What a client needs to connect."""
        name, (password, _rights) = next(iter(self.world.services.items()))
        return {
            "url": self.url,
            "username": name,
            "password": password,
            "users": [
                {"username": file.address, "password": file.password, "database": file.path, "zone": file.zone}
                for file in self.world.files.values()
            ],
        }
