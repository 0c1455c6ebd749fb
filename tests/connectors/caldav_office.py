"""A real Radicale on loopback, a proxy that fails on demand before it, and people who use other clients."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import icalendar
import vobject

from connectors.caldav import CalDavConnector
from sandbox.radicale import Radicale
from sidefeed.connector import Stream

ANN, BOB = "ann@practice.example", "bob@practice.example"
NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
PASSWORD = "correct horse battery"
MEETING_FIELDS = (
    "Key", "UID", "OriginalStart", "Subject", "Start", "End", "Zone", "IsAllDay", "Location", "Sensitivity",
    "Organizer", "IsOrganizer", "Attendees", "MyResponse", "IsCancelled", "ShowAs", "JoinUrl", "Series", "Categories")


@contextmanager
def radicale(folder: Path) -> Iterator[str]:
    """The URL of a Radicale that keeps its files in a folder and takes every login."""
    with Radicale(folder) as server:
        yield server.url


class Proxy:
    """Passes requests on, counts them, and fails as told: before any effect, or after it with the answer lost."""

    def __init__(self, target: str) -> None:
        self.count = 0
        self.failures = 0
        self.losses = 0
        self.refusals: list[tuple[int, str]] = []
        proxy, http = self, httpx.Client(base_url=target, timeout=30)
        self._http = http

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def __getattr__(self, name: str) -> Any:
                if name.startswith("do_"):
                    return self._pass
                raise AttributeError(name)

            def _pass(self) -> None:
                proxy.count += 1
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if proxy.failures:
                    proxy.failures -= 1
                    self._answer(500, {}, b"passing failure")
                    return
                if proxy.refusals:
                    status, text = proxy.refusals.pop(0)
                    self._answer(status, {"content-type": "application/xml", "retry-after": "7"}, text.encode())
                    return
                kept = {name: value for name, value in self.headers.items()
                        if name.lower() not in ("host", "connection", "content-length", "accept-encoding")}
                answer = http.request(self.command, self.path, content=body, headers=kept)
                if proxy.losses and self.command in ("PUT", "DELETE"):
                    proxy.losses -= 1
                    self.close_connection = True
                    return
                self._answer(answer.status_code, dict(answer.headers), answer.content)

            def _answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
                self.send_response_only(status)
                for name, value in headers.items():
                    if name.lower() not in ("content-length", "transfer-encoding", "connection", "content-encoding"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_arguments: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._http.close()


class Office:
    """One test's collections on a running server, the connector on them, and other people's clients."""

    def __init__(self, url: str, user: str, *, calendar: str = "", book: str = "") -> None:
        self.proxy = Proxy(url)
        self.user = user
        self.http = httpx.Client(base_url=url, auth=(user, PASSWORD), timeout=30)
        self.calendar, self.book = calendar or f"/{user}/calendar/", book or f"/{user}/contacts/"
        self.make("MKCALENDAR", self.calendar)
        self.make("MKCOL", self.book, BOOK)
        self._made: list[CalDavConnector] = []
        self.now = NOW

    def make(self, method: str, path: str, body: str | None = None) -> None:
        assert self.http.request(method, path, content=body).status_code == 201

    def settings(self, **more: Any) -> dict[str, Any]:
        return {"url": self.proxy.url, "mailboxes": [ANN], "username": self.user, "password": PASSWORD,
                "calendar": self.calendar, "contacts": self.book, "timezone": "Europe/Berlin", **more}

    def connect(self, **more: Any) -> CalDavConnector:
        connector = CalDavConnector.from_settings(self.settings(**more), clock=lambda: self.now)
        self._made.append(connector)
        return connector

    def close(self) -> None:
        for connector in self._made:
            connector.close()
        self.proxy.close()
        self.http.close()

    # What people do with other clients

    def put(self, text: str, name: str | None = None, *, path: str | None = None) -> str:
        """A person's client stores an object; returns its href."""
        href = f"{path or self.calendar}{name or 'item'}.ics"
        answer = self.http.put(href, content=text.replace("\n", "\r\n").encode())
        assert answer.status_code in (201, 204), answer.text
        return href

    def get(self, href: str) -> str | None:
        answer = self.http.get(href)
        return answer.text if answer.status_code == 200 else None

    def delete(self, href: str) -> None:
        assert self.http.delete(href).status_code in (200, 204)

    def hrefs(self, path: str) -> set[str]:
        folder = self.http.request("PROPFIND", path, headers={"Depth": "1", "Content-Type": "text/xml"}, content=(
            '<propfind xmlns="DAV:"><prop><getetag/></prop></propfind>')).text
        import re

        return {href for href in re.findall(r"<(?:\w+:)?href>([^<]+)</", folder) if href.endswith((".ics", ".vcf"))}


BOOK = ('<mkcol xmlns="DAV:" xmlns:c="urn:ietf:params:xml:ns:carddav"><set><prop><resourcetype><collection/>'
        "<c:addressbook/></resourcetype></prop></set></mkcol>")


def event(uid: str, *lines: str, start: str = "DTSTART;TZID=Europe/Berlin:20261124T100000",
          end: str = "DTEND;TZID=Europe/Berlin:20261124T110000") -> str:
    """An event as other clients write it, with an alarm and a property that nobody here knows."""
    body = "\n".join(lines)
    return (f"BEGIN:VEVENT\nUID:{uid}\nDTSTAMP:20261101T000000Z\n{start}\n{end}\n{body}\nX-APPLE-THING:keep\n"
            "BEGIN:VALARM\nACTION:DISPLAY\nTRIGGER:-PT15M\nDESCRIPTION:soon\nEND:VALARM\nEND:VEVENT\n")


def calendar(*events: str) -> str:
    return "BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//A client//EN\n" + "".join(events) + "END:VCALENDAR\n"


class Kit:
    """What the contract tests want to know; one subclass per object."""

    object: str
    fields: Sequence[str]
    text: str
    blankable: str
    secrets = (PASSWORD,)

    def __init__(self, office: Office) -> None:
        self.office = office
        self.connector = office.connect()
        self.stream = Stream(self.object, ANN)
        self._number = 0

    def reconnected(self) -> CalDavConnector:
        return self.office.connect()

    def calls(self) -> int:
        return self.office.proxy.count

    def lose_next_reply(self) -> None:
        self.office.proxy.losses += 1

    def next_read_fails_once(self) -> None:
        self.office.proxy.failures += 1

    def pass_time(self) -> None:
        pass

    def person_deletes(self, external_id: str) -> None:
        self.office.delete(external_id)

    def next_name(self) -> str:
        self._number += 1
        return f"item-{self._number}"


class CalendarKit(Kit):
    object = "calendar"
    fields = ("Subject", "Location", "Start", "End", "Zone", "IsAllDay", "Key", "Sensitivity", "ShowAs", "Attendees")
    text = "Subject"
    blankable = "Location"

    def sample(self, tag: str) -> dict[str, Any]:
        return {"Subject": tag, "Location": "Room 1", "Start": "2026-11-24T09:00:00Z", "End": "2026-11-24T10:00:00Z",
                "Zone": "Europe/Berlin"}

    def person_creates(self, values: Mapping[str, Any]) -> str:
        name = self.next_name()
        return self.office.put(calendar(event(name, f"SUMMARY:{values['Subject']}",
                                              f"LOCATION:{values['Location']}")), name)

    def person_edits(self, external_id: str, values: Mapping[str, Any]) -> None:
        held: Any = icalendar.Calendar.from_ical(self.office.get(external_id) or "")
        for name, value in values.items():
            prop = {"Subject": "SUMMARY", "Location": "LOCATION"}[name]
            held.events[0].pop(prop, None)
            if value is not None:
                held.events[0].add(prop, value)
        self.office.http.put(external_id, content=held.to_ical())

    def holds(self, external_id: str) -> Mapping[str, Any] | None:
        text = self.office.get(external_id)
        if text is None:
            return None
        (found,) = icalendar.Calendar.from_ical(text).events
        return {"Subject": str(found.get("SUMMARY")), "Location": found.get("LOCATION") and str(found["LOCATION"])}

    def live_ids(self) -> set[str]:
        return self.office.hrefs(self.office.calendar)

    def unknown_id(self) -> str:
        return f"{self.office.calendar}never-was.ics"


class ContactsKit(Kit):
    object = "contacts"
    fields = ("GivenName", "Surname", "DisplayName", "EmailAddress1", "EmailAddress2", "BusinessPhone", "JobTitle",
              "CompanyName", "Categories")
    text = "CompanyName"
    blankable = "JobTitle"

    def sample(self, tag: str) -> dict[str, Any]:
        return {"GivenName": "Zoe", "Surname": "Ågren", "CompanyName": tag, "JobTitle": "Buyer",
                "EmailAddress1": "zoe@acme.example", "BusinessPhone": "+46 8 123 456"}

    def person_creates(self, values: Mapping[str, Any]) -> str:
        name = self.next_name()
        card = vobject.vCard()
        card.add("uid").value = name
        card.add("fn").value = "Zoe Ågren"
        card.add("n").value = vobject.vcard.Name(family="Ågren", given="Zoe")
        card.add("org").value = [values["CompanyName"]]
        card.add("title").value = values["JobTitle"]
        card.add("email").value = values["EmailAddress1"]
        card.add("x-apple-thing").value = "keep"
        href = f"{self.office.book}{name}.vcf"
        assert self.office.http.put(href, content=card.serialize().encode()).status_code == 201
        return href

    def _card(self, external_id: str) -> Any:
        return vobject.readOne(self.office.get(external_id))

    def person_edits(self, external_id: str, values: Mapping[str, Any]) -> None:
        card = self._card(external_id)
        for name, value in values.items():
            prop = {"CompanyName": "org", "JobTitle": "title"}[name]
            card.contents.pop(prop, None)
            if value is not None:
                card.add(prop).value = [value] if prop == "org" else value
        self.office.http.put(external_id, content=card.serialize().encode())

    def holds(self, external_id: str) -> Mapping[str, Any] | None:
        if self.office.get(external_id) is None:
            return None
        card = self._card(external_id)
        return {"CompanyName": card.org.value[0] if "org" in card.contents else None,
                "JobTitle": card.title.value if "title" in card.contents else None}

    def live_ids(self) -> set[str]:
        return self.office.hrefs(self.office.book)

    def unknown_id(self) -> str:
        return f"{self.office.book}never-was.vcf"
