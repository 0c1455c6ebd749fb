"""Change tracking: calendarView/delta over a window, and contacts/delta.

A token says how far the journal of a folder was told, and the window. A round tells items in the order of their last
change, so one that changes between two pages is told again at the end: never lost, sometimes twice.

Source: "Get incremental changes to events in a calendar view", event: delta. `@removed` is told of events that were
deleted and of those that were touched and lie outside the window. A changed series is told with all its instances,
occurrences bare. A deleted occurrence may give no signal; `deleted_occurrences` of the server says.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson

from sandbox.exchange import calendar
from sandbox.exchange.store import Folder, Item

from . import contacts, events, ids
from .errors import GraphError
from .prefer import Prefer

if TYPE_CHECKING:
    from .server import GraphServer

DEFAULT_PAGE = 10
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class State:
    """What a token says.

    `told` is the journal's number up to which everything was told, `skip` rows of the next. `pages` counts the pages
    of the round, so that a page without rows leads to a link of its own too.
    """

    epoch: int
    kind: str
    folder: int
    told: int = 0
    skip: int = 0
    initial: bool = True
    start: str = ""
    end: str = ""
    select: tuple[str, ...] = ()
    pages: int = 0

    def text(self) -> str:
        """The opaque token."""
        body = orjson.dumps([self.epoch, self.kind, self.folder, self.told, self.skip, self.initial, self.start,
                             self.end, list(self.select), self.pages])  # fmt: skip
        return base64.urlsafe_b64encode(body + _seal(body)).decode()

    @classmethod
    def read(cls, text: str) -> State:
        """A token taken apart. Raises `GraphError`."""
        try:
            raw = base64.b64decode(text.encode("ascii"), altchars=b"-_", validate=True)
            if _seal(raw[:-8]) != raw[-8:]:
                raise ValueError
            epoch, kind, folder, told, skip, initial, start, end, select, pages = orjson.loads(raw[:-8])
        except (binascii.Error, ValueError):
            raise GraphError(400, "ErrorInvalidUrlQuery", "Badly formed token.") from None
        return cls(epoch, kind, folder, told, skip, initial, start, end, tuple(select), pages)

    @property
    def window(self) -> tuple[datetime, datetime]:
        """The window of a calendar view."""
        return datetime.fromisoformat(self.start), datetime.fromisoformat(self.end)


def _seal(body: bytes) -> bytes:
    return hashlib.blake2s(body, digest_size=8).digest()


def page(server: GraphServer, folder: Folder, state: State, prefer: Prefer) -> tuple[Rows, State, bool]:
    """The next rows, the state after them, and whether the present is reached."""
    size = prefer.page or DEFAULT_PAGE
    state = replace(state, pages=state.pages + 1)
    if server.gives_empty_page():
        return [], state, False
    rows: Rows = []
    for sequence, serial in _changes(folder, state.told):
        found = [*_rows(server, folder, serial, state, prefer)][state.skip :]
        room = size - len(rows)
        rows += found[:room]
        if len(found) > room:
            return rows, replace(state, skip=state.skip + room), False
        state = replace(state, told=sequence, skip=0)
        if len(rows) == size:
            break
    done = next(_changes(folder, state.told), None) is None
    return rows, replace(state, initial=state.initial and not done, pages=0 if done else state.pages), done


def _changes(folder: Folder, told: int) -> Iterator[tuple[int, int]]:
    """Journal entries after a number that are the last word on their item, oldest first."""
    for sequence, serial in folder.journal[bisect_right(folder.journal, (told, 1 << 62)) :]:
        gone = folder.gone.get(serial)
        item = folder.items.get(serial)
        if (gone is not None and gone[0] == sequence) or (item is not None and item.sequence == sequence):
            yield sequence, serial


def _rows(server: GraphServer, folder: Folder, serial: int, state: State, prefer: Prefer) -> Iterator[dict[str, Any]]:
    world = server.office.world
    item = folder.items.get(serial)
    if item is None:
        if not state.initial:
            yield _removed(
                ids.of_removed(world, folder, serial, folder.gone[serial][2], immutable=prefer.immutable), state.kind
            )
        return
    if state.kind == "contacts":
        if item.kind == "Contact":
            yield {"@odata.type": "#microsoft.graph.contact", **_chosen(contacts.render(world, item, prefer), state)}
        return
    if item.kind == "CalendarItem":
        yield from _event_rows(server, item, state, prefer)


def _chosen(json: dict[str, Any], state: State) -> dict[str, Any]:
    if not state.select:
        return json
    return {name: value for name, value in json.items() if name in (*state.select, "id") or name.startswith("@odata.")}


def _event_rows(server: GraphServer, item: Item, state: State, prefer: Prefer) -> Iterator[dict[str, Any]]:
    world = server.office.world
    start, end = state.window
    view = server.view(item)
    if not item.is_master:
        inside = item.get("calendar:Start") < end and item.get("calendar:End") >= start
        shown = [item] if inside else []
    else:
        shown = sorted(calendar.Series(item).between(start, end), key=lambda one: one.get("calendar:Start"))
        if shown:
            yield {"@odata.type": "#microsoft.graph.event", **events.render(world, item, prefer, view)}
    for one in shown:
        if calendar.item_type(one) == "Occurrence":
            yield events.bare(world, one, prefer)
        else:
            yield {"@odata.type": "#microsoft.graph.event", **events.render(world, one, prefer, view)}
    if state.initial:
        return
    if not shown:
        yield _removed(ids.of_item(world, item, immutable=prefer.immutable), state.kind)
    if server.deleted_occurrences == "removed":
        for original in sorted(item.deleted):
            if start <= original < end:
                gone = replace(item, master=item, original=original)
                yield _removed(ids.of_item(world, gone, immutable=prefer.immutable), state.kind)


def _removed(identifier: str, kind: str) -> dict[str, Any]:
    return {"@odata.type": f"#microsoft.graph.{kind.rstrip('s')}", "id": identifier, "@removed": {"reason": "deleted"}}
