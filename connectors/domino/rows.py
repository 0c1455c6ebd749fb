"""The list of a calendar: a row for each meeting and occurrence that starts in the window, as the calendar view has it.

Rows tell that something changed and which occurrences there are; attendees and descriptions are not in them (calapi.h,
CalReadRange). An invitation that is not accepted is a row that leads nowhere, and is left out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import orjson

from connectors.calendars.records import MARK
from connectors.calendars.window import Window
from sidefeed.calendars.identity import SINGLE, meeting_key

from .door import Door

PAGE = 200
_FAR_EAST = timedelta(hours=14)
"""A day begins this much before the same day of UTC, at most."""
_SENSITIVITY = {"": "normal", "public": "normal", "confidential": "confidential"}


@dataclass(frozen=True, slots=True)
class Row:
    """One row. ``original`` is ``single``, or the original start of an occurrence, as keys have it; ``id`` is the
    object's id in the connector's terms."""

    uid: str
    original: str
    start: str
    end: str
    sensitivity: str
    free: bool
    modified: str
    digest: str

    @property
    def id(self) -> str:
        name = quote(self.uid, safe="@")
        return name if self.original == SINGLE else f"{name}{MARK}{self.original}"

    @property
    def all_day(self) -> bool:
        return len(self.start) == 10

    def private_values(self, zone: str) -> dict[str, Any]:
        """All that is told of a meeting that is not public. It is never read whole."""
        return {"Key": meeting_key(self.uid, self.original), "Start": self.start, "End": self.end,
                "Zone": None if self.all_day else zone, "IsAllDay": self.all_day,
                "ShowAs": "free" if self.free else "busy", "Sensitivity": self.sensitivity}


def rows_of(door: Door, window: Window) -> list[Row]:
    """Every row of a window, once.

    Each request begins at the last start that was told, so that nothing is missed when an entry appears or goes while
    the list is read; a request that tells nothing new is the end. Only among entries of one instant is counted on.
    """
    found: dict[str, Row] = {}
    seen: set[str] = set()
    since, start, most = window.start, 0, 0
    while True:
        page = door.rows({"since": _stamp(since), "before": _stamp(window.end), "count": str(PAGE),
                          "start": str(start)})
        most = max(most, len(page))
        fresh = [each for each in page if _place(each) not in seen]
        for each in fresh:
            seen.add(_place(each))
            row = _row(each)
            if row is not None:
                found[row.id] = row
        if not fresh:
            if not page or (len(page) == 1 and most > 1):  # the last entry again, and an answer could hold more
                return list(found.values())
            start += len(page)
            continue
        since, start = max(since, _begins(fresh[-1]) or since), 0 if _begins(fresh[-1]) else start + len(page)


def _place(row: Mapping[str, Any]) -> str:
    return f"{row.get('href')}\n{row.get('id')}\n{row.get('recurrenceId')}"


def _row(row: Mapping[str, Any]) -> Row | None:
    """A row as the connector reads it; None for a notice, and for a row that names no event or time."""
    start, end = _when(row.get("start")), _when(row.get("end"))
    if "x-lotus-noticetype" in row or not isinstance(row.get("id"), str) or start is None:
        return None
    if end is None or (len(end) == len(start) and end < start) or len(end) != len(start):
        end = start
    if len(start) == 10 and end == start:
        end = (datetime.fromisoformat(start) + timedelta(days=1)).date().isoformat()
    digest = hashlib.sha256(orjson.dumps(row, option=orjson.OPT_SORT_KEYS)).hexdigest()[:12]
    return Row(row["id"], _original(row, start), start, end, _SENSITIVITY.get(str(row.get("class") or "").lower(),
               "private"), str(row.get("transparency") or "").lower() == "transparent",
               str(row.get("last-modified") or ""), digest)


def _original(row: Mapping[str, Any], start: str) -> str:
    told = str(row.get("recurrenceId") or "")
    if not told:
        return SINGLE
    if len(start) == 10 or len(told) == 8:
        return f"{told[:4]}-{told[4:6]}-{told[6:8]}"
    return datetime.strptime(told, "%Y%m%dT%H%M%SZ").strftime("%Y-%m-%dT%H:%M:%SZ")  # noqa: DTZ007 - of and in UTC


def _when(told: Any) -> str | None:
    """A time of a row, which is UTC, as raw values have it; a date for whole days."""
    if not isinstance(told, Mapping) or not told.get("date"):
        return None
    return f"{told['date']}T{told['time']}Z" if told.get("time") else str(told["date"])


def _begins(row: Mapping[str, Any]) -> datetime | None:
    told = _when(row.get("start"))
    if told is None:
        return None
    moment = datetime.fromisoformat(told)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC) - _FAR_EAST


def recurrence_path(original: str) -> str:
    """An original start as it stands in a URL."""
    return original.replace("-", "").replace(":", "")


def _stamp(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
