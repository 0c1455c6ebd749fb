"""The contacts of one folder of a mailbox, by contacts/delta. Distribution lists are not read, and of private contacts
nothing but that they are private.

The delta is asked for ids alone; the contacts themselves are read with their sensitivity, which Graph shows as a MAPI
property only, and a private one goes no further.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from connectors.calendars.folders import missing
from sidefeed.connector import Gone, Page, Remote

from .cursor import Cursor
from .door import Answer, Part
from .values import CONTACT_SELECT, SENSITIVITY, Json, contact_is_public, modified, read_contact

if TYPE_CHECKING:
    from .door import Door

PAGE = 200
_EXPAND = f"singleValueExtendedProperties($filter=id eq '{SENSITIVITY}')"


class Folder:
    """Where the contacts of a mailbox are kept: the Contacts folder or, by a name, a folder of their own. Contacts
    elsewhere are neither read nor written."""

    def __init__(self, door: Door, mailbox: str, name: str) -> None:
        self._door = door
        self._mailbox = mailbox
        self._name = name

    @property
    def path(self) -> str:
        """The path of its contacts. Raises Invalid where the mailbox has no such folder."""
        return f"contactFolders/{quote(self._id, safe='')}/contacts" if self._name else "contacts"

    def holds(self, contact: Mapping[str, Any]) -> bool:
        """Whether a contact that was read with its ``parentFolderId`` lies here."""
        return not self._name or contact.get("parentFolderId") == self._id

    def exists(self) -> bool:
        return self._found is not None

    def creatable(self) -> bool:
        """Graph tells of no rights before they are used."""
        return True

    def create(self) -> None:
        self._door.write_batch(self._mailbox, [Part("POST", "contactFolders", {"displayName": self._name})])[0].value()
        del self._found

    def hindrance(self, *, creates: bool) -> str:
        """Why contacts cannot be read here."""
        return "" if self.exists() else f"there is no contact folder {self._name!r}"

    @cached_property
    def _found(self) -> str | None:
        """The folder's id; None where there is none of that name. The Contacts folder itself is not listed by Graph."""
        rows = self._door.pages(self._mailbox, "contactFolders?$select=id,displayName")
        return next((str(row["id"]) for row in rows
                     if str(row.get("displayName")).casefold() == self._name.casefold()), None)

    @property
    def _id(self) -> str:
        if self._found is None:
            raise missing(self._mailbox, self._name, "microsoft365")
        return self._found


class Contacts:
    """Reads one mailbox's contacts."""

    def __init__(
        self, door: Door, mailbox: str, place: str, now: Callable[[], datetime], folder: Folder
    ) -> None:  # fmt: skip
        self.folder = folder
        self._door = door
        self._mailbox = mailbox
        self._place = place
        self._now = now

    def changes(self, fields: Sequence[str], cursor: str | None) -> Iterator[Page]:
        """Changes since a cursor. Raises CursorExpired, and what else the contract names."""
        state = Cursor.read(cursor, self._place)
        if not state.todo:
            state.todo = [("changes", state.link) if state.link else (
                "first", f"{self.folder.path}/delta?$select=changeKey")]  # fmt: skip
        while True:
            given = self._door.get(self._mailbox, state.todo[0][1], page=PAGE)
            at = self._now()
            rows = given.get("value") or ()
            records = [Remote(str(row["id"]), state="deleted") for row in rows if "@removed" in row]
            for each, contact in self._read([str(row["id"]) for row in rows if "@removed" not in row]).items():
                if contact is not None:
                    records.append(_remote(each, contact, fields))
            if state.turn(given):
                yield Page(tuple(records), state.text(), last=True, complete_to=at)
                return
            yield Page(tuple(records), state.text())

    def fetch(self, fields: Sequence[str], ids: Sequence[str]) -> Iterator[Remote]:
        """The state of contacts by id."""
        for each, contact in self._read(list(dict.fromkeys(ids))).items():
            yield Remote(each, state="deleted") if contact is None else _remote(each, contact, fields)

    def ids(self) -> Iterator[tuple[str, str]]:
        """Ids and versions of every contact that is read."""
        query = urlencode({"$select": "id,changeKey", "$expand": _EXPAND, "$top": "500"})
        for row in self._door.pages(self._mailbox, f"{self.folder.path}?{query}"):
            if contact_is_public(row):
                yield str(row["id"]), str(row.get("@odata.etag") or "")

    def _read(self, ids: Sequence[str]) -> dict[str, Json | None]:
        query = urlencode({"$select": CONTACT_SELECT, "$expand": _EXPAND}, quote_via=quote)
        parts = [Part("GET", f"contacts/{quote(each, safe='')}?{query}") for each in ids]
        answers = self._door.read_batch(self._mailbox, parts) if parts else []
        return {each: self._or_none(answer) for each, answer in zip(ids, answers, strict=True)}

    def _or_none(self, answer: Answer) -> Json | None:
        """A contact; None where it is gone, or was moved to a folder that is not ours."""
        if isinstance(answer.error, Gone):
            return None
        contact: Json = answer.value()
        return contact if self.folder.holds(contact) else None


def _remote(each: str, contact: Json, fields: Sequence[str]) -> Remote:
    if not contact_is_public(contact):
        return Remote(each, state="private")
    return Remote(each, read_contact(contact, fields), str(contact.get("@odata.etag") or ""), modified(contact))
