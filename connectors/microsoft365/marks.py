"""Which events of a mailbox carry a named property by which another tool is known.

A delta query expands nothing, so the mailbox is asked, for all properties in one batch, which of its events say one. A
series is marked as a whole. An occurrence that was changed is in no such list, which tells of single meetings and of
series: it is asked by its own id. Sources: "List events"; "Get singleValueLegacyExtendedProperty" ($filter takes eq on
the id, with ne on a text and the comparisons on a number, which is cast); "Get and set add-in metadata" (``ep/value ne
null``).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from sidefeed.calendars.marks import Named, said
from sidefeed.connector import Gone, Invalid

from .door import Part
from .values import Json

if TYPE_CHECKING:
    from .door import Door

log = logging.getLogger(__name__)

_CASTS = {"Integer": "Edm.Int32", "Double": "Edm.Double"}
_PAGE = "500"


class Marked:
    """The marks on the events of one mailbox, asked for when they are first wanted, and once."""

    def __init__(self, door: Door, mailbox: str, marks: Sequence[Named]) -> None:
        self._door = door
        self._mailbox = mailbox
        self._marks = marks
        self._exceptions: dict[str, list[str]] = {}

    def of(self, event: Json) -> set[str]:
        """The marks on an event and on its series."""
        if not self._marks:
            return set()
        self.look_at([event])
        names = (str(event["id"]), str(event.get("seriesMasterId") or ""))
        return {mark for each in names for mark in (*self._listed[0].get(each, ()), *self._exceptions.get(each, ()))}

    def look_at(self, events: Iterable[Json]) -> None:
        """Ask for the marks on the exceptions among some events, all in one batch; on private ones for none."""
        wanted = [each for event in events if event.get("type") == "exception"
                  and event.get("sensitivity") == "normal" and (each := str(event["id"])) not in self._exceptions]
        if not wanted or not self._marks or not self._listed[1]:
            return
        marks = self._listed[1]
        parts = [Part("GET", f"events/{quote(each, safe='')}?{_own(marks)}") for each in wanted]
        for each, answer in zip(wanted, self._door.read_batch(self._mailbox, parts), strict=True):
            self._exceptions[each] = [] if isinstance(answer.error, Gone) else _said(answer.value(), marks)

    @cached_property
    def _listed(self) -> tuple[dict[str, list[str]], list[Named]]:
        """Id of a single meeting or a series -> the marks on it; and the marks that Graph looks for. Where it will not
        look for one, the categories of events alone tell of that tool."""
        found: dict[str, list[str]] = {}
        known: list[Named] = []
        parts = [Part("GET", f"events?{_query(each)}") for each in self._marks]
        for each, answer in zip(self._marks, self._door.read_batch(self._mailbox, parts), strict=True):
            if isinstance(answer.error, Invalid):
                log.warning("mailbox %s: Graph does not look for the property %s, so meetings with it are filed (%s)",
                            self._mailbox, each.id, answer.error.message)
                continue
            known.append(each)
            for event in _rows(self._door, self._mailbox, answer.value()):
                if _said(event, [each]):
                    found.setdefault(str(event["id"]), []).append(each.id)
        return found, known


def _said(event: Json, marks: Iterable[Named]) -> list[str]:
    """Those of some marks whose property says something of an event."""
    told = {str(one["id"]).casefold() for one in event.get("singleValueExtendedProperties") or ()
            if said(one.get("value"))}
    return [each.id for each in marks if each.id.casefold() in told]


def _own(marks: Iterable[Named]) -> str:
    names = " or ".join(f"id eq '{_quoted(each)}'" for each in marks)
    return urlencode({"$select": "id", "$expand": f"singleValueExtendedProperties($filter={names})"}, quote_via=quote)


def _query(mark: Named) -> str:
    name = _quoted(mark)
    value = f"cast(ep/value, {_CASTS[mark.type]}) ne 0" if mark.type in _CASTS else "ep/value ne null"
    return urlencode({
        "$filter": f"singleValueExtendedProperties/Any(ep: ep/id eq '{name}' and {value})",
        "$expand": f"singleValueExtendedProperties($filter=id eq '{name}')", "$select": "id", "$top": _PAGE,
    }, quote_via=quote)  # fmt: skip


def _quoted(mark: Named) -> str:
    return mark.id.replace("'", "''")


def _rows(door: Door, mailbox: str, given: Json) -> Iterator[Json]:
    yield from given.get("value") or ()
    if given.get("@odata.nextLink"):
        yield from door.pages(mailbox, str(given["@odata.nextLink"]))
