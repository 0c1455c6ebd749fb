"""Writes to one mailbox: four at a time in a batch, only what is named, never over a change unseen, never with mail.

Graph has no switch against mail: what the organiser writes to an event with attendees is mailed to them ("Update
event", "Delete event"). So such an event is not written at all, unless its organiser asked for the mail; who is on it
is looked up first, and the ETag of that look is the condition of the write, so that nobody can be invited in between.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from connectors.calendars.identity import split_id
from connectors.calendars.outcomes import Fetch, failed, lost, moved_on
from sidefeed.connector import (
    Conflict,
    ConnectorError,
    Duplicate,
    Gone,
    Invalid,
    Outcome,
    PermissionDenied,
    RateLimited,
    Unavailable,
    UnknownOutcome,
    Write,
    chunked,
)

from .door import IN_FLIGHT, Answer, Part
from .errors import Lost
from .values import (
    LINK,
    changes,
    completed_contact,
    contact_body,
    known_zone,
    linked,
    new_event,
    normal_form,
    when,
)

if TYPE_CHECKING:
    from .calendar import Calendar
    from .contacts import Folder
    from .door import Door

_LOOKED = {
    "calendar": "id,type,attendees,isOrganizer,start,end,isAllDay,originalStartTimeZone",
    "contacts": "id,emailAddresses,businessPhones,parentFolderId",
}
_PATHS = {"calendar": "events", "contacts": "contacts"}
_TIMES = {"Start", "End", "Zone", "IsAllDay"}


class Writer:
    """Writes to the calendar or the contacts of one mailbox. ``fetch`` reads the state of one id."""

    def __init__(
        self, door: Door, mailbox: str, object: str, zone: str,
        fetch: Fetch, calendar: Calendar | None = None, folder: Folder | None = None,
    ) -> None:  # fmt: skip
        self._door = door
        self._mailbox = mailbox
        self._object = object
        self._zone = zone
        self._fetch = fetch
        self._calendar = calendar
        self._folder = folder

    def write(self, writes: Sequence[Write]) -> Iterator[Outcome]:
        """One outcome per write. Raises AuthenticationFailed and stops."""
        for chunk in chunked(writes, IN_FLIGHT):
            yield from self._some(chunk)

    def _some(self, writes: Sequence[Write]) -> Iterator[Outcome]:
        settled: dict[str, Outcome] = {}
        parts: dict[str, Part] = {}
        looked = self._look([each for each in writes if each.op != "create"], settled)
        for each in writes:
            if each.key in settled:
                continue
            try:
                part = self._part(each, looked.get(each.key, {}))
            except ConnectorError as error:
                settled[each.key] = _outcome(each, error)
                continue
            if part is None:
                settled[each.key] = Outcome(each.key, "done", each.external_id, str(looked[each.key]["@odata.etag"]))
            else:
                parts[each.key] = part
        sent = [each for each in writes if each.key in parts]
        answers = self._door.write_batch(self._mailbox, [parts[each.key] for each in sent]) if sent else []
        for each, answer in zip(sent, answers, strict=True):
            settled[each.key] = self._settled(each, answer)
        for each in writes:
            yield settled[each.key]

    # Before

    def _look(self, writes: Sequence[Write], settled: dict[str, Outcome]) -> dict[str, Mapping[str, Any]]:
        """What is there now, by the key of the write. Writes that are refused by it are settled."""
        targets = self._targets(writes, settled)
        asked = [each for each in writes if each.key in targets]
        query = urlencode({"$select": _LOOKED[self._object]})
        parts = [
            Part("GET", f"{_PATHS[self._object]}/{quote(targets[each.key], safe='')}?{query}") for each in asked
        ]  # fmt: skip
        try:
            answers = self._door.read_batch(self._mailbox, parts) if parts else []
        except (RateLimited, Unavailable, PermissionDenied) as error:
            settled |= {each.key: _outcome(each, error, before=True) for each in asked}
            return {}
        found: dict[str, Mapping[str, Any]] = {}
        for each, answer in zip(asked, answers, strict=True):
            try:
                present = answer.value()
                self._check(each, present)
                found[each.key] = present
            except ConnectorError as error:
                settled[each.key] = _outcome(each, error, before=True)
        return found

    def _targets(self, writes: Sequence[Write], settled: dict[str, Outcome]) -> dict[str, str]:
        """The event or contact behind each id; that of an occurrence is not its identity."""
        targets = {each.key: each.external_id or "" for each in writes}
        occurrences = [each for each in writes if split_id(each.external_id or "")[1] is not None]
        if not occurrences or self._calendar is None:
            return targets
        try:
            found = self._calendar.locate([each.external_id or "" for each in occurrences])
        except (RateLimited, Unavailable) as error:
            settled |= {each.key: _outcome(each, error, before=True) for each in occurrences}
            return {key: each for key, each in targets.items() if key not in settled}
        for each in occurrences:
            there = found.get(each.external_id or "")
            if there is None:
                gone = Gone(f"The occurrence is not in mailbox {self._mailbox} any more.")
                settled[each.key] = _outcome(each, gone)
                del targets[each.key]
            else:
                targets[each.key] = there.event
        return targets

    def _check(self, write: Write, present: Mapping[str, Any]) -> None:
        """Refuse a write that would mail somebody, or whose ground has moved."""
        moved = Conflict(f"The item in mailbox {self._mailbox} changed since it was read.")
        if self._folder is not None and not self._folder.holds(present):
            raise Gone(f"The contact in mailbox {self._mailbox} lies in a folder that is not ours any more.")
        if write.version and present.get("@odata.etag") != write.version:
            raise moved
        if not write.version and write.expected:
            (now,) = self._fetch(list(write.expected), [write.external_id or ""])
            if now.version != present.get("@odata.etag") or moved_on(write, now.values):
                raise moved
        if present.get("attendees") and not write.mail:
            raise Invalid(
                f"The meeting in mailbox {self._mailbox} has {len(present['attendees'])} attendees, and Graph would "
                "mail them: change it in Outlook, where its organiser decides who is told.",
                rule="would-mail", code="would-mail", owner="rep",
            )  # fmt: skip

    def _part(self, write: Write, present: Mapping[str, Any]) -> Part | None:
        """The request of a write; None where there is nothing to send. Raises Invalid."""
        if write.op == "create":
            return Part("POST", self._folder.path if self._folder else _PATHS[self._object], self._new(write))
        path = f"{_PATHS[self._object]}/{quote(str(present['id']), safe='')}"
        condition = {"If-Match": str(present["@odata.etag"])}
        if write.op == "delete":
            return Part("DELETE", path, headers=condition)
        body = self._changed(write, present)
        return Part("PATCH", path, body, condition) if body else None

    def _new(self, write: Write) -> dict[str, Any]:
        if self._object == "calendar":
            return new_event(write.values, write.external_key, self._zone, invites=write.mail)
        body = contact_body(completed_contact(write.values), {})
        return body | linked(write.external_key) if write.external_key else body

    def _changed(self, write: Write, present: Mapping[str, Any]) -> dict[str, Any]:
        if self._object == "contacts":
            return contact_body(write.values, present)
        values = dict(write.values)
        if values.keys() & _TIMES:
            own = known_zone(present.get("originalStartTimeZone"))
            # Graph keeps the zone with each time, so one that only moves to another zone is sent with its times.
            if values.get("Zone") and values["Zone"] != own:
                there = when(present)
                values = {"Start": there.start, "End": there.end, **values}
            return changes(values, own or self._zone)
        return changes(values, self._zone)

    # After

    def _settled(self, write: Write, answer: Answer) -> Outcome:
        error = answer.error
        if isinstance(error, Duplicate) and write.op == "create" and write.external_key:
            return self._repeated(write, error)
        if isinstance(error, Gone) and write.op == "delete":
            return Outcome(write.key, "done", write.external_id)
        if error is not None:
            return _outcome(write, error)
        if write.op == "delete":
            return Outcome(write.key, "done", write.external_id)
        body = answer.body if isinstance(answer.body, Mapping) else {}
        if not body.get("id"):
            return _outcome(write, Lost(f"Graph confirmed a write for {self._mailbox} without naming the item."))
        identifier = str(body["id"]) if write.op == "create" else write.external_id
        version = str(body.get("@odata.etag") or "")
        return Outcome(write.key, "done", identifier, version, seen=normal_form(write.values))

    def _repeated(self, write: Write, error: Duplicate) -> Outcome:
        """Graph knows the transaction: the item of an earlier, lost answer is the one that was wanted."""
        path = self._folder.path if self._folder else _PATHS[self._object]
        known = find_keys(self._door, self._mailbox, path, [write.external_key or ""])
        found = known[write.external_key or ""]
        if len(found) == 1:
            return Outcome(write.key, "done", found[0])
        unknown = UnknownOutcome(f"{error.message} The item is not to be found by its key.", code=error.code)
        return Outcome(write.key, "unknown", error=unknown)


def _outcome(write: Write, error: ConnectorError, *, before: bool = False) -> Outcome:
    """What an error means for one write. ``before``: nothing was sent yet, so nothing can be lost."""
    if isinstance(error, Gone) and write.op == "delete":
        return Outcome(write.key, "done", write.external_id)
    return lost(write, error) if isinstance(error, Lost) and not before else failed(write, error)


def find_keys(door: Door, mailbox: str, path: str, keys: Sequence[str]) -> dict[str, list[str]]:
    """Ids of the events or contacts at a path whose link property holds one of these keys.

    Graph compares the value without case, so the value is read back and compared exactly.
    """
    found: dict[str, list[str]] = {key: [] for key in keys}
    expand = f"singleValueExtendedProperties($filter=id eq '{LINK}')"
    parts = []
    for key in found:
        value = key.replace("'", "''")
        condition = f"singleValueExtendedProperties/Any(ep: ep/id eq '{LINK}' and ep/value eq '{value}')"
        query = urlencode({"$filter": condition, "$expand": expand, "$select": "id"}, quote_via=quote)
        parts.append(Part("GET", f"{path}?{query}"))
    for key, answer in zip(found, door.read_batch(mailbox, parts), strict=True):
        for row in answer.value()["value"]:
            if any(one.get("value") == key for one in row.get("singleValueExtendedProperties") or ()):
                found[key].append(str(row["id"]))
    return found
