"""Search: an index of its own that lags behind the records, and the `/search` request.

Rules from HubSpot "Search the CRM": groups are OR, filters AND; at most 5 groups, 6 filters each, 18 in all; a body
of 3,000 characters; `associations.{type}` in the place of a property; pages of 200; 10,000 results per query; values
compare without case except enumerations; `IN` on strings wants lower-case values; an unknown property matches nothing
and is no error (airbytehq/airbyte PR #85019).
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

import orjson

from . import wire
from .errors import ApiError, invalid_json, missing_fields, validation
from .index import Index
from .properties import Catalogue, Property
from .store import Record, TypeStore

MAX_GROUPS, MAX_FILTERS, MAX_TOTAL_FILTERS = 5, 6, 18
MAX_BODY, MAX_PAGE, MAX_RESULTS, MAX_VALUES = 3_000, 200, 10_000, 100
OPERATORS = (
    "EQ",
    "NEQ",
    "LT",
    "LTE",
    "GT",
    "GTE",
    "BETWEEN",
    "IN",
    "NOT_IN",
    "HAS_PROPERTY",
    "NOT_HAS_PROPERTY",
    "CONTAINS_TOKEN",
    "NOT_CONTAINS_TOKEN",
)
LINKS = "associations."
_TOKEN = re.compile(r"[^\W_]+", re.UNICODE)
Test = Callable[[Record], bool]


class Group:
    """One filter group: its tests, and the cheapest way to the records that can pass them."""

    def __init__(self, filters: list[Filter]) -> None:
        self.filters = filters
        self.tests = [f.test for f in filters]

    def candidates(self, index: Index) -> Iterable[int]:
        """Ids worth testing: by value, by time, by id, else all."""
        best: Iterable[int] = index.ids
        size = len(index.ids)
        for wanted in self.filters:
            narrowed = wanted.narrow(index)
            if narrowed is not None and len(narrowed) < size:
                best, size = narrowed, len(narrowed)
        return best


class Filter:
    """One condition on one property."""

    def __init__(self, document: object, catalogue: Catalogue) -> None:
        if not isinstance(document, dict):
            raise invalid_json("Cannot deserialize value of type `Filter` from a value that is no object")
        missing = [key for key in ("operator", "propertyName") if not document.get(key)]
        if missing:
            raise missing_fields(missing)
        self.operator = str(document["operator"])
        self.name = str(document["propertyName"]).lower()
        if self.operator not in OPERATORS:
            raise invalid_json(
                f'Cannot deserialize value of type `FilterOperator` from String "{self.operator}": not one of the '
                f"values accepted for Enum class: [{', '.join(sorted(OPERATORS))}]"
            )
        self.definition: Property | None = catalogue.get(self.name)
        self.type = catalogue.type
        self.values = self._given(document)
        self.kind = self.definition.type if self.definition else "string"
        self.test = self._test()

    def _given(self, document: dict[str, Any]) -> list[str]:
        if self.operator in ("IN", "NOT_IN"):
            values = document.get("values")
            if not isinstance(values, list) or not values:
                raise validation(
                    f"operator {self.operator} requires a non-empty list of values (propertyName: {self.name})"
                )
            if len(values) > MAX_VALUES:
                raise validation(f"values of a filter are limited to {MAX_VALUES}, {len(values)} were given")
            return [_scalar(value) for value in values]
        if self.operator in ("HAS_PROPERTY", "NOT_HAS_PROPERTY"):
            if document.get("value") not in (None, "") or document.get("values"):
                raise validation(f"operator {self.operator} does not take a value (propertyName: {self.name})")
            return []
        keys = ("value", "highValue") if self.operator == "BETWEEN" else ("value",)
        missing = [key for key in keys if document.get(key) is None]
        if missing:
            raise validation(f"operator {self.operator} requires {' and '.join(missing)} (propertyName: {self.name})")
        return [_scalar(document[key]) for key in keys]

    def narrow(self, index: Index) -> list[int] | set[int] | None:
        """A superset of the ids that can pass, found through an index; None when there is none to use."""
        if self.definition is None:
            return None if self.operator in _NEGATIVE else []
        if self.name == index.type.modified and self.operator in _RANGES:
            low, high = self._range()
            items = index.by_modified
            return [
                record_id for _, record_id in items[bisect_left(items, (low, 0)) : bisect_right(items, (high, 1 << 62))]
            ]
        if self.name == "hs_object_id" and self.operator in _RANGES:
            low, high = self._range()
            return index.ids[bisect_left(index.ids, low) : bisect_right(index.ids, high)]
        if self.operator in ("EQ", "IN") and self.kind in ("string", "enumeration", "phone_number"):
            if self.definition.multiple:
                return None
            return index.holding(self.name, self.values)
        if self.operator in ("EQ", "IN") and self.name == "hs_object_id":
            wanted = {int(value) for value in self.values if value.isascii() and value.isdigit()}
            return {record_id for record_id in wanted if record_id in index.records}
        return None

    def _range(self) -> tuple[int, int]:
        top = (1 << 62) - 1
        numbers = [_moment(value) if self.kind in _TIMES else int(_number(value)) for value in self.values]
        if self.operator == "BETWEEN":
            return numbers[0], numbers[1]
        if self.operator == "EQ":
            return numbers[0], numbers[0]
        return (numbers[0], top) if self.operator in ("GT", "GTE") else (-1, numbers[0])

    def _test(self) -> Test:
        name, operator = self.name, self.operator
        if operator == "HAS_PROPERTY":
            return lambda record: bool(record.values.get(name))
        if operator == "NOT_HAS_PROPERTY":
            return lambda record: not record.values.get(name)
        if operator in ("CONTAINS_TOKEN", "NOT_CONTAINS_TOKEN"):
            token = _token_test(self.values[0])
            wanted = operator == "CONTAINS_TOKEN"
            return lambda record: token(record.values.get(name, "")) is wanted
        if self.kind in _TIMES:
            return self._ordered(_moment, [_moment(value) for value in self.values])
        if self.kind == "number":
            return self._ordered(_number, [_number(value) for value in self.values])
        return self._textual()

    def _ordered(self, read: Callable[[str], Any], wanted: list[Any]) -> Test:
        name, operator = self.name, self.operator
        if name == self.type.modified:

            def value_of(record: Record) -> Any:
                return record.modified
        else:

            def value_of(record: Record) -> Any:
                held = record.values.get(name)
                return read(held) if held else None

        first = wanted[0]
        if operator == "BETWEEN":
            last = wanted[1]
            return lambda record: (v := value_of(record)) is not None and first <= v <= last
        if operator in ("IN", "NOT_IN"):
            choices = set(wanted)
            if operator == "IN":
                return lambda record: value_of(record) in choices
            return lambda record: (v := value_of(record)) is not None and v not in choices
        compare = _COMPARE[operator]
        return lambda record: (v := value_of(record)) is not None and compare(v, first)

    def _textual(self) -> Test:
        name, operator = self.name, self.operator
        exact = self.kind in ("enumeration", "bool")
        multiple = self.definition is not None and self.definition.multiple
        wanted = [value if exact else value.lower() for value in self.values]
        # HubSpot lower-cases what it has stored but not the values of IN and NOT_IN: upper case there finds nothing
        listed = set(self.values) if operator in ("IN", "NOT_IN") else set(wanted)

        def held(record: Record) -> list[str]:
            value = record.values.get(name)
            if not value:
                return []
            if not exact:
                value = value.lower()
            return value.split(";") if multiple else [value]

        if operator in ("EQ", "IN"):
            return lambda record: any(value in listed for value in held(record))
        if operator in ("NEQ", "NOT_IN"):
            return lambda record: bool(values := held(record)) and not any(value in listed for value in values)
        first = wanted[0]
        if operator == "BETWEEN":
            last = wanted[1]
            return lambda record: any(first <= value <= last for value in held(record))
        compare = _COMPARE[operator]
        return lambda record: any(compare(value, first) for value in held(record))


Linked = Callable[[str, Iterable[str]], set[int]]
"""Ids of the records that are associated with one of some records of another type."""


class LinkFilter(Filter):
    """A condition on associations: `associations.{type}` EQ or IN, with the ids of the other records."""

    def __init__(self, document: dict[str, Any], catalogue: Catalogue, linked: Linked) -> None:
        super().__init__(document, catalogue)
        if self.operator not in ("EQ", "IN"):
            raise validation(f"operator {self.operator} is not supported for {self.name}")
        self.ids = linked(self.name.partition(".")[2], self.values)
        self.test = lambda record: record.id in self.ids

    def narrow(self, index: Index) -> set[int]:
        return {record_id for record_id in self.ids if record_id in index.records}


def _filter(document: object, catalogue: Catalogue, linked: Linked) -> Filter:
    name = document.get("propertyName") if isinstance(document, dict) else None
    if isinstance(document, dict) and isinstance(name, str) and name.lower().startswith(LINKS):
        return LinkFilter(document, catalogue, linked)
    return Filter(document, catalogue)


class Query:
    """A checked search request. `key` names the matches, whatever page and properties are asked for."""

    def __init__(self, document: dict[str, Any], catalogue: Catalogue, linked: Linked) -> None:
        self.groups = self._groups(document, catalogue, linked)
        self.text = _text_test(document.get("query"), catalogue)
        self.sorts = _sorts(document.get("sorts"), catalogue)
        self.limit = _whole(document.get("limit", 10), "limit")
        if not 0 <= self.limit <= MAX_PAGE:
            raise validation(f"limit must be between 0 and {MAX_PAGE}, but was {self.limit}")
        self.after = _whole(document.get("after", 0), "after")
        if self.after < 0:
            raise validation(f"after must not be negative, but was {self.after}")
        if self.after + max(self.limit, 1) > MAX_RESULTS:
            raise ApiError(
                400,
                f"A search answers at most {MAX_RESULTS} results; paging past them (after {self.after}, "
                f"limit {self.limit}) is not possible",
                "VALIDATION_ERROR",
                context={"after": [str(self.after)], "limit": [str(MAX_RESULTS)]},
            )
        self.properties = wire.text_list(document.get("properties"), "properties")
        self.key = orjson.dumps(
            [
                *(document.get(name) for name in ("filterGroups", "filters", "query", "sorts")),
                *(sorted(one.ids) for group in self.groups for one in group.filters if isinstance(one, LinkFilter)),
            ]
        )

    @staticmethod
    def _groups(document: dict[str, Any], catalogue: Catalogue, linked: Linked) -> list[Group]:
        given = document.get("filterGroups")
        if given is None and isinstance(document.get("filters"), list):
            given = [{"filters": document["filters"]}]
        if given is None:
            return []
        if not isinstance(given, list) or not all(isinstance(group, dict) for group in given):
            raise invalid_json("Cannot deserialize value of type `java.util.ArrayList` for `filterGroups`")
        if len(given) > MAX_GROUPS:
            raise validation(f"too many filterGroups (count: {len(given)}, max allowed: {MAX_GROUPS})")
        groups: list[Group] = []
        total = 0
        for group in given:
            filters = group.get("filters")
            if filters is None:
                filters = []
            if not isinstance(filters, list):
                raise invalid_json("Cannot deserialize value of type `java.util.ArrayList` for `filters`")
            if len(filters) > MAX_FILTERS:
                raise validation(
                    f"too many filters per filterGroup (count: {len(filters)}, max allowed: {MAX_FILTERS})"
                )
            total += len(filters)
            groups.append(Group([_filter(f, catalogue, linked) for f in filters]))
        if total > MAX_TOTAL_FILTERS:
            raise validation(f"too many filters (count: {total}, max allowed: {MAX_TOTAL_FILTERS})")
        return groups

    def order(self, ids: list[int], records: dict[int, Record]) -> list[int]:
        """Ids, which come ascending, in the order asked for; those without the value come last."""
        if self.sorts is None:
            return ids
        name, kind, descending = self.sorts
        if name == "hs_object_id":
            return ids[::-1] if descending else ids
        read = _moment if kind in _TIMES else _number if kind == "number" else str.lower
        keyed = [(read(value), record_id) for record_id in ids if (value := records[record_id].values.get(name))]
        keyed.sort(key=lambda pair: pair[0], reverse=descending)
        found = [record_id for _, record_id in keyed]
        if len(found) < len(ids):
            have = set(found)
            found += [record_id for record_id in ids if record_id not in have]
        return found


def run(
    index: Index,
    store: TypeStore,
    document: dict[str, Any],
    view: Callable[[list[str]], Callable[[Record], dict[str, Any]]],
    linked: Linked,
) -> dict[str, Any]:
    """Answer a search: `total`, one page of `results`, and `paging` unless it is the last page.

    `view` makes, of the properties asked for, the function that shows a record; `linked` answers for associations.
    """
    query = Query(document, store.catalogue, linked)
    matched = index.matches(query)
    show = view(query.properties)
    page = matched[query.after : query.after + query.limit]
    answer: dict[str, Any] = {
        "total": len(matched),
        "results": [show(index.records[record_id]) for record_id in page],
    }
    reached = query.after + query.limit
    if query.limit and reached < len(matched):
        answer["paging"] = {"next": {"after": str(reached)}}
    return answer


_TIMES = ("date", "datetime")
_NEGATIVE = ("NOT_HAS_PROPERTY", "NOT_CONTAINS_TOKEN")
_RANGES = ("EQ", "LT", "LTE", "GT", "GTE", "BETWEEN")
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "EQ": lambda a, b: a == b,
    "NEQ": lambda a, b: a != b,
    "LT": lambda a, b: a < b,
    "LTE": lambda a, b: a <= b,
    "GT": lambda a, b: a > b,
    "GTE": lambda a, b: a >= b,
}


def _scalar(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    raise invalid_json("Cannot deserialize value of type `java.lang.String` for a filter value")


def _whole(value: object, name: str) -> int:
    try:
        if isinstance(value, str | int) and not isinstance(value, bool):
            return int(value or 0)
    except ValueError:
        pass
    raise invalid_json(f"Cannot deserialize value of type `int` for `{name}`")


def _moment(value: str) -> int:
    found = wire.milliseconds(value)
    if found is None:
        raise validation(f"'{value}' is not a valid date or datetime value")
    return found


def _number(value: str) -> Decimal:
    found = wire.decimal(value)
    if found is None:
        raise validation(f"'{value}' is not a valid number")
    return found


def _token_test(given: str) -> Callable[[str], bool]:
    """CONTAINS_TOKEN: a word of the text equals the token; `*` at an end of it stands for any letters."""
    text = given.lower()
    start, end = (r"" if text.startswith("*") else r"(?<!\w)"), (r"" if text.endswith("*") else r"(?!\w)")
    found = re.compile(start + re.escape(text.strip("*")) + end)
    return lambda held: bool(held) and found.search(held.lower()) is not None


def _text_test(given: object, catalogue: Catalogue) -> Test | None:
    """`query`: every word begins a word of one of the properties that HubSpot searches by default."""
    if given is None or given == "":
        return None
    if not isinstance(given, str):
        raise invalid_json("Cannot deserialize value of type `java.lang.String` for `query`")
    if len(given) > MAX_BODY:
        raise validation(f"query must not be longer than {MAX_BODY} characters")
    words = [word.lower() for word in _TOKEN.findall(given)]
    searched = [name for name, p in catalogue.live.items() if p.searched] or list(catalogue.live)

    def test(record: Record) -> bool:
        have = [w for name in searched for w in _TOKEN.findall(record.values.get(name, "").lower())]
        return all(any(w.startswith(word) for w in have) for word in words)

    return test


def _sorts(given: object, catalogue: Catalogue) -> tuple[str, str, bool] | None:
    if not given:
        return None
    if not isinstance(given, list):
        raise invalid_json("Cannot deserialize value of type `java.util.ArrayList` for `sorts`")
    if len(given) > 1:
        raise validation(f"a search takes one sort, {len(given)} were given")
    first = given[0]
    if isinstance(first, str):
        name, descending = first.lstrip("-"), first.startswith("-")
    elif isinstance(first, dict) and isinstance(first.get("propertyName"), str):
        name = first["propertyName"]
        direction = first.get("direction", "ASCENDING")
        if direction not in ("ASCENDING", "DESCENDING"):
            raise invalid_json(
                f'Cannot deserialize value of type `SortDirection` from String "{direction}": not one of the values '
                "accepted for Enum class: [ASCENDING, DESCENDING]"
            )
        descending = direction == "DESCENDING"
    else:
        raise missing_fields(["propertyName"])
    definition = catalogue.get(name)
    return name.lower(), definition.type if definition else "string", descending
