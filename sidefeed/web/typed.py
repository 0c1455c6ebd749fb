"""What people type into a form, as values of the workspace; each refusal says what would be right."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from sidefeed.mapping import FieldSpec, LensError, values
from sidefeed.mapping import Mapping as Mappings

LONGEST = 5000
EDITABLE = ("text", "money", "date", "datetime", "choice", "number", "email", "phone", "url")
_NUMBER = re.compile(r"-?\d{1,30}(\.\d{1,10})?")


class NotUnderstood(ValueError):
    """The text is no value of this field; the message says what is."""


def value_of(text: str, spec: FieldSpec, like: Any = None, *, region: str | None = None) -> Any:
    """The value that a text means for a field, in the one form that its type has; blank is None. ``like`` is the value
    there now, for its currency; ``region`` the country of telephone numbers that name none.

    Raises NotUnderstood, also for fields that cannot be typed.
    """
    text = text.strip()
    if spec.type not in EDITABLE:
        raise NotUnderstood(f"{spec.label or spec.name} cannot be typed here; change it in a system.")
    if not text:
        return None
    if len(text) > LONGEST:
        raise NotUnderstood(f"This text has {len(text):,} characters; {LONGEST:,} are the most.")
    if spec.type == "money":
        return _money(text, like)
    if spec.type == "number":
        return format(_decimal(text), "f")
    if spec.type == "date":
        return _date(text)
    if spec.type == "choice" and spec.choices and text not in spec.choices:
        raise NotUnderstood(f"{text!r} is none of {', '.join(spec.choices)}.")
    if spec.lines == "one" and ("\n" in text or "\r" in text):
        raise NotUnderstood("This field holds one line.")
    if spec.type == "phone":
        return values.phone(text, region)
    if spec.type in _FORMS:
        return _in_form(text, spec.type)
    return text


_FORMS = {"email": values.email, "url": values.url, "datetime": values.moment}


def _in_form(text: str, type: str) -> str | None:
    try:
        return _FORMS[type](text)
    except LensError as error:
        raise NotUnderstood(f"{error.message}.") from None


def region_of(mappings: Mappings, entity: str, name: str) -> str | None:
    """The country in which the mapping files read a field's telephone numbers, where they name one and no other."""
    named = {region for om in mappings.objects if om.entity == entity and name in om
             for region in [getattr(getattr(om.field(name).lens, "options", None), "region", None)] if region}
    return named.pop() if len(named) == 1 else None


def amount_of(text: str) -> Decimal:
    """The amount that a text means. Raises NotUnderstood for what is none, and for a blank."""
    return _decimal(text.strip())


def _decimal(text: str) -> Decimal:
    plain = re.sub(r"[\s\u00a0\u202f']", "", text).replace("\u2212", "-")
    if not _NUMBER.fullmatch(plain):
        raise NotUnderstood(f"{text!r} is no amount. Write digits, with a point before the cents: 55000.50")
    try:
        return Decimal(plain)
    except InvalidOperation:
        raise NotUnderstood(f"{text!r} is no amount.") from None


def _money(text: str, like: Any) -> dict[str, Any]:
    """An amount in the currency that stands there, or followed by another: ``55000 EUR``."""
    found = re.fullmatch(r"(.*?)\s*([A-Za-z]{3})?", text, re.DOTALL)
    assert found is not None
    if not found[1]:
        raise NotUnderstood(f"{text!r} is no amount. Write digits, with a point before the cents: 55000.50")
    currency = (found[2] or "").upper() or (like.get("currency") if isinstance(like, Mapping) else None)
    if not currency:
        raise NotUnderstood("Say the currency too: 55000 EUR")
    return {"amount": format(_decimal(found[1]), "f"), "currency": currency}


def _date(text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise NotUnderstood(f"{text!r} is no date. Write it as 2026-12-31.") from None
