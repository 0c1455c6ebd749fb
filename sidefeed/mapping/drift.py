"""What changed in the live schema since it was last looked at, with the edit that would bring the mapping after it.

==========================  ===========================================================================================
drift-field-renamed         the mapped field is gone, and another with its label came
drift-field-gone            the mapped field is gone
drift-type-changed          the mapped field holds another kind of value
drift-value-renamed         a mapped value is gone, and another came in its place
drift-value-gone            a mapped value is gone
drift-value-added           the list of a mapped field has a new value
drift-required              the system creates no record without the field any more
drift-length-lowered        the field holds fewer characters
drift-scale-lowered         the field holds fewer decimal places
drift-not-writable          the field can no longer be written
drift-field-added           (note) the object has a new field
==========================  ===========================================================================================
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..connector import FieldSchema, ObjectSchema
from .edits import Edit
from .finding import Finding, Severity
from .lenses.choices import Boolean
from .lenses.numbers import Money, Number
from .lenses.text import Text
from .model import FieldMap, ObjectMap

_KEPT = ("type", "label", "length", "scale", "createable", "updateable", "required", "unique", "restricted")


@dataclass(frozen=True, slots=True)
class Drift:
    """One change of the live schema. ``edits`` would follow it; with ``safe`` they keep the meaning of the mapping."""

    finding: Finding
    edits: tuple[Edit, ...] = ()
    safe: bool = False


def compact(schema: ObjectSchema) -> dict[str, Any]:
    """A schema as it is kept: plain data, without what is as usual."""
    usual = FieldSchema("", "")
    fields: dict[str, Any] = {}
    for name, each in schema.fields.items():
        told = {key: getattr(each, key) for key in _KEPT if getattr(each, key) != getattr(usual, key) and not (
            key == "label" and each.label == name)}
        if each.options:
            told["options"] = [[option, label] if option != label else option for option, label in _labelled(each)]
        fields[name] = told
    return {"fields": fields}


def expanded(name: str, kept: Mapping[str, Any]) -> ObjectSchema:
    """The schema that `compact` kept, as far as drift looks at it."""
    fields = {}
    for field, told in kept["fields"].items():
        options = [each if isinstance(each, list) else [each, each] for each in told.get("options", ())]
        plain = {key: value for key, value in told.items() if key != "options"}
        fields[field] = FieldSchema(**{"label": field, "type": "", **plain, "name": field},
                                    options=tuple(each[0] for each in options),
                                    labels=tuple(each[1] for each in options))
    return ObjectSchema(name, name, fields)


def _labelled(each: FieldSchema) -> list[tuple[str, str]]:
    labels = each.labels if len(each.labels) == len(each.options) else each.options
    return list(zip(each.options, labels, strict=True))


def drift(om: ObjectMap, before: ObjectSchema, now: ObjectSchema) -> list[Drift]:
    """Every change that concerns this object's mapping, in the order of its fields."""
    found: list[Drift] = []
    mapped = {raw for each in om.fields for raw in each.lens.raw} | {writer.field for writer in om.writers}
    came = {name: each for name, each in now.fields.items() if name not in before.fields}
    taken: set[str] = set()
    for each in om.fields:
        for raw in dict.fromkeys(each.lens.raw):
            old, new = before.fields.get(raw), now.fields.get(raw)
            if old is None:
                continue
            if new is None:
                successor = _successor(old, came, taken | mapped)
                taken |= {successor} if successor else set()
                found.append(_gone(om, each, raw, successor))
            else:
                found += _Field(om, each, old, new).changes()
    for name, schema in now.fields.items():
        if schema.required and name not in mapped and name != om.key_field and om.creates and not (
                name in before.fields and before.fields[name].required):
            found.append(_plain(om, "drift-required", f"{om.object} cannot be created without {name!r} any more.",
                                "Map it, or add a constant under `writes`."))
    for name, schema in came.items():
        if name not in taken and name not in mapped and schema.createable:
            found.append(_plain(om, "drift-field-added", f"{om.object} has a new field {name!r} ({schema.label}, "
                                f"{schema.type}).", "Map it where it matters.", severity="note"))
    return found


def _plain(om: ObjectMap, code: str, message: str, remedy: str, *, severity: Severity = "warning") -> Drift:
    return Drift(Finding(severity, code, om.system, om.object, "", *om.place(("fields",)), message, remedy))


def _successor(old: FieldSchema, came: Mapping[str, FieldSchema], taken: set[str]) -> str | None:
    """The one new field of the same kind under the same label."""
    alike = [name for name, each in came.items() if name not in taken and each.type == old.type
             and each.label.casefold() == old.label.casefold()]
    return alike[0] if len(alike) == 1 else None


def _gone(om: ObjectMap, each: FieldMap, raw: str, successor: str | None) -> Drift:
    place = om.place(("fields", each.name), raw)

    def finding(code: str, message: str, remedy: str) -> Finding:
        return Finding("error", code, om.system, om.object, each.name, *place, message, remedy)

    if successor is None:
        return Drift(finding("drift-field-gone", f"{raw!r} is gone from {om.object}.",
                             "Map another field, or remove the line; values here stay."))
    return Drift(
        finding("drift-field-renamed", f"{raw!r} is called {successor!r} now.", f"Write {successor!r}."),
        (Edit(*place, old=raw, new=successor),), safe=True)


class _Field:
    """One mapped raw field that is still there."""

    def __init__(self, om: ObjectMap, each: FieldMap, old: FieldSchema, new: FieldSchema) -> None:
        self.om, self.each, self.old, self.new = om, each, old, new
        self.place = om.place(("fields", each.name), new.name)

    def changes(self) -> Iterator[Drift]:
        old, new = self.old, self.new
        if old.type and old.type != new.type:
            yield self._drift("drift-type-changed", f"{new.name!r} is {new.type} now; it was {old.type}.",
                              "Run `sidefeed check`, which says what fits.", severity="error")
        if self.each.writes:
            yield from self._limits()
            if (old.createable, old.updateable) == (True, True) and not (new.createable and new.updateable):
                yield self._drift("drift-not-writable", f"{new.name!r} can no longer be written by this user.",
                                  "Get the right back, or map it with `direction: read`.",
                                  self._option("direction", "read"), severity="error")
            if new.required and not old.required and self.om.creates and not self._guarded():
                yield self._drift("drift-required",
                                  f"{self.om.object} cannot be created without {new.name!r} any more.",
                                  "Add `required_on_create: true`.", self._option("required_on_create", "true"),
                                  safe=True)
        yield from self._values()

    def _guarded(self) -> bool:
        return (self.each.required_on_create or self.each.create_as is not None
                or not self.each.lens.blank_says_nothing)

    def _drift(
        self, code: str, message: str, remedy: str, edits: tuple[Edit, ...] = (), *, safe: bool = False,
        severity: Severity = "warning", value: object = None,
    ) -> Drift:
        place = self.place if value is None else self.om.place(("fields", self.each.name), value)
        return Drift(Finding(severity, code, self.om.system, self.om.object, self.each.name, *place, message, remedy),
                     edits, safe and bool(edits))

    def _option(self, key: str, value: str) -> tuple[Edit, ...]:
        """The option set to this value: replaced where it is written, else put beside the raw field."""
        told = getattr(self.each.lens.options, key, None)
        at = self.om.place(("fields", self.each.name, key), told)
        if told is not None and at != self.om.place(("fields", self.each.name)) and key in (
                self.each.lens.options.model_fields_set):
            word = str(told).lower() if isinstance(told, bool) else str(told)
            return (Edit(*at, old=word, new=value),)
        return (Edit(*self.place, old=self.new.name, new=value, key=key, short=self.each.lens.short or "field"),)

    def _limits(self) -> Iterator[Drift]:
        old, new, lens = self.old, self.new, self.each.lens
        if isinstance(lens, Text) and not new.options and old.length and new.length and new.length < old.length and (
                not self._keeps("max_length", new.length)):
            yield self._drift("drift-length-lowered", f"{new.name!r} holds {new.length} characters now, not "
                              f"{old.length}.", f"Write `max_length: {new.length}`.",
                              self._option("max_length", str(new.length)), safe=True)
        amount = new.name == lens.amount if isinstance(lens, Money) else isinstance(lens, Number)
        if amount and old.scale is not None and new.scale is not None and new.scale < old.scale and (
                not self._keeps("scale", new.scale)):
            yield self._drift("drift-scale-lowered", f"{new.name!r} holds {new.scale} decimal places now, not "
                              f"{old.scale}.", f"Write `scale: {new.scale}`.", self._option("scale", str(new.scale)),
                              safe=True)

    def _keeps(self, option: str, most: int) -> bool:
        """Whether the mapping keeps to the new limit already."""
        told = getattr(self.each.lens.options, option, None)
        return told is not None and told <= most

    def _values(self) -> Iterator[Drift]:
        mapped = {raw for raws in self.each.lens.pairs().values() for raw in raws}
        if not mapped or isinstance(self.each.lens, Boolean):
            return
        was, is_now = dict(_labelled(self.old)), dict(_labelled(self.new))
        gone = [value for value in was if value not in is_now]
        came = [value for value in is_now if value not in was]
        for value in gone:
            follower = self._follower(value, was, is_now, came)
            came = [each for each in came if each != follower]
            if value in mapped:
                yield self._value_gone(value, follower, same=follower is not None and (
                    is_now[follower].casefold() == was[value].casefold()))
        for value in came:
            if value not in mapped:
                label = f" ({is_now[value]})" if is_now[value] != value else ""
                yield self._drift("drift-value-added", f"{self.new.name!r} has the new value {value!r}{label}.",
                                  f"Add it to the `values` of {self.each.name}: alone, or in the list of one that "
                                  "means the same.")

    def _follower(
        self, value: str, was: Mapping[str, str], is_now: Mapping[str, str], came: list[str]
    ) -> str | None:
        """The new value in the place of one that is gone: by its label, else the only one that came for the only one
        that went."""
        alike = [each for each in came if is_now[each].casefold() == was[value].casefold()]
        if len(alike) == 1:
            return alike[0]
        went = [each for each in was if each not in is_now]
        return came[0] if len(came) == len(went) == 1 else None

    def _value_gone(self, value: str, follower: str | None, *, same: bool) -> Drift:
        if follower is None:
            return self._drift("drift-value-gone", f"{self.new.name!r} has no value {value!r} any more.",
                               "Map another value, or take it out.", value=value, severity="error")
        place = self.om.place(("fields", self.each.name), value)
        return self._drift(
            "drift-value-renamed", f"{value!r} of {self.new.name!r} is gone, and {follower!r} came.",
            f"Write {follower!r}{'' if same else ', if it means the same'}.", (Edit(*place, old=value, new=follower),),
            safe=same, value=value, severity="error")


def without_notes(found: list[Drift]) -> list[Drift]:
    return [each for each in found if each.finding.severity != "note"]


def said(each: Drift) -> Finding:
    """The finding, with the edits that would follow it in its remedy."""
    told = "; ".join(str(edit) for edit in each.edits)
    how = " `sidefeed check --fix` does it." if each.safe else ""
    return replace(each.finding, remedy=f"{each.finding.remedy}{how}") if told else each.finding
