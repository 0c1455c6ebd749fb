"""Owners: a colleague, by id or by address, with what to do where somebody is not known or not active there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from .. import values as canonical
from ..values import UNKNOWN, LensError, Unknown, Unresolved, Value
from .base import Raw, Refs
from .references import Reference, ReferenceOptions

if TYPE_CHECKING:
    from ..model import FieldSpec


class OwnerOptions(ReferenceOptions):
    by: Literal["id", "email"] = Field(
        "id", description="Whether the system names the owner by the user's id or by an e-mail address. Default: id."
    )
    aliases: dict[str, str] = Field(
        default_factory=dict,
        description="What the system holds for somebody (an id or an address) -> the workspace user's e-mail address.",
    )
    fallback: str | None = Field(
        None,
        description="The id or address written for an owner who is not known there (and for an inactive one, with "
        "`inactive: fallback`). Read, it stands for nobody and says nothing.",
    )
    inactive: Literal["keep", "fallback", "ignore"] = Field(
        "keep",
        description="An owner who is not active any more: `keep` writes the owner all the same, `fallback` writes the "
        "fallback, `ignore` leaves the field as it is. Default: keep.",
    )

    @model_validator(mode="after")
    def _fallback_is_there(self) -> OwnerOptions:
        if self.inactive == "fallback" and self.fallback is None:
            raise ValueError("`inactive: fallback` needs a `fallback`")
        if len(set(self.aliases.values())) != len(self.aliases):
            raise ValueError("two `aliases` stand for one user: which one would be written?")
        return self


class Owner(Reference):
    """A colleague who owns the record. Without `fallback` an owner who is not known in the system defers the field;
    with it the record is never without one."""

    name = "owner"
    types = frozenset({"ref"})
    Options = OwnerOptions
    example = "owner: {lens: owner, field: OwnerId, prefix: '005', fallback: 0055g00000AbCdE, inactive: fallback}"

    def __init__(self, options: Any, spec: FieldSpec) -> None:
        super().__init__(options, spec)
        fold = canonical.email if options.by == "email" else str
        self.fallback: str | None = fold(options.fallback) if options.fallback else None
        self.inward = {str(fold(there)): str(canonical.email(ours)) for there, ours in options.aliases.items()}
        self.outward = {ours: there for there, ours in self.inward.items()}

    def says(self, *, reads: bool, writes: bool) -> Iterator[str]:
        options = self.options
        if options.by == "email":
            yield f"{self.field} holds an e-mail address."
        if reads:
            yield f"A {self.entity} not read yet is waited for; nothing is blanked meanwhile."
            if self.fallback is not None:
                yield f"{self.fallback} stands for nobody: it is never read."
        if writes:
            yield (f"A {self.entity} not known there is written as {self.fallback}." if self.fallback is not None else
                   f"It is written once the {self.entity} is known there; until then the field stays as it is.")
            yield {
                "keep": f"A {self.entity} who is not active any more is written all the same.",
                "fallback": f"A {self.entity} who is not active any more is written as {self.fallback}.",
                "ignore": f"A {self.entity} who is not active any more leaves the field as it is.",
            }[options.inactive]

    def _held(self, raw: Any) -> str | None:
        """What the system holds, folded; None where it is nobody this lens speaks of."""
        if self.options.by == "email":
            found = canonical.email(raw)
        else:
            found = self._theirs(raw)
        return None if found is None or found == self.fallback else found

    def read(self, raw: Raw, refs: Refs) -> Value | Unknown:
        if self.field not in raw:
            return UNKNOWN
        told = raw[self.field]
        if told is None or told == "":
            return None
        held = self._held(told)
        if held is None:
            return UNKNOWN
        address = self.inward.get(held, held if self.options.by == "email" else None)
        record = refs.holder(self.entity, "email", address) if address else refs.record(self.entity, held)
        if record is None:
            raise Unresolved(self.entity, held)
        return record

    def write(self, value: Value, refs: Refs) -> dict[str, Any]:
        if value is None:
            return {self.field: None}
        record = str(value)
        if refs.value(self.entity, record, "active") is False and self.options.inactive != "keep":
            return {self.field: self.fallback} if self.options.inactive == "fallback" else {}
        found = self._theirs_of(record, refs) or self.fallback
        if found is None:
            raise Unresolved(self.entity, record)
        return {self.field: found}

    def _theirs_of(self, record: str, refs: Refs) -> str | None:
        address = refs.value(self.entity, record, "email")
        if isinstance(address, str) and address in self.outward:
            return self.outward[address]
        if self.options.by == "email":
            return address if isinstance(address, str) else None
        return refs.external(self.entity, record)

    def references_in(self, raw: Raw) -> Iterable[tuple[str, str]]:
        held = self._quietly_held(raw)
        return ((self.entity, held),) if held and self.options.by == "id" and held not in self.inward else ()

    def keys_in(self, raw: Raw) -> Iterable[tuple[str, str, str]]:
        held = self._quietly_held(raw)
        if held is None:
            return ()
        address = self.inward.get(held, held if self.options.by == "email" else None)
        return ((self.entity, "email", address),) if address else ()

    def _quietly_held(self, raw: Raw) -> str | None:
        try:
            return self._held(raw.get(self.field))
        except LensError:
            return None
