"""Field paths of a query: from `Account.Owner.Name` to a checked field and a function that reads it from a row.

Source: SOQL and SOSL Reference, "Relationship Queries", "Understanding Polymorphic Keys"; recorded error texts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

from .errors import Failure, NotImplementedHere
from .missing import refuse_object
from .records import Records
from .schema import Field, SObject
from .soql import FieldPath, Position, Query, refuse
from .store import Row

Getter: TypeAlias = Callable[[Row], Any]
HINT = "Please reference your WSDL or the describe call for the appropriate names."
GENERIC_FIELDS = tuple(
    "Id Name Type FirstName LastName Alias Email Phone Title Username IsActive ProfileId UserRoleId".split()
)
"""Fields of the Name object, which stands for whatever a polymorphic lookup points at."""
NESTING = 5


@dataclass(frozen=True, slots=True)
class Zone:
    """What relative dates depend on: the server's time, the user's zone, the first month of the fiscal year."""

    now: datetime
    zone: ZoneInfo
    fiscal_start: int


class Resolver:
    """Names of one query. `text` is the whole query, for the caret of a refusal."""

    def __init__(self, records: Records, text: str, zone: Zone, user: str = "", *, everything: bool = False) -> None:
        self.records = records
        self.text = text
        self.zone = zone
        self.user = user
        self.everything = everything
        self.aliases: dict[str, tuple[str, ...]] = {}

    def fail(self, at: Position, reason: str, code: str = "MALFORMED_QUERY") -> Failure:
        """A refusal pointing at a place in the text."""
        return refuse(self.text, at, reason, code)

    def for_subquery(self) -> Resolver:
        """A resolver for a query inside this one: same text, own aliases."""
        return Resolver(self.records, self.text, self.zone, self.user, everything=self.everything)

    def root(self, query: Query) -> SObject:
        """The object of FROM. Raises Failure INVALID_TYPE."""
        first = query.sources[0]
        name = first.path.text
        found = self.records.schema.object(name)
        if found is None:
            refuse_object(name)
        if found is None or found.name in self.records.rules.no_access or not found.can("queryable"):
            raise self.fail(
                first.path.at,
                f"sObject type '{name}' is not supported. If you are attempting to use a custom object, be sure "
                f"to append the '__c' after the entity name. {HINT}",
                "INVALID_TYPE",
            )
        self.name_sources(query, found.name)
        return found

    def name_sources(self, query: Query, name: str) -> None:
        """Learn the aliases of FROM: entries after the first are relationships of those before."""
        self.aliases = {name.lower(): (), query.sources[0].path.parts[-1].lower(): ()}
        for place, source in enumerate(query.sources):
            prefix: tuple[str, ...] = ()
            if place:
                head, *rest = source.path.parts
                prefix = (*self.aliases.get(head.lower(), (head,)), *rest)
            if source.alias:
                self.aliases[source.alias.lower()] = prefix

    def expand(self, sobject: SObject, path: FieldPath) -> tuple[str, ...]:
        """A path without its alias."""
        head = path.parts[0].lower()
        if len(path.parts) > 1 and head in self.aliases and not sobject.parent(head):
            return (*self.aliases[head], *path.parts[1:])
        return path.parts

    def field(self, sobject: SObject, name: str, at: Position) -> Field:
        """A visible field. Raises Failure INVALID_FIELD."""
        found = sobject.field(name)
        if found is None or found.name in self.records.hidden(sobject.name):
            raise self._no_column(name, sobject.name, at)
        return found

    def _no_column(self, name: str, entity: str, at: Position) -> Failure:
        return self.fail(
            at,
            f"No such column '{name}' on entity '{entity}'. If you are attempting to use a custom field, be sure to "
            f"append the '__c' after the custom field name. {HINT}",
            "INVALID_FIELD",
        )

    def lookup(self, sobject: SObject, name: str, at: Position) -> Field:
        """The lookup field of a parent relationship. Raises Failure INVALID_FIELD."""
        found = sobject.parent(name)
        if found is None or found.name in self.records.hidden(sobject.name):
            raise self.fail(
                at,
                f"Didn't understand relationship '{name}' in field path. If you are attempting to use a custom "
                f"relationship, be sure to append the '__r' after the custom relationship name. {HINT}",
                "INVALID_FIELD",
            )
        return found

    def target(self, lookup: Field) -> SObject:
        """The object that a plain lookup points at. Raises Failure 501 for one that is not modelled."""
        found = self.records.schema.object(lookup.reference_to[0])
        if found is None or found.name in self.records.rules.no_access:
            raise NotImplementedHere(f"the object {lookup.reference_to[0]}")
        return found

    def generic(self, name: str, at: Position) -> Field:
        """A field of the Name object."""
        found = next((one for one in GENERIC_FIELDS if one.lower() == name.lower()), None)
        if found is None:
            raise self._no_column(name, "Name", at)
        kind = "boolean" if found == "IsActive" else "id" if found.endswith("Id") else "string"
        return Field(found, kind, found, filterable=True, sortable=True, groupable=True, aggregatable=True)

    def value(self, sobject: SObject, path: FieldPath) -> tuple[Field, Getter]:
        """The field at the end of a path, and how to read it from a row of `sobject`. Raises Failure."""
        parts = self.expand(sobject, path)
        if len(parts) - 1 > NESTING:
            raise self.fail(
                path.at, f"Relationship path is too deep: at most {NESTING} levels of parents", "INVALID_FIELD"
            )
        chain: list[Field] = []
        current = sobject
        for place, name in enumerate(parts[:-1]):
            lookup = self.lookup(current, name, path.at)
            chain.append(lookup)
            if lookup.polymorphic:
                if place != len(parts) - 2:
                    raise self.fail(
                        path.at,
                        f"Didn't understand relationship '{parts[place + 1]}' in field path. If you are "
                        "attempting to use a custom relationship, be sure to append the '__r' after the custom "
                        f"relationship name. {HINT}",
                        "INVALID_FIELD",
                    )
                found = self.generic(parts[-1], path.at)
                return found, self._walk(chain, generic_reader(self.records, found.name))
            current = self.target(lookup)
        found = self.field(current, parts[-1], path.at)
        own = reader(current, found)
        return found, self._walk(chain, own) if chain else own

    def _walk(self, chain: list[Field], last: Getter) -> Getter:
        follow = [(lookup.name, follower(self.records, lookup)) for lookup in chain]

        def get(row: Row) -> Any:
            current = row
            for name, step in follow:
                key = current.get(name)
                found = step(key) if key is not None else None
                if found is None:
                    return None
                current = found
            return last(current)

        return get


def follower(records: Records, lookup: Field) -> Callable[[str], Row | None]:
    """From the id in a lookup to the row it points at."""
    store, schema = records.store, records.schema
    if not lookup.polymorphic:
        rows = store.table(lookup.reference_to[0])
        return lambda key: rows.rows.get(key)

    def follow(key: str) -> Row | None:
        found = schema.of_prefix(key[:3])
        return store.table(found.name).rows.get(key) if found else None

    return follow


def reader(sobject: SObject, field: Field) -> Getter:
    """How to read a field: addresses are put together from their components."""
    if field.type == "address":
        parts = [
            (f.name.removeprefix(field.name.removesuffix("Address")), f.name) for f in sobject.components(field.name)
        ]
        keys = sorted((key[0].lower() + key[1:], name) for key, name in parts)

        def address(row: Row) -> Any:
            shown = {key: row.get(name) for key, name in keys}
            return shown if any(v is not None for v in shown.values()) else None

        return address
    name = field.name
    if field.type == "url" and name == "PhotoUrl":
        return lambda row: f"/services/images/photo/{row['Id']}"
    return lambda row: row.get(name)


def generic_reader(records: Records, name: str) -> Getter:
    """How to read a field of the Name object from whatever row a polymorphic lookup leads to."""

    def get(row: Row) -> Any:
        if name == "Id":
            return row["Id"]
        found = records.schema.of_prefix(row["Id"][:3])
        if name == "Type":
            return found.name if found else None
        if name == "Name" and found and found.name_field:
            return row.get(found.name_field.name)
        return row.get(name)

    return get
