"""Values translated by a table: one of a list, several of it, yes or no."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from .. import values as canonical
from ..values import UNKNOWN, LensError, Unknown, Value, shown
from .base import MISSING, Filler, OneField, Raw, Reader, Refs, Scalar

if TYPE_CHECKING:
    from ..model import FieldSpec


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


def _word(raw: Any) -> Collection[str]:
    return () if raw is None or raw == "" else (_key(raw),)


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

    def reader(self) -> Reader:
        field, inward, slow = self.field, self.inward, self.read

        def read(raw: Raw, refs: Refs) -> Value | Unknown:
            told = raw.get(field, MISSING)
            found = inward.get(told) if type(told) is str else None
            return slow(raw, refs) if found is None else found

        return read

    def filler(self) -> Filler:
        field, outward, slow = self.field, self.outward, self.write

        def fill(value: Value, refs: Refs, raw: dict[str, Any]) -> None:
            if type(value) is str and value in outward:
                raw[field] = outward[value]
            else:
                raw.update(slow(value, refs))

        return fill

    def pairs(self) -> dict[str, list[str]]:
        written = {key: [_key(raw)] for key, raw in self.outward.items()}
        for raw, key in self.inward.items():
            if raw not in written[key]:
                written[key].append(raw)
        return written

    def words(self, raw: Raw) -> Collection[str]:
        return _word(raw.get(self.field))

    def says(self, *, reads: bool, writes: bool) -> Iterator[str]:
        yield {
            "refuse": "A value in neither column is reported, and the field stays as it is.",
            "ignore": "A value in neither column leaves the field as it is, silently.",
            "keep": "A value in neither column crosses as it is.",
            "default": f"A value in neither column counts as {self.options.default}.",
        }[self.unknown]

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

    def pairs(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for raw, key in self.options.table.items():
            found.setdefault(key, []).append(raw)
        return found

    def words(self, raw: Raw) -> Collection[str]:
        return _word(raw.get(self.field))

    def says(self, *, reads: bool, writes: bool) -> Iterator[str]:
        yield {
            "refuse": "A value not in the table is reported, and the field stays as it is.",
            "ignore": "A value not in the table says nothing.",
            "keep": "A value not in the table crosses as it is.",
        }[self.options.unknown]

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

    def says(self, *, reads: bool, writes: bool) -> Iterator[str]:
        if self.options.invert:
            yield f"Yes in {self.field} is no here."

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
    unknown: Literal["keep", "refuse", "ignore"] = Field(
        "keep",
        description="A value not among `values`: `keep` lets it through as it is, `refuse` reports it and leaves the "
        "field alone, `ignore` does not show it on the other side, where each keeps its own. Default: keep.",
    )

    @model_validator(mode="after")
    def _one_to_one(self) -> SetOptions:
        if self.unknown != "keep" and self.values is None:
            raise ValueError("`unknown` needs `values`")
        if self.values is not None and len(set(self.values.values())) != len(self.values):
            raise ValueError("`values` must be one to one: a system's value stands there twice")
        return self


class Set(Scalar):
    """Several values without order, as a list or as one text with a separator."""

    name = "set"
    types = frozenset({"set"})
    Options = SetOptions
    example = 'interests: {field: Interests__c, separator: ";"}'

    def __init__(self, options: Any, spec: FieldSpec) -> None:
        super().__init__(options, spec)
        self.inward = {raw: key for key, raw in (options.values or {}).items()}

    def pairs(self) -> dict[str, list[str]]:
        return {key: [raw] for key, raw in (self.options.values or {}).items()}

    def words(self, raw: Raw) -> Collection[str]:
        return self._split(raw.get(self.field))

    def says(self, *, reads: bool, writes: bool) -> Iterator[str]:
        if self.options.separator is not None:
            yield f"{self.field} holds one text with {self.options.separator!r} between the values."
        if self.options.unknown != "keep":
            yield ("A value that is not in the table is not shown on the other side, and stays where it is."
                   if self.options.unknown == "ignore" else
                   "A value that is not in the table is reported, and the field stays as it is.")

    def _in(self, raw: Any) -> Any:
        found = self._split(raw)
        if self.options.unknown != "keep":
            self._refuse_unknown([each for each in found if each not in self.inward])
            found = [each for each in found if each in self.inward]
        return sorted({self.inward.get(each, each) for each in found}) or None

    def _refuse_unknown(self, left: list[str]) -> None:
        if left and self.options.unknown == "refuse":
            names = ", ".join(map(shown, left))
            raise LensError("unknown-value", f"{names} of {self.field}: add it to `values` of {self.spec.name}")

    def image(self, value: Value) -> Value:
        if self.options.unknown != "ignore" or not isinstance(value, list):
            return value
        return [each for each in value if each in self.options.values] or None

    def put(self, seen: Value, held: Value) -> Value:
        if self.options.unknown != "ignore" or not isinstance(held, list):
            return seen
        shown_there = seen if isinstance(seen, list) else []
        return canonical.strings([*shown_there, *(each for each in held if each not in self.options.values)])

    def onto(self, raw: Raw, held: Raw) -> dict[str, Any]:
        if self.options.unknown != "ignore":
            return {}
        kept = [each for each in self._split(held.get(self.field)) if each not in self.inward]
        written = canonical.strings([*self._split(raw[self.field]), *kept]) or []
        separator = self.options.separator
        return {self.field: written if separator is None else separator.join(written) or None}

    def _split(self, raw: Any) -> list[str]:
        if self.options.separator is not None and isinstance(raw, str):
            raw = raw.split(self.options.separator)
        return canonical.strings(raw) or []

    def _out(self, value: Any) -> Any:
        outward = self.options.values or {}
        if self.options.unknown != "keep":
            self._refuse_unknown([each for each in value if each not in outward])
            value = [each for each in value if each in outward]
        written = [outward.get(each, each) for each in value]
        separator = self.options.separator
        for each, raw in zip(value, written, strict=True):
            if each not in outward and each in self.inward:
                raise LensError("unknown-value", f"{shown(each)} already stands for another value in {self.field}")
            if separator is not None and separator in raw:
                raise LensError("holds-separator", f"{shown(raw)} holds {separator!r}, which separates values there")
        return separator.join(written) if separator is not None else written
