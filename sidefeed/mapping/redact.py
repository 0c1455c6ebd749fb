"""Real records without the people in them, for tests and rehearsals.

What a lens treats in its own way stays as it is shaped: lengths, capital letters, punctuation, decimal places, markup,
dates, picklist values. Words, names, addresses, numbers to call and amounts become others. The same word becomes the
same other word in every system, so that records which match still match; with another ``salt`` it becomes another.
Dates, times, yes-or-no and picklist values are kept, and so are numbers up to a hundred that are no amounts: a share
or a count names nobody, and another one might be outside the range that its field takes.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from . import values as canonical
from .lenses import Lens
from .lenses.choices import Boolean, Choice, Lookup
from .lenses.numbers import Money, Number
from .lenses.owners import Owner
from .lenses.places import Country, State
from .lenses.references import Attendees, Reference, Related
from .lenses.text import Phone
from .lenses.times import Date, DateTime, When
from .model import ObjectMap

_PART = re.compile(
    r"(?P<markup><[^<>]*>|&#?\w+;)"
    r"|(?P<domain>(?:[a-z][a-z+.-]*://)?(?:www\.)?(?:[\w-]+\.)+[a-z]{2,})(?![\w@])"
    r"|(?P<word>[^\W\d_]{2,})"
    r"|(?P<digits>\d+)",
    re.IGNORECASE,
)
_ADDRESS = re.compile(r"([\w.+'-]+)@((?:[\w-]+\.)+[a-z]{2,})", re.IGNORECASE)
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}(T|$)")
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_VOWELS, _CONSONANTS = "aeiou", "bdfgklmnprstvz"
_ID_HEAD = 3
"""Salesforce ids begin with three characters that tell their kind; lenses look at them."""


def _small(raw: Any) -> bool:
    try:
        canon = canonical.number(raw)
    except canonical.LensError:
        return False
    return canon is not None and abs(Decimal(canon)) <= 100


class Redactor:
    """Replaces what could name somebody. One redactor, one consistent set of other names."""

    def __init__(self, salt: bytes | None = None) -> None:
        self._salt = secrets.token_bytes(16) if salt is None else salt
        self._taken: dict[str, list[str]] = {}

    def record(self, om: ObjectMap, raw: Mapping[str, Any]) -> dict[str, Any]:
        """The mapped fields of a raw record, redacted; fields that the mapping does not know are left out."""
        kept: dict[str, Any] = {}
        for each in om.fields:
            for name in each.lens.raw:
                if name in raw and name not in kept:
                    kept[name] = self.value(each.lens, name, raw[name])
        return kept

    def value(self, lens: Lens, name: str, raw: Any) -> Any:
        """One raw value, by what its lens makes of it."""
        if raw is None or raw == "" or isinstance(raw, bool):
            return raw
        if isinstance(lens, Choice | Lookup | Boolean | Date | DateTime | When):
            return raw
        if isinstance(lens, Country | State):
            return raw
        if isinstance(lens, Owner) and lens.options.by == "email":
            return self.email(str(raw))
        if isinstance(lens, Reference | Related):
            return self._ids(raw)
        if isinstance(lens, Number):
            return raw if _small(raw) else self.number(raw)
        if isinstance(lens, Money) and name == lens.amount:
            return self.number(raw)
        if isinstance(lens, Money):
            return raw
        if isinstance(lens, Phone):
            return self.phone(str(raw), lens.options.region)
        if isinstance(lens, Attendees):
            return [self._attendee(each) for each in raw]
        if isinstance(raw, list):
            return [self.text(str(each)) for each in raw]
        return self.text(raw) if isinstance(raw, str) else raw

    def unmapped(self, raw: Any) -> Any:
        """A value that no lens speaks of: numbers stay numbers, dates stay, text is replaced."""
        if not isinstance(raw, str):
            return raw if raw is None or isinstance(raw, bool | list | dict) else self.number(raw)
        if _DAY.match(raw):
            return raw
        return self.number(raw) if _NUMBER.fullmatch(raw) else self.text(raw)

    def text(self, written: str) -> str:
        """Words, numbers and addresses replaced; everything between them as it was."""
        kept: list[str] = []
        at = 0
        for found in _ADDRESS.finditer(written):
            kept += (self._text(written[at:found.start()]), self.email(found[0]))
            at = found.end()
        return "".join([*kept, self._text(written[at:])])

    def _text(self, written: str) -> str:
        return _PART.sub(self._part, written)

    def _part(self, found: re.Match[str]) -> str:
        if found["markup"]:
            return found[0]
        if found["domain"]:
            scheme, _, host = found[0].rpartition("://")
            www = host[:4] if host[:4].lower() == "www." else ""
            return f"{scheme}{'://' if scheme else ''}{www}{self.domain(host.removeprefix(www))}"
        return self.word(found[0]) if found["word"] else self._digits(found[0])

    def email(self, address: str) -> str:
        local, _, domain = address.rpartition("@")
        return f"{self._text(local)}{self._alone(address, self._text(local.casefold()) + domain)}@{self.domain(domain)}"

    def domain(self, host: str) -> str:
        """A domain under ``example``, where nobody lives (RFC 2606)."""
        letters = "".join(char for char in host.rpartition(".")[0].lower() if char.isalpha())
        made = self.word(letters or "x")
        return f"{made}{self._alone(host, made)}.example"

    def _alone(self, one: str, made: str) -> str:
        """What keeps an address from becoming the same as another's: short words have few others."""
        holders = self._taken.setdefault(made.casefold(), [])
        if one.casefold() not in holders:
            holders.append(one.casefold())
        place = holders.index(one.casefold())
        return str(place + 1) if place else ""

    def word(self, word: str) -> str:
        """Another word of the same length, with capitals where they were; letters beyond a to z stay in place."""
        draw = self._draw(word.casefold(), len(word))
        made = "".join((_VOWELS if at % 2 else _CONSONANTS)[each % (5 if at % 2 else 14)]
                       for at, each in enumerate(draw))
        return "".join(new.upper() if old.isupper() else old if not old.isascii() else new
                       for old, new in zip(word, made, strict=True))

    def number(self, raw: Any) -> Any:
        """Another number with as many digits before and after the point; zero stays zero."""
        try:
            canon = canonical.number(raw)
        except canonical.LensError:
            return raw
        if canon is None or canon == "0":
            return raw
        whole, point, fraction = canon.lstrip("-").partition(".")
        made = self._digits(whole, of=canon) if whole != "0" else "0"
        if point:
            made += "." + self._digits(fraction, of=f"{canon}.")
        signed = f"-{made}" if canon.startswith("-") else made
        return int(signed) if isinstance(raw, int) else signed

    def phone(self, raw: str, region: str | None) -> str:
        """The country stays, the number becomes one that differs."""
        known = canonical.phone(raw, region) or raw
        number, plus, extension = known.partition(" ext. ")
        head = max(len(number) - 7, 2)
        made = number[:head] + self._digits(number[head:], of=known) if number.startswith("+") else self.text(number)
        return made + plus + (self._digits(extension) if extension else "")

    def id(self, id: str) -> str:
        """Another id of the same shape."""
        if id.isdigit():
            return self._digits(id)
        head, rest = id[:_ID_HEAD], id[_ID_HEAD:]
        letters = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
        return head + "".join(letters[each % len(letters)] for each in self._draw(id, len(rest)))

    def _ids(self, raw: Any) -> Any:
        if isinstance(raw, list | tuple):
            return [self._member(str(each)) for each in raw]
        return ";".join(self._member(each) if each else each for each in str(raw).split(";"))

    def _member(self, written: str) -> str:
        """An id, or one in a role: the role stays."""
        role, colon, id = written.rpartition(":")
        return f"{role}{colon}{self.id(id)}"

    def _attendee(self, each: Any) -> Any:
        if not isinstance(each, Mapping):
            return self.text(str(each))
        told = {name: self.text(str(each[name])) for name in ("address", "name") if each.get(name)}
        return {**each, **told}

    def _digits(self, digits: str, of: str | None = None) -> str:
        draw = self._draw(of or digits, len(digits))
        made = [each % 10 for each in draw]
        if made and digits[0] != "0" and made[0] == 0:
            made[0] = 1
        return "".join(map(str, made))

    def _draw(self, of: str, length: int) -> bytes:
        drawn = b""
        while len(drawn) < length:
            drawn += hashlib.blake2b(f"{len(drawn)}:{of}".encode(), key=self._salt).digest()
        return drawn[:length]
