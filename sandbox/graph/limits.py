"""Throttling per application and mailbox, as Outlook's part of Graph does it.

Source: "Microsoft Graph service-specific throttling limits": 10,000 requests in 10 minutes and 4 at a time, per app and
mailbox. Refused requests count too. A batch sends at most four of its parts to one mailbox at a time.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from .errors import throttled

SPAN = timedelta(minutes=10)
CONCURRENT = 4


@dataclass
class Limits:
    """Counts what is in flight and what was asked. `retry_after` None: 429 without the header."""

    concurrent: int = CONCURRENT
    requests: int = 10_000
    retry_after: int | None = 1
    in_flight: Counter[str] = field(default_factory=Counter)
    peak: Counter[str] = field(default_factory=Counter)
    """The most that was ever in flight, by mailbox, refused requests included."""
    refused: int = 0
    _times: dict[str, deque[datetime]] = field(default_factory=dict)

    def arrive(self, mailboxes: Counter[str]) -> tuple[dict[str, int], Counter[str]]:
        """Room left per mailbox for a request with so many parts for each, and what it occupies of that."""
        room: dict[str, int] = {}
        taken: Counter[str] = Counter()
        for mailbox, parts in mailboxes.items():
            wanted = min(parts, CONCURRENT)
            room[mailbox] = max(0, self.concurrent - self.in_flight[mailbox])
            self.peak[mailbox] = max(self.peak[mailbox], self.in_flight[mailbox] + wanted)
            taken[mailbox] = min(wanted, room[mailbox])
        self.in_flight += taken
        return room, taken

    def depart(self, taken: Counter[str]) -> None:
        """A request is answered."""
        self.in_flight -= taken

    def check(self, mailbox: str, now: datetime, *, fits: bool) -> None:
        """Count one request to a mailbox and refuse it if it is one too many. Raises `GraphError`."""
        times = self._times.setdefault(mailbox, deque())
        while times and times[0] <= now - SPAN:
            times.popleft()
        times.append(now)
        if not fits:
            self.refused += 1
            text = "Application is over its MailboxConcurrency limit."
            raise throttled("ApplicationThrottled", text, self.retry_after)
        if len(times) > self.requests:
            self.refused += 1
            wait = None if self.retry_after is None else max(1, int((times[0] + SPAN - now).total_seconds()))
            raise throttled("ApplicationThrottled", "Application is over its MailboxRequests limit.", wait)
