"""getSchedule: free and busy times of people. Source: calendar: getSchedule (at most 20 people, 62 days)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sandbox.exchange import calendar
from sandbox.exchange.store import Item, Mailbox

from .errors import bad_body, bad_value
from .events import SHOW_AS, times
from .prefer import Prefer
from .values import read_wall

if TYPE_CHECKING:
    from .server import GraphServer

_DIGITS = {"Free": 0, "Tentative": 1, "Busy": 2, "OOF": 3, "WorkingElsewhere": 4, "NoData": 0}
_NAMES = {value: name for name, value in SHOW_AS.items()} | {"WorkingElsewhere": "workingElsewhere"}
MOST, LONGEST = 20, timedelta(days=62)


def get(server: GraphServer, given: Any, prefer: Prefer) -> list[dict[str, Any]]:
    """The scheduleInformation of each person asked for. Raises `GraphError`."""
    if not isinstance(given, dict):
        raise bad_body("The body of the request is not a schedule request.")
    lowered = {name.lower(): value for name, value in given.items()}
    people = lowered.get("schedules")
    if not isinstance(people, list) or not people or not all(isinstance(one, str) for one in people):
        raise bad_body("Cannot read the value of parameter 'schedules'.")
    if len(people) > MOST:
        raise bad_value(f"At most {MOST} schedules can be asked for.", "ErrorInvalidRequest")
    start, _ = read_wall(lowered.get("starttime"), "startTime")
    end, _ = read_wall(lowered.get("endtime"), "endTime")
    interval = lowered.get("availabilityviewinterval", 30)
    if isinstance(interval, bool) or not isinstance(interval, int) or not 5 <= interval <= 1440:
        text = "availabilityViewInterval must be from 5 to 1440 minutes."
        raise bad_value(text, "ErrorInvalidMergedFreeBusyInterval")
    if not timedelta(minutes=interval) <= end - start <= LONGEST:
        raise bad_value("The requested time window is invalid.", "ErrorInvalidTimeInterval")
    return [_one(server, who, start, end, timedelta(minutes=interval), prefer) for who in people]


def _one(
    server: GraphServer, who: str, start: datetime, end: datetime, step: timedelta, prefer: Prefer
) -> dict[str, Any]:
    box = server.office.world.mailbox(who)
    if box is None:
        text = f"Unable to resolve e-mail address {who} to an Active Directory object."
        return {"scheduleId": who, "error": {"message": text, "responseCode": "ErrorMailRecipientNotFound"}}
    folder = server.office.world.folders[box.folders["calendar"]]
    found = [one for one in calendar.view(folder, start, end) if one.get("calendar:End") > start]
    return {
        "scheduleId": who,
        "availabilityView": _digits(found, start, end, step),
        "scheduleItems": [_item(one, prefer) for one in found],
        "workingHours": working_hours(box),
    }


def _digits(found: list[Item], start: datetime, end: datetime, step: timedelta) -> str:
    digits = []
    while start < end:
        stop = start + step
        busy = [one for one in found if one.get("calendar:Start") < stop and one.get("calendar:End") > start]
        digits.append(max((_DIGITS[_status(one)] for one in busy), default=0))
        start = stop
    return "".join(map(str, digits))


def _status(item: Item) -> str:
    return str(item.get("calendar:LegacyFreeBusyStatus") or "Busy")


def _item(item: Item, prefer: Prefer) -> dict[str, Any]:
    start, end = times(item, prefer)
    private = (item.get("item:Sensitivity") or "Normal") != "Normal"
    status = _NAMES.get(_status(item), "busy")
    made: dict[str, Any] = {"isPrivate": private, "status": status, "start": start, "end": end}
    if not private:
        made |= {"subject": item.get("item:Subject") or "", "location": item.get("calendar:Location") or ""}
    return made


def working_hours(box: Mailbox) -> dict[str, Any]:
    """The workingHours of a mailbox."""
    first, last = (f"{minutes // 60:02}:{minutes % 60:02}:00.0000000" for minutes in box.work_hours)
    return {
        "daysOfWeek": [day.lower() for day in box.work_days],
        "startTime": first,
        "endTime": last,
        "timeZone": {"name": box.zone.id},
    }
