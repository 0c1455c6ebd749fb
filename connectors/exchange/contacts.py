"""The contacts of one folder of a mailbox, by sync state. Distribution lists are not read, and of private contacts
nothing but that they are private.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from sidefeed.connector import CursorExpired, OddAnswer, Page, Remote

from . import operations, xml
from .cursor import Cursor
from .folder import PARENT, Folder
from .times import instant
from .values import CONTACT, uris
from .xml import Element

if TYPE_CHECKING:
    from .ews import Mailbox

_STRUCTURE = ("item:Sensitivity", "item:LastModifiedTime")


class Contacts:
    """Reads one mailbox's contacts."""

    def __init__(self, door: Mailbox, place: str, now: Callable[[], datetime], folder: Folder) -> None:
        self.folder = folder
        self._door = door
        self._place = place
        self._now = now

    def changes(self, fields: Sequence[str], cursor: str | None) -> Iterator[Page]:
        """Changes since a cursor. Raises CursorExpired, and what else the contract names."""
        state = Cursor.read(cursor, self._place)
        while True:
            sensitivity = operations.uri_elements(("item:Sensitivity",))
            page = operations.sync(self._door, self.folder.place, state.sync, sensitivity)
            if not page.state:
                raise CursorExpired(f"Exchange gave no sync state for {self._door.address}.")
            if page.state == state.sync and not page.last:
                raise OddAnswer(f"Exchange's changes of {self._door.address} do not go on; the next run reads again")
            at = self._now()
            public = [xml.item_id(item)[0] for _, item in page.changed if _is_public(item)]
            items = self._read(public, fields)
            records = [Remote(gone, state="deleted") for gone in page.deleted]
            records += [self._remote(each, item, fields) for each, item in items.found.items() if _is_public(item)]
            records += [Remote(xml.item_id(item)[0], state="private") for _, item in page.changed if _is_private(item)]
            records += [Remote(each, state="private") for each, item in items.found.items() if _is_private(item)]
            records += [Remote(each, values={}) for each in items.broken]
            state.sync, state.loading = page.state, state.loading and not page.last
            yield Page(tuple(records), state.text(), last=page.last, complete_to=at if page.last else None)
            if page.last:
                return

    def fetch(self, fields: Sequence[str], ids: Sequence[str]) -> Iterator[Remote]:
        """The state of contacts by id: gone from here too where its owner moved one to another folder."""
        wanted = list(dict.fromkeys(ids))
        structure = (*_STRUCTURE, PARENT) if self.folder.name else _STRUCTURE
        narrow = operations.get_items(
            self._door, wanted, operations.uri_elements(structure), batch=operations.GET_NARROW
        )
        elsewhere = {each for each, item in narrow.found.items() if not self.folder.holds(item)}
        public = [each for each, item in narrow.found.items() if _is_public(item) and each not in elsewhere]
        items = self._read(public, fields)
        for each in wanted:
            if each in items.found and _is_public(items.found[each]):
                yield self._remote(each, items.found[each], fields)
            elif each in narrow.gone or each in items.gone or each in elsewhere:
                yield Remote(each, state="deleted")
            elif any(_is_private(read.found[each]) for read in (narrow, items) if each in read.found):
                yield Remote(each, state="private")
            else:
                yield Remote(each, values={})

    def ids(self) -> Iterator[tuple[str, str]]:
        """Ids and versions of every contact that is read."""
        for item in operations.list_items(self._door, self.folder.place, ("item:Sensitivity",)):
            if _is_public(item):
                yield xml.item_id(item)

    def _read(self, ids: Sequence[str], fields: Sequence[str]) -> operations.Items:
        properties = [*operations.uri_elements(_STRUCTURE), *uris(fields, CONTACT)]
        return operations.get_items(self._door, ids, properties)

    def _remote(self, item_id: str, item: Element, fields: Sequence[str]) -> Remote:
        values = {
            name: known.read(item, self._door.address)
            for name in fields
            if (known := CONTACT.get(name)) is not None and known.read is not None
        }
        modified = xml.text(item, "LastModifiedTime")
        return Remote(item_id, values, xml.item_id(item)[1], instant(modified) if modified else None)


def _is_private(item: Element) -> bool:
    """Also where the server did not say: silence is not permission."""
    return xml.local(item) == "Contact" and xml.text(item, "Sensitivity") != "Normal"


def _is_public(item: Element) -> bool:
    return xml.local(item) == "Contact" and xml.text(item, "Sensitivity") == "Normal"
