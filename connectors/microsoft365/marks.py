"""Which events of a mailbox carry a named property by which another tool is known.

A delta query expands nothing, so the mailbox is asked, for all properties in one batch, which of its events say one. A
series is marked as a whole. Source: "Get singleValueLegacyExtendedProperty" ($filter takes eq on the id, with ne on a
text and the comparisons on a number, which is cast); "Get and set add-in metadata" (``ep/value ne null``).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from sidefeed.calendars.marks import Named, said
from sidefeed.connector import Invalid

from .door import Part
from .values import Json

if TYPE_CHECKING:
    from .door import Door

log = logging.getLogger(__name__)

_CASTS = {"Integer": "Edm.Int32", "Double": "Edm.Double"}
_PAGE = "500"


def marked(door: Door, mailbox: str, marks: Sequence[Named]) -> dict[str, list[str]]:
    """Event id -> the marks on it. Where Graph will not be asked for one, its categories alone tell of a tool."""
    found: dict[str, list[str]] = {}
    answers = door.read_batch(mailbox, [Part("GET", f"events?{_query(each)}") for each in marks]) if marks else []
    for each, answer in zip(marks, answers, strict=True):
        if isinstance(answer.error, Invalid):
            log.warning("mailbox %s: Graph does not look for the property %s, so meetings with it are filed (%s)",
                        mailbox, each.id, answer.error.message)
            continue
        for event in _rows(door, mailbox, answer.value()):
            if any(said(one.get("value")) for one in event.get("singleValueExtendedProperties") or ()):
                found.setdefault(str(event["id"]), []).append(each.id)
    return found


def _query(mark: Named) -> str:
    name = mark.id.replace("'", "''")
    value = f"cast(ep/value, {_CASTS[mark.type]}) ne 0" if mark.type in _CASTS else "ep/value ne null"
    return urlencode({
        "$filter": f"singleValueExtendedProperties/Any(ep: ep/id eq '{name}' and {value})",
        "$expand": f"singleValueExtendedProperties($filter=id eq '{name}')", "$select": "id", "$top": _PAGE,
    }, quote_via=quote)  # fmt: skip


def _rows(door: Door, mailbox: str, given: Json) -> Iterator[Json]:
    yield from given.get("value") or ()
    if given.get("@odata.nextLink"):
        yield from door.pages(mailbox, str(given["@odata.nextLink"]))
