"""Running a SOQL tree: an index chosen, rows filtered and ordered, results shaped as the REST API shows them.

Source: REST API guide "Query", SOQL and SOSL Reference (relationship queries, TYPEOF, FIELDS(), ORDER BY); recorded
answers. Equal keys are ordered by Id, which the real system does not promise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from .conditions import Conditions, Test
from .errors import Failure, NotImplementedHere
from .grouping import grouped_result, is_grouped
from .missing import refuse_relationship
from .paths import HINT, Getter, Resolver, Zone, follower, generic_reader, reader
from .records import Records
from .results import Result, View, attributes, sort_key, sort_rows
from .schema import Field, SObject
from .soql import (
    Call,
    Comparison,
    Condition,
    FieldPath,
    Junction,
    Membership,
    Negation,
    Order,
    Position,
    Query,
    Selected,
    TypeOf,
    parse,
    parse_by_shape,
)
from .store import Row, Table

FIELDS_LIMIT = 200
MOST_SEMI_JOINS = 2


@dataclass
class _Shape:
    """What to show of one row, in the order selected."""

    sobject: SObject
    entries: dict[str, Getter | _Parent | _Children] = field(default_factory=dict)


@dataclass
class _Parent:
    """A parent shown under a relationship name.

    Of a plain lookup it has one `shape`. Of a polymorphic one it shows `typed` shapes (TYPEOF) by object, and else
    the `generic` fields of the Name object, under the type `label` (None: the row's own).
    """

    lookup: Field
    follow: Callable[[str], Row | None]
    shape: _Shape | None = None
    generic: dict[str, Getter] = field(default_factory=dict)
    typed: dict[str, _Shape] = field(default_factory=dict)
    label: str | None = "Name"
    kind_of: Callable[[Row], str] = lambda row: "Name"


@dataclass
class _Children:
    """A child list shown under a relationship name."""

    find: Callable[[str], Result]


class Engine:
    """Compiles and runs queries against one set of records."""

    def __init__(self, records: Records, zone: Callable[[str], Zone]) -> None:
        self._records = records
        self._zone = zone

    def run(self, text: str, *, user: str = "", everything: bool = False) -> Result:
        """The result of a query; `everything` (queryAll) includes deleted and archived rows. Raises Failure."""
        mixed = self._records.settings.mixed_and_or
        try:
            return self._run(parse_by_shape(text, mixed=mixed), text, user, everything=everything)
        except Failure:
            return self._run(
                parse(text, mixed=mixed), text, user, everything=everything
            )  # again, for the places in the refusal

    def _run(self, query: Query, text: str, user: str, *, everything: bool) -> Result:
        if query.all_rows:
            raise Failure(400, "MALFORMED_QUERY", "ALL ROWS not allowed in this context")
        names = Resolver(self._records, text, self._zone(user), user, everything=everything)
        root = names.root(query)
        result = _Run(names, query, root).result()
        if query.marking and not is_grouped(query):
            self._records.mark_seen(root, result.rows, query.marking, user)
        return result

    def condition(self, sobject: str, formula: str) -> Test:
        """A SOQL condition as a test of rows of an object, as validation rules use it. Raises Failure."""
        text = f"SELECT Id FROM {sobject} WHERE {formula}"  # noqa: S608 - for our own parser
        query = parse(text)
        names = Resolver(self._records, text, self._zone(""), everything=True)
        run = _Run(names, query, names.root(query))
        assert query.where is not None
        return run.conditions.test(query.where)


class _Run:
    """One query, or one subquery, being compiled and run."""

    def __init__(self, names: Resolver, query: Query, root: SObject) -> None:
        self.names = names
        self.query = query
        self.root = root
        self.table: Table = names.records.store.table(root.name)
        self.conditions = Conditions(names, root, self._semi_join)

    def result(self) -> Result:
        query = self.query
        self._check()
        test = self.conditions.test(query.where) if query.where is not None else None
        test = self._scope(test)
        if self._counts():
            total = sum(1 for _ in self._matching(test))
            return Result(total if query.limit is None else min(total, query.limit), [], lambda row, view: {})
        if is_grouped(query):
            return grouped_result(self.names, self.root, query, self.conditions, self._matching(test))
        shape = self._shape()
        rows = self._ordered(test)
        return Result(len(rows), rows, lambda row, view: _show(shape, row, view), self._columns)

    def _check(self) -> None:
        query = self.query
        if query.categories:
            raise NotImplementedHere("WITH DATA CATEGORY")
        if query.scope not in (None, "everything", "mine"):
            raise NotImplementedHere(f"USING SCOPE {query.scope}")
        if query.offset > 2000:
            raise Failure(400, "NUMBER_OUTSIDE_VALID_RANGE", "Maximum SOQL offset allowed is 2000")
        joins = list(_semi_joins(query.where))
        for place, (inner, under_or) in enumerate(joins):
            at = inner.sources[0].path.at
            if under_or:
                raise self.names.fail(at, "Semi join sub-selects are not allowed with the 'OR' operator")
            if place >= MOST_SEMI_JOINS:
                raise self.names.fail(at, f"Maximum {MOST_SEMI_JOINS} semi join sub-selects are allowed.")

    def _counts(self) -> bool:
        calls = [
            s
            for s in self.query.select
            if isinstance(s, Selected) and isinstance(s.what, Call) and s.what.name == "count" and not s.what.args
        ]
        if not calls:
            return False
        if len(self.query.select) > 1 or self.query.group_by:
            call = calls[0].what
            raise self.names.fail(call.at, "unexpected token: 'COUNT'")
        return True

    def _scope(self, test: Test | None) -> Test | None:
        if self.query.scope != "mine" or "OwnerId" not in self.root.fields:
            return test
        user = self.names.user
        return lambda row: row.get("OwnerId") == user and (test is None or test(row))

    # rows

    def _matching(self, test: Test | None, order: Iterable[str] | None = None) -> Iterator[Row]:
        """Rows that satisfy the condition, in the given order of ids or in that of the chosen index."""
        table, everything = self.table, self.names.everything
        rows = table.rows
        for key in self._keys() if order is None else order:
            table.visited += 1
            row = rows[key]
            if not everything and (row.get("IsDeleted") or row.get("IsArchived")):
                continue
            if test is None or test(row):
                yield row

    def _keys(self) -> Iterable[str]:
        offered = self.conditions.candidates(self.query.where, self.table)
        if offered is not None:
            return offered
        for name in ("Id", "SystemModstamp", "LastModifiedDate", "CreatedDate"):
            if name in self.root.fields:
                low, high = self.conditions.bounds(self.query.where, name)
                if low is not None or high is not None:
                    return self.table.between(name, low, high)
        return list(self.table.rows)

    def _ordered(self, test: Test | None) -> list[Row]:
        query = self.query
        wanted = None if query.limit is None else query.limit + query.offset
        keys = [self._order_key(one) for one in query.order_by]
        stream = self._index_order(wanted)
        if stream is not None and wanted is not None:
            rows = []
            if wanted:
                for row in self._matching(test, stream):
                    rows.append(row)
                    if len(rows) == wanted:
                        break
            return rows[query.offset :]
        rows = list(islice(self._matching(test), None if keys else wanted))
        if keys:
            rows.sort(key=lambda row: row["Id"])
        for get, one in reversed(list(zip(keys, query.order_by, strict=True))):
            rows = sort_rows(rows, get, one)
        return rows[query.offset : wanted] if wanted is not None else rows[query.offset :]

    def _index_order(self, wanted: int | None) -> Iterator[str] | None:
        """Ids straight from an ordered index, when ORDER BY asks for just that and LIMIT lets us stop early."""
        orders = self.query.order_by
        if wanted is None or not orders or self.conditions.candidates(self.query.where, self.table) is not None:
            return None
        names = []
        for one in orders:
            if not isinstance(one.what, FieldPath) or one.descending != orders[0].descending:
                return None
            parts = self.names.expand(self.root, one.what)
            found = self.root.field(parts[0]) if len(parts) == 1 else None
            if found is None:
                return None
            names.append(found.name)
        if not self.table.ordered(names[0]) or names[1:] not in ([], ["Id"]):
            return None
        low, high = self.conditions.bounds(self.query.where, names[0])
        return self.table.between(names[0], low, high, backwards=orders[0].descending)

    def _order_key(self, one: Order) -> Getter:
        if isinstance(one.what, Call):
            return self.conditions.function(one.what)[1]
        found, get = self.names.value(self.root, one.what)
        if not found.sortable:
            raise self.names.fail(one.what.at, f"field '{found.name}' can not be sorted in a query call")
        return sort_key(found, get)

    def _semi_join(self, query: Query) -> Iterable[Any]:
        names = self.names.for_subquery()
        run = _Run(names, query, names.root(query))
        at = query.sources[0].path.at
        if any(_semi_joins(query.where)):
            raise names.fail(at, "Nesting of semi join sub-selects is not supported")
        if run.root.name == self.root.name:
            raise names.fail(at, "The inner and outer selects should not be on the same object type")
        if (
            len(query.select) != 1
            or not isinstance(query.select[0], Selected)
            or not isinstance(query.select[0].what, FieldPath)
        ):
            raise names.fail(
                query.sources[0].path.at, "semi join sub-selects need exactly one field in their SELECT list"
            )
        path = query.select[0].what
        found, get = names.value(run.root, path)
        if found.type not in ("id", "reference"):
            raise names.fail(path.at, f"semi join sub-selects can only query id fields, cannot use: '{found.name}'")
        run._check()
        test = run.conditions.test(query.where) if query.where is not None else None
        return [get(row) for row in run._ordered(test)]

    # shapes

    def _shape(self) -> _Shape:
        shape = _Shape(self.root)
        for item in self.query.select:
            if isinstance(item, Query):
                self._add_children(shape, item)
            elif isinstance(item, TypeOf):
                self._add_typeof(shape, item)
            elif isinstance(item.what, FieldPath):
                if item.alias:
                    raise self.names.fail(item.what.at, "only aggregate expressions use field aliasing")
                self._add_path(shape, item.what, self.names.expand(self.root, item.what))
            else:
                self._add_call(shape, item)
        if not shape.entries:
            text = "'FIELDS(...)' expansion function must result in at least one field being selected."
            raise Failure(400, "MALFORMED_QUERY", text)
        return shape

    def _add_path(self, shape: _Shape, path: FieldPath, parts: tuple[str, ...]) -> None:
        current = shape
        for place, name in enumerate(parts[:-1]):
            lookup = self.names.lookup(current.sobject, name, path.at)
            assert lookup.relationship
            known = current.entries.get(lookup.relationship)
            if lookup.polymorphic:
                self.names.value(current.sobject, FieldPath(parts[place:], path.at))
                parent = known if isinstance(known, _Parent) else self._polymorphic(lookup)
                found = self.names.generic(parts[-1], path.at)
                parent.generic[found.name] = generic_reader(self.names.records, found.name)
                current.entries[lookup.relationship] = parent
                return
            if not isinstance(known, _Parent):
                known = _Parent(lookup, follower(self.names.records, lookup), _Shape(self.names.target(lookup)))
                current.entries[lookup.relationship] = known
            assert known.shape is not None
            current = known.shape
        found = self.names.field(current.sobject, parts[-1], path.at)
        if found.name in current.entries:
            raise Failure(400, "INVALID_FIELD", f"duplicate field selected: {path.text}")
        current.entries[found.name] = reader(current.sobject, found)

    def _add_call(self, shape: _Shape, item: Selected) -> None:
        call = item.what
        assert isinstance(call, Call)
        if call.name == "fields":
            for found in self._fields(call):
                shape.entries[found.name] = reader(self.root, found)
            return
        found, get = self.conditions.function(call)
        key = item.alias
        if key is None:
            parts = [arg for arg in call.args if isinstance(arg, FieldPath)]
            calls = sum(1 for known in shape.entries if known.startswith("expr"))
            key = found.name if parts and call.name != "distance" else f"expr{calls}"
        if key in shape.entries:
            raise Failure(400, "INVALID_FIELD", f"duplicate field selected: {key}")
        shape.entries[key] = get

    def _fields(self, call: Call) -> list[Field]:
        which = call.args[0].text.lower() if len(call.args) == 1 and isinstance(call.args[0], FieldPath) else ""
        if which not in ("all", "standard", "custom"):
            raise self.names.fail(call.at, "The SOQL FIELDS function takes one of ALL, STANDARD and CUSTOM")
        if which != "standard" and min(self.query.limit or FIELDS_LIMIT + 1, _named(self.query.where)) > FIELDS_LIMIT:
            raise Failure(400, "MALFORMED_QUERY", "The SOQL FIELDS function must have a LIMIT of at most 200")
        hidden = self.names.records.hidden(self.root.name)
        return [
            f
            for f in self.root.fields.values()
            if f.name not in hidden and (which == "all" or f.custom == (which == "custom"))
        ]

    def _add_typeof(self, shape: _Shape, item: TypeOf) -> None:
        if len(item.path.parts) != 1:
            raise NotImplementedHere("TYPEOF over a parent relationship")
        lookup = self.names.lookup(self.root, item.path.parts[0], item.path.at)
        if not lookup.polymorphic:
            raise self.names.fail(
                item.path.at,
                f"Cannot use TYPEOF on relationship '{item.path.text}': it is not polymorphic",
                "INVALID_TYPE_FOR_OPERATION",
            )
        shapes: dict[str, _Shape] = {}
        for kind, paths in item.cases:
            target = self.names.records.schema.object(str(kind))
            if target is None or target.name not in lookup.reference_to:
                raise self.names.fail(
                    Position(kind.line or 1, kind.column or 1),
                    f"sObject type '{kind}' is not supported in TYPEOF {item.path.text}",
                    "INVALID_TYPE",
                )
            shapes[target.name] = _Shape(target)
            for path in paths:
                self._add_path(shapes[target.name], path, path.parts)
        otherwise = {}
        for path in item.otherwise or ():
            found = self.names.generic(path.text, path.at)
            otherwise[found.name] = generic_reader(self.names.records, found.name)
        assert lookup.relationship
        parent = self._polymorphic(lookup)
        parent.generic, parent.typed, parent.label = otherwise, shapes, None
        shape.entries[lookup.relationship] = parent

    def _polymorphic(self, lookup: Field) -> _Parent:
        records = self.names.records

        def kind_of(row: Row) -> str:
            found = records.schema.of_prefix(row["Id"][:3])
            return found.name if found else "Name"

        return _Parent(lookup, follower(records, lookup), kind_of=kind_of)

    def _add_children(self, shape: _Shape, query: Query) -> None:
        source = query.sources[0]
        names = self.names.for_subquery()
        parts = source.path.parts
        if len(parts) > 1 and parts[0].lower() in self.names.aliases:
            parts = parts[1:]
        kid = self.names.records.schema.children(self.root.name).get(parts[0].lower()) if len(parts) == 1 else None
        child = names.records.schema.object(kid.child) if kid and kid.name else None
        if kid is None:
            refuse_relationship(parts[-1])
        if kid is None or child is None or kid.name is None or child.name in names.records.rules.no_access:
            raise self.names.fail(
                source.path.at,
                f"Didn't understand relationship '{source.path.text}' in FROM part of query call. If you are "
                f"attempting to use a custom relationship, be sure to append the '__r' after the custom "
                f"relationship name. {HINT}",
                "INVALID_TYPE",
            )
        names.name_sources(query, kid.name)
        names.aliases.setdefault(child.name.lower(), ())
        run = _ChildRun(names, query, child, kid.field)
        run.prepare()
        shape.entries[kid.name] = _Children(run.of)

    def _columns(self) -> list[tuple[str, Field, Getter]] | None:
        if not all(isinstance(s, Selected) and isinstance(s.what, FieldPath) for s in self.query.select):
            return None
        columns = []
        for item in self.query.select:
            found, get = self.names.value(self.root, item.what)
            *parents, _ = self.names.expand(self.root, item.what)
            columns.append((".".join((*parents, found.name)), found, get))
        return columns


class _ChildRun(_Run):
    """A child list: compiled once, run for each parent that is shown."""

    def __init__(self, names: Resolver, query: Query, root: SObject, lookup: str) -> None:
        super().__init__(names, query, root)
        self._lookup = lookup
        self._parent = ""
        self._test: Test | None = None
        self._child_shape = _Shape(root)

    def prepare(self) -> None:
        """Check all names, so that a wrong child list is refused even when no parent is found."""
        self._check()
        if is_grouped(self.query) or self._counts():
            raise self.names.fail(self.query.sources[0].path.at, "Grouped query cannot be used as a child list")
        self._test = self.conditions.test(self.query.where) if self.query.where is not None else None
        self._child_shape = self._shape()
        for one in self.query.order_by:
            self._order_key(one)

    def of(self, parent: str) -> Result:
        """The children of one parent."""
        self._parent = parent
        rows = self._ordered(self._test)
        shape = self._child_shape
        return Result(len(rows), rows, lambda row, view: _show(shape, row, view))

    def _keys(self) -> Iterable[str]:
        return self.table.matching(self._lookup, self._parent)

    def _index_order(self, wanted: int | None) -> Iterator[str] | None:
        return None


def _show(shape: _Shape, row: Row, view: View) -> dict[str, Any]:
    shown: dict[str, Any] = {"attributes": attributes(shape.sobject.name, row["Id"], view.base)}
    for key, entry in shape.entries.items():
        if isinstance(entry, _Parent):
            shown[key] = _show_parent(entry, row, view)
        elif isinstance(entry, _Children):
            shown[key] = view.page(entry.find(row["Id"]), view)
        else:
            shown[key] = entry(row)
    return shown


def _show_parent(entry: _Parent, row: Row, view: View) -> dict[str, Any] | None:
    key = row.get(entry.lookup.name)
    parent = entry.follow(key) if key is not None else None
    if parent is None:
        return None
    if entry.shape is not None:
        return _show(entry.shape, parent, view)
    kind = entry.kind_of(parent)
    if kind in entry.typed:
        return _show(entry.typed[kind], parent, view)
    shown: dict[str, Any] = {"attributes": {**attributes(kind, parent["Id"], view.base), "type": entry.label or kind}}
    return {**shown, **{name: get(parent) for name, get in entry.generic.items()}}


def all_fields(sobject: SObject, hidden: frozenset[str]) -> list[tuple[str, Getter]]:
    """Every readable field of an object with its reader: what a row shows when no fields are asked for."""
    return [(f.name, reader(sobject, f)) for f in sobject.fields.values() if f.name not in hidden]


def _semi_joins(condition: Condition | None, *, under_or: bool = False) -> Iterator[tuple[Query, bool]]:
    """The sub-selects of IN and NOT IN in a condition, each with whether an OR stands above it."""
    match condition:
        case Membership(_, _, Query() as inner):
            yield inner, under_or
        case Junction(operator, terms):
            for term in terms:
                yield from _semi_joins(term, under_or=under_or or operator == "or")
        case Negation(term):
            yield from _semi_joins(term, under_or=under_or)


def _named(condition: Condition | None) -> float:
    """How many rows a condition lets through at most because it names their ids; infinite if it does not."""
    match condition:
        case Comparison(FieldPath(parts), "=", _) if [part.lower() for part in parts] == ["id"]:
            return 1
        case Membership(FieldPath(parts), False, tuple(values)) if [part.lower() for part in parts] == ["id"]:
            return len(values)
        case Junction("or", terms):
            return sum(map(_named, terms))
        case Junction("and", terms):
            return min(map(_named, terms))
    return math.inf
