"""Associations: typed, labelled links between records, seen from both ends with a type id of each direction.

Sources: HubSpot "Associations v4" (labels, primary, numeric ids, 207), recordings of amp-labs/connectors for the error
entries, airbytehq/airbyte #14390 for the doubled inline answers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NoReturn, TypeAlias

from . import catalogue
from .errors import ApiError, invalid_associations, validation
from .store import Record, Store, TypeStore

Spec: TypeAlias = tuple[str, int]
"""Category and type id."""
HUBSPOT, USER = "HUBSPOT_DEFINED", "USER_DEFINED"
PAGE = 500


@dataclass(frozen=True, slots=True)
class Definition:
    """One association type in one direction. `role` is unlabelled, primary or label."""

    category: str
    type_id: int
    label: str | None
    name: str
    role: str

    @property
    def spec(self) -> Spec:
        """What identifies it."""
        return self.category, self.type_id

    def as_json(self) -> dict[str, Any]:
        """The definition as `/labels` and `associationTypes` show it."""
        return {"category": self.category, "typeId": self.type_id, "label": self.label}


@dataclass(frozen=True, slots=True)
class Edge:
    """A pair of records, by type name and id."""

    source: str
    source_id: int
    target: str
    target_id: int

    @property
    def reverse(self) -> Edge:
        """The same pair from the other end."""
        return Edge(self.target, self.target_id, self.source, self.source_id)


class Associations:
    """All pairs and all association types of the portal."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.pairs: dict[tuple[str, int, str], dict[int, tuple[Spec, ...]]] = {}
        self.definitions: dict[tuple[str, str], dict[Spec, Definition]] = {}
        self.inverse: dict[tuple[str, str, Spec], Spec] = {}
        self.maxima: dict[tuple[str, str, Spec], int] = {}
        self.default_maximum = 10_000
        self.next_user_id = 1
        for key, type_id in catalogue.ASSOCIATION_IDS.items():
            source, _, target = key.partition(">")
            self._builtin(source, target, type_id, catalogue.PRIMARY_IDS.get(key))
        self._hierarchy()

    def copy(self, store: Store) -> Associations:
        """A copy for another store that later writes do not reach."""
        twin = Associations.__new__(Associations)
        twin.__dict__.update(self.__dict__)
        twin.store = store
        twin.pairs = self.pairs.copy()
        twin.definitions = {pair: found.copy() for pair, found in self.definitions.items()}
        twin.inverse, twin.maxima = self.inverse.copy(), self.maxima.copy()
        return twin

    # --- types ---------------------------------------------------------------------------------------------------

    def _builtin(self, source: str, target: str, type_id: int, primary: tuple[int, str] | None) -> None:
        names = {store.type.singular: store for store in self.store}
        one, other = names[source].type, names[target].type
        stem = f"{one.label.lower()}_to_{other.label.lower()}"
        plain = f"{stem}_unlabeled" if primary else stem
        self._define(one.name, other.name, Definition(HUBSPOT, type_id, None, plain, "unlabelled"))
        back = catalogue.ASSOCIATION_IDS[f"{target}>{source}"]
        self.inverse[one.name, other.name, (HUBSPOT, type_id)] = (HUBSPOT, back)
        if primary:
            self._define(one.name, other.name, Definition(HUBSPOT, primary[0], primary[1], stem, "primary"))
            back = catalogue.PRIMARY_IDS[f"{target}>{source}"][0]
            self.inverse[one.name, other.name, (HUBSPOT, primary[0])] = (HUBSPOT, back)

    def _hierarchy(self) -> None:
        (child_id, child), (parent_id, parent) = (
            catalogue.HIERARCHY_IDS[key] for key in ("parent>child", "child>parent")
        )
        self._define("companies", "companies", Definition(HUBSPOT, child_id, child, "parent_to_child_company", "label"))
        self._define(
            "companies", "companies", Definition(HUBSPOT, parent_id, parent, "child_to_parent_company", "label")
        )
        self.inverse["companies", "companies", (HUBSPOT, child_id)] = (HUBSPOT, parent_id)
        self.inverse["companies", "companies", (HUBSPOT, parent_id)] = (HUBSPOT, child_id)

    def _define(self, source: str, target: str, definition: Definition) -> None:
        self.definitions.setdefault((source, target), {})[definition.spec] = definition

    def types(self, source: str, target: str) -> dict[Spec, Definition]:
        """Association types from one object type to another. Raises 400 where HubSpot has none."""
        found = self.definitions.get((source, target))
        if found:
            return found
        one, other = self.store.types[source].type, self.store.types[target].type
        if not (one.custom or other.custom):
            raise validation(f"Object types {one.id} and {other.id} cannot be associated")
        there, back = (USER, self._take()), (USER, self._take())
        if source == target:
            back = there
        self._define(source, target, Definition(*there, None, f"{one.singular}_to_{other.singular}", "unlabelled"))
        self._define(target, source, Definition(*back, None, f"{other.singular}_to_{one.singular}", "unlabelled"))
        self.inverse[source, target, there] = back
        self.inverse[target, source, back] = there
        return self.definitions[source, target]

    def forget_type(self, name: str) -> None:
        """Drop the association types and pairs of an object type that is gone."""
        self.definitions = {pair: found for pair, found in self.definitions.items() if name not in pair}
        self.inverse = {key: spec for key, spec in self.inverse.items() if name not in key[:2]}
        self.maxima = {key: most for key, most in self.maxima.items() if name not in key[:2]}
        self.pairs = {key: found for key, found in self.pairs.items() if name not in (key[0], key[2])}

    def _take(self) -> int:
        self.next_user_id += 1
        return self.next_user_id - 1

    def unlabelled(self, source: str, target: str) -> Spec:
        """The type every pair has."""
        return next(spec for spec, d in self.types(source, target).items() if d.role == "unlabelled")

    def add_label(self, source: str, target: str, label: str, name: str, inverse_label: str | None) -> list[Definition]:
        """Make a label, or a pair of labels. Raises 400 for a name or label that exists."""
        known = self.types(source, target)
        if any(d.name == name or (d.label or "").lower() == label.lower() for d in known.values()):
            raise validation(f"An association label with the name '{name}' or label '{label}' already exists")
        there = Definition(USER, self._take(), label, name, "label")
        single = inverse_label is None and source == target
        back = (
            there
            if single
            else Definition(
                USER,
                self._take() if inverse_label or source != target else there.type_id,
                inverse_label or label,
                name if inverse_label is None else f"{name}_inverse",
                "label",
            )
        )
        self._define(source, target, there)
        self._define(target, source, back)
        self.inverse[source, target, there.spec] = back.spec
        self.inverse[target, source, back.spec] = there.spec
        return [there] if inverse_label is None else [there, back]

    def rename_label(self, source: str, target: str, type_id: int, label: str, inverse_label: str | None) -> None:
        """Change the text of a label. Raises 404."""
        found = self._label(source, target, type_id)
        self._define(source, target, Definition(USER, type_id, label, found.name, "label"))
        back = self.inverse[source, target, found.spec]
        if inverse_label is not None:
            other = self.definitions[target, source][back]
            self._define(target, source, Definition(USER, other.type_id, inverse_label, other.name, "label"))

    def remove_label(self, source: str, target: str, type_id: int) -> None:
        """Delete a label and take it off every pair. Raises 404."""
        found = self._label(source, target, type_id)
        back = self.inverse.pop((source, target, found.spec))
        self.inverse.pop((target, source, back), None)
        del self.definitions[source, target][found.spec]
        self.definitions[target, source].pop(back, None)
        for (one, record_id, other), targets in list(self.pairs.items()):
            for pair, gone in (((source, target), found.spec), ((target, source), back)):
                if (one, other) == pair and any(gone in specs for specs in targets.values()):
                    self.pairs[one, record_id, other] = {
                        to: tuple(s for s in specs if s != gone) for to, specs in targets.items()
                    }

    def _label(self, source: str, target: str, type_id: int) -> Definition:
        found = self.types(source, target).get((USER, type_id))
        if found is None or found.role != "label":
            raise ApiError(404, f"No association label with the type id {type_id} exists", "OBJECT_NOT_FOUND")
        return found

    # --- pairs ---------------------------------------------------------------------------------------------------

    def specs(self, edge: Edge) -> tuple[Spec, ...]:
        """The types of one pair, from its source's side."""
        return self.pairs.get((edge.source, edge.source_id, edge.target), {}).get(edge.target_id, ())

    def of(self, source: str, source_id: int, target: str) -> list[tuple[int, tuple[Definition, ...]]]:
        """Live records of a type that a record is associated with, by id, labelled types first."""
        targets = self.pairs.get((source, source_id, target))
        if not targets:
            return []
        live = self.store.types[target].live
        known = self.definitions[source, target]
        return [
            (
                to,
                tuple(
                    sorted(
                        (known[s] for s in targets[to] if s in known), key=lambda d: (d.role == "unlabelled", d.type_id)
                    )
                ),
            )
            for to in sorted(targets)
            if to in live
        ]

    def check(self, edge: Edge, specs: Iterable[Spec]) -> list[Spec]:
        """The specs, if they are types of this direction. Raises 400 otherwise, and for a record and itself."""
        if edge.source == edge.target and edge.source_id == edge.target_id:
            raise validation(f"Object {edge.source_id} cannot be associated to itself ({edge.target_id})")
        known = self.types(edge.source, edge.target)
        chosen = list(specs)
        for spec in chosen:
            if spec not in known:
                self.refuse_spec(edge.source, edge.target, spec)
        return chosen

    def known(self, source: str, target: str) -> dict[Spec, Definition]:
        """Association types there are so far; none where two types have never been associated."""
        return self.definitions.get((source, target), {})

    def refuse_spec(self, source: str, target: str | None, spec: Spec) -> NoReturn:
        """Raises 400 for an association type of another direction, or of none."""
        types = self.store.types
        for (one, other), known in self.definitions.items():
            if spec not in known:
                continue
            if one != source:
                actual, expected = types[source].type.id, types[one].type.id
                raise validation(
                    f"invalid from object type {actual} for associations to be created. expected: {expected}"
                )
            if target is not None:
                actual, expected = types[target].type.id, types[other].type.id
                raise validation(
                    f"invalid to object type {actual} for associations to be created. expected: {expected}"
                )
        shown = f"{spec[0]}={spec[1]}"
        raise invalid_associations(
            {
                "associationSpec": [shown],
                "INVALID_ASSOCIATION_TYPE_ID": [f"{shown} is not a valid association definition id"],
            }
        )

    def set(self, edge: Edge, specs: Iterable[Spec], *, replace: bool) -> None:
        """Associate a pair. The unlabelled type is always among its types; a primary takes over from any other.

        Raises 400 beyond the maximum of either side (the answer itself is not verified).
        """
        chosen = self.check(edge, specs)
        plain = self.unlabelled(edge.source, edge.target)
        before = self.specs(edge)
        kept = () if replace else before
        after = tuple(dict.fromkeys([*kept, *chosen, plain]))
        for spec in after:
            if spec not in before:
                self._room(edge, spec)
                self._room(edge.reverse, self.inverse[edge.source, edge.target, spec])
        for spec in after:
            if spec not in before and self.types(edge.source, edge.target)[spec].role == "primary":
                self._demote(edge, spec)
        self._write(edge, after)

    def _room(self, edge: Edge, spec: Spec) -> None:
        """Raises 400 when a record has as many targets of a type as it may."""
        targets = self.pairs.get((edge.source, edge.source_id, edge.target), {})
        most = self.maxima.get((edge.source, edge.target, spec))
        if most is None:
            most, held = self.default_maximum, len(targets)
        else:
            held = sum(1 for specs in targets.values() if spec in specs)
        if held >= most:
            one, other = self.store.types[edge.source].type.singular, self.store.types[edge.target].type.singular
            raise validation(
                f"{one} {edge.source_id} is already associated with {most} {other} records, the most allowed",
                sub_category="crm.associations.ASSOCIATION_LIMIT_EXCEEDED",
                context={"fromObjectId": [str(edge.source_id)], "maxToObjectIds": [str(most)]},
            )

    def _demote(self, edge: Edge, primary: Spec) -> None:
        """A contact, deal or ticket has one primary company: the former one keeps only its other types."""
        if edge.target != "companies":
            edge, primary = edge.reverse, self.inverse[edge.source, edge.target, primary]
        for to, specs in self.pairs.get((edge.source, edge.source_id, edge.target), {}).items():
            if to != edge.target_id and primary in specs:
                self._write(Edge(edge.source, edge.source_id, edge.target, to), tuple(s for s in specs if s != primary))

    def _write(self, edge: Edge, specs: tuple[Spec, ...]) -> None:
        back = tuple(self.inverse[edge.source, edge.target, spec] for spec in specs)
        for one, found in ((edge, specs), (edge.reverse, back)):
            key = (one.source, one.source_id, one.target)
            targets = dict(self.pairs.get(key, {}))
            if found:
                targets[one.target_id] = found
            else:
                targets.pop(one.target_id, None)
            if targets:
                self.pairs[key] = targets
            else:
                self.pairs.pop(key, None)

    def remove(self, edge: Edge) -> None:
        """Take a pair apart, all its types."""
        if self.specs(edge):
            self._write(edge, ())

    def remove_specs(self, edge: Edge, specs: Iterable[Spec]) -> None:
        """Take some types off a pair; without the unlabelled one nothing is left of it."""
        gone = set(self.check(edge, specs))
        before = self.specs(edge)
        if not before:
            return
        left = () if self.unlabelled(edge.source, edge.target) in gone else tuple(s for s in before if s not in gone)
        self._write(edge, left)

    def edges_of(self, source: str, source_id: int) -> list[tuple[Edge, tuple[Spec, ...]]]:
        """Every pair of a record."""
        return [
            (Edge(source, source_id, target, to), specs)
            for target in self.store.types
            for to, specs in self.pairs.get((source, source_id, target), {}).items()
        ]

    def move(self, source: str, old_id: int, new_id: int) -> None:
        """Hand the pairs of a record over to another, as a merge does."""
        for edge, specs in self.edges_of(source, old_id):
            self._write(edge, ())
            if edge.target == source and edge.target_id == new_id:
                continue
            moved = Edge(source, new_id, edge.target, edge.target_id)
            self._write(moved, tuple(dict.fromkeys([*self.specs(moved), *specs])))

    def inline(self, record: Record, targets: Iterable[TypeStore]) -> dict[str, Any]:
        """The `associations` member of get and list: one entry per record *and type*, so ids repeat."""
        shown: dict[str, Any] = {}
        for target in targets:
            results = [
                {"id": str(to), "type": definition.name}
                for to, definitions in self.of(record.type, record.id, target.type.name)
                for definition in definitions
            ]
            if results:
                shown[target.type.name] = {"results": results}
        return shown
