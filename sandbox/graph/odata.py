"""Query options of OData as far as Outlook's part of Graph takes them.

Source: "Use query parameters"; singleValueLegacyExtendedProperty (names compare with case, values without).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sandbox.exchange.store import Item

from .errors import GraphError, bad_request
from .values import parse_instant, property_value

PROPERTIES = "singleValueExtendedProperties"
_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<time>\d{4}-\d\d-\d\d(?:T[\d:.]+(?:Z|[+-]\d\d:\d\d)?)?)|(?P<number>-?\d+)|"
    r"(?P<name>[A-Za-z_@][\w.@]*(?:/[A-Za-z_]\w*)*)|(?P<mark>[(),:]))"
)
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda a, b: bool(a == b), "ne": lambda a, b: bool(a != b), "gt": lambda a, b: bool(a > b),
    "ge": lambda a, b: bool(a >= b), "lt": lambda a, b: bool(a < b), "le": lambda a, b: bool(a <= b),
}  # fmt: skip
_DEEPEST = 40


@dataclass(frozen=True)
class Row:
    """What is filtered and sorted: the JSON of an item, and the item for what JSON does not show."""

    json: Mapping[str, Any]
    item: Item | None = None


Test = Callable[[Row], bool]


@dataclass
class Options:
    """The query options of one request."""

    test: Test | None = None
    select: tuple[str, ...] = ()
    order: tuple[tuple[str, bool], ...] = ()
    top: int | None = None
    skip: int = 0
    count: bool = False
    expand: dict[str, tuple[str, ...]] = field(default_factory=dict)


_KNOWN = ("$filter", "$select", "$expand", "$orderby", "$top", "$skip", "$count", "$search")
ORDINARY = ("startdatetime", "enddatetime", "$skiptoken", "$deltatoken")


def read(query: list[tuple[str, str]], known: frozenset[str], *, most: int = 1000) -> Options:
    """The options of a query string. `known` are the members of the type. Raises `GraphError`."""
    made = Options()
    for name, value in query:
        match name.lower():
            case "$filter":
                made.test = Filter(value, known).test
            case "$select":
                made.select = _members(value, known)
            case "$expand":
                made.expand |= dict(_expansions(value))
            case "$orderby":
                made.order = tuple(_orders(value, known))
            case "$top":
                made.top = _number(name, value, 1, most)
            case "$skip":
                made.skip = _number(name, value, 0, 10**9)
            case "$count":
                if value.lower() not in ("true", "false"):
                    raise bad_request(f"Invalid value '{value}' for $count query option found.", "BadRequest")
                made.count = value.lower() == "true"
            case other if other.startswith("$") and other not in ORDINARY:
                raise bad_request(f"Query option '{name}' is not supported here.", "ErrorInvalidUrlQuery")
    return made


def refuse(query: list[tuple[str, str]], allowed: tuple[str, ...] = ()) -> None:
    """Refuse the options that a delta query does not take."""
    for name, _ in query:
        if name.lower() in _KNOWN and name.lower() not in allowed:
            text = f"The following parameters are not supported with change tracking over this resource: '{name}'."
            raise GraphError(400, "ErrorInvalidUrlQuery", text)


def _number(name: str, value: str, low: int, high: int) -> int:
    if not value.isdigit() or not low <= int(value) <= high:
        raise bad_request(f"Invalid value '{value}' for {name} query option found.", "BadRequest")
    return int(value)


def _members(value: str, known: frozenset[str]) -> tuple[str, ...]:
    names = tuple(part.strip() for part in value.split(",") if part.strip())
    for name in names:
        if name.partition("/")[0] not in known:
            raise bad_request(f"Could not find a property named '{name}'.", "RequestBroker--ParseUri")
    return names


def _orders(value: str, known: frozenset[str]) -> Iterator[tuple[str, bool]]:
    for part in value.split(","):
        words = part.split()
        if not words or len(words) > 2 or (len(words) == 2 and words[1].lower() not in ("asc", "desc")):
            raise bad_request(f"Syntax error in '{value}'.", "BadRequest")
        _members(words[0], known)
        yield words[0], len(words) == 2 and words[1].lower() == "desc"


_ID = r"id eq '(?:[^']|'')*'"
_EXPANSION = re.compile(rf"\s*(\w+)(?:\(\$filter=({_ID}(?: or {_ID})*)\)|\(([^()]*)\))?\s*(?:,|$)")


def _expansions(value: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    at = 0
    while at < len(value):
        found = _EXPANSION.match(value, at)
        if found is None or found[1] not in (PROPERTIES, "exceptionOccurrences", "calendar", "attachments"):
            raise bad_request(f"Parsing OData Select and Expand failed: '{value}'.", "RequestBroker--ParseUri")
        if found[1] == PROPERTIES and not found[2]:
            raise bad_request("Expanding extended properties needs $filter=id eq '…'.", "ErrorInvalidUrlQueryFilter")
        yield found[1], tuple(each[7:-1].replace("''", "'") for each in re.findall(_ID, found[2] or ""))
        at = found.end()


def ordered(rows: list[Row], order: tuple[tuple[str, bool], ...]) -> list[Row]:
    """Rows in the order asked for."""
    for path, descending in reversed(order):
        rows = sorted(rows, key=lambda row: _sortable(_value(row.json, path)), reverse=descending)
    return rows


def _sortable(value: Any) -> tuple[int, str]:
    return (0, "") if value is None else (1, str(value))


def selected(json: Mapping[str, Any], select: tuple[str, ...]) -> dict[str, Any]:
    """The members asked for; id and ETag always come along."""
    if not select:
        return dict(json)
    names = {name.partition("/")[0] for name in select} | {"id", PROPERTIES}
    return {name: value for name, value in json.items() if name in names or name.startswith("@odata.")}


def _value(json: Mapping[str, Any], path: str) -> Any:
    found: Any = json
    for part in path.split("/"):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


class Filter:
    """A $filter, compiled. Raises `GraphError` for what cannot be read."""

    def __init__(self, text: str, known: frozenset[str]) -> None:
        self._text = text
        self._known = known
        self._tokens = list(self._split())
        self._at = 0
        self._depth = 0
        self._lambda: tuple[str, str] | None = None
        self.test = self._or()
        if self._at < len(self._tokens):
            raise self._wrong()

    def _wrong(self) -> GraphError:
        return bad_request(f"Invalid filter clause: '{self._text}'.", "BadRequest")

    def _split(self) -> Iterator[tuple[str, str]]:
        at = 0
        while at < len(self._text.rstrip()):
            found = _TOKEN.match(self._text, at)
            if found is None or found.lastgroup is None:
                raise self._wrong()
            yield found.lastgroup, found[found.lastgroup]
            at = found.end()

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._at] if self._at < len(self._tokens) else ("", "")

    def _next(self, kind: str = "", value: str = "") -> str:
        token = self._peek()
        if (kind and token[0] != kind) or (value and token[1].lower() != value) or not token[0]:
            raise self._wrong()
        self._at += 1
        return token[1]

    def _or(self) -> Test:
        parts = [self._and()]
        while self._peek() == ("name", "or"):
            self._at += 1
            parts.append(self._and())
        return parts[0] if len(parts) == 1 else lambda row: any(part(row) for part in parts)

    def _and(self) -> Test:
        parts = [self._not()]
        while self._peek() == ("name", "and"):
            self._at += 1
            parts.append(self._not())
        return parts[0] if len(parts) == 1 else lambda row: all(part(row) for part in parts)

    def _not(self) -> Test:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self._wrong()
        try:
            if self._peek() == ("name", "not"):
                self._at += 1
                inner = self._not()
                return lambda row: not inner(row)
            if self._peek() == ("mark", "("):
                self._at += 1
                inside = self._or()
                self._next("mark", ")")
                return inside
            return self._term()
        finally:
            self._depth -= 1

    def _term(self) -> Test:
        name = self._next("name")
        if self._peek() == ("mark", "("):
            return self._any(name) if name.lower().endswith("/any") else self._call(name)
        operator = self._next("name").lower()
        if operator not in _COMPARE:
            raise self._wrong()
        path = self._path(name)
        value = self._literal()
        return lambda row: _compare(operator, _value(row.json, path), value)

    def _path(self, name: str) -> str:
        if self._lambda is not None and name.startswith(f"{self._lambda[0]}/"):
            return name.partition("/")[2]
        if name.partition("/")[0] not in self._known:
            raise bad_request(f"Could not find a property named '{name}'.", "RequestBroker--ParseUri")
        return name

    def _call(self, name: str) -> Test:
        tests: dict[str, Callable[[str, str], bool]] = {
            "startswith": str.startswith, "endswith": str.endswith, "contains": str.__contains__,
        }  # fmt: skip
        if name.lower() not in tests:
            raise self._wrong()
        self._next("mark", "(")
        path = self._path(self._next("name"))
        self._next("mark", ",")
        wanted = self._literal()
        self._next("mark", ")")
        test = tests[name.lower()]
        return lambda row: test(str(_value(row.json, path) or "").lower(), str(wanted).lower())

    def _any(self, name: str) -> Test:
        collection = name[: -len("/any")]
        if collection != PROPERTIES or self._lambda is not None:
            raise bad_request(f"The collection '{collection}' cannot be filtered here.", "ErrorInvalidUrlQueryFilter")
        self._next("mark", "(")
        variable = self._next("name")
        self._next("mark", ":")
        if self._next("name") != f"{variable}/id":
            raise self._wrong()
        self._next("name", "eq")
        identifier = str(self._literal())
        self._next("name", "and")
        holds = self._value_of_property(variable)
        self._next("mark", ")")
        return lambda row: (value := _property(row, identifier)) is not None and holds(value)

    def _value_of_property(self, variable: str) -> Callable[[str], bool]:
        """A condition on the value: a text is compared without case; a number is cast before it is compared."""
        cast = self._peek() == ("name", "cast")
        if cast:
            self._at += 1
            self._next("mark", "(")
        if self._next("name") != f"{variable}/value":
            raise self._wrong()
        if cast:
            self._next("mark", ",")
            if self._next("name") not in ("Edm.Int32", "Edm.Double"):
                raise self._wrong()
            self._next("mark", ")")
        operator, (kind, _) = self._next("name").lower(), self._peek()
        wanted = self._literal()
        if operator not in _COMPARE or (kind != ("number" if cast else "text") and (cast or wanted is not None)):
            raise self._wrong()
        if cast:
            return lambda value: _COMPARE[operator](float(value), wanted)
        if operator not in ("eq", "ne"):
            raise self._wrong()
        return lambda value: (wanted is not None and value.lower() == wanted.lower()) is (operator == "eq")

    def _literal(self) -> Any:
        kind, text = self._peek()
        self._at += 1
        match kind, text:
            case "text", _:
                return text[1:-1].replace("''", "'")
            case "number", _:
                return int(text)
            case "time", _:
                return parse_instant(text, "$filter")
            case "name", "true" | "false":
                return text == "true"
            case "name", "null":
                return None
        raise self._wrong()


def _property(row: Row, identifier: str) -> str | None:
    return property_value(row.item, identifier) if row.item is not None else None


def _compare(operator: str, value: Any, wanted: Any) -> bool:
    if isinstance(wanted, datetime):
        if not isinstance(value, str):
            return operator == "ne"
        value = parse_instant(value, "$filter")
    elif isinstance(wanted, str) and isinstance(value, str):
        if re.match(r"\d{4}-\d\d-\d\d", wanted) and re.match(r"\d{4}-\d\d-\d\dT", value):
            value, wanted = parse_instant(value, "$filter"), parse_instant(wanted, "$filter")
        else:
            value, wanted = value.lower(), wanted.lower()
    if value is None or wanted is None or type(value) is not type(wanted):
        equal = value is None and wanted is None
        return equal if operator == "eq" else not equal if operator == "ne" else False
    return _COMPARE[operator](value, wanted)
