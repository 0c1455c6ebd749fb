"""MIME content, conversation ids and message ids. Calendar MIME is one VCALENDAR with its VTIMEZONE."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from .store import Item

if TYPE_CHECKING:
    from .properties import View


def content(item: Item, view: View) -> bytes | None:
    """The MIME content of an item; None where Exchange has none."""
    stored = item.get("item:MimeContent")
    if stored is not None and item.kind not in ("CalendarItem",):
        return bytes(stored)
    if item.kind == "CalendarItem":
        from .icalendar import write

        return write(item, view)
    if item.kind == "Message":
        return _message(item).encode("utf-8")
    return None


def _message(item: Item) -> str:
    sender = item.get("message:From")
    to = ", ".join(f"{person.name} <{person.address}>" for person in item.get("message:ToRecipients") or ())
    body = item.get("item:Body")
    lines = [
        f"From: {sender.name} <{sender.address}>" if sender else "From:",
        f"To: {to}",
        f"Subject: {item.get('item:Subject') or ''}",
        f"Message-ID: {message_id(item)}",
        f"Date: {item.created.strftime('%a, %d %b %Y %H:%M:%S +0000')}",
        "MIME-Version: 1.0",
        f"Content-Type: text/{'html' if body and body.kind == 'HTML' else 'plain'}; charset=utf-8",
        "",
        body.text if body else "",
    ]
    return "\r\n".join(lines)


def topic(item: Item) -> str:
    """The conversation topic: the subject without reply and forward prefixes."""
    text = str(item.get("item:Subject") or "")
    for prefix in ("Re: ", "RE: ", "FW: ", "Fw: ", "Canceled: ", "Accepted: ", "Declined: ", "Tentative: "):
        text = text.removeprefix(prefix)
    return text


def conversation(item: Item) -> bytes:
    """A conversation id that the messages of one topic share."""
    return b"\x01\x01" + hashlib.md5(topic(item).encode("utf-8", "replace")).digest()


def message_id(item: Item) -> str:
    """An Internet message id, stable for the item."""
    stored = item.get("message:InternetMessageId")
    return str(stored) if stored else f"<{hashlib.md5(str(item.serial).encode()).hexdigest()}@practice.example>"


def preview(item: Item) -> str:
    """The first characters of the body."""
    from .values import to_text

    body = item.get("item:Body")
    if body is None:
        return ""
    return (to_text(body.text) if body.kind == "HTML" else str(body.text))[:255]
