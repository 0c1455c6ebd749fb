"""Exact numbers and money."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Context, Decimal
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from .. import values as canonical
from ..values import UNKNOWN, LensError, Unknown, Value, shown
from .base import MISSING, Filler, Lens, OneField, Options, Raw, Reader, Refs, Scalar

if TYPE_CHECKING:
    from ..model import FieldSpec


class NumberOptions(OneField):
    scale: int | None = Field(None, ge=0, le=18, description="How many decimal places the system's field holds.")
    too_precise: Literal["refuse", "round"] = Field(
        "refuse", description="What happens to a value with more decimal places on its way out. Default: refuse."
    )
    percent: bool = Field(False, description="The system holds a fraction (0.2) of what the workspace shows (20).")


# Python's default context rounds silently after 28 digits.
_EXACT = Context(prec=100)


def _canonical(written: Any) -> bool:
    """Whether this is a number as the workspace writes it, told at a third of the cost of parsing it."""
    if type(written) is not str or not written.isascii():
        return False
    whole, point, fraction = written.partition(".")
    return (whole.isdigit() and (whole == "0" or whole[0] != "0") and len(written) < _USUAL_LENGTH
            and (not point or (fraction.isdigit() and fraction[-1] != "0")))


_USUAL_LENGTH = 36


def _fit(written: str, scale: int | None, too_precise: str, field: str) -> str:
    number = written if _canonical(written) else canonical.number(written)
    if number is None:
        raise LensError("not-a-number", f"{shown(written)} is not a number")
    if scale is None or len(number.partition(".")[2]) <= scale:
        return number
    if too_precise == "refuse":
        raise LensError(
            "too-precise",
            f"{written} has more than the {scale} decimal places that {field} holds: round it, or map it with "
            "`too_precise: round`",
        )
    return canonical.plain(_rounded(Decimal(number), scale))


def _rounded(number: Decimal, scale: int, rounding: str = ROUND_HALF_UP) -> Decimal:
    return number.quantize(Decimal(1).scaleb(-scale), rounding=rounding, context=_EXACT)


def _precision(field: str, scale: int | None, too_precise: str) -> Iterator[str]:
    if scale is not None:
        kept = "is rounded" if too_precise == "round" else "is refused and reported"
        yield f"{field} holds {scale} decimal places; a value with more {kept}."


def _rounds_to(sent: str, seen: str, scale: int | None) -> bool:
    """Did the system round what we sent: to a double, or to its own scale by either of the two usual rules?"""
    if float(sent) == float(seen):
        return True
    if scale is None:
        return False
    number, other = Decimal(sent), Decimal(seen)
    return any(_rounded(number, scale, rule) == other for rule in (ROUND_HALF_UP, ROUND_HALF_EVEN))


class Number(Scalar):
    """A number, kept as an exact decimal. NaN and infinity are refused."""

    name = "number"
    types = frozenset({"number"})
    Options = NumberOptions
    example = "probability: {field: Probability, scale: 0, direction: read}"

    def says(self, *, reads: bool, writes: bool) -> Iterator[str]:
        if self.options.percent:
            yield f"{self.field} holds the fraction: 0.2 there is 20 here."
        if writes:
            yield from _precision(self.field, self.options.scale, self.options.too_precise)

    def reader(self) -> Reader:
        if self.options.percent:
            return self.read
        field, slow, usual = self.field, self.read, canonical.usual_number

        def read(raw: Raw, refs: Refs) -> Value | Unknown:
            return usual(raw.get(field, "")) or slow(raw, refs)

        return read

    def _in(self, raw: Any) -> Any:
        if not self.options.percent:
            return canonical.number(raw)
        number = canonical.decimal(raw)
        return None if number is None else canonical.plain(number.scaleb(2, _EXACT))

    def _out(self, value: Any) -> Any:
        written = canonical.number(value)
        if written is None:
            return None
        if self.options.percent:
            written = canonical.plain(Decimal(written).scaleb(-2, _EXACT))
        return _fit(written, self.options.scale, self.options.too_precise, self.field)

    def image(self, value: Value) -> Value:
        if value is None or self.options.scale is None or self.options.too_precise == "refuse":
            return value
        return self._in(self._out(value))  # type: ignore[no-any-return]

    def _same(self, sent: Any, seen: Any) -> bool:
        if sent == seen:
            return True
        scale = self.options.scale
        if scale is not None and self.options.percent:
            scale = max(0, scale - 2)
        return isinstance(sent, str) and isinstance(seen, str) and _rounds_to(sent, seen, scale)


class MoneyOptions(Options):
    amount: str = Field(description="The system's field for the amount.", min_length=1)
    currency: str | None = Field(None, description="The system's field for the currency code, where it has one.")
    default_currency: str | None = Field(
        None, pattern="^[A-Z]{3}$", description="The currency where the system names none (ISO 4217)."
    )
    scale: int | None = Field(None, ge=0, le=18, description="How many decimal places the amount holds.")
    too_precise: Literal["refuse", "round"] = Field(
        "refuse", description="What happens to an amount with more decimal places on its way out. Default: refuse."
    )

    @model_validator(mode="after")
    def _some_currency(self) -> MoneyOptions:
        if self.currency is None and self.default_currency is None:
            raise ValueError("money needs `currency` (a field) or `default_currency` (a code such as USD)")
        return self


class Money(Lens):
    """An amount and its currency as one value. Without a currency field, an amount in another currency than the default
    is refused: it is never written as if it were the default one."""

    name = "money"
    types = frozenset({"money"})
    short = "amount"
    Options = MoneyOptions
    example = "money: {amount: amount, currency: deal_currency_code, default_currency: USD, scale: 2}"

    def __init__(self, options: Any, spec: FieldSpec) -> None:
        super().__init__(options, spec)
        self.amount: str = options.amount
        self.currency: str | None = options.currency
        self.default: str | None = options.default_currency
        self.raw = (self.amount, self.currency) if self.currency else (self.amount,)

    def read(self, raw: Raw, refs: Refs) -> Value | Unknown:
        amount = raw.get(self.amount, MISSING)
        if amount is MISSING:
            return UNKNOWN
        number = canonical.number(amount)
        if number is None:
            return None
        currency = self.default
        if self.currency is not None:
            told = raw.get(self.currency, MISSING)
            if told is MISSING and self.default is None:
                return UNKNOWN
            if told is not MISSING and told:
                currency = str(told).strip().upper()
        if currency is None:
            raise LensError("no-currency", f"{self.amount} is {number} without a currency: set {self.currency}")
        return {"amount": number, "currency": currency}

    def says(self, *, reads: bool, writes: bool) -> Iterator[str]:
        if self.currency is not None:
            default = f"; {self.default} where it is blank" if self.default else ""
            yield f"The currency stands in {self.currency}{default}."
        else:
            yield f"Amounts there are in {self.default}" + (
                "; one in another currency is refused and reported, never written." if writes else ".")
        if writes:
            yield from _precision(self.amount, self.options.scale, self.options.too_precise)

    def write(self, value: Value, refs: Refs) -> dict[str, Any]:
        if value is None:
            return {self.amount: None}
        if not isinstance(value, dict):
            raise LensError("not-money", f"{shown(value)} is not an amount with its currency")
        amount = _fit(value["amount"], self.options.scale, self.options.too_precise, self.amount)
        if self.currency is not None:
            return {self.amount: amount, self.currency: value["currency"]}
        if value["currency"] != self.default:
            raise LensError(
                "other-currency",
                f"the amount is in {value['currency']}, and {self.amount} holds {self.default} only: enter it in "
                f"{self.default}, or map the system's currency field",
            )
        return {self.amount: amount}

    def reader(self) -> Reader:
        amount, currency, slow, usual = self.amount, self.default, self.read, canonical.usual_number
        if self.currency is not None:
            return slow

        def read(raw: Raw, refs: Refs) -> Value | Unknown:
            number = usual(raw.get(amount, ""))
            return {"amount": number, "currency": currency} if number else slow(raw, refs)

        return read

    def filler(self) -> Filler:
        amount, currency, default, slow = self.amount, self.currency, self.default, self.write
        scale = sys.maxsize if self.options.scale is None else self.options.scale

        def fill(value: Value, refs: Refs, raw: dict[str, Any]) -> None:
            if type(value) is dict and _canonical(number := value["amount"]) and (
                    len(number.partition(".")[2]) <= scale):
                if currency is not None:
                    raw[amount], raw[currency] = number, value["currency"]
                    return
                if value["currency"] == default:
                    raw[amount] = number
                    return
            raw.update(slow(value, refs))

        return fill

    def image(self, value: Value) -> Value:
        if not isinstance(value, dict) or self.options.too_precise == "refuse":
            return value
        return {**value, "amount": _fit(value["amount"], self.options.scale, "round", self.amount)}

    def _same(self, sent: Any, seen: Any) -> bool:
        if sent == seen:
            return True
        if not isinstance(sent, dict) or not isinstance(seen, dict) or sent["currency"] != seen["currency"]:
            return False
        return _rounds_to(sent["amount"], seen["amount"], self.options.scale)
