"""Records by id: from HubSpot's answers to observations, and what became of ids that no longer answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from connectors.hubspot import associations
from connectors.hubspot.portal import BATCH, Portal
from connectors.hubspot.wire import Record, contexts, is_id, moment
from sidefeed.connector import Gone, Remote, Unavailable, chunked

MERGEABLE = frozenset({"contacts", "companies", "deals", "tickets"})
ACTOR = "hs_updated_by_user_id"
MERGED = "hs_merged_object_ids"
MERGED_CONTACTS = "hs_calculated_merged_vids"
ALWAYS = ("createdate", "hs_object_id", "lastmodifieddate", "hs_lastmodifieddate")
"""HubSpot adds these to every record, asked for or not. Taken out rather than the others copied: this loop is the cost
of a first load."""
LONGEST_QUERY = 6000
"""Characters of property names in a GET; longer addresses get 414, so state is then read in batches."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a read asks for: the fields of the mapping, and what the connector itself must know."""

    object: str
    plain: frozenset[str]
    linked: tuple[str, ...]
    properties: tuple[str, ...]

    @classmethod
    def of(cls, object: str, fields: Sequence[str]) -> Wanted:
        plain = dict.fromkeys(field for field in fields if not associations.is_association(field))
        own = [ACTOR]
        if object in MERGEABLE:
            own += [MERGED] if object != "contacts" else [MERGED, MERGED_CONTACTS]
        linked = tuple(dict.fromkeys(field for field in fields if associations.is_association(field)))
        return cls(object, frozenset(plain), linked, tuple(dict.fromkeys([*plain, *own])))

    @property
    def fits_in_address(self) -> bool:
        return sum(len(name) + len("&properties=") for name in self.properties) < LONGEST_QUERY


class Reader:
    """Turns records into observations. Keeps the names of each type's properties once it had to ask for them."""

    def __init__(self, portal: Portal) -> None:
        self._portal = portal
        self._defined: dict[str, frozenset[str]] = {}

    def live(self, wanted: Wanted, ids: Sequence[str]) -> tuple[list[Record], datetime | None]:
        """The records that answer to these ids, each once, and the server's clock at the first answer."""
        found: dict[str, Record] = {}
        clock: datetime | None = None
        for chunk in chunked(ids, BATCH):
            content, date = self._portal.read(wanted.object, chunk, wanted.properties)
            clock = clock or date
            found.update((record.id, record) for record in content.results)
        return list(found.values()), clock

    def linked(self, wanted: Wanted, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Association fields by record id; one that HubSpot said nothing about is missing."""
        values: dict[str, dict[str, Any]] = {each: {} for each in ids}
        for to in dict.fromkeys(associations.target(field) for field in wanted.linked):
            found = associations.read(self._portal, wanted.object, to, ids)
            if any(associations.is_labelled(field) and associations.target(field) == to for field in wanted.linked):
                self._know_labels(wanted.object, to, found.values())
            for record, linked in found.items():
                for field in wanted.linked:
                    if associations.target(field) == to:
                        values.setdefault(record, {})[field] = associations.value(
                            wanted.object, field, linked, self._portal.labels)
        return values

    def _know_labels(self, object: str, to: str, found: Iterable[associations.Linked]) -> None:
        """Labels are read once; again where a record has one that was made since."""
        types = {each for linked in found for kinds in linked.values() for each in kinds}
        self._portal.labels(object, to)
        if not self._portal.knows_types(object, to, types):
            self._portal.read_labels(object, to)

    def observations(
        self, wanted: Wanted, records: Iterable[Record], linked: Mapping[str, Mapping[str, Any]]
    ) -> list[Remote]:
        """One live observation per record, then one per id that a merge took away."""
        live: list[Remote] = []
        merged: list[Remote] = []
        plain = wanted.plain
        surplus = [name for name in (*wanted.properties, *ALWAYS) if name not in plain]
        for record in records:
            values: dict[str, Any] = record.properties
            actor = values.get(ACTOR)
            if values.get(MERGED) or values.get(MERGED_CONTACTS):
                merged += [Remote(old, merged_into=record.id) for old in merged_ids(record)]
            for name in surplus:
                values.pop(name, None)
            if values.keys() != plain:
                values = self._exactly(wanted, values)
            if "" in values.values():
                values = {name: value or None for name, value in values.items()}
            if wanted.linked:
                values.update(linked.get(record.id, {}))
            stamp = record.updated_at
            live.append(Remote(record.id, values, stamp, moment(stamp), "live", None, actor))
        return live + merged

    def _exactly(self, wanted: Wanted, values: Mapping[str, Any]) -> dict[str, Any]:
        """Only the fields asked for. One without a key is blank if the portal defines it, else unknown."""
        found = {name: values[name] for name in wanted.plain if name in values}
        for name in wanted.plain - found.keys():
            if name in self.defined(wanted.object):
                found[name] = None
        return found

    def defined(self, object: str) -> frozenset[str]:
        """Names of all properties of a type."""
        if object not in self._defined:
            self._defined[object] = frozenset(str(each.get("name")) for each in self._portal.properties(object))
        return self._defined[object]

    def fetch(self, wanted: Wanted, ids: Sequence[str]) -> Iterator[Remote]:
        """Exactly one observation for each id: live, merged away or deleted."""
        for chunk in chunked(dict.fromkeys(ids), 1000):
            known = [each for each in chunk if is_id(each)]
            yield from (Remote(each, state="deleted") for each in chunk if each not in set(known))
            records, _ = self.live(wanted, known)
            asked = set(known)
            linked = self.linked(wanted, [r.id for r in records if r.id in asked]) if wanted.linked else {}
            seen = self.observations(wanted, records, linked)
            answers = {each.id: each for each in seen if each.id in asked}
            missing = [each for each in known if each not in answers]
            answers.update(self._vanished(wanted, missing))
            yield from (answers[each] for each in known)

    def _vanished(self, wanted: Wanted, ids: Sequence[str]) -> dict[str, Remote]:
        """What became of ids that do not answer: in the recycle bin, merged into another, or gone for good."""
        found: dict[str, Remote] = {}
        for chunk in chunked(ids, BATCH):
            content, _ = self._portal.read(wanted.object, chunk, (), archived=True)
            found.update((each.id, archived(each)) for each in content.results if each.archived or each.archived_at)
        return {each: found.get(each) or self._alone(wanted, each) for each in ids}

    def _alone(self, wanted: Wanted, record_id: str) -> Remote:
        """A single read follows merges, which batch reads need not do. It asks for no more names than an address holds.
        """
        names = wanted.properties if wanted.fits_in_address else ()
        try:
            record = self._portal.one(wanted.object, record_id, names)
        except Gone:
            return Remote(record_id, state="deleted")
        if record.id != record_id:
            return Remote(record_id, merged_into=record.id)
        records = [record] if wanted.fits_in_address else self.live(wanted, [record_id])[0]
        if not records:
            raise Unavailable(f"HubSpot's answer says nothing of {wanted.object} {record_id}, which is there")
        return self.observations(wanted, records, self.linked(wanted, [record_id]))[0]


def archived(record: Record) -> Remote:
    """A record in the recycle bin."""
    return Remote(record.id, None, record.updated_at, moment(record.archived_at), "deleted")


def merged_ids(record: Record) -> list[str]:
    """Ids that now answer with this record, from `51;1;1551` and, for contacts, `vid:ms;vid:ms`."""
    properties = record.properties
    listed = (properties.get(MERGED) or "").split(";")
    listed += [pair.partition(":")[0] for pair in (properties.get(MERGED_CONTACTS) or "").split(";")]
    return [each for each in dict.fromkeys(listed) if each and each != record.id]


def missing_in(errors: Iterable[Mapping[str, Any]]) -> set[str]:
    """Ids or keys that a batch answer says are not there."""
    gone = [entry for entry in errors if entry.get("category") == "OBJECT_NOT_FOUND"]
    return {each for entry in gone for each in contexts(entry, "ids", "id")}
