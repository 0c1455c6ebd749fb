"""Values on the wire to values in the table, and the rules that each type enforces.

Rows hold wire values: text, bool, int, float, dates `YYYY-MM-DD`, date-times `YYYY-MM-DDTHH:MM:SS.000+0000`. These
date-times are UTC and of one width, so comparing texts compares moments.
Sources: REST API guide "Valid Date and DateTime Formats", Object Reference "Field Types", recorded errors.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

from .errors import Failure
from .schema import TEXT_TYPES, Field

_EMAIL = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+@(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.)+[A-Za-z][A-Za-z0-9-]*[A-Za-z0-9]\Z"
)
_DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:[Tt].*)?\Z")
_DATETIME = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d(?::\d\d)?)(?:\.(\d+))?(Z|z|[+-]\d\d:?\d\d|[+-]\d\d)?\Z")
_TIME = re.compile(r"(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,3}))?)?Z?\Z")
_KIND_NAMES = {"datetime": "datetime", "date": "date", "boolean": "boolean", "int": "int", "time": "time"}


def stamp(moment: datetime) -> str:
    """A moment as date-time text, cut to whole seconds: system stamps carry no milliseconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000")


def moment(text: str) -> datetime:
    """The aware moment of a stored date-time text."""
    return datetime.strptime(text[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)


def parse_datetime(text: str, *, need_zone: bool = True) -> datetime | None:
    """A date-time in any form the REST API accepts (`Z`, `+0000`, `+00:00`, with or without a fraction).

    None if none.
    """
    found = _DATETIME.match(text)
    if not found:
        return None
    day, clock, fraction, zone = found.groups()
    if zone is None and need_zone:
        return None
    zone = zone or "Z"
    if zone in "Zz":
        zone = "+00:00"
    elif len(zone) == 3:
        zone += ":00"
    elif ":" not in zone:
        zone = f"{zone[:3]}:{zone[3:]}"
    if len(clock) == 5:
        clock += ":00"
    try:
        return datetime.fromisoformat(f"{day}T{clock}.{(fraction or '0')[:6].ljust(6, '0')}{zone}").astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def parse_date(text: str) -> date | None:
    """A plain date, also from the date part of a date-time; None if it is none."""
    found = _DATE.match(text)
    if not found:
        return None
    try:
        return date(int(found[1]), int(found[2]), int(found[3]))
    except ValueError:
        return None


def undecodable(kind: str, value: Any) -> Failure:
    """The refusal of a JSON value of the wrong shape (recorded form; the place is always given as line 1)."""
    if isinstance(value, str):
        token, shown = "VALUE_STRING", value
    elif isinstance(value, bool):
        token, shown = ("VALUE_TRUE", "true") if value else ("VALUE_FALSE", "false")
    elif isinstance(value, int):
        token, shown = "VALUE_NUMBER_INT", str(value)
    elif isinstance(value, float):
        token, shown = "VALUE_NUMBER_FLOAT", str(value)
    elif isinstance(value, dict):
        token, shown = "START_OBJECT", "{"
    else:
        token, shown = "START_ARRAY", "["
    return Failure(
        400,
        "JSON_PARSER_ERROR",
        f"Cannot deserialize instance of {kind} from {token} value {shown} or request may be missing a required field"
        " at [line:1, column:2]",
    )


def coerce(field: Field, value: Any, *, trim: bool = True, empty_is_null: bool = True) -> Any:
    """What the table keeps for a value given for a field.

    None clears. Raises Failure. References are not looked up here.
    """
    if value is None:
        return None
    kind = field.type
    if kind in TEXT_TYPES:
        return _text(field, value, trim=trim, empty_is_null=empty_is_null)
    if isinstance(value, str) and not value.strip():
        return None
    if kind == "boolean":
        return _boolean(value)
    if kind in ("int", "long"):
        return _integer(field, value)
    if kind in ("double", "currency", "percent"):
        return _number(field, value)
    if kind == "date":
        day = parse_date(value) if isinstance(value, str) else None
        if day is None:
            raise undecodable("date", value)
        return day.isoformat()
    if kind == "datetime":
        at = parse_datetime(value) if isinstance(value, str) else None
        if at is None:
            raise undecodable("datetime", value)
        if not 1700 <= at.year <= 4000:
            raise Failure(
                400,
                "NUMBER_OUTSIDE_VALID_RANGE",
                f"{field.label}: value outside of valid range on datetime field: {value}",
                [field.name],
            )
        return stamp(at)
    if kind == "time":
        return _time(value)
    return value


def _text(field: Field, value: Any, *, trim: bool, empty_is_null: bool) -> str | None:
    if isinstance(value, bool):
        value = "true" if value else "false"
    elif isinstance(value, (int, float)):
        value = str(value)
    elif not isinstance(value, str):
        raise undecodable("string", value)
    text: str = value.strip() if trim else value
    if not text:
        return None if empty_is_null else ""
    if field.type == "email":
        if len(text) > field.length:
            raise _too_long(field, text)
        if not _EMAIL.match(text) or ".." in text or text.startswith("."):
            raise Failure(400, "INVALID_EMAIL_ADDRESS", f"{field.label}: invalid email address: {text}", [field.name])
        return text.lower()
    if field.type == "multipicklist":
        return _choices(field, text)
    if field.type == "picklist" and field.restricted_picklist:
        _check_choice(field, text)
    if len(text) > field.length:
        raise _too_long(field, text)
    return text


def _too_long(field: Field, text: str) -> Failure:
    return Failure(
        400, "STRING_TOO_LONG", f"{field.label}: data value too large: {text} (max length={field.length})", [field.name]
    )


def _check_choice(field: Field, text: str) -> None:
    if not any(v.active and v.value == text for v in field.values):
        raise Failure(
            400,
            "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
            f"{field.label}: bad value for restricted picklist field: {text}",
            [field.name],
        )


def _choices(field: Field, text: str) -> str | None:
    given = list(dict.fromkeys(part.strip() for part in text.split(";") if part.strip()))
    if field.restricted_picklist:
        for one in given:
            _check_choice(field, one)
    order = {v.value: i for i, v in enumerate(field.values)}
    given.sort(key=lambda one: order.get(one, len(order)))
    return ";".join(given) or None


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in ("true", "false", "1", "0"):
        return value.strip().lower() in ("true", "1")
    raise undecodable("boolean", value)


def _integer(field: Field, value: Any) -> int:
    number = _decimal("int", value)
    if number != number.to_integral_value():
        raise undecodable("int", value)
    limit = 10 ** (field.digits or 10)
    if not -limit < number < limit:
        raise out_of_range(field, number)
    return int(number)


def _number(field: Field, value: Any) -> float:
    number = _decimal("double", value)
    if abs(number) >= Decimal(10) ** (field.precision - field.scale if field.precision else 18):
        raise out_of_range(field, number)
    return float(number.quantize(Decimal(1).scaleb(-field.scale), ROUND_HALF_UP))


def _decimal(kind: str, value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise undecodable(kind, value)
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation:
        raise undecodable(kind, value) from None
    if not math.isfinite(number):
        raise undecodable(kind, value)
    return number


def out_of_range(field: Field, number: Decimal) -> Failure:
    """400: a number that a field cannot hold."""
    mantissa, _, exponent = f"{float(number):.15g}".partition("e")
    shown = mantissa if not exponent else f"{mantissa if '.' in mantissa else mantissa + '.0'}E{int(exponent)}"
    return Failure(
        400,
        "NUMBER_OUTSIDE_VALID_RANGE",
        f"{field.label}: value outside of valid range on numeric field: {shown}",
        [field.name],
    )


def _time(value: Any) -> str:
    found = _TIME.match(value) if isinstance(value, str) else None
    if not found:
        raise undecodable("time", value)
    return f"{found[1]}:{found[2]}:{found[3] or '00'}.{(found[4] or '').ljust(3, '0')}Z"


def add_minutes(text: str, minutes: int) -> str:
    """A stored date-time moved by minutes."""
    return stamp(moment(text) + timedelta(minutes=minutes))
