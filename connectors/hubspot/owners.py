"""Owners: the people whom records belong to. Read only; few, so that every read lists them all.

A deactivated owner still owns records, so it is not deleted but has ``archived`` true; HubSpot lists those apart, with
a blank ``userId`` ("Owners"). ``id`` is what ``hubspot_owner_id`` holds, ``userId`` never is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import orjson

from connectors.hubspot.portal import Portal
from connectors.hubspot.wire import by_number, moment
from sidefeed.connector import CursorExpired, FieldSchema, ObjectSchema, Onward, Page, Remote

FIELDS = {
    "id": "string", "email": "string", "firstName": "string", "lastName": "string", "archived": "bool",
    "userId": "string",
}

SCHEMA = ObjectSchema(
    "owners", "Owners",
    {
        name: FieldSchema(name, kind, name, createable=False, updateable=False, unique=name == "id")
        for name, kind in FIELDS.items()
    },
)


def changes(portal: Portal, fields: Sequence[str], cursor: str | None) -> Iterator[Page]:
    """One page with every owner that differs from what the cursor remembers; no time stamp need be trusted."""
    known = _parse(cursor)
    remotes, clock = everyone(portal, fields)
    digests = {each.id: _digest(each) for each in remotes}
    changed = [each for each in remotes if known.get(each.id) != digests[each.id]]
    changed += [Remote(gone, state="deleted") for gone in sorted(known.keys() - digests.keys(), key=by_number)]
    yield Page(tuple(changed), orjson.dumps({"v": 1, "owners": digests}).decode(), last=True, complete_to=clock)


def fetch(portal: Portal, fields: Sequence[str], ids: Sequence[str]) -> Iterator[Remote]:
    """State of these owners, from the same two lists."""
    found = {each.id: each for each in everyone(portal, fields)[0]}
    for each in dict.fromkeys(ids):
        yield found.get(each) or Remote(each, state="deleted")


def everyone(portal: Portal, fields: Sequence[str]) -> tuple[list[Remote], datetime | None]:
    """Active and archived owners, and the server's clock before the first was read."""
    clock: datetime | None = None
    found: dict[str, Remote] = {}
    for archived in (False, True):
        after: str | None = None
        places = Onward("HubSpot's list of owners")
        while True:
            content, date = portal.owners(after, archived=archived)
            clock = clock or date
            for owner in content.get("results") or ():
                remote = _remote(owner, fields)
                found.setdefault(remote.id, remote)
            after = places.to(((content.get("paging") or {}).get("next") or {}).get("after"))
            if not after:
                break
    return list(found.values()), clock


def _remote(owner: dict[str, Any], fields: Sequence[str]) -> Remote:
    values: dict[str, Any] = {}
    for name in fields:
        if name == "archived":
            values[name] = bool(owner.get(name))
        elif name in FIELDS:
            value = owner.get(name)
            values[name] = None if value in (None, "") else str(value)
    stamp = str(owner.get("updatedAt") or "")
    return Remote(str(owner["id"]), values, stamp, moment(stamp))


def _digest(remote: Remote) -> str:
    text = orjson.dumps([remote.version, remote.values], option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(text, digest_size=8).hexdigest()


def _parse(cursor: str | None) -> dict[str, str]:
    if cursor is None:
        return {}
    try:
        body = orjson.loads(cursor)
        if body["v"] != 1:
            raise ValueError
        return dict(body["owners"])
    except (ValueError, KeyError, TypeError):
        raise CursorExpired("the stored cursor of HubSpot owners is not one of this version's; reading all") from None
