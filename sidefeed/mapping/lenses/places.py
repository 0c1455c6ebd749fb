"""Countries, states and postal addresses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from .. import values as canonical
from ..values import UNKNOWN, LensError, Unknown, Value, shown
from .base import MISSING, Lens, OneField, Options, Raw, Refs, Scalar
from .regions import countries, country_code, state_code, states

if TYPE_CHECKING:
    from ..model import FieldSpec


class PlaceOptions(OneField):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=False, defer_build=True)

    stored: Literal["name", "code"] = Field(
        "name", alias="as", description="Whether the system holds the English name or the code. Both are read."
    )
    unknown: Literal["keep", "refuse"] | None = Field(
        None,
        description="A word that is none: `keep` lets it through as it is, `refuse` reports it. Default: keep, and "
        "refuse with `as: code`.",
    )


class _Place(Scalar):
    """What countries and states have in common: a table of codes and names."""

    def _code(self, text: str) -> str | None:
        raise NotImplementedError

    def _name(self, code: str) -> str:
        raise NotImplementedError

    def _keeps(self) -> bool:
        return bool((self.options.unknown or ("refuse" if self.options.stored == "code" else "keep")) == "keep")

    def says(self, *, reads: bool, writes: bool) -> Iterator[str]:
        if writes:
            yield f"{self.field} is written as {'the code' if self.options.stored == 'code' else 'the English name'}."
        yield ("A word that is none crosses as it is." if self._keeps() else
               "A word that is none is reported, and the field stays as it is.")

    def _in(self, raw: Any) -> Any:
        text = canonical.text(raw, lines="one")
        if text is None:
            return None
        code = self._code(text)
        if code is not None:
            return self._name(code)
        if self._keeps():
            return text
        raise LensError(f"not-a-{self.name}", f"{shown(text)} in {self.field} is no {self.name}: correct it there")

    def image(self, value: Value) -> Value:
        try:
            return self._in(value)  # type: ignore[no-any-return]
        except LensError:
            return value

    def _out(self, value: Any) -> Any:
        name = self._in(value)
        code = self._code(str(name))
        if self.options.stored == "name" or code is None:
            return name
        if self._in(code) != name:
            raise LensError("ambiguous-code", f"{code} would be read as {self._in(code)}, not {name}")
        return code


class Country(_Place):
    """A country, by its English name in the workspace. Read in English, in its own language or as ISO code."""

    name = "country"
    types = frozenset({"text"})
    Options = PlaceOptions
    example = "country: {lens: country, field: BillingCountryCode, as: code}"

    def _code(self, text: str) -> str | None:
        return country_code(text)

    def _name(self, code: str) -> str:
        return countries()[code]


class StateOptions(PlaceOptions):
    countries: list[str] = Field(
        ["US", "CA"],
        min_length=1,
        description="Whose states, by ISO code: every country is known. Where two use one code, the first counts; the "
        "lens `address` tells them apart by the country. Default: [US, CA].",
    )
    codes: dict[str, str] = Field(
        default_factory=dict,
        description="State -> the code that the system uses instead of the ISO one, such as `Aguascalientes: AG`.",
    )

    @field_validator("countries")
    @classmethod
    def _known(cls, told: list[str]) -> list[str]:
        for each in told:
            if each not in countries():
                raise ValueError(f"no country has the code {each!r}; expected ISO codes such as US, DE")
        return told


class State(_Place):
    """A state or province, by its name in the workspace and by name or code in the system (ISO 3166-2)."""

    name = "state"
    types = frozenset({"text"})
    Options = StateOptions
    example = "state: {lens: state, field: BillingStateCode, as: code, countries: [US]}"

    def __init__(self, options: Any, spec: FieldSpec) -> None:
        super().__init__(options, spec)
        self.own: dict[str, str] = {}
        for told, code in options.codes.items():
            found = self._found(told)
            if found is None:
                raise ValueError(f"{told!r} under `codes` is no state of {', '.join(options.countries)}")
            self.own[states(found[0])[found[1]]] = code
        self.by_own = {code: name for name, code in self.own.items()}
        if len(self.by_own) != len(self.own):
            raise ValueError("`codes` must be one to one: a code stands there twice")

    def _found(self, text: str) -> tuple[str, str] | None:
        for country in self.options.countries:
            code = state_code(text, country)
            if code is not None:
                return country, code
        return None

    def _code(self, text: str) -> str | None:
        found = self._found(text)
        return self.own.get(states(found[0])[found[1]], found[1]) if found else None

    def _in(self, raw: Any) -> Any:
        text = canonical.text(raw, lines="one")
        if text in self.by_own:
            return self.by_own[text]
        found = self._found(text) if text else None
        return states(found[0])[found[1]] if found else super()._in(raw)


class AddressOptions(Options):
    street: str | None = Field(None, description="The system's field for street and number, of one or more lines.")
    city: str | None = Field(None, description="The system's field for the town.")
    state: str | None = Field(None, description="The system's field for the state or province.")
    postal_code: str | None = Field(None, description="The system's field for the postal code.")
    country: str | None = Field(None, description="The system's field for the country.")
    country_as: Literal["name", "code"] = Field(
        "name", description="Whether the system holds the country's English name or its ISO code. Both are read."
    )

    state_as: Literal["name", "code"] = Field(
        "name",
        description="Whether the system holds the state's name or its ISO code, which the country tells apart. Both "
        "are read. A word that is none crosses as it is.",
    )

    @model_validator(mode="after")
    def _some_part(self) -> AddressOptions:
        if not any(getattr(self, part) for part in canonical.ADDRESS_PARTS):
            raise ValueError(f"an address needs one field at least: {', '.join(canonical.ADDRESS_PARTS)}")
        return self


class Address(Lens):
    """A postal address as one value: street, city, state, postal code and country cross together and never tear. Parts
    that the system has no field for are not kept there."""

    name = "address"
    types = frozenset({"address"})
    short = None
    Options = AddressOptions
    example = "address: {street: BillingStreet, city: BillingCity, country: BillingCountryCode, country_as: code}"

    def __init__(self, options: Any, spec: FieldSpec) -> None:
        super().__init__(options, spec)
        self.parts = {part: name for part in canonical.ADDRESS_PARTS if (name := getattr(options, part))}
        self.raw = tuple(dict.fromkeys(self.parts.values()))

    def says(self, *, reads: bool, writes: bool) -> Iterator[str]:
        yield f"{', '.join(self.parts).replace('_', ' ')} cross together."
        if left := [part.replace("_", " ") for part in canonical.ADDRESS_PARTS if part not in self.parts]:
            yield f"There is no place for {', '.join(left)} there."

    def read(self, raw: Raw, refs: Refs) -> Value | Unknown:
        if any(raw.get(name, MISSING) is MISSING for name in self.raw):
            return UNKNOWN
        return self._tidy({part: raw[name] for part, name in self.parts.items()})

    @staticmethod
    def _tidy(told: Raw) -> Value:
        """The parts with the country and the state by name."""
        parts = {part: canonical.text(raw, lines="many" if part == "street" else "one") for part, raw in told.items()}
        country = country_code(parts["country"]) if parts.get("country") else None  # type: ignore[arg-type]
        if country:
            parts["country"] = countries()[country]
            code = state_code(parts["state"], country) if parts.get("state") else None  # type: ignore[arg-type]
            parts["state"] = states(country)[code] if code else parts.get("state")
        return canonical.address(parts)

    def image(self, value: Value) -> Value:
        return self._tidy({part: value.get(part) for part in self.parts}) if isinstance(value, dict) else value

    def write(self, value: Value, refs: Refs) -> dict[str, Any]:
        if value is not None and not isinstance(value, dict):
            raise LensError("not-an-address", f"{shown(value)} is not an address")
        told = self.image(value)
        parts = dict(told) if isinstance(told, dict) else {}
        country = country_code(parts["country"]) if parts.get("country") else None
        if country and parts.get("state") and self.options.state_as == "code":
            parts["state"] = state_code(parts["state"], country) or parts["state"]
        if country and self.options.country_as == "code":
            parts["country"] = country
        return {name: parts.get(part) for part, name in self.parts.items()}
