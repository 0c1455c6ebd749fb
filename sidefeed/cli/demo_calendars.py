"""The doors to the reps' mailboxes that the demonstration can go through. Behind each lie the same calendars."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from sandbox.exchange import ExchangeServer

ZONE = "Europe/Berlin"


class Door(Protocol):
    """One kind of calendar server with the company's mailboxes on it."""

    system: str
    title: str

    def settings(self) -> dict[str, Any]:
        """The system's table in the settings: all that differs between the doors."""

    def calls(self) -> int:
        """Requests so far, by the server's own count."""

    def mailboxes(self) -> int: ...

    def items(self) -> int:
        """Calendar items in all mailboxes."""

    def mailed(self) -> int:
        """Messages that the server sent, or would have sent."""

    def holds_meeting(self, rep: str, subject: str, start: datetime, guest: str) -> None:
        """A rep invites a customer with their own calendar program, and blocks half an hour for the dentist."""


class Exchange:
    """Exchange through EWS: where the company's calendars were made."""

    system, title = "exchange", "Exchange"

    def __init__(self, server: ExchangeServer) -> None:
        self.server = server
        info = server.connection_info()
        self.ews = info["ews"]
        self.passwords: dict[str, str] = {box["address"]: box["password"] for box in info["mailboxes"]}

    def settings(self) -> dict[str, Any]:
        logins = {address: {"username": address, "password": word} for address, word in self.passwords.items()}
        return {"endpoint": self.ews, "auth": "basic", "access": "own", "mailboxes": list(logins),
                "credentials": logins}

    def calls(self) -> int:
        return self.server.counters.calls

    def mailboxes(self) -> int:
        return len(self.passwords)

    def items(self) -> int:
        return sum(len(self.server.call(self.server.items, address)) for address in self.passwords)

    def mailed(self) -> int:
        return len(self.server.call(self.server.outbox))

    def outlook(self, address: str) -> Any:
        """A rep's mailbox through exchangelib, as Outlook would open it."""
        from exchangelib import BASIC, Account, Configuration, Credentials, EWSTimeZone, Version
        from exchangelib.version import EXCHANGE_2019

        configuration = Configuration(
            service_endpoint=self.ews, auth_type=BASIC, version=Version(build=EXCHANGE_2019),
            credentials=Credentials(address, self.passwords[address]))
        return Account(address, config=configuration, autodiscover=False, default_timezone=EWSTimeZone(ZONE))

    def holds_meeting(self, rep: str, subject: str, start: datetime, guest: str) -> None:
        from exchangelib import Attendee, CalendarItem, EWSDateTime, EWSTimeZone, Mailbox
        from exchangelib.items import SEND_TO_ALL_AND_SAVE_COPY, SEND_TO_NONE

        account = self.outlook(rep)
        begins = EWSDateTime.from_datetime(start).astimezone(EWSTimeZone(ZONE))
        CalendarItem(account=account, folder=account.calendar, subject=subject, start=begins,
                     end=begins + timedelta(hours=1), required_attendees=[Attendee(
                         mailbox=Mailbox(email_address=guest), response_type="Unknown")],
                     ).save(send_meeting_invitations=SEND_TO_ALL_AND_SAVE_COPY)
        CalendarItem(account=account, folder=account.calendar, subject="Back at the dentist", start=begins,
                     end=begins + timedelta(minutes=30), sensitivity="Private",
                     ).save(send_meeting_invitations=SEND_TO_NONE)

    def exported(self, address: str) -> list[bytes]:
        """A calendar's items as iCalendar files, each series one, as an export writes them."""
        items = self.outlook(address).calendar.all().only("mime_content")
        return [bytes(item.mime_content).replace(b"METHOD:PUBLISH\r\n", b"") for item in items]

    def cards(self, address: str) -> list[tuple[str, str]]:
        """The address book as vCards, each with a name for its file."""
        return [_card(contact) for contact in self.outlook(address).contacts.all()]


class Graph(Exchange):
    """The same mailboxes through Microsoft Graph; the reps' Outlook still speaks EWS to them."""

    system, title = "microsoft365", "Microsoft 365"

    def __init__(self, server: ExchangeServer, graph: Any) -> None:
        super().__init__(server)
        self.graph = graph

    def settings(self) -> dict[str, Any]:
        info = self.graph.connection_info()
        return {"tenant_id": info["tenant_id"], "client_id": info["client_id"],
                "client_secret": info["client_secret"], "login_base": info["login"], "graph_base": info["graph"],
                "mailboxes": list(self.passwords)}

    def calls(self) -> int:
        return int(self.graph.counters.calls)


class CalDav:
    """A Radicale with a calendar and an address book for each rep. Radicale mails nobody, whatever is asked of it."""

    system, title = "caldav", "CalDAV"

    def __init__(self, server: Any, old: Exchange) -> None:
        import httpx

        self.server = server
        self.passwords = old.passwords
        self._clients = {address: httpx.Client(base_url=server.url, auth=(address, word), trust_env=False)
                         for address, word in old.passwords.items()}
        for address in self.passwords:
            self._ask(address, "MKCALENDAR", f"/{address}/calendar/")
            self._ask(address, "MKCOL", f"/{address}/contacts/", _BOOK)
            for content in old.exported(address):
                self._put(address, content)
            for name, card in old.cards(address):
                self._ask(address, "PUT", f"/{address}/contacts/{name}.vcf", card.encode())

    def close(self) -> None:
        for client in self._clients.values():
            client.close()

    def settings(self) -> dict[str, Any]:
        return {"url": self.server.url, "mailboxes": list(self.passwords), "timezone": ZONE,
                "credentials": {address: {"username": address, "password": word}
                                for address, word in self.passwords.items()},
                "calendar": "/{address}/calendar/", "contacts": "/{address}/contacts/"}

    def calls(self) -> int:
        return int(self.server.calls)

    def mailboxes(self) -> int:
        return len(self.passwords)

    def items(self) -> int:
        return sum(self._ask(address, "PROPFIND", f"/{address}/calendar/", headers={"Depth": "1"}).text.count(".ics</")
                   for address in self.passwords)

    def mailed(self) -> int:
        return 0

    def holds_meeting(self, rep: str, subject: str, start: datetime, guest: str) -> None:
        for content in _calendar_files(rep, subject, start, guest):
            self._put(rep, content)

    def _put(self, address: str, content: bytes) -> None:
        import hashlib

        name = hashlib.sha256(content).hexdigest()[:20]
        self._ask(address, "PUT", f"/{address}/calendar/{name}.ics", content)

    def _ask(
        self, address: str, method: str, path: str, content: bytes | str | None = None,
        headers: dict[str, str] | None = None,
    ) -> Any:
        answer = self._clients[address].request(method, path, content=content, headers=headers)
        answer.raise_for_status()
        return answer


class Domino:
    """A practice Domino with a mail file for each rep. The service has no address books."""

    system, title = "domino", "HCL Domino"

    def __init__(self, server: Any, old: Exchange) -> None:
        self.server = server
        self.addresses = list(old.passwords)
        for address in self.addresses:
            server.call(server.add_mail_file, address)
            for content in old.exported(address):
                server.call(server.save, address, content)

    def settings(self) -> dict[str, Any]:
        info = self.server.connection_info()
        return {"url": self.server.url, "username": info["username"], "password": info["password"], "timezone": ZONE,
                "mailboxes": [{"address": user["username"], "database": user["database"]} for user in info["users"]]}

    def calls(self) -> int:
        return int(self.server.counters.calls)

    def mailboxes(self) -> int:
        return len(self.addresses)

    def items(self) -> int:
        return sum(len(self.server.call(self.server.mail_file, address).entries) for address in self.addresses)

    def mailed(self) -> int:
        return len(self.server.call(self.server.outbox))

    def holds_meeting(self, rep: str, subject: str, start: datetime, guest: str) -> None:
        import httpx

        user = next(user for user in self.server.connection_info()["users"] if user["username"] == rep)
        for content in _calendar_files(rep, subject, start, guest):
            httpx.post(f"{self.server.url}/{user['database']}/api/calendar/events", content=content, trust_env=False,
                       auth=(rep, user["password"]), headers={"Content-Type": "text/calendar"}).raise_for_status()


DOORS = {"exchange": Exchange.title, "graph": Graph.title, "caldav": CalDav.title, "domino": Domino.title}
"""What ``--calendar`` takes, and the name of each."""


@contextmanager
def opened(door: str, exchange: ExchangeServer, folder: Path) -> Iterator[Door]:
    """A door, one of ``DOORS``, to the calendars that a practice Exchange holds; CalDAV and Domino get copies.

    Raises RuntimeError where its server is not installed.
    """
    with ExitStack() as stack:
        if door == "exchange":
            yield Exchange(exchange)
        elif door == "graph":
            from sandbox.graph import GraphServer

            yield Graph(exchange, stack.enter_context(GraphServer(exchange=exchange)))
        elif door == "caldav":
            from sandbox.radicale import Radicale

            old = Exchange(exchange)
            made = CalDav(stack.enter_context(Radicale(folder, old.passwords)), old)
            stack.callback(made.close)
            yield made
        else:
            from sandbox.domino import DominoServer

            yield Domino(stack.enter_context(DominoServer()), Exchange(exchange))


def _calendar_files(rep: str, subject: str, start: datetime, guest: str) -> Iterable[bytes]:
    """A meeting with a guest, and a private half hour, as a calendar program would store them."""
    import icalendar

    def file(name: str, length: timedelta, **more: Any) -> bytes:
        event = icalendar.Event()
        for key, value in {"UID": f"{name}-{start:%Y%m%dT%H%M}@brightwater.example", "DTSTAMP": datetime.now(UTC),
                           "DTSTART": start, "DTEND": start + length, **more}.items():
            event.add(key, value)
        calendar = icalendar.Calendar()
        calendar.add("VERSION", "2.0")
        calendar.add("PRODID", "-//Brightwater//A calendar program//EN")
        calendar.add_component(event)
        return bytes(calendar.to_ical())

    yield file("customer", timedelta(hours=1), SUMMARY=subject, ORGANIZER=f"mailto:{rep}", ATTENDEE=f"mailto:{guest}")
    yield file("own-time", timedelta(minutes=30), SUMMARY="Back at the dentist", CLASS="PRIVATE")


def _card(contact: Any) -> tuple[str, str]:
    import vobject

    card = vobject.vCard()
    card.add("uid").value = name = f"{contact.given_name}.{contact.surname}".lower()
    card.add("fn").value = f"{contact.given_name} {contact.surname}"
    card.add("n").value = vobject.vcard.Name(family=contact.surname, given=contact.given_name)
    for each in contact.email_addresses or ():
        card.add("email").value = each.email
    for number in contact.phone_numbers or ():
        if number.phone_number:
            card.add("tel").value = number.phone_number
            card.tel_list[-1].type_param = "WORK"
    return name, str(card.serialize())


_BOOK = ('<mkcol xmlns="DAV:" xmlns:c="urn:ietf:params:xml:ns:carddav"><set><prop><resourcetype><collection/>'
         "<c:addressbook/></resourcetype></prop></set></mkcol>")
