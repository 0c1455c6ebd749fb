"""Searching: restrictions compiled to predicates, sort orders, paging.

Source: EWS reference, Restriction, Contains, Excludes, Exists, the six comparisons, SortOrder, IndexedPageItemView,
FractionalPageItemView; "Use search filters with EWS". A property that an item lacks satisfies IsNotEqualTo only.
Text is compared without regard to case by the comparisons; Contains says itself how.
"""

from __future__ import annotations

import base64
import functools
import unicodedata
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar

from . import extended
from .errors import EwsError, schema_violation
from .properties import BY_URI, INDEXED, Field, View, field_uri, indexed_uri
from .soap import Element, child, local
from .store import Item, PropertyKey
from .values import Codec, Text

Predicate = Callable[[Item], bool]
Reader = Callable[[Item], Any]
Row = TypeVar("Row")
MAX_DEPTH = 40
COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "IsEqualTo": lambda left, right: bool(left == right),
    "IsNotEqualTo": lambda left, right: bool(left != right),
    "IsGreaterThan": lambda left, right: bool(left > right),
    "IsGreaterThanOrEqualTo": lambda left, right: bool(left >= right),
    "IsLessThan": lambda left, right: bool(left < right),
    "IsLessThanOrEqualTo": lambda left, right: bool(left <= right),
}
_PATHS = ("FieldURI", "IndexedFieldURI", "ExtendedFieldURI")


class Searcher:
    """Compiles the search part of one request. `folder_field` reads folder:* properties, for FindFolder."""

    def __init__(self, view: View, other: Callable[[str], Reader | None] | None = None) -> None:
        self._view = view
        self._other = other

    def restriction(self, node: Element | None) -> Predicate | None:
        """The predicate of an m:Restriction; None without one. Raises `EwsError` or a schema fault."""
        if node is None:
            return None
        parts = list(node)
        if len(parts) != 1:
            raise schema_violation(
                "The element 'Restriction' must have exactly one search expression.", node.sourceline
            )
        return self._expression(parts[0], 0)

    def _expression(self, node: Element, depth: int) -> Predicate:
        if depth > MAX_DEPTH:
            raise EwsError("ErrorRestrictionTooComplex")
        name = local(node)
        if name in ("And", "Or"):
            inner = [self._expression(part, depth + 1) for part in node]
            if len(inner) < 1:
                raise schema_violation(f"The element '{name}' has incomplete content.", node.sourceline)
            combine = all if name == "And" else any
            return lambda item: combine(test(item) for test in inner)
        if name == "Not":
            parts = list(node)
            if len(parts) != 1:
                raise schema_violation("The element 'Not' must have exactly one search expression.", node.sourceline)
            negated = self._expression(parts[0], depth + 1)
            return lambda item: not negated(item)
        if name == "Exists":
            read, _ = self._path(node)
            path = node[0]
            if local(path) == "FieldURI" and path.get("FieldURI") in _FLAGS:
                raise EwsError("ErrorInvalidPropertyForExists", path=path)
            return lambda item: read(item) is not None
        if name == "Contains":
            return self._contains(node)
        if name == "Excludes":
            return self._excludes(node)
        if name in COMPARISONS:
            return self._comparison(node, COMPARISONS[name], name)
        raise schema_violation(f"The element 'Restriction' has invalid child element '{name}'.", node.sourceline)

    def _path(self, node: Element) -> tuple[Reader, Callable[[str], Any]]:
        path = next((part for part in node if local(part) in _PATHS), None)
        if path is None:
            raise schema_violation(f"The element '{local(node)}' has incomplete content.", node.sourceline)
        return self.path(path)

    def path(self, path: Element) -> tuple[Reader, Callable[[str], Any]]:
        """(how to read a property from an item, how to read a constant of its type)."""
        name = local(path)
        if name == "IndexedFieldURI":
            uri, index = indexed_uri(path)
            if uri not in INDEXED:
                raise EwsError("ErrorUnsupportedPathForQuery", path=path)
            return _indexed_reader(uri, index), str
        if name == "ExtendedFieldURI":
            key, kind = extended.read_key(path)
            convert = _converter(kind)
            return _extended_reader(key, convert), convert
        uri = field_uri(path)
        if self._other is not None and uri.startswith("folder:"):
            reader = self._other(uri)
            if reader is None:
                raise EwsError("ErrorUnsupportedPathForQuery", path=path)
            return reader, lambda text: int(text) if text.lstrip("-").isdigit() else text
        if uri in _NEVER_MATCHING:
            return lambda item: None, str
        known = [fields[uri] for fields in BY_URI.values() if uri in fields]
        if not known or not _searchable(known[0]):
            raise EwsError("ErrorUnsupportedPathForQuery", path=path)
        view = self._view
        of_kind = {kind: fields[uri] for kind, fields in BY_URI.items() if uri in fields}
        shown = _SHOWN.get(uri)

        def read(item: Item) -> Any:
            one = of_kind.get(item.kind)
            if one is None:
                return None
            value = one.value(item, view)
            return value if value is None or shown is None else shown(value)

        codec: Codec = known[0].codec if shown is None else _TEXT

        def constant(text: str) -> Any:
            value = codec.constant(text, view)
            if isinstance(value, datetime) and value.tzinfo is None:
                return value.replace(tzinfo=view.zone.tz)
            return value

        return read, constant

    def _comparison(self, node: Element, compare: Callable[[Any, Any], bool], name: str) -> Predicate:
        read, constant = self._path(node)
        holder = child(node, "FieldURIOrConstant")
        inner = next(iter(holder), None) if holder is not None else None
        if inner is None:
            raise schema_violation(
                f"The element '{local(node)}' has incomplete content: 'FieldURIOrConstant' expected.", node.sourceline
            )
        missing = name == "IsNotEqualTo"
        if local(inner) == "Constant":
            text = inner.get("Value")
            if text is None:
                raise schema_violation("The required attribute 'Value' is missing.", inner.sourceline)
            wanted = _fold(constant(text))
            return lambda item: _compare(_fold(read(item)), wanted, compare, missing)
        other, _ = self.path(inner)
        return lambda item: _compare(_fold(read(item)), _fold(other(item)), compare, missing)

    def _contains(self, node: Element) -> Predicate:
        mode = node.get("ContainmentMode") or "FullString"
        case = node.get("ContainmentComparison") or "Exact"
        if mode not in ("FullString", "Prefixed", "Substring", "PrefixOnWords", "ExactPhrase"):
            raise schema_violation(f"The value '{mode}' is invalid for 'ContainmentMode'.", node.sourceline)
        fold = _COMPARISON_FOLDS.get(case)
        if fold is None:
            raise schema_violation(f"The value '{case}' is invalid for 'ContainmentComparison'.", node.sourceline)
        read, _ = self._path(node)
        constant = child(node, "Constant")
        text = constant.get("Value") if constant is not None else None
        if text is None:
            raise schema_violation(
                "The element 'Contains' has incomplete content: 'Constant' expected.", node.sourceline
            )
        wanted = fold(text)
        test = _MODES[mode]

        def matches(item: Item) -> bool:
            value = read(item)
            if value is None:
                return False
            texts = value if isinstance(value, (tuple, list)) else (getattr(value, "text", value),)
            return any(test(fold(str(one)), wanted) for one in texts)

        return matches

    def _excludes(self, node: Element) -> Predicate:
        read, _ = self._path(node)
        mask = child(node, "Bitmask")
        text = (mask.get("Value") if mask is not None else None) or ""
        try:
            bits = int(text, 16) if text.lower().startswith("0x") else int(text)
        except ValueError:
            raise schema_violation(f"The value '{text}' is not a valid bit mask.", node.sourceline) from None
        return lambda item: isinstance(value := read(item), int) and not value & bits

    def order(self, node: Element | None) -> Callable[[Sequence[Item]], list[Item]] | None:
        """How to sort, by an m:SortOrder; None without one."""
        if node is None:
            return None
        keys: list[tuple[Reader, bool]] = []
        for part in node:
            if local(part) != "FieldOrder":
                raise schema_violation(
                    f"The element 'SortOrder' has invalid child element '{local(part)}'.", part.sourceline
                )
            direction = part.get("Order")
            if direction not in ("Ascending", "Descending"):
                raise schema_violation("The required attribute 'Order' is missing or invalid.", part.sourceline)
            try:
                read, _ = self._path(part)
            except EwsError as error:
                if error.code == "ErrorUnsupportedPathForQuery":
                    raise EwsError("ErrorUnsupportedPathForSortGroup", path=error.path) from None
                raise
            keys.append((read, direction == "Descending"))

        def sort(items: Sequence[Item]) -> list[Item]:
            rows = list(items)
            for read, descending in reversed(keys):
                rows.sort(key=lambda item, read=read: _sort_key(read(item)), reverse=descending)  # type: ignore[misc]
            return rows

        return sort


_BODIES = ("item:Body", "item:TextBody", "item:UniqueBody")
_PEOPLE = ("calendar:Organizer", "message:From", "message:Sender", "message:ReceivedBy", "message:ReceivedRepresenting")
_SHOWN: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(_BODIES, lambda body: body.text),
    **dict.fromkeys(_PEOPLE, lambda person: (person.name, person.address)),
    "item:ConversationId": lambda raw: base64.b64encode(raw).decode("ascii"),
}
"""What a restriction compares where the property is a structure: text of a body, name or address of a person."""
_FLAGS = {"item:IsDraft", "item:IsSubmitted", "item:IsUnmodified", "item:IsResend", "item:IsFromMe"}
_NOT_SEARCHABLE = {
    "item:Culture", "calendar:UID", "calendar:IsResponseRequested", "contacts:Companies", "message:ConversationIndex",
    "task:Status",
}  # fmt: skip
"""Properties that Exchange refuses in a restriction although they are plain values; as SDKs found."""
_NEVER_MATCHING = {"item:ReminderDueBy", "calendar:AllowNewTimeProposal", "task:PercentComplete"}
"""Properties that Exchange accepts in a restriction, and for which no item is ever found; same source."""
_LISTS = {"item:Categories", "contacts:Children", "task:Companies", "task:Contacts"}


_TEXT = Text()


def _searchable(one: Field) -> bool:
    if one.uri in _NOT_SEARCHABLE:
        return False
    return one.codec.sortable or one.uri in _LISTS or one.uri in _SHOWN


def _indexed_reader(uri: str, index: str) -> Reader:
    whole = INDEXED[uri][0]
    part = uri.rpartition(":")[2] if uri.startswith("contacts:PhysicalAddress:") else None

    def read(item: Item) -> Any:
        entry = (item.get(whole) or {}).get(index)
        return entry.get(part) if part is not None and entry is not None else entry

    return read


def _extended_reader(key: PropertyKey, convert: Callable[[str], Any]) -> Reader:
    mirror = extended.is_mirror(key)

    def read(item: Item) -> Any:
        stored = item.extended.get(key)
        if stored is None and not mirror:
            return None
        value = stored.value if stored is not None else extended.value_of(item, key)
        return None if value is None else tuple(map(convert, value)) if isinstance(value, tuple) else convert(value)

    return read


def _converter(kind: str) -> Callable[[str], Any]:
    base = kind.removesuffix("Array")
    if base in ("Integer", "Short", "Long", "Currency"):
        return lambda text: int(text) if text.strip().lstrip("-").isdigit() else text
    if base in ("Double", "Float", "ApplicationTime"):
        return _as_float
    if base == "Boolean":
        return lambda text: text.strip().lower() in ("true", "1")
    if base == "SystemTime":
        return _as_time
    return str


def _as_float(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return text


def _as_time(text: str) -> Any:
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return text


def _fold(value: Any) -> Any:
    return value.casefold() if isinstance(value, str) else value


def _compare(left: Any, right: Any, compare: Callable[[Any, Any], bool], missing: bool) -> bool:
    if left is None or right is None:
        return missing and left is not right
    if isinstance(left, tuple):
        return any(
            _compare(_fold(one), right[0] if isinstance(right, tuple) and right else right, compare, missing)
            for one in left
        )
    try:
        return compare(left, right)
    except TypeError:
        return missing


def _bare(text: str) -> str:
    """Without marks that do not space (ignoring accents)."""
    return "".join(mark for mark in unicodedata.normalize("NFD", text) if not unicodedata.combining(mark))


_COMPARISON_FOLDS: dict[str, Callable[[str], str]] = {
    "Exact": str,
    "IgnoreCase": str.casefold,
    "IgnoreNonSpacingCharacters": _bare,
    "Loose": lambda text: _bare(text).casefold(),
    "IgnoreCaseAndNonSpacingCharacters": lambda text: _bare(text).casefold(),
    "LooseAndIgnoreCase": lambda text: _bare(text).casefold(),
    "LooseAndIgnoreNonSpace": lambda text: _bare(text).casefold(),
    "LooseAndIgnoreCaseAndIgnoreNonSpace": lambda text: _bare(text).casefold(),
}
_MODES: dict[str, Callable[[str, str], bool]] = {
    "FullString": lambda text, wanted: text == wanted,
    "Prefixed": lambda text, wanted: text.startswith(wanted),
    "Substring": lambda text, wanted: wanted in text,
    "PrefixOnWords": lambda text, wanted: any(word.startswith(wanted) for word in text.split()),
    "ExactPhrase": lambda text, wanted: wanted in text,
}


@functools.total_ordering
class _Smallest:
    """Sorts before every value: items without the property come first in ascending order."""

    def __lt__(self, other: object) -> bool:
        return not isinstance(other, _Smallest)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Smallest)

    def __hash__(self) -> int:
        return 0


def _sort_key(value: Any) -> Any:
    if value is None:
        return (0, "")
    if isinstance(value, (tuple, list)):
        return (1, "; ".join(map(str, value)).casefold())
    return (1, value.casefold()) if isinstance(value, str) else (1, value)


class Page:
    """One page of a list of rows, and the attributes that describe it on the wire."""

    def __init__(self, rows: Sequence[Any], start: int, total: int, last: bool, attributes: dict[str, str]) -> None:
        self.rows = rows
        self.start = start
        self.total = total
        self.last = last
        self.attributes = attributes


def paginate(rows: Sequence[Row], node: Element | None, limit: int | None) -> Page:
    """The page that a paging element asks for. `limit` is the most rows of one page.

    Raises `EwsError` for impossible offsets and fractions, and ErrorExceededFindCountLimit for an unpaged search
    that finds more than the limit.
    """
    total = len(rows)
    if node is None:
        if limit is not None and total > limit:
            raise EwsError("ErrorExceededFindCountLimit", values=[("PolicyLimit", str(limit))])
        return Page(rows, 0, total, True, {"TotalItemsInView": str(total), "IncludesLastItemInRange": "true"})
    size = _int_attribute(node, "MaxEntriesReturned", None)
    if size is not None and size <= 0:
        raise EwsError("ErrorInvalidPagingMaxRows")
    size = min(size, limit) if size is not None and limit is not None else size or limit or total or 1
    if local(node).startswith("Indexed"):
        offset = _int_attribute(node, "Offset", 0) or 0
        point = node.get("BasePoint")
        if point not in ("Beginning", "End"):
            raise schema_violation("The required attribute 'BasePoint' is missing or invalid.", node.sourceline)
        if offset < 0:
            raise EwsError("ErrorInvalidIndexedPagingParameters")
        if point == "End":
            stop = max(total - offset, 0)
            start = max(stop - size, 0)
            following = offset + (stop - start)
            last = start == 0
            return Page(rows[start:stop], start, total, last, _attributes(following, total, last))
        stop = min(offset + size, total)
        return Page(
            rows[offset:stop], offset, total, stop >= total, _attributes(max(stop, offset), total, stop >= total)
        )
    numerator, denominator = _int_attribute(node, "Numerator", 0) or 0, _int_attribute(node, "Denominator", 1) or 0
    if denominator <= 0 or not 0 <= numerator <= denominator:
        raise EwsError("ErrorInvalidFractionalPagingParameters")
    start = total * numerator // denominator
    stop = min(start + size, total)
    attributes = {
        "NumeratorOffset": str(stop), "AbsoluteDenominator": str(max(total, 1)), "TotalItemsInView": str(total),
        "IncludesLastItemInRange": "true" if stop >= total else "false",
    }  # fmt: skip
    return Page(rows[start:stop], start, total, stop >= total, attributes)


def _attributes(following: int, total: int, last: bool) -> dict[str, str]:
    return {
        "IndexedPagingOffset": str(following),
        "TotalItemsInView": str(total),
        "IncludesLastItemInRange": "true" if last else "false",
    }


def _int_attribute(node: Element, name: str, default: int | None) -> int | None:
    text = node.get(name)
    if text is None:
        return default
    try:
        return int(text)
    except ValueError:
        raise schema_violation(
            f"The '{name}' attribute is invalid - The value '{text}' is invalid.", node.sourceline
        ) from None
