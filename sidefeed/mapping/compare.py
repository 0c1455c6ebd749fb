"""Two versions of a mapping, compared by what they do; ``sidefeed map diff`` prints it.

Only meaning is compared: order, comments and labels are not. Each change is one sentence, and says which records of the
workspace it concerns, so that they can be counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping as Map
from dataclasses import dataclass
from typing import Any

from .explain import ARROWS, who_wins
from .lenses import Lens
from .model import Entity, FieldMap, Mapping, ObjectMap

NO_VALUE = object()
_ADDED = ("mapping-added", "field-added")


@dataclass(frozen=True, slots=True)
class Change:
    """One difference in words. ``risky`` ones change what is written or who wins, or stop something from crossing.

    It concerns the records of ``entity`` in which ``field`` is filled (all, without a field), or holds ``value``; of
    those, with ``system``, the ones linked there. With ``word``, those that were last seen to hold it there, as
    ``lens`` finds it.
    """

    sentence: str
    code: str
    entity: str
    field: str | None = None
    system: str | None = None
    object: str | None = None
    value: Any = NO_VALUE
    risky: bool = True
    lens: Lens | None = None
    word: str | None = None

    def as_json(self) -> dict[str, Any]:
        return {"code": self.code, "sentence": self.sentence, "entity": self.entity, "field": self.field,
                "system": self.system, "object": self.object, "risky": self.risky}

    def concerns(self, values: Map[str, Any]) -> bool:
        """Whether the change makes a difference to a record that holds these values."""
        if self.field is None:
            return True
        value = values.get(self.field)
        return value is not None if self.value is NO_VALUE or self.code in _ADDED else value == self.value

    def concerns_image(self, image: Map[str, Any]) -> bool:
        """Whether a change of how a word is read makes a difference to an object that was last seen as this image."""
        return self.lens is not None and self.word in self.lens.words(image)


def compare(old: Mapping, new: Mapping) -> list[Change]:
    """What is different, entities first, then object by object."""
    return [*_entities(old, new), *_objects(old, new)]


def _entities(old: Mapping, new: Mapping) -> Iterator[Change]:
    for name, entity in new.entities.items():
        if name not in old.entities:
            yield Change(f"{name} is a new entity.", "entity-added", name, risky=False)
        else:
            yield from _entity(old.entities[name], entity)
    for name in old.entities:
        if name not in new.entities:
            yield Change(f"{name} is no entity any more: its records stay in the history and are synced nowhere.",
                         "entity-removed", name)


def _entity(old: Entity, new: Entity) -> Iterator[Change]:
    name = new.name
    if old.deletes != new.deletes:
        yield Change(
            f"A deleted {name} is handled as {new.deletes!r} instead of {old.deletes!r}.", "deletes-changed", name)
    for field, spec in new.fields.items():
        before = old.fields.get(field)
        label = f"{name}.{field}"
        if before is None:
            yield Change(f"{label} is a new field.", "field-added", name, field, risky=False)
            continue
        if (before.type, before.entities) != (spec.type, spec.entities):
            yield Change(f"{label} is {_kind(spec)} instead of {_kind(before)}: values that are not are read again.",
                         "type-changed", name, field)
        if before.policy != spec.policy:
            yield Change(f"Who wins on {label}: {who_wins(spec.policy)}, instead of {who_wins(before.policy)}.",
                         "policy-changed", name, field)
        if before.lines != spec.lines:
            keeps = "keeps" if spec.lines == "many" else "loses"
            yield Change(f"{label} {keeps} its line breaks.", "lines-changed", name,
                         field)
        for choice in spec.choices:
            if choice not in before.choices:
                yield Change(f"{label} may be {choice!r}.", "choice-added", name, field, value=choice, risky=False)
        for choice in before.choices:
            if choice not in spec.choices:
                yield Change(f"{label} may no longer be {choice!r}.", "choice-removed", name, field, value=choice)
    for field in old.fields:
        if field not in new.fields:
            yield Change(f"{name}.{field} is no field any more: its values stay in the history and are synced nowhere.",
                         "field-removed", name, field)


def _kind(spec: Any) -> str:
    return f"{spec.type} {' '.join(spec.entities)}".strip()


def _objects(old: Mapping, new: Mapping) -> Iterator[Change]:
    before = {(om.system, om.object): om for om in old.objects}
    after = {(om.system, om.object): om for om in new.objects}
    for key, om in after.items():
        if key not in before:
            yield Change(f"{om.system} {om.object} is mapped to {om.entity}: its records are read"
                         + ("" if om.readonly else " and written") + ".", "object-added", om.entity)
        else:
            yield from _object(before[key], om)
    for key, om in before.items():
        if key not in after:
            yield Change(f"{om.system} {om.object} is not mapped any more: nothing is read from it or written to it.",
                         "object-removed", om.entity, None, om.system, om.object)


_SETTINGS = (
    ("entity", "is the entity"), ("scope", "is the scope"), ("creates", "is whether records are created there"),
    ("who", "is in whose folders they are created"),
    ("introduces", "is whether records there become new ones here"), ("deletes", "is what a deletion does"),
    ("leaving_scope", "is what leaving the scope does"), ("key_field", "carries our key"),
    ("key_unique", "is whether the key field is unique"), ("readonly", "is whether nothing is written"),
)


def _object(old: ObjectMap, new: ObjectMap) -> Iterator[Change]:
    def change(
        sentence: str, code: str, field: str | None = None, value: Any = NO_VALUE, *, risky: bool = True
    ) -> Change:
        return Change(sentence, code, new.entity, field, new.system, new.object, value, risky)

    name = f"{new.system} {new.object}"
    for setting, meaning in _SETTINGS:
        one, other = getattr(old, setting), getattr(new, setting)
        if one != other:
            yield change(f"{name}: {other!r} {meaning}, instead of {one!r}.", f"{setting.replace('_', '-')}-changed")
    if old.match != new.match:
        yield change(f"{name}: records are recognised by {_keys(new.match)}, not by {_keys(old.match)}; linked records "
                     "stay linked.", "match-changed")
    if old.create_when != new.create_when:
        yield change(f"{name}: the conditions for creating a record changed.", "create-when-changed")
    for each in new.fields:
        if each.name not in old:
            yield change(f"{_flow(new, each)} is mapped now: it is filled for existing records.", "mapping-added",
                         each.name)
        else:
            yield from _field(old, old.field(each.name), new, each)
    for each in old.fields:
        if each.name not in new:
            yield change(f"{_flow(old, each)} is not mapped any more: values there stay.", "mapping-removed",
                         each.name)
    writers = {each.field: each for each in old.writers}
    for writer in new.writers:
        if writers.get(writer.field) != writer:
            said = repr(writer.constant) if writer.template is None else f"the text {writer.template!r}"
            yield change(f"{name}: {writer.field} will be written as {said}.", "writer-changed")
    for field in sorted(writers.keys() - {each.field for each in new.writers}):
        yield change(f"{name}: {field} is not written any more.", "writer-removed")


def _field(old: ObjectMap, before: FieldMap, new: ObjectMap, after: FieldMap) -> Iterator[Change]:
    name, where = after.name, f"{new.system} {new.object}"

    def change(
        sentence: str, code: str, value: Any = NO_VALUE, *, risky: bool = True, word: str | None = None
    ) -> Change:
        return Change(sentence, code, new.entity, name, new.system, new.object, value, risky,
                      None if word is None else after.lens, word)

    if before.lens.raw != after.lens.raw:
        yield change(f"{where}: {name} is {_and(after.lens.raw)} there, instead of {_and(before.lens.raw)}.", "moved")
    if before.direction != after.direction:
        yield change(f"{where}: {name} is {_DIRECTIONS[after.direction]}, instead of {_DIRECTIONS[before.direction]}.",
                     "direction-changed")
    if before.lens.name != after.lens.name:
        yield change(f"{where}: {name} is translated by {after.lens.name!r}, instead of {before.lens.name!r}.",
                     "lens-changed")
    if before.required_on_create != after.required_on_create:
        waits = "waits for" if after.required_on_create else "no longer waits for"
        yield change(f"{where}: a new record {waits} {name}.",
                     "required-changed", risky=False)
    if before.create_as != after.create_as:
        yield change(f"{where}: where {name} is blank, a new record gets {after.create_as!r} instead of "
                     f"{before.create_as!r}.", "create-as-changed", risky=False)
    if before.when != after.when:
        yield change(f"{where}: {name} is written {_where(after)}, instead of {_where(before)}.", "when-changed")
    yield from _values(where, name, before, after, change)
    for option, (one, other) in _options(before.lens, after.lens).items():
        yield change(f"{where}: {option} of {name} is {other!r}, instead of {one!r}.", "option-changed")


_DIRECTIONS = {"both": "read and written", "read": "only read", "write": "only written"}


def _where(each: FieldMap) -> str:
    return f"where {each.when}" if each.when is not None else "always"


def _values(where: str, name: str, before: FieldMap, after: FieldMap, change: Any) -> Iterator[Change]:
    one, other = before.lens.pairs(), after.lens.pairs()
    nothing: list[Any] = [None]
    for key in dict.fromkeys([*one, *other]):
        was, now = (one.get(key) or nothing)[0], (other.get(key) or nothing)[0]
        if after.writes and was != now:
            yield change(_rewritten(where, name, key, was, now), "value-written", key)
    read_before = {raw: key for key, raws in one.items() for raw in raws}
    read_after = {raw: key for key, raws in other.items() for raw in raws}
    if after.reads:
        for raw in dict.fromkeys([*read_before, *read_after]):
            if read_before.get(raw) != read_after.get(raw):
                said = repr(read_after[raw]) if raw in read_after else "an unknown value"
                told = repr(read_before[raw]) if raw in read_before else "an unknown value"
                yield change(f"{where}: {raw!r} will be read as {name} {said} instead of {told}.", "value-read",
                             word=raw)


def _rewritten(where: str, name: str, key: str, was: str | None, now: str | None) -> str:
    if was is None:
        return f"{where}: {name} {key!r} will be written as {now!r}; it had no counterpart."
    if now is None:
        return f"{where}: {name} {key!r} has no counterpart any more; it was {was!r}."
    return f"{where}: {name} {key!r} will now be written as {now!r} instead of {was!r}."


_TOLD = {"lens", "when", "direction", "required_on_create", "create_as", "values", "table"}


def _options(before: Lens, after: Lens) -> dict[str, tuple[Any, Any]]:
    """Options that differ, apart from raw fields and what has its own sentence."""
    one, other = before.options.model_dump(by_alias=True), after.options.model_dump(by_alias=True)
    raw = {*before.raw, *after.raw}
    return {key: (one.get(key), other.get(key)) for key in dict.fromkeys([*one, *other])
            if key not in _TOLD and one.get(key) != other.get(key)
            and not {str(one.get(key)), str(other.get(key))} & raw}


def _flow(om: ObjectMap, each: FieldMap) -> str:
    return f"{om.entity}.{each.name} {ARROWS[each.direction]} {om.system} {om.object}.{_and(each.lens.raw)}"


def _keys(match: tuple[tuple[str, ...], ...]) -> str:
    return " or else ".join(" and ".join(key) for key in match) or "nothing"


def _and(words: Any) -> str:
    return " and ".join(map(str, words))
