"""SOQL text to a syntax tree, and the refusals of the real parser: text repeated, caret, row and column.

Source: SOQL and SOSL Reference. A tree says nothing about whether names exist; see `query`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

from lark import Lark, Token, Transformer, UnexpectedCharacters, UnexpectedEOF, UnexpectedInput, UnexpectedToken
from lark.exceptions import VisitError

from .errors import Failure

AGGREGATES = frozenset({"count", "count_distinct", "avg", "sum", "min", "max"})
DATE_FUNCTIONS = frozenset(
    {
        "calendar_month", "calendar_quarter", "calendar_year", "day_in_month", "day_in_week", "day_in_year", "day_only",
        "fiscal_month", "fiscal_quarter", "fiscal_year", "hour_in_day", "week_in_month", "week_in_year",
    }
)  # fmt: skip
OTHER_FUNCTIONS = frozenset(
    {"tolabel", "convertcurrency", "format", "converttimezone", "fields", "grouping", "distance", "geolocation"}
)
_ESCAPES = {
    "n": "\n",
    "N": "\n",
    "r": "\r",
    "R": "\r",
    "t": "\t",
    "T": "\t",
    "b": "\b",
    "B": "\b",
    "f": "\f",
    "F": "\f",
    '"': '"',
    "'": "'",
    "\\": "\\",
}

_VARYING = re.compile(
    r"'(?:\\.|[^'\\])*'|\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)", re.DOTALL | re.I
)


@dataclass(frozen=True, slots=True)
class Position:
    """Where something stands in the text: row and column from 1."""

    row: int
    column: int


@dataclass(frozen=True, slots=True)
class FieldPath:
    """A field, perhaps of a parent: `Account.Owner.Name`."""

    parts: tuple[str, ...]
    at: Position

    @property
    def text(self) -> str:
        """As written."""
        return ".".join(self.parts)


@dataclass(frozen=True, slots=True)
class Call:
    """A function with its arguments. `name` is lower case."""

    name: str
    args: tuple[Any, ...]
    at: Position
    spelt: str = ""


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant. `kind`: string, number, boolean, null, date, datetime, relative, currency."""

    kind: str
    value: Any
    at: Position
    text: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """`operand operator value`; `like` counts as an operator."""

    operand: FieldPath | Call
    operator: str
    value: Literal


@dataclass(frozen=True, slots=True)
class Membership:
    """`operand [NOT] IN (values or subquery)`."""

    operand: FieldPath | Call
    negated: bool
    values: tuple[Literal, ...] | Query


@dataclass(frozen=True, slots=True)
class Multi:
    """`operand INCLUDES|EXCLUDES ('a;b', 'c')`."""

    operand: FieldPath | Call
    negated: bool
    values: tuple[Literal, ...]


@dataclass(frozen=True, slots=True)
class Junction:
    """Terms joined by "and" or "or"."""

    operator: str
    terms: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Negation:
    """`NOT term`."""

    term: Condition


Condition: TypeAlias = "Comparison | Membership | Multi | Junction | Negation"


@dataclass(frozen=True, slots=True)
class Selected:
    """A selected field or function with its alias."""

    what: FieldPath | Call
    alias: str | None


@dataclass(frozen=True, slots=True)
class TypeOf:
    """`TYPEOF path WHEN Type THEN fields ... ELSE fields END`."""

    path: FieldPath
    cases: tuple[tuple[Token, tuple[FieldPath, ...]], ...]
    otherwise: tuple[FieldPath, ...] | None


@dataclass(frozen=True, slots=True)
class From:
    """An object, or a relationship of the first one, with its alias."""

    path: FieldPath
    alias: str | None


@dataclass(frozen=True, slots=True)
class Order:
    """One key of ORDER BY."""

    what: FieldPath | Call
    descending: bool
    nulls_last: bool


@dataclass(slots=True)
class Query:
    """A whole SELECT."""

    select: list[Any] = field(default_factory=list)
    sources: list[From] = field(default_factory=list)
    scope: str | None = None
    where: Condition | None = None
    categories: bool = False
    grouping: str | None = None
    group_by: list[FieldPath | Call] = field(default_factory=list)
    having: Condition | None = None
    order_by: list[Order] = field(default_factory=list)
    limit: int | None = None
    offset: int = 0
    all_rows: bool = False
    marking: str | None = None
    """FOR VIEW or FOR REFERENCE: "view" or "reference"."""


def caret(text: str, at: Position, reason: str) -> str:
    """The real parser's message: the query, a caret under the offending word, row and column, the reason."""
    lines = text.split("\n")
    shown = lines[: at.row] if at.row <= len(lines) else lines
    return f"\n{chr(10).join(shown)}\n{' ' * (at.column - 1)}^\nERROR at Row:{at.row}:Column:{at.column}\n{reason}"


def refuse(text: str, at: Position, reason: str, code: str = "MALFORMED_QUERY") -> Failure:
    """A refusal that points into the query."""
    return Failure(400, code, caret(text, at, reason))


@lru_cache(maxsize=2048)
def parse(text: str, *, mixed: bool = False) -> Query:
    """The tree of a SOQL text. Raises Failure (400 MALFORMED_QUERY) with the place of the first wrong word.

    `mixed` lets AND stand beside OR without parentheses; it then binds closer.

    Trees are shared between calls: do not change them.
    """
    if not text.strip():
        raise Failure(400, "MALFORMED_QUERY", "A query string has to be specified")
    try:
        tree = _parser(mixed).parse(text)
    except (UnexpectedToken, UnexpectedEOF, UnexpectedCharacters) as error:
        raise _syntax_error(text, error) from None
    try:
        query = _Builder(text).transform(tree)
    except VisitError as error:
        if isinstance(error.orig_exc, Failure):
            raise error.orig_exc from None
        raise
    assert isinstance(query, Query)
    return query


def parse_by_shape(text: str, *, mixed: bool = False) -> Query:
    """Like `parse`, but quick for a text that differs from an earlier one only in its strings and date-times.

    Positions are those of the earlier text: whoever means to refuse the query must `parse` it. Raises Failure.
    """
    values: list[str] = []

    def stand_in(found: re.Match[str]) -> str:
        values.append(found[0])
        place = len(values) - 1
        return f"'\0{place}'" if found[0][0] == "'" else f"2000-01-01T00:00:00.{place:06d}Z"

    if "\0" in text:
        return parse(text, mixed=mixed)
    shape = _VARYING.sub(stand_in, text)
    return _Filler(text, values).query(_parse_shape(shape, mixed))


@lru_cache(maxsize=2048)
def _parse_shape(shape: str, mixed: bool) -> Query:
    return parse.__wrapped__(shape, mixed=mixed)


class _Filler:
    """Puts the strings and date-times of one text into the tree of another of the same shape."""

    def __init__(self, text: str, values: list[str]) -> None:
        self._text = text
        self._values = values

    def query(self, query: Query) -> Query:
        return replace(
            query,
            select=[self._selected(one) for one in query.select],
            where=self._condition(query.where) if query.where is not None else None,
            having=self._condition(query.having) if query.having is not None else None,
            group_by=[self._operand(one) for one in query.group_by],
            order_by=[replace(one, what=self._operand(one.what)) for one in query.order_by],
        )

    def _selected(self, one: Any) -> Any:
        if isinstance(one, Query):
            return self.query(one)
        if isinstance(one, Selected) and isinstance(one.what, Call):
            return replace(one, what=self._operand(one.what))
        return one

    def _operand(self, what: Any) -> Any:
        if not isinstance(what, Call):
            return what
        args = (self._literal(a, raw=True) if isinstance(a, Literal) else self._operand(a) for a in what.args)
        return replace(what, args=tuple(args))

    def _condition(self, one: Condition) -> Condition:
        if isinstance(one, Junction):
            return Junction(one.operator, tuple(self._condition(term) for term in one.terms))
        if isinstance(one, Negation):
            return Negation(self._condition(one.term))
        if isinstance(one, Comparison):
            value = self._literal(one.value, raw=one.operator == "like")
            return Comparison(self._operand(one.operand), one.operator, value)
        if isinstance(one, Membership) and isinstance(one.values, Query):
            return Membership(self._operand(one.operand), one.negated, self.query(one.values))
        assert not isinstance(one.values, Query)
        values = tuple(self._literal(value) for value in one.values)
        if isinstance(one, Membership):
            return Membership(self._operand(one.operand), one.negated, values)
        return Multi(self._operand(one.operand), one.negated, values)

    def _literal(self, literal: Literal, *, raw: bool = False) -> Literal:
        if literal.kind == "string":
            written = self._values[int(literal.value[1:])]
            made = Literal("string", written[1:-1], literal.at, written)
            return made if raw else Literal("string", unescape(self._text, made), literal.at, written)
        if literal.kind == "datetime":
            written = self._values[int(literal.value.partition(".")[2][:-1])]
            return Literal("datetime", written.upper(), literal.at, written)
        return literal


@lru_cache(maxsize=2)
def _parser(mixed: bool) -> Lark:
    grammar = (Path(__file__).parent / "soql.lark").read_text("utf-8")
    if mixed:
        grammar = grammar.replace("?condition: and_list | or_list | term", "?condition: or_list | and_list | term")
        grammar = grammar.replace("or_list: term (OR term)+", "or_list: (and_list | term) (OR (and_list | term))+")
    return Lark(grammar, parser="lalr", lexer="contextual", maybe_placeholders=False, propagate_positions=True)


def _syntax_error(text: str, error: UnexpectedInput) -> Failure:
    if isinstance(error, UnexpectedToken) and error.token.type != "$END":
        word, at = str(error.token), Position(error.token.line or 1, error.token.column or 1)
        if word.startswith(":"):
            return refuse(text, at, "Bind variables only allowed in Apex code")
        return refuse(text, at, f"unexpected token: '{word}'")
    if isinstance(error, UnexpectedCharacters):
        at = Position(error.line, error.column)
        char = text[error.pos_in_stream or 0 :][:1]
        if char == "'":
            return Failure(
                400, "MALFORMED_QUERY", f"line {at.row}:{at.column - 1} mismatched character '<EOF>' expecting '''"
            )
        if char == '"':
            return Failure(
                400, "MALFORMED_QUERY", f"line {at.row}:{at.column - 1} no viable alternative at character '\"'"
            )
        start = end = error.pos_in_stream or 0
        while end < len(text) and (text[end].isalnum() or text[end] in "_-:.+"):
            end += 1
        word = text[start:end] or char
        if char == ":":
            return refuse(text, at, "Bind variables only allowed in Apex code")
        return refuse(text, at, f"unexpected token: '{word}'")
    trimmed = text.rstrip()
    row = trimmed.count("\n") + 1
    return refuse(text, Position(row, len(trimmed.rsplit("\n", 1)[-1]) + 1), "unexpected token: '<EOF>'")


def _at(token: Token) -> Position:
    return Position(token.line or 1, token.column or 1)


class _Builder(Transformer[Token, Any]):
    """Lark's tree to ours, bottom up."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def start(self, kids: list[Any]) -> Any:
        return kids[0]

    # words and values

    def path(self, kids: list[Token]) -> FieldPath:
        return FieldPath(tuple(str(k) for k in kids), _at(kids[0]))

    def call(self, kids: list[Any]) -> Call:
        name = kids[0]
        lowered = str(name).lower()
        if lowered not in AGGREGATES | DATE_FUNCTIONS | OTHER_FUNCTIONS:
            raise refuse(self._text, _at(name), f"Invalid function name: {name}")
        return Call(lowered, tuple(kids[1]) if len(kids) > 1 and kids[1] else (), _at(name), str(name))

    def call_args(self, kids: list[Any]) -> list[Any]:
        return kids

    def STRING(self, token: Token) -> Literal:  # noqa: N802 - lark calls it by the terminal
        return Literal("string", token[1:-1], _at(token), str(token))

    def NUMBER(self, token: Token) -> Literal:  # noqa: N802 - lark calls it by the terminal
        is_float = any(c in token.lower() for c in ".e")
        return Literal("number", float(token) if is_float else int(token), _at(token), str(token))

    def BOOLEAN(self, token: Token) -> Literal:  # noqa: N802 - lark calls it by the terminal
        return Literal("boolean", token.lower() == "true", _at(token), str(token))

    def NULL(self, token: Token) -> Literal:  # noqa: N802 - lark calls it by the terminal
        return Literal("null", None, _at(token), str(token))

    def DATE(self, token: Token) -> Literal:  # noqa: N802 - lark calls it by the terminal
        return Literal("date", str(token), _at(token), str(token))

    def DATETIME(self, token: Token) -> Literal:  # noqa: N802 - lark calls it by the terminal
        return Literal("datetime", str(token).upper(), _at(token), str(token))

    def RELATIVE(self, token: Token) -> Literal:  # noqa: N802 - lark calls it by the terminal
        return Literal("relative", str(token).upper(), _at(token), str(token))

    def CURRENCY(self, token: Token) -> Literal:  # noqa: N802 - lark calls it by the terminal
        return Literal("currency", (str(token)[:3].upper(), float(token[3:])), _at(token), str(token))

    def bind(self, kids: list[Token]) -> Any:
        at = _at(kids[0])
        raise refuse(self._text, Position(at.row, max(1, at.column - 1)), "Bind variables only allowed in Apex code")

    # select

    def aliased(self, kids: list[Any]) -> Selected:
        return Selected(kids[0], str(kids[1]) if len(kids) > 1 else None)

    def subquery(self, kids: list[Any]) -> Query:
        inner: Query = kids[0]
        return inner

    def typeof(self, kids: list[Any]) -> TypeOf:
        cases = tuple(k[1:] for k in kids if isinstance(k, tuple) and k[0] == "when")
        others = [k[1] for k in kids if isinstance(k, tuple) and k[0] == "else"]
        path = next(k for k in kids if isinstance(k, FieldPath))
        return TypeOf(path, cases, others[0] if others else None)

    def when(self, kids: list[Any]) -> tuple[Any, ...]:
        return ("when", kids[1], kids[3])

    def else_(self, kids: list[Any]) -> tuple[Any, ...]:
        return ("else", kids[1])

    def path_list(self, kids: list[FieldPath]) -> tuple[FieldPath, ...]:
        return tuple(kids)

    def select_list(self, kids: list[Any]) -> list[Any]:
        return kids

    def from_item(self, kids: list[Any]) -> From:
        alias = kids[-1] if len(kids) > 1 else None
        return From(kids[0], str(alias) if alias is not None else None)

    def from_list(self, kids: list[From]) -> list[From]:
        return kids

    # conditions

    def comparison(self, kids: list[Any]) -> Comparison:
        operator = "!=" if kids[1] == "<>" else str(kids[1])
        return Comparison(kids[0], operator, self._plain(kids[2]))

    def like(self, kids: list[Any]) -> Comparison:
        return Comparison(kids[0], "like", kids[2])

    def membership(self, kids: list[Any]) -> Membership:
        return Membership(kids[0], str(kids[1]).lower().startswith("not"), kids[2])

    def values(self, kids: list[Literal]) -> tuple[Literal, ...]:
        return tuple(self._plain(k) for k in kids)

    def multi(self, kids: list[Any]) -> Multi:
        return Multi(kids[0], str(kids[1]).lower() == "excludes", tuple(self._plain(k) for k in kids[2:]))

    def and_list(self, kids: list[Any]) -> Junction:
        return Junction("and", tuple(k for k in kids if not isinstance(k, Token)))

    def or_list(self, kids: list[Any]) -> Junction:
        return Junction("or", tuple(k for k in kids if not isinstance(k, Token)))

    def negation(self, kids: list[Any]) -> Negation:
        return Negation(kids[1])

    def where(self, kids: list[Any]) -> tuple[str, Any]:
        return ("where", kids[1])

    def having(self, kids: list[Any]) -> tuple[str, Any]:
        return ("having", kids[1])

    def _plain(self, literal: Literal) -> Literal:
        if literal.kind != "string":
            return literal
        return Literal("string", unescape(self._text, literal), literal.at, literal.text)

    # the other clauses

    def using(self, kids: list[Any]) -> tuple[str, Any]:
        return ("scope", str(kids[2]).lower())

    def with_mode(self, kids: list[Any]) -> tuple[str, Any]:
        return ("ignored", None)

    def with_category(self, kids: list[Any]) -> tuple[str, Any]:
        return ("categories", True)

    def group_list(self, kids: list[Any]) -> tuple[str | None, list[Any]]:
        return (None, kids)

    def rollup(self, kids: list[Any]) -> tuple[str | None, list[Any]]:
        return ("rollup", kids[1:])

    def cube(self, kids: list[Any]) -> tuple[str | None, list[Any]]:
        return ("cube", kids[1:])

    def group_by(self, kids: list[Any]) -> tuple[str, Any]:
        return ("group", (kids[1], kids[2][1] if len(kids) > 2 else None))

    def order_item(self, kids: list[Any]) -> Order:
        words = [str(k).lower() for k in kids[1:]]
        return Order(kids[0], "desc" in words, any("last" in w for w in words if w.startswith("nulls")))

    def order_by(self, kids: list[Any]) -> tuple[str, Any]:
        return ("order", kids[1:])

    def limit(self, kids: list[Any]) -> tuple[str, Any]:
        return ("limit", self._whole(kids[1]))

    def offset(self, kids: list[Any]) -> tuple[str, Any]:
        return ("offset", self._whole(kids[1]))

    def _whole(self, literal: Literal) -> int:
        if not isinstance(literal.value, int) or literal.value < 0:
            raise refuse(self._text, literal.at, f"unexpected token: '{literal.text}'")
        return literal.value

    def for_clause(self, kids: list[Any]) -> tuple[str, Any]:
        what = str(kids[1]).lower()
        return ("ignored", None) if what == "update" else ("marking", what)

    def update_clause(self, kids: list[Any]) -> tuple[str, Any]:
        return ("ignored", None)

    def query(self, kids: list[Any]) -> Query:
        made = Query(select=kids[1], sources=kids[3])
        for kid in kids[4:]:
            if isinstance(kid, Token):
                made.all_rows = True
                continue
            key, value = kid
            if key == "group":
                (made.grouping, made.group_by), made.having = value
            elif key == "order":
                made.order_by = value
            elif key != "ignored":
                setattr(made, key, value)
        return made


setattr(_Builder, "else", _Builder.else_)


def unescape(text: str, literal: Literal) -> str:
    """The characters that a quoted string stands for. An unknown escape is a refusal."""
    raw: str = literal.value
    if "\\" not in raw:
        return raw
    out, index = [], 0
    while index < len(raw):
        char = raw[index]
        if char == "\\":
            index += 1
            following = raw[index]
            if following in "uU" and len(raw) >= index + 5:
                try:
                    out.append(chr(int(raw[index + 1 : index + 5], 16)))
                except ValueError:
                    raise _bad_escape(text, literal, following) from None
                index += 5
                continue
            if following in _ESCAPES:
                out.append(_ESCAPES[following])
            elif following in "%_":
                out.append(following)
            else:
                raise _bad_escape(text, literal, following)
        else:
            out.append(char)
        index += 1
    return "".join(out)


def _bad_escape(text: str, literal: Literal, char: str) -> Failure:
    return refuse(
        text,
        literal.at,
        f"Invalid string literal '{literal.value}'. Illegal character sequence '\\{char}' in string literal.",
    )
