"""What a portal's types look like, and the key property that safe creates need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from connectors.hubspot import associations
from connectors.hubspot.portal import Portal
from sidefeed.connector import FieldSchema, Invalid, ObjectSchema, PermissionDenied, Rights

PIPELINES = {"deals": ("pipeline", "dealstage"), "tickets": ("hs_pipeline", "hs_pipeline_stage")}
"""Properties whose options HubSpot keeps in the pipelines (`externalOptions`): the pipeline and its stage."""
REQUIRED = {
    "meetings": {"hs_timestamp"}, "tasks": {"hs_timestamp"}, "calls": {"hs_timestamp"}, "notes": {"hs_timestamp"},
    "emails": {"hs_timestamp"},
}
"""Required on create by the API though no definition says so ("Meetings", "Tasks")."""
OWNER = "hubspot_owner_id"
OWNERS = "owners"
_WITH_SCHEMA_SCOPE = ("contacts", "companies", "deals")


def describe(portal: Portal, object: str) -> ObjectSchema:
    """One call for the properties, one more where there are pipelines, and one where there are labels."""
    outside, labels, stages = _pipelines(portal, object)
    fields = {
        str(each["name"]): _field(object, each, outside, labels) for each in portal.properties(object)
        if each.get("name")
    }
    if stages:
        pipeline, stage = PIPELINES[object]
        fields[stage] = replace(fields[stage], controller=pipeline, valid_for=stages)
    for name in associations.fields_of(object):
        kind = "association" if associations.is_single(name) else "associations"
        fields[name] = FieldSchema(name, kind, name, references=(associations.target(name),))
        if associations.is_labelled(name):
            known = tuple(portal.labels(object, associations.target(name)).values())
            fields[name] = replace(fields[name], type="roles", options=known, labels=known, restricted=True)
    return ObjectSchema(object, object.capitalize(), fields)


Options = dict[str, tuple[str, ...]]


def _pipelines(portal: Portal, object: str) -> tuple[Options, dict[str, str], Options]:
    """Options of the pipeline and the stage property, the label of each, and the pipelines of each stage."""
    if object not in PIPELINES:
        return {}, {}, {}
    pipelines = [each for each in portal.pipelines(object) if not each.get("archived")]
    stages = [(stage, str(each["id"])) for each in pipelines for stage in each.get("stages") or ()
              if not stage.get("archived")]
    pipeline, stage_name = PIPELINES[object]
    options = {pipeline: _ids(pipelines), stage_name: _ids([stage for stage, _pipeline in stages])}
    labels = {str(each["id"]): str(each.get("label") or each["id"]) for each in (*pipelines, *(s for s, _ in stages))}
    homes: dict[str, tuple[str, ...]] = {}
    for stage, home in stages:
        homes[str(stage["id"])] = (*homes.get(str(stage["id"]), ()), home)
    return options, labels, homes


def _ids(items: list[dict[str, Any]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(each["id"]) for each in items))


def _field(
    object: str, definition: Mapping[str, Any], outside: Mapping[str, tuple[str, ...]], labels: Mapping[str, str]
) -> FieldSchema:
    name = str(definition["name"])
    rules = definition.get("modificationMetadata") or {}
    writable = not (rules.get("readOnlyValue") or definition.get("calculated"))
    told = {str(each["value"]): str(each.get("label") or each["value"]) for each in definition.get("options") or ()}
    options = outside.get(name) or tuple(told)
    shown = tuple(labels.get(each, each) if name in outside else told[each] for each in options)
    kind = str(definition.get("type") or "")
    return FieldSchema(
        name, kind, str(definition.get("label") or name),
        createable=writable, updateable=writable, required=name in REQUIRED.get(object, ()),
        unique=bool(definition.get("hasUniqueValue")), options=options,
        restricted=kind == "enumeration" and bool(options), references=("owners",) if name == OWNER else (),
        labels=shown,
    )


_SCOPES = {"meetings": "contacts", "tasks": "contacts", "calls": "contacts", "notes": "contacts", "emails": "contacts"}
"""Activities are read and written under the scope of contacts ("Scopes", HubSpot developer documentation)."""


def rights(portal: Portal, object: str, fields: Sequence[str], *, writes: bool) -> Rights:
    """The scopes that the token needs, and those it has not; not known for tokens that do not list them."""
    related = {associations.target(name) for name in associations.fields_of(object) if name in fields}
    scope = _SCOPES.get(object, object)
    needed = [f"crm.objects.{scope}.read"]
    if object != OWNERS:
        needed += [f"crm.schemas.{scope}.read"] if scope in _WITH_SCHEMA_SCOPE else []
        needed += [f"crm.objects.{scope}.write"] if writes else []
        needed += [f"crm.objects.{_SCOPES.get(each, each)}.read" for each in sorted(related)]
    needed = list(dict.fromkeys(needed))
    granted = portal.scopes()
    if not any(each.startswith("crm.") for each in granted):
        return Rights(tuple(needed))
    return Rights(tuple(needed), tuple(each for each in needed if each not in granted))


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


def add_labels(portal: Portal, object: str, field: str, labels: Sequence[str], *, apply: bool) -> list[str]:
    """Create the association labels that are not there, or say what is to be done."""
    to = associations.target(field)
    portal.read_labels(object, to)
    said = [_add_label(portal, object, to, label, apply=apply)
            for label in labels if label not in portal.labels(object, to).values()]
    if said and apply:
        portal.read_labels(object, to)
    return said


def _add_label(portal: Portal, object: str, to: str, label: str, *, apply: bool) -> str:
    by_hand = (f"HubSpot {object}: create the association label {label!r} to {to} (Settings, Objects, "
               f"{object.capitalize()}, Associations), or take the role out of the mapping")
    if not apply:
        return by_hand
    try:
        portal.create_label(object, to, label)
    except (Invalid, PermissionDenied) as error:
        return f"{by_hand}. HubSpot did not let Sidefeed do it: {error.message}"
    return f"HubSpot {object}: association label {label!r} to {to} created"


def detach(portal: Portal, object: str, name: str, *, apply: bool) -> str:
    """Archive the property that carries our key; HubSpot keeps an archived property for 90 days."""
    if not any(each.get("name") == name for each in portal.properties(object)):
        return f"HubSpot {object} carries no mark of Sidefeed."
    if not apply:
        return f"HubSpot {object}: property {name} would be archived with its values; nothing else there is ours."
    try:
        portal.archive_property(object, name)
    except (Invalid, PermissionDenied) as error:
        return (f"HubSpot {object}: archive the property {name} (Settings, Properties); it and its values are "
                f"Sidefeed's only mark. HubSpot did not let Sidefeed do it: {error.message}")
    return f"HubSpot {object}: property {name} was archived with its values."
