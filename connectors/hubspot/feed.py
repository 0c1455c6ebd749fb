"""What changed in HubSpot, completely: list, then search, the recycle bin and merges.

First read: the list of all records, 100 per call. After that, per run and object:

- one list of archived records, because archiving moves no modified time and search never shows them. They come in the
  order of their ids, so every page must be read: one call per 100 records archived within 90 days;
- one search per 200 changed records, as a hint of ids only, because search is an index that lags;
- one batch read per 100 of these, and one association read per 1,000 and type.

So a run in which nothing happened costs two calls for each object.

The search window reaches from the last run's start, less an overlap, to this run's start, by the server's clock. It is
walked by id (`hs_object_id > last`, ascending) instead of by HubSpot's offsets, which end at 10,000 results, and shift
when a record leaves the window while it is read; any number of records may carry one time stamp.

An edit of an association moves no modified time. Records of the last minutes are looked at again for their
associations; what is edited later is found by the census, or by a sweep of all records at every run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import orjson

from connectors.hubspot.portal import LIST_PAGE, SEARCH_PAGE, Portal
from connectors.hubspot.records import MERGEABLE, Reader, Wanted, archived
from connectors.hubspot.settings import Settings
from connectors.hubspot.wire import Record, Records, by_number, epoch_ms, moment, stamp_text
from sidefeed.connector import CursorExpired, Invalid, OddAnswer, Onward, Page, Remote

PAGE_RECORDS = 1000
"""Records per page where associations are asked for: as many as one association read takes."""
BIN_DAYS = 90
"""How long HubSpot keeps archived records, hence how old a cursor may be."""
SKEW = timedelta(minutes=1)
"""How far the clocks of HubSpot's servers may be apart without one of them being wrong."""
REMEMBERED = 10_000
"""Records of the overlap whose digest the cursor carries, so that they are not read again without need."""


def modified_property(object: str) -> str:
    """The wrong one of these gives no records and no error."""
    return "lastmodifieddate" if object == "contacts" else "hs_lastmodifieddate"


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a feed stands.

    ``start`` is the server's clock when the run that wrote it began. While the first list is read, ``after`` is where
    the list goes on; while a window is read, ``since`` is its beginning and ``last`` the last id seen. ``seen`` holds
    digests of records read in the overlap with the next window.
    """

    start: datetime
    listing: bool = False
    after: str = ""
    since: datetime | None = None
    last: str = ""
    seen: Mapping[str, str] = field(default_factory=dict)

    def text(self) -> str:
        body: dict[str, Any] = {"v": 1, "start": stamp_text(self.start)}
        if self.listing:
            body |= {"listing": True, "after": self.after}
        if self.since is not None:
            body |= {"since": stamp_text(self.since), "last": self.last}
        if self.seen:
            body["seen"] = dict(self.seen)
        return orjson.dumps(body).decode()

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """Raises CursorExpired for text that this version did not write."""
        try:
            body = orjson.loads(text)
            start = moment(body["start"])
            if body["v"] != 1 or start is None:
                raise ValueError
            return cls(
                start, bool(body.get("listing")), str(body.get("after", "")), moment(body.get("since")),
                str(body.get("last", "")), dict(body.get("seen") or {}),
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            raise CursorExpired("the stored HubSpot cursor is not one of this version's; reading everything") from None


class Feed:
    """The change feed of the objects that live in HubSpot's CRM object API."""

    def __init__(self, portal: Portal, reader: Reader, settings: Settings) -> None:
        self._portal = portal
        self._reader = reader
        self._overlap = timedelta(seconds=max(settings.overlap_seconds, settings.index_lag_seconds))
        self._lag = timedelta(seconds=settings.index_lag_seconds)
        self._sweep = settings.sweep_associations == "always"

    def changes(self, object: str, fields: Sequence[str], text: str | None) -> Iterator[Page]:
        """Pages from a cursor (None: everything there is). Raises CursorExpired."""
        wanted = Wanted.of(object, fields)
        cursor = Cursor.parse(text) if text else None
        if cursor is None or (cursor.listing and cursor.since is None):
            yield from self._everything(wanted, cursor)
        else:
            yield from self._window(wanted, cursor)

    # Everything there is

    def _everything(self, wanted: Wanted, cursor: Cursor | None, tail: Sequence[Remote] = ()) -> Iterator[Page]:
        """The list of all live records; ``tail`` goes with the last page."""
        names = wanted.properties if wanted.fits_in_address else ("hs_object_id",)
        batch = PAGE_RECORDS if wanted.linked else LIST_PAGE
        after = cursor.after if cursor else ""
        gathered: list[Record] = []
        places = Onward(f"HubSpot's list of {wanted.object}")
        while True:
            content, date = self._listed(wanted.object, names, after, resumed=bool(after) and not gathered)
            cursor = cursor or Cursor(date, listing=True)
            gathered += content.results
            after = places.to(content.after) or ""
            if not after:
                remotes = [*self._state(wanted, gathered), *tail]
                yield Page(tuple(remotes), Cursor(cursor.start).text(), last=True, complete_to=cursor.start)
                return
            if len(gathered) + LIST_PAGE > batch:
                yield Page(tuple(self._state(wanted, gathered)), replace(cursor, after=after).text())
                gathered = []

    def _listed(self, object: str, names: Sequence[str], after: str, *, resumed: bool) -> tuple[Records, datetime]:
        try:
            content, date = self._portal.page(object, names, after or None)
        except Invalid as error:
            if resumed:
                raise CursorExpired(f"HubSpot has forgotten where its list of {object} was left") from error
            raise
        return content, date

    def _state(self, wanted: Wanted, listed: list[Record]) -> list[Remote]:
        ids = [record.id for record in listed]
        linked = self._reader.linked(wanted, ids) if wanted.linked and ids else {}
        if not wanted.fits_in_address:
            listed, _ = self._reader.live(wanted, ids)
        return self._reader.observations(wanted, listed, linked)

    # What changed

    def _window(self, wanted: Wanted, cursor: Cursor) -> Iterator[Page]:
        since = cursor.since or cursor.start
        archived_, date = self._archived(wanted.object, since - self._overlap)
        if date - since > timedelta(days=BIN_DAYS):
            raise CursorExpired(
                f"{wanted.object}: the last read began {since:%Y-%m-%d}, and HubSpot forgets deletions after "
                f"{BIN_DAYS} days; reading everything"
            )
        if date < since - max(self._overlap, SKEW):
            raise CursorExpired(
                f"{wanted.object}: HubSpot's clock says {stamp_text(date)}, and said {stamp_text(since)} at the last "
                "read: what changed between the two cannot be told by its time; reading everything"
            )
        bin_, seen = self._news(wanted.object, archived_, cursor, date)
        if self._sweep:
            yield from self._everything(wanted, cursor if cursor.listing else Cursor(date, True, since=since), bin_)
            return
        start = cursor.start if cursor.since else date
        yield from self._searched(wanted, replace(cursor, start=start, since=since), bin_, seen)

    def _searched(
        self, wanted: Wanted, cursor: Cursor, bin_: Sequence[Remote], seen: dict[str, str]
    ) -> Iterator[Page]:
        since, last, more = cursor.since or cursor.start, cursor.last, True
        while more:
            hits: list[Record] = []
            while more and len(hits) < PAGE_RECORDS:
                found, more = self._search(wanted.object, since - self._overlap, cursor.start, last)
                hits += found
                last = found[-1].id if found else last
            remotes = self._reread(wanted, hits, cursor, seen)
            if more:
                yield Page(tuple(remotes), replace(cursor, last=last, seen={}).text())
        merged = {each.id for each in remotes if each.merged_into}
        remotes += [each for each in bin_ if each.id not in merged]
        kept = dict(list(seen.items())[:REMEMBERED])
        yield Page(
            tuple(remotes), Cursor(cursor.start, seen=kept).text(), last=True, complete_to=cursor.start - self._lag
        )

    def _search(self, object: str, low: datetime, high: datetime, last: str) -> tuple[list[Record], bool]:
        """The next hits by id, and whether there are more."""
        name = modified_property(object)
        # The server's clock comes in whole seconds, rounded down.
        filters = [
            {"propertyName": name, "operator": "GTE", "value": epoch_ms(low)},
            {"propertyName": name, "operator": "LTE", "value": epoch_ms(high + timedelta(seconds=1))},
        ]
        if last:
            filters.append({"propertyName": "hs_object_id", "operator": "GT", "value": last})
        content, _ = self._portal.search(object, {
            "filterGroups": [{"filters": filters}],
            "sorts": [{"propertyName": "hs_object_id", "direction": "ASCENDING"}],
            "properties": [name],
            "limit": SEARCH_PAGE,
        })
        hits = sorted(content.results, key=lambda hit: by_number(hit.id))
        if hits and last and by_number(hits[0].id) <= by_number(last):
            raise OddAnswer(f"HubSpot's search of {object} does not advance beyond id {last}")
        return hits, content.after is not None and bool(hits)

    def _reread(self, wanted: Wanted, hits: Sequence[Record], cursor: Cursor, seen: dict[str, str]) -> list[Remote]:
        """State of the hits by id, without those that the cursor knows as they are; adds to ``seen``."""
        ids = [hit.id for hit in hits]
        linked = self._reader.linked(wanted, ids) if wanted.linked and ids else {}
        stale = []
        for hit in hits:
            digest = _digest(hit.updated_at, linked.get(hit.id))
            if cursor.seen.get(hit.id) == digest:
                seen[hit.id] = digest
            else:
                stale.append(hit.id)
        records, clock = self._reader.live(wanted, stale)
        horizon = cursor.start - self._overlap
        for record in records:
            at = moment(record.updated_at)
            # Read in the tick of its own stamp, a record may change once more under the same stamp.
            if at and clock and horizon <= at < clock:
                seen[record.id] = _digest(record.updated_at, linked.get(record.id))
        answered = {record.id for record in records}
        # Search showed them and a read by id does not: told by id, for `fetch` to find out.
        vanished = [Remote(each) for each in stale if each not in answered]
        return self._reader.observations(wanted, records, linked) + vanished

    # What is gone

    def _archived(self, object: str, horizon: datetime) -> tuple[list[Record], datetime]:
        """Records archived since the horizon, and the server's clock before the first of them was read."""
        found: list[Record] = []
        after: str | None = None
        clock: datetime | None = None
        places = Onward(f"HubSpot's list of archived {object}")
        while clock is None or after:
            content, date = self._portal.page(object, ("hs_object_id",), after, archived=True)
            clock = clock or date
            after = places.to(content.after)
            for record in content.results:
                at = moment(record.archived_at)
                if at is None or at >= horizon:
                    found.append(record)
        return found, clock

    def _news(
        self, object: str, found: Sequence[Record], cursor: Cursor, clock: datetime
    ) -> tuple[list[Remote], dict[str, str]]:
        """Deletions that the cursor does not know yet, and the digests of all of them for the next cursor."""
        news: list[Remote] = []
        seen: dict[str, str] = {}
        for record in found:
            key, digest = f"-{record.id}", _digest(record.archived_at or "", None)
            if cursor.seen.get(key) != digest:
                news.append(archived(record))
            at = moment(record.archived_at)
            if at and at < clock:
                seen[key] = digest
        return self._without_merged(object, news), seen

    def _without_merged(self, object: str, bin_: list[Remote]) -> list[Remote]:
        """A merge is not a deletion: an archived id that answers with another record was merged into it."""
        if object not in MERGEABLE or not bin_:
            return bin_
        wanted = Wanted.of(object, ())
        records, _ = self._reader.live(wanted, [each.id for each in bin_])
        merged = {each.id: each for each in self._reader.observations(wanted, records, {}) if each.merged_into}
        return [merged.get(each.id, each) for each in bin_]


def _digest(stamp: str, linked: Mapping[str, Any] | None) -> str:
    """What the cursor remembers of a record: enough to know its stamp and associations again."""
    text = orjson.dumps([stamp, linked], option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(text, digest_size=8).hexdigest()
