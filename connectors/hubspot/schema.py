"""What a portal's types look like, and the key property that safe creates need."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors.hubspot import associations
from connectors.hubspot.portal import Portal
from sidefeed.connector import FieldSchema, Invalid, ObjectSchema, PermissionDenied

PIPELINES = {"deals": ("pipeline", "dealstage"), "tickets": ("hs_pipeline", "hs_pipeline_stage")}
"""Properties whose options HubSpot keeps in the pipelines (`externalOptions`): the pipeline and its stage."""
REQUIRED = {
    "meetings": {"hs_timestamp"}, "tasks": {"hs_timestamp"}, "calls": {"hs_timestamp"}, "notes": {"hs_timestamp"},
    "emails": {"hs_timestamp"},
}
"""Required on create by the API though no definition says so ("Meetings", "Tasks")."""
OWNER = "hubspot_owner_id"


def describe(portal: Portal, object: str) -> ObjectSchema:
    """One call for the properties, one more where there are pipelines."""
    outside = _pipeline_options(portal, object)
    fields = {
        str(each["name"]): _field(object, each, outside) for each in portal.properties(object) if each.get("name")
    }
    for name in associations.fields_of(object):
        kind = "association" if associations.is_single(name) else "associations"
        fields[name] = FieldSchema(name, kind, name, references=(associations.target(name),))
    return ObjectSchema(object, object.capitalize(), fields)


def _pipeline_options(portal: Portal, object: str) -> dict[str, tuple[str, ...]]:
    if object not in PIPELINES:
        return {}
    pipelines = [each for each in portal.pipelines(object) if not each.get("archived")]
    stages = [stage for each in pipelines for stage in each.get("stages") or () if not stage.get("archived")]
    pipeline, stage = PIPELINES[object]
    return {pipeline: _ids(pipelines), stage: _ids(stages)}


def _ids(items: list[dict[str, Any]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(each["id"]) for each in items))


def _field(object: str, definition: Mapping[str, Any], outside: Mapping[str, tuple[str, ...]]) -> FieldSchema:
    name = str(definition["name"])
    rules = definition.get("modificationMetadata") or {}
    writable = not (rules.get("readOnlyValue") or definition.get("calculated"))
    options = outside.get(name) or tuple(str(each["value"]) for each in definition.get("options") or ())
    kind = str(definition.get("type") or "")
    return FieldSchema(
        name, kind, str(definition.get("label") or name),
        createable=writable, updateable=writable, required=name in REQUIRED.get(object, ()),
        unique=bool(definition.get("hasUniqueValue")), options=options,
        restricted=kind == "enumeration" and bool(options), references=("owners",) if name == OWNER else (),
    )


def prepare(portal: Portal, object: str, name: str, *, apply: bool) -> str:
    """Create the unique property that carries the key of a create, or say what is or must be done."""
    by_hand = (
        f"HubSpot {object}: create a property with the internal name {name}, single-line text, with "
        "'Require unique values' on (Settings, Properties)"
    )
    definitions = portal.properties(object)
    for each in definitions:
        if each.get("name") == name:
            if each.get("hasUniqueValue"):
                return f"HubSpot {object}: property {name} is there"
            return (
                f"HubSpot {object}: property {name} exists without unique values, which cannot be changed: delete it, "
                "or name another property in the setting 'key_property'"
            )
    if not apply:
        return by_hand
    group = next((str(each["groupName"]) for each in definitions if each.get("name") == "hs_object_id"), "")
    definition = {
        "name": name, "label": "Sidefeed key", "type": "string", "fieldType": "text", "hasUniqueValue": True,
        "groupName": group or next((str(each["groupName"]) for each in definitions if each.get("groupName")), ""),
        "description": "Which Sidefeed record this is; keeps a repeated create from making a duplicate. Do not edit.",
        "formField": False,
    }
    try:
        portal.create_property(object, definition)
    except (Invalid, PermissionDenied) as error:
        return f"{by_hand}. HubSpot did not let Sidefeed do it: {error.message}"
    return f"HubSpot {object}: property {name} created"
