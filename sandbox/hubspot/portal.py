"""The portal: its state, and what a write does to a record beyond what was asked.

Validation, defaults, history, modified time, merges, the recycle bin. The HTTP verbs in `records.py` and the Python
door in `server.py` both end here.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from sandbox.kit.clock import Clock

from . import errors, wire
from .associations import Associations, Edge, Spec
from .behaviour import Described, Event, Late, Switches
from .calculated import Context, calculate
from .catalogue import LIFECYCLE_ORDER
from .errors import ApiError, Problem, validation
from .index import Index
from .pipelines import Owner, Pipelines
from .properties import DAY, Refused, email
from .store import CALCULATED, Actor, Birth, Record, Store, TypeStore, Version

BIN_DAYS = 90
"""Archived records stay listed for so long (airbytehq/airbyte connector documentation)."""
MAX_MERGES = 250
JOURNAL = 100_000
DERIVED = {"associatedcompanyid": "companies", "num_associated_contacts": "contacts", "num_associated_deals": "deals"}
"""Properties that follow from associations, and the type they count or name."""
STAGE_NAMES = {"deals": ("dealstage", "pipeline"), "tickets": ("hs_pipeline_stage", "hs_pipeline")}


Automation = Callable[["Portal", Record], Mapping[str, object] | None]
Planned = tuple[Record | None, Mapping[str, str]]
"""A write that has been checked but not made: the record it changes (None: a create) and its values."""


class Portal:
    """All state of one HubSpot account."""

    def __init__(self, clock: Clock, seed: int = 0) -> None:
        self.clock = clock
        self.random = random.Random(seed)
        self.id = 24_711_306
        self.time_zone = "US/Eastern"
        self.currency = "USD"
        self.rates: dict[str, Decimal] = {}
        self.switches = Switches()
        self.store = Store()
        self.indexes: dict[str, Index] = {name: Index(s.type) for name, s in self.store.types.items()}
        self.associations = Associations(self.store)
        self.pipelines = Pipelines()
        self.owners: dict[int, Owner] = {}
        self.splits: dict[int, dict[int, dict[str, str]]] = {}
        self.automations: list[tuple[str, Automation]] = []
        self.journal: deque[Event] = deque(maxlen=JOURNAL)
        self.listeners: list[Callable[[Event], None]] = []
        self.late: Late | None = None
        self.tie: int | None = None
        self.described: dict[str, Described] = {}
        """What the schemas API was told of custom objects, by type name."""
        self.custom_types = 0
        self.founded = self.now()

    # --- snapshots -----------------------------------------------------------------------------------------------

    def snapshot(self) -> dict[str, Any]:
        """Copies of everything that a request can change."""
        store = self.store.copy()
        return {
            "store": store,
            "indexes": {name: index.copy() for name, index in self.indexes.items()},
            "associations": self.associations.copy(store),
            "pipelines": self.pipelines.copy(),
            "owners": dict(self.owners),
            "splits": {deal: dict(found) for deal, found in self.splits.items()},
            "automations": list(self.automations),
            "journal": self.journal.copy(),
            "switches": replace(self.switches),
            "late": replace(self.late) if self.late else None,
            "tie": self.tie,
            "described": dict(self.described),
            "custom_types": self.custom_types,
            "rates": dict(self.rates),
            "random": self.random.getstate(),
        }

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Go back to a snapshot; it stays usable."""
        held = dict(saved)
        store = held.pop("store").copy()
        self.store = store
        self.indexes = {name: index.copy() for name, index in held.pop("indexes").items()}
        self.associations = held.pop("associations").copy(store)
        self.pipelines = held.pop("pipelines").copy()
        self.random.setstate(held.pop("random"))
        self.switches = replace(held.pop("switches"))
        late = held.pop("late")
        self.late = replace(late) if late else None
        self.splits = {deal: dict(found) for deal, found in held.pop("splits").items()}
        for name, value in held.items():
            setattr(self, name, value.copy() if hasattr(value, "copy") else value)

    # --- time ----------------------------------------------------------------------------------------------------

    def now(self) -> int:
        """The server's time, ms."""
        return int(self.clock.now().timestamp() * 1000)

    def stamp(self) -> int:
        """The time that writes carry: now, or the one stamp that a tie gives them all."""
        return self.now() if self.tie is None else self.tie

    def drop_type(self, name: str) -> None:
        """Forget a custom object with its spellings, index and description; nothing for an unknown one."""
        self.store.types.pop(name, None)
        self.store.spellings = {given: kind for given, kind in self.store.spellings.items() if kind != name}
        self.indexes.pop(name, None)
        self.described.pop(name, None)
        self.associations.forget_type(name)

    def index(self, type_name: str) -> Index:
        """The search index of a type, caught up with what is due."""
        index = self.indexes[type_name]
        index.catch_up(self.now())
        return index

    # --- checking ------------------------------------------------------------------------------------------------

    def choices(self, type_name: str) -> Callable[[str], list[str] | None]:
        """Values of the properties of a type whose options are kept elsewhere."""

        def of(name: str) -> list[str] | None:
            if name in ("dealstage", "hs_pipeline_stage"):
                return list(self.pipelines.stages(type_name)) or None
            if name in ("pipeline", "hs_pipeline"):
                return list(self.pipelines.of(type_name)) or None
            if name == "hubspot_owner_id":
                return [str(owner.id) for owner in self.owners.values() if not owner.archived]
            return None

        return of

    def accept(self, store: TypeStore, given: Mapping[str, object]) -> tuple[dict[str, str], list[Problem]]:
        """What the values sent become, and what is wrong with them."""
        accepted: dict[str, str] = {}
        problems: list[Problem] = []
        choices = self.choices(store.type.name)
        for name, value in given.items():
            if value is None and not self.switches.null_clears and store.catalogue.get(name):
                continue
            try:
                name, text = store.catalogue.accept(name, value, choices)
            except Refused as refused:
                problems.append(refused.problem)
                continue
            if name == "email" and not self.switches.email_lower_case and isinstance(value, str):
                text = value.strip()
            accepted[name] = text
        problems += self._stage_problems(store, accepted)
        return accepted, problems

    def _stage_problems(self, store: TypeStore, values: Mapping[str, str]) -> list[Problem]:
        stage_name, pipeline_name = STAGE_NAMES.get(store.type.name, ("", ""))
        stage, pipeline = values.get(stage_name), values.get(pipeline_name)
        if not stage or not pipeline or pipeline not in (known := self.pipelines.of(store.type.name)):
            return []
        allowed = [s.id for s in known[pipeline].stages]
        if stage in allowed:
            return []
        text = f"{stage} was not one of the allowed options: [{', '.join(allowed)}]"
        return [Problem("INVALID_OPTION", text, stage_name)]

    def refuse(self, problems: list[Problem]) -> ApiError:
        """The 400 for refused values."""
        return errors.invalid_properties(problems, self.id if self.switches.localized_errors else None)

    def required(self, store: TypeStore, values: Mapping[str, str], *, strict: bool) -> None:
        """Raises 400 when a property that a create needs is missing. `strict`: the admin's own rules count too."""
        needed = list(store.type.required)
        if self._defaults_timestamp(store, values):
            needed.remove("hs_timestamp")
        missing = [name for name in needed if not values.get(name)]
        if missing:
            raise validation(
                f"Error creating {store.type.label}. Some required properties were not set.",
                context={"properties": missing},
            )
        if strict and self.switches.write_validation:
            self._enforce(store, [name for name in store.catalogue.required_on_create if not values.get(name)])

    def conditional(self, store: TypeStore, values: Mapping[str, str], *, strict: bool) -> None:
        """Raises 400 when date version 2026-09 asks for a property because of another's value."""
        if strict and self.switches.write_validation:
            rules = store.catalogue.conditionally_required
            self._enforce(
                store, [name for when, value, name in rules if values.get(when) == value and not values.get(name)]
            )

    @staticmethod
    def _enforce(store: TypeStore, missing: list[str]) -> None:
        if missing:
            raise validation(
                f"Required properties are missing for {store.type.label}: [{', '.join(missing)}]",
                context={"properties": missing},
                errors=[
                    {
                        "message": f'Property "{name}" is required',
                        "code": "REQUIRED_PROPERTY_MISSING",
                        "context": {"propertyName": [name]},
                    }
                    for name in missing
                ],
            )

    def conflict(self, store: TypeStore, values: Mapping[str, str], own_id: int | None) -> ApiError | None:
        """The error for a value of a unique property that another record holds."""
        for name in store.catalogue.unique_names:
            value = values.get(name)
            holder = store.holder(name, value) if value else None
            if holder is None or holder == own_id:
                continue
            if name == "email" and store.type.name == "contacts":
                return ApiError(409, f"Contact already exists. Existing ID: {holder}", "CONFLICT")
            return self._taken(store, name, values[name], own_id, holder)
        return None

    def _taken(self, store: TypeStore, name: str, value: str, own_id: int | None, holder: int | None) -> ApiError:
        """400: the id of a record that was about to be made is named first, the holder's second (recorded)."""
        kind = store.type.id if store.type.custom else f"ObjectTypeId{{legacyObjectType={store.type.label}}}"
        own = own_id if own_id is not None else store.take_id()
        other = holder if holder is not None else store.take_id()
        return validation(
            f"Cannot set PropertyValueCoordinates{{portalId={self.id}, objectTypeId={kind}, propertyName={name}, "
            f"value={value}}} on {own}. {other} already has that value."
        )

    def conflict_of_all(self, store: TypeStore, planned: Iterable[Planned]) -> ApiError | None:
        """The first conflict that a batch of writes would meet, with what is stored or within itself."""
        taken: set[tuple[str, str]] = set()
        for record, values in planned:
            own_id = record.id if record else None
            error = self.conflict(store, values, own_id)
            for name in store.catalogue.unique_names:
                value = values.get(name)
                if value and (name, value) in taken and error is None:
                    is_email = name == "email" and store.type.name == "contacts"
                    error = (
                        ApiError(409, "Contact already exists", "CONFLICT")
                        if is_email
                        else self._taken(store, name, value, own_id, None)
                    )
                if value:
                    taken.add((name, value))
            if error is not None:
                return error
        return None

    # --- writing -------------------------------------------------------------------------------------------------

    def create(
        self,
        store: TypeStore,
        values: dict[str, str],
        actor: Actor,
        at: int | None = None,
        record_id: int | None = None,
    ) -> Record:
        """Store a new record with checked values. Raises 409 or 400 for a unique value that is taken."""
        taken = self.conflict(store, values, None)
        if taken is not None:
            raise taken
        at = self.stamp() if at is None else at
        record_id = store.take_id() if record_id is None else record_id
        given = {name: value.lstrip(";") if value[:1] == ";" else value for name, value in values.items() if value}
        base = {
            "hs_object_id": str(record_id),
            "hs_object_source": actor.source,
            "hs_object_source_label": actor.source,
            store.type.created: wire.iso(at),
        }
        if store.type.name != "contacts":
            base["hs_createdate"] = wire.iso(at)
        if actor.source_id:
            base["hs_object_source_id"] = actor.source_id
        if actor.user is not None:
            base |= {"hs_created_by_user_id": str(actor.user), "hs_object_source_user_id": str(actor.user)}
        record = self._write(store, None, record_id, base | self._defaults(store, given), actor, at)
        return self._automate(store, record)

    def update(self, store: TypeStore, record: Record, values: Mapping[str, str], actor: Actor) -> Record:
        """Store checked values over a record. Raises 409 or 400 for a unique value that is taken."""
        changes = self._settled(store, record, values)
        taken = self.conflict(store, changes, record.id)
        if taken is not None:
            raise taken
        if not changes and not self.switches.noop_moves_modified:
            return record
        written = self._write(store, record, record.id, {**record.values, **changes}, actor, self._after(record))
        return self._automate(store, written)

    def _after(self, *records: Record) -> int:
        """The stamp of a change: never before the one it replaces."""
        return max(self.stamp(), *(record.modified for record in records))

    def _settled(self, store: TypeStore, record: Record, values: Mapping[str, str]) -> dict[str, str]:
        """The values that really change: appends resolved, no backward lifecycle moves, stage and pipeline agreed."""
        changes: dict[str, str] = {}
        for name, value in values.items():
            held = record.values.get(name, "")
            definition = store.catalogue.get(name)
            if value.startswith(";") and definition is not None and definition.multiple:
                value = ";".join(dict.fromkeys(part for part in (held + value).split(";") if part))
            if name == "lifecyclestage" and value and held and _backward(held, value):
                continue
            if value != held:
                changes[name] = value
        return changes | self._pipeline_of(store, {**record.values, **changes}, changes)

    def _defaults(self, store: TypeStore, values: dict[str, str]) -> dict[str, str]:
        name = store.type.name
        if name in ("contacts", "companies"):
            values = {"lifecyclestage": "lead", "hs_pipeline": f"{name}-lifecycle-pipeline", **values}
        if self._defaults_timestamp(store, values):
            values = {**values, "hs_timestamp": values["hs_meeting_start_time"]}
        return values | self._pipeline_of(store, values, values)

    def _defaults_timestamp(self, store: TypeStore, values: Mapping[str, str]) -> bool:
        wanted = self.switches.meeting_timestamp_defaults and store.type.name == "meetings"
        return wanted and "hs_timestamp" not in values and bool(values.get("hs_meeting_start_time"))

    def _pipeline_of(self, store: TypeStore, values: Mapping[str, str], written: Mapping[str, str]) -> dict[str, str]:
        """A stage says which pipeline its record is in, where the write itself does not."""
        stage_name, pipeline_name = STAGE_NAMES.get(store.type.name, ("", ""))
        if not stage_name:
            return {}
        pipeline = values.get(pipeline_name)
        found = self.pipelines.stages(store.type.name).get(values.get(stage_name, ""))
        if found and pipeline_name not in written and pipeline != found[0].id:
            return {pipeline_name: found[0].id}
        if not pipeline and store.type.name == "deals":
            return {pipeline_name: next(iter(self.pipelines.of("deals")), "default")}
        return {}

    def _write(
        self, store: TypeStore, before: Record | None, record_id: int, values: dict[str, str], actor: Actor, at: int
    ) -> Record:
        """Store one version: calculated properties, history, stamps, index and journal."""
        old = before.values if before else {}
        values[store.type.modified] = wire.iso(at)
        if actor.user is not None:
            values["hs_updated_by_user_id"] = str(actor.user)
        if values.get("hubspot_owner_id") != old.get("hubspot_owner_id"):
            values["hubspot_owner_assigneddate"] = wire.iso(at) if values.get("hubspot_owner_id") else ""
        values |= calculate(store.type.name, values, old, record_id, at, lambda: self._context(record_id))
        changed = {name: value for name, value in values.items() if value != old.get(name, "")}
        kept = {name: value for name, value in values.items() if value != ""}
        if before is None:
            record = Record(record_id, store.type.name, kept, Birth(kept, at, actor), {}, at)
        else:
            changes = dict(before.changes)
            for name, value in changed.items():
                definition = store.catalogue.properties.get(name)
                by = CALCULATED if definition is not None and definition.calculated else actor
                changes[name] = (Version(value, at, by.source, by.source_id, by.user), *changes.get(name, ()))
            record = Record(record_id, store.type.name, kept, before.birth, changes, at)
        store.put(record)
        self.publish(record)
        self.note(Event("propertyChange" if before else "creation", store.type.name, record_id, at, actor, changed))
        return record

    def _context(self, record_id: int) -> Context:
        stages = {stage_id: stage for stage_id, (_, stage) in self.pipelines.stages("deals").items()}
        return Context(stages, self.rates, self.currency, bool(self.splits.get(record_id)))

    def publish(self, record: Record) -> None:
        """Send a version on its way to the search index."""
        lag = self.switches.search_lag
        if self.late is not None and self.late.count > 0:
            self.late.count -= 1
            lag = max(lag, self.late.seconds)
        self.indexes[record.type].enqueue(self.now() + int(lag * 1000), record.id, record)

    def withdraw(self, type_name: str, record_id: int) -> None:
        """Send a removal on its way to the search index."""
        self.indexes[type_name].enqueue(self.now() + int(self.switches.search_lag * 1000), record_id, None)

    def _automate(self, store: TypeStore, record: Record) -> Record:
        for type_name, rule in self.automations:
            values = rule(self, record) if type_name in ("*", store.type.name) else None
            accepted = self.accept(store, values)[0] if values else {}
            changes = self._settled(store, record, accepted)
            if changes:
                actor = Actor("AUTOMATION_PLATFORM", "enrollmentId:1;actionExecutionIndex:0")
                record = self._write(store, record, record.id, {**record.values, **changes}, actor, self._after(record))
        return record

    def recalculate(self, store: TypeStore, record: Record, actor: Actor) -> Record:
        """Store a record again because something it is calculated from has changed."""
        return self._write(store, record, record.id, dict(record.values), actor, self._after(record))

    def note(self, event: Event) -> None:
        """Keep an event in the journal and tell those who listen."""
        self.journal.append(event)
        for listener in self.listeners:
            listener(event)

    def derived(self, record: Record, name: str) -> str | None:
        """Properties that HubSpot keeps from associations; read when asked for, they move no modified time."""
        if name == "associatedcompanyid":
            found = self.associations.of("contacts", record.id, "companies")
            primary = [to for to, types in found if any(d.role == "primary" for d in types)]
            return str(primary[0]) if primary else None
        return str(len(self.associations.of(record.type, record.id, DERIVED[name])))

    # --- archive, restore, purge, merge ----------------------------------------------------------------------------

    def archive(self, store: TypeStore, record: Record, actor: Actor) -> None:
        """Move a record to the recycle bin; its modified time stays."""
        at = self.now()
        store.archive(record, at)
        self.withdraw(store.type.name, record.id)
        self.note(Event("deletion", store.type.name, record.id, at, actor))

    def restore_record(self, store: TypeStore, record_id: int, actor: Actor) -> Record:
        """Take a record out of the recycle bin, as a person does in HubSpot. Raises 404, 409."""
        self.empty_bin(store)
        binned = store.archived.get(record_id)
        if binned is None:
            raise errors.object_not_found(str(record_id))
        taken = self.conflict(store, binned.values, record_id)
        if taken is not None:
            raise taken
        record = store.restore(binned)
        self.publish(record)
        self.note(Event("restore", store.type.name, record_id, self.now(), actor))
        return record

    def empty_bin(self, store: TypeStore) -> None:
        """Drop what has been archived for longer than the recycle bin keeps it."""
        before = self.now() - BIN_DAYS * DAY
        for record_id in [i for i, record in store.archived.items() if (record.archived_at or 0) < before]:
            store.forget(record_id)

    def purge(self, store: TypeStore, record: Record, actor: Actor) -> None:
        """Delete for good, as the GDPR asks: neither listed nor archived afterwards."""
        for edge, _ in self.associations.edges_of(store.type.name, record.id):
            self.associations.remove(edge)
        if record.id in store.live:
            store.remove(record)
            self.withdraw(store.type.name, record.id)
        store.forget(record.id)
        self.note(Event("privacyDeletion", store.type.name, record.id, self.now(), actor))

    def merge(self, store: TypeStore, primary: Record, other: Record, actor: Actor) -> Record:
        """Merge two records. The survivor answers for every id; the old ids are not archived.

        In mode `new` the survivor is a record of its own (since 2025-01-14), in mode `old` it is the primary.
        """
        if primary.id == other.id:
            raise validation(f"Cannot merge object {primary.id} with itself", context={"ids": [str(primary.id)]})
        gone = _merged_ids(primary) + _merged_ids(other)
        new = self.switches.merge_mode == "new"
        gone += [str(primary.id), str(other.id)] if new else [str(other.id)]
        if len(gone) > MAX_MERGES:
            raise ApiError(414, f"Cannot have more than {MAX_MERGES} identities on a profile", "VALIDATION_ERROR")
        at = self._after(primary, other)
        survivor_id = store.take_id() if new else primary.id
        values = {**other.values, **primary.values}
        values |= {"hs_merged_object_ids": ";".join(dict.fromkeys(gone)), "hs_object_id": str(survivor_id)}
        values[store.type.created] = min(primary.values[store.type.created], other.values[store.type.created])
        if store.type.name == "contacts":
            values |= _merged_contact(primary, other, survivor_id, at)
        self._hand_over(store, (primary, other), survivor_id)
        base = replace(primary, id=survivor_id, values=primary.values if not new else {})
        by = Actor("MERGE_OBJECTS", actor.source_id, actor.user)
        survivor = self._write(store, base, survivor_id, values, by, at)
        details = {
            "primaryObjectId": primary.id,
            "mergedObjectIds": [other.id],
            "newObjectId": survivor_id,
            "numberOfPropertiesMoved": sum(1 for name in other.values if name not in primary.values),
        }
        self.note(Event("merge", store.type.name, survivor_id, at, actor, details=details))
        return survivor

    def _hand_over(self, store: TypeStore, records: Iterable[Record], survivor_id: int) -> None:
        for record in records:
            store.remove(record)
            if record.id == survivor_id:
                continue
            self.withdraw(store.type.name, record.id)
            store.aliases[record.id] = survivor_id
            self.associations.move(store.type.name, record.id, survivor_id)
            if record.id in self.splits:
                self.splits.setdefault(survivor_id, self.splits.pop(record.id))

    def second_address(self, record: Record, address: str) -> Record:
        """Give a contact another e-mail address, as a person does in HubSpot. Raises 409."""
        store = self.store.types["contacts"]
        held = record.values.get("hs_additional_emails", "")
        taken = self.conflict(store, {"email": email(address)}, record.id)
        if taken is not None:
            raise taken
        values = {"hs_additional_emails": ";".join(part for part in (held, email(address)) if part)}
        return self._write(
            store, record, record.id, {**record.values, **values}, Actor("CRM_UI", None), self._after(record)
        )

    # --- associations ----------------------------------------------------------------------------------------------

    def associate(self, edge: Edge, specs: Iterable[Spec], *, replace_labels: bool = False) -> None:
        """Associate two records. Raises 400 for a wrong type or beyond the maxima."""
        chosen = list(specs)
        if self.switches.first_company_is_primary and edge.target == "companies":
            primary = [s for s, d in self.associations.types(edge.source, edge.target).items() if d.role == "primary"]
            if not self.associations.of(edge.source, edge.source_id, edge.target):
                chosen += primary
        before = self.associations.specs(edge)
        self.associations.set(edge, chosen, replace=replace_labels)
        if self.associations.specs(edge) != before:
            self._edited(edge, removed=False)

    def dissociate(self, edge: Edge, specs: Iterable[Spec] | None = None) -> None:
        """Take a pair apart, or some of its types off. Raises 400 for a wrong type."""
        before = self.associations.specs(edge)
        if specs is None:
            self.associations.remove(edge)
        else:
            self.associations.remove_specs(edge, specs)
        if self.associations.specs(edge) != before:
            self._edited(edge, removed=True)

    def _edited(self, edge: Edge, *, removed: bool) -> None:
        for end in (edge, edge.reverse):
            one, other = self.store.types[end.source], self.store.types[end.target]
            details = {
                "associationType": f"{one.type.singular}_to_{other.type.singular}".upper(),
                "fromObjectId": end.source_id,
                "toObjectId": end.target_id,
                "associationRemoved": removed,
                "isPrimaryAssociation": any(
                    self.associations.types(end.source, end.target)[spec].role == "primary"
                    for spec in self.associations.specs(end)
                ),
            }
            self.note(Event("associationChange", end.source, end.source_id, self.now(), Actor(), details=details))
            record = one.live.get(end.source_id)
            if self.switches.associations_touch and record is not None:
                self.recalculate(one, record, Actor("ASSOCIATIONS", None))


def _merged_contact(primary: Record, other: Record, survivor_id: int, at: int) -> dict[str, str]:
    """The survivor keeps every address; `hs_calculated_merged_vids` names this merge only, chained ones are missing."""
    addresses = [
        address
        for record in (primary, other)
        for address in (record.values.get("email", ""), *record.values.get("hs_additional_emails", "").split(";"))
        if address
    ]
    first = primary.values.get("email") or other.values.get("email", "")
    return {
        "hs_additional_emails": ";".join(a for a in dict.fromkeys(addresses) if a != first),
        "hs_calculated_merged_vids": f"{primary.id}:{at};{other.id}:{at}",
        "hs_all_contact_vids": ";".join(dict.fromkeys([str(survivor_id), str(primary.id), str(other.id)])),
    }


def _merged_ids(record: Record) -> list[str]:
    return [part for part in record.values.get("hs_merged_object_ids", "").split(";") if part]


def _backward(held: str, value: str) -> bool:
    if held not in LIFECYCLE_ORDER or value not in LIFECYCLE_ORDER:
        return False
    return LIFECYCLE_ORDER.index(value) < LIFECYCLE_ORDER.index(held)
