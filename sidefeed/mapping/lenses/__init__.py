"""The lens library. `base` has what a lens is and the laws it keeps; `library` has them all by name."""

from __future__ import annotations

from functools import cache
from typing import Final

from sidefeed.installed import entry_points

from .base import Filler, Lens, OneField, Options, Raw, Reader, Refs, SameIds, Scalar
from .choices import Boolean, Choice, Lookup, Set
from .numbers import Money, Number
from .owners import Owner
from .places import Address, Country, State
from .references import Attendees, Reference, References, Related
from .text import Domain, Email, FullName, Phone, RichText, Text, Url
from .times import Date, DateTime, When
from .writers import Writer, WriterOptions

__all__ = [
    "BUILT_IN", "DEFAULT", "Choice", "Filler", "Lens", "OneField", "Options", "Owner", "Raw", "Reader", "References",
    "Refs", "SameIds", "Scalar", "Set", "Writer", "WriterOptions", "filler_of", "library", "reader_of",
]  # fmt: skip

BUILT_IN: Final[tuple[type[Lens], ...]] = (
    Text, RichText, Email, Phone, Url, Domain, FullName, Number, Money, Date, DateTime, When, Choice, Lookup, Boolean,
    Set, Reference, Owner, References, Related, Attendees, Country, State, Address,
)  # fmt: skip

DEFAULT: Final[dict[str, str]] = {
    "text": "text", "email": "email", "phone": "phone", "url": "url", "number": "number", "money": "money",
    "date": "date", "datetime": "datetime", "when": "when", "choice": "choice", "boolean": "boolean", "set": "set",
    "ref": "reference", "refs": "references", "related": "related", "attendees": "attendees",
    "address": "address",
}  # fmt: skip
"""Workspace type -> the lens taken where a field names none."""


def reader_of(lens: Lens) -> Reader:
    """The quickest way to read through a lens."""
    return lens.reader() if "reader" in vars(type(lens)) else lens.read


def filler_of(lens: Lens) -> Filler:
    """The quickest way to write through a lens, into raw values at hand."""
    return lens.filler() if "filler" in vars(type(lens)) else Lens.filler(lens)


@cache
def library() -> dict[str, type[Lens]]:
    """Every lens by name: ours, then those of the entry-point group ``sidefeed.lenses``."""
    found: dict[str, type[Lens]] = {each.name: each for each in BUILT_IN}
    found["copy"] = Text
    for entry in entry_points("sidefeed.lenses"):
        found.setdefault(entry.name, entry.load())
    return found
