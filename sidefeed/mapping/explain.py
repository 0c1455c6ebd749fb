"""What a mapping does, in sentences: where a field comes from, who wins, what is written where, and what becomes of
blanks, unknown values and conflicts. ``sidefeed explain`` and the mapping pages print it.

Everything here is read off the compiled mapping, so that the explanation cannot say what the engine does not do.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping as Map
from dataclasses import dataclass
from typing import Any

from .files import nearest
from .model import Entity, FieldMap, FieldSpec, Mapping, ObjectMap, Policy

ARROWS = {"both": "<->", "read": "<--", "write": "-->"}


class NotMapped(LookupError):
    """There is no such entity or field; the message names the nearest."""


@dataclass(frozen=True, slots=True)
class Side:
    """How one object of one system shows one field. ``arrow`` points from the system on the right to the workspace on
    the left, or back."""

    system: str
    object: str
    fields: tuple[str, ...]
    direction: str
    lens: str
    file: str
    line: int
    says: tuple[str, ...]
    values: Map[str, list[str]]
    """Workspace value -> the system's values that are read as it; the first is the one written."""

    @property
    def arrow(self) -> str:
        return ARROWS[self.direction]


@dataclass(frozen=True, slots=True)
class FieldStory:
    """One field of one entity."""

    entity: str
    field: str
    label: str
    type: str
    who_wins: str
    sentences: tuple[str, ...]
    sides: tuple[Side, ...]


@dataclass(frozen=True, slots=True)
class ObjectStory:
    """One object of one system, as one entity's other shape."""

    system: str
    object: str
    file: str
    line: int
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EntityStory:
    """One entity: the objects that show it, and its fields."""

    entity: str
    label: str
    sentences: tuple[str, ...]
    objects: tuple[ObjectStory, ...]
    fields: tuple[FieldStory, ...]


def explain(mapping: Mapping, entity: str | None = None, field: str | None = None) -> list[EntityStory]:
    """The story of everything, of one entity, or of one field of it. Raises NotMapped."""
    if entity is None:
        return [_entity(mapping, each, tuple(each.fields)) for each in mapping.entities.values()]
    found = mapping.entities.get(entity)
    if found is None:
        raise NotMapped(f"there is no entity {entity!r}. {nearest(entity, mapping.entities)}".strip())
    if field is not None and field not in found.fields:
        raise NotMapped(f"{entity} has no field {field!r}. {nearest(field, found.fields)}".strip())
    return [_entity(mapping, found, (field,) if field else tuple(found.fields))]


def who_wins(policy: Policy) -> str:
    """One phrase for tables."""
    said = f"{policy.system} wins" if policy.rule == "prefer" else {
        "latest": "the newest edit wins", "fill": "only blanks are filled", "append": "people decide",
        "ask": "people decide",
    }[policy.rule]
    return f"{said}, never blanked" if policy.never_blank else said


def rule_told(spec: FieldSpec) -> tuple[str, str]:
    """What a field's policy does with an edit, and with a conflict."""
    return _winner(spec), _conflict(spec)


def _entity(mapping: Mapping, entity: Entity, names: tuple[str, ...]) -> EntityStory:
    objects = [each for each in mapping.objects if each.entity == entity.name]
    sentences = (_shown_by(entity, objects), _sentence(_DELETED[entity.deletes]))
    return EntityStory(entity.name, entity.label, sentences, tuple(_object(each, entity) for each in objects),
                       tuple(_field(entity.fields[name], entity, objects) for name in names))


def _shown_by(entity: Entity, objects: list[ObjectMap]) -> str:
    if not objects:
        return f"{entity.label} is in the workspace alone: no system shows it."
    return f"{entity.label} is in " + _and([f"{each.system} {each.object}" for each in objects]) + "."


_DELETED = {
    "propagate": "a deletion in one system is carried out in the others, unless somebody edited the record without "
                 "having seen it.",
    "unlink": "a deletion in one system forgets the link there; the record stays everywhere else.",
    "ask": "a deletion in one system is put to a person; nothing is deleted elsewhere by itself.",
}


# --- objects ---------------------------------------------------------------------------------------------------------


def _object(om: ObjectMap, entity: Entity) -> ObjectStory:
    place = om.place(())
    return ObjectStory(om.system, om.object, place.file, place.line, tuple(_object_sentences(om, entity)))


def _object_sentences(om: ObjectMap, entity: Entity) -> Iterator[str]:
    if om.scope:
        yield f"Only records in scope take part: {_scope(om.scope)}. One that leaves it is never taken for deleted."
    if om.match:
        yield f"At first contact a record is recognised by {' or else '.join(_and(key) for key in om.match)}; " \
              "several candidates are put to a person."
    yield ("What matches nothing becomes a new record here." if om.introduces else
           "What matches nothing stays out: no record begins here.")
    if om.deletes != entity.deletes:
        yield f"For this object alone: {_DELETED[om.deletes]}"
    if om.readonly:
        yield "Nothing is ever written there."
        return
    if om.creates:
        condition = " when its conditions hold (`create_when`)" if om.create_when is not None else ""
        needed = [each.name for each in om.fields if each.required_on_create and each.create_as is None]
        waits = f" It waits until {_and(needed)} {'is' if len(needed) == 1 else 'are'} filled." if needed else ""
        yield f"A record that is not there yet is created there{condition}.{waits}"
        if om.who is not None:
            yield f"Where each person has a folder there, {_WHO[om.who]}"
    else:
        yield "Nothing is created there; linked records are updated."
    if om.creates and om.key_field:
        yield f"{om.key_field} carries our key, so that a lost answer or a crash cannot create it twice."
    for writer in om.writers:
        when = "on new records" if writer.on_create_only else "always"
        said = repr(writer.constant) if writer.template is None else f"the text {writer.template!r}"
        yield f"{writer.field} is written as {said} ({when}); edits of it go nowhere."


_WHO = {
    "owner": "it is created in that of the record's owner, and stays there when the owner changes.",
    "deals": "it is created in those of its owner, its account's owner and the owners of its open deals, and stays "
             "there when they change.",
    "all": "it is created in everybody's.",
}  # fmt: skip


def _scope(scope: Any) -> str:
    if isinstance(scope, str):
        return scope
    return _and([f"{name} is {' or '.join(map(str, allowed if isinstance(allowed, list) else [allowed]))}"
                 for name, allowed in scope.items()])


# --- fields ----------------------------------------------------------------------------------------------------------


def _field(spec: FieldSpec, entity: Entity, objects: list[ObjectMap]) -> FieldStory:
    shown = [(om, om.field(spec.name)) for om in objects if spec.name in om]
    return FieldStory(entity.name, spec.name, spec.label, _type(spec), who_wins(spec.policy),
                      tuple(_sentences(spec, shown)), tuple(_side(om, each) for om, each in shown))


def _side(om: ObjectMap, each: FieldMap) -> Side:
    place = om.place(("fields", each.name))
    says = list(each.lens.says(reads=each.reads, writes=each.writes))
    if each.writes and each.required_on_create and each.create_as is None:
        says.append("A new record waits until it is filled.")
    if each.writes and each.when is not None:
        says.append(f"It is written only where {each.when}.")
    if each.writes and each.only_if_blank:
        says.append("It fills a blank there and never replaces what people entered.")
    if each.writes and each.never_blank:
        says.append("A blank is never written over a value there.")
    if each.writes and each.create_as is not None:
        says.append(f"A new record on which it is blank is created with {each.create_as!r}.")
    return Side(om.system, om.object, each.lens.raw, each.direction, each.lens.name, place.file, place.line,
                tuple(says), each.lens.pairs())


def _type(spec: FieldSpec) -> str:
    if spec.entities:
        return f"{spec.type} {' '.join(spec.entities)}"
    return f"{spec.type}: {', '.join(spec.choices)}" if spec.choices else spec.type


def _sentences(spec: FieldSpec, shown: list[tuple[ObjectMap, FieldMap]]) -> Iterator[str]:
    yield _sources(spec, shown)
    yield _winner(spec)
    yield _conflict(spec)
    yield _blank(spec)
    yield _written(spec, shown)
    if unknown := _unknown(shown):
        yield unknown


def _sources(spec: FieldSpec, shown: list[tuple[ObjectMap, FieldMap]]) -> str:
    sources = [_place(om, each) for om, each in shown if each.reads]
    if not sources:
        return f"{spec.label} is entered in the workspace: no system is read for it."
    return f"{spec.label} comes from {_and(sources)}, and from edits in the workspace."


def _winner(spec: FieldSpec) -> str:
    if spec.merge == "set":
        return "Edits are adds and removes: what two people did at once is done together."
    policy = spec.policy
    if policy.rule == "prefer":
        return (f"{policy.system} is the system of record: an edit elsewhere over its value is taken back, "
                "except one made in the workspace.")
    if policy.rule == "fill":
        return "Only a blank is filled: an edit over a value is taken back, except one made in the workspace."
    return "An edit by somebody who had seen the current value replaces it, wherever it was made."


def _conflict(spec: FieldSpec) -> str:
    if spec.merge == "set":
        return "There is no conflict about it."
    both = "When two people changed it without having seen each other's value"
    rule = spec.policy.rule
    if rule == "latest":
        return f"{both}, the newer one wins; the other stays in the history (`sidefeed blame`)."
    if rule == "prefer":
        return f"{both}, the value of {spec.policy.system} wins; the other stays in the history (`sidefeed blame`)."
    if rule == "fill":
        return f"{both}, the one that is not blank wins."
    return (f"{both}, both values are shown and neither is written, until a person decides (`sidefeed conflicts`, "
            "`sidefeed resolve`).")


def _blank(spec: FieldSpec) -> str:
    if spec.policy.never_blank:
        return "A blank never replaces a value: who clears it gets the value back."
    return "Who clears it clears it everywhere. A field that a system did not return is unknown, not blank."


def _written(spec: FieldSpec, shown: list[tuple[ObjectMap, FieldMap]]) -> str:
    written = [_place(om, each) for om, each in shown if each.writes]
    if not written:
        return "It is written nowhere." if shown else "No system shows it."
    return f"It is written to {_and(written)}."


def _unknown(shown: list[tuple[ObjectMap, FieldMap]]) -> str:
    """What becomes of a value that cannot cross; where there is a table, each system's own sentence says it."""
    if not shown or any(each.lens.pairs() for _, each in shown):
        return ""
    return "A value that cannot cross is reported with its record and reason; the other fields go on."


def _sentence(words: str) -> str:
    return words[0].upper() + words[1:]


def _place(om: ObjectMap, each: FieldMap) -> str:
    return f"{om.system} {om.object}.{_and(each.lens.raw)}"


def _and(words: Any) -> str:
    listed = [str(each) for each in words]
    return listed[0] if len(listed) == 1 else f"{', '.join(listed[:-1])} and {listed[-1]}" if listed else ""
