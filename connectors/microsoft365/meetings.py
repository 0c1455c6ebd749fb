"""Meetings of one calendar by id: single ones, occurrences of series, and what stands behind their ids.

Ids. A single meeting goes by its immutable id; an occurrence by ``<id of its master>@<original start>``, which neither
an edit nor the step from occurrence to exception changes.

Privacy. Where Graph takes a selection, a private meeting is asked for nothing but its times; where it takes none,
what is private is dropped as it is read (``values.discreet``).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from connectors.calendars.identity import SINGLE, meeting_key, occurrence_id, series_id, split_id
from connectors.calendars.window import Window, spans
from connectors.exchange.times import utc_text
from connectors.exchange.values import When
from sidefeed.calendars.marks import Named
from sidefeed.calendars.recurrence import RECURRENCE, SERIES
from sidefeed.connector import Gone, Remote

from . import recurrence, values
from .door import Answer, Part
from .marks import Marked
from .values import Json, discreet, modified, when

if TYPE_CHECKING:
    from .door import Door

log = logging.getLogger(__name__)

LISTED = "id,type,seriesMasterId,start,end,isAllDay,originalStart,originalStartTimeZone,sensitivity"
STRUCTURE = urlencode({
    "$select": "id,type,cancelledOccurrences",
    "$expand": "exceptionOccurrences($select=id,type,start,end,isAllDay,originalStart,originalStartTimeZone)"},
    quote_via=quote)  # fmt: skip
"""What was changed and cancelled in a series, which Graph tells of one master at a time."""
PAGE = 500
"""Rows of a listing with a selection; Graph gives at most 1,000."""


@dataclass(frozen=True, slots=True)
class Occurrence:
    """An occurrence, and the event behind it at this moment, which is not its identity."""

    id: str
    event: str
    version: str
    remote: Remote


class Meetings:
    """Reads meetings of one mailbox; ``Body`` only where ``bodies``.

    ``tells_series`` says whether series are wanted too, as one object each."""

    def __init__(
        self, door: Door, mailbox: str, fields: Sequence[str], *, bodies: bool = False, marks: Sequence[Named] = ()
    ) -> None:  # fmt: skip
        self.marked = Marked(door, mailbox, marks if "Marks" in fields else ())
        self.door = door
        self.mailbox = mailbox
        self._fields = [each for each in fields if each != RECURRENCE and (each != "Body" or bodies)]
        self.tells_series = RECURRENCE in fields
        self._bodies = bodies
        self._masters: dict[str, dict[str, Any]] = {}

    # By id

    def fetch(self, ids: Sequence[str]) -> Iterator[Remote]:
        """The state of events and occurrences, one answer each."""
        wanted = list(dict.fromkeys(ids))
        plain = [each for each in wanted if "@" not in each]
        for single, event in self.events(plain).items():
            if event is None:
                yield Remote(single, state="deleted")
            elif event.get("type") == "seriesMaster":  # a single meeting became this series, and its first occurrence
                yield Remote(single, state="deleted", merged_into=occurrence_id(single, when(event).start))
            else:
                yield self.told(event) or Remote(single, values={})
        of_series = [each for each in wanted if "@" in each]
        if of_series:
            yield from self._fetch_of_series(of_series)

    def _fetch_of_series(self, ids: Sequence[str]) -> Iterator[Remote]:
        """Series and occurrences. Of a private series not even told is whether an occurrence takes place."""
        found = self.locate([each for each in ids if split_id(each)[1]])
        owners = [split_id(each)[0] for each in ids if each not in found]
        masters = {each: master for each, master in self.masters(owners).items() if _is_master(master)}
        series = {remote.id: remote for remote in self.series(masters)}
        for each in ids:
            master_id, original = split_id(each)
            if each in found:
                yield found[each].remote
            elif master_id in masters and (is_private(masters[master_id]) or not original):
                yield replace(series[series_id(master_id)], id=each)
            else:
                yield Remote(each, state="deleted")

    def series(self, masters: Mapping[str, Json]) -> Iterator[Remote]:
        """Series as one object each; of a private one nothing but that it is private."""
        public = [each for each, master in masters.items() if not is_private(master)]
        structures = self.events(public, f"?{STRUCTURE}")
        for master_id, master in masters.items():
            uid, structure = str(master.get("iCalUId") or ""), structures.get(master_id)
            key = meeting_key(uid, SERIES) if uid else None
            if is_private(master):
                yield Remote(series_id(master_id), {
                    "Key": key, RECURRENCE: None, "Sensitivity": str(master.get("sensitivity") or "private").lower()})
            elif structure is not None:
                try:
                    read = self._read(master, when(master), SERIES, uid)
                except (ValueError, KeyError) as error:
                    log.warning("mailbox %s: series …%s cannot be read: %s", self.mailbox, master_id[-12:], error)
                    continue
                yield Remote(series_id(master_id), {**read, RECURRENCE: recurrence.read(master, structure)},
                             str(master.get("@odata.etag") or ""), modified(master))

    def events(self, ids: Sequence[str], query: str = "") -> dict[str, dict[str, Any] | None]:
        """Events by id, each without what is private; None where there is none. Raises what concerns the mailbox."""
        parts = [Part("GET", f"events/{quote(each, safe='')}{query}") for each in ids]
        found: dict[str, dict[str, Any] | None] = {}
        for each, answer in zip(ids, self.door.read_batch(self.mailbox, parts), strict=True):
            event = _or_none(answer)
            found[each] = None if event is None else self.dressed(event)
        return found

    def dressed(self, event: Json) -> dict[str, Any]:
        """An event as it may be known: without what is private, and without a body that nobody asked for."""
        made = discreet(event)
        if not self._bodies:
            made.pop("body", None)
        made.pop("bodyPreview", None)
        if made.get("type") == "seriesMaster" and "start" in made:
            self._masters[made["id"]] = made
        return made

    def masters(self, ids: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Series masters by id, from this round where they were in it; those that are gone are not in the answer."""
        wanted = list(dict.fromkeys(ids))
        missing = [each for each in wanted if each not in self._masters]
        if missing:
            self.events(missing)
        return {each: self._masters[each] for each in wanted if each in self._masters}

    def locate(self, ids: Sequence[str]) -> dict[str, Occurrence]:
        """Occurrences by id; those that do not exist are not in the answer."""
        wanted: dict[str, set[str]] = {}
        for each in ids:
            owner, original = split_id(each)
            wanted.setdefault(owner, set()).add(original or "")
        expanded = self.events(list(wanted), "?$expand=exceptionOccurrences")
        exceptions = {master_id: [self.dressed(each) for each in (master or {}).get("exceptionOccurrences") or ()]
                      for master_id, master in expanded.items()}
        self.marked.look_at(each for several in exceptions.values() for each in several)
        made: dict[str, Occurrence] = {}
        for master_id, starts in wanted.items():
            master = expanded[master_id]
            if master is None or master.get("type") != "seriesMaster":
                continue
            for exception in exceptions[master_id]:
                self._place(made, exception, starts)
            plain = [each for each in starts if occurrence_id(master_id, each) not in made]
            for span in spans(plain):
                for bare in self._instances(master_id, span):
                    if bare.get("type") == "occurrence":
                        self._place(made, values.occurrence(master, bare), starts)
        return made

    def _place(self, made: dict[str, Occurrence], event: Json, starts: set[str]) -> None:
        found = self.occurrence(event)
        if found is not None and split_id(found.id)[1] in starts:
            made.setdefault(found.id, found)

    def _instances(self, master_id: str, span: Window) -> Iterator[Json]:
        query = query_of(span, **{"$select": LISTED, "$top": str(PAGE)})
        try:
            yield from self.door.pages(self.mailbox, f"events/{quote(master_id, safe='')}/instances?{query}", page=PAGE)
        except Gone:
            return

    # From rows

    def told(self, event: Json) -> Remote | None:
        """A single meeting; None, and a line in the log, for one that cannot be read."""
        try:
            time = when(event)
            original = values.original_start(event, time)
        except (ValueError, KeyError) as error:
            log.warning("mailbox %s: event …%s cannot be read: %s", self.mailbox, str(event.get("id"))[-12:], error)
            return None
        if original != SINGLE and event.get("seriesMasterId"):
            found = self.occurrence(event)
            return found.remote if found else None
        uid = str(event.get("iCalUId") or "")
        read = self._read(event, time, original, uid)
        return Remote(str(event["id"]), read, str(event.get("@odata.etag") or ""), modified(event))

    def occurrence(self, event: Json) -> Occurrence | None:
        """One occurrence or exception, its content complete; None for one that cannot be read."""
        master_id = str(event.get("seriesMasterId") or "")
        master = self.masters([master_id]).get(master_id) if master_id else None
        if master is None:
            return None
        if is_private(master) and not is_private(event):  # an exception is as private as its series
            event = discreet({**event, "sensitivity": master.get("sensitivity")})
        try:
            time = when(event, when(master).zone)
            original = values.original_start(event, time)
        except (ValueError, KeyError) as error:
            log.warning("mailbox %s: occurrence …%s is left out: %s", self.mailbox, str(event.get("id"))[-12:], error)
            return None
        uid = str(master.get("iCalUId") or "")
        read = self._read(event, time, original, uid)
        version = str(event.get("@odata.etag") or "")
        remote_id = occurrence_id(master_id, original)
        return Occurrence(remote_id, str(event["id"]), version, Remote(remote_id, read, version, modified(event)))

    def _read(self, event: Json, time: When, original: str, uid: str) -> dict[str, Any]:
        """Raw values of one meeting, with the marks on it and on its series."""
        read = values.read_meeting(event, time, original, uid, self.mailbox, self._fields)
        if "Marks" in read:
            read["Marks"] = sorted({*read["Marks"], *self.marked.of(event)})
        return read

    def ids(self, window: Window) -> Iterator[tuple[str, str]]:
        """Ids and versions of every meeting and occurrence in a window, from one listing."""
        query = query_of(window, **{"$select": LISTED, "$top": str(PAGE)})
        for row in self.door.pages(self.mailbox, f"calendarView?{query}", page=PAGE):
            version = str(row.get("@odata.etag") or "")
            if not row.get("seriesMasterId"):
                yield str(row["id"]), version
                continue
            try:
                original = values.original_start(row, when(row))
            except (ValueError, KeyError):
                continue
            yield occurrence_id(str(row["seriesMasterId"]), original), version


def is_private(event: Json) -> bool:
    """Also where Graph did not say: silence is not permission."""
    return event.get("sensitivity") != "normal"


def _is_master(event: Json) -> bool:
    return event.get("type") == "seriesMaster"


def _or_none(answer: Answer) -> Json | None:
    """The event of an answer; None where it is gone. Raises everything else."""
    if isinstance(answer.error, Gone):
        return None
    event: Json = answer.value()
    return event


def query_of(span: Window, **more: str) -> str:
    """A window as a query string."""
    return urlencode({"startDateTime": utc_text(span.start), "endDateTime": utc_text(span.end), **more})
