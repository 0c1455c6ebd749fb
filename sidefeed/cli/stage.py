"""Practice servers that look like the systems of a project: the stage on which a changed mapping is rehearsed.

The live schema is declared twice. While the sample is put in, every field may be written and holds whatever is there,
as records that are older than a rule do; after that the rules of the live system hold.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from sidefeed.connector import FieldSchema, ObjectSchema

if TYPE_CHECKING:
    from sandbox.hubspot import HubSpotServer
    from sandbox.salesforce import SalesforceServer

Objects = Mapping[str, ObjectSchema]
Fields = Mapping[str, Collection[str]]
"""By object, the raw fields that the rehearsal reads or writes."""


class SalesforceStage:
    """A practice organisation in the likeness of a live one."""

    def __init__(self, stack: ExitStack, settings: Mapping[str, Any]) -> None:
        from sandbox.salesforce import SalesforceServer

        self.server: SalesforceServer = stack.enter_context(SalesforceServer(tls=True, control=False))
        self.key_field = settings.get("key_field")
        self.inactive: list[str] = []

    def settings(self) -> dict[str, Any]:
        told = self.server.connection_info()
        return {"auth": "session", "instance_url": self.server.url, "session_id": told["session_id"],
                "ca_file": told["ca_file"], "quota_share": 1.0,
                **({"key_field": self.key_field} if self.key_field else {})}

    def declare(self, objects: Objects, fields: Fields, held: Mapping[tuple[str, str], set[str]], *,
                rules: bool) -> list[str]:
        """Declare these fields, with the live rules or without any; tells what a practice organisation cannot hold."""
        told: dict[str, Any] = {}
        unknown: list[str] = []
        for object, schema in objects.items():
            standard = self.server.schema.object(object)
            if standard is None and not object.endswith("__c"):
                unknown.append(object)
                continue
            body: dict[str, Any] = {}
            for name in fields[object]:
                spec = schema.fields.get(name)
                if spec is None:
                    continue
                if name.endswith("__c"):
                    body[name] = _custom(spec, fields[object], rules=rules)
                elif standard is not None and standard.field(name) is not None:
                    body[name] = _standard(spec, rules=rules)
                elif f"{object}.{name}" in _ROLES:
                    rows, role = _ROLES[f"{object}.{name}"]
                    told[rows] = {"fields": {role: _standard(spec, rules=rules)}}
                elif spec.type != "references":
                    unknown.append(f"{object}.{name}")
            told[object] = {"label": schema.label, "fields": {name: each for name, each in body.items() if each}}
        self.server.call(self.server.load_schema, {"objects": told})
        return unknown

    def people(self, object: str, rows: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
        """Users by live id. Those who left still own records, so they leave once these are in."""
        made = {}
        for number, (id, values) in enumerate(rows.items()):
            first, _, last = str(values.get("Name") or f"User {number}").rpartition(" ")
            mail = str(values.get("Email") or f"user{number}@practice.example")
            made[id] = str(self.server.call(self.server.add_user, f"{number}.{mail}", first=first or None, last=last,
                                            email=mail))
            if values.get("IsActive") is False:
                self.inactive.append(made[id])
        return made

    def enter(self) -> None:
        """The sample is in: who had left leaves."""
        for id in self.inactive:
            self.server.call(self.server.update, "User", id, IsActive=False)


_ROLES = {"Opportunity.ContactRoles": ("OpportunityContactRole", "Role")}
"""List fields whose members stand in a role: where the roles are declared."""
_PLAIN = frozenset({"string", "textarea", "phone", "url", "email", "picklist", "multipicklist", "combobox", "boolean",
                    "date", "datetime", "time", "double", "currency", "percent", "int", "reference"})


def _custom(spec: FieldSchema, declared: Collection[str], *, rules: bool) -> dict[str, Any]:
    told: dict[str, Any] = {"type": spec.type if spec.type in _PLAIN else "string", "label": spec.label or spec.name}
    if spec.length:
        told["length"] = spec.length
    if spec.scale is not None:
        told["scale"] = spec.scale
    if spec.references:
        told["referenceTo"] = list(spec.references)
    if spec.options:
        told["values"] = _labelled(spec)
    if spec.unique:
        told |= {"unique": True, "externalId": True}
    if rules and spec.controller in declared:
        told |= {"controllerName": spec.controller, "values": [
            {**each, "validFor": spec.valid_for.get(each["value"], ())} for each in _labelled(spec)]}
    if rules:
        told |= {"restricted": spec.restricted, "required": spec.required, "createable": spec.createable,
                 "updateable": spec.updateable}
    return told


def _standard(spec: FieldSchema, *, rules: bool) -> dict[str, Any]:
    told: dict[str, Any] = {"values": _labelled(spec)} if spec.options else {}
    if rules and spec.options:
        told["restricted"] = spec.restricted
    if rules and spec.required:
        told["required"] = True
    return told


def _labelled(spec: FieldSchema) -> list[dict[str, str]]:
    labels = spec.labels if len(spec.labels) == len(spec.options) else spec.options
    return [{"value": option, "label": label} for option, label in zip(spec.options, labels, strict=True)]


class HubSpotStage:
    """A practice portal in the likeness of a live one."""

    def __init__(self, stack: ExitStack, settings: Mapping[str, Any]) -> None:
        from sandbox.hubspot import HubSpotServer

        self.server: HubSpotServer = stack.enter_context(HubSpotServer(control=False))
        self.live = {key: settings[key] for key in ("key_property", "api_version") if key in settings}

    def settings(self) -> dict[str, Any]:
        return {"access_token": self.server.connection_info()["access_token"], "host": self.server.url,
                "search_per_second": 1000, "rate_per_10s": 100_000, **self.live}

    def declare(self, objects: Objects, fields: Fields, held: Mapping[tuple[str, str], set[str]], *,
                rules: bool) -> list[str]:
        """Declare these properties; ``held`` are values that records hold beside the options that there are now."""
        unknown: list[str] = []

        def put() -> None:
            for object, schema in objects.items():
                if object == "owners":
                    continue
                if object not in _PORTAL_TYPES:
                    unknown.append(object)
                    continue
                for name in fields[object]:
                    spec = schema.fields.get(name)
                    if spec is not None and spec.type == "roles" and not rules:
                        self._labels(object, spec)
                    elif spec is not None and not name.startswith("associations."):
                        self._property(object, spec, held.get((object, name), set()), rules=rules)
                self._pipelines(object, schema, held)

        self.server.call(put)
        return unknown

    def _property(self, object: str, spec: FieldSchema, held: set[str], *, rules: bool) -> None:
        from dataclasses import replace

        from sandbox.hubspot import definitions
        from sandbox.hubspot.schema import add_property

        portal = self.server.portal
        catalogue = portal.store.of(object).catalogue
        options = _labelled(spec) if spec.options else []
        if not rules:
            options += [{"value": value, "label": value} for value in sorted(held - set(spec.options))]
        found = catalogue.properties.get(spec.name)
        if found is None:
            kind = spec.type if spec.type in _PROPERTY_TYPES else "string"
            several = any(";" in value for value in held)
            given: dict[str, Any] = {"name": spec.name, "label": spec.label or spec.name, "type": kind}
            if kind == "enumeration":
                given |= {"options": options or [{"value": "none", "label": "none"}]}
                given |= {"fieldType": "checkbox"} if several else {}
            add_property(portal, object, given | ({"hasUniqueValue": True} if spec.unique else {}))
        elif options and not found.external_options and spec.type == "enumeration":
            definitions.update(catalogue, spec.name, {"options": options}, portal.now())
        if rules and not spec.createable and not catalogue.properties[spec.name].read_only_value:
            catalogue.put(replace(catalogue.properties[spec.name], read_only_value=True))

    def _labels(self, object: str, spec: FieldSchema) -> None:
        """The association labels that stand for roles."""
        from sandbox.hubspot.schema import load

        target = spec.references[0]
        known = {one.label for one in self.server.portal.associations.types(object, target).values()}
        load(self.server.portal, {"labels": [{"from": object, "to": target, "label": label}
                                             for label in spec.options if label not in known]})

    def _pipelines(self, object: str, schema: ObjectSchema, held: Mapping[tuple[str, str], set[str]]) -> None:
        """The live pipelines with their stages, under their own ids."""
        stage = next((each for each in schema.fields.values() if each.controller and each.valid_for), None)
        if stage is None:
            return
        portal, now = self.server.portal, self.server.portal.now()
        homes = schema.fields[stage.controller]
        names = {one["value"]: one["label"] for one in (*_labelled(stage), *_labelled(homes))}
        known = {id: dict(one.metadata) for id, (_pipeline, one) in portal.pipelines.stages(object).items()}
        for id in list(portal.pipelines.of(object)):
            portal.pipelines.remove(object, id, now)
        for number, home in enumerate(homes.options):
            stages = [option for option in stage.options if home in stage.valid_for.get(option, ())]
            portal.pipelines.create(object, {
                "pipelineId": home, "label": names.get(home, home), "displayOrder": number,
                "stages": [{"stageId": each, "label": _once(names.get(each, each), place), "displayOrder": place,
                            "metadata": known.get(each) or _ending(object, names.get(each, each))}
                           for place, each in enumerate(stages)]}, now)

    def people(self, object: str, rows: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
        """Owners by live id."""
        return {id: str(self.server.call(
            self.server.add_owner, str(values.get("email") or f"owner{number}@practice.example"),
            str(values.get("firstName") or ""), str(values.get("lastName") or ""),
            archived=values.get("archived") is True)) for number, (id, values) in enumerate(rows.items())}

    def enter(self) -> None:
        """Nothing is left to do: an archived owner keeps records."""


_PROPERTY_TYPES = frozenset({"string", "number", "bool", "enumeration", "date", "datetime"})
_PORTAL_TYPES = frozenset({"contacts", "companies", "deals", "tickets", "meetings", "tasks", "calls", "notes", "emails",
                           "line_items", "products"})


def _once(label: str, place: int) -> str:
    return label or f"Stage {place}"


def _ending(object: str, label: str) -> dict[str, str]:
    """What HubSpot asks of a stage beside its name; whether it ends a deal is guessed by the name."""
    if object == "tickets":
        return {"ticketState": "CLOSED" if "close" in label.casefold() else "OPEN"}
    folded = label.casefold()
    return {"probability": "0.0" if "lost" in folded else "1.0" if "won" in folded else "0.5"}


STAGES: dict[str, type[SalesforceStage] | type[HubSpotStage]] = {
    "salesforce": SalesforceStage, "hubspot": HubSpotStage}
"""By connector, what its system is rehearsed on."""


@contextmanager
def stages(systems: Mapping[str, tuple[str, Mapping[str, Any]]]) -> Iterator[dict[str, SalesforceStage | HubSpotStage]]:
    """Start a practice server for each system, given as (connector, live settings), and stop them all at the end."""
    with ExitStack() as stack:
        yield {name: STAGES[kind](stack, settings) for name, (kind, settings) in systems.items() if kind in STAGES}
