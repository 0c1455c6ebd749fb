"""The mapping at a glance, as plain data: for pages, pictures and other programs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .explain import explain
from .finding import Finding
from .model import Mapping


def overview(mapping: Mapping, findings: Iterable[Finding] = ()) -> dict[str, Any]:
    """Entities with their fields and who wins, systems with their objects, and what flows where.

    ``flows`` has one row for each field of each object: ``reads`` from the system, ``writes`` to it. ``edges`` sums
    them up for a picture: between one system and one entity, how many fields go each way. ``findings`` are those of
    the last `check`, by object.
    """
    found = list(findings)
    stories = explain(mapping)
    return {
        "entities": [{
            "entity": story.entity, "label": story.label, "sentences": list(story.sentences),
            "objects": [f"{each.system} {each.object}" for each in story.objects],
            "fields": [{"field": each.field, "label": each.label, "type": each.type, "who_wins": each.who_wins,
                        "sentences": list(each.sentences)} for each in story.fields],
        } for story in stories],
        "systems": [{
            "system": system, "objects": [{
                "object": om.object, "entity": om.entity, "creates": om.creates, "readonly": om.readonly,
                "deletes": om.deletes, "match": [list(key) for key in om.match], "file": om.place(()).file,
                "line": om.place(()).line,
                "findings": [str(one) for one in found if (one.system, one.object) == (system, om.object)],
            } for om in mapping.for_system(system)],
        } for system in mapping.systems],
        "flows": [{
            "entity": om.entity, "field": each.name, "system": om.system, "object": om.object,
            "raw": list(each.lens.raw), "lens": each.lens.name, "reads": each.reads, "writes": each.writes,
        } for om in mapping.objects for each in om.fields],
        "edges": _edges(mapping),
    }


def _edges(mapping: Mapping) -> list[dict[str, Any]]:
    edges: dict[tuple[str, str], dict[str, Any]] = {}
    for om in mapping.objects:
        edge = edges.setdefault((om.system, om.entity), {
            "system": om.system, "entity": om.entity, "objects": [], "reads": 0, "writes": 0})
        edge["objects"].append(om.object)
        edge["reads"] += sum(each.reads for each in om.fields)
        edge["writes"] += sum(each.writes for each in om.fields)
    return list(edges.values())
