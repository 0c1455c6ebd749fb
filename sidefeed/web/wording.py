"""How values are shown to people: amounts to the cent, times with their age, fields and sources by their names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from typing import Any

from sidefeed.installed import entry_points
from sidefeed.mapping import FieldSpec
from sidefeed.mapping.values import referred
from sidefeed.plural import many as many
from sidefeed.workspace.clock import utc_instant, utc_text

MINUS = "\u2212"
_CENT = Decimal("0.01")
_SCALES = ((Decimal(10) ** 9, "bn"), (Decimal(10) ** 6, "m"), (Decimal(10) ** 3, "k"))
_NAMES = {"money": "Amount", "_deleted": "Deleted"}
_WORDS = {"next_step": "Next step"}


def amount(value: Decimal | str | None) -> str:
    """``-1234.5`` -> ``−1,234.50``; what has more than two places keeps them."""
    if value is None:
        return "\u2013"
    number = Decimal(value)
    places = max(2, -int(number.normalize().as_tuple().exponent)) if number else 2
    return f"{abs(number):,.{places}f}" if number >= 0 else f"{MINUS}{abs(number):,.{places}f}"


def signed(value: Decimal | str) -> str:
    number = Decimal(value)
    return f"+{amount(number)}" if number > 0 else amount(number)


def short(value: Decimal | str) -> str:
    """``1234567`` -> ``1.2 m``: for the eye, never to be added up."""
    number = Decimal(value)
    for scale, unit in _SCALES:
        if abs(number) >= scale:
            text = f"{(abs(number) / scale).quantize(Decimal('0.1'), ROUND_HALF_UP)}"
            return f"{MINUS if number < 0 else ''}{text.removesuffix('.0')} {unit}"
    return amount(number.quantize(_CENT)).removesuffix(".00")


def money(value: Any) -> str:
    if not isinstance(value, Mapping):
        return plain(value)
    return f"{amount(value.get('amount'))} {value.get('currency') or ''}".strip()


def day(value: str | date | None) -> str:
    """``2026-11-22`` -> ``22 Nov 2026``."""
    if not value:
        return "\u2013"
    try:
        found = value if isinstance(value, date) else date.fromisoformat(value[:10])
    except ValueError:
        return str(value)
    return f"{found.day} {found:%b} {found.year}"


def moment(value: str | None) -> str:
    """A time of the log, in UTC."""
    if not value:
        return "never"
    return f"{day(value)}, {value[11:16]} UTC"


def instant(value: datetime | None) -> str:
    """As `moment`, of an instant."""
    return moment(None if value is None else utc_text(value))


def quarter(value: str) -> str:
    """``2026-Q4`` -> ``Q4 2026``."""
    year, _, number = value.partition("-Q")
    return f"Q{number} {year}" if number else value


def age(value: str | None, now: datetime) -> str:
    """``3 minutes ago``; ``never`` for none."""
    if not value:
        return "never"
    passed = max(now - utc_instant(value), timedelta())
    for seconds, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if passed.total_seconds() >= seconds:
            number = int(passed.total_seconds() // seconds)
            return f"{number} {unit}{'s' if number != 1 else ''} ago"
    return "just now"


def words(name: str) -> str:
    """``best_case`` -> ``Best case``."""
    if name in _WORDS:
        return _WORDS[name]
    text = name.strip("_=").replace("_", " ")
    return text[:1].upper() + text[1:]


@cache
def _titles() -> dict[str, str]:
    """How the connectors write their systems' names, from the names of their classes: `HubSpotConnector`. Numbers stand
    apart, and the acronym of distributed authoring is one."""
    return {point.name: re.sub(r"(?<=[a-z])(?=\d)", " ", point.attr.removesuffix("Connector")).replace("Dav", "DAV")
            for point in entry_points("sidefeed.connectors")}


def system(name: str) -> str:
    """``hubspot`` -> ``HubSpot``."""
    title = _titles().get(name, "")
    return title if title.lower().replace(" ", "") == name else words(name)


def field_label(spec: FieldSpec | None, name: str) -> str:
    return (spec.label if spec is not None and spec.label else "") or _NAMES.get(name) or words(name)


def plain(value: Any) -> str:
    """A value whose type is not known."""
    if value is None or value == "" or value == []:
        return "blank"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        if "currency" in value and "amount" in value:
            return money(value)
        if "start" in value:
            return " to ".join(str(value[key]) for key in ("start", "end") if value.get(key))
        return ", ".join(f"{words(str(key))}: {plain(one)}" for key, one in value.items())
    if isinstance(value, list):
        return ", ".join(str(one.get("name") or one.get("address")) if isinstance(one, Mapping) else plain(one)
                         for one in value)
    return str(value)


def shown(value: Any, spec: FieldSpec | None, names: Mapping[str, str]) -> str:
    """A value of a field; ``names`` gives the records that references mean."""
    if value is None or value == [] or spec is None:
        return plain(value)
    if spec.type in ("ref", "refs", "related"):
        parts = [str(one).rpartition(":") for one in (value if isinstance(value, list) else [value])]
        return ", ".join(names.get(record, record) + (f" ({words(role)})" if role and spec.type == "refs" else "")
                         for role, _, record in parts)
    if spec.type == "money":
        return money(value)
    if spec.type == "date":
        return day(value)
    if spec.type == "datetime":
        return moment(value)
    if spec.type == "choice":
        return words(str(value))
    if spec.type == "number":
        return f"{amount(value).removesuffix('.00')}"
    return plain(value)


def references(value: Any, spec: FieldSpec | None) -> list[str]:
    """The ids of the records that a value refers to."""
    if spec is None or spec.type not in ("ref", "refs", "related"):
        return []
    return referred(value)
