"""Capture: ids known to have changed go into the inbox together with the cursor, before anything is interpreted.

So no record that cannot be read blocks a cursor, and no crash loses a change: a page and its cursor are one commit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson
import xxhash

from sidefeed.calendars import busy
from sidefeed.calendars.recurrence import RECURRENCE, SERIES
from sidefeed.connector import Connector, CursorExpired, Remote, Stream
from sidefeed.mapping import ObjectMap
from sidefeed.workspace import Store, Transaction
from sidefeed.workspace.clock import utc_text

Progress = Callable[[str, int], None]


def digest(image: Any) -> bytes:
    """The digest of a raw image: equal images need no second look."""
    try:
        packed = orjson.dumps(image, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        packed = orjson.dumps(storable(image), option=orjson.OPT_SORT_KEYS)
    return xxhash.xxh3_128_digest(packed)


def _sound(values: Mapping[str, Any]) -> dict[str, Any]:
    try:
        orjson.dumps(values)
    except TypeError:
        return dict(storable(values))
    return dict(values)


def storable(value: Any) -> Any:
    """A raw value that can be stored: half a surrogate pair, which no text may hold, becomes the sign for it."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode() if not value.isascii() else value
    if isinstance(value, Mapping):
        return {storable(name): storable(item) for name, item in value.items()}
    return [storable(item) for item in value] if isinstance(value, list | tuple) else value


def pack(remote: Remote) -> dict[str, Any] | None:
    """An observation as the inbox keeps it; None where the feed told only the id."""
    if remote.state == "live" and remote.values is None and remote.merged_into is None:
        return None
    return {
        "values": None if remote.values is None else _sound(remote.values), "version": remote.version,
        "modified": utc_text(remote.modified) if remote.modified else None, "state": remote.state,
        "merged_into": remote.merged_into, "actor": remote.actor,
    }


def raw_fields(om: ObjectMap, stream: Stream) -> Sequence[str]:
    """What is asked of a feed: the fields of the mapping, and of a calendar its series besides."""
    return [*om.raw_fields, RECURRENCE] if is_calendar(om, stream) else om.raw_fields


def is_calendar(om: ObjectMap, stream: Stream) -> bool:
    """Whether a feed is one person's calendar, which is only read."""
    return om.entity == "meeting" and om.readonly and bool(stream.partition)


def capture(
    store: Store, connector: Connector, om: ObjectMap, stream: Stream, progress: Progress | None = None
) -> int:
    """Read one feed to the present; returns how many observations need a look.

    A record whose image is the one last absorbed is dropped here, so that re-reading an unchanged world writes
    nothing. Raises what the connector raises; pages stored before that stay stored.
    """
    with store.read() as tx:
        position = tx.cursor(om.system, stream.name).position
    try:
        return _read_feed(store, connector, om, stream, position, progress)
    except CursorExpired:
        with store.write() as tx:
            read_anew(tx, om.system, stream.name)
        return _read_feed(store, connector, om, stream, None, progress)


def read_anew(tx: Transaction, system: str, object: str) -> None:
    """Read a feed from the start at its next capture. A first reading tells of nothing that was deleted before it, so
    what is missing then is looked for."""
    tx.move_cursor(system, object, position=None)
    tx.save_setting(_sweep(system, object), "due")


def missing_ids(store: Store, connector: Connector, om: ObjectMap, stream: Stream) -> tuple[list[str], int] | None:
    """After a feed was read from the start: linked ids that are not there any more, and how many are known. None where
    none was, or where absence proves nothing.

    Raises what the connector raises; the sweep is then still to be done.
    """
    with store.read() as tx:
        if tx.setting(_sweep(om.system, stream.name)) != "due" or not connector.capabilities(om.object).deletes:
            return None
    present = {id for id, _version in connector.ids(stream)}
    with store.read() as tx:
        known = _to_come(tx, om, stream) if is_calendar(om, stream) else tx.linked_ids(om.system, stream.name)
    return [id for id in known if id not in present], len(known)


def _to_come(tx: Transaction, om: ObjectMap, stream: Stream) -> list[str]:
    """Linked meetings that are not over. A calendar lists those of its window alone, and nothing follows from a past
    one that is deleted."""
    links = tx.links(om.system, stream.name, tx.linked(om.system, stream.name))
    now = utc_text(tx.store.now())
    ends = {record: str((state.values.get("when") or {}).get("end") or now)
            for record, state in tx.records(links).items()}
    return [link.external_id for record, link in links.items()
            if link.external_id and ends.get(record, now) >= now[:len(ends.get(record, now))]]


def swept(tx: Transaction, system: str, object: str, missing: Sequence[str] = ()) -> None:
    """The sweep is done: what was missing is looked at by id, which tells deleted from hidden. So is every series of a
    calendar, which no listing shows."""
    tx.put_inbox(system, object, dict.fromkeys(missing))
    if tx.setting(_sweep(system, object)):
        tx.put_inbox(system, object, dict.fromkeys(tx.ids_of(system, object, SERIES)))
        tx.save_setting(_sweep(system, object), "")


def _sweep(system: str, object: str) -> str:
    return f"sweep:{system}:{object}"


def _read_feed(
    store: Store, connector: Connector, om: ObjectMap, stream: Stream, position: str | None, progress: Progress | None
) -> int:
    count = 0
    for page in connector.changes(stream, raw_fields(om, stream), position, scope=om.scope):
        store.keep_leases()
        with store.write() as tx:
            news = _news(tx, om.system, stream.name, page.records)
            tx.put_inbox(om.system, stream.name, news, key_field=om.key_field)
            moved: dict[str, Any] = {"position": page.cursor}
            if page.last and page.complete_to is not None:
                moved["complete_to"] = utc_text(page.complete_to)
            tx.move_cursor(om.system, stream.name, **moved)
        count += len(news)
        if progress is not None:
            progress(f"reading {om.system} {stream.name}", len(page.records))
        del page, news  # the next page is made when this one is gone
    return count


def _news(tx: Any, system: str, object: str, records: tuple[Remote, ...]) -> dict[str, dict[str, Any] | None]:
    news = {remote.id: pack(remote) for remote in records}
    live = {remote.id: remote.values for remote in records
            if remote.state == "live" and remote.values is not None and remote.merged_into is None}
    same = {id for id, known in tx.digests(system, object, live.keys()).items() if digest(live[id]) == known}
    gone = {remote.id for remote in records if remote.state != "live" and remote.merged_into is None}
    if gone:
        roles = tx.known_as(system, object, gone)
        same |= {id for id in gone if id not in roles or roles[id][1] == "gone"}
        if "/" in object:
            busy.forget(tx, system, object, gone)
    if same:
        # An older observation may still wait in the inbox, of a run that died; it must not outlive this newer one.
        tx.drop_inbox(system, object, same)
    return {id: payload for id, payload in news.items() if id not in same}
