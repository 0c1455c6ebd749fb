"""What HubSpot's bodies hold, decoded at once into the few members that Sidefeed reads.

The SDK's models cost 20 times as much (most of it in parsing dates), drop members they do not know and turn an
unexpected success status into None; so the SDK carries bytes only and this module reads them.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, TypeVar, cast

import msgspec

from sidefeed.connector import OddAnswer

T = TypeVar("T")


class Past(msgspec.Struct, rename="camel"):
    """One value that a property once had, from `propertiesWithHistory`; the list is newest first."""

    value: str | None = None
    timestamp: str = ""
    source_type: str = ""
    updated_by_user_id: int | str | None = None


class Record(msgspec.Struct, rename="camel", gc=False):
    """One CRM record. Property values are text or null, whatever the property's type ("Understanding the CRM")."""

    id: str
    properties: dict[str, str | None] = {}
    updated_at: str = ""
    archived: bool = False
    archived_at: str | None = None
    object_write_trace_id: str | None = None
    properties_with_history: dict[str, list[Past]] = {}


class Next(msgspec.Struct):
    after: str


class Paging(msgspec.Struct):
    next: Next | None = None


class Records(msgspec.Struct):
    """An answer of list, search or a batch call; a 207 has `errors` beside its results."""

    results: list[Record]
    paging: Paging | None = None
    errors: list[dict[str, Any]] = []

    @property
    def after(self) -> str | None:
        """Where the next page starts; the last page has no `paging` at all."""
        return self.paging.next.after if self.paging and self.paging.next else None


class AssociationType(msgspec.Struct, rename="camel"):
    category: str = ""
    type_id: int = 0
    label: str | None = None


class AssociationTypes(msgspec.Struct):
    """The types that associations in one direction may have."""

    results: list[AssociationType]


class Associated(msgspec.Struct, rename="camel"):
    """One record at the other end; its id is a JSON number although the reference says string."""

    to_object_id: int | str
    association_types: list[AssociationType] = []


class From(msgspec.Struct):
    id: int | str


class AssociationRow(msgspec.Struct):
    source: From = msgspec.field(name="from")
    to: list[Associated] = []
    paging: Paging | None = None


class Associations(msgspec.Struct):
    results: list[AssociationRow]
    errors: list[dict[str, Any]] = []


class AssociationPair(msgspec.Struct, rename="camel"):
    from_object_id: int | str
    to_object_id: int | str


class AssociationPairs(msgspec.Struct):
    results: list[AssociationPair]
    errors: list[dict[str, Any]] = []


class _Removal(msgspec.Struct):
    errors: list[dict[str, Any]] = []


def failures_in(body: bytes) -> list[dict[str, Any]]:
    """What a removal says it could not do: a whole one is answered with nothing, a partial one (207) with `errors`.
    Raises ValueError for anything else."""
    return decode(_Removal, body).errors if body.strip() else []


@cache
def _decoder(kind: Hashable) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(cast(Any, kind))


def decode(kind: type[T], body: bytes) -> T:
    """Raises ValueError where the body is not JSON, or not of that kind."""
    try:
        return cast(T, _decoder(cast(Hashable, kind)).decode(body))
    except msgspec.ValidationError:
        return msgspec.convert(_textual(msgspec.json.decode(body)), kind)


def _textual(body: Any) -> Any:
    """The same body with ids and property values as text: a portal that answers a number costs time, not the sync."""
    for record in body.get("results", ()) if isinstance(body, dict) else ():
        if isinstance(record, dict) and "id" in record:
            record["id"] = _text(record["id"])
            properties = record.get("properties")
            if isinstance(properties, dict):
                record["properties"] = {name: _text(value) for name, value in properties.items()}
    return body


def _text(value: Any) -> str | None:
    match value:
        case None | str():
            return value
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case _:
            return msgspec.json.encode(value).decode()


def outgoing(value: Any) -> str:
    """A raw value as HubSpot wants it: text always, "" to clear, `a;b` for several options.

    Raises TypeError for what is no raw value; the SDK would send NaT as "NaT" and NaN as invalid JSON.
    """
    match value:
        case None:
            return ""
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case list() | tuple():
            return ";".join(outgoing(each) for each in value)
        case _:
            raise TypeError(f"{type(value).__name__} is no raw value; dates and fractions travel as text")


def incoming(sent: Mapping[str, Any], answered: Mapping[str, str | None]) -> dict[str, str | None]:
    """What a write's answer says of the fields that were sent. A field that was cleared may be left out of it.

    Create answers have held datetimes as epoch milliseconds where reads say ISO 8601: turned back here.
    """
    seen: dict[str, str | None] = {}
    for name in sent:
        if name in answered:
            value = answered[name] or None
            if value and isinstance(sent[name], str) and _ISO.match(sent[name]) and _EPOCH.fullmatch(value):
                value = stamp_text(datetime.fromtimestamp(int(value) / 1000, UTC))
            seen[name] = value
        elif sent[name] is None:
            seen[name] = None
    return seen


_ISO = re.compile(r"\d{4}-\d\d-\d\dT")
_EPOCH = re.compile(r"\d{12,13}")


def moment(text: str | None) -> datetime | None:
    """HubSpot's time stamp (ISO 8601, UTC, milliseconds) as an aware datetime; None where it is none."""
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def stamp_text(at: datetime) -> str:
    """ISO 8601 with milliseconds and Z, as HubSpot writes it."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def epoch_ms(at: datetime) -> str:
    """Epoch milliseconds as text, which is how search compares times."""
    return str(round(at.timestamp() * 1000))


LONGEST_ID = 19
"""Digits of the largest whole number that HubSpot's own ids can be (64 bits)."""


def is_id(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= LONGEST_ID


def check_ids(records: Sequence[Record], what: str) -> None:
    """Raises OddAnswer where a record has an id that HubSpot never gives: it would be taken for deleted when it is read
    by that id."""
    ids = [record.id for record in records]
    if ids and not ("".join(ids).isascii() and all(map(str.isdigit, ids)) and max(map(len, ids)) <= LONGEST_ID):
        odd = next(each for each in ids if not is_id(each))
        raise OddAnswer(f"HubSpot's answer about {what} has the id {odd[:40]!r}, and HubSpot gives none such")


def by_number(identifier: str) -> tuple[int, str]:
    """Sort key that puts numeric ids in numeric order."""
    return (len(identifier), identifier)


def contexts(entry: Mapping[str, Any], *names: str) -> list[str]:
    """Texts under any of these names in an error's `context`, whose values are lists by habit but not by promise."""
    context = entry.get("context")
    found: list[str] = []
    if isinstance(context, dict):
        for name in names:
            value = context.get(name)
            found += [str(each) for each in value] if isinstance(value, list) else [] if value is None else [str(value)]
    return found
