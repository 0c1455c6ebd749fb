"""Aggregate queries: GROUP BY with ROLLUP and CUBE, HAVING, and the AggregateResult rows they give.

Source: SOQL and SOSL Reference, "Aggregate Functions", "GROUP BY", "HAVING"; recorded answers (`expr0` names).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from .conditions import Conditions
from .errors import Failure
from .paths import Getter, Resolver
from .results import Result, View, sort_key, sort_rows
from .schema import Field, SObject
from .soql import AGGREGATES, Call, FieldPath, Query, Selected, TypeOf
from .store import Row

BATCH = 2000


@dataclass
class _Group:
    """The rows that share their grouping values; `dropped` are the keys that a subtotal leaves out."""

    values: tuple[Any, ...]
    rows: list[Row]
    dropped: frozenset[int] = frozenset()


def is_grouped(query: Query) -> bool:
    """Whether a query gives AggregateResult rows."""
    return bool(query.group_by) or any(
        isinstance(s, Selected) and isinstance(s.what, Call) and s.what.name in AGGREGATES for s in query.select
    )


def grouped_result(names: Resolver, root: SObject, query: Query, conditions: Conditions, rows: Iterable[Row]) -> Result:
    """The groups of a query over rows that satisfy its WHERE. Raises Failure."""
    work = _Grouping(names, root, query, conditions)
    shown = work.columns()
    groups = work.groups(list(rows))
    if query.having is not None:
        having = Conditions(names, root, lambda inner: ())
        having.operand = work.operand
        test = having.test(query.having)
        groups = [group for group in groups if test(group)]  # type: ignore[arg-type]  # operands read groups here
    for one in reversed(query.order_by):
        found, get = work.operand(one.what)
        groups = sort_rows(groups, sort_key(found, get), one)
    groups = groups[query.offset :]
    if query.limit is not None:
        groups = groups[: query.limit]
    if len(groups) > BATCH:
        raise Failure(
            400,
            "EXCEEDED_ID_LIMIT",
            "Aggregate query does not support queryMore(), use LIMIT to restrict the results to a single batch",
        )

    def show(group: Any, view: View) -> dict[str, Any]:
        return {"attributes": {"type": "AggregateResult"}, **{key: get(group) for key, get in shown}}

    return Result(len(groups), groups, show)


class _Grouping:
    def __init__(self, names: Resolver, root: SObject, query: Query, conditions: Conditions) -> None:
        self._names = names
        self._root = root
        self._query = query
        self._conditions = conditions
        self._keys = [self._key(one) for one in query.group_by]
        self._identities = [self._identity(one) for one in query.group_by]
        self._aliases: dict[str, FieldPath | Call] = {
            s.alias.lower(): s.what for s in query.select if isinstance(s, Selected) and s.alias
        }

    def _key(self, what: FieldPath | Call) -> tuple[Field, Getter]:
        if isinstance(what, Call):
            return self._conditions.function(what)
        found, get = self._names.value(self._root, what)
        if not found.groupable:
            raise self._names.fail(what.at, f"field '{found.name}' can not be grouped in a query call")
        return found, get

    def _identity(self, what: FieldPath | Call) -> Any:
        if isinstance(what, FieldPath):
            return tuple(part.lower() for part in self._names.expand(self._root, what))
        return (what.name, *(self._identity(a) if isinstance(a, (FieldPath, Call)) else a for a in what.args))

    def columns(self) -> list[tuple[str, Callable[[_Group], Any]]]:
        """Key and reader of each selected column; functions without an alias are expr0, expr1..."""
        shown: list[tuple[str, Callable[[_Group], Any]]] = []
        counter = 0
        for item in self._query.select:
            if isinstance(item, (Query, TypeOf)):
                at = item.sources[0].path.at if isinstance(item, Query) else item.path.at
                raise self._names.fail(at, "Grouped query cannot use child relationships in the SELECT list")
            found, get = self.operand(item.what)
            key = item.alias
            if key is None and isinstance(item.what, FieldPath):
                key = found.name
            elif key is None:
                key, counter = f"expr{counter}", counter + 1
            if any(key == known for known, _ in shown):
                raise self._names.fail(item.what.at, f"duplicate alias: {key}")
            shown.append((key, get))
        return shown

    def operand(self, what: FieldPath | Call) -> tuple[Field, Callable[[Any], Any]]:
        """A grouped field, a function of one, an aggregate, or the alias of any of these, read from a group."""
        if isinstance(what, FieldPath) and len(what.parts) == 1:
            aliased = self._aliases.get(what.parts[0].lower())
            if aliased is not None and not self._root.field(what.parts[0]):
                what = aliased
        if isinstance(what, Call) and what.name in AGGREGATES:
            return self._aggregate(what)
        if isinstance(what, Call) and what.name == "grouping":
            return self._grouping_flag(what)
        identity = self._identity(what)
        if identity in self._identities:
            place = self._identities.index(identity)
            return self._keys[place][0], lambda group: group.values[place]
        if isinstance(what, FieldPath):
            self._names.value(self._root, what)
            raise self._names.fail(what.at, f"Field must be grouped or aggregated: {what.parts[-1]}")
        raise self._names.fail(what.at, f"Function must be grouped or aggregated: {what.spelt}")

    def _grouping_flag(self, call: Call) -> tuple[Field, Callable[[Any], Any]]:
        places = [self._identities.index(i) for a in call.args if (i := self._identity(a)) in self._identities]
        if not places:
            raise self._names.fail(call.at, "GROUPING() takes fields of the GROUP BY clause")
        return Field("grouping", "int", "grouping"), lambda group: int(places[0] in group.dropped)

    def _aggregate(self, call: Call) -> tuple[Field, Callable[[Any], Any]]:
        if call.name == "count" and not call.args:
            return Field("count", "int", "count"), lambda group: len(group.rows)
        if len(call.args) != 1 or not isinstance(call.args[0], (FieldPath, Call)):
            raise self._names.fail(call.at, f"unexpected token: '{call.spelt}'")
        argument = call.args[0]
        if isinstance(argument, Call):
            found, get = self._conditions.function(argument)
        else:
            found, get = self._names.value(self._root, argument)
            unusable = not found.aggregatable if call.name not in ("count", "count_distinct") else not found.filterable
            if unusable or (
                call.name in ("sum", "avg") and found.type not in ("int", "double", "currency", "percent", "long")
            ):
                raise self._names.fail(
                    argument.at, f"field {found.name} does not support aggregate operator {call.spelt.upper()}"
                )
        kind = "int" if call.name.startswith("count") else found.type
        read = _AGGREGATES[call.name]
        return Field(found.name, kind, found.label), lambda group: read(
            [v for row in group.rows if (v := get(row)) is not None]
        )

    def groups(self, rows: list[Row]) -> list[_Group]:
        """The groups in order of their values; one group over all rows without GROUP BY."""
        if not self._query.group_by:
            return [_Group((), rows)]
        size = len(self._keys)
        sets: list[frozenset[int]] = [frozenset()]
        if self._query.grouping == "rollup":
            sets += [frozenset(range(n, size)) for n in range(size - 1, -1, -1)]
        elif self._query.grouping == "cube":
            sets = [frozenset(i for i in range(size) if mask >> i & 1) for mask in range(2**size)]
        found: list[_Group] = []
        for dropped in sets:
            groups: dict[tuple[Any, ...], _Group] = {}
            for row in rows:
                values = tuple(None if i in dropped else get(row) for i, (_, get) in enumerate(self._keys))
                identity = tuple(v.casefold() if isinstance(v, str) else v for v in values)
                group = groups.get(identity)
                if group is None:
                    group = groups[identity] = _Group(values, [], dropped)
                group.rows.append(row)
            found += groups.values()
        return sorted(
            found, key=lambda g: [(v is not None or i in g.dropped, str(v).casefold()) for i, v in enumerate(g.values)]
        )


_AGGREGATES: dict[str, Callable[[list[Any]], Any]] = {
    "count": len,
    "count_distinct": lambda values: len({v.casefold() if isinstance(v, str) else v for v in values}),
    "sum": lambda values: round(sum(values), 10) if values else None,
    "avg": lambda values: sum(values) / len(values) if values else None,
    "min": lambda values: min(values, default=None),
    "max": lambda values: max(values, default=None),
}
