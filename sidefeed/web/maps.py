"""The mapping, to be read: what is kept, where it comes from, who wins, and a picture of what flows where."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from fastapi import APIRouter, HTTPException
from fastapi.responses import HTMLResponse

from sidefeed.mapping import Mapping as Mappings
from sidefeed.mapping.explain import NotMapped, explain
from sidefeed.sync.look import last_check
from sidefeed.web import wording
from sidefeed.web.desk import SignedIn

router = APIRouter(include_in_schema=False)

_ROW, _GAP, _TOP = 34, 10, 40
_LEFT, _MIDDLE, _RIGHT, _WIDE = 8, 330, 652, 180


@router.get("/mapping")
def overview(visitor: SignedIn) -> HTMLResponse:
    mappings, left_out = visitor.desk.mappings, [name for name in visitor.desk.mappings.systems
                                                 if not visitor.desk.uses(name)]
    stories = explain(mappings)
    with visitor.desk.store.read() as tx:
        checked = last_check(tx)
    if checked is not None:
        checked |= {"errors": any(one["severity"] == "error" for one in checked["findings"]),
                    "other": checked["fingerprint"] != mappings.fingerprint}
    return visitor.render("mapping.html", stories=stories, checked=checked,
                          picture=picture(mappings, without=left_out),
                          left_out=[visitor.source(one) for one in left_out],
                          systems=[{"name": system, "label": visitor.source(system),
                                    "objects": mappings.for_system(system)}
                                   for system in mappings.systems if system not in left_out])


@router.get("/mapping/{entity}")
def entity(visitor: SignedIn, entity: str) -> HTMLResponse:
    try:
        (story,) = explain(visitor.desk.mappings, entity)
    except NotMapped as error:
        raise HTTPException(404, str(error)) from None
    systems = sorted({one.system for one in story.objects})
    return visitor.render("mapping_entity.html", story=story, systems=systems)


def picture(mappings: Mappings, without: Collection[str] = ()) -> dict[str, Any]:
    """Boxes and lines of what flows where: systems at the sides (but for those ``without``), entities in the middle.

    An arrow head at the entity means that the system is read for it, one at the system that it is written there.
    """
    objects = [om for om in mappings.objects if om.system not in without]
    entities = [name for name in mappings.entities if any(om.entity == name for om in objects)]
    systems = [name for name in mappings.systems if name not in without]
    left, right = systems[:(len(systems) + 1) // 2], systems[(len(systems) + 1) // 2:]
    rows = max(len(entities), 1)
    height = _TOP + rows * (_ROW + _GAP)
    places = {name: _TOP + number * (_ROW + _GAP) for number, name in enumerate(entities)}
    boxes = [{"x": _MIDDLE, "y": y, "kind": "entity", "href": f"/mapping/{name}",
              "text": mappings.entities[name].label or wording.words(name)} for name, y in places.items()]
    ends: dict[str, tuple[int, float]] = {}
    for side, x in ((left, _LEFT), (right, _RIGHT)):
        for number, system in enumerate(side):
            y = _TOP + (number + 0.5) * (height - _TOP) / len(side) - _ROW
            ends[system] = (x, y)
            boxes.append({"x": x, "y": y, "kind": "system", "href": f"#system-{system}",
                          "text": wording.system(system)})
    lines, told = [], []
    for om in objects:
        x, y = ends[om.system]
        reads = any(each.reads for each in om.fields)
        writes = not om.readonly and any(each.writes for each in om.fields)
        start = (x + _WIDE, y + _ROW / 2) if x == _LEFT else (x, y + _ROW / 2)
        end = (_MIDDLE, places[om.entity] + _ROW / 2) if x == _LEFT else (_MIDDLE + _WIDE, places[om.entity] + _ROW / 2)
        bend = (start[0] + end[0]) / 2
        lines.append({"path": f"M{start[0]:.0f} {start[1]:.0f} C{bend:.0f} {start[1]:.0f} {bend:.0f} {end[1]:.0f} "
                              f"{end[0]:.0f} {end[1]:.0f}", "reads": reads, "writes": writes})
        told.append(f"{wording.system(om.system)} {om.object} {_way(reads, writes)} "
                    f"{mappings.entities[om.entity].label or om.entity}")
    return {"boxes": boxes, "lines": lines, "told": told, "height": height, "width": _RIGHT + _WIDE + 8,
            "wide": _WIDE, "row": _ROW}


def _way(reads: bool, writes: bool) -> str:
    return "both ways with" if reads and writes else "read into" if reads else "written from"
