"""WHERE and HAVING: a condition tree to a test of rows, and to the rows worth testing.

Source: SOQL and SOSL Reference, "Condition Expression Syntax"; error texts as recorded. Evaluation is two-valued, as
observed: a comparison with a blank is false, except `= null`, `!=` and NOT IN.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterable
from datetime import date
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

from . import dates
from .ids import to18
from .paths import Getter, Resolver
from .schema import TEXT_TYPES, Field, SObject
from .soql import (
    DATE_FUNCTIONS,
    Call,
    Comparison,
    Condition,
    FieldPath,
    Junction,
    Literal,
    Membership,
    Multi,
    Negation,
    Position,
    Query,
)
from .store import Row, Table
from .values import moment, parse_datetime, stamp

Test: TypeAlias = Callable[[Row], bool]
Operand: TypeAlias = "tuple[Field, Getter]"
EARTH_KM, KM_PER_MILE = 6371.0, 1.609344
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
_KIND_NAMES = {
    "datetime": "dateTime",
    "reference": "reference",
    "currency": "double",
    "percent": "double",
    "long": "int",
}
_NUMBERS = frozenset({"int", "long", "double", "currency", "percent"})


class Conditions:
    """Compiles conditions on one object. `subquery` runs a semi-join and returns its values.

    `operand` may be replaced for HAVING, where functions of a group are compared instead of fields of a row.
    """

    def __init__(self, resolver: Resolver, sobject: SObject, subquery: Callable[[Query], Iterable[Any]]) -> None:
        self._names = resolver
        self._sobject = sobject
        self._subquery = subquery
        self.operand: Callable[[FieldPath | Call], Operand] = self._row_operand
        self._sets: dict[int, frozenset[Any]] = {}

    # tests

    def test(self, condition: Condition) -> Test:
        """A function that says whether a row satisfies the condition. Raises Failure."""
        if isinstance(condition, Junction):
            tests = [self.test(term) for term in condition.terms]
            if condition.operator == "and":
                return lambda row: all(test(row) for test in tests)
            return lambda row: any(test(row) for test in tests)
        if isinstance(condition, Negation):
            inner = self.test(condition.term)
            return lambda row: not inner(row)
        if isinstance(condition, Comparison):
            return self._comparison(condition)
        if isinstance(condition, Membership):
            return self._membership(condition)
        return self._multi(condition)

    def _row_operand(self, what: FieldPath | Call) -> Operand:
        if isinstance(what, FieldPath):
            found, get = self._names.value(self._sobject, what)
            if not found.filterable:
                raise self._names.fail(
                    what.at, f"field '{found.name}' can not be filtered in a query call", "INVALID_FIELD"
                )
            return found, get
        return self.function(what)

    def function(self, call: Call) -> Operand:
        """A function of a row as an operand: calendar functions, toLabel, convertCurrency. Raises Failure."""
        if call.name in DATE_FUNCTIONS:
            return self._date_function(call)
        if call.name in ("tolabel", "convertcurrency") and len(call.args) == 1 and isinstance(call.args[0], FieldPath):
            found, get = self._names.value(self._sobject, call.args[0])
            if call.name == "convertcurrency":
                return found, get
            labels = {v.value: v.label for v in found.values}
            label = Field(found.name, "string", found.label, filterable=True)
            return label, lambda row: labels.get(get(row), get(row))
        if call.name == "distance":
            return self._distance(call)
        if call.name == "format" and len(call.args) == 1 and isinstance(call.args[0], FieldPath):
            found, get = self._names.value(self._sobject, call.args[0])
            zone = self._names.zone.zone
            made = Field(found.name, "string", found.label)
            return made, lambda row: shown_in_english(found, get(row), zone)
        raise self._names.fail(call.at, f"unexpected token: '{call.spelt}'")

    def _distance(self, call: Call) -> Operand:
        place, point, unit = call.args if len(call.args) == 3 else (None, None, None)
        wrong = self._names.fail(call.at, f"unexpected token: '{call.spelt}'")
        if not isinstance(place, FieldPath) or not isinstance(point, Call) or not isinstance(unit, Literal):
            raise wrong
        numbers = [one.value for one in point.args if isinstance(one, Literal) and one.kind == "number"]
        if point.name != "geolocation" or len(numbers) != 2 or unit.value not in ("mi", "km"):
            raise wrong
        if not -90 <= numbers[0] <= 90 or not -180 <= numbers[1] <= 180:
            raise self._names.fail(point.at, "latitude is within -90 and 90, longitude within -180 and 180")
        found, get = self._names.value(self._sobject, place)
        if not found.query_by_distance:
            raise self._names.fail(place.at, f"field '{found.name}' is not a location", "INVALID_FIELD")
        radius = EARTH_KM if unit.value == "km" else EARTH_KM / KM_PER_MILE
        made = Field(found.name, "double", found.label, filterable=True, sortable=True)
        return made, lambda row: _great_circle(get(row), numbers[0], numbers[1], radius)

    def _date_function(self, call: Call) -> Operand:
        zone = None
        inner = call.args[0] if len(call.args) == 1 else None
        if isinstance(inner, Call) and inner.name == "converttimezone" and len(inner.args) == 1:
            zone, inner = self._names.zone.zone, inner.args[0]
        if not isinstance(inner, FieldPath):
            raise self._names.fail(call.at, f"unexpected token: '{call.spelt}'")
        found, get = self._names.value(self._sobject, inner)
        if found.type not in ("date", "datetime"):
            raise self._names.fail(
                call.at, f"field '{found.name}' does not support the date function {call.spelt}", "INVALID_FIELD"
            )
        kind = "date" if call.name == "day_only" else "int"
        start = self._names.zone.fiscal_start
        made = Field(found.name, kind, found.label, filterable=True, groupable=True, sortable=True)
        return made, lambda row: dates.calendar(call.name, get(row), zone, start)

    def _comparison(self, condition: Comparison) -> Test:
        found, get = self.operand(condition.operand)
        if condition.operator == "like":
            return self._like(found, get, condition)
        if condition.value.kind == "relative":
            return self._relative(found, get, condition)
        value = self.literal(found, condition.value, condition.operand.at)
        sign = condition.operator
        if sign in ("=", "!="):
            equal = self._equal(found, get, value)
            return equal if sign == "=" else lambda row: not equal(row)
        if value is None or found.type in ("boolean", "multipicklist"):
            raise self._names.fail(
                condition.operand.at, f"invalid operator on {found.type} field", "INVALID_QUERY_FILTER_OPERATOR"
            )
        compare = _COMPARE[sign]
        if _folds(found):
            folded = value.casefold()
            return lambda row: (v := get(row)) is not None and compare(v.casefold(), folded)
        return lambda row: (v := get(row)) is not None and compare(v, value)

    @staticmethod
    def _equal(found: Field, get: Getter, value: Any) -> Test:
        if value is None:
            return lambda row: get(row) is None
        if found.type == "boolean":
            return lambda row: bool(get(row)) == value
        if _folds(found):
            folded = value.casefold()
            return lambda row: (v := get(row)) is not None and v.casefold() == folded
        return lambda row: bool(get(row) == value)

    def _like(self, found: Field, get: Getter, condition: Comparison) -> Test:
        if found.type in ("id", "reference"):
            raise self._names.fail(
                condition.operand.at, "invalid operator on id field", "INVALID_QUERY_FILTER_OPERATOR"
            )
        if found.type not in TEXT_TYPES or found.type == "multipicklist":
            raise self._names.fail(condition.operand.at, "invalid operator", "INVALID_QUERY_FILTER_OPERATOR")
        pattern = like_pattern(condition.value.value)
        return lambda row: (v := get(row)) is not None and pattern.fullmatch(v) is not None

    def _relative(self, found: Field, get: Getter, condition: Comparison) -> Test:
        if found.type not in ("date", "datetime"):
            raise self._wrong_type(found, condition.value, condition.operand.at)
        try:
            low, high = self._period(found, condition.value.value)
        except (OverflowError, ValueError):
            raise self._names.fail(condition.value.at, f"Invalid date literal: {condition.value.text}") from None
        tests: dict[str, Callable[[str], bool]] = {
            "=": lambda v: low <= v < high,
            "!=": lambda v: not low <= v < high,
            "<": lambda v: v < low,
            "<=": lambda v: v < high,
            ">": lambda v: v >= high,
            ">=": lambda v: v >= low,
        }
        inside = tests[condition.operator]
        blank = condition.operator == "!="
        return lambda row: inside(v) if (v := get(row)) is not None else blank

    def _period(self, found: Field, literal: str) -> tuple[str, str]:
        zone = self._names.zone
        first, after = dates.period(literal, zone.now.astimezone(zone.zone).date(), zone.fiscal_start)
        if found.type == "date":
            return first.isoformat(), after.isoformat()
        return dates.midnight(first, zone.zone), dates.midnight(after, zone.zone)

    def _membership(self, condition: Membership) -> Test:
        found, get = self.operand(condition.operand)
        if found.type == "multipicklist":
            raise self._names.fail(condition.operand.at, "invalid operator", "INVALID_QUERY_FILTER_OPERATOR")
        values = self._set(condition, found)
        negated = condition.negated
        if _folds(found):
            return lambda row: ((v.casefold() if isinstance(v := get(row), str) else v) in values) != negated
        return lambda row: (get(row) in values) != negated

    def _set(self, condition: Membership, found: Field) -> frozenset[Any]:
        known = self._sets.get(id(condition))
        if known is None:
            if isinstance(condition.values, Query):
                if found.type not in ("id", "reference"):
                    raise self._names.fail(
                        condition.operand.at,
                        f"semi join sub-selects can only be used with ID or reference fields : '{found.name}'",
                    )
                known = frozenset(v for v in self._subquery(condition.values) if v is not None)
            else:
                known = self._literal_set(found, condition)
            self._sets[id(condition)] = known
        return known

    def _literal_set(self, found: Field, condition: Membership) -> frozenset[Any]:
        assert not isinstance(condition.values, Query)
        if any(one.kind == "relative" for one in condition.values):
            raise self._names.fail(condition.operand.at, f"unexpected token: '{condition.values[0].text}'")
        values = [self.literal(found, one, condition.operand.at) for one in condition.values]
        return frozenset(v.casefold() if isinstance(v, str) and _folds(found) else v for v in values)

    def _multi(self, condition: Multi) -> Test:
        found, get = self.operand(condition.operand)
        if found.type != "multipicklist":
            raise self._names.fail(
                condition.operand.at,
                "includes/excludes operator only valid on multipicklist field",
                "INVALID_QUERY_FILTER_OPERATOR",
            )
        wanted = [frozenset(one.value.casefold().split(";")) for one in condition.values]

        def includes(row: Row) -> bool:
            held = frozenset((get(row) or "").casefold().split(";"))
            return any(one <= held for one in wanted)

        return (lambda row: not includes(row)) if condition.negated else includes

    # literals

    def literal(self, found: Field, literal: Literal, at: Position) -> Any:
        """A constant as a value comparable with a field's stored values. Raises Failure where the types differ."""
        kind, value = literal.kind, literal.value
        if kind == "null":
            return None
        if found.type in ("id", "reference"):
            if kind != "string":
                raise self._wrong_type(found, literal, at)
            if value == "":
                return None
            full = to18(value)
            if full is None:
                raise self._names.fail(at, f"invalid ID field: {value}", "INVALID_QUERY_FILTER_OPERATOR")
            return full
        if found.type in TEXT_TYPES and kind == "string":
            return value or None
        if found.type == "boolean" and kind == "boolean":
            return value
        if found.type in _NUMBERS and kind == "number":
            return value
        if found.type == "currency" and kind == "currency":
            return value[1]
        if found.type == "date" and kind == "date":
            return value
        if found.type == "datetime" and kind == "datetime":
            at_moment = parse_datetime(value)
            if at_moment is None:
                raise self._names.fail(literal.at, f"Invalid datetime: {literal.text}")
            return stamp(at_moment)
        if found.type == "time" and kind == "string":
            return value
        raise self._wrong_type(found, literal, at)

    def _wrong_type(self, found: Field, literal: Literal, at: Position) -> Exception:
        kind = "string" if found.type in TEXT_TYPES else _KIND_NAMES.get(found.type, found.type)
        quotes = (
            "should be enclosed in quotes"
            if kind in ("string", "reference", "id")
            else "should not be enclosed in quotes"
        )
        return self._names.fail(
            at,
            f"value of filter criterion for field '{found.name}' must be of type {kind} and {quotes}",
            "INVALID_FIELD",
        )

    # what to look at

    def candidates(self, condition: Condition | None, table: Table) -> list[str] | None:
        """Ids that an equality index offers for a condition; None when it cannot narrow the search."""
        if isinstance(condition, Junction):
            parts = [self.candidates(term, table) for term in condition.terms]
            known = [part for part in parts if part is not None]
            if condition.operator == "and":
                return min(known, key=len) if known else None
            return list(dict.fromkeys(key for part in known for key in part)) if len(known) == len(parts) else None
        field = self._direct(condition)
        if field is None or not table.indexed(field.name):
            return None
        if isinstance(condition, Comparison) and condition.operator == "=" and condition.value.kind != "relative":
            return list(table.matching(field.name, self.literal(field, condition.value, condition.operand.at)))
        if isinstance(condition, Membership) and not condition.negated:
            return [key for value in self._set(condition, field) for key in table.matching(field.name, value)]
        return None

    def bounds(self, condition: Condition | None, name: str) -> tuple[str | None, str | None]:
        """The closed range of an ordered field outside of which no row can satisfy the condition."""
        if isinstance(condition, Junction):
            ranges = [self.bounds(term, name) for term in condition.terms]
            lows = [low for low, _ in ranges]
            highs = [high for _, high in ranges]
            if condition.operator == "and":
                return (max((v for v in lows if v), default=None), min((v for v in highs if v), default=None))
            low = None if None in lows else min(v for v in lows if v)
            return low, None if None in highs else max(v for v in highs if v)
        field = self._direct(condition)
        if field is None or field.name != name or not isinstance(condition, Comparison):
            return None, None
        sign = condition.operator
        if condition.value.kind == "relative":
            low, high = self._period(field, condition.value.value)
        else:
            value = self.literal(field, condition.value, condition.operand.at)
            low = high = value
        if sign == "=":
            return low, high
        return (low if sign in (">", ">=") else None, high if sign in ("<", "<=") else None)

    def _direct(self, condition: Condition | None) -> Field | None:
        if not isinstance(condition, (Comparison, Membership)) or not isinstance(condition.operand, FieldPath):
            return None
        parts = self._names.expand(self._sobject, condition.operand)
        return self._sobject.field(parts[0]) if len(parts) == 1 else None


def _great_circle(place: dict[str, Any] | None, latitude: float, longitude: float, radius: float) -> float | None:
    if not place or place.get("latitude") is None or place.get("longitude") is None:
        return None
    here, there = math.radians(place["latitude"]), math.radians(latitude)
    turn = math.radians(longitude - place["longitude"])
    chord = math.sin((there - here) / 2) ** 2 + math.cos(here) * math.cos(there) * math.sin(turn / 2) ** 2
    return 2 * radius * math.asin(min(1.0, math.sqrt(chord)))


def shown_in_english(found: Field, value: Any, zone: ZoneInfo) -> str | None:
    """What FORMAT() makes of a value for a user of locale en_US. The real forms by locale are not verified."""
    if value is None:
        return None
    if found.type == "date":
        day = date.fromisoformat(value)
        return f"{day.month}/{day.day}/{day.year}"
    if found.type == "datetime":
        at = moment(value).astimezone(zone)
        return f"{at.month}/{at.day}/{at.year}, {at.hour % 12 or 12}:{at.minute:02d} {'AM' if at.hour < 12 else 'PM'}"
    if found.type in _NUMBERS:
        number = f"{abs(value):,.{found.scale}f}"
        shown = f"${number}" if found.type == "currency" else f"{number}%" if found.type == "percent" else number
        return f"-{shown}" if value < 0 else shown
    return str(value)


def _folds(found: Field) -> bool:
    return found.type in TEXT_TYPES and not found.case_sensitive


def like_pattern(text: str) -> re.Pattern[str]:
    """A LIKE pattern (still escaped) as a regular expression: % any text, _ one character, case ignored."""
    out = []
    index = 0
    while index < len(text):
        char = text[index]
        if char == "\\" and index + 1 < len(text):
            index += 1
            following = text[index]
            out.append(re.escape({"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}.get(following, following)))
        elif char == "%":
            out.append(".*")
        elif char == "_":
            out.append(".")
        else:
            out.append(re.escape(char))
        index += 1
    return re.compile("".join(out), re.IGNORECASE | re.DOTALL)
