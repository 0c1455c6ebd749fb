"""Ids, literals and queries: everything that turns text from outside into a part of a request."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeGuard
from urllib.parse import quote_plus

from sidefeed.connector import Invalid, OddAnswer

IDS_PER_QUERY = 400
"""400 ids make a URL of 10,899 bytes; Salesforce refuses URI and headers above 16,384 bytes together."""

_QUERY_BYTES = 13_000  # leaves 3 kB for the path and the headers: an access token may take 2 kB of them

_ID = re.compile(r"[a-zA-Z0-9]{15}(?:[a-zA-Z0-9]{3})?", re.ASCII)
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*", re.ASCII)
_FIELD = re.compile(r"[A-Za-z][A-Za-z0-9_]*(?:\.[A-Za-z][A-Za-z0-9_]*){0,5}", re.ASCII)
_SUFFIX = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
_ESCAPES = str.maketrans({
    "\\": "\\\\", "'": "\\'", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f",
})  # fmt: skip


def is_id(text: object) -> TypeGuard[str]:
    return isinstance(text, str) and _ID.fullmatch(text) is not None


def full_id(text: str) -> str:
    """The 18-character form of an id. Raises Invalid for anything that is not an id.

    Each of the three added characters encodes which of five characters are upper case, so that ids stay different
    where case is ignored (Salesforce Object Reference, "ID field type").
    """
    if not is_id(text):
        raise Invalid(f"{text[:40]!r} is not a Salesforce id", code="malformed-id", owner="ops")
    if len(text) == 18:
        return text
    blocks = (text[start : start + 5] for start in (0, 5, 10))
    return text + "".join(
        _SUFFIX[sum(1 << bit for bit, letter in enumerate(block) if "A" <= letter <= "Z")] for block in blocks
    )


def own_id(text: object) -> str:
    """The 18-character form of an id that Salesforce answered. Raises OddAnswer where it is none."""
    if not is_id(text):
        raise OddAnswer(f"Salesforce's answer has a row with the id {str(text)[:40]!r}, and Salesforce gives none such")
    return full_id(text)


def object_name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise Invalid(f"{text[:40]!r} is not the API name of a Salesforce object", code="malformed-name", owner="ops")
    return text


def field_name(text: str) -> str:
    if not _FIELD.fullmatch(text):
        raise Invalid(
            f"{text[:60]!r} is not the API name of a Salesforce field", field=text, code="malformed-name", owner="ops"
        )
    return text


def quoted(text: str) -> str:
    """A SOQL string literal (SOQL and SOSL Reference, "Quoted String Escape Sequences")."""
    return f"'{text.translate(_ESCAPES)}'"


def literal(instant: datetime) -> str:
    """An unquoted SOQL datetime, in UTC with milliseconds: `Z`, because a `+` would need escaping in the URL."""
    utc = instant.astimezone(UTC)
    return f"{utc:%Y-%m-%dT%H:%M:%S}.{utc.microsecond // 1000:03d}Z"


def instant(text: str) -> datetime:
    """Salesforce's datetime text, such as ``2026-11-21T08:17:00.000+0000``."""
    return datetime.fromisoformat(text)


@dataclass(frozen=True, slots=True)
class Query:
    """One SELECT. ``everything`` also sees deleted and archived rows (the queryAll resource)."""

    object: str
    fields: tuple[str, ...]
    where: tuple[str, ...] = ()
    order: tuple[str, ...] = ()
    everything: bool = False

    def __str__(self) -> str:
        text = f"SELECT {', '.join(self.fields)} FROM {self.object}"  # noqa: S608 - names and literals are checked above
        if self.where:
            text += f" WHERE {' AND '.join(self.where)}"
        if self.order:
            text += f" ORDER BY {', '.join(self.order)}"
        return text

    def narrowed(self, condition: str) -> Query:
        return Query(self.object, self.fields, (*self.where, condition), self.order, self.everything)

    def for_each_of(self, field: str, values: Iterable[str]) -> Iterator[Query]:
        """The same query for lists of values, each list as long as the URL allows and at most ``IDS_PER_QUERY``."""
        room = _QUERY_BYTES - len(quote_plus(str(self.narrowed(f"{field} IN ()"))))
        for chunk in _fitting(values, room):
            yield self.narrowed(f"{field} IN ({','.join(chunk)})")


def _fitting(values: Iterable[str], room: int) -> Iterator[Sequence[str]]:
    chunk: list[str] = []
    used = 0
    for value in values:
        text = quoted(value)
        # An id needs no encoding but for its two quotes; 3 more are the comma, percent-encoded.
        size = (len(text) + 4 if value.isalnum() and value.isascii() else len(quote_plus(text))) + 3
        if chunk and (len(chunk) == IDS_PER_QUERY or used + size > room):
            yield chunk
            chunk, used = [], 0
        chunk.append(text)
        used += size
    if chunk:
        yield chunk
