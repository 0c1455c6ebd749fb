"""Time and identity: hybrid logical clock stamps, UUIDv7 record ids, and the injected wall clock."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import UTC, datetime

Now = Callable[[], datetime]


def system_now() -> datetime:
    return datetime.now(UTC)


def utc_text(moment: datetime) -> str:
    """An instant as sortable text, in UTC, to the millisecond."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def utc_instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def new_record_id(now: datetime, *, after: str | None = None) -> str:
    """A UUIDv7 (RFC 9562): sorts by creation time, unique without coordination; and behind the id ``after``, whatever
    the clock says."""
    milliseconds = int(now.timestamp() * 1000)
    if after is not None:
        milliseconds = max(milliseconds, int(after[:8] + after[9:13], 16) + 1)
    noise = secrets.randbits(74)
    tail = 0x7 << 76 | noise >> 62 << 64 | 0b10 << 62 | noise & (1 << 62) - 1
    text = f"{milliseconds:012x}{tail:020x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


class HybridClock:
    """Stamps that follow the wall clock, never go back, and order events of one site strictly.

    A stamp is ``<milliseconds, 13 digits>-<counter, 5 digits>-<site>``, so that text order is causal order
    (Kulkarni et al., "Logical Physical Clocks", 2014).
    """

    def __init__(self, now: Now, site: str, last: str = "") -> None:
        self._now = now
        self._site = site
        self._milliseconds, self._counter = (int(last[:13]), int(last[14:19])) if last else (0, 0)

    def stamp(self) -> str:
        wall = int(self._now().timestamp() * 1000)
        if wall > self._milliseconds:
            self._milliseconds, self._counter = wall, 0
        else:
            self._counter += 1
        return f"{self._milliseconds:013d}-{self._counter:05d}-{self._site}"
