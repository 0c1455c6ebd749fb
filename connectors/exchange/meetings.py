"""Meetings of one calendar by id: single ones, occurrences of series, and what stands behind their ids.

Ids. A single meeting goes by its store id; an occurrence by ``<store id of its master>@<original start>``, which
neither an edit, nor a move, nor the step from occurrence to exception changes.

Privacy. Listings ask for the sensitivity and never for a subject. What is not public is then read with the properties
of ``PRIVATE_FIELDS`` only; subject, place, people and body of a private meeting are never asked for.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from connectors.calendars.fields import PRIVATE_FIELDS
from connectors.calendars.identity import meeting_key, normalised_uid, occurrence_id, split_id
from connectors.calendars.window import Window, spans
from sidefeed.calendars.marks import Named
from sidefeed.calendars.recurrence import RECURRENCE, SERIES
from sidefeed.connector import Remote

from . import operations, recurrence, xml
from .times import instant
from .values import (
    CALENDAR,
    STRUCTURE,
    Row,
    When,
    mark_uris,
    original_start,
    original_text,
    read_meeting,
    row,
    uris,
    when,
    zone_of,
)
from .xml import Element

if TYPE_CHECKING:
    from .ews import Mailbox

log = logging.getLogger(__name__)

FOLDER = "calendar"
_MASTER_STRUCTURE = (*STRUCTURE, "calendar:ModifiedOccurrences")
_RULE = ("calendar:Recurrence", "calendar:DeletedOccurrences")


@dataclass(frozen=True, slots=True)
class Occurrence:
    """An occurrence, and the item behind it at this moment, which is not its identity."""

    id: str
    item: str
    version: str
    remote: Remote


class Meetings:
    """Reads meetings of one mailbox, as narrow as the fields asked for; ``Body`` only where ``bodies``.

    ``tells_series`` says whether series are wanted too, as one object each."""

    def __init__(
        self, door: Mailbox, fields: Sequence[str], *, bodies: bool = False, marks: Sequence[Named] = ()
    ) -> None:  # fmt: skip
        self._door = door
        self._marks = marks if "Marks" in fields else ()
        self._fields = [each for each in fields if each != RECURRENCE and (each != "Body" or bodies)]
        self.tells_series = RECURRENCE in fields

    def view(self, window: Window) -> list[Row]:
        """Meetings and occurrences in a window."""
        return operations.calendar_view(self._door, FOLDER, window.start, window.end)

    def fetch(self, ids: Sequence[str]) -> Iterator[Remote]:
        """The state of items and occurrences, one answer each."""
        wanted = list(dict.fromkeys(ids))
        yield from self._fetch_items([each for each in wanted if "@" not in each])
        of_series = [each for each in wanted if "@" in each]
        if of_series:
            yield from self._fetch_of_series(of_series)

    def _fetch_of_series(self, ids: Sequence[str]) -> Iterator[Remote]:
        """Series and occurrences. Of a private series not even told is whether an occurrence takes place."""
        wanted = _starts(each for each in ids if split_id(each)[1])
        masters = self.masters(self.sensitivities(list(dict.fromkeys(split_id(each)[0] for each in ids))))
        found = self.find({each: masters[each] for each in wanted if each in masters}, wanted)
        for each in ids:
            master = masters.get(split_id(each)[0])
            if each in found:
                yield found[each].remote
            elif master is not None and (is_private(master) or not split_id(each)[1]):
                yield self.series(each, master)
            else:
                yield Remote(each, state="deleted")

    def _fetch_items(self, ids: Sequence[str]) -> Iterator[Remote]:
        narrow = self._narrow(ids)
        rows = {each: found for each, node in narrow.found.items() if (found := row(node)) is not None}
        masters = {each: found for each, found in rows.items() if found.kind == "RecurringMaster"}
        read = self._contents([found for each, found in rows.items() if each not in masters])
        for each in ids:
            if each in masters:  # a single meeting became this series, and lives on in its first occurrence
                first = occurrence_id(each, when(masters[each].element).start)
                yield Remote(each, state="deleted", merged_into=first)
            elif each in read.found:
                yield self._single(each, read.found[each])
            elif each in narrow.broken or each in read.broken:
                yield self._unreadable(each, narrow.broken.get(each) or read.broken[each])
            else:
                yield Remote(each, state="deleted")

    def locate(self, ids: Sequence[str]) -> dict[str, Occurrence]:
        """Occurrences by id; those that do not exist are not in the answer."""
        wanted = _starts(ids)
        return self.find(self.masters(self.sensitivities(list(wanted))), wanted)

    def find(self, masters: Mapping[str, Element], wanted: Mapping[str, set[str]]) -> dict[str, Occurrence]:
        """Occurrences by the original starts wanted of each master: exceptions by their ids, the others by views."""
        made: dict[str, Occurrence] = {}
        plain: list[str] = []
        for master_id, master in masters.items():
            modified = _modified(master)
            moved = wanted[master_id] & modified.keys()
            listed = self._narrow([modified[start] for start in sorted(moved)]).found.values()
            exceptions = [known for each in listed if (known := row(each)) is not None]
            made.update({each.id: each for each in self.occurrences(master_id, master, exceptions)})
            plain += wanted[master_id] - moved
        uids = {each: uid_digest(xml.text(master, "UID")) for each, master in masters.items()}
        for span in spans(plain):
            rows = [each for each in self.view(span) if each.kind == "Occurrence"]
            rows = [each for each in rows if not each.uid or uid_digest(each.uid) in uids.values()]
            for master_id, members in self.by_master(rows, uids).items():
                if master_id in masters:
                    for found in self.occurrences(master_id, masters[master_id], members):
                        if (split_id(found.id)[1] or "") in wanted[master_id]:
                            made.setdefault(found.id, found)
        return made

    def ids(self, window: Window) -> Iterator[tuple[str, str]]:
        """Ids and versions of every meeting and occurrence in a window."""
        rows = self.view(window)
        for each in rows:
            if each.kind == "Single":
                yield each.id, each.version
        groups = self.by_master([each for each in rows if each.kind != "Single"], {})
        masters = self.masters(dict.fromkeys(groups, ""))
        for master_id, members in groups.items():
            if master_id in masters:
                hidden = [replace(each, sensitivity="") for each in members]  # no content is wanted here
                for found in self.occurrences(master_id, masters[master_id], hidden):
                    yield found.id, found.version

    # Series

    def masters(self, sensitivities: Mapping[str, str]) -> dict[str, Element]:
        """Series masters by store id, given what is known of their sensitivity."""
        public = [each for each, sensitivity in sensitivities.items() if sensitivity == "Normal"]
        private = [each for each, sensitivity in sensitivities.items() if sensitivity != "Normal"]
        more = _RULE if self.tells_series else ()
        return self._read(public, private, (*_MASTER_STRUCTURE, *more)).found

    def series(self, remote_id: str, master: Element) -> Remote:
        """A series as one object; of a private one nothing but that it is private."""
        if is_private(master):
            uid = xml.text(master, "UID")
            return Remote(remote_id, {
                "Key": meeting_key(uid, SERIES) if uid else None, RECURRENCE: None,
                "Sensitivity": (xml.text(master, "Sensitivity") or "Private").lower()})
        try:
            told = self._remote(remote_id, xml.item_id(master)[1], master, when(master), SERIES)
        except ValueError as error:
            return self._unreadable(remote_id, str(error))
        return replace(told, values={**(told.values or {}), RECURRENCE: recurrence.read(master)})

    def sensitivities(self, ids: Sequence[str]) -> dict[str, str]:
        """The sensitivity of items, by store id."""
        found = self._narrow(ids).found
        return {each: known.sensitivity for each, node in found.items() if (known := row(node)) is not None}

    def by_master(self, rows: Iterable[Row], known: Mapping[str, str]) -> dict[str, list[Row]]:
        """Occurrences by the store id of their master: by UID where that is unique, else by asking the server."""
        of_uid: dict[str, list[str]] = {}
        for master_id, digest in known.items():
            of_uid.setdefault(digest, []).append(master_id)
        groups: dict[str, list[Row]] = {}
        ask: dict[str, list[Row]] = {}
        for each in rows:
            owners = of_uid.get(uid_digest(each.uid), []) if each.uid else []
            if len(owners) == 1:
                groups.setdefault(owners[0], []).append(each)
            else:
                # One answer does for all occurrences of an unknown UID, but not where two masters share one.
                ask.setdefault(each.id if owners or not each.uid else uid_digest(each.uid), []).append(each)
        if ask:
            asked = {members[0].id: members for members in ask.values()}
            properties = operations.uri_elements(("item:Sensitivity",))
            answers = operations.get_items(
                self._door, list(asked), properties, batch=operations.GET_NARROW, master=True
            )
            for item_id, master in answers.found.items():
                groups.setdefault(xml.item_id(master)[0], []).extend(asked[item_id])
        return groups

    def occurrences(self, master_id: str, master: Element, rows: Sequence[Row]) -> list[Occurrence]:
        """Occurrences of one series. Plain ones are the master with other times; exceptions are read, and are no less
        private than their series."""
        if is_private(master):
            rows = [replace(each, sensitivity=xml.text(master, "Sensitivity") or "") for each in rows]
        read = self._contents([each for each in rows if each.kind == "Exception"]).found
        zone = zone_of(master)
        made: dict[str, Occurrence] = {}
        for each in rows:
            exception = each.kind == "Exception"
            content = read.get(each.id) if exception else master
            if content is None:
                continue
            source = content if exception else each.element
            try:
                time = when(source, zone)
                original = original_start(source, each.kind, time)
            except ValueError as error:
                log.warning("mailbox %s: occurrence …%s is left out: %s", self._door.address, each.id[-12:], error)
                continue
            remote_id = occurrence_id(master_id, original)
            remote = self._remote(remote_id, each.version, content, time, original)
            if is_private(master):
                remote = replace(remote, values=_as_private(remote.values or {}, master))
            made[remote_id] = Occurrence(remote_id, each.id, each.version, remote)
        return list(made.values())

    # Items

    def singles(self, rows: Sequence[Row]) -> list[Remote]:
        """Single meetings. One that went away meanwhile is left to its Delete row."""
        items = self._contents(rows)
        records = [self._single(each, node) for each, node in items.found.items()]
        return records + [self._unreadable(each, code) for each, code in items.broken.items()]

    def _single(self, item_id: str, item: Element) -> Remote:
        try:
            time = when(item)
            original = original_start(item, xml.text(item, "CalendarItemType") or "Single", time)
        except ValueError as error:
            return self._unreadable(item_id, str(error))
        return self._remote(item_id, xml.item_id(item)[1], item, time, original)

    def _remote(self, remote_id: str, version: str, content: Element, time: When, original: str) -> Remote:
        values = read_meeting(content, time, original, self._door.address, self._fields)
        modified = xml.text(content, "LastModifiedTime")
        return Remote(remote_id, values, version, instant(modified) if modified else None)

    def _unreadable(self, item_id: str, why: str) -> Remote:
        """An item that is there and cannot be read: nothing is known of it, and it holds back no other."""
        log.warning("mailbox %s: item …%s cannot be read: %s", self._door.address, item_id[-12:], why)
        return Remote(item_id, values={})

    def _narrow(self, ids: Sequence[str]) -> operations.Items:
        properties = operations.uri_elements(STRUCTURE)
        return operations.get_items(self._door, ids, properties, batch=operations.GET_NARROW)

    def _contents(self, rows: Sequence[Row]) -> operations.Items:
        public = [each.id for each in rows if not each.private]
        return self._read(public, [each.id for each in rows if each.private], STRUCTURE)

    def _read(self, public: Sequence[str], private: Sequence[str], structure: Sequence[str]) -> operations.Items:
        """Items with the properties that may be known of them."""
        items = operations.Items()
        harmless = [each for each in self._fields if each in PRIVATE_FIELDS]
        for ids, names in ((public, self._fields), (private, harmless)):
            if ids:
                more = mark_uris(self._marks) if "Marks" in names else []
                properties = _merged(operations.uri_elements(structure), [*uris(names, CALENDAR), *more])
                part = operations.get_items(self._door, ids, properties)
                items.found |= part.found
                items.gone |= part.gone
                items.broken |= part.broken
        return items


def uid_digest(uid: str | None) -> str:
    """A short stand-in for a UID, by which the occurrences of a series are recognised."""
    return hashlib.sha256(normalised_uid(uid or "").encode()).hexdigest()[:16]


def is_private(master: Element) -> bool:
    """Also where the server did not say: silence is not permission."""
    return xml.text(master, "Sensitivity") != "Normal"


def _as_private(values: Mapping[str, Any], master: Element) -> dict[str, Any]:
    kept = {name: value for name, value in values.items() if name in PRIVATE_FIELDS}
    if kept.get("Sensitivity") == "normal":
        kept["Sensitivity"] = (xml.text(master, "Sensitivity") or "Private").lower()
    return kept


def _starts(ids: Iterable[str]) -> dict[str, set[str]]:
    """Master -> original starts of the occurrences among some ids."""
    wanted: dict[str, set[str]] = {}
    for each in ids:
        master_id, original = split_id(each)
        wanted.setdefault(master_id, set()).add(original or "")
    return wanted


def _modified(master: Element) -> dict[str, str]:
    """Original start -> store id of the exceptions that a master lists."""
    time = when(master)
    found = {}
    for each in xml.each(master, "ModifiedOccurrences"):
        told = xml.text(each, "OriginalStart")
        if told:
            found[original_text(told, time)] = xml.item_id(each)[0]
    return found


def _merged(structure: list[Element], wanted: list[Element]) -> list[Element]:
    """Properties, each once: a property named twice in a shape is an error."""
    return list({tuple(sorted(each.items())): each for each in (*structure, *wanted)}.values())
