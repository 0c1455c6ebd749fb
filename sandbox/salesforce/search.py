"""SOSL, in its common form: FIND {text} [IN group] [RETURNING Object(fields WHERE ... ORDER BY ... LIMIT n), ...]
[LIMIT n].

Source: SOQL and SOSL Reference "SOSL Syntax"; REST API guide "Search", "Parameterized Search". Other clauses (WITH,
TOOLING, HIGHLIGHT) are refused as not implemented. A term matches whole words without regard to case, `*` any rest,
`?` one character.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

from sandbox.kit.http import Response

from .errors import Failure, NotImplementedHere
from .results import Result, View, attributes
from .schema import SObject
from .soql import Position, caret
from .store import Row

if TYPE_CHECKING:
    from .server import Call, SalesforceServer

MOST = 2000
_GROUPS = {"ALL": None, "NAME": ("Name",), "EMAIL": ("email",), "PHONE": ("phone",), "SIDEBAR": None}
_SEARCHED = frozenset({"string", "textarea", "phone", "url", "email", "picklist", "combobox", "multipicklist"})
_BY_DEFAULT = ("Account", "Contact", "Lead", "Opportunity", "Case", "Campaign", "Event", "Task", "User")
_TOKEN = re.compile(
    r'\s*(?:(\()|(\))|"((?:\\.|[^"\\])*)"|(AND\s+NOT|AND|OR|NOT)(?=[\s(]|$)|((?:\\.|[^\s()"\\])+))', re.IGNORECASE
)
_WORD = re.compile(r"[^\W_]+", re.UNICODE)
_BOUNDS = re.compile(r"(?=\s(?:LIMIT|OFFSET)\s)(?:\s+LIMIT\s+(\d+))?(?:\s+OFFSET\s+(\d+))?\s*$", re.IGNORECASE)
"""LIMIT and OFFSET of an object count what was found, so they are no part of its SOQL."""
Match = Callable[[list[str], str], bool]


@dataclass
class _Returning:
    """One object to search, with what to show of it: a SOQL select without its own FROM."""

    name: str
    fields: str = ""
    rest: str = ""
    limit: int | None = None
    """Most rows found of the object."""
    offset: int = 0


@dataclass
class _Search:
    term: str
    at: int
    group: str = "ALL"
    returning: list[_Returning] = field(default_factory=list)
    limit: int = MOST


class Search:
    """Handlers."""

    def __init__(self, server: SalesforceServer) -> None:
        self._server = server

    def search(self, call: Call) -> Response:
        text = call.request.param("q")
        if not text or not text.strip():
            raise Failure(400, "MALFORMED_SEARCH", "A search string has to be specified")
        return self._answer(call, _Parser(text).parse(), text)

    def parameterized(self, call: Call) -> Response:
        request = call.request
        if request.method == "POST":
            body = call.record()
            kinds = [kind for kind in body.get("sobjects") or [] if isinstance(kind, dict)]
        else:
            names = [name.strip() for name in (request.param("sobject") or "").split(",") if name.strip()]
            body = {name: request.param(name) for name in ("q", "in", "fields", "overallLimit", "defaultLimit")}
            kinds = [{part: request.param(f"{name}.{part}") for part in _PARTS} | {"name": name} for name in names]
        term = str(body.get("q") or "")
        if not term.strip():
            raise Failure(400, "MALFORMED_SEARCH", "A search string has to be specified")
        limit = _number(body.get("overallLimit"))
        wanted = [_parameterized(kind, body) for kind in kinds]
        return self._answer(
            call, _Search(term, 1, _group(body.get("in")), wanted, MOST if limit is None else min(limit, MOST)), term
        )

    def _answer(self, call: Call, wanted: _Search, text: str) -> Response:
        if len([c for c in wanted.term if c.isalnum()]) < 2:
            raise Failure(400, "MALFORMED_SEARCH", "search term must be longer than one character: " + wanted.term)
        matches = _terms(wanted.term, text, wanted.at)
        shown: list[dict[str, Any]] = []
        view = View(call.base, lambda result, view: None)
        for one in wanted.returning or [_Returning(n) for n in _BY_DEFAULT]:
            sobject = self._server.schema.object(one.name)
            if sobject is None or sobject.name in self._server.records.rules.no_access or not sobject.can("searchable"):
                raise Failure(400, "INVALID_TYPE", f"sObject type '{one.name}' is not supported.")
            result = self._matching(call, sobject, one)
            found = (row for row in result.rows if self._hits(sobject, row, matches, wanted.group))
            room = wanted.limit - len(shown)
            most = room if one.limit is None else min(room, one.limit)
            shown += [
                result.show(row, view)
                if one.fields
                else {"attributes": attributes(sobject.name, row["Id"], call.base), "Id": row["Id"]}
                for row in islice(found, one.offset, one.offset + most)
            ]
        return Response.of_json({"searchRecords": shown}, records=len(shown))

    def _matching(self, call: Call, sobject: SObject, one: _Returning) -> Result:
        text = f"SELECT {one.fields or 'Id'} FROM {sobject.name}{one.rest}"  # noqa: S608 - for our own parser
        return self._server.engine.run(text, user=call.session.user)

    def _hits(self, sobject: SObject, row: Row, matches: Match, group: str) -> bool:
        words: list[str] = []
        texts: list[str] = []
        hidden = self._server.records.hidden(sobject.name)
        for f in sobject.fields.values():
            if f.type not in _SEARCHED or f.name in hidden or not _in_group(f.type, f.name_field, group):
                continue
            value = row.get(f.name)
            if value:
                lowered = str(value).casefold()
                texts.append(" ".join(_WORD.findall(lowered)))
                words += [*_WORD.findall(lowered), *lowered.split()]
                if f.type == "phone":
                    words.append(re.sub(r"\D", "", lowered))
        return matches(words, "\n".join(texts))


_PARTS = ("fields", "where", "orderBy", "limit")


def _parameterized(kind: Mapping[str, Any], common: Mapping[str, Any]) -> _Returning:
    """One object of a parameterised search; what it leaves out comes from the members for all (`fields`,
    `defaultLimit`). Fields are a list in JSON and a text with commas in a query string."""
    fields = kind.get("fields") or common.get("fields") or []
    shown = fields if isinstance(fields, str) else ", ".join(str(name) for name in fields)
    limit = _number(kind.get("limit") or common.get("defaultLimit"))
    rest = f" WHERE {kind['where']}" if kind.get("where") else ""
    rest += f" ORDER BY {kind['orderBy']}" if kind.get("orderBy") else ""
    return _Returning(str(kind.get("name")), shown, rest, limit)


def _group(given: object) -> str:
    """The search group of the member `in`: ALL, "NAME FIELDS"... Raises Failure MALFORMED_SEARCH."""
    name = str(given or "ALL").upper().removesuffix(" FIELDS").strip()
    if name not in _GROUPS:
        raise Failure(400, "MALFORMED_SEARCH", f"Invalid search group: {given}")
    return name


def _number(given: object) -> int | None:
    text = str(given) if given is not None else ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else None


def _in_group(kind: str, name_field: bool, group: str) -> bool:
    if group == "NAME":
        return name_field
    if group in ("EMAIL", "PHONE"):
        return kind == group.lower()
    return True


class _Parser:
    """Reads a SOSL text; refusals point at the place as the real parser's do."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._place = 0

    def fail(self, reason: str, place: int | None = None) -> Failure:
        at = self._place if place is None else place
        before = self._text[:at]
        position = Position(before.count("\n") + 1, at - (before.rfind("\n") + 1) + 1)
        return Failure(400, "MALFORMED_SEARCH", caret(self._text, position, reason))

    def _word(self, pattern: str) -> str | None:
        found = re.compile(r"\s*(" + pattern + r")(?!\w)", re.IGNORECASE).match(self._text, self._place)
        if not found:
            return None
        self._place = found.end()
        return found[1].upper()

    def _unexpected(self) -> Failure:
        rest = self._text[self._place :]
        self._place += len(rest) - len(rest.lstrip())
        found = re.match(r"\w+|\S", rest.lstrip())
        return self.fail(f"unexpected token: '{found[0] if found else '<EOF>'}'")

    def parse(self) -> _Search:
        """The search. Raises Failure MALFORMED_SEARCH, or 501 for a clause that is not implemented."""
        if self._word("FIND") is None:
            raise self._unexpected()
        wanted = self._term()
        if self._word("IN"):
            group = self._word("ALL|NAME|EMAIL|PHONE|SIDEBAR")
            if group is None or self._word("FIELDS") is None:
                raise self._unexpected()
            wanted.group = group
        if self._word("RETURNING"):
            wanted.returning.append(self._returning())
            while self._symbol(","):
                wanted.returning.append(self._returning())
        if clause := self._word("WITH|UPDATE|TOOLING"):
            raise NotImplementedHere(f"the SOSL clause {clause}")
        if self._word("LIMIT"):
            found = re.compile(r"\s*(\d{1,9})").match(self._text, self._place)
            if not found:
                raise self._unexpected()
            self._place = found.end()
            wanted.limit = min(int(found[1]), MOST)
        if self._text[self._place :].strip():
            raise self._unexpected()
        return wanted

    def _symbol(self, symbol: str) -> bool:
        found = re.compile(r"\s*" + re.escape(symbol)).match(self._text, self._place)
        if found:
            self._place = found.end()
        return found is not None

    def _term(self) -> _Search:
        if not self._symbol("{"):
            raise self._unexpected()
        start = self._place
        index = start
        while index < len(self._text) and self._text[index] != "}":
            index += 2 if self._text[index] == "\\" else 1
        if index >= len(self._text):
            raise self.fail(
                "line 1:" + str(len(self._text)) + " mismatched character '<EOF>' expecting '}'", len(self._text)
            )
        term = self._text[start:index]
        reserved = re.search(r"(?<!\\)[&|!\[\]^~:+]", term)
        if reserved:
            place = start + reserved.start()
            raise self.fail(f"line 1:{place} mismatched character '{reserved[0]}' expecting '}}'", place - 1)
        self._place = index + 1
        return _Search(term, start)

    def _returning(self) -> _Returning:
        found = re.compile(r"\s*([A-Za-z_]\w*)\s*").match(self._text, self._place)
        if not found:
            raise self._unexpected()
        self._place = found.end()
        if not self._symbol("("):
            return _Returning(found[1])
        inside = self._balanced()
        clause = re.search(r"\s(USING|WHERE|ORDER\s+BY|LIMIT|OFFSET)(?!\w)", inside, re.IGNORECASE)
        if clause is None:
            return _Returning(found[1], inside.strip())
        rest = " " + inside[clause.start() :].strip()
        bounds = _BOUNDS.search(rest)
        if bounds is None:
            return _Returning(found[1], inside[: clause.start()].strip(), rest)
        limit, offset = (_number(number) for number in bounds.groups())
        return _Returning(found[1], inside[: clause.start()].strip(), rest[: bounds.start()], limit, offset or 0)

    def _balanced(self) -> str:
        depth, index, quoted = 1, self._place, False
        while index < len(self._text):
            char = self._text[index]
            if char == "\\":
                index += 1
            elif char == "'":
                quoted = not quoted
            elif not quoted and char in "()":
                depth += 1 if char == "(" else -1
                if not depth:
                    inside = self._text[self._place : index]
                    self._place = index + 1
                    return inside
            index += 1
        self._place = len(self._text)
        raise self._unexpected()


def _terms(term: str, text: str, at: int) -> Match:
    """AND binds before OR; words side by side are ANDed. Raises Failure MALFORMED_SEARCH for a dangling operator."""
    tokens: list[tuple[str, str]] = []
    place = 0
    while term[place:].strip():
        found = _TOKEN.match(term, place)
        if not found:
            raise Failure(
                400,
                "MALFORMED_SEARCH",
                caret(text, Position(1, at + place + 1), f"unexpected token: '{term[place:].strip()[:1]}'"),
            )
        place = found.end()
        opened, closed, phrase, word, plain = found.groups()
        if opened or closed:
            tokens.append((opened or closed, ""))
        elif phrase is not None:
            tokens.append(("phrase", phrase))
        elif word:
            tokens.append((re.sub(r"\s+", " ", word.upper()), ""))
        else:
            tokens.append(("word", plain))
    return _TermParser(tokens).parse()


class _TermParser:
    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self._tokens = tokens
        self._place = 0

    def _peek(self) -> str:
        return self._tokens[self._place][0] if self._place < len(self._tokens) else ""

    def parse(self) -> Match:
        found = self._any()
        if self._place != len(self._tokens):
            raise Failure(400, "MALFORMED_SEARCH", f"unexpected token: '{self._peek()}'")
        return found

    def _any(self) -> Match:
        parts = [self._all()]
        while self._peek() == "OR":
            self._place += 1
            parts.append(self._all())
        return lambda words, text: any(part(words, text) for part in parts)

    def _all(self) -> Match:
        parts = [self._one()]
        while self._peek() not in ("", ")", "OR"):
            negated = False
            if self._peek() in ("AND", "AND NOT", "NOT"):
                negated = self._peek() != "AND"
                self._place += 1
            parts.append(_negate(self._one()) if negated else self._one())
        return lambda words, text: all(part(words, text) for part in parts)

    def _one(self) -> Match:
        if self._place >= len(self._tokens):
            raise Failure(400, "MALFORMED_SEARCH", "unexpected token: '<EOF>'")
        kind, value = self._tokens[self._place]
        self._place += 1
        if kind == "(":
            inner = self._any()
            if self._peek() != ")":
                raise Failure(400, "MALFORMED_SEARCH", "unexpected token: '<EOF>'")
            self._place += 1
            return inner
        if kind == "phrase":
            phrase = " ".join(_WORD.findall(value.casefold()))
            return lambda words, text: re.search(rf"(?<!\w){re.escape(phrase)}(?!\w)", text) is not None
        if kind != "word":
            raise Failure(400, "MALFORMED_SEARCH", f"unexpected token: '{kind}'")
        plain = re.sub(r"\\(.)", r"\1", value).casefold()
        if not re.search(r"[*?]", plain):
            pieces = _WORD.findall(plain)
            return lambda words, text: plain in words or (bool(pieces) and all(piece in words for piece in pieces))
        pattern = re.compile("".join(".*" if c == "*" else "." if c == "?" else re.escape(c) for c in plain))
        return lambda words, text: any(pattern.fullmatch(word) for word in words)


def _negate(match: Match) -> Match:
    return lambda words, text: not match(words, text)


def install(server: SalesforceServer) -> None:
    """Hang the resources into the server's router."""
    handlers = Search(server)
    server.router.add("GET", "search", handlers.search)
    server.router.add("GET POST", "parameterizedSearch", handlers.parameterized)
