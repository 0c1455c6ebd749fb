"""A real record as a golden test: what a system was last seen to hold, and the ids it refers to.

A redactor puts made-up values in the place of all that could tell whom or what the record is about; without one, the
test holds the record as it is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sidefeed.mapping import Mapping as Mappings
from sidefeed.mapping import ObjectMap, golden
from sidefeed.mapping.redact import Redactor
from sidefeed.workspace import Link, RecordState, Store, Transaction
from sidefeed.workspace.report import find_records


class NoGolden(LookupError):
    """The record cannot be made a golden test; the message says why and what there is."""


def case_of(
    store: Store, mappings: Mappings, text: str, *, system: str | None = None, name: str | None = None,
    redactor: Redactor | None = None,
) -> dict[str, Any]:
    """The test, as `golden.write_case` takes it, with its entity under ``_entity``; its values are the record's own
    unless there is a ``redactor``. Raises NoGolden."""
    with store.read() as tx:
        found = find_records(tx, text)
        if len(found) != 1:
            raise NoGolden(f"{text!r} names {len(found) or 'no'} records; give a record's id (`sidefeed blame NAME` "
                           "lists them).")
        state = found[0]
        om, link = _source(tx, mappings, state, system)
        image = tx.bases(link.system, link.object, [state.id]).get(state.id)
        if image is None:
            raise NoGolden(f"{om.system} has not been seen to hold {text!r} yet; run `sidefeed sync` first.")
        told, refs = _references(tx, mappings, om, image, redactor)
    own = {raw: told.get(raw) for each in om.fields if each.reads for raw in each.lens.raw if raw in told}
    case: dict[str, Any] = {
        "name": name or f"a {om.system} {om.object} record",
        "given": {"system": om.system, "object": om.object, "record": own},
        **({"refs": refs} if refs else {}),
    }
    others = [other for other in mappings.objects
              if other.entity == om.entity and other.system != om.system and not other.readonly]
    parsed = golden.GoldenCase.model_validate({
        **case, "workspace": {}, "writes": {f"{other.system} {other.object}": {"create": golden.NOTHING}
                                            for other in others}})
    (outcome,) = golden.run(mappings, [golden.Golden(parsed, "", 0, Path(), 0)])
    got = {key: value for key, value in outcome.got.items() if value or key == "workspace"}
    return {**case, **got, "_entity": om.entity}


def _source(tx: Transaction, mappings: Mappings, state: RecordState, system: str | None) -> tuple[ObjectMap, Link]:
    mapped = {(om.system, om.object): om for om in mappings.objects}
    links = [(om, link) for link in tx.links_of(state.id) if link.state == "live" and link.external_id
             if (om := mapped.get((link.system, link.object.partition("/")[0])))]
    chosen = [each for each in links if system in (None, each[0].system)]
    if not chosen:
        there = ", ".join(sorted({om.system for om, _ in links})) or "no system"
        raise NoGolden(f"{system or 'no system'} holds no such record; it is linked in {there}.")
    return chosen[0]


def _references(
    tx: Transaction, mappings: Mappings, om: ObjectMap, image: dict[str, Any], redactor: Redactor | None
) -> tuple[dict[str, Any], dict[str, dict[str, dict[str, str]]]]:
    """The raw record, and the ids of the records it refers to, each record under a name that tells only its kind:
    ``user-1``. Values and ids are real ones unless there is a ``redactor``."""
    told = {raw: image[raw] for each in om.fields for raw in each.lens.raw if raw in image}
    if redactor is not None:
        told = redactor.record(om, image)
    refs: dict[str, dict[str, dict[str, str]]] = {}
    for entity, external in sorted(om.references_in(image)):
        record = tx.records_known_as(om.system, entity, [external]).get(external)
        if record is None:
            continue
        ids = {om.system: external}
        for system in mappings.systems:
            if system != om.system and (found := tx.external_ids(system, [record]).get(record)):
                ids[system] = found
        named = refs.setdefault(entity, {})
        named[f"{entity}-{len(named) + 1}"] = {
            system: id if redactor is None else redactor.id(id) for system, id in ids.items()}
    return told, refs
