"""A client of Exchange Web Services that is nobody's SDK: SOAP by hand over httpx, replies as lxml elements."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
from lxml import etree

from sandbox.exchange import ExchangeServer

S = "{http://schemas.xmlsoap.org/soap/envelope/}"
M = "{http://schemas.microsoft.com/exchange/services/2006/messages}"
T = "{http://schemas.microsoft.com/exchange/services/2006/types}"
E = "{http://schemas.microsoft.com/exchange/services/2006/errors}"
NAMESPACES = {"s": S[1:-1], "m": M[1:-1], "t": T[1:-1], "e": E[1:-1]}
GUID = "c11ff724-aa03-4555-9952-8fa248a11c3e"
LINK = f'<t:ExtendedFieldURI PropertySetId="{GUID}" PropertyName="link" PropertyType="String"/>'
ANNA, BEN, CARA = "anna@corp.example", "ben@corp.example", "cara@corp.example"


class Fault(Exception):
    """The reply was a SOAP fault."""

    def __init__(self, status: int, root: Any) -> None:
        self.status = status
        self.root = root
        self.code = root.findtext(f".//{E}ResponseCode")
        self.text = root.findtext(".//faultstring")
        self.values = {node.get("Name"): node.text for node in root.iter(f"{T}Value")}
        super().__init__(f"{self.code}: {self.text}")


class Ews:
    """One client: `call` sends the content of a SOAP body and gives the element under the reply's body."""

    def __init__(
        self, server: ExchangeServer, login: str = ANNA, password: str = "secret", *, version: str = "Exchange2016"
    ) -> None:
        self.server = server
        self.version = version
        self.header = ""
        self.http = httpx.Client(
            base_url=server.url,
            auth=(login, password),
            timeout=20,
            verify=ssl.create_default_context(cafile=server.ca_file) if server.ca_file else True,
            trust_env=False,
        )

    def __enter__(self) -> Ews:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def envelope(self, body: str) -> bytes:
        """A request with the usual namespaces, version and extra header elements."""
        spaces = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in NAMESPACES.items())
        header = f'<t:RequestServerVersion Version="{self.version}"/>{self.header}'
        text = f"<s:Envelope {spaces}><s:Header>{header}</s:Header><s:Body>{body}</s:Body></s:Envelope>"
        return f'<?xml version="1.0" encoding="utf-8"?>{text}'.encode()

    def post(self, body: str) -> httpx.Response:
        """The HTTP response of a SOAP body."""
        headers = {"Content-Type": "text/xml; charset=utf-8"}
        return self.http.post("/EWS/Exchange.asmx", content=self.envelope(body), headers=headers)

    def call(self, body: str) -> Any:
        """The element under the reply's body. Raises `Fault`."""
        response = self.post(body)
        assert not self.server.crashes, self.server.crashes[-1].traceback
        root = etree.fromstring(response.content)
        content = root.find(f"{S}Body")[0]
        if content.tag == f"{S}Fault":
            raise Fault(response.status_code, content)
        assert response.status_code == 200
        return content

    def one(self, body: str) -> Any:
        """The single response message of a reply that must be a success."""
        messages = self.messages(body)
        assert len(messages) == 1
        assert messages[0].get("ResponseClass") == "Success", etree.tostring(messages[0]).decode()
        return messages[0]

    def messages(self, body: str) -> list[Any]:
        """All response messages of a reply."""
        return list(self.call(body).find(f"{M}ResponseMessages"))

    def code(self, body: str) -> str:
        """The response code of the single response message, or of the fault."""
        try:
            messages = self.messages(body)
        except Fault as fault:
            return f"fault {fault.code}"
        assert len(messages) == 1
        return str(messages[0].findtext(f"{M}ResponseCode"))

    # -- shorthands -----------------------------------------------------------------------------------------------

    def create(self, item: str, send: str = "SendToNone", extra: str = "") -> tuple[str, str]:
        """Create an item; its id and change key."""
        body = (
            f'<m:CreateItem MessageDisposition="SaveOnly" SendMeetingInvitations="{send}">{extra}'
            f"<m:Items>{item}</m:Items></m:CreateItem>"
        )
        found = self.one(body).find(f".//{T}ItemId")
        return found.get("Id"), found.get("ChangeKey")

    def event(self, subject: str = "Meeting", send: str = "SendToNone", **parts: str) -> tuple[str, str]:
        """Create a calendar item on 2 June 2026, 9 to 10 UTC unless given otherwise; `parts` are raw elements."""
        return self.create(event(subject, **parts), send)

    def get(self, identifier: str, *uris: str, base: str = "IdOnly", extra: str = "", ids: str = "") -> Any:
        """GetItem of one id; the item element."""
        wanted = ids or f'<t:ItemId Id="{identifier}"/>'
        message = self.one(f"<m:GetItem>{shape(base, *uris, extra=extra)}<m:ItemIds>{wanted}</m:ItemIds></m:GetItem>")
        return message.find(f"{M}Items")[0]

    def update(self, identifier: str, key: str, changes: str, **attributes: str) -> str:
        """The body of an UpdateItem."""
        given = {
            "ConflictResolution": "NeverOverwrite",
            "MessageDisposition": "SaveOnly",
            "SendMeetingInvitationsOrCancellations": "SendToNone",
            **attributes,
        }
        rendered = " ".join(f'{name}="{value}"' for name, value in given.items() if value)
        reference = f'<t:ItemId Id="{identifier}"' + (f' ChangeKey="{key}"/>' if key else "/>")
        change = f"<t:ItemChange>{reference}<t:Updates>{changes}</t:Updates></t:ItemChange>"
        return f"<m:UpdateItem {rendered}><m:ItemChanges>{change}</m:ItemChanges></m:UpdateItem>"

    def set_subject(self, identifier: str, key: str, subject: str, **attributes: str) -> Any:
        """Change a subject; the response message."""
        return self.one(
            self.update(identifier, key, set_field("item:Subject", f"<t:Subject>{subject}</t:Subject>"), **attributes)
        )

    def delete(self, identifier: str, how: str = "MoveToDeletedItems", send: str = "SendToNone") -> str:
        """The body of a DeleteItem."""
        switch = f' SendMeetingCancellations="{send}"' if send else ""
        return f'<m:DeleteItem DeleteType="{how}"{switch}><m:ItemIds><t:ItemId Id="{identifier}"/></m:ItemIds></m:DeleteItem>'

    def find(
        self, *uris: str, folder: str = "calendar", middle: str = "", base: str = "IdOnly", extra: str = ""
    ) -> list[Any]:
        """FindItem; the items."""
        return list(self.page(*uris, folder=folder, middle=middle, base=base, extra=extra).find(f"{T}Items"))

    def page(
        self, *uris: str, folder: str = "calendar", middle: str = "", base: str = "IdOnly", extra: str = ""
    ) -> Any:
        """FindItem; the root folder element with its paging attributes."""
        return self.one(find(*uris, folder=folder, middle=middle, base=base, extra=extra)).find(f"{M}RootFolder")

    def view(self, start: str, end: str, *uris: str) -> list[Any]:
        """A CalendarView; the items."""
        wanted = uris or ("item:Subject", "calendar:Start", "calendar:End", "calendar:CalendarItemType")
        return self.find(*wanted, middle=f'<m:CalendarView StartDate="{start}" EndDate="{end}"/>')

    def sync(
        self, state: str = "", most: int = 512, folder: str = "calendar", extra: str = "", uris: tuple[str, ...] = ()
    ) -> Any:
        """SyncFolderItems; the response message."""
        return self.one(sync(state, most, folder, extra, uris))


def event(subject: str = "Meeting", **parts: str) -> str:
    """A t:CalendarItem; parts in schema order: before (up to Subject's followers), start, end, after."""
    start = parts.get("start", "<t:Start>2026-06-02T09:00:00Z</t:Start>")
    end = parts.get("end", "<t:End>2026-06-02T10:00:00Z</t:End>")
    return (
        f"<t:CalendarItem><t:Subject>{subject}</t:Subject>{parts.get('before', '')}{start}{end}"
        f"{parts.get('after', '')}</t:CalendarItem>"
    )


def shape(base: str = "IdOnly", *uris: str, extra: str = "") -> str:
    """An m:ItemShape."""
    fields = "".join(f'<t:FieldURI FieldURI="{uri}"/>' for uri in uris) + extra
    more = f"<t:AdditionalProperties>{fields}</t:AdditionalProperties>" if fields else ""
    return f"<m:ItemShape><t:BaseShape>{base}</t:BaseShape>{more}</m:ItemShape>"


def find(*uris: str, folder: str = "calendar", middle: str = "", base: str = "IdOnly", extra: str = "") -> str:
    """The body of a FindItem."""
    where = f'<m:ParentFolderIds><t:DistinguishedFolderId Id="{folder}"/></m:ParentFolderIds>'
    return f'<m:FindItem Traversal="Shallow">{shape(base, *uris, extra=extra)}{middle}{where}</m:FindItem>'


def sync(
    state: str = "", most: int = 512, folder: str = "calendar", extra: str = "", uris: tuple[str, ...] = ()
) -> str:
    """The body of a SyncFolderItems."""
    where = f'<m:SyncFolderId><t:DistinguishedFolderId Id="{folder}"/></m:SyncFolderId>'
    known = f"<m:SyncState>{state}</m:SyncState>" if state else ""
    return (
        f"<m:SyncFolderItems>{shape('IdOnly', *uris)}{where}{known}{extra}"
        f"<m:MaxChangesReturned>{most}</m:MaxChangesReturned></m:SyncFolderItems>"
    )


def set_field(uri: str, value: str, kind: str = "CalendarItem") -> str:
    """A t:SetItemField."""
    return f'<t:SetItemField><t:FieldURI FieldURI="{uri}"/><t:{kind}>{value}</t:{kind}></t:SetItemField>'


def attendees(*addresses: str) -> str:
    """A t:RequiredAttendees."""
    inner = "".join(
        f"<t:Attendee><t:Mailbox><t:EmailAddress>{address}</t:EmailAddress></t:Mailbox></t:Attendee>"
        for address in addresses
    )
    return f"<t:RequiredAttendees>{inner}</t:RequiredAttendees>"


def rows(message: Any) -> list[tuple[str, str]]:
    """(change, item id) of a SyncFolderItems response message."""
    return [(etree.QName(row).localname, row.find(f".//{T}ItemId").get("Id")) for row in message.find(f"{M}Changes")]


def names(parent: Any) -> list[str]:
    """Local names of the children."""
    return [etree.QName(node).localname for node in parent]


def utc(*parts: int) -> datetime:
    """An aware UTC date-time."""
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type, misc]


@contextmanager
def exchange(**options: Any) -> Iterator[ExchangeServer]:
    """A server with three mailboxes and a fixed clock; fails if a handler had a bug."""
    server = ExchangeServer(control=False, **options)
    server.clock.fix("2026-06-01T08:00:00Z")
    server.add_mailbox(ANNA, "Anna Berg", "secret", "Europe/Berlin")
    server.add_mailbox(BEN, "Ben Ode", "secret", "America/New_York")
    server.add_mailbox(CARA, "Cara Rossi", "secret", "Europe/Rome")
    with server:
        yield server
    assert server.crashes == []
