"""One collection: what changed since a cursor, resources by href, and conditional writes of single resources.

With RFC 6578 the server says what changed since a token; without it the collection's tag, then a listing of ETags does.
A token that the server forgot is answered by comparing the listing with what was seen: nothing is created again, and
what is missing from a listing that ended without error is gone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sidefeed.connector import CursorExpired, Invalid, OddAnswer, PermissionDenied, chunked

from .cursor import Cursor, short
from .dav import CS, A, C, D, Dav, Found, tree

MULTIGET = 50
"""Resources per request: servers answer hundreds slowly, and some not at all."""


@dataclass(frozen=True, slots=True)
class Change:
    """A resource that may have changed: its href, and whether it is gone."""

    href: str
    gone: bool = False


class Collection:
    """A calendar (``kind`` VEVENT) or an address book (VCARD) at a path."""

    def __init__(self, dav: Dav, path: str, kind: str, minimum: Callable[[int], None]) -> None:
        self.dav = dav
        self.path = path
        self.kind = kind
        self._minimum = minimum

    def news(self, cursor: Cursor) -> list[Change]:
        """What changed since the cursor, which is moved to now; the caller notes what it read with `note`."""
        if cursor.token:
            try:
                return self._synchronised(cursor)
            except (CursorExpired, PermissionDenied, Invalid):
                cursor.token = ""  # forgotten, or never really known: the listing tells
        state = self.state()
        if cursor.items and state.ctag and state.ctag == cursor.ctag:
            return []
        changes = self._compared(cursor)
        cursor.token, cursor.ctag = state.token, state.ctag
        return changes

    def _synchronised(self, cursor: Cursor) -> list[Change]:
        changes: dict[str, Change] = {}
        self._minimum(1)
        for _page in range(1000):
            answer = self.dav.report(self.path, tree(f"{D}sync-collection", [
                tree(f"{D}sync-token", text=cursor.token), tree(f"{D}sync-level", text="1"),
                tree(f"{D}prop", [tree(f"{D}getetag")])]), depth=0)
            for one in answer.found:
                if one.href.rstrip("/") != self.path.rstrip("/") and (
                        one.gone or cursor.items.get(one.href) != short(one.etag)):
                    changes[one.href] = Change(one.href, one.gone)
            if answer.truncated and answer.token in ("", cursor.token):
                raise OddAnswer("the server says that there is more to read, and not from where")
            cursor.token = answer.token or cursor.token
            if not answer.truncated:
                break
        return list(changes.values())

    def _compared(self, cursor: Cursor) -> list[Change]:
        listed = self.listing()
        changed = [Change(href) for href, etag in listed.items() if cursor.items.get(href) != short(etag)]
        return changed + [Change(href, gone=True) for href in cursor.items if href not in listed]

    def state(self) -> Cursor:
        """The token and tag that the collection has now, as a cursor without items."""
        self._minimum(1)
        answer = self.dav.propfind(self.path, [f"{D}sync-token", f"{CS}getctag", f"{D}supported-report-set"])
        found = answer.found[0] if answer.found else Found(self.path)
        can_sync = f"{D}sync-collection" in found.kinds
        return Cursor("", str(found.properties.get(f"{D}sync-token") or "") if can_sync else "",
                      str(found.properties.get(f"{CS}getctag") or ""))

    def listing(self) -> dict[str, str]:
        """href -> ETag of every resource."""
        self._minimum(1)
        answer = self.dav.propfind(self.path, [f"{D}getetag", f"{D}resourcetype"], depth=1)
        return {one.href: one.etag for one in answer.found
                if one.etag and f"{D}collection" not in one.kinds and one.href.rstrip("/") != self.path.rstrip("/")}

    def in_window(self, start: datetime, end: datetime) -> list[Found]:
        """Calendar objects that touch a window, with their data."""
        self._minimum(1)
        span = tree(f"{C}time-range", start=f"{start:%Y%m%dT%H%M%SZ}", end=f"{end:%Y%m%dT%H%M%SZ}")
        body = tree(f"{C}calendar-query", [
            tree(f"{D}prop", [tree(f"{D}getetag"), tree(f"{C}calendar-data")]),
            tree(f"{C}filter", [tree(f"{C}comp-filter", [tree(f"{C}comp-filter", [span], name="VEVENT")],
                                     name="VCALENDAR")])])
        return [one for one in self.dav.report(self.path, body).found if one.data]

    def get(self, hrefs: Sequence[str]) -> Iterator[Found]:
        """Resources with their data; one that is not there any more says so."""
        name, data = (f"{C}calendar-multiget", f"{C}calendar-data") if self.kind == "VEVENT" else (
            f"{A}addressbook-multiget", f"{A}address-data")
        for chunk in chunked(dict.fromkeys(hrefs), MULTIGET):
            self._minimum(1)
            answer = self.dav.report(self.path, tree(name, [
                tree(f"{D}prop", [tree(f"{D}getetag"), tree(data)]), *(tree(f"{D}href", text=href) for href in chunk)]))
            told = {one.href: one for one in answer.found}
            yield from (told.get(href, Found(href, gone=True)) for href in chunk)

    def create(self, href: str, content: bytes) -> str:
        """Raises Conflict where something is there already. Returns the ETag, blank where the server tells none."""
        return self._put(href, content, {"If-None-Match": "*"})

    def replace(self, href: str, content: bytes, etag: str) -> str:
        """Raises Conflict where it changed since, Gone where it is not there."""
        return self._put(href, content, {"If-Match": etag})

    def delete(self, href: str, etag: str) -> None:
        self._minimum(1)
        self.dav.write("DELETE", href, None, {"If-Match": etag} if etag else {})

    def _put(self, href: str, content: bytes, condition: dict[str, str]) -> str:
        self._minimum(1)
        kind = "text/calendar; charset=utf-8" if self.kind == "VEVENT" else "text/vcard; charset=utf-8"
        answer = self.dav.write("PUT", href, content, {"Content-Type": kind, **condition})
        return str(answer.headers.get("etag") or "")


def note(cursor: Cursor, found: Iterable[Found]) -> None:
    """Remember what was read."""
    for one in found:
        if one.gone:
            cursor.items.pop(one.href, None)
        else:
            cursor.items[one.href] = short(one.etag)


def discover(dav: Dav, kind: str, minimum: Callable[[int], None]) -> str:
    """The path of the only calendar or address book of whoever signs in. Raises Invalid, naming what there is."""
    home_set = f"{C}calendar-home-set" if kind == "VEVENT" else f"{A}addressbook-home-set"
    known = ".well-known/caldav" if kind == "VEVENT" else ".well-known/carddav"
    principal = _property(dav, f"/{known}", f"{D}current-user-principal") or _property(
        dav, "", f"{D}current-user-principal")
    home = _property(dav, principal, home_set) if principal else None
    minimum(3)
    setting = "calendar" if kind == "VEVENT" else "contacts"
    if not home:
        raise Invalid(f"The server does not say where the {setting} are. Set `{setting}` to the collection's path.",
                      field=setting, rule="discovery", owner="ops")
    wanted = f"{C}calendar" if kind == "VEVENT" else f"{A}addressbook"
    answer = dav.propfind(home, [f"{D}resourcetype", f"{C}supported-calendar-component-set"], depth=1)
    paths = [one.href for one in answer.found if wanted in one.kinds and _holds(one, kind)]
    minimum(1)
    if len(paths) != 1:
        raise Invalid(f"There {'is no' if not paths else 'are several'} {setting} collections: "
                      f"{', '.join(paths) or home}. Set `{setting}` to the path of the one that is meant.",
                      field=setting, rule="discovery", owner="ops")
    return paths[0]


def _holds(one: Found, kind: str) -> bool:
    """A calendar may say that it holds tasks only."""
    components = one.kinds & {"VEVENT", "VTODO", "VJOURNAL"}
    return kind != "VEVENT" or not components or "VEVENT" in components


def _property(dav: Dav, path: str, name: str) -> Any:
    from sidefeed.connector import Gone

    try:
        answer = dav.propfind(path, [name])
    except (Gone, PermissionDenied):
        return None
    return answer.found[0].properties.get(name) if answer.found else None
