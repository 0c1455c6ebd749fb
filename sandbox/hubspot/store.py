"""What the portal holds: records by type, their history, and the indexes that keep every look-up cheap.

Records and versions are never changed after they are stored; a write stores a new `Record`. So a snapshot copies
dictionaries of references, and the search index can go on showing an older version of a record.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from . import errors
from .catalogue import EXTRA_SPELLINGS, OBJECT_TYPES, ObjectType
from .missing import TYPE_SPELLINGS
from .properties import Catalogue

FIRST_ID = 310_000_000_001
"""Ids start here in every type: twelve digits, and the same id names a contact, a company and a deal."""


@dataclass(frozen=True, slots=True)
class Version:
    """One value that a property has had: since when (ms), set by what kind of source, which one, which user."""

    value: str
    at: int
    source: str
    source_id: str | None = None
    user: int | None = None


@dataclass(frozen=True, slots=True)
class Actor:
    """Who writes: a person in HubSpot (CRM_UI), an app (INTEGRATION), an API caller (API), an automation."""

    source: str = "INTEGRATION"
    source_id: str | None = "19083857"
    user: int | None = None


CALCULATED = Actor("CALCULATED", None)


@dataclass(frozen=True, slots=True)
class Birth:
    """How a record began. Shared by all its versions, so that a record never changed costs one dictionary."""

    values: dict[str, str]
    at: int
    actor: Actor


@dataclass(frozen=True, slots=True)
class Record:
    """One record as it stood after a write. `values` holds text, unset properties are absent. Times are ms.

    `changes` holds what came after the birth, per property, newest first.
    """

    id: int
    type: str
    values: dict[str, str]
    birth: Birth
    changes: dict[str, tuple[Version, ...]]
    modified: int
    archived_at: int | None = None

    def history(self, name: str, calculated: bool) -> list[Version]:
        """Every value that a property has had, newest first."""
        versions = list(self.changes.get(name, ()))
        first = self.birth.values.get(name)
        if first is not None:
            by = CALCULATED if calculated else self.birth.actor
            versions.append(Version(first, self.birth.at, by.source, by.source_id, by.user))
        return versions


class TypeStore:
    """The records of one type: live and archived, ids in order, unique values, ids that merges left behind."""

    def __init__(self, object_type: ObjectType) -> None:
        self.type = object_type
        self.catalogue = Catalogue(object_type)
        self.live: dict[int, Record] = {}
        self.archived: dict[int, Record] = {}
        self.ids: list[int] = []
        self.archived_ids: list[int] = []
        self.aliases: dict[int, int] = {}
        self.unique: dict[str, dict[str, int]] = {}
        self.next_id = FIRST_ID
        self.visited = 0

    def copy(self) -> TypeStore:
        """A copy that later writes do not reach."""
        twin = TypeStore.__new__(TypeStore)
        twin.__dict__.update(self.__dict__)
        twin.catalogue = self.catalogue.copy()
        for name in ("live", "archived", "ids", "archived_ids", "aliases"):
            setattr(twin, name, getattr(self, name).copy())
        twin.unique = {name: values.copy() for name, values in self.unique.items()}
        return twin

    def take_id(self) -> int:
        """The next record id of this type."""
        self.next_id += 1
        return self.next_id - 1

    def survivor(self, record_id: int) -> int:
        """The id that answers for an id, following merges."""
        while record_id in self.aliases:
            record_id = self.aliases[record_id]
        return record_id

    def find(self, record_id: int) -> Record | None:
        """The live record that answers to an id, an id left behind by a merge included."""
        self.visited += 1
        return self.live.get(record_id) or self.live.get(self.survivor(record_id))

    def holder(self, name: str, value: str) -> int | None:
        """The live record that holds a value of a unique property."""
        self.visited += 1
        values = self.unique.get(name)
        if values is None:
            values = self.unique[name] = {}
            for record_id, record in self.live.items():
                if held := record.values.get(name):
                    values[held] = record_id
        return values.get(value)

    def put(self, record: Record) -> None:
        """Store a new or changed live record."""
        before = self.live.get(record.id)
        if before is None:
            insert_sorted(self.ids, record.id)
        self.live[record.id] = record
        self._reindex(before, record)

    def archive(self, record: Record, at: int) -> Record:
        """Move a live record to the recycle bin. Its modified time stays (airbytehq/airbyte #19838)."""
        binned = replace(record, archived_at=at)
        self.remove(record)
        insert_sorted(self.archived_ids, record.id)
        self.archived[record.id] = binned
        return binned

    def restore(self, record: Record) -> Record:
        """Bring a record back from the recycle bin."""
        live = replace(record, archived_at=None)
        self.forget(record.id)
        self.put(live)
        return live

    def remove(self, record: Record) -> None:
        """Take a live record out, as archive, merge and purge do."""
        del self.live[record.id]
        remove_sorted(self.ids, record.id)
        self._reindex(record, None)

    def forget(self, record_id: int) -> None:
        """Drop a record from the recycle bin."""
        if self.archived.pop(record_id, None) is not None:
            remove_sorted(self.archived_ids, record_id)

    def page(self, archived: bool, start: int, size: int) -> tuple[list[Record], int | None]:
        """Records with ids from `start` on, in order of id, and the id that the next page starts with."""
        ids, records = (self.archived_ids, self.archived) if archived else (self.ids, self.live)
        at = bisect_left(ids, start)
        chosen = ids[at : at + size]
        self.visited += len(chosen)
        following = ids[at + size] if at + size < len(ids) else None
        return [records[record_id] for record_id in chosen], following

    def _reindex(self, before: Record | None, after: Record | None) -> None:
        for name, values in self.unique.items():
            old = before.values.get(name) if before else None
            new = after.values.get(name) if after else None
            if old == new:
                continue
            if old and before and values.get(old) == before.id:
                del values[old]
            if new and after:
                values[new] = after.id
        if self.type.name == "contacts":
            self._reindex_secondary(before, after)

    def _reindex_secondary(self, before: Record | None, after: Record | None) -> None:
        """A contact answers to its additional e-mail addresses as well."""
        values = self.unique.get("email")
        if values is None:
            return
        for record, put in ((before, False), (after, True)):
            for address in (record.values.get("hs_additional_emails", "") if record else "").split(";"):
                if not address or record is None:
                    continue
                if put:
                    values[address] = record.id
                elif values.get(address) == record.id and address != (after.values.get("email") if after else None):
                    del values[address]


class Store:
    """Every type of the portal."""

    def __init__(self) -> None:
        self.types: dict[str, TypeStore] = {}
        self.spellings: dict[str, str] = dict(EXTRA_SPELLINGS)
        for object_type in OBJECT_TYPES:
            self.add_type(object_type)

    def add_type(self, object_type: ObjectType, *spellings: str) -> TypeStore:
        """Register a type and the names that paths may use for it."""
        made = self.types[object_type.name] = TypeStore(object_type)
        for spelling in (*object_type.spellings, *spellings):
            self.spellings[spelling.lower()] = object_type.name
        if object_type.name == "contacts":
            made.holder("email", "")
        return made

    def of(self, given: str) -> TypeStore:
        """The type that a path names: plural, singular, upper case, or type id. Raises 400 for another, 501 for one
        that only HubSpot has."""
        name = self.spellings.get(given) or self.spellings.get(given.lower())
        if name is None and given.lower() in TYPE_SPELLINGS:
            raise errors.not_implemented(f"the object type {given}")
        if name is None:
            raise errors.unknown_type(given)
        return self.types[name]

    def copy(self) -> Store:
        """A copy that later writes do not reach."""
        twin = Store.__new__(Store)
        twin.types = {name: store.copy() for name, store in self.types.items()}
        twin.spellings = dict(self.spellings)
        return twin

    def __iter__(self) -> Iterator[TypeStore]:
        return iter(self.types.values())


def insert_sorted(items: list[Any], item: Any) -> None:
    """Insert into a sorted list; ids and stamps mostly grow, so the end is tried first."""
    if not items or items[-1] < item:
        items.append(item)
    else:
        insort(items, item)


def remove_sorted(items: list[Any], item: Any) -> None:
    """Remove from a sorted list, if it is there."""
    at = bisect_left(items, item)
    if at < len(items) and items[at] == item:
        del items[at]


def between(items: list[Any], low: Any, high: Any) -> tuple[int, int]:
    """Positions of a sorted list whose items lie in low..high, both included."""
    return bisect_left(items, low), bisect_right(items, high)
