"""Who is who: every id ever seen, the links of records with objects, and what each system was last seen to hold."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import sqlalchemy as sa

from sidefeed.workspace import tables as t
from sidefeed.workspace.database import any_of, chunks, of_feed
from sidefeed.workspace.model import Link
from sidefeed.workspace.unit import Unit

_DUE: sa.ColumnElement[bool] = sa.literal_column("link.due")
"""Written as the partial index is: a bound parameter would make the database read the whole table."""

_DUE_RECORDS = sa.select(t.link.c.record).where(of_feed(t.link), _DUE)


class Identity(Unit):
    def known_as(self, system: str, object: str, external_ids: Collection[str]) -> dict[str, tuple[str, str]]:
        """External id -> (record, role), for every id ever seen: identity is append-only."""
        found = {id: (row["record"], row["role"]) for id in external_ids
                 if (row := self._remotes.get((system, object, id)))}
        for chunk in chunks([id for id in set(external_ids) if id not in found]):
            rows = self.connection.execute(
                sa.select(t.remote.c.external_id, t.remote.c.record, t.remote.c.role)
                .where(t.remote.c.system == system, t.remote.c.object == object, any_of(t.remote.c.external_id, chunk)))
            found.update({id: (record, role) for id, record, role in rows})
        return found

    def records_below(self, system: str, object: str, prefix: str) -> list[str]:
        """Records whose ids in one feed begin with a text, those that are gone there too."""
        self._flush_links()
        rows = self.connection.execute(
            sa.select(t.remote.c.external_id, t.remote.c.record)
            .where(t.remote.c.system == system, t.remote.c.object == object,
                   t.remote.c.external_id.startswith(prefix, autoescape=True)))
        return sorted({record for id, record in rows if id.startswith(prefix)})

    def ids_of(self, system: str, object: str, entity: str) -> list[str]:
        """Ids in one feed that are records of an entity and not gone there."""
        self._flush_links()
        return list(self.connection.scalars(sa.select(t.remote.c.external_id).where(
            t.remote.c.system == system, t.remote.c.object == object, t.remote.c.entity == entity,
            t.remote.c.role != "gone").order_by(t.remote.c.external_id)))

    def records_known_as(self, system: str, entity: str, external_ids: Collection[str]) -> dict[str, str]:
        """External id -> record, over every object of a system that holds this entity: how references travel in."""
        found = {key[2]: row["record"] for key, row in self._remotes.items()
                 if key[0] == system and row["entity"] == entity and key[2] in external_ids and row["role"] != "gone"}
        missing = [id for id in set(external_ids) if id not in found]
        objects = self._objects_of(system) if missing else []
        for chunk in chunks(missing):
            # Naming the objects lets the primary key answer; without them every id of the system would be looked at.
            rows = self.connection.execute(
                sa.select(t.remote.c.external_id, t.remote.c.record).where(
                    t.remote.c.system == system, t.remote.c.object.in_(objects), any_of(t.remote.c.external_id, chunk),
                    t.remote.c.entity == entity))
            for row in rows:
                found[row.external_id] = row.record
        return found

    def _objects_of(self, system: str) -> list[str]:
        """Every object of a system that ids are known of: one index probe each, however many ids there are."""
        found: list[str] = []
        while (following := self.connection.execute(sa.select(sa.func.min(t.remote.c.object)).where(
                t.remote.c.system == system, t.remote.c.object > (found[-1] if found else ""))).scalar()) is not None:
            found.append(following)
        return found

    def external_ids(self, system: str, records: Collection[str]) -> dict[str, str]:
        """Record -> the id of its live primary object in a system: how references travel out."""
        found = {link.record: link.external_id for link in self._links.values()
                 if link.system == system and link.state == "live" and link.external_id and link.record in records}
        for chunk in chunks([id for id in set(records) if id not in found]):
            rows = self.connection.execute(
                sa.select(t.link.c.record, t.link.c.external_id)
                .where(t.link.c.system == system, t.link.c.state == "live", any_of(t.link.c.record, chunk)))
            found.update({record: external for record, external in rows if external})
        return found

    def remember(self, system: str, object: str, external_id: str, entity: str, record: str, role: str) -> None:
        """Identity is append-only: a role may change, an id is never forgotten."""
        self._remotes[(system, object, external_id)] = {
            "system": system, "object": object, "external_id": external_id, "entity": entity, "record": record,
            "role": role}

    def roles_of(self, record: str) -> list[tuple[str, str, str, str]]:
        """(system, object, external id, role) of everything this record was ever known as."""
        self._flush_links()
        return [tuple(row) for row in self.connection.execute(
            sa.select(t.remote.c.system, t.remote.c.object, t.remote.c.external_id, t.remote.c.role)
            .where(t.remote.c.record == record).order_by(t.remote.c.system, t.remote.c.object))]

    def origins(self, records: Collection[str]) -> dict[str, str]:
        """Record -> ``system object id`` of one object it lives as: a name for it that outlives a scratch copy."""
        self._flush_links()
        found: dict[str, str] = {}
        for chunk in chunks(records):
            for row in self.connection.execute(
                sa.select(t.remote.c.record, t.remote.c.system, t.remote.c.object, t.remote.c.external_id)
                .where(any_of(t.remote.c.record, chunk), t.remote.c.role == "primary")
                .order_by(t.remote.c.system, t.remote.c.object, t.remote.c.external_id)
            ):
                found.setdefault(row.record, f"{row.system} {row.object} {row.external_id}")
        return found

    # -- links --------------------------------------------------------------------------------------------------

    def links(self, system: str, object: str, records: Collection[str]) -> dict[str, Link]:
        """Links of one feed by record."""
        found = {record: self._links[(system, object, record)] for record in records
                 if (system, object, record) in self._links}
        for chunk in chunks([record for record in set(records) - self._new if record not in found]):
            for row in self.connection.execute(sa.select(t.link).where(
                    t.link.c.system == system, t.link.c.object == object, any_of(t.link.c.record, chunk))).mappings():
                found[row["record"]] = _link(row)
        return found

    def links_of(self, record: str) -> list[Link]:
        self._flush_links()
        return [_link(row) for row in self.connection.execute(
            sa.select(t.link).where(t.link.c.record == record).order_by(t.link.c.system, t.link.c.object)).mappings()]

    def digests(self, system: str, object: str, external_ids: Collection[str]) -> dict[str, bytes]:
        """External id -> digest of the image last absorbed: what lets an unchanged record be dropped at capture."""
        found: dict[str, bytes] = {}
        for chunk in chunks(external_ids):
            for row in self.connection.execute(sa.select(t.link.c.external_id, t.link.c.digest).where(
                    t.link.c.system == system, t.link.c.object == object, any_of(t.link.c.external_id, chunk),
                    t.link.c.state == "live", t.link.c.digest.is_not(None), t.link.c.sent.is_(None))):
                found[row.external_id] = row.digest
        return found

    def link_versions(self, system: str, object: str) -> dict[str, bytes | None]:
        """External id -> digest of the image last absorbed (None: not seen since our own write) of every live link."""
        return {row.external_id: row.digest for row in self.connection.execute(
            sa.select(t.link.c.external_id, t.link.c.digest).where(
                t.link.c.system == system, t.link.c.object == object, t.link.c.state == "live",
                t.link.c.external_id.is_not(None)))}

    def due(self, system: str, object: str) -> list[str]:
        """Records whose link has work left from an earlier run."""
        return list(self.connection.execute(_DUE_RECORDS, {"system": system, "object": object}).scalars())

    def linked(self, system: str, object: str) -> list[str]:
        """Records with a live link in one feed."""
        return list(self.connection.execute(sa.select(t.link.c.record).where(
            t.link.c.system == system, t.link.c.object == object, t.link.c.state == "live")).scalars())

    def linked_ids(self, system: str, object: str) -> list[str]:
        """External ids with a live link in one feed."""
        return [id for id in self.connection.execute(sa.select(t.link.c.external_id).where(
            t.link.c.system == system, t.link.c.object == object, t.link.c.state == "live")).scalars() if id]

    def count_links(self, system: str, object: str, *, state: str = "live") -> int:
        return self.connection.execute(sa.select(sa.func.count()).select_from(t.link).where(
            t.link.c.system == system, t.link.c.object == object, t.link.c.state == state)).scalar_one()

    def links_of_all(self, records: Collection[str]) -> list[Link]:
        """Every link of these records, in every system."""
        self._flush_links()
        return [_link(row) for chunk in chunks(records) for row in self.connection.execute(
            sa.select(t.link).where(any_of(t.link.c.record, chunk))).mappings()]

    def save_link(self, link: Link) -> None:
        self._links[(link.system, link.object, link.record)] = link

    def bases(self, system: str, object: str, records: Collection[str]) -> dict[str, dict[str, Any]]:
        """The raw image each linked object was last seen to hold."""
        found = {record: self._images[(system, object, record)] for record in records
                 if (system, object, record) in self._images}
        for chunk in chunks([record for record in set(records) - self._new if record not in found]):
            for row in self.connection.execute(sa.select(t.base.c.record, t.base.c.image).where(
                    t.base.c.system == system, t.base.c.object == object, any_of(t.base.c.record, chunk))):
                found[row.record] = row.image
        return found

    def save_base(self, system: str, object: str, record: str, image: Mapping[str, Any]) -> None:
        self._images[(system, object, record)] = dict(image)

    def _flush_links(self) -> None:
        self._new.clear()
        if self._links:
            self.upsert(t.link, [{
                "system": link.system, "object": link.object, "record": link.record, "entity": link.entity,
                "external_id": link.external_id, "state": link.state, "version": link.version,
                "synced_rev": link.synced_rev, "exceptions": link.exceptions or None, "sent": link.sent,
                "digest": link.digest, "generation": link.generation, "due": link.due,
            } for link in self._links.values()])
            self._links = {}
        if self._images:
            self.upsert(t.base, [{"system": system, "object": object, "record": record, "image": image}
                                 for (system, object, record), image in self._images.items()])
            self._images = {}
        if self._remotes:
            self.upsert(t.remote, list(self._remotes.values()))
            self._remotes = {}


def _link(row: Any) -> Link:
    return Link(row["system"], row["object"], row["record"], row["entity"], row["external_id"], row["state"],
                row["version"], row["synced_rev"], row["exceptions"] or {}, row["sent"], row["digest"],
                row["generation"], row["due"])
