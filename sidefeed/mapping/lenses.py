"""The lens library: one field's two-way translation between a system's raw values and a workspace value.

Laws, tested with Hypothesis for every lens here (``tests/mapping/test_laws.py``):

1. ``read(write(x)) == image(x)`` for every canonical ``x`` the lens accepts. ``image`` is the part of a value that the
   system can hold: the value itself, unless an option of the lens says otherwise (``too_long: truncate``).
2. ``settled(write(read(y)), y)`` for every ``y`` a system stores that the lens can read: writing back what was read
   changes nothing that the workspace can see.

A lens that cannot keep them is one-way (``two_way`` is false) and says so in its description. A value that cannot cross
raises `LensError`; nothing is ever bent silently.

Lenses are built once from the mapping file and immutable. Third parties add one by the entry-point group
``sidefeed.lenses``: a subclass of `Lens` with its own ``Options``.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal
from functools import cache
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, Protocol
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from . import values as canonical
from .values import UNKNOWN, LensError, Unknown, Unresolved, Value, shown

if TYPE_CHECKING:
    from .model import FieldSpec

Raw = Mapping[str, Any]
_MISSING: Final = object()


class Refs(Protocol):
    """How references travel: ids of one system to record ids and back. ``None`` where the other side has none yet."""

    def record(self, entity: str, external_id: str) -> str | None: ...

    def external(self, entity: str, record: str) -> str | None: ...


class SameIds:
    """References whose ids are equal on both sides: for comparing two raw images of one record."""

    def record(self, entity: str, external_id: str) -> str | None:
        return external_id

    def external(self, entity: str, record: str) -> str | None:
        return record


_SAME: Final = SameIds()


class Options(BaseModel):
    """What may stand beside ``lens:`` for every field."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    lens: str | None = Field(None, description="The lens. Default: the one for the workspace field's type.")
    direction: Literal["both", "read", "write"] = Field(
        "both", description="`read`: from the system only. `write`: to the system only. Default: both."
    )
    required_on_create: bool = Field(
        False, description="The system creates no record without it; such a record waits until the field is filled."
    )


class OneField(Options):
    field: str = Field(description="The system's field.", min_length=1)


class Lens:
    """One field's translation. Subclass it, say which workspace ``types`` it serves, and give it ``Options``."""

    name: ClassVar[str]
    types: ClassVar[frozenset[str]]
    short: ClassVar[str | None] = "field"
    """The option that ``name: Text`` fills; None where the lens has no short form."""
    example: ClassVar[str]
    Options: ClassVar[type[Options]] = OneField

    raw: tuple[str, ...]
    two_way: bool = True
    blank_says_nothing: bool = True
    """Whether a blank may be left out when a record is created."""

    def __init__(self, options: Any, spec: FieldSpec) -> None:
        self.options = options
        self.spec = spec

    def read(self, raw: Raw, refs: Refs) -> Value | Unknown:
        """The workspace value; `UNKNOWN` where a raw field needed is missing. Raises LensError, Unresolved."""
        raise NotImplementedError

    def write(self, value: Value, refs: Refs) -> dict[str, Any]:
        """Raw values by raw field, None to clear. Raises LensError, Unresolved."""
        raise LensError("one-way", f"{self.name} only reads")

    def image(self, value: Value) -> Value:
        """What of a value this system can hold."""
        return value

    def settled(self, sent: Raw, seen: Raw) -> bool:
        """Is ``seen`` just the system's normal form of what we sent? Raw fields missing from ``seen`` say nothing."""
        told = {name: seen[name] for name in sent if name in seen}
        if all(sent[name] == value for name, value in told.items()):
            return True
        try:
            return self._same(self.read(sent, _SAME), self.read({**sent, **told}, _SAME))
        except (LensError, Unresolved):
            return False

    def _same(self, sent: Any, seen: Any) -> bool:
        return bool(sent == seen)

    def references_in(self, raw: Raw) -> Iterable[tuple[str, str]]:
        return ()

    def references_out(self, value: Value) -> Iterable[tuple[str, str]]:
        return ()


class Scalar(Lens):
    """A lens over one raw field, written as ``_in`` and ``_out`` of one value."""

    def __init__(self, options: Any, spec: FieldSpec) -> None:
        super().__init__(options, spec)
        self.field: str = options.field
        self.raw = (options.field,)

    def read(self, raw: Raw, refs: Refs) -> Value | Unknown:
        value = raw.get(self.field, _MISSING)
        return UNKNOWN if value is _MISSING else self._in(value)

    def write(self, value: Value, refs: Refs) -> dict[str, Any]:
        return {self.field: None if value is None else self._out(value)}

    def _in(self, raw: Any) -> Any:
        raise NotImplementedError

    def _out(self, value: Any) -> Any:
        return value


# --- text ------------------------------------------------------------------------------------------------------------


class TextOptions(OneField):
    max_length: int | None = Field(None, ge=1, description="How many characters the system's field holds.")
    too_long: Literal["refuse", "truncate"] = Field(
        "refuse", description="What happens to a longer text on its way out. Default: refuse, and say so."
    )
    blank_as: str | None = Field(
        None, min_length=1, description="Text written for a blank where the system insists on one; read back as blank."
    )


class Text(Scalar):
    """Text, trimmed. Line breaks become `\\n`, or one space in a field of one line; control characters are removed;
    the empty string is blank. `copy` is another name for it."""

    name = "text"
    types = frozenset({"text", "choice"})
    Options = TextOptions
    example = "name: {field: Name, max_length: 120, too_long: refuse}"

    def __init__(self, options: Any, spec: FieldSpec) -> None:
        super().__init__(options, spec)
        self.lines = "many" if spec.type == "text" and spec.lines == "many" else "one"
        self.blank_as = canonical.text(options.blank_as, lines=self.lines)
        self.blank_says_nothing = self.blank_as is None

    def _in(self, raw: Any) -> Any:
        value = canonical.text(raw, lines=self.lines)
        return None if value == self.blank_as else value

    def write(self, value: Value, refs: Refs) -> dict[str, Any]:
        written = canonical.text(value, lines=self.lines)
        if written is None:
            return {self.field: self.blank_as}
        limit = self.options.max_length
        if limit is not None and len(written) > limit:
            if self.options.too_long == "refuse":
                raise LensError(
                    "too-long",
                    f"{shown(written)} has {len(written)} characters and {self.field} holds {limit}: shorten it, or "
                    "map it with `too_long: truncate`",
                )
            written = written[:limit].rstrip()
        if written == self.blank_as:
            raise LensError("stands-for-blank", f"{shown(written)} stands for a blank in {self.field}")
        return {self.field: written}

    def image(self, value: Value) -> Value:
        if self.options.max_length is None or self.options.too_long == "refuse" or not isinstance(value, str):
            return value
        return value[: self.options.max_length].rstrip() or None

    def _same(self, sent: Any, seen: Any) -> bool:
        if sent == seen:
            return True
        limit = self.options.max_length
        return limit is not None and isinstance(sent, str) and len(sent) > limit and sent[:limit].rstrip() == seen


class _HTMLText(HTMLParser):
    """The text of an HTML fragment: line breaks and blocks become newlines, the rest of the markup is dropped."""

    _BLOCKS = frozenset({"p", "div", "li", "ul", "ol", "tr", "table", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote"})
    _SILENT = frozenset({"script", "style", "head", "title"})

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in self._SILENT:
            self.silent += 1
        elif tag == "br" or (tag in self._BLOCKS and self.parts and not self.parts[-1].endswith("\n")):
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in self._SILENT:
            self.silent = max(0, self.silent - 1)
        elif tag in self._BLOCKS:
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        if not self.silent:
            self.parts.append(re.sub(r"[ \t\r\n]+", " ", data) if "\n" in data or "\r" in data else data)


class RichText(Scalar):
    """Plain text kept in a field of HTML. Markup is dropped when read; it is lost when the text is edited elsewhere and
    written back, and stays as it is otherwise."""

    name = "rich_text"
    types = frozenset({"text"})
    example = "description: {lens: rich_text, field: hs_meeting_body}"

    def _in(self, raw: Any) -> Any:
        markup = canonical.text(raw)
        if markup is None or ("<" not in markup and "&" not in markup):
            return canonical.text(markup, lines=self.spec.lines)
        parser = _HTMLText()
        parser.feed(markup)
        parser.close()
        return canonical.text("".join(parser.parts), lines=self.spec.lines)

    def _out(self, value: Any) -> Any:
        return html.escape(str(value), quote=False).replace("\n", "<br>")


class Email(Scalar):
    """An e-mail address, trimmed and in lower case, as both CRMs store it; other spellings compare as equal."""

    name = "email"
    types = frozenset({"email"})
    example = "email: Email"

    def _in(self, raw: Any) -> Any:
        return canonical.email(raw)


class PhoneOptions(OneField):
    region: str | None = Field(
        None, pattern="^[A-Z]{2}$", description="Country whose numbers are written without a prefix, such as `US`."
    )


class Phone(Scalar):
    """A telephone number in E.164 form with its extension. What cannot be parsed as a number is kept as the text it
    is."""

    name = "phone"
    types = frozenset({"phone"})
    Options = PhoneOptions
    example = "phone: {field: Phone, region: US}"

    def _in(self, raw: Any) -> Any:
        if raw is not None and not isinstance(raw, str):
            raw = canonical.text(raw)
        return canonical.phone(raw, self.options.region)


class Url(Scalar):
    """A web address; `https://` is put before one written without a scheme."""

    name = "url"
    types = frozenset({"url"})
    example = "website: Website"

    def _in(self, raw: Any) -> Any:
        return canonical.url(raw)


class Domain(Scalar):
    """The mail domain in a web or e-mail address: `https://www.acme.com/en` -> `acme.com`. One-way. A blank address
    says nothing about the domain."""

    name = "domain"
    types = frozenset({"text"})
    two_way = False
    example = "domain: {lens: domain, field: Website}"

    def _in(self, raw: Any) -> Any:
        written = canonical.text(raw, lines="one")
        if written is None:
            return UNKNOWN
        address = canonical.url(written.rpartition("@")[2] if "/" not in written else written)
        host = urlsplit(address or "").hostname or ""
        return host.removeprefix("www.") or UNKNOWN


class NameOptions(Options):
    first: str = Field(description="The system's field for given names.")
    last: str = Field(description="The system's field for the family name.")


class FullName(Lens):
    """One name in the workspace, given and family name in the system. Written, the last word is the family name; what
    the system holds is left alone as long as the full name is the same."""

    name = "full_name"
    types = frozenset({"text"})
    short = None
    Options = NameOptions
    example = "name: {lens: full_name, first: firstName, last: lastName}"

    def __init__(self, options: Any, spec: FieldSpec) -> None:
        super().__init__(options, spec)
        self.raw = (options.first, options.last)

    def read(self, raw: Raw, refs: Refs) -> Value | Unknown:
        if any(name not in raw for name in self.raw):
            return UNKNOWN
        parts = [canonical.text(raw[name], lines="one") for name in self.raw]
        return self.image(" ".join(part for part in parts if part) or None)

    def image(self, value: Value) -> Value:
        return " ".join(value.split()) if isinstance(value, str) else value

    def write(self, value: Value, refs: Refs) -> dict[str, Any]:
        first, _, last = str(self.image(value) or "").rpartition(" ")
        return {self.options.first: first or None, self.options.last: last or None}


# --- numbers ---------------------------------------------------------------------------------------------------------


class NumberOptions(OneField):
    scale: int | None = Field(None, ge=0, le=12, description="How many decimal places the system's field holds.")
    too_precise: Literal["refuse", "round"] = Field(
        "refuse", description="What happens to a value with more decimal places on its way out. Default: refuse."
    )
    percent: bool = Field(False, description="The system holds a fraction (0.2) of what the workspace shows (20).")


def _fit(written: str, scale: int | None, too_precise: str, field: str) -> str:
    number = canonical.decimal(written)
    assert number is not None
    exponent = number.as_tuple().exponent
    assert isinstance(exponent, int)
    if scale is None or -exponent <= scale:
        return canonical.plain(number)
    rounded = _rounded(number, scale)
    if rounded != number and too_precise == "refuse":
        raise LensError(
            "too-precise",
            f"{written} has more than the {scale} decimal places that {field} holds: round it, or map it with "
            "`too_precise: round`",
        )
    return canonical.plain(rounded)


def _rounded(number: Decimal, scale: int, rounding: str = ROUND_HALF_UP) -> Decimal:
    import decimal

    with decimal.localcontext(prec=100):
        return number.quantize(Decimal(1).scaleb(-scale), rounding=rounding)


def _rounds_to(sent: str, seen: str, scale: int | None) -> bool:
    """Did the system round what we sent, to its own scale, by either of the two usual rules?"""
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

    def _in(self, raw: Any) -> Any:
        number = canonical.decimal(raw)
        if number is None:
            return None
        return canonical.plain(number.scaleb(2) if self.options.percent else number)

    def _out(self, value: Any) -> Any:
        number = canonical.decimal(value)
        if number is None:
            return None
        written = canonical.plain(number.scaleb(-2) if self.options.percent else number)
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
    scale: int | None = Field(None, ge=0, le=12, description="How many decimal places the amount holds.")
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
        amount = raw.get(self.amount, _MISSING)
        if amount is _MISSING:
            return UNKNOWN
        number = canonical.number(amount)
        if number is None:
            return None
        currency = self.default
        if self.currency is not None:
            told = raw.get(self.currency, _MISSING)
            if told is _MISSING and self.default is None:
                return UNKNOWN
            if told is not _MISSING and told:
                currency = str(told).strip().upper()
        if currency is None:
            raise LensError("no-currency", f"{self.amount} is {number} without a currency: set {self.currency}")
        return {"amount": number, "currency": currency}

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


# --- time ------------------------------------------------------------------------------------------------------------

Form = Literal["z", "millis", "offset", "epoch"]


def _written(moment: datetime, form: Form) -> str:
    if form == "epoch":
        return str((moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1))
    text = canonical.stamp(moment)[:-1]
    return {"z": f"{text}Z", "millis": f"{text}.000Z", "offset": f"{text}.000+0000"}[form]


def _zone(name: str) -> tzinfo:
    try:
        return canonical.zone_named(name)
    except KeyError:
        raise ValueError(f"no time zone is named {name!r}; expected one such as Europe/Berlin or UTC") from None


class FormOptions(Options):
    form: Form = Field(
        "z",
        description="How the system wants moments: `z` 2026-11-21T08:17:00Z, `millis` …:00.000Z, "
        "`offset` …:00.000+0000, `epoch` milliseconds since 1970. All of these are read.",
    )
    zone: str = Field("UTC", description="The time zone of moments that the system writes without one (IANA name).")

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        _zone(name)
        return name


class DateTimeOptions(OneField, FormOptions):
    pass


class DateTime(Scalar):
    """A moment, in UTC, to the second."""

    name = "datetime"
    types = frozenset({"datetime"})
    Options = DateTimeOptions
    example = "signed_at: {field: Signed_At__c, form: offset}"

    def __init__(self, options: Any, spec: FieldSpec) -> None:
        super().__init__(options, spec)
        self.zone = _zone(options.zone)

    def _in(self, raw: Any) -> Any:
        return canonical.moment(raw, self.zone)

    def _out(self, value: Any) -> Any:
        moment = canonical.instant(value)
        return None if moment is None else _written(moment, self.options.form)


class DateOptions(DateTimeOptions):
    stored: Literal["date", "datetime"] = Field(
        "date", alias="as", description="`datetime` where the system keeps a calendar date as a moment. Default: date."
    )
    at: str = Field(
        "12:00",
        pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$",
        description="With `as: datetime`: the time of day written, in `zone`. Noon keeps the date the same in most of "
        "the world.",
    )

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=False)


class Date(Scalar):
    """A calendar date, never shifted by a time zone. With `as: datetime` the system holds a moment: it is written as
    the time `at` in `zone`, and only the date in that zone is read back, so a moment at another time of that day is the
    same date."""

    name = "date"
    types = frozenset({"date"})
    Options = DateOptions
    example = 'close_date: {field: closedate, as: datetime, at: "12:00", zone: UTC}'

    def __init__(self, options: Any, spec: FieldSpec) -> None:
        super().__init__(options, spec)
        self.zone = _zone(options.zone)
        self.at = time.fromisoformat(options.at)

    def _in(self, raw: Any) -> Any:
        if self.options.stored == "date":
            return canonical.day(raw)
        if isinstance(raw, str) and len(raw) == 10 and raw[4] == raw[7] == "-":
            return canonical.day(raw)
        moment = canonical.instant(raw, self.zone)
        return None if moment is None else self._day(moment)

    def _day(self, moment: datetime) -> str:
        try:
            return moment.astimezone(self.zone).date().isoformat()
        except OverflowError:
            raise LensError("not-a-date", f"{canonical.stamp(moment)} is outside the calendar in {self.zone}") from None

    def _out(self, value: Any) -> Any:
        day = canonical.day(value)
        if day is None or self.options.stored == "date":
            return day
        try:
            moment = datetime.combine(date.fromisoformat(day), self.at, self.zone).astimezone(UTC)
        except OverflowError:
            raise LensError("not-a-date", f"{day} at {self.at} cannot be written in UTC") from None
        if self._day(moment) != day:
            raise LensError("no-such-day", f"{day} was skipped in {self.options.zone}")
        return _written(moment, self.options.form)


class WhenOptions(FormOptions):
    start: str = Field(description="The system's field for the start.")
    end: str = Field(description="The system's field for the end.")
    zone_field: str | None = Field(None, description="The field that names the time zone, where there is one.")
    all_day: str | None = Field(
        None, description="The yes-or-no field for all-day. Without it, midnight to midnight in `zone` is all-day."
    )
    date: str | None = Field(None, description="A field that holds the date of an all-day meeting (written and read).")
    minutes: str | None = Field(None, description="A field that holds the length in minutes and must agree.")
    stamp: str | None = Field(None, description="A field that must hold the start once more (written only).")
    all_day_as: Literal["moments", "dates"] = Field(
        "moments", description="Whether start and end of an all-day meeting are midnights in `zone` or dates."
    )


class When(Lens):
    """Start, end, time zone and all-day as one value. All-day meetings are dates, the end exclusive, and never shift.
    A system without `zone_field` keeps the moments and not the name of the zone."""

    name = "when"
    types = frozenset({"when"})
    short = None
    Options = WhenOptions
    example = "when: {start: StartDateTime, end: EndDateTime, all_day: IsAllDayEvent, minutes: DurationInMinutes}"

    def __init__(self, options: Any, spec: FieldSpec) -> None:
        super().__init__(options, spec)
        self.zone = _zone(options.zone)
        named = (options.start, options.end, options.zone_field, options.all_day, options.date, options.minutes)
        self.raw = tuple(dict.fromkeys(name for name in (*named, options.stamp) if name))

    def read(self, raw: Raw, refs: Refs) -> Value | Unknown:
        names = self.options
        if names.start not in raw or (names.end not in raw and (names.minutes is None or names.minutes not in raw)):
            return UNKNOWN
        whole = self._boolean(raw.get(names.all_day)) if names.all_day else self._midnights(raw)
        if names.all_day and names.all_day not in raw:
            return UNKNOWN
        span = self._days(raw) if whole else self._moments(raw)
        if span is None:
            return None
        zone = canonical.text(raw.get(names.zone_field)) if names.zone_field else None
        return {"start": span[0], "end": span[1], "zone": zone, "all_day": whole}

    @staticmethod
    def _boolean(raw: Any) -> bool:
        return raw is True or (isinstance(raw, str) and raw.strip().lower() == "true")

    def _midnights(self, raw: Raw) -> bool:
        try:
            ends = [canonical.instant(raw.get(name), self.zone) for name in (self.options.start, self.options.end)]
            local = [each.astimezone(self.zone) for each in ends if each is not None]
        except (LensError, OverflowError):
            return False
        return len(local) == 2 and local[0] < local[1] and all(each.time() == time() for each in local)

    def _minutes(self, raw: Raw) -> int | None:
        number = canonical.decimal(raw.get(self.options.minutes)) if self.options.minutes else None
        return None if number is None else int(number)

    def _moments(self, raw: Raw) -> tuple[str, str] | None:
        start = canonical.instant(raw.get(self.options.start), self.zone)
        if start is None:
            return None
        end = canonical.instant(raw.get(self.options.end), self.zone)
        if end is None:
            end = start + timedelta(minutes=self._minutes(raw) or 0)
        if end < start:
            raise LensError("ends-before-start", f"it ends ({canonical.stamp(end)}) before it starts")
        return canonical.stamp(start), canonical.stamp(end)

    def _local_day(self, raw: Any) -> date | None:
        if isinstance(raw, str) and len(raw.strip()) == 10:
            return date.fromisoformat(canonical.day(raw) or "")
        moment = canonical.instant(raw, self.zone)
        return None if moment is None else moment.astimezone(self.zone).date()

    def _days(self, raw: Raw) -> tuple[str, str] | None:
        told = raw.get(self.options.date) if self.options.date else None
        start = self._local_day(told or raw.get(self.options.start))
        if start is None:
            return None
        minutes = self._minutes(raw)
        if minutes is not None:
            end = start + timedelta(days=max(1, -(-minutes // 1440)))
        else:
            end = max(self._local_day(raw.get(self.options.end)) or start, start + timedelta(days=1))
        return start.isoformat(), end.isoformat()

    def image(self, value: Value) -> Value:
        return {**value, "zone": None} if isinstance(value, dict) and self.options.zone_field is None else value

    def write(self, value: Value, refs: Refs) -> dict[str, Any]:
        if value is None:
            return {name: (False if name == self.options.all_day else None) for name in self.raw}
        if not isinstance(value, dict):
            raise LensError("not-a-time", f"{shown(value)} is not a start and an end")
        raw = self._days_out(value) if value["all_day"] else self._moments_out(value)
        names = self.options
        if names.stamp:
            raw[names.stamp] = raw[names.start]
        if names.zone_field:
            raw[names.zone_field] = value["zone"]
        if names.all_day:
            raw[names.all_day] = value["all_day"]
        return raw

    def _moments_out(self, value: dict[str, Any]) -> dict[str, Any]:
        names = self.options
        start, end = canonical.instant(value["start"]), canonical.instant(value["end"])
        if start is None or end is None or end < start:
            raise LensError("ends-before-start", f"{value['start']} to {value['end']} is not a span of time")
        raw: dict[str, Any] = {names.start: _written(start, names.form), names.end: _written(end, names.form)}
        if names.minutes:
            raw[names.minutes] = -(-int((end - start).total_seconds()) // 60)
        if names.date:
            raw[names.date] = start.astimezone(self.zone).date().isoformat()
        if not names.all_day and self._midnights(raw):
            raise LensError("reads-as-all-day", "a meeting from midnight to midnight would be read as all-day there")
        return raw

    def _days_out(self, value: dict[str, Any]) -> dict[str, Any]:
        names = self.options
        start, end = date.fromisoformat(value["start"]), date.fromisoformat(value["end"])
        if end <= start:
            raise LensError("ends-before-start", f"all-day {value['start']} to {value['end']} holds no day")
        raw: dict[str, Any]
        if names.all_day_as == "dates":
            raw = {names.start: value["start"], names.end: value["end"]}
        else:
            try:
                ends = [datetime.combine(day, time(), self.zone).astimezone(UTC) for day in (start, end)]
            except OverflowError:
                raise LensError("not-a-time", f"{value['start']} cannot be written in UTC") from None
            raw = {names.start: _written(ends[0], names.form), names.end: _written(ends[1], names.form)}
        if names.minutes:
            # Length and last day are two ways of saying the same thing, and a system that keeps the last day keeps it
            # inclusive: the length alone is sent, so that they cannot disagree.
            raw.pop(names.end)
            raw[names.minutes] = (end - start).days * 1440
        if names.date:
            raw[names.date] = value["start"]
        return raw


# --- choices ---------------------------------------------------------------------------------------------------------


class ChoiceOptions(OneField):
    values: dict[str, str | bool | int | list[str | bool | int]] | None = Field(
        None,
        description="Workspace value -> the system's value. A list: all of these are read so, the first is written. "
        "Default: the same words on both sides.",
    )
    unknown: Literal["refuse", "default", "keep", "ignore"] | None = Field(
        None,
        description="A value in neither column: `refuse` reports it and leaves the field alone, `default` takes "
        "`default`, `keep` lets it through as it is, `ignore` leaves the field alone silently. Must be said where "
        "`values` does not cover every choice of the field.",
    )
    default: str | None = Field(None, description="The workspace value for an unknown one, with `unknown: default`.")

    @model_validator(mode="after")
    def _default_is_used(self) -> ChoiceOptions:
        if (self.unknown == "default") != (self.default is not None):
            raise ValueError("`unknown: default` and `default` go together")
        if self.default is not None and self.values is not None and self.default not in self.values:
            raise ValueError(f"`default: {self.default}` is not among `values`")
        return self


def _listed(written: Any) -> list[str]:
    return [_key(each) for each in (written if isinstance(written, list) else [written])]


def _key(raw: Any) -> str:
    """Raw values compare as text, exactly: HubSpot's internal values are case-sensitive."""
    return ("true" if raw else "false") if isinstance(raw, bool) else str(raw).strip()


class Choice(Scalar):
    """One of a list of values, translated by a table that covers every choice and goes both ways."""

    name = "choice"
    types = frozenset({"choice", "text"})
    Options = ChoiceOptions
    example = "stage: {field: StageName, values: {proposal: [Proposal/Price Quote, Proposal], won: Closed Won}}"

    def __init__(self, options: Any, spec: FieldSpec) -> None:
        super().__init__(options, spec)
        table = options.values if options.values is not None else {each: each for each in spec.choices}
        self.outward = {key: (each[0] if isinstance(each, list) else each) for key, each in table.items()}
        self.inward = {raw: key for key, each in table.items() for raw in _listed(each)}
        self.unknown = options.unknown or "refuse"

    def _in(self, raw: Any) -> Any:
        if raw is None or raw == "":
            return None
        key = _key(raw)
        found = self.inward.get(key)
        if found is not None:
            return found
        if self.unknown == "keep":
            return canonical.text(key, lines="one")
        if self.unknown == "default":
            return self.options.default
        if self.unknown == "ignore":
            return UNKNOWN
        raise LensError(
            "unknown-value", f"{shown(key)} in {self.field} is not mapped: add it to `values` of {self.spec.name}"
        )

    def write(self, value: Value, refs: Refs) -> dict[str, Any]:
        if value is None:
            return {self.field: None}
        key = str(value)
        if key in self.outward:
            return {self.field: self.outward[key]}
        if self.unknown == "keep" and key not in self.inward:
            return {self.field: key}
        if self.unknown == "default":
            return {self.field: self.outward[self.options.default]}
        if self.unknown == "ignore":
            return {}
        raise LensError(
            "unknown-value", f"{shown(key)} has no counterpart in {self.field}: add it to `values` of {self.spec.name}"
        )


class LookupOptions(OneField):
    table: dict[str, str] = Field(description="The system's value -> the workspace value.")
    unknown: Literal["refuse", "ignore", "keep"] = Field(
        "refuse", description="A value not in the table. `ignore`: the field says nothing."
    )


class Lookup(Scalar):
    """A table that is only read: several system values may mean the same. One-way."""

    name = "lookup"
    types = frozenset({"text", "choice", "number", "boolean"})
    two_way = False
    Options = LookupOptions
    example = 'status: {lens: lookup, field: IsCancelled, table: {"true": cancelled}, unknown: ignore}'

    def _in(self, raw: Any) -> Any:
        if raw is None or raw == "":
            return None
        key = _key(raw)
        if key in self.options.table:
            return self.options.table[key]
        if self.options.unknown == "ignore":
            return UNKNOWN
        if self.options.unknown == "keep":
            return key
        raise LensError("unknown-value", f"{shown(key)} in {self.field} is not in the table of {self.spec.name}")


class BooleanOptions(OneField):
    true: str | bool = Field(True, description="What the system holds for yes.")
    false: str | bool = Field(False, description="What the system holds for no.")
    invert: bool = Field(False, description="The system's yes is the workspace's no (`archived` for `active`).")


class Boolean(Scalar):
    """Yes or no. The texts `true` and `false` are read as well."""

    name = "boolean"
    types = frozenset({"boolean"})
    Options = BooleanOptions
    example = "active: {field: archived, invert: true, direction: read}"

    def _in(self, raw: Any) -> Any:
        if raw is None or raw == "":
            return None
        for told, value in ((self.options.true, True), (self.options.false, False)):
            if raw == told or _key(raw) == _key(told) or _key(raw).lower() == ("true" if value else "false"):
                return value != self.options.invert
        raise LensError("not-a-boolean", f"{shown(raw)} in {self.field} is neither yes nor no")

    def _out(self, value: Any) -> Any:
        if not isinstance(value, bool):
            raise LensError("not-a-boolean", f"{shown(value)} is neither yes nor no")
        return self.options.true if value != self.options.invert else self.options.false


class SetOptions(OneField):
    separator: str | None = Field(
        None, min_length=1, description="What stands between the values where the system holds one text, such as `;`."
    )
    values: dict[str, str] | None = Field(None, description="Workspace value -> the system's value, one to one.")


class Set(Scalar):
    """Several values without order, as a list or as one text with a separator."""

    name = "set"
    types = frozenset({"set"})
    Options = SetOptions
    example = 'interests: {field: Interests__c, separator: ";"}'

    def __init__(self, options: Any, spec: FieldSpec) -> None:
        super().__init__(options, spec)
        self.inward = {raw: key for key, raw in (options.values or {}).items()}

    def _in(self, raw: Any) -> Any:
        if self.options.separator is not None and isinstance(raw, str):
            raw = raw.split(self.options.separator)
        found = canonical.strings(raw)
        return found and sorted({self.inward.get(each, each) for each in found})

    def _out(self, value: Any) -> Any:
        outward = self.options.values or {}
        written = [outward.get(each, each) for each in value]
        separator = self.options.separator
        for each, raw in zip(value, written, strict=True):
            if each not in outward and each in self.inward:
                raise LensError("unknown-value", f"{shown(each)} already stands for another value in {self.field}")
            if separator is not None and separator in raw:
                raise LensError("holds-separator", f"{shown(raw)} holds {separator!r}, which separates values there")
        return separator.join(written) if separator is not None else written


# --- references ------------------------------------------------------------------------------------------------------


class ReferenceOptions(OneField):
    entity: str | None = Field(None, description="The entity referred to. Default: what the workspace field says.")
    prefix: str | None = Field(
        None, description="Ids that begin otherwise belong to something else and say nothing (Salesforce key prefix)."
    )


def _id(raw: Any) -> str | None:
    if raw is None or raw == "":
        return None
    if isinstance(raw, bool) or not isinstance(raw, str | int):
        raise LensError("not-an-id", f"{shown(raw)} is not an id")
    return str(raw)


class Reference(Scalar):
    """Another record, by its id in the system. One that has not crossed yet defers the field."""

    name = "reference"
    types = frozenset({"ref"})
    Options = ReferenceOptions
    example = "owner: OwnerId"

    def __init__(self, options: Any, spec: FieldSpec) -> None:
        super().__init__(options, spec)
        self.entity: str = options.entity or spec.entity or ""

    def _theirs(self, raw: Any) -> str | None:
        found = _id(raw)
        return found if found and found.startswith(self.options.prefix or "") else None

    def read(self, raw: Raw, refs: Refs) -> Value | Unknown:
        if self.field not in raw:
            return UNKNOWN
        told = _id(raw[self.field])
        if told is None:
            return None
        if self._theirs(told) is None:
            return UNKNOWN
        record = refs.record(self.entity, told)
        if record is None:
            raise Unresolved(self.entity, told)
        return record

    def write(self, value: Value, refs: Refs) -> dict[str, Any]:
        if value is None:
            return {self.field: None}
        external = refs.external(self.entity, str(value))
        if external is None:
            raise Unresolved(self.entity, str(value))
        return {self.field: external}

    def references_in(self, raw: Raw) -> Iterable[tuple[str, str]]:
        found = self._theirs(raw.get(self.field))
        return ((self.entity, found),) if found else ()

    def references_out(self, value: Value) -> Iterable[tuple[str, str]]:
        return ((self.entity, str(value)),) if value is not None else ()


class References(Reference):
    """Several other records, by their ids, without order. Ids with another `prefix` are passed over."""

    name = "references"
    types = frozenset({"refs"})
    example = "contacts: {field: ContactIds}"

    def _ids(self, raw: Any) -> list[str]:
        if raw is None or raw == "":
            return []
        listed = raw.split(";") if isinstance(raw, str) else raw
        return [found for each in listed if (found := self._theirs(each))]

    def read(self, raw: Raw, refs: Refs) -> Value | Unknown:
        if self.field not in raw:
            return UNKNOWN
        records = set()
        for external in self._ids(raw[self.field]):
            record = refs.record(self.entity, external)
            if record is None:
                raise Unresolved(self.entity, external)
            records.add(record)
        return sorted(records) or None

    def write(self, value: Value, refs: Refs) -> dict[str, Any]:
        externals = []
        for record in value if isinstance(value, list) else ():
            external = refs.external(self.entity, record)
            if external is None:
                raise Unresolved(self.entity, record)
            externals.append(external)
        return {self.field: externals}

    def references_in(self, raw: Raw) -> Iterable[tuple[str, str]]:
        return [(self.entity, found) for found in self._ids(raw.get(self.field))]

    def references_out(self, value: Value) -> Iterable[tuple[str, str]]:
        return [(self.entity, record) for record in value] if isinstance(value, list) else ()


class RelatedOptions(Options):
    field: str | None = Field(None, description="The system's one field, whose ids tell their kind by `prefixes`.")
    prefixes: dict[str, str] | None = Field(None, description="Entity -> how its ids begin, with `field`.")
    fields: dict[str, str] | None = Field(
        None, description="Entity -> the system's field for it, the telling one first: a deal says more than a company."
    )

    @model_validator(mode="after")
    def _one_way_of_telling(self) -> RelatedOptions:
        if (self.fields is None) == (self.field is None) or (self.field is None) != (self.prefixes is None):
            raise ValueError("related needs either `fields` (entity -> field) or `field` with `prefixes`")
        return self


class Related(Lens):
    """A record of one of several entities: what a meeting is about. In one field whose ids tell their kind, or in one
    field for each entity, of which the first that is filled counts. Several records in that field are refused."""

    name = "related"
    types = frozenset({"related"})
    short = None
    Options = RelatedOptions
    example = 'about: {field: WhatId, prefixes: {opportunity: "006", account: "001"}}'

    def __init__(self, options: Any, spec: FieldSpec) -> None:
        super().__init__(options, spec)
        self.raw = tuple(options.fields.values()) if options.fields else (options.field,)

    def _told(self, raw: Raw) -> tuple[str, str] | Unknown | None:
        if self.options.fields is None:
            return self._by_prefix(raw)
        for entity, name in self.options.fields.items():
            if name not in raw:
                return UNKNOWN
            held = raw[name]
            ids = [_id(each) for each in held] if isinstance(held, list | tuple) else [_id(held)]
            found = sorted({each for each in ids if each})
            if len(found) > 1:
                raise LensError("several", f"{len(found)} records in {name}: which one it is about is not clear")
            if found:
                return entity, found[0]
        return None

    def _by_prefix(self, raw: Raw) -> tuple[str, str] | Unknown | None:
        if self.options.field not in raw:
            return UNKNOWN
        told = _id(raw[self.options.field])
        if told is None:
            return None
        for entity, prefix in self.options.prefixes.items():
            if told.startswith(prefix):
                return entity, told
        return UNKNOWN

    def read(self, raw: Raw, refs: Refs) -> Value | Unknown:
        told = self._told(raw)
        if told is None or told is UNKNOWN:
            return told
        record = refs.record(*told)
        if record is None:
            raise Unresolved(*told)
        return f"{told[0]}:{record}"

    def write(self, value: Value, refs: Refs) -> dict[str, Any]:
        if value is None:
            return dict.fromkeys(self.raw) if self.options.fields is None else {name: [] for name in self.raw}
        entity, _, record = str(value).partition(":")
        served = self.options.prefixes if self.options.fields is None else self.options.fields
        if entity not in served:
            raise LensError("other-entity", f"{self.spec.name} cannot be {entity} here, only {' or '.join(served)}")
        external = refs.external(entity, record)
        if external is None:
            raise Unresolved(entity, record)
        if self.options.fields is None:
            return {self.options.field: external}
        raw: dict[str, Any] = {}
        for each, name in self.options.fields.items():
            raw[name] = [external] if each == entity else []
            if each == entity:
                break
        return raw

    def references_in(self, raw: Raw) -> Iterable[tuple[str, str]]:
        try:
            told = self._told(raw)
        except LensError:
            return ()
        return () if told is None or isinstance(told, Unknown) else (told,)

    def references_out(self, value: Value) -> Iterable[tuple[str, str]]:
        entity, _, record = str(value).partition(":")
        return ((entity, record),) if value is not None else ()


class Attendees(Scalar):
    """The people of a meeting, one entry per address."""

    name = "attendees"
    types = frozenset({"attendees"})
    example = "attendees: {field: Attendees, direction: read}"

    def _in(self, raw: Any) -> Any:
        return canonical.attendees(raw)


# --- what is only written --------------------------------------------------------------------------------------------


class WriterOptions(BaseModel):
    """A raw field that Sidefeed fills and never reads: a constant, or a text made of workspace fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    constant: str | bool | int | None = Field(None, description="The value written.")
    template: str | None = Field(
        None, description="Text in which `{field}` stands for a workspace field; with `on: always` it follows them."
    )
    on: Literal["create", "always"] = Field(
        "create", description="`create`: on new records only. `always`: a template also when its fields change."
    )

    @model_validator(mode="after")
    def _one_source(self) -> WriterOptions:
        if (self.constant is None) == (self.template is None):
            raise ValueError("write either `constant` or `template`")
        if self.constant is not None and self.on == "always":
            raise ValueError("a constant is written on create only")
        return self


_SLOT = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Writer:
    field: str
    constant: str | bool | int | None
    template: str | None
    on_create_only: bool
    sources: frozenset[str]

    @classmethod
    def of(cls, field: str, options: WriterOptions) -> Writer:
        sources = frozenset(_SLOT.findall(options.template or ""))
        return cls(field, options.constant, options.template, options.on == "create", sources)

    def write(self, values: Mapping[str, Value]) -> dict[str, Any]:
        if self.template is None:
            return {self.field: self.constant}
        return {self.field: canonical.text(_SLOT.sub(lambda slot: _spoken(values.get(slot[1])), self.template))}


def _spoken(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, dict) and "amount" in value:
        return f"{value['amount']} {value['currency']}"
    if isinstance(value, dict) and "start" in value:
        return str(value["start"])
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


# --- the registry ----------------------------------------------------------------------------------------------------

BUILT_IN: Final[tuple[type[Lens], ...]] = (
    Text, RichText, Email, Phone, Url, Domain, FullName, Number, Money, Date, DateTime, When, Choice, Lookup, Boolean,
    Set, Reference, References, Related, Attendees,
)  # fmt: skip

DEFAULT: Final[dict[str, str]] = {
    "text": "text", "email": "email", "phone": "phone", "url": "url", "number": "number", "money": "money",
    "date": "date", "datetime": "datetime", "when": "when", "choice": "choice", "boolean": "boolean", "set": "set",
    "ref": "reference", "refs": "references", "related": "related", "attendees": "attendees",
}  # fmt: skip
"""Workspace type -> the lens taken where a field names none."""


@cache
def library() -> dict[str, type[Lens]]:
    """Every lens by name: ours, then those of the entry-point group ``sidefeed.lenses``."""
    from importlib.metadata import entry_points

    found: dict[str, type[Lens]] = {each.name: each for each in BUILT_IN}
    found["copy"] = Text
    for entry in entry_points(group="sidefeed.lenses"):
        found.setdefault(entry.name, entry.load())
    return found
