"""The team calendar: who is busy when, over every mailbox that is read, and never what with.

As data, and as an iCalendar feed that calendars subscribe to. The feed is opened by a token, of which only a hash is
kept; `answer` is what a web server needs to serve it.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sidefeed.calendars import busy
from sidefeed.workspace import Transaction
from sidefeed.workspace.clock import utc_text

FEED = "calendars:feed"
ADDRESS = "/calendars/team.ics"
"""Where `sidefeed serve` answers whoever brings the token."""
PAST, AHEAD = timedelta(days=14), timedelta(days=90)
_SHOWS = {"oof": "Out of office", "tentative": "Tentative", "workingelsewhere": "Working elsewhere"}


@dataclass(frozen=True, slots=True)
class Block:
    """Somebody is busy. Times are UTC instants, or dates with the end exclusive."""

    mailbox: str
    start: str
    end: str
    all_day: bool
    show_as: str

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def team_calendar(
    tx: Transaction, since: datetime, until: datetime, mailboxes: Collection[str] | None = None
) -> list[Block]:
    """Everybody's busy blocks in a span of time; what is shown as free, or was declined, is none."""
    return [Block(row["mailbox"], row["start"], row["end"], bool(row["all_day"]), row["show_as"])
            for row in busy.blocks(tx, since, until, mailboxes)
            if row["show_as"] != "free" and row["verdict"] != "declined"]


def feed(blocks: Iterable[Block], now: datetime) -> bytes:
    """Blocks as an iCalendar file: one event each, without a word of what it is."""
    import icalendar

    calendar = icalendar.Calendar()
    calendar.add("VERSION", "2.0")
    calendar.add("PRODID", "-//Sidefeed//EN")
    calendar.add("X-WR-CALNAME", "Team calendar")
    for block in dict.fromkeys(blocks):  # busy twice at once is busy, and one UID names one event
        event = icalendar.Event()
        name = f"{block.mailbox} {block.start} {block.end} {block.show_as}"
        event.add("UID", f"{hashlib.sha256(name.encode()).hexdigest()[:32]}@sidefeed")
        event.add("DTSTAMP", now.astimezone(UTC))
        event.add("SUMMARY", f"{block.mailbox.partition('@')[0]}: {_SHOWS.get(block.show_as, 'Busy')}")
        for prop, text in (("DTSTART", block.start), ("DTEND", block.end)):
            moment = datetime.fromisoformat(text)
            event.add(prop, moment.date() if block.all_day else moment)
        event.add("TRANSP", "OPAQUE")
        event.add("CLASS", "PUBLIC")
        calendar.add_component(event)
    return bytes(calendar.to_ical())


def new_token(tx: Transaction) -> str:
    """A new token for the feed; the one before opens nothing any more."""
    token = secrets.token_urlsafe(24)
    tx.save_setting(FEED, hashlib.sha256(token.encode()).hexdigest())
    tx.note("team calendar token")
    return token


def opens(tx: Transaction, token: str) -> bool:
    """Whether this is the feed's token."""
    known = tx.setting(FEED)
    return known is not None and hmac.compare_digest(known, hashlib.sha256(token.encode()).hexdigest())


def answer(tx: Transaction, token: str, now: datetime) -> bytes | None:
    """The feed for whoever holds its token; None for anybody else."""
    if not opens(tx, token):
        return None
    return feed(team_calendar(tx, now - PAST, now + AHEAD), now)


def span(now: datetime, days: int) -> tuple[datetime, datetime]:
    """From the beginning of today, UTC."""
    today = datetime.fromisoformat(utc_text(now)[:10] + "T00:00:00+00:00")
    return today, today + timedelta(days=days)
