"""What a workspace value is: one canonical, JSON-compatible form per type, so that equality is plain ``==``.

Every function here takes what a person or a system wrote and gives the canonical form, ``None`` for blank, or raises
`LensError`. Each is idempotent: ``f(f(x)) == f(x)``.

=========  ===================================================================================================
text       non-empty ``str``, stripped, ``\\n`` newlines, no control characters except tab and newline
number     plain decimal string: no exponent, no trailing zeros, no negative zero
money      ``{"amount": number, "currency": "USD"}``
date       ``YYYY-MM-DD``, years 0001 to 9999
datetime   ``YYYY-MM-DDTHH:MM:SSZ``, whole seconds, UTC
email      lower-case ``str``
phone      E.164 (`` ext. 12`` appended where there is one) when it can be parsed, else the text itself
url        ``str`` with a scheme, lower-case scheme and host
set        sorted list of ``str`` without repeats
refs       the same, of record ids; with a role ``role:record``, and then not without it
when       ``{"start", "end", "zone", "all_day"}``; all-day: dates, ``end`` exclusive; else datetimes
address    ``{"street", "city", "state", "postal_code", "country"}``, each text or None, not all of them None
attendees  list of ``{"address", "name", "role", "response"}`` sorted by address
=========  ===================================================================================================
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit, urlunsplit
from zoneinfo import ZoneInfo

Value: TypeAlias = str | bool | list[Any] | dict[str, Any] | None


class Unknown(Enum):
    """The type of `UNKNOWN`."""

    UNKNOWN = "unknown"

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = Unknown.UNKNOWN
"""Said by a field whose raw value was not there to read: it says nothing, which is not the same as blank."""


class LensError(Exception):
    """A value that cannot cross. ``code`` is stable; ``message`` is for the person who must mend the value."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Unresolved(Exception):
    """A reference to a record that is not known on the other side (yet)."""

    def __init__(self, entity: str, id: str) -> None:
        super().__init__(f"{entity} {id} is not known on the other side yet")
        self.entity = entity
        self.id = id


# Removed from text: control characters except tab and newline (they break XML and CSV and no person typed them), and
# lone surrogates, which cannot be stored as UTF-8.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_NEWLINES = re.compile("\r\n?|[\u2028\u2029]")
_LINE_BREAK = re.compile(r"[ \t]*\n\s*")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_INSTANT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9]{2}:[0-9]{2})(:[0-9]{2})?(?:[.,][0-9]+)?(Z|[+-][0-9]{2}(?::?[0-9]{2})?)?"
)
_EPOCH_MS = re.compile(r"-?[0-9]{1,15}")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_WORD = re.compile(r"[^\W\d_]{4,}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DIGITS = 40


def shown(value: Any, length: int = 60) -> str:
    """A value as error messages quote it: short, on one line."""
    text = repr(value)
    return text if len(text) <= length else f"{text[: length - 1]}…"


def text(raw: Any, *, lines: str = "many") -> str | None:
    """Clean text; ``lines='one'`` turns each line break into one space."""
    if raw is None:
        return None
    if type(raw) is not str:
        if isinstance(raw, bool) or not isinstance(raw, int | Decimal | str):
            raise LensError("not-text", f"{shown(raw)} is not text")
        raw = str(raw)
    # Text of plain lines is the usual case, and each of the expressions costs more than all of this.
    if not raw.isprintable() and (lines == "one" or not raw.replace("\n", "").isprintable()):
        raw = _FORBIDDEN.sub("", _NEWLINES.sub("\n", raw))
        if lines == "one":
            raw = _LINE_BREAK.sub(" ", raw.strip())
    return raw.strip() or None


def decimal(raw: Any) -> Decimal | None:
    """A finite number of at most 40 digits on either side of the point."""
    if raw is None:
        return None
    if isinstance(raw, float | bool) or not isinstance(raw, str | int | Decimal):
        raise LensError("not-a-number", f"{shown(raw)} is not a number written as a decimal")
    written = str(raw).strip()
    if not written:
        return None
    if not _NUMBER.fullmatch(written):
        raise LensError("not-a-number", f"{shown(raw)} is not a finite number")
    found = Decimal(written)
    if len(found.as_tuple().digits) > _DIGITS or abs(found.adjusted()) > _DIGITS:
        raise LensError("too-many-digits", f"{shown(raw)} has more than {_DIGITS} digits")
    return found


def plain(number: Decimal) -> str:
    """The canonical text of a decimal: ``1200.50`` -> ``1200.5``, ``1E+3`` -> ``1000``, ``-0`` -> ``0``."""
    written = format(number, "f")
    if "." in written:
        written = written.rstrip("0").rstrip(".")
    return "0" if written in ("-0", "") else written


def number(raw: Any) -> str | None:
    """The canonical text of a number."""
    if (usual := usual_number(raw)) is not None:
        return usual
    found = decimal(raw)
    return None if found is None else plain(found)


def usual_number(raw: Any) -> str | None:
    """The canonical text of nearly every number: digits and at most a point. None for anything else."""
    if type(raw) is not str or not raw.isascii():
        return None
    whole, point, fraction = raw.partition(".")
    if not whole.isdigit() or (whole[0] == "0" and whole != "0") or len(raw) > _DIGITS:
        return None
    if not point:
        return whole
    if not fraction.isdigit():
        return None
    fraction = fraction.rstrip("0")
    return f"{whole}.{fraction}" if fraction else whole


def day(raw: Any) -> str | None:
    """A calendar date. Also taken: a moment that is midnight UTC exactly, as text or epoch milliseconds."""
    if raw is None or raw == "":
        return None
    if not isinstance(raw, str):
        raise LensError("not-a-date", f"{shown(raw)} is not a date")
    return usual_day(raw)


@lru_cache(maxsize=8192)
def usual_day(raw: str) -> str | None:
    """`day` of a text that is not empty."""
    written = raw.strip()
    if _DATE.fullmatch(written):
        try:
            date.fromisoformat(written)
        except ValueError as error:
            raise LensError("not-a-date", f"{shown(raw)} is not a date: {error}") from None
        return written
    moment = instant(written)
    if moment is None:
        return None
    if (moment.hour, moment.minute, moment.second, moment.microsecond) != (0, 0, 0, 0):
        raise LensError("not-a-date", f"{shown(raw)} has a time of day; map it with `as: datetime`")
    return moment.date().isoformat()


def instant(raw: Any, zone: tzinfo = UTC) -> datetime | None:
    """A moment in UTC, to the second: ISO 8601 with any offset, epoch milliseconds, or local time in ``zone``."""
    if raw is None or raw == "":
        return None
    if not isinstance(raw, str):
        raise LensError("not-a-datetime", f"{shown(raw)} is not a date and time")
    written = raw.strip()
    found = _INSTANT.fullmatch(written)
    try:
        if found:
            at = datetime.fromisoformat(f"{found[1]}T{found[2]}{found[3] or ':00'}")
            return _to_utc(at, found[4], zone)
        if _EPOCH_MS.fullmatch(written):
            return _EPOCH + timedelta(seconds=int(written) // 1000)
    except (ValueError, OverflowError) as error:
        raise LensError("not-a-datetime", f"{shown(raw)} is not a date and time: {error}") from None
    raise LensError("not-a-datetime", f"{shown(raw)} is not a date and time (expected 2026-11-21T08:17:00Z)")


def _to_utc(at: datetime, offset: str | None, zone: tzinfo) -> datetime:
    if offset is None:
        return at.replace(tzinfo=zone).astimezone(UTC) if zone is not UTC else at.replace(tzinfo=UTC)
    if offset in ("Z", "+0000", "+00:00"):
        return at.replace(tzinfo=UTC)
    hours, minutes = int(offset[1:3]), int(offset[3:].lstrip(":") or 0)
    shift = timedelta(hours=hours, minutes=minutes)
    return (at - shift if offset[0] == "+" else at + shift).replace(tzinfo=UTC)


def stamp(moment: datetime) -> str:
    """The canonical text of a moment in UTC."""
    return f"{moment.year:04d}-{moment:%m-%dT%H:%M:%S}Z"


def moment(raw: Any, zone: tzinfo = UTC) -> str | None:
    found = instant(raw, zone)
    return None if found is None else stamp(found)


def email(raw: Any) -> str | None:
    """Trimmed, lower-case, without ``mailto:`` or ``SMTP:``; the domain in ASCII."""
    written = text(raw, lines="one")
    if written is None:
        return None
    written = written.lower()
    for prefix in ("mailto:", "smtp:"):
        written = written.removeprefix(prefix).strip()
    local, at, domain = written.rpartition("@")
    if not (local and at and domain) or re.search(r"\s", written):
        raise LensError("not-an-email", f"{shown(raw)} is not an e-mail address")
    return f"{local}@{domain}" if domain.isascii() else f"{local}@{_ascii_host(domain)}"


def _ascii_host(host: str) -> str:
    try:
        return host.encode("idna").decode("ascii").lower()
    except UnicodeError:
        return host


@lru_cache(maxsize=65536)
def phone(raw: str | None, region: str | None = None) -> str | None:
    """E.164 with its extension where `phonenumbers` can parse it as a possible number, else the cleaned text."""
    import phonenumbers

    written = text(raw, lines="one")
    if written is None:
        return None
    try:
        parsed = phonenumbers.parse(written, region)
    except phonenumbers.NumberParseException:
        return written
    # A parse that drops words would lose what the person wrote ("+1 650 555 0100 (ask for Ann)").
    words = _WORD.search(written.lower().replace("extension", ""))
    if words or not phonenumbers.is_possible_number(parsed):
        return written
    e164 = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    return f"{e164} ext. {parsed.extension}" if parsed.extension else e164


def url(raw: Any) -> str | None:
    """With a scheme (``https`` where none was written), scheme and host in lower case, no lone trailing slash."""
    written = text(raw, lines="one")
    if written is None:
        return None
    bare = not _SCHEME.match(written)
    try:
        parts = urlsplit(f"https://{written}" if bare else written)
        host = parts.hostname or ""
    except ValueError:
        host = ""
    if not host or re.search(r"\s", written) or (bare and "." not in host):
        raise LensError("not-a-url", f"{shown(raw)} is not a web address")
    path = "" if parts.path == "/" and not parts.query and not parts.fragment else parts.path
    return urlunsplit((parts.scheme.lower(), parts.netloc.lower(), path, parts.query, parts.fragment))


def strings(raw: Any) -> list[str] | None:
    """A set: sorted, without repeats and blanks; an empty one is blank."""
    if raw is None:
        return None
    if isinstance(raw, str) or not isinstance(raw, Iterable):
        raise LensError("not-a-list", f"{shown(raw)} is not a list")
    return sorted({item for item in (text(each, lines="one") for each in raw) if item}) or None


def references(members: Iterable[str]) -> list[str] | None:
    """Records, each in its roles: ``record`` or ``role:record``. One that has a role is not listed without it."""
    found = set(members)
    return sorted(found - {each.rpartition(":")[2] for each in found if ":" in each}) or None


def referred(value: Value) -> list[str]:
    """The records that a value of `ref`, `refs` or `related` means, each once, whatever their roles or kinds."""
    listed = value if isinstance(value, list) else [] if value is None else [value]
    return list(dict.fromkeys(str(each).rpartition(":")[2] for each in listed))


def attendees(raw: Any) -> list[dict[str, str | None]] | None:
    """One entry per address, sorted by it. Someone listed twice keeps the first name, role and response told."""
    if raw is None:
        return None
    if isinstance(raw, str) or not isinstance(raw, Iterable):
        raise LensError("not-a-list", f"{shown(raw)} is not a list of attendees")
    found: dict[str, dict[str, str | None]] = {}
    for each in raw:
        address = email(each.get("address")) if isinstance(each, dict) else email(each)
        if address is None:
            continue
        told = each if isinstance(each, dict) else {}
        found.setdefault(
            address,
            {
                "address": address,
                "name": text(told.get("name"), lines="one"),
                "role": text(told.get("role")) or "required",
                "response": text(told.get("response")) or "none",
            },
        )
    return [found[address] for address in sorted(found)] or None


ADDRESS_PARTS: Final = ("street", "city", "state", "postal_code", "country")


def address(raw: Any) -> dict[str, str | None] | None:
    """Every part, cleaned; blank where all are. Only the street may have several lines."""
    if raw is None:
        return None
    if not isinstance(raw, dict) or not raw.keys() <= set(ADDRESS_PARTS):
        raise LensError("not-an-address", f"{shown(raw)} is not an address of {', '.join(ADDRESS_PARTS)}")
    parts = {part: text(raw.get(part), lines="many" if part == "street" else "one") for part in ADDRESS_PARTS}
    return parts if any(parts.values()) else None


def zone_named(name: str) -> tzinfo:
    """The time zone of that IANA name; ``KeyError`` where there is none."""
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ValueError, OSError) as error:
        raise KeyError(name) from error
