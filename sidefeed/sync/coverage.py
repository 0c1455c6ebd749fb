"""Owners who are not known in a system that is written: their records keep the owner they have there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from sidefeed.mapping import FieldMap, Mapping, ObjectMap
from sidefeed.mapping.finding import Finding
from sidefeed.mapping.lenses.owners import Owner
from sidefeed.mapping.lenses.references import Reference
from sidefeed.workspace import Transaction

SHOWN = 5
PEOPLE = (Reference, Owner)


def owner_findings(tx: Transaction, mapping: Mapping) -> Iterator[Finding]:
    """One finding for each mapped field of a system that names people, where some of them are unknown there."""
    for om in mapping.objects:
        known = {other.entity for other in mapping.for_system(om.system) if other.readonly}
        for each in om.fields:
            if each.writes and type(each.lens) in PEOPLE and getattr(each.lens, "entity", None) in known:
                yield from _uncovered(tx, om, each)


def _uncovered(tx: Transaction, om: ObjectMap, each: FieldMap) -> Iterator[Finding]:
    if getattr(each.lens, "fallback", None) is not None or getattr(each.lens.options, "by", "id") == "email":
        return
    owned = Counter(str(owner) for state in tx.each_record(om.entity)
                    if not state.deleted and (owner := state.values.get(each.name)) is not None)
    there = tx.external_ids(om.system, owned.keys())
    missing = Counter({owner: count for owner, count in owned.items() if owner not in there})
    if not missing:
        return
    people = tx.records(missing.keys())
    names = [f"{people[id].values.get('email') or people[id].values.get('name') or id} ({count})"
             for id, count in missing.most_common(SHOWN) if id in people]
    more = f" and {len(missing) - len(names)} more" if len(missing) > len(names) else ""
    yield Finding(
        "warning", "owner-uncovered", om.system, om.object, each.name, *om.place(("fields", each.name)),
        f"{len(missing)} owners of {missing.total()} records are not known in {om.system}: "
        f"{', '.join(names)}{more}.",
        f"Add them there, or name a fallback: "
        f"`{each.name}: {{lens: owner, field: {each.lens.raw[0]}, fallback: ...}}`.")
